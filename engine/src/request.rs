//! Single requests: sent with the ACK flag, answered by messages and an acknowledgement or a refusal.

use crate::dump::{End, deliver, overlapped, run};
use crate::error::Error;
use crate::receive::{Room, until_end};
use crate::sink::{Lost, Sink};
use crate::socket::NetlinkSocket;
use crate::transport::Transport;
use std::fs::File;
use std::io::Read as _;
use zct_wire::build::Full;
use zct_wire::header::NL_HDR;
use zct_wire::request::REQUEST_MAX;

/// A socket for requests and dumps, with its sequence numbers and buffers.
///
/// # Allocation
/// The buffers are allocated once; the one that receives grows once, with the first dump of more than
/// two datagrams.
#[derive(Debug)]
pub struct Requests {
    socket: NetlinkSocket,
    seq: u32,
    out: Box<[u8]>,
    into: Room,
}

impl Requests {
    /// Opens a socket of its own in the caller's network namespace.
    ///
    /// # Errors
    /// As [`NetlinkSocket::open`].
    pub fn open() -> Result<Requests, Error> {
        Ok(Requests::over(NetlinkSocket::open()?))
    }

    /// Uses a socket that has joined no group.
    pub fn over(socket: NetlinkSocket) -> Requests {
        Requests { socket, seq: 0, out: vec![0; REQUEST_MAX].into(), into: Room::new() }
    }

    /// The socket that requests are sent through.
    pub fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    /// Sends what `build` makes in the given buffer with the given sequence number.
    fn send(&mut self, build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>) -> Result<u32, Error> {
        // Not 0, which is the sequence number of events.
        self.seq = self.seq.checked_add(1).unwrap_or(1);
        let request = build(&mut self.out, self.seq)?;
        debug_assert!(request.len() > NL_HDR, "not a message");
        self.socket.send(request)?;
        Ok(self.seq)
    }

    /// Sends one request that asks for an acknowledgement, hands what answers it to the sink, and returns
    /// when it is acknowledged.
    ///
    /// # Errors
    /// [`Error::Refused`] with the kernel's errno: ENOENT for an entry that does not exist, EEXIST for one
    /// to create that does, EPERM without CAP_NET_ADMIN. [`Error::TooLarge`] when `build` answers [`Full`].
    /// [`Error::Sys`] of `sendto` or `recvfrom`, where ENOBUFS means that the answer was lost: the request
    /// may have been carried out.
    pub fn ask(
        &mut self,
        build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let seq = self.send(build)?;
        answer(&mut &self.socket, seq, self.into.bytes(), sink)
    }

    /// Sends a dump request and hands every message of the answer to the sink.
    ///
    /// # Errors
    /// [`Error::Refused`] with what the kernel answered instead of a dump, or said at its end: EPERM without
    /// CAP_NET_ADMIN, EINVAL for a filter that it refuses. [`Error::TooLarge`] when `build` answers [`Full`].
    /// [`Error::Sys`] of `sendto` or `recvfrom`: ENOBUFS when the end of the dump was lost. Messages that
    /// came before the error have been delivered.
    pub fn dump(
        &mut self,
        build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>,
        sink: &mut dyn Sink,
    ) -> Result<End, Error> {
        let seq = self.send(build)?;
        run(&mut &self.socket, seq, &mut self.into, sink)
    }

    /// The same for the flow table: with the sink on a second thread when the dump is long, and with
    /// [`Lost::Resized`] when the table was resized meanwhile.
    ///
    /// # Errors
    /// As [`Requests::dump`].
    ///
    /// # Allocation
    /// None for a dump of one datagram. A longer one takes a slab of 256 KiB, and one that does not fit there
    /// two more, a thread, two channels, and what each side needs to wait for the first time. A message
    /// allocates nothing.
    pub fn dump_table(
        &mut self,
        build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>,
        sink: &mut (dyn Sink + Send),
    ) -> Result<End, Error> {
        let before = buckets();
        let seq = self.send(build)?;
        self.finish_table(before, seq, sink)
    }

    fn finish_table(
        &mut self,
        before: Option<u64>,
        seq: u32,
        sink: &mut (dyn Sink + Send),
    ) -> Result<End, Error> {
        let end = overlapped(&mut &self.socket, seq, &mut self.into, sink)?;
        if before != buckets() {
            sink.lost(Lost::Resized);
        }
        Ok(end)
    }
}

/// Receives the answer to request `seq` up to its acknowledgement.
fn answer(link: &mut dyn Transport, seq: u32, into: &mut [u8], sink: &mut dyn Sink) -> Result<(), Error> {
    until_end(link, seq, into, &mut |piece| {
        if let Some(len) = piece.cut {
            sink.lost(Lost::Truncated { len });
        }
        // Even if the sink wants no more, the acknowledgement is read, so that the socket stays in step.
        _ = deliver(piece.datagram, seq, sink);
        Ok(())
    })
}

/// How many buckets the hash table has, read from `/proc`; `None` where it is not shown.
pub fn buckets() -> Option<u64> {
    proc_number("/proc/sys/net/netfilter/nf_conntrack_buckets")
}

/// How many flows this network namespace has, from `/proc` as well.
pub fn flows() -> Option<u64> {
    proc_number("/proc/sys/net/netfilter/nf_conntrack_count")
}

/// The most expectations that the machine takes, from `/proc` as well.
pub fn expectations_limit() -> Option<u64> {
    proc_number("/proc/sys/net/netfilter/nf_conntrack_expect_max")
}

/// Reads a file of `/proc` that holds one number, which the kernel always returns in a single read.
fn proc_number(path: &str) -> Option<u64> {
    let mut text = [0; 32];
    let len = File::open(path).and_then(|mut f| f.read(&mut text)).ok()?;
    std::str::from_utf8(text.get(..len)?).ok()?.trim_ascii().parse().ok()
}
