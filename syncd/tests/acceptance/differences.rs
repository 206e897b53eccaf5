//! Where zctd intends to judge a file differently from the original.

use super::golden::{Case, Verdict};
use zctd::config::Loaded;
use zctd::config::report::Severity;

/// What is refused here and accepted there, identified by a part of the message.
const STRICTER: [(&str, &str); 7] = [
    // The original drops the upper bits: 69316 is port 3780, 99999999999 is 1215752191.
    (" is a number from ", "numbers that do not fit are refused"),
    // The original takes such a byte for the end of the file, and ignores the rest.
    ("found `\\x00'", "a NUL byte is refused"),
    ("is it the byte order mark", "a byte above 127 is refused"),
    ("zeros in front", "IPv4 addresses in octal are refused"),
    // The original leaves it out with a warning, and then filters differently from what was asked, or listens
    // on every address.
    (" address or network (prefix ", "networks that are none are refused"),
    (" address, as IPv", "addresses that are none are refused"),
    // There they apply to the next Type, or to none.
    ("does not belong in ", "what belongs in Type is refused elsewhere in Helper"),
];

/// Directives that the original does not know.
const OWN: [&[u8]; 11] = [
    b"ActiveKey",
    b"Auth",
    b"Key",
    b"NodeID",
    b"Label",
    b"LogFormat",
    b"Mark",
    b"NAT",
    b"SyncAfter",
    b"UpdateInterval",
    b"Zone",
];

/// What is accepted here and refused there, identified by what the original objects to.
type Stumbles = fn(&[u8], &[u8]) -> bool;
const LAXER: [(Stumbles, &str); 6] = [
    (|_, word| OWN.contains(&word), "our own directives are known"),
    (|_, word| is_hex_name(word), "interfaces and helpers may be called fe0"),
    (|text, word| word == b"#" && !text.ends_with(b"\n"), "a comment may end the file"),
    (|_, word| word.eq_ignore_ascii_case(b"persistent"), "mode persistent in any letter case"),
    // The original takes a TAB, and in files with CR LF the CR, to be part of the path.
    (|text, word| word.is_empty() && text.contains(&b'\t'), "a path ends at a TAB or CR"),
    (|text, word| word == b"note" && text.contains(&b'\t'), "a path ends at a TAB or CR"),
];

/// All names of differences.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let laxer = LAXER.iter().map(|(_, name)| *name);
    STRICTER.iter().map(|(_, name)| *name).chain(laxer)
}

/// The name of the difference, if it is an intended one.
pub(crate) fn meant(case: &Case, ours: &Loaded) -> Option<&'static str> {
    let first = ours.report.remarks().iter().find(|r| r.severity == Severity::Error).map(|r| r.text.as_str());
    match (&case.verdict, first) {
        (Verdict::Accepted | Verdict::Warned, Some(text)) => {
            STRICTER.iter().find(|(piece, _)| text.contains(piece)).map(|(_, name)| *name)
        }
        // The original objects to what follows the number, which it accepts as it is.
        (Verdict::Syntax(..), Some(text)) if text.contains(STRICTER[0].0) => Some(STRICTER[0].1),
        // A Type inside a Type is not the scheduler's.
        (Verdict::Syntax(..), Some(text)) if text.starts_with("`Type' does not") => Some(STRICTER[6].1),
        (Verdict::Syntax(_, word), None) => {
            LAXER.iter().find(|(stumbles, _)| stumbles(&case.text, word)).map(|(_, name)| *name)
        }
        _ => None,
    }
}

/// What the original takes for an address.
fn is_hex_name(word: &[u8]) -> bool {
    word.len() <= 4
        && word.iter().all(u8::is_ascii_hexdigit)
        && word.first().is_some_and(u8::is_ascii_alphabetic)
}
