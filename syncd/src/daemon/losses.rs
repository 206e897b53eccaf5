//! What the loss ledger has to be told, besides what the parts count.

use crate::kernel::commit::Outcome;
use crate::peer::Millis;
use crate::status::ledger::{How, KINDS, Ledger};

/// The ledger, and what is needed to keep it.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) ledger: Ledger,
    /// The counts at the end of the last turn, in the order of
    /// [`Kind::ALL`](crate::status::ledger::Kind::ALL).
    pub(super) seen: [u64; KINDS],
    /// Dumps of the kernel's table that were not complete.
    pub(super) dumps: u64,
    /// Entries that the kernel refused in commits.
    pub(super) commit_refused: u64,
    /// When the comparison with the kernel began that is under way.
    pub(super) compared_from: Option<Millis>,
    /// Its dump is complete, and was of this kind; what it did not contain may still have to be removed.
    pub(super) compared: Option<How>,
    /// The peer has been asked for all its flows, and they have not all come.
    resync_runs: bool,
    /// When it was asked; what came after that may not be complete yet.
    pub(super) resync_from: Option<Millis>,
}

impl Losses {
    /// A comparison with the kernel begins.
    pub(super) fn comparison_begins(&mut self, now: Millis) {
        (self.compared_from, self.compared) = (Some(now), None);
    }

    /// Its dump has ended, completely or not.
    pub(super) fn comparison_ends(&mut self, complete: Option<How>) {
        self.compared = complete;
        if complete.is_none() {
            self.compared_from = None;
        }
    }

    /// The peer is asked for its flows at this moment, whether it has been asked before or not.
    pub(super) fn resync_begins(&mut self, now: Millis) {
        (self.resync_runs, self.resync_from) = (true, Some(now));
    }

    /// Whether flows that it was asked for are still to come.
    pub(super) fn resync_is(&mut self, now: Millis, running: bool) {
        if running && !self.resync_runs {
            self.resync_begins(now);
        }
        self.resync_runs = running;
    }

    /// True until what the comparison has found missing is removed too.
    pub(super) fn is_comparing(&self) -> bool {
        self.compared_from.is_some()
    }

    /// A commit has ended.
    pub(super) fn committed(&mut self, outcome: &Outcome) {
        self.commit_refused += outcome.flows_failed + outcome.expects_failed;
    }
}
