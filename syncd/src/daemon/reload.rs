//! SIGHUP: rereads the configuration. What can change at run time does, and the log names the rest.

use crate::config::keys;
use crate::config::live::{Change, live_changes, merged};
use crate::config::settings::{Config, Expectations, Role};
use crate::control::client;
use crate::daemon::state::{Comparison, Daemon, Node};
use crate::daemon::{privileges, sync_node};
use crate::peer::seal::Settings;
use crate::stats::log::FlowLog;
use zct_engine::Reactor;

fn told(c: &Change) -> String {
    let value = |v: &Option<String>| v.clone().unwrap_or_else(|| "nothing".into());
    format!("{}: {} is now {}", c.setting, value(&c.from), value(&c.to))
}

impl Daemon {
    /// Rereads the configuration; if the file has errors, everything stays as it is.
    pub(super) fn reload(&mut self, reactor: &mut Reactor) {
        self.log.notice("reading the configuration again");
        self.reopen_logs();
        let loaded = match client::load(&self.file) {
            Ok(loaded) => loaded,
            Err(why) => return self.log.error(&why.to_string()),
        };
        self.log.remarks(&loaded.report, &self.file);
        let Some(new) = loaded.config else {
            return self.log.error("the configuration stays as it is");
        };
        let keys = match crate::config::parts::sync(&new).map_or(Ok(None), |s| keys::read(s, &self.file)) {
            Ok(keys) => keys,
            Err(why) => {
                self.log.error(&why.to_string());
                return self.log.error("the configuration stays as it is");
            }
        };
        self.systemd.reloading(self.epoch.elapsed().as_micros() as u64);
        let changes = live_changes(&self.config, &new);
        let mut next = merged(&self.config, &new);
        self.take_over(&mut next);
        self.take_keys(keys, &next);
        self.take_over_metrics(&mut next, reactor);
        for c in &live_changes(&self.config, &next).live {
            self.log.notice(&told(c));
        }
        for c in &changes.needs_restart {
            let old = c.from.as_deref().unwrap_or("nothing");
            self.log.warning(&format!("{}: {old} stays until a restart", c.setting));
        }
        // Another program may have disabled a stub, also where the configuration is the same.
        self.helpers.reload(&next.helpers, reactor, &mut self.log);
        self.config = next;
        self.systemd.ready();
    }

    /// Adopts the new settings. What cannot be had, such as a log that cannot be opened, stays as it was, and
    /// so in `next` too, so that it is tried again the next time.
    fn take_over(&mut self, next: &mut Config) {
        self.take_over_logs(next);
        let (old, new) = (&self.config.general, &next.general);
        let filter_changed = old.filter != new.filter;
        if old.scheduler != new.scheduler {
            privileges::schedule(new.scheduler.as_ref(), &mut self.log);
        }
        let expects = crate::config::parts::sync(next).map_or(Expectations::Off, |s| s.expectations.clone());
        if let Err(e) = self.kernel.reload(new, expects) {
            self.log.error(&format!("can't change the event socket: {e}"));
        }
        // What was stored under the old filter is compared with what is wanted now.
        if filter_changed && self.comparison == Comparison::None {
            self.comparison = Comparison::Wanted;
        }
        let now = self.now();
        if let (Node::Sync(n), Role::Sync(s)) = (&mut self.node, &next.role) {
            sync_node::reconfigure(now, n, next, s);
        }
    }

    /// Keys are read anew each time: a file may have another one now.
    fn take_keys(&mut self, keys: Option<Settings>, next: &Config) {
        let now = self.now();
        // A daemon that has no part in this needs a restart for it.
        let wanted = crate::config::parts::sync(next).is_some_and(|s| s.auth.is_some()) == keys.is_some();
        let Node::Sync(n) = &mut self.node else { return };
        if !wanted {
            return;
        }
        if let Err(e) = n.take_keys(now, keys, &mut self.log) {
            self.log.error(&format!("can't change the keys: {e}"));
        }
    }

    fn take_over_logs(&mut self, next: &mut Config) {
        let (old, new) = (&self.config.general, &mut next.general);
        if (&old.log_file, &old.syslog) != (&new.log_file, &new.syslog) {
            if let Err(why) = self.log.open(new.log_file.as_deref(), new.syslog) {
                self.log.error(&why.to_string());
                (new.log_file, new.syslog) = (old.log_file.clone(), old.syslog);
            }
        }
        if let (Node::Stats(s), Role::Stats(settings)) = (&mut self.node, &next.role) {
            s.log.flush();
            match FlowLog::open(settings) {
                Ok(log) => s.log = log,
                Err(why) => {
                    self.log.error(&why.to_string());
                    next.role = self.config.role.clone();
                }
            }
        }
    }

    /// Reopens the logs, which somebody may have moved away.
    pub(super) fn reopen_logs(&mut self) {
        self.log.reopen();
        if let Node::Stats(s) = &mut self.node {
            if let Err(why) = s.log.reopen() {
                self.log.error(&why.to_string());
            }
        }
    }
}
