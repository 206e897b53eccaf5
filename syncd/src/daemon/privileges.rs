//! What the daemon may do, and what it gives up: the mode of its files, its scheduler, its capabilities, its
//! directory.

use crate::config::parts;
use crate::config::settings::{Config, Scheduler, SchedulerPolicy};
use crate::host::log::Log;
use crate::links::LinkSettings;
use zct_engine::Error;
use zct_engine::process::{self, Capability, Policy};

/// What the daemon makes is for its user alone.
pub(super) const UMASK: u32 = 0o177;

/// Ports below this need a capability of their own to be bound again.
const PRIVILEGED_PORTS: u16 = 1024;

/// Asks for the scheduler of the configuration; the daemon runs without it if it cannot be had.
pub(super) fn schedule(scheduler: Option<&Scheduler>, log: &mut Log) {
    let Some(s) = scheduler else { return };
    let policy = match s.policy {
        SchedulerPolicy::RoundRobin => Policy::RoundRobin,
        SchedulerPolicy::Fifo => Policy::Fifo,
    };
    if let Err(e) = process::set_scheduler(policy, s.priority.into()) {
        log.warning(&format!("can't set the scheduler: {e}"));
    }
}

/// What is needed from now on: CAP_NET_ADMIN for every request to the kernel, and what changing the scheduler
/// or binding a low port again would take.
pub(super) fn give_up(config: &Config) -> Result<(), Error> {
    let mut keep = vec![Capability::NetAdmin];
    if config.general.scheduler.is_some() {
        keep.push(Capability::SysNice);
    }
    let low = |l: &LinkSettings| l.kind.port() < PRIVILEGED_PORTS;
    if parts::sync(config).is_some_and(|s| parts::links(s).iter().any(low)) {
        keep.push(Capability::NetBindService);
    }
    process::keep_capabilities(&keep)
}
