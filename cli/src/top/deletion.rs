//! `k`: deletes the flows of a group, by the same way as `-D`: listed, checked again, and each deleted by its
//! tuple, zone and id.

use super::options::TopSelection;
use crate::commands::delete::{self, Deleter};
use crate::commands::plan;
use crate::dump_plan::Plan;
use crate::fail::{Doing, Fail, Name, operation_failed};
use crate::filter::Filter;
use crate::group::key::{Keys, Packed};
use crate::progress::Progress;
use crate::values::list::Output;
use zct_wire::WireError;
use zct_wire::flow::FlowView;

/// The flows of one group that are selected.
struct OneGroup {
    filter: Filter,
    plan: Plan,
    keys: Keys,
    key: Packed,
}

impl delete::Selection for OneGroup {
    fn plan(&self) -> (Filter, Plan) {
        (self.filter.clone(), self.plan.clone())
    }

    fn find(&self, f: &FlowView<'_>) -> Result<Option<u32>, WireError> {
        Ok((self.filter.matches(f)? && self.keys.pack(f)? == self.key).then_some(0))
    }

    fn output(&self, _: u32) -> Option<Output> {
        None
    }
}

/// Deletes them, and says in words what came of it.
pub(super) fn run(name: Name, selection: &TopSelection, keys: &Keys, key: &Packed) -> Result<String, Fail> {
    let filter = selection.filter.clone();
    let plan = plan(&selection.call.args, &filter);
    let group = OneGroup { filter, plan, keys: keys.clone(), key: *key };
    let deleter = Deleter::new(name, group, None, false).map_err(|e| operation_failed(Doing::Delete, &e))?;
    // `zct top` has the screen: a line of progress would spoil it.
    let deleted = deleter.run(Doing::Delete, Progress::silent())?;
    let refused = deleted.refusals().map_or(String::new(), |text| format!("; {text}"));
    Ok(format!("{} flow entries have been deleted{refused}", deleted.count))
}
