//! The machine against a real conntrackd 1.4.7, over UDP between two private network namespaces.
//!
//! There is no test harness: the program runs itself inside the namespace as the node under test (argument
//! `node`), with the machine on a socket and commands on standard input. The namespaces' names live on a
//! private `/run`, so that none of this is visible outside. Needs root, or root of a user namespace
//! (`scripts/test.sh` makes one), and conntrackd, conntrack, ip and unshare.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};
use zct_wire::peer::Flow;
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};
use zctd::peer::{Alarm, Event, Ftfw, Link, Machine, Notrack, Origin, Output, PeerConfig, Seed};

const OURS: &str = "10.98.0.1";
const THEIRS: &str = "10.98.0.2";
const PORT: u16 = 3780;
/// The longest that anything may take. A condition that holds earlier ends the wait.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|w| w == "node") {
        return node(&words[2]);
    }
    if words.iter().any(|w| w == "--list") {
        return println!("interop: test");
    }
    for program in ["conntrackd", "conntrack", "ip", "unshare"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        assert!(
            found.is_ok_and(|o| o.status.success()),
            "{program} is missing: apt-get install conntrackd conntrack iproute2 util-linux"
        );
    }
    if words.get(1).is_none_or(|w| w != "inside") {
        let me = std::env::current_exe().expect("a path");
        let status = Command::new("unshare")
            .args(["--mount", "--net", "sh", "-c", "mount -t tmpfs none /run && exec \"$0\" inside"])
            .arg(me)
            .status()
            .expect("unshare");
        assert!(status.success(), "{status}: not root? scripts/test.sh makes a user namespace");
        return;
    }
    for mode in [Mode::Ftfw, Mode::Notrack, Mode::Alarm] {
        let lab = Lab::new(mode);
        match mode {
            Mode::Ftfw => {
                ours_to_theirs(&lab);
                theirs_to_ours(&lab);
                loss(&lab);
                restarts(&lab);
            }
            Mode::Notrack => notrack(&lab),
            Mode::Alarm => alarm(&lab),
        }
        println!("interop {mode:?} ... ok");
    }
}

// ---- the node under test ----

fn print_notices(machine: &mut Machine) {
    while let Some(output) = machine.poll() {
        if let Output::Notice(notice) = output {
            eprintln!("notice: {notice:?}");
        }
    }
}

/// Flow `n` as our kernel would have it: TCP, UDP and pings in both families, some of them translated.
fn flow(n: u32) -> Flow {
    let [_, _, c, d] = n.to_be_bytes();
    let v6 = n % 5 == 4;
    let (src, dst) = if v6 {
        let mut a = [0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, c, d];
        let src = Addr::V6(a);
        a[1] = 2;
        (src, Addr::V6(a))
    } else {
        (Addr::V4([10, 1, c, d]), Addr::V4([10, 2, 0, 1]))
    };
    let mut orig = Tuple { src: Some(src), dst: Some(dst), ..Tuple::default() };
    let mut f = Flow { status: Some(0x0e), timeout_s: Some(600), ..Flow::default() };
    match n % 4 {
        0 | 1 => {
            (orig.proto, orig.src_port, orig.dst_port) = (Some(6), Some(1000), Some(80));
            f.proto = Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() }));
            if n % 4 == 1 && !v6 {
                f.status = Some(0x19e);
                (f.snat, f.spat) = (Some(Addr::V4([10, 2, 0, 99])), Some(20_000 + (n % 30_000) as u16));
            }
        }
        2 => (orig.proto, orig.src_port, orig.dst_port) = (Some(17), Some(1000), Some(53)),
        _ => {
            orig.proto = Some(if v6 { 58 } else { 1 });
            (orig.icmp_type, orig.icmp_code, orig.icmp_id) =
                (Some(if v6 { 128 } else { 8 }), Some(0), Some(7));
        }
    }
    if n % 3 == 0 {
        f.mark = Some(n);
    }
    Flow { orig, ..f }
}

/// What both ends speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Ftfw,
    Alarm,
    Notrack,
}

fn config(mode: Mode) -> PeerConfig {
    match mode {
        // With `Digest on`: an original must not mind that we offer to compare.
        Mode::Ftfw => PeerConfig {
            digest_ms: Some(1000),
            ..PeerConfig::of(Ftfw { startup_resync: true, ..Ftfw::DEFAULT })
        },
        Mode::Alarm => PeerConfig::of(Alarm { refresh_time_s: 3, cache_timeout_s: 8 }),
        Mode::Notrack => PeerConfig::of(Notrack { startup_resync: true, ..Notrack::default() }),
    }
}

/// Runs the machine until its standard input ends. Commands: `new A B`, `change A B`, `end A B`, `loss
/// PERCENT`, `restart`, `resync`, `bulk`, `count`, `bad`, `waiting`, `stats`.
fn node(mode: &str) {
    let mode = match mode {
        "Ftfw" => Mode::Ftfw,
        "Alarm" => Mode::Alarm,
        _ => Mode::Notrack,
    };
    let socket = UdpSocket::bind((OURS, PORT)).expect("our address");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let begin = Instant::now();
    let ms = || begin.elapsed().as_millis() as u64;
    let make = || {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
        let link = Link { payload_max: 1472, up: true };
        let seed = Seed { sequence: unix as u32, random: 1, hash: [1, 2] };
        Machine::new(ms(), config(mode), vec![link], 0, seed)
    };
    let mut machine = make();
    let (mut loss, mut dice, mut buf) = (0u32, 12_345u32, [0; 65_536]);
    let mut lost = move |loss: u32| {
        dice = dice.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (dice >> 16) % 100 < loss
    };
    let mut live = std::collections::BTreeSet::new();
    loop {
        loop {
            match told.try_recv() {
                Ok(line) => {
                    let words: Vec<&str> = line.split(' ').collect();
                    let number = |i: usize| words.get(i).and_then(|w| w.parse::<u32>().ok()).unwrap_or(0);
                    let event = match words[0] {
                        "new" => Some(Event::New),
                        "change" => Some(Event::Update),
                        "end" => Some(Event::Destroy),
                        _ => None,
                    };
                    if let Some(event) = event {
                        for n in number(1)..number(2) {
                            let f = flow(n);
                            let f = if event == Event::Update { Flow { mark: Some(4242), ..f } } else { f };
                            machine.flow_change(ms(), event, Origin::Kernel, &f, n);
                            if event == Event::Destroy {
                                live.remove(&n)
                            } else {
                                live.insert(n)
                            };
                        }
                        continue;
                    }
                    match words[0] {
                        "loss" => loss = number(1),
                        "resync" => machine.request_resync(ms()),
                        "bulk" => machine.send_bulk(),
                        "restart" => {
                            machine = make();
                            for n in &live {
                                machine.flow_dumped(ms(), &flow(*n), *n);
                            }
                        }
                        "count" => println!("{}", machine.caches().external.counts().flows),
                        "bad" => println!("{}", machine.stats().malformed),
                        "waiting" => println!("{}", machine.resend_queue().len() + machine.waiting()),
                        "stats" => println!("{:?}", machine.stats()),
                        other => panic!("what is {other}?"),
                    }
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
        }
        let now = ms();
        machine.turn(now);
        print_notices(&mut machine);
        while let Some(n) = machine.transmit(ms(), &mut buf) {
            if !lost(loss) {
                socket.send_to(&buf[..n], (THEIRS, PORT)).ok();
            }
        }
        let next = machine.deadline(now).unwrap_or(now + 10).saturating_sub(ms()).clamp(1, 10);
        socket.set_read_timeout(Some(Duration::from_millis(next))).expect("a timeout");
        while let Ok(n) = socket.recv(&mut buf) {
            if !lost(loss) {
                machine.datagram(ms(), 0, &buf[..n]);
            }
            socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
            if machine.deadline(ms()).is_some_and(|t| t <= ms()) {
                break;
            }
        }
    }
}

// ---- the scenarios ----

/// Everything for one mode: two namespaces, the real daemon, the node under test.
struct Lab {
    ours: String,
    theirs: String,
    dir: PathBuf,
    daemon: std::cell::RefCell<Option<Child>>,
    node: std::cell::RefCell<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

fn run(words: &[&str]) -> String {
    let out = Command::new(words[0]).args(&words[1..]).output().expect(words[0]);
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

impl Lab {
    fn new(mode: Mode) -> Self {
        let id = std::process::id();
        let (ours, theirs) = (format!("zct-io-{id}"), format!("zct-it-{id}"));
        let dir = std::env::temp_dir().join(format!("zct-interop-{id}-{mode:?}"));
        std::fs::create_dir_all(&dir).expect("a directory");
        for ns in [&ours, &theirs] {
            run(&["ip", "netns", "add", ns]);
        }
        run(&[
            "ip", "link", "add", "up0", "netns", &ours, "type", "veth", "peer", "name", "up0", "netns",
            &theirs,
        ]);
        for (ns, addr) in [(&ours, OURS), (&theirs, THEIRS)] {
            run(&["ip", "-n", ns, "addr", "add", &format!("{addr}/24"), "dev", "up0"]);
            run(&["ip", "-n", ns, "link", "set", "up0", "up"]);
            run(&["ip", "-n", ns, "link", "set", "lo", "up"]);
        }
        let settings = match mode {
            Mode::Ftfw => "Mode FTFW {\nACKWindowSize 300\n}",
            Mode::Alarm => "Mode ALARM {\nRefreshTime 3\nCacheTimeout 8\n}",
            Mode::Notrack => "Mode NOTRACK {\n}",
        };
        let mut conf = String::new();
        let at = |name: &str| dir.join(name).display().to_string();
        write!(
            conf,
            "Sync {{\n{settings}\nUDP {{\nIPv4_address {THEIRS}\nIPv4_Destination_Address {OURS}\nPort {PORT}\n\
             Interface up0\n}}\n}}\nGeneral {{\nHashSize 32768\nHashLimit 131072\nLockFile {}\nUNIX {{\nPath {}\n}}\n\
             NetlinkBufferSize 8388608\nNetlinkBufferSizeMaxGrowth 16777216\nScheduler {{\nType FIFO\nPriority 0\n}}\n}}\n",
            at("lock"),
            at("sock")
        )
        .expect("memory");
        std::fs::write(dir.join("conf"), conf).expect("a file");
        let node = Lab::start_node(&ours, mode);
        let lab = Lab { ours, theirs, dir, daemon: None.into(), node: node.into() };
        lab.start_daemon();
        lab
    }

    fn start_node(ns: &str, mode: Mode) -> (Child, ChildStdin, BufReader<ChildStdout>) {
        let me = std::env::current_exe().expect("a path");
        let mut child = Command::new("ip")
            .args(["netns", "exec", ns])
            .arg(me)
            .args(["node", &format!("{mode:?}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ip");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        (child, input, BufReader::new(output))
    }

    fn conf(&self) -> String {
        self.dir.join("conf").display().to_string()
    }

    fn start_daemon(&self) {
        for name in ["lock", "sock"] {
            std::fs::remove_file(self.dir.join(name)).ok();
        }
        let child = Command::new("ip")
            .args(["netns", "exec", &self.theirs, "conntrackd", "-C", &self.conf()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ip");
        *self.daemon.borrow_mut() = Some(child);
        until("conntrackd answers", || self.client_ok());
    }

    fn client_ok(&self) -> bool {
        let words = ["netns", "exec", &self.theirs, "conntrackd", "-C", &self.conf(), "-s"];
        Command::new("ip").args(words).output().is_ok_and(|o| o.status.success())
    }

    fn kill_daemon(&self) {
        if let Some(mut child) = self.daemon.borrow_mut().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    fn client(&self, options: &[&str]) -> String {
        let conf = self.conf();
        let mut words = vec!["ip", "netns", "exec", &self.theirs, "conntrackd", "-C", &conf];
        words.extend(options);
        run(&words)
    }

    /// Number of flows in the real daemon's external cache.
    fn their_external(&self) -> usize {
        self.client(&["-e"]).lines().count()
    }

    fn kernel(&self, words: &[&str]) {
        let mut all = vec!["ip", "netns", "exec", &self.theirs, "conntrack"];
        all.extend(words);
        run(&all);
    }

    fn tell(&self, line: &str) {
        writeln!(self.node.borrow_mut().1, "{line}").expect("the node lives");
    }

    fn ask(&self, line: &str) -> String {
        self.tell(line);
        let mut answer = String::new();
        self.node.borrow_mut().2.read_line(&mut answer).expect("the node lives");
        answer.trim().to_string()
    }

    fn our_external(&self) -> usize {
        self.ask("count").parse().expect("a number")
    }

    /// Creates `count` TCP flows, numbered from `first`, in the real daemon's kernel.
    fn their_flows(&self, first: u32, count: u32) {
        let lines: String = (first..first + count)
            .map(|n| {
                format!(
                    "-I -p tcp -s 10.3.{}.{} -d 10.4.0.1 --sport 1000 --dport 80 --state ESTABLISHED -t 600 \
                     -u SEEN_REPLY,ASSURED\n",
                    n / 256,
                    n % 256
                )
            })
            .collect();
        let file = self.dir.join("load");
        std::fs::write(&file, lines).expect("a file");
        self.kernel(&["-R", &file.display().to_string()]);
    }

    fn nothing_was_malformed(&self) {
        assert_eq!(self.ask("bad"), "0", "{}", self.ask("stats"));
        let theirs = self.client(&["-s", "network"]);
        let line = theirs.lines().find(|l| l.contains("Malformed messages")).expect("a counter").to_string();
        assert_eq!(line.split_whitespace().last(), Some("0"), "{theirs}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill_daemon();
        let node = &mut self.node.borrow_mut().0;
        node.kill().ok();
        node.wait().ok();
        for ns in [&self.ours, &self.theirs] {
            Command::new("ip").args(["netns", "del", ns]).output().ok();
        }
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// Waits until the condition holds; fails if it does not in time.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The real daemon keeps, changes, ends and commits what we send.
fn ours_to_theirs(lab: &Lab) {
    lab.tell("new 0 1000");
    until("1000 flows arrive", || lab.their_external() == 1000);
    lab.tell("change 0 100");
    until("100 changes arrive", || {
        lab.client(&["-e"]).lines().filter(|l| l.contains("mark=4242")).count() == 100
    });
    lab.tell("end 900 1000");
    until("100 ends arrive", || lab.their_external() == 900);
    until("everything is acknowledged", || lab.ask("waiting").parse::<usize>().expect("a number") <= 1);
    lab.nothing_was_malformed();
    // They go into the real kernel, including translations.
    lab.client(&["-c"]);
    let table = run(&["ip", "netns", "exec", &lab.theirs, "conntrack", "-L", "-o", "extended"]);
    let ours = table.lines().filter(|l| l.contains("src=10.1.") || l.contains("src=fd01:")).count();
    assert_eq!(ours, 900, "{}", table.lines().take(5).collect::<Vec<_>>().join("\n"));
    let translated = table.lines().filter(|l| l.contains("dst=10.2.0.99")).count();
    assert_eq!(translated, (0..900).filter(|n| flow(*n).snat.is_some()).count());
    run(&["ip", "netns", "exec", &lab.theirs, "conntrack", "-F"]);
    until("the real cache is empty", || lab.client(&["-i"]).is_empty());
}

/// What the real daemon sends is kept; a requested bulk is complete, and flows that it lacks are swept.
fn theirs_to_ours(lab: &Lab) {
    let before = lab.our_external();
    lab.their_flows(0, 2000);
    until("2000 flows arrive", || lab.our_external() == before + 2000);
    lab.kernel(&["-D", "-p", "tcp", "-s", "10.3.0.7"]);
    until("an end arrives", || lab.our_external() == before + 1999);
    // Bulks in both directions, on request.
    lab.client(&["-n"]);
    until("it still has ours", || lab.their_external() == 900);
    lab.tell("resync");
    until("and we have theirs", || lab.our_external() == 1999);
    lab.nothing_was_malformed();
}

/// A third of everything is lost in both directions while both sides change; then nothing is.
fn loss(lab: &Lab) {
    lab.tell("loss 33");
    lab.tell("new 1000 1500");
    lab.tell("end 0 300");
    lab.their_flows(2000, 500);
    for n in 0..20 {
        lab.kernel(&["-D", "-p", "tcp", "-s", &format!("10.3.1.{n}")]);
    }
    std::thread::sleep(Duration::from_millis(1500)); // so that some retransmissions are lost too
    lab.tell("loss 0");
    until("they have ours", || lab.their_external() == 1100);
    until("we have theirs", || lab.our_external() == 2479);
    lab.nothing_was_malformed();
}

/// Each side dies and comes back; flows end meanwhile.
fn restarts(lab: &Lab) {
    lab.kill_daemon();
    lab.kernel(&["-D", "-p", "tcp", "-s", "10.3.2.1"]);
    lab.tell("end 300 400");
    lab.start_daemon();
    until("the real one is filled without asking", || lab.their_external() == 1000);
    until("what ended meanwhile is swept", || lab.our_external() == 2478);
    lab.tell("restart");
    until("we are filled on request", || lab.our_external() == 2478);
    until("they still have ours", || lab.their_external() == 1000);
    lab.nothing_was_malformed();
}

fn notrack(lab: &Lab) {
    lab.tell("new 0 1000");
    until("1000 flows arrive", || lab.their_external() == 1000);
    lab.their_flows(0, 500);
    until("500 flows arrive", || lab.our_external() == 500);
    lab.kill_daemon();
    lab.start_daemon();
    assert_eq!(lab.their_external(), 0);
    lab.client(&["-n"]);
    until("a resync brings them back", || lab.their_external() == 1000);
    lab.tell("restart");
    until("and ours", || lab.our_external() == 500);
    lab.nothing_was_malformed();
}

fn alarm(lab: &Lab) {
    lab.tell("new 0 300");
    until("300 flows arrive", || lab.their_external() == 300);
    lab.their_flows(0, 200);
    until("200 flows arrive", || lab.our_external() == 200);
    lab.kill_daemon();
    until("theirs expire", || lab.our_external() == 0);
    lab.start_daemon();
    until("ours are announced again", || lab.their_external() == 300);
    until("and theirs", || lab.our_external() == 200);
    lab.tell("end 0 100");
    until("100 ends arrive", || lab.their_external() == 200);
    lab.nothing_was_malformed();
}
