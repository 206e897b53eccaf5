//! `-E`: both programs listen to the same events and print the same lines.

use crate::compare::same;
use crate::lab::{self, By, Output, Verdicts, mask_release};
use crate::listing::tcp_states;
use crate::traffic::{self, Tcp};
use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command, Stdio};

const CASES: &[&str] = &[
    "-E",
    "-E -o extended,id",
    "-E -o save",
    "-E -o xml",
    "-E -o xml,timestamp,ktimestamp",
    "-E -o timestamp",
    "-E -o labels,ktimestamp",
    "-E -e NEW",
    "-E -e UPDATES,DESTROY -o id",
    "-E -e DESTROY -o xml",
    "-E -p tcp",
    "-E -p tcp --state ESTABLISHED",
    "-E -p dccp -o extended",
    "-E -p sctp -o save",
    "-E -p udp --dport 53 -d 10.0.0.2",
    "-E -f ipv4",
    "-E -f ipv6",
    "-E -s fd00::1",
    "-E -s 10.0.0.0/24",
    "-E -w 7",
    "-E -m 9",
    "-E -g",
    "-E -b 100000",
];

/// Changes made by a program. At most one line may set a mark with `-U` (the original uses the last one's).
const CHANGES: &str = "\
-I -t 300 -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1000 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5
-I -t 300 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53
-I -t 300 -p udp -s 10.0.0.7 -d 10.0.0.2 --sport 5000 --dport 53 -w 7 -m 9
-I -t 300 -p udp -s 10.0.0.8 -d 10.0.0.2 --sport 5000 --dport 53 --orig-zone 3
-I -t 300 -p sctp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state ESTABLISHED --orig-vtag 11 --reply-vtag 12
-I -t 300 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state OPEN --role client
-I -t 300 -p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 77
-I -t 300 -p gre -s 10.0.0.1 -d 10.0.0.2 --srckey 0x10 --dstkey 0x20
-I -t 300 -p 50 -s 10.0.0.1 -d 10.0.0.2
-I -t 300 -p udp -s 10.0.0.1 -d 192.0.2.9 --sport 3000 --dport 53 -g 10.9.9.9
-I -t 300 -p udp -s fd00::1 -d fd00::2 --sport 5000 --dport 53
-I -t 300 -p dccp -s fd00::1 -d fd00::2 --sport 1 --dport 2 --state PARTOPEN --role server
-U -s 10.0.0.1 -p tcp -m 9
-D -p udp -s 10.0.0.1
-D -p dccp
-F
";

/// A listening program with its output in files; ended when dropped.
pub(crate) struct Listener {
    child: Child,
    out: String,
    err: String,
}

impl Listener {
    pub(crate) fn start(by: By, line: &str, n: usize) -> Result<Listener, String> {
        let [out, err] = ["out", "err"].map(|s| format!("/tmp/listener-{by:?}-{n}.{s}"));
        let file = |path: &str| File::create(path).map_err(|e| format!("{path}: {e}"));
        let child = Command::new(by.path())
            .args(line.split_whitespace())
            .stdin(Stdio::null())
            .stdout(file(&out)?)
            .stderr(file(&err)?)
            .spawn()
            .map_err(|e| format!("{}: {e}", by.path()))?;
        Ok(Listener { child, out, err })
    }

    /// Whether it waits for events, in which case the scheduler shows it asleep.
    pub(crate) fn sleeps(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    }

    pub(crate) fn stop(mut self) -> Result<Output, String> {
        lab::signal("INT", self.child.id())?;
        let code = self.child.wait().map_err(|e| e.to_string())?.code();
        let read = |path: &str| mask_release(&fs::read_to_string(path).unwrap_or_default());
        Ok(Output { code, out: read(&self.out), err: read(&self.err) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It has ended already if stop() was called.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The number of sockets that have joined groups, and of bytes that wait in them.
pub(crate) fn subscribed() -> (usize, usize) {
    let text = fs::read_to_string("/proc/net/netlink").unwrap_or_default();
    let rows = text.lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>());
    // Columns: sk, protocol (12 is netfilter), port, groups, bytes to be read.
    let joined = rows.filter(|r| r.len() > 4 && r[1] == "12" && r[3].bytes().any(|b| b != b'0'));
    joined.fold((0, 0), |(n, bytes), r| (n + 1, bytes + r[4].parse::<usize>().unwrap_or(1)))
}

/// Has pairs of listeners print what `act` causes. Nothing sleeps for a fixed time: listeners are ready when
/// the kernel shows their groups, and are done when they wait with nothing left to read.
pub(crate) fn listen(
    lines: &[&str],
    act: impl FnOnce() -> Result<(), String>,
) -> Result<Vec<[Output; 2]>, String> {
    let mut pairs = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        pairs.push([Listener::start(By::Original, line, n)?, Listener::start(By::Ours, line, n)?]);
    }
    let idle = |pairs: &[[Listener; 2]]| {
        subscribed() == (pairs.len() * 2, 0) && pairs.iter().flatten().all(Listener::sleeps)
    };
    lab::until("all listen", || idle(&pairs))?;
    act()?;
    lab::until("all events are read", || idle(&pairs))?;
    pairs
        .into_iter()
        .map(|[original, ours]| Ok([original.stop()?, ours.stop()?]))
        .collect::<Result<Vec<_>, String>>()
}

/// Hides what only one program can know, or knows by chance: when it got the event, and which program caused
/// it. Also hides the words that the original prints after `</flow>`, which are not XML (W17).
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in tcp_states(text).lines() {
        let line = line.split_once(" progname=").map_or(line, |(head, _)| head);
        let line = match line.split_once("</flow>") {
            Some((head, _)) => &format!("{head}</flow>"),
            None => line,
        };
        let line = match line.split_once("]\t") {
            Some((stamp, tail))
                if stamp.trim_start_matches(['[', '.']).starts_with(|c: char| c.is_ascii_digit()) =>
            {
                format!("[time]\t{tail}")
            }
            _ => line.to_owned(),
        };
        match (line.split_once("<when>"), line.split_once("</when>")) {
            (Some((head, _)), Some((_, tail))) => out += &format!("{head}<when/>{tail}"),
            _ => out += &line,
        }
        out.push('\n');
    }
    out
}

/// Both print the same and end in the same way.
pub(crate) fn alike([original, ours]: &[Output; 2]) -> Result<(), String> {
    if (original.code, &original.err) != (ours.code, &ours.err) {
        return Err(format!("{}\n{}", original.wrong("the original"), ours.wrong("ours")));
    }
    same("printed", &masked(&original.out), &masked(&ours.out))
}

fn act() -> Result<(), String> {
    lab::must(By::Original.path(), "-R -", CHANGES)?;
    let mut tcp = Tcp::open(8080)?;
    tcp.say("more")?;
    tcp.close()?;
    traffic::udp(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into())?;
    traffic::udp(Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into())?;
    lab::must(By::Original.path(), "-D -f ipv6", "")?;
    lab::must(By::Original.path(), "-F", "").map(drop)
}

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    lab::must(By::Original.path(), "-F", "")?;
    lab::sysctl("net.netfilter.nf_conntrack_acct", "1")?;
    lab::sysctl("net.netfilter.nf_conntrack_timestamp", "1")?;
    lab::nft(traffic::TRACK)?;
    let outputs = listen(CASES, act)?;
    for (line, pair) in CASES.iter().zip(&outputs) {
        let seen = if pair[1].out.is_empty() { Err(pair[1].wrong("no event was seen")) } else { Ok(()) };
        v.add(line, seen.and(alike(pair)));
    }
    // The kernel's own events and those caused by programs must both be among them.
    let all = &outputs[0][1].out;
    for what in
        ["[NEW] dccp", "[DESTROY] dccp", "TIME_WAIT", "[ASSURED]", "[USERSPACE]", "icmp", "zone=7", "fd00::1"]
    {
        let seen = if all.contains(what) { Ok(()) } else { Err(format!("not in\n{all}")) };
        v.add(format_args!("-E shows {what}"), seen);
    }
    lab::sysctl("net.netfilter.nf_conntrack_acct", "0")?;
    lab::sysctl("net.netfilter.nf_conntrack_timestamp", "0")
}
