//! The machine's timers: one list of all of them.

/// Something that becomes due even if nothing happens. Only the machine knows when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The operator's purge is due.
    Purge,
    /// The peer is asked for its flows because it is time again.
    Scheduled,
    /// What was acknowledged too early to be believed is sent again.
    Repeats,
    /// A bulk begins, for a peer that has started.
    Bulk,
    /// ALARM: a flow is announced again.
    Announce,
    /// ALARM: a flow of the peer is forgotten.
    Expire,
    /// The peer is asked for its flows.
    Resync,
    /// Flows that the peer, or the kernel, no longer has are removed, piece by piece.
    Sweep,
    /// A flow has lived long enough for the peer to be told of it.
    Hold,
    /// A flow has rested long enough for its next update.
    Rest,
    /// The peer is asked whether it has what we have of it, or asks for leaves that differ.
    Digest,
    /// More flows are taken into the sums.
    Sums,
    /// Something has to be sent, or the peer would take us for absent.
    KeepAlive,
    /// Changes have waited long enough for others.
    Gather,
    /// Messages made from events have waited long enough for others.
    Bypass,
    /// The next datagram of a bulk, or of a repair, may go.
    Paced,
    /// Received messages have to be acknowledged.
    Acknowledge,
    /// A greeting has to be answered.
    Answer,
    /// The peer's questions about sums can be answered.
    AnswerSums,
}

impl Timer {
    /// All timers there are.
    pub(crate) const ALL: [Timer; 19] = [
        Timer::Purge,
        Timer::Scheduled,
        Timer::Repeats,
        Timer::Bulk,
        Timer::Announce,
        Timer::Expire,
        Timer::Resync,
        Timer::Sweep,
        Timer::Hold,
        Timer::Rest,
        Timer::Digest,
        Timer::Sums,
        Timer::KeepAlive,
        Timer::Gather,
        Timer::Bypass,
        Timer::Paced,
        Timer::Acknowledge,
        Timer::Answer,
        Timer::AnswerSums,
    ];

    /// True for timers that cause a datagram; the others change the machine's state.
    pub(crate) fn sends(self) -> bool {
        match self {
            Timer::Purge
            | Timer::Scheduled
            | Timer::Repeats
            | Timer::Bulk
            | Timer::Announce
            | Timer::Expire
            | Timer::Resync
            | Timer::Sweep
            | Timer::Hold
            | Timer::Rest
            | Timer::Digest
            | Timer::Sums => false,
            Timer::KeepAlive
            | Timer::Gather
            | Timer::Bypass
            | Timer::Paced
            | Timer::Acknowledge
            | Timer::Answer
            | Timer::AnswerSums => true,
        }
    }
}
