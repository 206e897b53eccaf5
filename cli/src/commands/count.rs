//! `-C`: how many entries there are.

use super::{Invocation, output_failed};
use crate::fail::{Doing, Fail, operation_failed};
use std::io::Write as _;
use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_wire::consts::af;
use zct_wire::filter::DumpFilter;
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

/// `-C`: prints how many flows there are.
pub fn flows(call: &Invocation) -> Result<(), Fail> {
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

/// `-C expect`: prints how many expectations there are, of IPv4 only, as in the original.
pub fn expectations(call: &Invocation) -> Result<(), Fail> {
    let ask = DumpFilter { family: af::INET, ..DumpFilter::default() };
    let mut sink = Tally { count: 0, lost: None };
    let asked = Requests::open().and_then(|mut r| {
        r.dump(|buf, seq| request::dump(buf, seq, request::Table::Expect, &ask), &mut sink)
    });
    print(call, sink.count, None)?;
    asked.map_err(|e| operation_failed(Doing::Statistics, &e))?;
    match sink.lost {
        None => Ok(()),
        Some(why) => Err(Fail::runtime(format!("The count is incomplete: {why}"))),
    }
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
