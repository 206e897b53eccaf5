//! `zct`: the conntrack command line.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    zct_engine::default_sigpipe();
    if let Err(why) = zct_engine::trace::follow_environment() {
        zct::fail::warn(format!("zct: {why}").as_bytes());
    }
    let words: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    ExitCode::from(zct::run(&words))
}
