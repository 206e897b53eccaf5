//! zctd as the programs that drive conntrackd use it: with the configurations they render (`fixtures/`),
//! their commands in their order, and what they read from the answers.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zct_tests::cluster::{Which, eventually, mixture};
use zct_tests::netns::{Netns, Peer};
use zct_tests::program::{Exit, Output, Tool, run, tool};

const FIXTURES: [(&str, &str); 3] = [
    ("vyos-multicast", include_str!("../fixtures/vyos-multicast.conf")),
    ("vyos-udp", include_str!("../fixtures/vyos-udp.conf")),
    ("neutron", include_str!("../fixtures/neutron.conf")),
];

fn fixture(name: &str) -> &'static str {
    FIXTURES.iter().find(|(n, _)| *n == name).expect("a fixture").1
}

/// A directory in which zctd is called conntrackd, as the drivers call it.
struct Host {
    dir: tempfile::TempDir,
    /// Tells apart the nodes of one test.
    name: &'static str,
}

impl Host {
    fn new(name: &'static str) -> Host {
        let dir = tempfile::tempdir().expect("a directory");
        symlink(Which::Zctd.path(), dir.path().join("conntrackd")).expect("a link");
        Host { dir, name }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{}-{name}", self.name))
    }

    /// Writes a configuration with lock and control socket here rather than at the driver's paths.
    fn configure(&self, text: &str) {
        let lines = text.lines().map(|line| match line.trim_start().split_once(' ') {
            Some(("LockFile", _)) => format!("LockFile {}\n", self.file("lock").display()),
            Some(("Path", _)) => format!("Path {}\n", self.file("ctl").display()),
            _ => format!("{line}\n"),
        });
        let out: String = lines.collect();
        fs::write(self.file("conf"), out).expect("a configuration");
    }

    /// Runs `conntrackd` with these arguments, found in PATH as a script would find it.
    fn run(&self, words: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("conntrackd");
        command.env("PATH", format!("{}:{path}", self.dir.path().display())).args(words).stdin(Stdio::null());
        run(&mut command, b"")
    }

    /// One of the driver's commands to the daemon with this configuration, which has to succeed.
    fn asked(&self, words: &[&str]) -> String {
        let conf = self.file("conf").display().to_string();
        let said = self.run(&[&["-C", &conf][..], words].concat());
        assert_eq!((said.exit, said.err().as_str()), (Exit::Code(0), ""), "{words:?}: {said:?}");
        said.out()
    }

    /// The processes with exactly the command line that starts the daemon, as pgrep finds them.
    fn running(&self) -> Vec<i32> {
        let wanted = format!("conntrackd\0-d\0-C\0{}\0", self.file("conf").display());
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let all = all.filter_map(|e| e.file_name().to_str()?.parse().ok());
        all.filter(|pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|l| l == wanted.as_bytes()))
            .collect()
    }

    /// Starts the daemon as both drivers do, and finds its process id by its command line.
    fn start(&self) -> i32 {
        let conf = self.file("conf").display().to_string();
        let said = self.run(&["-d", "-C", &conf]);
        let all = (said.exit, said.out(), said.err());
        assert_eq!(all, (Exit::Code(0), String::new(), String::new()));
        let pids = self.running();
        assert_eq!(pids.len(), 1, "{pids:?}");
        pids[0]
    }

    fn gone(&self) {
        eventually("its end", || match self.running() {
            none if none.is_empty() => Ok(()),
            some => Err(format!("{some:?}")),
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for pid in self.running() {
            _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// An element with its attributes, text and children, which is all that a parser into dictionaries sees.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads one document.
    fn parse(document: &str) -> Element {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Element::default()];
        loop {
            let event = reader.read_event().unwrap_or_else(|e| panic!("{e}: {document}"));
            match event {
                Event::Start(tag) => {
                    let pair = |a: quick_xml::events::attributes::Attribute<'_>| {
                        let text = |b: &[u8]| String::from_utf8(b.to_vec()).expect("text");
                        (text(a.key.as_ref()), text(&a.value))
                    };
                    let attributes = tag.attributes().map(|a| pair(a.expect("an attribute"))).collect();
                    let name = String::from_utf8(tag.name().as_ref().to_vec()).expect("a name");
                    open.push(Element { name, attributes, ..Element::default() });
                }
                Event::Empty(tag) => {
                    let name = String::from_utf8(tag.name().as_ref().to_vec()).expect("a name");
                    open.last_mut().expect("open").children.push(Element { name, ..Element::default() });
                }
                // The reader has checked that the names match.
                Event::End(_) => {
                    let done = open.pop().expect("an element");
                    open.last_mut().expect("the one around it").children.push(done);
                }
                Event::Text(text) => {
                    open.last_mut().expect("open").text += std::str::from_utf8(&text).expect("text");
                }
                Event::Eof => break,
                other => panic!("{other:?} in {document}"),
            }
        }
        let mut all = open.pop().expect("the document");
        assert!(open.is_empty() && all.children.len() == 1 && all.text.is_empty(), "{document}");
        all.children.remove(0)
    }

    fn child(&self, name: &str) -> &Element {
        self.children.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The `meta` element of a direction.
    fn meta(&self, direction: &str) -> &Element {
        let is = |c: &&Element| c.attributes.get("direction").is_some_and(|d| d == direction);
        self.children.iter().filter(|c| c.name == "meta").find(is).unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// Parses a listing in which each line is a document.
fn documents(listing: &str) -> Vec<Element> {
    listing.lines().map(Element::parse).collect()
}

/// Both drivers' configurations run unchanged: zctd warns about what it has no use for, and the original
/// accepts them too.
#[test]
fn rendered_configurations_are_accepted() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in FIXTURES {
        let file = dir.path().join(name);
        let check = |text: &str| {
            fs::write(&file, text).expect("a file");
            let said = run(Command::new(Which::Zctd.path()).arg("--check").arg("-C").arg(&file), b"");
            assert_eq!(said.exit, Exit::Code(0), "{name}: {said:?}");
            assert!(said.err().lines().all(|l| l.contains(": warning: ")), "{name}: {said:?}");
            assert_eq!(said.lines()[0], format!("# {}", file.display()));
            said
        };
        let said = check(text);
        assert!(!said.err().contains(" is ignored"), "{name}: {said:?}");
        assert_eq!(text.matches("    Type ").count(), if name == "neutron" { 0 } else { 3 });
        // What `--check` prints is a configuration that `--check` prints alike.
        assert_eq!(check(&said.out()).out(), said.out(), "{name}");
        fs::write(&file, text).expect("a file");
        let theirs = run(Command::new(Which::Original.path()).arg("-s").arg("-C").arg(&file), b"");
        let last = theirs.err().lines().last().unwrap_or_default().to_owned();
        assert!(last.contains("can't connect: is conntrackd running?"), "{name}: {theirs:?}");
    }
}

/// The fixture for one of two nodes, linked by the interfaces of the test's namespaces.
fn vyos(name: &str, own: u8) -> String {
    let peer = 3 - own;
    let side = own - 1;
    let mut text = fixture(name).to_owned();
    for (from, to) in [
        ("192.0.2.0/24", "10.9.0.0/24".to_owned()),
        ("192.0.2.1", format!("10.9.0.OWN{own}")),
        ("192.0.2.2", format!("10.9.0.OWN{peer}")),
        ("198.51.100.1", format!("10.9.1.OWN{own}")),
        ("198.51.100.2", format!("10.9.1.OWN{peer}")),
        ("OWN", String::new()),
        ("eth1", format!("v{side}")),
        ("eth2", format!("w{side}")),
    ] {
        text = text.replace(from, &to);
    }
    text
}

/// An FTP control connection from here to the peer that announces a data port, to make an
/// expectation. Stays open.
fn ftp(peer: &Peer) -> (TcpStream, TcpStream) {
    let listener = peer.inside(|| TcpListener::bind("10.9.2.2:21").expect("bind"));
    let client = TcpStream::connect("10.9.2.2:21").expect("connect");
    let (server, _) = listener.accept().expect("accept");
    let say = |mut from: &TcpStream, to: &TcpStream, text: &str| {
        from.write_all(text.as_bytes()).expect("write");
        let mut line = String::new();
        BufReader::new(to).read_line(&mut line).expect("read");
        assert_eq!(line, text);
    };
    say(&server, &client, "220 ready\r\n");
    say(&client, &server, "USER test\r\n");
    say(&client, &server, "PORT 10,9,2,1,4,2\r\n");
    (client, server)
}

const FTP_RULES: &str = "table ip drivers {\n\
     ct helper ftp { type \"ftp\" protocol tcp; }\n\
     chain output { type filter hook output priority filter; tcp dport 21 ct helper set \"ftp\"; }\n}\n";

/// A network for traffic that the daemons do not ignore as their own.
fn traffic_network(peer: &Peer) {
    tool("ip", &["addr", "add", "10.9.2.1/24", "dev", "v0"]);
    peer.inside(|| tool("ip", &["addr", "add", "10.9.2.2/24", "dev", "v1"]));
}

/// VyOS: the script for changes of state, and the commands of operational mode with the listings that it
/// reads line by line.
#[test]
fn vyos_drives_it() {
    for name in ["vyos-multicast", "vyos-udp"] {
        let netns = Netns::fresh();
        let peer = netns.peer();
        netns.second_link(&peer);
        traffic_network(&peer);
        netns.nft(FTP_RULES);
        let (here, there) = (Host::new("here"), Host::new("there"));
        here.configure(&vyos(name, 1));
        there.configure(&vyos(name, 2));
        // VyOS calls `systemctl start`; its script passes -d when nobody answers.
        here.start();
        peer.inside(|| there.start());
        let made = Tool::Zct.run_with_stdin(&["-R", "-"], mixture(1, 40).as_bytes());
        assert_eq!(made.exit, Exit::Code(0), "{made:?}");
        let _control = ftp(&peer);
        // 40 flows that were made, the control connection, and its expectation.
        eventually("the flows", || match (here.asked(&["-i"]), here.asked(&["-i", "expect"])) {
            (flows, expects) if flows.lines().count() == 41 && expects.lines().count() == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let external = name == "vyos-multicast";
        eventually("the flows over there", || {
            match (external, there.asked(&["-e"]), there.asked(&["-e", "expect"])) {
                (true, flows, expects) if flows.lines().count() == 41 && expects.lines().count() == 1 => {
                    Ok(())
                }
                // Without an external cache they go into the kernel at once.
                (false, flows, _) if flows.is_empty() => {
                    match peer.inside(|| Tool::Zct.run(&["-L", "-d", "10.200.0.0/16"])).lines().len() {
                        // The IPv4 flows with such destinations.
                        28 => Ok(()),
                        n => Err(n.to_string()),
                    }
                }
                other => Err(format!("{other:?}")),
            }
        });
        // The commands of operational mode.
        for (host, words, count) in [
            (&here, &["-i", "ct", "-x"][..], 41),
            (&here, &["-i", "expect", "-x"], 1),
            (&there, &["-e", "ct", "-x"], if external { 41 } else { 0 }),
            (&there, &["-e", "expect", "-x"], if external { 1 } else { 0 }),
            (&here, &["-e", "ct", "-x"], 0),
            (&here, &["-e", "expect", "-x"], 0),
        ] {
            let all = documents(&host.asked(words));
            assert_eq!(all.len(), count, "{name} {words:?}");
            for flow in &all {
                assert_eq!(flow.name, "flow");
                if words[1] == "ct" {
                    let original = flow.meta("original");
                    for part in ["src", "dst"] {
                        assert!(!original.child("layer3").child(part).text.is_empty(), "{flow:?}");
                    }
                    assert!(original.child("layer4").attributes.contains_key("protonum"), "{flow:?}");
                    flow.meta("reply").child("layer3");
                    flow.meta("independent");
                } else {
                    assert_eq!(
                        flow.child("layer4").child("expected").child("dport").text,
                        "1026",
                        "{flow:?}"
                    );
                    assert_eq!(
                        flow.child("layer3").child("master").child("src").text,
                        "10.9.2.1",
                        "{flow:?}"
                    );
                }
            }
        }
        let statistics = here.asked(&["-s"]);
        assert!(statistics.contains("cache internal:") && statistics.contains("message tracking:"));
        assert!(here.asked(&["-s", "helper"]).contains("\nhelper rpc inet tcp:\n"));
        assert!(here.asked(&["-s", "exp"]).contains("cache internal:"));
        here.asked(&["-f", "internal"]);
        assert_eq!(documents(&here.asked(&["-i", "ct", "-x"])).len(), 0);
        // What the script does to become primary.
        for words in [&["-c"][..], &["-c", "exp"], &["-f"], &["-R"], &["-B"]] {
            assert_eq!(here.asked(words), "", "{words:?}");
        }
        assert_eq!(documents(&here.asked(&["-i", "ct", "-x"])).len(), 41, "{name}");
        // What it does to become backup, or on a fault.
        assert!(!there.asked(&["-s"]).is_empty());
        for words in [&["-t"][..], &["-n"], &["-f", "external"], &["-f", "internal"], &["-t"]] {
            assert_eq!(there.asked(words), "", "{words:?}");
        }
        // Nobody answers, so the script starts it.
        here.asked(&["-k"]);
        here.gone();
        let conf = here.file("conf").display().to_string();
        assert_eq!(here.run(&["-C", &conf, "-s"]).exit, Exit::Code(1));
        here.start();
        assert!(!here.asked(&["-s"]).is_empty());
    }
}

/// Neutron: one daemon per router, in the router's namespace, found by nothing but its command line.
#[test]
fn neutron_drives_it() {
    let netns = Netns::fresh();
    let ip = |words: &str| _ = tool("ip", &words.split(' ').collect::<Vec<_>>());
    ip("link add ha-0a1b2c3d-4e type veth peer name switch");
    ip("link set switch up");
    ip("addr add 192.0.2.5/24 dev ha-0a1b2c3d-4e");
    ip("link set ha-0a1b2c3d-4e up");
    let host = Host::new("router");
    host.configure(fixture("neutron"));
    let files = || [host.file("lock"), host.file("ctl")];
    let prepare = || files().iter().for_each(|f| _ = fs::remove_file(f));
    let conf = host.file("conf").display().to_string();
    let there = || files().map(|f| Path::new(&f).exists());
    // Enabling it twice does no harm: the second daemon is refused, and the first goes on.
    prepare();
    let first = host.start();
    let second = host.run(&["-d", "-C", &conf]);
    assert!(second.exit == Exit::Code(1) && second.err().contains("perhaps conntrackd already running?"));
    assert_eq!(host.running(), [first]);
    host.asked(&["-n"]);
    // Neutron sees what became of it by looking for the command line again.
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let before = host.running();
        kill(Pid::from_raw(before[0]), signal).expect("kill");
        host.gone();
        assert_eq!(there(), [signal == Signal::SIGKILL; 2], "{signal}");
        prepare();
        let pid = host.start();
        assert_ne!(vec![pid], before);
        assert_eq!(host.asked(&["-n"]), "");
        let made = Tool::Zct.run_with_stdin(&["-R", "-"], mixture(1, 20).as_bytes());
        assert_eq!(made.exit, Exit::Code(0), "{made:?}");
        eventually("the flows", || match host.asked(&["-i"]).lines().count() {
            20 => Ok(()),
            n => Err(n.to_string()),
        });
        assert_eq!(Tool::Zct.run(&["-F"]).exit, Exit::Code(0));
    }
    // Files left behind that nobody has removed do not get in the way.
    kill(Pid::from_raw(host.running()[0]), Signal::SIGKILL).expect("kill");
    host.gone();
    host.start();
    assert_eq!(host.asked(&["-k"]), "");
    host.gone();
    assert_eq!(there(), [false, false]);
    drop(netns);
}
