//! Flows for which a cache had no room (HashLimit), once it has room again: the kernel's are found by a
//! comparison, and the peer is asked for its own.

use crate::peer::Millis;
use crate::store::FlowStore;

/// The time between two repairs: a cache that stays close to its limit must not cause one after the other.
const APART_MS: Millis = 10_000;

/// What is known of one cache.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Refused flows that have been dealt with.
    repaired: u64,
    told: bool,
    not_before: Millis,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// To say that the cache is full.
    Tell,
    /// To get what was refused.
    Repair,
}

impl Room {
    /// Looks at the cache, which has refused this many entries in all.
    pub(super) fn of(&mut self, now: Millis, store: &FlowStore, refused: u64) -> Step {
        let (counts, limit) = (store.counts(), store.limit());
        self.look(now, refused, limit.saturating_sub(counts.ipv4 + counts.ipv6), limit)
    }

    /// `refused` is how many flows the cache has refused in all, `free` how many it could take now.
    fn look(&mut self, now: Millis, refused: u64, free: usize, limit: usize) -> Step {
        let missed = usize::try_from(refused.saturating_sub(self.repaired)).unwrap_or(usize::MAX);
        if missed == 0 {
            return Step::Nothing;
        }
        if !std::mem::replace(&mut self.told, true) {
            return Step::Tell;
        }
        if now < self.not_before || free < missed.min(limit / 8).max(1) {
            return Step::Nothing;
        }
        *self = Room { repaired: refused, told: false, not_before: now + APART_MS };
        Step::Repair
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_fetched_once_it_fits() {
        let mut r = Room::default();
        assert_eq!(r.look(0, 0, 0, 80), Step::Nothing);
        assert_eq!((r.look(1, 5, 0, 80), r.look(2, 5, 4, 80)), (Step::Tell, Step::Nothing));
        assert_eq!((r.look(3, 5, 5, 80), r.look(4, 5, 80, 80)), (Step::Repair, Step::Nothing));
        // An eighth is enough, whatever has been refused meanwhile, and not at once.
        assert_eq!((r.look(5, 500, 10, 80), r.look(6, 500, 10, 80)), (Step::Tell, Step::Nothing));
        assert_eq!((r.look(10_003, 500, 9, 80), r.look(10_003, 500, 10, 80)), (Step::Nothing, Step::Repair));
    }
}
