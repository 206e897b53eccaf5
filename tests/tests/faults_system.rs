//! What the system refuses: room on the disk, syslog, descriptors, memory; and a clock that jumps.

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use zct_tests::clock::{self, Clock};
use zct_tests::cluster::{At, Cluster, Over, Settings, Which, eventually, mixture};
use zct_tests::faults::{times, used};
use zct_tests::program::{run, tool};

use Which::Zctd;

const BOTH: [At; 2] = [At::Here, At::There];

/// Changes a node's configuration before it starts.
fn reconfigure(cluster: &Cluster, at: At, from: &str, to: &str) {
    let path = cluster.configuration(at);
    let text = fs::read_to_string(&path).expect("a configuration");
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).expect("a configuration");
}

/// A small file system of this thread's own, until the thread ends.
fn small_disk(at: &Path) {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("private mounts");
    fs::create_dir_all(at).expect("a directory");
    mount(Some("none"), at, Some("tmpfs"), MsFlags::empty(), Some("size=64k")).expect("tmpfs");
}

/// Log and lock file are on a disk that is full when the daemon starts, and has room later.
#[test]
fn a_full_disk() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    let dir = cluster.configuration(At::Here).with_file_name("disk");
    small_disk(&dir);
    let filled = dir.join("filled");
    for (name, file) in [("LogFile", "a.log"), ("LockFile", "a.lock")] {
        let old = cluster.configuration(At::Here).with_file_name(file);
        let (old, new) =
            (format!("{name} {}", old.display()), format!("{name} {}", dir.join(file).display()));
        reconfigure(&cluster, At::Here, &old, &new);
    }
    let fill = || _ = fs::write(&filled, vec![b'x'; 1 << 20]);
    let log = || fs::read_to_string(dir.join("a.log")).unwrap_or_default();
    fill();
    cluster.run(At::Here);
    cluster.run(At::There);
    let churn = cluster.churn(At::Here, 1, 1000);
    churn.more(500);
    for _ in 0..50 {
        cluster.ask(At::Here, &["-f", "external"]);
    }
    cluster.ask(At::Here, &["-n"]);
    fs::remove_file(&filled).expect("it is there");
    cluster.ask(At::Here, &["-B"]);
    eventually("the log goes on", || {
        let log = log();
        if log.lines().last().is_some_and(|l| l.ends_with("sending bulk update")) { Ok(()) } else { Err(log) }
    });
    // It says what is missing, and no line is cut by what comes later.
    let text = log();
    assert!(text.contains(" lines are missing here: No space left on device"), "{text}");
    assert!(text.lines().all(|l| l.matches("(pid=").count() <= 1), "{text}");
    fill();
    churn.more(500);
    churn.end();
    cluster.whole("with a full disk");
}

/// Syslog goes away, does not read, and comes back.
#[test]
fn syslog_is_gone() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings { general: "Syslog on", ..Settings::default() });
    let path = cluster.configuration(At::Here).with_file_name("syslog");
    let script = format!(
        "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && ln -s {} /dev/log && exec \"$@\"",
        path.display()
    );
    for at in BOTH {
        cluster.through(at, &["unshare", "--mount", "sh", "-c", &script, "sh"]);
    }
    let mute = UnixDatagram::bind(&path).expect("a socket");
    cluster.run(At::Here);
    cluster.run(At::There);
    let churn = cluster.churn(At::Here, 1, 1000);
    // More messages than its queue takes.
    for _ in 0..times(100, 20_000) {
        cluster.ask(At::There, &["-f", "external"]);
    }
    drop(mute);
    for _ in 0..20 {
        cluster.ask(At::There, &["-f", "external"]);
    }
    fs::remove_file(&path).expect("it is there");
    cluster.ask(At::There, &["-f", "external"]);
    let again = UnixDatagram::bind(&path).expect("a socket");
    again.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    cluster.ask(At::There, &["-n"]);
    cluster.ask(At::Here, &["-B"]);
    let mut buf = [0; 4096];
    let heard = loop {
        let len = again.recv(&mut buf).expect("syslog hears of it");
        let text = String::from_utf8_lossy(&buf[..len]).into_owned();
        if text.contains("sending bulk update") {
            break text;
        }
    };
    assert!(heard.contains("conntrack-tools["), "{heard}");
    churn.end();
    cluster.whole("whatever syslog did");
}

/// Twenty descriptors for everything: clients have to share the few that are left.
#[test]
fn twenty_descriptors() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    for at in BOTH {
        cluster.through(at, &["prlimit", "--nofile=20"]);
        cluster.run(at);
    }
    let churn = cluster.churn(At::Here, 1, 1000);
    // Clients that say nothing take all there are.
    let socket = cluster.socket(At::Here);
    let silent: Vec<UnixStream> =
        (0..40).map(|_| UnixStream::connect(&socket).expect("a connection")).collect();
    for _ in 0..5 {
        assert!(cluster.ask(At::Here, &["-s"]).contains("cache internal"));
        assert!(used(cluster.pid(At::Here)).descriptors <= 20);
    }
    cluster.end(At::There, nix::sys::signal::Signal::SIGKILL);
    churn.more(500);
    cluster.run(At::There);
    churn.more(500);
    drop(silent);
    churn.end();
    cluster.whole("with few descriptors");
    cluster.logged(At::Here, "descriptors are short: control clients have to wait");
}

/// Limits how many descriptors a running process may have from now on.
fn limit(pid: u32, descriptors: usize) {
    tool("prlimit", &["--pid", &pid.to_string(), &format!("--nofile={descriptors}:1024")]);
}

/// For a while there is not a single descriptor more: peer, clients and interfaces come all the same, and are
/// served once there are some.
fn without_descriptors(over: Over) {
    let mut cluster = Cluster::start(Zctd, Zctd, Settings { over, ..Settings::default() });
    cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    cluster.whole("before");
    let churn = cluster.churn(At::Here, 1, 1000);
    let pid = cluster.pid(At::Here);
    cluster.end(At::There, nix::sys::signal::Signal::SIGKILL);
    eventually("no more than its own descriptors", || {
        // The peer's connection is closed, and the last client's.
        let before = used(pid).descriptors;
        std::thread::sleep(Duration::from_millis(50));
        if used(pid).descriptors == before { Ok(()) } else { Err(before.to_string()) }
    });
    // Numbers below the highest one may be free, so no new one may be given out at all.
    limit(pid, 3);
    cluster.ip(At::Here, "link del v0");
    cluster.wire();
    cluster.address();
    cluster.run(At::There);
    // A client that nobody accepts yet, and that is served later all the same.
    let mut early = Command::new(Zctd.path());
    early.arg("-C").arg(cluster.configuration(At::Here)).arg("-s");
    let early = std::thread::spawn(move || run(&mut early, b""));
    churn.more(1000);
    limit(pid, 1024);
    let answer = early.join().expect("an answer");
    assert!(answer.out().contains("cache internal"), "{answer:?}");
    churn.more(500);
    churn.end();
    cluster.whole("with descriptors again");
}

#[test]
fn no_descriptors_for_a_while_over_tcp() {
    without_descriptors(Over::Tcp);
}

#[test]
fn no_descriptors_for_a_while_over_multicast() {
    without_descriptors(Over::Multicast);
}

/// No memory may be locked, and the address space has room for what HashLimit allows and little more.
#[test]
fn little_memory() {
    let general = "HashLimit 20000";
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings { general, ..Settings::default() });
    for at in BOTH {
        cluster.through(at, &["prlimit", "--memlock=0", "--as=67108864"]);
        cluster.run(at);
    }
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 30_000));
    cluster.must(At::Here, &["-D", "-p", "udp"], "");
    cluster.must(At::Here, &["-D", "-p", "sctp"], "");
    cluster.must(At::Here, &["-D", "-p", "icmp"], "");
    eventually("room again", || {
        let count = cluster.kernel(At::Here).len();
        if count <= 20_000 { Ok(()) } else { Err(count.to_string()) }
    });
    // What did not fit is fetched now.
    cluster.whole("with little memory");
}

/// The time of day jumps, while the daemons run and between two runs: their sequence numbers begin with it.
#[test]
fn a_clock_that_jumps() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    let clock = Clock::new();
    let set = |seconds: i64| clock.set(seconds);
    for at in BOTH {
        cluster.through(at, &clock.words());
        cluster.run(at);
    }
    cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    let churn = cluster.churn(At::Here, 1, 1000);
    const YEAR: i64 = 365 * 86_400;
    for seconds in [10 * YEAR, -20 * YEAR, 3600, -1, 0] {
        set(seconds);
        churn.more(300);
    }
    // The numbers of a restarted daemon begin before those that its peer has seen, far ahead of them, near
    // 2^32, and before 1970.
    let now = clock::now();
    for (n, seconds) in [-5 * YEAR, 60 * YEAR, (1 << 32) - 20 - now, -now - 100].into_iter().enumerate() {
        set(seconds);
        let at = BOTH[n % 2];
        cluster.end(at, nix::sys::signal::Signal::SIGKILL);
        cluster.run(at);
        churn.more(300);
        assert!(cluster.log(at).contains("initialization completed"));
    }
    let years: std::collections::BTreeSet<String> = BOTH
        .iter()
        .flat_map(|at| {
            cluster.log(*at).lines().filter_map(|l| Some(l.get(21..25)?.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    assert!(years.contains("2106"), "the clock did not jump: {years:?}");
    churn.end();
    cluster.whole("whatever time it is");
}

/// Many daemons with one configuration, started at the same time: one of them runs, and the others say why
/// they do not.
#[test]
fn one_configuration_and_many_daemons() {
    let mut cluster = Cluster::prepare(Zctd, Zctd, Settings::default());
    for round in 0..times(3, 50) {
        let start = || {
            let mut command = Command::new(Zctd.path());
            command.arg("-C").arg(cluster.configuration(At::Here));
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a daemon")
        };
        let mut all: Vec<_> = (0..8).map(|_| start()).collect();
        eventually("all but one have ended", || {
            let living = all.iter_mut().map(|c| usize::from(matches!(c.try_wait(), Ok(None)))).sum::<usize>();
            if living == 1 { Ok(()) } else { Err(living.to_string()) }
        });
        for mut child in all {
            let alive = matches!(child.try_wait(), Ok(None));
            if alive {
                assert!(cluster.ask(At::Here, &["-s"]).contains("cache internal"), "round {round}");
                child.kill().expect("kill");
            }
            let output = child.wait_with_output().expect("its end");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(alive || said.contains("perhaps conntrackd already running?"), "round {round}: {said}");
            assert!(alive || output.status.code() == Some(1), "round {round}: {output:?}");
        }
    }
    cluster.run(At::Here);
    cluster.run(At::There);
    cluster.whole("with one on each host");
}
