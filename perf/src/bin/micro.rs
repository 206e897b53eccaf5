//! One piece of work on the flows of a dump, for callgrind: `micro PIECE ROUNDS`. Without arguments it lists
//! the pieces. `perf/callgrind.sh` subtracts one run from another, so that the preparation does not count.

use lexopt::prelude::*;
use std::process::ExitCode;
use zct_perf::pieces::{Material, PIECES};

fn main() -> ExitCode {
    match run(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("micro: {e}\nmicro [PIECE ROUNDS]");
            ExitCode::FAILURE
        }
    }
}

fn run(mut words: lexopt::Parser) -> Result<(), lexopt::Error> {
    let name = match words.next()? {
        Some(Value(name)) => name.string()?,
        Some(word) => return Err(word.unexpected()),
        None => {
            PIECES.iter().for_each(|p| println!("{}", p.name));
            return Ok(());
        }
    };
    let rounds: u32 = words.value()?.parse()?;
    if let Some(word) = words.next()? {
        return Err(word.unexpected());
    }
    let piece = PIECES.iter().find(|p| p.name == name).ok_or_else(|| format!("{name}: no such piece"))?;
    let mut material = Material::default();
    for _ in 0..rounds {
        std::hint::black_box((piece.run)(&mut material));
    }
    println!("{} flows a round", material.flows());
    Ok(())
}
