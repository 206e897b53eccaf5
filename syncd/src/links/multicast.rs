//! A link over a multicast group: its socket receives only what arrives on the link's own interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use zct_engine::Error;
use zct_engine::inet::{self, Membership, Tuning};

/// Opens a socket bound to `group` and joined to it on the interface with this index. `local` is the
/// interface's IPv4 address, from which messages are sent.
pub(crate) fn open(
    group: &SocketAddr,
    local: Option<Ipv4Addr>,
    index: u32,
    tuning: &Tuning,
) -> Result<OwnedFd, Error> {
    let membership = match group {
        SocketAddr::V4(g) => {
            Membership::V4 { group: *g.ip(), local: local.unwrap_or(Ipv4Addr::UNSPECIFIED), index }
        }
        SocketAddr::V6(g) => Membership::V6 { group: *g.ip(), index },
    };
    inet::udp(group, Some(membership), tuning)
}
