//! `-D`: dump, select, delete each one (spec/cli.md §5.5).
//!
//! A flow is deleted by its own tuple, zone and id, taken from the dump. The kernel's filters only make the
//! dump shorter; what comes back is always checked again, so a kernel that ignores a filter costs time and
//! never a flow.

use super::pending::Pending;
use super::{Invocation, Outcome, output_failed};
use crate::fail::{Doing, Fail, operation_failed};
use crate::filter::Filter;
use crate::flags::args::Args;
use crate::flags::table::Id;
use crate::output::PrintError;
use crate::present::{Document, Presenter};
use crate::selection;
use std::ops::ControlFlow;
use zct_engine::{Answer, Batch, Error, Lost, Requests, Sink};
use zct_wire::consts::{af, ipproto};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request;
use zct_wire::text::save::Verb;

/// Selects flows, deletes them in batches, and prints those that are gone.
pub(super) struct Deleter {
    filter: Filter,
    pub(super) presenter: Option<Presenter>,
    pub(super) outcome: Outcome,
    batch: Batch,
    pending: Pending,
    /// What the kernel said that is not "no such flow".
    pub(super) refused: Option<Error>,
    /// Only show what would be deleted.
    dry_run: bool,
}

impl Deleter {
    pub(super) fn new(filter: Filter, presenter: Option<Presenter>, dry_run: bool) -> Result<Deleter, Error> {
        Ok(Deleter {
            filter,
            presenter,
            outcome: Outcome::default(),
            batch: Batch::open()?,
            pending: Pending::default(),
            refused: None,
            dry_run,
        })
    }

    fn select(&mut self, msg: CtMsg<'_>) -> Result<bool, Error> {
        let f = FlowView::index(msg)?;
        if !self.filter.matches(&f)? {
            return Ok(true);
        }
        if self.dry_run {
            return Ok(print(&mut self.presenter, &mut self.outcome, &f));
        }
        let key = f.key()?;
        self.batch.add(|buf, seq| request::delete(buf, seq, 0, &key))?;
        self.pending.push(&f);
        if self.batch.is_full() { self.settle() } else { Ok(true) }
    }

    /// Sends the batch and prints what was deleted; false when it is not to go on.
    pub(super) fn settle(&mut self) -> Result<bool, Error> {
        let (pending, refused) = (&mut self.pending, &mut self.refused);
        self.batch.send(|index, answer| {
            if let Answer::Refused(e) = answer {
                pending.refuse(index);
                // Gone meanwhile, or another flow has its tuple: nothing to delete.
                if e.errno() != Some(libc::ENOENT) {
                    refused.get_or_insert(e);
                }
            }
        })?;
        let (presenter, outcome) = (&mut self.presenter, &mut self.outcome);
        let mut goes_on = true;
        self.pending.settle(|f| {
            goes_on = print(presenter, outcome, f);
            goes_on
        })?;
        Ok(goes_on && self.refused.is_none())
    }
}

/// Prints and counts one deleted flow; without a presenter it only counts.
fn print(presenter: &mut Option<Presenter>, outcome: &mut Outcome, f: &FlowView<'_>) -> bool {
    let printed = presenter.as_mut().map_or(Ok(()), |p| p.flow(f, Verb::Delete));
    outcome.note(printed)
}

impl Sink for Deleter {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match self.select(msg) {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(Error::Wire(e)) => {
                self.outcome.lost(Lost::Damaged(e));
                ControlFlow::Continue(())
            }
            Err(e) => {
                self.refused.get_or_insert(e);
                ControlFlow::Break(())
            }
        }
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}

/// Deletes what matches; returns how many. What has been deleted is printed, also when it ends in an error.
pub(super) fn run(mut sink: Deleter, doing: Doing) -> Result<u64, Fail> {
    let ask = sink.filter.for_kernel();
    let ended = Requests::open().and_then(|mut r| {
        r.dump_table(|buf, seq| request::dump(buf, seq, request::Table::Conntrack, &ask), &mut sink)
    });
    // The last batch; after a failure too, so that nothing that was collected is half done.
    let settled = if sink.refused.is_none() { sink.settle().map(drop) } else { Ok(()) };
    if let Some(presenter) = &mut sink.presenter {
        if let Err(e) = presenter.flush() {
            sink.outcome.note(Err(PrintError::Io(e)));
        }
    }
    let failed = sink.refused.or(ended.err()).or(settled.err());
    if let Some(e) = failed {
        return Err(operation_failed(doing, &e));
    }
    sink.outcome.check()
}

/// `-D`.
pub fn flows(call: &Invocation) -> Result<(), Fail> {
    let filter = deletion_filter(call)?;
    let presenter =
        Presenter::stdout(&call.args.output, Document::Bare, None).map_err(|e| output_failed(&e))?;
    let dry_run = call.args.given.has(Id::DryRun);
    let sink =
        Deleter::new(filter, Some(presenter), dry_run).map_err(|e| operation_failed(Doing::Delete, &e))?;
    let count = run(sink, Doing::Delete)?;
    let what = if dry_run { "would be deleted" } else { "have been deleted" };
    call.name.say(format!("{count} flow entries {what}.").as_bytes());
    if count == 0 { Err(Fail::silent()) } else { Ok(()) }
}

/// The selection of a `-D` line.
pub fn deletion_filter(call: &Invocation) -> Result<Filter, Fail> {
    let mut filter = selection::checked_filter(&call.args, call.label_bits.clone())?;
    filter.timeout = call.args.timeout.filter(|_| timeout_counts(&call.args));
    Ok(filter)
}

/// Whether `-t` is compared with the time a flow has left. The original does so as soon as anything else is
/// compared, which makes lines that it saved itself match nothing; with a complete tuple there is one flow
/// that can be meant, and its time does not matter.
fn timeout_counts(args: &Args) -> bool {
    const COMPARED: [Id; 14] = [
        Id::Src,
        Id::Dst,
        Id::ReplySrc,
        Id::ReplyDst,
        Id::MaskSrc,
        Id::MaskDst,
        Id::Protonum,
        Id::Mark,
        Id::Status,
        Id::EntryId,
        Id::Label,
        Id::Zone,
        Id::OrigZone,
        Id::ReplyZone,
    ];
    args.given.any(&COMPARED) && !is_complete(args)
}

/// True when the original direction, or the reply direction, is given to the last port.
fn is_complete(args: &Args) -> bool {
    let Some(protocol) = args.protocol else { return false };
    let has = |ids: [Id; 2]| ids.iter().all(|id| args.given.has(*id));
    let masked = args.given.any(&[Id::MaskSrc, Id::MaskDst]);
    let (orig, reply) = match protocol.num {
        ipproto::ICMP | ipproto::ICMPV6 => {
            let icmp = has([Id::IcmpType, Id::IcmpCode]) && args.given.has(Id::IcmpId);
            (icmp, icmp)
        }
        _ if protocol.has_options => (has([Id::Sport, Id::Dport]), has([Id::ReplyPortSrc, Id::ReplyPortDst])),
        _ => (true, true),
    };
    !masked && (has([Id::Src, Id::Dst]) && orig || has([Id::ReplySrc, Id::ReplyDst]) && reply)
}

/// `-D expect`: the key is the expected tuple, given as the original direction.
pub fn expectation(call: &Invocation) -> Result<(), Fail> {
    let key = super::get::orig_tuple(&call.args);
    let family = call.args.family.unwrap_or(af::INET);
    Requests::open()
        .and_then(|mut r| {
            r.ask(|buf, seq| request::delete_expect(buf, seq, family, &key), &mut super::Silent)
        })
        .map_err(|e| operation_failed(Doing::Other, &e))?;
    // Success looks like this in the original, exit code included, and scripts have learnt it.
    call.name.say(b"0 expectations have been shown.");
    Err(Fail::silent())
}
