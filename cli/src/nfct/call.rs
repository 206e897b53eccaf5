//! What a command line of nfct comes to.

use super::table::Row;
use crate::fail::Name;

/// A command with its words counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// What the program was called as.
    pub(super) name: Name,
    /// The command; it says how many words there are at least.
    pub(super) row: &'static Row,
    /// The words after command and subsystem.
    pub(super) words: &'a [&'a [u8]],
}
