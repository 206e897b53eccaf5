//! What slow comparisons with the kernel have come to.

use crate::peer::Millis;

/// The figures so far, and what is to be done about the last one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reviews {
    pub(super) checks: u64,
    /// Flows that differed.
    pub(super) differences: u64,
    pub(super) last_equal: Option<Millis>,
    /// When the comparison may begin that repairs them: later than they were found, by the ledger's clock.
    pub(super) repair_at: Option<Millis>,
}

impl Reviews {
    /// When there is something to do besides reading.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.repair_at
    }
}
