//! Who takes what the kernel says, once it has passed the filters.

use crate::peer::{Event, Origin};
use zct_wire::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;

/// Where flows and expectations go that have passed the filters.
pub trait Taker {
    /// An event.
    fn flow(&mut self, event: Event, origin: Origin, flow: &FlowView<'_>) -> Result<(), WireError>;
    /// An event of an expectation.
    fn expect(&mut self, event: Event, origin: Origin, expect: &ExpectView<'_>) -> Result<(), WireError>;
    /// A flow of a dump.
    fn dumped(&mut self, why: Why, flow: &FlowView<'_>) -> Result<(), WireError>;
    /// An expectation of a dump.
    fn expect_dumped(&mut self, why: Why, expect: &ExpectView<'_>) -> Result<(), WireError>;
    /// True when this flow is in the cache: its end matters then, whatever state it ended in.
    fn knows(&self, flow: &FlowView<'_>) -> bool;
}

/// What a dump is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// To know the flows: at the start, and for `-R`. Nothing is sent.
    Populate,
    /// To find what was missed; then everything is sent, and what the kernel no longer has ends.
    Resync,
    /// To send the table, of which nothing is kept (`DisableInternalCache`).
    Bulk,
}
