//! From words to one row of the table (nfct.md §4.1).
//!
//! Written by hand, without a library: there are no options, command and subsystem come in either order and
//! may be abbreviated, and the original's messages depend on which of the two was expected.

use super::call::Call;
use super::table::{Row, Subsystem, command, subsystem};
use crate::fail::{Fail, Name, warn};

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    /// The text of `--help`.
    Help,
    /// The name and release of this program.
    Version,
    /// A command whose number of words has been checked.
    Run(Call<'a>),
}

/// The program's name as it was called, including the path. Some of the original's messages show it like
/// this, others without the path.
fn called(name: Name, argv0: &[u8]) -> &[u8] {
    if name == Name::Nfct { argv0 } else { name.nfct().as_bytes() }
}

/// The line that ends most refusals.
fn usage(name: Name, argv0: &[u8]) -> Vec<u8> {
    [b"Usage: ", called(name, argv0), b" command subsystem [parameters]..."].concat()
}

/// Reads the words after the program's name. Command and subsystem come in either order; the command is
/// looked for first.
pub(super) fn parse<'a>(name: Name, argv0: &[u8], words: &'a [&'a [u8]]) -> Result<Asked<'a>, Fail> {
    // The original has no help, although its table does: the word is taken for the beginning of "helper".
    let start = words.get(..2).unwrap_or(words);
    if start.iter().any(|w| matches!(*w, b"help" | b"--help" | b"-h")) {
        return Ok(Asked::Help);
    }
    let (first, second, params) = match words {
        [first, second, params @ ..] => (*first, *second, params),
        [b"version" | b"--version" | b"-V"] => return Ok(Asked::Version),
        _ => {
            warn(&usage(name, argv0));
            return Err(Fail::silent());
        }
    };
    // As in the original, messages name the first word even if the second is the wrong one.
    let unknown = |what: &str| {
        Fail::runtime([b"Unknown ", what.as_bytes(), b": ", first, b"\n", &usage(name, argv0)].concat())
    };
    let (cmd, what) = match (command(first), subsystem(first)) {
        (Some(cmd), _) => (cmd, subsystem(second).ok_or_else(|| unknown("subsystem"))?),
        (None, Some(what)) => (command(second).ok_or_else(|| unknown("command"))?, what),
        (None, None) => return Err(unknown("subsystem")),
    };
    if what == Subsystem::Version {
        return Ok(Asked::Version);
    }
    let Some(row) = Row::find(cmd, what) else { return Err(no_such(name, argv0, what, second)) };
    let call = Call { name, row, words: params };
    call.check_count()?;
    Ok(Asked::Run(call))
}

/// The failure for a command that this subsystem does not have.
fn no_such(name: Name, argv0: &[u8], what: Subsystem, second: &[u8]) -> Fail {
    let list: &[u8] = if what == Subsystem::Timeout {
        b" <list|add|delete|get|default-set|default-get|flush> timeout [<parameters>, ...]"
    } else {
        name.say(&[b"Unknown command: ", second].concat());
        b" helper list|add|delete|disable|get|flush [parameters...]"
    };
    Fail::runtime([b"Missing command\n", called(name, argv0), list].concat())
}

impl Call<'_> {
    fn check_count(&self) -> Result<(), Fail> {
        let row = self.row;
        if self.words.len() < row.min {
            return Err(self.too_few());
        }
        match row.max {
            Some(max) if self.words.len() > max => Err(Fail::runtime("too many arguments")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split_ascii_whitespace().map(str::as_bytes).collect()
    }

    /// What a line asks for, in a few words, or its message.
    fn read(line: &str) -> String {
        match parse(Name::Nfct, b"./nfct", &words(line)) {
            Ok(Asked::Help) => "help".to_owned(),
            Ok(Asked::Version) => "version".to_owned(),
            Ok(Asked::Run(call)) => {
                format!("{} {} {}", call.row.command(), call.row.subsystem(), call.words.len())
            }
            Err(fail) => {
                assert_eq!(fail.code(), 1, "{line}");
                String::from_utf8(fail.text).unwrap()
            }
        }
    }

    const USAGE: &str = "Usage: ./nfct command subsystem [parameters]...";

    #[test]
    fn either_order_and_shortened() {
        for (line, want) in [
            ("list timeout", "list timeout 0"),
            ("timeout list", "list timeout 0"),
            ("l t", "list timeout 0"),
            ("h d ftp inet", "delete helper 2"),
            ("add t a inet tcp close 1", "add timeout 5"),
            ("default-get timeout inet tcp extra", "default-get timeout 3"),
            ("version list", "version"),
            ("list v x y", "version"),
            ("--version", "version"),
            ("help", "help"),
            ("--help list", "help"),
            ("list help", "help"),
            ("hel list", "list helper 0"),
        ] {
            assert_eq!(read(line), want, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_original() {
        for (line, want) in [
            ("", String::new()),
            ("list", String::new()),
            ("list foo", format!("Unknown subsystem: list\n{USAGE}")),
            ("foo list", format!("Unknown subsystem: foo\n{USAGE}")),
            ("timeout foo", format!("Unknown command: timeout\n{USAGE}")),
            ("version foo", format!("Unknown command: version\n{USAGE}")),
            ("list timeout x", "too many arguments".to_owned()),
            ("get timeout", "missing timeout policy name".to_owned()),
            ("delete helper", "missing helper policy name".to_owned()),
            ("get helper a b c d", "too many arguments".to_owned()),
            (
                "default-set timeout inet tcp",
                "missing parameters\nsyntax: nfct default-set timeout family protocol state1 timeout1..."
                    .to_owned(),
            ),
            ("add helper ftp", "missing parameters\nsyntax: nfct add helper name family protocol".to_owned()),
        ] {
            assert_eq!(read(line), want, "{line}");
        }
        assert!(read("disable timeout").starts_with("Missing command\n./nfct <list|"));
        assert!(read("default-get helper").starts_with("Missing command\n./nfct helper list|"));
    }
}
