//! One thread, one poll: sources that are ready, timers that are due, signals that have arrived.

use crate::error::Error;
use crate::sys;
use libc::c_int;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Which source or timer is meant: a number of the handler's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

/// What a source says after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a source that is not drained is not named again"]
pub enum Turn {
    /// It has read (or written) until it would have blocked: call it when it is ready again.
    Drained,
    /// The budget ran out first: give the others a turn, then call it again without waiting.
    More,
}

/// The program behind a [`Reactor`].
pub trait Handler {
    /// A source is ready. Readiness is a hint: there may be nothing to do. Work is bounded by a budget of
    /// the handler's own.
    ///
    /// # Errors
    /// Any: it ends [`Reactor::turn`], which returns it.
    fn ready(&mut self, token: Token, reactor: &mut Reactor) -> Result<Turn, Error>;

    /// A timer is due. Timers fire once; set another one to go on.
    ///
    /// # Errors
    /// Any: it ends [`Reactor::turn`], which returns it.
    fn timer(&mut self, token: Token, now: Instant, reactor: &mut Reactor) -> Result<(), Error>;

    /// The end of a turn, after all sources and timers: the place for work that belongs to no source.
    /// Returns the latest time to wake up; a time in the past means at once, after a look at the sources.
    ///
    /// For programs whose next deadline moves with every message, because a timer cannot be taken back.
    ///
    /// # Errors
    /// Any: it ends [`Reactor::turn`], which returns it.
    fn settle(&mut self, now: Instant, reactor: &mut Reactor) -> Result<Option<Instant>, Error> {
        let _ = (now, reactor);
        Ok(None)
    }
}

/// Poll loop with edge-triggered sources, one-shot timers, and turns for sources that are not drained.
///
/// The clock is the caller's: [`Reactor::turn`] takes it as an argument, so that a test can set the time.
///
/// # Allocation
/// Grows with the number of sources and timers, never with messages.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    /// Sources that said [`Turn::More`]; edge-triggered polling would not name them again.
    more: Vec<Token>,
    turn: Vec<Token>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// What [`Handler::settle`] last returned.
    wake: Option<Instant>,
    /// The longest turn since [`Reactor::take_longest_turn`], by the clock that the turns were given.
    longest: Duration,
    stopped: bool,
}

impl Reactor {
    /// Creates a reactor without sources or timers.
    ///
    /// # Errors
    /// [`Error::Sys`] of `epoll_create1`: EMFILE or ENFILE when there are too many open files.
    pub fn new() -> Result<Reactor, Error> {
        let poll = Poll::new().map_err(|e| Error::sys("epoll_create1", e))?;
        Ok(Reactor {
            poll,
            events: Events::with_capacity(64),
            more: Vec::new(),
            turn: Vec::new(),
            timers: BinaryHeap::new(),
            wake: None,
            longest: Duration::ZERO,
            stopped: false,
        })
    }

    /// Watches a descriptor for reading. It must stay open until [`Reactor::forget`] or the end.
    ///
    /// # Errors
    /// [`Error::Sys`] of `epoll_ctl`: EEXIST for a descriptor that is watched already, EPERM for a regular
    /// file, ENOSPC past the user's fs.epoll.max_user_watches.
    pub fn watch(&mut self, fd: &impl AsRawFd, token: Token) -> Result<(), Error> {
        self.watch_for(fd, token, Interest::READABLE)
    }

    /// Watches a descriptor for reading and for writing.
    ///
    /// # Errors
    /// As [`Reactor::watch`].
    pub fn watch_both(&mut self, fd: &impl AsRawFd, token: Token) -> Result<(), Error> {
        self.watch_for(fd, token, Interest::READABLE | Interest::WRITABLE)
    }

    fn watch_for(&mut self, fd: &impl AsRawFd, token: Token, interest: Interest) -> Result<(), Error> {
        let fd: RawFd = fd.as_raw_fd();
        let registry = self.poll.registry();
        registry
            .register(&mut SourceFd(&fd), mio::Token(token.0), interest)
            .map_err(|e| Error::sys("epoll_ctl", e))
    }

    /// Stops watching a descriptor.
    ///
    /// # Errors
    /// [`Error::Sys`] of `epoll_ctl`: ENOENT for a descriptor that is not watched.
    pub fn forget(&mut self, fd: &impl AsRawFd, token: Token) -> Result<(), Error> {
        let fd: RawFd = fd.as_raw_fd();
        self.more.retain(|t| *t != token);
        self.poll.registry().deregister(&mut SourceFd(&fd)).map_err(|e| Error::sys("epoll_ctl", e))
    }

    /// Calls [`Handler::timer`] with `token` at `when`, once.
    pub fn set_timer(&mut self, when: Instant, token: Token) {
        self.timers.push(Reverse((when, token.0)));
    }

    /// Makes [`Reactor::run`] return after the current turn.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The longest turn since this was last asked, from the end of the wait to the end of the turn: for so
    /// long nothing else was served.
    pub fn take_longest_turn(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }

    /// True after [`Reactor::stop`].
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// One turn: waits for something to do, but not past the next timer and not at all when a source has
    /// more; then gives every source that is ready one call, and every timer that is due, and settles.
    ///
    /// # Errors
    /// The first error of the handler, or [`Error::Sys`] of `epoll_wait`; a wait that a signal interrupts is
    /// not an error.
    pub fn turn(&mut self, clock: &impl Fn() -> Instant, handler: &mut impl Handler) -> Result<(), Error> {
        let wait = if self.more.is_empty() {
            let timer = self.timers.peek().map(|Reverse((when, _))| *when);
            let next = [timer, self.wake].into_iter().flatten().min();
            next.map(|when| when.saturating_duration_since(clock()))
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(&mut self.events, wait) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::sys("epoll_wait", e)),
        }
        let begun = clock();
        let mut turn = std::mem::take(&mut self.turn);
        turn.clear();
        turn.append(&mut self.more);
        for event in &self.events {
            let token = Token(event.token().0);
            if !turn.contains(&token) {
                turn.push(token);
            }
        }
        for token in &turn {
            if handler.ready(*token, self)? == Turn::More {
                self.more.push(*token);
            }
        }
        self.turn = turn;
        let now = clock();
        while self.timers.peek().is_some_and(|Reverse((when, _))| *when <= now) {
            if let Some(Reverse((_, token))) = self.timers.pop() {
                handler.timer(Token(token), now, self)?;
            }
        }
        self.wake = handler.settle(now, self)?;
        self.longest = self.longest.max(clock().saturating_duration_since(begun));
        Ok(())
    }

    /// Turns until [`Reactor::stop`].
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    pub fn run(&mut self, clock: impl Fn() -> Instant, handler: &mut impl Handler) -> Result<(), Error> {
        while !self.stopped {
            self.turn(&clock, handler)?;
        }
        Ok(())
    }
}

/// Signals as a source: blocked for the whole program, and read in a turn like any other input.
///
/// Make it before any thread is started: threads inherit the mask.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    blocked: Vec<c_int>,
}

impl Signals {
    /// Blocks `signals` (libc numbers), so that they are read here instead of taking their default action.
    ///
    /// # Errors
    /// [`Error::Sys`] of `signalfd`: EMFILE or ENFILE when there are too many open files.
    pub fn take(signals: &[c_int]) -> Result<Signals, Error> {
        let fd = sys::signal_fd(signals).map_err(|e| Error::sys("signalfd", e))?;
        Ok(Signals { fd, blocked: signals.to_vec() })
    }

    /// The next signal that has arrived, if any.
    ///
    /// # Errors
    /// [`Error::Sys`] of `read`.
    pub fn pending(&mut self) -> Result<Option<c_int>, Error> {
        match sys::next_signal(self.fd.as_fd()) {
            Ok(signal) => Ok(Some(signal)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(Error::sys("read", e)),
        }
    }

    /// Gives the signals their default action back: the next one ends the program.
    ///
    /// # Errors
    /// [`Error::Sys`] of `sigmask`.
    pub fn release(&mut self) -> Result<(), Error> {
        sys::unblock_signals(&std::mem::take(&mut self.blocked)).map_err(|e| Error::sys("sigmask", e))
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    #[derive(Default)]
    struct Log {
        stream: Option<UnixStream>,
        bytes: Vec<u8>,
        turns: Vec<Token>,
        timers: Vec<usize>,
    }

    impl Handler for Log {
        /// Reads one byte per turn, which is the smallest budget.
        fn ready(&mut self, token: Token, reactor: &mut Reactor) -> Result<Turn, Error> {
            self.turns.push(token);
            if token == Token(9) {
                reactor.stop();
                return Ok(Turn::Drained);
            }
            let mut byte = [0];
            match self.stream.as_mut().unwrap().read(&mut byte) {
                Ok(1) => {
                    self.bytes.push(byte[0]);
                    Ok(Turn::More)
                }
                _ => Ok(Turn::Drained),
            }
        }

        fn timer(&mut self, token: Token, now: Instant, reactor: &mut Reactor) -> Result<(), Error> {
            self.timers.push(token.0);
            if token == Token(3) {
                reactor.set_timer(now + Duration::from_secs(5), Token(4));
                reactor.stop();
            }
            Ok(())
        }
    }

    #[test]
    fn a_source_with_more_is_called_again_and_others_get_their_turn() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let (mut other, stop) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let mut reactor = Reactor::new().unwrap();
        reactor.watch(&far, Token(1)).unwrap();
        reactor.watch(&stop, Token(9)).unwrap();
        near.write_all(b"abc").unwrap();
        let mut log = Log { stream: Some(far), ..Log::default() };
        for _ in 0..4 {
            reactor.turn(&Instant::now, &mut log).unwrap();
        }
        assert_eq!(log.bytes, b"abc");
        near.write_all(b"de").unwrap();
        other.write_all(b"!").unwrap();
        reactor.run(Instant::now, &mut log).unwrap();
        assert!(log.turns.contains(&Token(9)) && reactor.is_stopped());
    }

    /// Asks to be called again at once until it has counted to three.
    struct Settling(u32);

    impl Handler for Settling {
        fn ready(&mut self, _: Token, _: &mut Reactor) -> Result<Turn, Error> {
            Ok(Turn::Drained)
        }
        fn timer(&mut self, _: Token, _: Instant, _: &mut Reactor) -> Result<(), Error> {
            Ok(())
        }
        fn settle(&mut self, now: Instant, reactor: &mut Reactor) -> Result<Option<Instant>, Error> {
            self.0 += 1;
            if self.0 == 3 {
                reactor.stop();
            }
            Ok(Some(now))
        }
    }

    #[test]
    fn what_settle_asks_for_ends_the_wait() {
        let mut reactor = Reactor::new().unwrap();
        let (_near, far) = UnixStream::pair().unwrap();
        reactor.watch(&far, Token(1)).unwrap();
        // Only the first turn would wait: a new stream is writable, and nothing else happens.
        reactor.set_timer(Instant::now(), Token(2));
        let mut handler = Settling(0);
        reactor.run(Instant::now, &mut handler).unwrap();
        assert_eq!(handler.0, 3);
    }

    #[test]
    fn the_longest_turn_is_told_once() {
        let mut reactor = Reactor::new().unwrap();
        let start = Instant::now();
        // Every look at the clock takes longer than all before: of a turn, the last is 4, 8 or 12 ms late.
        let looks = std::cell::Cell::new(0);
        let clock = || {
            looks.set(looks.get() + 1);
            start + Duration::from_millis(looks.get() * looks.get())
        };
        reactor.set_timer(start, Token(1));
        let mut handler = Settling(0);
        reactor.run(clock, &mut handler).unwrap();
        let (longest, again) = (reactor.take_longest_turn(), reactor.take_longest_turn());
        assert_eq!(longest, Duration::from_millis(12 * 12 - 10 * 10));
        assert_eq!(again, Duration::ZERO);
    }

    #[test]
    fn timers_fire_in_order_once_by_the_given_clock() {
        let start = Instant::now();
        let mut reactor = Reactor::new().unwrap();
        let mut log = Log::default();
        reactor.set_timer(start + Duration::from_secs(20), Token(2));
        reactor.set_timer(start + Duration::from_secs(10), Token(1));
        reactor.set_timer(start + Duration::from_secs(20), Token(3));
        let late = start + Duration::from_secs(20);
        reactor.turn(&|| late, &mut log).unwrap();
        assert_eq!(log.timers, [1, 2, 3]);
        assert!(reactor.is_stopped());
        reactor.turn(&|| late + Duration::from_secs(5), &mut log).unwrap();
        assert_eq!(log.timers, [1, 2, 3, 4]);
    }
}
