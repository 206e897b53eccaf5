//! Events of the local kernel: into the internal cache and onto the send queue (sync-protocol.md §4).

use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, seconds, tick};
use crate::peer::config::Mode;
use crate::peer::entry::Item;
use crate::peer::host::Host;
use crate::peer::machine::Machine;
use crate::peer::mark;
use crate::store::{FlowId, Key, Meta};
use zct_wire::WireError;
use zct_wire::consts::ips;
use zct_wire::event::Event;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::peer::{Expect, Flow};

/// Who has caused an event: told by the port id in the message (sync-protocol.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Packets, time, or another program.
    Kernel,
    /// This daemon's commit: kept, not sent.
    Commit,
    /// This daemon's injection of the peer's flows: neither.
    Inject,
    /// This daemon's flush: forgotten, not sent.
    Flush,
}

impl Machine {
    /// A conntrack event that has passed the filters.
    ///
    /// # Errors
    /// The kernel's message makes no sense; nothing has changed.
    pub fn flow_event(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        view: &FlowView<'_>,
        caches: &mut Caches,
    ) -> Result<(), WireError> {
        let flow = Flow::from_kernel(view)?;
        self.flow_change(now, event, origin, &flow, view.id()?.unwrap_or(0), caches);
        Ok(())
    }

    /// The same with the message already read; `kernel_id` is CTA_ID.
    pub fn flow_change(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        flow: &Flow,
        kernel_id: u32,
        caches: &mut Caches,
    ) {
        if origin == Origin::Inject {
            return;
        }
        let Some(key) = Key::of(flow) else { return };
        let quiet = origin != Origin::Kernel;
        if self.config.disable_internal_cache {
            if !quiet {
                self.bypass_flow(now, event, flow);
            }
            return;
        }
        match event {
            Event::New => self.store_local(now, &key, flow, kernel_id, true, quiet, caches),
            Event::Update => self.store_local(now, &key, flow, kernel_id, false, quiet, caches),
            Event::Destroy => self.end_local(now, &key, flow, quiet, caches),
        }
    }

    /// A flow of the start-up dump, or of a dump on the operator's demand: kept, not sent.
    pub fn flow_dumped(&mut self, now: Millis, flow: &Flow, kernel_id: u32, caches: &mut Caches) {
        if let Some(key) = Key::of(flow).filter(|_| !self.config.disable_internal_cache) {
            self.store_local(now, &key, flow, kernel_id, false, true, caches);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one caller a line above; a struct would only rename them")]
    fn store_local(
        &mut self,
        now: Millis,
        key: &Key,
        flow: &Flow,
        kernel_id: u32,
        anew: bool,
        quiet: bool,
        caches: &mut Caches,
    ) {
        let generation = self.resync.kernel.current();
        let place = caches.internal.locate(key);
        let known = place.id.and_then(|id| Some((id, caches.internal.meta(id)?)));
        let (id, meta) = match known {
            // Changed. A new flow of the same tuple, or one that was thought to have ended, starts over.
            Some((id, meta)) if !anew && meta.flags & mark::DEAD == 0 => {
                let mut merged = caches.internal.flow(id).unwrap_or(*flow);
                merged.merge(flow);
                caches.internal.replace(id, &merged);
                self.stats.internal.updated += 1;
                (id, Meta { flags: meta.flags | mark::UPDATED, note: kernel_id, generation, ..meta })
            }
            Some((id, meta)) => {
                caches.internal.replace(id, flow);
                self.stats.internal.created += 1;
                let flags = meta.flags & !(mark::DEAD | mark::UPDATED) | mark::FRESH;
                let born_s = seconds(now);
                (id, Meta { flags, note: kernel_id, generation, born_s, ..meta })
            }
            None => {
                let born_s = seconds(now);
                let meta =
                    Meta { flags: mark::FRESH, generation, born_s, note: kernel_id, ..Meta::default() };
                match caches.internal.insert(&place, flow, meta) {
                    Ok(id) => {
                        self.stats.internal.created += 1;
                        (id, meta)
                    }
                    Err(_) => {
                        self.stats.internal.no_space += 1;
                        return;
                    }
                }
            }
        };
        caches.internal.set_meta(id, meta);
        if !quiet {
            self.enqueue(now, Item::Flow(id), caches);
        } else if self.config.mode == Mode::Alarm {
            self.arm_refresh(now, id, caches);
        }
    }

    fn end_local(&mut self, now: Millis, key: &Key, flow: &Flow, quiet: bool, caches: &mut Caches) {
        let place = caches.internal.locate(key);
        let Some(id) = place.id else {
            if quiet {
                return;
            }
            // Not in the cache, because that was emptied or was full: the peer may have it all the same. The
            // original says nothing, and the peer keeps the flow for ever.
            let status = flow.status.map(|s| s & !ips::DYING);
            let meta = Meta { flags: mark::DEAD, born_s: seconds(now), ..Meta::default() };
            match caches.internal.insert(&place, &Flow { status, ..*flow }, meta) {
                Ok(id) => self.enqueue(now, Item::Flow(id), caches),
                Err(_) => self.stats.internal.destroy_failed += 1,
            }
            return;
        };
        let Some(meta) = caches.internal.meta(id) else { return };
        if meta.flags & mark::DEAD == 0 {
            self.stats.internal.destroyed += 1;
        }
        if quiet {
            self.places.remove(Item::Flow(id), caches);
            return;
        }
        // The attributes stay as they were: what is sent of an ended flow is its last state.
        caches.internal.set_meta(id, Meta { flags: meta.flags | mark::DEAD, ..meta });
        self.enqueue(now, Item::Flow(id), caches);
    }

    /// Puts something on the send queue, once.
    pub(crate) fn enqueue(&mut self, now: Millis, item: Item, caches: &mut Caches) {
        if self.places.claim(item, false, caches) {
            self.queue.push(now, item);
        }
    }

    /// An expectation event that has passed the filter of helpers.
    ///
    /// # Errors
    /// The kernel's message makes no sense; nothing has changed.
    pub fn expect_event(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        view: &ExpectView<'_>,
        caches: &mut Caches,
    ) -> Result<(), WireError> {
        let expect = Expect::from_kernel(view)?;
        self.expect_change(now, event, origin, &expect, caches);
        Ok(())
    }

    /// The same with the message already read. An expectation whose master is not in the internal cache is
    /// passed over: the peer could not commit it.
    pub fn expect_change(
        &mut self,
        now: Millis,
        event: Event,
        origin: Origin,
        expect: &Expect,
        caches: &mut Caches,
    ) {
        if origin == Origin::Inject {
            return;
        }
        let quiet = origin != Origin::Kernel;
        if self.config.disable_internal_cache {
            if !quiet {
                self.bypass_expect(now, event, expect);
            }
            return;
        }
        if event == Event::Destroy {
            let Some(id) = caches.internal_expect.find(expect) else { return };
            self.stats.internal_expect.destroyed += 1;
            if quiet {
                self.places.remove(Item::Expect(id), caches);
            } else if let Some(meta) = caches.internal_expect.meta(id) {
                caches.internal_expect.set_meta(id, Meta { flags: meta.flags | mark::DEAD, ..meta });
                self.enqueue(now, Item::Expect(id), caches);
            }
            return;
        }
        let master = Key::of(&Flow { orig: expect.master, ..Flow::default() });
        let master = master.and_then(|k| caches.internal.find(&k)).and_then(|id| caches.internal.meta(id));
        if master.is_none_or(|m| m.flags & mark::DEAD != 0) {
            return;
        }
        let old = caches.internal_expect.find(expect).and_then(|id| caches.internal_expect.meta(id));
        let generation = self.resync.kernel.current();
        let meta = match old {
            Some(meta) if event == Event::Update && meta.flags & mark::DEAD == 0 => {
                Meta { flags: meta.flags | mark::UPDATED, generation, ..meta }
            }
            Some(meta) => Meta { flags: meta.flags & !(mark::DEAD | mark::UPDATED), generation, ..meta },
            None => Meta { born_s: seconds(now), generation, ..Meta::default() },
        };
        let Some(id) = caches.internal_expect.upsert(expect, meta) else {
            self.stats.internal_expect.no_space += 1;
            return;
        };
        match old {
            Some(_) => self.stats.internal_expect.updated += 1,
            None => self.stats.internal_expect.created += 1,
        }
        if !quiet {
            self.enqueue(now, Item::Expect(id), caches);
        }
    }

    /// An expectation of the start-up dump, or of a dump on the operator's demand: kept, not sent.
    pub fn expect_dumped(&mut self, now: Millis, expect: &Expect, caches: &mut Caches) {
        self.expect_change(now, Event::Update, Origin::Commit, expect, caches);
    }

    /// An expectation of the dump that [`Machine::begin_kernel_resync`] speaks of; after its master.
    pub fn kernel_resync_expect(&mut self, now: Millis, expect: &Expect, caches: &mut Caches) {
        self.expect_dumped(now, expect, caches);
    }

    /// Begins to compare the internal cache with the kernel after an overrun, or in polling mode: dump the
    /// tables into [`Machine::kernel_resync_flow`] and, if they are replicated at all,
    /// [`Machine::kernel_resync_expect`], then call [`Machine::end_kernel_resync`].
    pub fn begin_kernel_resync(&mut self) {
        // Should that fail, a comparison that never came to its end has left something behind; the next one
        // takes it.
        self.resync.kernel.advance();
        self.resync.kernel_cursor = None;
    }

    /// A flow of that dump. It will be sent with the bulk that follows.
    pub fn kernel_resync_flow(&mut self, now: Millis, flow: &Flow, kernel_id: u32, caches: &mut Caches) {
        self.flow_dumped(now, flow, kernel_id, caches);
    }

    /// The dump has come to its end without an error: what it did not contain has ended, and the rest is
    /// announced again. Must not be called when the dump failed; begin again instead.
    pub fn end_kernel_resync(&mut self, host: &mut impl Host) {
        if self.config.disable_internal_cache {
            return;
        }
        self.resync.kernel_cursor = Some(Default::default());
        if self.config.mode != Mode::Alarm {
            self.start_bulk(host);
        }
    }

    pub(crate) fn kernel_sweep_is_running(&self) -> bool {
        self.resync.kernel_cursor.is_some()
    }

    /// Ends a bounded number of flows that the kernel no longer has.
    pub(crate) fn sweep_kernel_turn(&mut self, now: Millis, caches: &mut Caches) {
        let Some(mut cursor) = self.resync.kernel_cursor else { return };
        for _ in 0..crate::peer::resync::SWEEP_A_TURN {
            let Some(id) = caches.internal.walk(&mut cursor) else {
                self.sweep_kernel_expects(now, caches);
                self.resync.kernel_cursor = None;
                self.resync.kernel.complete();
                return;
            };
            let Some(meta) = caches.internal.meta(id) else { continue };
            if meta.flags & mark::DEAD == 0 && meta.generation != self.resync.kernel.current() {
                self.stats.internal.destroyed += 1;
                caches.internal.set_meta(id, Meta { flags: meta.flags | mark::DEAD, ..meta });
                self.enqueue(now, Item::Flow(id), caches);
            }
        }
        self.resync.kernel_cursor = Some(cursor);
    }

    /// Expectations are few enough for one piece.
    fn sweep_kernel_expects(&mut self, now: Millis, caches: &mut Caches) {
        let mut cursor = 0;
        while let Some(id) = caches.internal_expect.walk(&mut cursor) {
            let Some(meta) = caches.internal_expect.meta(id) else { continue };
            if meta.flags & mark::DEAD == 0 && meta.generation != self.resync.kernel.current() {
                self.stats.internal_expect.destroyed += 1;
                caches.internal_expect.set_meta(id, Meta { flags: meta.flags | mark::DEAD, ..meta });
                self.enqueue(now, Item::Expect(id), caches);
            }
        }
    }

    /// ALARM: the flow is announced again at some time within RefreshTime.
    pub(crate) fn arm_refresh(&mut self, now: Millis, id: FlowId, caches: &mut Caches) {
        let Some(mut meta) = caches.internal.meta(id) else { return };
        if meta.flags & mark::DEAD != 0 {
            return;
        }
        let due = tick(now + self.refresh_interval()) + 1;
        meta.aux = due as u32;
        if meta.flags & mark::ARMED == 0 {
            meta.slot = self.refresh.arm(id.to_bits(), due);
            meta.flags |= mark::ARMED;
        }
        caches.internal.set_meta(id, meta);
    }
}
