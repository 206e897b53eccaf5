//! The start and the end of the daemon (conntrackd.md §1.1).

use crate::config::report::Report;
use crate::config::settings::{Config, Expectations, Role};
use crate::config::{keys, parts};
use crate::control::request;
use crate::control::server::{Reply, Server};
use crate::control::statistics::Runtime;
use crate::daemon::losses::Losses;
use crate::daemon::privileges;
use crate::daemon::rest::Rest;
use crate::daemon::reviews::Reviews;
use crate::daemon::room::Room;
use crate::daemon::signals;
use crate::daemon::start_error::StartError;
use crate::daemon::state::{Comparison, Daemon, Node, token};
use crate::daemon::sync_node::SyncNode;
use crate::daemon::takeover::Takeover;
use crate::daemon::waiting::Waiting;
use crate::helper::child::HelperChild;
use crate::host::lock::Lock;
use crate::host::log::Log;
use crate::host::systemd::Systemd;
use crate::kernel::flush::Flush;
use crate::kernel::{Kernel, Why};
use crate::metrics::outlets::Outlets;
use crate::stats::cache::StatsCache;
use crate::stats::log::FlowLog;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use zct_engine::inet;
use zct_engine::process::{self, Detached};
use zct_engine::{Error, Reactor, Signals, Token, errno_text};

/// Runs the daemon until it is told to stop. `file` is the configuration's path, to be read again; `remarks`
/// are what was found in it, for the log.
///
/// In the background, only errors are written to the caller's streams, because init scripts mail every line.
pub fn run(config: Config, remarks: &Report, file: PathBuf, background: bool) -> ExitCode {
    let mut log = Log::console();
    let child = match background.then(process::detach) {
        None => None,
        Some(Ok(Detached::Parent(parent))) => {
            Systemd::from_environment(config.general.systemd).main_pid(parent.pid);
            // If the child has failed, it has said why.
            return if parent.wait() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Some(Ok(Detached::Child(child))) => Some(child),
        Some(Err(e)) => {
            log.error(&format!("can't go into the background: {e}"));
            return ExitCode::FAILURE;
        }
    };
    process::umask(privileges::UMASK);
    log.renumber();
    if background {
        log.errors_to_console();
    }
    let general = &config.general;
    if let Err(why) = log.open(general.log_file.as_deref(), general.syslog) {
        eprintln!("ERROR: {why}");
        return ExitCode::FAILURE;
    }
    // Relative paths have to mean what they mean to whoever starts the daemon.
    let file = std::path::absolute(&file).unwrap_or(file);
    let lock = match take_lock(&config, &mut log) {
        Ok(lock) => lock,
        Err(why) => {
            log.error(&why.to_string());
            return ExitCode::FAILURE;
        }
    };
    // Not before the lock is ours, since the log may belong to a running daemon.
    log.remarks(remarks, &file);
    let opened = Reactor::new().map_err(StartError::System).and_then(|mut reactor| {
        let parts = parts(&config, &file, &mut log, &mut reactor)?;
        Ok((parts, reactor))
    });
    let (parts, mut reactor) = match opened {
        Ok(both) => both,
        Err(why) => {
            why.to_string().lines().for_each(|line| log.error(line));
            lock.remove();
            return ExitCode::FAILURE;
        }
    };
    let Parts { signals, server, metrics, kernel, flush, node, epoch } = parts;
    let helpers = HelperChild::new(file.clone(), &config.helpers, token::HELPERS, &mut reactor, &mut log);
    let systemd = Systemd::from_environment(config.general.systemd);
    let sources = match &node {
        Node::Sync(n) => n.peers.len(),
        Node::Stats(_) => 1,
    };
    let mut daemon = Daemon {
        config,
        file,
        log,
        lock: Some(lock),
        systemd,
        signals,
        server,
        metrics,
        kernel,
        flush,
        helpers,
        node,
        runtime: Runtime::default(),
        takeover: Takeover::default(),
        losses: Losses::of(sources),
        reviews: Reviews::default(),
        epoch,
        waiting: Waiting::default(),
        comparison: Comparison::None,
        room: Room::default(),
        populating: Some(1),
        syslog_waits: false,
        events_wait: false,
        background: child,
        rest: Rest::new(Instant::now()),
        stopping: false,
    };
    // Nothing becomes ready by itself, so the first turn needs a timer.
    reactor.set_timer(Instant::now(), Token(token::DUMP));
    let done = reactor.run(Instant::now, &mut daemon);
    daemon.end(done, &mut reactor)
}

fn take_lock(config: &Config, log: &mut Log) -> Result<Lock, StartError> {
    let path = &config.general.lock_file;
    // Without a control socket there is nobody to ask, and the lock alone decides.
    let control = config.general.control_socket.clone().unwrap_or_default();
    let lock = Lock::take(path, &control).map_err(|e| StartError::Lock(path.clone(), e))?;
    if lock.replaced {
        log.notice(&format!("lockfile `{}' was left by a dead process: taken over", path.display()));
    }
    Ok(lock)
}

/// Numbers that traffic cannot guess: the standard library seeds its hash tables with such numbers.
fn random() -> [u64; 3] {
    [0, 1, 2].map(|n| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(n);
        hasher.finish()
    })
}

/// The parts that the daemon is assembled from.
struct Parts {
    signals: Signals,
    server: Option<Server>,
    metrics: Outlets,
    kernel: Kernel,
    flush: Flush,
    node: Node,
    epoch: Instant,
}

/// Creates the parts, in the order in which nothing gets lost.
fn parts(config: &Config, file: &Path, log: &mut Log, reactor: &mut Reactor) -> Result<Parts, StartError> {
    let server = match &config.general.control_socket {
        None => None,
        Some(path) => Some(Server::open(path, token::CONTROL).map_err(StartError::Control)?),
    };
    let opened = rest(config, file, log, reactor).and_then(|parts| {
        server.as_ref().map_or(Ok(()), |s| s.watch(reactor)).map_err(StartError::System)?;
        Ok(parts)
    });
    if let (Err(_), Some(s)) = (&opened, &server) {
        s.remove();
    }
    opened.map(|p| Parts { server, ..p })
}

/// Creates everything but the control socket.
fn rest(config: &Config, file: &Path, log: &mut Log, reactor: &mut Reactor) -> Result<Parts, StartError> {
    let system = StartError::System;
    let epoch = Instant::now();
    let signals = Signals::take(&signals::ALL).map_err(system)?;
    reactor.watch(&signals, Token(token::SIGNALS)).map_err(system)?;
    privileges::schedule(config.general.scheduler.as_ref(), log);
    let expects = parts::sync(config).map_or(Expectations::Off, |s| s.expectations.clone());
    let netlink = StartError::Netlink;
    let mut kernel = Kernel::open(&config.general, expects, log).map_err(netlink)?;
    let node = match &config.role {
        Role::Sync(s) => {
            let keys = keys::read(s, file).map_err(StartError::Keys)?;
            let n = SyncNode::open(config, s, keys, random(), 0, token::LINKS, log)?;
            kernel.set_ports(n.ports());
            Node::Sync(Box::new(n))
        }
        Role::Stats(s) => {
            let [a, b, _] = random();
            let limit = config.general.hash_limit as usize;
            Node::Stats(Box::new(StatsCache::new(limit, [a, b], FlowLog::open(s).map_err(StartError::Log)?)))
        }
    };
    let flush = Flush::open().map_err(netlink)?;
    if let Some(events) = kernel.events() {
        reactor.watch(events, Token(token::EVENTS)).map_err(system)?;
    }
    reactor.watch(kernel.dump_socket(), Token(token::DUMP)).map_err(system)?;
    kernel.want(Why::Populate);
    // The port may be one of root's.
    let metrics = Outlets::open(&config.metrics, token::METRICS, reactor).map_err(StartError::Metrics)?;
    // A file system that contains a process's current directory cannot be unmounted.
    let root = || std::env::set_current_dir("/").map_err(StartError::Root);
    if let Err(why) = privileges::give_up(config).map_err(StartError::Privileges).and_then(|()| root()) {
        metrics.server.remove();
        return Err(why);
    }
    Ok(Parts { signals, server: None, metrics, kernel, flush, node, epoch })
}

impl Daemon {
    /// Cleans up after the last turn.
    fn end(mut self, done: Result<(), Error>, reactor: &mut Reactor) -> ExitCode {
        if let Err(e) = &done {
            self.log.error(&describe(e));
        }
        self.helpers.stop(reactor, &mut self.log);
        if let Node::Stats(s) = &mut self.node {
            s.log.flush();
        }
        // Whoever waits for the end may start another daemon as soon as it is answered.
        if let Some(s) = &self.server {
            s.remove();
        }
        self.metrics.end();
        if let Some(lock) = self.lock.take() {
            lock.remove();
        }
        self.disappoint();
        let (now, stoppers) = (self.now(), self.waiting.take_stoppers());
        if let Some(server) = &mut self.server {
            for (client, status) in stoppers {
                server.reply(client, if status { Reply::Text(request::ok()) } else { Reply::Close });
            }
            server.last_words(&Daemon::shown(&self.node, now));
        }
        if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn describe(e: &Error) -> String {
    match e.errno() {
        Some(inet::ENODEV) => format!("{e}: an interface is gone"),
        Some(n) => format!("{e} ({})", errno_text(n)),
        None => e.to_string(),
    }
}
