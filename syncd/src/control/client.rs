//! The command line, and the client role: one request, one answer (conntrackd.md §2).
//!
//! The words are read by hand and not by a library: an option is known by the second character of its word,
//! whatever follows, and takes the next word only if that begins one of two names.

use crate::config::{self, Loaded, protocols::Protocols, report::Severity};
use crate::control::exchange::{Answer, exchange, exchange_within};
use crate::control::helpers::HelpersMode;
use crate::control::request::{Listing, Request, STATUS, Statistics, WhichCache};
use crate::control::selection::Selection;
use crate::control::version;
use crate::control::words::{self, Misused, Own, UNKNOWN};
use crate::kernel::commit::Entries;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use zct_engine::labels::{self, LabelMap};
use zct_engine::read_file::{Bounds, ReadError, read_file};
use zeroize::Zeroize as _;

/// The configuration file when no other is given, and the only one under the name `conntrackd`.
const ORIGINALS_FILE: &str = "/etc/conntrackd/conntrackd.conf";
/// Under any other name this one comes first, so that both daemons can be installed side by side.
const OWN_FILE: &str = "/etc/zctd/zctd.conf";

/// The configuration file of a program that is called `name` and was given no other.
pub fn default_file(name: &str) -> &'static Path {
    chosen_file(name, |own| own.exists())
}

fn chosen_file(name: &str, exists: impl Fn(&Path) -> bool) -> &'static Path {
    let own = Path::new(OWN_FILE);
    if name != "conntrackd" && exists(own) { own } else { Path::new(ORIGINALS_FILE) }
}

/// More than any configuration needs: a larger file is a mistake (a device, a log file).
const FILE: Bounds = Bounds { file: 16 << 20, line: 1 << 20 };

/// The configuration file cannot be read.
#[derive(Debug)]
pub struct ConfigUnread(ReadError);

impl fmt::Display for ConfigUnread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't open config file `{}': {}", self.0.path.display(), self.0.why)
    }
}

impl std::error::Error for ConfigUnread {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Reads a configuration file.
///
/// # Errors
/// [`ConfigUnread`] when the file cannot be read.
pub fn load(file: &Path) -> Result<Loaded, ConfigUnread> {
    let mut text = read_file(file, FILE).map_err(ConfigUnread)?;
    // Even without /etc/protocols the usual names are known.
    let (protocols, unread) =
        Protocols::read().map_or_else(|e| (Protocols::default(), Some(e)), |p| (p, None));
    let (labels, unnamed) = match LabelMap::read(Path::new(labels::FILE)) {
        Ok(map) => (map, None),
        Err(e) => (LabelMap::default(), Some(e).filter(|e| !e.is_missing())),
    };
    let mut loaded = config::load(&text, config::Names { protocols: &protocols, labels: &labels });
    // There may be keys in it.
    text.zeroize();
    if let Some(e) = unread {
        let why = format!("only the usual names of protocols are known: {e}");
        loaded.report.add(Severity::Warning, None, why);
    }
    if let Some(e) = unnamed {
        loaded.report.add(Severity::Warning, None, format!("labels have no names: {e}"));
    }
    Ok(loaded)
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Become the daemon; in the background with `-d`.
    Daemon {
        /// Whether `-d` was given.
        background: bool,
    },
    /// Send the daemon a request, limited to this.
    Ask(Request, Selection),
    /// A command of our own.
    Own(Own),
    /// `genkey`: make a key, and write it to this file or print it.
    GenKey(Option<PathBuf>),
    /// `helpers`: the process of the userspace helpers, or one of its tasks.
    Helpers(HelpersMode),
    /// `--check`: report what is wrong with the configuration, and print what it amounts to.
    Check,
    /// `-h`: print the usage.
    Help,
    /// `-v`: print the version.
    Version,
    /// `--version`: that, and what this daemon can do here.
    Features,
}

/// A command line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// What is to be done.
    pub action: Action,
    /// The configuration file, from `-C` or by default.
    pub file: PathBuf,
}

/// A command line that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The message to print.
    pub text: String,
    /// Whether to print the usage first.
    pub with_help: bool,
    /// The exit status.
    pub code: u8,
}

impl Usage {
    fn new(text: impl Into<String>) -> Usage {
        Usage { text: text.into(), with_help: true, code: 1 }
    }
}

/// Which of `names` a word abbreviates: the first that begins with the word.
fn abbreviates(word: &OsStr, names: &[&str]) -> Option<usize> {
    names.iter().position(|n| n.as_bytes().starts_with(word.as_bytes()))
}

/// Reads the words after the program's name.
///
/// As in the original, an option is known by the second character of its word alone, a later request replaces
/// an earlier one, and arguments may be abbreviated. Words that begin with two dashes are our own, and so are
/// commands without a dash: all that follows one belongs to it. `file` is the configuration when none is
/// given.
///
/// # Errors
/// [`Usage`], with the message to print.
pub fn parse(words: impl IntoIterator<Item = OsString>, file: &Path) -> Result<Args, Usage> {
    let mut words = words.into_iter().peekable();
    let mut file = file.to_owned();
    let (mut background, mut check, mut request) = (false, false, None);
    let mut selection = Selection::default();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--help") => return Ok(Args { action: Action::Help, file }),
            Some("--version") => return Ok(Args { action: Action::Features, file }),
            Some("--check") => {
                check = true;
                continue;
            }
            Some("--from") => {
                let node = words.next().and_then(|w| Selection::from_node(w.to_str()?));
                let zone = selection.zone;
                let node = node.ok_or_else(|| Usage::new("--from takes the name or the number of a Peer"))?;
                (selection, selection.zone) = (node, zone);
                continue;
            }
            Some("--zone") => {
                let zone = words.next().and_then(|w| w.to_str()?.parse().ok());
                selection.zone = Some(zone.ok_or_else(|| Usage::new("--zone takes a number up to 65535"))?);
                continue;
            }
            _ => {}
        }
        if word == "genkey" {
            let path = words.next().map(PathBuf::from);
            let alone = !background && !check && request.is_none() && words.next().is_none();
            // It has no options, so a name that looks like one is a mistake.
            let usable = path.as_ref().is_none_or(|p| !p.as_os_str().as_bytes().starts_with(b"-"));
            return match alone && usable {
                true => Ok(Args { action: Action::GenKey(path), file }),
                false => Err(Usage::new("genkey takes the name of a file, or nothing")),
            };
        }
        if word == "helpers" && !background && !check && request.is_none() {
            return helpers(words, file);
        }
        if let Some(own) = words::parse(&word, words.by_ref(), &mut file) {
            let alone = !background && !check && request.is_none();
            return match own {
                _ if !alone => Err(Usage::new("Invalid parameters")),
                Ok(own) => Ok(Args { action: own.map_or(Action::Help, Action::Own), file }),
                Err(Misused { text, code }) => Err(Usage { text, with_help: false, code }),
            };
        }
        let unknown = || Usage::new(format!("Unknown option: {}", word.to_string_lossy()));
        let letter = match word.as_bytes() {
            // A stray word, or one of two dashes, which the original does not have.
            [b'-', b'-', ..] | [] | [_] => return Err(unknown()),
            [_, letter, ..] => *letter,
        };
        // The argument of an option that may have one of two, or none: whether it is the first or the second.
        let mut kind = |first: &str, second: &str| {
            let names = [first, second];
            let at = words.peek().and_then(|w| abbreviates(w, &names));
            if at.is_some() {
                words.next();
            }
            at
        };
        let mut entries = || match kind("ct", "expect") {
            Some(0) => Entries::Flows,
            Some(_) => Entries::Expects,
            None => Entries::All,
        };
        let next = match letter {
            b'd' => {
                background = true;
                continue;
            }
            b'C' => {
                file = words.next().ok_or_else(|| Usage::new("Missing config filename"))?.into();
                continue;
            }
            b'v' => return Ok(Args { action: Action::Version, file }),
            b'h' => return Ok(Args { action: Action::Help, file }),
            b'c' => Request::Commit(entries()),
            b'F' => Request::FlushKernel(entries()),
            b'R' => Request::Refill(entries()),
            b'i' | b'e' => {
                let expects = entries() == Entries::Expects;
                Request::List(Listing { external: letter == b'e', expects, xml: false })
            }
            b'x' => match request {
                Some(Request::List(l)) => Request::List(Listing { xml: true, ..l }),
                _ => return Err(Usage::new("Invalid parameters")),
            },
            b'f' => Request::FlushCache(match argument(&mut words, "-f", &["internal", "external"])? {
                Some(0) => WhichCache::Internal,
                Some(_) => WhichCache::External,
                None => WhichCache::Both,
            }),
            b's' => statistics(&mut words)?,
            b'B' => Request::Bulk,
            b'n' => Request::Resync,
            b't' => Request::Purge,
            b'k' => Request::Stop,
            _ => return Err(unknown()),
        };
        request = Some(next);
    }
    // Expectations do not say which zone they are in.
    let flows = matches!(request, Some(Request::Commit(Entries::Flows | Entries::All)));
    let selectable = request.is_some_and(|r| r.selected_code().is_some());
    if !(selection.is_all() || selectable && (selection.zone.is_none() || flows)) {
        return Err(Usage::new("--from goes with -c and -e, and --zone with -c and -c ct"));
    }
    let action = match (request, background, check) {
        (None, false, true) => Action::Check,
        (None, background, false) => Action::Daemon { background },
        (Some(r), false, false) => Action::Ask(r, selection),
        _ => return Err(Usage::new("Invalid parameters")),
    };
    Ok(Args { action, file })
}

/// What follows `helpers`.
fn helpers(mut words: impl Iterator<Item = OsString>, mut file: PathBuf) -> Result<Args, Usage> {
    let mut mode = HelpersMode::Alone;
    while let Some(word) = words.next() {
        mode = match word.to_str() {
            Some("--rules") => HelpersMode::Rules,
            Some("--prepare") => HelpersMode::Prepare,
            Some("--disable") => HelpersMode::Disable,
            Some("--attached") => HelpersMode::Attached,
            Some("-h" | "--help") => return Ok(Args { action: Action::Help, file }),
            Some("-C") => {
                file = words.next().ok_or_else(|| Usage::new("Missing config filename"))?.into();
                continue;
            }
            _ => {
                let text = format!("helpers: invalid option '{}'", word.to_string_lossy());
                return Err(Usage { text, with_help: false, code: 1 });
            }
        };
    }
    Ok(Args { action: Action::Helpers(mode), file })
}

/// The argument of an option that refuses unknown ones; `None` when the next word is an option or missing.
fn argument(
    words: &mut std::iter::Peekable<impl Iterator<Item = OsString>>,
    option: &str,
    names: &[&str],
) -> Result<Option<usize>, Usage> {
    let Some(word) = words.next_if(|w| w.as_bytes().first() != Some(&b'-')) else { return Ok(None) };
    abbreviates(&word, names).map(Some).ok_or_else(|| Usage {
        text: format!("unknown parameter `{}' for option `{option}'", word.to_string_lossy()),
        with_help: false,
        code: 1,
    })
}

fn statistics(words: &mut std::iter::Peekable<impl Iterator<Item = OsString>>) -> Result<Request, Usage> {
    const NAMES: [(&str, Statistics); 12] = [
        ("network", Statistics::Network),
        ("cache", Statistics::Cache),
        ("runtime", Statistics::Runtime),
        // Deprecated: it has long been called `link`.
        ("multicast", Statistics::Link),
        ("link", Statistics::Link),
        ("rsqueue", Statistics::ResendQueue),
        ("process", Statistics::Process),
        ("queue", Statistics::Queue),
        ("ct", Statistics::General),
        ("expect", Statistics::Expect),
        ("protocol", Statistics::Protocol),
        ("helper", Statistics::Helper),
    ];
    let names = NAMES.map(|(name, _)| name);
    let at = argument(words, "-s", &names)?;
    Ok(Request::Statistics(at.and_then(|at| NAMES.get(at)).map_or(Statistics::General, |(_, s)| *s)))
}

/// The rest of an answer behind the line about the outcome, written as it comes.
struct Behind<'a> {
    line: Vec<u8>,
    out: &'a mut dyn io::Write,
}

impl io::Write for Behind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.line.ends_with(b"\n") {
            self.out.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let len = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
        self.line.extend_from_slice(bytes.get(..len).unwrap_or_default());
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// As [`ask`], for a part of what the request is about.
fn ask_selected(path: &Path, code: u32, selection: &Selection, out: &mut dyn io::Write) -> Answer {
    let request = [&code.to_ne_bytes()[..], &selection.bytes()].concat();
    let mut behind = Behind { line: Vec::new(), out };
    match exchange_within(path, &request, None, &mut behind) {
        Answer::Done if behind.line.is_empty() => Answer::Failed(UNKNOWN.into()),
        Answer::Done => outcome(&String::from_utf8_lossy(&behind.line)),
        other => other,
    }
}

/// The outcome that a line tells of.
fn outcome(text: &str) -> Answer {
    match text.trim_end().strip_prefix(STATUS).map(|rest| rest.trim_start().split_once(' ')) {
        Some(Some(("0", _))) => Answer::Done,
        Some(Some((_, why))) => Answer::Failed(why.into()),
        _ => Answer::Failed(format!("an answer that makes no sense: {text}")),
    }
}

/// Asks the daemon behind the socket at `path`, and writes its answer to `out`.
pub fn ask(path: &Path, request: Request, selection: &Selection, out: &mut dyn io::Write) -> Answer {
    if let Some(code) = request.selected_code().filter(|_| !selection.is_all()) {
        return ask_selected(path, code, selection, out);
    }
    if request.is_own() {
        let mut text = Vec::new();
        return match (plain(path, request, &mut text), text.is_empty()) {
            (Answer::Done, true) => Answer::Failed(UNKNOWN.into()),
            (Answer::Done, false) => out.write_all(&text).map_or_else(Answer::Broken, |()| Answer::Done),
            (other, _) => other,
        };
    }
    if request.is_answered() {
        return plain(path, request, out);
    }
    let mut text = Vec::new();
    match exchange(path, request.code(true), &mut text) {
        Answer::Done => {}
        other => return other,
    }
    // An original closes the connection when it does not know a number.
    if text.is_empty() {
        return plain(path, request, out);
    }
    outcome(&String::from_utf8_lossy(&text))
}

fn plain(path: &Path, request: Request, out: &mut dyn io::Write) -> Answer {
    exchange(path, request.code(false), out)
}

/// The text of `-h`, for a program with this name.
pub fn help(name: &str) -> String {
    let general = [
        ("-d", "run in daemon mode"),
        ("-C [configfile]", "configuration file path"),
        ("-v", "display the version"),
        ("-h", "display this help information"),
    ];
    let client = [
        ("-c [ct|expect]", "commit external cache to conntrack table"),
        ("-f [internal|external]", "flush internal and external cache"),
        ("-F [ct|expect]", "flush kernel conntrack table"),
        ("-i [ct|expect]", "display content of the internal cache"),
        ("-e [ct|expect]", "display the content of the external cache"),
        ("-k", "stop the daemon"),
        ("-s [network|cache|runtime|link|rsqueue|queue|ct|expect]", "dump statistics"),
        ("-R [ct|expect]", "resync with kernel conntrack table"),
        ("-n", "request resync with other node (only FT-FW and NOTRACK modes)"),
        ("-B", "force a bulk send to the other node"),
        ("-x", "dump cache in XML format (requires -i or -e)"),
        ("-t", "reset the kernel timeout (see PurgeTimeout clause)"),
    ];
    let own = [
        ("status [--json] [--ledger]", "the state of the daemon; fails when the nodes are not in sync"),
        ("wait --ready|--synced|--committed [--timeout S]", "return when that is reached"),
        ("-c --from NODE --zone N", "commit what this Peer has told of, or what is in this zone"),
        ("-e --from NODE", "display what this Peer has told of"),
        ("-s protocol", "flows by protocol, and how far those came that have ended"),
        ("-s helper", "what the userspace helpers have done"),
        (
            "genkey [FILE]",
            "make a key for Auth: into a new file that nobody else may read, or to standard output",
        ),
        (
            "helpers [--rules|--prepare|--disable]",
            "read the queues of the userspace helpers; print rules for nft; make or disable the stubs",
        ),
        ("--check", "say what is wrong with the configuration file, and what it amounts to"),
        ("--help", "as -h"),
        ("--version", "as -v, and what the daemon can do here"),
    ];
    let mut out = format!("{}Usage: {name} [commands] [options]\n", version::line());
    for (title, rows) in [
        ("General commands", &general[..]),
        ("Client mode commands", &client[..]),
        ("Not in the original", &own[..]),
    ] {
        out.push_str(&format!("\n{title}:\n"));
        for (option, text) in rows {
            out.push_str(&format!("  {option}, {text}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::request::Shape;

    fn parsed(line: &str) -> Result<Args, Usage> {
        parse(line.split_whitespace().map(OsString::from), Path::new(ORIGINALS_FILE))
    }

    #[test]
    fn the_name_and_what_is_there_choose_the_file() {
        for (name, exists, file) in [
            ("zctd", true, OWN_FILE),
            ("zctd", false, ORIGINALS_FILE),
            ("conntrackd", true, ORIGINALS_FILE),
            ("conntrackd", false, ORIGINALS_FILE),
        ] {
            assert_eq!(chosen_file(name, |own| own == Path::new(OWN_FILE) && exists), Path::new(file));
        }
    }

    fn asked(line: &str) -> Request {
        match parsed(line).unwrap().action {
            Action::Ask(r, _) => r,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn requests_and_their_codes() {
        for (line, code) in [
            ("-c", 46),
            ("-c ct", 18),
            ("-c exp", 42),
            ("-i", 16),
            ("-i c", 16),
            ("-i expect", 40),
            ("-e -x", 25),
            ("-e expect -x", 48),
            ("-i -x", 24),
            ("-f", 45),
            ("-f int", 33),
            ("-f e", 34),
            ("-F", 43),
            ("-F expect", 38),
            ("-R", 44),
            ("-R ct", 1),
            ("-B", 22),
            ("-n", 23),
            ("-t", 26),
            ("-k", 20),
            ("-s", 21),
            ("-s ct", 21),
            ("-s c", 29),
            ("-s netw", 28),
            ("-s multicast", 31),
            ("-s expect", 37),
            ("-s -i", 16),
            ("-i -s", 21),
            ("-sfoo", 21),
            ("xs", 21),
            ("-C /x -n", 23),
        ] {
            let request = asked(line);
            // Without an argument, listings show flows; no code stands for both.
            assert_eq!(request.code(false), code, "{line}");
        }
    }

    #[test]
    fn the_manual_page_knows_every_option() {
        let page = include_str!("../../../docs/zctd.8").replace("\\-", "-");
        for line in help("zctd").lines().filter_map(|l| l.strip_prefix("  -")) {
            let option = line.split([' ', ',']).next().unwrap();
            assert!(page.contains(&format!("-{option}")), "docs/zctd.8 says nothing of -{option}");
        }
    }

    #[test]
    fn the_example_is_accepted_without_a_remark() {
        let loaded = load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/zctd.conf"))).unwrap();
        assert_eq!(loaded.report.lines("zctd.conf").to_string(), "");
        assert!(loaded.config.is_some());
    }

    #[test]
    fn roles() {
        assert_eq!(parsed("").unwrap().action, Action::Daemon { background: false });
        let args = parsed("-d -C /etc/x").unwrap();
        assert_eq!((args.action, args.file), (Action::Daemon { background: true }, "/etc/x".into()));
        assert_eq!(parsed("-s -v").unwrap().action, Action::Version);
        assert_eq!(parsed("-h -q").unwrap().action, Action::Help);
        assert_eq!(parsed("--check -C /x").unwrap().action, Action::Check);
    }

    /// `status` would be `-t` by its second letter, and `-t` flushes the kernel's table.
    #[test]
    fn a_command_of_our_own_is_no_letter() {
        for line in ["status -C /x", "-C /x status"] {
            let args = parsed(line).unwrap();
            assert_eq!((args.action, args.file), (Action::Own(Own::Status(Shape::Text, false)), "/x".into()));
        }
        assert_eq!(parsed("status --help").unwrap().action, Action::Help);
        // A word in the place of an option's value is that value.
        assert_eq!(parsed("-C status -n").unwrap().file, PathBuf::from("status"));
    }

    #[test]
    fn what_is_not_understood() {
        for (line, text, with_help) in [
            ("-x", "Invalid parameters", true),
            ("-x -i", "Invalid parameters", true),
            ("-d -s", "Invalid parameters", true),
            ("--check -d", "Invalid parameters", true),
            ("-q", "Unknown option: -q", true),
            ("-i bogus", "Unknown option: bogus", true),
            ("--frob", "Unknown option: --frob", true),
            ("x", "Unknown option: x", true),
            ("-s bogus", "unknown parameter `bogus' for option `-s'", false),
            ("-f bogus", "unknown parameter `bogus' for option `-f'", false),
            ("-C", "Missing config filename", true),
            ("-d status", "Invalid parameters", true),
            ("-k status", "Invalid parameters", true),
            ("status --frob", "status: invalid option '--frob'", false),
        ] {
            assert_eq!(parsed(line), Err(Usage { text: text.into(), with_help, code: 1 }), "{line}");
        }
    }
}
