//! Private network namespaces: every test has a conntrack table of its own, and never sees the machine's.
//!
//! A namespace belongs to the thread that made it; programs and sockets started from that thread are in it.
//! It disappears with the last of them. All this works inside a user namespace too (`scripts/test.sh` makes
//! one for users who are not root).

use crate::program::{DEADLINE, tool, tool_with_stdin};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::marker::PhantomData;
use std::os::fd::AsRawFd as _;
use std::time::Instant;

/// This thread's network namespace, until it is dropped.
#[derive(Debug)]
pub struct Netns {
    before: File,
    /// Dropped on another thread, it would move the wrong one back.
    _this_thread: PhantomData<*const ()>,
}

fn of_this_thread() -> File {
    File::open("/proc/thread-self/ns/net").expect("/proc is mounted")
}

fn enter_new() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| {
        panic!("no network namespace ({e}): run as root, or through scripts/test.sh in a user namespace")
    });
    ip("link set lo up");
    // By default, flows made while nobody listens would never cause events.
    sysctl("nf_conntrack_events", "1");
    sysctl("nf_conntrack_acct", "0");
    sysctl("nf_conntrack_timestamp", "0");
}

/// Runs `ip` with these arguments.
fn ip(words: &str) {
    tool("ip", &words.split_ascii_whitespace().collect::<Vec<_>>());
}

fn link_address(end: u8) -> String {
    format!("02:00:00:00:00:0{end}")
}

/// Gives this end of the link its addresses and tells it the other end's: resolving a neighbour takes a
/// second when the first request goes out before the other side is up.
fn up(link: &str, end: u8, other: u8) {
    let there = link_address(other);
    ip(&format!("addr add 10.9.0.{end}/24 dev {link}"));
    // Without duplicate address detection the address works at once.
    ip(&format!("addr add fd09::{end}/64 dev {link} nodad"));
    ip(&format!("link set {link} up"));
    for address in [format!("10.9.0.{other}"), format!("fd09::{other}")] {
        ip(&format!("neigh replace {address} lladdr {there} dev {link} nud permanent"));
    }
}

/// Waits until this end of the link works. The kernel notices with a delay that the other end is up, sets up
/// the queue after that, and the IPv6 address from a work queue; it drops what is sent earlier.
fn await_link(link: &str, end: u8) {
    let local = format!("local fd09::{end} dev {link}");
    let up = || {
        let state = tool("ip", &["-o", "link", "show", "dev", link]);
        let routes = tool("ip", &["-6", "route", "show", "table", "local"]);
        state.contains("state UP") && !state.contains("qdisc noop ") && routes.contains(&local)
    };
    let until = Instant::now() + DEADLINE;
    while !up() {
        assert!(Instant::now() < until, "{link} never came up");
    }
}

/// Writes a value of `/proc/sys/net/netfilter` in this thread's namespace.
pub fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/net/netfilter/{name}");
    fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
}

impl Netns {
    /// Moves this thread into a new namespace: loopback up, events for every flow, no accounting
    /// and no timestamps.
    pub fn fresh() -> Netns {
        let before = of_this_thread();
        enter_new();
        Netns { before, _this_thread: PhantomData }
    }

    /// Makes new flows count packets and bytes.
    pub fn accounting(self) -> Netns {
        sysctl("nf_conntrack_acct", "1");
        self
    }

    /// Makes new flows know when they began.
    pub fn timestamps(self) -> Netns {
        sysctl("nf_conntrack_timestamp", "1");
        self
    }

    /// Loads nft rules into this namespace.
    pub fn nft(&self, rules: &str) {
        tool_with_stdin("nft", &["-f", "-"], rules.as_bytes());
    }

    /// Adds another link to the peer: `w0` here with `10.9.1.1`, `w1` there with `10.9.1.2`.
    pub fn second_link(&self, peer: &Peer) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), peer.ns.as_raw_fd());
        ip(&format!("link add w0 type veth peer name w1 netns {there}"));
        ip("addr add 10.9.1.1/24 dev w0");
        ip("link set w0 up");
        peer.inside(|| {
            ip("addr add 10.9.1.2/24 dev w1");
            ip("link set w1 up");
        });
    }

    /// Makes a second namespace, with a link between the two: `v0` here with `10.9.0.1` and `fd09::1`, `v1`
    /// there with `10.9.0.2` and `fd09::2`.
    pub fn peer(&self) -> Peer {
        let ns = std::thread::spawn(|| {
            enter_new();
            of_this_thread()
        });
        let peer = Peer { ns: ns.join().expect("the peer's namespace") };
        self.wire(&peer);
        self.address(&peer);
        peer
    }
}

impl Netns {
    /// Makes a bridge, `br0`, that joins what [`Netns::member`] makes.
    pub fn bridge(&self) {
        ip("link add br0 type bridge mcast_snooping 0");
        ip("link set br0 up");
    }

    /// Makes a namespace with a port on the bridge: `eth0` in there, with the address `10.9.0.NUMBER`.
    pub fn member(&self, number: u8) -> Peer {
        let ns = std::thread::spawn(|| {
            enter_new();
            of_this_thread()
        });
        let peer = Peer { ns: ns.join().expect("a member's namespace") };
        let there = format!("/proc/{}/fd/{}", std::process::id(), peer.ns.as_raw_fd());
        ip(&format!("link add m{number} type veth peer name eth0 netns {there}"));
        ip(&format!("link set m{number} master br0"));
        ip(&format!("link set m{number} up"));
        peer.inside(|| {
            ip(&format!("addr add 10.9.0.{number}/24 dev eth0"));
            ip("link set eth0 up");
        });
        let until = Instant::now() + DEADLINE;
        while !tool("ip", &["-o", "link", "show", "dev", &format!("m{number}")]).contains("state UP") {
            assert!(Instant::now() < until, "m{number} never came up");
        }
        peer
    }

    /// Makes the link of [`Netns::peer`] without addresses, and leaves it down.
    pub fn wire(&self, peer: &Peer) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), peer.ns.as_raw_fd());
        ip(&format!(
            "link add v0 address {} type veth peer name v1 address {} netns {there}",
            link_address(1),
            link_address(2)
        ));
    }

    /// Gives that link its addresses, and waits until it works.
    pub fn address(&self, peer: &Peer) {
        up("v0", 1, 2);
        peer.inside(|| {
            up("v1", 2, 1);
            await_link("v1", 2);
        });
        await_link("v0", 1);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // This can fail only if our privileges are gone; the thread is about to end anyway.
        _ = setns(&self.before, CloneFlags::CLONE_NEWNET);
    }
}

/// A namespace other than this thread's.
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
