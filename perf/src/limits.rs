//! The machine's conntrack limits: set for the measurements, and restored whatever happens.
//!
//! They belong to the machine, not to a namespace: one hash table serves all. While they are changed, a file
//! holds the previous values; it is also the lock against a second run. If a run is killed, the next one
//! restores the limits from it.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

const DIR: &str = "/proc/sys/net/netfilter";

/// The two limits that a large table needs raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// nf_conntrack_max: flows a namespace may have.
    pub max: u64,
    /// nf_conntrack_buckets: size of the hash table.
    pub buckets: u64,
}

fn explained(e: &io::Error, name: &str) -> io::Error {
    let hint = match e.kind() {
        io::ErrorKind::NotFound => ": as root, modprobe nf_conntrack_netlink",
        io::ErrorKind::PermissionDenied => ": needs root in the machine's own network namespace",
        _ => "",
    };
    io::Error::new(e.kind(), format!("{DIR}/{name}: {e}{hint}"))
}

/// Reads one number of `/proc/sys/net/netfilter` in the current namespace.
///
/// # Errors
/// Says what is wrong and what to do about it.
pub fn read(name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("{DIR}/{name}")).map_err(|e| explained(&e, name))?;
    text.trim().parse().map_err(io::Error::other)
}

/// Writes one number of `/proc/sys/net/netfilter`.
///
/// # Errors
/// Says what is wrong and what to do about it.
pub fn write(name: &str, value: u64) -> io::Result<()> {
    fs::write(format!("{DIR}/{name}"), value.to_string()).map_err(|e| explained(&e, name))
}

impl Limits {
    /// Reads both limits as they are now.
    ///
    /// # Errors
    /// Those of [`read`].
    pub fn read() -> io::Result<Limits> {
        Ok(Limits { max: read("nf_conntrack_max")?, buckets: read("nf_conntrack_buckets")? })
    }

    /// Sets both limits; one that has the right value already is left alone.
    ///
    /// # Errors
    /// Those of [`write()`].
    pub fn set(self) -> io::Result<()> {
        let now = Limits::read()?;
        if now.buckets != self.buckets {
            write("nf_conntrack_buckets", self.buckets)?;
        }
        if now.max != self.max {
            write("nf_conntrack_max", self.max)?;
        }
        Ok(())
    }
}

/// Limits that are changed; dropping this restores the old ones.
#[derive(Debug)]
pub struct Held {
    before: Limits,
    file: Flock<File>,
}

impl Held {
    /// Sets `limits` until the value is dropped. `file` remembers the old ones; it is created when missing,
    /// and left behind empty.
    ///
    /// # Errors
    /// When another run holds the file, or the limits cannot be set.
    pub fn set(limits: Limits, file: &Path) -> io::Result<Held> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(file)?;
        let mut file = Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| {
            io::Error::other(format!("{}: {e}: another measurement is running", file.display()))
        })?;
        let mut left = String::new();
        file.read_to_string(&mut left)?;
        let before = match parse(&left) {
            Some(before) => before,
            None => Limits::read()?,
        };
        file.seek(SeekFrom::Start(0))?;
        write!(file, "{} {}", before.max, before.buckets)?;
        let held = Held { before, file };
        limits.set()?;
        Ok(held)
    }

    /// The limits as they were before the change.
    pub fn before(&self) -> Limits {
        self.before
    }
}

fn parse(text: &str) -> Option<Limits> {
    let (max, buckets) = text.split_once(' ')?;
    Some(Limits { max: max.parse().ok()?, buckets: buckets.trim().parse().ok()? })
}

impl Drop for Held {
    fn drop(&mut self) {
        match self.before.set() {
            Ok(()) => _ = self.file.set_len(0),
            Err(e) => eprintln!("the conntrack limits could not be put back to {:?}: {e}", self.before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_behind_is_read() {
        assert_eq!(parse("262144 65536"), Some(Limits { max: 262_144, buckets: 65_536 }));
        assert_eq!(parse(""), None);
    }
}
