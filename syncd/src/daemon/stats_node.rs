//! Statistics mode: the flows of this firewall, written down when they end (conntrackd.md §11).

use crate::config::settings::{LogFormat, Stats};
use crate::control::text::Row;
use crate::host::log::{Level, LineFile, Syslog, now_s, syslog_date};
use crate::kernel::{Taker, Why};
use crate::peer::{CacheStats, Event, Millis, Origin};
use crate::stats::ended::Ended;
use crate::stats::log::{EndedFlow, json_line, syslog_text, text_line};
use crate::store::{Cursor, FlowId, FlowStore, Key, Meta};
use zct_engine::SystemZone;
use zct_wire::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::peer::Flow;
use zct_wire::text::{EventTime, Out, TextContext, TimeZone as _};

/// Bytes of lines that wait to be written together.
const BUFFER: usize = 32 << 10;
/// Records that one turn of a sweep looks at.
const SWEEP_A_TURN: usize = 4096;
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
    /// Lines that could not be written.
    pub lost: u64,
}

impl FlowLog {
    /// Opens the sinks.
    ///
    /// # Errors
    /// As [`LineFile::open`].
    pub(crate) fn open(settings: &Stats) -> Result<FlowLog, String> {
        Ok(FlowLog {
            file: settings.log_file.as_deref().map(LineFile::open).transpose()?,
            syslog: settings.syslog.map(Syslog::new),
            format: settings.log_format,
            zone: SystemZone::default(),
            lines: Vec::with_capacity(BUFFER),
            lost: 0,
        })
    }

    /// Opens the file anew after it was moved away.
    pub(crate) fn reopen(&mut self) -> Result<(), String> {
        self.write_lines();
        self.file.as_mut().map_or(Ok(()), LineFile::reopen)
    }

    /// Writes what waits; true when syslog has not taken all of it.
    pub(crate) fn flush(&mut self) -> bool {
        self.write_lines();
        self.syslog.as_mut().is_some_and(Syslog::flush)
    }

    fn write_lines(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if let Some(f) = &mut self.file {
            if f.write(&self.lines).is_err() {
                self.lost += self.lines.iter().filter(|b| **b == b'\n').count() as u64;
            }
        }
        self.lines.clear();
    }

    /// Writes a flow down.
    fn ended(&mut self, flow: &EndedFlow<'_>) {
        if self.write(flow).is_err() {
            self.lost += 1;
        }
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

/// Flows and counters.
#[derive(Debug)]
pub(crate) struct StatsCache {
    /// The flows.
    pub store: FlowStore,
    /// What became of them.
    pub stats: CacheStats,
    /// And by protocol.
    pub ended: Ended,
    /// Where ended ones are written.
    pub log: FlowLog,
    /// Of the sweep under way: what has another generation has gone.
    generation: u8,
    sweep: Option<Cursor>,
    /// The daemon's clock, kept by whoever calls.
    pub now: Millis,
}

impl StatsCache {
    /// An empty cache of at most `limit` flows.
    pub(crate) fn new(limit: usize, seed: [u64; 2], log: FlowLog) -> StatsCache {
        StatsCache {
            store: FlowStore::new(limit, seed),
            stats: CacheStats::default(),
            ended: Ended::default(),
            log,
            generation: 0,
            sweep: None,
            now: 0,
        }
    }

    fn upsert(&mut self, flow: &Flow, id: u32, anew: bool) {
        let Some(key) = Key::of(flow) else { return };
        let place = self.store.locate(&key);
        let meta = Meta {
            born_s: (self.now / 1000) as u32,
            note: id,
            generation: self.generation,
            ..Meta::default()
        };
        match place.id {
            Some(at) if anew => {
                self.store.replace(at, flow);
                self.store.set_meta(at, meta);
                self.stats.created += 1;
            }
            Some(at) => {
                let mut merged = self.store.flow(at).unwrap_or(*flow);
                merged.merge(flow);
                self.store.replace(at, &merged);
                let born_s = self.store.meta(at).map_or(meta.born_s, |m| m.born_s);
                self.store.set_meta(at, Meta { born_s, ..meta });
                self.stats.updated += 1;
            }
            None => match self.store.insert(&place, flow, meta) {
                Ok(_) => self.stats.created += 1,
                Err(_) => self.stats.no_space += 1,
            },
        }
    }

    fn destroy(&mut self, view: &FlowView<'_>) -> Result<(), WireError> {
        let flow = Flow::from_kernel(view)?;
        self.ended.count(view)?;
        let known = Key::of(&flow).and_then(|k| self.store.find(&k));
        let Some(at) = known else {
            self.stats.destroy_failed += 1;
            return Ok(());
        };
        let helper = self.store.flow(at).and_then(|f| f.helper);
        self.store.remove(at);
        self.stats.destroyed += 1;
        self.log.ended(&EndedFlow { flow: view, helper: helper.as_ref().map(|h| h.as_bytes()) });
        Ok(())
    }

    /// `-f internal`.
    pub(crate) fn clear(&mut self) {
        self.store.clear();
        self.sweep = None;
    }

    /// A comparison with the kernel begins.
    pub(crate) fn begin_resync(&mut self) {
        self.generation = (self.generation + 1) % crate::store::GENERATIONS;
        self.sweep = None;
    }

    /// It has come to its end: what was not there has ended unseen.
    pub(crate) fn end_resync(&mut self) {
        self.sweep = Some(Cursor::default());
    }

    /// A bounded piece of that; true when there is more.
    pub(crate) fn sweep(&mut self) -> bool {
        let Some(mut cursor) = self.sweep else { return false };
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = self.store.walk(&mut cursor) else {
                self.sweep = None;
                return false;
            };
            self.sweep_one(id);
        }
        self.sweep = Some(cursor);
        true
    }

    fn sweep_one(&mut self, id: FlowId) {
        let (Some(meta), Some(flow)) = (self.store.meta(id), self.store.flow(id)) else { return };
        if meta.generation != self.generation {
            self.store.remove(id);
            self.stats.destroyed += 1;
            // The message was missed: what is kept has to do.
            self.log.ended(&EndedFlow::new(&Row::local(&flow, meta.note)));
        }
    }
}

impl Taker for StatsCache {
    fn flow(&mut self, event: Event, _: Origin, view: &FlowView<'_>) -> Result<(), WireError> {
        match event {
            Event::New | Event::Update => {
                let id = view.id()?.unwrap_or(0);
                self.upsert(&Flow::from_kernel(view)?, id, event == Event::New);
            }
            Event::Destroy => self.destroy(view)?,
        }
        Ok(())
    }

    fn expect(&mut self, _: Event, _: Origin, _: &ExpectView<'_>) -> Result<(), WireError> {
        Ok(())
    }

    fn dumped(&mut self, _: Why, view: &FlowView<'_>) -> Result<(), WireError> {
        let id = view.id()?.unwrap_or(0);
        self.upsert(&Flow::from_kernel(view)?, id, false);
        Ok(())
    }

    fn expect_dumped(&mut self, _: Why, _: &ExpectView<'_>) -> Result<(), WireError> {
        Ok(())
    }

    fn knows(&self, view: &FlowView<'_>) -> bool {
        Flow::from_kernel(view).ok().and_then(|f| Key::of(&f)).is_some_and(|k| self.store.find(&k).is_some())
    }
}
