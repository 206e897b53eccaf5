//! Statistics mode: the flows of this firewall, written down when they end (spec/conntrackd.md §11).

use crate::dump_text::{LINE_MAX, Row};
use crate::kernel::{Taker, Why};
use crate::log::{Level, LineFile, Syslog, now_s, syslog_date};
use crate::peer::{CacheStats, Event, Millis, Origin};
use crate::settings::{StatsFormat, StatsSettings};
use crate::store::{Cursor, FlowId, FlowStore, Key, Meta};
use zct_engine::SystemZone;
use zct_wire::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::{Counters, Dir, FlowView};
use zct_wire::peer::Flow;
use zct_wire::text::{EventKind, EventTime, Out, Style, TextContext, TimeZone as _, json};

/// Bytes of lines that wait to be written together.
const BUFFER: usize = 32 << 10;
/// Records that one turn of a sweep looks at.
const SWEEP_A_TURN: usize = 4096;

/// The log of ended flows.
#[derive(Debug)]
pub struct FlowLog {
    file: Option<LineFile>,
    syslog: Option<Syslog>,
    format: StatsFormat,
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
    pub fn open(settings: &StatsSettings) -> Result<FlowLog, String> {
        Ok(FlowLog {
            file: settings.file.as_deref().map(LineFile::open).transpose()?,
            syslog: settings.syslog.map(Syslog::new),
            format: settings.format,
            zone: SystemZone::default(),
            lines: Vec::with_capacity(BUFFER),
            lost: 0,
        })
    }

    /// Opens the file anew after it was moved away.
    pub fn reopen(&mut self) -> Result<(), String> {
        self.flush();
        self.file.as_mut().map_or(Ok(()), LineFile::reopen)
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
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

    /// Writes a flow down. `view` is the message that ended it, if there is one.
    fn ended(&mut self, row: &Row<'_>, delta_s: Option<u64>, view: Option<&FlowView<'_>>) {
        let mut buf = [0; LINE_MAX];
        let mut text = Out::new(&mut buf);
        let now = now_s();
        match (self.format, view) {
            (StatsFormat::Json, Some(view)) => {
                let time = Some(EventTime { sec: now.try_into().unwrap_or(0), usec: 0 });
                let event = json::Event { kind: EventKind::Destroy, portid: 0, program: None, time };
                let style = Style { timestamp: true, ktimestamp: true, id: true, ..Style::default() };
                let ctx = TextContext { now_s: now.try_into().unwrap_or(0), zone: &self.zone, labels: None };
                if json::flow(&mut text, view, Some(&event), &style, &ctx).is_err() {
                    self.lost += 1;
                    return;
                }
            }
            // Found gone by a comparison with the kernel: there is no message to make an object from, so it is
            // told as a text, like the original does.
            _ => {
                row.line(&mut text);
                if let Some(s) = delta_s {
                    text.lit(b" delta-time=");
                    text.u64(s);
                }
            }
        }
        let line = text.written();
        let mut date = [0; 64];
        let mut out = Out::new(&mut date);
        out.ctime(&self.zone.local(now));
        let date = out.written();
        if self.file.is_some() {
            if self.format == StatsFormat::Text {
                self.lines.extend_from_slice(date);
                self.lines.push(b'\t');
            }
            self.lines.extend_from_slice(line);
            self.lines.push(b'\n');
        }
        if let Some(s) = &mut self.syslog {
            let date = String::from_utf8_lossy(date);
            s.write(Level::Info, syslog_date(&date), &String::from_utf8_lossy(line));
        }
        if self.lines.len() >= BUFFER {
            self.flush();
        }
    }
}

/// Flows and counters.
#[derive(Debug)]
pub struct StatsCache {
    /// The flows.
    pub store: FlowStore,
    /// What became of them.
    pub stats: CacheStats,
    /// Bytes and packets of ended flows.
    pub bytes: u64,
    /// Packets likewise.
    pub packets: u64,
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
    pub fn new(limit: usize, seed: [u64; 2], log: FlowLog) -> StatsCache {
        StatsCache {
            store: FlowStore::new(limit, seed),
            stats: CacheStats::default(),
            bytes: 0,
            packets: 0,
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
        let counters = [view.counters(Dir::Orig)?, view.counters(Dir::Reply)?];
        for Counters { packets, bytes } in counters.into_iter().flatten() {
            self.packets += packets;
            self.bytes += bytes;
        }
        let times = view.timestamps()?;
        let delta_s = times.and_then(|t| {
            // Both are cut to seconds first, as the original does.
            Some((t.stop_ns? / 1_000_000_000).saturating_sub(t.start_ns? / 1_000_000_000))
        });
        let known = Key::of(&flow).and_then(|k| self.store.find(&k));
        let Some(at) = known else {
            self.stats.destroy_failed += 1;
            return Ok(());
        };
        let mut merged = self.store.flow(at).unwrap_or(flow);
        merged.merge(&flow);
        self.store.remove(at);
        self.stats.destroyed += 1;
        let row = Row { counters, ..Row::local(&merged, 0) };
        self.log.ended(&row, delta_s, Some(view));
        Ok(())
    }

    /// `-f internal`.
    pub fn clear(&mut self) {
        self.store.clear();
        self.sweep = None;
    }

    /// A comparison with the kernel begins.
    pub fn begin_resync(&mut self) {
        self.generation = (self.generation + 1) % crate::store::GENERATIONS;
        self.sweep = None;
    }

    /// It has come to its end: what was not there has ended unseen.
    pub fn end_resync(&mut self) {
        self.sweep = Some(Cursor::default());
    }

    /// A bounded piece of that; true when there is more.
    pub fn sweep(&mut self) -> bool {
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
            self.log.ended(&Row::local(&flow, 0), None, None);
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
