//! `-L`: the table, as far as it matches.

use super::shown::Flows;
use super::{Invocation, Outcome, output_failed};
use crate::dump_plan::Plan;
use crate::fail::{Doing, Fail, operation_failed, warn};
use crate::filter::Filter;
use crate::flags::command::Table;
use crate::flags::id::Id;
use crate::output::{Document, Presenter};
use crate::reader;
use crate::stdout::PrintError;
use std::ops::ControlFlow;
use zct_engine::dump::End;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_wire::consts::af;
use zct_wire::expect::ExpectView;
use zct_wire::filter::DumpFilter;
use zct_wire::header::CtMsg;
use zct_wire::request;

/// `-L`, `-L dying`, `-L unconfirmed`: lists the flows that match.
pub fn flows(call: &Invocation, table: Table) -> Result<(), Fail> {
    let mut sink = Flows::new(call)?;
    let which = match table {
        Table::Dying => request::Table::Dying,
        Table::Unconfirmed => request::Table::Unconfirmed,
        _ if call.args.given.has(Id::Zero) => request::Table::ConntrackZero,
        _ => request::Table::Conntrack,
    };
    let args = &call.args;
    let opened = || reader::open(args.reader, which, &args.output, &sink.filter);
    if super::explained(&call.args, &sink.filter, || reader::explain(&opened()))? {
        return Ok(());
    }
    if let Some(keys) = &call.args.by {
        let plan = plan(call, &sink.filter, which);
        return super::by::flows(call, keys, &sink.filter, (&plan, which), opened());
    }
    let read = opened().and_then(|mut table| match reader::parts(args.jobs) {
        1 => table.read(&mut sink),
        parts => super::jobs::by_bpf(call, &mut table, parts, &mut sink),
    });
    let read = read.inspect_err(|why| args.reader.fell_back(why));
    if read.is_err() && call.args.jobs > 1 && which == request::Table::Conntrack {
        return super::jobs::flows(call, sink.filter);
    }
    let ended = read.map_or_else(|_| by_netlink(call, which, &mut sink), Ok);
    sink.finish(matches!(ended, Ok(End::Done)) && table == Table::Conntrack);
    ended.map_err(|e| operation_failed(Doing::List, &e))?;
    let unmarked = !sink.secmark_seen && sink.outcome.shown > 0;
    let shown = sink.outcome.check()?;
    if call.args.secmark.is_some() && unmarked {
        warn(super::NO_SECMARKS);
    }
    call.name.say(format!("{shown} flow entries have been shown.").as_bytes());
    Ok(())
}

/// How to ask for the flows of a table. The lists of dying and unconfirmed flows are short, and need no plan.
fn plan(call: &Invocation, filter: &Filter, which: request::Table) -> Plan {
    match which {
        request::Table::Conntrack => super::plan(&call.args, filter),
        _ => Plan::plain(filter),
    }
}

/// Asks the kernel for a dump.
fn by_netlink(call: &Invocation, which: request::Table, sink: &mut Flows) -> Result<End, Error> {
    let filter = sink.filter.clone();
    plan(call, &filter, which).run(&filter, which, sink)
}

/// Prints every expectation of one family.
struct Expectations {
    family: u8,
    presenter: Presenter,
    outcome: Outcome,
}

impl Sink for Expectations {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match ExpectView::index(msg) {
            Ok(e) if e.family() == self.family => {
                if !self.outcome.note(self.presenter.expect(&e, None)) {
                    return ControlFlow::Break(());
                }
            }
            Ok(_) => {}
            Err(e) => self.outcome.lost(Lost::Damaged(e)),
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}

/// `-L expect`: lists the expectations of one family.
pub fn expectations(call: &Invocation) -> Result<(), Fail> {
    let presenter =
        Presenter::stdout(&call.args.output, Document::Expect, None).map_err(|e| output_failed(&e))?;
    // Unlike flows, expectations are listed for IPv4 unless told otherwise (command-line.md §5.1).
    let family = call.args.family.unwrap_or(af::INET);
    let mut sink = Expectations { family, presenter, outcome: Outcome::default() };
    let ask = DumpFilter::default().with(|it| it.family = family);
    let ended = Requests::open().and_then(|mut r| {
        r.dump(|buf, seq| request::dump(buf, seq, request::Table::Expect, &ask), &mut sink)
    });
    if matches!(ended, Ok(End::Done)) {
        if let Err(e) = sink.presenter.close() {
            sink.outcome.note(Err(e));
        }
    }
    if let Err(e) = sink.presenter.flush() {
        sink.outcome.note(Err(PrintError::Io(e)));
    }
    ended.map_err(|e| operation_failed(Doing::Other, &e))?;
    let shown = sink.outcome.check()?;
    call.name.say(format!("{shown} expectations have been shown.").as_bytes());
    Ok(())
}
