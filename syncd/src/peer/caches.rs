//! The four caches, which are passed to every part of the protocol.

use crate::peer::config::PeerConfig;
use crate::peer::entry::Item;
use crate::store::{ExpectStore, FlowStore, Meta};

/// The flows and the expectations of the local kernel and of the peer.
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
    /// Empty caches with the configured limit. `hash_seed` should be random, since traffic chooses the keys.
    pub fn new(config: &PeerConfig, hash_seed: [u64; 2]) -> Self {
        let [a, b] = hash_seed;
        let limit = config.hash_limit;
        Caches {
            internal: FlowStore::new(limit, [a, b]),
            external: FlowStore::new(limit, [a, !b]),
            internal_expect: ExpectStore::new(limit, [!a, b]),
            external_expect: ExpectStore::new(limit, [!a, !b]),
        }
    }

    // Access to the internal caches by item; control messages are in none of them.

    /// What the daemon keeps about the item.
    #[inline]
    pub(crate) fn meta(&self, item: Item) -> Option<Meta> {
        match item {
            Item::Flow(id) => self.internal.meta(id),
            Item::Expect(id) => self.internal_expect.meta(id),
            Item::Control(_) => None,
        }
    }

    /// Changes what the daemon keeps about the item.
    #[inline]
    pub(crate) fn set_meta(&mut self, item: Item, meta: Meta) {
        match item {
            Item::Flow(id) => self.internal.set_meta(id, meta),
            Item::Expect(id) => self.internal_expect.set_meta(id, meta),
            Item::Control(_) => {}
        }
    }
}
