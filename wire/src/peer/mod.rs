//! The frames that two synchronisation daemons exchange: header, control messages, flows and expectations
//! (sync-protocol.md).
//!
//! Wire-compatible with conntrackd 1.4.7. A datagram or a TCP stream is a series of messages; a message is
//! an eight-byte header and either nothing, a sequence range, or a list of attributes. [`split`] cuts off
//! one message; [`Flow`] and [`Expect`] hold what a data message says and turn it into bytes with `encode`.
//!
//! Numbers are big endian, except for translated ports and ICMP identifiers ([`attr::ct::SPAT_PORT`],
//! [`attr::ct::DPAT_PORT`], [`attr::ct::ICMP_ID`]), which are in the sender's own byte order, and SCTP
//! verification tags, which are the kernel's bytes. Timeouts are seconds.
//!
//! Nothing in a message is authenticated or checksummed: everything here expects hostile bytes. Reading
//! accepts what the original sends and everything harmless beyond it; writing stays inside what the
//! original accepts, because it answers an unknown type or flag with requests for retransmission for ever.
//! [`sealed`] has the frames in which two zctd send messages encrypted.

// No wildcard arms: whoever adds a type of message is led to every place that has to handle it.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod attr;
pub mod build;
pub mod codec;
pub mod digest;
pub mod expect;
pub mod flow;
pub mod header;
pub mod name;
pub mod sealed;

#[cfg(test)]
mod captures;

pub use attr::{PeerAttr, PeerAttrs};
pub use build::FrameBuilder;
pub use codec::Encode;
pub use digest::Digest;
pub use expect::Expect;
pub use flow::Flow;
pub use header::{Bad, Kind, Message, Messages, Split, Transport, flag, split};
pub use name::Name;

/// Bytes of a UDP datagram's headers over IPv4, which the original subtracts from the MTU over IPv6 too.
pub const UDP4_OVERHEAD: usize = 28;
/// The same over IPv6: what keeps a full datagram from being fragmented there.
pub const UDP6_OVERHEAD: usize = 48;
/// Bytes of TCP and IPv4 headers without options.
pub const TCP4_OVERHEAD: usize = 40;
/// A buffer of this many bytes holds any one message written here: a flow or an expectation with every
/// attribute that has a number, all at their longest.
pub const MESSAGE_MAX: usize = 384;
