//! A bulk that was asked for, and the sweep of what it did not contain (sync-protocol.md §5.1.5).
//!
//! A bulk has no end marker, and the original never removes anything after one: flows that ended while a node
//! was down stay on its peer for ever, and are committed by it. But the end can be told without a marker.
//! Both programs send in the order in which things are put on their queue. So, once the peer has acknowledged
//! our request, and then something that we sent after that, and no number was missing since, everything that
//! the request put on its queue has arrived. (The acknowledgement of the request alone is not enough: the
//! original may queue it just before the flows.) Numbers that are missing are requests too, because what they
//! named comes again later: the wait starts over with each. For our own bulks, which are paced, see
//! `Repair::defer` in `send`: we do not acknowledge the request before we have sent everything.
//!
//! Only flows that no message has touched since the request are removed then.

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::entry::{Control, Item};
use crate::peer::host::{Host, Notice};
use crate::peer::machine::Machine;
use crate::store::{Cursor, GENERATIONS};
use zct_wire::peer::header::after;

/// Bulks that are asked for without the operator's wish are at least this far apart: a bad network gives many
/// reasons for one.
const ASK_APART_MS: Millis = 2000;
/// Records that one turn looks at.
pub(crate) const SWEEP_A_TURN: usize = 4096;

/// Which sweep has seen a record, in few bits.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    current: u8,
    // The oldest generation that a record may still have.
    floor: u8,
}

impl Generations {
    /// The generation of what is seen now.
    pub(crate) fn current(&self) -> u8 {
        self.current
    }

    /// Makes everything there is old. False when that is not possible, because sweeps were begun again and
    /// again without one that completed, and the next number is that of the oldest: then something old may
    /// escape this sweep, and another has to follow. Nothing fresh is ever taken.
    pub(crate) fn advance(&mut self) -> bool {
        let next = (self.current + 1) % GENERATIONS;
        let free = next != self.floor;
        if free {
            self.current = next;
        }
        free
    }

    /// Everything old is gone.
    pub(crate) fn complete(&mut self) {
        self.floor = self.current;
    }
}

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

/// Bulks asked for, and comparisons with the kernel.
#[derive(Debug, Default)]
pub(crate) struct Resync {
    state: State,
    /// Requests that wait to be sent or acknowledged, those in `held` included.
    pub(crate) requests: usize,
    /// Requests that wait for the peer's answer to our HELLO: how many. One bulk will do for all of them.
    held: usize,
    /// A request fell out of the full resend queue: what it asked for is made good by a bulk as soon as the
    /// peer is heard.
    pub(crate) overdue: bool,
    /// When to ask next, if that has to wait. Counts as a request until then.
    due: Option<Millis>,
    last_asked: Option<Millis>,
    /// This sweep may leave something behind.
    another: bool,
    /// Of the external caches.
    pub(crate) peer: Generations,
    /// Of the internal caches.
    pub(crate) kernel: Generations,
    /// A sweep of the internal cache.
    pub(crate) kernel_cursor: Option<Cursor>,
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

impl Machine {
    /// Asks the peer for everything, and remembers what was known before.
    pub(crate) fn begin_resync(&mut self, now: Millis) {
        if self.resync.due.take().is_some() {
            self.resync.answered();
        }
        self.resync.last_asked = Some(now);
        self.resync.another |= !self.resync.peer.advance();
        self.resync.state = State::Waiting { barrier: None };
        self.request(now, Control::Resync);
    }

    /// Something may have been lost that only a bulk brings back: asks for one now, or soon if one was asked
    /// for just now.
    ///
    /// Not with `DisableExternalCache`: every bulk of the peer would make the kernel's flows anew.
    pub(crate) fn want_resync(&mut self, now: Millis) {
        self.want_resync_at(now, now);
    }

    /// The same, but not before `at`.
    pub(crate) fn want_resync_at(&mut self, now: Millis, at: Millis) {
        if self.config.disable_external_cache {
            return;
        }
        let earliest = self.resync.last_asked.map_or(at, |t| at.max(t + ASK_APART_MS));
        if earliest <= now {
            self.begin_resync(now);
        } else if self.resync.due.is_none() {
            // What is under way must not end in a sweep before this one has come.
            self.resync.due = Some(earliest);
            self.resync.requested();
        }
    }

    /// Asks if it is time to.
    pub(crate) fn resync_turn(&mut self, now: Millis) {
        if self.resync.due.is_some_and(|due| due <= now) {
            self.begin_resync(now);
        }
    }

    /// Sends a request, or waits until the peer has answered our HELLO: the original acknowledges what it
    /// has not received as long as HELLO stands on it.
    pub(crate) fn request(&mut self, now: Millis, request: Control) {
        self.resync.requested();
        if self.hello.is_saying() {
            self.resync.held += 1;
        } else {
            self.queue.push(now, Item::Control(request));
        }
    }

    /// The peer has answered our HELLO: from now on its acknowledgements can be believed. What was found
    /// missing meanwhile it cannot send again, because each HELLO has emptied its resend queue: a bulk is
    /// asked for instead.
    pub(crate) fn release_requests(&mut self, now: Millis) {
        let held = std::mem::take(&mut self.resync.held);
        if held > 0 {
            self.resync.requests = self.resync.requests.saturating_sub(held);
            self.begin_resync(now);
        }
    }

    /// Removes a bounded number of flows that the peer no longer has.
    pub(crate) fn sweep_turn(&mut self, now: Millis, caches: &mut Caches, host: &mut impl Host) {
        let State::Sweeping { mut cursor, mut swept } = self.resync.state else { return };
        let current = self.resync.peer.current();
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = caches.external.walk(&mut cursor) else {
                swept += self.sweep_expects(caches);
                self.resync.state = State::Idle;
                self.resync.peer.complete();
                self.stats.swept += swept;
                host.notice(Notice::Swept(swept));
                if std::mem::take(&mut self.resync.another) {
                    self.want_resync(now);
                }
                return;
            };
            if caches.external.meta(id).is_some_and(|m| m.generation != current) {
                caches.external.remove(id);
                self.stats.external.destroyed += 1;
                swept += 1;
            }
        }
        self.resync.state = State::Sweeping { cursor, swept };
    }

    fn sweep_expects(&mut self, caches: &mut Caches) -> u64 {
        let (current, mut cursor, mut swept) = (self.resync.peer.current(), 0, 0);
        while let Some(id) = caches.external_expect.walk(&mut cursor) {
            if caches.external_expect.meta(id).is_some_and(|m| m.generation != current) {
                caches.external_expect.remove(id);
                self.stats.external_expect.destroyed += 1;
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

    #[test]
    fn generations_never_come_round_to_a_live_one() {
        let mut g = Generations::default();
        let first = g.current();
        for i in 0..100 {
            assert_eq!(g.advance(), i < 31);
            assert_ne!(g.current(), first);
        }
        g.complete();
        let second = g.current();
        assert!(g.advance());
        assert_ne!(g.current(), second);
    }
}
