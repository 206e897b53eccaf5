//! The interface to whoever takes the kernel's messages that have passed the filters.

use crate::peer::{Event, Origin};
use zct_wire::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;

/// Takes flows and expectations that have passed the filters.
pub trait Taker {
    /// An event about a flow.
    fn flow(&mut self, event: Event, origin: Origin, flow: &FlowView<'_>) -> Result<(), WireError>;
    /// An event about an expectation.
    fn expect(&mut self, event: Event, origin: Origin, expect: &ExpectView<'_>) -> Result<(), WireError>;
    /// A flow from a dump.
    fn dumped(&mut self, why: Why, flow: &FlowView<'_>) -> Result<(), WireError>;
    /// An expectation from a dump.
    fn expect_dumped(&mut self, why: Why, expect: &ExpectView<'_>) -> Result<(), WireError>;
    /// A flow of a review; `comparable` as in [`Machine::flow_reviewed`](crate::peer::Machine::flow_reviewed).
    fn reviewed(&mut self, flow: &FlowView<'_>, comparable: bool) -> Result<(), WireError>;
    /// True when this flow is in the cache: its end matters then, in whatever state it ended.
    fn knows(&self, flow: &FlowView<'_>) -> bool;
}

/// The purpose of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// To learn the flows: at the start, and for `-R`. Nothing is sent.
    Populate,
    /// To learn what happened while a commit did not listen to new flows. What the commit has made is not
    /// sent; the rest is.
    CatchUp,
    /// To find what was missed. Everything is sent then, and what the kernel no longer has counts as ended.
    Resync,
    /// To send the table when no copy of it is kept (`DisableInternalCache`).
    Bulk,
}
