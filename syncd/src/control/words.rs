//! The commands of our own, which are words and not letters: what may follow them, and how the client carries
//! them out.

use crate::control::exchange::{Answer, exchange};
use crate::control::request::{Request, STATUS, Shape};
use lexopt::{Parser, prelude::*};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Exit status: nobody answered.
const NOBODY: u8 = 1;

/// A command of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// `status`: shows the state of the daemon.
    Status(Shape),
}

/// How a command has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit status.
    pub code: u8,
    /// What to say about it.
    pub why: Option<String>,
}

impl Ended {
    fn because(code: u8, why: impl Into<String>) -> Ended {
        Ended { code, why: Some(why.into()) }
    }
}

/// Reads what follows a command; `None` for `--help`.
type Reader = fn(&mut Parser, &mut PathBuf) -> Result<Option<Own>, lexopt::Error>;

const COMMANDS: [(&str, Reader); 1] = [("status", status)];

/// Reads the words behind `word`, if that is a command of our own. `file` is the configuration file, which
/// `-C` may change. `Ok(None)` stands for `--help`.
pub(crate) fn parse(
    word: &OsStr,
    rest: impl IntoIterator<Item = OsString>,
    file: &mut PathBuf,
) -> Option<Result<Option<Own>, String>> {
    let (name, read) = COMMANDS.iter().find(|(name, _)| word == *name)?;
    let own = read(&mut Parser::from_args(rest), file);
    Some(own.map_err(|e| format!("{name}: {e}")))
}

fn status(words: &mut Parser, file: &mut PathBuf) -> Result<Option<Own>, lexopt::Error> {
    let mut shape = Shape::Text;
    while let Some(arg) = words.next()? {
        match arg {
            Long("json") => shape = Shape::Json,
            Short('C') => *file = words.value()?.into(),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(Own::Status(shape)))
}

/// Carries out a command, by asking the daemon behind the socket; what it has to show goes to `out`.
pub fn carry_out(socket: &Path, own: Own, out: &mut dyn std::io::Write) -> Ended {
    match own {
        Own::Status(shape) => show_status(socket, shape, out),
    }
}

/// Writes the status. The exit status says whether the node is in sync.
fn show_status(socket: &Path, shape: Shape, out: &mut dyn std::io::Write) -> Ended {
    let told = match told(socket, Request::Status(shape)) {
        Ok(told) => told,
        Err(ended) => return ended,
    };
    match out.write_all(told.rest.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ended { code: told.code, why: None },
        Err(e) => Ended::because(NOBODY, format!("can't write: {e}")),
    }
}

/// The answer to a request of our own: its first line has a number and a text, and something may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    code: u8,
    rest: String,
}

impl Told {
    fn of(text: &str) -> Option<Told> {
        let (first, rest) = text.split_once('\n')?;
        let (code, _) = first.strip_prefix(STATUS)?.trim_start().split_once(' ')?;
        Some(Told { code: code.parse().ok()?, rest: rest.into() })
    }
}

fn told(socket: &Path, request: Request) -> Result<Told, Ended> {
    let mut text = Vec::new();
    match exchange(socket, request.code(false), &mut text) {
        Answer::Done => {}
        Answer::NoDaemon => return Err(Ended::because(NOBODY, NO_DAEMON)),
        Answer::Failed(why) => return Err(Ended::because(NOBODY, why)),
        Answer::Broken(e) => return Err(Ended::because(NOBODY, format!("{BROKEN}: {e}"))),
    }
    // An original, and a zctd of before, close the connection when they do not know a number.
    if text.is_empty() {
        return Err(Ended::because(NOBODY, UNKNOWN));
    }
    let text = String::from_utf8_lossy(&text);
    Told::of(&text).ok_or_else(|| Ended::because(NOBODY, format!("an answer that makes no sense: {text}")))
}

/// Nobody listens on the control socket.
pub const NO_DAEMON: &str = "can't connect: is conntrackd running? appropriate permissions?";
/// The connection to the daemon broke; the reason follows.
pub const BROKEN: &str = "the connection to the daemon broke";
/// The daemon is an original, or older than the request.
pub const UNKNOWN: &str = "the daemon does not know this request";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Option<Result<Option<Own>, String>>, PathBuf) {
        let mut words = line.split_whitespace().map(OsString::from);
        let first = words.next().unwrap();
        let mut file = PathBuf::from("/default");
        (parse(&first, words, &mut file), file)
    }

    #[test]
    fn commands_and_what_follows_them() {
        for (line, own) in [
            ("status", Some(Own::Status(Shape::Text))),
            ("status --json", Some(Own::Status(Shape::Json))),
            ("status --json -C /x", Some(Own::Status(Shape::Json))),
            ("status --help", None),
        ] {
            assert_eq!(parsed(line).0, Some(Ok(own)), "{line}");
        }
        assert_eq!(parsed("status -C /x --json").1, PathBuf::from("/x"));
        assert_eq!(parsed("status").1, PathBuf::from("/default"));
        for line in ["-s", "statu", "stat", "xs", "--status"] {
            assert_eq!(parsed(line).0, None, "{line}");
        }
        for (line, why) in [
            ("status now", "status: unexpected argument \"now\""),
            ("status --jso", "status: invalid option '--jso'"),
            ("status -s", "status: invalid option '-s'"),
            ("status -C", "status: missing argument for option '-C'"),
        ] {
            assert_eq!(parsed(line).0, Some(Err(why.into())), "{line}");
        }
    }

    #[test]
    fn answers_begin_with_a_verdict() {
        let told = |code, rest: &str| Some(Told { code, rest: rest.into() });
        assert_eq!(Told::of("zctd 0 in sync\n{}\n"), told(0, "{}\n"));
        assert_eq!(Told::of("zctd 2 degraded: no dedicated link is up\nx\ny\n"), told(2, "x\ny\n"));
        for nonsense in ["", "zctd 0 in sync", "zctd\n", "zctd x y\n", "zctd 300 y\n", "cache internal:\n"] {
            assert_eq!(Told::of(nonsense), None, "{nonsense}");
        }
    }
}
