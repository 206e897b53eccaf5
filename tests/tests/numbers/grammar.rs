//! What a text means as a number, worked out here and not by zct; and the texts to try.

use fastrand::Rng;

/// How the values of an option are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar {
    pub(crate) decimal: bool,
    pub(crate) max: u64,
    /// Whether lists and ranges are accepted too.
    pub(crate) list: bool,
}

pub(crate) const fn decimal(max: u64) -> Grammar {
    Grammar { decimal: true, max, list: false }
}

pub(crate) const fn any_base(max: u64) -> Grammar {
    Grammar { decimal: false, max, list: false }
}

pub(crate) const PORT: Grammar = Grammar { decimal: true, max: 0xffff, list: true };
pub(crate) const KEY: Grammar = Grammar { decimal: false, max: 0xffff, list: true };

impl Grammar {
    /// The number that a text stands for.
    pub(crate) fn number(self, text: &str) -> Option<u64> {
        let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(hex) if !self.decimal => (16, hex),
            _ if !self.decimal && digits.starts_with('0') => (8, digits),
            _ => (10, digits),
        };
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let value = i128::from_str_radix(digits, radix).ok()? * sign;
        u64::try_from(value).ok().filter(|v| *v <= self.max)
    }

    /// The ranges of numbers that a text stands for; `None` when it stands for nothing.
    pub(crate) fn ranges(self, text: &str) -> Option<Vec<(u64, u64)>> {
        if !self.list || !text.contains([',', ':', '-']) {
            return self.number(text).map(|n| vec![(n, n)]);
        }
        let range = |piece: &str| {
            let (first, last) = piece.split_once(['-', ':']).unwrap_or((piece, piece));
            Some((self.number(first)?, self.number(last)?)).filter(|(first, last)| first <= last)
        };
        text.split(',').map(range).collect()
    }
}

/// Values around a number that some flow has, and around the limit of its field.
pub(crate) fn values(hit: u64, max: u64) -> Vec<String> {
    let wrap = max + 1;
    let mut all: Vec<String> = [0, 1, hit, hit + 1, max - 1, max, wrap, wrap + hit, 2 * wrap + hit, 10 * max]
        .map(|n| n.to_string())
        .into();
    all.extend([
        ((1u128 << 32) + u128::from(hit)).to_string(),
        ((1u128 << 64) + u128::from(hit)).to_string(),
        "9".repeat(40),
        format!("-{hit}"),
        "-1".to_owned(),
        format!("-{}", wrap - hit),
        "-0".to_owned(),
        String::new(),
        " ".to_owned(),
    ]);
    for form in [
        "N ",
        " N",
        "+N",
        "\tN",
        "Nx",
        "xN",
        "N.0",
        "N.",
        "Ne0",
        "Nm",
        "Nh",
        "N s",
        "N/",
        "N/N",
        "N;N",
        "N N",
        "0N",
        "00N",
        "N-",
        "-N-",
        "N:",
        ":N",
        "N,",
        ",N",
        "N,,N",
        "N-N",
        "N:N",
        "0-N",
        "N-0",
        "N-N-N",
        "N:N-N",
        "N,1-2",
        "1-2,N,9",
        "N,65536",
        "0-65535",
        "0-65536",
        "N\n",
        "N\r",
        "é",
        "N٣",
        "'N'",
        "any",
        "http",
        "ESTABLISHED",
        "N!",
    ] {
        all.push(form.replace('N', &hit.to_string()));
    }
    all.extend([
        format!("{hit:#x}"),
        format!("0{hit:o}"),
        format!("0X{hit:X}"),
        format!("{:#x}", wrap + hit),
    ]);
    all.extend(["0x", "0x1g", "08", "0o7", "1e1", "٣"].map(str::to_owned));
    all
}

/// A random value, which need not make sense.
pub(crate) fn random(rng: &mut Rng, hit: u64, max: u64) -> String {
    let some = values(hit, max);
    match rng.u8(..4) {
        0 => rng.u64(..2 * max).to_string(),
        1 => format!("{}{}", some[rng.usize(..some.len())], some[rng.usize(..some.len())]),
        2 => format!("{},{}", some[rng.usize(..some.len())], rng.u64(..max)),
        _ => {
            let alphabet = b"0123456789xX-:,+ /.ahms";
            (0..rng.usize(..8)).map(|_| char::from(alphabet[rng.usize(..alphabet.len())])).collect()
        }
    }
}
