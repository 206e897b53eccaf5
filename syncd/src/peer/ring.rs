//! What has been sent and not been acknowledged, by sequence number.

use crate::peer::entry::Sent;
use std::collections::VecDeque;
use std::ops::Range;
use zct_wire::peer::header::after;

/// The resend queue of FT-FW (sync-protocol.md §5.1.1), oldest first.
///
/// An entry counts only while its record says that it was last sent under this number: what is sent
/// again leaves its old entry behind, to be dropped when it comes to the front. `live` is the number of
/// entries that count. [`Places`](crate::peer::place::Places) knows which do, and is the only one to
/// change anything here.
#[derive(Debug)]
pub(crate) struct Ring {
    entries: VecDeque<Option<Sent>>,
    // The sequence numbers of all entries, so that they can be searched, even those that were taken out.
    seqs: VecDeque<u32>,
    live: usize,
}

impl Ring {
    pub(crate) fn new() -> Self {
        Ring { entries: VecDeque::new(), seqs: VecDeque::new(), live: 0 }
    }

    /// Number of messages in flight.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// True when fewer than half of the entries count, so that it is time to trim.
    pub(crate) fn is_sparse(&self) -> bool {
        self.entries.len() > 2 * self.live + 1024
    }

    /// Number of entries, including those that no longer count.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// Appends what has just been sent; numbers ascend.
    pub(crate) fn push(&mut self, sent: Sent) {
        self.entries.push_back(Some(sent));
        self.seqs.push_back(sent.seq);
        self.live += 1;
    }

    /// An entry that stays no longer counts, because its record was queued again or removed.
    pub(crate) fn left_behind(&mut self) {
        // `Places::check` compares this count with the entries that count. In a release a count that is too
        // low lets a few messages more into the queue; below zero it would let none.
        debug_assert!(self.live > 0, "fewer in flight than none");
        self.live = self.live.saturating_sub(1);
    }

    /// The positions of the numbers from `from` to `to`.
    pub(crate) fn positions(&self, from: u32, to: u32) -> Range<usize> {
        let start = self.seqs.partition_point(|s| after(from, *s));
        let end = self.seqs.partition_point(|s| !after(*s, to));
        start..end.max(start)
    }

    /// The entry at a position, unless it was taken out.
    pub(crate) fn get(&self, at: usize) -> Option<Sent> {
        self.entries.get(at).copied().flatten()
    }

    /// Takes out an entry, and returns it if it counts.
    pub(crate) fn take(&mut self, at: usize, counts: impl FnOnce(&Sent) -> bool) -> Option<Sent> {
        let sent = self.entries.get_mut(at)?.take().filter(counts)?;
        self.left_behind();
        Some(sent)
    }

    /// Drops entries from the front that were taken out or do not count.
    pub(crate) fn trim(&mut self, counts: impl Fn(&Sent) -> bool) {
        while self.entries.front().is_some_and(|e| e.as_ref().is_none_or(|s| !counts(s))) {
            self.entries.pop_front();
            self.seqs.pop_front();
        }
        // An old entry at the front must not keep everything behind it.
        if self.is_sparse() {
            let kept: Vec<Sent> = self.iter().filter(|s| counts(s)).collect();
            self.seqs = kept.iter().map(|s| s.seq).collect();
            self.entries = kept.into_iter().map(Some).collect();
        }
    }

    /// Takes out the oldest entry that counts, and all before it.
    pub(crate) fn pop(&mut self, counts: impl Fn(&Sent) -> bool) -> Option<Sent> {
        while let Some(entry) = self.entries.pop_front() {
            self.seqs.pop_front();
            if let Some(sent) = entry.filter(&counts) {
                self.left_behind();
                return Some(sent);
            }
        }
        None
    }

    /// Takes out all entries, oldest first.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Sent> {
        self.live = 0;
        self.seqs.clear();
        std::mem::take(&mut self.entries).into_iter().flatten()
    }

    /// All entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Sent> + '_ {
        self.entries.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::entry::{Control, Item};

    fn sent(seq: u32) -> Sent {
        Sent { seq, flags: 0, item: Item::Control(Control::Resync) }
    }

    fn ring(seqs: &[u32]) -> Ring {
        let mut r = Ring::new();
        seqs.iter().for_each(|s| r.push(sent(*s)));
        r
    }

    #[test]
    fn ranges_are_found_between_missing_numbers_and_over_the_wrap() {
        let r = ring(&[u32::MAX - 2, u32::MAX, 0, 3, 4]);
        assert_eq!(r.positions(u32::MAX - 1, 0), 1..3);
        assert_eq!(r.positions(1, 2), 3..3);
        assert_eq!(r.positions(3, 3), 3..4);
        assert_eq!(r.positions(u32::MAX - 500, 500), 0..5);
        assert_eq!(r.positions(400, 500), 5..5);
    }

    #[test]
    fn the_front_is_dropped_when_it_no_longer_counts() {
        let mut r = ring(&[1, 2, 3, 4]);
        assert_eq!(r.take(1, |_| true), Some(sent(2)));
        r.trim(|_| true);
        assert_eq!((r.len(), r.live()), (4, 3));
        r.take(0, |_| true);
        r.trim(|s| s.seq != 3);
        assert_eq!((r.len(), r.iter().next()), (1, Some(sent(4))));
    }

    #[test]
    fn the_oldest_is_found_behind_gaps() {
        let mut r = ring(&[1, 2, 3]);
        r.take(0, |_| true);
        r.take(1, |_| true);
        assert_eq!((r.pop(|_| true), r.pop(|_| true)), (Some(sent(3)), None));
        assert_eq!(r.positions(0, 9), 0..0);
    }

    #[test]
    fn what_does_not_count_is_taken_out_and_not_handed_over() {
        let mut r = ring(&[1, 2, 3]);
        r.left_behind();
        assert_eq!((r.take(0, |_| false), r.live()), (None, 2));
        assert_eq!((r.take(0, |_| true), r.live()), (None, 2));
        r.left_behind();
        assert_eq!((r.pop(|s| s.seq == 3), r.live()), (Some(sent(3)), 0));
    }

    #[test]
    fn one_old_entry_does_not_hold_the_rest() {
        let mut r = ring(&[1]);
        for seq in 2..10_000 {
            r.push(sent(seq));
            r.take(r.len() - 1, |_| true);
            r.trim(|_| true);
        }
        assert!(r.len() <= 1026 + 1, "{}", r.len());
        assert_eq!(r.positions(1, 1), 0..1);
    }
}
