//! What the peer says about the messages that it was sent: received, missing, or that it has started and
//! knows of none.

use super::{Delivery, LOSS_APART_MS, claim_paced, clear_fresh, is_idle_and_dead};
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::entry::{Item, Range, Sent};
use crate::peer::stuck::Stuck;
use zct_wire::peer::flag;
use zct_wire::peer::header::after;

/// What sending again has come to.
#[derive(Clone, Copy, Debug, Default)]
struct Again {
    /// Some of it had been sent.
    found: bool,
    /// More was asked for than is allowed, so the rest stays where it is.
    short: bool,
}

impl Delivery {
    /// A message of the peer has come, with a body of this many bytes; whatever it says, it may be answered.
    pub(crate) fn heard(&mut self, now: Millis, body: usize, caches: &Caches) {
        self.refill(now, caches);
        self.allowance.received(body);
    }

    fn refill(&mut self, now: Millis, caches: &Caches) {
        let counts = caches.internal.counts();
        self.allowance.refill(now, counts.flows + counts.dead + caches.internal_expect.len());
    }

    /// The peer asks for everything. True if it can have it at once; otherwise that becomes due.
    pub(crate) fn may_serve(&mut self, now: Millis, caches: &Caches) -> bool {
        self.refill(now, caches);
        let may = self.hello.may_serve(now, self.allowance.bulk_from(now));
        if may {
            self.allowance.bulk();
        }
        may
    }

    /// True once when a bulk is due that the peer has asked for or needs.
    pub(crate) fn bulk_is_due(&mut self, now: Millis, caches: &Caches) -> bool {
        if self.hello.bulk_due().is_none_or(|at| at > now) {
            return false;
        }
        self.refill(now, caches);
        let due = self.hello.bulk_is_due(now, self.allowance.bulk_from(now));
        if due {
            self.allowance.bulk();
        }
        due
    }

    /// The peer has received this range. Returns the number of requests in it.
    pub(crate) fn acked(&mut self, now: Millis, range: Range, caches: &mut Caches) -> usize {
        self.last_ack = now;
        let (mut messages, mut requests) = (0, 0);
        for at in self.places.positions(range) {
            let Some(sent) = self.places.take(at, caches) else { continue };
            messages += 1;
            // If it carried HELLO, it may be acknowledged without having been received. So ended flows stay,
            // and the others stay marked as fresh, until the bulk that follows the peer's answer.
            if sent.flags & flag::HELLO != 0 || self.hello.hello_is_under_way(now) {
                if is_idle_and_dead(caches.meta(sent.item)) {
                    self.hello.repeat_later(sent.item);
                }
            } else {
                self.arrived(sent.item, caches);
            }
            if sent.is_request() {
                self.stuck.answered();
                requests += 1;
            }
        }
        self.places.trim(caches);
        self.pacer.acknowledged(messages);
        requests
    }

    /// The peer has what was sent; if that had ended, it leaves its cache.
    fn arrived(&mut self, item: Item, caches: &mut Caches) {
        if self.remove_if_dead(item, caches) {
            return;
        }
        if let Item::Flow(id) = item {
            clear_fresh(id, caches);
        }
    }

    /// Sends again what was skipped by acknowledgements that begin with `from`.
    pub(crate) fn look_for_stuck(&mut self, now: Millis, from: u32, caches: &mut Caches) {
        // Only the first few are searched: stale entries behind the front are not trimmed, and may be many.
        let (mut data, mut requests) = (None, None);
        for Sent { seq, item, .. } in self.places.front(64, caches).filter(|s| after(from, s.seq)) {
            if matches!(item, Item::Control(c) if c.is_request()) {
                requests = Some((requests.map_or(seq, |(first, _)| first), seq));
            } else {
                data = data.or(Some(seq));
            }
        }
        if let Some(seq) = self.stuck.data(now, data) {
            self.send_again(now, (seq, from.wrapping_sub(1)), false, caches);
        }
        if let Some(stuck) = self.stuck.request(now, requests) {
            self.send_again(now, stuck, true, caches);
        }
    }

    /// Moves what was sent under these numbers back onto the queues, as far as that is allowed.
    fn send_again(&mut self, now: Millis, range: Range, requests: bool, caches: &mut Caches) -> Again {
        let mut again = Again::default();
        for at in self.places.positions(range) {
            let Some(sent) = self.places.get(at, caches) else { continue };
            if sent.is_request() && !requests {
                continue;
            }
            again.found = true;
            let allowed = match sent.item {
                Item::Flow(_) | Item::Expect(_) => self.allowance.record_again(),
                Item::Control(_) => self.allowance.answer_again(),
            };
            if !allowed {
                // Looking further would cost time for each such message.
                again.short = true;
                break;
            }
            self.resent += 1;
            self.places.take(at, caches);
            match sent.item {
                Item::Flow(_) | Item::Expect(_) => {
                    claim_paced(&mut self.places, &mut self.repair, sent.item, caches);
                }
                Item::Control(_) => self.queue.push(now, sent.item),
            }
        }
        self.places.trim(caches);
        again
    }

    /// The peer has lost this range, and says so under the number `seq`. True when only a new start can
    /// repair that: HELLO is sent again, and the peer's flows have to be asked for.
    pub(crate) fn nacked(&mut self, now: Millis, seq: u32, range: Range, caches: &mut Caches) -> bool {
        let Again { found, short } = self.send_again(now, range, true, caches);
        if found && self.hello.hello_is_under_way(now) {
            self.hello.missed();
        }
        if found && now.saturating_sub(self.last_loss) >= LOSS_APART_MS {
            self.last_loss = now;
            self.pacer.lost();
        }
        // What the full resend queue has given up cannot be sent again, so everything is sent once. Deletions
        // among it are gone for good; only a peer that starts over can notice them.
        let (from, _) = range;
        let discarded = self.discarded.take_if(|d| !after(from, *d)).is_some();
        let start_over = self.discarded_dead.take_if(|d| !after(from, *d)).is_some();
        if start_over {
            self.hello.greet_again();
        }
        if short {
            self.hello.want_bulk_soon(now);
        } else if discarded {
            self.hello.want_bulk(now);
        }
        self.repair.defer(seq, short || discarded);
        start_over
    }

    /// The peer knows nothing of what we have sent. The resend queue is emptied, as the peer expects, and all
    /// flows are sent afresh; unacknowledged deletions are still in the store and go along. Returns the
    /// number of our requests that are still to be sent.
    pub(crate) fn peer_started(&mut self, now: Millis, caches: &mut Caches) -> usize {
        self.places.drain(caches);
        (self.discarded, self.discarded_dead, self.stuck) = (None, None, Stuck::default());
        // Those that were given up since the last datagram are forgotten with the others.
        self.discarded_requests = 0;
        self.repair.forget_requests();
        self.speaker.peer_started();
        self.hello.want_bulk(now);
        self.queue.count(|i| matches!(i, Item::Control(c) if c.is_request()))
    }

    /// No HELLO is on its way any more: deletions are sent once more, and everything if the peer
    /// has missed anything.
    pub(crate) fn repeats_turn(&mut self, now: Millis, caches: &mut Caches) {
        if self.hello.repeats_due().is_none_or(|t| t > now) {
            return;
        }
        for item in self.hello.take_repeats() {
            if is_idle_and_dead(caches.meta(item)) {
                self.enqueue(now, item, caches);
            }
        }
        self.hello.want_missed(now);
    }

    /// The number of requests that the full resend queue has given up since the last call.
    pub(crate) fn take_discarded_requests(&mut self) -> usize {
        std::mem::take(&mut self.discarded_requests)
    }
}
