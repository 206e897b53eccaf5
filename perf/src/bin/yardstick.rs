//! The neutral side of the measurements: processes of their own, so that they are measured as the tools are.

use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use zct_perf::floor::delete::{self, Options};
use zct_perf::floor::words::take;
use zct_perf::floor::{dump, events, packets};
use zct_perf::load::{self, Churn};
use zct_perf::measure::{self, Cores};
use zct_perf::mix::Mix;
use zct_perf::replica;
use zct_wire::consts::af;
use zct_wire::filter::DumpFilter;

const USAGE: &str = "\
yardstick dump [--together] [FILTER...]     receive a dump and throw it away; together: a family a thread
yardstick events BYTES                      receive events and throw them away until SIGINT
yardstick delete [--every N] [--apart [--vanish N]] [FILTER...]
                                            delete what the kernel finds
yardstick load COUNT [--half-ipv6] [--step N] [--rate PER_SECOND]
                                            make flows 0, N, 2N, ... below COUNT
yardstick churn COUNT --rate PER_SECOND --living N [--short OF_TEN]
                                            the same, and each ends when N later ones are there, or after a second
yardstick packets COUNT [PER_SECOND]        make flows by packets on loopback
yardstick blast ADDRESS SECONDS             send datagrams to an address as fast as possible, and print how many
yardstick await SOCKET COUNT [--every MS] [--also SOCKET]
                                            wait until the daemon knows so many flows of its peer, asking every MS,
                                            and print the longest time that an answer took; also: ask another one
yardstick sample SOCKET NAME                print a value of the metrics at this socket
yardstick silence ADDRESS SECONDS           print the longest time in which the address does not answer
yardstick nothing                           end
yardstick traced COMMAND [WORD...]          run a command that waits for its parent to trace it
yardstick traced-on-one-core COMMAND [WORD...]
                                            the same, on the first processor alone
FILTER: --family ipv4|ipv6 --proto tcp|udp --src ADDR --dst ADDR --reply-src ADDR";

type Fail = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&mut lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("yardstick: {e}");
            if e.is::<lexopt::Error>() {
                eprintln!("{USAGE}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(words: &mut lexopt::Parser) -> Result<(), Fail> {
    let command = words.value()?.string()?;
    match command.as_str() {
        "dump" => dumped(words),
        "events" => received(words.value()?.parse()?, words),
        "delete" => deleted(words),
        "load" => loaded(words.value()?.parse()?, words),
        "churn" => churned(words.value()?.parse()?, words),
        "packets" => sent(words.value()?.parse()?, words),
        "blast" => {
            let (address, s) = (words.value()?.parse()?, words.value()?.parse()?);
            end(words)?;
            println!("{}", packets::blast(address, Duration::from_secs(s))?);
            Ok(())
        }
        "await" => {
            let socket = words.value()?;
            awaited(Path::new(&socket), words.value()?.parse()?, words)
        }
        "sample" => {
            let (socket, name) = (words.value()?, words.value()?.string()?);
            end(words)?;
            println!("{}", replica::sample(Path::new(&socket), &name)?);
            Ok(())
        }
        "silence" => {
            let (address, s) = (words.value()?.parse()?, words.value()?.parse()?);
            end(words)?;
            let until = Instant::now() + Duration::from_secs(s);
            println!("{:.4}", replica::longest_silence(address, || Instant::now() > until)?.as_secs_f64());
            Ok(())
        }
        "nothing" => end(words),
        "traced" | "traced-on-one-core" => {
            let cores = if command == "traced" { Cores::All } else { Cores::One };
            let program = words.value()?;
            // All that follows belongs to the program to be started.
            let its: Vec<_> = words.raw_args()?.collect();
            Err(measure::become_traced(cores, &program, &its).into())
        }
        _ => Err(lexopt::Error::from(format!("{command}: no such command")).into()),
    }
}

/// Refuses arguments that are left over.
fn end(words: &mut lexopt::Parser) -> Result<(), Fail> {
    words.next()?.map_or(Ok(()), |word| Err(word.unexpected().into()))
}

/// Prints the flow count in the tools' own words, so that the runner reads all of them alike.
fn dumped(words: &mut lexopt::Parser) -> Result<(), Fail> {
    let (mut filter, mut together) = (DumpFilter::default(), false);
    while let Some(word) = words.next()? {
        match word {
            Long("together") => together = true,
            Long(name) => {
                let name = name.to_owned();
                take(&name, words, &mut filter)?;
            }
            _ => return Err(word.unexpected().into()),
        }
    }
    let d = if together {
        dump::run_together(&[af::INET, af::INET6].map(|family| filter.with(|it| it.family = family)))?
    } else {
        dump::run(&filter)?
    };
    eprintln!("yardstick: {} flow entries have been shown.", d.flows);
    eprintln!("yardstick: {} bytes, {} calls, {} us the longest", d.bytes, d.calls, d.longest.as_micros());
    Ok(())
}

fn received(buffer: usize, words: &mut lexopt::Parser) -> Result<(), Fail> {
    end(words)?;
    let r = events::run(buffer)?;
    eprintln!("yardstick: {} flow events have been shown.", r.events);
    eprintln!("yardstick: {} calls, {} overruns", r.calls, r.overruns);
    Ok(())
}

fn deleted(words: &mut lexopt::Parser) -> Result<(), Fail> {
    let (mut filter, mut options) = (DumpFilter::default(), Options::default());
    while let Some(word) = words.next()? {
        match word {
            Long("every") => options.every = words.value()?.parse()?,
            Long("vanish") => options.vanish = words.value()?.parse()?,
            Long("apart") => options.apart = true,
            Long(name) => {
                let name = name.to_owned();
                take(&name, words, &mut filter)?;
            }
            _ => return Err(word.unexpected().into()),
        }
    }
    let d = delete::run(&filter, options)?;
    eprintln!("yardstick: {} flow entries have been deleted.", d.deleted);
    eprintln!("yardstick: {} were gone, {} us", d.gone, d.deleting.as_micros());
    Ok(())
}

fn loaded(count: u32, words: &mut lexopt::Parser) -> Result<(), Fail> {
    let (mut mix, mut step, mut rate) = (Mix::Common, 1, 0);
    while let Some(word) = words.next()? {
        match word {
            Long("step") => step = words.value()?.parse()?,
            Long("rate") => rate = words.value()?.parse()?,
            Long("half-ipv6") => mix = Mix::HalfIpv6,
            _ => return Err(word.unexpected().into()),
        }
    }
    let filled = load::fill_at(rate, mix, (0..count).step_by(step.max(1)))?;
    eprintln!("yardstick: {} flow entries have been created.", filled.made);
    if let Some(why) = filled.why {
        eprintln!("yardstick: {} were refused, the first one: {why}", filled.refused);
    }
    Ok(())
}

fn churned(count: u32, words: &mut lexopt::Parser) -> Result<(), Fail> {
    let mut churn = Churn { rate: 0, count, living: 0, short: 0 };
    while let Some(word) = words.next()? {
        match word {
            Long("rate") => churn.rate = words.value()?.parse()?,
            Long("living") => churn.living = words.value()?.parse()?,
            Long("short") => churn.short = words.value()?.parse()?,
            _ => return Err(word.unexpected().into()),
        }
    }
    let begin = Instant::now();
    let filled = load::churn(churn)?;
    let took = begin.elapsed().as_secs_f64();
    eprintln!("yardstick: {} flows made and {} ended in {took:.2} s", filled.made, filled.ended);
    filled
        .why
        .map_or(Ok(()), |why| Err(format!("{} were refused, the first one: {why}", filled.refused).into()))
}

fn sent(count: u32, words: &mut lexopt::Parser) -> Result<(), Fail> {
    let rate = match words.next()? {
        Some(Value(rate)) => rate.parse()?,
        Some(word) => return Err(word.unexpected().into()),
        None => 0,
    };
    end(words)?;
    let took = packets::run(count, rate)?;
    eprintln!("yardstick: {count} packets, {} us", took.as_micros());
    Ok(())
}

fn awaited(socket: &Path, count: u64, words: &mut lexopt::Parser) -> Result<(), Fail> {
    let (mut every, mut also) = (Duration::from_millis(1), None);
    while let Some(word) = words.next()? {
        match word {
            Long("every") => every = Duration::from_millis(words.value()?.parse()?),
            Long("also") => also = Some(PathBuf::from(words.value()?)),
            _ => return Err(word.unexpected().into()),
        }
    }
    let longest = replica::await_flows(socket, count, every, also.as_deref())?;
    println!("{:.4}", longest.as_secs_f64());
    Ok(())
}
