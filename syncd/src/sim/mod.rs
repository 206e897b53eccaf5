//! Two nodes on a bad network, in virtual time: tests only.
//!
//! A [`World`] has two nodes, each with a kernel of few flows that change at random, and a network that
//! loses, duplicates, delays and reorders, with partitions and restarts. One seed makes one run. A node is a
//! machine of this crate, or [`Original`], a model of conntrackd 1.4.7 with its faults, which is checked
//! against recordings of the real one (`replay`).
//!
//! `SIMULATE_SEEDS=5000 cargo test -p zctd sim` runs more seeds, `SYNC_SEED=41 cargo test -p zctd sim` only
//! the one that failed.

// A new type of message must not go unnoticed: no arm may match what it does not name.
#![deny(clippy::wildcard_enum_match_arm)]

mod chaos;
mod digest;
mod kernel;
mod members;
mod net;
mod node;
mod original;
mod quiet;
mod recorded;
mod replay;
mod sealed;
mod tests;
mod world;

pub(crate) use kernel::{SimKernel, tuple as flow_tuple};
pub(crate) use net::{Attacker, Net, Quality};
pub(crate) use node::{OurNode, SimNode};
pub(crate) use original::{Original, OriginalConfig};
pub(crate) use world::{World, covers};

/// Prints the seed of a run that panics, wherever that happens.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0}: SYNC_SEED={0} runs it alone", self.0);
        }
    }
}

/// Repeatable numbers: splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which must not be 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True `percent` times out of a hundred.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The seeds of a test: `usual` many, or those that the environment asks for.
pub(crate) fn seeds(usual: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|v| v.parse::<u64>().expect(name));
    match (number("SYNC_SEED"), number("SIMULATE_SEEDS")) {
        (Some(one), _) => vec![one],
        (None, many) => (0..many.unwrap_or(usual)).collect(),
    }
}
