//! How far the passing on of all flows has come, and how long it takes.

use crate::peer::Millis;
use crate::status::{Transfer, remaining};
use std::time::Duration;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct TransferProgress {
    /// When the one under way began, and what there was at that time.
    begun: Option<(Millis, u64)>,
    /// Entries that it is expected to have.
    expected: Option<u64>,
    count: u64,
    last: Option<Duration>,
}

impl TransferProgress {
    /// Looks at it once a turn. `passed` counts entries, and `expected` says how many there will be, when it
    /// begins.
    pub(super) fn look(&mut self, now: Millis, running: bool, passed: u64, expected: Option<u64>) {
        match (running, self.begun) {
            (true, None) => {
                (self.begun, self.expected) = (Some((now, passed)), expected);
                self.count += 1;
            }
            (false, Some((at, _))) => {
                self.begun = None;
                self.last = Some(Duration::from_millis(now.saturating_sub(at)));
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// What there is to tell of it; `passed` as in [`TransferProgress::look`].
    pub(super) fn transfer(&self, now: Millis, passed: u64) -> Transfer {
        let (count, last_duration) = (self.count, self.last);
        let Some((at, before)) = self.begun else {
            return Transfer { count, last_duration, ..Transfer::default() };
        };
        let (done, total) = (passed.saturating_sub(before), self.expected);
        let elapsed = Duration::from_millis(now.saturating_sub(at));
        let eta = total.and_then(|total| remaining(done, total, elapsed));
        Transfer { running: true, done: Some(done), total, eta, count, last_duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_timed_from_its_beginning_to_its_end() {
        let mut p = TransferProgress::default();
        p.look(100, false, 50, Some(9));
        assert_eq!(p.transfer(100, 50), Transfer::default());
        p.look(200, true, 50, Some(40));
        p.look(300, true, 60, Some(7));
        let (eta, ms) = (Some(Duration::from_millis(300)), Duration::from_millis);
        let running =
            Transfer { running: true, done: Some(10), total: Some(40), eta, count: 1, last_duration: None };
        assert_eq!(p.transfer(300, 60), running);
        p.look(450, false, 90, None);
        assert_eq!(
            p.transfer(500, 90),
            Transfer { count: 1, last_duration: Some(ms(250)), ..Transfer::default() }
        );
        p.look(600, true, 90, None);
        let again = p.transfer(600, 90);
        assert_eq!(
            (again.total, again.eta, again.count, again.last_duration),
            (None, None, 2, Some(ms(250)))
        );
    }
}
