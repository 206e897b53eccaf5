//! The turns of the reactor: every source of work is served up to a limit, and then the work under way
//! advances by a bounded piece.

use crate::control::listings::ShownCaches;
use crate::control::server::Server;
use crate::daemon::rest;
use crate::daemon::signals;
use crate::daemon::state::{Daemon, Node, token};
use crate::daemon::stats_node::StatsTaker;
use crate::metrics;
use crate::peer::Millis;
use std::time::{Duration, Instant};
use zct_engine::{Error, Handler, Reactor, Token, Turn, pace};

/// When to try again to send what syslog did not accept.
const SYSLOG_AGAIN_MS: Millis = 10;

impl Daemon {
    /// Ends the daemon after this turn.
    pub(super) fn stop(&mut self, reactor: &mut Reactor) {
        if !self.stopping {
            self.stopping = true;
            self.log.notice("---- shutdown received ----");
            self.systemd.stopping();
            reactor.stop();
        }
    }

    /// Reads the events that wait, up to a turn's share.
    pub(super) fn events_ready(&mut self) -> Result<Turn, Error> {
        let now = self.now();
        let Daemon { kernel, node, log, .. } = self;
        let turn = match node {
            Node::Sync(n) => kernel.events_ready(now, &mut n.taker(now), log)?,
            Node::Stats(cache) => kernel.events_ready(now, &mut StatsTaker { now, cache }, log)?,
        };
        self.events_wait = turn == Turn::More;
        Ok(turn)
    }

    /// Advances a flush on demand. True when there is more to do at once.
    fn flush_turn(&mut self) -> bool {
        if !self.flush.is_running() {
            return false;
        }
        // The events that the flush causes are taken first, or they would overflow the socket.
        if self.events_wait {
            return true;
        }
        match self.flush.step(self.kernel.filter(), self.kernel.buffer_events()) {
            Ok(None) => return true,
            Ok(Some(done)) => {
                done.say(&mut self.log);
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

    /// Advances the work under way by a piece. True when there is more to do at once.
    fn work(&mut self, now: Millis, reactor: &mut Reactor) -> Result<bool, Error> {
        self.look_for_room(now);
        self.compare(now);
        self.syslog_waits = false;
        let mut more = self.dump(now, reactor)?;
        if self.populating.is_some() {
            return Ok(more);
        }
        more |= self.flush_turn();
        self.review(now);
        match &mut self.node {
            Node::Stats(s) => {
                more |= s.sweep();
                self.syslog_waits = s.log.flush();
                if let Some(news) = s.log.news() {
                    self.log.warning(&news);
                }
            }
            Node::Sync(n) => {
                more |= n.turn(now, !self.events_wait, &mut self.kernel, &mut self.log)?;
                // For the same reason as with a flush.
                if n.commit.is_running() && !self.events_wait {
                    let outcome = n.commit_turn(now, &self.kernel, &mut self.log);
                    more |= n.commit.is_running();
                    self.committed(outcome)?;
                }
            }
        }
        if let Node::Sync(n) = &mut self.node {
            more |= n.transmit(now);
            n.settle_links(now, reactor, &mut self.log)?;
        }
        Ok(more)
    }

    pub(super) fn shown<'a>(node: &'a Node, now: Millis) -> ShownCaches<'a> {
        match node {
            Node::Sync(n) => ShownCaches {
                internal: &n.machine().caches().internal,
                machines: &n.machines,
                names: &n.names,
                now,
            },
            Node::Stats(s) => ShownCaches { internal: &s.store, machines: &[], names: &[], now },
        }
    }

    fn deadline(&self, now: Millis) -> Option<Millis> {
        let node = match &self.node {
            Node::Sync(n) if self.populating.is_none() => n.deadline(now),
            _ => None,
        };
        let server = self.server.as_ref().and_then(Server::deadline);
        let syslog = self.syslog_waits.then_some(now + SYSLOG_AGAIN_MS);
        let parts = [
            self.kernel.deadline(),
            self.systemd.deadline(),
            self.metrics.deadline(),
            self.reviews.deadline(),
        ];
        let ledger = self.losses.ledger.deadline();
        parts.into_iter().chain([node, server, syslog, ledger]).flatten().min()
    }

    /// Lets events and the peer's datagrams gather while they come fast, if the buffers can hold them.
    fn rest(&mut self, now: Instant) {
        let (events, hold) = match self.kernel.events() {
            Some(events) => (events.received(), self.kernel.buffer() >= pace::ROOM && !self.events_wait),
            None => (0, true),
        };
        let due = match &self.node {
            Node::Sync(n) => {
                let links = &n.links;
                self.rest.due(now, events, links.received(), || links.all.iter().all(|l| l.holds(rest::ROOM)))
            }
            Node::Stats(_) => self.rest.due(now, events, 0, || true),
        };
        if let Some(rest) = due.filter(|_| hold) {
            std::thread::sleep(rest);
        }
    }

    fn signals_ready(&mut self, reactor: &mut Reactor) -> Result<Turn, Error> {
        while let Some(signal) = self.signals.pending()? {
            match signal {
                signals::SIGHUP => self.reload(reactor),
                signals::SIGUSR1 => self.reopen_logs(),
                _ => self.stop(reactor),
            }
        }
        Ok(Turn::Drained)
    }
}

impl Handler for Daemon {
    fn ready(&mut self, token: Token, reactor: &mut Reactor) -> Result<Turn, Error> {
        let links = match &self.node {
            Node::Sync(n) => token::LINKS..token::LINKS + n.links.tokens(),
            Node::Stats(_) => 0..0,
        };
        let control = token::CONTROL..token::CONTROL + Server::TOKENS;
        let metrics = token::METRICS..token::METRICS + metrics::server::MetricsServer::TOKENS;
        let now = self.now();
        match token.0 {
            token::SIGNALS => self.signals_ready(reactor),
            token::EVENTS => self.events_ready(),
            token::HELPERS => {
                self.helpers.ready(reactor, &mut self.log);
                Ok(Turn::Drained)
            }
            // The dump is looked at at the end of every turn.
            token::DUMP => Ok(Turn::Drained),
            t if control.contains(&t) => self.control_ready(t, now, reactor),
            t if metrics.contains(&t) => Ok(self.metrics.server.ready(t, now, reactor)),
            t if links.contains(&t) => {
                let Node::Sync(n) = &mut self.node else { return Ok(Turn::Drained) };
                if t == links.start {
                    return n.interfaces_ready();
                }
                let budget = self.config.general.event_iteration_limit as usize;
                n.link_ready(t, now, budget, reactor)
            }
            _ => Ok(Turn::Drained),
        }
    }

    /// The only timer is the one that causes the first turn: [`Handler::settle`] says when to wake up.
    fn timer(&mut self, _: Token, _: Instant, _: &mut Reactor) -> Result<(), Error> {
        Ok(())
    }

    fn settle(&mut self, instant: Instant, reactor: &mut Reactor) -> Result<Option<Instant>, Error> {
        let now = self.millis(instant);
        let mut more = self.work(now, reactor)?;
        self.keep_ledger(now);
        self.answer_conditions(now);
        if let Some(server) = &mut self.server {
            server.accept_waiting(now, reactor)?;
            if server.take_shortage() {
                self.log.warning("descriptors are short: control clients have to wait");
            }
            more |= server.settle(&Daemon::shown(&self.node, now));
        }
        self.settle_metrics(now, reactor);
        self.helpers.turn(instant, reactor, &mut self.log);
        self.syslog_waits |= self.log.flush();
        self.systemd.settle(now);
        if more {
            return Ok(Some(instant));
        }
        self.rest(instant);
        let own = self.deadline(now).map(|at| self.epoch + Duration::from_millis(at));
        Ok([own, self.helpers.deadline()].into_iter().flatten().min())
    }
}
