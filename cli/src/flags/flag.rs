//! What is said about an option: the kind of a row of the table.

use super::args::Args;
use super::id::Id;
use super::legal::Legal;
use crate::fail::Fail;

/// Whether an option takes a value, and how to record it. The text is what help calls the value.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// It takes no value.
    Nothing(fn(&mut Args)),
    /// It takes a value, attached or as the next word.
    Value(&'static str, fn(&mut Args, &[u8]) -> Result<(), Fail>),
    /// It takes a value if one is attached, or if the next word starts with neither `-` nor `!`.
    Maybe(&'static str, fn(&mut Args, Option<&[u8]>) -> Result<(), Fail>),
}

/// What completions offer for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complete {
    /// Nothing, because no value can be guessed.
    Nothing,
    /// The names of files.
    File,
    /// These words.
    Words(&'static [&'static str]),
    /// The numbers that flows have at this moment: a key of `-L --by`.
    Seen(&'static str),
}

/// The heading under which help shows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Which entries the command is about.
    Selection,
    /// What is changed in an entry.
    Change,
    /// What is printed, and how.
    Display,
    /// Members of an expectation.
    Expectation,
}

/// One option, a row of the table.
#[derive(Debug)]
pub struct Flag {
    /// Which option it is.
    pub id: Id,
    /// The sign by which messages about its value name it; if it is a letter, also its short form.
    pub letter: u8,
    /// Long names. The first is the one that messages use.
    pub names: &'static [&'static str],
    /// Whether it takes a value, and how to record it.
    pub takes: Takes,
    /// The commands that take it, and those that need it.
    pub legal: Legal,
    /// Where help shows it.
    pub section: Section,
    /// One line for `--help` and completions.
    pub brief: &'static str,
    /// More text for the man page; empty when the line says everything.
    pub manual: &'static str,
    /// What completions offer for its value.
    pub complete: Complete,
}

impl Flag {
    /// The letter to type, if it has one. Options with only a long name have a sign that only messages show.
    pub fn short(&self) -> Option<u8> {
        self.letter.is_ascii_alphabetic().then_some(self.letter)
    }
}
