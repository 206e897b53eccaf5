//! What the queues contain.

use crate::store::{ExpectId, FlowId};
use zct_wire::peer::digest::Ask;

/// A range of message numbers that includes both ends.
pub(crate) type Range = (u32, u32);

/// Bytes assumed for a waiting change when estimating whether a datagram is full: fewer than any flow takes.
pub(crate) const MESSAGE_MIN: usize = 52;

/// A control message that is kept until it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// The messages with these numbers have been received.
    Ack(u32, u32),
    /// The messages with these numbers were lost.
    Nack(u32, u32),
    /// Asks the peer to send everything.
    Resync,
    /// Where nobody acknowledges anything: tells the peer that we compare. To others it is a sign of life.
    Compares,
    /// Asks the peer for sums (`peer::digest`).
    Ask(Ask),
    /// Asks the peer to send the flows of these leaves of the sums.
    Repair([u16; 4]),
}

impl Control {
    /// True for a message that the peer answers with data: acknowledging it tells that the answer
    /// has been sent.
    pub(crate) fn is_request(self) -> bool {
        matches!(self, Control::Nack(..) | Control::Resync | Control::Repair(_))
    }
}

/// Something to send. Flows and expectations are only named, and go out in the state they have by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A flow of the internal cache.
    Flow(FlowId),
    /// An expectation of the internal cache.
    Expect(ExpectId),
    /// A control message.
    Control(Control),
}

/// A message that has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number it was sent under.
    pub seq: u32,
    /// The flags it was sent with.
    pub flags: u8,
    /// What was sent.
    pub item: Item,
}

impl Sent {
    /// True for a [request](Control::is_request).
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.item, Item::Control(c) if c.is_request())
    }
}
