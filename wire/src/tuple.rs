//! Tuples: the addresses, protocol and ports of one direction (CTA_TUPLE_*, ctnetlink.md §3.2).

use crate::attr::{self, AttrHdr, Attrs, NLA_F_NESTED, hdr};
use crate::build::Builder;
use crate::consts::{cta_ip, cta_proto, cta_tuple, ipproto};
use crate::error::WireError;
use zerocopy::byteorder::big_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An IP address in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Addr {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

impl Addr {
    /// AF_INET or AF_INET6.
    pub fn family(&self) -> u8 {
        match self {
            Addr::V4(_) => crate::consts::af::INET,
            Addr::V6(_) => crate::consts::af::INET6,
        }
    }

    /// The 4 or 16 bytes of the address.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Addr::V4(b) => b,
            Addr::V6(b) => b,
        }
    }
}

/// A tuple with both of its addresses, of one family.
///
/// Functions that delete by a tuple take this type: the kernel takes a delete without addresses for a delete
/// of all entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressed {
    tuple: Tuple,
    family: u8,
}

impl Addressed {
    /// AF_INET or AF_INET6.
    pub fn family(&self) -> u8 {
        self.family
    }

    /// The tuple, whose addresses are both there.
    pub fn tuple(&self) -> &Tuple {
        &self.tuple
    }
}

impl TryFrom<&Tuple> for Addressed {
    type Error = WireError;

    fn try_from(tuple: &Tuple) -> Result<Addressed, WireError> {
        match (tuple.src, tuple.dst) {
            (Some(src), Some(dst)) if src.family() == dst.family() => {
                Ok(Addressed { tuple: *tuple, family: src.family() })
            }
            _ => Err(WireError::Missing { what: "CTA_TUPLE_IP" }),
        }
    }
}

/// One direction of a flow, or an expectation's tuple, mask or master. Every member may be absent.
///
/// Decoded values in host byte order; 70-odd bytes, copied, never allocated. ICMP and ICMPv6 share the
/// `icmp_*` members and are told apart by `proto`. GRE keys are in the port members, as the kernel has it.
///
/// The members are all that tell one flow from another, so this type may be taken apart and put together
/// member by member. If a kernel adds one, that is an incompatible version of this crate: each program then
/// has to say what the member does to its keys. Where only some members matter, `..Tuple::default()` and `..`
/// keep such a program as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Source address.
    pub src: Option<Addr>,
    /// Destination address.
    pub dst: Option<Addr>,
    /// Layer 4 protocol number.
    pub proto: Option<u8>,
    /// Source port, or GRE source key.
    pub src_port: Option<u16>,
    /// Destination port, or GRE destination key.
    pub dst_port: Option<u16>,
    /// ICMP or ICMPv6 identifier.
    pub icmp_id: Option<u16>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// Zone of this direction alone (CTA_TUPLE_ZONE).
    pub zone: Option<u16>,
}

/// CTA_TUPLE_PROTO with number and two ports, as every current kernel lays it out.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PortsLayout {
    nest: [u8; 4],
    num_hdr: [u8; 4],
    num: u8,
    pad0: [u8; 3],
    sport_hdr: [u8; 4],
    sport: big_endian::U16,
    pad1: [u8; 2],
    dport_hdr: [u8; 4],
    dport: big_endian::U16,
    pad2: [u8; 2],
}

/// The whole tuple nest of an IPv4 flow with ports.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct V4Layout {
    nest: [u8; 4],
    src_hdr: [u8; 4],
    src: [u8; 4],
    dst_hdr: [u8; 4],
    dst: [u8; 4],
    l4: PortsLayout,
}

/// The whole tuple nest of an IPv6 flow with ports.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct V6Layout {
    nest: [u8; 4],
    src_hdr: [u8; 4],
    src: [u8; 16],
    dst_hdr: [u8; 4],
    dst: [u8; 16],
    l4: PortsLayout,
}

const _: () = assert!(size_of::<V4Layout>() == 48);
const _: () = assert!(size_of::<V6Layout>() == 72);

impl PortsLayout {
    fn new<const N: usize>(t: &Usual<'_, N>) -> PortsLayout {
        PortsLayout {
            nest: const { hdr(28, cta_tuple::PROTO | NLA_F_NESTED) },
            num_hdr: const { hdr(5, cta_proto::NUM) },
            num: t.proto,
            pad0: [0; 3],
            sport_hdr: const { hdr(6, cta_proto::SRC_PORT) },
            sport: t.src_port.into(),
            pad1: [0; 2],
            dport_hdr: const { hdr(6, cta_proto::DST_PORT) },
            dport: t.dst_port.into(),
            pad2: [0; 2],
        }
    }

    #[inline]
    fn fits(&self) -> bool {
        self.nest == const { hdr(28, cta_tuple::PROTO | NLA_F_NESTED) }
            && self.num_hdr == const { hdr(5, cta_proto::NUM) }
            && self.sport_hdr == const { hdr(6, cta_proto::SRC_PORT) }
            && self.dport_hdr == const { hdr(6, cta_proto::DST_PORT) }
    }
}

/// A tuple nest by its shape: the two layouts that nearly all flows have, recognised by comparing header
/// words, so that a walk over nine attributes becomes a few compares; or whatever else was sent.
///
/// The usual shapes borrow their values and read them when asked. Renderers and filters that look at
/// every flow start from here; everything else is better off with [`Tuple`].
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// IPv4 addresses and two ports, nothing else.
    V4(Usual<'a, 4>),
    /// IPv6 addresses and two ports, nothing else.
    V6(Usual<'a, 16>),
    /// Anything else, decoded.
    Other(Tuple),
}

/// Addresses of `N` bytes, a protocol number and two ports.
#[derive(Clone, Copy, Debug)]
pub struct Usual<'a, const N: usize> {
    /// Source address.
    pub src: &'a [u8; N],
    /// Destination address.
    pub dst: &'a [u8; N],
    /// Layer 4 protocol number.
    pub proto: u8,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

impl<const N: usize> Usual<'_, N> {
    fn tuple(&self, src: Addr, dst: Addr) -> Tuple {
        Tuple {
            src: Some(src),
            dst: Some(dst),
            proto: Some(self.proto),
            src_port: Some(self.src_port),
            dst_port: Some(self.dst_port),
            ..Tuple::default()
        }
    }
}

impl<'a> Shape<'a> {
    /// Reads the value of a tuple nest.
    ///
    /// # Errors
    /// As [`Tuple::parse`].
    #[inline]
    pub fn parse(nest: &'a [u8]) -> Result<Shape<'a>, WireError> {
        match Shape::usual(nest) {
            Some(s) => Ok(s),
            None => Tuple::parse_any(nest).map(Shape::Other),
        }
    }

    #[inline]
    fn usual(nest: &'a [u8]) -> Option<Shape<'a>> {
        if let Ok(t) = V4Layout::ref_from_bytes(nest) {
            let ok = t.nest == const { hdr(20, cta_tuple::IP | NLA_F_NESTED) }
                && t.src_hdr == const { hdr(8, cta_ip::V4_SRC) }
                && t.dst_hdr == const { hdr(8, cta_ip::V4_DST) }
                && t.l4.fits();
            let (src_port, dst_port) = (t.l4.sport.get(), t.l4.dport.get());
            return ok.then_some(Shape::V4(Usual {
                src: &t.src,
                dst: &t.dst,
                proto: t.l4.num,
                src_port,
                dst_port,
            }));
        }
        let t = V6Layout::ref_from_bytes(nest).ok()?;
        let ok = t.nest == const { hdr(44, cta_tuple::IP | NLA_F_NESTED) }
            && t.src_hdr == const { hdr(20, cta_ip::V6_SRC) }
            && t.dst_hdr == const { hdr(20, cta_ip::V6_DST) }
            && t.l4.fits();
        let (src_port, dst_port) = (t.l4.sport.get(), t.l4.dport.get());
        ok.then_some(Shape::V6(Usual { src: &t.src, dst: &t.dst, proto: t.l4.num, src_port, dst_port }))
    }

    /// Layer 4 protocol number; 0 when none was sent.
    #[inline]
    pub fn proto(&self) -> u8 {
        match self {
            Shape::V4(t) => t.proto,
            Shape::V6(t) => t.proto,
            Shape::Other(t) => t.proto.unwrap_or(0),
        }
    }

    /// Appends the tuple as the nest `kind`: as [`Tuple::build`] does, and the usual shapes in one piece.
    pub fn build(&self, b: &mut Builder<'_>, kind: u16) {
        match self {
            Shape::V4(t) => {
                let layout = V4Layout {
                    nest: const { hdr(20, cta_tuple::IP | NLA_F_NESTED) },
                    src_hdr: const { hdr(8, cta_ip::V4_SRC) },
                    src: *t.src,
                    dst_hdr: const { hdr(8, cta_ip::V4_DST) },
                    dst: *t.dst,
                    l4: PortsLayout::new(t),
                };
                b.put(kind | NLA_F_NESTED, layout.as_bytes());
            }
            Shape::V6(t) => {
                let layout = V6Layout {
                    nest: const { hdr(44, cta_tuple::IP | NLA_F_NESTED) },
                    src_hdr: const { hdr(20, cta_ip::V6_SRC) },
                    src: *t.src,
                    dst_hdr: const { hdr(20, cta_ip::V6_DST) },
                    dst: *t.dst,
                    l4: PortsLayout::new(t),
                };
                b.put(kind | NLA_F_NESTED, layout.as_bytes());
            }
            Shape::Other(t) => t.build(b, kind),
        }
    }

    /// The same tuple with all its members decoded.
    #[inline]
    pub fn tuple(&self) -> Tuple {
        match self {
            Shape::V4(t) => t.tuple(Addr::V4(*t.src), Addr::V4(*t.dst)),
            Shape::V6(t) => t.tuple(Addr::V6(*t.src), Addr::V6(*t.dst)),
            Shape::Other(t) => *t,
        }
    }
}

impl Tuple {
    /// Reads the value of a tuple nest. Unknown members are skipped; of a longer one the first bytes count.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies, at any depth; [`WireError::BadValue`] for a member that is shorter than its type.
    pub fn parse(nest: &[u8]) -> Result<Tuple, WireError> {
        Shape::parse(nest).map(|s| s.tuple())
    }

    /// Reads any set of members in any order.
    fn parse_any(nest: &[u8]) -> Result<Tuple, WireError> {
        let mut t = Tuple::default();
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_tuple::IP => t.parse_ip(a.value)?,
                cta_tuple::PROTO => t.parse_proto(a.value)?,
                cta_tuple::ZONE => t.zone = Some(attr::be16("CTA_TUPLE_ZONE", a.value)?),
                _ => {}
            }
        }
        Ok(t)
    }

    fn parse_ip(&mut self, nest: &[u8]) -> Result<(), WireError> {
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_ip::V4_SRC => self.src = Some(Addr::V4(attr::fixed("CTA_IP_V4_SRC", a.value)?)),
                cta_ip::V4_DST => self.dst = Some(Addr::V4(attr::fixed("CTA_IP_V4_DST", a.value)?)),
                cta_ip::V6_SRC => self.src = Some(Addr::V6(attr::fixed("CTA_IP_V6_SRC", a.value)?)),
                cta_ip::V6_DST => self.dst = Some(Addr::V6(attr::fixed("CTA_IP_V6_DST", a.value)?)),
                _ => {}
            }
        }
        Ok(())
    }

    fn parse_proto(&mut self, nest: &[u8]) -> Result<(), WireError> {
        for a in Attrs::new(nest) {
            let a = a?;
            let v = a.value;
            match a.kind {
                cta_proto::NUM => self.proto = Some(attr::u8("CTA_PROTO_NUM", v)?),
                cta_proto::SRC_PORT => self.src_port = Some(attr::be16("CTA_PROTO_SRC_PORT", v)?),
                cta_proto::DST_PORT => self.dst_port = Some(attr::be16("CTA_PROTO_DST_PORT", v)?),
                cta_proto::ICMP_ID => self.icmp_id = Some(attr::be16("CTA_PROTO_ICMP_ID", v)?),
                cta_proto::ICMP_TYPE => self.icmp_type = Some(attr::u8("CTA_PROTO_ICMP_TYPE", v)?),
                cta_proto::ICMP_CODE => self.icmp_code = Some(attr::u8("CTA_PROTO_ICMP_CODE", v)?),
                cta_proto::ICMPV6_ID => self.icmp_id = Some(attr::be16("CTA_PROTO_ICMPV6_ID", v)?),
                cta_proto::ICMPV6_TYPE => self.icmp_type = Some(attr::u8("CTA_PROTO_ICMPV6_TYPE", v)?),
                cta_proto::ICMPV6_CODE => self.icmp_code = Some(attr::u8("CTA_PROTO_ICMPV6_CODE", v)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// Appends the tuple as the nest `kind`, with those members that are there.
    pub fn build(&self, b: &mut Builder<'_>, kind: u16) {
        // By name and without `..`, so that a member cannot be left out unnoticed.
        let Tuple { src, dst, proto, src_port, dst_port, icmp_id, icmp_type, icmp_code, zone } = *self;
        b.nest(kind, |b| {
            if src.is_some() || dst.is_some() {
                b.nest(cta_tuple::IP, |b| {
                    for (addr, v4, v6) in
                        [(src, cta_ip::V4_SRC, cta_ip::V6_SRC), (dst, cta_ip::V4_DST, cta_ip::V6_DST)]
                    {
                        match addr {
                            Some(Addr::V4(a)) => _ = b.put(v4, &a),
                            Some(Addr::V6(a)) => _ = b.put(v6, &a),
                            None => {}
                        }
                    }
                });
            }
            if let Some(num) = proto {
                b.nest(cta_tuple::PROTO, |b| {
                    b.put_u8(cta_proto::NUM, num);
                    if let Some(p) = src_port {
                        b.put_be16(cta_proto::SRC_PORT, p);
                    }
                    if let Some(p) = dst_port {
                        b.put_be16(cta_proto::DST_PORT, p);
                    }
                    let (id, ty, code) = if num == ipproto::ICMPV6 {
                        (cta_proto::ICMPV6_ID, cta_proto::ICMPV6_TYPE, cta_proto::ICMPV6_CODE)
                    } else {
                        (cta_proto::ICMP_ID, cta_proto::ICMP_TYPE, cta_proto::ICMP_CODE)
                    };
                    if let Some(v) = icmp_id {
                        b.put_be16(id, v);
                    }
                    if let Some(v) = icmp_type {
                        b.put_u8(ty, v);
                    }
                    if let Some(v) = icmp_code {
                        b.put_u8(code, v);
                    }
                });
            }
            if let Some(zone) = zone {
                b.put_be16(cta_tuple::ZONE, zone);
            }
        });
    }

    /// The plain inverse: what the other direction looks like without address translation.
    ///
    /// Ports and addresses swap places; an ICMP type becomes its answer (command-line.md §2.2). `None` for
    /// an ICMP type that has no answer: conntrack does not track it, and the kernel refuses such a flow.
    /// The zone stays out: it belongs to one direction.
    #[must_use]
    pub fn inverse(&self) -> Option<Tuple> {
        let icmp_type = match (self.proto, self.icmp_type) {
            (Some(ipproto::ICMP), Some(t)) => Some(match t {
                0 => 8,
                8 => 0,
                13 => 14,
                14 => 13,
                15 => 16,
                16 => 15,
                17 => 18,
                18 => 17,
                _ => return None,
            }),
            (Some(ipproto::ICMPV6), Some(t)) => Some(match t {
                128 => 129,
                129 => 128,
                139 => 140,
                140 => 139,
                _ => return None,
            }),
            (_, t) => t,
        };
        Some(Tuple {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            icmp_type,
            zone: None,
            ..*self
        })
    }
}

// The fast path above compares headers written as four bytes; they must be what AttrHdr reads.
const _: () = assert!(size_of::<AttrHdr>() == 4);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Head;
    use crate::header::{CtMsg, Frames};
    use std::vec::Vec;

    fn round(t: &Tuple) -> (Tuple, Vec<u8>) {
        let mut buf = [0xa5; 256];
        let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
        t.build(&mut b, 1);
        let bytes = b.finish().unwrap();
        let m = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
        let nest = m.attrs().next().unwrap().unwrap().value;
        (Tuple::parse(nest).unwrap(), nest.to_vec())
    }

    fn v4() -> Tuple {
        Tuple {
            src: Some(Addr::V4([10, 0, 0, 1])),
            dst: Some(Addr::V4([192, 0, 2, 7])),
            proto: Some(ipproto::TCP),
            src_port: Some(1000),
            dst_port: Some(443),
            ..Tuple::default()
        }
    }

    fn samples() -> Vec<Tuple> {
        let v6 = Tuple {
            src: Some(Addr::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])),
            dst: Some(Addr::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])),
            ..v4()
        };
        let icmp = Tuple {
            proto: Some(ipproto::ICMP),
            src_port: None,
            dst_port: None,
            icmp_id: Some(77),
            icmp_type: Some(8),
            icmp_code: Some(0),
            ..v4()
        };
        let icmp6 = Tuple { proto: Some(ipproto::ICMPV6), icmp_type: Some(128), ..icmp };
        let bare = Tuple { proto: Some(201), src_port: None, dst_port: None, ..v4() };
        let zoned = Tuple { zone: Some(9), ..v4() };
        let only_proto = Tuple { proto: Some(6), ..Tuple::default() };
        std::vec![v4(), v6, icmp, icmp6, bare, zoned, only_proto, Tuple::default()]
    }

    #[test]
    fn built_tuples_read_back_and_both_readers_agree() {
        for t in samples() {
            let (back, nest) = round(&t);
            assert_eq!(back, t);
            assert_eq!(Tuple::parse_any(&nest), Ok(t));
            if t.zone.is_none() && t.icmp_id.is_none() && t.src_port.is_some() {
                let fast = Shape::usual(&nest).map(|s| s.tuple());
                assert_eq!(fast, Some(t), "the fast path should know this layout");
            }
            let mut buf = [0xa5; 256];
            let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
            Shape::parse(&nest).unwrap().build(&mut b, 1);
            let bytes = b.finish().unwrap();
            let m = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
            assert_eq!(m.attrs().next().unwrap().unwrap().value, nest, "both build the same");
        }
    }

    #[test]
    fn truncations_are_errors_or_less_never_invented_values() {
        for t in samples() {
            let (_, nest) = round(&t);
            for n in 0..nest.len() {
                if let Ok(p) = Tuple::parse(&nest[..n]) {
                    assert!(p.src.is_none() || p.src == t.src);
                    assert!(p.dst_port.is_none() || p.dst_port == t.dst_port);
                }
            }
        }
    }

    #[test]
    fn one_changed_byte_never_makes_the_fast_path_disagree() {
        for t in samples() {
            let (_, nest) = round(&t);
            for at in 0..nest.len() {
                for flip in [1u8, 0x80, 0xff] {
                    let mut n = nest.clone();
                    n[at] ^= flip;
                    if let Some(fast) = Shape::usual(&n) {
                        assert_eq!(Tuple::parse_any(&n), Ok(fast.tuple()), "byte {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn inverse_twice_is_the_same() {
        for t in samples() {
            assert_eq!(t.inverse().unwrap().inverse(), Some(Tuple { zone: None, ..t }));
        }
        let odd = Tuple { proto: Some(ipproto::ICMP), icmp_type: Some(3), ..Tuple::default() };
        assert_eq!(odd.inverse(), None);
    }
}
