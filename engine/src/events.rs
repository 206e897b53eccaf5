//! Events: multicast messages about flows and expectations as they happen (ctnetlink.md §5).

use crate::error::Error;
use crate::reactor::Turn;
use crate::sink::{Lost, Sink};
use crate::socket::NetlinkSocket;
use crate::sys::{self, RecvSlots};
use crate::trace;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use zct_wire::header::{CtMsg, Frames};

/// The room one event takes in the receive buffer, however long it is (ctnetlink.md §5.6).
pub const EVENT_BYTES: usize = 1280;

/// Datagrams received by one system call: more gains nothing (ctnetlink.md §5.10).
const SLOTS: usize = 64;
/// Bytes for one event. The largest realistic one is below 1 KiB, but a security context may be longer. Not
/// a power of two, so that the slots do not all share the same cache sets.
const SLOT: usize = 4096 - 64;

/// A subscription to some multicast groups.
///
/// A full receive buffer drops single events and never fails the socket (NETLINK_NO_ENOBUFS), so fewer are
/// lost than with the default, which drops everything until the queue has been read empty
/// (ctnetlink.md §5.7). The socket's drop counter says how many were lost. One event is one datagram.
///
/// # Allocation
/// The buffers are allocated once; an event allocates nothing.
#[derive(Debug)]
pub struct Subscription {
    socket: NetlinkSocket,
    groups: Vec<u32>,
    slots: RecvSlots,
    drops: u32,
    received: u64,
}

impl Subscription {
    /// Opens a socket and joins `groups` (`nfnlgrp`), in this order.
    ///
    /// Flows created before the machine's first listener joined may never cause events (ctnetlink.md §5.3),
    /// so join before anything else, the first dump included.
    ///
    /// # Errors
    /// As [`Subscription::prepare`].
    pub fn open(groups: &[u32]) -> Result<Subscription, Error> {
        Subscription::prepare(|_| Ok(()), groups)
    }

    /// The same, but `set_up` gets the socket first, to set buffer size and filter before the first event.
    ///
    /// # Errors
    /// What `set_up` returns; as [`NetlinkSocket::open`]; [`Error::Sys`] of `setsockopt` with EPERM when
    /// CAP_NET_ADMIN is missing.
    pub fn prepare(
        set_up: impl FnOnce(&NetlinkSocket) -> Result<(), Error>,
        groups: &[u32],
    ) -> Result<Subscription, Error> {
        let socket = NetlinkSocket::open()?;
        socket.set_no_enobufs()?;
        set_up(&socket)?;
        for group in groups {
            socket.join(*group)?;
        }
        let drops = socket.drops().unwrap_or(0);
        let slots = RecvSlots::new(SLOTS, SLOT);
        Ok(Subscription { socket, groups: groups.to_vec(), slots, drops, received: 0 })
    }

    /// The socket. Never send requests through it: its acknowledgements would compete with the events.
    pub fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    /// Datagrams received since it was opened.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Hands queued events to the sink until there are none, the sink breaks, or `budget` system calls were
    /// made; `More` says that there may be more without a new wake-up.
    ///
    /// Losses are reported when the queue is empty, as one number for everything since the last report.
    ///
    /// # Errors
    /// [`Error::Sys`] of `recvmmsg`. Lost events are not an error: they are reported to the sink.
    pub fn drain(&mut self, budget: u32, sink: &mut dyn Sink) -> Result<(Turn, ControlFlow<()>), Error> {
        for _ in 0..budget {
            match sys::recv_many(self.socket.as_fd(), &mut self.slots) {
                Ok(n) => {
                    self.received = self.received.wrapping_add(n as u64);
                    if trace::is_on() {
                        let port = self.socket.port();
                        let told = self.slots.datagrams().filter(|(received, _)| received.from == 0);
                        told.for_each(|(r, bytes)| trace::datagram(port, "received", bytes, r.len));
                    }
                    if deliver(&self.slots, sink).is_break() {
                        return Ok((Turn::More, ControlFlow::Break(())));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.tell_losses(sink);
                    return Ok((Turn::Drained, ControlFlow::Continue(())));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // NO_ENOBUFS should prevent this; the drop counter says how many were lost.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(e) => return Err(Error::sys("recvmmsg", e)),
            }
        }
        Ok((Turn::More, ControlFlow::Continue(())))
    }

    fn tell_losses(&mut self, sink: &mut dyn Sink) {
        let Some(now) = self.socket.drops() else { return };
        let lost = now.wrapping_sub(self.drops);
        if lost != 0 {
            self.drops = now;
            sink.lost(Lost::Overrun { count: Some(u64::from(lost)) });
        }
    }

    /// Leaves all groups. Events that are queued can still be drained; no more arrive after them.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`. The groups that are left by then count as left.
    pub fn leave(&mut self) -> Result<(), Error> {
        for group in std::mem::take(&mut self.groups) {
            self.socket.leave(group)?;
        }
        Ok(())
    }
}

impl AsRawFd for Subscription {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn deliver(slots: &RecvSlots, sink: &mut dyn Sink) -> ControlFlow<()> {
    for (received, datagram) in slots.datagrams() {
        // Only the kernel sends events; any root process could send us something that looks like one.
        if received.from != 0 {
            continue;
        }
        if received.len > datagram.len() {
            sink.lost(Lost::Truncated { len: received.len });
            continue;
        }
        for frame in Frames::new(datagram) {
            match frame.and_then(CtMsg::parse) {
                Ok(msg) => sink.message(msg)?,
                Err(e) => sink.lost(Lost::Damaged(e)),
            }
        }
    }
    ControlFlow::Continue(())
}
