//! The machine: the one place where the parts meet, and where modes differ.
//!
//! Every input goes to one part, and what that part makes of it to the next: an event through [`Local`] to
//! [`Delivery`], a message through its mode to [`Remote`] or back to [`Delivery`]. No part knows the machine.

use crate::peer::alarm::AlarmSession;
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::config::Config;
use crate::peer::delivery::Delivery;
use crate::peer::entry::{Control, Sent};
use crate::peer::ftfw::FtfwSession;
use crate::peer::host::{Host, Notice};
use crate::peer::links::{Link, Links, Switch};
use crate::peer::local::{Change, Local, Origin};
use crate::peer::message::{Class, Data, Refusal, Verdict};
use crate::peer::mode::Mode;
use crate::peer::notrack::NotrackSession;
use crate::peer::remote::{Applied, Remote};
use crate::peer::stats::Stats;
use crate::peer::timers::Timer;
use crate::store::{Key, Meta};
use zct_wire::WireError;
use zct_wire::event::Event;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::peer::header::CONTROL_LEN;
use zct_wire::peer::{Expect, Flow, Message, Messages};

/// What makes a run repeatable.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// The first sequence number: the Unix time in seconds, so that the numbers of a restarted
    /// daemon lie ahead.
    pub sequence: u32,
    /// The seed for the intervals of ALARM.
    pub random: u64,
}

/// The state that only one mode has.
#[derive(Debug)]
pub(crate) enum Session {
    Ftfw(FtfwSession),
    Alarm(AlarmSession),
    Notrack(NotrackSession),
}

/// One node's side of the protocol.
///
/// # Allocation
/// Queues grow with what waits in them: four to sixteen bytes for each change and for
/// each unacknowledged message.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    links: Links,
    local: Local,
    remote: Remote,
    pub(crate) delivery: Delivery,
    pub(crate) session: Session,
    // The counts that belong to no part.
    counted: Stats,
    purge_due: Option<Millis>,
    told_mode: bool,
    told_unsendable: bool,
}

/// Whether a change of this origin is kept without telling the peer; `None` when it is not even kept: what was
/// injected is the peer's own.
fn is_quiet(origin: Origin) -> Option<bool> {
    match origin {
        Origin::Inject => None,
        Origin::Kernel => Some(false),
        Origin::Commit | Origin::Flush => Some(true),
    }
}

impl Machine {
    /// A machine that starts at `now`. `links` are the dedicated links, `active` is the one to send on.
    pub fn new(now: Millis, config: Config, links: Vec<Link>, active: usize, seed: Seed) -> Self {
        let session = match config.mode {
            Mode::Ftfw(m) => Session::Ftfw(FtfwSession::new(&m)),
            Mode::Alarm(m) => Session::Alarm(AlarmSession::new(now, m.cache_timeout_s)),
            Mode::Notrack(_) => Session::Notrack(NotrackSession::new()),
        };
        let mut m = Machine {
            links: Links::new(links, active),
            local: Local::default(),
            remote: Remote::new(&config.mode),
            delivery: Delivery::new(now, &config, seed.sequence, seed.random),
            session,
            counted: Stats::default(),
            purge_due: None,
            told_mode: false,
            told_unsendable: false,
            config,
        };
        if m.config.mode.resyncs_at_startup() {
            m.request_resync(now);
        }
        m
    }

    // State and settings.

    /// The settings that it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes over what may change at run time: the timers of commit and purge, and those of ALARM. A flow
    /// that is announced or expires already does so once more at the old interval.
    pub fn reconfigure(&mut self, new: &Config) {
        self.config.commit_timeout_s = new.commit_timeout_s;
        self.config.purge_timeout_s = new.purge_timeout_s;
        if let (Session::Alarm(alarm), Mode::Alarm(m)) = (&mut self.session, new.mode) {
            self.config.mode = new.mode;
            alarm.cache_timeout_s = m.cache_timeout_s;
        }
        self.delivery.reconfigure(&self.config);
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        Stats {
            sent: self.delivery.sent,
            unsendable: self.delivery.unsendable,
            resend_dropped: self.delivery.resend_dropped,
            bypass_dropped: self.delivery.bypass.dropped(),
            swept: self.remote.swept,
            internal: self.local.flows,
            internal_expect: self.local.expects,
            external: self.remote.flows,
            external_expect: self.remote.expects,
            ..self.counted
        }
    }

    /// The link to send on.
    pub fn active_link(&self) -> usize {
        self.links.active()
    }

    /// Messages that were sent and are not acknowledged, oldest first (`-s rsqueue`).
    pub fn resend_queue(&self, caches: &Caches) -> Vec<Sent> {
        self.delivery.in_flight(caches).collect()
    }

    /// Number of changes that wait to be sent, not counting those of a bulk (`-s queue`).
    pub fn waiting(&self) -> usize {
        self.delivery.waiting()
    }

    /// True while a bulk is being sent.
    pub fn bulk_is_running(&self) -> bool {
        self.delivery.bulk_is_running()
    }

    /// True when a requested bulk has not been received completely.
    pub fn resync_is_running(&self) -> bool {
        matches!(&self.session, Session::Ftfw(f) if f.resync.is_waiting())
    }

    /// True when the peer has been heard recently.
    pub fn peer_is_there(&self, now: Millis) -> bool {
        self.delivery.peer_is_there(now)
    }

    /// Seconds until a flow of the peer is forgotten; `None` except in ALARM, since other
    /// modes forget nothing.
    pub fn expires_in_s(&self, now: Millis, meta: Meta) -> Option<u64> {
        let Session::Alarm(alarm) = &self.session else { return None };
        Some(alarm.expires(meta).saturating_sub(now) / 1000)
    }

    // Links.

    /// Tells the machine that a link has gone up or down.
    pub fn link_state(&mut self, link: usize, up: bool, host: &mut impl Host) {
        match self.links.set_up(link, up) {
            Switch::Stays => {}
            Switch::To(next) => host.notice(Notice::LinkChanged(next)),
            Switch::NoneUp => host.notice(Notice::NoLink),
        }
    }

    /// Tells the machine how large a datagram the link can carry now.
    pub fn link_payload(&mut self, link: usize, payload_max: usize) {
        self.links.set_payload_max(link, payload_max);
    }

    // The operator's commands.

    /// `-n`: asks the peer for all its flows. Does nothing in ALARM, where they come by themselves.
    pub fn request_resync(&mut self, now: Millis) {
        match &mut self.session {
            Session::Ftfw(ftfw) => ftfw.begin_resync(now, &mut self.delivery),
            Session::Notrack(_) => self.delivery.control(now, Control::Resync),
            Session::Alarm(_) => {}
        }
    }

    /// `-B`: sends all flows, even if the peer is absent. Does nothing in ALARM.
    pub fn send_bulk(&mut self, host: &mut impl Host) {
        if matches!(self.session, Session::Alarm(_)) {
            return;
        }
        self.delivery.force_bulk();
        self.announce_bulk(host);
    }

    /// Starts a bulk, and reports that.
    fn announce_bulk(&mut self, host: &mut impl Host) {
        host.notice(Notice::BulkStarts);
        self.start_bulk(host);
    }

    /// Starts a bulk, or extends the one under way to another full circle.
    fn start_bulk(&mut self, host: &mut impl Host) {
        self.counted.bulks += 1;
        if self.config.mode.disables_internal_cache() {
            host.dump_kernel();
        } else {
            self.delivery.start_bulk();
        }
    }

    /// `-f internal`: forgets the kernel's flows and whatever was to be sent about them, without telling the
    /// peer. Cancels the purge.
    pub fn flush_internal(&mut self, caches: &mut Caches) {
        self.purge_due = None;
        self.forget_internal(caches);
    }

    fn forget_internal(&mut self, caches: &mut Caches) {
        caches.internal.clear();
        caches.internal_expect.clear();
        self.delivery.forget_records();
    }

    /// `-f external`: forgets the peer's flows.
    pub fn flush_external(&mut self, caches: &mut Caches) {
        caches.external.clear();
        caches.external_expect.clear();
        match &mut self.session {
            Session::Ftfw(ftfw) => ftfw.resync.forget_sweep(),
            Session::Alarm(alarm) => alarm.forget(),
            Session::Notrack(_) => {}
        }
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

    /// A conntrack event that has passed the filters.
    ///
    /// # Errors
    /// When the kernel's message cannot be read; nothing has changed then.
    pub fn flow_event(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        view: &FlowView<'_>,
        caches: &mut Caches,
    ) -> Result<(), WireError> {
        let flow = Flow::from_kernel(view)?;
        self.flow_change(now, event, origin, &flow, view.id()?.unwrap_or(0), caches);
        Ok(())
    }

    /// As [`Machine::flow_event`], with the message already decoded; `kernel_id` is CTA_ID.
    pub fn flow_change(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        flow: &Flow,
        kernel_id: u32,
        caches: &mut Caches,
    ) {
        let Some(quiet) = is_quiet(origin) else { return };
        if !self.config.mode.disables_internal_cache() {
            let change = self.local.flow(now, event, quiet, flow, kernel_id, caches);
            self.changed(now, change, caches);
        } else if !quiet && Key::of(flow).is_some() {
            self.bypass_flow(now, event, flow);
        }
    }

    /// A flow from the start-up dump, or from a dump that the operator asked for: stored, but not sent.
    pub fn flow_dumped(&mut self, now: Millis, flow: &Flow, kernel_id: u32, caches: &mut Caches) {
        self.flow_change(now, Event::Update, Origin::Commit, flow, kernel_id, caches);
    }

    /// An expectation event that has passed the filter of helpers.
    ///
    /// # Errors
    /// When the kernel's message cannot be read; nothing has changed then.
    pub fn expect_event(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        view: &ExpectView<'_>,
        caches: &mut Caches,
    ) -> Result<(), WireError> {
        let expect = Expect::from_kernel(view)?;
        self.expect_change(now, event, origin, &expect, caches);
        Ok(())
    }

    /// As [`Machine::expect_event`], with the message already decoded. If the expectation's master is not in
    /// the internal cache it is ignored, because the peer could not commit it.
    pub fn expect_change(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        expect: &Expect,
        caches: &mut Caches,
    ) {
        let Some(quiet) = is_quiet(origin) else { return };
        if !self.config.mode.disables_internal_cache() {
            let change = self.local.expect(now, event, quiet, expect, caches);
            self.changed(now, change, caches);
        } else if !quiet {
            let encode = self.delivery.encode();
            self.delivery.bypass.expect(now, event, expect, encode);
            self.local.expects.passed(event);
        }
    }

    /// An expectation from the start-up dump, or from a dump that the operator asked for: stored,
    /// but not sent.
    pub fn expect_dumped(&mut self, now: Millis, expect: &Expect, caches: &mut Caches) {
        self.expect_change(now, Event::Update, Origin::Commit, expect, caches);
    }

    /// Does what a change in the internal caches means for sending.
    fn changed(&mut self, now: Millis, change: Change, caches: &mut Caches) {
        match change {
            Change::Nothing => {}
            Change::Tell(item) => self.delivery.enqueue(now, item, caches),
            Change::Kept(id) => self.delivery.stored_quietly(now, id, caches),
            Change::Forget(item) => self.delivery.forget(item, caches),
        }
    }

    fn bypass_flow(&mut self, now: Millis, event: Event, flow: &Flow) {
        let encode = self.delivery.encode();
        self.delivery.bypass.flow(now, event, flow, encode);
        self.local.flows.passed(event);
    }

    /// A flow from a kernel dump that [`Host::dump_kernel`] asked for: sent as new. Pass no more while
    /// [`Machine::bypass_is_full`].
    pub fn bypass_dump(&mut self, now: Millis, flow: &Flow) {
        self.bypass_flow(now, Event::New, flow);
    }

    /// True when the dump should wait until [`Machine::transmit`] has made room.
    pub fn bypass_is_full(&self) -> bool {
        self.delivery.bypass.is_full()
    }

    /// Begins to compare the internal cache with the kernel, after an overrun or when polling: dump the
    /// tables into [`Machine::kernel_resync_flow`] and, if expectations are replicated,
    /// [`Machine::kernel_resync_expect`], then call [`Machine::end_kernel_resync`].
    pub fn begin_kernel_resync(&mut self) {
        self.local.begin_dump();
    }

    /// A flow of that dump. It will be sent in the bulk that follows.
    pub fn kernel_resync_flow(&mut self, now: Millis, flow: &Flow, kernel_id: u32, caches: &mut Caches) {
        self.flow_dumped(now, flow, kernel_id, caches);
    }

    /// An expectation of that dump, which has to come after its master.
    pub fn kernel_resync_expect(&mut self, now: Millis, expect: &Expect, caches: &mut Caches) {
        self.expect_dumped(now, expect, caches);
    }

    /// The dump is complete and without errors: what it did not contain has ended, and the rest is announced
    /// again. Must not be called if the dump failed; begin again instead.
    pub fn end_kernel_resync(&mut self, host: &mut impl Host) {
        if self.config.mode.disables_internal_cache() {
            return;
        }
        self.local.end_dump();
        if !matches!(self.session, Session::Alarm(_)) {
            self.start_bulk(host);
        }
    }

    // The peer.

    /// A datagram that came in on `link`, or whole messages from a stream (see
    /// [`Reassembler`](crate::peer::Reassembler)).
    ///
    /// Bad messages are counted and cost nothing but themselves, unless their length cannot be trusted; then
    /// they cost the rest of the datagram.
    pub fn datagram(
        &mut self,
        now: Millis,
        link: usize,
        bytes: &[u8],
        caches: &mut Caches,
        host: &mut impl Host,
    ) {
        for message in Messages::new(bytes) {
            match message {
                Err(bad) => self.counted.bad(bad),
                Ok(m) => {
                    if self.message(now, &m, caches, host) {
                        self.heard(now, link, host);
                    }
                }
            }
        }
    }

    /// Handles a message as its mode judges it, with all consequences. False when it was not accepted.
    fn message(&mut self, now: Millis, m: &Message<'_>, caches: &mut Caches, host: &mut impl Host) -> bool {
        let verdict = match &mut self.session {
            Session::Ftfw(ftfw) => ftfw.receive(now, m, &mut self.delivery, caches),
            Session::Alarm(_) => AlarmSession::receive(m),
            Session::Notrack(notrack) => notrack.receive(now, m),
        };
        self.count(&verdict);
        if verdict.started {
            host.notice(Notice::PeerStarted);
        }
        if verdict.renumbered {
            host.notice(Notice::PeerRenumbered);
        }
        match verdict.taken {
            Err(_) => return false,
            Ok(Class::Data(data)) => self.data(now, (data, m.body()), caches, host),
            Ok(Class::Resync) => {
                host.notice(Notice::ResyncRequested);
                self.announce_bulk(host);
                if let Session::Ftfw(_) = self.session {
                    self.delivery.defer(m.seq);
                }
            }
            Ok(Class::Alive | Class::Ack(_) | Class::Nack(_)) => {}
        }
        true
    }

    fn count(&mut self, verdict: &Verdict) {
        self.counted.lost += u64::from(verdict.lost);
        self.counted.before += u64::from(verdict.before);
        self.counted.peer_starts += u64::from(verdict.started);
        match verdict.taken {
            Ok(_) => self.counted.received += 1,
            Err(Refusal::Header) => self.counted.header(),
            Err(Refusal::Before) => self.counted.before += 1,
            Err(Refusal::OtherMode) => self.counted.foreign_mode += 1,
        }
    }

    /// Handles data from the peer, with the body of its message.
    fn data(&mut self, now: Millis, data: (Data, &[u8]), caches: &mut Caches, host: &mut impl Host) {
        let generation = match &self.session {
            Session::Ftfw(ftfw) => ftfw.resync.generation(),
            Session::Alarm(_) | Session::Notrack(_) => 0,
        };
        let applied = self.remote.apply(now, data, generation, caches, host);
        if applied == Applied::Malformed {
            self.counted.payload();
        }
        match (&mut self.session, applied) {
            // The flow it was about must not be swept just because the message was not understood.
            (Session::Ftfw(ftfw), Applied::Malformed) => ftfw.resync.abandon(),
            (Session::Alarm(alarm), Applied::Stored(id)) => alarm.arm(id, caches),
            (Session::Ftfw(_) | Session::Alarm(_) | Session::Notrack(_), _) => {}
        }
    }

    /// A message that came in on `link` was accepted.
    fn heard(&mut self, now: Millis, link: usize, host: &mut impl Host) {
        self.delivery.heard(now);
        if let Session::Ftfw(ftfw) = &mut self.session {
            ftfw.heard(now, &mut self.delivery);
        }
        if self.links.heard(link) {
            host.notice(Notice::LinkChanged(link));
        }
    }

    /// Writes the next datagram to the start of `buf` and returns its length, or `None` when nothing is due.
    /// Send it on [`Machine::active_link`]. Over TCP the same bytes go into the stream, whole and in order.
    ///
    /// Call it until it returns `None` or the turn's budget is used up; what is left remains due. Do not call
    /// it while the network accepts nothing: then changes of the same flow merge in the queue instead of
    /// being lost.
    pub fn transmit(&mut self, now: Millis, caches: &mut Caches, buf: &mut [u8]) -> Option<usize> {
        let room = self.links.room();
        if let Session::Ftfw(ftfw) = &mut self.session {
            ftfw.acknowledge_open(now, &mut self.delivery);
        }
        let written = self.delivery.fill(now, room, caches, buf);
        if let Session::Ftfw(ftfw) = &mut self.session {
            ftfw.filled(now, &mut self.delivery);
        }
        written
    }

    // Time.

    /// Runs the timers that are due, and a bounded piece of background work. Call it when
    /// [`Machine::deadline`] has come, and before the first [`Machine::transmit`] of a turn.
    pub fn turn(&mut self, now: Millis, caches: &mut Caches, host: &mut impl Host) {
        if self.purge_due.is_some_and(|due| due <= now) {
            self.purge_due = None;
            host.flush_kernel();
            self.forget_internal(caches);
        }
        self.delivery.firm_turn(now, caches);
        if self.delivery.hello.bulk_is_due(now) {
            self.announce_bulk(host);
        }
        match &mut self.session {
            Session::Ftfw(ftfw) => {
                ftfw.resync_turn(now, &mut self.delivery);
                if let Some(swept) = ftfw.sweep_turn(now, &mut self.delivery, &mut self.remote, caches) {
                    host.notice(Notice::Swept(swept));
                }
            }
            Session::Alarm(alarm) => alarm.turn(now, &mut self.delivery, &mut self.remote, caches),
            Session::Notrack(_) => {}
        }
        let delivery = &mut self.delivery;
        self.local.sweep_turn(caches, |item, caches| delivery.enqueue(now, item, caches));
        if self.delivery.unsendable > 0 && !self.told_unsendable {
            self.told_unsendable = true;
            host.notice(Notice::Unsendable);
        }
        if self.counted.foreign_mode > 0 && !self.told_mode {
            self.told_mode = true;
            host.notice(Notice::PeerInOtherMode);
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
        match (timer, &self.session) {
            (Timer::Purge, _) => self.purge_due,
            (Timer::Firm, _) => self.delivery.hello.firm_due(),
            (Timer::Bulk, _) => self.delivery.hello.bulk_due(),
            (Timer::Announce, _) => self.delivery.announce_due(),
            (Timer::Expire, Session::Alarm(alarm)) => alarm.due(),
            (Timer::Resync, Session::Ftfw(ftfw)) => ftfw.resync.due(),
            (Timer::Sweep, Session::Ftfw(ftfw)) if ftfw.resync.is_sweeping() => Some(now),
            (Timer::Sweep, _) => self.local.is_sweeping().then_some(now),
            (Timer::KeepAlive, _) => self.delivery.keepalive_due(),
            (Timer::Gather, _) => self.delivery.queue_due(),
            (Timer::Bypass, _) => self.delivery.bypass_due(),
            (Timer::Paced, _) => self.delivery.paced_due(now, room),
            (Timer::Acknowledge, Session::Ftfw(ftfw)) => ftfw.ack_due(),
            (Timer::Answer, _) => self.delivery.hello.answer_due(),
            (Timer::Expire | Timer::Resync | Timer::Acknowledge, _) => None,
        }
    }

    /// Panics when what the caches say about the queues differs from what is on them. For tests, as it looks
    /// at everything.
    #[cfg(any(test, debug_assertions))]
    pub fn check(&self, caches: &Caches) {
        self.delivery.check(caches);
    }
}
