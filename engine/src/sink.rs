//! Where messages go, and how it is reported that some did not arrive.

use std::ops::ControlFlow;
use zct_wire::WireError;
use zct_wire::header::CtMsg;
use zct_wire::text::{Out, Style, TextContext};

/// A flow that is not in a message, but in the memory that a program in the kernel has filled.
pub trait Unsent {
    /// Appends its line without a newline, as [`zct_wire::text::line::flow`] does.
    ///
    /// # Errors
    /// None of its own: everything has been decoded.
    fn line(&self, out: &mut Out<'_>, style: &Style, context: &TextContext<'_>) -> Result<(), WireError>;

    /// True when the line depends on the time of the context.
    fn has_age(&self) -> bool;
}

/// Takes the messages of a dump, of an answer, or of an event subscription.
///
/// The message is borrowed from the receive buffer for the one call.
pub trait Sink {
    /// One message. `Break` ends the operation early, for instance because the output is gone.
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()>;

    /// A flow of which there is no message. `None` asks for one, which is made and comes as any other; that
    /// takes about as long as to write its line.
    fn unsent(&mut self, _: &dyn Unsent) -> Option<ControlFlow<()>> {
        None
    }

    /// Something did not arrive or could not be read. Every loss is reported, as soon as it is known.
    fn lost(&mut self, why: Lost);
}

/// What a [`Sink`] did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// The receive buffer was full, and messages were dropped.
    Overrun {
        /// How many, from the socket's drop counter, if the kernel has one.
        count: Option<u64>,
    },
    /// A datagram was longer than the buffer; the rest of it is gone.
    Truncated {
        /// Its true length in bytes.
        len: usize,
    },
    /// A message that cannot be read; the rest of its datagram is skipped.
    Damaged(WireError),
    /// The hash table was resized during the dump: flows may be missing or appear twice, and there is no
    /// other sign of it (ctnetlink.md §6.3).
    Resized,
    /// A part of the table could not be read any more after some flows had been delivered.
    Unread,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lost::Overrun { count: Some(n) } => write!(f, "{n} messages did not fit the receive buffer"),
            Lost::Overrun { count: None } => f.write_str("messages did not fit the receive buffer"),
            Lost::Truncated { len } => write!(f, "a datagram of {len} bytes was cut short"),
            Lost::Damaged(e) => write!(f, "a message cannot be read: {e}"),
            Lost::Resized => f.write_str("the table was resized while it was read"),
            Lost::Unread => f.write_str("a part of the table could not be read"),
        }
    }
}
