//! `DisableExternalCache`: the peer's changes go straight into the kernel (sync-protocol.md §6).
//!
//! Changes are collected and sent in batches at the end of a turn. No batch contains two changes of one flow,
//! so that what has to be done after a refusal still happens in order.

// A new type of message must not go unnoticed: no arm may match what it does not name.
#![deny(clippy::wildcard_enum_match_arm)]

use crate::host::log::{Level, Log};
use crate::kernel::restore::{self, Without};
use crate::peer::CacheStats;
use crate::store::Key;
use crate::text::{LINE_MAX, Row, expect_line};
use std::collections::VecDeque;
use zct_engine::{Answer, Batch, Error, errno, errno_text};
use zct_wire::event::Event;
use zct_wire::peer::{Expect, Flow};
use zct_wire::text::Out;

/// Changes in one batch. A repair takes two requests.
const BATCH: usize = zct_engine::batch::BATCH_MAX / 2;
/// Refusals that are reported one by one; further ones are only counted.
const NAMED: u64 = 100;
/// Timeout in seconds of a flow that came without one.
const TIMEOUT_S: u32 = 60;

/// A change that waits to be sent.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Flow(Event, Flow),
    Expect(Event, Expect),
}

/// The second attempt at a change, chosen by how the first failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    /// Delete the entry, then create it.
    Replace,
    /// Create the entry.
    Create,
}

/// The waiting changes, the socket, and the counts that `external inject` shows.
#[derive(Debug)]
pub struct Injector {
    batch: Batch,
    waiting: VecDeque<Waiting>,
    tracking: bool,
    /// The counts of flows.
    pub flows: CacheStats,
    /// The counts of expectations.
    pub expects: CacheStats,
    told: u64,
}

/// For each request of a batch, the change it belongs to; `None` for a delete whose result does not matter.
type SentFor = Vec<Option<usize>>;

impl Injector {
    /// Opens the socket; its port identifies the events that we cause ourselves.
    /// `tracking` is TCPWindowTracking.
    pub fn open(tracking: bool) -> Result<Injector, Error> {
        let (batch, waiting) = (Batch::open()?, VecDeque::new());
        let (flows, expects) = (CacheStats::default(), CacheStats::default());
        Ok(Injector { batch, waiting, tracking, flows, expects, told: 0 })
    }

    /// The socket's netlink port.
    pub fn port(&self) -> u32 {
        self.batch.socket().port()
    }

    /// Takes a change of a flow.
    pub fn flow(&mut self, event: Event, flow: &Flow) {
        self.waiting.push_back(Waiting::Flow(event, *flow));
    }

    /// Takes a change of an expectation.
    pub fn expect(&mut self, event: Event, expect: &Expect) {
        self.waiting.push_back(Waiting::Expect(event, *expect));
    }

    /// True when no change waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Carries out up to `batches` batches of changes.
    pub fn step(&mut self, batches: usize, log: &mut Log) -> Result<(), Error> {
        for _ in 0..batches {
            if self.waiting.is_empty() {
                break;
            }
            self.one_batch(log)?;
        }
        Ok(())
    }

    /// The changes of the next batch: up to the first that concerns a flow of an earlier one.
    fn take(&mut self) -> Vec<Waiting> {
        let mut keys: Vec<Option<Key>> = Vec::with_capacity(BATCH);
        let mut out = Vec::with_capacity(BATCH);
        while let Some(next) = self.waiting.front().filter(|_| out.len() < BATCH) {
            let key = match next {
                Waiting::Flow(_, f) => Key::of(f),
                // Expectations are few: each ends a batch.
                Waiting::Expect(..) => None,
            };
            let alone = key.is_none();
            if alone && !out.is_empty() || keys.contains(&key) {
                break;
            }
            keys.push(key);
            out.extend(self.waiting.pop_front());
            if alone {
                break;
            }
        }
        out
    }

    fn one_batch(&mut self, log: &mut Log) -> Result<(), Error> {
        let changes = self.take();
        let mut sent: SentFor = Vec::new();
        for (at, change) in changes.iter().enumerate() {
            self.first(at, change, &mut sent)?;
        }
        let refused = self.send()?;
        let mut failed = vec![None; changes.len()];
        for (index, errno) in refused {
            if let Some(slot) = sent.get(index).copied().flatten().and_then(|at| failed.get_mut(at)) {
                *slot = Some(errno);
            }
        }
        let mut again = Vec::new();
        for (change, errno) in changes.iter().zip(failed) {
            match errno.and_then(|e| second(change, e)) {
                Some(what) => again.push((*change, what)),
                None => self.settle(change, errno, log),
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        sent.clear();
        for (at, (change, what)) in again.iter().enumerate() {
            if *what == Second::Replace && self.delete(change)? {
                sent.push(None);
            }
            self.create(at, change, &mut sent)?;
        }
        let refused = self.send()?;
        let mut failed = vec![None; again.len()];
        for (index, errno) in refused {
            if let Some(slot) = sent.get(index).copied().flatten().and_then(|at| failed.get_mut(at)) {
                *slot = Some(errno);
            }
        }
        for ((change, _), errno) in again.iter().zip(failed) {
            self.settle(change, errno, log);
        }
        Ok(())
    }

    /// Adds the deletion of what a change is about; returns false if the kernel cannot have such an entry.
    fn delete(&mut self, change: &Waiting) -> Result<bool, Error> {
        match change {
            Waiting::Flow(_, f) => {
                let Some(key) = restore::flow_key(f) else { return Ok(false) };
                self.batch.add(|buf, seq| restore::delete(buf, seq, &key, f))?;
            }
            Waiting::Expect(_, e) => {
                let Some(key) = restore::expect_key(e) else { return Ok(false) };
                self.batch.add(|buf, seq| restore::delete_expect(buf, seq, &key))?;
            }
        }
        Ok(true)
    }

    /// Adds the first attempt at a change.
    fn first(&mut self, at: usize, change: &Waiting, sent: &mut SentFor) -> Result<(), Error> {
        match change {
            Waiting::Flow(Event::Destroy, _) | Waiting::Expect(Event::Destroy, _) => {
                if self.delete(change)? {
                    sent.push(Some(at));
                }
            }
            Waiting::Flow(Event::Update, f) => {
                let timeout_s = f.timeout_s.unwrap_or(TIMEOUT_S);
                if let Some(new) = restore::change_flow(f, timeout_s, self.tracking) {
                    self.batch.add(|buf, seq| zct_wire::request::new_flow(buf, seq, 0, &new))?;
                    sent.push(Some(at));
                }
            }
            Waiting::Flow(Event::New, _) | Waiting::Expect(Event::New | Event::Update, _) => {
                self.create(at, change, sent)?;
            }
        }
        Ok(())
    }

    fn create(&mut self, at: usize, change: &Waiting, sent: &mut SentFor) -> Result<(), Error> {
        match change {
            Waiting::Flow(_, f) => {
                let timeout_s = f.timeout_s.unwrap_or(TIMEOUT_S);
                // A child whose master this node does not have would be refused, and then be lost.
                let without = Without { master: true, helper: false };
                if let Some(new) = restore::new_flow(f, timeout_s, self.tracking, without) {
                    self.batch.add(|buf, seq| restore::create(buf, seq, &new))?;
                    sent.push(Some(at));
                }
            }
            Waiting::Expect(_, e) => {
                if let Some(new) = restore::new_expect(e) {
                    self.batch.add(|buf, seq| restore::create_expect(buf, seq, &new))?;
                    sent.push(Some(at));
                }
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<Vec<(usize, i32)>, Error> {
        let mut refused = Vec::new();
        self.batch.send(&mut |at, answer| {
            if let Answer::Refused(e) = answer {
                refused.push((at, e.errno().unwrap_or(errno::EIO)));
            }
        })?;
        Ok(refused)
    }

    /// Counts the outcome of a change, and reports what went wrong.
    fn settle(&mut self, change: &Waiting, errno: Option<i32>, log: &mut Log) {
        let (event, stats, what) = match change {
            Waiting::Flow(event, _) => (event, &mut self.flows, "ct"),
            Waiting::Expect(event, _) => (event, &mut self.expects, "exp"),
        };
        let (done, failed, verb) = match event {
            Event::New => (&mut stats.created, &mut stats.no_space, "add new"),
            Event::Update => (&mut stats.updated, &mut stats.update_failed, "update"),
            Event::Destroy => (&mut stats.destroyed, &mut stats.destroy_failed, "destroy"),
        };
        let gone = *event == Event::Destroy && errno == Some(errno::ENOENT);
        let Some(errno) = errno.filter(|_| !gone) else {
            *done += 1;
            return;
        };
        *failed += 1;
        self.told += 1;
        if self.told > NAMED {
            return;
        }
        let verb = if verb == "destroy" && what == "exp" { "delete" } else { verb };
        let mut buf = [0; LINE_MAX];
        let mut out = Out::new(&mut buf);
        match change {
            Waiting::Flow(_, f) => Row::peer(f).line(&mut out),
            Waiting::Expect(_, e) => expect_line(&mut out, e),
        }
        log.warning(&format!("could not {verb} {what} entry: {}", errno_text(errno)));
        log.flow(Level::Warning, out.written());
    }
}

/// What to do after a refusal (sync-protocol.md §6).
fn second(change: &Waiting, errno: i32) -> Option<Second> {
    match change {
        Waiting::Flow(Event::New, _) | Waiting::Expect(Event::New | Event::Update, _) => {
            (errno == errno::EEXIST).then_some(Second::Replace)
        }
        Waiting::Flow(Event::Update, _) => {
            Some(if errno == errno::ENOENT { Second::Create } else { Second::Replace })
        }
        Waiting::Flow(Event::Destroy, _) | Waiting::Expect(Event::Destroy, _) => None,
    }
}
