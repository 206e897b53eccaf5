//! What a row of the table is, and what its rule works on.

use crate::entries::Entries;
use crate::options::Line;
use crate::program::Output;

/// Whether a difference shows when the table is read, or only when it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `-L -G -C -S -E`, and what is said before a command does anything.
    Read,
    /// `-I -A -U -D -F -R`.
    Write,
    /// Neither: the commands of nfct, which have no flow table to read or change.
    Nfct,
}

/// The test in which a difference has to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenIn {
    /// `tests/differential.rs`.
    Differential,
    /// `tests/getopt.rs`.
    Getopt,
    /// `tests/legality.rs`.
    Legality,
    /// `tests/events.rs`.
    Events,
    /// `tests/overrun.rs`.
    Overrun,
    /// `tests/json.rs`.
    Json,
    /// `tests/labels.rs`.
    Labels,
    /// `tests/pipes.rs`.
    Pipes,
    /// The tests of the commands that change the table.
    Writes,
    /// `tests/nfct.rs`.
    Nfct,
    /// The test there that needs a machine of its own, whose kernel has helpers in user space.
    NfctHelpers,
}

/// What zct has to print where the original prints something else.
pub struct Expected<'a> {
    /// The command line; a rule may replace it by one that means for the original what it means for zct.
    pub line: Line,
    /// What the original printed, corrected by the rules so far.
    pub output: Output,
    /// What zct printed: for what cannot be known from the original, such as the end of a line that it cut.
    pub ours: &'a Output,
    /// How many words are read before a mistake ends the command, where a rule knows better than the
    /// original.
    pub read: Option<usize>,
    /// A word that was taken apart for the original, as its messages and as ours name it.
    pub renamed: Option<(String, String)>,
    /// Entries that are taken away when all that is selected has been found.
    pub left_out: Vec<Entries>,
    /// The rows whose rules say what is listed, for a rule that needs what another line selects.
    pub listing: &'static [Difference],
    /// Runs the original with other words.
    pub ask: &'a mut dyn FnMut(&Line) -> Output,
}

/// Corrects [`Expected`]; false when the command line does not trigger the difference.
pub type Rule = fn(&mut Expected<'_>) -> bool;

/// One intended difference.
pub struct Difference {
    /// Its id, unique.
    pub id: &'static str,
    /// Read or write.
    pub side: Side,
    /// What triggers it.
    pub when: &'static str,
    /// What the original does.
    pub original: &'static str,
    /// What zct does.
    pub ours: &'static str,
    /// Where it has to be seen.
    pub seen_in: SeenIn,
    /// How it changes what is expected of a command that ends by itself; `None`: the test has its own way.
    pub rule: Option<Rule>,
}
