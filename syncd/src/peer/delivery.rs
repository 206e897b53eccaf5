//! What goes out: the queues, filling a datagram from them, and what is kept until the peer has it
//! (sync-protocol.md §4.1, §5.1.1).
//!
//! [`Delivery`] keeps the promise that nothing is forgotten on the way: a record that has changed stands on one
//! of the queues until it has been sent, then in the resend queue until it was acknowledged, and what has to
//! leave there otherwise is made good by a bulk. [`Delivery::check`] says it in code.

use crate::peer::bulk::{Bulk, Next};
use crate::peer::bypass::Bypass;
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::config::Config;
use crate::peer::entry::{Control, Item, MESSAGE_MIN, Range, Sent};
use crate::peer::hello::Hello;
use crate::peer::mark;
use crate::peer::mode::Mode;
use crate::peer::pace::Pacer;
use crate::peer::place::{Place, Places};
use crate::peer::queue::{Queue, Repair};
use crate::peer::refresh::Refresh;
use crate::peer::stuck::Stuck;
use crate::peer::track::Tracker;
use crate::store::{FlowId, Meta};
use zct_wire::build::Full;
use zct_wire::event::Event;
use zct_wire::peer::header::{after, encode_control};
use zct_wire::peer::{Encode, flag};

/// The keep-alive timer of FT-FW and NOTRACK, from the last transmission.
const IDLE_MS: Millis = 1000;
/// A peer that has sent nothing for so long is taken for absent: bulks wait for it.
const ABSENT_MS: Millis = 3000;
/// A peer that has acknowledged nothing for so long does not acknowledge.
const DEAF_MS: Millis = 2500;
/// A window is halved at most once in so long: one loss shows in several reports.
const LOSS_APART_MS: Millis = 100;

/// What becomes of a record when it has been sent: each mode has its own.
#[derive(Debug)]
enum After {
    /// FT-FW: kept until it is acknowledged, so many messages at the most.
    Keep(usize),
    /// ALARM: announced again after a while.
    Announce(Refresh),
    /// NOTRACK: nothing.
    Forget,
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

/// The way out of one node.
#[derive(Debug)]
pub(crate) struct Delivery {
    encode: Encode,
    gather_ms: Millis,
    after: After,
    // Counted; named as in `Stats`.
    pub(crate) sent: u64,
    pub(crate) unsendable: u64,
    pub(crate) resend_dropped: u64,
    // The next sequence number, and the greetings that go with it.
    pub(crate) seq: u32,
    pub(crate) hello: Hello,
    // When to say something if there is nothing to say: FT-FW and NOTRACK.
    keepalive_at: Millis,
    last_heard: Option<Millis>,
    queue: Queue,
    repair: Repair,
    bulk: Bulk,
    // The next number at the time of the latest request for a bulk.
    bulk_since: u32,
    // The operator wants the bulk whether the peer is there or not.
    bulk_forced: bool,
    pacer: Pacer,
    last_loss: Millis,
    pub(crate) bypass: Bypass,
    // The resend queue, and where every record stands.
    places: Places,
    // Highest number dropped from a full resend queue, and the highest of a deletion among them.
    discarded: Option<u32>,
    discarded_dead: Option<u32>,
    // Requests dropped from there.
    discarded_requests: usize,
    stuck: Stuck,
    last_ack: Millis,
}

impl Delivery {
    /// Starts at `now` with the number `seq`; `random` is for the intervals of ALARM.
    pub(crate) fn new(now: Millis, config: &Config, seq: u32, random: u64) -> Self {
        let ftfw = matches!(config.mode, Mode::Ftfw(_));
        Delivery {
            encode: Encode { timeout: config.sends_timeout(), wscale: config.tcp_window_tracking },
            gather_ms: config.gather_ms,
            after: match config.mode {
                Mode::Ftfw(m) => After::Keep(m.resend_queue_size as usize),
                Mode::Alarm(m) => After::Announce(Refresh::new(now, m.refresh_time_s, random)),
                Mode::Notrack(_) => After::Forget,
            },
            sent: 0,
            unsendable: 0,
            resend_dropped: 0,
            seq,
            hello: Hello::new(ftfw),
            // The greeting at once: until the peer has answered it nothing can be asked of it.
            keepalive_at: if ftfw { now } else { now + IDLE_MS },
            last_heard: None,
            queue: Queue::default(),
            repair: Repair::default(),
            bulk: Bulk::default(),
            bulk_since: 0,
            bulk_forced: false,
            pacer: Pacer::new(&config.mode, &config.pace),
            last_loss: 0,
            bypass: Bypass::default(),
            places: Places::new(),
            discarded: None,
            discarded_dead: None,
            discarded_requests: 0,
            stuck: Stuck::default(),
            last_ack: now,
        }
    }

    /// Takes over what may change while it runs.
    pub(crate) fn reconfigure(&mut self, config: &Config) {
        self.encode.timeout = config.sends_timeout();
        if let (After::Announce(refresh), Mode::Alarm(m)) = (&mut self.after, &config.mode) {
            refresh.time_s = m.refresh_time_s;
        }
    }

    pub(crate) fn encode(&self) -> Encode {
        self.encode
    }

    /// Messages sent and not acknowledged, oldest first.
    pub(crate) fn in_flight<'a>(&'a self, caches: &'a Caches) -> impl Iterator<Item = Sent> + 'a {
        self.places.in_flight(caches)
    }

    /// Changes that wait to be sent, without those of a bulk.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.repair.len()
    }

    pub(crate) fn bulk_is_running(&self) -> bool {
        self.bulk.is_running()
    }

    /// A bulk is under way or about to begin.
    fn bulk_is_pending(&self) -> bool {
        self.bulk.is_running() || self.hello.bulk_is_wanted()
    }

    /// Takes note that the peer was heard.
    pub(crate) fn heard(&mut self, now: Millis) {
        self.last_heard = Some(now);
    }

    /// True when the peer was heard lately.
    pub(crate) fn peer_is_there(&self, now: Millis) -> bool {
        self.last_heard.is_some_and(|t| now.saturating_sub(t) < ABSENT_MS)
    }

    // Onto the queues.

    /// Puts something on the send queue, once.
    pub(crate) fn enqueue(&mut self, now: Millis, item: Item, caches: &mut Caches) {
        if self.places.claim(item, false, caches) {
            self.queue.push(now, item);
        }
    }

    /// Puts a control message on the send queue.
    pub(crate) fn control(&mut self, now: Millis, control: Control) {
        self.queue.push(now, Item::Control(control));
    }

    /// Acknowledges a range, but for requests that are not served yet.
    pub(crate) fn acknowledge(&mut self, now: Millis, range: Range) {
        let queue = &mut self.queue;
        self.repair.pieces(range, |(from, to)| queue.push(now, Item::Control(Control::Ack(from, to))));
    }

    /// The peer's request with this number is acknowledged when it has been served.
    pub(crate) fn defer(&mut self, seq: u32) {
        self.repair.defer(seq, self.bulk_is_pending());
    }

    /// Acknowledges the requests that are served by now, unless they will be with what is open.
    pub(crate) fn acknowledge_served(&mut self, now: Millis, tracker: &Tracker) {
        for seq in self.repair.served(self.bulk_is_pending()) {
            if !tracker.will_acknowledge(seq) {
                self.control(now, Control::Ack(seq, seq));
            }
        }
    }

    /// Starts a bulk, or makes the running one go all the way round again.
    pub(crate) fn start_bulk(&mut self) {
        self.bulk.request();
        self.bulk_since = self.seq;
    }

    /// The bulk that is about to start goes whether the peer is there or not.
    pub(crate) fn force_bulk(&mut self) {
        self.bulk_forced = true;
    }

    /// A flow was stored that is not to be sent now.
    pub(crate) fn stored_quietly(&mut self, now: Millis, id: FlowId, caches: &mut Caches) {
        if let After::Announce(refresh) = &mut self.after {
            refresh.arm(now, id, caches);
        }
    }

    /// A record leaves its cache and is told of no more.
    pub(crate) fn forget(&mut self, item: Item, caches: &mut Caches) {
        self.places.remove(item, caches);
    }

    /// The internal caches have been emptied: control messages alone are still to go.
    pub(crate) fn forget_records(&mut self) {
        self.queue.keep_controls();
        self.repair.clear();
        self.bulk.cancel();
        self.places.forget_records();
        if let After::Announce(refresh) = &mut self.after {
            refresh.forget();
        }
    }

    // ALARM.

    /// When a flow may have to be announced again.
    pub(crate) fn announce_due(&self) -> Option<Millis> {
        match &self.after {
            After::Announce(refresh) => refresh.next(),
            After::Keep(_) | After::Forget => None,
        }
    }

    /// Announces the flows again whose time has come: a bounded number.
    pub(crate) fn announce_flows(&mut self, now: Millis, caches: &mut Caches) {
        let (places, repair) = (&mut self.places, &mut self.repair);
        if let After::Announce(refresh) = &mut self.after {
            refresh.turn(now, caches, |item, caches| claim_paced(places, repair, item, caches));
        }
    }

    /// The same for expectations.
    pub(crate) fn announce_expects(&mut self, now: Millis, caches: &mut Caches) {
        let (places, repair) = (&mut self.places, &mut self.repair);
        Refresh::expects(now, caches, |item, caches| claim_paced(places, repair, item, caches));
    }

    // What the peer says of what was sent.

    /// The peer has received this range. Returns how many requests were in it.
    pub(crate) fn acked(&mut self, now: Millis, range: Range, caches: &mut Caches) -> usize {
        self.last_ack = now;
        let (mut messages, mut requests) = (0, 0);
        for at in self.places.positions(range) {
            let Some(sent) = self.places.take(at, caches) else { continue };
            messages += 1;
            // With HELLO on it, it may be acknowledged without having been received: ended flows and the
            // knowledge of the rest stay until the bulk that follows the peer's answer.
            if sent.flags & flag::HELLO != 0 || self.hello.is_shaky(now) {
                if is_idle_and_dead(caches.meta(sent.item)) {
                    self.hello.retain(sent.item);
                }
            } else {
                self.arrived(sent.item, caches);
            }
            if sent.is_request() {
                self.stuck.answered();
                requests += 1;
            }
        }
        self.places.trim(caches);
        self.pacer.acknowledged(messages);
        requests
    }

    /// The peer has what was sent: something ended leaves its cache.
    fn arrived(&mut self, item: Item, caches: &mut Caches) {
        if self.remove_if_dead(item, caches) {
            return;
        }
        if let Item::Flow(id) = item {
            clear_fresh(id, caches);
        }
    }

    /// Sends again what stays unacknowledged before acknowledged numbers, which begin with `from`.
    pub(crate) fn look_for_stuck(&mut self, now: Millis, from: u32, caches: &mut Caches) {
        // The first few tell enough: what does not count any more is not trimmed behind the front.
        let first = |requests: bool| {
            let found = self.places.front(64, caches).find(|s| s.is_request() == requests);
            found.filter(|s| after(from, s.seq)).map(|s| s.seq)
        };
        let (data, request) = (first(false), first(true));
        if let Some(seq) = self.stuck.data(now, data) {
            self.send_again(now, (seq, from.wrapping_sub(1)), false, caches);
        }
        if let Some(seq) = self.stuck.request(now, request) {
            self.send_again(now, (seq, seq), true, caches);
        }
    }

    /// Moves what was sent under these numbers back onto the queues. True when there was something.
    fn send_again(&mut self, now: Millis, range: Range, requests: bool, caches: &mut Caches) -> bool {
        let mut found = false;
        for at in self.places.positions(range) {
            let Some(sent) = self.places.get(at, caches) else { continue };
            if sent.is_request() && !requests {
                continue;
            }
            found = true;
            self.places.take(at, caches);
            match sent.item {
                Item::Flow(_) | Item::Expect(_) => {
                    claim_paced(&mut self.places, &mut self.repair, sent.item, caches);
                }
                Item::Control(_) => self.queue.push(now, sent.item),
            }
        }
        self.places.trim(caches);
        found
    }

    /// The peer has lost this range, and says so under the number `seq`. True when it cannot be made good but
    /// by a new start: HELLO is said again, and the peer's flows have to be asked for.
    pub(crate) fn nacked(&mut self, now: Millis, seq: u32, range: Range, caches: &mut Caches) -> bool {
        let found = self.send_again(now, range, true, caches);
        if found && self.hello.is_shaky(now) {
            self.hello.missed();
        }
        if found && now.saturating_sub(self.last_loss) >= LOSS_APART_MS {
            self.last_loss = now;
            self.pacer.lost();
        }
        // What the full resend queue has given up cannot be sent again: everything is, once. Deletions among
        // it are gone for good, and only a peer that starts over can find out.
        let (from, _) = range;
        let bulk = self.discarded.take_if(|d| !after(from, *d)).is_some();
        let start_over = self.discarded_dead.take_if(|d| !after(from, *d)).is_some();
        if start_over {
            self.hello.say_again();
        }
        if bulk {
            self.hello.want_bulk(now);
        }
        self.repair.defer(seq, bulk);
        start_over
    }

    /// The peer knows nothing of what we have sent. The resend queue is emptied, as the peer expects, and all
    /// flows are sent anew; deletions that were not acknowledged are still in the store and go with them.
    /// Returns how many of our requests are still to go.
    pub(crate) fn peer_started(&mut self, now: Millis, caches: &mut Caches) -> usize {
        self.places.drain(caches);
        (self.discarded, self.discarded_dead, self.stuck) = (None, None, Stuck::default());
        self.repair.forget_requests();
        self.hello.want_bulk(now);
        self.queue.count(|i| matches!(i, Item::Control(c) if c.is_request()))
    }

    /// No HELLO is under way any more: deletions are sent once more, and everything if the peer has missed
    /// anything.
    pub(crate) fn firm_turn(&mut self, now: Millis, caches: &mut Caches) {
        if self.hello.firm_due().is_none_or(|t| t > now) {
            return;
        }
        for item in self.hello.take_retained() {
            if is_idle_and_dead(caches.meta(item)) {
                self.enqueue(now, item, caches);
            }
        }
        self.hello.want_missed(now);
    }

    /// Requests that the full resend queue has given up since this was asked.
    pub(crate) fn take_discarded_requests(&mut self) -> usize {
        std::mem::take(&mut self.discarded_requests)
    }

    // Filling datagrams.

    /// Nothing has been sent for so long that something has to be.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        self.keepalive_at <= now
    }

    fn keeps_alive(&self) -> bool {
        !matches!(self.after, After::Announce(_))
    }

    /// True when something waits that is sent at a measured pace.
    fn has_paced_work(&self, now: Millis) -> bool {
        let bulk = self.bulk.is_running() && (self.bulk_forced || self.peer_is_there(now));
        self.repair.len() > 0 || bulk
    }

    /// True when a datagram beyond the window finds room in the resend queue, or when the peer does not
    /// acknowledge at all, so that what is in there is of no use.
    fn may_trickle(&self, now: Millis, room: usize) -> bool {
        let After::Keep(limit) = self.after else { return true };
        let datagram = room / MESSAGE_MIN + 1;
        self.places.live() + datagram <= limit || now.saturating_sub(self.last_ack) >= DEAF_MS
    }

    /// When to say something if nothing else is said.
    pub(crate) fn keepalive_due(&self) -> Option<Millis> {
        self.keeps_alive().then_some(self.keepalive_at)
    }

    /// When the changes that are gathered have to go.
    pub(crate) fn queue_due(&self) -> Option<Millis> {
        self.queue.due(self.gather_ms)
    }

    /// When the messages that were made from events have to go.
    pub(crate) fn bypass_due(&self) -> Option<Millis> {
        self.bypass.due(self.gather_ms)
    }

    /// When the next datagram of what is sent at a measured pace may go to a link that carries `room` bytes.
    pub(crate) fn paced_due(&self, now: Millis, room: usize) -> Option<Millis> {
        let next = || self.pacer.next(now, self.places.live(), self.may_trickle(now, room));
        self.has_paced_work(now).then(next)
    }

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

    /// Moves messages that were made from events into a datagram and numbers them.
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
            Control::Resync => (flag::RESYNC, (0, 0)),
        };
        let Some((seq, flags)) = self.put_control(out, flags, Some(range)) else { return Put::Full };
        if let After::Keep(limit) = self.after {
            self.keep(Sent { seq, flags, item }, limit, caches);
        }
        Put::Sent
    }

    /// Writes a control message; returns its number and its flags, or `None` when there is no room.
    fn put_control(&mut self, out: &mut Datagram<'_>, flags: u8, range: Option<Range>) -> Option<(u32, u8)> {
        let (seq, flags) = (self.seq, flags | self.hello.flags());
        out.len += encode_control(&mut out.buf[out.len..], flags, seq, range)?;
        self.numbered();
        Some((seq, flags))
    }

    fn put_record(&mut self, now: Millis, item: Item, caches: &mut Caches, out: &mut Datagram<'_>) -> Put {
        let Some(meta) = caches.meta(item).filter(|m| Place::of(m).is_waiting()) else {
            return Put::Gone; // removed or sent meanwhile, and perhaps another flow by now
        };
        let event = if meta.flags & mark::DEAD != 0 {
            Event::Destroy
        } else if meta.flags & (mark::UPDATED | mark::FRESH) == mark::UPDATED {
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
        if let After::Keep(limit) = self.after {
            self.keep(Sent { seq, flags, item }, limit, caches);
        } else {
            self.told(now, item, meta, caches);
        }
        Put::Sent
    }

    /// A record was sent in a mode that acknowledges nothing: the peer is believed to have it.
    fn told(&mut self, now: Millis, item: Item, meta: Meta, caches: &mut Caches) {
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

    /// What no datagram of this link holds leaves its queue. The original would try for ever.
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

    /// Keeps what was sent until it is acknowledged. When the queue is full the oldest is given up; should the
    /// peer ask for it, a bulk makes it good.
    fn keep(&mut self, sent: Sent, limit: usize, caches: &mut Caches) {
        self.places.sent(sent, caches);
        while let Some(oldest) = self.places.overflow(limit, caches) {
            self.resend_dropped += 1;
            self.discarded = Some(oldest.seq);
            if self.remove_if_dead(oldest.item, caches) {
                self.discarded_dead = Some(oldest.seq);
            }
            self.discarded_requests += usize::from(oldest.is_request());
        }
    }

    /// Gives something ended up, whether the peer knows or not; true when it was that.
    fn remove_if_dead(&mut self, item: Item, caches: &mut Caches) -> bool {
        let dead = caches.meta(item).is_some_and(|m| m.flags & mark::DEAD != 0);
        dead && self.places.remove(item, caches)
    }

    /// Panics when the books are wrong: what stands in the caches and what is on the queues do not agree.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self, caches: &Caches) {
        use std::collections::HashSet;
        self.places.check(caches);
        let limit = if let After::Keep(limit) = self.after { limit } else { 0 };
        assert!(self.places.live() <= limit, "the resend queue has its limit, and other modes have none");
        let told = self.bulk_is_pending() || self.hello.is_saying() || self.hello.firm_due().is_some();
        let queued: HashSet<Item> = self.queue.items().collect();
        let paced: HashSet<Item> = self.repair.items().collect();
        for (item, place) in crate::peer::place::records(caches) {
            let dead = caches.meta(item).is_some_and(|m| m.flags & mark::DEAD != 0);
            match place {
                Place::Queued => assert!(queued.contains(&item), "{item:?} is not on its queue"),
                Place::Paced => assert!(paced.contains(&item), "{item:?} is not on its queue"),
                Place::Idle => assert!(!dead || told, "the end of {item:?} is forgotten"),
                Place::InFlight(_) => {}
            }
        }
    }
}

/// Puts a record on the queue of what is sent at a measured pace, once.
fn claim_paced(places: &mut Places, repair: &mut Repair, item: Item, caches: &mut Caches) {
    if places.claim(item, true, caches) {
        repair.push(item);
    }
}

/// The peer has the flow: what changes from now on may go out as an update.
fn clear_fresh(id: FlowId, caches: &mut Caches) {
    if let Some(meta) = caches.internal.meta(id).filter(|m| m.flags & mark::FRESH != 0) {
        caches.internal.set_meta(id, Meta { flags: meta.flags & !mark::FRESH, ..meta });
    }
}

/// Ended, and on no queue.
fn is_idle_and_dead(meta: Option<Meta>) -> bool {
    meta.is_some_and(|m| m.flags & mark::DEAD != 0 && Place::of(&m) == Place::Idle)
}
