//! A terminal that a program draws on: every key at once, and the state from before given back.

use crate::error::Error;
use crate::sys::{self, TerminalMode};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::sync::Arc;

/// A terminal in raw mode, from when it is made until [`Terminal::state`] is restored.
///
/// # Allocation
/// None after it was made.
#[derive(Debug)]
pub struct Terminal {
    input: File,
    state: TerminalState,
}

/// What the terminal was like before, to be restored from wherever the program ends: a panic too.
#[derive(Clone)]
pub struct TerminalState(Arc<Saved>);

struct Saved {
    terminal: File,
    mode: TerminalMode,
}

impl std::fmt::Debug for TerminalState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TerminalState").field(&self.0.terminal).finish()
    }
}

impl TerminalState {
    /// Gives the terminal its mode back. If that fails, it is gone, and there is nobody left to tell.
    pub fn restore(&self) {
        _ = sys::set_terminal_mode(self.0.terminal.as_fd(), &self.0.mode);
    }
}

impl Terminal {
    /// Makes the terminal that `input` reads from give every key at once, without echo; keys that make
    /// signals are keys like others.
    ///
    /// # Errors
    /// [`Error::Sys`] of `tcgetattr` or `tcsetattr`: ENOTTY when it is not a terminal, EIO in the background.
    pub fn take(input: File) -> Result<Terminal, Error> {
        let mode = sys::terminal_mode(input.as_fd()).map_err(|e| Error::sys("tcgetattr", e))?;
        let terminal = input.try_clone().map_err(|e| Error::sys("dup", e))?;
        sys::set_terminal_mode(input.as_fd(), &mode.raw()).map_err(|e| Error::sys("tcsetattr", e))?;
        Ok(Terminal { input, state: TerminalState(Arc::new(Saved { terminal, mode })) })
    }

    /// What to restore at the end.
    pub fn state(&self) -> TerminalState {
        self.state.clone()
    }

    /// Columns and lines; `None` when the terminal does not know them.
    pub fn size(&self) -> Option<(usize, usize)> {
        let (columns, lines) = sys::terminal_size(self.input.as_fd()).ok()?;
        (columns > 0 && lines > 0).then_some((columns.into(), lines.into()))
    }

    /// Appends what has been typed since; does not wait.
    ///
    /// # Errors
    /// [`Error::Sys`] of `read`: EIO when the terminal is gone.
    pub fn read(&mut self, into: &mut Vec<u8>) -> Result<(), Error> {
        let mut buf = [0; 256];
        loop {
            match self.input.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(n) => into.extend(buf.iter().take(n)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(Error::sys("read", e)),
            }
        }
    }
}

impl AsRawFd for Terminal {
    fn as_raw_fd(&self) -> RawFd {
        self.input.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_is_refused() {
        let null = File::open("/dev/null").expect("a file");
        let refused = Terminal::take(null).expect_err("no terminal");
        assert_eq!(refused.errno(), Some(libc::ENOTTY));
    }
}
