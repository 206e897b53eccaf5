//! The commands of our own, which are words and not letters: what may follow them, and how the client carries
//! them out.

use crate::control::exchange::{Answer, exchange_within};
use crate::control::request::{Condition, Request, STATUS, Shape, code};
use lexopt::{Parser, prelude::*};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

/// How long to wait for an answer that is given at once.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A command of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// `status`: shows the state of the daemon, with the entries of the ledger or without.
    Status(Shape, bool),
    /// `wait`: waits until a condition holds, for no longer than this.
    Wait(Condition, Option<Duration>),
}

/// How a command has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEnd {
    /// The exit status.
    pub code: u8,
    /// What to say about it.
    pub why: Option<String>,
}

impl CommandEnd {
    fn because(code: u8, why: impl Into<String>) -> CommandEnd {
        CommandEnd { code, why: Some(why.into()) }
    }
}

/// Reads what follows a command; `None` for `--help`.
type Reader = fn(&mut Parser, &mut PathBuf) -> Result<Option<Own>, lexopt::Error>;

/// A command that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misused {
    /// The exit status.
    pub(crate) code: u8,
    /// The message to print.
    pub(crate) text: String,
}

/// The commands, with their exit statuses when they are not understood.
const COMMANDS: [(&str, Reader, u8); 2] = [("status", status, code::NOBODY), ("wait", wait, code::GONE)];

/// Reads the words behind `word`, if that is a command of our own. `file` is the configuration file, which
/// `-C` may change. `Ok(None)` stands for `--help`.
pub(crate) fn parse(
    word: &OsStr,
    rest: impl IntoIterator<Item = OsString>,
    file: &mut PathBuf,
) -> Option<Result<Option<Own>, Misused>> {
    let (name, read, code) = COMMANDS.iter().find(|(name, ..)| word == *name)?;
    let own = read(&mut Parser::from_args(rest), file);
    Some(own.map_err(|e| Misused { code: *code, text: format!("{name}: {e}") }))
}

fn status(words: &mut Parser, file: &mut PathBuf) -> Result<Option<Own>, lexopt::Error> {
    let (mut shape, mut ledger) = (Shape::Text, false);
    while let Some(arg) = words.next()? {
        match arg {
            Long("json") => shape = Shape::Json,
            Long("ledger") => ledger = true,
            Short('C') => *file = words.value()?.into(),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(Own::Status(shape, ledger)))
}

fn wait(words: &mut Parser, file: &mut PathBuf) -> Result<Option<Own>, lexopt::Error> {
    let (mut condition, mut timeout) = (None, None);
    while let Some(arg) = words.next()? {
        let wanted = match arg {
            Long("ready") => Condition::Ready,
            Long("synced") => Condition::Synced,
            Long("committed") => Condition::Committed,
            Long("timeout") => {
                timeout = Some(words.value()?.parse_with(seconds)?);
                continue;
            }
            Short('C') => {
                *file = words.value()?.into();
                continue;
            }
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        };
        if condition.replace(wanted).is_some_and(|before| before != wanted) {
            return Err("only one of --ready, --synced and --committed can be waited for".into());
        }
    }
    let condition = condition.ok_or("what for? --ready, --synced or --committed")?;
    Ok(Some(Own::Wait(condition, timeout)))
}

/// Seconds, with a fraction if need be.
fn seconds(word: &str) -> Result<Duration, &'static str> {
    let digits = |b: u8| b.is_ascii_digit() || b == b'.';
    let value = word.parse().ok().filter(|_| word.bytes().all(digits));
    let span = value.and_then(|s| Duration::try_from_secs_f64(s).ok());
    // The time of the end has to be one that the clock knows.
    span.filter(|d| d.as_secs() <= u32::MAX.into()).ok_or("not a number of seconds up to 4294967295")
}

/// Carries out a command, by asking the daemon behind the socket; what it has to show goes to `out`.
pub fn carry_out(socket: &Path, own: Own, out: &mut dyn io::Write) -> CommandEnd {
    match own {
        Own::Status(shape, ledger) => show_status(socket, Request::Status(shape, ledger), out),
        Own::Wait(condition, timeout) => wait_for(socket, condition, timeout),
    }
}

/// Writes the status. The exit status says whether the node is in sync.
fn show_status(socket: &Path, request: Request, out: &mut dyn io::Write) -> CommandEnd {
    let told = match told(socket, request, None) {
        Ok(told) => told,
        Err(untold) => return CommandEnd::because(code::NOBODY, untold.to_string()),
    };
    match out.write_all(told.rest.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => CommandEnd { code: told.code, why: None },
        Err(e) => CommandEnd::because(code::NOBODY, format!("can't write: {e}")),
    }
}

/// Waits until the condition holds, or time is up.
fn wait_for(socket: &Path, condition: Condition, timeout: Option<Duration>) -> CommandEnd {
    let outcome = match timeout {
        Some(none) if none.is_zero() => Err(Untold::Late),
        some => told(socket, Request::Wait(condition), some),
    };
    let told = match outcome {
        Err(Untold::Late) => told(socket, Request::Check(condition), Some(AT_ONCE)),
        other => other,
    };
    match told {
        Ok(Told { code: code::YES, .. }) => CommandEnd { code: code::YES, why: None },
        Ok(Told { code, text, .. }) => CommandEnd::because(code, format!("not {}: {text}", condition.name())),
        Err(untold) => CommandEnd::because(code::GONE, untold.to_string()),
    }
}

/// The answer to a request of our own: its first line has an exit status and a text, and something may
/// follow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    code: u8,
    text: String,
    rest: String,
}

impl Told {
    fn of(text: &str) -> Option<Told> {
        let (first, rest) = text.split_once('\n')?;
        let (code, text) = first.strip_prefix(STATUS)?.trim_start().split_once(' ')?;
        Some(Told { code: code.parse().ok()?, text: text.into(), rest: rest.into() })
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Untold {
    NoDaemon,
    /// An original, or a zctd of before: it has closed the connection, since it does not know the number.
    Unknown,
    /// Time is up.
    Late,
    Broken(io::Error),
    Nonsense(String),
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Untold::NoDaemon => f.write_str(NO_DAEMON),
            Untold::Unknown => f.write_str(UNKNOWN),
            Untold::Late => f.write_str("the daemon does not answer"),
            Untold::Broken(e) => write!(f, "{BROKEN}: {e}"),
            Untold::Nonsense(text) => write!(f, "an answer that makes no sense: {text}"),
        }
    }
}

/// Asks, and waits for the answer no longer than `patience`.
fn told(socket: &Path, request: Request, patience: Option<Duration>) -> Result<Told, Untold> {
    let mut text = Vec::new();
    match exchange_within(socket, &request.code(false).to_ne_bytes(), patience, &mut text) {
        Answer::Done => {}
        Answer::NoDaemon => return Err(Untold::NoDaemon),
        Answer::Failed(why) => return Err(Untold::Nonsense(why)),
        Answer::Broken(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(Untold::Late),
        Answer::Broken(e) => return Err(Untold::Broken(e)),
    }
    if text.is_empty() {
        return Err(Untold::Unknown);
    }
    let text = String::from_utf8_lossy(&text);
    Told::of(&text).ok_or_else(|| Untold::Nonsense(text.into()))
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

    fn parsed(line: &str) -> (Option<Result<Option<Own>, Misused>>, PathBuf) {
        let mut words = line.split_whitespace().map(OsString::from);
        let first = words.next().unwrap();
        let mut file = PathBuf::from("/default");
        (parse(&first, words, &mut file), file)
    }

    #[test]
    fn commands_and_what_follows_them() {
        let half = Duration::from_millis(500);
        for (line, own) in [
            ("status", Some(Own::Status(Shape::Text, false))),
            ("status --json", Some(Own::Status(Shape::Json, false))),
            ("status --json -C /x", Some(Own::Status(Shape::Json, false))),
            ("status --ledger", Some(Own::Status(Shape::Text, true))),
            ("status --ledger --json", Some(Own::Status(Shape::Json, true))),
            ("status --help", None),
            ("wait --ready", Some(Own::Wait(Condition::Ready, None))),
            ("wait --timeout 2 --synced", Some(Own::Wait(Condition::Synced, Some(Duration::from_secs(2))))),
            ("wait --committed --timeout=.5", Some(Own::Wait(Condition::Committed, Some(half)))),
            ("wait -h", None),
        ] {
            assert_eq!(parsed(line).0, Some(Ok(own)), "{line}");
        }
        assert_eq!(parsed("status -C /x --json").1, PathBuf::from("/x"));
        assert_eq!(parsed("status").1, PathBuf::from("/default"));
        for line in ["-s", "statu", "stat", "xs", "--status"] {
            assert_eq!(parsed(line).0, None, "{line}");
        }
        for (line, code, text) in [
            ("status now", 1, "status: unexpected argument \"now\""),
            ("status --jso", 1, "status: invalid option '--jso'"),
            ("status -s", 1, "status: invalid option '-s'"),
            ("status -C", 1, "status: missing argument for option '-C'"),
            ("wait", 3, "wait: what for? --ready, --synced or --committed"),
            (
                "wait --ready --synced",
                3,
                "wait: only one of --ready, --synced and --committed can be waited for",
            ),
            ("wait --ready --timeout", 3, "wait: missing argument for option '--timeout'"),
        ] {
            assert_eq!(parsed(line).0, Some(Err(Misused { code, text: text.into() })), "{line}");
        }
    }

    #[test]
    fn seconds_are_numbers() {
        for (word, ms) in [("0", 0), ("1.5", 1500), ("4294967295", 4_294_967_295_000)] {
            assert_eq!(seconds(word), Ok(Duration::from_millis(ms)), "{word}");
        }
        for word in ["", ".", "-1", "1e3", "inf", "NaN", "5s", "4294967296", "1.2.3"] {
            assert!(seconds(word).is_err(), "{word}");
        }
    }

    #[test]
    fn answers_begin_with_a_verdict() {
        let told = |code, text: &str, rest: &str| Some(Told { code, text: text.into(), rest: rest.into() });
        assert_eq!(Told::of("zctd 0 in sync\n{}\n"), told(0, "in sync", "{}\n"));
        assert_eq!(Told::of("zctd 2 no link; no peer\nx\ny\n"), told(2, "no link; no peer", "x\ny\n"));
        for nonsense in ["", "zctd 0 in sync", "zctd\n", "zctd x y\n", "zctd 300 y\n", "cache internal:\n"] {
            assert_eq!(Told::of(nonsense), None, "{nonsense}");
        }
    }
}
