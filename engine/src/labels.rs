//! Names of connection labels, as `/etc/xtables/connlabel.conf` has them (command-line.md §2.7).

use crate::number::{self, Base};
use crate::read_file::{Bounds, ReadError, read_file};
use std::path::Path;
use zct_wire::text::{LabelNames, UNNAMED_LABEL};

/// The usual file with the names.
pub const FILE: &str = "/etc/xtables/connlabel.conf";
/// How many bits a file may name; the kernel keeps only the first [`KERNEL_BITS`].
const BITS: u64 = 1024;
/// How many label bits a flow has (XT_CONNLABEL_MAXBIT + 1, linux/netfilter/xt_connlabel.h).
pub const KERNEL_BITS: u16 = 128;
/// The longest line that the original reads in one piece.
const LINE_MAX: usize = 1023;
/// Enough for a thousand long names and their comments.
const BOUNDS: Bounds = Bounds { file: 4 << 20, line: 64 << 10 };

/// The names of label bits, as a file gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap {
    names: Vec<Option<Box<[u8]>>>,
}

impl LabelMap {
    /// A map without names.
    pub const EMPTY: &'static LabelMap = &LabelMap { names: Vec::new() };

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there, cannot be read or is too large.
    pub fn read(file: &Path) -> Result<LabelMap, ReadError> {
        Ok(LabelMap::parse(&read_file(file, BOUNDS)?))
    }

    /// Reads the text of a file: lines of the form `BIT NAME`; others are skipped.
    pub fn parse(text: &[u8]) -> LabelMap {
        let mut map = LabelMap::default();
        for line in text.split_inclusive(|b| *b == b'\n') {
            // A longer line is read in pieces, each of which counts as a line.
            line.chunks(LINE_MAX).for_each(|piece| map.add_line(piece));
        }
        map
    }

    /// Takes one line. The first line for a bit or a name wins.
    fn add_line(&mut self, line: &[u8]) {
        if line.first() == Some(&b'#') {
            return;
        }
        let Some((bit, rest)) = number::leading(line, Base::Any) else { return };
        let name = rest.trim_ascii();
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || *b == b' ' || *b == b'-';
        if bit >= BITS || name.is_empty() || !name.iter().all(allowed) || self.bit(name).is_some() {
            return;
        }
        let bit = bit as usize;
        if self.names.len() <= bit {
            self.names.resize(bit + 1, None);
        }
        self.names[bit].get_or_insert_with(|| name.into());
    }

    /// True when it names nothing.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The bit of a name, if the file has that name.
    pub fn bit(&self, name: &[u8]) -> Option<u16> {
        let at = self.names.iter().position(|n| n.as_deref() == Some(name))?;
        u16::try_from(at).ok()
    }
}

impl LabelNames for LabelMap {
    fn name(&self, bit: u16) -> Option<&[u8]> {
        self.names.get(usize::from(bit))?.as_deref()
    }
}

/// The bit of a label that is written the way a label without a name is shown: `bit-17`.
pub fn unnamed(name: &[u8]) -> Option<u16> {
    let digits = name.strip_prefix(UNNAMED_LABEL)?;
    let shown = digits == b"0" || digits.first()? != &b'0' && digits.iter().all(u8::is_ascii_digit);
    let bit = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (shown && bit < KERNEL_BITS).then_some(bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_the_file() {
        let m = LabelMap::parse(
            b"# 5 comment\n0 zero\n0x10  two words \n0 again\n7 zero\n3 under_score\n4\n1024 too-high\n\
              1023 high\nno-number\n",
        );
        assert_eq!((m.bit(b"zero"), m.bit(b"two words"), m.bit(b"high")), (Some(0), Some(16), Some(1023)));
        for gone in ["again", "under_score", "too-high", "comment"] {
            assert_eq!(m.bit(gone.as_bytes()), None, "{gone}");
        }
        assert_eq!((m.name(0), m.name(7), m.name(2000)), (Some(&b"zero"[..]), None, None));
        assert!(LabelMap::EMPTY.is_empty() && !m.is_empty());
    }
}
