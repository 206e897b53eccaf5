//! Puts together the daemon's status from its parts. No table is walked.

use crate::control::statistics::SyncView;
use crate::daemon::state::{Comparison, Daemon, Node};
use crate::daemon::sync_node::SyncNode;
use crate::kernel::TableSize;
use crate::kernel::commit;
use crate::links::{LinkIo, LinkKind};
use crate::peer::{Millis, Mode};
use crate::stats::cache::StatsCache;
use crate::status::{
    Cache, Commit, Events, Link, Malformed, Missing, Peer, PeerState, Status, Takeover, Transfer, remaining,
};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// From the daemon's own time to the Unix time that it means by the clock as it is set now.
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
    /// The state of the daemon and of all that it works with.
    pub(super) fn status(&self, now: Millis) -> Status {
        let clock = Clock::new(now);
        let (mode, internal, external) = match &self.node {
            Node::Sync(n) => {
                let view = n.view();
                (mode_name(n.machine.config().mode), internal(&view), Some(external(&view)))
            }
            Node::Stats(s) => ("stats", Some(counted(s)), None),
        };
        let (links, peers, commit) = match &self.node {
            Node::Sync(n) => (links(n), vec![peer(n, now)], Some(committed(n))),
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
        }
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
        let compares = self.kernel.resync_is_pending() || self.comparison != Comparison::None;
        let compares = compares || matches!(&self.node, Node::Sync(n) if n.catch_up.is_behind());
        missing(compares && self.config.general.poll_s.is_none(), Missing::Comparison);
        if let Node::Sync(n) = &self.node {
            missing(!n.links.all.iter().any(|l| l.link().up), Missing::Link);
            missing(peer_state(n, now) == PeerState::Silent, Missing::Peer);
            missing(n.machine.resync_is_running(), Missing::Resync);
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
            repaired: None,
            buffer_bytes: self.kernel.events().map(|_| self.kernel.buffer()),
        }
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

fn peer(n: &SyncNode, now: Millis) -> Peer {
    let s = n.machine.stats();
    Peer {
        address: address(n),
        state: peer_state(n, now),
        last_seen_time: None,
        lag: None,
        sent: s.sent,
        received: s.received,
        lost: s.lost,
        resent: None,
        late: s.before,
        malformed: Malformed {
            version: s.bad_version,
            header: s.bad_header,
            payload: s.bad_payload,
            truncated: s.truncated,
            size: s.bad_size,
        },
        resync: Transfer { running: n.machine.resync_is_running(), ..Transfer::default() },
        bulk: Transfer { running: n.machine.bulk_is_running(), count: s.bulks, ..Transfer::default() },
    }
}

fn committed(n: &SyncNode) -> Commit {
    let running = n.commit.is_running();
    let Some(commit::Progress { total, outcome, took }) = n.commit.progress() else {
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
