//! What a text means where an address is wanted, judged as in [`super::number`].

use super::number::{Base, Several, Verdict, numbers, one};
use Verdict::{Perhaps, Right, Wrong};
use std::net::{Ipv4Addr, Ipv6Addr};
use zct_wire::tuple::Addr;

/// Ranges of addresses as numbers, with both ends included; all of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nets {
    /// Whether the family is IPv6.
    pub(crate) six: bool,
    /// One of these has to contain the address.
    pub(crate) ranges: Vec<(u128, u128)>,
    /// Dotted quads that the program has to show, because a short or octal form stands for them.
    pub(crate) said: Vec<String>,
}

/// The family of an address (true for IPv6) and its number.
pub(crate) fn number_of(a: Addr) -> (bool, u128) {
    match a {
        Addr::V4(b) => (false, u32::from_be_bytes(b).into()),
        Addr::V6(b) => (true, u128::from_be_bytes(b)),
    }
}

impl Nets {
    /// Whether one of the ranges contains the address.
    pub(crate) fn contain(&self, addr: Addr) -> bool {
        let (six, n) = number_of(addr);
        six == self.six && self.ranges.iter().any(|(a, b)| (*a..=*b).contains(&n))
    }
}

/// Whether an option takes lists and prefix lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// It takes a prefix length.
    pub(crate) length: bool,
    /// It takes a list separated by commas.
    pub(crate) list: bool,
}

/// A single address: family, number, and whether its form has to be explained.
pub(crate) fn address(text: &str) -> Verdict<(bool, u128, bool)> {
    if let Some(n) = quad(text) {
        return Right((false, n, false));
    }
    if let Ok(six) = text.parse::<Ipv6Addr>() {
        return Right((true, u128::from_be_bytes(six.octets()), false));
    }
    if let Some(n) = short(text) {
        return Perhaps((false, n, true));
    }
    let inner = text.trim_matches([' ', '\t', '\n']);
    if inner != text { address(inner).perhaps() } else { Wrong }
}

/// Four numbers from 0 to 255 without leading zeros.
fn quad(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split('.').collect();
    let mut n = 0;
    for part in &parts {
        match one(part, Base::Ten) {
            Right(v) if v <= 255 => n = n << 8 | v,
            _ => return None,
        }
    }
    (parts.len() == 4).then_some(n)
}

/// The other forms of inet_aton: fewer numbers, the last of which fills the rest, in any base.
fn short(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || text.contains(['+', '-', ' ', '\t', '\n', '\r', '\x0b', '\x0c']) {
        return None;
    }
    let mut n = 0;
    for part in front {
        n = n << 8 | one(part, Base::Any).meaning().copied().filter(|v| *v <= 255)?;
    }
    let room = 8 * (4 - front.len() as u32);
    let last = one(last, Base::Any).meaning().copied().filter(|v| v >> room == 0)?;
    Some(n << room | last)
}

/// The value of an option that takes addresses.
pub(crate) fn nets(text: &str, form: Form) -> Verdict<Nets> {
    let mut all = Nets { six: false, ranges: Vec::new(), said: Vec::new() };
    let mut unsure = false;
    for (at, piece) in text.split(',').enumerate() {
        let judged = net(piece, form.length);
        unsure |= matches!(judged, Perhaps(_));
        let Some((six, range, odd)) = judged.meaning().copied() else { return Wrong };
        // A flow has one family, so a list cannot mix two.
        if at > 0 && (six != all.six || !form.list) {
            return Wrong;
        }
        all.six = six;
        all.ranges.push(range);
        if let Some(n) = odd {
            all.said.push(Ipv4Addr::from(n as u32).to_string());
        }
    }
    if unsure { Perhaps(all) } else { Right(all) }
}

type Net = (bool, (u128, u128), Option<u128>);

fn net(text: &str, length: bool) -> Verdict<Net> {
    if let Some((from, to)) = text.split_once('-') {
        // A program need not accept ranges of addresses.
        return match (address(from).meaning(), address(to).meaning()) {
            (Some((f, a, _)), Some((g, b, _))) if f == g && a <= b && length => Perhaps((*f, (*a, *b), None)),
            _ => Wrong,
        };
    }
    let (addr, len) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let judged = address(addr);
    let Some((six, n, odd)) = judged.meaning().copied() else { return Wrong };
    let bits = if six { 128 } else { 32 };
    let all = if six { u128::MAX } else { u32::MAX.into() };
    let (mask, sure) = match len {
        None => (all, true),
        Some(len) => match (one(len, Base::Ten), address(len)) {
            (Right(l), _) if l <= bits => (high(l as u32, bits as u32), true),
            (Perhaps(l), _) if l <= bits => (high(l as u32, bits as u32), false),
            // A mask is the other way to write a length.
            (Wrong, Right((s, mask, _))) if s == six && is_mask(mask, bits as u32) => (mask, false),
            _ => return Wrong,
        },
    };
    if len.is_some() && !length {
        // A length that covers the whole address says nothing.
        return if mask == all { Perhaps((six, (n, n), None)) } else { Wrong };
    }
    let net = (six, (n & mask, n | (all & !mask)), odd.then_some(n));
    if sure && matches!(judged, Right(_)) { Right(net) } else { Perhaps(net) }
}

fn high(len: u32, bits: u32) -> u128 {
    let all = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
    let low = if len == 0 { all } else { (1u128 << (bits - len)) - 1 };
    all & !low
}

fn is_mask(mask: u128, bits: u32) -> bool {
    (0..=bits).any(|l| high(l, bits) == mask)
}

/// An address to translate to, and a range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Translation {
    /// The address to translate to.
    pub(crate) to: Nets,
    /// The port lies between these two, which are included.
    pub(crate) ports: Option<(u128, u128)>,
}

/// The value of a NAT option.
pub(crate) fn nat(text: &str) -> Verdict<Translation> {
    let (addr, port) = if let Some(inside) = text.strip_prefix('[') {
        match inside.split_once(']') {
            Some((addr, rest)) if addr.contains(':') => match rest.strip_prefix(':') {
                Some(port) => (addr, Some(port)),
                // Brackets without a port may be accepted as an address, or refused.
                None if rest.is_empty() => return nat(addr).perhaps(),
                None => return Wrong,
            },
            _ => return Wrong,
        }
    } else if text.matches(':').count() == 1 {
        let (addr, port) = text.split_once(':').unwrap_or((text, ""));
        (addr, Some(port))
    } else {
        (text, None)
    };
    let judged = nets(addr, Form { length: false, list: false });
    let ports = port.map(|p| numbers(p, Base::Ten, 65_535, Several::Perhaps));
    match (judged, ports) {
        (Right(to), None) => Right(Translation { to, ports: None }),
        (Perhaps(to), None) => Perhaps(Translation { to, ports: None }),
        (Right(to), Some(Right(p))) => Right(Translation { to, ports: p.first().copied() }),
        (Right(to) | Perhaps(to), Some(Right(p) | Perhaps(p))) if p.len() == 1 => {
            Perhaps(Translation { to, ports: Some(p[0]) })
        }
        _ => Wrong,
    }
}

#[test]
fn addresses_are_what_people_say() {
    let form = Form { length: true, list: true };
    let ranges = |t: &str| nets(t, form).map(|n| n.ranges);
    assert_eq!(ranges("10.1.0.5"), Right(vec![(0x0a01_0005, 0x0a01_0005)]));
    assert_eq!(ranges("10.1.0.5/8"), Right(vec![(0x0a00_0000, 0x0aff_ffff)]));
    assert_eq!(ranges("0.0.0.0/0,10.0.0.1"), Right(vec![(0, 0xffff_ffff), (0x0a00_0001, 0x0a00_0001)]));
    assert_eq!(ranges("::1/127"), Right(vec![(0, 1)]));
    assert_eq!(ranges("10.0.0.0/255.0.0.0"), Perhaps(vec![(0x0a00_0000, 0x0aff_ffff)]));
    for (text, said) in [("10.1", "10.0.0.1"), ("010.1.0.5", "8.1.0.5"), ("0xa.1.5", "10.1.0.5")] {
        let Perhaps(nets) = nets(text, form) else { panic!("{text}") };
        assert_eq!(nets.said, [said]);
    }
    for wrong in [
        "",
        "x",
        "10.1.0.256",
        "10.1.0.5/33",
        "10.1.0.5/",
        "10.1.0.5/-1",
        "10.1.0.5/8x",
        "10.1.0.5/8/8",
        "::1/129",
        "10.1.0.5,::1",
        "10.1.0.5,",
        "10.1.0.5 x",
        "4294967296",
        "1.2.3.4.5",
        "fe80::1%lo",
        "[::1]",
        "-1",
        "1..2",
        "10.0.0.0/255.0.255.0",
    ] {
        assert_eq!(nets(wrong, form), Wrong, "{wrong}");
    }
    assert_eq!(nets("10.1.0.5/8", Form { length: false, list: true }), Wrong);
    assert_eq!(nets("10.1.0.5,10.1.0.6", Form { length: true, list: false }), Wrong);
}

#[test]
fn translations_have_ports() {
    let of = |t: &str| nat(t).map(|n| (n.to.ranges[0].0, n.ports));
    assert_eq!(of("10.0.0.1:80"), Right((0x0a00_0001, Some((80, 80)))));
    assert_eq!(of("10.0.0.1:80-90"), Perhaps((0x0a00_0001, Some((80, 90)))));
    assert_eq!((of("[::1]:80"), of("::1")), (Right((1, Some((80, 80)))), Right((1, None))));
    assert_eq!(of("[::1]"), Perhaps((1, None)));
    for wrong in
        ["10.0.0.1:", "10.0.0.1:65616", "10.0.0.1/8", "10.0.0.1:80x", "[::1]:", "[::1", ":80", "[]:1"]
    {
        assert_eq!(of(wrong), Wrong, "{wrong}");
    }
}
