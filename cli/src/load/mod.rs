//! `-R FILE`: the commands of a file (command-line.md §6).
//!
//! The whole file is checked before anything is carried out. Then every line behaves as if run alone, in
//! order, only faster: creations travel in batches, and a run of deletions is one pass over the table.

pub mod carry_out;
mod options;
pub mod selectors;
pub mod source;
pub mod words;

use crate::commands::Invocation;
use crate::fail::{Fail, Name, warn};
use crate::flags::args::Args;
use crate::flags::command::{Cmd, Table};
use crate::flags::{check_legal, parse};
use crate::progress::Progress;
use crate::values::label::LabelMap;
use carry_out::Runner;
use crossbeam_channel::{Receiver, Sender, bounded};
pub use options::Options;
use smallvec::SmallVec;
use source::Source;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use words::Splitter;

/// Runs the commands of `file`; `-` is standard input.
pub fn run(name: Name, file: &[u8], options: Options) -> Result<(), Fail> {
    let mut source = Source::open(file)?;
    let mut lines = LineParser::new(name);
    let total = match check_in_halves(&source, name) {
        Some(total) => total,
        None => check(&mut source, &mut lines)?,
    };
    let mut runner = Runner::new(name, source.name.clone(), options, total)?;
    let ended = if total < OVERLAP_MIN || zct_engine::processors() == 1 {
        source.each_line(|line| {
            if Splitter::is_blank(line.text) {
                return Ok(());
            }
            let call = lines.parse(line.text, None)?;
            runner.line(call, line)
        })
    } else {
        overlapped(&mut source, &mut lines, &mut runner)
    };
    runner.finish(ended)
}

/// A file with fewer commands than this is not worth a thread.
const OVERLAP_MIN: u64 = 1000;
/// How many commands are handed over at a time.
const PIECE: usize = 128;
/// How many pieces are in circulation.
const PIECES: usize = 3;

/// Some commands, each with the number and the text of its line.
#[derive(Default)]
struct Piece {
    calls: Vec<(Invocation, u64, usize)>,
    text: Vec<u8>,
}

/// Reads lines here and carries them out on another thread: the kernel works while the next ones are read.
fn overlapped(source: &mut Source, lines: &mut LineParser, runner: &mut Runner) -> Result<(), Fail> {
    // Pieces go over full and come back empty. Each channel has room for all: sending never waits.
    let ((full, filled), (back, empty)) = (bounded(PIECES), bounded(PIECES));
    // Sending cannot fail: both ends are still here.
    _ = (0..PIECES).all(|_| back.send(Piece::default()).is_ok());
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || carry_out_pieces(runner, &filled, &back));
        let read = read_pieces(source, lines, full, &empty);
        // A panic in the worker continues in this thread.
        let carried_out = worker.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
        carried_out.and(read)
    })
}

/// The reading side. It ends at the end of the file, at a line that is wrong, or when the other side has
/// ended; when it returns, it drops its sender, which ends the other side.
fn read_pieces(
    source: &mut Source,
    lines: &mut LineParser,
    full: Sender<Piece>,
    empty: &Receiver<Piece>,
) -> Result<(), Fail> {
    // The other side reports its own failure.
    let next_empty = || empty.recv().map_err(|_| Fail::silent());
    let mut piece = next_empty()?;
    let read = source.each_line(|line| {
        if Splitter::is_blank(line.text) {
            return Ok(());
        }
        let call = lines.parse(line.text, None)?;
        piece.text.extend_from_slice(line.text);
        piece.calls.push((call, line.number, piece.text.len()));
        if piece.calls.len() == PIECE {
            let whole = std::mem::replace(&mut piece, next_empty()?);
            full.send(whole).map_err(|_| Fail::silent())?;
        }
        Ok(())
    });
    // This fails when a command has failed and the other side has ended.
    _ = full.send(piece);
    read
}

fn carry_out_pieces(runner: &mut Runner, filled: &Receiver<Piece>, back: &Sender<Piece>) -> Result<(), Fail> {
    while let Ok(mut piece) = filled.recv() {
        let mut start = 0;
        for (call, number, end) in piece.calls.drain(..) {
            runner.line(call, source::Line { text: &piece.text[start..end], number })?;
            start = end;
        }
        piece.text.clear();
        // This fails once the file has been read to its end.
        _ = back.send(piece);
    }
    Ok(())
}

/// Each half says how far it is each time it has checked this many lines.
const TOLD: u64 = 256;

fn lines_checked(count: u64) -> String {
    format!("{count} lines checked")
}

/// The same as [`check`] for a large file, on two processors at once. `None` when there is anything to
/// report, which [`check`] then finds again in file order, or when the file is not worth a thread.
fn check_in_halves(source: &Source, name: Name) -> Option<u64> {
    if zct_engine::processors() == 1 {
        return None;
    }
    let halves = source.halves()?;
    let checked = AtomicU64::new(0);
    let count = |half: source::Part<'_>, mut progress: Progress| {
        let (mut lines, mut total) = (LineParser::new(name), 0);
        let read = half.each_line(|line| {
            if Splitter::is_blank(line.text) {
                return Ok(());
            }
            let call = lines.parse(line.text, None)?;
            total += 1;
            if total % TOLD == 0 {
                let checked = checked.fetch_add(TOLD, Ordering::Relaxed) + TOLD;
                progress.large_step(|| lines_checked(checked));
            }
            allowed(call.args.action)
        });
        (read.is_ok() && !lines.warned).then_some(total)
    };
    let [first, second] = halves;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| count(second, Progress::silent()));
        let total: Option<u64> = count(first, Progress::begin());
        let other: Option<u64> = other.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
        Some(total? + other?)
    })
}

/// Reads the whole file and finds the first usage error; returns the number of commands. Commands that may
/// not be in a file are reported only if everything else is right.
fn check(source: &mut Source, lines: &mut LineParser) -> Result<u64, Fail> {
    let name = source.name.clone();
    let (mut total, mut forbidden) = (0, None);
    let mut progress = Progress::begin();
    source.each_line(|line| {
        if Splitter::is_blank(line.text) {
            return Ok(());
        }
        let place = format!("{name}:{}", line.number);
        let at = |f: Fail| f.at(&place);
        let call = lines.parse(line.text, Some(&place)).map_err(at)?;
        total += 1;
        progress.step(|| lines_checked(total));
        if forbidden.is_none() {
            forbidden = allowed(call.args.action).err().map(at);
        }
        Ok(())
    })?;
    lines.say_how_many_more();
    forbidden.map_or(Ok(total), Err)
}

/// Refuses commands that may not be in a file.
fn allowed(action: Option<(Cmd, Table)>) -> Result<(), Fail> {
    let command = match action {
        Some((Cmd::Create | Cmd::Add | Cmd::Update | Cmd::Delete | Cmd::Flush, Table::Conntrack)) => {
            return Ok(());
        }
        None => "unknown".to_owned(),
        Some((cmd, table)) => {
            // The original's messages use another letter for creating an expectation.
            let letter = match (cmd, table) {
                (Cmd::Create, Table::Expect) => 'C',
                _ => letter(cmd),
            };
            format!("-{letter}{}", if table == Table::Expect { " expect" } else { "" })
        }
    };
    Err(Fail::usage(format!("Cannot use command `{command}' with --load-file")))
}

fn letter(cmd: Cmd) -> char {
    let command = crate::flags::command::COMMANDS.iter().find(|c| c.cmd == cmd);
    command.map_or('?', |c| char::from(c.short))
}

/// The words of a line, which may begin with the program's name as on a command line.
fn without_program<'a, 'w>(words: &'a [&'w [u8]]) -> &'a [&'w [u8]] {
    match words {
        [first, rest @ ..] if matches!(first.rsplit(|b| *b == b'/').next(), Some(b"conntrack" | b"zct")) => {
            rest
        }
        _ => words,
    }
}

/// Turns lines into commands. Each label file is read only once.
struct LineParser {
    name: Name,
    splitter: Splitter,
    labels: Vec<(Option<OsString>, Option<Arc<LabelMap>>)>,
    /// True when any line has had a warning.
    warned: bool,
    /// How many warnings there have been, shown or not.
    warnings: u64,
}

/// How many warnings about a file are shown; further ones are only counted.
const WARNINGS_MAX: u64 = 20;

impl LineParser {
    fn new(name: Name) -> LineParser {
        LineParser { name, splitter: Splitter::default(), labels: Vec::new(), warned: false, warnings: 0 }
    }

    /// Reads and checks one line. Its warnings are shown if its place is given.
    fn parse(&mut self, line: &[u8], place: Option<&str>) -> Result<Invocation, Fail> {
        let mut args = Args { in_file: true, ..Args::default() };
        let words: SmallVec<[&[u8]; 32]> = self.splitter.split(line)?.collect();
        let parsed = parse::parse(without_program(&words), &mut args);
        drop(words);
        self.warned |= !args.warnings.is_empty();
        if let Some(place) = place {
            self.show(&args.warnings, place);
        }
        parsed?;
        let labels = if args.needs_labels() { self.labels_of(&args) } else { None };
        let call = Invocation::new(self.name, args, labels)?;
        check_legal::check(&call.args, self.name)?;
        Ok(call)
    }

    fn show(&mut self, warnings: &[String], place: &str) {
        for warning in warnings {
            self.warnings += 1;
            if self.warnings <= WARNINGS_MAX {
                warn(format!("{warning} ({place})").as_bytes());
            }
        }
    }

    /// Says how many more warnings there were than were shown.
    fn say_how_many_more(&self) {
        if let Some(more @ 1..) = self.warnings.checked_sub(WARNINGS_MAX) {
            warn(format!("WARNING: {more} more warnings about lines of this file").as_bytes());
        }
    }

    fn labels_of(&mut self, args: &Args) -> Option<Arc<LabelMap>> {
        if let Some((_, map)) = self.labels.iter().find(|(file, _)| *file == args.labelmap) {
            return map.clone();
        }
        let map = Invocation::load_labels(args);
        self.labels.push((args.labelmap.clone(), map.clone()));
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str) -> String {
        let mut lines = LineParser::new(Name::Conntrack);
        let call = lines.parse(words.as_bytes(), None).unwrap();
        match allowed(call.args.action) {
            Ok(()) => "allowed".to_owned(),
            Err(f) => String::from_utf8(f.text).unwrap(),
        }
    }

    #[test]
    fn what_has_a_place_in_a_file() {
        for line in ["conntrack -D -s 1.1.1.1\n", "/sbin/zct -F", "-D"] {
            assert_eq!(command(line), "allowed", "{line}");
        }
        for (line, shown) in [
            ("-L", "-L"),
            ("-L expect", "-L expect"),
            ("-S", "-S"),
            ("stray", "unknown"),
            ("\"\"", "unknown"),
            ("-F expect", "-F expect"),
        ] {
            assert_eq!(command(line), format!("Cannot use command `{shown}' with --load-file"));
        }
    }

    #[test]
    fn options_after_the_file() {
        assert_eq!(Options::of(&[b"x", b"--keep-going"]), Options { keep_going: true, dry_run: false });
        assert_eq!(Options::of(&[b"--dry-run"]), Options { keep_going: false, dry_run: true });
    }
}
