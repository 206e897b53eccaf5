//! The kernel refuses, forgets, or tells faster than anybody listens.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::faults::times;
use zct_tests::netns::sysctl;
use zct_tests::program::{Exit, Tool};
use zct_tests::seed::{Storm, udp};

use Which::Zctd;

/// Flows of the link's network, which are not replicated, and which the kernel does not drop to make room.
fn fillers(numbers: Range<u32>) -> String {
    let line = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        let to = format!("-I -p tcp -s 10.9.1.9 -d 10.{}.{b}.{c} --sport 1 --dport 1", 100 + a);
        format!("{to} --state ESTABLISHED -t 9000 -u ASSURED,SEEN_REPLY\n")
    };
    numbers.map(line).collect()
}

/// A request whose client does not wait here.
fn ask(cluster: &Cluster, at: At, words: &[&str]) -> Child {
    let mut command = Command::new(Zctd.path());
    command.arg("-C").arg(cluster.configuration(at)).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client")
}

/// The peer's flows go into a table that has room for some of them. The commit fails and says so; once there
/// is room, another one puts all of them there.
#[test]
fn a_table_that_is_full() {
    // It counts for each namespace by itself, but can only be set for the whole machine.
    let max: u32 = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .expect("a number");
    assert!((10_000..5_000_000).contains(&max), "a table of {max} flows takes too long to fill");
    let cluster = Cluster::start(Zctd, Zctd, Settings::default());
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 3000));
    cluster.agree_on(At::There, "before", 3000);
    // The fillers cause no events, which keeps this short.
    cluster.inside(At::There, || sysctl("nf_conntrack_events", "0"));
    for from in (0..max - 1000).step_by(50_000) {
        cluster.must(At::There, &["-R", "-"], &fillers(from..(from + 50_000).min(max - 1000)));
    }
    cluster.inside(At::There, || sysctl("nf_conntrack_events", "1"));
    let refused = cluster.ask_by(Zctd, At::There, &["-c"]);
    assert_eq!(refused.exit, Exit::Code(1), "{refused:?}");
    assert!(refused.err().contains("entries can't be committed: the log has the reasons"), "{refused:?}");
    cluster.logged(At::There, "could not be committed: Cannot allocate memory");
    cluster.must(At::There, &["-D", "-s", "10.9.1.9"], "");
    cluster.ask(At::There, &["-c"]);
    cluster.committed(At::There);
    cluster.ask(At::There, &["-B"]);
    cluster.whole("after another commit");
}

/// Somebody empties the table while the peer's flows are being put there.
#[test]
fn a_table_that_is_emptied_during_a_commit() {
    let cluster = Cluster::start(Zctd, Zctd, Settings::default());
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 5000));
    cluster.agree_on(At::There, "before", 5000);
    for _ in 0..times(3, 50) {
        let mut commit = ask(&cluster, At::There, &["-c"]);
        while commit.try_wait().expect("wait").is_none() {
            cluster.inside(At::There, || Tool::Reference.run(&["-F"]));
        }
        assert_eq!(commit.wait().expect("wait").code(), Some(0));
        // The node knows what has become of them, whatever that is.
        cluster.ask(At::There, &["-B"]);
        cluster.whole("after a flush by somebody else");
    }
    cluster.ask(At::There, &["-c"]);
    cluster.committed(At::There);
    cluster.ask(At::There, &["-B"]);
    cluster.whole("after a commit that nobody disturbed");
}

/// The event socket has room for a dozen events, and loses them in the middle of a resync, a bulk and a
/// commit. Each loss is noticed, counted and made good.
#[test]
fn events_are_lost_in_the_middle_of_everything() {
    let general = "NetlinkBufferSize 16384\nNetlinkBufferSizeMaxGrowth 16384\nNetlinkOverrunResync 1";
    let cluster = Cluster::start(Zctd, Zctd, Settings { general, ..Settings::default() });
    let overruns = |at| cluster.statistic(at, &["-s", "runtime"], "netlink overrun");
    let resyncs = |at| cluster.statistic(at, &["-s", "runtime"], "resync with kernel table");
    for (net, (at, words)) in
        (1..).zip([(At::There, "-n"), (At::Here, "-B"), (At::There, "-c"), (At::Here, "-R")])
    {
        let churn = cluster.churn(At::Here, 10 + net, 300);
        churn.more(500);
        let before = [At::Here, At::There].map(|at| (overruns(at), resyncs(at)));
        let mut client = ask(&cluster, at, &[words]);
        // While it is stopped, nobody reads.
        for at in [At::Here, At::There] {
            let pid = Pid::from_raw(cluster.pid(at) as i32);
            kill(pid, Signal::SIGSTOP).expect("kill");
            churn.more(500);
            cluster.must(at, &["-R", "-"], &mixture(net, 100));
            cluster.must(at, &["-D", "-p", "udp", "-s", &format!("10.{net}.0.0/16")], "");
            kill(pid, Signal::SIGCONT).expect("kill");
        }
        client.wait().expect("its end");
        churn.more(500);
        churn.end();
        for (at, (lost, repaired)) in [At::Here, At::There].into_iter().zip(before) {
            assert!(overruns(at) > lost, "{at:?}: no overrun was counted");
            eventually("a comparison", || if resyncs(at) > repaired { Ok(()) } else { Err(cluster.log(at)) });
        }
        cluster.ask(At::There, &["-B"]);
        cluster.whole("after the losses");
        for at in [At::Here, At::There] {
            cluster.ask(at, &["-F"]);
        }
        cluster.whole("without flows");
    }
}

/// What has ended is kept until the peer knows. If there is no peer, that takes no room from the living.
#[test]
fn a_peer_that_is_gone_takes_no_room() {
    let mut cluster =
        Cluster::prepare(Zctd, Zctd, Settings { general: "HashLimit 1000", ..Settings::default() });
    cluster.run(At::Here);
    let churn = cluster.churn(At::Here, 1, 500);
    churn.more(times(10_000, 1_000_000) as u64);
    churn.end();
    cluster.must(At::Here, &["-R", "-"], &mixture(2, 300));
    cluster.run(At::There);
    cluster.whole("with a peer");
}

/// More flows than HashLimit come and go, as fast as they can be made. Those for which there was no room are
/// found once there is.
#[test]
fn more_flows_than_the_limit() {
    let cluster = Cluster::start(Zctd, Zctd, Settings { general: "HashLimit 1000", ..Settings::default() });
    let flow = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        udp([10, 60 + a, b, c], [10, 200, 0, 1], 1000, 53)
    };
    let count = times(20_000, 200_000) as u32;
    let mut storm = Storm::open();
    storm.create((0..count).map(flow));
    assert!(cluster.internal(At::Here).len() <= 1000);
    assert!(cluster.external(At::There).len() <= 1000);
    cluster.sound(At::Here);
    storm.delete((0..count - 900).map(flow));
    cluster.whole("with the last 900");
    storm.delete((count - 900..count).map(flow));
    cluster.whole("without any");
}
