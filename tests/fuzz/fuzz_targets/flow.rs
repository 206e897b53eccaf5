//! The bytes of one message as a flow: every accessor, a request made from what they return, and the same
//! values in JSON, line and saved command.
#![no_main]

#[path = "../../../wire/tests/common/mod.rs"]
mod common;

use common::{agree, check, message, view};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = message::framed(data.to_vec());
    for msg in check::messages(&bytes) {
        view::flow(msg);
        agree::flow(msg);
    }
});
