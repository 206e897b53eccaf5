//! What a row of the comparison is: a table of flows, programs that do the same work on it, and goals.

use crate::measure::Cores;
use crate::mix::Mix;
use crate::sample::{Sample, Spread, Who};
use std::path::PathBuf;

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The zct that was just built.
    pub zct: PathBuf,
    /// Debian's conntrack.
    pub original: PathBuf,
    /// The program with the floors.
    pub yardstick: PathBuf,
}

impl Tools {
    /// The program's path as a word of a command line.
    pub fn path(&self, who: Who) -> String {
        let path = match who {
            Who::Original => &self.original,
            Who::Zct => &self.zct,
            Who::Floor => &self.yardstick,
        };
        path.to_string_lossy().into_owned()
    }
}

/// A program with its options.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Whose program it is.
    pub who: Who,
    /// What is special about it; empty for the run that is compared.
    pub variant: &'static str,
    /// The words after the program's name.
    pub words: Vec<String>,
    /// Where it may run.
    pub cores: Cores,
}

/// The variant of zct that reads the table by netlink, as it does where there is no BPF.
pub const NETLINK: &str = "netlink";
/// The variant of zct that has one processor.
pub const ONE_CORE: &str = "one core";

impl Contender {
    /// A program that may run everywhere, or on one processor if that is what is special about it.
    pub fn new(who: Who, variant: &'static str, words: Vec<String>) -> Contender {
        let cores = if variant == ONE_CORE { Cores::One } else { Cores::All };
        Contender { who, variant, words, cores }
    }
}

/// The flows that the row starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The table is empty.
    Empty,
    /// This mix, with this many flows.
    Full(Mix, u32),
}

/// What happens before every single run.
#[derive(Clone, Copy, Debug)]
pub enum Before {
    /// Nothing: the work changes nothing.
    Nothing,
    /// The flows of the table that this function admits are made again.
    Refill(fn(u32) -> bool),
    /// The table is emptied; then every n-th flow below the second number is made.
    Only(u32, u32),
    /// The table is emptied.
    Emptied,
}

/// How the programs work.
#[derive(Clone, Debug)]
pub enum Work {
    /// One program at a time.
    Alone,
    /// While a yardstick with these words works on the same flows.
    Beside(Vec<String>),
    /// As listeners, while a yardstick with these words makes this many flows, which are then flushed.
    Storm(Vec<String>, u32),
}

/// When a run counts, beyond an exit code of 0.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The exit code decides alone.
    Nothing,
    /// When the program says that it has shown or deleted this many flows.
    Said(u64),
    /// As `Said`, but not asked of the floors.
    SaidByTools(u64),
    /// When this many flows are left afterwards.
    Left(u64),
    /// As `Left`, whatever the exit code: some of the work is meant to fail.
    LeftAnyhow(u64),
}

/// A figure that a goal can be set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Seconds by the clock.
    Wall,
    /// Seconds of CPU in user space.
    User,
    /// Seconds of CPU in user space and kernel.
    Cpu,
    /// Peak memory in MiB.
    Peak,
    /// Events that were not delivered, reported as lost or not.
    Missing,
}

impl Metric {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Wall => "wall",
            Metric::User => "user CPU",
            Metric::Cpu => "CPU",
            Metric::Peak => "peak memory, MiB",
            Metric::Missing => "events missing",
        }
    }

    /// Its value in one run.
    pub fn of(self, s: &Sample) -> f64 {
        match self {
            Metric::Wall => s.wall_s,
            Metric::User => s.user_s,
            Metric::Cpu => s.user_s + s.system_s,
            Metric::Peak => s.peak_kib as f64 / 1024.0,
            Metric::Missing => s.figure("missing").unwrap_or(0.0),
        }
    }
}

/// What is to be reached by the median.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The variant of zct that is judged; empty for the run that is compared.
    pub variant: &'static str,
    /// The figure that is judged.
    pub metric: Metric,
    /// Whose figure it is divided by; `None` takes it as it is.
    pub of: Option<Who>,
    /// The largest value that reaches the goal.
    pub at_most: f64,
}

/// One line of the comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// Short name, without spaces.
    pub name: &'static str,
    /// What is done, as a heading.
    pub title: String,
    /// The table that the programs find.
    pub table: Table,
    /// What happens before every run.
    pub before: Before,
    /// How the programs work.
    pub work: Work,
    /// When a run counts.
    pub check: Check,
    /// The programs that are compared.
    pub contenders: Vec<Contender>,
    /// What zct has to reach.
    pub goals: Vec<Goal>,
    /// One round is enough: nothing in it depends on time.
    pub once: bool,
}

/// A goal and the value measured for it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The goal that was set.
    pub goal: Goal,
    /// The value to compare; `None` when it could not be measured.
    pub value: Option<f64>,
}

impl Outcome {
    /// True when the goal is reached.
    pub fn reached(&self) -> bool {
        self.value.is_some_and(|v| v <= self.goal.at_most)
    }
}

/// The spread of a figure over one contender's runs that count.
pub fn spread(samples: &[Sample], row: &str, who: Who, variant: &str, metric: Metric) -> Option<Spread> {
    let these = samples.iter().filter(|s| s.row == row && s.who == who && s.variant == variant);
    Spread::of(these.filter(|s| s.fault.is_empty()).map(|s| metric.of(s)))
}

impl Row {
    /// The goals with their values, in order.
    pub fn outcomes(&self, samples: &[Sample]) -> Vec<Outcome> {
        let median = |who, v, metric| spread(samples, self.name, who, v, metric).map(|s| s.median);
        // Memory is promised for every command line, so the variants count too, unless one has its own goal.
        let apart = |v: &str| self.goals.iter().any(|g| g.metric == Metric::Peak && g.variant == v);
        let peak = |variant: &str| {
            let counts = |v: &str| v == variant || variant.is_empty() && !apart(v);
            let ours = self.contenders.iter().filter(|c| c.who == Who::Zct && counts(c.variant));
            let peaks = ours.filter_map(|c| spread(samples, self.name, c.who, c.variant, Metric::Peak));
            peaks.map(|s| s.median).reduce(f64::max)
        };
        let value = |goal: &Goal| {
            if goal.metric == Metric::Peak {
                return peak(goal.variant);
            }
            let ours = median(Who::Zct, goal.variant, goal.metric)?;
            goal.of.map_or(Some(ours), |who| Some(ours / median(who, "", goal.metric)?))
        };
        self.goals.iter().map(|goal| Outcome { goal: *goal, value: value(goal) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(who: Who, wall_s: f64, fault: &str) -> Sample {
        Sample {
            row: "r",
            who,
            variant: "",
            round: 0,
            wall_s,
            user_s: 0.0,
            system_s: 0.0,
            peak_kib: 0,
            fault: fault.into(),
            more: Vec::new(),
        }
    }

    #[test]
    fn goals_are_judged_by_medians_of_the_runs_that_count() {
        let goal = |of, at_most| Goal { variant: "", metric: Metric::Wall, of, at_most };
        let row = Row {
            name: "r",
            title: String::new(),
            table: Table::Empty,
            before: Before::Nothing,
            work: Work::Alone,
            check: Check::Nothing,
            contenders: Vec::new(),
            once: false,
            goals: vec![goal(Some(Who::Original), 0.5), goal(Some(Who::Floor), 1.0), goal(None, 1.5)],
        };
        let samples = [
            sample(Who::Zct, 1.0, ""),
            sample(Who::Zct, 2.0, ""),
            sample(Who::Zct, 9.0, "exit 1"),
            sample(Who::Original, 3.0, ""),
        ];
        let out = row.outcomes(&samples);
        assert_eq!(out.iter().map(|o| o.value).collect::<Vec<_>>(), [Some(0.5), None, Some(1.5)]);
        assert_eq!(out.iter().map(Outcome::reached).collect::<Vec<_>>(), [true, false, true]);
    }
}
