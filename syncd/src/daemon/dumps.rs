//! The life of the daemon's dumps: the first one, which makes it ready, those that compare the caches with
//! the kernel, and those that a client or the peer asks for.

use crate::daemon::catch_up::Failed;
use crate::daemon::room::Step;
use crate::daemon::state::{Comparison, Daemon, Node};
use crate::daemon::stats_node::StatsTaker;
use crate::host::log::Log;
use crate::kernel::{Stepped, Why};
use crate::peer::{Machine, Millis};
use crate::status::ledger::How;
use zct_engine::{Error, Reactor, Turn};

/// How often a first dump that failed is begun again before the daemon starts with what it has.
const POPULATE_ATTEMPTS: u32 = 5;

impl Daemon {
    /// Begins to compare the caches with the kernel if that is due and no other dump is under way.
    pub(super) fn compare(&mut self, now: Millis) {
        if self.populating.is_none() && self.kernel.resync_is_due(now) {
            self.want_comparison(now);
        }
        if self.comparison != Comparison::Wanted || self.kernel.is_dumping() {
            return;
        }
        self.kernel.counters_mut().resyncs += 1;
        self.losses.comparison_begins(now);
        match &mut self.node {
            // No copy is kept, so everything is sent again.
            Node::Sync(n) if n.mode().disables_internal_cache() => {
                self.comparison = Comparison::None;
                self.kernel.want(Why::Bulk);
                return;
            }
            Node::Sync(n) => n.machines.iter_mut().for_each(Machine::begin_kernel_resync),
            Node::Stats(s) => s.begin_resync(),
        }
        self.comparison = Comparison::Running;
        self.kernel.want(Why::Resync);
    }

    pub(super) fn want_comparison(&mut self, now: Millis) {
        match self.comparison {
            Comparison::None => self.comparison = Comparison::Wanted,
            Comparison::Wanted => {}
            // What has just been lost may lie before the point that this dump has reached.
            Comparison::Running => self.kernel.resync_later(now),
        }
    }

    /// Gets the flows for which a cache had no room, once it has: the kernel's by a comparison, those of a
    /// peer by asking it for them.
    pub(super) fn look_for_room(&mut self, now: Millis) {
        let Daemon { room, node, log, losses, .. } = self;
        let own = match node {
            Node::Stats(s) => room.of(now, &s.store, s.stats.no_space),
            Node::Sync(n) => {
                let (caches, stats) = (n.machine().caches(), n.machine().stats());
                room.of(now, &caches.internal, stats.internal.no_space + stats.internal_expect.no_space)
            }
        };
        say_room(own, "the kernel", log);
        if let Node::Sync(n) = node {
            for (at, (machine, peer)) in n.machines.iter_mut().zip(&mut n.peers).enumerate() {
                let stats = machine.stats();
                let refused = stats.external.no_space + stats.external_expect.no_space;
                let step = peer.room.of(now, &machine.caches().external, refused);
                say_room(step, peer.name().unwrap_or("the other node"), log);
                if step == Step::Repair {
                    machine.request_resync(now);
                    losses.resync_begins(now, at);
                }
            }
        }
        if own == Step::Repair {
            self.want_comparison(now);
        }
    }

    /// Continues the dump under way. True when there is more to do at once.
    pub(super) fn dump(&mut self, now: Millis, reactor: &mut Reactor) -> Result<bool, Error> {
        // A dump that is sent on as it arrives has to wait until there is room for it.
        if matches!(&self.node, Node::Sync(n) if n.machines.iter().any(Machine::bypass_is_full)) {
            return Ok(false);
        }
        if matches!(&self.node, Node::Sync(n) if n.catch_up.drains()) {
            if self.events_ready()? == Turn::More {
                return Ok(true);
            }
            if let Node::Sync(n) = &mut self.node {
                n.catch_up.drained();
            }
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
            // Those who wait for a dump may wait for this one too, and all of them can wait for the later
            // one.
            Ok(Stepped::Done(Why::Populate)) if self.is_catching_up() => {}
            Ok(Stepped::Done(Why::Populate)) => self.refilled(Ok(())),
            Ok(Stepped::Done(Why::CatchUp)) => self.caught_up(),
            Ok(Stepped::Done(Why::Bulk)) => self.losses.comparison_ends(Some(How::Bulk)),
            Ok(Stepped::Done(Why::Resync)) => {
                self.comparison = Comparison::None;
                self.losses.comparison_ends(Some(How::Comparison));
                match &mut self.node {
                    Node::Sync(n) => n.end_kernel_resync(),
                    Node::Stats(s) => s.end_resync(),
                }
            }
            Ok(Stepped::Failed(Why::Populate)) if self.populating.is_some() => {
                self.populate_again(reactor)?
            }
            Ok(Stepped::Failed(Why::CatchUp)) => self.catch_up_failed(now, "it was interrupted"),
            Ok(Stepped::Failed(why)) => self.dump_failed(why, now, "it was interrupted"),
            Err(e) if self.populating.is_some() => return Err(e),
            Err(e) => self.no_dump(now, &e.to_string()),
        }
        Ok(true)
    }

    /// None of the dumps that were asked for could be begun; a single comparison makes up for all of them.
    fn no_dump(&mut self, now: Millis, reason: &str) {
        if self.is_catching_up() {
            self.catch_up_failed(now, reason);
        } else {
            let why = if self.waiting.is_refilling() { Why::Populate } else { Why::Resync };
            self.dump_failed(why, now, reason);
        }
        // Also of those that were asked for because of something else: what runs for ever is never begun again.
        self.comparison_failed(now);
    }

    fn dump_failed(&mut self, why: Why, now: Millis, reason: &str) {
        self.log.warning(&format!("a dump of the kernel's table failed: {reason}"));
        self.losses.dumps += 1;
        if why == Why::Populate {
            return self.refilled(Err(format!("the kernel's table could not be read whole: {reason}")));
        }
        self.comparison_failed(now);
    }

    fn comparison_failed(&mut self, now: Millis) {
        self.comparison = Comparison::None;
        self.losses.comparison_ends(None);
        self.kernel.resync_later(now);
    }

    /// True while a dump makes up for a commit that did not listen to new flows.
    pub(super) fn is_catching_up(&self) -> bool {
        matches!(&self.node, Node::Sync(n) if n.catch_up.is_dumping())
    }

    /// Everything that a commit did not listen to is known.
    fn caught_up(&mut self) {
        if let Node::Sync(n) = &mut self.node {
            if n.catch_up.done() {
                n.send_bulk();
            }
        }
        self.refilled(Ok(()));
    }

    fn catch_up_failed(&mut self, now: Millis, reason: &str) {
        let Node::Sync(n) = &mut self.node else { return };
        match n.catch_up.failed() {
            Failed::Again => self.kernel.want(Why::CatchUp),
            Failed::Later => {
                self.dump_failed(Why::CatchUp, now, reason);
                if self.waiting.is_refilling() {
                    self.refilled(Err(format!("the kernel's table could not be read whole: {reason}")));
                }
            }
        }
    }

    fn populate_again(&mut self, reactor: &mut Reactor) -> Result<(), Error> {
        let begun = self.populating.unwrap_or(0);
        if begun < POPULATE_ATTEMPTS {
            self.populating = Some(begun + 1);
            self.kernel.want(Why::Populate);
            return Ok(());
        }
        self.log.warning("the kernel's table could not be read whole; it will be compared again");
        self.losses.dumps += 1;
        let now = self.now();
        self.kernel.resync_later(now);
        self.populated(reactor)
    }

    /// The first dump is complete, so the daemon is ready.
    fn populated(&mut self, reactor: &mut Reactor) -> Result<(), Error> {
        self.populating = None;
        self.log.notice("initialization completed");
        if let Node::Sync(n) = &mut self.node {
            n.links.watch(reactor)?;
        }
        let mode = if self.background.is_some() { "daemon" } else { "console" };
        self.log.notice(&format!("-- starting in {mode} mode --"));
        if let Some(child) = self.background.take() {
            self.log.leave_console();
            child.ready()?;
        }
        self.systemd.ready();
        let now = self.now();
        self.serve_early(now, reactor);
        Ok(())
    }
}

/// Tells that flows are left out, or no longer.
fn say_room(step: Step, whose: &str, log: &mut Log) {
    match step {
        Step::Nothing => {}
        Step::Tell => log.warning(&format!("HashLimit is reached: flows of {whose} are left out")),
        Step::Repair => {
            log.notice(&format!("there is room again for flows of {whose} that were left out"));
        }
    }
}
