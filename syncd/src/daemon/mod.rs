//! The running daemon: one reactor around the parts (conntrackd.md §1).
//!
//! Every turn serves what is ready, each source up to a limit, and then does a bounded piece of whatever work is
//! under way: a dump, a commit, a flush, a listing for a client. So nothing holds up anything else for long.
//!
//! The order of the start matters: the event groups are joined before the first dump, so that nothing happens
//! unseen in between, and the links and the control socket are not served before that dump is in: the peer would
//! be told of half a table.

mod reload;
mod requests;
mod start;
mod stats_node;
mod sync_node;

pub use start::run;

use crate::config::settings::Config;
use crate::control::listings::Shown;
use crate::control::server::Server;
use crate::control::statistics::Runtime;

use crate::host::lock::Lock;
use crate::host::log::Log;
use crate::host::systemd::Systemd;
use crate::kernel::flush::{Flush, Flushed};
use crate::kernel::{Kernel, Stepped, Why};
use crate::peer::Millis;
use crate::stats::cache::StatsCache;
use requests::Waiting;
use stats_node::StatsTaker;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sync_node::SyncNode;
use zct_engine::process::Child;
use zct_engine::{Error, Handler, Pace, Reactor, Signals, Token, Turn, pace};

/// Who a token belongs to.
mod token {
    pub(super) const SIGNALS: usize = 0;
    pub(super) const EVENTS: usize = 1;
    pub(super) const DUMP: usize = 2;
    pub(super) const CONTROL: usize = 16;
    pub(super) const LINKS: usize = 1024;
}

/// A first dump that failed is begun again so often, before the daemon starts with what it has.
const POPULATE_ATTEMPTS: u32 = 5;

/// When to try again to get rid of what syslog did not take.
const SYSLOG_AGAIN_MS: Millis = 10;

/// Datagrams between two rests that are mere acknowledgements.
const DATAGRAMS_IN_PASSING: u64 = 8;

/// One of the two things a daemon can be.
#[derive(Debug)]
enum Node {
    Sync(Box<SyncNode>),
    Stats(Box<StatsCache>),
}

/// What a comparison with the kernel is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// None is wanted.
    None,
    /// One has to begin as soon as no other dump runs.
    Wanted,
    /// Its dump is under way.
    Running,
}

/// The daemon.
struct Daemon {
    config: Config,
    file: PathBuf,
    log: Log,
    lock: Option<Lock>,
    systemd: Systemd,
    signals: Signals,
    server: Option<Server>,
    kernel: Kernel,
    flush: Flush,
    node: Node,
    runtime: Runtime,
    epoch: Instant,
    waiting: Waiting,
    comparison: Comparison,
    /// The first dump: how often it was begun; `None` once it is in.
    populating: Option<u32>,
    /// Syslog has not taken everything yet.
    syslog_waits: bool,
    /// Events may be waiting in the socket.
    events_wait: bool,
    background: Option<Child>,
    pace: Pace,
    /// Datagrams that the peer had sent by the last rest.
    heard: u64,
    stopping: bool,
}

impl Daemon {
    /// Milliseconds since the start.
    fn millis(&self, now: Instant) -> Millis {
        now.saturating_duration_since(self.epoch).as_millis() as Millis
    }

    fn now(&self) -> Millis {
        self.millis(Instant::now())
    }

    fn events_ready(&mut self) -> Result<Turn, Error> {
        let now = self.now();
        let Daemon { kernel, node, log, .. } = self;
        let turn = match node {
            Node::Sync(n) => kernel.events_ready(now, &mut n.taker(now), log)?,
            Node::Stats(cache) => kernel.events_ready(now, &mut StatsTaker { now, cache }, log)?,
        };
        self.events_wait = turn == Turn::More;
        Ok(turn)
    }

    /// Begins to compare the caches with the kernel when that is due and nothing else is being dumped.
    fn compare(&mut self, now: Millis) {
        if self.populating.is_none() && self.kernel.resync_is_due(now) {
            match self.comparison {
                Comparison::None => self.comparison = Comparison::Wanted,
                Comparison::Wanted => {}
                // What was lost just now may be behind where its dump stands.
                Comparison::Running => self.kernel.resync_later(now),
            }
        }
        if self.comparison != Comparison::Wanted || self.kernel.is_dumping() {
            return;
        }
        self.kernel.counters_mut().resyncs += 1;
        match &mut self.node {
            // Nothing is kept: everything is told again.
            Node::Sync(n) if n.machine.config().disable_internal_cache => {
                self.comparison = Comparison::None;
                self.kernel.want(Why::Bulk);
                return;
            }
            Node::Sync(n) => n.machine.begin_kernel_resync(),
            Node::Stats(s) => s.begin_resync(),
        }
        self.comparison = Comparison::Running;
        self.kernel.want(Why::Resync);
    }

    /// Goes on with the dump under way. True when there is more to do at once.
    fn dump(&mut self, now: Millis, reactor: &mut Reactor) -> Result<bool, Error> {
        // A dump that is sent on as it comes waits until there is room for it.
        if matches!(&self.node, Node::Sync(n) if n.machine.bypass_is_full()) {
            return Ok(false);
        }
        let Daemon { kernel, node, .. } = self;
        let stepped = match node {
            Node::Sync(n) => kernel.step(&mut n.taker(now)),
            Node::Stats(cache) => kernel.step(&mut StatsTaker { now, cache }),
        };
        match stepped {
            Ok(Stepped::Idle | Stepped::Waiting) => return Ok(false),
            Ok(Stepped::More) => {}
            Ok(Stepped::Done(Why::Populate)) if self.populating.is_some() => self.populated(reactor)?,
            Ok(Stepped::Done(Why::Populate)) => self.refilled(Ok(())),
            Ok(Stepped::Done(Why::Bulk)) => {}
            Ok(Stepped::Done(Why::Resync)) => {
                self.comparison = Comparison::None;
                match &mut self.node {
                    Node::Sync(n) => n.end_kernel_resync(),
                    Node::Stats(s) => s.end_resync(),
                }
            }
            Ok(Stepped::Failed(Why::Populate)) if self.populating.is_some() => {
                self.populate_again(reactor)?
            }
            Ok(Stepped::Failed(why)) => self.dump_failed(why, now, "it was interrupted"),
            Err(e) if self.populating.is_some() => return Err(e),
            Err(e) => {
                // What was wanted is gone with it; one comparison makes up for all.
                let why = if self.waiting.is_refilling() { Why::Populate } else { Why::Resync };
                self.dump_failed(why, now, &e.to_string());
            }
        }
        Ok(true)
    }

    fn dump_failed(&mut self, why: Why, now: Millis, reason: &str) {
        self.log.warning(&format!("a dump of the kernel's table failed: {reason}"));
        if why == Why::Populate {
            return self.refilled(Err(format!("the kernel's table could not be read whole: {reason}")));
        }
        self.comparison = Comparison::None;
        self.kernel.resync_later(now);
    }

    fn populate_again(&mut self, reactor: &mut Reactor) -> Result<(), Error> {
        let begun = self.populating.unwrap_or(0);
        if begun < POPULATE_ATTEMPTS {
            self.populating = Some(begun + 1);
            self.kernel.want(Why::Populate);
            return Ok(());
        }
        self.log.warning("the kernel's table could not be read whole; it will be compared again");
        let now = self.now();
        self.kernel.resync_later(now);
        self.populated(reactor)
    }

    /// The first dump is in: the daemon is ready.
    fn populated(&mut self, reactor: &mut Reactor) -> Result<(), Error> {
        self.populating = None;
        self.log.notice("initialization completed");
        if let Node::Sync(n) = &mut self.node {
            n.links.watch(reactor)?;
        }
        if let Some(s) = &self.server {
            s.watch(reactor)?;
        }
        let mode = if self.background.is_some() { "daemon" } else { "console" };
        self.log.notice(&format!("-- starting in {mode} mode --"));
        if let Some(child) = self.background.take() {
            self.log.leave_console();
            child.ready()?;
        }
        self.systemd.ready();
        Ok(())
    }

    /// A flush on demand goes on. True when there is more to do at once.
    fn flush_turn(&mut self) -> bool {
        if !self.flush.is_running() {
            return false;
        }
        // Its own events are taken first, or they would overflow the socket.
        if self.events_wait {
            return true;
        }
        match self.flush.step(self.kernel.filter(), self.kernel.buffer_events()) {
            Ok(None) => return true,
            Ok(Some(done)) => {
                say_flushed(&done, &mut self.log);
                let result = match (done.failed, done.incomplete) {
                    (0, false) => Ok(()),
                    (0, true) => Err("the dump was interrupted: entries may have stayed".into()),
                    (n, _) => Err(format!("{n} entries could not be deleted")),
                };
                self.flushed(result);
            }
            Err(e) => {
                let why = format!("can't flush the kernel conntrack table: {e}");
                self.log.error(&why);
                self.flushed(Err(why));
            }
        }
        true
    }

    /// What is under way goes on by a piece. True when there is more to do at once.
    fn work(&mut self, now: Millis, reactor: &mut Reactor) -> Result<bool, Error> {
        self.compare(now);
        self.syslog_waits = false;
        let mut more = self.dump(now, reactor)?;
        if self.populating.is_some() {
            return Ok(more);
        }
        more |= self.flush_turn();
        match &mut self.node {
            Node::Stats(s) => {
                more |= s.sweep();
                self.syslog_waits = s.log.flush();
            }
            Node::Sync(n) => {
                more |= n.turn(now, !self.events_wait, &mut self.kernel, &mut self.log)?;
                // As for a flush.
                if n.commit.is_running() && !self.events_wait {
                    let outcome = n.commit_turn(now, &self.kernel, &mut self.log);
                    more |= n.commit.is_running();
                    self.committed(outcome);
                }
            }
        }
        if let Node::Sync(n) = &mut self.node {
            more |= n.transmit(now);
            n.settle_links(now, reactor, &mut self.log)?;
        }
        Ok(more)
    }

    fn shown<'a>(node: &'a Node, now: Millis) -> Shown<'a> {
        match node {
            Node::Sync(n) => Shown {
                internal: &n.caches.internal,
                caches: Some(&n.caches),
                machine: Some(&n.machine),
                now,
            },
            Node::Stats(s) => Shown { internal: &s.store, caches: None, machine: None, now },
        }
    }

    fn deadline(&self, now: Millis) -> Option<Millis> {
        let node = match &self.node {
            Node::Sync(n) if self.populating.is_none() => n.deadline(now),
            _ => None,
        };
        let server = self.server.as_ref().and_then(Server::deadline);
        let syslog = self.syslog_waits.then_some(now + SYSLOG_AGAIN_MS);
        [node, server, syslog, self.kernel.deadline(), self.systemd.deadline()].into_iter().flatten().min()
    }

    /// Lets events gather while they come fast, so that one turn serves many, and one datagram tells the peer of
    /// many. Not while the peer talks: its datagrams would overflow a receive buffer of the usual size.
    fn rest(&mut self, now: Instant) {
        let Some(events) = self.kernel.events() else { return };
        let Some(rest) = self.pace.rest(events.received(), now) else { return };
        let heard = match &self.node {
            Node::Sync(n) => n.links.received(),
            Node::Stats(_) => 0,
        };
        let talks = heard.wrapping_sub(std::mem::replace(&mut self.heard, heard)) > DATAGRAMS_IN_PASSING;
        if self.kernel.buffer() >= pace::ROOM && !self.events_wait && !talks {
            std::thread::sleep(rest);
        }
    }

    fn signals_ready(&mut self, reactor: &mut Reactor) -> Result<Turn, Error> {
        while let Some(signal) = self.signals.pending()? {
            match signal {
                start::SIGHUP => self.reload(),
                start::SIGUSR1 => self.reopen_logs(),
                _ => self.stop(reactor),
            }
        }
        Ok(Turn::Drained)
    }

    /// Ends the daemon after this turn.
    fn stop(&mut self, reactor: &mut Reactor) {
        if !self.stopping {
            self.stopping = true;
            self.log.notice("---- shutdown received ----");
            self.systemd.stopping();
            reactor.stop();
        }
    }
}

/// How a flush of the kernel's table went.
fn say_flushed(done: &Flushed, log: &mut Log) {
    if done.failed > 0 {
        log.error(&format!("{} entries could not be deleted", done.failed));
    }
    if done.incomplete {
        log.warning("the dump before the flush was interrupted: entries may have stayed");
    }
}

impl Handler for Daemon {
    fn ready(&mut self, token: Token, reactor: &mut Reactor) -> Result<Turn, Error> {
        let links = match &self.node {
            Node::Sync(n) => token::LINKS..token::LINKS + n.links.tokens(),
            Node::Stats(_) => 0..0,
        };
        let control = token::CONTROL..token::CONTROL + Server::TOKENS;
        let now = self.now();
        match token.0 {
            token::SIGNALS => self.signals_ready(reactor),
            token::EVENTS => self.events_ready(),
            // It is looked at at the end of every turn.
            token::DUMP => Ok(Turn::Drained),
            t if control.contains(&t) => self.control_ready(t, now, reactor),
            t if links.contains(&t) => {
                let Node::Sync(n) = &mut self.node else { return Ok(Turn::Drained) };
                if t == links.start {
                    return n.interfaces_ready(reactor);
                }
                let budget = self.config.general.event_iteration_limit as usize;
                n.link_ready(t, now, budget, reactor)
            }
            _ => Ok(Turn::Drained),
        }
    }

    /// The only timer is the one that brings the first turn: [`Handler::settle`] says when to wake up.
    fn timer(&mut self, _: Token, _: Instant, _: &mut Reactor) -> Result<(), Error> {
        Ok(())
    }

    fn settle(&mut self, instant: Instant, reactor: &mut Reactor) -> Result<Option<Instant>, Error> {
        let now = self.millis(instant);
        let mut more = self.work(now, reactor)?;
        if let Some(server) = self.server.as_mut().filter(|_| self.populating.is_none()) {
            more |= server.settle(&Daemon::shown(&self.node, now));
        }
        self.syslog_waits |= self.log.flush();
        self.systemd.settle(now);
        if more {
            return Ok(Some(instant));
        }
        self.rest(instant);
        Ok(self.deadline(now).map(|at| self.epoch + Duration::from_millis(at)))
    }
}
