//! The conntrack line, and what goes around it in events (command-line.md §3.1, §3.2).

use super::{EventTime, Facts, Out, Style, TextContext, proto_name};
use crate::consts::{af, ipproto, ips};
use crate::error::WireError;
use crate::event::Event;
use crate::flow::{Dir, FlowView, Timestamps};
use crate::proto::StateOf;
use crate::tuple::{Shape, Tuple};

/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// Appends one flow without a newline.
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn flow(
    out: &mut Out<'_>,
    f: &FlowView<'_>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    any(out, f, style, ctx)
}

/// The same for a flow that is not in a kernel's message.
///
/// # Errors
/// As [`flow`].
pub fn facts(
    out: &mut Out<'_>,
    f: &dyn Facts,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    any(out, f, style, ctx)
}

/// The same for flows of any one type: compiled for it where it is called, which is faster than [`facts`] and
/// larger.
///
/// # Errors
/// As [`flow`].
#[inline]
pub fn any<F: Facts + ?Sized>(
    out: &mut Out<'_>,
    f: &F,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let orig = f.orig()?;
    let reply = f.reply()?;
    let status = f.status()?;
    if style.extended {
        family(out, f.family());
    }
    let proto = orig.proto();
    protocol(out, proto);
    if let Some(t) = f.timeout_s()? {
        out.u32_blank(t);
    }
    if let Some((of, number)) = f.state()? {
        state(out, proto, of, number);
    }
    direction(out, &orig, proto, b"zone-orig=");
    counters(out, f, Dir::Orig)?;
    if status.is_some_and(|s| s & ips::SEEN_REPLY == 0) {
        out.lit(b"[UNREPLIED] ");
    }
    if let Some(reply) = &reply {
        direction(out, reply, proto, b"zone-reply=");
    }
    counters(out, f, Dir::Reply)?;
    match status.unwrap_or(0) {
        s if s & ips::HW_OFFLOAD != 0 => out.lit(b"[HW_OFFLOAD] "),
        s if s & ips::OFFLOAD != 0 => out.lit(b"[OFFLOAD] "),
        s if s & ips::ASSURED != 0 => out.lit(b"[ASSURED] "),
        _ => {}
    }
    if let Some(m) = f.mark()? {
        match m {
            0 => out.lit(b"mark=0 "),
            m => {
                out.lit(b"mark=");
                out.u32(m);
                out.byte(b' ');
            }
        }
    }
    if let Some(m) = f.secmark()? {
        out.lit(b"secmark=");
        out.u32(m);
        out.byte(b' ');
    }
    if let Some(name) = f.secctx()? {
        out.lit(b"secctx=");
        out.put(name);
        out.byte(b' ');
    }
    if let Some(z) = f.zone()? {
        out.lit(b"zone=");
        out.u32(u32::from(z));
        out.byte(b' ');
    }
    if let Some(t) = f.timestamps()? {
        times(out, &t, style, ctx);
    }
    if let Some(name) = f.helper()? {
        out.lit(b"helper=");
        out.put(name);
        out.byte(b' ');
    }
    if let Some(u) = f.use_count()? {
        match u {
            1 => out.lit(b"use=1 "),
            u => {
                out.lit(b"use=");
                out.u32(u);
                out.byte(b' ');
            }
        }
    }
    if style.id {
        if let Some(id) = f.id()? {
            out.lit(b"id=");
            out.u32(id);
            out.byte(b' ');
        }
    }
    labels(out, f, ctx);
    out.trim_blank();
    Ok(())
}

/// Layer 3 name and number.
fn family(out: &mut Out<'_>, family: u8) {
    match family {
        af::INET => out.lit(b"ipv4     2 "),
        af::INET6 => out.lit(b"ipv6     10 "),
        n => {
            out.lit(b"unknown  ");
            out.u32(u32::from(n));
            out.byte(b' ');
        }
    }
}

/// Layer 4 name and number.
#[inline]
fn protocol(out: &mut Out<'_>, proto: u8) {
    match proto {
        ipproto::TCP => out.lit(b"tcp      6 "),
        ipproto::UDP => out.lit(b"udp      17 "),
        ipproto::ICMP => out.lit(b"icmp     1 "),
        ipproto::ICMPV6 => out.lit(b"icmpv6   58 "),
        n => {
            let name = proto_name(n);
            out.put(name);
            out.put(b"         ".get(name.len()..).unwrap_or_default());
            out.u32(u32::from(n));
            out.byte(b' ');
        }
    }
}

/// The state, if it is one of the flow's own protocol.
#[inline]
fn state(out: &mut Out<'_>, proto: u8, of: StateOf, number: u8) {
    if (proto, number) == (ipproto::TCP, 3) && of == StateOf::Tcp {
        return out.lit(b"ESTABLISHED ");
    }
    if let Some(name) = state_name(proto, Some((of, number))) {
        out.put(name);
        out.byte(b' ');
    }
}

/// The name of a state of the flow's own protocol; a number without a name is `NONE`.
#[inline]
pub(super) fn state_name(proto: u8, state: Option<(StateOf, u8)>) -> Option<&'static [u8]> {
    let (of, number) = state?;
    match (proto, of) {
        (ipproto::TCP, StateOf::Tcp) | (ipproto::SCTP, StateOf::Sctp) | (ipproto::DCCP, StateOf::Dccp) => {
            Some(of.name(number).unwrap_or(b"NONE"))
        }
        _ => None,
    }
}

/// Addresses, ports and zone of one direction.
#[inline]
fn direction(out: &mut Out<'_>, shape: &Shape<'_>, proto: u8, zone: &[u8]) {
    let t = match shape {
        Shape::V4(t) if has_ports(proto) => {
            out.keyed_ipv4(b"src=", *t.src);
            out.keyed_ipv4(b" dst=", *t.dst);
            return ports(out, t.src_port, t.dst_port);
        }
        Shape::V6(t) if has_ports(proto) => {
            out.lit(b"src=");
            out.ipv6(t.src);
            out.lit(b" dst=");
            out.ipv6(t.dst);
            return ports(out, t.src_port, t.dst_port);
        }
        other => other.tuple(),
    };
    addresses(out, &t);
    layer4(out, &t, proto);
    if let Some(z) = t.zone {
        out.put(zone);
        out.u32(u32::from(z));
        out.byte(b' ');
    }
}

/// True for the protocols whose flows are told apart by two ports.
#[inline]
pub(super) fn has_ports(proto: u8) -> bool {
    matches!(proto, ipproto::TCP | ipproto::UDP | ipproto::UDPLITE | ipproto::SCTP | ipproto::DCCP)
}

/// ` sport=… dport=… `, after an address.
#[inline]
fn ports(out: &mut Out<'_>, src: u16, dst: u16) {
    out.keyed(b" sport=", src);
    out.keyed_blank(b" dport=", dst);
}

/// Writes the addresses and ports of the two usual shapes as they lie in the message, each after its piece:
/// source, destination, source port, destination port. False, and nothing written, for anything else.
#[inline]
pub(super) fn usual<const A: usize, const B: usize, const C: usize, const D: usize>(
    out: &mut Out<'_>,
    shape: &Shape<'_>,
    proto: u8,
    (src, dst, sport, dport): (&[u8; A], &[u8; B], &[u8; C], &[u8; D]),
) -> bool {
    let (src_port, dst_port) = match shape {
        Shape::V4(t) if has_ports(proto) => {
            out.lit(src);
            out.ipv4(*t.src);
            out.lit(dst);
            out.ipv4(*t.dst);
            (t.src_port, t.dst_port)
        }
        Shape::V6(t) if has_ports(proto) => {
            out.lit(src);
            out.ipv6(t.src);
            out.lit(dst);
            out.ipv6(t.dst);
            (t.src_port, t.dst_port)
        }
        _ => return false,
    };
    out.lit(sport);
    out.u32(u32::from(src_port));
    out.lit(dport);
    out.u32(u32::from(dst_port));
    true
}

/// `src=… dst=… `.
#[inline]
fn addresses(out: &mut Out<'_>, t: &Tuple) {
    out.lit(b"src=");
    if let Some(a) = &t.src {
        out.addr(a);
    }
    out.lit(b" dst=");
    if let Some(a) = &t.dst {
        out.addr(a);
    }
    out.byte(b' ');
}

/// What identifies the flow above IP; nothing for protocols without ports.
#[inline]
pub(super) fn layer4(out: &mut Out<'_>, t: &Tuple, proto: u8) {
    match proto {
        p if has_ports(p) => {
            out.lit(b"sport=");
            out.u32(u32::from(t.src_port.unwrap_or(0)));
            out.lit(b" dport=");
            out.u32(u32::from(t.dst_port.unwrap_or(0)));
            out.byte(b' ');
        }
        ipproto::GRE => {
            out.lit(b"srckey=0x");
            out.hex(u32::from(t.src_port.unwrap_or(0)));
            out.lit(b" dstkey=0x");
            out.hex(u32::from(t.dst_port.unwrap_or(0)));
            out.byte(b' ');
        }
        ipproto::ICMP | ipproto::ICMPV6 => {
            out.lit(b"type=");
            out.u32(u32::from(t.icmp_type.unwrap_or(0)));
            out.lit(b" code=");
            out.u32(u32::from(t.icmp_code.unwrap_or(0)));
            out.lit(b" id=");
            out.u32(u32::from(t.icmp_id.unwrap_or(0)));
            out.byte(b' ');
        }
        _ => {}
    }
}

#[inline]
fn counters<F: Facts + ?Sized>(out: &mut Out<'_>, f: &F, dir: Dir) -> Result<(), WireError> {
    if let Some(c) = f.counters(dir)? {
        out.lit(b"packets=");
        out.u64(c.packets);
        out.lit(b" bytes=");
        out.u64(c.bytes);
        out.byte(b' ');
    }
    Ok(())
}

/// Age, and with `ktimestamp` when the flow began and ended.
fn times(out: &mut Out<'_>, t: &Timestamps, style: &Style, ctx: &TextContext<'_>) {
    if let Some(start) = t.start_ns {
        // Both times are cut to seconds before they are subtracted, as the original does.
        let end_s = t.stop_ns.map_or(ctx.now_s, |ns| ns / NS);
        out.lit(b"delta-time=");
        out.u64(end_s.saturating_sub(start / NS));
        out.byte(b' ');
    }
    if !style.ktimestamp {
        return;
    }
    for (name, ns) in [(&b"[start="[..], t.start_ns), (b"[stop=", t.stop_ns)] {
        if let Some(ns) = ns {
            out.put(name);
            out.ctime(&ctx.zone.local((ns / NS) as i64));
            out.lit(b"] ");
        }
    }
}

/// Names of the set labels, in the order of their bits; a bit without a name is shown by its number.
fn labels<F: Facts + ?Sized>(out: &mut Out<'_>, f: &F, ctx: &TextContext<'_>) {
    let (Some(names), Some(bits)) = (ctx.labels, f.labels()) else { return };
    out.lit(b"labels");
    let mut separator = b'=';
    for bit in bits.iter() {
        out.byte(separator);
        match names.name(bit) {
            Some(name) => out.put(name),
            None => out.unnamed_label(bit),
        }
        separator = b',';
    }
    out.byte(b' ');
}

/// The event tag, right-aligned in nine columns and a blank.
pub fn tag(out: &mut Out<'_>, kind: Event) {
    match kind {
        Event::New => out.lit(b"    [NEW] "),
        Event::Update => out.lit(b" [UPDATE] "),
        Event::Destroy => out.lit(b"[DESTROY] "),
    }
}

/// The time before an event (`-o timestamp`), with the tab after it.
pub fn timestamp(out: &mut Out<'_>, t: EventTime) {
    out.byte(b'[');
    out.padded(t.sec, 8);
    out.byte(b'.');
    out.padded(u64::from(t.usec), 6);
    out.lit(b"]\t");
}

/// What follows an event caused by a program: its netlink port, and its name where it could be found.
pub fn userspace(out: &mut Out<'_>, portid: u32, program: Option<&[u8]>) {
    if portid == 0 {
        return;
    }
    out.lit(b" [USERSPACE] portid=");
    out.u32(portid);
    if let Some(name) = program {
        out.lit(b" progname=");
        out.put(name);
    }
}
