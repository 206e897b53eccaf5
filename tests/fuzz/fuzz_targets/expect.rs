//! The bytes of one message as an expectation: every accessor, and the same values in JSON and in the line.
//! Also as counters, whose messages are read by the same walk.
#![no_main]

#[path = "../../../wire/tests/common/mod.rs"]
mod common;

use common::{agree, check, message, view};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = message::framed(data.to_vec());
    for msg in check::messages(&bytes) {
        view::expect(msg);
        view::stats(msg);
        agree::expect(msg);
    }
});
