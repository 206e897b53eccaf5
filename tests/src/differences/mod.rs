//! THE table of intended differences from the installed originals, Debian's conntrack and nfct 1.4.7.
//!
//! The comparisons allow exactly these and fail on anything else; each row that a comparison can trigger
//! has to be seen at least once there. README's table is printed from here:
//! `cargo run -p zct-tests --bin differences`.
//!
//! Ids: `W` numbers are faults that all releases of the original have, `1.4.9` is what a later release of
//! it does, `Z` is what zct adds.

mod ledger;
mod table;

use crate::entries::Entries;
use crate::options::Line;
use crate::program::Output;
pub use ledger::Ledger;
pub use table::{DIFFERENCES, FIRST_OF_TEXTS};

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

/// The table as Markdown.
pub fn markdown() -> String {
    let mut out = String::from("| id | when | original 1.4.7 | zct |\n|---|---|---|---|\n");
    for d in DIFFERENCES {
        out += &format!("| {} | {} | {} | {} |\n", d.id, d.when, d.original, d.ours);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_and_ids_unique() {
        for (i, d) in DIFFERENCES.iter().enumerate() {
            assert!(DIFFERENCES[..i].iter().all(|other| other.id != d.id), "{}", d.id);
            for cell in [d.id, d.when, d.original, d.ours] {
                assert!(!cell.is_empty() && !cell.contains(['|', '\n']) && !cell.ends_with('.'), "{cell}");
            }
            assert_eq!(d.side == Side::Write, d.seen_in == SeenIn::Writes, "{}", d.id);
            let nfct = [SeenIn::Nfct, SeenIn::NfctHelpers].contains(&d.seen_in);
            assert_eq!((d.side == Side::Nfct, d.when.contains("`nfct")), (nfct, nfct), "{}", d.id);
        }
    }

    #[test]
    fn rows_that_no_comparison_triggers_are_named_by_their_test() {
        for d in DIFFERENCES {
            let file = match d.seen_in {
                SeenIn::Events => "events",
                SeenIn::Json => "json",
                SeenIn::Labels => "labels",
                SeenIn::Overrun => "overrun",
                SeenIn::Pipes => "pipes",
                SeenIn::Writes => "writes",
                // Their ledgers tell.
                SeenIn::Differential
                | SeenIn::Getopt
                | SeenIn::Legality
                | SeenIn::Nfct
                | SeenIn::NfctHelpers => continue,
            };
            let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(text.contains(&format!("\"{}\"", d.id)), "{path} says nothing of {}", d.id);
        }
    }
}
