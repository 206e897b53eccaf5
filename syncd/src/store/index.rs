//! The hash index: finds the numbers of records by the hash of their keys.

use crate::store::siphash;
use hashbrown::HashTable;

/// Number of shards. Each shard grows by itself and then moves about a thousandth of the flows, which takes a
/// few hundred microseconds at ten million: the longest that an insertion ever takes.
const SHARDS: usize = 1024;

/// A record's number, and enough of its hash to find a new place for it. Otherwise growth would have to read
/// the key of every record, most of which are not in the CPU's caches (measured at a million flows: a third
/// of the time of an insertion, saved by eight bytes per flow).
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    hash: u32,
}

/// Makes the hash for hashbrown, which takes the bucket from the low bits and a tag from the top seven.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Takes the shard from bits that even a shard with millions of records does not use for its buckets.
fn shard(hash: u32) -> usize {
    (hash >> 15) as usize % SHARDS
}

/// The numbers of records in a thousand small tables, and the key of the hash.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Vec<HashTable<Entry>>,
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
        self.shards[shard(hash)].insert_unique(spread(hash), Entry { id, hash }, |e| spread(e.hash));
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
        tables + self.shards.capacity() * size_of::<HashTable<Entry>>()
    }
}
