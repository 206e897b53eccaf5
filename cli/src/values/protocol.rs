//! Layer 4 protocols by name or number, and the names of their states (command-line.md §2.2).

use super::number::{self, Base};
use crate::fail::{Fail, warn};
use std::sync::OnceLock;
use zct_engine::protocols::Protocols;
use zct_wire::consts::ipproto;
use zct_wire::proto::{DCCP_STATES, SCTP_STATES, TCP_STATES};
use zct_wire::tracked::{self, TRACKED};

/// A protocol as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// IPPROTO_* number.
    pub num: u8,
    /// True when its own options are known. One found in `/etc/protocols` never has any, whatever its
    /// number, as in the original.
    pub has_options: bool,
}

/// Reads the value of `-p`.
pub fn parse(text: &[u8]) -> Result<Protocol, Fail> {
    let known = |num| tracked::name(num).is_some();
    if let Some(p) = TRACKED.iter().find(|p| p.name.as_bytes().eq_ignore_ascii_case(text)) {
        return Ok(Protocol { num: p.number, has_options: true });
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
    database().listed_number(name)
}

/// The name of a number in `/etc/protocols`.
pub fn database_name(num: u8) -> Option<&'static [u8]> {
    database().name(num)
}

/// The names in `/etc/protocols`, read when they are first needed. If the file exists but cannot be used,
/// standard error says so, and the command goes on without its names.
fn database() -> &'static Protocols {
    static READ: OnceLock<Protocols> = OnceLock::new();
    READ.get_or_init(|| {
        Protocols::read().unwrap_or_else(|e| {
            warn(format!("WARNING: no names of protocols: {e}").as_bytes());
            Protocols::default()
        })
    })
}

/// Reads the name of a state of a protocol that has states. It must be complete and in upper case.
pub fn state(num: u8, text: &[u8]) -> Result<u8, Fail> {
    let (names, before) = match num {
        // The other name of SYN_SENT2, on input only.
        ipproto::TCP if text == b"LISTEN" => return Ok(9),
        ipproto::TCP => (TCP_STATES, "unknown TCP state `"),
        ipproto::SCTP => (SCTP_STATES, "unknown SCTP state `"),
        _ => (DCCP_STATES, "Unknown DCCP state `"),
    };
    let at = names.iter().position(|n| *n == text);
    // The message up to the word is the original's.
    let unknown = || {
        let also: &[&[u8]] = if num == ipproto::TCP { &[b"LISTEN"] } else { &[] };
        let all: Vec<_> = names.iter().chain(also).map(|n| String::from_utf8_lossy(n)).collect();
        Fail::word(before, text, &format!("'; there are {}", all.join(", ")))
    };
    at.and_then(|n| u8::try_from(n).ok()).ok_or_else(unknown)
}

/// Reads a DCCP role: a prefix of `client` or `server` in upper or lower case. An empty word is the client.
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
