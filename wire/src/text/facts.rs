//! What is shown of a flow, whether it comes from a message of the kernel or from a daemon's store.
//!
//! Each output format has one renderer, generic over this trait. It is compiled for [`FlowView`] itself,
//! because a list of a million flows spends all its time there; every other source, of which there are few
//! flows, shares one compiled copy through `dyn` [`Facts`].

use crate::consts::cta;
use crate::error::WireError;
use crate::flow::{Counters, Dir, FlowView, LabelBits, Timestamps};
use crate::proto::StateOf;
use crate::tuple::{Shape, Tuple};

/// What is known about a flow. `None` means absent, and is not shown. Values that have been decoded already
/// never fail.
pub trait Facts {
    /// AF_INET or AF_INET6.
    fn family(&self) -> u8;
    /// The original direction.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the original tuple of a message cannot be read.
    fn orig(&self) -> Result<Shape<'_>, WireError>;
    /// The reply direction; `None` where it is not known, as in a peer's flow.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the reply tuple of a message cannot be read.
    fn reply(&self) -> Result<Option<Shape<'_>>, WireError>;
    /// IPS_* bits.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the status of a message cannot be read.
    fn status(&self) -> Result<Option<u32>, WireError>;
    /// The flow's mark.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the mark of a message cannot be read.
    fn mark(&self) -> Result<Option<u32>, WireError>;
    /// The zone of both directions.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the zone of a message cannot be read.
    fn zone(&self) -> Result<Option<u16>, WireError>;
    /// The state's number, and the protocol it belongs to.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the protocol state of a message cannot be read.
    fn state(&self) -> Result<Option<(StateOf, u8)>, WireError>;
    /// The helper's name.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the nest of the helper of a message cannot be read.
    fn helper(&self) -> Result<Option<&[u8]>, WireError>;
    /// The original direction of the flow that expected this one.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the master's tuple of a message cannot be read.
    fn master(&self) -> Result<Option<Tuple>, WireError>;
    /// The kernel's id of the flow.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the id of a message cannot be read.
    fn id(&self) -> Result<Option<u32>, WireError>;
    /// The label bits that are set.
    fn labels(&self) -> Option<LabelBits<'_>> {
        None
    }
    /// Seconds until the flow times out.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the timeout of a message cannot be read.
    fn timeout_s(&self) -> Result<Option<u32>, WireError> {
        Ok(None)
    }
    /// What a direction has carried.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when a counter of a message cannot be read.
    fn counters(&self, _: Dir) -> Result<Option<Counters>, WireError> {
        Ok(None)
    }
    /// The mark of a security module, from very old kernels only.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the mark of a message cannot be read.
    fn secmark(&self) -> Result<Option<u32>, WireError> {
        Ok(None)
    }
    /// The context of a security module.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the nest of the context of a message cannot be read.
    fn secctx(&self) -> Result<Option<&[u8]>, WireError> {
        Ok(None)
    }
    /// When it began and ended.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when a time of a message cannot be read.
    fn timestamps(&self) -> Result<Option<Timestamps>, WireError> {
        Ok(None)
    }
    /// The kernel's references to it.
    ///
    /// # Errors
    /// As the accessor of [`FlowView`] when the count of a message cannot be read.
    fn use_count(&self) -> Result<Option<u32>, WireError> {
        Ok(None)
    }
}

impl Facts for FlowView<'_> {
    #[inline]
    fn family(&self) -> u8 {
        FlowView::family(self)
    }
    #[inline]
    fn orig(&self) -> Result<Shape<'_>, WireError> {
        self.orig_shape()
    }
    #[inline]
    fn reply(&self) -> Result<Option<Shape<'_>>, WireError> {
        // A message without it shows an empty direction, as in the original.
        self.reply_shape().map(Some)
    }
    #[inline]
    fn status(&self) -> Result<Option<u32>, WireError> {
        FlowView::status(self)
    }
    #[inline]
    fn mark(&self) -> Result<Option<u32>, WireError> {
        FlowView::mark(self)
    }
    #[inline]
    fn zone(&self) -> Result<Option<u16>, WireError> {
        FlowView::zone(self)
    }
    #[inline]
    fn state(&self) -> Result<Option<(StateOf, u8)>, WireError> {
        FlowView::state(self)
    }
    #[inline]
    fn helper(&self) -> Result<Option<&[u8]>, WireError> {
        FlowView::helper(self)
    }
    #[inline]
    fn master(&self) -> Result<Option<Tuple>, WireError> {
        FlowView::master(self)
    }
    #[inline]
    fn id(&self) -> Result<Option<u32>, WireError> {
        FlowView::id(self)
    }
    #[inline]
    fn labels(&self) -> Option<LabelBits<'_>> {
        FlowView::labels(self)
    }
    #[inline]
    fn timeout_s(&self) -> Result<Option<u32>, WireError> {
        FlowView::timeout_s(self)
    }
    #[inline]
    fn counters(&self, dir: Dir) -> Result<Option<Counters>, WireError> {
        FlowView::counters(self, dir)
    }
    #[inline]
    fn secmark(&self) -> Result<Option<u32>, WireError> {
        // No current kernel sends it, and looking at the index saves the call.
        if self.has(cta::SECMARK) { FlowView::secmark(self) } else { Ok(None) }
    }
    #[inline]
    fn secctx(&self) -> Result<Option<&[u8]>, WireError> {
        FlowView::secctx(self)
    }
    #[inline]
    fn timestamps(&self) -> Result<Option<Timestamps>, WireError> {
        FlowView::timestamps(self)
    }
    #[inline]
    fn use_count(&self) -> Result<Option<u32>, WireError> {
        FlowView::use_count(self)
    }
}
