//! A listener in a storm of events: how many it delivers, and what they cost it.

use crate::load;
use crate::measure::{self, Cores, Run, Running};
use crate::netns;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest time to wait for a listener to come up, or for a queue to empty.
const PATIENCE: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(5);

/// The outcome of a storm.
#[derive(Clone, Debug)]
pub struct Storm {
    /// How the listener ran.
    pub run: Run,
    /// Events that reached its output as lines; if it prints none, the number it counted.
    pub delivered: u64,
    /// The ones among them that tell of new flows; 0 if it prints none.
    pub delivered_new: u64,
    /// Events that it reported as lost.
    pub reported_lost: u64,
    /// Events that the kernel could not queue for it.
    pub dropped: u64,
    /// How long making the flows took.
    pub making: Duration,
}

/// Runs the listener `words` while `generator` makes flows, flushes them, waits until the listener's queue is
/// empty, and interrupts it. Its output goes to `output`, which must be empty.
///
/// # Errors
/// When a system call or the generator fails, or the listener never listens.
pub fn run(yardstick: &Path, words: &[String], generator: &[String], output: &File) -> io::Result<Storm> {
    let listener = measure::start(yardstick, Cores::All, words, Stdio::from(output.try_clone()?))?;
    // It is interrupted in any case: ending early is a fault of this run, not of the whole measurement.
    let made = await_listener(&listener).and_then(|()| {
        let begin = Instant::now();
        let status = Command::new(yardstick).args(generator).stderr(Stdio::null()).status()?;
        let making = begin.elapsed();
        if !status.success() {
            return Err(io::Error::other(format!("{generator:?}: {status}")));
        }
        load::empty().map_err(|e| io::Error::other(e.to_string()))?;
        Ok((making, await_quiet(&listener)?))
    });
    if listener.goes_on() {
        listener.interrupt()?;
    }
    let run = listener.finish()?;
    let (making, dropped) = made.map_err(|e| io::Error::other(format!("{e}; {}", run.stderr.trim())))?;
    let (printed, delivered_new) = lines(output)?;
    let delivered = if printed > 0 { printed } else { measure::counted(&run.stderr).unwrap_or(0) };
    Ok(Storm { delivered, delivered_new, reported_lost: lost(&run.stderr), dropped, making, run })
}

fn await_listener(listener: &Running) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while netns::listeners()?.is_empty() {
        if !listener.goes_on() || Instant::now() > end {
            return Err(io::Error::other("it does not listen"));
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

/// Waits until the listener has read everything; returns how many events did not fit its queue.
fn await_quiet(listener: &Running) -> io::Result<u64> {
    let end = Instant::now() + PATIENCE;
    let (mut quiet, mut drops) = (0, 0);
    while quiet < 3 {
        let listeners = netns::listeners()?;
        if !listener.goes_on() || Instant::now() > end {
            return Err(io::Error::other("the listener has ended, or does not read"));
        }
        drops = listeners.iter().map(|l| l.drops).sum();
        quiet = if listeners.iter().all(|l| l.queued == 0) { quiet + 1 } else { 0 };
        std::thread::sleep(GLANCE);
    }
    Ok(drops)
}

/// Counts the lines that are events, and those among them that tell of new flows.
fn lines(output: &File) -> io::Result<(u64, u64)> {
    let mut file = output.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut all, mut new, mut line) = (0, 0, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        let tag = line.trim_ascii_start();
        let is_new = tag.starts_with(b"[NEW]");
        new += u64::from(is_new);
        all += u64::from(is_new || tag.starts_with(b"[DESTROY]") || tag.starts_with(b"[UPDATE]"));
        line.clear();
    }
    Ok((all, new))
}

/// The number lost according to the summary, which comes at the end.
fn lost(stderr: &str) -> u64 {
    let of_line =
        |line: &str| line.split_once(" flow events have been lost")?.0.rsplit(' ').next()?.parse().ok();
    stderr.lines().rev().find_map(of_line).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn events_are_counted_in_the_output_and_losses_in_the_summary() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"    [NEW] udp\n[DESTROY] udp\nother\n [UPDATE] tcp\n").unwrap();
        assert_eq!(lines(&file).unwrap(), (3, 1));
        let said = "zct: 5 events have been lost.\nzct: 7 flow events have been shown.\n\
                    zct: 12 flow events have been lost.\n";
        assert_eq!(lost(said), 12);
        assert_eq!(lost("zct: 7 flow events have been shown.\n"), 0);
    }
}
