//! Runs zct, the original and other programs to their end, with arguments, input and a deadline.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing here takes this long unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Exit {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        }
    }
}

/// What a program wrote, and how it ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 show as such.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<String> {
        self.out().lines().map(str::to_owned).collect()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n--- stdout\n{}--- stderr\n{}---", self.exit, self.out(), self.err())
    }
}

/// A program to be run as conntrack or nfct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// zct, called `conntrack` so that it behaves as the original does.
    Zct,
    /// zct under its own name.
    ZctByName,
    /// Debian's conntrack.
    Reference,
    /// zct, called `nfct`.
    Nfct,
    /// Debian's nfct.
    NfctReference,
}

/// The release binary of zct next to the test executable, or the file named by `ZCT_BIN`.
///
/// # Panics
/// When there is none: tests look at what users run, and never build it themselves.
pub fn zct() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("ZCT_BIN") {
            return PathBuf::from(path);
        }
        let this = std::env::current_exe().expect("the path of this test");
        // The test is TARGET/PROFILE/deps/NAME, or one level lower with --target.
        let found = this.ancestors().skip(2).map(|dir| dir.join("release/zct")).find(|p| p.is_file());
        found.unwrap_or_else(|| {
            panic!("no release/zct beside {}: cargo build --release -p zct", this.display())
        })
    })
}

/// The original conntrack.
///
/// # Panics
/// When it is not installed.
pub fn reference() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("conntrack", "conntrack"))
}

/// The original nfct.
///
/// # Panics
/// When it is not installed.
pub fn nfct_reference() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("nfct", "nfct"))
}

/// The path of a program; `package` is the Debian package that has it.
pub fn find(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(more).map(|d| d.join(program)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed: apt-get install {package}"))
}

impl Tool {
    /// A command without any arguments yet, in the C locale and UTC.
    pub fn command(self) -> Command {
        let mut command = match self {
            Tool::Reference => Command::new(reference()),
            Tool::NfctReference => Command::new(nfct_reference()),
            Tool::Zct | Tool::ZctByName | Tool::Nfct => Command::new(zct()),
        };
        command.arg0(match self {
            Tool::Zct | Tool::Reference => "conntrack",
            Tool::ZctByName => "zct",
            // Called by a path, because some of the original's messages print that and others the bare name.
            Tool::Nfct | Tool::NfctReference => "./nfct",
        });
        command.env("TZ", "UTC").env("LC_ALL", "C");
        command
    }

    /// Runs it to its end without input.
    pub fn run<S: AsRef<OsStr>>(self, args: &[S]) -> Output {
        run(self.command().args(args), b"")
    }

    /// Runs it to its end with this standard input.
    pub fn run_with_stdin<S: AsRef<OsStr>>(self, args: &[S], stdin: &[u8]) -> Output {
        run(self.command().args(args), stdin)
    }
}

/// Runs a command to its end with this standard input.
///
/// # Panics
/// When it cannot be started, or has not ended by [`DEADLINE`]; then it is killed.
pub fn run(command: &mut Command, stdin: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (done, streams) = mpsc::channel();
    read_all(child.stdout.take(), 0, done.clone());
    read_all(child.stderr.take(), 1, done);
    let mut input = child.stdin.take();
    if stdin.is_empty() {
        drop(input.take());
    }
    let text = stdin.to_vec();
    // A program need not read its input to the end.
    let writer = input.map(|mut to| std::thread::spawn(move || _ = to.write_all(&text)));
    let end = Instant::now() + DEADLINE;
    let mut output = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        let Ok((which, bytes)) = streams.recv_timeout(end.saturating_duration_since(Instant::now())) else {
            _ = child.kill();
            _ = child.wait();
            panic!("{command:?} has not ended after {DEADLINE:?}");
        };
        output[which] = bytes;
    }
    // Both streams are closed, so the program has ended or is about to.
    let exit = child.wait().expect("wait").into();
    _ = writer.map(JoinHandle::join);
    let [stdout, stderr] = output;
    Output { stdout, stderr, exit }
}

/// Reads a stream to its end on a thread of its own, so that no pipe fills up.
fn read_all(from: Option<impl Read + Send + 'static>, which: usize, to: mpsc::Sender<(usize, Vec<u8>)>) {
    let mut from = from.expect("a pipe");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        _ = from.read_to_end(&mut bytes);
        _ = to.send((which, bytes));
    });
}

/// Runs a system program that has to succeed, and returns its standard output.
pub fn tool(name: &str, args: &[&str]) -> String {
    tool_with_stdin(name, args, b"")
}

/// As [`tool`], with standard input.
pub fn tool_with_stdin(name: &str, args: &[&str], stdin: &[u8]) -> String {
    let package = match name {
        "ip" => "iproute2",
        "nft" => "nftables",
        other => other,
    };
    let output = run(Command::new(find(name, package)).args(args), stdin);
    assert!(output.exit == Exit::Code(0), "{name} {args:?}: {output:?}");
    output.out()
}
