//! Fills the table of the current network namespace in large batches: a million flows in a few seconds.

use crate::mix::Mix;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use zct_engine::{Answer, Batch, Error, Requests};
use zct_wire::build::Full;
use zct_wire::consts::nlm_f;
use zct_wire::request::{delete_tuple, flush, new_flow};
use zct_wire::tuple::Addressed;

/// What became of the flows to be made.
#[derive(Debug, Default)]
pub struct Filled {
    /// Flows that the kernel made.
    pub made: u64,
    /// Flows that were to be ended.
    pub ended: u64,
    /// Requests that the kernel refused.
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
    let (mut sent, begin) = (0u64, Instant::now());
    for i in numbers {
        if rate > 0 {
            keep_to(rate, sent, begin, &mut batch, &mut filled)?;
        }
        let flow = mix.flow(i);
        add(&mut batch, &mut filled, |buf, seq| new_flow(buf, seq, nlm_f::CREATE | nlm_f::EXCL, &flow))?;
        sent += 1;
    }
    send(&mut batch, &mut filled)?;
    filled.made = sent - filled.refused;
    Ok(filled)
}

/// Waits until flow number `sent` is due, and sends those before it first.
fn keep_to(
    rate: u32,
    sent: u64,
    begin: Instant,
    batch: &mut Batch,
    filled: &mut Filled,
) -> Result<(), Error> {
    let due = Duration::from_secs_f64(sent as f64 / f64::from(rate));
    let early = due.saturating_sub(begin.elapsed());
    if !early.is_zero() {
        send(batch, filled)?;
        std::thread::sleep(early);
    }
    Ok(())
}

/// How long short flows live.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// How flows come and go.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// New flows a second.
    pub rate: u32,
    /// How many flows are made in all.
    pub count: u32,
    /// A flow ends when this many later ones have been made.
    pub living: u32,
    /// This many of ten flows are short: they end after a second.
    pub short: u32,
}

/// Makes flows and ends them, so that in the long run as many end as begin. The last ones stay.
///
/// # Errors
/// A system call that failed.
pub fn churn(c: Churn) -> Result<Filled, Error> {
    let (mut batch, mut filled) = (Batch::open()?, Filled::default());
    let (mut short, mut long) = (VecDeque::new(), VecDeque::new());
    let begin = Instant::now();
    for i in 0..c.count {
        keep_to(c.rate.max(1), i.into(), begin, &mut batch, &mut filled)?;
        let flow = Mix::Common.flow(i);
        add(&mut batch, &mut filled, |buf, seq| new_flow(buf, seq, nlm_f::CREATE | nlm_f::EXCL, &flow))?;
        let now = begin.elapsed();
        if i % 10 < c.short {
            short.push_back((i, now))
        } else {
            long.push_back(i)
        }
        while let Some((first, _)) = short.front().filter(|(_, born)| now - *born >= SHORT_LIFE) {
            end(*first, &mut batch, &mut filled)?;
            short.pop_front();
        }
        while let Some(first) = long.front().filter(|first| i - **first >= c.living) {
            end(*first, &mut batch, &mut filled)?;
            long.pop_front();
        }
    }
    send(&mut batch, &mut filled)?;
    filled.made = u64::from(c.count);
    Ok(filled)
}

/// Ends flow number `i`.
fn end(i: u32, batch: &mut Batch, filled: &mut Filled) -> Result<(), Error> {
    let Some(orig) = Mix::Common.flow(i).orig else { return Ok(()) };
    let orig = Addressed::try_from(&orig)?;
    filled.ended += 1;
    add(batch, filled, |buf, seq| delete_tuple(buf, seq, 0, &orig, None))
}

/// Adds a request, and sends what has been collected when there is no room for another one.
fn add(
    batch: &mut Batch,
    filled: &mut Filled,
    build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>,
) -> Result<(), Error> {
    batch.add(build)?;
    if batch.is_full() { send(batch, filled) } else { Ok(()) }
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
