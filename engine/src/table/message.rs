//! A record of the walk as the message that the kernel would have sent in a dump: the same attributes in the
//! same order (ctnetlink.md §3.1, §3.2), so that whatever reads messages reads it in the same way.
//!
//! One attribute is missing: the id, a hash with a secret key (bpf-table.md §2).

use super::entry::{Clock, Entry, ZONE_DIR_BOTH, ZONE_DIR_ORIG, ZONE_DIR_REPLY};
use super::program::record;
use zct_wire::build::{Builder, Head};
use zct_wire::consts::{
    cta, cta_counters, cta_help, cta_protoinfo, cta_protoinfo_dccp, cta_protoinfo_sctp, cta_protoinfo_tcp,
    cta_seqadj, cta_synproxy, cta_timestamp, ipctnl, ipproto, ips, nlm_f,
};
use zct_wire::header::{CtMsg, Frames};

/// Room for the longest message that a record makes.
pub(crate) const MESSAGE_MAX: usize = 2048;

impl Entry<'_> {
    /// The message, in `out`; `None` if that is too short.
    ///
    /// # Allocation
    /// None.
    pub(crate) fn message<'b>(&self, clock: Clock, out: &'b mut [u8]) -> Option<&'b [u8]> {
        let l = self.l;
        let [node, reply] = self.nodes();
        let status = self.status();
        let mut b = Builder::new(out, Head::new(ipctnl::NEW, 0).flags(nlm_f::MULTI).family(self.family()));
        self.shape(node, self.zone(ZONE_DIR_ORIG)).build(&mut b, cta::TUPLE_ORIG);
        self.shape(reply, self.zone(ZONE_DIR_REPLY)).build(&mut b, cta::TUPLE_REPLY);
        if let Some(zone) = self.zone(ZONE_DIR_BOTH) {
            b.put_be16(cta::ZONE, zone);
        }
        b.put_be32(cta::STATUS, status);
        if let Some(mark) = l.conn.mark {
            b.put_be32(cta::MARK, self.u32(self.conn(mark)));
        }
        b.put_be32(cta::USE, self.u32(self.conn(l.conn.use_count)));
        if let Some(master) = self.master() {
            self.shape(master, None).build(&mut b, cta::TUPLE_MASTER);
        }
        if !self.is_offloaded() {
            b.put_be32(cta::TIMEOUT, self.seconds_left(clock));
            self.protoinfo(&mut b, self.u8(node + l.node.protocol));
        }
        self.extensions(&mut b, status);
        b.finish().ok()
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
        for (kind, carried) in
            [cta::COUNTERS_ORIG, cta::COUNTERS_REPLY].into_iter().zip(self.counters().into_iter().flatten())
        {
            b.nest(kind, |b| {
                put_be64(b, cta_counters::PACKETS, carried.packets);
                put_be64(b, cta_counters::BYTES, carried.bytes);
            });
        }
        if let Some(times) = self.timestamps() {
            b.nest(cta::TIMESTAMP, |b| {
                for (kind, ns) in
                    [(cta_timestamp::START, times.start_ns), (cta_timestamp::STOP, times.stop_ns)]
                {
                    if let Some(ns) = ns {
                        put_be64(b, kind, ns);
                    }
                }
            });
        }
        if let Some(name) = self.helper() {
            self.put_helper(b, name);
        }
        if let Some(words) = self.labels() {
            b.put(cta::LABELS, words);
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

    fn put_helper(&self, b: &mut Builder<'_>, name: &[u8]) {
        b.nest(cta::HELP, |b| {
            b.put_str(cta_help::NAME, name);
            // A helper in user space keeps data of its own.
            let len = usize::from(self.u16(record::DATA_LEN));
            if self.u64(record::TO_ATTR) != 0 && len > 0 {
                if let Some(at) = self.ext(self.l.ext.helper) {
                    let at = at + self.l.ext.help_data;
                    b.put(cta_help::INFO, self.bytes(at, len));
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
