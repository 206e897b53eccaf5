//! What goes out: the queues, when something is due, and what is kept until the peer has it
//! (sync-protocol.md §4.1, §5.1.1). Datagrams are filled in `fill`; what the
//! peer answers is in `answers`.
//!
//! [`Delivery`] ensures that nothing is forgotten on the way. A record that has changed stands on one of the
//! queues until it is sent, then in the resend queue until it is acknowledged; if it has to leave that in any
//! other way, a bulk makes up for it. [`Delivery::check`] states this in code.

mod answers;
mod fill;
mod outlook;
mod sums;

pub use outlook::Outlook;

use crate::peer::allowance::Allowance;
use crate::peer::bulk::Bulk;
use crate::peer::bypass::Bypass;
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::config::PeerConfig;
use crate::peer::delay::Delay;
use crate::peer::digest::Speaker;
use crate::peer::entry::{Control, Item, MESSAGE_MIN, Range, Sent};
use crate::peer::hello::Hello;
use crate::peer::local::Consequence;
use crate::peer::mark;
use crate::peer::mode::Mode;
use crate::peer::pace::Pacer;
use crate::peer::place::{Place, Places};
use crate::peer::queue::{Queue, Repair};
use crate::peer::refresh::{Refresh, TIMERS_A_TURN};
use crate::peer::stuck::Stuck;
use crate::peer::track::Tracker;
use crate::store::{FlowId, Meta, WheelSlot};
use zct_wire::peer::Encode;

/// The keep-alive interval of FT-FW and NOTRACK, counted from the last transmission.
const IDLE_MS: Millis = 1000;
/// A peer silent for this long counts as absent: bulks wait for it.
const ABSENT_MS: Millis = 3000;
/// A peer that has acknowledged nothing for this long is taken not to acknowledge at all.
const DEAF_MS: Millis = 2500;
/// The shortest time between two halvings of a window, because one loss shows in several reports.
const LOSS_APART_MS: Millis = 100;

/// ALARM: longer than an announcement may be late, and on its way.
const SETTLES_MS: Millis = 3000;

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
    pub(crate) resent: u64,
    // The next sequence number, and the greetings sent along with it.
    pub(crate) seq: u32,
    pub(crate) hello: Hello,
    // What the peer may make us send.
    pub(crate) allowance: Allowance,
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
    // Flows of which an update has just been sent, so that the next one has to wait. Never in ALARM, where
    // the same mark and byte of a record are about the next announcement.
    rest: Delay,
    last_ack: Millis,
    /// What the peer asks about sums.
    pub(crate) speaker: Speaker,
    // ALARM: until then the peer may not have been told of what was stored or removed quietly.
    unsettled_until: Millis,
    // ALARM: how far the paced queue has to come until the peer has been told of what comparisons with the kernel
    // have found; 0 when it has been.
    found: u64,
    // RefreshTime and CacheTimeout.
    alarm_s: (u32, u32),
    // The cache of the peer's flows is compared with what it has promised.
    compares: bool,
    // The leaves that the bulk under way is about, in order; `None` for everything.
    bulk_only: Option<Vec<u16>>,
}

impl Delivery {
    /// Starts at `now` with the number `seq`; `random` is for the intervals of ALARM, `digest_key` for sums.
    pub(crate) fn new(now: Millis, config: &PeerConfig, seq: u32, random: u64, digest_key: [u64; 2]) -> Self {
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
            resent: 0,
            seq,
            hello: Hello::new(ftfw),
            allowance: Allowance::new(now),
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
            rest: Delay::new(rest_s(config)),
            last_ack: now,
            speaker: Speaker::new(digest_key, !ftfw),
            unsettled_until: now,
            found: 0,
            alarm_s: match config.mode {
                Mode::Alarm(m) => (m.refresh_time_s, m.cache_timeout_s),
                Mode::Ftfw(_) | Mode::Notrack(_) => (0, 0),
            },
            compares: config.compares(),
            bulk_only: None,
        }
    }

    /// Takes over the settings that may change at run time.
    pub(crate) fn reconfigure(&mut self, config: &PeerConfig) {
        self.encode.timeout = config.sends_timeout();
        self.compares = config.compares();
        self.rest.set(rest_s(config));
        if let (After::Announce(refresh), Mode::Alarm(m)) = (&mut self.after, &config.mode) {
            refresh.time_s = m.refresh_time_s;
            self.alarm_s = (m.refresh_time_s, m.cache_timeout_s);
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
        self.bulk.is_running() || self.hello.bulk_is_wanted() || self.speaker.repair_due().is_some()
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

    /// Does what a change in the internal caches means for sending.
    pub(crate) fn changed(&mut self, now: Millis, change: Consequence, caches: &mut Caches) {
        match change {
            Consequence::Nothing => {}
            Consequence::Tell(item) => self.enqueue(now, item, caches),
            Consequence::Updated(id) => {
                if !self.withhold(now, id, caches) {
                    self.enqueue(now, Item::Flow(id), caches);
                }
            }
            Consequence::Kept(id) => {
                self.speaker.kept();
                self.unsettled(now, self.alarm_s.0);
                self.stored_quietly(now, id, caches);
            }
            Consequence::Found(id) => {
                self.speaker.kept();
                if matches!(self.after, After::Announce(_)) {
                    claim_paced(&mut self.places, &mut self.repair, Item::Flow(id), caches);
                    // Unless it waits on the other queue, and nothing on this one.
                    self.found = if self.repair.len() > 0 { self.repair.pushed() } else { 0 };
                }
            }
            Consequence::Forget(item) => {
                // Of a flow that is too young the peer knows nothing.
                if caches.meta(item).is_some_and(|m| !mark::is_held(&m)) {
                    self.speaker.orphaned();
                    self.unsettled(now, self.alarm_s.1);
                }
                self.places.remove(item, caches);
            }
        }
    }

    /// ALARM: it takes so many seconds until announcements have told the peer, or silence has.
    fn unsettled(&mut self, now: Millis, seconds: u32) {
        self.unsettled_until = self.unsettled_until.max(now + Millis::from(seconds) * 1000 + SETTLES_MS);
    }

    /// Puts off an update of a flow that rests; false if it need not wait.
    fn withhold(&mut self, now: Millis, id: FlowId, caches: &mut Caches) -> bool {
        if self.rest.is_empty() || self.levels(now, caches) {
            return false;
        }
        let Some(meta) = caches.internal.meta(id).filter(|m| m.flags & mark::ARMED != 0) else {
            return false;
        };
        caches.internal.set_meta(id, Meta { flags: meta.flags | mark::WITHHELD, ..meta });
        true
    }

    /// When the next flow has rested.
    pub(crate) fn rest_due(&self, now: Millis, caches: &Caches) -> Option<Millis> {
        self.rest.due().map(|due| if self.levels(now, caches) { now } else { due })
    }

    /// Sends what a bounded number of flows had to withhold while they rested.
    pub(crate) fn rest_turn(&mut self, now: Millis, caches: &mut Caches) {
        let until = if self.levels(now, caches) { Millis::MAX } else { now };
        for _ in 0..TIMERS_A_TURN {
            let Some((id, stamp)) = self.rest.pop(until) else { break };
            let resting = caches.internal.meta(id).filter(|m| rests(m, stamp));
            let Some(meta) = resting else { continue };
            caches
                .internal
                .set_meta(id, Meta { flags: meta.flags & !(mark::ARMED | mark::WITHHELD), ..meta });
            if meta.flags & (mark::WITHHELD | mark::DEAD) == mark::WITHHELD {
                self.enqueue(now, Item::Flow(id), caches);
            }
        }
    }

    /// A flow goes out with all that it had withheld. If it has changed since it was stored, this is an
    /// update and it rests from now on.
    fn rest_from_now(&mut self, now: Millis, id: FlowId, meta: Meta, caches: &mut Caches) {
        let rests = self.rest.is_on()
            && meta.flags & (mark::UPDATED | mark::DEAD) == mark::UPDATED
            && !self.levels(now, caches);
        if !rests && meta.flags & mark::WITHHELD == 0 {
            return;
        }
        let mut next = Meta { flags: meta.flags & !mark::WITHHELD, ..meta };
        if rests {
            if self.rest.is_long() {
                let meta = |id| caches.internal.meta(id);
                self.rest.trim(|id, stamp| meta(id).is_some_and(|m| self::rests(&m, stamp)));
            }
            next.flags |= mark::ARMED;
            next.slot = self.rest.enter(now, id);
        }
        caches.internal.set_meta(id, next);
    }

    /// Puts a control message on the send queue.
    pub(crate) fn control(&mut self, now: Millis, control: Control) {
        self.allowance.answers();
        self.queue.push(now, Item::Control(control));
    }

    /// Acknowledges a range, except for requests that have not been served yet.
    pub(crate) fn acknowledge(&mut self, now: Millis, range: Range) {
        let (queue, allowance) = (&mut self.queue, &mut self.allowance);
        self.repair.pieces(range, |(from, to)| {
            allowance.answers();
            queue.push(now, Item::Control(Control::Ack(from, to)));
        });
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
        self.bulk_only = None;
        self.speaker.bulk_begins();
        self.bulk.request();
        self.bulk_since = self.seq;
    }

    /// Sends the bulk that is about to start even if the peer is absent.
    pub(crate) fn force_bulk(&mut self) {
        self.bulk_forced = true;
    }

    /// A flow was stored that does not have to be sent now.
    fn stored_quietly(&mut self, now: Millis, id: FlowId, caches: &mut Caches) {
        if let After::Announce(refresh) = &mut self.after {
            refresh.arm(now, id, caches);
        }
    }

    /// The internal caches have been emptied, so only control messages are left to send.
    pub(crate) fn forget_records(&mut self, now: Millis) {
        self.unsettled(now, self.alarm_s.1);
        self.queue.keep_controls();
        self.repair.clear();
        self.found = 0;
        self.bulk.cancel();
        self.bulk_only = None;
        self.speaker.orphaned();
        self.places.forget_records();
        self.rest.clear();
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
        let resting = self.rest.entries();
        let queued: HashSet<Item> = self.queue.items().collect();
        let paced: HashSet<Item> = self.repair.items().collect();
        for (item, place) in crate::peer::place::records(caches) {
            let Some(meta) = caches.meta(item) else { continue };
            let dead = meta.flags & mark::DEAD != 0;
            if let (Item::Flow(id), After::Keep(_) | After::Forget) = (item, &self.after) {
                let rests = meta.flags & mark::ARMED != 0;
                assert!(!rests || resting.contains(&(id, meta.slot)), "{item:?} rests for ever");
            }
            match place {
                Place::Queued => assert!(queued.contains(&item), "{item:?} is not on its queue"),
                Place::Paced => assert!(paced.contains(&item), "{item:?} is not on its queue"),
                Place::Idle => assert!(!dead || comes_again, "the end of {item:?} is forgotten"),
                Place::InFlight(_) => {}
            }
        }
    }
}

/// How long a flow rests after an update, in seconds.
fn rest_s(config: &PeerConfig) -> u32 {
    match config.mode {
        Mode::Ftfw(_) | Mode::Notrack(_) => config.update_interval_s,
        Mode::Alarm(_) => 0,
    }
}

/// True when this is the entry of a flow that rests.
fn rests(meta: &Meta, stamp: WheelSlot) -> bool {
    meta.flags & mark::ARMED != 0 && meta.slot == stamp
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
