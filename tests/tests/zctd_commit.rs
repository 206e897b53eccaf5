//! A commit of many flows does not listen to new ones: what traffic makes meanwhile has to arrive all the
//! same, in the internal cache and at the peer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};

/// Flows that are committed: more than a commit needs to stop listening.
const COMMITTED: usize = 6000;
/// Flows that traffic makes at a time.
const AT_ONCE: usize = 20;

/// Some flows of traffic: the batch that makes them, and the words that a cache shows of each.
fn traffic(round: usize) -> (String, Vec<String>) {
    let (mut batch, mut shown) = (String::new(), Vec::new());
    for n in 0..AT_ONCE {
        let (host, port) = (n + 1, 1024 + round);
        // Some are never changed after they were made, and some have what only their beginning tells.
        let state = if n % 2 == 0 { "-u SEEN_REPLY -m 77" } else { "" };
        _ = writeln!(
            batch,
            "-I -p udp -s 10.77.0.{host} -d 10.201.0.1 --sport {port} --dport 53 -t 900 {state}"
        );
        shown.push(format!("src=10.77.0.{host} dst=10.201.0.1 sport={port} dport=53"));
    }
    (batch, shown)
}

/// Two nodes, of which the second knows the first one's flows, and owes the first one nothing: who has just
/// started, or compares, asks for all flows, of which those that were committed are some.
fn prepared() -> Cluster {
    let settings = Settings { options: "Digest off", ..Settings::default() };
    let cluster = Cluster::start(Which::Zctd, Which::Zctd, settings);
    cluster.must(At::Here, &["-R", "-"], &mixture(1, COMMITTED));
    cluster.agree_on(At::There, "the flows at the second node", COMMITTED);
    cluster.ask(At::There, &["wait", "--synced", "--timeout", "60"]);
    cluster
}

/// Gives the second node commands, such as `-c -R`, while traffic makes flows there; returns what a cache
/// should show of those.
fn under_traffic(cluster: &Cluster, commands: &str) -> Vec<String> {
    let mut client = Command::new("sh")
        .args(["-ec", r#"for word in $3; do "$1" -C "$2" "$word"; done"#, "sh"])
        .arg(Which::Zctd.path())
        .arg(cluster.configuration(At::There))
        .arg(commands)
        .spawn()
        .expect("a shell");
    let (mut all, mut rounds) = (Vec::new(), 0);
    let status = loop {
        if let Some(status) = client.try_wait().expect("the client") {
            break status;
        }
        let (batch, shown) = traffic(rounds);
        cluster.must(At::There, &["-R", "-"], &batch);
        all.extend(shown);
        rounds += 1;
    };
    assert!(status.success(), "{commands}: {status}");
    assert!(rounds > 2, "the commit was over before there was traffic: commit more flows");
    all
}

/// Whether the cache shows all that is wanted.
fn shown(cache: &BTreeSet<String>, wanted: &[String]) -> Result<(), String> {
    let missing: Vec<_> = wanted.iter().filter(|w| !cache.iter().any(|l| l.contains(*w))).collect();
    match missing[..] {
        [] => Ok(()),
        [first, ..] => Err(format!("{} of {} are missing, such as {first}", missing.len(), wanted.len())),
    }
}

#[test]
fn traffic_during_a_commit_is_in_the_cache_and_at_the_peer() {
    let cluster = prepared();
    let wanted = under_traffic(&cluster, "-c");
    let all = COMMITTED + wanted.len();
    eventually("the internal cache", || {
        let cache = cluster.internal(At::There);
        shown(&cache, &wanted)?;
        if cache.len() == all { Ok(()) } else { Err(format!("{} flows of {all}", cache.len())) }
    });
    // The peer made the committed ones itself, and is told of the others only.
    eventually("the peer's cache", || {
        let cache = cluster.external(At::Here);
        shown(&cache, &wanted)?;
        if cache.len() == wanted.len() { Ok(()) } else { Err(format!("{} flows", cache.len())) }
    });
    // Ends are heard all the time, of both kinds.
    cluster.must(At::There, &["-D", "-s", "10.1.0.0/16"], "");
    cluster.must(At::There, &["-D", "-s", "10.77.0.1"], "");
    let kept = wanted.iter().filter(|w| !w.contains("src=10.77.0.1 ")).count();
    eventually("the ends", || {
        let (own, known) = (cluster.internal(At::There), cluster.external(At::Here));
        let ended =
            own.iter().chain(&known).find(|l| l.contains("src=10.1.") || l.contains("src=10.77.0.1 "));
        match ended {
            Some(line) => Err(line.clone()),
            None if known.len() == kept => Ok(()),
            None => Err(format!("{} flows of {kept}", known.len())),
        }
    });
}

#[test]
fn the_fail_over_scripts_commands_leave_nothing_out() {
    let cluster = prepared();
    let wanted = under_traffic(&cluster, "-c -f -R -B");
    cluster.agree_on(At::Here, "everything at the peer", COMMITTED + wanted.len());
    shown(&cluster.external(At::Here), &wanted).unwrap();
}

#[test]
fn a_second_commit_replaces_the_flows_and_is_as_quiet() {
    let cluster = prepared();
    cluster.ask(At::There, &["-c"]);
    cluster.ask(At::There, &["-c"]);
    cluster.ask(At::There, &["-R"]);
    assert_eq!(cluster.internal(At::There).len(), COMMITTED);
    assert_eq!(cluster.table(At::There).len(), COMMITTED);
    assert_eq!(cluster.external(At::Here).len(), 0, "the peer is told of its own flows");
}
