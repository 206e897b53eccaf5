//! Prints the table of intended differences for the README.

fn main() {
    print!("{}", zct_tests::differences::markdown());
}
