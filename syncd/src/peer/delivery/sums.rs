//! When the peer can be answered about sums, and leaves of them that it wants again (sync-protocol.md §10).

use super::{After, Delivery};
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;

impl Delivery {
    /// The peer wants the flows of these leaves again.
    pub(crate) fn want_leaves(&mut self, now: Millis, leaves: &[u16]) {
        // In ALARM there are no bulks: what is wanted beyond that is asked for again.
        if !self.speaker.want(now, leaves) && !matches!(self.after, After::Announce(_)) {
            self.hello.want_bulk(now);
        }
    }

    /// Begins to send the leaves that the peer wants. A bulk under way takes them along; if that is not one of
    /// leaves too, everything goes once more.
    pub(crate) fn repair_turn(&mut self, now: Millis, caches: &Caches) {
        if self.speaker.repair_due().is_none_or(|at| at > now) {
            return;
        }
        let mut leaves = self.speaker.take_wanted(now);
        if self.bulk.is_running() && self.bulk_only.is_none() || caches.internal.sums_key().is_none() {
            return if !matches!(self.after, After::Announce(_)) {
                self.start_bulk()
            };
        }
        leaves.extend(self.bulk_only.take().unwrap_or_default());
        leaves.sort_unstable();
        self.bulk_only = Some(leaves);
        self.bulk.request();
        self.bulk_since = self.seq;
    }

    /// True when the peer will have what is in the cache, once it has got what was sent.
    fn is_told(&self, now: Millis) -> bool {
        let told = match self.after {
            After::Announce(_) => self.unsettled_until <= now && self.found == 0,
            After::Keep(_) | After::Forget => self.speaker.has_told(),
        };
        told && !self.bulk_is_pending()
            && !self.hello.hello_is_under_way(now)
            && self.hello.repeats_due().is_none()
            && self.unsendable == 0
    }

    /// True while a question waits for updates to go that were withheld: until then none are.
    pub(super) fn levels(&self, now: Millis, caches: &Caches) -> bool {
        self.speaker.due().is_some_and(|at| at <= now)
            && self.is_told(now)
            && caches.internal.sums().is_some()
    }

    /// When the peer's questions can be answered; `None` as long as something has yet to be sent.
    pub(crate) fn answer_due(&self, now: Millis, caches: &Caches) -> Option<Millis> {
        let at = self.speaker.due()?;
        let sums = caches.internal.sums().filter(|s| s.unlike() == 0);
        // In ALARM what is paced are announcements of what the peer has been told.
        let paced = self.repair.len() > 0 && !matches!(self.after, After::Announce(_));
        let level = self.queue.len() == 0 && !paced && self.rest.is_empty();
        (level && sums.is_some() && self.is_told(now)).then_some(at)
    }
}
