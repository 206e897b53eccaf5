//! The machine's state, its timers and the operator's commands.

use crate::peer::bulk::Bulk;
use crate::peer::bypass::Bypass;
use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, tick};
use crate::peer::config::{Config, Mode};
use crate::peer::entry::{Control, Item, Sent};
use crate::peer::ftfw::Stuck;
use crate::peer::hello::Hello;
use crate::peer::host::{Host, Notice};
use crate::peer::links::{Link, Links, Switch};
use crate::peer::pace::Pacer;
use crate::peer::place::Places;
use crate::peer::queue::{Queue, Repair};
use crate::peer::resync::Resync;
use crate::peer::stats::Stats;
use crate::peer::track::Tracker;
#[cfg(any(test, debug_assertions))]
use crate::peer::{mark, place::Place, place::records};
use crate::store::Wheel;
#[cfg(any(test, debug_assertions))]
use std::collections::HashSet;
use zct_wire::peer::Encode;
use zct_wire::peer::header::CONTROL_LEN;

/// A peer that has sent nothing for so long is taken for absent: bulks wait for it.
const ABSENT_MS: Millis = 3000;
/// The keep-alive timer of FT-FW and NOTRACK, from the last transmission.
pub(crate) const IDLE_MS: Millis = 1000;

/// What makes a run repeatable.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// First sequence number: the Unix time in seconds, so that a restarted daemon's numbers lie ahead.
    pub sequence: u32,
    /// For the intervals of ALARM.
    pub random: u64,
}

/// One node's side of the protocol.
///
/// # Allocation
/// Queues grow with what waits in them: four to sixteen bytes a change or an unacknowledged message.
#[derive(Debug)]
pub struct Machine {
    pub(crate) config: Config,
    pub(crate) encode: Encode,
    pub(crate) stats: Stats,
    pub(crate) links: Links,
    pub(crate) random: u64,
    /// The next sequence number.
    pub(crate) seq: u32,
    /// When to say something if there is nothing to say: FT-FW and NOTRACK.
    pub(crate) keepalive_at: Millis,
    pub(crate) last_heard: Option<Millis>,
    pub(crate) queue: Queue,
    pub(crate) repair: Repair,
    pub(crate) bulk: Bulk,
    /// The next number at the time of the latest request for a bulk.
    pub(crate) bulk_since: u32,
    /// The operator wants the bulk whether the peer is there or not.
    pub(crate) bulk_forced: bool,
    pub(crate) pacer: Pacer,
    pub(crate) last_loss: Millis,
    /// The resend queue, and where every record stands.
    pub(crate) places: Places,
    /// Highest number dropped from a full resend queue, and the highest of a deletion among them.
    pub(crate) discarded: Option<u32>,
    pub(crate) discarded_dead: Option<u32>,
    pub(crate) stuck: Stuck,
    pub(crate) last_ack: Millis,
    pub(crate) hello: Hello,
    pub(crate) tracker: Tracker,
    pub(crate) resync: Resync,
    pub(crate) refresh: Wheel,
    pub(crate) expiry: Wheel,
    pub(crate) expects_checked: Millis,
    pub(crate) bypass: Bypass,
    purge_due: Option<Millis>,
    told_mode: bool,
    told_unsendable: bool,
}

impl Machine {
    /// A machine that has just started at `now`. `links` are the dedicated links, `active` the one to send by.
    ///
    /// # Panics
    /// When the configuration does not pass [`Config::check`]; that is the caller's to report.
    pub fn new(now: Millis, config: Config, links: Vec<Link>, active: usize, seed: Seed) -> Self {
        if let Err(e) = config.check() {
            panic!("a configuration that cannot work: {e}");
        }
        let encode = Encode { timeout: config.sends_timeout(), wscale: config.tcp_window_tracking };
        let mut m = Machine {
            encode,
            stats: Stats::default(),
            links: Links::new(links, active),
            random: seed.random,
            seq: seed.sequence,
            // The greeting at once: until the peer has answered it nothing can be asked of it.
            keepalive_at: if config.mode == Mode::Ftfw { now } else { now + IDLE_MS },
            last_heard: None,
            queue: Queue::default(),
            repair: Repair::default(),
            bulk: Bulk::default(),
            bulk_since: 0,
            bulk_forced: false,
            pacer: Pacer::new(&config),
            last_loss: 0,
            places: Places::new(),
            discarded: None,
            discarded_dead: None,
            stuck: Stuck::default(),
            last_ack: now,
            hello: Hello::new(config.mode == Mode::Ftfw),
            tracker: Tracker::new(config.ack_window_size),
            resync: Resync::default(),
            refresh: Wheel::new(tick(now)),
            expiry: Wheel::new(tick(now)),
            expects_checked: now,
            bypass: Bypass::default(),
            purge_due: None,
            told_mode: false,
            told_unsendable: false,
            config,
        };
        if m.config.startup_resync {
            m.request_resync(now);
        }
        m
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes over what may change while it runs: the timers of the commit and the purge, and those of ALARM. A
    /// flow that is announced or expires already does so once more at the old interval.
    pub fn reconfigure(&mut self, new: &Config) {
        self.config.commit_timeout_s = new.commit_timeout_s;
        self.config.purge_timeout_s = new.purge_timeout_s;
        self.config.refresh_time_s = new.refresh_time_s;
        self.config.cache_timeout_s = new.cache_timeout_s;
        self.encode.timeout = self.config.sends_timeout();
    }

    /// What it has counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The link to send by.
    pub fn active_link(&self) -> usize {
        self.links.active()
    }

    /// Messages sent and not acknowledged, oldest first (`-s rsqueue`).
    pub fn resend_queue(&self, caches: &Caches) -> Vec<Sent> {
        self.places.in_flight(caches).collect()
    }

    /// Changes that wait to be sent, without those of a bulk (`-s queue`).
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.repair.len()
    }

    /// True while a bulk is being sent.
    pub fn bulk_is_running(&self) -> bool {
        self.bulk.is_running()
    }

    /// True when a bulk that was asked for has not been received to its end.
    pub fn resync_is_running(&self) -> bool {
        self.resync.is_waiting()
    }

    /// The next number for random things: splitmix64.
    pub(crate) fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True when the peer was heard lately.
    pub fn peer_is_there(&self, now: Millis) -> bool {
        self.last_heard.is_some_and(|t| now.saturating_sub(t) < ABSENT_MS)
    }

    /// Tells the machine that a link went up or down.
    pub fn link_state(&mut self, link: usize, up: bool, host: &mut impl Host) {
        match self.links.set_up(link, up) {
            Switch::Stays => {}
            Switch::To(next) => host.notice(Notice::LinkChanged(next)),
            Switch::NoneUp => host.notice(Notice::NoLink),
        }
    }

    /// Tells the machine how large a datagram the link carries now.
    pub fn link_payload(&mut self, link: usize, payload_max: usize) {
        self.links.set_payload_max(link, payload_max);
    }

    /// `-n`: asks the peer for all its flows. Nothing in ALARM, where they come by themselves.
    pub fn request_resync(&mut self, now: Millis) {
        match self.config.mode {
            Mode::Ftfw => self.begin_resync(now),
            Mode::Notrack => self.queue.push(now, Item::Control(Control::Resync)),
            Mode::Alarm => {}
        }
    }

    /// `-B`: sends all flows, whether the peer is there or not. Nothing in ALARM.
    pub fn send_bulk(&mut self, host: &mut impl Host) {
        if self.config.mode == Mode::Alarm {
            return;
        }
        host.notice(Notice::BulkStarts);
        self.bulk_forced = true;
        self.start_bulk(host);
    }

    /// Starts a bulk, or makes the running one go all the way round again.
    pub(crate) fn start_bulk(&mut self, host: &mut impl Host) {
        self.stats.bulks += 1;
        if self.config.disable_internal_cache {
            host.dump_kernel();
        } else {
            self.bulk.request();
            self.bulk_since = self.seq;
        }
    }

    /// `-f internal`: forgets the kernel's flows and what was to be sent of them; tells the peer nothing.
    /// Cancels the purge.
    pub fn flush_internal(&mut self, caches: &mut Caches) {
        self.purge_due = None;
        self.forget_internal(caches);
    }

    fn forget_internal(&mut self, caches: &mut Caches) {
        caches.internal.clear();
        caches.internal_expect.clear();
        self.queue.keep_controls();
        self.repair.clear();
        self.bulk.cancel();
        self.places.forget_records();
        self.refresh = Wheel::new(self.refresh.tick());
    }

    /// `-f external`: forgets the peer's flows.
    pub fn flush_external(&mut self, caches: &mut Caches) {
        caches.external.clear();
        caches.external_expect.clear();
        self.resync.forget_sweep();
        self.expiry = Wheel::new(self.expiry.tick());
    }

    /// `-t`: flush the kernel's table and the internal cache in PurgeTimeout seconds. Returns the seconds, or
    /// `None` when a purge is pending already.
    pub fn purge(&mut self, now: Millis) -> Option<u32> {
        if self.purge_due.is_some() {
            return None;
        }
        self.purge_due = Some(now + Millis::from(self.config.purge_timeout_s) * 1000);
        Some(self.config.purge_timeout_s)
    }

    /// A commit or a flush calls off the purge.
    pub fn cancel_purge(&mut self) {
        self.purge_due = None;
    }

    /// Runs the timers that are due and a bounded piece of background work. Call it when
    /// [`Machine::deadline`] has come, and before the first [`Machine::transmit`] of a turn.
    pub fn turn(&mut self, now: Millis, caches: &mut Caches, host: &mut impl Host) {
        if self.purge_due.is_some_and(|due| due <= now) {
            self.purge_due = None;
            host.flush_kernel();
            self.forget_internal(caches);
        }
        self.firm_turn(now, caches);
        if self.hello.bulk_is_due(now) {
            host.notice(Notice::BulkStarts);
            self.start_bulk(host);
        }
        if self.config.mode == Mode::Alarm {
            self.alarm_turn(now, caches);
        }
        self.resync_turn(now);
        self.sweep_turn(now, caches, host);
        self.sweep_kernel_turn(now, caches);
        if self.stats.unsendable > 0 && !self.told_unsendable {
            self.told_unsendable = true;
            host.notice(Notice::Unsendable);
        }
        if self.stats.foreign_mode > 0 && !self.told_mode {
            self.told_mode = true;
            host.notice(Notice::PeerInOtherMode);
        }
    }

    /// When to call [`Machine::turn`] and [`Machine::transmit`] again if nothing happens before: a time, which
    /// may be past, or `None` for never.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        [self.turn_deadline(now), self.transmit_deadline(now)].into_iter().flatten().min()
    }

    /// When to call [`Machine::turn`]. While the network takes nothing this is the time to wake up at, besides
    /// the network itself: what [`Machine::transmit`] has to say would be due all the time.
    pub fn turn_deadline(&self, now: Millis) -> Option<Millis> {
        let sweep = (self.resync.is_sweeping() || self.kernel_sweep_is_running()).then_some(now);
        let alarm = if self.config.mode == Mode::Alarm { self.alarm_due() } else { None };
        let hello = [self.hello.bulk_due(), self.hello.firm_due()];
        let timers = [sweep, alarm, self.resync.due(), self.purge_due];
        timers.into_iter().chain(hello).flatten().min()
    }

    fn transmit_deadline(&self, now: Millis) -> Option<Millis> {
        if self.links.room() < CONTROL_LEN {
            return None; // no message fits this link
        }
        let keepalive = (self.config.mode != Mode::Alarm).then_some(self.keepalive_at);
        let gather = self.queue.due(self.config.gather_ms);
        let bypass = self.bypass.due(self.config.gather_ms);
        let live = self.places.live();
        let paced = self.has_paced_work(now).then(|| self.pacer.next(now, live, self.may_trickle(now)));
        let acks = self.tracker.ack_due().filter(|_| self.config.mode == Mode::Ftfw);
        let answer = self.hello.answer_due().filter(|_| self.config.mode == Mode::Ftfw);
        [keepalive, gather, bypass, paced, acks, answer].into_iter().flatten().min()
    }

    /// Panics when the books are wrong: what stands in the caches and what is on the queues do not agree. For
    /// tests; looks at everything.
    #[cfg(any(test, debug_assertions))]
    pub fn check(&self, caches: &Caches) {
        self.places.check(caches);
        assert!(self.places.live() <= self.config.resend_queue_size, "the resend queue has its limit");
        assert!(self.config.mode == Mode::Ftfw || self.places.live() == 0, "nothing is kept for a resend");
        let told = self.bulk_is_pending() || self.hello.is_saying() || self.hello.firm_due().is_some();
        let queued: HashSet<Item> = self.queue.items().collect();
        let paced: HashSet<Item> = self.repair.items().collect();
        for (item, place) in records(caches) {
            let dead = caches.meta(item).is_some_and(|m| m.flags & mark::DEAD != 0);
            match place {
                Place::Queued => {
                    assert!(queued.contains(&item), "{item:?} is not on its queue")
                }
                Place::Paced => assert!(paced.contains(&item), "{item:?} is not on its queue"),
                Place::Idle => assert!(!dead || told, "the end of {item:?} is forgotten"),
                Place::InFlight(_) => {}
            }
        }
    }
}
