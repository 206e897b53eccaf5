//! When messages were sent, by their numbers.
//!
//! Only the first number of a turn is noted. When there are many notes, those that lie close together for
//! their age are dropped, so the age of a message may come out too high, by a quarter at most.

use crate::peer::Millis;
use std::collections::VecDeque;
use zct_wire::peer::header::after;

/// The most notes that are kept, unless more are needed.
const MARKS_MAX: usize = 512;
/// Notes that are kept lie at least one part in this many of their age apart: some 300 for a day.
const FINE: Millis = 16;

/// The numbers in flight.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The first number that was sent at a time, in the order of both.
    marks: VecDeque<(u32, Millis)>,
}

impl Numbers {
    /// Messages were sent, of which `first` is the first.
    pub(super) fn sent(&mut self, first: u32, now: Millis) {
        if self.marks.back().is_some_and(|(_, at)| *at >= now) {
            return;
        }
        if self.marks.len() >= MARKS_MAX {
            let mut kept = None;
            self.marks.retain(|(_, at)| {
                let close = kept.is_some_and(|k| at - k < now.saturating_sub(*at) / FINE);
                kept = if close { kept } else { Some(*at) };
                !close
            });
        }
        self.marks.push_back((first, now));
    }

    /// Forgets what lies before the oldest number that still matters; everything if there is none.
    pub(super) fn trim(&mut self, oldest: Option<u32>) {
        let Some(oldest) = oldest else { return self.marks.clear() };
        while self.marks.get(1).is_some_and(|(first, _)| !after(*first, oldest)) {
            self.marks.pop_front();
        }
    }

    /// When this number was sent, if it is known.
    pub(super) fn time_of(&self, number: u32) -> Option<Millis> {
        let before = self.marks.iter().take_while(|(first, _)| !after(*first, number));
        before.last().map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_was_sent_when_its_turn_was() {
        let mut n = Numbers::default();
        assert_eq!(n.time_of(7), None);
        n.sent(u32::MAX - 1, 10);
        n.sent(3, 20);
        n.sent(5, 20);
        n.sent(9, 30);
        for (number, at) in [(u32::MAX - 1, 10), (0, 10), (2, 10), (3, 20), (8, 20), (9, 30), (100, 30)] {
            assert_eq!(n.time_of(number), Some(at), "{number}");
        }
        assert_eq!(n.time_of(u32::MAX - 2), None);
        n.trim(Some(4));
        assert_eq!((n.time_of(2), n.time_of(4), n.time_of(9)), (None, Some(20), Some(30)));
        n.trim(None);
        assert_eq!(n.time_of(9), None);
    }

    #[test]
    fn many_numbers_make_ages_coarse_and_never_too_low() {
        let mut n = Numbers::default();
        for at in 0..100_000_u32 {
            n.sent(at * 10, at.into());
        }
        assert!(n.marks.len() <= MARKS_MAX);
        for number in (0..1_000_000).step_by(997) {
            let (is, said) = (Millis::from(number / 10), n.time_of(number).unwrap());
            let (age, told) = (100_000 - is, 100_000 - said);
            assert!(told >= age && told <= age + age / 4, "{number}: {told} instead of {age}");
        }
    }
}
