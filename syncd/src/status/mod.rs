//! What there is to know about the running daemon, in plain values: for people, for scripts, for metrics.
//!
//! The daemon fills a [`Status`] from its parts when somebody asks. That reads counters and three short files
//! below `/proc/sys`; it never walks a table. [`text`] writes it for people,
//! [`json`] for programs (docs/status.schema.json).
//!
//! `None` stands for what is unknown or does not apply. Times are spans: those named `…_time` are counted
//! from the Unix epoch by the clock as it is set now, so that a clock that was wrong at the start does no
//! harm.

pub mod json;
pub mod ledger;
pub mod text;

use crate::helper::counts::HelperCounts;
use crate::kernel::TableSize;
use crate::links::Traffic;
use crate::peer::CacheStats;
use crate::peer::seal::{Fingerprint, SealCounts};
use crate::status::ledger::{How, KINDS, LedgerKind, Tally};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The number of the JSON object's layout. It rises when a key changes its meaning or goes; new keys may come
/// without that.
pub const SCHEMA: u32 = 1;

/// The state of the daemon and of all that it works with.
#[derive(Clone, Debug)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// Process id.
    pub pid: u32,
    /// When the status was taken.
    pub time: Duration,
    /// When the daemon started.
    pub start_time: Duration,
    /// `ftfw`, `alarm`, `notrack` or `stats`.
    pub mode: &'static str,
    /// What the fail-over script has made of this node.
    pub role: VrrpRole,
    /// What keeps this node from being in sync; empty when it is.
    pub missing: Vec<Missing>,
    /// The kernel's table.
    pub kernel: TableSize,
    /// The cache of the kernel's flows.
    pub internal: Option<Cache>,
    /// The cache of the peer's flows; `None` in stats mode.
    pub external: Option<Cache>,
    /// The kernel's events.
    pub events: Events,
    /// The dedicated links, in the order of the configuration.
    pub links: Vec<LinkStatus>,
    /// The other nodes, in the order of the configuration; none in stats mode.
    pub peers: Vec<Peer>,
    /// The commit under way or the last one; `None` in stats mode.
    pub commit: Option<CommitStatus>,
    /// The last take-over that was completed; `None` if there was none.
    pub takeover: Option<TakeoverStatus>,
    /// The userspace helpers; `None` when none is configured.
    pub helpers: Option<HelpersStatus>,
    /// Everything that was lost since the start, in the order of [`LedgerKind::ALL`].
    pub losses: [Tally; KINDS],
    /// The ledger, oldest entry first; `None` unless it was asked for.
    pub ledger: Option<Vec<Loss>>,
}

impl Status {
    /// True once the first dump of the kernel's table is complete, and the links are served.
    pub fn is_ready(&self) -> bool {
        !self.missing.contains(&Missing::FirstDump)
    }

    /// True when nothing is missing.
    pub fn is_in_sync(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What the fail-over script has made of this node. The daemon does not see virtual addresses; it concludes
/// from the commands that the script of conntrack-tools gives at each change of state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VrrpRole {
    /// No such command has come since the start.
    #[default]
    Unknown,
    /// The last one was `-c`: this node has taken over.
    Active,
    /// The last one was `-t`: the other node is active.
    Backup,
}

impl VrrpRole {
    /// All roles.
    pub const ALL: [VrrpRole; 3] = [VrrpRole::Active, VrrpRole::Backup, VrrpRole::Unknown];

    /// The name of the role: `active`, `backup` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            VrrpRole::Unknown => "unknown",
            VrrpRole::Active => "active",
            VrrpRole::Backup => "backup",
        }
    }
}

/// A reason why a node is not in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The first dump of the kernel's table is not complete.
    FirstDump,
    /// Events were lost, or the filter has changed, or a commit did not listen to new flows, and the
    /// comparison with the kernel is not complete.
    Comparison,
    /// No dedicated link is up.
    Link,
    /// The peer has not been heard lately.
    Peer,
    /// The peer was asked for all its flows or for lost messages, and has not sent all of that.
    Resync,
    /// The peer needs all flows, and has not been sent all of them.
    Bulk,
    /// The peer has not acknowledged what it was sent some seconds ago.
    Acknowledgement,
}

impl Missing {
    /// All reasons.
    pub const ALL: [Missing; 7] = [
        Missing::FirstDump,
        Missing::Comparison,
        Missing::Link,
        Missing::Peer,
        Missing::Resync,
        Missing::Bulk,
        Missing::Acknowledgement,
    ];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Missing::FirstDump => "first_dump",
            Missing::Comparison => "comparison",
            Missing::Link => "link",
            Missing::Peer => "peer",
            Missing::Resync => "resync",
            Missing::Bulk => "bulk",
            Missing::Acknowledgement => "acknowledgement",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::FirstDump => "the first dump of the kernel's table is not complete",
            Missing::Comparison => "the comparison of the cache with the kernel is not complete",
            Missing::Link => "no dedicated link is up",
            Missing::Peer => "the peer is not heard",
            Missing::Resync => "what the peer was asked for has not all come",
            Missing::Bulk => "the peer has not been sent all flows",
            Missing::Acknowledgement => "the peer does not acknowledge what it was sent",
        })
    }
}

/// One cache. Without the cache itself (`DisableInternalCache`, `DisableExternalCache`) only the operations
/// are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Flows that have not ended.
    pub flows: Option<usize>,
    /// Expectations.
    pub expectations: Option<usize>,
    /// The most flows that it takes (`HashLimit`).
    pub limit: Option<usize>,
    /// Bytes of memory, expectations included.
    pub bytes: Option<usize>,
    /// What was done to its flows, and how often that failed.
    pub operations: CacheStats,
}

/// The kernel's events, and what was done about those that were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Events that have come.
    pub received: u64,
    /// Events that the kernel had to drop because the buffer was full.
    pub lost: u64,
    /// Occasions of that.
    pub overruns: u64,
    /// Comparisons with the kernel, because of overruns or of `PollSecs`.
    pub comparisons: u64,
    /// Flows that comparisons have added or removed.
    pub repaired: Option<u64>,
    /// Size of the event socket's buffer in bytes; `None` when the daemon polls.
    pub buffer_bytes: Option<usize>,
    /// The slow comparisons with the kernel; `None` where there are none.
    pub review: Option<KernelReview>,
}

/// What slow comparisons with the kernel have come to (`ReviewInterval`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelReview {
    /// Whether one is under way.
    pub running: bool,
    /// Those that have ended.
    pub checks: u64,
    /// Flows that differed without a lost event.
    pub differences: u64,
    /// When nothing differed last.
    pub last_equal_time: Option<Duration>,
}

/// A dedicated link.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// Name of its interface.
    pub interface: String,
    /// `udp`, `multicast` or `tcp`.
    pub transport: &'static str,
    /// `running`, `no-carrier` or `down`: the state of its interface.
    pub state: String,
    /// Whether it is the one that is used for sending.
    pub in_use: bool,
    /// Bytes, and datagrams or TCP buffers, that were sent and received, and what went wrong.
    pub traffic: Traffic,
}

/// How it stands with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It has been heard lately.
    Up,
    /// It has not been heard for some seconds.
    Silent,
    /// Nobody can say: in ALARM mode a peer without flows says nothing.
    Unknown,
}

impl PeerState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            PeerState::Up => "up",
            PeerState::Silent => "silent",
            PeerState::Unknown => "unknown",
        }
    }
}

/// One of several other nodes.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its `NodeID`.
    pub node: u16,
    /// The cache of its flows.
    pub cache: Cache,
}

/// The other node.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Which of several it is; `None` in a pair.
    pub member: Option<MemberStatus>,
    /// Its address on the link in use; `None` with multicast.
    pub address: Option<IpAddr>,
    /// Whether it is there.
    pub state: PeerState,
    /// When it was last heard; `None` if never.
    pub last_seen_time: Option<Duration>,
    /// What it has not acknowledged, or not been sent; `None` in modes without acknowledgements.
    pub lag: Option<Lag>,
    /// Messages that were sent to it, control messages and retransmissions included.
    pub sent: u64,
    /// Messages of it that were accepted.
    pub received: u64,
    /// Messages of it that were missing, according to gaps in the numbers.
    pub lost: u64,
    /// Messages that were sent to it again because it had lost them; `None` in modes without that.
    pub resent: Option<u64>,
    /// Messages of it that came twice or too late.
    pub late: u64,
    /// Flows that ended before `SyncAfter`, of which it was told nothing.
    pub unannounced: u64,
    /// Messages that made no sense.
    pub malformed: Malformed,
    /// What `Auth` makes of all this; `None` without it.
    pub sealing: Option<Sealing>,
    /// Comparisons of what it has sent with what is here (`Digest`); `None` where nothing is compared.
    pub digest: Option<Digest>,
    /// Flows asked of the peer: the request under way or the last one.
    pub resync: Transfer,
    /// All flows sent to the peer: the bulk under way or the last one.
    pub bulk: Transfer,
}

/// Comparisons with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Whether the peer is known to answer.
    pub running: bool,
    /// Comparisons that were made.
    pub checks: u64,
    /// Parts of its flows, 65,536 of them, that were found to differ.
    pub differences: u64,
    /// Repairs that have ended.
    pub repairs: u64,
    /// Flows that were removed by them.
    pub removed: u64,
    /// When everything was last found to be equal; `None` if never.
    pub last_equal_time: Option<Duration>,
}

/// Messages sealed and opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// The number of the other node that has proved last that it is there; `None` when none has lately.
    pub node: Option<u16>,
    /// The mode of `Auth`.
    pub mode: &'static str,
    /// The number of the key in use.
    pub key: u8,
    /// By what it is recognised; `None` when it is no longer configured.
    pub fingerprint: Option<Fingerprint>,
    /// What has been counted.
    pub counts: SealCounts,
}

/// How far the peer is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Messages that were sent and are not acknowledged.
    pub messages: usize,
    /// Changes that wait to be sent.
    pub waiting: usize,
    /// Age of the oldest of all these; zero if there are none.
    pub age: Duration,
}

/// Messages that made no sense, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Malformed {
    /// Another version of the protocol.
    pub version: u64,
    /// A type or flags that the mode does not know.
    pub header: u64,
    /// Attributes that make no sense, or no flow.
    pub payload: u64,
    /// The message ends before its length.
    pub truncated: u64,
    /// A length that no message has.
    pub size: u64,
}

impl Malformed {
    /// The counts with their names.
    pub fn by_reason(&self) -> [(&'static str, u64); 5] {
        [
            ("version", self.version),
            ("header", self.header),
            ("payload", self.payload),
            ("truncated", self.truncated),
            ("size", self.size),
        ]
    }
}

/// The passing on of all flows, in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Whether it is under way.
    pub running: bool,
    /// Entries that have been passed on so far.
    pub done: Option<u64>,
    /// Entries in all: exact for what is sent. Of what is received only an estimate can be known, the number
    /// of flows that the peer had before.
    pub total: Option<u64>,
    /// How long it is going to take, if it goes on as fast as it has until now.
    pub eta: Option<Duration>,
    /// How often it was begun.
    pub count: u64,
    /// How long the last one took that was completed.
    pub last_duration: Option<Duration>,
}

/// The commit: the peer's entries on their way into the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitStatus {
    /// Whether one is under way; otherwise the figures are those of the last one.
    pub running: bool,
    /// Entries that the kernel has taken.
    pub done: u64,
    /// Entries that there were when it began; `None` before the first commit.
    pub total: Option<u64>,
    /// Entries that the kernel has refused.
    pub failed: u64,
    /// How long it is going to take, if it goes on as fast as it has until now.
    pub eta: Option<Duration>,
    /// How long the last one took.
    pub last_duration: Option<Duration>,
    /// Commits that were completed.
    pub count: u64,
    /// Flows left out of all commits because another node had a better claim to them; `None` in a pair.
    pub conflicts: Option<u64>,
}

/// A take-over: from the request for a commit until it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeoverStatus {
    /// When it was complete.
    pub last_time: Duration,
    /// How long it took.
    pub duration: Duration,
}

/// The userspace helpers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelpersStatus {
    /// Their process; `None` while it is not running.
    pub pid: Option<u32>,
    /// How often it was started again because it had ended.
    pub restarts: u64,
    /// The types, in the order of the configuration.
    pub types: Vec<HelperStatus>,
}

/// One type of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperStatus {
    /// The name by which rules refer to it.
    pub name: &'static str,
    /// `inet` or `inet6`.
    pub family: &'static str,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// What it has done since the daemon started, in all its processes.
    pub counts: HelperCounts,
}

/// An entry of the ledger: losses of a kind that came close together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Which of several peers it is about; `None` when it is about none of them.
    pub peer: Option<String>,
    /// What kind of loss.
    pub kind: LedgerKind,
    /// When the first of them was noticed.
    pub time: Duration,
    /// When the last of them was noticed.
    pub until_time: Duration,
    /// How many of what the kind counts.
    pub estimate: u64,
    /// How it was repaired, or will be; `None` when nothing repairs it.
    pub how: Option<How>,
    /// When it was repaired; `None` as long as it is not.
    pub repaired_time: Option<Duration>,
}

/// How long the rest of a piece of work takes at the rate of what has been done.
pub fn remaining(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    let left = total.saturating_sub(done);
    let micros = u128::from(left).checked_mul(elapsed.as_micros())?.checked_div(done.into())?;
    u64::try_from(micros).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_is_done_did() {
        let s = Duration::from_secs;
        assert_eq!(remaining(25, 100, s(1)), Some(s(3)));
        assert_eq!(remaining(100, 100, s(1)), Some(s(0)));
        assert_eq!(remaining(120, 100, s(1)), Some(s(0)));
        assert_eq!(remaining(0, 100, s(1)), None);
        assert_eq!(remaining(1, u64::MAX, s(u64::MAX)), None);
    }
}
