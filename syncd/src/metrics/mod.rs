//! Metrics for Prometheus: what they are, and the two ways to have them.
//!
//! [`families`] writes them from the daemon's status, [`server`] answers who asks for them, [`request`] reads
//! what was asked, [`process`] says what the process has used. Nothing here walks a table.

pub mod families;
pub mod process;
pub mod request;
pub mod server;

use crate::status::Status;
use process::Process;
use std::time::Duration;
use zct_wire::text::Out;

/// Bytes there is room for at first; it is doubled as long as it is too small.
const ROOM: usize = 16 << 10;

/// Everything that is shown.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// The daemon and all that it works with.
    pub status: &'a Status,
    /// What the process has used.
    pub process: Process,
    /// The longest turn of the reactor since the metrics were last asked for.
    pub longest_turn: Duration,
}

impl Shown<'_> {
    /// The whole text.
    pub fn text(&self) -> Vec<u8> {
        let mut room = vec![0; ROOM];
        loop {
            let mut out = Out::new(&mut room);
            families::write(self, &mut out);
            if !out.is_full() {
                let len = out.len();
                room.truncate(len);
                return room;
            }
            room = vec![0; room.len() * 2];
        }
    }
}
