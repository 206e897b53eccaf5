//! The neutral side of the measurements, each a process of its own so that it is measured like the tools.

use std::process::ExitCode;
use zct_perf::floor::delete::{self, Options};
use zct_perf::floor::words::{number, take};
use zct_perf::floor::{dump, events, packets};
use zct_perf::load;
use zct_perf::mix::Mix;
use zct_wire::consts::af;
use zct_wire::filter::DumpFilter;

const USAGE: &str = "\
yardstick dump [together] [FILTER...]       receive a dump and throw it away; together: a family a thread
yardstick events BYTES                      receive events and throw them away until SIGINT
yardstick delete [every=N] [apart [vanish=N]] [FILTER...]
                                            delete what the kernel finds
yardstick load COUNT [half-ipv6] [step=N] [rate=PER_SECOND]
                                            make flows 0, N, 2N, ... below COUNT
yardstick packets COUNT [PER_SECOND]        make flows by packets on loopback
yardstick nothing                           end
yardstick traced COMMAND [WORD...]          run a command that waits for its parent to trace it
FILTER: family=ipv4|ipv6 proto=tcp|udp src=ADDR dst=ADDR reply-src=ADDR";

type Fail = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("yardstick: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Fail> {
    match words {
        ["dump", rest @ ..] => dumped(rest),
        ["events", bytes] => received(number(bytes, bytes)?),
        ["delete", rest @ ..] => deleted(rest),
        ["load", count, rest @ ..] => loaded(number(count, count)?, rest),
        ["packets", count] => sent(number(count, count)?, 0),
        ["packets", count, rate] => sent(number(count, count)?, number(rate, rate)?),
        ["nothing"] => Ok(()),
        ["traced", command, rest @ ..] => Err(zct_perf::measure::become_traced(command, rest).into()),
        _ => Err(USAGE.into()),
    }
}

/// The flow count is worded as the tools word theirs.
fn dumped(words: &[&str]) -> Result<(), Fail> {
    let (mut filter, mut together) = (DumpFilter::default(), false);
    for word in words {
        if *word == "together" {
            together = true;
        } else if !take(word, &mut filter)? {
            return Err(format!("{word}?\n{USAGE}").into());
        }
    }
    let d = if together {
        dump::run_together(&[af::INET, af::INET6].map(|family| DumpFilter { family, ..filter }))?
    } else {
        dump::run(&filter)?
    };
    eprintln!("yardstick: {} flow entries have been shown.", d.flows);
    eprintln!("yardstick: {} bytes, {} calls, {} us the longest", d.bytes, d.calls, d.longest.as_micros());
    Ok(())
}

fn received(buffer: usize) -> Result<(), Fail> {
    let r = events::run(buffer)?;
    eprintln!("yardstick: {} flow events have been shown.", r.events);
    eprintln!("yardstick: {} calls, {} overruns", r.calls, r.overruns);
    Ok(())
}

fn deleted(words: &[&str]) -> Result<(), Fail> {
    let (mut filter, mut options) = (DumpFilter::default(), Options::default());
    for word in words {
        match word.split_once('=') {
            Some(("every", n)) => options.every = number(word, n)?,
            Some(("vanish", n)) => options.vanish = number(word, n)?,
            None if *word == "apart" => options.apart = true,
            _ if take(word, &mut filter)? => {}
            _ => return Err(format!("{word}?\n{USAGE}").into()),
        }
    }
    let d = delete::run(&filter, options)?;
    eprintln!("yardstick: {} flow entries have been deleted.", d.deleted);
    eprintln!("yardstick: {} were gone, {} us", d.gone, d.deleting.as_micros());
    Ok(())
}

fn loaded(count: u32, words: &[&str]) -> Result<(), Fail> {
    let (mut mix, mut step, mut rate) = (Mix::Common, 1, 0);
    for word in words {
        match word.split_once('=') {
            Some(("step", n)) => step = number(word, n)?,
            Some(("rate", n)) => rate = number(word, n)?,
            None if *word == "half-ipv6" => mix = Mix::HalfIpv6,
            _ => return Err(format!("{word}?\n{USAGE}").into()),
        }
    }
    let filled = load::fill_at(rate, mix, (0..count).step_by(step.max(1)))?;
    eprintln!("yardstick: {} flow entries have been created.", filled.made);
    if let Some(why) = filled.why {
        eprintln!("yardstick: {} were refused, the first one: {why}", filled.refused);
    }
    Ok(())
}

fn sent(count: u32, rate: u32) -> Result<(), Fail> {
    let took = packets::run(count, rate)?;
    eprintln!("yardstick: {count} packets, {} us", took.as_micros());
    Ok(())
}
