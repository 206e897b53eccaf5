//! zctd from start to end: files, signals, privileges, the service manager, and the kernel's events.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zct_tests::cluster::{Which, eventually, mixture};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, run};

use Which::{Original, Zctd};

/// A daemon without a peer, in this thread's namespace.
struct Alone {
    which: Which,
    dir: PathBuf,
    child: Option<Child>,
}

/// The link leads nowhere: the destination is an address for documentation, where nobody answers.
const SYNC: &str = "Sync {\nMode FTFW { }\nUDP { IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 \
     Port 3780 Interface lo }\nOPTIONS\n}\n";

impl Alone {
    fn prepare(which: Which, dir: &Path, general: &str) -> Alone {
        let dir = dir.join(which.name());
        fs::create_dir_all(&dir).expect("a directory");
        let alone = Alone { which, dir, child: None };
        alone.configure(SYNC, general);
        alone
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn configure(&self, role: &str, general: &str) {
        let path = |name: &str| self.file(name).display().to_string();
        let scheduler = if self.which == Original { "Scheduler { Type RR Priority 1 }" } else { "" };
        let text = format!(
            "{}General {{\nHashSize 32768\nHashLimit 262144\nLogFile {}\nLockFile {}\nUNIX {{ Path {}\n}}\n\
             {scheduler}\n{general}\n}}\n",
            role.replace("OPTIONS", ""),
            path("log"),
            path("lock"),
            path("ctl"),
        );
        fs::write(self.file("conf"), text).expect("a configuration");
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.which.path());
        command.arg("-C").arg(self.file("conf")).stdin(Stdio::null());
        command
    }

    fn start(&mut self) {
        self.start_as(&mut self.command());
    }

    fn start_as(&mut self, command: &mut Command) {
        if self.which == Original {
            // A daemon that was killed has left it behind.
            _ = fs::remove_file(self.file("lock"));
        }
        let err = fs::File::create(self.file("err")).expect("a file");
        self.child = Some(command.stdout(Stdio::null()).stderr(err).spawn().expect("the daemon"));
        eventually("the daemon answers", || match self.ask(&["-s"]) {
            Output { exit: Exit::Code(0), stdout, .. } if !stdout.is_empty() => Ok(()),
            other => Err(format!("{other:?} {}", self.log())),
        });
    }

    fn ask(&self, words: &[&str]) -> Output {
        run(self.command().args(words), b"")
    }

    fn said(&self, words: &[&str]) -> String {
        let output = self.ask(words);
        assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
        output.out()
    }

    /// The flows of a listing, without their ages.
    fn flows(&self) -> BTreeSet<String> {
        let text = self.said(&["-i"]);
        text.lines().map(|l| l.split(" [active").next().unwrap_or(l).to_owned()).collect()
    }

    fn knows(&self, count: usize) {
        eventually("the flows", || match self.flows().len() {
            n if n == count => Ok(()),
            n => Err(format!("{n} instead of {count}: {}", self.log())),
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    fn logged(&self, text: &str) {
        eventually(text, || if self.log().contains(text) { Ok(()) } else { Err(self.log()) });
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("kill");
    }

    fn ended(&mut self) -> Option<i32> {
        self.child.take().expect("it runs").wait().expect("wait").code()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

fn zct(words: &[&str], stdin: &str) {
    let output = Tool::Zct.run_with_stdin(words, stdin.as_bytes());
    assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
}

#[test]
fn files_signals_and_leftovers() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let mut daemon = Alone::prepare(Zctd, dir.path(), "");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        daemon.start();
        for name in ["log", "lock", "ctl"] {
            let meta = fs::metadata(daemon.file(name)).expect(name);
            assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
            assert_eq!(meta.file_type().is_socket(), name == "ctl");
        }
        // A second daemon is refused, and leaves the first one's files alone.
        let second = run(&mut daemon.command(), b"");
        assert_eq!(second.exit, Exit::Code(1));
        assert!(second.err().contains("exists, perhaps conntrackd already running?"), "{second:?}");
        assert!(daemon.said(&["-s"]).contains("cache internal"));
        daemon.signal(signal);
        assert_eq!(daemon.ended(), Some(0));
        daemon.logged("---- shutdown received ----");
        assert!(!daemon.file("lock").exists() && !daemon.file("ctl").exists());
        fs::remove_file(daemon.file("log")).expect("the log");
    }
    // What a killed daemon leaves behind does not get in the way.
    daemon.start();
    daemon.signal(Signal::SIGKILL);
    daemon.ended();
    assert!(daemon.file("lock").exists() && daemon.file("ctl").exists());
    daemon.start();
    daemon.logged("was left by a dead process");
    // But an original that uses the same files is not taken for dead.
    let mut original = Alone::prepare(Original, dir.path(), "");
    original.start();
    let text = fs::read_to_string(original.file("conf")).expect("a configuration");
    fs::write(daemon.file("theirs"), text).expect("a configuration");
    let refused = run(Command::new(Zctd.path()).arg("-C").arg(daemon.file("theirs")), b"");
    assert_eq!(refused.exit, Exit::Code(1), "{refused:?}");
    assert!(original.said(&["-s"]).contains("cache internal"));
}

#[test]
fn the_background_is_entered_when_all_is_ready() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let daemon = Alone::prepare(Zctd, dir.path(), "");
    zct(&["-R", "-"], &mixture(1, 2000));
    let parent = run(daemon.command().arg("-d"), b"");
    assert_eq!(parent.exit, Exit::Code(0), "{parent:?}");
    // Being ready means that the first dump is complete.
    assert_eq!(daemon.flows().len(), 2000);
    let log = daemon.log();
    let order = ["initialization completed", "-- starting in daemon mode --"].map(|t| log.find(t));
    assert!(order[0].is_some() && order[0] < order[1], "{log}");
    assert!(fs::read_to_string(daemon.file("lock")).is_ok_and(|pid| pid.trim().parse::<u32>().is_ok()));
    assert_eq!(daemon.ask(&["-k"]).exit, Exit::Code(0));
    assert!(!daemon.file("lock").exists() && !daemon.file("ctl").exists());
    // The parent's exit status reports what went wrong, and nothing is left behind.
    for (role, said) in [
        (SYNC.replace("Interface lo", "Interface nosuch0"), "dedicated links"),
        (SYNC.replace("127.0.0.1", "192.0.2.1"), "dedicated links"),
    ] {
        daemon.configure(&role, "");
        let failed = run(daemon.command().arg("-d"), b"");
        assert_eq!(failed.exit, Exit::Code(1), "{failed:?}");
        assert!(failed.err().contains(said), "{failed:?}");
        assert!(!daemon.file("lock").exists() && !daemon.file("ctl").exists(), "{role}");
    }
}

#[test]
fn a_hangup_rereads_the_configuration() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let mut daemon = Alone::prepare(Zctd, dir.path(), "");
    daemon.start();
    zct(&["-R", "-"], &mixture(1, 100));
    daemon.knows(100);
    // A filter can be changed, and flows that it excludes are dropped; the lock file cannot.
    let general = "Filter From Userspace { Protocol Accept { UDP } }";
    daemon.configure(&SYNC.replace("Mode FTFW { }", "Mode FTFW { }\nPurgeTimeout 1"), general);
    let text = fs::read_to_string(daemon.file("conf")).expect("a configuration");
    fs::write(daemon.file("conf"), text.replace("/lock\n", "/lock2\n")).expect("a configuration");
    // The log has been moved away, as logrotate does.
    fs::rename(daemon.file("log"), daemon.file("log.1")).expect("rename");
    daemon.signal(Signal::SIGHUP);
    daemon.logged("LockFile");
    daemon.knows(20);
    assert!(daemon.log().contains("stays until a restart"), "{}", daemon.log());
    assert!(!daemon.file("lock2").exists());
    // A file with mistakes changes nothing.
    fs::write(daemon.file("conf"), "General { HashSize x }").expect("a configuration");
    daemon.signal(Signal::SIGHUP);
    daemon.logged("the configuration stays as it is");
    daemon.configure(SYNC, general);
    daemon.knows(20);
    // The new purge timer applies: with the old one this would take a minute.
    daemon.said(&["-t"]);
    daemon.logged("flushing conntrack table in 1 secs");
    daemon.knows(0);
}

/// The capabilities in `/proc/PID/status`, as a bit mask.
fn capabilities(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:")).expect("a line").trim();
    u64::from_str_radix(hex, 16).expect("a number")
}

#[test]
fn only_the_rights_that_are_needed_stay() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    for (general, kept) in [("", 1 << 12), ("Scheduler { Type RR Priority 1 }", 1 << 12 | 1 << 23)] {
        let mut daemon = Alone::prepare(Zctd, dir.path(), general);
        let had = capabilities(std::process::id());
        daemon.start();
        assert_eq!(capabilities(daemon.pid()), had & kept, "{general}");
        // These are enough.
        zct(&["-R", "-"], &mixture(1, 50));
        daemon.knows(50);
        daemon.said(&["-F"]);
        daemon.knows(0);
        daemon.signal(Signal::SIGTERM);
        assert_eq!(daemon.ended(), Some(0));
    }
}

#[test]
fn the_service_manager_is_told() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let heard = || {
        let mut buf = [0; 256];
        let n = socket.recv(&mut buf).expect("a message");
        String::from_utf8_lossy(&buf[..n]).into_owned()
    };
    let mut daemon = Alone::prepare(Zctd, dir.path(), "Systemd on");
    zct(&["-R", "-"], &mixture(1, 1000));
    let mut command = daemon.command();
    command.env("NOTIFY_SOCKET", dir.path().join("notify")).env("WATCHDOG_USEC", "200000");
    daemon.start_as(&mut command);
    // Watchdog messages may arrive at any time.
    let next = || loop {
        match heard() {
            text if text == "WATCHDOG=1" => {}
            text => return text,
        }
    };
    assert_eq!(next(), "READY=1");
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    daemon.signal(Signal::SIGHUP);
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next(), "READY=1");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(next(), "STOPPING=1");
    assert_eq!(daemon.ended(), Some(0));
}

/// Events that did not fit the socket: afterwards everything is known again, and what has ended
/// meanwhile is forgotten.
#[test]
fn lost_events_are_made_good() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let general = "NetlinkBufferSize 131072\nNetlinkBufferSizeMaxGrowth 400000\nNetlinkOverrunResync 1";
    let mut daemon = Alone::prepare(Zctd, dir.path(), general);
    daemon.start();
    zct(&["-R", "-"], &mixture(1, 100));
    daemon.knows(100);
    daemon.signal(Signal::SIGSTOP);
    zct(&["-R", "-"], &mixture(2, 5000));
    zct(&["-D", "-s", "10.1.0.0/16"], "");
    daemon.signal(Signal::SIGCONT);
    daemon.logged("netlink event socket buffer size has been doubled to 262144 bytes");
    // The IPv6 flows of the first hundred are left.
    daemon.knows(5030);
    let runtime = daemon.said(&["-s", "runtime"]);
    let overruns = runtime.lines().find(|l| l.contains("netlink overrun")).expect("a line");
    assert!(!overruns.trim_end().ends_with(" 0"), "{runtime}");
}

/// What the daemon itself does to the kernel does not overflow its own socket.
#[test]
fn a_flush_waits_for_its_own_events() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    // Room for some 200 events; by default the original takes less.
    let mut daemon = Alone::prepare(Zctd, dir.path(), "NetlinkBufferSize 262144");
    zct(&["-R", "-"], &mixture(1, 10_000));
    daemon.start();
    assert_eq!(daemon.flows().len(), 10_000);
    daemon.said(&["-F"]);
    daemon.knows(0);
    let runtime = daemon.said(&["-s", "runtime"]);
    let overruns = runtime.lines().find(|l| l.contains("netlink overrun")).expect("a line");
    assert!(overruns.trim_end().ends_with(" 0"), "{runtime}");
}

#[test]
fn polling_takes_the_place_of_events() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let mut daemon = Alone::prepare(Zctd, dir.path(), "PollSecs 1");
    zct(&["-R", "-"], &mixture(1, 100));
    daemon.start();
    daemon.logged("running in polling mode");
    daemon.knows(100);
    zct(&["-D", "-p", "udp"], "");
    zct(&["-R", "-"], &mixture(2, 40));
    daemon.knows(120);
}

/// The same filters leave the same flows as with the original, in the kernel and here.
#[test]
fn filters_mean_what_they_mean_to_the_original() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    for filter in [
        "Protocol Accept { TCP SCTP }",
        "Protocol Ignore { UDP ICMP }",
        "Address Ignore { IPv4_address 10.1.0.0/24 IPv4_address 10.1.3.7 IPv6_address fd01::/64 }",
        "Address Accept { IPv4_address 10.1.2.0/23 }",
        "State Accept { ESTABLISHED for TCP }",
        "Protocol Accept { TCP }\nState Ignore { SYN_SENT TIME_WAIT for TCP }",
    ] {
        for from in ["Userspace", "Kernelspace"] {
            // The original's program in the kernel looks at other addresses than its own filter does.
            if from == "Kernelspace" && filter.contains("Address") {
                continue;
            }
            let general = format!("Filter From {from} {{\n{filter}\n}}");
            // Flows from before the start arrive by the dump, the rest by events.
            zct(&["-F"], "");
            zct(&["-R", "-"], &mixture(1, 60));
            let mut both = [Zctd, Original].map(|which| Alone::prepare(which, dir.path(), &general));
            both.iter_mut().for_each(Alone::start);
            zct(&["-R", "-"], &mixture(2, 60));
            // An unfiltered flow at the end shows that the events before it have been taken.
            let events = |d: &Alone| {
                let text = d.said(&["-s", "runtime"]);
                let of = |name: &str| {
                    let line = text.lines().find(|l| l.trim().starts_with(name)).expect("a line");
                    line.rsplit(|c: char| !c.is_ascii_digit())
                        .next()
                        .and_then(|n| n.parse().ok())
                        .unwrap_or(0)
                };
                let (received, filtered): (u64, u64) = (of("events received"), of("events filtered"));
                (received, filtered)
            };
            eventually("the same flows", || {
                let [a, b] = both.each_ref().map(Alone::flows);
                zct_tests::cluster::difference(&a, &b).map_err(|e| format!("{general}: {e}"))?;
                // The kernel's filter lets fewer events through; without it, all of them have to arrive.
                match both.each_ref().map(events) {
                    [(a, _), (b, _)] if from == "Userspace" && (a, b) != (60, 60) => Err(format!("{a} {b}")),
                    _ => Ok(()),
                }
            });
        }
    }
}

/// Without an internal cache `-f` has nothing to do; the original empties the kernel's table instead.
#[test]
fn a_cache_that_is_not_there_is_not_flushed_in_the_kernel() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let mut daemon = Alone::prepare(Zctd, dir.path(), "");
    let mode = "Mode NOTRACK { DisableInternalCache on }";
    daemon.configure(&SYNC.replace("Mode FTFW { }", mode), "");
    daemon.start();
    zct(&["-R", "-"], &mixture(1, 100));
    for words in [&["-f"][..], &["-f", "internal"], &["-R"]] {
        daemon.said(words);
    }
    // These are the kernel's own lines, as conntrack -L prints them.
    assert_eq!(daemon.said(&["-i"]).lines().filter(|l| l.contains(" use=")).count(), 100);
    assert_eq!(daemon.said(&["-i", "-x"]).lines().filter(|l| l.starts_with("<flow>")).count(), 100);
    daemon.logged("resync is unsupported in this mode");
    daemon.said(&["-F"]);
    assert_eq!(daemon.said(&["-i"]), "");
}

/// `-F` deletes what the daemon looks after and nothing else. So does the purge timer, unless a
/// commit comes first.
#[test]
fn a_flush_spares_what_the_filter_excludes() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let general = "Filter From Userspace { Protocol Accept { TCP } }";
    let mut daemon = Alone::prepare(Zctd, dir.path(), general);
    daemon.configure(&SYNC.replace("Mode FTFW { }", "Mode FTFW { }\nPurgeTimeout 1"), general);
    daemon.start();
    let left = || Tool::Zct.run(&["-L"]).lines().len();
    zct(&["-R", "-"], &mixture(1, 100));
    daemon.said(&["-F"]);
    assert_eq!(left(), 50);
    zct(&["-R", "-"], &mixture(2, 100));
    daemon.said(&["-t"]);
    daemon.said(&["-c"]);
    daemon.said(&["-t"]);
    daemon.logged("flushing kernel conntrack table (scheduled)");
    eventually("the purge", || if left() == 100 { Ok(()) } else { Err(left().to_string()) });
    let log = daemon.log();
    assert_eq!(log.matches("(scheduled)").count(), 1, "{log}");
}
