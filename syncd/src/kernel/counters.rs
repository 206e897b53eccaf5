//! Counts of what the kernel has said.

/// What `-s runtime` says about netlink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetlinkCounters {
    /// "events received".
    pub events: u64,
    /// "events filtered".
    pub filtered: u64,
    /// "events unknown type".
    pub unknown_events: u64,
    /// "catch event failed": overruns, and messages that made no sense.
    pub failed: u64,
    /// "dump unknown type".
    pub unknown_dumped: u64,
    /// "netlink overrun".
    pub overruns: u64,
    /// Events that were lost in them; the original does not know.
    pub lost: u64,
    /// "flush kernel table".
    pub flushes: u64,
    /// "resync with kernel table".
    pub resyncs: u64,
}
