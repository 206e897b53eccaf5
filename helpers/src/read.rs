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

/// Whether a line after the first begins with one of these words, given in lower case. It takes digits and letters of
/// either case for the same, and sometimes other bytes for them: what it finds has to be read, what it does not
/// find is not there.
///
/// A packet can have hundreds of lines, and what to do about a line depends on how it begins. Nothing here depends
/// on the bytes before, so the compiler looks at sixteen places at a time.
pub fn a_line_begins<const LEN: usize, const WORDS: usize>(text: &[u8], words: &[[u8; LEN]; WORDS]) -> bool {
    // Most packets have one line, and end with it.
    let Some(rest) = position(text, b'\n').and_then(|first| text.get(first..)) else { return false };
    rest.windows(LEN.saturating_add(1)).fold(false, |found, place| {
        let is = |word: &[u8; LEN]| {
            let pairs = place.iter().skip(1).zip(word);
            pairs.fold(true, |same, (byte, wanted)| same & ((*byte | 0x20) == *wanted))
        };
        let begins = place.first() == Some(&b'\n');
        found | (begins & words.iter().fold(false, |any, word| any | is(word)))
    })
}

/// Whether a line after the first is empty.
pub fn a_line_is_empty(text: &[u8]) -> bool {
    let empty = text.windows(3).fold(false, |found, place| match place {
        [a, b, c] => found | ((*a == b'\n') & ((*b == b'\n') | ((*b == b'\r') & (*c == b'\n')))),
        _ => found,
    });
    empty || text.ends_with(b"\n\n")
}

/// Where what follows the last line feed of `text` begins.
pub fn end_of_lines(text: &[u8]) -> usize {
    let mut end = text.len();
    for some in text.rchunks(CHUNK) {
        if has(some, b'\n') {
            let after = some.iter().rev().take_while(|b| **b != b'\n').count();
            return end.saturating_sub(after);
        }
        end = end.saturating_sub(some.len());
    }
    0
}

/// Where `byte` is first.
pub fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut before = 0_usize;
    for some in bytes.chunks(CHUNK) {
        if has(some, byte) {
            return Some(before.saturating_add(some.iter().position(|b| *b == byte)?));
        }
        before = before.saturating_add(some.len());
    }
    None
}

/// As many bytes as the compiler compares together: a stranger's line can be as long as a packet, and every packet
/// waits for the search.
const CHUNK: usize = 32;

fn has(some: &[u8], byte: u8) -> bool {
    some.iter().fold(false, |found, b| found | (*b == byte))
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
        for byte in [0, 1, b'\n', 0x7f, 0x80, 0xff] {
            for len in 0..2 * CHUNK + 3 {
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

    /// Texts of line ends and of parts of a word, made by counting.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        const PARTS: [&[u8]; 5] = [b"\n", b"\r\n", b"PORT", b"pOrT 1", b"port\x80"];
        (0..5_u32.pow(6)).map(|n| {
            let part = |at| PARTS[(n / 5_u32.pow(at) % 5) as usize];
            (0..6).flat_map(part).copied().collect()
        })
    }

    #[test]
    fn what_is_not_found_at_the_beginning_of_lines_is_not_there() {
        for text in texts() {
            // Every line, and what follows the last line feed.
            let mut begins = vec![];
            begins.extend(text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1));
            let is = |at: &usize| text[*at..].get(..4).is_some_and(|w| w.eq_ignore_ascii_case(b"port"));
            let there = begins.iter().any(is);
            assert_eq!(a_line_begins(&text, &[*b"eprt", *b"port"]), there, "{text:?}");
            assert!(!a_line_begins(&text, &[*b"eprt"]));
            let empty = lines(&text).skip(1).any(|(_, line)| line.is_empty());
            assert_eq!(a_line_is_empty(&text), empty, "{text:?}");
            assert_eq!(end_of_lines(&text), begins.last().copied().unwrap_or(0), "{text:?}");
        }
        let far = [b"x".repeat(999), b"\n".to_vec(), b"x".repeat(5)].concat();
        assert_eq!((end_of_lines(&far), position(&far, b'\n')), (1000, Some(999)));
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
