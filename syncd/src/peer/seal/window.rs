//! Which counters of an epoch have come already (sealed-peers.md §5).

use crate::peer::clock::Millis;

/// How far a frame may be behind the newest one.
pub(super) const WIDTH: u64 = 4096;
/// How long a frame may be under way, counted from when a later one has come: what the protocol above assumes
/// of the network too. Whoever withholds a frame for longer has lost it.
const UNDER_WAY_MS: Millis = 3000;

/// The last [`WIDTH`] counters. It grows only with frames that were authentic.
#[derive(Debug)]
pub(super) struct Window {
    // One more than the highest counter that has come.
    next: u64,
    // Counters below this one are too late, whether or not they have come.
    floor: u64,
    bits: [u64; (WIDTH / 64) as usize],
    // What `next` was at this time: it becomes the floor.
    mark: (u64, Millis),
}

impl Window {
    /// Everything from `first` on is still to come, and nothing else is taken.
    pub(super) fn from(first: u64, now: Millis) -> Window {
        Window { next: first, floor: first, bits: [0; (WIDTH / 64) as usize], mark: (first, now) }
    }

    fn place(&self, counter: u64) -> (usize, u64) {
        (((counter % WIDTH) / 64) as usize, 1 << (counter % 64))
    }

    /// Whether a frame with this counter would be taken.
    pub(super) fn admits(&self, counter: u64) -> bool {
        if counter >= self.next {
            // The last counter of all is not used, so that `next` is always a number.
            return counter < u64::MAX;
        }
        let (word, bit) = self.place(counter);
        counter >= self.floor && self.next - counter <= WIDTH && self.bits[word] & bit == 0
    }

    /// Takes a frame that [`Window::admits`] and that was authentic.
    pub(super) fn take(&mut self, counter: u64, now: Millis) {
        if counter >= self.next {
            // Places between the old and the new end of the window are those of counters that are too late
            // now.
            for skipped in (self.next..counter).take(WIDTH as usize) {
                let (word, bit) = self.place(skipped);
                self.bits[word] &= !bit;
            }
            if counter - self.next >= WIDTH {
                self.bits = [0; (WIDTH / 64) as usize];
            }
            self.next = counter + 1;
        }
        let (word, bit) = self.place(counter);
        self.bits[word] |= bit;
        if now.saturating_sub(self.mark.1) >= UNDER_WAY_MS {
            self.floor = self.floor.max(self.mark.0);
            self.mark = (self.next, now);
        }
    }

    /// Nothing up to `counter` is taken any more.
    pub(super) fn raise(&mut self, counter: u64) {
        self.floor = self.floor.max(counter.saturating_add(1));
        if self.next < self.floor {
            self.next = self.floor;
            self.bits = [0; (WIDTH / 64) as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn each_counter_is_taken_once_and_none_that_is_too_old() {
        let mut rng = Rng::new(7);
        let mut w = Window::from(100, 0);
        let (mut seen, mut highest) = (BTreeSet::new(), 99u64);
        for _ in 0..200_000 {
            let reach = [10, 200, 5000, 20_000][rng.below(4) as usize];
            let counter = (highest + rng.below(50)).saturating_sub(rng.below(reach));
            let due = counter >= 100 && !seen.contains(&counter) && counter + WIDTH > highest;
            assert_eq!(w.admits(counter), due, "{counter} after {highest}");
            if due {
                w.take(counter, 0);
                seen.insert(counter);
                highest = highest.max(counter);
            }
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_trouble() {
        let mut w = Window::from(0, 0);
        assert!(w.admits(0) && w.admits(u64::MAX - 1) && !w.admits(u64::MAX));
        w.take(u64::MAX - 1, 0);
        assert!(!w.admits(u64::MAX - 1) && !w.admits(0) && w.admits(u64::MAX - 2));
        w.raise(u64::MAX);
        assert!(!w.admits(u64::MAX - 2));
    }

    #[test]
    fn what_was_withheld_for_too_long_is_not_taken() {
        let mut w = Window::from(0, 0);
        w.take(5, 10);
        w.take(6, 2999);
        assert!(w.admits(3) && w.admits(4));
        // The mark is of the start, so nothing is too late yet; three seconds later everything before is.
        w.take(7, 3000);
        assert!(w.admits(4));
        w.take(9, 5999);
        assert!(w.admits(4) && w.admits(8));
        w.take(10, 6000);
        assert!(!w.admits(4) && !w.admits(3) && w.admits(8));
    }

    #[test]
    fn raised_it_takes_only_what_comes_later() {
        let mut w = Window::from(0, 0);
        w.take(50, 0);
        w.raise(40);
        assert!(!w.admits(40) && w.admits(41) && !w.admits(50) && w.admits(51));
        w.raise(10_000);
        assert!(!w.admits(10_000) && !w.admits(51) && w.admits(10_001));
        // Places of counters from before are free again.
        w.take(10_050, 0);
        assert!((10_001..10_050).all(|c| w.admits(c)));
    }
}
