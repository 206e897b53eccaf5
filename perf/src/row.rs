//! What a row of the comparison is: a table of flows, some programs doing the same work on it, and goals.

use crate::mix::Mix;
use crate::sample::{Sample, Spread, Who};
use std::path::PathBuf;

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Ours.
    pub zct: PathBuf,
    /// Debian's conntrack.
    pub original: PathBuf,
    /// The floors.
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
    /// Whose.
    pub who: Who,
    /// What is special about it; empty for the one that is compared.
    pub variant: &'static str,
    /// The words after the program's name.
    pub words: Vec<String>,
}

/// The flows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// None.
    Empty,
    /// So many of this mix.
    Full(Mix, u32),
}

/// What happens before every single run.
#[derive(Clone, Copy, Debug)]
pub enum Before {
    /// Nothing: the work changes nothing.
    Nothing,
    /// Flows of the table that this admits are made again.
    Refill(fn(u32) -> bool),
    /// The table is emptied, then every so many-th flow below the number is made.
    Only(u32, u32),
    /// The table is emptied.
    Emptied,
}

/// How the programs work.
#[derive(Clone, Debug)]
pub enum Work {
    /// Alone.
    Alone,
    /// While a second program, a yardstick with these words, works on the same flows.
    Beside(Vec<String>),
    /// As listeners, while a yardstick with these words makes so many flows, which are flushed then.
    Storm(Vec<String>, u32),
}

/// When a run counts, beyond an exit code of 0.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// Always.
    Nothing,
    /// When the program says that it has shown or deleted so many flows.
    Said(u64),
    /// The same, for all but the floors.
    SaidByTools(u64),
    /// When so many flows are there afterwards.
    Left(u64),
    /// The same, whatever the exit code: some of the work is meant to fail.
    LeftAnyhow(u64),
}

/// A figure that goals are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Seconds by the clock.
    Wall,
    /// Seconds of CPU in user space.
    User,
    /// Seconds of CPU.
    Cpu,
    /// MiB at the peak.
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

/// What is to be reached, for the median.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The figure.
    pub metric: Metric,
    /// Whose figure it is divided by; `None`: it stands alone.
    pub of: Option<Who>,
    /// The largest value that reaches the goal.
    pub at_most: f64,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Short name, without blanks.
    pub name: &'static str,
    /// What is done.
    pub title: String,
    /// The table.
    pub table: Table,
    /// Before every run.
    pub before: Before,
    /// How.
    pub work: Work,
    /// When it counts.
    pub check: Check,
    /// Who does it.
    pub contenders: Vec<Contender>,
    /// What zct is to reach.
    pub goals: Vec<Goal>,
    /// One round is enough: nothing in it depends on time.
    pub once: bool,
}

/// A goal and what came out.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The goal.
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

/// The spread of a figure over the runs that count of one contender.
pub fn spread(samples: &[Sample], row: &str, who: Who, variant: &str, metric: Metric) -> Option<Spread> {
    let these = samples.iter().filter(|s| s.row == row && s.who == who && s.variant == variant);
    Spread::of(these.filter(|s| s.fault.is_empty()).map(|s| metric.of(s)))
}

impl Row {
    /// The goals and what came out, in order.
    pub fn outcomes(&self, samples: &[Sample]) -> Vec<Outcome> {
        let median = |who, metric| spread(samples, self.name, who, "", metric).map(|s| s.median);
        // Memory is promised for every command line, the special ones too.
        let peak = || {
            let ours = self.contenders.iter().filter(|c| c.who == Who::Zct);
            let peaks = ours.filter_map(|c| spread(samples, self.name, c.who, c.variant, Metric::Peak));
            peaks.map(|s| s.median).reduce(f64::max)
        };
        let value = |goal: &Goal| {
            if goal.metric == Metric::Peak {
                return peak();
            }
            let ours = median(Who::Zct, goal.metric)?;
            goal.of.map_or(Some(ours), |who| Some(ours / median(who, goal.metric)?))
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
        let goal = |of, at_most| Goal { metric: Metric::Wall, of, at_most };
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
