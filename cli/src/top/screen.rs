//! The terminal: an alternate screen that goes away with the program, however that ends, and frames on it.
//!
//! The few sequences that are needed are those of ECMA-48 and of xterm's alternate screen, which every
//! terminal in use knows; docs/decisions.md says why no library writes them.

use super::view::{Frame, Look};
use crate::fail::Fail;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zct_engine::{Error, Terminal, TerminalState};

/// The alternate screen, without a cursor; what was there before comes back with [`LEAVE`].
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";
/// What a terminal that does not know its size is taken for.
const USUAL: (usize, usize) = (80, 24);

/// A frame as the bytes that draw it over the one before. Every line is cleared behind its end, and nothing
/// is cleared before it is written, so nothing flickers.
pub(super) fn paint(frame: &Frame, styles: bool) -> Vec<u8> {
    let mut out = b"\x1b[?25l\x1b[H".to_vec();
    for (at, (line, look)) in frame.lines.iter().enumerate() {
        if at > 0 {
            out.extend(b"\r\n");
        }
        let style: &[u8] = match look {
            _ if !styles => b"",
            Look::Plain => b"",
            Look::Inverse => b"\x1b[7m",
            Look::Notice => b"\x1b[33m",
            Look::Alarm => b"\x1b[31m",
        };
        out.extend(style);
        out.extend(line.as_bytes());
        out.extend(if style.is_empty() { &b"\x1b[K"[..] } else { b"\x1b[0m\x1b[K" });
    }
    out.extend(b"\x1b[J");
    if let Some(column) = frame.cursor {
        out.extend(format!("\x1b[{};{}H\x1b[?25h", frame.lines.len(), column + 1).as_bytes());
    }
    out
}

/// Gives the terminal back, once.
#[derive(Clone, Debug)]
struct Leave {
    state: TerminalState,
    left: Arc<AtomicBool>,
}

impl Leave {
    fn leave(&self) {
        if !self.left.swap(true, Ordering::SeqCst) {
            let mut out = io::stdout().lock();
            // Whether this arrives or not, there is nothing else to be done.
            _ = out.write_all(LEAVE).and_then(|()| out.flush());
            self.state.restore();
        }
    }
}

/// The screen, until it is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) terminal: Terminal,
    leave: Leave,
    styles: bool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be drawn on, with what to do instead.
    pub(super) fn take() -> Result<Screen, Fail> {
        let kind = std::env::var("TERM").unwrap_or_default();
        if kind.is_empty() || kind == "dumb" {
            return Err(Fail::runtime(format!(
                "cannot draw on this terminal (TERM={kind}): use --batch or -1"
            )));
        }
        let failed = |e: &Error| Fail::runtime(format!("Cannot use the terminal: {e}"));
        let terminal = keyboard().and_then(Terminal::take).map_err(|e| failed(&e))?;
        let leave = Leave { state: terminal.state(), left: Arc::default() };
        let first = leave.clone();
        let next = std::panic::take_hook();
        // Before the message of a panic, so that it stays to be read.
        std::panic::set_hook(Box::new(move |info| {
            first.leave();
            next(info);
        }));
        let styles = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let mut screen = Screen { terminal, leave, styles };
        screen.write(ENTER)?;
        Ok(screen)
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        self.terminal.size().unwrap_or(USUAL)
    }

    /// Draws a frame over the one before.
    pub(super) fn draw(&mut self, frame: &Frame) -> Result<(), Fail> {
        let bytes = paint(frame, self.styles);
        self.write(&bytes)
    }

    /// Clears everything, for what others may have written.
    pub(super) fn clear(&mut self) -> Result<(), Fail> {
        self.write(b"\x1b[2J")
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| crate::commands::output_failed(&e))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave.leave();
    }
}

/// Standard input or, where that is something else, the terminal that the program belongs to.
fn keyboard() -> Result<File, Error> {
    if io::stdin().is_terminal() {
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(|e| Error::sys("dup", e))?;
        return Ok(File::from(stdin));
    }
    File::options().read(true).write(true).open("/dev/tty").map_err(|e| Error::sys("open /dev/tty", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let lines = [("one", Look::Plain), ("two", Look::Inverse), ("three", Look::Alarm)];
        Frame { lines: lines.map(|(l, look)| (l.to_owned(), look)).into(), cursor: None }
    }

    #[test]
    fn a_frame_covers_the_one_before() {
        let text = |styles| String::from_utf8(paint(&frame(), styles)).unwrap();
        assert_eq!(
            text(true),
            "\x1b[?25l\x1b[Hone\x1b[K\r\n\x1b[7mtwo\x1b[0m\x1b[K\r\n\x1b[31mthree\x1b[0m\x1b[K\x1b[J"
        );
        assert_eq!(text(false), "\x1b[?25l\x1b[Hone\x1b[K\r\ntwo\x1b[K\r\nthree\x1b[K\x1b[J");
    }

    #[test]
    fn where_something_is_typed_there_is_a_cursor() {
        let bytes = paint(&Frame { cursor: Some(4), ..frame() }, false);
        assert!(bytes.ends_with(b"\x1b[J\x1b[3;5H\x1b[?25h"));
    }
}
