//! What runs inside the guest: checks of zct beside the original on this kernel, one verdict per line.
//!
//! `kernel-guest [SUITE...]` runs the checks; `serve` and `talk ADDRESS` are the two ends of a TCP
//! connection.

mod chains;
mod changing;
mod compare;
mod deleting;
mod dying;
mod events;
mod expects;
mod facts;
mod flow;
mod lab;
mod large;
mod listing;
mod lockdown;
mod offload;
mod reader;
mod selectors;
mod traffic;
mod traits;

use lab::Verdicts;
use lexopt::prelude::*;
use std::process::ExitCode;
use std::time::Instant;

type Suite = fn(&mut Verdicts) -> Result<(), String>;

const SUITES: &[(&str, Suite)] = &[
    ("facts", facts::check),
    ("listing", listing::check),
    ("deleting", deleting::check),
    ("changing", changing::check),
    ("events", events::check),
    ("offload", offload::check),
    ("secctx", traits::secctx),
    ("counters", traits::counters),
    ("expects", expects::check),
    ("dying", dying::check),
    ("large", large::check),
    ("reader", reader::check),
    ("chains", chains::check),
    // Nothing can come after it that needs what it takes away.
    ("lockdown", lockdown::check),
];

/// A rule with labels, in a chain that nothing reaches: the kernel keeps labels only where one exists.
const LABELS: &str = "table inet labels {\n chain unused {\n ct label set 1\n }\n}\n";

fn checks(wanted: &[String]) -> ExitCode {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("kernel {}", kernel.trim());
    let start = Instant::now();
    let mut v = Verdicts::default();
    for name in wanted.iter().filter(|w| SUITES.iter().all(|(name, _)| w != name)) {
        v.add(name, Err("no such suite".to_owned()));
    }
    for (name, suite) in
        SUITES.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name))
    {
        println!("-- {name}");
        if let Err(why) = lab::nft(LABELS).and_then(|()| suite(&mut v)) {
            v.add(format_args!("{name}: the suite itself"), Err(why));
        }
        println!("   {:.1} s", start.elapsed().as_secs_f64());
    }
    println!("{}: {} good, {} bad", kernel.trim(), v.good, v.bad.len());
    for name in &v.bad {
        println!("  bad: {name}");
    }
    if v.bad.is_empty() && v.good > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

enum Task {
    /// The suites with these names, or all of them.
    Check(Vec<String>),
    Serve,
    Talk(String),
}

fn parse(mut words: lexopt::Parser) -> Result<Task, lexopt::Error> {
    let mut names = Vec::new();
    while let Some(word) = words.next()? {
        match word {
            Value(name) => names.push(name.string()?),
            _ => return Err(word.unexpected()),
        }
    }
    Ok(match names.as_mut_slice() {
        [word] if word == "serve" => Task::Serve,
        [word, address] if word == "talk" => Task::Talk(std::mem::take(address)),
        _ => Task::Check(names),
    })
}

fn main() -> ExitCode {
    let ended = match parse(lexopt::Parser::from_env()) {
        Ok(Task::Check(names)) => return checks(&names),
        Ok(Task::Serve) => offload::serve().map_err(|e| e.to_string()),
        Ok(Task::Talk(address)) => offload::talk(&address).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("kernel-guest: {e}");
            ExitCode::FAILURE
        }
    }
}
