//! The two programs, and the table they work on.

use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where run.sh puts what is under test: `zct`, and `conntrack`, which is a symbolic link to it.
pub(crate) const ZCT: &str = "/zct/zct";
const OURS: &str = "/zct/conntrack";
/// How long something may take that has to come, on a machine that has other work. No verdict depends on it
/// but "it never came".
const PATIENCE: Duration = Duration::from_secs(60);

/// Which `conntrack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Debian's.
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

/// What a program said and how it ended. Releases are masked: `conntrack v…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Output {
    /// An error that shows what was said.
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

/// Runs any program; words are separated by blanks, and nothing is quoted.
pub(crate) fn run(path: &str, line: &str, input: &str) -> Output {
    finish(Command::new(path).args(line.split_whitespace()), input)
}

/// Runs `conntrack LINE` as a user who may do nothing.
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
        // A program that does not read its input is judged by what it says.
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

/// Flows in the table, as the kernel counts them.
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

/// Empties the table and fills it with these `-I` lines, by the original in one go; but for lines with labels,
/// which crash it unless they are alone.
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

/// The same for one command line. Flows with labels take a process each, so they are there only if it is about
/// labels; tells whether they are.
pub(crate) fn seed_for(command: &str, lines: &[&str]) -> Result<bool, String> {
    let labels = has_labels(command) || command.contains("-l ");
    let lines: Vec<&str> = lines.iter().copied().filter(|l| labels || !has_labels(l)).collect();
    seed(&lines).map(|()| labels)
}

/// The table as the original lists it.
pub(crate) fn table() -> Result<String, String> {
    must(By::Original.path(), "-L -o extended,id,labels", "")
}

/// Waits until something is so.
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

/// Counts verdicts and prints each as it comes.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) good: usize,
    pub(crate) bad: Vec<String>,
}

impl Verdicts {
    /// One check and how it came out.
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
