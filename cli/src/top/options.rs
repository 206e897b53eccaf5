//! The words of `zct top`: its own options, and those that select flows, which are `-L`'s.

use crate::commands::Invocation;
use crate::fail::{Fail, Name};
use crate::filter::Filter;
use crate::flags::args::Args;
use crate::flags::command::COMMANDS;
use crate::flags::flag::{Flag, Section, Takes};
use crate::flags::id::Id;
use crate::flags::protocol::PROTOCOLS;
use crate::flags::selection;
use crate::flags::table::FLAGS;
use crate::flags::{check_legal, parse};
use crate::group::key::Keys;
use crate::group::order::Order;
use crate::values::number::{self, Base};
use lexopt::prelude::*;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

/// The shortest and the longest time between two readings.
pub(super) const DELAY_MIN: Duration = Duration::from_millis(100);
pub(super) const DELAY_MAX: Duration = Duration::from_secs(3600);

/// What the words ask for.
#[derive(Debug)]
pub(super) struct TopAsked {
    pub(super) help: bool,
    /// The words that select flows.
    pub(super) selection: Vec<Vec<u8>>,
    pub(super) keys: Keys,
    pub(super) delay: Duration,
    pub(super) rows: Option<usize>,
    pub(super) order: Order,
    pub(super) once: bool,
    pub(super) batch: bool,
    pub(super) json: bool,
}

/// Reads the value of `--by`: keys, or `flow` for single flows.
pub(super) fn keys(text: &[u8]) -> Result<Keys, Fail> {
    if text == b"flow" { Ok(Keys::flows()) } else { Keys::parse(text) }
}

/// Reads a number of seconds with at most three decimals.
fn delay(text: &[u8]) -> Option<Duration> {
    let point = text.iter().position(|b| *b == b'.');
    let (whole, decimals) = point.map_or((text, &b"0"[..]), |at| (&text[..at], &text[at + 1..]));
    let digits = |t: &[u8]| !t.is_empty() && t.iter().all(u8::is_ascii_digit);
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let seconds = number::up_to(whole, Base::Decimal, DELAY_MAX.as_secs())?;
    let millis = number::up_to(decimals, Base::Decimal, 999)? * 10u64.pow(3 - decimals.len() as u32);
    let delay = Duration::from_millis(seconds * 1000 + millis);
    (DELAY_MIN..=DELAY_MAX).contains(&delay).then_some(delay)
}

/// A value that is wrong, and what `-L` would have taken the same letter for.
fn wrong(text: &OsString, option: &str, wanted: &str, instead: Option<&str>) -> Fail {
    let mut fail = number::unexpected(text.as_bytes(), option, wanted);
    if let Some(instead) = instead {
        fail.text.extend(format!("; {instead}").bytes());
    }
    fail
}

impl TopAsked {
    /// Reads the words.
    pub(super) fn parse(words: &[&[u8]]) -> Result<TopAsked, Fail> {
        let mut asked = TopAsked {
            help: false,
            selection: Vec::new(),
            keys: Keys::parse(b"src")?,
            delay: Duration::from_secs(2),
            rows: None,
            order: Order::Flows,
            once: false,
            batch: false,
            json: false,
        };
        let mut words = lexopt::Parser::from_args(words.iter().map(|w| OsString::from_vec(w.to_vec())));
        while let Some(word) = words.next().map_err(said)? {
            match word {
                Short('h') | Long("help") => asked.help = true,
                Short('1') | Long("once") => asked.once = true,
                Long("batch") => asked.batch = true,
                Long("by") => asked.keys = keys(value(&mut words)?.as_bytes())?,
                Long("sort") => asked.order = Order::parse(value(&mut words)?.as_bytes())?,
                Short('d') | Long("delay") => {
                    let text = value(&mut words)?;
                    asked.delay = delay(text.as_bytes()).ok_or_else(|| {
                        let wanted = "seconds from 0.1 to 3600";
                        wrong(&text, "delay", wanted, Some("a destination is selected by --dst"))
                    })?;
                }
                Short('n') | Long("rows") => {
                    let text = value(&mut words)?;
                    let rows = number::up_to(text.as_bytes(), Base::Decimal, 100_000).filter(|n| *n > 0);
                    asked.rows = Some(rows.ok_or_else(|| {
                        let wanted = "a number from 1 to 100000";
                        wrong(&text, "rows", wanted, Some("source NAT is selected by --src-nat"))
                    })? as usize);
                }
                Short('o') | Long("output") => match value(&mut words)? {
                    text if text == "json" => asked.json = true,
                    text => {
                        return Err(Fail::word("`", text.as_bytes(), "': the output of top is text or json"));
                    }
                },
                Short(letter) => {
                    let mut name = [0; 4];
                    let bytes = letter.encode_utf8(&mut name).as_bytes().to_vec();
                    let flag = FLAGS.iter().find(|f| [f.letter] == *bytes);
                    forward(b"-", bytes, flag, &mut words, &mut asked.selection)?;
                }
                Long(name) => {
                    let (name, flag) = (name.as_bytes().to_vec(), named(name));
                    forward(b"--", name, flag, &mut words, &mut asked.selection)?;
                }
                Value(word) => asked.selection.push(word.into_vec()),
            }
        }
        Ok(asked)
    }
}

fn said(e: lexopt::Error) -> Fail {
    Fail::usage(format!("top: {e}"))
}

fn value(words: &mut lexopt::Parser) -> Result<OsString, Fail> {
    words.value().map_err(said)
}

/// The option of `-L` with this name, or the first whose name begins so. All that matters here is whether it
/// takes a value, and options that share an abbreviation agree on that.
fn named(name: &str) -> Option<&'static Flag> {
    let all = || FLAGS.iter().chain(PROTOCOLS.iter().flat_map(|p| p.flags()));
    let commands = || COMMANDS.iter().any(|c| c.long == name);
    let exact = all().find(|f| f.names.contains(&name));
    exact.or_else(|| all().find(|f| !commands() && f.names.iter().any(|n| n.starts_with(name))))
}

/// Keeps an option of the selection, with its value, as words for the parser of `-L`.
fn forward(
    dashes: &[u8],
    name: Vec<u8>,
    flag: Option<&Flag>,
    words: &mut lexopt::Parser,
    to: &mut Vec<Vec<u8>>,
) -> Result<(), Fail> {
    let option = [dashes, &name].concat();
    if matches!(flag.map(|f| f.takes), Some(Takes::Value(..))) {
        let value = words.value().map_err(|_| Fail::word("option `", &option, "' requires an argument"))?;
        to.push(option);
        to.push(value.into_vec());
        return Ok(());
    }
    to.push(match words.optional_value() {
        None => option,
        Some(value) if dashes.len() == 1 => [option, value.into_vec()].concat(),
        Some(value) => [option, b"=".to_vec(), value.into_vec()].concat(),
    });
    Ok(())
}

/// The flows that are shown.
#[derive(Debug)]
pub(super) struct TopSelection {
    /// As it is typed.
    pub(super) text: String,
    pub(super) call: Invocation,
    pub(super) filter: Filter,
}

impl TopSelection {
    /// Reads words that select flows, as `-L` does; words that belong to no option are refused.
    pub(super) fn of(name: Name, words: &[Vec<u8>]) -> Result<TopSelection, Fail> {
        // The table is named, so that the first word is not taken for it.
        let line = [&b"-L"[..], b"conntrack"];
        let line: Vec<&[u8]> = line.into_iter().chain(words.iter().map(Vec::as_slice)).collect();
        let mut args = Args::default();
        parse::parse(&line, &mut args)?;
        if let Some(stray) = args.stray.first() {
            return Err(Fail::word("`", stray, "' belongs to no option"));
        }
        let shows = |f: &&Flag| f.section == Section::Display && f.id != Id::Reader && args.given.has(f.id);
        if let Some(flag) = FLAGS.iter().find(shows) {
            return Err(Fail::usage(format!("`--{}' has no meaning with top", flag.names[0])));
        }
        check_legal::check(&args, name)?;
        let labels = Invocation::load_labels(&args);
        let call = Invocation::new(name, args, labels)?;
        let filter = selection::checked_filter(&call.args, call.label_bits.clone())?;
        let words = words.iter().map(|w| String::from_utf8_lossy(w).into_owned());
        Ok(TopSelection { text: words.collect::<Vec<_>>().join(" "), call, filter })
    }

    /// The same from one line of text. Standard input is the keyboard, so no file is read from there.
    pub(super) fn typed(name: Name, line: &str) -> Result<TopSelection, Fail> {
        let words: Vec<Vec<u8>> = line.split_whitespace().map(|w| w.as_bytes().to_vec()).collect();
        if let Some(word) = words.iter().find(|w| w.ends_with(b"@-")) {
            return Err(Fail::word("`", word, "': standard input is the keyboard here"));
        }
        TopSelection::of(name, &words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::own;

    fn asked(line: &str) -> Result<TopAsked, String> {
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        TopAsked::parse(&words).map_err(|f| String::from_utf8(f.text).unwrap())
    }

    fn selection(line: &str) -> Vec<String> {
        let asked = asked(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        asked.selection.into_iter().map(|w| String::from_utf8(w).unwrap()).collect()
    }

    #[test]
    fn own_options_and_those_that_select() {
        let a = asked("-d 0.5 -n 7 --by dst,dport --sort rate -1 --batch -o json").unwrap();
        assert_eq!((a.delay, a.rows, a.order), (Duration::from_millis(500), Some(7), Order::Rate));
        assert!(a.once && a.batch && a.json && !a.help && a.selection.is_empty());
        assert_eq!(a.keys.name(), "dst,dport");
        for (line, want) in [
            ("-p tcp --dport 443 -d 3", &["-p", "tcp", "--dport", "443"][..]),
            ("-ptcp --dst=10.0.0.1", &["-p", "tcp", "--dst", "10.0.0.1"]),
            ("! -s 10.0.0.1 --by dst", &["!", "-s", "10.0.0.1"]),
            ("--src-nat 1.2.3.4", &["--src-nat", "1.2.3.4"]),
            ("-g1.2.3.4 -j", &["-g1.2.3.4", "-j"]),
            ("--any-nat=1.2.3.4 -n 3", &["--any-nat=1.2.3.4"]),
            ("--statu ASSURED --sort age", &["--statu", "ASSURED"]),
            ("--unknown x", &["--unknown", "x"]),
        ] {
            assert_eq!(selection(line), want, "{line}");
        }
    }

    #[test]
    fn every_option_of_the_table_is_read() {
        let own = own::find(b"top").unwrap();
        for option in own.options {
            let value = match option.name {
                "by" => "dst",
                "sort" => "age",
                "output" => "json",
                "delay" | "rows" => "3",
                _ => "",
            };
            let a = asked(&format!("--{} {value}", option.name)).unwrap();
            assert!(a.selection.is_empty(), "--{} is not its own", option.name);
        }
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        for (line, says) in [
            (
                "-d 10.0.0.1",
                "with --delay option: seconds from 0.1 to 3600; a destination is selected by --dst",
            ),
            (
                "-n 1.2.3.4",
                "with --rows option: a number from 1 to 100000; source NAT is selected by --src-nat",
            ),
            ("-d 0.05", "seconds from 0.1"),
            ("-d 3601", "seconds from 0.1"),
            ("-d 1.2345", "seconds from 0.1"),
            ("-d .", "seconds from 0.1"),
            ("-n 0", "a number from 1"),
            ("-o xml", "`xml': the output of top is text or json"),
            ("--by foo", "`foo' is no key"),
            ("--sort size", "`size' is not one of flows, packets, bytes, rate, age"),
            ("--by", "missing argument"),
            ("-s", "option `-s' requires an argument"),
        ] {
            let text = asked(line).unwrap_err();
            assert!(text.contains(says), "{line}: {text}");
        }
        for (line, says) in [
            ("-z", "`--zero' has no meaning with top"),
            ("--jobs 2", "`--jobs' has no meaning with top"),
            ("10.0.0.1", "`10.0.0.1' belongs to no option"),
            ("expect", "`expect' belongs to no option"),
            ("-t 5", "Illegal option `--timeout' with this command"),
            ("-D", "Invalid commands combination"),
            ("-s @-", "standard input is the keyboard here"),
            ("--dport 5", "it needs -p with one of"),
        ] {
            let fail = TopSelection::typed(Name::Zct, line).unwrap_err();
            let text = String::from_utf8(fail.text).unwrap();
            assert!(text.contains(says), "{line}: {text}");
        }
        let fine = TopSelection::typed(Name::Zct, " -p tcp  ! --dport 443 ").unwrap();
        assert_eq!(fine.text, "-p tcp ! --dport 443");
        assert_eq!(fine.filter.proto, Some(6));
    }
}
