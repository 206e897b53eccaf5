//! The daemon's parts that need no sockets and no clock.
#![forbid(unsafe_code)]

pub mod commit;
pub mod control;
pub mod dump_text;
pub mod filter;
pub mod flush;
pub mod inject;
pub mod kernel;
pub mod links;
pub mod lock;
pub mod log;
pub mod peer;
pub mod prefilter;
pub mod report;
pub mod request;
pub mod restore;
pub mod settings;
pub mod stats_mode;
pub mod store;
pub mod systemd;

#[cfg(test)]
mod sim;
