//! What belongs to one peer beside its machine: who it is, which links lead to it, and how far the passing on
//! of flows has come.

use crate::config::settings::PeerSettings;
use crate::daemon::numbers::Numbers;
use crate::daemon::room::Room;
use crate::daemon::transfers::TransferProgress;
use crate::kernel::inject::Injector;
use crate::peer::{Machine, Millis};

/// The other node of a pair, or one of several.
#[derive(Debug, Default)]
pub(super) struct PeerNode {
    /// Its name and its `NodeID`; `None` in a configuration without `Peer`, which knows one peer and no name.
    pub(super) who: Option<(String, u16)>,
    /// The numbers of its links among those of the daemon, in the order in which its machine counts them.
    pub(super) links: Vec<usize>,
    /// When what is in flight was sent.
    pub(super) numbers: Numbers,
    /// Flows asked of it, and flows sent to it.
    pub(super) resync: TransferProgress,
    pub(super) bulk: TransferProgress,
    /// Whether its external cache has had room for every flow.
    pub(super) room: Room,
    /// True when the pending bulk is one that the peer needs or that the operator has asked for.
    bulk_matters: bool,
    /// The network accepts nothing for it now.
    pub(super) blocked: bool,
    /// All flows that it was asked for have come, and what it no longer has is gone.
    resynced: bool,
}

impl PeerNode {
    /// The only peer, which these links lead to.
    pub(super) fn only(links: usize) -> PeerNode {
        PeerNode { links: (0..links).collect(), ..PeerNode::default() }
    }

    /// One of several.
    pub(super) fn one_of(settings: &PeerSettings) -> PeerNode {
        let who = Some((settings.name.clone(), settings.node_id));
        PeerNode { who, links: settings.links.clone(), ..PeerNode::default() }
    }

    /// Its name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.who.as_ref().map(|(name, _)| name.as_str())
    }

    /// Its number, if it is known.
    pub(super) fn node(&self) -> Option<u16> {
        self.who.as_ref().map(|(_, node)| *node)
    }

    /// A text about it, with its name in front if it has one.
    pub(super) fn said(&self, text: &str) -> String {
        match self.name() {
            Some(name) => format!("{name}: {text}"),
            None => text.into(),
        }
    }

    /// A bulk begins that it needs or that the operator has asked for.
    pub(super) fn bulk_begins(&mut self) {
        self.bulk_matters = true;
    }

    /// What it no longer has is gone.
    pub(super) fn swept(&mut self) {
        self.resynced = true;
    }

    /// True once after all flows that it was asked for have come.
    pub(super) fn take_resynced(&mut self) -> bool {
        std::mem::take(&mut self.resynced)
    }

    /// True while it has not been sent all that it needs.
    pub(super) fn owes_a_bulk(&self) -> bool {
        self.bulk_matters
    }

    /// Takes note of how far the passing on of all flows has come.
    pub(super) fn look(&mut self, now: Millis, machine: &Machine, injector: Option<&Injector>) {
        let outlook = machine.outlook();
        let (own, peers) = (&machine.caches().internal, &machine.caches().external);
        let known = peers.counts().flows as u64;
        let (running, taken) = (machine.resync_is_running(), taken(machine, injector));
        self.resync.look(now, running, taken, (known > 0).then_some(known));
        let all = own.counts().flows + machine.caches().internal_expect.len();
        self.bulk.look(now, machine.bulk_is_running(), outlook.bulk_sent, Some(all as u64));
        self.bulk_matters &= outlook.bulk_is_pending;
        self.numbers.trim(outlook.oldest);
    }
}

/// Changes of the peer's flows that were taken, which a requested bulk consists of.
pub(super) fn taken(machine: &Machine, injector: Option<&Injector>) -> u64 {
    let (kept, passed) = (machine.stats().external, injector.map(|i| i.flows));
    let passed = passed.map_or(0, |s| s.created + s.updated);
    kept.created + kept.updated + passed
}
