//! A command line of nfct after parsing.

use super::table::Row;
use crate::fail::Name;

/// A command with its words counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// The name by which the program was called.
    pub(super) name: Name,
    /// The row of the command, which says how many words there are at least.
    pub(super) row: &'static Row,
    /// The words after command and subsystem.
    pub(super) words: &'a [&'a [u8]],
}
