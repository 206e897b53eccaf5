//! The hash index: finds the numbers of records by the hash of their keys.

use crate::store::siphash;
use hashbrown::HashTable;

/// Number of shards. Each shard grows by itself and then moves about a thousandth of the flows, which takes a
/// few hundred microseconds at ten million: the longest that an insertion ever takes.
const SHARDS: usize = 1024;
/// The bits of a hash that choose its shard.
const CHOICE: u32 = 16;

/// A record's number, and enough of its hash to find a new place for it. Otherwise growth would have to read
/// the key of every record, most of which are not in the CPU's caches (measured at a million flows: a third
/// of the time of an insertion, saved by eight bytes per flow).
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    id: u32,
    hash: u32,
}

/// Makes the hash for hashbrown, which takes the bucket from the low bits and a tag from the top seven.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Takes the shard from bits that even a shard with millions of records hardly uses for its buckets.
///
/// The last shard gets twice as many records as the first one, and those between them all numbers in between.
/// A table doubles, so it is between 7/16 and 7/8 full; shards of one size would all double while the flows
/// grow by a few percent, and a million flows, just after that, would have 19 bytes each instead of 15.
fn shard(hash: u32) -> usize {
    let at = (hash >> (25 - CHOICE)) & ((1 << CHOICE) - 1);
    // From 0 to 1, x + x(1 - x)/3 is steep first: a step of 1/1024 is 3/4 of an average one at 0, 3/2 at 1.
    let bent = at + ((at * ((1 << CHOICE) - at)) >> CHOICE) / 3;
    (bent as usize * SHARDS) >> CHOICE
}

/// The numbers of records in a thousand small tables, and the key of the hash.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Vec<HashTable<IndexEntry>>,
    key: [u64; 2],
}

impl Index {
    pub(crate) fn new(key: [u64; 2]) -> Self {
        Index { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), key }
    }

    /// The hash of a key's bytes.
    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u32 {
        siphash::hash(self.key, bytes) as u32
    }

    /// The number of the record with this hash for which `same` is true.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let found = self.shards[shard(hash)].find(spread(hash), |e| e.hash == hash && same(e.id));
        found.map(|e| e.id)
    }

    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, id: u32) {
        self.shards[shard(hash)].insert_unique(spread(hash), IndexEntry { id, hash }, |e| spread(e.hash));
    }

    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, id: u32) {
        if let Ok(entry) = self.shards[shard(hash)].find_entry(spread(hash), |e| e.id == id) {
            entry.remove();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Index::new(self.key);
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        let tables: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        tables + self.shards.capacity() * size_of::<HashTable<IndexEntry>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made of a number as a hash is made of a key: any two differ in half of their bits.
    fn index_of(flows: u32) -> Index {
        let mut index = Index::new([1, 2]);
        for id in 0..flows {
            index.insert(index.hash(&id.to_be_bytes()), id);
        }
        index
    }

    #[test]
    fn every_choice_has_a_shard_and_the_last_one_gets_twice_what_the_first_one_gets() {
        let mut choices = [0u32; SHARDS];
        for at in 0..1 << CHOICE {
            choices[shard(at << (25 - CHOICE))] += 1;
        }
        assert_eq!(choices.iter().sum::<u32>(), 1 << CHOICE);
        assert!(choices.iter().all(|n| (46..=98).contains(n)));
        let quarters: Vec<u32> = choices.chunks(SHARDS / 4).map(|c| c.iter().sum()).collect();
        assert!(quarters.is_sorted() && quarters[3] * 10 > quarters[0] * 16, "{quarters:?}");
        // What is beside these bits does not count.
        assert_eq!(shard(0xfe00_01ff), 0);
        assert_eq!(shard(u32::MAX), SHARDS - 1);
    }

    #[test]
    fn memory_grows_with_the_flows_and_not_in_steps() {
        for flows in [150_000, 200_000, 250_000, 300_000, 400_000, 500_000] {
            let index = index_of(flows);
            let each = index.memory() as f64 / f64::from(flows);
            assert!((14.0..16.0).contains(&each), "{flows}: {each}");
        }
    }

    #[test]
    fn shards_grow_at_different_times() {
        let capacities = |index: &Index| index.shards.iter().map(HashTable::capacity).collect::<Vec<_>>();
        let mut index = index_of(200_000);
        let mut before = capacities(&index);
        for id in 200_000..400_000u32 {
            index.insert(index.hash(&id.to_be_bytes()), id);
            if id % 20_000 == 0 {
                let now = capacities(&index);
                let grown = before.iter().zip(&now).filter(|(a, b)| a < b).count();
                // While the flows double, so does every shard: a tenth of them in a tenth of the time.
                assert!(grown < SHARDS / 4, "{id}: {grown}");
                before = now;
            }
        }
    }
}
