//! A single dedicated link: its settings, its interface and its sockets, UDP or TCP.

use crate::links::multicast;
use crate::links::settings::{LinkKind, LinkSettings};
use crate::links::tcp::{self, TcpLink};
use crate::links::traffic::{LinkHappening, Traffic};
use crate::links::udp::UdpLink;
use crate::links::watch::InterfaceState;
use crate::peer::{self, Millis};
use std::net::{SocketAddr, TcpStream};
use zct_engine::inet::Tuning;
use zct_engine::{Error, Reactor, Token, Turn};
use zct_wire::peer::{TCP4_OVERHEAD, UDP4_OVERHEAD, UDP6_OVERHEAD};

/// The sockets of one link.
#[derive(Debug)]
enum Io {
    Udp(UdpLink),
    Tcp(TcpLink),
}

/// A dedicated link at work.
#[derive(Debug)]
pub struct LinkIo {
    settings: LinkSettings,
    state: InterfaceState,
    io: Io,
    traffic: Traffic,
    happened: Vec<LinkHappening>,
    // The errno reported last, so that a broken network does not fill the log.
    told: Option<i32>,
    error_queue: usize,
    // When to try again to open a socket for the interface as it is now.
    reopen_at: Option<Millis>,
}

/// The time between two such attempts.
const REOPEN_MS: Millis = 1000;

/// What a change of the interface means for its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InterfaceChange {
    /// It means nothing.
    None,
    /// The machine has to be told.
    State,
    /// The machine has to be told, and the socket has to be [reopened](LinkIo::reopen).
    Replaced,
}

/// The time, and the means that a link works with during a call.
#[derive(Debug)]
pub(super) struct LinkTurn<'a> {
    pub reactor: &'a mut Reactor,
    /// The first of the tokens that belong to the link.
    pub first_token: usize,
    pub now: Millis,
}

fn tuning(settings: &LinkSettings) -> Tuning {
    Tuning {
        send_buffer: settings.send_buffer,
        receive_buffer: settings.receive_buffer,
        no_checksum: !settings.checksum,
    }
}

/// Adds the link's interface to an address that means nothing without one.
fn scoped(addr: SocketAddr, index: u32) -> SocketAddr {
    match addr {
        SocketAddr::V6(mut a) if a.ip().is_unicast_link_local() || a.ip().is_multicast() => {
            a.set_scope_id(index);
            a.into()
        }
        other => other,
    }
}

/// Bytes of headers in front of the payload.
fn overhead(kind: &LinkKind) -> usize {
    match kind {
        LinkKind::Udp { local: addr, .. } | LinkKind::Multicast { group: addr, .. } => {
            if addr.is_ipv4() {
                UDP4_OVERHEAD
            } else {
                UDP6_OVERHEAD
            }
        }
        // A stream has no datagrams to fragment, so one number serves both families, as in the original.
        LinkKind::Tcp { .. } => TCP4_OVERHEAD,
    }
}

/// The sockets of a link, and whether they are as they should be: one that has to share its address, and
/// has no route to its peer yet, is opened again later.
fn open_io(
    settings: &LinkSettings,
    state: InterfaceState,
    (listens, error_queue): (bool, usize),
) -> Result<(Io, bool), Error> {
    let room = state.mtu.max(1);
    let io = match settings.kind {
        LinkKind::Udp { local, peer } => {
            let (local, peer) = (scoped(local, state.index), scoped(peer, state.index));
            if settings.shared {
                let (link, tied) = UdpLink::one_of_several(&local, peer, &tuning(settings), room)?;
                return Ok((Io::Udp(link), tied));
            }
            Io::Udp(UdpLink::unicast(&local, peer, &tuning(settings), room)?)
        }
        LinkKind::Multicast { group, local } => {
            let group = scoped(group, state.index);
            let fd = multicast::open(&group, local, state.index, &tuning(settings))?;
            Io::Udp(UdpLink::group(fd, group, room))
        }
        LinkKind::Tcp { local, peer } => {
            let (local, peer) = (scoped(local, state.index), scoped(peer, state.index));
            let local = listens.then_some(local);
            Io::Tcp(TcpLink::open(local, peer, tuning(settings), (settings.shared, error_queue))?)
        }
    };
    Ok((io, true))
}

impl LinkIo {
    /// Opens the sockets. `listens` is false when another link listens at the same address for this one.
    pub(super) fn open(
        settings: &LinkSettings,
        state: InterfaceState,
        listens: bool,
        error_queue: usize,
    ) -> Result<LinkIo, Error> {
        let (io, complete) = open_io(settings, state, (listens, error_queue))?;
        Ok(LinkIo {
            settings: settings.clone(),
            state,
            io,
            traffic: Traffic::default(),
            happened: Vec::new(),
            told: None,
            error_queue,
            reopen_at: (!complete).then_some(REOPEN_MS),
        })
    }

    /// Takes note of its interface's state; `None` when the interface is gone.
    pub(super) fn interface_is(&mut self, new: Option<InterfaceState>) -> InterfaceChange {
        let new = new.unwrap_or(self.state.gone());
        let old = std::mem::replace(&mut self.state, new);
        match new {
            same if same == old => InterfaceChange::None,
            // One that was created anew has another index, and one with a larger MTU takes larger datagrams.
            new if new.index != old.index || new.mtu > old.mtu => InterfaceChange::Replaced,
            _ => InterfaceChange::State,
        }
    }

    /// The socket may be bound to its interface's previous state: it is reopened in the next
    /// [`LinkIo::settle`], and until that succeeds, for want of an address or a descriptor, again and again.
    /// TCP connections cope by themselves.
    pub(super) fn reopen(&mut self) {
        self.reopen_at = Some(0).filter(|_| matches!(self.io, Io::Udp(_)));
    }

    fn try_reopen(&mut self, token: usize, now: Millis, reactor: &mut Reactor) -> Result<(), Error> {
        let Io::Udp(old) = &self.io else { return Ok(()) };
        let Ok((io, true)) = open_io(&self.settings, self.state, (true, self.error_queue)) else {
            self.reopen_at = Some(now + REOPEN_MS);
            return Ok(());
        };
        _ = reactor.forget(old, Token(token));
        self.io = io;
        self.reopen_at = None;
        self.watch(token, reactor)
    }

    /// One of its sockets is ready: hands over what has arrived, at most about `budget` datagrams.
    pub(super) fn ready(
        &mut self,
        at: LinkTurn<'_>,
        token: usize,
        budget: usize,
        take: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Turn, Error> {
        let LinkTurn { reactor, first_token, now } = at;
        let (traffic, happened) = (&mut self.traffic, &mut self.happened);
        match &mut self.io {
            Io::Udp(u) => u.receive(budget, traffic, happened, take),
            Io::Tcp(t) => {
                let mut to = tcp::Around { traffic, happened, reactor, first_token, now };
                t.ready(token - first_token, budget, &mut to, take)
            }
        }
    }

    /// Connections that its listener has accepted for other links.
    pub(super) fn take_others(&mut self) -> Vec<(TcpStream, SocketAddr)> {
        match &mut self.io {
            Io::Udp(_) => Vec::new(),
            Io::Tcp(t) => t.take_others(),
        }
    }

    /// True for a link that listens at the address of `other` and has a peer at `from`.
    pub(super) fn is_for(&self, other: LinkKind, from: SocketAddr) -> bool {
        let local = |kind: LinkKind| match kind {
            LinkKind::Tcp { local, .. } => Some(local),
            LinkKind::Udp { .. } | LinkKind::Multicast { .. } => None,
        };
        let is_peers = matches!(&self.io, Io::Tcp(t) if t.is_peer(from));
        is_peers && local(self.settings.kind) == local(other)
    }

    /// A connection that another link has accepted: from the peer of this one, or from nobody's.
    pub(super) fn handed(
        &mut self,
        at: LinkTurn<'_>,
        stream: TcpStream,
        from: SocketAddr,
    ) -> Result<(), Error> {
        let LinkTurn { reactor, first_token, now } = at;
        let (traffic, happened) = (&mut self.traffic, &mut self.happened);
        let Io::Tcp(t) = &mut self.io else { return Ok(()) };
        let mut around = tcp::Around { traffic, happened, reactor, first_token, now };
        match t.is_peer(from) {
            true => t.adopt(stream, &mut around),
            false => {
                t.stranger(from, &mut around);
                Ok(())
            }
        }
    }

    /// Does what its timers ask for.
    pub(super) fn settle(&mut self, at: LinkTurn<'_>) -> Result<(), Error> {
        let LinkTurn { reactor, first_token, now } = at;
        if self.reopen_at.is_some_and(|at| at <= now) {
            self.try_reopen(first_token, now, reactor)?;
        }
        let (traffic, happened) = (&mut self.traffic, &mut self.happened);
        match &mut self.io {
            Io::Udp(u) => u.now = now,
            Io::Tcp(t) => t.settle(&mut tcp::Around { traffic, happened, reactor, first_token, now })?,
        }
        if self.io_deadline().is_some_and(|d| d <= now) {
            self.flush();
        }
        Ok(())
    }

    /// Takes out what has happened since the last call.
    pub(super) fn happened(&mut self) -> std::vec::Drain<'_, LinkHappening> {
        self.happened.drain(..)
    }

    /// The name of its interface.
    pub fn interface(&self) -> &str {
        &self.settings.interface
    }

    /// What it runs over.
    pub fn kind(&self) -> LinkKind {
        self.settings.kind
    }

    /// The name of its kind in statistics: `UDP`, `multicast` or `TCP`.
    pub fn kind_name(&self) -> &'static str {
        match self.settings.kind {
            LinkKind::Udp { .. } => "UDP",
            LinkKind::Multicast { .. } => "multicast",
            LinkKind::Tcp { .. } => "TCP",
        }
    }

    /// How much it has carried.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Whether so many datagrams can wait to be read without one being lost.
    pub fn holds(&self, datagrams: usize) -> bool {
        match &self.io {
            Io::Udp(u) => u.receive_room(self.state.mtu) >= datagrams,
            // Its peer waits when the buffer is full.
            Io::Tcp(_) => true,
        }
    }

    /// The state of its interface: `RUNNING`, `NO-CARRIER` or `DOWN`.
    pub fn status(&self) -> &'static str {
        self.state.status()
    }

    /// For TCP: whether the peer has connected to us, and whether we are connected to it.
    pub fn connections(&self) -> Option<(bool, bool)> {
        match &self.io {
            Io::Udp(_) => None,
            Io::Tcp(t) => Some((t.is_accepted(), t.is_connected())),
        }
    }

    /// How many buffers wait for a TCP peer, and how many were dropped because too many waited.
    pub fn error_queue(&self) -> (usize, u64) {
        match &self.io {
            Io::Udp(_) => (0, 0),
            Io::Tcp(t) => (t.waiting(), t.dropped()),
        }
    }

    /// What the machine has to know about it.
    pub fn link(&self) -> peer::Link {
        let payload_max = self.state.mtu.saturating_sub(overhead(&self.settings.kind));
        peer::Link { payload_max, up: self.state.is_usable() }
    }

    /// Room for the next datagram; `None` while the network accepts no more.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        match &mut self.io {
            Io::Udp(u) => u.slot(),
            Io::Tcp(t) => t.slot(),
        }
    }

    /// Says that the slot now holds a datagram of this length.
    pub fn filled(&mut self, len: usize) {
        match &mut self.io {
            Io::Udp(u) => u.filled(len),
            Io::Tcp(t) => t.filled(len),
        }
    }

    /// Sends what the slots hold, as far as the network accepts it.
    pub fn flush(&mut self) {
        let (traffic, happened) = (&mut self.traffic, &mut self.happened);
        match &mut self.io {
            Io::Udp(u) => {
                if let Some(errno) = u.flush(traffic).filter(|e| self.told != Some(*e)) {
                    self.told = Some(errno);
                    happened.push(LinkHappening::SendFailed(errno));
                }
            }
            Io::Tcp(t) => t.flush(traffic, happened),
        }
    }

    /// When it has to be looked at again if nothing happens.
    pub fn deadline(&self) -> Option<Millis> {
        [self.io_deadline(), self.reopen_at].into_iter().flatten().min()
    }

    fn io_deadline(&self) -> Option<Millis> {
        match &self.io {
            Io::Udp(u) => u.deadline(),
            Io::Tcp(t) => t.deadline(),
        }
    }

    /// Registers its sockets, with tokens beginning at `first`.
    pub(super) fn watch(&mut self, first: usize, reactor: &mut Reactor) -> Result<(), Error> {
        match &mut self.io {
            Io::Udp(u) => reactor.watch(u, Token(first)),
            Io::Tcp(t) => t.watch(first, reactor),
        }
    }
}
