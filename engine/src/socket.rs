//! A NETLINK_NETFILTER socket: made, bound, sized, and read one datagram at a time.

use crate::error::Error;
use crate::sys::{self, BpfInsn, RecvSlots};
use crate::trace;
use libc::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Bytes a receive buffer needs: the kernel fills dump chunks up to 32,448, and larger buffers gain
/// nothing (ctnetlink.md §6.1).
///
/// The chunk size follows the largest buffer ever used on the socket and never shrinks, so the same size
/// is used for everything but events: a smaller one later would have chunks cut short.
pub const CHUNK: usize = 32 << 10;

// linux/netlink.h; the libc crate has only some of them.
const SOL_NETLINK: c_int = 270;
const NETLINK_ADD_MEMBERSHIP: c_int = 1;
const NETLINK_DROP_MEMBERSHIP: c_int = 2;
const NETLINK_BROADCAST_ERROR: c_int = 4;
const NETLINK_NO_ENOBUFS: c_int = 5;
const NETLINK_CAP_ACK: c_int = 10;
const NETLINK_EXT_ACK: c_int = 11;
// linux/sock_diag.h: words of SO_MEMINFO.
const SO_MEMINFO: c_int = 55;
const SK_MEMINFO_DROPS: usize = 8;

/// One netlink socket for connection tracking, bound to a port of its own, with short acknowledgements and
/// explanations (CAP_ACK, EXT_ACK).
///
/// Use one socket for dumps, one for requests and one for events: a full event socket loses
/// acknowledgements, and a dump makes other requests fail (ctnetlink.md §1.5, §5.7).
#[derive(Debug)]
pub struct NetlinkSocket {
    fd: OwnedFd,
    port: u32,
}

impl NetlinkSocket {
    /// Opens and binds a socket in the caller's network namespace. Needs no privilege; requests do.
    ///
    /// # Errors
    /// [`Error::Sys`] of `socket`: EPROTONOSUPPORT when the kernel has no nfnetlink, EMFILE or ENFILE when
    /// there are too many open files. Also of `bind` and `getsockname`.
    pub fn open() -> Result<NetlinkSocket, Error> {
        NetlinkSocket::open_protocol(libc::NETLINK_NETFILTER)
    }

    /// The same for NETLINK_ROUTE: interfaces, not flows.
    pub(crate) fn open_route() -> Result<NetlinkSocket, Error> {
        NetlinkSocket::open_protocol(libc::NETLINK_ROUTE)
    }

    fn open_protocol(protocol: c_int) -> Result<NetlinkSocket, Error> {
        let fd = sys::netlink_socket(protocol).map_err(|e| Error::sys("socket", e))?;
        // Older kernels lack these. Their acknowledgements are longer, without explanation, and still read.
        for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK] {
            _ = sys::set_option(fd.as_fd(), SOL_NETLINK, option, 1);
        }
        sys::netlink_bind(fd.as_fd()).map_err(|e| Error::sys("bind", e))?;
        let port = sys::netlink_port(fd.as_fd()).map_err(|e| Error::sys("getsockname", e))?;
        Ok(NetlinkSocket { fd, port })
    }

    /// The port the kernel chose, which events caused through this socket carry.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Joins a multicast group (`nfnlgrp`).
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`: EPERM without CAP_NET_ADMIN in the user namespace that owns the
    /// network namespace, EINVAL for a group that does not exist.
    pub fn join(&self, group: u32) -> Result<(), Error> {
        self.membership(NETLINK_ADD_MEMBERSHIP, group)
    }

    /// Leaves a multicast group; messages that are already queued stay.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`: EINVAL for a group that does not exist.
    pub fn leave(&self, group: u32) -> Result<(), Error> {
        self.membership(NETLINK_DROP_MEMBERSHIP, group)
    }

    fn membership(&self, option: c_int, group: u32) -> Result<(), Error> {
        // Group numbers are small; one that does not fit is refused by the kernel like any unknown one.
        let group = c_int::try_from(group).unwrap_or(c_int::MAX);
        sys::set_option(self.as_fd(), SOL_NETLINK, option, group).map_err(|e| Error::sys("setsockopt", e))
    }

    /// Asks for a receive buffer of `bytes` and returns the size it got, as the kernel counts: about twice
    /// the request.
    ///
    /// The privileged form is tried first; the ordinary one is capped by net.core.rmem_max.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt` or `getsockopt`. It is not an error if the kernel grants less: look at
    /// the size that is returned.
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<usize, Error> {
        self.set_buffer(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes)
    }

    /// The same for the send buffer, which limits the length of one batch.
    ///
    /// # Errors
    /// As [`NetlinkSocket::set_receive_buffer`].
    pub fn set_send_buffer(&self, bytes: usize) -> Result<usize, Error> {
        self.set_buffer(libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, bytes)
    }

    fn set_buffer(&self, forced: c_int, plain: c_int, bytes: usize) -> Result<usize, Error> {
        // The kernel stores twice the value in an int.
        let value = c_int::try_from(bytes).unwrap_or(c_int::MAX).min(c_int::MAX / 2);
        sys::set_option(self.as_fd(), libc::SOL_SOCKET, forced, value)
            .or_else(|_| sys::set_option(self.as_fd(), libc::SOL_SOCKET, plain, value))
            .map_err(|e| Error::sys("setsockopt", e))?;
        self.buffer(plain)
    }

    /// The size of the receive buffer as the kernel counts.
    ///
    /// # Errors
    /// [`Error::Sys`] of `getsockopt`.
    pub fn receive_buffer(&self) -> Result<usize, Error> {
        self.buffer(libc::SO_RCVBUF)
    }

    fn buffer(&self, which: c_int) -> Result<usize, Error> {
        let mut word = [0];
        sys::option_words(self.as_fd(), libc::SOL_SOCKET, which, &mut word)
            .map_err(|e| Error::sys("getsockopt", e))?;
        Ok(word[0] as usize)
    }

    /// Makes a full buffer drop single messages and raise the drop counter, instead of failing a receive
    /// with
    /// ENOBUFS and dropping everything until the queue is empty (ctnetlink.md §5.7).
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`.
    pub fn set_no_enobufs(&self) -> Result<(), Error> {
        sys::set_option(self.as_fd(), SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
            .map_err(|e| Error::sys("setsockopt", e))
    }

    /// Makes the kernel keep ended flows until their DESTROY event could be delivered here
    /// (ctnetlink.md §5.8). They go on counting against nf_conntrack_max.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`.
    pub fn set_reliable(&self) -> Result<(), Error> {
        sys::set_option(self.as_fd(), SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1)
            .map_err(|e| Error::sys("setsockopt", e))
    }

    /// How many messages have not fitted the receive buffer since the socket was opened (SO_MEMINFO); wraps
    /// around. `None` where the kernel does not say (before 4.12).
    pub fn drops(&self) -> Option<u32> {
        let mut words = [0; SK_MEMINFO_DROPS + 1];
        let n = sys::option_words(self.as_fd(), libc::SOL_SOCKET, SO_MEMINFO, &mut words).ok()?;
        words.get(..n)?.get(SK_MEMINFO_DROPS).copied()
    }

    /// Attaches a classic BPF program that sees every message before it takes room in the receive buffer.
    /// For event sockets only: it would swallow acknowledgements as well (ctnetlink.md §5.9).
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`: EINVAL for a program that is wrong, ENOMEM for one that is larger than
    /// net.core.optmem_max allows.
    pub fn attach_filter(&self, program: &[BpfInsn]) -> Result<(), Error> {
        sys::attach_filter(self.as_fd(), program).map_err(|e| Error::sys("setsockopt", e))
    }

    /// Removes the program, if there is one.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`. It is not an error if the socket has no program.
    pub fn detach_filter(&self) -> Result<(), Error> {
        match sys::set_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0) {
            Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(Error::sys("setsockopt", e)),
            _ => Ok(()),
        }
    }

    /// Sends one datagram of one or more messages. The kernel processes them before this returns.
    ///
    /// # Errors
    /// [`Error::Sys`] of `sendto`: EMSGSIZE for a batch that is longer than the send buffer.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        if trace::is_on() {
            trace::datagram(self.port, "sent", bytes, bytes.len());
        }
        loop {
            match sys::send(self.as_fd(), bytes) {
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    if trace::is_on() {
                        trace::failed(self.port, "sendto", &e);
                    }
                    return Err(Error::sys("sendto", e));
                }
            }
        }
    }

    /// Receives one datagram from the kernel and returns its true length, which may exceed the buffer.
    /// With `wait` it sleeps until there is one, otherwise it fails with `WouldBlock`.
    ///
    /// Datagrams from other processes are dropped: root may send to any port, but only port 0 is the kernel.
    ///
    /// # Errors
    /// `WouldBlock` without `wait` when no datagram is there; ENOBUFS, once, after messages did not fit the
    /// receive buffer, unless [`NetlinkSocket::set_no_enobufs`] says otherwise.
    #[inline]
    pub fn recv(&self, into: &mut [u8], wait: bool) -> io::Result<usize> {
        let got = loop {
            match sys::recv(self.as_fd(), into, wait) {
                Ok(got) if got.from == 0 => break Ok(got.len),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        if trace::is_on() {
            match &got {
                Ok(len) => trace::datagram(self.port, "received", into.get(..*len).unwrap_or(&*into), *len),
                Err(e) => trace::failed(self.port, "recvfrom", e),
            }
        }
        got
    }

    /// Receives as many datagrams as wait, up to the number of slots, without sleeping; at least one, or an
    /// error. Those of other processes are among them.
    pub(crate) fn recv_many(&self, slots: &mut RecvSlots) -> io::Result<usize> {
        let n = sys::recv_many(self.as_fd(), slots)?;
        if trace::is_on() {
            let told = slots.datagrams().filter(|(received, _)| received.from == 0);
            told.for_each(|(r, bytes)| trace::datagram(self.port, "received", bytes, r.len));
        }
        Ok(n)
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for NetlinkSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
