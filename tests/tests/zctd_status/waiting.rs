//! Clients that wait for a daemon.

use std::process::{Child, Command, Stdio};
use zct_tests::cluster::{At, Cluster, Settings, Which::Zctd, eventually, mixture};
use zct_tests::program::Exit;

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

/// A large table takes a while to read. What is asked meanwhile is answered: the state at once, the rest
/// later.
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
