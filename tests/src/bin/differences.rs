//! Prints the table of intended differences for README.

fn main() {
    print!("{}", zct_tests::differences::markdown());
}
