//! A node that keeps its peers informed: the protocol machines, between the kernel's events, the links and
//! the operator.
//!
//! Each peer has a machine of its own, which knows nothing of the others: a pair has one, and a cluster of n
//! nodes is n(n-1)/2 pairs.

use crate::config::parts;
use crate::config::settings::{Config, Expectations, Sync};
use crate::control::statistics::SyncView;
use crate::daemon::catch_up::CatchUp;
use crate::daemon::peer_node::PeerNode;
use crate::daemon::sealing;
use crate::daemon::start_error::StartError;
use crate::daemon::sync_taker::SyncTaker;
use crate::host::log::Log;
use crate::kernel::commit::{Commit, Outcome};
use crate::kernel::flush::Flush;
use crate::kernel::inject::Injector;
use crate::kernel::{Kernel, OwnPorts, Why};
use crate::links::{LinkChange, LinkHappening, LinkIo, Links};
use crate::peer::seal::{Seal, Settings};
use crate::peer::{self, Machine, Millis, Mode, Notice, Output, Seed};
use crate::stats::ended::Ended;
use zct_engine::{Error, Reactor, errno_text};

/// Datagrams made for one peer in one turn; what is left remains due.
const DATAGRAMS_A_TURN: usize = 64;
/// Batches of injected changes in one turn.
const INJECTIONS_A_TURN: usize = 8;

/// Everything that only a sync daemon has.
#[derive(Debug)]
pub(super) struct SyncNode {
    /// One for each peer, and never none.
    pub(super) machines: Vec<Machine>,
    /// What else belongs to the peer of each of them.
    pub(super) peers: Vec<PeerNode>,
    /// Their names, for listings; none in a pair.
    pub(super) names: Vec<String>,
    pub(super) links: Links,
    pub(super) commit: Commit,
    pub(super) catch_up: CatchUp,
    pub(super) ended: Ended,
    /// Flows that comparisons with the kernel have added or removed.
    pub(super) repaired: u64,
    /// All peers hear what is sent over any of the links.
    pub(super) group: bool,
    /// Where messages are sealed: one for each peer, so that a frame for one of them means nothing to
    /// another; one for all in a group; none without keys.
    seals: Vec<Seal>,
    injector: Option<Injector>,
    /// Deletes for the purge timer: its port tells the events of these from others.
    purge: Flush,
    error_queue: usize,
    expectations: bool,
    /// The peer that sends first in the next turn.
    first: usize,
}

impl SyncNode {
    /// Opens the links and the sockets for changes. `first_token` and the next [`Links::tokens`] belong to
    /// the links.
    pub(super) fn open(
        config: &Config,
        sync: &Sync,
        keys: Option<Settings>,
        random: [u64; 3],
        now: Millis,
        first_token: usize,
        log: &mut Log,
    ) -> Result<SyncNode, StartError> {
        let protocol = parts::protocol(config, sync);
        let error_queue = parts::error_queue(sync);
        let settings = parts::links(sync);
        let group = sync.peers.len() > 1 && !sync.links_are_of_peers();
        let peers: Vec<PeerNode> = match sync.peers.is_empty() {
            true => vec![PeerNode::only(settings.len())],
            false => sync.peers.iter().map(PeerNode::one_of).collect(),
        };
        let seals = sealing::begin(now, keys, &peers, group, log).map_err(StartError::System)?;
        let links = Links::open(&settings, error_queue, first_token).map_err(StartError::Links)?;
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
        let defaults = match sync.peers.is_empty() {
            true => vec![sync.default_link],
            false => sync.peers.iter().map(|p| p.default_link).collect(),
        };
        let [a, b, c] = random;
        let sequence = crate::host::log::now_s() as u32;
        let mut machines = Vec::with_capacity(peers.len());
        for (at, (peer, default)) in peers.iter().zip(defaults).enumerate() {
            let led = peer.links.iter().filter_map(|l| links.all.get(*l));
            let states = led.map(|l| room_for(l.link(), seal_of(&seals, at))).collect();
            let seed = Seed { sequence, random: c.wrapping_add(at as u64), hash: [a, b] };
            machines.push(Machine::new(now, protocol.clone(), states, default, seed));
        }
        Ok(SyncNode {
            machines,
            names: peers.iter().filter_map(|p| p.name().map(String::from)).collect(),
            peers,
            links,
            group,
            commit: Commit::open().map_err(StartError::Changes)?,
            catch_up: CatchUp::default(),
            ended: Ended::default(),
            repaired: 0,
            seals,
            injector,
            purge: Flush::open().map_err(StartError::Changes)?,
            error_queue,
            expectations: sync.expectations != Expectations::Off,
            first: 0,
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

    /// The mode, which is the same for all peers.
    pub(super) fn mode(&self) -> Mode {
        self.machine().config().mode
    }

    /// The machine of the first peer, for what is the same in all: the settings, and the kernel's flows.
    pub(super) fn machine(&self) -> &Machine {
        // There is one at least: see `open`.
        &self.machines[0]
    }

    /// The machines, each with what else belongs to its peer.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Machine, &PeerNode)> {
        self.machines.iter().zip(&self.peers)
    }

    /// Where the messages of a peer are sealed.
    pub(super) fn seal(&self, peer: usize) -> Option<&Seal> {
        seal_of(&self.seals, peer)
    }

    /// The links that lead to a peer.
    pub(super) fn links_of<'a>(&'a self, peer: &'a PeerNode) -> impl Iterator<Item = &'a LinkIo> {
        peer.links.iter().filter_map(|l| self.links.all.get(*l))
    }

    /// Where the kernel takes changes without a cache.
    pub(super) fn injector(&self) -> Option<&Injector> {
        self.injector.as_ref()
    }

    /// The parts that reports about one peer are about.
    pub(super) fn view<'a>(&'a self, machine: &'a Machine, peer: &'a PeerNode) -> SyncView<'a> {
        SyncView {
            machine,
            links: &self.links,
            led: &peer.links,
            injector: self.injector.as_ref(),
            error_queue: self.error_queue,
            expectations: self.expectations,
        }
    }

    /// The peer that is called this, by its name or by the number of its node.
    pub(super) fn named(&self, word: &str) -> Option<usize> {
        let is = |p: &PeerNode| p.who.as_ref().is_some_and(|(n, id)| n == word || id.to_string() == word);
        self.peers.iter().position(is)
    }

    /// The taker of the kernel's events and dumps.
    pub(super) fn taker(&mut self, now: Millis) -> SyncTaker<'_> {
        let catching_up = self.catch_up.tells();
        let SyncNode { machines, ended, repaired, .. } = self;
        SyncTaker { now, machines, ended, repaired, catching_up }
    }

    /// A link is ready for reading.
    pub(super) fn link_ready(
        &mut self,
        token: usize,
        now: Millis,
        budget: usize,
        reactor: &mut Reactor,
    ) -> Result<zct_engine::Turn, Error> {
        let SyncNode { machines, peers, links, seals, group, .. } = self;
        links.ready(token, now, budget, reactor, &mut |link, bytes| {
            if *group {
                let Some(seal) = seals.first_mut() else { return };
                return seal.open_from(now, bytes, &mut |node, messages| {
                    let from = peers.iter().position(|p| p.node() == Some(node));
                    if let Some(machine) = from.and_then(|at| machines.get_mut(at)) {
                        machine.datagram(now, link, messages);
                    }
                });
            }
            let Some((at, link)) = whose(peers, link) else { return };
            let Some(machine) = machines.get_mut(at) else { return };
            match seals.get_mut(at) {
                Some(seal) => seal.open(now, bytes, &mut |messages| machine.datagram(now, link, messages)),
                None => machine.datagram(now, link, bytes),
            }
        })
    }

    /// The state of interfaces has changed.
    pub(super) fn interfaces_ready(&mut self) -> Result<zct_engine::Turn, Error> {
        let mut changed = Vec::new();
        let turn = self.links.interfaces_ready(&mut changed)?;
        for LinkChange { link, now } in changed {
            for (at, (machine, peer)) in self.machines.iter_mut().zip(&self.peers).enumerate() {
                let Some(link) = peer.links.iter().position(|l| *l == link) else { continue };
                let now = room_for(now, seal_of(&self.seals, at));
                machine.link_payload(link, now.payload_max);
                machine.link_state(link, now.up);
            }
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
        sealing::change(now, &mut self.seals, settings, (&self.peers, self.group), log)?;
        for (at, (machine, peer)) in self.machines.iter_mut().zip(&self.peers).enumerate() {
            for (number, led) in peer.links.iter().enumerate() {
                let Some(link) = self.links.all.get(*led) else { continue };
                machine.link_payload(number, room_for(link.link(), seal_of(&self.seals, at)).payload_max);
            }
        }
        Ok(())
    }

    /// True while this daemon itself changes the kernel's table, or has yet to learn what that has caused.
    pub(super) fn is_writing(&self) -> bool {
        self.commit.is_running() || self.purge.is_running() || self.catch_up.is_behind()
    }

    /// `-B`: sends everything to the peers.
    pub(super) fn send_bulk(&mut self) {
        self.machines.iter_mut().for_each(Machine::send_bulk);
    }

    /// The dump of the kernel is complete: what is in the cache but not in the kernel has ended.
    pub(super) fn end_kernel_resync(&mut self) {
        self.machines.iter_mut().for_each(Machine::end_kernel_resync);
    }

    /// One turn of the machines and of what they ask for. `quiet` says that no events wait to be taken. True
    /// when there is more to do at once.
    pub(super) fn turn(
        &mut self,
        now: Millis,
        quiet: bool,
        kernel: &mut Kernel,
        log: &mut Log,
    ) -> Result<bool, Error> {
        let SyncNode { machines, peers, seals, .. } = self;
        let sharing = if seals.len() == 1 { machines.len() } else { 1 };
        let shares = machines.chunks_mut(sharing).zip(peers.chunks(sharing));
        for (seal, (machines, peers)) in seals.iter_mut().zip(shares) {
            sealing::settle(now, seal, machines, peers, log);
        }
        let ended = self.machine().stats().internal.destroyed;
        self.machines.iter_mut().for_each(|m| m.turn(now));
        // No flow ends by itself: a turn ends those that a comparison has not found.
        self.repaired += self.machine().stats().internal.destroyed - ended;
        for at in 0..self.machines.len() {
            self.carry_out(at, kernel, log);
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

    /// Does what one of the machines asks for.
    fn carry_out(&mut self, at: usize, kernel: &mut Kernel, log: &mut Log) {
        let SyncNode { machines, peers, links, catch_up, injector, purge, .. } = self;
        let (Some(machine), Some(peer)) = (machines.get_mut(at), peers.get_mut(at)) else { return };
        while let Some(output) = machine.poll() {
            match output {
                Output::Notice(notice) => {
                    if notice == Notice::BulkStarts {
                        peer.bulk_begins();
                        catch_up.bulk_begins();
                    }
                    if matches!(notice, Notice::Swept(_)) {
                        peer.swept();
                    }
                    say(links, peer, notice, log);
                }
                Output::InjectFlow(event, flow) => injector.iter_mut().for_each(|i| i.flow(event, flow)),
                Output::InjectExpect(event, e) => injector.iter_mut().for_each(|i| i.expect(event, e)),
                Output::DumpKernel => kernel.want(Why::Bulk),
                // The timers of all machines run together, and there is one table.
                Output::FlushKernel if at > 0 => {}
                Output::FlushKernel => {
                    log.notice("flushing kernel conntrack table (scheduled)");
                    kernel.counters_mut().flushes += 1;
                    if let Err(e) = purge.begin() {
                        log.error(&format!("can't purge the kernel conntrack table: {e}"));
                    }
                }
            }
        }
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
        self.commit.step(now, flows, &self.machines, log)
    }

    /// Hands the machines' datagrams to their active links. True when there is more to do at once.
    pub(super) fn transmit(&mut self, now: Millis) -> bool {
        let count = self.machines.len();
        self.first = (self.first + 1) % count;
        let mut more = false;
        for at in (self.first..count).chain(0..self.first) {
            self.look(at, now);
            let Some(first) = self.machines.get(at).map(|m| m.outlook().next_number) else { continue };
            more |= self.send(at, now);
            if self.machines.get(at).is_some_and(|m| m.outlook().next_number != first) {
                self.peers.iter_mut().skip(at).take(1).for_each(|p| p.numbers.sent(first, now));
                self.look(at, now);
            }
        }
        more
    }

    fn look(&mut self, at: usize, now: Millis) {
        let SyncNode { machines, peers, injector, .. } = self;
        if let (Some(machine), Some(peer)) = (machines.get(at), peers.get_mut(at)) {
            peer.look(now, machine, injector.as_ref());
        }
    }

    fn send(&mut self, at: usize, now: Millis) -> bool {
        let SyncNode { machines, peers, links, seals, group, .. } = self;
        let (Some(machine), Some(peer)) = (machines.get_mut(at), peers.get_mut(at)) else { return false };
        let to = peer.node().filter(|_| *group);
        let number = seal_number(seals.len(), at);
        peer.blocked = false;
        let active = peer.links.get(machine.active_link()).copied();
        let Some(link) = active.and_then(|l| links.all.get_mut(l)) else { return false };
        let mut made = 0;
        let mut flushed = true;
        while made < DATAGRAMS_A_TURN {
            let Some(buf) = link.slot() else {
                // Full slots do not matter, but a network that does not empty them does.
                if flushed {
                    peer.blocked = true;
                    return false;
                }
                link.flush();
                flushed = true;
                continue;
            };
            let Some(len) = sealing::transmit(now, seals.get_mut(number), to, machine, buf) else {
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
            let whose = whose(&self.peers, at).map(|(peer, _)| peer).filter(|_| !self.group);
            let peer = whose.and_then(|at| self.peers.get(at));
            let said = |text: &str| peer.map_or_else(|| text.into(), |p| p.said(text));
            match what {
                LinkHappening::Stranger(from) => {
                    log.warning(&said(&format!(
                        "`{name}': messages from {from}, which is not the peer, are dropped"
                    )));
                }
                LinkHappening::Connected { again } => {
                    log.notice(&said(&format!("`{name}': connected to the peer")));
                    // Without acknowledgements nobody knows what the previous connection has lost.
                    let machine = whose.and_then(|at| self.machines.get_mut(at));
                    if let Some(m) = machine.filter(|m| again && matches!(m.config().mode, Mode::Notrack(_)))
                    {
                        m.send_bulk();
                    }
                }
                LinkHappening::Disconnected => {
                    log.notice(&said(&format!("`{name}': the connection to the peer is gone")));
                }
                LinkHappening::Accepted => log.notice(&said(&format!("`{name}': the peer has connected"))),
                LinkHappening::Unframed => {
                    log.warning(&said(&format!(
                        "`{name}': the peer sent no messages; its connection was closed"
                    )));
                }
                LinkHappening::Withheld(n) => {
                    log.warning(&said(&format!("`{name}': {n} more incoming connections came and went")));
                }
                LinkHappening::SendFailed(errno) => {
                    log.warning(&said(&format!("`{name}': can't send: {}", errno_text(errno))));
                }
            }
        }
        Ok(())
    }

    /// When this has to be looked at again if nothing happens.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        let machines = self.each().filter_map(|(machine, peer)| match peer.blocked {
            true => machine.turn_deadline(now),
            false => machine.deadline(now),
        });
        let seals = self.seals.iter().zip(&self.peers).filter(|(_, peer)| !peer.blocked);
        let seals = seals.map(|(seal, _)| seal.deadline());
        machines.chain(seals).chain(self.links.deadline()).min()
    }
}

/// Whose link it is, and its number among those of this peer.
fn whose(peers: &[PeerNode], link: usize) -> Option<(usize, usize)> {
    let led = |p: &PeerNode| p.links.iter().position(|l| *l == link);
    peers.iter().enumerate().find_map(|(at, p)| Some((at, led(p)?)))
}

/// Which of so many seals is that of the peer with this number: the only one is for all.
fn seal_number(seals: usize, peer: usize) -> usize {
    if seals == 1 { 0 } else { peer }
}

fn seal_of(seals: &[Seal], peer: usize) -> Option<&Seal> {
    seals.get(seal_number(seals.len(), peer))
}

/// What is left of a link for messages.
fn room_for(link: peer::Link, seal: Option<&Seal>) -> peer::Link {
    let sealing = seal.map_or(0, Seal::overhead);
    peer::Link { payload_max: link.payload_max.saturating_sub(sealing), ..link }
}

/// Writes what the machine reports to the log.
fn say(links: &Links, peer: &PeerNode, notice: Notice, log: &mut Log) {
    let name = |link: usize| {
        let led = peer.links.get(link).and_then(|l| links.all.get(*l));
        led.map_or("?", |l| l.interface())
    };
    match notice {
        Notice::ResyncRequested => log.notice(&peer.said("resync requested by other node")),
        Notice::BulkStarts => log.notice(&peer.said("sending bulk update")),
        Notice::PeerStarted => log.notice(&peer.said("the other node has started")),
        Notice::PeerRenumbered => {
            let text = "the other node's sequence numbers went back: requesting its entries again";
            log.notice(&peer.said(text));
        }
        Notice::Differs(leaves) => log.warning(&peer.said(&format!(
            "the other node's flows are not what is stored here, in {leaves} of 65536 parts: these are asked for again"
        ))),
        Notice::DifferenceRepaired(n) => log.notice(&peer.said(&format!(
            "the difference is repaired: {n} flows that the other node does not have are gone"
        ))),
        Notice::Swept(0) => {}
        Notice::Swept(n) => {
            let text = format!("{n} external entries were not in the other node's bulk: removed");
            log.notice(&peer.said(&text));
        }
        Notice::LinkChanged(link) => {
            log.notice(&peer.said(&format!("device `{}' becomes dedicated link", name(link))));
        }
        Notice::NoLink => log.error(&peer.said("no dedicated links available!")),
        Notice::PeerInOtherMode => {
            log.error(&peer.said("the other node does not run in ALARM mode: nothing is replicated"));
        }
        Notice::Unsendable => {
            log.error(&peer.said("an entry is larger than the dedicated link carries: raise its MTU"));
        }
    }
}

/// Takes over the settings that can change at run time.
pub(super) fn reconfigure(now: Millis, node: &mut SyncNode, config: &Config, sync: &Sync) {
    let protocol: peer::PeerConfig = parts::protocol(config, sync);
    node.machines.iter_mut().for_each(|m| m.reconfigure(now, &protocol));
}
