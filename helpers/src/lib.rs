//! Connection tracking helpers: what a packet of a control connection announces, and what follows from it.
//!
//! A protocol is a pure function: [`Helper::packet`] takes the settings of its type, what it noted in the
//! flow before ([`Private`]) and a packet ([`Packet`]), and returns a [`Verdict`]: the flows to expect, where
//! their addresses and ports are written in the payload, or why an announcement is refused. No I/O, no
//! allocation, no panic, no unsafe. The payload comes from strangers: every number has a range, every search
//! a bound.
//!
//! | you want | begin with |
//! |---|---|
//! | a protocol by its name | [`Helper::find`] |
//! | the model for a new protocol | `tftp.rs` |
//! | the packet in an IP datagram | [`Datagram`] |
//! | the rules about addresses and ports | [`Config`] |
//! | a packet with other addresses in its text, and right lengths and checksums | [`rewrite`] |
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(test)]
#[macro_use]
extern crate std;

mod checksum;
pub mod config;
pub mod datagram;
pub mod few;
pub mod helper;
pub mod packet;
pub mod private;
pub mod read;
pub mod refusal;
pub mod rewrite;
pub mod verdict;

mod amanda;
mod dhcpv6;
mod ftp;
mod mdns;
mod rpc;
mod sane;
mod slp;
mod ssdp;
mod tftp;
mod tns;

pub use config::Config;
pub use datagram::Datagram;
pub use helper::{Class, HELPERS, Helper};
pub use packet::{Packet, Side, State, Transport};
pub use private::Private;
pub use refusal::Refusal;
pub use verdict::{Edit, Verdict, Write};
pub use zct_wire::expected::{Ends, Expected, Follow};
pub use zct_wire::tuple::Addr;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod roundtrip;
