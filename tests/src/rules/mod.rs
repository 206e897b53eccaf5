//! What zct has to print instead: one function per difference that shows in commands that end by themselves.
//!
//! A rule never repeats zct's logic. It finds a command line that makes the original do what zct is to do, or
//! combines several answers of the original, or reads the printed entries.

pub mod labels;
pub mod listing;
pub mod nfct;
pub mod values;
pub mod words;
pub mod written;

use crate::differences::Expected;
use crate::entries::{Entries, Facts};
use crate::options::Line;
use crate::program::{Exit, Output};

/// The start of every message.
pub const PREFIX: &str = "conntrack v1.4.9 (conntrack-tools): ";
/// The line after every usage error.
pub const TRY: &str = "Try `conntrack -h' or 'conntrack --help' for more information.\n";

/// How messages begin that are about the combination of options.
const LATER: [&str; 5] =
    ["Illegal option", "You need to supply", "cannot specify", "you have to specify", "Can't use"];

impl Expected<'_> {
    /// What the original says to this line, with words named as they were typed.
    fn asked(&mut self, line: &Line) -> Output {
        let mut output = (self.ask)(line);
        if let Some((theirs, ours)) = &self.renamed {
            output.stderr = output.err().replace(theirs, ours).into();
        }
        output
    }

    /// Runs the original again with this line, and expects what it says.
    fn retry(&mut self, line: Line) -> bool {
        self.output = self.asked(&line);
        self.line = line;
        true
    }

    fn fails(&mut self, text: &str, code: i32) -> bool {
        let more = if code == 2 { TRY } else { "" };
        let stderr = format!("{PREFIX}{text}\n{more}").into();
        self.output = Output { stdout: Vec::new(), stderr, exit: Exit::Code(code) };
        true
    }

    /// Drops entries; returns false when there was none to drop.
    fn retain(&mut self, keep: impl Fn(&Facts) -> bool) -> bool {
        let Some(mut entries) = Entries::of(&self.output) else { return false };
        let before = entries.lines.len();
        entries.lines.retain(|l| keep(&Facts::of(l)));
        if entries.lines.len() == before {
            return false;
        }
        let mut output = entries.clone().into_output(&self.output);
        // -G and its like fail when nothing is left.
        if entries.lines.is_empty() && self.line.has("get") {
            output.exit = Exit::Code(1);
        }
        self.output = output;
        true
    }

    /// The entries that the line selects according to the rules about what is listed.
    fn selected(&mut self, line: Line) -> Option<Entries> {
        let output = self.asked(&line);
        let left_out = Vec::new();
        let ask = &mut *self.ask;
        let (ours, listing) = (self.ours, self.listing);
        let mut one = Expected {
            line,
            output,
            ours,
            read: None,
            renamed: None,
            counted: false,
            left_out,
            listing,
            ask,
        };
        for difference in listing {
            if let Some(rule) = difference.rule {
                rule(&mut one);
            }
        }
        Entries::of(&one.output)
    }

    /// Removes the entries that rules have found to be left out.
    pub fn leave_out(&mut self) {
        for out in std::mem::take(&mut self.left_out) {
            let Some(mut entries) = Entries::of(&self.output) else { return };
            entries.drop_those(&out);
            self.output = entries.into_output(&self.output);
        }
    }

    /// Puts the number of entries in the place of the list, if that is what is asked for.
    pub fn count(&mut self) {
        let Some(entries) = Entries::of(&self.output).filter(|_| self.counted) else { return };
        let shown = |l: &&str| l.starts_with(PREFIX) && l.ends_with(" flow entries have been shown.");
        let stderr: String =
            self.output.err().lines().filter(|l| !shown(l)).map(|l| format!("{l}\n")).collect();
        let stdout = format!("{}\n", entries.lines.len());
        self.output = Output { stdout: stdout.into(), stderr: stderr.into(), exit: Exit::Code(0) };
    }

    /// How many words are read before a mistake ends the command. The original is asked, with one more word
    /// each time and an unknown one at the end, so that nothing is carried out.
    fn words_read(&mut self) -> usize {
        let all = self.line.words.len();
        if let Some(read) = self.read {
            return read;
        }
        // A wrong combination is found after all words have been read.
        let combination = LATER.iter().any(|l| self.output.err().contains(l));
        let label = self.output.err().contains("unknown label '");
        if !ends_reading(&self.output) || combination || label {
            return all;
        }
        let mistake = (1..all).find(|n| {
            let line = Line { words: self.line.words[..*n].to_vec() };
            self.asked(&line.with(&["--no-such-option"])).err() == self.output.err()
        });
        mistake.unwrap_or(all) - 1
    }

    fn lists_flows(&self) -> bool {
        self.line.has("dump") || self.line.has("get")
    }
}

/// Whether this is a mistake found while reading options, or in their combination.
fn ends_reading(output: &Output) -> bool {
    output.exit == Exit::Code(2) || output.err().contains("cannot use --label-add and --label-del")
}

/// What was printed before anything was done.
fn warnings(output: &Output) -> String {
    output.err().lines().filter(|l| l.starts_with("WARNING")).map(|l| format!("{l}\n")).collect()
}

/// Reads a number in C's notation.
fn any_base(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}
/// The names that can be given; two more can be shown.
const SCTP: [&str; 8] = [
    "NONE",
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
];
