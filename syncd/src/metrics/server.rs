//! Answers whoever asks for the metrics, one request per connection.
//!
//! It waits for nobody. Connections are few and short: each has a deadline that counts from its beginning,
//! and where one too many comes, the oldest goes. What is answered is the business of [`super::http`].

use super::http::{self, HttpAsked, REQUEST_MAX};
use crate::config::settings::Listen;
use crate::peer::Millis;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use zct_engine::write_file::{self, Unwritten, WriteError};
use zct_engine::{Reactor, Token, Turn, errno_text};

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 32;
/// Connections accepted in one turn, each of which can cost one response.
const ACCEPT_A_TURN: usize = 4;
/// A connection ends after this time, whatever it has sent or read.
const DEADLINE_MS: Millis = 10_000;
/// When to try again to accept, if descriptors are short.
const ACCEPT_AGAIN_MS: Millis = 1_000;

/// Why nobody can be listened to.
#[derive(Debug)]
pub struct ListenError {
    at: Listen,
    why: WriteError,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match &self.why.why {
            Unwritten::System(e) => e.raw_os_error().map_or_else(|| e.to_string(), errno_text),
            other => other.to_string(),
        };
        match &self.at {
            Listen::Tcp(address) => write!(f, "can't listen for metrics at {address}: {reason}"),
            Listen::Unix(path) => write!(f, "can't listen for metrics at `{}': {reason}", path.display()),
        }
    }
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Listener::Tcp(l) => l.as_raw_fd(),
            Listener::Unix(l) => l.as_raw_fd(),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(s) => s.as_raw_fd(),
            Stream::Unix(s) => s.as_raw_fd(),
        }
    }
}

impl Listener {
    fn bind(at: &Listen) -> Result<Listener, WriteError> {
        let failed = |e, path: &std::path::Path| WriteError { path: path.into(), why: Unwritten::System(e) };
        match at {
            Listen::Tcp(address) => {
                let bound = TcpListener::bind(address).and_then(|l| l.set_nonblocking(true).map(|()| l));
                bound.map(Listener::Tcp).map_err(|e| failed(e, std::path::Path::new("")))
            }
            Listen::Unix(path) => {
                write_file::remove_socket(path)?;
                let bound = UnixListener::bind(path).and_then(|l| l.set_nonblocking(true).map(|()| l));
                bound.map(Listener::Unix).map_err(|e| failed(e, path))
            }
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        let stream = match self {
            Listener::Tcp(l) => l.accept().map(|(s, _)| Stream::Tcp(s)),
            Listener::Unix(l) => l.accept().map(|(s, _)| Stream::Unix(s)),
        }?;
        match &stream {
            Stream::Tcp(s) => s.set_nonblocking(true)?,
            Stream::Unix(s) => s.set_nonblocking(true)?,
        }
        Ok(stream)
    }
}

impl Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.read(into),
            Stream::Unix(s) => s.read(into),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(s) => s.write(bytes),
            Stream::Unix(s) => s.write(bytes),
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    since: Millis,
    request: Vec<u8>,
    asked: Option<HttpAsked>,
    /// The response, and how much of it has been written.
    out: Vec<u8>,
    sent: usize,
}

/// The listening socket, if there is one, and the connections.
#[derive(Debug)]
pub struct MetricsServer {
    listener: Option<(Listener, Listen)>,
    connections: Vec<Option<Connection>>,
    first_token: usize,
    accept_again: Option<Millis>,
}

impl MetricsServer {
    /// How many tokens the server uses, from the first one on.
    pub const TOKENS: usize = CONNECTIONS_MAX + 1;

    /// A server that listens nowhere, and has no connections to look after.
    pub fn new(first_token: usize) -> MetricsServer {
        MetricsServer { listener: None, connections: Vec::new(), first_token, accept_again: None }
    }

    /// Listens there from now on, or nowhere. If that fails, it listens where it did before. Existing
    /// connections go on in any case.
    ///
    /// # Errors
    /// Whatever was in the way.
    pub fn listen(&mut self, at: Option<&Listen>, reactor: &mut Reactor) -> Result<(), ListenError> {
        if self.listener.as_ref().map(|(_, at)| at) == at {
            return Ok(());
        }
        let new = match at {
            None => None,
            Some(at) => {
                let error = |why| ListenError { at: at.clone(), why };
                let listener = Listener::bind(at).map_err(error)?;
                let watched = reactor.watch(&listener, Token(self.first_token));
                watched.map_err(|e| {
                    let why = Unwritten::System(io::Error::other(e.to_string()));
                    error(WriteError { path: Default::default(), why })
                })?;
                Some((listener, at.clone()))
            }
        };
        self.close(reactor);
        if new.is_some() && self.connections.is_empty() {
            self.connections.resize_with(CONNECTIONS_MAX, || None);
        }
        self.listener = new;
        Ok(())
    }

    fn close(&mut self, reactor: &mut Reactor) {
        if let Some((listener, at)) = self.listener.take() {
            // Closing it does the same, and it is closed right after.
            _ = reactor.forget(&listener, Token(self.first_token));
            remove(&at);
        }
    }

    /// Takes the socket's file away, at the end of the daemon.
    pub fn remove(&self) {
        if let Some((_, at)) = &self.listener {
            remove(at);
        }
    }

    /// One of its tokens is ready: accepts connections, or reads what one has sent.
    pub fn ready(&mut self, token: usize, now: Millis, reactor: &mut Reactor) -> Turn {
        match token.checked_sub(self.first_token + 1) {
            None => self.accept(now, reactor),
            Some(slot) => {
                self.read(slot);
                Turn::Drained
            }
        }
    }

    fn accept(&mut self, now: Millis, reactor: &mut Reactor) -> Turn {
        self.accept_again = None;
        let Some((listener, _)) = &self.listener else { return Turn::Drained };
        for _ in 0..ACCEPT_A_TURN {
            match listener.accept() {
                Ok(stream) => {
                    let Some(slot) = free(&self.connections) else { continue };
                    let token = Token(self.first_token + 1 + slot);
                    if reactor.watch_both(&stream, token).is_ok() {
                        let (request, out) = (Vec::new(), Vec::new());
                        let new = Connection { stream, since: now, request, asked: None, out, sent: 0 };
                        if let Some(c) = self.connections.get_mut(slot) {
                            // Dropping the old one takes it out of the poll.
                            *c = Some(new);
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Turn::Drained,
                // The other end has gone away already.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    // Descriptors are short, and nothing tells when they no longer are.
                    self.accept_again = Some(now + ACCEPT_AGAIN_MS);
                    return Turn::Drained;
                }
            }
        }
        Turn::More
    }

    fn read(&mut self, slot: usize) {
        let Some(entry) = self.connections.get_mut(slot) else { return };
        let Some(c) = entry else { return };
        let mut bytes = [0; REQUEST_MAX];
        // What follows a request is not read: the response is on its way, and after it the end.
        while c.asked.is_none() {
            let room = bytes.get_mut(c.request.len()..).unwrap_or_default();
            match c.stream.read(room) {
                Ok(n) if n > 0 => {
                    c.request.extend_from_slice(room.get(..n).unwrap_or_default());
                    c.asked = http::read(&c.request);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The other end has said less than a request, and is gone.
                Ok(_) | Err(_) => {
                    *entry = None;
                    return;
                }
            }
        }
    }

    /// True when somebody waits for the metrics.
    pub fn is_asked(&self) -> bool {
        let asked = |c: &Connection| c.out.is_empty() && matches!(c.asked, Some(HttpAsked::Metrics { .. }));
        self.connections.iter().flatten().any(asked)
    }

    /// Writes what is due, and ends the connections whose time is over. `metrics` is the text, if
    /// [`MetricsServer::is_asked`] said so.
    pub fn settle(&mut self, metrics: &[u8], now: Millis, reactor: &mut Reactor) {
        if self.accept_again.is_some_and(|at| at <= now) {
            // The rest of what waits comes with the next turns.
            if self.accept(now, reactor) == Turn::More {
                self.accept_again = Some(now);
            }
        }
        for entry in &mut self.connections {
            let Some(c) = entry else { continue };
            if let (Some(asked), true) = (c.asked, c.out.is_empty()) {
                c.out = http::response(asked, || metrics.to_vec());
            }
            if c.write() || now.saturating_sub(c.since) >= DEADLINE_MS {
                *entry = None;
            }
        }
    }

    /// When a connection's time is over, or the next one can be accepted.
    pub fn deadline(&self) -> Option<Millis> {
        let over = self.connections.iter().flatten().map(|c| c.since + DEADLINE_MS).min();
        [over, self.accept_again].into_iter().flatten().min()
    }
}

impl Connection {
    /// Writes as much as is taken; true when the connection has done its work, or is gone.
    fn write(&mut self) -> bool {
        while let Some(rest) = self.out.get(self.sent..).filter(|r| !r.is_empty()) {
            match self.stream.write(rest) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        !self.out.is_empty()
    }
}

/// A slot without a connection, or that of the oldest.
fn free(connections: &[Option<Connection>]) -> Option<usize> {
    let age = |(slot, c): (usize, &Option<Connection>)| (c.as_ref().map(|c| c.since), slot);
    connections.iter().enumerate().map(age).min().map(|(_, slot)| slot)
}

fn remove(at: &Listen) {
    if let Listen::Unix(path) = at {
        // It may be gone already, and whatever has taken its place is not ours.
        _ = write_file::remove_socket(path);
    }
}
