//! Service Location Protocol, version 2 (RFC 2608; over IPv6 RFC 3111): a host that asks the group is
//! answered from the own address of each service, port 427.

use crate::config::Config;
use crate::datagram::UDP;
use crate::packet::{Packet, Side};
use crate::private::Private;
use crate::read::Cursor;
use crate::refusal::Refusal;
use crate::verdict::Verdict;
use zct_wire::expected::Expected;
use zct_wire::tuple::Addr;

const PORT: u16 = 427;
const VERSION: u8 = 2;
/// RFC 2608, sections 8.1, 10.3, 10.1: service request, attribute request, service type request.
const REQUESTS: [u8; 3] = [1, 6, 9];
/// RFC 2608, section 8: version to language tag length.
const HEADER: usize = 14;

/// Expects the answers to a request to many.
pub(crate) fn packet(config: &Config<'_>, _: &mut Private, packet: &Packet<'_>) -> Verdict {
    let to = packet.own();
    if packet.side != Side::Original || to.dst_port != PORT || !is_many(to.dst()) {
        return Verdict::PASS;
    }
    match is_request(packet.payload) {
        Some(true) => answers(config, packet).into(),
        Some(false) => Verdict::PASS,
        None => Verdict::refuse(Refusal::Malformed),
    }
}

/// Whether a request to this address reaches more than one host: the group of RFC 2608, section 6.1, those of
/// RFC 3111, section 4 (any scope, number 0x116 or 0x1000 to 0x13ff under 1), or a broadcast. Which addresses
/// are a subnet's broadcast is known on its interface alone; hence every one that ends in 255 is taken for
/// one.
fn is_many(to: Addr) -> bool {
    match to {
        Addr::V4([239, 255, 255, 253] | [_, _, _, 255]) => true,
        Addr::V4(_) => false,
        Addr::V6([0xff, scope, rest @ ..]) => {
            let end = rest.last_chunk::<4>().copied().map(u32::from_be_bytes);
            let zeros = rest.iter().take(10).all(|b| *b == 0);
            scope & 0xf0 == 0 && zeros && matches!(end, Some(0x116 | 0x1_1000..=0x1_13ff))
        }
        Addr::V6(_) => false,
    }
}

fn answers(config: &Config<'_>, packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    // An answer comes from an address that nobody knows beforehand, so it cannot be translated back.
    if packet.translated {
        return Err(Refusal::CannotTranslate);
    }
    let (client, port) = packet.sender();
    // Agents ask from the port on which they listen themselves.
    let answer = Expected::new(UDP, None, client, config.port_or(port.into(), &[PORT])?);
    Ok(answer.map_or(Verdict::PASS, |e| Verdict::expect(e.from_port(PORT).permanent())))
}

/// Whether a message asks for something (RFC 2608, section 8). `None` if its lengths contradict each other.
fn is_request(payload: &[u8]) -> Option<bool> {
    let mut message = Cursor::new(payload);
    if message.byte()? != VERSION || !REQUESTS.contains(&message.byte()?) {
        return Some(false);
    }
    let [high, middle, low]: [u8; 3] = message.take(3)?.try_into().ok()?;
    let claimed = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
    let _flags_and_extension = message.take(5)?;
    let _xid = message.be16()?;
    let language = usize::from(message.be16()?);
    let header = HEADER.saturating_add(language);
    (header..=payload.len()).contains(&claimed).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, udp_client, udp_from as from, udp_server};

    const GROUP: Addr = Addr::V4([239, 255, 255, 253]);
    /// A service request for printers, in the form of RFC 2608, section 8.1.
    const REQUEST: &[u8] = b"\x02\x01\0\0\x38\x20\0\0\0\0\x12\x34\0\x02en\
        \0\0\0\x17service:printer:lpr://x\0\x07DEFAULT\0\0\0\0";
    const V6: Addr = Addr::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);

    fn group6(scope: u8, end: [u8; 4]) -> Addr {
        let mut group = [0; 16];
        (group[0], group[1]) = (0xff, scope);
        group[12..].copy_from_slice(&end);
        Addr::V6(group)
    }

    fn read(p: &Packet<'_>) -> Verdict {
        packet(&Config::default(), &mut Private::zero(0), p)
    }

    #[test]
    fn answers_are_expected_from_everyones_port_427() {
        assert_eq!(REQUEST.len(), 0x38);
        let v6 = [group6(2, [0, 0, 1, 0x16]), group6(5, [0, 1, 0x10, 0]), group6(14, [0, 1, 0x13, 0xff])];
        let v4 = [GROUP, Addr::V4([255; 4]), Addr::V4([10, 1, 0, 255])];
        for (client, group) in v4.map(|g| (CLIENT, g)).into_iter().chain(v6.map(|g| (V6, g))) {
            for port in [40002, PORT] {
                let e = Expected::new(UDP, None, client, port).unwrap().from_port(PORT).permanent();
                assert_eq!(
                    read(&from((client, port), (group, PORT), REQUEST)),
                    Verdict::expect(e),
                    "{group:?}"
                );
            }
        }
    }

    #[test]
    fn only_requests_to_many_are_answered() {
        let good = from((CLIENT, 40002), (GROUP, PORT), REQUEST);
        for (what, p) in [
            ("a reply", udp_server(PORT, REQUEST)),
            ("unicast", udp_client(PORT, REQUEST)),
            ("another port", from((CLIENT, 40002), (GROUP, 428), REQUEST)),
            ("another group", from((CLIENT, 40002), (Addr::V4([239, 255, 255, 250]), PORT), REQUEST)),
            ("another group of IPv6", from((V6, 40002), (group6(2, [0, 0, 0, 0xfb]), PORT), REQUEST)),
            ("a transient group", from((V6, 40002), (group6(0x12, [0, 0, 1, 0x16]), PORT), REQUEST)),
        ] {
            assert_eq!(read(&p), Verdict::PASS, "{what}");
        }
        for (version, function) in [(1, 1), (2, 2), (2, 3), (2, 8), (2, 0)] {
            let other = [&[version, function], &REQUEST[2..]].concat();
            assert_eq!(read(&Packet { payload: &other, ..good }), Verdict::PASS, "{version} {function}");
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        for len in 0..REQUEST.len() {
            let cut = from((CLIENT, 40002), (GROUP, PORT), &REQUEST[..len]);
            assert_eq!(read(&cut), Verdict::refuse(Refusal::Malformed), "{len}");
        }
        for (at, value) in [(2, 1), (4, 13), (4, 15), (12, 1), (13, 0x2b)] {
            let mut bad = REQUEST.to_vec();
            bad[at] = value;
            let v = read(&from((CLIENT, 40002), (GROUP, PORT), &bad));
            assert_eq!(v, Verdict::refuse(Refusal::Malformed), "{at}");
        }
    }

    #[test]
    fn ports_and_translation_have_their_rules() {
        let low = from((CLIENT, 53), (GROUP, PORT), REQUEST);
        assert_eq!(read(&low), Verdict::refuse(Refusal::PrivilegedPort));
        let translated = Packet { translated: true, ..from((CLIENT, 40002), (GROUP, PORT), REQUEST) };
        assert_eq!(read(&translated), Verdict::refuse(Refusal::CannotTranslate));
    }
}
