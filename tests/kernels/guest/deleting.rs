//! `-D` and `-F`: what is left is what this test's own filter says, and what the original leaves.

use crate::compare::{same, sorted, without_timeouts, without_value};
use crate::flow::{Flow, lasting};
use crate::lab::{self, By, Output, Verdicts, conntrack};
use crate::listing::tcp_states;
use crate::selectors::{MIXED, Original, SELECTORS};

const FORMATS: &[&str] = &["", "-o extended", "-o xml", "-o save", "-o id", "-o extended,id"];

/// A command on a fresh table, and the flows it leaves.
struct Ran {
    output: Output,
    /// Whether flows with labels were there.
    labels: bool,
    after: Vec<Flow>,
}

impl Ran {
    fn new(by: By, line: &str) -> Result<Ran, String> {
        let labels = lab::seed_for(line, MIXED)?;
        let output = conntrack(by, line);
        Ok(Ran { output, labels, after: Flow::all(&lab::table()?)? })
    }

    /// The flows out of `all` that were there before the command.
    fn before<'a>(&self, all: &'a [Flow]) -> impl Iterator<Item = &'a Flow> {
        let labels = self.labels;
        all.iter().filter(move |f| labels || f.get("labels").is_empty())
    }

    /// Exactly the intended flows are gone, and the exit code and the summary say how many.
    fn deleted(&self, all: &[Flow], means: fn(&Flow) -> bool) -> Result<(), String> {
        let left = lasting(self.before(all).filter(|f| !means(f)));
        let count = self.before(all).filter(|f| means(f)).count();
        let after = lasting(&self.after);
        if left != after {
            return Err(self.output.wrong(format!("should be left:\n{left}is left:\n{after}")));
        }
        said(&self.output, count, "have been deleted")
    }
}

/// The summary, the exit code and the number of lines fit `count` flows.
pub(crate) fn said(o: &Output, count: usize, what: &str) -> Result<(), String> {
    let summary = format!("conntrack v… (conntrack-tools): {count} flow entries {what}.\n");
    if o.err != summary || o.code != Some(i32::from(count == 0)) || o.out.lines().count() != count {
        return Err(o.wrong(format!("{count} {what}")));
    }
    Ok(())
}

/// The output with the values hidden that are new in every run.
fn masked(o: &Output) -> String {
    let text = tcp_states(&without_timeouts(&o.out));
    without_value(&without_value(&text, "id="), "<id>")
}

/// Both programs leave the same table and print the same lines, in any order.
fn alike(original: &Ran, ours: &Ran) -> Result<(), String> {
    if (original.output.code, &original.output.err) != (ours.output.code, &ours.output.err) {
        return Err(format!("{}\n{}", original.output.wrong("the original"), ours.output.wrong("ours")));
    }
    same("left", &lasting(&original.after), &lasting(&ours.after))?;
    same("printed", &sorted(&masked(&original.output)), &sorted(&masked(&ours.output)))
}

/// Takes off what zct says, and the original does not, when everything was deleted because nothing was
/// selected.
pub(crate) fn take_note(o: &mut Output) -> Result<(), String> {
    let note = "conntrack v… (conntrack-tools): no selection was given: all flows were deleted (-F does this at \
                once; zct -D asks for --all)\n";
    let err = o.err.strip_suffix(note).map(str::to_owned);
    o.err = err.ok_or_else(|| o.wrong("does not say that everything was deleted"))?;
    Ok(())
}

/// Deletes by every kind of selection.
pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    lab::seed(MIXED)?;
    let before = Flow::all(&lab::table()?)?;
    for (n, s) in SELECTORS.iter().enumerate().filter(|(_, s)| s.delete != Original::Illegal) {
        let line = format!("-D {} {}", s.line, FORMATS[n % FORMATS.len()]);
        // Asking for everything the kernel can do is where a kernel can do the most harm.
        let always = if s.reaches_planner() { "--kernel-filter=always" } else { "" };
        let mut ours = Ran::new(By::Ours, &format!("{line} {always}"))?;
        if ["", "-u UNSET"].contains(&s.line) {
            take_note(&mut ours.output)?;
        }
        v.add(format_args!("{line} {always} deletes what is meant"), ours.deleted(&before, s.means));
        let original = Ran::new(By::Original, &line)?;
        match s.delete {
            Original::Wrong(why) => v.add(
                format_args!("{line} (the original is wrong: {why})"),
                match original.deleted(&before, s.means) {
                    Ok(()) => Err("the original deletes the same".to_owned()),
                    Err(_) => Ok(()),
                },
            ),
            _ => v.add(&line, alike(&original, &ours)),
        }
    }
    lab::seed(MIXED)?;
    for s in SELECTORS.iter().filter(|s| s.delete != Original::Illegal && s.reaches_planner()) {
        for filter in ["auto", "never"] {
            let line = format!("-D {} --dry-run --kernel-filter={filter}", s.line);
            v.add(&line, would_delete(&line, &before, s.means));
        }
    }
    flush(v, &before)
}

/// `--dry-run` names the intended flows and leaves everything in place.
fn would_delete(line: &str, before: &[Flow], means: fn(&Flow) -> bool) -> Result<(), String> {
    let output = conntrack(By::Ours, &format!("{line} -o extended,id"));
    let listed = Flow::all(&output.out).map_err(|e| output.wrong(e))?;
    // Labels are not shown here, so only the tuples are compared.
    let tuples = |flows: &mut dyn Iterator<Item = &Flow>| {
        let mut lines: Vec<String> = flows.map(|f| without_value(&f.lasting(), " labels=")).collect();
        lines.iter_mut().for_each(|l| *l = l.replace(" labels=…", ""));
        lines.sort_unstable();
        lines.concat()
    };
    same("named", &tuples(&mut before.iter().filter(|f| means(f))), &tuples(&mut listed.iter()))?;
    let count = listed.len();
    said(&output, count, "would be deleted")?;
    match lab::count()? {
        n if n == before.len() => Ok(()),
        n => Err(format!("{n} flows are left of {}", before.len())),
    }
}

/// `-F` empties one family and leaves the other alone; the original empties both (W3).
fn flush(v: &mut Verdicts, all: &[Flow]) -> Result<(), String> {
    let said = "conntrack v… (conntrack-tools): connection tracking table has been emptied.\n";
    for (line, keeps) in [("-F", 0), ("-F -f ipv4", 10), ("-F -f ipv6", 2)] {
        let ran = Ran::new(By::Ours, line)?;
        let left = lasting(ran.before(all).filter(|f| f.family == keeps));
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
