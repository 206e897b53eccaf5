//! A network namespace for the measurements, and a list of who listens to conntrack events anywhere
//! on the machine.
//!
//! A listener in any namespace makes the kernel build events in all of them. Creating a flow then costs twice
//! as much (ctnetlink.md §5.3), and numbers taken meanwhile mean something else.

use nix::sched::{CloneFlags, setns, unshare};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

/// The event groups of flows: new, update, destroy.
const FLOW_GROUPS: u32 = 7;
/// NETLINK_NETFILTER, as /proc/net/netlink writes it.
const PROTOCOL: &str = "12";

/// Moves this thread into a new namespace with `lo` up and tracking turned on for what is sent there.
///
/// # Errors
/// When the privilege is missing, or `ip` or `nft`.
pub fn enter_new() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|e| io::Error::other(format!("no network namespace: {e}; run as root")))?;
    tool("ip", &["link", "set", "lo", "up"])?;
    let rules = "add table ip t; add chain ip t c { type filter hook output priority 0; }; \
                 add rule ip t c ct state new counter";
    tool("nft", &[rules])
}

fn tool(name: &str, words: &[&str]) -> io::Result<()> {
    let missing = |e| io::Error::other(format!("{name}: {e}; apt-get install iproute2 nftables"));
    let done = Command::new(name).args(words).output().map_err(missing)?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{name}: {}", String::from_utf8_lossy(&done.stderr).trim())))
}

/// A netlink socket that has joined event groups of flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its netlink port: the process id, as a rule.
    pub port: u32,
    /// Bytes waiting in its queue.
    pub queued: u64,
    /// Messages dropped because they did not fit.
    pub drops: u64,
    /// Its inode, by which its owner is found.
    pub inode: u64,
}

fn parse(table: &str) -> Vec<Listener> {
    let socket = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, protocol, port, groups, queued, _, _, _, drops, inode] = words[..] else { return None };
        let groups = u32::from_str_radix(groups, 16).ok()?;
        if protocol != PROTOCOL || groups & FLOW_GROUPS == 0 {
            return None;
        }
        Some(Listener {
            port: port.parse().ok()?,
            queued: queued.parse().ok()?,
            drops: drops.parse().ok()?,
            inode: inode.parse().ok()?,
        })
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// The listeners of the current namespace.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn listeners() -> io::Result<Vec<Listener>> {
    Ok(parse(&fs::read_to_string("/proc/thread-self/net/netlink")?))
}

/// The listeners, in words, of every namespace that a process is in or that has a name.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn listeners_anywhere() -> io::Result<Vec<String>> {
    // One process per namespace is enough.
    let mut spaces: BTreeMap<u64, String> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|b| b.is_ascii_digit()) {
            // Processes end while we look.
            if let Ok(ns) = fs::metadata(format!("/proc/{name}/ns/net")) {
                spaces.entry(ns.ino()).or_insert(name);
            }
        }
    }
    let mut found = Vec::new();
    for pid in spaces.values() {
        let table = fs::read_to_string(format!("/proc/{pid}/net/netlink")).unwrap_or_default();
        found.extend(parse(&table).iter().map(|l| described(l, &format!("the namespace of process {pid}"))));
    }
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let Ok(ns) = File::open(entry.path()) else { continue };
        if ns.metadata().is_ok_and(|m| spaces.contains_key(&m.ino())) {
            continue;
        }
        // setns moves a single thread, so it is done in one that ends right afterwards.
        let there = std::thread::spawn(move || {
            setns(ns, CloneFlags::CLONE_NEWNET)?;
            listeners()
        });
        let listeners = there.join().map_err(|_| io::Error::other("a thread panicked"))?.unwrap_or_default();
        let place = format!("the namespace {}", entry.file_name().to_string_lossy());
        found.extend(listeners.iter().map(|l| described(l, &place)));
    }
    Ok(found)
}

fn described(l: &Listener, place: &str) -> String {
    let owner = owner(l.inode);
    let name = owner.as_deref().unwrap_or("a program that has ended or is hidden");
    format!("{name} in {place}")
}

/// The process that has the socket open, with its name.
fn owner(inode: u64) -> Option<String> {
    let socket = format!("socket:[{inode}]");
    let has_it = |process: &fs::DirEntry| {
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|f| fs::read_link(f.path()).ok());
        targets.any(|target| target.as_os_str() == socket.as_str())
    };
    let process = fs::read_dir("/proc").ok()?.flatten().find(has_it)?;
    let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
    Some(format!("{} ({})", name.trim(), process.file_name().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_those_of_the_right_protocol_and_groups() {
        let table = "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n\
            0 12 77 00000007 1280 0 0 2 5 1\n0 12 78 00000008 0 0 0 2 0 2\n0 0 79 00000007 0 0 0 2 0 3\n";
        assert_eq!(parse(table), [Listener { port: 77, queued: 1280, drops: 5, inode: 1 }]);
    }
}
