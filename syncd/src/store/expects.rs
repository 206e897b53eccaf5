//! The expectations of one cache: few and short-lived, so they are stored unpacked.

use crate::store::Meta;
use crate::store::siphash;
use hashbrown::HashTable;
use zct_wire::event::Event;
use zct_wire::peer::{Encode, Expect, MESSAGE_MAX};

/// Identifies an expectation until it is removed; later it may identify another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExpectId(u32);

#[derive(Debug)]
struct ExpectEntry {
    expect: Expect,
    meta: Meta,
    hash: u64,
}

/// Expectations, identified by everything but their timeout: master, expected and mask tuple, flags, class,
/// helper, function and translation (sync-protocol.md §6).
///
/// Each takes some 450 bytes; a firewall has dozens of them, not millions. Ids stay valid until removal.
#[derive(Debug)]
pub struct ExpectStore {
    entries: Vec<Option<ExpectEntry>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    seed: [u64; 2],
    limit: usize,
}

/// The expectation without the part that may change.
fn key(e: &Expect) -> Expect {
    Expect { timeout_s: None, ..*e }
}

impl ExpectStore {
    /// An empty store of at most `limit` expectations.
    pub fn new(limit: usize, seed: [u64; 2]) -> Self {
        let limit = limit.min(u32::MAX as usize);
        ExpectStore { entries: Vec::new(), free: Vec::new(), index: HashTable::new(), seed, limit }
    }

    /// Hashes a part of the expectation; comparing does the rest.
    fn hash(&self, e: &Expect) -> u64 {
        let mut buf = [0; MESSAGE_MAX];
        let what = Encode { timeout: false, wscale: false };
        let len = e.encode(&mut buf, Event::New, 0, 0, what).unwrap_or(0);
        siphash::hash(self.seed, &buf[..len])
    }

    /// The expectation that equals `e` in all but the timeout.
    pub fn find(&self, e: &Expect) -> Option<ExpectId> {
        let (hash, wanted) = (self.hash(e), key(e));
        let same = |at: &u32| self.entry(*at).is_some_and(|x| key(&x.expect) == wanted);
        self.index.find(hash, same).copied().map(ExpectId)
    }

    fn entry(&self, at: u32) -> Option<&ExpectEntry> {
        self.entries.get(at as usize)?.as_ref()
    }

    /// Stores an expectation, or takes over timeout and meta if it is there already; `None` when the
    /// store is full.
    pub fn upsert(&mut self, e: &Expect, meta: Meta) -> Option<ExpectId> {
        if let Some(id) = self.find(e) {
            if let Some(Some(x)) = self.entries.get_mut(id.0 as usize) {
                x.expect.timeout_s = e.timeout_s.or(x.expect.timeout_s);
                x.meta = meta;
            }
            return Some(id);
        }
        if self.index.len() >= self.limit {
            return None;
        }
        let hash = self.hash(e);
        let entry = Some(ExpectEntry { expect: *e, meta, hash });
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let entries = &self.entries;
        self.index.insert_unique(hash, at, |i| entries[*i as usize].as_ref().map_or(0, |e| e.hash));
        Some(ExpectId(at))
    }

    /// The expectation with this id.
    pub fn get(&self, id: ExpectId) -> Option<&Expect> {
        self.entry(id.0).map(|e| &e.expect)
    }

    /// What the daemon keeps about it.
    pub fn meta(&self, id: ExpectId) -> Option<Meta> {
        self.entry(id.0).map(|e| e.meta)
    }

    /// Changes what the daemon keeps about it.
    pub fn set_meta(&mut self, id: ExpectId, meta: Meta) {
        if let Some(Some(e)) = self.entries.get_mut(id.0 as usize) {
            e.meta = meta;
        }
    }

    /// Removes an expectation; returns false when there is none with this id.
    pub fn remove(&mut self, id: ExpectId) -> bool {
        let Some(entry) = self.entries.get_mut(id.0 as usize).and_then(Option::take) else { return false };
        if let Ok(found) = self.index.find_entry(entry.hash, |at| *at == id.0) {
            found.remove();
        }
        self.free.push(id.0);
        true
    }

    /// The next one of a walk that starts with a `cursor` of 0. Walks are as stable as those of
    /// [`FlowStore::walk`](crate::store::FlowStore::walk).
    pub fn walk(&self, cursor: &mut u32) -> Option<ExpectId> {
        while (*cursor as usize) < self.entries.len() {
            let at = *cursor;
            *cursor += 1;
            if self.entry(at).is_some() {
                return Some(ExpectId(at));
            }
        }
        None
    }

    /// Number of expectations, including dead ones.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there are no expectations.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes everything and frees the memory.
    pub fn clear(&mut self) {
        *self = ExpectStore::new(self.limit, self.seed);
    }

    /// Bytes allocated.
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Option<ExpectEntry>>()
            + self.free.capacity() * 4
            + self.index.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::peer::Name;
    use zct_wire::tuple::Tuple;

    fn expect(port: u16) -> Expect {
        let tuple = Tuple { dst_port: Some(port), proto: Some(6), ..Tuple::default() };
        Expect { master: tuple, tuple, timeout_s: Some(300), flags: Some(0), ..Expect::default() }
    }

    #[test]
    fn found_by_all_but_the_timeout() {
        let mut s = ExpectStore::new(10, [1, 2]);
        let id = s.upsert(&expect(1), Meta::default()).unwrap();
        assert_eq!(s.find(&Expect { timeout_s: None, ..expect(1) }), Some(id));
        assert_eq!(s.upsert(&Expect { timeout_s: Some(9), ..expect(1) }, Meta::default()), Some(id));
        assert_eq!((s.len(), s.get(id).unwrap().timeout_s), (1, Some(9)));
        for other in [
            Expect { flags: Some(1), ..expect(1) },
            Expect { class: Some(1), ..expect(1) },
            Expect { helper: Name::new(b"ftp"), ..expect(1) },
            expect(2),
        ] {
            assert_eq!(s.find(&other), None);
        }
    }

    #[test]
    fn limit_removal_and_walk() {
        let mut s = ExpectStore::new(3, [1, 2]);
        let ids: Vec<_> = (0..3).map(|p| s.upsert(&expect(p), Meta::default()).unwrap()).collect();
        assert_eq!(s.upsert(&expect(9), Meta::default()), None);
        let mut cursor = 0;
        assert_eq!(s.walk(&mut cursor), Some(ids[0]));
        assert!(s.remove(ids[1]) && !s.remove(ids[1]));
        assert_eq!(s.walk(&mut cursor), Some(ids[2]));
        assert_eq!(s.walk(&mut cursor), None);
        assert_eq!(s.find(&expect(1)), None);
        let again = s.upsert(&expect(9), Meta { id_or_heard_s: 5, ..Meta::default() }).unwrap();
        assert_eq!((again, s.meta(again).unwrap().id_or_heard_s), (ids[1], 5));
        s.clear();
        assert!(s.is_empty() && s.memory() == 0);
    }
}
