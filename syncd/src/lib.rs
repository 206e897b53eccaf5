//! The daemon's parts that need no sockets and no clock.
#![forbid(unsafe_code)]

pub mod store;
