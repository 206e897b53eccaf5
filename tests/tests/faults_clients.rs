//! Control clients that are many, slow, impatient, or at a bad moment.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::faults::{rng, times, used};

use Which::Zctd;

/// Numbers of requests, as the client sends them (conntrackd.md §3).
const DUMP_INTERNAL: u32 = 16;
const STATS: u32 = 21;

fn pair(flows: usize) -> Cluster {
    let cluster = Cluster::start(Zctd, Zctd, Settings::default());
    cluster.must(At::Here, &["-R", "-"], &mixture(1, flows));
    cluster.agree_on(At::There, "before", flows);
    cluster
}

fn connect(cluster: &Cluster) -> UnixStream {
    let stream = UnixStream::connect(cluster.socket(At::Here)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

fn asking(cluster: &Cluster, request: u32) -> UnixStream {
    let mut stream = connect(cluster);
    stream.write_all(&request.to_ne_bytes()).expect("a request");
    stream
}

/// They all ask before the first one reads its answer, and all are answered.
#[test]
fn a_thousand_clients() {
    let cluster = pair(300);
    let churn = cluster.churn(At::Here, 2, 500);
    for _ in 0..times(2, 20) {
        let all: Vec<UnixStream> = (0..500).map(|_| asking(&cluster, STATS)).collect();
        for mut stream in all {
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer");
            assert!(text.contains("cache internal") && text.ends_with("\n\n"), "{text}");
        }
    }
    churn.end();
    cluster.whole("after a thousand clients");
}

/// Clients that take a long listing byte by byte, more of them than the daemon serves at a time, and clients
/// that leave in the middle of it.
#[test]
fn slow_readers_and_listings_that_are_broken_off() {
    let cluster = pair(5000);
    let churn = cluster.churn(At::Here, 2, 500);
    let before = used(cluster.pid(At::Here));
    let mut rng = rng();
    for _ in 0..times(100, 5000) {
        let mut stream = asking(&cluster, DUMP_INTERNAL);
        let mut part = vec![0; rng.usize(0..100_000)];
        // It may also be less than the whole listing.
        _ = stream.read_exact(&mut part);
    }
    let mut slow: Vec<UnixStream> = (0..200).map(|_| asking(&cluster, DUMP_INTERNAL)).collect();
    for _ in 0..times(5, 100) {
        for stream in &mut slow {
            // The daemon may have sent it away in favour of another one.
            _ = stream.read(&mut [0]);
        }
        assert!(cluster.ask(At::Here, &["-s"]).contains("cache internal"));
    }
    let now = used(cluster.pid(At::Here));
    assert!(now.descriptors < 200 && now.rss_kb < before.rss_kb + (32 << 10), "{before:?} {now:?}");
    drop(slow);
    churn.end();
    cluster.whole("without them");
}

/// Whatever is asked while the peer's flows are being put into the kernel is answered.
#[test]
fn requests_during_a_commit() {
    let cluster = pair(5000);
    let requests: &[&[&str]] = &[
        &["-s"],
        &["-s", "runtime"],
        &["-i"],
        &["-e", "-x"],
        &["-n"],
        &["-B"],
        &["-R"],
        &["-c"],
        &["-t"],
        &["-f", "internal"],
        &["-F"],
        &["-f", "external"],
        &["-f"],
    ];
    for words in requests {
        let start = |words: &[&str]| {
            let mut command = Command::new(Zctd.path());
            command.arg("-C").arg(cluster.configuration(At::There)).args(words);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().expect("a client")
        };
        let mut commit = start(&["-c"]);
        let mut answers = 0;
        while commit.try_wait().expect("wait").is_none() {
            let output = start(words).wait_with_output().expect("its end");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // Another commit has to wait, and so has what would take away the flows.
            let later = said.contains("already in progress") || said.contains("still in progress");
            assert!(output.status.success() || later, "{words:?}: {said}");
            answers += 1;
        }
        // Of two commits, either may come first.
        assert!(commit.wait().expect("wait").success() || *words == ["-c"], "{words:?}");
        println!("{words:?}: {answers} answers during a commit");
        // Nothing of this may be left over for the next one.
        cluster.ask(At::There, &["-c"]);
        cluster.ask(At::There, &["-R"]);
        cluster.ask(At::There, &["-F"]);
        cluster.ask(At::There, &["-n"]);
        cluster.agree_on(At::There, "everything again", 5000);
    }
    eventually("the same tables", || cluster.agreement(At::There));
    cluster.whole("after all of them");
}

/// What a commit has made is told to the peer by a bulk that was asked for at once, although the daemon has
/// yet to look at what it has made.
#[test]
fn a_bulk_right_behind_a_commit() {
    let cluster = pair(5000);
    for _ in 0..times(3, 50) {
        cluster.ask(At::There, &["-c"]);
        cluster.ask(At::There, &["-B"]);
        cluster.agree_on(At::Here, "what was committed", 5000);
        cluster.ask(At::There, &["-F"]);
        cluster.agree_on(At::Here, "nothing", 0);
    }
    cluster.whole("at the end");
}
