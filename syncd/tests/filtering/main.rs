//! Which flows the configuration's filter lets through: zctd beside conntrackd.
//!
//! What the original has in its cache after its initial dump is in a golden file; another test asks the real
//! one again, in a private network namespace.

mod cases;
mod real;

use cases::FLOWS;
use std::fmt::Write as _;
use zctd::config::flow_filter::{FilterVerdict, FlowFilter};
use zctd::config::{self, protocols::Protocols};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filtering/conntrackd-1.4.7.txt");
const HEADER: &str = "\
# The flows that conntrackd 1.4.7 (Debian 12, Linux 6.18) has in its cache with each filter, by source port.
# Renewed by: ZCT_GOLDEN=write cargo test -p zctd --test filtering conntrackd_passes_what
";

/// The ids of the flows that pass, ascending.
fn passing(filter: &str) -> Vec<u16> {
    let text = format!("General {{ {filter} }}\n");
    let loaded = config::load(text.as_bytes(), &Protocols::default());
    let filter = FlowFilter::new(&loaded.config.expect("the filter loads").general.filter);
    let pass = FLOWS.iter().filter(|f| filter.judge(&f.subject()) == FilterVerdict::Pass);
    let mut ids: Vec<u16> = pass.map(|f| f.id).collect();
    ids.sort_unstable();
    ids
}

fn golden() -> Vec<(String, Vec<u16>)> {
    let text = std::fs::read_to_string(GOLDEN).unwrap_or_else(|e| panic!("{GOLDEN}: {e}"));
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines
        .map(|l| {
            let (ids, filter) = l.split_once('\t').unwrap_or_else(|| panic!("no tab in {l}"));
            (filter.to_owned(), ids.split_whitespace().map(|n| n.parse().unwrap()).collect())
        })
        .collect()
}

#[test]
fn zctd_passes_what_conntrackd_passes() {
    let golden = golden();
    assert!(golden.len() > 500, "{}", golden.len());
    for (filter, ids) in golden {
        assert_eq!(passing(&filter), ids, "{filter}");
    }
}

/// Asks about some of the filters, or about all with `ZCT_ORACLE=all`; `ZCT_GOLDEN=write` rewrites the file.
#[test]
fn conntrackd_passes_what_the_golden_file_says() {
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|v| v == value);
    let filters = cases::filters();
    if is("ZCT_GOLDEN", "write") {
        let mut out = String::from(HEADER);
        for (filter, ids) in filters.iter().zip(real::passing(&filters)) {
            let ids: Vec<_> = ids.iter().map(u16::to_string).collect();
            writeln!(out, "{}\t{filter}", ids.join(" ")).unwrap();
        }
        return std::fs::write(GOLDEN, out).unwrap();
    }
    let golden = golden();
    let same = golden.iter().map(|(f, _)| f).eq(&filters);
    assert!(same, "the filters have changed: ZCT_GOLDEN=write renews the golden file");
    let step = if is("ZCT_ORACLE", "all") { 1 } else { 29 };
    let part: Vec<_> = golden.into_iter().step_by(step).collect();
    let filters: Vec<String> = part.iter().map(|(f, _)| f.clone()).collect();
    for (now, (filter, then)) in real::passing(&filters).into_iter().zip(part) {
        assert_eq!(now, then, "{filter}");
    }
}
