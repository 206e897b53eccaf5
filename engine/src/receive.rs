//! Receiving the answer to one request: datagram by datagram, until the kernel's last word.
//!
//! Everything that waits for one answer does so here: single requests, dumps in one go or in steps, the list
//! of interfaces. They differ in what they do between two datagrams. A batch has many answers and matches
//! them itself.

use crate::error::Error;
use crate::socket::CHUNK;
use crate::transport::Transport;
use std::io;
use zct_wire::consts::nlmsg;
use zct_wire::header::{Frame, Frames};

/// The outcome of request `seq`, if this message is the one that ends its answer.
pub(crate) fn verdict(frame: Frame<'_>, seq: u32) -> Option<Result<(), Error>> {
    let kind = frame.kind();
    if frame.seq() != seq || (kind != nlmsg::DONE && kind != nlmsg::ERROR) {
        return None;
    }
    Some(match (frame.code(), frame.error()) {
        (Ok(0), _) => Ok(()),
        (Ok(code), error) => {
            let hint = error.and_then(Result::ok).and_then(|e| e.text);
            let hint = hint.map(|t| String::from_utf8_lossy(t).into());
            Err(Error::Refused { errno: code.saturating_neg(), hint })
        }
        (Err(e), _) => Err(e.into()),
    })
}

/// Bytes that the first datagrams of a socket fit in: the kernel makes them as long as the largest buffer that
/// it has filled before, and the very first is shorter than this (ctnetlink.md §6.1).
const FIRST: usize = 8 << 10;

/// A buffer for one datagram, small until a long answer needs it. Most answers are short, and zeroing 24 KiB
/// more was a sixteenth of the instructions that it takes to list an empty table.
#[derive(Debug)]
pub(crate) struct Room(Vec<u8>);

impl Room {
    /// Room for the first datagrams.
    pub(crate) fn new() -> Room {
        Room(vec![0; FIRST])
    }

    /// The buffer as it is.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Makes it as large as the kernel can use: [`CHUNK`] bytes. It stays so.
    pub(crate) fn grow(&mut self) {
        if self.0.len() < CHUNK {
            self.0.resize(CHUNK, 0);
        }
    }
}

/// One datagram of an answer.
#[derive(Debug)]
pub(crate) struct Piece<'b> {
    /// As much of it as the buffer took.
    pub(crate) datagram: &'b [u8],
    /// Its true length, if that is more.
    pub(crate) cut: Option<usize>,
    /// The last word, if it is in here.
    pub(crate) end: Option<Result<(), Error>>,
}

/// The answer to one request while it is being received.
#[derive(Debug)]
pub(crate) struct Receiving {
    seq: u32,
    wait: bool,
    overrun: bool,
}

impl Receiving {
    /// Starts receiving the answer to request `seq`, which has been sent; `wait` says whether to sleep until
    /// something arrives.
    pub(crate) fn new(seq: u32, wait: bool) -> Receiving {
        Receiving { seq, wait, overrun: false }
    }

    /// The sequence number of the request.
    pub(crate) fn seq(&self) -> u32 {
        self.seq
    }

    /// True when something of the answer did not fit the socket's buffer.
    pub(crate) fn overrun(&self) -> bool {
        self.overrun
    }

    /// Receives one datagram; `None` when there is none yet and `wait` is off.
    ///
    /// # Errors
    /// A failed receive. After an overrun the message that ends the answer may be lost, and waiting for it
    /// could take forever, so the queue is read to its end and then the error is ENOBUFS.
    pub(crate) fn next<'b>(
        &mut self,
        link: &mut dyn Transport,
        into: &'b mut [u8],
    ) -> Result<Option<Piece<'b>>, Error> {
        let len = loop {
            match link.recv(into, self.wait && !self.overrun) {
                Ok(len) => break len,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => self.overrun = true,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && self.overrun => return Err(lost_the_end()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && !self.wait => return Ok(None),
                Err(e) => return Err(Error::sys("recvfrom", e)),
            }
        };
        let cut = (len > into.len()).then_some(len);
        let datagram = into.get(..len).unwrap_or(into);
        // DONE comes in a datagram of its own today, but nothing promises that.
        let end = Frames::new(datagram).map_while(Result::ok).find_map(|f| verdict(f, self.seq));
        Ok(Some(Piece { datagram, cut, end }))
    }
}

/// Receives the whole answer to request `seq`, sleeping as long as it takes, and hands each datagram to
/// `take`.
///
/// # Errors
/// The kernel's refusal, or as [`Receiving::next`], but with ENOBUFS at once: a caller that asked for one
/// thing can ask again.
pub(crate) fn until_end(
    link: &mut dyn Transport,
    seq: u32,
    into: &mut [u8],
    take: &mut dyn FnMut(&Piece<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut receiving = Receiving::new(seq, true);
    loop {
        let piece = receiving.next(link, into)?;
        if receiving.overrun() {
            return Err(lost_the_end());
        }
        let Some(piece) = piece else { continue };
        take(&piece)?;
        if let Some(end) = piece.end {
            return end;
        }
    }
}

fn lost_the_end() -> Error {
    Error::sys("recvfrom", io::Error::from_raw_os_error(libc::ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Replay, error_message as error};

    fn whole(mut link: Replay, room: usize) -> (Result<(), Error>, Vec<Option<usize>>) {
        let mut cuts = Vec::new();
        let end = until_end(&mut link, 7, &mut vec![0; room], &mut |piece| {
            cuts.push(piece.cut);
            Ok(())
        });
        (end, cuts)
    }

    #[test]
    fn an_answer_ends_with_its_own_last_word() {
        let link = Replay::default().datagram(error(6, 0)).datagram(error(7, 0)).datagram(error(7, -1));
        let (end, cuts) = whole(link, 100);
        assert!(end.is_ok() && cuts == [None, None], "{end:?} {cuts:?}");
        let (end, _) = whole(Replay::default().datagram(error(7, -16)), 100);
        assert_eq!(end.unwrap_err().errno(), Some(16));
        let link = Replay::default().datagram([error(6, 0), error(7, 0)].concat());
        let (end, cuts) = whole(link, 40);
        // Cut before its end: the transport has no more.
        assert!(end.is_err() && cuts == [Some(72)], "{end:?} {cuts:?}");
    }

    #[test]
    fn an_overrun_is_an_error_and_not_a_wait_without_end() {
        for rest in [Replay::default(), Replay::default().errno(libc::ENOBUFS)] {
            let (end, cuts) = whole(rest.errno(libc::ENOBUFS), 100);
            assert!(end.unwrap_err().errno() == Some(libc::ENOBUFS) && cuts.is_empty());
        }
        // What came before it was lost is read, for those who want it.
        let mut link = Replay::default().errno(libc::ENOBUFS).datagram(error(6, 0));
        let (mut r, mut buf) = (Receiving::new(7, true), [0; 100]);
        assert!(r.next(&mut link, &mut buf).unwrap().is_some() && r.overrun());
        assert_eq!(r.next(&mut link, &mut buf).unwrap_err().errno(), Some(libc::ENOBUFS));
    }

    #[test]
    fn nothing_yet_is_no_error_for_who_does_not_wait() {
        let mut buf = [0; 100];
        assert!(Receiving::new(7, false).next(&mut Replay::default(), &mut buf).unwrap().is_none());
        assert!(Receiving::new(7, true).next(&mut Replay::default(), &mut buf).is_err());
    }
}
