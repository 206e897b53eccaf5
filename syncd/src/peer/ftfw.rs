//! FT-FW: what its messages mean for the sequence of numbers, for greetings, and for requested bulks
//! (sync-protocol.md §5.1).

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::delivery::Delivery;
use crate::peer::digest::{Checker, Finding};
use crate::peer::entry::{Control, Range};
use crate::peer::message::{Class, Refusal, Verdict, classify, length};
use crate::peer::mode::Ftfw;
use crate::peer::remote::Remote;
use crate::peer::resync::Resync;
use crate::peer::track::{Seen, Tracker};
use zct_wire::peer::digest::Ask;
use zct_wire::peer::{Digest, Message, flag};

/// Flows that are taken into sums in one turn.
pub(crate) const SUMS_A_TURN: usize = 4096;

/// In this time after a peer has been heard for the first time its greeting has come, if there is one.
const GREETING_MS: Millis = 1000;

/// One node's side of FT-FW.
#[derive(Debug)]
pub(crate) struct FtfwSession {
    tracker: Tracker,
    pub(crate) resync: Resync,
    // How many messages can be asked for again; a larger loss is repaired by a bulk.
    resend_queue_size: u32,
    // The setting `DisableExternalCache`.
    injects: bool,
    // Without `Digest` a message about sums is what it is to the original: none.
    knows_sums: bool,
    pub(crate) checker: Checker,
    // The bulk that is waited for repairs a difference.
    repairs_all: bool,
    // A HELLO whose number has passed is an old one.
    pub(crate) starts_show_in_keys: bool,
}

impl FtfwSession {
    /// `digest_ms` as in [`PeerConfig`](crate::peer::PeerConfig).
    pub(crate) fn new(config: &Ftfw, digest_ms: Option<Millis>) -> Self {
        FtfwSession {
            tracker: Tracker::new(config.ack_window_size),
            resync: Resync::default(),
            resend_queue_size: config.resend_queue_size,
            injects: config.disable_external_cache,
            knows_sums: digest_ms.is_some(),
            checker: Checker::new(digest_ms.filter(|_| !config.disable_external_cache)),
            repairs_all: false,
            starts_show_in_keys: false,
        }
    }

    /// Judges whether a message is accepted. Acknowledgements and requests to send again are dealt with here;
    /// data and a request for everything are left to the machine.
    pub(crate) fn receive(
        &mut self,
        now: Millis,
        m: &Message<'_>,
        delivery: &mut Delivery,
        caches: &mut Caches,
    ) -> Verdict {
        let known = classify(m).filter(|class| self.knows_sums || !matches!(class, Class::Digest));
        let Some(class) = known else {
            // The original does not count it as received, so it takes the next message for a gap, and asks
            // for the bad one again and again.
            self.tracker.skip(m.seq);
            return Verdict::refuse(Refusal::Header);
        };
        let seen = self.tracker.look(now, m.seq);
        let hello = m.flags & flag::HELLO != 0;
        delivery.heard(now, m.body().len(), caches);
        if seen == Seen::Before && (!hello || self.starts_show_in_keys) {
            return Verdict::refuse(Refusal::Before);
        }
        let starts = hello && !delivery.hello.peer_greets();
        if (seen != Seen::InOrder || starts) && !delivery.allowance.has_answers() {
            // More losses and starts are claimed than are paid for. If this is the peer, it will be asked for
            // the message together with the next one.
            return Verdict::refuse(Refusal::Before);
        }
        let mut verdict = Verdict::take(class);
        let had_greeted = delivery.hello.peer_greets();
        let next = self.tracker.last().is_none_or(|last| m.seq == last.wrapping_add(1));
        verdict.started = delivery.hello.received(now, hello, next);
        if verdict.started {
            self.peer_started(now, delivery, caches);
        }
        if hello {
            delivery.allowance.greets();
        }
        let may_answer = delivery.allowance.has_answers();
        let across_gap = verdict.started || seen != Seen::InOrder;
        if let Some(range) = self.tracker.accept(now, m.seq, across_gap, may_answer) {
            delivery.acknowledge(now, range);
        }
        match seen {
            // With HELLO, a gap means either loss, from before we were heard, or another start. If it is a
            // start, asking for what may have been lost does no harm.
            Seen::Gap(gap) if !hello || (verdict.started && had_greeted) => {
                verdict.lost = if hello { 0 } else { length(gap) };
                self.lost(now, gap, hello, delivery);
            }
            Seen::NewRow if !hello => {
                verdict.renumbered = true;
                self.want_resync(now, delivery);
            }
            Seen::InOrder | Seen::Before | Seen::Gap(_) | Seen::NewRow => {}
        }
        if m.flags & flag::HELLO_BACK != 0 && delivery.hello.answered(now) {
            // Whatever was sent with HELLO may be acknowledged without having been received (see `request`).
            delivery.hello.want_bulk(now);
            self.release_requests(now, delivery);
        }
        match class {
            Class::Ack(range) => self.acked(now, range, delivery, caches),
            Class::Nack(range) => {
                if delivery.nacked(now, m.seq, range, caches) {
                    // Our HELLO empties the peer's resend queue, and with it what the peer may have had to
                    // send again.
                    self.begin_resync(now, delivery);
                }
            }
            Class::Data(_) | Class::Alive | Class::Resync | Class::Digest => {}
        }
        verdict
    }

    /// A message was accepted: now that the peer is heard, what our resend queue gave up can be repaired.
    pub(crate) fn accepted(&mut self, now: Millis, delivery: &mut Delivery) {
        if self.resync.take_overdue() {
            self.want_resync(now, delivery);
        }
    }

    /// The peer has started. It may have lost flows meanwhile, so they are asked for.
    fn peer_started(&mut self, now: Millis, delivery: &mut Delivery, caches: &mut Caches) {
        let queued = delivery.peer_started(now, caches);
        self.resync.forget_requests(queued);
        self.checker.peer_started();
        self.want_resync(now, delivery);
    }

    /// The peer has started, as others than its messages say. Its numbers are new, and its flows are asked for
    /// unless its greeting, which is about to come, does the same.
    pub(crate) fn peer_is_another(&mut self, now: Millis, delivery: &mut Delivery) {
        self.tracker.forget();
        delivery.hello.forget_greeting();
        self.checker.peer_started();
        self.want_resync_at(now, now + GREETING_MS, delivery);
    }

    /// Numbers are missing. A few are asked for again; more than a resend queue holds are repaired by a bulk.
    fn lost(&mut self, now: Millis, gap: Range, hello: bool, delivery: &mut Delivery) {
        // A HELLO of ours that may still be on its way will empty the peer's resend queue, and with it
        // whatever is asked for again. So a bulk is asked for once none can be on its way any more.
        if let Some(quiet) = delivery.hello.hellos_gone_at().filter(|t| *t > now) {
            self.want_resync_at(now, quiet, delivery);
        }
        if length(gap) <= self.resend_queue_size {
            self.request(now, Control::Nack(gap.0, gap.1), delivery);
        } else if !hello {
            self.want_resync(now, delivery);
        }
    }

    /// The peer has received this range.
    fn acked(&mut self, now: Millis, range: Range, delivery: &mut Delivery, caches: &mut Caches) {
        let (from, to) = range;
        let requests = delivery.acked(now, range, caches);
        for _ in 0..requests {
            self.resync.answered();
        }
        self.resync.acknowledged(to, delivery.seq);
        delivery.look_for_stuck(now, from, caches);
    }

    // Asking the peer for something.

    /// Asks the peer for everything, and remembers what was known before.
    pub(crate) fn begin_resync(&mut self, now: Millis, delivery: &mut Delivery) {
        self.resync.begin(now);
        self.request(now, Control::Resync, delivery);
    }

    /// Something may have been lost that only a bulk brings back: asks for one now, or a little later if one
    /// was asked for just now.
    ///
    /// Not with `DisableExternalCache`, where every bulk of the peer creates all flows in the kernel anew.
    fn want_resync(&mut self, now: Millis, delivery: &mut Delivery) {
        self.want_resync_at(now, now, delivery);
    }

    /// As [`FtfwSession::want_resync`], but not before `at`.
    fn want_resync_at(&mut self, now: Millis, at: Millis, delivery: &mut Delivery) {
        if !self.injects && self.resync.want_at(now, at) {
            self.begin_resync(now, delivery);
        }
    }

    /// Sends a request, or waits until the peer has answered our HELLO: as long as it carries HELLO, the
    /// original acknowledges even what it has not received.
    fn request(&mut self, now: Millis, request: Control, delivery: &mut Delivery) {
        self.resync.requested();
        if delivery.hello.is_greeting() {
            self.resync.hold();
        } else {
            delivery.control(now, request);
        }
    }

    /// The peer has answered our HELLO, so from now on its acknowledgements can be believed. What was found
    /// missing meanwhile it cannot send again, because each HELLO has emptied its resend queue: a bulk is
    /// asked for instead.
    fn release_requests(&mut self, now: Millis, delivery: &mut Delivery) {
        if self.resync.release() {
            self.begin_resync(now, delivery);
        }
    }

    // Timers.

    /// Asks for a bulk if that is due.
    pub(crate) fn resync_turn(&mut self, now: Millis, delivery: &mut Delivery) {
        if self.resync.due().is_some_and(|due| due <= now) {
            self.begin_resync(now, delivery);
        }
    }

    /// Removes a bounded number of flows that the peer no longer has. At the end, reports how
    /// many there were.
    pub(crate) fn sweep_turn(
        &mut self,
        now: Millis,
        delivery: &mut Delivery,
        remote: &mut Remote,
        caches: &mut Caches,
    ) -> Option<u64> {
        let partial = self.resync.is_partial();
        let swept = self.resync.sweep_turn(caches);
        remote.count_swept(swept.flows, swept.expects, swept.total);
        let total = swept.total?;
        if partial || self.repairs_all {
            self.repairs_all = false;
            self.checker.repaired(now, total);
        }
        if self.resync.take_another() {
            self.want_resync(now, delivery);
        }
        Some(total)
    }

    /// Panics when requests have been lost count of.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self, delivery: &Delivery, caches: &Caches) {
        self.resync.check(delivery.requests(caches));
    }

    // Comparing.

    /// True when what the peer says now can be compared: all that it has sent before has come.
    fn is_level(&self, delivery: &Delivery, caches: &Caches) -> bool {
        self.resync.is_level() && !delivery.hello.peer_greets() && !caches.external.is_full()
    }

    /// The peer has shown that it knows sums.
    pub(crate) fn peer_compares(&mut self, now: Millis) {
        self.checker.peer_knows(now);
    }

    /// A node that compares nothing shows its peer only here that it answers. Not once for all: a late HELLO makes
    /// the peer forget it, and then the peer asks for everything again.
    pub(crate) fn serves_bulk(&self, now: Millis, delivery: &mut Delivery) {
        if self.knows_sums && !self.checker.is_on() && self.checker.has_met_sums() {
            delivery.control(now, Control::Ask(Ask::Whole));
        }
    }

    /// Handles an answer of the peer's about sums. Returns how many leaves differ, if some do.
    pub(crate) fn digest(
        &mut self,
        now: Millis,
        digest: Digest,
        delivery: &mut Delivery,
        caches: &mut Caches,
    ) -> Option<u64> {
        self.checker.peer_knows(now);
        if !self.is_level(delivery, caches) {
            return None;
        }
        let ours = caches.external.sums();
        let (found, asks) = match digest {
            Digest::Whole(theirs) => (Finding::Nothing, self.checker.whole(now, theirs, ours)),
            Digest::Parts(span, key, theirs) => {
                self.checker.parts(now, (span, key, &theirs), (caches.external.sums_key(), ours))
            }
            Digest::Ask(_) | Digest::Repair(_) => return None,
        };
        asks.into_iter().for_each(|ask| delivery.control(now, Control::Ask(ask)));
        match found {
            Finding::Nothing => None,
            Finding::OtherKey(key) => {
                caches.external.begin_sums(key);
                None
            }
            Finding::Leaves(leaves) => {
                let mut fours = Vec::new();
                for four in leaves.chunks(4) {
                    // Where there are fewer, the last one is said again.
                    let mut say = [four.last().copied().unwrap_or(0); 4];
                    say.iter_mut().zip(four).for_each(|(to, leaf)| *to = *leaf);
                    fours.push(say);
                }
                let count = leaves.len() as u64;
                self.resync.begin_some(leaves);
                fours.into_iter().for_each(|four| self.request(now, Control::Repair(four), delivery));
                Some(count)
            }
            Finding::TooMuch(count) => {
                self.repairs_all = true;
                self.want_resync(now, delivery);
                Some(count)
            }
        }
    }

    /// Asks about sums if that is due, or takes in more of what is to be compared.
    pub(crate) fn digest_turn(&mut self, now: Millis, delivery: &mut Delivery, caches: &mut Caches) {
        caches.external.sum_turn(SUMS_A_TURN);
        if self.checker.due().is_none_or(|at| at > now) {
            return;
        }
        // Without having asked the peer for everything there is nothing to compare.
        if self.resync.needs_all() && self.checker.may_ask_for_all(now) {
            self.want_resync(now, delivery);
        }
        if self.checker.adds_anew() {
            caches.external.sums_key().into_iter().for_each(|key| caches.external.begin_sums(key));
        }
        let ready = self.is_level(delivery, caches) && !caches.external.is_summing();
        for ask in self.checker.ask(now, ready) {
            delivery.control(now, Control::Ask(ask));
        }
    }

    // Acknowledging.

    /// Called before a datagram is filled. If there is anything to acknowledge, the acknowledgement serves as
    /// the keep-alive.
    pub(crate) fn acknowledge_open(&mut self, now: Millis, delivery: &mut Delivery) {
        if delivery.is_idle(now) || self.tracker.ack_is_due(now) {
            if let Some(range) = self.tracker.close() {
                delivery.acknowledge(now, range);
            }
        }
    }

    /// Called after a datagram has been filled.
    pub(crate) fn filled(&mut self, now: Millis, delivery: &mut Delivery) {
        let discarded = delivery.take_discarded_requests();
        self.resync.given_up(discarded);
        delivery.acknowledge_served(now, &self.tracker);
    }

    /// When something has to be acknowledged.
    pub(crate) fn ack_due(&self) -> Option<Millis> {
        self.tracker.ack_due()
    }
}
