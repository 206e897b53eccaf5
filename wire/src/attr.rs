//! Netlink attributes: the walk, and readers for the few value types (struct nlattr in linux/netlink.h).

use crate::error::WireError;
use zerocopy::byteorder::native_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct nlattr`: header of one attribute, both fields in host byte order.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct AttrHdr {
    /// Header and value in bytes, without the padding to four.
    pub(crate) len: native_endian::U16,
    /// Number in the low 14 bits, [`NLA_F_NESTED`] and [`NLA_F_NET_BYTEORDER`] above.
    pub(crate) kind: native_endian::U16,
}

const _: () = assert!(size_of::<AttrHdr>() == 4);

/// Size of `struct nlattr` in bytes.
pub const ATTR_HDR: usize = size_of::<AttrHdr>();
/// Bit of `nla_type`: the value is a list of attributes. Not every sender sets it, so readers ignore it.
pub const NLA_F_NESTED: u16 = 0x8000;
/// Bit of `nla_type`: the value is in network byte order. ctnetlink never sets it.
pub const NLA_F_NET_BYTEORDER: u16 = 0x4000;
/// The bits of `nla_type` that are the attribute's number.
pub const NLA_TYPE_MASK: u16 = 0x3fff;

/// An attribute's header as bytes, for comparing a message with the layout that is expected.
pub(crate) const fn hdr(len: u16, kind: u16) -> [u8; 4] {
    let (l, k) = (len.to_ne_bytes(), kind.to_ne_bytes());
    let ([a, b], [c, d]) = (l, k);
    [a, b, c, d]
}

/// One attribute: its number and its value, borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Number within its nest, flag bits removed.
    pub kind: u16,
    /// The value without header and padding.
    pub value: &'a [u8],
}

/// Walks the attributes of a message or of a nest.
///
/// Ends after the first error. Never yields more than `len / 4 + 1` items, and a truncated last
/// padding is accepted (the kernel does not pad the last attribute of some messages).
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is read before it is walked"]
pub struct Attrs<'a> {
    rest: &'a [u8],
}

impl<'a> Attrs<'a> {
    /// Walks `bytes`, which start with an attribute header or are empty.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Attrs { rest: bytes }
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Taken first, so every early return leaves nothing behind: an error is also the end.
        let whole = core::mem::take(&mut self.rest);
        if whole.is_empty() {
            return None;
        }
        let Ok((hdr, _)) = AttrHdr::ref_from_prefix(whole) else {
            return Some(Err(WireError::Short { what: "nlattr", need: ATTR_HDR, have: whole.len() }));
        };
        let claimed = usize::from(hdr.len.get());
        // `get` refuses a claim shorter than the header as well as one past the end.
        let Some(value) = whole.get(ATTR_HDR..claimed) else {
            return Some(Err(WireError::BadLength { what: "nlattr", claimed, room: whole.len() }));
        };
        // Every step consumes at least ATTR_HDR bytes, so the walk ends; the last padding may be missing.
        self.rest = whole.get(claimed.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Attr { kind: hdr.kind.get() & NLA_TYPE_MASK, value }))
    }
}

/// Reads a one-byte value; a longer one is accepted and its first byte used, as the kernel does. `what` is
/// the kernel's name of the attribute, for the error.
///
/// # Errors
/// [`WireError::BadValue`] when the value is empty.
#[inline]
pub fn u8(what: &'static str, value: &[u8]) -> Result<u8, WireError> {
    value.first().copied().ok_or(WireError::BadValue { what, want: 1, have: 0 })
}

/// Reads a big-endian 16-bit value.
///
/// # Errors
/// [`WireError::BadValue`] when the value has fewer than two bytes.
#[inline]
pub fn be16(what: &'static str, value: &[u8]) -> Result<u16, WireError> {
    fixed(what, value).map(u16::from_be_bytes)
}

/// Reads a big-endian 32-bit value.
///
/// # Errors
/// [`WireError::BadValue`] when the value has fewer than four bytes.
#[inline]
pub fn be32(what: &'static str, value: &[u8]) -> Result<u32, WireError> {
    fixed(what, value).map(u32::from_be_bytes)
}

/// Reads a big-endian 64-bit value.
///
/// # Errors
/// [`WireError::BadValue`] when the value has fewer than eight bytes.
#[inline]
pub fn be64(what: &'static str, value: &[u8]) -> Result<u64, WireError> {
    fixed(what, value).map(u64::from_be_bytes)
}

/// Reads the first `N` bytes of a value; longer values are accepted, as the kernel does with input.
///
/// # Errors
/// [`WireError::BadValue`] when the value has fewer than `N` bytes.
#[inline]
pub fn fixed<const N: usize>(what: &'static str, value: &[u8]) -> Result<[u8; N], WireError> {
    value.first_chunk::<N>().copied().ok_or(WireError::BadValue { what, want: N, have: value.len() })
}

/// A kernel string: the bytes before the first NUL (the kernel sends the NUL, others may forget it).
#[inline]
pub fn text(value: &[u8]) -> &[u8] {
    value.split(|b| *b == 0).next().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::vec::Vec;

    /// Attributes that were recorded on a little-endian machine, as the kernel of this one would send them. Their values
    /// are in network byte order already; which of them are nests says the flag.
    pub(crate) fn recorded(little: &[u8]) -> Vec<u8> {
        let mut here = Vec::new();
        let mut rest = little;
        while let Some(([l0, l1, k0, k1], _)) = rest.split_first_chunk() {
            let (len, kind) = (u16::from_le_bytes([*l0, *l1]), u16::from_le_bytes([*k0, *k1]));
            let value = &rest[ATTR_HDR..usize::from(len)];
            here.extend(hdr(len, kind));
            here.extend(if kind & NLA_F_NESTED == 0 { value.to_vec() } else { recorded(value) });
            let padded = usize::from(len).next_multiple_of(4).min(rest.len());
            here.extend(&rest[usize::from(len)..padded]);
            rest = &rest[padded..];
        }
        here
    }

    /// CTA_TIMEOUT = 300 and CTA_HELP { NAME "ftp" }, laid out by hand.
    const TWO: &[u8] = &[
        8, 0, 7, 0, // len 8, CTA_TIMEOUT
        0, 0, 1, 44, // 300
        12, 0, 5, 0x80, // len 12, CTA_HELP | NESTED
        8, 0, 1, 0, // len 8, CTA_HELP_NAME
        b'f', b't', b'p', 0,
    ];

    fn two() -> [u8; 20] {
        recorded(TWO).try_into().unwrap()
    }

    #[test]
    fn walks_and_masks_the_flag_bits() {
        let b = two();
        let mut it = Attrs::new(&b);
        let a = it.next().unwrap().unwrap();
        assert_eq!((a.kind, be32("t", a.value)), (7, Ok(300)));
        let a = it.next().unwrap().unwrap();
        assert_eq!(a.kind, 5);
        let n = Attrs::new(a.value).next().unwrap().unwrap();
        assert_eq!(text(n.value), b"ftp");
        assert!(it.next().is_none());
    }

    #[test]
    fn every_truncation_ends_in_an_error_or_fewer_attributes() {
        let b = two();
        for n in 0..b.len() {
            let items: usize = Attrs::new(&b[..n]).count();
            assert!(items <= 2, "{n} bytes gave {items}");
            let ok = Attrs::new(&b[..n]).filter(Result::is_ok).count();
            assert_eq!(ok, usize::from(n >= 8), "{n} bytes");
        }
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        for claimed in [0u16, 1, 2, 3, 21, 0xffff] {
            let mut b = two();
            b[..2].copy_from_slice(&claimed.to_ne_bytes());
            let got: Vec<_> = Attrs::new(&b).collect();
            assert_eq!(
                got,
                [Err(WireError::BadLength { what: "nlattr", claimed: claimed.into(), room: 20 })]
            );
        }
    }

    #[test]
    fn short_values_are_named() {
        assert_eq!(
            be32("CTA_MARK", &[1, 2, 3]),
            Err(WireError::BadValue { what: "CTA_MARK", want: 4, have: 3 })
        );
        assert_eq!(be16("x", &[1, 2, 3]), Ok(0x102));
        assert_eq!(text(b"ftp"), b"ftp");
        assert_eq!(text(b""), b"");
    }
}
