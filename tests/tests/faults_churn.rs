//! Flows that come, change and go on both nodes for as long as `ZCT_SOAK_SECONDS` says: at the end all tables
//! agree flow by flow, memory is where it was, and no comparison, with the peer or with the kernel, has found a
//! difference where there was none.

use std::time::{Duration, Instant};
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::faults::{rng, used};

use Which::Zctd;

/// Seconds without the variable.
const SHORT_S: u64 = 3;
/// Flows that live at a time on each node, besides a few hundred that change.
const LIVING: u32 = 5000;
/// As often as the directives allow.
const COMPARED: &str = "DigestInterval 1 ReviewInterval 2";

/// How many comparisons there were, with the peer and with the kernel, and how many differences they found.
fn compared(cluster: &Cluster, at: At) -> [[u64; 2]; 2] {
    let text = cluster.ask_by(Zctd, at, &["status", "--json"]).out();
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    [&status["peers"][0]["digest"], &status["events"]["review"]].map(|of| {
        ["checks", "differences"].map(|what| of[what].as_u64().unwrap_or_else(|| panic!("{what}: {text}")))
    })
}

#[test]
fn tables_agree_and_memory_is_where_it_was_and_no_alarm_was_false() {
    let seconds = std::env::var("ZCT_SOAK_SECONDS").ok().map_or(SHORT_S, |s| s.parse().expect("a number"));
    let mut rng = rng();
    let cluster = Cluster::start(Zctd, Zctd, Settings { options: COMPARED, ..Settings::default() });
    let loads = [(At::Here, 11), (At::There, 12)].map(|(at, net)| cluster.churn(at, net, LIVING));
    let sizes = || [At::Here, At::There].map(|at| used(cluster.pid(at)));
    // Whatever grows with use has grown by now: caches, queues, buffers.
    for load in &loads {
        load.more(3 * u64::from(LIVING));
    }
    let mut round = 0u64;
    let mut turn = |rng: &mut fastrand::Rng| {
        let (at, net) = if rng.bool() { (At::Here, 1) } else { (At::There, 2) };
        cluster.must(at, &["-R", "-"], &mixture(net, 300));
        cluster.must(at, &["-U", "-s", &format!("10.{net}.0.0/16"), "-m", &rng.u32(1..99).to_string()], "");
        if rng.u8(..4) == 0 {
            // Where somebody resizes the table, -R says that it could not read it whole.
            _ = cluster.ask_by(Zctd, at, &[["-n", "-B", "-R", "-s"][rng.usize(..4)]]);
        }
        cluster.must(at, &["-D", "-s", &format!("10.{net}.0.0/16")], "");
        cluster.must(at, &["-D", "-s", &format!("fd{net:02}::/16")], "");
        round += 1;
    };
    (0..4).for_each(|_| turn(&mut rng));
    for at in [At::Here, At::There] {
        for words in ["-n", "-B", "-R", "-i", "-e"] {
            _ = cluster.ask_by(Zctd, at, &[words]);
        }
    }
    (0..4).for_each(|_| turn(&mut rng));
    let before = sizes();
    let (until, mut said) = (Instant::now() + Duration::from_secs(seconds), Instant::now());
    while Instant::now() < until {
        turn(&mut rng);
        if said.elapsed() > Duration::from_secs(60) {
            println!("{:?} left: {:?}", until.saturating_duration_since(Instant::now()), sizes());
            said = Instant::now();
        }
    }
    let flows: u64 = loads.into_iter().map(zct_tests::faults::Churn::end).sum();
    cluster.whole("after all that");
    for at in [At::Here, At::There] {
        eventually("each has compared with its peer and its kernel", || match compared(&cluster, at) {
            [[0, _], _] | [_, [0, _]] => Err("not yet".into()),
            [[_, with_peer], [_, with_kernel]] => {
                assert_eq!((with_peer, with_kernel), (0, 0), "false alarms at {at:?}");
                Ok(())
            }
        });
        println!(
            "{at:?}: comparisons and differences, with the peer and with the kernel: {:?}",
            compared(&cluster, at)
        );
    }
    let after = sizes();
    println!("{flows} flows and {round} rounds in {seconds} s: {before:?}, then {after:?}");
    for (before, after) in before.into_iter().zip(after) {
        // Half of the smallest record for each flow that came and went, and no more than a little in a long
        // run: a busier moment than any before may take that, and a leak would take more.
        let room = before.rss_kb / 20 + 1024 + (flows * 20 / 1024).min(8192);
        assert!(after.rss_kb <= before.rss_kb + room, "{before:?}, then {after:?}");
        assert!(after.descriptors <= before.descriptors + 2, "{before:?}, then {after:?}");
    }
}
