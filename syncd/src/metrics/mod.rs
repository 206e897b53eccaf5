//! Metrics for Prometheus: what they are, and the two ways to have them ([`outlets`]).
//!
//! [`families`] writes them from the daemon's status, [`server`] answers whoever asks for them, [`http`]
//! reads what was asked, [`process`] says what the process has used. Nothing here walks a table.

pub mod families;
pub mod http;
pub mod openmetrics;
pub mod outlets;
pub mod process;
pub mod server;
pub mod shown;

use shown::Shown;
use zct_wire::text::Out;

/// Bytes there is room for at first; it is doubled as long as it is too small.
const ROOM: usize = 16 << 10;

/// The whole text.
pub fn text(shown: &Shown<'_>) -> Vec<u8> {
    let mut room = vec![0; ROOM];
    loop {
        let mut out = Out::new(&mut room);
        families::write(shown, &mut out);
        if !out.is_full() {
            let len = out.len();
            room.truncate(len);
            return room;
        }
        room = vec![0; room.len() * 2];
    }
}
