//! How fast bulks go: as fast as they are acknowledged, if they are, and never slower than a trickle.

use crate::peer::clock::Millis;
use crate::peer::mode::{Ftfw, Mode};

/// How fast the daemon sends what could also wait: bulks, and repairs of what was lost in bulk.
///
/// The defaults suit a peer with the usual receive buffer of 212,992 bytes, which holds about 90 full
/// datagrams, that reads 14,000 of them per second, as the original does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The lower limit on unacknowledged messages. It must exceed the peer's ACKWindowSize, or
    /// acknowledgements come only by the peer's timer. 0 means one and a half times our own window.
    pub window_min: usize,
    /// The upper limit on unacknowledged messages. 0 means four times our own window, but no more than 1200
    /// (63 full datagrams) unless the lower limit is more.
    pub window_max: usize,
    /// Datagrams per second that are sent whatever the window says. This gets a transfer through if
    /// acknowledgements are rare, so it must be a rate that no receiver has trouble with.
    pub trickle_per_s: u32,
    /// Datagrams per second in modes without acknowledgements.
    pub unacknowledged_per_s: u32,
    /// Datagrams that may directly follow one another in modes without acknowledgements.
    pub burst: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { window_min: 0, window_max: 0, trickle_per_s: 1000, unacknowledged_per_s: 8000, burst: 32 }
    }
}

/// Says when the next datagram of a bulk may go.
///
/// In FT-FW there is a window of unacknowledged messages, which grows with acknowledgements and halves when
/// the peer reports a loss. Whatever the window says, a slow trickle always goes: a busy original
/// acknowledges only when its own window is used up, and if that is larger than ours, nothing would ever
/// move. The other modes have a fixed rate.
#[derive(Debug)]
pub(crate) struct Pacer {
    window: usize,
    min: usize,
    max: usize,
    // The window grows steeply up to here.
    threshold: usize,
    windowed: bool,
    per_s: u64,
    burst: u64,
    // The budget, in thousandths of a datagram.
    tokens: u64,
    filled: Millis,
}

const DATAGRAM: u64 = 1000;
/// How often to check whether acknowledgements have stopped.
const HELD_MS: Millis = 1000;

impl Pacer {
    pub(crate) fn new(mode: &Mode, pace: &Pace) -> Self {
        let (window, (min, max), windowed, per_s, burst) = match mode {
            Mode::Ftfw(m) => {
                let (min, max) = window(m, pace);
                let start = (2 * m.ack_window_size as usize).clamp(min, max);
                (start, (min, max), true, pace.trickle_per_s, 4)
            }
            Mode::Alarm(_) | Mode::Notrack(_) => (0, (0, 0), false, pace.unacknowledged_per_s, pace.burst),
        };
        Pacer {
            window,
            min,
            max,
            threshold: max,
            windowed,
            per_s: per_s.max(1).into(),
            burst: u64::from(burst.max(1)) * DATAGRAM,
            tokens: 0,
            filled: 0,
        }
    }

    /// The number of messages that may be in flight.
    #[cfg(test)]
    fn window(&self) -> usize {
        self.window
    }

    fn fill(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.filled);
        self.filled = now;
        // A datagram costs a thousand, and a second has a thousand milliseconds.
        self.tokens = passed.saturating_mul(self.per_s).saturating_add(self.tokens).min(self.burst);
    }

    /// True when one more datagram may go while `in_flight` messages are unacknowledged. It spends the
    /// budget, so call it once per datagram. `trickle` is false if there is no room for anything
    /// beyond the window.
    pub(crate) fn take(&mut self, now: Millis, in_flight: usize, trickle: bool) -> bool {
        self.fill(now);
        if self.windowed && in_flight < self.window {
            return true;
        }
        if trickle && self.tokens >= DATAGRAM {
            self.tokens -= DATAGRAM;
            return true;
        }
        false
    }

    /// When [`Pacer::take`] may return true if nothing is acknowledged earlier.
    pub(crate) fn next(&self, now: Millis, in_flight: usize, trickle: bool) -> Millis {
        if self.windowed && in_flight < self.window {
            return now;
        }
        if !trickle {
            return now + HELD_MS;
        }
        let missing = DATAGRAM.saturating_sub(self.tokens);
        (self.filled + missing.div_ceil(self.per_s)).max(now)
    }

    /// The peer has acknowledged `messages`.
    pub(crate) fn acknowledged(&mut self, messages: usize) {
        let grow = if self.window < self.threshold { messages } else { messages / 16 };
        self.window = (self.window + grow).min(self.max);
    }

    /// The peer has reported a loss.
    pub(crate) fn lost(&mut self) {
        self.window = (self.window / 2).max(self.min);
        self.threshold = self.window;
    }
}

/// The lower and the upper limit on messages in flight.
fn window(ftfw: &Ftfw, pace: &Pace) -> (usize, usize) {
    let ack = ftfw.ack_window_size as usize;
    let min = if pace.window_min == 0 { ack + ack / 2 } else { pace.window_min };
    let max = if pace.window_max == 0 { (4 * ack).min(1200) } else { pace.window_max };
    // Messages in flight must fit the resend queue, with room for those that events add.
    let most = (ftfw.resend_queue_size as usize / 2).max(1);
    (min.min(most), max.max(min).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::mode::Notrack;

    #[test]
    fn windows_exceed_the_acknowledgement_window_and_fit_the_queue() {
        let pace = Pace::default();
        assert_eq!(window(&Ftfw::DEFAULT, &pace), (450, 1200));
        let of = |ack_window_size, resend_queue_size| {
            window(&Ftfw { ack_window_size, resend_queue_size, ..Ftfw::DEFAULT }, &pace)
        };
        assert_eq!(of(20, 1000), (30, 80));
        assert_eq!(of(5000, 131_072), (7500, 7500));
        assert_eq!(of(300, 300), (150, 150));
    }

    fn ftfw() -> Pacer {
        Pacer::new(&Mode::default(), &Pace::default())
    }

    #[test]
    fn the_window_grows_with_acknowledgements_and_halves_with_loss() {
        let mut p = ftfw();
        assert_eq!(p.window(), 600);
        p.acknowledged(300);
        p.acknowledged(500);
        assert_eq!(p.window(), 1200);
        p.lost();
        assert_eq!(p.window(), 600);
        p.lost();
        assert_eq!(p.window(), 450);
        p.acknowledged(300);
        assert_eq!(p.window(), 468);
        assert!(p.take(0, 467, true));
    }

    #[test]
    fn a_closed_window_lets_a_trickle_through() {
        let mut p = ftfw();
        let sent = (0..1000).filter(|ms| p.take(*ms, 1_000_000, true)).count();
        assert!((995..=1004).contains(&sent), "{sent}");
        // No more is saved up than a short burst.
        let burst = (0..100).filter(|_| p.take(60_000, 1_000_000, true)).count();
        assert_eq!(burst, 4);
        assert_eq!(p.next(60_000, 1_000_000, true), 60_001);
        assert_eq!(p.next(60_000, 0, true), 60_000);
        assert!(!p.take(70_000, 1_000_000, false) && p.take(70_000, 0, false));
    }

    #[test]
    fn without_acknowledgements_it_is_a_rate() {
        let mut p = Pacer::new(&Mode::Notrack(Notrack::default()), &Pace::default());
        let sent: usize = (0..1000).map(|ms| (0..100).filter(|_| p.take(ms, 0, true)).count()).sum();
        assert!((7990..=8040).contains(&sent), "{sent}");
    }
}
