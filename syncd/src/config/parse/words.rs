//! The words of the configuration language, where each belongs, and what was probably meant by other words.

use super::super::lexer::{Token, TokenKind};
use super::super::report::quoted;

/// The sections of the top level.
pub(super) const SECTIONS: [&str; 5] = ["General", "Helper", "Metrics", "Stats", "Sync"];

/// The directives, and the blocks that they belong in.
pub(super) const DIRECTIVES: &[(&str, &str)] = &[
    ("ACKWindowSize", "Mode FTFW"),
    ("ActiveKey", "Auth"),
    ("Address", "Filter"),
    ("AllowAddress", "Type"),
    ("AllowFrom", "Type"),
    ("AllowPrivilegedPorts", "Type"),
    ("AnyServerPort", "Type"),
    ("Auth", "Sync"),
    ("Backlog", "UNIX"),
    ("CacheTimeout", "Mode ALARM or Sync"),
    ("Checksum", "Multicast, UDP or TCP"),
    ("CommitTimeout", "Mode or Sync"),
    ("Digest", "Options"),
    ("DigestInterval", "Options"),
    ("DisableExternalCache", "Mode FTFW or Mode NOTRACK"),
    ("DisableInternalCache", "Mode NOTRACK"),
    ("ErrorQueueLength", "TCP"),
    ("EventIterationLimit", "General"),
    ("ExpectMax", "Policy"),
    ("ExpectTimeout", "Policy"),
    ("ExpectationSync", "Options"),
    ("Filter", "General"),
    ("Group", "Multicast"),
    ("HashLimit", "General"),
    ("HashSize", "General"),
    ("IPv4_Destination_Address", "UDP or TCP"),
    ("IPv4_address", "Multicast, UDP, TCP or Address"),
    ("IPv4_interface", "Multicast"),
    ("IPv6_Destination_Address", "UDP or TCP"),
    ("IPv6_address", "Multicast, UDP, TCP or Address"),
    ("IPv6_interface", "Multicast"),
    ("Interface", "Multicast, UDP or TCP"),
    ("Interval", "Metrics"),
    ("Key", "Auth"),
    ("Label", "Filter"),
    ("Listen", "Metrics"),
    ("LockFile", "General"),
    ("LogFile", "General or Stats"),
    ("LogFormat", "Stats"),
    ("Mark", "Filter"),
    ("MaxExpectations", "Type"),
    ("Mode", "Sync or Auth"),
    ("Multicast", "Sync"),
    ("NAT", "Filter"),
    ("NetlinkBufferSize", "General"),
    ("NetlinkBufferSizeMaxGrowth", "General"),
    ("NetlinkEventsReliable", "General"),
    ("NetlinkOverrunResync", "General"),
    ("Nice", "General"),
    ("NodeID", "Sync or Peer"),
    ("Options", "Sync"),
    ("Path", "UNIX"),
    ("Peer", "Sync"),
    ("Permanent", "Type"),
    ("Policy", "Type"),
    ("PollSecs", "General"),
    ("Port", "Filter, UDP or TCP"),
    ("Priority", "Scheduler"),
    ("Protocol", "Filter"),
    ("PurgeTimeout", "Mode or Sync"),
    ("QueueLen", "Type"),
    ("QueueNum", "Type"),
    ("RcvSocketBuffer", "Multicast, UDP or TCP"),
    ("RefreshTime", "Mode ALARM or Sync"),
    ("ResendQueueSize", "Mode FTFW"),
    ("ResyncInterval", "Options"),
    ("ReviewInterval", "Options"),
    ("Scheduler", "General"),
    ("Setup", "Helper"),
    ("SndSocketBuffer", "Multicast, UDP or TCP"),
    ("SocketBufferSize", "General"),
    ("SocketBufferSizeMaxGrown", "General"),
    ("SocketBufferSizeMaxGrowth", "General"),
    ("StartupResync", "Mode FTFW or Mode NOTRACK"),
    ("State", "Filter"),
    ("SyncAfter", "Options"),
    ("Syslog", "General or Stats"),
    ("Systemd", "General"),
    ("TCP", "Sync or Peer"),
    ("TCPWindowTracking", "Options"),
    ("TextFile", "Metrics"),
    ("Type", "Scheduler or Helper"),
    ("UDP", "Sync or Peer"),
    ("UNIX", "General"),
    ("UpdateInterval", "Options"),
    ("Zone", "Filter"),
];

/// Words that are neither directives nor sections.
const OTHERS: [&str; 16] = [
    "Accept",
    "CLOSE",
    "CLOSED",
    "CLOSE_WAIT",
    "Default",
    "ESTABLISHED",
    "FIN_WAIT",
    "From",
    "Ignore",
    "Kernelspace",
    "LAST_ACK",
    "LISTEN",
    "SYN_RECV",
    "SYN_SENT",
    "TIME_WAIT",
    "Userspace",
];

/// Words that the original does not know: it would take them for names.
const OWN: [&str; 20] = [
    "ActiveKey",
    "Auth",
    "Digest",
    "DigestInterval",
    "Interval",
    "Key",
    "Label",
    "Listen",
    "LogFormat",
    "Mark",
    "Metrics",
    "NAT",
    "NodeID",
    "Peer",
    "ResyncInterval",
    "ReviewInterval",
    "SyncAfter",
    "TextFile",
    "UpdateInterval",
    "Zone",
];

/// True for words that cannot be names. Our own are not among them.
pub(super) fn is_keyword(word: &[u8]) -> bool {
    let is = |w: &str| w.as_bytes() == word;
    let switch_or_mode = ["on", "off", "yes", "no", "alarm", "ftfw", "notrack", "nack"];
    switch_or_mode.iter().any(|w| w.as_bytes().eq_ignore_ascii_case(word))
        || is("for")
        || OTHERS.iter().any(|w| is(w))
        || SECTIONS.iter().chain(DIRECTIVES.iter().map(|(w, _)| w)).any(|w| is(w) && !OWN.contains(w))
        // The original's pattern for `persistent` in any letter case has a mistake: its last letter is a
        // capital `T`.
        || (word.ends_with(b"T") && word.eq_ignore_ascii_case(b"persistent"))
}

/// True for words that begin a section or a directive somewhere, in any letter case.
pub(super) fn may_begin(word: &[u8]) -> bool {
    let is = |w: &str| w.as_bytes().eq_ignore_ascii_case(word);
    SECTIONS.into_iter().any(is) || DIRECTIVES.iter().any(|(w, _)| is(w))
}

/// True for words that begin a section or a directive somewhere, in the right letter case.
pub(super) fn begins(t: &Token<'_>) -> bool {
    let is = |w: &str| t.kind == TokenKind::Word && w.as_bytes() == t.text;
    SECTIONS.into_iter().any(is) || DIRECTIVES.iter().any(|(w, _)| is(w))
}

/// The value of an on/off word.
pub(super) fn switch(t: &Token<'_>) -> Option<bool> {
    if t.kind != TokenKind::Word {
        return None;
    }
    let is = |w: &str| w.as_bytes().eq_ignore_ascii_case(t.text);
    if is("on") || is("yes") {
        Some(true)
    } else if is("off") || is("no") {
        Some(false)
    } else {
        None
    }
}

/// The message about a word that is not one of `known`, the words that may begin a statement in `block`.
pub(super) fn not_here(t: &Token<'_>, block: &str, known: &[&str]) -> String {
    let word = quoted(t.text);
    match t.kind {
        TokenKind::Close => return "`}' closes nothing".into(),
        TokenKind::Stray if t.text == b"\xef" => {
            return format!("{word} begins no word here; is it the byte order mark of a text editor?");
        }
        TokenKind::Word => {}
        _ => return format!("expected {} in {block}, found {word}", any_of(known)),
    }
    if let Some(meant) = closest(t.text, known) {
        return format!("{word} is not known in {block}: did you mean `{meant}'?");
    }
    if let Some((_, place)) = DIRECTIVES.iter().find(|(w, _)| w.as_bytes() == t.text) {
        return format!("{word} does not belong in {block}, but in {place}");
    }
    if SECTIONS.iter().any(|s| s.as_bytes() == t.text) {
        return format!("{word} does not belong in {block}, but at the top level");
    }
    let all = DIRECTIVES.iter().map(|(w, _)| *w).chain(SECTIONS).collect::<Vec<_>>();
    match closest(t.text, &all) {
        Some(meant) => format!("{word} is not known in {block}: did you mean `{meant}'?"),
        None => format!("{word} is not known in {block}: expected {}", any_of(known)),
    }
}

/// Lists the words as `A, B or C`, unless there are too many to help anybody.
fn any_of(known: &[&str]) -> String {
    match known {
        [first @ .., last] if known.len() <= 9 => format!("{} or {last}", first.join(", ")),
        _ => "a directive".into(),
    }
}

/// The word in `known` that differs only in letter case or in at most two letters; the nearest,
/// if several do.
fn closest<'k>(word: &[u8], known: &[&'k str]) -> Option<&'k str> {
    if let Some(same) = known.iter().find(|k| k.as_bytes().eq_ignore_ascii_case(word)) {
        return Some(same);
    }
    // Two letters are most of a short word.
    let allowed = if word.len() < 5 { 1 } else { 2 };
    let near = known.iter().map(|k| (distance(word, k.as_bytes()), *k)).filter(|(d, _)| *d <= allowed);
    near.min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// How many letters to insert, delete or replace to get from one word to the other. Words that are too long
/// or differ too much in length are infinitely far apart.
fn distance(a: &[u8], b: &[u8]) -> usize {
    const LONGEST: usize = 32;
    if a.len() > LONGEST || b.len() > LONGEST || a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: [usize; LONGEST + 1] = std::array::from_fn(|i| i);
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, d) in
            [("", "", 0), ("Group", "Group", 0), ("Gruop", "Group", 2), ("Port", "Por", 1), ("", "ab", 2)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), d, "{a} {b}");
        }
        assert_eq!(distance(b"abcd", b"a"), usize::MAX);
        assert_eq!(distance(&[b'x'; 1000], &[b'x'; 1000]), usize::MAX);
    }

    #[test]
    fn the_manual_page_knows_every_directive() {
        let page = include_str!("../../../../docs/zctd.conf.5");
        for (word, _) in DIRECTIVES {
            assert!(page.contains(word), "docs/zctd.conf.5 says nothing of {word}");
        }
        for word in SECTIONS {
            assert!(page.contains(&format!(".SH {}", word.to_uppercase())), "docs/zctd.conf.5 has no {word}");
        }
    }

    /// The original's keywords, found by trying each as the name of a helper.
    #[test]
    fn keywords_are_those_of_the_original() {
        for w in [
            "HashSize",
            "for",
            "TCP",
            "oN",
            "NO",
            "FtFw",
            "persistenT",
            "PERSISTENT",
            "Helper",
            "Ignore",
            "CLOSE",
        ] {
            assert!(is_keyword(w.as_bytes()), "{w}");
        }
        for w in [
            "hashsize",
            "For",
            "tcp",
            "persistent",
            "inet",
            "rr",
            "SCTP",
            "on.",
            "IPv4_Interface",
            "LogFormat",
            "Metrics",
        ] {
            assert!(!is_keyword(w.as_bytes()), "{w}");
        }
    }

    #[test]
    fn messages_say_what_was_meant() {
        let says = |word: &str, known: &[&str]| {
            not_here(
                &Token { kind: TokenKind::Word, text: word.as_bytes(), line: 1, column: 1 },
                "Mode FTFW",
                known,
            )
        };
        let known = ["ACKWindowSize", "CommitTimeout"];
        assert_eq!(
            says("AckWindowSize", &known),
            "`AckWindowSize' is not known in Mode FTFW: did you mean `ACKWindowSize'?"
        );
        assert_eq!(
            says("CommitTimout", &known),
            "`CommitTimout' is not known in Mode FTFW: did you mean `CommitTimeout'?"
        );
        assert_eq!(
            says("RefreshTime", &known),
            "`RefreshTime' does not belong in Mode FTFW, but in Mode ALARM or Sync"
        );
        assert_eq!(
            says("quux", &known),
            "`quux' is not known in Mode FTFW: expected ACKWindowSize or CommitTimeout"
        );
        assert_eq!(says("general", &known), "`general' is not known in Mode FTFW: did you mean `General'?");
    }
}
