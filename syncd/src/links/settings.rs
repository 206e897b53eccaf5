//! What the configuration says about a dedicated link.

use std::net::{Ipv4Addr, SocketAddr};

/// What a link runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// UDP to a single address.
    Udp {
        /// Our address and port.
        local: SocketAddr,
        /// The peer's address and port.
        peer: SocketAddr,
    },
    /// UDP to a multicast group. The scope of an IPv6 group is filled in from the interface.
    Multicast {
        /// The group's address and the port.
        group: SocketAddr,
        /// `IPv4_interface`.
        local: Option<Ipv4Addr>,
    },
    /// TCP, with one connection in each direction.
    Tcp {
        /// Where we listen.
        local: SocketAddr,
        /// Where the peer listens.
        peer: SocketAddr,
    },
}

impl LinkKind {
    /// True when both listen for TCP connections at the same address.
    pub(super) fn listens_like(&self, other: &LinkKind) -> bool {
        matches!((self, other), (LinkKind::Tcp { local: a, .. }, LinkKind::Tcp { local: b, .. }) if a == b)
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        match self {
            LinkKind::Udp { local: addr, .. }
            | LinkKind::Multicast { group: addr, .. }
            | LinkKind::Tcp { local: addr, .. } => addr.port(),
        }
    }
}

/// The settings of one dedicated link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// What it runs over, with addresses.
    pub kind: LinkKind,
    /// `Interface`: the link's MTU and state are taken from it.
    pub interface: String,
    /// `SndSocketBuffer` in bytes.
    pub send_buffer: Option<usize>,
    /// `RcvSocketBuffer` in bytes.
    pub receive_buffer: Option<usize>,
    /// `Checksum`: false sends datagrams without one.
    pub checksum: bool,
    /// Links to other peers may have the same local address: only what this peer sends is for this link.
    pub shared: bool,
}
