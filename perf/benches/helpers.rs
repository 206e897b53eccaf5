//! What a packet without a command costs a helper: `cargo bench -p zct-perf --bench helpers`. For each protocol the
//! dearest of several payloads of 1,400 bytes, sent by either side; and what a queued packet costs in all
//! before its protocol sees it. The shortest of many rounds counts, in nanoseconds a packet.

use std::hint::black_box;
use std::time::{Duration, Instant};
use zct_helpers::{Addr, Config, Datagram, Ends, HELPERS, Helper, Packet, Private, Side, State, Transport};
use zct_wire::header::{CtMsg, Frames};
use zct_wire::nfqueue::Queued;

const LEN: usize = 1400;
const ROUNDS: usize = 200;
const PACKETS: u32 = 500;

fn shortest(mut work: impl FnMut()) -> f64 {
    let round = || {
        let begun = Instant::now();
        (0..PACKETS).for_each(|_| work());
        begun.elapsed()
    };
    let best = std::iter::repeat_with(round).take(ROUNDS).min().unwrap_or(Duration::ZERO);
    best.as_secs_f64() * 1e9 / f64::from(PACKETS)
}

/// Payloads without a command that are as long as a packet and give as much to read as can be.
fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    let long = |start: &str| {
        let mut text = start.as_bytes().to_vec();
        text.resize(LEN, b'a');
        text
    };
    let mut one_line = long("");
    one_line[LEN - 2..].copy_from_slice(b"\r\n");
    vec![
        ("one line", one_line),
        ("no line", long("")),
        ("short lines", b"ab\r\n".repeat(LEN / 4)),
        ("zeros", vec![0; LEN]),
        ("Amanda's", long("Amanda 2.4 REP HANDLE 000-00000000 SEQ 1080\n")),
        ("SSDP's answer", long("HTTP/1.1 200 OK\r\nX: ")),
        ("SSDP's fields", [b"HTTP/1.1 200 OK\r\n".to_vec(), b"LOCATIO: x\r\n".repeat(115)].concat()),
        ("a subscription", long("SUBSCRIBE /e HTTP/1.1\r\nX: ")),
        ("FTP's answer", long("229 Entering Extended Passive Mode ")),
    ]
}

/// The nanoseconds of a helper for a payload.
fn cost(helper: &Helper, side: Side, payload: &[u8]) -> f64 {
    let (client, server) = (Addr::V4([10, 1, 0, 2]), Addr::V4([10, 2, 0, 2]));
    let ends = |src, dst| Ends::new(helper.protocol, src, dst).expect("one family");
    let original = ends((client, 40_000), (server, helper.port));
    let reply = ends((server, helper.port), (client, 40_000));
    let search = Ends::new(17, (client, 40_000), (Addr::V4([239, 255, 255, 250]), 1900));
    let transport =
        if helper.protocol == 6 { Transport::Tcp { seq: 1000, syn: false } } else { Transport::Udp };
    let packet = Packet {
        payload,
        transport,
        side,
        state: State::Established,
        ends: if side == Side::Original { original } else { reply },
        original,
        reply,
        master: search.filter(|_| helper.name == "ssdp"),
        translated: false,
    };
    let mut begun = Private::zero(helper.private_len);
    if helper.opening {
        let opens = Packet { transport: Transport::Tcp { seq: 999, syn: true }, payload: b"", ..packet };
        _ = helper.packet(&Config::default(), &mut begun, &opens);
    }
    shortest(|| {
        let mut private = begun;
        _ = black_box(helper.packet(&Config::default(), &mut private, black_box(&packet)));
    })
}

/// A queued TFTP request as Linux 6.12 sends it.
#[rustfmt::skip]
const QUEUED: [u8; 274] = [
    0x12, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x02, 0, 0, 0x15, 0x0b, 0, 1, 0, 0, 0, 0, 1, 8, 0, 4, 0, 8, 0, 5, 0, 0, 0, 0, 3, 8, 0, 6, 0, 0, 0, 0, 4,
    0x10, 0, 9, 0, 0, 6, 0, 0, 0x22, 0x66, 0x13, 0x13, 0x10, 0x0b, 0, 0,
    0x9c, 0, 0x0b, 0x80, 0x34, 0, 1, 0x80, 0x14, 0, 1, 0x80, 8, 0, 1, 0, 0x0a, 1, 0, 2, 8, 0, 2, 0, 0x0a, 2, 0, 2,
    0x1c, 0, 2, 0x80, 5, 0, 1, 0, 0x11, 0, 0, 0, 6, 0, 2, 0, 0x0f, 0xa0, 0, 0, 6, 0, 3, 0, 0, 0x45, 0, 0,
    0x34, 0, 2, 0x80, 0x14, 0, 1, 0x80, 8, 0, 1, 0, 0x0a, 2, 0, 2, 8, 0, 2, 0, 0x0a, 1, 0, 2,
    0x1c, 0, 2, 0x80, 5, 0, 1, 0, 0x11, 0, 0, 0, 6, 0, 2, 0, 0, 0x45, 0, 0, 6, 0, 3, 0, 0x0f, 0xa0, 0, 0,
    8, 0, 0x0c, 0, 0x92, 0x40, 0x30, 0x52, 8, 0, 3, 0, 0, 0, 0x20, 0, 8, 0, 7, 0, 0, 0, 0, 0x1e,
    0x10, 0, 5, 0x80, 9, 0, 1, 0, 0x74, 0x66, 0x74, 0x70, 0, 0, 0, 0, 8, 0, 8, 0, 0, 0, 0, 0,
    8, 0, 0x0c, 0, 0, 0, 0, 2,
    0x2d, 0, 0x0a, 0, 0x45, 0, 0, 0x29, 0xec, 0, 0x40, 0, 0x3f, 0x11, 0x3b, 0xbd, 0x0a, 1, 0, 2, 0x0a, 2, 0, 2,
    0x0f, 0xa0, 0, 0x45, 0, 0x15, 0x3f, 0xb1, 0, 1, 0x66, 0x69, 0x6c, 0x65, 0, 0x6f, 0x63, 0x74, 0x65, 0x74, 0, 0,
];

fn read(message: &[u8]) -> Option<Datagram> {
    let frame = Frames::new(message).next()?.ok()?;
    let queued = CtMsg::parse(frame).and_then(Queued::parse).ok()?;
    let flow = queued.flow().ok()??;
    assert_eq!(flow.helper, Some(&b"tftp"[..]));
    Datagram::parse(queued.payload)
}

fn main() {
    let message = &QUEUED[..273];
    let message: Vec<u8> = [&273_u32.to_ne_bytes()[..], &message[4..]].concat();
    assert!(read(&message).is_some(), "the message is whole");
    println!(
        "{:20}{:8.0} ns",
        "message and headers",
        shortest(|| assert!(read(black_box(&message)).is_some()))
    );
    for helper in &HELPERS {
        let all = payloads();
        let sides = [Side::Original, Side::Reply];
        let costs = all.iter().flat_map(|(name, p)| sides.map(|side| (cost(helper, side, p), *name)));
        let (ns, name) = costs.max_by(|a, b| a.0.total_cmp(&b.0)).expect("payloads");
        let l4 = if helper.protocol == 6 { "tcp" } else { "udp" };
        println!("{:20}{ns:8.0} ns, {name}", format!("{} {l4}", helper.name));
    }
}
