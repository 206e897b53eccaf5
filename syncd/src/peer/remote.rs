//! The peer's data, which goes into the external caches, or out again for the kernel (sync-protocol.md §6).

use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, seconds};
use crate::peer::mark;
use crate::peer::message::Data;
use crate::peer::mode::Mode;
use crate::peer::output::Outputs;
use crate::peer::stats::CacheStats;
use crate::store::{ExpectId, FlowId, Key, Meta};
use zct_wire::event::Event;
use zct_wire::peer::{Expect, Flow};

/// The outcome of a data message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// A flow was stored or renewed.
    Stored(FlowId),
    /// It had some other valid effect, or none.
    Done,
    /// The body could not be read.
    Malformed,
}

/// The external caches: what the peer has said about its flows.
#[derive(Debug)]
pub(crate) struct Remote {
    // Counts; `swept` is for both kinds.
    pub(crate) flows: CacheStats,
    pub(crate) expects: CacheStats,
    pub(crate) swept: u64,
    // The setting `DisableExternalCache`: nothing is stored.
    injects: bool,
    // Updates are events, and so incomplete.
    merges: bool,
}

impl Remote {
    pub(crate) fn new(mode: &Mode) -> Self {
        Remote {
            flows: CacheStats::default(),
            expects: CacheStats::default(),
            swept: 0,
            injects: mode.disables_external_cache(),
            merges: matches!(mode, Mode::Notrack(_)),
        }
    }

    /// Applies the body of an accepted data message. What it stores belongs to this `generation`.
    pub(crate) fn apply(
        &mut self,
        now: Millis,
        (data, body): (Data, &[u8]),
        generation: u8,
        caches: &mut Caches,
        outputs: &mut Outputs,
    ) -> Applied {
        let applied = match data {
            Data::Flow(event) => self.flow(now, event, body, generation, caches, outputs),
            Data::Expect(event) => self.expect(now, event, body, generation, caches, outputs),
        };
        applied.unwrap_or(Applied::Malformed)
    }

    fn flow(
        &mut self,
        now: Millis,
        event: Event,
        body: &[u8],
        generation: u8,
        caches: &mut Caches,
        outputs: &mut Outputs,
    ) -> Option<Applied> {
        // A flow without a key could be neither told from others nor committed: it counts as malformed.
        let flow = Flow::decode(body).ok()?;
        let key = Key::of(&flow)?;
        if self.injects {
            outputs.inject_flow(event, &flow);
            return Some(Applied::Done);
        }
        let place = caches.external.locate(&key);
        if event == Event::Destroy {
            match place.id {
                Some(id) => self.forget_flow(id, caches),
                None => self.flows.destroy_failed += 1,
            }
            return Some(Applied::Done);
        }
        let now_s = seconds(now);
        let counts = &mut self.flows;
        let known = place.id.and_then(|id| Some((id, caches.external.meta(id)?)));
        let id = match known {
            Some((id, meta)) if event == Event::Update => {
                // Updates come from the sender's internal cache and are complete, so whatever is
                // absent is absent there too. The original merges them, and so keeps the mark or the
                // helper of an earlier flow with the same tuple. Only in NOTRACK without an internal
                // cache are they events.
                let mut updated = flow;
                if self.merges {
                    updated = caches.external.flow(id).unwrap_or(flow);
                    updated.merge(&flow);
                }
                caches.external.replace(id, &updated);
                let flags = meta.flags | mark::UPDATED;
                caches.external.set_meta(id, Meta { flags, id_or_heard_s: now_s, generation, ..meta });
                counts.updated += 1;
                id
            }
            Some((id, meta)) => {
                caches.external.replace(id, &flow);
                let flags = meta.flags & !mark::UPDATED;
                caches
                    .external
                    .set_meta(id, Meta { flags, id_or_heard_s: now_s, generation, born_s: now_s, ..meta });
                counts.created += 1;
                id
            }
            None => {
                let meta = Meta { id_or_heard_s: now_s, generation, born_s: now_s, ..Meta::default() };
                match caches.external.insert(&place, &flow, meta) {
                    Ok(id) => {
                        counts.created += 1;
                        id
                    }
                    Err(_) => {
                        counts.no_space += 1;
                        return Some(Applied::Done);
                    }
                }
            }
        };
        Some(Applied::Stored(id))
    }

    fn expect(
        &mut self,
        now: Millis,
        event: Event,
        body: &[u8],
        generation: u8,
        caches: &mut Caches,
        outputs: &mut Outputs,
    ) -> Option<Applied> {
        let expect = Expect::decode(body).ok()?;
        expect.family()?;
        expect.tuple.proto?;
        if self.injects {
            outputs.inject_expect(event, &expect);
            return Some(Applied::Done);
        }
        let old = caches.external_expect.find(&expect);
        if event == Event::Destroy {
            match old {
                Some(id) => self.forget_expect(id, caches),
                None => self.expects.destroy_failed += 1,
            }
            return Some(Applied::Done);
        }
        let now_s = seconds(now);
        let old_meta = old.and_then(|id| caches.external_expect.meta(id));
        let born_s = old_meta.filter(|_| event == Event::Update).map_or(now_s, |m| m.born_s);
        let meta = Meta { id_or_heard_s: now_s, born_s, generation, ..Meta::default() };
        let counts = &mut self.expects;
        match (caches.external_expect.upsert(&expect, meta), old) {
            (Some(_), Some(_)) => counts.updated += 1,
            (Some(_), None) => counts.created += 1,
            (None, _) => counts.no_space += 1,
        }
        Some(Applied::Done)
    }

    /// Removes a flow that has ended, or was not announced again.
    pub(crate) fn forget_flow(&mut self, id: FlowId, caches: &mut Caches) {
        caches.external.remove(id);
        self.flows.destroyed += 1;
    }

    /// Removes an expectation that has ended, or was not announced again.
    pub(crate) fn forget_expect(&mut self, id: ExpectId, caches: &mut Caches) {
        caches.external_expect.remove(id);
        self.expects.destroyed += 1;
    }

    /// Counts what a turn of a sweep has removed; `total` is for the whole sweep, if that was its last turn.
    pub(crate) fn count_swept(&mut self, flows: u64, expects: u64, total: Option<u64>) {
        self.flows.destroyed += flows;
        self.expects.destroyed += expects;
        self.swept += total.unwrap_or(0);
    }
}
