//! The flow store: one packed record per flow, found by tuple and zone, walked in pieces.
//!
//! It serves both caches: the internal one with the kernel's flows, and the external one with the peer's. A
//! record is 64 bytes for IPv4 and 80 for IPv6, and holds all that a peer message needs, except for rare
//! attributes, which are in cells of 24 bytes; the index takes about twenty more. Nothing moves once it is
//! stored, so ids stay valid and walks are stable. What a flow means to the protocol is kept in its [`Meta`],
//! which the store does not read.
//!
//! # Allocation
//! Records, cells and index grow in small pieces: no single insertion allocates more than a chunk of 80 KiB
//! or moves more than a thousandth of the index. Only [`FlowStore::clear`] frees memory.

mod cells;
mod cursor;
mod expects;
mod index;
mod key;
mod meta;
mod recent;
mod record;
mod siphash;
mod slab;
mod sums;
mod wheel;

pub use cursor::Cursor;
pub use expects::{ExpectId, ExpectStore};
pub use key::Key;
pub use meta::{GENERATIONS, Meta};
pub(crate) use siphash::hash as keyed_hash;
pub(crate) use sums::{Sums, UNQUIET};
pub use wheel::{Wheel, WheelSlot};

use cells::Cells;
use index::Index;
use record::{Body, V4, V6};
use slab::Slab;
use sums::Way;
use zct_wire::peer::Flow;

/// Identifies a record until it is removed; later it may identify another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(u32);

impl FlowId {
    /// The id as a number, for queues and wheels.
    #[inline]
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// The reverse of [`FlowId::to_bits`].
    #[inline]
    pub fn from_bits(bits: u32) -> Self {
        FlowId(bits)
    }
}

/// The most records that any store can have, whatever the caller's limit: it leaves sixteen cells for each.
const RECORDS_MAX: usize = 1 << 27;
/// The bit that is set in the ids of IPv6 records.
const CLASS6: u32 = 1 << 31;

/// Where a key is, or where it would go, which saves hashing twice.
#[derive(Clone, Copy, Debug)]
pub struct KeyPlace {
    key: Key,
    hash: u32,
    /// The record with the key, if there is one.
    pub id: Option<FlowId>,
}

/// Why a flow was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The limit on records (HashLimit) has been reached.
    Limit,
    /// There is already a record with that key.
    Exists,
}

/// Numbers of records, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Live flows.
    pub flows: usize,
    /// Ended flows of which the peer may not know yet.
    pub dead: usize,
    /// Records of IPv4 flows, including dead ones.
    pub ipv4: usize,
    /// Records of IPv6 flows, including dead ones.
    pub ipv6: usize,
}

/// Bytes allocated, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes for records.
    pub records: usize,
    /// Bytes for cells, which hold what does not fit a record.
    pub cells: usize,
    /// Bytes for the index, and for sums.
    pub index: usize,
}

impl Memory {
    /// The sum of all three.
    pub fn total(&self) -> usize {
        self.records + self.cells + self.index
    }
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
    sums: Option<Sums>,
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
            sums: None,
        }
    }

    /// Looks up a key.
    #[inline]
    pub fn locate(&self, key: &Key) -> KeyPlace {
        let hash = self.index.hash(key.as_bytes());
        let same = |id: u32| match key {
            Key::V4(k) => id & CLASS6 == 0 && self.v4.get(id).is_some_and(|r| r.key == *k),
            Key::V6(k) => id & CLASS6 != 0 && self.v6.get(id & !CLASS6).is_some_and(|r| r.key == *k),
        };
        KeyPlace { key: *key, hash, id: self.index.find(hash, same).map(FlowId) }
    }

    /// Looks up a key, without remembering where it would go.
    pub fn find(&self, key: &Key) -> Option<FlowId> {
        self.locate(key).id
    }

    /// Stores a flow where [`FlowStore::locate`] found nothing; nothing may have been stored in between.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when the store is full, [`StoreError::Exists`] when the place is taken.
    pub fn insert(&mut self, place: &KeyPlace, flow: &Flow, meta: Meta) -> Result<FlowId, StoreError> {
        if place.id.is_some() {
            return Err(StoreError::Exists);
        }
        if self.is_full() {
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
        if sums::counts(&meta) {
            self.sum(FlowId(id), Way::In);
        }
        Ok(FlowId(id))
    }

    /// Replaces the attributes of a stored flow; its key and meta stay. `flow` must have the same key.
    pub fn replace(&mut self, id: FlowId, flow: &Flow) {
        let (v6, at) = (id.0 & CLASS6 != 0, id.0 & !CLASS6);
        let mut sums = self.sums.as_mut().filter(|s| s.has(Cursor { v6, at }));
        if !v6 {
            let Some(r) = self.v4.get_mut(at) else { return };
            sums = sums.filter(|_| sums::counts(&r.body.meta()));
            let before = sums.is_some().then(|| r.essence(&self.cells));
            r.set(flow, &mut self.cells);
            if let (Some(sums), Some(before)) = (sums, before) {
                sums.change(&r.key, &before, &r.essence(&self.cells));
            }
        } else {
            let Some(r) = self.v6.get_mut(at) else { return };
            sums = sums.filter(|_| sums::counts(&r.body.meta()));
            let before = sums.is_some().then(|| r.essence(&self.cells));
            r.set(flow, &mut self.cells);
            if let (Some(sums), Some(before)) = (sums, before) {
                sums.change(&r.key, &before, &r.essence(&self.cells));
            }
        }
    }

    /// Unpacks the flow with this id.
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

    /// What the daemon keeps about a flow.
    #[inline]
    pub fn meta(&self, id: FlowId) -> Option<Meta> {
        self.body(id).map(Body::meta)
    }

    /// Changes what the daemon keeps about a flow.
    #[inline]
    pub fn set_meta(&mut self, id: FlowId, meta: Meta) {
        let body = if id.0 & CLASS6 == 0 {
            self.v4.get_mut(id.0).map(|r| &mut r.body)
        } else {
            self.v6.get_mut(id.0 & !CLASS6).map(|r| &mut r.body)
        };
        let Some(body) = body else { return };
        let before = body.meta();
        self.dead -= usize::from(before.flags & Meta::DEAD != 0);
        self.dead += usize::from(meta.flags & Meta::DEAD != 0);
        body.set_meta(meta);
        match (sums::counts(&before), sums::counts(&meta)) {
            (true, false) => self.sum(id, Way::Out),
            (false, true) => self.sum(id, Way::In),
            (true, true) | (false, false) => {}
        }
    }

    /// Removes a flow; returns false when there is none with this id.
    pub fn remove(&mut self, id: FlowId) -> bool {
        let Some(meta) = self.meta(id) else { return false };
        if sums::counts(&meta) {
            self.sum(id, Way::Out);
        }
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
    /// The store may change between two calls. Every record that exists from the first call to the last is
    /// returned exactly once; one that is stored meanwhile may be returned or not.
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

    /// Removes everything and frees the memory.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
        self.cells.clear();
        self.index.clear();
        self.by_proto.fill(0);
        self.dead = 0;
        if let Some(sums) = &mut self.sums {
            sums.clear();
        }
    }

    // Sums, by which nodes compare what they have.

    /// Keeps sums under this key from now on; [`FlowStore::sum_turn`] takes in what is there already.
    pub fn begin_sums(&mut self, key: [u64; 2]) {
        match &mut self.sums {
            Some(sums) => sums.begin(key),
            none => *none = Some(Sums::new(key)),
        }
    }

    /// As [`FlowStore::replace`], without a word to the sums: as a fault in memory would.
    #[cfg(test)]
    pub(crate) fn alter_quietly(&mut self, id: FlowId, flow: &Flow) {
        let sums = self.sums.take();
        self.replace(id, flow);
        self.sums = sums;
    }

    /// Takes in the next `n` flows that were there when the sums began.
    pub fn sum_turn(&mut self, n: usize) {
        for _ in 0..n {
            let Some(mut at) = self.sums.as_ref().and_then(|s| s.walk()) else { return };
            let next = self.walk(&mut at);
            if let Some(sums) = &mut self.sums {
                sums.walked(next.map(|_| at));
            }
            // The walk has passed it, so it counts from now on.
            if let Some(id) = next.filter(|id| self.meta(*id).is_some_and(|m| sums::counts(&m))) {
                self.sum_by(id, |sums, key, essence| _ = sums.count_quietly(Way::In, key, essence));
            }
        }
    }

    /// True while not all flows have been taken in.
    pub fn is_summing(&self) -> bool {
        self.sums.as_ref().is_some_and(|s| s.walk().is_some())
    }

    /// The sums, once they are complete.
    pub(crate) fn sums(&self) -> Option<&Sums> {
        self.sums.as_ref().filter(|s| s.walk().is_none())
    }

    /// The key of the sums, complete or not.
    pub(crate) fn sums_key(&self) -> Option<[u64; 2]> {
        self.sums.as_ref().map(|s| s.key())
    }

    /// Remembers from now on which leaves of the sums have changed of late, if there are sums.
    pub(crate) fn watch(&mut self) {
        self.sums.iter_mut().for_each(Sums::watch);
    }

    /// A second has passed, for what has changed of late.
    pub(crate) fn age(&mut self) {
        self.sums.iter_mut().for_each(Sums::age);
    }

    /// Something about this flow is on its way to the peer: its leaf counts as changed.
    pub(crate) fn touch(&mut self, id: FlowId) {
        let Some(sums) = &mut self.sums else { return };
        if id.0 & CLASS6 == 0 {
            self.v4.get(id.0).into_iter().for_each(|r| sums.touch(&r.key));
        } else {
            self.v6.get(id.0 & !CLASS6).into_iter().for_each(|r| sums.touch(&r.key));
        }
    }

    /// The leaf of a flow, and what it adds to the sum of that; `None` where it is not compared.
    pub(crate) fn share(&self, id: FlowId) -> Option<(u16, u64)> {
        let sums = self.sums.as_ref()?;
        if id.0 & CLASS6 == 0 {
            self.v4.get(id.0).and_then(|r| sums.share(&r.key, &r.essence(&self.cells)))
        } else {
            self.v6.get(id.0 & !CLASS6).and_then(|r| sums.share(&r.key, &r.essence(&self.cells)))
        }
    }

    /// The leaf that a flow belongs to.
    pub(crate) fn leaf(&self, id: FlowId) -> Option<u16> {
        let sums = self.sums.as_ref()?;
        if id.0 & CLASS6 == 0 {
            self.v4.get(id.0).map(|r| sums.leaf_of(&r.key))
        } else {
            self.v6.get(id.0 & !CLASS6).map(|r| sums.leaf_of(&r.key))
        }
    }

    /// Takes a record in or out that the sums contain, or did, by its meta.
    #[inline]
    fn sum(&mut self, id: FlowId, way: Way) {
        self.sum_by(id, |sums, key, essence| sums.count(way, key, essence));
    }

    #[inline]
    fn sum_by(&mut self, id: FlowId, count: impl FnOnce(&mut Sums, &[u8], &cells::Essence)) {
        let Some(sums) = &mut self.sums else { return };
        let (v6, at) = (id.0 & CLASS6 != 0, id.0 & !CLASS6);
        if !sums.has(Cursor { v6, at }) {
            return;
        }
        if !v6 {
            let Some(r) = self.v4.get(at) else { return };
            count(sums, &r.key, &r.essence(&self.cells));
        } else {
            let Some(r) = self.v6.get(at) else { return };
            count(sums, &r.key, &r.essence(&self.cells));
        }
    }

    /// The numbers of records by kind.
    pub fn counts(&self) -> StoreCounts {
        let (ipv4, ipv6) = (self.v4.len(), self.v6.len());
        StoreCounts { flows: ipv4 + ipv6 - self.dead, dead: self.dead, ipv4, ipv6 }
    }

    /// Number of records with this layer 4 protocol, dead ones included.
    pub fn count_of(&self, proto: u8) -> usize {
        self.by_proto[usize::from(proto)] as usize
    }

    /// True when it takes no more records.
    pub fn is_full(&self) -> bool {
        self.v4.len() + self.v6.len() >= self.limit
    }

    /// The limit on records.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes allocated, by purpose.
    pub fn memory(&self) -> Memory {
        Memory {
            records: self.v4.memory() + self.v6.memory(),
            cells: self.cells.memory(),
            index: self.index.memory()
                + size_of_val(&*self.by_proto)
                + self.sums.as_ref().map_or(0, |s| s.memory()),
        }
    }
}

#[cfg(test)]
mod tests;
