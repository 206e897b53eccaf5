//! `-D` and `-F`: what is left is what an own filter says, and what the original leaves.

use crate::compare::{same, sorted, without_timeouts, without_value};
use crate::flow::{Flow, lasting};
use crate::lab::{self, By, Output, Verdicts, conntrack};
use crate::listing::tcp_states;
use crate::selectors::{MIXED, Original, SELECTORS};

const FORMATS: &[&str] = &["", "-o extended", "-o xml", "-o save", "-o id", "-o extended,id"];

/// A command on a fresh table.
struct Ran {
    output: Output,
    before: Vec<Flow>,
    after: Vec<Flow>,
}

impl Ran {
    fn new(by: By, line: &str) -> Result<Ran, String> {
        lab::seed(MIXED)?;
        let before = Flow::all(&lab::table()?)?;
        let output = conntrack(by, line);
        Ok(Ran { output, before, after: Flow::all(&lab::table()?)? })
    }

    /// Exactly the flows that are meant are gone, and the exit code and the summary say how many.
    fn deleted(&self, means: fn(&Flow) -> bool) -> Result<(), String> {
        let survivors: Vec<&Flow> = self.before.iter().filter(|f| !means(f)).collect();
        let count = self.before.len() - survivors.len();
        let left = |flows: &mut dyn Iterator<Item = &Flow>| {
            let mut ids: Vec<String> = flows.map(|f| f.get("id").to_owned()).collect();
            ids.sort_unstable();
            ids
        };
        if left(&mut survivors.iter().copied()) != left(&mut self.after.iter()) {
            return Err(self.output.wrong(format!(
                "should be left:\n{}is left:\n{}",
                lasting(survivors),
                lasting(&self.after)
            )));
        }
        let said = format!("conntrack v… (conntrack-tools): {count} flow entries have been deleted.\n");
        let lines = self.output.out.lines().count();
        if self.output.err != said || self.output.code != Some(i32::from(count == 0)) || lines != count {
            return Err(self.output.wrong(format!("{count} were deleted")));
        }
        Ok(())
    }
}

/// The output without what is new in each run.
fn masked(o: &Output) -> String {
    let text = tcp_states(&without_timeouts(&o.out));
    without_value(&without_value(&text, "id="), "<id>")
}

/// Both programs leave the same table and say the same.
fn alike(original: &Ran, ours: &Ran) -> Result<(), String> {
    if (original.output.code, &original.output.err) != (ours.output.code, &ours.output.err) {
        return Err(format!("{}\n{}", original.output.wrong("the original"), ours.output.wrong("ours")));
    }
    same("left", &lasting(&original.after), &lasting(&ours.after))?;
    same("printed", &masked(&original.output), &masked(&ours.output))
}

/// Deletes by every selection.
pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    for (n, s) in SELECTORS.iter().enumerate().filter(|(_, s)| s.delete != Original::Illegal) {
        let line = format!("-D {} {}", s.line, FORMATS[n % FORMATS.len()]);
        let ours = Ran::new(By::Ours, &line)?;
        v.add(format_args!("{line} deletes what is meant"), ours.deleted(s.means));
        let original = Ran::new(By::Original, &line)?;
        match s.delete {
            Original::Wrong(why) => v.add(
                format_args!("{line} (the original is wrong: {why})"),
                match original.deleted(s.means) {
                    Ok(()) => Err("the original deletes the same".to_owned()),
                    Err(_) => Ok(()),
                },
            ),
            _ => v.add(&line, alike(&original, &ours)),
        }
        if s.reaches_planner() {
            for filter in ["always", "never"] {
                let line = format!("{line} --kernel-filter={filter}");
                let other = Ran::new(By::Ours, &line)?;
                let printed =
                    same("printed", &sorted(&masked(&ours.output)), &sorted(&masked(&other.output)));
                v.add(&line, other.deleted(s.means).and(printed));
            }
        }
    }
    flush(v)
}

/// `-F` empties one family and leaves the other alone; the original empties both (W3).
fn flush(v: &mut Verdicts) -> Result<(), String> {
    let said = "conntrack v… (conntrack-tools): connection tracking table has been emptied.\n";
    for (line, keeps) in [("-F", 0), ("-F -f ipv4", 10), ("-F -f ipv6", 2)] {
        let ran = Ran::new(By::Ours, line)?;
        let left = lasting(ran.before.iter().filter(|f| f.family == keeps));
        let quiet = ran.output.code == Some(0) && ran.output.err == said && ran.output.out.is_empty();
        let result =
            if quiet { same("left", &left, &lasting(&ran.after)) } else { Err(ran.output.wrong("said")) };
        v.add(format_args!("{line} leaves what is meant"), result);
    }
    let (original, ours) = (Ran::new(By::Original, "-F")?, Ran::new(By::Ours, "-F")?);
    v.add("-F", alike(&original, &ours));
    let original = Ran::new(By::Original, "-F -f ipv6")?;
    let both = if original.after.is_empty() { Ok(()) } else { Err(original.output.wrong("left some")) };
    v.add("-F -f ipv6 (the original is wrong: W3)", both);
    Ok(())
}
