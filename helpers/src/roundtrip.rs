//! Announcements behind NAT, for every protocol that writes addresses or ports into its packets: what the
//! receiver reads in the changed packet is what the firewall expects.

use crate::datagram::{Datagram, TCP, UDP};
use crate::few::Few;
use crate::fixture::{CLIENT, SERVER, ip_packet, sums_are_right};
use crate::packet::{Packet, Side, State, Transport};
use crate::rewrite::{PACKET_MAX, rewrite};
use crate::{Addr, Config, Ends, Expected, Helper, Private};
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

/// An announcement, and what comes before it.
struct Announcement {
    helper: &'static Helper,
    /// What the client sends first.
    question: Vec<u8>,
    /// A packet of the server before the one that counts.
    prelude: Vec<u8>,
    payload: Vec<u8>,
    side: Side,
}

/// The address as text; only IPv4 is translated in these tests.
fn text(addr: Addr) -> String {
    let bytes: Vec<_> = addr.bytes().iter().map(|b| format!("{b}")).collect();
    bytes.join(".")
}

fn length16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn numbers(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// With a record mark, if it goes over TCP.
fn record(protocol: u8, message: Vec<u8>) -> Vec<u8> {
    if protocol == UDP {
        return message;
    }
    [&(0x8000_0000 | u32::try_from(message.len()).unwrap()).to_be_bytes()[..], &message].concat()
}

/// A packet of TNS.
fn tns(kind: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + rest.len()).unwrap();
    [&len.to_be_bytes()[..], &[0, 0, kind, 0, 0, 0], rest].concat()
}

/// What the party at `addr` announces, in every form; `port` is the first of its ports.
fn announcements(addr: Addr, port: u16) -> Vec<Announcement> {
    let find = |name, protocol| Helper::find(name, protocol).unwrap();
    let of_server = |name, protocol, question: Vec<u8>, payload: Vec<u8>| Announcement {
        helper: find(name, protocol),
        question,
        prelude: Vec::new(),
        payload,
        side: Side::Reply,
    };
    let ip = text(addr);
    let (high, low) = (port >> 8, port & 0xff);
    let mut all = Vec::new();
    let streams = format!(
        "Amanda 2.5 REP HANDLE 000-00000000 SEQ 1080\nCONNECT DATA {port} MESG {} INDEX -1 STATE {}\nOPTIONS ;\n",
        port - 1,
        port - 2,
    );
    all.push(of_server("amanda", UDP, b"Amanda 2.5 REQ".to_vec(), streams.into_bytes()));
    let started = numbers(&[0, port.into(), 0x1234, 0]);
    all.push(of_server("sane", TCP, numbers(&[7, 1]), started));
    for protocol in [TCP, UDP] {
        let heading = |version| numbers(&[7, 0, 2, 100_000, version, 3, 0, 0, 0, 0, 100_003, 3]);
        let accepted = numbers(&[7, 1, 0, 0, 0, 0]);
        let question = [heading(2), numbers(&[6, 0])].concat();
        let answer = [accepted.clone(), numbers(&[port.into()])].concat();
        all.push(of_server("rpc", protocol, record(protocol, question), record(protocol, answer)));
        let question = [heading(4), opaque(b"tcp"), opaque(b"192.0.2.1.0.111"), opaque(b"me")].concat();
        let answer = [accepted, opaque(format!("{ip}.{high}.{low}").as_bytes())].concat();
        all.push(of_server("rpc", protocol, record(protocol, question), record(protocol, answer)));
    }
    let target = format!("(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST={ip})(PORT={port}))").into_bytes();
    let redirect = tns(5, &[&length16(&target)[..], &target].concat());
    all.push(of_server("tns", TCP, b"connect".to_vec(), redirect));
    all.push(Announcement {
        prelude: tns(5, &[0, 0]),
        ..of_server("tns", TCP, b"connect".to_vec(), tns(6, &[b"\0\0", &target[..]].concat()))
    });
    for callback in [format!("<http://{ip}:{port}/cb>"), format!("<http://{ip}:{port}>")] {
        let subscription = format!("SUBSCRIBE /e HTTP/1.1\r\nCALLBACK: {callback}\r\nNT: upnp:event\r\n\r\n");
        all.push(Announcement {
            side: Side::Original,
            ..of_server("ssdp", TCP, Vec::new(), subscription.into_bytes())
        });
    }
    all
}

/// A flow as one of its sides knows it: whom the client calls, and who answers.
struct Flow {
    original: Ends,
    reply: Ends,
    translated: bool,
}

impl Flow {
    fn packet<'a>(&self, helper: &Helper, side: Side, seq: u32, payload: &'a [u8]) -> Packet<'a> {
        let (server, port) = (self.original.dst(), self.original.dst_port);
        // What led to a subscription: an answer of the device.
        let answer = Ends::new(UDP, (server, 1900), (self.original.src(), 5000)).unwrap();
        let transport =
            if helper.protocol == TCP { Transport::Tcp { seq, syn: false } } else { Transport::Udp };
        // On its way out the packet carries what its receiver is to see.
        let ends = match side {
            Side::Original => Ends::new(
                helper.protocol,
                (self.reply.dst(), self.reply.dst_port),
                (self.reply.src(), self.reply.src_port),
            ),
            Side::Reply => {
                Ends::new(helper.protocol, (server, port), (self.original.src(), self.original.src_port))
            }
        };
        Packet {
            payload,
            transport,
            side,
            state: State::Established,
            ends: ends.unwrap(),
            original: self.original,
            reply: self.reply,
            master: Some(answer),
            translated: self.translated,
        }
    }

    /// What the helper says about the announcement after what comes before it.
    fn read(&self, a: &Announcement, payload: &[u8]) -> (crate::Verdict, Private) {
        let config = Config::default();
        let mut private = Private::zero(a.helper.private_len);
        if a.side == Side::Reply {
            a.helper.packet(&config, &mut private, &self.packet(a.helper, Side::Original, 10, &a.question));
            if !a.prelude.is_empty() {
                a.helper.packet(&config, &mut private, &self.packet(a.helper, Side::Reply, 20, &a.prelude));
            }
        }
        let verdict = a.helper.packet(&config, &mut private, &self.packet(a.helper, a.side, 30, payload));
        (verdict, private)
    }
}

/// A flow whose announcing side is known to the other one by `public`.
fn translated(a: &Announcement, public: Addr) -> Flow {
    let (protocol, port) = (a.helper.protocol, a.helper.port);
    let ends = |src, dst| Ends::new(protocol, src, dst).unwrap();
    let (original, reply) = match a.side {
        Side::Original => (ends((CLIENT, 40_000), (SERVER, port)), ends((SERVER, port), (public, 40_000))),
        Side::Reply => (ends((CLIENT, 40_000), (public, port)), ends((SERVER, port), (CLIENT, 40_000))),
    };
    Flow { original, reply, translated: true }
}

/// The same flow for the receiver, which knows of no translation.
fn as_received(a: &Announcement, flow: &Flow) -> Flow {
    let turned = |e: &Ends| Ends::new(e.protocol, (e.dst(), e.dst_port), (e.src(), e.src_port)).unwrap();
    let (original, reply) = match a.side {
        Side::Original => (turned(&flow.reply), flow.reply),
        Side::Reply => (flow.original, turned(&flow.original)),
    };
    Flow { original, reply, translated: false }
}

/// The same expectations at other ports.
fn moved(expected: &Few<Expected, 4>, by: u16) -> Few<Expected, 4> {
    let mut out = Few::NONE;
    for e in expected.iter() {
        assert!(out.push(e.to_port(e.port() - by)));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_receiver_reads_what_is_expected(
        public in any::<[u8; 4]>(), port in 2100_u16.., by in 0_u16..1000,
    ) {
        let public = Addr::V4(public);
        let sides = [CLIENT, SERVER].map(|own| announcements(own, port));
        let [of_client, of_server] = &sides;
        let of_client = of_client.iter().filter(|a| a.side == Side::Original);
        for a in of_client.chain(of_server.iter().filter(|a| a.side == Side::Reply)) {
            let name = a.helper.name;
            let flow = translated(a, public);
            let (verdict, mut private) = flow.read(a, &a.payload);
            prop_assert_eq!(verdict.refused, None, "{}", name);
            prop_assert!(!verdict.expected.is_empty() && !verdict.edits.is_empty(), "{}", name);
            prop_assert!(verdict.expected.iter().all(|e| e.followed().is_some()), "{}", name);
            let expected = moved(&verdict.expected, by);

            let ends = flow.packet(a.helper, a.side, 30, &a.payload).ends;
            let packet = ip_packet(&ends, 30, &a.payload);
            let datagram = Datagram::parse(&packet).unwrap();
            let mut out = vec![0xa5; PACKET_MAX];
            let new = rewrite(&datagram, &packet, &expected, &verdict.edits, &mut out);
            let new = new.unwrap().unwrap_or(&packet);
            prop_assert!(sums_are_right(new), "{}", name);

            let payload = Datagram::parse(new).unwrap().payload(new).to_vec();
            let (received, _) = as_received(a, &flow).read(a, &payload);
            prop_assert_eq!(received.refused, None, "{}", name);
            prop_assert_eq!(received.expected.len(), expected.len(), "{}", name);
            for (got, want) in received.expected.iter().zip(expected.iter()) {
                prop_assert_eq!(*got, want.follow(None), "{}", name);
            }

            // Sent again, it is changed in the same way. Over UDP the client asks again first, which is noted
            // again.
            if a.helper.protocol == TCP {
                let p = flow.packet(a.helper, a.side, 30, &a.payload);
                let again = a.helper.packet(&Config::default(), &mut private, &p);
                prop_assert_eq!(again, verdict, "{}", name);
            }
        }
    }

    /// Whatever bytes come instead: no panic, and nothing is expected that points to anybody but the two
    /// ends.
    #[test]
    fn altered_bytes_open_nothing_else(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for a in announcements(SERVER, 40_123) {
            let mut payload = a.payload.clone();
            let at = at.index(payload.len());
            if cut {
                payload.truncate(at);
            } else {
                payload[at] = byte;
            }
            let flow = Flow {
                original: Ends::new(a.helper.protocol, (CLIENT, 40_000), (SERVER, a.helper.port)).unwrap(),
                reply: Ends::new(a.helper.protocol, (SERVER, a.helper.port), (CLIENT, 40_000)).unwrap(),
                translated: false,
            };
            let (verdict, _) = flow.read(&a, &payload);
            for e in verdict.expected.iter() {
                prop_assert_eq!(e.source(), Some(CLIENT), "{}", a.helper.name);
                prop_assert_eq!(e.destination(), SERVER, "{}", a.helper.name);
                prop_assert!(e.port() >= 1024, "{}", a.helper.name);
            }
        }
    }
}
