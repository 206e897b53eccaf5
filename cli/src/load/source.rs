//! A batch file, read twice: once to check it, once to carry it out.

use crate::fail::Fail;
use memchr::memchr;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use zct_engine::read_file::Unread;

/// The longest line, without its newline. The original cuts a longer one into several, each a command.
const LINE_MAX: usize = 10_238;
/// A file smaller than this is not worth a second thread.
const HALVES_MIN: u64 = 256 << 10;
/// How many bytes are read at a time.
const ROOM: usize = 64 << 10;

/// The lines of a file, which can be read any number of times. A pipe is copied into a temporary file
/// without a name while it is read for the first time.
#[derive(Debug)]
pub struct Source {
    /// The name that messages use for it.
    pub name: String,
    input: SourceInput,
}

#[derive(Debug)]
enum SourceInput {
    /// A file that can be read again, from this position.
    Seekable(File, u64),
    /// A pipe, and the file that has everything read from it so far.
    Piped { pipe: File, copy: File },
}

/// One line and its number, from 1.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The line with its newline, if it has one.
    pub text: &'a [u8],
    /// Its number in the file, from 1.
    pub number: u64,
}

impl Source {
    /// Opens `file`; `-` is standard input.
    ///
    /// # Errors
    /// A usage error in the original's words, if the file cannot be opened.
    pub fn open(file: &[u8]) -> Result<Source, Fail> {
        let name = String::from_utf8_lossy(file).into_owned();
        // The original's words, and the reason.
        let failed = |e: io::Error| {
            Fail::word("Failed to open file ", file, &format!(" for reading: {}", Unread::System(e)))
        };
        let opened = if file == b"-" {
            io::stdin().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open(OsStr::from_bytes(file))
        };
        let mut input = opened.map_err(failed)?;
        if input.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from_raw_os_error(libc::EISDIR)));
        }
        let input = match input.stream_position() {
            Ok(start) => SourceInput::Seekable(input, start),
            Err(_) => SourceInput::Piped { pipe: input, copy: unnamed_file()? },
        };
        Ok(Source { name, input })
    }

    /// Two parts of about the same size that begin with a line each; `None` for a small file or a pipe.
    pub fn halves(&self) -> Option<[Part<'_>; 2]> {
        let SourceInput::Seekable(file, start) = &self.input else { return None };
        let meta = file.metadata().ok()?;
        let (at, end) = (*start, meta.len());
        if !meta.is_file() || end.saturating_sub(at) < HALVES_MIN {
            return None;
        }
        let middle = at + (end - at) / 2;
        let mut buf = [0; LINE_MAX + 2];
        let n = file.read_at(&mut buf, middle).ok()?;
        let newline = memchr(b'\n', buf.get(..n)?)?;
        let cut = middle + newline as u64 + 1;
        let part = |at, end| Part { name: &self.name, file, at, end };
        Some([part(at, cut), part(cut, end)])
    }

    /// Hands every line to `take`, from the first.
    pub fn each_line(&mut self, mut take: impl FnMut(Line<'_>) -> Result<(), Fail>) -> Result<(), Fail> {
        let name = self.name.clone();
        let failed = |e: io::Error| Fail::runtime(format!("Cannot read {name}: {e}"));
        match &mut self.input {
            SourceInput::Seekable(file, start) => {
                file.seek(SeekFrom::Start(*start)).map_err(failed)?;
                lines(&mut *file, &name, take)
            }
            SourceInput::Piped { pipe, copy } => {
                let both = Tee { from: pipe, to: &*copy };
                lines(both, &name, &mut take)?;
                // From now on the copy is read, like any other file.
                let copy = copy.try_clone().map_err(failed)?;
                self.input = SourceInput::Seekable(copy, 0);
                Ok(())
            }
        }
    }
}

/// A part of a file, read by its positions, so that another part can be read meanwhile.
#[derive(Debug)]
pub struct Part<'a> {
    name: &'a str,
    file: &'a File,
    at: u64,
    end: u64,
}

impl Part<'_> {
    /// Hands every line to `take`, numbered from the part's first.
    pub fn each_line(self, take: impl FnMut(Line<'_>) -> Result<(), Fail>) -> Result<(), Fail> {
        let name = self.name.to_owned();
        lines(self, &name, take)
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let room = buf.len().min(left);
        let n = self.file.read_at(&mut buf[..room], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

fn lines(
    mut input: impl Read,
    name: &str,
    mut take: impl FnMut(Line<'_>) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut buf = vec![0; ROOM];
    // The range of the buffer that has been read but not yet taken.
    let (mut start, mut end) = (0, 0);
    let (mut number, mut ended) = (1, false);
    while !ended || start < end {
        let length = match memchr(b'\n', &buf[start..end]) {
            Some(newline) => newline,
            // The last line may lack a newline; a line that is too long is not read to its end.
            None if ended || end - start > LINE_MAX => end - start,
            None => {
                buf.copy_within(start..end, 0);
                (start, end) = (0, end - start);
                match input.read(&mut buf[end..]) {
                    Ok(n) => (end, ended) = (end + n, n == 0),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Fail::runtime(format!("Cannot read {name}: {e}"))),
                }
                continue;
            }
        };
        if length > LINE_MAX {
            return Err(Fail::usage(format!("line too long: more than {LINE_MAX} bytes ({name}:{number})")));
        }
        let after = end.min(start + length + 1);
        take(Line { text: &buf[start..after], number })?;
        (start, number) = (after, number + 1);
    }
    Ok(())
}

/// Reads from one file, and copies everything it reads to another.
struct Tee<'a> {
    from: &'a mut File,
    to: &'a File,
}

impl Read for Tee<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        self.to.write_all(&buf[..n])?;
        Ok(n)
    }
}

/// A file in the directory for temporary files whose name has been removed already.
fn unnamed_file() -> Result<File, Fail> {
    let dir = std::env::temp_dir();
    let failed = |e: io::Error| {
        Fail::runtime(format!("Cannot make a temporary file in {} (see TMPDIR): {e}", dir.display()))
    };
    for attempt in 0..100u32 {
        let path = dir.join(format!("zct-{}-{attempt}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path).map_err(failed)?;
                return Ok(file);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_numbers_and_a_limit() {
        let mut seen = Vec::new();
        lines(&b"a\n\nb"[..], "x", |l| {
            seen.push((l.text.to_vec(), l.number));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(b"a\n".to_vec(), 1), (b"\n".to_vec(), 2), (b"b".to_vec(), 3)]);
        let ok = [vec![b'x'; LINE_MAX], b"\n".to_vec()].concat();
        assert!(lines(&ok[..], "x", |_| Ok(())).is_ok());
        let long = [vec![b'x'; LINE_MAX + 1], b"\n".to_vec()].concat();
        assert_eq!(lines(&long[..], "x", |_| Ok(())).unwrap_err().code(), 2);
    }

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come() {
        /// Returns this many bytes per read, and is interrupted by a signal before each.
        struct Pieces<'a>(&'a [u8], usize, bool);
        impl Read for Pieces<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.2 = !self.2;
                if self.2 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let room = self.1.min(buf.len());
                self.0.read(&mut buf[..room])
            }
        }
        let line = |n: usize| format!("{}{n}\n", "x".repeat(n * 331 % (LINE_MAX - 5)));
        let text: String = (0..60).map(line).collect::<String>() + "last";
        for piece in [1, 7, 4096, ROOM] {
            let (mut seen, mut count) = (Vec::new(), 0);
            lines(Pieces(text.as_bytes(), piece, false), "x", |l| {
                seen.extend_from_slice(l.text);
                count += 1;
                assert_eq!(l.number, count);
                Ok(())
            })
            .unwrap();
            assert!(seen == text.as_bytes() && count == 61, "{piece}");
        }
    }

    #[test]
    fn halves_are_the_whole() {
        let dir = std::env::temp_dir().join(format!("zct-halves-{}", std::process::id()));
        for last in ["", "\n"] {
            let text: String = (0..40_000).map(|n| format!("line {n}\n")).collect();
            std::fs::write(&dir, format!("{}{last}", text.trim_end())).unwrap();
            let source = Source::open(dir.as_os_str().as_bytes()).unwrap();
            let mut seen = Vec::new();
            for half in source.halves().expect("it is large") {
                let before = seen.len();
                half.each_line(|l| {
                    seen.push(String::from_utf8(l.text.to_vec()).unwrap());
                    Ok(())
                })
                .unwrap();
                assert!(seen.len() - before > 15_000);
            }
            assert_eq!(seen.concat(), format!("{}{last}", text.trim_end()));
        }
        std::fs::write(&dir, "small\n").unwrap();
        assert!(Source::open(dir.as_os_str().as_bytes()).unwrap().halves().is_none());
        std::fs::remove_file(dir).unwrap();
    }

    #[test]
    fn a_pipe_is_read_twice() {
        let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
        writer.write_all(b"one\ntwo\n").unwrap();
        drop(writer);
        let pipe = File::from(std::os::fd::OwnedFd::from(reader));
        let mut source =
            Source { name: "p".into(), input: SourceInput::Piped { pipe, copy: unnamed_file().unwrap() } };
        for _ in 0..3 {
            let mut seen = Vec::new();
            source
                .each_line(|l| {
                    seen.extend_from_slice(l.text);
                    Ok(())
                })
                .unwrap();
            assert_eq!(seen, b"one\ntwo\n");
        }
    }
}
