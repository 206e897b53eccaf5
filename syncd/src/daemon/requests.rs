//! Carries out the requests of control clients (conntrackd.md §2, §3).
//!
//! A client is answered when what it asked for is done. The original does the same, if only because it does
//! everything at once, and scripts rely on it. Requests that have no meaning in the current mode are not
//! mistakes: the original ignores them with exit status 0, and its script sends some of them in every mode.

use crate::control::listings::KernelListing;
use crate::control::request::{self, Listing, Request, Shape, Statistics, WhichCache, code};
use crate::control::selection::Selection;
use crate::control::server::{Asked, ClientId, Reply};
use crate::control::statistics;
use crate::daemon::state::{Daemon, Node, token};
use crate::daemon::waiting::Waiter;
use crate::kernel::Why;
use crate::kernel::commit::{Chosen, Entries, Outcome};
use crate::peer::{Machine, Millis};
use crate::status::{json, text};
use std::time::Instant;
use zct_engine::{Error, Reactor, SystemZone, Token, Turn};

/// What to answer at once; `None` when the answer comes later. A failure is the text that the client prints.
type Immediate = Option<Result<Reply, String>>;

impl Daemon {
    /// The control socket or a client's connection is ready.
    pub(super) fn control_ready(
        &mut self,
        token: usize,
        now: Millis,
        reactor: &mut Reactor,
    ) -> Result<Turn, Error> {
        let Some(server) = &mut self.server else { return Ok(Turn::Drained) };
        let (turn, asked) = server.ready(token, now, reactor)?;
        match asked {
            None => {}
            Some((_, Asked::Short)) => self.runtime.read_failed += 1,
            Some((client, Asked::Unknown)) => {
                self.runtime.unknown_request += 1;
                self.reply(client, Reply::Close);
            }
            Some((client, Asked::Ended)) => self.client_ended(client),
            Some((client, Asked::Known { request, status, selection }))
                if self.populating.is_some() && !request.is_served_early() =>
            {
                self.waiting.come_early((client, status), request, selection);
            }
            Some((client, Asked::Known { request, status, selection })) => {
                if let Some(answer) = self.serve(request, selection, (client, status), now, reactor) {
                    self.answer((client, status), answer);
                }
            }
        }
        Ok(turn)
    }

    /// Serves what was asked for before the first dump was complete.
    pub(super) fn serve_early(&mut self, now: Millis, reactor: &mut Reactor) {
        for (client, request, selection) in self.waiting.take_early() {
            if let Some(answer) = self.serve(request, selection, client, now, reactor) {
                self.answer(client, answer);
            }
        }
    }

    pub(super) fn reply(&mut self, client: ClientId, reply: Reply) {
        if let Some(server) = &mut self.server {
            server.reply(client, reply);
        }
    }

    fn answer(&mut self, (client, status): Waiter, answer: Result<Reply, String>) {
        let reply = match answer {
            Ok(Reply::Close) if status => Reply::Text(request::ok()),
            Ok(reply) => reply,
            Err(why) if status => Reply::Text(request::failed(&why)),
            Err(_) => Reply::Close,
        };
        self.reply(client, reply);
    }

    fn serve(
        &mut self,
        request: Request,
        selection: Selection,
        client: Waiter,
        now: Millis,
        reactor: &mut Reactor,
    ) -> Immediate {
        let done = Some(Ok(Reply::Close));
        match request {
            Request::Stop => {
                self.waiting.stop.push(client);
                self.stop(reactor);
                None
            }
            Request::FlushKernel(entries) => self.flush_kernel(entries, client),
            Request::Refill(entries) => self.refill(entries, client),
            Request::List(listing) => Some(self.list(listing, selection, client.1)),
            Request::Statistics(what) => Some(Ok(Reply::Text(self.statistics(what, now)))),
            Request::Status(shape, ledger) => Some(Ok(Reply::Text(self.told_status(shape, ledger, now)))),
            Request::Wait(condition) => self.wait(condition, client.0, now).map(Ok),
            Request::Check(condition) => Some(Ok(self.checked(condition, now))),
            Request::FlushCache(cache) => Some(self.flush_cache(cache, reactor)),
            Request::FlushFlowCaches => Some(self.flush_cache(WhichCache::Both, reactor)),
            Request::Commit(entries) => self.commit(entries, selection, client),
            Request::Bulk => {
                if let Node::Sync(n) = &mut self.node {
                    n.send_bulk();
                }
                done
            }
            Request::Resync => {
                if let Node::Sync(n) = &mut self.node {
                    n.machines.iter_mut().for_each(|m| m.request_resync(now));
                }
                done
            }
            Request::Purge => {
                self.takeover.gives_way();
                if let Node::Sync(n) = &mut self.node {
                    let begun = n.machines.iter_mut().map(|m| m.purge(now)).fold(None, Option::or);
                    if let Some(s) = begun {
                        self.log.notice(&format!("flushing conntrack table in {s} secs"));
                    }
                }
                done
            }
        }
    }

    fn has_expectations(&self) -> bool {
        matches!(&self.node, Node::Sync(n) if n.has_expectations())
    }

    /// `-F`: deletes the kernel's entries.
    fn flush_kernel(&mut self, entries: Entries, client: Waiter) -> Immediate {
        if entries != Entries::Flows && self.has_expectations() {
            self.log.notice("flushing kernel expect table");
            if let Err(e) = self.flush.expectations() {
                let why = format!("can't flush the kernel expect table: {e}");
                self.log.error(&why);
                return Some(Err(why));
            }
        }
        if entries == Entries::Expects {
            return Some(Ok(Reply::Close));
        }
        self.log.notice("flushing kernel conntrack table");
        match self.flush.begin() {
            Ok(begun) => {
                // A client that asks during a flush waits for the end of that one.
                self.kernel.counters_mut().flushes += u64::from(begun);
                self.waiting.flush.push(client);
                None
            }
            Err(e) => {
                let why = format!("can't flush the kernel conntrack table: {e}");
                self.log.error(&why);
                Some(Err(why))
            }
        }
    }

    /// A flush of the kernel's table has ended.
    pub(super) fn flushed(&mut self, result: Result<(), String>) {
        for client in std::mem::take(&mut self.waiting.flush) {
            self.answer(client, result.clone().map(|()| Reply::Close));
        }
    }

    /// `-R`: fills the internal cache from the kernel.
    fn refill(&mut self, entries: Entries, client: Waiter) -> Immediate {
        if matches!(&self.node, Node::Sync(n) if n.mode().disables_internal_cache()) {
            self.log.notice("resync is unsupported in this mode");
            return Some(Ok(Reply::Close));
        }
        let expects = entries != Entries::Flows && self.has_expectations();
        // A dump that catches up with a commit reads the same, and it has not begun before the last `-f`.
        let under_way = self.is_catching_up();
        if entries != Entries::Expects {
            self.log.notice("resync with master conntrack table");
            if !under_way {
                self.kernel.want_flows(Why::Populate);
            }
        }
        if expects {
            self.log.notice("resync with master expect table");
            if !under_way {
                self.kernel.want_expects(Why::Populate);
            }
        }
        if entries == Entries::Expects && !expects {
            return Some(Ok(Reply::Close));
        }
        self.waiting.refill.push(client);
        None
    }

    /// The dump for `-R` has ended.
    pub(super) fn refilled(&mut self, result: Result<(), String>) {
        for client in std::mem::take(&mut self.waiting.refill) {
            self.answer(client, result.clone().map(|()| Reply::Close));
        }
    }

    /// `-i`, `-e`: lists a cache.
    fn list(&mut self, listing: Listing, selection: Selection, status: bool) -> Result<Reply, String> {
        let peer = self.selected(&selection)?;
        match &self.node {
            Node::Stats(_) if listing.external || listing.expects => Ok(Reply::Close),
            Node::Sync(n) if !listing.external && n.mode().disables_internal_cache() => {
                KernelListing::begin(listing).map(Reply::Kernel).map_err(|e| {
                    let why = format!("can't dump the kernel's table: {e}");
                    self.log.error(&why);
                    why
                })
            }
            Node::Sync(n) => {
                let peers = peer.map_or(0..n.machines.len(), |at| at..at + 1);
                let text = if status { request::ok() } else { String::new() };
                Ok(Reply::List(listing, peers, text))
            }
            Node::Stats(_) => Ok(Reply::List(listing, 0..0, String::new())),
        }
    }

    /// `-f`: empties caches. The kernel's table is left alone. The original deletes it where there is no
    /// internal cache, and with it, in the original's own fail-over script, what the preceding commit has
    /// just restored.
    fn flush_cache(&mut self, cache: WhichCache, reactor: &mut Reactor) -> Result<Reply, String> {
        let now = self.now();
        let n = match &mut self.node {
            Node::Sync(n) => n,
            Node::Stats(s) => {
                if cache == WhichCache::Internal {
                    self.log.notice("flushing caches");
                    s.clear();
                }
                return Ok(Reply::Close);
            }
        };
        if cache != WhichCache::Internal && n.commit.is_running() {
            let why = "ignoring flush command, commit still in progress";
            self.log.error(why);
            return Err(why.into());
        }
        self.log.notice(match cache {
            WhichCache::Internal => "flushing internal cache",
            WhichCache::External => "flushing external cache",
            WhichCache::Both => "flushing caches",
        });
        if cache != WhichCache::External {
            n.machines.iter_mut().for_each(|m| m.flush_internal(now));
        }
        if cache != WhichCache::Internal {
            n.machines.iter_mut().for_each(Machine::flush_external);
        }
        if n.catch_up.forgotten() {
            let begun = self.begin_to_catch_up(reactor);
            begun.map_err(|e| format!("can't dump the kernel's table: {e}"))?;
        }
        Ok(Reply::Close)
    }

    /// The number of the peer that a request is limited to, if it is.
    fn selected(&self, selection: &Selection) -> Result<Option<usize>, String> {
        let Some(word) = selection.node() else { return Ok(None) };
        let found = match &self.node {
            Node::Sync(n) => n.named(word),
            Node::Stats(_) => None,
        };
        found.map(Some).ok_or_else(|| format!("there is no Peer `{word}'"))
    }

    /// `-c`: puts the peers' entries into the kernel.
    fn commit(&mut self, entries: Entries, selection: Selection, client: Waiter) -> Immediate {
        let peer = match self.selected(&selection) {
            Ok(peer) => peer,
            Err(why) => return Some(Err(why)),
        };
        let chosen = Chosen { peer, zone: selection.zone };
        // Expectations do not say which zone they are in.
        let entries = if chosen.zone.is_some() { Entries::Flows } else { entries };
        let Node::Sync(n) = &mut self.node else { return Some(Ok(Reply::Close)) };
        n.machines.iter_mut().for_each(Machine::cancel_purge);
        if n.commit.is_running() {
            let why = "commit already in progress, skipping";
            self.log.error(why);
            return Some(Err(why.into()));
        }
        let expectations = n.has_expectations();
        let keeps_copy = !n.mode().disables_internal_cache();
        let deaf = entries != Entries::Expects && keeps_copy && self.kernel.listens();
        let meant = match peer {
            Some(at) => n.machines.get(at..=at).unwrap_or_default(),
            None => &n.machines[..],
        };
        if deaf && n.catch_up.is_worth_it(meant) {
            match self.kernel.hear_new(false) {
                Ok(()) => n.catch_up.begin(),
                Err(e) => self.log.warning(&format!("the commit has to listen to its own events: {e}")),
            }
        }
        n.commit.begin(entries, chosen, expectations, &n.machines, &mut self.log);
        self.takeover.commit_asked(Instant::now());
        self.waiting.commit = Some(client);
        None
    }

    /// A commit that did not listen to new flows has ended.
    fn listen_again(&mut self, outcome: &Result<Option<Outcome>, Error>) -> Result<(), Error> {
        let Node::Sync(n) = &mut self.node else { return Ok(()) };
        if !n.catch_up.is_deaf() {
            return Ok(());
        }
        // First, so that nothing falls between the dump and the next event.
        self.kernel.hear_new(true)?;
        n.catch_up.listening_again();
        if matches!(outcome, Ok(Some(o)) if o.contested > 0) {
            n.catch_up.forgotten();
        }
        self.kernel.want(Why::CatchUp);
        Ok(())
    }

    /// Begins the dump that catches up with a commit, or begins it again from the start.
    fn begin_to_catch_up(&mut self, reactor: &mut Reactor) -> Result<(), Error> {
        if self.kernel.give_up(Why::CatchUp)? {
            reactor.watch(self.kernel.dump_socket(), Token(token::DUMP))?;
        }
        self.kernel.want(Why::CatchUp);
        Ok(())
    }

    /// A turn of the commit has ended, perhaps the last one.
    pub(super) fn committed(&mut self, outcome: Result<Option<Outcome>, Error>) -> Result<(), Error> {
        match &outcome {
            Ok(None) => return Ok(()),
            Ok(Some(o)) => self.losses.committed(o),
            Err(_) => {}
        }
        self.listen_again(&outcome)?;
        self.takeover.commit_ended(outcome.is_ok(), self.now(), Instant::now());
        let result = match outcome {
            Ok(None) => return Ok(()),
            Ok(Some(o)) => match o.flows_failed + o.expects_failed {
                0 => Ok(Reply::Close),
                n => Err(format!("{n} entries can't be committed: the log has the reasons")),
            },
            Err(e) => {
                let why = format!("commit failed: {e}");
                self.log.error(&why);
                Err(why)
            }
        };
        if let Some(client) = self.waiting.commit.take() {
            self.answer(client, result);
        }
        Ok(())
    }

    /// `status`: a line with the verdict, and the whole in the shape that is asked for.
    fn told_status(&self, shape: Shape, ledger: bool, now: Millis) -> String {
        let mut status = self.status(now);
        status.ledger = ledger.then(|| self.ledger(now));
        let code = if status.is_in_sync() { code::YES } else { code::DEGRADED };
        let head = request::verdict(code, &text::verdict(&status.missing));
        let body = match shape {
            Shape::Text => text::write(&status, &SystemZone::default()),
            Shape::Json => json::write(&status),
        };
        head + &body
    }

    /// `-s`: the text of one of the statistics.
    fn statistics(&self, what: Statistics, now: Millis) -> String {
        let mut out = String::new();
        let runtime = &self.runtime;
        if what == Statistics::Runtime {
            statistics::runtime(&mut out, now / 1000, &self.kernel.counters(), self.kernel.buffer(), runtime);
            return out;
        }
        if what == Statistics::Helper {
            self.helpers.statistics(&mut out);
            return out;
        }
        match &self.node {
            Node::Sync(n) => {
                let (bytes, packets) = n.ended.traffic();
                let runtime = &statistics::Runtime { bytes, packets, ..*runtime };
                if what == Statistics::Protocol {
                    n.ended.report(&mut out, &n.machine().caches().internal, now);
                    return out;
                }
                for (machine, peer) in n.each() {
                    if let Some((name, node)) = &peer.who {
                        out += &format!("peer {name} (node {node}):\n");
                    }
                    let view = n.view(machine, peer);
                    match what {
                        Statistics::General => view.general(&mut out, runtime),
                        Statistics::Network => view.network(&mut out),
                        Statistics::Cache => view.cache(&mut out),
                        Statistics::Link => view.link(&mut out),
                        Statistics::ResendQueue => view.resend_queue(&mut out),
                        Statistics::Queue => view.queues(&mut out),
                        Statistics::Expect => view.expect(&mut out, runtime),
                        // `-s process` lists what the original forks, which is nothing; the others are
                        // handled above.
                        Statistics::Process
                        | Statistics::Runtime
                        | Statistics::Helper
                        | Statistics::Protocol => {}
                    }
                }
            }
            Node::Stats(s) => {
                let (bytes, packets) = s.ended.traffic();
                let runtime = statistics::Runtime { bytes, packets, ..*runtime };
                match what {
                    Statistics::Protocol => s.ended.report(&mut out, &s.store, now),
                    Statistics::General => {
                        statistics::stats_mode(&mut out, s.stats, s.store.counts(), &runtime);
                    }
                    Statistics::Cache => statistics::stats_mode_cache(&mut out, s.stats, s.store.counts()),
                    _ => {}
                }
            }
        }
        out
    }
}
