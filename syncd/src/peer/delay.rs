//! Flows whose turn comes a fixed time after they were entered: announcements that wait until a flow has
//! lived long enough, and updates that keep their distance from the last one.

use crate::peer::clock::{Millis, tick, tick_ms};
use crate::store::{FlowId, WheelSlot};
use std::collections::VecDeque;

/// Stale entries are looked for when there are at least this many entries.
const TRIM_MIN: usize = 1024;

/// A queue in the order of time, which is that of entering because everybody waits equally long.
///
/// An entry is stale when its flow was removed or entered again: the record keeps a stamp of its latest
/// entry, in the byte that ALARM uses for the timer wheel. A stale entry whose id has gone to another flow
/// with the same stamp ends that one's wait early, which happens once in a thousand years and does no harm.
///
/// # Allocation
/// Eight bytes per entry, and at most twice as many entries as flows wait, or [`TRIM_MIN`].
#[derive(Debug, Default)]
pub(crate) struct Delay {
    /// Seconds; 0 when nothing has to wait.
    delay_s: u32,
    // The tick of entering, and the flow.
    entries: VecDeque<(u32, FlowId)>,
    trim_at: usize,
}

/// The stamp of an entry.
fn stamp(tick: u32) -> WheelSlot {
    tick as u8
}

impl Delay {
    pub(crate) fn new(delay_s: u32) -> Self {
        Delay { delay_s, ..Delay::default() }
    }

    /// Takes over another delay. What waits, waits that long from when it was entered.
    pub(crate) fn set(&mut self, delay_s: u32) {
        self.delay_s = delay_s;
    }

    /// True when flows have to wait at all.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.delay_s != 0
    }

    /// True when no flow waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Enters a flow; returns the stamp that its record has to keep.
    pub(crate) fn enter(&mut self, now: Millis, id: FlowId) -> WheelSlot {
        // Ticks are kept in 32 bits, which last for thirty-four years of uptime.
        let tick = tick(now) as u32;
        self.entries.push_back((tick, id));
        stamp(tick)
    }

    /// True when it is time for [`Delay::trim`].
    pub(crate) fn is_long(&self) -> bool {
        self.entries.len() > self.trim_at.max(TRIM_MIN)
    }

    /// Drops stale entries: those for which `waits` is false.
    pub(crate) fn trim(&mut self, waits: impl Fn(FlowId, WheelSlot) -> bool) {
        self.entries.retain(|(tick, id)| waits(*id, stamp(*tick)));
        self.trim_at = 2 * self.entries.len();
    }

    /// When the first entry's turn comes. Its flow has waited for the whole delay then, and up to a tick
    /// more.
    pub(crate) fn due(&self) -> Option<Millis> {
        let delay = Millis::from(self.delay_s) * 1000;
        self.entries.front().map(|(tick, _)| tick_ms(u64::from(*tick) + 1) + delay)
    }

    /// Takes the next flow whose turn has come, with the stamp of its entry.
    pub(crate) fn pop(&mut self, now: Millis) -> Option<(FlowId, WheelSlot)> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        let (tick, id) = self.entries.pop_front()?;
        // A burst long ago must not keep its memory forever.
        if self.entries.is_empty() && self.entries.capacity() > 4 * TRIM_MIN {
            self.entries = VecDeque::new();
        }
        Some((id, stamp(tick)))
    }

    /// No flow waits any more.
    pub(crate) fn clear(&mut self) {
        *self = Delay::new(self.delay_s);
    }

    /// The flows that wait, with the stamps of their entries, for checks.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn entries(&self) -> std::collections::HashSet<(FlowId, WheelSlot)> {
        self.entries.iter().map(|(tick, id)| (*id, stamp(*tick))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> FlowId {
        FlowId::from_bits(n)
    }

    #[test]
    fn a_turn_comes_after_the_whole_delay_and_at_most_a_tick_later() {
        let mut d = Delay::new(3);
        assert_eq!((d.due(), d.pop(1_000_000)), (None, None));
        let first = d.enter(10_249, id(1));
        let second = d.enter(10_250, id(2));
        assert_ne!(first, second);
        assert_eq!(d.due(), Some(13_250));
        assert_eq!(d.pop(13_249), None);
        assert_eq!(d.pop(13_250), Some((id(1), first)));
        assert_eq!((d.pop(13_250), d.pop(13_500)), (None, Some((id(2), second))));
        assert!(d.is_empty());
    }

    #[test]
    fn another_delay_holds_for_what_waits_already() {
        let mut d = Delay::new(60);
        let stamp = d.enter(0, id(1));
        d.set(0);
        assert!(!d.is_on());
        assert_eq!(d.pop(250), Some((id(1), stamp)));
    }

    #[test]
    fn flows_that_come_and_go_leave_no_more_entries_than_wait() {
        let mut d = Delay::new(3600);
        let mut most = 0;
        // A hundred flows at a time, each of which soon makes room for the next one with its id.
        for n in 0..100_000u32 {
            d.enter(u64::from(n), id(n % 100));
            if d.is_long() {
                let newest = stamp(tick(u64::from(n)) as u32);
                d.trim(|_, stamp| stamp == newest);
            }
            most = most.max(d.entries.len());
        }
        assert!(most <= 2 * TRIM_MIN, "{most}");
    }
}
