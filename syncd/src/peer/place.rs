//! Where each flow and expectation of the internal caches is on its way to the peer. This file alone keeps
//! the promise that goes with it.
//!
//! A record is in one place at a time: on no queue, on one of the two send queues, or in the resend queue
//! under the number it was last sent with. This is stored twice, in the record and as an entry in the
//! [`Ring`], because an acknowledgement names numbers and an event names a flow. Only [`Places`] changes
//! either, so that
//!
//! * every record in flight has exactly one entry that counts, the one with its number;
//! * [`Places::live`] is the number of entries that count: records in flight and control messages;
//! * an entry whose record has moved on, was removed, or gave its id to another one no longer counts, and is
//!   dropped when it comes to the front.

use crate::peer::caches::Caches;
use crate::peer::entry::{Item, Range, Sent};
use crate::peer::mark;
use crate::peer::ring::Ring;
use crate::store::Meta;

/// The place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On no queue: the peer has it, or is not to be told of it, or a bulk will bring it.
    Idle,
    /// On the queue of changes.
    Queued,
    /// On the queue of what is sent at a measured pace. A change takes it off there.
    Paced,
    /// In the resend queue: last sent under this number, and not acknowledged.
    InFlight(u32),
}

impl Place {
    /// The place of the record with this meta.
    #[inline]
    pub(crate) fn of(meta: &Meta) -> Place {
        match meta.flags & mark::PLACE {
            mark::QUEUED => Place::Queued,
            mark::PACED => Place::Paced,
            mark::IN_FLIGHT => Place::InFlight(meta.seq_or_due),
            _ => Place::Idle,
        }
    }

    /// The meta of a record that is in this place. Outside the resend queue `seq_or_due` stays as it is: in
    /// ALARM it is the tick of the next announcement.
    #[inline]
    fn on(self, meta: Meta) -> Meta {
        let (bits, seq_or_due) = match self {
            Place::Idle => (0, meta.seq_or_due),
            Place::Queued => (mark::QUEUED, meta.seq_or_due),
            Place::Paced => (mark::PACED, meta.seq_or_due),
            Place::InFlight(seq) => (mark::IN_FLIGHT, seq),
        };
        Meta { flags: meta.flags & !mark::PLACE | bits, seq_or_due, ..meta }
    }

    /// True on either of the send queues.
    #[inline]
    pub(crate) fn is_waiting(self) -> bool {
        matches!(self, Place::Queued | Place::Paced)
    }
}

/// The place of what an [`Item`] names.
impl Caches {
    fn place(&self, item: Item) -> Option<Place> {
        self.meta(item).as_ref().map(Place::of)
    }

    fn move_to(&mut self, item: Item, place: Place) {
        if let Some(meta) = self.meta(item) {
            self.set_meta(item, place.on(meta));
        }
    }
}

/// True while this entry of the resend queue is the latest one for its record.
#[inline]
fn counts(caches: &Caches, sent: &Sent) -> bool {
    match sent.item {
        Item::Flow(_) | Item::Expect(_) => caches.place(sent.item) == Some(Place::InFlight(sent.seq)),
        Item::Control(_) => true,
    }
}

/// The resend queue, and the places of all records.
#[derive(Debug)]
pub(crate) struct Places {
    ring: Ring,
}

impl Places {
    pub(crate) fn new() -> Self {
        Places { ring: Ring::new() }
    }

    /// Number of messages in flight.
    pub(crate) fn live(&self) -> usize {
        self.ring.live()
    }

    /// Puts a record on a send queue; false when that is not necessary. A record that waits on the paced
    /// queue may move to the other one; its old entry will be skipped. What it was sent as before no longer
    /// needs an acknowledgement.
    pub(crate) fn claim(&mut self, item: Item, paced: bool, caches: &mut Caches) -> bool {
        match caches.place(item) {
            None | Some(Place::Queued) => return false,
            Some(Place::Paced) if paced => return false,
            Some(Place::Idle | Place::Paced) => {}
            Some(Place::InFlight(_)) => self.ring.left_behind(),
        }
        caches.move_to(item, if paced { Place::Paced } else { Place::Queued });
        true
    }

    /// Takes a record off its send queue: it was sent in a mode without acknowledgements, or given up.
    pub(crate) fn settle(&mut self, item: Item, caches: &mut Caches) {
        debug_assert!(caches.place(item).is_some_and(Place::is_waiting), "{item:?} was not waiting");
        caches.move_to(item, Place::Idle);
    }

    /// Records that a message has been sent that is to be acknowledged; numbers ascend.
    pub(crate) fn sent(&mut self, sent: Sent, caches: &mut Caches) {
        debug_assert!(!matches!(caches.place(sent.item), Some(Place::InFlight(_))), "{sent:?} twice");
        caches.move_to(sent.item, Place::InFlight(sent.seq));
        self.ring.push(sent);
        if self.ring.is_sparse() {
            self.trim(caches);
        }
    }

    /// Removes a record from its cache, whatever its place; false when there is no such record.
    pub(crate) fn remove(&mut self, item: Item, caches: &mut Caches) -> bool {
        if matches!(caches.place(item), Some(Place::InFlight(_))) {
            self.ring.left_behind();
        }
        match item {
            Item::Flow(id) => caches.internal.remove(id),
            Item::Expect(id) => caches.internal_expect.remove(id),
            Item::Control(_) => false,
        }
    }

    /// The positions of a range of numbers, for [`Places::get`] and [`Places::take`].
    pub(crate) fn positions(&self, (from, to): Range) -> std::ops::Range<usize> {
        self.ring.positions(from, to)
    }

    /// The entry at a position, if it counts.
    pub(crate) fn get(&self, at: usize, caches: &Caches) -> Option<Sent> {
        self.ring.get(at).filter(|s| counts(caches, s))
    }

    /// Takes out the entry at a position, if it counts; its record is on no queue then.
    pub(crate) fn take(&mut self, at: usize, caches: &mut Caches) -> Option<Sent> {
        let sent = self.ring.take(at, |s| counts(caches, s))?;
        caches.move_to(sent.item, Place::Idle);
        Some(sent)
    }

    /// Takes the oldest entry that counts out of a queue that holds more than `limit` of them.
    pub(crate) fn overflow(&mut self, limit: usize, caches: &mut Caches) -> Option<Sent> {
        if self.ring.live() <= limit {
            return None;
        }
        let sent = self.ring.pop(|s| counts(caches, s))?;
        caches.move_to(sent.item, Place::Idle);
        Some(sent)
    }

    /// Drops entries from the front that no longer count.
    pub(crate) fn trim(&mut self, caches: &Caches) {
        self.ring.trim(|s| counts(caches, s));
    }

    /// Empties the resend queue, so that nothing is in flight any more.
    pub(crate) fn drain(&mut self, caches: &mut Caches) {
        for sent in self.ring.drain() {
            if counts(caches, &sent) {
                caches.move_to(sent.item, Place::Idle);
            }
        }
    }

    /// The internal caches have been emptied, so only control messages are still in flight.
    pub(crate) fn forget_records(&mut self) {
        let controls = self.ring.drain().filter(|s| matches!(s.item, Item::Control(_)));
        for sent in controls.collect::<Vec<_>>() {
            self.ring.push(sent);
        }
    }

    /// The messages in flight, oldest first.
    pub(crate) fn in_flight<'a>(&'a self, caches: &'a Caches) -> impl Iterator<Item = Sent> + 'a {
        self.ring.iter().filter(|s| counts(caches, s))
    }

    /// The number of the oldest message in flight. If many entries in front of it no longer count, that of
    /// the oldest of these, so that nobody has to look through all of them.
    pub(crate) fn oldest(&self, caches: &Caches) -> Option<u32> {
        const LOOK_AT: usize = 64;
        let first = || self.ring.iter().next().filter(|_| self.live() > 0);
        self.front(LOOK_AT, caches).next().or_else(first).map(|sent| sent.seq)
    }

    /// The messages in flight among the `n` oldest entries, which is cheap even if stale entries pile up
    /// behind an old one.
    pub(crate) fn front<'a>(&'a self, n: usize, caches: &'a Caches) -> impl Iterator<Item = Sent> + 'a {
        self.ring.iter().take(n).filter(|s| counts(caches, s))
    }

    /// Panics when the promise at the top of this file is broken.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self, caches: &Caches) {
        let counted: Vec<Sent> = self.in_flight(caches).collect();
        assert_eq!(counted.len(), self.live(), "entries that count, and how many are said to");
        let ascend = |w: &[Sent]| zct_wire::peer::header::after(w[1].seq, w[0].seq);
        assert!(counted.windows(2).all(ascend), "numbers ascend: {counted:?}");
        let controls = counted.iter().filter(|s| matches!(s.item, Item::Control(_))).count();
        let in_flight = records(caches).filter(|(_, place)| matches!(place, Place::InFlight(_))).count();
        // All numbers differ, and a record has one, so equal counts mean one entry for each record.
        assert_eq!(counted.len() - controls, in_flight, "records in flight have an entry each");
    }
}

/// All records of the internal caches, with their places.
#[cfg(any(test, debug_assertions))]
pub(crate) fn records(caches: &Caches) -> impl Iterator<Item = (Item, Place)> + '_ {
    let (mut flow, mut expect) = (crate::store::Cursor::default(), 0);
    let flows = std::iter::from_fn(move || caches.internal.walk(&mut flow).map(Item::Flow));
    let expects = std::iter::from_fn(move || caches.internal_expect.walk(&mut expect).map(Item::Expect));
    flows.chain(expects).filter_map(|item| Some((item, caches.place(item)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PeerConfig;
    use crate::peer::entry::Control;
    use crate::sim::{Named, Rng, seeds};
    use crate::store::Key;
    use std::collections::BTreeMap;
    use zct_wire::peer::header::after;
    use zct_wire::peer::{Expect, Flow};
    use zct_wire::tuple::{Addr, Tuple};

    /// A simple model: the place of every record, and what is in flight in order.
    #[derive(Default)]
    struct Model {
        places: BTreeMap<String, (Item, Place)>,
        flight: Vec<Sent>,
    }

    impl Model {
        fn put(&mut self, item: Item, place: Place) {
            self.flight.retain(|s| s.item != item);
            self.places.insert(format!("{item:?}"), (item, place));
        }

        fn remove(&mut self, item: Item) {
            self.flight.retain(|s| s.item != item);
            self.places.remove(&format!("{item:?}"));
        }

        /// An entry has left the queue of what is in flight.
        fn landed(&mut self, sent: Sent) {
            self.flight.retain(|s| *s != sent);
            if !matches!(sent.item, Item::Control(_)) {
                self.put(sent.item, Place::Idle);
            }
        }
    }

    fn insert(n: u32, v6: bool, caches: &mut Caches) -> Option<Item> {
        let addr = if v6 { Addr::V6([n as u8; 16]) } else { Addr::V4(n.to_be_bytes()) };
        let orig = Tuple { src: Some(addr), dst: Some(addr), proto: Some(17), ..Tuple::default() };
        if n % 3 == 0 {
            let e = Expect { master: orig, tuple: orig, class: Some(n), ..Expect::default() };
            if caches.internal_expect.find(&e).is_some() {
                return None;
            }
            return caches.internal_expect.upsert(&e, Meta::default()).map(Item::Expect);
        }
        let flow = Flow { orig, ..Flow::default() };
        let place = caches.internal.locate(&Key::of(&flow)?);
        caches.internal.insert(&place, &flow, Meta::default()).ok().map(Item::Flow)
    }

    fn agree(places: &Places, caches: &Caches, model: &Model, seed: u64) {
        places.check(caches);
        let flight: Vec<Sent> = places.in_flight(caches).collect();
        assert_eq!(flight, model.flight, "seed {seed}");
        let (first, oldest) = (flight.first().map(|s| s.seq), places.oldest(caches));
        assert_eq!(first.is_some(), oldest.is_some(), "seed {seed}");
        assert!(first.zip(oldest).is_none_or(|(first, oldest)| !after(oldest, first)), "seed {seed}");
        let mut theirs = model.places.clone();
        for (item, place) in records(caches) {
            let known = theirs.remove(&format!("{item:?}")).map(|(_, place)| place);
            assert_eq!(Some(place), known, "seed {seed}: {item:?}");
        }
        assert!(theirs.is_empty(), "seed {seed}: {theirs:?}");
    }

    /// Any sequence of operations leaves the records and the resend queue with what the model has.
    #[test]
    fn behaves_as_a_plain_model() {
        for seed in seeds(200) {
            let _named = Named(seed);
            let mut rng = Rng::new(seed);
            let config = PeerConfig { hash_limit: 40, ..PeerConfig::default() };
            let mut caches = Caches::new(&config, [seed, 1]);
            let (mut places, mut model) = (Places::new(), Model::default());
            // The numbers wrap to zero in every run.
            let mut seq = 0u32.wrapping_sub(rng.below(150) as u32);
            for _ in 0..600 {
                let some = |rng: &mut Rng, model: &Model, which: &dyn Fn(Place) -> bool| {
                    let all: Vec<Item> =
                        model.places.values().filter(|(_, p)| which(*p)).map(|(i, _)| *i).collect();
                    (!all.is_empty()).then(|| all[rng.below(all.len() as u64) as usize])
                };
                match rng.below(16) {
                    0..3 => {
                        let item = insert(rng.below(60) as u32, rng.percent(30), &mut caches);
                        item.into_iter().for_each(|i| model.put(i, Place::Idle));
                    }
                    3..6 => {
                        let Some(item) = some(&mut rng, &model, &|_| true) else { continue };
                        let paced = rng.percent(50);
                        let (_, old) = model.places[&format!("{item:?}")];
                        let want = !(old == Place::Queued || paced && old == Place::Paced);
                        assert_eq!(places.claim(item, paced, &mut caches), want, "seed {seed}: {item:?}");
                        if want {
                            model.put(item, if paced { Place::Paced } else { Place::Queued });
                        }
                    }
                    6..10 => {
                        let item = some(&mut rng, &model, &Place::is_waiting);
                        let item = item.unwrap_or(Item::Control(Control::Resync));
                        let sent = Sent { seq, flags: 0, item };
                        places.sent(sent, &mut caches);
                        if !matches!(item, Item::Control(_)) {
                            model.put(item, Place::InFlight(seq));
                        }
                        model.flight.push(sent);
                        seq = seq.wrapping_add(1 + rng.below(2) as u32);
                    }
                    10 => {
                        let Some(item) = some(&mut rng, &model, &Place::is_waiting) else { continue };
                        places.settle(item, &mut caches);
                        model.put(item, Place::Idle);
                    }
                    11 => {
                        let Some(item) = some(&mut rng, &model, &|_| true) else { continue };
                        assert!(places.remove(item, &mut caches), "seed {seed}: {item:?}");
                        model.remove(item);
                    }
                    12 | 13 => {
                        let from = seq.wrapping_sub(rng.below(40) as u32);
                        let to = from.wrapping_add(rng.below(10) as u32);
                        for at in places.positions((from, to)) {
                            let seen = places.get(at, &caches);
                            assert_eq!(places.take(at, &mut caches), seen, "seed {seed}");
                            seen.into_iter().for_each(|s| model.landed(s));
                            assert_eq!(places.take(at, &mut caches), None, "seed {seed}: taken twice");
                        }
                        if rng.percent(50) {
                            places.trim(&caches);
                        }
                    }
                    14 => {
                        let limit = rng.below(30) as usize;
                        while let Some(sent) = places.overflow(limit, &mut caches) {
                            assert_eq!(Some(&sent), model.flight.first(), "seed {seed}: not the oldest");
                            model.landed(sent);
                        }
                        assert!(model.flight.len() <= limit, "seed {seed}");
                    }
                    _ if rng.percent(10) => {
                        places.drain(&mut caches);
                        model.flight.clone().into_iter().for_each(|s| model.landed(s));
                    }
                    _ if rng.percent(5) => {
                        caches.internal.clear();
                        caches.internal_expect.clear();
                        places.forget_records();
                        model.places.clear();
                        model.flight.retain(|s| matches!(s.item, Item::Control(_)));
                    }
                    _ => {}
                }
                agree(&places, &caches, &model, seed);
            }
        }
    }

    /// A record that was sent again leaves its old entry behind, and a record that has taken over its id is a
    /// different one.
    #[test]
    fn what_moved_on_counts_once() {
        let mut caches = Caches::new(&PeerConfig::default(), [1, 2]);
        let mut places = Places::new();
        let item = insert(1, false, &mut caches).unwrap();
        for seq in [7, 8] {
            assert!(places.claim(item, false, &mut caches));
            places.sent(Sent { seq, flags: 0, item }, &mut caches);
            assert_eq!(places.live(), 1);
        }
        assert_eq!(places.get(0, &caches), None);
        assert!(places.remove(item, &mut caches));
        assert_eq!(places.live(), 0);
        assert_eq!(insert(2, false, &mut caches), Some(item), "the id is given out again");
        assert_eq!(places.in_flight(&caches).count(), 0);
        places.check(&caches);
        places.trim(&caches);
        assert_eq!(places.positions((0, 100)), 0..0);
    }

    #[test]
    fn places_and_the_other_flags_leave_each_other_alone() {
        let all = Meta {
            flags: mark::DEAD | mark::UPDATED | mark::ARMED | mark::FRESH,
            seq_or_due: 9,
            ..Meta::default()
        };
        for place in [Place::Idle, Place::Queued, Place::Paced, Place::InFlight(9)] {
            for meta in [all, Meta { flags: 0, ..all }] {
                let on = place.on(meta);
                assert_eq!((Place::of(&on), on.flags & !mark::PLACE, on.seq_or_due), (place, meta.flags, 9));
            }
        }
        assert_eq!(Place::InFlight(4).on(all).seq_or_due, 4);
    }
}
