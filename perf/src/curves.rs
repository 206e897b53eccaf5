//! Measurements along an axis: the cost of a listing against the size of the table, and the share of events
//! delivered against their rate.

use crate::load;
use crate::measure::{self, Cores};
use crate::mix::Mix;
use crate::row::{Contender, NETLINK, Table};
use crate::runner::{Runner, describe};
use crate::sample::{Sample, Who};
use crate::storm;
use std::io;

/// Sizes of the tables that are listed, in flows.
pub const SIZES: [u32; 6] = [10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000];
/// Rates in flows per second; the last is more than a generator and a listener can do on two processors.
pub const RATES: [u32; 6] = [10_000, 25_000, 50_000, 75_000, 100_000, 200_000];
/// At most this many rounds for each point: a curve shows its own noise.
const ROUNDS_MAX: u32 = 3;
/// How many seconds a rate is kept up, and the largest number of flows made meanwhile.
const RATE_S: u32 = 2;
const RATE_FLOWS: u32 = 300_000;

/// Name of the rows of a listing over the table size; the figure `flows` says which size.
pub const BY_SIZE: &str = "list-by-size";
/// Name of the rows of events over their rate; the figure `rate` says which.
pub const BY_RATE: &str = "events-by-rate";

/// The listings to be compared.
pub const LISTINGS: [(Who, &str, &str); 4] = [
    (Who::Original, "", "-L"),
    (Who::Zct, "", "-L"),
    (Who::Zct, NETLINK, "-L --reader netlink"),
    (Who::Floor, "", "dump"),
];

/// The event listeners to be compared.
pub const LISTENERS: [(Who, &str, &str); 4] = [
    (Who::Original, "its own buffer", "-E"),
    (Who::Original, "16 MiB", "-E -b 16777216"),
    (Who::Zct, "its own buffer", "-E"),
    (Who::Zct, "16 MiB", "-E -b 16777216"),
];

/// Lists tables of up to `flows_max` flows.
///
/// # Errors
/// Whatever prevents the measurement.
pub fn by_size(runner: &mut Runner, flows_max: u32) -> io::Result<()> {
    for flows in SIZES.into_iter().filter(|f| *f <= flows_max) {
        runner.progress(&format!("listing {flows} flows"));
        runner.provide(Table::Full(Mix::Common, flows))?;
        for round in 0..runner.rounds.min(ROUNDS_MAX) {
            runner.quiet(BY_SIZE)?;
            for (who, variant, line) in LISTINGS {
                let words = line.split(' ').map(str::to_owned).collect();
                let words = runner.words(&Contender::new(who, variant, words));
                let run = measure::run(&runner.tools.yardstick, Cores::All, &words, None)?;
                let mut sample = Sample::of(BY_SIZE, who, variant, round, &run);
                if measure::counted(&run.stderr) != Some(u64::from(flows)) {
                    sample.blame(format!("{flows} flows were there, it said: {}", run.stderr.trim()));
                }
                sample.more.push(("flows", f64::from(flows)));
                runner.samples.push(sample);
            }
        }
    }
    Ok(())
}

/// Makes flows by packets at several rates, with each of the listeners.
///
/// # Errors
/// Whatever prevents the measurement.
pub fn by_rate(runner: &mut Runner) -> io::Result<()> {
    runner.provide(Table::Empty)?;
    for rate in RATES {
        let flows = (rate * RATE_S).min(RATE_FLOWS);
        runner.progress(&format!("{flows} flows at {rate} a second"));
        for round in 0..runner.rounds.min(ROUNDS_MAX) {
            runner.quiet(BY_RATE)?;
            for (who, variant, line) in LISTENERS {
                load::empty().map_err(|e| io::Error::other(e.to_string()))?;
                let words = line.split(' ').map(str::to_owned).collect();
                let words = runner.words(&Contender::new(who, variant, words));
                let generator = ["packets".to_owned(), flows.to_string(), rate.to_string()];
                let output = tempfile::tempfile()?;
                let storm = storm::run(&runner.tools.yardstick, &words, &generator, &output)?;
                let mut sample = Sample::of(BY_RATE, who, variant, round, &storm.run);
                describe(&storm, 2 * u64::from(flows), &mut sample);
                // The generator does not always reach the rate it was asked for.
                let reached = f64::from(flows) / storm.making.as_secs_f64();
                let new_percent = 100.0 * storm.delivered_new as f64 / f64::from(flows);
                sample.more.extend([
                    ("rate", f64::from(rate)),
                    ("rate_reached", reached),
                    ("new_percent", new_percent),
                ]);
                runner.samples.push(sample);
            }
        }
    }
    Ok(())
}
