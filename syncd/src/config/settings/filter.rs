//! `Filter`: the flows that a daemon wants to know about (conntrackd.md §5.6).

use std::net::{Ipv4Addr, Ipv6Addr};
use zct_wire::consts::ips;

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
