//! ALARM: when each record of the internal caches is announced again (sync-protocol.md §5.2).

use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, tick, tick_ms};
use crate::peer::entry::Item;
use crate::peer::mark;
use crate::store::{ExpectId, FlowId, Meta, Wheel};

/// Entries of a wheel that one turn looks at.
pub(crate) const TIMERS_A_TURN: usize = 4096;

/// The timers of announcements. A flow has one exactly while its record is marked as armed; expectations are
/// few, so all of them are checked instead.
#[derive(Debug)]
pub(crate) struct Refresh {
    wheel: Wheel,
    random: u64,
    /// The value of RefreshTime.
    pub(crate) time_s: u32,
}

impl Refresh {
    pub(crate) fn new(now: Millis, time_s: u32, random: u64) -> Self {
        Refresh { wheel: Wheel::new(tick(now)), random, time_s }
    }

    /// The next random number: splitmix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An interval like the original's: up to RefreshTime whole seconds, and one to five fifths of a second.
    fn interval(&mut self) -> Millis {
        let seconds = self.draw() % u64::from(self.time_s.max(1)) + 1;
        let fifths = self.draw() % 5 + 1;
        seconds * 1000 + fifths * 200
    }

    /// Schedules the flow's next announcement within RefreshTime.
    pub(crate) fn arm(&mut self, now: Millis, id: FlowId, caches: &mut Caches) {
        let Some(mut meta) = caches.internal.meta(id) else { return };
        if meta.flags & mark::DEAD != 0 {
            return;
        }
        let due = tick(now + self.interval()) + 1;
        meta.seq_or_due = due as u32;
        if meta.flags & mark::ARMED == 0 {
            meta.slot = self.wheel.arm(id.to_bits(), due);
            meta.flags |= mark::ARMED;
        }
        caches.internal.set_meta(id, meta);
    }

    /// Schedules an expectation's next announcement.
    pub(crate) fn arm_expect(&mut self, now: Millis, id: ExpectId, caches: &mut Caches) {
        let due = tick(now + self.interval()) + 1;
        if let Some(meta) = caches.internal_expect.meta(id) {
            caches.internal_expect.set_meta(id, Meta { seq_or_due: due as u32, ..meta });
        }
    }

    /// When the next flow may be due.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.wheel.next_tick().map(tick_ms)
    }

    /// Takes out a bounded number of expired timers, and calls `due` for the flows whose time has come.
    pub(crate) fn turn(&mut self, now: Millis, caches: &mut Caches, mut due: impl FnMut(Item, &mut Caches)) {
        for _ in 0..TIMERS_A_TURN {
            let Some((bits, slot)) = self.wheel.pop(tick(now)) else { break };
            let id = FlowId::from_bits(bits);
            if self.has_come(now, id, slot, caches) {
                due(Item::Flow(id), caches);
            }
        }
    }

    /// A timer has expired. False if it does not belong to the flow that has the id now, or if the flow was
    /// sent meanwhile and is due later.
    fn has_come(&mut self, now: Millis, id: FlowId, slot: u8, caches: &mut Caches) -> bool {
        let Some(mut meta) = caches.internal.meta(id) else { return false };
        if meta.flags & mark::ARMED == 0 || meta.slot != slot {
            return false;
        }
        // Ticks are stored in 32 bits, which last for thirty-four years of uptime.
        let later = u64::from(meta.seq_or_due) > tick(now);
        if later {
            meta.slot = self.wheel.arm(id.to_bits(), meta.seq_or_due.into());
        } else {
            meta.flags &= !mark::ARMED;
            // It is announced as new: an update could be merged into an earlier flow whose end was lost.
            meta.flags |= mark::FRESH;
        }
        caches.internal.set_meta(id, meta);
        !later
    }

    /// Calls `due` for the expectations whose time has come.
    pub(crate) fn expects(now: Millis, caches: &mut Caches, mut due: impl FnMut(Item, &mut Caches)) {
        let mut cursor = 0;
        while let Some(id) = caches.internal_expect.walk(&mut cursor) {
            let Some(meta) = caches.internal_expect.meta(id) else { continue };
            if meta.flags & mark::DEAD == 0 && u64::from(meta.seq_or_due) <= tick(now) {
                due(Item::Expect(id), caches);
            }
        }
    }

    /// The internal caches have been emptied, so there is nothing to announce.
    pub(crate) fn forget(&mut self) {
        self.wheel = Wheel::new(self.wheel.tick());
    }
}
