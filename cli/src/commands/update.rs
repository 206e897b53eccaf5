//! `-U`: dump, select, change what differs (command-line.md §5.6).

use super::found::{self, ANSWERS_BYTES};
use super::pending::Pending;
use super::refused::{self, Refused, explained, summary};
use super::walk::Walk;
use super::{Invocation, Outcome, output_failed};
use crate::fail::{Doing, Fail, operation_failed};
use crate::filter::Filter;
use crate::flags::id::Id;
use crate::flags::selection;
use crate::output::{Document, Presenter};
use crate::progress::Progress;
use crate::reader;
use crate::stdout::PrintError;
use crate::values::label;
use std::ops::ControlFlow;
use zct_engine::{Answer, Batch, Error, Lost, Sink};
use zct_wire::consts::{ipproto, ips};
use zct_wire::filter::Masked;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::request::{self, NewFlow};
use zct_wire::text::save::Verb;

/// What to change, as the options say.
#[derive(Clone, Debug, Default)]
struct FlowChange {
    mark: Option<Masked>,
    timeout_s: Option<u32>,
    /// Bits to set; none can be cleared.
    status: Option<u32>,
    state: Option<u8>,
    vtag: [Option<u32>; 2],
    label_add: Vec<u16>,
    /// `None` leaves the labels alone; an empty list clears all.
    label_del: Option<Vec<u16>>,
}

impl FlowChange {
    fn of(call: &Invocation) -> Result<FlowChange, Fail> {
        let args = &call.args;
        let del = label::bits(call.labels.as_deref(), &args.label_del)?;
        Ok(FlowChange {
            mark: args.mark,
            timeout_s: args.timeout,
            status: args.status.map(|s| s.set),
            state: args.state(),
            vtag: args.vtag,
            label_add: label::bits(call.labels.as_deref(), &args.label_add)?,
            label_del: args.given.has(Id::LabelDel).then_some(del),
        })
    }

    /// The request that makes the flow what it should be; `None` when nothing differs.
    fn request(&self, f: &FlowView<'_>) -> Result<Option<NewFlow<'static>>, Error> {
        let mut changed = false;
        let mut new = NewFlow::default();
        (new.family, new.orig, new.zone) = (f.family(), f.orig()?, f.zone()?);
        if let Some(m) = self.mark {
            let old = f.mark()?.unwrap_or(0);
            let value = old & !m.mask ^ m.value;
            changed |= value != old;
            new.mark = Some(m);
        }
        if let Some(t) = self.timeout_s {
            changed |= f.timeout_s()? != Some(t);
            new.timeout_s = Some(t);
        }
        if let Some(bits) = self.status {
            let old = f.status()?.unwrap_or(0);
            changed |= old & bits != bits;
            new.status = Some(old | bits);
        }
        if let Some(s) = self.state {
            changed |= f.state()?.map(|(_, state)| state) != Some(s);
        }
        new.protoinfo = self.protoinfo(new.orig.and_then(|t| t.proto));
        new.labels = self.labels(f);
        changed |= new.labels.is_some();
        Ok(changed.then_some(new))
    }

    /// The refusal to expect from the kernel, for a dry run.
    fn foreseen(&self, f: &FlowView<'_>) -> Result<Option<Error>, Error> {
        let old = f.status()?.unwrap_or(0);
        let errno = if self.timeout_s.is_some() && old & ips::FIXED_TIMEOUT != 0 {
            libc::EPERM
        } else if self.status.is_some_and(|s| s & !old & ips::EXPECTED != 0) {
            libc::EBUSY
        } else {
            return Ok(None);
        };
        Ok(Some(Error::Refused { errno, hint: None }))
    }

    /// Why the kernel refused to change this flow, in the user's terms.
    fn why(&self, f: &FlowView<'_>, error: &Error) -> String {
        let old = f.status().ok().flatten().unwrap_or(0);
        let proto = f.orig().ok().flatten().and_then(|t| t.proto);
        let meaning = match error.errno() {
            Some(libc::EPERM) if self.timeout_s.is_some() && old & ips::FIXED_TIMEOUT != 0 => {
                return "-t cannot change the timeout of this flow, which is fixed (FIXED_TIMEOUT)"
                    .to_owned();
            }
            Some(libc::EBUSY) if self.status.is_some_and(|s| s & !old & ips::EXPECTED != 0) => {
                Some(refused::EXPECTED)
            }
            Some(libc::EBUSY) => Some("the kernel does not change these status bits of a flow that exists"),
            Some(libc::EINVAL) if proto == Some(ipproto::SCTP) && self.protoinfo(proto).is_some() => {
                Some("SCTP needs --state, --orig-vtag and --reply-vtag together")
            }
            Some(libc::EOPNOTSUPP) => Some("this kernel cannot change that of a flow that exists"),
            Some(libc::ETIME) => Some("the flow is about to end"),
            _ => None,
        };
        explained(Doing::Update, error, meaning)
    }

    /// State and tags, when they were given. Window tracking of TCP stays as it is.
    fn protoinfo(&self, proto: Option<u8>) -> Option<ProtoInfo> {
        let tags = self.vtag.iter().any(Option::is_some);
        if self.state.is_none() && !tags {
            return None;
        }
        match proto? {
            ipproto::TCP => Some(ProtoInfo::Tcp(TcpInfo { state: self.state, ..TcpInfo::default() })),
            ipproto::SCTP => Some(ProtoInfo::Sctp(SctpInfo { state: self.state, vtag: self.vtag })),
            ipproto::DCCP => Some(ProtoInfo::Dccp(DccpInfo { state: self.state, ..DccpInfo::default() })),
            _ => None,
        }
    }

    /// The labels to set and those to replace, so that the kernel leaves all others as they are by then.
    /// They are written even if nothing changes, because the original counts such flows too.
    fn labels(&self, f: &FlowView<'_>) -> Option<([u8; 16], [u8; 16])> {
        match &self.label_del {
            Some(_) if f.labels().is_none() => None,
            Some(gone) if gone.is_empty() => Some(([0; 16], [0xff; 16])),
            Some(gone) => Some(([0; 16], label::words(gone))),
            None if self.label_add.is_empty() => None,
            None => Some((label::words(&self.label_add), label::words(&self.label_add))),
        }
    }
}

struct Updater {
    filter: Filter,
    change: FlowChange,
    presenter: Presenter,
    outcome: Outcome,
    updates: Batch,
    gets: Batch,
    pending: Pending,
    refused: Refused,
    /// An error of our own, not a refusal of the kernel, which ends the work.
    broken: Option<Error>,
    dry_run: bool,
    walk: Walk,
}

impl Updater {
    fn select(&mut self, msg: CtMsg<'_>) -> Result<bool, Error> {
        let f = FlowView::index(msg)?;
        if !self.filter.matches(&f)? {
            return Ok(true);
        }
        let Some(new) = self.change.request(&f)? else { return Ok(true) };
        if self.dry_run {
            if let Some(e) = self.change.foreseen(&f)? {
                self.refused.note(&f, &self.change.why(&f, &e));
                return Ok(true);
            }
            let printed = self.presenter.flow(&f, Verb::Add);
            return Ok(self.outcome.note(printed));
        }
        // No request is made about a flow without a complete tuple.
        f.key()?;
        self.updates.add(|buf, seq| request::new_flow(buf, seq, 0, &new))?;
        self.pending.push(&f, 0);
        if self.updates.is_full() { self.settle() } else { Ok(true) }
    }

    /// Sends the updates, then asks for the flows again and prints what has become of them.
    fn settle(&mut self) -> Result<bool, Error> {
        let pending = &mut self.pending;
        self.updates.send(&mut |index, answer| {
            if let Answer::Refused(e) = answer {
                pending.refuse(index, e);
            }
        })?;
        let change = &self.change;
        let labels = change.label_del.is_some() || !change.label_add.is_empty();
        // With -t 0 the flow has ended. It can no longer be asked for, so it is printed as it was.
        let ends = change.timeout_s == Some(0);
        let (gets, mut asked, mut goes_on) = (&mut self.gets, Ok(()), true);
        let (presenter, outcome, refused) = (&mut self.presenter, &mut self.outcome, &mut self.refused);
        self.pending.settle(|f, _, why| {
            match why {
                // The flow has ended; or it began before any rule used labels, and has no room for them.
                Some(e) if e.errno() == Some(libc::ENOENT) => {}
                Some(e) if labels && e.errno() == Some(libc::ENOSPC) => {}
                Some(e) => refused.note(f, &change.why(f, &e)),
                None if ends => goes_on = outcome.note(presenter.flow(f, Verb::Add)),
                None => {
                    let key = f.key().map_err(Error::Wire);
                    asked = key.and_then(|key| gets.add(|buf, seq| request::get_again(buf, seq, &key)));
                }
            }
            asked.is_ok() && goes_on
        })?;
        asked?;
        let broken = &mut self.broken;
        self.gets.send(&mut |_, answer| match answer {
            Answer::Message(msg) => match FlowView::index(msg) {
                Ok(f) => goes_on &= outcome.note(presenter.flow(&f, Verb::Add)),
                Err(e) => outcome.lost(Lost::Damaged(e)),
            },
            // It has ended meanwhile: neither shown nor counted, as in the original.
            Answer::Refused(e) if e.errno() == Some(libc::ENOENT) => {}
            Answer::Refused(e) => _ = broken.get_or_insert(e),
        })?;
        Ok(goes_on && self.broken.is_none())
    }
}

impl Sink for Updater {
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

/// What an update came to.
#[derive(Clone, Copy, Debug)]
pub struct Updated {
    /// How many flows were updated.
    pub count: u64,
    /// How many were refused, and have been named.
    pub refused: u64,
}

impl Updated {
    /// `N flow entries could not be updated`, if there were any.
    pub fn refusals(self) -> Option<String> {
        summary(self.refused, "updated")
    }
}

/// `-U`: updates and counts, and names what was refused.
pub fn run(call: &Invocation) -> Result<Updated, Fail> {
    let failed = |e: Error| operation_failed(Doing::Update, &e);
    let presenter = Presenter::stdout(&call.args.output, Document::Bare, call.labels.clone())
        .map_err(|e| output_failed(&e))?;
    let gets = Batch::open().map_err(failed)?;
    // Without privilege it gets what is allowed, which is enough for the answers to smaller batches.
    _ = gets.socket().set_receive_buffer(ANSWERS_BYTES);
    let mut sink = Updater {
        filter: selection::update_filter(&call.args, call.label_bits.clone()),
        change: FlowChange::of(call)?,
        presenter,
        outcome: Outcome::default(),
        updates: Batch::open().map_err(failed)?,
        gets,
        pending: Pending::default(),
        refused: Refused::new(call.name),
        broken: None,
        dry_run: call.args.given.has(Id::DryRun),
        walk: Walk::default(),
    };
    let filter = sink.filter.clone();
    let table = super::found_by_bpf(&call.args, &filter);
    let plan = super::plan(&call.args, &filter);
    let what = if sink.dry_run { "would be updated" } else { "updated" };
    sink.walk = Walk::begin(Progress::begin(), &plan, table.is_ok(), what);
    let found = table
        .and_then(|mut table| found::read(&mut table, &filter, &mut sink))
        .inspect_err(|why| call.args.reader.fell_back(why));
    let ended = found.unwrap_or_else(|_| plan.run(&filter, request::Table::Conntrack, &mut sink));
    let settled = if sink.broken.is_none() { sink.settle().map(drop) } else { Ok(()) };
    if let Err(e) = sink.presenter.flush() {
        sink.outcome.note(Err(PrintError::Io(e)));
    }
    if let Some(e) = sink.broken.or(ended.err()).or(settled.err()) {
        return Err(failed(e));
    }
    Ok(Updated { count: sink.outcome.check()?, refused: sink.refused.count() })
}

/// `-U` on its own.
pub fn flows(call: &Invocation) -> Result<(), Fail> {
    let filter = selection::update_filter(&call.args, call.label_bits.clone());
    let explain = || reader::explain(&super::found_by_bpf(&call.args, &filter));
    if super::explained(&call.args, &filter, explain)? {
        return Ok(());
    }
    let updated = run(call)?;
    let what = if call.args.given.has(Id::DryRun) { "would be updated" } else { "have been updated" };
    call.name.say(format!("{} flow entries {what}.", updated.count).as_bytes());
    if let Some(text) = updated.refusals() {
        return Err(Fail::runtime(text + "."));
    }
    if updated.count == 0 { Err(Fail::silent()) } else { Ok(()) }
}
