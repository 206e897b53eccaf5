//! `zct top` on a terminal: keys, signals and the clock, one after the other.

use super::deletion;
use super::keyboard::{self, KeyPress};
use super::options::{TopAsked, TopSelection};
use super::reading::{Reading, TopReader};
use super::screen::Screen;
use super::view::{Action, View};
use crate::fail::{Doing, Fail, Name, operation_failed};
use std::time::Instant;
use zct_engine::{Error, Handler, Reactor, Signals, Token, Turn};

const KEYBOARD: Token = Token(0);
const SIGNALS: Token = Token(1);
const START: Token = Token(2);

/// What comes from outside: keys and signals.
struct LiveInput {
    signals: Signals,
    typed: Vec<u8>,
    /// True once the program is to end: a signal, or the terminal is gone.
    ended: bool,
    resized: bool,
}

impl LiveInput {
    /// Takes the keys and signals that have arrived, without waiting.
    fn take(&mut self, screen: &mut Screen) {
        while let Ok(Some(signal)) = self.signals.pending() {
            match signal {
                libc::SIGWINCH => self.resized = true,
                _ => self.ended = true,
            }
        }
        self.ended |= screen.terminal.read(&mut self.typed).is_err();
    }
}

/// The program while it runs on a terminal.
struct Live {
    name: Name,
    screen: Screen,
    input: LiveInput,
    view: View,
    selection: TopSelection,
    reader: TopReader,
    reading: Option<Reading>,
    /// When the next reading is due.
    due: Instant,
    failed: Option<Fail>,
}

/// Shows the table until somebody has seen enough.
pub(super) fn run(name: Name, asked: TopAsked, selection: TopSelection) -> Result<(), Fail> {
    let doing = |e: &Error| operation_failed(Doing::Other, e);
    // Before the terminal is taken: a signal in between would leave it as it is then.
    let signals = [libc::SIGWINCH, libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
    let signals = Signals::take(&signals).map_err(|e| doing(&e))?;
    // The first reading comes before the screen: what fails is said where it can be read.
    let mut reader = TopReader::new();
    let reading = reader.read(&selection, &asked.keys, asked.order, &mut || false)?;
    let screen = Screen::take()?;
    let mut reactor = Reactor::new().map_err(|e| doing(&e))?;
    reactor.watch(&screen.terminal, KEYBOARD).map_err(|e| doing(&e))?;
    reactor.watch(&signals, SIGNALS).map_err(|e| doing(&e))?;
    let text = selection.text.clone();
    let mut view = View::new(asked.keys, asked.order, asked.delay, asked.rows, text);
    view.message = selection.call.args.warnings.join("; ");
    let input = LiveInput { signals, typed: Vec::new(), ended: false, resized: false };
    let due = Instant::now() + view.delay;
    let mut live = Live { name, screen, input, view, selection, reader, reading, due, failed: None };
    // The first turn draws, and says when the next one is due.
    reactor.set_timer(Instant::now(), START);
    let ran = reactor.run(Instant::now, &mut live).map_err(|e| doing(&e));
    let Live { screen, failed, .. } = live;
    drop(screen);
    failed.map_or(ran, Err)
}

impl Live {
    /// Does `what`, and ends with its failure if it fails.
    fn attempt(&mut self, what: impl FnOnce(&mut Live) -> Result<(), Fail>) {
        if let Err(fail) = what(self) {
            self.failed.get_or_insert(fail);
            self.input.ended = true;
        }
    }

    fn draw(&mut self) {
        let (width, height) = self.screen.size();
        let frame = self.view.frame(self.reading.as_ref(), width, height);
        self.attempt(|live| live.screen.draw(&frame));
    }

    /// Reads the table. A key that ends the program ends the reading too.
    fn read(&mut self) {
        let Live { reader, selection, view, input, screen, .. } = self;
        let typing = view.asks();
        let mut stop = || {
            input.take(screen);
            let ends = |b: &u8| *b == 3 || *b == b'q' && !typing;
            input.ended || input.typed.iter().any(ends)
        };
        match reader.read(selection, &view.keys, view.order, &mut stop) {
            Ok(Some(reading)) => self.reading = Some(reading),
            Ok(None) => {}
            Err(fail) => self.attempt(|_| Err(fail)),
        }
    }

    /// Does what was typed.
    fn keys(&mut self) {
        for key in keyboard::take(&mut self.input.typed) {
            let (_, height) = self.screen.size();
            match self.view.press(key, self.reading.as_ref(), height) {
                Action::Nothing => {}
                Action::Quit => self.input.ended = true,
                Action::Read => self.read(),
                Action::Select(text) => self.select(&text),
                Action::Delete(packed) => self.delete(&packed),
            }
            if self.input.ended {
                return;
            }
            // The new delay counts from now on.
            if matches!(key, KeyPress::Char('+' | '-')) {
                self.due = Instant::now() + self.view.delay;
            }
        }
    }

    /// Selects other flows or, if the words make no sense, says why.
    fn select(&mut self, text: &str) {
        match TopSelection::typed(self.name, text) {
            Ok(selection) => {
                self.view.selection.clone_from(&selection.text);
                self.view.message = selection.call.args.warnings.join("; ");
                self.selection = selection;
                self.reader.forget();
                self.read();
            }
            Err(fail) => self.view.message = String::from_utf8_lossy(&fail.text).into_owned(),
        }
    }

    /// Deletes the flows of a group that are still selected.
    fn delete(&mut self, packed: &crate::group::key::Packed) {
        let Some(reading) = &self.reading else { return };
        let said = deletion::run(self.name, &self.selection, &reading.keys, packed);
        self.view.message = match said {
            Ok(text) => text,
            Err(fail) => String::from_utf8_lossy(&fail.text).into_owned(),
        };
        // Refusals are named on standard error, which may be this terminal.
        self.attempt(|live| live.screen.clear());
        self.read();
    }
}

impl Handler for Live {
    fn ready(&mut self, _: Token, _: &mut Reactor) -> Result<Turn, Error> {
        self.input.take(&mut self.screen);
        Ok(Turn::Drained)
    }

    fn timer(&mut self, _: Token, _: Instant, _: &mut Reactor) -> Result<(), Error> {
        Ok(())
    }

    fn settle(&mut self, now: Instant, reactor: &mut Reactor) -> Result<Option<Instant>, Error> {
        if std::mem::take(&mut self.input.resized) {
            self.attempt(|live| live.screen.clear());
        }
        self.keys();
        if now >= self.due && !self.input.ended {
            if !self.view.paused && !self.view.asks() {
                self.read();
                // What was typed meanwhile.
                self.keys();
            }
            self.due = Instant::now() + self.view.delay;
        }
        if self.input.ended {
            reactor.stop();
            return Ok(None);
        }
        self.draw();
        Ok(Some(self.due))
    }
}
