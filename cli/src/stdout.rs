//! Standard output: one buffer, large writes, and no entry cut in two.

use crate::progress;
use std::io::{self, Write};
use zct_wire::WireError;
use zct_wire::text::Out;

/// Why a piece of text was not printed.
#[derive(Debug)]
pub enum PrintError {
    /// The message it was made from cannot be read, and nothing of it was printed.
    Wire(WireError),
    /// Writing failed: the reader of our output is gone, or its disk is full.
    Io(io::Error),
}

impl std::fmt::Debug for Printer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printer").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Collects rendered text and writes it in pieces of up to [`Printer::ROOM`] bytes.
///
/// # Allocation
/// The buffer is allocated with the first line and grows once, to [`Printer::ROOM`]. Only a single line that is
/// longer makes it grow beyond, up to [`Printer::ROOM_MAX`].
pub struct Printer {
    to: Box<dyn Write + Send>,
    buf: Vec<u8>,
    len: usize,
}

impl Printer {
    /// How many bytes are collected before they are written: enough to make the cost of system calls vanish.
    pub const ROOM: usize = 128 << 10;
    /// Bytes there is room for once anything is printed, which is all that most commands write.
    const ROOM_FIRST: usize = 8 << 10;
    /// The longest line there can be: a message has at most 64 KiB, and escaping turns one byte into six.
    pub const ROOM_MAX: usize = 1 << 20;

    /// Prints to `to`.
    pub fn new(to: impl Write + Send + 'static) -> Printer {
        Printer { to: Box::new(to), buf: Vec::new(), len: 0 }
    }

    /// Appends everything that `render` writes, or nothing if it fails.
    ///
    /// If the buffer is too full, it is flushed and `render` runs again.
    pub fn print(
        &mut self,
        render: &mut dyn FnMut(&mut Out<'_>) -> Result<(), WireError>,
    ) -> Result<(), PrintError> {
        loop {
            let mut out = Out::resume(&mut self.buf, self.len);
            render(&mut out).map_err(PrintError::Wire)?;
            if !out.is_full() {
                self.len = out.len();
                return Ok(());
            }
            if self.buf.is_empty() {
                self.buf.resize(Self::ROOM_FIRST, 0);
            } else if self.buf.len() < Self::ROOM {
                self.buf.resize(Self::ROOM, 0);
            } else if self.len > 0 {
                self.flush().map_err(PrintError::Io)?;
            } else if self.buf.len() < Self::ROOM_MAX {
                self.buf.resize(self.buf.len() * 2, 0);
            } else {
                let what = "line of text";
                return Err(PrintError::Wire(WireError::BadLength {
                    what,
                    claimed: Self::ROOM_MAX + 1,
                    room: Self::ROOM_MAX,
                }));
            }
        }
    }

    /// Appends text that needs no rendering.
    pub fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.print(&mut |out| {
            out.put(text);
            Ok(())
        })
        .map_err(|e| match e {
            PrintError::Io(e) => e,
            PrintError::Wire(e) => io::Error::other(e),
        })
    }

    /// Writes out what has been collected.
    pub fn flush(&mut self) -> io::Result<()> {
        let len = std::mem::take(&mut self.len);
        progress::make_way();
        self.to.write_all(&self.buf[..len])?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Keeps what was written, for the test to look at.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_arrives_in_order_whatever_its_size() {
        let to = Kept::default();
        let mut p = Printer::new(to.clone());
        let mut want = Vec::new();
        for i in 0..3000usize {
            let line = vec![b'a' + (i % 26) as u8; i * 7 % 5000];
            want.extend(&line);
            p.text(&line).unwrap();
        }
        let long = vec![b'x'; 700_000];
        want.extend(&long);
        p.text(&long).unwrap();
        p.flush().unwrap();
        assert!(*to.0.lock().unwrap() == want);
        assert!(p.text(&vec![b'y'; Printer::ROOM_MAX + 1]).is_err());
    }

    #[test]
    fn a_failed_line_leaves_nothing_behind() {
        let to = Kept::default();
        let mut p = Printer::new(to.clone());
        p.text(b"one\n").unwrap();
        let bad = WireError::Short { what: "x", need: 1, have: 0 };
        let failed = p.print(&mut |out| {
            out.lit(b"half a li");
            Err(bad)
        });
        assert!(matches!(failed, Err(PrintError::Wire(e)) if e == bad));
        p.text(b"two\n").unwrap();
        p.flush().unwrap();
        assert_eq!(*to.0.lock().unwrap(), b"one\ntwo\n");
    }
}
