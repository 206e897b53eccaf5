//! Rest between turns: while messages come fast, one wake-up is enough for many of them.
//!
//! A program that sleeps in the kernel until something arrives is woken for the first message, and has read
//! everything before the next one is there. At 300,000 events a second that is a wake-up, an empty receive
//! call and a write for every dozen events, which costs more than the events themselves.

use crate::events::EVENT_BYTES;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// The longest time messages are left unread, which is also the most they can be late.
pub const REST: Duration = Duration::from_micros(500);
/// The number of messages during one rest that makes it worthwhile: 16,000 a second.
const PLENTY: u64 = 8;
/// With a receive buffer smaller than this, in bytes as the kernel counts them, do not rest: it could
/// overflow meanwhile.
pub const ROOM: usize = 512 << 10;

// The fastest storms seen make 300 events in one rest.
const _: () = assert!(ROOM / EVENT_BYTES > 400);

/// How fast messages come, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Each deserves its own wake-up.
    Slow,
    /// It pays to let them gather.
    Fast,
    /// They come faster than [`Pace::between`] allows: they gather by themselves, and fill their buffer.
    Flood,
}

/// Decides after each turn whether to rest before the next one.
///
/// # Allocation
/// None.
#[derive(Debug)]
pub struct Pace {
    since: Instant,
    /// How many messages had been handled at `since`.
    counted: u64,
    /// The numbers during one rest that are fast.
    fast: RangeInclusive<u64>,
    speed: Speed,
}

impl Pace {
    /// For events: starts at `now`, before the first one. However fast they come, it pays to rest.
    pub fn new(now: Instant) -> Pace {
        Pace::between(PLENTY..=u64::MAX, now)
    }

    /// The same for other messages. `fast` says how many of them during one rest count as fast; more are a
    /// flood.
    pub fn between(fast: RangeInclusive<u64>, now: Instant) -> Pace {
        Pace { since: now, counted: 0, fast, speed: Speed::Slow }
    }

    /// How long to leave new messages unread, after a turn that ended at `now` with nothing left to read.
    /// `messages` is the number handled since the beginning. `None` when they do not come [`Speed::Fast`].
    pub fn rest(&mut self, messages: u64, now: Instant) -> Option<Duration> {
        (self.speed(messages, now) == Speed::Fast).then_some(REST)
    }

    /// How fast they have come by such a turn.
    pub fn speed(&mut self, messages: u64, now: Instant) -> Speed {
        let passed = now.saturating_duration_since(self.since);
        if passed >= REST {
            let came = u128::from(messages.wrapping_sub(self.counted));
            let in_a_rest = |n: u64| u128::from(n) * passed.as_micros() / REST.as_micros();
            self.speed = match came {
                n if n < in_a_rest(*self.fast.start()) => Speed::Slow,
                n if n <= in_a_rest(*self.fast.end()) => Speed::Fast,
                _ => Speed::Flood,
            };
            (self.since, self.counted) = (now, messages);
        }
        self.speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `rate` messages a millisecond for `ms` turns of a millisecond; the last answer.
    fn run(pace: &mut Pace, now: &mut Instant, total: &mut u64, rate: u64, ms: u32) -> Option<Duration> {
        let mut last = None;
        for _ in 0..ms {
            *now += Duration::from_millis(1);
            *total += rate;
            last = pace.rest(*total, *now);
        }
        last
    }

    #[test]
    fn it_rests_while_messages_come_fast_and_only_then() {
        let mut now = Instant::now();
        let (mut pace, mut total) = (Pace::new(now), 0);
        assert_eq!(run(&mut pace, &mut now, &mut total, 1, 10), None);
        assert_eq!(run(&mut pace, &mut now, &mut total, 15, 10), None);
        assert_eq!(run(&mut pace, &mut now, &mut total, 16, 1), Some(REST));
        assert_eq!(run(&mut pace, &mut now, &mut total, 300, 10), Some(REST));
        assert_eq!(run(&mut pace, &mut now, &mut total, 2, 1), None);
    }

    #[test]
    fn a_burst_after_silence_is_not_a_storm_yet() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        now += Duration::from_secs(10);
        assert_eq!(pace.rest(64, now), None);
        // The answer stays until there is enough time to judge by.
        assert_eq!(pace.rest(128, now + REST / 2), None);
        assert_eq!(pace.rest(192, now + REST), Some(REST));
        assert_eq!(pace.rest(192, now + REST + REST / 2), Some(REST));
        assert_eq!(pace.rest(192, now + REST * 2), None);
    }

    #[test]
    fn more_than_may_gather_is_a_flood() {
        let start = Instant::now();
        let mut pace = Pace::between(4..=24, start);
        for (rest, total, speed) in
            [(1, 3, Speed::Slow), (2, 7, Speed::Fast), (3, 31, Speed::Fast), (4, 56, Speed::Flood)]
        {
            assert_eq!(pace.speed(total, start + REST * rest), speed, "{total}");
        }
        // Ten rests have room for ten times as many.
        assert_eq!(pace.speed(56 + 240, start + REST * 14), Speed::Fast);
        assert_eq!(pace.rest(56 + 240 + 25, start + REST * 15), None);
    }
}
