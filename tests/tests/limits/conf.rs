//! zctd.conf: every directive with a number or an address. `zctd --check` prints what a file amounts to, so
//! either the value is in there as written, or the file is refused and the message names it.

use super::address::{Form, nets};
use super::number::{Base, Several, Verdict, numbers};
use super::{report, seed, setting, texts};
use fastrand::Rng;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use zct_tests::cluster::Which;
use zct_tests::program::{Exit, Output, run};

/// What a value of 0 means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Zero {
    /// A number like any other.
    Number,
    /// Another number, or nothing at all; the program has to say which.
    Said(&'static str),
    /// It is refused.
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A number from 0 to this.
    Number(u128, Zero),
    /// A number from 0 to this that stands in a list, alone on its line.
    Item(u128),
    /// A number from -20 to 19, with its sign.
    Nice,
    /// An IPv4 or IPv6 address, with or without a length.
    Address { six: bool, length: bool },
    /// An address of either family, with or without a length.
    Either,
}

/// A directive: its word, a file with `@` in place of `WORD VALUE`, and how it is shown.
struct Row {
    words: &'static [&'static str],
    file: &'static str,
    kind: Kind,
    /// The word by which `--check` shows it; `None` if it has no effect, which has to be said.
    shown: Option<&'static str>,
}

const INT: u128 = i32::MAX as u128;
const U32: u128 = u32::MAX as u128;

/// What surrounds the settings, so that they make a daemon that could run.
const GENERAL: &str = "General { UNIX { Path /run/x } @ }\nStats { LogFile on }\n";
const UNIX: &str = "General { UNIX { Path /run/x @ } }\nStats { LogFile on }\n";
const SCHEDULER: &str = "General { UNIX { Path /run/x } Scheduler { Type RR @ } }\nStats { LogFile on }\n";
const FILTER: &str = "General { UNIX { Path /run/x }\nFilter From Userspace { Address Ignore { @ } } }\n\
                      Stats { LogFile on }\n";
const PORTS: &str = "General { UNIX { Path /run/x }\nFilter { Port Ignore { @ } } }\nStats { LogFile on }\n";
const ZONES: &str = "General { UNIX { Path /run/x }\nFilter { Zone Ignore { @ } } }\nStats { LogFile on }\n";
const MARKS: &str = "General { UNIX { Path /run/x }\nFilter { Mark Ignore { @ } } }\nStats { LogFile on }\n";
const LABELS: &str =
    "General { UNIX { Path /run/x }\nFilter { Label Ignore { @ } } }\nStats { LogFile on }\n";
const FTFW: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { @ }\nUDP { IPv4_address 10.0.0.1 \
                    IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo } }\n";
const ALARM: &str = "General { UNIX { Path /run/x } }\nSync { Mode ALARM { @ }\nUDP { IPv4_address 10.0.0.1 \
                     IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo } }\n";
const OPTIONS: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { } Options { @ }\nUDP { IPv4_address \
                       10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo } }\n";
const DIGEST: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { } Options { Digest on @ }\nUDP { IPv4_address \
                       10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo } }\n";
const SYNC: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { } @\nUDP { IPv4_address 10.0.0.1 \
                    IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo } }\n";
const UDP: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { } UDP { IPv4_address 10.0.0.1 \
                   IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo @ } }\n";
const UDP6: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { } UDP { IPv6_address 2001:db8::1 \
                    IPv6_Destination_Address 2001:db8::2 Port 3780 Interface lo @ } }\n";
const TCP: &str = "General { UNIX { Path /run/x } }\nSync { Mode NOTRACK { } TCP { IPv4_address 10.0.0.1 \
                   IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo @ } }\n";
const MULTICAST: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { } Multicast { \
                         IPv4_address 225.0.0.50 IPv4_interface 10.0.0.1 Group 3780 Interface lo @ } }\n";
const MULTICAST6: &str = "General { UNIX { Path /run/x } }\nSync { Mode FTFW { } Multicast { \
                          IPv6_address ff02::50 Group 3780 Interface lo @ } }\n";
const HELPER: &str = "General { UNIX { Path /run/x } }\nStats { LogFile on }\n\
                      Helper { Type ftp inet tcp { QueueNum 1 QueueLen 2 @ } }\n";
const HELPER_NUM: &str = "General { UNIX { Path /run/x } }\nStats { LogFile on }\n\
                          Helper { Type ftp inet tcp { QueueLen 2 @ } }\n";
const POLICY: &str = "General { UNIX { Path /run/x } }\nStats { LogFile on }\n\
                      Helper { Type ftp inet tcp { QueueNum 1 QueueLen 2 Policy ftp { @ } } }\n";

const METRICS: &str = "General { UNIX { Path /run/x } }\nStats { LogFile on }\nMetrics { TextFile /x @ }\n";

const fn number(words: &'static [&'static str], file: &'static str, max: u128, zero: Zero) -> Row {
    Row { words, file, kind: Kind::Number(max, zero), shown: Some(words[0]) }
}

const fn address(words: &'static [&'static str], file: &'static str, six: bool, length: bool) -> Row {
    Row { words, file, kind: Kind::Address { six, length }, shown: Some(words[0]) }
}

const fn item(word: &'static [&'static str], file: &'static str, max: u128) -> Row {
    Row { words: word, file, kind: Kind::Item(max), shown: Some(word[0]) }
}

const DEFAULT: Zero = Zero::Said("0 means the default");
const UNSET: Zero = Zero::Said("0 means the system's default");

const ROWS: &[Row] = &[
    number(&["HashSize"], GENERAL, U32, DEFAULT),
    number(&["HashLimit"], GENERAL, U32, DEFAULT),
    number(&["NetlinkBufferSize", "SocketBufferSize"], GENERAL, INT, UNSET),
    number(
        &["NetlinkBufferSizeMaxGrowth", "SocketBufferSizeMaxGrowth", "SocketBufferSizeMaxGrown"],
        GENERAL,
        INT,
        Zero::Number,
    ),
    number(&["NetlinkOverrunResync"], GENERAL, INT, DEFAULT),
    number(&["EventIterationLimit"], GENERAL, U32, DEFAULT),
    number(&["PollSecs"], GENERAL, INT, Zero::Wrong),
    number(&["Priority"], SCHEDULER, 99, Zero::Said("needs a Priority")),
    Row { words: &["Nice"], file: GENERAL, kind: Kind::Nice, shown: None },
    Row { words: &["Backlog"], file: UNIX, kind: Kind::Number(INT, Zero::Number), shown: None },
    number(&["ResendQueueSize"], FTFW, INT, DEFAULT),
    number(&["ACKWindowSize"], FTFW, INT, DEFAULT),
    number(&["CommitTimeout"], FTFW, INT, Zero::Said("CommitTimeout")),
    number(&["SyncAfter"], OPTIONS, INT, Zero::Said("0 is the same as no SyncAfter")),
    number(&["UpdateInterval"], OPTIONS, INT, Zero::Said("0 is the same as no UpdateInterval")),
    number(&["DigestInterval"], DIGEST, INT, Zero::Said("0 means the default")),
    number(&["ResyncInterval"], OPTIONS, INT, Zero::Said("0 is the same as no ResyncInterval")),
    number(&["ReviewInterval"], OPTIONS, INT, Zero::Number),
    number(&["NodeID"], SYNC, 65_535, Zero::Wrong),
    number(&["PurgeTimeout"], ALARM, INT, Zero::Said("PurgeTimeout")),
    number(&["RefreshTime"], ALARM, INT, DEFAULT),
    number(&["CacheTimeout"], ALARM, INT, DEFAULT),
    item(&["Port"], PORTS, 65_535),
    item(&["Zone"], ZONES, 65_535),
    item(&["Mark"], MARKS, U32),
    item(&["Label"], LABELS, 127),
    number(&["Port"], UDP, 65_535, Zero::Wrong),
    number(&["Port"], TCP, 65_535, Zero::Wrong),
    number(&["Group"], MULTICAST, 65_535, Zero::Wrong),
    number(&["SndSocketBuffer"], UDP, INT, UNSET),
    number(&["RcvSocketBuffer"], MULTICAST, INT, UNSET),
    number(&["ErrorQueueLength"], TCP, U32, DEFAULT),
    number(&["QueueNum"], HELPER_NUM, 65_535, Zero::Number),
    number(&["QueueLen"], HELPER, INT, Zero::Said("0 means the kernel's default")),
    number(&["ExpectMax"], POLICY, 255, Zero::Number),
    number(&["ExpectTimeout"], POLICY, INT, Zero::Number),
    number(&["MaxExpectations"], HELPER, INT, Zero::Wrong),
    number(&["Interval"], METRICS, INT, Zero::Wrong),
    address(&["IPv4_address"], FILTER, false, true),
    Row { words: &["AllowFrom"], file: HELPER, kind: Kind::Either, shown: Some("AllowFrom") },
    Row { words: &["AllowAddress"], file: HELPER, kind: Kind::Either, shown: Some("AllowAddress") },
    address(&["IPv6_address"], FILTER, true, true),
    address(&["IPv4_address"], UDP, false, false),
    address(&["IPv6_address"], UDP6, true, false),
    address(&["IPv4_Destination_Address"], TCP, false, false),
    address(&["IPv6_Destination_Address"], UDP6, true, false),
    address(&["IPv4_interface"], MULTICAST, false, false),
    Row {
        words: &["IPv6_interface"],
        file: MULTICAST6,
        kind: Kind::Address { six: true, length: false },
        shown: None,
    },
];

/// Directives that take neither a number nor an address.
const OTHERS: &[&str] = &[
    // The number of a key, which has to be there.
    "ActiveKey",
    "Address",
    "AllowPrivilegedPorts",
    "AnyServerPort",
    "Auth",
    "Checksum",
    "Digest",
    "DisableExternalCache",
    "DisableInternalCache",
    "ExpectationSync",
    "Filter",
    "Interface",
    // A number, and then where the key is; both are tried where they are read.
    "Key",
    // An address with a port, or a path; its values are tried where it is read.
    "Listen",
    "LockFile",
    "LogFile",
    "LogFormat",
    "Mode",
    "Multicast",
    "NAT",
    "NetlinkEventsReliable",
    "Options",
    "Path",
    // A name; its values are tried where it is read.
    "Peer",
    "Permanent",
    "Policy",
    "Protocol",
    "Scheduler",
    "Setup",
    "StartupResync",
    "State",
    "Syslog",
    "Systemd",
    "TCP",
    "TCPWindowTracking",
    "TextFile",
    "Type",
    "UDP",
    "UNIX",
];

fn check(file: &Path) -> Output {
    run(Command::new(Which::Zctd.path()).args(["--check", "-C"]).arg(file), b"")
}

/// What the text means as a value. Blanks and comments are not part of it.
fn judge(kind: Kind, text: &str) -> Verdict<String> {
    let bare: String =
        text.lines().map(|l| format!("{}\n", l.split('#').next().unwrap_or_default())).collect();
    let bare = bare.trim_matches([' ', '\t', '\n', '\r']);
    match kind {
        Kind::Number(max, zero) => match numbers(bare, Base::Ten, max, Several::Never) {
            Verdict::Right(r) | Verdict::Perhaps(r) if r[0].0 == 0 && zero == Zero::Wrong => Verdict::Wrong,
            v => v.map(|r| r[0].0.to_string()),
        },
        // Several items, none, ranges and masks are right too: what they mean is for other tests.
        Kind::Item(max) if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) => {
            numbers(bare, Base::Ten, max, Several::Never).map(|r| r[0].0.to_string())
        }
        Kind::Item(_) => Verdict::Perhaps(String::new()),
        Kind::Nice => {
            match bare.strip_prefix(['-', '+']).map(|n| numbers(n, Base::Ten, 20, Several::Never)) {
                Some(v @ Verdict::Right(_)) => match v.meaning().map(|r| r[0].0) {
                    Some(20) if bare.starts_with('+') => Verdict::Wrong,
                    _ => v.map(|_| String::new()),
                },
                Some(Verdict::Perhaps(_)) => Verdict::Perhaps(String::new()),
                // Without a sign it may be refused.
                None => numbers(bare, Base::Ten, 19, Several::Never).perhaps().map(|_| String::new()),
                Some(Verdict::Wrong) => Verdict::Wrong,
            }
        }
        Kind::Either => match nets(bare, Form { length: true, list: false }).meaning() {
            Some(n) => judge(Kind::Address { six: n.six, length: true }, text),
            None => Verdict::Wrong,
        },
        Kind::Address { six, length } => match nets(bare, Form { length, list: false }) {
            v @ (Verdict::Right(_) | Verdict::Perhaps(_)) => match v.meaning() {
                Some(n) if n.six != six || !n.said.is_empty() => Verdict::Wrong,
                // The language has no IPv6 address that ends in a dotted quad.
                _ if six && bare.contains('.') => v.perhaps().map(|n| shown_address(six, n.ranges[0], bare)),
                _ => v.map(|n| shown_address(six, n.ranges[0], bare)),
            },
            Verdict::Wrong => Verdict::Wrong,
        },
    }
}

/// As the program writes it: the address as given, and the length unless it covers the whole address.
fn shown_address(six: bool, (from, to): (u128, u128), text: &str) -> String {
    let bits = (to - from).count_ones();
    let addr = text.split('/').next().unwrap_or_default().trim();
    let (addr, whole) = if six {
        (addr.parse::<Ipv6Addr>().map_or(addr.to_owned(), |a| a.to_string()), 128)
    } else {
        (addr.parse::<Ipv4Addr>().map_or(addr.to_owned(), |a| a.to_string()), 32)
    };
    if bits == 0 { addr } else { format!("{addr}/{}", whole - bits) }
}

/// Whether two values are the same: the program may write an address in another form.
fn same(kind: Kind, a: &str, b: &str) -> bool {
    let parts = |t: &str| {
        let (addr, len) = t.split_once('/').map_or((t, ""), |(a, l)| (a, l));
        addr.parse::<std::net::IpAddr>().ok().map(|a| (a, len.to_owned()))
    };
    a == b
        || matches!(kind, Kind::Address { .. } | Kind::Either) && parts(a).is_some() && parts(a) == parts(b)
}

fn text(rng: &mut Rng, row: &Row) -> String {
    match row.kind {
        Kind::Item(max) => texts::number(rng, &[0, 1, 7, 53, 127, 128, 443], max),
        Kind::Number(max, _) => texts::number(rng, &[3780, 443, 0, 1, 16, 60, 300, 131_072], max),
        Kind::Nice => {
            let sign = ["+", "-", "-", ""][rng.usize(..4)];
            format!("{sign}{}", texts::number(rng, &[0, 5, 19, 20, 21], 20))
        }
        Kind::Address { .. } | Kind::Either => texts::address(rng),
    }
}

/// A value that the other settings allow; some have to fit together.
fn together(row: &Row, value: &str) -> bool {
    let n: u128 = value.parse().unwrap_or(0);
    match row.words[0] {
        "ResendQueueSize" => n == 0 || n >= 300,
        "ACKWindowSize" => n == 0 || (2..=131_072).contains(&n),
        _ => true,
    }
}

fn attempt(rng: &mut Rng, row: &Row, dir: &Path) -> Result<(), String> {
    let text = text(rng, row);
    let word = row.words[rng.usize(..row.words.len())];
    let verdict = judge(row.kind, &text);
    // What follows is on a line of its own, so that a comment ends before it.
    let file = dir.join("conf");
    let line = match row.kind {
        Kind::Item(_) => format!("\n{text}\n"),
        _ => format!("\n{word} {text}\n"),
    };
    std::fs::write(&file, row.file.replace('@', &line)).expect("a file");
    let output = check(&file);
    let shown = format!("{word} {text:?}: {output:?}");
    let err = output.err();
    match (&verdict, output.exit) {
        // An address that is not used for anything need not be valid.
        (Verdict::Wrong, Exit::Code(0))
            if row.shown.is_none() && matches!(row.kind, Kind::Address { .. }) =>
        {
            return if err.contains(word) {
                Ok(())
            } else {
                Err(format!("not said to be without effect: {shown}"))
            };
        }
        (Verdict::Wrong, Exit::Code(0)) => return Err(format!("a wrong value was taken: {shown}")),
        (Verdict::Right(v), Exit::Code(1)) if together(row, v) => {
            return Err(format!("a right value was refused: {shown}"));
        }
        (_, Exit::Code(1)) => {
            // The value is on a line of its own, or on the next if it begins with a newline.
            let line = 2 + row.file.split('@').next().map_or(0, |before| before.matches('\n').count());
            let places = [line, line + 1].map(|line| format!("conf:{line}:"));
            let named = places.iter().any(|place| err.contains(place)) || err.contains(word);
            return if named { Ok(()) } else { Err(format!("the message does not name the value: {shown}")) };
        }
        (Verdict::Right(_) | Verdict::Perhaps(_), Exit::Code(0)) => {}
        _ => return Err(shown),
    }
    let value = verdict.meaning().expect("not wrong");
    let Some(name) = row.shown else {
        return if err.contains(word) {
            Ok(())
        } else {
            Err(format!("its lack of effect is not said: {shown}"))
        };
    };
    if let (Kind::Number(_, Zero::Said(what)), "0") = (row.kind, value.as_str()) {
        return if err.contains(what) { Ok(()) } else { Err(format!("what 0 means is not said: {shown}")) };
    }
    let out = output.out();
    if let Kind::Item(_) = row.kind {
        let list = out.split_once(&format!("{name} Ignore {{")).map_or("", |(_, rest)| rest);
        let first = list.lines().map(str::trim).find(|l| !l.is_empty());
        return if value.is_empty() || first == Some(value) {
            Ok(())
        } else {
            Err(format!("{value} expected, {first:?} shown: {shown}"))
        };
    }
    let lines = out.lines().filter_map(|l| l.trim().strip_prefix(name)?.strip_prefix(' '));
    let values: Vec<&str> = lines.collect();
    let default_size = row.words[0] == "HashSize" && values.is_empty() && value == "32768";
    if values.len() == 1 && same(row.kind, values[0], value) || default_size {
        return Ok(());
    }
    Err(format!("{value} expected, {values:?} shown: {shown}"))
}

#[test]
fn directives_mean_what_they_say_or_are_refused() {
    let (seed, rounds) = (seed(), setting("ZCT_LIMITS_ROUNDS", 3) * 8);
    let dir = tempfile::tempdir().expect("a directory");
    let mut failures = Vec::new();
    for round in 0..rounds {
        for (n, row) in ROWS.iter().enumerate() {
            let mut rng = Rng::with_seed(seed.wrapping_add(round * 1000 + n as u64));
            if let Err(found) = attempt(&mut rng, row, dir.path()) {
                failures.push(format!("round {round}, row {n}: {found}"));
            }
        }
    }
    println!("seed {seed}: {} values", rounds * ROWS.len() as u64);
    report(seed, &failures);
}

/// A new directive has to be judged here first.
#[test]
fn every_directive_is_judged() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../syncd/src/config/parse/words.rs");
    let source = std::fs::read_to_string(path).expect("the words of the configuration language");
    let (_, list) = source.split_once("DIRECTIVES: &[(&str, &str)] = &[").expect("the list of directives");
    let (list, _) = list.split_once("];").expect("its end");
    let words: Vec<&str> =
        list.lines().filter_map(|l| l.trim().strip_prefix("(\"")?.split('"').next()).collect();
    assert!(words.len() > 50, "{words:?}");
    for word in words {
        let judged = ROWS.iter().any(|r| r.words.contains(&word)) != OTHERS.contains(&word);
        assert!(judged, "{word}: is its value a number or an address? A row in conf.rs, please");
    }
}
