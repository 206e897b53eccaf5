//! Every number and every address that the programs read. Random texts for each are judged by separate tables
//! (the widths of the kernel's fields, what people mean by what they write). There must never be a wrong
//! selection, and never success with less done than was asked.
//!
//! `ZCT_LIMITS_ROUNDS` says how often each option is tried with each command; `ZCT_LIMITS_SEED`
//! repeats a run.

mod address;
mod complete;
mod conf;
mod expects;
mod flows;
mod nfct;
mod number;
mod options;
mod place;
mod select;
mod texts;
mod words;
mod write;

use fastrand::Rng;
use place::Place;
use std::sync::Mutex;

/// Reads a number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v} is no number")))
}

/// The seed of this run: the same each time, unless another is given.
fn seed() -> u64 {
    setting("ZCT_LIMITS_SEED", 1)
}

/// Fails with everything that was found, and the seed.
fn report(seed: u64, failures: &[String]) {
    let shown: String = failures.iter().take(60).map(|f| format!("- {f}\n")).collect();
    assert!(failures.is_empty(), "ZCT_LIMITS_SEED={seed}: {} failures:\n{shown}", failures.len());
}

#[test]
fn values_mean_what_they_say_or_are_refused() {
    let (seed, rounds) = (seed(), setting("ZCT_LIMITS_ROUNDS", 3));
    let pairs = place::pairs();
    let all: Vec<(u64, place::Pair)> = (0..rounds).flat_map(|r| pairs.iter().map(move |p| (r, *p))).collect();
    let next = Mutex::new(all.iter().enumerate());
    let failures = Mutex::new(Vec::new());
    let counts = Mutex::new([0u32; 2]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get().min(4)) {
            scope.spawn(|| {
                let mut place = Place::new();
                while let Some((n, (_, pair))) = { next.lock().expect("no panic while locked").next() } {
                    let mut rng = Rng::with_seed(seed.wrapping_add(n as u64));
                    if let Err(found) = place.attempt(&mut rng, *pair) {
                        let text = format!("{n}, {} with -{}: {found}", pair.0.names[0], pair.1);
                        failures.lock().expect("no panic while locked").push(text);
                    }
                }
                let mut counts = counts.lock().expect("no panic while locked");
                counts[0] += place.accepted;
                counts[1] += place.refused;
            });
        }
    });
    let [taken, refused] = counts.into_inner().expect("no panic while locked");
    println!("seed {seed}: {} values, {taken} taken and {refused} refused", all.len());
    let mut failures = failures.into_inner().expect("no panic while locked");
    failures.sort();
    report(seed, &failures);
    assert!(taken as usize > all.len() / 4 && refused as usize > all.len() / 8, "one kind is hardly tried");
}
