//! The dedicated links: sockets below the protocol machine (spec/sync-protocol.md §§1, 7).
//!
//! All links receive all the time; the machine says by which one it sends. Which link is usable is decided by
//! the state of its interface, as the kernel reports it.

mod multicast;
mod tcp;
mod udp;

use crate::peer::{self, Millis};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tcp::TcpLink;
use udp::UdpLink;
use zct_engine::inet::Tuning;
use zct_engine::route::Change;
use zct_engine::{Error, Interfaces, Reactor, Token, Turn};
use zct_wire::link::Interface;
use zct_wire::peer::{TCP4_OVERHEAD, UDP4_OVERHEAD, UDP6_OVERHEAD};

/// Tokens that one link uses: its socket or listener, and two TCP connections.
const TOKENS: usize = 4;

/// What a link runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// UDP to one address.
    Udp {
        /// Our address and port.
        local: SocketAddr,
        /// The peer's.
        peer: SocketAddr,
    },
    /// UDP to a group. The scope of an IPv6 group is filled in from the interface.
    Multicast {
        /// Group and port.
        group: SocketAddr,
        /// `IPv4_interface`.
        local: Option<Ipv4Addr>,
    },
    /// TCP, one connection each way.
    Tcp {
        /// Where we listen.
        local: SocketAddr,
        /// Where the peer listens.
        peer: SocketAddr,
    },
}

impl LinkKind {
    /// The port it is bound to.
    pub fn port(&self) -> u16 {
        match self {
            LinkKind::Udp { local: addr, .. }
            | LinkKind::Multicast { group: addr, .. }
            | LinkKind::Tcp { local: addr, .. } => addr.port(),
        }
    }
}

/// One dedicated link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Kind and addresses.
    pub kind: LinkKind,
    /// `Interface`: MTU and state are taken from it.
    pub interface: String,
    /// `SndSocketBuffer`.
    pub send_buffer: Option<usize>,
    /// `RcvSocketBuffer`.
    pub receive_buffer: Option<usize>,
    /// `Checksum`.
    pub checksum: bool,
}

/// Bytes and datagrams, or TCP buffers, of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that could not be sent.
    pub send_errors: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams refused, because they were not the peer's, and connections lost.
    pub receive_errors: u64,
}

/// What has happened on a link, for the log and for the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Something came from an address that is not the peer's. Told once in a while.
    Stranger(IpAddr),
    /// The TCP connection that we send by is there; `again` when there was one before.
    Connected {
        /// What was under way on the one before is lost.
        again: bool,
    },
    /// It is gone.
    Disconnected,
    /// The peer has connected to us.
    Accepted,
    /// What came in by TCP was no message; the connection was closed.
    Unframed,
    /// A datagram could not be sent: errno. Told once in a while.
    SendFailed(i32),
}

/// Where an interface stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    index: u32,
    mtu: usize,
    up: bool,
    running: bool,
}

/// The sockets of one link.
#[derive(Debug)]
enum Io {
    Udp(UdpLink),
    Tcp(TcpLink),
}

/// One link.
#[derive(Debug)]
pub struct LinkIo {
    settings: LinkSettings,
    state: State,
    io: Io,
    traffic: Traffic,
    happened: Vec<Happening>,
    // The last errno that was told, so that a broken network does not fill the log.
    told: Option<i32>,
    error_queue: usize,
}

/// All links and the watch over their interfaces.
#[derive(Debug)]
pub struct Links {
    /// In the order of the configuration.
    pub all: Vec<LinkIo>,
    watch: Interfaces,
    first_token: usize,
}

/// A link has changed in a way that the machine has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// Which link.
    pub link: usize,
    /// What it is now.
    pub now: peer::Link,
}

fn tuning(settings: &LinkSettings) -> Tuning {
    Tuning {
        send_buffer: settings.send_buffer,
        receive_buffer: settings.receive_buffer,
        no_checksum: !settings.checksum,
    }
}

/// Gives an address that means nothing without an interface the one of the link.
fn scoped(addr: SocketAddr, index: u32) -> SocketAddr {
    match addr {
        SocketAddr::V6(mut a) if a.ip().is_unicast_link_local() || a.ip().is_multicast() => {
            a.set_scope_id(index);
            a.into()
        }
        other => other,
    }
}

/// Bytes of headers before the payload.
fn overhead(kind: &LinkKind) -> usize {
    match kind {
        LinkKind::Udp { local: addr, .. } | LinkKind::Multicast { group: addr, .. } => {
            if addr.is_ipv4() {
                UDP4_OVERHEAD
            } else {
                UDP6_OVERHEAD
            }
        }
        // A stream has no datagrams to fragment: one number for both families, as in the original.
        LinkKind::Tcp { .. } => TCP4_OVERHEAD,
    }
}

fn open_io(settings: &LinkSettings, state: State, error_queue: usize) -> Result<Io, Error> {
    let room = state.mtu.max(1);
    Ok(match settings.kind {
        LinkKind::Udp { local, peer } => {
            let (local, peer) = (scoped(local, state.index), scoped(peer, state.index));
            Io::Udp(UdpLink::unicast(&local, peer, &tuning(settings), room)?)
        }
        LinkKind::Multicast { group, local } => {
            let group = scoped(group, state.index);
            let fd = multicast::open(&group, local, state.index, &tuning(settings))?;
            Io::Udp(UdpLink::group(fd, group, room))
        }
        LinkKind::Tcp { local, peer } => {
            let (local, peer) = (scoped(local, state.index), scoped(peer, state.index));
            Io::Tcp(TcpLink::open(local, peer, tuning(settings), error_queue)?)
        }
    })
}

impl LinkIo {
    /// The interface it runs over.
    pub fn interface(&self) -> &str {
        &self.settings.interface
    }

    /// `UDP`, `multicast` or `TCP`, as statistics call it.
    pub fn kind_name(&self) -> &'static str {
        match self.settings.kind {
            LinkKind::Udp { .. } => "UDP",
            LinkKind::Multicast { .. } => "multicast",
            LinkKind::Tcp { .. } => "TCP",
        }
    }

    /// What it has carried.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// `RUNNING`, `NO-CARRIER` or `DOWN`.
    pub fn status(&self) -> &'static str {
        match self.state {
            State { up: false, .. } => "DOWN",
            State { running: false, .. } => "NO-CARRIER",
            _ => "RUNNING",
        }
    }

    /// TCP: whether the peer has connected to us, and whether we are connected to it.
    pub fn connections(&self) -> Option<(bool, bool)> {
        match &self.io {
            Io::Udp(_) => None,
            Io::Tcp(t) => Some((t.is_accepted(), t.is_connected())),
        }
    }

    /// Buffers that wait for a TCP peer, and how many were dropped because too many did.
    pub fn error_queue(&self) -> (usize, u64) {
        match &self.io {
            Io::Udp(_) => (0, 0),
            Io::Tcp(t) => (t.waiting(), t.dropped()),
        }
    }

    /// What the machine has to know of it.
    pub fn link(&self) -> peer::Link {
        let payload_max = self.state.mtu.saturating_sub(overhead(&self.settings.kind));
        peer::Link { payload_max, up: self.state.up && self.state.running }
    }

    /// Room for the next datagram; `None` while the network takes no more.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        match &mut self.io {
            Io::Udp(u) => u.slot(),
            Io::Tcp(t) => t.slot(),
        }
    }

    /// The slot holds a datagram of this length.
    pub fn filled(&mut self, len: usize) {
        match &mut self.io {
            Io::Udp(u) => u.filled(len),
            Io::Tcp(t) => t.filled(len),
        }
    }

    /// Sends what the slots hold, as far as the network takes it.
    pub fn flush(&mut self) {
        let (traffic, happened) = (&mut self.traffic, &mut self.happened);
        match &mut self.io {
            Io::Udp(u) => {
                if let Some(errno) = u.flush(traffic).filter(|e| self.told != Some(*e)) {
                    self.told = Some(errno);
                    happened.push(Happening::SendFailed(errno));
                }
            }
            Io::Tcp(t) => t.flush(traffic, happened),
        }
    }

    /// When it has to be looked at again if nothing happens.
    pub fn deadline(&self) -> Option<Millis> {
        match &self.io {
            Io::Udp(u) => u.deadline(),
            Io::Tcp(t) => t.deadline(),
        }
    }

    fn watch(&mut self, first: usize, reactor: &mut Reactor) -> Result<(), Error> {
        match &mut self.io {
            Io::Udp(u) => reactor.watch(u, Token(first)),
            Io::Tcp(t) => t.watch(first, reactor),
        }
    }
}

impl Links {
    /// Finds the interfaces and opens the sockets. `first_token` and the next [`Links::tokens`] are theirs.
    ///
    /// # Errors
    /// ENODEV when an interface does not exist, or what a socket says.
    pub fn open(settings: &[LinkSettings], error_queue: usize, first_token: usize) -> Result<Links, Error> {
        let mut watch = Interfaces::open()?;
        let mut states = vec![None; settings.len()];
        watch.list(&mut |change| {
            if let Change::Is(i) = change {
                for (s, state) in settings.iter().zip(&mut states) {
                    if s.interface.as_bytes() == i.name {
                        *state = Some(state_of(&i));
                    }
                }
            }
        })?;
        let mut all = Vec::new();
        for (s, state) in settings.iter().zip(states) {
            let state = state.ok_or_else(|| {
                Error::sys("interface", std::io::Error::from_raw_os_error(zct_engine::inet::ENODEV))
            })?;
            let io = open_io(s, state, error_queue)?;
            all.push(LinkIo {
                settings: s.clone(),
                state,
                io,
                traffic: Traffic::default(),
                happened: Vec::new(),
                told: None,
                error_queue,
            });
        }
        Ok(Links { all, watch, first_token })
    }

    /// How many tokens it uses.
    pub fn tokens(&self) -> usize {
        1 + self.all.len() * TOKENS
    }

    /// Datagrams received by all of them.
    pub fn received(&self) -> u64 {
        self.all.iter().map(|l| l.traffic().received).sum()
    }

    fn link_token(&self, link: usize) -> usize {
        self.first_token + 1 + link * TOKENS
    }

    /// Registers everything.
    pub fn watch(&mut self, reactor: &mut Reactor) -> Result<(), Error> {
        reactor.watch(&self.watch, Token(self.first_token))?;
        for at in 0..self.all.len() {
            let token = self.link_token(at);
            if let Some(l) = self.all.get_mut(at) {
                l.watch(token, reactor)?;
            }
        }
        Ok(())
    }

    /// What is told of interfaces: the changes of links.
    pub fn interfaces_ready(
        &mut self,
        reactor: &mut Reactor,
        changed: &mut Vec<LinkChange>,
    ) -> Result<Turn, Error> {
        let Links { all, watch, first_token } = self;
        let mut reopened = Vec::new();
        let turn = watch.drain(&mut |change| {
            let (interface, gone) = match change {
                Change::Is(i) => (i, false),
                Change::Gone(i) => (i, true),
                Change::Lost => return,
            };
            for (at, l) in all.iter_mut().enumerate() {
                if l.settings.interface.as_bytes() != interface.name {
                    continue;
                }
                let new =
                    if gone { State { up: false, running: false, ..l.state } } else { state_of(&interface) };
                if new == l.state {
                    continue;
                }
                if new.index != l.state.index || new.mtu > l.state.mtu {
                    reopened.push(at);
                }
                l.state = new;
                changed.push(LinkChange { link: at, now: l.link() });
            }
        })?;
        // An interface made anew has another index, and a larger one takes larger datagrams.
        for at in reopened {
            let Some(l) = all.get_mut(at) else { continue };
            if matches!(l.io, Io::Tcp(_)) {
                continue;
            }
            if let Ok(io) = open_io(&l.settings, l.state, l.error_queue) {
                if let Io::Udp(old) = &l.io {
                    _ = reactor.forget(old, Token(*first_token + 1 + at * TOKENS));
                }
                l.io = io;
                l.watch(*first_token + 1 + at * TOKENS, reactor)?;
            }
        }
        Ok(turn)
    }

    /// A token of one of the links is ready: hands over what has come, at most about `budget` datagrams, with
    /// the number of its link.
    pub fn ready(
        &mut self,
        token: usize,
        now: Millis,
        budget: usize,
        reactor: &mut Reactor,
        take: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<Turn, Error> {
        let at = token.saturating_sub(self.first_token + 1) / TOKENS;
        let first = self.link_token(at);
        let Some(l) = self.all.get_mut(at) else { return Ok(Turn::Drained) };
        let (traffic, happened) = (&mut l.traffic, &mut l.happened);
        match &mut l.io {
            Io::Udp(u) => u.receive(budget, traffic, happened, &mut |bytes| take(at, bytes)),
            Io::Tcp(t) => {
                let mut to = tcp::Around { traffic, happened, reactor, first_token: first, now };
                t.ready(token - first, budget, &mut to, &mut |bytes| take(at, bytes))
            }
        }
    }

    /// Timers of the links: connections that are to be tried again, datagrams that are to be sent again.
    pub fn settle(&mut self, now: Millis, reactor: &mut Reactor) -> Result<(), Error> {
        for at in 0..self.all.len() {
            let first_token = self.link_token(at);
            let Some(l) = self.all.get_mut(at) else { continue };
            let (traffic, happened) = (&mut l.traffic, &mut l.happened);
            match &mut l.io {
                Io::Udp(u) => u.now = now,
                Io::Tcp(t) => t.settle(&mut tcp::Around { traffic, happened, reactor, first_token, now })?,
            }
            if l.deadline().is_some_and(|d| d <= now) {
                l.flush();
            }
        }
        Ok(())
    }

    /// The earliest deadline of all links.
    pub fn deadline(&self) -> Option<Millis> {
        self.all.iter().filter_map(LinkIo::deadline).min()
    }

    /// Takes out what has happened since the last time, with the numbers of the links.
    pub fn happened(&mut self) -> Vec<(usize, Happening)> {
        let mut out = Vec::new();
        for (at, l) in self.all.iter_mut().enumerate() {
            out.extend(l.happened.drain(..).map(|h| (at, h)));
        }
        out
    }
}

fn state_of(i: &Interface<'_>) -> State {
    State {
        index: i.index,
        mtu: i.mtu.map_or(1500, |m| m as usize),
        up: i.flags & zct_wire::link::IFF_UP != 0,
        running: i.is_running(),
    }
}
