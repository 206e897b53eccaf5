//! Which role the fail-over script has given this node, and how long its take-over took.

use crate::peer::Millis;
use crate::status::VrrpRole;
use std::time::{Duration, Instant};

/// A take-over that was completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Completed {
    /// When.
    pub(super) at: Millis,
    /// How long it took, from the request for the commit.
    pub(super) took: Duration,
}

/// The node's role, with its last take-over.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    role: VrrpRole,
    /// The commit that takes over was asked for then, and is not complete.
    asked: Option<Instant>,
    /// Since this node has become active, a commit was completed.
    committed: bool,
    last: Option<Completed>,
}

impl Takeover {
    pub(super) fn role(&self) -> VrrpRole {
        self.role
    }

    /// The last one that was completed.
    pub(super) fn last(&self) -> Option<Completed> {
        self.last
    }

    /// A commit was asked for: this node takes over, unless it has done so already.
    pub(super) fn commit_asked(&mut self, instant: Instant) {
        if self.role != VrrpRole::Active {
            self.role = VrrpRole::Active;
            self.committed = false;
            self.asked = Some(instant);
        }
    }

    /// A commit has ended, completely or not.
    pub(super) fn commit_ended(&mut self, complete: bool, now: Millis, instant: Instant) {
        if !complete || self.role != VrrpRole::Active {
            return;
        }
        self.committed = true;
        if let Some(asked) = self.asked.take() {
            self.last = Some(Completed { at: now, took: instant.saturating_duration_since(asked) });
        }
    }

    /// A command has come that the script gives to a node which the other one takes over from.
    pub(super) fn gives_way(&mut self) {
        self.role = VrrpRole::Backup;
        self.committed = false;
        self.asked = None;
    }

    /// True from when a take-over was completed until this node gives way.
    pub(super) fn is_committed(&self) -> bool {
        self.committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_takeover_lasts_from_the_first_request_to_the_first_commit_that_is_complete() {
        let (mut t, start) = (Takeover::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!((t.role(), t.last(), t.is_committed()), (VrrpRole::Unknown, None, false));
        t.commit_asked(start);
        t.commit_ended(false, 10, after(10));
        assert_eq!((t.role(), t.last(), t.is_committed()), (VrrpRole::Active, None, false));
        t.commit_asked(after(20));
        t.commit_ended(true, 30, after(30));
        let first = Completed { at: 30, took: Duration::from_millis(30) };
        assert_eq!((t.last(), t.is_committed()), (Some(first), true));
        // Another commit of an active node takes nothing over.
        t.commit_asked(after(40));
        t.commit_ended(true, 50, after(50));
        assert_eq!(t.last(), Some(first));
        t.gives_way();
        assert_eq!((t.role(), t.last(), t.is_committed()), (VrrpRole::Backup, Some(first), false));
        // A commit that ends only now changes nothing.
        t.commit_ended(true, 60, after(60));
        assert_eq!((t.role(), t.is_committed()), (VrrpRole::Backup, false));
        t.commit_asked(after(70));
        t.commit_ended(true, 75, after(75));
        assert_eq!(t.last(), Some(Completed { at: 75, took: Duration::from_millis(5) }));
    }
}
