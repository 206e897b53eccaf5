//! Many selections at once: one pass over the table for a run of `-D` lines.
//!
//! Selections are grouped by the members they name (their shape), and looked up by a hash of those members:
//! a flow costs one lookup per shape, however many lines there are. Whatever is found is checked with the
//! whole filter.

use crate::filter::Filter;
use std::collections::HashMap;
use zct_wire::WireError;
use zct_wire::flow::FlowView;
use zct_wire::tuple::{Addr, Tuple};

/// The members that are looked up, with addresses cut to their masks and stored in 16 bytes. Absent ones are
/// zero, which is harmless because selections with other members have another shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct LookupKey {
    family: u8,
    proto: u8,
    orig: [[u8; 16]; 2],
    reply: [[u8; 16]; 2],
    ports: [u16; 4],
}

/// Which members a key has; for addresses, with which mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Shape {
    family: bool,
    proto: bool,
    orig: [Option<Addr>; 2],
    reply: [Option<Addr>; 2],
    ports: [bool; 4],
}

impl Shape {
    fn of(f: &Filter) -> Shape {
        Shape {
            family: f.family.is_some(),
            proto: f.proto.is_some(),
            orig: [&f.orig.src, &f.orig.dst].map(|n| n.only().map(|n| n.mask)),
            reply: [&f.reply.src, &f.reply.dst].map(|n| n.only().map(|n| n.mask)),
            ports: ports(f).map(|p| p.is_some()),
        }
    }

    /// The key of a selection of this shape.
    fn key_of_filter(&self, f: &Filter) -> LookupKey {
        let orig = [&f.orig.src, &f.orig.dst].map(|n| n.only().map(|n| n.addr));
        let reply = [&f.reply.src, &f.reply.dst].map(|n| n.only().map(|n| n.addr));
        // A shape names exactly the members that its filter has, so the key lacks none.
        self.key(f.family, f.proto, orig, reply, ports(f)).unwrap_or_default()
    }

    /// The key of a flow; `None` when it lacks a member, and so cannot match.
    fn key_of_flow(&self, family: u8, orig: &Tuple, reply: &Tuple) -> Option<LookupKey> {
        let ports = [orig.src_port, orig.dst_port, reply.src_port, reply.dst_port];
        self.key(Some(family), orig.proto, [orig.src, orig.dst], [reply.src, reply.dst], ports)
    }

    fn key(
        &self,
        family: Option<u8>,
        proto: Option<u8>,
        orig: [Option<Addr>; 2],
        reply: [Option<Addr>; 2],
        ports: [Option<u16>; 4],
    ) -> Option<LookupKey> {
        let mut key = LookupKey::default();
        if self.family {
            key.family = family?;
        }
        if self.proto {
            key.proto = proto?;
        }
        for (to, (addr, mask)) in key.orig.iter_mut().zip(orig.into_iter().zip(self.orig)) {
            if let Some(mask) = mask {
                *to = masked(&addr?, &mask)?;
            }
        }
        for (to, (addr, mask)) in key.reply.iter_mut().zip(reply.into_iter().zip(self.reply)) {
            if let Some(mask) = mask {
                *to = masked(&addr?, &mask)?;
            }
        }
        for (to, (port, named)) in key.ports.iter_mut().zip(ports.into_iter().zip(self.ports)) {
            if named {
                *to = port?;
            }
        }
        Some(key)
    }
}

/// The ports that are given as a single number. Lists are left to the filter, and so are sets of addresses.
fn ports(f: &Filter) -> [Option<u16>; 4] {
    [&f.orig.src_port, &f.orig.dst_port, &f.reply.src_port, &f.reply.dst_port]
        .map(|p| if let [r] = p.as_slice() { (r.first == r.last).then_some(r.first) } else { None })
}

/// The bits of an address that count, at the front; `None` when the families differ.
fn masked(addr: &Addr, mask: &Addr) -> Option<[u8; 16]> {
    if addr.family() != mask.family() {
        return None;
    }
    let mut out = [0; 16];
    for ((to, a), m) in out.iter_mut().zip(addr.bytes()).zip(mask.bytes()) {
        *to = a & m;
    }
    Some(out)
}

/// A set of selections, and the index by which a flow finds them.
#[derive(Debug, Default)]
pub struct Selectors {
    filters: Vec<Filter>,
    shapes: Vec<(Shape, HashMap<LookupKey, Vec<u32>>)>,
}

impl Selectors {
    /// Adds a selection, whose index is the number of those before it.
    pub fn push(&mut self, filter: Filter) {
        let index = self.filters.len() as u32;
        let shape = Shape::of(&filter);
        let key = shape.key_of_filter(&filter);
        let at = self.shapes.iter().position(|(s, _)| *s == shape).unwrap_or_else(|| {
            self.shapes.push((shape, HashMap::new()));
            self.shapes.len() - 1
        });
        self.shapes[at].1.entry(key).or_default().push(index);
        self.filters.push(filter);
    }

    /// The number of selections.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// True when there are no selections.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Forgets all selections.
    pub fn clear(&mut self) {
        self.filters.clear();
        self.shapes.clear();
    }

    /// The family that the selections ask for, if they all ask for the same.
    pub fn family(&self) -> Option<u8> {
        let first = self.filters.first()?.family;
        first.filter(|_| self.filters.iter().all(|f| f.family == first))
    }

    /// The first selection that matches the flow. Allocates nothing.
    pub fn find(&self, f: &FlowView<'_>) -> Result<Option<usize>, WireError> {
        let (orig, reply) = (f.orig()?.unwrap_or_default(), f.reply()?.unwrap_or_default());
        let mut best: Option<u32> = None;
        for (shape, map) in &self.shapes {
            let Some(key) = shape.key_of_flow(f.family(), &orig, &reply) else { continue };
            let Some(indexes) = map.get(&key) else { continue };
            for index in indexes.iter().take_while(|i| best.is_none_or(|b| **i < b)) {
                if self.filters[*index as usize].matches(f)? {
                    best = Some(*index);
                    break;
                }
            }
        }
        Ok(best.map(|i| i as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address_set::AddressSet;
    use crate::filter::{Direction, Network, PortRange};
    use std::sync::Arc;
    use zct_wire::consts::ipproto;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::request::{NewFlow, new_flow};

    fn random(x: &mut u64) -> u64 {
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        *x
    }

    /// Small numbers, so that selections overlap.
    fn addr(x: &mut u64) -> Addr {
        let r = random(x);
        if r & 64 != 0 {
            Addr::V6([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (r % 3) as u8])
        } else {
            Addr::V4([10, 0, (r >> 8) as u8 % 2, (r % 3) as u8])
        }
    }

    fn network(x: &mut u64) -> Option<Network> {
        let r = random(x);
        let addr = addr(x);
        let len = if addr.family() == 2 { [32, 24, 8][r as usize % 3] } else { [128, 64, 0][r as usize % 3] };
        (r & 16 != 0).then(|| Network { addr, mask: crate::values::addr::prefix_mask(&addr, len) })
    }

    /// None, one, two, or a set: only one can be looked up.
    fn networks(x: &mut u64) -> crate::filter::Networks {
        let second = if random(x) & 7 == 0 { network(x) } else { None };
        let listed: crate::filter::Networks = network(x).into_iter().chain(second).collect();
        if random(x) & 15 != 0 {
            return listed;
        }
        let whole = |a: Addr| (a, a.bytes().len() as u32 * 8);
        listed.or_in(Arc::new(AddressSet::new([whole(addr(x)), whole(addr(x))])))
    }

    fn filter(x: &mut u64) -> Filter {
        let port = |x: &mut u64| {
            let r = random(x);
            let first = (r >> 8) as u16 % 3;
            let last = if r & 0x70000 == 0 { first + 1 } else { first };
            (r & 4 != 0).then_some(PortRange { first, last }).into_iter().collect()
        };
        let side = |x: &mut u64| Direction {
            src: networks(x),
            dst: networks(x),
            src_port: port(x),
            dst_port: port(x),
            zone: None,
        };
        let not = if random(x) & 3 == 0 { Some(filter(x)) } else { None };
        let r = random(x);
        Filter {
            not: not.into_iter().collect(),
            family: [None, Some(2), Some(10)][r as usize % 3],
            proto: [None, Some(ipproto::TCP), Some(ipproto::UDP)][(r >> 8) as usize % 3],
            orig: side(x),
            reply: if r & 0x30000 == 0 { side(x) } else { Direction::default() },
            ..Filter::default()
        }
    }

    #[test]
    fn the_hash_finds_what_looking_at_each_finds() {
        let mut x = 0x9e37_79b9_7f4a_7c15u64;
        let mut hits = 0;
        for _ in 0..50 {
            let filters: Vec<Filter> = (0..40).map(|_| filter(&mut x)).collect();
            let mut set = Selectors::default();
            filters.iter().for_each(|f| set.push(f.clone()));
            for _ in 0..100 {
                let src = addr(&mut x);
                let r = random(&mut x);
                let orig = Tuple {
                    src: Some(src),
                    dst: Some(addr(&mut x)),
                    proto: Some(if r & 1 == 0 { ipproto::TCP } else { ipproto::UDP }),
                    src_port: Some((r >> 8) as u16 % 3),
                    dst_port: Some((r >> 16) as u16 % 3),
                    ..Tuple::default()
                };
                let flow = NewFlow::default().with(|it| {
                    it.family = src.family();
                    it.orig = Some(orig);
                    it.reply = orig.inverse();
                });
                let mut buf = [0; 1024];
                let bytes = new_flow(&mut buf, 1, 0, &flow).unwrap();
                let msg = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
                let view = FlowView::index(msg).unwrap();
                let want = filters.iter().position(|f| f.matches(&view).unwrap());
                assert_eq!(set.find(&view).unwrap(), want);
                hits += usize::from(want.is_some());
            }
        }
        assert!(hits > 500 && hits < 5000, "{hits}");
    }
}
