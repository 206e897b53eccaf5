//! One program, run and measured: wall time, CPU time, peak memory, exit and messages.
//!
//! The program is traced, but for two stops only: at its first instruction, where the clock starts, and
//! just before its memory is released, where the peak is read. In between, tracing costs it nothing. The CPU
//! time is what reaping this one child reports; it includes the fraction of a millisecond before the program
//! itself begins, which a run of `true` shows.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::ptrace::{self, Options};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal.
    Signal(Signal),
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// From the program's first instruction until it was reaped.
    pub wall: Duration,
    /// CPU time in user space, all threads.
    pub user: Duration,
    /// CPU time in the kernel, all threads.
    pub system: Duration,
    /// Peak resident memory in KiB (VmHWM).
    pub peak_kib: u64,
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A program that has been started and not yet reaped.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    begin: Instant,
    stderr: File,
}

/// The processors that a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// All of the machine.
    All,
    /// The first alone, as with `taskset -c 0`.
    One,
}

impl Cores {
    /// The yardstick's command that starts a program on these.
    fn command(self) -> &'static str {
        match self {
            Cores::All => "traced",
            Cores::One => "traced-on-one-core",
        }
    }
}

/// Replaces this process with `command`, which stops at its first instruction for the parent: the other
/// half of [`start`]. Returns only on failure.
pub fn become_traced(cores: Cores, command: &OsStr, words: &[OsString]) -> io::Error {
    let ready = || {
        if cores == Cores::One {
            let mut first = CpuSet::new();
            first.set(0)?;
            sched_setaffinity(Pid::from_raw(0), &first)?;
        }
        ptrace::traceme()
    };
    match ready() {
        Ok(()) => Command::new(command).args(words).exec(),
        Err(e) => e.into(),
    }
}

/// Starts `words`, with its output going to `stdout`. `yardstick` is the program with the `traced` commands.
///
/// Must be followed by [`Running::finish`] on the same thread.
///
/// # Errors
/// When the program cannot be started, which includes that it does not exist.
pub fn start(yardstick: &Path, cores: Cores, words: &[String], stdout: Stdio) -> io::Result<Running> {
    let mut stderr = tempfile::tempfile()?;
    let mut command = Command::new(yardstick);
    command.arg(cores.command()).args(words).stdin(Stdio::null()).stdout(stdout).stderr(stderr.try_clone()?);
    let pid = Pid::from_raw(i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?);
    match waitpid(pid, None)? {
        // Execution of the new program begins here.
        WaitStatus::Stopped(..) => {}
        ended => {
            return Err(io::Error::other(format!("{words:?}: {ended:?} {}", text_of(&mut stderr)?.trim())));
        }
    }
    // The child then ends with this process, however that comes about.
    ptrace::setoptions(pid, Options::PTRACE_O_TRACEEXIT | Options::PTRACE_O_EXITKILL)?;
    let begin = Instant::now();
    ptrace::cont(pid, None)?;
    Ok(Running { pid, begin, stderr })
}

/// Runs `words`, with its output going to a file or thrown away.
///
/// # Errors
/// When it cannot be started or waited for.
pub fn run(yardstick: &Path, cores: Cores, words: &[String], stdout: Option<&File>) -> io::Result<Run> {
    let to = stdout.map_or(Ok(Stdio::null()), |f| f.try_clone().map(Stdio::from))?;
    start(yardstick, cores, words, to)?.finish()
}

impl Running {
    /// Asks it to end, as Ctrl-C would.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn interrupt(&self) -> io::Result<()> {
        Ok(kill(self.pid, Signal::SIGINT)?)
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// False once it has ended, or is held at its end until [`Running::finish`].
    pub fn goes_on(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The name may contain anything, even a parenthesis; the state comes after the last one.
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['R', 'S', 'D']))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// A system call that failed.
    pub fn finish(mut self) -> io::Result<Run> {
        let mut peak_kib = 0;
        loop {
            // It must stay unreaped here: reaping is what adds its CPU time to ours.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
            if matches!(waitid(Id::Pid(self.pid), flags)?, WaitStatus::Exited(..) | WaitStatus::Signaled(..))
            {
                break;
            }
            match waitpid(self.pid, None)? {
                WaitStatus::PtraceEvent(..) => {
                    peak_kib = peak(self.pid)?;
                    ptrace::cont(self.pid, None)?;
                }
                WaitStatus::Stopped(_, signal) => ptrace::cont(self.pid, signal)?,
                other => return Err(io::Error::other(format!("unexpected state {other:?}"))),
            }
        }
        let before = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let ended = waitpid(self.pid, None)?;
        let wall = self.begin.elapsed();
        let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let spent = |after: nix::sys::time::TimeVal, before: nix::sys::time::TimeVal| {
            let d = after - before;
            Duration::from_micros(u64::try_from(d.tv_sec() * 1_000_000 + d.tv_usec()).unwrap_or(0))
        };
        Ok(Run {
            wall,
            user: spent(after.user_time(), before.user_time()),
            system: spent(after.system_time(), before.system_time()),
            peak_kib,
            exit: match ended {
                WaitStatus::Exited(_, code) => Exit::Code(code),
                WaitStatus::Signaled(_, signal, _) => Exit::Signal(signal),
                other => return Err(io::Error::other(format!("unexpected end {other:?}"))),
            },
            stderr: text_of(&mut self.stderr)?,
        })
    }
}

fn text_of(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Peak resident memory, in KiB, of a process that is about to end.
fn peak(pid: Pid) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    Ok(line.and_then(|l| l.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0))
}

/// The number before ` flow entries` or ` flow events`: what a tool says it has done.
pub fn counted(stderr: &str) -> Option<u64> {
    stderr.lines().find_map(|line| {
        let (before, _) = line.split_once(" flow e")?;
        before.rsplit(' ').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_tools_say() {
        let said = "conntrack v1.4.7 (conntrack-tools): 12 flow entries have been shown.\n";
        assert_eq!(counted(said), Some(12));
        assert_eq!(counted("WARNING: x\nyardstick: 7 flow events have been shown.\n"), Some(7));
        assert_eq!(counted("nothing"), None);
    }
}
