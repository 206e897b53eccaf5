//! Sums over the flows of a cache, by which two nodes find out whether they have the same (sync-protocol.md §10).
//!
//! Every flow belongs to one of 65,536 leaves, by the keyed hash of its tuple. A leaf's sum is that of the keyed
//! hashes of its flows, so a change costs two additions, and order does not matter. What is hashed is what a
//! flow has promised and the other node has in the same form: key, status, state, translation, mark, labels.
//! Not the timeout, and no flow of a protocol whose ports do not travel: several of those are one for the peer.

use crate::store::cells::Essence;
use crate::store::cursor::Cursor;
use crate::store::meta::Meta;
use crate::store::recent::Recent;
use crate::store::siphash;
use zct_wire::consts::ipproto;
use zct_wire::peer::digest::{LEAVES, PARTS, Span};

/// In place of the sum of a leaf that has changed of late, where only quiet ones are compared.
pub(crate) const UNQUIET: u64 = u64::MAX;

/// The sums of one cache.
///
/// # Allocation
/// 512 KiB for the leaves, when they begin.
#[derive(Debug)]
pub(crate) struct Sums {
    key: [u64; 2],
    leaves: Box<[u64]>,
    root: u64,
    /// How far the walk has come that takes in what was there when they began; `None` when it has ended.
    walk: Option<Cursor>,
    /// Flows with a zone in one direction only, which the peer has under another key.
    unlike: usize,
    /// Which leaves have changed of late, where that counts.
    recent: Option<Recent>,
}

/// Whether a flow joins the sums or leaves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

impl Sums {
    pub(crate) fn new(key: [u64; 2]) -> Sums {
        let leaves = vec![0; LEAVES].into_boxed_slice();
        Sums { key, leaves, root: 0, walk: Some(Cursor::default()), unlike: 0, recent: None }
    }

    /// Remembers from now on which leaves have changed of late: at first, all.
    pub(crate) fn watch(&mut self) {
        self.recent.get_or_insert_with(Recent::new);
    }

    /// A second has passed.
    pub(crate) fn age(&mut self) {
        self.recent.iter_mut().for_each(Recent::age);
    }

    /// Something about the flow with this key is on its way to the peer.
    pub(crate) fn touch(&mut self, key: &[u8]) {
        if let Some(recent) = &mut self.recent {
            recent.touch(leaf(siphash::hash(self.key, key)));
        }
    }

    /// True when this leaf has not changed for two seconds; never where nobody watches.
    pub(crate) fn is_quiet(&self, leaf: u16) -> bool {
        self.recent.as_ref().is_some_and(|r| r.is_quiet(leaf.into()))
    }

    /// Starts over under this key.
    pub(crate) fn begin(&mut self, key: [u64; 2]) {
        // Under the same key nothing changes by that.
        if key != self.key {
            self.recent.iter_mut().for_each(Recent::touch_all);
        }
        self.leaves.fill(0);
        (self.root, self.unlike) = (0, 0);
        (self.key, self.walk) = (key, Some(Cursor::default()));
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.leaves) + self.recent.as_ref().map_or(0, Recent::memory)
    }

    /// The cache has been emptied.
    pub(crate) fn clear(&mut self) {
        self.leaves.fill(0);
        (self.root, self.walk, self.unlike) = (0, None, 0);
        self.recent.iter_mut().for_each(Recent::touch_all);
    }

    pub(crate) fn walk(&self) -> Option<Cursor> {
        self.walk
    }

    pub(crate) fn walked(&mut self, to: Option<Cursor>) {
        self.walk = to;
    }

    /// True when the record at this position has been taken in already, or would have been.
    #[inline]
    pub(crate) fn has(&self, at: Cursor) -> bool {
        self.walk.is_none_or(|walk| at < walk)
    }

    /// Takes a record in or out, with the bytes of its key.
    #[inline]
    pub(crate) fn count(&mut self, way: Way, key: &[u8], essence: &Essence) {
        if let Some(hash) = self.count_quietly(way, key, essence) {
            self.changed(hash);
        }
    }

    /// As [`Sums::count`], of a record that has been there before; returns the hash of its key if it counts.
    #[inline]
    pub(crate) fn count_quietly(&mut self, way: Way, key: &[u8], essence: &Essence) -> Option<u64> {
        match Kind::of(key) {
            Kind::Unlike => {
                self.unlike = match way {
                    Way::In => self.unlike + 1,
                    Way::Out => self.unlike.saturating_sub(1),
                };
                None
            }
            Kind::Alone => None,
            Kind::Summed => {
                let hash = siphash::hash(self.key, key);
                let value = self.value(hash, essence);
                self.add(hash, if way == Way::In { value } else { value.wrapping_neg() });
                Some(hash)
            }
        }
    }

    /// A record that has been taken in has changed. Its key is hashed once, and nothing where the change is one
    /// that is not compared, which most messages are that say a flow again.
    #[inline]
    pub(crate) fn change(&mut self, key: &[u8], before: &Essence, after: &Essence) {
        if before == after || Kind::of(key) != Kind::Summed {
            return;
        }
        let hash = siphash::hash(self.key, key);
        let (before, after) = (self.value(hash, before), self.value(hash, after));
        self.add(hash, after.wrapping_sub(before));
        self.changed(hash);
    }

    #[inline]
    fn changed(&mut self, hash: u64) {
        if let Some(recent) = &mut self.recent {
            recent.touch(leaf(hash));
        }
    }

    /// The leaf of a record, and what it adds to that; `None` where it is not compared.
    pub(crate) fn share(&self, key: &[u8], essence: &Essence) -> Option<(u16, u64)> {
        let hash = (Kind::of(key) == Kind::Summed).then(|| siphash::hash(self.key, key))?;
        Some((leaf(hash) as u16, self.value(hash, essence)))
    }

    /// What a record adds to its leaf. Without the rare words if it has none.
    #[inline]
    fn value(&self, hash: u64, essence: &Essence) -> u64 {
        let [_, second] = self.key;
        let key = [hash, second];
        let [common @ .., _, _, _, _, _, _] = essence;
        let [_, _, _, rare @ ..] = essence;
        if *rare == [0; 6] { siphash::hash_words(key, common) } else { siphash::hash_words(key, essence) }
    }

    #[inline]
    fn add(&mut self, hash: u64, value: u64) {
        if let Some(leaf) = self.leaves.get_mut(leaf(hash)) {
            *leaf = leaf.wrapping_add(value);
            self.root = self.root.wrapping_add(value);
        }
    }

    /// The leaf of the flow with this key.
    pub(crate) fn leaf_of(&self, key: &[u8]) -> u16 {
        leaf(siphash::hash(self.key, key)) as u16
    }

    /// The key of the hash.
    pub(crate) fn key(&self) -> [u64; 2] {
        self.key
    }

    /// The sum of everything.
    pub(crate) fn whole(&self) -> u64 {
        self.root
    }

    /// The sums of the parts of a span.
    pub(crate) fn parts(&self, span: Span) -> [u64; PARTS] {
        let mut out = [0; PARTS];
        let leaves = self.leaves.get(usize::from(span.first())..).unwrap_or_default();
        for (to, part) in out.iter_mut().zip(leaves.chunks(span.part_len())) {
            *to = part.iter().fold(0, |sum: u64, leaf| sum.wrapping_add(*leaf));
        }
        out
    }

    /// As [`Sums::parts`], with [`UNQUIET`] for single leaves that have changed of late.
    pub(crate) fn quiet_parts(&self, span: Span) -> [u64; PARTS] {
        let mut parts = self.parts(span);
        if span.part_len() == 1 {
            for (n, part) in (0..).zip(&mut parts) {
                if !self.is_quiet(span.first() | n) {
                    *part = UNQUIET;
                }
            }
        }
        parts
    }

    /// The sum of a leaf.
    pub(crate) fn leaf_sum(&self, leaf: u16) -> u64 {
        self.leaves.get(usize::from(leaf)).copied().unwrap_or(0)
    }

    /// Flows that the peer has under another key, so that nothing can be compared.
    pub(crate) fn unlike(&self) -> usize {
        self.unlike
    }
}

/// What a flow's key says about comparing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It is part of the sums.
    Summed,
    /// It has a zone in one direction only, and the peer has it under another key.
    Unlike,
    /// Its ports do not travel.
    Alone,
}

impl Kind {
    #[inline]
    fn of(key: &[u8]) -> Kind {
        match key {
            [.., proto, 0, _, _] if travels_whole(*proto) => Kind::Summed,
            [.., 0, _, _] => Kind::Alone,
            _ => Kind::Unlike,
        }
    }
}

/// True for flows that the sums contain: those that the peer has, or has been told of.
#[inline]
pub(crate) fn counts(meta: &Meta) -> bool {
    meta.flags & Meta::DEAD == 0 && !meta.is_held()
}

fn leaf(hash: u64) -> usize {
    (hash >> 48) as usize
}

/// True for a protocol all of whose tuple travels (sync-protocol.md §3.1).
fn travels_whole(proto: u8) -> bool {
    matches!(
        proto,
        ipproto::TCP | ipproto::UDP | ipproto::SCTP | ipproto::DCCP | ipproto::ICMP | ipproto::ICMPV6
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Rng, SimKernel, seeds};
    use crate::store::{FlowStore, Key};
    use zct_wire::peer::{Encode, Flow, MESSAGE_MAX};

    fn put(store: &mut FlowStore, flow: &Flow, meta: Meta) {
        let place = store.locate(&Key::of(flow).expect("a whole tuple"));
        match place.id {
            Some(id) => {
                store.replace(id, flow);
                store.set_meta(id, meta);
            }
            None => _ = store.insert(&place, flow, meta),
        }
    }

    fn sums_of(store: &FlowStore) -> (u64, [u64; PARTS]) {
        let sums = store.sums().expect("complete");
        (sums.whole(), sums.parts(Span::ALL))
    }

    /// However flows come, change and go while the walk is under way or not, the sums are those that a new store
    /// with the same flows has; and a peer's that has got them in messages, in another order.
    #[test]
    fn sums_are_those_of_the_flows_that_are_there() {
        for seed in seeds(60) {
            let (mut rng, mut kernel) = (Rng::new(seed), SimKernel::default());
            let mut store = FlowStore::new(1000, [seed, 1]);
            let begin = rng.below(400);
            for step in 0..500 {
                if step == begin {
                    store.begin_sums([seed, 2]);
                }
                let r = kernel.churn(&mut rng, 200);
                let key = Key::of(&r.flow).expect("a whole tuple");
                match (r.event, rng.below(10)) {
                    (zct_wire::event::Event::Destroy, 0..5) => {
                        let meta = Meta { flags: Meta::DEAD, ..Meta::default() };
                        put(&mut store, &r.flow, meta);
                    }
                    (zct_wire::event::Event::Destroy, _) => {
                        store.find(&key).into_iter().for_each(|id| _ = store.remove(id));
                    }
                    (_, 0) => put(&mut store, &r.flow, Meta { flags: Meta::WITHHELD, ..Meta::default() }),
                    _ => put(&mut store, &r.flow, Meta::default()),
                }
                if rng.percent(20) {
                    store.sum_turn(rng.below(10) as usize);
                }
            }
            while store.is_summing() {
                store.sum_turn(7);
            }
            let mut peer = FlowStore::new(1000, [seed, 3]);
            peer.begin_sums([seed, 2]);
            peer.sum_turn(1);
            let (mut cursor, mut all) = (Cursor::default(), Vec::new());
            while let Some(id) = store.walk(&mut cursor) {
                all.extend(store.meta(id).filter(counts).and(store.flow(id)));
            }
            for flow in all.iter().rev() {
                let mut buf = [0; MESSAGE_MAX];
                let n = flow.encode(&mut buf, zct_wire::event::Event::New, 0, 0, Encode::default());
                let read = Flow::decode(&buf[8..n.expect("it fits")]).expect("what was encoded");
                put(&mut peer, &read, Meta::default());
            }
            assert_eq!(sums_of(&store), sums_of(&peer), "seed {seed}");
            // One attribute makes a difference, in the leaf of its flow and nowhere else.
            let one = all[rng.below(all.len() as u64) as usize];
            put(&mut peer, &Flow { status: Some(one.status.unwrap_or(0) ^ 4), ..one }, Meta::default());
            let (before, after) = (sums_of(&store), sums_of(&peer));
            assert_ne!(before.0, after.0, "seed {seed}");
            let differing: Vec<_> = (0..PARTS).filter(|i| before.1[*i] != after.1[*i]).collect();
            let id = peer.find(&Key::of(&one).expect("a tuple")).expect("stored");
            let leaf = usize::from(peer.leaf(id).expect("there are sums"));
            assert_eq!(differing, [leaf * PARTS / LEAVES], "seed {seed}");
            put(&mut peer, &Flow { timeout_s: Some(7), ..one }, Meta::default());
            assert_eq!(sums_of(&store), sums_of(&peer), "seed {seed}: timeouts do not count");
            peer.clear();
            assert_eq!(sums_of(&peer), (0, [0; PARTS]));
        }
    }

    #[test]
    fn two_caches_take_one_mebibyte_for_them() {
        let grown = |limit| {
            let mut store = FlowStore::new(limit, [1, 2]);
            let before = store.memory().total();
            store.begin_sums([3, 4]);
            store.memory().total() - before
        };
        assert_eq!(grown(10) + grown(1_000_000), 1 << 20);
    }

    #[test]
    fn a_zone_of_one_direction_is_counted_apart() {
        let mut store = FlowStore::new(10, [1, 2]);
        store.begin_sums([3, 4]);
        store.sum_turn(1);
        let mut flow = crate::sim::flow_tuple(3);
        flow.reply_zone = Some(5);
        put(&mut store, &flow, Meta::default());
        let seen = |store: &FlowStore| store.sums().map(|s| (s.whole(), s.unlike()));
        assert_eq!(seen(&store), Some((0, 1)));
        store.find(&Key::of(&flow).expect("a tuple")).into_iter().for_each(|id| _ = store.remove(id));
        assert_eq!(seen(&store), Some((0, 0)));
    }
}
