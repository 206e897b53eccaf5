//! What a text means where a number is wanted, judged by the width of the kernel's field and without the code
//! under test.

/// How an answer to a text is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<M> {
    /// The text has to be accepted, with this meaning.
    Right(M),
    /// The text may be refused. If accepted, it means this and nothing else.
    Perhaps(M),
    /// The text has to be refused.
    Wrong,
}

use Verdict::{Perhaps, Right, Wrong};

impl<M> Verdict<M> {
    /// The same verdict with another meaning.
    pub(crate) fn map<N>(self, f: impl FnOnce(M) -> N) -> Verdict<N> {
        match self {
            Right(m) => Right(f(m)),
            Perhaps(m) => Perhaps(f(m)),
            Wrong => Wrong,
        }
    }

    /// What it means, unless it has to be refused.
    pub(crate) fn meaning(&self) -> Option<&M> {
        match self {
            Right(m) | Perhaps(m) => Some(m),
            Wrong => None,
        }
    }

    /// The same verdict, except that the text may also be refused.
    pub(crate) fn perhaps(self) -> Verdict<M> {
        match self {
            Right(m) => Perhaps(m),
            other => other,
        }
    }
}

/// In which base digits are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Base ten, whatever is in front.
    Ten,
    /// As in C's constants: `0x1f`, `017`, `15`.
    Any,
}

/// Whether lists and ranges are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Several {
    /// Only a single number is.
    Never,
    /// A single number is; lists and ranges may be, if they mean what they say.
    Perhaps,
    /// Lists `A,B` and ranges `A-B` and `A:B` are.
    Always,
}

/// Ranges with both ends included.
pub(crate) type Ranges = Vec<(u128, u128)>;

/// A single number. A text that nobody can read for certain is not a number; what people write but a program
/// need not accept (blanks, a plus, leading zeros, the other base) may be refused.
pub(crate) fn one(text: &str, base: Base) -> Verdict<u128> {
    let inner = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let digits = inner.strip_prefix('+').unwrap_or(inner);
    // Minus zero is zero.
    let digits = match digits.strip_prefix('-') {
        Some(zeros) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') && inner == digits => zeros,
        _ => digits,
    };
    let plain = digits.len() == text.len();
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let zeros = digits.len() > 1 && digits.starts_with('0');
    let (value, usual) = match (hex, base) {
        (Some(hex), base) => (value(hex, 16), base == Base::Any),
        (None, Base::Any) if zeros => (value(digits, 8), false),
        _ => (value(digits, 10), !zeros),
    };
    match value {
        Some(v) if plain && usual => Right(v),
        Some(v) => Perhaps(v),
        None => Wrong,
    }
}

/// Digits and nothing else; more than fit count as a very large number.
fn value(digits: &str, base: u32) -> Option<u128> {
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0u128, |v, c| {
        let digit = c.to_digit(base)?;
        Some(v.saturating_mul(base.into()).saturating_add(digit.into()))
    })
}

/// A number of at most `max`, or several such numbers.
pub(crate) fn numbers(text: &str, base: Base, max: u128, several: Several) -> Verdict<Ranges> {
    let mut all = Vec::new();
    let mut unsure = false;
    for piece in text.split(',') {
        match range(piece, base, max) {
            Right(range) => all.push(range),
            Perhaps(range) => {
                all.push(range);
                unsure = true;
            }
            Wrong => return Wrong,
        }
    }
    let many = text.contains(',') || all.iter().any(|(a, b)| a != b) || one(text, base) == Wrong;
    match several {
        Several::Never if many => Wrong,
        Several::Perhaps if many => Perhaps(all),
        _ if unsure => Perhaps(all),
        _ => Right(all),
    }
}

/// `N`, `A-B` or `A:B`.
fn range(text: &str, base: Base, max: u128) -> Verdict<(u128, u128)> {
    let within = |v: Verdict<u128>| match v {
        Right(n) | Perhaps(n) if n > max => Wrong,
        v => v,
    };
    if let v @ (Right(_) | Perhaps(_)) = within(one(text, base)) {
        return v.map(|n| (n, n));
    }
    let Some((from, to)) = text.split_once([':', '-']) else { return Wrong };
    match (within(one(from, base)), within(one(to, base))) {
        (Right(a), Right(b)) if a <= b => Right((a, b)),
        (Right(a) | Perhaps(a), Right(b) | Perhaps(b)) if a <= b => Perhaps((a, b)),
        _ => Wrong,
    }
}

/// A value and the bits of it that count, as in `-m`.
pub(crate) fn mark(text: &str) -> Verdict<(u32, u32)> {
    let max = u128::from(u32::MAX);
    let part = |t: &str| numbers(t, Base::Any, max, Several::Never).map(|r| r[0].0 as u32);
    let Some((value, mask)) = text.split_once('/') else { return part(text).map(|v| (v, u32::MAX)) };
    match (part(value), part(mask)) {
        // No flow can have bits outside the mask, so the program may object.
        (Right(v), Right(m)) if v & !m == 0 => Right((v, m)),
        (Right(v) | Perhaps(v), Right(m) | Perhaps(m)) => Perhaps((v, m)),
        _ => Wrong,
    }
}

/// The most seconds that every kernel can keep: its clock ticks at most 1000 times per second, and it counts
/// ticks in 31 bits.
pub(crate) const SECONDS_SURE: u128 = i32::MAX as u128 / 1000;

/// A time as `-t` and nfct take it: seconds, or numbers with units.
pub(crate) fn seconds(text: &str) -> Verdict<u128> {
    let max = u128::from(u32::MAX);
    let judged = match one(text, Base::Ten) {
        Wrong => match with_units(text) {
            Some(v) => Perhaps(v),
            None => Wrong,
        },
        v => v,
    };
    match judged {
        Right(v) | Perhaps(v) if v > max => Wrong,
        Right(v) if v > SECONDS_SURE => Perhaps(v),
        v => v,
    }
}

/// A time with units: `5m`, `1h30m`.
fn with_units(text: &str) -> Option<u128> {
    let mut sum = 0u128;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = match rest[digits..].chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        sum = sum.saturating_add(value(&rest[..digits], 10)?.saturating_mul(unit));
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(sum)
}

#[test]
fn numbers_are_what_people_say() {
    let port = |t: &str, s| numbers(t, Base::Ten, 65_535, s);
    let always = Several::Always;
    assert_eq!(port("443", Several::Never), Right(vec![(443, 443)]));
    assert_eq!(port("80,40000-40010", always), Right(vec![(80, 80), (40_000, 40_010)]));
    assert_eq!(port("1:2", Several::Perhaps), Perhaps(vec![(1, 2)]));
    for wrong in ["", " ", "443x", "65979", "-1", "5-", "-5-6", "7-3", "80,", ",", "1-2-3", "8.0", "1e3", "٣"]
    {
        assert_eq!(port(wrong, always), Wrong, "{wrong}");
    }
    assert_eq!(port("80-90", Several::Never), Wrong);
    for (text, v) in [("0443", 443), (" 443", 443), ("+443", 443), ("0x10", 16), ("-0", 0)] {
        assert_eq!(port(text, always), Perhaps(vec![(v, v)]), "{text}");
    }
    assert_eq!(one("010", Base::Any), Perhaps(8));
    assert_eq!((one("0x1F", Base::Any), one("08", Base::Any)), (Right(31), Wrong));
    assert_eq!(one(&"9".repeat(60), Base::Ten), Right(u128::MAX));
}

#[test]
fn marks_and_times_too() {
    assert_eq!((mark("5"), mark("0x10/0xff")), (Right((5, u32::MAX)), Right((16, 255))));
    assert_eq!((mark("5/4"), mark("5/"), mark("5/x")), (Perhaps((5, 4)), Wrong, Wrong));
    assert_eq!((mark("4294967296"), mark("1/4294967296"), mark("1/2/3")), (Wrong, Wrong, Wrong));
    assert_eq!((seconds("60"), seconds("1h"), seconds("1h30m")), (Right(60), Perhaps(3600), Perhaps(5400)));
    for wrong in ["", "established", "1e3", "1.5", "-1", "99999999999", "1 h", "h", "1x"] {
        assert_eq!(seconds(wrong), Wrong, "{wrong}");
    }
    assert_eq!(seconds("8589934"), Perhaps(8_589_934));
}
