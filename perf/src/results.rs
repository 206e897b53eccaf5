//! RESULTS.md: the tables, what they were measured on, and how to read them.

use crate::curves::{BY_RATE, BY_SIZE, LISTENERS, RATES, SIZES};
use crate::machine::Machine;
use crate::row::{Metric, NETLINK, Outcome, Row, Work, spread};
use crate::sample::{Sample, Spread, Who};
use std::fmt::Write as _;

/// What the report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Where it ran.
    pub machine: &'a Machine,
    /// The rows, in the order of the report.
    pub rows: &'a [Row],
    /// The samples of all runs.
    pub samples: &'a [Sample],
    /// What was not as it should be, in sentences.
    pub remarks: &'a [String],
    /// Flows in the full table.
    pub flows: u32,
    /// Buckets of the hash table.
    pub buckets: u64,
    /// How often each row was measured.
    pub rounds: u32,
    /// The command that made it.
    pub command: &'a str,
    /// Whether the plots lie beside the report.
    pub plots: bool,
}

/// Whether its programs are listeners: how long they run says nothing.
fn is_storm(row: &&Row) -> bool {
    matches!(row.work, Work::Storm(..))
}

const ALL: [Who; 3] = [Who::Original, Who::Zct, Who::Floor];

/// A figure with as many digits as are significant.
fn number(v: f64) -> String {
    match v.abs() {
        v0 if v0 >= 100.0 || v0 == 0.0 => format!("{v:.0}"),
        v0 if v0 >= 10.0 => format!("{v:.1}"),
        v0 if v0 >= 1.0 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    }
}

fn cell(s: Option<Spread>) -> String {
    s.map_or("-".to_owned(), |s| {
        let (median, min, max) = (number(s.median), number(s.min), number(s.max));
        if min == max { median } else { format!("{median} ({min}..{max})") }
    })
}

fn ratio(a: Option<Spread>, b: Option<Spread>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if b.median > 0.0 => format!("{:.3}", a.median / b.median),
        _ => "-".to_owned(),
    }
}

/// A goal in words: `wall <= 0.52 x original`, after the variant that it is for.
pub fn goal(o: &Outcome) -> String {
    let times = o.goal.of.map_or(String::new(), |who| format!(" x {}", who.name()));
    let whose = if o.goal.variant.is_empty() { String::new() } else { format!("{}: ", o.goal.variant) };
    format!("{whose}{} <= {}{times}", o.goal.metric.name(), o.goal.at_most)
}

fn verdict(o: &Outcome) -> String {
    match o.value {
        None => "not measured".to_owned(),
        Some(v) if o.reached() => format!("reached: {}", number(v)),
        Some(v) => format!("**short: {}**", number(v)),
    }
}

impl Report<'_> {
    fn of(&self, row: &str, who: Who, variant: &str, metric: Metric) -> Option<Spread> {
        spread(self.samples, row, who, variant, metric)
    }

    /// The whole report as Markdown.
    pub fn markdown(&self) -> String {
        let mut t = String::new();
        self.head(&mut t);
        self.walls(&mut t);
        self.goals(&mut t);
        self.costs(&mut t);
        self.figures(&mut t);
        self.storms(&mut t);
        self.sizes(&mut t);
        self.rates(&mut t);
        self.commands(&mut t);
        t
    }

    fn head(&self, t: &mut String) {
        let m = self.machine;
        _ = write!(
            t,
            "# Results\n\nMade by `{}`; do not edit. Every number is from one run on one machine; ratios are of \
             medians of {} rounds in which the programs took turns. In parentheses: the smallest and the \
             largest. *Floor* is the kernel's part alone (`yardstick`): what is received is thrown away. CPU \
             time includes the start of the process, see `nothing` below.\n\n",
            self.command, self.rounds
        );
        _ = write!(
            t,
            "| | |\n|---|---|\n| date | {} |\n| kernel | {} |\n| processor | {} x {} |\n| memory | {} MiB |\n\
             | original | {} |\n| zct | {} |\n| flows | {} |\n| buckets | {} |\n| load at the beginning | {} |\n\n",
            m.date,
            m.kernel,
            m.processors,
            m.processor,
            m.memory_mib,
            m.original,
            m.zct,
            self.flows,
            self.buckets,
            m.load
        );
        if self.plots {
            *t += "![zct beside the original](comparison.svg)\n\n";
        }
        if !self.remarks.is_empty() {
            *t += "Remarks: runs that do not count, outputs that differ, listeners elsewhere.\n\n";
            self.remarks.iter().for_each(|r| _ = writeln!(t, "- {r}"));
            *t += "\n";
        }
    }

    fn walls(&self, t: &mut String) {
        *t += "## Wall time, seconds\n\n*zct* reads the table as it chooses to, *netlink* is zct with `--reader netlink`.\n\n\
               | row | work | original | zct | netlink | floor | zct / original | zct / floor | netlink / floor |\n\
               |---|---|---|---|---|---|---|---|---|\n";
        let compared = |r: &&Row| r.contenders.iter().any(|c| c.variant.is_empty()) && !is_storm(r);
        for row in self.rows.iter().filter(compared) {
            let [original, zct, floor] = ALL.map(|who| self.of(row.name, who, "", Metric::Wall));
            let netlink = self.of(row.name, Who::Zct, NETLINK, Metric::Wall);
            let ratios = [ratio(zct, original), ratio(zct, floor), ratio(netlink, floor)].join(" | ");
            let walls = [original, zct, netlink, floor].map(cell).join(" | ");
            _ = writeln!(t, "| {} | {} | {walls} | {ratios} |", row.name, row.title);
        }
        *t += "\n";
    }

    fn goals(&self, t: &mut String) {
        *t += "## Goals\n\n| row | goal | outcome |\n|---|---|---|\n";
        for row in self.rows {
            for o in row.outcomes(self.samples) {
                _ = writeln!(t, "| {} | {} | {} |", row.name, goal(&o), verdict(&o));
            }
        }
        *t += "\n";
    }

    fn costs(&self, t: &mut String) {
        *t += "## CPU seconds and memory\n\n| row | program | user | system | peak memory, KiB | runs that count |\n\
               |---|---|---|---|---|---|\n";
        for row in self.rows {
            for c in &row.contenders {
                let figure = |value: fn(&Sample) -> f64| {
                    Spread::of(
                        self.runs(row.name, c.who, c.variant).filter(|s| s.fault.is_empty()).map(value),
                    )
                };
                let good = self.runs(row.name, c.who, c.variant).filter(|s| s.fault.is_empty()).count();
                let all = self.runs(row.name, c.who, c.variant).count();
                _ = writeln!(
                    t,
                    "| {} | {} | {} | {} | {} | {good} of {all} |",
                    row.name,
                    named(c.who, c.variant),
                    cell(figure(|s| s.user_s)),
                    cell(figure(|s| s.system_s)),
                    cell(figure(|s| s.peak_kib as f64)),
                );
            }
        }
        *t += "\n";
    }

    fn runs<'s>(&'s self, row: &'s str, who: Who, variant: &'s str) -> impl Iterator<Item = &'s Sample> {
        self.samples.iter().filter(move |s| s.row == row && s.who == who && s.variant == variant)
    }

    fn figure(&self, row: &str, who: Who, variant: &str, name: &str) -> Option<Spread> {
        Spread::of(self.runs(row, who, variant).filter_map(|s| s.figure(name)))
    }

    /// The figures that only some rows have.
    fn figures(&self, t: &mut String) {
        *t += "## Further figures\n\n| row | program | figure | |\n|---|---|---|---|\n";
        let names = [
            ("longest_ms", "longest system call, ms"),
            ("deleting_s", "deleting, s"),
            ("gone", "refused"),
            ("by_us", "deleted by it"),
            ("by_rival", "deleted by the other program"),
            ("rival_came_late", "the other program came too late for"),
        ];
        for row in self.rows {
            for c in row.contenders.iter() {
                for (name, text) in names {
                    let figure = self.figure(row.name, c.who, c.variant, name);
                    // The longest call is a by-product of every dump floor.
                    if figure.is_some() && (name != "longest_ms" || row.name == "pause") {
                        let program = named(c.who, c.variant);
                        _ = writeln!(t, "| {} | {program} | {text} | {} |", row.name, cell(figure));
                    }
                }
            }
        }
        *t += "\n";
    }

    fn storms(&self, t: &mut String) {
        let rows: Vec<_> = self.rows.iter().filter(is_storm).collect();
        if rows.is_empty() {
            return;
        }
        *t += "## Events\n\n| row | program | delivered | missing | of these reported | dropped by the kernel | \
               CPU s | making the flows, s |\n|---|---|---|---|---|---|---|---|\n";
        for row in rows {
            for c in &row.contenders {
                let f = |name| cell(self.figure(row.name, c.who, c.variant, name));
                _ = writeln!(
                    t,
                    "| {} | {} | {} | {} | {} | {} | {} | {} |",
                    row.name,
                    named(c.who, c.variant),
                    f("delivered"),
                    f("missing"),
                    f("reported_lost"),
                    f("dropped_by_kernel"),
                    cell(self.of(row.name, c.who, c.variant, Metric::Cpu)),
                    f("making_s")
                );
            }
        }
        *t += "\n";
    }

    /// The runs along an axis, at one point of it.
    fn at<'s>(
        &'s self,
        row: &'s str,
        who: Who,
        variant: &'s str,
        axis: &'s str,
        at: u32,
    ) -> impl Iterator<Item = &'s Sample> {
        self.runs(row, who, variant).filter(move |s| s.figure(axis) == Some(f64::from(at)))
    }

    /// The points of the curve of listings against table size.
    pub fn size_points(&self, who: Who, variant: &str) -> Vec<(f64, f64)> {
        let point = |flows: &u32| {
            let walls = self.at(BY_SIZE, who, variant, "flows", *flows).map(|s| s.wall_s);
            Spread::of(walls).map(|s| (f64::from(*flows), s.median))
        };
        SIZES.iter().filter_map(point).collect()
    }

    /// Percent of new flows whose event was delivered, sorted by the rate that the generator reached.
    pub fn rate_points(&self, who: Who, variant: &str) -> Vec<(f64, f64)> {
        let point = |rate: &u32| {
            let runs: Vec<_> = self.at(BY_RATE, who, variant, "rate", *rate).collect();
            let reached = Spread::of(runs.iter().filter_map(|s| s.figure("rate_reached")))?;
            Some((
                reached.median,
                Spread::of(runs.into_iter().filter_map(|s| s.figure("new_percent")))?.median,
            ))
        };
        let mut points: Vec<_> = RATES.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    }

    fn plot(&self, t: &mut String, file: &str, what: &str) {
        if self.plots {
            _ = write!(t, "![{what}]({file})\n\n");
        }
    }

    fn sizes(&self, t: &mut String) {
        if !self.samples.iter().any(|s| s.row == BY_SIZE) {
            return;
        }
        *t += "## Over the size of the table\n\n";
        self.plot(t, "sizes.svg", "seconds over flows");
        *t += "| flows | original, s | zct, s | zct by netlink, s | floor, s | zct / original | zct / floor | netlink / floor |\n\
               |---|---|---|---|---|---|---|---|\n";
        for flows in SIZES {
            let wall = |who, v| Spread::of(self.at(BY_SIZE, who, v, "flows", flows).map(|s| s.wall_s));
            let [original, zct, floor] = ALL.map(|who| wall(who, ""));
            let netlink = wall(Who::Zct, NETLINK);
            if zct.is_some() {
                let (a, b, c) = (ratio(zct, original), ratio(zct, floor), ratio(netlink, floor));
                let [original, zct, netlink, floor] = [original, zct, netlink, floor].map(cell);
                _ = writeln!(t, "| {flows} | {original} | {zct} | {netlink} | {floor} | {a} | {b} | {c} |");
            }
        }
        *t += "\n";
    }

    fn rates(&self, t: &mut String) {
        if !self.samples.iter().any(|s| s.row == BY_RATE) {
            return;
        }
        *t += "## Events over their rate\n\n";
        self.plot(t, "rates.svg", "events delivered over rate");
        *t += "New flows by packets at the rate that was asked for: percent of them that were told of, the rate \
               that the generator reached with that listener, and percent of all events when the flush that ends \
               each run, always at full speed, is counted too.\n\n| flows a second |";
        LISTENERS.iter().for_each(|(who, variant, _)| _ = write!(t, " {} |", named(*who, variant)));
        *t += "\n|---|---|---|---|---|\n";
        for rate in RATES {
            _ = write!(t, "| {rate} |");
            for (who, variant, _) in LISTENERS {
                let runs = || self.at(BY_RATE, who, variant, "rate", rate);
                let median =
                    |values: &mut dyn Iterator<Item = f64>| Spread::of(values).map_or(f64::NAN, |s| s.median);
                let new = median(&mut runs().filter_map(|s| s.figure("new_percent")));
                let reached = median(&mut runs().filter_map(|s| s.figure("rate_reached"))) / 1000.0;
                let all = median(&mut runs().filter_map(delivered_percent));
                _ = write!(t, " {new:.1} % at {reached:.0} k; {all:.1} % |");
            }
            *t += "\n";
        }
        *t += "\n";
    }

    fn commands(&self, t: &mut String) {
        *t += "## Command lines\n\n| row | program | words |\n|---|---|---|\n";
        for row in self.rows {
            for c in &row.contenders {
                let program = match c.who {
                    Who::Original => "conntrack",
                    Who::Zct => "zct",
                    Who::Floor => "yardstick",
                };
                // For files the bare name is enough: they exist only during the run.
                let short =
                    |w: &String| w.rsplit('/').next().filter(|_| w.starts_with('/')).unwrap_or(w).to_owned();
                let line = c.words.iter().map(short).collect::<Vec<_>>().join(" ");
                _ = writeln!(t, "| {} | {} | `{program} {line}` |", row.name, named(c.who, c.variant));
            }
        }
        *t += "\nEvery run: [raw/samples.csv](raw/samples.csv).\n";
    }
}

fn delivered_percent(s: &Sample) -> Option<f64> {
    let (delivered, missing) = (s.figure("delivered")?, s.figure("missing")?);
    Some(100.0 * delivered / (delivered + missing))
}

/// A program's name, with what is special about it.
pub fn named(who: Who, variant: &str) -> String {
    if variant.is_empty() { who.name().to_owned() } else { format!("{}: {variant}", who.name()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([0.0, 0.1234, 1.234, 12.34, 1234.5].map(number), ["0", "0.123", "1.23", "12.3", "1234"]);
    }
}
