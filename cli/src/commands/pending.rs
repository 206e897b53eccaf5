//! Dumped flows whose requests are on the way: printed when the kernel has said yes.

use zct_wire::WireError;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};

/// Copies of the messages of one batch.
///
/// # Allocation
/// Grows to the size of one batch and stays there.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    refused: Vec<bool>,
}

impl Pending {
    /// Keeps a copy of the flow.
    pub(super) fn push(&mut self, f: &FlowView<'_>) {
        self.bytes.extend_from_slice(f.msg().bytes);
        // Messages start at multiples of four.
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.refused.push(false);
    }

    /// Notes that the request for flow number `index` was refused.
    pub(super) fn refuse(&mut self, index: usize) {
        if let Some(r) = self.refused.get_mut(index) {
            *r = true;
        }
    }

    /// Hands every flow whose request was not refused to `take`, in order, and forgets all of them. Stops
    /// when `take` says no.
    pub(super) fn settle(&mut self, mut take: impl FnMut(&FlowView<'_>) -> bool) -> Result<(), WireError> {
        let mut refused = self.refused.iter();
        for frame in Frames::new(&self.bytes) {
            let f = FlowView::index(CtMsg::parse(frame?)?)?;
            if refused.next() == Some(&false) && !take(&f) {
                break;
            }
        }
        self.clear();
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.refused.clear();
    }
}
