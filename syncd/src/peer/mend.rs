//! Leaves that differ, where nobody acknowledges anything: they are sent again, and what the peer no longer has is
//! removed (sync-protocol.md §10.6).
//!
//! Each attempt asks for the leaves, waits, and asks for their sums. The peer answers when it has sent them. Some of
//! that may be lost, and nobody would know: so a flow that has not come is removed only if the others of its leaf add
//! up to the peer's sum, and as long as nothing has changed since.

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::delivery::Delivery;
use crate::peer::entry::Control;
use crate::peer::generations::{Generations, SWEEP_A_TURN};
use crate::peer::remote::Remote;
use crate::store::{Cursor, FlowId, Meta, UNQUIET};
use std::collections::BTreeMap;
use zct_wire::peer::digest::{Ask, PARTS, Part, Span};
use zct_wire::peer::header::after;

/// From one step of an attempt to the next.
const STEP_MS: Millis = 1000;
/// Questions that are open at the same time.
const OPEN_MAX: usize = 32;
/// How often the sums of leaves are asked for in one attempt, as long as some are missing or not quiet.
const ASKS: u32 = 5;
/// Attempts, before it is left to the next comparison.
const ATTEMPTS: u32 = 5;

/// What is known of a leaf in this attempt.
#[derive(Clone, Debug, Default)]
struct Leaf {
    /// The peer's sum, and ours when that came.
    sums: Option<(u64, u64)>,
    /// Flows that have not come again, and the sum of their values.
    stale: Vec<FlowId>,
    stale_sum: u64,
}

#[derive(Debug)]
enum State {
    /// The leaves have to be asked for.
    Begin,
    /// They were asked for, and so many times for their sums.
    Waiting { asks: u32, open: Vec<Span>, next: Vec<Span> },
    /// What has not come is looked for.
    Walking(Cursor),
}

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More, at this time.
    On(Millis),
    /// Nothing; the leaves are the peer's `whole`.
    Ended { whole: bool },
}

/// A repair of some leaves.
#[derive(Debug)]
pub(crate) struct Mend {
    leaves: BTreeMap<u16, Leaf>,
    state: State,
    at: Millis,
    attempts: u32,
    /// The highest number that had been heard when this attempt began: an answer comes after that.
    heard: Option<u32>,
    /// Whether anybody was told of the difference.
    pub(crate) is_told: bool,
    /// Flows that were removed.
    pub(crate) removed: u64,
}

impl Mend {
    pub(crate) fn begin(now: Millis, leaves: Vec<u16>, is_told: bool, heard: Option<u32>) -> Mend {
        let leaves = leaves.into_iter().map(|leaf| (leaf, Leaf::default())).collect();
        Mend { leaves, state: State::Begin, at: now, attempts: 0, heard, is_told, removed: 0 }
    }

    /// When there is something to do.
    pub(crate) fn due(&self) -> Millis {
        self.at
    }

    /// True while flows are looked through.
    pub(crate) fn is_walking(&self) -> bool {
        matches!(self.state, State::Walking(_))
    }

    /// Does what is due.
    pub(crate) fn turn(
        &mut self,
        now: Millis,
        heard: Option<u32>,
        generations: &mut Generations,
        (delivery, remote): (&mut Delivery, &mut Remote),
        caches: &mut Caches,
    ) -> Step {
        if let State::Walking(cursor) = self.state {
            return self.walk(now, cursor, generations, remote, caches);
        }
        if self.at > now {
            return Step::On(self.at);
        }
        self.at = now + STEP_MS;
        match &mut self.state {
            State::Begin => {
                if self.leaves.is_empty() || self.attempts == ATTEMPTS {
                    return Step::Ended { whole: self.leaves.is_empty() };
                }
                self.attempts += 1;
                self.heard = heard;
                self.leaves.values_mut().for_each(|leaf| *leaf = Leaf::default());
                if generations.advance() {
                    ask_for(&self.leaves, now, delivery);
                    self.state = State::Waiting { asks: 0, open: Vec::new(), next: Vec::new() };
                } else {
                    // Everything has to get the same generation first.
                    self.state = State::Walking(Cursor::default());
                }
            }
            State::Waiting { asks, .. } if *asks == ASKS => self.state = State::Walking(Cursor::default()),
            State::Waiting { asks, open, next } => {
                *asks += 1;
                // What has not been answered, or was not quiet.
                let mut spans: Vec<Span> = Vec::new();
                for (leaf, _) in self.leaves.iter().filter(|(_, known)| known.sums.is_none()) {
                    let span = around(*leaf);
                    if spans.last() != Some(&span) {
                        spans.push(span);
                    }
                }
                if spans.is_empty() {
                    self.state = State::Walking(Cursor::default());
                    return Step::On(now);
                }
                (*next, *open) = (spans, Vec::new());
                ask_next(now, open, next, delivery);
            }
            State::Walking(_) => {}
        }
        Step::On(self.at)
    }

    /// The sums of sixteen leaves have come under this number.
    pub(crate) fn answer(
        &mut self,
        now: Millis,
        number: u32,
        (span, theirs): (Span, &[u64; PARTS]),
        delivery: &mut Delivery,
        caches: &Caches,
    ) {
        let State::Waiting { open, next, .. } = &mut self.state else { return };
        let Some(sums) = caches.external.sums() else { return };
        let Some(at) = open.iter().position(|s| *s == span) else { return };
        if self.heard.is_some_and(|heard| !after(number, heard)) {
            return;
        }
        open.swap_remove(at);
        for (n, theirs) in (0..).zip(theirs).filter(|(_, theirs)| **theirs != UNQUIET) {
            let leaf = span.first() | n;
            let ours = sums.leaf_sum(leaf);
            if ours == *theirs {
                self.leaves.remove(&leaf);
            } else if let Some(known) = self.leaves.get_mut(&leaf) {
                known.sums = Some((*theirs, ours));
            }
        }
        ask_next(now, open, next, delivery);
        if open.is_empty() && self.leaves.values().all(|l| l.sums.is_some()) {
            self.state =
                if self.leaves.is_empty() { State::Begin } else { State::Walking(Cursor::default()) };
            self.at = now;
        }
    }

    /// Looks at a bounded number of flows: which have not come again, of the leaves that still differ.
    fn walk(
        &mut self,
        now: Millis,
        mut cursor: Cursor,
        generations: &mut Generations,
        remote: &mut Remote,
        caches: &mut Caches,
    ) -> Step {
        let current = generations.current();
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = caches.external.walk(&mut cursor) else {
                self.remove(generations, remote, caches);
                (self.state, self.at) = (State::Begin, now + STEP_MS);
                return Step::On(if self.leaves.is_empty() { now } else { self.at });
            };
            let Some(meta) = caches.external.meta(id).filter(|m| m.generation != current) else { continue };
            // A flow that is in no sum may have been lost on the way without a trace, and stays.
            let share = caches.external.share(id);
            let leaf = share.and_then(|(leaf, value)| Some((self.leaves.get_mut(&leaf)?, value)));
            match leaf {
                Some((leaf, value)) if leaf.sums.is_some() => {
                    leaf.stale.push(id);
                    leaf.stale_sum = leaf.stale_sum.wrapping_add(value);
                }
                Some(_) | None => caches.external.set_meta(id, Meta { generation: current, ..meta }),
            }
        }
        self.state = State::Walking(cursor);
        Step::On(now)
    }

    /// Removes what has not come again, from leaves of which exactly the rest is what the peer has.
    fn remove(&mut self, generations: &mut Generations, remote: &mut Remote, caches: &mut Caches) {
        let current = generations.current();
        let Mend { leaves, removed, .. } = self;
        leaves.retain(|leaf, known| {
            let ours = caches.external.sums().map(|s| s.leaf_sum(*leaf));
            let is_old = |id: &FlowId| caches.external.meta(*id).is_some_and(|m| m.generation != current);
            let exact = known.sums.is_some_and(|(theirs, then)| {
                ours == Some(then) && then.wrapping_sub(known.stale_sum) == theirs
            });
            if exact && !known.stale.is_empty() && known.stale.iter().all(is_old) {
                *removed += known.stale.len() as u64;
                known.stale.iter().for_each(|id| remote.forget_flow(*id, caches));
                return false;
            }
            for id in &known.stale {
                if let Some(meta) = caches.external.meta(*id) {
                    caches.external.set_meta(*id, Meta { generation: current, ..meta });
                }
            }
            true
        });
        generations.complete();
    }
}

/// Asks for all flows of these leaves, four at a time.
fn ask_for(leaves: &BTreeMap<u16, Leaf>, now: Millis, delivery: &mut Delivery) {
    let all: Vec<u16> = leaves.keys().copied().collect();
    for four in all.chunks(4) {
        // Where there are fewer, the last one is said again.
        let mut say = [four.last().copied().unwrap_or(0); 4];
        say.iter_mut().zip(four).for_each(|(to, leaf)| *to = *leaf);
        delivery.control(now, Control::Repair(say));
    }
}

fn ask_next(now: Millis, open: &mut Vec<Span>, next: &mut Vec<Span>, delivery: &mut Delivery) {
    while open.len() < OPEN_MAX {
        let Some(span) = next.pop() else { return };
        open.push(span);
        delivery.control(now, Control::Ask(Ask::Parts(span)));
    }
}

/// The span of sixteen leaves that this one is in.
fn around(leaf: u16) -> Span {
    let mut span = Span::ALL;
    loop {
        let n = (usize::from(leaf) - usize::from(span.first())) / span.part_len();
        match span.part(n as u8) {
            Part::Span(part) => span = part,
            Part::Leaf(_) => return span,
        }
    }
}
