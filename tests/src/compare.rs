//! One command line by both programs on the same table: byte for byte, with the intended differences and
//! nothing else.
//!
//! Timeouts and ages tick, so the original runs twice, before and after ours: what it prints the same both
//! times was true in between as well. Nothing is masked but the clock.

use crate::differences::{DIFFERENCES, Expected, Ledger};
use crate::mask::Mask;
use crate::options::Line;
use crate::program::{Output, Tool};

/// A comparison that agreed.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// What zct printed.
    pub ours: Output,
    /// The differences that made the expectation another one than the original's output.
    pub differences: Vec<&'static str>,
}

/// How often a comparison is repeated while the table ticks under it.
const TICKS_MAX: u32 = 200;
/// How often zct has to disagree, with the table at rest, before it counts: a flow may tick between the
/// original's answers to two questions of one rule, or be looked at by the kernel's own worker.
const DISAGREEMENTS: u32 = 3;

/// Compares one command line; the report of a disagreement has everything to repeat it.
pub fn compare<S: AsRef<str>>(args: &[S], ledger: &mut Ledger) -> Result<Agreed, String> {
    let args: Vec<String> = args.iter().map(|a| a.as_ref().to_owned()).collect();
    let mut disagreed = 0;
    let mut report = String::new();
    for _ in 0..TICKS_MAX {
        match once(&args) {
            None => {}
            Some(Ok((agreed, seen))) => {
                seen.iter().for_each(|id| ledger.saw(id));
                return Ok(agreed);
            }
            Some(Err(text)) => {
                report = text;
                disagreed += 1;
                if disagreed == DISAGREEMENTS {
                    return Err(report);
                }
            }
        }
    }
    Err(format!("{args:?}: the table never stood still for the original\n{report}"))
}

/// Runs the original.
fn ask_reference(line: &[String]) -> (Output, bool) {
    let (output, replaced) = with_release(Tool::Reference.run(line));
    (without_clock(output), replaced)
}

/// The release of the original replaced by the one that zct follows, and whether there was one.
fn with_release(mut output: Output) -> (Output, bool) {
    let mut replaced = false;
    for text in [&mut output.stdout, &mut output.stderr] {
        let new =
            String::from_utf8_lossy(text).replace("conntrack v1.4.7 ", "conntrack v1.4.9 ").into_bytes();
        replaced |= new != *text;
        *text = new;
    }
    (output, replaced)
}

/// `-o timestamp` shows the clock with expectations, and nobody reads it twice at the same time.
fn without_clock(mut output: Output) -> Output {
    output.stdout = Mask::EVENT_TIME.apply(&output.out()).into();
    output
}

type Once = Option<Result<(Agreed, Vec<&'static str>), String>>;

fn once(args: &[String]) -> Once {
    let (before, replaced) = ask_reference(args);
    let ours = without_clock(Tool::Zct.run(args));
    let (expected, changed) =
        expectation(args, before.clone(), &ours, &mut |line| ask_reference(&line.args()).0);
    let (after, _) = ask_reference(args);
    if before != after {
        return None;
    }
    if expected != ours {
        return Some(Err(report(args, &before, &expected, &ours, &changed)));
    }
    let mut seen = changed.clone();
    if replaced {
        seen.push("1.4.9 release");
    }
    Some(Ok((Agreed { ours, differences: changed }, seen)))
}

/// What ours has to be, and the differences that make it another than the original's.
fn expectation(
    args: &[String],
    theirs: Output,
    ours: &Output,
    ask: &mut dyn FnMut(&Line) -> Output,
) -> (Output, Vec<&'static str>) {
    let mut expected = Expected { line: Line::parse(args), output: theirs, ours, read: None, ask };
    let mut changed = Vec::new();
    for difference in DIFFERENCES {
        let Some(rule) = difference.rule else { continue };
        let was = expected.output.clone();
        if rule(&mut expected) && expected.output != was {
            changed.push(difference.id);
        }
    }
    (expected.output, changed)
}

/// Compares a command that may change the table: `reset` brings it to the same state before each run, and
/// what varies between two such tables is masked.
pub fn compare_from<S: AsRef<str>>(
    args: &[S],
    ledger: &mut Ledger,
    mut reset: impl FnMut(),
    mut run: impl FnMut(Tool, &[String]) -> Output,
) -> Result<Agreed, String> {
    let args: Vec<String> = args.iter().map(|a| a.as_ref().to_owned()).collect();
    reset();
    let ours = masked(run(Tool::Zct, &args));
    let mut ask = |words: &[String]| {
        reset();
        masked(with_release(run(Tool::Reference, words)).0)
    };
    let theirs = ask(&args);
    let (expected, changed) = expectation(&args, theirs.clone(), &ours, &mut |line| ask(&line.args()));
    if expected != ours {
        return Err(report(&args, &theirs, &expected, &ours, &changed));
    }
    changed.iter().for_each(|id| ledger.saw(id));
    Ok(Agreed { ours, differences: changed })
}

fn masked(mut output: Output) -> Output {
    output.stdout = Mask::ALL.apply(&output.out()).into();
    output
}

fn report(args: &[String], theirs: &Output, expected: &Output, ours: &Output, changed: &[&str]) -> String {
    let mut text = format!("conntrack {}\n", args.join(" "));
    if !changed.is_empty() {
        text += &format!(
            "intended differences: {changed:?}; the original itself: {:?}, stderr:\n{}",
            theirs.exit,
            theirs.err()
        );
    }
    if expected.exit != ours.exit {
        text += &format!("exit: expected {:?}, zct {:?}\n", expected.exit, ours.exit);
    }
    for (name, want, have) in [("stdout", expected.out(), ours.out()), ("stderr", expected.err(), ours.err())]
    {
        if want != have {
            text += &format!("{name}, - expected, + zct:\n{}", first_difference(&want, &have));
        }
    }
    text
}

/// The first lines that differ.
fn first_difference(want: &str, have: &str) -> String {
    let (want, have): (Vec<&str>, Vec<&str>) =
        (want.split_inclusive('\n').collect(), have.split_inclusive('\n').collect());
    let at = want.iter().zip(&have).take_while(|(a, b)| a == b).count();
    let show = |sign: char, lines: &[&str]| {
        let some = lines.iter().skip(at).take(3);
        some.map(|l| format!("{sign} {l:?}\n")).collect::<String>()
    };
    format!("line {}, of {} and {}\n{}{}", at + 1, want.len(), have.len(), show('-', &want), show('+', &have))
}
