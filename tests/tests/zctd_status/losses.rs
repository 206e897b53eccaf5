//! Nothing is lost without an entry in the ledger: losses that are injected and counted here are found there,
//! and so are their repairs.

use crate::{status, until, with_ledger};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use zct_tests::cluster::{At, Cluster, Settings, Which::Zctd, eventually, mixture};
use zct_tests::program::Exit;
use zct_wire::event::Event;
use zct_wire::peer::{Encode, Flow};
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn both_in_sync(cluster: &Cluster) {
    for at in [At::Here, At::There] {
        until(cluster, at, &[]);
    }
}

/// What the ledger of a node has of one kind: how many were lost, and how many of them were repaired.
fn lost(seen: &Value, kind: &str) -> (u64, u64) {
    (number(&seen["losses"][kind]["estimate"]), number(&seen["losses"][kind]["repaired"]))
}

/// The ways in which losses of a kind were repaired, or will be.
fn ways(seen: &Value, kind: &str) -> Vec<Value> {
    let entries = seen["ledger"].as_array().expect("a list").iter().filter(|e| e["kind"] == kind);
    let mut ways: Vec<Value> = entries.map(|e| e["how"].clone()).collect();
    ways.dedup();
    ways
}

/// A node has lost nothing but losses of these kinds.
fn only(seen: &Value, kinds: &[&str]) {
    for (kind, tally) in seen["losses"].as_object().expect("an object") {
        let expected = kinds.contains(&kind.as_str());
        assert!(expected || tally["entries"] == 0, "{kind}: {seen}");
    }
}

#[test]
fn every_event_that_the_kernel_dropped_is_in_the_ledger() {
    const FLOWS: u64 = 5000;
    let general = "NetlinkBufferSize 131072\nNetlinkBufferSizeMaxGrowth 400000\nNetlinkOverrunResync 1";
    let cluster = Cluster::start(Zctd, Zctd, Settings { general, ..Settings::default() });
    let before = until(&cluster, At::Here, &[]);
    let pid = Pid::from_raw(cluster.pid(At::Here) as i32);
    kill(pid, Signal::SIGSTOP).expect("the daemon");
    cluster.must(At::Here, &["-R", "-"], &mixture(1, FLOWS as usize));
    kill(pid, Signal::SIGCONT).expect("the daemon");
    cluster.agree_on(At::There, "what was lost too", FLOWS as usize);
    until(&cluster, At::Here, &[]);
    let seen = with_ledger(&cluster, At::Here);
    // One event for each flow.
    let came = number(&seen["events"]["received"]) - number(&before["events"]["received"]);
    let dropped = FLOWS - came;
    assert!(dropped > 1000, "{seen}");
    assert_eq!(lost(&seen, "overrun"), (dropped, dropped), "{seen}");
    assert_eq!(ways(&seen, "overrun"), ["comparison"]);
    assert_eq!((&seen["events"]["lost"], &seen["events"]["repaired"]), (&dropped.into(), &dropped.into()));
    only(&seen, &["overrun"]);
    let log = cluster.log(At::Here);
    let told: u64 = numbers(&log, "events dropped by the kernel: ", " more");
    assert_eq!(told, dropped, "{log}");
}

/// The sum of the numbers in the log between two texts.
fn numbers(log: &str, before: &str, after: &str) -> u64 {
    let found = log.lines().filter_map(|l| l.split_once(before)?.1.split_once(after)?.0.parse::<u64>().ok());
    found.sum()
}

#[test]
fn without_a_comparison_nothing_repairs_lost_events() {
    let general = "NetlinkBufferSize 131072\nNetlinkBufferSizeMaxGrowth 400000\nNetlinkOverrunResync off";
    let cluster = Cluster::start(Zctd, Zctd, Settings { general, ..Settings::default() });
    let before = number(&until(&cluster, At::Here, &[])["events"]["received"]);
    let pid = Pid::from_raw(cluster.pid(At::Here) as i32);
    kill(pid, Signal::SIGSTOP).expect("the daemon");
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 5000));
    kill(pid, Signal::SIGCONT).expect("the daemon");
    eventually("the losses", || {
        let seen = with_ledger(&cluster, At::Here);
        let all = number(&seen["events"]["received"]) - before + lost(&seen, "overrun").0;
        if all == 5000 { Ok(()) } else { Err(seen.to_string()) }
    });
    let seen = with_ledger(&cluster, At::Here);
    assert_eq!((lost(&seen, "overrun").1, ways(&seen, "overrun")), (0, vec![Value::Null]));
    // All that can be repaired has been.
    until(&cluster, At::Here, &[]);
}

/// Loses one datagram in ten, in each direction.
const LOSS: &str = "add table inet bad\n\
    add chain inet bad in { type filter hook input priority 0; }\n\
    add rule inet bad in udp dport 3780 numgen random mod 10 < 1 drop\n";

/// How many messages to a node are neither received there nor known to be lost.
fn astray(cluster: &Cluster, at: At) -> (i64, String) {
    let (there, here) = (status(cluster, at.other()), status(cluster, at));
    let (sent, peer) = (number(&there["peers"][0]["sent"]), &here["peers"][0]);
    let (came, missing) = (number(&peer["received"]), lost(&here, "gap").0);
    assert_eq!((number(&peer["late"]), number(&peer["lost"])), (0, missing), "{here}");
    (sent as i64 - came as i64 - missing as i64, format!("{sent} sent, {came} here, {missing} lost"))
}

/// The same before anything is lost: what a node says before the other one has started is for nobody. One that is
/// under way makes a difference at most once in three looks.
fn into_the_void(cluster: &Cluster, at: At) -> i64 {
    let mut seen = Vec::new();
    eventually("as many as before", || {
        seen.push(astray(cluster, at).0);
        matches!(seen[..], [.., a, b, c] if a == b && b == c).then_some(()).ok_or(format!("{seen:?}"))
    });
    seen.last().copied().expect("three looks")
}

/// What one node has sent is what the other has received, and what it knows to be lost.
fn found(cluster: &Cluster, at: At, before: i64) {
    eventually("all losses", || {
        let (now, said) = astray(cluster, at);
        if now == before { Ok(()) } else { Err(format!("{said}, {before} before")) }
    });
}

#[test]
fn every_message_that_did_not_come_is_in_the_ledger() {
    let cluster = Cluster::start(Zctd, Zctd, Settings::default());
    both_in_sync(&cluster);
    let before = [At::Here, At::There].map(|at| into_the_void(&cluster, at));
    cluster.rules(LOSS);
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 5000));
    cluster.must(At::There, &["-R", "-"], &mixture(2, 2500));
    cluster.must(At::Here, &["-U", "-p", "tcp", "-m", "5"], "");
    cluster.must(At::Here, &["-D", "-p", "udp"], "");
    cluster.agree(At::There, "everything in spite of losses");
    cluster.agree(At::Here, "everything in spite of losses, the other way");
    cluster.rules("delete table inet bad\n");
    for (at, before) in [At::Here, At::There].into_iter().zip(before) {
        until(&cluster, at, &[]);
        found(&cluster, at, before);
        let seen = with_ledger(&cluster, at);
        let (lost, repaired) = lost(&seen, "gap");
        assert!(lost > 0 && lost == repaired, "{seen}");
        assert_eq!(ways(&seen, "gap"), ["resent"], "{seen}");
        only(&seen, &["gap"]);
        assert!(number(&seen["peers"][0]["resent"]) > 0, "{seen}");
    }
}

/// The peer cannot be reached for so long that the queue of what it may ask for again overflows.
#[test]
fn what_the_resend_queue_gave_up_is_repaired_by_a_bulk() {
    let settings = Settings { mode_options: "ResendQueueSize 300\nACKWindowSize 20", ..Settings::default() };
    let cluster = Cluster::start(Zctd, Zctd, settings);
    both_in_sync(&cluster);
    cluster.rules(&LOSS.replace("numgen random mod 10 < 1", ""));
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 5000));
    eventually("an overflow", || {
        let seen = with_ledger(&cluster, At::Here);
        let pending = number(&seen["losses"]["resend_queue"]["pending"]);
        if pending > 0 && lost(&seen, "resend_queue").0 > 4000 { Ok(()) } else { Err(seen.to_string()) }
    });
    until(&cluster, At::Here, &["peer"]);
    // What was given up is as old as before.
    eventually("a lag", || {
        let seen = status(&cluster, At::Here);
        let lag = &seen["peers"][0]["lag"];
        let so = lag["messages"] == 300 && lag["seconds"].as_f64() > Some(4.0);
        if so { Ok(()) } else { Err(seen.to_string()) }
    });
    cluster.rules("delete table inet bad\n");
    cluster.agree_on(At::There, "everything", 5000);
    both_in_sync(&cluster);
    let seen = with_ledger(&cluster, At::Here);
    let (given_up, repaired) = lost(&seen, "resend_queue");
    assert_eq!((given_up, ways(&seen, "resend_queue")), (repaired, vec!["bulk".into()]), "{seen}");
    let queues = cluster.ask(At::Here, &["-s", "queue"]);
    assert!(queues.contains(&format!("not enough space errors:\t{given_up:12}\n")), "{queues}");
}

#[test]
fn where_nobody_asks_again_a_gap_stays() {
    let cluster = Cluster::start(Zctd, Zctd, Settings { mode: "NOTRACK", ..Settings::default() });
    both_in_sync(&cluster);
    let before = into_the_void(&cluster, At::There);
    cluster.rules(LOSS);
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 5000));
    eventually("losses", || {
        let seen = status(&cluster, At::There);
        if lost(&seen, "gap").0 > 0 { Ok(()) } else { Err(seen.to_string()) }
    });
    cluster.rules("delete table inet bad\n");
    // The last messages may have been lost, which the next one shows.
    cluster.must(At::Here, &["-R", "-"], &mixture(2, 1));
    found(&cluster, At::There, before);
    let seen = with_ledger(&cluster, At::There);
    assert_eq!((lost(&seen, "gap").1, ways(&seen, "gap")), (0, vec![Value::Null]), "{seen}");
}

#[test]
fn nonsense_and_strangers_are_counted_one_by_one() {
    let cluster = Cluster::start(Zctd, Zctd, Settings::default());
    until(&cluster, At::Here, &[]);
    cluster.inside(At::There, || {
        let ip = zct_tests::program::find("ip", "iproute2");
        let added = std::process::Command::new(ip).args(["addr", "add", "10.9.0.3/24", "dev", "v1"]).status();
        assert!(added.expect("ip").success());
    });
    // A message of a version that there is not, and one of the right form from somebody else. No more at a
    // time than fit the receive buffer, and not so many strangers that the kernel gets to drop them.
    let version = ("10.9.0.2:0", [0x20, 0, 0, 8, 0, 0, 0, 1]);
    let stranger = ("10.9.0.3:0", [0x10, 0, 0, 8, 0, 0, 0, 1]);
    let (mut malformed, mut refused) = (0, 0);
    for _ in 0..5 {
        for ((from, bytes), count) in [(version, 100), (stranger, 12)] {
            cluster.inside(At::There, || {
                let socket = std::net::UdpSocket::bind(from).expect("a socket");
                (0..count).for_each(|_| _ = socket.send_to(&bytes, "10.9.0.1:3780").expect("sent"));
            });
        }
        (malformed, refused) = (malformed + 100, refused + 12);
        eventually("all of them", || {
            let seen = with_ledger(&cluster, At::Here);
            let all = lost(&seen, "malformed") == (malformed, 0) && lost(&seen, "refused") == (refused, 0);
            if all { Ok(()) } else { Err(seen.to_string()) }
        });
    }
    let seen = with_ledger(&cluster, At::Here);
    assert_eq!(seen["peers"][0]["malformed"]["version"], 500);
    only(&seen, &["malformed", "refused"]);
    until(&cluster, At::Here, &[]);
}

/// More flows than a cache of 10 has room for, and of these all but four end while its daemon is stopped, so
/// that it sees the room in one go.
fn too_many_and_then_few(cluster: &Cluster, full: At, kind: &str, way: &str) {
    both_in_sync(cluster);
    cluster.must(At::There, &["-R", "-"], &mixture(2, 40));
    eventually("the losses", || {
        let seen = with_ledger(cluster, full);
        if lost(&seen, kind) == (30, 0) { Ok(()) } else { Err(seen.to_string()) }
    });
    let seen = with_ledger(cluster, full);
    assert!(number(&seen["losses"][kind]["pending"]) > 0, "{seen}");
    assert_eq!(ways(&seen, kind), [way], "{seen}");
    let pid = Pid::from_raw(cluster.pid(full) as i32);
    kill(pid, Signal::SIGSTOP).expect("the daemon");
    cluster.must(At::There, &["-D", "-f", "ipv6"], "");
    cluster.must(At::There, &["-D", "-f", "ipv4", "!", "-d", "10.200.0.1"], "");
    kill(pid, Signal::SIGCONT).expect("the daemon");
    eventually("the repair", || {
        let seen = with_ledger(cluster, full);
        let (all, repaired) = lost(&seen, kind);
        if all >= 30 && all == repaired { Ok(()) } else { Err(seen.to_string()) }
    });
    cluster.agree_on(At::Here, "what is left", 4);
    let seen = with_ledger(cluster, full);
    only(&seen, &[kind]);
    assert_eq!(number(&seen["losses"][kind]["pending"]), 0, "{seen}");
    assert_eq!(ways(&seen, kind), [way], "{seen}");
}

#[test]
fn what_does_not_fit_a_cache_is_in_the_ledger_until_it_fits() {
    let cluster = Cluster::start(Zctd, Zctd, Settings { general: "HashLimit 10", ..Settings::default() });
    too_many_and_then_few(&cluster, At::There, "cache_full", "comparison");
}

#[test]
fn what_does_not_fit_the_peers_cache_is_in_its_ledger_until_it_fits() {
    let mut cluster =
        Cluster::prepare(Zctd, Zctd, Settings { general: "HashLimit 40", ..Settings::default() });
    let file = cluster.configuration(At::Here);
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text.replace("HashLimit 40", "HashLimit 10")).expect("the configuration");
    cluster.run(At::Here);
    cluster.run(At::There);
    too_many_and_then_few(&cluster, At::Here, "peer_cache_full", "bulk");
}

/// Sends `node` messages as its peer would, each in a datagram of its own.
fn as_peer(cluster: &Cluster, node: At, flows: &[Flow], first: u32) {
    let messages: Vec<Vec<u8>> = (first..)
        .zip(flows)
        .map(|(seq, flow)| {
            let mut buf = [0; 1024];
            let len = flow.encode(&mut buf, Event::New, 0, seq, Encode::default()).expect("room");
            buf[..len].to_vec()
        })
        .collect();
    cluster.inside(node.other(), || {
        let socket = std::net::UdpSocket::bind("10.9.0.2:0").expect("a socket");
        messages.iter().for_each(|m| _ = socket.send_to(m, "10.9.0.1:3780").expect("sent"));
    });
}

/// A TCP flow in a state with this number.
fn tcp(port: u16, state: u8) -> Flow {
    let orig = Tuple {
        src: Some(Addr::V4([10, 2, 0, 1])),
        dst: Some(Addr::V4([10, 200, 0, 1])),
        proto: Some(6),
        src_port: Some(port),
        dst_port: Some(80),
        ..Tuple::default()
    };
    let proto = Some(ProtoInfo::Tcp(TcpInfo { state: Some(state), ..TcpInfo::default() }));
    Flow { orig, status: Some(8), timeout_s: Some(900), proto, ..Flow::default() }
}

fn until_external(cluster: &Cluster, flows: usize) {
    eventually("the flows", || {
        let seen = status(cluster, At::Here);
        if seen["caches"]["external"]["flows"] == flows { Ok(()) } else { Err(seen.to_string()) }
    });
}

#[test]
fn a_gap_is_as_large_as_what_is_missing_and_open_until_it_is_answered() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    cluster.run(At::Here);
    let flows: Vec<Flow> = (0..10).map(|n| tcp(1000 + n, 3)).collect();
    as_peer(&cluster, At::Here, &flows, 5000);
    until_external(&cluster, 10);
    only(&with_ledger(&cluster, At::Here), &[]);
    as_peer(&cluster, At::Here, &[tcp(2000, 3)], 5010 + 123);
    until_external(&cluster, 11);
    let seen = with_ledger(&cluster, At::Here);
    assert_eq!(lost(&seen, "gap"), (123, 0));
    assert_eq!((&seen["losses"]["gap"]["pending"], ways(&seen, "gap")), (&1.into(), vec!["resent".into()]));
    assert!(seen["missing"].as_array().expect("a list").contains(&"resync".into()), "{seen}");
    only(&seen, &["gap"]);
}

/// The kernel knows fewer states than a byte has values.
#[test]
fn what_the_kernel_refuses_is_in_the_ledger() {
    let flows: Vec<Flow> = (0..17).map(|n| tcp(1000 + n, if n < 7 { 99 } else { 3 })).collect();
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    cluster.run(At::Here);
    as_peer(&cluster, At::Here, &flows, 5000);
    until_external(&cluster, 17);
    let commit = cluster.ask_by(Zctd, At::Here, &["-c"]);
    assert_eq!(commit.exit, Exit::Code(1), "{commit:?}");
    let seen = with_ledger(&cluster, At::Here);
    assert_eq!((&seen["commit"]["failed"], &seen["commit"]["done"]), (&7.into(), &10.into()), "{seen}");
    assert_eq!((lost(&seen, "commit"), ways(&seen, "commit")), ((7, 0), vec![Value::Null]));
    only(&seen, &["commit"]);
    let shown = cluster.ask_by(Zctd, At::Here, &["status", "--ledger"]).out();
    assert!(shown.contains(": 7 entries that the kernel refused in a commit\n"), "{shown}");

    // The same where the kernel gets them at once.
    let settings = Settings { mode_options: "DisableExternalCache On", ..Settings::default() };
    let mut cluster = Cluster::prepare(Zctd, Zctd, settings);
    cluster.run(At::Here);
    as_peer(&cluster, At::Here, &flows, 5000);
    eventually("the refusals", || {
        let seen = with_ledger(&cluster, At::Here);
        if lost(&seen, "injection") == (7, 0) { Ok(()) } else { Err(seen.to_string()) }
    });
    only(&with_ledger(&cluster, At::Here), &["injection"]);
}
