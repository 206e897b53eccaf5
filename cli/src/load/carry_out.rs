//! Carrying out the lines of a batch file.

use super::options::Options;
use super::selectors::Selectors;
use super::source::Line;
use crate::commands::delete::{self, Deleter, Selection};
use crate::commands::existing::{Added, Adder, Fixed, Found, Short};
use crate::commands::wanted::{self, Mode, Wanted};
use crate::commands::{Invocation, flush, output_failed, update};
use crate::dump_plan::Plan;
use crate::fail::{Doing, Fail, Name, operation_failed, warn};
use crate::filter::Filter;
use crate::flags::command::{Cmd, Table};
use crate::flags::id::Id;
use crate::output::{Document, Presenter};
use crate::progress::{self, Progress};
use crate::values::list::Output;
use std::io::{self, Write as _};
use zct_engine::batch::BATCH_MAX;
use zct_engine::{Answer, Batch, Error};
use zct_wire::WireError;
use zct_wire::flow::FlowView;
use zct_wire::request;

/// The most selections in one pass, which bounds the memory.
const DELETES_MAX: usize = 16_384;
/// How many lines get a warning of their own; further ones are only counted.
const WARNED: u64 = 10;

/// A line whose creation is in the batch.
#[derive(Debug)]
struct Creation {
    number: u64,
    mode: Mode,
    wanted: Wanted,
    /// Where its text is in [`Runner::text`], for messages.
    text: std::ops::Range<usize>,
}

impl Creation {
    fn refused(&self, error: &Error) -> Fail {
        self.wanted.refused(self.mode, error)
    }
}

/// The lines of one run of consecutive deletions.
#[derive(Default)]
struct Deletions {
    selectors: Selectors,
    /// The number and the output options of each line.
    lines: Vec<(u64, Output)>,
    /// The number of a line that selects everything without `--all`.
    unasked: Option<u64>,
}

impl Selection for &Deletions {
    fn plan(&self) -> (Filter, Plan) {
        // The filter that all lines have in common; the rest is looked up for each flow.
        let filter = Filter { family: self.selectors.family(), ..Filter::default() };
        let plan = Plan::plain(&filter);
        (filter, plan)
    }

    fn find(&self, f: &FlowView<'_>) -> Result<Option<u32>, WireError> {
        Ok(self.selectors.find(f)?.map(|i| i as u32))
    }

    fn output(&self, index: u32) -> Option<Output> {
        self.lines.get(index as usize).map(|(_, output)| *output)
    }
}

/// Carries out lines in the order of the file.
pub struct Runner {
    name: Name,
    file: String,
    options: Options,
    creates: Batch,
    creations: Vec<Creation>,
    /// For flows that already exist; opened for the first of them.
    adder: Option<Adder>,
    /// The text of the lines in the batch.
    text: Vec<u8>,
    deletions: Deletions,
    /// True when a line has failed and the run went on.
    failed: bool,
    /// How many flows were added without their EXPECTED, and how many kept a fixed timeout.
    short: (u64, u64),
    /// How many flows look translated but are not.
    untranslated: u64,
    counts: Totals,
    progress: Progress,
    /// How many commands have been taken, and how many there are.
    lines: (u64, u64),
}

/// How many flows a dry run would create, update and delete.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    created: u64,
    updated: u64,
    deleted: u64,
    failed: u64,
}

impl Runner {
    /// `total` is the number of commands, for whoever waits for the last.
    pub fn new(name: Name, file: String, options: Options, total: u64) -> Result<Runner, Fail> {
        Ok(Runner {
            name,
            file,
            options,
            creates: Batch::open().map_err(|e| operation_failed(Doing::Other, &e))?,
            creations: Vec::new(),
            adder: None,
            text: Vec::new(),
            deletions: Deletions::default(),
            failed: false,
            short: (0, 0),
            untranslated: 0,
            counts: Totals::default(),
            progress: Progress::begin(),
            lines: (0, total),
        })
    }

    /// Takes one line, which may be carried out later, together with those after it.
    pub fn line(&mut self, mut call: Invocation, line: Line<'_>) -> Result<(), Fail> {
        self.step(call.args.action);
        match call.args.action {
            Some((Cmd::Create, _)) => self.create(&call, Mode::Create, line),
            Some((Cmd::Add, _)) => self.create(&call, Mode::Add, line),
            Some((Cmd::Delete, _)) => {
                self.send_creations()?;
                let filter = delete::deletion_filter(&call).map_err(|f| self.at_line(f, line))?;
                if delete::is_unasked(&call.args) {
                    self.deletions.unasked.get_or_insert(line.number);
                }
                self.deletions.selectors.push(filter);
                self.deletions.lines.push((line.number, call.args.output));
                if self.deletions.lines.len() < DELETES_MAX { Ok(()) } else { self.run_deletions() }
            }
            action => {
                self.send_creations()?;
                self.run_deletions()?;
                if self.options.dry_run {
                    call.args.given.add(Id::DryRun);
                }
                let done = match action {
                    Some((Cmd::Flush, _)) => {
                        flush::table(&call, Table::Conntrack).map(|n| self.counts.deleted += n)
                    }
                    _ => update::run(&call).and_then(|updated| {
                        self.counts.updated += updated.count;
                        updated.refusals().map_or(Ok(()), |text| Err(Fail::runtime(text)))
                    }),
                };
                let done = done.map_err(|f| self.at_line(f, line));
                self.one_failed(done)
            }
        }
    }

    /// Counts a line, and says so when it is time.
    fn step(&mut self, action: Option<(Cmd, Table)>) {
        self.lines.0 += 1;
        let (done, total) = self.lines;
        let text = || format!("{done} of {total} lines");
        match action {
            Some((Cmd::Create | Cmd::Add | Cmd::Delete, _)) => self.progress.step(text),
            // Each of them reads the table.
            _ => self.progress.large_step(text),
        }
    }

    /// The failure with its place, which includes the text of the line.
    fn at_line(&self, fail: Fail, line: Line<'_>) -> Fail {
        fail.at(&self.place(line.number, line.text))
    }

    fn place(&self, number: u64, text: &[u8]) -> String {
        format!("{}:{number}: {}", self.file, String::from_utf8_lossy(text.trim_ascii()))
    }

    /// A failed line ends the run, or is reported and counted.
    fn one_failed(&mut self, done: Result<(), Fail>) -> Result<(), Fail> {
        match done {
            Err(f) if self.options.keep_going || self.options.dry_run => {
                f.report(&self.name);
                self.failed = true;
                self.counts.failed += 1;
                Ok(())
            }
            done => done,
        }
    }

    fn create(&mut self, call: &Invocation, mode: Mode, line: Line<'_>) -> Result<(), Fail> {
        self.run_deletions()?;
        if self.creates.is_full() || self.creations.len() == BATCH_MAX {
            self.send_creations()?;
        }
        let wanted = wanted::wanted(call, mode).map_err(|f| self.at_line(f, line))?;
        if let Some(text) = wanted.looks_translated() {
            self.untranslated += 1;
            if self.untranslated <= WARNED {
                warn(format!("{text} ({})", self.place(line.number, line.text)).as_bytes());
            }
        }
        if !self.options.dry_run {
            let flow = &wanted.flow;
            let added = self
                .creates
                .add(|buf, seq| request::new_flow(buf, seq, wanted::FLAGS, flow))
                .map_err(|e| operation_failed(mode.doing(), &e));
            if let Err(f) = added.map_err(|f| self.at_line(f, line)) {
                return self.one_failed(Err(f));
            }
        }
        let start = self.text.len();
        self.text.extend_from_slice(line.text);
        self.creations.push(Creation { number: line.number, mode, wanted, text: start..self.text.len() });
        Ok(())
    }

    /// Sends the creations that have been collected, and handles those that were refused.
    fn send_creations(&mut self) -> Result<(), Fail> {
        if self.creations.is_empty() {
            return Ok(());
        }
        let creations = std::mem::take(&mut self.creations);
        let text = std::mem::take(&mut self.text);
        let done = if self.options.dry_run {
            self.show_creations(&creations, &text)
        } else {
            let lines = format!("{}-{}", creations[0].number, creations[creations.len() - 1].number);
            let place = format!("{}:{lines}: how far these lines got is not known", self.file);
            let mut refused: Vec<(usize, Error)> = Vec::new();
            let sent = self.creates.send(&mut |index, answer| match answer {
                Answer::Refused(e) => refused.push((index, e)),
                Answer::Message(_) => {}
            });
            sent.map_err(|e| operation_failed(Doing::Other, &e))
                .and_then(|()| self.settle_refused(&creations, refused))
                .map_err(|f| f.at(&place))
                .and_then(|refused| self.report_refused(&creations, &text, refused))
        };
        // Put the buffers back, to use them again.
        (self.creations, self.text) = (creations, text);
        self.creations.clear();
        self.text.clear();
        done
    }

    /// Handles lines of `-A` whose flows exist; returns the lines that were not carried out, and why.
    fn settle_refused(
        &mut self,
        creations: &[Creation],
        refused: Vec<(usize, Error)>,
    ) -> Result<Vec<(usize, Fail)>, Fail> {
        let exists = |(index, e): &(usize, Error)| {
            creations[*index].mode == Mode::Add && e.errno() == Some(libc::EEXIST)
        };
        let created = |i: &usize| refused.iter().all(|(r, _)| r != i);
        let unexpected = creations.iter().enumerate().filter(|(_, c)| c.wanted.unexpected);
        self.short.0 += unexpected.filter(|(i, _)| created(i)).count() as u64;
        let again: Vec<usize> = refused.iter().filter(|r| exists(r)).map(|(index, _)| *index).collect();
        let rest = refused.into_iter().filter(|r| !exists(r));
        let mut fails: Vec<(usize, Fail)> =
            rest.map(|(index, e)| (index, creations[index].refused(&e))).collect();
        if again.is_empty() {
            return Ok(fails);
        }
        let failed = |e: Error| operation_failed(Doing::Add, &e);
        let adder = adder(&mut self.adder).map_err(failed)?;
        let lines: Vec<&Wanted> = again.iter().map(|i| &creations[*i].wanted).collect();
        for (index, added) in again.iter().zip(adder.add(&lines).map_err(failed)?) {
            match added {
                Added::Done(short) => {
                    self.short.0 += u64::from(short.expected);
                    // A flow that was saved as fixed merely has another time left: no need to warn.
                    self.short.1 += u64::from(short.timeout == Some(Fixed::Unasked));
                }
                Added::Refused(fail) => fails.push((*index, fail)),
            }
        }
        fails.sort_unstable_by_key(|(index, _)| *index);
        Ok(fails)
    }

    fn report_refused(
        &mut self,
        creations: &[Creation],
        text: &[u8],
        refused: Vec<(usize, Fail)>,
    ) -> Result<(), Fail> {
        let indices: Vec<usize> = refused.iter().map(|(index, _)| *index).collect();
        for (index, fail) in refused {
            let c = &creations[index];
            let mut place = self.place(c.number, &text[c.text.clone()]);
            if !self.options.keep_going {
                let later = carried_out_after(index, creations, &indices);
                if !later.is_empty() {
                    place += &format!("; later lines of its batch were carried out: {later}");
                }
            }
            self.one_failed(Err(fail.at(&place)))?;
        }
        Ok(())
    }

    /// The creations of a dry run: shows the lines that would do something, and those that would fail.
    fn show_creations(&mut self, creations: &[Creation], text: &[u8]) -> Result<(), Fail> {
        progress::make_way();
        let mut out = io::stdout().lock();
        let wanted: Vec<&Wanted> = creations.iter().map(|c| &c.wanted).collect();
        let found = adder(&mut self.adder).and_then(|adder| adder.find(&wanted));
        for (c, found) in creations.iter().zip(found.map_err(|e| operation_failed(Doing::Other, &e))?) {
            let line = text[c.text.clone()].trim_ascii();
            let exists = Error::Refused { errno: libc::EEXIST, hint: None };
            let fails = match (found, c.mode) {
                (Found::Nothing, _) => {
                    self.counts.created += 1;
                    None
                }
                (Found::Flow(..), Mode::Add) => {
                    self.counts.updated += 1;
                    None
                }
                (Found::Other(fail) | Found::Refused(fail), Mode::Add) => Some(fail),
                (_, Mode::Create) => Some(operation_failed(Doing::Create, &exists)),
            };
            if let Some(fail) = fails {
                let place = self.place(c.number, line);
                self.one_failed(Err(fail.at(&place)))?;
                continue;
            }
            out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(|e| output_failed(&e))?;
        }
        out.flush().map_err(|e| output_failed(&e))
    }

    /// Makes one pass over the table for the deletions that have been collected.
    fn run_deletions(&mut self) -> Result<(), Fail> {
        if self.deletions.selectors.is_empty() {
            return Ok(());
        }
        let presenter = Presenter::stdout(&Output::default(), Document::Bare, None);
        let presenter = presenter.map_err(|e| output_failed(&e))?;
        let deletions = std::mem::take(&mut self.deletions);
        let deleted = Deleter::new(self.name, &deletions, Some(presenter), self.options.dry_run)
            .map_err(|e| operation_failed(Doing::Delete, &e))
            .and_then(|d| d.run(Doing::Delete, Progress::begin()));
        let first = deletions.lines.first().map_or(0, |(n, _)| *n);
        let last = deletions.lines.last().map_or(0, |(n, _)| *n);
        let deleted = deleted.map_err(|f| f.at(&format!("{}:{first}-{last}", self.file)))?;
        self.counts.deleted += deleted.count;
        if let Some(number) = deletions.unasked {
            let text = delete::unasked(self.options.dry_run);
            self.name.say(format!("{text} ({}:{number})", self.file).as_bytes());
        }
        for (index, count) in &deleted.refused {
            let number = deletions.lines.get(*index as usize).map_or(0, |(n, _)| *n);
            let fail = Fail::runtime(format!("{count} flow entries could not be deleted"));
            self.one_failed(Err(fail.at(&format!("{}:{number}", self.file))))?;
        }
        Ok(())
    }

    /// Carries out what is left, unless the run has ended in a failure, and returns the outcome of the run.
    pub fn finish(mut self, ended: Result<(), Fail>) -> Result<(), Fail> {
        let ended = ended.and_then(|()| self.send_creations()).and_then(|()| self.run_deletions());
        if self.untranslated > WARNED {
            let more = self.untranslated - WARNED;
            warn(format!("WARNING: {more} more lines like these: packets will not be translated").as_bytes());
        }
        let (expected, timeout) = self.short;
        Short::warnings(expected, timeout).iter().for_each(|text| warn(text.as_bytes()));
        ended?;
        if self.options.dry_run {
            let Totals { created, updated, deleted, failed } = self.counts;
            let text = format!(
                "dry run: {created} flow entries would be created, {updated} updated, {deleted} deleted; {failed} lines would fail."
            );
            self.name.say(text.as_bytes());
        }
        if self.failed {
            let lines = self.counts.failed;
            // A dry run has said so already.
            return Err(match self.options.dry_run {
                true => Fail::silent(),
                false => Fail::runtime(format!("{lines} lines of {} could not be carried out.", self.file)),
            });
        }
        Ok(())
    }
}

/// The adder, which is opened for the first line that needs it.
fn adder(adder: &mut Option<Adder>) -> Result<&mut Adder, Error> {
    match adder {
        Some(adder) => Ok(adder),
        none => Ok(none.insert(Adder::open()?)),
    }
}

/// The numbers of the lines after a refused one that took effect all the same, as ranges.
fn carried_out_after(index: usize, creations: &[Creation], refused: &[usize]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut open = false;
    for (i, c) in creations.iter().enumerate().skip(index + 1) {
        if refused.contains(&i) {
            open = false;
            continue;
        }
        match ranges.last_mut() {
            Some((_, end)) if open => *end = c.number,
            _ => ranges.push((c.number, c.number)),
        }
        open = true;
    }
    let shown = ranges.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    shown.collect::<Vec<_>>().join(", ")
}
