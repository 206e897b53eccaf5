//! Slow comparisons of the internal cache with the kernel, and what follows when one finds something.

use crate::daemon::state::{Comparison, Daemon, Node};
use crate::kernel::Reviewed;
use crate::peer::{Machine, Millis};
use crate::status;
use std::time::Duration;

impl Daemon {
    /// Goes on with the review if that is due. It waits while anything else reads the kernel's table or writes to
    /// it.
    pub(super) fn review(&mut self, now: Millis) {
        let interval = crate::config::parts::sync(&self.config).and_then(crate::config::parts::review_ms);
        self.kernel.set_review_interval(now, interval);
        let Node::Sync(n) = &mut self.node else { return };
        // The machines are told the same, so their results come at once; one of them may have forgotten something.
        if let Some(differing) = n.machines.iter_mut().filter_map(Machine::take_review).max() {
            self.reviews.checks += 1;
            self.reviews.differences += differing;
            if differing == 0 {
                self.reviews.last_equal = Some(now);
            } else {
                self.log.warning(&format!(
                    "{differing} flows are not as the kernel has them, though no event was lost: comparing all"
                ));
                self.reviews.repair_at = Some(now + 1);
            }
        }
        if self.reviews.repair_at.take_if(|at| *at <= now).is_some() {
            return self.want_comparison(now);
        }
        let Some(due) = self.kernel.review_is_due(now) else { return };
        let busy = self.populating.is_some()
            || self.comparison != Comparison::None
            || self.losses.is_comparing()
            || self.kernel.is_dumping()
            || self.kernel.resync_is_pending()
            || self.flush.is_running()
            || n.is_writing();
        if busy {
            if self.kernel.give_up_review(now) {
                n.machines.iter_mut().for_each(Machine::give_up_kernel_review);
            }
            return;
        }
        // Events that wait may tell what would be taken for a difference.
        if self.events_wait {
            return;
        }
        let reviewed = match due {
            Reviewed::Begins => {
                let flows = n.machine().caches().internal.counts().flows;
                let begun = self.kernel.begin_review(now, flows).is_ok()
                    && n.machines.iter_mut().all(Machine::begin_kernel_review);
                if begun { Reviewed::Begins } else { Reviewed::Fails }
            }
            Reviewed::Goes | Reviewed::Ends | Reviewed::Fails => self.kernel.review(now, &mut n.taker(now)),
        };
        match reviewed {
            Reviewed::Begins | Reviewed::Goes => {}
            Reviewed::Ends => n.machines.iter_mut().for_each(Machine::end_kernel_review),
            Reviewed::Fails => {
                self.kernel.give_up_review(now);
                n.machines.iter_mut().for_each(Machine::give_up_kernel_review);
            }
        }
    }

    /// The figures for a status; `unix` turns the daemon's time into that of the wall.
    pub(super) fn reviewed(&self, unix: impl Fn(Millis) -> Duration) -> Option<status::KernelReview> {
        self.kernel.reviews().map(|running| status::KernelReview {
            running,
            checks: self.reviews.checks,
            differences: self.reviews.differences,
            last_equal_time: self.reviews.last_equal.map(unix),
        })
    }
}
