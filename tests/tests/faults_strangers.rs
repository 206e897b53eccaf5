//! Connections and datagrams that do not come from the peer: they cost little, and the peers stay in touch.

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd as _, OwnedFd};
use zct_tests::cluster::{At, Cluster, Over, Settings, Which, mixture};
use zct_tests::faults::times;

use Which::Zctd;

/// A connection under way from this address to the link's port of the node `Here`; not waited for.
fn connect(from: [u8; 4]) -> OwnedFd {
    let [a, b, c, d] = from;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket::socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
    socket::bind(fd.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0)).expect("the address");
    // It is still under way, or refused: either is as good.
    _ = socket::connect(fd.as_raw_fd(), &SockaddrIn::new(10, 9, 0, 1, 3780));
    fd
}

/// Opens many connections, some of which say something; up to 100 stay open at a time.
fn flood(from: [u8; 4], count: usize) {
    let mut open = VecDeque::new();
    for n in 0..count {
        let fd = connect(from);
        if n % 3 == 0 {
            _ = socket::send(fd.as_raw_fd(), b"GET / HTTP/1.1\r\n\r\n", MsgFlags::empty());
        }
        open.push_back(fd);
        if open.len() > 100 {
            open.pop_front();
        }
    }
}

fn connected() -> Cluster {
    let cluster = Cluster::start(Zctd, Zctd, Settings { over: Over::Tcp, ..Settings::default() });
    cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    cluster.whole("before");
    cluster
}

/// Whoever connects must not be able to fill the disk with the log.
fn few_lines(cluster: &Cluster) {
    let log = cluster.log(At::Here);
    let lines = log.lines().filter(|l| l.contains("`v0': ")).count();
    assert!((1..100).contains(&lines), "{lines} lines about connections: {log}");
}

#[test]
fn a_flood_of_connections_from_strangers() {
    let cluster = connected();
    cluster.ip(At::There, "addr add 10.9.0.77/24 dev v1");
    let churn = cluster.churn(At::Here, 1, 1000);
    for _ in 0..times(5, 100) {
        cluster.inside(At::There, || flood([10, 9, 0, 77], 1000));
        assert!(cluster.ask(At::Here, &["-s"]).contains("cache internal"));
    }
    churn.more(500);
    churn.end();
    cluster.whole("after the flood");
    few_lines(&cluster);
}

/// The flood comes from the peer's own address, where somebody else may be at work: each connection takes the
/// place of the peer's, which connects again.
#[test]
fn a_flood_of_connections_from_the_peers_address() {
    let cluster = connected();
    let churn = cluster.churn(At::Here, 1, 1000);
    for _ in 0..times(3, 50) {
        cluster.inside(At::There, || flood([10, 9, 0, 2], 300));
        assert!(cluster.ask(At::Here, &["-s"]).contains("cache internal"));
    }
    cluster.must(At::There, &["-D", "-p", "udp"], "");
    churn.more(500);
    churn.end();
    cluster.whole("after the flood");
    few_lines(&cluster);
}

#[test]
fn a_flood_of_datagrams_from_strangers() {
    let cluster = Cluster::start(Zctd, Zctd, Settings::default());
    cluster.ip(At::There, "addr add 10.9.0.77/24 dev v1");
    let churn = cluster.churn(At::There, 2, 1000);
    cluster.inside(At::There, || {
        let socket = std::net::UdpSocket::bind("10.9.0.77:0").expect("the address");
        for _ in 0..times(20_000, 1_000_000) {
            // A full buffer on either side does not matter.
            _ = socket.send_to(&[0x10; 64], "10.9.0.1:3780");
        }
    });
    churn.more(500);
    churn.end();
    cluster.whole("after the flood");
    let log = cluster.log(At::Here);
    assert_eq!(log.matches("which is not the peer, are dropped").count(), 1, "{log}");
}
