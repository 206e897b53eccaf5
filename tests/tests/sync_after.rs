//! `SyncAfter` between two daemons and their kernels: flows that are over before cost nothing, and the others
//! survive a take-over, whatever the peer is.

use nix::sys::signal::Signal;
use std::fmt::Write as _;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually};

use Which::{Original, Zctd};

const ROUNDS: usize = 8;
const SHORT: usize = 200;
const LONG: usize = 50;

/// Flow `n` of a round, as the words of `-I` or `-D`.
fn flow(what: &str, round: usize, n: usize, long: bool) -> String {
    let (net, rest) = if long {
        (1, "-t 900 -u ASSURED,SEEN_REPLY --state ESTABLISHED")
    } else {
        (2, "-t 900 --state SYN_SENT")
    };
    let rest = if what == "-I" { rest } else { "" };
    format!(
        "{what} -p tcp -s 10.{net}.{round}.{} -d 10.200.0.1 --sport {} --dport 443 {rest}\n",
        n + 1,
        2000 + n
    )
}

/// What a node has sent so far: datagrams and bytes.
fn sent(cluster: &Cluster) -> (u64, u64) {
    let text = cluster.ask_by(Zctd, At::Here, &["status", "--json"]).out();
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let count = |what: &str| value["links"][0]["tx"][what].as_u64().expect("a number");
    (count("packets"), count("bytes"))
}

/// Flows of which four in five are over at once, and what it cost to tell the peer of them.
fn churn(cluster: &Cluster) -> (u64, u64) {
    let before = sent(cluster);
    for round in 0..ROUNDS {
        let (mut begin, mut end) = (String::new(), String::new());
        (0..LONG).for_each(|n| _ = write!(begin, "{}", flow("-I", round, n, true)));
        (0..SHORT).for_each(|n| _ = write!(begin, "{}", flow("-I", round, n, false)));
        (0..SHORT).for_each(|n| _ = write!(end, "{}", flow("-D", round, n, false)));
        cluster.must(At::Here, &["-R", "-"], &begin);
        eventually("the daemon has seen them begin", || {
            let count = cluster.internal(At::Here).len();
            if count == (round + 1) * LONG + SHORT { Ok(()) } else { Err(count.to_string()) }
        });
        cluster.must(At::Here, &["-R", "-"], &end);
        eventually("the daemon has seen the short ones end", || {
            let count = cluster.internal(At::Here).len();
            if count == (round + 1) * LONG { Ok(()) } else { Err(count.to_string()) }
        });
    }
    cluster.agree_on(At::There, "the long flows", ROUNDS * LONG);
    let after = sent(cluster);
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn short_flows_cost_a_quarter_at_most_and_long_ones_survive() {
    let measure = |options| {
        let mut cluster = Cluster::start(Zctd, Zctd, Settings { options, ..Settings::default() });
        let cost = churn(&cluster);
        cluster.end(At::Here, Signal::SIGKILL);
        cluster.ask(At::There, &["-c"]);
        assert_eq!(cluster.table(At::There).len(), ROUNDS * LONG);
        cost
    };
    let (all, fewer) = (measure(""), measure("SyncAfter 8"));
    println!("datagrams and bytes: {all:?}, with SyncAfter {fewer:?}");
    // A slow machine sends more signs of life, which are datagrams of eight bytes.
    assert!(4 * fewer.1 <= all.1, "{fewer:?} in place of {all:?}");
}

#[test]
fn an_original_takes_over_the_long_flows() {
    let mut cluster = Cluster::prepare(Zctd, Original, Settings::default());
    // Only our own node knows the word.
    let file = cluster.configuration(At::Here);
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, text.replace("Options { ", "Options { SyncAfter 8 ")).expect("a configuration");
    cluster.run(At::Here);
    cluster.run(At::There);
    churn(&cluster);
    cluster.end(At::Here, Signal::SIGKILL);
    cluster.ask(At::There, &["-c"]);
    assert_eq!(cluster.table(At::There).len(), ROUNDS * LONG);
}
