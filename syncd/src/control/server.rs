//! The control socket's server side (conntrackd.md §3).
//!
//! It serves many clients at once and waits for none of them: one that says nothing, says too little, or does
//! not read what it asked for costs its buffer and no time. A listing is rendered as the client takes it.

use crate::control::listings::{KernelListing, ShownCaches, Source};
use crate::control::request::{Listing, Request};
use crate::control::selection::{SELECTION_LEN, Selection};
use crate::peer::Millis;
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use zct_engine::write_file::{self, Unwritten, WriteError};
use zct_engine::{Error, Reactor, Token, Turn};

/// Clients at the same time; the one that has been silent longest makes room for a new one.
const CLIENTS_MAX: usize = 128;
/// Bytes of the longest request.
const ASKED_MAX: usize = 4 + SELECTION_LEN;
/// Pieces written to one client per turn.
const PIECES_A_TURN: usize = 2;
/// A client that has not asked for anything after this time is sent away.
const SILENT_MS: Millis = 30_000;
/// When descriptors are short, a client may keep its own for this long without saying or reading anything.
const SHORT_MS: Millis = 200;

/// Identifies a client until its answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId {
    slot: usize,
    serial: u64,
}

/// What a client has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A known request; `status` says whether the client wants to learn the outcome.
    Known {
        /// The request itself.
        request: Request,
        /// Whether the outcome is to be reported.
        status: bool,
        /// What it is limited to.
        selection: Selection,
    },
    /// A number without a meaning.
    Unknown,
    /// Fewer bytes than a request has, and then the end of the stream.
    Short,
    /// Nothing more, after a request: it has closed its sending half, or is gone.
    Ended,
}

/// What a client gets in answer.
#[derive(Debug)]
pub enum Reply {
    /// Nothing: the connection is closed.
    Close,
    /// This text.
    Text(String),
    /// A listing of our caches, behind a text if there is one: of the peers with these numbers.
    List(Listing, Range<usize>, String),
    /// A listing of one of the kernel's tables: see [`KernelListing::begin`].
    Kernel(KernelListing),
    /// Nothing yet: the connection stays open for a later answer.
    Wait,
}

#[derive(Debug)]
enum ClientPhase {
    /// It has not finished asking; `got` bytes of its request are here.
    Asking { bytes: [u8; ASKED_MAX], got: usize },
    /// It has asked, and is still waiting for its answer.
    Waiting,
    /// It gets what is in `out`, and then more from this source.
    Answered(Source),
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    serial: u64,
    since: Millis,
    state: ClientPhase,
    out: Vec<u8>,
    sent: usize,
    /// The socket accepts no more for now.
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
    /// When to accept what could not be accepted; the poll will not name it again.
    accept_at: Option<Millis>,
    short: Shortage,
}

/// Whether descriptors have ever been short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    Never,
    New,
    Told,
}

impl Server {
    /// Listens at `path`, replacing whatever socket was there, but nothing other than a socket. `first_token`
    /// and the [`Server::TOKENS`] from there on belong to it.
    ///
    /// # Errors
    /// Whatever was in the way.
    pub fn open(path: &Path, first_token: usize) -> Result<Server, WriteError> {
        write_file::remove_socket(path)?;
        let listener = UnixListener::bind(path).and_then(|l| l.set_nonblocking(true).map(|()| l));
        let listener = listener.map_err(|e| WriteError { path: path.into(), why: Unwritten::System(e) })?;
        let clients = (0..CLIENTS_MAX).map(|_| None).collect();
        Ok(Server {
            listener,
            path: path.into(),
            clients,
            serial: 0,
            first_token,
            accept_at: None,
            short: Shortage::Never,
        })
    }

    /// How many tokens the server uses.
    pub const TOKENS: usize = CLIENTS_MAX + 1;

    /// Removes the socket's file.
    pub fn remove(&self) {
        // It may be gone already, and whatever has taken its place is not ours.
        _ = write_file::remove_socket(&self.path);
    }

    /// Registers the listening socket.
    pub fn watch(&self, reactor: &mut Reactor) -> Result<(), Error> {
        reactor.watch(&self.listener, Token(self.first_token))
    }

    fn client_token(&self, slot: usize) -> Token {
        Token(self.first_token + 1 + slot)
    }

    /// One of its tokens is ready: accepts clients, and returns what one of them asks for.
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
        self.accept_at = None;
        // As many as a well-behaved script brings at once; the others wait in the backlog.
        for _ in 0..16 {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_err() {
                        continue;
                    }
                    let Some(slot) = self.free_slot() else { continue };
                    let token = self.client_token(slot);
                    reactor.watch_both(&stream, token)?;
                    self.serial += 1;
                    let state = ClientPhase::Asking { bytes: [0; ASKED_MAX], got: 0 };
                    let (serial, out) = (self.serial, Vec::new());
                    let client = Client { stream, serial, since: now, state, out, sent: 0, blocked: false };
                    if let Some(c) = self.clients.get_mut(slot) {
                        *c = Some(client);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                // Descriptors are short.
                Err(_) if self.short == Shortage::Never => self.short = Shortage::New,
                Err(_) if self.close_silent(now.saturating_sub(SHORT_MS)).is_some() => {}
                Err(_) => {
                    self.accept_at = Some(now + SHORT_MS);
                    return Ok(Turn::Drained);
                }
            }
        }
        Ok(Turn::More)
    }

    /// A free slot; if there is none, that of the client that has been silent longest.
    fn free_slot(&mut self) -> Option<usize> {
        if let Some(free) = self.clients.iter().position(Option::is_none) {
            return Some(free);
        }
        self.close_silent(Millis::MAX)
    }

    /// Closes the connection of the client that has been silent longest, at least since `before`; returns its
    /// slot. Clients whose request is being carried out are not silent.
    fn close_silent(&mut self, before: Millis) -> Option<usize> {
        let silent = self.clients.iter().enumerate().filter_map(|(slot, c)| {
            let c = c.as_ref()?;
            matches!(c.state, ClientPhase::Asking { .. } | ClientPhase::Answered(_))
                .then_some((c.since, slot))
        });
        let (_, slot) = silent.min().filter(|(since, _)| *since <= before)?;
        self.close(slot);
        Some(slot)
    }

    /// Accepts clients that had to wait for a descriptor, if it is time to.
    ///
    /// # Errors
    /// Those of [`Server::ready`].
    pub fn accept_waiting(&mut self, now: Millis, reactor: &mut Reactor) -> Result<(), Error> {
        if self.accept_at.is_some_and(|at| at <= now) && self.accept(now, reactor)? == Turn::More {
            self.accept_at = Some(now);
        }
        Ok(())
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
                ClientPhase::Asking { bytes, got } => bytes.get_mut(*got..).unwrap_or_default(),
                // Bytes after the request have no meaning.
                _ => &mut more[..],
            };
            match c.stream.read(into) {
                Ok(0) => {
                    let ClientPhase::Asking { got, .. } = c.state else {
                        return matches!(c.state, ClientPhase::Waiting).then_some((id, Asked::Ended));
                    };
                    let short = got > 0;
                    self.close(slot);
                    return short.then_some((id, Asked::Short));
                }
                Ok(n) => {
                    let ClientPhase::Asking { bytes, got } = &mut c.state else { continue };
                    *got += n;
                    let Some(asked) = asked(bytes.get(..*got).unwrap_or_default()) else { continue };
                    c.state = ClientPhase::Waiting;
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

    /// True when a client that waits has ended its stream already.
    pub fn has_ended(&mut self, id: ClientId) -> bool {
        self.read(id.slot) == Some((id, Asked::Ended))
    }

    /// Answers a client. If it is gone, nothing happens.
    pub fn reply(&mut self, id: ClientId, reply: Reply) {
        let Some(Some(c)) = self.clients.get_mut(id.slot) else { return };
        if c.serial != id.serial {
            return;
        }
        c.state = match reply {
            Reply::Close => return self.close(id.slot),
            Reply::Wait => ClientPhase::Waiting,
            Reply::Text(text) => {
                c.out.extend_from_slice(text.as_bytes());
                ClientPhase::Answered(Source::Nothing)
            }
            Reply::List(listing, peers, text) => {
                c.out.extend_from_slice(text.as_bytes());
                ClientPhase::Answered(Source::cache(listing, peers))
            }
            Reply::Kernel(listing) => ClientPhase::Answered(Source::Kernel(listing)),
        };
    }

    /// Writes what clients will accept, in pieces; returns true when there is more to do at once.
    pub fn settle(&mut self, shown: &ShownCaches<'_>) -> bool {
        let mut more = false;
        for slot in 0..self.clients.len() {
            let Some(Some(c)) = self.clients.get_mut(slot) else { continue };
            let done = match c.state {
                ClientPhase::Asking { .. } => shown.now.saturating_sub(c.since) >= SILENT_MS,
                ClientPhase::Waiting => false,
                ClientPhase::Answered(_) => match c.write(shown) {
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

    /// True once after descriptors were short for the first time.
    pub fn take_shortage(&mut self) -> bool {
        let new = self.short == Shortage::New;
        if new {
            self.short = Shortage::Told;
        }
        new
    }

    /// When silent clients, or those that wait to be accepted, have to be looked at again.
    pub fn deadline(&self) -> Option<Millis> {
        let silent = self.clients.iter().flatten().filter(|c| matches!(c.state, ClientPhase::Asking { .. }));
        silent.map(|c| c.since + SILENT_MS).chain(self.accept_at).min()
    }

    /// Closes all connections; clients get what can be written to them now.
    pub fn last_words(&mut self, shown: &ShownCaches<'_>) {
        self.settle(shown);
        self.clients.iter_mut().for_each(|c| *c = None);
    }
}

/// What the bytes that have come ask for; `None` when more of them belong to it.
fn asked(bytes: &[u8]) -> Option<Asked> {
    let (code, rest) = bytes.split_first_chunk()?;
    let code = u32::from_ne_bytes(*code);
    if let Some(request) = Request::from_selected_code(code) {
        let selection = Selection::read(rest.first_chunk()?);
        let known = |selection| Asked::Known { request, status: true, selection };
        return Some(selection.map_or(Asked::Unknown, known));
    }
    let known = |(request, status)| Asked::Known { request, status, selection: Selection::default() };
    Some(Request::from_code(code).map_or(Asked::Unknown, known))
}

/// The outcome of writing to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    /// The answer is complete, or the client is gone.
    All,
    /// The client accepts no more for now.
    Blocked,
    /// The turn's share is used up.
    More,
}

impl Client {
    fn write(&mut self, shown: &ShownCaches<'_>) -> Wrote {
        if self.blocked {
            return Wrote::Blocked;
        }
        for _ in 0..PIECES_A_TURN {
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                let ClientPhase::Answered(source) = &mut self.state else { return Wrote::Blocked };
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
