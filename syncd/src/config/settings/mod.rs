//! What the configuration file says, as typed values with the original's defaults
//! (conntrackd.md §5.2 to §5.7).

mod filter;
mod helpers;
mod sync;

pub use crate::peer::seal::AuthMode;
pub use crate::peer::{Alarm, Ftfw, Mode, Notrack};
pub use filter::*;
pub use helpers::*;
use std::net::SocketAddr;
use std::path::PathBuf;
pub use sync::*;

/// A complete configuration that a daemon can run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `General`.
    pub general: General,
    /// Whether it is a sync or a statistics daemon.
    pub role: Role,
    /// `Helper`.
    pub helpers: Helpers,
    /// `Metrics`.
    pub metrics: Metrics,
}

/// `Metrics`: where metrics for Prometheus are to be had; nowhere without the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `Listen`: where they can be asked for.
    pub listen: Option<Listen>,
    /// `TextFile`: the file that has them.
    pub text_file: Option<PathBuf>,
    /// `Interval`: seconds after which that file is written anew.
    pub interval_s: u32,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics { listen: None, text_file: None, interval_s: default::METRICS_INTERVAL_S }
    }
}

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address of this host and a TCP port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The purpose of the daemon: one of the two, never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// `Sync`: to exchange flows with a peer.
    Sync(Sync),
    /// `Stats`, or neither section: to log ended flows.
    Stats(Stats),
}

/// `General`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct General {
    /// `HashSize`: buckets of each cache in the original. zctd's caches grow by themselves.
    pub hash_size: u32,
    /// `HashLimit`: the most entries that each cache holds.
    pub hash_limit: u32,
    /// `LogFile`: where the daemon's own log is appended, if anywhere.
    pub log_file: Option<PathBuf>,
    /// `Syslog`: where the daemon's own log is also sent, if anywhere.
    pub syslog: Option<Facility>,
    /// `LockFile`.
    pub lock_file: PathBuf,
    /// `UNIX { Path }`: the control socket. Without one the daemon runs, but nobody can talk to it.
    pub control_socket: Option<PathBuf>,
    /// `NetlinkBufferSize`: bytes of the event socket's buffer; `None` for the system's default. The original
    /// ignores a size above [`General::netlink_buffer_size_max`], which loses events; here it takes effect,
    /// and the buffer does not grow.
    pub netlink_buffer_size: Option<u32>,
    /// `NetlinkBufferSizeMaxGrowth`: the size in bytes up to which that buffer is doubled when
    /// events were lost.
    pub netlink_buffer_size_max: u32,
    /// `NetlinkOverrunResync`: seconds from a loss of events to the comparison with the kernel;
    /// `None` means never.
    pub netlink_overrun_resync_s: Option<u32>,
    /// `NetlinkEventsReliable`: the kernel keeps undelivered events with the flow.
    pub netlink_events_reliable: bool,
    /// `EventIterationLimit`: how many events, and how many datagrams per link, are handled in one turn.
    pub event_iteration_limit: u32,
    /// `PollSecs`: seconds between dumps of the kernel's table, which then replace events.
    pub poll_s: Option<u32>,
    /// `Filter`.
    pub filter: Filter,
    /// `Scheduler`, if there is such a block. Without one, the original takes SCHED_RR at 99, at which a busy
    /// loop can starve the machine; zctd then leaves the scheduler alone.
    pub scheduler: Option<Scheduler>,
    /// `Systemd`: whether to send readiness and watchdog messages.
    pub systemd: bool,
}

/// Where `Syslog` sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// The facility LOG_DAEMON.
    Daemon,
    /// The facilities LOG_LOCAL0 to LOG_LOCAL7.
    Local(u8),
}

/// `Scheduler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// `Type`.
    pub policy: SchedulerPolicy,
    /// `Priority`, 0 to 99. The kernel refuses 0 for both policies.
    pub priority: u8,
}

/// A real-time policy of sched(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerPolicy {
    /// SCHED_RR.
    RoundRobin,
    /// SCHED_FIFO.
    Fifo,
}

/// `Stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// `LogFile`: where ended flows are logged, if anywhere.
    pub log_file: Option<PathBuf>,
    /// `Syslog`: where ended flows are also sent, if anywhere.
    pub syslog: Option<Facility>,
    /// `LogFormat`: how a flow is written. Not in the original.
    pub log_format: LogFormat,
}

/// How an ended flow is written to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `text`: a line as the original writes it.
    #[default]
    Text,
    /// `json`: one object per line.
    Json,
}

/// The default values: the original's, where it has the setting.
pub mod default {
    use crate::peer::{Alarm, Ftfw};

    /// `HashSize`.
    pub const HASH_SIZE: u32 = 65_536;
    /// `HashLimit`.
    pub const HASH_LIMIT: u32 = 262_144;
    /// `LogFile on` in `General`.
    pub const LOG_FILE: &str = "/var/log/conntrackd.log";
    /// `LogFile on` in `Stats`.
    pub const STATS_LOG_FILE: &str = "/var/log/conntrackd-stats.log";
    /// `LockFile`.
    pub const LOCK_FILE: &str = "/var/lock/conntrackd.lock";
    /// `NetlinkOverrunResync`, seconds.
    pub const NETLINK_OVERRUN_RESYNC_S: u32 = 30;
    /// `EventIterationLimit`.
    pub const EVENT_ITERATION_LIMIT: u32 = 100;
    /// `PurgeTimeout`, seconds.
    pub const PURGE_TIMEOUT_S: u32 = 60;
    /// `ResendQueueSize`.
    pub const RESEND_QUEUE_SIZE: u32 = Ftfw::DEFAULT.resend_queue_size;
    /// `ACKWindowSize`.
    pub const ACK_WINDOW_SIZE: u32 = Ftfw::DEFAULT.ack_window_size;
    /// `RefreshTime`, seconds.
    pub const REFRESH_TIME_S: u32 = Alarm::DEFAULT.refresh_time_s;
    /// `CacheTimeout`, seconds.
    pub const CACHE_TIMEOUT_S: u32 = Alarm::DEFAULT.cache_timeout_s;
    /// `ErrorQueueLength`.
    pub const ERROR_QUEUE_LENGTH: u32 = 128;
    /// `Interval` of `Metrics`, seconds: how often Prometheus asks by default, about.
    pub const METRICS_INTERVAL_S: u32 = 15;
    /// `QueueLen`: what the kernel's queues hold by default.
    pub const QUEUE_LEN: u32 = 1024;
}
