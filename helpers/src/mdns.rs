//! Multicast DNS (RFC 6762): a host that asks the group from another port than 5353 is answered from port
//! 5353 of any host.

use crate::config::Config;
use crate::datagram::UDP;
use crate::packet::{Packet, Side};
use crate::private::Private;
use crate::read::Cursor;
use crate::refusal::Refusal;
use crate::verdict::Verdict;
use zct_wire::expected::Expected;
use zct_wire::tuple::Addr;

const PORT: u16 = 5353;
/// RFC 6762, section 3.
const GROUPS: [Addr; 2] =
    [Addr::V4([224, 0, 0, 251]), Addr::V6([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb])];
/// RFC 1035, section 4.1.1: QR, set in a response, and the four bits of OPCODE, which RFC 6762, section 18.3,
/// wants to be zero.
const RESPONSE_OR_OPCODE: u16 = 0xf800;
/// RFC 1035, section 2.3.4.
const NAME_MAX: usize = 255;
const LABEL_MAX: u8 = 63;

/// Expects the answers to a one-shot query (RFC 6762, sections 5.1 and 6.7).
pub(crate) fn packet(config: &Config<'_>, _: &mut Private, packet: &Packet<'_>) -> Verdict {
    let to = packet.own();
    let to_group = GROUPS.contains(&to.dst()) && to.dst_port == PORT;
    // Those who ask from 5353 listen to the group itself.
    if packet.side != Side::Original || to.src_port == PORT || !to_group {
        return Verdict::PASS;
    }
    match is_query(packet.payload) {
        Some(true) => answers(config, packet).into(),
        Some(false) => Verdict::PASS,
        None => Verdict::refuse(Refusal::Malformed),
    }
}

fn answers(config: &Config<'_>, packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    // An answer comes from an address that nobody knows beforehand, so it cannot be translated back.
    if packet.translated {
        return Err(Refusal::CannotTranslate);
    }
    let (client, port) = packet.sender();
    let answer = Expected::new(UDP, None, client, config.port(port.into())?);
    Ok(answer.map_or(Verdict::PASS, |e| Verdict::expect(e.from_port(PORT).permanent())))
}

/// Whether a message asks for something (RFC 1035, section 4.1). `None` if it is too short for what it says
/// it is.
fn is_query(message: &[u8]) -> Option<bool> {
    let mut message = Cursor::new(message);
    let _id = message.be16()?;
    let flags = message.be16()?;
    let questions = message.be16()?;
    let _records = message.take(6)?;
    if flags & RESPONSE_OR_OPCODE != 0 || questions == 0 {
        return Some(false);
    }
    let name = message.at();
    loop {
        let label = message.byte()?;
        if label == 0 {
            break;
        }
        // A pointer is refused as well: the first name has nothing before it to point to.
        if label > LABEL_MAX || message.at().saturating_sub(name) > NAME_MAX {
            return None;
        }
        message.take(label.into())?;
    }
    let _type_and_class = message.be32()?;
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, udp_client, udp_from as from, udp_server};

    /// `dig -p 5353 @224.0.0.251 printer.local`, as it was sent: one question, and EDNS with a cookie.
    const QUERY: &[u8] = b"\x9a\x4a\x01\x20\0\x01\0\0\0\0\0\x01\x07printer\x05local\0\0\x01\0\x01\
        \0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08\xc2\x08\xcc\x77\x59\x4f\xfb\x6b";
    /// avahi-daemon's answer to it.
    const ANSWER: &[u8] = b"\x9a\x4a\x84\0\0\x01\0\x01\0\0\0\0\x07printer\x05local\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\x09\x08\x01";
    const V6: Addr = Addr::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);

    fn read(p: &Packet<'_>) -> Verdict {
        packet(&Config::default(), &mut Private::zero(0), p)
    }

    #[test]
    fn answers_are_expected_from_everyones_port_5353() {
        for (client, group) in [(CLIENT, GROUPS[0]), (V6, GROUPS[1])] {
            let e = Expected::new(UDP, None, client, 48413).unwrap().from_port(PORT).permanent();
            assert_eq!(read(&from((client, 48413), (group, PORT), QUERY)), Verdict::expect(e));
        }
    }

    #[test]
    fn only_one_shot_queries_to_the_group_are_answered() {
        let good = from((CLIENT, 48413), (GROUPS[0], PORT), QUERY);
        let none: Packet<'_> = from((CLIENT, 48413), (GROUPS[0], PORT), b"\0\0\0\0\0\0\0\0\0\0\0\0");
        for (what, p) in [
            ("a reply inside the flow", udp_server(PORT, QUERY)),
            ("from 5353", from((CLIENT, PORT), (GROUPS[0], PORT), QUERY)),
            ("unicast", udp_client(PORT, QUERY)),
            ("another port", from((CLIENT, 48413), (GROUPS[0], 53), QUERY)),
            ("another group", from((CLIENT, 48413), (Addr::V4([224, 0, 0, 252]), PORT), QUERY)),
            ("a response", Packet { payload: ANSWER, ..good }),
            ("no question", none),
        ] {
            assert_eq!(read(&p), Verdict::PASS, "{what}");
        }
        let update = [&QUERY[..2], &[0x28, 0], &QUERY[4..]].concat();
        assert_eq!(read(&Packet { payload: &update, ..good }), Verdict::PASS);
    }

    #[test]
    fn what_ends_before_its_question_does_is_refused() {
        let question = 12 + 15 + 4;
        for len in 0..QUERY.len() {
            let v = read(&from((CLIENT, 48413), (GROUPS[0], PORT), &QUERY[..len]));
            assert_eq!(v.expected.len(), usize::from(len >= question), "{len}");
            assert_eq!(v.refused, (len < question).then_some(Refusal::Malformed), "{len}");
        }
        let pointer = [&QUERY[..12], b"\xc0\x0c\0\x01\0\x01"].concat();
        let endless = [&QUERY[..12], &b"\x01a".repeat(200), b"\0\0\x01\0\x01"].concat();
        for bad in [pointer, endless] {
            let p = from((CLIENT, 48413), (GROUPS[0], PORT), &bad);
            assert_eq!(read(&p), Verdict::refuse(Refusal::Malformed));
        }
    }

    #[test]
    fn ports_and_translation_have_their_rules() {
        let low = from((CLIENT, 53), (GROUPS[0], PORT), QUERY);
        assert_eq!(read(&low), Verdict::refuse(Refusal::PrivilegedPort));
        let translated = Packet { translated: true, ..from((CLIENT, 48413), (GROUPS[0], PORT), QUERY) };
        assert_eq!(read(&translated), Verdict::refuse(Refusal::CannotTranslate));
    }
}
