//! What goes out: the queues, and filling a datagram from them (sync-protocol.md §4.1, §5.1.1).

use crate::peer::bulk::Next;
use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, tick};
use crate::peer::config::Mode;
use crate::peer::entry::{Control, Item, MESSAGE_MIN, Range, Sent};
use crate::peer::machine::{IDLE_MS, Machine};
use crate::peer::mark;
use crate::peer::place::Place;
use crate::store::{ExpectId, FlowId, Meta};
use zct_wire::build::Full;
use zct_wire::event::Event;
use zct_wire::peer::flag;
use zct_wire::peer::header::{after, encode_control};

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
        self.places.live() + datagram <= self.config.resend_queue_size
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
        let paced =
            self.has_paced_work(now) && self.pacer.take(now, self.places.live(), self.may_trickle(now));
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
            let item = match next {
                Next::Flow(id) => Item::Flow(id),
                Next::Expect(id) => Item::Expect(id),
            };
            let place = caches.meta(item).as_ref().map(Place::of);
            let gone = matches!(place, Some(Place::InFlight(seq)) if !after(self.bulk_since, seq));
            if gone || !self.places.claim(item, true, caches) {
                continue;
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
        let item = Item::Flow(id);
        let Some(meta) = caches.internal.meta(id).filter(|m| Place::of(m).is_waiting()) else {
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
        match flow.encode(&mut out.buf[out.len..], event, flags, seq, self.encode) {
            Ok(len) => out.len += len,
            Err(Full) if out.len > 0 => return Put::Full,
            Err(Full) => return self.unsendable(item, meta, caches),
        }
        self.numbered();
        if self.config.mode == Mode::Ftfw {
            self.keep(Sent { seq, flags, item }, caches);
        } else if meta.flags & mark::DEAD != 0 {
            self.places.remove(item, caches);
        } else {
            self.places.settle(item, caches);
            self.clear_fresh(id, caches);
            if self.config.mode == Mode::Alarm {
                self.arm_refresh(now, id, caches);
            }
        }
        Put::Sent
    }

    /// What no datagram of this link holds leaves its queue. The original would try for ever.
    fn unsendable(&mut self, item: Item, meta: Meta, caches: &mut Caches) -> Put {
        self.stats.unsendable += 1;
        if meta.flags & mark::DEAD != 0 {
            self.places.remove(item, caches);
        } else {
            self.places.settle(item, caches);
        }
        Put::Gone
    }

    /// The peer has the flow: what changes from now on may go out as an update.
    fn clear_fresh(&mut self, id: FlowId, caches: &mut Caches) {
        if let Some(meta) = caches.internal.meta(id).filter(|m| m.flags & mark::FRESH != 0) {
            caches.internal.set_meta(id, Meta { flags: meta.flags & !mark::FRESH, ..meta });
        }
    }

    fn put_expect(&mut self, now: Millis, id: ExpectId, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        let item = Item::Expect(id);
        let Some(meta) = caches.internal_expect.meta(id).filter(|m| Place::of(m).is_waiting()) else {
            return Put::Gone;
        };
        let Some(expect) = caches.internal_expect.get(id) else { return Put::Gone };
        let event = match meta.flags & (mark::DEAD | mark::UPDATED) {
            0 => Event::New,
            mark::UPDATED => Event::Update,
            _ => Event::Destroy,
        };
        let (seq, flags) = (self.seq, self.greeting_flags());
        match expect.encode(&mut out.buf[out.len..], event, flags, seq, self.encode) {
            Ok(len) => out.len += len,
            Err(Full) if out.len > 0 => return Put::Full,
            Err(Full) => return self.unsendable(item, meta, caches),
        }
        self.numbered();
        if self.config.mode == Mode::Ftfw {
            self.keep(Sent { seq, flags, item }, caches);
        } else if meta.flags & mark::DEAD != 0 {
            self.places.remove(item, caches);
        } else {
            self.places.settle(item, caches);
            if self.config.mode == Mode::Alarm {
                self.announce_expect_again(now, id, caches);
            }
        }
        Put::Sent
    }

    /// ALARM: when it is announced again.
    fn announce_expect_again(&mut self, now: Millis, id: ExpectId, caches: &mut Caches) {
        let due = tick(now + self.refresh_interval()) + 1;
        if let Some(meta) = caches.internal_expect.meta(id) {
            caches.internal_expect.set_meta(id, Meta { aux: due as u32, ..meta });
        }
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

    /// Keeps what was sent until it is acknowledged. When the queue is full the oldest is given up; should the
    /// peer ask for it, a bulk makes it good.
    fn keep(&mut self, sent: Sent, caches: &mut Caches) {
        self.places.sent(sent, caches);
        while let Some(oldest) = self.places.overflow(self.config.resend_queue_size, caches) {
            self.stats.resend_dropped += 1;
            self.discarded = Some(oldest.seq);
            if self.remove_if_dead(oldest.item, caches) {
                self.discarded_dead = Some(oldest.seq);
            }
            if matches!(oldest.item, Item::Control(c) if c.is_request()) {
                self.resync.answered();
                self.resync.overdue = true;
            }
        }
    }

    /// Gives something ended up, whether the peer knows or not; true when it was that.
    fn remove_if_dead(&mut self, item: Item, caches: &mut Caches) -> bool {
        let dead = caches.meta(item).is_some_and(|m| m.flags & mark::DEAD != 0);
        dead && self.places.remove(item, caches)
    }

    /// The peer has what was sent: something ended leaves its cache.
    pub(crate) fn arrived(&mut self, item: Item, caches: &mut Caches) {
        if self.remove_if_dead(item, caches) {
            return;
        }
        if let Item::Flow(id) = item {
            self.clear_fresh(id, caches);
        }
    }
}
