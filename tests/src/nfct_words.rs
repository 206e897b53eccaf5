//! Command lines for nfct: every way to write a command, every state of every protocol, and what people,
//! scripts and accidents put in the place of names and numbers.
//!
//! They are written from the original's documentation and behaviour, not from zct's own tables, which are
//! under test.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// The words after the program's name, of any bytes.
pub type Words = Vec<OsString>;

/// Command lines to be run one after another, beginning without any policies.
pub type History = Vec<Words>;

/// Splits a line into words; `''` stands for an empty one.
pub fn words(line: &str) -> Words {
    let word = |w: &str| if w == "''" { OsString::new() } else { w.into() };
    line.split(' ').filter(|w| !w.is_empty()).map(word).collect()
}

/// Splits a text into lines at bars and newlines.
fn lines(text: &str) -> impl Iterator<Item = Words> {
    text.split(['|', '\n']).filter(|l| !l.is_empty()).map(words)
}

/// Every combination of words that affects how they are understood.
const LINES: &str = "
'' timeout|list ''|'' ''|'' helper|lists timeout|list timeouts|timeoutx list|x|foo bar|list list|-l timeout|list -t
timeout timeout|timeout helper|helper helper|version version|version add extra|list version extra|v v|v l|version
version x|timeout version|helper version|--version|-V|--help|-h|help|help list|list help|help help|timeout --help
-h timeout|hel list|he l|h l|l h|l hel|version list a b c|list timeout --|list timeout '' |list helper x
add timeout a inet tcp|add timeout a inet6 udp|add timeout a inet esp|add timeout a inet esp foo
add timeout a inet esp foo 1|add timeout a foo tcp close 1|add timeout a inet foo close 1|add timeout a foo foo x
add timeout a '' tcp close 1|add timeout a inet '' close 1|add timeout a inet tcp '' 1
add timeout a INET tcp close 1|add timeout a inet 6 close 1|add timeout a inet tcp CLOS 1|add timeout a inet tcp closed 1
add timeout '' inet udp replied 1|get timeout ''|delete timeout ''|delete timeout ''|get timeout ''
add timeout p inet tcp close 1 established 2 close 3|get timeout p|add timeout p inet tcp close 1|get timeout p
add timeout p inet udp replied 9|add timeout q inet tcp foo 1 close|add timeout q inet tcp close 1 foo 2 x
add timeout q inet tcp close 1 established|get timeout q|get timeout p q|get timeout p q r s|delete timeout p q
delete timeout q|delete timeout p|get timeout p|delete timeout p|flush timeout x|flush timeout|flush timeout
add timeout café inet udp replied 1|get timeout café|list timeout|delete timeout café
timeout add r inet6 icmpv6 timeout 5|t g r|timeout get r|timeout list|t d r|timeout flush
default-get timeout inet tcp extra words|default-get timeout foo tcp|default-get timeout inet foo|default-get t '' ''
default-set timeout foo tcp close 1|default-set timeout inet foo close 1|default-set timeout inet tcp close
default-set timeout inet tcp foo 1|default-set timeout inet tcp close 1 foo|default-set timeout inet esp timeout 1
default-get timeout inet tcp|add timeout d inet tcp established 1|get timeout d
default-set timeout inet tcp close 10 established 432000|default-get timeout inet6 tcp|get timeout d|delete timeout d
disable timeout a b c d e|default-set helper a b c|helper default-get|helper default-set|default-get helper a
add helper ftp foo tcp|add helper ftp inet foo|add helper ftp inet sctp|add helper ftp inet TCP|add helper ftp inet 6
add helper ftp inet udp|add helper FTP inet tcp|add helper nope inet tcp|add helper '' inet tcp|add helper nope foo foo
add helper tftp inet tcp|add helper sane inet udp|add helper tns inet udp|add helper ../ftp inet tcp|add helper ftp foo foo
disable helper nope inet tcp|disable helper ftp foo tcp|disable helper ftp inet icmp|disable helper ftp inet udp
get helper ftp foo|get helper ftp inet foo|get helper ftp foo foo|get helper ftp foo foo x|get helper ftp inet tcp x
delete helper ftp foo|delete helper ftp inet foo|delete helper ftp foo tcp|delete helper ftp foo tcp x
add timeout m inet mptcp established 1|default-get timeout inet mptcp|default-get timeout inet ip
add timeout n inet CPHB timeout 1|add timeout n inet ICMPV6 timeout 1|add timeout n inet Generic timeout 1
";

/// Seconds that both programs read alike.
const SECONDS: &[&str] = &["0", "1", "60", "432000", "2147483", "+5", " 5", "010", "\t7"];

/// What people, scripts and accidents write in place of seconds.
const NO_SECONDS: &[&str] = &[
    "-1",
    "5 5",
    "5x",
    "x5",
    "abc",
    "",
    "0x10",
    "1e3",
    "1.5",
    "- 5",
    "7\n",
    "21474837",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "-4294967295",
    "17179869",
    "99999999999999999999",
    "-99999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1000000d",
    "5 m",
    "1H",
];

/// Protocols and the names of their states: those with timeouts, by name and alias, and some without.
const PROTOCOLS: &[(&str, &[&str])] = &[
    (
        "tcp",
        &[
            "SYN_SENT",
            "SYN_RECV",
            "ESTABLISHED",
            "FIN_WAIT",
            "CLOSE_WAIT",
            "LAST_ACK",
            "TIME_WAIT",
            "CLOSE",
            "SYN_SENT2",
            "RETRANS",
            "UNACKNOWLEDGED",
            "LISTEN",
            "UNACK",
            "NONE",
        ],
    ),
    ("TCP", &["close"]),
    ("udp", &["UNREPLIED", "REPLIED", "timeout"]),
    ("UDP", &["replied"]),
    ("udplite", &["UNREPLIED", "REPLIED"]),
    ("UDPLite", &["Replied"]),
    ("icmp", &["TIMEOUT", "replied"]),
    ("icmpv6", &["TIMEOUT", "replied"]),
    ("ipv6-icmp", &["timeout"]),
    ("IPv6-ICMP", &["Timeout"]),
    (
        "sctp",
        &[
            "CLOSED",
            "COOKIE_WAIT",
            "COOKIE_ECHOED",
            "ESTABLISHED",
            "SHUTDOWN_SENT",
            "SHUTDOWN_RECD",
            "SHUTDOWN_ACK_SENT",
            "HEARTBEAT_SENT",
            "HEARTBEAT_ACKED",
            "NONE",
        ],
    ),
    (
        "dccp",
        &["REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "TIME_WAIT", "NONE"],
    ),
    ("gre", &["UNREPLIED", "REPLIED"]),
    ("generic", &["TIMEOUT", "replied"]),
    ("esp", &["TIMEOUT"]),
    ("ipencap", &["TIMEOUT"]),
    ("igmp", &["TIMEOUT"]),
];

/// Every prefix of a word.
fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    (1..=word.len()).map(|n| &word[..n])
}

/// All histories. Most lines of each have something to work on.
pub fn histories() -> Vec<History> {
    let mut all = vec![lines(LINES).collect(), commands(), states(), seconds(), names()];
    all.extend(long_names());
    all.extend(no_seconds());
    all
}

/// Every command with every number of words, beginning with none, and abbreviated in every way.
fn commands() -> History {
    let mut out = Vec::new();
    for command in ["list", "add", "delete", "get", "flush", "disable", "default-set", "default-get"] {
        for n in 0..=7 {
            let rest = &["zct-test", "inet", "tcp", "close", "7", "established", "8"][..n];
            out.push(words(&format!("{command} timeout {}", rest.join(" "))));
            let rest = &rest[rest.len().min(1)..];
            out.push(words(&format!("timeout {command} {}", rest.join(" "))));
        }
        // No such helper exists, so no harm is done; but a flush would take effect.
        for n in (0..=5).filter(|n| command != "flush" || *n > 0) {
            let rest = &["zct-test", "inet", "tcp", "x", "y"][..n];
            out.push(words(&format!("{command} helper {}", rest.join(" "))));
        }
        for short in beginnings(command) {
            out.push(words(&format!("{short} timeout zct-test")));
            out.push(words(&format!("t {short}")));
        }
    }
    for subsystem in ["timeout", "helper", "version"] {
        for short in beginnings(subsystem) {
            out.push(words(&format!("list {short}")));
            out.push(words(&format!("{short} get zct-test")));
        }
    }
    out
}

/// Every state of every protocol, singly and all at once, as policies and as defaults.
fn states() -> History {
    let mut out = Vec::new();
    for (protocol, states) in PROTOCOLS {
        for family in ["inet", "inet6"] {
            out.push(words(&format!("default-get timeout {family} {protocol}")));
            let mut all = format!("add timeout all {family} {protocol}");
            for (i, state) in states.iter().enumerate() {
                out.push(words(&format!("add timeout {protocol}-{i} {family} {protocol} {state} {}", i + 1)));
                out.push(words(&format!("default-set timeout {family} {protocol} {state} {}", i + 1001)));
                all += &format!(" {} {}", state.to_lowercase(), i + 2001);
            }
            out.push(words(&all));
            out.push(words(&format!("default-get timeout {family} {protocol}")));
            out.push(words(&format!("get timeout {protocol}-0")));
            out.push(words("flush timeout"));
        }
    }
    out
}

/// Words that contain blanks cannot come from `lines`.
fn seconds() -> History {
    let mut out = Vec::new();
    for seconds in SECONDS {
        for line in ["add timeout s inet tcp close", "default-set timeout inet udp replied"] {
            let mut words = words(line);
            words.push(seconds.into());
            out.push(words);
        }
        out.push(words("delete timeout s"));
    }
    out
}

/// Each of these ends a history, because the original makes a policy of it.
fn no_seconds() -> impl Iterator<Item = History> {
    let lines =
        ["add timeout s inet tcp syn_sent 3 close", "default-set timeout inet udp unreplied 9 replied"];
    NO_SECONDS.iter().flat_map(move |seconds| {
        lines.map(|line| {
            let mut last = words(line);
            last.push(seconds.into());
            vec![words("add timeout before inet udp replied 8"), last]
        })
    })
}

/// Names that are not plain words.
fn names() -> History {
    let mut out = Vec::new();
    for name in [&b"a b"[..], b"\xff\xfe", b"-x", b"--", b"new\nline", b"%s%n", b"} = {"] {
        for line in ["add timeout NAME inet udp replied 3", "get timeout NAME", "delete timeout NAME"] {
            let named = |w: OsString| if w == "NAME" { OsString::from_vec(name.to_vec()) } else { w };
            out.push(words(line).into_iter().map(named).collect());
        }
    }
    out
}

/// Names longer than the longest allowed that begin like an existing one. Each ends a history, since the
/// original takes one for the other.
fn long_names() -> impl Iterator<Item = History> {
    let longest = format!("add timeout {} inet udp replied 3", "n".repeat(31));
    let commands = ["get timeout NAME", "delete timeout NAME", "add timeout NAME inet udp replied 4"];
    [31, 32, 40, 200].into_iter().flat_map(move |len| {
        let longest = longest.clone();
        commands.map(move |line| vec![words(&longest), words(&line.replace("NAME", &"n".repeat(len)))])
    })
}

/// Every helper for every family and protocol, followed by what can be done with them.
pub fn helpers() -> History {
    let mut out = vec![words("list helper")];
    for helper in ["amanda", "dhcpv6", "ftp", "mdns", "rpc", "sane", "slp", "ssdp", "tftp", "tns", "nope"] {
        for family in ["inet", "inet6"] {
            for protocol in ["tcp", "udp"] {
                out.push(words(&format!("add helper {helper} {family} {protocol}")));
                out.push(words(&format!("get helper {helper} {family} {protocol}")));
            }
        }
        out.push(words(&format!("get helper {helper}")));
        out.push(words(&format!("disable helper {helper} inet tcp")));
    }
    out.extend(lines(HELPER_LINES));
    out
}

/// Commands to be run when helpers exist.
const HELPER_LINES: &str = "
list helper|add helper ftp inet tcp|add helper ftp inet tcp extra|disable helper ftp inet tcp extra
get helper nope|get helper ''|delete helper nope|delete helper ''|delete helper nope inet tcp|delete helper tns inet udp
delete helper tns inet6 tcp|get helper tns inet6 tcp|get helper tns inet tcp|disable helper tns inet6 tcp
delete helper rpc|get helper rpc|delete helper rpc|get helper fifteen-letters|get helper sixteen-letters-
delete helper sixteen-letters-|list helper|flush helper|list helper|flush helper|get helper ftp|disable helper ftp inet tcp
";
