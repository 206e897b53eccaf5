//! Addresses, with a prefix length where one is allowed (command-line.md §2.1).

use super::number::{self, Base};
use crate::fail::Fail;
use memchr::memchr;
use std::net::{Ipv4Addr, Ipv6Addr};
use zct_wire::tuple::Addr;

/// An address, and the mask its prefix length stands for when that is not the whole address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddrArg {
    /// The address as given.
    pub addr: Addr,
    /// `None` for an exact address.
    pub mask: Option<Addr>,
}

/// Reads an address: IPv4 in all the forms of `inet_aton(3)`, or else IPv6. It takes no names, and nothing
/// may follow the address.
pub fn address(text: &[u8]) -> Result<Addr, Fail> {
    if let Some(quad) = dotted_quad(text) {
        return Ok(Addr::V4(quad));
    }
    ipv4(text).map(Addr::V4).or_else(|| ipv6(text).map(Addr::V6)).ok_or_else(|| invalid(text))
}

/// The usual form of an address in an unusual one: `10.1` is 10.0.0.1, and `010.1.0.5` is 8.1.0.5. `host` is
/// the text that `addr` was read from.
pub fn stands_for(host: &[u8], addr: &Addr) -> Option<Ipv4Addr> {
    match addr {
        Addr::V4(quad) if dotted_quad(trimmed(host)).is_none() => Some(Ipv4Addr::from(*quad)),
        _ => None,
    }
}

/// The failure for text that is not an address.
pub fn invalid(text: &[u8]) -> Fail {
    Fail::word("Invalid IP address `", text, "'")
}

/// Reads `ADDR[/LEN]`. If the length is that of the whole address, the address is exact.
pub fn network(text: &[u8]) -> Result<AddrArg, Fail> {
    let (addr, len) = split_network(text)?;
    let whole = len as usize == addr.bytes().len() * 8;
    Ok(AddrArg { addr, mask: (!whole).then(|| prefix_mask(&addr, len)) })
}

/// Reads `ADDR[/LEN]` as the address and its length in bits; without one, that of the whole address.
pub fn split_network(text: &[u8]) -> Result<(Addr, u32), Fail> {
    let bits = |addr: &Addr| addr.bytes().len() as u32 * 8;
    let Some(slash) = memchr(b'/', text) else {
        let addr = address(text)?;
        return Ok((addr, bits(&addr)));
    };
    let addr = address(&text[..slash]).map_err(|_| invalid(text))?;
    let len = prefix_len(&text[slash + 1..], bits(&addr))?;
    Ok((addr, len))
}

/// Reads an address where no length is allowed; `option` is its long name.
pub fn exact(text: &[u8], option: &str) -> Result<Addr, Fail> {
    if text.contains(&b'/') {
        return Err(Fail::usage(format!("CIDR notation unavailable for `--{option}'")));
    }
    address(text)
}

/// Reads a prefix length in decimal. An empty one is an error: taken as 0 it would select every address.
fn prefix_len(text: &[u8], max: u32) -> Result<u32, Fail> {
    number::up_to(text, Base::Decimal, max.into()).map(|v| v as u32).ok_or_else(|| {
        let wanted = format!("': a prefix length from 0 to {max}");
        Fail::usage([b"Invalid netmask `", text, wanted.as_bytes()].concat())
    })
}

/// The mask of a prefix length in the family of `like`.
pub fn prefix_mask(like: &Addr, len: u32) -> Addr {
    match like {
        Addr::V4(_) => Addr::V4(u32::MAX.checked_shl(32 - len).unwrap_or(0).to_be_bytes()),
        Addr::V6(_) => Addr::V6(u128::MAX.checked_shl(128 - len).unwrap_or(0).to_be_bytes()),
    }
}

/// Reads four decimal numbers without leading zeros, which is what nearly every IPv4 address looks like.
fn dotted_quad(text: &[u8]) -> Option<[u8; 4]> {
    let mut quad = [0u8; 4];
    let (mut part, mut value, mut digits) = (0usize, 0u32, 0u32);
    for b in text {
        match b {
            b'0'..=b'9' if digits == 0 || value != 0 => {
                value = value * 10 + u32::from(b - b'0');
                digits += 1;
                if value > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && part < 3 => {
                quad[part] = value as u8;
                (part, value, digits) = (part + 1, 0, 0);
            }
            _ => return None,
        }
    }
    quad[part] = value as u8;
    (part == 3 && digits > 0).then_some(quad)
}

/// The text without blanks at its end, which `inet_aton(3)` allows.
fn trimmed(text: &[u8]) -> &[u8] {
    let len = text.iter().rposition(|b| !number::is_space(*b)).map_or(0, |at| at + 1);
    &text[..len]
}

/// `inet_aton(3)`: one to four numbers in any base, of which the last fills the bytes that the others leave.
/// Unlike there, only blanks may follow: a second address in the same word would go unnoticed.
fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let parts: Vec<&[u8]> = trimmed(text).split(|b| *b == b'.').collect();
    let (last, front) = parts.split_last()?;
    if front.len() > 3 {
        return None;
    }
    // strtoul would accept a sign, but inet_aton does not.
    let unsigned = |part: &[u8]| part.first().is_some_and(u8::is_ascii_digit);
    let number = |part: &[u8]| number::up_to(part, Base::Any, u32::MAX.into()).filter(|_| unsigned(part));
    let mut out = [0u8; 4];
    for (byte, part) in out.iter_mut().zip(front) {
        *byte = u8::try_from(number(part)?).ok()?;
    }
    let tail = number(last)?;
    let room = 8 * (4 - front.len() as u32);
    if tail >> room != 0 {
        return None;
    }
    let tail = (tail as u32).to_be_bytes();
    out[front.len()..].copy_from_slice(&tail[front.len()..]);
    Some(out)
}

fn ipv6(text: &[u8]) -> Option<[u8; 16]> {
    std::str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok().map(|a| a.octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(a: u8, b: u8, c: u8, d: u8) -> Addr {
        Addr::V4([a, b, c, d])
    }

    #[test]
    fn every_form_of_inet_aton() {
        for (text, want) in [
            ("1.2.3.4", v4(1, 2, 3, 4)),
            ("1.2.3", v4(1, 2, 0, 3)),
            ("1.65536", v4(1, 1, 0, 0)),
            ("0x01010101", v4(1, 1, 1, 1)),
            ("010.0.0.1", v4(8, 0, 0, 1)),
            ("1", v4(0, 0, 0, 1)),
            ("1.2.3.4 \t", v4(1, 2, 3, 4)),
        ] {
            assert_eq!(address(text.as_bytes()), Ok(want), "{text}");
        }
        for text in [
            "",
            ".",
            "1.2.3.4.5",
            "1.2.3.256",
            "256.1.1.1",
            "1..2",
            "+1.1.1.1",
            "x",
            "4294967296",
            "1.2.3.4x",
            "1.2.3.4 x",
            "10.0.0.1 10.0.0.2",
            " 1.2.3.4",
            "1.2.3.4096",
            "1.65536.1",
            "1.2.65536",
            "1.16777216",
            "0000000000000000000000000000000000000000000001x",
        ] {
            assert_eq!(address(text.as_bytes()), Err(invalid(text.as_bytes())), "{text}");
        }
        assert_eq!(address(b"2001::1").map(|a| a.family()), Ok(10));
        // Longer than any address that is written sensibly.
        assert_eq!(address(&[&[b'0'; 50], &b"1"[..]].concat()), Ok(v4(0, 0, 0, 1)));
        let long = b"0000:0000:0000:0000:0000:ffff:255.255.255.255x";
        assert_eq!(address(long), Err(invalid(long)));
        assert!(address(b"[::1]").is_err() && address(b"fe80::1%eth0").is_err());
    }

    #[test]
    fn lengths() {
        let n = |t: &str| network(t.as_bytes());
        assert_eq!(n("10.0.0.1/32"), Ok(AddrArg { addr: v4(10, 0, 0, 1), mask: None }));
        assert_eq!(n("10.0.0.1/24").unwrap().mask, Some(v4(255, 255, 255, 0)));
        assert_eq!(n("10.0.0.1/0").unwrap().mask, Some(v4(0, 0, 0, 0)));
        assert_eq!(n("10.0.0.1/008").unwrap().mask, Some(v4(255, 0, 0, 0)));
        assert_eq!(n("::1/128").unwrap().mask, None);
        assert_eq!(n("::1/0").unwrap().mask, Some(Addr::V6([0; 16])));
        for (addr, max, bad) in [("1.1.1.1", 32, "33"), ("::1", 128, "129")] {
            for len in [bad, "", "-1", "255.255.255.0", "255.0.255.0", "x", "8x", "8/9", "0x8", "4294967304"]
            {
                let want = format!("Invalid netmask `{len}': a prefix length from 0 to {max}");
                assert_eq!(n(&format!("{addr}/{len}")), Err(Fail::usage(want)), "{len}");
            }
        }
        assert!(exact(b"1.1.1.0/24", "reply-src").is_err());
    }

    #[test]
    fn what_an_address_stands_for() {
        for (text, want) in [
            ("10.1.0.5", None),
            ("10.1.0.5 ", None),
            ("0.0.0.0", None),
            ("10.1", Some([10, 0, 0, 1])),
            ("10.1.0", Some([10, 1, 0, 0])),
            ("010.1.0.5", Some([8, 1, 0, 5])),
            ("10.1.0.05", Some([10, 1, 0, 5])),
            ("0x0a010005", Some([10, 1, 0, 5])),
            ("1", Some([0, 0, 0, 1])),
            ("::1", None),
            ("::ffff:1.2.3.4", None),
        ] {
            let addr = address(text.as_bytes()).unwrap();
            assert_eq!(stands_for(text.as_bytes(), &addr), want.map(Ipv4Addr::from), "{text}");
        }
    }
}
