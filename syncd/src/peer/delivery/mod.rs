//! What goes out: the queues, when something is due, and what is kept until the peer has it
//! (sync-protocol.md §4.1, §5.1.1). Datagrams are filled in `fill`.
//!
//! [`Delivery`] ensures that nothing is forgotten on the way. A record that has changed stands on one of the
//! queues until it is sent, then in the resend queue until it is acknowledged; if it has to leave that in any
//! other way, a bulk makes up for it. [`Delivery::check`] states this in code.

mod fill;

use crate::peer::bulk::Bulk;
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
use zct_wire::peer::header::after;
use zct_wire::peer::{Encode, flag};

/// The keep-alive interval of FT-FW and NOTRACK, counted from the last transmission.
const IDLE_MS: Millis = 1000;
/// A peer silent for this long counts as absent: bulks wait for it.
const ABSENT_MS: Millis = 3000;
/// A peer that has acknowledged nothing for this long is taken not to acknowledge at all.
const DEAF_MS: Millis = 2500;
/// The shortest time between two halvings of a window, because one loss shows in several reports.
const LOSS_APART_MS: Millis = 100;

/// What happens to a record after it has been sent, which depends on the mode.
#[derive(Debug)]
enum After {
    /// FT-FW: it is kept until acknowledged, up to this many messages.
    Keep(usize),
    /// ALARM: it is announced again after a while.
    Announce(Refresh),
    /// NOTRACK: nothing happens.
    Forget,
}

/// Everything that leaves one node for the other.
#[derive(Debug)]
pub(crate) struct Delivery {
    encode: Encode,
    gather_ms: Millis,
    after: After,
    // Counts, named as in `Stats`.
    pub(crate) sent: u64,
    pub(crate) unsendable: u64,
    pub(crate) resend_dropped: u64,
    // The next sequence number, and the greetings sent along with it.
    pub(crate) seq: u32,
    pub(crate) hello: Hello,
    // When to send a sign of life if there is nothing else to send: FT-FW and NOTRACK.
    keepalive_at: Millis,
    last_heard: Option<Millis>,
    queue: Queue,
    repair: Repair,
    bulk: Bulk,
    // The next number when a bulk was last requested.
    bulk_since: u32,
    // The operator wants the bulk even if the peer is absent.
    bulk_forced: bool,
    pacer: Pacer,
    last_loss: Millis,
    pub(crate) bypass: Bypass,
    // The resend queue, and the place of every record.
    places: Places,
    // The highest number dropped from a full resend queue, and the highest among them that was a deletion.
    discarded: Option<u32>,
    discarded_dead: Option<u32>,
    // The number of requests that were dropped from it.
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
            // The greeting goes at once: until the peer has answered it, nothing can be asked of the peer.
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

    /// Takes over the settings that may change at run time.
    pub(crate) fn reconfigure(&mut self, config: &Config) {
        self.encode.timeout = config.sends_timeout();
        if let (After::Announce(refresh), Mode::Alarm(m)) = (&mut self.after, &config.mode) {
            refresh.time_s = m.refresh_time_s;
        }
    }

    pub(crate) fn encode(&self) -> Encode {
        self.encode
    }

    /// Messages that were sent and are not acknowledged, oldest first.
    pub(crate) fn in_flight<'a>(&'a self, caches: &'a Caches) -> impl Iterator<Item = Sent> + 'a {
        self.places.in_flight(caches)
    }

    /// Number of changes that wait to be sent, not counting those of a bulk.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.repair.len()
    }

    pub(crate) fn bulk_is_running(&self) -> bool {
        self.bulk.is_running()
    }

    /// True when a bulk is under way or about to begin.
    fn bulk_is_pending(&self) -> bool {
        self.bulk.is_running() || self.hello.bulk_is_wanted()
    }

    /// A message of the peer was accepted.
    pub(crate) fn accepted(&mut self, now: Millis) {
        self.last_heard = Some(now);
    }

    /// True when the peer has been heard recently.
    pub(crate) fn peer_is_there(&self, now: Millis) -> bool {
        self.last_heard.is_some_and(|t| now.saturating_sub(t) < ABSENT_MS)
    }

    // Putting things on the queues.

    /// Puts something on the send queue, unless it is there already.
    pub(crate) fn enqueue(&mut self, now: Millis, item: Item, caches: &mut Caches) {
        if self.places.claim(item, false, caches) {
            self.queue.push(now, item);
        }
    }

    /// Puts a control message on the send queue.
    pub(crate) fn control(&mut self, now: Millis, control: Control) {
        self.queue.push(now, Item::Control(control));
    }

    /// Acknowledges a range, except for requests that have not been served yet.
    pub(crate) fn acknowledge(&mut self, now: Millis, range: Range) {
        let queue = &mut self.queue;
        self.repair.pieces(range, |(from, to)| queue.push(now, Item::Control(Control::Ack(from, to))));
    }

    /// Delays the acknowledgement of the peer's request with this number until it has been served.
    pub(crate) fn defer(&mut self, seq: u32) {
        self.repair.defer(seq, self.bulk_is_pending());
    }

    /// Acknowledges the requests that have been served by now, unless the open range will include them.
    pub(crate) fn acknowledge_served(&mut self, now: Millis, tracker: &Tracker) {
        for seq in self.repair.served(self.bulk_is_pending()) {
            if !tracker.will_acknowledge(seq) {
                self.control(now, Control::Ack(seq, seq));
            }
        }
    }

    /// Starts a bulk, or extends the one under way to another full circle.
    pub(crate) fn start_bulk(&mut self) {
        self.bulk.request();
        self.bulk_since = self.seq;
    }

    /// Sends the bulk that is about to start even if the peer is absent.
    pub(crate) fn force_bulk(&mut self) {
        self.bulk_forced = true;
    }

    /// A flow was stored that does not have to be sent now.
    pub(crate) fn stored_quietly(&mut self, now: Millis, id: FlowId, caches: &mut Caches) {
        if let After::Announce(refresh) = &mut self.after {
            refresh.arm(now, id, caches);
        }
    }

    /// A record is removed from its cache, and no longer reported.
    pub(crate) fn forget(&mut self, item: Item, caches: &mut Caches) {
        self.places.remove(item, caches);
    }

    /// The internal caches have been emptied, so only control messages are left to send.
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

    /// When the next flow may have to be announced again.
    pub(crate) fn announce_due(&self) -> Option<Millis> {
        match &self.after {
            After::Announce(refresh) => refresh.next(),
            After::Keep(_) | After::Forget => None,
        }
    }

    /// Announces a bounded number of the flows whose time has come.
    pub(crate) fn announce_flows(&mut self, now: Millis, caches: &mut Caches) {
        let (places, repair) = (&mut self.places, &mut self.repair);
        if let After::Announce(refresh) = &mut self.after {
            refresh.turn(now, caches, |item, caches| claim_paced(places, repair, item, caches));
        }
    }

    /// Announces the expectations whose time has come.
    pub(crate) fn announce_expects(&mut self, now: Millis, caches: &mut Caches) {
        let (places, repair) = (&mut self.places, &mut self.repair);
        Refresh::expects(now, caches, |item, caches| claim_paced(places, repair, item, caches));
    }

    // What the peer says about the messages that it was sent.

    /// The peer has received this range. Returns the number of requests in it.
    pub(crate) fn acked(&mut self, now: Millis, range: Range, caches: &mut Caches) -> usize {
        self.last_ack = now;
        let (mut messages, mut requests) = (0, 0);
        for at in self.places.positions(range) {
            let Some(sent) = self.places.take(at, caches) else { continue };
            messages += 1;
            // If it carried HELLO, it may be acknowledged without having been received. So ended flows stay,
            // and the others stay marked as fresh, until the bulk that follows the peer's answer.
            if sent.flags & flag::HELLO != 0 || self.hello.hello_is_under_way(now) {
                if is_idle_and_dead(caches.meta(sent.item)) {
                    self.hello.repeat_later(sent.item);
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

    /// The peer has what was sent; if that had ended, it leaves its cache.
    fn arrived(&mut self, item: Item, caches: &mut Caches) {
        if self.remove_if_dead(item, caches) {
            return;
        }
        if let Item::Flow(id) = item {
            clear_fresh(id, caches);
        }
    }

    /// Sends again what was skipped by acknowledgements that begin with `from`.
    pub(crate) fn look_for_stuck(&mut self, now: Millis, from: u32, caches: &mut Caches) {
        // Only the first few are searched: stale entries behind the front are not trimmed, and may be many.
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

    /// The peer has lost this range, and says so under the number `seq`. True when only a new start can
    /// repair that: HELLO is sent again, and the peer's flows have to be asked for.
    pub(crate) fn nacked(&mut self, now: Millis, seq: u32, range: Range, caches: &mut Caches) -> bool {
        let found = self.send_again(now, range, true, caches);
        if found && self.hello.hello_is_under_way(now) {
            self.hello.missed();
        }
        if found && now.saturating_sub(self.last_loss) >= LOSS_APART_MS {
            self.last_loss = now;
            self.pacer.lost();
        }
        // What the full resend queue has given up cannot be sent again, so everything is sent once. Deletions
        // among it are gone for good; only a peer that starts over can notice them.
        let (from, _) = range;
        let bulk = self.discarded.take_if(|d| !after(from, *d)).is_some();
        let start_over = self.discarded_dead.take_if(|d| !after(from, *d)).is_some();
        if start_over {
            self.hello.greet_again();
        }
        if bulk {
            self.hello.want_bulk(now);
        }
        self.repair.defer(seq, bulk);
        start_over
    }

    /// The peer knows nothing of what we have sent. The resend queue is emptied, as the peer expects, and all
    /// flows are sent afresh; unacknowledged deletions are still in the store and go along. Returns the
    /// number of our requests that are still to be sent.
    pub(crate) fn peer_started(&mut self, now: Millis, caches: &mut Caches) -> usize {
        self.places.drain(caches);
        (self.discarded, self.discarded_dead, self.stuck) = (None, None, Stuck::default());
        self.repair.forget_requests();
        self.hello.want_bulk(now);
        self.queue.count(|i| matches!(i, Item::Control(c) if c.is_request()))
    }

    /// No HELLO is on its way any more: deletions are sent once more, and everything if the peer
    /// has missed anything.
    pub(crate) fn repeats_turn(&mut self, now: Millis, caches: &mut Caches) {
        if self.hello.repeats_due().is_none_or(|t| t > now) {
            return;
        }
        for item in self.hello.take_repeats() {
            if is_idle_and_dead(caches.meta(item)) {
                self.enqueue(now, item, caches);
            }
        }
        self.hello.want_missed(now);
    }

    /// The number of requests that the full resend queue has given up since the last call.
    pub(crate) fn take_discarded_requests(&mut self) -> usize {
        std::mem::take(&mut self.discarded_requests)
    }

    // When something is due.

    /// True when nothing has been sent for so long that something has to be.
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

    /// True when the resend queue has room for a datagram beyond the window, or when the peer does not
    /// acknowledge at all, so that keeping what is in the queue is of no use.
    fn may_trickle(&self, now: Millis, room: usize) -> bool {
        let After::Keep(limit) = self.after else { return true };
        let datagram = room / MESSAGE_MIN + 1;
        self.places.live() + datagram <= limit || now.saturating_sub(self.last_ack) >= DEAF_MS
    }

    /// When to send a sign of life if nothing else is sent.
    pub(crate) fn keepalive_due(&self) -> Option<Millis> {
        self.keeps_alive().then_some(self.keepalive_at)
    }

    /// When the gathered changes have to be sent.
    pub(crate) fn queue_due(&self) -> Option<Millis> {
        self.queue.due(self.gather_ms)
    }

    /// When the messages made from events have to be sent.
    pub(crate) fn bypass_due(&self) -> Option<Millis> {
        self.bypass.due(self.gather_ms)
    }

    /// When the next datagram of what is sent at a measured pace may go, on a link that carries `room` bytes.
    pub(crate) fn paced_due(&self, now: Millis, room: usize) -> Option<Millis> {
        let next = || self.pacer.next(now, self.places.live(), self.may_trickle(now, room));
        self.has_paced_work(now).then(next)
    }

    /// Gives up a record that has ended, whether the peer knows or not; returns true when it had.
    fn remove_if_dead(&mut self, item: Item, caches: &mut Caches) -> bool {
        let dead = caches.meta(item).is_some_and(|m| m.flags & mark::DEAD != 0);
        dead && self.places.remove(item, caches)
    }

    /// Number of requests that wait to be sent or acknowledged, or that have just been given up.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn requests(&self, caches: &Caches) -> usize {
        let queued = self.queue.count(|i| matches!(i, Item::Control(c) if c.is_request()));
        queued + self.places.in_flight(caches).filter(Sent::is_request).count() + self.discarded_requests
    }

    /// Panics when what the caches say about the queues differs from what is on them.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self, caches: &Caches) {
        use std::collections::HashSet;
        self.places.check(caches);
        let limit = if let After::Keep(limit) = self.after { limit } else { 0 };
        assert!(self.places.live() <= limit, "the resend queue has its limit, and other modes have none");
        let comes_again =
            self.bulk_is_pending() || self.hello.is_greeting() || self.hello.repeats_due().is_some();
        let queued: HashSet<Item> = self.queue.items().collect();
        let paced: HashSet<Item> = self.repair.items().collect();
        for (item, place) in crate::peer::place::records(caches) {
            let dead = caches.meta(item).is_some_and(|m| m.flags & mark::DEAD != 0);
            match place {
                Place::Queued => assert!(queued.contains(&item), "{item:?} is not on its queue"),
                Place::Paced => assert!(paced.contains(&item), "{item:?} is not on its queue"),
                Place::Idle => assert!(!dead || comes_again, "the end of {item:?} is forgotten"),
                Place::InFlight(_) => {}
            }
        }
    }
}

/// Puts a record on the queue of what is sent at a measured pace, unless it is there already.
fn claim_paced(places: &mut Places, repair: &mut Repair, item: Item, caches: &mut Caches) {
    if places.claim(item, true, caches) {
        repair.push(item);
    }
}

/// The peer has the flow, so further changes may go out as updates.
fn clear_fresh(id: FlowId, caches: &mut Caches) {
    if let Some(meta) = caches.internal.meta(id).filter(|m| m.flags & mark::FRESH != 0) {
        caches.internal.set_meta(id, Meta { flags: meta.flags & !mark::FRESH, ..meta });
    }
}

/// True for a record that has ended and is on no queue.
fn is_idle_and_dead(meta: Option<Meta>) -> bool {
    meta.is_some_and(|m| m.flags & mark::DEAD != 0 && Place::of(&m) == Place::Idle)
}
