//! A flow packed into a record of 64 bytes for IPv4 or 80 for IPv6, with cells for what few flows have.

use crate::store::cells::{Cells, Essence};
use crate::store::key::{V4 as V4_KEY, V6 as V6_KEY, zone_dir};
use crate::store::slab::{NIL, SLOTS_MAX, Slot};
use zct_wire::flow::Synproxy;
use zct_wire::peer::Flow;
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

/// Which members of the record hold a value, and the daemon's own data: 20 bits of attributes, of which one
/// is free, then seven of [`Meta`](crate::store::Meta)'s flags and five of its generation.
///
/// A new attribute that few flows have needs none of these bits: it goes into a cell.
pub(crate) mod bit {
    pub(crate) const PORTS: u32 = 1 << 0;
    pub(crate) const ICMP_TYPE: u32 = 1 << 1;
    pub(crate) const ICMP_CODE: u32 = 1 << 2;
    pub(crate) const ICMP_ID: u32 = 1 << 3;
    pub(crate) const STATUS: u32 = 1 << 4;
    pub(crate) const TIMEOUT: u32 = 1 << 5;
    pub(crate) const MARK: u32 = 1 << 6;
    pub(crate) const SNAT: u32 = 1 << 7;
    pub(crate) const DNAT: u32 = 1 << 8;
    pub(crate) const SPAT: u32 = 1 << 9;
    pub(crate) const DPAT: u32 = 1 << 10;
    pub(crate) const STATE: u32 = 1 << 11;
    /// Three bits: which protocol the state, scales and role belong to. 0 means none, 4 to 7 are free.
    pub(crate) const PROTO_SHIFT: u32 = 12;
    pub(crate) const PROTO: u32 = 7 << PROTO_SHIFT;
    pub(crate) const WSCALE_ORIG: u32 = 1 << 15;
    pub(crate) const WSCALE_REPLY: u32 = 1 << 16;
    /// For DCCP, the first scale holds the role.
    pub(crate) const ROLE: u32 = WSCALE_ORIG;
    pub(crate) const ZONE: u32 = 1 << 17;
    /// All three SYN proxy values are zero, as in every flow created through ctnetlink.
    pub(crate) const SYNPROXY_ZERO: u32 = 1 << 18;
    /// Bits for future attributes.
    pub(crate) const SPARE: u32 = 1 << 19;
    /// All bits for attributes.
    pub(crate) const ATTRIBUTES: u32 = (1 << META_SHIFT) - 1;
    /// Where the flags of [`Meta`](crate::store::Meta) begin.
    pub(crate) const META_SHIFT: u32 = 20;
    pub(crate) const META: u32 = 0x7f << META_SHIFT;
    /// Where the five bits of the generation begin.
    pub(crate) const GENERATION_SHIFT: u32 = 27;
    pub(crate) const GENERATION: u32 = 0x1f << GENERATION_SHIFT;

    /// The bits of every attribute, each listed once.
    const NAMED: [u32; 17] = [
        PORTS,
        ICMP_TYPE,
        ICMP_CODE,
        ICMP_ID,
        STATUS,
        TIMEOUT,
        MARK,
        SNAT,
        DNAT,
        SPAT,
        DPAT,
        STATE,
        PROTO,
        WSCALE_ORIG,
        WSCALE_REPLY,
        ZONE,
        SYNPROXY_ZERO,
    ];

    // No bit has two meanings, none is forgotten, and there is room for another attribute.
    const _: () = {
        let (mut seen, mut i) = (SPARE, 0);
        while i < NAMED.len() {
            assert!(seen & NAMED[i] == 0);
            seen |= NAMED[i];
            i += 1;
        }
        assert!(seen == ATTRIBUTES && SPARE.count_ones() >= 1);
        assert!(ATTRIBUTES & META == 0 && (ATTRIBUTES | META) & GENERATION == 0);
        assert!(ATTRIBUTES | META | GENERATION == u32::MAX);
    };
}

/// In place of the number of the first cell: the slot is free, and `seq_or_due` is the next free one.
const FREE: u32 = NIL - 1;
// No cell can have that number.
const _: () = assert!(FREE as usize > SLOTS_MAX);

/// The part that both sizes of record share.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Body {
    pub(crate) bits: u32,
    status: u32,
    timeout_s: u32,
    mark: u32,
    spat: u16,
    dpat: u16,
    state: u8,
    wscale: [u8; 2],
    pub(crate) slot: u8,
    pub(crate) born_s: u32,
    pub(crate) seq_or_due: u32,
    pub(crate) id_or_heard_s: u32,
    /// The first cell of what does not fit, or [`NIL`]; [`FREE`] in a free slot.
    pub(crate) cells: u32,
}

impl Default for Body {
    fn default() -> Self {
        Body {
            bits: 0,
            status: 0,
            timeout_s: 0,
            mark: 0,
            spat: 0,
            dpat: 0,
            state: 0,
            wscale: [0; 2],
            slot: 0,
            born_s: 0,
            seq_or_due: 0,
            id_or_heard_s: 0,
            cells: NIL,
        }
    }
}

/// The record of an IPv4 flow, which includes translated addresses.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct V4 {
    pub(crate) key: [u8; V4_KEY],
    nat: [[u8; 4]; 2],
    pub(crate) body: Body,
}

/// The record of an IPv6 flow. Translation is rare there, so it goes into cells.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct V6 {
    pub(crate) key: [u8; V6_KEY],
    pub(crate) body: Body,
}

impl Default for V6 {
    fn default() -> Self {
        V6 { key: [0; V6_KEY], body: Body::default() }
    }
}

const _: () = assert!(size_of::<Body>() == 40 && size_of::<V4>() == 64 && size_of::<V6>() == 80);

impl Slot for V4 {
    fn free(next: u32) -> Self {
        V4 { body: Body::free(next), ..V4::default() }
    }
    #[inline]
    fn next_free(&self) -> Option<u32> {
        self.body.next_free()
    }
}

impl Slot for V6 {
    fn free(next: u32) -> Self {
        V6 { body: Body::free(next), ..V6::default() }
    }
    #[inline]
    fn next_free(&self) -> Option<u32> {
        self.body.next_free()
    }
}

/// The protocols that have a state of their own.
const PROTO_TCP: u32 = 1 << bit::PROTO_SHIFT;
const PROTO_SCTP: u32 = 2 << bit::PROTO_SHIFT;
const PROTO_DCCP: u32 = 3 << bit::PROTO_SHIFT;
/// The first number for a future protocol.
const PROTO_NEXT: u32 = 4 << bit::PROTO_SHIFT;
const _: () = assert!(PROTO_NEXT & !bit::PROTO == 0);

impl V4 {
    pub(crate) fn new(key: [u8; V4_KEY]) -> Self {
        V4 { key, ..V4::default() }
    }

    pub(crate) fn set(&mut self, flow: &Flow, cells: &mut Cells) {
        let mut bits = 0;
        for ((addr, at), bit) in
            [flow.snat, flow.dnat].into_iter().zip(&mut self.nat).zip([bit::SNAT, bit::DNAT])
        {
            if let Some(Addr::V4(a)) = addr {
                *at = a;
                bits |= bit;
            }
        }
        self.body.set(flow, bits, cells);
    }

    /// What is compared between nodes (see `sums`).
    #[inline]
    pub(crate) fn essence(&self, cells: &Cells) -> Essence {
        let word = |bit: u32, addr: [u8; 4]| {
            if self.body.bits & bit != 0 { u64::from(u32::from_be_bytes(addr)) } else { 0 }
        };
        let [snat, dnat] = self.nat;
        self.body.essence(word(bit::SNAT, snat) << 32 | word(bit::DNAT, dnat), cells)
    }

    pub(crate) fn flow(&self, cells: &Cells) -> Flow {
        let [a, b, c, d, e, f, g, h, l4 @ .., proto, dir, z0, z1] = self.key;
        let src = Addr::V4([a, b, c, d]);
        let dst = Addr::V4([e, f, g, h]);
        let mut flow = self.body.flow(src, dst, l4, proto, (dir, u16::from_be_bytes([z0, z1])), cells);
        let [snat, dnat] = self.nat.map(Addr::V4);
        if self.body.bits & bit::SNAT != 0 {
            flow.snat = Some(snat);
        }
        if self.body.bits & bit::DNAT != 0 {
            flow.dnat = Some(dnat);
        }
        flow
    }
}

impl V6 {
    pub(crate) fn new(key: [u8; V6_KEY]) -> Self {
        V6 { key, body: Body::default() }
    }

    pub(crate) fn set(&mut self, flow: &Flow, cells: &mut Cells) {
        self.body.set(flow, 0, cells);
    }

    /// What is compared between nodes (see `sums`).
    #[inline]
    pub(crate) fn essence(&self, cells: &Cells) -> Essence {
        self.body.essence(0, cells)
    }

    pub(crate) fn flow(&self, cells: &Cells) -> Flow {
        let (src, rest) = self.key.split_first_chunk().unwrap_or((&[0; 16], &[]));
        let (dst, rest) = rest.split_first_chunk().unwrap_or((&[0; 16], &[]));
        let [l4 @ .., proto, dir, z0, z1] = rest.first_chunk::<8>().copied().unwrap_or_default();
        let zone = (dir, u16::from_be_bytes([z0, z1]));
        self.body.flow(Addr::V6(*src), Addr::V6(*dst), l4, proto, zone, cells)
    }
}

impl Body {
    /// The body of a free slot that points to the next one.
    fn free(next: u32) -> Self {
        Body { cells: FREE, seq_or_due: next, ..Body::default() }
    }

    #[inline]
    fn next_free(&self) -> Option<u32> {
        (self.cells == FREE).then_some(self.seq_or_due)
    }

    /// Packs everything but the key; the daemon's own bits stay.
    fn set(&mut self, flow: &Flow, nat_bits: u32, cells: &mut Cells) {
        let mut bits = nat_bits;
        let mut put = |bit: u32, value: Option<u32>| -> u32 {
            if value.is_some() {
                bits |= bit;
            }
            value.unwrap_or(0)
        };
        self.status = put(bit::STATUS, flow.status);
        self.timeout_s = put(bit::TIMEOUT, flow.timeout_s);
        self.mark = put(bit::MARK, flow.mark);
        self.spat = put(bit::SPAT, flow.spat.map(u32::from)) as u16;
        self.dpat = put(bit::DPAT, flow.dpat.map(u32::from)) as u16;
        put(bit::PORTS, flow.orig.src_port.or(flow.orig.dst_port).map(u32::from));
        put(bit::ICMP_TYPE, flow.orig.icmp_type.map(u32::from));
        put(bit::ICMP_CODE, flow.orig.icmp_code.map(u32::from));
        put(bit::ICMP_ID, flow.orig.icmp_id.map(u32::from));
        put(bit::ZONE, flow.zone.map(u32::from));
        let (state, scales, proto) = match flow.proto {
            Some(ProtoInfo::Tcp(i)) => (i.state, i.wscale, PROTO_TCP),
            Some(ProtoInfo::Sctp(i)) => (i.state, [None; 2], PROTO_SCTP),
            Some(ProtoInfo::Dccp(i)) => (i.state, [i.role, None], PROTO_DCCP),
            None => (None, [None; 2], 0),
        };
        let [orig, reply] = scales.map(|s| s.map(u32::from));
        self.state = put(bit::STATE, state.map(u32::from)) as u8;
        self.wscale = [put(bit::WSCALE_ORIG, orig) as u8, put(bit::WSCALE_REPLY, reply) as u8];
        if flow.synproxy == Some(Synproxy::default()) {
            bits |= bit::SYNPROXY_ZERO;
        }
        self.bits = self.bits & !bit::ATTRIBUTES | bits | proto;
        cells.rewrite(&mut self.cells, flow);
    }

    /// An absent value is zero, which is how the peer's records have it too.
    #[inline]
    fn essence(&self, nat: u64, cells: &Cells) -> Essence {
        let status = u64::from(self.status) << 32 | u64::from(self.mark);
        let ports = u64::from(self.spat) << 32 | u64::from(self.dpat) << 16 | u64::from(self.state);
        let mut essence = [status, ports, nat, 0, 0, 0, 0, 0, 0];
        if self.cells != NIL {
            let [_, _, _, rare @ ..] = &mut essence;
            cells.essence(self.cells, rare);
        }
        essence
    }

    fn flow(&self, src: Addr, dst: Addr, l4: [u8; 4], proto: u8, zone: (u8, u16), cells: &Cells) -> Flow {
        let has = |bit: u32| self.bits & bit != 0;
        let [l0, l1, l2, l3] = l4;
        let (dir, zone) = zone;
        let [scale_orig, scale_reply] = self.wscale;
        let state = has(bit::STATE).then_some(self.state);
        let mut flow = Flow {
            orig: Tuple {
                src: Some(src),
                dst: Some(dst),
                proto: Some(proto),
                src_port: has(bit::PORTS).then(|| u16::from_be_bytes([l0, l1])),
                dst_port: has(bit::PORTS).then(|| u16::from_be_bytes([l2, l3])),
                icmp_type: has(bit::ICMP_TYPE).then_some(l0),
                icmp_code: has(bit::ICMP_CODE).then_some(l1),
                icmp_id: has(bit::ICMP_ID).then(|| u16::from_be_bytes([l2, l3])),
                zone: (dir == zone_dir::ORIG).then_some(zone),
            },
            reply_zone: (dir == zone_dir::REPLY).then_some(zone),
            zone: has(bit::ZONE).then_some(if dir == zone_dir::BOTH { zone } else { 0 }),
            status: has(bit::STATUS).then_some(self.status),
            timeout_s: has(bit::TIMEOUT).then_some(self.timeout_s),
            mark: has(bit::MARK).then_some(self.mark),
            proto: match self.bits & bit::PROTO {
                PROTO_TCP => Some(ProtoInfo::Tcp(TcpInfo {
                    state,
                    wscale: [
                        has(bit::WSCALE_ORIG).then_some(scale_orig),
                        has(bit::WSCALE_REPLY).then_some(scale_reply),
                    ],
                    flags: [None; 2],
                })),
                PROTO_SCTP => Some(ProtoInfo::Sctp(SctpInfo { state, vtag: [None; 2] })),
                PROTO_DCCP => {
                    let role = has(bit::ROLE).then_some(scale_orig);
                    Some(ProtoInfo::Dccp(DccpInfo { state, role, handshake_seq: None }))
                }
                _ => None,
            },
            spat: has(bit::SPAT).then_some(self.spat),
            dpat: has(bit::DPAT).then_some(self.dpat),
            synproxy: has(bit::SYNPROXY_ZERO).then(Synproxy::default),
            ..Flow::default()
        };
        if self.cells != NIL {
            cells.read(self.cells, &mut flow);
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, Meta};

    fn flow(n: u8) -> Flow {
        let orig = Tuple {
            src: Some(Addr::V4([10, 0, 0, n])),
            dst: Some(Addr::V4([10, 0, 0, 1])),
            proto: Some(6),
            ..Tuple::default()
        };
        Flow { orig, mark: Some(n.into()), labels: Some([n; 16]), ..Flow::default() }
    }

    /// What a new attribute and a new protocol would use does not collide with anything, is read back with
    /// it, and is gone when the flow is written again without them.
    #[test]
    fn there_is_room_for_an_attribute_and_a_protocol() {
        let mut cells = Cells::new();
        let Some(Key::V4(key)) = Key::of(&flow(1)) else { panic!("an IPv4 flow") };
        let mut r = V4::new(key);
        r.set(&flow(1), &mut cells);
        let before = r.body.bits;
        assert_eq!(before & (bit::SPARE | bit::PROTO), 0);
        for to_come in [bit::SPARE & bit::SPARE.wrapping_neg(), bit::SPARE, PROTO_NEXT, bit::PROTO] {
            r.body.bits |= to_come;
            assert_eq!((r.flow(&cells), r.next_free()), (flow(1), None));
            let meta = Meta { flags: Meta::FLAGS, generation: 31, ..r.body.meta() };
            r.body.set_meta(meta);
            assert_eq!((r.body.meta(), r.body.bits & to_come), (meta, to_come));
            r.body.set_meta(Meta { flags: 0, generation: 0, ..meta });
            r.set(&flow(1), &mut cells);
            assert_eq!(r.body.bits, before);
        }
    }

    /// A slot in which every bit of the word is set still counts as taken, and only the mark makes
    /// a slot free.
    #[test]
    fn only_the_mark_of_a_free_slot_makes_one() {
        let mut r = V6::default();
        r.body.bits = u32::MAX;
        assert_eq!(r.next_free(), None);
        assert_eq!((V6::free(7).next_free(), V4::free(NIL).next_free()), (Some(7), Some(NIL)));
    }
}
