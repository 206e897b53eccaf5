//! The daemon's parts that need no sockets and no clock.
#![forbid(unsafe_code)]

pub mod peer;
pub mod store;

#[cfg(test)]
mod sim;
