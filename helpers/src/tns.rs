//! TNS, the transport under Oracle's SQL*Net: a listener sends its client on to the address of a database.
//!
//! There is no public standard. A packet has a header of eight bytes: length, checksum (0), type, a reserved
//! byte, header checksum (0). A redirect goes on with the length of its text and the text, or that length is
//! zero and the text comes in a data packet, after two bytes of flags:
//!
//! ```text
//! 00 44 00 00 05 00 00 00 00 3a (ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=10.2.0.2)(PORT=40123))
//! ```
//!
//! The private data is one byte, as the original has it: 1 after a redirect whose text is to come. Beyond
//! that it holds part of the sequence number of the data packet that had the text, so that the same segment
//! sent again is read, and changed, in the same way.

use crate::config::Config;
use crate::datagram::TCP;
use crate::packet::{Packet, Side, State, Transport};
use crate::private::Private;
use crate::read::{Cursor, address, find};
use crate::refusal::Refusal;
use crate::verdict::{Verdict, Write};
use zct_wire::expected::Expected;

/// Types of packets.
const REDIRECT: u8 = 5;
const DATA: u8 = 6;
const HEADER: usize = 8;
/// Where the length of a redirect's text is, and where the text of both kinds begins.
const TEXT_LENGTH_AT: usize = HEADER;
const TEXT_AT: usize = HEADER + 2;
/// Far more than an address needs; what follows it is passed on unread.
const TEXT_MAX: usize = 1024;
/// The longest text of an address.
const HOST_MAX: usize = 45;

/// Values of the private data: nothing noted, or that a redirect's text is to come. A value with the bit
/// [`SEEN`] has the lower bits of a sequence number.
const NOTHING: u8 = 0;
const TEXT_TO_COME: u8 = 1;
const SEEN: u8 = 0x80;

/// Expects the connection to which a listener's redirect sends the client on.
pub(crate) fn packet(config: &Config<'_>, private: &mut Private, packet: &Packet<'_>) -> Verdict {
    let Transport::Tcp { seq, .. } = packet.transport else { return Verdict::PASS };
    if packet.side != Side::Reply || packet.payload.is_empty() || packet.state != State::Established {
        return Verdict::PASS;
    }
    let noted = private.byte(0);
    private.set_byte(0, NOTHING);
    let [.., low] = seq.to_be_bytes();
    let seen = low | SEEN;
    match Head::read(packet.payload) {
        Some(head) if head.kind == REDIRECT => {
            if !head.is_whole {
                return Verdict::refuse(Refusal::Split);
            }
            if text_length(packet.payload) == Some(0) && packet.payload.len() == TEXT_AT {
                private.set_byte(0, TEXT_TO_COME);
                return Verdict::PASS;
            }
            redirect(config, packet).into()
        }
        Some(head) if head.kind == DATA && (noted == TEXT_TO_COME || noted == seen) => {
            private.set_byte(0, seen);
            let verdict = if head.is_whole { text(config, packet) } else { Err(Refusal::Split) };
            verdict.into()
        }
        _ if noted != NOTHING && noted != TEXT_TO_COME && noted & SEEN == 0 => {
            Verdict::refuse(Refusal::StalePrivate)
        }
        _ => Verdict::PASS,
    }
}

struct Head {
    kind: u8,
    /// The packet is all of the segment.
    is_whole: bool,
}

impl Head {
    /// `None` for what has no header, or one with checksums: no known peer sends them, and they could not be
    /// kept right.
    fn read(payload: &[u8]) -> Option<Head> {
        let mut rest = Cursor::new(payload);
        let len = rest.be16()?;
        let checksum = rest.be16()?;
        let kind = rest.byte()?;
        let _reserved = rest.byte()?;
        let header_checksum = rest.be16()?;
        let is_whole = usize::from(len) == payload.len();
        (checksum == 0 && header_checksum == 0).then_some(Head { kind, is_whole })
    }
}

fn text_length(payload: &[u8]) -> Option<u16> {
    let mut rest = Cursor::new(payload);
    rest.take(TEXT_LENGTH_AT)?;
    rest.be16()
}

/// A redirect that has its text with it.
fn redirect(config: &Config<'_>, packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    let len = text_length(packet.payload).ok_or(Refusal::Malformed)?;
    if usize::from(len) != packet.payload.len().saturating_sub(TEXT_AT) {
        return Err(Refusal::Malformed);
    }
    text(config, packet)
}

/// The text that names the database.
fn text(config: &Config<'_>, packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    let target = Target::read(packet.payload)?;
    let port = config.port(target.port)?;
    let host = address(target.host).ok_or(Refusal::Malformed)?;
    if !config.address(packet, host)? {
        let to_third = Expected::new(TCP, Some(packet.other().src()), host, port);
        return to_third.map(Verdict::expect).ok_or(Refusal::ForeignAddress);
    }
    let mut verdict = Verdict::expect(packet.expect_to_sender(TCP, port));
    verdict.edit(0, 2, Write::Length16);
    if packet.payload.get(4) == Some(&REDIRECT) {
        verdict.edit(TEXT_LENGTH_AT, 2, Write::Length16);
    }
    verdict.edit(target.host_at, target.host.len(), Write::Address(0));
    verdict.edit(target.port_at, target.port_len, Write::Port(0));
    Ok(verdict)
}

/// What the text says, and where in the payload.
struct Target<'a> {
    host: &'a [u8],
    host_at: usize,
    port: u32,
    port_at: usize,
    port_len: usize,
}

impl<'a> Target<'a> {
    fn read(payload: &'a [u8]) -> Result<Target<'a>, Refusal> {
        let mut rest = Cursor::new(payload);
        let begins = rest.take(TEXT_AT).and_then(|_| rest.exactly(b"("));
        begins.ok_or(Refusal::Malformed)?;
        value(&mut rest, b"HOST=")?;
        let host_at = rest.at();
        let host = rest.until(b')', HOST_MAX).ok_or(Refusal::Malformed)?;
        // The port has to follow its host directly.
        rest.any_case(b"(PORT=").ok_or(Refusal::Malformed)?;
        let port_at = rest.at();
        let port = rest.decimal(5).ok_or(Refusal::Malformed)?;
        let port_len = rest.at().saturating_sub(port_at);
        rest.exactly(b")").ok_or(Refusal::Malformed)?;
        Ok(Target { host, host_at, port, port_at, port_len })
    }
}

/// Goes on to the value of this name.
fn value(rest: &mut Cursor<'_>, name: &[u8]) -> Result<(), Refusal> {
    let at = find(rest.rest(), name, TEXT_MAX).ok_or(Refusal::Malformed)?;
    rest.take(at.saturating_add(name.len())).map(|_| ()).ok_or(Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Prefix;
    use crate::fixture::{CLIENT, SERVER, answer, behind_nat, client};
    use crate::{Addr, Edit, Follow};
    use std::vec::Vec;

    const TEXT: &str = "(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=10.2.0.2)(PORT=40123))";

    /// A packet of this type with this after its header.
    fn tns(kind: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(HEADER + rest.len()).unwrap();
        [&len.to_be_bytes()[..], &[0, 0, kind, 0, 0, 0], rest].concat()
    }

    fn redirect(text: &str) -> Vec<u8> {
        tns(REDIRECT, &[&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat())
    }

    fn data(text: &str) -> Vec<u8> {
        tns(DATA, &[b"\0\0", text.as_bytes()].concat())
    }

    /// A segment of the listener.
    fn segment(seq: u32, payload: &[u8]) -> Packet<'_> {
        answer(Packet { transport: Transport::Tcp { seq, syn: false }, ..client(payload) })
    }

    fn read(payload: &[u8]) -> Verdict {
        packet(&Config::default(), &mut Private::zero(1), &segment(1, payload))
    }

    #[test]
    fn a_redirect_to_the_listeners_host_is_followed() {
        let payload = redirect(TEXT);
        assert_eq!(payload[..TEXT_AT], [0, 0x44, 0, 0, 5, 0, 0, 0, 0, 0x3a]);
        let v = read(&payload);
        let e = Expected::new(TCP, Some(CLIENT), SERVER, 40123).unwrap();
        assert_eq!(v.expected.iter().collect::<Vec<_>>(), [&e]);
        assert!(v.edits.iter().eq(&[
            Edit { at: 0, len: 2, write: Write::Length16 },
            Edit { at: 8, len: 2, write: Write::Length16 },
            Edit { at: 46, len: 8, write: Write::Address(0) },
            Edit { at: 61, len: 5, write: Write::Port(0) },
        ]));
        assert_eq!((&payload[46..54], &payload[61..66]), (&b"10.2.0.2"[..], &b"40123"[..]));
        let mixed =
            redirect("(Address=(Protocol=TCP)(HOST=10.2.0.2)(Port=40123))\0(DESCRIPTION=(CONNECT_DATA=))");
        assert_eq!(read(&mixed).expected.get(0), Some(&e));
    }

    #[test]
    fn the_text_may_come_in_the_next_data_packet() {
        let config = Config::default();
        let mut private = Private::zero(1);
        let (head, text) = (tns(REDIRECT, &[0, 0]), data(TEXT));
        assert_eq!(packet(&config, &mut private, &segment(1, &head)), Verdict::PASS);
        assert_eq!(private.byte(0), TEXT_TO_COME);
        let v = packet(&config, &mut private, &segment(11, &text));
        assert_eq!(v.expected.len(), 1);
        assert_eq!(v.edits.iter().filter(|e| e.write == Write::Length16).count(), 1);
        // Sent again it is read again; other data is not.
        assert_eq!(packet(&config, &mut private, &segment(11, &text)), v);
        assert_eq!(packet(&config, &mut private, &segment(90, &text)), Verdict::PASS);
        assert_eq!(private.byte(0), NOTHING);
        assert_eq!(packet(&config, &mut private, &segment(11, &text)), Verdict::PASS);
        // Something else between the two.
        for between in [tns(DATA, b"\0\0x"), tns(2, b""), b"no header".to_vec()] {
            packet(&config, &mut private, &segment(1, &head));
            packet(&config, &mut private, &segment(11, &between));
            assert_eq!(packet(&config, &mut private, &segment(22, &text)), Verdict::PASS);
        }
    }

    #[test]
    fn behind_nat_it_follows() {
        let payload = redirect(TEXT);
        let p = behind_nat(segment(1, &payload), 3000);
        let v = packet(&Config::default(), &mut Private::zero(1), &p);
        assert_eq!(v.expected.get(0).unwrap().followed(), Some(Follow { dir: 0, port: 40123 }));
        let elsewhere = redirect("(ADDRESS=(PROTOCOL=tcp)(HOST=10.9.9.9)(PORT=40123))");
        let allowed = [Prefix::new(Addr::V4([10, 9, 0, 0]), 16).unwrap()];
        let config = Config { addresses: &allowed, ..Config::default() };
        let p = Packet { payload: &elsewhere, ..p };
        let v = packet(&config, &mut Private::zero(1), &p);
        assert_eq!(v, Verdict::refuse(Refusal::ForeignAddress));
    }

    #[test]
    fn other_hosts_need_the_setting() {
        let elsewhere = redirect("(ADDRESS=(PROTOCOL=tcp)(HOST=10.9.9.9)(PORT=40123))");
        assert_eq!(read(&elsewhere), Verdict::refuse(Refusal::ForeignAddress));
        let allowed = [Prefix::new(Addr::V4([10, 9, 0, 0]), 16).unwrap()];
        let config = Config { addresses: &allowed, ..Config::default() };
        let v = packet(&config, &mut Private::zero(1), &segment(1, &elsewhere));
        let e = Expected::new(TCP, Some(CLIENT), Addr::V4([10, 9, 9, 9]), 40123).unwrap();
        assert_eq!(v, Verdict::expect(e));
    }

    #[test]
    fn what_is_no_redirect_opens_nothing() {
        let whole = redirect(TEXT);
        assert_eq!(packet(&Config::default(), &mut Private::zero(1), &client(&whole)), Verdict::PASS);
        for other in [&b""[..], b"(HOST=10.2.0.2)(PORT=40123)", &tns(4, TEXT.as_bytes()), &data(TEXT)] {
            assert_eq!(read(other), Verdict::PASS);
        }
        let mut checksum = whole.clone();
        checksum[3] = 1;
        assert_eq!(read(&checksum), Verdict::PASS);
        let opening = Packet { state: State::New, ..segment(1, &whole) };
        assert_eq!(packet(&Config::default(), &mut Private::zero(1), &opening), Verdict::PASS);
    }

    #[test]
    fn every_cut_is_refused() {
        let whole = redirect(TEXT);
        for len in 0..whole.len() {
            let expected = if len < HEADER { Verdict::PASS } else { Verdict::refuse(Refusal::Split) };
            assert_eq!(read(&whole[..len]), expected, "{len}");
        }
        assert_eq!(read(&[&whole[..], b"x"].concat()), Verdict::refuse(Refusal::Split));
        // Cut with a length that fits: the text or its own length is at fault.
        for len in HEADER..whole.len() {
            let mut cut = whole[..len].to_vec();
            cut[..2].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            assert_eq!(read(&cut), Verdict::refuse(Refusal::Malformed), "{len}");
        }
    }

    #[test]
    fn texts_that_say_something_else_are_refused() {
        for (text, why) in [
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=0))", Refusal::PortZero),
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=00022))", Refusal::PrivilegedPort),
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=111))", Refusal::ReservedPort),
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=65536))", Refusal::Malformed),
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=1000000))", Refusal::Malformed),
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=4 0123))", Refusal::Malformed),
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=40123", Refusal::Malformed),
            ("(ADDRESS=(HOST=10.2.0.2)(PORT=", Refusal::Malformed),
            ("(ADDRESS=(HOST=10.2.0.2)(X=1)(PORT=40123))", Refusal::Malformed),
            ("(ADDRESS=(HOST=10.2.0.256)(PORT=40123))", Refusal::Malformed),
            ("(ADDRESS=(HOST=266.2.0.2)(PORT=40123))", Refusal::Malformed),
            ("(ADDRESS=(HOST=10.2.0.2 )(PORT=40123))", Refusal::Malformed),
            ("(ADDRESS=(HOST=db.example)(PORT=40123))", Refusal::Malformed),
            ("(ADDRESS=(HOST=)(PORT=40123))", Refusal::Malformed),
            ("(ADDRESS=(PORT=40123))", Refusal::Malformed),
            ("(ADDRESS=(HOST=fd00::2)(PORT=40123))", Refusal::ForeignAddress),
            (" (ADDRESS=(HOST=10.2.0.2)(PORT=40123))", Refusal::Malformed),
        ] {
            assert_eq!(read(&redirect(text)), Verdict::refuse(why), "{text}");
        }
    }

    #[test]
    fn garbage_in_the_flow_is_not_believed() {
        for value in [2, 0x7f] {
            let mut private = Private::zero(1);
            private.set_byte(0, value);
            let v = packet(&Config::default(), &mut private, &segment(1, &data(TEXT)));
            assert_eq!((v, private.byte(0)), (Verdict::refuse(Refusal::StalePrivate), NOTHING));
        }
    }
}
