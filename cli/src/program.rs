//! The program behind a netlink port: `progname=` of an event (command-line.md §3.2).

use memchr::{memchr, memrchr};
use std::fs;
use std::io::Read as _;

/// Finds programs by netlink port id and remembers the last answers.
///
/// A lookup reads `/proc/net/netlink` and the owner's descriptors. So it is made only where the name is
/// shown, and the answer is kept: a loader that creates a thousand flows is looked up once. Programs that
/// have ended are not found. That is remembered too, but only for `MISS_MAX` events, because a new program
/// may get the same port.
#[derive(Debug, Default)]
pub struct Programs {
    known: Vec<(u32, Option<Vec<u8>>)>,
    misses_served: u32,
    buf: Vec<u8>,
}

/// How many ports are remembered at a time.
const KNOWN_MAX: usize = 8;
/// For how many events a port counts as unknown before it is looked up again.
const MISS_MAX: u32 = 1024;

impl Programs {
    /// The name of the program behind `portid`, when it can be found.
    ///
    /// # Allocation
    /// None when the port is remembered; otherwise whatever reading `/proc` needs.
    pub fn name(&mut self, portid: u32) -> Option<&[u8]> {
        let known = self.known.iter().position(|(port, _)| *port == portid);
        let at = match known {
            Some(at) if self.known[at].1.is_some() || self.misses_served < MISS_MAX => {
                self.misses_served += u32::from(self.known[at].1.is_none());
                at
            }
            _ => {
                self.misses_served = 0;
                let name = self.look_up(portid);
                if let Some(at) = known {
                    self.known.remove(at);
                }
                if self.known.len() >= KNOWN_MAX {
                    self.known.remove(0);
                }
                self.known.push((portid, name));
                self.known.len() - 1
            }
        };
        self.known[at].1.as_deref()
    }

    fn look_up(&mut self, portid: u32) -> Option<Vec<u8>> {
        let inode = self.inode(portid)?;
        let link = format!("socket:[{inode}]");
        // The first socket of a program has the process id as its port, so that process is tried first.
        if owns(portid, &link) {
            return self.comm(portid);
        }
        let pids = fs::read_dir("/proc").ok()?;
        let pid = pids
            .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
            .find(|pid| *pid != portid && owns(*pid, &link))?;
        self.comm(pid)
    }

    /// The inode of the NETLINK_NETFILTER socket with that port.
    fn inode(&mut self, portid: u32) -> Option<u64> {
        self.read("/proc/net/netlink")?;
        let text = std::str::from_utf8(&self.buf).ok()?;
        text.lines().skip(1).find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (_, proto, port) = (words.next()?, words.next()?, words.next()?);
            if proto != "12" || port.parse() != Ok(portid) {
                return None;
            }
            words.next_back()?.parse().ok()
        })
    }

    fn comm(&mut self, pid: u32) -> Option<Vec<u8>> {
        self.read(&format!("/proc/{pid}/stat"))?;
        let open = memchr(b'(', &self.buf)?;
        let close = memrchr(b')', &self.buf)?;
        self.buf.get(open + 1..close).map(<[u8]>::to_vec)
    }

    fn read(&mut self, path: &str) -> Option<()> {
        self.buf.clear();
        fs::File::open(path).ok()?.read_to_end(&mut self.buf).ok()?;
        Some(())
    }
}

/// True when the process has the socket open.
fn owns(pid: u32, link: &str) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    fds.flatten().any(|e| fs::read_link(e.path()).is_ok_and(|to| to.as_os_str() == link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_port_is_unknown_and_remembered() {
        let mut p = Programs::default();
        assert_eq!(p.name(u32::MAX), None);
        assert_eq!(p.known.len(), 1);
        assert_eq!(p.name(u32::MAX), None);
        assert_eq!((p.known.len(), p.misses_served), (1, 1));
        for port in 0..20 {
            p.name(u32::MAX - 1 - port);
        }
        assert_eq!(p.known.len(), KNOWN_MAX);
    }
}
