//! Tools for reading payload: every number has a range, every search a bound.

use zct_wire::tuple::Addr;

/// A reader that walks forward through bytes. What it cannot read is `None`, and leaves it where it was.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { whole: bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    /// Whether everything has been read.
    pub fn is_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.rest().get(..n)?;
        self.at = self.at.saturating_add(n);
        Some(taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// The next two bytes, big endian.
    pub fn be16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// The next four bytes, big endian.
    pub fn be32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// These bytes.
    pub fn exactly(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest().starts_with(bytes).then(|| self.at = self.at.saturating_add(bytes.len()))
    }

    /// These letters in any case.
    pub fn any_case(&mut self, word: &[u8]) -> Option<()> {
        let head = self.rest().get(..word.len())?;
        head.eq_ignore_ascii_case(word).then(|| self.at = self.at.saturating_add(word.len()))
    }

    /// As many of these bytes as there are; returns how many.
    pub fn skip(&mut self, byte: u8) -> usize {
        let n = self.rest().iter().take_while(|b| **b == byte).count();
        self.at = self.at.saturating_add(n);
        n
    }

    /// Everything before the next `byte`, which is read too; not more than `max` bytes are looked at before
    /// it.
    pub fn until(&mut self, byte: u8, max: usize) -> Option<&'a [u8]> {
        let n = self.rest().iter().take(max.saturating_add(1)).position(|b| *b == byte)?;
        let found = self.take(n)?;
        self.at = self.at.saturating_add(1);
        Some(found)
    }

    /// A decimal number of one to `digits` digits, at most nine; `None` if more digits follow.
    pub fn decimal(&mut self, digits: usize) -> Option<u32> {
        let n = self.rest().iter().take(10).take_while(|b| b.is_ascii_digit()).count();
        let text = self.rest().get(..n)?;
        if n == 0 || n > digits.min(9) {
            return None;
        }
        self.at = self.at.saturating_add(n);
        let step = |value: u32, digit: &u8| {
            value.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0')))
        };
        Some(text.iter().fold(0, step))
    }

    /// A number of one to three digits, 0 to 255.
    pub fn octet(&mut self) -> Option<u8> {
        let before = *self;
        let value = self.decimal(3).and_then(|n| u8::try_from(n).ok());
        if value.is_none() {
            *self = before;
        }
        value
    }

    /// `N` octets with `between` between them.
    pub fn octets<const N: usize>(&mut self, between: u8) -> Option<[u8; N]> {
        let before = *self;
        let mut out = [0; N];
        for (at, place) in out.iter_mut().enumerate() {
            let separated = at == 0 || self.exactly(&[between]).is_some();
            match self.octet().filter(|_| separated) {
                Some(value) => *place = value,
                None => {
                    *self = before;
                    return None;
                }
            }
        }
        Some(out)
    }
}

/// An IPv4 address in four decimal numbers, or an IPv6 address, and nothing else.
pub fn address(text: &[u8]) -> Option<Addr> {
    // The longest of all: eight groups of four digits, or six and a dotted quad.
    if text.len() > 45 {
        return None;
    }
    let text = core::str::from_utf8(text).ok()?;
    match text.parse().ok()? {
        core::net::IpAddr::V4(a) => Some(Addr::V4(a.octets())),
        core::net::IpAddr::V6(a) => Some(Addr::V6(a.octets())),
    }
}

/// Where `word` begins in the first `max` bytes of `text`; it ends within them too.
pub fn find(text: &[u8], word: &[u8], max: usize) -> Option<usize> {
    let text = text.get(..max).unwrap_or(text);
    if word.is_empty() {
        return None;
    }
    text.windows(word.len()).position(|w| w == word)
}

/// The lines of `text`, each with its place and with its line feed, and a carriage return before it, cut off.
/// What follows the last line feed is not a line.
pub fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0_usize;
    core::iter::from_fn(move || {
        let start = at;
        let rest = text.get(start..)?;
        let line = rest.get(..position(rest, b'\n')?)?;
        at = start.saturating_add(line.len()).saturating_add(1);
        Some((start, line.strip_suffix(b"\r").unwrap_or(line)))
    })
}

/// Where what follows the last line feed of `text` begins.
pub fn end_of_lines(text: &[u8]) -> usize {
    let mut end = 0_usize;
    while let Some(at) = text.get(end..).and_then(|rest| position(rest, b'\n')) {
        end = end.saturating_add(at).saturating_add(1);
    }
    end
}

/// Where `byte` is first. Eight bytes at a time: a stranger's line can be as long as a packet, and every packet
/// waits for this.
pub fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let wanted = u64::from_ne_bytes([byte; 8]);
    let mut words = bytes.chunks_exact(8);
    let mut before = 0_usize;
    for word in &mut words {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        // A byte that is zero here borrows, and is the lowest one to have its high bit set by that.
        let zero = word ^ wanted;
        let found = zero.wrapping_sub(ONES) & !zero & HIGH;
        if found != 0 {
            return Some(
                before.saturating_add(usize::try_from(found.trailing_zeros()).ok()?.checked_div(8)?),
            );
        }
        before = before.saturating_add(8);
    }
    let at = words.remainder().iter().position(|b| *b == byte)?;
    Some(before.saturating_add(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn numbers_have_ranges() {
        let number = |text: &[u8], digits| Cursor::new(text).decimal(digits);
        assert_eq!(number(b"0", 5), Some(0));
        assert_eq!(number(b"65535|", 5), Some(65535));
        assert_eq!(number(b"655350", 5), None);
        assert_eq!(number(b"", 5), None);
        assert_eq!(number(b"-1", 5), None);
        assert_eq!(number(b"999999999x", 99), Some(999_999_999));
        assert_eq!(number(b"9999999999", 99), None);
        let octet = |text: &[u8]| Cursor::new(text).octet();
        assert_eq!((octet(b"255,"), octet(b"256"), octet(b"0255")), (Some(255), None, None));
        let mut c = Cursor::new(b"10,1,0,2,200,5\r");
        assert_eq!(c.octets::<6>(b','), Some([10, 1, 0, 2, 200, 5]));
        assert_eq!((c.at(), c.byte(), c.is_end()), (14, Some(b'\r'), true));
        for bad in
            [&b"10,1,0,2,200"[..], b"10,1,0,2,200,", b"10, 1,0,2,200,5", b"10.1.0.2.200.5", b"266,1,0,2,3,4"]
        {
            let mut c = Cursor::new(bad);
            assert_eq!((c.octets::<6>(b','), c.at()), (None, 0), "{bad:?}");
        }
    }

    #[test]
    fn a_cursor_stays_where_it_was_when_it_cannot_read() {
        let mut c = Cursor::new(&[0, 1, 0, 0, 0, 2, b'R', b'e', b' ', b' ', 7]);
        assert_eq!((c.be16(), c.be32(), c.take(6), c.at()), (Some(1), Some(2), None, 6));
        assert_eq!((c.any_case(b"RET"), c.exactly(b"re"), c.any_case(b"RE")), (None, None, Some(())));
        assert_eq!((c.skip(b' '), c.skip(b' '), c.rest(), c.take(2)), (2, 0, &[7][..], None));
        let mut c = Cursor::new(b"name\0x");
        assert_eq!((c.until(0, 3), c.until(0, 4), c.until(0, 9)), (None, Some(&b"name"[..]), None));
        assert_eq!(c.rest(), b"x");
    }

    #[test]
    fn addresses_are_whole_or_none() {
        assert_eq!(address(b"10.1.0.2"), Some(Addr::V4([10, 1, 0, 2])));
        assert_eq!(address(b"::1").map(|a| a.bytes().len()), Some(16));
        for bad in [
            &b""[..],
            b"10.1.0.256",
            b"10.1.0.2 ",
            b"10.1.0",
            b"010.1.0.2",
            b"fe80::1%eth0",
            b"\xff",
            &[b':'; 46],
        ] {
            assert_eq!(address(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_byte_is_found_wherever_it_is_first() {
        // Bytes beside the wanted one, and with the high bit, are where a search by words goes wrong.
        for byte in [0, 1, b'\n', 0x7f, 0x80, 0xff] {
            for len in 0..40_usize {
                for at in 0..=len {
                    for around in [byte.wrapping_sub(1), byte.wrapping_add(1), byte ^ 0x80, byte ^ 0xff] {
                        let mut text = vec![around; len];
                        text.extend([byte; 9]);
                        assert_eq!(position(&text, byte), Some(len), "{byte} {len} {around}");
                        text.truncate(len);
                        assert_eq!(position(&text, byte), None, "{byte} {len} {around}");
                        if let Some(place) = text.get_mut(at) {
                            *place = byte;
                            assert_eq!(position(&text, byte), Some(at), "{byte} {len} {around}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn searches_end_and_lines_are_complete() {
        assert_eq!(find(b"xxCONNECT", b"CONNECT", 100), Some(2));
        assert_eq!(find(b"xxCONNECT", b"CONNECT", 8), None);
        assert_eq!((find(b"abc", b"", 9), find(b"", b"a", 9)), (None, None));
        let all: Vec<_> = lines(b"one\r\ntwo\n\nthree").collect();
        assert_eq!(all, [(0, &b"one"[..]), (5, b"two"), (9, b"")]);
        assert_eq!(lines(b"").count(), 0);
        for (text, end) in [(&b""[..], 0), (b"three", 0), (b"one\r\ntwo\n\nthree", 10), (b"one\n", 4)] {
            assert_eq!(end_of_lines(text), end);
        }
    }
}
