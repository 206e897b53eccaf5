//! nfct: timeout policies and userspace helpers, as `nfct` or as `zct nfct` (nfct.md §4).

mod call;
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
use call::Call;
use parse::Asked;
use std::io::Write as _;
use table::Task;

/// Carries out the words after the program's name, which is `argv0`.
pub fn run(name: Name, argv0: &[u8], words: &[&[u8]]) -> Result<(), Fail> {
    match parse::parse(name, argv0, words)? {
        Asked::Help => print(&help::text(name)),
        Asked::Version => print(&help::version(name)),
        Asked::Run(call) => carry_out(&call),
    }
}

fn carry_out(call: &Call<'_>) -> Result<(), Fail> {
    match call.row.task {
        Task::ListTimeouts => timeout::list(call),
        Task::AddTimeout => timeout::add(call),
        Task::DeleteTimeout => timeout::delete(call),
        Task::GetTimeout => timeout::get(call),
        Task::FlushTimeouts => timeout::flush(call),
        Task::SetDefault => timeout::default_set(call),
        Task::GetDefault => timeout::default_get(call),
        Task::ListHelpers => helper::list(call),
        Task::AddHelper => helper::add(call),
        Task::DeleteHelper => helper::delete(call),
        Task::GetHelper => helper::get(call),
        Task::DisableHelper => helper::disable(call),
        Task::FlushHelpers => helper::flush(call),
    }
}

fn print(text: &str) -> Result<(), Fail> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| output_failed(&e))
}
