//! Files that are read whole: configurations, label maps, `/etc/protocols`, keys.
//!
//! Whoever runs the command names such a file, and the name may be a mistake: a log file, a device that
//! never ends. So every reader says how large the file and a line of it may be, and gets an error that names
//! the bound instead of filling the memory. A pipe or `/dev/stdin` is read like a regular file, up to the
//! same bounds.
//!
//! ```no_run
//! use std::path::Path;
//! use zct_engine::read_file::{Bounds, read_file};
//!
//! const BOUNDS: Bounds = Bounds { file: 1 << 20, line: 4096 };
//! let text = read_file(Path::new("/etc/protocols"), BOUNDS)?;
//! # Ok::<(), zct_engine::read_file::ReadError>(())
//! ```

use crate::errno_text;
use memchr::memchr_iter;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes read at a time, and so the most that is read past a bound in vain.
const PIECE: usize = 16 << 10;

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the whole file.
    pub file: usize,
    /// Bytes of one line, without its newline.
    pub line: usize,
}

/// Why a file was not read.
#[derive(Debug)]
pub struct ReadError {
    /// The file as it was named.
    pub path: PathBuf,
    /// The reason, for callers that name the file in words of their own.
    pub why: Unread,
}

/// The reason for a [`ReadError`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Unread {
    /// It cannot be opened or read: not there, a directory, no permission.
    System(io::Error),
    /// It has more bytes than this.
    FileTooLarge(usize),
    /// A line has more bytes than the bound.
    LineTooLong {
        /// The line's number, counted from 1.
        line: usize,
        /// The bound in bytes.
        max: usize,
    },
}

/// Reads a file whole.
///
/// # Errors
/// [`ReadError`], whose text is `FILE: REASON`.
pub fn read_file(path: &Path, bounds: Bounds) -> Result<Vec<u8>, ReadError> {
    let read = File::open(path).map_err(Unread::System).and_then(|file| read_whole(file, bounds));
    read.map_err(|why| ReadError { path: path.into(), why })
}

/// Reads input that has no name, or is already open, to its end.
///
/// # Errors
/// The reason alone, without a file name.
///
/// # Allocation
/// As much as there is to read, at most `bounds.file` bytes and one piece.
pub fn read_whole(mut input: impl Read, bounds: Bounds) -> Result<Vec<u8>, Unread> {
    let mut text = Vec::new();
    let (mut line, mut line_start) = (1, 0);
    loop {
        let before = text.len();
        let got = input.by_ref().take(PIECE as u64).read_to_end(&mut text).map_err(Unread::System)?;
        // A line is checked as soon as its bytes are there: a device that never ends has no second line.
        for newline in memchr_iter(b'\n', &text[before..]) {
            check_line(line, before + newline - line_start, bounds)?;
            (line, line_start) = (line + 1, before + newline + 1);
        }
        check_line(line, text.len() - line_start, bounds)?;
        if text.len() > bounds.file {
            return Err(Unread::FileTooLarge(bounds.file));
        }
        if got < PIECE {
            return Ok(text);
        }
    }
}

fn check_line(line: usize, length: usize, bounds: Bounds) -> Result<(), Unread> {
    if length > bounds.line { Err(Unread::LineTooLong { line, max: bounds.line }) } else { Ok(()) }
}

/// A number of bytes as people say it: `16 MiB`, `4 KiB`, `1023 bytes`.
struct Amount(usize);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 20 && n % (1 << 20) == 0 => write!(f, "{} MiB", n >> 20),
            n if n >= 1 << 10 && n % (1 << 10) == 0 => write!(f, "{} KiB", n >> 10),
            n => write!(f, "{n} bytes"),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::System(e) => match e.raw_os_error() {
                Some(errno) => f.write_str(&errno_text(errno)),
                None => write!(f, "{e}"),
            },
            Unread::FileTooLarge(max) => write!(f, "more than {}, the most that is read", Amount(*max)),
            Unread::LineTooLong { line, max } => {
                write!(f, "line {line} is longer than {}, the most that is read", Amount(*max))
            }
        }
    }
}

impl ReadError {
    /// True when there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(&self.why, Unread::System(e) if e.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Unread::System(e) => Some(e),
            Unread::FileTooLarge(_) | Unread::LineTooLong { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    const SMALL: Bounds = Bounds { file: 10, line: 4 };

    fn said(text: &[u8], bounds: Bounds) -> String {
        read_whole(text, bounds).map_or_else(|e| e.to_string(), |t| format!("{} bytes", t.len()))
    }

    #[test]
    fn both_bounds_are_exact() {
        assert_eq!(said(b"abcd\nabcd\n", SMALL), "10 bytes");
        assert_eq!(said(b"abcd\nabcd", SMALL), "9 bytes");
        assert_eq!(said(b"", SMALL), "0 bytes");
        assert_eq!(said(b"a\nabcde", SMALL), "line 2 is longer than 4 bytes, the most that is read");
        assert_eq!(said(b"a\nabcde\n", SMALL), "line 2 is longer than 4 bytes, the most that is read");
        assert_eq!(said(b"a\na\na\na\na\na", SMALL), "more than 10 bytes, the most that is read");
    }

    #[test]
    fn lines_are_counted_over_the_pieces_of_a_large_file() {
        let (of_60, lines) = ([b'x'; 60], 3 * PIECE / 61);
        let mut text: Vec<u8> = std::iter::repeat_n([&of_60[..], b"\n"].concat(), lines).flatten().collect();
        let bounds = Bounds { file: 1 << 20, line: 60 };
        assert_eq!(read_whole(&text[..], bounds).unwrap(), text);
        text.extend([b'x'; 61]);
        let want = format!("line {} is longer than 60 bytes, the most that is read", lines + 1);
        assert_eq!(said(&text, bounds), want);
        let want = "more than 1 KiB, the most that is read";
        assert_eq!(said(&text, Bounds { file: 1 << 10, line: 100 }), want);
    }

    #[test]
    fn what_never_ends_is_an_error_that_names_it() {
        let zero = Path::new("/dev/zero");
        let e = read_file(zero, Bounds { file: 16 << 20, line: 4096 }).unwrap_err();
        assert_eq!(e.to_string(), "/dev/zero: line 1 is longer than 4 KiB, the most that is read");
        let e = read_file(zero, Bounds { file: 2 << 20, line: usize::MAX }).unwrap_err();
        assert_eq!(e.to_string(), "/dev/zero: more than 2 MiB, the most that is read");
    }

    #[test]
    fn a_stream_is_read_to_its_end_however_it_comes() {
        let (reader, mut writer) = UnixStream::pair().unwrap();
        let writing = std::thread::spawn(move || {
            for _ in 0..100 {
                writer.write_all(&[b'\n'; 999]).unwrap();
            }
        });
        let text = read_whole(reader, Bounds { file: 99_900, line: 0 }).unwrap();
        writing.join().unwrap();
        assert_eq!(text.len(), 99_900);
    }

    #[test]
    fn the_reason_is_the_systems() {
        let said = |path: &str| read_file(Path::new(path), SMALL).unwrap_err().to_string();
        assert_eq!(said("/nonexistent/file"), "/nonexistent/file: No such file or directory");
        assert_eq!(said("/proc"), "/proc: Is a directory");
    }
}
