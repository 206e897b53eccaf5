//! Deletions without a tool around them: a dump with the kernel's filter, and batched deletes of everything
//! it brings.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use zct_engine::{Answer, Batch, Error, Lost, Requests, Sink};
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::request::{self, Table};

/// Which flows to spare, and which deletions are to fail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Deletes only every n-th flow of the dump; 0 and 1 mean all.
    pub every: u64,
    /// Dumps everything first, so that the deletions can be timed alone.
    pub apart: bool,
    /// With `apart`: deletes every n-th flow beforehand, uncounted, so that its deletion fails; 0 means none.
    pub vanish: usize,
}

/// What became of the flows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deleted {
    /// Flows that this program deleted.
    pub deleted: u64,
    /// Flows that were gone already when their turn came.
    pub gone: u64,
    /// The time that the deletions alone took.
    pub deleting: Duration,
}

/// Keeps the messages of a dump, one after another.
#[derive(Default)]
struct Keep {
    bytes: Vec<u8>,
    seen: u64,
    every: u64,
}

impl Sink for Keep {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.seen += 1;
        if self.every < 2 || self.seen % self.every == 0 {
            self.bytes.extend_from_slice(msg.bytes);
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        eprintln!("{why}");
    }
}

/// Deletes while the dump is still going on, as a tool would.
struct Streaming {
    batch: Batch,
    seen: u64,
    every: u64,
    asked: u64,
    gone: u64,
    failed: Option<Error>,
}

impl Streaming {
    fn take(&mut self, msg: CtMsg<'_>) -> Result<(), Error> {
        self.seen += 1;
        if self.every > 1 && self.seen % self.every != 0 {
            return Ok(());
        }
        let key = FlowView::index(msg)?.key()?;
        self.batch.add(|buf, seq| request::delete(buf, seq, 0, &key))?;
        self.asked += 1;
        if self.batch.is_full() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Error> {
        let (gone, failed) = (&mut self.gone, &mut self.failed);
        self.batch.send(&mut |_, answer| note(answer, gone, failed))
    }
}

fn note(answer: Answer<'_>, gone: &mut u64, failed: &mut Option<Error>) {
    match answer {
        Answer::Refused(e) if e.errno() == Some(nix::libc::ENOENT) => *gone += 1,
        Answer::Refused(e) => _ = failed.get_or_insert(e),
        Answer::Message(_) => {}
    }
}

impl Sink for Streaming {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match self.take(msg) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                self.failed.get_or_insert(e);
                ControlFlow::Break(())
            }
        }
    }

    fn lost(&mut self, why: Lost) {
        eprintln!("{why}");
    }
}

/// Deletes what the kernel finds for `filter`.
///
/// # Errors
/// A failed system call, or a refusal other than "no such flow".
pub fn run(filter: &DumpFilter, options: Options) -> Result<Deleted, Error> {
    if options.apart {
        return run_apart(filter, options);
    }
    let begin = Instant::now();
    let mut sink =
        Streaming { batch: Batch::open()?, seen: 0, every: options.every, asked: 0, gone: 0, failed: None };
    Requests::open()?.dump_table(|buf, seq| request::dump(buf, seq, Table::Conntrack, filter), &mut sink)?;
    if sink.failed.is_none() {
        sink.send()?;
    }
    let Streaming { asked, gone, failed, .. } = sink;
    failed.map_or(Ok(Deleted { deleted: asked - gone, gone, deleting: begin.elapsed() }), Err)
}

fn run_apart(filter: &DumpFilter, options: Options) -> Result<Deleted, Error> {
    let mut keep = Keep { every: options.every, ..Keep::default() };
    Requests::open()?.dump(|buf, seq| request::dump(buf, seq, Table::Conntrack, filter), &mut keep)?;
    let flows: Vec<CtMsg<'_>> =
        Frames::new(&keep.bytes).map(|f| f.and_then(CtMsg::parse)).collect::<Result<_, _>>()?;
    if options.vanish > 0 {
        delete_all(flows.iter().step_by(options.vanish))?;
    }
    let begin = Instant::now();
    let (asked, gone) = delete_all(flows.iter())?;
    Ok(Deleted { deleted: asked - gone, gone, deleting: begin.elapsed() })
}

fn delete_all<'a>(flows: impl Iterator<Item = &'a CtMsg<'a>>) -> Result<(u64, u64), Error> {
    let (mut batch, mut failed) = (Batch::open()?, None);
    let (mut asked, mut gone) = (0, 0);
    for msg in flows {
        let key = FlowView::index(*msg)?.key()?;
        batch.add(|buf, seq| request::delete(buf, seq, 0, &key))?;
        asked += 1;
        if batch.is_full() {
            batch.send(&mut |_, answer| note(answer, &mut gone, &mut failed))?;
        }
    }
    batch.send(&mut |_, answer| note(answer, &mut gone, &mut failed))?;
    failed.map_or(Ok((asked, gone)), Err)
}
