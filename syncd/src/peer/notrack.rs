//! NOTRACK: best effort (sync-protocol.md §5.3).

use crate::peer::clock::Millis;
use crate::peer::message::{Class, Refusal, Verdict, classify, compares, length};
use crate::peer::quiet::Quiet;
use crate::peer::track::{Seen, Tracker};
use zct_wire::peer::Message;

/// One node's side of NOTRACK: the peer's numbers serve only to count what is missing, and everything is
/// accepted in any order.
#[derive(Debug)]
pub(crate) struct NotrackSession {
    tracker: Tracker,
    pub(crate) quiet: Quiet,
}

impl NotrackSession {
    pub(crate) fn new(quiet: Quiet) -> Self {
        // Nothing is acknowledged, so the window must never be used up.
        NotrackSession { tracker: Tracker::new(u32::MAX), quiet }
    }

    /// Judges whether a message is accepted.
    pub(crate) fn receive(&mut self, now: Millis, m: &Message<'_>) -> Verdict {
        let class = match classify(m) {
            Some(c @ (Class::Data(_) | Class::Alive | Class::Resync)) => c,
            Some(Class::Digest) if self.quiet.is_on() => Class::Digest,
            Some(Class::Ack(_) | Class::Nack(_) | Class::Digest) | None => {
                return Verdict::refuse(Refusal::Header);
            }
        };
        if compares(m) {
            self.quiet.peer_knows(now);
        }
        self.quiet.heard(m.seq);
        let mut verdict = Verdict::take(class);
        match self.tracker.look(now, m.seq) {
            Seen::InOrder | Seen::NewRow => _ = self.tracker.accept(now, m.seq, false, false),
            Seen::Gap(gap) => {
                verdict.lost = length(gap);
                self.tracker.accept(now, m.seq, true, false);
            }
            Seen::Before => verdict.before = true,
        }
        verdict
    }
}
