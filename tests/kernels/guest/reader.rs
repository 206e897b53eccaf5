//! The table read by BPF: what it says of flows of all kinds, and that a resize in the middle of a listing
//! neither loses a flow nor shows one twice.

use crate::compare::{between, sorted};
use crate::lab::{self, By, Output, Verdicts, ZCT, conntrack, must, run};
use crate::listing::{FORMATS, tcp_states};
use crate::selectors::MIXED;
use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::process::{Command, Stdio};

/// Flows whose listing is several times what a pipe and the program's buffer hold.
const FLOWS: usize = 8000;
/// Bytes that are read between two resizes.
const PIECE: u64 = 48 << 10;
/// Flows that make chains of more than 100 entries in the smallest table there is: each is in two of its 512
/// buckets.
const MANY: usize = 27_000;
/// Buckets: larger and smaller ones, multiples of each other and not.
const SIZES: [&str; 6] = ["16384", "1024", "5120", "65536", "4096", "600000"];

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    lab::sysctl("net.netfilter.nf_conntrack_max", "40000")?;
    lab::seed(MIXED)?;
    let said = must(ZCT, "-L --reader bpf --explain", "")?;
    let by_bpf = if said.contains("\nread by BPF: ") { Ok(()) } else { Err(said) };
    v.add("this kernel's table can be read by BPF", by_bpf);
    for format in FORMATS {
        v.add(format_args!("-L --reader bpf {format}"), same_as_the_original(format));
    }
    lab::sysctl("net.netfilter.nf_conntrack_acct", "1")?;
    lab::sysctl("net.netfilter.nf_conntrack_timestamp", "1")?;
    lab::seed(MIXED)?;
    for format in ["-o extended,labels", "-o ktimestamp"] {
        v.add(format_args!("-L --reader bpf {format}, with counters"), same_as_the_original(format));
    }
    lab::sysctl("kernel.bpf_stats_enabled", "1")?;
    v.add("-L --reader bpf, with kernel.bpf_stats_enabled", same_as_the_original("-o extended"));
    lab::sysctl("kernel.bpf_stats_enabled", "0")?;
    lab::sysctl("net.netfilter.nf_conntrack_acct", "0")?;
    lab::sysctl("net.netfilter.nf_conntrack_timestamp", "0")?;

    must(By::Original.path(), "-F", "")?;
    let flows: String = (0..FLOWS).map(|n| line(n) + "\n").collect();
    must(ZCT, "-R -", &flows)?;
    let before = must("cat", "/proc/sys/net/netfilter/nf_conntrack_buckets", "")?;
    for jobs in ["1", "2", "4"] {
        v.add(format_args!("--jobs {jobs}, with resizes in the middle"), resized(jobs));
    }
    // The kernel makes no long chains itself, but it keeps those that come of a smaller table.
    lab::sysctl("net.netfilter.nf_conntrack_buckets", "65536")?;
    let more: String = (FLOWS..MANY).map(|n| line(n) + "\n").collect();
    must(ZCT, "-R -", &more)?;
    for (buckets, what) in [("512", "chains of more than 100"), ("2097152", "2,097,152 buckets")] {
        lab::sysctl("net.netfilter.nf_conntrack_buckets", buckets)?;
        v.add(format_args!("-L --reader bpf, {what}"), whole());
        v.add(format_args!("-C --reader bpf, {what}"), counted());
    }
    lab::sysctl("net.netfilter.nf_conntrack_buckets", before.trim())?;
    must(By::Original.path(), "-F", "")?;
    v.add("the kernel has not complained", kernel_log());
    Ok(())
}

/// BPF lists what the original does.
pub(crate) fn same_as_the_original(format: &str) -> Result<(), String> {
    let table = |by, more: &str| -> Result<String, String> {
        let o: Output = conntrack(by, &format!("-L {format} {more}"));
        if o.code == Some(0) { Ok(sorted(&tcp_states(&o.out))) } else { Err(o.wrong(more)) }
    };
    let before = table(By::Original, "")?;
    let ours = table(By::Ours, "--reader bpf")?;
    between(&before, &ours, &table(By::Original, "")?)
}

fn line(n: usize) -> String {
    format!("-I -t 2000 -p udp -s 10.1.{}.{} -d 10.0.0.2 --sport {} --dport 53", n / 200, n % 200 + 1, n + 1)
}

/// Every one of the flows is listed once, by BPF.
fn whole() -> Result<(), String> {
    let said = must(ZCT, "-L --reader bpf --explain", "")?;
    if !said.contains("\nread by BPF: ") {
        return Err(said);
    }
    let listed = must(ZCT, "-L --reader bpf", "")?;
    let sources: HashSet<&str> =
        listed.lines().filter_map(|l| l.split(' ').find(|w| w.starts_with("sport="))).collect();
    match (listed.lines().count(), sources.len()) {
        (MANY, MANY) => Ok(()),
        (lines, sources) => Err(format!("{lines} lines about {sources} flows of {MANY}")),
    }
}

/// The kernel counts each of them once.
fn counted() -> Result<(), String> {
    let count = must(ZCT, "-C -p udp --dport 53 --reader bpf", "")?;
    if count.trim() == MANY.to_string() { Ok(()) } else { Err(format!("{count} of {MANY}")) }
}

/// Lists through a pipe, and changes the number of buckets after each piece.
fn resized(jobs: &str) -> Result<(), String> {
    let words = ["-L", "--reader", "bpf", "--jobs", jobs];
    let mut command = Command::new(ZCT);
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut text, mut said, mut resizes) = (Vec::new(), String::new(), 0);
    loop {
        let before = text.len();
        let piece = out.as_mut().map(|o| o.take(PIECE).read_to_end(&mut text));
        piece.transpose().map_err(|e| e.to_string())?;
        if text.len() == before {
            break;
        }
        lab::sysctl("net.netfilter.nf_conntrack_buckets", SIZES[resizes % SIZES.len()])?;
        resizes += 1;
    }
    err.as_mut().map(|e| e.read_to_string(&mut said)).transpose().map_err(|e| e.to_string())?;
    let code = child.wait().map_err(|e| e.to_string())?.code();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let text = String::from_utf8_lossy(&text);
    for source in text.lines().filter_map(|l| l.split(' ').find(|w| w.starts_with("sport="))) {
        *seen.entry(source).or_default() += 1;
    }
    let twice = seen.values().filter(|n| **n > 1).count();
    if code == Some(0) && seen.len() == FLOWS && twice == 0 && resizes > 5 {
        return Ok(());
    }
    let seen = seen.len();
    Err(format!("exit {code:?}, {seen} flows of {FLOWS}, {twice} twice, {resizes} resizes: {said}"))
}

/// Looks for what a kernel says when something in it went wrong.
pub(crate) fn kernel_log() -> Result<(), String> {
    let log = run("dmesg", "", "");
    let bad =
        |l: &&str| ["BUG:", "WARNING:", "Call Trace", "general protection"].iter().any(|w| l.contains(w));
    match log.out.lines().find(bad) {
        Some(line) => Err(line.to_owned()),
        None if log.code == Some(0) => Ok(()),
        None => Err(log.wrong("dmesg")),
    }
}
