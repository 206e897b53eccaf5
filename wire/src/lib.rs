//! Bytes and their meaning: netlink and conntrack messages, and the text people and scripts read.
//!
//! Promises: no I/O, no allocation, no panic, no unsafe; every byte from outside goes through a checked
//! read. Everything borrows from the caller's buffers. What cannot be read is a [`WireError`] with the
//! kernel's name of the thing; attributes this version does not know are skipped.
#![no_std]
#![forbid(unsafe_code)]
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

pub mod attr;
pub mod build;
pub mod consts;
pub mod cthelper;
pub mod cttimeout;
pub mod error;
pub mod event;
pub mod expect;
pub mod filter;
pub mod flow;
pub mod header;
pub mod key;
pub mod link;
pub mod nat;
pub mod peer;
pub mod proto;
pub mod request;
pub mod stats;
pub mod text;
pub mod tracked;
pub mod tuple;

pub use error::WireError;
