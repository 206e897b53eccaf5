//! How many lines a link may cause in the log: whoever can connect to it must not be able to fill a disk.

use crate::peer::Millis;

/// The time that a quota is for.
const PERIOD_MS: Millis = 60_000;
/// Reports in that time.
const REPORTS: u32 = 10;

/// Counts what is reported, and what is not.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    since: Millis,
    reported: u32,
    withheld: u64,
}

impl Quota {
    /// Whether something that happens now may be reported; it is counted otherwise.
    pub(crate) fn allows(&mut self, now: Millis) -> bool {
        if self.is_over(now) && self.withheld == 0 {
            (self.since, self.reported) = (now, 0);
        }
        let allowed = self.reported < REPORTS;
        if allowed {
            self.reported += 1;
        } else {
            self.withheld += 1;
        }
        allowed
    }

    /// How many were not reported, once their time is over; then it starts anew.
    pub(crate) fn withheld(&mut self, now: Millis) -> Option<u64> {
        if self.withheld == 0 || !self.is_over(now) {
            return None;
        }
        (self.since, self.reported) = (now, 0);
        Some(std::mem::take(&mut self.withheld))
    }

    fn is_over(&self, now: Millis) -> bool {
        now.saturating_sub(self.since) >= PERIOD_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_minute_and_the_rest_as_a_number() {
        let mut q = Quota::default();
        assert!((0..10).all(|n| q.allows(n)));
        assert!(!q.allows(10) && !q.allows(59_999));
        assert_eq!((q.withheld(59_999), q.withheld(60_000), q.withheld(60_000)), (None, Some(2), None));
        assert!(q.allows(60_001));
        // A quiet minute ends without a report.
        assert_eq!(q.withheld(200_000), None);
        assert!((0..10).all(|n| q.allows(200_000 + n)) && !q.allows(200_011));
    }
}
