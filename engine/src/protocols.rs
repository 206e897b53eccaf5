//! Names of layer 4 protocols, as `/etc/protocols` has them. The file is read directly, because a static
//! program cannot load the C library's lookup modules.

use crate::read_file::{Bounds, ReadError, Unread, read_file};
use std::io;
use std::path::Path;
use zct_wire::tracked::TRACKED;

/// The file that has the names.
pub const FILE: &str = "/etc/protocols";
/// A hundred times the size that systems ship.
const BOUNDS: Bounds = Bounds { file: 1 << 20, line: 4096 };

/// Names and numbers. Names are case-sensitive, as `getprotobyname(3)` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocols(Vec<ProtocolNames>);

/// One line: the name, then its aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ProtocolNames {
    names: Vec<Box<[u8]>>,
    number: u8,
}

impl Protocols {
    /// Reads [`FILE`]. If it does not exist there are no names, which is not an error.
    ///
    /// # Errors
    /// When the file exists but cannot be read, or is too large.
    pub fn read() -> Result<Protocols, ReadError> {
        match read_file(Path::new(FILE), BOUNDS) {
            Ok(text) => Ok(Protocols::parse(&text)),
            Err(ReadError { why: Unread::System(e), .. }) if e.kind() == io::ErrorKind::NotFound => {
                Ok(Protocols::default())
            }
            Err(e) => Err(e),
        }
    }

    /// Reads the text of the file: `name number alias...`, `#` starts a comment. Lines of any other form are
    /// skipped, as in the C library.
    pub fn parse(text: &[u8]) -> Protocols {
        let entry = |line: &[u8]| {
            let line = line.split(|b| *b == b'#').next()?;
            let mut words = line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
            let (name, number) = (words.next()?, words.next()?);
            let number = std::str::from_utf8(number).ok()?.parse().ok()?;
            Some(ProtocolNames { names: std::iter::once(name).chain(words).map(Box::from).collect(), number })
        };
        Protocols(text.split(|b| *b == b'\n').filter_map(entry).collect())
    }

    /// The number of a name or an alias. The file has precedence; the usual names of tracked protocols are
    /// known without it.
    pub fn number(&self, name: &[u8]) -> Option<u8> {
        let well_known = || {
            let known = TRACKED.iter().find(|p| p.listed.iter().any(|n| n.as_bytes() == name));
            known.map(|p| p.number)
        };
        self.listed_number(name).or_else(well_known)
    }

    /// The number of a name or an alias that the file has.
    pub fn listed_number(&self, name: &[u8]) -> Option<u8> {
        self.0.iter().find(|e| e.names.iter().any(|n| **n == *name)).map(|e| e.number)
    }

    /// The name that the file has for a number.
    pub fn name(&self, number: u8) -> Option<&[u8]> {
        let entry = self.0.iter().find(|e| e.number == number)?;
        entry.names.first().map(|n| &**n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_read_and_the_rest_is_not() {
        let p = Protocols::parse(
            b"# comment\nip 0 IP # x\nfoo\t200\tFOO Foo\nbad x y\nbig 256 BIG\nlone\n\xff 3\nlast 9",
        );
        for (name, number) in [("ip", Some(0)), ("IP", Some(0)), ("Foo", Some(200)), ("last", Some(9))] {
            assert_eq!(p.number(name.as_bytes()), number, "{name}");
        }
        for name in ["x", "fOO", "bad", "big", "lone", "#", "Sctp"] {
            assert_eq!(p.number(name.as_bytes()), None, "{name}");
        }
        assert_eq!((p.name(200), p.name(0), p.name(6)), (Some(&b"foo"[..]), Some(&b"ip"[..]), None));
    }

    #[test]
    fn tracked_protocols_are_known_without_the_file_and_the_file_comes_first() {
        let none = Protocols::default();
        for (name, number) in
            [("SCTP", 132), ("tcp", 6), ("ipv6-icmp", 58), ("IPv6-ICMP", 58), ("UDPLite", 136)]
        {
            assert_eq!(
                (none.number(name.as_bytes()), none.listed_number(name.as_bytes())),
                (Some(number), None)
            );
        }
        // The original's own word, which such files do not have.
        assert_eq!(none.number(b"icmpv6"), None);
        assert_eq!(Protocols::parse(b"SCTP 7 sctp").number(b"SCTP"), Some(7));
    }
}
