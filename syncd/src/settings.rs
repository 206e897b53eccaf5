//! What the daemon runs on: the configuration as plain values, complete and checked
//! (spec/conntrackd.md §5).

use crate::filter::{EventFilter, HelperFilter};
use crate::log::{Facility, Sinks};
use crate::peer;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use zct_engine::process::Policy;

/// Everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `HashLimit`: entries a cache holds at most.
    pub hash_limit: usize,
    /// `LogFile` and `Syslog` of General.
    pub log: Sinks,
    /// `LockFile`.
    pub lock_file: PathBuf,
    /// `UNIX { Path }`.
    pub control_path: PathBuf,
    /// `NetlinkBufferSize` and the like.
    pub events: EventSettings,
    /// `Filter`, and whether it is put into the kernel (`From Kernelspace`).
    pub filter: EventFilter,
    /// `Filter From Kernelspace`.
    pub filter_in_kernel: bool,
    /// `Scheduler`; the original takes SCHED_RR at 99 unasked, we take nothing unasked.
    pub scheduler: Option<(Policy, u32)>,
    /// `Nice`.
    pub nice: Option<i32>,
    /// `Systemd`.
    pub systemd: bool,
    /// What kind of daemon this is.
    pub role: Role,
}

/// `Sync` or `Stats`.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// Replicates.
    Sync(SyncSettings),
    /// Logs what ends.
    Stats(StatsSettings),
}

/// How events come from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// `NetlinkBufferSize`: bytes, as the kernel counts them; `None` leaves the system's default.
    pub buffer: Option<usize>,
    /// `NetlinkBufferSizeMaxGrowth`: up to what an overrun doubles it.
    pub buffer_max: usize,
    /// `NetlinkOverrunResync`: seconds from an overrun to the comparison with the kernel; `None` for never.
    pub overrun_resync_s: Option<u64>,
    /// `NetlinkEventsReliable`.
    pub reliable: bool,
    /// `EventIterationLimit`: events, and datagrams a link, in one turn.
    pub iteration_limit: usize,
    /// `PollSecs`: look at the table every so many seconds instead of listening to events.
    pub poll_s: Option<u64>,
}

/// A node of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncSettings {
    /// What the protocol machine is told.
    pub protocol: peer::Config,
    /// The dedicated links, at least one.
    pub links: Vec<LinkSettings>,
    /// Which of them sends first (`Default`).
    pub first_link: usize,
    /// `ErrorQueueLength`: datagrams kept for a TCP peer that is not there.
    pub error_queue: usize,
    /// `ExpectationSync`: which expectations are replicated; `None` for none.
    pub expectations: Option<HelperFilter>,
}

/// What a link runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// UDP to one address.
    Udp {
        /// Our address and port.
        local: SocketAddr,
        /// The peer's.
        peer: SocketAddr,
    },
    /// UDP to a group. The scope of an IPv6 group is filled in from the interface.
    Multicast {
        /// Group and port.
        group: SocketAddr,
        /// `IPv4_interface`.
        local: Option<Ipv4Addr>,
    },
    /// TCP, one connection each way.
    Tcp {
        /// Where we listen.
        local: SocketAddr,
        /// Where the peer listens.
        peer: SocketAddr,
    },
}

/// One dedicated link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Kind and addresses.
    pub kind: LinkKind,
    /// `Interface`: MTU and state are taken from it.
    pub interface: String,
    /// `SndSocketBuffer`.
    pub send_buffer: Option<usize>,
    /// `RcvSocketBuffer`.
    pub receive_buffer: Option<usize>,
    /// `Checksum`.
    pub checksum: bool,
}

/// How ended flows are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatsFormat {
    /// As the original does.
    #[default]
    Text,
    /// One JSON object a line (`LogFormat json`, ours).
    Json,
}

/// A node that logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsSettings {
    /// `LogFile`.
    pub file: Option<PathBuf>,
    /// `Syslog`.
    pub syslog: Option<Facility>,
    /// `LogFormat`.
    pub format: StatsFormat,
}

impl Settings {
    /// The replicating role, if it is that.
    pub fn sync(&self) -> Option<&SyncSettings> {
        match &self.role {
            Role::Sync(s) => Some(s),
            Role::Stats(_) => None,
        }
    }
}
