//! What the daemon is allowed to do, and what it gives up: the mode of its files, its scheduler, its
//! capabilities, its directory.

use crate::config::parts;
use crate::config::settings::{Config, Scheduler, SchedulerPolicy};
use crate::host::log::Log;
use crate::links::LinkSettings;
use zct_engine::Error;
use zct_engine::process::{self, Capability, Policy};

/// What the daemon creates is for its own user only.
pub(super) const UMASK: u32 = 0o177;

/// Rebinding a port below this needs a capability of its own.
const PRIVILEGED_PORTS: u16 = 1024;

/// Asks for the configured scheduler; if it cannot be had, the daemon runs without it.
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

/// Drops all capabilities that are no longer needed. What remains is CAP_NET_ADMIN for requests to the
/// kernel, and what changing the scheduler or rebinding a low port takes.
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
