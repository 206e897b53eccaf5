//! The machine around the daemon: its log, its lock, its service manager.

pub mod lock;
pub mod log;
pub mod systemd;
