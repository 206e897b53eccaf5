//! Why the daemon does not start.

use crate::config::keys::KeyError;
use crate::host::lock::{self, LockError};
use crate::host::log::LogError;
use crate::links::LinkError;
use crate::metrics::server::ListenError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use zct_engine::write_file::WriteError;
use zct_engine::{Error, errno};

/// What could not be had at the start.
#[derive(Debug)]
pub(super) enum StartError {
    /// The lock file of this name.
    Lock(PathBuf, LockError),
    /// The control socket.
    Control(WriteError),
    /// The socket where metrics are asked for.
    Metrics(ListenError),
    /// The sockets for events and dumps.
    Netlink(Error),
    /// The sockets that change the kernel's table.
    Changes(Error),
    /// The dedicated links.
    Links(LinkError),
    /// The keys of `Auth`.
    Keys(KeyError),
    /// The log of ended flows.
    Log(LogError),
    /// The reactor, or the signals.
    System(Error),
    /// Dropping privileges.
    Privileges(Error),
    /// The root directory as current directory.
    Root(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Lock(path, LockError::Held) => {
                write!(f, "lockfile `{}' exists, perhaps conntrackd already running?", path.display())
            }
            StartError::Lock(path, why) => write!(f, "can't create lockfile `{}': {why}", path.display()),
            StartError::Control(e) => {
                write!(f, "can't open the control socket `{}': {}", e.path.display(), lock::reason(e))
            }
            StartError::Netlink(e) if e.errno() == Some(errno::EPERM) => {
                write!(f, "can't open netlink handler: {e}\nthis takes root, or CAP_NET_ADMIN")
            }
            StartError::Netlink(e) => {
                write!(f, "can't open netlink handler: {e}\nno ctnetlink kernel support?")
            }
            StartError::Changes(e) => write!(f, "can't open netlink handler: {e}"),
            StartError::Links(e) => write!(f, "can't open the dedicated links: {e}"),
            StartError::Keys(e) => write!(f, "{e}"),
            StartError::Log(e) => write!(f, "{e}"),
            StartError::Metrics(e) => write!(f, "{e}"),
            StartError::System(e) => write!(f, "{e}"),
            StartError::Privileges(e) => write!(f, "can't give up privileges: {e}"),
            StartError::Root(e) => write!(f, "can't change to the root directory: {e}"),
        }
    }
}

impl std::error::Error for StartError {}
