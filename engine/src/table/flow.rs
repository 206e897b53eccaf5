//! A record of the walk as a flow to be shown, without a message made of it.

use super::entry::{Clock, Entry, ZONE_DIR_BOTH, ZONE_DIR_ORIG, ZONE_DIR_REPLY};
use crate::sink::Unsent;
use zct_wire::WireError;
use zct_wire::flow::{Counters, Dir, LabelBits, Timestamps};
use zct_wire::proto::StateOf;
use zct_wire::text::{Facts, Out, Style, TextContext, line};
use zct_wire::tuple::{Shape, Tuple};

/// A record, and the clock when it was made.
pub(crate) struct Flow<'a>(pub(crate) Entry<'a>, pub(crate) Clock);

impl Facts for Flow<'_> {
    #[inline]
    fn family(&self) -> u8 {
        self.0.family()
    }

    #[inline]
    fn orig(&self) -> Result<Shape<'_>, WireError> {
        let [node, _] = self.0.nodes();
        Ok(self.0.shape(node, self.0.zone(ZONE_DIR_ORIG)))
    }

    #[inline]
    fn reply(&self) -> Result<Option<Shape<'_>>, WireError> {
        let [_, node] = self.0.nodes();
        Ok(Some(self.0.shape(node, self.0.zone(ZONE_DIR_REPLY))))
    }

    #[inline]
    fn status(&self) -> Result<Option<u32>, WireError> {
        Ok(Some(self.0.status()))
    }

    #[inline]
    fn mark(&self) -> Result<Option<u32>, WireError> {
        Ok(self.0.l.conn.mark.map(|at| self.0.u32(self.0.conn(at))))
    }

    #[inline]
    fn zone(&self) -> Result<Option<u16>, WireError> {
        Ok(self.0.zone(ZONE_DIR_BOTH))
    }

    #[inline]
    fn state(&self) -> Result<Option<(StateOf, u8)>, WireError> {
        Ok(if self.0.is_offloaded() { None } else { self.0.state() })
    }

    #[inline]
    fn helper(&self) -> Result<Option<&[u8]>, WireError> {
        Ok(self.0.helper())
    }

    fn master(&self) -> Result<Option<Tuple>, WireError> {
        Ok(self.0.master().map(|node| self.0.tuple(node, None)))
    }

    /// Not in this memory.
    #[inline]
    fn id(&self) -> Result<Option<u32>, WireError> {
        Ok(None)
    }

    #[inline]
    fn labels(&self) -> Option<LabelBits<'_>> {
        self.0.labels().map(LabelBits::new)
    }

    #[inline]
    fn timeout_s(&self) -> Result<Option<u32>, WireError> {
        Ok(if self.0.is_offloaded() { None } else { Some(self.0.seconds_left(self.1)) })
    }

    #[inline]
    fn counters(&self, dir: Dir) -> Result<Option<Counters>, WireError> {
        Ok(self.0.counters().map(|[orig, reply]| if dir == Dir::Orig { orig } else { reply }))
    }

    #[inline]
    fn timestamps(&self) -> Result<Option<Timestamps>, WireError> {
        Ok(self.0.timestamps())
    }

    #[inline]
    fn use_count(&self) -> Result<Option<u32>, WireError> {
        Ok(Some(self.0.u32(self.0.conn(self.0.l.conn.use_count))))
    }
}

impl Unsent for Flow<'_> {
    fn line(&self, out: &mut Out<'_>, style: &Style, context: &TextContext<'_>) -> Result<(), WireError> {
        line::any(out, self, style, context)
    }

    fn has_age(&self) -> bool {
        self.0.ext(self.0.l.ext.tstamp).is_some()
    }
}
