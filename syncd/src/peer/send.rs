//! What goes out: the queues, and filling a datagram from them (spec/sync-protocol.md §4.1, §5.1.1).

use crate::peer::bulk::Next;
use crate::peer::config::{Millis, Mode};
use crate::peer::machine::{Caches, IDLE_MS, Machine};
use crate::peer::mark;
use crate::peer::ring::{Control, Item, Sent};
use crate::peer::track::Range;
use crate::store::{ExpectId, FlowId, Meta};
use std::collections::VecDeque;
use zct_wire::build::Full;
use zct_wire::peer::header::{after, encode_control};
use zct_wire::peer::{Kind, flag};

/// Bytes that a waiting change is taken to need, to tell when a datagram is full: less than any flow does.
const MESSAGE_MIN: usize = 52;

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

    /// When it has to be sent.
    pub(crate) fn due(&self, gather: Millis) -> Option<Millis> {
        self.since.map(|since| if self.urgent { since } else { since + gather })
    }

    fn is_due(&self, now: Millis, gather: Millis, room: usize) -> bool {
        self.due(gather).is_some_and(|due| due <= now) || self.items.len() * MESSAGE_MIN >= room.max(1)
    }

    fn pop(&mut self) -> Option<Item> {
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

    fn put_back(&mut self, now: Millis, item: Item) {
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

/// A peer that has acknowledged nothing for so long does not acknowledge.
const DEAF_MS: Millis = 2500;

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

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.popped += 1;
        Some(item)
    }

    fn put_back(&mut self, item: Item) {
        self.items.push_front(item);
        self.popped -= 1;
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
    fn served(&mut self, bulk_is_running: bool) -> Vec<u32> {
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
    fn pieces(&self, (from, to): Range) -> Vec<Range> {
        let (mut start, mut out) = (from, Vec::new());
        for (seq, _) in &self.deferred {
            if after(start, *seq) || after(*seq, to) {
                continue;
            }
            if start != *seq {
                out.push((start, seq.wrapping_sub(1)));
            }
            start = seq.wrapping_add(1);
        }
        if !after(start, to) {
            out.push((start, to));
        }
        out
    }
}

/// A datagram that is being filled.
struct Datagram<'b> {
    buf: &'b mut [u8],
    len: usize,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Sent,
    /// It does not exist any more, or cannot be sent at all.
    Gone,
    /// There is no room for it in this datagram.
    Full,
}

impl Machine {
    /// Acknowledges a range, but for requests that are not served yet.
    pub(crate) fn acknowledge(&mut self, now: Millis, range: Range) {
        for (from, to) in self.repair.pieces(range) {
            self.queue.push(now, Item::Control(Control::Ack(from, to)));
        }
    }

    /// True when something waits that is sent at a measured pace.
    pub(crate) fn has_paced_work(&self, now: Millis) -> bool {
        let bulk = self.bulk.is_running()
            && (self.bulk_forced || self.config.mode == Mode::Alarm || self.peer_is_there(now));
        self.repair.len() > 0 || bulk
    }

    /// True when a datagram beyond the window finds room in the resend queue, or when the peer does not
    /// acknowledge at all, so that what is in there is of no use.
    pub(crate) fn may_trickle(&self, now: Millis) -> bool {
        let datagram = self.links.room() / MESSAGE_MIN + 1;
        self.ring.live() + datagram <= self.config.resend_queue_size
            || now.saturating_sub(self.last_ack) >= DEAF_MS
    }

    /// Writes the next datagram into the start of `buf` and returns its length, or `None` when nothing is due.
    /// Send it by [`Machine::active_link`]. Over TCP the same bytes go into the stream, whole and in order.
    ///
    /// Call it until it returns `None` or the turn's budget is used up; what is left stays due. Do not call it
    /// while the network takes nothing: changes then collapse in the queue instead of being lost.
    pub fn transmit(&mut self, now: Millis, caches: &mut Caches, buf: &mut [u8]) -> Option<usize> {
        let room = self.links.room().min(buf.len());
        let mut out = Datagram { buf: buf.get_mut(..room)?, len: 0 };
        // The keep-alive of a node that has something to acknowledge is the acknowledgement.
        let idle = self.last_sent + IDLE_MS <= now;
        if self.config.mode == Mode::Ftfw && (idle || self.tracker.ack_is_due(now)) {
            if let Some(range) = self.tracker.close() {
                self.acknowledge(now, range);
            }
        }
        let paced = self.has_paced_work(now) && self.pacer.take(now, self.ring.live(), self.may_trickle(now));
        if paced || self.queue.is_due(now, self.config.gather_ms, room) {
            self.fill_from_queue(now, caches, &mut out);
        }
        if paced && self.queue.len() == 0 {
            self.fill_from_repair(now, caches, &mut out);
            if self.repair.len() == 0 {
                self.fill_from_bulk(now, caches, &mut out);
            }
        }
        self.fill_from_bypass(now, &mut out.buf[..], &mut out.len);
        if out.len == 0 && self.config.mode != Mode::Alarm && idle {
            self.put_control(&mut out, flag::ALIVE, None);
        }
        self.acknowledge_served(now);
        if out.len == 0 {
            return None;
        }
        self.last_sent = now;
        Some(out.len)
    }

    fn fill_from_queue(&mut self, now: Millis, caches: &mut Caches, out: &mut Datagram<'_>) {
        while let Some(item) = self.queue.pop() {
            if self.put(now, item, caches, out) == Put::Full {
                self.queue.put_back(now, item);
                return;
            }
        }
    }

    fn fill_from_repair(&mut self, now: Millis, caches: &mut Caches, out: &mut Datagram<'_>) {
        while let Some(item) = self.repair.pop() {
            if self.put(now, item, caches, out) == Put::Full {
                self.repair.put_back(item);
                return;
            }
        }
    }

    fn fill_from_bulk(&mut self, now: Millis, caches: &mut Caches, out: &mut Datagram<'_>) {
        while self.bulk.is_running() {
            let Some(next) = self.bulk.next(&caches.internal, &caches.internal_expect) else {
                self.bulk_forced = false;
                return;
            };
            // What is queued already goes from there, and what has gone since the request has gone. What was in
            // flight before goes again: the peer may have seen it before it asked.
            let (item, meta) = match next {
                Next::Flow(id) => (Item::Flow(id), caches.internal.meta(id)),
                Next::Expect(id) => (Item::Expect(id), caches.internal_expect.meta(id)),
            };
            let gone = |m: &Meta| m.flags & mark::RING != 0 && !after(self.bulk_since, m.aux);
            let Some(meta) = meta.filter(|m| !gone(m)).and_then(|m| self.claim(m, true)) else { continue };
            match next {
                Next::Flow(id) => caches.internal.set_meta(id, meta),
                Next::Expect(id) => caches.internal_expect.set_meta(id, meta),
            }
            if self.put(now, item, caches, out) == Put::Full {
                // First in the next paced datagram.
                self.repair.push(item);
                return;
            }
        }
    }

    /// A bulk is under way or about to begin.
    pub(crate) fn bulk_is_pending(&self) -> bool {
        self.bulk.is_running() || self.hello.bulk_is_wanted()
    }

    fn acknowledge_served(&mut self, now: Millis) {
        for seq in self.repair.served(self.bulk_is_pending()) {
            if !self.tracker.will_acknowledge(seq) {
                self.queue.push(now, Item::Control(Control::Ack(seq, seq)));
            }
        }
    }

    fn put(&mut self, now: Millis, item: Item, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        match item {
            Item::Flow(id) => self.put_flow(now, id, caches, out),
            Item::Expect(id) => self.put_expect(now, id, caches, out),
            Item::Control(control) => {
                let (flags, range) = match control {
                    Control::Ack(from, to) => (flag::ACK, (from, to)),
                    Control::Nack(from, to) => (flag::NACK, (from, to)),
                    Control::Resync => (flag::RESYNC, (0, 0)),
                };
                let Some((seq, flags)) = self.put_control(out, flags, Some(range)) else { return Put::Full };
                if self.config.mode == Mode::Ftfw {
                    self.keep(Sent { seq, flags, item }, caches);
                }
                Put::Sent
            }
        }
    }

    /// Writes a control message; returns its number and its flags, or `None` when there is no room.
    fn put_control(&mut self, out: &mut Datagram<'_>, flags: u8, range: Option<Range>) -> Option<(u32, u8)> {
        let (seq, flags) = (self.seq, flags | self.greeting_flags());
        out.len += encode_control(&mut out.buf[out.len..], flags, seq, range)?;
        self.numbered();
        Some((seq, flags))
    }

    fn put_flow(&mut self, now: Millis, id: FlowId, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        let Some(meta) = caches.internal.meta(id).filter(|m| m.flags & mark::QUEUED != 0) else {
            return Put::Gone; // removed or sent meanwhile, and perhaps another flow by now
        };
        let Some(flow) = caches.internal.flow(id) else { return Put::Gone };
        let kind = if meta.flags & mark::DEAD != 0 {
            Kind::FlowDelete
        } else if meta.flags & (mark::UPDATED | mark::FRESH) == mark::UPDATED {
            Kind::FlowUpdate
        } else {
            Kind::FlowNew
        };
        let (seq, flags) = (self.seq, self.greeting_flags());
        let mut meta = Meta { flags: meta.flags & !(mark::QUEUED | mark::PACED), ..meta };
        match flow.encode(&mut out.buf[out.len..], kind, flags, seq, self.encode) {
            Ok(len) => out.len += len,
            Err(Full) if out.len > 0 => return Put::Full,
            Err(Full) => {
                // The original would try for ever.
                self.stats.unsendable += 1;
                caches.internal.set_meta(id, meta);
                if meta.flags & mark::DEAD != 0 {
                    caches.internal.remove(id);
                }
                return Put::Gone;
            }
        }
        self.numbered();
        if self.config.mode == Mode::Ftfw {
            (meta.flags, meta.aux) = (meta.flags | mark::RING, seq);
            caches.internal.set_meta(id, meta);
            self.keep(Sent { seq, flags, item: Item::Flow(id) }, caches);
        } else if meta.flags & mark::DEAD != 0 {
            caches.internal.remove(id);
        } else {
            meta.flags &= !mark::FRESH;
            caches.internal.set_meta(id, meta);
            if self.config.mode == Mode::Alarm {
                self.arm_refresh(now, id, caches);
            }
        }
        Put::Sent
    }

    fn put_expect(&mut self, now: Millis, id: ExpectId, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        let Some(meta) = caches.internal_expect.meta(id).filter(|m| m.flags & mark::QUEUED != 0) else {
            return Put::Gone;
        };
        let Some(expect) = caches.internal_expect.get(id) else { return Put::Gone };
        let kind = match meta.flags & (mark::DEAD | mark::UPDATED) {
            0 => Kind::ExpectNew,
            mark::UPDATED => Kind::ExpectUpdate,
            _ => Kind::ExpectDelete,
        };
        let (seq, flags) = (self.seq, self.greeting_flags());
        let mut meta = Meta { flags: meta.flags & !(mark::QUEUED | mark::PACED), ..meta };
        match expect.encode(&mut out.buf[out.len..], kind, flags, seq, self.encode) {
            Ok(len) => out.len += len,
            Err(Full) if out.len > 0 => return Put::Full,
            Err(Full) => {
                self.stats.unsendable += 1;
                caches.internal_expect.set_meta(id, meta);
                if meta.flags & mark::DEAD != 0 {
                    caches.internal_expect.remove(id);
                }
                return Put::Gone;
            }
        }
        self.numbered();
        if self.config.mode == Mode::Ftfw {
            (meta.flags, meta.aux) = (meta.flags | mark::RING, seq);
            caches.internal_expect.set_meta(id, meta);
            self.keep(Sent { seq, flags, item: Item::Expect(id) }, caches);
        } else if meta.flags & mark::DEAD != 0 {
            caches.internal_expect.remove(id);
        } else {
            meta.aux = crate::peer::alarm::tick(now + self.refresh_interval()) as u32 + 1;
            caches.internal_expect.set_meta(id, meta);
        }
        Put::Sent
    }

    pub(crate) fn greeting_flags(&self) -> u8 {
        if self.config.mode == Mode::Ftfw { self.hello.flags() } else { 0 }
    }

    /// A message has been written under the next number.
    pub(crate) fn numbered(&mut self) {
        self.seq = self.seq.wrapping_add(1);
        self.stats.sent += 1;
        self.hello.sent();
    }

    /// True while the resend queue's entry stands for what the flow was last sent as.
    pub(crate) fn counts(caches: &Caches, sent: &Sent) -> bool {
        let current = |m: Meta| m.flags & mark::RING != 0 && m.aux == sent.seq;
        match sent.item {
            Item::Flow(id) => caches.internal.meta(id).is_some_and(current),
            Item::Expect(id) => caches.internal_expect.meta(id).is_some_and(current),
            Item::Control(_) => true,
        }
    }

    /// Keeps what was sent until it is acknowledged. When the queue is full the oldest is given up; should the
    /// peer ask for it, a bulk makes it good.
    fn keep(&mut self, sent: Sent, caches: &mut Caches) {
        self.ring.push(sent);
        if self.ring.is_sparse() {
            self.ring.trim(|s| Machine::counts(caches, s));
        }
        while self.ring.live() > self.config.resend_queue_size {
            let Some(oldest) = self.ring.pop() else { return };
            if !Machine::counts(caches, &oldest) {
                continue;
            }
            self.stats.resend_dropped += 1;
            self.discarded = Some(oldest.seq);
            self.let_go(oldest, false, caches);
            if self.remove_if_dead(oldest.item, caches) {
                self.discarded_dead = Some(oldest.seq);
            }
            if matches!(oldest.item, Item::Control(c) if c.is_request()) {
                self.resync.answered();
                self.resync.overdue = true;
            }
        }
    }

    /// Gives an ended flow up although the peer may not know; true when it was one.
    fn remove_if_dead(&mut self, item: Item, caches: &mut Caches) -> bool {
        let dead = |m: Option<Meta>| m.is_some_and(|m| m.flags & mark::DEAD != 0);
        match item {
            Item::Flow(id) => dead(caches.internal.meta(id)) && caches.internal.remove(id),
            Item::Expect(id) => dead(caches.internal_expect.meta(id)) && caches.internal_expect.remove(id),
            Item::Control(_) => false,
        }
    }

    /// An entry that counts leaves the resend queue. When it is `done`, because the peer has it, an ended flow
    /// leaves the store with it: true then.
    pub(crate) fn let_go(&mut self, sent: Sent, done: bool, caches: &mut Caches) -> bool {
        self.ring.forget_one();
        match sent.item {
            Item::Flow(id) => {
                let Some(meta) = caches.internal.meta(id) else { return false };
                if done && meta.flags & mark::DEAD != 0 {
                    return caches.internal.remove(id);
                }
                let gone = mark::RING | if done { mark::FRESH } else { 0 };
                caches.internal.set_meta(id, Meta { flags: meta.flags & !gone, ..meta });
            }
            Item::Expect(id) => {
                let Some(meta) = caches.internal_expect.meta(id) else { return false };
                if done && meta.flags & mark::DEAD != 0 {
                    return caches.internal_expect.remove(id);
                }
                caches.internal_expect.set_meta(id, Meta { flags: meta.flags & !mark::RING, ..meta });
            }
            Item::Control(_) => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(r.pieces((10, 14)), [(10, 10), (12, 12), (14, 14)]);
        assert_eq!(r.pieces((11, 11)), []);
        assert_eq!(r.pieces((12, 12)), [(12, 12)]);
        r.pop();
        assert_eq!(r.served(true), []);
        r.pop();
        assert_eq!(r.served(true), [11]);
        assert_eq!(r.pieces((10, 14)), [(10, 12), (14, 14)]);
        assert_eq!(r.served(false), [13]);
        // With nothing to repair there is nothing to wait for.
        r.defer(20, false);
        assert_eq!(r.pieces((20, 20)), [(20, 20)]);
    }

    #[test]
    fn pieces_over_the_wrap_of_the_numbers() {
        let mut r = Repair::default();
        r.push(flow(1));
        r.defer(u32::MAX, false);
        r.defer(0, true);
        assert_eq!(r.pieces((u32::MAX - 1, 2)), [(u32::MAX - 1, u32::MAX - 1), (1, 2)]);
    }
}
