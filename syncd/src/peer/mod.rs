//! The peer protocol: FT-FW, ALARM and NOTRACK as one machine without sockets, clock or threads
//! (sync-protocol.md §5).
//!
//! [`Machine`] takes kernel events, datagrams and commands together with the time, and changes the
//! [`Caches`]; [`Machine::transmit`] writes one datagram after another into the caller's buffer until none is
//! left. [`Machine::deadline`] says when to call again if nothing happens. All randomness comes from the
//! seed, so the same calls give the same bytes.
//!
//! To conntrackd 1.4.7 it speaks as if it were one, and differs where the original loses data:
//!
//! * A change waits up to ten milliseconds for others, so that datagrams are full under load.
//! * Bulks, and repairs of what was lost in them, are paced by acknowledgements (`pace`).
//! * A HELLO, true or forged, empties the resend queue as it must, and is followed by a bulk to the peer and
//!   a request for the peer's flows: nothing stays lost.
//! * A requested bulk ends with a sweep: whatever it did not contain is removed (`resync`).
//! * Messages of an unknown type are counted and ignored, not asked for again forever.
//! * Ranges that nobody can send again are repaired by a bulk.
//! * A flow goes out as new until the peer has it, so that nothing remains of an earlier flow with its tuple.
//!
//! There are two floors. *Parts* own their state and what must always be true of it; *the machine* is
//! the only place where they meet, and no part imports it. From the ground up, each using only what
//! stands before it:
//!
//! * `clock`, `entry`, `mark`, `mode`, `pace`, `config`, `output`, `caches`: the terms that all use;
//! * `queue`, `ring`, `place`, `bulk`, `track`, `stuck`, `links`, `bypass`, `hello`, `generations`, `delay`,
//!   `backoff`, `resync`, `refresh`, `message`, `stats`, `timers`: one thing each;
//! * `digest`: comparing what was promised with what has come;
//! * `local` and `remote`: the caches of the kernel's flows and of the peer's;
//! * `delivery`: everything that goes out, until the peer has it, and how datagrams are filled with it;
//! * `ftfw`, `alarm`, `notrack`: what a message means in each mode; `session`: which of them it is;
//! * `machine`; `machine::view` is what can be asked of it.
//!
//! [`seal`] knows nothing of all this but the clock: it stands between the machine and the links.

// A new type of message must not go unnoticed: no arm may match what it does not name.
#![deny(clippy::wildcard_enum_match_arm)]

mod alarm;
mod allowance;
mod backoff;
mod bulk;
mod bypass;
mod caches;
mod clock;
mod config;
mod delay;
mod delivery;
mod digest;
mod entry;
mod ftfw;
mod generations;
mod hello;
mod links;
mod local;
mod machine;
mod mark;
mod mend;
mod message;
mod mode;
mod notrack;
mod output;
mod pace;
mod place;
mod queue;
mod quiet;
mod refresh;
mod remote;
mod resync;
mod review;
mod ring;
pub mod seal;
mod session;
mod stats;
mod stream;
mod stuck;
mod timers;
mod track;

pub use caches::Caches;
pub use clock::Millis;
pub use config::{PeerConfig, Seed};
pub use delivery::Outlook;
pub use digest::DigestStats;
pub use entry::{Control, Item, Sent};
pub use links::Link;
pub use local::Origin;
pub use machine::Machine;
pub use mode::{Alarm, Ftfw, Mode, Notrack};
pub use output::{Notice, Output};
pub use pace::Pace;
pub use stats::{CacheStats, PeerStats};
pub use stream::Reassembler;
pub use zct_wire::event::Event;

#[cfg(test)]
pub(crate) use mark::is_held;

#[cfg(test)]
mod tests;
