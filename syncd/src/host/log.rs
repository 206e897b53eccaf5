//! The daemon's log: console, file and syslog, in the original's format (conntrackd.md §10).

use crate::config::report::{Report, Severity};
use crate::config::settings::Facility;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use zct_engine::SystemZone;
use zct_engine::write_file::{self, How, WriteError};
use zct_wire::text::{Out, TimeZone as _};

/// The name under which the original's programs log to syslog.
const IDENT: &str = "conntrack-tools";
/// How many messages may wait for syslog.
const WAITING_MAX: usize = 16_384;
/// The socket that syslog listens on.
const SYSLOG: &str = "/dev/log";

/// The severity of a message, with the number that syslog(3) gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be.
    Warning = 4,
    /// Something worth knowing has happened.
    Notice = 5,
    /// A step in the course of normal work.
    Info = 6,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Info => "info",
        }
    }
}

/// The facility as part of a message's priority: its number times eight.
fn code(facility: Facility) -> u8 {
    match facility {
        Facility::Daemon => 3 << 3,
        Facility::Local(n) => (16 + n % 8) << 3,
    }
}

/// A log file cannot be opened.
#[derive(Debug)]
pub struct LogError(WriteError);

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without a blank after the full stop, as the original writes it.
        write!(f, "can't open logfile `{}'.Reason: {}", self.0.path.display(), self.0.why)
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// A file that lines are appended to, and that can be reopened after somebody has moved it away. Lines for
/// which there is no room on the disk are counted.
#[derive(Debug)]
pub struct LineFile {
    path: PathBuf,
    file: File,
    missing: u64,
    /// Why the last write failed.
    why: Option<io::Error>,
    /// The last line in the file has no end.
    cut: bool,
}

/// How many lines these bytes end.
fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}

impl LineFile {
    /// Opens the file, creating it if need be. If others can write to its directory, it refuses what they may
    /// have put there to be written to.
    ///
    /// # Errors
    /// [`LogError`] names the file and the reason.
    pub fn open(path: &Path) -> Result<LineFile, LogError> {
        let file = write_file::open(path, How::Append).map_err(LogError)?;
        Ok(LineFile { path: path.into(), file, missing: 0, why: None, cut: false })
    }

    /// Opens the path again, and keeps the old file if that fails.
    ///
    /// # Errors
    /// Those of [`LineFile::open`].
    pub fn reopen(&mut self) -> Result<(), LogError> {
        let LineFile { file, cut, .. } = LineFile::open(&self.path)?;
        (self.file, self.cut) = (file, cut);
        Ok(())
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines. What cannot be written is left out and counted: a full disk must not end the
    /// daemon.
    pub fn write(&mut self, lines: &[u8]) {
        let written = self.append(lines);
        self.missing += lines_in(lines.get(written..).unwrap_or_default());
    }

    /// Appends a line about the lines that are missing before it, if there are any, and if there is room.
    /// True when it did.
    pub fn recover(&mut self, line: impl FnOnce(&str) -> String) -> bool {
        let Some(why) = self.why.as_ref().filter(|_| self.missing > 0) else { return false };
        let line = line(&format!("{} lines are missing here: {why}", self.missing));
        let recovered = self.append(line.as_bytes()) == line.len();
        if recovered {
            self.missing = 0;
        }
        recovered
    }

    /// Why the last write failed, if it did.
    pub fn failing(&self) -> Option<&io::Error> {
        self.why.as_ref()
    }

    /// Lines that are missing since this was last asked, or since [`LineFile::recover`] has said so.
    pub fn take_missing(&mut self) -> u64 {
        std::mem::take(&mut self.missing)
    }

    /// Appends bytes until there is no more room, on a line of their own; returns how many.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        if self.cut && self.append_raw(b"\n") == 0 {
            return done;
        }
        done = self.append_raw(bytes);
        self.cut = bytes.get(..done).and_then(<[u8]>::last).is_some_and(|last| *last != b'\n');
        if done == bytes.len() {
            self.why = None;
        }
        done
    }

    fn append_raw(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|r| !r.is_empty()) {
            match self.file.write(rest) {
                Ok(n) if n > 0 => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => break,
                Err(e) => {
                    self.why = Some(e);
                    break;
                }
            }
        }
        done
    }
}

/// Sends messages to syslog without ever waiting for it.
#[derive(Debug)]
pub struct Syslog {
    socket: Option<UnixDatagram>,
    facility: Facility,
    pid: u32,
    /// Messages that wait until syslog accepts more.
    waiting: VecDeque<String>,
    /// Number of messages that were dropped, and how many of them syslog has been told of.
    lost: u64,
    told: u64,
}

impl Syslog {
    /// Prepares for sending; syslog need not be there yet.
    pub fn new(facility: Facility) -> Syslog {
        Syslog { socket: None, facility, pid: std::process::id(), waiting: VecDeque::new(), lost: 0, told: 0 }
    }

    fn connect() -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(SYSLOG)?;
        Ok(socket)
    }

    /// Sends one message, now or in a later [`Syslog::flush`]: a syslog that does not read must not hold up
    /// the daemon. If it reads nothing for long, the oldest messages are dropped and counted.
    pub fn write(&mut self, level: Level, when: &str, text: &str) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.push(level, when, text);
        self.flush();
        let missing = self.lost - self.told;
        if missing > 0 && self.waiting.is_empty() && self.socket.is_some() {
            self.told = self.lost;
            self.push(Level::Warning, when, &format!("{missing} messages are missing here"));
            self.flush();
        }
    }

    fn push(&mut self, level: Level, when: &str, text: &str) {
        let priority = code(self.facility) | level as u8;
        self.waiting.push_back(format!("<{priority}>{when} {IDENT}[{}]: {text}", self.pid));
    }

    /// Sends what waits, as far as syslog accepts it; returns true when something is left.
    pub fn flush(&mut self) -> bool {
        let mut again = true;
        while let Some(message) = self.waiting.front() {
            if self.socket.is_none() {
                self.socket = Syslog::connect().ok();
            }
            match self.socket.as_ref().map(|s| s.send(message.as_bytes())) {
                Some(Ok(_)) => _ = self.waiting.pop_front(),
                Some(Err(e)) if e.kind() == io::ErrorKind::WouldBlock => return true,
                // A restarted syslog may have taken the place of the one before.
                Some(Err(_)) if std::mem::take(&mut again) => self.socket = None,
                _ => {
                    // No syslog is running.
                    self.socket = None;
                    self.lost += self.waiting.len() as u64;
                    self.waiting.clear();
                }
            }
        }
        false
    }
}

/// What is shown on the standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Console {
    /// All messages.
    All,
    /// Only errors: whoever starts a daemon in the background waits for its exit status and for nothing else.
    Errors,
    /// No messages at all.
    None,
}

/// The log of the daemon itself.
#[derive(Debug)]
pub struct Log {
    file: Option<LineFile>,
    syslog: Option<Syslog>,
    console: Console,
    zone: SystemZone,
    pid: u32,
}

impl Log {
    /// A log that writes to the console alone, as it does until the configuration is read.
    pub fn console() -> Log {
        Log {
            file: None,
            syslog: None,
            console: Console::All,
            zone: SystemZone::default(),
            pid: std::process::id(),
        }
    }

    /// Opens the file and prepares syslog.
    ///
    /// # Errors
    /// Those of [`LineFile::open`].
    pub fn open(&mut self, file: Option<&Path>, syslog: Option<Facility>) -> Result<(), LogError> {
        self.file = file.map(LineFile::open).transpose()?;
        self.syslog = syslog.map(Syslog::new);
        Ok(())
    }

    /// From now on writes only errors to the standard streams: the daemon is going into the background.
    pub fn errors_to_console(&mut self) {
        self.console = Console::Errors;
    }

    /// From now on writes nothing to the standard streams: they are gone.
    pub fn leave_console(&mut self) {
        self.console = Console::None;
    }

    /// Takes the process id anew for the lines to come, after a fork.
    pub fn renumber(&mut self) {
        self.pid = std::process::id();
        if let Some(s) = &mut self.syslog {
            s.pid = self.pid;
        }
    }

    /// Reopens the file after it has been moved away.
    pub fn reopen(&mut self) {
        if let Some(Err(e)) = self.file.as_mut().map(LineFile::reopen) {
            self.error(&e.to_string());
        }
    }

    /// The date and time at the beginning of lines: `Mon Nov 23 16:49:13 2026`.
    pub fn date(&self) -> String {
        let mut buf = [0; 64];
        let mut out = Out::new(&mut buf);
        out.ctime(&self.zone.local(now_s()));
        String::from_utf8_lossy(out.written()).into_owned()
    }

    /// Writes one line to all sinks.
    pub fn write(&mut self, level: Level, text: &str) {
        let date = self.date();
        let pid = self.pid;
        let line = |level: Level, text: &str| format!("[{date}] (pid={pid}) [{}] {text}\n", level.word());
        let whole = line(level, text);
        self.to_console(level, whole.as_bytes());
        if let Some(f) = &mut self.file {
            f.recover(|missing| line(Level::Warning, missing));
            f.write(whole.as_bytes());
        }
        if let Some(s) = &mut self.syslog {
            s.write(level, syslog_date(&date), text);
        }
    }

    /// Writes a flow below the message before it, in the form that the original gives such lines.
    pub fn flow(&mut self, level: Level, flow: &[u8]) {
        let date = self.date();
        let flow = String::from_utf8_lossy(flow);
        let line = format!("{date}\t{flow}\n");
        self.to_console(level, line.as_bytes());
        if let Some(f) = &mut self.file {
            f.write(line.as_bytes());
        }
        if let Some(s) = &mut self.syslog {
            s.write(level, syslog_date(&date), &flow);
        }
    }

    /// Sends what waits for syslog; returns true when something is left.
    pub fn flush(&mut self) -> bool {
        self.syslog.as_mut().is_some_and(Syslog::flush)
    }

    /// Notices and information go to standard output, the rest to standard error, as in the original.
    fn to_console(&self, level: Level, line: &[u8]) {
        match (self.console, level) {
            (Console::All, _) | (Console::Errors, Level::Error) => {}
            (Console::Errors | Console::None, _) => return,
        }
        // The daemon goes on without a console.
        _ = match level {
            Level::Error | Level::Warning => io::stderr().lock().write_all(line),
            Level::Notice | Level::Info => io::stdout().lock().write_all(line),
        };
    }

    /// Writes the remarks about a configuration file.
    pub fn remarks(&mut self, report: &Report, file: &Path) {
        for (severity, text) in report.by_severity(&file.to_string_lossy()) {
            match severity {
                Severity::Warning => self.warning(&text),
                Severity::CannotStart | Severity::Error => self.error(&text),
            }
        }
    }

    /// Writes a message that something failed.
    pub fn error(&mut self, text: &str) {
        self.write(Level::Error, text);
    }

    /// Writes a message that something is not as it should be.
    pub fn warning(&mut self, text: &str) {
        self.write(Level::Warning, text);
    }

    /// Writes a message that something worth knowing has happened.
    pub fn notice(&mut self, text: &str) {
        self.write(Level::Notice, text);
    }

    /// Writes a message about the course of normal work.
    pub fn info(&mut self, text: &str) {
        self.write(Level::Info, text);
    }
}

/// The time now, in seconds since the epoch.
pub fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// The part of a date that syslog expects: `Nov 23 16:49:13`.
pub(crate) fn syslog_date(date: &str) -> &str {
    date.get(4..19).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("zctd-log-{name}-{}", std::process::id()))
    }

    #[test]
    fn lines_have_the_originals_shape() {
        let path = scratch("shape");
        let mut log = Log { console: Console::None, ..Log::console() };
        log.open(Some(&path), None).unwrap();
        log.notice("committing all external caches");
        log.error("it failed");
        log.flow(Level::Error, b"tcp      6 src=1.2.3.4");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let pid = std::process::id();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0][25..], format!("] (pid={pid}) [notice] committing all external caches"));
        assert_eq!(lines[1][25..], format!("] (pid={pid}) [ERROR] it failed"));
        assert_eq!(&lines[2][24..], "\ttcp      6 src=1.2.3.4");
        assert_eq!(&lines[0][1..25], &lines[2][..24]);
    }

    #[test]
    fn a_file_that_was_moved_is_opened_anew() {
        let (path, moved) = (scratch("moved"), scratch("moved.1"));
        let mut log = Log { console: Console::None, ..Log::console() };
        log.open(Some(&path), None).unwrap();
        log.notice("one");
        std::fs::rename(&path, &moved).unwrap();
        log.notice("two");
        log.reopen();
        log.notice("three");
        let count = |p: &Path| std::fs::read_to_string(p).unwrap().lines().count();
        assert_eq!((count(&moved), count(&path)), (2, 1));
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&moved).unwrap();
    }

    /// A device that is always full stands for the disk.
    #[test]
    fn lines_without_room_are_counted_and_reported() {
        let path = scratch("full");
        let mut file = LineFile::open(&path).unwrap();
        let disk = std::mem::replace(&mut file.file, File::options().append(true).open("/dev/full").unwrap());
        assert!(!file.recover(|_| panic!("nothing is missing")));
        file.write(b"one\ntwo\n");
        file.write(b"three\n");
        assert!(!file.recover(|text| text.to_owned()) && file.missing == 3);
        (file.file, file.cut) = (disk, true);
        assert!(file.recover(|text| format!("{text}\n")) && file.take_missing() == 0);
        file.write(b"four\n");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "\n3 lines are missing here: No space left on device (os error 28)\nfour\n");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let e = LineFile::open(Path::new("/nonexistent/log")).unwrap_err();
        assert_eq!(e.to_string(), "can't open logfile `/nonexistent/log'.Reason: No such file or directory");
    }

    #[test]
    fn dates_and_priorities_of_syslog() {
        assert_eq!(syslog_date("Mon Nov 23 16:49:13 2026"), "Nov 23 16:49:13");
        assert_eq!(code(Facility::Daemon) | Level::Notice as u8, 29);
        assert_eq!(code(Facility::Local(7)) | Level::Error as u8, 187);
    }
}
