//! Standard output: one buffer, large writes, nothing cut short.

use std::io::{self, Write};
use zct_wire::WireError;
use zct_wire::text::Out;

/// Why a piece of text did not get out.
#[derive(Debug)]
pub enum PrintError {
    /// The message it was made from cannot be read; nothing of it was printed.
    Wire(WireError),
    /// The reader of our output is gone, or its disk is full.
    Io(io::Error),
}

/// Collects rendered text and writes it in pieces of up to [`Printer::ROOM`] bytes.
///
/// # Allocation
/// The buffer is made once. Only a single line longer than it makes it grow, up to [`Printer::ROOM_MAX`].
#[derive(Debug)]
pub struct Printer<W> {
    to: W,
    buf: Vec<u8>,
    len: usize,
}

impl<W: Write> Printer<W> {
    /// Bytes collected before they are written: large enough that the system calls do not show.
    pub const ROOM: usize = 128 << 10;
    /// The longest line there can be. A message is at most 64 KiB, and escaping makes six bytes of one.
    pub const ROOM_MAX: usize = 1 << 20;

    /// Prints to `to`.
    pub fn new(to: W) -> Self {
        Printer { to, buf: vec![0; Self::ROOM], len: 0 }
    }

    /// Appends what `render` writes: all of it or, when it fails, nothing.
    ///
    /// `render` runs again after a flush when the buffer was too full for it.
    pub fn print(
        &mut self,
        mut render: impl FnMut(&mut Out<'_>) -> Result<(), WireError>,
    ) -> Result<(), PrintError> {
        loop {
            let mut out = Out::resume(&mut self.buf, self.len);
            render(&mut out).map_err(PrintError::Wire)?;
            if !out.is_full() {
                self.len = out.len();
                return Ok(());
            }
            if self.len > 0 {
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
        self.print(|out| {
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
        self.to.write_all(&self.buf[..len])?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order_whatever_its_size() {
        let mut p = Printer::new(Vec::new());
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
        assert!(p.to == want);
        assert!(p.text(&vec![b'y'; Printer::<Vec<u8>>::ROOM_MAX + 1]).is_err());
    }

    #[test]
    fn a_failed_line_leaves_nothing_behind() {
        let mut p = Printer::new(Vec::new());
        p.text(b"one\n").unwrap();
        let bad = WireError::Short { what: "x", need: 1, have: 0 };
        let failed = p.print(|out| {
            out.lit(b"half a li");
            Err(bad)
        });
        assert!(matches!(failed, Err(PrintError::Wire(e)) if e == bad));
        p.text(b"two\n").unwrap();
        p.flush().unwrap();
        assert_eq!(p.to, b"one\ntwo\n");
    }
}
