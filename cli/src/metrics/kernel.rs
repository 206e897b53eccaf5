//! What the kernel says of its connection tracking without a look at the table, and the families it makes.

use super::census::Census;
use super::question::{Answer, By};
use crate::fail::{Doing, Fail, VERSION, operation_failed};
use std::io;
use std::time::Duration;
use zct_engine::{Error, Requests};
use zct_wire::WireError;
use zct_wire::consts::cta_stats;
use zct_wire::filter::DumpFilter;
use zct_wire::request;
use zct_wire::stats::{CpuStats, GlobalStats};
use zct_wire::text::Out;
use zct_wire::text::metrics::Family;

const BUILD: Family = Family::gauge("zct_build_info", "The release of zct; always 1.");
const ENTRIES: Family = Family::gauge("zct_entries", "Flows in the table of this network namespace.");
const ENTRIES_LIMIT: Family = Family::gauge("zct_entries_limit", "Most flows that the table takes.");
const BUCKETS: Family = Family::gauge("zct_buckets", "Buckets of the hash table.");
const EXPECTATIONS: Family =
    Family::gauge("zct_expectations", "Expected connections in this network namespace.");
const EXPECTATIONS_LIMIT: Family =
    Family::gauge("zct_expectations_limit", "Most expected connections there can be.");
const DURATION: Family =
    Family::gauge("zct_scrape_duration_seconds", "How long it took to ask the kernel for all this.");

/// Counters of a CPU by their CTA_STATS number, those of older kernels too.
const COUNTERS: [(u16, Family); 15] = [
    counter(cta_stats::SEARCHED, "zct_stat_searched_total", "Look-ups in the table."),
    counter(cta_stats::FOUND, "zct_stat_found_total", "Look-ups that found an entry."),
    counter(cta_stats::NEW, "zct_stat_new_total", "Entries made for packets that belonged to none."),
    counter(cta_stats::INVALID, "zct_stat_invalid_total", "Packets that cannot be tracked."),
    counter(cta_stats::IGNORE, "zct_stat_ignore_total", "Packets that were tracked already."),
    counter(cta_stats::DELETE, "zct_stat_delete_total", "Entries removed."),
    counter(cta_stats::DELETE_LIST, "zct_stat_delete_list_total", "Entries put on the list of dying ones."),
    counter(cta_stats::INSERT, "zct_stat_insert_total", "Entries that programs inserted into the table."),
    counter(
        cta_stats::INSERT_FAILED,
        "zct_stat_insert_failed_total",
        "Entries that were not inserted, because the same one was there already.",
    ),
    counter(
        cta_stats::DROP,
        "zct_stat_drop_total",
        "Packets dropped because no entry could be made for them, or a helper refused them.",
    ),
    counter(
        cta_stats::EARLY_DROP,
        "zct_stat_early_drop_total",
        "Entries removed to make room for new ones in a full table.",
    ),
    counter(
        cta_stats::ERROR,
        "zct_stat_error_total",
        "Packets for which the checks of their protocol failed.",
    ),
    counter(
        cta_stats::SEARCH_RESTART,
        "zct_stat_search_restart_total",
        "Look-ups that began again because the table was resized meanwhile.",
    ),
    counter(
        cta_stats::CLASH_RESOLVE,
        "zct_stat_clash_resolve_total",
        "Clashes of two packets that made the same entry at once, resolved.",
    ),
    counter(
        cta_stats::CHAIN_TOOLONG,
        "zct_stat_chaintoolong_total",
        "Entries that were not inserted because their bucket was too long.",
    ),
];

const fn counter(kind: u16, name: &'static str, help: &'static str) -> (u16, Family) {
    (kind, Family::counter(name, help))
}

/// The counters of one CPU, in the order of [`COUNTERS`]; `None` for those that this kernel does not have.
#[derive(Debug)]
struct Cpu {
    number: u16,
    counters: [Option<u32>; COUNTERS.len()],
}

impl Cpu {
    fn new(stats: &CpuStats<'_>) -> Result<Cpu, WireError> {
        let mut counters = [None; COUNTERS.len()];
        for counter in stats.counters() {
            let (kind, value) = counter?;
            if let Some(at) = COUNTERS.iter().position(|(k, _)| *k == kind) {
                counters[at] = Some(value);
            }
        }
        Ok(Cpu { number: stats.cpu, counters })
    }
}

/// Something that writes one family.
pub(super) type Write<'a> = &'a dyn Fn(&mut Out<'_>);

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Kernel {
    cpus: Vec<Cpu>,
    stats: GlobalStats,
    expectations: u64,
    expectations_limit: Option<u64>,
    buckets: Option<u64>,
    /// The flows by what was asked for.
    census: Option<Census>,
    /// How long it took to ask.
    pub(super) duration: Duration,
}

impl Kernel {
    /// Asks the kernel, and counts the flows of the table if they are to be counted by something.
    pub(super) fn read(by: By) -> Result<Kernel, Fail> {
        let mut requests = Requests::open().map_err(|e| operation_failed(Doing::Other, &e))?;
        let failed = |e: Error| operation_failed(Doing::Other, &e);
        let mut cpus = Answer::new(|msg, cpus: &mut Vec<Cpu>| {
            cpus.push(Cpu::new(&CpuStats::new(msg))?);
            Ok(())
        });
        requests.dump(|buf, seq| request::stats_cpu(buf, seq, false), &mut cpus).map_err(failed)?;
        let mut stats = Answer::new(|msg, stats| {
            *stats = GlobalStats::parse(msg)?;
            Ok(())
        });
        requests.ask(request::stats, &mut stats).map_err(failed)?;
        let mut expectations = Answer::new(|_, count| {
            *count += 1;
            Ok(())
        });
        let all = DumpFilter::default();
        let table = request::Table::Expect;
        requests.dump(|buf, seq| request::dump(buf, seq, table, &all), &mut expectations).map_err(failed)?;
        let census = if by == By::default() { None } else { Some(Census::take(by)?) };
        Ok(Kernel {
            cpus: cpus.complete()?,
            stats: stats.complete()?,
            expectations: expectations.complete()?,
            expectations_limit: zct_engine::request::expectations_limit(),
            buckets: zct_engine::request::buckets(),
            census,
            duration: Duration::ZERO,
        })
    }

    /// Hands over every family, as something that writes it.
    pub(super) fn families(&self, each: &mut dyn FnMut(Write<'_>) -> io::Result<()>) -> io::Result<()> {
        each(&|out| BUILD.write(out).sample(&[("version", VERSION.as_bytes())], 1u32))?;
        let one = |family: &'static Family, value: Option<u64>| {
            move |out: &mut Out<'_>| {
                if let Some(v) = value {
                    family.single(out, v);
                }
            }
        };
        each(&one(&ENTRIES, self.stats.entries.map(u64::from)))?;
        each(&one(&ENTRIES_LIMIT, self.stats.max_entries.map(u64::from)))?;
        each(&one(&BUCKETS, self.buckets))?;
        each(&one(&EXPECTATIONS, Some(self.expectations)))?;
        each(&one(&EXPECTATIONS_LIMIT, self.expectations_limit))?;
        for (at, (_, family)) in COUNTERS.iter().enumerate() {
            each(&|out| {
                let mut samples = family.write(out);
                for cpu in &self.cpus {
                    if let Some(v) = cpu.counters[at] {
                        samples.sample(&[("cpu", cpu.number.to_string().as_bytes())], v);
                    }
                }
            })?;
        }
        if let Some(census) = &self.census {
            each(&|out| census.write(out))?;
        }
        each(&|out| DURATION.single(out, self.duration))
    }
}
