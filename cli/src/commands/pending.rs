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
    /// Of each flow: what it was kept for, and whether its request was refused.
    entries: Vec<(u32, bool)>,
}

impl Pending {
    /// Keeps a copy of the flow, with a number that comes back with it.
    pub(super) fn push(&mut self, f: &FlowView<'_>, tag: u32) {
        self.bytes.extend_from_slice(f.msg().bytes);
        // Messages start at multiples of four.
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.entries.push((tag, false));
    }

    /// Notes that the request for flow `index` was refused; returns what the flow was kept for.
    pub(super) fn refuse(&mut self, index: usize) -> u32 {
        self.entries.get_mut(index).map_or(0, |(tag, refused)| {
            *refused = true;
            *tag
        })
    }

    /// Hands every flow whose request was not refused to `take`, in order, and forgets all of them. Stops
    /// when `take` says no.
    pub(super) fn settle(
        &mut self,
        mut take: impl FnMut(&FlowView<'_>, u32) -> bool,
    ) -> Result<(), WireError> {
        let mut entries = self.entries.iter();
        for frame in Frames::new(&self.bytes) {
            let f = FlowView::index(CtMsg::parse(frame?)?)?;
            match entries.next() {
                Some((tag, false)) if !take(&f, *tag) => break,
                _ => {}
            }
        }
        self.bytes.clear();
        self.entries.clear();
        Ok(())
    }
}
