//! What waits to be sent: changes in their order, and what the peer has asked for again.

use crate::peer::clock::Millis;
use crate::peer::entry::{Item, MESSAGE_MIN, Range};
use std::collections::VecDeque;
use zct_wire::peer::header::after;

/// Changes and control messages in the order in which they came up. Everything on it is sent at once when it
/// is due: it is as long as what happened in some milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    since: Option<Millis>,
    urgent: bool,
}

impl Queue {
    /// Appends. Control messages do not wait for company: the peer waits for them.
    pub(crate) fn push(&mut self, now: Millis, item: Item) {
        self.since.get_or_insert(now);
        self.urgent |= matches!(item, Item::Control(_));
        self.items.push_back(item);
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn count(&self, which: impl Fn(&Item) -> bool) -> usize {
        self.items.iter().filter(|i| which(i)).count()
    }

    /// What is there, for a look at the books.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.items.iter().copied()
    }

    /// When it has to be sent.
    pub(crate) fn due(&self, gather: Millis) -> Option<Millis> {
        self.since.map(|since| if self.urgent { since } else { since + gather })
    }

    pub(crate) fn is_due(&self, now: Millis, gather: Millis, room: usize) -> bool {
        self.due(gather).is_some_and(|due| due <= now) || self.items.len() * MESSAGE_MIN >= room.max(1)
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        if self.items.is_empty() {
            self.since = None;
            self.urgent = false;
            // A burst long ago must not hold its memory for ever.
            if self.items.capacity() > 4096 {
                self.items = VecDeque::new();
            }
        }
        item
    }

    pub(crate) fn put_back(&mut self, now: Millis, item: Item) {
        // What did not fit goes into the next datagram, at once.
        self.since.get_or_insert(now);
        self.urgent = true;
        self.items.push_front(item);
    }

    /// Forgets flows and expectations.
    pub(crate) fn keep_controls(&mut self) {
        self.items.retain(|i| matches!(i, Item::Control(_)));
        if self.items.is_empty() {
            (self.since, self.urgent) = (None, false);
        }
    }
}

/// What a peer's request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The end of the bulk.
    Bulk,
    /// So many entries of the repair queue have been sent.
    Repaired(u64),
}

/// Requests of the peer that are not acknowledged until they are served are limited: the oldest beyond that
/// are never acknowledged, which costs the peer an entry in its resend queue.
const DEFERRED_MAX: usize = 1024;

/// What the peer has asked for again, paced, and its requests that wait to be acknowledged.
///
/// The original serves a request completely before it sends anything else, so that later acknowledgements tell
/// the peer that it has been served (see `resync`). Ours are served slowly, with other messages in between.
/// To give the same guarantee, the number of a request is left out of acknowledgements until it is served.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    items: VecDeque<Item>,
    pushed: u64,
    popped: u64,
    deferred: VecDeque<(u32, Until)>,
}

impl Repair {
    pub(crate) fn push(&mut self, item: Item) {
        self.items.push_back(item);
        self.pushed += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.popped += 1;
        Some(item)
    }

    pub(crate) fn put_back(&mut self, item: Item) {
        self.items.push_front(item);
        self.popped -= 1;
    }

    /// What is there, for a look at the books.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.items.iter().copied()
    }

    pub(crate) fn clear(&mut self) {
        self.popped += self.items.len() as u64;
        self.items.clear();
    }

    /// The peer has started anew and has forgotten what it asked for.
    pub(crate) fn forget_requests(&mut self) {
        self.deferred.clear();
    }

    /// The request with this number is served when everything now in the repair queue has been sent, or when
    /// the bulk ends.
    pub(crate) fn defer(&mut self, seq: u32, bulk: bool) {
        if !bulk && self.items.is_empty() {
            return;
        }
        let until = if bulk { Until::Bulk } else { Until::Repaired(self.pushed) };
        if self.deferred.len() >= DEFERRED_MAX {
            self.deferred.pop_front();
        }
        self.deferred.push_back((seq, until));
    }

    /// Takes out the requests that are served by now.
    pub(crate) fn served(&mut self, bulk_is_running: bool) -> Vec<u32> {
        if self.deferred.is_empty() {
            return Vec::new();
        }
        let popped = self.popped;
        let is_served = |until: Until| match until {
            Until::Bulk => !bulk_is_running,
            Until::Repaired(n) => popped >= n,
        };
        let served = self.deferred.iter().filter(|(_, u)| is_served(*u)).map(|(seq, _)| *seq).collect();
        self.deferred.retain(|(_, until)| !is_served(*until));
        served
    }

    /// Cuts a range into pieces that leave out what is deferred.
    pub(crate) fn pieces(&self, (from, to): Range, mut piece: impl FnMut(Range)) {
        let mut start = from;
        for (seq, _) in &self.deferred {
            if after(start, *seq) || after(*seq, to) {
                continue;
            }
            if start != *seq {
                piece((start, seq.wrapping_sub(1)));
            }
            start = seq.wrapping_add(1);
        }
        if !after(start, to) {
            piece((start, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::entry::Control;
    use crate::store::FlowId;

    fn pieces(r: &Repair, range: Range) -> Vec<Range> {
        let mut out = Vec::new();
        r.pieces(range, |p| out.push(p));
        out
    }

    const CONTROL: Item = Item::Control(Control::Resync);

    fn flow(n: u32) -> Item {
        Item::Flow(FlowId::from_bits(n))
    }

    #[test]
    fn changes_wait_for_company_and_control_does_not() {
        let mut q = Queue::default();
        q.push(100, flow(1));
        q.push(105, flow(2));
        assert!(!q.is_due(109, 10, 1471) && q.is_due(110, 10, 1471));
        assert!(q.is_due(105, 10, 2 * MESSAGE_MIN));
        q.push(105, CONTROL);
        assert!(q.is_due(105, 10, 1471));
        q.pop();
        q.pop();
        q.pop();
        assert!(!q.is_due(10_000, 10, 1471));
    }

    #[test]
    fn requests_are_acknowledged_when_they_are_served() {
        let mut r = Repair::default();
        r.push(flow(1));
        r.push(flow(2));
        r.defer(11, false);
        r.defer(13, true);
        assert_eq!(pieces(&r, (10, 14)), [(10, 10), (12, 12), (14, 14)]);
        assert_eq!(pieces(&r, (11, 11)), []);
        assert_eq!(pieces(&r, (12, 12)), [(12, 12)]);
        r.pop();
        assert_eq!(r.served(true), []);
        r.pop();
        assert_eq!(r.served(true), [11]);
        assert_eq!(pieces(&r, (10, 14)), [(10, 12), (14, 14)]);
        assert_eq!(r.served(false), [13]);
        // With nothing to repair there is nothing to wait for.
        r.defer(20, false);
        assert_eq!(pieces(&r, (20, 20)), [(20, 20)]);
    }

    #[test]
    fn pieces_over_the_wrap_of_the_numbers() {
        let mut r = Repair::default();
        r.push(flow(1));
        r.defer(u32::MAX, false);
        r.defer(0, true);
        assert_eq!(pieces(&r, (u32::MAX - 1, 2)), [(u32::MAX - 1, u32::MAX - 1), (1, 2)]);
    }
}
