//! Numbers: whole, not negative, and within the limit of their field. Anything else is refused before a
//! command does anything.
//!
//! Each is read in the notation in which the original reads it: some options know hexadecimal and octal,
//! while others are decimal whatever they begin with.

use crate::fail::Fail;
use memchr::memchr;
use std::sync::OnceLock;
use zct_wire::filter::Masked;

pub use zct_engine::number::{Base, is_space, leading};

/// Reads a text that is one number from 0 to `max` and nothing else.
pub fn up_to(text: &[u8], base: Base, max: u64) -> Option<u64> {
    leading(text, base).filter(|(v, after)| after.is_empty() && *v <= max).map(|(v, _)| v)
}

/// The largest number of a field of this type.
const fn max_of<T>() -> u64 {
    u64::MAX >> (64 - 8 * size_of::<T>())
}

/// Reads the value of an option, which has to fit a field of this type.
///
/// # Errors
/// [`unexpected`] for a value that is not a number or does not fit.
pub fn field<T: TryFrom<u64>>(text: &[u8], base: Base, option: &str) -> Result<T, Fail> {
    up_to(text, base, u64::MAX - 1).and_then(|v| T::try_from(v).ok()).ok_or_else(|| {
        let max = max_of::<T>();
        unexpected(text, option, &format!("a number from 0 to {max}"))
    })
}

/// The failure for a bad value. Its first words and exit 1 are those of 1.4.9. `option` is a long name or a
/// letter, and `wanted` says what would be right.
pub fn unexpected(text: &[u8], option: &str, wanted: &str) -> Fail {
    let dashes: &[u8] = if option.len() == 1 { b"-" } else { b"--" };
    let wanted = format!(" option: {wanted}");
    Fail::runtime(
        [b"unexpected value '", text, b"' with ", dashes, option.as_bytes(), wanted.as_bytes()].concat(),
    )
}

/// Reads `-m VALUE[/MASK]`, each in any base.
///
/// # Errors
/// [`unexpected`], also for an empty mask, which as 0 would select every flow.
pub fn mark(text: &[u8]) -> Result<Masked, Fail> {
    let number = |t: &[u8]| up_to(t, Base::Any, u32::MAX.into()).map(|v| v as u32);
    let slash = memchr(b'/', text);
    let (value, mask) = match slash {
        None => (number(text), Some(u32::MAX)),
        Some(at) => (number(&text[..at]), number(&text[at + 1..])),
    };
    let (Some(value), Some(mask)) = (value, mask) else {
        return Err(unexpected(text, "m", "MARK or MARK/MASK, each a number from 0 to 4294967295"));
    };
    Ok(Masked { value, mask })
}

/// The units of time in seconds, the largest first.
const UNITS: [(u8, u64); 4] = [(b'd', 86_400), (b'h', 3600), (b'm', 60), (b's', 1)];

/// Reads a number of seconds: a decimal number, or numbers with units, larger units first: `90s`, `1h30m`.
/// It must not exceed the longest timeout of this kernel.
pub fn seconds(text: &[u8]) -> Option<u32> {
    let total = match leading(text, Base::Decimal)? {
        (bare, b"") => bare,
        _ => with_units(text)?,
    };
    u32::try_from(total).ok().filter(|s| *s <= ALWAYS_KEPT_S || *s <= seconds_max())
}

fn with_units(text: &[u8]) -> Option<u64> {
    let (mut rest, mut total, mut units) = (text, 0u64, &UNITS[..]);
    while !rest.is_empty() {
        let (value, after) = leading(rest, Base::Decimal)?;
        let (letter, after) = after.split_first()?;
        let at = units.iter().position(|(unit, _)| unit == letter)?;
        total = total.saturating_add(value.saturating_mul(units[at].1));
        // Blanks and signs are allowed only in front of the whole.
        if after.first().is_some_and(|b| !b.is_ascii_digit()) {
            return None;
        }
        (rest, units) = (after, &units[at + 1..]);
    }
    Some(total)
}

/// What a value that [`seconds`] refuses should look like.
pub fn seconds_wanted() -> String {
    format!("seconds, or with units as 90s, 5m, 1h30m, 2d, at most {}", seconds_max())
}

/// The longest timeout of a kernel with the highest tick rate there is, 1000 a second.
const ALWAYS_KEPT_S: u32 = i32::MAX as u32 / 1000;

/// The longest timeout in seconds. The kernel counts in ticks and compares by a signed 32-bit difference: it
/// cuts the timeout of a flow to this, but a flow that gets a larger one from a policy ends at once.
fn seconds_max() -> u32 {
    static MAX: OnceLock<u32> = OnceLock::new();
    *MAX.get_or_init(|| i32::MAX as u32 / zct_engine::ticks_a_second().unwrap_or(1000))
}

/// Reads the value of `-t`.
///
/// # Errors
/// [`unexpected`].
pub fn timeout(text: &[u8], option: &str) -> Result<u32, Fail> {
    seconds(text).ok_or_else(|| unexpected(text, option, &seconds_wanted()))
}

/// The largest receive buffer in bytes: the kernel doubles the number and keeps it in an int.
const BUFFER_MAX: u64 = i32::MAX as u64 / 2;

/// Reads the value of `-b`.
///
/// # Errors
/// [`unexpected`].
pub fn buffer_size(text: &[u8], option: &str) -> Result<usize, Fail> {
    let bytes = up_to(text, Base::Decimal, BUFFER_MAX).and_then(|v| usize::try_from(v).ok());
    bytes.ok_or_else(|| unexpected(text, option, &format!("a number of bytes from 0 to {BUFFER_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_c_reads_them_but_whole() {
        for (text, any, decimal) in [
            (&b"10"[..], Some(10), Some(10)),
            (b"0", Some(0), Some(0)),
            (b"0x1F", Some(31), None),
            (b"010", Some(8), Some(10)),
            (b"000443", Some(0o443), Some(443)),
            (b"0x", None, None),
            (b"08", None, Some(8)),
            (b" \t+7", Some(7), Some(7)),
            (b"7 ", None, None),
            (b"7z", None, None),
            (b"-1", None, None),
            (b"-0", Some(0), Some(0)),
            (b"", None, None),
            (b"x", None, None),
            (b"-", None, None),
            (b"+", None, None),
            (b"1.5", None, None),
            (b"1e3", None, None),
        ] {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(up_to(text, Base::Any, 1000), any, "{shown}");
            assert_eq!(up_to(text, Base::Decimal, 1000), decimal, "{shown}");
        }
        assert_eq!(leading(b"99999999999999999999", Base::Any), Some((u64::MAX, &b""[..])));
        assert_eq!((leading(b"7z", Base::Any), leading(b"-7", Base::Any)), (Some((7, &b"z"[..])), None));
    }

    #[test]
    fn fields_are_as_large_as_their_type() {
        fn check<T: TryFrom<u64> + PartialEq + std::fmt::Debug>(max: u64) {
            let read = |v: u64| field::<T>(v.to_string().as_bytes(), Base::Decimal, "sport");
            assert!(read(0).is_ok() && read(max - 1).is_ok());
            assert_eq!(read(max).ok(), T::try_from(max).ok());
            for over in [max + 1, max + 444, max * 2, u64::MAX] {
                let want = format!("unexpected value '{over}' with --sport option: a number from 0 to {max}");
                assert_eq!(read(over), Err(Fail::runtime(want)));
            }
        }
        check::<u8>(255);
        check::<u16>(65535);
        check::<u32>(4_294_967_295);
        for bad in [&b"-1"[..], b"", b"1x", b"abc", b"0x10", b"80 443", b"99999999999999999999999"] {
            let want = [b"unexpected value '", bad, b"' with -w option: a number from 0 to 65535"].concat();
            assert_eq!(field::<u16>(bad, Base::Decimal, "w"), Err(Fail::runtime(want)));
        }
        assert_eq!(field(b"0xffff", Base::Any, "w"), Ok(0xffff_u16));
        assert!(field::<u16>(b"0x10000", Base::Any, "w").is_err());
    }

    #[test]
    fn marks_and_masks() {
        let m = |value, mask| Ok(Masked { value, mask });
        assert_eq!(mark(b"5"), m(5, u32::MAX));
        assert_eq!(mark(b"0x10/0xff"), m(16, 255));
        assert_eq!(mark(b"4294967295/0xffffffff"), m(u32::MAX, u32::MAX));
        assert_eq!(mark(b"0/0"), m(0, 0));
        for bad in [
            "",
            "x",
            "5x",
            "4294967296",
            "-1",
            "1/",
            "/1",
            "1/x",
            "1/1x",
            "5/0xfffffffff",
            "5/4294967296",
            "5/-1",
            "1/2/3",
            "4294967301/5",
        ] {
            let fail = mark(bad.as_bytes()).expect_err(bad);
            assert_eq!(fail.code(), 1);
            assert!(fail.text.starts_with(format!("unexpected value '{bad}' with -m option: ").as_bytes()));
        }
    }

    #[test]
    fn seconds_and_units() {
        for (text, want) in [
            ("0", Some(0)),
            ("600", Some(600)),
            ("010", Some(10)),
            ("+5", Some(5)),
            (" 5", Some(5)),
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("2d", Some(172_800)),
            ("1h30m", Some(5400)),
            ("1d2h3m4s", Some(93_784)),
            ("2147483", Some(2_147_483)),
            ("24d20h31m23s", Some(2_147_483)),
            ("", None),
            ("h", None),
            ("established", None),
            ("0x10", None),
            ("1e3", None),
            ("1.5h", None),
            ("-1", None),
            ("-1h", None),
            ("1h-30m", None),
            ("1h 30m", None),
            ("1h30", None),
            ("30m1h", None),
            ("5m5m", None),
            ("5M", None),
            ("5mm", None),
            ("5 m", None),
            ("5m ", None),
            ("99999999999", None),
            ("99999d", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), want, "{text}");
        }
        let max = seconds_max();
        assert!(max >= ALWAYS_KEPT_S);
        let read = |s: u64| timeout(s.to_string().as_bytes(), "t");
        assert_eq!(read(max.into()), Ok(max));
        for over in [u64::from(max) + 1, 4_294_967_295, 4_294_967_296, 4_294_967_306] {
            let text = String::from_utf8(read(over).unwrap_err().text).unwrap();
            let end = format!(" at most {max}");
            assert!(
                text.starts_with(&format!("unexpected value '{over}' with -t option: "))
                    && text.ends_with(&end)
            );
        }
    }

    #[test]
    fn bytes_of_a_buffer() {
        assert_eq!(buffer_size(b"1073741823", "b"), Ok(1_073_741_823));
        for bad in ["1073741824", "-1", "", "0x100", "64k", "99999999999999999999"] {
            let text = String::from_utf8(buffer_size(bad.as_bytes(), "b").unwrap_err().text).unwrap();
            assert_eq!(
                text,
                format!("unexpected value '{bad}' with -b option: a number of bytes from 0 to 1073741823")
            );
        }
    }
}
