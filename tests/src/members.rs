//! Several firewalls on one bridge, each with a zctd that knows all the others.

use crate::cluster::{Which, eventually, travelling};
use crate::faults::Churn;
use crate::netns::{Netns, Peer};
use crate::program::{Exit, Output, Tool, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What the members' links run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// UDP from each to each.
    Udp,
    /// TCP from each to each.
    Tcp,
    /// A multicast group that all share.
    Group,
}

#[derive(Debug)]
struct Member {
    number: u8,
    place: Peer,
    child: Option<Child>,
}

/// The members, with the numbers 1, 2 and so on, and the names `fw-1`, `fw-2` and so on.
#[derive(Debug)]
pub struct Members {
    members: Vec<Member>,
    dir: tempfile::TempDir,
    /// Where the bridge is.
    pub bridge: Netns,
}

impl Members {
    /// So many members, configured and not started; `sync` is more text for their `Sync` sections, where it may begin
    /// with another `Mode` than FTFW.
    pub fn prepare(count: u8, between: Between, sync: &str) -> Members {
        let bridge = Netns::fresh();
        bridge.bridge();
        let dir = tempfile::tempdir().expect("a directory");
        let member = |number| Member { number, place: bridge.member(number), child: None };
        let members = (1..=count).map(member).collect();
        let all = Members { members, dir, bridge };
        for number in 1..=count {
            fs::write(all.file(number, "conf"), all.configuration(number, count, between, sync))
                .expect("a configuration");
        }
        all
    }

    /// As [`Members::prepare`], and starts all of them.
    pub fn start(count: u8, between: Between, sync: &str) -> Members {
        let mut all = Members::prepare(count, between, sync);
        (1..=count).for_each(|number| all.run(number));
        all
    }

    fn configuration(&self, number: u8, count: u8, between: Between, sync: &str) -> String {
        let path = |what| self.file(number, what).display().to_string();
        let link = |kind: &str, other: u8| {
            format!(
                "{kind} {{ IPv4_address 10.9.0.{number} IPv4_Destination_Address 10.9.0.{other} Port 3780 \
                 Interface eth0 SndSocketBuffer 1249280 RcvSocketBuffer 1249280 }}"
            )
        };
        let peers: String = (1..=count)
            .filter(|other| *other != number)
            .map(|other| {
                let link = match between {
                    Between::Udp => link("UDP", other),
                    Between::Tcp => link("TCP", other),
                    Between::Group => String::new(),
                };
                format!("Peer fw-{other} {{ NodeID {other}\n{link} }}\n")
            })
            .collect();
        let group = match between {
            Between::Group => format!(
                "Multicast {{ IPv4_address 225.0.0.50 Group 3780 IPv4_interface 10.9.0.{number} Interface eth0 \
                 SndSocketBuffer 1249280 RcvSocketBuffer 1249280 }}\n"
            ),
            Between::Udp | Between::Tcp => String::new(),
        };
        let mode = if sync.starts_with("Mode ") { "" } else { "Mode FTFW { }\n" };
        format!(
            "Sync {{\n{mode}NodeID {number}\n{group}{peers}{sync}\n}}\nGeneral {{\nLogFile {}\nLockFile {}\n\
             UNIX {{ Path {}\n}}\nNetlinkBufferSize 16777216\nNetlinkBufferSizeMaxGrowth 33554432\nFilter From Userspace {{ Address Ignore {{ IPv4_address 10.9.0.0/24 \
             IPv4_address 127.0.0.1 IPv6_address fe80::/10 IPv6_address ff02::/16 }} }}\n}}\n\
             Metrics {{ TextFile {}\nInterval 1 }}\n",
            path("log"),
            path("lock"),
            path("ctl"),
            path("prom")
        )
    }

    /// The path of one of a member's files: its `conf`, its `log`.
    pub fn file(&self, number: u8, what: &str) -> PathBuf {
        self.dir.path().join(format!("{number}.{what}"))
    }

    fn member(&mut self, number: u8) -> &mut Member {
        self.members.iter_mut().find(|m| m.number == number).expect("a member")
    }

    /// Runs `f` in a member's namespace.
    pub fn inside<T: Send>(&self, number: u8, f: impl FnOnce() -> T + Send) -> T {
        self.members.iter().find(|m| m.number == number).expect("a member").place.inside(f)
    }

    /// Starts a member's daemon, and waits until it answers.
    pub fn run(&mut self, number: u8) {
        let (conf, err) = (self.file(number, "conf"), self.file(number, "err"));
        let member = self.member(number);
        assert!(member.child.is_none(), "{number} runs already");
        let err = fs::File::options().create(true).append(true).open(err).expect("a file");
        let mut command = Command::new(Which::Zctd.path());
        command.arg("-C").arg(conf).stdin(Stdio::null()).stdout(Stdio::null()).stderr(err);
        member.child = Some(member.place.inside(move || command.spawn().expect("the daemon")));
        eventually("the daemon answers", || {
            let child = self.member(number).child.as_mut().expect("started");
            if let Ok(Some(status)) = child.try_wait() {
                panic!("{number} has ended: {status}: {}", self.said(number));
            }
            let answer = self.asked(number, &["-s"]);
            if answer.exit == Exit::Code(0) { Ok(()) } else { Err(answer.err()) }
        });
    }

    /// Writes another configuration for a member that runs, and waits until it has taken the keys in it.
    pub fn reconfigure(&self, number: u8, between: Between, sync: &str) {
        let count = u8::try_from(self.members.len()).expect("few");
        let text = self.configuration(number, count, between, sync);
        fs::write(self.file(number, "conf"), text).expect("a configuration");
        let before = self.said(number).matches("Auth in mode").count();
        let member = self.members.iter().find(|m| m.number == number).expect("a member");
        let child = member.child.as_ref().expect("it runs");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).expect("it is there");
        eventually("it has taken the keys", || {
            let said = self.said(number);
            (said.matches("Auth in mode").count() > before).then_some(()).ok_or(said)
        });
    }

    /// Starts a load on a member, with sources in 10.`net`.0.0/16.
    pub fn churn(&self, number: u8, net: u8, living: u32) -> Churn {
        self.inside(number, || Churn::start(net, living, None))
    }

    /// Kills a member's daemon: it says good-bye to nobody.
    pub fn kill(&mut self, number: u8) {
        let mut child = self.member(number).child.take().expect("it runs");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).expect("it is there");
        child.wait().expect("wait");
    }

    /// What a member has written to its log and to standard error.
    pub fn said(&self, number: u8) -> String {
        let text = |what| fs::read_to_string(self.file(number, what)).unwrap_or_default();
        text("log") + &text("err")
    }

    /// Asks a member.
    pub fn asked(&self, number: u8, words: &[&str]) -> Output {
        let conf = self.file(number, "conf");
        run(Command::new(Which::Zctd.path()).arg("-C").arg(conf).args(words), b"")
    }

    /// Asks a member, which has to succeed.
    pub fn ask(&self, number: u8, words: &[&str]) -> String {
        let output = self.asked(number, words);
        assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}: {}", self.said(number));
        output.out()
    }

    /// Runs zct on a member with these lines as standard input, which has to succeed.
    pub fn zct(&self, number: u8, words: &[&str], stdin: &str) -> String {
        let output = self.inside(number, || Tool::Zct.run_with_stdin(words, stdin.as_bytes()));
        assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
        output.out()
    }

    /// A member's own flows, as the others can know them.
    pub fn own(&self, number: u8) -> BTreeSet<String> {
        self.ask(number, &["-i"]).lines().map(travelling).collect()
    }

    /// What a member knows of the flows of another.
    pub fn known(&self, number: u8, of: u8) -> BTreeSet<String> {
        self.ask(number, &["-e", "--from", &format!("fw-{of}")]).lines().map(travelling).collect()
    }

    /// Waits until each of these members knows so many flows of another, and they are that one's.
    pub fn agree(&self, at: &[u8], of: u8, count: usize) {
        for number in at.iter().filter(|n| **n != of) {
            eventually(&format!("{number} knows the flows of {of}"), || {
                let (own, known) = (self.own(of), self.known(*number, of));
                if own.len() != count {
                    return Err(format!("{of} has {} flows instead of {count}", own.len()));
                }
                crate::cluster::difference(&own, &known)
            });
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(mut child) = member.child.take() {
                _ = child.kill();
                _ = child.wait();
            }
        }
    }
}
