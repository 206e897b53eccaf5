//! The part of a selection of events that the kernel can apply before an event takes room in our buffer.
//!
//! It drops only what [`Filter::matches`] would drop too: what has not the layout that kernels use is kept.
//! An event that is dropped here costs no buffer and no work; the kernel has built it all the same
//! (spec/ctnetlink.md §5.9).

use crate::filter::{Filter, Networks};
use zct_engine::BpfInsn;
use zct_engine::bpf::{Check, Load, Program, Verdict};
use zct_wire::attr::NLA_F_NESTED;
use zct_wire::consts::{af, cta, cta_ip, cta_proto, cta_tuple};

/// Where the family of an event is (`struct nfgenmsg`).
const FAMILY_AT: u32 = 16;
/// Where the original tuple starts; it comes first (§3.3).
const ORIG_AT: u32 = 20;
/// Networks of one list at most: a longer one is left to us.
const NETWORKS_MAX: usize = 8;

/// Where things are in the original tuple of one family, in bytes from the start of the message.
struct Layout {
    family: u8,
    /// Length of CTA_TUPLE_IP.
    ip_len: u16,
    /// Length of one address attribute.
    addr_len: u16,
    src: u16,
    dst: u16,
}

const LAYOUTS: [Layout; 2] = [
    Layout { family: af::INET, ip_len: 20, addr_len: 8, src: cta_ip::V4_SRC, dst: cta_ip::V4_DST },
    Layout { family: af::INET6, ip_len: 44, addr_len: 20, src: cta_ip::V6_SRC, dst: cta_ip::V6_DST },
];

/// An attribute header as it lies in memory.
fn header(len: u16, kind: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (len.to_ne_bytes(), kind.to_ne_bytes());
    [a, b, c, d]
}

/// The type of an attribute, two bytes into its header.
fn kind(at: u32, kind: u16) -> Check {
    Check::equal(Load::Half(at + 2), u32::from(u16::from_be_bytes(kind.to_ne_bytes())))
}

impl Layout {
    fn src_at(&self) -> u32 {
        ORIG_AT + 12
    }

    fn dst_at(&self) -> u32 {
        self.src_at() + u32::from(self.addr_len)
    }

    fn proto_at(&self) -> u32 {
        ORIG_AT + 4 + u32::from(self.ip_len) + 8
    }

    /// The checks that make the offsets true.
    fn shape(&self) -> Vec<Check> {
        let ip = ORIG_AT + 4;
        let proto = ip + u32::from(self.ip_len);
        vec![
            kind(ORIG_AT, cta::TUPLE_ORIG | NLA_F_NESTED),
            Check::bytes(ip, header(self.ip_len, cta_tuple::IP | NLA_F_NESTED)),
            Check::bytes(ip + 4, header(self.addr_len, self.src)),
            Check::bytes(ip + 4 + u32::from(self.addr_len), header(self.addr_len, self.dst)),
            kind(proto, cta_tuple::PROTO | NLA_F_NESTED),
            Check::bytes(proto + 4, header(5, cta_proto::NUM)),
        ]
    }

    /// The checks that an address at `at` is in one of the networks; `None` when there is nothing to check.
    fn networks(&self, list: &Networks, at: u32) -> Option<Vec<Vec<Check>>> {
        if list.is_empty() || list.len() > NETWORKS_MAX {
            return None;
        }
        let row = |n: &crate::filter::Network| {
            let words = n.addr.bytes().chunks_exact(4).zip(n.mask.bytes().chunks_exact(4));
            let word = |b: &[u8]| b.first_chunk().copied().map_or(0, u32::from_be_bytes);
            words
                .zip((at..).step_by(4))
                .map(|((a, m), at)| Check { load: Load::Word(at), mask: word(m), value: word(a) })
                .filter(|c| c.mask != 0)
                .collect()
        };
        // A network of another family matches nothing here, and rows must not be read with its length.
        let own = list.iter().filter(|n| n.addr.family() == self.family);
        Some(own.map(row).collect())
    }
}

/// The program for a selection; `None` when it would drop nothing, or would be too long.
pub fn program(filter: &Filter) -> Option<Vec<BpfInsn>> {
    let addresses = !filter.orig.src.is_empty() || !filter.orig.dst.is_empty();
    if filter.family.is_none() && filter.proto.is_none() && !addresses {
        return None;
    }
    let mut program = Program::default();
    if let Some(family) = filter.family {
        program.require(Check::equal(Load::Byte(FAMILY_AT), u32::from(family)), Verdict::Drop);
    }
    for layout in LAYOUTS.iter().filter(|l| filter.family.is_none_or(|f| f == l.family)) {
        let mut block = Program::default();
        for check in layout.shape() {
            block.require(check, Verdict::Keep);
        }
        if let Some(p) = filter.proto {
            block.require(Check::equal(Load::Byte(layout.proto_at()), u32::from(p)), Verdict::Drop);
        }
        for (list, at) in [(&filter.orig.src, layout.src_at()), (&filter.orig.dst, layout.dst_at())] {
            if let Some(rows) = layout.networks(list, at) {
                block.require_one(rows, Verdict::Drop);
            }
        }
        program.when(Check::equal(Load::Byte(FAMILY_AT), u32::from(layout.family)), block);
    }
    program.assemble()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Direction, Network};
    use crate::values::addr::prefix_mask;
    use zct_engine::bpf::interpret;
    use zct_wire::consts::ipproto;
    use zct_wire::flow::FlowView;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::request::{NewFlow, new_flow};
    use zct_wire::tuple::{Addr, Tuple};

    fn random(x: &mut u64) -> u64 {
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        *x
    }

    fn addr(x: &mut u64, v6: bool) -> Addr {
        let last = (random(x) % 4) as u8;
        if v6 {
            Addr::V6([0x20, 1, 0, 0, 0, 0, 0, last & 1, 0, 0, 0, 0, 0, 0, 0, last])
        } else {
            Addr::V4([10, 0, last & 1, last])
        }
    }

    fn networks(x: &mut u64, v6: bool) -> Networks {
        let count = random(x) % 3;
        let one = |x: &mut u64| {
            let addr = addr(x, v6);
            let whole = if v6 { 128 } else { 32 };
            let len = [whole, whole - 1, whole / 2, 0][random(x) as usize % 4];
            Network { mask: prefix_mask(&addr, len), addr }
        };
        (0..count).map(|_| one(x)).collect()
    }

    /// A flow as an event message, sometimes bent: attributes swapped, bytes changed.
    fn message(x: &mut u64) -> Vec<u8> {
        let v6 = random(x) & 1 == 0;
        let orig = Tuple {
            src: Some(addr(x, v6)),
            dst: Some(addr(x, v6)),
            proto: Some([ipproto::TCP, ipproto::UDP, 201][random(x) as usize % 3]),
            src_port: Some(1),
            dst_port: Some(2),
            ..Tuple::default()
        };
        let flow = NewFlow {
            family: if v6 { 10 } else { 2 },
            orig: Some(orig),
            reply: orig.inverse(),
            ..NewFlow::default()
        };
        let mut buf = [0; 1024];
        let mut bytes = new_flow(&mut buf, 0, 0, &flow).unwrap().to_vec();
        if random(x) & 3 == 0 {
            let at = 16 + random(x) as usize % (bytes.len() - 16);
            bytes[at] ^= 1 << (random(x) % 8);
        }
        bytes
    }

    #[test]
    fn nothing_is_dropped_that_the_filter_would_show() {
        let mut x = 0x1234_5678_9abc_def1u64;
        let (mut dropped, mut kept) = (0, 0);
        for _ in 0..300 {
            let v6 = random(&mut x) & 1 == 0;
            let (src, dst) = (networks(&mut x, v6), networks(&mut x, v6));
            let not = |x: &mut u64| Filter {
                orig: Direction { src: networks(x, v6), ..Direction::default() },
                proto: (random(x) & 1 == 0).then_some(ipproto::TCP),
                ..Filter::default()
            };
            let not = (0..random(&mut x) % 2).map(|_| not(&mut x)).collect();
            let fixed = !src.is_empty() || !dst.is_empty() || random(&mut x) & 1 == 0;
            let filter = Filter {
                family: fixed.then_some(if v6 { 10 } else { 2 }),
                proto: [None, Some(ipproto::TCP), Some(ipproto::UDP)][random(&mut x) as usize % 3],
                orig: Direction { src, dst, ..Direction::default() },
                not,
                ..Filter::default()
            };
            let Some(code) = program(&filter) else { continue };
            for _ in 0..100 {
                let bytes = message(&mut x);
                let keep = interpret(&code, &bytes).is_some_and(|n| n != 0);
                let frame = Frames::new(&bytes).next().unwrap().unwrap();
                let view = CtMsg::parse(frame).and_then(FlowView::index);
                let shown = view.and_then(|f| filter.matches(&f)).unwrap_or(false);
                assert!(keep || !shown, "{filter:?}\n{bytes:?}");
                dropped += u32::from(!keep);
                kept += u32::from(keep);
            }
        }
        assert!(dropped > 5000 && kept > 2000, "{dropped} dropped, {kept} kept");
    }

    #[test]
    fn a_selection_that_drops_nothing_has_no_program() {
        assert!(program(&Filter::default()).is_none());
        assert!(program(&Filter { states: [3].into_iter().collect(), ..Filter::default() }).is_none());
    }
}
