//! What can go wrong between this program and the kernel.

use std::fmt;
use std::io;
use zct_wire::WireError;
use zct_wire::build::Full;

/// A failed operation: what was tried, and what the kernel said.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    Sys {
        /// The call, as in the manual: `socket`, `bind`, `recvfrom`.
        op: &'static str,
        /// Its errno.
        source: io::Error,
    },
    /// The kernel answered a request with an error message.
    Refused {
        /// Positive errno.
        errno: i32,
        /// The kernel's explanation (extended ACK), if it gave one.
        hint: Option<Box<str>>,
    },
    /// Bytes from the kernel that are not what they claim to be.
    Wire(WireError),
    /// A request does not fit the buffer that was made for it.
    TooLarge,
}

impl Error {
    /// The error of a failed system call, for `map_err`.
    pub fn sys(op: &'static str, source: io::Error) -> Error {
        Error::Sys { op, source }
    }

    /// The errno behind it, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Sys { source, .. } => source.raw_os_error(),
            Error::Refused { errno, .. } => Some(*errno),
            Error::Wire(_) | Error::TooLarge => None,
        }
    }
}

impl From<WireError> for Error {
    fn from(e: WireError) -> Error {
        Error::Wire(e)
    }
}

impl From<Full> for Error {
    fn from(_: Full) -> Error {
        Error::TooLarge
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Sys { op, source } => match source.raw_os_error() {
                Some(errno) => write!(f, "{op}: {}", crate::errno_text(errno)),
                None => write!(f, "{op}: {source}"),
            },
            Error::Refused { errno, hint: None } => f.write_str(&crate::errno_text(*errno)),
            Error::Refused { errno, hint: Some(hint) } => {
                write!(f, "{} ({hint})", crate::errno_text(*errno))
            }
            Error::Wire(e) => write!(f, "unreadable answer from the kernel: {e}"),
            Error::TooLarge => f.write_str("the request is too large for its buffer"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Sys { source, .. } => Some(source),
            Error::Wire(e) => Some(e),
            Error::Refused { .. } | Error::TooLarge => None,
        }
    }
}

/// The error numbers that callers distinguish.
pub mod errno {
    pub use libc::{EBUSY, EEXIST, EINVAL, EIO, ENOENT, EOPNOTSUPP, EPERM};
}
