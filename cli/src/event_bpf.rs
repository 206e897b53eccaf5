//! The part of a selection of events that the kernel can apply before an event takes room in our buffer.
//!
//! It drops only what [`Filter::matches`] would drop too, and keeps every message whose layout is not the
//! one that kernels use. An event that is dropped here costs no buffer and no work of ours, although the
//! kernel still builds it (ctnetlink.md §5.9).

use crate::filter::{Filter, Networks};
use zct_engine::BpfInsn;
use zct_engine::bpf::{Check, Load, Program, Verdict};
use zct_engine::event_layout::{self, EventLayout, LAYOUTS};

/// The most networks per list: a longer list is left to us, and so is a set.
const NETWORKS_MAX: usize = 8;

/// True when the program checks for these networks. A set may have what no listed network has.
fn is_checked(list: &Networks) -> bool {
    !list.is_any() && list.set().is_none() && list.listed().len() <= NETWORKS_MAX
}

/// The checks that an address at `at` is in one of the networks; `None` when there is nothing to check.
fn networks(layout: &EventLayout, list: &Networks, at: u32) -> Option<Vec<Vec<Check>>> {
    if !is_checked(list) {
        return None;
    }
    // A network of the other family matches nothing here, and its addresses have another length.
    let own = list.listed().iter().filter(|n| n.addr.family() == layout.family);
    Some(own.map(|n| event_layout::network(at, n.addr.bytes(), n.mask.bytes())).collect())
}

/// The program for a selection; `None` when it would drop nothing, or would be too long.
pub fn program(filter: &Filter) -> Option<Vec<BpfInsn>> {
    let addresses = [&filter.orig.src, &filter.orig.dst].iter().any(|list| is_checked(list));
    if filter.family.is_none() && filter.proto.is_none() && !addresses {
        return None;
    }
    let mut program = Program::default();
    if let Some(family) = filter.family {
        program.require(event_layout::family(family), Verdict::Drop);
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
            if let Some(rows) = networks(layout, list, at) {
                block.require_one(rows, Verdict::Drop);
            }
        }
        program.when(event_layout::family(layout.family), block);
    }
    program.assemble()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address_set::AddressSet;
    use crate::filter::{Direction, Network};
    use crate::values::addr::prefix_mask;
    use std::sync::Arc;
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
        let listed: Networks = (0..count).map(|_| one(x)).collect();
        if random(x) & 3 != 0 {
            return listed;
        }
        let members = (0..random(x) % 3).map(|_| (addr(x, v6), if v6 { 127 } else { 31 }));
        listed.or_in(Arc::new(AddressSet::new(members.collect::<Vec<_>>())))
    }

    /// A flow as an event message, sometimes distorted: attributes swapped, bytes changed.
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
        let flow = NewFlow::default().with(|it| {
            it.family = if v6 { 10 } else { 2 };
            it.orig = Some(orig);
            it.reply = orig.inverse();
        });
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
            let fixed = !src.is_any() || !dst.is_any() || random(&mut x) & 1 == 0;
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
        let set = Arc::new(AddressSet::new([(Addr::V4([10, 0, 0, 1]), 32)]));
        let src = Networks::default().or_in(set);
        assert!(
            program(&Filter { orig: Direction { src, ..Direction::default() }, ..Filter::default() })
                .is_none()
        );
    }
}
