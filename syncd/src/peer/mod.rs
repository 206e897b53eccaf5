//! The peer protocol: FT-FW, ALARM and NOTRACK as one machine without sockets, clock or threads
//! (spec/sync-protocol.md §5).
//!
//! [`Machine`] takes kernel events, datagrams and commands together with the time, changes the [`Caches`],
//! and has [`Machine::transmit`] write the next datagram into the caller's buffer until there is none.
//! [`Machine::deadline`] says when to call again if nothing happens. Everything random comes from the seed,
//! so the same calls give the same bytes.
//!
//! It speaks with conntrackd 1.4.7 as if it were one, and differs where the original loses data:
//!
//! * A change waits up to ten milliseconds for others, so that datagrams are full under load.
//! * Bulks and what was lost in them are paced by acknowledgements (`pace`).
//! * A HELLO, true or forged, empties the resend queue as it must, and is followed by a bulk to the peer and
//!   a request for the peer's flows: nothing stays lost.
//! * A bulk that was asked for ends with a sweep: what it did not contain is removed (`resync`).
//! * Messages of an unknown type are counted and passed over, not asked for again for ever.
//! * Ranges that no one can send again are made good by a bulk.
//! * A flow goes out as new until the peer has it, so that nothing of an earlier flow with its tuple stays.

// A new type of message does not pass unseen: no arm takes what has no name.
#![deny(clippy::wildcard_enum_match_arm)]

mod alarm;
mod apply;
mod bulk;
mod bypass;
mod config;
mod hello;
mod links;
mod local;
mod machine;
mod pace;
mod place;
mod queue;
mod receive;
mod resync;
mod ring;
mod send;
mod stats;
mod stream;
mod track;

pub use config::{Config, ConfigError, Millis, Mode, Pace};
pub use links::Link;
pub use local::Origin;
pub use machine::{Caches, Host, Machine, Notice, Seed};
pub use ring::{Control, Item, Sent};
pub use stats::{CacheStats, Stats};
pub use stream::Reassembler;
pub use zct_wire::event::Event;

/// Flags of a record's [`Meta`](crate::store::Meta), and what the protocol does with its other members.
///
/// `aux` is the number a flow in flight was last sent under (FT-FW), or the tick of its next announcement
/// (ALARM). `note` is the kernel's id of an internal flow, and the second of the last message about an
/// external one.
pub(crate) mod mark {
    /// Ended; kept until the peer knows.
    pub(crate) const DEAD: u8 = crate::store::Meta::DEAD;
    /// Changed since it was stored: goes out as an update, not as new.
    pub(crate) const UPDATED: u8 = 1 << 1;
    /// In the timer wheel.
    pub(crate) const ARMED: u8 = 1 << 2;
    /// Stored, and the peer has not acknowledged it since: goes out as new whatever has changed meanwhile. An
    /// update would be merged into what the peer may have of an earlier flow of this tuple, whose mark or
    /// helper would live on.
    pub(crate) const FRESH: u8 = 1 << 3;
    /// Two bits that only [`Place`](super::place::Place) reads and writes.
    pub(super) const PLACE: u8 = 3 << 4;
    pub(super) const QUEUED: u8 = 1 << 4;
    pub(super) const PACED: u8 = 2 << 4;
    pub(super) const IN_FLIGHT: u8 = 3 << 4;

    const _: () = assert!(DEAD | UPDATED | ARMED | FRESH | PLACE == crate::store::Meta::FLAGS);
}

#[cfg(test)]
mod tests;
