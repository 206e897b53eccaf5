//! What the kernel lacks for the configured helpers.

use super::{rules, types};
use crate::config::settings::Helpers;
use std::ops::ControlFlow;
use std::path::Path;
use zct_engine::{Lost, Requests, Sink, errno};
use zct_wire::cthelper;
use zct_wire::header::CtMsg;

struct Nothing;

impl Sink for Nothing {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

/// What is missing in the kernel for each type: what loads it, and the rule that then sends packets there.
/// Changes nothing, and says nothing of what only root may ask.
pub fn remarks(helpers: &Helpers) -> Vec<String> {
    let known = helpers.types.iter().filter_map(|h| Some((types::title(h), rules::assign(h)?)));
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        return Vec::new();
    }
    let listed = Requests::open().and_then(|mut r| r.dump(cthelper::list, &mut Nothing));
    let stubs = listed.err().and_then(|e| e.errno()) != Some(errno::EINVAL);
    let queues = Path::new("/proc/net/netfilter/nfnetlink_queue").exists();
    let modules = match (stubs, queues) {
        (true, true) => return Vec::new(),
        (false, true) => "nfnetlink_cthelper",
        (true, false) => "nfnetlink_queue",
        (false, false) => "nfnetlink_cthelper nfnetlink_queue",
    };
    let told = |(title, rule)| {
        format!(
            "helper {title}: the kernel lacks modules for it: modprobe -a {modules}; the rule for it: {rule}"
        )
    };
    known.into_iter().map(told).collect()
}
