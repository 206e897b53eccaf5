//! The value of a NAT option: an address, with a port if it has one (command-line.md §2.6).

use super::addr;
use crate::fail::Fail;
use memchr::memchr;
use zct_wire::tuple::Addr;

/// What follows `-n`, `-g` or `-j`: `ADDR`, `ADDR:PORT`, `[ADDR6]:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatArg {
    /// The translated address.
    pub addr: Addr,
    /// The translated port.
    pub port: Option<u16>,
}

/// Reads the value; `option` is the long name of the option, for messages.
pub fn parse(text: &[u8], option: &str) -> Result<NatArg, Fail> {
    let (host, port) = split(text)?;
    Ok(NatArg { addr: addr::exact(host, option)?, port })
}

/// The address of a value that [`parse`] takes.
pub fn host(text: &[u8]) -> &[u8] {
    split(text).map_or(text, |(host, _)| host)
}

/// True when a value that [`parse`] takes has a port.
pub fn has_port(text: &[u8]) -> bool {
    split(text).is_ok_and(|(_, port)| port.is_some())
}

fn split(text: &[u8]) -> Result<(&[u8], Option<u16>), Fail> {
    let colon = |t: &[u8]| memchr(b':', t);
    if let Some(inside) = text.strip_prefix(b"[") {
        let Some(close) = memchr(b']', inside) else {
            return Err(Fail::usage("No closing ']' around IPv6 address"));
        };
        if close == 0 {
            return Err(Fail::usage("No IPv6 address specified"));
        }
        return match inside[close + 1..].strip_prefix(b":") {
            Some(digits) => Ok((&inside[..close], Some(port(digits)?))),
            // An address in brackets without a port is an error.
            None => Err(addr::invalid(text)),
        };
    }
    match colon(text) {
        // A second colon makes it an IPv6 address.
        Some(at) if colon(&text[at + 1..]).is_none() => Ok((&text[..at], Some(port(&text[at + 1..])?))),
        _ => Ok((text, None)),
    }
}

fn port(digits: &[u8]) -> Result<u16, Fail> {
    if digits.is_empty() {
        return Err(Fail::usage("No port specified after `:'"));
    }
    let value = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    value.and_then(|d| d.parse().ok()).ok_or_else(|| Fail::word("Invalid port `", digits, "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_ports() {
        let v4 = Addr::V4([1, 2, 3, 4]);
        assert_eq!(parse(b"1.2.3.4", "src-nat"), Ok(NatArg { addr: v4, port: None }));
        assert_eq!(parse(b"1.2.3.4:80", "src-nat"), Ok(NatArg { addr: v4, port: Some(80) }));
        let v6 = parse(b"2001::1", "src-nat").unwrap();
        assert_eq!(parse(b"[2001::1]:0", "src-nat"), Ok(NatArg { port: Some(0), ..v6 }));
    }

    #[test]
    fn every_mistake_has_its_message() {
        for (text, want) in [
            ("1.1.1.1:", "No port specified after `:'"),
            ("[::1]:", "No port specified after `:'"),
            ("1.1.1.1:abc", "Invalid port `abc'"),
            ("1.1.1.1:70000", "Invalid port `70000'"),
            ("1.1.1.1:10-20", "Invalid port `10-20'"),
            ("[::1", "No closing ']' around IPv6 address"),
            ("[]:80", "No IPv6 address specified"),
            ("[::1]", "Invalid IP address `[::1]'"),
            ("foo", "Invalid IP address `foo'"),
            (":80", "Invalid IP address `'"),
            ("1.1.1.1/24", "CIDR notation unavailable for `--src-nat'"),
        ] {
            assert_eq!(parse(text.as_bytes(), "src-nat"), Err(Fail::usage(want)), "{text}");
        }
    }
}
