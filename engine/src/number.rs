//! Numbers in text that people and other programs have written, read as `strtoul(3)` reads them.

/// The notation of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Decimal, even with zeros in front.
    Decimal,
    /// `0x10` is hexadecimal and `010` octal.
    Any,
}

/// True for what `isspace` accepts in the C locale, vertical tab included.
pub fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Reads a number as `strtoul(3)` does, with blanks and a sign in front. Returns whether it is negative, its
/// magnitude, saturated, and what follows; `None` without a digit.
fn scan(text: &[u8], base: Base) -> Option<(bool, u64, &[u8])> {
    let start = text.iter().position(|b| !is_space(*b)).unwrap_or(text.len());
    let mut rest = &text[start..];
    let negative = rest.first() == Some(&b'-');
    if let Some(b'-' | b'+') = rest.first() {
        rest = &rest[1..];
    }
    let mut radix = 10;
    if base == Base::Any && rest.first() == Some(&b'0') {
        radix = 8;
        if matches!(rest.get(1), Some(b'x' | b'X')) && rest.get(2).is_some_and(u8::is_ascii_hexdigit) {
            radix = 16;
            rest = &rest[2..];
        }
    }
    let digit = |b: &u8| char::from(*b).to_digit(radix);
    let len = rest.iter().take_while(|b| digit(b).is_some()).count();
    if len == 0 {
        return None;
    }
    let (digits, after) = rest.split_at(len);
    let value = digits
        .iter()
        .filter_map(digit)
        .fold(0u64, |v, d| v.saturating_mul(u64::from(radix)).saturating_add(u64::from(d)));
    Some((negative, value, after))
}

/// Reads a decimal number of at most nine digits without a leading zero. Nearly every value is one, and it
/// means the same in any base.
fn plain(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0u32, |v, b| b.is_ascii_digit().then(|| v * 10 + u32::from(b - b'0')))
}

/// The number at the start of a text, and what follows it; `None` where there is none or a negative one. A
/// number that is too large becomes the largest.
pub fn leading(text: &[u8], base: Base) -> Option<(u64, &[u8])> {
    if let Some(v) = plain(text) {
        return Some((v.into(), b""));
    }
    let (negative, value, after) = scan(text, base)?;
    (!negative || value == 0).then_some((value, after))
}
