//! Whether two listings say the same: a digest that ignores the order and the seconds a flow has left.

use memchr::memmem::Finder;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead};

/// What stands in front of the seconds left, in the formats that name them: XML, saved lines, JSON.
const MARKS: [&str; 3] = ["<timeout>", " -t ", "\"timeout\":"];

/// The number of lines in a listing, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many lines were read.
    pub lines: u64,
    sum: u64,
}

/// Reads a listing in any of the formats.
///
/// # Errors
/// Those of the reader.
pub fn digest(mut listing: impl BufRead) -> io::Result<Digest> {
    let (mut all, mut line) = (Digest::default(), Vec::new());
    let marks = MARKS.map(Finder::new);
    while listing.read_until(b'\n', &mut line)? > 0 {
        let (before, after) = around_timeout(&line, &marks);
        let mut hasher = DefaultHasher::new();
        (before, after).hash(&mut hasher);
        all.lines += 1;
        all.sum = all.sum.wrapping_add(hasher.finish());
        line.clear();
    }
    Ok(all)
}

/// The parts of a line before and after the seconds that a flow has left.
fn around_timeout<'a>(line: &'a [u8], marks: &[Finder<'_>]) -> (&'a [u8], &'a [u8]) {
    for mark in marks {
        if let Some(at) = mark.find(line) {
            return split_number(line, at + mark.needle().len());
        }
    }
    // `tcp 6 30000 ESTABLISHED`, with another name and number in front when extended: the last number before
    // the first word with a `=` or letters.
    let (mut at, mut last) = (0, None);
    for word in line.split(|b| *b == b' ') {
        if !word.is_empty() && word.iter().all(u8::is_ascii_digit) {
            last = Some(at);
        } else if word.contains(&b'=') {
            break;
        }
        at += word.len() + 1;
    }
    last.map_or((line, &[]), |at| split_number(line, at))
}

fn split_number(line: &[u8], at: usize) -> (&[u8], &[u8]) {
    let rest = &line[at..];
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    (&line[..at], &rest[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Digest {
        digest(text.as_bytes()).unwrap()
    }

    #[test]
    fn order_and_timeout_do_not_count_and_everything_else_does() {
        let line = "tcp      6 30500 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 mark=0 use=1\n";
        let udp = "ipv4     2 udp      17 77 src=1.1.1.1 dst=2.2.2.2 mark=0\n";
        let xml = "<flow><meta><timeout>500</timeout></meta></flow>\n";
        let save = "-A -s 1.1.1.1 -t 500 -m 1\n";
        for (l, from, to) in [(line, "30500", "499"), (udp, "77", "6"), (xml, "500", "1"), (save, "500", "1")]
        {
            assert_eq!(of(l), of(&l.replace(from, to)), "{l}");
            assert_ne!(of(l), of(&l.replace("1.1", "1.2").replace("flow", "glow")), "{l}");
        }
        assert_eq!(of(&format!("{line}{udp}")), of(&format!("{udp}{line}")));
        assert_ne!(of(line), of(&format!("{line}{line}")));
        assert_ne!(of(line), of(&line.replace("6 30500", "7 30500")));
    }
}
