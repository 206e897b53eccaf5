//! A command line of nfct after parsing.

use super::table::{Missing, Row};
use crate::fail::{Fail, Name};

/// One word of the command line.
type Word<'a> = &'a [u8];

/// A command and its words, of which there are not too many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// The name by which the program was called.
    pub(super) name: Name,
    /// The row of the command, which says how many words there are at least.
    pub(super) row: &'static Row,
    /// The words after command and subsystem.
    pub(super) words: &'a [Word<'a>],
}

impl<'a> Call<'a> {
    /// The first `N` words, and what follows them.
    ///
    /// # Errors
    /// When there are fewer: what is missing, in the words of the original.
    pub(super) fn first<const N: usize>(&self) -> Result<(&'a [Word<'a>; N], &'a [Word<'a>]), Fail> {
        self.words.split_first_chunk().ok_or_else(|| self.too_few())
    }

    /// The failure of a command with too few words.
    pub(super) fn too_few(&self) -> Fail {
        let row = self.row;
        match row.missing {
            Missing::Name => Fail::runtime(format!("missing {} policy name", row.subsystem())),
            Missing::Syntax => {
                let (name, syntax) = (self.name.nfct(), row.syntax());
                Fail::runtime(format!("missing parameters\nsyntax: {name} {syntax}"))
            }
        }
    }
}
