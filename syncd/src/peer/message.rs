//! Classifies messages: what a message is, if its type and flags fit together (sync-protocol.md §2.4).

use crate::peer::entry::Range;
use zct_wire::event::Event;
use zct_wire::peer::header::after;
use zct_wire::peer::{Digest, Kind, Message, flag};

/// A change that a message brings for the caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Flow(Event),
    Expect(Event),
}

/// The kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Data(Data),
    Alive,
    Ack(Range),
    Nack(Range),
    Resync,
    /// Sums, or a question about them; the machine reads it.
    Digest,
}

/// The kind of a message; `None` for what the original calls a malformed header.
pub(crate) fn classify(m: &Message<'_>) -> Option<Class> {
    let flags = m.flags & !flag::GREETING;
    match m.kind()? {
        Kind::Flow(event) => (flags == 0).then_some(Class::Data(Data::Flow(event))),
        Kind::Expect(event) => (flags == 0).then_some(Class::Data(Data::Expect(event))),
        Kind::Control => control(m, flags),
        Kind::Digest => Digest::decode(m).map(|_| Class::Digest),
    }
}

/// True for the sign of life of a node that compares where nobody acknowledges anything: to all others this answers
/// a greeting, which nobody sends there.
pub(crate) fn compares(m: &Message<'_>) -> bool {
    m.kind() == Some(Kind::Control) && m.flags == flag::ALIVE | flag::HELLO_BACK
}

/// The kind of a control message.
fn control(m: &Message<'_>, flags: u8) -> Option<Class> {
    if flags == flag::ALIVE {
        return Some(Class::Alive);
    }
    let range = m.range()?;
    match flags {
        flag::RESYNC => Some(Class::Resync),
        _ if after(range.0, range.1) => None,
        flag::ACK => Some(Class::Ack(range)),
        flag::NACK => Some(Class::Nack(range)),
        _ => None,
    }
}

/// Why a message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its header is malformed.
    Header,
    /// It has been received before, or is too late.
    Before,
    /// It belongs to another mode.
    OtherMode,
}

/// A mode's judgement of a message: the machine counts it, reports it, and does what it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// What is left to be done, if the message is accepted at all.
    pub(crate) taken: Result<Class, Refusal>,
    /// The number of messages that are missing before it.
    pub(crate) lost: u32,
    /// It has been received before, or is too late, but is accepted all the same.
    pub(crate) before: bool,
    /// It shows that the peer has started.
    pub(crate) started: bool,
    /// It shows that the peer's numbers went back without a HELLO.
    pub(crate) renumbered: bool,
}

impl Verdict {
    /// Accepts a message that shows nothing else.
    pub(crate) fn take(class: Class) -> Verdict {
        Verdict { taken: Ok(class), lost: 0, before: false, started: false, renumbered: false }
    }

    /// Refuses a message.
    pub(crate) fn refuse(why: Refusal) -> Verdict {
        Verdict { taken: Err(why), lost: 0, before: false, started: false, renumbered: false }
    }
}

/// The number of messages in a range.
pub(crate) fn length((from, to): Range) -> u32 {
    to.wrapping_sub(from).saturating_add(1)
}
