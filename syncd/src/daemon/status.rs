//! Puts together the daemon's status from its parts. No table is walked.

use crate::daemon::peer_node::{PeerNode, taken};
use crate::daemon::state::{Comparison, Daemon, Node};
use crate::daemon::sync_node::SyncNode;
use crate::helper::child;
use crate::kernel::TableSize;
use crate::kernel::commit;
use crate::links::{LinkIo, LinkKind};
use crate::peer::seal::{GroupKey, Seal};
use crate::peer::{CacheStats, Machine, Millis, Mode};
use crate::stats::cache::StatsCache;
use crate::status::ledger::{Entry, LedgerKind};
use crate::status::{
    Cache, CommitStatus, Digest, Events, HelperStatus, HelpersStatus, Lag, LinkStatus, Loss, Malformed,
    MemberStatus, Missing, Peer, PeerState, Sealing, Status, TakeoverStatus, Transfer, remaining,
};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// A peer that has not acknowledged something for this long is behind: when all is well it takes a second.
const LAG_MAX: Duration = Duration::from_secs(3);

/// Translates the daemon's own time into Unix time, by the clock as it is set now.
#[derive(Clone, Copy)]
struct Clock {
    now: Millis,
    unix: Duration,
}

impl Clock {
    fn new(now: Millis) -> Clock {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Clock { now, unix: unix.unwrap_or_default() }
    }

    fn unix(self, at: Millis) -> Duration {
        self.unix.saturating_sub(Duration::from_millis(self.now.saturating_sub(at)))
    }
}

impl Daemon {
    /// The state of the daemon and of all that it works with, without the entries of the ledger.
    pub(super) fn status(&self, now: Millis) -> Status {
        let clock = Clock::new(now);
        let (mode, internal, external) = match &self.node {
            Node::Sync(n) => (mode_name(n.mode()), internal(n), Some(external(n))),
            Node::Stats(s) => ("stats", Some(counted(s)), None),
        };
        let (links, peers, commit) = match &self.node {
            Node::Sync(n) => (links(n), self.peers(n, clock), Some(committed(n))),
            Node::Stats(_) => (Vec::new(), Vec::new(), None),
        };
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            time: clock.unix,
            start_time: clock.unix(0),
            mode,
            role: self.takeover.role(),
            missing: self.missing(now),
            kernel: TableSize::read(),
            internal,
            external,
            events: self.events(clock),
            links,
            peers,
            commit,
            takeover: self
                .takeover
                .last()
                .map(|t| TakeoverStatus { last_time: clock.unix(t.at), duration: t.took }),
            helpers: helpers(&self.helpers),
            losses: LedgerKind::ALL.map(|kind| self.losses.ledger.tally(kind)),
            ledger: None,
        }
    }

    /// When the first message to a peer was given up that a bulk has to repair.
    fn given_up(&self, at: usize) -> Option<Millis> {
        self.losses.ledger.pending_since(self.losses.source(at), LedgerKind::ResendQueue)
    }

    fn peers(&self, n: &SyncNode, clock: Clock) -> Vec<Peer> {
        let all = n.each().enumerate();
        all.map(|(at, (machine, p))| peer(n, (machine, p, n.seal(at)), self.given_up(at), clock)).collect()
    }

    /// The entries of the ledger, oldest first.
    pub(super) fn ledger(&self, now: Millis) -> Vec<Loss> {
        let clock = Clock::new(now);
        let named = |e: &Entry| self.source_name(e.source).map(String::from);
        self.losses.ledger.entries().map(|e| loss(e, named(e), clock)).collect()
    }

    /// What keeps this node from being in sync.
    pub(super) fn missing(&self, now: Millis) -> Vec<Missing> {
        let mut out = Vec::new();
        let mut missing = |so: bool, what| {
            if so {
                out.push(what);
            }
        };
        missing(self.populating.is_some(), Missing::FirstDump);
        // A daemon that polls compares all the time, and nothing is known to be missing meanwhile.
        let compares = self.kernel.resync_is_pending()
            || self.comparison != Comparison::None
            || self.losses.is_comparing()
            || matches!(&self.node, Node::Sync(n) if n.catch_up.is_behind());
        missing(compares && self.config.general.poll_s.is_none(), Missing::Comparison);
        if let Node::Sync(n) = &self.node {
            missing(!n.links.all.iter().any(|l| l.link().up), Missing::Link);
            // One that is silent keeps nobody waiting while there are others: the cluster goes on without it,
            // and it gets everything when it returns.
            let silent = |m: &Machine| peer_state(m, now) == PeerState::Silent;
            let alone = n.machines.iter().all(silent);
            missing(alone, Missing::Peer);
            let living = || n.each().enumerate().filter(|(_, (m, _))| alone || !silent(m));
            let asks = |m: &Machine| m.resync_is_running() || m.outlook().open_requests > 0;
            missing(living().any(|(_, (m, _))| asks(m)), Missing::Resync);
            missing(living().any(|(_, (_, p))| p.owes_a_bulk()), Missing::Bulk);
            let behind = |(at, (m, p)): (usize, (&Machine, &PeerNode))| {
                lag(m, p, self.given_up(at), now).is_some_and(|l| l.age >= LAG_MAX)
            };
            missing(!alone && living().any(behind), Missing::Acknowledgement);
        }
        out
    }

    fn events(&self, clock: Clock) -> Events {
        let c = self.kernel.counters();
        Events {
            received: c.events,
            lost: c.lost,
            overruns: c.overruns,
            comparisons: c.resyncs,
            repaired: match &self.node {
                Node::Sync(n) if n.mode().disables_internal_cache() => None,
                Node::Sync(n) => Some(n.repaired),
                Node::Stats(s) => Some(s.repaired),
            },
            buffer_bytes: self.kernel.events().map(|_| self.kernel.buffer()),
            review: self.reviewed(|at| clock.unix(at)),
        }
    }
}

fn helpers(all: &child::HelperChild) -> Option<HelpersStatus> {
    let types: Vec<HelperStatus> = all
        .types()
        .map(|(t, counts)| HelperStatus {
            name: t.kind.name,
            family: t.family.word(),
            protocol: t.protocol.word(),
            counts,
        })
        .collect();
    let configured = !types.is_empty();
    configured.then(|| HelpersStatus { pid: all.pid(), restarts: all.restarts(), types })
}

fn loss(e: &Entry, peer: Option<String>, clock: Clock) -> Loss {
    Loss {
        peer,
        kind: e.kind,
        time: clock.unix(e.at),
        until_time: clock.unix(e.until),
        estimate: e.estimate,
        how: e.how,
        repaired_time: e.repaired.map(|at| clock.unix(at)),
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Ftfw(_) => "ftfw",
        Mode::Alarm(_) => "alarm",
        Mode::Notrack(_) => "notrack",
    }
}

/// The caches of the kernel's flows: the same flows for each peer, and the memory of all.
fn internal(n: &SyncNode) -> Option<Cache> {
    let first = n.machine();
    let operations = first.stats().internal;
    if n.mode().disables_internal_cache() {
        return Some(Cache { operations, ..Cache::default() });
    }
    let caches = n.machines.iter().map(Machine::caches);
    let bytes = caches.map(|c| c.internal.memory().total() + c.internal_expect.memory()).sum();
    let (flows, expects) = (&first.caches().internal, &first.caches().internal_expect);
    Some(Cache {
        flows: Some(flows.counts().flows),
        expectations: Some(expects.len()),
        limit: Some(flows.limit()),
        bytes: Some(bytes),
        operations,
    })
}

/// The caches of the peers' flows, all together.
fn external(n: &SyncNode) -> Cache {
    if let Some(injector) = n.injector() {
        return Cache { operations: injector.flows, ..Cache::default() };
    }
    let both = |a: Option<usize>, b: Option<usize>| a.zip(b).map(|(a, b)| a + b).or(a).or(b);
    n.machines.iter().map(external_of).fold(Cache::default(), |sum, c| Cache {
        flows: both(sum.flows, c.flows),
        expectations: both(sum.expectations, c.expectations),
        limit: both(sum.limit, c.limit),
        bytes: both(sum.bytes, c.bytes),
        operations: sum_of(sum.operations, c.operations),
    })
}

fn sum_of(a: CacheStats, b: CacheStats) -> CacheStats {
    CacheStats {
        created: a.created + b.created,
        updated: a.updated + b.updated,
        destroyed: a.destroyed + b.destroyed,
        no_space: a.no_space + b.no_space,
        update_failed: a.update_failed + b.update_failed,
        destroy_failed: a.destroy_failed + b.destroy_failed,
    }
}

/// The cache of the flows of one peer.
fn external_of(machine: &Machine) -> Cache {
    let (flows, expects) = (&machine.caches().external, &machine.caches().external_expect);
    Cache {
        flows: Some(flows.counts().flows),
        expectations: Some(expects.len()),
        limit: Some(flows.limit()),
        bytes: Some(flows.memory().total() + expects.memory()),
        operations: machine.stats().external,
    }
}

fn counted(s: &StatsCache) -> Cache {
    Cache {
        flows: Some(s.store.counts().flows),
        expectations: None,
        limit: Some(s.store.limit()),
        bytes: Some(s.store.memory().total()),
        operations: s.stats,
    }
}

fn links(n: &SyncNode) -> Vec<LinkStatus> {
    let link = |(at, l): (usize, &LinkIo)| LinkStatus {
        interface: l.interface().into(),
        transport: match l.kind() {
            LinkKind::Udp { .. } => "udp",
            LinkKind::Multicast { .. } => "multicast",
            LinkKind::Tcp { .. } => "tcp",
        },
        state: l.status().to_ascii_lowercase(),
        in_use: n.each().any(|(m, p)| p.links.get(m.active_link()) == Some(&at)),
        traffic: l.traffic(),
    };
    n.links.all.iter().enumerate().map(link).collect()
}

fn peer_state(machine: &Machine, now: Millis) -> PeerState {
    match (machine.peer_is_there(now), machine.config().mode) {
        (true, _) => PeerState::Up,
        (false, Mode::Ftfw(_) | Mode::Notrack(_)) => PeerState::Silent,
        (false, Mode::Alarm(_)) => PeerState::Unknown,
    }
}

/// The peer's address on the link in use.
fn address(n: &SyncNode, machine: &Machine, peer: &PeerNode) -> Option<IpAddr> {
    match n.links.all.get(*peer.links.get(machine.active_link())?)?.kind() {
        LinkKind::Udp { peer, .. } | LinkKind::Tcp { peer, .. } => Some(peer.ip()),
        LinkKind::Multicast { .. } => None,
    }
}

/// What the peer has not acknowledged; `given_up` is when the first of it was given up that a bulk has to
/// repair.
fn lag(machine: &Machine, peer: &PeerNode, given_up: Option<Millis>, now: Millis) -> Option<Lag> {
    let Mode::Ftfw(_) = machine.config().mode else { return None };
    let outlook = machine.outlook();
    let sent = outlook.oldest.and_then(|number| peer.numbers.time_of(number));
    let oldest = [sent, outlook.waiting_since, given_up].into_iter().flatten().min();
    Some(Lag {
        messages: outlook.unacknowledged,
        waiting: machine.waiting(),
        age: Duration::from_millis(oldest.map_or(0, |at| now.saturating_sub(at))),
    })
}

fn peer(
    n: &SyncNode,
    (machine, p, seal): (&Machine, &PeerNode, Option<&Seal>),
    given_up: Option<Millis>,
    clock: Clock,
) -> Peer {
    let (s, now) = (machine.stats(), clock.now);
    let outlook = machine.outlook();
    Peer {
        member: p.who.as_ref().map(|(name, node)| MemberStatus {
            name: name.clone(),
            node: *node,
            cache: external_of(machine),
        }),
        address: address(n, machine, p),
        state: peer_state(machine, now),
        last_seen_time: outlook.last_heard.map(|at| clock.unix(at)),
        lag: lag(machine, p, given_up, now),
        sent: s.sent,
        received: s.received,
        lost: s.lost,
        resent: matches!(machine.config().mode, Mode::Ftfw(_)).then_some(s.resent),
        late: s.before,
        unannounced: s.unannounced,
        malformed: Malformed {
            version: s.bad_version,
            header: s.bad_header,
            payload: s.bad_payload,
            truncated: s.truncated,
            size: s.bad_size,
        },
        sealing: seal.map(|s| sealing(s, p.node(), now)),
        digest: machine.config().compares().then(|| Digest {
            running: machine.compares_with_peer(),
            checks: s.digest.checks,
            differences: s.digest.differences,
            repairs: s.digest.repairs,
            removed: s.digest.removed,
            last_equal_time: s.digest.last_equal.map(|at| clock.unix(at)),
        }),
        resync: p.resync.transfer(now, taken(machine, n.injector())),
        // A small one begins and ends within a turn.
        bulk: Transfer { count: s.bulks, ..p.bulk.transfer(now, outlook.bulk_sent) },
    }
}

fn sealing(s: &Seal, node: Option<u16>, now: Millis) -> Sealing {
    let (key, _) = s.sealing_with();
    let used = s.settings().keys.iter().find(|k| k.number == key);
    Sealing {
        node: s.living(now).filter(|n| node.is_none_or(|node| node == *n)).last(),
        mode: s.settings().mode.word(),
        key,
        fingerprint: used.map(GroupKey::fingerprint),
        counts: s.counts(),
    }
}

fn committed(n: &SyncNode) -> CommitStatus {
    let running = n.commit.is_running();
    let conflicts = (n.machines.len() > 1).then(|| n.commit.conflicts());
    let Some(commit::CommitProgress { total, outcome, took }) = n.commit.progress() else {
        return CommitStatus { conflicts, ..CommitStatus::default() };
    };
    let done = outcome.flows + outcome.expects;
    let failed = outcome.flows_failed + outcome.expects_failed;
    CommitStatus {
        running,
        done,
        total: Some(total),
        failed,
        eta: if running { remaining(done + failed, total, took) } else { None },
        last_duration: n.commit.last().map(|p| p.took),
        count: n.commit.completed(),
        conflicts,
    }
}
