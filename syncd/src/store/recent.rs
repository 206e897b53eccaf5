//! Which leaves of the sums have changed of late: where nobody acknowledges anything, only what has been quiet can be
//! compared (sync-protocol.md §10.6).

use zct_wire::peer::digest::LEAVES;

/// With one turn a second, what is in none of them has been quiet for two.
const TURNS: usize = 3;
const WORD: usize = 64;

/// A bit for each leaf and turn.
///
/// # Allocation
/// 24 KiB.
#[derive(Debug)]
pub(crate) struct Recent {
    turns: [Box<[u64]>; TURNS],
}

impl Recent {
    /// Everything has just changed.
    pub(crate) fn new() -> Recent {
        Recent { turns: [(); TURNS].map(|()| vec![u64::MAX; LEAVES / WORD].into_boxed_slice()) }
    }

    /// A leaf changes.
    #[inline]
    pub(crate) fn touch(&mut self, leaf: usize) {
        let [now, ..] = &mut self.turns;
        if let Some(word) = now.get_mut(leaf / WORD) {
            *word |= 1 << (leaf % WORD);
        }
    }

    pub(crate) fn touch_all(&mut self) {
        let [now, ..] = &mut self.turns;
        now.fill(u64::MAX);
    }

    /// A second has passed.
    pub(crate) fn age(&mut self) {
        self.turns.rotate_right(1);
        let [now, ..] = &mut self.turns;
        now.fill(0);
    }

    /// True when the leaf has not changed for two seconds, and perhaps three.
    pub(crate) fn is_quiet(&self, leaf: usize) -> bool {
        self.turns.iter().all(|t| t.get(leaf / WORD).is_some_and(|word| word & 1 << (leaf % WORD) == 0))
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        self.turns.iter().map(|t| size_of_val(&**t)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_quiet_in_the_third_second() {
        let mut r = Recent::new();
        (0..TURNS).for_each(|_| r.age());
        for leaf in [0, 63, 64, LEAVES - 1] {
            assert!(r.is_quiet(leaf));
            r.touch(leaf);
            for _ in 0..TURNS {
                assert!(!r.is_quiet(leaf));
                r.age();
            }
            assert!(r.is_quiet(leaf) && r.is_quiet(leaf ^ 1));
        }
        r.touch_all();
        assert!(!r.is_quiet(7) && r.memory() == 24 << 10);
    }
}
