//! A link over TCP: one connection to the peer, on which we send, and one from it, on which we receive
//! (sync-protocol.md §1.1).
//!
//! While there is no connection, the newest datagrams are kept, up to ErrorQueueLength; they go first once
//! there is one again. A datagram of which only a part was sent is sent again as a whole on the next
//! connection: the original loses the rest of it, and with it the framing of everything that follows.

use crate::links::quota::Quota;
use crate::links::traffic::{LinkHappening, Traffic};
use crate::peer::{Millis, Reassembler};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use zct_engine::inet::{self, Tuning};
use zct_engine::{Error, Reactor, Token, Turn};

/// The time between two attempts to connect.
const RETRY_MS: Millis = 1000;
/// A connection attempt that has not succeeded after this time is given up and repeated.
const CONNECT_MS: Millis = 5000;
/// The limit on bytes that wait for a connected peer; beyond it no datagrams are made: changes had better
/// wait in the machine, where several of one flow become one.
const WAITING_MAX: usize = 256 << 10;
/// Connections accepted in one turn.
const ACCEPTS_A_TURN: usize = 16;
/// Buffers handed to the kernel in one call.
const VECTORS: usize = 16;
/// Room for one datagram, with the largest message and the largest MTU there can be.
const ROOM: usize = 65_536;

/// The tokens of a TCP link, counted from its first.
mod role {
    pub(super) const LISTENER: usize = 0;
    pub(super) const CLIENT: usize = 1;
    pub(super) const SERVER: usize = 2;
}

/// What a link needs from outside during a call.
pub(crate) struct Around<'a> {
    pub(crate) traffic: &'a mut Traffic,
    pub(crate) happened: &'a mut Vec<LinkHappening>,
    pub(crate) reactor: &'a mut Reactor,
    pub(crate) first_token: usize,
    pub(crate) now: Millis,
}

#[derive(Debug)]
enum ClientState {
    Down,
    Connecting(TcpStream, Millis),
    Up(TcpStream),
}

/// Both connections, and what waits to be sent.
#[derive(Debug)]
pub(crate) struct TcpLink {
    peer: SocketAddr,
    tuning: Tuning,
    /// `None` when the listener of another link has its address, and hands over what is for this one.
    listener: Option<TcpListener>,
    /// Connections that were accepted from others than the peer, for links that share the listener.
    others: Vec<(TcpStream, SocketAddr)>,
    /// Whether other links share the listener.
    shared: bool,
    client: ClientState,
    server: Option<(TcpStream, Reassembler)>,
    queue: StreamQueue,
    scratch: Vec<u8>,
    retry_at: Millis,
    was_up: bool,
    quota: Quota,
    // When to accept what could not be accepted; the poll will not name it again.
    accept_at: Option<Millis>,
}

/// The datagrams that wait, oldest first, and how much of the first one has been sent.
#[derive(Debug)]
struct StreamQueue {
    buffers: VecDeque<Vec<u8>>,
    // Empty buffers, to be used again.
    spare: Vec<Vec<u8>>,
    head_sent: usize,
    bytes: usize,
    limit: usize,
    dropped: u64,
}

impl StreamQueue {
    fn new(limit: usize) -> StreamQueue {
        StreamQueue { buffers: VecDeque::new(), spare: Vec::new(), head_sent: 0, bytes: 0, limit, dropped: 0 }
    }

    fn push(&mut self, datagram: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(datagram);
        self.bytes += buffer.len();
        self.buffers.push_back(buffer);
    }

    fn pop(&mut self) {
        if let Some(buffer) = self.buffers.pop_front() {
            self.bytes -= buffer.len();
            self.head_sent = 0;
            if self.spare.len() < 2 * VECTORS {
                self.spare.push(buffer);
            }
        }
    }

    /// Drops the oldest datagrams beyond the number that is kept without a connection.
    fn trim(&mut self) {
        while self.buffers.len() > self.limit {
            self.pop();
            self.dropped += 1;
        }
    }

    /// The connection accepted `n` bytes; returns how many buffers that completed.
    fn took(&mut self, mut n: usize) -> u64 {
        let mut whole = 0;
        while let Some(left) = self.buffers.front().map(|b| b.len() - self.head_sent) {
            if n < left {
                self.head_sent += n;
                break;
            }
            n -= left;
            whole += 1;
            self.pop();
        }
        whole
    }

    /// The first buffers, in the form that one write takes.
    fn slices(&self) -> ([IoSlice<'_>; VECTORS], usize) {
        let mut out = [IoSlice::new(&[]); VECTORS];
        let mut count = 0;
        for (slot, buffer) in out.iter_mut().zip(&self.buffers) {
            let from = if count == 0 { self.head_sent } else { 0 };
            *slot = IoSlice::new(buffer.get(from..).unwrap_or_default());
            count += 1;
        }
        (out, count)
    }
}

impl TcpLink {
    /// Listens at `local`, if another link does not do so for this one; connects to `peer` in the first
    /// [`TcpLink::settle`].
    pub(crate) fn open(
        local: Option<SocketAddr>,
        peer: SocketAddr,
        tuning: Tuning,
        (shared, error_queue): (bool, usize),
    ) -> Result<TcpLink, Error> {
        Ok(TcpLink {
            peer,
            tuning,
            listener: local.map(|local| inet::tcp_listen(&local, &tuning)).transpose()?,
            others: Vec::new(),
            shared,
            client: ClientState::Down,
            server: None,
            queue: StreamQueue::new(error_queue.max(1)),
            scratch: vec![0; ROOM],
            retry_at: 0,
            was_up: false,
            quota: Quota::default(),
            accept_at: None,
        })
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.client, ClientState::Up(_))
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.server.is_some()
    }

    /// Buffers that are waiting for a connection.
    pub(crate) fn waiting(&self) -> usize {
        if self.is_connected() { 0 } else { self.queue.buffers.len() }
    }

    /// Buffers dropped because too many waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.dropped
    }

    pub(crate) fn watch(&mut self, first_token: usize, reactor: &mut Reactor) -> Result<(), Error> {
        match &self.listener {
            Some(listener) => reactor.watch(listener, Token(first_token + role::LISTENER)),
            None => Ok(()),
        }
    }

    pub(crate) fn slot(&mut self) -> Option<&mut [u8]> {
        let full = self.is_connected() && self.queue.bytes >= WAITING_MAX;
        (!full).then_some(&mut self.scratch[..])
    }

    pub(crate) fn filled(&mut self, len: usize) {
        self.queue.push(self.scratch.get(..len).unwrap_or_default());
        if !self.is_connected() {
            self.queue.trim();
        }
    }

    /// Writes what waits until the connection accepts no more.
    pub(crate) fn flush(&mut self, traffic: &mut Traffic, happened: &mut Vec<LinkHappening>) {
        let ClientState::Up(stream) = &mut self.client else { return };
        while !self.queue.buffers.is_empty() {
            let (slices, count) = self.queue.slices();
            match stream.write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(0) => break,
                Ok(n) => {
                    traffic.sent_bytes += n as u64;
                    traffic.sent += self.queue.took(n);
                }
                // Becoming writable will wake us.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    traffic.send_errors += 1;
                    return self.disconnected(happened);
                }
            }
        }
    }

    fn disconnected(&mut self, happened: &mut Vec<LinkHappening>) {
        if matches!(self.client, ClientState::Up(_)) {
            happened.push(LinkHappening::Disconnected);
        }
        // Dropping the stream removes it from the poll.
        self.client = ClientState::Down;
        self.queue.head_sent = 0;
        self.queue.trim();
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        let client = match &self.client {
            ClientState::Down => Some(self.retry_at),
            ClientState::Connecting(_, since) => Some(since + CONNECT_MS),
            ClientState::Up(_) => None,
        };
        [client, self.accept_at].into_iter().flatten().min()
    }

    /// Connects if it is time to.
    pub(crate) fn settle(&mut self, around: &mut Around<'_>) -> Result<(), Error> {
        around.happened.extend(self.quota.withheld(around.now).map(LinkHappening::Withheld));
        if self.accept_at.is_some_and(|at| at <= around.now) && self.accept(around)? == Turn::More {
            self.accept_at = Some(around.now);
        }
        if matches!(self.client, ClientState::Connecting(_, since) if since + CONNECT_MS <= around.now) {
            self.client = ClientState::Down;
        }
        if !matches!(self.client, ClientState::Down) || around.now < self.retry_at {
            return Ok(());
        }
        self.retry_at = around.now + RETRY_MS;
        // A peer that is absent is nothing to report: the attempt is repeated every second.
        if let Ok(stream) = inet::tcp_connect(&self.peer, &self.tuning) {
            let token = Token(around.first_token + role::CLIENT);
            around.reactor.watch_both(&stream, token)?;
            self.client = ClientState::Connecting(stream, around.now);
        }
        Ok(())
    }

    pub(crate) fn ready(
        &mut self,
        which: usize,
        budget: usize,
        around: &mut Around<'_>,
        take: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Turn, Error> {
        match which {
            role::LISTENER => self.accept(around),
            role::CLIENT => {
                self.client_ready(around);
                Ok(Turn::Drained)
            }
            role::SERVER => Ok(self.receive(budget, around, take)),
            _ => Ok(Turn::Drained),
        }
    }

    fn accept(&mut self, around: &mut Around<'_>) -> Result<Turn, Error> {
        self.accept_at = None;
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = &self.listener else { return Ok(Turn::Drained) };
            match listener.accept() {
                Ok((stream, from)) if from.ip() != self.peer.ip() && self.shared => {
                    self.others.push((stream, from));
                }
                Ok((_, from)) if from.ip() != self.peer.ip() => self.stranger(from, around),
                Ok((stream, _)) => self.adopt(stream, around)?,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
                // The caller gave up before its turn came.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                // Descriptors or memory are short.
                Err(_) => {
                    self.accept_at = Some(around.now + RETRY_MS);
                    return Ok(Turn::Drained);
                }
            }
        }
        Ok(Turn::More)
    }

    /// The peer has connected.
    pub(crate) fn adopt(&mut self, stream: TcpStream, around: &mut Around<'_>) -> Result<(), Error> {
        stream.set_nonblocking(true).map_err(|e| Error::sys("fcntl", e))?;
        inet::keep_alive(stream.as_fd())?;
        around.reactor.watch(&stream, Token(around.first_token + role::SERVER))?;
        // The newest connection counts: the peer has given up the one before.
        self.server = Some((stream, Reassembler::default()));
        self.report(around, LinkHappening::Accepted);
        Ok(())
    }

    /// Somebody has connected who is no peer.
    pub(crate) fn stranger(&mut self, from: SocketAddr, around: &mut Around<'_>) {
        around.traffic.receive_errors += 1;
        self.report(around, LinkHappening::Stranger(from.ip()));
    }

    /// Whether this is where its peer connects from.
    pub(crate) fn is_peer(&self, from: SocketAddr) -> bool {
        from.ip() == self.peer.ip()
    }

    /// Takes out what was accepted for other links.
    pub(crate) fn take_others(&mut self) -> Vec<(TcpStream, SocketAddr)> {
        std::mem::take(&mut self.others)
    }

    /// Reports what others can cause as often as they like.
    fn report(&mut self, around: &mut Around<'_>, what: LinkHappening) {
        if self.quota.allows(around.now) {
            around.happened.push(what);
        }
    }

    fn client_ready(&mut self, around: &mut Around<'_>) {
        if let ClientState::Connecting(stream, _) = &self.client {
            match (stream.take_error(), stream.peer_addr()) {
                (Ok(None), Ok(_)) => {
                    let ClientState::Connecting(stream, _) =
                        std::mem::replace(&mut self.client, ClientState::Down)
                    else {
                        return;
                    };
                    self.client = ClientState::Up(stream);
                    around.happened.push(LinkHappening::Connected { again: self.was_up });
                    self.was_up = true;
                }
                (Ok(None), Err(_)) => return, // not yet
                _ => return self.disconnected(around.happened),
            }
        }
        // The peer sends nothing on this connection, so anything to be read is its end.
        if let ClientState::Up(stream) = &mut self.client {
            let mut sink = [0; 4096];
            loop {
                match stream.read(&mut sink) {
                    Ok(0) => return self.disconnected(around.happened),
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return self.disconnected(around.happened),
                }
            }
        }
        self.flush(around.traffic, around.happened);
    }

    fn receive(&mut self, budget: usize, around: &mut Around<'_>, take: &mut dyn FnMut(&mut [u8])) -> Turn {
        for _ in 0..budget.max(1) {
            let Some((stream, reassembler)) = &mut self.server else { return Turn::Drained };
            match stream.read(reassembler.room()) {
                Ok(0) => self.server = None,
                Ok(n) => {
                    around.traffic.received += 1;
                    around.traffic.received_bytes += n as u64;
                    match reassembler.filled(n) {
                        Ok([]) => {}
                        Ok(messages) => take(messages),
                        Err(_) => {
                            around.traffic.receive_errors += 1;
                            self.server = None;
                            self.report(around, LinkHappening::Unframed);
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Turn::Drained,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    around.traffic.receive_errors += 1;
                    self.server = None;
                }
            }
        }
        Turn::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gives_back_what_a_connection_took_in_part() {
        let mut q = StreamQueue::new(3);
        for n in 1..=3u8 {
            q.push(&[n; 10]);
        }
        assert_eq!((q.took(15), q.head_sent, q.bytes), (1, 5, 20));
        let (slices, count) = q.slices();
        assert_eq!((count, &*slices[0], &*slices[1]), (2, &[2; 5][..], &[3; 10][..]));
        // The connection broke: a datagram that was partly sent is sent again from its start.
        q.head_sent = 0;
        for n in 4..=5u8 {
            q.push(&[n; 10]);
        }
        q.trim();
        assert_eq!((q.dropped, q.buffers.len(), q.buffers.front().map(|b| b[0])), (1, 3, Some(3)));
        assert_eq!((q.took(30), q.bytes), (3, 0));
    }
}
