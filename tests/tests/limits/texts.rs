//! Texts as people, scripts and accidents write them where a number or an address is wanted.

use super::flows::{SOURCES, SOURCES6};
use fastrand::Rng;

fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// A number within the range of a field, often one that a flow has or that is at the end of the range.
fn within(rng: &mut Rng, near: &[u128], max: u128) -> u128 {
    match rng.u8(..10) {
        0 => 0,
        1 => max,
        2 => max - max.min(1),
        3 => rng.u128(0..=max),
        _ => one(rng, near).min(max),
    }
}

/// A number beyond the field that comes out as one in it when cut to 8, 16, 32 or 64 bits.
fn beyond(rng: &mut Rng, near: &[u128], max: u128) -> String {
    let seed = one(rng, near).min(max);
    match rng.u8(..8) {
        0 => (max + 1).to_string(),
        1 => (max + 1 + seed).to_string(),
        2 => ((max + 1) * rng.u128(1..1000) + seed).to_string(),
        3 => ((1u128 << 32) + seed).to_string(),
        4 => ((1u128 << 64) + seed).to_string(),
        5 => format!("0x{:x}", (1u128 << one(rng, &[8u32, 16, 32, 64])) + seed),
        6 => "9".repeat(rng.usize(20..200)),
        _ => format!("1{}{seed}", "0".repeat(rng.usize(20..60))),
    }
}

/// A text for a field of at most `max`; `near` are values that flows have.
pub(crate) fn number(rng: &mut Rng, near: &[u128], max: u128) -> String {
    let v = within(rng, near, max);
    match rng.u8(..30) {
        0..=6 => v.to_string(),
        7..=9 => beyond(rng, near, max),
        10 => format!("-{v}"),
        // Cut to the field, it comes out as `v`.
        11 => format!("-{}", (max + 1) * rng.u128(1..3) - v),
        12 => format!("-{}", (1u128 << 64) - v),
        13 => {
            one(rng, &["", " ", "\t", "-", "+", "0x", ",", ":", "any", "established", "abc", "*", "!"]).into()
        }
        14 | 15 => {
            let unit = [
                "s", "m", "h", "d", "w", "k", "K", "M", "%", "ms", "sec", "h30m", ".0", ".5", "e3", "L", "u",
            ];
            format!("{v}{}", one(rng, &unit))
        }
        16 | 17 => {
            let tail = [
                "x", " ", ",", ";", "/", ":", "-", "#", " 1", "\n", "_", "'", ".", "/1x", "-x", "\u{a0}", "o",
            ];
            format!("{v}{}", one(rng, &tail))
        }
        18 => format!(
            "{}{v}",
            one(rng, &[" ", "+", "0", "x", "00000000000000000000000", "\t", "#", "=", "--", "!!"])
        ),
        19 => format!("0x{v:x}"),
        20 => format!("0{v:o}"),
        21 => format!("{}{v:x}", one(rng, &["0X", "x", "0b", "0o", "0x0000000000000000000000000"])),
        22..=25 => {
            let w = within(rng, near, max);
            let (a, b) = if rng.u8(..4) == 0 { (v.max(w), v.min(w)) } else { (v.min(w), v.max(w)) };
            let join = one(rng, &["-", ":", "-", ":", "-", "..", " - ", "--", "-:"]);
            match rng.u8(..8) {
                0 => format!("{a}{join}{}", beyond(rng, near, max)),
                1 => format!("{a}{join}"),
                2 => format!("{join}{b}"),
                _ => format!("{a}{join}{b}"),
            }
        }
        26 | 27 => {
            let mut parts: Vec<String> =
                (0..rng.usize(2..5)).map(|_| within(rng, near, max).to_string()).collect();
            let at = rng.usize(..parts.len());
            match rng.u8(..6) {
                0 => parts[at] = beyond(rng, near, max),
                1 => parts[at] = String::new(),
                2 => parts[at] = format!("{v}-{max}"),
                3 => parts[at].push('x'),
                _ => {}
            }
            parts.join(",")
        }
        28 => v.to_string().chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap_or(c)).collect(),
        _ => mangled(rng, &v.to_string()),
    }
}

/// A mark, usually with a mask.
pub(crate) fn mark(rng: &mut Rng, near: &[u128]) -> String {
    let max = u128::from(u32::MAX);
    match rng.u8(..3) {
        0 => number(rng, near, max),
        1 => {
            let mask = one(rng, &[0xffu32, 0xf, u32::MAX, 1, 0x8000_0000, 0xffff_0000]);
            format!("{:#x}/{mask:#x}", one(rng, near) as u32 & mask)
        }
        _ => format!("{}/{}", number(rng, near, max), number(rng, near, max)),
    }
}

/// An address, a network, a list, or nearly one.
pub(crate) fn address(rng: &mut Rng) -> String {
    let v4 = one(rng, &SOURCES).to_owned();
    let v6 = one(rng, &SOURCES6).to_owned();
    let (any, bits) = if rng.u8(..4) == 0 { (v6.clone(), 128) } else { (v4.clone(), 32) };
    match rng.u8(..24) {
        0..=4 => any,
        5..=8 => format!("{any}/{}", rng.u32(..=bits)),
        9 => format!(
            "{any}/{}",
            one(rng, &["33", "129", "-1", "", "0x8", "8x", " 8", "08", "+8", "264", "8/8", "a"])
        ),
        10 => format!("{any}/{}", (1u64 << 32) + u64::from(bits)),
        11 => format!("{v4}/{}", one(rng, &["255.0.0.0", "255.255.255.255", "0.0.0.0", "255.0.255.0", "::"])),
        12 => one(
            rng,
            &["10.1", "10.1.0", "10.256", "167837701", "0xa010005", "1", "0", "10.1.5", "255.16777215"],
        )
        .into(),
        13 => one(rng, &["010.1.0.5", "10.01.0.5", "0xa.1.0.5", "08.1.0.5", "10.1.0.05", "012.1"]).into(),
        14 => one(
            rng,
            &["10.1.0.256", "10.1.0.261", "256.1.0.5", "10.1.0.5.1", "10..5", "4294967301", "10.1.65541"],
        )
        .into(),
        15 => format!(
            "{any}{}",
            one(rng, &["x", " ", " x", ",", ".", ":", "%lo", "\n", ";", "/", "\t10.1.0.6"])
        ),
        16 => format!("{}{any}", one(rng, &[" ", "+", "-", "[", "0", "@", "=", "!!"])),
        17 | 18 => {
            let list = (0..rng.usize(2..4))
                .map(|_| if bits == 32 { one(rng, &SOURCES) } else { one(rng, &SOURCES6) });
            list.collect::<Vec<_>>().join(",")
        }
        19 => {
            format!("{v4},{}", one(rng, &["", "x", "::1", "10.1.0.6/33", "10.0.0.0/30", "10.1", " 10.0.0.1"]))
        }
        20 => format!("{v4}-{}", one(rng, &SOURCES)),
        21 => one(
            rng,
            &["", " ", "localhost", "any", "0/0", "*", "eth0", "10.1.0.*", "10.1.0.5/", "::/0", "0.0.0.0/0"],
        )
        .into(),
        22 => format!(
            "{v6}{}",
            one(rng, &["%eth0", "1", ":1", "/128x", "::", "/200", "/00000000000000000000000128"])
        ),
        _ => mangled(rng, &any),
    }
}

/// An address to translate to, with or without ports.
pub(crate) fn nat(rng: &mut Rng, near: &[u128]) -> String {
    let host = match rng.u8(..8) {
        0 => address(rng),
        1 => "[2001:db8::5]".into(),
        2 => "2001:db8::5".into(),
        _ => one(rng, &["198.51.100.7", "198.51.100.7", "198.51.100.8", "10.1.0.5"]).into(),
    };
    match rng.u8(..4) {
        0 => host,
        _ => format!("{host}:{}", number(rng, near, 65_535)),
    }
}

/// A protocol by number or name.
pub(crate) fn protocol(rng: &mut Rng, near: &[u128]) -> String {
    let names =
        ["tcp", "UDP", "esp", "icmp", "tcp ", "tcpx", "ipv6-icmp", "tc", "tcp,udp", "6,17", "http", "Sctp"];
    if rng.u8(..4) == 0 { one(rng, &names).into() } else { number(rng, near, 255) }
}

/// Names of labels, and bits.
pub(crate) fn label(rng: &mut Rng) -> String {
    let bit = one(
        rng,
        &["0", "1", "3", "8", "17", "64", "127", "128", "145", "1023", "1024", "65553", "4294967313"],
    );
    match rng.u8(..6) {
        0 => one(
            rng,
            &["web", "mail", "we", "webx", "WEB", "", " web", "web ", "web,mail", "web,", "mail,web,none"],
        )
        .into(),
        1 => bit.into(),
        2 => format!("bit-{bit},web"),
        3 => format!("bit-{bit}{}", one(rng, &["x", " ", ",", "-18", "-"])),
        4 => format!("bit-{}{bit}", one(rng, &["-", "0", "+", " ", "0x", ""])),
        _ => format!("bit-{bit}"),
    }
}

/// One accident: a letter too many, one missing, or a wrong one.
fn mangled(rng: &mut Rng, text: &str) -> String {
    const LETTERS: &[u8] = b"0123456789abefxX+-:,./ \t!\"\\#%[]";
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.u8(1..3) {
        let (at, letter) = (rng.usize(..=bytes.len()), one(rng, LETTERS));
        match rng.u8(..3) {
            0 => bytes.insert(at, letter),
            1 if at < bytes.len() => _ = bytes.remove(at),
            _ if at < bytes.len() => bytes[at] = letter,
            _ => bytes.push(letter),
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}
