//! Deadlines of many records, for one byte in each record.

/// Slots of the wheel. A record keeps the number of the slot that holds its entry.
const SLOTS: u64 = 256;

/// A timer wheel with lazy entries (ALARM's refresh and expiry, sync-protocol.md §5.2).
///
/// A record has at most one entry. Postponing its deadline touches only the record: when the old slot comes
/// round, the caller sees that it is not due yet and arms it again. An entry for a record that has been
/// removed is recognised by its slot and dropped, so removing costs nothing either. Deadlines beyond the
/// wheel's span wait in its last slot and are armed again from there.
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<u32>>,
    // The next tick to look at. All earlier slots are empty.
    now: u64,
}

/// The slot in which a record's entry is. A record without an entry may have any value: a stale one
/// costs one look.
pub type WheelSlot = u8;

impl Wheel {
    /// An empty wheel that has reached `tick`.
    pub fn new(tick: u64) -> Self {
        Wheel { slots: (0..SLOTS).map(|_| Vec::new()).collect(), now: tick }
    }

    /// Enters `id` for the tick `due`, or for the next tick if that is past. The caller stores the slot in
    /// the record.
    pub fn arm(&mut self, id: u32, due: u64) -> WheelSlot {
        let due = due.clamp(self.now, self.now + SLOTS - 1);
        let slot = (due % SLOTS) as u8;
        self.slots[usize::from(slot)].push(id);
        slot
    }

    /// The next entry whose slot has been reached by `tick`, and that slot. The entry counts only if the
    /// record still has this slot, and only if the record is due; otherwise arm it again.
    pub fn pop(&mut self, tick: u64) -> Option<(u32, WheelSlot)> {
        while self.now <= tick {
            let slot = (self.now % SLOTS) as usize;
            if let Some(id) = self.slots[slot].pop() {
                if self.slots[slot].is_empty() {
                    self.slots[slot] = Vec::new(); // a burst long ago must not keep its memory forever
                }
                return Some((id, slot as u8));
            }
            // After a long sleep, one round over all slots is enough.
            self.now = (self.now + 1).max(tick.saturating_sub(SLOTS));
        }
        None
    }

    /// The tick that the wheel has reached.
    pub fn tick(&self) -> u64 {
        self.now
    }

    /// The first tick that has an entry, if any.
    pub fn next_tick(&self) -> Option<u64> {
        (self.now..self.now + SLOTS).find(|t| !self.slots[(t % SLOTS) as usize].is_empty())
    }

    /// Bytes allocated.
    pub fn memory(&self) -> usize {
        self.slots.iter().map(|s| s.capacity() * 4 + size_of::<Vec<u32>>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_at_their_tick_and_not_before() {
        let mut w = Wheel::new(1000);
        let slot = w.arm(7, 1003);
        w.arm(8, 1001);
        w.arm(9, 10); // past: next tick
        assert_eq!(w.next_tick(), Some(1000));
        assert_eq!(w.pop(1000), Some((9, 232)));
        assert_eq!(w.pop(1000), None);
        assert_eq!(w.pop(1002).map(|e| e.0), Some(8));
        assert_eq!((w.pop(1002), w.next_tick()), (None, Some(1003)));
        assert_eq!(w.pop(1003), Some((7, slot)));
        assert_eq!((w.pop(5000), w.next_tick()), (None, None));
    }

    #[test]
    fn far_deadlines_come_early_to_be_armed_again() {
        let mut w = Wheel::new(0);
        w.arm(1, 1_000_000);
        assert_eq!(w.pop(254), None);
        assert_eq!(w.pop(255).map(|e| e.0), Some(1));
    }

    #[test]
    fn nothing_is_lost_over_a_long_sleep() {
        let mut w = Wheel::new(0);
        for id in 0..1000u32 {
            w.arm(id, u64::from(id % 250));
        }
        let mut seen: Vec<_> = std::iter::from_fn(|| w.pop(1_000_000)).map(|e| e.0).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        w.arm(5, 0);
        assert_eq!(w.next_tick(), Some(1_000_001));
        assert_eq!(w.pop(1_000_001).map(|e| e.0), Some(5));
    }
}
