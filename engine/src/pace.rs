//! Rest between turns: while messages come fast, one wake-up is enough for many of them.
//!
//! A program that sleeps in the kernel until something arrives is woken for the first message, and has read
//! everything before the next one is there. At 300,000 events a second that is a wake-up, an empty receive
//! call and a write for every dozen events, which costs more than the events themselves.

use crate::events::EVENT_BYTES;
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

/// Decides after each turn whether to rest before the next one.
///
/// # Allocation
/// None.
#[derive(Debug)]
pub struct Pace {
    since: Instant,
    /// How many messages had been handled at `since`.
    counted: u64,
    fast: bool,
}

impl Pace {
    /// Starts at `now`, before the first message.
    pub fn new(now: Instant) -> Pace {
        Pace { since: now, counted: 0, fast: false }
    }

    /// How long to leave new messages unread, after a turn that ended at `now` with nothing left to read.
    /// `messages` is the number handled since the beginning. `None` when they arrive so slowly that each
    /// deserves its own wake-up.
    pub fn rest(&mut self, messages: u64, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.since);
        if passed >= REST {
            let came = messages.wrapping_sub(self.counted);
            let needed = u128::from(PLENTY) * passed.as_micros() / REST.as_micros();
            self.fast = u128::from(came) >= needed;
            (self.since, self.counted) = (now, messages);
        }
        self.fast.then_some(REST)
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
}
