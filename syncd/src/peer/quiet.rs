//! Comparing where nobody acknowledges anything, in NOTRACK and ALARM (sync-protocol.md §10.6).
//!
//! Nobody knows there whether all that was sent has come. So only leaves are compared that have been quiet for two
//! seconds on both sides, and an answer counts only if it was numbered after everything that had come before the
//! question. What differs is sent again; a flow is removed only if what has come of its leaf since then is, by its
//! sum, exactly what the peer has.

use crate::peer::backoff::Backoff;
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::delivery::Delivery;
use crate::peer::digest::DigestStats;
use crate::peer::entry::Control;
use crate::peer::ftfw::SUMS_A_TURN;
use crate::peer::generations::Generations;
use crate::peer::mend::{Mend, Step};
use crate::peer::remote::Remote;
use crate::store::UNQUIET;
use zct_wire::peer::Digest;
use zct_wire::peer::digest::{Ask, Part, Span};
use zct_wire::peer::header::after;

/// What has changed of late is told in steps of this time.
const AGE_MS: Millis = 1000;
/// A question that has not been answered for this long is asked again, and an answer that takes longer is none.
const AGAIN_MS: Millis = 1000;
/// So often at most.
const TRIES: u32 = 4;
/// Comparisons that come to nothing, one after the other, until the peer counts as one that does not compare.
const SILENT: u32 = 4;
/// How soon NOTRACK asks for everything when that happens, and how long it waits at most: a peer that has stored
/// or removed flows without a word answers again once it has sent all.
const ALL_FIRST_MS: Millis = 5000;
const ALL_LAST_MS: Millis = 600_000;
/// Questions that are open at the same time, and those of one comparison: the next one goes on from there.
const OPEN_MAX: usize = 32;
const ASKS_MAX: usize = 320;
/// Leaves that are repaired together.
const LEAVES_MAX: usize = 256;
/// After so many comparisons the sums are added up anew.
const ANEW: u64 = 16;

/// A question, and when it was asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    ask: Ask,
    at: Millis,
}

#[derive(Debug)]
enum State {
    Idle,
    /// Sums are asked for, and leaves that differ are collected.
    Asking {
        open: Vec<Open>,
        next: Vec<Span>,
        asked: usize,
        leaves: Vec<u16>,
        tries: u32,
    },
    /// Leaves are sent again.
    Mending(Mend),
}

/// Comparisons of the external cache with what the peer has.
#[derive(Debug)]
pub(crate) struct Quiet {
    /// Whether anything of it is known at all, and from one comparison to the next, if we compare.
    on: bool,
    interval: Option<Millis>,
    /// NOTRACK: a request for everything helps.
    resyncs: bool,
    knows: bool,
    /// The operator has emptied the external cache, and has not asked for anything since.
    flushed: bool,
    state: State,
    /// Which flows have come since leaves were asked for.
    generations: Generations,
    /// When to do the next thing, and when a second has passed.
    at: Millis,
    age_at: Millis,
    /// The number of the message that is being handled, the highest one so far, and what that was when the peer
    /// was asked.
    number: u32,
    heard: Option<u32>,
    heard_before: Option<u32>,
    /// Where the next comparison goes on.
    from: u16,
    silent: u32,
    /// When everything may be asked for.
    all: Backoff,
    anew_at: u64,
    unrepaired: bool,
    pub(crate) stats: DigestStats,
}

impl Quiet {
    /// `on` unless `Digest` is off; `interval` unless there is nothing to compare.
    pub(crate) fn new(now: Millis, on: bool, interval: Option<Millis>, resyncs: bool) -> Quiet {
        Quiet {
            on,
            interval,
            resyncs,
            knows: false,
            flushed: false,
            state: State::Idle,
            generations: Generations::default(),
            at: now,
            age_at: now + AGE_MS,
            number: 0,
            heard: None,
            heard_before: None,
            from: 0,
            silent: 0,
            all: Backoff::new(ALL_FIRST_MS, ALL_LAST_MS),
            anew_at: ANEW,
            unrepaired: false,
            stats: DigestStats::default(),
        }
    }

    pub(crate) fn reconfigure(&mut self, interval: Option<Millis>) {
        self.interval = interval;
    }

    /// False where a message about sums is none.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// True when the peer is asked, and has answered or said that it would.
    pub(crate) fn is_active(&self) -> bool {
        self.knows && self.interval.is_some()
    }

    /// The generation of what the peer sends now.
    pub(crate) fn generation(&self) -> u8 {
        self.generations.current()
    }

    /// A message of the peer has been accepted.
    pub(crate) fn heard(&mut self, number: u32) {
        self.number = number;
        if self.heard.is_none_or(|heard| after(number, heard)) {
            self.heard = Some(number);
        }
    }

    /// The peer has shown that it knows sums.
    pub(crate) fn peer_knows(&mut self, now: Millis) {
        if self.on && !std::mem::replace(&mut self.knows, true) {
            self.at = now;
        }
    }

    /// The external cache has been emptied.
    pub(crate) fn flushed(&mut self) {
        (self.state, self.flushed, self.from) = (State::Idle, self.resyncs, 0);
        self.unrepaired = false;
    }

    /// The peer is asked for everything.
    pub(crate) fn asks_for_all(&mut self) {
        self.flushed = false;
    }

    /// When [`Quiet::turn`] has something to do.
    pub(crate) fn due(&self, now: Millis) -> Option<Millis> {
        let walks = matches!(&self.state, State::Mending(m) if m.is_walking());
        self.on.then(|| if walks { now } else { self.at.min(self.age_at) })
    }

    /// True from when a difference was told until it is repaired.
    pub(crate) fn repairs(&self) -> bool {
        self.unrepaired
    }

    /// Does what is due. Returns how many flows were removed, at the end of a repair.
    pub(crate) fn turn(
        &mut self,
        now: Millis,
        delivery: &mut Delivery,
        remote: &mut Remote,
        caches: &mut Caches,
    ) -> Option<u64> {
        if !self.on {
            return None;
        }
        while self.age_at <= now {
            self.age_at += AGE_MS;
            caches.internal.age();
            caches.external.age();
        }
        caches.external.sum_turn(SUMS_A_TURN);
        let mut ended = None;
        if let State::Mending(mend) = &mut self.state {
            let before = mend.removed;
            let step = mend.turn(now, self.heard, &mut self.generations, (delivery, remote), caches);
            self.stats.removed += mend.removed - before;
            match step {
                Step::On(at) => self.at = at,
                Step::Ended { whole } => {
                    let removed = mend.removed;
                    if whole && mend.is_told {
                        self.stats.repairs += 1;
                        self.unrepaired = false;
                        ended = Some(removed);
                    }
                    self.rest(now);
                }
            }
            return ended;
        }
        if self.at > now {
            return None;
        }
        self.ask_turn(now, delivery, caches);
        None
    }

    /// A comparison has come to its end; the next one is due at its time, or soon where this one has not come round.
    fn rest(&mut self, now: Millis) {
        self.state = State::Idle;
        self.at = now + if self.from > 0 { AGAIN_MS } else { self.interval.unwrap_or(AGAIN_MS) };
    }

    fn ask_turn(&mut self, now: Millis, delivery: &mut Delivery, caches: &mut Caches) {
        let interval = self.interval.unwrap_or(10 * AGAIN_MS);
        if !self.is_active() {
            // It costs eight bytes, and to an original it is a sign of life, or nothing.
            self.at = now + interval;
            return delivery.control(now, Control::Compares);
        }
        if self.flushed || caches.external.is_summing() || caches.external.is_full() {
            self.at = now + AGAIN_MS;
            return;
        }
        match &mut self.state {
            State::Idle => {
                if self.stats.checks >= self.anew_at {
                    self.anew_at = self.stats.checks + ANEW;
                    caches.external.sums_key().into_iter().for_each(|key| caches.external.begin_sums(key));
                    self.at = now;
                    return;
                }
                self.heard_before = self.heard;
                let open = vec![Open { ask: Ask::Whole, at: now }];
                self.state = State::Asking { open, next: Vec::new(), asked: 1, leaves: Vec::new(), tries: 0 };
                self.at = now + AGAIN_MS;
                delivery.control(now, Control::Ask(Ask::Whole));
            }
            State::Asking { open, tries, .. } if *tries < TRIES => {
                *tries += 1;
                self.at = now + AGAIN_MS;
                for o in open {
                    o.at = now;
                    delivery.control(now, Control::Ask(o.ask));
                }
            }
            State::Asking { .. } => self.unanswered(now, delivery),
            State::Mending(_) => {}
        }
    }

    /// The peer does not answer: it has something to tell first, is away, or was replaced by one that cannot.
    fn unanswered(&mut self, now: Millis, delivery: &mut Delivery) {
        self.state = State::Idle;
        self.at = now + self.interval.unwrap_or(AGAIN_MS);
        self.silent += 1;
        if self.resyncs && self.all.attempts(now) {
            delivery.control(now, Control::Resync);
        }
        if self.silent >= SILENT {
            (self.knows, self.silent, self.heard) = (false, 0, None);
        }
    }

    /// Handles an answer of the peer's. Returns how many leaves differ, if some do.
    pub(crate) fn digest(
        &mut self,
        now: Millis,
        digest: Digest,
        delivery: &mut Delivery,
        caches: &mut Caches,
    ) -> Option<u64> {
        self.peer_knows(now);
        // What was numbered before we asked may be of a time before what we have heard since.
        let late = self.heard_before.is_some_and(|heard| !after(self.number, heard));
        if !self.is_active() || late {
            return None;
        }
        if let (State::Mending(mend), Digest::Parts(span, key, theirs)) = (&mut self.state, digest) {
            if caches.external.sums_key() == Some(key) {
                mend.answer(now, self.number, (span, &theirs), delivery, caches);
                self.at = self.at.min(mend.due());
            }
            return None;
        }
        let State::Asking { open, next, asked, leaves, tries } = &mut self.state else { return None };
        let question = match digest {
            Digest::Whole(_) => Ask::Whole,
            Digest::Parts(span, ..) => Ask::Parts(span),
            Digest::Ask(_) | Digest::Repair(_) => return None,
        };
        let fresh = |o: &Open| o.ask == question && now.saturating_sub(o.at) <= AGAIN_MS;
        let at = open.iter().position(fresh)?;
        open.swap_remove(at);
        (*tries, self.silent) = (0, 0);
        self.all.succeeded();
        match digest {
            Digest::Whole(theirs) => {
                self.stats.checks += 1;
                if caches.external.sums().is_some_and(|ours| ours.whole() == theirs) {
                    (self.stats.last_equal, self.from, self.unrepaired) = (Some(now), 0, false);
                    self.rest(now);
                    return None;
                }
                next.push(Span::ALL);
            }
            Digest::Parts(span, key, theirs) => {
                let ours = caches.external.sums().filter(|ours| ours.key() == key);
                let Some(ours) = ours else {
                    // Not more often than this: whoever names another key each time would keep us adding up.
                    caches.external.begin_sums(key);
                    caches.external.watch();
                    (self.state, self.at) = (State::Idle, now + AGAIN_MS);
                    return None;
                };
                // The last one is taken first, so that they come in order.
                for ((n, theirs), ours_part) in
                    (0..).zip(theirs).zip(ours.parts(span)).collect::<Vec<_>>().into_iter().rev()
                {
                    if theirs == ours_part {
                        continue;
                    }
                    match span.part(n) {
                        Part::Span(part) if last_leaf(part) >= self.from => next.push(part),
                        Part::Leaf(leaf) if leaf >= self.from && theirs != UNQUIET && ours.is_quiet(leaf) => {
                            leaves.push(leaf);
                        }
                        Part::Span(_) | Part::Leaf(_) => {}
                    }
                }
            }
            Digest::Ask(_) | Digest::Repair(_) => {}
        }
        let enough = *asked >= ASKS_MAX || leaves.len() >= LEAVES_MAX;
        while !enough && open.len() < OPEN_MAX {
            let Some(span) = next.pop() else { break };
            *asked += 1;
            open.push(Open { ask: Ask::Parts(span), at: now });
            delivery.control(now, Control::Ask(Ask::Parts(span)));
        }
        self.at = now + AGAIN_MS;
        if !open.is_empty() && !enough {
            return None;
        }
        let spans = open.iter().filter_map(|o| if let Ask::Parts(s) = o.ask { Some(s) } else { None });
        self.from = spans.chain(next.iter().copied()).map(Span::first).min().unwrap_or(0);
        let leaves = std::mem::take(leaves);
        if leaves.is_empty() {
            self.rest(now);
            return None;
        }
        // Before both were equal once, nothing has been promised that could differ.
        let is_told = self.stats.last_equal.is_some();
        let count = leaves.len() as u64;
        self.stats.differences += if is_told { count } else { 0 };
        self.unrepaired |= is_told;
        self.state = State::Mending(Mend::begin(now, leaves, is_told, self.heard));
        self.at = now;
        is_told.then_some(count)
    }
}

/// The last leaf of a span.
fn last_leaf(span: Span) -> u16 {
    let len = span.part_len() * zct_wire::peer::digest::PARTS;
    span.first().saturating_add(u16::try_from(len.saturating_sub(1)).unwrap_or(u16::MAX))
}
