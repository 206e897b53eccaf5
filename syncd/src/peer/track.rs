//! What the receiver knows about the peer's numbers, and when it acknowledges (sync-protocol.md §5.1.3).

use crate::peer::clock::Millis;
use crate::peer::entry::Range;
use zct_wire::peer::header::after;

/// An open range is acknowledged after this time, however busy the node is.
const ACK_AFTER_MS: Millis = 1000;
/// If for this long all numbers lie before the expected one, the numbering has changed without a HELLO, or a
/// forged message has moved the expected number ahead. The original would wait for the numbers to come round.
const LOST_TRACK_MS: Millis = 3000;

/// The position of a message in the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is the first of all, or the expected one.
    InOrder,
    /// It comes after this gap.
    Gap(Range),
    /// It has been seen already, or is too late.
    Before,
    /// Too many numbers were too low: the sequence starts again with this one.
    NewRow,
}

/// The receiver's state in FT-FW.
#[derive(Debug)]
pub(crate) struct Tracker {
    last: Option<u32>,
    open: Option<(u32, Millis)>,
    window: u32,
    size: u32,
    before_since: Option<Millis>,
}

impl Tracker {
    /// Starts without any number; `size` is ACKWindowSize.
    pub(crate) fn new(size: u32) -> Self {
        Tracker { last: None, open: None, window: size, size, before_since: None }
    }

    /// The last number that was accepted.
    pub(crate) fn last(&self) -> Option<u32> {
        self.last
    }

    /// The next number is the first of all.
    pub(crate) fn forget(&mut self) {
        (self.last, self.open, self.before_since) = (None, None, None);
    }

    /// Classifies a number without accepting it.
    pub(crate) fn look(&mut self, now: Millis, seq: u32) -> Seen {
        let Some(last) = self.last else { return Seen::InOrder };
        let next = last.wrapping_add(1);
        if seq == next {
            return Seen::InOrder;
        }
        if after(seq, next) {
            return Seen::Gap((next, seq.wrapping_sub(1)));
        }
        let since = *self.before_since.get_or_insert(now);
        if now.saturating_sub(since) >= LOST_TRACK_MS { Seen::NewRow } else { Seen::Before }
    }

    /// Accepts a number, in order or not. Returns the range to be acknowledged if the window is used up or,
    /// after a gap, what was received before it. `may_answer` is false where a used-up window has to wait.
    pub(crate) fn accept(
        &mut self,
        now: Millis,
        seq: u32,
        across_gap: bool,
        may_answer: bool,
    ) -> Option<Range> {
        let before_gap = if across_gap { self.close() } else { None };
        if across_gap {
            self.window = self.size;
        }
        self.last = Some(seq);
        self.before_since = None;
        let (from, _) = *self.open.get_or_insert((seq, now));
        self.window = self.window.saturating_sub(1);
        if before_gap.is_some() || self.window > 0 || !may_answer {
            return before_gap;
        }
        self.window = self.size;
        self.open = None;
        Some((from, seq))
    }

    /// Skips the expected number, whose message makes no sense, so that it is not asked for again and again.
    pub(crate) fn skip(&mut self, seq: u32) {
        if self.last.is_some_and(|last| seq == last.wrapping_add(1)) {
            self.last = Some(seq);
        }
    }

    /// Closes the open range and returns it. The window is not restarted: after an acknowledgement by the
    /// timer the next one by the window comes early, as from the original.
    pub(crate) fn close(&mut self) -> Option<Range> {
        let (from, _) = self.open.take()?;
        Some((from, self.last?))
    }

    /// True when the open range has waited long enough to be acknowledged.
    pub(crate) fn ack_is_due(&self, now: Millis) -> bool {
        self.ack_due().is_some_and(|due| due <= now)
    }

    /// When the open range has to be acknowledged.
    pub(crate) fn ack_due(&self) -> Option<Millis> {
        self.open.map(|(_, since)| since + ACK_AFTER_MS)
    }

    /// True when the number is in the open range, and so will be acknowledged with it.
    pub(crate) fn will_acknowledge(&self, seq: u32) -> bool {
        match (self.open, self.last) {
            (Some((from, _)), Some(last)) => !after(from, seq) && !after(seq, last),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classifies and accepts `seq`, as the machine does.
    fn feed(t: &mut Tracker, now: Millis, seq: u32) -> (Seen, Option<Range>) {
        let seen = t.look(now, seq);
        match seen {
            Seen::Before => (seen, None),
            Seen::Gap(_) | Seen::NewRow => (seen, t.accept(now, seq, true, true)),
            Seen::InOrder => (seen, t.accept(now, seq, false, true)),
        }
    }

    #[test]
    fn acknowledges_by_window() {
        let mut t = Tracker::new(3);
        assert_eq!(feed(&mut t, 0, 10), (Seen::InOrder, None));
        assert_eq!(feed(&mut t, 0, 11), (Seen::InOrder, None));
        assert_eq!(feed(&mut t, 0, 12), (Seen::InOrder, Some((10, 12))));
        assert_eq!(feed(&mut t, 0, 13), (Seen::InOrder, None));
        assert_eq!(t.close(), Some((13, 13)));
        assert_eq!(t.close(), None);
        // Closing has not restarted the window: two more make three.
        assert_eq!(feed(&mut t, 0, 14), (Seen::InOrder, None));
        assert_eq!(feed(&mut t, 0, 15), (Seen::InOrder, Some((14, 15))));
    }

    /// The trace of sync-protocol.md §5.1.4: 856 received, 857 to 863 lost, 864 arrives.
    #[test]
    fn a_gap_acknowledges_what_came_before_it() {
        let mut t = Tracker::new(300);
        feed(&mut t, 0, 856);
        assert_eq!(feed(&mut t, 0, 864), (Seen::Gap((857, 863)), Some((856, 856))));
        assert_eq!(feed(&mut t, 0, 860), (Seen::Before, None));
        assert_eq!(feed(&mut t, 0, 865), (Seen::InOrder, None));
        assert_eq!(t.close(), Some((864, 865)));
    }

    #[test]
    fn the_numbers_wrap() {
        let mut t = Tracker::new(3);
        feed(&mut t, 0, u32::MAX - 1);
        assert_eq!(feed(&mut t, 0, u32::MAX), (Seen::InOrder, None));
        assert_eq!(feed(&mut t, 0, 0), (Seen::InOrder, Some((u32::MAX - 1, 0))));
        assert_eq!(feed(&mut t, 0, 2), (Seen::Gap((1, 1)), None));
        assert!(t.will_acknowledge(2) && !t.will_acknowledge(1) && !t.will_acknowledge(3));
    }

    #[test]
    fn senseless_numbers_are_skipped_only_in_their_turn() {
        let mut t = Tracker::new(3);
        t.skip(7);
        assert_eq!(t.last(), None);
        feed(&mut t, 0, 7);
        t.skip(9);
        assert_eq!(t.last(), Some(7));
        t.skip(8);
        assert_eq!(feed(&mut t, 0, 9), (Seen::InOrder, None));
    }

    #[test]
    fn an_old_row_that_goes_on_is_a_new_row() {
        let mut t = Tracker::new(300);
        feed(&mut t, 0, 1_000_000);
        assert_eq!(feed(&mut t, 0, 5).0, Seen::Before);
        assert_eq!(feed(&mut t, 2999, 6).0, Seen::Before);
        assert_eq!(feed(&mut t, 3000, 7).0, Seen::NewRow);
        assert_eq!(feed(&mut t, 3001, 8).0, Seen::InOrder);
        // Occasional late duplicates do not make a sequence.
        assert_eq!(feed(&mut t, 10_000, 7).0, Seen::Before);
        assert_eq!(feed(&mut t, 20_000, 9).0, Seen::InOrder);
        assert_eq!(feed(&mut t, 30_000, 8).0, Seen::Before);
    }

    #[test]
    fn acknowledgements_come_due_one_second_after_the_range_opens() {
        let mut t = Tracker::new(300);
        feed(&mut t, 500, 1);
        feed(&mut t, 1400, 2);
        assert!(!t.ack_is_due(1499) && t.ack_is_due(1500));
        t.close();
        assert_eq!(t.ack_due(), None);
    }
}
