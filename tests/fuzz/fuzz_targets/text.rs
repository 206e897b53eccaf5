//! The bytes of one message through every renderer: texts are well formed, and a buffer that is too small
//! (the input chooses its size) is reported as such, with what was in it left alone.
#![no_main]

#[path = "../../../wire/tests/common/mod.rs"]
mod common;

use common::{check, message, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first two bytes are the size; the interesting ones are near that of the text.
    let Some((size, data)) = data.split_first_chunk() else { return };
    let size = usize::from(u16::from_le_bytes(*size));
    let bytes = message::framed(data.to_vec());
    for msg in check::messages(&bytes) {
        for r in render::all() {
            check::text(r, msg, |len| [size % (len + 1), len.saturating_sub(size % 9), len + size % 40]);
        }
    }
});
