//! `-S`: the kernel's counters, one line per CPU.

use super::{Invocation, output_failed};
use crate::fail::{Doing, Fail, operation_failed};
use crate::stdout::{PrintError, Printer};
use std::io::{self, Write};
use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_wire::header::CtMsg;
use zct_wire::request;
use zct_wire::stats::CpuStats;
use zct_wire::text::stats::{self, CounterSet};

/// Where the kernel shows its counters without netlink.
const PROC_STATS: &str = "/proc/net/stat/nf_conntrack";

struct Lines {
    which: CounterSet,
    json: bool,
    out: Printer,
    failed: Option<PrintError>,
    lost: Option<Lost>,
}

impl Sink for Lines {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let cpu = CpuStats::new(msg);
        let printed = self.out.print(&mut |out| {
            match self.json {
                true => stats::json(out, &cpu, self.which)?,
                false => stats::line(out, &cpu, self.which)?,
            }
            out.byte(b'\n');
            Ok(())
        });
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                self.failed = Some(e);
                ControlFlow::Break(())
            }
        }
    }

    fn lost(&mut self, why: Lost) {
        self.lost = Some(why);
    }
}

/// `-S`, `-S expect`: prints the counters of every CPU.
pub fn show(call: &Invocation, which: CounterSet) -> Result<(), Fail> {
    let (json, out) = (call.args.output.json, Printer::new(io::stdout()));
    let mut sink = Lines { which, json, out, failed: None, lost: None };
    let expect = which == CounterSet::Expectations;
    let asked =
        Requests::open().and_then(|mut r| r.dump(|buf, seq| request::stats_cpu(buf, seq, expect), &mut sink));
    let flushed = sink.out.flush();
    let (failed, lost) = (sink.failed, sink.lost);
    if let Err(e) = asked {
        return stats_from_proc(which, json, &e);
    }
    match (flushed, failed, lost) {
        (Err(e), ..) | (_, Some(PrintError::Io(e)), _) => Err(output_failed(&e)),
        (_, Some(PrintError::Wire(e)), _) => Err(Fail::runtime(format!("Unreadable statistics: {e}"))),
        (_, _, Some(why)) => Err(Fail::runtime(format!("The statistics are incomplete: {why}"))),
        (Ok(()), None, None) => Ok(()),
    }
}

/// Without netlink the counters come from `/proc`, those of flows and of expectations in one table. The
/// error is reported all the same, with exit 1.
fn stats_from_proc(which: CounterSet, json: bool, error: &Error) -> Result<(), Fail> {
    let doing = if which == CounterSet::Flows { Doing::Other } else { Doing::Statistics };
    let failed = operation_failed(doing, error);
    // No JSON here, because it is not certain what the names in /proc mean.
    if !json {
        let Ok(text) = std::fs::read_to_string(PROC_STATS) else {
            return Err(Fail::runtime("Can't open /proc interface"));
        };
        let mut out = io::stdout().lock();
        out.write_all(proc_lines(&text).as_bytes())
            .and_then(|()| out.flush())
            .map_err(|e| output_failed(&e))?;
    }
    Err(failed)
}

/// Turns the table of `/proc` into our lines. It has a header of names, then a row of hexadecimal numbers
/// per CPU.
fn proc_lines(text: &str) -> String {
    let mut rows = text.lines();
    let names: Vec<&str> = rows.next().unwrap_or_default().split_ascii_whitespace().collect();
    let mut lines = String::new();
    for (cpu, row) in rows.enumerate() {
        lines += &format!("cpu={cpu:<4}\t");
        for (name, value) in names.iter().zip(row.split_ascii_whitespace()) {
            let value = u64::from_str_radix(value, 16).unwrap_or(0);
            lines += &format!("{name}={value} ");
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_proc_as_lines() {
        let text = "entries  found\n0000000a 00000001\n0000000a 000000ff\n";
        assert_eq!(proc_lines(text), "cpu=0   \tentries=10 found=1 \ncpu=1   \tentries=10 found=255 \n");
    }
}
