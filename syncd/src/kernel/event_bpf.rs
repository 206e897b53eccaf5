//! The part of the filter that the kernel can apply before an event takes room in the receive buffer
//! (`Filter From Kernelspace`).
//!
//! It drops only what `FlowFilter::judge` would never let pass. A message whose attributes are not where
//! kernels put them is kept, and so is one whose fate depends on the state. The original's program compares
//! the original destination instead of the reply source, and so judges translated flows differently from its
//! own userspace filter; this one does not.

use crate::config::settings::{Filter, Listed, Logic, Network, Ports, Protocol};
use zct_engine::BpfInsn;
use zct_engine::bpf::{Check, Load, Program, Verdict};
use zct_engine::event_layout::{self, EventLayout, LAYOUTS, PROTO_LENS};
use zct_wire::consts::af;

/// A block that drops every message.
fn nothing() -> Program {
    let mut p = Program::default();
    p.require_one(Vec::new(), Verdict::Drop);
    p
}

/// Drops what does not meet the criterion of protocols.
fn protocols(layout: &EventLayout, block: &mut Program, list: &Listed<Protocol>) {
    let check = |p: &Protocol| Check::equal(Load::Byte(layout.proto_at()), u32::from(p.number));
    match list.logic {
        Logic::Accept => {
            block.require_one(list.items.iter().map(|p| vec![check(p)]).collect(), Verdict::Drop);
        }
        Logic::Ignore => list.items.iter().for_each(|p| block.when(check(p), nothing())),
    }
}

/// Checks that the address at `at` is in a network; `None` when the network is of another family.
fn network(layout: &EventLayout, n: &Network, at: u32) -> Option<Vec<Check>> {
    let (family, bytes, prefix) = match *n {
        Network::V4(a, len) => (af::INET, a.octets().to_vec(), len),
        Network::V6(a, len) => (af::INET6, a.octets().to_vec(), len),
    };
    let ones = |i: usize| usize::from(prefix).saturating_sub(8 * i).min(8) as u32;
    let mask: Vec<u8> = (0..bytes.len()).map(|i| !u8::MAX.checked_shr(ones(i)).unwrap_or(0)).collect();
    (family == layout.family).then(|| event_layout::network(at, &bytes, &mask))
}

/// Drops what does not meet a criterion: `rows` are the checks of what is listed.
fn criterion(block: &mut Program, logic: Logic, rows: Vec<Vec<Check>>) {
    match logic {
        Logic::Accept => block.require_one(rows, Verdict::Drop),
        Logic::Ignore => block.forbid(rows, Verdict::Drop),
    }
}

/// Drops what does not meet the criterion of addresses, for one length of the protocol part.
fn networks(layout: &EventLayout, inner: &mut Program, proto_len: u16, list: &Listed<Network>) {
    let (_, shape, reply_src) = layout.reply_src(proto_len);
    for check in shape {
        inner.require(check, Verdict::Keep);
    }
    let places = [layout.src_at(), reply_src];
    let rows = list.items.iter().flat_map(|n| places.map(|at| network(layout, n, at))).flatten();
    criterion(inner, list.logic, rows.collect());
}

/// Drops what does not meet the criterion of ports. A flow without ports is left to the daemon.
fn ports(layout: &EventLayout, inner: &mut Program, list: &Listed<Ports>) {
    let (_, shape, places) = layout.ports();
    for check in shape {
        inner.require(check, Verdict::Keep);
    }
    let masks = list.items.iter().flat_map(|p| event_layout::port_masks(p.first, p.last));
    let check = |(value, mask): (u16, u16), at| {
        vec![Check { load: Load::Half(at), mask: u32::from(mask), value: u32::from(value) }]
    };
    let rows = masks.flat_map(|mask| places.map(|at| check(mask, at)));
    criterion(inner, list.logic, rows.collect());
}

/// Drops what does not meet the criteria of zones and of translations, which are told behind the tuples.
fn behind(layout: &EventLayout, inner: &mut Program, proto_len: u16, filter: &Filter) {
    if filter.zone.is_none() && filter.nat.is_none() {
        return;
    }
    let behind = layout.behind(proto_len);
    for check in &behind.shape {
        inner.require(*check, Verdict::Keep);
    }
    inner.require_one(behind.known().into(), Verdict::Keep);
    if let Some(list) = &filter.zone {
        criterion(inner, list.logic, list.items.iter().map(|zone| behind.zone(*zone)).collect());
    }
    if let Some(list) = &filter.nat {
        let rows = list.items.iter().flat_map(|t| behind.status(t.status()));
        criterion(inner, list.logic, rows.collect());
    }
}

/// The program for a filter; `None` when it would drop nothing, or would be too long. Marks, labels and
/// states have no fixed place in a message, or it does not tell of them: the daemon judges them.
pub fn program(filter: &Filter) -> Option<Vec<BpfInsn>> {
    let Filter { protocol, address, port, zone, nat, .. } = filter;
    if protocol.is_none() && address.is_none() && port.is_none() && zone.is_none() && nat.is_none() {
        return None;
    }
    let mut program = Program::default();
    for layout in &LAYOUTS {
        let mut block = Program::default();
        for check in layout.shape() {
            block.require(check, Verdict::Keep);
        }
        if let Some(list) = protocol {
            protocols(layout, &mut block, list);
        }
        for len in PROTO_LENS {
            let port = port.as_ref().filter(|_| len == PROTO_LENS[0]);
            if address.is_none() && port.is_none() && zone.is_none() && nat.is_none() {
                continue;
            }
            let mut inner = Program::default();
            if let Some(list) = address {
                networks(layout, &mut inner, len, list);
            }
            behind(layout, &mut inner, len, filter);
            if let Some(list) = port {
                ports(layout, &mut inner, list);
            }
            block.when(layout.behind(len).ends, inner);
        }
        program.when(event_layout::family(layout.family), block);
    }
    program.assemble()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::flow_filter::{FilterVerdict, FlowFilter, Subject};
    use crate::config::settings::Translation;
    use std::net::Ipv4Addr;
    use zct_engine::bpf::interpret;
    use zct_wire::build::{Builder, Head};
    use zct_wire::consts::cta;
    use zct_wire::flow::FlowView;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::tuple::{Addr, Tuple};

    /// A flow for an event: its protocol, the last bytes of its addresses, the port that it asks for, its
    /// zone, and the last byte of the address that its destination is translated to.
    #[derive(Clone, Copy, Debug)]
    struct Told(u8, [u8; 2], u16, Option<u16>, u8);

    /// The event as the kernel writes it.
    fn event(&Told(proto, [src, dst], port, zone, real): &Told) -> Vec<u8> {
        let addr = |a| Some(Addr::V4([10, 0, 0, a]));
        let rest = match proto {
            1 => Tuple { icmp_type: Some(8), icmp_code: Some(0), icmp_id: Some(9), ..Tuple::default() },
            _ => Tuple { src_port: Some(1), dst_port: Some(port), ..Tuple::default() },
        };
        let orig = Tuple { src: addr(src), dst: addr(dst), proto: Some(proto), ..rest };
        // The port is translated along with the address.
        let translated = real != dst;
        let mut reply = Tuple { src: addr(real), ..orig.inverse().unwrap() };
        if translated {
            reply.src_port = reply.src_port.map(|p| p + 8000);
        }
        let mut buf = [0; 512];
        let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(af::INET));
        orig.build(&mut b, cta::TUPLE_ORIG);
        reply.build(&mut b, cta::TUPLE_REPLY);
        if let Some(zone) = zone {
            b.put(cta::ZONE, &zone.to_be_bytes());
        }
        b.put_be32(cta::ID, 77).put_be32(cta::STATUS, if translated { 0x1a8 } else { 0x188 });
        b.finish().unwrap().to_vec()
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
        let range = |first, last| Ports { first, last };
        let ports = [
            None,
            listed(Accept, vec![range(53, 53), range(8000, 9000)]),
            listed(Ignore, vec![range(50, 442)]),
        ];
        let zones = [None, listed(Accept, vec![0, 7]), listed(Ignore, vec![0]), listed(Ignore, vec![7, 9])];
        let source = Translation::Source;
        let translations = [
            None,
            listed(Accept, vec![Translation::Destination, source]),
            listed(Ignore, vec![Translation::Destination]),
        ];
        let flows = [
            Told(6, [1, 2], 53, None, 2),
            Told(17, [1, 2], 443, Some(7), 200),
            Told(17, [200, 3], 60, Some(8), 3),
            Told(132, [2, 1], 8500, None, 1),
            Told(6, [9, 1], 442, Some(9), 3),
            Told(1, [1, 2], 0, Some(7), 9),
        ];
        let (mut dropped, mut left) = (0, 0);
        for at in 0..5 * 4 * 3 * 4 * 3 {
            let filter = Filter {
                address: networks[at % 5].clone(),
                protocol: protocols[at / 5 % 4].clone(),
                port: ports[at / 20 % 3].clone(),
                zone: zones[at / 60 % 4].clone(),
                nat: translations[at / 240].clone(),
                ..Filter::default()
            };
            let judge = FlowFilter::new(&filter);
            let Some(code) = program(&filter) else {
                assert!(judge.is_empty(), "{filter:?}");
                continue;
            };
            for told in &flows {
                let bytes = event(told);
                let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
                let subject = Subject::of(&FlowView::index(msg).unwrap()).unwrap().unwrap();
                let verdict = judge.judge(&subject);
                let kept = interpret(&code, &bytes) != Some(0);
                // Flows without ports are left to the daemon.
                if told.0 == 1 && verdict == FilterVerdict::Port {
                    left += u32::from(kept);
                } else {
                    assert_eq!(kept, verdict == FilterVerdict::Pass, "{filter:?} {told:?} {verdict:?}");
                }
                dropped += u32::from(!kept);
            }
        }
        assert!(dropped > 500 && left > 10, "{dropped} {left}");
    }

    #[test]
    fn other_layouts_are_kept() {
        let filter = Filter { protocol: protocols(Logic::Accept, &[]), ..Filter::default() };
        let code = program(&filter).unwrap();
        let mut bytes = event(&Told(6, [1, 2], 53, None, 2));
        assert_eq!(interpret(&code, &bytes), Some(0));
        bytes[26] ^= 2; // the kind of the address nest
        assert_ne!(interpret(&code, &bytes), Some(0));
    }
}
