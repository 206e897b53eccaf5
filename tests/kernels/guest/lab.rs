//! The two programs, and the table they work on.

use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where run.sh puts the program under test: `zct`, and `conntrack` as a symbolic link to it.
pub(crate) const ZCT: &str = "/zct/zct";
const OURS: &str = "/zct/conntrack";
/// How long to wait for something that has to come, on a machine that has other work. The only verdict that
/// depends on it is "it never came".
const PATIENCE: Duration = Duration::from_secs(60);

/// Which of the two programs to run as `conntrack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Debian's conntrack.
    Original,
    /// zct, called through a link named `conntrack`.
    Ours,
}

impl By {
    pub(crate) fn path(self) -> &'static str {
        match self {
            By::Original => "/usr/sbin/conntrack",
            By::Ours => OURS,
        }
    }
}

/// What a program printed, and how it ended. The release in `conntrack v…` is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Output {
    /// An error message that includes the output.
    pub(crate) fn wrong(&self, what: impl Display) -> String {
        format!("{what}\n  exit {:?}\n  stdout {:?}\n  stderr {:?}", self.code, self.out, self.err)
    }
}

/// Hides the release in messages: the installed original is an older one.
pub(crate) fn mask_release(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split("conntrack v");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("conntrack v…");
        out.push_str(part.find(' ').map_or("", |at| &part[at..]));
    }
    out
}

/// Runs any program; spaces separate the words, and nothing is quoted.
pub(crate) fn run(path: &str, line: &str, input: &str) -> Output {
    finish(Command::new(path).args(line.split_whitespace()), input)
}

/// Runs `conntrack LINE` as a user without any privileges.
pub(crate) fn as_nobody(by: By, line: &str) -> Output {
    finish(Command::new(by.path()).args(line.split_whitespace()).uid(65534).gid(65534), "")
}

fn finish(command: &mut Command, input: &str) -> Output {
    let failed = |e: std::io::Error| Output { code: None, out: String::new(), err: e.to_string() };
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => return failed(e),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A program need not read all its input; its output is what is judged.
        _ = stdin.write_all(input.as_bytes());
    }
    match child.wait_with_output() {
        Ok(o) => Output {
            code: o.status.code(),
            out: mask_release(&String::from_utf8_lossy(&o.stdout)),
            err: mask_release(&String::from_utf8_lossy(&o.stderr)),
        },
        Err(e) => failed(e),
    }
}

/// Runs `conntrack LINE`.
pub(crate) fn conntrack(by: By, line: &str) -> Output {
    run(by.path(), line, "")
}

/// Runs a program that has to succeed.
pub(crate) fn must(path: &str, line: &str, input: &str) -> Result<String, String> {
    let o = run(path, line, input);
    if o.code == Some(0) { Ok(o.out) } else { Err(o.wrong(format!("{path} {line}"))) }
}

/// Loads an nftables ruleset in place of what is there.
pub(crate) fn nft(rules: &str) -> Result<(), String> {
    must("nft", "-f -", &format!("flush ruleset\n{rules}")).map(drop)
}

/// Number of flows in the table, as the kernel counts them.
pub(crate) fn count() -> Result<usize, String> {
    let path = "/proc/sys/net/netfilter/nf_conntrack_count";
    let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    text.trim().parse().map_err(|e| format!("{path}: {e}"))
}

/// Sets a kernel parameter.
pub(crate) fn sysctl(name: &str, value: &str) -> Result<(), String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::write(&path, value).map_err(|e| format!("{path}: {e}"))
}

/// Empties the table and fills it from these `-I` lines. The original loads them in one go, except for lines
/// with labels, which crash it unless they are alone.
pub(crate) fn seed(lines: &[&str]) -> Result<(), String> {
    let (labelled, plain): (Vec<&str>, Vec<&str>) = lines.iter().partition(|l| has_labels(l));
    must(By::Original.path(), "-R -", &format!("-F\n{}\n", plain.join("\n")))?;
    for line in labelled {
        must(By::Original.path(), line, "")?;
    }
    match count()? {
        n if n == lines.len() => Ok(()),
        n => Err(format!("{} flows were made and {n} are there", lines.len())),
    }
}

fn has_labels(line: &str) -> bool {
    line.contains("--label")
}

/// As [`seed`], for one command line. Flows with labels take a process each, so they are made only if the
/// command is about labels; returns whether they were.
pub(crate) fn seed_for(command: &str, lines: &[&str]) -> Result<bool, String> {
    let labels = has_labels(command) || command.contains("-l ");
    let lines: Vec<&str> = lines.iter().copied().filter(|l| labels || !has_labels(l)).collect();
    seed(&lines).map(|()| labels)
}

/// The table as the original lists it.
pub(crate) fn table() -> Result<String, String> {
    must(By::Original.path(), "-L -o extended,id,labels", "")
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            return Err(format!("never: {what}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Sends a signal to a program started here.
pub(crate) fn signal(name: &str, pid: u32) -> Result<(), String> {
    must("kill", &format!("-{name} {pid}"), "").map(drop)
}

/// Counts verdicts, and prints each as it comes.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) good: usize,
    pub(crate) bad: Vec<String>,
}

impl Verdicts {
    /// Records how one check came out.
    pub(crate) fn add(&mut self, name: impl Display, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.good += 1;
                println!("ok    {name}");
            }
            Err(why) => {
                println!("FAIL  {name}\n  {}", why.trim_end().replace('\n', "\n  "));
                self.bad.push(name.to_string());
            }
        }
    }
}
