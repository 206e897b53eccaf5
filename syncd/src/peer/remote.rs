//! Data of the peer: into the external cache, or to the host for the kernel (sync-protocol.md §6).

use crate::peer::caches::Caches;
use crate::peer::clock::{Millis, seconds};
use crate::peer::config::Mode;
use crate::peer::ftfw::Data;
use crate::peer::host::Host;
use crate::peer::machine::Machine;
use crate::peer::mark;
use crate::store::{Key, Meta};
use zct_wire::event::Event;
use zct_wire::peer::{Expect, Flow};

impl Machine {
    /// The body of a data message that was accepted.
    pub(crate) fn apply(
        &mut self,
        now: Millis,
        data: Data,
        body: &[u8],
        caches: &mut Caches,
        host: &mut impl Host,
    ) {
        let good = match data {
            Data::Flow(event) => self.apply_flow(now, event, body, caches, host),
            Data::Expect(event) => self.apply_expect(now, event, body, caches, host),
        };
        if !good {
            self.stats.payload();
            // Whatever it was about must not be swept for not having been understood.
            self.resync.abandon();
        }
    }

    fn apply_flow(
        &mut self,
        now: Millis,
        event: Event,
        body: &[u8],
        caches: &mut Caches,
        host: &mut impl Host,
    ) -> bool {
        // A flow without a key could not be told from others, nor committed: it is as good as malformed.
        let Ok(flow) = Flow::decode(body) else { return false };
        let Some(key) = Key::of(&flow) else { return false };
        if self.config.disable_external_cache {
            host.inject_flow(event, &flow);
            return true;
        }
        let place = caches.external.locate(&key);
        if event == Event::Destroy {
            match place.id {
                Some(id) => {
                    caches.external.remove(id);
                    self.stats.external.destroyed += 1;
                }
                None => self.stats.external.destroy_failed += 1,
            }
            return true;
        }
        let (note, generation) = (seconds(now), self.resync.peer.current());
        let known = place.id.and_then(|id| Some((id, caches.external.meta(id)?)));
        let id = match known {
            Some((id, meta)) if event == Event::Update => {
                // Updates come from the sender's internal cache and are complete, so that what is absent is
                // absent there too. The original merges, and keeps the mark or the helper of an earlier flow
                // with the same tuple. Only without an internal cache, in NOTRACK, are they events.
                let mut updated = flow;
                if self.config.mode == Mode::Notrack {
                    updated = caches.external.flow(id).unwrap_or(flow);
                    updated.merge(&flow);
                }
                caches.external.replace(id, &updated);
                let flags = meta.flags | mark::UPDATED;
                caches.external.set_meta(id, Meta { flags, note, generation, ..meta });
                self.stats.external.updated += 1;
                id
            }
            Some((id, meta)) => {
                caches.external.replace(id, &flow);
                let flags = meta.flags & !mark::UPDATED;
                caches.external.set_meta(id, Meta { flags, note, generation, born_s: note, ..meta });
                self.stats.external.created += 1;
                id
            }
            None => {
                let meta = Meta { note, generation, born_s: note, ..Meta::default() };
                match caches.external.insert(&place, &flow, meta) {
                    Ok(id) => {
                        self.stats.external.created += 1;
                        id
                    }
                    Err(_) => {
                        self.stats.external.no_space += 1;
                        return true;
                    }
                }
            }
        };
        if self.config.mode == Mode::Alarm {
            self.arm_expiry(id, caches);
        }
        true
    }

    fn apply_expect(
        &mut self,
        now: Millis,
        event: Event,
        body: &[u8],
        caches: &mut Caches,
        host: &mut impl Host,
    ) -> bool {
        let Ok(expect) = Expect::decode(body) else { return false };
        if expect.family().is_none() || expect.tuple.proto.is_none() {
            return false;
        }
        if self.config.disable_external_cache {
            host.inject_expect(event, &expect);
            return true;
        }
        let old = caches.external_expect.find(&expect);
        if event == Event::Destroy {
            match old {
                Some(id) => {
                    caches.external_expect.remove(id);
                    self.stats.external_expect.destroyed += 1;
                }
                None => self.stats.external_expect.destroy_failed += 1,
            }
            return true;
        }
        let note = seconds(now);
        let old_meta = old.and_then(|id| caches.external_expect.meta(id));
        let born_s = old_meta.filter(|_| event == Event::Update).map_or(note, |m| m.born_s);
        let meta = Meta { note, born_s, generation: self.resync.peer.current(), ..Meta::default() };
        match (caches.external_expect.upsert(&expect, meta), old) {
            (Some(_), Some(_)) => self.stats.external_expect.updated += 1,
            (Some(_), None) => self.stats.external_expect.created += 1,
            (None, _) => self.stats.external_expect.no_space += 1,
        }
        true
    }
}
