//! The machine: the one place where the parts meet.
//!
//! Every input goes to one part, and what that part makes of it to the next: an event through [`Local`] to
//! [`Delivery`], a message through the [`Session`] of its mode to [`Remote`] or back to [`Delivery`]. No part
//! knows the machine.

mod view;

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::config::{PeerConfig, Seed};
use crate::peer::delivery::Delivery;
use crate::peer::ftfw::SUMS_A_TURN;
use crate::peer::links::{Link, PeerLinks, Switch};
use crate::peer::local::{Local, Origin, Telling};
use crate::peer::message::{Class, Data};
use crate::peer::mode::Mode;
use crate::peer::output::{Notice, Output, Outputs};
use crate::peer::remote::{Applied, Remote};
use crate::peer::session::Session;
use crate::peer::stats::PeerStats;
use crate::peer::timers::Timer;
use crate::store::Key;
use zct_wire::event::Event;
use zct_wire::peer::digest::{Ask, MARK};
use zct_wire::peer::header::CONTROL_LEN;
use zct_wire::peer::{Digest, Expect, Flow, Message, Messages};

/// One node's side of the protocol.
///
/// # Allocation
/// Queues grow with what waits in them: four to sixteen bytes for each change and for
/// each unacknowledged message.
#[derive(Debug)]
pub struct Machine {
    config: PeerConfig,
    caches: Caches,
    outputs: Outputs,
    links: PeerLinks,
    local: Local,
    remote: Remote,
    pub(crate) delivery: Delivery,
    pub(crate) session: Session,
    // The counts that belong to no part.
    counted: PeerStats,
    purge_due: Option<Millis>,
    // When the peer is asked for all its flows because of ResyncInterval.
    scheduled: Option<Millis>,
    reported_other_mode: bool,
    reported_unsendable: bool,
}

impl Machine {
    /// A machine that starts at `now`. `links` are the dedicated links, `active` is the one to send on.
    pub fn new(now: Millis, config: PeerConfig, links: Vec<Link>, active: usize, seed: Seed) -> Self {
        let mut m = Machine {
            caches: Caches::new(&config, seed.hash),
            outputs: Outputs::default(),
            links: PeerLinks::new(links, active),
            local: Local::new(config.sync_after_s),
            remote: Remote::new(&config.mode),
            delivery: Delivery::new(now, &config, seed.sequence, seed.random, seed.digest_key()),
            session: Session::new(now, &config),
            counted: PeerStats::default(),
            purge_due: None,
            scheduled: config.resync_ms.map(|ms| now + ms),
            reported_other_mode: false,
            reported_unsendable: false,
            config,
        };
        if m.config.mode.resyncs_at_startup() {
            m.request_resync(now);
        }
        m
    }

    // State and settings.

    /// The settings that it runs with.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Takes over what may change at run time: the timers of commit, purge and scheduled requests, how soon the peer
    /// is told of flows and how often of changes, and the timers of ALARM. A flow that is announced or expires already
    /// does so once more at the old interval.
    pub fn reconfigure(&mut self, now: Millis, new: &PeerConfig) {
        if self.config.resync_ms != new.resync_ms {
            self.config.resync_ms = new.resync_ms;
            self.scheduled = new.resync_ms.map(|ms| now + ms);
        }
        self.config.commit_timeout_s = new.commit_timeout_s;
        self.config.purge_timeout_s = new.purge_timeout_s;
        self.config.sync_after_s = new.sync_after_s;
        self.config.update_interval_s = new.update_interval_s;
        self.local.reconfigure(new.sync_after_s);
        self.config.digest_ms = new.digest_ms;
        if self.session.reconfigure(new) {
            self.config.mode = new.mode;
        }
        self.delivery.reconfigure(&self.config);
    }

    /// The caches, to prepare a test.
    #[cfg(test)]
    pub(crate) fn caches_mut(&mut self) -> &mut Caches {
        &mut self.caches
    }

    /// Takes what the machine asks for, oldest first; `None` when nothing is left. Take everything before the
    /// daemon sleeps: until then flows that are to be injected are kept.
    pub fn poll(&mut self) -> Option<Output<'_>> {
        self.outputs.poll()
    }

    // Links.

    /// Tells the machine that a link has gone up or down.
    pub fn link_state(&mut self, link: usize, up: bool) {
        match self.links.set_up(link, up) {
            Switch::Stays => {}
            Switch::To(next) => self.outputs.notice(Notice::LinkChanged(next)),
            Switch::NoneUp => self.outputs.notice(Notice::NoLink),
        }
    }

    /// Tells the machine how large a datagram the link can carry now.
    pub fn link_payload(&mut self, link: usize, payload_max: usize) {
        self.links.set_payload_max(link, payload_max);
    }

    // The operator's commands.

    /// `-n`: asks the peer for all its flows. Does nothing in ALARM, where they come by themselves.
    pub fn request_resync(&mut self, now: Millis) {
        self.session.request_resync(now, &mut self.delivery);
    }

    /// `-B`: sends all flows, even if the peer is absent. Does nothing in ALARM.
    pub fn send_bulk(&mut self) {
        if !self.session.has_bulks() {
            return;
        }
        self.delivery.force_bulk();
        self.announce_bulk();
    }

    /// Starts a bulk, and reports that.
    fn announce_bulk(&mut self) {
        self.outputs.notice(Notice::BulkStarts);
        self.start_bulk();
    }

    /// Starts the bulk that the peer has asked for, or needs.
    fn serve_bulk(&mut self, now: Millis) {
        self.announce_bulk();
        self.session.serves_bulk(now, &mut self.delivery);
    }

    /// Starts a bulk, or extends the one under way to another full circle.
    fn start_bulk(&mut self) {
        self.counted.bulks += 1;
        if self.config.mode.disables_internal_cache() {
            self.outputs.dump_kernel();
        } else {
            self.delivery.start_bulk();
        }
    }

    /// `-f internal`: forgets the kernel's flows and whatever was to be sent about them, without telling the
    /// peer. Cancels the purge.
    pub fn flush_internal(&mut self, now: Millis) {
        self.purge_due = None;
        self.forget_internal(now);
    }

    fn forget_internal(&mut self, now: Millis) {
        self.caches.internal.clear();
        self.caches.internal_expect.clear();
        self.delivery.forget_records(now);
        self.local.forget();
    }

    /// `-f external`: forgets the peer's flows.
    pub fn flush_external(&mut self) {
        self.caches.external.clear();
        self.caches.external_expect.clear();
        self.session.forget_external();
    }

    /// `-t`: will flush the kernel's table and the internal cache in PurgeTimeout seconds. Returns the
    /// seconds, or `None` when a purge is pending already.
    pub fn purge(&mut self, now: Millis) -> Option<u32> {
        if self.purge_due.is_some() {
            return None;
        }
        self.purge_due = Some(now + Millis::from(self.config.purge_timeout_s) * 1000);
        Some(self.config.purge_timeout_s)
    }

    /// Cancels the purge, as a commit or a flush does.
    pub fn cancel_purge(&mut self) {
        self.purge_due = None;
    }

    // The kernel.

    /// A conntrack event that has passed the filters; `kernel_id` is CTA_ID.
    pub fn flow_change(&mut self, now: Millis, event: Event, origin: Origin, flow: &Flow, kernel_id: u32) {
        let Some(quiet) = origin.is_quiet() else { return };
        if !self.config.mode.disables_internal_cache() {
            let telling = if quiet { Telling::Quiet } else { Telling::Now };
            self.store_flow(now, event, telling, flow, kernel_id);
        } else if !quiet && Key::of(flow).is_some() {
            self.bypass_flow(now, event, flow);
        }
    }

    fn store_flow(&mut self, now: Millis, event: Event, telling: Telling, flow: &Flow, kernel_id: u32) {
        self.make_room(event, flow);
        let change = self.local.flow(now, event, telling, flow, kernel_id, &mut self.caches);
        self.delivery.changed(now, change, &mut self.caches);
    }

    /// Takes care that ended flows, which are kept until the peer knows, take no room from living ones,
    /// however long the peer is absent.
    fn make_room(&mut self, event: Event, flow: &Flow) {
        let cache = &self.caches.internal;
        let wanted = event != Event::Destroy && cache.is_full();
        if wanted && cache.counts().dead > 0 && Key::of(flow).is_some_and(|k| cache.find(&k).is_none()) {
            self.delivery.make_room(&mut self.caches);
        }
    }

    /// A flow from a dump: the first one, or one that the operator asked for. It is stored, but not sent.
    pub fn flow_dumped(&mut self, now: Millis, flow: &Flow, kernel_id: u32) {
        self.flow_change(now, Event::Update, Origin::Commit, flow, kernel_id);
    }

    /// A flow from a dump that compares the internal cache with the kernel. What it has that was not known is sent with
    /// the bulk that follows, or at once in a mode without bulks.
    pub fn flow_compared(&mut self, now: Millis, flow: &Flow, kernel_id: u32) {
        if !self.config.mode.disables_internal_cache() {
            self.store_flow(now, Event::Update, Telling::Found, flow, kernel_id);
        }
    }

    /// An expectation event that has passed the filter of helpers. If the expectation's master is not in
    /// the internal cache it is ignored, because the peer could not commit it.
    pub fn expect_change(&mut self, now: Millis, event: Event, origin: Origin, expect: &Expect) {
        let Some(quiet) = origin.is_quiet() else { return };
        if !self.config.mode.disables_internal_cache() {
            if event != Event::Destroy {
                let master = self.local.release_master(expect, &mut self.caches);
                self.delivery.changed(now, master, &mut self.caches);
            }
            let change = self.local.expect(now, event, quiet, expect, &mut self.caches);
            self.delivery.changed(now, change, &mut self.caches);
        } else if !quiet {
            let encode = self.delivery.encode();
            self.delivery.bypass.expect(now, event, expect, encode);
            self.local.expects.passed(event);
        }
    }

    /// As [`Machine::flow_dumped`], for an expectation. Its master has to come before it.
    pub fn expect_dumped(&mut self, now: Millis, expect: &Expect) {
        self.expect_change(now, Event::Update, Origin::Commit, expect);
    }

    fn bypass_flow(&mut self, now: Millis, event: Event, flow: &Flow) {
        let encode = self.delivery.encode();
        self.delivery.bypass.flow(now, event, flow, encode);
        self.local.flows.passed(event);
    }

    /// A flow from a kernel dump that [`Output::DumpKernel`] asked for: sent as new. Pass no more while
    /// [`Machine::bypass_is_full`].
    pub fn bypass_dump(&mut self, now: Millis, flow: &Flow) {
        self.bypass_flow(now, Event::New, flow);
    }

    /// True when the dump should wait until [`Machine::transmit`] has made room.
    pub fn bypass_is_full(&self) -> bool {
        self.delivery.bypass.is_full()
    }

    /// Begins to compare the internal cache with the kernel, after an overrun or when polling: dump the
    /// tables into [`Machine::flow_compared`] and, if expectations are replicated, into
    /// [`Machine::expect_dumped`], then call [`Machine::end_kernel_resync`].
    pub fn begin_kernel_resync(&mut self) {
        self.local.begin_dump();
    }

    /// The dump is complete and without errors: what it did not contain has ended, and the rest is announced
    /// again. Must not be called if the dump failed; begin again instead.
    pub fn end_kernel_resync(&mut self) {
        if self.config.mode.disables_internal_cache() {
            return;
        }
        self.local.end_dump();
        if self.session.has_bulks() {
            self.start_bulk();
        }
    }

    /// Begins to compare the internal cache with the kernel without changing it: read the table, as slowly as
    /// you like, into [`Machine::flow_reviewed`], then call [`Machine::end_kernel_review`]. False when this is no
    /// time for it. [`Machine::begin_kernel_resync`] puts an end to it.
    pub fn begin_kernel_review(&mut self) -> bool {
        !self.config.mode.disables_internal_cache() && self.local.begin_review()
    }

    /// The kernel has this flow. `comparable` unless an event has told of it since the kernel said so, or the
    /// filter leaves it out.
    pub fn flow_reviewed(&mut self, flow: &Flow, comparable: bool) {
        self.local.reviewed(flow, comparable, &mut self.caches);
    }

    /// The table was read whole.
    pub fn end_kernel_review(&mut self) {
        self.local.review.read();
    }

    /// The table could not be read whole.
    pub fn give_up_kernel_review(&mut self) {
        self.local.review.give_up();
    }

    /// How many flows differ from the kernel's, once after each review.
    pub fn take_review(&mut self) -> Option<u64> {
        self.local.review.take()
    }

    // The peer.

    /// Messages of the peer were dropped below the machine until now. What was in them comes again, except
    /// where nobody acknowledges anything: there the peer is asked for its flows.
    pub fn peer_was_not_heard(&mut self, now: Millis) {
        if matches!(self.config.mode, Mode::Notrack(_)) {
            self.request_resync(now);
        }
    }

    /// The peer has started, as its keys show, whatever its messages say. What came before may have been on its
    /// way since an earlier start: an attacker can hold back what was said then, HELLO and flows that have ended
    /// since, and our answer to that HELLO ends the greeting of the new start.
    pub fn peer_is_another(&mut self, now: Millis) {
        self.session.peer_is_another(now, &mut self.delivery);
    }

    /// Whether nothing is taken but what is sealed, so that a start shows in the peer's keys: then a HELLO whose
    /// number has passed is an old one.
    pub fn starts_show_in_keys(&mut self, so: bool) {
        self.session.starts_show_in_keys(so);
    }

    /// A datagram that came in on `link`, or whole messages from a stream (see
    /// [`Reassembler`](crate::peer::Reassembler)).
    ///
    /// Bad messages are counted and cost nothing but themselves, unless their length cannot be trusted; then
    /// they cost the rest of the datagram.
    pub fn datagram(&mut self, now: Millis, link: usize, bytes: &[u8]) {
        for message in Messages::new(bytes) {
            match message {
                Err(bad) => self.counted.bad(bad),
                Ok(m) => {
                    if self.message(now, &m) {
                        self.accepted(now, link);
                    }
                }
            }
        }
    }

    /// Handles a message as its mode judges it, with all consequences. False when it was not accepted.
    fn message(&mut self, now: Millis, m: &Message<'_>) -> bool {
        let verdict = self.session.receive(now, m, &mut self.delivery, &mut self.caches);
        self.counted.verdict(&verdict);
        if verdict.started && self.delivery.hello.may_report(now) {
            self.outputs.notice(Notice::PeerStarted);
        }
        if verdict.renumbered {
            self.outputs.notice(Notice::PeerRenumbered);
        }
        match verdict.taken {
            Err(_) => return false,
            Ok(Class::Data(data)) => self.data(now, (data, m.body())),
            Ok(Class::Resync) => {
                self.delivery.speaker.peer_asks_for_all();
                if m.range() == Some((0, MARK)) {
                    self.session.peer_compares(now);
                    self.asked(now, Ask::Whole);
                }
                if self.delivery.may_serve(now, &self.caches) {
                    self.outputs.notice(Notice::ResyncRequested);
                    self.serve_bulk(now);
                }
                self.session.bulk_requested(m.seq, &mut self.delivery);
            }
            Ok(Class::Digest) => self.digest(now, m),
            Ok(Class::Alive | Class::Ack(_) | Class::Nack(_)) => {}
        }
        true
    }

    /// Handles a message about sums.
    fn digest(&mut self, now: Millis, m: &Message<'_>) {
        match Digest::decode(m) {
            Some(Digest::Ask(ask)) => {
                self.session.peer_compares(now);
                self.asked(now, ask);
            }
            Some(Digest::Repair(leaves)) => {
                self.delivery.want_leaves(now, &leaves);
                self.session.bulk_requested(m.seq, &mut self.delivery);
            }
            Some(answer @ (Digest::Whole(_) | Digest::Parts(..))) => {
                let differs = self.session.digest(now, answer, &mut self.delivery, &mut self.caches);
                if let Some(leaves) = differs {
                    self.outputs.notice(Notice::Differs(leaves));
                }
            }
            None => {}
        }
    }

    /// The peer asks for sums, which are kept from the first time on.
    fn asked(&mut self, now: Millis, ask: Ask) {
        // Without an internal cache there is nothing that could be compared, which is not the same as no flow.
        if self.config.digest_ms.is_none() || self.config.mode.disables_internal_cache() {
            return;
        }
        let anew = ask == Ask::Whole && self.delivery.speaker.adds_anew();
        if anew || self.caches.internal.sums_key().is_none() {
            self.caches.internal.begin_sums(self.delivery.speaker.key());
            if !matches!(self.config.mode, Mode::Ftfw(_)) {
                self.caches.internal.watch();
            }
        }
        self.delivery.speaker.ask(now, ask);
    }

    /// Handles data from the peer, with the body of its message.
    fn data(&mut self, now: Millis, data: (Data, &[u8])) {
        let generation = self.session.generation();
        let applied = self.remote.apply(now, data, generation, &mut self.caches, &mut self.outputs);
        if applied == Applied::Malformed {
            self.counted.payload();
        }
        self.session.applied(applied, &mut self.caches);
    }

    /// A message that came in on `link` was accepted.
    fn accepted(&mut self, now: Millis, link: usize) {
        self.delivery.accepted(now);
        self.session.accepted(now, &mut self.delivery);
        if self.links.accepted(link) {
            self.outputs.notice(Notice::LinkChanged(link));
        }
    }

    /// Writes the next datagram to the start of `buf` and returns its length, or `None` when nothing is due.
    /// Send it on [`Machine::active_link`]. Over TCP the same bytes go into the stream, whole and in order.
    ///
    /// Call it until it returns `None` or the turn's budget is used up; what is left remains due. Do not call
    /// it while the network accepts nothing: then changes of the same flow merge in the queue instead of
    /// being lost.
    pub fn transmit(&mut self, now: Millis, buf: &mut [u8]) -> Option<usize> {
        let room = self.links.room();
        self.session.before_filling(now, &mut self.delivery);
        let written = self.delivery.fill(now, room, &mut self.caches, buf);
        self.session.after_filling(now, &mut self.delivery);
        written
    }

    // Time.

    /// Runs the timers that are due, and a bounded piece of background work. Call it when
    /// [`Machine::deadline`] has come, and before the first [`Machine::transmit`] of a turn.
    pub fn turn(&mut self, now: Millis) {
        if self.purge_due.is_some_and(|due| due <= now) {
            self.purge_due = None;
            self.outputs.flush_kernel();
            self.forget_internal(now);
        }
        if self.scheduled.is_some_and(|due| due <= now) {
            self.scheduled = self.config.resync_ms.map(|ms| now + ms);
            if !self.session.compares() {
                self.request_resync(now);
            }
        }
        self.delivery.repeats_turn(now, &mut self.caches);
        if self.delivery.bulk_is_due(now, &self.caches) {
            self.serve_bulk(now);
        }
        self.caches.internal.sum_turn(SUMS_A_TURN);
        self.delivery.repair_turn(now, &self.caches);
        let partial = self.session.repairs_some();
        let swept = self.session.turn(now, &mut self.delivery, &mut self.remote, &mut self.caches);
        if let Some(swept) = swept {
            self.outputs.notice(if partial {
                Notice::DifferenceRepaired(swept)
            } else {
                Notice::Swept(swept)
            });
        }
        let delivery = &mut self.delivery;
        let mut changed = |change, caches: &mut Caches| delivery.changed(now, change, caches);
        self.local.sweep_turn(&mut self.caches, &mut changed);
        self.local.review_turn(&mut self.caches);
        self.local.hold_turn(now, &mut self.caches, &mut changed);
        self.delivery.rest_turn(now, &mut self.caches);
        if self.delivery.unsendable > 0 && !self.reported_unsendable {
            self.reported_unsendable = true;
            self.outputs.notice(Notice::Unsendable);
        }
        if self.counted.foreign_mode > 0 && !self.reported_other_mode {
            self.reported_other_mode = true;
            self.outputs.notice(Notice::PeerInOtherMode);
        }
    }

    /// When to call [`Machine::turn`] and [`Machine::transmit`] again if nothing happens earlier: a time,
    /// which may be past, or `None` for never.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        Timer::ALL.into_iter().filter_map(|t| self.due(t, now)).min()
    }

    /// When to call [`Machine::turn`]. While the network accepts nothing, this is the time to wake up at,
    /// besides the network itself, because what [`Machine::transmit`] has to send would be due all the time.
    pub fn turn_deadline(&self, now: Millis) -> Option<Millis> {
        Timer::ALL.into_iter().filter(|t| !t.sends()).filter_map(|t| self.due(t, now)).min()
    }

    /// When a timer is due: the one table of all timers.
    fn due(&self, timer: Timer, now: Millis) -> Option<Millis> {
        let room = self.links.room();
        if timer.sends() && room < CONTROL_LEN {
            return None; // no message fits on this link
        }
        match timer {
            Timer::Purge => self.purge_due,
            Timer::Scheduled => self.scheduled,
            Timer::Repeats => self.delivery.hello.repeats_due(),
            Timer::Bulk => self.delivery.hello.bulk_due(),
            Timer::Announce => self.delivery.announce_due(),
            Timer::Expire => self.session.expire_due(),
            Timer::Resync => self.session.resync_due(),
            Timer::Sweep => {
                let counting = self.local.review.is_counting();
                (self.session.is_sweeping() || self.local.is_sweeping() || counting).then_some(now)
            }
            Timer::Hold => self.local.hold_due(),
            Timer::Rest => self.delivery.rest_due(now, &self.caches),
            Timer::Digest => {
                [self.session.digest_due(now), self.delivery.speaker.repair_due()].into_iter().flatten().min()
            }
            Timer::Sums => {
                (self.caches.internal.is_summing() || self.caches.external.is_summing()).then_some(now)
            }
            Timer::KeepAlive => self.delivery.keepalive_due(),
            Timer::Gather => self.delivery.queue_due(),
            Timer::Bypass => self.delivery.bypass_due(),
            Timer::Paced => self.delivery.paced_due(now, room),
            Timer::Acknowledge => self.session.ack_due(),
            Timer::Answer => self.delivery.hello.answer_due(),
            Timer::AnswerSums => self.delivery.answer_due(now, &self.caches),
        }
    }

    /// Panics when what the caches say about the queues differs from what is on them. For tests, as it looks
    /// at everything.
    #[cfg(any(test, debug_assertions))]
    pub fn check(&self) {
        self.delivery.check(&self.caches);
        self.session.check(&self.delivery, &self.caches);
        self.local.check(&self.caches);
        self.outputs.check();
    }
}
