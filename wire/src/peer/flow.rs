//! A flow as replicated: what it holds, how it is read from the kernel, and what follows from it
//! (sync-protocol.md §3). Its bytes in a message are in `codec`.

use crate::consts::{cta, ipproto, ips};
use crate::error::WireError;
use crate::flow::{Dir, FlowView, SeqAdj, Synproxy};
use crate::nat::Nat;
use crate::peer::name::Name;
use crate::proto::{DccpInfo, ProtoInfo, TcpInfo};
use crate::tuple::{Addr, Tuple};

/// A flow as replicated. Every member may be absent, which is not zero: an absent member of an update keeps
/// the value the receiver has.
///
/// Owned and `Copy`, some 300 bytes, never allocated: what outlives the message is packed by the store.
/// Members that no peer message carries (counters, times, the kernel's id, TCP flags) are not here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Original direction: addresses, protocol, and ports or ICMP members.
    ///
    /// Its `zone` is a zone of this direction alone. That never travels (sync-protocol.md §3.1), nor do the
    /// ports of protocols other than TCP, UDP, SCTP and DCCP; both are kept because they tell local flows
    /// apart.
    pub orig: Tuple,
    /// A zone of the reply direction alone; never travels.
    pub reply_zone: Option<u16>,
    /// Zone of both directions.
    pub zone: Option<u16>,
    /// IPS_* bits.
    pub status: Option<u32>,
    /// Seconds left when the flow was last reported.
    pub timeout_s: Option<u32>,
    /// Mark; zero is a value like any other.
    pub mark: Option<u32>,
    /// TCP, SCTP or DCCP state. TCP flags and the DCCP handshake number do not travel and stay `None`.
    pub proto: Option<ProtoInfo>,
    /// Addresses, protocol and ports of the flow that expected this one.
    pub master: Option<Tuple>,
    /// Translated source address.
    pub snat: Option<Addr>,
    /// Translated destination address.
    pub dnat: Option<Addr>,
    /// Translated source port.
    pub spat: Option<u16>,
    /// Translated destination port.
    pub dpat: Option<u16>,
    /// TCP sequence adjustment, original and reply.
    pub seq_adj: Option<[SeqAdj; 2]>,
    /// Name of the helper.
    pub helper: Option<Name<15>>,
    /// Labels: 128 bits in words of host byte order, as the kernel has them.
    pub labels: Option<[u8; 16]>,
    /// SYN proxy state.
    pub synproxy: Option<Synproxy>,
}

/// The protocols whose ports travel (sync-protocol.md §3.1).
pub(crate) fn has_ports(proto: u8) -> bool {
    matches!(proto, ipproto::TCP | ipproto::UDP | ipproto::SCTP | ipproto::DCCP)
}

/// True for ICMP and ICMPv6.
pub(crate) fn is_icmp(proto: u8) -> bool {
    matches!(proto, ipproto::ICMP | ipproto::ICMPV6)
}

impl Flow {
    /// Takes what is replicated out of a kernel message.
    ///
    /// Translation is what the DONE bits of the status and the difference between the tuples say
    /// (sync-protocol.md §3.1). A translation of ICMP ids is left out: where the kernel has NAT hooks, every
    /// ping looks like one.
    ///
    /// # Errors
    /// As the accessors of [`FlowView`], for the first attribute that cannot be read.
    pub fn from_kernel(view: &FlowView<'_>) -> Result<Flow, WireError> {
        let orig = view.orig_shape()?.tuple();
        let reply = view.reply_shape()?.tuple();
        let status = view.status()?;
        let mut f = Flow {
            orig,
            reply_zone: reply.zone,
            zone: view.zone()?,
            status,
            timeout_s: view.timeout_s()?,
            mark: view.mark()?,
            proto: view.protoinfo()?.map(replicated),
            labels: view.raw(cta::LABELS).map(padded),
            synproxy: view.synproxy()?,
            ..Flow::default()
        };
        let status = status.unwrap_or(0);
        let ports = has_ports(orig.proto.unwrap_or(0));
        if status & ips::SRC_NAT_DONE != 0 {
            f.snat = reply.dst.filter(|a| Some(*a) != orig.src);
            f.spat = reply.dst_port.filter(|p| ports && Some(*p) != orig.src_port);
        }
        if status & ips::DST_NAT_DONE != 0 {
            f.dnat = reply.src.filter(|a| Some(*a) != orig.dst);
            f.dpat = reply.src_port.filter(|p| ports && Some(*p) != orig.dst_port);
        }
        // Few flows have these, and the index tells without a walk.
        f.helper = view.helper()?.and_then(Name::new);
        f.master = view.master()?;
        if let (Some(orig), Some(reply)) = (view.seq_adj(Dir::Orig)?, view.seq_adj(Dir::Reply)?) {
            f.seq_adj = Some([orig, reply]);
        }
        Ok(f)
    }

    /// Takes over every member that `newer` has. Both describe the same flow, so tuple and zones stay.
    pub fn merge(&mut self, newer: &Flow) {
        fn set<T: Copy>(into: &mut Option<T>, from: Option<T>) {
            if from.is_some() {
                *into = from;
            }
        }
        set(&mut self.status, newer.status);
        set(&mut self.timeout_s, newer.timeout_s);
        set(&mut self.mark, newer.mark);
        set(&mut self.snat, newer.snat);
        set(&mut self.dnat, newer.dnat);
        set(&mut self.spat, newer.spat);
        set(&mut self.dpat, newer.dpat);
        set(&mut self.seq_adj, newer.seq_adj);
        set(&mut self.helper, newer.helper);
        set(&mut self.labels, newer.labels);
        set(&mut self.synproxy, newer.synproxy);
        // Master and state come in several attributes, each of which may be missing.
        match (&mut self.master, newer.master) {
            (_, None) => {}
            (Some(old), Some(new)) => {
                set(&mut old.src, new.src);
                set(&mut old.dst, new.dst);
                set(&mut old.proto, new.proto);
                set(&mut old.src_port, new.src_port);
                set(&mut old.dst_port, new.dst_port);
            }
            (old, new) => *old = new,
        }
        match (&mut self.proto, newer.proto) {
            (_, None) => {}
            (Some(ProtoInfo::Tcp(old)), Some(ProtoInfo::Tcp(new))) => {
                set(&mut old.state, new.state);
                for (old, new) in old.wscale.iter_mut().zip(new.wscale) {
                    set(old, new);
                }
            }
            (Some(ProtoInfo::Sctp(old)), Some(ProtoInfo::Sctp(new))) => {
                set(&mut old.state, new.state);
                for (old, new) in old.vtag.iter_mut().zip(new.vtag) {
                    set(old, new);
                }
            }
            (Some(ProtoInfo::Dccp(old)), Some(ProtoInfo::Dccp(new))) => {
                set(&mut old.state, new.state);
                set(&mut old.role, new.role);
            }
            (old, new) => *old = new,
        }
    }

    /// AF_INET or AF_INET6; `None` without addresses.
    pub fn family(&self) -> Option<u8> {
        self.orig.src.map(|a| a.family())
    }

    /// The reply direction: the inverse with the translations applied. `None` for an ICMP type without an
    /// answer. GRE keys and ports that did not travel are those of the original direction.
    pub fn reply(&self) -> Option<Tuple> {
        let mut t = self.orig.inverse()?;
        t.dst = self.snat.or(t.dst);
        t.src = self.dnat.or(t.src);
        t.dst_port = self.spat.or(t.dst_port);
        t.src_port = self.dpat.or(t.src_port);
        t.zone = self.reply_zone;
        Some(t)
    }

    /// The source translation as the kernel takes it when the flow is created.
    pub fn nat_src(&self) -> Option<Nat> {
        (self.snat.is_some() || self.spat.is_some()).then_some(Nat { addr: self.snat, port: self.spat })
    }

    /// The destination translation as the kernel takes it when the flow is created.
    pub fn nat_dst(&self) -> Option<Nat> {
        (self.dnat.is_some() || self.dpat.is_some()).then_some(Nat { addr: self.dnat, port: self.dpat })
    }
}

/// The part of the protocol state that travels.
fn replicated(info: ProtoInfo) -> ProtoInfo {
    match info {
        ProtoInfo::Tcp(i) => ProtoInfo::Tcp(TcpInfo { flags: [None; 2], ..i }),
        ProtoInfo::Dccp(i) => ProtoInfo::Dccp(DccpInfo { handshake_seq: None, ..i }),
        sctp => sctp,
    }
}

/// Label words as the kernel sends them, filled up to four.
fn padded(words: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.chunks_exact_mut(4).zip(words.chunks_exact(4)) {
        to.copy_from_slice(from);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Builder, Head};
    use crate::consts::cta_help;
    use crate::header::{CtMsg, Frames};
    use crate::proto::SctpInfo;

    fn tcp() -> Tuple {
        Tuple {
            src: Some(Addr::V4([10, 0, 0, 1])),
            dst: Some(Addr::V4([192, 0, 2, 7])),
            proto: Some(ipproto::TCP),
            src_port: Some(1000),
            dst_port: Some(80),
            ..Tuple::default()
        }
    }

    fn kernel(
        orig: Tuple,
        reply: Tuple,
        status: u32,
        more: impl FnOnce(&mut Builder<'_>),
    ) -> Result<Flow, WireError> {
        let mut buf = [0xa5; 1024];
        let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
        orig.build(&mut b, cta::TUPLE_ORIG);
        reply.build(&mut b, cta::TUPLE_REPLY);
        b.put_be32(cta::STATUS, status);
        more(&mut b);
        let bytes = b.finish().unwrap();
        let msg = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
        Flow::from_kernel(&FlowView::index(msg).unwrap())
    }

    #[test]
    fn translation_needs_the_done_bit_and_a_difference() {
        let (snat, dnat) = (Addr::V4([203, 0, 113, 1]), Addr::V4([10, 9, 9, 9]));
        let plain = tcp().inverse().unwrap();
        let both =
            Tuple { src: Some(dnat), dst: Some(snat), src_port: Some(8080), dst_port: Some(40046), ..plain };
        let done = ips::SRC_NAT_DONE | ips::DST_NAT_DONE;
        let f = kernel(tcp(), both, done, |_| {}).unwrap();
        assert_eq!((f.snat, f.spat, f.dnat, f.dpat), (Some(snat), Some(40046), Some(dnat), Some(8080)));
        assert_eq!(f.reply(), Some(both));
        assert_eq!(f.nat_src(), Some(Nat { addr: Some(snat), port: Some(40046) }));
        assert_eq!(f.nat_dst(), Some(Nat { addr: Some(dnat), port: Some(8080) }));

        let f = kernel(tcp(), both, ips::DST_NAT_DONE, |_| {}).unwrap();
        assert_eq!((f.nat_src(), f.dnat), (None, Some(dnat)));
        let f = kernel(tcp(), plain, done, |_| {}).unwrap();
        assert_eq!((f.nat_src(), f.nat_dst(), f.reply()), (None, None, Some(plain)));
    }

    #[test]
    fn icmp_is_never_translated_by_its_id() {
        let ping = Tuple {
            src_port: None,
            dst_port: None,
            proto: Some(ipproto::ICMP),
            icmp_id: Some(7),
            icmp_type: Some(8),
            icmp_code: Some(0),
            ..tcp()
        };
        let reply = Tuple { icmp_id: Some(9), ..ping.inverse().unwrap() };
        let f = kernel(ping, reply, ips::SRC_NAT_DONE | ips::DST_NAT_DONE, |_| {}).unwrap();
        assert_eq!((f.spat, f.dpat, f.snat, f.dnat), (None, None, None, None));
    }

    #[test]
    fn what_does_not_travel_is_left_behind() {
        let f = kernel(tcp(), tcp().inverse().unwrap(), 8, |b| {
            ProtoInfo::Tcp(TcpInfo::created(3)).build(b, cta::PROTOINFO);
            b.put_be32(cta::ID, 5).put_be32(cta::USE, 1).put_be16(cta::ZONE, 3);
            b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
        })
        .unwrap();
        assert_eq!(f.proto, Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() })));
        assert_eq!((f.zone, f.helper), (Some(3), Name::new(b"ftp")));
        assert_eq!((f.timeout_s, f.mark, f.synproxy, f.seq_adj), (None, None, None, None));
    }

    #[test]
    fn merging_keeps_what_is_absent() {
        let mut f = Flow {
            orig: tcp(),
            mark: Some(7),
            timeout_s: Some(9),
            proto: Some(ProtoInfo::Tcp(TcpInfo {
                state: Some(1),
                wscale: [Some(5), None],
                ..TcpInfo::default()
            })),
            ..Flow::default()
        };
        f.merge(&Flow {
            orig: tcp(),
            timeout_s: Some(432_000),
            proto: Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() })),
            ..Flow::default()
        });
        assert_eq!((f.mark, f.timeout_s), (Some(7), Some(432_000)));
        let info = TcpInfo { state: Some(3), wscale: [Some(5), None], ..TcpInfo::default() };
        assert_eq!(f.proto, Some(ProtoInfo::Tcp(info)));
        let sctp = ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag: [None; 2] });
        f.merge(&Flow { proto: Some(sctp), ..Flow::default() });
        assert_eq!(f.proto, Some(sctp));
    }
}
