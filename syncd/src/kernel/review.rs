//! Reading the kernel's table slowly, to find what no event has told.
//!
//! One datagram of the dump at a time, at such a distance that the whole takes a quarter of the interval between
//! two reviews. The kernel makes the next datagram when it hands out the one before. When that is read, all
//! events from before it was made have been taken, and those about its flows since are known: so what is
//! different then no event has told.

use crate::config::flow_filter::FilterVerdict;
use crate::kernel::dumps::Overtaken;
use crate::kernel::judge::Judge;
use crate::kernel::taker::Taker;
use crate::peer::{Event, Millis};
use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Progress, Sink, StepDump};
use zct_wire::WireError;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{self, Table};

/// Flows in a datagram of a dump.
const FLOWS_A_DATAGRAM: u64 = 128;
/// The part of the interval that reading takes.
const PART: Millis = 4;
/// The distance of two datagrams: not so small that it is felt, nor so large that the kernel's place in the table
/// is held for long in a small one.
const APART_MS: std::ops::RangeInclusive<Millis> = 2..=1000;

/// What a review has to do, or has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reviewed {
    /// The next one begins.
    Begins,
    /// It goes on.
    Goes,
    /// The table was read whole.
    Ends,
    /// It could not be read whole; the next one begins at its time.
    Fails,
}

/// The review under way, and when the next one is due.
#[derive(Debug, Default)]
pub(super) struct SlowRead {
    interval: Option<Millis>,
    at: Millis,
    apart: Millis,
    dump: Option<StepDump>,
    incomplete: bool,
    pub(super) overtaken: Overtaken,
}

impl SlowRead {
    pub(super) fn set(&mut self, now: Millis, interval: Option<Millis>) {
        if self.interval != interval {
            self.interval = interval;
            self.rest(now);
        }
    }

    fn rest(&mut self, now: Millis) {
        self.dump = None;
        self.at = now + self.interval.unwrap_or(0);
    }

    /// True while the table is being read.
    pub(super) fn is_reading(&self) -> bool {
        self.dump.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        self.interval.map(|_| self.at)
    }

    pub(super) fn is_due(&self, now: Millis) -> Option<Reviewed> {
        let due = self.deadline().is_some_and(|at| at <= now);
        due.then_some(if self.is_reading() { Reviewed::Goes } else { Reviewed::Begins })
    }

    pub(super) fn begin(&mut self, now: Millis, flows: usize) -> Result<(), Error> {
        self.rest(now);
        let mut dump = StepDump::open()?;
        dump.begin(|buf, seq| request::dump(buf, seq, Table::Conntrack, &DumpFilter::default()))?;
        self.dump = Some(dump);
        self.incomplete = false;
        self.overtaken.clear();
        let datagrams = flows as u64 / FLOWS_A_DATAGRAM + 1;
        let apart = self.interval.unwrap_or(0) / PART / datagrams;
        self.apart = apart.clamp(*APART_MS.start(), *APART_MS.end());
        self.at = now + self.apart;
        Ok(())
    }

    pub(super) fn give_up(&mut self, now: Millis) -> bool {
        let was = self.is_reading();
        if was || self.deadline().is_some_and(|at| at <= now) {
            self.rest(now);
        }
        was
    }

    pub(super) fn step(&mut self, now: Millis, judge: &Judge, taker: &mut dyn Taker) -> Reviewed {
        let Some(dump) = &mut self.dump else { return Reviewed::Fails };
        self.overtaken.sort();
        let mut sink = SlowReadSink { judge, overtaken: &self.overtaken, taker, incomplete: self.incomplete };
        let progress = dump.step(1, &mut sink);
        self.incomplete = sink.incomplete;
        self.overtaken.clear();
        match progress {
            Ok(Progress::More | Progress::Waiting) => {
                self.at = now + self.apart;
                Reviewed::Goes
            }
            Ok(Progress::Done) if !self.incomplete => {
                self.rest(now);
                Reviewed::Ends
            }
            Ok(Progress::Done) | Err(_) => {
                self.rest(now);
                Reviewed::Fails
            }
        }
    }
}

struct SlowReadSink<'a> {
    judge: &'a Judge,
    overtaken: &'a Overtaken,
    taker: &'a mut dyn Taker,
    incomplete: bool,
}

impl SlowReadSink<'_> {
    fn flow(&mut self, msg: CtMsg<'_>) -> Result<(), WireError> {
        let view = FlowView::index(msg)?;
        let comparable = !self.overtaken.has(&view)? && self.judge.flow(&view)? == FilterVerdict::Pass;
        self.taker.reviewed(&view, comparable)
    }
}

impl Sink for SlowReadSink<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if matches!(Event::of(&msg), Some(Event::New | Event::Update)) && self.flow(msg).is_err() {
            self.incomplete = true;
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {
        self.incomplete = true;
    }
}
