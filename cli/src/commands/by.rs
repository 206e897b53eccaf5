//! `-L --by`: the flows that match, counted by what they have in common.

use super::{Invocation, Outcome, output_failed};
use crate::dump_plan::Plan;
use crate::fail::{Doing, Fail, operation_failed, warn};
use crate::filter::Filter;
use crate::group::key::Keys;
use crate::group::order::Order;
use crate::group::report::Report;
use crate::group::shards::{GroupAdder, Shared};
use crate::group::tally::Counts;
use crate::reader;
use crate::stdout::Printer;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use zct_engine::{Lost, Sink};
use zct_wire::WireError;
use zct_wire::flow::{Dir, FlowView};
use zct_wire::header::CtMsg;
use zct_wire::request::Table;

/// The sysctl without which flows have no counters.
pub(crate) const ACCOUNTING: &str = "net.netfilter.nf_conntrack_acct";

/// Counts the flows that match.
struct Grouping<'a> {
    filter: &'a Filter,
    keys: &'a Keys,
    groups: GroupAdder<'a>,
    outcome: Outcome,
}

impl Grouping<'_> {
    fn take(&mut self, msg: CtMsg<'_>) -> Result<(), WireError> {
        let f = FlowView::index(msg)?;
        if !self.filter.matches(&f)? {
            return Ok(());
        }
        let key = self.keys.pack(&f)?;
        self.groups.add(key, counts(&f)?);
        self.outcome.shown += 1;
        Ok(())
    }
}

/// One flow with what it has carried, as far as it counts that.
pub(crate) fn counts(f: &FlowView<'_>) -> Result<Counts, WireError> {
    let mut all = Counts { flows: 1, packets: 0, bytes: 0 };
    for dir in [Dir::Orig, Dir::Reply] {
        if let Some(c) = f.counters(dir)? {
            all.add(Counts { flows: 0, packets: c.packets, bytes: c.bytes });
        }
    }
    Ok(all)
}

impl Sink for Grouping<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Err(e) = self.take(msg) {
            self.outcome.lost(Lost::Damaged(e));
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}

/// Counts the flows of one table by `keys`, and prints the largest groups. They are read by BPF where that
/// could be `opened`, else as planned.
pub(super) fn flows(
    call: &Invocation,
    keys: &Keys,
    filter: &Filter,
    (plan, which): (&Plan, Table),
    opened: Result<zct_engine::table::Table, String>,
) -> Result<(), Fail> {
    let order = call.args.sort.unwrap_or_default();
    let parts = if opened.is_ok() { reader::parts(call.args.jobs) } else { 1 };
    let shared = Shared::new(parts, keys.words(), order, zct_engine::request::flows().unwrap_or(0));
    let grouping =
        || Grouping { filter, keys, groups: GroupAdder::new(&shared), outcome: Outcome::default() };
    let mut sinks: Vec<Grouping<'_>> = (0..parts).map(|_| grouping()).collect();
    reader::read(call.args.reader, opened, plan, filter, which, &mut sinks)
        .map_err(|e| operation_failed(Doing::List, &e))?;
    let mut outcome = Outcome::default();
    for sink in sinks {
        sink.groups.finish();
        outcome.add(sink.outcome);
    }
    let (flows, groups) = (outcome.check()?, shared.into_shards());
    let report = Report::new(&groups, keys, call.args.top);
    print(&report, call.args.output.json).map_err(|e| output_failed(&e))?;
    if let Some(text) = report.bound_text() {
        warn(text.as_bytes());
    }
    if order != Order::Flows && flows > 0 && groups.total().packets == 0 {
        let name = order.name();
        let text = format!("WARNING: no flow counts {name}: with sysctl {ACCOUNTING}=1 new flows do");
        warn(text.as_bytes());
    }
    let kept = groups.len();
    let groups = if report.bound_text().is_some() { format!("more than {kept}") } else { kept.to_string() };
    call.name.say(format!("{flows} flow entries in {groups} groups.").as_bytes());
    Ok(())
}

fn print(report: &Report<'_>, json: bool) -> io::Result<()> {
    let mut out = Printer::new(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    if json { report.write_json(&mut out) } else { report.write_text(&mut out) }?;
    out.flush()
}
