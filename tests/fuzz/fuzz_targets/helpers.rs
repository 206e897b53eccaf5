//! A packet of a control connection for every helper: what is expected is of one family, has a mask and a port
//! that may be opened; a packet that is translated has right lengths and checksums, by a computation of its own,
//! and nothing of its headers is changed beside these.
//!
//! The first byte chooses the circumstances ([`Case`]), the second how many bytes the other side sends before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_helpers::rewrite::{PACKET_MAX, rewrite};
use zct_helpers::{Addr, Config, Datagram, Ends, HELPERS, Helper, Packet, Private, Side, State, Transport};

const UDP: u8 = 17;
/// More than this is not needed to fill the largest packet.
const PAYLOAD_MAX: usize = 60_000;

fuzz_target!(|data: &[u8]| {
    let [how, before, rest @ ..] = data else { return };
    let (question, payload) = rest.split_at(usize::from(*before).min(rest.len()));
    for helper in &HELPERS {
        Case { helper, how: *how }.read(question, &payload[..payload.len().min(PAYLOAD_MAX)]);
    }
});

struct Case<'a> {
    helper: &'a Helper,
    how: u8,
}

impl Case<'_> {
    fn is(&self, bit: u8) -> bool {
        self.how & (1 << bit) != 0
    }

    /// One of these by the family.
    fn family<T>(&self, v4: T, v6: T) -> T {
        if self.is(0) { v6 } else { v4 }
    }

    fn group(&self) -> Addr {
        let v6 = |scope: u8, last: u16| {
            let [high, low] = last.to_be_bytes();
            Addr::V6([0xff, scope, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low])
        };
        match self.helper.name {
            "mdns" => self.family(Addr::V4([224, 0, 0, 251]), v6(2, 0xfb)),
            "slp" => self.family(Addr::V4([239, 255, 255, 253]), v6(2, 0x116)),
            "ssdp" => self.family(Addr::V4([239, 255, 255, 250]), v6(2, 0xc)),
            // ff02::1:2
            _ => Addr::V6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]),
        }
    }

    /// The flow's original and reply direction; the sender of the packet is the one whose address is
    /// translated.
    fn flow(&self, side: Side) -> (Ends, Ends) {
        let protocol = self.helper.protocol;
        let own = if self.helper.name == "dhcpv6" { 546 } else { 4000 };
        let client = self.family(Addr::V4([10, 1, 0, 2]), Addr::V6([0xfd; 16]));
        let server = match (self.is(7), self.helper.name) {
            (true, "mdns" | "slp" | "ssdp") => self.group(),
            (true, "dhcpv6") if self.is(0) => self.group(),
            _ => self.family(Addr::V4([10, 2, 0, 2]), Addr::V6([0xfc; 16])),
        };
        let public = self.family(Addr::V4([10, 222, 111, 133]), Addr::V6([0xfe; 16]));
        let port = self.helper.port;
        let (seen_client, seen_server) = match (self.is(1), side) {
            (false, _) => (client, server),
            (true, Side::Original) => (public, server),
            (true, Side::Reply) => (client, public),
        };
        let ends = |src, dst| Ends::new(protocol, src, dst).expect("one family");
        (ends((client, own), (seen_server, port)), ends((server, port), (seen_client, own)))
    }

    fn packet<'p>(&self, side: Side, transport: Transport, payload: &'p [u8]) -> Packet<'p> {
        let announcer = if self.is(2) { Side::Reply } else { Side::Original };
        let (original, reply) = self.flow(announcer);
        let turned = |e: &Ends| {
            Ends::new(e.protocol, (e.dst(), e.dst_port), (e.src(), e.src_port)).expect("one family")
        };
        // What ssdp needs to have come before: a search of the receiver, or an answer of the device.
        let (from, to) = (original.dst(), original.src());
        let master = match self.helper {
            Helper { name: "ssdp", protocol: UDP, .. } => Ends::new(UDP, (from, 5000), (self.group(), 1900)),
            _ => Ends::new(UDP, (from, 1900), (to, 5000)),
        };
        Packet {
            payload,
            transport,
            side,
            state: if self.is(3) { State::New } else { State::Established },
            ends: turned(if side == Side::Original { &reply } else { &original }),
            original,
            reply,
            master: master.filter(|_| self.is(6)),
            translated: self.is(1),
        }
    }

    fn read(&self, question: &[u8], payload: &[u8]) {
        let helper = self.helper;
        let side = if self.is(2) { Side::Reply } else { Side::Original };
        let mut private = Private::zero(helper.private_len);
        let config = Config { privileged_ports: self.is(4), ..Config::default() };
        let over = |seq, syn| match helper.protocol {
            UDP => Transport::Udp,
            _ => Transport::Tcp { seq, syn },
        };
        for side in [Side::Original, Side::Reply] {
            _ = helper.packet(&config, &mut private, &self.packet(side, over(999, true), &[]));
        }
        let other = if side == Side::Original { Side::Reply } else { Side::Original };
        _ = helper.packet(&config, &mut private, &self.packet(other, over(1000, false), question));

        let bytes = ip_packet(&self.packet(side, over(1000, false), payload));
        let datagram = Datagram::parse(&bytes).expect("a whole packet");
        let packet = self.packet(side, datagram.transport, datagram.payload(&bytes));
        assert_eq!((packet.payload, datagram.ends), (payload, packet.ends));
        let verdict = helper.packet(&config, &mut private, &packet);

        let lowest = if self.is(4) { 1 } else { 1024 };
        let mut expected = verdict.expected;
        for e in verdict.expected.iter() {
            // A device is described at port 80 too.
            let free = e.port() >= lowest || (helper.name == "ssdp" && e.port() == 80);
            let answers = helper.name == "dhcpv6" && e.port() == 546;
            assert!((free || answers) && ![0, 111].contains(&e.port()), "{} {}", helper.name, e.port());
            let (tuple, mask) = (e.tuple(), e.mask());
            let families =
                [tuple.src, tuple.dst, mask.src, mask.dst].map(|a| a.expect("an address").family());
            assert_eq!(families, [e.family(); 4]);
        }
        if self.is(5) {
            expected = zct_helpers::few::Few::NONE;
            for e in verdict.expected.iter() {
                assert!(expected.push(e.to_port(e.port() ^ 0x2aaa)));
            }
        }
        let mut out = vec![0xa5; PACKET_MAX];
        match rewrite(&datagram, &bytes, &expected, &verdict.edits, &mut out) {
            Ok(Some(new)) => {
                assert!(new != bytes && !verdict.edits.is_empty());
                check(&bytes, new, &datagram);
            }
            Ok(None) => {}
            Err(_) => assert!(!verdict.edits.is_empty()),
        }
        // Whatever was noted can be read again.
        _ = helper.packet(&config, &mut private, &packet);
    }
}

/// The sum of 16-bit words in ones' complement, of parts of which all but the last are of even length.
fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|p| p.chunks(2));
    let mut sum: u32 = words.map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |b| u32::from(*b))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Where the transport header is, what it is, and the pseudo header of its checksum without the length.
fn parts(packet: &[u8]) -> (usize, u8, &[u8]) {
    if packet[0] >> 4 == 4 { (20, packet[9], &packet[12..20]) } else { (40, packet[6], &packet[8..40]) }
}

fn segment_sum(packet: &[u8]) -> u16 {
    let (at, protocol, addresses) = parts(packet);
    let segment = &packet[at..];
    sum(&[addresses, &[0, protocol], &(segment.len() as u16).to_be_bytes(), segment])
}

fn ip_packet(packet: &Packet<'_>) -> Vec<u8> {
    let ends = &packet.ends;
    let mut segment = [ends.src_port.to_be_bytes(), ends.dst_port.to_be_bytes()].concat();
    let sum_at = match packet.transport {
        Transport::Udp => {
            segment.extend((packet.payload.len() as u16 + 8).to_be_bytes());
            segment.extend([0, 0]);
            6
        }
        Transport::Tcp { seq, .. } => {
            segment.extend(seq.to_be_bytes());
            segment.extend([0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
            16
        }
    };
    segment.extend(packet.payload);
    let len = segment.len() as u16;
    let mut bytes = match (ends.src(), ends.dst()) {
        (Addr::V4(src), Addr::V4(dst)) => {
            let [high, low] = (len + 20).to_be_bytes();
            let mut head =
                [&[0x45, 0, high, low, 0, 1, 0x40, 0, 63, ends.protocol, 0, 0][..], &src, &dst].concat();
            let sum = !sum(&[&head]);
            head[10..12].copy_from_slice(&sum.to_be_bytes());
            head
        }
        (src, dst) => {
            let [high, low] = len.to_be_bytes();
            [&[0x60, 0, 0, 0, high, low, ends.protocol, 63], src.bytes(), dst.bytes()].concat()
        }
    };
    let at = bytes.len() + sum_at;
    bytes.extend(segment);
    let sum = !segment_sum(&bytes);
    bytes[at..at + 2].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    bytes
}

/// Lengths and checksums are right; what is left of the headers is as it was.
fn check(old: &[u8], new: &[u8], datagram: &Datagram) {
    let be16 = |at: usize| usize::from(u16::from_be_bytes([new[at], new[at + 1]]));
    let (at, protocol, _) = parts(new);
    let mut varies = vec![];
    if at == 20 {
        assert_eq!((be16(2), sum(&[&new[..20]])), (new.len(), 0xffff));
        varies.extend([2, 3, 10, 11]);
    } else {
        assert_eq!(be16(4), new.len() - 40);
        varies.extend([4, 5]);
    }
    if protocol == UDP {
        assert_eq!(be16(at + 4), new.len() - at);
        varies.extend(at + 4..at + 8);
    } else {
        varies.extend([at + 16, at + 17]);
    }
    assert_eq!(segment_sum(new), 0xffff);
    let changed = (0..datagram.payload_at).find(|n| !varies.contains(n) && old[*n] != new[*n]);
    assert_eq!(changed, None);
}
