//! A requested bulk, and the sweep of what it did not contain (sync-protocol.md §5.1.5).
//!
//! A bulk has no end marker, and the original never removes anything after one: flows that ended while a
//! node was down stay on its peer forever, and the peer commits them. But the end can be recognised without
//! a marker. Both programs send things in the order in which they put them on their queue. So everything
//! that our request put on the peer's queue has arrived once the peer has acknowledged the request, and
//! after that something that we sent later, and no number has been missing since. (The acknowledgement of
//! the request alone is not enough: the original may queue it just before the flows.) Asking for missing
//! numbers is a request too, because what they carried comes again later: the wait starts over each time.
//! For our own bulks, which are paced, see `Repair::defer`: we do not acknowledge the request before we
//! have sent everything.
//!
//! Then only flows that no message has touched since the request are removed.

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::generations::{Generations, SWEEP_A_TURN};
use crate::store::{Cursor, Meta};
use zct_wire::peer::header::after;

/// Bulks that the operator did not ask for are requested at least this far apart: a bad network gives many
/// reasons for one.
const ASK_APART_MS: Millis = 2000;

/// How far the peer's bulk has come.
#[derive(Debug, Default, PartialEq, Eq)]
enum ResyncState {
    #[default]
    Idle,
    /// It was requested. `barrier` is the first of our numbers whose acknowledgement shows that everything
    /// has arrived; it is set when no request is open.
    Waiting { barrier: Option<u32> },
    /// Everything has arrived: old flows are being removed.
    Sweeping { cursor: Cursor, swept: u64 },
}

/// The requested bulks, and the sweeps that follow them.
#[derive(Debug, Default)]
pub(crate) struct Resync {
    state: ResyncState,
    /// Requests that wait to be sent or acknowledged, including those in `held`.
    requests: usize,
    /// The number of requests that wait for the peer's answer to our HELLO. A single bulk will
    /// serve them all.
    held: usize,
    /// A request fell out of the full resend queue: a bulk makes up for it as soon as the peer is heard.
    overdue: bool,
    /// When to ask next, if that has to wait. Until then it counts as a request.
    due: Option<Millis>,
    last_asked: Option<Millis>,
    /// This sweep may leave something behind.
    another: bool,
    /// The leaves that were asked for, in order, if it was not everything.
    only: Option<Vec<u16>>,
    /// Everything that was asked for has come and nothing has been lost since, so that the external cache is what
    /// the peer has told.
    sound: bool,
    /// The operator has emptied the external caches, and has not asked for anything since.
    flushed: bool,
    /// The generations in the external caches.
    peer: Generations,
}

impl Resync {
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, ResyncState::Waiting { .. })
    }

    pub(crate) fn is_sweeping(&self) -> bool {
        matches!(self.state, ResyncState::Sweeping { .. })
    }

    /// Something went wrong that may have cost a flow of the bulk, so nothing may be removed.
    pub(crate) fn abandon(&mut self) {
        self.sound = false;
        if self.is_waiting() {
            self.state = ResyncState::Idle;
        }
    }

    /// The external caches have been emptied.
    pub(crate) fn forget_sweep(&mut self) {
        self.state = ResyncState::Idle;
        (self.sound, self.flushed) = (false, true);
        self.peer.complete();
    }

    /// A request has been queued: RESYNC or NACK.
    pub(crate) fn requested(&mut self) {
        self.requests += 1;
        if let ResyncState::Waiting { barrier } = &mut self.state {
            *barrier = None;
        }
    }

    /// Forgets the requests that have been sent; `queued` others are still to be sent.
    pub(crate) fn forget_requests(&mut self, queued: usize) {
        self.held = 0;
        self.requests = queued + usize::from(self.due.is_some());
    }

    /// Requests that the peer has not answered, including those that are still to be sent.
    pub(crate) fn open_requests(&self) -> usize {
        self.requests
    }

    /// When a bulk will be requested.
    pub(crate) fn due(&self) -> Option<Millis> {
        self.due
    }

    /// A request has been acknowledged.
    pub(crate) fn answered(&mut self) {
        self.settle(1);
    }

    /// This many requests fell out of the full resend queue.
    pub(crate) fn given_up(&mut self, requests: usize) {
        self.settle(requests);
        self.overdue |= requests > 0;
    }

    /// This many requests are no longer waited for.
    fn settle(&mut self, requests: usize) {
        // A count that were too low would end the wait early, and the sweep would remove what is on its way.
        debug_assert!(requests <= self.requests, "{requests} of {} requests", self.requests);
        self.requests = self.requests.saturating_sub(requests);
    }

    /// Panics unless every request that is waited for is somewhere: it becomes due later, waits for the
    /// answer to our HELLO, or is `under_way` with all that goes out.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self, under_way: usize) {
        let elsewhere = self.held + usize::from(self.due.is_some());
        assert_eq!(self.requests, under_way + elsewhere, "requests, of which {elsewhere} are not sent yet");
    }

    /// True once after a request fell out of the full resend queue.
    pub(crate) fn take_overdue(&mut self) -> bool {
        std::mem::take(&mut self.overdue)
    }

    /// The generation of what the peer sends from now on.
    pub(crate) fn generation(&self) -> u8 {
        self.peer.current()
    }

    /// A bulk is being requested: remembers what was known before. The request itself is reported to
    /// [`Resync::requested`].
    pub(crate) fn begin(&mut self, now: Millis) {
        if self.due.take().is_some() {
            self.answered();
        }
        self.last_asked = Some(now);
        self.another |= !self.peer.advance();
        self.state = ResyncState::Waiting { barrier: None };
        (self.only, self.sound, self.flushed) = (None, false, false);
    }

    /// The flows of some leaves are being requested, at a moment when [`Resync::is_level`].
    pub(crate) fn begin_some(&mut self, mut leaves: Vec<u16>) {
        leaves.sort_unstable();
        self.another |= !self.peer.advance();
        self.state = ResyncState::Waiting { barrier: None };
        self.only = Some(leaves);
    }

    /// True while only some leaves are waited for, or swept.
    pub(crate) fn is_partial(&self) -> bool {
        self.only.is_some() && self.state != ResyncState::Idle
    }

    /// True when everything that the peer has sent has come.
    pub(crate) fn is_level(&self) -> bool {
        self.sound && self.state == ResyncState::Idle && self.requests == 0 && !self.overdue
    }

    /// True when only a request for everything leads to [`Resync::is_level`], and nobody has said that what was
    /// there is not wanted.
    pub(crate) fn needs_all(&self) -> bool {
        !self.sound && !self.flushed && self.state == ResyncState::Idle && self.requests == 0
    }

    /// A bulk is wanted, but not before `at`. True if it may be requested now; otherwise it
    /// becomes due later.
    pub(crate) fn want_at(&mut self, now: Millis, at: Millis) -> bool {
        let earliest = self.last_asked.map_or(at, |t| at.max(t + ASK_APART_MS));
        if earliest > now && self.due.is_none() {
            // The resync under way must not end in a sweep before this bulk has come.
            self.due = Some(earliest);
            self.requested();
        }
        earliest <= now
    }

    /// The latest request has to wait for the answer to our HELLO.
    pub(crate) fn hold(&mut self) {
        self.held += 1;
    }

    /// The answer has come. True when a bulk has to be requested in place of what waited.
    pub(crate) fn release(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        self.settle(held);
        held > 0
    }

    /// True once if the sweep that has ended may have left something behind.
    pub(crate) fn take_another(&mut self) -> bool {
        std::mem::take(&mut self.another)
    }

    /// An acknowledgement up to `to` has been handled; the next number we send is `next`.
    pub(crate) fn acknowledged(&mut self, to: u32, next: u32) {
        let ResyncState::Waiting { barrier } = &mut self.state else { return };
        if self.requests > 0 {
            return;
        }
        match *barrier {
            None => *barrier = Some(next),
            Some(b) if !after(b, to) => {
                self.state = ResyncState::Sweeping { cursor: Cursor::default(), swept: 0 };
            }
            Some(_) => {}
        }
    }
}

/// What one turn of a sweep has removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swept {
    pub(crate) flows: u64,
    pub(crate) expects: u64,
    /// The total of the whole sweep, if this was its last turn.
    pub(crate) total: Option<u64>,
}

impl Resync {
    /// Removes a bounded number of flows that the peer no longer has.
    pub(crate) fn sweep_turn(&mut self, caches: &mut Caches) -> Swept {
        let mut turn = Swept::default();
        let ResyncState::Sweeping { mut cursor, swept } = self.state else { return turn };
        let current = self.peer.current();
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = caches.external.walk(&mut cursor) else {
                turn.expects = self.sweep_expects(caches);
                turn.total = Some(swept + turn.flows + turn.expects);
                self.state = ResyncState::Idle;
                self.sound = !self.another;
                self.peer.complete();
                return turn;
            };
            let Some(meta) = caches.external.meta(id).filter(|m| m.generation != current) else { continue };
            if self.asked_for(caches.external.leaf(id)) {
                caches.external.remove(id);
                turn.flows += 1;
            } else {
                caches.external.set_meta(id, Meta { generation: current, ..meta });
            }
        }
        self.state = ResyncState::Sweeping { cursor, swept: swept + turn.flows };
        turn
    }

    /// True when everything was asked for, or this leaf; expectations have none.
    fn asked_for(&self, leaf: Option<u16>) -> bool {
        self.only.as_ref().is_none_or(|only| leaf.is_some_and(|l| only.binary_search(&l).is_ok()))
    }

    fn sweep_expects(&self, caches: &mut Caches) -> u64 {
        let (current, mut cursor, mut swept) = (self.peer.current(), 0, 0);
        while let Some(id) = caches.external_expect.walk(&mut cursor) {
            let Some(meta) = caches.external_expect.meta(id).filter(|m| m.generation != current) else {
                continue;
            };
            if self.asked_for(None) {
                caches.external_expect.remove(id);
                swept += 1;
            } else {
                caches.external_expect.set_meta(id, Meta { generation: current, ..meta });
            }
        }
        swept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Resync {
        let mut r = Resync { state: ResyncState::Waiting { barrier: None }, ..Resync::default() };
        r.requested();
        r
    }

    #[test]
    fn the_request_and_then_something_later_must_be_acknowledged() {
        let mut r = waiting();
        r.acknowledged(100, 101);
        assert_eq!(r.state, ResyncState::Waiting { barrier: None });
        r.answered();
        r.acknowledged(101, 105);
        assert_eq!(r.state, ResyncState::Waiting { barrier: Some(105) });
        r.acknowledged(104, 107);
        assert!(!r.is_sweeping());
        r.acknowledged(105, 107);
        assert!(r.is_sweeping());
    }

    #[test]
    fn every_gap_starts_the_wait_over() {
        let mut r = waiting();
        r.answered();
        r.acknowledged(1, 5);
        r.requested();
        r.acknowledged(9, 10);
        assert_eq!(r.state, ResyncState::Waiting { barrier: None });
        r.answered();
        r.acknowledged(10, 12);
        assert_eq!(r.state, ResyncState::Waiting { barrier: Some(12) });
    }
}
