//! Statistics mode: flows that have ended, and the log of them.

pub mod ended;
pub mod log;
