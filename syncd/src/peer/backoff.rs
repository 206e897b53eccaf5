//! What is tried less and less often as long as it leads to nothing.

use crate::peer::clock::Millis;

/// The time from one attempt to the next: at first `first`, then twice as long each time, up to `last`.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Millis,
    last: Millis,
    at: Millis,
    apart: Millis,
}

impl Backoff {
    pub(crate) fn new(first: Millis, last: Millis) -> Backoff {
        Backoff { first, last, at: 0, apart: first }
    }

    /// True when it is time for an attempt, which is made then.
    pub(crate) fn attempts(&mut self, now: Millis) -> bool {
        let may = now >= self.at;
        if may {
            self.at = now + self.apart;
            self.apart = (2 * self.apart).min(self.last);
        }
        may
    }

    /// It has led to something. The time until the next attempt stays, so that success and failure in turn do not
    /// make attempts more frequent than `first`.
    pub(crate) fn succeeded(&mut self) {
        self.apart = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of the next attempts, as often as it is looked.
    fn attempts(b: &mut Backoff, from: Millis, to: Millis) -> Vec<Millis> {
        (from..to).step_by(10).filter(|now| b.attempts(*now)).collect()
    }

    #[test]
    fn attempts_become_rarer_up_to_a_limit() {
        let mut b = Backoff::new(1000, 5000);
        assert_eq!(attempts(&mut b, 500, 24_000), [500, 1500, 3500, 7500, 12_500, 17_500, 22_500]);
    }

    #[test]
    fn after_a_success_they_begin_anew_but_no_sooner() {
        let mut b = Backoff::new(1000, 600_000);
        assert_eq!(attempts(&mut b, 0, 4000), [0, 1000, 3000]);
        b.succeeded();
        // The one that is under way had been put off to 7000.
        assert_eq!(attempts(&mut b, 4000, 11_000), [7000, 8000, 10_000]);
        let mut b = Backoff::new(1000, 600_000);
        let often = (0..5000).filter(|now| {
            b.succeeded();
            b.attempts(*now)
        });
        assert_eq!(
            often.collect::<Vec<_>>(),
            [0, 1000, 2000, 3000, 4000],
            "no sooner, however often it succeeds"
        );
    }

    #[test]
    fn time_that_has_passed_unused_is_not_made_up_for() {
        let mut b = Backoff::new(1000, 5000);
        assert!(b.attempts(1_000_000));
        assert_eq!(attempts(&mut b, 1_000_000, 1_003_500), [1_001_000, 1_003_000]);
    }
}
