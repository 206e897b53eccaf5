//! Two nodes with keys, and what somebody on their link can hear.

use crate::cluster::{At, Cluster, Settings, Which, eventually};
use crate::program::{Exit, Output, run};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Command;

/// Both sides.
pub const BOTH: [At; 2] = [At::Here, At::There];

/// Keys in files, and the nodes' configurations without `Auth`.
#[derive(Debug)]
pub struct Lab {
    /// The nodes.
    pub cluster: Cluster,
    /// Their configurations without `Auth`.
    pub plain: [String; 2],
    keys: tempfile::TempDir,
}

/// The place of a node in an array of both.
pub fn index(at: At) -> usize {
    usize::from(at == At::There)
}

/// Runs zctd as a client.
pub fn zctd(words: &[&str]) -> Output {
    run(Command::new(Which::Zctd.path()).args(words), b"")
}

impl Lab {
    /// Nodes that are configured and not started.
    pub fn prepare(here: Which, there: Which, settings: Settings) -> Lab {
        let cluster = Cluster::prepare(here, there, settings);
        let plain = BOTH.map(|at| fs::read_to_string(cluster.configuration(at)).expect("a configuration"));
        let keys = tempfile::tempdir().expect("a directory");
        for number in 1..=3 {
            let file = keys.path().join(number.to_string());
            assert_eq!(zctd(&["genkey", file.to_str().expect("text")]).exit, Exit::Code(0));
        }
        Lab { cluster, plain, keys }
    }

    /// The file of a key, of which there are three.
    pub fn key(&self, number: u8) -> PathBuf {
        self.keys.path().join(number.to_string())
    }

    /// Writes a node's configuration with these keys.
    pub fn configure(&self, at: At, keys: &[u8], active: u8, mode: &str) {
        let list: String =
            keys.iter().map(|n| format!("Key {n} file:{} \n", self.key(*n).display())).collect();
        let auth =
            format!("Sync {{\nNodeID {}\nAuth {{ {list}ActiveKey {active} Mode {mode} }}\n", index(at) + 1);
        let text = self.plain[index(at)].replacen("Sync {\n", &auth, 1);
        assert!(text.contains("Auth"));
        fs::write(self.cluster.configuration(at), text).expect("written");
    }

    /// The same, for a daemon that runs.
    pub fn reconfigure(&self, at: At, keys: &[u8], active: u8, mode: &str) {
        let before = self.cluster.log(at).matches("Auth in mode").count();
        self.configure(at, keys, active, mode);
        kill(Pid::from_raw(self.cluster.pid(at) as i32), Signal::SIGHUP).expect("it runs");
        eventually("it has taken the keys", || {
            let log = self.cluster.log(at);
            (log.matches("Auth in mode").count() > before).then_some(()).ok_or(log)
        });
    }

    /// Two zctd that seal with key 1, and nothing else.
    pub fn start(settings: Settings) -> Lab {
        let mut lab = Lab::prepare(Which::Zctd, Which::Zctd, settings);
        BOTH.iter().for_each(|at| lab.configure(*at, &[1], 1, "enforce"));
        BOTH.iter().for_each(|at| lab.cluster.run(*at));
        lab
    }

    /// What a node says of its peer.
    pub fn peer(&self, at: At) -> Value {
        let shown = self.cluster.ask_by(Which::Zctd, at, &["status", "--json"]);
        let status: Value = serde_json::from_str(&shown.out()).expect("JSON");
        status["peers"][0].clone()
    }

    /// How many frames a node has refused for this reason.
    pub fn refused(&self, at: At, why: &str) -> u64 {
        self.peer(at)["sealing"]["refused"][why].as_u64().expect("a count")
    }
}

/// Everything that arrives in this namespace over UDP, with its headers.
pub fn ear() -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket::socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Udp).expect("root");
    socket::setsockopt(&fd, socket::sockopt::RcvBufForce, &(16 << 20)).expect("root");
    fd
}

/// The payloads for the link's port that it has heard.
pub fn heard(ear: &OwnedFd) -> Vec<Vec<u8>> {
    let mut buf = vec![0; 65_536];
    let mut all = Vec::new();
    while let Ok(len) = socket::recv(ear.as_raw_fd(), &mut buf, MsgFlags::empty()) {
        let udp = &buf[usize::from(buf[0] & 15) * 4..len];
        if udp[2..4] == 3780u16.to_be_bytes() {
            all.push(udp[8..].to_vec());
        }
    }
    all
}
