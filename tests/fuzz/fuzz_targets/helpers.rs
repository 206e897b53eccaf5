//! A packet of a control connection, as a queued message and as payload of every helper: reading ends, what
//! is expected is of one family and has a mask, and a packet that is changed has lengths that fit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_helpers::rewrite::{PACKET_MAX, rewrite};
use zct_helpers::{
    Addr, Config, Datagram, Ends, HELPERS, Helper, Packet, Private, Side, State, Transport, Verdict,
};
use zct_wire::header::{CtMsg, Frames};
use zct_wire::nfqueue::Queued;

fuzz_target!(|data: &[u8]| {
    for frame in Frames::new(data).flatten() {
        if let Ok(queued) = CtMsg::parse(frame).and_then(Queued::parse) {
            _ = queued.flow();
            _ = Datagram::parse(queued.payload);
        }
    }
    if let Some(datagram) = Datagram::parse(data) {
        assert!(datagram.transport_at <= datagram.payload_at && datagram.payload_at <= datagram.end);
        assert!(datagram.end <= data.len());
    }
    // The first byte chooses the circumstances.
    let Some((how, payload)) = data.split_first() else { return };
    for helper in &HELPERS {
        read(helper, *how, payload);
    }
});

fn read(helper: &Helper, how: u8, payload: &[u8]) {
    let (a, b) = if how & 1 == 0 {
        (Addr::V4([10, 1, 0, 2]), Addr::V4([10, 2, 0, 2]))
    } else {
        (Addr::V6([0xfd; 16]), Addr::V6([0xfc; 16]))
    };
    let public = if how & 1 == 0 { Addr::V4([10, 222, 111, 133]) } else { Addr::V6([0xfe; 16]) };
    let ends = |src, dst| Ends::new(helper.protocol, src, dst).expect("one family");
    let translated = how & 2 != 0;
    let seen = if translated { public } else { a };
    let mut packet = Packet {
        payload,
        transport: Transport::Udp,
        side: if how & 4 == 0 { Side::Original } else { Side::Reply },
        state: if how & 8 == 0 { State::Established } else { State::New },
        ends: ends((seen, 4000), (b, helper.port)),
        original: ends((a, 4000), (b, helper.port)),
        reply: ends((b, helper.port), (seen, 4000)),
        master: None,
        translated,
    };
    let mut private = Private::zero(helper.private_len);
    let config = Config { privileged_ports: how & 16 != 0, ..Config::default() };
    if helper.protocol == 6 {
        packet.transport = Transport::Tcp { seq: 999, syn: true };
        _ = helper.packet(&config, &mut private, &packet);
        packet.transport = Transport::Tcp { seq: 1000, syn: false };
    }
    let verdict = helper.packet(&config, &mut private, &packet);
    check(&verdict, &packet);
    // Whatever was noted can be read again.
    _ = helper.packet(&config, &mut private, &packet);
}

fn check(verdict: &Verdict, packet: &Packet<'_>) {
    for expected in verdict.expected.iter() {
        assert!(![0, 111].contains(&expected.port()));
        let (tuple, mask) = (expected.tuple(), expected.mask());
        let families = [tuple.src, tuple.dst, mask.src, mask.dst].map(|a| a.expect("an address").family());
        assert_eq!(families, [expected.family(); 4]);
    }
    let header = if packet.original.protocol == 6 { 20 } else { 8 };
    let mut bytes = vec![0; header];
    bytes.extend_from_slice(packet.payload);
    let datagram = Datagram {
        transport_at: 0,
        payload_at: header,
        end: bytes.len(),
        transport: packet.transport,
        ends: packet.ends,
    };
    let mut out = vec![0; PACKET_MAX];
    // Without the IP header only the text is made; that is the part with offsets of strangers.
    _ = rewrite(&datagram, &bytes, &verdict.expected, &verdict.edits, &mut out);
}
