//! The interfaces that links run over: present or gone, up or down, and how large a datagram they take.

use zct_engine::route::Change;
use zct_engine::{Error, Interfaces, Reactor, Token, Turn};
use zct_wire::link::{IFF_UP, Interface};

/// The MTU assumed for an interface that reports none.
const USUAL_MTU: usize = 1500;

/// The state of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InterfaceState {
    /// The interface's index.
    pub index: u32,
    /// Size in bytes of the largest packet.
    pub mtu: usize,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it has a carrier.
    pub running: bool,
}

impl InterfaceState {
    fn of(i: &Interface<'_>) -> InterfaceState {
        InterfaceState {
            index: i.index,
            mtu: i.mtu.map_or(USUAL_MTU, |m| m as usize),
            up: i.flags & IFF_UP != 0,
            running: i.is_running(),
        }
    }

    /// The state after the same interface has gone.
    pub(super) fn gone(self) -> InterfaceState {
        InterfaceState { up: false, running: false, ..self }
    }

    /// True when packets can be sent on it.
    pub(super) fn is_usable(self) -> bool {
        self.up && self.running
    }

    /// The name of the state: `RUNNING`, `NO-CARRIER` or `DOWN`.
    pub(super) fn status(self) -> &'static str {
        match self {
            InterfaceState { up: false, .. } => "DOWN",
            InterfaceState { running: false, .. } => "NO-CARRIER",
            _ => "RUNNING",
        }
    }
}

/// Receives the kernel's reports about interfaces.
#[derive(Debug)]
pub(super) struct Watch(Interfaces);

impl Watch {
    pub(super) fn open() -> Result<Watch, Error> {
        Interfaces::open().map(Watch)
    }

    /// Tells the state of every interface, by name.
    pub(super) fn list(&mut self, tell: &mut dyn FnMut(&[u8], InterfaceState)) -> Result<(), Error> {
        self.0.list(&mut |change| {
            if let Change::Is(i) = change {
                tell(i.name, InterfaceState::of(&i));
            }
        })
    }

    /// Tells which interfaces have changed, by name: their state now, or `None` for one that is gone.
    pub(super) fn drain(
        &mut self,
        tell: &mut dyn FnMut(&[u8], Option<InterfaceState>),
    ) -> Result<Turn, Error> {
        self.0.drain(&mut |change| match change {
            Change::Is(i) => tell(i.name, Some(InterfaceState::of(&i))),
            Change::Gone(i) => tell(i.name, None),
            // Every interface is reported again after this.
            Change::Lost => {}
        })
    }

    /// Registers its socket with the reactor.
    pub(super) fn register(&self, token: usize, reactor: &mut Reactor) -> Result<(), Error> {
        reactor.watch(&self.0, Token(token))
    }
}
