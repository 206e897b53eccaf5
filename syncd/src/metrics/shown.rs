//! What metrics are made from.

use super::process::Process;
use crate::status::Status;
use std::time::Duration;

/// Everything that is shown.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// The daemon and all that it works with.
    pub status: &'a Status,
    /// What the process has used.
    pub process: Process,
    /// The longest turn of the reactor since the metrics were last put together.
    pub longest_turn: Duration,
}
