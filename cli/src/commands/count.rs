//! `-C`: how many entries there are.

use super::{Invocation, output_failed};
use crate::fail::{Doing, Fail, operation_failed, warn};
use crate::filter::Filter;
use crate::flags::selection;
use crate::reader;
use crate::table_selection;
use crate::values::list::Output;
use std::io::Write as _;
use std::ops::ControlFlow;
use zct_engine::table::Table;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_wire::consts::{af, cta};
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request;
use zct_wire::stats::GlobalStats;
use zct_wire::text::{Out, json};

/// Where the kernel shows the number without netlink, and without privilege.
const PROC_COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

#[derive(Default)]
struct Global {
    stats: GlobalStats,
    lost: Option<Lost>,
}

impl Sink for Global {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match GlobalStats::parse(msg) {
            Ok(stats) => self.stats = stats,
            Err(e) => self.lost(Lost::Damaged(e)),
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.lost = Some(why);
    }
}

/// `-C`: prints how many flows there are, or how many of them match.
pub fn flows(call: &Invocation) -> Result<(), Fail> {
    let filter = selection::checked_filter(&call.args, call.label_bits.clone())?;
    let args = &call.args;
    let opened = || reader::open(args.reader, request::Table::Conntrack, &Output::default(), &filter);
    if super::explained(args, &filter, || reader::explain(&opened()))? {
        return Ok(());
    }
    if filter == Filter::default() {
        return all_flows(call);
    }
    let opened = opened();
    matching_flows(call, filter, opened)
}

/// Prints the kernel's own number.
fn all_flows(call: &Invocation) -> Result<(), Fail> {
    let mut sink = Global::default();
    let asked = Requests::open().and_then(|mut r| r.ask(request::stats, &mut sink));
    if let Err(e) = asked {
        return count_from_proc(call, &e);
    }
    match (sink.stats.entries, sink.lost) {
        (Some(n), None) => print(call, u64::from(n), sink.stats.max_entries.map(u64::from)),
        (_, Some(why)) => Err(Fail::runtime(format!("The answer is incomplete: {why}"))),
        (None, None) => Err(Fail::runtime("The kernel did not say how many entries there are")),
    }
}

/// The flows that match.
struct Matching<'a> {
    filter: &'a Filter,
    tally: Tally,
    /// True when any flow carried a security mark to compare.
    secmark_seen: bool,
}

impl Sink for Matching<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let matched = FlowView::index(msg).and_then(|f| Ok((f, self.filter.matches(&f)?)));
        match matched {
            Ok((f, true)) => {
                self.secmark_seen |= f.has(cta::SECMARK);
                self.tally.count += 1;
            }
            Ok((_, false)) => {}
            Err(e) => self.lost(Lost::Damaged(e)),
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.tally.lost(why);
    }
}

/// Prints how many flows match. Unlike with `-D`, none is not a failure.
fn matching_flows(call: &Invocation, filter: Filter, mut opened: Result<Table, String>) -> Result<(), Fail> {
    let parts = reader::parts(call.args.jobs);
    // Where the kernel cannot count, the flows are read.
    if let (Ok(table), Some(selection)) = (&mut opened, table_selection::exact(&filter)) {
        if let Ok(count) = table.count(&selection, parts) {
            return print(call, count, None);
        }
    }
    let matching = || Matching { filter: &filter, tally: Tally::default(), secmark_seen: false };
    let mut sinks: Vec<Matching<'_>> = (0..parts).map(|_| matching()).collect();
    let plan = super::plan(&call.args, &filter);
    reader::read(call.args.reader, opened, &plan, &filter, request::Table::Conntrack, &mut sinks)
        .map_err(|e| operation_failed(Doing::List, &e))?;
    let secmark_seen = sinks.iter().any(|s| s.secmark_seen);
    let all = sinks.into_iter().fold(Tally::default(), |all, one| all.and(one.tally));
    print(call, all.count, None)?;
    if call.args.secmark.is_some() && !secmark_seen && all.count > 0 {
        warn(super::NO_SECMARKS);
    }
    all.check()
}

/// Without netlink the number comes from `/proc`. The error is reported all the same, with exit 1.
fn count_from_proc(call: &Invocation, error: &Error) -> Result<(), Fail> {
    let failed = operation_failed(Doing::Other, error);
    let Ok(text) = std::fs::read_to_string(PROC_COUNT) else {
        return Err(Fail::runtime(format!("Can't open {PROC_COUNT}")));
    };
    let Ok(count) = text.trim_ascii().parse() else {
        return Err(Fail::runtime(format!("Can't read {PROC_COUNT}")));
    };
    print(call, count, None)?;
    Err(failed)
}

#[derive(Default)]
struct Tally {
    count: u64,
    lost: Option<Lost>,
}

impl Sink for Tally {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        self.count += 1;
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.lost = Some(why);
    }
}

impl Tally {
    /// The sum of this tally and that of another part.
    fn and(self, other: Tally) -> Tally {
        Tally { count: self.count + other.count, lost: self.lost.or(other.lost) }
    }

    /// A count of a part must not look like that of the whole.
    fn check(self) -> Result<(), Fail> {
        self.lost.map_or(Ok(()), |why| Err(Fail::runtime(format!("The count is incomplete: {why}"))))
    }
}

/// `-C expect`: prints how many expectations there are, of IPv4 only, as in the original.
pub fn expectations(call: &Invocation) -> Result<(), Fail> {
    let ask = DumpFilter::default().with(|it| it.family = af::INET);
    let mut sink = Tally::default();
    let asked = Requests::open().and_then(|mut r| {
        r.dump(|buf, seq| request::dump(buf, seq, request::Table::Expect, &ask), &mut sink)
    });
    print(call, sink.count, None)?;
    asked.map_err(|e| operation_failed(Doing::Statistics, &e))?;
    sink.check()
}

fn print(call: &Invocation, count: u64, max: Option<u64>) -> Result<(), Fail> {
    let mut room = [0; 64];
    let mut text = Out::new(&mut room);
    if call.args.output.json {
        json::count(&mut text, count, max);
    } else {
        text.u64(count);
    }
    text.byte(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(text.written()).and_then(|()| out.flush()).map_err(|e| output_failed(&e))
}
