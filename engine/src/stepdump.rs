//! A dump in steps, for a program that has other things to do meanwhile.
//!
//! The same requests and the same losses as [`crate::Requests::dump`], with a bounded number of datagrams per
//! call. The kernel keeps its place between two calls, however long that takes. It fills the next datagram
//! when it hands out the one before (ctnetlink.md §6.1).

use crate::dump::deliver;
use crate::error::Error;
use crate::receive::Receiving;
use crate::request::buckets;
use crate::sink::{Lost, Sink};
use crate::socket::{CHUNK, NetlinkSocket};
use crate::transport::Transport;
use std::os::fd::{AsRawFd, RawFd};
use zct_wire::build::Full;
use zct_wire::request::REQUEST_MAX;

/// How far a dump has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a dump that is not done goes on"]
pub enum Progress {
    /// There is more: call again.
    More,
    /// Nothing is there yet. Call again when the socket is ready; with today's kernels this does not happen.
    Waiting,
    /// The kernel said DONE.
    Done,
}

/// Makes one dump after another on a socket of its own.
///
/// # Allocation
/// The buffers, 34 KiB, are allocated once.
#[derive(Debug)]
pub struct StepDump {
    socket: NetlinkSocket,
    out: Box<[u8]>,
    state: State,
}

/// The dump under way, separate from the socket so that a replay can drive it.
#[derive(Debug)]
struct State {
    chunk: Box<[u8]>,
    receiving: Receiving,
    running: bool,
    buckets: Option<u64>,
}

impl StepDump {
    /// Opens a socket in the caller's network namespace.
    ///
    /// # Errors
    /// As [`NetlinkSocket::open`].
    pub fn open() -> Result<StepDump, Error> {
        let receiving = Receiving::new(0, false);
        let state = State { chunk: vec![0; CHUNK].into(), receiving, running: false, buckets: None };
        Ok(StepDump { socket: NetlinkSocket::open()?, out: vec![0; REQUEST_MAX].into(), state })
    }

    /// The socket of the dump, which a reactor can watch.
    pub fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    /// True from [`StepDump::begin`] until a step has returned `Done` or an error.
    pub fn is_running(&self) -> bool {
        self.state.running
    }

    /// Sends the dump request that `build` makes in the given buffer with the given sequence number. During
    /// this call the kernel walks the table for the first datagram.
    ///
    /// If the last dump was given up before its end, its socket is of no more use, and a new one is opened.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when `build` answers [`Full`]; [`Error::Sys`] of `sendto`; as
    /// [`NetlinkSocket::open`] when a new socket is needed.
    pub fn begin(&mut self, build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>) -> Result<(), Error> {
        if self.state.running {
            self.socket = NetlinkSocket::open()?;
        }
        let s = &mut self.state;
        s.receiving = Receiving::new(s.receiving.seq().checked_add(1).unwrap_or(1), false);
        let request = build(&mut self.out, s.receiving.seq())?;
        s.buckets = buckets();
        self.socket.send(request)?;
        s.running = true;
        Ok(())
    }

    /// Hands the messages of up to `budget` datagrams to the sink. A sink that breaks ends the step but not
    /// the dump. The rest of that datagram is lost, so it should break only to give up.
    ///
    /// # Errors
    /// As [`crate::Requests::dump`]. The dump is over then; messages that came before the error have been
    /// delivered.
    pub fn step(&mut self, budget: u32, sink: &mut dyn Sink) -> Result<Progress, Error> {
        self.state.step(&mut &self.socket, budget, sink)
    }
}

impl AsRawFd for StepDump {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl State {
    fn step(
        &mut self,
        link: &mut dyn Transport,
        budget: u32,
        sink: &mut dyn Sink,
    ) -> Result<Progress, Error> {
        if !self.running {
            return Ok(Progress::Done);
        }
        for _ in 0..budget {
            let told = self.receiving.overrun();
            let piece = self.receiving.next(link, &mut self.chunk);
            if self.receiving.overrun() && !told {
                sink.lost(Lost::Overrun { count: None });
            }
            let piece = match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(Progress::Waiting),
                Err(e) => return self.finish(Err(e), sink),
            };
            if let Some(len) = piece.cut {
                sink.lost(Lost::Truncated { len });
            }
            let flow = deliver(piece.datagram, self.receiving.seq(), sink);
            if let Some(end) = piece.end {
                return self.finish(end, sink);
            }
            if flow.is_break() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::More)
    }

    fn finish(&mut self, end: Result<(), Error>, sink: &mut dyn Sink) -> Result<Progress, Error> {
        self.running = false;
        if end.is_ok() && self.buckets != buckets() {
            sink.lost(Lost::Resized);
        }
        end.map(|()| Progress::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Replay, end_message};
    use std::ops::ControlFlow;
    use zct_wire::build::{Builder, Head};
    use zct_wire::consts::{nlm_f, nlmsg};
    use zct_wire::header::CtMsg;

    #[derive(Default)]
    struct Count {
        seen: usize,
        lost: Vec<Lost>,
    }

    impl Sink for Count {
        fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
            self.seen += 1;
            ControlFlow::Continue(())
        }
        fn lost(&mut self, why: Lost) {
            self.lost.push(why);
        }
    }

    fn state() -> State {
        let receiving = Receiving::new(7, false);
        State { chunk: vec![0; CHUNK].into(), receiving, running: true, buckets: buckets() }
    }

    fn flows(count: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..count {
            let mut buf = [0; 64];
            out.extend(
                Builder::new(&mut buf, Head::new(0x100, 7).flags(nlm_f::MULTI).family(2)).finish().unwrap(),
            );
        }
        out
    }

    fn done(code: i32) -> Vec<u8> {
        end_message(nlmsg::DONE, 7, code)
    }

    #[test]
    fn a_dump_comes_in_steps_of_the_budget() {
        let mut link = (0..5).fold(Replay::default(), |r, _| r.datagram(flows(10))).datagram(done(0));
        let (mut s, mut count) = (state(), Count::default());
        let mut steps = 0;
        while s.step(&mut link, 2, &mut count).unwrap() == Progress::More {
            steps += 1;
        }
        assert_eq!((steps, count.seen, s.running), (2, 50, false));
        assert!(count.lost.is_empty());
        assert_eq!(s.step(&mut link, 2, &mut count).unwrap(), Progress::Done);
    }

    #[test]
    fn waiting_refusals_and_a_lost_end() {
        let (mut s, mut count) = (state(), Count::default());
        assert_eq!(s.step(&mut Replay::default(), 9, &mut count).unwrap(), Progress::Waiting);
        let mut link = Replay::default().datagram(flows(1)).datagram(done(-16));
        assert_eq!(s.step(&mut link, 9, &mut count).unwrap_err().errno(), Some(16));
        assert!(!s.running && count.seen == 1);
        let mut s = state();
        let mut link = Replay::default().errno(libc::ENOBUFS).datagram(flows(1));
        assert_eq!(s.step(&mut link, 9, &mut count).unwrap_err().errno(), Some(libc::ENOBUFS));
        assert_eq!((count.seen, &count.lost[..]), (2, &[Lost::Overrun { count: None }][..]));
    }
}
