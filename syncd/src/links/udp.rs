//! A link over UDP: one socket that receives only from the peer and sends to it.
//!
//! The original accepts datagrams from anybody who can reach the port (conntrackd.md §14). Here those that do
//! not come from the configured address are dropped: first by us, so that they can be reported, and once
//! there are many by the kernel, before they take room in the receive buffer.

use crate::links::traffic::{LinkHappening, Traffic};
use crate::peer::Millis;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd, RawFd};
use zct_engine::inet::{self, Tuning};
use zct_engine::{Datagrams, Error, Turn};

/// How many strange datagrams arrive before the kernel does the dropping.
const STRANGERS_MAX: u64 = 64;
/// When to try again after the send buffer was full. It empties by itself, and a wake-up for each datagram
/// that leaves it would cost more than sending does.
const AGAIN_MS: Millis = 2;

/// The socket, and what is known about the other end.
#[derive(Debug)]
pub(crate) struct UdpLink {
    io: Datagrams,
    /// Whom to listen to; `None` for anybody on the interface, if it is a group.
    peer: Option<IpAddr>,
    strangers: u64,
    blocked: Option<Millis>,
    /// The time of this turn, for scheduling the next attempt.
    pub(crate) now: Millis,
}

impl UdpLink {
    /// Opens a socket at `local` for talking to `peer`.
    pub(crate) fn unicast(
        local: &SocketAddr,
        peer: SocketAddr,
        tuning: &Tuning,
        room: usize,
    ) -> Result<UdpLink, Error> {
        let io = Datagrams::over(inet::udp(local, None, tuning)?, peer, room);
        Ok(UdpLink { io, peer: Some(peer.ip()), strangers: 0, blocked: None, now: 0 })
    }

    /// As [`UdpLink::unicast`], where links to other peers may have the same local address. True when the
    /// kernel tells them apart; without a route to the peer it cannot yet.
    pub(crate) fn one_of_several(
        local: &SocketAddr,
        peer: SocketAddr,
        tuning: &Tuning,
        room: usize,
    ) -> Result<(UdpLink, bool), Error> {
        let fd = inet::udp(local, None, tuning)?;
        let tied = inet::udp_connect(fd.as_fd(), &peer).is_ok();
        let io = Datagrams::over(fd, peer, room);
        Ok((UdpLink { io, peer: Some(peer.ip()), strangers: 0, blocked: None, now: 0 }, tied))
    }

    /// Uses a socket that has joined a group.
    pub(crate) fn group(fd: OwnedFd, group: SocketAddr, room: usize) -> UdpLink {
        UdpLink { io: Datagrams::over(fd, group, room), peer: None, strangers: 0, blocked: None, now: 0 }
    }

    pub(crate) fn receive(
        &mut self,
        budget: usize,
        traffic: &mut Traffic,
        happened: &mut Vec<LinkHappening>,
        take: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Turn, Error> {
        let before = self.strangers;
        let (peer, strangers) = (self.peer, &mut self.strangers);
        let turn = self.io.receive(budget, &mut |d| {
            if peer.is_some_and(|p| p != d.from.ip()) {
                *strangers += 1;
                traffic.receive_errors += 1;
                if *strangers == 1 {
                    happened.push(LinkHappening::Stranger(d.from.ip()));
                }
                return;
            }
            traffic.received += 1;
            traffic.received_bytes += d.bytes.len() as u64;
            take(d.bytes);
        })?;
        if let Some(p) = peer.filter(|_| before < STRANGERS_MAX && self.strangers >= STRANGERS_MAX) {
            self.io.only_from(p)?;
        }
        Ok(turn)
    }

    /// How many datagrams of an interface with this MTU can wait to be read; 0 if that cannot be found out.
    pub(crate) fn receive_room(&self, mtu: usize) -> usize {
        self.io.receive_room(mtu).unwrap_or(0)
    }

    pub(crate) fn slot(&mut self) -> Option<&mut [u8]> {
        if self.blocked.is_some() {
            return None;
        }
        self.io.slot()
    }

    pub(crate) fn filled(&mut self, len: usize) {
        self.io.filled(len);
    }

    /// Sends what waits; returns the errno if something was refused.
    pub(crate) fn flush(&mut self, traffic: &mut Traffic) -> Option<i32> {
        let sent = self.io.flush();
        traffic.sent += sent.datagrams;
        traffic.sent_bytes += sent.bytes;
        traffic.send_errors += sent.failed;
        self.blocked = sent.blocked.then_some(self.now + AGAIN_MS);
        sent.errno
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.blocked
    }
}

impl AsRawFd for UdpLink {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}
