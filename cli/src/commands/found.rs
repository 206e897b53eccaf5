//! Flows that the BPF reader has found, for commands that change them. Each is asked for by netlink first: what is
//! handed on is the kernel's own answer, with the flow's id, and whoever takes it checks it against the whole
//! selection.

use crate::filter::Filter;
use std::ops::ControlFlow;
use zct_engine::dump::End;
use zct_engine::table::Table;
use zct_engine::{Answer, Batch, Error, Lost, Sink};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request;

/// Room for the answers to a batch of requests for flows: each takes up to a page and more.
pub(super) const ANSWERS_BYTES: usize = 1 << 20;

/// Asks for what seems to match, in batches.
struct Found<'a, S> {
    filter: &'a Filter,
    sink: &'a mut S,
    gets: Batch,
    /// An error of our own, which ends the work.
    broken: Option<Error>,
}

impl<S: Sink> Found<'_, S> {
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
            Answer::Message(msg) if goes_on.is_continue() => goes_on = sink.message(msg),
            Answer::Message(_) => {}
            // It has ended meanwhile.
            Answer::Refused(e) if e.errno() == Some(libc::ENOENT) => {}
            Answer::Refused(e) => refused = refused.take().or(Some(e)),
        })?;
        refused.map_or(Ok(goes_on), Err)
    }
}

impl<S: Sink> Sink for Found<'_, S> {
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

/// Reads the table and hands the flows that match to the sink, as netlink knows them.
///
/// # Errors
/// The outer one says why the table cannot be read in this way: nothing has been handed over then. The inner one is
/// of the requests for flows.
pub(super) fn read(
    table: &mut Table,
    filter: &Filter,
    sink: &mut impl Sink,
) -> Result<Result<End, Error>, String> {
    let gets = Batch::open().map_err(|e| e.to_string())?;
    // Without privilege it gets what is allowed, which is enough for the answers to smaller batches.
    _ = gets.socket().set_receive_buffer(ANSWERS_BYTES);
    let mut found = Found { filter, sink, gets, broken: None };
    let end = table.read(&mut found)?;
    if let Some(e) = found.broken {
        return Ok(Err(e));
    }
    if end != End::Done {
        return Ok(Ok(end));
    }
    Ok(found.settle().map(|goes_on| if goes_on.is_break() { End::Stopped } else { End::Done }))
}
