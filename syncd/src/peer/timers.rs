//! The machine's timers: one list of all of them.

/// Something that becomes due although nothing happens. When, only the machine can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The operator's purge.
    Purge,
    /// What was acknowledged too early to be believed goes again.
    Firm,
    /// A bulk for a peer that has started begins.
    Bulk,
    /// ALARM: a flow is announced again.
    Announce,
    /// ALARM: a flow of the peer is forgotten.
    Expire,
    /// The peer is asked for its flows.
    Resync,
    /// Flows that the peer, or the kernel, no longer has are removed, piece by piece.
    Sweep,
    /// Something has to be said lest the peer take us for absent.
    KeepAlive,
    /// Changes have waited for company long enough.
    Gather,
    /// Messages made from events likewise.
    Bypass,
    /// The next datagram of a bulk, or of what was lost, may go.
    Paced,
    /// What was received has to be acknowledged.
    Acknowledge,
    /// A greeting has to be answered.
    Answer,
}

impl Timer {
    /// All of them.
    pub(crate) const ALL: [Timer; 13] = [
        Timer::Purge,
        Timer::Firm,
        Timer::Bulk,
        Timer::Announce,
        Timer::Expire,
        Timer::Resync,
        Timer::Sweep,
        Timer::KeepAlive,
        Timer::Gather,
        Timer::Bypass,
        Timer::Paced,
        Timer::Acknowledge,
        Timer::Answer,
    ];

    /// True when a datagram is written for it; the others change what the machine knows.
    pub(crate) fn sends(self) -> bool {
        match self {
            Timer::Purge
            | Timer::Firm
            | Timer::Bulk
            | Timer::Announce
            | Timer::Expire
            | Timer::Resync
            | Timer::Sweep => false,
            Timer::KeepAlive
            | Timer::Gather
            | Timer::Bypass
            | Timer::Paced
            | Timer::Acknowledge
            | Timer::Answer => true,
        }
    }
}
