//! The protocol's flags in a record's [`Meta`](crate::store::Meta), and its use of the other members.
//!
//! `seq_or_due` is the number under which a flow in flight was last sent (FT-FW), or the tick of its next
//! announcement (ALARM). `id_or_heard_s` is the kernel's id of an internal flow, or the second of the last
//! message about an external one.

/// It has ended, and is kept until the peer knows.
pub(crate) const DEAD: u8 = crate::store::Meta::DEAD;
/// It has changed since it was stored: it goes out as an update, not as new.
pub(crate) const UPDATED: u8 = 1 << 1;
/// It has an entry in the timer wheel (ALARM), or rests because an update has just been sent (the other
/// modes).
pub(crate) const ARMED: u8 = crate::store::Meta::ARMED;
/// It was stored, and the peer has not acknowledged it since: it goes out as new, whatever has changed
/// meanwhile. An update would be merged into what the peer may have of an earlier flow with this tuple, whose
/// mark or helper would then live on.
pub(crate) const FRESH: u8 = 1 << 3;
/// Two bits that only [`Place`](crate::peer::place::Place) reads and writes.
pub(crate) const PLACE: u8 = 3 << 4;
pub(crate) const QUEUED: u8 = 1 << 4;
pub(crate) const PACED: u8 = 2 << 4;
pub(crate) const IN_FLIGHT: u8 = 3 << 4;

/// It has something to say for which the time has not come: that it exists, or, if it rests, how it has
/// changed.
pub(crate) const WITHHELD: u8 = crate::store::Meta::WITHHELD;

const _: () = assert!(DEAD | UPDATED | ARMED | FRESH | PLACE | WITHHELD == crate::store::Meta::FLAGS);

/// True for a flow of which the peer has not been told because it is too young. It is on no queue, and has
/// not ended: if it ends, it is removed without telling the peer.
#[inline]
pub(crate) fn is_held(meta: &crate::store::Meta) -> bool {
    meta.is_held()
}
