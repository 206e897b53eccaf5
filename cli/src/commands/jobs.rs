//! `-L --jobs N`: the table in parts, several at a time.
//!
//! Dumps on different sockets run at the same time, but each of them walks all buckets (ctnetlink.md §6.4).
//! So there should be few parts, of equal size. A sample of the table decides on them; the table is in the
//! order of a hash, so the first flows are a fair sample.

use super::shown::Flows;
use super::{Invocation, Outcome, output_failed};
use crate::fail::{Doing, Fail, operation_failed};
use crate::filter::Filter;
use crate::output::{Document, Presenter};
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use zct_engine::dump::End;
use zct_engine::table::Table;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_wire::consts::{af, ips};
use zct_wire::filter::{DumpFilter, Masked};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request;

/// Flows looked at to decide on the parts.
const SAMPLE: u64 = 1000;
/// A part with at most this share of the flows, in percent, needs no further division for two jobs.
const EVEN: u64 = 65;

/// What the sample found.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    seen: u64,
    ipv4: u64,
}

impl Sink for Sample {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.seen += 1;
        if FlowView::index(msg).is_ok_and(|f| f.family() == af::INET) {
            self.ipv4 += 1;
        }
        if self.seen < SAMPLE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn lost(&mut self, _: Lost) {}
}

impl Sample {
    /// True when neither family has much more than half of the flows.
    fn is_even(&self) -> bool {
        self.ipv4 * 100 <= self.seen * EVEN && (self.seen - self.ipv4) * 100 <= self.seen * EVEN
    }
}

/// The dumps that together are the whole selection.
fn parts(filter: &Filter, jobs: usize, sample: &Sample) -> Vec<DumpFilter> {
    let plain = filter.for_kernel();
    let families = match filter.family {
        Some(family) => vec![family],
        None => vec![af::INET, af::INET6],
    };
    let by_family = families.iter().map(|family| plain.with(|it| it.family = *family));
    // The kernel takes one filter on the status: if the selection uses it, the parts cannot.
    let enough = jobs <= families.len() && sample.is_even();
    if enough || plain.status.is_some() {
        return by_family.collect();
    }
    let assured = |value| Some(Masked { value, mask: ips::ASSURED });
    by_family
        .flat_map(|part| [ips::ASSURED, 0].map(|value| part.with(|it| it.status = assured(value))))
        .collect()
}

/// Standard output for several threads. Lines stay whole, because each write has only whole lines.
#[derive(Clone)]
struct SharedOutput(Arc<Mutex<File>>);

impl Write for SharedOutput {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(buf)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes what prints a part, for each thread one.
fn presenters(call: &Invocation) -> io::Result<impl Fn() -> Presenter> {
    let to = SharedOutput(Arc::new(Mutex::new(File::from(io::stdout().as_fd().try_clone_to_owned()?))));
    Ok(move || Presenter::over(to.clone(), &call.args.output, Document::Conntrack, call.labels.clone()))
}

/// Reads the table by BPF in equal parts, each on a thread of its own; `all` gets what came of them.
///
/// # Errors
/// As [`Table::read_in_parts`]; nothing has been printed then.
pub(super) fn by_bpf(
    call: &Invocation,
    table: &mut Table,
    parts: usize,
    all: &mut Flows,
) -> Result<End, String> {
    let presenter = presenters(call).map_err(|e| e.to_string())?;
    let mut sinks: Vec<Flows> = (0..parts).map(|_| Flows::over(all.filter.clone(), presenter())).collect();
    let end = table.read_in_parts(&mut sinks)?;
    for mut part in sinks {
        part.finish(false);
        all.outcome.add(part.outcome);
    }
    Ok(end)
}

/// Lists the table in parts, each on a thread of its own.
pub(super) fn flows(call: &Invocation, filter: Filter) -> Result<(), Fail> {
    let failed = |e: &Error| operation_failed(Doing::List, e);
    let mut sample = Sample::default();
    let plain = filter.for_kernel();
    Requests::open()
        .and_then(|mut r| {
            r.dump(|buf, seq| request::dump(buf, seq, request::Table::Conntrack, &plain), &mut sample)
        })
        .map_err(|e| failed(&e))?;
    let parts = Mutex::new(parts(&filter, call.args.jobs, &sample));
    let presenter = presenters(call).map_err(|e| output_failed(&e))?;
    let work = || -> Result<Outcome, Error> {
        let mut sink = Flows::over(filter.clone(), presenter());
        let mut requests = Requests::open()?;
        loop {
            let next = parts.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(part) = next else { break };
            requests.dump(|buf, seq| request::dump(buf, seq, request::Table::Conntrack, &part), &mut sink)?;
        }
        sink.finish(false);
        Ok(sink.outcome)
    };
    let before = zct_engine::request::buckets();
    let done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..call.args.jobs.min(4)).map(|_| scope.spawn(work)).collect();
        let join = |w: std::thread::ScopedJoinHandle<'_, _>| {
            // A panic in a worker continues in this thread.
            w.join().unwrap_or_else(|p| std::panic::resume_unwind(p))
        };
        workers.into_iter().map(join).collect()
    });
    let mut outcome = Outcome::default();
    for part in done {
        outcome.add(part.map_err(|e| failed(&e))?);
    }
    if before != zct_engine::request::buckets() {
        outcome.lost(Lost::Resized);
    }
    let shown = outcome.check()?;
    call.name.say(format!("{shown} flow entries have been shown.").as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::list::Status;

    #[test]
    fn parts_cover_everything_once() {
        let any = Filter::default();
        let even = Sample { seen: 100, ipv4: 50 };
        let v4 = Sample { seen: 100, ipv4: 100 };
        let families = |p: &[DumpFilter]| p.iter().map(|d| d.family).collect::<Vec<_>>();
        assert_eq!(families(&parts(&any, 2, &even)), [af::INET, af::INET6]);
        let four = parts(&any, 2, &v4);
        assert_eq!(families(&four), [af::INET, af::INET, af::INET6, af::INET6]);
        assert!(four.iter().all(|d| d.status.unwrap().mask == ips::ASSURED));
        assert_eq!(parts(&any, 4, &even).len(), 4);
        let v6 = Filter { family: Some(af::INET6), ..Filter::default() };
        assert_eq!(parts(&v6, 2, &v4).len(), 2);
        let assured =
            Filter { status: Status { set: ips::ASSURED, ..Status::default() }, ..Filter::default() };
        assert_eq!(parts(&assured, 4, &even).len(), 2);
    }
}
