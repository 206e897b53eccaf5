//! Turns a peer's flows and expectations into requests to the kernel (conntrackd.md §7.2, ctnetlink.md §7).

use zct_wire::build::Full;
use zct_wire::consts::{ip_ct_tcp_flag as tcp, ipproto, ips, nlm_f};
use zct_wire::filter::Masked;
use zct_wire::flow::Synproxy;
use zct_wire::peer::{Expect, Flow};
use zct_wire::proto::{ProtoInfo, TcpFlags, TcpInfo};
use zct_wire::request::{self, NewExpect, NewFlow};
use zct_wire::tuple::{Addressed, Tuple};

/// The status bits that may be set when a flow is created. EXPECTED and DYING would be refused; the other
/// bits that a peer sends are set by the kernel itself, or mean nothing there (ctnetlink.md §3.9).
const STATUS: u32 = ips::SEEN_REPLY | ips::ASSURED | ips::CONFIRMED | ips::FIXED_TIMEOUT | ips::HELPER;

/// Parts that are left out of a flow because the kernel would refuse it with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// Leave out the master, which may have ended before its child.
    pub master: bool,
    /// Leave out the helper, which this node may not have.
    pub helper: bool,
}

/// The original direction with all members that the kernel insists on: ports of UDP-Lite and keys of GRE are
/// not replicated, and become zero.
fn original(flow: &Flow) -> Tuple {
    let mut t = flow.orig;
    if matches!(t.proto, Some(ipproto::GRE | ipproto::UDPLITE)) {
        t.src_port.get_or_insert(0);
        t.dst_port.get_or_insert(0);
    }
    t
}

/// The protocol's state, and how strictly the kernel is to check what follows.
///
/// Window positions cannot be restored. If the kernel knows the scales, it learns them again from the first
/// packets; without the scales, or without TCPWindowTracking, only a liberal check lets the connection
/// survive (ctnetlink.md §7.4). With the scales, both flags of their negotiation are set, since the kernel
/// takes them only then.
fn protocol(info: ProtoInfo, tracking: bool) -> Option<ProtoInfo> {
    match info {
        ProtoInfo::Tcp(TcpInfo { state, wscale, .. }) => {
            let scales = wscale.iter().all(Option::is_some);
            let known = if scales { tcp::WINDOW_SCALE | tcp::SACK_PERM } else { 0 };
            let liberal = if tracking && scales { 0 } else { tcp::BE_LIBERAL };
            let bits = known | liberal;
            let wscale = if scales { wscale } else { [None; 2] };
            let flags = Some(TcpFlags { flags: bits, mask: bits });
            Some(ProtoInfo::Tcp(TcpInfo { state, wscale, flags: [flags; 2] }))
        }
        // The kernel wants either all three or none.
        ProtoInfo::Sctp(i) if i.state.is_none() || i.vtag.iter().any(Option::is_none) => None,
        other => Some(other),
    }
}

/// The request that creates this flow; `None` for a flow that the kernel could not have, such as one with an
/// ICMP type that has no reply. `tracking` is TCPWindowTracking.
pub fn new_flow(flow: &Flow, timeout_s: u32, tracking: bool, without: Without) -> Option<NewFlow<'_>> {
    let orig = original(flow);
    // The kernel changes the reply direction itself when it is told of the translation (ctnetlink.md §7.3).
    let mut reply = orig.inverse()?;
    reply.zone = flow.reply_zone;
    let icmp = matches!(orig.proto, Some(ipproto::ICMP | ipproto::ICMPV6));
    let plain = |nat: Option<zct_wire::nat::Nat>| {
        // On a node with NAT hooks, pings come with a translation of the id that does not change it.
        let nat = nat.map(|n| zct_wire::nat::Nat { port: n.port.filter(|_| !icmp), ..n });
        nat.filter(|n| n.addr.is_some() || n.port.is_some())
    };
    let [adj_orig, adj_reply] = flow.seq_adj.map_or([None; 2], |[a, b]| [Some(a), Some(b)]);
    let family = flow.family()?;
    Some(NewFlow::default().with(|it| {
        it.family = family;
        it.orig = Some(orig);
        it.reply = Some(reply);
        it.zone = flow.zone;
        it.timeout_s = Some(timeout_s);
        it.status = flow.status.map(|s| s & STATUS);
        it.mark = flow.mark.map(|value| Masked { value, mask: u32::MAX });
        it.protoinfo = flow.proto.and_then(|p| protocol(p, tracking));
        it.helper = flow.helper.as_ref().filter(|_| !without.helper).map(|h| h.as_bytes());
        it.nat_src = plain(flow.nat_src());
        it.nat_dst = plain(flow.nat_dst());
        it.master = flow.master.filter(|_| !without.master);
        it.labels = flow.labels.map(|l| (l, [0xff; 16]));
        it.seq_adj = [adj_orig, adj_reply];
        // If all values are zero, the kernel sets them by itself.
        it.synproxy = flow.synproxy.filter(|s| *s != Synproxy::default());
    }))
}

/// The request that changes this flow: without what can only be set when it is created.
pub fn change_flow(flow: &Flow, timeout_s: u32, tracking: bool) -> Option<NewFlow<'_>> {
    let new = new_flow(flow, timeout_s, tracking, Without { master: true, helper: true })?;
    // The kernel finds the flow by its original direction; the reply direction of a translated one would not
    // be the inverse.
    Some(new.with(|it| {
        it.reply = None;
        it.nat_src = None;
        it.nat_dst = None;
    }))
}

/// Writes the request that creates a flow; the kernel refuses it if the flow exists.
pub fn create<'b>(buf: &'b mut [u8], seq: u32, new: &NewFlow<'_>) -> Result<&'b [u8], Full> {
    request::new_flow(buf, seq, nlm_f::CREATE | nlm_f::EXCL, new)
}

/// The key that a flow is deleted by; `None` without addresses, since the kernel has no such flow, and there
/// is nothing to delete.
pub fn flow_key(flow: &Flow) -> Option<Addressed> {
    Addressed::try_from(&original(flow)).ok()
}

/// Writes the request that deletes a flow with this key.
pub fn delete<'b>(buf: &'b mut [u8], seq: u32, key: &Addressed, flow: &Flow) -> Result<&'b [u8], Full> {
    request::delete_tuple(buf, seq, 0, key, flow.zone)
}

/// The request that creates an expectation; `None` without addresses.
pub fn new_expect(e: &Expect) -> Option<NewExpect<'_>> {
    let family = e.family()?;
    Some(NewExpect::default().with(|it| {
        it.family = family;
        it.tuple = e.tuple;
        it.mask = e.mask;
        it.master = e.master;
        it.timeout_s = e.timeout_s;
        it.flags = e.flags;
        it.class = e.class;
        it.zone = None;
        it.helper = e.helper.as_ref().map(|h| h.as_bytes());
        it.nat = e.nat;
        it.function = e.function.as_ref().map(|f| f.as_bytes());
    }))
}

/// Writes the request that creates an expectation; the kernel refuses it if the expectation exists.
pub fn create_expect<'b>(buf: &'b mut [u8], seq: u32, e: &NewExpect<'_>) -> Result<&'b [u8], Full> {
    request::new_expect(buf, seq, nlm_f::CREATE | nlm_f::EXCL, e)
}

/// The key that an expectation is deleted by; `None` as for [`flow_key`].
pub fn expect_key(e: &Expect) -> Option<Addressed> {
    Addressed::try_from(&e.tuple).ok()
}

/// Writes the request that deletes an expectation with this key.
pub fn delete_expect<'b>(buf: &'b mut [u8], seq: u32, key: &Addressed) -> Result<&'b [u8], Full> {
    request::delete_expect(buf, seq, 0, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::peer::Name;
    use zct_wire::proto::SctpInfo;
    use zct_wire::tuple::Addr;

    fn flow(proto: u8) -> Flow {
        let orig = Tuple {
            src: Some(Addr::V4([10, 1, 0, 2])),
            dst: Some(Addr::V4([10, 2, 0, 2])),
            proto: Some(proto),
            src_port: Some(1000),
            dst_port: Some(80),
            ..Tuple::default()
        };
        Flow { orig, ..Flow::default() }
    }

    fn tcp_flags(wscale: [Option<u8>; 2], tracking: bool) -> (u8, u8, [Option<u8>; 2]) {
        let info = ProtoInfo::Tcp(TcpInfo { state: Some(3), wscale, ..TcpInfo::default() });
        let f = Flow { proto: Some(info), ..flow(6) };
        let new = new_flow(&f, 60, tracking, Without::default()).unwrap();
        let Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), wscale, flags: [Some(a), Some(b)] })) =
            new.protoinfo
        else {
            panic!("{:?}", new.protoinfo)
        };
        assert_eq!(a, b);
        (a.flags, a.mask, wscale)
    }

    /// The rows of ctnetlink.md §7.4 in which no packet is judged invalid.
    #[test]
    fn connections_survive_by_scales_or_by_leniency() {
        let scales = [Some(7), Some(10)];
        assert_eq!(tcp_flags([None; 2], false), (0x08, 0x08, [None; 2]));
        assert_eq!(tcp_flags(scales, false), (0x0b, 0x0b, scales));
        assert_eq!(tcp_flags(scales, true), (0x03, 0x03, scales));
        // Asked to be strict, but without the scales to be strict by.
        assert_eq!(tcp_flags([None; 2], true), (0x08, 0x08, [None; 2]));
        assert_eq!(tcp_flags([Some(1), None], true), (0x08, 0x08, [None; 2]));
    }

    #[test]
    fn status_and_translation_are_what_the_kernel_takes() {
        let snat = Some(Addr::V4([203, 0, 113, 1]));
        let f = Flow { status: Some(0x23ff), snat, spat: Some(40046), ..flow(6) };
        let new = new_flow(&f, 60, false, Without::default()).unwrap();
        assert_eq!(new.status, Some(0x200e));
        assert_eq!(new.reply, f.orig.inverse());
        let nat = new.nat_src.unwrap();
        assert_eq!((nat.addr, nat.port, new.nat_dst), (snat, Some(40046), None));
        let change = change_flow(&f, 60, false).unwrap();
        assert!(change.nat_src.is_none() && change.reply.is_none() && change.orig.is_some());
        // An id that was translated into itself.
        let ping = Flow { spat: Some(0), dpat: Some(0), ..flow(1) };
        let orig = Tuple { icmp_type: Some(8), icmp_code: Some(0), icmp_id: Some(7), ..ping.orig };
        let ping = Flow { orig, ..ping };
        let new = new_flow(&ping, 30, false, Without::default()).unwrap();
        assert_eq!((new.nat_src, new.nat_dst), (None, None));
    }

    #[test]
    fn what_stands_in_the_way_can_be_left_out() {
        let f = Flow { master: Some(flow(6).orig), helper: Name::new(b"ftp"), ..flow(6) };
        let all = new_flow(&f, 60, false, Without::default()).unwrap();
        assert!(all.master.is_some() && all.helper == Some(b"ftp"));
        let less = new_flow(&f, 60, false, Without { master: true, helper: true }).unwrap();
        assert!(less.master.is_none() && less.helper.is_none());
    }

    #[test]
    fn incomplete_flows() {
        let gre = Flow { orig: Tuple { src_port: None, dst_port: None, ..flow(47).orig }, ..flow(47) };
        let new = new_flow(&gre, 60, false, Without::default()).unwrap();
        assert_eq!(new.orig.unwrap().src_port, Some(0));
        let sctp =
            |vtag| Flow { proto: Some(ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag })), ..flow(132) };
        for (vtag, there) in [([Some(1), Some(2)], true), ([Some(1), None], false)] {
            let f = sctp(vtag);
            assert_eq!(new_flow(&f, 60, false, Without::default()).unwrap().protoinfo.is_some(), there);
        }
        // Without addresses there is nothing to create, and nothing to delete by.
        let nowhere = Flow { orig: Tuple { src: None, dst: None, ..flow(6).orig }, ..flow(6) };
        assert!(flow_key(&nowhere).is_none() && new_flow(&nowhere, 60, false, Without::default()).is_none());
        assert!(expect_key(&Expect::default()).is_none());
        // The reply to an address mask request has no flow of its own.
        let odd = Tuple { icmp_type: Some(5), icmp_code: Some(0), icmp_id: Some(1), ..flow(1).orig };
        assert!(new_flow(&Flow { orig: odd, ..flow(1) }, 60, false, Without::default()).is_none());
    }
}
