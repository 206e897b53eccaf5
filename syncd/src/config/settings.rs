//! What the configuration file says, as typed values with the original's defaults
//! (conntrackd.md §5.2 to §5.6).

pub use crate::peer::seal::AuthMode;
pub use crate::peer::{Alarm, Ftfw, Mode, Notrack};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use zct_engine::secret::Secret;
use zct_helpers::config::Prefix;
use zct_wire::consts::ips;

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

/// `Helper`: userspace helpers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Helpers {
    /// `Setup`: whether the daemon makes the stubs of its helpers in the kernel.
    pub setup: bool,
    /// `Type`, without repetitions.
    pub types: Vec<Helper>,
}

/// `Type NAME FAMILY PROTOCOL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// The helper with this name.
    pub kind: &'static HelperKind,
    /// `inet` or `inet6`.
    pub family: HelperFamily,
    /// `tcp` or `udp`.
    pub protocol: HelperProtocol,
    /// `QueueNum`: the queue in which the kernel hands over the helper's packets.
    pub queue_num: u16,
    /// `QueueLen`: how many packets may wait there; `None` for the kernel's default.
    pub queue_len: Option<u32>,
    /// `Policy`, or `None` for the helper's own.
    pub policy: Option<Policy>,
    /// `AllowPrivilegedPorts`: whether ports below 1024 may be announced.
    pub privileged_ports: bool,
    /// `AllowFrom`: the only senders whose announcements are taken; all while this is empty.
    pub senders: Vec<Prefix>,
    /// `AllowAddress`: what may be announced beside the sender's own address.
    pub addresses: Vec<Prefix>,
    /// `MaxExpectations`: how many expectations of this type may wait at a time; `None` for no limit of ours.
    pub max_expectations: Option<u32>,
    /// `Permanent`: whether more than one flow may use what is expected; `None` for what the protocol does.
    pub permanent: Option<bool>,
    /// `AnyServerPort`: whether servers may answer from other ports than that of their service.
    pub any_port: bool,
}

/// `Policy`. A member that is not given is 0, as in the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `ExpectMax`: how many expectations one flow may have.
    pub expect_max: u8,
    /// `ExpectTimeout`: seconds that an expectation lasts.
    pub expect_timeout_s: u32,
}

/// The layer 3 protocol of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelperFamily {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl HelperFamily {
    /// The file's word for it.
    pub fn word(self) -> &'static str {
        match self {
            HelperFamily::Inet => "inet",
            HelperFamily::Inet6 => "inet6",
        }
    }
}

/// The layer 4 protocol of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelperProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl HelperProtocol {
    /// The file's word for it.
    pub fn word(self) -> &'static str {
        match self {
            HelperProtocol::Tcp => "tcp",
            HelperProtocol::Udp => "udp",
        }
    }
}

/// A helper of the original, where it is a plug-in.
#[derive(Debug, PartialEq, Eq)]
pub struct HelperKind {
    /// Its name, which its policy has too.
    pub name: &'static str,
    /// The layer 4 protocols that it works with.
    pub protocols: &'static [HelperProtocol],
    /// The kernel's own helper with that name, if there is one.
    pub module: Option<&'static str>,
}

const fn helper_kind(
    name: &'static str,
    protocols: &'static [HelperProtocol],
    module: Option<&'static str>,
) -> HelperKind {
    HelperKind { name, protocols, module }
}

/// All helpers that the original has.
pub static HELPERS: [HelperKind; 10] = [
    helper_kind("amanda", &[HelperProtocol::Udp], Some("nf_conntrack_amanda")),
    helper_kind("dhcpv6", &[HelperProtocol::Udp], None),
    helper_kind("ftp", &[HelperProtocol::Tcp], Some("nf_conntrack_ftp")),
    helper_kind("mdns", &[HelperProtocol::Udp], None),
    helper_kind("rpc", &[HelperProtocol::Tcp, HelperProtocol::Udp], None),
    helper_kind("sane", &[HelperProtocol::Tcp], Some("nf_conntrack_sane")),
    helper_kind("slp", &[HelperProtocol::Udp], None),
    helper_kind("ssdp", &[HelperProtocol::Tcp, HelperProtocol::Udp], None),
    helper_kind("tftp", &[HelperProtocol::Udp], Some("nf_conntrack_tftp")),
    helper_kind("tns", &[HelperProtocol::Tcp], None),
];

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

/// `Filter`: which flows the daemon wants to know about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `From`: who does the filtering of events.
    pub from: FilterFrom,
    /// `Protocol`.
    pub protocol: Option<Listed<Protocol>>,
    /// `Address`.
    pub address: Option<Listed<Network>>,
    /// `State`: TCP states by their kernel numbers, in the order of the file.
    pub state: Option<Listed<TcpState>>,
    /// `Port`, which is not in the original, nor are the next four.
    pub port: Option<Listed<Ports>>,
    /// `Zone`.
    pub zone: Option<Listed<u16>>,
    /// `NAT`.
    pub nat: Option<Listed<Translation>>,
    /// `Mark`.
    pub mark: Option<Listed<MarkBits>>,
    /// `Label`: numbers of bits, up to [`LABEL_MAX`].
    pub label: Option<Listed<u8>>,
}

/// The longest name of a peer, in bytes.
pub const PEER_NAME_MAX: usize = 31;

/// The highest number of a connection tracking label.
pub const LABEL_MAX: u8 = 127;

/// The ports from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The lowest.
    pub first: u16,
    /// The highest, which is not less.
    pub last: u16,
}

/// Marks that have a value in some of their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MarkBits {
    /// The value, which has no bits outside the mask.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

/// What NAT has translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Translation {
    /// `SNAT`: the source (IPS_SRC_NAT).
    Source,
    /// `DNAT`: the destination (IPS_DST_NAT).
    Destination,
}

impl Translation {
    /// The file's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Translation::Source => "SNAT",
            Translation::Destination => "DNAT",
        }
    }

    /// The bit of a flow's status.
    pub fn status(self) -> u32 {
        match self {
            Translation::Source => ips::SRC_NAT,
            Translation::Destination => ips::DST_NAT,
        }
    }
}

/// Where events are filtered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilterFrom {
    /// By the daemon.
    #[default]
    Userspace,
    /// By the kernel, before they are sent.
    Kernelspace,
}

/// A list, and what it means to be on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// Whether what is listed is accepted or ignored.
    pub logic: Logic,
    /// The items, in the order of the file, without repetitions.
    pub items: Vec<T>,
}

/// What it means to be on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// Only what is listed passes. An empty list passes nothing.
    Accept,
    /// What is listed does not pass.
    Ignore,
}

/// A layer 4 protocol by the name it has in the file: the format has no numbers for protocols.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// The name, as written in the file.
    pub name: String,
    /// IPPROTO_* number.
    pub number: u8,
}

/// A single address or a network. Bits beyond the prefix are kept as written, but do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// IPv4 with a prefix length of 0 to 32.
    V4(Ipv4Addr, u8),
    /// IPv6 with a prefix length of 0 to 128.
    V6(Ipv6Addr, u8),
}

/// A TCP state, by its number in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpState(pub(crate) u8);

/// The file's words for TCP states, with their numbers in the kernel (TCP_CONNTRACK_*). The kernel now calls
/// number 9 SYN_SENT2; the file's word for it is still LISTEN.
pub const TCP_STATE_WORDS: [(&str, u8); 10] = [
    ("SYN_SENT", 1),
    ("SYN_RECV", 2),
    ("ESTABLISHED", 3),
    ("FIN_WAIT", 4),
    ("CLOSE_WAIT", 5),
    ("LAST_ACK", 6),
    ("TIME_WAIT", 7),
    ("CLOSED", 8),
    ("CLOSE", 8),
    ("LISTEN", 9),
];

impl TcpState {
    /// The state's number in the kernel.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The word for it in the file.
    pub fn word(self) -> &'static str {
        TCP_STATE_WORDS.iter().find(|(_, n)| *n == self.0).map_or("NONE", |(w, _)| w)
    }
}

/// `Sync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// `Mode`, with the settings that only this mode has.
    pub mode: Mode,
    /// `CommitTimeout`: timeout of committed flows in seconds; `None` leaves them the rest of their own.
    pub commit_timeout_s: Option<u32>,
    /// `PurgeTimeout`: seconds from `-t` to the flush.
    pub purge_timeout_s: u32,
    /// The dedicated links, one to four of one kind for each peer, in the order of the file.
    pub links: DedicatedLinks,
    /// Index of the link that is active at first.
    pub default_link: usize,
    /// `Peer`: the other nodes, in the order of the file. Empty where there is one that has no name. Not in
    /// the original.
    pub peers: Vec<PeerSettings>,
    /// `TCPWindowTracking`.
    pub tcp_window_tracking: bool,
    /// `ExpectationSync`.
    pub expectations: Expectations,
    /// `SyncAfter`: seconds that a flow has to live before the peer is told of it; `None` tells at once. Not
    /// in the original.
    pub sync_after_s: Option<u32>,
    /// `UpdateInterval`: the seconds from one update of a flow to the next; `None` sends each change. Not in
    /// the original.
    pub update_interval_s: Option<u32>,
    /// `Digest`: whether the caches of two zctd are compared. Not in the original.
    pub digest: bool,
    /// `DigestInterval`: seconds from one comparison to the next; `None` is the default. Not in the original.
    pub digest_interval_s: Option<u32>,
    /// `ResyncInterval`: seconds from one request for all flows of a peer that compares nothing to the next; `None`
    /// for never. Not in the original.
    pub resync_interval_s: Option<u32>,
    /// `ReviewInterval`: seconds from one slow comparison with the kernel to the next, 0 for none; `None` is the
    /// default. Not in the original.
    pub review_interval_s: Option<u32>,
    /// `NodeID`: the number of this node, which no other has. Not in the original.
    pub node_id: Option<u16>,
    /// `Auth`: the keys with which messages are sealed; `None` sends and takes them as they are. Not in the
    /// original.
    pub auth: Option<Auth>,
}

/// `Peer NAME`: one of the other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// Its name, which no other has.
    pub name: String,
    /// `NodeID`: its number, which no other node has.
    pub node_id: u16,
    /// Which of the links lead to it, by their indices.
    pub links: Vec<usize>,
    /// Which of these is active at first.
    pub default_link: usize,
}

/// `Auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// `Key`, in the order of the file, each number once.
    pub keys: Vec<AuthKey>,
    /// `ActiveKey`: the number of the one that is used for sending.
    pub active: u8,
    /// `Mode`.
    pub mode: AuthMode,
}

/// `Key`: its number, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthKey {
    /// 1 to 255.
    pub number: u8,
    /// Where it is.
    pub source: KeySource,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `file:PATH`.
    File(PathBuf),
    /// `credential:NAME`: a file of this name among the credentials that systemd passes to the service.
    Credential(PathBuf),
    /// `hex:DIGITS`: in the configuration file itself.
    Hex(Secret),
}

/// `ExpectationSync`: which expectations are replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectations {
    /// `off`: none are.
    Off,
    /// `on`: all of them are.
    All,
    /// Those of helpers whose names begin with one of these words, in any letter case.
    Of(Vec<String>),
}

/// The dedicated links, all of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DedicatedLinks {
    /// `Multicast`.
    Multicast(Vec<DedicatedLink<Group>>),
    /// `UDP`.
    Udp(Vec<DedicatedLink<Ends>>),
    /// `TCP`.
    Tcp {
        /// The TCP links.
        links: Vec<DedicatedLink<Ends>>,
        /// `ErrorQueueLength`: how many buffers may wait for a broken connection, for all links together.
        error_queue_length: u32,
    },
}

/// One dedicated link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedicatedLink<A> {
    /// `Interface`: the link's MTU and state are taken from it.
    pub interface: String,
    /// The addresses of both ends, or of the group.
    pub addresses: A,
    /// `Port`, or `Group` of a multicast link: the port that both sides use.
    pub port: u16,
    /// `SndSocketBuffer` in bytes; `None` for the system's default.
    pub send_buffer: Option<u32>,
    /// `RcvSocketBuffer` in bytes; `None` for the system's default.
    pub receive_buffer: Option<u32>,
    /// `Checksum`: false asks for datagrams without one (SO_NO_CHECK).
    pub checksum: bool,
}

/// The addresses of a multicast link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// IPv4: the group, and the local address that names the interface.
    V4 {
        /// `IPv4_address`.
        group: Ipv4Addr,
        /// `IPv4_interface`.
        local: Ipv4Addr,
    },
    /// IPv6: the index of the interface is all else that is needed.
    V6 {
        /// `IPv6_address`.
        group: Ipv6Addr,
    },
}

/// The addresses of a unicast link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// `IPv4_address` or `IPv6_address`: the address to bind to; `None` for any.
    pub local: Option<IpAddr>,
    /// `IPv4_Destination_Address` or `IPv6_Destination_Address`: of the same family as `local`.
    pub peer: IpAddr,
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

impl Sync {
    /// True when the links stand in `Peer` blocks, and each leads to one peer.
    pub fn links_are_of_peers(&self) -> bool {
        !self.peers.is_empty() && !matches!(self.links, DedicatedLinks::Multicast(_))
    }
}

impl DedicatedLinks {
    /// The number of links.
    pub fn len(&self) -> usize {
        match self {
            DedicatedLinks::Multicast(l) => l.len(),
            DedicatedLinks::Udp(links) | DedicatedLinks::Tcp { links, .. } => links.len(),
        }
    }

    /// Never true in a configuration that was read from a file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
