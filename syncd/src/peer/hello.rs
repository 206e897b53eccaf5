//! Greetings of FT-FW: who has just started (sync-protocol.md §5.1.5).

use crate::peer::clock::Millis;
use crate::peer::entry::Item;
use zct_wire::peer::flag;

/// Bulks caused by greetings are at least this far apart, because forging a HELLO costs only eight bytes.
const BULK_APART_MS: Millis = 5000;
/// Requests for everything that follow each other faster share a bulk: sixteen bytes must not be worth a
/// table each.
const SERVED_APART_MS: Millis = 1000;
/// How long the answer to a greeting waits for something to travel with. The peer waits for the answer, but a
/// flood of greetings does not deserve a flood of answers.
const ANSWER_MS: Millis = 10;
/// Longer than any datagram is on its way.
const UNDER_WAY_MS: Millis = 3000;

/// The greetings that have been sent and received.
#[derive(Debug)]
pub(crate) struct Hello {
    // Every message carries HELLO until the peer has answered with HELLO_BACK.
    greeting: bool,
    // One of them has been sent.
    has_greeted: bool,
    // The next message carries HELLO_BACK, and is sent at this time at the latest.
    answer: Option<Millis>,
    // Whether the peer's last message carried HELLO.
    peer_greets: bool,
    answered_at: Option<Millis>,
    // Deletions whose acknowledgement came too early to be believed.
    to_repeat: Vec<Item>,
    // Whether the peer has missed something while HELLOs were on their way.
    missed: bool,
    bulk_at: Option<Millis>,
    last_bulk: Option<Millis>,
    // When a request for everything was served last.
    served: Option<Millis>,
    // When a start of the peer was reported last.
    reported: Option<Millis>,
}

impl Hello {
    pub(crate) fn new(greeting: bool) -> Self {
        Hello {
            greeting,
            has_greeted: false,
            answer: None,
            peer_greets: false,
            answered_at: None,
            to_repeat: Vec::new(),
            missed: false,
            bulk_at: None,
            last_bulk: None,
            served: None,
            reported: None,
        }
    }

    /// The greetings that the next message carries; does not count it as sent.
    pub(crate) fn flags(&self) -> u8 {
        let hello = if self.greeting { flag::HELLO } else { 0 };
        hello | if self.answer.is_some() { flag::HELLO_BACK } else { 0 }
    }

    /// A message with [`Hello::flags`] has been written.
    pub(crate) fn sent(&mut self) {
        self.has_greeted |= self.greeting;
        self.answer = None;
    }

    /// When the peer's greeting has to be answered at the latest.
    pub(crate) fn answer_due(&self) -> Option<Millis> {
        self.answer
    }

    /// Notes whether a message carries HELLO; `next` says whether its number is the expected one. True when
    /// it begins a new sequence of the peer's.
    ///
    /// Every message carries HELLO until our answer arrives, so only the first one, or one after a gap, tells
    /// of a start. A gap may mean loss or another start; the interpretation is chosen that loses nothing.
    pub(crate) fn received(&mut self, now: Millis, hello: bool, next: bool) -> bool {
        let starts = hello && !(self.peer_greets && next);
        self.peer_greets = hello;
        if hello {
            self.answer.get_or_insert(now + ANSWER_MS);
        }
        starts
    }

    /// A HELLO that comes now begins a new sequence.
    pub(crate) fn forget_greeting(&mut self) {
        self.peer_greets = false;
    }

    /// The peer has sent HELLO_BACK. Before our first message, that answers somebody else. True
    /// the first time.
    pub(crate) fn answered(&mut self, now: Millis) -> bool {
        let first = self.has_greeted && self.greeting;
        if first {
            self.greeting = false;
            self.answered_at = Some(now);
        }
        first
    }

    /// True while our messages carry HELLO.
    pub(crate) fn is_greeting(&self) -> bool {
        self.greeting
    }

    /// True while a HELLO of ours may still be on its way. The peer accepts it whatever its number, with the
    /// old state that it may carry, so what is acknowledged now may be undone.
    pub(crate) fn hello_is_under_way(&self, now: Millis) -> bool {
        self.greeting || self.hellos_gone_at().is_some_and(|t| now < t)
    }

    /// A deletion was acknowledged during that time, so it will have to be sent again.
    pub(crate) fn repeat_later(&mut self, item: Item) {
        self.to_repeat.push(item);
    }

    /// Takes the deletions that have to be sent again.
    pub(crate) fn take_repeats(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.to_repeat)
    }

    /// The peer has asked for something again during that time.
    pub(crate) fn missed(&mut self) {
        self.missed = true;
    }

    /// That time is over: if the peer has asked for something, it needs everything.
    pub(crate) fn want_missed(&mut self, now: Millis) {
        if std::mem::take(&mut self.missed) {
            self.want_bulk(now);
        }
    }

    /// From when on no HELLO of ours can be on its way any more, once the peer has answered.
    pub(crate) fn hellos_gone_at(&self) -> Option<Millis> {
        self.answered_at.map(|t| t + UNDER_WAY_MS)
    }

    /// When those deletions, or all flows, have to be sent again.
    pub(crate) fn repeats_due(&self) -> Option<Millis> {
        let pending = self.missed || !self.to_repeat.is_empty();
        self.hellos_gone_at().filter(|_| pending && !self.greeting)
    }

    /// Starts over, because the peer's knowledge of us cannot be repaired in any other way.
    pub(crate) fn greet_again(&mut self) {
        self.greeting = true;
        self.has_greeted = false;
    }

    /// True when the peer's last message carried HELLO.
    pub(crate) fn peer_greets(&self) -> bool {
        self.peer_greets
    }

    pub(crate) fn bulk_due(&self) -> Option<Millis> {
        self.bulk_at.filter(|_| !self.greeting)
    }

    /// True once when a bulk is due, which is not before the peer has answered our own HELLO. Before `from` nothing
    /// is left for it.
    pub(crate) fn bulk_is_due(&mut self, now: Millis, from: Millis) -> bool {
        let due = self.bulk_due().is_some_and(|t| t <= now);
        if due && now < from {
            self.bulk_at = Some(from);
            return false;
        }
        if due {
            self.bulk_at = None;
            self.last_bulk = Some(now);
            self.served = Some(now);
        }
        due
    }

    /// The peer asks for everything. True if it can have it at once; otherwise that becomes due a second
    /// after the last time, and not before `from`.
    pub(crate) fn may_serve(&mut self, now: Millis, from: Millis) -> bool {
        match self.served.map(|t| t + SERVED_APART_MS).into_iter().chain([from]).max().filter(|at| now < *at)
        {
            Some(at) => {
                self.bulk_at = Some(self.bulk_at.map_or(at, |b| b.min(at)));
                false
            }
            None => {
                self.served = Some(now);
                // This is the one that was due.
                let due = self.bulk_due().is_some_and(|at| at <= now);
                self.bulk_at.take_if(|_| due);
                true
            }
        }
    }

    /// Whether a start of the peer is worth a line in the log: once a second.
    pub(crate) fn may_report(&mut self, now: Millis) -> bool {
        let may = self.reported.is_none_or(|t| now.saturating_sub(t) >= SERVED_APART_MS);
        self.reported = if may { Some(now) } else { self.reported };
        may
    }

    /// True from when a bulk is wanted until it begins.
    pub(crate) fn bulk_is_wanted(&self) -> bool {
        self.bulk_at.is_some()
    }

    /// The peer needs everything, as soon as sending it makes sense.
    pub(crate) fn want_bulk(&mut self, now: Millis) {
        let apart = self.last_bulk.map_or(now, |t| t + BULK_APART_MS);
        let earliest = self.served.map_or(apart, |t| apart.max(t + SERVED_APART_MS));
        self.bulk_at.get_or_insert(earliest.max(now));
    }

    /// The peer has lost so much that it needs everything: a second after the last time.
    pub(crate) fn want_bulk_soon(&mut self, now: Millis) {
        let at = self.served.map_or(now, |t| now.max(t + SERVED_APART_MS));
        self.bulk_at = Some(self.bulk_at.map_or(at, |b| b.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_goes_on_until_it_is_answered() {
        let mut h = Hello::new(true);
        assert!(!h.answered(0)); // too early: nothing has been sent yet
        assert_eq!(h.flags(), flag::HELLO);
        h.sent();
        h.answer = Some(0);
        assert_eq!(h.flags(), flag::HELLO | flag::HELLO_BACK);
        h.sent();
        assert_eq!(h.flags(), flag::HELLO);
        assert!(h.answered(0) && !h.answered(0));
        assert_eq!(h.flags(), 0);
        h.greet_again();
        assert_eq!(h.flags(), flag::HELLO);
    }

    #[test]
    fn bulks_on_account_of_greetings_keep_their_distance() {
        let mut h = Hello::new(false);
        h.want_bulk(100);
        h.want_bulk(200);
        assert!(h.bulk_is_due(200, 0) && !h.bulk_is_due(200, 0));
        h.want_bulk(300);
        assert!(!h.bulk_is_due(5199, 0) && h.bulk_is_due(5200, 0));
    }

    #[test]
    fn a_storm_of_requests_is_one_bulk_a_second() {
        let mut h = Hello::new(false);
        let bulks = (0..10_000).filter(|now| h.may_serve(*now, 0) | h.bulk_is_due(*now, 0)).count();
        assert_eq!(bulks, 10);
        // The last of them is served too.
        assert!(h.bulk_is_wanted() && h.bulk_is_due(10_000, 0) && !h.bulk_is_wanted());
    }

    #[test]
    fn a_bulk_waits_until_something_is_left_for_it() {
        let mut h = Hello::new(false);
        assert!(!h.may_serve(0, 700));
        assert_eq!(h.bulk_due(), Some(700));
        assert!(!h.bulk_is_due(700, 710) && h.bulk_is_due(710, 710));
        // What was lost comes a second later, a greeting's bulk after five.
        h.want_bulk(800);
        assert_eq!(h.bulk_due(), Some(5710));
        h.want_bulk_soon(800);
        assert_eq!(h.bulk_due(), Some(1710));
    }
}
