//! `-o save`: each flow as the command that makes it again (command-line.md §3.3).

use super::{Out, line, proto_name};
use crate::consts::{ipproto, ips};
use crate::error::WireError;
use crate::flow::FlowView;
use crate::proto::{DCCP_STATES, ProtoInfo, SCTP_STATES, StateOf, TCP_STATES};
use crate::tuple::{Shape, Tuple, Usual};

/// What a saved line will do when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `-A`: adds a flow that was in the table, or was created.
    Add,
    /// `-U`: updates a flow that changed.
    Update,
    /// `-D`: deletes a flow that ended.
    Delete,
}

impl From<crate::event::Event> for Verb {
    fn from(kind: crate::event::Event) -> Verb {
        match kind {
            crate::event::Event::New => Verb::Add,
            crate::event::Event::Update => Verb::Update,
            crate::event::Event::Destroy => Verb::Delete,
        }
    }
}

/// Appends one flow without a newline.
///
/// The mark comes after the status, because the original forgets a mark that comes before it. A line that
/// deletes has no mark: it would restrict what is deleted, and the flow may have another mark by then.
/// Labels, helper and counters are never saved.
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn flow(out: &mut Out<'_>, f: &FlowView<'_>, verb: Verb) -> Result<(), WireError> {
    let orig = f.orig_shape()?;
    let reply = f.reply_shape()?;
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
    if verb != Verb::Delete {
        if let Some(m) = f.mark()? {
            number(out, b"-m ", m);
        }
    }
    if let Some(s) = f.secmark()? {
        number(out, b"-c ", s);
    }
    if let Some(z) = f.zone()? {
        number(out, b"-w ", u32::from(z));
    }
    let adds = verb == Verb::Add;
    match (&orig, &reply) {
        (Shape::V4(o), Shape::V4(r)) if line::has_ports(o.proto) => {
            usual(out, o, r, status, adds, |out, a| out.ipv4(*a));
        }
        (Shape::V6(o), Shape::V6(r)) if line::has_ports(o.proto) => {
            usual(out, o, r, status, adds, |out, a| out.ipv6(a));
        }
        _ => any(out, &orig.tuple(), &reply.tuple(), status, adds),
    }
    state(out, f, orig.proto())?;
    out.trim_blank();
    Ok(())
}

#[inline]
fn number<const N: usize>(out: &mut Out<'_>, option: &[u8; N], value: u32) {
    out.lit(option);
    out.u32(value);
    out.byte(b' ');
}

/// True when a reply that `differs` from the plain inverse of the original direction means a translation:
/// the kernel says that it has translated this side, or does not say.
///
/// A line that adds a flow compares addresses and ports. The original compares addresses alone, and a flow
/// whose port alone is translated comes back untranslated. In lines that select a flow, `-n` and `-g` match
/// the address, so there it alone counts.
#[inline]
fn translated(status: Option<u32>, done: u32, differs: bool) -> bool {
    differs && status.is_none_or(|s| s & done != 0)
}

/// Addresses, protocol and ports of the usual shapes, as they lie in the message.
#[inline]
fn usual<const N: usize>(
    out: &mut Out<'_>,
    orig: &Usual<'_, N>,
    reply: &Usual<'_, N>,
    status: Option<u32>,
    adds: bool,
    addr: impl Fn(&mut Out<'_>, &[u8; N]),
) {
    let dst_differs = reply.src != orig.dst || adds && reply.src_port != orig.dst_port;
    let src_differs = reply.dst != orig.src || adds && reply.dst_port != orig.src_port;
    let dnat = translated(status, ips::DST_NAT_DONE, dst_differs);
    let snat = translated(status, ips::SRC_NAT_DONE, src_differs);
    out.lit(b"-s ");
    addr(out, orig.src);
    out.lit(b" -d ");
    addr(out, orig.dst);
    out.lit(if dnat { b" -g " } else { b" -r " });
    addr(out, reply.src);
    out.lit(if snat { b" -n " } else { b" -q " });
    addr(out, reply.dst);
    match orig.proto {
        ipproto::TCP => out.lit(b" -p tcp --sport "),
        ipproto::UDP => out.lit(b" -p udp --sport "),
        other => {
            out.lit(b" -p ");
            out.put(proto_name(other));
            out.lit(b" --sport ");
        }
    }
    out.u32(u32::from(orig.src_port));
    out.lit(b" --dport ");
    out.u32(u32::from(orig.dst_port));
    out.lit(b" --reply-port-src ");
    out.u32(u32::from(reply.src_port));
    out.lit(b" --reply-port-dst ");
    out.u32(u32::from(reply.dst_port));
    out.byte(b' ');
}

/// Those members that are there: zones, addresses, protocol and what tells flows apart above IP.
fn any(out: &mut Out<'_>, orig: &Tuple, reply: &Tuple, status: Option<u32>, adds: bool) {
    if let Some(z) = orig.zone {
        number(out, b"--orig-zone ", u32::from(z));
    }
    if let Some(z) = reply.zone {
        number(out, b"--reply-zone ", u32::from(z));
    }
    let ports = adds && orig.proto.is_some_and(line::has_ports);
    let dst_differs = reply.src != orig.dst || ports && reply.src_port != orig.dst_port;
    let src_differs = reply.dst != orig.src || ports && reply.dst_port != orig.src_port;
    let dnat = translated(status, ips::DST_NAT_DONE, dst_differs);
    let snat = translated(status, ips::SRC_NAT_DONE, src_differs);
    let addresses: [(&[u8; 3], _); 4] = [
        (b"-s ", orig.src),
        (b"-d ", orig.dst),
        (if dnat { b"-g " } else { b"-r " }, reply.src),
        (if snat { b"-n " } else { b"-q " }, reply.dst),
    ];
    for (option, addr) in addresses {
        if let Some(a) = addr {
            out.lit(option);
            out.addr(&a);
            out.byte(b' ');
        }
    }
    if let Some(proto) = orig.proto {
        protocol(out, proto, orig, reply);
    }
}

fn status_list(out: &mut Out<'_>, status: u32) {
    const NAMES: [(u32, &[u8]); 4] = [
        (ips::EXPECTED, b"EXPECTED"),
        (ips::SEEN_REPLY, b"SEEN_REPLY"),
        (ips::ASSURED, b"ASSURED"),
        (ips::FIXED_TIMEOUT, b"FIXED_TIMEOUT"),
    ];
    // What most flows on a firewall have, in one piece.
    const SEEN: u32 = ips::SEEN_REPLY | ips::ASSURED;
    match status & NAMES.iter().fold(0, |all, (bit, _)| all | bit) {
        SEEN => return out.lit(b"-u SEEN_REPLY,ASSURED "),
        0 => return out.lit(b"-u UNSET "),
        _ => {}
    }
    out.lit(b"-u ");
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

fn protocol(out: &mut Out<'_>, proto: u8, orig: &Tuple, reply: &Tuple) {
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
        _ => return,
    };
    for (option, value) in ports {
        if let Some(v) = value {
            out.put(option);
            out.u32(u32::from(v));
            out.byte(b' ');
        }
    }
}

/// State, and what else a protocol keeps of a flow.
#[inline]
fn state(out: &mut Out<'_>, f: &FlowView<'_>, proto: u8) -> Result<(), WireError> {
    // The state alone is cheaper to read than everything TCP keeps.
    if proto == ipproto::TCP {
        match f.state()? {
            Some((StateOf::Tcp, 3)) => out.lit(b"--state ESTABLISHED "),
            Some((StateOf::Tcp, number)) => state_name(out, Some(number), TCP_STATES),
            _ => {}
        }
        return Ok(());
    }
    match (proto, f.protoinfo()?) {
        (ipproto::SCTP, Some(ProtoInfo::Sctp(i))) => {
            // The original writes the heartbeat states, 8 and 9, as (null), which nobody can read.
            state_name(out, i.state, SCTP_STATES);
            let [orig, reply] = i.vtag;
            if let Some(tag) = orig {
                number(out, b"--orig-vtag ", tag);
            }
            if let Some(tag) = reply {
                number(out, b"--reply-vtag ", tag);
            }
        }
        (ipproto::DCCP, Some(ProtoInfo::Dccp(i))) => {
            state_name(out, i.state, DCCP_STATES);
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

fn state_name(out: &mut Out<'_>, state: Option<u8>, names: &[&[u8]]) {
    if let Some(s) = state {
        out.lit(b"--state ");
        out.put(names.get(usize::from(s)).copied().unwrap_or(b"(null)"));
        out.byte(b' ');
    }
}
