//! Private network namespaces: every test has a conntrack table of its own, and never sees the machine's.
//!
//! A namespace belongs to the thread that made it; programs and sockets started from that thread are in it.
//! It is gone when the last of them is. Runs inside a user namespace too (`scripts/test.sh` makes one for
//! people who are not root).

use crate::program::{tool, tool_with_stdin};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::marker::PhantomData;
use std::os::fd::AsRawFd as _;

/// The network namespace of this thread, until it is dropped.
#[derive(Debug)]
pub struct Netns {
    before: File,
    /// Dropping it elsewhere would move the wrong thread.
    _this_thread: PhantomData<*const ()>,
}

fn of_this_thread() -> File {
    File::open("/proc/thread-self/ns/net").expect("/proc is mounted")
}

fn enter_new() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| {
        panic!("no network namespace ({e}): run as root, or through scripts/test.sh in a user namespace")
    });
    tool("ip", &["link", "set", "lo", "up"]);
    // With the default, flows made while nobody listens would never cause events.
    sysctl("nf_conntrack_events", "1");
    sysctl("nf_conntrack_acct", "0");
    sysctl("nf_conntrack_timestamp", "0");
}

/// Writes one of `/proc/sys/net/netfilter` in the namespace of this thread.
pub fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/net/netfilter/{name}");
    fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
}

impl Netns {
    /// Moves this thread into a new namespace: loopback up, events for every flow, no accounting and no
    /// timestamps.
    pub fn fresh() -> Netns {
        let before = of_this_thread();
        enter_new();
        Netns { before, _this_thread: PhantomData }
    }

    /// New flows count packets and bytes.
    pub fn accounting(self) -> Netns {
        sysctl("nf_conntrack_acct", "1");
        self
    }

    /// New flows know when they began.
    pub fn timestamps(self) -> Netns {
        sysctl("nf_conntrack_timestamp", "1");
        self
    }

    /// Loads nft rules.
    pub fn nft(&self, rules: &str) {
        tool_with_stdin("nft", &["-f", "-"], rules.as_bytes());
    }

    /// A second namespace next to this one, with a link between them: `v0` here with `10.9.0.1` and
    /// `fd09::1`, `v1` there with `10.9.0.2` and `fd09::2`.
    pub fn peer(&self) -> Peer {
        let ns = std::thread::spawn(|| {
            enter_new();
            of_this_thread()
        });
        let peer = Peer { ns: ns.join().expect("the peer's namespace") };
        let there = format!("/proc/{}/fd/{}", std::process::id(), peer.ns.as_raw_fd());
        tool("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", &there]);
        let up = |link: &str, last: u8| {
            let (v4, v6) = (format!("10.9.0.{last}/24"), format!("fd09::{last}/64"));
            tool("ip", &["addr", "add", &v4, "dev", link]);
            // No duplicate address detection: the address works at once.
            tool("ip", &["addr", "add", &v6, "dev", link, "nodad"]);
            tool("ip", &["link", "set", link, "up"]);
        };
        up("v0", 1);
        peer.inside(|| up("v1", 2));
        peer
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Fails only if the kernel took our rights away; the thread is about to end then anyway.
        _ = setns(&self.before, CloneFlags::CLONE_NEWNET);
    }
}

/// A namespace that is not this thread's.
#[derive(Debug)]
pub struct Peer {
    ns: File,
}

impl Peer {
    /// Runs `f` on a thread inside the namespace and waits for it.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.ns, CloneFlags::CLONE_NEWNET).expect("setns");
                f()
            });
            there.join().unwrap_or_else(|p| std::panic::resume_unwind(p))
        })
    }
}
