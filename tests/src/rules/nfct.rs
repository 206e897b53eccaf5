//! What zct has to answer where its nfct differs from the original on purpose.

use crate::program::{Exit, Output};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// The start of every message.
pub const PREFIX: &str = "nfct v1.4.9: ";
const VERSION: &str = "nfct v1.4.9: utility for the Netfilter's Connection Tracking System\n";

/// A command line, and the answers of both programs.
#[derive(Debug)]
pub struct Case<'a> {
    /// The words after the program's name.
    pub words: &'a [OsString],
    /// The original's answer, with its release replaced by [`with_release`].
    pub theirs: &'a Output,
    /// Our answer, for what the original cannot tell, such as the text of a hint.
    pub ours: &'a Output,
}

/// What our answer has to be; `None` when the difference is not triggered.
type NfctRule = fn(&Case<'_>) -> Option<Output>;

const RULES: [(&str, NfctRule); 9] = [
    ("Z nfct hint", hint),
    ("Z nfct help", help),
    ("Z nfct version", version),
    ("Z nfct policy name", policy_name),
    ("Z nfct seconds", seconds),
    ("Z nfct helper name", helper_name),
    ("Z nfct protocol", protocol),
    ("Z nfct helper family", helper_family),
    ("Z nfct helper get", helper_get),
];

/// Replaces the original's release by the one that zct follows, and tells whether one was there.
pub fn with_release(mut output: Output) -> (Output, bool) {
    let mut replaced = false;
    for text in [&mut output.stdout, &mut output.stderr] {
        // Only what has to be replaced is read as text: names of policies may contain any bytes.
        if let Some(rest) = text.strip_prefix(b"nfct v1.4.7:") {
            *text = [b"nfct v1.4.9:", rest].concat();
            replaced = true;
        }
        // Some answers consist of two messages.
        let lines = String::from_utf8(text.clone()).unwrap_or_default();
        if lines.contains("\nnfct v1.4.7:") {
            *text = lines.replace("\nnfct v1.4.7:", "\nnfct v1.4.9:").into();
        }
    }
    (output, replaced)
}

impl Case<'_> {
    /// The difference between the two answers: `Ok(None)` when there is none, `Err` when no rule allows it.
    pub fn judge(&self) -> Result<Option<&'static str>, String> {
        if self.ours == self.theirs {
            return Ok(None);
        }
        let fits = |(_, rule): &&(&str, NfctRule)| rule(self).is_some_and(|wanted| wanted == *self.ours);
        let found = RULES.iter().find(fits).map(|(id, _)| Some(*id));
        found.ok_or_else(|| {
            let expected = RULES.iter().filter_map(|(id, rule)| Some((*id, rule(self)?)));
            let expected: String = expected.map(|(id, out)| format!("with {id}: {out:?}\n")).collect();
            format!("nfct {:?}\nthe original: {:?}\n{expected}zct: {:?}", self.words, self.theirs, self.ours)
        })
    }

    fn is(&self, at: usize, among: &[&str]) -> bool {
        self.words.get(at).is_some_and(|w| among.iter().any(|a| *a == w))
    }

    /// Whether the command or the subsystem is one of these.
    fn has(&self, among: &[&str]) -> bool {
        self.is(0, among) || self.is(1, among)
    }

    fn silent(&self) -> bool {
        *self.theirs == Output { stdout: Vec::new(), stderr: Vec::new(), exit: Exit::Code(0) }
    }
}

/// A refusal with this text.
fn refusal(text: &[u8]) -> Output {
    let stderr = [PREFIX.as_bytes(), text, b"\n"].concat();
    Output { stdout: Vec::new(), stderr, exit: Exit::Code(1) }
}

fn too_long(what: &str, name: &OsStr, max: usize) -> Option<Output> {
    let len = name.len();
    let end = format!("' is too long: {len} bytes, at most {max}");
    (len > max)
        .then(|| refusal(&[format!("{what} name `").as_bytes(), name.as_bytes(), end.as_bytes()].concat()))
}

/// One more line, which is not another message.
fn hint(case: &Case<'_>) -> Option<Output> {
    let kernel = case.theirs.stderr.starts_with(format!("{PREFIX}netlink error: ").as_bytes());
    let more = case.ours.stderr.strip_prefix(case.theirs.stderr.as_slice()).unwrap_or_default();
    let one = more.split_last().is_some_and(|(end, line)| *end == b'\n' && !line.contains(&b'\n'));
    let hint = one && more.len() > 20 && !more.starts_with(b"nfct v");
    let stderr = [&case.theirs.stderr, more].concat();
    (kernel && hint).then(|| Output { stderr, ..case.theirs.clone() })
}

/// One of nfct's help texts.
fn help(case: &Case<'_>) -> Option<Output> {
    let text = case.ours.out();
    let is_help = text.starts_with("nfct: timeout policies") && text.contains("\nUsage: nfct ");
    (case.has(&["help", "--help", "-h"]) && is_help).then(|| Output {
        stdout: text.into(),
        stderr: Vec::new(),
        exit: Exit::Code(0),
    })
}

/// The original's first line, and anything below it.
fn version(case: &Case<'_>) -> Option<Output> {
    let alone = case.words.len() == 1 && case.is(0, &["version", "--version", "-V"]);
    let same = case.theirs.out().starts_with(VERSION) && case.theirs.exit == Exit::Code(0);
    let below = case.ours.stdout.strip_prefix(VERSION.as_bytes()).unwrap_or_default();
    let stdout = [VERSION.as_bytes(), below].concat();
    (alone || same).then(|| Output { stdout, stderr: Vec::new(), exit: Exit::Code(0) })
}

fn policy_name(case: &Case<'_>) -> Option<Output> {
    case.has(&["timeout"]).then(|| too_long("timeout policy", case.words.get(2)?, 31)).flatten()
}

/// The first invalid time of a policy ends the command before anything is done; but mistakes that the
/// original finds before it come first.
fn seconds(case: &Case<'_>) -> Option<Output> {
    let pairs = match () {
        () if !case.has(&["timeout"]) => return None,
        () if case.has(&["add"]) => case.words.get(5..)?,
        () => case.words.get(4..)?,
    };
    let ours = case.ours.err();
    let longest: u64 = ours.rsplit_once("at most ")?.1.trim_end().parse().ok()?;
    let bad = pairs.chunks_exact(2).find(|pair| !is_time(&pair[1].to_string_lossy(), longest))?;
    let (state, time) = (bad[0].as_bytes(), bad[1].as_bytes());
    let wanted = format!(": seconds, or with units as 90s, 5m, 1h30m, 2d, at most {longest}");
    let is_longest = [21_474_836, 8_589_934, 7_158_278, 2_147_483].contains(&longest);
    is_longest.then(|| refusal(&[b"unexpected value '", time, b"' with ", state, wanted.as_bytes()].concat()))
}

/// Digits within the limit, with a plus or blanks in front and one unit after them.
fn is_time(text: &str, longest: u64) -> bool {
    let text = text.trim_start_matches([' ', '\t']).trim_start_matches('+');
    let digits = text.trim_end_matches(|c: char| "smhd".contains(c));
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return false,
    };
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    number.is_some_and(|n| n <= longest / unit)
}

fn helper_name(case: &Case<'_>) -> Option<Output> {
    case.has(&["helper"]).then(|| too_long("helper", case.words.get(2)?, 15)).flatten()
}

fn protocol(case: &Case<'_>) -> Option<Output> {
    let above = case.words.iter().any(|w| w == "mptcp");
    above.then(|| refusal(b"unknown layer 4 protocol"))
}

/// Whether ours finds the right one is checked where the helpers are; here only that the original finds none.
fn helper_family(case: &Case<'_>) -> Option<Output> {
    let family_alone = case.has(&["helper"]) && case.has(&["get", "delete"]) && case.words.len() == 4;
    let none =
        case.silent() || case.theirs.err() == format!("{PREFIX}netlink error: No such file or directory\n");
    (family_alone && none).then(|| case.ours.clone())
}

fn helper_get(case: &Case<'_>) -> Option<Output> {
    const HINT: &str = "There is no such helper: nfct list helper shows those there are";
    let text = format!("netlink error: No such file or directory\n{HINT}");
    (case.has(&["helper"]) && case.has(&["get"]) && case.silent()).then(|| refusal(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stdout: &str, stderr: &str, code: i32) -> Output {
        Output { stdout: stdout.into(), stderr: stderr.into(), exit: Exit::Code(code) }
    }

    fn judged(line: &str, theirs: &Output, ours: &Output) -> Result<Option<&'static str>, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Case { words: &words, theirs, ours }.judge()
    }

    #[test]
    fn a_difference_is_allowed_only_as_it_is_in_the_table() {
        let refused = answer("", "nfct v1.4.9: netlink error: Invalid argument\n", 1);
        let hinted = |hint: &str, code| answer("", &(refused.err() + hint), code);
        let line = "add timeout a inet tcp";
        assert_eq!(judged(line, &refused, &refused), Ok(None));
        let hint = "A policy needs at least one state\n";
        assert_eq!(judged(line, &refused, &hinted(hint, 1)), Ok(Some("Z nfct hint")));
        for wrong in [hinted(hint, 0), hinted(&hint.repeat(2), 1), hinted("nfct v1.4.9: something else\n", 1)]
        {
            assert!(judged(line, &refused, &wrong).is_err());
        }
        let done = answer("", "", 0);
        assert!(judged("get helper a inet tcp", &done, &answer("x", "", 0)).is_err());
        let long = format!("add timeout {} inet tcp close 1", "n".repeat(32));
        assert!(judged(&long, &done, &answer("", "nfct v1.4.9: timeout policy name\n", 1)).is_err());
        assert!(judged("list timeout", &done, &answer("", "", 1)).is_err());
    }

    #[test]
    fn releases_at_the_start_of_lines_are_replaced() {
        let text = "nfct v1.4.7: a\nnfct v1.4.7: b nfct v1.4.7: c\n";
        let (output, replaced) = with_release(answer("", text, 1));
        assert!(replaced);
        assert_eq!(output.err(), "nfct v1.4.9: a\nnfct v1.4.9: b nfct v1.4.7: c\n");
    }
}
