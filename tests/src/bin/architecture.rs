//! Prints the picture of `docs/architecture.md`.

use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    print!("{}", zct_tests::picture::svg(root));
}
