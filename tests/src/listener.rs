//! Programs that run until they are told to stop, such as `-E`.
//!
//! No verdict waits for a fixed time: a listener is ready when the kernel lists its multicast groups, and it
//! has seen everything once a line caused by the last step has arrived.

use crate::program::{DEADLINE, Exit, Output, Tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// The groups of flow events as `/proc/net/netlink` shows them: bit n-1 for group n.
pub const FLOW_GROUPS: u32 = 0x7;
/// The groups of expectation events.
pub const EXPECT_GROUPS: u32 = 0x38;

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    closed: bool,
}

/// What has arrived on one stream so far.
#[derive(Clone, Default)]
struct Stream(Arc<(Mutex<Text>, Condvar)>);

impl Stream {
    fn follow(from: Option<impl Read + Send + 'static>) -> Stream {
        let stream = Stream::default();
        let (to, mut from) = (stream.clone(), BufReader::new(from.expect("a pipe")));
        std::thread::spawn(move || {
            loop {
                let taken = from.fill_buf().map(|b| {
                    let mut text = to.0.0.lock().expect("no panic while locked");
                    text.bytes.extend(b);
                    text.closed |= b.is_empty();
                    b.len()
                });
                let n = taken.unwrap_or(0);
                to.0.1.notify_all();
                if n == 0 {
                    to.0.0.lock().expect("no panic while locked").closed = true;
                    to.0.1.notify_all();
                    return;
                }
                from.consume(n);
            }
        });
        stream
    }

    /// Waits for `enough` or the end of the stream; returns false when the time is up.
    fn wait(&self, enough: impl Fn(&[u8]) -> bool) -> bool {
        let (lock, changed) = &*self.0;
        let text = lock.lock().expect("no panic while locked");
        let more = |t: &mut Text| !(t.closed || enough(&t.bytes));
        let (text, _) = changed.wait_timeout_while(text, DEADLINE, more).expect("no panic while locked");
        enough(&text.bytes)
    }

    fn closed(&self) -> Vec<u8> {
        let (lock, changed) = &*self.0;
        let text = lock.lock().expect("no panic while locked");
        let (mut text, timeout) =
            changed.wait_timeout_while(text, DEADLINE, |t| !t.closed).expect("no panic while locked");
        assert!(!timeout.timed_out(), "the program told to stop has not ended after {DEADLINE:?}");
        std::mem::take(&mut text.bytes)
    }
}

/// A running listener; killed when it is dropped without having been stopped.
pub struct Listener {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

impl Listener {
    /// Starts `-E` with these arguments and waits until it has joined exactly `groups`.
    ///
    /// # Panics
    /// When it ends instead, or takes longer than [`DEADLINE`].
    pub fn start<S: AsRef<OsStr>>(tool: Tool, args: &[S], groups: u32) -> Listener {
        Listener::spawn(tool.command().args(args), groups)
    }

    /// As [`Listener::start`], for any command.
    pub fn spawn(command: &mut Command, groups: u32) -> Listener {
        Listener::attempt(command, Some(groups))
            .unwrap_or_else(|output| panic!("{command:?} ended before it listened: {output:?}"))
    }

    /// Starts a command that may refuse to listen; then what it wrote is returned. `groups` of
    /// `None` means any.
    pub fn attempt(command: &mut Command, groups: Option<u32>) -> Result<Listener, Output> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdout = Stream::follow(child.stdout.take());
        let stderr = Stream::follow(child.stderr.take());
        let mut listener = Listener { child, stdout, stderr };
        let end = Instant::now() + DEADLINE;
        loop {
            let is = joined(listener.pid());
            if groups.is_none() && is.is_some_and(|g| g != 0) || groups.is_some() && is == groups {
                return Ok(listener);
            }
            if let Ok(Some(_)) = listener.child.try_wait() {
                return Err(listener.ended());
            }
            assert!(Instant::now() < end, "{command:?} never joined {groups:x?}");
            std::thread::yield_now();
        }
    }

    /// The process id of the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard output contains `text`.
    ///
    /// # Panics
    /// When it never does.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |out| contains(out, text.as_bytes()));
    }

    /// Waits until `enough` holds for standard output; `what` goes into the message.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&[u8]) -> bool) {
        if !self.stdout.wait(enough) {
            let text = self.stdout.0.0.lock().expect("no panic while locked");
            panic!("never came: {what}\nso far:\n{}", String::from_utf8_lossy(&text.bytes));
        }
    }

    /// Waits until standard error contains `text`, and returns all of it so far.
    pub fn wait_for_err(&self, text: &str) -> String {
        assert!(self.stderr.wait(|err| contains(err, text.as_bytes())), "never said on stderr: {text}");
        let err = self.stderr.0.0.lock().expect("no panic while locked");
        String::from_utf8_lossy(&err.bytes).into_owned()
    }

    /// Waits until it has read everything queued for it and sleeps again: by then it has printed what it had
    /// to. The cause has to be over: a request that was acknowledged, a packet that has arrived.
    pub fn settle(&self) {
        let end = Instant::now() + DEADLINE;
        while !(queued(self.pid()) == 0 && sleeps(self.pid()) && queued(self.pid()) == 0) {
            assert!(Instant::now() < end, "the listener does not come to rest");
            std::thread::yield_now();
        }
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("pids are small");
        kill(Pid::from_raw(pid), signal).expect("kill");
    }

    /// Sends a signal, and returns everything the program wrote and how it ended.
    pub fn stop(self, signal: Signal) -> Output {
        self.signal(signal);
        self.ended()
    }

    /// Waits until the program ends by itself.
    pub fn ended(mut self) -> Output {
        let (stdout, stderr) = (self.stdout.closed(), self.stderr.closed());
        let exit: Exit = self.child.wait().expect("wait").into();
        Output { stdout, stderr, exit }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Both calls fail if it has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|w| w == what)
}

/// The netfilter sockets of a process in `/proc/net/netlink`, each line split into words.
fn sockets(pid: u32) -> Option<Vec<Vec<String>>> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let links: Vec<_> = fds.flatten().filter_map(|e| fs::read_link(e.path()).ok()).collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/netlink")).ok()?;
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    let lines = table.lines().skip(1).map(|l| l.split_ascii_whitespace().map(str::to_owned).collect());
    let own = |words: &Vec<String>| {
        let inode = format!("socket:[{}]", words.last().map_or("", String::as_str));
        words.get(1).is_some_and(|p| p == "12") && links.iter().any(|l| l.as_os_str() == inode.as_str())
    };
    Some(lines.filter(own).collect())
}

/// The groups that a process's netfilter netlink sockets have joined, according to the kernel; `None` when it
/// has no such socket or has ended.
pub fn joined(pid: u32) -> Option<u32> {
    let groups = |words: &Vec<String>| u32::from_str_radix(words.get(3)?, 16).ok();
    sockets(pid)?.iter().filter_map(groups).reduce(|a, b| a | b)
}

/// Bytes waiting in its sockets; 0 when it has ended.
fn queued(pid: u32) -> u64 {
    let bytes = |words: &Vec<String>| words.get(4)?.parse::<u64>().ok();
    sockets(pid).unwrap_or_default().iter().filter_map(bytes).sum()
}

/// Whether the process is waiting for something, or has ended.
fn sleeps(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| !rest.starts_with('R'))
}

/// Linux 6.14 and newer send the time along with each event.
pub fn kernel_stamps_events() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let mut numbers = release.split(['.', '-']).map(|n| n.trim().parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(14))
}
