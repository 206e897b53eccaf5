//! The log of ended flows: the file and the syslog they are written to.

use crate::config::settings::{LogFormat, Stats};
use crate::host::log::{Level, LineFile, LogError, Syslog, now_s, syslog_date};
use crate::stats::lines::{EndedFlow, json_line, syslog_text, text_line};
use zct_engine::SystemZone;
use zct_wire::WireError;
use zct_wire::text::{EventTime, Out, TextContext, TimeZone as _};

/// Bytes of lines that are gathered to be written together.
const BUFFER: usize = 32 << 10;

/// Room for one line; the original cuts its lines at 1024 bytes.
const LINE_MAX: usize = 4096;

/// The log of ended flows.
#[derive(Debug)]
pub(crate) struct FlowLog {
    file: Option<LineFile>,
    syslog: Option<Syslog>,
    format: LogFormat,
    zone: SystemZone,
    lines: Vec<u8>,
    /// The daemon's log has been told that the file takes nothing.
    told: bool,
}

impl FlowLog {
    /// Opens the file and prepares syslog.
    ///
    /// # Errors
    /// Those of [`LineFile::open`].
    pub(crate) fn open(settings: &Stats) -> Result<FlowLog, LogError> {
        Ok(FlowLog {
            file: settings.log_file.as_deref().map(LineFile::open).transpose()?,
            syslog: settings.syslog.map(Syslog::new),
            format: settings.log_format,
            zone: SystemZone::default(),
            lines: Vec::with_capacity(BUFFER),
            told: false,
        })
    }

    /// Reopens the file after it has been moved away.
    pub(crate) fn reopen(&mut self) -> Result<(), LogError> {
        self.write_lines();
        self.file.as_mut().map_or(Ok(()), LineFile::reopen)
    }

    /// Writes what waits; returns true when syslog has not accepted all of it.
    pub(crate) fn flush(&mut self) -> bool {
        self.write_lines();
        self.syslog.as_mut().is_some_and(Syslog::flush)
    }

    /// What the daemon's log should say about the file: that it takes nothing, or what is missing in it once
    /// it does again.
    pub(crate) fn news(&mut self) -> Option<String> {
        let file = self.file.as_mut()?;
        let path = file.path().display().to_string();
        match file.failing() {
            Some(_) if self.told => None,
            Some(why) => {
                self.told = true;
                Some(format!("ended flows can't be written to `{path}': {why}"))
            }
            None => {
                let missing = Some(file.take_missing()).filter(|n| *n > 0);
                self.told = false;
                missing.map(|n| format!("{n} ended flows are missing in `{path}'"))
            }
        }
    }

    fn write_lines(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if let Some(f) = &mut self.file {
            f.write(&self.lines);
        }
        self.lines.clear();
    }

    /// Writes an ended flow to the log.
    pub(crate) fn ended(&mut self, flow: &EndedFlow<'_>) {
        // A flow of which not even the tuple can be read has nothing to be written down.
        _ = self.write(flow);
        if self.lines.len() >= BUFFER {
            self.write_lines();
        }
    }

    fn write(&mut self, flow: &EndedFlow<'_>) -> Result<(), WireError> {
        let now = now_s();
        let local = self.zone.local(now);
        let sec = now.try_into().unwrap_or(0);
        let ctx = TextContext { now_s: sec, zone: &self.zone, labels: None };
        let mut buf = [0; LINE_MAX];
        if self.file.is_some() {
            let mut text = Out::new(&mut buf);
            match self.format {
                LogFormat::Text => text_line(&mut text, flow, &local, &ctx)?,
                LogFormat::Json => json_line(&mut text, flow, EventTime { sec, usec: 0 }, &ctx)?,
            }
            self.lines.extend_from_slice(text.written());
        }
        if let Some(s) = &mut self.syslog {
            let mut text = Out::new(&mut buf);
            match self.format {
                LogFormat::Text => syslog_text(&mut text, flow, &ctx)?,
                LogFormat::Json => json_line(&mut text, flow, EventTime { sec, usec: 0 }, &ctx)?,
            }
            let text = String::from_utf8_lossy(text.written());
            let mut date = [0; 64];
            let mut out = Out::new(&mut date);
            out.ctime(&local);
            let date = String::from_utf8_lossy(out.written());
            s.write(Level::Info, syslog_date(&date), text.trim_end());
        }
        Ok(())
    }
}
