//! The side that answers.

use crate::peer::clock::Millis;
use crate::store::Sums;
use zct_wire::peer::digest::{Ask, Digest};

/// Questions that wait for an answer; any beyond that are asked again by the peer.
const ASKED_MAX: usize = 64;
/// An answer costs more work than its question: however many come, no more than so many are answered at this distance.
const APART_MS: Millis = 50;
/// Leaves that are sent again one by one; more are served by a bulk.
const LEAVES_MAX: usize = 4096;
/// Repairs begin at least so far apart, as bulks do.
const REPAIR_APART_MS: Millis = 1000;

/// After so many answers the sums are added up anew, as the peer does with its own.
const ANEW: u32 = 16;

/// What the peer has asked for, and whether an answer would hold.
#[derive(Debug)]
pub(crate) struct Speaker {
    /// The key of the sums, drawn at the start.
    key: [u64; 2],
    asked: Vec<Ask>,
    /// When the questions may be answered.
    at: Millis,
    /// Changes that the peer was not told of, and how many of them were there when the bulk began that is under
    /// way, and the one that has ended last.
    untold: u64,
    bulk_covers: u64,
    told: u64,
    /// Flows left the cache without the peer being told: it has them until it has asked for everything.
    orphaned: bool,
    /// Leaves that the peer wants again, and when they may go.
    wanted: Vec<u16>,
    wanted_at: Millis,
    /// Answers since the sums were added up.
    answers: u32,
    /// Nobody acknowledges anything: leaves that have changed of late are left out of answers.
    quiet: bool,
}

impl Speaker {
    pub(crate) fn new(key: [u64; 2], quiet: bool) -> Speaker {
        Speaker {
            key,
            asked: Vec::new(),
            at: 0,
            untold: 0,
            bulk_covers: 0,
            told: 0,
            orphaned: false,
            wanted: Vec::new(),
            wanted_at: 0,
            answers: 0,
            quiet,
        }
    }

    pub(crate) fn key(&self) -> [u64; 2] {
        self.key
    }

    // What the peer has been told of.

    /// Something was stored without telling the peer.
    pub(crate) fn kept(&mut self) {
        self.untold += 1;
    }

    /// Something left the cache without telling the peer.
    pub(crate) fn orphaned(&mut self) {
        self.orphaned = true;
    }

    /// The peer asks for everything, and will remove what does not come.
    pub(crate) fn peer_asks_for_all(&mut self) {
        self.orphaned = false;
    }

    /// A bulk begins, or begins again from where it is.
    pub(crate) fn bulk_begins(&mut self) {
        self.bulk_covers = self.untold;
    }

    /// A whole bulk has been sent.
    pub(crate) fn bulk_ended(&mut self) {
        self.told = self.bulk_covers;
    }

    /// True when the peer has been told of everything that is in the cache, and of nothing else.
    pub(crate) fn has_told(&self) -> bool {
        self.told == self.untold && !self.orphaned
    }

    // Questions.

    /// The peer asks; the answer may wait a little for others.
    pub(crate) fn ask(&mut self, now: Millis, ask: Ask) {
        if self.asked.len() < ASKED_MAX && !self.asked.contains(&ask) {
            self.at = self.at.max(now);
            self.asked.push(ask);
        }
    }

    /// When a question may be answered.
    pub(crate) fn due(&self) -> Option<Millis> {
        (!self.asked.is_empty()).then_some(self.at)
    }

    /// The next answer. The question is forgotten with [`Speaker::answered`].
    pub(crate) fn answer(&self, sums: &Sums) -> Option<Digest> {
        Some(match *self.asked.last()? {
            Ask::Whole => Digest::Whole(sums.whole()),
            Ask::Parts(span) => {
                let parts = if self.quiet { sums.quiet_parts(span) } else { sums.parts(span) };
                Digest::Parts(span, sums.key(), parts)
            }
        })
    }

    /// True once when the sums have to be added up anew before the next answer.
    pub(crate) fn adds_anew(&mut self) -> bool {
        let due = self.answers >= ANEW && self.asked.is_empty();
        if due {
            self.answers = 0;
        }
        due
    }

    /// The last answer has been written.
    pub(crate) fn answered(&mut self, now: Millis) {
        self.answers = self.answers.saturating_add(1);
        self.asked.pop();
        if self.asked.is_empty() {
            self.at = now + APART_MS;
        }
    }

    // Repairs.

    /// The peer wants the flows of these leaves again. False when that is no better than everything.
    pub(crate) fn want(&mut self, now: Millis, leaves: &[u16]) -> bool {
        if self.wanted.len() + leaves.len() > LEAVES_MAX {
            return false;
        }
        if self.wanted.is_empty() {
            self.wanted_at = self.wanted_at.max(now);
        }
        self.wanted.extend(leaves);
        true
    }

    /// When wanted leaves may go.
    pub(crate) fn repair_due(&self) -> Option<Millis> {
        (!self.wanted.is_empty()).then_some(self.wanted_at)
    }

    /// Takes the leaves that are to be sent again now, in order.
    pub(crate) fn take_wanted(&mut self, now: Millis) -> Vec<u16> {
        self.wanted_at = now + REPAIR_APART_MS;
        let mut leaves = std::mem::take(&mut self.wanted);
        leaves.sort_unstable();
        leaves.dedup();
        leaves
    }

    /// The peer has started: it has forgotten what it asked for, or was replaced by one that knows no sums.
    pub(crate) fn peer_started(&mut self) {
        self.asked.clear();
        self.wanted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_tells_what_was_there_when_it_began() {
        let mut s = Speaker::new([0; 2], false);
        assert!(s.has_told());
        s.kept();
        s.bulk_begins();
        s.kept();
        s.bulk_ended();
        assert!(!s.has_told());
        s.bulk_begins();
        s.bulk_ended();
        assert!(s.has_told());
        s.orphaned();
        s.bulk_begins();
        s.bulk_ended();
        assert!(!s.has_told());
        s.peer_asks_for_all();
        assert!(s.has_told());
    }

    #[test]
    fn floods_of_questions_and_of_repairs_are_bounded() {
        let mut s = Speaker::new([0; 2], false);
        let mut sums = crate::store::FlowStore::new(1, [1, 2]);
        sums.begin_sums([1, 2]);
        sums.sum_turn(1);
        let (mut answers, mut repairs) = (0, 0);
        for now in 0..1000 {
            for _ in 0..100 {
                s.ask(now, Ask::Whole);
                s.want(now, &[1, 2, 3, 4]);
            }
            if s.due().is_some_and(|at| at <= now) {
                while s.answer(sums.sums().expect("complete")).is_some() {
                    answers += 1;
                    s.answered(now);
                }
            }
            if s.repair_due().is_some_and(|at| at <= now) {
                repairs += 1;
                assert!(s.take_wanted(now).len() <= LEAVES_MAX);
            }
        }
        assert_eq!((answers, repairs), (20, 1));
    }
}
