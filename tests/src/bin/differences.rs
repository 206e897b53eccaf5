//! Prints the table of intended differences for docs/differences.md.

fn main() {
    print!("{}", zct_tests::differences::markdown());
}
