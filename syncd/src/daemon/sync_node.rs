//! A node that keeps its peer informed: the protocol machine, between the kernel's events, the links
//! and the operator.

use crate::config::parts;
use crate::config::settings::{Config, Expectations, Sync};
use crate::control::statistics::SyncView;
use crate::daemon::catch_up::{self, CatchUp};
use crate::daemon::numbers::Numbers;
use crate::daemon::sealing;
use crate::daemon::start_error::StartError;
use crate::daemon::transfers::TransferProgress;
use crate::host::log::Log;
use crate::kernel::commit::{Commit, Outcome};
use crate::kernel::flush::Flush;
use crate::kernel::inject::Injector;
use crate::kernel::{Kernel, OwnPorts, Taker, Why};
use crate::links::{Happening, LinkChange, Links};
use crate::peer::seal::{Seal, Settings};
use crate::peer::{self, Event, Machine, Millis, Mode, Notice, Origin, Output, Seed};
use crate::stats::ended::Ended;
use crate::store::{Key, Meta};
use zct_engine::{Error, Reactor, errno_text};
use zct_wire::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::peer::sealed::OVERHEAD;
use zct_wire::peer::{Expect, Flow};

/// Datagrams made in one turn; what is left remains due.
const DATAGRAMS_A_TURN: usize = 64;
/// Batches of injected changes in one turn.
const INJECTIONS_A_TURN: usize = 8;

/// Everything that only a sync daemon has.
#[derive(Debug)]
pub(super) struct SyncNode {
    pub(super) machine: Machine,
    pub(super) links: Links,
    pub(super) commit: Commit,
    pub(super) catch_up: CatchUp,
    pub(super) ended: Ended,
    /// Flows that comparisons with the kernel have added or removed.
    pub(super) repaired: u64,
    /// When what is in flight was sent.
    pub(super) numbers: Numbers,
    /// Flows asked of the peer, and flows sent to it.
    pub(super) resync: TransferProgress,
    pub(super) bulk: TransferProgress,
    /// True when the pending bulk is one that the peer needs or that the operator has asked for.
    bulk_matters: bool,
    /// Where messages are sealed.
    pub(super) seal: Option<Seal>,
    injector: Option<Injector>,
    /// Deletes for the purge timer: its port tells the events of these from others.
    purge: Flush,
    error_queue: usize,
    expectations: bool,
    /// The network accepts nothing for now.
    blocked: bool,
    /// All flows that the peer was asked for have come, and what it no longer has is gone.
    resynced: bool,
}

impl SyncNode {
    /// Opens the links and the sockets for changes. `first_token` and the next [`Links::tokens`] belong to
    /// the links.
    pub(super) fn open(
        config: &Config,
        sync: &Sync,
        seal: Option<Seal>,
        random: [u64; 3],
        now: Millis,
        first_token: usize,
        log: &mut Log,
    ) -> Result<SyncNode, StartError> {
        let protocol = parts::protocol(config, sync);
        let error_queue = parts::error_queue(sync);
        let links = Links::open(&parts::links(sync), error_queue, first_token).map_err(StartError::Links)?;
        let injector = match protocol.mode.disables_external_cache() {
            true => Some(Injector::open(protocol.tcp_window_tracking).map_err(StartError::Changes)?),
            false => None,
        };
        if protocol.mode.disables_internal_cache() {
            log.notice("disabling internal cache");
        }
        if protocol.mode.disables_external_cache() {
            log.notice("disabling external cache");
        }
        let [a, b, c] = random;
        let sequence = crate::host::log::now_s() as u32;
        let states = links.all.iter().map(|l| room_for(l.link(), seal.as_ref())).collect();
        let seed = Seed { sequence, random: c, hash: [a, b] };
        let machine = Machine::new(now, protocol, states, sync.default_link, seed);
        Ok(SyncNode {
            machine,
            links,
            commit: Commit::open().map_err(StartError::Changes)?,
            catch_up: CatchUp::default(),
            ended: Ended::default(),
            repaired: 0,
            numbers: Numbers::default(),
            resync: TransferProgress::default(),
            bulk: TransferProgress::default(),
            bulk_matters: false,
            seal,
            injector,
            purge: Flush::open().map_err(StartError::Changes)?,
            error_queue,
            expectations: sync.expectations != Expectations::Off,
            blocked: false,
            resynced: false,
        })
    }

    /// The ports whose events we cause ourselves.
    pub(super) fn ports(&self) -> OwnPorts {
        OwnPorts {
            commit: self.commit.port(),
            inject: self.injector.as_ref().map_or(0, Injector::port),
            purge: self.purge.port(),
        }
    }

    /// True if `ExpectationSync` is on.
    pub(super) fn has_expectations(&self) -> bool {
        self.expectations
    }

    /// The parts that reports are about.
    pub(super) fn view(&self) -> SyncView<'_> {
        SyncView {
            machine: &self.machine,
            links: &self.links,
            injector: self.injector.as_ref(),
            error_queue: self.error_queue,
            expectations: self.expectations,
        }
    }

    /// The taker of the kernel's events and dumps.
    pub(super) fn taker(&mut self, now: Millis) -> SyncTaker<'_> {
        let catching_up = self.catch_up.tells();
        let SyncNode { machine, ended, repaired, .. } = self;
        SyncTaker { now, machine, ended, repaired, catching_up }
    }

    /// A link is ready for reading.
    pub(super) fn link_ready(
        &mut self,
        token: usize,
        now: Millis,
        budget: usize,
        reactor: &mut Reactor,
    ) -> Result<zct_engine::Turn, Error> {
        let SyncNode { machine, links, seal, .. } = self;
        links.ready(token, now, budget, reactor, &mut |link, bytes| match seal {
            Some(seal) => seal.open(now, bytes, &mut |messages| machine.datagram(now, link, messages)),
            None => machine.datagram(now, link, bytes),
        })
    }

    /// The state of interfaces has changed.
    pub(super) fn interfaces_ready(&mut self) -> Result<zct_engine::Turn, Error> {
        let mut changed = Vec::new();
        let turn = self.links.interfaces_ready(&mut changed)?;
        for LinkChange { link, now } in changed {
            let now = room_for(now, self.seal.as_ref());
            self.machine.link_payload(link, now.payload_max);
            self.machine.link_state(link, now.up);
        }
        Ok(turn)
    }

    /// Takes over other keys, or their absence.
    pub(super) fn take_keys(
        &mut self,
        now: Millis,
        settings: Option<Settings>,
        log: &mut Log,
    ) -> Result<(), Error> {
        sealing::change(now, &mut self.seal, settings, log)?;
        for (at, l) in self.links.all.iter().enumerate() {
            self.machine.link_payload(at, room_for(l.link(), self.seal.as_ref()).payload_max);
        }
        Ok(())
    }

    /// `-B`: sends everything to the peer.
    pub(super) fn send_bulk(&mut self) {
        self.machine.send_bulk();
    }

    /// The dump of the kernel is complete: what is in the cache but not in the kernel has ended.
    pub(super) fn end_kernel_resync(&mut self) {
        self.machine.end_kernel_resync();
    }

    /// One turn of the machine and of what it asks for. `quiet` says that no events wait to be taken. True
    /// when there is more to do at once.
    pub(super) fn turn(
        &mut self,
        now: Millis,
        quiet: bool,
        kernel: &mut Kernel,
        log: &mut Log,
    ) -> Result<bool, Error> {
        if let Some(seal) = &mut self.seal {
            sealing::settle(now, seal, &mut self.machine, log);
        }
        let ended = self.machine.stats().internal.destroyed;
        self.machine.turn(now);
        // No flow ends by itself: a turn ends those that a comparison has not found.
        self.repaired += self.machine.stats().internal.destroyed - ended;
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Notice(notice) => {
                    if notice == Notice::BulkStarts {
                        self.bulk_matters = true;
                        self.catch_up.bulk_begins();
                    }
                    self.resynced |= matches!(notice, Notice::Swept(_));
                    say(&self.links, notice, log);
                }
                Output::InjectFlow(event, flow) => self.injector.iter_mut().for_each(|i| i.flow(event, flow)),
                Output::InjectExpect(event, e) => self.injector.iter_mut().for_each(|i| i.expect(event, e)),
                Output::DumpKernel => kernel.want(Why::Bulk),
                Output::FlushKernel => {
                    log.notice("flushing kernel conntrack table (scheduled)");
                    kernel.counters_mut().flushes += 1;
                    if let Err(e) = self.purge.begin() {
                        log.error(&format!("can't purge the kernel conntrack table: {e}"));
                    }
                }
            }
        }
        if self.purge.is_running() && quiet {
            match self.purge.step(kernel.filter(), kernel.buffer_events()) {
                Ok(None) => {}
                Ok(Some(done)) => done.say(log),
                Err(e) => log.error(&format!("can't purge the kernel conntrack table: {e}")),
            }
        }
        let mut more = self.purge.is_running();
        if let Some(i) = &mut self.injector {
            i.step(INJECTIONS_A_TURN, log)?;
            more |= !i.is_idle();
        }
        Ok(more)
    }

    /// One turn of the commit under way, if there is one.
    pub(super) fn commit_turn(
        &mut self,
        now: Millis,
        kernel: &Kernel,
        log: &mut Log,
    ) -> Result<Option<Outcome>, Error> {
        // One flow may cause three events; when new flows are not listened to, just the end of the one that
        // it replaces.
        let events_a_flow = if self.catch_up.is_deaf() { 1 } else { 3 };
        let flows = kernel.buffer_events() / events_a_flow;
        self.commit.step(now, flows, &self.machine, log)
    }

    /// Takes note of how far the passing on of all flows has come.
    fn look(&mut self, now: Millis) {
        let outlook = self.machine.outlook();
        let (own, peers) = (&self.machine.caches().internal, &self.machine.caches().external);
        let known = peers.counts().flows as u64;
        let (running, taken) = (self.machine.resync_is_running(), self.taken());
        self.resync.look(now, running, taken, (known > 0).then_some(known));
        let all = own.counts().flows + self.machine.caches().internal_expect.len();
        self.bulk.look(now, self.machine.bulk_is_running(), outlook.bulk_sent, Some(all as u64));
        self.bulk_matters &= outlook.bulk_is_pending;
        self.numbers.trim(outlook.oldest);
    }

    /// Changes of the peer's flows that were taken, which a requested bulk consists of.
    pub(super) fn taken(&self) -> u64 {
        let (kept, passed) = (self.machine.stats().external, self.injector.as_ref().map(|i| i.flows));
        let passed = passed.map_or(0, |s| s.created + s.updated);
        kept.created + kept.updated + passed
    }

    /// True once after all flows that the peer was asked for have come.
    pub(super) fn take_resynced(&mut self) -> bool {
        std::mem::take(&mut self.resynced)
    }

    /// True while the peer has not been sent all that it needs.
    pub(super) fn owes_a_bulk(&self) -> bool {
        self.bulk_matters
    }

    /// Hands the machine's datagrams to the active link. True when there is more to do at once.
    pub(super) fn transmit(&mut self, now: Millis) -> bool {
        self.look(now);
        let first = self.machine.outlook().next_number;
        let more = self.send(now);
        if self.machine.outlook().next_number != first {
            self.numbers.sent(first, now);
            self.look(now);
        }
        more
    }

    fn send(&mut self, now: Millis) -> bool {
        let SyncNode { machine, links, seal, .. } = self;
        self.blocked = false;
        let Some(link) = links.all.get_mut(machine.active_link()) else { return false };
        let mut made = 0;
        let mut flushed = true;
        while made < DATAGRAMS_A_TURN {
            let Some(buf) = link.slot() else {
                // Full slots do not matter, but a network that does not empty them does.
                if flushed {
                    self.blocked = true;
                    return false;
                }
                link.flush();
                flushed = true;
                continue;
            };
            let Some(len) = sealing::transmit(now, seal.as_mut(), machine, buf) else {
                link.flush();
                return false;
            };
            link.filled(len);
            (made, flushed) = (made + 1, false);
        }
        link.flush();
        true
    }

    /// Runs the links' timers, and handles what has happened on them.
    pub(super) fn settle_links(
        &mut self,
        now: Millis,
        reactor: &mut Reactor,
        log: &mut Log,
    ) -> Result<(), Error> {
        self.links.settle(now, reactor)?;
        for (at, what) in self.links.happened() {
            let Some(name) = self.links.all.get(at).map(|l| l.interface().to_owned()) else { continue };
            match what {
                Happening::Stranger(from) => {
                    log.warning(&format!(
                        "`{name}': messages from {from}, which is not the peer, are dropped"
                    ));
                }
                Happening::Connected { again } => {
                    log.notice(&format!("`{name}': connected to the peer"));
                    // Without acknowledgements nobody knows what the previous connection has lost.
                    if again && matches!(self.machine.config().mode, Mode::Notrack(_)) {
                        self.send_bulk();
                    }
                }
                Happening::Disconnected => {
                    log.notice(&format!("`{name}': the connection to the peer is gone"))
                }
                Happening::Accepted => log.notice(&format!("`{name}': the peer has connected")),
                Happening::Unframed => {
                    log.warning(&format!("`{name}': the peer sent no messages; its connection was closed"));
                }
                Happening::Withheld(n) => {
                    log.warning(&format!("`{name}': {n} more incoming connections came and went"));
                }
                Happening::SendFailed(errno) => {
                    log.warning(&format!("`{name}': can't send: {}", errno_text(errno)));
                }
            }
        }
        Ok(())
    }

    /// When this has to be looked at again if nothing happens.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        let machine = match self.blocked {
            true => self.machine.turn_deadline(now),
            false => self.machine.deadline(now),
        };
        let seal = self.seal.as_ref().filter(|_| !self.blocked).map(Seal::deadline);
        [machine, seal, self.links.deadline()].into_iter().flatten().min()
    }
}

/// What is left of a link for messages.
fn room_for(link: peer::Link, seal: Option<&Seal>) -> peer::Link {
    let sealing = seal.filter(|s| s.seals()).map_or(0, |_| OVERHEAD);
    peer::Link { payload_max: link.payload_max.saturating_sub(sealing), ..link }
}

/// Writes what the machine reports to the log.
fn say(links: &Links, notice: Notice, log: &mut Log) {
    let name = |link: usize| links.all.get(link).map_or("?", |l| l.interface());
    match notice {
        Notice::ResyncRequested => log.notice("resync requested by other node"),
        Notice::BulkStarts => log.notice("sending bulk update"),
        Notice::PeerStarted => log.notice("the other node has started"),
        Notice::PeerRenumbered => {
            log.notice("the other node's sequence numbers went back: requesting its entries again");
        }
        Notice::Swept(0) => {}
        Notice::Swept(n) => {
            log.notice(&format!("{n} external entries were not in the other node's bulk: removed"));
        }
        Notice::LinkChanged(link) => {
            log.notice(&format!("device `{}' becomes dedicated link", name(link)));
        }
        Notice::NoLink => log.error("no dedicated links available!"),
        Notice::PeerInOtherMode => {
            log.error("the other node does not run in ALARM mode: nothing is replicated");
        }
        Notice::Unsendable => {
            log.error("an entry is larger than the dedicated link carries: raise its MTU");
        }
    }
}

/// Hands the kernel's messages to the machine.
pub(super) struct SyncTaker<'a> {
    now: Millis,
    machine: &'a mut Machine,
    ended: &'a mut Ended,
    repaired: &'a mut u64,
    /// Flows that are not known may have been made by traffic during a commit.
    catching_up: bool,
}

impl Taker for SyncTaker<'_> {
    fn flow(&mut self, event: Event, origin: Origin, view: &FlowView<'_>) -> Result<(), WireError> {
        if event == Event::Destroy {
            self.ended.count(view)?;
        }
        if self.catching_up && event == Event::Update && origin == Origin::Kernel {
            catch_up::changed(self.now, &Flow::from_kernel(view)?, self.machine);
        }
        self.machine.flow_event(self.now, event, origin, view)
    }

    fn expect(&mut self, event: Event, origin: Origin, view: &ExpectView<'_>) -> Result<(), WireError> {
        self.machine.expect_event(self.now, event, origin, view)
    }

    fn dumped(&mut self, why: Why, view: &FlowView<'_>) -> Result<(), WireError> {
        let flow = Flow::from_kernel(view)?;
        let id = view.id()?.unwrap_or(0);
        match why {
            Why::Populate | Why::CatchUp if self.catching_up => {
                catch_up::dumped(self.now, &flow, id, self.machine);
            }
            Why::Populate | Why::CatchUp => self.machine.flow_dumped(self.now, &flow, id),
            Why::Resync => {
                let known = self.machine.caches().internal.counts().flows;
                self.machine.flow_dumped(self.now, &flow, id);
                let flows = self.machine.caches().internal.counts().flows;
                *self.repaired += flows.saturating_sub(known) as u64;
            }
            Why::Bulk => self.machine.bypass_dump(self.now, &flow),
        }
        Ok(())
    }

    fn expect_dumped(&mut self, why: Why, view: &ExpectView<'_>) -> Result<(), WireError> {
        let expect = Expect::from_kernel(view)?;
        match why {
            Why::Populate | Why::CatchUp if self.catching_up => {
                catch_up::expect_dumped(self.now, &expect, self.machine);
            }
            Why::Populate | Why::CatchUp | Why::Resync => self.machine.expect_dumped(self.now, &expect),
            Why::Bulk => {
                let (event, origin) = (Event::New, Origin::Kernel);
                self.machine.expect_change(self.now, event, origin, &expect);
            }
        }
        Ok(())
    }

    fn knows(&self, view: &FlowView<'_>) -> bool {
        let key = Key::of_kernel(view).ok().flatten();
        let meta = key
            .and_then(|k| self.machine.caches().internal.find(&k))
            .and_then(|id| self.machine.caches().internal.meta(id));
        meta.is_some_and(|m| m.flags & Meta::DEAD == 0)
    }
}

/// Takes over the settings that can change at run time.
pub(super) fn reconfigure(node: &mut SyncNode, config: &Config, sync: &Sync) {
    let protocol: peer::Config = parts::protocol(config, sync);
    node.machine.reconfigure(&protocol);
}
