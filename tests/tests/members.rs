//! Three zctd that know each other, in namespaces on one bridge: what each of them knows of which other, what
//! happens when one dies and another takes over, and two owners of one flow.

use serde_json::Value;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;
use zct_tests::cluster::{Which, difference, eventually, mixture};
use zct_tests::members::{Between, Members};
use zct_tests::program::{Exit, run};

const ALL: [u8; 3] = [1, 2, 3];
const FLOWS: usize = 40;

fn filled(between: Between, sync: &str) -> Members {
    let members = Members::start(3, between, sync);
    for number in ALL {
        members.zct(number, &["-R", "-"], &mixture(number, FLOWS));
    }
    ALL.into_iter().for_each(|of| members.agree(&ALL, of, FLOWS));
    members
}

fn status(members: &Members, number: u8) -> Value {
    // Its exit status says whether the node is in sync.
    let output = members.asked(number, &["status", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn peer<'a>(status: &'a Value, name: &str) -> &'a Value {
    let all = status["peers"].as_array().expect("peers");
    all.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("{name}: {all:?}"))
}

/// Each knows the flows of each other by its name and by its number, and says so in every form.
fn flows_are_known_by_node(members: &Members) {
    ALL.into_iter().for_each(|number| {
        members.ask(number, &["wait", "--synced", "--timeout", "20"]);
    });
    assert_eq!(members.known(1, 2), members.own(2));
    assert_eq!(members.ask(1, &["-e", "--from", "2"]), members.ask(1, &["-e", "--from", "fw-2"]));
    let all = members.ask(1, &["-e"]);
    for name in ["fw-2", "fw-3"] {
        let marked = all.lines().filter(|l| l.ends_with(&format!("[node {name}]"))).count();
        assert_eq!(marked, FLOWS, "{all}");
    }
    let xml = members.ask(1, &["-e", "-x", "--from", "fw-3"]);
    assert_eq!(xml.matches("<flow>").count(), FLOWS, "{xml}");
    let nobody = members.asked(1, &["-e", "--from", "fw-1"]);
    assert!(nobody.exit == Exit::Code(1) && nobody.err().contains("there is no Peer `fw-1'"), "{nobody:?}");
    let s = status(members, 1);
    assert_eq!((s["in_sync"].as_bool(), s["peers"].as_array().map(Vec::len)), (Some(true), Some(2)));
    for (name, node) in [("fw-2", 2), ("fw-3", 3)] {
        let p = peer(&s, name);
        assert_eq!((p["state"].as_str(), p["node"].as_u64()), (Some("up"), Some(node)), "{p}");
        assert_eq!(p["cache"]["flows"].as_u64(), Some(FLOWS as u64), "{p}");
    }
    assert_eq!(s["caches"]["external"]["flows"].as_u64(), Some(2 * FLOWS as u64));
    let said = members.ask(1, &["-s"]);
    assert!(said.contains("peer fw-2 (node 2):\n") && said.contains("peer fw-3 (node 3):\n"), "{said}");
}

/// The first dies, and the second takes over its flows and no others; the third learns that.
fn one_dies_and_another_takes_over(members: &mut Members) {
    let (of_first, of_third) = (members.own(1), members.own(3));
    members.kill(1);
    eventually("the first is silent", || match peer(&status(members, 2), "fw-1")["state"].as_str() {
        Some("silent") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // The cluster goes on without it.
    members.ask(2, &["wait", "--synced", "--timeout", "20"]);
    members.ask(2, &["-c", "--from", "fw-1"]);
    eventually("the second has them", || {
        let own = members.own(2);
        let has = of_first.iter().filter(|f| own.contains(*f)).count();
        // What is not known of another network namespace, such as helpers, is left out of the comparison.
        if has == FLOWS { Ok(()) } else { Err(format!("{has}: {:?}", of_first.difference(&own).next())) }
    });
    let of_others = of_third.iter().filter(|f| members.own(2).contains(*f)).count();
    assert_eq!(of_others, 0, "only those of one node were asked for");
    members.agree(&[3], 2, 2 * FLOWS);
    // Whoever returns gets all of it again.
    members.run(1);
    members.agree(&[1], 2, 2 * FLOWS);
    members.agree(&[1], 3, FLOWS);
    members.agree(&[2, 3], 1, FLOWS);
}

/// A key, and the text that has it used.
fn auth() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("key");
    let made = run(Command::new(Which::Zctd.path()).arg("genkey").arg(&key), b"");
    assert_eq!(made.exit, Exit::Code(0), "{made:?}");
    let text = format!("Auth {{ Key 1 file:{} \nActiveKey 1 }}", key.display());
    (dir, text)
}

fn refused(members: &Members, number: u8, name: &str, why: &str) -> u64 {
    let s = status(members, number);
    peer(&s, name)["sealing"]["refused"][why].as_u64().unwrap_or_else(|| panic!("{why}: {s}"))
}

/// Each pair compares what has been sent with what is stored.
fn each_pair_is_equal(members: &Members) {
    for number in ALL {
        eventually(&format!("{number} finds both equal"), || {
            let s = status(members, number);
            let peers = s["peers"].as_array().expect("peers");
            let equal = |p: &Value| !p["digest"]["last_equal"].is_null() && p["digest"]["differences"] == 0;
            if peers.iter().all(equal) { Ok(()) } else { Err(format!("{peers:?}")) }
        });
    }
}

/// Nobody acknowledges anything, and each two compare all the same: plainly, and in a group with one seal for all.
#[test]
fn three_nodes_that_acknowledge_nothing_compare() {
    let (_dir, auth) = auth();
    let options = "Options { Digest on DigestInterval 1 }";
    for mode in ["Mode NOTRACK { }", "Mode ALARM { RefreshTime 3 }"] {
        each_pair_is_equal(&filled(Between::Udp, &format!("{mode}\n{options}")));
        each_pair_is_equal(&filled(Between::Group, &format!("{mode}\n{options}\n{auth}")));
    }
}

/// Each peer has a seal of its own, so a frame for one says nothing to another: replayed there it is that of
/// a node which has yet to prove itself, or of one that is not the peer.
#[test]
fn three_nodes_that_seal_what_they_say_to_each() {
    let (_dir, auth) = auth();
    let mut members = filled(Between::Udp, &format!("{auth}\nOptions {{ Digest on DigestInterval 1 }}"));
    flows_are_known_by_node(&members);
    each_pair_is_equal(&members);
    for number in ALL {
        let s = status(&members, number);
        for p in s["peers"].as_array().expect("peers") {
            assert_eq!(p["authenticated"], true, "{p}");
        }
        assert_eq!(refused(&members, number, if number == 1 { "fw-2" } else { "fw-1" }, "foreign"), 0);
    }
    one_dies_and_another_takes_over(&mut members);
}

/// From plain to sealed while flows come and go: each step of each node leaves all of them in touch.
#[test]
fn three_nodes_come_to_seal_one_by_one() {
    let (_dir, auth) = auth();
    let members = filled(Between::Udp, "");
    let churn = members.churn(1, 20, 1000);
    for mode in ["receive-only", "permissive", "enforce"] {
        let auth = auth.replace("ActiveKey 1 }", &format!("ActiveKey 1 Mode {mode} }}"));
        assert!(auth.contains(mode));
        for number in ALL {
            members.reconfigure(number, Between::Udp, &auth);
            churn.more(300);
            members.agree(&ALL, 2, FLOWS);
            members.agree(&ALL, 3, FLOWS);
        }
    }
    churn.end();
    for number in [2, 3] {
        // What it has made last may still be on its way to its own daemon.
        eventually(&format!("{number} knows what is left"), || {
            let own = members.own(1);
            assert!(own.len() > FLOWS, "{own:?}");
            difference(&own, &members.known(number, 1))
        });
    }
    for number in ALL {
        // The last change may not have been proved to all yet.
        eventually(&format!("{number} has proof of all"), || {
            let s = status(&members, number);
            let proved = s["peers"].as_array().expect("peers").iter().all(|p| p["authenticated"] == true);
            if proved { Ok(()) } else { Err(s["peers"].to_string()) }
        });
        for p in status(&members, number)["peers"].as_array().expect("peers") {
            let why = |why: &str| p["sealing"]["refused"][why].as_u64();
            assert_eq!((why("plain"), why("forged")), (Some(0), Some(0)), "{p}");
        }
    }
}

/// Everything that is said in the group, repeated and changed by somebody on the same bridge.
#[test]
fn three_nodes_in_a_group_and_an_attacker_on_it() {
    const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(225, 0, 0, 50), 3780);
    let (_dir, auth) = auth();
    let mut members = Members::prepare(3, Between::Group, &auth);
    let attacker = members.bridge.member(9);
    let ear = attacker.inside(|| {
        let ear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, GROUP.1)).expect("the port");
        ear.join_multicast_v4(&GROUP.0, &Ipv4Addr::new(10, 9, 0, 9)).expect("the group");
        ear.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        ear
    });
    let heard = || -> Vec<Vec<u8>> {
        let mut buf = [0; 2048];
        std::iter::from_fn(|| ear.recv(&mut buf).ok().map(|n| buf[..n].to_vec())).collect()
    };
    ALL.into_iter().for_each(|number| members.run(number));
    for number in ALL {
        members.zct(number, &["-R", "-"], &mixture(number, FLOWS));
    }
    ALL.into_iter().for_each(|of| members.agree(&ALL, of, FLOWS));
    flows_are_known_by_node(&members);
    let tape = heard();
    // Messages are sealed for one node each, and all of them are heard.
    let addressees = tape.iter().filter(|f| f.get(1) == Some(&4)).map(|f| f[33]);
    let addressees: std::collections::BTreeSet<u8> = addressees.collect();
    assert_eq!(addressees, ALL.into());
    assert!(tape.iter().all(|f| f[0] == 0x50 && f[1] != 0), "nothing plain, and nothing for nobody");
    attacker.inside(|| {
        let mouth = UdpSocket::bind((Ipv4Addr::new(10, 9, 0, 9), 0)).expect("the address");
        for (n, frame) in tape.iter().rev().enumerate().take(3000) {
            let mut changed = frame.clone();
            changed[(n * 7919) % frame.len()] ^= 1 << (n % 8);
            // For another node than it was sealed for.
            let mut turned = frame.clone();
            if turned[1] == 4 {
                turned[33] = turned[33] % 3 + 1;
            }
            for f in [frame, &changed, &turned, &vec![0x10, 0, 0, 8, 0, 0, 0, 1]] {
                _ = mouth.send_to(f, GROUP);
            }
        }
    });
    for number in ALL {
        let name = if number == 1 { "fw-2" } else { "fw-1" };
        for why in ["repeated", "forged", "plain"] {
            eventually(&format!("{number} refuses what is {why}"), || {
                (refused(&members, number, name, why) > 0).then_some(()).ok_or("nothing yet".into())
            });
        }
    }
    ALL.into_iter().for_each(|of| members.agree(&ALL, of, FLOWS));
    for number in ALL {
        for name in ["fw-1", "fw-2", "fw-3"].iter().filter(|n| !n.ends_with(&number.to_string())) {
            let s = status(&members, number);
            assert_eq!(peer(&s, name)["malformed"]["version"], 0);
            assert_eq!(peer(&s, name)["authenticated"], true);
        }
    }
    one_dies_and_another_takes_over(&mut members);
}

#[test]
fn three_nodes_over_udp() {
    let mut members = filled(Between::Udp, "");
    flows_are_known_by_node(&members);
    one_dies_and_another_takes_over(&mut members);
}

#[test]
fn three_nodes_over_tcp() {
    let mut members = filled(Between::Tcp, "");
    flows_are_known_by_node(&members);
    one_dies_and_another_takes_over(&mut members);
}

/// A commit of many flows does not listen to its own events; what it has made is told to those that did not
/// own it all the same, and the metrics tell whose flows are known.
#[test]
fn many_flows_are_taken_over() {
    const MANY: usize = 2500;
    let mut members = Members::start(3, Between::Udp, "");
    members.zct(1, &["-R", "-"], &mixture(1, MANY));
    members.agree(&ALL, 1, MANY);
    let shown = || std::fs::read_to_string(members.file(3, "prom")).unwrap_or_default();
    eventually("the metrics", || {
        let wanted = format!("zctd_peer_flows{{peer=\"1\",node=\"fw-1\"}} {MANY}\n");
        let text = shown();
        if text.contains(&wanted) {
            Ok(())
        } else {
            Err(text.lines().filter(|l| l.contains("peer_flows")).collect())
        }
    });
    assert!(shown().contains("zctd_commit_conflicts_total 0\n"));
    members.kill(1);
    members.ask(2, &["-c", "--from", "1"]);
    members.agree(&[3], 2, MANY);
    // Nor is the third told of what the second never had.
    members.run(1);
    members.agree(&[1], 2, MANY);
    members.agree(&ALL, 3, 0);
}

/// The flow of the node where it has got further is committed; among equals the one that was told later.
#[test]
fn two_owners_of_one_flow() {
    let members = Members::start(3, Between::Udp, "");
    let flow = |port: u16, state: &str, timeout: u32| {
        format!(
            "-I -p tcp -s 10.1.0.1 -d 10.200.0.1 --sport {port} --dport 80 --state {state} -t {timeout} -u \
             SEEN_REPLY\n"
        )
    };
    members.zct(1, &["-R", "-"], &(flow(1000, "SYN_RECV", 700) + &flow(1001, "ESTABLISHED", 700)));
    members.zct(3, &["-R", "-"], &(flow(1000, "ESTABLISHED", 900) + &flow(1001, "SYN_RECV", 900)));
    members.agree(&[2], 1, 2);
    members.agree(&[2], 3, 2);
    members.ask(2, &["-c"]);
    let table = members.zct(2, &["-L", "-p", "tcp"], "");
    let committed = |port: &str| table.lines().find(|l| l.contains(port)).expect("it was committed");
    assert_eq!(table.lines().filter(|l| l.contains("dport=80")).count(), 2, "{table}");
    for (port, at_least) in [("sport=1000", 701), ("sport=1001", 600)] {
        let line = committed(port);
        let timeout: u32 = line.split_whitespace().nth(2).expect("a timeout").parse().expect("seconds");
        assert!(line.contains("ESTABLISHED") && timeout >= at_least, "{line}");
    }
    let s = status(&members, 2);
    assert_eq!(s["commit"]["conflicts"].as_u64(), Some(2), "{s}");
    assert!(members.said(2).contains("2 entries are left to another node that has a better claim"));
}

#[test]
fn flows_of_one_zone_are_taken_over() {
    let members = Members::start(3, Between::Udp, "");
    let flow = |zone: u16| {
        format!(
            "-I -p tcp -s 10.1.0.1 -d 10.200.0.1 --sport 1000 --dport 80 --state ESTABLISHED -t 900 -u \
             SEEN_REPLY -w {zone}\n"
        )
    };
    members.zct(1, &["-R", "-"], &(flow(7) + &flow(8)));
    members.zct(3, &["-R", "-"], &flow(9));
    members.agree(&[2], 1, 2);
    members.agree(&[2], 3, 1);
    members.ask(2, &["-c", "--zone", "8"]);
    let zones = || -> Vec<String> {
        let table = members.zct(2, &["-L", "-p", "tcp"], "");
        let words = table.lines().filter(|l| l.contains("dport=80")).flat_map(str::split_whitespace);
        let mut zones: Vec<_> = words.filter(|w| w.starts_with("zone=")).map(String::from).collect();
        zones.sort();
        zones
    };
    assert_eq!(zones(), ["zone=8"]);
    members.ask(2, &["-c", "ct", "--from", "1", "--zone", "7"]);
    assert_eq!(zones(), ["zone=7", "zone=8"]);
    let wrong = members.asked(2, &["-c", "expect", "--zone", "7"]);
    assert_eq!(wrong.exit, Exit::Code(1));
    assert!(wrong.err().contains("--zone with -c"), "{wrong:?}");
}
