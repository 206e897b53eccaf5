//! Programs that run until they are told to stop: `-E`.
//!
//! Nothing sleeps for a verdict: a listener is ready when the kernel lists its multicast groups, and it has
//! seen everything when a line caused by the last step is there.

use crate::program::{DEADLINE, Exit, Output, Tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// Groups of flow events as `/proc/net/netlink` shows them: bit n-1 for group n.
pub const FLOW_GROUPS: u32 = 0x7;
/// Groups of expectation events.
pub const EXPECT_GROUPS: u32 = 0x38;

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    closed: bool,
}

/// What arrived on one stream so far.
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

    /// Waits until `enough` or the end of the stream; false when the time is up.
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

    /// The same for any command.
    pub fn spawn(command: &mut Command, groups: u32) -> Listener {
        Listener::attempt(command, Some(groups))
            .unwrap_or_else(|output| panic!("{command:?} ended before it listened: {output:?}"))
    }

    /// Starts a command that may refuse to listen, which is then what it wrote. `groups` of `None` are any.
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

    /// Its process id.
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

    /// Waits until standard output is as wanted; `what` is for the message.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&[u8]) -> bool) {
        if !self.stdout.wait(enough) {
            let text = self.stdout.0.0.lock().expect("no panic while locked");
            panic!("never came: {what}\nso far:\n{}", String::from_utf8_lossy(&text.bytes));
        }
    }

    /// Waits until standard error contains `text`.
    pub fn wait_for_err(&self, text: &str) {
        assert!(self.stderr.wait(|err| contains(err, text.as_bytes())), "never said on stderr: {text}");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("pids are small");
        kill(Pid::from_raw(pid), signal).expect("kill");
    }

    /// Sends a signal, and returns everything it wrote and how it ended.
    pub fn stop(self, signal: Signal) -> Output {
        self.signal(signal);
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Output {
        let (stdout, stderr) = (self.stdout.closed(), self.stderr.closed());
        let exit: Exit = self.child.wait().expect("wait").into();
        Output { stdout, stderr, exit }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|w| w == what)
}

/// The groups the netfilter netlink sockets of a process have joined, as the kernel sees it; `None` when it
/// has no such socket or has ended.
fn joined(pid: u32) -> Option<u32> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let links: Vec<_> = fds.flatten().filter_map(|e| fs::read_link(e.path()).ok()).collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/netlink")).ok()?;
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let inode = format!("socket:[{}]", words.last()?);
            if words.get(1) != Some(&"12") || !links.iter().any(|l| l.as_os_str() == inode.as_str()) {
                return None;
            }
            u32::from_str_radix(words.get(3)?, 16).ok()
        })
        .reduce(|a, b| a | b)
}
