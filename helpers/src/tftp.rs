//! TFTP (RFC 1350): the server answers a request from a new port, to the port that the request came from.

use crate::config::Config;
use crate::datagram::UDP;
use crate::packet::{Packet, Side};
use crate::private::Private;
use crate::read::Cursor;
use crate::refusal::Refusal;
use crate::verdict::Verdict;

const READ: u16 = 1;
const WRITE: u16 = 2;
/// The longest name that is let through: what file systems take.
const NAME_MAX: usize = 255;
const MODES: [&[u8]; 3] = [b"netascii", b"octet", b"mail"];
/// The longest of the modes.
const MODE_MAX: usize = 8;

/// Expects the answer to a read or write request of the client.
pub(crate) fn packet(config: &Config<'_>, _: &mut Private, packet: &Packet<'_>) -> Verdict {
    if packet.side != Side::Original {
        return Verdict::PASS;
    }
    let mut payload = Cursor::new(packet.payload);
    match payload.be16() {
        Some(READ | WRITE) => request(config, packet, payload).into(),
        _ => Verdict::PASS,
    }
}

fn request(config: &Config<'_>, packet: &Packet<'_>, mut rest: Cursor<'_>) -> Result<Verdict, Refusal> {
    let name = rest.until(0, NAME_MAX).ok_or(too_long_or_malformed(rest, NAME_MAX))?;
    let mode = rest.until(0, MODE_MAX).ok_or(Refusal::Malformed)?;
    let printable = name.iter().all(|b| *b >= b' ' && *b != 0x7f);
    if name.is_empty() || !printable || !MODES.iter().any(|m| m.eq_ignore_ascii_case(mode)) {
        return Err(Refusal::Malformed);
    }
    let (_, port) = packet.sender();
    let port = config.port(port.into())?;
    // No text names the port: the server sees it in the packet, as NAT has chosen it.
    Ok(Verdict::expect(packet.expect_translated(UDP, port, packet.other().dst_port)))
}

/// A field without an end is too long if there are more bytes than it may have.
fn too_long_or_malformed(field: Cursor<'_>, max: usize) -> Refusal {
    if field.rest().len() > max { Refusal::TooLong } else { Refusal::Malformed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, PUBLIC, SERVER, behind_nat, udp_client, udp_server};
    use crate::{Ends, Expected, Follow};

    const REQUEST: &[u8] = b"\0\x01file\0octet\0";

    fn read(p: &Packet<'_>) -> Verdict {
        packet(&Config::default(), &mut Private::zero(0), p)
    }

    #[test]
    fn the_answer_to_a_request_is_expected_from_any_port_of_the_server() {
        let expected = Expected::new(UDP, Some(SERVER), CLIENT, 4000).unwrap();
        for request in
            [REQUEST, b"\0\x02name with spaces.txt\0NetASCII\0", b"\0\x01f\0octet\0blksize\x001428\0"]
        {
            assert_eq!(read(&udp_client(69, request)), Verdict::expect(expected), "{request:?}");
        }
    }

    /// The router sent the request from a port of its own: the answer comes there, and is translated back.
    #[test]
    fn behind_nat_it_is_expected_where_the_server_sends_it() {
        let p = behind_nat(udp_client(69, REQUEST), 30_007);
        let expected = Expected::new(UDP, Some(SERVER), PUBLIC, 30_007).unwrap();
        assert_eq!(read(&p), Verdict::expect(expected.follow(Some(Follow { dir: 1, port: 4000 }))));
    }

    #[test]
    fn what_is_no_request_of_the_client_opens_nothing() {
        assert_eq!(read(&udp_server(69, REQUEST)), Verdict::PASS);
        for other in [&b""[..], b"\0", b"\0\x03\0\x01data", b"\0\x05\0\x01\0", b"\x01\x01f\0octet\0"] {
            assert_eq!(read(&udp_client(69, other)), Verdict::PASS, "{other:?}");
        }
        let long = [b"\0\x01", &[b'x'; 256][..], b"\0octet\0"].concat();
        for (request, why) in [
            (&b"\0\x01file\0octet"[..], Refusal::Malformed),
            (b"\0\x01file", Refusal::Malformed),
            (b"\0\x01", Refusal::Malformed),
            (b"\0\x01\0octet\0", Refusal::Malformed),
            (b"\0\x01fi\nle\0octet\0", Refusal::Malformed),
            (b"\0\x01file\0octets\0", Refusal::Malformed),
            (b"\0\x01file\0octet and more\0", Refusal::Malformed),
            (&long, Refusal::TooLong),
        ] {
            assert_eq!(read(&udp_client(69, request)), Verdict::refuse(why), "{request:?}");
        }
    }

    #[test]
    fn a_privileged_port_needs_the_setting() {
        let mut p = udp_client(69, REQUEST);
        p.original = Ends::new(UDP, (CLIENT, 999), (SERVER, 69)).unwrap();
        p.reply = Ends::new(UDP, (SERVER, 69), (CLIENT, 999)).unwrap();
        assert_eq!(read(&p), Verdict::refuse(Refusal::PrivilegedPort));
        let config = Config { privileged_ports: true, ..Config::default() };
        assert_eq!(packet(&config, &mut Private::zero(0), &p).expected.len(), 1);
    }
}
