//! Packets for the tests of protocols: a client, a server, and a router that may translate the client.

use crate::datagram::{TCP, UDP};
use crate::packet::{Packet, Side, State, Transport};
use std::vec::Vec;
use zct_wire::expected::Ends;
use zct_wire::tuple::Addr;

pub(crate) const CLIENT: Addr = Addr::V4([10, 1, 0, 2]);
pub(crate) const SERVER: Addr = Addr::V4([10, 2, 0, 2]);
/// What the server sees of a client behind NAT.
pub(crate) const PUBLIC: Addr = Addr::V4([10, 222, 111, 133]);

fn packet(
    protocol: u8,
    client: (Addr, u16),
    server: (Addr, u16),
    transport: Transport,
    payload: &[u8],
) -> Packet<'_> {
    let original = Ends::new(protocol, client, server).unwrap();
    Packet {
        payload,
        transport,
        side: Side::Original,
        state: State::Established,
        ends: original,
        original,
        reply: Ends::new(protocol, server, client).unwrap(),
        master: None,
        translated: false,
    }
}

/// The same packet from the other side.
pub(crate) fn answer(p: Packet<'_>) -> Packet<'_> {
    Packet { side: Side::Reply, ends: p.reply, ..p }
}

/// A segment of a client at port 40000 to port 21, with sequence number 1000.
pub(crate) fn client(payload: &[u8]) -> Packet<'_> {
    packet(TCP, (CLIENT, 40_000), (SERVER, 21), Transport::Tcp { seq: 1000, syn: false }, payload)
}

/// The first datagram of a flow between these two.
pub(crate) fn udp_from(client: (Addr, u16), server: (Addr, u16), payload: &[u8]) -> Packet<'_> {
    let p = packet(UDP, client, server, Transport::Udp, payload);
    Packet { state: State::New, ..p }
}

/// A datagram of a client at port 4000, the first of its flow.
pub(crate) fn udp_client(port: u16, payload: &[u8]) -> Packet<'_> {
    udp_from((CLIENT, 4000), (SERVER, port), payload)
}

/// A datagram of the server to it.
pub(crate) fn udp_server(port: u16, payload: &[u8]) -> Packet<'_> {
    answer(Packet { state: State::Established, ..udp_client(port, payload) })
}

/// The same packet when a router replaces the client's address and port by [`PUBLIC`] and this port.
pub(crate) fn behind_nat(p: Packet<'_>, port: u16) -> Packet<'_> {
    let (own, server) = (p.original, (p.reply.src(), p.reply.src_port));
    let reply = Ends::new(own.protocol, server, (PUBLIC, port)).unwrap();
    let ends = match p.side {
        Side::Original => Ends::new(own.protocol, (PUBLIC, port), server).unwrap(),
        Side::Reply => Ends::new(own.protocol, (own.dst(), own.dst_port), (own.src(), own.src_port)).unwrap(),
    };
    Packet { reply, ends, translated: true, ..p }
}

/// A packet of a flow on the wire, with right lengths and checksums, and this sequence number if it is TCP.
pub(crate) fn ip_packet(ends: &Ends, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut segment = [ends.src_port.to_be_bytes(), ends.dst_port.to_be_bytes()].concat();
    let sum_at = if ends.protocol == TCP {
        segment.extend(seq.to_be_bytes());
        segment.extend([0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
        16
    } else {
        segment.extend(u16::try_from(payload.len() + 8).unwrap().to_be_bytes());
        segment.extend([0, 0]);
        6
    };
    segment.extend(payload);
    let len = u16::try_from(segment.len()).unwrap();
    let mut packet = match (ends.src(), ends.dst()) {
        (Addr::V4(src), Addr::V4(dst)) => {
            let [high, low] = (len + 20).to_be_bytes();
            let mut head = vec![0x45, 0, high, low, 0, 1, 0x40, 0, 63, ends.protocol, 0, 0];
            head.extend(src.into_iter().chain(dst));
            let sum = sum(&[&head]);
            head[10..12].copy_from_slice(&sum.to_be_bytes());
            head
        }
        (src, dst) => {
            let [high, low] = len.to_be_bytes();
            let mut head = vec![0x60, 0, 0, 0, high, low, ends.protocol, 63];
            head.extend(src.bytes().iter().chain(dst.bytes()));
            head
        }
    };
    let pseudo = [ends.src().bytes(), ends.dst().bytes(), &len.to_be_bytes(), &[0, ends.protocol]].concat();
    let sum = sum(&[&pseudo, &segment]);
    let sum = if sum == 0 { 0xffff } else { sum };
    segment[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    packet.extend(segment);
    packet
}

/// The checksum of parts of even length but for the last, in the slow and obvious way.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut bytes = parts.concat();
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let words = bytes.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum = words.fold(0_u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    !u16::try_from(sum).unwrap()
}

/// Whether the checksums and lengths of a packet are right, computed without the code under test.
pub(crate) fn sums_are_right(packet: &[u8]) -> bool {
    let be16 = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let (head, protocol, pseudo) = if packet[0] == 0x45 {
        (20, packet[9], packet[12..20].to_vec())
    } else {
        (40, packet[6], packet[8..40].to_vec())
    };
    let total = if head == 20 { be16(2) } else { be16(4) + 40 };
    let segment = &packet[head..];
    let len = u16::try_from(segment.len()).unwrap();
    let pseudo = [&pseudo[..], &len.to_be_bytes(), &[0, protocol]].concat();
    let ip = head == 40 || sum(&[&packet[..20]]) == 0;
    let udp = protocol != UDP || be16(head + 4) == segment.len();
    ip && udp && total == packet.len() && sum(&[&pseudo, segment]) == 0
}
