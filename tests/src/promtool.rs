//! Metrics read back: by `promtool`, which knows the format and its customs, and sample by sample.

use crate::program::{Exit, find, run};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Fails if `promtool` has anything to say about the metrics, even that a custom is not kept.
///
/// # Panics
/// When it says anything, with what it says.
pub fn check(text: &str) {
    let output =
        run(Command::new(find("promtool", "prometheus")).args(["check", "metrics"]), text.as_bytes());
    assert_eq!((output.exit, output.out() + &output.err()), (Exit::Code(0), String::new()), "{text}");
}

/// The samples of a text by name and labels, as they are written: `zct_stat_found_total{cpu="0"}`.
///
/// # Panics
/// When a line is not a sample, when two have the same name and labels, or when a family does not have
/// exactly one head.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut heads) = (BTreeMap::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let name = head.split(' ').next().unwrap_or_default();
            assert!(heads.insert(name.to_owned()), "a second head: {line}");
        }
        if line.starts_with('#') {
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(heads.contains(family(key)), "a sample without a head: {line}");
        assert_eq!(samples.insert(key.to_owned(), value), None, "a second time: {line}");
    }
    samples
}

/// The family of a sample.
pub fn family(key: &str) -> &str {
    key.split('{').next().unwrap_or(key)
}
