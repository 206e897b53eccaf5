//! What a client may ask of the daemon: a 32-bit number in host byte order (conntrackd.md §2, §3).

use crate::kernel::commit::Entries;

/// One of the two caches, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichCache {
    /// The kernel's flows.
    Internal,
    /// The peer's flows.
    External,
    /// Both caches.
    Both,
}

/// A listing of one cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The peer's flows instead of the kernel's.
    pub external: bool,
    /// Expectations instead of flows.
    pub expects: bool,
    /// XML instead of lines.
    pub xml: bool,
}

/// One of the statistics that `-s` can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// `-s`.
    General,
    /// `-s network`.
    Network,
    /// `-s cache`.
    Cache,
    /// `-s runtime`.
    Runtime,
    /// `-s link`.
    Link,
    /// `-s rsqueue`.
    ResendQueue,
    /// `-s process`.
    Process,
    /// `-s queue`.
    Queue,
    /// `-s expect`.
    Expect,
    /// `-s protocol`, which the original does not have.
    Protocol,
    /// `-s helper`, which it does not have either.
    Helper,
}

/// How a status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// For people.
    Text,
    /// As a JSON object.
    Json,
}

/// What a client can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The first dump of the kernel's table is complete.
    Ready,
    /// The node is in sync, as `status` says.
    Synced,
    /// The node has taken over: the peer's entries are in the kernel.
    Committed,
}

impl Condition {
    /// Its name: the option of `wait` without the dashes.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Ready => "ready",
            Condition::Synced => "synced",
            Condition::Committed => "committed",
        }
    }
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `-F`: delete the kernel's entries.
    FlushKernel(Entries),
    /// `-R`: fill the internal cache from the kernel.
    Refill(Entries),
    /// `-i` or `-e`, with or without `-x`.
    List(Listing),
    /// `-c`: put the peer's entries into the kernel.
    Commit(Entries),
    /// `-f`: empty a cache.
    FlushCache(WhichCache),
    /// Code 19, which no option sends: empty the caches of flows alone.
    FlushFlowCaches,
    /// `-k`: end the daemon.
    Stop,
    /// `-B`: send everything to the peer.
    Bulk,
    /// `-n`: ask the peer for everything.
    Resync,
    /// `-t`: flush the kernel's table after a while.
    Purge,
    /// `-s`: show statistics.
    Statistics(Statistics),
    /// `status`: whether the nodes are in sync, and the state of everything; with the entries of the ledger,
    /// or without.
    Status(Shape, bool),
    /// `wait`: is answered when the condition holds.
    Wait(Condition),
    /// `wait` when time is up: is answered at once, with what is missing.
    Check(Condition),
}

/// Added to a code, asks for an answer with a line about the outcome. This is our own: the original
/// closes the connection without an answer when it does not know a code, and the client then asks in
/// the original's way.
const WITH_STATUS: u32 = 0x5a43_0000;

/// Added to a code instead, says that a [`Selection`](crate::control::selection::Selection) follows; the
/// answer has a line about the outcome, and then what was asked for. Only zctd with `Peer` knows it.
const SELECTED: u32 = 0x5a45_0000;

/// The first code of requests that the original does not have.
const OWN: u32 = 0x5a44_0000;

const CODES: &[(u32, Request)] = {
    use Request::*;
    const fn list(external: bool, expects: bool, xml: bool) -> Request {
        List(Listing { external, expects, xml })
    }
    &[
        (0, FlushKernel(Entries::Flows)),
        (38, FlushKernel(Entries::Expects)),
        (43, FlushKernel(Entries::All)),
        (1, Refill(Entries::Flows)),
        (39, Refill(Entries::Expects)),
        (44, Refill(Entries::All)),
        (16, list(false, false, false)),
        (17, list(true, false, false)),
        (24, list(false, false, true)),
        (25, list(true, false, true)),
        (40, list(false, true, false)),
        (41, list(true, true, false)),
        (47, list(false, true, true)),
        (48, list(true, true, true)),
        (18, Commit(Entries::Flows)),
        (42, Commit(Entries::Expects)),
        (46, Commit(Entries::All)),
        (19, FlushFlowCaches),
        (33, FlushCache(WhichCache::Internal)),
        (34, FlushCache(WhichCache::External)),
        (45, FlushCache(WhichCache::Both)),
        (20, Stop),
        (21, Statistics(self::Statistics::General)),
        (22, Bulk),
        (23, Resync),
        (26, Purge),
        (28, Statistics(self::Statistics::Network)),
        (29, Statistics(self::Statistics::Cache)),
        (30, Statistics(self::Statistics::Runtime)),
        (31, Statistics(self::Statistics::Link)),
        (32, Statistics(self::Statistics::ResendQueue)),
        (35, Statistics(self::Statistics::Process)),
        (36, Statistics(self::Statistics::Queue)),
        (37, Statistics(self::Statistics::Expect)),
        (OWN + 1, Statistics(self::Statistics::Protocol)),
        (OWN + 6, Statistics(self::Statistics::Helper)),
        (OWN + 2, Status(Shape::Text, false)),
        (OWN + 3, Status(Shape::Json, false)),
        (OWN + 4, Status(Shape::Text, true)),
        (OWN + 5, Status(Shape::Json, true)),
        (OWN + 16, Wait(Condition::Ready)),
        (OWN + 17, Wait(Condition::Synced)),
        (OWN + 18, Wait(Condition::Committed)),
        (OWN + 32, Check(Condition::Ready)),
        (OWN + 33, Check(Condition::Synced)),
        (OWN + 34, Check(Condition::Committed)),
    ]
};

impl Request {
    /// The number that is sent; `status` asks the daemon to report the outcome.
    pub fn code(self, status: bool) -> u32 {
        let code = CODES.iter().find(|(_, r)| *r == self).map_or(u32::MAX, |(code, _)| *code);
        if status { code | WITH_STATUS } else { code }
    }

    /// The meaning of a number, and whether it asks for the outcome.
    pub fn from_code(code: u32) -> Option<(Request, bool)> {
        let status = code & 0xffff_0000 == WITH_STATUS;
        let code = if status { code & 0xffff } else { code };
        CODES.iter().find(|(c, _)| *c == code).map(|(_, r)| (*r, status))
    }

    /// The number that is sent in front of a selection; `None` for what is not about the flows of peers.
    pub fn selected_code(self) -> Option<u32> {
        let about_peers = match self {
            Request::Commit(_) => true,
            Request::List(l) => l.external,
            _ => false,
        };
        about_peers.then(|| self.code(false) | SELECTED)
    }

    /// The request whose number was sent in front of a selection.
    pub fn from_selected_code(code: u32) -> Option<Request> {
        let (request, _) = Request::from_code(code.checked_sub(SELECTED)?)?;
        (request.selected_code() == Some(code)).then_some(request)
    }

    /// True for requests that the original does not know.
    pub fn is_own(self) -> bool {
        self.code(false) > OWN
    }

    /// True for requests that are always answered with text.
    pub fn is_answered(self) -> bool {
        use Request::*;
        matches!(self, List(_) | Statistics(_) | Status(..) | Wait(_) | Check(_))
    }

    /// True for requests that are served before the first dump of the kernel's table is complete.
    pub fn is_served_early(self) -> bool {
        matches!(self, Request::Status(..) | Request::Wait(_) | Request::Check(_))
    }
}

/// The first word of an answer about the outcome; the exit status that it comes to and a text follow. The
/// answers to `status` and `wait` begin with such a line too.
pub const STATUS: &str = "zctd";

/// The answer that all went well.
pub fn ok() -> String {
    format!("{STATUS} 0 ok\n")
}

/// The answer that it failed, and why.
pub fn failed(why: &str) -> String {
    format!("{STATUS} 1 {}\n", why.replace('\n', " "))
}

/// The first line of an answer: the exit status that it comes to, and what is to be said about it.
pub fn verdict(code: u8, text: &str) -> String {
    format!("{STATUS} {code} {text}\n")
}

/// Exit statuses of the requests of our own.
pub mod code {
    /// What was asked for holds.
    pub const YES: u8 = 0;
    /// `status`: nobody answered.
    pub const NOBODY: u8 = 1;
    /// `wait`: time was up.
    pub const LATE: u8 = 1;
    /// `status`: the node is not in sync.
    pub const DEGRADED: u8 = 2;
    /// `wait`: nobody can say any more.
    pub const GONE: u8 = 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_goes_both_ways() {
        for (code, request) in CODES {
            assert_eq!(Request::from_code(*code), Some((*request, false)));
            assert_eq!(request.code(false), *code);
            // What is answered with text needs no status.
            if !request.is_answered() {
                assert_eq!(Request::from_code(request.code(true)), Some((*request, true)));
            }
        }
        let selected = |code| Request::from_selected_code(SELECTED | code);
        assert_eq!(selected(18), Some(Request::Commit(Entries::Flows)));
        assert_eq!(selected(48), Some(Request::List(Listing { external: true, expects: true, xml: true })));
        for (code, request) in CODES.iter().filter(|(_, r)| r.selected_code().is_none()) {
            assert_eq!(selected(code & 0xffff).filter(|r| r == request), None);
        }
        let mut codes: Vec<_> = CODES.iter().map(|(c, _)| *c).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
        for unknown in [2, 15, 27, 49, 1000, WITH_STATUS | 27, 0x1_0000, u32::MAX] {
            assert_eq!(Request::from_code(unknown), None);
        }
    }
}
