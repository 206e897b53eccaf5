//! The control socket's server side (conntrackd.md §3).
//!
//! Many clients at once, none of which is waited for: one that says nothing, says too little, or does not
//! read what it asked for takes its buffer and no time. A listing is rendered as the client takes it.

use crate::control::listings::{KernelListing, Shown, Source};
use crate::control::request::{Listing, Request};
use crate::peer::Millis;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use zct_engine::write_file::{self, Unwritten, WriteError};
use zct_engine::{Error, Interest, Reactor, Token, Turn};

/// Clients at once; the one that has been silent longest makes room for another.
const CLIENTS_MAX: usize = 128;
/// Pieces written to one client in one turn.
const PIECES_A_TURN: usize = 2;
/// A client that has asked for nothing by then is sent away.
const SILENT_MS: Millis = 30_000;

/// Names a client until its answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId {
    slot: usize,
    serial: u64,
}

/// A request that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One that we know; with `status` it wants to hear how it went.
    Known {
        /// What is asked for.
        request: Request,
        /// Whether a status is wanted.
        status: bool,
    },
    /// A number that means nothing.
    Unknown,
    /// Fewer than four bytes, and then the end.
    Short,
}

/// What a client gets.
#[derive(Debug)]
pub enum Reply {
    /// Nothing: the connection is closed.
    Close,
    /// This text.
    Text(String),
    /// A listing of a cache.
    List(Listing),
    /// A listing of a table of the kernel: see [`KernelListing::begin`].
    Kernel(KernelListing),
    /// Something later: the connection stays.
    Wait,
}

#[derive(Debug)]
enum State {
    /// Has not said what it wants; so many bytes of it are there.
    Asking { bytes: [u8; 4], got: usize },
    /// Has asked, and is not answered yet.
    Waiting,
    /// Gets what is in `out`, and then more of this.
    Answered(Source),
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    serial: u64,
    since: Millis,
    state: State,
    out: Vec<u8>,
    sent: usize,
    /// The socket takes no more for now.
    blocked: bool,
}

/// The listening socket and its clients.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Option<Client>>,
    serial: u64,
    first_token: usize,
}

impl Server {
    /// Listens at `path`, in place of whatever socket was there, and of nothing else. `first_token` and the
    /// next [`Server::TOKENS`] are its own.
    ///
    /// # Errors
    /// What was in the way.
    pub fn open(path: &Path, first_token: usize) -> Result<Server, WriteError> {
        write_file::remove_socket(path)?;
        let listener = UnixListener::bind(path).and_then(|l| l.set_nonblocking(true).map(|()| l));
        let listener = listener.map_err(|e| WriteError { path: path.into(), why: Unwritten::System(e) })?;
        let clients = (0..CLIENTS_MAX).map(|_| None).collect();
        Ok(Server { listener, path: path.into(), clients, serial: 0, first_token })
    }

    /// How many tokens it uses.
    pub const TOKENS: usize = CLIENTS_MAX + 1;

    /// Removes the socket.
    pub fn remove(&self) {
        // Gone already is as good, and what has taken its place is not ours.
        _ = write_file::remove_socket(&self.path);
    }

    /// Registers the listening socket.
    pub fn watch(&self, reactor: &mut Reactor) -> Result<(), Error> {
        reactor.watch(&self.listener, Token(self.first_token))
    }

    fn client_token(&self, slot: usize) -> Token {
        Token(self.first_token + 1 + slot)
    }

    /// One of its tokens is ready: accepts clients, and hands out what one of them asks for.
    pub fn ready(
        &mut self,
        token: usize,
        now: Millis,
        reactor: &mut Reactor,
    ) -> Result<(Turn, Option<(ClientId, Asked)>), Error> {
        match token.checked_sub(self.first_token + 1) {
            None => Ok((self.accept(now, reactor)?, None)),
            Some(slot) => {
                if let Some(Some(c)) = self.clients.get_mut(slot) {
                    // It may have become writable: what waits for it is written when the turn settles.
                    c.blocked = false;
                }
                Ok((Turn::Drained, self.read(slot)))
            }
        }
    }

    fn accept(&mut self, now: Millis, reactor: &mut Reactor) -> Result<Turn, Error> {
        // As many as a well-meant script brings at once; the others wait their turn in the backlog.
        for _ in 0..16 {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_err() {
                        continue;
                    }
                    let Some(slot) = self.free_slot() else { continue };
                    let token = self.client_token(slot);
                    reactor.watch_for(&stream, token, Interest::READABLE | Interest::WRITABLE)?;
                    self.serial += 1;
                    let state = State::Asking { bytes: [0; 4], got: 0 };
                    let (serial, out) = (self.serial, Vec::new());
                    let client = Client { stream, serial, since: now, state, out, sent: 0, blocked: false };
                    if let Some(c) = self.clients.get_mut(slot) {
                        *c = Some(client);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
                // The client is gone again, or descriptors are short: nothing to do about it now.
                Err(_) => return Ok(Turn::Drained),
            }
        }
        Ok(Turn::More)
    }

    /// A free slot, if need be that of the client that has said nothing for longest.
    fn free_slot(&mut self) -> Option<usize> {
        if let Some(free) = self.clients.iter().position(Option::is_none) {
            return Some(free);
        }
        let silent = self.clients.iter().enumerate().filter_map(|(slot, c)| {
            let c = c.as_ref()?;
            matches!(c.state, State::Asking { .. } | State::Answered(_)).then_some((c.since, slot))
        });
        let (_, slot) = silent.min()?;
        self.close(slot);
        Some(slot)
    }

    fn close(&mut self, slot: usize) {
        // Dropping the stream takes it out of the poll.
        if let Some(c) = self.clients.get_mut(slot) {
            *c = None;
        }
    }

    fn read(&mut self, slot: usize) -> Option<(ClientId, Asked)> {
        let c = self.clients.get_mut(slot)?.as_mut()?;
        let id = ClientId { slot, serial: c.serial };
        loop {
            let mut more = [0; 64];
            let into = match &mut c.state {
                State::Asking { bytes, got } => bytes.get_mut(*got..).unwrap_or_default(),
                // Whatever comes after the request means nothing.
                _ => &mut more[..],
            };
            match c.stream.read(into) {
                Ok(0) => {
                    let State::Asking { got, .. } = c.state else {
                        // It has closed its sending half only, or is gone: writing will tell.
                        return None;
                    };
                    let short = got > 0;
                    self.close(slot);
                    return short.then_some((id, Asked::Short));
                }
                Ok(n) => {
                    let State::Asking { bytes, got } = &mut c.state else { continue };
                    *got += n;
                    if *got < bytes.len() {
                        continue;
                    }
                    let code = u32::from_ne_bytes(*bytes);
                    c.state = State::Waiting;
                    let asked = match Request::from_code(code) {
                        Some((request, status)) => Asked::Known { request, status },
                        None => Asked::Unknown,
                    };
                    return Some((id, asked));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close(slot);
                    return None;
                }
            }
        }
    }

    /// Answers a client. One that is gone is passed over.
    pub fn reply(&mut self, id: ClientId, reply: Reply) {
        let Some(Some(c)) = self.clients.get_mut(id.slot) else { return };
        if c.serial != id.serial {
            return;
        }
        c.state = match reply {
            Reply::Close => return self.close(id.slot),
            Reply::Wait => State::Waiting,
            Reply::Text(text) => {
                c.out.extend_from_slice(text.as_bytes());
                State::Answered(Source::Nothing)
            }
            Reply::List(listing) => State::Answered(Source::cache(listing)),
            Reply::Kernel(listing) => State::Answered(Source::Kernel(listing)),
        };
    }

    /// Writes what clients will take, in pieces; true when there is more to do at once.
    pub fn settle(&mut self, shown: &Shown<'_>) -> bool {
        let mut more = false;
        for slot in 0..self.clients.len() {
            let Some(Some(c)) = self.clients.get_mut(slot) else { continue };
            let done = match c.state {
                State::Asking { .. } => shown.now.saturating_sub(c.since) >= SILENT_MS,
                State::Waiting => false,
                State::Answered(_) => match c.write(shown) {
                    Wrote::All => true,
                    Wrote::Blocked => false,
                    Wrote::More => {
                        more = true;
                        false
                    }
                },
            };
            if done {
                self.close(slot);
            }
        }
        more
    }

    /// When to look at silent clients again.
    pub fn deadline(&self) -> Option<Millis> {
        let silent = self.clients.iter().flatten().filter(|c| matches!(c.state, State::Asking { .. }));
        silent.map(|c| c.since + SILENT_MS).min()
    }

    /// Says goodbye to everybody who waits: what is written by now is what they get.
    pub fn last_words(&mut self, shown: &Shown<'_>) {
        self.settle(shown);
        self.clients.iter_mut().for_each(|c| *c = None);
    }
}

/// What became of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    /// The answer is complete, or the client is gone.
    All,
    /// It takes no more for now.
    Blocked,
    /// The turn's share is used up.
    More,
}

impl Client {
    fn write(&mut self, shown: &Shown<'_>) -> Wrote {
        if self.blocked {
            return Wrote::Blocked;
        }
        for _ in 0..PIECES_A_TURN {
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                let State::Answered(source) = &mut self.state else { return Wrote::Blocked };
                if !source.fill(&mut self.out, shown) && self.out.is_empty() {
                    return Wrote::All;
                }
            }
            while let Some(rest) = self.out.get(self.sent..).filter(|r| !r.is_empty()) {
                match self.stream.write(rest) {
                    Ok(n) => {
                        self.sent += n;
                        self.since = shown.now;
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked = true;
                        return Wrote::Blocked;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Wrote::All,
                }
            }
        }
        Wrote::More
    }
}
