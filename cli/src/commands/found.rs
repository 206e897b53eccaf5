//! Flows that the BPF reader has found, for commands that change them. Each is asked for by netlink first:
//! what is handed on is the kernel's own answer, with the flow's id, and whoever takes it checks it against
//! the whole selection.

use crate::dump_plan::Plan;
use crate::filter::Filter;
use std::ops::ControlFlow;
use zct_engine::dump::End;
use zct_engine::table::{self, Table};
use zct_engine::{Answer, Batch, Error, Lost, Sink};
use zct_wire::consts::cta;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::request;

/// Room for the answers to a batch of requests for flows: each takes up to a page and more.
pub(super) const ANSWERS_BYTES: usize = 1 << 20;

/// Asks for what seems to match, in batches.
struct Asker<'a, S> {
    filter: &'a Filter,
    sink: &'a mut S,
    gets: Batch,
    /// Room for one answer.
    dumped: Vec<u8>,
    /// An error of our own, which ends the work.
    broken: Option<Error>,
}

impl<S: Sink> Asker<'_, S> {
    fn take(&mut self, msg: CtMsg<'_>) -> Result<ControlFlow<()>, Error> {
        let f = FlowView::index(msg)?;
        if !self.filter.matches(&f)? {
            return Ok(ControlFlow::Continue(()));
        }
        let key = f.key()?;
        self.gets.add(|buf, seq| request::get_again(buf, seq, &key))?;
        if self.gets.is_full() { self.settle() } else { Ok(ControlFlow::Continue(())) }
    }

    /// Sends the requests and hands the answers on.
    fn settle(&mut self) -> Result<ControlFlow<()>, Error> {
        let (sink, mut goes_on, mut refused) = (&mut *self.sink, ControlFlow::Continue(()), None);
        self.gets.send(&mut |_, answer| match answer {
            Answer::Message(msg) if goes_on.is_continue() => {
                goes_on = sink.message(as_dumped(msg, &mut self.dumped).unwrap_or(msg));
            }
            Answer::Message(_) => {}
            // It has ended meanwhile.
            Answer::Refused(e) if e.errno() == Some(libc::ENOENT) => {}
            Answer::Refused(e) => refused = refused.take().or(Some(e)),
        })?;
        refused.map_or(Ok(goes_on), Err)
    }
}

impl<S: Sink> Sink for Asker<'_, S> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match self.take(msg) {
            Ok(goes_on) => goes_on,
            Err(Error::Wire(e)) => {
                self.sink.lost(Lost::Damaged(e));
                ControlFlow::Continue(())
            }
            Err(e) => {
                self.broken = Some(e);
                ControlFlow::Break(())
            }
        }
    }

    fn lost(&mut self, why: Lost) {
        self.sink.lost(why);
    }
}

/// The answer as a dump would have it: to answer, the kernel holds the flow once more (bpf-table.md §3).
/// `None` when it does not say how often the flow is held.
fn as_dumped<'b>(answer: CtMsg<'_>, room: &'b mut Vec<u8>) -> Option<CtMsg<'b>> {
    let used = answer.attrs().flatten().find(|a| a.kind == cta::USE)?.value;
    let at = used.as_ptr().addr().checked_sub(answer.bytes.as_ptr().addr())?;
    let count = u32::from_be_bytes(*used.first_chunk()?);
    room.clear();
    room.extend_from_slice(answer.bytes);
    room.get_mut(at..at + 4)?.copy_from_slice(&count.checked_sub(1)?.to_be_bytes());
    CtMsg::parse(Frames::new(room).next()?.ok()?).ok()
}

/// If more than one flow in this many is selected, a dump finds them sooner: asking for a flow costs about as
/// much as dumping two, and the walk comes on top (perf/NOTES.md).
const ASKING: u64 = 3;
/// The same where the kernel leaves out of the dump what is not selected, which then costs it no message.
const ASKING_OF_FILTERED: u64 = 8;

/// Counts the flows that match.
struct Sampled<'a> {
    filter: &'a Filter,
    count: u64,
}

impl Sink for Sampled<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        // A flow that cannot be read counts as selected: the error is reported when it is asked for.
        let matched = FlowView::index(msg).and_then(|f| self.filter.matches(&f));
        self.count += u64::from(matched.unwrap_or(true));
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

/// Whether so few flows are selected that asking for each of them takes less time than a dump of all, judging
/// by a sample of the table. `plan` is that of the dump.
///
/// # Errors
/// That they are too many, or why the table cannot be read, in words for `--explain`.
pub(super) fn check_few(table: &mut Table, filter: &Filter, plan: &Plan) -> Result<(), String> {
    let is_filtered = plan.dumps.iter().any(DumpFilter::has_tuple_filter);
    let asking = if is_filtered { ASKING_OF_FILTERED } else { ASKING };
    let mut sample = Sampled { filter, count: 0 };
    table.sample(&mut sample)?;
    let selected = sample.count * u64::from(table::SAMPLE);
    let all = zct_engine::request::flows().unwrap_or(0);
    if selected * asking <= all {
        return Ok(());
    }
    Err(format!("with some {selected} of {all} flows selected BPF takes longer, since each is asked for"))
}

/// Reads the table and hands the flows that match to the sink, as netlink knows them.
///
/// # Errors
/// The outer one says why the table cannot be read in this way: nothing has been handed over then. The inner
/// one comes from the requests for flows.
pub(super) fn read(
    table: &mut Table,
    filter: &Filter,
    sink: &mut impl Sink,
) -> Result<Result<End, Error>, String> {
    let gets = Batch::open().map_err(|e| e.to_string())?;
    // Without privilege it gets what is allowed, which is enough for the answers to smaller batches.
    _ = gets.socket().set_receive_buffer(ANSWERS_BYTES);
    let mut found = Asker { filter, sink, gets, dumped: Vec::new(), broken: None };
    let end = table.read(&mut found)?;
    if let Some(e) = found.broken {
        return Ok(Err(e));
    }
    if end != End::Done {
        return Ok(Ok(end));
    }
    Ok(found.settle().map(|goes_on| if goes_on.is_break() { End::Stopped } else { End::Done }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::build::{Builder, Head};
    use zct_wire::consts::ipctnl;

    #[test]
    fn the_kernels_own_hold_is_not_shown() {
        let mut buf = [0; 128];
        let mut room = Vec::new();
        for (has, want) in [(Some(2), Some(1)), (Some(1), Some(0)), (Some(0), None), (None, None)] {
            let mut b = Builder::new(&mut buf, Head::new(ipctnl::NEW, 7).family(2));
            b.put_be32(cta::STATUS, 5);
            if let Some(count) = has {
                b.put_be32(cta::USE, count);
            }
            b.put_be32(cta::ID, 9);
            let bytes = b.finish().unwrap();
            let answer = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
            let seen = as_dumped(answer, &mut room).map(|msg| {
                let f = FlowView::index(msg).unwrap();
                assert_eq!((f.status(), f.id()), (Ok(Some(5)), Ok(Some(9))));
                f.use_count().unwrap().unwrap()
            });
            assert_eq!(seen, want, "{has:?}");
        }
    }
}
