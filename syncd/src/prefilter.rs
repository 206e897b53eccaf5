//! The part of the filter that the kernel can apply before an event takes room in the receive buffer
//! (`Filter From Kernelspace`).
//!
//! It drops only what [`EventFilter::judge`] would never let pass: what has not the layout that kernels use is
//! kept, and so is what depends on the state. The original's program compares the original destination
//! instead of the reply source, and so judges translated flows differently from its own userspace filter; this
//! one does not.

use crate::filter::{EventFilter, Logic, Network};
use zct_engine::BpfInsn;
use zct_engine::bpf::{Check, Load, Program, Verdict};
use zct_wire::attr::NLA_F_NESTED;
use zct_wire::consts::{af, cta, cta_ip, cta_proto, cta_tuple};

/// Where the family of an event is (`struct nfgenmsg`).
const FAMILY_AT: u32 = 16;
/// Where the original tuple starts; it comes first (spec/ctnetlink.md §3.3).
const ORIG_AT: u32 = 20;
/// Lengths of CTA_TUPLE_PROTO: number and two ports, and number, type, code and id of ICMP.
const PROTO_LENS: [u16; 2] = [28, 36];

/// Where things are in the messages of one family.
struct Layout {
    family: u8,
    /// Length of CTA_TUPLE_IP.
    ip_len: u16,
    /// Length of one address attribute.
    addr_len: u16,
    /// Its number.
    src: u16,
}

const LAYOUTS: [Layout; 2] = [
    Layout { family: af::INET, ip_len: 20, addr_len: 8, src: cta_ip::V4_SRC },
    Layout { family: af::INET6, ip_len: 44, addr_len: 20, src: cta_ip::V6_SRC },
];

/// An attribute header as it lies in memory.
fn header(at: u32, len: u16, kind: u16) -> Check {
    let ([a, b], [c, d]) = (len.to_ne_bytes(), kind.to_ne_bytes());
    Check::bytes(at, [a, b, c, d])
}

/// A block that drops everything.
fn nothing() -> Program {
    let mut p = Program::default();
    p.require_one(Vec::new(), Verdict::Drop);
    p
}

impl Layout {
    fn proto_at(&self) -> u32 {
        ORIG_AT + 4 + u32::from(self.ip_len) + 8
    }

    /// Drops what does not pass the criterion of protocols.
    fn protocols(&self, block: &mut Program, logic: Logic, list: &[u8]) {
        let check = |p: &u8| Check::equal(Load::Byte(self.proto_at()), u32::from(*p));
        match logic {
            Logic::Accept => {
                block.require_one(list.iter().map(|p| vec![check(p)]).collect(), Verdict::Drop);
            }
            Logic::Ignore => list.iter().for_each(|p| block.when(check(p), nothing())),
        }
    }

    /// The checks that the address whose attribute starts at `at` is in a network.
    fn network(&self, n: &Network, at: u32) -> Vec<Check> {
        let word = |b: &[u8]| b.first_chunk().copied().map_or(0, u32::from_be_bytes);
        let mask = n.mask();
        let words = n.addr.bytes().chunks_exact(4).zip(mask.bytes().chunks_exact(4));
        words
            .zip((at + 4..).step_by(4))
            .map(|((a, m), at)| Check { load: Load::Word(at), mask: word(m), value: word(a) })
            .filter(|c| c.mask != 0)
            .collect()
    }

    /// Drops what does not pass the criterion of addresses, for one length of the protocol part.
    fn networks(&self, block: &mut Program, proto_len: u16, logic: Logic, list: &[Network]) {
        let orig_src = ORIG_AT + 8;
        let reply_at = ORIG_AT + 4 + u32::from(self.ip_len) + u32::from(proto_len);
        let reply_src = reply_at + 8;
        let mut inner = Program::default();
        inner.require(header(reply_at + 4, self.ip_len, cta_tuple::IP | NLA_F_NESTED), Verdict::Keep);
        inner.require(header(reply_src, self.addr_len, self.src), Verdict::Keep);
        let own = || list.iter().filter(|n| n.addr.family() == self.family);
        let rows = own().flat_map(|n| [self.network(n, orig_src), self.network(n, reply_src)]);
        match logic {
            Logic::Accept => inner.require_one(rows.collect(), Verdict::Drop),
            // What no row says is kept; what is left is dropped.
            Logic::Ignore => {
                inner.require_one(rows.collect(), Verdict::Keep);
                inner.require_one(Vec::new(), Verdict::Drop);
            }
        }
        let ends = header(ORIG_AT, 4 + self.ip_len + proto_len, cta::TUPLE_ORIG | NLA_F_NESTED);
        block.when(ends, inner);
    }
}

/// The program for a filter; `None` when it would drop nothing or would be too long.
pub fn program(filter: &EventFilter) -> Option<Vec<BpfInsn>> {
    if filter.protocols.is_none() && filter.networks.is_none() {
        return None;
    }
    let mut program = Program::default();
    for layout in &LAYOUTS {
        let mut block = Program::default();
        let ip = ORIG_AT + 4;
        block.require(header(ip, layout.ip_len, cta_tuple::IP | NLA_F_NESTED), Verdict::Keep);
        block.require(header(ip + 4, layout.addr_len, layout.src), Verdict::Keep);
        let proto = ip + u32::from(layout.ip_len) + 4;
        block.require(header(proto, 5, cta_proto::NUM), Verdict::Keep);
        if let Some((logic, list)) = &filter.protocols {
            layout.protocols(&mut block, *logic, list);
        }
        if let Some((logic, list)) = &filter.networks {
            for len in PROTO_LENS {
                layout.networks(&mut block, len, *logic, list);
            }
        }
        program.when(Check::equal(Load::Byte(FAMILY_AT), u32::from(layout.family)), block);
    }
    program.assemble()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Passes, tests::event};
    use zct_engine::bpf::interpret;
    use zct_wire::flow::FlowView;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::tuple::Addr;

    fn net(a: u8, prefix: u8) -> Network {
        Network::new(Addr::V4([10, 0, 0, a]), prefix).unwrap()
    }

    /// The program and the filter agree on every message of the usual layout, whatever the filter.
    #[test]
    fn judges_as_the_filter_does() {
        use Logic::{Accept, Ignore};
        let six = Network::new(Addr::V6([0xfd; 16]), 100).unwrap();
        let protocols =
            [None, Some((Accept, vec![6, 17])), Some((Ignore, vec![17, 1])), Some((Accept, vec![]))];
        let networks = [
            None,
            Some((Accept, vec![net(1, 32), net(128, 25)])),
            Some((Ignore, vec![net(2, 31), six])),
            Some((Ignore, vec![net(0, 0)])),
            Some((Accept, vec![six])),
        ];
        let mut dropped = 0;
        for p in &protocols {
            for n in &networks {
                let filter = EventFilter { protocols: p.clone(), networks: n.clone(), tcp_states: None };
                let Some(code) = program(&filter) else {
                    assert!(filter.is_empty());
                    continue;
                };
                for (proto, src, dst, real) in
                    [(6, 1, 2, 2), (17, 1, 2, 200), (17, 200, 3, 3), (132, 2, 1, 1), (6, 9, 1, 3)]
                {
                    let bytes = event(proto, src, dst, real, None);
                    let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
                    let passes = filter.judge(&FlowView::index(msg).unwrap()).unwrap() == Passes::Yes;
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
        let filter = EventFilter { protocols: Some((Logic::Accept, vec![])), ..EventFilter::default() };
        let code = program(&filter).unwrap();
        let mut bytes = event(6, 1, 2, 2, None);
        assert_eq!(interpret(&code, &bytes), Some(0));
        bytes[26] ^= 2; // the kind of the address nest
        assert_ne!(interpret(&code, &bytes), Some(0));
    }
}
