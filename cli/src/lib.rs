//! The conntrack command line: everything but `main`, so that tests, fuzz targets and benches reach it.
#![forbid(unsafe_code)]

pub mod address_set;
pub mod commands;
pub mod dump_plan;
pub mod event_bpf;
pub mod fail;
pub mod filter;
pub mod flags;
pub mod group;
pub mod load;
pub mod metrics;
pub mod nfct;
pub mod output;
pub mod program;
pub mod progress;
pub mod reader;
pub mod stdout;
pub mod table_selection;
pub mod top;
pub mod values;

use commands::wanted::Mode;
use commands::{
    Invocation, count, create, delete, event, flush, get, list, reconcile, stats, update, version,
};
use event::Subject;
use fail::{Fail, Name};
use flags::args::Args;
use flags::command::{Cmd, Table};
use flags::{check_legal, help, parse};
use std::io::Write as _;
use zct_wire::text::stats::CounterSet;

/// Runs the command line, the program's name first, and returns the exit code.
pub fn run(words: &[&[u8]]) -> u8 {
    let (argv0, rest) = words.split_first().map_or((&[][..], &[][..]), |(a, r)| (*a, r));
    let name = Name::of(argv0);
    let outcome = match (name, rest) {
        (Name::Nfct, words) => nfct::run(name, argv0, words),
        (Name::Zct, [first, words @ ..]) => match own_command(first) {
            Some(run) => run(name, argv0, words),
            None => command(name, rest),
        },
        _ => command(name, rest),
    };
    match outcome {
        Ok(()) => 0,
        Err(fail) => {
            fail.report(&name);
            fail.code()
        }
    }
}

/// A command that has the rest of the line to itself: the program's names, and the words after its own.
type Own = fn(Name, &[u8], &[&[u8]]) -> Result<(), Fail>;

/// The commands that only `zct` has, each named by the first word of the line. The original's options mean
/// nothing after such a word. A command whose grammar is ours, unlike nfct's, reads its words with lexopt.
/// What help, man page and completions say of each is in `flags::own`.
const OWN: &[(&[u8], Own)] = &[
    (b"help", commands::help::run),
    (b"metrics", metrics::run),
    (b"top", top::run),
    (b"nfct", nfct::run),
    (b"reconcile", reconcile::run),
];

fn own_command(first: &[u8]) -> Option<Own> {
    OWN.iter().find(|(word, _)| *word == first).map(|(_, run)| *run)
}

fn command(name: Name, words: &[&[u8]]) -> Result<(), Fail> {
    // Unlike other options it is valid only as the first word, and only with a file.
    if let [b"-R" | b"--load-file", file, rest @ ..] = words {
        return load::run(name, file, load::Options::of(rest));
    }
    let mut args = Args::default();
    let parsed = parse::parse(words, &mut args);
    for warning in &args.warnings {
        fail::warn(warning.as_bytes());
    }
    parsed?;
    let labels = Invocation::load_labels(&args);
    let call = Invocation::new(name, args, labels)?;
    check_legal::check(&call.args, name)?;
    dispatch(&call)
}

fn dispatch(call: &Invocation) -> Result<(), Fail> {
    let Some((cmd, table)) = call.args.action else { return print(&help::text(call.name, None)) };
    match (cmd, table) {
        (Cmd::List, Table::Expect) => list::expectations(call),
        (Cmd::List, table) => list::flows(call, table),
        (Cmd::Get, Table::Expect) => get::expectation(call),
        (Cmd::Get, _) => get::flow(call),
        (Cmd::Count, Table::Expect) => count::expectations(call),
        (Cmd::Count, _) => count::flows(call),
        (Cmd::Stats, Table::Expect) => stats::show(call, CounterSet::Expectations),
        (Cmd::Stats, _) => stats::show(call, CounterSet::Flows),
        (Cmd::Event, Table::Expect) => event::listen(call, Subject::Expectations),
        (Cmd::Event, _) => event::listen(call, Subject::Flows),
        (Cmd::Help, _) => print(&help::text(call.name, call.args.protocol)),
        (Cmd::Version, _) => print(&version::text(call.name)),
        (Cmd::Create, Table::Expect) => create::expectation(call),
        (Cmd::Create, _) => create::flow(call, Mode::Create),
        (Cmd::Add, _) => create::flow(call, Mode::Add),
        (Cmd::Update, _) => update::flows(call),
        (Cmd::Delete, Table::Expect) => delete::expectation(call),
        (Cmd::Delete, _) => delete::flows(call),
        (Cmd::Flush, table) => flush::table(call, table).map(|_| ()),
    }
}

fn print(text: &str) -> Result<(), Fail> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| commands::output_failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_our_own_has_texts() {
        let run: Vec<&[u8]> = OWN.iter().map(|(name, _)| *name).collect();
        let told: Vec<&[u8]> = flags::own::OWN_COMMANDS.iter().map(|c| c.name.as_bytes()).collect();
        assert_eq!(run, told);
    }
}
