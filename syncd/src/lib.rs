//! The daemon's parts that need no sockets and no clock.
#![forbid(unsafe_code)]

pub mod dump_text;
pub mod filter;
pub mod kernel;
pub mod links;
pub mod log;
pub mod peer;
pub mod prefilter;
pub mod settings;
pub mod store;

#[cfg(test)]
mod sim;
