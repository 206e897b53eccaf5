//! Which of the intended differences a test has seen: one that is never seen does not exist.

use super::{DIFFERENCES, SeenIn};
use std::collections::BTreeMap;

/// Counts how often each difference was seen.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<&'static str, u64>);

impl Ledger {
    /// Notes that a difference was seen.
    ///
    /// # Panics
    /// When the table does not have it.
    pub fn saw(&mut self, id: &str) {
        let row = DIFFERENCES.iter().find(|d| d.id == id).unwrap_or_else(|| panic!("no difference {id}"));
        *self.0.entry(row.id).or_default() += 1;
    }

    /// How often a difference was seen.
    pub fn count(&self, id: &str) -> u64 {
        self.0.get(id).copied().unwrap_or(0)
    }

    /// Adds what another ledger has counted.
    pub fn merge(&mut self, other: Ledger) {
        for (id, n) in other.0 {
            *self.0.entry(id).or_default() += n;
        }
    }

    /// The ids that this test has to see and has not.
    pub fn missing(&self, test: SeenIn) -> Vec<&'static str> {
        DIFFERENCES.iter().filter(|d| d.seen_in == test && self.count(d.id) == 0).map(|d| d.id).collect()
    }
}
