//! Layer 4 protocols by name or number, and the names of their states (spec/cli.md §2.2).

use super::number::{self, Base};
use crate::fail::Fail;
use zct_wire::consts::ipproto;
use zct_wire::proto::{DCCP_STATES, SCTP_STATES, TCP_STATES};

/// A protocol of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// IPPROTO_* number.
    pub num: u8,
    /// True when its own options are known. One found in `/etc/protocols` never has any, whatever its
    /// number, as in the original.
    pub has_options: bool,
}

/// The protocols with options of their own.
pub const KNOWN: [(&str, u8); 8] = [
    ("tcp", ipproto::TCP),
    ("udp", ipproto::UDP),
    ("udplite", ipproto::UDPLITE),
    ("icmp", ipproto::ICMP),
    ("icmpv6", ipproto::ICMPV6),
    ("sctp", ipproto::SCTP),
    ("gre", ipproto::GRE),
    ("dccp", ipproto::DCCP),
];

/// Reads the value of `-p`.
pub fn parse(text: &[u8]) -> Result<Protocol, Fail> {
    let known = |num| KNOWN.iter().any(|(_, n)| *n == num);
    if let Some((_, num)) = KNOWN.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)) {
        return Ok(Protocol { num: *num, has_options: true });
    }
    if let Some(num) = database_number(text) {
        return Ok(Protocol { num, has_options: false });
    }
    match number::up_to(text, Base::Any, 255) {
        Some(v) => Ok(Protocol { num: v as u8, has_options: known(v as u8) }),
        None => Err(Fail::word("`", text, "' unsupported protocol")),
    }
}

/// The number of a name or alias in `/etc/protocols`.
pub fn database_number(name: &[u8]) -> Option<u8> {
    database(|names, num| names.contains(&name).then_some(num))
}

/// The name of a number in `/etc/protocols`.
pub fn database_name(num: u8) -> Option<Vec<u8>> {
    database(|names, n| (n == num).then(|| names[0].to_vec()))
}

/// Looks through `/etc/protocols`: `name number alias...`, `#` starts a comment. The file is read directly,
/// since a static program cannot load the C library's lookup modules.
fn database<T>(mut found: impl FnMut(&[&[u8]], u8) -> Option<T>) -> Option<T> {
    let text = std::fs::read("/etc/protocols").ok()?;
    text.split(|b| *b == b'\n').find_map(|line| {
        let line = line.split(|b| *b == b'#').next()?;
        let mut words = line.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
        let (name, num) = (words.next()?, words.next()?);
        let num = std::str::from_utf8(num).ok()?.parse().ok()?;
        let names: Vec<&[u8]> = std::iter::once(name).chain(words).collect();
        found(&names, num)
    })
}

/// Reads a state name of a protocol that has states. Exact and in upper case.
pub fn state(num: u8, text: &[u8]) -> Result<u8, Fail> {
    let (names, before) = match num {
        // Input only: the other name of SYN_SENT2.
        ipproto::TCP if text == b"LISTEN" => return Ok(9),
        ipproto::TCP => (TCP_STATES, "unknown TCP state `"),
        ipproto::SCTP => (SCTP_STATES, "unknown SCTP state `"),
        _ => (DCCP_STATES, "Unknown DCCP state `"),
    };
    let at = names.iter().position(|n| *n == text);
    // The words up to here are the original's.
    let unknown = || {
        let also: &[&[u8]] = if num == ipproto::TCP { &[b"LISTEN"] } else { &[] };
        let all: Vec<_> = names.iter().chain(also).map(|n| String::from_utf8_lossy(n)).collect();
        Fail::word(before, text, &format!("'; there are {}", all.join(", ")))
    };
    at.and_then(|n| u8::try_from(n).ok()).ok_or_else(unknown)
}

/// Reads a DCCP role: a prefix of `client` or `server` in any case; nothing at all is the client.
pub fn dccp_role(text: &[u8]) -> Result<u8, Fail> {
    let is = |name: &str| name.get(..text.len()).is_some_and(|n| n.as_bytes().eq_ignore_ascii_case(text));
    match (is("client"), is("server")) {
        (true, _) => Ok(0),
        (_, true) => Ok(1),
        _ => Err(Fail::word("Unknown DCCP role `", text, "'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_then_the_database_then_numbers() {
        assert_eq!(parse(b"TcP"), Ok(Protocol { num: 6, has_options: true }));
        assert_eq!(parse(b"0x11"), Ok(Protocol { num: 17, has_options: true }));
        assert_eq!(parse(b"201"), Ok(Protocol { num: 201, has_options: false }));
        for bad in [&b"256"[..], b"", b"-1", b"nope", b"6x"] {
            assert_eq!(parse(bad), Err(Fail::word("`", bad, "' unsupported protocol")));
        }
    }

    #[test]
    fn states_are_exact() {
        assert_eq!(
            (state(6, b"ESTABLISHED"), state(6, b"LISTEN"), state(132, b"ESTABLISHED")),
            (Ok(3), Ok(9), Ok(4))
        );
        let unknown = |num, name: &[u8]| String::from_utf8(state(num, name).unwrap_err().text).unwrap();
        assert!(
            unknown(132, b"BAD").starts_with("unknown SCTP state `BAD'; there are NONE, CLOSED, COOKIE_WAIT")
        );
        assert!(unknown(6, b"").ends_with("LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2, LISTEN"));
        // The original prints these two and crashes when it reads them.
        assert_eq!((state(132, b"HEARTBEAT_SENT"), state(132, b"HEARTBEAT_ACKED")), (Ok(8), Ok(9)));
        assert!(state(6, b"established").is_err());
        assert!(unknown(33, b"X").starts_with("Unknown DCCP state `X'; there are "));
    }

    #[test]
    fn roles_are_prefixes() {
        assert_eq!((dccp_role(b""), dccp_role(b"S"), dccp_role(b"Client")), (Ok(0), Ok(1), Ok(0)));
        assert!(dccp_role(b"clients").is_err());
    }
}
