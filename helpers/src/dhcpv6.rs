//! DHCPv6 (RFC 8415): a client asks a group, and servers answer it from their own addresses.

use crate::config::Config;
use crate::datagram::UDP;
use crate::packet::{Packet, Side};
use crate::private::Private;
use crate::read::Cursor;
use crate::refusal::Refusal;
use crate::verdict::Verdict;
use zct_wire::expected::Expected;
use zct_wire::tuple::Addr;

/// RFC 8415, section 7.2.
const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
/// RFC 8415, section 7.1: All_DHCP_Relay_Agents_and_Servers and All_DHCP_Servers.
const GROUPS: [Addr; 2] = [
    Addr::V6([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]),
    Addr::V6([0xff, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3]),
];

/// For how many seconds the client asks again (RFC 8415, section 7.6), by the type of its message (section
/// 7.3). An answer is expected for no longer than its flow lives.
fn patience_s(kind: u8) -> Option<u32> {
    match kind {
        1 => Some(120),     // SOLICIT: SOL_MAX_RT as it was in RFC 3315
        3 => Some(30),      // REQUEST: REQ_MAX_RT
        4 => Some(4),       // CONFIRM: CNF_MAX_RT
        5 | 6 => Some(600), // RENEW, REBIND: REN_MAX_RT, REB_MAX_RT
        8 | 9 => Some(1),   // RELEASE, DECLINE: REL_TIMEOUT, DEC_TIMEOUT
        11 => Some(120),    // INFORMATION-REQUEST: INF_MAX_RT as it was
        _ => None,
    }
}

/// Expects the servers' answers to a message of a client to one of the groups.
pub(crate) fn packet(config: &Config<'_>, _: &mut Private, packet: &Packet<'_>) -> Verdict {
    let (client, port) = packet.sender();
    let to = packet.own();
    let to_servers = GROUPS.contains(&to.dst()) && to.dst_port == SERVER_PORT;
    if packet.side != Side::Original || port != CLIENT_PORT || !to_servers {
        return Verdict::PASS;
    }
    let mut message = Cursor::new(packet.payload);
    let Some(patience) = message.byte().and_then(patience_s) else { return Verdict::PASS };
    let transaction = message.take(3);
    if transaction.is_none() {
        return Verdict::refuse(Refusal::Malformed);
    }
    // An answer comes from an address that nobody knows beforehand, so it cannot be translated back.
    if packet.translated {
        return Verdict::refuse(Refusal::CannotTranslate);
    }
    let Some(answer) = Expected::new(UDP, None, client, CLIENT_PORT) else { return Verdict::PASS };
    let answer = if config.any_port { answer } else { answer.from_port(SERVER_PORT) };
    Verdict { timeout_s: Some(patience), ..Verdict::expect(answer.permanent()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ends;
    use crate::fixture::udp_client;

    const CLIENT: Addr = Addr::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    /// A SOLICIT as dhclient sends it: client identifier, options asked for, elapsed time, IA_NA.
    const SOLICIT: &[u8] = &[
        1, 0x2b, 0x9c, 0x51, // type, transaction
        0, 1, 0, 14, 0, 1, 0, 1, 0x2c, 0x1f, 0x55, 0x10, 2, 0, 0, 0, 0, 1, // client identifier
        0, 6, 0, 4, 0, 23, 0, 24, // option request
        0, 8, 0, 2, 0, 0, // elapsed time
        0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0x0e, 0x10, 0, 0, 0x15, 0x18, // IA_NA
    ];

    fn from(client: (Addr, u16), group: (Addr, u16), payload: &[u8]) -> Packet<'_> {
        let original = Ends::new(UDP, client, group).unwrap();
        let reply = Ends::new(UDP, group, client).unwrap();
        Packet { ends: original, original, reply, ..udp_client(SERVER_PORT, payload) }
    }

    fn read(p: &Packet<'_>) -> Verdict {
        packet(&Config::default(), &mut Private::zero(0), p)
    }

    #[test]
    fn an_answer_is_expected_from_any_server() {
        for group in GROUPS {
            let v = read(&from((CLIENT, 546), (group, 547), SOLICIT));
            let e = Expected::new(UDP, None, CLIENT, 546).unwrap().from_port(547).permanent();
            assert_eq!(v, Verdict { timeout_s: Some(120), ..Verdict::expect(e) });
        }
        let p = from((CLIENT, 546), (GROUPS[0], 547), SOLICIT);
        let config = Config { any_port: true, ..Config::default() };
        let v = packet(&config, &mut Private::zero(0), &p);
        assert_eq!(v.expected.get(0), Some(&Expected::new(UDP, None, CLIENT, 546).unwrap().permanent()));
    }

    #[test]
    fn the_flow_lives_as_long_as_the_client_asks() {
        for kind in 0..=255 {
            let message = [kind, 1, 2, 3];
            let v = read(&from((CLIENT, 546), (GROUPS[0], 547), &message));
            let seconds = match kind {
                1 | 11 => 120,
                3 => 30,
                4 => 4,
                5 | 6 => 600,
                8 | 9 => 1,
                _ => {
                    assert_eq!(v, Verdict::PASS, "{kind}");
                    continue;
                }
            };
            assert_eq!((v.timeout_s, v.expected.len()), (Some(seconds), 1), "{kind}");
        }
    }

    #[test]
    fn only_a_client_that_asks_a_group_is_answered() {
        let good = from((CLIENT, 546), (GROUPS[0], 547), SOLICIT);
        for (what, p) in [
            ("a server", Packet { side: Side::Reply, ..good }),
            ("a relay agent", from((CLIENT, 547), (GROUPS[0], 547), SOLICIT)),
            ("unicast", from((CLIENT, 546), (Addr::V6([0xfd; 16]), 547), SOLICIT)),
            (
                "all nodes",
                from((CLIENT, 546), (Addr::V6(*b"\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"), 547), SOLICIT),
            ),
            ("another port", from((CLIENT, 546), (GROUPS[0], 548), SOLICIT)),
            ("IPv4", udp_client(547, SOLICIT)),
            ("nothing", Packet { payload: b"", ..good }),
        ] {
            assert_eq!(read(&p), Verdict::PASS, "{what}");
        }
        for len in 1..4 {
            let short = Packet { payload: &SOLICIT[..len], ..good };
            assert_eq!(read(&short), Verdict::refuse(Refusal::Malformed));
        }
        let translated = Packet { translated: true, ..good };
        assert_eq!(read(&translated), Verdict::refuse(Refusal::CannotTranslate));
    }
}
