//! `-c`: puts the peer's flows and expectations into the kernel (conntrackd.md §7).
//!
//! Flows without a master come first, then those with one, then expectations, so that each finds what it
//! depends on. A turn handles a bounded number, in batches, and only after the events of the last ones have
//! been taken. The original does not wait for those, so its own events overflow its socket.

use crate::host::log::{Level, Log};
use crate::kernel::claims;
use crate::kernel::restore::{self, Without};
use crate::peer::{Machine, Millis};
use crate::store::{Cursor, Meta};
use crate::text::{LINE_MAX, Row, expect_line};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};
use zct_engine::{Answer, Batch, Error, errno, errno_text};
use zct_wire::peer::{Expect, Flow};
use zct_wire::text::Out;

/// The most flows that one turn may put into the kernel.
const FLOWS_A_TURN: usize = 1024;
/// Flows in one batch; replacing a flow takes two requests.
const BATCH: usize = zct_engine::batch::BATCH_MAX;
/// Refused flows per cause that the log names; the rest are counted.
const NAMED: u64 = 10;

/// Which entries a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// `ct`: only flows.
    Flows,
    /// `expect`: only expectations.
    Expects,
    /// Both, if the client names neither.
    All,
}

/// Of which entries, where not all of them are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Those of the peer with this number.
    pub peer: Option<usize>,
    /// Flows in this zone.
    pub zone: Option<u16>,
}

impl Chosen {
    fn takes(&self, flow: &Flow) -> bool {
        let zone = || flow.zone.or(flow.orig.zone).or(flow.reply_zone).unwrap_or(0);
        self.zone.is_none_or(|wanted| wanted == zone())
    }
}

/// The result of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Flows that were created, including replaced ones.
    pub flows: u64,
    /// Flows that the kernel refused.
    pub flows_failed: u64,
    /// Expectations that were created.
    pub expects: u64,
    /// Expectations that the kernel refused.
    pub expects_failed: u64,
    /// Flows among the refused that traffic made anew while they were being replaced.
    pub contested: u64,
    /// Flows that were left out because another node has a better claim to them.
    pub conflicts: u64,
}

/// How far the commit under way is, or what the last one has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitProgress {
    /// Entries when it began, all kinds together.
    pub total: u64,
    /// What has been done of them.
    pub outcome: Outcome,
    /// How long it has taken until now, or took.
    pub took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Masters(usize, Cursor),
    Children(usize, Cursor),
    Expects(usize, u32),
}

#[derive(Debug)]
struct Run {
    what: Entries,
    /// The numbers of the peers whose entries are meant.
    peers: Range<usize>,
    chosen: Chosen,
    /// Expectations are replicated, so the summary mentions them.
    expectations: bool,
    phase: Phase,
    /// Entries when it began.
    total: u64,
    started: Instant,
    outcome: Outcome,
    /// The number of refusals by errno.
    causes: BTreeMap<i32, u64>,
}

impl Run {
    fn progress(&self) -> CommitProgress {
        CommitProgress { total: self.total, outcome: self.outcome, took: self.started.elapsed() }
    }
}

/// A flow that is to be created.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    flow: Flow,
    timeout_s: u32,
    without: Without,
    /// Delete first what is in the way.
    replace: bool,
}

impl Attempt {
    /// What to try after the kernel has refused this attempt; `None` when nothing is left to try.
    ///
    /// A flow that exists is replaced. One whose master has ended, or whose helper this node does not have,
    /// is created without it, which the original does not try.
    fn after(self, errno: i32) -> Option<Attempt> {
        let Attempt { flow, without, .. } = self;
        match errno {
            errno::EEXIST if !self.replace => Some(Attempt { replace: true, ..self }),
            errno::ENOENT if flow.master.is_some() && !without.master => {
                Some(Attempt { without: Without { master: true, ..without }, ..self })
            }
            errno::EOPNOTSUPP if flow.helper.is_some() && !without.helper => {
                Some(Attempt { without: Without { helper: true, ..without }, ..self })
            }
            _ => None,
        }
    }
}

/// The socket, and the commit under way, if there is one.
#[derive(Debug)]
pub struct Commit {
    batch: Batch,
    run: Option<Run>,
    /// What the last commit came to.
    last: Option<CommitProgress>,
    /// Commits that were completed.
    completed: u64,
    /// Entries left out of all of them because another node has a better claim.
    conflicts: u64,
    /// Flows of the batch that is being collected.
    flows: Vec<Attempt>,
    expects: Vec<Expect>,
}

/// Where errors are reported.
struct ErrorReport<'a> {
    log: &'a mut Log,
    causes: &'a mut BTreeMap<i32, u64>,
}

impl ErrorReport<'_> {
    fn refused(&mut self, what: &str, errno: i32, line: impl FnOnce(&mut Out<'_>)) {
        let count = self.causes.entry(errno).or_default();
        *count += 1;
        if *count <= NAMED {
            let mut buf = [0; LINE_MAX];
            let mut out = Out::new(&mut buf);
            line(&mut out);
            self.log.error(&format!("{what}: {}", errno_text(errno)));
            self.log.flow(Level::Error, out.written());
        }
    }

    fn flow(&mut self, what: &str, errno: i32, flow: &Flow) {
        self.refused(what, errno, |out| Row::peer(flow).line(out));
    }
}

/// Sends a batch and collects the errno of each request that was refused.
fn send(batch: &mut Batch, refused: &mut Vec<(usize, i32)>) -> Result<(), Error> {
    refused.clear();
    batch.send(&mut |at, answer| {
        if let Answer::Refused(e) = answer {
            refused.push((at, e.errno().unwrap_or(errno::EIO)));
        }
    })
}

impl Commit {
    /// Opens the socket; its port identifies the events that we cause ourselves.
    pub fn open() -> Result<Commit, Error> {
        Ok(Commit {
            batch: Batch::open()?,
            run: None,
            last: None,
            completed: 0,
            conflicts: 0,
            flows: Vec::new(),
            expects: Vec::new(),
        })
    }

    /// The socket's netlink port.
    pub fn port(&self) -> u32 {
        self.batch.socket().port()
    }

    /// True while a commit is under way.
    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// How far the commit under way is; without one, what the last one came to.
    pub fn progress(&self) -> Option<CommitProgress> {
        let running = self.run.as_ref().map(Run::progress);
        running.or(self.last)
    }

    /// What the last commit that was completed came to.
    pub fn last(&self) -> Option<CommitProgress> {
        self.last
    }

    /// How many commits were completed.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// How many entries were left out of all commits because another node has a better claim to them.
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Begins; returns false if a commit is under way already. `expectations` is ExpectationSync, and `chosen`
    /// says whose entries are meant.
    pub fn begin(
        &mut self,
        what: Entries,
        chosen: Chosen,
        expectations: bool,
        machines: &[Machine],
        log: &mut Log,
    ) -> bool {
        if self.run.is_some() {
            return false;
        }
        log.notice(match what {
            Entries::Flows => "committing conntrack cache",
            Entries::Expects => "committing expectation cache",
            Entries::All => "committing all external caches",
        });
        let peers = chosen.peer.map_or(0..machines.len(), |at| at..at + 1);
        let phase = match what {
            Entries::Expects => Phase::Expects(peers.start, 0),
            _ => Phase::Masters(peers.start, Cursor::default()),
        };
        let all = || machines.get(peers.clone()).unwrap_or_default().iter().map(Machine::caches);
        let flows: usize = all().map(|c| c.external.counts().flows).sum();
        let expects: usize = all().map(|c| c.external_expect.len()).sum();
        let total = match what {
            Entries::Flows => flows,
            Entries::Expects => expects,
            Entries::All => flows + expects,
        } as u64;
        let (started, outcome, causes) = (Instant::now(), Outcome::default(), BTreeMap::new());
        self.run = Some(Run { what, peers, chosen, expectations, phase, total, started, outcome, causes });
        true
    }

    /// One turn; returns the outcome if it was the last. `flows` is how many flows may be made before the
    /// event socket is full.
    ///
    /// # Errors
    /// A failed system call ends the commit.
    pub fn step(
        &mut self,
        now: Millis,
        flows: usize,
        machines: &[Machine],
        log: &mut Log,
    ) -> Result<Option<Outcome>, Error> {
        let Some(mut run) = self.run.take() else { return Ok(None) };
        let Some(config) = machines.first().map(Machine::config) else { return Ok(None) };
        let now_s = (now / 1000) as u32;
        let age = |meta: Option<Meta>| now_s.saturating_sub(meta.map_or(now_s, |m| m.id_or_heard_s));
        let mut left = FLOWS_A_TURN.min(flows).max(BATCH / 2);
        let tracking = config.tcp_window_tracking;
        let timeout = |flow: &Flow, meta| config.commit_timeout_for(flow.timeout_s, age(meta));
        while left > 0 {
            match run.phase {
                Phase::Masters(at, mut cursor) | Phase::Children(at, mut cursor) => {
                    let children = matches!(run.phase, Phase::Children(..));
                    let of = |at, cursor| match children {
                        false => Phase::Masters(at, cursor),
                        true => Phase::Children(at, cursor),
                    };
                    let store = machines.get(at).map(|m| &m.caches().external);
                    let id = store.and_then(|s| s.walk(&mut cursor));
                    run.phase = of(at, cursor);
                    let found = store.zip(id).and_then(|(s, id)| Some((s.flow(id)?, s.meta(id))));
                    let wanted = |(f, _): &(Flow, _)| f.master.is_some() == children && run.chosen.takes(f);
                    if let Some((flow, meta)) = found.filter(wanted) {
                        if claims::is_anothers(&flow, meta.unwrap_or_default(), at, machines) {
                            run.outcome.conflicts += 1;
                        } else {
                            let (timeout_s, without) = (timeout(&flow, meta), Without::default());
                            self.flows.push(Attempt { flow, timeout_s, without, replace: false });
                        }
                        left -= 1;
                    }
                    let next = id.is_none().then_some(at + 1).filter(|next| run.peers.contains(next));
                    if let Some(next) = next {
                        run.phase = of(next, Cursor::default());
                    }
                    let over = id.is_none() && next.is_none();
                    if self.flows.len() == BATCH || over {
                        self.send_flows(&mut run, tracking, log)?;
                    }
                    if over {
                        let first = run.peers.start;
                        run.phase = match (children, run.what) {
                            (false, _) => Phase::Children(first, Cursor::default()),
                            (true, Entries::All) => Phase::Expects(first, 0),
                            (true, _) => return Ok(Some(self.finish(run, log))),
                        };
                    }
                }
                Phase::Expects(at, mut cursor) => {
                    let store = machines.get(at).map(|m| &m.caches().external_expect);
                    let id = store.and_then(|s| s.walk(&mut cursor));
                    run.phase = Phase::Expects(at, cursor);
                    if let Some(e) = store.zip(id).and_then(|(s, id)| s.get(id)) {
                        self.expects.push(*e);
                        left -= 1;
                    }
                    let next = id.is_none().then_some(at + 1).filter(|next| run.peers.contains(next));
                    if let Some(next) = next {
                        run.phase = Phase::Expects(next, 0);
                    }
                    let over = id.is_none() && next.is_none();
                    if self.expects.len() == BATCH || over {
                        self.send_expects(&mut run, log)?;
                    }
                    if over {
                        return Ok(Some(self.finish(run, log)));
                    }
                }
            }
        }
        // What has been collected stays for the next turn.
        self.run = Some(run);
        Ok(None)
    }

    fn finish(&mut self, run: Run, log: &mut Log) -> Outcome {
        let mut progress = run.progress();
        if run.chosen.zone.is_some() {
            // How many there are in a zone is known only now.
            let o = &run.outcome;
            progress.total = o.flows + o.flows_failed + o.expects + o.expects_failed + o.conflicts;
        }
        self.last = Some(progress);
        self.completed += 1;
        self.conflicts += run.outcome.conflicts;
        summarize(&run, progress.took, log);
        run.outcome
    }

    /// Creates the collected flows, in up to four attempts each.
    fn send_flows(&mut self, run: &mut Run, tracking: bool, log: &mut Log) -> Result<(), Error> {
        let mut report = ErrorReport { log, causes: &mut run.causes };
        let mut attempts = std::mem::take(&mut self.flows);
        let all = attempts.len() as u64;
        let (mut failed, mut refused) = (0, Vec::new());
        while !attempts.is_empty() {
            self.make(&attempts, tracking, &mut refused)?;
            let tried = std::mem::take(&mut attempts);
            for (at, errno) in &refused {
                let Some(attempt) = tried.get(*at) else { continue };
                match attempt.after(*errno) {
                    Some(next) => attempts.push(next),
                    None => {
                        failed += 1;
                        run.outcome.contested += u64::from(*errno == errno::EEXIST);
                        report.flow("commit-create", *errno, &attempt.flow);
                    }
                }
            }
        }
        run.outcome.flows += all - failed;
        run.outcome.flows_failed += failed;
        Ok(())
    }

    /// Creates flows; `refused` gets those that the kernel refused, with the errno.
    fn make(
        &mut self,
        attempts: &[Attempt],
        tracking: bool,
        refused: &mut Vec<(usize, i32)>,
    ) -> Result<(), Error> {
        refused.clear();
        let (mut answers, mut sent) = (Vec::new(), Vec::new());
        let mut rest = attempts.iter().enumerate().peekable();
        while rest.peek().is_some() {
            sent.clear();
            while let Some((at, a)) = rest.next_if(|_| sent.len() + 2 <= BATCH && !self.batch.is_full()) {
                let Some(new) = restore::new_flow(&a.flow, a.timeout_s, tracking, a.without) else {
                    refused.push((at, errno::EINVAL));
                    continue;
                };
                if let Some(key) = restore::flow_key(&a.flow).filter(|_| a.replace) {
                    self.batch.add(|buf, seq| restore::delete(buf, seq, &key, &a.flow))?;
                    sent.push(None);
                }
                self.batch.add(|buf, seq| restore::create(buf, seq, &new))?;
                sent.push(Some(at));
            }
            send(&mut self.batch, &mut answers)?;
            // A delete that found nothing is as good as one that did: the create will tell.
            let creates =
                answers.iter().filter_map(|(i, e)| sent.get(*i).copied().flatten().map(|at| (at, *e)));
            refused.extend(creates);
        }
        Ok(())
    }

    fn send_expects(&mut self, run: &mut Run, log: &mut Log) -> Result<(), Error> {
        let mut report = ErrorReport { log, causes: &mut run.causes };
        let mut refused = Vec::new();
        let mut todo = std::mem::take(&mut self.expects);
        let (all, mut failed) = (todo.len() as u64, 0);
        for second in [false, true] {
            let mut sent = Vec::new();
            let mut again = Vec::new();
            for chunk in todo.chunks(BATCH / 2) {
                sent.clear();
                for (at, e) in chunk.iter().enumerate() {
                    if let Some(key) = restore::expect_key(e).filter(|_| second) {
                        self.batch.add(|buf, seq| restore::delete_expect(buf, seq, &key))?;
                        sent.push(None);
                    }
                    // An expectation without addresses is never stored.
                    let Some(new) = restore::new_expect(e) else { continue };
                    self.batch.add(|buf, seq| restore::create_expect(buf, seq, &new))?;
                    sent.push(Some(at));
                }
                send(&mut self.batch, &mut refused)?;
                for (index, errno) in &refused {
                    let Some(e) = sent.get(*index).copied().flatten().and_then(|at| chunk.get(at)) else {
                        continue;
                    };
                    if *errno == errno::EEXIST && !second {
                        again.push(*e);
                        continue;
                    }
                    failed += 1;
                    report.refused("commit-create", *errno, |out| expect_line(out, e));
                }
            }
            todo = again;
        }
        run.outcome.expects += all - failed;
        run.outcome.expects_failed += failed;
        Ok(())
    }
}

/// Writes the summary to the log.
fn summarize(run: &Run, took: Duration, log: &mut Log) {
    let o = &run.outcome;
    if run.what != Entries::Expects {
        log.notice(&format!("Committed {} new entries", o.flows));
        if o.flows_failed > 0 {
            log.notice(&format!("{} entries can't be committed", o.flows_failed));
        }
    }
    if run.what == Entries::Expects || run.what == Entries::All && run.expectations {
        log.notice(&format!("Committed {} new expectations", o.expects));
        if o.expects_failed > 0 {
            log.notice(&format!("{} expectations can't be committed", o.expects_failed));
        }
    }
    if o.conflicts > 0 {
        log.notice(&format!("{} entries are left to another node that has a better claim", o.conflicts));
    }
    for (errno, count) in &run.causes {
        log.notice(&format!("{count} could not be committed: {}", errno_text(*errno)));
    }
    log.notice(&format!("commit has taken {}.{:06} seconds", took.as_secs(), took.subsec_micros()));
}
