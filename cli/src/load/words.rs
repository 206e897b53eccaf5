//! The words of a line of a batch file (command-line.md §6).

use crate::fail::Fail;
use memchr::memchr2;

/// The most words a line may have.
const WORDS_MAX: usize = 253;
/// The most bytes a word may have.
const WORD_MAX: usize = 1023;

/// Splits lines. Words without quotes are borrowed from the line; quoted ones are put together here.
///
/// # Allocation
/// The buffers grow to the longest line and are used again.
#[derive(Debug, Default)]
pub struct Splitter {
    unquoted: Vec<u8>,
    /// Where each word is: in the line, or in `unquoted`.
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    quoted: bool,
    start: usize,
    end: usize,
}

impl Splitter {
    /// True for lines without a command: empty lines, and comments.
    pub fn is_blank(line: &[u8]) -> bool {
        let first = line.iter().find(|b| !matches!(b, b' ' | b'\t'));
        matches!(first, None | Some(b'\n' | b'#'))
    }

    /// Finds the words. They end at blanks, tabs and newlines; double quotes group, and inside them the byte
    /// after a backslash is taken literally. A closing quote ends the word.
    ///
    /// # Errors
    /// A failure in the original's words for too many words, or one that is too long.
    pub fn split<'a>(&'a mut self, line: &'a [u8]) -> Result<impl Iterator<Item = &'a [u8]>, Fail> {
        self.unquoted.clear();
        self.spans.clear();
        let is_blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n');
        let mut at = 0;
        while at < line.len() {
            if is_blank(&line[at]) {
                at += 1;
                continue;
            }
            let end = at + line[at..].iter().take_while(|b| !is_blank(b) && **b != b'"').count();
            let span = if line.get(end) == Some(&b'"') {
                let (span, after) = self.unquote(line, at, end);
                at = after;
                span
            } else {
                let span = Span { quoted: false, start: at, end };
                at = end;
                span
            };
            if span.end - span.start > WORD_MAX {
                return Err(Fail::usage("Parameter too long!"));
            }
            if self.spans.len() == WORDS_MAX {
                return Err(Fail::usage("too many arguments"));
            }
            self.spans.push(span);
        }
        let (unquoted, spans) = (&self.unquoted[..], &self.spans[..]);
        Ok(spans.iter().map(move |s| {
            let text = if s.quoted { unquoted } else { line };
            &text[s.start..s.end]
        }))
    }

    /// Puts together a word that runs into a quote at `quote`; returns it and where the line goes on.
    fn unquote(&mut self, line: &[u8], start: usize, quote: usize) -> (Span, usize) {
        let begin = self.unquoted.len();
        self.unquoted.extend_from_slice(&line[start..quote]);
        let mut at = quote + 1;
        // A quote that is not closed reaches to the end of the line.
        while let Some(plain) = line.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr2(b'"', b'\\', plain).unwrap_or(plain.len());
            self.unquoted.extend_from_slice(&plain[..length]);
            at += length + 1;
            if plain.get(length) != Some(&b'\\') {
                break;
            }
            self.unquoted.extend(line.get(at));
            at += 1;
        }
        (Span { quoted: true, start: begin, end: self.unquoted.len() }, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, Fail> {
        let mut s = Splitter::default();
        let words = s.split(line.as_bytes())?;
        Ok(words.map(|w| String::from_utf8(w.to_vec()).unwrap()).collect())
    }

    #[test]
    fn blanks_quotes_and_backslashes() {
        for (line, want) in [
            ("-D -s\t1.1.1.1\n", vec!["-D", "-s", "1.1.1.1"]),
            ("  \"a b\" c\n", vec!["a b", "c"]),
            ("\"\"\n", vec![""]),
            ("a\"b c\"d\n", vec!["ab c", "d"]),
            (r#""a\"b\\" \x"#, vec!["a\"b\\", r"\x"]),
            ("\"open end\n", vec!["open end\n"]),
            ("tcp\r\n", vec!["tcp\r"]),
            ("", vec![]),
        ] {
            assert_eq!(words(line).unwrap(), want, "{line:?}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(words(&"a ".repeat(253)).unwrap().len(), 253);
        assert_eq!(words(&"a ".repeat(254)), Err(Fail::usage("too many arguments")));
        assert!(words(&"x".repeat(1023)).is_ok());
        assert_eq!(words(&"x".repeat(1024)), Err(Fail::usage("Parameter too long!")));
        assert_eq!(words(&format!("\"{}\"", "x".repeat(1024))), Err(Fail::usage("Parameter too long!")));
    }

    #[test]
    fn lines_that_say_nothing() {
        for blank in ["", "\n", " \t\n", "# x\n", "  # -F\n"] {
            assert!(Splitter::is_blank(blank.as_bytes()), "{blank:?}");
        }
        assert!(!Splitter::is_blank(b"-F # x\n"));
    }
}
