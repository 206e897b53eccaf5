//! What the configuration says of a dedicated link.

use std::net::{Ipv4Addr, SocketAddr};

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

impl LinkKind {
    /// The port it is bound to.
    pub fn port(&self) -> u16 {
        match self {
            LinkKind::Udp { local: addr, .. }
            | LinkKind::Multicast { group: addr, .. }
            | LinkKind::Tcp { local: addr, .. } => addr.port(),
        }
    }
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
