//! The dedicated links: sockets below the protocol machine (sync-protocol.md §1, §7).
//!
//! All links receive all the time; the machine says which one is used for sending. Whether a link is usable
//! depends on the state of its interface, as the kernel reports it.

mod link;
mod multicast;
mod quota;
mod settings;
mod tcp;
mod traffic;
mod udp;
mod watch;

pub use link::LinkIo;
pub use settings::{LinkKind, LinkSettings};
pub use traffic::{LinkHappening, Traffic};

use crate::peer::{self, Millis};
use link::{InterfaceChange, LinkTurn};
use std::fmt;
use watch::Watch;
use zct_engine::{Error, Reactor, Turn};

/// Tokens set aside for each link. TCP uses three of them: for the listener, for the connection that we send
/// on, and for the one that the peer sends on.
const TOKENS: usize = 4;

/// All links, and the watch over their interfaces.
#[derive(Debug)]
pub struct Links {
    /// The links, in the order of the configuration.
    pub all: Vec<LinkIo>,
    watch: Watch,
    first_token: usize,
}

/// Why the links cannot be opened.
#[derive(Debug)]
pub enum LinkError {
    /// Interfaces cannot be listed or watched.
    Watch(Error),
    /// There is no interface of this name.
    NoInterface(String),
    /// The socket of a link cannot be opened.
    Socket {
        /// The interface that the link runs over.
        interface: String,
        /// What the system said.
        why: Error,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Watch(e) => write!(f, "{e}"),
            LinkError::NoInterface(name) => write!(f, "there is no interface `{name}'"),
            LinkError::Socket { interface, why } => write!(f, "the one over `{interface}': {why}"),
        }
    }
}

impl std::error::Error for LinkError {}

/// A change of a link that the machine has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// The index of the link.
    pub link: usize,
    /// What the link is like now.
    pub now: peer::Link,
}

impl Links {
    /// Finds the interfaces and opens the sockets. `first_token` and the next [`Links::tokens`]
    /// belong to them.
    ///
    /// # Errors
    /// [`LinkError`] says what cannot be had.
    pub fn open(
        settings: &[LinkSettings],
        error_queue: usize,
        first_token: usize,
    ) -> Result<Links, LinkError> {
        let mut watch = Watch::open().map_err(LinkError::Watch)?;
        let mut states = vec![None; settings.len()];
        let listed = watch.list(&mut |name, interface| {
            for (s, state) in settings.iter().zip(&mut states) {
                if s.interface.as_bytes() == name {
                    *state = Some(interface);
                }
            }
        });
        listed.map_err(LinkError::Watch)?;
        let mut all: Vec<LinkIo> = Vec::new();
        for (s, state) in settings.iter().zip(states) {
            let state = state.ok_or_else(|| LinkError::NoInterface(s.interface.clone()))?;
            // Only one of the links with this address can listen there.
            let listens = !all.iter().any(|l| l.kind().listens_like(&s.kind));
            let link = LinkIo::open(s, state, listens || !s.shared, error_queue);
            all.push(link.map_err(|why| LinkError::Socket { interface: s.interface.clone(), why })?);
        }
        Ok(Links { all, watch, first_token })
    }

    /// How many tokens the links use.
    pub fn tokens(&self) -> usize {
        1 + self.all.len() * TOKENS
    }

    /// Datagrams received by all links together.
    pub fn received(&self) -> u64 {
        self.all.iter().map(|l| l.traffic().received).sum()
    }

    fn link_token(&self, link: usize) -> usize {
        self.first_token + 1 + link * TOKENS
    }

    /// Registers the sockets of all links, and the watch.
    pub fn watch(&mut self, reactor: &mut Reactor) -> Result<(), Error> {
        self.watch.register(self.first_token, reactor)?;
        for at in 0..self.all.len() {
            let token = self.link_token(at);
            if let Some(l) = self.all.get_mut(at) {
                l.watch(token, reactor)?;
            }
        }
        Ok(())
    }

    /// Reads what the kernel reports about interfaces; returns how links have changed.
    pub fn interfaces_ready(&mut self, changed: &mut Vec<LinkChange>) -> Result<Turn, Error> {
        let Links { all, watch, .. } = self;
        let turn = watch.drain(&mut |name, state| {
            for (at, l) in all.iter_mut().enumerate().filter(|(_, l)| l.interface().as_bytes() == name) {
                let became = l.interface_is(state);
                if became == InterfaceChange::None {
                    continue;
                }
                if became == InterfaceChange::Replaced {
                    l.reopen();
                }
                changed.push(LinkChange { link: at, now: l.link() });
            }
        })?;
        Ok(turn)
    }

    /// A token of one of the links is ready: hands over what has arrived, at most about `budget` datagrams,
    /// with the number of the link.
    pub fn ready(
        &mut self,
        token: usize,
        now: Millis,
        budget: usize,
        reactor: &mut Reactor,
        take: &mut dyn FnMut(usize, &mut [u8]),
    ) -> Result<Turn, Error> {
        let at = token.saturating_sub(self.first_token + 1) / TOKENS;
        let first_token = self.link_token(at);
        let Some(l) = self.all.get_mut(at) else { return Ok(Turn::Drained) };
        let around = LinkTurn { reactor: &mut *reactor, first_token, now };
        let turn = l.ready(around, token, budget, &mut |bytes| take(at, bytes))?;
        self.hand_over(at, now, reactor)?;
        Ok(turn)
    }

    /// Gives the connections that a listener has accepted to the links that they are for.
    fn hand_over(&mut self, at: usize, now: Millis, reactor: &mut Reactor) -> Result<(), Error> {
        let Some(l) = self.all.get_mut(at) else { return Ok(()) };
        let (kind, others) = (l.kind(), l.take_others());
        for (stream, from) in others {
            let to = self.all.iter().position(|l| l.is_for(kind, from)).unwrap_or(at);
            let first_token = self.link_token(to);
            if let Some(l) = self.all.get_mut(to) {
                l.handed(LinkTurn { reactor: &mut *reactor, first_token, now }, stream, from)?;
            }
        }
        Ok(())
    }

    /// Does what the links' timers ask for: connects again, sends datagrams again.
    pub fn settle(&mut self, now: Millis, reactor: &mut Reactor) -> Result<(), Error> {
        for at in 0..self.all.len() {
            let first_token = self.link_token(at);
            let Some(l) = self.all.get_mut(at) else { continue };
            l.settle(LinkTurn { reactor: &mut *reactor, first_token, now })?;
            self.hand_over(at, now, reactor)?;
        }
        Ok(())
    }

    /// The earliest deadline of all links.
    pub fn deadline(&self) -> Option<Millis> {
        self.all.iter().filter_map(LinkIo::deadline).min()
    }

    /// Takes out what has happened since the last call, with the numbers of the links.
    pub fn happened(&mut self) -> Vec<(usize, LinkHappening)> {
        let mut out = Vec::new();
        for (at, l) in self.all.iter_mut().enumerate() {
            out.extend(l.happened().map(|h| (at, h)));
        }
        out
    }
}
