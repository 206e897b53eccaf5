//! The dedicated link breaks while flows come and go: it goes down, loses its address, is deleted, carries
//! less. Once it works again, both nodes know everything.

use zct_tests::cluster::{At, Cluster, Over, Settings, Which, eventually, mixture};
use zct_tests::faults::times;

use Which::Zctd;

/// Two nodes that know some flows of each other.
fn cluster(over: Over) -> Cluster {
    let cluster = Cluster::start(Zctd, Zctd, Settings { over, ..Settings::default() });
    cluster.must(At::Here, &["-R", "-"], &mixture(3, 500));
    cluster.must(At::There, &["-R", "-"], &mixture(2, 500));
    cluster.whole("before");
    cluster
}

/// Ends some flows on either side, so that the loss of a message would show.
fn changes(cluster: &Cluster) {
    cluster.must(At::Here, &["-D", "-p", "sctp"], "");
    cluster.must(At::There, &["-D", "-p", "icmp"], "");
    cluster.must(At::There, &["-U", "-p", "tcp", "-m", "77"], "");
}

fn down_and_up(over: Over) {
    let cluster = cluster(over);
    let churn = cluster.churn(At::Here, 1, 1000);
    for n in 0..times(3, 50) {
        // Either end goes down; the other one then has no carrier.
        let (at, device) = [(At::Here, "v0"), (At::There, "v1")][n % 2];
        cluster.ip(at, &format!("link set {device} down"));
        churn.more(200);
        if n == 0 {
            changes(&cluster);
        }
        cluster.ip(at, &format!("link set {device} up"));
        churn.more(200);
    }
    churn.end();
    // An interface that was down has lost its IPv6 address.
    for (at, end) in [(At::Here, 1), (At::There, 2)] {
        cluster.ip(at, &format!("addr replace fd09::{end}/64 dev v{} nodad", end - 1));
    }
    cluster.whole("after the last time");
}

#[test]
fn down_and_up_again_and_again_over_udp() {
    down_and_up(Over::Udp);
}

#[test]
fn down_and_up_again_and_again_over_multicast() {
    down_and_up(Over::Multicast);
}

#[test]
fn down_and_up_again_and_again_over_tcp() {
    down_and_up(Over::Tcp);
}

/// The interface is deleted and made again under the same name. `early` brings it up before it has addresses.
fn made_again(over: Over, early: bool) {
    let cluster = cluster(over);
    let churn = cluster.churn(At::Here, 1, 1000);
    cluster.ip(At::Here, "link del v0");
    changes(&cluster);
    churn.more(500);
    cluster.wire();
    if early {
        cluster.ip(At::Here, "link set v0 up");
        cluster.ip(At::There, "link set v1 up");
        for at in [At::Here, At::There] {
            eventually("the daemon sees it", || {
                let seen = cluster.ask(at, &["-s", "link"]);
                if seen.contains("RUNNING") { Ok(()) } else { Err(seen) }
            });
        }
        churn.more(200);
    }
    cluster.address();
    churn.more(500);
    churn.end();
    cluster.whole("over the new interface");
}

#[test]
fn an_interface_made_again_under_udp() {
    made_again(Over::Udp, true);
    made_again(Over::Udp, false);
}

#[test]
fn an_interface_made_again_under_udp_over_ipv6() {
    made_again(Over::Udp6, true);
}

#[test]
fn an_interface_made_again_under_multicast() {
    made_again(Over::Multicast, true);
    made_again(Over::Multicast, false);
}

#[test]
fn an_interface_made_again_under_tcp() {
    made_again(Over::Tcp, true);
}

fn without_address(over: Over) {
    let cluster = cluster(over);
    let churn = cluster.churn(At::Here, 1, 1000);
    cluster.ip(At::Here, "addr del 10.9.0.1/24 dev v0");
    changes(&cluster);
    churn.more(1000);
    cluster.ip(At::Here, "addr add 10.9.0.1/24 dev v0");
    churn.more(500);
    churn.end();
    cluster.whole("with the address again");
}

#[test]
fn an_address_that_goes_and_comes_back() {
    without_address(Over::Udp);
    without_address(Over::Tcp);
}

/// Bytes and datagrams that a node has sent.
fn sent(cluster: &Cluster, at: At) -> (u64, u64) {
    let text = cluster.ask(at, &["-s", "link"]);
    let of = |what: &str| {
        let line = text.lines().find(|l| l.contains(what)).expect("a line");
        line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
    };
    (of("Bytes sent"), of("Pckts sent"))
}

#[test]
fn an_mtu_of_576_and_back() {
    let cluster = cluster(Over::Udp);
    let churn = cluster.churn(At::Here, 1, 1000);
    let mtu = |n: u32| {
        cluster.ip(At::Here, &format!("link set v0 mtu {n}"));
        cluster.ip(At::There, &format!("link set v1 mtu {n}"));
    };
    mtu(576);
    changes(&cluster);
    churn.more(500);
    let before = sent(&cluster, At::Here);
    cluster.ask(At::Here, &["-B"]);
    churn.more(500);
    churn.end();
    cluster.whole("in small datagrams");
    let now = sent(&cluster, At::Here);
    let (bytes, datagrams) = (now.0 - before.0, now.1 - before.1);
    assert!(bytes <= datagrams * (576 - 28), "{bytes} bytes in {datagrams} datagrams");
    mtu(1500);
    cluster.ask(At::Here, &["-B"]);
    cluster.must(At::Here, &["-R", "-"], &mixture(4, 500));
    cluster.whole("in large ones again");
}

/// The default link goes down, then the other one, then both.
#[test]
fn to_the_second_link_and_back() {
    let cluster = cluster(Over::TwoUdp);
    let churn = cluster.churn(At::Here, 1, 1000);
    let used = |device: &str| {
        eventually("the other link is used", || {
            let links = cluster.ask(At::Here, &["-s", "link"]);
            let active = links.lines().find(|l| l.contains("role=ACTIVE")).unwrap_or_default().to_owned();
            if active.contains(device) { Ok(()) } else { Err(links) }
        });
    };
    for n in 0..times(1, 20) {
        for (broken, other) in [("w0", "v0"), ("v0", "w0")] {
            cluster.ip(At::Here, &format!("link set {broken} down"));
            used(other);
            churn.more(300);
            if n == 0 && broken == "w0" {
                changes(&cluster);
            }
            cluster.ip(At::Here, &format!("link set {broken} up"));
            churn.more(100);
        }
    }
    cluster.ip(At::Here, "link set w0 down");
    cluster.ip(At::Here, "link set v0 down");
    churn.more(300);
    cluster.ip(At::Here, "link set v0 up");
    churn.more(100);
    churn.end();
    cluster.whole("after the last fail-over");
}
