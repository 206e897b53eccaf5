//! Questions and answers together, and what happens to them under way.

use super::captures::*;
use super::*;
use crate::config::Prefix;
use crate::fixture::{CLIENT, SERVER, answer as of_server, behind_nat, client, udp_client, udp_server};
use crate::{Addr, Edit, Ends, Follow};
use std::vec::Vec;

const LOOPBACK: Addr = Addr::V4([127, 0, 0, 1]);
const STRICT: Config<'_> =
    Config { privileged_ports: false, senders: &[], addresses: &[], permanent: None, any_port: false };

/// A datagram between client and server, both at 127.0.0.1 as in the captures.
fn local(payload: &[u8], side: Side, tcp: Option<u32>) -> Packet<'_> {
    let (base, protocol) = match tcp {
        None => (udp_client(111, payload), 17),
        Some(seq) => (Packet { transport: Transport::Tcp { seq, syn: false }, ..client(payload) }, 6),
    };
    let original = Ends::new(protocol, (LOOPBACK, 900), (LOOPBACK, 111)).unwrap();
    let reply = Ends::new(protocol, (LOOPBACK, 111), (LOOPBACK, 900)).unwrap();
    let p = Packet { original, reply, ends: original, ..base };
    if side == Side::Reply { of_server(p) } else { p }
}

fn asked(question: &Packet<'_>) -> Private {
    let mut private = Private::zero(16);
    assert_eq!(packet(&STRICT, &mut private, question), Verdict::PASS);
    private
}

/// The verdict on an answer over UDP to GETPORT_NFS.
fn after_getport(payload: &[u8]) -> Verdict {
    packet(&STRICT, &mut asked(&udp_client(111, &GETPORT_NFS)), &udp_server(111, payload))
}

/// The answer to GETADDR_UDP with this text.
fn with_address(text: &str) -> Vec<u8> {
    let mut out = ADDRESS_UDP[..24].to_vec();
    out.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.bytes());
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

#[test]
fn a_port_that_was_asked_for_is_opened_to_the_client() {
    let v = after_getport(&PORT_2049);
    let e = Expected::new(6, Some(CLIENT), SERVER, 2049).unwrap().permanent();
    let mut expected = Verdict::expect(e);
    expected.edit(24, 4, Write::Port32(0));
    assert_eq!(v, expected);
    let once = Config { permanent: Some(false), ..STRICT };
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    let v = packet(&once, &mut private, &udp_server(111, &PORT_2049));
    assert!(!v.expected.get(0).unwrap().is_permanent());
}

#[test]
fn an_address_that_was_asked_for_is_opened_over_udp_and_tcp() {
    let e = |protocol| Expected::new(protocol, Some(LOOPBACK), LOOPBACK, 2049).unwrap().permanent();
    let mut private = asked(&local(&GETADDR_UDP, Side::Original, None));
    let v = packet(&STRICT, &mut private, &local(&ADDRESS_UDP, Side::Reply, None));
    assert_eq!(v.expected.iter().collect::<Vec<_>>(), [&e(17)]);
    assert_eq!(v.edits.iter().collect::<Vec<_>>(), [&Edit { at: 24, len: 20, write: Write::Universal(0) }]);

    let mut private = asked(&local(&GETADDR_TCP, Side::Original, Some(1)));
    let v = packet(&STRICT, &mut private, &local(&ADDRESS_TCP, Side::Reply, Some(77)));
    assert_eq!(v.expected.iter().collect::<Vec<_>>(), [&e(6)]);
    let edits = [
        Edit { at: 0, len: 4, write: Write::Length32 },
        Edit { at: 28, len: 20, write: Write::Universal(0) },
    ];
    assert!(v.edits.iter().eq(&edits));
}

#[test]
fn an_answer_over_tcp_sent_again_is_read_again_and_another_is_not() {
    let mut private = asked(&local(&GETADDR_TCP, Side::Original, Some(1)));
    let once = packet(&STRICT, &mut private, &local(&ADDRESS_TCP, Side::Reply, Some(77)));
    assert_eq!(once.expected.len(), 1);
    let again = packet(&STRICT, &mut private, &local(&ADDRESS_TCP, Side::Reply, Some(77)));
    assert_eq!(again, once);
    let other = packet(&STRICT, &mut private, &local(&ADDRESS_TCP, Side::Reply, Some(77 + 48)));
    assert_eq!(other, Verdict::refuse(Refusal::Unasked));
}

#[test]
fn behind_nat_an_answer_follows_it() {
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    let v = packet(&STRICT, &mut private, &behind_nat(udp_server(111, &PORT_2049), 3000));
    assert_eq!(v.expected.get(0).unwrap().followed(), Some(Follow { dir: 0, port: 2049 }));
}

#[test]
fn one_answer_for_one_question() {
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    assert_eq!(packet(&STRICT, &mut private, &udp_server(111, &PORT_2049)).expected.len(), 1);
    assert_eq!(packet(&STRICT, &mut private, &udp_server(111, &PORT_2049)), Verdict::PASS);
    // An empty note looks like one of transaction 0.
    let mut zero = PORT_2049;
    zero[..4].fill(0);
    assert_eq!(packet(&STRICT, &mut Private::zero(16), &udp_server(111, &zero)), Verdict::PASS);
    // Another question takes the place of the first one, another call clears it.
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    packet(&STRICT, &mut private, &udp_client(111, &GETADDR_UDP));
    assert_eq!(packet(&STRICT, &mut private, &udp_server(111, &PORT_2049)), Verdict::PASS);
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    packet(&STRICT, &mut private, &udp_client(111, &DUMP_TCP[4..]));
    assert_eq!(private.bytes(), [0; 16]);
    // A late answer to something else does not.
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    packet(&STRICT, &mut private, &udp_server(111, &NOT_REGISTERED));
    assert_eq!(packet(&STRICT, &mut private, &udp_server(111, &PORT_2049)).expected.len(), 1);
}

#[test]
fn questions_of_the_server_and_answers_of_the_client_count_for_nothing() {
    let mut private = Private::zero(16);
    assert_eq!(packet(&STRICT, &mut private, &udp_server(111, &GETPORT_NFS)), Verdict::PASS);
    assert!(!private.is_changed());
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    assert_eq!(packet(&STRICT, &mut private, &udp_client(111, &PORT_2049)), Verdict::PASS);
    let syn = Packet { state: State::New, ..local(&GETADDR_TCP, Side::Original, Some(1)) };
    assert_eq!(asked(&syn).bytes(), [0; 16]);
}

#[test]
fn no_service_is_no_announcement() {
    let mut zero = PORT_2049;
    zero[24..].fill(0);
    assert_eq!(after_getport(&zero), Verdict::PASS);
    let mut of_itself = GETPORT_NFS;
    of_itself[43] = 0xa0;
    let mut private = asked(&udp_client(111, &of_itself));
    assert_eq!(packet(&STRICT, &mut private, &udp_server(111, &PORT_2049)), Verdict::PASS);
    let mut private = asked(&local(&GETADDR_UDP, Side::Original, None));
    let empty = with_address("");
    assert_eq!(packet(&STRICT, &mut private, &local(&empty, Side::Reply, None)), Verdict::PASS);
}

#[test]
fn ports_that_may_not_be_opened_are_refused() {
    for (port, why) in [
        (22_u32, Refusal::PrivilegedPort),
        (111, Refusal::ReservedPort),
        (65536, Refusal::Malformed),
        (65558, Refusal::Malformed),
        (u32::MAX, Refusal::Malformed),
    ] {
        let answer = [&PORT_2049[..24], &port.to_be_bytes()].concat();
        assert_eq!(after_getport(&answer), Verdict::refuse(why), "{port}");
    }
    let open = Config { privileged_ports: true, ..STRICT };
    let mut private = asked(&udp_client(111, &GETPORT_NFS));
    let answer = [&PORT_2049[..24], &635_u32.to_be_bytes()].concat();
    assert_eq!(packet(&open, &mut private, &udp_server(111, &answer)).expected.len(), 1);
}

#[test]
fn addresses_that_are_not_the_servers_are_refused() {
    let read = |config: &Config<'_>, text: &str| {
        let mut private = asked(&udp_client(111, &GETADDR_UDP));
        packet(config, &mut private, &udp_server(111, &with_address(text)))
    };
    for own in ["10.2.0.2.8.1", "0.0.0.0.8.1"] {
        let e = Expected::new(17, Some(CLIENT), SERVER, 2049).unwrap().permanent();
        assert_eq!(read(&STRICT, own).expected.get(0), Some(&e), "{own}");
    }
    for (text, why) in [
        ("10.9.9.9.8.1", Refusal::ForeignAddress),
        ("::.8.1", Refusal::ForeignAddress),
        ("10.2.0.2.0.0", Refusal::PortZero),
        ("10.2.0.2.0.22", Refusal::PrivilegedPort),
        ("10.2.0.2.0.111", Refusal::ReservedPort),
        ("10.2.0.2.8.256", Refusal::Malformed),
        ("server.8.1", Refusal::Malformed),
    ] {
        assert_eq!(read(&STRICT, text), Verdict::refuse(why), "{text}");
    }
    let allowed = [Prefix::new(Addr::V4([10, 9, 0, 0]), 16).unwrap()];
    let wide = Config { addresses: &allowed, ..STRICT };
    let v = read(&wide, "10.9.9.9.8.1");
    let e = Expected::new(17, Some(CLIENT), Addr::V4([10, 9, 9, 9]), 2049).unwrap().permanent();
    assert_eq!(v.expected.get(0), Some(&e));
}

#[test]
fn messages_in_parts_are_refused() {
    for len in 1..GETADDR_TCP.len() {
        let mut private = Private::zero(16);
        let v = packet(&STRICT, &mut private, &local(&GETADDR_TCP[..len], Side::Original, Some(1)));
        let expected = if len < 28 { Verdict::PASS } else { Verdict::refuse(Refusal::Split) };
        assert_eq!((v, private.bytes()), (expected, &[0; 16][..]), "{len}");
    }
    for len in 1..ADDRESS_TCP.len() {
        let mut private = asked(&local(&GETADDR_TCP, Side::Original, Some(1)));
        let v = packet(&STRICT, &mut private, &local(&ADDRESS_TCP[..len], Side::Reply, Some(1)));
        let expected = if len < 8 { Verdict::PASS } else { Verdict::refuse(Refusal::Split) };
        assert_eq!(v, expected, "{len}");
    }
    // Not the last fragment, and two records in a segment.
    let mut fragment = GETADDR_TCP;
    fragment[0] = 0;
    let two = [GETADDR_TCP, GETADDR_TCP].concat();
    for split in [&fragment[..], &two] {
        let v = packet(&STRICT, &mut Private::zero(16), &local(split, Side::Original, Some(1)));
        assert_eq!(v, Verdict::refuse(Refusal::Split));
    }
}

#[test]
fn over_udp_every_length_is_read_or_refused() {
    for len in 0..GETPORT_NFS.len() {
        let mut private = Private::zero(16);
        let v = packet(&STRICT, &mut private, &udp_client(111, &GETPORT_NFS[..len]));
        let expected = if len < 24 { Verdict::PASS } else { Verdict::refuse(Refusal::Malformed) };
        assert_eq!((v, private.is_changed()), (expected, false), "{len}");
    }
    for len in 0..PORT_2049.len() {
        assert_eq!(after_getport(&PORT_2049[..len]), Verdict::PASS, "{len}");
    }
}

#[test]
fn garbage_in_the_flow_is_not_believed() {
    for protocol in [1, 5, 0x400, u32::MAX] {
        let mut private = asked(&udp_client(111, &GETPORT_NFS));
        private.set_number(PROTOCOL, protocol);
        let v = packet(&STRICT, &mut private, &udp_server(111, &PORT_2049));
        assert_eq!((v, private.bytes()), (Verdict::refuse(Refusal::StalePrivate), &[0; 16][..]));
    }
}
