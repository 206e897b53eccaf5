//! The part of the filter that the kernel can apply before an event takes room in the receive buffer
//! (`Filter From Kernelspace`).
//!
//! It drops only what `FlowFilter::judge` would never let pass. A message whose attributes are not where
//! kernels put them is kept, and so is one whose fate depends on the state. The original's program compares
//! the original destination instead of the reply source, and so judges translated flows differently from its
//! own userspace filter; this one does not.

use crate::config::settings::{Filter, Listed, Logic, Network, Protocol};
use zct_engine::BpfInsn;
use zct_engine::bpf::{Check, Load, Program, Verdict};
use zct_engine::event_layout::{self, LAYOUTS, Layout, PROTO_LENS};
use zct_wire::consts::af;

/// A block that drops every message.
fn nothing() -> Program {
    let mut p = Program::default();
    p.require_one(Vec::new(), Verdict::Drop);
    p
}

/// Drops what does not meet the criterion of protocols.
fn protocols(layout: &Layout, block: &mut Program, list: &Listed<Protocol>) {
    let check = |p: &Protocol| Check::equal(Load::Byte(layout.proto_at()), u32::from(p.number));
    match list.logic {
        Logic::Accept => {
            block.require_one(list.items.iter().map(|p| vec![check(p)]).collect(), Verdict::Drop);
        }
        Logic::Ignore => list.items.iter().for_each(|p| block.when(check(p), nothing())),
    }
}

/// Checks that the address at `at` is in a network; `None` when the network is of another family.
fn network(layout: &Layout, n: &Network, at: u32) -> Option<Vec<Check>> {
    let (family, bytes, prefix) = match *n {
        Network::V4(a, len) => (af::INET, a.octets().to_vec(), len),
        Network::V6(a, len) => (af::INET6, a.octets().to_vec(), len),
    };
    let ones = |i: usize| usize::from(prefix).saturating_sub(8 * i).min(8) as u32;
    let mask: Vec<u8> = (0..bytes.len()).map(|i| !u8::MAX.checked_shr(ones(i)).unwrap_or(0)).collect();
    (family == layout.family).then(|| event_layout::network(at, &bytes, &mask))
}

/// Drops what does not meet the criterion of addresses, for one length of the protocol part.
fn networks(layout: &Layout, block: &mut Program, proto_len: u16, list: &Listed<Network>) {
    let (ends, shape, reply_src) = layout.reply_src(proto_len);
    let mut inner = Program::default();
    for check in shape {
        inner.require(check, Verdict::Keep);
    }
    let places = [layout.src_at(), reply_src];
    let rows = list.items.iter().flat_map(|n| places.map(|at| network(layout, n, at))).flatten();
    match list.logic {
        Logic::Accept => inner.require_one(rows.collect(), Verdict::Drop),
        // What no row of checks matches is kept, and the rest is dropped.
        Logic::Ignore => {
            inner.require_one(rows.collect(), Verdict::Keep);
            inner.require_one(Vec::new(), Verdict::Drop);
        }
    }
    block.when(ends, inner);
}

/// The program for a filter; `None` when it would drop nothing, or would be too long.
pub fn program(filter: &Filter) -> Option<Vec<BpfInsn>> {
    if filter.protocol.is_none() && filter.address.is_none() {
        return None;
    }
    let mut program = Program::default();
    for layout in &LAYOUTS {
        let mut block = Program::default();
        for check in layout.shape() {
            block.require(check, Verdict::Keep);
        }
        if let Some(list) = &filter.protocol {
            protocols(layout, &mut block, list);
        }
        if let Some(list) = &filter.address {
            for len in PROTO_LENS {
                networks(layout, &mut block, len, list);
            }
        }
        program.when(event_layout::family(layout.family), block);
    }
    program.assemble()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::flow_filter::{FilterVerdict, FlowFilter, Subject};
    use std::net::Ipv4Addr;
    use zct_engine::bpf::interpret;
    use zct_wire::flow::FlowView;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::request::{NewFlow, new_flow};
    use zct_wire::tuple::{Addr, Tuple};

    /// An event about a flow, given by the last bytes of its addresses; its destination is
    /// translated to `real`.
    fn event(proto: u8, src: u8, dst: u8, real: u8) -> Vec<u8> {
        let addr = |a| Some(Addr::V4([10, 0, 0, a]));
        let orig = Tuple {
            src: addr(src),
            dst: addr(dst),
            proto: Some(proto),
            src_port: Some(1),
            dst_port: Some(2),
            ..Tuple::default()
        };
        let reply = Tuple { src: addr(real), ..orig.inverse().unwrap() };
        let flow = NewFlow { family: 2, orig: Some(orig), reply: Some(reply), ..NewFlow::default() };
        let mut buf = [0; 2048];
        new_flow(&mut buf, 0, 0, &flow).unwrap().to_vec()
    }

    fn listed<T>(logic: Logic, items: Vec<T>) -> Option<Listed<T>> {
        Some(Listed { logic, items })
    }

    fn protocols(logic: Logic, numbers: &[u8]) -> Option<Listed<Protocol>> {
        listed(logic, numbers.iter().map(|n| Protocol { name: n.to_string(), number: *n }).collect())
    }

    /// The program and the filter agree on every message with the usual layout, whatever the filter.
    #[test]
    fn judges_as_the_filter_does() {
        use Logic::{Accept, Ignore};
        let net = |a, len| Network::V4(Ipv4Addr::new(10, 0, 0, a), len);
        let six = Network::V6("fdfd::1".parse().unwrap(), 100);
        let protocols =
            [None, protocols(Accept, &[6, 17]), protocols(Ignore, &[17, 1]), protocols(Accept, &[])];
        let networks = [
            None,
            listed(Accept, vec![net(1, 32), net(128, 25)]),
            listed(Ignore, vec![net(2, 31), six]),
            listed(Ignore, vec![net(0, 0)]),
            listed(Accept, vec![six]),
        ];
        let mut dropped = 0;
        for p in &protocols {
            for n in &networks {
                let filter = Filter { protocol: p.clone(), address: n.clone(), ..Filter::default() };
                let judge = FlowFilter::new(&filter);
                let Some(code) = program(&filter) else {
                    assert!(judge.is_empty());
                    continue;
                };
                for (proto, src, dst, real) in
                    [(6, 1, 2, 2), (17, 1, 2, 200), (17, 200, 3, 3), (132, 2, 1, 1), (6, 9, 1, 3)]
                {
                    let bytes = event(proto, src, dst, real);
                    let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
                    let subject = Subject::of(&FlowView::index(msg).unwrap()).unwrap().unwrap();
                    let passes = judge.judge(&subject) == FilterVerdict::Pass;
                    let kept = interpret(&code, &bytes) != Some(0);
                    assert_eq!(kept, passes, "{filter:?} {proto} {src} {dst} {real}");
                    dropped += u32::from(!kept);
                }
            }
        }
        assert!(dropped > 20);
    }

    #[test]
    fn other_layouts_are_kept() {
        let filter = Filter { protocol: protocols(Logic::Accept, &[]), ..Filter::default() };
        let code = program(&filter).unwrap();
        let mut bytes = event(6, 1, 2, 2);
        assert_eq!(interpret(&code, &bytes), Some(0));
        bytes[26] ^= 2; // the kind of the address nest
        assert_ne!(interpret(&code, &bytes), Some(0));
    }
}
