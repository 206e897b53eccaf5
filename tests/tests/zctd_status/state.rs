//! What is said of a node in different states, modes and company.

use crate::{object, status, until};
use serde_json::json;
use std::process::{Command, Stdio};
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, run};

use Which::{Original, Zctd};

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

/// The other role: there is no peer, and nothing to commit.
#[test]
fn a_node_that_only_counts() {
    let _netns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let path = |what: &str| dir.path().join(what).display().to_string();
    let text = format!(
        "Stats {{ LogFile {} }}\nGeneral {{ LogFile {}\nLockFile {}\nUNIX {{ Path {}\n}}\n}}\n",
        path("ended"),
        path("log"),
        path("lock"),
        path("ctl")
    );
    std::fs::write(path("conf"), text).expect("a configuration");
    let ask = |words: &[&str]| {
        let mut command = Command::new(Zctd.path());
        run(command.args(words).args(["-C", &path("conf")]), b"")
    };
    let mut daemon = Command::new(Zctd.path());
    daemon.args(["-C", &path("conf")]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = daemon.spawn().expect("the daemon");
    eventually("the daemon is there", || match ask(&["wait", "--ready"]).exit {
        Exit::Code(0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    for condition in ["--synced", "--committed"] {
        assert_eq!(ask(&["wait", condition, "--timeout", "0"]).exit, Exit::Code(0), "{condition}");
    }
    Tool::Zct.run_with_stdin(&["-R", "-"], mixture(1, 40).as_bytes());
    eventually("the flows", || {
        let seen = object(&ask(&["status", "--json"]));
        if seen["caches"]["internal"]["flows"] == 40 { Ok(()) } else { Err(seen.to_string()) }
    });
    let seen = object(&ask(&["status", "--json", "--ledger"]));
    assert_eq!(
        (&seen["mode"], &seen["role"], &seen["in_sync"]),
        (&"stats".into(), &"unknown".into(), &true.into())
    );
    assert!(
        seen["caches"]["external"].is_null() && seen["commit"].is_null() && seen["takeover"].is_null(),
        "{seen}"
    );
    assert_eq!((&seen["links"], &seen["peers"], &seen["ledger"]), (&json!([]), &json!([]), &json!([])));
    assert_eq!(ask(&["-k"]).exit, Exit::Code(0));
    assert!(daemon.wait().expect("the daemon").success());
}
