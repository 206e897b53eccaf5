//! Sending and receiving UDP datagrams, many with one system call.

use crate::bpf::{Check, Program, Verdict};
use crate::error::Error;
use crate::reactor::Turn;
use crate::sys::{self, InetAddr, Slots};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Datagrams received by one system call.
const RECV_SLOTS: usize = 32;
/// Room for the longest datagram and one cache line more, so that slots do not all share the same cache
/// sets. Pages that no datagram reaches cost nothing.
const RECV_ROOM: usize = 65_536 + 64;
/// Datagrams sent by one system call.
const SEND_SLOTS: usize = 32;
/// What the kernel keeps with the bytes of a packet (`struct skb_shared_info` and headroom), and beside them
/// (`struct sk_buff`).
const PACKET_OWN: usize = 384;
const PACKET_HEAD: usize = 256;
/// linux/filter.h: loads at this offset see the network header, whatever the socket.
const SKF_NET_OFF: u32 = 0xfff0_0000;

/// What became of the datagrams in the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "datagrams may have been refused"]
pub struct Sent {
    /// How many datagrams were sent.
    pub datagrams: u64,
    /// How many bytes these had.
    pub bytes: u64,
    /// How many datagrams the kernel refused; they are not tried again.
    pub failed: u64,
    /// The errno of the last refusal.
    pub errno: Option<i32>,
    /// True when the send buffer is full and the rest waits in the slots.
    pub blocked: bool,
}

/// A datagram that was received.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The address of its sender.
    pub from: SocketAddr,
    /// Its payload, which may be decrypted where it is.
    pub bytes: &'a mut [u8],
}

/// A bound UDP socket that sends to one address.
///
/// # Allocation
/// Slots are allocated once: 2 MiB of address space for receiving, of which only touched pages cost memory,
/// and 32 datagrams for sending.
#[derive(Debug)]
pub struct Datagrams {
    fd: OwnedFd,
    to: SocketAddr,
    rx: Slots<InetAddr>,
    tx: Slots<InetAddr>,
    /// Lengths of the filled slots, and how many of these have been sent.
    lens: Vec<usize>,
    sent: usize,
}

impl Datagrams {
    /// Uses a socket of [`crate::inet::udp`]. `room` is the longest datagram that will be sent.
    pub fn over(fd: OwnedFd, to: SocketAddr, room: usize) -> Datagrams {
        Datagrams {
            fd,
            to,
            rx: Slots::new(RECV_SLOTS, RECV_ROOM),
            tx: Slots::new(SEND_SLOTS, room.max(1)),
            lens: Vec::with_capacity(SEND_SLOTS),
            sent: 0,
        }
    }

    /// How many datagrams that just fit an MTU of this many bytes the receive buffer takes, as the kernel
    /// counts for most network cards: the next power of two above their bytes and its own, and 256 more.
    ///
    /// # Errors
    /// [`Error::Sys`] of `getsockopt`.
    pub fn receive_room(&self, mtu: usize) -> Result<usize, Error> {
        let mut word = [0];
        sys::option_words(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &mut word)
            .map_err(|e| Error::sys("getsockopt", e))?;
        let each = mtu.saturating_add(PACKET_OWN).next_power_of_two().saturating_add(PACKET_HEAD);
        Ok(word[0] as usize / each)
    }

    /// The address to which datagrams are sent.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Hands datagrams to `take` until there are none or `budget` of them have come. One that is too long
    /// for its slot is cut short.
    ///
    /// # Errors
    /// [`Error::Sys`] of `recvmmsg`. What the network reports about datagrams sent earlier (ECONNREFUSED,
    /// EHOSTUNREACH, ENETUNREACH, ENETDOWN, ENOBUFS) is not an error: the next ones are received.
    pub fn receive(&mut self, budget: usize, take: &mut dyn FnMut(Datagram<'_>)) -> Result<Turn, Error> {
        let mut got = 0;
        while got < budget {
            match sys::recv_many(self.fd.as_fd(), &mut self.rx) {
                Ok(n) => {
                    got += n;
                    for (received, bytes) in self.rx.datagrams_mut() {
                        if let Some(from) = received.from {
                            take(Datagram { from, bytes });
                        }
                    }
                    // Some slots stayed empty, so the queue is empty too. New datagrams wake us.
                    if n < RECV_SLOTS {
                        return Ok(Turn::Drained);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
                // The network reports something sent earlier. That ends this one call and nothing else.
                Err(e) if is_passing(&e) => got += 1,
                Err(e) => return Err(Error::sys("recvmmsg", e)),
            }
        }
        Ok(Turn::More)
    }

    /// A free slot to write a datagram into; `None` when all are full: [`Datagrams::flush`] first.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        let at = self.lens.len();
        (at < self.tx.count()).then(|| self.tx.slot(at))
    }

    /// Says that the slot now holds a datagram of this length.
    pub fn filled(&mut self, len: usize) {
        self.lens.push(len);
    }

    /// True when nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// Sends the datagrams that are in the slots.
    ///
    /// A socket that is tied to its peer (see [`crate::inet::udp_connect`]) learns now and then that nobody
    /// listened to an earlier datagram; that is no reason to drop this one.
    pub fn flush(&mut self) -> Sent {
        let mut out = Sent::default();
        let mut told = None;
        while let Some(rest) = self.lens.get(self.sent..).filter(|r| !r.is_empty()) {
            match sys::send_many(self.fd.as_fd(), &mut self.tx, self.sent, rest, &self.to) {
                Ok(n) => {
                    out.datagrams += n as u64;
                    out.bytes += rest.iter().take(n).map(|len| *len as u64).sum::<u64>();
                    self.sent += n;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    out.blocked = true;
                    return out;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_about_earlier(&e) && told != Some(self.sent) => told = Some(self.sent),
                Err(e) => {
                    out.failed += 1;
                    out.errno = e.raw_os_error();
                    self.sent += 1;
                }
            }
        }
        self.lens.clear();
        self.sent = 0;
        out
    }

    /// Makes the kernel drop datagrams that do not come from `peer`, before they take room in the receive
    /// buffer. Those queued earlier still arrive, so check [`Datagram::from`] as well.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`: ENOMEM when the program is larger than net.core.optmem_max allows.
    pub fn only_from(&self, peer: IpAddr) -> Result<(), Error> {
        let mut program = Program::default();
        // Source address: offset 12 of the IPv4 header, 8 of the IPv6 header.
        match peer {
            IpAddr::V4(a) => program.require(Check::bytes(SKF_NET_OFF + 12, a.octets()), Verdict::Drop),
            IpAddr::V6(a) => {
                for (at, word) in (SKF_NET_OFF + 8..).step_by(4).zip(a.octets().chunks_exact(4)) {
                    let word = word.first_chunk().copied().unwrap_or_default();
                    program.require(Check::bytes(at, word), Verdict::Drop);
                }
            }
        }
        let Some(code) = program.assemble() else { return Ok(()) };
        sys::attach_filter(self.fd.as_fd(), &code).map_err(|e| Error::sys("setsockopt", e))
    }
}

/// True for what a host has answered to an earlier datagram.
fn is_about_earlier(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::ECONNREFUSED)
}

/// True for errors that say something about one datagram, not about the socket.
fn is_passing(e: &io::Error) -> bool {
    let errno = e.raw_os_error().unwrap_or(0);
    e.kind() == io::ErrorKind::Interrupted
        || matches!(
            errno,
            libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENOBUFS | libc::ENETDOWN
        )
}

impl AsRawFd for Datagrams {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inet::{Tuning, udp};
    use std::net::UdpSocket;

    fn pair() -> (Datagrams, UdpSocket) {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let fd = udp(&"127.0.0.1:0".parse().unwrap(), None, &Tuning::default()).unwrap();
        (Datagrams::over(fd, other.local_addr().unwrap(), 100), other)
    }

    fn collect(d: &mut Datagrams) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        _ = d.receive(1000, &mut |m| got.push(m.bytes.to_vec())).unwrap();
        got
    }

    #[test]
    fn datagrams_go_and_come_whole_and_in_order() {
        let (mut d, other) = pair();
        let mut n = 0u8;
        while let Some(slot) = d.slot() {
            slot[..2].copy_from_slice(&[n, 7]);
            d.filled(2);
            n += 1;
        }
        assert_eq!(n, 32);
        let sent = d.flush();
        assert_eq!((sent.datagrams, sent.bytes, sent.failed, d.is_empty()), (32, 64, 0, true));
        let mut buf = [0; 9];
        let mut here = None;
        for want in 0..32 {
            let (len, from) = other.recv_from(&mut buf).unwrap();
            assert_eq!(&buf[..len], [want, 7]);
            here = Some(from);
        }
        for n in 0..40u8 {
            other.send_to(&[n], here.unwrap()).unwrap();
        }
        assert_eq!(collect(&mut d), (0..40u8).map(|n| vec![n]).collect::<Vec<_>>());
    }

    #[test]
    fn a_datagram_that_is_refused_does_not_hold_up_the_rest() {
        let (mut d, other) = pair();
        d.tx = Slots::new(3, 70_000);
        for len in [5, 69_000, 6] {
            assert!(d.slot().is_some());
            d.filled(len);
        }
        let sent = d.flush();
        assert_eq!((sent.datagrams, sent.failed, sent.errno), (2, 1, Some(libc::EMSGSIZE)));
        let mut buf = [0; 9];
        assert_eq!(other.recv(&mut buf).unwrap(), 5);
        assert_eq!(other.recv(&mut buf).unwrap(), 6);
    }

    #[test]
    fn the_receive_buffer_takes_as_many_as_it_says() {
        let (mut d, other) = pair();
        let room = d.receive_room(1500).unwrap();
        assert!(d.receive_room(9000).unwrap() < room / 4);
        assert!(d.slot().is_some());
        d.filled(1);
        _ = d.flush();
        let (_, here) = other.recv_from(&mut [0; 9]).unwrap();
        for _ in 0..room {
            other.send_to(&[0; 1472], here).unwrap();
        }
        assert_eq!(collect(&mut d).len(), room);
    }

    #[test]
    fn the_kernel_drops_strangers() {
        for (addr, stranger) in [("127.0.0.1", "127.0.0.2"), ("::1", "::2")] {
            let other = UdpSocket::bind((addr, 0)).unwrap();
            let fd = udp(&SocketAddr::new(addr.parse().unwrap(), 0), None, &Tuning::default()).unwrap();
            let mut d = Datagrams::over(fd, other.local_addr().unwrap(), 100);
            assert!(d.slot().is_some());
            d.filled(1);
            _ = d.flush();
            let (_, here) = other.recv_from(&mut [0; 9]).unwrap();
            d.only_from(stranger.parse().unwrap()).unwrap();
            other.send_to(b"stranger", here).unwrap();
            assert!(collect(&mut d).is_empty());
            d.only_from(addr.parse().unwrap()).unwrap();
            other.send_to(b"peer", here).unwrap();
            assert_eq!(collect(&mut d), [b"peer".to_vec()]);
        }
    }
}
