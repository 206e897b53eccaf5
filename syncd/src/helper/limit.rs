//! A bound on how fast the log grows, whatever strangers send.

use std::time::{Duration, Instant};

/// How long a budget lasts.
const SPAN: Duration = Duration::from_secs(10);

/// Allows this many lines in a span of time, and counts the rest.
#[derive(Debug)]
pub(super) struct Limit {
    budget: u32,
    left: u32,
    since: Option<Instant>,
    suppressed: u64,
}

impl Limit {
    pub(super) fn new(budget: u32) -> Limit {
        Limit { budget, left: budget, since: None, suppressed: 0 }
    }

    /// Whether a line may be written now; with how many were left out before it.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SPAN) {
            (self.since, self.left) = (Some(now), self.budget);
        }
        if self.left == 0 {
            self.suppressed += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_budget_is_counted() {
        let begin = Instant::now();
        let mut limit = Limit::new(2);
        assert_eq!([(); 5].map(|()| limit.take(begin)), [Some(0), Some(0), None, None, None]);
        let later = begin + SPAN;
        assert_eq!([limit.take(later), limit.take(later)], [Some(3), Some(0)]);
    }
}
