//! Events of the local kernel, which go into the internal caches (sync-protocol.md §4).

use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, seconds};
use crate::peer::delay::Delay;
use crate::peer::entry::Item;
use crate::peer::generations::{Generations, SWEEP_A_TURN};
use crate::peer::mark;
use crate::peer::refresh::TIMERS_A_TURN;
use crate::peer::review::Review;
use crate::peer::stats::CacheStats;
use crate::store::{Cursor, FlowId, Key, Meta, WheelSlot};
use zct_wire::consts::ips;
use zct_wire::event::Event;
use zct_wire::peer::{Expect, Flow};
use zct_wire::proto::{ProtoInfo, TcpInfo};

/// TCP states (TCP_CONNTRACK_*) of a connection that has ended.
const TIME_WAIT: u8 = 7;
const CLOSE: u8 = 8;

/// Who has caused an event, known from the port id in the message (sync-protocol.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Packets, time, or another program: stored and sent.
    Kernel,
    /// This daemon's commit: stored, but not sent.
    Commit,
    /// This daemon's injection of the peer's flows: neither stored nor sent.
    Inject,
    /// This daemon's flush: removed, but not sent.
    Flush,
}

/// Whether the peer is told of what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Now,
    /// A commit, or a dump that compares nothing: the peer is not told now.
    Quiet,
    /// A comparison with the kernel has found it.
    Found,
}

impl Origin {
    /// True if a change is kept without telling the peer; `None` when it is not even kept: what was injected
    /// is the peer's own.
    pub(crate) fn is_quiet(self) -> Option<bool> {
        match self {
            Origin::Inject => None,
            Origin::Kernel => Some(false),
            Origin::Commit | Origin::Flush => Some(true),
        }
    }
}

/// What the machine has to do about a change in the internal caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// Nothing has to be done.
    Nothing,
    /// The peer has to be told.
    Tell(Item),
    /// A flow has changed; the peer has to be told, but not before its last update is old enough.
    Updated(FlowId),
    /// A flow was stored of which the peer is not to be told now.
    Kept(FlowId),
    /// A comparison with the kernel has found a flow that is new or other than it was. Where there are bulks, the
    /// one that follows tells the peer.
    Found(FlowId),
    /// It has ended and the peer is not to be told: remove it from its cache.
    Forget(Item),
}

/// The internal caches: what the kernel has said about its flows.
///
/// For each change it says what has to be done; whether and when that is sent is not known here.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) flows: CacheStats,
    pub(crate) expects: CacheStats,
    pub(crate) unannounced: u64,
    // Flows that are too young for the peer to be told of them. Each one that is held has an entry, unless it
    // had closed when its time was over: then it waits for its end.
    hold: Delay,
    generations: Generations,
    // The sweep under way, if there is one.
    sweep: Option<Cursor>,
    pub(crate) review: Review,
}

/// True for a TCP connection that both sides have closed: nobody has any use for it any more, though the
/// kernel keeps it for a while.
fn has_closed(flow: &Flow) -> bool {
    matches!(flow.proto, Some(ProtoInfo::Tcp(TcpInfo { state: Some(TIME_WAIT | CLOSE), .. })))
}

/// True for a held flow whose time is over, but which had closed by then. It is told from others by not being
/// marked as fresh, which all other flows are that have never been sent.
fn is_overdue(meta: &Meta) -> bool {
    mark::is_held(meta) && meta.flags & mark::FRESH == 0
}

/// The flags of a held flow of which the peer is told now.
fn release(flags: u8) -> u8 {
    flags & !mark::WITHHELD | mark::FRESH
}

/// True when nothing has changed but the time that is left.
fn is_same(flow: &Flow, known: &Flow) -> bool {
    Flow { timeout_s: known.timeout_s, ..*flow } == *known
}

fn is_assured(flow: &Flow) -> bool {
    flow.status.is_some_and(|s| s & ips::ASSURED != 0)
}

impl Local {
    /// `sync_after_s` as in [`PeerConfig`](crate::peer::PeerConfig).
    pub(crate) fn new(sync_after_s: u32) -> Self {
        Local {
            flows: CacheStats::default(),
            expects: CacheStats::default(),
            unannounced: 0,
            hold: Delay::new(sync_after_s),
            generations: Generations::default(),
            sweep: None,
            review: Review::default(),
        }
    }

    /// Takes over another age at which the peer is told of flows.
    pub(crate) fn reconfigure(&mut self, sync_after_s: u32) {
        self.hold.set(sync_after_s);
    }

    /// The internal caches have been emptied.
    pub(crate) fn forget(&mut self) {
        self.hold.clear();
    }

    /// A flow's event. A flow without a key is ignored.
    pub(crate) fn flow(
        &mut self,
        now: Millis,
        event: Event,
        telling: Telling,
        flow: &Flow,
        kernel_id: u32,
        caches: &mut Caches,
    ) -> Consequence {
        let Some(key) = Key::of(flow) else { return Consequence::Nothing };
        if event == Event::Destroy {
            return self.end(now, &key, flow, telling != Telling::Now, caches);
        }
        self.store(now, &key, flow, kernel_id, (event == Event::New, telling), caches)
    }

    /// Stores a flow, `anew` or merged into what is known about it.
    fn store(
        &mut self,
        now: Millis,
        key: &Key,
        flow: &Flow,
        kernel_id: u32,
        (anew, telling): (bool, Telling),
        caches: &mut Caches,
    ) -> Consequence {
        let quiet = telling != Telling::Now;
        let tell = |id: FlowId| match telling {
            Telling::Now => Consequence::Tell(Item::Flow(id)),
            Telling::Quiet => Consequence::Kept(id),
            Telling::Found => Consequence::Found(id),
        };
        let generation = self.generations.current();
        let place = caches.internal.locate(key);
        let known = place.id.and_then(|id| Some((id, caches.internal.meta(id)?)));
        let (id, meta, change) = match known {
            // A change. A new flow with this tuple, or one that was believed to have ended,
            // starts over instead.
            Some((id, meta)) if !anew && meta.flags & mark::DEAD == 0 => {
                let mut merged = caches.internal.flow(id).unwrap_or(*flow);
                let was_assured = is_assured(&merged);
                // Events need no copy.
                let before = quiet.then_some(merged);
                merged.merge(flow);
                caches.internal.replace(id, &merged);
                self.flows.updated += 1;
                let mut flags = meta.flags | mark::UPDATED;
                let change = if mark::is_held(&meta) {
                    if !quiet && is_overdue(&meta) && !has_closed(&merged) {
                        flags = release(flags);
                        Consequence::Tell(Item::Flow(id))
                    } else {
                        Consequence::Nothing
                    }
                } else if before.is_some_and(|known| is_same(&merged, &known)) {
                    // A dump says nothing new of most flows.
                    Consequence::Nothing
                } else if quiet || is_assured(&merged) && !was_assured {
                    // With this update a connection is established: it does not wait.
                    tell(id)
                } else {
                    Consequence::Updated(id)
                };
                (id, Meta { flags, id_or_heard_s: kernel_id, generation, ..meta }, change)
            }
            Some((id, meta)) => {
                caches.internal.replace(id, flow);
                self.flows.created += 1;
                let mut flags = meta.flags & !(mark::DEAD | mark::UPDATED) | mark::FRESH;
                let (mut slot, mut change) = (meta.slot, tell(id));
                if mark::is_held(&meta) && quiet {
                    // The peer's flow has taken its place.
                    flags &= !mark::WITHHELD;
                } else if mark::is_held(&meta) {
                    (slot, change) = (self.hold(now, id, caches), Consequence::Nothing);
                }
                let born_s = seconds(now);
                (id, Meta { flags, id_or_heard_s: kernel_id, generation, born_s, slot, ..meta }, change)
            }
            None => {
                let born_s = seconds(now);
                let mut meta = Meta {
                    flags: mark::FRESH,
                    generation,
                    born_s,
                    id_or_heard_s: kernel_id,
                    ..Meta::default()
                };
                let Ok(id) = caches.internal.insert(&place, flow, meta) else {
                    self.flows.no_space += 1;
                    return Consequence::Nothing;
                };
                self.flows.created += 1;
                let mut change = tell(id);
                // How old a flow is that a dump has found nobody knows: it counts as old enough.
                if self.hold.is_on() && !quiet {
                    meta.flags |= mark::WITHHELD;
                    (meta.slot, change) = (self.hold(now, id, caches), Consequence::Nothing);
                }
                (id, meta, change)
            }
        };
        caches.internal.set_meta(id, meta);
        change
    }

    /// Makes a flow wait from now on; returns the stamp that its record has to keep.
    fn hold(&mut self, now: Millis, id: FlowId, caches: &Caches) -> WheelSlot {
        if self.hold.is_long() {
            let meta = |id| caches.internal.meta(id);
            self.hold.trim(|id, stamp| meta(id).is_some_and(|m| mark::is_held(&m) && m.slot == stamp));
        }
        self.hold.enter(now, id)
    }

    /// When the next flow may have lived long enough.
    pub(crate) fn hold_due(&self) -> Option<Millis> {
        self.hold.due()
    }

    /// Calls `tell` for a bounded number of flows that have lived long enough.
    pub(crate) fn hold_turn(
        &mut self,
        now: Millis,
        caches: &mut Caches,
        mut tell: impl FnMut(Consequence, &mut Caches),
    ) {
        for _ in 0..TIMERS_A_TURN {
            let Some((id, stamp)) = self.hold.pop(now) else { break };
            let held = caches.internal.meta(id).filter(|m| mark::is_held(m) && m.slot == stamp);
            let Some(meta) = held else { continue };
            if caches.internal.flow(id).is_some_and(|f| has_closed(&f)) {
                caches.internal.set_meta(id, Meta { flags: meta.flags & !mark::FRESH, ..meta });
                continue;
            }
            caches.internal.set_meta(id, Meta { flags: release(meta.flags), ..meta });
            tell(Consequence::Tell(Item::Flow(id)), caches);
        }
    }

    /// An expectation arises: the peer has to know its master first, however young that is.
    pub(crate) fn release_master(&mut self, expect: &Expect, caches: &mut Caches) -> Consequence {
        let id =
            Key::of(&Flow { orig: expect.master, ..Flow::default() }).and_then(|k| caches.internal.find(&k));
        let held = id.and_then(|id| Some((id, caches.internal.meta(id).filter(mark::is_held)?)));
        let Some((id, meta)) = held else { return Consequence::Nothing };
        caches.internal.set_meta(id, Meta { flags: release(meta.flags), ..meta });
        Consequence::Tell(Item::Flow(id))
    }

    fn end(&mut self, now: Millis, key: &Key, flow: &Flow, quiet: bool, caches: &mut Caches) -> Consequence {
        let place = caches.internal.locate(key);
        let Some(id) = place.id else {
            if quiet {
                return Consequence::Nothing;
            }
            // It is not in the cache, because that was emptied or full; the peer may have it all the same.
            // The original sends nothing here, and its peer keeps the flow forever.
            let status = flow.status.map(|s| s & !ips::DYING);
            let meta = Meta { flags: mark::DEAD, born_s: seconds(now), ..Meta::default() };
            return match caches.internal.insert(&place, &Flow { status, ..*flow }, meta) {
                Ok(id) => Consequence::Tell(Item::Flow(id)),
                Err(_) => {
                    self.flows.destroy_failed += 1;
                    Consequence::Nothing
                }
            };
        };
        let Some(meta) = caches.internal.meta(id) else { return Consequence::Nothing };
        if meta.flags & mark::DEAD == 0 {
            self.flows.destroyed += 1;
        }
        if mark::is_held(&meta) {
            self.unannounced += 1;
        }
        if quiet || mark::is_held(&meta) {
            return Consequence::Forget(Item::Flow(id));
        }
        // The attributes stay as they were: an ended flow is sent with its last state.
        caches.internal.set_meta(id, Meta { flags: meta.flags | mark::DEAD, ..meta });
        Consequence::Tell(Item::Flow(id))
    }

    /// An expectation's event; `quiet` if the peer is not to be told. If its master is not in the internal
    /// cache it is ignored, because the peer could not commit it.
    pub(crate) fn expect(
        &mut self,
        now: Millis,
        event: Event,
        quiet: bool,
        expect: &Expect,
        caches: &mut Caches,
    ) -> Consequence {
        if event == Event::Destroy {
            let Some(id) = caches.internal_expect.find(expect) else { return Consequence::Nothing };
            self.expects.destroyed += 1;
            if quiet {
                return Consequence::Forget(Item::Expect(id));
            }
            let Some(meta) = caches.internal_expect.meta(id) else { return Consequence::Nothing };
            caches.internal_expect.set_meta(id, Meta { flags: meta.flags | mark::DEAD, ..meta });
            return Consequence::Tell(Item::Expect(id));
        }
        let master = Key::of(&Flow { orig: expect.master, ..Flow::default() });
        let master = master.and_then(|k| caches.internal.find(&k)).and_then(|id| caches.internal.meta(id));
        if master.is_none_or(|m| m.flags & mark::DEAD != 0) {
            return Consequence::Nothing;
        }
        let old = caches.internal_expect.find(expect).and_then(|id| caches.internal_expect.meta(id));
        let generation = self.generations.current();
        let meta = match old {
            Some(meta) if event == Event::Update && meta.flags & mark::DEAD == 0 => {
                Meta { flags: meta.flags | mark::UPDATED, generation, ..meta }
            }
            Some(meta) => Meta { flags: meta.flags & !(mark::DEAD | mark::UPDATED), generation, ..meta },
            None => Meta { born_s: seconds(now), generation, ..Meta::default() },
        };
        let Some(id) = caches.internal_expect.upsert(expect, meta) else {
            self.expects.no_space += 1;
            return Consequence::Nothing;
        };
        match old {
            Some(_) => self.expects.updated += 1,
            None => self.expects.created += 1,
        }
        if quiet { Consequence::Nothing } else { Consequence::Tell(Item::Expect(id)) }
    }

    // Comparing with the kernel.

    /// A dump of the kernel's tables begins: whatever it does not contain will have ended.
    pub(crate) fn begin_dump(&mut self) {
        // If this fails, an earlier comparison that was not completed has left something behind, and the next
        // one will remove it.
        self.generations.advance();
        self.sweep = None;
        self.review.give_up();
    }

    /// The dump is complete.
    pub(crate) fn end_dump(&mut self) {
        self.sweep = Some(Cursor::default());
    }

    pub(crate) fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// The kernel's table will be read to compare it, and nothing else. False while flows are being removed.
    pub(crate) fn begin_review(&mut self) -> bool {
        let may = self.sweep.is_none();
        if may {
            // If this fails, what is missing since an earlier one may escape.
            self.generations.advance();
            self.review.begin();
        }
        may
    }

    /// The kernel has this flow; see [`Review::seen`].
    pub(crate) fn reviewed(&mut self, flow: &Flow, comparable: bool, caches: &mut Caches) {
        self.review.seen(flow, comparable, self.generations.current(), caches);
    }

    /// Counts a bounded number of flows that the kernel does not have.
    pub(crate) fn review_turn(&mut self, caches: &mut Caches) {
        if self.review.turn(self.generations.current(), caches) {
            self.generations.complete();
        }
    }

    /// Ends a bounded number of flows that the kernel no longer has; calls `tell` for each.
    pub(crate) fn sweep_turn(&mut self, caches: &mut Caches, mut tell: impl FnMut(Consequence, &mut Caches)) {
        let Some(mut cursor) = self.sweep else { return };
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = caches.internal.walk(&mut cursor) else {
                self.sweep_expects(caches, tell);
                self.sweep = None;
                self.generations.complete();
                return;
            };
            let held = caches.internal.meta(id).is_some_and(|m| mark::is_held(&m));
            if self.end_if_old(Item::Flow(id), caches) {
                self.flows.destroyed += 1;
                self.unannounced += u64::from(held);
                tell(
                    if held {
                        Consequence::Forget(Item::Flow(id))
                    } else {
                        Consequence::Tell(Item::Flow(id))
                    },
                    caches,
                );
            }
        }
        self.sweep = Some(cursor);
    }

    /// Expectations are so few that all are swept at once.
    fn sweep_expects(&mut self, caches: &mut Caches, mut tell: impl FnMut(Consequence, &mut Caches)) {
        let mut cursor = 0;
        while let Some(id) = caches.internal_expect.walk(&mut cursor) {
            if self.end_if_old(Item::Expect(id), caches) {
                self.expects.destroyed += 1;
                tell(Consequence::Tell(Item::Expect(id)), caches);
            }
        }
    }

    /// Marks a record as ended if the dump did not contain it; returns true if so.
    fn end_if_old(&self, item: Item, caches: &mut Caches) -> bool {
        let Some(meta) = caches.meta(item) else { return false };
        let old = meta.flags & mark::DEAD == 0 && meta.generation != self.generations.current();
        if old {
            caches.set_meta(item, Meta { flags: meta.flags | mark::DEAD, ..meta });
        }
        old
    }

    /// Panics when a flow is held that nothing will release.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self, caches: &Caches) {
        let entries = self.hold.entries();
        let mut cursor = Cursor::default();
        while let Some(id) = caches.internal.walk(&mut cursor) {
            let Some(meta) = caches.internal.meta(id).filter(mark::is_held) else { continue };
            assert!(meta.flags & (mark::DEAD | mark::PLACE) == 0, "{id:?} is held, and on a queue or dead");
            assert!(is_overdue(&meta) || entries.contains(&(id, meta.slot)), "{id:?} is held for ever");
        }
    }
}
