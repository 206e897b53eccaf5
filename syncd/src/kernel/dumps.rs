//! Dumps of the kernel's table, one after another and each in steps.
//!
//! While a dump runs, events overtake it: the datagram that waits in the dump's socket was made before
//! they happened. What such a datagram says about a flow that has had an event since is out of date,
//! and is ignored.

use crate::config::flow_filter::FilterVerdict;
use crate::kernel::counters::NetlinkCounters;
use crate::kernel::judge::Judge;
use crate::kernel::taker::{Taker, Why};
use crate::peer::Event;
use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Progress, Sink, StepDump};
use zct_wire::WireError;
use zct_wire::consts::ipctnl;
use zct_wire::expect::ExpectView;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{self, Table};

/// How many datagrams of a dump one turn takes: some 130 flows each.
const DUMP_A_TURN: u32 = 4;

/// A dump that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job {
    why: Why,
    table: Table,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// There is nothing to do.
    Idle,
    /// There is more to do at once.
    More,
    /// It is waiting for the kernel.
    Waiting,
    /// Everything that was asked for with this purpose has been dumped.
    Done(Why),
    /// It has failed, or is known to be incomplete; nothing more is dumped for this purpose.
    Failed(Why),
}

/// The flows that have had events since the last datagram of the dump under way.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    ids: Vec<u32>,
    dumping: bool,
}

impl Overtaken {
    /// Events are about to be taken; `dumping` says whether a dump is under way.
    pub(super) fn expect_events(&mut self, dumping: bool) {
        self.dumping = dumping;
    }

    /// This flow has had an event.
    pub(super) fn note(&mut self, view: &FlowView<'_>) -> Result<(), WireError> {
        if self.dumping {
            self.ids.extend(view.id()?);
        }
        Ok(())
    }

    /// The events of this turn are over, and the dump is next.
    pub(super) fn sort(&mut self) {
        self.ids.sort_unstable();
    }

    /// The next datagram has been made by now, so only events from here on are newer.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
    }

    /// Whether a dump's statement about this flow is out of date.
    pub(super) fn has(&self, view: &FlowView<'_>) -> Result<bool, WireError> {
        Ok(!self.ids.is_empty() && view.id()?.is_some_and(|id| self.ids.binary_search(&id).is_ok()))
    }
}

/// The dump under way, and those that wait for it to end.
#[derive(Debug)]
pub(super) struct Dumps {
    socket: StepDump,
    jobs: Vec<Job>,
    job: Option<Job>,
    /// The dump under way is known to have lost something.
    incomplete: bool,
    pub(super) overtaken: Overtaken,
}

impl Dumps {
    pub(super) fn open() -> Result<Dumps, Error> {
        let socket = StepDump::open()?;
        Ok(Dumps { socket, jobs: Vec::new(), job: None, incomplete: false, overtaken: Overtaken::default() })
    }

    /// The socket, to be watched for readiness.
    pub(super) fn socket(&self) -> &StepDump {
        &self.socket
    }

    /// Asks for a dump; if the same one has been asked for already, it serves both.
    pub(super) fn want(&mut self, why: Why, table: Table) {
        let job = Job { why, table };
        if !self.jobs.contains(&job) {
            self.jobs.push(job);
        }
    }

    /// Gives up the dumps for this purpose; true when one was under way, whose socket has been replaced.
    pub(super) fn give_up(&mut self, why: Why) -> Result<bool, Error> {
        self.jobs.retain(|j| j.why != why);
        if self.job.is_none_or(|j| j.why != why) {
            return Ok(false);
        }
        // What is left of its answer would be in the way of the next one.
        self.socket = StepDump::open()?;
        self.job = None;
        Ok(true)
    }

    /// True while a dump is under way.
    pub(super) fn is_running(&self) -> bool {
        self.socket.is_running()
    }

    /// True while a dump is under way or waiting for its turn.
    pub(super) fn is_wanted(&self) -> bool {
        self.job.is_some() || !self.jobs.is_empty()
    }

    /// Continues the dump under way, or begins the next one.
    ///
    /// # Errors
    /// When a request could not be sent; nothing is being dumped then.
    pub(super) fn step(
        &mut self,
        judge: &Judge,
        counters: &mut NetlinkCounters,
        taker: &mut dyn Taker,
    ) -> Result<Stepped, Error> {
        let job = match self.job {
            Some(job) => job,
            None if self.jobs.is_empty() => return Ok(Stepped::Idle),
            None => self.begin()?,
        };
        self.overtaken.sort();
        let (overtaken, why) = (&mut self.overtaken, job.why);
        let mut sink = DumpSink { judge, counters, overtaken, taker, why, incomplete: false };
        let mut progress = Ok(Progress::More);
        for _ in 0..DUMP_A_TURN {
            progress = self.socket.step(1, &mut sink);
            sink.overtaken.clear();
            if !matches!(progress, Ok(Progress::More)) {
                break;
            }
        }
        self.incomplete |= sink.incomplete;
        let failed = match progress {
            Ok(Progress::More) => return Ok(Stepped::More),
            Ok(Progress::Waiting) => return Ok(Stepped::Waiting),
            Ok(Progress::Done) => self.incomplete,
            Err(_) => true,
        };
        self.job = None;
        if failed {
            self.jobs.retain(|j| j.why != job.why);
            return Ok(Stepped::Failed(job.why));
        }
        let more = self.jobs.iter().any(|j| j.why == job.why);
        Ok(if more { Stepped::More } else { Stepped::Done(job.why) })
    }

    /// Sends the request for the next dump.
    fn begin(&mut self) -> Result<Job, Error> {
        let job = self.jobs.remove(0);
        let begun = self.socket.begin(|buf, seq| request::dump(buf, seq, job.table, &DumpFilter::default()));
        if let Err(e) = begun {
            self.jobs.clear();
            return Err(e);
        }
        (self.job, self.incomplete) = (Some(job), false);
        self.overtaken.clear();
        Ok(job)
    }
}

/// Judges the messages of a dump.
struct DumpSink<'a> {
    judge: &'a Judge,
    counters: &'a mut NetlinkCounters,
    overtaken: &'a mut Overtaken,
    taker: &'a mut dyn Taker,
    why: Why,
    incomplete: bool,
}

impl DumpSink<'_> {
    fn flow(&mut self, msg: CtMsg<'_>) -> Result<(), WireError> {
        let view = FlowView::index(msg)?;
        if self.overtaken.has(&view)? || self.judge.flow(&view)? != FilterVerdict::Pass {
            return Ok(());
        }
        self.taker.dumped(self.why, &view)
    }
}

impl Sink for DumpSink<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let done = match Event::of(&msg) {
            None | Some(Event::Destroy) => {
                self.counters.unknown_dumped += 1;
                return ControlFlow::Continue(());
            }
            Some(_) if msg.kind() == ipctnl::NEW => self.flow(msg),
            Some(_) => ExpectView::index(msg).and_then(|view| {
                if self.judge.expect(view.helper()) {
                    self.taker.expect_dumped(self.why, &view)
                } else {
                    Ok(())
                }
            }),
        };
        if done.is_err() {
            self.incomplete = true;
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {
        self.incomplete = true;
    }
}
