//! Universal addresses (RFC 5665, sections 5.2.3.3 and 5.2.3.4): an address, and the two bytes of a port.

use crate::read::{Cursor, address};
use zct_wire::tuple::Addr;

/// The longest text that can be one: an IPv6 address in full, and a port.
pub(super) const TEXT_MAX: usize = 45 + ".255.255".len();

/// Address and port of `text`; `None` for anything else.
pub(super) fn parse(text: &[u8]) -> Option<(Addr, u16)> {
    let low = text.iter().rposition(|b| *b == b'.')?;
    let high = text.get(..low)?.iter().rposition(|b| *b == b'.')?;
    let mut port = Cursor::new(text.get(high..)?);
    port.exactly(b".")?;
    let port = u16::from_be_bytes(port.octets(b'.').filter(|_| port.is_end())?);
    Some((address(text.get(..high)?)?, port))
}

/// Whether the address stands for all of a host's own.
pub(super) fn is_any(addr: Addr) -> bool {
    addr.bytes().iter().all(|b| *b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_two_bytes_of_a_port() {
        let v4 = Addr::V4([127, 0, 0, 1]);
        assert_eq!(parse(b"127.0.0.1.8.1"), Some((v4, 2049)));
        assert_eq!(parse(b"127.0.0.1.255.255"), Some((v4, 65535)));
        let any = Addr::V6([0; 16]);
        assert_eq!(parse(b"::.0.111"), Some((any, 111)));
        assert!(is_any(any) && is_any(Addr::V4([0; 4])) && !is_any(v4));
        let mut mapped = [0; 16];
        mapped[10..].copy_from_slice(&[0xff, 0xff, 10, 2, 0, 2]);
        assert_eq!(parse(b"::ffff:10.2.0.2.8.1"), Some((Addr::V6(mapped), 2049)));
        for bad in [
            &b""[..],
            b".",
            b"..",
            b"8.1",
            b"127.0.0.1",
            b"127.0.0.1.8",
            b"127.0.0.1.8.256",
            b"127.0.0.1.8.1.",
            b"127.0.0.1..1",
            b"127.0.0.1.-8.1",
            b"127.0.0.1. 8.1",
            b"127.0.0.1.8.0001",
            b"127.0.0.01.8.1",
            b"host.8.1",
            b"127.0.0.1.8.1\0",
            b"fe80::1%eth0.8.1",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
