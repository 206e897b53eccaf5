//! Greetings of FT-FW: who has just started (sync-protocol.md §5.1.5).

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::entry::{Control, Item};
use crate::peer::ftfw::Stuck;
use crate::peer::host::{Host, Notice};
use crate::peer::machine::Machine;
use crate::peer::mark;
use crate::peer::place::Place;
use crate::store::Meta;
use zct_wire::peer::flag;

/// Two bulks on account of greetings are at least this far apart: a forged HELLO costs eight bytes.
const BULK_APART_MS: Millis = 5000;
/// An answer to a greeting waits so long for something to travel with. The peer waits for it, but a flood of
/// greetings is worth no flood of answers.
const ANSWER_MS: Millis = 10;
/// Longer than a datagram is under way.
const UNDER_WAY_MS: Millis = 3000;

/// What has been said and heard.
#[derive(Debug)]
pub(crate) struct Hello {
    // Every message carries HELLO until the peer has said HELLO_BACK.
    saying: bool,
    said: bool,
    // The next message carries HELLO_BACK, and goes at this time at the latest.
    answer: Option<Millis>,
    // The peer's last message carried HELLO.
    heard: bool,
    answered_at: Option<Millis>,
    // Deletions that were acknowledged too early to be believed.
    retained: Vec<Item>,
    // The peer has missed something while HELLOs were under way.
    missed: bool,
    bulk_at: Option<Millis>,
    last_bulk: Option<Millis>,
}

impl Hello {
    pub(crate) fn new(saying: bool) -> Self {
        Hello {
            saying,
            said: false,
            answer: None,
            heard: false,
            answered_at: None,
            retained: Vec::new(),
            missed: false,
            bulk_at: None,
            last_bulk: None,
        }
    }

    /// The greetings of the next message, without taking note that it was sent.
    pub(crate) fn flags(&self) -> u8 {
        let hello = if self.saying { flag::HELLO } else { 0 };
        hello | if self.answer.is_some() { flag::HELLO_BACK } else { 0 }
    }

    /// A message with [`Hello::flags`] has been written.
    pub(crate) fn sent(&mut self) {
        self.said |= self.saying;
        self.answer = None;
    }

    /// When the peer's greeting has to be answered.
    pub(crate) fn answer_due(&self) -> Option<Millis> {
        self.answer
    }

    /// The peer has said HELLO_BACK. Before our first message it answers somebody else. True the first time.
    fn answered(&mut self, now: Millis) -> bool {
        let first = self.said && self.saying;
        if first {
            self.saying = false;
            self.answered_at = Some(now);
        }
        first
    }

    /// HELLO stands on our messages.
    pub(crate) fn is_saying(&self) -> bool {
        self.saying
    }

    /// A HELLO of ours may still be under way. The peer takes it whatever its number, with the old state that
    /// it may carry: what is acknowledged now may be undone.
    pub(crate) fn is_shaky(&self, now: Millis) -> bool {
        self.saying || self.answered_at.is_some_and(|t| now < t + UNDER_WAY_MS)
    }

    /// Something was acknowledged while that is so: a deletion will have to go again.
    pub(crate) fn retain_if_dead(&mut self, item: Item, caches: &Caches) {
        if is_idle_and_dead(caches.meta(item)) {
            self.retained.push(item);
        }
    }

    /// The peer has asked for something again while that is so.
    pub(crate) fn missed(&mut self) {
        self.missed = true;
    }

    /// When what is shaky has to be made good.
    pub(crate) fn firm_due(&self) -> Option<Millis> {
        let pending = self.missed || !self.retained.is_empty();
        self.answered_at.map(|t| t + UNDER_WAY_MS).filter(|_| pending && !self.saying)
    }

    /// Starts over, because what the peer knows of us cannot be repaired otherwise.
    pub(crate) fn say_again(&mut self) {
        self.saying = true;
        self.said = false;
    }

    /// The peer's last message carried HELLO.
    pub(crate) fn heard(&self) -> bool {
        self.heard
    }

    pub(crate) fn bulk_due(&self) -> Option<Millis> {
        self.bulk_at.filter(|_| !self.saying)
    }

    /// True once when a bulk is due. Not before the peer has answered our own HELLO.
    pub(crate) fn bulk_is_due(&mut self, now: Millis) -> bool {
        let due = self.bulk_due().is_some_and(|t| t <= now);
        if due {
            self.bulk_at = None;
            self.last_bulk = Some(now);
        }
        due
    }

    /// True from the wish for a bulk until it begins.
    pub(crate) fn bulk_is_wanted(&self) -> bool {
        self.bulk_at.is_some()
    }

    /// The peer needs everything: as soon as it makes sense.
    pub(crate) fn want_bulk(&mut self, now: Millis) {
        let earliest = self.last_bulk.map_or(now, |t| t + BULK_APART_MS);
        self.bulk_at.get_or_insert(earliest.max(now));
    }
}

impl Machine {
    /// Takes note of whether a message carries HELLO. True when the peer starts a new row with it.
    ///
    /// HELLO stands on every message until our answer arrives: only the first one, or one after a gap, tells of
    /// a start. A gap may be loss or another start; it is taken for the one that loses nothing.
    pub(crate) fn heard_hello(
        &mut self,
        now: Millis,
        hello: bool,
        seq: u32,
        caches: &mut Caches,
        host: &mut impl Host,
    ) -> bool {
        let next = self.tracker.last().is_none_or(|last| seq == last.wrapping_add(1));
        let starts = hello && !(self.hello.heard && next);
        self.hello.heard = hello;
        if hello {
            self.hello.answer.get_or_insert(now + ANSWER_MS);
        }
        if starts {
            self.peer_started(now, caches, host);
        }
        starts
    }

    /// The peer has seen a HELLO of ours.
    pub(crate) fn heard_hello_back(&mut self, now: Millis) {
        if self.hello.answered(now) {
            // Whatever went out with HELLO may be acknowledged without having been received (see `request`).
            self.hello.want_bulk(now);
            self.release_requests(now);
        }
    }

    /// Messages are missing. If a HELLO of ours may still be under way, it will empty the peer's resend queue,
    /// and with it what is asked for again: a bulk is asked for when none can be any more.
    pub(crate) fn missing_after_hello(&mut self, now: Millis) {
        if let Some(quiet) = self.hello.answered_at.map(|t| t + UNDER_WAY_MS).filter(|t| *t > now) {
            self.want_resync_at(now, quiet);
        }
    }

    /// No HELLO is under way any more: deletions are sent once more, and everything if the peer has missed
    /// anything.
    pub(crate) fn firm_turn(&mut self, now: Millis, caches: &mut Caches) {
        if self.hello.firm_due().is_none_or(|t| t > now) {
            return;
        }
        for item in std::mem::take(&mut self.hello.retained) {
            if is_idle_and_dead(caches.meta(item)) {
                self.enqueue(now, item, caches);
            }
        }
        if std::mem::take(&mut self.hello.missed) {
            self.hello.want_bulk(now);
        }
    }

    /// The peer knows nothing of what we have sent. The resend queue is emptied, as the peer expects, and all
    /// flows are sent anew; deletions that were not acknowledged are still in the store and go with them. And
    /// because the peer may have lost flows meanwhile, its own are asked for.
    fn peer_started(&mut self, now: Millis, caches: &mut Caches, host: &mut impl Host) {
        self.stats.peer_starts += 1;
        host.notice(Notice::PeerStarted);
        self.drop_unacknowledged(caches);
        self.repair.forget_requests();
        self.hello.want_bulk(now);
        self.want_resync(now);
    }

    /// Empties the resend queue and forgets what the peer was waiting for.
    pub(crate) fn drop_unacknowledged(&mut self, caches: &mut Caches) {
        self.places.drain(caches);
        let queued = self.queue.count(|i| matches!(i, Item::Control(c) if Control::is_request(*c)));
        self.resync.forget_requests(queued);
        (self.discarded, self.discarded_dead, self.stuck) = (None, None, Stuck::default());
    }
}

/// Ended, and on no queue.
fn is_idle_and_dead(meta: Option<Meta>) -> bool {
    meta.is_some_and(|m| m.flags & mark::DEAD != 0 && Place::of(&m) == Place::Idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_is_said_until_it_is_answered() {
        let mut h = Hello::new(true);
        assert!(!h.answered(0)); // too early: nothing was said yet
        assert_eq!(h.flags(), flag::HELLO);
        h.sent();
        h.answer = Some(0);
        assert_eq!(h.flags(), flag::HELLO | flag::HELLO_BACK);
        h.sent();
        assert_eq!(h.flags(), flag::HELLO);
        assert!(h.answered(0) && !h.answered(0));
        assert_eq!(h.flags(), 0);
        h.say_again();
        assert_eq!(h.flags(), flag::HELLO);
    }

    #[test]
    fn bulks_on_account_of_greetings_keep_their_distance() {
        let mut h = Hello::new(false);
        h.want_bulk(100);
        h.want_bulk(200);
        assert!(h.bulk_is_due(200) && !h.bulk_is_due(200));
        h.want_bulk(300);
        assert!(!h.bulk_is_due(5199) && h.bulk_is_due(5200));
    }
}
