//! What SSDP and GENA take over from HTTP: a first line, header fields, and URLs with an address in them.

use crate::read::{Cursor, a_line_begins, a_line_is_empty, address, lines};
use core::ops::Range;
use zct_wire::tuple::Addr;

/// The longest value of a header field that is read, in bytes: as the original has it.
const VALUE_MAX: usize = 255;

/// A header field that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// Its value without the blanks around it, and where that begins in the message.
    Value(usize, &'a [u8]),
    /// The header ends without it.
    Absent,
    /// The message ends before its header does, and the field was not there so far.
    Cut,
    /// Its value is longer than is read.
    TooLong,
}

/// Looks for the field with this name, given in lower case, after the first line of a message.
pub(super) fn field<'a, const LEN: usize>(message: &'a [u8], name: &[u8; LEN]) -> Field<'a> {
    if !a_line_begins(message, &[*name]) {
        return if a_line_is_empty(message) { Field::Absent } else { Field::Cut };
    }
    for (start, line) in lines(message).skip(1) {
        if line.is_empty() {
            return Field::Absent;
        }
        let mut rest = Cursor::new(line);
        if rest.any_case(name).and_then(|()| rest.exactly(b":")).is_none() {
            continue;
        }
        while rest.skip(b' ').saturating_add(rest.skip(b'\t')) > 0 {}
        let value = rest.rest().trim_ascii_end();
        let fits = value.len() <= VALUE_MAX;
        return if fits { Field::Value(start.saturating_add(rest.at()), value) } else { Field::TooLong };
    }
    Field::Cut
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) host: Addr,
    /// 80 if it names none.
    pub(super) port: u32,
    /// Where the address is in the URL, without the brackets of IPv6.
    pub(super) host_at: Range<usize>,
    /// Where the port is, with its colon; empty if there is none.
    pub(super) port_at: Range<usize>,
}

/// Reads `http://ADDRESS[:PORT]` and whatever path follows; an address of IPv6 is in brackets. `None` for
/// other schemes, names of hosts, and anything else before the path.
pub(super) fn url(text: &[u8]) -> Option<Url> {
    let mut rest = Cursor::new(text);
    rest.any_case(b"http://")?;
    let host_at;
    let host;
    if rest.exactly(b"[").is_some() {
        let start = rest.at();
        host = rest.until(b']', VALUE_MAX)?;
        host_at = start..start.saturating_add(host.len());
        address(host).filter(|a| matches!(a, Addr::V6(_)))?;
    } else {
        let start = rest.at();
        let end = rest.rest().iter().position(|b| matches!(b, b':' | b'/' | b'?' | b'#'));
        host = rest.take(end.unwrap_or(rest.rest().len()))?;
        host_at = start..rest.at();
        address(host).filter(|a| matches!(a, Addr::V4(_)))?;
    }
    let start = rest.at();
    let port = match rest.exactly(b":") {
        Some(()) => rest.decimal(5)?,
        None => 80,
    };
    let port_at = start..rest.at();
    let ends = matches!(rest.byte(), None | Some(b'/' | b'?' | b'#'));
    ends.then_some(Url { host: address(host)?, port, host_at, port_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_their_case_and_blanks() {
        let message =
            b"HTTP/1.1 200 OK\r\nST: x\r\nlocation:\t http://10.2.0.2/ \t\r\nUSN:y\r\n\r\nST2: z\r\n";
        assert_eq!(field(message, b"location"), Field::Value(35, b"http://10.2.0.2/"));
        assert_eq!(&message[35..51], b"http://10.2.0.2/");
        assert_eq!(field(message, b"usn"), Field::Value(59, b"y"));
        assert_eq!((field(message, b"st2"), field(message, b"loc")), (Field::Absent, Field::Absent));
        assert_eq!(field(message, b"http/1.1 200 ok"), Field::Absent);
        for len in 0..message.len() {
            let found = field(&message[..len], b"location");
            let whole = b"HTTP/1.1 200 OK\r\nST: x\r\nlocation:\t http://10.2.0.2/ \t\r\n".len();
            assert_eq!(matches!(found, Field::Value(..)), len >= whole, "{len}: {found:?}");
            assert!(len >= whole || found == Field::Cut);
        }
        let with = |n| [&b"x\nLOCATION: "[..], &b"a".repeat(n), b"\n"].concat();
        assert!(matches!(field(&with(255), b"location"), Field::Value(12, v) if v.len() == 255));
        assert_eq!(field(&with(256), b"location"), Field::TooLong);
        assert_eq!(field(b"x\nLOCATION:\n", b"location"), Field::Value(11, b""));
    }

    #[test]
    fn urls_with_an_address() {
        let at =
            |text: &'static str| url(text.as_bytes()).map(|u| (u.port, &text[u.host_at], &text[u.port_at]));
        assert_eq!(at("http://10.2.0.2:8080/desc.xml"), Some((8080, "10.2.0.2", ":8080")));
        assert_eq!(at("HTTP://10.2.0.2/desc.xml"), Some((80, "10.2.0.2", "")));
        assert_eq!(at("http://10.2.0.2"), Some((80, "10.2.0.2", "")));
        assert_eq!(at("http://10.2.0.2:80?x"), Some((80, "10.2.0.2", ":80")));
        assert_eq!(at("http://[fd00::2]:49152/d"), Some((49152, "fd00::2", ":49152")));
        assert_eq!(at("http://[fd00::2]"), Some((80, "fd00::2", "")));
        for bad in [
            "",
            "http://",
            "http:/",
            "https://10.2.0.2/",
            "ftp://10.2.0.2/",
            "http://device/",
            "http://10.2.0.2:/",
            "http://10.2.0.2:+80/",
            "http://10.2.0.2:-80/",
            "http://10.2.0.2: 80/",
            "http://10.2.0.2:655360/",
            "http://10.2.0.2:80@10.9.9.9/",
            "http://a@10.2.0.2/",
            "http://10.2.0.2 /",
            "http://10.2.0.2:80x",
            "http://[10.2.0.2]/",
            "http://fd00::2/",
            "http://[fd00::2",
            "http://[fe80::1%25eth0]/",
            "http://[::]x/",
            "http://010.2.0.2/",
            "http://0x0a020002/",
            "http://167903234/",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
