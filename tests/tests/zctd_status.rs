//! `zctd status`: what it says of daemons in every state, as an object that the published schema admits, and by
//! its exit status.

use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::program::{Exit, Output};

use Which::{Original, Zctd};

fn schema() -> &'static jsonschema::Validator {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/status.schema.json");
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
    })
}

/// The object of a node, checked against the schema and against the exit status and the text for people.
fn status(cluster: &Cluster, at: At) -> Value {
    let output = cluster.ask_by(Zctd, at, &["status", "--json"]);
    let line = output.out();
    let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let wrong: Vec<String> = schema().iter_errors(&value).map(|e| e.to_string()).collect();
    assert!(wrong.is_empty(), "{line}\n{wrong:?}");
    let missing = value["missing"].as_array().expect("a list");
    assert_eq!(value["in_sync"], missing.is_empty());
    assert_eq!(output.exit, Exit::Code(if missing.is_empty() { 0 } else { 2 }), "{output:?}");
    assert_eq!(output.err(), "");
    value
}

/// Waits until a node is in sync, or until exactly this is missing.
fn until(cluster: &Cluster, at: At, missing: &[&str]) -> Value {
    let mut last = Value::Null;
    eventually(&format!("missing {missing:?}"), || {
        last = status(cluster, at);
        if last["missing"] == Value::from(missing.to_vec()) { Ok(()) } else { Err(last.to_string()) }
    });
    last
}

fn text(cluster: &Cluster, at: At) -> Output {
    cluster.ask_by(Zctd, at, &["status"])
}

#[test]
fn a_pair_is_in_sync_until_one_is_gone() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    let none = cluster.ask_by(Zctd, At::Here, &["status"]);
    assert_eq!((none.exit, none.stdout.is_empty()), (Exit::Code(1), true), "{none:?}");
    cluster.run(At::Here);
    // Without a peer.
    let alone = until(&cluster, At::Here, &["peer"]);
    assert_eq!(alone["mode"], "ftfw");
    assert_eq!(alone["pid"], cluster.pid(At::Here));
    assert_eq!(alone["peers"][0]["state"], "silent");
    assert_eq!(alone["peers"][0]["received"], 0);
    cluster.run(At::There);
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 40));
    cluster.agree_on(At::There, "the flows", 40);
    let (here, there) = (until(&cluster, At::Here, &[]), until(&cluster, At::There, &[]));
    assert_eq!(here["caches"]["internal"]["flows"], 40);
    assert_eq!(there["caches"]["external"]["flows"], 40);
    assert!(there["caches"]["external"]["bytes"].as_u64() > Some(40 * 32), "{there}");
    assert!(here["kernel"]["entries"].as_u64() >= Some(40), "{here}");
    assert_eq!(here["peers"][0]["address"], "10.9.0.2");
    assert_eq!(there["peers"][0]["address"], "10.9.0.1");
    assert_eq!(here["links"].as_array().expect("links").len(), 1);
    assert_eq!(here["links"][0]["interface"], "v0");
    assert_eq!((&here["links"][0]["state"], &here["links"][0]["in_use"]), (&"running".into(), &true.into()));
    assert_eq!(here["role"], "unknown");
    let shown = text(&cluster, At::Here);
    assert_eq!(shown.exit, Exit::Code(0));
    assert!(shown.out().contains("\nstate       in sync\n"), "{shown:?}");

    // The other one takes over.
    cluster.ask(At::There, &["-c"]);
    let there = status(&cluster, At::There);
    assert_eq!(there["role"], "active");
    assert_eq!((&there["commit"]["state"], &there["commit"]["done"]), (&"idle".into(), &40.into()));
    assert_eq!((&there["commit"]["total"], &there["commit"]["failed"]), (&40.into(), &0.into()));
    assert!(there["takeover"]["duration_seconds"].as_f64() > Some(0.0), "{there}");
    assert!(there["takeover"]["last_time"].as_f64() >= there["start_time"].as_f64(), "{there}");
    cluster.ask(At::There, &["-t"]);
    assert_eq!(status(&cluster, At::There)["role"], "backup");

    cluster.end(At::Here, nix::sys::signal::Signal::SIGKILL);
    until(&cluster, At::There, &["peer"]);
    let shown = text(&cluster, At::There);
    assert_eq!(shown.exit, Exit::Code(2));
    assert!(shown.out().contains("\nstate       degraded: the peer is not heard\n"), "{shown:?}");
}

/// A client that waits on this side, in the background.
fn waiting(cluster: &Cluster, words: &[&str]) -> Child {
    let mut command = Command::new(Zctd.path());
    command.arg("wait").args(words).arg("-C").arg(cluster.configuration(At::Here));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a client")
}

/// How a client ends, and what it says.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.stdout, b"");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

/// The same for a client that is not expected to wait long.
fn waited(cluster: &Cluster, words: &[&str]) -> (Option<i32>, String) {
    ended(waiting(cluster, words))
}

#[test]
fn clients_wait_for_what_is_missing() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    let (code, said) = waited(&cluster, &["--ready", "--timeout", "60"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("is conntrackd running?"), "{said}");
    cluster.run(At::Here);
    assert_eq!(waited(&cluster, &["--ready"]), (Some(0), String::new()));
    for timeout in ["0", "0.1"] {
        let (code, said) = waited(&cluster, &["--synced", "--timeout", timeout]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.ends_with("[ERROR] not synced: the peer is not heard\n"), "{said}");
    }

    // Those that wait are answered when it happens.
    let synced = waiting(&cluster, &["--synced", "--timeout", "600"]);
    let committed = waiting(&cluster, &["--committed"]);
    cluster.run(At::There);
    assert_eq!(ended(synced), (Some(0), String::new()));
    cluster.must(At::There, &["-R", "-"], &mixture(2, 40));
    cluster.agree_on(At::Here, "the flows", 40);
    let (code, said) = waited(&cluster, &["--committed", "--timeout", "0"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.ends_with("[ERROR] not committed: no commit was asked for\n"), "{said}");
    cluster.ask(At::Here, &["-c"]);
    assert_eq!(ended(committed), (Some(0), String::new()));
    assert_eq!(cluster.table(At::Here).len(), 40);
    assert_eq!(waited(&cluster, &["--committed", "--timeout", "0"]), (Some(0), String::new()));
    // A node that has given way has to take over anew.
    cluster.ask(At::Here, &["-t"]);
    assert_eq!(waited(&cluster, &["--committed", "--timeout", "0"]).0, Some(1));

    let last = waiting(&cluster, &["--committed"]);
    until_waiting(&cluster, 1);
    cluster.ask(At::Here, &["-k"]);
    let (code, said) = ended(last);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.ends_with("[ERROR] not committed: the daemon ends\n"), "{said}");
}

/// Waits until this many clients are connected, apart from the one that asks.
fn until_waiting(cluster: &Cluster, count: usize) {
    let pid = cluster.pid(At::Here);
    eventually("clients", || {
        let all = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon");
        let sockets = all.filter_map(|f| std::fs::read_link(f.ok()?.path()).ok());
        let inodes: Vec<String> = sockets.map(|s| s.display().to_string()).collect();
        let unix = std::fs::read_to_string("/proc/thread-self/net/unix").expect("unix sockets");
        // A connection on the server's side has the path of the socket and is in state 3.
        let path = cluster.socket(At::Here).display().to_string();
        let connected = unix.lines().filter(|l| l.ends_with(&path)).filter(|l| {
            let words: Vec<&str> = l.split_whitespace().collect();
            words[5] == "03" && inodes.contains(&format!("socket:[{}]", words[6]))
        });
        match connected.count() {
            n if n == count => Ok(()),
            n => Err(format!("{n} clients")),
        }
    });
}

#[test]
fn clients_that_go_away_make_room_for_others() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    cluster.run(At::Here);
    // More than are let in at the same time, one after the other.
    for round in 0..3 {
        let mut clients: Vec<Child> = (0..32).map(|_| waiting(&cluster, &["--committed"])).collect();
        until_waiting(&cluster, 32);
        for client in &mut clients {
            client.kill().expect("a client");
            client.wait().expect("a client");
        }
        until_waiting(&cluster, 0);
        assert_eq!(waited(&cluster, &["--committed", "--timeout", "0.1"]).0, Some(1), "{round}");
    }
    let clients: Vec<Child> = (0..64).map(|_| waiting(&cluster, &["--committed"])).collect();
    until_waiting(&cluster, 64);
    let (code, said) = waited(&cluster, &["--committed"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("too many clients wait already"), "{said}");
    // Others are not held up.
    assert_eq!(cluster.ask_by(Zctd, At::Here, &["-s"]).exit, Exit::Code(0));
    cluster.ask(At::Here, &["-c"]);
    for client in clients {
        assert_eq!(ended(client), (Some(0), String::new()));
    }
}

/// A large table takes a while to read. What is asked meanwhile is answered: the state at once, the rest later.
#[test]
fn the_state_is_told_before_the_daemon_is_ready() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 50_000));
    eventually("an answer before the end of the first dump", || {
        let mut daemon = Command::new(Zctd.path());
        daemon.arg("-C").arg(cluster.configuration(At::Here)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = daemon.spawn().expect("the daemon");
        while !cluster.socket(At::Here).exists() {
            std::thread::yield_now();
        }
        let (first, ready) = (cluster.ask_by(Zctd, At::Here, &["status"]), waiting(&cluster, &["--ready"]));
        let flows = cluster.ask_by(Zctd, At::Here, &["-s"]);
        assert_eq!(flows.exit, Exit::Code(0), "{flows:?}");
        assert!(flows.out().contains("current active connections:\t       50000\n"), "{flows:?}");
        assert_eq!(ended(ready), (Some(0), String::new()));
        assert_eq!(cluster.ask_by(Zctd, At::Here, &["-k"]).exit, Exit::Code(0));
        assert!(daemon.wait().expect("the daemon").success());
        let early = first.out().contains("the first dump of the kernel's table is not complete");
        if early { Ok(()) } else { Err(format!("{first:?}")) }
    });
    cluster.end(At::Here, nix::sys::signal::Signal::SIGTERM);
}

#[test]
fn every_mode_and_every_kind_of_link_is_in_the_schema() {
    use zct_tests::cluster::Over::{Multicast, Tcp, TwoUdp, Udp6};
    for (mode, mode_options, over, options) in [
        ("FTFW", "DisableExternalCache On", TwoUdp, ""),
        ("FTFW", "StartupResync on", Tcp, "ExpectationSync on"),
        ("NOTRACK", "DisableInternalCache On DisableExternalCache On", Udp6, ""),
        ("NOTRACK", "", Multicast, ""),
        ("ALARM", "RefreshTime 1", Udp6, ""),
    ] {
        let settings = Settings { mode, mode_options, over, options, ..Settings::default() };
        let cluster = Cluster::start(Zctd, Zctd, settings);
        cluster.must(At::Here, &["-R", "-"], &mixture(1, 20));
        for at in [At::Here, At::There] {
            let seen = until(&cluster, at, &[]);
            assert_eq!(seen["mode"], mode.to_lowercase());
        }
    }
}

#[test]
fn with_an_original() {
    let cluster = Cluster::start(Zctd, Original, Settings::default());
    cluster.must(At::There, &["-R", "-"], &mixture(2, 40));
    cluster.agree_on(At::Here, "the flows", 40);
    let here = until(&cluster, At::Here, &[]);
    assert_eq!(here["caches"]["external"]["flows"], 40);
    // It does not know the request, and nobody else does its work.
    let asked = cluster.ask_by(Zctd, At::There, &["status"]);
    assert_eq!((asked.exit, asked.stdout.is_empty()), (Exit::Code(1), true), "{asked:?}");
    assert!(asked.err().contains("the daemon does not know this request"), "{asked:?}");
    let asked = cluster.ask_by(Zctd, At::There, &["wait", "--ready"]);
    assert_eq!(asked.exit, Exit::Code(3), "{asked:?}");
    // The original's client is served as before.
    assert_eq!(cluster.ask_by(Original, At::Here, &["-s"]).exit, Exit::Code(0));
}
