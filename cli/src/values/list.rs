//! Comma lists of words that may be abbreviated: `-u`, `-e`, `-o` (command-line.md §2.3, §2.4).

use crate::fail::Fail;
use memchr::memchr;
use zct_wire::consts::{ips, nfnlgrp};

/// Status bits of `-u`: those that were given, and those that were negated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bits that must be set or, in a change, that are to be set.
    pub set: u32,
    /// Bits that must be clear: `!NAME`, `UNREPLIED`.
    pub clear: u32,
    /// True when a word was ignored, with a warning.
    pub ignored: bool,
}

/// Which output to write, and what goes into it; the words of `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// `xml`.
    pub xml: bool,
    /// `save`.
    pub save: bool,
    /// `json`, which the original does not have.
    pub json: bool,
    /// `extended`.
    pub extended: bool,
    /// `timestamp`.
    pub timestamp: bool,
    /// `id`.
    pub id: bool,
    /// `ktimestamp`.
    pub ktimestamp: bool,
    /// `labels`.
    pub labels: bool,
    /// `userspace`, which changes nothing: the tag is always printed.
    pub userspace: bool,
}

/// The event groups of `-e` as a set of bits: bit `n` is group `n`.
pub type EventMask = u32;

/// The words of `-e` with the numbers of their groups; 0 means all three.
const EVENTS: [(&str, u32); 4] = [
    ("ALL", 0),
    ("NEW", nfnlgrp::CONNTRACK_NEW),
    ("UPDATES", nfnlgrp::CONNTRACK_UPDATE),
    ("DESTROY", nfnlgrp::CONNTRACK_DESTROY),
];
/// All three event groups.
pub const EVENTS_ALL: EventMask = 0b1110;

/// The words of `-u`, in the order in which prefixes are resolved.
const STATUS: [(&str, u32); 7] = [
    ("ASSURED", ips::ASSURED),
    ("SEEN_REPLY", ips::SEEN_REPLY),
    ("UNSET", 0),
    ("FIXED_TIMEOUT", ips::FIXED_TIMEOUT),
    ("EXPECTED", ips::EXPECTED),
    ("OFFLOAD", ips::OFFLOAD),
    ("HW_OFFLOAD", ips::HW_OFFLOAD),
];
/// Words of `-u` that have options of their own instead.
const NAT_STATUS: [(&str, &str); 2] = [("SRC_NAT", "--src-nat"), ("DST_NAT", "--dst-nat")];

/// The words of `-o`, in the order in which prefixes are resolved.
pub const OUTPUT: [&str; 9] =
    ["xml", "extended", "timestamp", "id", "ktimestamp", "labels", "userspace", "save", "json"];

/// True when `word` is `name` or its beginning, in upper or lower case. An empty word matches no name.
fn is_prefix(word: &[u8], name: &str) -> bool {
    let start = name.as_bytes().get(..word.len());
    !word.is_empty() && start.is_some_and(|s| s.eq_ignore_ascii_case(word))
}

/// Hands every word of a comma list to `take`. A failure shows the list from the bad word to its end.
fn words(list: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> Result<(), Fail> {
    let mut rest = list;
    loop {
        let end = memchr(b',', rest);
        let word = &rest[..end.unwrap_or(rest.len())];
        if !take(word) {
            return Err(Fail::word("Bad parameter `", rest, "'"));
        }
        match end {
            Some(at) => rest = &rest[at + 1..],
            None => return Ok(()),
        }
    }
}

/// Adds the words of a `-u` list to `status`; returns warnings to be shown.
pub fn status(list: &[u8], status: &mut Status) -> Result<Vec<String>, Fail> {
    let mut warnings = Vec::new();
    let mut rest = list;
    loop {
        let end = memchr(b',', rest);
        let whole = &rest[..end.unwrap_or(rest.len())];
        let word = whole.strip_prefix(b"!").unwrap_or(whole);
        let negated = word.len() != whole.len();
        let bits = if let Some((name, option)) = NAT_STATUS.iter().find(|(name, _)| is_prefix(word, name)) {
            warnings.push(format!("WARNING: ignoring {name}, use {option} instead"));
            status.ignored = true;
            Some(0)
        } else if word.starts_with(b"UNREPLIED") && !negated {
            status.clear |= ips::SEEN_REPLY;
            Some(0)
        } else {
            STATUS.iter().find(|(name, _)| is_prefix(word, name)).map(|(_, bits)| *bits)
        };
        match bits {
            Some(bits) if negated => status.clear |= bits,
            Some(bits) => status.set |= bits,
            // The original shows the list from here on, without the negation.
            None => {
                let from = rest.strip_prefix(b"!").unwrap_or(rest);
                return Err(Fail::word("Bad parameter `", from, "'"));
            }
        }
        match end {
            Some(at) => rest = &rest[at + 1..],
            None => return Ok(warnings),
        }
    }
}

/// Adds the words of an `-e` list.
pub fn events(list: &[u8], mask: &mut EventMask) -> Result<(), Fail> {
    words(list, |word| {
        let Some((_, group)) = EVENTS.iter().find(|(name, _)| is_prefix(word, name)) else { return false };
        *mask |= if *group == 0 { EVENTS_ALL } else { 1 << group };
        true
    })
}

/// Adds the words of an `-o` list.
pub fn output(list: &[u8], out: &mut Output) -> Result<(), Fail> {
    words(list, |word| {
        let Some(at) = OUTPUT.iter().position(|name| is_prefix(word, name)) else { return false };
        let member = match OUTPUT[at] {
            "xml" => &mut out.xml,
            "extended" => &mut out.extended,
            "timestamp" => &mut out.timestamp,
            "id" => &mut out.id,
            "ktimestamp" => &mut out.ktimestamp,
            "labels" => &mut out.labels,
            "userspace" => &mut out.userspace,
            "save" => &mut out.save,
            _ => &mut out.json,
        };
        *member = true;
        true
    })
}

impl Output {
    /// Refuses formats that cannot be combined. For `save` the message and exit 1 are the original's.
    pub fn check(&self) -> Result<(), Fail> {
        let with_save = Output { save: true, userspace: self.userspace, ..Output::default() };
        if self.save && *self != with_save {
            return Err(Fail::runtime(
                "cannot combine save output with any other output type, use -o save only",
            ));
        }
        if self.json && self.xml {
            return Err(Fail::usage("cannot combine json output with xml output"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(list: &str) -> Result<(u32, u32, usize), Fail> {
        let mut s = Status::default();
        let warnings = status(list.as_bytes(), &mut s)?;
        Ok((s.set, s.clear, warnings.len()))
    }

    #[test]
    fn status_words_prefixes_and_negations() {
        assert_eq!(status_of("ASSURED,seen"), Ok((6, 0, 0)));
        assert_eq!(status_of("!ASSURED"), Ok((0, 4, 0)));
        assert_eq!(status_of("UNREPLIED"), Ok((0, 2, 0)));
        assert_eq!(status_of("UNREPLIEDxyz"), Ok((0, 2, 0)));
        assert_eq!(status_of("UNSET"), Ok((0, 0, 0)));
        assert_eq!(status_of("u"), Ok((0, 0, 0)));
        assert_eq!(status_of("S"), Ok((0, 0, 1)));
        assert_eq!(status_of("FIXED,EXP,OFF,HW"), Ok((0x400 | 1 | 0x4000 | 0x8000, 0, 0)));
        for (bad, rest) in [
            ("ASSURED,foo,NEW", "foo,NEW"),
            ("!foo,x", "foo,x"),
            ("ASSURED,", ""),
            ("", ""),
            (",ASSURED", ",ASSURED"),
            ("!UNREPLIED", "UNREPLIED"),
            ("unreplied", "unreplied"),
        ] {
            assert_eq!(status_of(bad), Err(Fail::word("Bad parameter `", rest.as_bytes(), "'")), "{bad}");
        }
    }

    #[test]
    fn events_and_outputs() {
        let mut mask = 0;
        events(b"new,D", &mut mask).unwrap();
        assert_eq!(mask, 0b1010);
        events(b"all", &mut mask).unwrap();
        assert_eq!(mask, EVENTS_ALL);
        assert!(events(b"new,", &mut mask).is_err());
        let mut out = Output::default();
        output(b"e,id,x", &mut out).unwrap();
        output(b"k", &mut out).unwrap();
        assert_eq!(
            out,
            Output { xml: true, extended: true, id: true, ktimestamp: true, ..Output::default() }
        );
        let mut out = Output::default();
        output(b"s,u", &mut out).unwrap();
        assert_eq!(out.check(), Ok(()));
        output(b"t", &mut out).unwrap();
        assert!(out.check().is_err());
        assert_eq!(output(b"id,foo,x", &mut out), Err(Fail::usage("Bad parameter `foo,x'")));
    }
}
