//! Metrics put together from the daemon's status, at most once a turn.

use crate::config::settings::Config;
use crate::daemon::state::Daemon;
use crate::metrics::process::Process;
use crate::metrics::shown::Shown;
use crate::metrics::text;
use crate::peer::Millis;
use zct_engine::Reactor;

impl Daemon {
    /// Adopts new settings; where nobody can listen, the old ones stay, in `next` too.
    pub(super) fn take_over_metrics(&mut self, next: &mut Config, reactor: &mut Reactor) {
        if let Err(why) = self.metrics.server.listen(next.metrics.listen.as_ref(), reactor) {
            self.log.error(&why.to_string());
            next.metrics.listen.clone_from(&self.config.metrics.listen);
        }
        if (&self.config.metrics.text_file, self.config.metrics.interval_s)
            != (&next.metrics.text_file, next.metrics.interval_s)
        {
            let now = self.now();
            self.metrics.set_file(&next.metrics, now);
        }
    }

    /// Answers who has asked, and writes the file when it is time. The metrics are put together at most once
    /// a turn.
    pub(super) fn settle_metrics(&mut self, now: Millis, reactor: &mut Reactor) {
        let due = self.metrics.file_is_due(now);
        let text = match due || self.metrics.server.is_asked() {
            true => self.metrics_text(now, reactor),
            false => Vec::new(),
        };
        if due {
            self.metrics.write_file(&text, now, &mut self.log);
        }
        self.metrics.server.settle(&text, now, reactor);
    }

    fn metrics_text(&self, now: Millis, reactor: &mut Reactor) -> Vec<u8> {
        let status = self.status(now);
        let longest_turn = reactor.take_longest_turn();
        text(&Shown { status: &status, process: Process::read(), longest_turn })
    }
}
