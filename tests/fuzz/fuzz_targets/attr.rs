//! Any bytes as attributes, as a nested tuple and as a datagram: walks end, and what was read can
//! be built again.
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
