//! `-D`: dump, select, delete each one (command-line.md §5.5).
//!
//! A flow is deleted by its own tuple, zone and id, taken from the dump. The kernel's filters only make the
//! dump shorter. Every flow that comes back is checked again, so a kernel that ignores a filter costs time
//! but never a flow.

use super::pending::Pending;
use super::refused::{Refused, explained, summary};
use super::walk::Walk;
use super::{Invocation, Outcome, found, output_failed};
use crate::dump_plan;
use crate::fail::{Doing, Fail, Name, operation_failed};
use crate::filter::Filter;
use crate::flags::args::Args;
use crate::flags::id::Id;
use crate::flags::selection;
use crate::output::{Document, Presenter};
use crate::progress::Progress;
use crate::reader::{self, Reader};
use crate::stdout::PrintError;
use crate::values::list::Output;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zct_engine::table::Table;
use zct_engine::{Answer, Batch, Error, Lost, Requests, Sink};
use zct_wire::WireError;
use zct_wire::consts::{ipproto, nlm_f};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request;
use zct_wire::text::save::Verb;
use zct_wire::tuple::Addressed;

/// Which flows to delete, and how each is printed.
pub(crate) trait Selection {
    /// What the kernel is asked for, as a filter and the plan made of it; it may answer with more.
    fn plan(&self) -> (Filter, dump_plan::Plan);
    /// The number of the selection that the flow belongs to, if any.
    fn find(&self, f: &FlowView<'_>) -> Result<Option<u32>, WireError>;
    /// The table to read instead of asking the kernel for a dump, if there is one, and what asked for that.
    fn table(&mut self) -> Option<(Table, Reader)> {
        None
    }
    /// The output options of that selection; `None` leaves the presenter as it was made.
    fn output(&self, index: u32) -> Option<Output>;
}

/// One filter and how the kernel is asked for it.
pub(super) struct OneFilter {
    pub(super) filter: Filter,
    pub(super) plan: dump_plan::Plan,
    /// The BPF reader, where flows are found by it, and what asked for that.
    pub(super) table: Option<(Table, Reader)>,
}

impl OneFilter {
    /// A filter with the simplest plan: one dump with what every kernel can filter.
    pub(super) fn plain(filter: Filter) -> OneFilter {
        OneFilter { plan: dump_plan::Plan::plain(&filter), filter, table: None }
    }
}

impl Selection for OneFilter {
    fn plan(&self) -> (Filter, dump_plan::Plan) {
        (self.filter.clone(), self.plan.clone())
    }

    fn find(&self, f: &FlowView<'_>) -> Result<Option<u32>, WireError> {
        Ok(self.filter.matches(f)?.then_some(0))
    }

    fn table(&mut self) -> Option<(Table, Reader)> {
        self.table.take()
    }

    fn output(&self, _: u32) -> Option<Output> {
        None
    }
}

/// Selects flows, deletes them in batches, and prints those that are gone.
pub(crate) struct Deleter<S> {
    selection: S,
    presenter: Option<Presenter>,
    outcome: Outcome,
    batch: Batch,
    pending: Pending,
    /// Flows that exist but that the kernel would not delete, and how many there were of each selection.
    refused: Refused,
    refused_of: BTreeMap<u32, u64>,
    /// An error of our own, not a refusal of the kernel, which ends the work.
    broken: Option<Error>,
    /// Only show the flows, delete none.
    dry_run: bool,
    walk: Walk,
}

/// What a deletion came to.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// How many flows are gone.
    pub(crate) count: u64,
    /// Which selections had flows that could not be deleted, and how many. They have been named.
    pub(crate) refused: BTreeMap<u32, u64>,
}

impl Deleted {
    /// `N flow entries could not be deleted`, if there were any.
    pub(crate) fn refusals(&self) -> Option<String> {
        summary(self.refused.values().sum(), "deleted")
    }
}

impl<S: Selection + Send> Deleter<S> {
    /// Without a presenter, flows are counted but not shown.
    pub(crate) fn new(
        name: Name,
        selection: S,
        presenter: Option<Presenter>,
        dry_run: bool,
    ) -> Result<Deleter<S>, Error> {
        Ok(Deleter {
            selection,
            presenter,
            outcome: Outcome::default(),
            batch: Batch::open()?,
            pending: Pending::default(),
            refused: Refused::new(name),
            refused_of: BTreeMap::new(),
            broken: None,
            dry_run,
            walk: Walk::default(),
        })
    }

    fn select(&mut self, msg: CtMsg<'_>) -> Result<bool, Error> {
        let f = FlowView::index(msg)?;
        let Some(index) = self.selection.find(&f)? else { return Ok(true) };
        if self.dry_run {
            return Ok(print(&self.selection, &mut self.presenter, &mut self.outcome, index, &f));
        }
        let key = f.key()?;
        self.batch.add(|buf, seq| request::delete(buf, seq, 0, &key))?;
        self.pending.push(&f, index);
        if self.batch.is_full() { self.settle() } else { Ok(true) }
    }

    /// Sends the batch and prints what was deleted; false when the work has to stop.
    fn settle(&mut self) -> Result<bool, Error> {
        let pending = &mut self.pending;
        self.batch.send(&mut |at, answer| {
            if let Answer::Refused(e) = answer {
                pending.refuse(at, e);
            }
        })?;
        let (selection, presenter, outcome) = (&self.selection, &mut self.presenter, &mut self.outcome);
        let (refused, refused_of) = (&mut self.refused, &mut self.refused_of);
        let mut goes_on = true;
        self.pending.settle(|f, index, why| {
            match why {
                // The flow has ended meanwhile, or another one has its tuple: nothing to delete.
                Some(e) if e.errno() == Some(libc::ENOENT) => {}
                Some(e) => {
                    *refused_of.entry(index).or_default() += 1;
                    refused.note(f, &explained(Doing::Delete, &e, meaning(&e)));
                }
                None => goes_on = print(selection, presenter, outcome, index, f),
            }
            goes_on
        })?;
        Ok(goes_on)
    }

    /// Deletes what is found. Flows that were deleted are printed even if an error ends the work.
    pub(crate) fn run(mut self, doing: Doing, progress: Progress) -> Result<Deleted, Fail> {
        let (filter, plan) = self.selection.plan();
        let table = self.selection.table();
        let what = if self.dry_run { "would be deleted" } else { "deleted" };
        self.walk = Walk::begin(progress, &plan, table.is_some(), what);
        let found = table.and_then(|(mut table, reader)| {
            found::read(&mut table, &filter, &mut self).inspect_err(|why| reader.fell_back(why)).ok()
        });
        let ended = found.unwrap_or_else(|| plan.run(&filter, request::Table::Conntrack, &mut self));
        // The last batch, unless something has gone wrong already.
        let settled = if self.broken.is_none() { self.settle().map(drop) } else { Ok(()) };
        if let Some(presenter) = &mut self.presenter {
            if let Err(e) = presenter.flush() {
                self.outcome.note(Err(PrintError::Io(e)));
            }
        }
        if let Some(e) = self.broken.or(ended.err()).or(settled.err()) {
            return Err(operation_failed(doing, &e));
        }
        Ok(Deleted { count: self.outcome.check()?, refused: self.refused_of })
    }
}

/// What a refusal to delete means.
fn meaning(error: &Error) -> Option<&'static str> {
    let offloaded = "the flow is offloaded; it can be deleted when its packets take the usual way again";
    (error.errno() == Some(libc::EBUSY)).then_some(offloaded)
}

/// Prints and counts one flow; false when the output no longer works.
fn print(
    selection: &impl Selection,
    presenter: &mut Option<Presenter>,
    outcome: &mut Outcome,
    index: u32,
    f: &FlowView<'_>,
) -> bool {
    let printed = presenter.as_mut().map_or(Ok(()), |p| {
        if let Some(output) = selection.output(index) {
            p.set_output(&output);
        }
        p.flow(f, Verb::Delete)
    });
    outcome.note(printed)
}

impl<S: Selection + Send> Sink for Deleter<S> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.walk.step(self.outcome.shown);
        match self.select(msg) {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(Error::Wire(e)) => {
                self.outcome.lost(Lost::Damaged(e));
                ControlFlow::Continue(())
            }
            Err(e) => {
                self.broken.get_or_insert(e);
                ControlFlow::Break(())
            }
        }
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}

/// Deletes what one filter matches, and names what was refused.
pub(super) fn run(
    name: Name,
    selection: OneFilter,
    presenter: Option<Presenter>,
    dry_run: bool,
    doing: Doing,
) -> Result<Deleted, Fail> {
    let deleter = Deleter::new(name, selection, presenter, dry_run);
    deleter.map_err(|e| operation_failed(doing, &e))?.run(doing, Progress::begin())
}

/// `-D`: deletes the flows that match. That there are none is a failure.
pub fn flows(call: &Invocation) -> Result<(), Fail> {
    match selected(call, deletion_filter(call)?)? {
        Some(0) => Err(Fail::silent()),
        _ => Ok(()),
    }
}

/// Deletes the flows that the filter of this command line selects, or shows them in a dry run. Returns how
/// many there were, or `None` when the line asked for an explanation instead.
pub(super) fn selected(call: &Invocation, filter: Filter) -> Result<Option<u64>, Fail> {
    let presenter =
        Presenter::stdout(&call.args.output, Document::Bare, None).map_err(|e| output_failed(&e))?;
    let dry_run = call.args.given.has(Id::DryRun);
    let opened = || super::found_by_bpf(&call.args, &filter);
    if super::explained(&call.args, &filter, || reader::explain(&opened()))? {
        return Ok(None);
    }
    let reader = call.args.reader;
    let table = opened().inspect_err(|why| reader.fell_back(why)).ok().map(|table| (table, reader));
    let plan = super::plan(&call.args, &filter);
    let deleted = run(call.name, OneFilter { filter, plan, table }, Some(presenter), dry_run, Doing::Delete)?;
    let count = deleted.count;
    let what = if dry_run { "would be deleted" } else { "have been deleted" };
    call.name.say(format!("{count} flow entries {what}.").as_bytes());
    if is_unasked(&call.args) {
        call.name.say(unasked(dry_run).as_bytes());
    }
    if let Some(text) = deleted.refusals() {
        return Err(Fail::runtime(text + "."));
    }
    Ok(Some(count))
}

/// The selection of a `-D` line.
pub fn deletion_filter(call: &Invocation) -> Result<Filter, Fail> {
    let mut filter = selection::checked_filter(&call.args, call.label_bits.clone())?;
    filter.timeout = call.args.timeout.filter(|_| timeout_counts(&call.args));
    Ok(filter)
}

/// True when every flow is selected and `--all` does not say that this is meant. Only `conntrack` gets this
/// far: `zct` refuses such a command line.
pub fn is_unasked(args: &Args) -> bool {
    !args.given.has(Id::All) && selection::is_everything(args)
}

/// The warning for a deletion that [`is_unasked`].
pub fn unasked(dry_run: bool) -> String {
    let what = if dry_run { "would be deleted" } else { "were deleted" };
    format!("no selection was given: all flows {what} (-F does this at once; zct -D asks for --all)")
}

/// True when `-t` is compared with the time a flow has left. The original does so as soon as it compares
/// anything else, and so lines that it saved itself match nothing. A complete tuple can mean only one flow,
/// whose time does not matter.
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

/// True when the original or the reply direction is given completely, ports included.
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
    !masked
        && args.negated.is_empty()
        && args.sets.is_empty()
        && (has([Id::Src, Id::Dst]) && orig || has([Id::ReplySrc, Id::ReplyDst]) && reply)
}

/// `-D expect`: the key is the expected tuple, given as the original direction.
pub fn expectation(call: &Invocation) -> Result<(), Fail> {
    let key = super::get::orig_tuple(&call.args);
    let key = Addressed::try_from(&key).map_err(|_| {
        Fail::usage(
            "an expectation is deleted by both of its addresses, of one family: -s ADDRESS -d ADDRESS",
        )
    })?;
    Requests::open()
        .and_then(|mut r| {
            r.ask(|buf, seq| request::delete_expect(buf, seq, nlm_f::ACK, &key), &mut super::Silent)
        })
        .map_err(|e| operation_failed(Doing::Other, &e))?;
    // This is how success looks in the original, exit code included, and scripts rely on it.
    call.name.say(b"0 expectations have been shown.");
    Err(Fail::silent())
}
