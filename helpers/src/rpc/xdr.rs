//! The few items of XDR (RFC 4506) that the port mapper's messages are made of.

use crate::read::Cursor;

/// RFC 4506, sections 4.10 and 4.11: bytes with their number before them, padded with zeros to a multiple of
/// four. `None` also for more than `max`.
pub(super) fn opaque<'a>(items: &mut Cursor<'a>, max: usize) -> Option<&'a [u8]> {
    let len = usize::try_from(items.be32()?).ok().filter(|len| *len <= max)?;
    let bytes = items.take(len)?;
    let padding = items.take(padding(len))?;
    padding.iter().all(|b| *b == 0).then_some(bytes)
}

/// How many bytes fill up `len` of them to a multiple of four.
fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_length_a_limit_and_a_padding_of_zeros() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(padding), [0, 3, 2, 1, 0, 3]);
        let read = |bytes, max| opaque(&mut Cursor::new(bytes), max);
        assert_eq!(read(b"\0\0\0\x03udp\0", 3), Some(&b"udp"[..]));
        assert_eq!(read(b"\0\0\0\0", 0), Some(&b""[..]));
        for bad in [
            &b"\0\0\0\x03udp"[..],
            b"\0\0\0\x03udpx",
            b"\0\0\0\x04udp\0",
            b"\xff\xff\xff\xffudp\0",
            b"\0\0\0",
        ] {
            assert_eq!(read(bad, 3), None, "{bad:?}");
        }
    }
}
