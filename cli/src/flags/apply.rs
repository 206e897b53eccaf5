//! A command or an option with its value, recorded in [`Args`].

use super::args::Args;
use super::command::{Command, Table};
use super::flag::Takes;
use super::id::Id;
use super::names::Meaning;
use super::negation;
use super::repeats::Repeats;
use crate::fail::Fail;

/// The words of a command line, and how far they have been read.
pub(super) struct Words<'a> {
    words: &'a [&'a [u8]],
    next: usize,
    pub(super) repeats: Repeats,
}

impl<'a> Words<'a> {
    /// Starts at the first word.
    pub(super) fn new(words: &'a [&'a [u8]]) -> Words<'a> {
        Words { words, next: 0, repeats: Repeats::default() }
    }

    /// The next word, whatever it looks like.
    pub(super) fn take(&mut self) -> Option<&'a [u8]> {
        let word = self.words.get(self.next).copied()?;
        self.next += 1;
        Some(word)
    }

    /// True when the next word looks like an option.
    pub(super) fn is_option_next(&self) -> bool {
        let next = self.words.get(self.next).copied();
        next.is_some_and(|w| w.len() > 1 && w.starts_with(b"-") && w != b"--")
    }

    /// The next word, when it does not look like an option.
    fn take_plain(&mut self) -> Option<&'a [u8]> {
        let word = self.words.get(self.next)?;
        if matches!(word.first(), Some(b'-' | b'!')) {
            return None;
        }
        self.take()
    }
}

/// The failure for a word that means nothing.
pub(super) fn unknown(word: &[u8]) -> Fail {
    Fail::word("unknown option `", word, "'")
}

/// Takes one command or option, whose value is attached to it or is the next word.
pub(super) fn apply(
    meaning: Meaning,
    attached: Option<&[u8]>,
    word: &[u8],
    words: &mut Words<'_>,
    args: &mut Args,
) -> Result<(), Fail> {
    let negated = std::mem::take(&mut args.negates_next);
    let flag = match meaning {
        Meaning::Command(_) if negated => return Err(negation::refused(word)),
        Meaning::Flag(f) if negated && !f.id.can_be_negated() => return Err(negation::refused(word)),
        Meaning::Command(c) if c.takes_table || attached.is_none() => {
            let table = attached.or_else(|| words.take_plain());
            return set_command(c, table, args);
        }
        Meaning::Command(_) => return Err(unknown(word)),
        Meaning::Flag(f) => f,
    };
    match flag.takes {
        Takes::Nothing(_) if attached.is_some() => return Err(unknown(word)),
        Takes::Nothing(set) => set(args),
        Takes::Value(_, set) => {
            let value = attached.or_else(|| words.take());
            let Some(value) = value else {
                return Err(Fail::word("option `", word, "' requires an argument"));
            };
            let counts = negation::set(flag.id, args, value, negated, set)?;
            counts.inspect(|v| words.repeats.note(flag, v));
        }
        Takes::Maybe(_, set) => match attached.or_else(|| words.take_plain()) {
            Some(value) => {
                let counts = negation::set(flag.id, args, value, negated, |a, v| set(a, Some(v)))?;
                counts.inspect(|v| words.repeats.note(flag, v));
            }
            None if negated => negation::exclude(flag.id, args, b"", |a, _| set(a, None))?,
            None => set(args, None)?,
        },
    }
    if flag.id != Id::NatRange {
        args.given.add(flag.id);
    }
    Ok(())
}

/// Takes the command, and its table if there is one.
pub(super) fn set_command(command: &Command, table: Option<&[u8]>, args: &mut Args) -> Result<(), Fail> {
    let table = table.map_or(Ok(Table::Conntrack), Table::parse)?;
    table.check(command.cmd)?;
    // In the order of the original: a bad table word is reported first.
    if args.action.is_some() {
        return Err(Fail::usage("Invalid commands combination"));
    }
    args.action = Some((command.cmd, table));
    Ok(())
}
