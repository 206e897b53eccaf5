//! Telling the service manager how it goes (sd_notify(3), conntrackd.md §12).

use crate::peer::Millis;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The manager's socket, if there is a manager that wants to hear.
#[derive(Debug, Default)]
pub struct Systemd {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// Half of the interval after which the manager takes the daemon for stuck.
    watchdog_ms: Option<Millis>,
    next: Millis,
}

impl Systemd {
    /// Looks at the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. With `enabled` false, as
    /// `Systemd off` asks for, nothing is told.
    pub fn from_environment(enabled: bool) -> Systemd {
        if !enabled {
            return Systemd::default();
        }
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes() {
                // A name in the abstract space, which has no file.
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest).ok()?,
                _ => SocketAddr::from_pathname(&name).ok()?,
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
        // A forked daemon is not the process the manager started, but the one it watches.
        let watchdog_ms = number("WATCHDOG_USEC").map(|us| (us / 2000).max(1)).filter(|_| to.is_some());
        Systemd { to, watchdog_ms, next: 0 }
    }

    /// True when somebody listens.
    pub fn is_there(&self) -> bool {
        self.to.is_some()
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.to {
            // A manager that does not read must not hold up the daemon.
            _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }

    /// The daemon is ready.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The daemon rereads its configuration; `ready` says when that is done.
    pub fn reloading(&self, monotonic_us: u64) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={monotonic_us}"));
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Another process goes on.
    pub fn main_pid(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}"));
    }

    /// Says that the daemon is alive when that is due.
    pub fn settle(&mut self, now: Millis) {
        if let Some(interval) = self.watchdog_ms.filter(|_| now >= self.next) {
            self.next = now + interval;
            self.tell("WATCHDOG=1");
        }
    }

    /// When that will be.
    pub fn deadline(&self) -> Option<Millis> {
        self.watchdog_ms.map(|_| self.next)
    }
}
