//! Groups that several threads add to: each key belongs to one of a few tallies, by its hash, so that no key
//! takes memory twice and nothing has to be put together at the end.

use super::key::Packed;
use super::order::Order;
use super::room;
use super::tally::{Counts, Group, Groups};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

/// Keys that a thread gathers before it takes the lock of their tally.
const GATHERED: usize = 64;

/// What threads share.
#[derive(Debug)]
pub struct Shared {
    words: usize,
    /// Decides on the tally of a key.
    secret: u64,
    tallies: Vec<Mutex<Groups>>,
}

impl Shared {
    /// No groups yet, of keys with this many words, for this many threads. Together they take as much memory
    /// as [`Groups`] alone. `flows` are expected.
    pub fn new(threads: usize, words: usize, order: Order, flows: u64) -> Shared {
        // With several for each thread, one seldom waits for another.
        let number = if threads > 1 { 4 * threads } else { 1 };
        let tally = || {
            let mut groups = Groups::within(room::BYTES / number, words, order);
            groups.expect(flows / number as u64);
            Mutex::new(groups)
        };
        let tallies = (0..number).map(|_| tally()).collect();
        Shared { words, secret: RandomState::new().hash_one(0u64), tallies }
    }

    fn number(&self, key: &Packed) -> usize {
        if self.tallies.len() == 1 {
            0
        } else {
            key.hash(self.words, self.secret) as usize % self.tallies.len()
        }
    }

    /// The groups, when all threads are done.
    pub fn into_shards(self) -> Shards {
        let groups = |m: Mutex<Groups>| m.into_inner().unwrap_or_else(PoisonError::into_inner);
        Shards(self.tallies.into_iter().map(groups).collect())
    }
}

/// What one thread adds.
///
/// # Allocation
/// Room for some keys of each tally, once.
#[derive(Debug)]
pub struct GroupAdder<'a> {
    shared: &'a Shared,
    gathered: Vec<Vec<(Packed, Counts)>>,
}

impl<'a> GroupAdder<'a> {
    /// For one thread.
    pub fn new(shared: &'a Shared) -> GroupAdder<'a> {
        let gathered = shared.tallies.iter().map(|_| Vec::with_capacity(GATHERED)).collect();
        GroupAdder { shared, gathered }
    }

    /// Counts one flow.
    pub fn add(&mut self, key: Packed, what: Counts) {
        let number = self.shared.number(&key);
        let Some(gathered) = self.gathered.get_mut(number) else { return };
        gathered.push((key, what));
        if gathered.len() == GATHERED {
            self.settle(number);
        }
    }

    /// Adds what has been gathered for one tally.
    fn settle(&mut self, number: usize) {
        if let (Some(gathered), Some(tally)) =
            (self.gathered.get_mut(number), self.shared.tallies.get(number))
        {
            let mut groups = tally.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, what) in gathered.drain(..) {
                groups.add(&key, what);
            }
        }
    }

    /// Adds the rest.
    pub fn finish(mut self) {
        (0..self.gathered.len()).for_each(|number| self.settle(number));
    }
}

/// All groups.
#[derive(Debug)]
pub struct Shards(Vec<Groups>);

/// A group: which tally, and its number there.
pub type Place = (usize, usize);

impl Shards {
    /// How many groups there are in memory.
    pub fn len(&self) -> usize {
        self.0.iter().map(Groups::len).sum()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Groups::is_empty)
    }

    /// What all flows come to, which is exact in any case.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.0.iter().for_each(|groups| total.add(groups.total()));
        total
    }

    /// The figure of which some counts are an estimate; `None` while all are exact.
    pub fn estimated(&self) -> Option<Order> {
        self.0.iter().find_map(Groups::estimated)
    }

    /// By how much a count may be too high at most, and what a group that is not here has at most.
    pub fn bound(&self) -> u64 {
        self.0.iter().map(Groups::bound).max().unwrap_or(0)
    }

    /// A group.
    ///
    /// # Panics
    /// For a place that is not one of [`Shards::largest`].
    pub fn group(&self, (tally, at): Place) -> Group {
        self.0[tally].group(at)
    }

    /// The `top` largest groups by the figure they were made for, in the order of [`Groups::largest`].
    pub fn largest(&self, top: Option<usize>) -> Vec<Place> {
        let of = |(tally, groups): (usize, &Groups)| {
            groups.largest_by_order(top).into_iter().map(move |at| (tally, at))
        };
        let mut all: Vec<Place> = self.0.iter().enumerate().flat_map(of).collect();
        if self.0.len() > 1 {
            let rank = |(tally, at): Place| self.0[tally].rank(at);
            all.sort_unstable_by(|a, b| rank(*a).cmp(&rank(*b)));
        }
        all.truncate(top.unwrap_or(usize::MAX));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::WORDS_MAX;
    use super::*;

    fn key(n: u64) -> Packed {
        let mut words = [0; WORDS_MAX];
        (words[0], words[1]) = (n, n ^ 5);
        Packed { tag: (n % 3) as u32, words }
    }

    #[test]
    fn several_threads_count_as_one_does() {
        for order in [Order::Flows, Order::Bytes] {
            let what = |n: u64| Counts { flows: 1, packets: n % 7, bytes: n % 1000 };
            let mut one = Groups::new(2, order);
            (0..40_000u64).for_each(|n| _ = one.add(&key(n * n % 3001), what(n)));
            let shared = Shared::new(4, 2, order, 3001);
            std::thread::scope(|scope| {
                for part in 0..4 {
                    let mut adder = GroupAdder::new(&shared);
                    scope.spawn(move || {
                        (part * 10_000..(part + 1) * 10_000u64)
                            .for_each(|n| adder.add(key(n * n % 3001), what(n)));
                        adder.finish();
                    });
                }
            });
            let all = shared.into_shards();
            assert_eq!(
                (all.len(), all.total(), all.estimated(), all.bound()),
                (one.len(), one.total(), None, 0)
            );
            for top in [None, Some(0), Some(1), Some(100), Some(5000)] {
                let want: Vec<Group> =
                    one.largest_by_order(top).into_iter().map(|at| one.group(at)).collect();
                let have: Vec<Group> = all.largest(top).into_iter().map(|at| all.group(at)).collect();
                assert_eq!(have, want);
            }
        }
    }
}
