//! Filling datagrams: what goes next, in which form, and what becomes of it once it is written.

use super::{After, Delivery, IDLE_MS, clear_fresh};
use crate::peer::bulk::Next;
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::entry::{Control, Item, Range, Sent};
use crate::peer::generations::SWEEP_A_TURN;
use crate::peer::mark;
use crate::peer::place::Place;
use crate::store::Meta;
use zct_wire::build::Full;
use zct_wire::event::Event;
use zct_wire::peer::Digest;
use zct_wire::peer::digest::MARK;
use zct_wire::peer::flag;
use zct_wire::peer::header::{after, encode_control};

/// Entries of the resend queue that are given up to make room for a single flow.
const GIVEN_UP_AT_ONCE: usize = 64;

/// A datagram that is being filled.
struct Datagram<'b> {
    buf: &'b mut [u8],
    len: usize,
}

/// The outcome of putting one item into a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Sent,
    /// It no longer exists, or cannot be sent at all.
    Gone,
    /// This datagram has no room for it.
    Full,
}

impl Delivery {
    /// Writes the next datagram into `buf` for a link that carries `room` bytes; `None` when nothing is due.
    pub(crate) fn fill(
        &mut self,
        now: Millis,
        room: usize,
        caches: &mut Caches,
        buf: &mut [u8],
    ) -> Option<usize> {
        let carried = room.min(buf.len());
        let mut out = Datagram { buf: buf.get_mut(..carried)?, len: 0 };
        let trickle = self.may_trickle(now, room);
        let paced = self.has_paced_work(now) && self.pacer.take(now, self.places.live(), trickle);
        if paced || self.queue.is_due(now, self.gather_ms, carried) {
            self.fill_from_queue(now, caches, &mut out);
        }
        if paced && self.queue.len() == 0 {
            self.fill_from_repair(now, caches, &mut out);
            if self.repair.len() == 0 {
                self.fill_from_bulk(now, caches, &mut out);
            }
        }
        self.fill_from_bypass(now, &mut out);
        self.answer(now, caches, &mut out);
        let answer = self.hello.answer_due().is_some_and(|at| at <= now);
        if out.len == 0 && self.keeps_alive() && (self.is_idle(now) || answer) {
            self.put_control(&mut out, flag::ALIVE, None);
        }
        if out.len == 0 {
            return None;
        }
        self.keepalive_at = now + IDLE_MS;
        Some(out.len)
    }

    fn fill_from_queue(&mut self, now: Millis, caches: &mut Caches, out: &mut Datagram<'_>) {
        while let Some(item) = self.queue.pop() {
            match self.put(now, item, caches, out) {
                Put::Full => {
                    self.queue.put_back(now, item);
                    return;
                }
                Put::Sent if !matches!(item, Item::Control(_)) => self.allowance.unasked(),
                Put::Sent | Put::Gone => {}
            }
        }
    }

    fn fill_from_repair(&mut self, now: Millis, caches: &mut Caches, out: &mut Datagram<'_>) {
        while let Some(item) = self.repair.pop() {
            if self.put(now, item, caches, out) == Put::Full {
                self.repair.put_back(item);
                return;
            }
            if self.repair.popped() >= self.found {
                self.found = 0;
            }
        }
    }

    fn fill_from_bulk(&mut self, now: Millis, caches: &mut Caches, out: &mut Datagram<'_>) {
        let mut passed_over = 0;
        while self.bulk.is_running() {
            let Some(next) = self.bulk.next(&caches.internal, &caches.internal_expect) else {
                self.bulk_forced = false;
                if self.bulk_only.take().is_none() {
                    self.speaker.bulk_ended();
                }
                return;
            };
            if !self.is_asked_for(next, caches) {
                // With leaves to look for, that is most of it: not too much at once.
                passed_over += 1;
                if passed_over == SWEEP_A_TURN {
                    return;
                }
                continue;
            }
            // What is on the other queue goes from there, and what was sent since the request need not go
            // again. What was in flight before does go again: the peer may have read it before it asked.
            let item = match next {
                Next::Flow(id) => Item::Flow(id),
                Next::Expect(id) => Item::Expect(id),
            };
            let meta = caches.meta(item);
            let place = meta.as_ref().map(Place::of);
            let gone = matches!(place, Some(Place::InFlight(seq)) if !after(self.bulk_since, seq));
            if gone || meta.as_ref().is_some_and(mark::is_held) || !self.places.claim(item, true, caches) {
                continue;
            }
            match self.put(now, item, caches, out) {
                Put::Full => {
                    // It will be first in the next paced datagram.
                    self.repair.push(item);
                    return;
                }
                Put::Sent if self.bulk_only.is_some() => self.allowance.leaf_again(),
                Put::Sent | Put::Gone => {}
            }
        }
    }

    /// True unless only some leaves are sent, and this is not in one of them.
    fn is_asked_for(&self, next: Next, caches: &Caches) -> bool {
        let Some(only) = &self.bulk_only else { return true };
        match next {
            Next::Flow(id) => caches.internal.leaf(id).is_some_and(|leaf| only.binary_search(&leaf).is_ok()),
            Next::Expect(_) => false,
        }
    }

    /// Answers what the peer has asked about sums, if this is a moment when that can be compared: everything that
    /// has happened was sent before it.
    fn answer(&mut self, now: Millis, caches: &Caches, out: &mut Datagram<'_>) {
        if self.answer_due(now, caches).is_none_or(|at| at > now) {
            return;
        }
        while let Some(digest) = caches.internal.sums().and_then(|sums| self.speaker.answer(sums)) {
            let Some(len) = digest.encode(&mut out.buf[out.len..], self.hello.flags(), self.seq) else {
                return;
            };
            out.len += len;
            self.numbered();
            self.speaker.answered(now);
        }
    }

    /// Moves messages that were made from events into a datagram, and numbers them.
    fn fill_from_bypass(&mut self, now: Millis, out: &mut Datagram<'_>) {
        if !self.bypass.is_due(now, self.gather_ms, out.buf.len()) {
            return;
        }
        while let Some(message) = self.bypass.first() {
            let taken = message.len();
            let Some(to) = out.buf.get_mut(out.len..out.len + taken) else {
                if out.len > 0 {
                    return;
                }
                self.unsendable += 1;
                self.bypass.sent(taken);
                continue;
            };
            to.copy_from_slice(message);
            if let Some(seq) = to.get_mut(4..8) {
                seq.copy_from_slice(&self.seq.to_be_bytes());
            }
            out.len += taken;
            self.bypass.sent(taken);
            self.numbered();
        }
    }

    fn put(&mut self, now: Millis, item: Item, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        let Item::Control(control) = item else { return self.put_record(now, item, caches, out) };
        let (flags, range) = match control {
            Control::Ack(from, to) => (flag::ACK, (from, to)),
            Control::Nack(from, to) => (flag::NACK, (from, to)),
            Control::Resync => (flag::RESYNC, (0, if self.compares { MARK } else { 0 })),
            Control::Compares => (flag::ALIVE | flag::HELLO_BACK, (0, 0)),
            Control::Ask(ask) => return self.put_digest(Digest::Ask(ask), item, caches, out),
            Control::Repair(leaves) => return self.put_digest(Digest::Repair(leaves), item, caches, out),
        };
        let range = (control != Control::Compares).then_some(range);
        let Some((seq, flags)) = self.put_control(out, flags, range) else { return Put::Full };
        if let After::Keep(limit) = self.after {
            self.keep(Sent { seq, flags, item }, limit, caches);
        }
        Put::Sent
    }

    fn put_digest(&mut self, digest: Digest, item: Item, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        let (seq, flags) = (self.seq, self.hello.flags());
        let Some(len) = digest.encode(&mut out.buf[out.len..], flags, seq) else { return Put::Full };
        out.len += len;
        self.numbered();
        if let After::Keep(limit) = self.after {
            self.keep(Sent { seq, flags, item }, limit, caches);
        }
        Put::Sent
    }

    /// Writes a control message; returns its number and flags, or `None` when there is no room.
    fn put_control(&mut self, out: &mut Datagram<'_>, flags: u8, range: Option<Range>) -> Option<(u32, u8)> {
        let (seq, flags) = (self.seq, flags | self.hello.flags());
        out.len += encode_control(&mut out.buf[out.len..], flags, seq, range)?;
        self.numbered();
        Some((seq, flags))
    }

    fn put_record(&mut self, now: Millis, item: Item, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        let Some(meta) = caches.meta(item).filter(|m| Place::of(m).is_waiting()) else {
            return Put::Gone; // removed or sent meanwhile, and the id may now be another flow's
        };
        let event = if meta.flags & mark::DEAD != 0 {
            Event::Destroy
        } else if meta.flags & (mark::UPDATED | mark::FRESH) == mark::UPDATED && !self.replaces(&meta) {
            Event::Update
        } else {
            Event::New
        };
        let (seq, flags) = (self.seq, self.hello.flags());
        let buf = &mut out.buf[out.len..];
        let written = match item {
            Item::Flow(id) => caches.internal.flow(id).map(|f| f.encode(buf, event, flags, seq, self.encode)),
            Item::Expect(id) => {
                caches.internal_expect.get(id).map(|e| e.encode(buf, event, flags, seq, self.encode))
            }
            Item::Control(_) => None,
        };
        match written {
            Some(Ok(len)) => out.len += len,
            Some(Err(Full)) if out.len > 0 => return Put::Full,
            Some(Err(Full)) => return self.drop_unsendable(item, meta, caches),
            None => return Put::Gone,
        }
        self.numbered();
        if let Item::Flow(id) = item {
            self.rest_from_now(now, id, meta, caches);
            if self.is_news(&meta) {
                caches.internal.touch(id);
            }
        }
        if let After::Keep(limit) = self.after {
            self.keep(Sent { seq, flags, item }, limit, caches);
        } else {
            self.presume_received(now, item, meta, caches);
        }
        Put::Sent
    }

    /// True when a flow is repaired in NOTRACK, where the peer merges updates, and would keep what is wrong.
    fn replaces(&self, meta: &Meta) -> bool {
        matches!(self.after, After::Forget) && self.bulk_only.is_some() && Place::of(meta) == Place::Paced
    }

    /// True when what is sent may be new to a peer that does not acknowledge it: until it has arrived, this is no
    /// difference.
    fn is_news(&self, meta: &Meta) -> bool {
        let queued = Place::of(meta) == Place::Queued;
        match self.after {
            After::Keep(_) => false,
            // With this one, or one behind it, what a comparison with the kernel has found is told.
            After::Announce(_) => queued || self.found > 0,
            After::Forget => queued || self.bulk_only.is_none(),
        }
    }

    /// A record was sent in a mode without acknowledgements: the peer is assumed to have it.
    fn presume_received(&mut self, now: Millis, item: Item, meta: Meta, caches: &mut Caches) {
        if meta.flags & mark::DEAD != 0 {
            self.places.remove(item, caches);
            return;
        }
        self.places.settle(item, caches);
        if let Item::Flow(id) = item {
            clear_fresh(id, caches);
        }
        if let After::Announce(refresh) = &mut self.after {
            match item {
                Item::Flow(id) => refresh.arm(now, id, caches),
                Item::Expect(id) => refresh.arm_expect(now, id, caches),
                Item::Control(_) => {}
            }
        }
    }

    /// Takes an item off its queue that no datagram on this link can hold. The original would try forever.
    fn drop_unsendable(&mut self, item: Item, meta: Meta, caches: &mut Caches) -> Put {
        self.unsendable += 1;
        if meta.flags & mark::DEAD != 0 {
            self.places.remove(item, caches);
        } else {
            self.places.settle(item, caches);
        }
        Put::Gone
    }

    /// A message has been written under the next number.
    fn numbered(&mut self) {
        self.seq = self.seq.wrapping_add(1);
        self.sent += 1;
        self.hello.sent();
    }

    /// Keeps what was sent until it is acknowledged. If the queue is full, the oldest entry is given up;
    /// should the peer ask for that, a bulk makes up for it.
    fn keep(&mut self, sent: Sent, limit: usize, caches: &mut Caches) {
        self.places.sent(sent, caches);
        while let Some(oldest) = self.places.overflow(limit, caches) {
            self.give_up(oldest, caches);
        }
    }

    /// Gives up the oldest entries of the resend queue until an ended flow has left the internal cache, but
    /// not too many of them at once.
    pub(crate) fn make_room(&mut self, caches: &mut Caches) {
        for _ in 0..GIVEN_UP_AT_ONCE {
            let Some(oldest) = self.places.overflow(0, caches) else { return };
            if self.give_up(oldest, caches) {
                return;
            }
        }
    }

    /// What is given up cannot be sent again; see [`Delivery::nacked`]. True if it had ended.
    fn give_up(&mut self, oldest: Sent, caches: &mut Caches) -> bool {
        self.resend_dropped += 1;
        self.discarded = Some(oldest.seq);
        let ended = self.remove_if_dead(oldest.item, caches);
        if ended {
            self.discarded_dead = Some(oldest.seq);
        }
        self.discarded_requests += usize::from(oldest.is_request());
        ended
    }
}
