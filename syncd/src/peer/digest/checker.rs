//! The side that asks and compares.

use crate::peer::backoff::Backoff;
use crate::peer::clock::Millis;
use crate::store::Sums;
use zct_wire::peer::digest::{Ask, Part, Span};

/// A question that has not been answered for this long is asked again, and so is one whose answer came at a time
/// when it could not be compared.
const AGAIN_MS: Millis = 1000;
/// How soon it is tried again when an answer could not be compared.
const READY_MS: Millis = 200;
/// Sums are kept by adding what changes, which tells nothing of a record that changes by itself. So after so many
/// comparisons they are added up anew.
const ANEW: u64 = 16;
/// How soon everything is asked for again when that has led to no comparison, and how long it takes at most.
const ALL_FIRST_MS: Millis = 1000;
const ALL_LAST_MS: Millis = 600_000;
/// Questions that are open at the same time: as many as the peer keeps.
const OPEN_MAX: usize = 64;
/// Leaves that are repaired one by one. With more, everything is asked for.
const LEAVES_MAX: usize = 1024;

/// What comparisons with the peer have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestStats {
    /// Comparisons of everything.
    pub checks: u64,
    /// Leaves that were found to differ, each with some flows; all of them count if there were too many.
    pub differences: u64,
    /// Repairs that have ended: leaves were sent again, or everything was.
    pub repairs: u64,
    /// Flows that repairs have removed, because the peer did not have them.
    pub removed: u64,
    /// When the sums were last found to be equal.
    pub last_equal: Option<Millis>,
}

/// What the answers that have come so far show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing yet.
    Nothing,
    /// The sums have to be kept under another key.
    OtherKey([u64; 2]),
    /// The flows of these leaves differ.
    Leaves(Vec<u16>),
    /// So many leaves and more differ: everything has to be sent again.
    TooMuch(u64),
}

/// Comparisons of the external cache with what the peer has promised.
#[derive(Debug)]
pub(crate) struct Checker {
    /// The time from one comparison to the next; `None` when nothing is compared.
    interval: Option<Millis>,
    /// The peer knows these messages.
    knows: bool,
    /// When to ask, or to ask again.
    at: Millis,
    /// What has been asked and not answered, and what is to be asked then.
    open: Vec<Ask>,
    next: Vec<Span>,
    leaves: Vec<u16>,
    /// When everything may be asked for, because nothing else leads to a comparison.
    all: Backoff,
    /// The number of comparisons after which the sums are added up anew.
    anew_at: u64,
    pub(crate) stats: DigestStats,
}

impl Checker {
    pub(crate) fn new(interval: Option<Millis>) -> Checker {
        Checker {
            interval,
            knows: false,
            at: 0,
            open: Vec::new(),
            next: Vec::new(),
            leaves: Vec::new(),
            all: Backoff::new(ALL_FIRST_MS, ALL_LAST_MS),
            anew_at: ANEW,
            stats: DigestStats::default(),
        }
    }

    /// Takes over another interval.
    pub(crate) fn reconfigure(&mut self, interval: Option<Millis>) {
        self.interval = interval;
        self.forget();
    }

    /// True when the cache is compared at all.
    pub(crate) fn is_on(&self) -> bool {
        self.interval.is_some()
    }

    /// True when the peer is known to answer.
    pub(crate) fn is_active(&self) -> bool {
        self.knows && self.is_on()
    }

    /// The peer has shown that it knows sums.
    pub(crate) fn peer_knows(&mut self, now: Millis) {
        if !std::mem::replace(&mut self.knows, true) {
            self.at = now;
        }
    }

    /// True when the peer has shown that.
    pub(crate) fn has_met_sums(&self) -> bool {
        self.knows
    }

    /// True when everything may be asked for, because nothing else leads to a comparison. A peer that makes each
    /// attempt fail is asked less and less often.
    pub(crate) fn may_ask_for_all(&mut self, now: Millis) -> bool {
        self.all.attempts(now)
    }

    /// The peer has started, and may be another program.
    pub(crate) fn peer_started(&mut self) {
        self.knows = false;
        self.forget();
    }

    /// The comparison under way is given up; the next one begins at its time.
    fn forget(&mut self) {
        self.open.clear();
        self.next.clear();
        self.leaves.clear();
    }

    /// When to ask.
    pub(crate) fn due(&self) -> Option<Millis> {
        self.is_active().then_some(self.at)
    }

    /// True once when our sums have to be added up anew before the next comparison.
    pub(crate) fn adds_anew(&mut self) -> bool {
        let due = self.open.is_empty() && self.stats.checks >= self.anew_at;
        if due {
            self.anew_at = self.stats.checks + ANEW;
        }
        due
    }

    /// The next question if it is time for one; call it until there is none. `ready` says whether an answer could
    /// be compared.
    pub(crate) fn ask(&mut self, now: Millis, ready: bool) -> Vec<Ask> {
        if self.due().is_none_or(|at| at > now) {
            return Vec::new();
        }
        if !ready {
            // What was found so far is kept: leaves are compared anew before they are repaired.
            self.at = now + READY_MS;
            return Vec::new();
        }
        self.at = now + AGAIN_MS;
        if self.open.is_empty() {
            self.open.push(Ask::Whole);
        }
        self.open.clone()
    }

    /// The sum of everything, at a moment when it can be compared with `ours`. Returns what to ask.
    pub(crate) fn whole(&mut self, now: Millis, theirs: u64, ours: Option<&Sums>) -> Vec<Ask> {
        if !self.is_active() || !self.open.contains(&Ask::Whole) {
            return Vec::new();
        }
        self.forget();
        let interval = self.interval.unwrap_or(AGAIN_MS);
        if ours.is_some() {
            self.stats.checks += 1;
            self.all.succeeded();
        }
        if ours.is_some_and(|sums| sums.whole() == theirs) {
            self.stats.last_equal = Some(now);
            self.at = now + interval;
            return Vec::new();
        }
        self.next.push(Span::ALL);
        self.ask_next(now)
    }

    /// Asks for the next spans that differ, as far as there is room.
    fn ask_next(&mut self, now: Millis) -> Vec<Ask> {
        self.at = now + AGAIN_MS;
        let mut asks = Vec::new();
        while self.open.len() < OPEN_MAX {
            let Some(span) = self.next.pop() else { break };
            self.open.push(Ask::Parts(span));
            asks.push(Ask::Parts(span));
        }
        asks
    }

    /// The sums of the parts of a span, likewise. `ours` are `None` as long as they are not complete.
    pub(crate) fn parts(
        &mut self,
        now: Millis,
        (span, key, theirs): (Span, [u64; 2], &[u64]),
        (our_key, ours): (Option<[u64; 2]>, Option<&Sums>),
    ) -> (Finding, Vec<Ask>) {
        let Some(at) = self.open.iter().position(|a| *a == Ask::Parts(span)).filter(|_| self.is_active())
        else {
            return (Finding::Nothing, Vec::new());
        };
        if our_key != Some(key) {
            self.forget();
            // Not at once: whoever names another key each time would keep us adding up.
            self.at = now + AGAIN_MS;
            return (Finding::OtherKey(key), Vec::new());
        }
        let Some(ours) = ours else { return (Finding::Nothing, Vec::new()) };
        self.open.swap_remove(at);
        for ((n, theirs), ours) in (0..).zip(theirs).zip(ours.parts(span)) {
            match span.part(n) {
                _ if *theirs == ours => {}
                Part::Span(part) => self.next.push(part),
                Part::Leaf(leaf) => self.leaves.push(leaf),
            }
        }
        if self.leaves.len() + self.next.len() > LEAVES_MAX {
            let count = (self.leaves.len() + self.next.len()) as u64;
            self.stats.differences += count;
            self.forget();
            return (Finding::TooMuch(count), Vec::new());
        }
        let asks = self.ask_next(now);
        if !self.open.is_empty() {
            return (Finding::Nothing, asks);
        }
        self.at = now + AGAIN_MS;
        let leaves = std::mem::take(&mut self.leaves);
        if leaves.is_empty() {
            // It has passed while it was looked for: two changes in one leaf that had been lost may come at once.
            return (Finding::Nothing, asks);
        }
        self.stats.differences += leaves.len() as u64;
        (Finding::Leaves(leaves), asks)
    }

    /// What differed has been sent again, and so many flows were removed that had not come.
    pub(crate) fn repaired(&mut self, now: Millis, removed: u64) {
        self.stats.repairs += 1;
        self.stats.removed += removed;
        // Not at once: a difference that no repair ends would be repaired, and spoken of, all the time.
        self.at = now + self.interval.unwrap_or(AGAIN_MS);
    }
}
