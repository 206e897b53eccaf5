//! Label names and the file that gives them their bits (spec/cli.md §2.7).

use super::number;
use crate::fail::{Fail, warn};
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use zct_engine::errno_text;
use zct_wire::text::LabelNames;

/// Where the names are unless `--labelmap` says otherwise.
pub const DEFAULT_FILE: &str = "/etc/xtables/connlabel.conf";
/// Bits a file may name; the kernel keeps the first 128.
const BITS: u64 = 1024;
/// Longest line the original reads in one piece.
const LINE_MAX: usize = 1023;

/// The names of label bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap {
    names: Vec<Option<Box<[u8]>>>,
}

impl LabelMap {
    /// Reads a file. A missing or empty one is said on standard error with the words of the original, and
    /// is `None`: the command goes on without names.
    pub fn load(file: Option<&OsStr>) -> Option<LabelMap> {
        match LabelMap::read(Path::new(file.unwrap_or(OsStr::new(DEFAULT_FILE)))) {
            Ok(map) if !map.names.is_empty() => Some(map),
            Ok(_) => {
                warn(b"nfct_labelmap_new: Success");
                None
            }
            Err(e) => {
                let words = e.raw_os_error().map_or_else(|| e.to_string(), errno_text);
                warn(format!("nfct_labelmap_new: {words}").as_bytes());
                None
            }
        }
    }

    fn read(file: &Path) -> io::Result<LabelMap> {
        let mut map = LabelMap::default();
        let mut input = BufReader::new(std::fs::File::open(file)?);
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line)? > 0 {
            // A longer line is read in pieces, each a line of its own.
            line.chunks(LINE_MAX).for_each(|piece| map.add_line(piece));
            line.clear();
        }
        Ok(map)
    }

    /// Takes one line if it is `BIT NAME`; the first line of a bit and of a name wins.
    fn add_line(&mut self, line: &[u8]) {
        if line.first() == Some(&b'#') {
            return;
        }
        let Some((bit, rest)) = number::any_base(line) else { return };
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

    /// The bit of a name.
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

/// The bits of the named labels.
///
/// # Errors
/// A usage error for the first name that is not in the map, or when there is no map.
pub fn bits(map: Option<&LabelMap>, names: &[Vec<u8>]) -> Result<Vec<u16>, Fail> {
    let bit = |name: &Vec<u8>| {
        let bit = map.and_then(|m| m.bit(name));
        bit.ok_or_else(|| Fail::word("unknown label '", name, "'"))
    };
    names.iter().map(bit).collect()
}

/// The bits as the kernel wants them: 16 bytes, 32-bit words in host order. Bits past the end, which the
/// kernel does not have, are left out.
pub fn words(bits: &[u16]) -> [u8; 16] {
    let mut words = [0u32; 4];
    for bit in bits {
        if let Some(word) = words.get_mut(usize::from(bit / 32)) {
            *word |= 1 << (bit % 32);
        }
    }
    let mut bytes = [0; 16];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[&str]) -> LabelMap {
        let mut m = LabelMap::default();
        lines.iter().for_each(|l| m.add_line(l.as_bytes()));
        m
    }

    #[test]
    fn the_grammar_of_the_file() {
        let m = map(&[
            "# 5 comment\n",
            "0 zero\n",
            "0x10  two words \n",
            "0 again\n",
            "7 zero\n",
            "3 under_score\n",
            "4\n",
            "1024 too-high\n",
            "1023 high\n",
            "no-number\n",
        ]);
        assert_eq!((m.bit(b"zero"), m.bit(b"two words"), m.bit(b"high")), (Some(0), Some(16), Some(1023)));
        for gone in ["again", "under_score", "too-high", "comment"] {
            assert_eq!(m.bit(gone.as_bytes()), None, "{gone}");
        }
        assert_eq!((m.name(0), m.name(7), m.name(2000)), (Some(&b"zero"[..]), None, None));
    }

    #[test]
    fn unknown_names_are_usage_errors() {
        let m = map(&["1 a", "2 b"]);
        assert_eq!(bits(Some(&m), &[b"b".to_vec(), b"a".to_vec()]), Ok(vec![2, 1]));
        assert_eq!(bits(Some(&m), &[b"1".to_vec()]), Err(Fail::usage("unknown label '1'")));
        assert!(bits(None, &[b"a".to_vec()]).is_err());
    }
}
