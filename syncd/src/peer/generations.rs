//! Tracks which records were seen since a point in time, so that the others can be swept.

use crate::store::GENERATIONS;

/// Records that one turn of a sweep looks at.
pub(crate) const SWEEP_A_TURN: usize = 4096;

/// The sweep that has last seen a record, in a few bits.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    current: u8,
    // The oldest generation that a record may still have.
    floor: u8,
}

impl Generations {
    /// The generation given to what is seen now.
    pub(crate) fn current(&self) -> u8 {
        self.current
    }

    /// Makes everything that exists old. False when that is impossible, because so many sweeps were begun
    /// without one that completed that the next number is also the oldest. Then something old may escape this
    /// sweep, and another has to follow. Nothing fresh is ever removed.
    pub(crate) fn advance(&mut self) -> bool {
        let next = (self.current + 1) % GENERATIONS;
        let free = next != self.floor;
        if free {
            self.current = next;
        }
        free
    }

    /// All old records have been removed.
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
