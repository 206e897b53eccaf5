//! Addresses, with a prefix length where one is allowed (spec/cli.md §2.1).

use super::number;
use crate::fail::Fail;
use std::net::Ipv6Addr;
use zct_wire::tuple::Addr;

/// The original keeps this many characters of an address.
const TEXT_MAX: usize = 45;

/// An address, and the mask its prefix length stands for when that is not the whole address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddrArg {
    /// The address as given.
    pub addr: Addr,
    /// `None` for an exact address.
    pub mask: Option<Addr>,
}

/// Reads an address: IPv4 in all the forms of `inet_aton(3)`, else IPv6. No names.
pub fn address(text: &[u8]) -> Result<Addr, Fail> {
    if let Some(quad) = dotted_quad(text) {
        return Ok(Addr::V4(quad));
    }
    let cut = text.get(..TEXT_MAX).unwrap_or(text);
    ipv4(cut).map(Addr::V4).or_else(|| ipv6(cut).map(Addr::V6)).ok_or_else(|| invalid(text))
}

/// The message for what is no address.
pub fn invalid(text: &[u8]) -> Fail {
    Fail::word("Invalid IP address `", text, "'")
}

/// Reads `ADDR[/LEN]`. A length of the whole address is an exact address.
pub fn network(text: &[u8]) -> Result<AddrArg, Fail> {
    let Some(slash) = text.iter().position(|b| *b == b'/') else {
        return Ok(AddrArg { addr: address(text)?, mask: None });
    };
    let addr = address(&text[..slash]).map_err(|_| invalid(text))?;
    let len = prefix_len(&text[slash + 1..], addr.bytes().len() as u32 * 8)?;
    let whole = len as usize == addr.bytes().len() * 8;
    Ok(AddrArg { addr, mask: (!whole).then(|| prefix_mask(&addr, len)) })
}

/// Reads an address where no length is allowed; `option` is its long name.
pub fn exact(text: &[u8], option: &str) -> Result<Addr, Fail> {
    if text.contains(&b'/') {
        return Err(Fail::usage(format!("CIDR notation unavailable for `--{option}'")));
    }
    address(text)
}

/// A prefix length in decimal; nothing at all is 0.
fn prefix_len(text: &[u8], max: u32) -> Result<u32, Fail> {
    let bad = || Fail::usage("Invalid netmask");
    if text.is_empty() {
        return Ok(0);
    }
    if !number::is_decimal(text) {
        return Err(bad());
    }
    u32::try_from(number::decimal(text)).ok().filter(|n| *n <= max).ok_or_else(bad)
}

/// The mask of a prefix length in the family of `like`.
pub fn prefix_mask(like: &Addr, len: u32) -> Addr {
    match like {
        Addr::V4(_) => Addr::V4(u32::MAX.checked_shl(32 - len).unwrap_or(0).to_be_bytes()),
        Addr::V6(_) => Addr::V6(u128::MAX.checked_shl(128 - len).unwrap_or(0).to_be_bytes()),
    }
}

/// Four decimal numbers without leading zeros: what nearly every IPv4 address looks like.
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

/// `inet_aton(3)`: one to four numbers of any base; the last fills what the others leave. What follows a
/// blank is ignored.
fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let end = text.iter().position(|b| b.is_ascii_whitespace() || *b == 0x0b).unwrap_or(text.len());
    let parts: Vec<&[u8]> = text[..end].split(|b| *b == b'.').collect();
    let (last, front) = parts.split_last()?;
    if front.len() > 3 {
        return None;
    }
    let number = |part: &[u8]| match number::any_base(part) {
        // strtoul would take a sign, inet_aton does not.
        Some((v, b"")) if part[0].is_ascii_digit() => Some(v),
        _ => None,
    };
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
            ("1.2.3.4 x", v4(1, 2, 3, 4)),
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
        ] {
            assert_eq!(address(text.as_bytes()), Err(invalid(text.as_bytes())), "{text}");
        }
        assert_eq!(address(b"2001::1").map(|a| a.family()), Ok(10));
        assert!(address(b"[::1]").is_err() && address(b"fe80::1%eth0").is_err());
    }

    #[test]
    fn lengths() {
        let n = |t: &str| network(t.as_bytes());
        assert_eq!(n("10.0.0.1/32"), Ok(AddrArg { addr: v4(10, 0, 0, 1), mask: None }));
        assert_eq!(n("10.0.0.1/24").unwrap().mask, Some(v4(255, 255, 255, 0)));
        assert_eq!(n("10.0.0.1/").unwrap().mask, Some(v4(0, 0, 0, 0)));
        assert_eq!(n("::1/128").unwrap().mask, None);
        assert_eq!(n("::1/0").unwrap().mask, Some(Addr::V6([0; 16])));
        for bad in
            ["1.1.1.1/33", "1.1.1.1/-1", "1.1.1.1/255.255.255.0", "1.1.1.1/x", "::1/129", "1.1.1.1/8/9"]
        {
            assert_eq!(n(bad), Err(Fail::usage("Invalid netmask")), "{bad}");
        }
        assert!(exact(b"1.1.1.0/24", "reply-src").is_err());
    }
}
