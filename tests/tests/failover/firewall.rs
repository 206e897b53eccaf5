//! The machines of the test: two firewalls with keepalived, a client and a server, each in namespaces of its own.

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use zct_tests::cluster::{Which, eventually, needs_root};
use zct_tests::program::{Exit, find, run, zct};

/// What keepalived runs when a firewall changes its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// The original package's, unchanged; the test itself opens and closes a gate beside it.
    Original,
    /// Ours, which has a gate.
    Ours,
}

impl Script {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Script::Original => "/usr/share/doc/conntrackd/examples/sync/primary-backup.sh",
            Script::Ours => concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/primary-backup.sh"),
        }
    }

    /// The command for a new state, `$1`.
    fn command(self, dir: &str) -> String {
        let path = self.path();
        match self {
            Script::Original => format!(
                "{path} $1\ncase $1 in\nprimary) nft flush chain inet f gate ;;\n*) nft -f {dir}/rules ;;\nesac"
            ),
            Script::Ours => format!(
                "INTERFACES='c0 s0' ADDRESSES='10.1.0.254 10.2.0.254' ZCTD=/usr/sbin/conntrackd {path} $1"
            ),
        }
    }

    /// The rules of a gate that is closed when they are loaded.
    fn gate(self) -> &'static str {
        match self {
            Script::Original => {
                "chain gate { type filter hook prerouting priority -400; iifname { c0, s0 } ip protocol != 112 \
                 ip daddr != 224.0.0.18 drop; }\n"
            }
            Script::Ours => "",
        }
    }
}

/// A machine: a network namespace with its own mounts, kept alive by a process.
pub(crate) struct Machine {
    holder: Child,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "sleep", "1000000"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare (util-linux)");
        let machine = Machine { holder };
        let ours = fs::read_link("/proc/self/ns/mnt").expect("a namespace");
        eventually("a namespace", || {
            let comm = fs::read_to_string(format!("/proc/{}/comm", machine.pid())).unwrap_or_default();
            let there = fs::read_link(format!("/proc/{}/ns/mnt", machine.pid()));
            if comm.trim() == "sleep" && there.is_ok_and(|t| t != ours) { Ok(()) } else { Err(comm) }
        });
        machine.sh("ip link set lo up");
        machine
    }

    fn pid(&self) -> u32 {
        self.holder.id()
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-n", "-m", "--", program]).stdin(Stdio::null());
        command
    }

    /// Runs a shell script, which has to succeed; returns its output.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = run(self.command("sh").args(["-ec", script]), b"");
        assert_eq!(output.exit, Exit::Code(0), "{script}: {output:?}");
        output.out()
    }

    /// Moves the calling thread into the machine's network.
    pub(crate) fn enter(&self) {
        let ns = File::open(format!("/proc/{}/ns/net", self.pid())).expect("a namespace");
        setns(&ns, CloneFlags::CLONE_NEWNET).expect("setns");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        _ = self.holder.kill();
        _ = self.holder.wait();
    }
}

/// One of the two firewalls.
pub(crate) struct Firewall {
    pub(crate) machine: Machine,
    dir: PathBuf,
    number: u8,
    script: Script,
    keepalived: Option<Child>,
}

impl Firewall {
    fn new(number: u8, which: Which, script: Script, tracking: bool, dir: &Path) -> Firewall {
        let machine = Machine::new();
        let dir = dir.join(format!("fw{number}"));
        fs::create_dir(&dir).expect("a directory");
        let daemon = which.path();
        // The script's paths cannot be changed, so each machine gets its own mounts there.
        machine.sh(&format!(
            "mount -t tmpfs none /etc/conntrackd; mount -t tmpfs none /run; mkdir -p /run/lock\n\
             touch {0}/bin; cat {1} > {0}/bin; chmod 755 {0}/bin; mount --bind {0}/bin /usr/sbin/conntrackd\n\
             sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_tcp_loose=0 \
             net.netfilter.nf_conntrack_tcp_be_liberal=0",
            dir.display(),
            daemon.display(),
        ));
        let other = 3 - number;
        let scheduler = if which == Which::Original { "Scheduler { Type RR Priority 1 }" } else { "" };
        let tracking = if tracking { "On" } else { "Off" };
        fs::write(
            dir.join("conf"),
            format!(
                "Sync {{\nMode FTFW {{\n}}\nPurgeTimeout 1\nUDP {{ IPv4_address 10.9.9.{number} \
                 IPv4_Destination_Address 10.9.9.{other} Port 3780 Interface y0 }}\n\
                 Options {{ TCPWindowTracking {tracking} }}\n}}\nGeneral {{\nHashSize 32768\nHashLimit 131072\n\
                 LogFile {}\nLockFile /var/lock/conntrack.lock\nUNIX {{ Path /var/run/conntrackd.ctl\n}}\n\
                 NetlinkBufferSize 4194304\nNetlinkBufferSizeMaxGrowth 8388608\n{scheduler}\n\
                 Filter From Userspace {{ Address Ignore {{ IPv4_address 10.9.9.0/24 IPv4_address 127.0.0.1 \
                 IPv4_address 224.0.0.18 }} }}\n}}\n",
                dir.join("log").display()
            ),
        )
        .expect("a configuration");
        machine.sh(&format!("cp {}/conf /etc/conntrackd/conntrackd.conf", dir.display()));
        Firewall { machine, dir, number, script, keepalived: None }
    }

    /// Loads the rules. Nothing passes until the gate is opened, which happens when the flows are there.
    pub(crate) fn rules(&self) {
        let head = "table inet f {\ncounter invalid { }\n";
        let chains = "chain forward { type filter hook forward priority 0; policy drop;\n\
            ct state invalid counter name invalid drop\n\
            ct state established,related accept\n\
            iifname c0 ct state new tcp flags & (syn|ack) == syn accept\n\
            iifname c0 meta l4proto udp ct state new accept\n}\n\
            chain nat { type nat hook postrouting priority 100;\n\
            oifname s0 tcp dport 9001 snat ip to 10.2.0.254\n\
            oifname s0 udp dport 9003 snat ip to 10.2.0.254\n}\n}\n";
        let rules = [head, self.script.gate(), chains].concat();
        fs::write(self.dir.join("rules"), rules).expect("rules");
        self.machine.sh(&format!("nft -f {}/rules", self.dir.display()));
    }

    pub(crate) fn start_daemon(&self) {
        self.machine.sh("/usr/sbin/conntrackd -C /etc/conntrackd/conntrackd.conf -d");
    }

    pub(crate) fn start_keepalived(&mut self) {
        let dir = self.dir.display();
        let command = self.script.command(&dir.to_string());
        let notify = format!("#!/bin/sh\n{command}\necho $1 >> {dir}/states\n");
        fs::write(self.dir.join("notify"), notify).expect("a script");
        let instance = |name: &str, device: &str, id: u8, net: u8| {
            format!(
                "vrrp_instance {name} {{\ninterface {device}\nstate BACKUP\nnopreempt\nvirtual_router_id {id}\n\
                 priority {}\nadvert_int 0.2\nvirtual_ipaddress {{ 10.{net}.0.254/24 dev {device} }}\n}}\n",
                150 - self.number * 10
            )
        };
        let conf = format!(
            "global_defs {{ script_user root\nvrrp_version 3\nvrrp_garp_master_delay 1\n}}\n\
             vrrp_sync_group g {{ group {{ client\nserver }}\n\
             notify_master \"{dir}/notify primary\"\nnotify_backup \"{dir}/notify backup\"\n\
             notify_fault \"{dir}/notify fault\"\n}}\n{}{}",
            instance("client", "c0", 61, 1),
            instance("server", "s0", 62, 2)
        );
        fs::write(self.dir.join("keepalived"), conf).expect("a configuration");
        self.machine.sh(&format!("chmod 755 {dir}/notify; chmod 644 {dir}/keepalived; rm -f {dir}/states"));
        let log = File::create(self.dir.join("keepalived.log")).expect("a file");
        let child = self
            .machine
            .command("keepalived")
            .args(["-n", "-l", "-D", "-P", "-p", "/run/keepalived.pid", "-r", "/run/vrrp.pid", "-f"])
            .arg(self.dir.join("keepalived"))
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("keepalived");
        self.keepalived = Some(child);
    }

    pub(crate) fn await_state(&self, state: &str) {
        eventually(state, || {
            let text = fs::read_to_string(self.dir.join("states")).unwrap_or_default();
            let log = || fs::read_to_string(self.dir.join("keepalived.log")).unwrap_or_default();
            if text.lines().last() == Some(state) { Ok(()) } else { Err(format!("{text}: {}", log())) }
        });
    }

    pub(crate) fn ask(&self, words: &str) -> String {
        self.machine.sh(&format!("/usr/sbin/conntrackd -C /etc/conntrackd/conntrackd.conf {words}"))
    }

    /// Kills a process of ours in this machine, and everything it has started.
    fn kill(&self, pid_file: &str) {
        let text = self.machine.sh(&format!("cat {pid_file}"));
        if let Ok(pid) = text.trim().parse() {
            _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Everything on the firewall dies at once.
    pub(crate) fn die(&mut self) {
        // Both keepalived processes at once, before either can react to the other's death.
        self.kill("/run/vrrp.pid");
        self.kill("/run/keepalived.pid");
        self.kill_daemon();
        self.machine.sh("for l in c0 s0 y0; do ip link set $l down; done");
        if let Some(mut k) = self.keepalived.take() {
            _ = k.kill();
            _ = k.wait();
        }
    }

    /// Kills the daemon: whatever runs our copy of the program in this machine's network.
    fn kill_daemon(&self) {
        for pid in daemons(&self.dir.join("bin")) {
            _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            eventually("its end", || match daemons(&self.dir.join("bin")).contains(&pid) {
                false => Ok(()),
                true => Err(pid.to_string()),
            });
        }
    }

    pub(crate) fn come_back(&mut self) {
        // As a firewall that boots has it.
        if self.script == Script::Ours {
            self.machine.sh(&format!("{}/notify fault", self.dir.display()));
        }
        self.machine.sh(
            "for l in c0 s0 y0; do ip link set $l up; ip addr del 10.1.0.254/24 dev c0 2>/dev/null || true; \
             ip addr del 10.2.0.254/24 dev s0 2>/dev/null || true; done; nft delete table inet f",
        );
        self.rules();
        // The original's script starts the daemon; with ours, the system does.
        if self.script == Script::Ours {
            self.start_daemon();
        }
        self.start_keepalived();
    }

    pub(crate) fn invalid(&self) -> u64 {
        let text = self.machine.sh("nft list counter inet f invalid");
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|w| *w == "packets").expect("packets");
        words[at + 1].parse().expect("a number")
    }

    pub(crate) fn table(&self) -> String {
        let output = run(self.machine.command(zct().to_str().expect("a path")).arg("-L"), b"");
        assert_eq!(output.exit, Exit::Code(0), "{output:?}");
        output.out()
    }
}

/// The processes that run this very file.
fn daemons(path: &Path) -> Vec<i32> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let want = fs::canonicalize(path).ok();
    pids.filter(|pid| {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
        // A bind mount shows the name that it has in its own mount namespace.
        let same = fs::metadata(format!("/proc/{pid}/exe"))
            .ok()
            .zip(want.as_ref().and_then(|w| fs::metadata(w).ok()));
        exe.is_some() && same.is_some_and(|(a, b)| inode(&a) == inode(&b))
    })
    .collect()
}

fn inode(m: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (m.dev(), m.ino())
}

impl Drop for Firewall {
    fn drop(&mut self) {
        if let Some(mut k) = self.keepalived.take() {
            // Its children end with it, because they watch their parent.
            _ = k.kill();
            _ = k.wait();
        }
        self.kill_daemon();
        for file in ["/run/vrrp.pid", "/run/keepalived.pid"] {
            let text = run(self.machine.command("cat").arg(file), b"").out();
            if let Ok(pid) = text.trim().parse() {
                _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// The whole network of the test.
pub(crate) struct Lab {
    pub(crate) client: Machine,
    pub(crate) server: Machine,
    _switch: Machine,
    _dir: tempfile::TempDir,
}

pub(crate) fn lab(which: Which, script: Script, tracking: bool) -> (Lab, [Firewall; 2]) {
    needs_root("keepalived with scripts");
    for (program, package) in [
        ("keepalived", "keepalived"),
        ("conntrackd", "conntrackd"),
        ("nft", "nftables"),
        ("nsenter", "util-linux"),
    ] {
        find(program, package);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (switch, client, server) = (Machine::new(), Machine::new(), Machine::new());
    let firewalls = [1, 2].map(|n| Firewall::new(n, which, script, tracking, dir.path()));
    switch.sh(
        "ip link add brc type bridge; ip link add brs type bridge; ip link set brc up; ip link set brs up",
    );
    let plug = |m: &Machine, device: &str, port: &str, bridge: &str, address: &str| {
        m.sh(&format!(
            "ip link add {device} type veth peer name {port} netns {}; ip addr add {address} dev {device}; \
             ip link set {device} up",
            switch.pid()
        ));
        switch.sh(&format!("ip link set {port} master {bridge}; ip link set {port} up"));
    };
    plug(&client, "c0", "cl", "brc", "10.1.0.1/24");
    plug(&server, "s0", "sv", "brs", "10.2.0.1/24");
    for f in &firewalls {
        plug(&f.machine, "c0", &format!("f{}c", f.number), "brc", &format!("10.1.0.{}/24", 10 + f.number));
        plug(&f.machine, "s0", &format!("f{}s", f.number), "brs", &format!("10.2.0.{}/24", 10 + f.number));
    }
    firewalls[0].machine.sh(&format!(
        "ip link add y0 type veth peer name y0 netns {}; ip addr add 10.9.9.1/24 dev y0; ip link set y0 up",
        firewalls[1].machine.pid()
    ));
    firewalls[1].machine.sh("ip addr add 10.9.9.2/24 dev y0; ip link set y0 up");
    for (m, net) in [(&client, 1), (&server, 2)] {
        // A neighbour that announces itself is believed at once.
        m.sh(&format!(
            "ip route add default via 10.{net}.0.254; sysctl -qw net.ipv4.neigh.{}.locktime=0",
            if net == 1 { "c0" } else { "s0" }
        ));
    }
    (Lab { client, server, _switch: switch, _dir: dir }, firewalls)
}
