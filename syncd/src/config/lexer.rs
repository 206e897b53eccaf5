//! The words of a configuration file, with their places (conntrackd.md §5.1).
//!
//! The original takes the longest piece that fits any of its patterns, and the patterns are peculiar: a word
//! of one to four hexadecimal digits is an address, and `0x10` is the number 0 and the word `x10`. Some files
//! rely on that (`HashSize 1HashLimit 2` is two settings), so the same rule is used here. Where the original
//! silently stops reading (a byte above 127, or a NUL, outside comments and paths ends the file for it), this
//! lexer returns [`TokenKind::Stray`] and goes on.

use memchr::memchr;

/// What kind of word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A letter, then letters, digits, `.`, `-` and `_`: a keyword or a name.
    Word,
    /// A run of decimal digits.
    Number,
    /// `+` or `-` and digits.
    Signed,
    /// From `/` to the next white space or quote.
    Path,
    /// Something like an address, with or without `/LENGTH`. Most texts of this form are not addresses.
    Address,
    /// `{`
    Open,
    /// `}`
    Close,
    /// A byte that cannot begin a word.
    Stray,
    /// The end of the file.
    End,
}

/// A word, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What kind of word it is.
    pub kind: TokenKind,
    /// The bytes of the word; empty at the end.
    pub text: &'a [u8],
    /// The line, counted from 1.
    pub line: u32,
    /// The column in bytes, counted from 1.
    pub column: u32,
}

/// Reads one word after another. Takes time linear in the length of the text, whatever it contains.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    rest: &'a [u8],
    line: u32,
    column: u32,
}

impl<'a> Lexer<'a> {
    /// Reads `text` from its start.
    pub fn new(text: &'a [u8]) -> Self {
        Lexer { rest: text, line: 1, column: 1 }
    }

    /// The next word; once the text is used up, always [`TokenKind::End`].
    pub fn token(&mut self) -> Token<'a> {
        self.skip_blank();
        let Some(first) = self.rest.first() else {
            return Token { kind: TokenKind::End, text: b"", line: self.line, column: self.column };
        };
        let (kind, len) = match first {
            b'{' => (TokenKind::Open, 1),
            b'}' => (TokenKind::Close, 1),
            b'/' => (TokenKind::Path, path(self.rest)),
            b'+' | b'-' => match digits(&self.rest[1..]) {
                0 => (TokenKind::Stray, 1),
                n => (TokenKind::Signed, 1 + n),
            },
            _ => longest(self.rest),
        };
        let (text, rest) = self.rest.split_at(len);
        let token = Token { kind, text, line: self.line, column: self.column };
        self.rest = rest;
        self.column = self.column.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        token
    }

    /// Skips white space and comments. The original refuses a comment that ends the file without a newline;
    /// here it is a comment.
    fn skip_blank(&mut self) {
        while let Some(first) = self.rest.first() {
            match first {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.column = 1;
                    self.rest = &self.rest[1..];
                }
                b' ' | b'\t' | b'\r' => {
                    self.column = self.column.saturating_add(1);
                    self.rest = &self.rest[1..];
                }
                b'#' => {
                    let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                _ => break,
            }
        }
    }
}

/// The longest of number, address and name; if two are equally long, the one named first.
fn longest(text: &[u8]) -> (TokenKind, usize) {
    let candidates = [
        (TokenKind::Number, digits(text)),
        (TokenKind::Address, ipv4(text).max(ipv6_groups(text)).max(ipv6_gap(text))),
        (TokenKind::Word, name(text)),
    ];
    let mut best = (TokenKind::Stray, 0);
    for c in candidates {
        if c.1 > best.1 {
            best = c;
        }
    }
    if best.1 == 0 { (TokenKind::Stray, 1) } else { best }
}

/// Length of the run of digits in front.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Length of a path. TAB and CR end it; the original makes them part of the name, which nobody intends.
fn path(text: &[u8]) -> usize {
    text.iter().position(|b| matches!(b, b' ' | b'\n' | b'\t' | b'\r' | b'"')).unwrap_or(text.len())
}

/// Length of a name.
fn name(text: &[u8]) -> usize {
    if !text.first().is_some_and(u8::is_ascii_alphabetic) {
        return 0;
    }
    text.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')).count()
}

/// The length including a `/DIGITS` that follows, if there is one.
fn with_length(text: &[u8], at: usize) -> usize {
    match text.get(at..) {
        Some([b'/', rest @ ..]) if digits(rest) > 0 => at + 1 + digits(rest),
        _ => at,
    }
}

/// Length of four numbers of any size with dots between them.
fn ipv4(text: &[u8]) -> usize {
    let mut at = digits(text);
    if at == 0 {
        return 0;
    }
    for _ in 0..3 {
        let Some([b'.', rest @ ..]) = text.get(at..) else { return 0 };
        match digits(rest) {
            0 => return 0,
            n => at += 1 + n,
        }
    }
    with_length(text, at)
}

/// Length of the hexadecimal digits in front, at most four.
fn hex4(text: &[u8]) -> usize {
    text.iter().take(4).take_while(|b| b.is_ascii_hexdigit()).count()
}

/// Length of one to eight groups with single colons between them.
fn ipv6_groups(text: &[u8]) -> usize {
    let mut at = hex4(text);
    if at == 0 {
        return 0;
    }
    for _ in 0..7 {
        match text.get(at..) {
            Some([b':', rest @ ..]) if hex4(rest) > 0 => at += 1 + hex4(rest),
            _ => break,
        }
    }
    with_length(text, at)
}

/// Length of `::` with up to seven groups on each side. In this pattern of the original a colon between
/// groups is optional, so that `12345::1` is one word.
fn ipv6_gap(text: &[u8]) -> usize {
    let mut at = 0;
    for parts in 0..=7 {
        if text[at..].starts_with(b"::") {
            // The first of three colons can belong to the group before them, and the longest piece wins.
            if parts > 0 && text[at..].starts_with(b":::") {
                at += 1;
            }
            at += 2;
            for _ in 0..7 {
                match hex4(&text[at..]) {
                    0 => break,
                    n => at += n + usize::from(text.get(at + n) == Some(&b':')),
                }
            }
            return with_length(text, at);
        }
        match hex4(&text[at..]) {
            0 => return 0,
            n => at += n,
        }
        // A single colon belongs to its group; a pair is the gap, which the next round finds.
        if text.get(at) == Some(&b':') && text.get(at + 1) != Some(&b':') {
            at += 1;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(TokenKind, String)> {
        let mut lexer = Lexer::new(text.as_bytes());
        std::iter::from_fn(|| {
            let t = lexer.token();
            (t.kind != TokenKind::End).then(|| (t.kind, String::from_utf8_lossy(t.text).into_owned()))
        })
        .collect()
    }

    /// The first word of each text, as conntrackd 1.4.7 quotes it in its error message.
    #[test]
    fn words_end_where_the_original_ends_them() {
        for (text, kind, first) in [
            ("1.2.3.4.5", TokenKind::Address, "1.2.3.4"),
            ("1.2.3.4/5/6", TokenKind::Address, "1.2.3.4/5"),
            ("1.2.3.4/", TokenKind::Address, "1.2.3.4"),
            ("1111.2.3.4", TokenKind::Address, "1111.2.3.4"),
            ("1.2.3", TokenKind::Number, "1"),
            ("0x10", TokenKind::Number, "0"),
            ("1a", TokenKind::Address, "1a"),
            ("12345", TokenKind::Number, "12345"),
            ("12345a", TokenKind::Number, "12345"),
            ("1234a", TokenKind::Number, "1234"),
            ("123ab", TokenKind::Address, "123a"),
            ("123ab::1", TokenKind::Address, "123ab::1"),
            ("fe0", TokenKind::Address, "fe0"),
            ("fe0g", TokenKind::Word, "fe0g"),
            ("fe0/24", TokenKind::Address, "fe0/24"),
            ("12/24", TokenKind::Address, "12/24"),
            ("abcde", TokenKind::Word, "abcde"),
            ("abcd:", TokenKind::Address, "abcd"),
            ("abcde:", TokenKind::Word, "abcde"),
            ("abcd:ef", TokenKind::Address, "abcd:ef"),
            ("abcdef:1", TokenKind::Word, "abcdef"),
            ("abcdef::1", TokenKind::Address, "abcdef::1"),
            ("::", TokenKind::Address, "::"),
            (":::", TokenKind::Address, "::"),
            (":1", TokenKind::Stray, ":"),
            ("1:", TokenKind::Number, "1"),
            ("1::", TokenKind::Address, "1::"),
            ("1:::2", TokenKind::Address, "1:::2"),
            ("1::2::3", TokenKind::Address, "1::2:"),
            ("1::2:/7", TokenKind::Address, "1::2:/7"),
            ("1:2:/7", TokenKind::Address, "1:2"),
            ("1:2:3:4:5:6:7:8:9", TokenKind::Address, "1:2:3:4:5:6:7:8"),
            ("1:2:3:4:5:6:7:8::", TokenKind::Address, "1:2:3:4:5:6:7:8"),
            ("1:2:3:4:5:6:7::", TokenKind::Address, "1:2:3:4:5:6:7::"),
            ("::1:2:3:4:5:6:7:8", TokenKind::Address, "::1:2:3:4:5:6:7:"),
            ("12345::1", TokenKind::Address, "12345::1"),
            ("1::123456/7", TokenKind::Address, "1::123456/7"),
            ("1234567890123456789012345678::", TokenKind::Address, "1234567890123456789012345678::"),
            ("12345678901234567890123456789::", TokenKind::Number, "12345678901234567890123456789"),
            ("fe80::1%eth0", TokenKind::Address, "fe80::1"),
            ("fe80::1.2.3.4", TokenKind::Address, "fe80::1"),
            ("::ffff:1.2.3.4", TokenKind::Address, "::ffff:1"),
            ("eth0.100", TokenKind::Word, "eth0.100"),
            ("eth0:1", TokenKind::Word, "eth0"),
            ("a1.b-c_d+", TokenKind::Word, "a1.b-c_d"),
            ("_a", TokenKind::Stray, "_"),
            ("-a", TokenKind::Stray, "-"),
            ("-1.5", TokenKind::Signed, "-1"),
            ("+7x", TokenKind::Signed, "+7"),
            ("/a{b}#c\"", TokenKind::Path, "/a{b}#c"),
            ("\u{a0}", TokenKind::Stray, "\u{fffd}"),
        ] {
            assert_eq!(words(text).first(), Some(&(kind, first.to_owned())), "{text}");
        }
    }

    #[test]
    fn words_need_no_blanks_between_them() {
        let kinds = |text| words(text).into_iter().map(|(k, _)| k).collect::<Vec<_>>();
        use TokenKind::{Close, Number, Open, Word};
        assert_eq!(kinds("General{HashSize 1HashLimit 2}"), [Word, Open, Word, Number, Word, Number, Close]);
        assert_eq!(kinds("go#b }\n}# last"), [Word, Close]);
        assert_eq!(kinds("Path /x\t# note"), [Word, TokenKind::Path]);
        assert_eq!(kinds("Path /x\r\n}"), [Word, TokenKind::Path, Close]);
    }

    #[test]
    fn places_are_lines_and_columns() {
        let mut lexer = Lexer::new(b"a {\n\t# c\n  b");
        let mut place = || {
            let t = lexer.token();
            (t.line, t.column)
        };
        assert_eq!([place(), place(), place(), place(), place()], [(1, 1), (1, 3), (3, 3), (3, 4), (3, 4)]);
    }
}
