//! The Internet checksum (RFC 1071) of packets that have been changed.

use zct_wire::tuple::Addr;

/// Adds the 16-bit words of `bytes`; a last odd byte counts as if a zero followed.
fn add(sum: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(2).fold(sum, |sum, pair| {
        let high = u64::from(pair.first().copied().unwrap_or(0));
        let low = u64::from(pair.get(1).copied().unwrap_or(0));
        sum.wrapping_add(high << 8).wrapping_add(low)
    })
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// The checksum of an IPv4 header in which the field for it is zero.
pub(crate) fn header(bytes: &[u8]) -> u16 {
    fold(add(0, bytes))
}

/// The checksum of a TCP segment or UDP datagram in which the field for it is zero, with the pseudo header of
/// its family.
pub(crate) fn transport(protocol: u8, src: Addr, dst: Addr, segment: &[u8]) -> u16 {
    let len = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let sum = add(add(add(0, src.bytes()), dst.bytes()), &len.to_be_bytes());
    fold(add(sum.wrapping_add(u64::from(protocol)), segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of a TFTP request as it was queued.
    #[test]
    fn a_captured_packet_has_the_same_sums() {
        #[rustfmt::skip]
        let mut packet = [
            0x45, 0, 0, 0x29, 0xec, 0, 0x40, 0, 0x3f, 0x11, 0x3b, 0xbd, 0x0a, 1, 0, 2, 0x0a, 2, 0, 2, 0x0f, 0xa0,
            0, 0x45, 0, 0x15, 0x3f, 0xb1, 0, 1, 0x66, 0x69, 0x6c, 0x65, 0, 0x6f, 0x63, 0x74, 0x65, 0x74, 0_u8,
        ];
        // A sum over the field itself is zero.
        assert_eq!(header(&packet[..20]), 0);
        packet[10..12].fill(0);
        assert_eq!(header(&packet[..20]), 0x3bbd);
        let (a, b) = (Addr::V4([10, 1, 0, 2]), Addr::V4([10, 2, 0, 2]));
        packet[26..28].fill(0);
        assert_eq!(transport(17, a, b, &packet[20..]), 0x3fb1);
    }
}
