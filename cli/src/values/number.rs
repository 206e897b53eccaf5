//! Numbers as C reads them: scripts rely on hexadecimal and octal, on wrapping and on ignored garbage.

use crate::fail::Fail;
use zct_wire::filter::Masked;

/// What `isspace` in the C locale says, vertical tab included.
fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Sign and magnitude, saturated, and what follows; `None` without a digit. `strtoul(3)`, base 0 when
/// `any_base`, else 10.
fn scan(text: &[u8], any_base: bool) -> Option<(bool, u64, &[u8])> {
    let start = text.iter().position(|b| !is_space(*b)).unwrap_or(text.len());
    let mut rest = &text[start..];
    let negative = rest.first() == Some(&b'-');
    if let Some(b'-' | b'+') = rest.first() {
        rest = &rest[1..];
    }
    let mut base = 10;
    if any_base && rest.first() == Some(&b'0') {
        base = 8;
        if matches!(rest.get(1), Some(b'x' | b'X')) && rest.get(2).is_some_and(u8::is_ascii_hexdigit) {
            base = 16;
            rest = &rest[2..];
        }
    }
    let digit = |b: &u8| char::from(*b).to_digit(base);
    let len = rest.iter().take_while(|b| digit(b).is_some()).count();
    if len == 0 {
        return None;
    }
    let (digits, after) = rest.split_at(len);
    let value = digits
        .iter()
        .filter_map(digit)
        .fold(0u64, |v, d| v.saturating_mul(u64::from(base)).saturating_add(u64::from(d)));
    Some((negative, value, after))
}

/// A plain decimal number of at most nine digits without a leading zero, which is what nearly every value
/// is, and the same in any base.
fn plain(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0u32, |v, b| b.is_ascii_digit().then(|| v * 10 + u32::from(b - b'0')))
}

/// `strtoul(3)` with base 0: the number, wrapped when negative, and what follows it.
pub fn any_base(text: &[u8]) -> Option<(u64, &[u8])> {
    if let Some(v) = plain(text) {
        return Some((v.into(), b""));
    }
    let (negative, value, after) = scan(text, true)?;
    Some((if negative { value.wrapping_neg() } else { value }, after))
}

/// `atol(3)`: garbage is 0, and everything wraps to what the caller cuts it to.
pub fn decimal(text: &[u8]) -> i64 {
    if let Some(v) = plain(text) {
        return v.into();
    }
    let Some((negative, value, _)) = scan(text, false) else { return 0 };
    match (i64::try_from(value), negative) {
        (Ok(v), true) => -v,
        (Ok(v), false) => v,
        // LONG_MIN is one further from zero than LONG_MAX, which shows once both are cut to 32 bits.
        (Err(_), true) => i64::MIN,
        (Err(_), false) => i64::MAX,
    }
}

/// True when the text is a decimal number and nothing else.
pub fn is_decimal(text: &[u8]) -> bool {
    plain(text).is_some() || matches!(scan(text, false), Some((_, _, b"")))
}

/// A number of any base up to `max`, for `-w -i -c` and the zones. `letter` is what messages call the
/// option.
///
/// # Errors
/// Exit 1 without a hint, as 1.4.9 has it.
pub fn checked(text: &[u8], max: u64, letter: u8) -> Result<u64, Fail> {
    match any_base(text) {
        Some((v, b"")) if v <= max && !text.is_empty() => Ok(v),
        _ => Err(unexpected(text, letter)),
    }
}

fn unexpected(text: &[u8], letter: u8) -> Fail {
    let parts = [b"unexpected value '", text, b"' with -", &[letter], b" option"];
    Fail::runtime(parts.concat())
}

/// `-m VALUE[/MASK]`. The mask is not checked, and an empty one is 0, as in the original.
///
/// # Errors
/// Exit 1 for a bad value, as 1.4.9 has it.
pub fn mark(text: &[u8]) -> Result<Masked, Fail> {
    let (value, after) = any_base(text).ok_or_else(|| unexpected(text, b'm'))?;
    let value = u32::try_from(value).map_err(|_| unexpected(text, b'm'))?;
    let mask = match after {
        [] => u32::MAX,
        // Cut to 32 bits, as the original's assignment does.
        [b'/', mask @ ..] => any_base(mask).map_or(0, |(v, _)| v as u32),
        _ => return Err(unexpected(text, b'm')),
    };
    Ok(Masked { value, mask })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_c_reads_them() {
        for (text, want) in [
            (&b"10"[..], Some((10, &b""[..]))),
            (b"0x1F", Some((31, b""))),
            (b"010", Some((8, b""))),
            (b"0x", Some((0, b"x"))),
            (b"08", Some((0, b"8"))),
            (b" \t+7z", Some((7, b"z"))),
            (b"-1", Some((u64::MAX, b""))),
            (b"99999999999999999999", Some((u64::MAX, b""))),
            (b"", None),
            (b"x", None),
            (b"-", None),
        ] {
            assert_eq!(any_base(text), want, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!((decimal(b"12abc"), decimal(b"abc"), decimal(b"-3"), decimal(b"0x10")), (12, 0, -3, 0));
        assert_eq!(decimal(b"70000") as u16, 4464);
        let far = b"-99999999999999999999";
        assert_eq!((decimal(far) as u32, decimal(&far[1..]) as u32), (0, u32::MAX));
        assert!(is_decimal(b"70000") && is_decimal(b"-1") && !is_decimal(b"1 ") && !is_decimal(b""));
    }

    #[test]
    fn checked_values_name_value_and_letter() {
        assert_eq!(checked(b"0xffff", 0xffff, b'w'), Ok(0xffff));
        for bad in [&b"65536"[..], b"-1", b"", b"1x", b"abc"] {
            let want = [b"unexpected value '", bad, b"' with -( option"].concat();
            assert_eq!(checked(bad, 0xffff, b'('), Err(Fail::runtime(want)));
        }
    }

    #[test]
    fn marks_and_masks() {
        let m = |value, mask| Ok(Masked { value, mask });
        assert_eq!(mark(b"5"), m(5, u32::MAX));
        assert_eq!(mark(b"0x10/0xff"), m(16, 255));
        assert_eq!(mark(b"1/"), m(1, 0));
        assert_eq!(mark(b"1/x"), m(1, 0));
        for bad in [&b""[..], b"x", b"5x", b"4294967296", b"-1"] {
            assert!(mark(bad).is_err(), "{bad:?}");
        }
    }
}
