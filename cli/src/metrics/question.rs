//! What is asked of the kernel, and its answer as a whole.

use crate::fail::Fail;
use std::ops::ControlFlow;
use zct_engine::{Lost, Sink};
use zct_wire::WireError;
use zct_wire::header::CtMsg;

/// What the flows are counted by. With neither, they are not counted one by one, and the table is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct By {
    pub(super) protocol: bool,
    pub(super) zone: bool,
}

/// Collects what the messages of one answer say, and remembers if some of it is missing.
pub(super) struct Answer<T, F> {
    take: F,
    found: T,
    lost: Option<Lost>,
}

impl<T: Default, F: FnMut(CtMsg<'_>, &mut T) -> Result<(), WireError>> Answer<T, F> {
    pub(super) fn new(take: F) -> Self {
        Answer { take, found: T::default(), lost: None }
    }

    pub(super) fn complete(self) -> Result<T, Fail> {
        match self.lost {
            None => Ok(self.found),
            Some(why) => Err(incomplete(why)),
        }
    }
}

/// Metrics of which a part is missing are not shown at all.
pub(super) fn incomplete(why: Lost) -> Fail {
    Fail::runtime(format!("The kernel's answer is incomplete: {why}; try again"))
}

impl<T, F: FnMut(CtMsg<'_>, &mut T) -> Result<(), WireError>> Sink for Answer<T, F> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Err(e) = (self.take)(msg, &mut self.found) {
            self.lost(Lost::Damaged(e));
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
    }
}
