//! From the kernel's events and dumps to the machines: each of them is told everything.

use crate::daemon::catch_up;
use crate::kernel::{Taker, Why};
use crate::peer::{Event, Machine, Millis, Origin};
use crate::stats::ended::Ended;
use crate::store::{Key, Meta};
use zct_wire::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::peer::{Expect, Flow};

/// Hands the kernel's messages to the machines.
pub(super) struct SyncTaker<'a> {
    pub(super) now: Millis,
    /// Never empty. What the kernel has told is the same in all of them.
    pub(super) machines: &'a mut [Machine],
    pub(super) ended: &'a mut Ended,
    pub(super) repaired: &'a mut u64,
    /// Flows that are not known may have been made by traffic during a commit.
    pub(super) catching_up: bool,
}

/// Who has caused an event, for the peer of one machine out of several. What was committed is known to the
/// node that it was taken from; the others have to learn who has it now.
fn origin_for(machine: &Machine, several: bool, origin: Origin, flow: &Flow) -> Origin {
    let owner = || Key::of(flow).is_some_and(|key| machine.caches().external.find(&key).is_some());
    if several && origin == Origin::Commit && !owner() { Origin::Kernel } else { origin }
}

impl Taker for SyncTaker<'_> {
    fn flow(&mut self, event: Event, origin: Origin, view: &FlowView<'_>) -> Result<(), WireError> {
        if event == Event::Destroy {
            self.ended.count(view)?;
        }
        let (flow, id) = (Flow::from_kernel(view)?, view.id()?.unwrap_or(0));
        let several = self.machines.len() > 1;
        for machine in self.machines.iter_mut() {
            if self.catching_up && event == Event::Update && origin == Origin::Kernel {
                catch_up::changed(self.now, &flow, machine);
            }
            let origin = origin_for(machine, several, origin, &flow);
            machine.flow_change(self.now, event, origin, &flow, id);
        }
        Ok(())
    }

    fn expect(&mut self, event: Event, origin: Origin, view: &ExpectView<'_>) -> Result<(), WireError> {
        let expect = Expect::from_kernel(view)?;
        self.machines.iter_mut().for_each(|m| m.expect_change(self.now, event, origin, &expect));
        Ok(())
    }

    fn dumped(&mut self, why: Why, view: &FlowView<'_>) -> Result<(), WireError> {
        let flow = Flow::from_kernel(view)?;
        let id = view.id()?.unwrap_or(0);
        for (at, machine) in self.machines.iter_mut().enumerate() {
            match why {
                Why::Populate | Why::CatchUp if self.catching_up => {
                    catch_up::dumped(self.now, &flow, id, machine);
                }
                Why::Populate | Why::CatchUp => machine.flow_dumped(self.now, &flow, id),
                Why::Resync => {
                    let known = machine.caches().internal.counts().flows;
                    machine.flow_compared(self.now, &flow, id);
                    let flows = machine.caches().internal.counts().flows;
                    // All machines are told the same: one of them counts.
                    *self.repaired += if at == 0 { flows.saturating_sub(known) as u64 } else { 0 };
                }
                Why::Bulk => machine.bypass_dump(self.now, &flow),
            }
        }
        Ok(())
    }

    fn expect_dumped(&mut self, why: Why, view: &ExpectView<'_>) -> Result<(), WireError> {
        let expect = Expect::from_kernel(view)?;
        for machine in self.machines.iter_mut() {
            match why {
                Why::Populate | Why::CatchUp if self.catching_up => {
                    catch_up::expect_dumped(self.now, &expect, machine);
                }
                Why::Populate | Why::CatchUp | Why::Resync => machine.expect_dumped(self.now, &expect),
                Why::Bulk => machine.expect_change(self.now, Event::New, Origin::Kernel, &expect),
            }
        }
        Ok(())
    }

    fn reviewed(&mut self, view: &FlowView<'_>, comparable: bool) -> Result<(), WireError> {
        let flow = Flow::from_kernel(view)?;
        self.machines.iter_mut().for_each(|m| m.flow_reviewed(&flow, comparable));
        Ok(())
    }

    fn knows(&self, view: &FlowView<'_>) -> bool {
        let Some(internal) = self.machines.first().map(|m| &m.caches().internal) else { return false };
        let key = Key::of_kernel(view).ok().flatten();
        let meta = key.and_then(|k| internal.find(&k)).and_then(|id| internal.meta(id));
        meta.is_some_and(|m| m.flags & Meta::DEAD == 0)
    }
}
