//! `-F` and the purge timer: delete the kernel's flows, except those that the filter excludes
//! (conntrackd.md §8).
//!
//! This is never a flush of the table, which would delete what the filter excludes, and cause more events at
//! once than the event socket holds. It is a dump in steps, and deletes in batches.

use crate::config::flow_filter::{FilterVerdict, FlowFilter, Subject};
use crate::host::log::Log;
use std::ops::ControlFlow;
use zct_engine::{Answer, Batch, Error, Lost, Progress, Sink, StepDump, errno};
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{Table, delete, dump, flush};

/// The most datagrams of the dump in one turn.
const DUMP_A_TURN: usize = 4;
/// Flows that one such datagram holds, with a margin.
const FLOWS_A_DATAGRAM: usize = 160;

/// The result of a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Flows that were deleted.
    pub deleted: u64,
    /// Flows that could not be deleted, except those that had ended.
    pub failed: u64,
    /// The dump has lost something, so flows may be left.
    pub incomplete: bool,
}

impl Flushed {
    /// Reports in the log how a flush of the kernel's table went.
    pub fn say(&self, log: &mut Log) {
        if self.failed > 0 {
            log.error(&format!("{} entries could not be deleted", self.failed));
        }
        if self.incomplete {
            log.warning("the dump before the flush was interrupted: entries may have stayed");
        }
    }
}

/// One flush at a time, on sockets of its own.
#[derive(Debug)]
pub struct Flush {
    dump: StepDump,
    batch: Batch,
    running: bool,
    done: Flushed,
}

impl Flush {
    /// Opens the sockets for the dump and the deletes.
    pub fn open() -> Result<Flush, Error> {
        Ok(Flush { dump: StepDump::open()?, batch: Batch::open()?, running: false, done: Flushed::default() })
    }

    /// The netlink port that deletes are sent from.
    pub fn port(&self) -> u32 {
        self.batch.socket().port()
    }

    /// True while a flush is under way.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// The dump's socket, to be watched.
    pub fn dump_socket(&self) -> &StepDump {
        &self.dump
    }

    /// Begins; returns false if a flush is under way already.
    pub fn begin(&mut self) -> Result<bool, Error> {
        if self.running {
            return Ok(false);
        }
        self.dump.begin(|buf, seq| dump(buf, seq, Table::Conntrack, &DumpFilter::default()))?;
        (self.running, self.done) = (true, Flushed::default());
        Ok(true)
    }

    /// One turn; returns what has been done if it was the last. `events` is how many events the event socket
    /// holds: every deleted flow causes one, so call this only when those of the last turn have been taken.
    ///
    /// # Errors
    /// A failed system call, or a dump that the kernel refused: the flush is over.
    pub fn step(&mut self, filter: &FlowFilter, events: usize) -> Result<Option<Flushed>, Error> {
        if !self.running {
            return Ok(None);
        }
        let mut sink = Deleting { batch: &mut self.batch, done: &mut self.done, filter, error: None };
        let datagrams = (events / FLOWS_A_DATAGRAM).clamp(1, DUMP_A_TURN);
        let progress = self.dump.step(datagrams as u32, &mut sink);
        let sent = match sink.error.take() {
            Some(e) => Err(e),
            None => sink.send(),
        };
        match (sent, progress) {
            (Ok(()), Ok(Progress::More | Progress::Waiting)) => Ok(None),
            (Ok(()), Ok(Progress::Done)) => {
                self.running = false;
                Ok(Some(self.done))
            }
            (Err(e), _) | (_, Err(e)) => {
                self.running = false;
                Err(e)
            }
        }
    }

    /// Deletes all expectations at once, since they are few.
    pub fn expectations(&mut self) -> Result<(), Error> {
        self.batch.add(|buf, seq| flush(buf, seq, true))?;
        let mut refused = None;
        self.batch.send(&mut |_, answer| {
            if let Answer::Refused(e) = answer {
                refused = Some(e);
            }
        })?;
        refused.map_or(Ok(()), Err)
    }
}

struct Deleting<'a> {
    batch: &'a mut Batch,
    done: &'a mut Flushed,
    filter: &'a FlowFilter,
    error: Option<Error>,
}

impl Deleting<'_> {
    fn send(&mut self) -> Result<(), Error> {
        let count = self.batch.len() as u64;
        let (mut gone, mut failed) = (0, 0);
        self.batch.send(&mut |_, answer| {
            if let Answer::Refused(e) = answer {
                // It ended before its turn came.
                if e.errno() == Some(errno::ENOENT) { gone += 1 } else { failed += 1 }
            }
        })?;
        self.done.deleted += count - gone - failed;
        self.done.failed += failed;
        Ok(())
    }

    fn flow(&mut self, msg: CtMsg<'_>) -> Result<(), Error> {
        let view = FlowView::index(msg)?;
        if !self.filter.is_empty() {
            let passes = Subject::of(&view)?.is_some_and(|s| self.filter.judge(&s) == FilterVerdict::Pass);
            if !passes {
                return Ok(());
            }
        }
        let key = view.key()?;
        self.batch.add(|buf, seq| delete(buf, seq, 0, &key))?;
        if self.batch.is_full() { self.send() } else { Ok(()) }
    }
}

impl Sink for Deleting<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match self.flow(msg) {
            Ok(()) => {}
            Err(Error::Wire(_)) => self.done.incomplete = true,
            Err(e) => {
                self.error = Some(e);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {
        self.done.incomplete = true;
    }
}
