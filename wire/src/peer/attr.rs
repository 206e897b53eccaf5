//! Attributes of peer messages: the walk and the numbers (sync-protocol.md §3).
//!
//! Unlike netlink's, both header fields are big endian, and the walk ends when four bytes or fewer are left:
//! the original ignores an empty attribute at the very end of a message, and so do we.

use crate::attr::fixed;
use crate::error::WireError;
use zerocopy::byteorder::big_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Header of one attribute, big endian.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct PeerAttrHdr {
    /// Header and value in bytes, without the padding to four.
    pub(crate) len: big_endian::U16,
    /// Number; flows and expectations count separately.
    pub(crate) kind: big_endian::U16,
}

/// Size of an attribute header in bytes.
pub const PEER_ATTR_HDR: usize = size_of::<PeerAttrHdr>();

const _: () = assert!(PEER_ATTR_HDR == 4);

/// Attribute numbers of flows (sync-protocol.md §3.1).
pub mod ct {
    /// Source and destination, original direction.
    pub const IPV4: u16 = 0;
    /// Source and destination, original direction.
    pub const IPV6: u16 = 1;
    /// Layer 4 protocol number.
    pub const L4PROTO: u16 = 2;
    /// Source and destination port, original direction.
    pub const PORT: u16 = 3;
    /// TCP state, kernel numbers.
    pub const TCP_STATE: u16 = 4;
    /// IPS_* bits.
    pub const STATUS: u16 = 5;
    /// Seconds left when the sender's kernel reported the flow.
    pub const TIMEOUT: u16 = 6;
    /// The flow's mark.
    pub const MARK: u16 = 7;
    /// Addresses of the master's original direction.
    pub const MASTER_IPV4: u16 = 8;
    /// Addresses of the master's original direction.
    pub const MASTER_IPV6: u16 = 9;
    /// Layer 4 protocol number of the master.
    pub const MASTER_L4PROTO: u16 = 10;
    /// Ports of the master.
    pub const MASTER_PORT: u16 = 11;
    /// Translated source address.
    pub const SNAT_IPV4: u16 = 12;
    /// Translated destination address.
    pub const DNAT_IPV4: u16 = 13;
    /// Translated source port, host byte order (sync-protocol.md §3.2).
    pub const SPAT_PORT: u16 = 14;
    /// Translated destination port, host byte order (sync-protocol.md §3.2).
    pub const DPAT_PORT: u16 = 15;
    /// TCP sequence adjustment of both directions.
    pub const NAT_SEQ_ADJ: u16 = 16;
    /// SCTP state, kernel numbers.
    pub const SCTP_STATE: u16 = 17;
    /// Verification tag, original direction: the bytes of the kernel's attribute, unchanged
    /// (`tests/captures/peer/attributes.txt`, sync-protocol.md §3.2).
    pub const SCTP_VTAG_ORIG: u16 = 18;
    /// Verification tag, reply direction.
    pub const SCTP_VTAG_REPL: u16 = 19;
    /// DCCP state, kernel numbers.
    pub const DCCP_STATE: u16 = 20;
    /// 0 client, 1 server.
    pub const DCCP_ROLE: u16 = 21;
    /// ICMP or ICMPv6 type.
    pub const ICMP_TYPE: u16 = 22;
    /// ICMP or ICMPv6 code.
    pub const ICMP_CODE: u16 = 23;
    /// ICMP or ICMPv6 identifier, host byte order (sync-protocol.md §3.2).
    pub const ICMP_ID: u16 = 24;
    /// Window scale, original direction.
    pub const TCP_WSCALE_ORIG: u16 = 25;
    /// Window scale, reply direction.
    pub const TCP_WSCALE_REPL: u16 = 26;
    /// Helper name with its NUL.
    pub const HELPER_NAME: u16 = 27;
    /// Label words, big endian each.
    pub const LABELS: u16 = 28;
    /// Translated source address.
    pub const SNAT_IPV6: u16 = 29;
    /// Translated destination address.
    pub const DNAT_IPV6: u16 = 30;
    /// State of the SYN proxy: its, isn, tsoff.
    pub const SYNPROXY: u16 = 31;
    /// Zone of both directions.
    pub const ZONE: u16 = 32;
    /// The highest number; a message with a higher one is refused.
    pub const MAX: u16 = ZONE;
}

/// Attribute numbers of expectations (sync-protocol.md §3.3).
pub mod exp {
    /// Addresses of the master's original direction.
    pub const MASTER_IPV4: u16 = 0;
    /// Addresses of the master's original direction.
    pub const MASTER_IPV6: u16 = 1;
    /// Protocol of the master.
    pub const MASTER_L4PROTO: u16 = 2;
    /// Ports of the master.
    pub const MASTER_PORT: u16 = 3;
    /// Expected addresses.
    pub const EXPECT_IPV4: u16 = 4;
    /// Expected addresses.
    pub const EXPECT_IPV6: u16 = 5;
    /// Expected protocol.
    pub const EXPECT_L4PROTO: u16 = 6;
    /// Expected ports.
    pub const EXPECT_PORT: u16 = 7;
    /// Which address bits count.
    pub const MASK_IPV4: u16 = 8;
    /// Which address bits count.
    pub const MASK_IPV6: u16 = 9;
    /// Protocol of the mask.
    pub const MASK_L4PROTO: u16 = 10;
    /// Which port bits count.
    pub const MASK_PORT: u16 = 11;
    /// Seconds left.
    pub const TIMEOUT: u16 = 12;
    /// NF_CT_EXPECT_* bits.
    pub const FLAGS: u16 = 13;
    /// Policy class of the helper.
    pub const CLASS: u16 = 14;
    /// Addresses of the translation.
    pub const NAT_IPV4: u16 = 15;
    /// Ports of the translation.
    pub const NAT_PORT: u16 = 16;
    /// Protocol of the translation.
    pub const NAT_L4PROTO: u16 = 17;
    /// Direction of the translation.
    pub const NAT_DIR: u16 = 18;
    /// Helper name with its NUL.
    pub const HELPER_NAME: u16 = 19;
    /// Expectation function with its NUL.
    pub const FN: u16 = 20;
    /// The highest number; a message with a higher one is refused.
    pub const MAX: u16 = FN;
}

/// One attribute: its number and its value, borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAttr<'a> {
    /// Number, from [`ct`] or [`exp`] depending on the message.
    pub kind: u16,
    /// The value without header and padding.
    pub value: &'a [u8],
}

/// Walks the attributes of a message body; ends after the first error (sync-protocol.md §3.4).
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is read before it is walked"]
pub struct PeerAttrs<'a> {
    rest: &'a [u8],
}

impl<'a> PeerAttrs<'a> {
    /// Walks `body`, what follows the message header.
    #[inline]
    pub fn new(body: &'a [u8]) -> Self {
        PeerAttrs { rest: body }
    }
}

impl<'a> Iterator for PeerAttrs<'a> {
    type Item = Result<PeerAttr<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Taken first, so every early return leaves nothing behind: an error is also the end.
        let whole = core::mem::take(&mut self.rest);
        if whole.len() <= PEER_ATTR_HDR {
            return None;
        }
        let (hdr, _) = PeerAttrHdr::ref_from_prefix(whole).ok()?;
        let claimed = usize::from(hdr.len.get());
        // `get` refuses a claim shorter than the header as well as one past the end.
        let Some(value) = whole.get(PEER_ATTR_HDR..claimed) else {
            return Some(Err(WireError::BadLength { what: "peer attribute", claimed, room: whole.len() }));
        };
        // Every step consumes at least the header, so the walk ends; the last padding may be missing.
        self.rest = whole.get(claimed.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(PeerAttr { kind: hdr.kind.get(), value }))
    }
}

/// Reads a value of exactly `N` bytes: the receiver refuses any other size, longer ones too.
#[inline]
pub(crate) fn exact<const N: usize>(what: &'static str, value: &[u8]) -> Result<[u8; N], WireError> {
    if value.len() != N {
        return Err(WireError::BadValue { what, want: N, have: value.len() });
    }
    fixed(what, value)
}

/// Reads two values of `N` bytes that make up the whole attribute.
#[inline]
pub(crate) fn pair<const N: usize>(
    what: &'static str,
    value: &[u8],
) -> Result<([u8; N], [u8; N]), WireError> {
    match value.split_at_checked(N) {
        Some((a, b)) if b.len() == N => Ok((fixed(what, a)?, fixed(what, b)?)),
        _ => Err(WireError::BadValue { what, want: N.saturating_mul(2), have: value.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const TWO: &[u8] = &[
        0, 5, 0, 2, // L4PROTO, 5 bytes
        6, 0, 0, 0, // TCP and padding
        0, 8, 0, 3, // PORT, 8 bytes
        0x30, 0x39, 0, 80, // 12345 -> 80
    ];

    #[test]
    fn walks_by_the_padded_length() {
        let got: Vec<_> = PeerAttrs::new(TWO).map(Result::unwrap).collect();
        assert_eq!(got[0], PeerAttr { kind: ct::L4PROTO, value: &[6] });
        assert_eq!(got[1], PeerAttr { kind: ct::PORT, value: &[0x30, 0x39, 0, 80] });
        assert_eq!(got.len(), 2);
    }

    #[test]
    fn an_empty_attribute_at_the_end_is_not_read() {
        let mut v = TWO.to_vec();
        v.extend([0xff, 0xff, 0xff, 0xff]);
        assert_eq!(PeerAttrs::new(&v).filter(Result::is_ok).count(), 2);
        assert_eq!(PeerAttrs::new(&v).count(), 2);
    }

    #[test]
    fn truncations_and_lying_lengths_end_the_walk() {
        for n in 0..TWO.len() {
            assert!(PeerAttrs::new(&TWO[..n]).filter(Result::is_ok).count() <= 1, "{n}");
        }
        for claimed in [0u16, 1, 3, 17, 0xffff] {
            let mut v = TWO.to_vec();
            v[..2].copy_from_slice(&claimed.to_be_bytes());
            let got: Vec<_> = PeerAttrs::new(&v).collect();
            let claimed = claimed.into();
            assert_eq!(got, [Err(WireError::BadLength { what: "peer attribute", claimed, room: 16 })]);
        }
    }

    #[test]
    fn sizes_are_exact() {
        assert_eq!(exact::<4>("x", &[1, 2, 3, 4]), Ok([1, 2, 3, 4]));
        for bad in [&[1u8, 2, 3][..], &[1, 2, 3, 4, 5], &[]] {
            let have = bad.len();
            assert_eq!(exact::<4>("x", bad), Err(WireError::BadValue { what: "x", want: 4, have }));
        }
        assert_eq!(pair::<2>("x", &[1, 2, 3, 4]), Ok(([1, 2], [3, 4])));
        assert!(pair::<2>("x", &[1, 2, 3]).is_err() && pair::<2>("x", &[1, 2, 3, 4, 5]).is_err());
    }
}
