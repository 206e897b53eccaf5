//! Where things lie in the event messages of flows as kernels write them, for the BPF programs that look at
//! them ([`crate::bpf`]): a program knows offsets, not attributes.
//!
//! An offset is valid only where the checks before it hold. A message that fails them has to be kept,
//! because a newer kernel may lay it out differently (ctnetlink.md §3.3, §5.9).

use crate::bpf::{Check, Load};
use zct_wire::attr::NLA_F_NESTED;
use zct_wire::consts::{af, cta, cta_ip, cta_proto, cta_tuple};

/// Offset of the family (`struct nfgenmsg`).
const FAMILY_AT: u32 = 16;
/// Offset of the original tuple, which is the first attribute.
const ORIG_AT: u32 = 20;
/// Length of an attribute's header.
const HDR: u32 = 4;

/// Lengths of CTA_TUPLE_PROTO: number and two ports, and number, type, code and id of ICMP.
pub const PROTO_LENS: [u16; 2] = [28, 36];

/// The check that a message is of a family.
pub fn family(family: u8) -> Check {
    Check::equal(Load::Byte(FAMILY_AT), u32::from(family))
}

/// How the messages of one family are laid out.
#[derive(Debug)]
pub struct EventLayout {
    /// AF_INET or AF_INET6.
    pub family: u8,
    /// Length of CTA_TUPLE_IP.
    ip_len: u16,
    /// Length of one address attribute.
    addr_len: u16,
    /// Numbers of the address attributes.
    src: u16,
    dst: u16,
}

/// The layouts of both families.
pub const LAYOUTS: [EventLayout; 2] = [
    EventLayout { family: af::INET, ip_len: 20, addr_len: 8, src: cta_ip::V4_SRC, dst: cta_ip::V4_DST },
    EventLayout { family: af::INET6, ip_len: 44, addr_len: 20, src: cta_ip::V6_SRC, dst: cta_ip::V6_DST },
];

/// The check that the attribute at an offset has this length and type.
fn header(at: u32, len: u16, kind: u16) -> Check {
    let ([a, b], [c, d]) = (len.to_ne_bytes(), kind.to_ne_bytes());
    Check::bytes(at, [a, b, c, d])
}

/// The check of the type alone, which is two bytes into the header.
fn kind(at: u32, kind: u16) -> Check {
    Check::equal(Load::Half(at + 2), u32::from(u16::from_be_bytes(kind.to_ne_bytes())))
}

impl EventLayout {
    /// Offset of the source address in the original tuple.
    pub fn src_at(&self) -> u32 {
        ORIG_AT + 3 * HDR
    }

    /// Offset of the destination address in the original tuple.
    pub fn dst_at(&self) -> u32 {
        self.src_at() + u32::from(self.addr_len)
    }

    /// Offset of the layer 4 protocol's number.
    pub fn proto_at(&self) -> u32 {
        ORIG_AT + HDR + u32::from(self.ip_len) + 2 * HDR
    }

    /// The checks that make these offsets valid.
    pub fn shape(&self) -> Vec<Check> {
        let ip = ORIG_AT + HDR;
        let proto = ip + u32::from(self.ip_len);
        vec![
            kind(ORIG_AT, cta::TUPLE_ORIG | NLA_F_NESTED),
            header(ip, self.ip_len, cta_tuple::IP | NLA_F_NESTED),
            header(ip + HDR, self.addr_len, self.src),
            header(ip + HDR + u32::from(self.addr_len), self.addr_len, self.dst),
            kind(proto, cta_tuple::PROTO | NLA_F_NESTED),
            header(proto + HDR, 5, cta_proto::NUM),
        ]
    }

    /// The check that the original tuple ends with a CTA_TUPLE_PROTO of this length, and the offset of the
    /// reply tuple if it does.
    fn end_of_original(&self, proto_len: u16) -> (Check, u32) {
        let len = HDR as u16 + self.ip_len + proto_len;
        (header(ORIG_AT, len, cta::TUPLE_ORIG | NLA_F_NESTED), ORIG_AT + u32::from(len))
    }

    /// Where the ports of a flow are that has some: the check that the original tuple is long enough for them
    /// and no longer, the checks that make the offsets valid, and the offsets of the original direction's
    /// destination port and the reply direction's source port.
    pub fn ports(&self) -> (Check, Vec<Check>, [u32; 2]) {
        let behind = self.behind(PROTO_LENS[0]);
        let (_, reply) = self.end_of_original(PROTO_LENS[0]);
        // Behind the headers of the tuple, of its addresses and of its protocol: number, source, destination.
        let port = |tuple: u32, n: u32| tuple + HDR + u32::from(self.ip_len) + HDR + (1 + n) * 2 * HDR;
        let (dst, src) = (port(ORIG_AT, 1), port(reply, 0));
        let mut shape = behind.shape;
        shape.push(header(dst, 6, cta_proto::DST_PORT));
        shape.push(header(src, 6, cta_proto::SRC_PORT));
        (behind.ends, shape, [dst + HDR, src + HDR])
    }

    /// What follows the tuples, after an original tuple whose protocol part has this length.
    pub fn behind(&self, proto_len: u16) -> Behind {
        let (ends, reply) = self.end_of_original(proto_len);
        let len = HDR as u16 + self.ip_len + proto_len;
        let shape = vec![header(reply, len, cta::TUPLE_REPLY | NLA_F_NESTED)];
        Behind { ends, shape, at: reply + u32::from(len) }
    }

    /// The source address of the reply tuple, after an original tuple whose protocol part has this length.
    /// Returns the check for that length, the checks that make the offset valid, and the offset.
    pub fn reply_src(&self, proto_len: u16) -> (Check, Vec<Check>, u32) {
        let (ends, reply) = self.end_of_original(proto_len);
        let ip = reply + HDR;
        let shape = vec![
            header(ip, self.ip_len, cta_tuple::IP | NLA_F_NESTED),
            header(ip + HDR, self.addr_len, self.src),
        ];
        (ends, shape, ip + 2 * HDR)
    }
}

/// What follows the tuples of a message whose original tuple's protocol part has a known length.
#[derive(Debug)]
pub struct Behind {
    /// The check of that length.
    pub ends: Check,
    /// The checks that make the other offsets valid.
    pub shape: Vec<Check>,
    /// Offset of CTA_ZONE, or of CTA_ID where there is no zone.
    at: u32,
}

impl Behind {
    /// The rows of checks of which exactly one holds in a message of a flow: it has no zone, or it has one.
    pub fn known(&self) -> [Vec<Check>; 2] {
        [vec![header(self.at, 8, cta::ID)], vec![header(self.at, 6, cta::ZONE)]]
    }

    /// The checks that a flow is in this zone.
    pub fn zone(&self, zone: u16) -> Vec<Check> {
        let [none, mut some] = self.known();
        if zone == 0 {
            return none;
        }
        some.push(Check::equal(Load::Half(self.at + HDR), u32::from(zone)));
        some
    }

    /// The rows of checks of which one holds when a bit of the status is set. Each begins with its row of
    /// [`Behind::known`], and nothing is looked at that the message may be too short for.
    pub fn status(&self, bit: u32) -> [Vec<Check>; 2] {
        let (mut rows, mut id) = (self.known(), self.at);
        for row in &mut rows {
            // Behind the zone comes the id.
            if id != self.at {
                row.push(header(id, 8, cta::ID));
            }
            let status = id + 2 * HDR;
            row.push(header(status, 8, cta::STATUS));
            row.push(Check { load: Load::Word(status + HDR), mask: bit, value: bit });
            id += 2 * HDR;
        }
        rows
    }
}

/// The ports from `first` to `last` as values and masks, of which one fits each of them and none any other.
pub fn port_masks(first: u16, last: u16) -> Vec<(u16, u16)> {
    let (mut out, mut from, end) = (Vec::new(), u32::from(first), u32::from(last) + 1);
    while from < end {
        let mut size = 1u32 << from.trailing_zeros().min(16);
        while from + size > end {
            size /= 2;
        }
        out.push((from as u16, !(size - 1) as u16));
        from += size;
    }
    out
}

/// The checks that the address at an offset is in a network, which is given as the bytes of its address and
/// mask. A mask of zeros needs no check.
pub fn network(at: u32, addr: &[u8], mask: &[u8]) -> Vec<Check> {
    let word = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, u32::from_be_bytes);
    let words = addr.chunks_exact(4).zip(mask.chunks_exact(4)).zip((at..).step_by(4));
    words
        .map(|((addr, mask), at)| Check { load: Load::Word(at), mask: word(mask), value: word(addr) })
        .filter(|c| c.mask != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{Program, Verdict, interpret};
    use zct_wire::consts::ipproto;
    use zct_wire::request::{NewFlow, new_flow};
    use zct_wire::tuple::{Addr, Tuple};

    fn holds(message: &[u8], checks: &[Check]) -> bool {
        let mut p = Program::default();
        for check in checks {
            p.require(*check, Verdict::Drop);
        }
        interpret(&p.assemble().unwrap(), message).is_some_and(|n| n != 0)
    }

    #[test]
    fn masks_fit_the_ports_of_a_range_and_no_others() {
        for (first, last) in
            [(0, 65_535), (0, 0), (65_535, 65_535), (53, 53), (1000, 2000), (1, 65_534), (1024, 2047)]
        {
            let masks = port_masks(first, last);
            assert!(masks.len() <= 30, "{masks:?}");
            for port in 0..=u16::MAX {
                let fits = masks.iter().filter(|(value, mask)| port & mask == *value).count();
                assert_eq!(fits, usize::from((first..=last).contains(&port)), "{first}-{last}: {port}");
            }
        }
    }

    /// What follows the tuples, as kernels write it: a zone or none, the id, the status.
    #[test]
    fn zone_and_status_are_behind_the_tuples() {
        let v4 = |last| Some(Addr::V4([10, 1, 2, last]));
        let orig = Tuple {
            src: v4(3),
            dst: v4(4),
            proto: Some(ipproto::UDP),
            src_port: Some(1),
            dst_port: Some(2),
            ..Tuple::default()
        };
        for zone in [None, Some(7u16)] {
            let mut buf = [0; 512];
            let mut b = zct_wire::build::Builder::new(
                &mut buf,
                zct_wire::build::Head::new(0x100, 0).family(af::INET),
            );
            orig.build(&mut b, cta::TUPLE_ORIG);
            orig.inverse().unwrap().build(&mut b, cta::TUPLE_REPLY);
            if let Some(zone) = zone {
                b.put(cta::ZONE, &zone.to_be_bytes());
            }
            b.put_be32(cta::ID, 0x3333).put_be32(cta::STATUS, 0x18);
            let message = b.finish().unwrap();
            let behind = LAYOUTS[0].behind(PROTO_LENS[0]);
            assert!(holds(message, &behind.shape));
            for asked in [0, 7, 8] {
                assert_eq!(
                    holds(message, &behind.zone(asked)),
                    asked == zone.unwrap_or(0),
                    "{zone:?} {asked}"
                );
            }
            for bit in [0x08, 0x10, 0x20] {
                let rows = behind.status(bit).into_iter().filter(|row| holds(message, row)).count();
                assert_eq!(rows, usize::from(0x18 & bit != 0), "{zone:?} {bit}");
            }
        }
    }

    /// Every offset, on messages of both families and of protocols with both lengths.
    #[test]
    fn offsets_are_where_the_shape_says() {
        let v6 = |last| {
            let mut a = [0xfd; 16];
            a[15] = last;
            Addr::V6(a)
        };
        for (layout, other, [src, dst]) in [
            (&LAYOUTS[0], &LAYOUTS[1], [Addr::V4([10, 1, 2, 3]), Addr::V4([10, 1, 2, 4])]),
            (&LAYOUTS[1], &LAYOUTS[0], [v6(3), v6(4)]),
        ] {
            let ports = Tuple { src_port: Some(1), dst_port: Some(2), ..Tuple::default() };
            let ping = Tuple { icmp_type: Some(8), icmp_code: Some(0), icmp_id: Some(9), ..Tuple::default() };
            for (proto, rest, [len, wrong]) in
                [(ipproto::UDP, ports, PROTO_LENS), (ipproto::ICMP, ping, [PROTO_LENS[1], PROTO_LENS[0]])]
            {
                let orig = Tuple { src: Some(src), dst: Some(dst), proto: Some(proto), ..rest };
                let flow = NewFlow::default().with(|it| {
                    it.family = layout.family;
                    it.orig = Some(orig);
                    it.reply = orig.inverse();
                });
                let mut buf = [0; 1024];
                let message = new_flow(&mut buf, 0, 0, &flow).unwrap();
                assert!(holds(message, &[family(layout.family)]) && !holds(message, &[family(other.family)]));
                assert!(holds(message, &layout.shape()) && !holds(message, &other.shape()));
                assert!(holds(message, &[Check::equal(Load::Byte(layout.proto_at()), proto.into())]));
                let all_ones = vec![0xff; src.bytes().len()];
                let is = |at, addr: Addr| holds(message, &network(at, addr.bytes(), &all_ones));
                assert!(is(layout.src_at(), src) && is(layout.dst_at(), dst) && !is(layout.src_at(), dst));
                let (ends, shape, at) = layout.reply_src(len);
                assert!(holds(message, &[ends]) && holds(message, &shape) && is(at, dst));
                assert!(!holds(message, &[layout.reply_src(wrong).0]));
                let behind = layout.behind(len);
                assert!(holds(message, &[behind.ends]) && holds(message, &behind.shape));
                assert!(!holds(message, &[layout.behind(wrong).ends]));
                let (ends, shape, [asked, answers]) = layout.ports();
                let has_ports = holds(message, &[ends]) && holds(message, &shape);
                assert_eq!(has_ports, proto == ipproto::UDP);
                if has_ports {
                    let is = |at, port| holds(message, &[Check::equal(Load::Half(at), port)]);
                    assert!(is(asked, 2) && is(answers, 2) && !is(asked, 1));
                }
            }
        }
        assert!(network(0, &[1, 2, 3, 4], &[0; 4]).is_empty());
    }
}
