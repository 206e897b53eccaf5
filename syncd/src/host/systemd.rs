//! Reports the daemon's state to the service manager (sd_notify(3), conntrackd.md §12).

use crate::peer::Millis;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The manager's socket, if there is a manager that wants reports.
#[derive(Debug, Default)]
pub struct Systemd {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// Half of the interval after which the manager considers the daemon stuck.
    watchdog_ms: Option<Millis>,
    next: Millis,
}

impl Systemd {
    /// Reads the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. If `enabled` is false, as
    /// `Systemd off` asks, nothing is reported.
    pub fn from_environment(enabled: bool) -> Systemd {
        if !enabled {
            return Systemd::default();
        }
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes() {
                // A name in the abstract namespace, which has no file.
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest).ok()?,
                _ => SocketAddr::from_pathname(&name).ok()?,
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
        // After a fork the daemon is not the process that the manager started, but the one it watches.
        let watchdog_ms = number("WATCHDOG_USEC").map(|us| (us / 2000).max(1)).filter(|_| to.is_some());
        Systemd { to, watchdog_ms, next: 0 }
    }

    /// True when somebody listens for reports.
    pub fn is_there(&self) -> bool {
        self.to.is_some()
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.to {
            // A manager that does not read must not hold up the daemon.
            _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }

    /// Reports that the daemon is ready.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// Reports that the daemon rereads its configuration; `ready` reports when that is done.
    pub fn reloading(&self, monotonic_us: u64) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={monotonic_us}"));
    }

    /// Reports that the daemon is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Reports that another process takes over as the main one.
    pub fn main_pid(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}"));
    }

    /// Reports that the daemon is alive, if that is due.
    pub fn settle(&mut self, now: Millis) {
        if let Some(interval) = self.watchdog_ms.filter(|_| now >= self.next) {
            self.next = now + interval;
            self.tell("WATCHDOG=1");
        }
    }

    /// When the next such report is due.
    pub fn deadline(&self) -> Option<Millis> {
        self.watchdog_ms.map(|_| self.next)
    }
}
