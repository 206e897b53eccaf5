//! nfct: timeout policies and userspace helpers, as `nfct` or as `zct nfct` (spec/helpers-nfct.md §4).

pub mod complete;
pub mod help;
mod helper;
mod kernel;
pub mod known;
pub mod man;
mod parse;
pub mod table;
mod timeout;
pub mod values;

use crate::commands::output_failed;
use crate::fail::{Fail, Name};
use parse::Wanted;
use std::io::Write as _;
use table::Row;

/// A command with its words counted.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What the program was called as.
    pub name: Name,
    /// The command; it says how many words there are at least.
    pub row: &'static Row,
    /// The words after command and subsystem.
    pub words: &'a [&'a [u8]],
}

/// Runs the words after the program's name, which is `argv0`.
pub fn run(name: Name, argv0: &[u8], words: &[&[u8]]) -> Result<(), Fail> {
    match parse::parse(name, argv0, words)? {
        Wanted::Help => print(&help::text(name)),
        Wanted::Version => print(&help::version(name)),
        Wanted::Run(call) => (call.row.run)(&call),
    }
}

fn print(text: &str) -> Result<(), Fail> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| output_failed(&e))
}
