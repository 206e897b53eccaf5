//! What the loss ledger has to be told, besides what the parts count.

use crate::kernel::commit::Outcome;
use crate::peer::Millis;
use crate::status::ledger::{How, KINDS, Ledger};

/// The ledger, and what is needed to keep it.
#[derive(Debug)]
pub(super) struct Losses {
    pub(super) ledger: Ledger,
    /// The counts of each source at the end of the last turn, in the order of
    /// [`LedgerKind::ALL`](crate::status::ledger::LedgerKind::ALL).
    pub(super) seen: Vec<[u64; KINDS]>,
    /// Room for those at the end of this turn.
    pub(super) counts: Vec<[u64; KINDS]>,
    /// Dumps of the kernel's table that were not complete.
    pub(super) dumps: u64,
    /// Entries that the kernel refused in commits.
    pub(super) commit_refused: u64,
    /// When the comparison with the kernel began that is under way.
    pub(super) compared_from: Option<Millis>,
    /// Its dump is complete, and was of this kind; what it did not contain may still have to be removed.
    pub(super) compared: Option<How>,
    /// What each peer has been asked for.
    asked: Vec<AskedFor>,
}

/// All flows of a peer, which it has been asked for.
#[derive(Clone, Copy, Debug, Default)]
struct AskedFor {
    /// They have not all come.
    runs: bool,
    /// When it was asked; what came after that may not be complete yet.
    from: Option<Millis>,
}

impl Losses {
    /// Of a daemon with so many peers.
    pub(super) fn of(peers: usize) -> Losses {
        // The daemon's own losses have an account beside those of several peers; a pair has one for all.
        let sources = if peers > 1 { peers + 1 } else { 1 };
        Losses {
            ledger: Ledger::of(sources),
            seen: vec![[0; KINDS]; sources],
            counts: vec![[0; KINDS]; sources],
            dumps: 0,
            commit_refused: 0,
            compared_from: None,
            compared: None,
            asked: vec![AskedFor::default(); peers],
        }
    }

    /// The account of a peer.
    pub(super) fn source(&self, peer: usize) -> usize {
        if self.asked.len() > 1 { peer + 1 } else { 0 }
    }

    /// The peer that an account belongs to.
    pub(super) fn peer(&self, source: usize) -> Option<usize> {
        if self.asked.len() > 1 { source.checked_sub(1) } else { Some(0) }
    }

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

    /// A peer is asked for its flows at this moment, whether it has been asked before or not.
    pub(super) fn resync_begins(&mut self, now: Millis, peer: usize) {
        if let Some(asked) = self.asked.get_mut(peer) {
            *asked = AskedFor { runs: true, from: Some(now) };
        }
    }

    /// Whether flows that it was asked for are still to come.
    pub(super) fn resync_is(&mut self, now: Millis, peer: usize, running: bool) {
        if running && self.asked.get(peer).is_some_and(|a| !a.runs) {
            self.resync_begins(now, peer);
        }
        self.asked.iter_mut().skip(peer).take(1).for_each(|a| a.runs = running);
    }

    /// They have all come: when it was asked for them.
    pub(super) fn resync_ends(&mut self, peer: usize) -> Option<Millis> {
        self.asked.get_mut(peer)?.from.take()
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
