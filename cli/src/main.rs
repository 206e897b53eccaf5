//! zct.
fn main() {}
