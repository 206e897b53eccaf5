//! The messages we send: dumps, single requests, and the flows and expectations to create.
//!
//! Every function writes one message into the caller's buffer and hands out the part it used, or
//! [`Full`]; [`REQUEST_MAX`] bytes always suffice. Sequence numbers are the caller's. Allocates nothing.

use crate::attr::NLA_F_NESTED;
use crate::build::{Builder, Full, Head};
use crate::consts::{
    af, cta, cta_expect, cta_expect_nat, cta_filter, cta_help, cta_seqadj, cta_synproxy, ipctnl, ipctnl_exp,
    ips, nlm_f,
};
use crate::expect::ExpectNat;
use crate::filter::{DumpFilter, Masked};
use crate::flow::{SeqAdj, Synproxy};
use crate::key::FlowKey;
use crate::nat::Nat;
use crate::proto::ProtoInfo;
use crate::tuple::{Addressed, Tuple};

/// A buffer of this many bytes holds any message made here.
pub const REQUEST_MAX: usize = 2048;

/// Which table a dump reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The flows.
    Conntrack,
    /// The flows, with their counters read and reset in one step.
    ConntrackZero,
    /// Flows whose DESTROY event waits for delivery.
    Dying,
    /// Flows not yet in the table; always empty since Linux 5.19.
    Unconfirmed,
    /// The expectations.
    Expect,
}

/// Asks for a dump of `table`. The dying and unconfirmed lists can be filtered by family only.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn dump<'b>(buf: &'b mut [u8], seq: u32, table: Table, filter: &DumpFilter) -> Result<&'b [u8], Full> {
    let kind = match table {
        Table::Conntrack => ipctnl::GET,
        Table::ConntrackZero => ipctnl::GET_CTRZERO,
        Table::Dying => ipctnl::GET_DYING,
        Table::Unconfirmed => ipctnl::GET_UNCONFIRMED,
        Table::Expect => ipctnl_exp::GET,
    };
    let mut b =
        Builder::new(buf, Head::new(kind, seq).flags(nlm_f::REQUEST | nlm_f::DUMP).family(filter.family));
    if matches!(table, Table::Conntrack | Table::ConntrackZero) {
        filter.build(&mut b);
    }
    b.finish()
}

/// Asks for a dump with a filter flag that does not exist. A kernel with CTA_FILTER refuses it with EINVAL;
/// an older one ignores the filter and starts to dump (ctnetlink.md §4.5), so the socket has to be
/// thrown away afterwards.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn probe_tuple_filter(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl::GET, seq).flags(nlm_f::REQUEST | nlm_f::DUMP).family(af::INET));
    b.nest(cta::FILTER | NLA_F_NESTED, |b| _ = b.put(cta_filter::ORIG_FLAGS, &0x8000_0000u32.to_ne_bytes()));
    b.finish()
}

/// Asks for the one flow with this tuple; the answer is the flow, then the acknowledgement.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn get<'b>(
    buf: &'b mut [u8],
    seq: u32,
    family: u8,
    orig: Option<&Tuple>,
    reply: Option<&Tuple>,
    zone: Option<u16>,
) -> Result<&'b [u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl::GET, seq).flags(nlm_f::REQUEST | nlm_f::ACK).family(family));
    tuples(&mut b, orig, reply);
    if let Some(z) = zone {
        b.put_be16(cta::ZONE, z);
    }
    b.finish()
}

/// Asks for the one expectation with this tuple of a flow in this zone.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn get_expect<'b>(
    buf: &'b mut [u8],
    seq: u32,
    family: u8,
    tuple: &Tuple,
    zone: Option<u16>,
) -> Result<&'b [u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl_exp::GET, seq).flags(nlm_f::REQUEST | nlm_f::ACK).family(family));
    tuple.build(&mut b, cta_expect::TUPLE);
    if let Some(z) = zone {
        b.put_be16(cta_expect::ZONE, z);
    }
    b.finish()
}

/// Asks for the number of flows and the limit.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn stats(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    Builder::new(buf, Head::new(ipctnl::GET_STATS, seq).flags(nlm_f::REQUEST | nlm_f::ACK).family(af::UNSPEC))
        .finish()
}

/// Asks for the counters of every CPU: of flows, or of expectations.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn stats_cpu(buf: &mut [u8], seq: u32, expect: bool) -> Result<&[u8], Full> {
    let kind = if expect { ipctnl_exp::GET_STATS_CPU } else { ipctnl::GET_STATS_CPU };
    Builder::new(buf, Head::new(kind, seq).flags(nlm_f::REQUEST | nlm_f::DUMP).family(af::UNSPEC)).finish()
}

fn tuples(b: &mut Builder<'_>, orig: Option<&Tuple>, reply: Option<&Tuple>) {
    if let Some(t) = orig {
        t.build(b, cta::TUPLE_ORIG);
    }
    if let Some(t) = reply {
        t.build(b, cta::TUPLE_REPLY);
    }
}

/// A flow to create, or what to change in one. Every member but the family is optional; the kernel's
/// rules are in ctnetlink.md §7.
///
/// [`NewFlow::with`] makes one: kernels get new attributes, and this gets new members.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NewFlow<'a> {
    /// AF_INET or AF_INET6; must fit the tuples.
    pub family: u8,
    /// Original direction; finds the flow to change.
    pub orig: Option<Tuple>,
    /// Reply direction. The kernel does not infer it; with NAT it has to be the plain inverse.
    pub reply: Option<Tuple>,
    /// Zone of both directions.
    pub zone: Option<u16>,
    /// Seconds to live; required to create.
    pub timeout_s: Option<u32>,
    /// IPS_* bits; CONFIRMED is added, because without it the kernel answers EBUSY.
    pub status: Option<u32>,
    /// Mark; the mask counts when an existing flow is changed.
    pub mark: Option<Masked>,
    /// State of the flow's protocol.
    pub protoinfo: Option<ProtoInfo>,
    /// Helper to attach; only when creating.
    pub helper: Option<&'a [u8]>,
    /// Source translation; only when creating.
    pub nat_src: Option<Nat>,
    /// Destination translation; only when creating.
    pub nat_dst: Option<Nat>,
    /// Original tuple of the flow that expected this one; only when creating.
    pub master: Option<Tuple>,
    /// Labels as 16 bytes in host word order, and which bits to change. All 16 are sent, because the kernel
    /// clears words that are left out.
    pub labels: Option<([u8; 16], [u8; 16])>,
    /// Sequence adjustment, original and reply.
    pub seq_adj: [Option<SeqAdj>; 2],
    /// SYN proxy state.
    pub synproxy: Option<Synproxy>,
}

impl NewFlow<'_> {
    /// The same, after `set` has filled in what is wanted.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
        set(&mut self);
        self
    }
}

/// Creates or changes a flow; `flags` are CREATE, EXCL and ACK as wanted (ctnetlink.md §7.1).
///
/// # Errors
/// [`Full`] when `buf` is too small: more than [`REQUEST_MAX`] bytes are needed only for a helper name that
/// no kernel takes.
pub fn new_flow<'b>(buf: &'b mut [u8], seq: u32, flags: u16, flow: &NewFlow<'_>) -> Result<&'b [u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl::NEW, seq).flags(nlm_f::REQUEST | flags).family(flow.family));
    tuples(&mut b, flow.orig.as_ref(), flow.reply.as_ref());
    if let Some(z) = flow.zone {
        b.put_be16(cta::ZONE, z);
    }
    if let Some(t) = flow.timeout_s {
        b.put_be32(cta::TIMEOUT, t);
    }
    if let Some(s) = flow.status {
        b.put_be32(cta::STATUS, s | ips::CONFIRMED);
    }
    if let Some(m) = flow.mark {
        b.put_be32(cta::MARK, m.value);
        if m.mask != u32::MAX {
            b.put_be32(cta::MARK_MASK, m.mask);
        }
    }
    if let Some(p) = flow.protoinfo {
        p.build(&mut b, cta::PROTOINFO);
    }
    if let Some(h) = flow.helper {
        b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, h));
    }
    if let Some(n) = flow.nat_src {
        n.build(&mut b, cta::NAT_SRC);
    }
    if let Some(n) = flow.nat_dst {
        n.build(&mut b, cta::NAT_DST);
    }
    if let Some(m) = flow.master {
        m.build(&mut b, cta::TUPLE_MASTER);
    }
    if let Some((labels, mask)) = flow.labels {
        b.put(cta::LABELS, &labels).put(cta::LABELS_MASK, &mask);
    }
    for (kind, adj) in [cta::SEQ_ADJ_ORIG, cta::SEQ_ADJ_REPLY].into_iter().zip(flow.seq_adj) {
        if let Some(a) = adj {
            b.nest(kind, |b| {
                b.put_be32(cta_seqadj::CORRECTION_POS, a.correction_pos)
                    .put(cta_seqadj::OFFSET_BEFORE, &a.offset_before.to_be_bytes())
                    .put(cta_seqadj::OFFSET_AFTER, &a.offset_after.to_be_bytes());
            });
        }
    }
    if let Some(s) = flow.synproxy {
        b.nest(cta::SYNPROXY, |b| {
            b.put_be32(cta_synproxy::ISN, s.isn)
                .put_be32(cta_synproxy::ITS, s.its)
                .put_be32(cta_synproxy::TSOFF, s.tsoff);
        });
    }
    b.finish()
}

/// Deletes one flow, if it is still the flow that was dumped: the kernel compares the id, and answers
/// ENOENT when another flow has taken over the tuple (ctnetlink.md §7.6).
///
/// # Errors
/// [`Full`] when `buf` is too small: [`REQUEST_MAX`] bytes hold the tuple of any kernel.
pub fn delete<'b>(buf: &'b mut [u8], seq: u32, flags: u16, key: &FlowKey<'_>) -> Result<&'b [u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl::DELETE, seq).flags(nlm_f::REQUEST | flags).family(key.family));
    key.tuple_and_zone(&mut b);
    if let Some(id) = key.id {
        b.put_be32(cta::ID, id);
    }
    b.finish()
}

/// Deletes the flow with this original tuple, whatever its id (ctnetlink.md §7.6).
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn delete_tuple<'b>(
    buf: &'b mut [u8],
    seq: u32,
    flags: u16,
    orig: &Addressed,
    zone: Option<u16>,
) -> Result<&'b [u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl::DELETE, seq).flags(nlm_f::REQUEST | flags).family(orig.family()));
    orig.tuple().build(&mut b, cta::TUPLE_ORIG);
    if let Some(z) = zone {
        b.put_be16(cta::ZONE, z);
    }
    b.finish()
}

/// Asks for a flow that was dumped; the answer is the flow as it is now.
///
/// # Errors
/// [`Full`] when `buf` is too small: [`REQUEST_MAX`] bytes hold the tuple of any kernel.
pub fn get_again<'b>(buf: &'b mut [u8], seq: u32, key: &FlowKey<'_>) -> Result<&'b [u8], Full> {
    let mut b = Builder::new(buf, Head::new(ipctnl::GET, seq).flags(nlm_f::REQUEST).family(key.family));
    key.tuple_and_zone(&mut b);
    b.finish()
}

/// Asks for the flow with this original tuple; the answer is the flow as it is now.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn find<'b>(buf: &'b mut [u8], seq: u32, orig: &Addressed, zone: Option<u16>) -> Result<&'b [u8], Full> {
    let mut b = Builder::new(buf, Head::new(ipctnl::GET, seq).flags(nlm_f::REQUEST).family(orig.family()));
    orig.tuple().build(&mut b, cta::TUPLE_ORIG);
    if let Some(z) = zone {
        b.put_be16(cta::ZONE, z);
    }
    b.finish()
}

/// Deletes every flow of both families, or every expectation: the one delete without a tuple.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn flush(buf: &mut [u8], seq: u32, expect: bool) -> Result<&[u8], Full> {
    let kind = if expect { ipctnl_exp::DELETE } else { ipctnl::DELETE };
    Builder::new(buf, Head::new(kind, seq).flags(nlm_f::REQUEST | nlm_f::ACK).family(af::UNSPEC)).finish()
}

/// Deletes the one expectation with this tuple.
///
/// # Errors
/// [`Full`] when `buf` is too small: it needs at most [`REQUEST_MAX`] bytes.
pub fn delete_expect<'b>(
    buf: &'b mut [u8],
    seq: u32,
    flags: u16,
    tuple: &Addressed,
) -> Result<&'b [u8], Full> {
    let mut b = Builder::new(
        buf,
        Head::new(ipctnl_exp::DELETE, seq).flags(nlm_f::REQUEST | flags).family(tuple.family()),
    );
    tuple.tuple().build(&mut b, cta_expect::TUPLE);
    b.finish()
}

/// An expectation to create; tuple, mask and master are all required by the kernel.
///
/// [`NewExpect::with`] makes one: kernels get new attributes, and this gets new members.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NewExpect<'a> {
    /// AF_INET or AF_INET6.
    pub family: u8,
    /// What is expected.
    pub tuple: Tuple,
    /// Which bits of it count; only the source part is kept by the kernel.
    pub mask: Tuple,
    /// Original tuple of the flow it belongs to, which must have a helper.
    pub master: Tuple,
    /// Seconds; on creation the helper's policy wins.
    pub timeout_s: Option<u32>,
    /// NF_CT_EXPECT_* bits.
    pub flags: Option<u32>,
    /// Policy class of the helper.
    pub class: Option<u32>,
    /// Zone of the master.
    pub zone: Option<u16>,
    /// Helper name; not used by current kernels on input.
    pub helper: Option<&'a [u8]>,
    /// The translation the expected flow will get.
    pub nat: Option<ExpectNat>,
    /// Function that sets up the expected flow.
    pub function: Option<&'a [u8]>,
}

impl NewExpect<'_> {
    /// The same, after `set` has filled in what is wanted.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
        set(&mut self);
        self
    }
}

/// Creates an expectation; `flags` as for [`new_flow`].
///
/// # Errors
/// [`Full`] when `buf` is too small: more than [`REQUEST_MAX`] bytes are needed only for names that no kernel
/// takes.
pub fn new_expect<'b>(buf: &'b mut [u8], seq: u32, flags: u16, e: &NewExpect<'_>) -> Result<&'b [u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl_exp::NEW, seq).flags(nlm_f::REQUEST | flags).family(e.family));
    e.master.build(&mut b, cta_expect::MASTER);
    e.tuple.build(&mut b, cta_expect::TUPLE);
    e.mask.build(&mut b, cta_expect::MASK);
    if let Some(t) = e.timeout_s {
        b.put_be32(cta_expect::TIMEOUT, t);
    }
    if let Some(f) = e.flags {
        b.put_be32(cta_expect::FLAGS, f);
    }
    if let Some(c) = e.class {
        b.put_be32(cta_expect::CLASS, c);
    }
    if let Some(z) = e.zone {
        b.put_be16(cta_expect::ZONE, z);
    }
    if let Some(h) = e.helper {
        b.put_str(cta_expect::HELP_NAME, h);
    }
    if let Some(n) = e.nat {
        b.nest(cta_expect::NAT, |b| {
            b.put_be32(cta_expect_nat::DIR, n.dir);
            n.tuple.build(b, cta_expect_nat::TUPLE);
        });
    }
    if let Some(f) = e.function {
        b.put_str(cta_expect::FN, f);
    }
    b.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consts::ipproto;
    use crate::error::WireError;
    use crate::filter::TupleFilter;
    use crate::flow::{Dir, FlowView};
    use crate::header::{CtMsg, Frames};
    use crate::proto::TcpInfo;
    use crate::tuple::Addr;
    use std::vec::Vec;

    fn msg(bytes: &[u8]) -> CtMsg<'_> {
        CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap()
    }

    fn tuple() -> Tuple {
        Tuple {
            src: Some(Addr::V4([10, 0, 0, 1])),
            dst: Some(Addr::V4([10, 0, 0, 2])),
            proto: Some(ipproto::TCP),
            src_port: Some(1),
            dst_port: Some(2),
            ..Tuple::default()
        }
    }

    #[test]
    fn deletes_by_tuple_always_have_one() {
        let mut buf = [0; REQUEST_MAX];
        let whole = Addressed::try_from(&tuple()).unwrap();
        let m = msg(delete_tuple(&mut buf, 3, 0, &whole, Some(7)).unwrap());
        assert_eq!((m.kind(), m.flags(), m.family()), (ipctnl::DELETE, nlm_f::REQUEST, 2));
        let f = FlowView::index(m).unwrap();
        assert_eq!((f.orig().unwrap(), f.zone().unwrap()), (Some(tuple()), Some(7)));
        let m = msg(find(&mut buf, 3, &whole, Some(7)).unwrap());
        assert_eq!((m.kind(), m.flags(), m.family()), (ipctnl::GET, nlm_f::REQUEST, 2));
        let f = FlowView::index(m).unwrap();
        assert_eq!((f.orig().unwrap(), f.zone().unwrap()), (Some(tuple()), Some(7)));
        let m = msg(delete_expect(&mut buf, 3, nlm_f::ACK, &whole).unwrap());
        assert_eq!((m.kind(), m.family()), (ipctnl_exp::DELETE, 2));
        let e = crate::expect::ExpectView::index(m).unwrap();
        assert_eq!(e.tuple_expected(), Ok(Some(tuple())));
        // What has no addresses cannot be handed to either of them.
        let v6 = Some(Addr::V6([1; 16]));
        for cut in [
            Tuple { src: None, ..tuple() },
            Tuple { dst: None, ..tuple() },
            Tuple { dst: v6, ..tuple() },
            Tuple::default(),
        ] {
            let missing = Addressed::try_from(&cut).unwrap_err();
            assert_eq!(missing, WireError::Missing { what: "CTA_TUPLE_IP" });
        }
        let v6 = Addressed::try_from(&Tuple { src: v6, dst: v6, ..tuple() }).unwrap();
        assert_eq!(msg(delete_tuple(&mut buf, 3, 0, &v6, None).unwrap()).family(), 10);
    }

    #[test]
    fn expectations_keep_their_translation() {
        let nat = ExpectNat { dir: 1, tuple: tuple() };
        let e = NewExpect {
            family: 2,
            tuple: tuple(),
            mask: tuple(),
            master: tuple(),
            nat: Some(nat),
            function: Some(b"nat-follow-master"),
            ..NewExpect::default()
        };
        let mut buf = [0; REQUEST_MAX];
        let view = crate::expect::ExpectView::index(msg(new_expect(&mut buf, 1, 0, &e).unwrap())).unwrap();
        assert_eq!(view.nat().unwrap(), Some(nat));
        assert_eq!(view.function(), Some(&b"nat-follow-master"[..]));
    }

    #[test]
    fn the_largest_flow_fits_and_reads_back() {
        let t = tuple();
        let adj = SeqAdj { correction_pos: 1, offset_before: -2, offset_after: 3 };
        let v6 = Nat { addr: Some(Addr::V6([1; 16])), port: Some(9) };
        let flow = NewFlow {
            family: 2,
            orig: Some(Tuple { zone: Some(8), ..t }),
            reply: t.inverse(),
            zone: Some(3),
            timeout_s: Some(60),
            status: Some(ips::ASSURED),
            mark: Some(Masked { value: 7, mask: 0xff }),
            protoinfo: Some(ProtoInfo::Tcp(TcpInfo::created(3))),
            helper: Some(b"fifteen-letters"),
            nat_src: Some(v6),
            nat_dst: Some(v6),
            master: Some(t),
            labels: Some(([1; 16], [0xff; 16])),
            seq_adj: [Some(adj); 2],
            synproxy: Some(Synproxy { isn: 1, its: 2, tsoff: 3 }),
        };
        let mut buf = [0xa5; REQUEST_MAX];
        let bytes = new_flow(&mut buf, 5, nlm_f::CREATE, &flow).unwrap();
        assert!(bytes.len() < REQUEST_MAX / 2, "{}", bytes.len());
        let f = FlowView::index(msg(bytes)).unwrap();
        assert_eq!(f.status(), Ok(Some(ips::ASSURED | ips::CONFIRMED)));
        assert_eq!(f.orig().unwrap().unwrap().zone, Some(8));
        assert_eq!((f.helper(), f.zone()), (Ok(Some(&b"fifteen-letters"[..])), Ok(Some(3))));
        assert_eq!(f.seq_adj(Dir::Reply), Ok(Some(adj)));
        assert_eq!(f.protoinfo(), Ok(flow.protoinfo));
    }

    #[test]
    fn a_dump_filter_has_the_nested_bit_and_host_order_flags() {
        let filter = DumpFilter {
            family: af::INET,
            orig: TupleFilter {
                dst: Some([1, 2, 3, 4]),
                proto: Some(ipproto::UDP),
                dst_port: Some(53),
                ..TupleFilter::default()
            },
            ..DumpFilter::default()
        };
        let mut buf = [0; REQUEST_MAX];
        let bytes = dump(&mut buf, 1, Table::Conntrack, &filter).unwrap();
        let m = msg(bytes);
        assert_eq!(m.flags(), nlm_f::REQUEST | nlm_f::DUMP);
        let nest = m.attrs().map(Result::unwrap).find(|a| a.kind == cta::FILTER).unwrap();
        let mut want = Vec::new();
        want.extend(8u16.to_ne_bytes());
        want.extend(cta_filter::ORIG_FLAGS.to_ne_bytes());
        want.extend((0x2u32 | 0x8 | 0x20).to_ne_bytes());
        assert_eq!(nest.value, want);
        let at = bytes.windows(2).position(|w| w == (cta::FILTER | 0x8000).to_ne_bytes());
        assert!(at.is_some(), "the NESTED bit is missing");
    }

    #[test]
    fn ports_are_asked_only_where_the_kernel_honours_them_and_ipv6_addresses_never() {
        let ports = |proto| TupleFilter { proto: Some(proto), src_port: Some(1), ..TupleFilter::default() };
        assert_eq!(ports(ipproto::TCP).flags(), 0x18);
        assert_eq!(ports(ipproto::SCTP).flags(), 0x8);
        let mut buf = [0; REQUEST_MAX];
        for (orig, attrs) in
            [(ports(ipproto::TCP), 2), (TupleFilter { dst: Some([1, 2, 3, 4]), ..ports(ipproto::TCP) }, 0)]
        {
            let filter = DumpFilter { family: af::INET6, orig, ..DumpFilter::default() };
            let bytes = dump(&mut buf, 1, Table::Conntrack, &filter).unwrap();
            assert_eq!(msg(bytes).attrs().count(), attrs);
        }
    }

    #[test]
    fn a_delete_always_carries_its_tuple() {
        let mut buf = [0; REQUEST_MAX];
        let mut dumped = [0; REQUEST_MAX];
        let flow = NewFlow { family: 2, orig: Some(tuple()), zone: Some(3), ..NewFlow::default() };
        let view = FlowView::index(msg(new_flow(&mut dumped, 1, 0, &flow).unwrap())).unwrap();
        let bytes = delete(&mut buf, 1, nlm_f::ACK, &view.key().unwrap()).unwrap();
        let sent = FlowView::index(msg(bytes)).unwrap();
        assert_eq!((sent.orig(), sent.zone(), sent.family()), (Ok(Some(tuple())), Ok(Some(3)), 2));
        let flow = NewFlow { orig: None, ..flow };
        let view = FlowView::index(msg(new_flow(&mut dumped, 1, 0, &flow).unwrap())).unwrap();
        assert_eq!(view.key().unwrap_err(), WireError::Missing { what: "CTA_TUPLE_ORIG" });
        let flow = NewFlow { orig: Some(Tuple { src: None, ..tuple() }), ..flow };
        let view = FlowView::index(msg(new_flow(&mut dumped, 1, 0, &flow).unwrap())).unwrap();
        assert!(view.key().is_err());
    }
}
