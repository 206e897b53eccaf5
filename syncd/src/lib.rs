//! The daemon: protocol, flow store and configuration without sockets and clock, and what connects them to the
//! kernel, the peer and the operator.
#![forbid(unsafe_code)]

pub mod commit;
pub mod config;
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
pub mod stats_log;
pub mod stats_mode;
pub mod store;
pub mod systemd;

#[cfg(test)]
mod sim;
