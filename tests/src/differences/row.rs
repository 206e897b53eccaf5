//! What a row of the table is, and what its rule works on.

use crate::entries::Entries;
use crate::options::Line;
use crate::program::Output;

/// Whether a difference shows when the table is read, or only when it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `-L -G -C -S -E`, and what is printed before a command does anything.
    Read,
    /// The commands `-I -A -U -D -F -R`.
    Write,
    /// Neither: nfct has no flow table to read or change.
    Nfct,
    /// Neither: the helpers of conntrackd and zctd.
    Daemon,
}

/// The test that has to see a difference.
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
    /// `tests/groups.rs`.
    Groups,
    /// `tests/labels.rs`.
    Labels,
    /// `tests/pipes.rs`.
    Pipes,
    /// The tests of the commands that change the table.
    Writes,
    /// `tests/nfct.rs`.
    Nfct,
    /// The test in `tests/nfct.rs` that needs a machine of its own, whose kernel has user-space helpers.
    NfctHelpers,
    /// `kernels/helpers.sh`, in a virtual machine.
    Kernels,
}

/// What zct has to print where the original prints something else.
pub struct Expected<'a> {
    /// The command line; a rule may replace it by one that makes the original do what zct does here.
    pub line: Line,
    /// What the original printed, as corrected by the rules so far.
    pub output: Output,
    /// What zct printed: for what the original cannot tell, such as the end of a line that it cut.
    pub ours: &'a Output,
    /// How many words are read before a mistake ends the command, where a rule knows this better
    /// than the original.
    pub read: Option<usize>,
    /// A word that was split for the original: the original's name for it in messages, and ours.
    pub renamed: Option<(String, String)>,
    /// True when the entries are to be counted in the end, and not shown.
    pub counted: bool,
    /// Entries to be removed once everything that is selected has been found.
    pub left_out: Vec<Entries>,
    /// The rows whose rules decide what is listed, for a rule that needs to know what another line selects.
    pub listing: &'static [Difference],
    /// Runs the original with other words.
    pub ask: &'a mut dyn FnMut(&Line) -> Output,
}

/// Corrects an [`Expected`]; returns false when the command line does not trigger the difference.
pub type Rule = fn(&mut Expected<'_>) -> bool;

/// An intended difference: a row of the table.
pub struct Difference {
    /// Its unique id.
    pub id: &'static str,
    /// Whether it shows in reading or in changing.
    pub side: Side,
    /// What triggers it.
    pub when: &'static str,
    /// What the original does.
    pub original: &'static str,
    /// What zct does.
    pub ours: &'static str,
    /// The test that has to see it.
    pub seen_in: SeenIn,
    /// Corrects what is expected of a command that ends by itself; `None` when the test has its own way.
    pub rule: Option<Rule>,
}
