//! The progress of a command that reads the table and changes flows in it.

use crate::dump_plan::Plan;
use crate::progress::Progress;
use zct_wire::filter::DumpFilter;

/// Counts the flows that have been read, and shows that with how many of them were selected.
#[derive(Debug, Default)]
pub(super) struct Walk {
    progress: Progress,
    read: u64,
    /// How many flows there are to read; `None` unless the whole table is read.
    all: Option<u64>,
    /// What is said of those that are selected, such as `deleted`.
    what: &'static str,
}

impl Walk {
    /// Begins a walk. The kernel is asked for flows by this plan, unless they are `found` by BPF. `what` is
    /// said of those that are selected.
    pub(super) fn begin(progress: Progress, plan: &Plan, found: bool, what: &'static str) -> Walk {
        let whole = !found && plan.dumps.as_slice() == [DumpFilter::default()];
        let all = if whole && progress.is_watched() { zct_engine::request::flows() } else { None };
        Walk { progress, read: 0, all, what }
    }

    /// One more flow has been read; `selected` is how many have been selected so far.
    pub(super) fn step(&mut self, selected: u64) {
        self.read += 1;
        let Walk { read, all, what, .. } = *self;
        self.progress.step(|| text(read, all, selected, what));
    }
}

fn text(read: u64, all: Option<u64>, selected: u64, what: &str) -> String {
    // Flows may have been added since they were counted.
    let of = all.map_or(String::new(), |all| format!(" of {}", all.max(read)));
    format!("{read}{of} flows read, {selected} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_where_all_come() {
        assert_eq!(text(7, None, 3, "deleted"), "7 flows read, 3 deleted");
        assert_eq!(text(7, Some(10), 0, "updated"), "7 of 10 flows read, 0 updated");
        assert_eq!(text(12, Some(10), 12, "deleted"), "12 of 12 flows read, 12 deleted");
    }
}
