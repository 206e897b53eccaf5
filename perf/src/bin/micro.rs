//! One piece of work on the flows of a dump, for callgrind: `micro PIECE ROUNDS`. Without words it names the
//! pieces. `perf/callgrind.sh` takes the difference of two runs, so that what comes before does not count.

use std::process::ExitCode;
use zct_perf::pieces::{Material, PIECES};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (name, rounds) = match words.as_slice() {
        [] => {
            PIECES.iter().for_each(|p| println!("{}", p.name));
            return ExitCode::SUCCESS;
        }
        [name, rounds] => (name, rounds.parse::<u32>()),
        _ => return usage(),
    };
    let (Some(piece), Ok(rounds)) = (PIECES.iter().find(|p| p.name == name), rounds) else { return usage() };
    let mut material = Material::default();
    for _ in 0..rounds {
        std::hint::black_box((piece.run)(&mut material));
    }
    println!("{} flows a round", material.flows());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("micro [PIECE ROUNDS]");
    ExitCode::FAILURE
}
