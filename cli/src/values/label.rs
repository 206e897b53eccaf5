//! Label names, and the file that assigns bits to them (command-line.md §2.7).

use crate::fail::{Fail, warn};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use zct_engine::labels::{FILE, KERNEL_BITS};
use zct_wire::text::UNNAMED_LABEL;

pub use zct_engine::labels::LabelMap;
pub(crate) use zct_engine::labels::unnamed;

/// Reads a file, or the usual one. If it cannot be read or names nothing, standard error says so, in words
/// that begin like the original's, and the command goes on with a map without names. Where names are not
/// `needed`, a usual file that is not there is nothing to say.
pub fn load(file: Option<&OsStr>, needed: bool) -> LabelMap {
    let may_lack = file.is_none() && !needed;
    let file = file.unwrap_or(OsStr::new(FILE));
    let read = LabelMap::read(Path::new(file));
    let why = match &read {
        Ok(map) if !map.is_empty() => None,
        // Nothing has failed. This is the C library's word for errno 0, so the original prints it.
        Ok(_) => Some("Success".to_owned()),
        Err(e) if may_lack && e.is_missing() => None,
        Err(e) => Some(e.why.to_string()),
    };
    if let Some(why) = why {
        let before = format!("nfct_labelmap_new: {why} (no label names in `");
        warn(&[before.as_bytes(), file.as_bytes(), b"')"].concat());
    }
    read.unwrap_or_default()
}

/// The bits of the named labels. `bit-17`, which is how a bit without a name is shown, is bit 17 unless the
/// map has a label of that name.
///
/// # Errors
/// A usage error for the first name that is neither in the map nor of that form, or whose bit no flow has.
pub fn bits(map: Option<&LabelMap>, names: &[Vec<u8>]) -> Result<Vec<u16>, Fail> {
    let bit = |name: &Vec<u8>| {
        let known = map.and_then(|m| m.bit(name)).or_else(|| unnamed(name));
        let after = if name.starts_with(UNNAMED_LABEL) { "' (bits are bit-0 to bit-127)" } else { "'" };
        match known {
            Some(bit) if bit < KERNEL_BITS => Ok(bit),
            Some(bit) => {
                Err(Fail::word("label '", name, &format!("' is bit {bit}: flows have bits 0 to 127")))
            }
            None => Err(Fail::word("unknown label '", name, after)),
        }
    };
    names.iter().map(bit).collect()
}

/// The bits as the kernel takes them: 16 bytes, 32-bit words in host order. No bit is past the end, because
/// [`bits`] refuses those.
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
        LabelMap::parse(lines.join("\n").as_bytes())
    }

    #[test]
    fn unknown_names_are_usage_errors() {
        let m = map(&["1 a", "2 b"]);
        assert_eq!(bits(Some(&m), &[b"b".to_vec(), b"a".to_vec()]), Ok(vec![2, 1]));
        assert_eq!(bits(Some(&m), &[b"1".to_vec()]), Err(Fail::usage("unknown label '1'")));
        assert!(bits(None, &[b"a".to_vec()]).is_err());
    }

    #[test]
    fn a_name_for_a_bit_that_no_flow_has_is_refused() {
        let m = map(&["127 last", "128 beyond"]);
        assert_eq!(bits(Some(&m), &[b"last".to_vec()]), Ok(vec![127]));
        let want = "label 'beyond' is bit 128: flows have bits 0 to 127";
        assert_eq!(bits(Some(&m), &[b"beyond".to_vec()]), Err(Fail::usage(want)));
    }

    #[test]
    fn what_is_shown_for_a_bit_without_a_name_can_be_given() {
        let m = map(&["1 a", "2 bit-9"]);
        let of = |map, name: &str| bits(map, &[name.as_bytes().to_vec()]).map(|b| b[0]);
        for (name, bit) in [("bit-0", 0), ("bit-1", 1), ("bit-17", 17), ("bit-127", 127)] {
            assert_eq!((of(None, name), of(Some(&m), name)), (Ok(bit), Ok(bit)), "{name}");
        }
        // A name in the map comes before the form of a bit without a name.
        assert_eq!((of(None, "bit-9"), of(Some(&m), "bit-9")), (Ok(9), Ok(2)));
        for name in
            ["bit-128", "bit-65536", "bit-", "bit-+1", "bit-017", "bit-00", "bit-1x", "Bit-1", "bit 1"]
        {
            assert!(of(None, name).is_err() && of(Some(&m), name).is_err(), "{name}");
        }
        let why = "unknown label 'bit-128' (bits are bit-0 to bit-127)";
        assert_eq!(of(None, "bit-128"), Err(Fail::usage(why)));
    }
}
