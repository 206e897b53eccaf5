//! The signals that the daemon handles, by number: the same on every Linux architecture that Rust supports.

pub(super) const SIGHUP: i32 = 1;
pub(super) const SIGINT: i32 = 2;
pub(super) const SIGUSR1: i32 = 10;
pub(super) const SIGTERM: i32 = 15;

/// All signals that the daemon handles.
pub(super) const ALL: [i32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1];
