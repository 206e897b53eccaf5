//! Two nodes, at least one of them running zctd, replicate each other's flows: every mode, every
//! kind of link.
//!
//! `make interop` (`ZCT_INTEROP=full`) runs all combinations and prints them as a table; otherwise a
//! selection runs in which every mode, every link and both directions with the original occur.

use nix::sys::signal::Signal;
use zct_tests::cluster::{At, Cluster, Over, Settings, Which, difference, eventually, mixture};

/// The number of flows on each side.
const FLOWS: usize = 200;
/// The number in a full run, over UDP with acknowledgements.
const MANY: usize = 20_000;

/// A combination to be tried.
#[derive(Clone, Copy, Debug)]
struct Combination {
    mode: &'static str,
    over: Over,
    here: Which,
    there: Which,
}

fn settings(mode: &'static str, over: Over) -> Settings {
    let mode_options = if mode == "ALARM" { "RefreshTime 2 CacheTimeout 120" } else { "" };
    Settings { mode, mode_options, over, ..Settings::default() }
}

/// Has one node send the other everything there is; returns what worked, in order.
fn exchange(c: Combination, flows: usize) -> Vec<&'static str> {
    let mut done = Vec::new();
    let mut cluster = Cluster::start(c.here, c.there, settings(c.mode, c.over));
    let alarm = c.mode == "ALARM";

    cluster.must(At::Here, &["-R", "-"], &mixture(1, flows));
    cluster.agree_on(At::There, "new flows", flows);
    cluster.must(At::There, &["-R", "-"], &mixture(2, flows));
    cluster.agree_on(At::Here, "new flows the other way", flows);
    done.push("new");

    cluster.must(At::Here, &["-U", "-p", "tcp", "-m", "77"], "");
    cluster.must(At::Here, &["-U", "-p", "sctp", "-t", "600"], "");
    cluster.agree(At::There, "changed flows");
    assert!(cluster.external(At::There).iter().filter(|l| l.contains("mark=77")).count() >= flows / 2);
    cluster.must(At::Here, &["-U", "-p", "tcp", "-m", "0"], "");
    cluster.agree(At::There, "marks that were taken away");
    done.push("update");

    cluster.must(At::Here, &["-D", "-p", "udp"], "");
    cluster.must(At::There, &["-D", "-p", "icmp"], "");
    cluster.agree_on(At::There, "ended flows", flows * 8 / 10);
    cluster.agree_on(At::Here, "ended flows the other way", flows * 9 / 10);
    done.push("destroy");

    if !alarm {
        cluster.ask(At::There, &["-f", "external"]);
        cluster.ask(At::There, &["-n"]);
        cluster.agree(At::There, "a resync");
        done.push("resync");
        cluster.ask(At::There, &["-f", "external"]);
        cluster.ask(At::Here, &["-B"]);
        cluster.agree(At::There, "a bulk");
        done.push("bulk");
    }

    // After a commit, the first node's flows can go on at the other.
    let wanted = cluster.table(At::Here);
    let own = cluster.table(At::There);
    cluster.ask(At::There, &["-c"]);
    eventually("the commit", || {
        let expected = own.union(&wanted).cloned().collect();
        difference(&expected, &cluster.table(At::There))
    });
    done.push("commit");

    // The other node dies without notice, and things happen meanwhile.
    cluster.end(At::There, Signal::SIGKILL);
    cluster.must(At::Here, &["-D", "-p", "icmp"], "");
    cluster.must(At::Here, &["-R", "-"], &mixture(3, flows / 4));
    cluster.run(At::There);
    if !alarm {
        cluster.ask(At::There, &["-n"]);
    }
    cluster.agree(At::There, "a restart");
    done.push("restart");

    for at in [At::Here, At::There] {
        assert_eq!(cluster.end(at, Signal::SIGTERM), Some(0), "{c:?} {at:?}: {}", cluster.log(at));
        let log = cluster.log(at);
        assert!(!log.contains("[ERROR]"), "{c:?} {at:?}: {log}");
    }
    done
}

fn tried(mode: &'static str, over: Over, here: Which, there: Which) {
    let done = exchange(Combination { mode, over, here, there }, FLOWS);
    let (here, there) = (here.name(), there.name());
    println!("{mode} over {over:?}, {here} and {there}: {}", done.join(", "));
}

use Which::{Original, Zctd};

#[test]
fn ftfw_with_an_original() {
    tried("FTFW", Over::Udp, Zctd, Original);
}

#[test]
fn ftfw_from_an_original() {
    tried("FTFW", Over::Udp, Original, Zctd);
}

#[test]
fn ftfw_among_ourselves_over_ipv6() {
    tried("FTFW", Over::Udp6, Zctd, Zctd);
}

#[test]
fn notrack_with_an_original() {
    tried("NOTRACK", Over::Udp, Zctd, Original);
}

#[test]
fn notrack_from_an_original_by_multicast() {
    tried("NOTRACK", Over::Multicast, Original, Zctd);
}

#[test]
fn alarm_with_an_original() {
    tried("ALARM", Over::Udp, Zctd, Original);
}

#[test]
fn alarm_from_an_original() {
    tried("ALARM", Over::Udp, Original, Zctd);
}

#[test]
fn tcp_with_an_original() {
    tried("FTFW", Over::Tcp, Zctd, Original);
}

#[test]
fn tcp_from_an_original() {
    tried("FTFW", Over::Tcp, Original, Zctd);
}

#[test]
fn multicast_among_ourselves() {
    tried("FTFW", Over::Multicast, Zctd, Zctd);
}

/// Every combination, printed as the table in docs/zctd.md.
#[test]
fn all_combinations() {
    if std::env::var("ZCT_INTEROP").is_err() {
        println!("a selection was tried by the other tests; all of them: make interop");
        return;
    }
    println!(
        "| mode | link | nodes | flows | seen to work, both ways where that means anything |\n|---|---|---|---|---|"
    );
    for mode in ["FTFW", "NOTRACK", "ALARM"] {
        for over in [Over::Udp, Over::Udp6, Over::Multicast, Over::Tcp] {
            for (here, there) in [(Zctd, Original), (Original, Zctd), (Zctd, Zctd)] {
                let flows = if (mode, over) == ("FTFW", Over::Udp) { MANY } else { FLOWS };
                let done = exchange(Combination { mode, over, here, there }, flows);
                println!(
                    "| {mode} | {over:?} | {} and {} | {} |",
                    here.name(),
                    there.name(),
                    done.join(", ")
                );
            }
        }
    }
}
