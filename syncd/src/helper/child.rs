//! The daemon's side of the helpers' process: started, listened to, started again when it has died.

use super::counts::HelperCounts;
use super::stub;
use crate::config::settings::{Helper as Settings, Helpers as Wanted};
use crate::host::log::{Level, Log};
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child as Running, Command, Stdio};
use std::time::{Duration, Instant};
use zct_engine::{Reactor, Token};
use zct_helpers::Refusal;

/// How long to wait before it is started again: at first, at most, and how long it has to live for the first
/// again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const STABLE: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END: Duration = Duration::from_secs(3);
/// The most bytes that are kept of a line.
const LINE_MAX: usize = 64 << 10;

/// The process, and what is known of it.
#[derive(Debug)]
pub struct HelperChild {
    file: PathBuf,
    token: Token,
    /// The types that it should read for.
    wanted: Vec<Settings>,
    running: Option<ChildProcess>,
    /// When to start it again, and how long the wait for that was.
    again: Option<Instant>,
    wait: Duration,
    restarts: u64,
    /// The counters by title: those of processes that have ended, and of this one.
    counts: Vec<(String, HelperCounts, HelperCounts)>,
}

#[derive(Debug)]
struct ChildProcess {
    child: Running,
    socket: UnixStream,
    heard: Vec<u8>,
    since: Instant,
}

impl HelperChild {
    /// Starts the process if the configuration has types for it. `file` is read again by it.
    pub fn new(
        file: PathBuf,
        wanted: &Wanted,
        token: usize,
        reactor: &mut Reactor,
        log: &mut Log,
    ) -> HelperChild {
        let mut helpers = HelperChild {
            file,
            token: Token(token),
            wanted: Vec::new(),
            running: None,
            again: None,
            wait: FIRST_WAIT,
            restarts: 0,
            counts: Vec::new(),
        };
        helpers.reload(wanted, reactor, log);
        helpers
    }

    /// Takes over other types.
    pub fn reload(&mut self, wanted: &Wanted, reactor: &mut Reactor, log: &mut Log) {
        self.wanted =
            wanted.types.iter().filter(|t| super::types::HelperType::new(t).is_some()).cloned().collect();
        if self.wanted.is_empty() {
            self.stop(reactor, log);
        } else if let Some(process) = &mut self.running {
            // One that does not listen is noticed when it ends.
            _ = process.socket.write_all(b"reload\n");
        } else {
            self.start(reactor, log);
        }
    }

    fn start(&mut self, reactor: &mut Reactor, log: &mut Log) {
        match self.spawn(reactor) {
            Ok(process) => {
                log.notice(&format!("helpers: process {} reads their queues", process.child.id()));
                (self.running, self.again) = (Some(process), None);
            }
            Err(e) => {
                log.error(&format!("can't start the process of the helpers: {e}"));
                self.again = Some(Instant::now() + self.wait);
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    fn spawn(&self, reactor: &mut Reactor) -> io::Result<ChildProcess> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let far = OwnedFd::from(far);
        // This very program, whatever is installed under its name by now.
        let mut child = Command::new("/proc/self/exe")
            .arg0("zctd")
            .args(["helpers", "--attached", "-C"])
            .arg(&self.file)
            .stdin(Stdio::from(far.try_clone()?))
            .stdout(Stdio::from(far))
            .stderr(Stdio::null())
            .spawn()?;
        if let Err(e) = reactor.watch(&near, self.token) {
            _ = child.kill();
            _ = child.wait();
            return Err(io::Error::other(e));
        }
        Ok(ChildProcess { child, socket: near, heard: Vec::new(), since: Instant::now() })
    }

    /// Reads what the process says. When it has died, packets pass at once: its queues are closed, and its
    /// stubs are disabled here.
    pub fn ready(&mut self, reactor: &mut Reactor, log: &mut Log) {
        let Some(process) = &mut self.running else { return };
        let alive = process.read();
        let whole = process.heard.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = process.heard.drain(..whole).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            self.line(line, log);
        }
        if !alive {
            self.died(reactor, log);
        }
    }

    fn line(&mut self, line: &str, log: &mut Log) {
        if let Some((level, text)) = line.strip_prefix("log ").and_then(|l| l.split_once(' ')) {
            let level = match level {
                "3" => Level::Error,
                "4" => Level::Warning,
                "5" => Level::Notice,
                _ => Level::Info,
            };
            log.write(level, text);
        } else if let Some(rest) = line.strip_prefix("count ") {
            let Some((at, _)) = rest.match_indices(' ').nth(2) else { return };
            let (title, numbers) = rest.split_at(at);
            let Some(counts) = HelperCounts::parse(numbers.trim_start()) else { return };
            match self.counts.iter_mut().find(|(t, ..)| t == title) {
                Some((_, _, now)) => *now = counts,
                None => self.counts.push((title.to_owned(), HelperCounts::default(), counts)),
            }
        }
    }

    fn died(&mut self, reactor: &mut Reactor, log: &mut Log) {
        let Some(mut process) = self.running.take() else { return };
        _ = reactor.forget(&process.socket, self.token);
        // It has closed its end, or ended; a process that lives on without us would keep the queues.
        _ = process.child.kill();
        let how = process.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
        stub::disable_all(&self.wanted).iter().for_each(|text| log.error(text));
        for (_, before, now) in &mut self.counts {
            *before = before.plus(&std::mem::take(now));
        }
        if process.since.elapsed() >= STABLE {
            self.wait = FIRST_WAIT;
        }
        self.restarts += 1;
        self.again = Some(Instant::now() + self.wait);
        let wait = self.wait.as_millis();
        log.error(&format!("helpers: their process has ended ({how}), and is started again in {wait} ms"));
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// When [`HelperChild::turn`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.again
    }

    /// Starts the process again when its time has come.
    pub fn turn(&mut self, now: Instant, reactor: &mut Reactor, log: &mut Log) {
        if self.again.is_some_and(|at| at <= now) {
            self.again = None;
            self.start(reactor, log);
        }
    }

    /// Ends the process, which disables its stubs; what it does not manage is done here.
    pub fn stop(&mut self, reactor: &mut Reactor, log: &mut Log) {
        self.again = None;
        let Some(ChildProcess { mut child, socket, .. }) = self.running.take() else { return };
        _ = reactor.forget(&socket, self.token);
        _ = socket.shutdown(std::net::Shutdown::Both);
        drop(socket);
        let begun = Instant::now();
        while begun.elapsed() < END {
            if !matches!(child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        _ = child.kill();
        _ = child.wait();
        stub::disable_all(&self.wanted).iter().for_each(|text| log.error(text));
    }

    /// What has been done for a type since the daemon started.
    fn counts(&self, wanted: &Settings) -> HelperCounts {
        let title = super::types::title(wanted);
        let found = self.counts.iter().find(|(t, ..)| *t == title);
        found.map(|(_, before, now)| before.plus(now)).unwrap_or_default()
    }

    /// The types that should be read for, with what has been done for each since the daemon started.
    pub fn types(&self) -> impl Iterator<Item = (&Settings, HelperCounts)> {
        self.wanted.iter().map(|w| (w, self.counts(w)))
    }

    /// The id of the process; `None` while it is not running.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|p| p.child.id())
    }

    /// How often it has been started again.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The text of `-s helper`.
    pub fn statistics(&self, out: &mut String) {
        let state = match &self.running {
            Some(p) => format!("process {}", p.child.id()),
            None if self.wanted.is_empty() => "none configured".to_owned(),
            None => "not running".to_owned(),
        };
        _ = writeln!(out, "userspace helpers:\t\t{state}\nrestarts:\t\t\t{:12}\n", self.restarts);
        for wanted in &self.wanted {
            let title = super::types::title(wanted);
            let counts = self.counts(wanted);
            _ = writeln!(out, "helper {title}:");
            for (what, n) in [
                ("packets:\t\t\t", counts.packets),
                ("matched:\t\t\t", counts.matched),
                ("expectations made:\t\t", counts.made),
                ("packets mangled:\t\t", counts.mangled),
                ("packets not readable:\t\t", counts.unread),
                ("queue drops:\t\t\t", counts.dropped),
                ("refused:\t\t\t", counts.refusals()),
            ] {
                _ = writeln!(out, "{what}{n:12}");
            }
            for why in Refusal::ALL {
                let n = counts.of(why);
                if n > 0 {
                    _ = writeln!(out, "  {}:\t{n:12}", why.name());
                }
            }
            out.push('\n');
        }
    }
}

impl ChildProcess {
    /// Reads all that is there; false when the process has closed its end.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return false,
                Ok(n) => {
                    self.heard.extend_from_slice(&bytes[..n]);
                    if self.heard.len() > LINE_MAX && !self.heard.contains(&b'\n') {
                        self.heard.clear();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}
