//! ALARM: announcing again, and forgetting what is not announced (sync-protocol.md §5.2).

use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, tick, tick_ms};
use crate::peer::entry::Item;
use crate::peer::machine::Machine;
use crate::peer::mark;
use crate::store::{FlowId, Meta};

/// Entries of the wheels that are looked at in one turn.
const TIMERS_A_TURN: usize = 4096;
/// Expectations are few: they are looked through once a second instead of having timers.
const EXPECTS_MS: Millis = 1000;

impl Machine {
    /// The original's interval: up to RefreshTime whole seconds, and one to five fifths of a second.
    pub(crate) fn refresh_interval(&mut self) -> Millis {
        let seconds = self.draw() % u64::from(self.config.refresh_time_s) + 1;
        let fifths = self.draw() % 5 + 1;
        seconds * 1000 + fifths * 200
    }

    pub(crate) fn alarm_due(&self) -> Option<Millis> {
        let wheels = [self.refresh.next_tick(), self.expiry.next_tick()];
        wheels.into_iter().flatten().min().map(tick_ms)
    }

    pub(crate) fn alarm_turn(&mut self, now: Millis, caches: &mut Caches) {
        for _ in 0..TIMERS_A_TURN {
            let Some((bits, slot)) = self.refresh.pop(tick(now)) else { break };
            self.refresh_timer(now, FlowId::from_bits(bits), slot, caches);
        }
        for _ in 0..TIMERS_A_TURN {
            let Some((bits, slot)) = self.expiry.pop(tick(now)) else { break };
            self.expiry_timer(now, FlowId::from_bits(bits), slot, caches);
        }
        if now.saturating_sub(self.expects_checked) >= EXPECTS_MS {
            self.expects_checked = now;
            self.alarm_expects(now, caches);
        }
    }

    fn refresh_timer(&mut self, now: Millis, id: FlowId, slot: u8, caches: &mut Caches) {
        let Some(mut meta) = caches.internal.meta(id) else { return };
        if meta.flags & mark::ARMED == 0 || meta.slot != slot {
            return;
        }
        // Ticks are kept in 32 bits: thirty-four years of uptime.
        if u64::from(meta.aux) > tick(now) {
            meta.slot = self.refresh.arm(id.to_bits(), meta.aux.into());
            caches.internal.set_meta(id, meta);
            return;
        }
        meta.flags &= !mark::ARMED;
        // Announced as new: an update could be merged into an earlier flow whose end was lost.
        meta.flags |= mark::FRESH;
        caches.internal.set_meta(id, meta);
        if self.places.claim(Item::Flow(id), true, caches) {
            self.repair.push(Item::Flow(id));
        }
    }

    fn expiry_timer(&mut self, now: Millis, id: FlowId, slot: u8, caches: &mut Caches) {
        let Some(mut meta) = caches.external.meta(id) else { return };
        if meta.flags & mark::ARMED == 0 || meta.slot != slot {
            return;
        }
        let due = self.expires(meta);
        if due > now {
            meta.slot = self.expiry.arm(id.to_bits(), tick(due) + 1);
            caches.external.set_meta(id, meta);
        } else {
            caches.external.remove(id);
            self.stats.external.destroyed += 1;
        }
    }

    /// When a flow of the peer is forgotten.
    pub(crate) fn expires(&self, meta: Meta) -> Millis {
        (u64::from(meta.note) + u64::from(self.config.cache_timeout_s)) * 1000
    }

    /// Seconds until a flow of the peer is forgotten; `None` in other modes, which forget nothing.
    pub fn expires_in_s(&self, now: Millis, meta: Meta) -> Option<u64> {
        let alarm = self.config.mode == crate::peer::config::Mode::Alarm;
        alarm.then(|| self.expires(meta).saturating_sub(now) / 1000)
    }

    /// A flow of the peer has been stored or renewed.
    pub(crate) fn arm_expiry(&mut self, id: FlowId, caches: &mut Caches) {
        let Some(mut meta) = caches.external.meta(id).filter(|m| m.flags & mark::ARMED == 0) else { return };
        meta.slot = self.expiry.arm(id.to_bits(), tick(self.expires(meta)) + 1);
        meta.flags |= mark::ARMED;
        caches.external.set_meta(id, meta);
    }

    fn alarm_expects(&mut self, now: Millis, caches: &mut Caches) {
        let mut cursor = 0;
        while let Some(id) = caches.external_expect.walk(&mut cursor) {
            if caches.external_expect.meta(id).is_some_and(|m| self.expires(m) <= now) {
                caches.external_expect.remove(id);
                self.stats.external_expect.destroyed += 1;
            }
        }
        let mut cursor = 0;
        while let Some(id) = caches.internal_expect.walk(&mut cursor) {
            let Some(meta) = caches.internal_expect.meta(id) else { continue };
            let due = meta.flags & mark::DEAD == 0 && u64::from(meta.aux) <= tick(now);
            if due && self.places.claim(Item::Expect(id), true, caches) {
                self.repair.push(Item::Expect(id));
            }
        }
    }
}
