//! What two daemons do about differences that nobody has told them of: in the kernel, in either cache, and on the
//! wire. Nothing here is a command to the daemon; it has to find out by itself (sync-protocol.md §10).

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::netns::sysctl;

use Which::{Original, Zctd};

const OFTEN: &str = "DigestInterval 1 ReviewInterval 2";

fn often() -> Settings {
    Settings { options: OFTEN, ..Settings::default() }
}

fn status(cluster: &Cluster, at: At) -> serde_json::Value {
    let text = cluster.ask_by(Zctd, at, &["status", "--json"]).out();
    serde_json::from_str(&text).expect("JSON")
}

fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Comparisons with the peer: how many there were, differences, repairs.
fn digest(cluster: &Cluster, at: At) -> [u64; 3] {
    let status = status(cluster, at);
    ["checks", "differences", "repairs"].map(|what| number(&status["peers"][0]["digest"][what]))
}

/// Comparisons with the kernel: how many there were, and differences.
fn review(cluster: &Cluster, at: At) -> [u64; 2] {
    let status = status(cluster, at);
    ["checks", "differences"].map(|what| number(&status["events"]["review"][what]))
}

/// Waits for this many more comparisons of either kind on both nodes, and returns when there were no differences.
fn compared(cluster: &Cluster, more: u64) {
    for at in [At::Here, At::There] {
        let before = (digest(cluster, at)[0], review(cluster, at)[0]);
        eventually("comparisons go on", || {
            let now = (digest(cluster, at)[0], review(cluster, at)[0]);
            if now.0 >= before.0 + more && now.1 >= before.1 + more {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        });
    }
}

/// Two nodes that know each other's flows, and have compared them.
fn pair() -> Cluster {
    let cluster = Cluster::start(Zctd, Zctd, often());
    for (at, net) in [(At::Here, 1), (At::There, 2)] {
        cluster.must(at, &["-R", "-"], &mixture(net, 200));
    }
    for at in [At::Here, At::There] {
        cluster.agree(at, "the flows");
    }
    compared(&cluster, 2);
    cluster
}

const FLOW: &str = "-p udp -s 10.77.1.2 -d 10.77.3.4 --sport 4661 --dport 4662";

fn words(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

/// Waits until the peer of `at` has the flow as its kernel has it, with this in its line; `None` for no flow.
fn known(cluster: &Cluster, at: At, what: Option<&str>) {
    eventually(what.unwrap_or("the end"), || {
        let [own, known] = [cluster.internal(at), cluster.external(at.other())];
        let line = known.iter().find(|l| l.contains("src=10.77.1.2"));
        let so = match (line, what) {
            (None, None) => true,
            (Some(line), Some(text)) => line.contains(text),
            _ => false,
        };
        if so && own == known { Ok(()) } else { Err(format!("{line:?}")) }
    });
}

/// A flow that begins while events are switched off has none in its whole life.
#[test]
fn what_the_kernel_does_not_tell_is_found() {
    let cluster = pair();
    let run = |command: &str| cluster.must(At::Here, &words(command), "");
    sysctl("nf_conntrack_events", "0");
    run(&format!("-I {FLOW} -t 900 -m 5"));
    sysctl("nf_conntrack_events", "1");
    known(&cluster, At::Here, Some("mark=5"));
    run(&format!("-U {FLOW} -m 6"));
    known(&cluster, At::Here, Some("mark=6"));
    run(&format!("-D {FLOW}"));
    known(&cluster, At::Here, None);
    compared(&cluster, 2);
    assert_eq!(review(&cluster, At::Here)[1], 3, "one at a time");
    assert_eq!((review(&cluster, At::There)[1], digest(&cluster, At::There)[1]), (0, 0));
    let losses = &status(&cluster, At::Here)["losses"]["untold"];
    assert_eq!([&losses["estimate"], &losses["pending"]].map(number), [3, 0]);
}

/// Four bytes of a datagram that somebody changes on the way; the kernel makes the checksum right again.
#[test]
fn what_the_wire_changes_is_found() {
    let cluster = pair();
    cluster.must(At::Here, &words(&format!("-I {FLOW} -t 900 -m 5")), "");
    known(&cluster, At::Here, Some("mark=5"));
    compared(&cluster, 1);
    // An acknowledgement of sixteen bytes may stand before the message.
    let rule = |bytes: u32| {
        let at = 8 * (8 + bytes);
        format!("udp dport 3780 @th,{at},32 0x11111111 counter @th,{at},32 set 0x22222222\n")
    };
    let rules: String = (0..40).map(|n| rule(4 * n)).collect();
    cluster.rules(&format!(
        "table inet wire {{\nchain out {{\ntype filter hook output priority 0; policy accept;\n{rules}}}\n}}\n"
    ));
    cluster.must(At::Here, &words(&format!("-U {FLOW} -m {}", 0x1111_1111)), "");
    eventually("the wire changes it", || {
        let differs = digest(&cluster, At::There)[1] > 0;
        if differs { Ok(()) } else { Err(format!("{:?}", cluster.external(At::There))) }
    });
    cluster.rules("delete table inet wire\n");
    known(&cluster, At::Here, Some(&format!("mark={}", 0x1111_1111)));
    compared(&cluster, 2);
    assert_eq!(digest(&cluster, At::Here)[1], 0, "the other direction");
}

/// Changes the mark of the flow in the memory of a daemon; returns how many copies there were.
fn alter_memory(pid: u32, from: u32, to: u32) -> usize {
    // The tuple as a record has it.
    let key = [10, 77, 1, 2, 10, 77, 3, 4, 0x12, 0x35, 0x12, 0x36, 17];
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the maps");
    let mut memory =
        fs::File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).expect("its memory");
    let mut altered = 0;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let Some((begin, end)) = range.split_once('-').filter(|_| rights.starts_with("rw")) else { continue };
        let [begin, end] = [begin, end].map(|n| u64::from_str_radix(n, 16).expect("an address"));
        let mut bytes = vec![0; (end - begin) as usize];
        let there = memory.seek(SeekFrom::Start(begin)).and_then(|_| memory.read_exact(&mut bytes));
        if there.is_err() {
            continue;
        }
        for at in (0..bytes.len().saturating_sub(key.len())).filter(|at| bytes[*at..].starts_with(&key)) {
            let near = at.saturating_sub(64)..(at + 96).min(bytes.len() - 4);
            for mark in near.filter(|m| bytes[*m..].starts_with(&from.to_ne_bytes())) {
                memory.seek(SeekFrom::Start(begin + mark as u64)).expect("a place");
                memory.write_all(&to.to_ne_bytes()).expect("its memory can be written");
                altered += 1;
            }
        }
    }
    altered
}

const MARK: u32 = 0x5a17_c3e9;

#[test]
fn what_changes_in_the_external_cache_is_found() {
    let cluster = pair();
    cluster.must(At::Here, &words(&format!("-I {FLOW} -t 900 -m {MARK}")), "");
    known(&cluster, At::Here, Some(&format!("mark={MARK}")));
    compared(&cluster, 1);
    assert!(alter_memory(cluster.pid(At::There), MARK, 77) > 0);
    assert!(cluster.external(At::There).iter().any(|l| l.contains("src=10.77.1.2") && l.contains("mark=77")));
    known(&cluster, At::Here, Some(&format!("mark={MARK}")));
    compared(&cluster, 2);
    assert_eq!(digest(&cluster, At::There)[1..], [1, 1]);
}

/// Its own cache is what a daemon believes, and so does its peer, until the kernel says otherwise.
#[test]
fn what_changes_in_the_internal_cache_is_found() {
    let cluster = pair();
    cluster.must(At::Here, &words(&format!("-I {FLOW} -t 900 -m {MARK}")), "");
    known(&cluster, At::Here, Some(&format!("mark={MARK}")));
    compared(&cluster, 1);
    assert!(alter_memory(cluster.pid(At::Here), MARK, 77) > 0);
    eventually("it is found", || {
        let found = review(&cluster, At::Here)[1];
        if found > 0 { Ok(()) } else { Err("not yet".into()) }
    });
    known(&cluster, At::Here, Some(&format!("mark={MARK}")));
    compared(&cluster, 2);
    assert_eq!(review(&cluster, At::Here)[1], 1);
}

/// Flows come and go all the time, and each comparison is right.
#[test]
fn a_load_makes_no_difference() {
    let cluster = pair();
    let loads = [cluster.churn(At::Here, 31, 4000), cluster.churn(At::There, 32, 2000)];
    compared(&cluster, 4);
    loads.into_iter().for_each(|l| _ = l.end());
    for at in [At::Here, At::There] {
        cluster.agree(at, "after the load");
    }
    compared(&cluster, 2);
    for at in [At::Here, At::There] {
        assert_eq!((digest(&cluster, at)[1], review(&cluster, at)[1]), (0, 0), "{at:?}");
    }
}

const QUIET: [(&str, &str); 2] = [("NOTRACK", ""), ("ALARM", "RefreshTime 600 CacheTimeout 1200")];

/// Waits until both have compared once more, and were equal.
fn equal(cluster: &Cluster) {
    for at in [At::Here, At::There] {
        let last = |status: &serde_json::Value| status["peers"][0]["digest"]["last_equal"].as_f64();
        let before = last(&status(cluster, at));
        eventually("they are equal", || {
            let now = status(cluster, at);
            // The same moment may be told with other fractions; the next one is a second away.
            if last(&now).is_some_and(|t| before.is_none_or(|b| t > b + 0.5)) {
                Ok(())
            } else {
                Err(now["peers"][0]["digest"].to_string())
            }
        });
    }
}

/// Where nobody acknowledges anything: a flow begins, another one changes, a third one ends, and the datagrams that
/// tell of it are lost.
#[test]
fn what_nobody_asks_for_again_is_found() {
    for (mode, mode_options) in QUIET {
        let options = "Digest on DigestInterval 1";
        let cluster =
            Cluster::start(Zctd, Zctd, Settings { mode, mode_options, options, ..Settings::default() });
        for (at, net) in [(At::Here, 1), (At::There, 2)] {
            cluster.must(at, &["-R", "-"], &mixture(net, 200));
        }
        cluster.must(At::Here, &words(&format!("-I {FLOW} -t 900 -m 5")), "");
        for at in [At::Here, At::There] {
            cluster.agree(at, "the flows");
        }
        equal(&cluster);
        let drop = "udp dport 3780 counter drop\n";
        let lost = |what: &str| {
            cluster.rules(&format!(
                "table inet lossy {{\nchain come {{\ntype filter hook input priority 0; policy accept;\n{drop}}}\n}}\n"
            ));
            cluster.must(At::Here, &words(what), "");
            eventually("the daemon knows", || {
                let own = cluster.internal(At::Here);
                let line = own.iter().find(|l| l.contains("src=10.77.1.2"));
                let so = match line {
                    None => what.starts_with("-D"),
                    Some(line) => what.starts_with("-I") || line.contains("mark=6"),
                };
                if so { Ok(()) } else { Err(format!("{line:?}")) }
            });
            // What it says of that comes to nothing: a sign of life or a question goes out later, and is lost too.
            let before = number(&status(&cluster, At::Here)["peers"][0]["sent"]);
            eventually("it has said so", || {
                let now = number(&status(&cluster, At::Here)["peers"][0]["sent"]);
                if now > before { Ok(()) } else { Err(now.to_string()) }
            });
            cluster.rules("delete table inet lossy\n");
        };
        let before = digest(&cluster, At::There);
        lost(&format!("-U {FLOW} -m 6"));
        known(&cluster, At::Here, Some("mark=6"));
        equal(&cluster);
        lost(&format!("-D {FLOW}"));
        known(&cluster, At::Here, None);
        equal(&cluster);
        lost(&format!("-I {FLOW} -t 900 -m 7"));
        known(&cluster, At::Here, Some("mark=7"));
        equal(&cluster);
        let after = digest(&cluster, At::There);
        assert!(after[1] >= before[1] + 3 && after[2] >= before[2] + 3, "{mode}: {before:?} {after:?}");
        assert_eq!(digest(&cluster, At::Here)[1], 0, "{mode}: the other direction");
        let removed = number(&status(&cluster, At::There)["peers"][0]["digest"]["removed"]);
        assert_eq!(removed, 1, "{mode}");
        let text = cluster.ask(At::There, &["status", "--ledger"]);
        assert!(text.contains("repaired"), "{text}");
        // Flows come and go, and it stays so.
        let loads = [cluster.churn(At::Here, 31, 2000), cluster.churn(At::There, 32, 1000)];
        equal_checks(&cluster, 3);
        loads.into_iter().for_each(|l| _ = l.end());
        for at in [At::Here, At::There] {
            cluster.agree(at, "after the load");
        }
        equal(&cluster);
    }
}

/// Waits for so many more comparisons on both.
fn equal_checks(cluster: &Cluster, more: u64) {
    for at in [At::Here, At::There] {
        let before = digest(cluster, at)[0];
        eventually("comparisons go on", || {
            let now = digest(cluster, at)[0];
            if now >= before + more { Ok(()) } else { Err(now.to_string()) }
        });
    }
}

/// An original in these modes takes the sign of life of a daemon that compares for one, or for nothing.
#[test]
fn an_original_that_acknowledges_nothing_is_left_alone() {
    for (mode, mode_options) in QUIET {
        let settings = Settings { mode, mode_options, ..Settings::default() };
        let mut cluster = Cluster::prepare(Zctd, Original, settings);
        let file = cluster.configuration(At::Here);
        let text = fs::read_to_string(&file).expect("a configuration");
        let with = "Options { Digest on DigestInterval 1 ";
        fs::write(&file, text.replace("Options { ", with)).expect("a configuration");
        cluster.run(At::Here);
        cluster.run(At::There);
        for (at, net) in [(At::Here, 1), (At::There, 2)] {
            cluster.must(at, &["-R", "-"], &mixture(net, 200));
        }
        for at in [At::Here, At::There] {
            cluster.agree(at, "the flows");
        }
        let sent = || number(&status(&cluster, At::Here)["peers"][0]["sent"]);
        let before = sent();
        eventually("signs of life go out", || {
            let now = sent();
            if now >= before + 4 { Ok(()) } else { Err(now.to_string()) }
        });
        assert_eq!(digest(&cluster, At::Here), [0, 0, 0]);
        let network = cluster.ask(At::There, &["-s", "network"]);
        let bad = network.lines().find(|l| l.contains("Malformed")).expect("a count of malformed messages");
        assert!(bad.split_ascii_whitespace().any(|w| w == "0"), "{mode}: {network}");
    }
}

/// An original next to a daemon that would compare: nothing that it does not know is sent to it.
#[test]
fn an_original_is_left_alone() {
    let mut cluster = Cluster::prepare(Zctd, Original, Settings::default());
    let file = cluster.configuration(At::Here);
    let text = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, text.replace("Options { ", &format!("Options {{ {OFTEN} "))).expect("a configuration");
    cluster.run(At::Here);
    cluster.run(At::There);
    for (at, net) in [(At::Here, 1), (At::There, 2)] {
        cluster.must(at, &["-R", "-"], &mixture(net, 200));
    }
    cluster.ask(At::Here, &["-n"]);
    cluster.agree(At::There, "our flows");
    let before = review(&cluster, At::Here)[0];
    eventually("we go on", || {
        let now = review(&cluster, At::Here)[0];
        if now >= before + 3 { Ok(()) } else { Err(now.to_string()) }
    });
    assert_eq!(digest(&cluster, At::Here), [0, 0, 0]);
    let network = cluster.ask(At::There, &["-s", "network"]);
    let bad = network.lines().find(|l| l.contains("Malformed")).expect("a count of malformed messages");
    assert!(bad.split_ascii_whitespace().any(|w| w == "0"), "{network}");
}

/// An original can be asked for everything on a schedule, which makes good what nobody has noticed.
#[test]
fn an_original_is_asked_for_everything_if_that_is_wanted() {
    for mode in ["FTFW", "NOTRACK"] {
        let settings = Settings { mode, ..Settings::default() };
        let mut cluster = Cluster::prepare(Zctd, Original, settings);
        let file = cluster.configuration(At::Here);
        let text = fs::read_to_string(&file).expect("a configuration");
        fs::write(&file, text.replace("Options { ", "Options { ResyncInterval 2 ")).expect("a configuration");
        cluster.run(At::Here);
        cluster.run(At::There);
        cluster.must(At::There, &words(&format!("-I {FLOW} -t 900 -m {MARK}")), "");
        known(&cluster, At::There, Some(&format!("mark={MARK}")));
        assert!(alter_memory(cluster.pid(At::Here), MARK, 77) > 0);
        known(&cluster, At::There, Some(&format!("mark={MARK}")));
    }
}
