//! `make demo`: a firewall dies under a transfer, and the other one goes on. Told in a dozen lines with the
//! times.
//!
//! Runs inside the namespaces that `scripts/demo.sh` makes, of which nothing is left when it ends. In place
//! of keepalived there is a heartbeat between the two firewalls, so that nothing but zctd has to be
//! installed; what happens then is what keepalived does: the addresses move, and `dist/primary-backup.sh`
//! runs.

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zct_tests::cluster::Which;

type Fail = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of the transfer, sent in pieces with pauses so that it takes some seconds.
const TRANSFER: usize = 48 << 20;
const PIECE: usize = 64 << 10;
const PAUSE: Duration = Duration::from_millis(5);
/// Between two heartbeats of the active firewall, and the silence after which it counts as dead.
const BEAT: Duration = Duration::from_millis(20);
const SILENCE: Duration = Duration::from_millis(200);
/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/primary-backup.sh");

/// Only connections that began here, and with a SYN; their source becomes the shared address.
const RULES: &str = "table ip firewall {
    counter invalid { }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state invalid counter name invalid drop
        ct state established,related accept
        iifname c0 ct state new tcp flags & (syn | ack) == syn accept
    }
    chain postrouting { type nat hook postrouting priority 100; oifname s0 snat to 10.2.0.254; }
}
";

/// A machine: a network of its own.
struct Machine(File);

impl Machine {
    fn new() -> Result<Machine, Fail> {
        let made = thread::spawn(|| -> Result<File, Fail> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        });
        let machine = Machine(made.join().map_err(|_| "no namespace")??);
        machine.sh("ip link set lo up")?;
        Ok(machine)
    }

    /// Moves the calling thread there.
    fn enter(&self) -> Result<(), Fail> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Runs a command there, which has to succeed; returns what it prints.
    fn run(&self, command: &mut Command) -> Result<String, Fail> {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                self.enter()?;
                let output = command.stdin(Stdio::null()).output()?;
                match output.status.success() {
                    true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                    false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
                }
            });
            there.join().unwrap_or_else(|_| Err("a command".into()))
        })
    }

    fn sh(&self, script: &str) -> Result<String, Fail> {
        self.run(Command::new("sh").args(["-ec", script]))
    }

    /// Lays a cable to another machine.
    fn cable(&self, device: &str, other: &Machine, port: &str) -> Result<(), Fail> {
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.sh(&format!(
            "ip link add {device} type veth peer name {port} netns {there}; ip link set {device} up"
        ))?;
        other.sh(&format!("ip link set {port} up")).map(drop)
    }
}

/// A firewall: a machine with zctd.
struct Firewall {
    machine: Machine,
    number: u8,
    daemon: Pid,
}

impl Firewall {
    /// Starts the daemon of a machine that has its cables.
    fn start(machine: Machine, number: u8) -> Result<Firewall, Fail> {
        let other = 3 - number;
        machine.sh(&format!(
            "ip addr add 10.1.0.1{number}/24 dev c0; ip addr add 10.2.0.1{number}/24 dev s0
             ip addr add 10.9.9.{number}/24 dev y0
             cd /proc/sys/net; echo 1 >ipv4/ip_forward
             echo 0 >netfilter/nf_conntrack_tcp_loose; echo 0 >netfilter/nf_conntrack_tcp_be_liberal"
        ))?;
        fs::write("/run/rules", RULES)?;
        machine.sh("nft -f /run/rules")?;
        let conf = format!(
            "Sync {{\nMode FTFW {{ }}\nUDP {{ IPv4_address 10.9.9.{number} IPv4_Destination_Address \
             10.9.9.{other} Port 3780 Interface y0 }}\nOptions {{ TCPWindowTracking on }}\n}}\n\
             General {{\nLogFile /run/{number}.log\nLockFile /run/{number}.lock\n\
             UNIX {{ Path /run/{number}.ctl\n}}\nNetlinkBufferSize 4194304\n\
             NetlinkBufferSizeMaxGrowth 8388608\nSystemd off\n\
             Filter From Userspace {{ Address Ignore {{ IPv4_address 10.9.9.0/24 }} }}\n}}\n"
        );
        fs::write(format!("/run/{number}.conf"), conf)?;
        machine.run(zctd(number).arg("-d"))?;
        let pid = fs::read_to_string(format!("/run/{number}.lock"))?.trim().parse()?;
        Ok(Firewall { machine, number, daemon: Pid::from_raw(pid) })
    }

    fn ask(&self, words: &[&str]) -> Result<String, Fail> {
        self.machine.run(zctd(self.number).args(words))
    }

    /// Its status, which is not in sync: the peer is gone.
    fn status(&self) -> Result<String, Fail> {
        self.machine.sh(&format!(
            "{} -C /run/{}.conf status --json || [ $? = 2 ]",
            Which::Zctd.path().display(),
            self.number
        ))
    }

    /// What keepalived would run.
    fn becomes(&self, state: &str) -> Result<(), Fail> {
        let mut script = Command::new(SCRIPT);
        script.arg(state).env("ZCTD", Which::Zctd.path()).env("INTERFACES", "c0 s0");
        script.env("ADDRESSES", "10.1.0.254 10.2.0.254");
        script.env("CONFIGURATION", format!("/run/{}.conf", self.number));
        self.machine.run(&mut script).map(drop)
    }

    /// Takes the shared addresses.
    fn takes_addresses(&self) -> Result<(), Fail> {
        self.machine.sh("ip addr add 10.1.0.254/24 dev c0; ip addr add 10.2.0.254/24 dev s0").map(drop)
    }

    /// Tells client and server where the shared addresses are now: whoever is asked for its own address
    /// learns who asks.
    fn announces(&self) -> Result<(), Fail> {
        self.machine.sh("ip neigh flush dev c0; ip neigh flush dev s0")?;
        thread::scope(|scope| {
            let there = scope.spawn(|| -> Result<(), Fail> {
                self.machine.enter()?;
                for (from, to) in [("10.1.0.254:0", "10.1.0.1:9"), ("10.2.0.254:0", "10.2.0.1:9")] {
                    UdpSocket::bind(from)?.send_to(b"here", to)?;
                }
                Ok(())
            });
            there.join().unwrap_or_else(|_| Err("an announcement".into()))
        })
    }

    /// Everything on it ends at once.
    fn dies(&self) -> Result<(), Fail> {
        kill(self.daemon, Signal::SIGKILL)?;
        self.machine.sh("for l in c0 s0 y0; do ip link set $l down; done").map(drop)
    }

    fn invalid(&self) -> Result<String, Fail> {
        let text = self.machine.sh("nft list counter ip firewall invalid")?;
        let count = text.split("packets ").nth(1).and_then(|t| t.split(' ').next());
        Ok(count.unwrap_or("?").to_owned())
    }
}

fn zctd(number: u8) -> Command {
    let mut command = Command::new(Which::Zctd.path());
    command.args(["-C", &format!("/run/{number}.conf")]);
    command
}

/// Checks again and again until something is there.
fn until<T>(what: &str, mut found: impl FnMut() -> Result<Option<T>, Fail>) -> Result<T, Fail> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(t) = found()? {
            return Ok(t);
        }
        if Instant::now() > end {
            return Err(format!("{what}: not after {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Tells the story with the time of each line.
struct Story(Instant);

impl Story {
    fn tell(&self, text: &str) {
        // If nobody reads it any more, it goes on without.
        _ = writeln!(std::io::stdout(), "{:6.2} s  {text}", self.0.elapsed().as_secs_f64());
    }
}

/// The server's end: bytes that cannot be guessed, and their hash.
fn sends(listener: &TcpListener) -> Result<u64, Fail> {
    let (mut to, _) = listener.accept()?;
    let (mut rng, mut hash, mut piece) = (fastrand::Rng::new(), DefaultHasher::new(), vec![0; PIECE]);
    for _ in 0..TRANSFER / PIECE {
        rng.fill(&mut piece);
        hash.write(&piece);
        to.write_all(&piece)?;
        thread::sleep(PAUSE);
    }
    Ok(hash.finish())
}

/// The client's end: the hash of what has come, and the longest time in which nothing came.
fn receives(progress: &AtomicU64) -> Result<(u64, Duration), Fail> {
    let mut from = TcpStream::connect("10.2.0.1:9000")?;
    from.set_read_timeout(Some(PATIENCE))?;
    let (mut hash, mut piece) = (DefaultHasher::new(), vec![0; PIECE]);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    for _ in 0..TRANSFER / PIECE {
        from.read_exact(&mut piece)?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        hash.write(&piece);
        progress.fetch_add(PIECE as u64, Ordering::Relaxed);
    }
    Ok((hash.finish(), longest))
}

/// The active firewall says that it is there until it is dead.
fn beats(active: &Machine, dead: &AtomicBool) -> Result<(), Fail> {
    active.enter()?;
    let socket = UdpSocket::bind("10.9.9.1:7000")?;
    while !dead.load(Ordering::Relaxed) {
        _ = socket.send_to(b"alive", "10.9.9.2:7000");
        thread::sleep(BEAT);
    }
    Ok(())
}

/// Returns when the active firewall, once it has been heard, is silent because it is dead: on a busy machine
/// a heartbeat may come late, which is another story.
fn silence(standby: &Machine, dead: &AtomicBool) -> Result<(), Fail> {
    standby.enter()?;
    let socket = UdpSocket::bind("10.9.9.2:7000")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.recv(&mut [0; 16])?;
    socket.set_read_timeout(Some(SILENCE))?;
    while socket.recv(&mut [0; 16]).is_ok() || !dead.load(Ordering::Relaxed) {}
    Ok(())
}

/// The seconds that the take-over took, from the daemon's status.
fn takeover_ms(status: &str) -> Option<f64> {
    let (_, takeover) = status.split_once("\"takeover\":{")?;
    let (_, duration) = takeover.split_once("\"duration_seconds\":")?;
    let number = duration.split(['}', ',']).next()?;
    Some(number.parse::<f64>().ok()? * 1000.0)
}

/// Client, server, the switch that joins them with the firewalls, and the firewalls A and B.
fn build() -> Result<([Machine; 3], [Firewall; 2]), Fail> {
    let (client, server, switch) = (Machine::new()?, Machine::new()?, Machine::new()?);
    switch.sh("for b in clients servers; do ip link add $b type bridge; ip link set $b up; done")?;
    let plug = |machine: &Machine, device: &str, port: &str, bridge: &str| {
        machine.cable(device, &switch, port)?;
        switch.sh(&format!("ip link set {port} master {bridge}")).map(drop)
    };
    plug(&client, "c0", "client", "clients")?;
    plug(&server, "s0", "server", "servers")?;
    client.sh("ip addr add 10.1.0.1/24 dev c0; ip route add default via 10.1.0.254")?;
    server.sh("ip addr add 10.2.0.1/24 dev s0; ip route add default via 10.2.0.254")?;
    let (a, b) = (Machine::new()?, Machine::new()?);
    for (machine, name) in [(&a, 'a'), (&b, 'b')] {
        plug(machine, "c0", &format!("{name}c"), "clients")?;
        plug(machine, "s0", &format!("{name}s"), "servers")?;
    }
    a.cable("y0", &b, "y0")?;
    Ok(([client, server, switch], [Firewall::start(a, 1)?, Firewall::start(b, 2)?]))
}

fn play(story: &Story) -> Result<(), Fail> {
    // A file system of its own, and empty.
    if Path::new("/run").read_dir()?.next().is_some() {
        return Err("this is for scripts/demo.sh: make demo".into());
    }
    let ([client, server, _switch], [a, b]) = build()?;
    story.tell("two firewalls, A and B, between a client, 10.1.0.1, and a server, 10.2.0.1; each runs zctd");
    b.becomes("backup")?;
    a.takes_addresses()?;
    a.becomes("primary")?;
    a.announces()?;
    story.tell(
        "A is active: it has the addresses 10.1.0.254 and 10.2.0.254, and translates. B lets nothing in",
    );

    let (progress, dead) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let listening = scope.spawn(|| -> Result<TcpListener, Fail> {
            server.enter()?;
            Ok(TcpListener::bind("10.2.0.1:9000")?)
        });
        let listener = listening.join().unwrap_or_else(|_| Err("a listener".into()))?;
        let sent = scope.spawn(move || sends(&listener));
        let received = scope.spawn(|| {
            client.enter()?;
            receives(&progress)
        });
        let beating = scope.spawn(|| beats(&a.machine, &dead));
        let silent = scope.spawn(|| silence(&b.machine, &dead));
        let outcome = disaster(story, [&a, &b], &progress, &dead, || {
            silent.join().unwrap_or_else(|_| Err("the watch".into()))
        });
        dead.store(true, Ordering::Relaxed);
        _ = beating.join();
        outcome?;
        let (got, gap) = received.join().unwrap_or_else(|_| Err("the client".into()))?;
        let hash = sent.join().unwrap_or_else(|_| Err("the server".into()))?;
        if got != hash {
            return Err("what has come is not what was sent".into());
        }
        story.tell(&format!("all {} MiB have come, and are what was sent", TRANSFER >> 20));
        let invalid = b.invalid()?;
        let gap = gap.as_secs_f64();
        story.tell(&format!("for {gap:.2} s nothing came; packets that B took for invalid: {invalid}"));
        Ok(())
    })
}

/// What happens in the middle of the transfer.
fn disaster(
    story: &Story,
    [a, b]: [&Firewall; 2],
    progress: &AtomicU64,
    dead: &AtomicBool,
    silent: impl FnOnce() -> Result<(), Fail>,
) -> Result<(), Fail> {
    let so_far = || progress.load(Ordering::Relaxed);
    until("a beginning", || Ok((so_far() > TRANSFER as u64 / 4).then_some(())))?;
    story.tell(&format!(
        "the client loads {} MiB from the server, {} of them have come, through A:",
        TRANSFER >> 20,
        so_far() >> 20
    ));
    let known = until("B knows the connection", || {
        let known = b.ask(&["-e"])?;
        Ok(known.lines().find(|l| l.contains("dport=9000") && l.contains("ASSURED")).map(str::to_owned))
    })?;
    let line = known.split(" [active").next().unwrap_or(&known);
    story.tell(&format!("B knows it: {line}"));
    story.tell("A dies: its zctd is killed, its cables are pulled");
    dead.store(true, Ordering::Relaxed);
    a.dies()?;
    silent()?;
    let silent = SILENCE.as_millis();
    story.tell(&format!(
        "B has heard nothing for {silent} ms: it takes the addresses and runs primary-backup.sh"
    ));
    b.takes_addresses()?;
    b.becomes("primary")?;
    b.announces()?;
    let took = takeover_ms(&b.status()?).ok_or("the status has no take-over")?;
    story.tell(&format!(
        "B is active: its kernel had the connections after {took:.1} ms, then the gate was opened"
    ));
    let before = so_far();
    until("the transfer", || Ok((so_far() > before).then_some(())))?;
    story.tell("the transfer goes on, through B");
    Ok(())
}

fn main() -> std::process::ExitCode {
    let story = Story(Instant::now());
    match play(&story) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("demo: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}
