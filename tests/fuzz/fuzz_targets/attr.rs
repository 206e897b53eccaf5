//! Any bytes as attributes, as a tuple nest, and as a datagram: walks end, what is read can be built again.
#![no_main]

#[path = "../../../wire/tests/common/mod.rs"]
mod common;

use common::view;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    view::attrs(data);
    view::tuple(data);
    view::frames(data);
});
