//! `-c`: the peer's flows and expectations into the kernel (conntrackd.md §7).
//!
//! Flows without a master first, then those with one, then expectations: each finds what it hangs on. A
//! bounded number a turn, in batches, and not before the events of the last ones have been taken, which the
//! original does not wait for: its own events then overflow its socket.

use crate::control::text::{LINE_MAX, Row, expect_line};
use crate::host::log::{Level, Log};
use crate::kernel::restore::{self, Without};
use crate::peer::{Caches, Machine, Millis};
use crate::store::{Cursor, Meta};
use std::collections::BTreeMap;
use std::time::Instant;
use zct_engine::{Answer, Batch, Error, errno, errno_text};
use zct_wire::peer::{Expect, Flow};
use zct_wire::text::Out;

/// Flows that one turn may put into the kernel.
const FLOWS_A_TURN: usize = 1024;
/// Flows of one batch; replacing one takes two requests.
const BATCH: usize = zct_engine::batch::BATCH_MAX;
/// Refused flows of one cause that are named in the log; the rest is counted.
const NAMED: u64 = 10;

/// What is to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// Flows.
    Flows,
    /// Expectations.
    Expects,
    /// Both.
    All,
}

/// How it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Flows made, replaced ones included.
    pub flows: u64,
    /// Flows refused.
    pub flows_failed: u64,
    /// Expectations made.
    pub expects: u64,
    /// Expectations refused.
    pub expects_failed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Masters(Cursor),
    Children(Cursor),
    Expects(u32),
}

#[derive(Debug)]
struct Run {
    what: Entries,
    /// Expectations are replicated, so there is something to say about them.
    expectations: bool,
    phase: Phase,
    started: Instant,
    outcome: Outcome,
    /// By errno: how many were refused.
    causes: BTreeMap<i32, u64>,
}

/// A flow that is to be made.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    flow: Flow,
    timeout_s: u32,
    without: Without,
    /// Delete what is in the way first.
    replace: bool,
}

impl Attempt {
    /// What to try after the kernel has refused it; `None` when there is nothing left to try.
    ///
    /// A flow that exists is replaced. One whose master has ended, or whose helper this node does not have,
    /// lives on without, which the original does not try.
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

/// The commit under way, if there is one, and its socket.
#[derive(Debug)]
pub struct Commit {
    batch: Batch,
    run: Option<Run>,
    /// Flows of the batch that is being filled.
    flows: Vec<Attempt>,
    expects: Vec<Expect>,
}

/// Where errors are written.
struct Report<'a> {
    log: &'a mut Log,
    causes: &'a mut BTreeMap<i32, u64>,
}

impl Report<'_> {
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

/// What a batch got back: the errno of each request that was refused.
fn send(batch: &mut Batch, refused: &mut Vec<(usize, i32)>) -> Result<(), Error> {
    refused.clear();
    batch.send(&mut |at, answer| {
        if let Answer::Refused(e) = answer {
            refused.push((at, e.errno().unwrap_or(errno::EIO)));
        }
    })
}

impl Commit {
    /// Opens the socket; its port is what tells our own events.
    pub fn open() -> Result<Commit, Error> {
        Ok(Commit { batch: Batch::open()?, run: None, flows: Vec::new(), expects: Vec::new() })
    }

    /// The socket's port.
    pub fn port(&self) -> u32 {
        self.batch.socket().port()
    }

    /// True while a commit is under way.
    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Begins; false when one is under way already. `expectations` is ExpectationSync.
    pub fn begin(&mut self, what: Entries, expectations: bool, log: &mut Log) -> bool {
        if self.run.is_some() {
            return false;
        }
        log.notice(match what {
            Entries::Flows => "committing conntrack cache",
            Entries::Expects => "committing expectation cache",
            Entries::All => "committing all external caches",
        });
        let phase = match what {
            Entries::Expects => Phase::Expects(0),
            _ => Phase::Masters(Cursor::default()),
        };
        let (started, outcome, causes) = (Instant::now(), Outcome::default(), BTreeMap::new());
        self.run = Some(Run { what, expectations, phase, started, outcome, causes });
        true
    }

    /// One turn; the outcome when that was the last. `events` is how many events the event socket holds:
    /// three may come of one flow.
    ///
    /// # Errors
    /// A failed system call ends the commit.
    pub fn step(
        &mut self,
        now: Millis,
        events: usize,
        machine: &Machine,
        caches: &Caches,
        log: &mut Log,
    ) -> Result<Option<Outcome>, Error> {
        let Some(mut run) = self.run.take() else { return Ok(None) };
        let now_s = (now / 1000) as u32;
        let age = |meta: Option<Meta>| now_s.saturating_sub(meta.map_or(now_s, |m| m.note));
        let mut left = FLOWS_A_TURN.min(events / 3).max(BATCH / 2);
        let tracking = machine.config().tcp_window_tracking;
        let timeout = |flow: &Flow, meta| machine.config().commit_timeout_for(flow.timeout_s, age(meta));
        while left > 0 {
            match &mut run.phase {
                Phase::Masters(cursor) | Phase::Children(cursor) => {
                    let id = caches.external.walk(cursor);
                    let children = matches!(run.phase, Phase::Children(_));
                    let flow = id.and_then(|id| caches.external.flow(id));
                    if let Some(flow) = flow.filter(|f| f.master.is_some() == children) {
                        let meta = id.and_then(|id| caches.external.meta(id));
                        let timeout_s = timeout(&flow, meta);
                        let without = Without::default();
                        self.flows.push(Attempt { flow, timeout_s, without, replace: false });
                        left -= 1;
                    }
                    if self.flows.len() == BATCH || id.is_none() {
                        self.send_flows(&mut run, tracking, log)?;
                    }
                    if id.is_none() {
                        run.phase = match (children, run.what) {
                            (false, _) => Phase::Children(Cursor::default()),
                            (true, Entries::All) => Phase::Expects(0),
                            (true, _) => return Ok(Some(finish(run, log))),
                        };
                    }
                }
                Phase::Expects(cursor) => {
                    let id = caches.external_expect.walk(cursor);
                    if let Some(e) = id.and_then(|id| caches.external_expect.get(id)) {
                        self.expects.push(*e);
                        left -= 1;
                    }
                    if self.expects.len() == BATCH || id.is_none() {
                        self.send_expects(&mut run, log)?;
                    }
                    if id.is_none() {
                        return Ok(Some(finish(run, log)));
                    }
                }
            }
        }
        // What is collected stays for the next turn.
        self.run = Some(run);
        Ok(None)
    }

    /// Makes the collected flows, in up to four attempts each.
    fn send_flows(&mut self, run: &mut Run, tracking: bool, log: &mut Log) -> Result<(), Error> {
        let mut report = Report { log, causes: &mut run.causes };
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
                        report.flow("commit-create", *errno, &attempt.flow);
                    }
                }
            }
        }
        run.outcome.flows += all - failed;
        run.outcome.flows_failed += failed;
        Ok(())
    }

    /// Makes flows; `refused` are those that the kernel refused, with its errno.
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
            // A delete that found nothing is as good as one that did: the create tells.
            let creates =
                answers.iter().filter_map(|(i, e)| sent.get(*i).copied().flatten().map(|at| (at, *e)));
            refused.extend(creates);
        }
        Ok(())
    }

    fn send_expects(&mut self, run: &mut Run, log: &mut Log) -> Result<(), Error> {
        let mut report = Report { log, causes: &mut run.causes };
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
                    // Without addresses it is not in the store.
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

/// Writes the summary.
fn finish(run: Run, log: &mut Log) -> Outcome {
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
    for (errno, count) in &run.causes {
        log.notice(&format!("{count} could not be committed: {}", errno_text(*errno)));
    }
    let took = run.started.elapsed();
    log.notice(&format!("commit has taken {}.{:06} seconds", took.as_secs(), took.subsec_micros()));
    run.outcome
}
