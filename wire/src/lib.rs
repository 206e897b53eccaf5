//! Bytes and their meaning: messages of netlink and conntrack, the frames that daemons exchange, and the text
//! that people and scripts read.
//!
//! Promises: no I/O, no allocation, no panic, no unsafe; every byte from outside goes through a checked
//! read. Everything borrows from the caller's buffers. What cannot be read is a [`WireError`] with the
//! kernel's name of the thing; attributes this version does not know are skipped.
//!
//! # Where to start
//!
//! | you have | you want | begin with |
//! |---|---|---|
//! | a datagram of the kernel | its messages | [`header::Frames`], [`header::CtMsg`] |
//! | a message | a flow, or an expectation | [`flow::FlowView`], [`expect::ExpectView`] |
//! | a question for the kernel | a request in your buffer | [`request`], [`filter::DumpFilter`] |
//! | a flow | the text of conntrack(8), or JSON | [`text`] |
//! | a datagram of conntrackd | its messages, then what they say | [`peer::Messages`], [`peer::Flow`] |
//! | timeout policies, helpers | both directions | [`cttimeout`], [`cthelper`] |
//! | a packet in a queue | the flow it belongs to, and a verdict | [`nfqueue`], [`expected`] |
//!
//! ```
//! use zct_wire::filter::DumpFilter;
//! use zct_wire::header::{CtMsg, Frames};
//! use zct_wire::request::{REQUEST_MAX, Table, dump};
//!
//! // A request for the whole table, built in a buffer of the caller's, and read back.
//! let mut buf = [0; REQUEST_MAX];
//! let request = dump(&mut buf, 1, Table::Conntrack, &DumpFilter::default())?;
//! let frame = Frames::new(request).next().expect("one message")?;
//! assert_eq!(CtMsg::parse(frame)?.kind(), zct_wire::consts::ipctnl::GET);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Features
//!
//! Both are on unless you switch them off: `text` has [`text`], and `peer` has [`peer`]. Neither brings in
//! another crate; without them there is less to build.
//!
//! # Conventions
//!
//! - **Byte order**: numbers that have been decoded are in host byte order, addresses ([`tuple::Addr`]) in
//!   network byte order. On the wire netlink's own headers are in host byte order and what ctnetlink puts
//!   into attributes is big endian; everything between daemons is big endian but for a few values, which
//!   [`peer`] names.
//! - **Units**: a name that ends in `_s` is in seconds, in `_ns` in nanoseconds, in `_MAX` in bytes unless it
//!   says otherwise. Moments are counted from the epoch.
//! - **Absence**: `None` is "the message does not say", never zero.
//! - **Text** is bytes: names come from files and from the kernel and need not be UTF-8.
//! - **Allocation**: none, anywhere. What must outlive a message is `Copy`, as [`peer::Flow`] is.
//! - **Facts**: constants have the kernel's names, and a test compares them with its headers. What the
//!   headers do not say is written down in `docs/reference` of the repository; comments name the file there
//!   and its heading.
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

pub mod attr;
pub mod build;
pub mod consts;
pub mod cthelper;
pub mod cttimeout;
pub mod error;
pub mod event;
pub mod expect;
pub mod expected;
pub mod filter;
pub mod flow;
pub mod header;
pub mod key;
pub mod link;
pub mod nat;
pub mod nfqueue;
#[cfg(feature = "peer")]
pub mod peer;
pub mod proto;
pub mod request;
pub mod stats;
#[cfg(feature = "text")]
pub mod text;
pub mod tracked;
pub mod tuple;

pub use error::WireError;

/// Compiles what README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
