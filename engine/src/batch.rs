//! Many requests in one system call (ctnetlink.md §6.5).
//!
//! Only the last one asks for an acknowledgement. Whatever arrives before it is an answer or a refusal,
//! which its sequence number matches to its request. The kernel goes on after a refusal, so the later
//! requests of the batch are carried out.

use crate::error::Error;
use crate::receive::verdict;
use crate::socket::{CHUNK, NetlinkSocket};
use crate::transport::Transport;
use std::io;
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
    collected: Collected,
    into: Box<[u8]>,
}

/// The requests collected so far, separate from the socket so that a replay can answer them.
#[derive(Debug)]
struct Collected {
    out: Vec<u8>,
    /// Bytes of `out` in use.
    used: usize,
    /// Where the last message starts.
    last_at: usize,
    count: usize,
    first_seq: u32,
}

impl Batch {
    /// Opens a socket of its own.
    ///
    /// # Errors
    /// As [`NetlinkSocket::open`].
    pub fn open() -> Result<Batch, Error> {
        let (socket, into) = (NetlinkSocket::open()?, vec![0; CHUNK].into());
        Ok(Batch { socket, collected: Collected::new(), into })
    }

    /// The socket that batches are sent through.
    pub fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    /// The number of requests collected so far.
    pub fn len(&self) -> usize {
        self.collected.count
    }

    /// True when no request has been collected.
    pub fn is_empty(&self) -> bool {
        self.collected.count == 0
    }

    /// True when no more fit: send first.
    pub fn is_full(&self) -> bool {
        self.collected.is_full()
    }

    /// Adds the message that `build` makes in the given buffer with the given sequence number. It must not
    /// ask for an acknowledgement.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the batch is full, or when `build` answers [`Full`].
    pub fn add(&mut self, build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>) -> Result<(), Error> {
        self.collected.add(build)
    }

    /// Sends what was collected and hands every answer with the index of its request to `answer`. The batch
    /// is empty afterwards, whatever happened.
    ///
    /// # Errors
    /// [`Error::Sys`] of `sendto` or `recvfrom`. ENOBUFS means that answers were lost: every request has
    /// been carried out or refused, but there is no telling which. EMSGSIZE means the same for an answer that
    /// is longer than any that kernels send today. [`Error::Wire`] for an answer that cannot be read.
    pub fn send(&mut self, answer: &mut dyn FnMut(usize, Answer<'_>)) -> Result<(), Error> {
        self.collected.send(&mut &self.socket, &mut self.into, answer)
    }
}

impl Collected {
    fn new() -> Collected {
        Collected { out: Vec::new(), used: 0, last_at: 0, count: 0, first_seq: 1 }
    }

    fn is_full(&self) -> bool {
        self.count >= BATCH_MAX || self.used + REQUEST_MAX > BYTES_MAX
    }

    fn add(&mut self, build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>) -> Result<(), Error> {
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

    /// As [`Batch::send`]. `into` takes one datagram.
    fn send(
        &mut self,
        link: &mut dyn Transport,
        into: &mut [u8],
        answer: &mut dyn FnMut(usize, Answer<'_>),
    ) -> Result<(), Error> {
        let (count, first) = (std::mem::take(&mut self.count), self.first_seq);
        let used = std::mem::take(&mut self.used);
        if count == 0 {
            return Ok(());
        }
        self.first_seq = first.wrapping_add(count as u32);
        let flags = &mut self.out[self.last_at + FLAGS_AT..][..2];
        let with_ack = u16::from_ne_bytes([flags[0], flags[1]]) | nlm_f::ACK;
        flags.copy_from_slice(&with_ack.to_ne_bytes());
        link.send(&self.out[..used])?;
        let last = first.wrapping_add(count as u32 - 1);
        loop {
            let len = link.recv(into, true).map_err(|e| Error::sys("recvfrom", e))?;
            if len > into.len() {
                // The last answer may be in the part that is gone, and would be waited for without end.
                return Err(Error::sys("recvfrom", io::Error::from_raw_os_error(libc::EMSGSIZE)));
            }
            let datagram = into.get(..len).unwrap_or_default();
            for frame in Frames::new(datagram) {
                let frame = frame?;
                let index = frame.seq().wrapping_sub(first) as usize;
                if index >= count {
                    continue;
                }
                let seq = frame.seq();
                match verdict(frame, seq) {
                    Some(said) => {
                        if let Err(e) = said {
                            answer(index, Answer::Refused(e));
                        }
                        // A refusal of the last request stands for its acknowledgement.
                        if seq == last && frame.kind() == nlmsg::ERROR {
                            return Ok(());
                        }
                    }
                    None => answer(index, Answer::Message(CtMsg::parse(frame)?)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Replay, error_message};
    use zct_wire::request::stats;

    /// What became of the requests of a batch: the errno of a refusal, or the type of a message.
    type Answers = Vec<(usize, Result<u16, Option<i32>>)>;

    /// A batch of `count` requests whose first one has this number.
    fn collected(count: usize, first_seq: u32) -> Collected {
        let mut batch = Collected { first_seq, ..Collected::new() };
        for _ in 0..count {
            batch.add(stats).unwrap();
        }
        batch
    }

    fn send(batch: &mut Collected, link: &mut Replay) -> (Result<(), Error>, Answers) {
        let mut answers = Answers::new();
        let end = batch.send(link, &mut [0; 256], &mut |index, answer| {
            answers.push(match answer {
                Answer::Message(msg) => (index, Ok(msg.kind())),
                Answer::Refused(e) => (index, Err(e.errno())),
            });
        });
        (end, answers)
    }

    /// An answer to request `seq` that is a message.
    fn message(seq: u32) -> Vec<u8> {
        stats(&mut [0; 64], seq).unwrap().to_vec()
    }

    #[test]
    fn the_acknowledgement_of_the_last_request_ends_the_batch() {
        let mut batch = collected(3, 10);
        let mut link = Replay::default().datagram(error_message(12, 0));
        let (end, answers) = send(&mut batch, &mut link);
        assert!(end.is_ok() && answers.is_empty(), "{end:?} {answers:?}");
        let [sent] = &link.sent[..] else { panic!("{} datagrams were sent", link.sent.len()) };
        let frames: Vec<_> = Frames::new(sent).map(Result::unwrap).collect();
        let seqs: Vec<_> = frames.iter().map(|f| f.seq()).collect();
        assert_eq!(seqs, [10, 11, 12]);
        assert!(frames[2].flags() & nlm_f::ACK != 0);
        assert!(batch.count == 0 && batch.first_seq == 13, "{batch:?}");
    }

    #[test]
    fn every_answer_has_the_index_of_its_request() {
        let mut link = Replay::default()
            .datagram(error_message(1, -libc::ENOENT))
            .datagram([message(2), error_message(3, -libc::EEXIST)].concat())
            .datagram(error_message(4, 0));
        let (end, answers) = send(&mut collected(4, 1), &mut link);
        assert!(end.is_ok(), "{end:?}");
        let (gone, there) = (Err(Some(libc::ENOENT)), Err(Some(libc::EEXIST)));
        assert_eq!(answers, [(0, gone), (1, Ok(zct_wire::consts::ipctnl::GET_STATS)), (2, there)]);
    }

    #[test]
    fn a_refusal_of_the_last_request_ends_the_batch_too() {
        let mut link = Replay::default().datagram(error_message(2, -libc::EBUSY));
        let (end, answers) = send(&mut collected(2, 1), &mut link);
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(answers, [(1, Err(Some(libc::EBUSY)))]);
    }

    #[test]
    fn numbers_wrap_around_and_answers_to_earlier_batches_are_passed_over() {
        let mut batch = collected(3, u32::MAX);
        let mut link = Replay::default()
            .datagram(error_message(u32::MAX - 1, -libc::EBUSY))
            .datagram(error_message(0, -libc::ENOENT))
            .datagram(error_message(1, 0));
        let (end, answers) = send(&mut batch, &mut link);
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(answers, [(1, Err(Some(libc::ENOENT)))]);
        assert_eq!(batch.first_seq, 2);
    }

    #[test]
    fn an_overrun_and_a_missing_answer_are_errors_after_the_answers_that_came() {
        let gone = || Replay::default().datagram(error_message(1, -libc::ENOENT));
        for (mut link, errno) in [(gone().errno(libc::ENOBUFS), Some(libc::ENOBUFS)), (gone(), None)] {
            let mut batch = collected(2, 1);
            let (end, answers) = send(&mut batch, &mut link);
            let e = end.unwrap_err();
            assert!(matches!(e, Error::Sys { op: "recvfrom", .. }), "{e:?}");
            assert_eq!(e.errno(), errno);
            assert_eq!(answers, [(0, Err(Some(libc::ENOENT)))]);
            assert_eq!(batch.count, 0, "a batch must not be sent twice");
        }
    }

    #[test]
    fn a_truncated_or_damaged_answer_is_an_error_and_not_a_wait() {
        let mut long = error_message(1, -libc::ENOENT);
        long.resize(300, 0);
        let (end, answers) = send(&mut collected(1, 1), &mut Replay::default().datagram(long));
        assert_eq!(end.unwrap_err().errno(), Some(libc::EMSGSIZE));
        assert!(answers.is_empty(), "{answers:?}");
        let mut cut = error_message(1, 0);
        cut.truncate(30);
        let (end, _) = send(&mut collected(1, 1), &mut Replay::default().datagram(cut));
        assert!(matches!(end, Err(Error::Wire(_))), "{end:?}");
    }

    #[test]
    fn a_batch_that_cannot_be_sent_is_gone_and_the_next_one_has_new_numbers() {
        let mut batch = collected(2, 1);
        let (end, answers) = send(&mut batch, &mut Replay::default().refuse_to_send(libc::EMSGSIZE));
        assert_eq!(end.unwrap_err().errno(), Some(libc::EMSGSIZE));
        assert!(answers.is_empty() && batch.count == 0 && batch.first_seq == 3, "{batch:?}");
    }

    #[test]
    fn a_full_batch_refuses_more_and_an_empty_one_sends_nothing() {
        let mut batch = collected(BATCH_MAX, 1);
        assert!(batch.is_full());
        assert!(matches!(batch.add(stats), Err(Error::TooLarge)));
        assert_eq!(batch.count, BATCH_MAX);
        let mut link = Replay::default();
        let (end, _) = send(&mut Collected::new(), &mut link);
        assert!(end.is_ok() && link.sent.is_empty(), "{end:?}");
    }
}
