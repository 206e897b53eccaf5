//! Dumped flows whose requests are under way: they are printed once the kernel has agreed.

use zct_engine::Error;
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
    /// For each flow, what it was kept for, and why its request was refused, if it was.
    entries: Vec<(u32, Option<Error>)>,
}

impl Pending {
    /// Keeps a copy of the flow, with a number that comes back with it.
    pub(super) fn push(&mut self, f: &FlowView<'_>, tag: u32) {
        self.bytes.extend_from_slice(f.msg().bytes);
        // Netlink messages start at multiples of four.
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.entries.push((tag, None));
    }

    /// Notes that the request for flow `index` was refused.
    pub(super) fn refuse(&mut self, index: usize, why: Error) {
        if let Some((_, refused)) = self.entries.get_mut(index) {
            *refused = Some(why);
        }
    }

    /// Hands every flow to `take`, in order, with what it was kept for and why its request was refused, and
    /// forgets all of them. Stops when `take` returns false.
    pub(super) fn settle(
        &mut self,
        mut take: impl FnMut(&FlowView<'_>, u32, Option<Error>) -> bool,
    ) -> Result<(), WireError> {
        let mut entries = self.entries.drain(..);
        for frame in Frames::new(&self.bytes) {
            let f = FlowView::index(CtMsg::parse(frame?)?)?;
            let Some((tag, refused)) = entries.next() else { break };
            if !take(&f, tag, refused) {
                break;
            }
        }
        drop(entries);
        self.bytes.clear();
        Ok(())
    }
}
