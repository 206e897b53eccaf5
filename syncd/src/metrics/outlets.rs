//! The two ways in which metrics go out, as the configuration wants them: to whoever asks, and into a file.

use crate::config::settings::Metrics;
use crate::host::log::Log;
use crate::metrics::server::{ListenError, MetricsServer};
use crate::peer::Millis;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zct_engine::Reactor;
use zct_engine::write_file::{Replacement, Unwritten, WriteError};

/// Everybody may read the file, whatever the mask of the daemon's other files says.
const FILE_MODE: u32 = 0o644;

/// The server and the file, as far as they are configured.
#[derive(Debug)]
pub struct Outlets {
    /// Answers whoever asks.
    pub server: MetricsServer,
    file: Option<PathBuf>,
    interval_ms: Millis,
    /// When the file is written the next time.
    due: Millis,
    /// The last attempt to write it has failed, which was said.
    failed: bool,
}

impl Outlets {
    /// As the settings say. `first_token` and the [`MetricsServer::TOKENS`] from there on belong to the server.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub fn open(
        settings: &Metrics,
        first_token: usize,
        reactor: &mut Reactor,
    ) -> Result<Outlets, ListenError> {
        let server = MetricsServer::new(first_token);
        let mut outlets = Outlets { server, file: None, interval_ms: 0, due: 0, failed: false };
        outlets.server.listen(settings.listen.as_ref(), reactor)?;
        outlets.set_file(settings, 0);
        Ok(outlets)
    }

    /// Writes the file that the settings name, from now on; the one before is removed.
    pub fn set_file(&mut self, settings: &Metrics, now: Millis) {
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

    /// Removes the socket and the file, which would look as if the daemon still ran.
    pub fn end(&self) {
        self.server.remove();
        self.remove_file();
    }

    /// When the daemon has to wake up for this.
    pub fn deadline(&self) -> Option<Millis> {
        let file = self.file.is_some().then_some(self.due);
        [file, self.server.deadline()].into_iter().flatten().min()
    }

    /// Whether it is time to write the file.
    pub fn file_is_due(&self, now: Millis) -> bool {
        self.file.is_some() && self.due <= now
    }

    /// Writes it; the first of several failures is logged.
    pub fn write_file(&mut self, text: &[u8], now: Millis, log: &mut Log) {
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
