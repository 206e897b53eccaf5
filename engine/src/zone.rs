//! Local time for the renderers.

use crate::sys;
use std::cell::Cell;
use zct_wire::text::{LocalTime, TimeZone};

/// The machine's time zone (`TZ`, `/etc/localtime`). Remembers the last answer, which all events and flows
/// of the same second share. Allocates nothing.
#[derive(Debug, Default)]
pub struct SystemZone {
    last: Cell<Option<(i64, LocalTime)>>,
}

impl TimeZone for SystemZone {
    fn local(&self, unix_s: i64) -> LocalTime {
        match self.last.get() {
            Some((at, time)) if at == unix_s => time,
            _ => {
                let time = sys::local_time(unix_s);
                self.last.set(Some((unix_s, time)));
                time
            }
        }
    }
}
