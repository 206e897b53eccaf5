//! Counters, named after what `conntrackd -s` prints (conntrackd.md §4).

use crate::peer::digest::DigestStats;
use crate::peer::message::{Refusal, Verdict};
use zct_wire::event::Event;
use zct_wire::peer::Bad;

/// The outcome of changes to one cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Entries that were created.
    pub created: u64,
    /// Entries that could not be created because the cache was full.
    pub no_space: u64,
    /// Entries that were changed.
    pub updated: u64,
    /// Changes to entries that did not exist and could not be created.
    pub update_failed: u64,
    /// Entries that were removed.
    pub destroyed: u64,
    /// Removals of entries that did not exist.
    pub destroy_failed: u64,
}

impl CacheStats {
    /// Something was sent to the peer without being stored.
    pub(crate) fn passed(&mut self, event: Event) {
        match event {
            Event::New => self.created += 1,
            Event::Update => self.updated += 1,
            Event::Destroy => self.destroyed += 1,
        }
    }
}

/// What the protocol machine has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Messages that were accepted.
    pub received: u64,
    /// Messages that were sent, including retransmissions and control messages.
    pub sent: u64,
    /// "Malformed messages": the sum of the next six.
    pub malformed: u64,
    /// "Wrong protocol version".
    pub bad_version: u64,
    /// "Malformed header": a type or flags that this mode does not know.
    pub bad_header: u64,
    /// "Malformed payload": an attribute error, or a flow without addresses or protocol.
    pub bad_payload: u64,
    /// "Bad message type". The original counts here what falls through its receive routine; in
    /// ours nothing does.
    pub bad_type: u64,
    /// "Truncated message".
    pub truncated: u64,
    /// "Bad message size".
    pub bad_size: u64,
    /// "Packets lost": messages missing according to gaps in the numbers. Exact; the original adds 2
    /// for each gap.
    pub lost: u64,
    /// "Packets before": messages that came twice or too late.
    pub before: u64,
    /// Messages dropped because the link cannot carry them ("Malformed messages" on the sending side).
    pub unsendable: u64,
    /// Unacknowledged messages dropped because the resend queue was full ("not enough space errors").
    pub resend_dropped: u64,
    /// Messages that were put on a queue again because the peer had lost them.
    pub resent: u64,
    /// Messages made from events, and dropped because the network accepted none (`DisableInternalCache`).
    pub bypass_dropped: u64,
    /// How often the peer has started, or somebody has claimed so by a HELLO.
    pub peer_starts: u64,
    /// Bulks that were sent.
    pub bulks: u64,
    /// Flows and expectations of the peer that were removed because a requested bulk did not contain them.
    pub swept: u64,
    /// Flows that ended before `SyncAfter`, so that the peer was never told of them.
    pub unannounced: u64,
    /// Comparisons with what the peer has promised.
    pub digest: DigestStats,
    /// Messages ignored in ALARM mode because they carry flags, as those of an FT-FW peer do.
    pub foreign_mode: u64,
    /// Flows of the local kernel.
    pub internal: CacheStats,
    /// Flows of the peer.
    pub external: CacheStats,
    /// Expectations of the local kernel.
    pub internal_expect: CacheStats,
    /// Expectations of the peer.
    pub external_expect: CacheStats,
}

impl PeerStats {
    pub(crate) fn bad(&mut self, bad: Bad) {
        self.malformed += 1;
        match bad {
            Bad::Truncated => self.truncated += 1,
            Bad::Size => self.bad_size += 1,
            Bad::Version => self.bad_version += 1,
        }
    }

    /// Counts a message as its mode has judged it.
    pub(crate) fn verdict(&mut self, verdict: &Verdict) {
        self.lost += u64::from(verdict.lost);
        self.before += u64::from(verdict.before);
        self.peer_starts += u64::from(verdict.started);
        match verdict.taken {
            Ok(_) => self.received += 1,
            Err(Refusal::Header) => {
                self.malformed += 1;
                self.bad_header += 1;
            }
            Err(Refusal::Before) => self.before += 1,
            Err(Refusal::OtherMode) => self.foreign_mode += 1,
        }
    }

    pub(crate) fn payload(&mut self) {
        self.malformed += 1;
        self.bad_payload += 1;
    }
}
