//! The machinery of the grammar: blocks of directives from tables, values, and how to continue
//! after an error.
//!
//! One run reports as many errors as can be told apart. After an error the rest of the statement is skipped.
//! Lines count for that although the grammar gives them no meaning, because people put one statement on each.
//! A top-level section that begins inside a block closes all open blocks, which is what was meant if a brace
//! was forgotten.

use super::super::lexer::{Lexer, Token, TokenKind};
use super::super::names::Names;
use super::super::report::{At, FilePlace, Report, Severity, quoted};
use super::words;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A directive of a block: its word, and the function that reads what follows. `None` from `read` means that
/// an error has been reported and the rest of the statement is to be skipped.
pub(super) struct Directive<T> {
    pub(super) word: &'static str,
    pub(super) read: fn(&mut Parser<'_>, &mut T, FilePlace) -> Option<()>,
}

/// A block as messages name it.
#[derive(Clone, Copy)]
pub(super) struct BlockName {
    /// `Mode FTFW`, for example.
    pub(super) name: &'static str,
    /// Where its name is.
    pub(super) place: FilePlace,
}

/// Reads one file.
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Token<'a>,
    pub(super) report: Report,
    /// The line of the word taken last.
    line: u32,
    /// A section has begun inside a block, so every block ends without further errors.
    unwinding: bool,
    /// The last path that ends in a brace, which is probably not part of it.
    swallowed_brace: Option<FilePlace>,
    pub(super) names: Names<'a>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8], names: Names<'a>) -> Self {
        let mut lexer = Lexer::new(text);
        let ahead = lexer.token();
        let report = Report::default();
        Parser { lexer, ahead, report, line: 1, unwinding: false, swallowed_brace: None, names }
    }

    /// The next word, without taking it.
    pub(super) fn peek(&self) -> Token<'a> {
        self.ahead
    }

    /// Takes the next word.
    pub(super) fn take(&mut self) -> Token<'a> {
        self.line = self.ahead.line;
        std::mem::replace(&mut self.ahead, self.lexer.token())
    }

    pub(super) fn error(&mut self, place: FilePlace, text: String) {
        self.report.add(Severity::Error, Some(place), text);
    }

    pub(super) fn cannot_start(&mut self, place: FilePlace, text: String) {
        self.report.add(Severity::CannotStart, Some(place), text);
    }

    pub(super) fn warn(&mut self, place: FilePlace, text: String) {
        self.report.add(Severity::Warning, Some(place), text);
    }

    /// Reports that the next word is not what was expected.
    pub(super) fn unexpected(&mut self, wanted: &str) {
        let t = self.ahead;
        let text = match t.kind {
            TokenKind::End => format!("expected {wanted}, but the file ends here{}", self.hint()),
            TokenKind::Stray if t.text == b"\"" => {
                format!("expected {wanted}, found `\"': nothing is quoted in this file")
            }
            _ => format!("expected {wanted}, found {}", quoted(t.text)),
        };
        self.error(place(&t), text);
    }

    /// Reports that the next word does not begin a statement in `block`.
    pub(super) fn unknown(&mut self, block: &str, known: impl Iterator<Item = &'static str>) {
        let t = self.ahead;
        // In a file that is not a configuration at all, this would be most of the work, and nobody
        // reads the result.
        let text = match self.report.is_full() {
            true => String::new(),
            false => words::not_here(&t, block, &known.collect::<Vec<_>>()),
        };
        self.error(place(&t), text);
    }

    /// What may explain a missing brace.
    fn hint(&self) -> String {
        match self.swallowed_brace {
            Some(p) => format!(
                "; the path in line {} goes up to the next blank, `}}' included: put a blank before it",
                p.line
            ),
            None => String::new(),
        }
    }

    /// Reads `{`, directives from `table` and `}`.
    pub(super) fn block<T>(&mut self, name: BlockName, table: &[Directive<T>], into: &mut T) -> Option<()> {
        self.open(name)?;
        let known = |t: &Token<'_>| table.iter().find(|d| d.word.as_bytes() == t.text);
        while self.goes_on(name) {
            let t = self.ahead;
            let read = match known(&t).filter(|_| t.kind == TokenKind::Word) {
                Some(directive) => {
                    self.take();
                    (directive.read)(self, into, place(&t))
                }
                None => {
                    self.unknown(name.name, table.iter().map(|d| d.word));
                    self.take();
                    None
                }
            };
            if read.is_none() {
                self.skip();
            }
        }
        Some(())
    }

    /// Reads `{`, items and `}`, where an item is a word by itself.
    pub(super) fn list(
        &mut self,
        name: BlockName,
        mut item: impl FnMut(&mut Parser<'a>, Token<'a>) -> Option<()>,
    ) -> Option<()> {
        self.open(name)?;
        while self.goes_on(name) {
            let t = self.ahead;
            if item(self, t).is_none() {
                match self.ahead.kind {
                    TokenKind::Open => self.skip_block(),
                    TokenKind::Close | TokenKind::End => {}
                    _ => {
                        self.take();
                    }
                }
            }
        }
        Some(())
    }

    fn open(&mut self, name: BlockName) -> Option<()> {
        if self.ahead.kind != TokenKind::Open {
            self.unexpected(&format!("`{{' after {}", name.name));
            self.take_if_same_line();
            return None;
        }
        self.take();
        Some(())
    }

    /// False at the end of a block, after taking its brace or reporting that it is missing.
    fn goes_on(&mut self, name: BlockName) -> bool {
        let t = self.ahead;
        match t.kind {
            _ if self.unwinding => false,
            TokenKind::Close => {
                self.take();
                false
            }
            TokenKind::End => {
                let text = format!("the block {} is not closed{}", name.name, self.hint());
                self.error(name.place, text);
                self.unwinding = true;
                false
            }
            TokenKind::Word if words::SECTIONS.iter().any(|s| s.as_bytes() == t.text) => {
                let text = format!(
                    "{} begins inside the block {} of line {}: is a `}}' missing?",
                    quoted(t.text),
                    name.name,
                    name.place.line
                );
                self.error(place(&t), text);
                self.unwinding = true;
                false
            }
            _ => true,
        }
    }

    /// Takes a word that was unexpected, if its line suggests that it was meant to be the expected one.
    fn take_if_same_line(&mut self) {
        if self.ahead.kind == TokenKind::Word && self.ahead.line == self.line {
            self.take();
        }
    }

    /// Skips the rest of a statement: up to a closing brace, the end of a block that belongs to it, a word
    /// that begins a directive, or any word on a new line.
    pub(super) fn skip(&mut self) {
        let line = self.line;
        loop {
            let t = self.ahead;
            match t.kind {
                TokenKind::Close | TokenKind::End => return,
                TokenKind::Open => return self.skip_block(),
                TokenKind::Word if t.line > line || words::may_begin(t.text) => return,
                _ => {
                    self.take();
                }
            }
        }
    }

    /// Skips a block and the blocks inside it, but stops before a section.
    fn skip_block(&mut self) {
        let mut depth = 0u32;
        loop {
            match self.ahead.kind {
                TokenKind::End => return,
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                _ => {}
            }
            self.take();
            if depth == 0 {
                return;
            }
        }
    }

    /// At the top level again: all blocks have been closed.
    pub(super) fn at_top(&mut self) {
        self.unwinding = false;
    }

    /// A number within `range`.
    pub(super) fn number(
        &mut self,
        at: FilePlace,
        word: &str,
        range: RangeInclusive<u32>,
    ) -> Option<At<u32>> {
        self.plain_number(word, TokenKind::Number, range).map(|value| At { value, place: at })
    }

    /// A number with a sign.
    pub(super) fn signed(
        &mut self,
        at: FilePlace,
        word: &str,
        range: RangeInclusive<i32>,
    ) -> Option<At<i32>> {
        self.plain_number(word, TokenKind::Signed, range).map(|value| At { value, place: at })
    }

    /// A number within `range` and nothing else. A unit written right after it, for example, becomes part of
    /// what the error names.
    fn plain_number<N>(&mut self, word: &str, kind: TokenKind, range: RangeInclusive<N>) -> Option<N>
    where
        N: FromStr + PartialOrd + Display,
    {
        let t = self.ahead;
        let (min, max) = (range.start(), range.end());
        if t.kind != kind {
            let sign = if kind == TokenKind::Signed { " with a sign" } else { "" };
            self.unexpected(&format!("a number{sign} from {min} to {max} after {word}"));
            return None;
        }
        self.take();
        let glued = self.glued(&t);
        let text = glued.as_deref().unwrap_or(t.text);
        let value = std::str::from_utf8(text).ok().and_then(|s| s.parse::<N>().ok());
        let value = value.filter(|v| range.contains(v));
        if value.is_none() {
            let text = format!("{word} is a number from {min} to {max}, not {}", quoted(text));
            self.error(place(&t), text);
        }
        value
    }

    /// A word together with what follows it without a blank, unless that is a brace or a directive:
    /// `HashSize 1HashLimit 2` is two settings, here as in the original.
    fn glued(&mut self, first: &Token<'a>) -> Option<Vec<u8>> {
        let mut whole = None;
        let mut last = *first;
        loop {
            let t = self.ahead;
            let end = last.column.saturating_add(u32::try_from(last.text.len()).unwrap_or(u32::MAX));
            let behind = (t.line, t.column) == (last.line, end);
            let its_own =
                matches!(t.kind, TokenKind::Open | TokenKind::Close | TokenKind::End) || words::begins(&t);
            if !behind || its_own {
                return whole;
            }
            whole.get_or_insert_with(|| first.text.to_vec()).extend_from_slice(t.text);
            last = self.take();
        }
    }

    /// Takes everything up to the next blank, brace or directive, and says where it was.
    pub(super) fn whole(&mut self, wanted: &str) -> Option<(FilePlace, Vec<u8>)> {
        let t = self.ahead;
        if matches!(t.kind, TokenKind::Open | TokenKind::Close | TokenKind::End) {
            self.unexpected(wanted);
            return None;
        }
        self.take();
        Some((place(&t), self.glued(&t).unwrap_or_else(|| t.text.to_vec())))
    }

    /// Takes `on`, `yes`, `off` or `no` in any letter case, if that comes next.
    pub(super) fn try_switch(&mut self) -> Option<bool> {
        let value = words::switch(&self.ahead)?;
        self.take();
        Some(value)
    }

    /// Sets what an on/off word says, if one comes next; false otherwise.
    pub(super) fn try_switch_at(&mut self, setting: &mut Option<At<bool>>, place: FilePlace) -> bool {
        match self.try_switch() {
            Some(value) => {
                *setting = Some(At { value, place });
                true
            }
            None => false,
        }
    }

    /// Takes `on`, `yes`, `off` or `no`, or reports an error.
    pub(super) fn switch(&mut self, place: FilePlace, word: &str) -> Option<At<bool>> {
        let Some(value) = self.try_switch() else {
            self.unexpected(&format!("on or off after {word}"));
            return None;
        };
        Some(At { value, place })
    }

    /// A path of at most `max` bytes.
    pub(super) fn path(&mut self, word: &str, wanted: &str, max: usize) -> Option<&'a [u8]> {
        let t = self.ahead;
        if t.kind != TokenKind::Path {
            self.unexpected(&format!("{wanted} after {word}"));
            return None;
        }
        self.take();
        if t.text.ends_with(b"}") {
            self.swallowed_brace = Some(place(&t));
        }
        if t.text.len() > max {
            let text = format!("the path of {word} is longer than {max} bytes: {}", quoted(t.text));
            self.error(place(&t), text);
            return None;
        }
        Some(t.text)
    }

    /// A name that the configuration language defines: a facility, a scheduler, a protocol.
    pub(super) fn name(&mut self, word: &str, wanted: &str) -> Option<&'a str> {
        let t = self.ahead;
        self.name_if(t.kind == TokenKind::Word && !words::is_keyword(t.text), word, wanted)
    }

    /// The name of something outside the language: an interface, a helper.
    ///
    /// The original reads names of one to four hexadecimal digits (`fe0`) as addresses and refuses them. Here
    /// they are names if they begin with a letter.
    pub(super) fn outside_name(&mut self, word: &str, wanted: &str) -> Option<&'a str> {
        let t = self.ahead;
        let hex = t.kind == TokenKind::Address
            && t.text.iter().all(u8::is_ascii_hexdigit)
            && t.text.first().is_some_and(u8::is_ascii_alphabetic);
        self.name_if(hex || (t.kind == TokenKind::Word && !words::is_keyword(t.text)), word, wanted)
    }

    fn name_if(&mut self, usable: bool, word: &str, wanted: &str) -> Option<&'a str> {
        let t = self.ahead;
        match std::str::from_utf8(t.text) {
            Ok(name) if usable => {
                self.take();
                Some(name)
            }
            _ if t.kind == TokenKind::Word => {
                let text = format!(
                    "expected {wanted} after {word}, found {}, which is a word of the configuration language",
                    quoted(t.text)
                );
                self.error(place(&t), text);
                self.take_if_same_line();
                None
            }
            _ => {
                self.unexpected(&format!("{wanted} after {word}"));
                None
            }
        }
    }
}

/// Where a word is.
pub(super) fn place(t: &Token<'_>) -> FilePlace {
    FilePlace { line: t.line, column: t.column }
}
