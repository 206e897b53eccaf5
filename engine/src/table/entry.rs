//! A record of the walk, and what it says: nothing of it means anything without the kernel's own layout.

use super::layout::{Layout, Offset};
use super::program::{ext_at, record};
use zct_wire::consts::{af, ipproto, ips};
use zct_wire::flow::{Counters, Timestamps};
use zct_wire::proto::StateOf;
use zct_wire::tuple::{Addr, Shape, Tuple, Usual};

// enum of nf_conntrack_zone.dir (net/netfilter/nf_conntrack_zones.h): a zone of one direction, or of both.
pub(super) const ZONE_DIR_ORIG: u8 = 1;
pub(super) const ZONE_DIR_REPLY: u8 = 2;
pub(super) const ZONE_DIR_BOTH: u8 = 3;

/// The kernel's clock when a record was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Ticks since the machine started; the low half counts.
    pub(crate) jiffies: u64,
    /// Ticks per second.
    pub(crate) hz: u32,
}

/// One record.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(super) l: &'a Layout,
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Looks at a record.
    pub(crate) fn new(l: &'a Layout, bytes: &'a [u8]) -> Entry<'a> {
        Entry { l, bytes }
    }

    /// The entry's address in the kernel, which tells it from all others while it lives, and the bucket in
    /// which it was found.
    pub(crate) fn place(&self) -> (u64, u32) {
        (self.u64(record::ADDR), self.u32(record::BUCKET))
    }

    #[inline]
    pub(super) fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or([0; N])
    }

    #[inline]
    pub(super) fn u8(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    #[inline]
    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    #[inline]
    pub(super) fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }

    #[inline]
    pub(super) fn conn(&self, at: usize) -> usize {
        record::CONN + at
    }

    /// The bytes from one place of the record to another, as far as it goes.
    #[inline]
    pub(super) fn bytes(&self, at: usize, len: usize) -> &'a [u8] {
        self.bytes.get(at..at.saturating_add(len)).unwrap_or_default()
    }

    /// The beginning of an extension in the record, if the entry has it.
    #[inline]
    pub(super) fn ext(&self, number: Offset) -> Option<usize> {
        let base = ext_at(self.l);
        let len = usize::from(self.u16(record::EXT_LEN));
        let header = self.l.ext.offsets + number?;
        let offset = usize::from(self.u8(base + header));
        (header < len && offset != 0 && offset < len).then_some(base + offset)
    }

    /// True when only netlink can say all about this entry: it has a security mark, whose text only the
    /// kernel knows.
    pub(crate) fn needs_netlink(&self) -> bool {
        self.l.conn.secmark.is_some_and(|at| self.u32(self.conn(at)) != 0)
    }

    /// What tells entries apart that take different ways through the kernel's code and through ours: family,
    /// protocol, status, zone, extensions, master, helper.
    pub(crate) fn kind(&self) -> [u8; 8] {
        let l = self.l;
        let node = self.conn(l.conn.node);
        let zone = l.conn.zone_id.is_some_and(|at| self.u16(self.conn(at)) != 0);
        let [low, high, ..] = self.u64(self.conn(l.conn.status)).to_le_bytes();
        [
            self.u16(node + l.node.family) as u8,
            self.u8(node + l.node.protocol),
            low,
            high,
            u8::from(zone),
            self.u8(record::EXT_LEN),
            u8::from(self.u64(self.conn(l.conn.master)) != 0),
            self.u8(record::HAS_HELPER),
        ]
    }

    /// Where the node of the original direction is in the record, and that of the other one.
    #[inline]
    pub(super) fn nodes(&self) -> [usize; 2] {
        let node = self.conn(self.l.conn.node);
        [node, node + self.l.conn.node_size]
    }

    /// AF_INET or AF_INET6.
    #[inline]
    pub(super) fn family(&self) -> u8 {
        let [node, _] = self.nodes();
        self.u16(node + self.l.node.family) as u8
    }

    /// IPS_* bits.
    #[inline]
    pub(super) fn status(&self) -> u32 {
        self.u64(self.conn(self.l.conn.status)) as u32
    }

    /// The zone, if it is not 0 and one of this direction, or of both.
    #[inline]
    pub(super) fn zone(&self, of: u8) -> Option<u16> {
        let (id, dir) = self.l.conn.zone_id.zip(self.l.conn.zone_dir)?;
        Some(self.u16(self.conn(id))).filter(|zone| *zone != 0 && self.u8(self.conn(dir)) == of)
    }

    /// Where the tuple of the entry that expected this one begins, as if it were in a node.
    pub(super) fn master(&self) -> Option<usize> {
        let has = self.u64(self.conn(self.l.conn.master)) != 0;
        // The tuple alone was copied.
        has.then(|| record::MASTER.wrapping_sub(self.l.node.tuple))
    }

    /// A tuple in the shape in which it is written fastest. `node` is where its `nf_conntrack_tuple_hash` begins.
    #[inline]
    pub(super) fn shape(&self, node: usize, zone: Option<u16>) -> Shape<'a> {
        let n = &self.l.node;
        let at = |member: usize| node.wrapping_add(member);
        let proto = self.u8(at(n.protocol));
        if zone.is_some() || !self.has_ports(proto) {
            return Shape::Other(self.tuple(node, zone));
        }
        let port = |member: usize| u16::from_be_bytes(self.array(at(member)));
        let (src_port, dst_port) = (port(n.src_port), port(n.dst_port));
        let (src, dst) = (self.bytes(at(n.src), 16), self.bytes(at(n.dst), 16));
        if self.u16(at(n.family)) as u8 == af::INET6 {
            if let (Some(src), Some(dst)) = (src.first_chunk(), dst.first_chunk()) {
                return Shape::V6(Usual { src, dst, proto, src_port, dst_port });
            }
        } else if let (Some(src), Some(dst)) = (src.first_chunk(), dst.first_chunk()) {
            return Shape::V4(Usual { src, dst, proto, src_port, dst_port });
        }
        Shape::Other(self.tuple(node, zone))
    }

    /// The same with all its members decoded.
    pub(super) fn tuple(&self, node: usize, zone: Option<u16>) -> Tuple {
        let n = &self.l.node;
        let at = |member: usize| node.wrapping_add(member);
        let is_ipv6 = self.u16(at(n.family)) as u8 == af::INET6;
        let addr = |member: usize| match is_ipv6 {
            true => Some(Addr::V6(self.array(at(member)))),
            false => Some(Addr::V4(self.array(at(member)))),
        };
        let number = |member: usize| Some(u16::from_be_bytes(self.array(at(member))));
        let proto = self.u8(at(n.protocol));
        let mut tuple =
            Tuple { src: addr(n.src), dst: addr(n.dst), proto: Some(proto), zone, ..Tuple::default() };
        if matches!(proto, ipproto::ICMP | ipproto::ICMPV6) {
            tuple.icmp_id = number(n.src_port);
            tuple.icmp_type = Some(self.u8(at(n.dst_port)));
            tuple.icmp_code = Some(self.u8(at(n.dst_port).wrapping_add(1)));
        } else if self.has_ports(proto) {
            (tuple.src_port, tuple.dst_port) = (number(n.src_port), number(n.dst_port));
        }
        tuple
    }

    /// Seconds until the entry expires, rounded down.
    #[inline]
    pub(super) fn seconds_left(&self, clock: Clock) -> u32 {
        let ticks = self.u32(self.conn(self.l.conn.timeout)).wrapping_sub(clock.jiffies as u32) as i32;
        u32::try_from(ticks).unwrap_or(0).checked_div(clock.hz).unwrap_or(0)
    }

    /// True for the protocols of which this kernel knows that they have ports, or keys.
    #[inline]
    pub(super) fn has_ports(&self, protocol: u8) -> bool {
        let p = &self.l.proto;
        match protocol {
            ipproto::TCP | ipproto::UDP => true,
            ipproto::SCTP => p.has_sctp,
            ipproto::DCCP => p.has_dccp,
            ipproto::UDPLITE => p.has_udplite,
            ipproto::GRE => p.has_gre,
            _ => false,
        }
    }

    /// The state's number and the protocol it belongs to.
    #[inline]
    pub(super) fn state(&self) -> Option<(StateOf, u8)> {
        let p = &self.l.proto;
        let at = |member: usize| self.conn(self.l.conn.proto + member);
        let [node, _] = self.nodes();
        match (self.u8(node + self.l.node.protocol), p.dccp) {
            (ipproto::TCP, _) => Some((StateOf::Tcp, self.u8(at(p.tcp_state)))),
            (ipproto::SCTP, _) if p.has_sctp => Some((StateOf::Sctp, self.u32(at(p.sctp_state)) as u8)),
            (ipproto::DCCP, Some((_, state, _))) if p.has_dccp => Some((StateOf::Dccp, self.u8(at(state)))),
            _ => None,
        }
    }

    /// True while a flow table handles the entry: netlink then leaves out timeout and state, because what this
    /// memory says of them is old.
    #[inline]
    pub(super) fn is_offloaded(&self) -> bool {
        self.status() & ips::OFFLOAD != 0
    }

    /// What each direction has carried.
    #[inline]
    pub(super) fn counters(&self) -> Option<[Counters; 2]> {
        let at = self.ext(self.l.ext.acct)?;
        Some([at, at + 16].map(|at| Counters { packets: self.u64(at), bytes: self.u64(at + 8) }))
    }

    /// When it began, and when it ended.
    pub(super) fn timestamps(&self) -> Option<Timestamps> {
        let at = self.ext(self.l.ext.tstamp)?;
        let stop = self.u64(at + self.l.ext.tstamp_stop);
        Some(Timestamps { start_ns: Some(self.u64(at)), stop_ns: Some(stop).filter(|ns| *ns != 0) })
    }

    /// The words of its labels, if any is set.
    #[inline]
    pub(super) fn labels(&self) -> Option<&'a [u8]> {
        let words = self.bytes(self.ext(self.l.ext.labels)?, self.l.ext.labels_size);
        words.iter().any(|b| *b != 0).then_some(words)
    }

    /// Its helper's name.
    #[inline]
    pub(super) fn helper(&self) -> Option<&'a [u8]> {
        if self.u8(record::HAS_HELPER) == 0 {
            return None;
        }
        self.bytes(record::HELPER, record::TO_ATTR - record::HELPER).split(|b| *b == 0).next()
    }
}
