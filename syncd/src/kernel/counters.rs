//! Counts of the kernel's messages.

/// The netlink counts that `-s runtime` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetlinkCounters {
    /// "events received".
    pub events: u64,
    /// "events filtered".
    pub filtered: u64,
    /// "events unknown type".
    pub unknown_events: u64,
    /// "catch event failed": overruns, and messages that could not be read.
    pub failed: u64,
    /// "dump unknown type".
    pub unknown_dumped: u64,
    /// "netlink overrun".
    pub overruns: u64,
    /// Events lost in these overruns; the original does not know this number.
    pub lost: u64,
    /// "flush kernel table".
    pub flushes: u64,
    /// "resync with kernel table".
    pub resyncs: u64,
}
