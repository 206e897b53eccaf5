//! By which way the table is read: a netlink dump, or a BPF program that walks it (bpf-table.md).

use crate::dump_plan::Plan;
use crate::fail::warn;
use crate::filter::Filter;
use crate::table_selection;
use crate::values::list::Output;
use zct_engine::dump::End;
use zct_engine::table::Table;
use zct_engine::{Error, Sink, processors};
use zct_wire::request;

/// What `--reader` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// BPF where it gives the same and is expected to be faster.
    #[default]
    Auto,
    /// BPF wherever it gives the same.
    Bpf,
    /// A dump.
    Netlink,
}

/// With fewer flows, loading and checking the programs takes longer than a dump (perf/NOTES.md).
const PAYS: u64 = 10_000;

impl Reader {
    /// The value of the option.
    pub fn parse(word: &[u8]) -> Option<Reader> {
        match word {
            b"auto" => Some(Reader::Auto),
            b"bpf" => Some(Reader::Bpf),
            b"netlink" => Some(Reader::Netlink),
            _ => None,
        }
    }

    /// Says why netlink reads the table, where BPF was asked for by its name.
    pub fn fell_back(self, why: &str) {
        if self == Reader::Bpf {
            // The verifier's own words follow in further lines.
            let why = why.lines().next().unwrap_or(why);
            warn(format!("WARNING: --reader=bpf: netlink reads the table: {why}").as_bytes());
        }
    }
}

/// Opens the table for the BPF reader, and lets it leave out what the filter does not match.
///
/// # Errors
/// Why netlink has to read it, in words for `--explain`.
pub fn open(
    reader: Reader,
    which: request::Table,
    output: &Output,
    filter: &Filter,
) -> Result<Table, String> {
    if reader == Reader::Netlink {
        return Err("--reader=netlink".to_owned());
    }
    if which != request::Table::Conntrack {
        let what = match which {
            request::Table::ConntrackZero => "resets counters (-z)",
            request::Table::Dying => "lists dying flows",
            request::Table::Unconfirmed => "lists unconfirmed flows",
            _ => "lists expectations",
        };
        return Err(format!("only netlink {what}"));
    }
    let needs = [
        (output.id, "ids (-o id)"),
        // Each element has one.
        (output.xml && !output.json, "ids (-o xml)"),
        (filter.id.is_some(), "ids (--id)"),
        (filter.secmark.is_some(), "security marks (-c)"),
    ];
    if let Some((_, what)) = needs.iter().find(|(asked, _)| *asked) {
        return Err(format!("only netlink knows {what}"));
    }
    let flows = zct_engine::request::flows().unwrap_or(0);
    if reader == Reader::Auto && flows < PAYS {
        return Err(format!("with {flows} flows BPF takes longer"));
    }
    let mut table = Table::open()?;
    table.select(&table_selection::selection(filter));
    Ok(table)
}

/// Hands every flow to one of the sinks: by BPF where the table could be `opened`, in as many parts as there are
/// sinks, which are 1, 2 or 4; else all to the first, as planned.
///
/// # Errors
/// Those of the dumps.
pub fn read<S: Sink + Send>(
    reader: Reader,
    opened: Result<Table, String>,
    plan: &Plan,
    filter: &Filter,
    which: request::Table,
    sinks: &mut [S],
) -> Result<End, Error> {
    let read =
        opened.and_then(|mut table| table.read_in_parts(sinks)).inspect_err(|why| reader.fell_back(why));
    match (read, sinks) {
        (Err(_), [first, ..]) => plan.run(filter, which, first),
        (Err(_), []) => Ok(End::Done),
        (Ok(end), _) => Ok(end),
    }
}

/// In how many parts to read at the same time: as many as there are processors that this program may use, or as
/// `jobs` says, but 1, 2 or 4. How busy the processors are is not asked: no part waits for another, and what can be
/// known of that is over a moment later.
pub fn parts(jobs: usize) -> usize {
    let wanted = if jobs > 0 { jobs } else { processors() };
    match wanted {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 4,
    }
}

/// The line of `--explain`.
pub fn explain(opened: &Result<Table, String>) -> String {
    match opened {
        Ok(table) => format!("read by BPF: {table}\n"),
        Err(why) => format!("read by netlink: {why}\n"),
    }
}
