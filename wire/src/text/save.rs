//! `-o save`: each flow as the command that makes it again (spec/cli.md §3.3).

use super::{Out, proto_name};
use crate::consts::{ipproto, ips};
use crate::error::WireError;
use crate::flow::FlowView;
use crate::proto::{DCCP_STATES, ProtoInfo, SCTP_STATES, StateOf, TCP_STATES};
use crate::tuple::{Addr, Tuple};

/// What a saved line does when it is loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `-A`: what is in the table, or was created.
    Add,
    /// `-U`: what changed.
    Update,
    /// `-D`: what ended.
    Delete,
}

impl From<super::EventKind> for Verb {
    fn from(kind: super::EventKind) -> Verb {
        match kind {
            super::EventKind::New => Verb::Add,
            super::EventKind::Update => Verb::Update,
            super::EventKind::Destroy => Verb::Delete,
        }
    }
}

/// Appends one flow without a newline.
///
/// Mark, labels, helper and counters are not in it: the original leaves them out, and lines are compared.
pub fn flow(out: &mut Out<'_>, f: &FlowView<'_>, verb: Verb) -> Result<(), WireError> {
    let orig = f.orig()?.unwrap_or_default();
    let reply = f.reply()?.unwrap_or_default();
    let status = f.status()?;
    out.lit(match verb {
        Verb::Add => b"-A ",
        Verb::Update => b"-U ",
        Verb::Delete => b"-D ",
    });
    if let Some(t) = f.timeout_s()? {
        number(out, b"-t ", t);
    }
    if let Some(s) = status {
        status_list(out, s);
    }
    if let Some(s) = f.secmark()? {
        number(out, b"-c ", s);
    }
    if let Some(z) = f.zone()? {
        number(out, b"-w ", u32::from(z));
    }
    if let Some(z) = orig.zone {
        number(out, b"--orig-zone ", u32::from(z));
    }
    if let Some(z) = reply.zone {
        number(out, b"--reply-zone ", u32::from(z));
    }
    let nat_done = |bit| status.is_none_or(|s| s & bit != 0);
    let dnat = nat_done(ips::DST_NAT_DONE) && reply.src != orig.dst;
    let snat = nat_done(ips::SRC_NAT_DONE) && reply.dst != orig.src;
    address(out, b"-s ", &orig.src);
    address(out, b"-d ", &orig.dst);
    address(out, if dnat { b"-g " } else { b"-r " }, &reply.src);
    address(out, if snat { b"-n " } else { b"-q " }, &reply.dst);
    protocol(out, f, &orig, &reply)?;
    out.trim_blank();
    Ok(())
}

fn number<const N: usize>(out: &mut Out<'_>, option: &[u8; N], value: u32) {
    out.lit(option);
    out.u32_blank(value);
}

fn address(out: &mut Out<'_>, option: &[u8; 3], addr: &Option<Addr>) {
    match addr {
        Some(Addr::V4(a)) => out.keyed_ipv4(option, *a),
        Some(Addr::V6(a)) => {
            out.lit(option);
            out.ipv6(a);
        }
        None => return,
    }
    out.byte(b' ');
}

/// Ports or keys that were sent.
fn ports<const A: usize, const B: usize>(
    out: &mut Out<'_>,
    prefix: &[u8; A],
    (src_option, dst_option): (&[u8; B], &[u8; B]),
    (src, dst): (Option<u16>, Option<u16>),
) {
    if let Some(p) = src {
        out.lit(prefix);
        out.keyed_blank(src_option, p);
    }
    if let Some(p) = dst {
        out.lit(prefix);
        out.keyed_blank(dst_option, p);
    }
}

/// What identifies a query.
fn icmp<const T: usize, const C: usize, const I: usize>(
    out: &mut Out<'_>,
    (ty, code, id): (&[u8; T], &[u8; C], &[u8; I]),
    t: &Tuple,
) {
    if let Some(v) = t.icmp_type {
        number(out, ty, u32::from(v));
    }
    if let Some(v) = t.icmp_code {
        number(out, code, u32::from(v));
    }
    if let Some(v) = t.icmp_id {
        number(out, id, u32::from(v));
    }
}

fn status_list(out: &mut Out<'_>, status: u32) {
    const NAMES: [(u32, &[u8]); 4] = [
        (ips::EXPECTED, b"EXPECTED"),
        (ips::SEEN_REPLY, b"SEEN_REPLY"),
        (ips::ASSURED, b"ASSURED"),
        (ips::FIXED_TIMEOUT, b"FIXED_TIMEOUT"),
    ];
    const LISTED: u32 = ips::EXPECTED | ips::SEEN_REPLY | ips::ASSURED | ips::FIXED_TIMEOUT;
    const ANSWERED: u32 = ips::SEEN_REPLY | ips::ASSURED;
    match status & LISTED {
        // What nearly all flows have, in one piece.
        ANSWERED => return out.lit(b"-u SEEN_REPLY,ASSURED "),
        0 => return out.lit(b"-u UNSET "),
        _ => out.lit(b"-u "),
    }
    let mut first = true;
    for (_, name) in NAMES.into_iter().filter(|(bit, _)| status & bit != 0) {
        if !first {
            out.byte(b',');
        }
        out.put(name);
        first = false;
    }
    out.byte(b' ');
}

fn protocol(out: &mut Out<'_>, f: &FlowView<'_>, orig: &Tuple, reply: &Tuple) -> Result<(), WireError> {
    let Some(proto) = orig.proto else { return Ok(()) };
    match proto {
        ipproto::TCP => out.lit(b"-p tcp "),
        ipproto::UDP => out.lit(b"-p udp "),
        other => {
            out.lit(b"-p ");
            match proto_name(other) {
                b"unknown" => out.u32(u32::from(other)),
                name => out.put(name),
            }
            out.byte(b' ');
        }
    }
    let (of_orig, of_reply) = ((orig.src_port, orig.dst_port), (reply.src_port, reply.dst_port));
    match proto {
        ipproto::TCP | ipproto::UDP | ipproto::UDPLITE | ipproto::SCTP | ipproto::DCCP => {
            ports(out, b"", (b"--sport ", b"--dport "), of_orig);
            ports(out, b"--reply-port", (b"-src ", b"-dst "), of_reply);
        }
        ipproto::GRE => {
            ports(out, b"", (b"--srckey ", b"--dstkey "), of_orig);
            ports(out, b"--reply-key", (b"-src ", b"-dst "), of_reply);
        }
        ipproto::ICMP => icmp(out, (b"--icmp-type ", b"--icmp-code ", b"--icmp-id "), orig),
        ipproto::ICMPV6 => icmp(out, (b"--icmpv6-type ", b"--icmpv6-code ", b"--icmpv6-id "), orig),
        _ => return Ok(()),
    }
    if proto == ipproto::TCP {
        // The rest of the protocol's information is not saved.
        if let Some((StateOf::Tcp, number)) = f.state()? {
            state(out, Some(number), TCP_STATES);
        }
        return Ok(());
    }
    match (proto, f.protoinfo()?) {
        (ipproto::SCTP, Some(ProtoInfo::Sctp(i))) => {
            // The original knows no name for the heartbeat states here, 8 and 9.
            state(out, i.state, SCTP_STATES.get(..8).unwrap_or_default());
            let [orig_tag, reply_tag] = i.vtag;
            if let Some(t) = orig_tag {
                number(out, b"--orig-vtag ", t);
            }
            if let Some(t) = reply_tag {
                number(out, b"--reply-vtag ", t);
            }
        }
        (ipproto::DCCP, Some(ProtoInfo::Dccp(i))) => {
            state(out, i.state, DCCP_STATES);
            if let Some(role) = i.role {
                out.lit(b"--role ");
                out.put(if role == 0 { b"client" } else { b"server" });
                out.byte(b' ');
            }
        }
        _ => {}
    }
    Ok(())
}

fn state(out: &mut Out<'_>, state: Option<u8>, names: &[&[u8]]) {
    if let Some(s) = state {
        out.lit(b"--state ");
        out.put(names.get(usize::from(s)).copied().unwrap_or(b"(null)"));
        out.byte(b' ');
    }
}
