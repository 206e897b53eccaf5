//! `zctd helpers`: the process that reads the queues.
//!
//! It has one reactor, no access to the replication, and CAP_NET_ADMIN alone. Started by the daemon it talks
//! to it over its standard input and output, a socket: lines for the log and counters go out, `reload` comes
//! in, and the end of the daemon is the end of the socket.

use super::judge::{ActingTypes, Judging, LogLines};
use super::queue::{self, PacketQueue, PacketRoom};
use super::rules;
use super::stub::{self, Stubs};
use super::types::{self, HelperType, Whose};
use crate::config::settings::{Config, Helper as Settings, Helpers as Wanted};
use crate::control::client;
use crate::control::helpers::HelpersMode;
use crate::host::log::{Level, Log};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use zct_engine::process::{self, Capability};
use zct_engine::seccomp::{Filter, NETLINK_READER, SYSLOG};
use zct_engine::{Error, Handler, Reactor, Signals, Token, Turn, errno};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGNALS: Token = Token(0);
const PARENT: Token = Token(1);
const REPORT: Token = Token(2);
/// The token of queue 0.
const QUEUES: usize = 16;
/// How often the daemon is told of the counters.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// After how many of these the stubs are looked at, which other programs can change.
const LOOK_EVERY: u32 = 10;

/// Carries out `zctd helpers`.
pub fn run(file: &Path, mode: HelpersMode) -> ExitCode {
    let mut log = Log::console();
    let config = match client::load(file) {
        Ok(loaded) => match loaded.config {
            Some(config) => config,
            None => {
                eprint!("{}", loaded.report.lines(&file.to_string_lossy()));
                return ExitCode::FAILURE;
            }
        },
        Err(why) => {
            log.error(&why.to_string());
            return ExitCode::FAILURE;
        }
    };
    let done = match mode {
        HelpersMode::Rules => {
            let rules = rules::ruleset(&config.helpers.types);
            return match std::io::stdout().lock().write_all(rules.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        HelpersMode::Prepare => prepare(&config.helpers),
        HelpersMode::Disable => {
            let failed = stub::disable_all(&config.helpers.types);
            if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
        }
        HelpersMode::Alone | HelpersMode::Attached => serve(file, &config, mode, log),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            why.lines().for_each(|line| Log::console().error(line));
            ExitCode::FAILURE
        }
    }
}

fn prepare(wanted: &Wanted) -> Result<(), String> {
    let mut stubs = Stubs::open().map_err(|e| e.to_string())?;
    let mut failed = Vec::new();
    for kind in wanted.types.iter().filter_map(HelperType::new) {
        if let Err(e) = stubs.prepare(&kind, true) {
            failed.push(format!("helper {}: {e}", kind.title()));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Where lines go: to the daemon, or to the log.
enum Voice {
    Parent(UnixStream),
    Log(Log),
}

impl Voice {
    fn say(&mut self, level: Level, text: &str) {
        match self {
            Voice::Log(log) => log.write(level, text),
            // A daemon that does not listen loses lines of the log, and no packets.
            Voice::Parent(socket) => {
                _ = socket.write_all(format!("log {} {}\n", level as u8, text.replace('\n', " ")).as_bytes());
            }
        }
    }
}

impl LogLines for Voice {
    fn made(&mut self, text: &str) {
        self.say(Level::Info, text);
    }

    fn refused(&mut self, text: &str) {
        self.say(Level::Notice, text);
    }
}

struct HelperProcess {
    file: PathBuf,
    voice: Voice,
    signals: Signals,
    stubs: Stubs,
    helpers: ActingTypes,
    queues: Vec<PacketQueue>,
    room: PacketRoom,
    /// What came from the daemon and is not a whole line yet.
    heard: Vec<u8>,
    /// Reports until the stubs are looked at.
    look_in: u32,
}

fn serve(file: &Path, config: &Config, mode: HelpersMode, mut log: Log) -> Result<(), String> {
    let told = |e: Error| e.to_string();
    let mut reactor = Reactor::new().map_err(told)?;
    let signals = Signals::take(&[SIGTERM, SIGINT, SIGHUP]).map_err(told)?;
    reactor.watch(&signals, SIGNALS).map_err(told)?;
    let voice = if mode == HelpersMode::Attached {
        let socket = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
        let socket = socket.and_then(|s| s.set_nonblocking(true).map(|()| s));
        let socket = socket.map_err(|e| format!("standard input: {e}"))?;
        reactor.watch(&socket, PARENT).map_err(told)?;
        Voice::Parent(socket)
    } else {
        let general = &config.general;
        log.open(general.log_file.as_deref(), general.syslog).map_err(|e| e.to_string())?;
        Voice::Log(log)
    };
    reactor.set_timer(Instant::now(), REPORT);
    let helpers = ActingTypes::new().map_err(told)?;
    let stubs = Stubs::open().map_err(told)?;
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (queues, room, heard) = (Vec::new(), PacketRoom::new(), Vec::new());
    let mut process =
        HelperProcess { file, voice, signals, stubs, helpers, queues, room, heard, look_in: LOOK_EVERY };
    // Started as /proc/self/exe, it would be "exe" in the lists of top and ps.
    _ = std::fs::write("/proc/self/comm", "zctd-helpers");
    process::keep_capabilities(&[Capability::NetAdmin]).map_err(told)?;
    process.confine(mode == HelpersMode::Alone && config.general.syslog.is_some());
    process.apply(&config.helpers, &mut reactor);
    let done = reactor.run(Instant::now, &mut process);
    process.end();
    done.map_err(told)
}

impl HelperProcess {
    /// Gives up the system calls that are not needed any more: what strangers send is read from here on.
    fn confine(&mut self, syslog: bool) {
        let calls = [NETLINK_READER, if syslog { SYSLOG } else { &[] }].concat();
        let without = match Filter::new(&calls).map(|f| f.apply()) {
            Some(Ok(())) => return,
            Some(Err(e)) if e.errno() == Some(errno::EINVAL) => {
                "this kernel has no filters for system calls (CONFIG_SECCOMP_FILTER)".to_owned()
            }
            Some(Err(e)) => format!("system calls are not filtered: {e}"),
            None => "the system calls of this kind of machine are not known".to_owned(),
        };
        let text = format!("helpers: {without}; their process runs without a filter");
        self.voice.say(Level::Warning, &text);
    }

    /// Brings kernel and queues in line with a configuration: what is not wanted any more is disabled before
    /// its queue is closed, and what is new is enabled after its queue is open.
    fn apply(&mut self, wanted: &Wanted, reactor: &mut Reactor) {
        let same = |a: &Settings, b: &Settings| types::title(a) == types::title(b);
        let (kept, gone): (Vec<HelperType>, Vec<HelperType>) = std::mem::take(&mut self.helpers.kinds)
            .into_iter()
            .partition(|k| wanted.types.iter().any(|w| same(w, &k.settings)));
        for kind in &gone {
            self.disable(kind);
        }
        self.helpers.kinds = kept;
        for settings in &wanted.types {
            let known = self.helpers.kinds.iter_mut().find(|k| same(&k.settings, settings));
            let changed = match known {
                Some(kind) if kind.settings == *settings => {
                    take_back(&mut self.stubs, kind, &mut self.voice);
                    continue;
                }
                Some(kind) => {
                    kind.settings = settings.clone();
                    true
                }
                None => false,
            };
            let done = if changed {
                self.change(settings, reactor)
            } else {
                self.begin(settings, wanted.setup, reactor)
            };
            match done {
                Ok(false) => {}
                Ok(true) => {
                    let (title, number) = (types::title(settings), settings.queue_num);
                    self.voice.say(Level::Notice, &format!("helper {title}: reads queue {number}"));
                }
                Err(why) => {
                    let text = format!(
                        "helper {}: {why}; {} flows are tracked without it",
                        types::title(settings),
                        settings.kind.name
                    );
                    self.voice.say(Level::Warning, &text);
                }
            }
        }
        self.helpers.note_types();
        self.close_unused(reactor);
    }

    /// Takes up a type; false for one that zctd has no protocol for, which the configuration has remarked on.
    fn begin(&mut self, settings: &Settings, setup: bool, reactor: &mut Reactor) -> Result<bool, String> {
        let Some(kind) = HelperType::new(settings) else { return Ok(false) };
        if let Some(other) = self.stubs.prepare(&kind, setup).map_err(|e| e.to_string())? {
            let text = format!(
                "helper {}: its stub was enabled with queue {other}; should another daemon read that, in another \
                 network namespace, both need the same QueueNum",
                kind.title()
            );
            self.voice.say(Level::Warning, &text);
        }
        self.open(settings, reactor)?;
        self.stubs.enable(&kind).map_err(|e| e.to_string())?;
        self.helpers.kinds.push(kind);
        Ok(true)
    }

    fn change(&mut self, settings: &Settings, reactor: &mut Reactor) -> Result<bool, String> {
        self.open(settings, reactor)?;
        let kind = self.helpers.kinds.iter().find(|k| k.settings == *settings);
        let Some(kind) = kind else { return Ok(false) };
        self.stubs.update(kind).map_err(|e| e.to_string())?;
        Ok(true)
    }

    /// Binds the queue of a type, unless another type has it already.
    fn open(&mut self, settings: &Settings, reactor: &mut Reactor) -> Result<(), String> {
        let number = settings.queue_num;
        if self.queues.iter().any(|q| q.number == number) {
            return Ok(());
        }
        let queue = PacketQueue::bind(number, settings.queue_len).map_err(|e| match e.errno() {
            Some(errno::EINVAL) => "this kernel has no packet queues (modprobe nfnetlink_queue)".to_owned(),
            Some(errno::EOPNOTSUPP) => {
                "this kernel's queues do not know flows (NETFILTER_NETLINK_GLUE_CT)".into()
            }
            _ if queue::is_taken(&e) => format!("another program reads queue {number}"),
            _ => e.to_string(),
        })?;
        let token = Token(QUEUES + usize::from(number));
        reactor.watch(queue.socket(), token).map_err(|e| e.to_string())?;
        self.queues.push(queue);
        Ok(())
    }

    /// Reads out and closes the queues that no type has any more.
    fn close_unused(&mut self, reactor: &mut Reactor) {
        let used = |n: u16, kinds: &[HelperType]| kinds.iter().any(|k| k.settings.queue_num == n);
        let mut at = 0;
        while let Some(number) = self.queues.get(at).map(|q| q.number) {
            if used(number, &self.helpers.kinds) {
                at += 1;
                continue;
            }
            self.drain(at);
            let queue = self.queues.remove(at);
            _ = reactor.forget(queue.socket(), Token(QUEUES + usize::from(number)));
        }
    }

    /// Answers what waits in a queue, but not for ever: its stub is disabled, and new packets do not come.
    fn drain(&mut self, at: usize) {
        for _ in 0..64 {
            match self.turn(at) {
                Ok(Turn::More) => {}
                _ => return,
            }
        }
    }

    fn disable(&mut self, kind: &HelperType) {
        if let Err(e) = self.stubs.disable(&kind.settings) {
            let text = format!("helper {}: can't disable its stub: {e}", kind.title());
            self.voice.say(Level::Error, &text);
        }
    }

    /// Says when another program has changed a stub. It is not changed back, unless the configuration is read again:
    /// somebody may want it so.
    fn look_at_stubs(&mut self) {
        for kind in &mut self.helpers.kinds {
            let Ok(whose) = self.stubs.whose(&kind.settings) else { continue };
            if whose == std::mem::replace(&mut kind.stub, whose) {
                continue;
            }
            let what = match whose {
                Whose::Ours => "is enabled again",
                Whose::Disabled => {
                    "has been disabled by another program: flows pass without it, until the configuration is \
                     read again"
                }
                Whose::Queue(_) => {
                    "has been given another queue by another program: new flows need a listener there"
                }
            };
            let level = if whose == Whose::Ours { Level::Notice } else { Level::Warning };
            self.voice.say(level, &format!("helper {}: its stub {what}", kind.title()));
        }
    }

    fn turn(&mut self, at: usize) -> Result<Turn, Error> {
        let HelperProcess { queues, room, helpers, voice, .. } = self;
        let Some(queue) = queues.get(at) else { return Ok(Turn::Drained) };
        let turn = queue.turn(room, &mut Judging { helpers, lines: voice, now: Instant::now() });
        helpers.settle();
        turn
    }

    /// The stubs first: what is queued while nobody listens is never entered into the kernel's table.
    fn end(&mut self) {
        let kinds = std::mem::take(&mut self.helpers.kinds);
        kinds.iter().for_each(|k| self.disable(k));
        self.helpers.kinds = kinds;
        (0..self.queues.len()).for_each(|at| self.drain(at));
        self.report();
    }

    fn reload(&mut self, reactor: &mut Reactor) {
        match client::load(&self.file).map(|loaded| loaded.config) {
            Ok(Some(config)) => self.apply(&config.helpers, reactor),
            Ok(None) => {
                self.voice.say(Level::Error, "the configuration has errors: helpers stay as they are")
            }
            Err(why) => self.voice.say(Level::Error, &why.to_string()),
        }
    }

    fn report(&mut self) {
        for kind in &mut self.helpers.kinds {
            kind.counts.dropped = queue::dropped(kind.settings.queue_num).unwrap_or(kind.counts.dropped);
        }
        if let Voice::Parent(socket) = &mut self.voice {
            for kind in &self.helpers.kinds {
                _ = socket.write_all(format!("count {} {}\n", kind.title(), kind.counts.line()).as_bytes());
            }
        }
    }

    /// Reads what the daemon says. False when it is gone.
    fn listen(&mut self, reactor: &mut Reactor) -> bool {
        let Voice::Parent(socket) = &mut self.voice else { return true };
        let mut bytes = [0; 256];
        loop {
            match socket.read(&mut bytes) {
                Ok(0) => return false,
                Ok(n) => self.heard.extend_from_slice(&bytes[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        let whole = self.heard.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.heard.drain(..whole).collect();
        if lines.split(|b| *b == b'\n').any(|line| line == b"reload") {
            self.reload(reactor);
        }
        true
    }
}

/// Enables a stub that another program has disabled or given another queue.
fn take_back(stubs: &mut Stubs, kind: &mut HelperType, voice: &mut Voice) {
    if matches!(stubs.whose(&kind.settings), Ok(Whose::Ours)) {
        return;
    }
    let done = stubs.update(kind).map_err(|e| e.to_string());
    let done = done.and_then(|()| stubs.enable(kind).map_err(|e| e.to_string()));
    let (level, what) = match done {
        Ok(()) => (Level::Notice, "its stub is enabled again".to_owned()),
        Err(why) => (Level::Warning, format!("its stub cannot be enabled again: {why}")),
    };
    kind.stub = Whose::Ours;
    voice.say(level, &format!("helper {}: {what}", kind.title()));
}

impl Handler for HelperProcess {
    fn ready(&mut self, token: Token, reactor: &mut Reactor) -> Result<Turn, Error> {
        match token {
            SIGNALS => {
                while let Some(signal) = self.signals.pending()? {
                    match signal {
                        SIGHUP => self.reload(reactor),
                        _ => reactor.stop(),
                    }
                }
            }
            PARENT => {
                if !self.listen(reactor) {
                    reactor.stop();
                }
            }
            Token(t) => {
                let of = |q: &PacketQueue| QUEUES + usize::from(q.number) == t;
                if let Some(at) = self.queues.iter().position(of) {
                    return self.turn(at);
                }
            }
        }
        Ok(Turn::Drained)
    }

    fn timer(&mut self, _: Token, now: Instant, reactor: &mut Reactor) -> Result<(), Error> {
        self.report();
        self.look_in -= 1;
        if self.look_in == 0 {
            self.look_at_stubs();
            self.look_in = LOOK_EVERY;
        }
        reactor.set_timer(now + REPORT_EVERY, REPORT);
        Ok(())
    }

    fn settle(&mut self, _: Instant, _: &mut Reactor) -> Result<Option<Instant>, Error> {
        if let Voice::Log(log) = &mut self.voice {
            log.flush();
        }
        Ok(None)
    }
}
