//! Flows counted by their keys, in memory with a bound.
//!
//! Counts are exact while the keys fit in that memory. After that they are estimates by the space-saving
//! algorithm (Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data
//! Streams", 2005): a key that is not there takes the place of the one with the smallest count and takes its
//! count over, as the amount by which it may be too high. No count is ever too low, none is too high by more
//! than the smallest count, and a key that is not there has at most that many.

use super::key::{Packed, WORDS_MAX};
use super::order::Order;
use super::room::{self, SAVING_BYTES};
use hashbrown::HashTable;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher as _, RandomState};

/// What flows come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many there are.
    pub flows: u64,
    /// Packets of both directions.
    pub packets: u64,
    /// Bytes of both directions.
    pub bytes: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, more: Counts) {
        self.flows = self.flows.saturating_add(more.flows);
        self.packets = self.packets.saturating_add(more.packets);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    /// The figure by which groups are put in order; rates and ages are not known here.
    pub fn by(&self, order: Order) -> u64 {
        match order {
            Order::Packets => self.packets,
            Order::Bytes => self.bytes,
            Order::Flows | Order::Rate | Order::Age => self.flows,
        }
    }
}

/// A group: what its flows have in common, and what they come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The key.
    pub key: Packed,
    /// The counts. In an estimate only the figure that groups are sorted by is known, and the others are 0.
    pub counts: Counts,
    /// By how much that one may be too high.
    pub over: u64,
}

/// The place of an entry, and enough of its hash to find a new slot for it when the index grows.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    at: u32,
}

/// hashbrown takes the bucket from the low bits and a tag from the top seven.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Words of an entry in front of its key: flows and tag; then, as soon as any flow has counted some, packets
/// and bytes. In an estimate these two are the count and by how much it may be too high.
const HEAD: [usize; 2] = [1, 3];
const HEAD_MAX: usize = 3;

/// Groups of flows.
///
/// # Allocation
/// Grows with the number of keys, in few large pieces, up to a bound. A flow of a known key allocates
/// nothing.
#[derive(Debug)]
pub struct Groups {
    words: usize,
    order: Order,
    entries: Vec<u64>,
    /// True when entries have room for packets and bytes.
    wide: bool,
    index: HashTable<Slot>,
    /// Of the hash, because hostile traffic chooses the addresses and ports.
    secret: u64,
    room: usize,
    exact_max: usize,
    saving: Option<Saving>,
    total: Counts,
}

/// What the estimate needs: every entry once, smallest count first. A count in here may be one from before,
/// smaller than the entry's own, and is corrected when it comes to the top.
#[derive(Debug)]
struct Saving(BinaryHeap<Reverse<(u64, u32)>>);

impl Groups {
    /// No groups yet. Keys have this many words; an estimate is one of the figure of `order`.
    pub fn new(words: usize, order: Order) -> Groups {
        Groups::within(room::BYTES, words, order)
    }

    /// The same with another bound, in bytes.
    pub fn within(room: usize, words: usize, order: Order) -> Groups {
        let words = words.min(WORDS_MAX);
        Groups {
            words,
            order,
            entries: Vec::new(),
            wide: false,
            index: HashTable::new(),
            secret: RandomState::new().hash_one(0u64),
            room,
            exact_max: room::entries(room, (HEAD[0] + words) * 8),
            saving: None,
            total: Counts::default(),
        }
    }

    /// Makes room for the keys of this many flows, should each have its own: the index does not have to grow
    /// then. Memory that is not used is not taken from the system.
    pub fn expect(&mut self, flows: u64) {
        let flows = usize::try_from(flows).unwrap_or(usize::MAX).min(self.exact_max);
        self.index.reserve(flows, |s| spread(s.hash));
    }

    fn head(&self) -> usize {
        HEAD[usize::from(self.wide)]
    }

    fn stride(&self) -> usize {
        self.head() + self.words
    }

    /// Makes room for packets and bytes in every entry.
    #[cold]
    fn widen(&mut self) {
        let (old, len) = (self.stride(), self.len());
        self.wide = true;
        let (new, more) = (self.stride(), HEAD[1] - HEAD[0]);
        self.exact_max = room::entries(self.room, new * 8);
        self.entries.resize(len * new, 0);
        for at in (0..len).rev() {
            let (from, to) = (at * old, at * new);
            self.entries.copy_within(from + HEAD[0]..from + old, to + HEAD[1]);
            self.entries.copy_within(from..from + HEAD[0], to);
            self.entries.iter_mut().skip(to + HEAD[0]).take(more).for_each(|word| *word = 0);
        }
    }

    /// How many groups there are in memory.
    pub fn len(&self) -> usize {
        self.entries.len() / self.stride()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What all flows come to, which is exact in any case.
    pub fn total(&self) -> Counts {
        self.total
    }

    /// The figure of which the counts are an estimate; `None` while they are exact.
    pub fn estimated(&self) -> Option<Order> {
        self.saving.is_some().then_some(self.order)
    }

    /// By how much a count may be too high at most, and what a group that is not here has at most: 0 while
    /// everything is exact.
    pub fn bound(&self) -> u64 {
        if self.saving.is_none() {
            return 0;
        }
        (0..self.len()).map(|at| self.word(at, 1)).min().unwrap_or(0)
    }

    /// Counts one flow, or several that come to `what`. Returns the number of their group, which is the
    /// number of groups so far for a new one; `None` when an estimate has no place for it.
    #[inline]
    pub fn add(&mut self, key: &Packed, what: Counts) -> Option<usize> {
        self.total.add(what);
        if !self.wide && what.packets | what.bytes != 0 {
            self.widen();
        }
        let hash = self.hash_of(key);
        let found = self.index.find(spread(hash), |s| s.hash == hash && self.is_at(s.at as usize, key));
        let at = match found {
            Some(slot) => slot.at as usize,
            None if self.saving.is_none() && self.len() < self.exact_max => self.insert(key, hash),
            None => return self.estimate(key, what),
        };
        if self.saving.is_some() {
            let more = what.by(self.order);
            self.change(at, 1, |count| count.saturating_add(more));
        } else {
            // The tag is in the lower half.
            self.change(at, 0, |head| {
                let flows = (head >> 32).saturating_add(what.flows).min(u32::MAX.into());
                flows << 32 | head & u64::from(u32::MAX)
            });
            if self.wide {
                self.change(at, 1, |packets| packets.saturating_add(what.packets));
                self.change(at, 2, |bytes| bytes.saturating_add(what.bytes));
            }
        }
        Some(at)
    }

    fn hash_of(&self, key: &Packed) -> u32 {
        key.hash(self.words, self.secret) as u32
    }

    fn entry(&self, at: usize) -> &[u64] {
        let start = at * self.stride();
        self.entries.get(start..start + self.stride()).unwrap_or_default()
    }

    /// A word in front of the key, 0 where there is no room for it.
    fn word(&self, at: usize, which: usize) -> u64 {
        if which < self.head() { self.entry(at).get(which).copied().unwrap_or(0) } else { 0 }
    }

    /// Tag and words of an entry's key.
    fn key(&self, at: usize) -> (u32, &[u64]) {
        let entry = self.entry(at);
        (self.word(at, 0) as u32, entry.get(self.head()..).unwrap_or_default())
    }

    fn change(&mut self, at: usize, which: usize, with: impl FnOnce(u64) -> u64) {
        let place = at * self.stride() + which;
        if let Some(word) = self.entries.get_mut(place) {
            *word = with(*word);
        }
    }

    fn is_at(&self, at: usize, key: &Packed) -> bool {
        let (tag, words) = self.key(at);
        tag == key.tag && words.iter().eq(key.words.iter().take(words.len()))
    }

    /// Adds an entry without counts.
    fn insert(&mut self, key: &Packed, hash: u32) -> usize {
        let at = self.len();
        let head = [key.tag.into(), 0, 0];
        self.entries.extend_from_slice(head.get(..self.head()).unwrap_or_default());
        self.entries.extend_from_slice(key.words.get(..self.words).unwrap_or_default());
        // The bound on memory keeps the number of entries far below 2^32.
        self.index.insert_unique(spread(hash), Slot { hash, at: at as u32 }, |s| spread(s.hash));
        at
    }

    /// Counts a key that is not there and has no room: it takes the place of the smallest.
    #[cold]
    fn estimate(&mut self, key: &Packed, what: Counts) -> Option<usize> {
        if self.saving.is_none() {
            self.begin_saving();
        }
        let more = what.by(self.order);
        if more == 0 {
            return None;
        }
        let (at, smallest) = self.smallest()?;
        let old = self.hash_of(&self.group(at).key);
        if let Ok(slot) = self.index.find_entry(spread(old), |s| s.at as usize == at) {
            slot.remove();
        }
        let hash = self.hash_of(key);
        self.index.insert_unique(spread(hash), Slot { hash, at: at as u32 }, |s| spread(s.hash));
        let head = [key.tag.into(), smallest.saturating_add(more), smallest];
        let start = at * self.stride();
        let values = head.into_iter().chain(key.words);
        for (to, value) in self.entries.iter_mut().skip(start).take(HEAD_MAX + self.words).zip(values) {
            *to = value;
        }
        Some(at)
    }

    /// The entry with the smallest count, and that count.
    fn smallest(&mut self) -> Option<(usize, u64)> {
        let stride = self.stride();
        let Saving(heap) = self.saving.as_mut()?;
        loop {
            let mut top = heap.peek_mut()?;
            let Reverse((kept, at)) = *top;
            let now = self.entries.get(at as usize * stride + 1).copied().unwrap_or(0);
            if kept == now {
                return Some((at as usize, now));
            }
            // It moves down to where it belongs now.
            *top = Reverse((now, at));
        }
    }

    /// Turns exact counts into the first estimate. The heap needs memory too, so the smallest groups go: what
    /// is then not here has no more than the smallest count that is, as in every estimate.
    fn begin_saving(&mut self) {
        if !self.wide {
            self.widen();
        }
        let order = self.order;
        let keep = room::entries(self.room, self.stride() * 8 + SAVING_BYTES).max(1);
        let kept: Vec<(Group, u64)> = {
            let mut all: Vec<u32> = (0..self.len() as u32).collect();
            all.sort_unstable_by_key(|at| Reverse(self.group(*at as usize).counts.by(order)));
            all.truncate(keep);
            all.iter().map(|at| self.group(*at as usize)).map(|g| (g, g.counts.by(order))).collect()
        };
        self.entries.clear();
        self.index.clear();
        let mut heap = Vec::with_capacity(kept.len());
        for (group, count) in kept {
            let hash = self.hash_of(&group.key);
            let at = self.insert(&group.key, hash);
            self.change(at, 1, |_| count);
            heap.push(Reverse((count, at as u32)));
        }
        self.saving = Some(Saving(heap.into()));
    }

    /// A group by its number.
    pub fn group(&self, at: usize) -> Group {
        let (tag, words) = self.key(at);
        let mut key = Packed { tag, words: [0; WORDS_MAX] };
        key.words.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
        let [head, first, second] = [0, 1, 2].map(|which| self.word(at, which));
        if self.saving.is_none() {
            let counts = Counts { flows: head >> 32, packets: first, bytes: second };
            return Group { key, counts, over: 0 };
        }
        let mut counts = Counts::default();
        match self.order {
            Order::Packets => counts.packets = first,
            Order::Bytes => counts.bytes = first,
            Order::Flows | Order::Rate | Order::Age => counts.flows = first,
        }
        Group { key, counts, over: second }
    }

    /// One figure of a group, by its number.
    pub fn figure(&self, at: usize, order: Order) -> u64 {
        match (&self.saving, order) {
            (Some(_), order) if order != self.order => 0,
            (Some(_), _) | (None, Order::Packets) => self.word(at, 1),
            (None, Order::Bytes) => self.word(at, 2),
            (None, Order::Flows | Order::Rate | Order::Age) => self.word(at, 0) >> 32,
        }
    }

    /// The numbers of the groups with the largest figures, largest first, at most `top` of them. Groups with
    /// the same figure are in the order of their keys, so that the same table gives the same list.
    ///
    /// Most groups of a large table have one flow each, so keys are compared only where that decides.
    pub fn largest(&self, top: Option<usize>, figure: impl Fn(usize) -> u64) -> Vec<usize> {
        let figures: Vec<u64> = (0..self.len()).map(figure).collect();
        let top = top.unwrap_or(usize::MAX).min(figures.len());
        let Some(last) = top.checked_sub(1) else { return Vec::new() };
        // The smallest figure in the list.
        let least = if top == figures.len() {
            0
        } else {
            *figures.clone().select_nth_unstable_by(last, |a, b| b.cmp(a)).1
        };
        let key = |at: usize| self.key(at);
        let mut list: Vec<usize> = Vec::with_capacity(top);
        list.extend(figures.iter().enumerate().filter(|(_, f)| **f > least).map(|(at, _)| at));
        // Of those with that figure, the first keys: the largest of them is on top of the heap.
        let room = top - list.len();
        let mut first = BinaryHeap::with_capacity(room.min(figures.len()) + 1);
        for (at, _) in figures.iter().enumerate().filter(|(_, f)| **f == least) {
            let candidate = (key(at), at);
            if first.len() < room {
                first.push(candidate);
            } else if let Some(mut largest) = first.peek_mut().filter(|l| candidate < **l) {
                *largest = candidate;
            }
        }
        list.extend(first.into_iter().map(|(_, at)| at));
        let of = |at: usize| (Reverse(figures.get(at)), key(at));
        list.sort_unstable_by(|a, b| of(*a).cmp(&of(*b)));
        list
    }

    /// What to sort a group by, for the order of the figure that the groups were made for: the smallest comes
    /// first.
    pub fn rank(&self, at: usize) -> (Reverse<u64>, (u32, &[u64])) {
        (Reverse(self.figure(at, self.order)), self.key(at))
    }

    /// The same by the figure that the groups were made for.
    pub fn largest_by_order(&self, top: Option<usize>) -> Vec<usize> {
        self.largest(top, |at| self.figure(at, self.order))
    }
}

#[cfg(test)]
mod tests;
