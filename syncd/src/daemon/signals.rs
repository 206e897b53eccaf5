//! Signals that the daemon takes, by their numbers: the same on every architecture of Linux that Rust has.

pub(super) const SIGHUP: i32 = 1;
pub(super) const SIGINT: i32 = 2;
pub(super) const SIGUSR1: i32 = 10;
pub(super) const SIGTERM: i32 = 15;

/// All of them.
pub(super) const ALL: [i32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1];
