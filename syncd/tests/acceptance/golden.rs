//! What the original said about each text of the corpus: lines of `VERDICT TAB TEXT`, with `#` for comments.

use std::fmt::Write as _;

/// What the original says about a file in its client role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It said nothing.
    Accepted,
    /// It gave a warning; those about interfaces that do not exist do not count.
    Warned,
    /// It reported a syntax error at a word in a line.
    Syntax(u32, Vec<u8>),
    /// It reported another error.
    Refused(String),
}

pub(crate) struct Case {
    pub(crate) text: Vec<u8>,
    pub(crate) verdict: Verdict,
}

pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/acceptance/conntrackd-1.4.7.txt");
const HEADER: &str = "\
# What conntrackd 1.4.7 (Debian 12) says about these configuration files in its client role, each run as
#   unshare --net --mount sh -c 'mount -t tmpfs none /run; conntrackd -C FILE -s'
# Renewed by: ZCT_GOLDEN=write cargo test -p zctd --test acceptance conntrackd_says
";

/// Printable bytes unchanged, others as `\xNN`.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for b in bytes {
        match b {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => out.push(char::from(*b)),
            b => write!(out, "\\x{b:02x}").unwrap(),
        }
    }
    out
}

pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        match bytes.next().expect("a byte after a backslash") {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'x' => {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            other => out.push(other),
        }
    }
    out
}

pub(crate) fn read() -> Vec<Case> {
    let text = std::fs::read_to_string(FILE).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    text.lines().filter(|l| !l.starts_with('#')).map(case).collect()
}

fn case(line: &str) -> Case {
    let (verdict, text) = line.split_once('\t').unwrap_or_else(|| panic!("no tab in {line}"));
    let verdict = match verdict.split_once(' ') {
        None if verdict == "accepted" => Verdict::Accepted,
        None if verdict == "warned" => Verdict::Warned,
        Some(("syntax", rest)) => {
            let (line, word) = rest.split_once(' ').unwrap();
            Verdict::Syntax(line.parse().unwrap(), unescape(word))
        }
        Some(("refused", rest)) => Verdict::Refused(rest.into()),
        _ => panic!("no verdict in {line}"),
    };
    Case { text: unescape(text), verdict }
}

pub(crate) fn write(cases: &[Case]) {
    let mut out = String::from(HEADER);
    for case in cases {
        match &case.verdict {
            Verdict::Accepted => out.push_str("accepted"),
            Verdict::Warned => out.push_str("warned"),
            Verdict::Syntax(line, word) => write!(out, "syntax {line} {}", escape(word)).unwrap(),
            Verdict::Refused(text) => write!(out, "refused {text}").unwrap(),
        }
        writeln!(out, "\t{}", escape(&case.text)).unwrap();
    }
    std::fs::write(FILE, out).unwrap();
}
