//! Statistics mode beside the original: both daemons in one namespace see the same flows end.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zct_tests::cluster::{Which, difference, eventually, mixture};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, run};
use zct_tests::seed::TRACKING;

use Which::{Original, Zctd};

/// A daemon in statistics mode, in this thread's namespace.
struct Stats {
    which: Which,
    dir: PathBuf,
    child: Child,
}

impl Stats {
    fn start(which: Which, dir: &Path, stats: &str) -> Stats {
        Stats::start_with(which, dir, stats, Command::new(which.path()))
    }

    fn start_with(which: Which, dir: &Path, stats: &str, mut command: Command) -> Stats {
        let dir = dir.join(which.name());
        fs::create_dir(&dir).expect("a directory");
        let path = |name: &str| dir.join(name).display().to_string();
        // The original logs ended flows with the facility `user` unless `General` names one.
        let general = if stats.contains("Syslog") { "Syslog on" } else { "" };
        let scheduler = if which == Original { "Scheduler { Type RR Priority 1 }" } else { "" };
        let text = format!(
            "General {{\nHashSize 32768\nHashLimit 262144\nLogFile {}\nLockFile {}\nUNIX {{ Path {}\n}}\n\
             NetlinkBufferSize 16777216\nNetlinkBufferSizeMaxGrowth 33554432\n{scheduler}\n{general}\n}}\n\
             Stats {{\nLogFile {}\n{stats}\n}}\n",
            path("log"),
            path("lock"),
            path("ctl"),
            path("stats"),
        );
        fs::write(dir.join("conf"), text).expect("a configuration");
        let child = command
            .arg("-C")
            .arg(dir.join("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon");
        let daemon = Stats { which, dir, child };
        eventually("the daemon answers", || match daemon.ask(&["-s"]) {
            Output { exit: Exit::Code(0), stdout, .. } if !stdout.is_empty() => Ok(()),
            other => Err(other.err()),
        });
        daemon
    }

    fn ask(&self, words: &[&str]) -> Output {
        run(Command::new(self.which.path()).arg("-C").arg(self.dir.join("conf")).args(words), b"")
    }

    fn said(&self, words: &[&str]) -> String {
        let output = self.ask(words);
        assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
        output.out()
    }

    /// The log of ended flows, without the dates.
    fn ended(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(self.dir.join("stats")).unwrap_or_default();
        // Newer kernels put the timeout into the event; it says nothing about an ended flow, and the original
        // omits it.
        text.lines().map(|l| l.split_once('\t').map_or(l, |(_, flow)| flow).trim_end().to_owned()).collect()
    }

    fn active(&self) -> usize {
        self.said(&["-i"]).lines().count()
    }
}

impl Drop for Stats {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn zct(words: &[&str], stdin: &str) {
    let output = Tool::Zct.run_with_stdin(words, stdin.as_bytes());
    assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
}

#[test]
fn ended_flows_are_logged_as_the_original_does() {
    let ns = Netns::fresh().accounting();
    ns.nft(TRACKING);
    let dir = tempfile::tempdir().expect("a directory");
    let both = [Stats::start(Zctd, dir.path(), ""), Stats::start(Original, dir.path(), "")];
    zct(&["-R", "-"], &mixture(1, 300));
    zct(&["-U", "-p", "tcp", "-m", "9"], "");
    // Real packets, so that there is something to count.
    for n in 0..20u16 {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        socket.send_to(b"hello", ("127.0.0.1", 9000 + n)).expect("a packet");
    }
    for d in &both {
        // The refusals they cause are related to pings, not flows of their own.
        eventually("the events", || if d.active() == 320 { Ok(()) } else { Err(d.active().to_string()) });
    }
    let lists: Vec<BTreeSet<String>> = both
        .iter()
        .map(|d| {
            let text = d.said(&["-i"]);
            text.lines().map(|l| l.split(" [active").next().unwrap_or(l).to_owned()).collect()
        })
        .collect();
    difference(&lists[0], &lists[1]).expect("the same lines");
    // In XML the original gives SCTP states the names of TCP's (W16).
    let stateless = |l: &str| match l.contains("\"sctp\"") {
        true => l.split("<state>").map(|p| p.split_once("</state>").map_or(p, |(_, rest)| rest)).collect(),
        false => l.to_owned(),
    };
    let xml =
        both.each_ref().map(|d| d.said(&["-i", "-x"]).lines().map(stateless).collect::<BTreeSet<String>>());
    difference(&xml[0], &xml[1]).expect("the same elements");
    zct(&["-D", "-s", "10.0.0.0/8"], "");
    zct(&["-D", "-s", "127.0.0.0/8"], "");
    zct(&["-D", "-f", "ipv6"], "");
    for d in &both {
        eventually("the ends", || if d.active() == 0 { Ok(()) } else { Err(d.active().to_string()) });
        eventually(
            "the log",
            || if d.ended().len() == 320 { Ok(()) } else { Err(d.ended().len().to_string()) },
        );
    }
    difference(&both[0].ended(), &both[1].ended()).expect("the same log");
    for words in [&["-s"][..], &["-s", "cache"], &["-s", "ct"]] {
        assert_eq!(both[0].said(words), both[1].said(words), "{words:?}");
    }
    for words in
        [&["-e"][..], &["-c"], &["-B"], &["-n"], &["-t"], &["-f"], &["-f", "external"], &["-s", "link"]]
    {
        let outputs = both.each_ref().map(|d| d.ask(words));
        assert_eq!(outputs[0].exit, outputs[1].exit, "{words:?}: {outputs:?}");
        assert_eq!((outputs[0].out(), outputs[1].out()), (String::new(), String::new()), "{words:?}");
    }
    for words in [&["-R"][..], &["-f", "internal"], &["-F"]] {
        for d in &both {
            assert_eq!(d.said(words), "", "{words:?}");
        }
    }
    let protocols = both[0].said(&["-s", "protocol"]);
    assert!(protocols.lines().any(|l| l.starts_with("tcp ")), "{protocols}");
}

#[test]
fn objects_instead_of_lines() {
    let _ns = Netns::fresh().accounting();
    let dir = tempfile::tempdir().expect("a directory");
    let daemon = Stats::start(Zctd, dir.path(), "LogFormat json");
    zct(&["-R", "-"], &mixture(1, 50));
    zct(&["-F"], "");
    eventually("the log", || {
        if daemon.ended().len() == 50 { Ok(()) } else { Err(daemon.ended().len().to_string()) }
    });
    for line in daemon.ended() {
        let object: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(object["event"], "destroy", "{line}");
        assert!(object["orig"]["src"].is_string() && object["timestamp"].is_number(), "{line}");
    }
}

/// What syslog is told about ended flows, and with which priority, is what the original tells it.
#[test]
fn syslog_hears_of_ended_flows() {
    let _ns = Netns::fresh().accounting();
    let dir = tempfile::tempdir().expect("a directory");
    let heard = [Zctd, Original].map(|which| {
        let path = dir.path().join(format!("log-{}", which.name()));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        // Syslog's socket has a fixed path, so the daemon gets a /dev of its own.
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && ln -s \"$0\" /dev/log && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script]).arg(&path).arg(which.path());
        let daemon = Stats::start_with(which, dir.path(), "Syslog on", command);
        zct(&["-R", "-"], &mixture(1, 30));
        eventually("the events", || if daemon.active() == 30 { Ok(()) } else { Err(daemon.active().to_string()) });
        zct(&["-F"], "");
        let mut flows = BTreeSet::new();
        while flows.len() < 30 {
            let mut buf = [0; 4096];
            let n = socket.recv(&mut buf).expect("a message");
            let text = String::from_utf8_lossy(&buf[..n]).trim_end_matches(['\0', '\n', ' ']).to_owned();
            // <30>Nov 25 09:14:29 conntrack-tools[123]: TEXT
            let (priority, rest) = text.split_once('>').expect("a priority");
            let (head, said) = rest.split_once(": ").expect("a text");
            let ident = head.get(16..).and_then(|i| i.split('[').next()).expect("an identity");
            if said.contains("src=") {
                flows.insert(format!("{priority} {ident} {said}"));
            }
        }
        flows
    });
    difference(&heard[0], &heard[1]).expect("the same messages");
}
