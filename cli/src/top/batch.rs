//! `zct top` without a terminal: each reading as text, or as JSON with one object per line.

use super::options::{TopAsked, TopSelection};
use super::reading::{Reading, TopReader};
use crate::commands::output_failed;
use crate::fail::{Fail, warn};
use crate::group::order::Order;
use crate::group::report::{self, Columns};
use std::io::{self, Write as _};
use std::time::{Duration, Instant, SystemTime};

/// Groups that a reading shows unless --rows says otherwise.
const ROWS: usize = 20;

/// Prints one reading, or one after the other until the reader is gone.
pub(super) fn run(asked: &TopAsked, selection: &TopSelection) -> Result<(), Fail> {
    let mut reader = TopReader::new();
    let mut due = Instant::now();
    // A rate needs two readings, of which the first shows nothing.
    let mut silent = asked.once && asked.order == Order::Rate;
    let mut told = false;
    loop {
        let Some(reading) = reader.read(selection, &asked.keys, asked.order, &mut || false)? else {
            return Ok(());
        };
        if !silent {
            let rows = reading.largest(asked.order, Some(asked.rows.unwrap_or(ROWS)));
            let text = if asked.json { json(&reading, &rows) } else { text(&reading, &rows) };
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| output_failed(&e))?;
            // What is missing stays missing, so it is said once.
            let rates_to_come = asked.order == Order::Rate && reading.counted;
            if let Some(why) = reading.missing(asked.order).filter(|_| !told && !rates_to_come) {
                warn(format!("WARNING: {why}").as_bytes());
                told = true;
            }
            if let Some(why) = reading.lost {
                warn(format!("WARNING: flows may be missing: {why}").as_bytes());
            }
            if asked.once {
                return Ok(());
            }
        }
        silent = false;
        due = (due + asked.delay).max(Instant::now());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Seconds since the epoch with three decimals.
fn time(t: SystemTime) -> String {
    let since = t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}", since.as_secs(), since.subsec_millis())
}

/// A rate with one decimal.
fn rate(r: f64) -> String {
    format!("{r:.1}")
}

fn or_absent(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// A line about the whole, the names of the columns, the groups, and an empty line.
fn text(reading: &Reading, rows: &[usize]) -> String {
    let system = reading.system;
    let limit = system.limit.map_or(String::new(), |l| format!("/{l}"));
    let (drop, early) = reading.dropped().unwrap_or_default();
    let mut out = format!(
        "time {}  table {}{limit}  flows {}  groups {}{}  new/s {}  drop {} +{drop}  early_drop {} +{early}\n",
        time(reading.time),
        system.entries,
        reading.total().flows,
        reading.groups.len(),
        if reading.groups.estimated().is_some() { "+" } else { "" },
        or_absent(reading.all_new_flows().map(rate)),
        system.drop,
        system.early_drop,
    );
    let names = report::names(&reading.keys);
    let mut columns = Columns::names_first(names.len());
    let header: Vec<String> = names.into_iter().chain(super::view::figure_names(reading)).collect();
    let lines: Vec<Vec<String>> = rows.iter().map(|group| row(reading, *group)).collect();
    columns.fit(&header);
    lines.iter().for_each(|cells| columns.fit(cells));
    for cells in std::iter::once(&header).chain(&lines) {
        out += &columns.line(cells);
        out.push('\n');
    }
    out + "\n"
}

fn row(reading: &Reading, group: usize) -> Vec<String> {
    let g = reading.groups.group(group);
    let mut cells = report::cells(&reading.keys, &reading.keys.values(&g.key));
    if let Some(order) = reading.groups.estimated() {
        cells.extend([g.counts.by(order).to_string(), g.over.to_string()]);
        return cells;
    }
    cells.extend([g.counts.flows.to_string(), or_absent(reading.new_flows(group).map(rate))]);
    if reading.counted {
        let (packets, bytes) = (g.counts.packets.to_string(), g.counts.bytes.to_string());
        cells.extend([packets, bytes, or_absent(reading.rate(group).map(|r| format!("{r:.0}")))]);
    }
    if reading.timed {
        cells.push(or_absent(reading.age_s(group).map(|s| s.to_string())));
    }
    cells
}

/// One object, and a newline (docs/groups-schema.json).
fn json(reading: &Reading, rows: &[usize]) -> String {
    let member =
        |name: &str, value: Option<String>| value.map_or(String::new(), |v| format!(",\"{name}\":{v}"));
    let system = reading.system;
    let (total, estimated) = (reading.total(), reading.groups.estimated());
    let (drop, early) = reading.dropped().map_or((None, None), |(d, e)| (Some(d), Some(e)));
    let mut out = format!("{{\"time\":{},\"entries\":{}", time(reading.time), system.entries);
    out += &member("limit", system.limit.map(|l| l.to_string()));
    out += &format!(",\"drop\":{},\"early_drop\":{}", system.drop, system.early_drop);
    out += &member("drop_since", drop.map(|n| n.to_string()));
    out += &member("early_drop_since", early.map(|n| n.to_string()));
    out += &member("interval", reading.span.map(|s: Duration| format!("{:.3}", s.as_secs_f64())));
    out += &format!(",\"flows\":{}", total.flows);
    if reading.counted {
        out += &format!(",\"packets\":{},\"bytes\":{}", total.packets, total.bytes);
    }
    out += &member("new_per_second", reading.all_new_flows().map(rate));
    out += &member("bytes_per_second", reading.all_rate().map(rate));
    out += &member("groups", estimated.is_none().then(|| reading.groups.len().to_string()));
    out += &member("over_max", estimated.map(|_| reading.groups.bound().to_string()));
    out += ",\"rows\":[";
    for (at, group) in rows.iter().enumerate() {
        let g = reading.groups.group(*group);
        let key = report::json_key(&reading.keys, &reading.keys.values(&g.key));
        out += if at > 0 { "," } else { "" };
        out += &format!("{{\"by\":{{{key}}}");
        if let Some(order) = estimated {
            out += &format!(",\"{}\":{},\"over\":{}}}", order.name(), g.counts.by(order), g.over);
            continue;
        }
        out += &format!(",\"flows\":{}", g.counts.flows);
        out += &member("new_per_second", reading.new_flows(*group).map(rate));
        if reading.counted {
            out += &format!(",\"packets\":{},\"bytes\":{}", g.counts.packets, g.counts.bytes);
        }
        out += &member("bytes_per_second", reading.rate(*group).map(rate));
        out += &member("age", reading.age_s(*group).map(|s| s.to_string()));
        out.push('}');
    }
    out + "]}\n"
}
