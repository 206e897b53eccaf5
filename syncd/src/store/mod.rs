//! The flow store: one packed record a flow, found by tuple and zone, walked in pieces.
//!
//! Serves both caches: the internal one with the kernel's flows, the external one with the peer's. A record
//! is 64 bytes for IPv4 and 80 for IPv6, with all that a peer message needs but the few things in cells of
//! 24 bytes; the index takes about twenty more. Nothing moves once it is stored, so ids stay valid and walks
//! are stable. What a flow means to the protocol is kept in its [`Meta`], which the store does not read.
//!
//! # Allocation
//! Records, cells and index grow in small pieces: no single insertion allocates more than a chunk of 80 KiB
//! or moves more than a thousandth of the index. Memory is given back by [`FlowStore::clear`] alone.

mod cells;
mod expects;
mod index;
mod key;
mod meta;
mod record;
mod siphash;
mod slab;
mod wheel;

pub use expects::{ExpectId, ExpectStore};
pub use key::Key;
pub use meta::{GENERATIONS, Meta};
pub use wheel::{Wheel, WheelSlot};

use cells::Cells;
use index::Index;
use record::{Body, V4, V6};
use slab::Slab;
use zct_wire::peer::Flow;

/// Names a record until it is removed; may then name another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(u32);

impl FlowId {
    /// As a number, for queues and wheels.
    #[inline]
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// From [`FlowId::to_bits`].
    #[inline]
    pub fn from_bits(bits: u32) -> Self {
        FlowId(bits)
    }
}

/// Records a store can have at most, whatever the caller's limit: leaves every record sixteen cells.
const RECORDS_MAX: usize = 1 << 27;
/// Ids of IPv6 records have this bit.
const CLASS6: u32 = 1 << 31;

/// Where a key is, or where it would go: saves hashing twice.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    key: Key,
    hash: u32,
    /// The record, if there is one.
    pub id: Option<FlowId>,
}

/// Why a flow was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The limit on records is reached (HashLimit).
    Limit,
    /// There is already a record of that key.
    Exists,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Live flows.
    pub flows: usize,
    /// Ended flows whose end the peer may not know yet.
    pub dead: usize,
    /// Records of IPv4 flows, dead ones included.
    pub ipv4: usize,
    /// Records of IPv6 flows, dead ones included.
    pub ipv6: usize,
}

/// Bytes allocated, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Records.
    pub records: usize,
    /// Cells for what does not fit a record.
    pub cells: usize,
    /// Index.
    pub index: usize,
}

impl Memory {
    /// The sum.
    pub fn total(&self) -> usize {
        self.records + self.cells + self.index
    }
}

/// Where a walk stands. Starts at the beginning by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    // IPv4 slots first, then IPv6.
    v6: bool,
    at: u32,
}

/// The flows of one cache.
#[derive(Debug)]
pub struct FlowStore {
    v4: Slab<V4>,
    v6: Slab<V6>,
    cells: Cells,
    index: Index,
    by_proto: Box<[u32; 256]>,
    dead: usize,
    limit: usize,
}

impl FlowStore {
    /// An empty store of at most `limit` records. `seed` keys the hash: random in a daemon, fixed in a test.
    pub fn new(limit: usize, seed: [u64; 2]) -> Self {
        FlowStore {
            v4: Slab::new(),
            v6: Slab::new(),
            cells: Cells::new(),
            index: Index::new(seed),
            by_proto: Box::new([0; 256]),
            dead: 0,
            limit: limit.min(RECORDS_MAX),
        }
    }

    /// Looks a key up.
    #[inline]
    pub fn locate(&self, key: &Key) -> Place {
        let hash = self.index.hash(key.as_bytes());
        let same = |id: u32| match key {
            Key::V4(k) => id & CLASS6 == 0 && self.v4.get(id).is_some_and(|r| r.key == *k),
            Key::V6(k) => id & CLASS6 != 0 && self.v6.get(id & !CLASS6).is_some_and(|r| r.key == *k),
        };
        Place { key: *key, hash, id: self.index.find(hash, same).map(FlowId) }
    }

    /// Looks a key up and forgets where it would go.
    pub fn find(&self, key: &Key) -> Option<FlowId> {
        self.locate(key).id
    }

    /// Stores a flow where [`FlowStore::locate`] found nothing; nothing may have been stored in between.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when the store is full, [`StoreError::Exists`] when the place is taken.
    pub fn insert(&mut self, place: &Place, flow: &Flow, meta: Meta) -> Result<FlowId, StoreError> {
        if place.id.is_some() {
            return Err(StoreError::Exists);
        }
        if self.v4.len() + self.v6.len() >= self.limit {
            return Err(StoreError::Limit);
        }
        let id = match place.key {
            Key::V4(key) => {
                let mut r = V4::new(key);
                r.set(flow, &mut self.cells);
                r.body.set_meta(meta);
                self.v4.insert(r).ok_or(StoreError::Limit)?
            }
            Key::V6(key) => {
                let mut r = V6::new(key);
                r.set(flow, &mut self.cells);
                r.body.set_meta(meta);
                self.v6.insert(r).ok_or(StoreError::Limit)? | CLASS6
            }
        };
        self.index.insert(place.hash, id);
        self.by_proto[usize::from(place.key.proto())] += 1;
        self.dead += usize::from(meta.flags & Meta::DEAD != 0);
        Ok(FlowId(id))
    }

    /// Replaces the attributes of a stored flow; its key and meta stay. `flow` must have the same key.
    pub fn replace(&mut self, id: FlowId, flow: &Flow) {
        if id.0 & CLASS6 == 0 {
            if let Some(r) = self.v4.get_mut(id.0) {
                r.set(flow, &mut self.cells);
            }
        } else if let Some(r) = self.v6.get_mut(id.0 & !CLASS6) {
            r.set(flow, &mut self.cells);
        }
    }

    /// Unpacks a flow.
    #[inline]
    pub fn flow(&self, id: FlowId) -> Option<Flow> {
        if id.0 & CLASS6 == 0 {
            self.v4.get(id.0).map(|r| r.flow(&self.cells))
        } else {
            self.v6.get(id.0 & !CLASS6).map(|r| r.flow(&self.cells))
        }
    }

    #[inline]
    fn body(&self, id: FlowId) -> Option<&Body> {
        if id.0 & CLASS6 == 0 {
            self.v4.get(id.0).map(|r| &r.body)
        } else {
            self.v6.get(id.0 & !CLASS6).map(|r| &r.body)
        }
    }

    /// What the daemon knows of a flow.
    #[inline]
    pub fn meta(&self, id: FlowId) -> Option<Meta> {
        self.body(id).map(Body::meta)
    }

    /// Changes it.
    #[inline]
    pub fn set_meta(&mut self, id: FlowId, meta: Meta) {
        let body = if id.0 & CLASS6 == 0 {
            self.v4.get_mut(id.0).map(|r| &mut r.body)
        } else {
            self.v6.get_mut(id.0 & !CLASS6).map(|r| &mut r.body)
        };
        if let Some(body) = body {
            self.dead -= usize::from(body.meta().flags & Meta::DEAD != 0);
            self.dead += usize::from(meta.flags & Meta::DEAD != 0);
            body.set_meta(meta);
        }
    }

    /// Removes a flow; false when there is none of this id.
    pub fn remove(&mut self, id: FlowId) -> bool {
        let Some(meta) = self.meta(id) else { return false };
        let removed = if id.0 & CLASS6 == 0 {
            self.v4.remove(id.0).map(|r| (Key::V4(r.key), r.body.cells))
        } else {
            self.v6.remove(id.0 & !CLASS6).map(|r| (Key::V6(r.key), r.body.cells))
        };
        let Some((key, cells)) = removed else { return false };
        self.index.remove(self.index.hash(key.as_bytes()), id.0);
        self.cells.free(cells);
        self.by_proto[usize::from(key.proto())] -= 1;
        self.dead -= usize::from(meta.flags & Meta::DEAD != 0);
        true
    }

    /// The next record of a walk, dead ones included.
    ///
    /// The store may change between two calls. Every record that is there from the first call to the last
    /// comes exactly once; one that is stored meanwhile may come or not.
    #[inline]
    pub fn walk(&self, cursor: &mut Cursor) -> Option<FlowId> {
        if !cursor.v6 {
            while cursor.at < self.v4.end() {
                let at = cursor.at;
                cursor.at += 1;
                if self.v4.get(at).is_some() {
                    return Some(FlowId(at));
                }
            }
            *cursor = Cursor { v6: true, at: 0 };
        }
        while cursor.at < self.v6.end() {
            let at = cursor.at;
            cursor.at += 1;
            if self.v6.get(at).is_some() {
                return Some(FlowId(at | CLASS6));
            }
        }
        None
    }

    /// Removes everything and gives the memory back.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
        self.cells.clear();
        self.index.clear();
        self.by_proto.fill(0);
        self.dead = 0;
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        let (ipv4, ipv6) = (self.v4.len(), self.v6.len());
        Counts { flows: ipv4 + ipv6 - self.dead, dead: self.dead, ipv4, ipv6 }
    }

    /// Records of one layer 4 protocol, dead ones included.
    pub fn count_of(&self, proto: u8) -> usize {
        self.by_proto[usize::from(proto)] as usize
    }

    /// The limit on records.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes allocated.
    pub fn memory(&self) -> Memory {
        Memory {
            records: self.v4.memory() + self.v6.memory(),
            cells: self.cells.memory(),
            index: self.index.memory() + size_of_val(&*self.by_proto),
        }
    }
}

#[cfg(test)]
mod tests;
