//! Rests between turns while events or the peer's datagrams come fast, so that one turn serves many, and one
//! datagram tells the peer of many. In real time a daemon would otherwise be woken for each of them.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};
use zct_engine::Pace;
use zct_engine::pace::{self, Speed};

/// How many datagrams of the peer during one rest make it worthwhile. More than that are a bulk: to rest
/// would delay its acknowledgements and so the bulk itself, and could fill the receive buffer.
const DATAGRAMS: RangeInclusive<u64> = 4..=24;
/// This many have to fit the receive buffers of the links while they come fast: a turn can be late.
pub(super) const ROOM: usize = 2 * *DATAGRAMS.end() as usize;

/// How fast events and datagrams have come.
#[derive(Debug)]
pub(super) struct Rest {
    events: Pace,
    datagrams: Pace,
}

impl Rest {
    pub(super) fn new(now: Instant) -> Rest {
        Rest { events: Pace::new(now), datagrams: Pace::between(DATAGRAMS, now) }
    }

    /// How long to rest after a turn that ended at `now` and left nothing to read; `events` and `datagrams`
    /// are how many have come in all. `links_hold` says whether [`ROOM`] datagrams can wait.
    pub(super) fn due(
        &mut self,
        now: Instant,
        events: u64,
        datagrams: u64,
        links_hold: impl FnOnce() -> bool,
    ) -> Option<Duration> {
        let speeds = [self.events.speed(events, now), self.datagrams.speed(datagrams, now)];
        let safe = match speeds[1] {
            Speed::Slow => true,
            Speed::Fast => links_hold(),
            Speed::Flood => false,
        };
        (safe && speeds.contains(&Speed::Fast)).then_some(pace::REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer after one rest with this many events and datagrams.
    fn after(events: u64, datagrams: u64, holds: bool) -> bool {
        let start = Instant::now();
        Rest::new(start).due(start + pace::REST, events, datagrams, || holds).is_some()
    }

    #[test]
    fn it_rests_while_either_is_fast_and_what_waits_fits() {
        assert!(!after(7, 3, true) && after(8, 0, false) && after(8, 3, false));
        assert!(after(0, 4, true) && !after(0, 4, false) && !after(8, 4, false) && after(300, 16, true));
        // A bulk of the peer is not held up.
        assert!(!after(0, 25, true) && !after(300, 25, true));
    }
}
