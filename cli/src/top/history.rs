//! What each flow had carried when the table was last read, so that rates and new flows are those of flows
//! and not of sums: a group whose flows end would have lost bytes otherwise.
//!
//! The kernel lists a table that has changed little in nearly the same order, so a flow is looked for right
//! behind the one before it. Where the order breaks, in parts that several threads have read or after a
//! resize, every 64th flow is a landmark to go on from, and what is left is looked up at the end.

use crate::group::key::mix;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

/// One flow of a reading.
#[derive(Clone, Copy, Debug)]
struct Seen {
    ident: u64,
    bytes: u64,
}

/// How far ahead a flow is looked for.
const AHEAD: usize = 16;
/// Of this many flows one is a landmark.
const LANDMARK: usize = 64;
/// Marks a flow that was found; no flow has it as its own.
const FOUND: u64 = 0;

/// A flow that has not been found yet: its identity, what it has carried, and its group.
#[derive(Clone, Copy, Debug)]
struct Lost {
    seen: Seen,
    group: usize,
}

/// The flows of the last reading, and those of the one under way.
///
/// # Allocation
/// 16 bytes per flow for each of the two; memory is kept from one reading to the next.
#[derive(Debug)]
pub(super) struct History {
    secret: u64,
    before: Vec<Seen>,
    now: Vec<Seen>,
    next: usize,
    landmarks: HashMap<u64, u32>,
    lost: Vec<Lost>,
    /// False until there is a whole reading to compare with.
    known: bool,
}

/// How a flow has changed since the last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// There is nothing to compare with, or the answer comes with [`History::end`].
    Later,
    /// It was there, and has carried this many bytes since.
    More(u64),
}

impl History {
    pub(super) fn new() -> History {
        History {
            secret: RandomState::new().hash_one(0u64),
            before: Vec::new(),
            now: Vec::new(),
            next: 0,
            landmarks: HashMap::new(),
            lost: Vec::new(),
            known: false,
        }
    }

    /// Forgets everything, because other flows are to be looked at from now on.
    pub(super) fn forget(&mut self) {
        self.before.clear();
        self.now.clear();
        self.known = false;
    }

    /// Begins a reading.
    pub(super) fn begin(&mut self) {
        self.now.clear();
        self.lost.clear();
        self.next = 0;
        self.landmarks.clear();
        let marks = self.before.iter().enumerate().step_by(LANDMARK);
        // Beyond 2^32 flows there is no landmark, and the end finds the rest.
        self.landmarks.extend(marks.filter_map(|(at, seen)| Some((seen.ident, u32::try_from(at).ok()?))));
    }

    /// What tells a flow from others: a hash of its original tuple, as it lies in the message, and of its
    /// zone. Two that look like one would show a wrong rate, and nothing else.
    pub(super) fn ident(&self, tuple: &[u8], zone: u16) -> u64 {
        let words = tuple.chunks(8).map(|chunk| match chunk.first_chunk() {
            Some(whole) => u64::from_ne_bytes(*whole),
            None => chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        });
        words.fold(mix(self.secret, zone.into()), mix).max(FOUND + 1)
    }

    /// Takes a flow of this reading, which is in `group`.
    #[inline]
    pub(super) fn flow(&mut self, ident: u64, bytes: u64, group: usize) -> Change {
        let seen = Seen { ident, bytes };
        self.now.push(seen);
        if !self.known {
            return Change::Later;
        }
        match self.find(seen.ident) {
            Some(before) => Change::More(more(before, bytes)),
            None => {
                self.lost.push(Lost { seen, group });
                Change::Later
            }
        }
    }

    /// Bytes the flow had before, if it is where it is expected.
    fn find(&mut self, ident: u64) -> Option<u64> {
        let ahead = self.before.iter_mut().skip(self.next).take(AHEAD);
        let near = ahead.enumerate().find(|(_, seen)| seen.ident == ident);
        let (at, seen) = match near {
            Some((distance, seen)) => (self.next + distance, seen),
            None => {
                let at = *self.landmarks.get(&ident)? as usize;
                (at, self.before.get_mut(at).filter(|seen| seen.ident == ident)?)
            }
        };
        seen.ident = FOUND;
        self.next = at + 1;
        Some(seen.bytes)
    }

    /// Ends a reading. Says of each flow that was not found at once which group it is in, whether it is new,
    /// and how many bytes it has carried since. Nothing is said of the first reading.
    pub(super) fn end(&mut self, mut found: impl FnMut(usize, bool, u64)) {
        if !self.lost.is_empty() {
            let rest = self.before.iter().filter(|seen| seen.ident != FOUND);
            let mut rest: HashMap<u64, u64> = rest.map(|seen| (seen.ident, seen.bytes)).collect();
            for Lost { seen, group } in self.lost.drain(..) {
                let before = rest.remove(&seen.ident);
                found(group, before.is_none(), more(before.unwrap_or(0), seen.bytes));
            }
        }
        std::mem::swap(&mut self.before, &mut self.now);
        self.known = true;
    }

    /// True when there is a reading to compare with.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }
}

/// A flow with less than before is another one, with the same addresses and ports.
fn more(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// What is said of each flow of a reading, whose number is its group: whether it is new, and its bytes.
    fn read(history: &mut History, flows: &[(u64, u64)]) -> BTreeMap<u64, (bool, u64)> {
        let mut said = BTreeMap::new();
        history.begin();
        for (n, bytes) in flows {
            let ident = history.ident(&[&b"a tuple"[..], &n.to_be_bytes()].concat(), 0);
            if let Change::More(more) = history.flow(ident, *bytes, *n as usize) {
                said.insert(*n, (false, more));
            }
        }
        history.end(|group, new, more| assert!(said.insert(group as u64, (new, more)).is_none()));
        said
    }

    proptest! {
        #[test]
        fn every_flow_is_compared_with_itself(
            first in prop::collection::btree_map(0u64..600, 0u64..1000, 0..400),
            second in prop::collection::btree_map(0u64..600, 0u64..1000, 0..400),
            turn in any::<prop::sample::Index>(),
            shuffled in any::<bool>(),
        ) {
            let mut history = History::new();
            let list = |m: &BTreeMap<u64, u64>| m.iter().map(|(n, b)| (*n, *b)).collect::<Vec<_>>();
            prop_assert!(read(&mut history, &list(&first)).is_empty(), "nothing to compare with");
            prop_assert!(history.is_known());
            // Parts that change places, as when several threads read them, or another order altogether.
            let mut flows = list(&second);
            if !flows.is_empty() {
                let at = turn.index(flows.len());
                flows.rotate_left(at);
            }
            if shuffled {
                flows.sort_by_key(|(n, _)| n.wrapping_mul(0x9e37_79b9) % 601);
            }
            let said = read(&mut history, &flows);
            prop_assert_eq!(said.len(), second.len());
            for (n, bytes) in &second {
                let before = first.get(n);
                prop_assert_eq!(said[n], (before.is_none(), more(before.copied().unwrap_or(0), *bytes)));
            }
        }
    }

    #[test]
    fn every_byte_of_a_tuple_and_the_zone_count() {
        let (history, tuple) = (History::new(), [7; 44]);
        let mut idents: Vec<u64> = (0..tuple.len())
            .map(|at| {
                let mut other = tuple;
                other[at] ^= 1;
                history.ident(&other, 0)
            })
            .chain([history.ident(&tuple, 0), history.ident(&tuple, 1), history.ident(&[], 0)])
            .collect();
        idents.sort_unstable();
        idents.dedup();
        assert_eq!(idents.len(), tuple.len() + 3);
    }

    #[test]
    fn what_was_forgotten_is_not_compared_with() {
        let mut history = History::new();
        read(&mut history, &[(1, 10)]);
        history.forget();
        assert!(read(&mut history, &[(1, 30)]).is_empty());
        assert_eq!(read(&mut history, &[(1, 35), (2, 1)]), [(1, (false, 5)), (2, (true, 1))].into());
    }
}
