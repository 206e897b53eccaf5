//! Puts together the daemon's status from its parts. No table is walked.

use crate::control::statistics::SyncView;
use crate::daemon::state::{Comparison, Daemon, Node};
use crate::daemon::sync_node::SyncNode;
use crate::helper::child;
use crate::kernel::TableSize;
use crate::kernel::commit;
use crate::links::{LinkIo, LinkKind};
use crate::peer::seal::{GroupKey, Seal};
use crate::peer::{Millis, Mode};
use crate::stats::cache::StatsCache;
use crate::status::ledger::{Entry, Kind};
use crate::status::{
    Cache, Commit, Events, Helper, Helpers, Lag, Link, Loss, Malformed, Missing, Peer, PeerState, Sealing,
    Status, Takeover, Transfer, remaining,
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
            Node::Sync(n) => {
                let view = n.view();
                (mode_name(n.machine.config().mode), internal(&view), Some(external(&view)))
            }
            Node::Stats(s) => ("stats", Some(counted(s)), None),
        };
        let given_up = self.losses.ledger.pending_since(Kind::ResendQueue);
        let (links, peers, commit) = match &self.node {
            Node::Sync(n) => (links(n), vec![peer(n, given_up, clock)], Some(committed(n))),
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
            events: self.events(),
            links,
            peers,
            commit,
            takeover: self
                .takeover
                .last()
                .map(|t| Takeover { last_time: clock.unix(t.at), duration: t.took }),
            helpers: helpers(&self.helpers),
            losses: Kind::ALL.map(|kind| self.losses.ledger.tally(kind)),
            ledger: None,
        }
    }

    /// The entries of the ledger, oldest first.
    pub(super) fn ledger(&self, now: Millis) -> Vec<Loss> {
        let clock = Clock::new(now);
        self.losses.ledger.entries().map(|e| loss(e, clock)).collect()
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
            let silent = peer_state(n, now) == PeerState::Silent;
            missing(silent, Missing::Peer);
            let asks = n.machine.resync_is_running() || n.machine.outlook().open_requests > 0;
            missing(asks, Missing::Resync);
            missing(n.owes_a_bulk(), Missing::Bulk);
            let given_up = self.losses.ledger.pending_since(Kind::ResendQueue);
            let behind = lag(n, given_up, now).is_some_and(|l| l.age >= LAG_MAX);
            missing(behind && !silent, Missing::Acknowledgement);
        }
        out
    }

    fn events(&self) -> Events {
        let c = self.kernel.counters();
        Events {
            received: c.events,
            lost: c.lost,
            overruns: c.overruns,
            comparisons: c.resyncs,
            repaired: match &self.node {
                Node::Sync(n) if n.machine.config().mode.disables_internal_cache() => None,
                Node::Sync(n) => Some(n.repaired),
                Node::Stats(s) => Some(s.repaired),
            },
            buffer_bytes: self.kernel.events().map(|_| self.kernel.buffer()),
        }
    }
}

fn helpers(all: &child::Helpers) -> Option<Helpers> {
    let types: Vec<Helper> = all
        .types()
        .map(|(t, counts)| Helper {
            name: t.kind.name,
            family: t.family.word(),
            protocol: t.protocol.word(),
            counts,
        })
        .collect();
    let configured = !types.is_empty();
    configured.then(|| Helpers { pid: all.pid(), restarts: all.restarts(), types })
}

fn loss(e: &Entry, clock: Clock) -> Loss {
    Loss {
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

fn internal(view: &SyncView<'_>) -> Option<Cache> {
    let operations = view.machine.stats().internal;
    if view.machine.config().mode.disables_internal_cache() {
        return Some(Cache { operations, ..Cache::default() });
    }
    let (flows, expects) = (&view.machine.caches().internal, &view.machine.caches().internal_expect);
    Some(Cache {
        flows: Some(flows.counts().flows),
        expectations: Some(expects.len()),
        limit: Some(flows.limit()),
        bytes: Some(flows.memory().total() + expects.memory()),
        operations,
    })
}

fn external(view: &SyncView<'_>) -> Cache {
    if let Some(injector) = view.injector {
        return Cache { operations: injector.flows, ..Cache::default() };
    }
    let (flows, expects) = (&view.machine.caches().external, &view.machine.caches().external_expect);
    Cache {
        flows: Some(flows.counts().flows),
        expectations: Some(expects.len()),
        limit: Some(flows.limit()),
        bytes: Some(flows.memory().total() + expects.memory()),
        operations: view.machine.stats().external,
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

fn links(n: &SyncNode) -> Vec<Link> {
    let link = |(at, l): (usize, &LinkIo)| Link {
        interface: l.interface().into(),
        transport: match l.kind() {
            LinkKind::Udp { .. } => "udp",
            LinkKind::Multicast { .. } => "multicast",
            LinkKind::Tcp { .. } => "tcp",
        },
        state: l.status().to_ascii_lowercase(),
        in_use: at == n.machine.active_link(),
        traffic: l.traffic(),
    };
    n.links.all.iter().enumerate().map(link).collect()
}

fn peer_state(n: &SyncNode, now: Millis) -> PeerState {
    match (n.machine.peer_is_there(now), n.machine.config().mode) {
        (true, _) => PeerState::Up,
        (false, Mode::Ftfw(_) | Mode::Notrack(_)) => PeerState::Silent,
        (false, Mode::Alarm(_)) => PeerState::Unknown,
    }
}

/// The peer's address on the link in use.
fn address(n: &SyncNode) -> Option<IpAddr> {
    match n.links.all.get(n.machine.active_link())?.kind() {
        LinkKind::Udp { peer, .. } | LinkKind::Tcp { peer, .. } => Some(peer.ip()),
        LinkKind::Multicast { .. } => None,
    }
}

/// What the peer has not acknowledged; `given_up` is when the first of it was given up that a bulk has to
/// repair.
fn lag(n: &SyncNode, given_up: Option<Millis>, now: Millis) -> Option<Lag> {
    let Mode::Ftfw(_) = n.machine.config().mode else { return None };
    let outlook = n.machine.outlook();
    let sent = outlook.oldest.and_then(|number| n.numbers.time_of(number));
    let oldest = [sent, outlook.waiting_since, given_up].into_iter().flatten().min();
    Some(Lag {
        messages: outlook.unacknowledged,
        waiting: n.machine.waiting(),
        age: Duration::from_millis(oldest.map_or(0, |at| now.saturating_sub(at))),
    })
}

fn peer(n: &SyncNode, given_up: Option<Millis>, clock: Clock) -> Peer {
    let (s, now) = (n.machine.stats(), clock.now);
    let outlook = n.machine.outlook();
    Peer {
        address: address(n),
        state: peer_state(n, now),
        last_seen_time: outlook.last_heard.map(|at| clock.unix(at)),
        lag: lag(n, given_up, now),
        sent: s.sent,
        received: s.received,
        lost: s.lost,
        resent: matches!(n.machine.config().mode, Mode::Ftfw(_)).then_some(s.resent),
        late: s.before,
        unannounced: s.unannounced,
        malformed: Malformed {
            version: s.bad_version,
            header: s.bad_header,
            payload: s.bad_payload,
            truncated: s.truncated,
            size: s.bad_size,
        },
        sealing: n.seal.as_ref().map(|s| sealing(s, now)),
        resync: n.resync.transfer(now, n.taken()),
        // A small one begins and ends within a turn.
        bulk: Transfer { count: s.bulks, ..n.bulk.transfer(now, outlook.bulk_sent) },
    }
}

fn sealing(s: &Seal, now: Millis) -> Sealing {
    let (key, _) = s.sealing_with();
    let used = s.settings().keys.iter().find(|k| k.number == key);
    Sealing {
        node: s.living(now).last(),
        mode: s.settings().mode.word(),
        key,
        fingerprint: used.map(GroupKey::fingerprint),
        counts: s.counts(),
    }
}

fn committed(n: &SyncNode) -> Commit {
    let running = n.commit.is_running();
    let Some(commit::CommitProgress { total, outcome, took }) = n.commit.progress() else {
        return Commit::default();
    };
    let done = outcome.flows + outcome.expects;
    let failed = outcome.flows_failed + outcome.expects_failed;
    Commit {
        running,
        done,
        total: Some(total),
        failed,
        eta: if running { remaining(done + failed, total, took) } else { None },
        last_duration: n.commit.last().map(|p| p.took),
        count: n.commit.completed(),
    }
}
