//! Two firewalls joined by a link, each with a daemon: zctd, or the original conntrackd.
//!
//! Both run in the foreground, with their files and control sockets in a directory of their own. Nothing is
//! assumed to be done after a fixed time: what has to become true is checked until it is.

use crate::netns::{Netns, Peer};
use crate::program::{DEADLINE, Exit, Output, Tool, find, run, zct};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Which program a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `zctd`.
    Zctd,
    /// `conntrackd` 1.4.7.
    Original,
}

impl Which {
    /// The path of its executable; zctd lies beside zct.
    pub fn path(self) -> PathBuf {
        match self {
            Which::Zctd => {
                let path =
                    std::env::var_os("ZCTD_BIN").map_or_else(|| zct().with_file_name("zctd"), PathBuf::from);
                assert!(path.is_file(), "no {}: cargo build --release -p zctd", path.display());
                path
            }
            Which::Original => find("conntrackd", "conntrackd"),
        }
    }

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Which::Zctd => "zctd",
            Which::Original => "conntrackd",
        }
    }
}

/// What the nodes' dedicated link runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// UDP over IPv4.
    Udp,
    /// UDP over IPv6.
    Udp6,
    /// UDP, with two links of which the second is the default.
    TwoUdp,
    /// IPv4 multicast.
    Multicast,
    /// A TCP connection.
    Tcp,
}

/// What the configuration files of both nodes say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `FTFW`, `NOTRACK` or `ALARM`.
    pub mode: &'static str,
    /// Text for the `Mode` block.
    pub mode_options: &'static str,
    /// What the link runs over.
    pub over: Over,
    /// Text for the `Options` block.
    pub options: &'static str,
    /// Text for the `General` block.
    pub general: &'static str,
    /// Further sections.
    pub sections: &'static str,
}

impl Default for Settings {
    fn default() -> Settings {
        let (mode, over) = ("FTFW", Over::Udp);
        Settings { mode, mode_options: "", over, options: "", general: "", sections: "" }
    }
}

/// One of the two firewalls.
#[derive(Debug)]
pub struct Node {
    /// The program that it runs.
    pub which: Which,
    letter: char,
    dir: PathBuf,
    child: Option<Child>,
    /// Words before the daemon's path, for example `prlimit --nofile=20`.
    before: Vec<String>,
}

/// The two nodes, and their namespaces.
#[derive(Debug)]
pub struct Cluster {
    /// The settings that both use.
    pub settings: Settings,
    nodes: [Node; 2],
    peer: Peer,
    here: Netns,
    _dir: tempfile::TempDir,
}

/// Names one side of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In the namespace of the test's thread: 10.9.0.1.
    Here,
    /// In the other namespace: 10.9.0.2.
    There,
}

impl At {
    /// The other side.
    pub fn other(self) -> At {
        match self {
            At::Here => At::There,
            At::There => At::Here,
        }
    }
}

/// Fails where root is only root of a user namespace, and says what needs more than that.
///
/// # Panics
/// Without the privileges of real root.
pub fn needs_root(what: &str) {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let all = map.split_whitespace().eq(["0", "0", "4294967295"]);
    assert!(all, "{what} takes root, not root of a user namespace: run make test as root");
}

/// Checks again and again until the condition holds.
///
/// # Panics
/// When it does not hold by [`DEADLINE`].
pub fn eventually(what: &str, mut so: impl FnMut() -> Result<(), String>) {
    let until = Instant::now() + DEADLINE;
    loop {
        match so() {
            Ok(()) => return,
            Err(why) if Instant::now() > until => panic!("{what}: not after {DEADLINE:?}: {why}"),
            // Lets the daemons have the processor; no verdict depends on how long this takes.
            Err(_) => std::thread::sleep(Duration::from_millis(30)),
        }
    }
}

fn link_block(over: Over, at: At) -> String {
    let (me, peer, interface) = match at {
        At::Here => (1, 2, "v0"),
        At::There => (2, 1, "v1"),
    };
    let buffers = "SndSocketBuffer 1249280 RcvSocketBuffer 1249280 Checksum on";
    match over {
        Over::Udp => format!(
            "UDP {{ IPv4_address 10.9.0.{me} IPv4_Destination_Address 10.9.0.{peer} Port 3780 Interface \
             {interface} {buffers} }}"
        ),
        Over::Udp6 => format!(
            "UDP {{ IPv6_address fd09::{me} IPv6_Destination_Address fd09::{peer} Port 3780 Interface \
             {interface} {buffers} }}"
        ),
        Over::TwoUdp => {
            let second = if at == At::Here { "w0" } else { "w1" };
            format!(
                "{}\nUDP Default {{ IPv4_address 10.9.1.{me} IPv4_Destination_Address 10.9.1.{peer} Port 3781 \
                 Interface {second} {buffers} }}",
                link_block(Over::Udp, at)
            )
        }
        Over::Tcp => format!(
            "TCP {{ IPv4_address 10.9.0.{me} IPv4_Destination_Address 10.9.0.{peer} Port 3780 Interface \
             {interface} {buffers} }}"
        ),
        Over::Multicast => format!(
            "Multicast {{ IPv4_address 225.0.0.50 Group 3780 IPv4_interface 10.9.0.{me} Interface {interface} \
             {buffers} }}"
        ),
    }
}

impl Node {
    fn file(&self, what: &str) -> PathBuf {
        self.dir.join(format!("{}.{what}", self.letter))
    }

    fn configuration(&self, at: At, s: &Settings) -> String {
        let path = |what| self.file(what).display().to_string();
        // By default the original takes the highest priority there is, and the machine's processors with it.
        let scheduler = match self.which {
            Which::Original => "Scheduler { Type RR Priority 1 }",
            Which::Zctd => "",
        };
        format!(
            "Sync {{\n\
             Mode {} {{ {} }}\n{}\nOptions {{ {} }}\n}}\n\
             General {{\nHashSize 32768\nHashLimit 262144\nLogFile {}\nLockFile {}\n\
             UNIX {{ Path {}\n}}\nNetlinkBufferSize 16777216\nNetlinkBufferSizeMaxGrowth 33554432\n{scheduler}\n{}\n\
             Filter From Userspace {{ Address Ignore {{ IPv4_address 10.9.0.0/23 IPv4_address 127.0.0.1 \
             IPv6_address fd09::/64 IPv6_address ff02::/16 IPv6_address fe80::/10 }} }}\n}}\n{}\n",
            s.mode,
            s.mode_options,
            link_block(s.over, at),
            s.options,
            path("log"),
            path("lock"),
            path("ctl"),
            s.general,
            s.sections
        )
    }

    fn ask(&self, client: Which, words: &[&str]) -> Output {
        let mut command = Command::new(client.path());
        command.arg("-C").arg(self.file("conf")).args(words);
        run(&mut command, b"")
    }

    fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.letter);
        if self.which == Which::Original {
            needs_root("conntrackd with a dedicated link (SO_SNDBUFFORCE)");
            // The fail-over script does the same after a crash.
            _ = fs::remove_file(self.file("lock"));
        }
        // Of all runs, so that a panic of an earlier one shows at the end.
        let err = fs::File::options().create(true).append(true).open(self.file("err")).expect("a file");
        let program = self.which.path().into_os_string();
        let mut words = self.before.iter().map(OsString::from).chain([program]);
        let child = Command::new(words.next().expect("a program"))
            .args(words)
            .arg("-C")
            .arg(self.file("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(err)
            .spawn();
        self.child = Some(child.expect("the daemon"));
        eventually("the daemon answers", || {
            let child = self.child.as_mut().expect("started");
            if let Ok(Some(status)) = child.try_wait() {
                let said = fs::read_to_string(self.file("err")).unwrap_or_default();
                panic!("{} has ended: {status}: {said}", self.which.name());
            }
            let answer = self.ask(self.which, &["-s"]);
            if answer.exit == Exit::Code(0) && !answer.stdout.is_empty() { Ok(()) } else { Err(answer.err()) }
        });
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut child = self.child.take()?;
        _ = kill(Pid::from_raw(child.id() as i32), signal);
        child.wait().expect("wait").code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
    }
}

impl Cluster {
    /// Makes the namespaces, and starts both daemons.
    pub fn start(here: Which, there: Which, settings: Settings) -> Cluster {
        let mut cluster = Cluster::prepare(here, there, settings);
        cluster.run(At::Here);
        cluster.run(At::There);
        cluster
    }

    /// As [`Cluster::start`], without starting the daemons.
    pub fn prepare(here: Which, there: Which, settings: Settings) -> Cluster {
        let netns = Netns::fresh();
        let peer = netns.peer();
        if settings.over == Over::TwoUdp {
            netns.second_link(&peer);
        }
        let dir = tempfile::tempdir().expect("a directory");
        let node =
            |which, letter| Node { which, letter, dir: dir.path().into(), child: None, before: vec![] };
        let nodes = [node(here, 'a'), node(there, 'b')];
        let cluster = Cluster { settings, nodes, peer, here: netns, _dir: dir };
        for at in [At::Here, At::There] {
            let node = cluster.node(at);
            let text = node.configuration(at, &cluster.settings);
            fs::write(node.file("conf"), text).expect("a configuration");
        }
        cluster
    }

    /// The node on this side.
    pub fn node(&self, at: At) -> &Node {
        &self.nodes[usize::from(at == At::There)]
    }

    fn with<T: Send>(&mut self, at: At, f: impl FnOnce(&mut Node) -> T + Send) -> T {
        match at {
            At::Here => f(&mut self.nodes[0]),
            At::There => {
                let node = &mut self.nodes[1];
                self.peer.inside(|| f(node))
            }
        }
    }

    /// Starts a node's daemon through other programs from now on, each of which has to end with exec.
    pub fn through(&mut self, at: At, words: &[&str]) {
        self.nodes[usize::from(at == At::There)].before = words.iter().map(|&w| w.to_owned()).collect();
    }

    /// Runs `f` in the node's namespace.
    pub fn inside<T: Send>(&self, at: At, f: impl FnOnce() -> T + Send) -> T {
        match at {
            At::Here => f(),
            At::There => self.peer.inside(f),
        }
    }

    /// Starts a node's daemon and waits until it answers.
    pub fn run(&mut self, at: At) {
        self.with(at, Node::start);
    }

    /// Ends a node's daemon with a signal; returns its exit code.
    pub fn end(&mut self, at: At, signal: Signal) -> Option<i32> {
        self.with(at, |node| node.end(signal))
    }

    /// The process id of a node's daemon.
    pub fn pid(&self, at: At) -> u32 {
        self.node(at).child.as_ref().expect("it runs").id()
    }

    /// Path of a node's configuration file.
    pub fn configuration(&self, at: At) -> PathBuf {
        self.node(at).file("conf")
    }

    /// Path of a node's control socket.
    pub fn socket(&self, at: At) -> PathBuf {
        self.node(at).file("ctl")
    }

    /// Everything that a node has logged.
    pub fn log(&self, at: At) -> String {
        fs::read_to_string(self.node(at).file("log")).unwrap_or_default()
    }

    /// Everything that a node's daemons have written to standard error.
    pub fn stderr(&self, at: At) -> String {
        fs::read_to_string(self.node(at).file("err")).unwrap_or_default()
    }

    /// Asks a node with its own client, which has to succeed.
    pub fn ask(&self, at: At, words: &[&str]) -> String {
        let output = self.ask_by(self.node(at).which, at, words);
        assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
        output.out()
    }

    /// Asks a node with either client.
    pub fn ask_by(&self, client: Which, at: At, words: &[&str]) -> Output {
        let node = self.node(at);
        node.ask(client, words)
    }

    /// Runs zct on a node, with standard input.
    pub fn zct(&self, at: At, words: &[&str], stdin: &str) -> Output {
        self.inside(at, || Tool::Zct.run_with_stdin(words, stdin.as_bytes()))
    }

    /// Runs zct on a node, which has to succeed.
    pub fn must(&self, at: At, words: &[&str], stdin: &str) -> String {
        let output = self.zct(at, words, stdin);
        assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
        output.out()
    }

    /// Loads nft rules on both nodes, for example to make the network lossy.
    pub fn rules(&self, text: &str) {
        self.here.nft(text);
        self.peer.inside(|| crate::program::tool_with_stdin("nft", &["-f", "-"], text.as_bytes()));
    }

    /// Makes the link between the nodes, after it was deleted, without addresses.
    pub fn wire(&self) {
        self.here.wire(&self.peer);
    }

    /// Gives that link its addresses, and waits until it works.
    pub fn address(&self) {
        self.here.address(&self.peer);
    }

    /// Runs `ip` with these words on a node.
    pub fn ip(&self, at: At, words: &str) -> String {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        self.inside(at, || crate::program::tool("ip", &words))
    }

    /// A node's own cache as its peer can know it: original tuples, with whatever else is replicated.
    pub fn internal(&self, at: At) -> BTreeSet<String> {
        self.ask(at, &["-i"]).lines().map(travelling).collect()
    }

    /// What a node knows of its peer's flows.
    pub fn external(&self, at: At) -> BTreeSet<String> {
        self.ask(at, &["-e"]).lines().map(travelling).collect()
    }

    /// Waits until `at` knows all of the other node's flows, and no others.
    pub fn agree(&self, at: At, what: &str) {
        self.agree_on(at, what, usize::MAX);
    }

    /// As [`Cluster::agree`], with the number of flows that there have to be.
    pub fn agree_on(&self, at: At, what: &str, count: usize) {
        eventually(what, || {
            let (own, known) = (self.internal(at.other()), self.external(at));
            if count != usize::MAX && own.len() != count {
                return Err(format!("{} flows instead of {count}", own.len()));
            }
            difference(&own, &known)
        });
    }

    /// The kernel's table on a node, without what differs between the two by nature.
    pub fn table(&self, at: At) -> BTreeSet<String> {
        let listed = self.must(at, &["-L"], "");
        listed.lines().filter(|l| !l.contains("=10.9.0.") && !l.contains("=fd09:")).map(timeless).collect()
    }
}

/// Says how two sets differ.
pub fn difference(own: &BTreeSet<String>, known: &BTreeSet<String>) -> Result<(), String> {
    if own == known {
        return Ok(());
    }
    let first = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).next().cloned();
    Err(format!(
        "{} flows, {} known; not known: {:?}; not there: {:?}",
        own.len(),
        known.len(),
        first(own, known),
        first(known, own)
    ))
}

/// A line of a cache without what is not replicated: the reply tuple and ages.
pub(crate) fn travelling(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut sources = 0;
    for word in line.split_whitespace() {
        if word.starts_with("[active") || word.starts_with("[expires") {
            break;
        }
        let tuple = word.split_once('=').is_some_and(|(key, _)| {
            ["src", "dst", "sport", "dport", "type", "code", "id", "srckey", "dstkey"].contains(&key)
        });
        sources += usize::from(word.starts_with("src="));
        // Every local flow has a mark of 0; it is replicated only where there was another mark before.
        if tuple && sources > 1 || word == "mark=0" {
            continue;
        }
        words.push(word);
    }
    words.join(" ")
}

/// A line of the kernel's table without its timeout.
fn timeless(line: &str) -> String {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words.get(2).is_some_and(|w| w.bytes().all(|b| b.is_ascii_digit())) {
        words.remove(2);
    }
    words.join(" ")
}

/// Flows of every kind that is replicated, as a batch of creations; `net` keeps the two nodes' flows apart.
pub fn mixture(net: u8, count: usize) -> String {
    let mut out = String::new();
    for n in 0..count {
        let (port, host) = (1024 + n % 60_000, n % 250 + 1);
        out += &match n % 10 {
            0 => format!(
                "-I -p tcp -s 10.{net}.0.{host} -d 10.200.0.1 --sport {port} --dport 80 --state ESTABLISHED -t 900 -u ASSURED -m {n}\n"
            ),
            1 => format!(
                "-I -p tcp -s fd{net:02}::{host} -d fdff::1 --sport {port} --dport 443 --state ESTABLISHED -t 900 -u ASSURED,SEEN_REPLY\n"
            ),
            2 => format!(
                "-I -p tcp -s 10.{net}.1.{host} -d 10.200.0.2 --sport {port} --dport 22 --state ESTABLISHED -t 900 -u ASSURED,SEEN_REPLY -n 192.0.2.{net}:{port}\n"
            ),
            3 => format!(
                "-I -p tcp -s 10.{net}.2.{host} -d 10.200.0.{host} --sport {port} --dport 8080 --state SYN_SENT -t 900 -g 172.16.0.9:{}\n",
                80 + n
            ),
            4 => format!("-I -p udp -s 10.{net}.3.{host} -d 10.200.0.53 --sport {port} --dport 53 -t 900\n"),
            5 => format!(
                "-I -p udp -s fd{net:02}:1::{host} -d fdff::53 --sport {port} --dport 53 -t 900 -u SEEN_REPLY\n"
            ),
            6 => format!(
                "-I -p icmp -s 10.{net}.4.{host} -d 10.200.0.7 --icmp-type 8 --icmp-code 0 --icmp-id {n} -t 900\n"
            ),
            7 => format!(
                "-I -p icmpv6 -s fd{net:02}:2::{host} -d fdff::7 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id {n} -t 900\n"
            ),
            8 => format!(
                "-I -p sctp -s 10.{net}.5.{host} -d 10.200.0.8 --sport {port} --dport 2905 --state ESTABLISHED --orig-vtag {} --reply-vtag {} -t 900\n",
                n + 1,
                n + 2
            ),
            _ => format!(
                "-I -p tcp -s 10.{net}.6.{host} -d 10.200.0.9 --sport {port} --dport 25 --state TIME_WAIT -t 900 -m 0x{n:x}\n"
            ),
        };
    }
    out
}
