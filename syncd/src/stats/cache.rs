//! The flows of this firewall, counted, and logged when they end (conntrackd.md §11).

use crate::peer::{CacheStats, Millis};
use crate::stats::ended::Ended;
use crate::stats::lines::EndedFlow;
use crate::stats::log::FlowLog;
use crate::store::{Cursor, FlowId, FlowStore, Key, Meta};
use crate::text::Row;
use zct_wire::WireError;
use zct_wire::flow::FlowView;
use zct_wire::peer::Flow;

/// Records that a sweep looks at in one turn.
const SWEEP_A_TURN: usize = 4096;

/// The flows, and the counts about them.
#[derive(Debug)]
pub(crate) struct StatsCache {
    /// The flows that have not ended.
    pub store: FlowStore,
    /// The counts that `-s` shows.
    pub stats: CacheStats,
    /// Flows that comparisons with the kernel have added or removed.
    pub repaired: u64,
    /// The counts by protocol.
    pub ended: Ended,
    /// The log that ended flows are written to.
    pub log: FlowLog,
    /// The generation of the sweep under way: a flow of another generation has ended.
    generation: u8,
    sweep: Option<Cursor>,
}

impl StatsCache {
    /// An empty cache of at most `limit` flows.
    pub(crate) fn new(limit: usize, seed: [u64; 2], log: FlowLog) -> StatsCache {
        StatsCache {
            store: FlowStore::new(limit, seed),
            stats: CacheStats::default(),
            repaired: 0,
            ended: Ended::default(),
            log,
            generation: 0,
            sweep: None,
        }
    }

    /// A flow exists or has changed; `anew` says that it has just begun.
    pub(crate) fn upsert(&mut self, now: Millis, flow: &Flow, id: u32, anew: bool) {
        let Some(key) = Key::of(flow) else { return };
        let place = self.store.locate(&key);
        let meta = Meta {
            born_s: (now / 1000) as u32,
            id_or_heard_s: id,
            generation: self.generation,
            ..Meta::default()
        };
        match place.id {
            Some(at) if anew => {
                self.store.replace(at, flow);
                self.store.set_meta(at, meta);
                self.stats.created += 1;
            }
            Some(at) => {
                let mut merged = self.store.flow(at).unwrap_or(*flow);
                merged.merge(flow);
                self.store.replace(at, &merged);
                let born_s = self.store.meta(at).map_or(meta.born_s, |m| m.born_s);
                self.store.set_meta(at, Meta { born_s, ..meta });
                self.stats.updated += 1;
            }
            None => match self.store.insert(&place, flow, meta) {
                Ok(_) => self.stats.created += 1,
                Err(_) => self.stats.no_space += 1,
            },
        }
    }

    /// A flow has ended: counts it, logs it and forgets it.
    pub(crate) fn destroy(&mut self, view: &FlowView<'_>) -> Result<(), WireError> {
        let key = Key::of_kernel(view)?;
        self.ended.count(view)?;
        let known = key.and_then(|k| self.store.find(&k));
        let Some(at) = known else {
            self.stats.destroy_failed += 1;
            return Ok(());
        };
        let helper = self.store.flow(at).and_then(|f| f.helper);
        self.store.remove(at);
        self.stats.destroyed += 1;
        self.log.ended(&EndedFlow { flow: view, helper: helper.as_ref().map(|h| h.as_bytes()) });
        Ok(())
    }

    /// `-f internal`: forgets all flows.
    pub(crate) fn clear(&mut self) {
        self.store.clear();
        self.sweep = None;
    }

    /// A comparison with the kernel begins.
    pub(crate) fn begin_resync(&mut self) {
        self.generation = (self.generation + 1) % crate::store::GENERATIONS;
        self.sweep = None;
    }

    /// The comparison is complete: what it has not seen has ended unnoticed.
    pub(crate) fn end_resync(&mut self) {
        self.sweep = Some(Cursor::default());
    }

    /// True while what it has not seen is being removed.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// A bounded piece of the sweep after it; true when there is more.
    pub(crate) fn sweep(&mut self) -> bool {
        let Some(mut cursor) = self.sweep else { return false };
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = self.store.walk(&mut cursor) else {
                self.sweep = None;
                return false;
            };
            self.sweep_one(id);
        }
        self.sweep = Some(cursor);
        true
    }

    fn sweep_one(&mut self, id: FlowId) {
        let (Some(meta), Some(flow)) = (self.store.meta(id), self.store.flow(id)) else { return };
        if meta.generation != self.generation {
            self.store.remove(id);
            self.stats.destroyed += 1;
            self.repaired += 1;
            // The last message was missed, so what is stored has to do.
            self.log.ended(&EndedFlow::new(&Row::local(&flow, meta.id_or_heard_s)));
        }
    }

    /// True when this flow is in the cache.
    pub(crate) fn knows(&self, view: &FlowView<'_>) -> bool {
        Key::of_kernel(view).ok().flatten().is_some_and(|k| self.store.find(&k).is_some())
    }
}
