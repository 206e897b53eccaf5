//! Metrics, as the configuration wants them: for who asks, and in a file.

use crate::config::settings::{Config, Metrics as Settings};
use crate::daemon::state::{Daemon, token};
use crate::host::log::Log;
use crate::metrics::Shown;
use crate::metrics::process::Process;
use crate::metrics::server::{ListenError, Server};
use crate::peer::Millis;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zct_engine::Reactor;
use zct_engine::write_file::{Replacement, Unwritten, WriteError};

/// Everybody may read the file, whatever the mask of the daemon's other files says.
const FILE_MODE: u32 = 0o644;

/// Who gets metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) server: Server,
    file: Option<PathBuf>,
    interval_ms: Millis,
    /// When the file is written the next time.
    due: Millis,
    /// The last attempt to write it has failed, which was said.
    failed: bool,
}

impl Metrics {
    /// As the settings say.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub(super) fn open(settings: &Settings, reactor: &mut Reactor) -> Result<Metrics, ListenError> {
        let server = Server::new(token::METRICS);
        let mut metrics = Metrics { server, file: None, interval_ms: 0, due: 0, failed: false };
        metrics.server.listen(settings.listen.as_ref(), reactor)?;
        metrics.set_file(settings, 0);
        Ok(metrics)
    }

    fn set_file(&mut self, settings: &Settings, now: Millis) {
        if self.file != settings.text_file {
            self.remove_file();
            self.file.clone_from(&settings.text_file);
            self.failed = false;
        }
        self.interval_ms = Millis::from(settings.interval_s) * 1000;
        self.due = now;
    }

    fn remove_file(&self) {
        if let Some(path) = self.file.as_ref().filter(|p| p.is_file()) {
            _ = std::fs::remove_file(path);
        }
    }

    /// Takes away what others would take for a running daemon.
    pub(super) fn end(&self) {
        self.server.remove();
        self.remove_file();
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        let file = self.file.is_some().then_some(self.due);
        [file, self.server.deadline()].into_iter().flatten().min()
    }

    fn file_is_due(&self, now: Millis) -> bool {
        self.file.is_some() && self.due <= now
    }

    fn write_file(&mut self, text: &[u8], now: Millis, log: &mut Log) {
        let Some(path) = &self.file else { return };
        self.due = now + self.interval_ms;
        match replace(path, text) {
            Ok(()) => self.failed = false,
            Err(why) if !self.failed => {
                self.failed = true;
                log.error(&format!("can't write the metrics: {why}"));
            }
            Err(_) => {}
        }
    }
}

fn replace(path: &Path, text: &[u8]) -> Result<(), WriteError> {
    let mut new = Replacement::begin(path)?;
    let file = new.file();
    let written = file.write_all(text).and_then(|()| file.set_permissions(Permissions::from_mode(FILE_MODE)));
    written.map_err(|e| WriteError { path: path.into(), why: Unwritten::System(e) })?;
    new.finish()
}

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
        Shown { status: &status, process: Process::read(), longest_turn }.text()
    }
}
