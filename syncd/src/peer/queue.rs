//! What waits to be sent: changes in their order, and what the peer has asked for again.

use crate::peer::clock::Millis;
use crate::peer::entry::{Item, MESSAGE_MIN, Range};
use std::collections::VecDeque;
use zct_wire::peer::header::after;

/// Changes and control messages in the order in which they arose. Everything on this queue is sent at once
/// when it is due, so it is only as long as what happens within some milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    since: Option<Millis>,
    urgent: bool,
}

impl Queue {
    /// Appends an item. Control messages do not wait for others, since the peer waits for them.
    pub(crate) fn push(&mut self, now: Millis, item: Item) {
        self.since.get_or_insert(now);
        self.urgent |= matches!(item, Item::Control(_));
        self.items.push_back(item);
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Since when something has been waiting.
    pub(crate) fn since(&self) -> Option<Millis> {
        self.since
    }

    pub(crate) fn count(&self, which: impl Fn(&Item) -> bool) -> usize {
        self.items.iter().filter(|i| which(i)).count()
    }

    /// What is there, for a look at the books.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.items.iter().copied()
    }

    /// When the queue has to be sent.
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
            // A burst long ago must not keep its memory forever.
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

    /// Drops flows and expectations, and keeps control messages.
    pub(crate) fn keep_controls(&mut self) {
        self.items.retain(|i| matches!(i, Item::Control(_)));
        if self.items.is_empty() {
            (self.since, self.urgent) = (None, false);
        }
    }
}

/// What has to happen before a peer's request counts as served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The bulk has to end.
    Bulk,
    /// This many entries of the repair queue have to be sent.
    Repaired(u64),
}

/// The most requests of the peer whose acknowledgement waits until they are served. The oldest beyond that
/// are never acknowledged, which costs the peer an entry in its resend queue.
const DEFERRED_MAX: usize = 1024;

/// What the peer has asked for again, paced, and its requests that wait to be acknowledged.
///
/// The original serves a request completely before it sends anything else, so that later acknowledgements
/// tell the peer that the request has been served (see `resync`). Ours are served slowly, with other messages
/// in between. To give the same guarantee, the number of a request is left out of acknowledgements until it
/// has been served.
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

    /// How many items have been put on the queue so far, and how many have left it.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    pub(crate) fn popped(&self) -> u64 {
        self.popped
    }

    /// The items on the queue, for checks.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.items.iter().copied()
    }

    pub(crate) fn clear(&mut self) {
        self.popped += self.items.len() as u64;
        self.items.clear();
    }

    /// The peer has restarted and has forgotten what it asked for.
    pub(crate) fn forget_requests(&mut self) {
        self.deferred.clear();
    }

    /// The request with this number is served when everything that is now on the repair queue has been sent,
    /// or when the bulk ends.
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

    /// Takes out the requests that have been served by now.
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

    /// Cuts a range into pieces that leave out deferred numbers.
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
