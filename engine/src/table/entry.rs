//! A record of the walk as the message that the kernel would have sent in a dump: the same attributes in the
//! same order (ctnetlink.md §3.1, §3.2), so that whatever reads messages reads it in the same way.
//!
//! One attribute is missing: the id, a hash with a secret key (bpf-table.md §2).

use super::layout::{Layout, Place};
use super::program::{ext_at, record};
use zct_wire::build::{Builder, Head};
use zct_wire::consts::{
    af, cta, cta_counters, cta_help, cta_ip, cta_proto, cta_protoinfo, cta_protoinfo_dccp,
    cta_protoinfo_sctp, cta_protoinfo_tcp, cta_seqadj, cta_synproxy, cta_timestamp, cta_tuple, ipctnl,
    ipproto, ips, nlm_f,
};
use zct_wire::header::{CtMsg, Frames};

/// Room for the longest message that a record makes.
pub(crate) const MESSAGE_MAX: usize = 2048;

// enum of nf_conntrack_zone.dir (net/netfilter/nf_conntrack_zones.h): a zone of one direction, or of both.
const ZONE_DIR_ORIG: u8 = 1;
const ZONE_DIR_REPLY: u8 = 2;
const ZONE_DIR_BOTH: u8 = 3;

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
    l: &'a Layout,
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

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u8(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }

    fn conn(&self, at: usize) -> usize {
        record::CONN + at
    }

    /// The beginning of an extension in the record, if the entry has it.
    fn ext(&self, number: Place) -> Option<usize> {
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

    /// The message, in `out`; `None` if that is too short.
    ///
    /// # Allocation
    /// None.
    pub(crate) fn message<'b>(&self, clock: Clock, out: &'b mut [u8]) -> Option<&'b [u8]> {
        let l = self.l;
        let node = self.conn(l.conn.node);
        let family = self.u16(node + l.node.family) as u8;
        let status = self.u64(self.conn(l.conn.status)) as u32;
        let mut b = Builder::new(out, Head::new(ipctnl::NEW, 0).flags(nlm_f::MULTI).family(family));
        let (zone, dir) = match (l.conn.zone_id, l.conn.zone_dir) {
            (Some(id), Some(dir)) => (self.u16(self.conn(id)), self.u8(self.conn(dir))),
            _ => (0, 0),
        };
        let zone_if = |of: u8| (zone != 0 && dir == of).then_some(zone);
        b.nest(cta::TUPLE_ORIG, |b| self.tuple(b, node, zone_if(ZONE_DIR_ORIG)));
        b.nest(cta::TUPLE_REPLY, |b| self.tuple(b, node + l.conn.node_size, zone_if(ZONE_DIR_REPLY)));
        if let Some(zone) = zone_if(ZONE_DIR_BOTH) {
            b.put_be16(cta::ZONE, zone);
        }
        b.put_be32(cta::STATUS, status);
        if let Some(mark) = l.conn.mark {
            b.put_be32(cta::MARK, self.u32(self.conn(mark)));
        }
        b.put_be32(cta::USE, self.u32(self.conn(l.conn.use_count)));
        if self.u64(self.conn(l.conn.master)) != 0 {
            // The tuple alone was copied, so it begins where the node's would be.
            let node = record::MASTER.wrapping_sub(l.node.tuple);
            b.nest(cta::TUPLE_MASTER, |b| self.tuple(b, node, None));
        }
        // While a flow table handles the entry, netlink leaves timeout and state out, because they are not
        // kept up to date here.
        if status & ips::OFFLOAD == 0 {
            b.put_be32(cta::TIMEOUT, self.seconds_left(clock));
            self.protoinfo(&mut b, self.u8(node + l.node.protocol));
        }
        self.extensions(&mut b, status);
        b.finish().ok()
    }

    /// Seconds until the entry expires, rounded down.
    fn seconds_left(&self, clock: Clock) -> u32 {
        let ticks = self.u32(self.conn(self.l.conn.timeout)).wrapping_sub(clock.jiffies as u32) as i32;
        u32::try_from(ticks).unwrap_or(0).checked_div(clock.hz).unwrap_or(0)
    }

    /// One direction. `node` is where its `nf_conntrack_tuple_hash` begins.
    fn tuple(&self, b: &mut Builder<'_>, node: usize, zone: Option<u16>) {
        let n = &self.l.node;
        let at = |member: usize| node.wrapping_add(member);
        b.nest(cta_tuple::IP, |b| {
            if self.u16(at(n.family)) as u8 == af::INET6 {
                b.put(cta_ip::V6_SRC, &self.array::<16>(at(n.src)));
                b.put(cta_ip::V6_DST, &self.array::<16>(at(n.dst)));
            } else {
                b.put(cta_ip::V4_SRC, &self.array::<4>(at(n.src)));
                b.put(cta_ip::V4_DST, &self.array::<4>(at(n.dst)));
            }
        });
        b.nest(cta_tuple::PROTO, |b| {
            let protocol = self.u8(at(n.protocol));
            b.put_u8(cta_proto::NUM, protocol);
            let icmp = match protocol {
                ipproto::ICMP => Some([cta_proto::ICMP_ID, cta_proto::ICMP_TYPE, cta_proto::ICMP_CODE]),
                ipproto::ICMPV6 => {
                    Some([cta_proto::ICMPV6_ID, cta_proto::ICMPV6_TYPE, cta_proto::ICMPV6_CODE])
                }
                _ => None,
            };
            if let Some([id, kind, code]) = icmp {
                b.put(id, &self.array::<2>(at(n.src_port)));
                b.put_u8(kind, self.u8(at(n.dst_port)));
                b.put_u8(code, self.u8(at(n.dst_port) + 1));
            } else if self.has_ports(protocol) {
                b.put(cta_proto::SRC_PORT, &self.array::<2>(at(n.src_port)));
                b.put(cta_proto::DST_PORT, &self.array::<2>(at(n.dst_port)));
            }
        });
        if let Some(zone) = zone {
            b.put_be16(cta_tuple::ZONE, zone);
        }
    }

    /// True for the protocols of which this kernel knows that they have ports, or keys.
    fn has_ports(&self, protocol: u8) -> bool {
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

    fn protoinfo(&self, b: &mut Builder<'_>, protocol: u8) {
        let p = &self.l.proto;
        let at = |member: usize| self.conn(self.l.conn.proto + member);
        match (protocol, p.dccp) {
            (ipproto::TCP, _) => {
                let reply = p.tcp_seen_size;
                b.nest(cta::PROTOINFO, |b| {
                    b.nest(cta_protoinfo::TCP, |b| {
                        b.put_u8(cta_protoinfo_tcp::STATE, self.u8(at(p.tcp_state)));
                        b.put_u8(cta_protoinfo_tcp::WSCALE_ORIGINAL, self.u8(at(p.tcp_scale)));
                        b.put_u8(cta_protoinfo_tcp::WSCALE_REPLY, self.u8(at(p.tcp_scale + reply)));
                        b.put(cta_protoinfo_tcp::FLAGS_ORIGINAL, &[self.u8(at(p.tcp_flags)), 0]);
                        b.put(cta_protoinfo_tcp::FLAGS_REPLY, &[self.u8(at(p.tcp_flags + reply)), 0]);
                    });
                });
            }
            (ipproto::SCTP, _) if p.has_sctp => {
                b.nest(cta::PROTOINFO, |b| {
                    b.nest(cta_protoinfo::SCTP, |b| {
                        b.put_u8(cta_protoinfo_sctp::STATE, self.u32(at(p.sctp_state)) as u8);
                        b.put(cta_protoinfo_sctp::VTAG_ORIGINAL, &self.array::<4>(at(p.sctp_vtag)));
                        b.put(cta_protoinfo_sctp::VTAG_REPLY, &self.array::<4>(at(p.sctp_vtag + 4)));
                    });
                });
            }
            (ipproto::DCCP, Some((role, state, seq))) if p.has_dccp => {
                b.nest(cta::PROTOINFO, |b| {
                    b.nest(cta_protoinfo::DCCP, |b| {
                        b.put_u8(cta_protoinfo_dccp::STATE, self.u8(at(state)));
                        b.put_u8(cta_protoinfo_dccp::ROLE, self.u8(at(role)));
                        put_be64(b, cta_protoinfo_dccp::HANDSHAKE_SEQ, self.u64(at(seq)));
                    });
                });
            }
            _ => {}
        }
    }

    fn extensions(&self, b: &mut Builder<'_>, status: u32) {
        let e = &self.l.ext;
        if let Some(at) = self.ext(e.acct) {
            for (kind, at) in [(cta::COUNTERS_ORIG, at), (cta::COUNTERS_REPLY, at + 16)] {
                b.nest(kind, |b| {
                    put_be64(b, cta_counters::PACKETS, self.u64(at));
                    put_be64(b, cta_counters::BYTES, self.u64(at + 8));
                });
            }
        }
        if let Some(at) = self.ext(e.tstamp) {
            b.nest(cta::TIMESTAMP, |b| {
                put_be64(b, cta_timestamp::START, self.u64(at));
                match self.u64(at + e.tstamp_stop) {
                    0 => {}
                    stop => put_be64(b, cta_timestamp::STOP, stop),
                }
            });
        }
        if self.u8(record::HAS_HELPER) != 0 {
            self.helper(b);
        }
        if let Some(at) = self.ext(e.labels) {
            let bits = self.bytes.get(at..at + e.labels_size).unwrap_or_default();
            if bits.iter().any(|b| *b != 0) {
                b.put(cta::LABELS, bits);
            }
        }
        if let Some(at) = self.ext(e.seqadj).filter(|_| status & ips::SEQ_ADJUST != 0) {
            for (kind, at) in [(cta::SEQ_ADJ_ORIG, at), (cta::SEQ_ADJ_REPLY, at + 12)] {
                b.nest(kind, |b| {
                    b.put_be32(cta_seqadj::CORRECTION_POS, self.u32(at));
                    b.put_be32(cta_seqadj::OFFSET_BEFORE, self.u32(at + 4));
                    b.put_be32(cta_seqadj::OFFSET_AFTER, self.u32(at + 8));
                });
            }
        }
        if let Some(at) = self.ext(e.synproxy) {
            b.nest(cta::SYNPROXY, |b| {
                b.put_be32(cta_synproxy::ISN, self.u32(at));
                b.put_be32(cta_synproxy::ITS, self.u32(at + 4));
                b.put_be32(cta_synproxy::TSOFF, self.u32(at + 8));
            });
        }
    }

    fn helper(&self, b: &mut Builder<'_>) {
        let name: [u8; 16] = self.array(record::HELPER);
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        b.nest(cta::HELP, |b| {
            b.put_str(cta_help::NAME, name);
            // A helper in user space keeps data of its own.
            let len = usize::from(self.u16(record::DATA_LEN));
            if self.u64(record::TO_ATTR) != 0 && len > 0 {
                if let Some(at) = self.ext(self.l.ext.helper) {
                    let at = at + self.l.ext.help_data;
                    b.put(cta_help::INFO, self.bytes.get(at..at + len).unwrap_or_default());
                }
            }
        });
    }
}

fn put_be64(b: &mut Builder<'_>, kind: u16, value: u64) {
    b.put(kind, &value.to_be_bytes());
}

/// The one message in these bytes.
pub(crate) fn first_message(bytes: &[u8]) -> Option<CtMsg<'_>> {
    CtMsg::parse(Frames::new(bytes).next()?.ok()?).ok()
}
