//! Many requests in one system call (ctnetlink.md §6.5).
//!
//! Only the last one asks for an acknowledgement. Whatever arrives before it is an answer or a refusal,
//! which its sequence number matches to its request. The kernel goes on after a refusal, so the later
//! requests of the batch are carried out.

use crate::error::Error;
use crate::receive::verdict;
use crate::socket::{CHUNK, NetlinkSocket};
use zct_wire::build::Full;
use zct_wire::consts::{nlm_f, nlmsg};
use zct_wire::header::{CtMsg, Frames};
use zct_wire::request::REQUEST_MAX;

/// The most requests in one batch. Even if all of them are refused, their answers (832 bytes of receive
/// buffer each) fit the default receive buffer.
pub const BATCH_MAX: usize = 128;
/// The most bytes in one batch: the default send buffer, less its own overhead.
const BYTES_MAX: usize = 200 << 10;
/// Where the flags of a message are (`struct nlmsghdr`).
const FLAGS_AT: usize = 6;

/// What the kernel answered to one request of a batch. No answer at all means success.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A message that was asked for.
    Message(CtMsg<'a>),
    /// The request was not carried out.
    Refused(Error),
}

/// Collects requests and sends them together.
///
/// # Allocation
/// The buffers are allocated once, the outgoing one up to 200 KiB; a request allocates nothing.
#[derive(Debug)]
pub struct Batch {
    socket: NetlinkSocket,
    out: Vec<u8>,
    /// Bytes of `out` in use.
    used: usize,
    /// Where the last message starts.
    last_at: usize,
    count: usize,
    first_seq: u32,
    into: Box<[u8]>,
}

impl Batch {
    /// Opens a socket of its own.
    ///
    /// # Errors
    /// As [`NetlinkSocket::open`].
    pub fn open() -> Result<Batch, Error> {
        let (socket, into) = (NetlinkSocket::open()?, vec![0; CHUNK].into());
        Ok(Batch { socket, out: Vec::new(), used: 0, last_at: 0, count: 0, first_seq: 1, into })
    }

    /// The socket that batches are sent through.
    pub fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    /// The number of requests collected so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when no request has been collected.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True when no more fit: send first.
    pub fn is_full(&self) -> bool {
        self.count >= BATCH_MAX || self.used + REQUEST_MAX > BYTES_MAX
    }

    /// Adds the message that `build` makes in the given buffer with the given sequence number. It must not
    /// ask for an acknowledgement.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the batch is full, or when `build` answers [`Full`].
    pub fn add(&mut self, build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>) -> Result<(), Error> {
        if self.is_full() {
            return Err(Error::TooLarge);
        }
        let seq = self.first_seq.wrapping_add(self.count as u32);
        self.out.resize(self.out.len().max(self.used + REQUEST_MAX), 0);
        let len = build(&mut self.out[self.used..], seq)?.len();
        self.last_at = self.used;
        self.used += len.next_multiple_of(4);
        self.count += 1;
        Ok(())
    }

    /// Sends what was collected and hands every answer with the index of its request to `answer`. The batch
    /// is empty afterwards, whatever happened.
    ///
    /// # Errors
    /// [`Error::Sys`] of `sendto` or `recvfrom`. ENOBUFS means that answers were lost: every request has
    /// been carried out or refused, but there is no telling which. [`Error::Wire`] for an answer that cannot
    /// be read.
    pub fn send(&mut self, answer: &mut dyn FnMut(usize, Answer<'_>)) -> Result<(), Error> {
        let (count, first) = (std::mem::take(&mut self.count), self.first_seq);
        let used = std::mem::take(&mut self.used);
        if count == 0 {
            return Ok(());
        }
        self.first_seq = first.wrapping_add(count as u32);
        let flags = &mut self.out[self.last_at + FLAGS_AT..][..2];
        let with_ack = u16::from_ne_bytes([flags[0], flags[1]]) | nlm_f::ACK;
        flags.copy_from_slice(&with_ack.to_ne_bytes());
        self.socket.send(&self.out[..used])?;
        let last = first.wrapping_add(count as u32 - 1);
        loop {
            let len = self.socket.recv(&mut self.into, true).map_err(|e| Error::sys("recvfrom", e))?;
            let datagram = self.into.get(..len).unwrap_or(&self.into);
            for frame in Frames::new(datagram) {
                let frame = frame?;
                let index = frame.hdr.seq.get().wrapping_sub(first) as usize;
                if index >= count {
                    continue;
                }
                let seq = frame.hdr.seq.get();
                match verdict(frame, seq) {
                    Some(said) => {
                        if let Err(e) = said {
                            answer(index, Answer::Refused(e));
                        }
                        // A refusal of the last request stands for its acknowledgement.
                        if seq == last && frame.hdr.kind.get() == nlmsg::ERROR {
                            return Ok(());
                        }
                    }
                    None => answer(index, Answer::Message(CtMsg::parse(frame)?)),
                }
            }
        }
    }
}
