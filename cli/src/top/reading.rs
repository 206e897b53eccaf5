//! One reading of the table: the groups, how they have changed since the last one, and how full it is.

use super::history::{Change, History};
use super::options::TopSelection;
use super::system::System;
use crate::commands::by::{ACCOUNTING, counts};
use crate::commands::plan;
use crate::fail::{Doing, Fail, operation_failed};
use crate::group::key::Keys;
use crate::group::order::Order;
use crate::group::tally::{Counts, Groups};
use crate::reader;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};
use zct_engine::dump::End;
use zct_engine::{Error, Lost, Sink, table};
use zct_wire::WireError;
use zct_wire::consts::cta;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::Table;

/// The sysctl without which flows do not know when they began.
const TIMESTAMPS: &str = "net.netfilter.nf_conntrack_timestamp";
/// Each time this many flows have been read, the reading asks whether it is to stop.
const ASK_EVERY: u64 = 8192;

/// What is known of a group beside its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    /// Bytes that its flows have carried since the last reading.
    pub(super) more: u64,
    /// Flows that were not there then.
    pub(super) new: u64,
    /// When the oldest of them began, in nanoseconds since the epoch; 0 where that is not known.
    pub(super) oldest_ns: u64,
}

/// A reading of the table.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) keys: Keys,
    pub(super) groups: Groups,
    /// One for each group, by the group's number; empty for an estimate, in which groups take each other's
    /// places.
    extras: Vec<Extra>,
    /// Time since the last reading, if there was one.
    pub(super) span: Option<Duration>,
    pub(super) time: SystemTime,
    pub(super) took: Duration,
    /// True when flows count packets and bytes.
    pub(super) counted: bool,
    /// True when flows know when they began.
    pub(super) timed: bool,
    pub(super) system: System,
    /// What it had been when the last reading was made.
    pub(super) system_before: Option<System>,
    /// Why flows may be missing.
    pub(super) lost: Option<Lost>,
}

/// What is read, and what is known of the readings before.
#[derive(Debug)]
pub(super) struct TopReader {
    history: History,
    at: Option<Instant>,
    system: Option<System>,
    /// The table as BPF reads it, where that is asked for and possible.
    table: Option<table::Table>,
    /// True once it has been said why netlink reads it instead. The first reading comes before the screen is taken.
    told: bool,
}

/// Hands every flow to the sink: by BPF or else by a dump, as `-L` does.
fn read_table(
    table: &mut Option<table::Table>,
    told: &mut bool,
    selection: &TopSelection,
    taking: &mut Taking<'_>,
) -> Result<End, Error> {
    let args = &selection.call.args;
    let opened = match table.take() {
        Some(table) => Ok(table),
        None => reader::open(args.reader, Table::Conntrack, &args.output, &selection.filter),
    };
    match opened.and_then(|mut opened| Ok((opened.read(taking)?, opened))) {
        Ok((ended, opened)) => {
            // It is looked for again after a resize.
            *table = taking.lost.is_none().then_some(opened);
            return Ok(ended);
        }
        Err(why) if !*told => args.reader.fell_back(&why),
        Err(_) => {}
    }
    let filter = &selection.filter;
    plan(args, filter).run(filter, Table::Conntrack, taking)
}

struct Taking<'a> {
    selection: &'a TopSelection,
    keys: &'a Keys,
    groups: Groups,
    extras: Vec<Extra>,
    history: &'a mut History,
    counted: bool,
    timed: bool,
    asked: u64,
    lost: Option<Lost>,
    /// Says whether to stop.
    stop: &'a mut (dyn FnMut() -> bool + Send),
    stopped: bool,
}

impl Taking<'_> {
    fn take(&mut self, msg: CtMsg<'_>) -> Result<(), WireError> {
        let f = FlowView::index(msg)?;
        if !self.selection.filter.matches(&f)? {
            return Ok(());
        }
        let (key, what) = (self.keys.pack(&f)?, counts(&f)?);
        self.counted |= f.has(cta::COUNTERS_ORIG);
        let group = self.groups.add(&key, what);
        let tuple = f.raw(cta::TUPLE_ORIG).unwrap_or_default();
        let ident = self.history.ident(tuple, f.zone()?.unwrap_or(0));
        // Without a group there is nothing to add to: this is an estimate, whose extras are thrown away.
        let change = self.history.flow(ident, what.bytes, group.unwrap_or(0));
        let Some(group) = group else { return Ok(()) };
        if self.extras.len() <= group {
            self.extras.resize(group + 1, Extra::default());
        }
        let started = if f.has(cta::TIMESTAMP) { f.timestamps()?.and_then(|t| t.start_ns) } else { None };
        if let Some(extra) = self.extras.get_mut(group) {
            if let Change::More(more) = change {
                extra.more = extra.more.saturating_add(more);
            }
            if let Some(start) = started {
                self.timed = true;
                extra.oldest_ns = if extra.oldest_ns == 0 { start } else { extra.oldest_ns.min(start) };
            }
        }
        Ok(())
    }
}

impl Sink for Taking<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Err(e) = self.take(msg) {
            self.lost(Lost::Damaged(e));
        }
        self.asked += 1;
        if self.asked % ASK_EVERY == 0 && (self.stop)() {
            self.stopped = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
    }
}

impl TopReader {
    pub(super) fn new() -> TopReader {
        TopReader { history: History::new(), at: None, system: None, table: None, told: false }
    }

    /// Forgets the readings before: other flows are looked at from now on.
    pub(super) fn forget(&mut self) {
        self.history.forget();
        self.at = None;
        // It leaves out what had not been selected.
        self.table = None;
    }

    /// Reads the table; `None` when `stop` said so. An estimate is made of the figure of `order`.
    pub(super) fn read(
        &mut self,
        selection: &TopSelection,
        keys: &Keys,
        order: Order,
        stop: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<Option<Reading>, Fail> {
        let begun = Instant::now();
        let time = SystemTime::now();
        let system = System::read()?;
        self.history.begin();
        let known = self.history.is_known();
        let mut groups = Groups::new(keys.words(), order);
        groups.expect(system.entries);
        let mut taking = Taking {
            selection,
            keys,
            groups,
            extras: Vec::new(),
            history: &mut self.history,
            counted: false,
            timed: false,
            asked: 0,
            lost: None,
            stop,
            stopped: false,
        };
        read_table(&mut self.table, &mut self.told, selection, &mut taking)
            .map_err(|e| operation_failed(Doing::List, &e))?;
        self.told = true;
        let Taking { groups, mut extras, counted, timed, lost, stopped, .. } = taking;
        if stopped {
            // Half a reading is nothing to compare with.
            self.forget();
            return Ok(None);
        }
        self.history.end(|group, new, more| {
            if let Some(extra) = extras.get_mut(group) {
                extra.new += u64::from(new);
                extra.more = extra.more.saturating_add(more);
            }
        });
        if groups.estimated().is_some() {
            extras.clear();
        }
        let span = self.at.replace(begun).filter(|_| known).map(|at| begun - at);
        let system_before = self.system.replace(system);
        let took = begun.elapsed();
        let keys = keys.clone();
        Ok(Some(Reading {
            keys,
            groups,
            extras,
            span,
            time,
            took,
            counted,
            timed,
            system,
            system_before,
            lost,
        }))
    }
}

#[cfg(test)]
impl Reading {
    /// A reading of these groups, each with a number of flows, for tests of what is shown.
    pub(super) fn of(keys: &Keys, groups: &[(crate::group::key::Packed, Counts, Extra)]) -> Reading {
        let mut tally = Groups::new(keys.words(), Order::Flows);
        let extras = groups.iter().map(|(key, counts, extra)| (tally.add(key, *counts), *extra).1).collect();
        Reading {
            keys: keys.clone(),
            groups: tally,
            extras,
            span: Some(Duration::from_secs(2)),
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
            took: Duration::from_millis(3),
            counted: groups.iter().any(|(_, counts, _)| counts.packets > 0),
            timed: groups.iter().any(|(_, _, extra)| extra.oldest_ns > 0),
            system: System { entries: 750, limit: Some(1000), drop: 5, early_drop: 7 },
            system_before: Some(System { entries: 700, limit: Some(1000), drop: 5, early_drop: 7 }),
            lost: None,
        }
    }
}

/// `amount` a second.
fn a_second(amount: u64, span: Duration) -> f64 {
    amount as f64 / span.as_secs_f64().max(0.001)
}

impl Reading {
    /// What is known of a group beside its counts.
    pub(super) fn extra(&self, group: usize) -> Option<&Extra> {
        self.extras.get(group)
    }

    /// Bytes a second of a group.
    pub(super) fn rate(&self, group: usize) -> Option<f64> {
        let span = self.span.filter(|_| self.counted)?;
        Some(a_second(self.extra(group)?.more, span))
    }

    /// New flows a second of a group.
    pub(super) fn new_flows(&self, group: usize) -> Option<f64> {
        Some(a_second(self.extra(group)?.new, self.span?))
    }

    /// Age of the oldest flow of a group in seconds.
    pub(super) fn age_s(&self, group: usize) -> Option<u64> {
        let start = self.extra(group)?.oldest_ns;
        let now = self.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (start > 0).then(|| now.as_secs().saturating_sub(start / 1_000_000_000))
    }

    /// New flows a second of all groups.
    pub(super) fn all_new_flows(&self) -> Option<f64> {
        let span = self.span.filter(|_| self.groups.estimated().is_none())?;
        Some(a_second(self.extras.iter().map(|e| e.new).sum(), span))
    }

    /// Bytes a second of all groups.
    pub(super) fn all_rate(&self) -> Option<f64> {
        let span = self.span.filter(|_| self.counted && self.groups.estimated().is_none())?;
        Some(a_second(self.extras.iter().map(|e| e.more).sum(), span))
    }

    /// The groups with the largest figure, largest first.
    pub(super) fn largest(&self, order: Order, top: Option<usize>) -> Vec<usize> {
        self.groups.largest(top, |group| match order {
            Order::Rate => self.extra(group).map_or(0, |e| e.more),
            // An early beginning is a high age; what has none comes last.
            Order::Age => self.extra(group).filter(|e| e.oldest_ns > 0).map_or(0, |e| u64::MAX - e.oldest_ns),
            _ => self.groups.figure(group, order),
        })
    }

    /// Drops and early drops since the last reading.
    pub(super) fn dropped(&self) -> Option<(u64, u64)> {
        let before = self.system_before?;
        // The kernel's counters have 32 bits for each CPU and begin again at 0.
        let since = |now: u64, before: u64| now.saturating_sub(before);
        Some((since(self.system.drop, before.drop), since(self.system.early_drop, before.early_drop)))
    }

    /// What all flows that were selected come to.
    pub(super) fn total(&self) -> Counts {
        self.groups.total()
    }

    /// What the figure that is asked for needs and does not have, in words; `None` when there is nothing to
    /// say.
    pub(super) fn missing(&self, order: Order) -> Option<String> {
        let flows = self.total().flows > 0;
        match order {
            // These fit a screen of 80 columns.
            Order::Packets | Order::Bytes | Order::Rate if flows && !self.counted => {
                Some(format!("no bytes: new flows count them with sysctl {ACCOUNTING}=1"))
            }
            Order::Age if flows && !self.timed => {
                Some(format!("no ages: new flows have them with sysctl {TIMESTAMPS}=1"))
            }
            Order::Rate if self.span.is_none() => Some("rates come with the next reading".to_owned()),
            _ => None,
        }
    }
}
