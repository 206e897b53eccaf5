//! Dumps of the kernel's table, one after the other and each in steps.
//!
//! While a dump runs, events overtake it: the kernel has made the datagram that waits in the dump's socket
//! before they happened. What such a datagram says about a flow that had an event since is older than what is
//! known, and is passed over.

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

/// Datagrams of a dump in one turn: some 130 flows each.
const DUMP_A_TURN: u32 = 4;

/// A dump that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job {
    why: Why,
    table: Table,
}

/// What has come of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Nothing is to be done.
    Idle,
    /// There is more to do at once.
    More,
    /// It waits for the kernel.
    Waiting,
    /// All that was asked for to this end has been dumped.
    Done(Why),
    /// It has failed, or is known to be incomplete; nothing more is dumped to this end.
    Failed(Why),
}

/// Flows that had events since the last datagram of the dump under way.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    ids: Vec<u32>,
    dumping: bool,
}

impl Overtaken {
    /// Events are taken; `dumping` says whether a dump is under way.
    pub(super) fn expect_events(&mut self, dumping: bool) {
        self.dumping = dumping;
    }

    /// This flow had an event.
    pub(super) fn note(&mut self, view: &FlowView<'_>) -> Result<(), WireError> {
        if self.dumping {
            self.ids.extend(view.id()?);
        }
        Ok(())
    }

    /// Events are over for this turn, and the dump is looked at.
    fn sort(&mut self) {
        self.ids.sort_unstable();
    }

    /// The next datagram is made by now: events from here on are newer than it.
    fn clear(&mut self) {
        self.ids.clear();
    }

    /// What a dump says of this flow is older than what is known.
    fn has(&self, view: &FlowView<'_>) -> Result<bool, WireError> {
        Ok(!self.ids.is_empty() && view.id()?.is_some_and(|id| self.ids.binary_search(&id).is_ok()))
    }
}

/// The dump under way and those that wait for it.
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

    /// To be watched.
    pub(super) fn socket(&self) -> &StepDump {
        &self.socket
    }

    /// Asks for a dump; one that is asked for already serves both.
    pub(super) fn want(&mut self, why: Why, table: Table) {
        let job = Job { why, table };
        if !self.jobs.contains(&job) {
            self.jobs.push(job);
        }
    }

    /// True while a dump's datagrams come.
    pub(super) fn is_running(&self) -> bool {
        self.socket.is_running()
    }

    /// True while a dump runs or waits for its turn.
    pub(super) fn is_wanted(&self) -> bool {
        self.job.is_some() || !self.jobs.is_empty()
    }

    /// Goes on with the dump under way, or begins the next one.
    ///
    /// # Errors
    /// A request that could not be sent: nothing is dumped any more.
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

    /// Sends the request of the next dump.
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

/// Judges what a dump brings.
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
