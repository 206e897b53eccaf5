//! What stands on the queues.

use crate::store::{ExpectId, FlowId};

/// Numbers of messages; both ends belong to the range.
pub(crate) type Range = (u32, u32);

/// Bytes that a waiting change is taken to need, to tell when a datagram is full: less than any flow does.
pub(crate) const MESSAGE_MIN: usize = 52;

/// A control message that is kept until acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// These were received.
    Ack(u32, u32),
    /// These were lost.
    Nack(u32, u32),
    /// Send everything.
    Resync,
}

impl Control {
    /// True for what the peer answers with data: its acknowledgement tells when the answer has been sent.
    pub(crate) fn is_request(self) -> bool {
        matches!(self, Control::Nack(..) | Control::Resync)
    }
}

/// Something to send. Flows and expectations are named, not held: what goes out is their state at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A flow of the internal cache.
    Flow(FlowId),
    /// An expectation of the internal cache.
    Expect(ExpectId),
    /// A control message.
    Control(Control),
}

/// One message that has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number it went under.
    pub seq: u32,
    /// The flags it went with.
    pub flags: u8,
    /// What it was.
    pub item: Item,
}

impl Sent {
    /// True for a [request](Control::is_request).
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.item, Item::Control(c) if c.is_request())
    }
}
