//! Runs the rows: prepares the table, lets the programs take turns, and checks what they did.

use crate::digest::{Digest, digest};
use crate::load;
use crate::measure::{self, Cores, Run};
use crate::mix::Mix;
use crate::netns;
use crate::row::{Before, Check, Contender, NETLINK, Row, Table, Tools, Work};
use crate::sample::{Sample, Who};
use crate::{limits, storm};
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long to wait for listeners in other namespaces to go away.
const QUIET_PATIENCE: Duration = Duration::from_secs(60);

/// A measurement in progress.
#[derive(Debug)]
pub struct Runner {
    /// The programs to be run.
    pub tools: Tools,
    /// How often each row is measured.
    pub rounds: u32,
    /// Everything measured so far.
    pub samples: Vec<Sample>,
    /// What was not as it should be, in sentences.
    pub remarks: Vec<String>,
    begin: Instant,
    table: Option<Table>,
    /// Listeners in other namespaces that did not go away.
    permanent: Vec<String>,
}

fn other(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

/// How many flows the current namespace has.
fn flows_there() -> io::Result<u64> {
    limits::read("nf_conntrack_count")
}

impl Runner {
    /// Begins with nothing measured, in a private namespace that this thread has entered.
    pub fn new(tools: Tools, rounds: u32) -> Runner {
        Runner {
            tools,
            rounds,
            samples: Vec::new(),
            remarks: Vec::new(),
            begin: Instant::now(),
            table: None,
            permanent: Vec::new(),
        }
    }

    /// Shows on the terminal how far it has come.
    pub fn progress(&self, what: &str) {
        eprintln!("[{:4} s] {what}", self.begin.elapsed().as_secs());
    }

    /// Adds a remark, unless it has been made before.
    pub fn remark(&mut self, what: String) {
        if !self.remarks.contains(&what) {
            self.progress(&format!("NOTE: {what}"));
            self.remarks.push(what);
        }
    }

    /// Measures one row.
    ///
    /// # Errors
    /// Whatever prevents the measurement; a program that does wrong is a fault in its sample instead.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.progress(&format!("{}: {}", row.name, row.title));
        self.provide(row.table)?;
        self.compare_output(row)?;
        for round in 0..if row.once { 1 } else { self.rounds } {
            self.quiet(row.name)?;
            let mut said = Vec::new();
            for turn in 0..row.contenders.len() {
                // Whoever comes first in one round comes later in the next.
                let first = if row.once { 0 } else { round as usize };
                let contender = &row.contenders[(turn + first) % row.contenders.len()];
                let sample = self.run(row, contender, round)?;
                said.push((contender.who, format!("{} {:.3} s", who(contender), sample.wall_s)));
                if !sample.fault.is_empty() {
                    self.remark(format!("{}, {}: {}", row.name, who(contender), sample.fault));
                }
                self.samples.push(sample);
            }
            said.sort();
            let said: Vec<String> = said.into_iter().map(|(_, s)| s).collect();
            self.progress(&format!("{}: round {}: {}", row.name, round + 1, said.join(", ")));
        }
        match row.before {
            // The next row that uses the table must find it full.
            Before::Refill(_) => self.prepare(row)?,
            Before::Nothing if !row.once => {}
            _ => self.table = None,
        }
        Ok(())
    }

    /// Makes the table that a row needs, unless it is there already.
    pub fn provide(&mut self, table: Table) -> io::Result<()> {
        if self.table == Some(table) {
            return Ok(());
        }
        load::empty().map_err(other)?;
        if let Table::Full(mix, flows) = table {
            self.progress(&format!("making {flows} flows"));
            load::fill_all(mix, 0..flows).map_err(other)?;
        }
        self.table = Some(table);
        Ok(())
    }

    /// Waits for listeners in other namespaces to go away; a remark tells of those that stay.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn quiet(&mut self, during: &str) -> io::Result<()> {
        let end = Instant::now() + QUIET_PATIENCE;
        loop {
            let found = netns::listeners_anywhere()?;
            // Those that stayed once are not waited for again.
            if found.iter().all(|l| self.permanent.contains(l)) || Instant::now() > end {
                for listener in &found {
                    self.remark(format!(
                        "{during}: {listener} listens to events, which slows all namespaces"
                    ));
                }
                self.permanent = found;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Listings must be the same apart from order and time, whoever makes them and whatever they are read by; this
    /// is checked without timing it.
    fn compare_output(&mut self, row: &Row) -> io::Result<()> {
        let listing = |who, variant| {
            let of = |c: &&Contender| c.who == who && c.variant == variant;
            row.contenders.iter().find(of).filter(|c| c.words.first().is_some_and(|w| w == "-L"))
        };
        let Some(ours) = listing(Who::Zct, "") else { return Ok(()) };
        let mut others = vec![listing(Who::Zct, NETLINK)];
        // The original has neither groups nor JSON, and its saved lines leave the mark out.
        let ours_alone = ["--by", "json", "save"];
        if !ours.words.iter().any(|w| ours_alone.contains(&w.as_str())) {
            others.push(listing(Who::Original, ""));
        }
        let digest_of = |contender| -> io::Result<Digest> {
            let mut file = tempfile::tempfile()?;
            measure::run(&self.tools.yardstick, Cores::All, &self.words(contender), Some(&file))?;
            file.seek(SeekFrom::Start(0))?;
            digest(BufReader::with_capacity(1 << 20, file))
        };
        let first = digest_of(ours)?;
        let mut remarks = Vec::new();
        for other in others.into_iter().flatten() {
            let second = digest_of(other)?;
            if first != second {
                let whose = if other.who == Who::Original { "the original" } else { other.variant };
                let lines = (first.lines, second.lines);
                remarks.push(format!(
                    "{}: the outputs of zct and of {whose} differ ({} and {} lines)",
                    row.name, lines.0, lines.1
                ));
            }
        }
        remarks.into_iter().for_each(|remark| self.remark(remark));
        Ok(())
    }

    /// A contender's command line, beginning with its program.
    pub fn words(&self, contender: &Contender) -> Vec<String> {
        std::iter::once(self.tools.path(contender.who)).chain(contender.words.iter().cloned()).collect()
    }

    fn run(&mut self, row: &Row, contender: &Contender, round: u32) -> io::Result<Sample> {
        self.prepare(row)?;
        let words = self.words(contender);
        let sample = |run: &Run| Sample::of(row.name, contender.who, contender.variant, round, run);
        let mut sample = match &row.work {
            Work::Alone => {
                let run = measure::run(&self.tools.yardstick, contender.cores, &words, None)?;
                let mut sample = sample(&run);
                figures(&run.stderr, &mut sample);
                check(row.check, &run, &mut sample)?;
                sample
            }
            Work::Beside(rival) => {
                let started = measure::start(&self.tools.yardstick, contender.cores, &words, Stdio::null())?;
                let rival = Command::new(&self.tools.yardstick).args(rival).stderr(Stdio::piped()).spawn()?;
                let run = started.finish()?;
                let rival = rival.wait_with_output()?;
                let mut sample = sample(&run);
                check(row.check, &run, &mut sample)?;
                let said = String::from_utf8_lossy(&rival.stderr);
                sample.more.push(("by_rival", measure::counted(&said).unwrap_or(0) as f64));
                sample.more.push(("by_us", measure::counted(&run.stderr).unwrap_or(0) as f64));
                sample.more.extend(before(&said, " were gone,").map(|n| ("rival_came_late", n)));
                sample
            }
            Work::Storm(generator, flows) => {
                let output = tempfile::tempfile()?;
                let storm = storm::run(&self.tools.yardstick, &words, generator, &output)?;
                let mut sample = sample(&storm.run);
                describe(&storm, 2 * u64::from(*flows), &mut sample);
                sample
            }
        };
        if sample.peak_kib == 0 {
            sample.blame("its peak memory was not seen".to_owned());
        }
        Ok(sample)
    }

    /// Does what the row asks for before every run.
    fn prepare(&mut self, row: &Row) -> io::Result<()> {
        match row.before {
            Before::Nothing => return Ok(()),
            Before::Emptied => load::empty().map_err(other)?,
            Before::Only(step, below) => {
                load::empty().map_err(other)?;
                load::fill_all(Mix::Common, (0..below).step_by(step as usize)).map_err(other)?;
            }
            Before::Refill(pick) => {
                let Table::Full(mix, flows) = row.table else { return Err(other("nothing to refill")) };
                load::fill(mix, (0..flows).filter(|i| pick(*i))).map_err(other)?;
                let there = flows_there()?;
                if there != u64::from(flows) {
                    return Err(other(format!("{}: {there} flows instead of {flows}", row.name)));
                }
            }
        }
        Ok(())
    }
}

fn who(c: &Contender) -> String {
    if c.variant.is_empty() { c.who.name().to_owned() } else { format!("{} ({})", c.who.name(), c.variant) }
}

fn check(check: Check, run: &Run, sample: &mut Sample) -> io::Result<()> {
    match check {
        Check::Nothing => {}
        Check::SaidByTools(_) if sample.who == Who::Floor => {}
        Check::Said(want) | Check::SaidByTools(want) => match measure::counted(&run.stderr) {
            Some(said) if said == want => {}
            said => sample.blame(format!("said {said:?} instead of {want}")),
        },
        Check::Left(want) | Check::LeftAnyhow(want) => {
            let there = flows_there()?;
            if matches!(check, Check::LeftAnyhow(_)) {
                sample.fault.clear();
            }
            if there != want {
                sample.blame(format!("{there} flows are there instead of {want}"));
            }
        }
    }
    Ok(())
}

/// The number directly in front of `what`.
fn before(text: &str, what: &str) -> Option<f64> {
    text.split_once(what)?.0.rsplit([' ', '\n']).next()?.parse().ok()
}

/// The further figures that the floors print.
fn figures(stderr: &str, sample: &mut Sample) {
    sample.more.extend(before(stderr, " us the longest").map(|us| ("longest_ms", us / 1000.0)));
    if let Some((_, rest)) = stderr.split_once(" were gone, ") {
        sample.more.extend(before(stderr, " were gone,").map(|n| ("gone", n)));
        sample.more.extend(before(rest, " us").map(|us| ("deleting_s", us / 1e6)));
    }
}

/// Adds the figures of a storm of this many events to a sample.
pub fn describe(storm: &storm::Storm, events: u64, sample: &mut Sample) {
    let missing = events.saturating_sub(storm.delivered);
    sample.more.extend([
        ("delivered", storm.delivered as f64),
        ("delivered_new", storm.delivered_new as f64),
        ("missing", missing as f64),
        ("reported_lost", storm.reported_lost as f64),
        ("dropped_by_kernel", storm.dropped as f64),
        ("making_s", storm.making.as_secs_f64()),
    ]);
    if storm.delivered > events {
        sample.blame(format!("{} events, {events} have happened", storm.delivered));
    }
    if sample.who == Who::Zct && storm.delivered + storm.reported_lost != events {
        let (d, l) = (storm.delivered, storm.reported_lost);
        sample.blame(format!("silent loss: {d} delivered and {l} reported lost of {events}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_before_words() {
        let said = "yardstick: 90 flow entries have been deleted.\nyardstick: 10 were gone, 2500 us\n";
        assert_eq!(before(said, " were gone,"), Some(10.0));
        assert_eq!(before(said, " flow entries"), Some(90.0));
        assert_eq!(before(said, " us the longest"), None);
    }
}
