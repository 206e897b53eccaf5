//! The hash index: numbers of records, found by the hash of their key.

use crate::store::siphash;
use hashbrown::HashTable;

/// Shards. A shard grows on its own and rehashes some thousandth of the flows: at ten million flows that is
/// about half a millisecond, the longest that an insertion ever takes.
const SHARDS: usize = 1024;

/// Record numbers in a thousand small tables, and the key of the hash.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Vec<HashTable<u32>>,
    key: [u64; 2],
}

/// hashbrown takes its bucket from the low bits and its tag from the top seven; the shard comes from between.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl Index {
    pub(crate) fn new(key: [u64; 2]) -> Self {
        Index { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), key }
    }

    /// The key of the hash.
    pub(crate) fn key(&self) -> [u64; 2] {
        self.key
    }

    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        siphash::hash(self.key, bytes)
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, same: impl FnMut(&u32) -> bool) -> Option<u32> {
        self.shards[shard(hash)].find(hash, same).copied()
    }

    /// Enters a number; `rehash` gives the hash of any number entered before.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, id: u32, rehash: impl Fn(&u32) -> u64) {
        self.shards[shard(hash)].insert_unique(hash, id, rehash);
    }

    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, id: u32) {
        if let Ok(entry) = self.shards[shard(hash)].find_entry(hash, |i| *i == id) {
            entry.remove();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Index::new(self.key);
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        let tables: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        tables + self.shards.capacity() * size_of::<HashTable<u32>>()
    }
}
