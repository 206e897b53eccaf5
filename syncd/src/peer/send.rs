//! What goes out: the queues, and filling a datagram from them (spec/sync-protocol.md §4.1, §5.1.1).

use crate::peer::alarm::tick;
use crate::peer::bulk::Next;
use crate::peer::config::{Millis, Mode};
use crate::peer::machine::{Caches, IDLE_MS, Machine};
use crate::peer::mark;
use crate::peer::ring::{Control, Item, Sent};
use crate::peer::track::Range;
use crate::store::{ExpectId, FlowId, Meta};
use zct_wire::build::Full;
use zct_wire::event::Event;
use zct_wire::peer::flag;
use zct_wire::peer::header::{after, encode_control};

/// Bytes that a waiting change is taken to need, to tell when a datagram is full: less than any flow does.
pub(crate) const MESSAGE_MIN: usize = 52;
/// A peer that has acknowledged nothing for so long does not acknowledge.
const DEAF_MS: Millis = 2500;

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
        let queue = &mut self.queue;
        self.repair.pieces(range, |(from, to)| queue.push(now, Item::Control(Control::Ack(from, to))));
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
        let idle = self.keepalive_at <= now;
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
        let answer = self.hello.answer_due().is_some_and(|at| at <= now);
        if out.len == 0 && self.config.mode != Mode::Alarm && (idle || answer) {
            self.put_control(&mut out, flag::ALIVE, None);
        }
        self.acknowledge_served(now);
        if out.len == 0 {
            return None;
        }
        self.keepalive_at = now + IDLE_MS;
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
        let event = if meta.flags & mark::DEAD != 0 {
            Event::Destroy
        } else if meta.flags & (mark::UPDATED | mark::FRESH) == mark::UPDATED {
            Event::Update
        } else {
            Event::New
        };
        let (seq, flags) = (self.seq, self.greeting_flags());
        let mut meta = Meta { flags: meta.flags & !(mark::QUEUED | mark::PACED), ..meta };
        match flow.encode(&mut out.buf[out.len..], event, flags, seq, self.encode) {
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
        let event = match meta.flags & (mark::DEAD | mark::UPDATED) {
            0 => Event::New,
            mark::UPDATED => Event::Update,
            _ => Event::Destroy,
        };
        let (seq, flags) = (self.seq, self.greeting_flags());
        let mut meta = Meta { flags: meta.flags & !(mark::QUEUED | mark::PACED), ..meta };
        match expect.encode(&mut out.buf[out.len..], event, flags, seq, self.encode) {
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
            if self.config.mode == Mode::Alarm {
                meta.aux = (tick(now + self.refresh_interval()) + 1) as u32;
            }
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
