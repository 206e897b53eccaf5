//! Bounds on what strangers and recordings can make a node do.

use crate::peer::clock::Millis;

/// Allows this much per millisecond, and at most this much at once.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    at: Millis,
    per_ms: u64,
    most: u64,
}

impl Budget {
    pub(super) fn new(now: Millis, per_ms: u64, most: u64) -> Budget {
        Budget { left: most, at: now, per_ms, most }
    }

    /// Spends one; false when there is none left.
    pub(super) fn spend(&mut self, now: Millis) -> bool {
        let gained = now.saturating_sub(self.at).saturating_mul(self.per_ms);
        self.left = self.left.saturating_add(gained).min(self.most);
        self.at = self.at.max(now);
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has
    }
}

/// Numbers that are remembered.
const REMEMBERED: usize = 256;

/// Numbers that have come lately. Two may share a place; then the newer is remembered.
#[derive(Debug)]
pub(super) struct RecentNumbers {
    places: Box<[(u64, Millis); REMEMBERED]>,
}

impl RecentNumbers {
    pub(super) fn new() -> RecentNumbers {
        RecentNumbers { places: Box::new([(0, 0); REMEMBERED]) }
    }

    /// True unless the number has come within the last `apart` milliseconds. It must be one that cannot be
    /// chosen from outside.
    pub(super) fn is_new(&mut self, number: u64, now: Millis, apart: Millis) -> bool {
        let place = &mut self.places[(number % REMEMBERED as u64) as usize];
        let new = place.0 != number || now.saturating_sub(place.1) >= apart;
        if new {
            *place = (number, now);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_filled_up_to_its_most() {
        let mut b = Budget::new(0, 2, 5);
        assert_eq!((0..9).filter(|_| b.spend(0)).count(), 5);
        assert_eq!((0..9).filter(|_| b.spend(2)).count(), 4);
        assert_eq!((0..9).filter(|_| b.spend(1_000_000)).count(), 5);
        assert!(!b.spend(0), "time does not go back");
    }

    #[test]
    fn a_number_is_new_once_in_a_while() {
        let mut r = RecentNumbers::new();
        assert!(r.is_new(7, 0, 100) && !r.is_new(7, 99, 100) && r.is_new(7, 100, 100));
        assert!(r.is_new(7 + REMEMBERED as u64, 101, 100) && r.is_new(7, 101, 100));
    }
}
