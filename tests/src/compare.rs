//! One command line run by both programs on the same table: equal byte for byte, but for
//! the intended differences.
//!
//! Where they disagree, the original runs again: whatever it prints alike before and after was also true in
//! between. Seconds that tick are compared as such; only the clock is masked.

use crate::differences::{DIFFERENCES, Expected, FIRST_OF_TEXTS, Ledger, listing};
use crate::mask::Mask;
use crate::options::Line;
use crate::program::{Output, Tool};
use crate::ticks::{still, too_far};
use std::collections::HashMap;
use std::time::Instant;

/// A comparison in which both agreed.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// What zct printed.
    pub ours: Output,
    /// The differences for which something other than the original's output was expected.
    pub differences: Vec<&'static str>,
}

/// How often a comparison is repeated because short-lived flows ended during it.
const CHANGES_MAX: u32 = 50;
/// How often zct has to disagree, with the table at rest, before it counts: the kernel's own worker may be
/// looking at a flow just then, which shows in the use count.
const DISAGREEMENTS: u32 = 3;

/// Compares one command line. The report of a disagreement holds everything needed to repeat it.
pub fn compare<S: AsRef<str>>(args: &[S], ledger: &mut Ledger) -> Result<Agreed, String> {
    let args: Vec<String> = args.iter().map(|a| a.as_ref().to_owned()).collect();
    let mut disagreed = 0;
    let mut report = String::new();
    for _ in 0..CHANGES_MAX {
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
    Err(format!("{args:?}: the table never stayed the same\n{report}"))
}

/// Replaces the original's release by the one that zct follows, and tells whether one was there.
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

/// Hides the clock, which `-o timestamp` shows with expectations and which is never the same twice, and the
/// seconds that tick.
fn at_rest(output: &Output) -> Output {
    let text = still(&Mask::EVENT_TIME.apply(&output.out()));
    Output { stdout: text.into(), ..output.clone() }
}

type Once = Option<Result<(Agreed, Vec<&'static str>), String>>;

fn once(args: &[String]) -> Once {
    let began = Instant::now();
    let (theirs, replaced) = with_release(Tool::Reference.run(args));
    let ours = Tool::Zct.run(args);
    let passed = began.elapsed();
    let (before, now) = (at_rest(&theirs), at_rest(&ours));
    let mut ask = |line: &Line| at_rest(&with_release(Tool::Reference.run(&line.args())).0);
    let (expected, mut changed) = expectation(args, before.clone(), &now, &mut ask);
    if expected != now {
        // It does not count if the table has changed meanwhile.
        let disagree = before == ask(&Line::parse(args));
        return disagree.then(|| Err(report(args, &before, &expected, &now, &changed)));
    }
    if let Some(line) = too_far(&ours.out(), &theirs.out(), passed) {
        return Some(Err(format!("conntrack {}\n{line}\n", args.join(" "))));
    }
    let differences = changed.clone();
    if replaced {
        changed.push("1.4.9 release");
    }
    Some(Ok((Agreed { ours, differences }, changed)))
}

/// What zct has to print, and the differences that make it other than the original's output.
fn expectation(
    args: &[String],
    theirs: Output,
    ours: &Output,
    ask: &mut dyn FnMut(&Line) -> Output,
) -> (Output, Vec<&'static str>) {
    let line = Line::parse(args);
    let mut expected = Expected {
        line,
        output: theirs,
        ours,
        read: None,
        renamed: None,
        counted: false,
        left_out: Vec::new(),
        listing: listing(),
        ask,
    };
    let mut changed = Vec::new();
    for difference in DIFFERENCES {
        if difference.id == FIRST_OF_TEXTS {
            expected.leave_out();
        }
        let Some(rule) = difference.rule else { continue };
        let was = expected.output.clone();
        if rule(&mut expected) && expected.output != was {
            changed.push(difference.id);
        }
    }
    if crate::rules::listing::large(&mut expected) {
        changed.push("Z reader");
    }
    expected.count();
    (expected.output, changed)
}

/// Compares a command that may change the table: `run` has to restore the same state before each run, and
/// what varies between two such tables is masked.
pub fn compare_from<S: AsRef<str>>(
    args: &[S],
    ledger: &mut Ledger,
    mut run: impl FnMut(Tool, &[String]) -> Output,
) -> Result<Agreed, String> {
    let args: Vec<String> = args.iter().map(|a| a.as_ref().to_owned()).collect();
    let ours = masked(run(Tool::Zct, &args));
    let mut ask = |words: &[String]| masked(with_release(run(Tool::Reference, words)).0);
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

/// The first lines that one of them does not have; if there are none, the first pair of lines that differ.
fn first_difference(want: &str, have: &str) -> String {
    let (want, have): (Vec<&str>, Vec<&str>) =
        (want.split_inclusive('\n').collect(), have.split_inclusive('\n').collect());
    let (only_wanted, only_there) = (without(&want, &have), without(&have, &want));
    if want.len() > 1 && !(only_wanted.is_empty() && only_there.is_empty()) {
        let show = |sign: char, lines: &[&str]| {
            lines.iter().take(3).map(|l| format!("{sign} {l:?}\n")).collect::<String>()
        };
        let (missing, more) = (show('-', &only_wanted), show('+', &only_there));
        let (left, right) = (only_wanted.len(), only_there.len());
        return format!("{left} lines are missing and {right} are there instead\n{missing}{more}");
    }
    let at = want.iter().zip(&have).take_while(|(a, b)| a == b).count();
    let show = |sign: char, lines: &[&str]| {
        let some = lines.iter().skip(at).take(3);
        some.map(|l| format!("{sign} {l:?}\n")).collect::<String>()
    };
    format!("line {}, of {} and {}\n{}{}", at + 1, want.len(), have.len(), show('-', &want), show('+', &have))
}

/// The lines that are not among the others, each as often as it is there too often.
fn without<'a>(lines: &[&'a str], others: &[&str]) -> Vec<&'a str> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    others.iter().for_each(|l| *left.entry(l).or_default() += 1);
    let missing = lines.iter().filter(|l| match left.get_mut(**l) {
        Some(n) if *n > 0 => {
            *n -= 1;
            false
        }
        _ => true,
    });
    missing.copied().collect()
}
