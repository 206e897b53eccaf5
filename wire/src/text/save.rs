//! `-o save`: each flow as the command that makes it again (spec/cli.md §3.3).

use super::{Out, proto_name};
use crate::consts::{ipproto, ips};
use crate::error::WireError;
use crate::flow::FlowView;
use crate::proto::{DCCP_STATES, ProtoInfo, SCTP_STATES, TCP_STATES};
use crate::tuple::Tuple;

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
    let addresses: [(&[u8], _); 4] = [
        (b"-s ", orig.src),
        (b"-d ", orig.dst),
        (if dnat { b"-g " } else { b"-r " }, reply.src),
        (if snat { b"-n " } else { b"-q " }, reply.dst),
    ];
    for (option, addr) in addresses {
        if let Some(a) = addr {
            out.put(option);
            out.addr(&a);
            out.byte(b' ');
        }
    }
    protocol(out, f, &orig, &reply)?;
    out.trim_blank();
    Ok(())
}

fn number(out: &mut Out<'_>, option: &[u8], value: u32) {
    out.put(option);
    out.u32(value);
    out.byte(b' ');
}

fn status_list(out: &mut Out<'_>, status: u32) {
    const NAMES: [(u32, &[u8]); 4] = [
        (ips::EXPECTED, b"EXPECTED"),
        (ips::SEEN_REPLY, b"SEEN_REPLY"),
        (ips::ASSURED, b"ASSURED"),
        (ips::FIXED_TIMEOUT, b"FIXED_TIMEOUT"),
    ];
    out.lit(b"-u ");
    let mut first = true;
    for (_, name) in NAMES.into_iter().filter(|(bit, _)| status & bit != 0) {
        if !first {
            out.byte(b',');
        }
        out.put(name);
        first = false;
    }
    if first {
        out.lit(b"UNSET");
    }
    out.byte(b' ');
}

fn protocol(out: &mut Out<'_>, f: &FlowView<'_>, orig: &Tuple, reply: &Tuple) -> Result<(), WireError> {
    let Some(proto) = orig.proto else { return Ok(()) };
    out.lit(b"-p ");
    match proto_name(proto) {
        b"unknown" => out.u32(u32::from(proto)),
        name => out.put(name),
    }
    out.byte(b' ');
    let ports: [(&[u8], _); 4] = match proto {
        ipproto::TCP | ipproto::UDP | ipproto::UDPLITE | ipproto::SCTP | ipproto::DCCP => [
            (b"--sport ", orig.src_port),
            (b"--dport ", orig.dst_port),
            (b"--reply-port-src ", reply.src_port),
            (b"--reply-port-dst ", reply.dst_port),
        ],
        ipproto::GRE => [
            (b"--srckey ", orig.src_port),
            (b"--dstkey ", orig.dst_port),
            (b"--reply-key-src ", reply.src_port),
            (b"--reply-key-dst ", reply.dst_port),
        ],
        ipproto::ICMP => [
            (b"--icmp-type ", orig.icmp_type.map(u16::from)),
            (b"--icmp-code ", orig.icmp_code.map(u16::from)),
            (b"--icmp-id ", orig.icmp_id),
            (b"", None),
        ],
        ipproto::ICMPV6 => [
            (b"--icmpv6-type ", orig.icmp_type.map(u16::from)),
            (b"--icmpv6-code ", orig.icmp_code.map(u16::from)),
            (b"--icmpv6-id ", orig.icmp_id),
            (b"", None),
        ],
        _ => return Ok(()),
    };
    for (option, value) in ports {
        if let Some(v) = value {
            number(out, option, u32::from(v));
        }
    }
    match (proto, f.protoinfo()?) {
        (ipproto::TCP, Some(ProtoInfo::Tcp(i))) => state(out, i.state, TCP_STATES),
        (ipproto::SCTP, Some(ProtoInfo::Sctp(i))) => {
            // The original knows no name for the heartbeat states here, 8 and 9.
            state(out, i.state, SCTP_STATES.get(..8).unwrap_or_default());
            for (option, tag) in [&b"--orig-vtag "[..], b"--reply-vtag "].into_iter().zip(i.vtag) {
                if let Some(t) = tag {
                    number(out, option, t);
                }
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
