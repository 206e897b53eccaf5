//! zctd.
fn main() {}
