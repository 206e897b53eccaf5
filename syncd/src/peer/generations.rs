//! Which records were seen since a point in time, so that the others can be swept.

use crate::store::GENERATIONS;

/// Records that one turn looks at.
pub(crate) const SWEEP_A_TURN: usize = 4096;

/// Which sweep has seen a record, in few bits.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    current: u8,
    // The oldest generation that a record may still have.
    floor: u8,
}

impl Generations {
    /// The generation of what is seen now.
    pub(crate) fn current(&self) -> u8 {
        self.current
    }

    /// Makes everything there is old. False when that is not possible, because sweeps were begun again and
    /// again without one that completed, and the next number is that of the oldest: then something old may
    /// escape this sweep, and another has to follow. Nothing fresh is ever taken.
    pub(crate) fn advance(&mut self) -> bool {
        let next = (self.current + 1) % GENERATIONS;
        let free = next != self.floor;
        if free {
            self.current = next;
        }
        free
    }

    /// Everything old is gone.
    pub(crate) fn complete(&mut self) {
        self.floor = self.current;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_never_come_round_to_a_live_one() {
        let mut g = Generations::default();
        let first = g.current();
        for i in 0..100 {
            assert_eq!(g.advance(), i < 31);
            assert_ne!(g.current(), first);
        }
        g.complete();
        let second = g.current();
        assert!(g.advance());
        assert_ne!(g.current(), second);
    }
}
