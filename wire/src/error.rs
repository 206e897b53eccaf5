//! What can be wrong with bytes. Errors hold static names and numbers only, so making one costs nothing.

use core::fmt;

/// Why some bytes could not be read as what they claim to be.
///
/// `Copy` and without allocation: it is made on the receive path, where a hostile or newer peer may
/// cause one for every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// Fewer bytes than the fixed part of `what` needs.
    Short {
        /// Kernel name of the structure.
        what: &'static str,
        /// How many bytes it needs.
        need: usize,
        /// How many bytes there are.
        have: usize,
    },
    /// A length field smaller than its own header, or larger than the room it is in.
    BadLength {
        /// Kernel name of the structure.
        what: &'static str,
        /// What the length field says, in bytes.
        claimed: usize,
        /// The bytes it has to fit into.
        room: usize,
    },
    /// Something is missing without which the kernel cannot be asked.
    Missing {
        /// Kernel name of the attribute that should hold it.
        what: &'static str,
    },
    /// A fixed-size attribute with another size.
    BadValue {
        /// Kernel name of the attribute.
        what: &'static str,
        /// How many bytes it has to have.
        want: usize,
        /// How many bytes there are.
        have: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            WireError::Short { what, need, have } => {
                write!(f, "{what}: wanted {need} bytes, have {have}")
            }
            WireError::BadLength { what, claimed, room } => {
                write!(f, "{what}: its length says {claimed} bytes, there are {room}")
            }
            WireError::Missing { what } => write!(f, "{what}: missing or incomplete"),
            WireError::BadValue { what, want, have } => {
                write!(f, "{what}: wanted {want} bytes, have {have}")
            }
        }
    }
}

impl core::error::Error for WireError {}
