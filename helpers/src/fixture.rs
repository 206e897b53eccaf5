//! Packets for the tests of protocols: a client, a server, and a router that may translate the client.

use crate::packet::{Packet, Side, State, Transport};
use zct_wire::expected::Ends;
use zct_wire::tuple::Addr;

pub(crate) const CLIENT: Addr = Addr::V4([10, 1, 0, 2]);
pub(crate) const SERVER: Addr = Addr::V4([10, 2, 0, 2]);
/// What the server sees of a client behind NAT.
pub(crate) const PUBLIC: Addr = Addr::V4([10, 222, 111, 133]);
const TCP: u8 = 6;
const UDP: u8 = 17;

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

/// A datagram of a client at port 4000, the first of its flow.
pub(crate) fn udp_client(port: u16, payload: &[u8]) -> Packet<'_> {
    let p = packet(UDP, (CLIENT, 4000), (SERVER, port), Transport::Udp, payload);
    Packet { state: State::New, ..p }
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
