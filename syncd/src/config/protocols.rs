//! Names of layer 4 protocols, as `/etc/protocols` has them.

/// What is known without the file, which small systems do not have.
const WELL_KNOWN: [(&str, u8); 16] = [
    ("icmp", 1),
    ("ICMP", 1),
    ("tcp", 6),
    ("TCP", 6),
    ("udp", 17),
    ("UDP", 17),
    ("dccp", 33),
    ("DCCP", 33),
    ("gre", 47),
    ("GRE", 47),
    ("ipv6-icmp", 58),
    ("IPv6-ICMP", 58),
    ("sctp", 132),
    ("SCTP", 132),
    ("udplite", 136),
    ("UDPLite", 136),
];

/// Names and numbers. Names are case-sensitive, as `getprotobyname(3)` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocols(Vec<(String, u8)>);

impl Protocols {
    /// Reads the text of `/etc/protocols`: `name number alias...`, `#` starts a comment. Lines that are not of
    /// this form are passed over, as the C library does. The text may be empty: the usual protocols are known
    /// anyway.
    pub fn parse(text: &[u8]) -> Self {
        let mut all = Vec::new();
        for line in text.split(|b| *b == b'\n') {
            let line = line.split(|b| *b == b'#').next().unwrap_or_default();
            let words = line.split(u8::is_ascii_whitespace).filter_map(|w| std::str::from_utf8(w).ok());
            let mut words = words.filter(|w| !w.is_empty());
            let (Some(name), Some(number)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse() else { continue };
            all.extend(std::iter::once(name).chain(words).map(|n| (n.to_owned(), number)));
        }
        Protocols(all)
    }

    /// The number of a name; the file comes before what is known without it.
    pub fn number(&self, name: &str) -> Option<u8> {
        let listed = self.0.iter().find(|(n, _)| n == name).map(|(_, number)| *number);
        listed.or_else(|| WELL_KNOWN.iter().find(|(n, _)| *n == name).map(|(_, number)| *number))
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
            assert_eq!(p.number(name), number, "{name}");
        }
        for name in ["x", "fOO", "bad", "big", "lone", "#"] {
            assert_eq!(p.number(name), None, "{name}");
        }
        assert_eq!(p.number("SCTP"), Some(132));
        assert_eq!(Protocols::parse(b"SCTP 7 sctp").number("SCTP"), Some(7));
    }
}
