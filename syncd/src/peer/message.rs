//! What a message is, once its type and its flags make sense together (sync-protocol.md §2.4).

use crate::peer::entry::Range;
use zct_wire::event::Event;
use zct_wire::peer::header::after;
use zct_wire::peer::{Kind, Message, flag};

/// What a message brings for the caches, and what has happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Flow(Event),
    Expect(Event),
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Data(Data),
    Alive,
    Ack(Range),
    Nack(Range),
    Resync,
}

/// Tells what a message is; `None` for what the original calls a malformed header.
pub(crate) fn classify(m: &Message<'_>) -> Option<Class> {
    let flags = m.flags & !flag::GREETING;
    match m.kind()? {
        Kind::Flow(event) => (flags == 0).then_some(Class::Data(Data::Flow(event))),
        Kind::Expect(event) => (flags == 0).then_some(Class::Data(Data::Expect(event))),
        Kind::Control => control(m, flags),
    }
}

/// The same for a control message.
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

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A malformed header.
    Header,
    /// It came before, or too late.
    Before,
    /// It belongs to another mode.
    OtherMode,
}

/// What a mode makes of a message: the machine counts it, tells of it, and does what it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// What is left to do, if it is taken at all.
    pub(crate) taken: Result<Class, Refusal>,
    /// So many messages before it are missing.
    pub(crate) lost: u32,
    /// It came before, or too late, and is taken all the same.
    pub(crate) before: bool,
    /// It tells that the peer has started.
    pub(crate) started: bool,
    /// The peer's numbers went back without a HELLO.
    pub(crate) renumbered: bool,
}

impl Verdict {
    /// Takes a message that tells nothing besides.
    pub(crate) fn take(class: Class) -> Verdict {
        Verdict { taken: Ok(class), lost: 0, before: false, started: false, renumbered: false }
    }

    /// Refuses a message.
    pub(crate) fn refuse(why: Refusal) -> Verdict {
        Verdict { taken: Err(why), lost: 0, before: false, started: false, renumbered: false }
    }
}

/// How many numbers a range has.
pub(crate) fn length((from, to): Range) -> u32 {
    to.wrapping_sub(from).saturating_add(1)
}
