//! The parts of the running daemon.

use crate::config::settings::Config;
use crate::control::server::Server;
use crate::control::statistics::Runtime;
use crate::daemon::losses::Losses;
use crate::daemon::rest::Rest;
use crate::daemon::reviews::Reviews;
use crate::daemon::room::Room;
use crate::daemon::sync_node::SyncNode;
use crate::daemon::takeover::Takeover;
use crate::daemon::waiting::Waiting;
use crate::helper::child::HelperChild;
use crate::host::lock::Lock;
use crate::host::log::Log;
use crate::host::systemd::Systemd;
use crate::kernel::Kernel;
use crate::kernel::flush::Flush;
use crate::metrics::outlets::Outlets;
use crate::peer::Millis;
use crate::stats::cache::StatsCache;
use std::path::PathBuf;
use std::time::Instant;
use zct_engine::Signals;
use zct_engine::process::Child;

/// Which part a token belongs to.
pub(super) mod token {
    pub(in crate::daemon) const SIGNALS: usize = 0;
    pub(in crate::daemon) const EVENTS: usize = 1;
    pub(in crate::daemon) const DUMP: usize = 2;
    pub(in crate::daemon) const HELPERS: usize = 3;
    pub(in crate::daemon) const CONTROL: usize = 16;
    pub(in crate::daemon) const METRICS: usize = 512;
    pub(in crate::daemon) const LINKS: usize = 1024;
}

/// The two roles that a daemon can have.
#[derive(Debug)]
pub(super) enum Node {
    Sync(Box<SyncNode>),
    Stats(Box<StatsCache>),
}

/// How far a comparison with the kernel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// No comparison is wanted.
    None,
    /// One has to begin as soon as no other dump runs.
    Wanted,
    /// Its dump is under way.
    Running,
}

/// The whole daemon.
pub(super) struct Daemon {
    pub(super) config: Config,
    pub(super) file: PathBuf,
    pub(super) log: Log,
    pub(super) lock: Option<Lock>,
    pub(super) systemd: Systemd,
    pub(super) signals: Signals,
    pub(super) server: Option<Server>,
    pub(super) metrics: Outlets,
    pub(super) kernel: Kernel,
    pub(super) flush: Flush,
    pub(super) helpers: HelperChild,
    pub(super) node: Node,
    pub(super) runtime: Runtime,
    pub(super) takeover: Takeover,
    pub(super) losses: Losses,
    pub(super) reviews: Reviews,
    pub(super) epoch: Instant,
    pub(super) waiting: Waiting,
    pub(super) comparison: Comparison,
    /// Whether the cache of the kernel's flows has had room for every one.
    pub(super) room: Room,
    /// How often the first dump has been begun; `None` once it is complete.
    pub(super) populating: Option<u32>,
    /// Syslog has not accepted everything yet.
    pub(super) syslog_waits: bool,
    /// Events may be waiting in the socket.
    pub(super) events_wait: bool,
    pub(super) background: Option<Child>,
    pub(super) rest: Rest,
    pub(super) stopping: bool,
}

impl Daemon {
    /// Milliseconds since the daemon started.
    pub(super) fn millis(&self, now: Instant) -> Millis {
        now.saturating_duration_since(self.epoch).as_millis() as Millis
    }

    pub(super) fn now(&self) -> Millis {
        self.millis(Instant::now())
    }
}
