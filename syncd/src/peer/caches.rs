//! The four caches, which every part of the protocol is handed.

use crate::peer::config::Config;
use crate::peer::entry::Item;
use crate::store::{ExpectStore, FlowStore, Meta};

/// The four caches.
#[derive(Debug)]
pub struct Caches {
    /// Flows of the local kernel.
    pub internal: FlowStore,
    /// Flows of the peer.
    pub external: FlowStore,
    /// Expectations of the local kernel.
    pub internal_expect: ExpectStore,
    /// Expectations of the peer.
    pub external_expect: ExpectStore,
}

impl Caches {
    /// Empty caches with the configured limit. `hash_seed` should be random: traffic chooses the keys.
    pub fn new(config: &Config, hash_seed: [u64; 2]) -> Self {
        let [a, b] = hash_seed;
        let limit = config.hash_limit;
        Caches {
            internal: FlowStore::new(limit, [a, b]),
            external: FlowStore::new(limit, [a, !b]),
            internal_expect: ExpectStore::new(limit, [!a, b]),
            external_expect: ExpectStore::new(limit, [!a, !b]),
        }
    }

    // The internal caches by what an item names; control messages are in neither.

    /// What the daemon knows of it.
    #[inline]
    pub(crate) fn meta(&self, item: Item) -> Option<Meta> {
        match item {
            Item::Flow(id) => self.internal.meta(id),
            Item::Expect(id) => self.internal_expect.meta(id),
            Item::Control(_) => None,
        }
    }

    /// Changes it.
    #[inline]
    pub(crate) fn set_meta(&mut self, item: Item, meta: Meta) {
        match item {
            Item::Flow(id) => self.internal.set_meta(id, meta),
            Item::Expect(id) => self.internal_expect.set_meta(id, meta),
            Item::Control(_) => {}
        }
    }
}
