//! How full the table is, and what was dropped because of it.

use crate::fail::{Doing, Fail, operation_failed};
use std::ops::ControlFlow;
use zct_engine::{Lost, Requests, Sink};
use zct_wire::WireError;
use zct_wire::consts::cta_stats;
use zct_wire::header::CtMsg;
use zct_wire::request;
use zct_wire::stats::{CpuStats, GlobalStats};

/// What the kernel says of the table as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct System {
    /// Flows in this namespace, and the most there can be.
    pub(super) entries: u64,
    pub(super) limit: Option<u64>,
    /// Packets dropped because there was no room for their flow, since the machine started.
    pub(super) drop: u64,
    /// Flows removed to make room for others, since the machine started.
    pub(super) early_drop: u64,
}

#[derive(Default)]
struct Answers {
    system: System,
    lost: Option<Lost>,
    global: bool,
}

impl Answers {
    fn take(&mut self, msg: CtMsg<'_>) -> Result<(), WireError> {
        let system = &mut self.system;
        if self.global {
            let stats = GlobalStats::parse(msg)?;
            system.entries = stats.entries.unwrap_or(0).into();
            system.limit = stats.max_entries.map(u64::from);
            return Ok(());
        }
        for counter in CpuStats::new(msg).counters() {
            match counter? {
                (cta_stats::DROP, n) => system.drop += u64::from(n),
                (cta_stats::EARLY_DROP, n) => system.early_drop += u64::from(n),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Sink for Answers {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Err(e) = self.take(msg) {
            self.lost(Lost::Damaged(e));
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
    }
}

impl System {
    /// Asks the kernel.
    pub(super) fn read() -> Result<System, Fail> {
        let mut answers = Answers::default();
        let asked = Requests::open().and_then(|mut r| {
            r.dump(|buf, seq| request::stats_cpu(buf, seq, false), &mut answers)?;
            answers.global = true;
            r.ask(request::stats, &mut answers)
        });
        asked.map_err(|e| operation_failed(Doing::Statistics, &e))?;
        match answers.lost {
            None => Ok(answers.system),
            Some(why) => Err(Fail::runtime(format!("The statistics are incomplete: {why}"))),
        }
    }
}
