//! The four steps, and everything that is not one of them.

use super::*;
use crate::config::Prefix;
use crate::fixture::{CLIENT, PUBLIC, SERVER, answer as of_server, client, udp_client};
use crate::{Edit, Follow};
use std::string::String;
use std::vec::Vec;

/// `upnpc -l`, as it was sent.
const M_SEARCH: &[u8] = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\
    ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\n\r\n";
const FOUND: &str = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nST: upnp:rootdevice\r\n\
    LOCATION: http://10.2.0.2:8080/desc.xml\r\nUSN: uuid:1::upnp:rootdevice\r\n\r\n";
const SUBSCRIPTION: &str = "SUBSCRIBE /evt HTTP/1.1\r\nHOST: 10.2.0.2:8080\r\n\
    CALLBACK: <http://10.1.0.2:40003/cb>\r\nNT: upnp:event\r\nTIMEOUT: Second-1800\r\n\r\n";
const EVENT: &[u8] = b"NOTIFY /cb HTTP/1.1\r\nHOST: 10.1.0.2:40003\r\nSID: uuid:1\r\nSEQ: 0\r\n\r\n";
const V6: Addr = Addr::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);

fn ends(protocol: u8, src: (Addr, u16), dst: (Addr, u16)) -> Ends {
    Ends::new(protocol, src, dst).unwrap()
}

/// A packet of a flow with these ends, expected by another one.
fn flow(original: Ends, master: Option<Ends>, payload: &[u8]) -> Packet<'_> {
    let back = |e: &Ends| (e.dst(), e.dst_port);
    let reply = ends(original.protocol, back(&original), (original.src(), original.src_port));
    let base = if original.protocol == UDP { udp_client(PORT, payload) } else { client(payload) };
    Packet { original, ends: original, reply, master, ..base }
}

fn search_ends() -> Ends {
    ends(UDP, (CLIENT, 40001), (GROUPS[0], PORT))
}

fn answer_ends() -> Ends {
    ends(UDP, (SERVER, PORT), (CLIENT, 40001))
}

fn description_ends() -> Ends {
    ends(TCP, (CLIENT, 50000), (SERVER, 8080))
}

fn an_answer(payload: &[u8]) -> Packet<'_> {
    Packet { state: State::Related, ..flow(answer_ends(), Some(search_ends()), payload) }
}

fn a_subscription(payload: &[u8]) -> Packet<'_> {
    flow(description_ends(), Some(answer_ends()), payload)
}

fn read(p: &Packet<'_>) -> Verdict {
    with(&Config::default(), p)
}

fn with(config: &Config<'_>, p: &Packet<'_>) -> Verdict {
    let read = if p.original.protocol == UDP { datagram } else { segment };
    read(config, &mut Private::zero(0), p)
}

fn located(url: &str) -> String {
    FOUND.replace("http://10.2.0.2:8080/desc.xml", url)
}

fn called_back(value: &str) -> String {
    SUBSCRIPTION.replace("<http://10.1.0.2:40003/cb>", value)
}

#[test]
fn answers_to_a_search_are_expected_from_anyone() {
    for (client, group) in [(CLIENT, GROUPS[0]), (V6, GROUPS[1]), (V6, GROUPS[2])] {
        for port in [40001, PORT] {
            let p = flow(ends(UDP, (client, port), (group, PORT)), None, M_SEARCH);
            let e = Expected::new(UDP, None, client, port).unwrap().permanent().helper("ssdp");
            assert_eq!(read(&p), Verdict::expect(e));
        }
    }
}

#[test]
fn what_is_no_search_opens_nothing() {
    let good = flow(search_ends(), None, M_SEARCH);
    for (what, p) in [
        ("the other side", of_server(good)),
        ("unicast", flow(ends(UDP, (CLIENT, 40001), (SERVER, PORT)), None, M_SEARCH)),
        ("another port", flow(ends(UDP, (CLIENT, 40001), (GROUPS[0], 1901)), None, M_SEARCH)),
        (
            "another group",
            flow(ends(UDP, (CLIENT, 40001), (Addr::V4([224, 0, 0, 251]), PORT)), None, M_SEARCH),
        ),
        ("a device that says it is there", flow(search_ends(), None, b"NOTIFY * HTTP/1.1\r\n\r\n")),
        ("text like it", flow(search_ends(), None, b"M-SEARCHES")),
    ] {
        assert_eq!(read(&p), Verdict::PASS, "{what}");
    }
    for len in 0..M_SEARCH.len() {
        let v = read(&flow(search_ends(), None, &M_SEARCH[..len]));
        assert_eq!(v.is_match(), len >= SEARCH.len());
    }
    let low = flow(ends(UDP, (CLIENT, 53), (GROUPS[0], PORT)), None, M_SEARCH);
    assert_eq!(read(&low), Verdict::refuse(Refusal::PrivilegedPort));
    assert_eq!(read(&Packet { translated: true, ..good }), Verdict::refuse(Refusal::CannotTranslate));
}

#[test]
fn an_answer_opens_the_device_that_sent_it_to_the_one_that_searched() {
    for (url, port) in
        [("http://10.2.0.2:8080/desc.xml", 8080), ("http://10.2.0.2/", 80), ("HTTP://10.2.0.2:49152", 49152)]
    {
        let payload = located(url);
        let e = Expected::new(TCP, Some(CLIENT), SERVER, port).unwrap().helper("ssdp");
        assert_eq!(read(&an_answer(payload.as_bytes())), Verdict::expect(e));
        let permanent = Config { permanent: Some(true), ..Config::default() };
        assert_eq!(with(&permanent, &an_answer(payload.as_bytes())), Verdict::expect(e.permanent()));
    }
    let spelled = FOUND.replace("LOCATION: ", "Location:");
    assert_eq!(read(&an_answer(spelled.as_bytes())).expected.len(), 1);
}

#[test]
fn over_ipv6_too() {
    let device = Addr::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    let search = ends(UDP, (V6, 40001), (GROUPS[1], PORT));
    let payload = located("http://[fe80::7]:8080/desc.xml");
    let p = flow(ends(UDP, (device, PORT), (V6, 40001)), Some(search), payload.as_bytes());
    let e = Expected::new(TCP, Some(V6), device, 8080).unwrap().helper("ssdp");
    assert_eq!(read(&p), Verdict::expect(e));
    let payload = located("http://10.2.0.2:8080/desc.xml");
    let p = Packet { payload: payload.as_bytes(), ..p };
    assert_eq!(read(&p), Verdict::refuse(Refusal::ForeignAddress));
}

#[test]
fn an_answer_that_names_another_host_or_a_wrong_port_opens_nothing() {
    for (url, why) in [
        ("http://10.0.0.5:22/", Refusal::PrivilegedPort),
        ("http://10.0.0.5:8080/", Refusal::ForeignAddress),
        ("http://10.1.0.2:8080/", Refusal::ForeignAddress),
        ("http://10.2.0.2:0/", Refusal::PortZero),
        ("http://10.2.0.2:81/", Refusal::PrivilegedPort),
        ("http://10.2.0.2:111/", Refusal::ReservedPort),
        ("http://10.2.0.2:65616/", Refusal::Malformed),
        ("http://10.2.0.2:80@10.0.0.5:8080/", Refusal::Malformed),
        ("http://device.local:8080/", Refusal::Malformed),
        ("https://10.2.0.2:8080/", Refusal::Malformed),
        ("", Refusal::Malformed),
    ] {
        assert_eq!(read(&an_answer(located(url).as_bytes())), Verdict::refuse(why), "{url}");
    }
    let long = located(&format!("http://10.2.0.2:8080/{}", "x".repeat(255)));
    assert_eq!(read(&an_answer(long.as_bytes())), Verdict::refuse(Refusal::TooLong));
    let allowed = [Prefix::new(Addr::V4([10, 0, 0, 5]), 32).unwrap()];
    let config = Config { addresses: &allowed, ..Config::default() };
    let third = located("http://10.0.0.5:8080/");
    let e = Expected::new(TCP, Some(CLIENT), Addr::V4([10, 0, 0, 5]), 8080).unwrap().helper("ssdp");
    assert_eq!(with(&config, &an_answer(third.as_bytes())), Verdict::expect(e));
}

#[test]
fn only_answers_to_a_search_count() {
    let good = an_answer(FOUND.as_bytes());
    let to_nobody = ends(UDP, (CLIENT, 40001), (SERVER, PORT));
    for master in [None, Some(to_nobody), Some(description_ends())] {
        assert_eq!(read(&Packet { master, ..good }), Verdict::refuse(Refusal::Unasked), "{master:?}");
    }
    assert_eq!(read(&of_server(good)), Verdict::PASS);
    for other in [
        &b""[..],
        b"HTTP/1.1 404 Not Found\r\nLOCATION: http://10.2.0.2:8080/\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n",
    ] {
        assert_eq!(read(&an_answer(other)), Verdict::PASS);
    }
    let without = FOUND.replace("LOCATION", "AL");
    assert_eq!(read(&an_answer(without.as_bytes())), Verdict::PASS);
    for len in 0..FOUND.len() {
        let v = read(&an_answer(&FOUND.as_bytes()[..len]));
        let line = FOUND.find("USN").unwrap();
        let expected = if len < ANSWER.len() { None } else { (len < line).then_some(Refusal::Split) };
        assert_eq!((v.refused, v.expected.len()), (expected, usize::from(len >= line)), "{len}");
    }
}

#[test]
fn a_subscription_expects_events_from_its_device() {
    let v = read(&a_subscription(SUBSCRIPTION.as_bytes()));
    let e = Expected::new(TCP, Some(SERVER), CLIENT, 40003).unwrap().helper("ssdp");
    assert_eq!(v.expected.iter().collect::<Vec<_>>(), [&e]);
    let at = SUBSCRIPTION.find("10.1.0.2:40003").unwrap();
    assert!(v.edits.iter().eq(&[
        Edit { at, len: 8, write: Write::Address(0) },
        Edit { at: at + 8, len: 6, write: Write::ColonPort(0) },
    ]));
    let two = called_back("<http://10.1.0.2:40003/cb><http://10.9.9.9:40003/cb>");
    assert_eq!(read(&a_subscription(two.as_bytes())).expected.iter().collect::<Vec<_>>(), [&e]);
}

#[test]
fn behind_nat_the_events_follow() {
    let mut p = a_subscription(SUBSCRIPTION.as_bytes());
    p.reply = ends(TCP, (SERVER, 8080), (PUBLIC, 3000));
    p.translated = true;
    let v = read(&p);
    let e = Expected::new(TCP, Some(SERVER), PUBLIC, 40003).unwrap().helper("ssdp");
    assert_eq!(v.expected.get(0), Some(&e.follow(Some(Follow { dir: 1, port: 40003 }))));

    // The event arrives at the public address, and so does the next one.
    let event = ends(TCP, (SERVER, 50001), (PUBLIC, 3001));
    let mut p = flow(event, Some(description_ends()), EVENT);
    p.reply = ends(TCP, (CLIENT, 40003), (SERVER, 50001));
    p.translated = true;
    let e = Expected::new(TCP, Some(SERVER), PUBLIC, 3001).unwrap().helper("ssdp");
    assert_eq!(read(&p), Verdict::expect(e.follow(Some(Follow { dir: 0, port: 40003 }))));
}

#[test]
fn an_event_expects_the_next_one() {
    let event = ends(TCP, (SERVER, 50001), (CLIENT, 40003));
    let e = Expected::new(TCP, Some(SERVER), CLIENT, 40003).unwrap().helper("ssdp");
    let next = ends(TCP, (SERVER, 50002), (CLIENT, 40003));
    for master in [description_ends(), next] {
        assert_eq!(read(&flow(event, Some(master), EVENT)), Verdict::expect(e));
    }
    let other_port = ends(TCP, (SERVER, 50002), (CLIENT, 40004));
    let other_device = ends(TCP, (CLIENT, 50000), (Addr::V4([10, 2, 0, 3]), 8080));
    for master in [None, Some(other_port), Some(other_device), Some(answer_ends())] {
        assert_eq!(read(&flow(event, master, EVENT)), Verdict::refuse(Refusal::Unasked), "{master:?}");
    }
    assert_eq!(read(&of_server(flow(event, Some(next), EVENT))), Verdict::PASS);
}

#[test]
fn subscriptions_that_open_nothing() {
    for (value, why) in [
        ("<http://10.9.9.9:40003/cb>", Refusal::ForeignAddress),
        ("<http://10.2.0.2:40003/cb>", Refusal::ForeignAddress),
        ("<http://10.1.0.2:0/cb>", Refusal::PortZero),
        ("<http://10.1.0.2/cb>", Refusal::PrivilegedPort),
        ("<http://10.1.0.2:22/cb>", Refusal::PrivilegedPort),
        ("<http://10.1.0.2:111/cb>", Refusal::ReservedPort),
        ("<http://10.1.0.2:99999/cb>", Refusal::Malformed),
        ("<http://10.1.0.2:40003/cb", Refusal::Malformed),
        ("http://10.1.0.2:40003/cb", Refusal::Malformed),
        ("<>", Refusal::Malformed),
        ("", Refusal::Malformed),
    ] {
        let payload = called_back(value);
        assert_eq!(read(&a_subscription(payload.as_bytes())), Verdict::refuse(why), "{value}");
    }
    let good = a_subscription(SUBSCRIPTION.as_bytes());
    let of_another = ends(UDP, (Addr::V4([10, 2, 0, 3]), PORT), (CLIENT, 40001));
    for master in [None, Some(of_another), Some(description_ends()), Some(search_ends())] {
        assert_eq!(read(&Packet { master, ..good }), Verdict::refuse(Refusal::Unasked), "{master:?}");
    }
    assert_eq!(read(&of_server(good)), Verdict::PASS);
    assert_eq!(read(&Packet { state: State::New, ..good }), Verdict::PASS);
    let renewal = "SUBSCRIBE /evt HTTP/1.1\r\nHOST: 10.2.0.2:8080\r\nSID: uuid:1\r\n\r\n";
    assert_eq!(read(&a_subscription(renewal.as_bytes())), Verdict::PASS);
    assert_eq!(read(&a_subscription(b"GET /desc.xml HTTP/1.1\r\n\r\n")), Verdict::PASS);
    for len in 0..SUBSCRIPTION.len() {
        let v = read(&a_subscription(&SUBSCRIPTION.as_bytes()[..len]));
        let line = SUBSCRIPTION.find("NT:").unwrap();
        let expected = if len < SUBSCRIBE.len() { None } else { (len < line).then_some(Refusal::Split) };
        assert_eq!((v.refused, v.expected.len()), (expected, usize::from(len >= line)), "{len}");
    }
}
