//! The interfaces that links run over: there or gone, up or down, and how large a datagram they take.

use zct_engine::route::Change;
use zct_engine::{Error, Interfaces, Reactor, Token, Turn};
use zct_wire::link::{IFF_UP, Interface};

/// MTU of an interface that says nothing of it.
const USUAL_MTU: usize = 1500;

/// Where an interface stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InterfaceState {
    /// The kernel's number of it.
    pub index: u32,
    /// Bytes of the largest packet.
    pub mtu: usize,
    /// Switched on.
    pub up: bool,
    /// With a carrier.
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

    /// The same interface once it is gone.
    pub(super) fn gone(self) -> InterfaceState {
        InterfaceState { up: false, running: false, ..self }
    }

    /// True when something can be sent by it.
    pub(super) fn is_usable(self) -> bool {
        self.up && self.running
    }

    /// `RUNNING`, `NO-CARRIER` or `DOWN`.
    pub(super) fn status(self) -> &'static str {
        match self {
            InterfaceState { up: false, .. } => "DOWN",
            InterfaceState { running: false, .. } => "NO-CARRIER",
            _ => "RUNNING",
        }
    }
}

/// Hears of interfaces.
#[derive(Debug)]
pub(super) struct Watch(Interfaces);

impl Watch {
    pub(super) fn open() -> Result<Watch, Error> {
        Interfaces::open().map(Watch)
    }

    /// Tells where every interface stands, by its name.
    pub(super) fn list(&mut self, tell: &mut dyn FnMut(&[u8], InterfaceState)) -> Result<(), Error> {
        self.0.list(&mut |change| {
            if let Change::Is(i) = change {
                tell(i.name, InterfaceState::of(&i));
            }
        })
    }

    /// Tells which interfaces have changed, by their names: where they stand now, or `None` for one that is
    /// gone.
    pub(super) fn drain(
        &mut self,
        tell: &mut dyn FnMut(&[u8], Option<InterfaceState>),
    ) -> Result<Turn, Error> {
        self.0.drain(&mut |change| match change {
            Change::Is(i) => tell(i.name, Some(InterfaceState::of(&i))),
            Change::Gone(i) => tell(i.name, None),
            // Everything is told again after this.
            Change::Lost => {}
        })
    }

    /// Registers its socket.
    pub(super) fn register(&self, token: usize, reactor: &mut Reactor) -> Result<(), Error> {
        reactor.watch(&self.0, Token(token))
    }
}
