//! The table of intended differences from the installed originals, Debian's conntrack and nfct 1.4.7.
//!
//! The comparisons allow exactly these and fail on anything else, and each row that a comparison can trigger
//! has to be seen there at least once. The table of docs/differences.md is printed from this one:
//! `cargo run -p zct-tests --bin differences`.
//!
//! Ids that begin with `W` are faults that all releases of the original have, `1.4.9` is what that later
//! release does, and `Z` is what zct adds.

mod ledger;
mod row;
mod table;

pub use ledger::Ledger;
pub use row::{Difference, Expected, Rule, SeenIn, Side};
pub use table::{DIFFERENCES, FIRST_OF_TEXTS, listing};

/// Renders the table as Markdown.
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
    fn what_a_virtual_machine_may_show_is_in_the_table() {
        let script = include_str!("../../kernels/helpers.sh");
        let named: std::collections::BTreeSet<_> =
            script.split('"').filter(|w| w.starts_with("Z helpers ")).collect();
        let rows = DIFFERENCES.iter().filter(|d| d.seen_in == SeenIn::Kernels).map(|d| d.id).collect();
        assert_eq!(named, rows);
    }

    #[test]
    fn rows_that_no_comparison_triggers_are_named_by_their_test() {
        for d in DIFFERENCES {
            let file = match d.seen_in {
                SeenIn::Events => "events",
                SeenIn::Json => "json",
                SeenIn::Groups => "groups",
                SeenIn::Labels => "labels",
                SeenIn::Overrun => "overrun",
                SeenIn::Pipes => "pipes",
                SeenIn::Writes => "writes",
                // The ledgers of these tests say whether it was seen.
                SeenIn::Differential
                | SeenIn::Getopt
                | SeenIn::Legality
                | SeenIn::Nfct
                | SeenIn::NfctHelpers => continue,
                SeenIn::Kernels => "kernels/helpers.sh",
            };
            let file = if file.contains('.') { file.into() } else { format!("tests/{file}.rs") };
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(text.contains(&format!("\"{}\"", d.id)), "{path} says nothing of {}", d.id);
        }
    }
}
