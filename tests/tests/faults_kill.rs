//! Daemons that are killed, stopped or started anew at any moment: nothing is lost for good.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::faults::{rng, times};

use Which::Zctd;

const FLOWS: usize = 3000;

/// A request whose client waits for the answer, perhaps in vain.
fn ask(cluster: &Cluster, at: At, words: &[&str]) -> Child {
    let mut command = Command::new(Zctd.path());
    command.arg("-C").arg(cluster.configuration(at)).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client")
}

/// Either daemon is killed while the backup asks for everything, the active node sends everything, or the
/// backup puts everything into its kernel, and its table changes before it runs again.
#[test]
fn killed_at_any_point_of_resync_bulk_and_commit() {
    let mut rng = rng();
    let mut cluster = Cluster::start(Zctd, Zctd, Settings::default());
    cluster.must(At::Here, &["-R", "-"], &mixture(1, FLOWS));
    cluster.must(At::There, &["-R", "-"], &mixture(2, FLOWS / 10));
    cluster.whole("before");
    for point in 0..times(3, 50) {
        let (at, words) = [(At::There, "-n"), (At::Here, "-B"), (At::There, "-c")][point % 3];
        let victim = if rng.bool() { At::Here } else { At::There };
        let delay = Duration::from_micros(rng.u64(..if words == "-c" { 200_000 } else { 40_000 }));
        println!("{point}: {words} at {at:?}, after {delay:?} the daemon {victim:?} is killed");
        let mut client = ask(&cluster, at, &[words]);
        // The seed decides the point; whatever it turns out to be, the verdict is the same.
        std::thread::sleep(delay);
        cluster.end(victim, Signal::SIGKILL);
        client.wait().expect("the client's end");
        // Flows that no earlier point has made: the peer may commit those before it hears of their end.
        // Nor are they in the network of the link, which nobody looks at.
        let net = u8::try_from(20 + point).expect("two digits");
        cluster.must(victim, &["-R", "-"], &mixture(net, 50));
        cluster.must(victim, &["-D", "-p", "udp", "-s", &format!("10.{net}.0.0/16")], "");
        cluster.run(victim);
        if words == "-c" {
            // The commit is made again, by a daemon that may have made a part of it before.
            cluster.agree(At::There, "what is to be committed");
            cluster.ask(At::There, &["-c"]);
            cluster.committed(At::There);
            cluster.ask(At::There, &["-F"]);
            cluster.must(At::There, &["-R", "-"], &mixture(2, FLOWS / 10));
        }
        cluster.whole("after a kill");
        for net in [format!("10.{net}.0.0/16"), format!("fd{net:02}::/16")] {
            // There are none after a flush.
            cluster.zct(victim, &["-D", "-s", &net], "");
        }
    }
    cluster.whole("at the end");
}

#[test]
fn a_peer_that_is_restarted_again_and_again() {
    let mut cluster = Cluster::start(Zctd, Zctd, Settings::default());
    cluster.must(At::There, &["-R", "-"], &mixture(2, 500));
    let churn = cluster.churn(At::Here, 1, 2000);
    for n in 0..times(3, 30) {
        let signal = if n % 2 == 0 { Signal::SIGKILL } else { Signal::SIGTERM };
        cluster.end(At::There, signal);
        cluster.run(At::There);
        churn.more(200);
    }
    churn.end();
    cluster.whole("after the last restart");
}

/// A stopped daemon loses events and datagrams without being able to tell; once it runs again it finds out.
#[test]
fn stopped_for_a_while_in_a_storm() {
    let general = "NetlinkBufferSize 131072\nNetlinkBufferSizeMaxGrowth 262144\nNetlinkOverrunResync 1";
    for at in [At::Here, At::There] {
        let cluster = Cluster::start(Zctd, Zctd, Settings { general, ..Settings::default() });
        let churn = cluster.churn(At::Here, 1, 2000);
        churn.more(2000);
        let pid = Pid::from_raw(cluster.pid(at) as i32);
        kill(pid, Signal::SIGSTOP).expect("kill");
        churn.more(20_000);
        std::thread::sleep(Duration::from_secs(times(0, 30) as u64));
        kill(pid, Signal::SIGCONT).expect("kill");
        churn.more(2000);
        churn.end();
        cluster.whole("after a stop");
        let overruns = cluster.statistic(At::Here, &["-s", "runtime"], "netlink overrun");
        assert!(at == At::There || overruns > 0);
        eventually("what was missed has been counted", || {
            let lost = cluster.statistic(At::There, &["-s", "network"], "Packets lost");
            let resyncs = cluster.statistic(At::Here, &["-s", "runtime"], "resync with kernel table");
            if lost + resyncs > 0 { Ok(()) } else { Err("nothing was counted".to_owned()) }
        });
    }
}
