//! A bulk that was asked for, and the sweep of what it did not contain (sync-protocol.md §5.1.5).
//!
//! A bulk has no end marker, and the original never removes anything after one: flows that ended while a node
//! was down stay on its peer for ever, and are committed by it. But the end can be told without a marker.
//! Both programs send in the order in which things are put on their queue. So, once the peer has acknowledged
//! our request, and then something that we sent after that, and no number was missing since, everything that
//! the request put on its queue has arrived. (The acknowledgement of the request alone is not enough: the
//! original may queue it just before the flows.) Numbers that are missing are requests too, because what they
//! named comes again later: the wait starts over with each. For our own bulks, which are paced, see
//! `Repair::defer`: we do not acknowledge the request before we have sent everything.
//!
//! Only flows that no message has touched since the request are removed then.

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::generations::{Generations, SWEEP_A_TURN};
use crate::store::Cursor;
use zct_wire::peer::header::after;

/// Bulks that are asked for without the operator's wish are at least this far apart: a bad network gives many
/// reasons for one.
const ASK_APART_MS: Millis = 2000;

/// How far the peer's bulk has come.
#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// Asked for. `barrier` is the first of our numbers whose acknowledgement tells that everything is there;
    /// set when no request is open.
    Waiting { barrier: Option<u32> },
    /// Everything is there: the old is being removed.
    Sweeping { cursor: Cursor, swept: u64 },
}

/// Bulks asked for, and the sweeps that follow them.
#[derive(Debug, Default)]
pub(crate) struct Resync {
    state: State,
    /// Requests that wait to be sent or acknowledged, those in `held` included.
    requests: usize,
    /// Requests that wait for the peer's answer to our HELLO: how many. One bulk will do for all of them.
    held: usize,
    /// A request fell out of the full resend queue: what it asked for is made good by a bulk as soon as the
    /// peer is heard.
    overdue: bool,
    /// When to ask next, if that has to wait. Counts as a request until then.
    due: Option<Millis>,
    last_asked: Option<Millis>,
    /// This sweep may leave something behind.
    another: bool,
    /// Of the external caches.
    peer: Generations,
}

impl Resync {
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    pub(crate) fn is_sweeping(&self) -> bool {
        matches!(self.state, State::Sweeping { .. })
    }

    /// Something went wrong that may have cost a flow of the bulk: remove nothing.
    pub(crate) fn abandon(&mut self) {
        if self.is_waiting() {
            self.state = State::Idle;
        }
    }

    /// The external caches have been emptied.
    pub(crate) fn forget_sweep(&mut self) {
        self.state = State::Idle;
        self.peer.complete();
    }

    /// A request has been put on the queue: RESYNC or NACK.
    pub(crate) fn requested(&mut self) {
        self.requests += 1;
        if let State::Waiting { barrier } = &mut self.state {
            *barrier = None;
        }
    }

    /// Forgets requests: of those that were sent `queued` are still to go.
    pub(crate) fn forget_requests(&mut self, queued: usize) {
        self.held = 0;
        self.requests = queued + usize::from(self.due.is_some());
    }

    /// When a bulk will be asked for.
    pub(crate) fn due(&self) -> Option<Millis> {
        self.due
    }

    /// A request has been acknowledged.
    pub(crate) fn answered(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }

    /// So many requests fell out of the full resend queue.
    pub(crate) fn given_up(&mut self, requests: usize) {
        self.requests = self.requests.saturating_sub(requests);
        self.overdue |= requests > 0;
    }

    /// True once when that has happened.
    pub(crate) fn take_overdue(&mut self) -> bool {
        std::mem::take(&mut self.overdue)
    }

    /// What the peer sends from now on is of this generation.
    pub(crate) fn generation(&self) -> u8 {
        self.peer.current()
    }

    /// A bulk is being asked for: remembers what was known before. The request itself is told by
    /// [`Resync::requested`].
    pub(crate) fn begin(&mut self, now: Millis) {
        if self.due.take().is_some() {
            self.answered();
        }
        self.last_asked = Some(now);
        self.another |= !self.peer.advance();
        self.state = State::Waiting { barrier: None };
    }

    /// A bulk is wanted, not before `at`. True if it may be asked for now; otherwise it becomes due later.
    pub(crate) fn want_at(&mut self, now: Millis, at: Millis) -> bool {
        let earliest = self.last_asked.map_or(at, |t| at.max(t + ASK_APART_MS));
        if earliest > now && self.due.is_none() {
            // What is under way must not end in a sweep before this one has come.
            self.due = Some(earliest);
            self.requested();
        }
        earliest <= now
    }

    /// The request that was told last has to wait for the answer to our HELLO.
    pub(crate) fn hold(&mut self) {
        self.held += 1;
    }

    /// The answer is there. True when a bulk has to be asked for in place of what waited.
    pub(crate) fn release(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        self.requests = self.requests.saturating_sub(held);
        held > 0
    }

    /// True once when the sweep that has ended may have left something behind.
    pub(crate) fn take_another(&mut self) -> bool {
        std::mem::take(&mut self.another)
    }

    /// An acknowledgement up to `to` has been worked through; the next number we send is `next`.
    pub(crate) fn acknowledged(&mut self, to: u32, next: u32) {
        let State::Waiting { barrier } = &mut self.state else { return };
        if self.requests > 0 {
            return;
        }
        match *barrier {
            None => *barrier = Some(next),
            Some(b) if !after(b, to) => {
                self.state = State::Sweeping { cursor: Cursor::default(), swept: 0 };
            }
            Some(_) => {}
        }
    }
}

/// What a turn of a sweep has removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swept {
    pub(crate) flows: u64,
    pub(crate) expects: u64,
    /// The whole sweep, when that was the last turn.
    pub(crate) total: Option<u64>,
}

impl Resync {
    /// Removes a bounded number of flows that the peer no longer has.
    pub(crate) fn sweep_turn(&mut self, caches: &mut Caches) -> Swept {
        let mut turn = Swept::default();
        let State::Sweeping { mut cursor, swept } = self.state else { return turn };
        let current = self.peer.current();
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = caches.external.walk(&mut cursor) else {
                turn.expects = self.sweep_expects(caches);
                turn.total = Some(swept + turn.flows + turn.expects);
                self.state = State::Idle;
                self.peer.complete();
                return turn;
            };
            if caches.external.meta(id).is_some_and(|m| m.generation != current) {
                caches.external.remove(id);
                turn.flows += 1;
            }
        }
        self.state = State::Sweeping { cursor, swept: swept + turn.flows };
        turn
    }

    fn sweep_expects(&self, caches: &mut Caches) -> u64 {
        let (current, mut cursor, mut swept) = (self.peer.current(), 0, 0);
        while let Some(id) = caches.external_expect.walk(&mut cursor) {
            if caches.external_expect.meta(id).is_some_and(|m| m.generation != current) {
                caches.external_expect.remove(id);
                swept += 1;
            }
        }
        swept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Resync {
        let mut r = Resync { state: State::Waiting { barrier: None }, ..Resync::default() };
        r.requested();
        r
    }

    #[test]
    fn the_request_and_then_something_later_must_be_acknowledged() {
        let mut r = waiting();
        r.acknowledged(100, 101);
        assert_eq!(r.state, State::Waiting { barrier: None });
        r.answered();
        r.acknowledged(101, 105);
        assert_eq!(r.state, State::Waiting { barrier: Some(105) });
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
        assert_eq!(r.state, State::Waiting { barrier: None });
        r.answered();
        r.acknowledged(10, 12);
        assert_eq!(r.state, State::Waiting { barrier: Some(12) });
    }
}
