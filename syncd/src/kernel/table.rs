//! The size of the kernel's table and its limits.

use std::fs;

/// What the kernel says about its table in this network namespace; `None` where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// Entries in the table.
    pub entries: Option<u64>,
    /// The most entries that it takes.
    pub limit: Option<u64>,
    /// Buckets of its hash table.
    pub buckets: Option<u64>,
}

impl TableSize {
    /// Reads it. None of these numbers costs the kernel a walk over the table.
    pub fn read() -> TableSize {
        TableSize { entries: number("count"), limit: number("max"), buckets: number("buckets") }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}")).ok()?;
    text.trim().parse().ok()
}
