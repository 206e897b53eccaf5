//! The key that finds a dumped flow again.

use crate::attr::NLA_F_NESTED;
use crate::build::Builder;
use crate::consts::cta;

/// What finds one flow again: its original tuple as it was received, its zone, and its id.
///
/// Made from a flow that was dumped ([`crate::flow::FlowView::key`]), so it always has a tuple: there is no
/// way here to send a delete without one, which would empty the table (ctnetlink.md §4.6).
#[derive(Clone, Copy, Debug)]
pub struct FlowKey<'a> {
    /// AF_INET or AF_INET6.
    pub(crate) family: u8,
    /// Value of CTA_TUPLE_ORIG, the zone of that direction included.
    pub(crate) orig: &'a [u8],
    /// Zone of both directions.
    pub(crate) zone: Option<u16>,
    /// The kernel's id, which tells the flow from a later one with the same tuple.
    pub(crate) id: Option<u32>,
}

impl FlowKey<'_> {
    /// Appends the attributes that name the flow in a request.
    pub(crate) fn tuple_and_zone(&self, b: &mut Builder<'_>) {
        b.put(cta::TUPLE_ORIG | NLA_F_NESTED, self.orig);
        if let Some(z) = self.zone {
            b.put_be16(cta::ZONE, z);
        }
    }
}
