//! Values tried on a real table: a wrong one is refused by name and changes nothing. What the right ones do
//! is checked in [`super::select`] and [`super::write`].

use super::flows::Seeded;
use super::number::Verdict;
use super::options::{Kind, Meaning, ROWS, Row};
use super::words::LABELS;
use fastrand::Rng;
use std::collections::BTreeSet;
use zct_tests::etc::PrivateEtc;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::TRACKING;

/// What was found to be wrong, if anything.
pub(crate) type Found = Result<(), String>;

/// A namespace with the table, and a file of labels.
pub(crate) struct Place {
    _ns: Netns,
    _etc: PrivateEtc,
    pub(crate) table: Seeded,
    labels: tempfile::NamedTempFile,
    pub(crate) accepted: u32,
    pub(crate) refused: u32,
}

/// An option, a command, and whether it selects there.
pub(crate) type Pair = (&'static Row, char, bool);

/// Every option with every command on flows that takes it.
pub(crate) fn pairs() -> Vec<Pair> {
    let of =
        |row: &'static Row, letters: &'static str, selects| letters.chars().map(move |c| (row, c, selects));
    ROWS.iter().flat_map(|row| of(row, row.selects, true).chain(of(row, row.sets, false))).collect()
}

pub(crate) fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// One of the ways to type the option.
pub(crate) fn typed(rng: &mut Rng, row: &Row, text: &str) -> Vec<String> {
    let name = one(rng, row.names);
    let attached = matches!(row.kind, Kind::Nat) || row.names[0] == "label-del";
    match (rng.u8(..4), row.letter) {
        (0, Some(letter)) if !attached => vec![format!("-{letter}"), text.to_owned()],
        (1, Some(letter)) if !text.is_empty() => vec![format!("-{letter}{text}")],
        (2, _) if !attached => vec![format!("--{name}"), text.to_owned()],
        // An optional value that looks like an option has to be attached.
        _ => vec![format!("--{name}={text}")],
    }
}

/// Whether standard error says which value is wrong.
pub(crate) fn names(err: &str, text: &str, row: &Row) -> bool {
    let parts = text.split([',', '/', ':', '[', ']', '-', '!']).chain(text.split([',', '/'])).chain([text]);
    let mut worth =
        parts.map(|p| p.trim().chars().take(40).collect::<String>()).filter(|p| !p.is_empty()).peekable();
    if worth.peek().is_none() || !text.is_ascii() || text.contains(['\n', '\t', '\\', '"']) {
        // Nothing that could be shown unchanged: then the option has to be named.
        let letter = row.letter.map(|l| format!("-{l}"));
        return row.names.iter().any(|n| err.contains(n))
            || letter.is_some_and(|l| err.contains(&l))
            || err.contains('\'');
    }
    // For a list or a length where none is allowed, or what a protocol requires, the option has to be named.
    let otherwise_right = row.judge(text, true) != Verdict::Wrong;
    let mut names = row.names.iter();
    let named = names.any(|n| err.contains(&format!("--{n}'")))
        || err.contains("`--mask-")
        || row.names[0] == "protonum"
            && ["supply", "specify", "unknown option"].iter().any(|t| err.contains(t));
    // The family of one address against that of another, in the original's words: found before anything else.
    let mismatched = err.contains("mismatched address family");
    let no_length = row.names.iter().any(|n| err.contains(&format!("CIDR notation unavailable for `--{n}'")));
    // An empty part is shown as such, or by what surrounds it.
    let mut empty = text.split([',', '/', ':']).filter(|p| p.trim().is_empty());
    let nothing = empty.any(|p| err.contains(&format!("`{p}'")) || err.contains(&format!("'{p}'")));
    let around = ["No port specified after", "No closing ']'", "No IPv6 address specified"];
    // It has a `!` although nothing is selected.
    let selects = text.contains('!') && named && err.contains("' selects, and -");
    // It is enough to quote the part of the value with the mistake, however short.
    let mut quoted = err.split(['`', '\'']).filter(|q| !q.is_empty());
    quoted.any(|q| text.contains(q))
        || nothing
        || mismatched
        || selects
        || around.iter().any(|t| err.contains(t))
        || worth.any(|p| err.contains(&p))
        || otherwise_right && named
        || no_length && text.contains('/')
}

/// The ids in text, XML or JSON: the last on each line, since ICMP has ids of its own.
pub(crate) fn ids(output: &str) -> Vec<u32> {
    let mark = ["\"id\":", "<id>", " id="];
    let of_line = |line: &str| {
        let (_, rest) = mark.iter().find_map(|m| line.rsplit_once(m))?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let mut all: Vec<u32> = output.lines().filter_map(of_line).collect();
    all.sort_unstable();
    all
}

/// The addresses that have to be shown.
pub(crate) fn said(verdict: &Verdict<Meaning>) -> &[String] {
    verdict.meaning().map_or(&[], Meaning::said)
}

/// Whether the words can be a line of a file: `-R` has its own reader for blanks, and tests of its own.
pub(crate) fn is_line(words: &[String]) -> bool {
    words.iter().all(|w| !w.is_empty() && !w.contains([' ', '\t', '\n', '"', '\\']))
}

/// What a program did with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    /// It carried the command out, even if nothing was found.
    Took,
    /// It was refused.
    Refused,
}

pub(crate) fn did(output: &Output) -> Did {
    let err = output.err();
    let carried =
        ["flow entries have been", "flow entries would be", "doesn't exist"].iter().any(|t| err.contains(t));
    if output.exit == Exit::Code(0) || carried { Did::Took } else { Did::Refused }
}

/// Judges the answer to a value: it was refused by name, or accepted with an allowed meaning. `said` are
/// addresses that have to be shown, since they are not what one might think.
pub(crate) fn answered<M>(
    row: &Row,
    text: &str,
    verdict: &Verdict<M>,
    said: &[String],
    output: &Output,
) -> Result<Did, String> {
    let did = did(output);
    let err = output.err();
    match (verdict, did) {
        (Verdict::Wrong, Did::Took) => Err("a wrong value was taken".into()),
        (Verdict::Right(_), Did::Refused) => Err("a right value was refused".into()),
        // What the kernel refuses is not what the program could not read.
        (Verdict::Perhaps(_), Did::Refused) if err.contains("Operation failed") => Ok(did),
        (_, Did::Refused) if !names(&err, text, row) => Err("the message does not name the value".into()),
        (_, Did::Refused) if !output.stdout.is_empty() => Err("refused, but something was shown".into()),
        (_, Did::Took) if row.names[0] == "secmark" && !err.contains("--secmark") => {
            Err("it is not said that no flow has a secmark".into())
        }
        (_, Did::Took) => match said.iter().find(|s| !err.contains(*s)) {
            Some(said) => Err(format!("stderr does not say that {said} was understood")),
            None => Ok(did),
        },
        _ => Ok(did),
    }
}

impl Place {
    pub(crate) fn new() -> Place {
        let ns = Netns::fresh();
        ns.nft(TRACKING);
        let labels = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(labels.path(), LABELS).expect("label names");
        Place {
            _ns: ns,
            _etc: PrivateEtc::with_labels(Some(LABELS)),
            table: Seeded::new(),
            labels,
            accepted: 0,
            refused: 0,
        }
    }

    /// Tries a random text with an option and a command.
    pub(crate) fn attempt(&mut self, rng: &mut Rng, (row, command, selects): Pair) -> Found {
        let found = match (command, selects) {
            ('G', _) => self.get(rng, row),
            (_, true) => self.select(rng, row, command),
            ('E', false) => self.buffer(rng, row),
            ('I' | 'A', false) => self.create(rng, row, command),
            ('D', false) => self.time_left(rng, row),
            ('U', false) => self.update(rng, row),
            other => panic!("{other:?}"),
        };
        if found.is_err() {
            // What this one did to the table must not be blamed on the next.
            self.table.restore();
        }
        found
    }

    /// Runs it directly, or as a line of a file.
    pub(crate) fn run(&mut self, words: &[String], by_file: bool) -> (Output, String) {
        let output = if by_file {
            Tool::Zct.run_with_stdin(&["-R", "-"], (words.join(" ") + "\n").as_bytes())
        } else {
            Tool::Zct.run(words)
        };
        let shown = self.count(words, &output);
        (output, shown)
    }

    /// Counts what was done, and puts it into words for a message.
    pub(crate) fn count(&mut self, words: &[String], output: &Output) -> String {
        match did(output) {
            Did::Took => self.accepted += 1,
            Did::Refused => self.refused += 1,
        }
        format!("conntrack {words:?}: {output:?}")
    }

    /// Not every command takes the option that names the file of labels.
    pub(crate) fn label_file(&self, row: &Row, command: char) -> Vec<String> {
        if matches!(row.kind, Kind::Label) && "LUDE".contains(command) {
            vec!["-M".into(), self.labels.path().display().to_string()]
        } else {
            Vec::new()
        }
    }

    pub(crate) fn unchanged(&mut self, why: &str) -> Found {
        let now = self.table.now();
        if self.table.is_untouched(&now) {
            return Ok(());
        }
        self.table.restore();
        Err(format!("the table has changed, though {why}"))
    }

    /// Which flows are gone; they are restored afterwards. Any other change counts as well.
    pub(crate) fn gone(&mut self) -> Vec<u32> {
        let now = self.table.now();
        let there: BTreeSet<u32> = now.iter().map(|f| f.id).collect();
        let gone: Vec<u32> = self.table.ids(|f| !there.contains(&f.id));
        if !gone.is_empty() {
            self.table.restore();
        }
        gone
    }
}
