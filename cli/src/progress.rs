//! How far long work has come, on standard error, for whoever waits for it at a terminal.
//!
//! It is one line, with the cursor at its start, and it is erased before anything else is written. Where
//! standard error is not a terminal, nothing is shown.

use std::io::{self, IsTerminal as _, StderrLock, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Work that is done sooner shows nothing. Longer work shows how far it is at this interval.
const EVERY: Duration = Duration::from_millis(500);
/// The clock is read only once in this many steps, since a step may be one flow of millions.
const STEPS: u32 = 16;

/// Whether the line is there. There is one terminal, whichever part of the program writes to it; this
/// changes only while standard error is locked.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// A piece of work that may take long. What it has shown is gone when this is dropped.
#[derive(Debug, Default)]
pub struct Progress {
    /// When to show something; `None` where nobody is watching.
    next: Option<Instant>,
    steps: u32,
}

impl Progress {
    /// For work that begins now.
    pub fn begin() -> Progress {
        // A terminal must be able to erase a line, which a dumb one is not; nothing else is asked of it.
        let draws = || std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb");
        let watched = io::stderr().is_terminal() && draws();
        Progress { next: watched.then(|| Instant::now() + EVERY), steps: 0 }
    }

    /// For work whose progress is not to be shown here.
    pub fn silent() -> Progress {
        Progress::default()
    }

    /// Whether anything will be shown, for whoever has to find out first what to show.
    pub fn is_watched(&self) -> bool {
        self.next.is_some()
    }

    /// After a small step: shows the text when it is time.
    pub fn step(&mut self, text: impl FnOnce() -> String) {
        if self.next.is_none() {
            return;
        }
        self.steps = (self.steps + 1) % STEPS;
        if self.steps == 0 {
            self.large_step(text);
        }
    }

    /// The same after a step that takes longer than reading the clock does.
    pub fn large_step(&mut self, text: impl FnOnce() -> String) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        self.next = Some(now + EVERY);
        let mut err = io::stderr().lock();
        SHOWN.store(true, Ordering::Relaxed);
        // The rest of the line is erased, as the text before may have been longer. The cursor goes back to
        // the start, so that what another program writes to the terminal begins a line.
        _ = err.write_all(format!("{}\x1b[K\r", text()).as_bytes());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_watched() {
            clear(&mut io::stderr().lock());
        }
    }
}

/// Erases the line, before something else is written to standard error.
pub fn clear(err: &mut StderrLock<'_>) {
    if SHOWN.swap(false, Ordering::Relaxed) {
        _ = err.write_all(b"\x1b[K");
    }
}

/// Erases the line before something is written to standard output, if that is a terminal too.
pub fn make_way() {
    if SHOWN.load(Ordering::Relaxed) && io::stdout().is_terminal() {
        clear(&mut io::stderr().lock());
    }
}
