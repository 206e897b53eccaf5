//! Where things are in an IP packet: the headers are checked once, and everything else reads at these places.

use crate::packet::Transport;
use crate::read::Cursor;
use zct_wire::expected::Ends;
use zct_wire::tuple::Addr;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
/// How many extension headers are walked; more is not traffic that helpers are for.
const EXTENSIONS_MAX: usize = 8;
/// IPv4: more fragments follow, or this is not the first.
const FRAGMENT: u16 = 0x3fff;

mod tcp_flag {
    pub(super) const SYN: u8 = 0x02;
    pub(super) const RST: u8 = 0x04;
    pub(super) const URG: u8 = 0x20;
}

/// A whole TCP segment or UDP datagram, and the places of its parts in the packet, in bytes from its
/// beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where the TCP or UDP header begins.
    pub transport_at: usize,
    /// Where the payload begins.
    pub payload_at: usize,
    /// Where the packet ends, by its own length.
    pub end: usize,
    /// The transport header.
    pub transport: Transport,
    /// Addresses and ports.
    pub ends: Ends,
}

/// What the IP header says.
struct Ip {
    protocol: u8,
    transport_at: usize,
    end: usize,
    src: Addr,
    dst: Addr,
}

impl Datagram {
    /// Reads a packet from its IP header on. `None` for what no helper may look at: fragments, packets that
    /// are not whole or whose lengths lie, other protocols, resets and urgent data.
    pub fn parse(packet: &[u8]) -> Option<Datagram> {
        let ip = match packet.first()?.checked_shr(4)? {
            4 => v4(packet)?,
            6 => v6(packet)?,
            _ => return None,
        };
        let segment = packet.get(ip.transport_at..ip.end)?;
        let mut head = Cursor::new(segment);
        let (src_port, dst_port) = (head.be16()?, head.be16()?);
        let (header, transport) = match ip.protocol {
            TCP => tcp(head, segment.len())?,
            UDP if usize::from(head.be16()?) == segment.len() => (UDP_HEADER, Transport::Udp),
            _ => return None,
        };
        if segment.len() < header {
            return None;
        }
        Some(Datagram {
            transport_at: ip.transport_at,
            payload_at: ip.transport_at.checked_add(header)?,
            end: ip.end,
            transport,
            ends: Ends::new(ip.protocol, (ip.src, src_port), (ip.dst, dst_port))?,
        })
    }

    /// The payload of the packet that this was read from.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(self.payload_at..self.end).unwrap_or_default()
    }
}

/// The rest of a TCP header, of which the ports have been read.
fn tcp(mut head: Cursor<'_>, len: usize) -> Option<(usize, Transport)> {
    let seq = head.be32()?;
    head.be32()?; // acknowledgement
    let header = usize::from(head.byte()?.checked_shr(4)?).checked_mul(4)?;
    let flags = head.byte()?;
    let whole = (TCP_HEADER..=len).contains(&header);
    let plain = flags & (tcp_flag::RST | tcp_flag::URG) == 0;
    (whole && plain).then_some((header, Transport::Tcp { seq, syn: flags & tcp_flag::SYN != 0 }))
}

fn v4(packet: &[u8]) -> Option<Ip> {
    let mut c = Cursor::new(packet);
    let header = usize::from(c.byte()? & 0x0f).checked_mul(4)?;
    c.byte()?; // type of service
    let end = usize::from(c.be16()?);
    c.be16()?; // identification
    let fragment = c.be16()? & FRAGMENT != 0;
    c.byte()?; // time to live
    let protocol = c.byte()?;
    c.be16()?; // checksum
    let src = Addr::V4(c.take(4)?.try_into().ok()?);
    let dst = Addr::V4(c.take(4)?.try_into().ok()?);
    let whole = header >= V4_HEADER && header <= end && end <= packet.len();
    (whole && !fragment).then_some(Ip { protocol, transport_at: header, end, src, dst })
}

fn v6(packet: &[u8]) -> Option<Ip> {
    const HOP_BY_HOP: u8 = 0;
    const DESTINATION: u8 = 60;
    let mut c = Cursor::new(packet);
    c.be32()?; // version, traffic class, flow label
    let end = V6_HEADER.checked_add(usize::from(c.be16()?))?;
    let mut protocol = c.byte()?;
    c.byte()?; // hop limit
    let src = Addr::V6(c.take(16)?.try_into().ok()?);
    let dst = Addr::V6(c.take(16)?.try_into().ok()?);
    let mut at = V6_HEADER;
    // A routing header would change which address the checksum covers, and a fragment is not whole.
    for _ in 0..EXTENSIONS_MAX {
        if protocol != HOP_BY_HOP && protocol != DESTINATION {
            return (at <= end && end <= packet.len()).then_some(Ip {
                protocol,
                transport_at: at,
                end,
                src,
                dst,
            });
        }
        let mut extension = Cursor::new(packet.get(at..end)?);
        protocol = extension.byte()?;
        let words = usize::from(extension.byte()?).checked_add(1)?;
        at = at.checked_add(words.checked_mul(8)?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, SERVER, ip_packet};
    use std::vec::Vec;

    const A6: Addr = Addr::V6([0xfd; 16]);
    const B6: Addr = Addr::V6([0xfc; 16]);

    fn parse(bytes: &[u8]) -> Option<Datagram> {
        Datagram::parse(bytes)
    }

    #[test]
    fn whole_packets_of_both_families_are_read() {
        for (a, b, ip) in [(CLIENT, SERVER, 20), (A6, B6, 40)] {
            let ends = Ends::new(UDP, (a, 4000), (b, 69)).unwrap();
            let bytes = ip_packet(&ends, 0, b"hello");
            let d = parse(&bytes).unwrap();
            assert_eq!((d.transport_at, d.payload_at, d.end, d.ends), (ip, ip + 8, ip + 13, ends));
            assert_eq!((d.transport, d.payload(&bytes)), (Transport::Udp, &b"hello"[..]));
            // What follows the packet in the buffer is not part of it.
            assert_eq!(parse(&[&bytes[..], b"more"].concat()), Some(d));
            let ends = Ends::new(TCP, (a, 4000), (b, 21)).unwrap();
            let d = parse(&ip_packet(&ends, 0x0102_0304, b"")).unwrap();
            assert_eq!((d.payload_at, d.end), (ip + 20, ip + 20));
            assert_eq!(d.transport, Transport::Tcp { seq: 0x0102_0304, syn: false });
        }
    }

    #[test]
    fn what_is_not_whole_is_not_read() {
        for (a, b) in [(CLIENT, SERVER), (A6, B6)] {
            for protocol in [TCP, UDP] {
                let bytes = ip_packet(&Ends::new(protocol, (a, 1), (b, 2)).unwrap(), 0, b"x");
                assert!((0..bytes.len()).all(|len| parse(&bytes[..len]).is_none()));
            }
        }
        let change = |protocol, at: usize, value: u8| {
            let mut bytes = ip_packet(&Ends::new(protocol, (CLIENT, 1), (SERVER, 2)).unwrap(), 0, b"payload");
            bytes[at] = value;
            parse(&bytes)
        };
        assert!(change(UDP, 1, 0xff).is_some());
        for (protocol, at, value) in [
            (UDP, 0, 0x44), // header of 16 bytes
            (UDP, 0, 0x55),
            (UDP, 3, 19),    // total length
            (UDP, 6, 0x20),  // more fragments
            (UDP, 7, 1),     // a later fragment
            (UDP, 9, 1),     // ICMP
            (UDP, 25, 14),   // length of UDP
            (TCP, 32, 0x40), // header of 16 bytes
            (TCP, 32, 0xf0), // header beyond the end
            (TCP, 33, 0x04), // reset
            (TCP, 33, 0x20), // urgent
        ] {
            assert!(change(protocol, at, value).is_none(), "{protocol} {at} {value}");
        }
    }

    #[test]
    fn extension_headers_are_walked_up_to_a_bound() {
        let plain = ip_packet(&Ends::new(UDP, (A6, 1), (B6, 2)).unwrap(), 0, b"hello");
        let with = |kinds: &[u8]| {
            let mut bytes = plain[..40].to_vec();
            bytes[6] = *kinds.first().unwrap_or(&UDP);
            for at in 0..kinds.len() {
                bytes.push(*kinds.get(at + 1).unwrap_or(&UDP));
                bytes.extend([0; 7]);
            }
            bytes.extend(&plain[40..]);
            let len = u16::try_from(bytes.len() - 40).unwrap();
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            bytes
        };
        let two: Vec<u8> = with(&[0, 60]);
        assert_eq!(parse(&two).map(|d| (d.transport_at, d.payload(&two).len())), Some((56, 5)));
        assert!(parse(&with(&[60; 7])).is_some() && parse(&with(&[60; 8])).is_none());
        assert!(parse(&with(&[44])).is_none() && parse(&with(&[43])).is_none());
    }
}
