//! Hides what varies from run to run, by the name of the field.
//!
//! A masked value keeps its name and its place, so that a field that is missing or misplaced still shows.

use std::ops::BitOr;

/// A set of fields to hide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask(u32);

impl Mask {
    /// Hides nothing.
    pub const NONE: Mask = Mask(0);
    /// Seconds until a flow expires: the third word of a line, `-t`, `<timeout>`.
    pub const TIMEOUT: Mask = Mask(1);
    /// The reference count in `use=`.
    pub const USE: Mask = Mask(1 << 1);
    /// The age in `delta-time=`.
    pub const DELTA_TIME: Mask = Mask(1 << 2);
    /// The kernel's id of an entry, but not the id of a ping.
    pub const ID: Mask = Mask(1 << 3);
    /// The netlink port of a program.
    pub const PORTID: Mask = Mask(1 << 4);
    /// The field with a program's name, present or not: whether the name is found is a matter of luck.
    pub const PROGNAME: Mask = Mask(1 << 5);
    /// The release that messages name.
    pub const VERSION: Mask = Mask(1 << 6);
    /// When a flow began and ended: `[start=…]`, `[stop=…]`, `<start>`, `<stop>`.
    pub const CTIME: Mask = Mask(1 << 7);
    /// The time of an event: `[sec.usec]` and `<when>`.
    pub const EVENT_TIME: Mask = Mask(1 << 8);
    /// The counts of packets and bytes.
    pub const COUNTERS: Mask = Mask(1 << 9);
    /// Hides all of these.
    pub const ALL: Mask = Mask((1 << 10) - 1);

    fn has(self, other: Mask) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the text with these fields hidden.
    pub fn apply(self, text: &str) -> String {
        text.split_inclusive('\n').map(|line| self.line(line)).collect()
    }

    fn line(self, line: &str) -> String {
        let mut line = line.to_owned();
        for (mask, open, close, name) in FIELDS {
            if self.has(*mask) {
                line = replace(&line, open, close, name);
            }
        }
        if self.has(Mask::TIMEOUT) {
            line = mask_timeout(&line);
        }
        if self.has(Mask::ID) {
            line = mask_id(&line);
        }
        if self.has(Mask::PROGNAME) {
            line = remove(&line, " progname=");
        }
        if self.has(Mask::EVENT_TIME) {
            line = mask_event_time(&line);
        }
        line
    }
}

impl BitOr for Mask {
    type Output = Mask;

    fn bitor(self, other: Mask) -> Mask {
        Mask(self.0 | other.0)
    }
}

/// The fields that can be found by what stands before and after them.
const FIELDS: &[(Mask, &str, &str, &str)] = &[
    (Mask::USE, " use=", " \n", "<USE>"),
    (Mask::USE, "<use>", "<", "<USE>"),
    (Mask::DELTA_TIME, " delta-time=", " \n", "<DELTA>"),
    (Mask::DELTA_TIME, "<deltatime>", "<", "<DELTA>"),
    (Mask::PORTID, " portid=", " \n", "<PORTID>"),
    (Mask::VERSION, "conntrack v", " ", "<VERSION>"),
    (Mask::CTIME, "[start=", "]", "<CTIME>"),
    (Mask::CTIME, "[stop=", "]", "<CTIME>"),
    (Mask::CTIME, "<start>", "<", "<NS>"),
    (Mask::CTIME, "<stop>", "<", "<NS>"),
    (Mask::EVENT_TIME, "<when>", "", "<WHEN>"),
    (Mask::COUNTERS, " packets=", " \n", "<N>"),
    (Mask::COUNTERS, " bytes=", " \n", "<N>"),
    (Mask::COUNTERS, "<packets>", "<", "<N>"),
    (Mask::COUNTERS, "<bytes>", "<", "<N>"),
    (Mask::TIMEOUT, "<timeout>", "<", "<TIMEOUT>"),
    (Mask::TIMEOUT, " -t ", " \n", "<TIMEOUT>"),
    (Mask::ID, "<id>", "<", "<ID>"),
];

/// Replaces what follows `open` up to one of the characters of `close`; `""` stands for `</when>`.
fn replace(text: &str, open: &str, close: &str, with: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(open) {
        let (before, after) = rest.split_at(at + open.len());
        let end = if close.is_empty() { after.find("</when>") } else { after.find(|c| close.contains(c)) };
        out += before;
        out += with;
        rest = &after[end.unwrap_or(after.len())..];
    }
    out + rest
}

/// Removes a field together with its name.
fn remove(text: &str, open: &str) -> String {
    let Some(at) = text.find(open) else { return text.to_owned() };
    let after = &text[at + open.len()..];
    let end = after.find([' ', '\n']).unwrap_or(after.len());
    format!("{}{}", &text[..at], &after[end..])
}

/// Hides the seconds of a line: the number after the protocol's number, or before `proto=`.
fn mask_timeout(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let filled: Vec<usize> = (0..words.len()).filter(|i| !words[*i].is_empty()).collect();
    let number = |i: usize| words.get(i).is_some_and(|w| w.parse::<u64>().is_ok());
    let at = filled.windows(4).find_map(|w| match *w {
        // `tcp 6 99 …`, after any tag or layer 3; a protocol's name is never a number.
        [name, num, timeout, next] if !number(name) && number(num) && number(timeout) && !number(next) => {
            Some(timeout)
        }
        [timeout, next, ..] if number(timeout) && words[next].starts_with("proto=") => Some(timeout),
        _ => None,
    });
    let Some(at) = at else { return line.to_owned() };
    let mut words = words;
    words[at] = "<TIMEOUT>";
    words.join(" ")
}

/// Hides `id=` after `use=` and the like; the id of a ping stands after `code=`.
fn mask_id(line: &str) -> String {
    let mut code_before = false;
    let words = line.split(' ').map(|w| {
        let ping = std::mem::replace(&mut code_before, w.starts_with("code="));
        match w.strip_prefix("id=") {
            Some(v) if !ping => format!("id=<ID>{}", if v.ends_with('\n') { "\n" } else { "" }),
            _ => w.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn mask_event_time(line: &str) -> String {
    let stamp = line.strip_prefix('[').and_then(|l| l.split_once("]\t"));
    match stamp {
        Some((time, rest)) if time.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b' ') => {
            format!("[<TIME>]\t{rest}")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_in_each_format() {
        let line = "[1795452143.004211]\t    [NEW] icmp     1 29 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=7 \
                    packets=1 bytes=84 mark=0 delta-time=3 [start=Mon Nov 23 16:40:43 2026] use=1 id=99 \
                    [USERSPACE] portid=5 progname=x\n";
        assert_eq!(
            Mask::ALL.apply(line),
            "[<TIME>]\t    [NEW] icmp     1 <TIMEOUT> src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=7 \
             packets=<N> bytes=<N> mark=0 delta-time=<DELTA> [start=<CTIME>] use=<USE> id=<ID> \
             [USERSPACE] portid=<PORTID>\n"
        );
        assert_eq!(Mask::NONE.apply(line), line);
        for (text, want) in [
            (
                "ipv4     2 tcp      6 99 ESTABLISHED src=1.1.1.1\n",
                "ipv4     2 tcp      6 <TIMEOUT> ESTABLISHED src=1.1.1.1\n",
            ),
            ("tcp      6 src=1.1.1.1 dst=2.2.2.2\n", "tcp      6 src=1.1.1.1 dst=2.2.2.2\n"),
            ("299 proto=6 src=1.1.1.1 dst=1.1.1.1\n", "<TIMEOUT> proto=6 src=1.1.1.1 dst=1.1.1.1\n"),
            (
                "[NEW] 299 proto=6 src=1.1.1.1 dst=1.1.1.1\n",
                "[NEW] <TIMEOUT> proto=6 src=1.1.1.1 dst=1.1.1.1\n",
            ),
            ("-A -t 99 -u UNSET\n", "-A -t <TIMEOUT> -u UNSET\n"),
            (
                "<timeout>5</timeout><id>7</id><use>2</use>",
                "<timeout><TIMEOUT></timeout><id><ID></id><use><USE></use>",
            ),
            ("<when><hour>1</hour></when></flow>", "<when><WHEN></when></flow>"),
            ("conntrack v1.4.7 (conntrack-tools): 1 x\n", "conntrack v<VERSION> (conntrack-tools): 1 x\n"),
        ] {
            assert_eq!(Mask::ALL.apply(text), want);
        }
    }
}
