//! UDP and TCP sockets for links between daemons, with the options such a link needs. They never block.

use crate::error::Error;
use crate::sys;
use libc::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

// linux/in.h and linux/in6.h: deliver only what this socket has joined, on the interface it joined on.
const IP_MULTICAST_ALL: c_int = 49;
const IPV6_MULTICAST_ALL: c_int = 29;

/// Sizes and switches of one socket; `None` leaves the system's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// SO_SNDBUF in bytes, past net.core.wmem_max when privileged. The kernel doubles it.
    pub send_buffer: Option<usize>,
    /// SO_RCVBUF in bytes, past net.core.rmem_max when privileged. The kernel doubles it.
    pub receive_buffer: Option<usize>,
    /// SO_NO_CHECK: send IPv4 UDP without a checksum.
    pub no_checksum: bool,
}

impl Tuning {
    fn apply(&self, fd: BorrowedFd<'_>) -> Result<(), Error> {
        let buffers = [
            (self.send_buffer, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
            (self.receive_buffer, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        ];
        for (bytes, forced, plain) in buffers {
            let Some(bytes) = bytes else { continue };
            let value = c_int::try_from(bytes).unwrap_or(c_int::MAX).min(c_int::MAX / 2);
            sys::set_option(fd, libc::SOL_SOCKET, forced, value)
                .or_else(|_| sys::set_option(fd, libc::SOL_SOCKET, plain, value))
                .map_err(|e| Error::sys("setsockopt", e))?;
        }
        if self.no_checksum {
            sys::set_option(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)
                .map_err(|e| Error::sys("setsockopt", e))?;
        }
        Ok(())
    }
}

/// A multicast membership: one group on one interface, for receiving and for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Membership in an IPv4 group.
    V4 {
        /// The group.
        group: Ipv4Addr,
        /// An address of the interface, which is the source of what is sent.
        local: Ipv4Addr,
        /// The interface's index.
        index: u32,
    },
    /// Membership in an IPv6 group.
    V6 {
        /// The group.
        group: Ipv6Addr,
        /// The interface's index.
        index: u32,
    },
}

fn family(addr: &SocketAddr) -> c_int {
    if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

/// A UDP socket bound to `local`, for sending and receiving. With a membership, `local` is the group.
///
/// # Errors
/// [`Error::Sys`] of `bind`: EADDRNOTAVAIL when this node does not have the address, EACCES for a port below
/// 1024 without CAP_NET_BIND_SERVICE. Of `setsockopt`: ENODEV when the membership's interface does not exist.
/// Of `socket`: EAFNOSUPPORT without IPv6.
pub fn udp(local: &SocketAddr, membership: Option<Membership>, tuning: &Tuning) -> Result<OwnedFd, Error> {
    let fd = sys::socket(family(local), libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0)
        .map_err(|e| Error::sys("socket", e))?;
    let set = |level, name, value| {
        sys::set_option(fd.as_fd(), level, name, value).map_err(|e| Error::sys("setsockopt", e))
    };
    set(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if local.is_ipv6() {
        set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    tuning.apply(fd.as_fd())?;
    sys::inet_bind(fd.as_fd(), local).map_err(|e| Error::sys("bind", e))?;
    match membership {
        None => {}
        Some(Membership::V4 { group, local, index }) => {
            set(libc::IPPROTO_IP, IP_MULTICAST_ALL, 0)?;
            set(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, 0)?;
            sys::join_group_v4(fd.as_fd(), group, local, index).map_err(|e| Error::sys("setsockopt", e))?;
        }
        Some(Membership::V6 { group, index }) => {
            // Before Linux 4.20 there is no such option; the scope of the bound address does much the same.
            _ = set(libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
            set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, 0)?;
            sys::join_group_v6(fd.as_fd(), group, index).map_err(|e| Error::sys("setsockopt", e))?;
        }
    }
    Ok(fd)
}

/// Ties a UDP socket to one peer: it receives nothing from others, and of several sockets at one address the
/// kernel takes the one that is tied to the sender.
///
/// # Errors
/// [`Error::Sys`] of `connect`: ENETUNREACH without a route to the peer.
pub fn udp_connect(socket: BorrowedFd<'_>, peer: &SocketAddr) -> Result<(), Error> {
    sys::inet_connect(socket, peer).map_err(|e| Error::sys("connect", e))
}

/// Begins a TCP connection. When the stream becomes writable, it is established or has failed: see
/// `take_error`.
///
/// # Errors
/// [`Error::Sys`] of `connect` if it fails at once: ENETUNREACH without a route, or ECONNREFUSED on
/// the same node. Of `socket` and `setsockopt`.
pub fn tcp_connect(peer: &SocketAddr, tuning: &Tuning) -> Result<TcpStream, Error> {
    let fd = sys::socket(family(peer), libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)
        .map_err(|e| Error::sys("socket", e))?;
    tuning.apply(fd.as_fd())?;
    match sys::inet_connect(fd.as_fd(), peer) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => return Err(Error::sys("connect", e)),
        _ => {}
    }
    let stream = TcpStream::from(fd);
    // The caller gathers messages itself; waiting for more would only delay acknowledgements.
    stream.set_nodelay(true).map_err(|e| Error::sys("setsockopt", e))?;
    keep_alive(stream.as_fd())?;
    Ok(stream)
}

/// A TCP socket that listens on `local`; accepted streams have its buffer sizes.
///
/// # Errors
/// [`Error::Sys`] of `bind`: EADDRNOTAVAIL when this node does not have the address, EADDRINUSE when another
/// socket listens there. Of `fcntl` and `setsockopt`.
pub fn tcp_listen(local: &SocketAddr, tuning: &Tuning) -> Result<TcpListener, Error> {
    // std sets SO_REUSEADDR: a restarted daemon need not wait for its old connections to time out.
    let listener = TcpListener::bind(local).map_err(|e| Error::sys("bind", e))?;
    listener.set_nonblocking(true).map_err(|e| Error::sys("fcntl", e))?;
    tuning.apply(listener.as_fd())?;
    Ok(listener)
}

/// Makes the kernel notice when a peer has vanished without closing the connection.
///
/// # Errors
/// [`Error::Sys`] of `setsockopt`.
pub fn keep_alive(stream: BorrowedFd<'_>) -> Result<(), Error> {
    let set = |level, name, value| {
        sys::set_option(stream, level, name, value).map_err(|e| Error::sys("setsockopt", e))
    };
    set(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 5)?;
    set(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 2)?;
    set(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)?;
    // A peer that acknowledges nothing for this many milliseconds counts as gone.
    set(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 15_000)
}

/// No such device: the errno of a link over an interface that does not exist.
pub const ENODEV: i32 = libc::ENODEV;
