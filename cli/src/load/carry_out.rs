//! Carrying out the lines of a batch file.

use super::Options;
use super::selectors::Selectors;
use super::source::Line;
use crate::commands::create::{self, Mode};
use crate::commands::delete::{self, Deleter, Selection};
use crate::commands::{Invocation, flush, output_failed, update};
use crate::fail::{Doing, Fail, Name, operation_failed};
use crate::filter::Filter;
use crate::flags::command::{Cmd, Table};
use crate::flags::table::Id;
use crate::plan::Plan;
use crate::present::{Document, Presenter};
use crate::values::list::Output;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};
use zct_engine::{Answer, Batch, Error};
use zct_wire::WireError;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::request::{self, REQUEST_MAX};

/// Selections in one pass at most: what bounds the memory.
const DELETES_MAX: usize = 16_384;
/// A run shorter than this shows no progress, and a longer one renews it this often.
const PROGRESS: Duration = Duration::from_millis(500);

/// A line whose creation is in the batch.
#[derive(Debug)]
struct Creation {
    number: u64,
    mode: Mode,
    /// Its text in [`Runner::text`], for messages.
    text: std::ops::Range<usize>,
}

/// The lines of one run of deletions.
#[derive(Default)]
struct Deletions {
    selectors: Selectors,
    /// Number and output of each.
    lines: Vec<(u64, Output)>,
    /// The number of a line that selects everything without having been asked to.
    unasked: Option<u64>,
}

impl Selection for &Deletions {
    fn plan(&self) -> (Filter, Plan) {
        // What all lines have in common; the rest is looked up flow by flow.
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

/// Carries out lines, in order.
pub struct Runner {
    name: Name,
    file: String,
    options: Options,
    creates: Batch,
    creations: Vec<Creation>,
    /// Text of the lines in the batch.
    text: Vec<u8>,
    deletions: Deletions,
    /// Some line failed, and it went on.
    failed: bool,
    counts: Counts,
    progress: Progress,
}

/// What a dry run found.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    created: u64,
    updated: u64,
    deleted: u64,
    failed: u64,
}

impl Runner {
    /// `total` is the number of commands, for the progress.
    pub fn new(name: Name, file: String, options: Options, total: u64) -> Result<Runner, Fail> {
        Ok(Runner {
            name,
            file,
            options,
            creates: Batch::open().map_err(|e| operation_failed(Doing::Other, &e))?,
            creations: Vec::new(),
            text: Vec::new(),
            deletions: Deletions::default(),
            failed: false,
            counts: Counts::default(),
            progress: Progress::new(total),
        })
    }

    /// Takes one line; it may be carried out later, with those after it.
    pub fn line(&mut self, mut call: Invocation, line: Line<'_>) -> Result<(), Fail> {
        self.progress.step();
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
                    _ => update::run(&call).map(|n| self.counts.updated += n),
                };
                let done = done.map_err(|f| self.at_line(f, line));
                self.one_failed(done)
            }
        }
    }

    /// Where a failure was, with the line itself.
    fn at_line(&self, fail: Fail, line: Line<'_>) -> Fail {
        fail.at(&self.place(line.number, line.text))
    }

    fn place(&self, number: u64, text: &[u8]) -> String {
        format!("{}:{number}: {}", self.file, String::from_utf8_lossy(text.trim_ascii()))
    }

    /// A failed line ends the run, or is said and counted.
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
        if self.creates.is_full() {
            self.send_creations()?;
        }
        let flow = create::new_flow(call).map_err(|f| self.at_line(f, line))?;
        let dry_run = self.options.dry_run;
        let added = self.creates.add(|buf, seq| {
            if !dry_run {
                return request::new_flow(buf, seq, mode.flags(), &flow);
            }
            // Only looked for. What finds it is the tuple of the request that would create it.
            let mut new = [0; REQUEST_MAX];
            let new = request::new_flow(&mut new, seq, 0, &flow)?;
            let view = Frames::new(new).next().and_then(Result::ok).and_then(|f| CtMsg::parse(f).ok());
            let view = view.and_then(|m| FlowView::index(m).ok());
            let key = view.as_ref().and_then(|v| v.key().ok()).ok_or(zct_wire::build::Full)?;
            request::get_again(buf, seq, &key)
        });
        let added = added.map_err(|e| operation_failed(mode.doing(), &e)).map_err(|f| self.at_line(f, line));
        if let Err(f) = added {
            return self.one_failed(Err(f));
        }
        let start = self.text.len();
        self.text.extend_from_slice(line.text);
        self.creations.push(Creation { number: line.number, mode, text: start..self.text.len() });
        Ok(())
    }

    /// Sends the creations that have been collected and deals with those that were refused.
    fn send_creations(&mut self) -> Result<(), Fail> {
        if self.creations.is_empty() {
            return Ok(());
        }
        let mut refused: Vec<(usize, Error)> = Vec::new();
        let mut found = vec![false; self.creations.len()];
        let sent = self.creates.send(&mut |index, answer| match answer {
            Answer::Refused(e) => refused.push((index, e)),
            Answer::Message(_) => found[index] = true,
        });
        let creations = std::mem::take(&mut self.creations);
        let text = std::mem::take(&mut self.text);
        sent.map_err(|e| {
            let f = operation_failed(Doing::Other, &e);
            let lines = format!("{}-{}", creations[0].number, creations[creations.len() - 1].number);
            f.at(&format!("{}:{lines}: how far these lines got is not known", self.file))
        })?;
        let done = if self.options.dry_run {
            self.show_creations(&creations, &text, &found, &refused)
        } else {
            self.report_refused(&creations, &text, &refused)
        };
        // The buffers go on being used.
        (self.creations, self.text) = (creations, text);
        self.creations.clear();
        self.text.clear();
        done
    }

    fn report_refused(
        &mut self,
        creations: &[Creation],
        text: &[u8],
        refused: &[(usize, Error)],
    ) -> Result<(), Fail> {
        for (index, error) in refused {
            let c = &creations[*index];
            let fail = operation_failed(c.mode.doing(), error);
            let mut place = self.place(c.number, &text[c.text.clone()]);
            if !self.options.keep_going {
                let later = carried_out_after(*index, creations, refused);
                if !later.is_empty() {
                    place += &format!("; later lines of its batch were carried out: {later}");
                }
            }
            self.one_failed(Err(fail.at(&place)))?;
        }
        Ok(())
    }

    /// A dry run's creations: the lines that would do something, and those that would fail.
    fn show_creations(
        &mut self,
        creations: &[Creation],
        text: &[u8],
        found: &[bool],
        refused: &[(usize, Error)],
    ) -> Result<(), Fail> {
        let mut out = io::stdout().lock();
        for (index, c) in creations.iter().enumerate() {
            let line = text[c.text.clone()].trim_ascii();
            let other = refused.iter().find(|(i, e)| *i == index && e.errno() != Some(libc::ENOENT));
            let exists = Error::Refused { errno: libc::EEXIST, hint: None };
            let fails = match (other, found[index], c.mode) {
                (Some((_, e)), ..) => Some(e),
                (None, true, Mode::Create) => Some(&exists),
                _ => None,
            };
            if let Some(e) = fails {
                let fail = operation_failed(c.mode.doing(), e).at(&self.place(c.number, line));
                self.one_failed(Err(fail))?;
                continue;
            }
            if found[index] {
                self.counts.updated += 1;
            } else {
                self.counts.created += 1;
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
        let plan = delete::Plan { dry_run: self.options.dry_run, keep_going: self.options.keep_going };
        let deleted = Deleter::new(&deletions, Some(presenter), plan)
            .map_err(|e| operation_failed(Doing::Delete, &e))
            .and_then(|d| d.run(Doing::Delete));
        let first = deletions.lines.first().map_or(0, |(n, _)| *n);
        let last = deletions.lines.last().map_or(0, |(n, _)| *n);
        let deleted = deleted.map_err(|f| f.at(&format!("{}:{first}-{last}", self.file)))?;
        self.counts.deleted += deleted.count;
        if let Some(number) = deletions.unasked {
            let text = delete::unasked(self.options.dry_run);
            self.name.say(format!("{text} ({}:{number})", self.file).as_bytes());
        }
        for (index, error) in &deleted.refused {
            let number = deletions.lines.get(*index as usize).map_or(0, |(n, _)| *n);
            let fail = operation_failed(Doing::Delete, error).at(&format!("{}:{number}", self.file));
            self.one_failed(Err(fail))?;
        }
        Ok(())
    }

    /// Carries out what is left, unless the run has ended in a failure; the exit code follows.
    pub fn finish(mut self, ended: Result<(), Fail>) -> Result<(), Fail> {
        let ended = ended.and_then(|()| self.send_creations()).and_then(|()| self.run_deletions());
        self.progress.clear();
        ended?;
        if self.options.dry_run {
            let Counts { created, updated, deleted, failed } = self.counts;
            let text = format!(
                "dry run: {created} flow entries would be created, {updated} updated, {deleted} deleted; {failed} lines would fail."
            );
            self.name.say(text.as_bytes());
        }
        if self.failed { Err(Fail::silent()) } else { Ok(()) }
    }
}

/// The line numbers after a refused one that took effect all the same, as ranges.
fn carried_out_after(index: usize, creations: &[Creation], refused: &[(usize, Error)]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut open = false;
    for (i, c) in creations.iter().enumerate().skip(index + 1) {
        if refused.iter().any(|(r, _)| *r == i) {
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

/// How far we are, on standard error when that is a terminal.
struct Progress {
    total: u64,
    done: u64,
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    fn new(total: u64) -> Progress {
        let next = io::stderr().is_terminal().then(|| Instant::now() + PROGRESS);
        Progress { total, done: 0, next, shown: false }
    }

    fn step(&mut self) {
        self.done += 1;
        // The clock is asked now and then: it costs more than a line.
        if self.done % 256 != 0 || self.next.is_none_or(|next| Instant::now() < next) {
            return;
        }
        self.next = Some(Instant::now() + PROGRESS);
        self.shown = true;
        _ = write!(io::stderr(), "\r{} of {} lines", self.done, self.total);
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            // Back to the start of the line, and erase it.
            _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
