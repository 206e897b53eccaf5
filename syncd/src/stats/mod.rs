//! Statistics mode: the flows of this firewall, those that have ended, and the log of these.

pub(crate) mod cache;
pub mod ended;
pub mod lines;
pub(crate) mod log;
