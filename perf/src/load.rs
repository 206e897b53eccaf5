//! Fills the table of the current network namespace in large batches: a million flows in a few seconds.

use crate::mix::Mix;
use std::time::{Duration, Instant};
use zct_engine::{Answer, Batch, Error, Requests};
use zct_wire::consts::nlm_f;
use zct_wire::request::{flush, new_flow};

/// What became of the flows to be made.
#[derive(Debug, Default)]
pub struct Filled {
    /// Flows that the kernel made.
    pub made: u64,
    /// Flows that the kernel refused.
    pub refused: u64,
    /// The reason given for the first refusal.
    pub why: Option<Error>,
}

/// Makes the flows with these numbers. A refusal does not stop it.
///
/// # Errors
/// A system call that failed.
pub fn fill(mix: Mix, numbers: impl IntoIterator<Item = u32>) -> Result<Filled, Error> {
    fill_at(0, mix, numbers)
}

/// As [`fill`], but at `rate` flows per second, each when it is due; 0 means full speed.
///
/// # Errors
/// A system call that failed.
pub fn fill_at(rate: u32, mix: Mix, numbers: impl IntoIterator<Item = u32>) -> Result<Filled, Error> {
    let (mut batch, mut filled) = (Batch::open()?, Filled::default());
    let mut sent = 0u64;
    let begin = Instant::now();
    for i in numbers {
        if rate > 0 {
            let due = Duration::from_secs_f64(sent as f64 / f64::from(rate));
            let early = due.saturating_sub(begin.elapsed());
            if !early.is_zero() {
                send(&mut batch, &mut filled)?;
                std::thread::sleep(early);
            }
        }
        let flow = mix.flow(i);
        batch.add(|buf, seq| new_flow(buf, seq, nlm_f::CREATE | nlm_f::EXCL, &flow))?;
        sent += 1;
        if batch.is_full() {
            send(&mut batch, &mut filled)?;
        }
    }
    send(&mut batch, &mut filled)?;
    filled.made = sent - filled.refused;
    Ok(filled)
}

fn send(batch: &mut Batch, filled: &mut Filled) -> Result<(), Error> {
    batch.send(&mut |_, answer| {
        if let Answer::Refused(e) = answer {
            filled.refused += 1;
            filled.why.get_or_insert(e);
        }
    })
}

/// As [`fill`], but every flow has to be made.
///
/// # Errors
/// A system call that failed, or the first refusal.
pub fn fill_all(mix: Mix, numbers: impl IntoIterator<Item = u32>) -> Result<u64, Error> {
    let filled = fill(mix, numbers)?;
    filled.why.map_or(Ok(filled.made), Err)
}

/// Empties the table of the current network namespace.
///
/// # Errors
/// A system call that failed, or the kernel's refusal.
pub fn empty() -> Result<(), Error> {
    Requests::open()?.ask(|buf, seq| flush(buf, seq, false), &mut crate::floor::dump::Count::default())
}
