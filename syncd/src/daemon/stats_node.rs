//! A node that counts flows and logs those that end: from the kernel's events to the cache. Expectations do
//! not concern it.

use crate::kernel::{Taker, Why};
use crate::peer::{Event, Millis, Origin};
use crate::stats::cache::StatsCache;
use zct_wire::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::peer::Flow;

/// Hands the kernel's messages to the cache.
pub(super) struct StatsTaker<'a> {
    pub(super) now: Millis,
    pub(super) cache: &'a mut StatsCache,
}

impl Taker for StatsTaker<'_> {
    fn flow(&mut self, event: Event, _: Origin, view: &FlowView<'_>) -> Result<(), WireError> {
        match event {
            Event::New | Event::Update => {
                let id = view.id()?.unwrap_or(0);
                self.cache.upsert(self.now, &Flow::from_kernel(view)?, id, event == Event::New);
            }
            Event::Destroy => self.cache.destroy(view)?,
        }
        Ok(())
    }

    fn expect(&mut self, _: Event, _: Origin, _: &ExpectView<'_>) -> Result<(), WireError> {
        Ok(())
    }

    fn dumped(&mut self, why: Why, view: &FlowView<'_>) -> Result<(), WireError> {
        let id = view.id()?.unwrap_or(0);
        let known = self.cache.store.counts().flows;
        self.cache.upsert(self.now, &Flow::from_kernel(view)?, id, false);
        if why == Why::Resync {
            self.cache.repaired += self.cache.store.counts().flows.saturating_sub(known) as u64;
        }
        Ok(())
    }

    fn expect_dumped(&mut self, _: Why, _: &ExpectView<'_>) -> Result<(), WireError> {
        Ok(())
    }

    /// Nobody asks for a review here.
    fn reviewed(&mut self, _: &FlowView<'_>, _: bool) -> Result<(), WireError> {
        Ok(())
    }

    fn knows(&self, view: &FlowView<'_>) -> bool {
        self.cache.knows(view)
    }
}
