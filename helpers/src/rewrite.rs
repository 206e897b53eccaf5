//! The packet as the other side of a translation has to see it: other addresses and ports in its text, and
//! lengths and checksums that fit.
//!
//! The kernel fixes nothing of a packet that it gets back, but does two things: it takes the difference in
//! length for the sequence numbers of all later segments of a translated TCP flow over IPv4 (CTA_SEQ_ADJ,
//! ctnetlink.md §3.5), and it adjusts those of this segment. Retransmissions come as the sender wrote them,
//! and have to be changed in the same way.

use crate::checksum;
use crate::datagram::{Datagram, TCP};
use crate::few::Few;
use crate::refusal::Refusal;
use crate::verdict::{EDITS_MAX, EXPECTED_MAX, Edit, Write};
use core::fmt::{self, Write as _};
use zct_wire::expected::Expected;
use zct_wire::tuple::Addr;

/// The longest packet there is.
pub const PACKET_MAX: usize = 65_535;
/// The longest text that replaces something: an IPv6 address and a port in two numbers, with their length and
/// padding.
const TEXT_MAX: usize = 64;
const V4_TOTAL: usize = 2;
const V4_CHECKSUM: usize = 10;
const V6_LENGTH: usize = 4;
const V6_HEADER: usize = 40;
const UDP_LENGTH: usize = 4;
const UDP_CHECKSUM: usize = 6;
const TCP_CHECKSUM: usize = 16;

/// A short text under construction. What does not fit is an error.
#[derive(Clone, Copy)]
struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Text {
    const EMPTY: Text = Text { bytes: [0; TEXT_MAX], len: 0 };

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, more: &[u8]) -> fmt::Result {
        let end = self.len.saturating_add(more.len());
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(more);
        self.len = end;
        Ok(())
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s.as_bytes())
    }
}

fn address(text: &mut Text, addr: Addr) -> fmt::Result {
    match addr {
        Addr::V4(a) => write!(text, "{}", core::net::Ipv4Addr::from(a)),
        Addr::V6(a) => write!(text, "{}", core::net::Ipv6Addr::from(a)),
    }
}

/// An address and a port as RPC has them, in the form of XDR: length, text, zeros up to a multiple of four.
fn universal(text: &mut Text, addr: Addr, port: u16) -> fmt::Result {
    let [high, low] = port.to_be_bytes();
    text.push(&[0; 4])?;
    address(text, addr)?;
    write!(text, ".{high}.{low}")?;
    let len = text.len.checked_sub(4).ok_or(fmt::Error)?;
    let length = u32::try_from(len).map_err(|_| fmt::Error)?;
    text.bytes.get_mut(..4).ok_or(fmt::Error)?.copy_from_slice(&length.to_be_bytes());
    text.push([0; 3].get(..len.wrapping_neg() & 3).ok_or(fmt::Error)?)
}

/// What stands in place of an edit. `growth` is what the whole payload grows by, `old` what stood there.
fn render(edit: &Edit, old: &[u8], expected: &Few<Expected, EXPECTED_MAX>, growth: isize) -> Option<Text> {
    let one = |number: u8| {
        let e = expected.get(usize::from(number))?;
        Some((e.destination(), e.port()))
    };
    let mut text = Text::EMPTY;
    let done = match edit.write {
        Write::Address(n) => address(&mut text, one(n)?.0),
        Write::Port(n) => write!(text, "{}", one(n)?.1),
        Write::ColonPort(n) => write!(text, ":{}", one(n)?.1),
        Write::HostPort(n) => {
            let (Addr::V4([a, b, c, d]), port) = one(n)? else { return None };
            let [high, low] = port.to_be_bytes();
            write!(text, "{a},{b},{c},{d},{high},{low}")
        }
        Write::Universal(n) => {
            let (addr, port) = one(n)?;
            universal(&mut text, addr, port)
        }
        Write::Port16(n) => text.push(&one(n)?.1.to_be_bytes()),
        Write::Port32(n) => text.push(&u32::from(one(n)?.1).to_be_bytes()),
        Write::Length16 => {
            let length = u16::from_be_bytes(old.try_into().ok()?);
            let length = isize::try_from(length).ok()?.checked_add(growth)?;
            text.push(&u16::try_from(length).ok()?.to_be_bytes())
        }
        Write::Length32 => {
            let length = u32::from_be_bytes(old.try_into().ok()?);
            text.push(&length.checked_add_signed(i32::try_from(growth).ok()?)?.to_be_bytes())
        }
    };
    done.is_ok().then_some(text)
}

/// By how many bytes one edit changes the size of the payload; 0 for a length field.
fn growth(edit: &Edit, expected: &Few<Expected, EXPECTED_MAX>) -> Option<isize> {
    match edit.write {
        Write::Length16 => return (edit.len == 2).then_some(0),
        Write::Length32 => return (edit.len == 4).then_some(0),
        _ => {}
    }
    let new = render(edit, &[], expected, 0)?.len;
    isize::try_from(new).ok()?.checked_sub(isize::try_from(edit.len).ok()?)
}

/// Appends to a buffer of the caller's.
struct Out<'o> {
    buf: &'o mut [u8],
    len: usize,
}

impl Out<'_> {
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.buf.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }
}

/// Writes the packet with its edits into `out`, whose size should be [`PACKET_MAX`]; the ports are those of
/// `expected`. `None` when it stays as it is, byte for byte.
///
/// # Errors
/// [`Refusal::CannotTranslate`] when the text would change its length in TCP over IPv6, for which the kernel
/// cannot adjust sequence numbers; when the packet would become too long; when an edit lies outside the
/// payload, or in another one.
pub fn rewrite<'o>(
    datagram: &Datagram,
    packet: &[u8],
    expected: &Few<Expected, EXPECTED_MAX>,
    edits: &Few<Edit, EDITS_MAX>,
    out: &'o mut [u8],
) -> Result<Option<&'o [u8]>, Refusal> {
    let packet = packet.get(..datagram.end).ok_or(Refusal::CannotTranslate)?;
    let len = text(datagram, packet, expected, edits, out).ok_or(Refusal::CannotTranslate)?;
    let new = out.get_mut(..len).ok_or(Refusal::CannotTranslate)?;
    if new == packet {
        return Ok(None);
    }
    let adjustable = datagram.ends.protocol != TCP || matches!(datagram.ends.src(), Addr::V4(_));
    if new.len() != packet.len() && !adjustable {
        return Err(Refusal::CannotTranslate);
    }
    finish(datagram, new).ok_or(Refusal::CannotTranslate)?;
    Ok(Some(new))
}

/// Copies the packet with other text; returns its length.
fn text(
    datagram: &Datagram,
    packet: &[u8],
    expected: &Few<Expected, EXPECTED_MAX>,
    edits: &Few<Edit, EDITS_MAX>,
    out: &mut [u8],
) -> Option<usize> {
    let total = edits.iter().try_fold(0_isize, |sum, e| sum.checked_add(growth(e, expected)?))?;
    let payload = packet.get(datagram.payload_at..)?;
    let mut out = Out { buf: out, len: 0 };
    out.push(packet.get(..datagram.payload_at)?)?;
    let mut done = 0_usize;
    for edit in edits.iter() {
        let end = edit.at.checked_add(edit.len)?;
        // `get` refuses an edit that begins before the end of the one before it.
        out.push(payload.get(done..edit.at)?)?;
        out.push(render(edit, payload.get(edit.at..end)?, expected, total)?.bytes())?;
        done = end;
    }
    out.push(payload.get(done..)?)?;
    (out.len <= PACKET_MAX).then_some(out.len)
}

fn put16(bytes: &mut [u8], at: usize, value: u16) -> Option<()> {
    let end = at.checked_add(2)?;
    bytes.get_mut(at..end)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

/// Lengths and checksums.
fn finish(datagram: &Datagram, packet: &mut [u8]) -> Option<()> {
    let (src, dst) = (datagram.ends.src(), datagram.ends.dst());
    let total = packet.len();
    match src {
        Addr::V4(_) => {
            put16(packet, V4_TOTAL, u16::try_from(total).ok()?)?;
            put16(packet, V4_CHECKSUM, 0)?;
            let sum = checksum::header(packet.get(..datagram.transport_at)?);
            put16(packet, V4_CHECKSUM, sum)?;
        }
        Addr::V6(_) => put16(packet, V6_LENGTH, u16::try_from(total.checked_sub(V6_HEADER)?).ok()?)?,
    }
    let segment = packet.get_mut(datagram.transport_at..)?;
    if datagram.ends.protocol == TCP {
        put16(segment, TCP_CHECKSUM, 0)?;
        let sum = checksum::transport(TCP, src, dst, segment);
        return put16(segment, TCP_CHECKSUM, sum);
    }
    let length = u16::try_from(segment.len()).ok()?;
    put16(segment, UDP_LENGTH, length)?;
    // Over IPv4 the sender may leave the checksum out; then it stays out.
    let end = UDP_CHECKSUM.checked_add(2)?;
    if matches!(src, Addr::V4(_)) && segment.get(UDP_CHECKSUM..end)? == [0, 0] {
        return Some(());
    }
    put16(segment, UDP_CHECKSUM, 0)?;
    // Zero means that there is none, so a sum of zero is written as its other form.
    let sum = match checksum::transport(datagram.ends.protocol, src, dst, segment) {
        0 => 0xffff,
        sum => sum,
    };
    put16(segment, UDP_CHECKSUM, sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::UDP;
    use crate::fixture::{CLIENT, PUBLIC, SERVER, ip_packet, sums_are_right};
    use proptest::prelude::*;
    use std::vec::Vec;
    use zct_wire::expected::Ends;

    const A6: Addr = Addr::V6([0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    const B6: Addr = Addr::V6([0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    const FAR6: Addr = Addr::V6([0xfd, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x56, 0x78]);

    fn expected(protocol: u8, dst: Addr, port: u16) -> Few<Expected, EXPECTED_MAX> {
        let mut few = Few::NONE;
        assert!(few.push(Expected::new(protocol, None, dst, port).unwrap()));
        few
    }

    fn edits(all: &[(usize, usize, Write)]) -> Few<Edit, EDITS_MAX> {
        let mut few = Few::NONE;
        for (at, len, write) in all {
            assert!(few.push(Edit { at: *at, len: *len, write: *write }));
        }
        few
    }

    /// The payload after the edits of a packet from `src` to `dst`, whose sums have been checked.
    fn change(
        ends: &Ends,
        payload: &[u8],
        to: (Addr, u16),
        all: &[(usize, usize, Write)],
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let packet = ip_packet(ends, 77, payload);
        assert!(sums_are_right(&packet));
        let datagram = Datagram::parse(&packet).unwrap();
        let mut out = vec![0xa5; PACKET_MAX];
        let new = rewrite(&datagram, &packet, &expected(ends.protocol, to.0, to.1), &edits(all), &mut out)?;
        Ok(new.map(|new| {
            assert!(sums_are_right(new), "{new:02x?}");
            let read = Datagram::parse(new).unwrap();
            assert_eq!((read.end, read.ends, read.transport), (new.len(), *ends, datagram.transport));
            read.payload(new).to_vec()
        }))
    }

    fn v4(protocol: u8) -> Ends {
        Ends::new(protocol, (CLIENT, 40_000), (SERVER, 21)).unwrap()
    }

    #[test]
    fn each_way_of_writing_has_its_text() {
        let ends = v4(UDP);
        let to = (PUBLIC, 1234);
        for (write, text) in [
            (Write::Address(0), &b"10.222.111.133"[..]),
            (Write::Port(0), b"1234"),
            (Write::ColonPort(0), b":1234"),
            (Write::HostPort(0), b"10,222,111,133,4,210"),
            (Write::Universal(0), b"\0\0\0\x1410.222.111.133.4.210"),
            (Write::Port16(0), b"\x04\xd2"),
            (Write::Port32(0), b"\0\0\x04\xd2"),
        ] {
            let want = [b"ab", text, b"e"].concat();
            assert_eq!(change(&ends, b"abcde", to, &[(2, 2, write)]), Ok(Some(want)), "{write:?}");
        }
        let v6 = Ends::new(UDP, (A6, 1), (B6, 2)).unwrap();
        let got = change(&v6, b"[]", (FAR6, 80), &[(1, 0, Write::Address(0))]).unwrap();
        assert_eq!(got.as_deref(), Some(&b"[fd00:1234::5678]"[..]));
    }

    /// A PORT command and a redirect of TNS behind NAT, with the bytes of transfers that completed.
    #[test]
    fn text_and_lengths_grow_together() {
        let port =
            change(&v4(TCP), b"PORT 10,1,0,2,152,135\r\n", (PUBLIC, 39_047), &[(5, 16, Write::HostPort(0))]);
        assert_eq!(port, Ok(Some(b"PORT 10,222,111,133,152,135\r\n".to_vec())));
        let tns = b"\x00\x44\x00\x00\x05\x00\x00\x00\x00\x3a(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=10.2.0.2)(PORT=40123))";
        let all = [
            (0, 2, Write::Length16),
            (8, 2, Write::Length16),
            (46, 8, Write::Address(0)),
            (61, 5, Write::Port(0)),
        ];
        let got = change(&v4(TCP), tns, (Addr::V4([10, 111, 111, 111]), 40_123), &all).unwrap().unwrap();
        assert_eq!((&got[..2], &got[8..10], got.len()), (&[0, 0x4a][..], &[0, 0x40][..], 0x4a));
        assert!(got.ends_with(b"(HOST=10.111.111.111)(PORT=40123))"));
    }

    #[test]
    fn what_stays_the_same_is_not_sent() {
        let all = [(5, 16, Write::HostPort(0))];
        assert_eq!(change(&v4(TCP), b"PORT 10,1,0,2,152,135\r\n", (CLIENT, 39_047), &all), Ok(None));
        assert_eq!(change(&v4(TCP), b"anything", (CLIENT, 1), &[]), Ok(None));
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let refused = Err(Refusal::CannotTranslate);
        let v6 = Ends::new(TCP, (A6, 1), (B6, 21)).unwrap();
        let eprt = b"EPRT |2|fd00:1::2|40000|\r\n";
        let address = [(8, 9, Write::Address(0))];
        assert_eq!(change(&v6, eprt, (FAR6, 1), &address), refused);
        let same = change(&v6, eprt, (B6, 1), &address).unwrap().unwrap();
        assert_eq!(same, b"EPRT |2|fd00:2::2|40000|\r\n");
        for (all, why) in [
            (&[(4, 9, Write::Port(0))][..], "beyond the end"),
            (&[(2, 2, Write::Port(0)), (3, 1, Write::Port(0))], "overlapping"),
            (&[(2, 2, Write::Port(1))], "no such expectation"),
            (&[(2, 3, Write::Length16)], "no length"),
            (&[(0, 2, Write::Length16), (2, 6, Write::Port(0))], "a length below zero"),
        ] {
            assert_eq!(change(&v4(UDP), b"\0\0cdefgh", (PUBLIC, 1), all), refused, "{why}");
        }
        let long = vec![b'x'; PACKET_MAX - 40];
        assert_eq!(change(&v4(TCP), &long, (PUBLIC, 1), &[(0, 0, Write::Port(0))]), refused);
    }

    #[test]
    fn a_sum_that_was_left_out_stays_out() {
        let mut packet = ip_packet(&v4(UDP), 0, b"port 1");
        packet[26..28].fill(0);
        let datagram = Datagram::parse(&packet).unwrap();
        let mut out = [0; 128];
        let all = edits(&[(5, 1, Write::Port(0))]);
        let new =
            rewrite(&datagram, &packet, &expected(UDP, PUBLIC, 50_000), &all, &mut out).unwrap().unwrap();
        assert_eq!((&new[26..28], &new[28..]), (&[0, 0][..], &b"port 50000"[..]));
    }

    proptest! {
        /// Lengths and checksums are right by the test's own computation, and what is around an edit stays.
        #[test]
        fn every_change_leaves_a_right_packet(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            at in 0..300_usize, len in 0..20_usize, port in 1..=u16::MAX,
            tcp in any::<bool>(), v6 in any::<bool>(), kind in 0..7_usize,
        ) {
            let protocol = if tcp { TCP } else { UDP };
            let (a, b, to) = if v6 { (A6, B6, FAR6) } else { (CLIENT, SERVER, PUBLIC) };
            let ends = Ends::new(protocol, (a, 5), (b, 6)).unwrap();
            let kinds = [
                Write::Address(0), Write::Port(0), Write::ColonPort(0), Write::HostPort(0), Write::Universal(0),
                Write::Port16(0), Write::Port32(0),
            ];
            let at = at.min(payload.len());
            let len = len.min(payload.len() - at);
            match change(&ends, &payload, (to, port), &[(at, len, kinds[kind])]) {
                Ok(Some(new)) => {
                    prop_assert!(new.starts_with(&payload[..at]) && new.ends_with(&payload[at + len..]));
                    prop_assert!(!(v6 && tcp) || new.len() == payload.len());
                }
                Ok(None) => {}
                Err(_) => prop_assert!(v6),
            }
        }

        /// Whatever the edits are, there is no panic and nothing half done.
        #[test]
        fn edits_of_all_kinds_end(
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            all in proptest::collection::vec((0..80_usize, 0..80_usize, 0..9_u8, 0..5_u8), 0..12),
        ) {
            let write = |kind, n| match kind {
                0 => Write::Address(n), 1 => Write::Port(n), 2 => Write::ColonPort(n), 3 => Write::HostPort(n),
                4 => Write::Universal(n), 5 => Write::Port16(n), 6 => Write::Port32(n), 7 => Write::Length16, _ => Write::Length32,
            };
            let all: Vec<_> = all.into_iter().map(|(at, len, kind, n)| (at, len, write(kind, n))).collect();
            _ = change(&v4(UDP), &payload, (PUBLIC, 7), &all);
        }
    }
}
