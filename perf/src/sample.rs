//! What was measured: one line per run, and the figures made from several.

use crate::measure::{Exit, Run};
use std::fmt::Write as _;

/// Whose program was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Debian's conntrack.
    Original,
    /// Our own zct.
    Zct,
    /// The kernel's part alone.
    Floor,
}

impl Who {
    /// The name used in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Who::Original => "original",
            Who::Zct => "zct",
            Who::Floor => "floor",
        }
    }
}

/// One run of one program.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The row it belongs to.
    pub row: &'static str,
    /// Whose program it was.
    pub who: Who,
    /// What is special about it; usually empty.
    pub variant: &'static str,
    /// The round, counted from 0.
    pub round: u32,
    /// Seconds by the clock.
    pub wall_s: f64,
    /// Seconds of CPU in user space.
    pub user_s: f64,
    /// Seconds of CPU in the kernel.
    pub system_s: f64,
    /// Peak resident memory in KiB.
    pub peak_kib: u64,
    /// Why the run does not count; empty when it does.
    pub fault: String,
    /// Further figures, by name.
    pub more: Vec<(&'static str, f64)>,
}

impl Sample {
    /// Takes over the figures of `run`. A program that did not exit with 0 is at fault.
    pub fn of(row: &'static str, who: Who, variant: &'static str, round: u32, run: &Run) -> Sample {
        let fault = match run.exit {
            Exit::Code(0) => String::new(),
            exit => format!("{exit:?}: {}", run.stderr.lines().next().unwrap_or_default()),
        };
        Sample {
            row,
            who,
            variant,
            round,
            wall_s: run.wall.as_secs_f64(),
            user_s: run.user.as_secs_f64(),
            system_s: run.system.as_secs_f64(),
            peak_kib: run.peak_kib,
            fault,
            more: Vec::new(),
        }
    }

    /// Marks the run as one that does not count; the first fault stands.
    pub fn blame(&mut self, fault: String) {
        if self.fault.is_empty() {
            self.fault = fault;
        }
    }

    /// One of the further figures, if the run has it.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.more.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

/// The median and the extremes of several values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the middle two.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Spread {
    /// Computes the spread of some values; of no values it is `None`.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut v: Vec<f64> = values.into_iter().collect();
        v.sort_by(f64::total_cmp);
        let (min, max) = (*v.first()?, *v.last()?);
        let middle = &v[(v.len() - 1) / 2..=v.len() / 2];
        Some(Spread { median: middle.iter().sum::<f64>() / middle.len() as f64, min, max })
    }
}

/// Every run as a line of comma-separated values, under a heading.
pub fn csv(samples: &[Sample]) -> String {
    let mut text = String::from(
        "row,program,variant,round,wall_s,user_s,system_s,peak_kib,fault,further figures (name=value ...)\n",
    );
    for s in samples {
        let more: Vec<String> = s.more.iter().map(|(n, v)| format!("{n}={v}")).collect();
        _ = writeln!(
            text,
            "{},{},{},{},{:.6},{:.6},{:.6},{},{},{}",
            s.row,
            s.who.name(),
            quoted(s.variant),
            s.round,
            s.wall_s,
            s.user_s,
            s.system_s,
            s.peak_kib,
            quoted(&s.fault),
            more.join(" ")
        );
    }
    text
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let spread = |v: &[f64]| Spread::of(v.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(spread(&[7.0]).unwrap().median, 7.0);
    }

    #[test]
    fn values_with_commas_are_quoted() {
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
