//! ALARM: announces flows again, and forgets flows that are not announced (sync-protocol.md §5.2).

use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, tick, tick_ms};
use crate::peer::delivery::Delivery;
use crate::peer::mark;
use crate::peer::message::{Class, Refusal, Verdict, classify, compares};
use crate::peer::quiet::Quiet;
use crate::peer::refresh::TIMERS_A_TURN;
use crate::peer::remote::Remote;
use crate::store::{FlowId, Meta, Wheel};
use zct_wire::peer::Message;

/// Expectations are few: all are checked once a second instead of having timers.
const EXPECTS_MS: Millis = 1000;

/// One node's side of ALARM. A flow of the peer has a timer in the wheel exactly while its record is marked
/// as armed. When each of our own is announced again is kept where it is sent.
#[derive(Debug)]
pub(crate) struct AlarmSession {
    expiry: Wheel,
    expects_checked: Millis,
    /// The value of CacheTimeout.
    pub(crate) cache_timeout_s: u32,
    pub(crate) quiet: Quiet,
}

impl AlarmSession {
    pub(crate) fn new(now: Millis, cache_timeout_s: u32, quiet: Quiet) -> Self {
        AlarmSession { expiry: Wheel::new(tick(now)), expects_checked: now, cache_timeout_s, quiet }
    }

    /// Judges whether a message is accepted.
    pub(crate) fn receive(&mut self, now: Millis, m: &Message<'_>) -> Verdict {
        let class = classify(m);
        let about_sums = compares(m) || class == Some(Class::Digest) && self.quiet.is_on();
        if m.flags != 0 && !about_sums {
            return Verdict::refuse(Refusal::OtherMode);
        }
        if compares(m) {
            self.quiet.peer_knows(now);
        }
        match class {
            Some(class @ Class::Data(_)) => {
                self.quiet.heard(m.seq);
                Verdict::take(class)
            }
            Some(class) if about_sums => {
                self.quiet.heard(m.seq);
                Verdict::take(class)
            }
            Some(Class::Alive | Class::Ack(_) | Class::Nack(_) | Class::Resync | Class::Digest) | None => {
                Verdict::refuse(Refusal::Header)
            }
        }
    }

    /// When the next flow may have to be forgotten.
    pub(crate) fn due(&self) -> Option<Millis> {
        self.expiry.next_tick().map(tick_ms)
    }

    /// Runs a bounded number of timers.
    pub(crate) fn turn(
        &mut self,
        now: Millis,
        delivery: &mut Delivery,
        remote: &mut Remote,
        caches: &mut Caches,
    ) {
        delivery.announce_flows(now, caches);
        for _ in 0..TIMERS_A_TURN {
            let Some((bits, slot)) = self.expiry.pop(tick(now)) else { break };
            self.expiry_timer(now, FlowId::from_bits(bits), slot, remote, caches);
        }
        if now.saturating_sub(self.expects_checked) >= EXPECTS_MS {
            self.expects_checked = now;
            self.expire_expects(now, remote, caches);
            delivery.announce_expects(now, caches);
        }
    }

    fn expiry_timer(&mut self, now: Millis, id: FlowId, slot: u8, remote: &mut Remote, caches: &mut Caches) {
        let Some(mut meta) = caches.external.meta(id) else { return };
        if meta.flags & mark::ARMED == 0 || meta.slot != slot {
            return;
        }
        let due = self.expires(meta);
        if due > now {
            meta.slot = self.expiry.arm(id.to_bits(), tick(due) + 1);
            caches.external.set_meta(id, meta);
        } else {
            remote.forget_flow(id, caches);
        }
    }

    fn expire_expects(&self, now: Millis, remote: &mut Remote, caches: &mut Caches) {
        let mut cursor = 0;
        while let Some(id) = caches.external_expect.walk(&mut cursor) {
            if caches.external_expect.meta(id).is_some_and(|m| self.expires(m) <= now) {
                remote.forget_expect(id, caches);
            }
        }
    }

    /// When a flow of the peer will be forgotten.
    pub(crate) fn expires(&self, meta: Meta) -> Millis {
        (u64::from(meta.id_or_heard_s) + u64::from(self.cache_timeout_s)) * 1000
    }

    /// A flow of the peer has been stored or renewed.
    pub(crate) fn arm(&mut self, id: FlowId, caches: &mut Caches) {
        let Some(mut meta) = caches.external.meta(id).filter(|m| m.flags & mark::ARMED == 0) else { return };
        meta.slot = self.expiry.arm(id.to_bits(), tick(self.expires(meta)) + 1);
        meta.flags |= mark::ARMED;
        caches.external.set_meta(id, meta);
    }

    /// The external caches have been emptied, so there is nothing to time.
    pub(crate) fn forget(&mut self) {
        self.quiet.flushed();
        self.expiry = Wheel::new(self.expiry.tick());
    }
}
