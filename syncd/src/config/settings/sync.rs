//! `Sync`: the mode, the links and the peers (conntrackd.md §5.3, §5.4).

use super::{AuthMode, Mode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use zct_engine::secret::Secret;

/// The most other nodes: with this one as many as a seal remembers.
pub const PEERS_MAX: usize = 15;

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
