//! `-o json`: one object per entry; `docs/json-schema.json` describes it.
//!
//! Valid for any input: text is escaped, numbers are plain integers (counters may exceed 2^53), addresses
//! are text, and what the kernel did not send is absent. The original has no such output.

use super::{EventTime, Facts, LabelNames, Out, Style, TextContext, escape, family_name, line};
use crate::consts::{ipproto, ips};
use crate::error::WireError;
use crate::event::Event;
use crate::expect::ExpectView;
use crate::flow::{Counters, Dir, FlowView, LabelBits};
use crate::tracked;
use crate::tuple::{Shape, Tuple};

/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// Status bits by name, without the kernel's IPS_.
const STATUS: [(u32, &[u8]); 16] = [
    (ips::EXPECTED, b"EXPECTED"),
    (ips::SEEN_REPLY, b"SEEN_REPLY"),
    (ips::ASSURED, b"ASSURED"),
    (ips::CONFIRMED, b"CONFIRMED"),
    (ips::SRC_NAT, b"SRC_NAT"),
    (ips::DST_NAT, b"DST_NAT"),
    (ips::SEQ_ADJUST, b"SEQ_ADJUST"),
    (ips::SRC_NAT_DONE, b"SRC_NAT_DONE"),
    (ips::DST_NAT_DONE, b"DST_NAT_DONE"),
    (ips::DYING, b"DYING"),
    (ips::FIXED_TIMEOUT, b"FIXED_TIMEOUT"),
    (ips::TEMPLATE, b"TEMPLATE"),
    (ips::UNTRACKED, b"UNTRACKED"),
    (ips::HELPER, b"HELPER"),
    (ips::OFFLOAD, b"OFFLOAD"),
    (ips::HW_OFFLOAD, b"HW_OFFLOAD"),
];

/// What an object says about the event it is part of.
#[derive(Clone, Copy, Debug)]
pub struct EventHead<'a> {
    /// New, changed or gone.
    pub kind: Event,
    /// Netlink port of the program that caused it; 0 if no program did.
    pub portid: u32,
    /// The program's name, if it was found.
    pub program: Option<&'a [u8]>,
    /// When it was reported, if that is to be shown.
    pub time: Option<EventTime>,
}

/// Appends one flow as an object, without a newline.
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn flow(
    out: &mut Out<'_>,
    f: &FlowView<'_>,
    event: Option<&EventHead<'_>>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    any(out, f, event, style, ctx)
}

/// The same for a flow that is not in a kernel's message.
///
/// # Errors
/// As [`flow`].
pub fn facts(
    out: &mut Out<'_>,
    f: &dyn Facts,
    event: Option<&EventHead<'_>>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    any(out, f, event, style, ctx)
}

#[inline]
fn any<F: Facts + ?Sized>(
    out: &mut Out<'_>,
    f: &F,
    event: Option<&EventHead<'_>>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let orig = f.orig()?;
    let proto = orig.proto();
    out.byte(b'{');
    if let Some(e) = event {
        head(out, e);
    }
    protocols(out, f.family(), proto);
    if let Some(t) = f.timeout_s()? {
        number32(out, b",\"timeout\":", t);
    }
    if let Some(name) = line::state_name(proto, f.state()?) {
        out.lit(b",\"state\":\"");
        out.put(name);
        out.byte(b'"');
    }
    out.lit(b",\"orig\":{");
    direction(out, &orig, proto, f.counters(Dir::Orig)?);
    out.lit(b"},\"reply\":{");
    if let Some(reply) = f.reply()? {
        direction(out, &reply, proto, f.counters(Dir::Reply)?);
    }
    out.byte(b'}');
    if let Some(s) = f.status()? {
        status(out, s);
    }
    if let Some(m) = f.mark()? {
        match m {
            0 => out.lit(b",\"mark\":0"),
            m => number32(out, b",\"mark\":", m),
        }
    }
    if let Some(m) = f.secmark()? {
        number32(out, b",\"secmark\":", m);
    }
    if let Some(name) = f.secctx()? {
        string(out, b",\"secctx\":", name);
    }
    if let Some(z) = f.zone()? {
        number32(out, b",\"zone\":", z);
    }
    times(out, f, style, ctx)?;
    if let Some(name) = f.helper()? {
        string(out, b",\"helper\":", name);
    }
    if let Some(t) = f.master()? {
        out.lit(b",\"master\":{");
        tuple(out, &t, t.proto.unwrap_or(0), None);
        out.byte(b'}');
    }
    if let Some(u) = f.use_count()? {
        match u {
            1 => out.lit(b",\"use\":1"),
            u => number32(out, b",\"use\":", u),
        }
    }
    if style.id {
        if let Some(id) = f.id()? {
            number32(out, b",\"id\":", id);
        }
    }
    if let (Some(names), Some(bits)) = (ctx.labels, f.labels()) {
        out.lit(b",\"labels\":");
        labels(out, bits, names);
    }
    out.byte(b'}');
    Ok(())
}

/// Appends one expectation as an object, without a newline.
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn expect(
    out: &mut Out<'_>,
    e: &ExpectView<'_>,
    event: Option<&EventHead<'_>>,
    style: &Style,
) -> Result<(), WireError> {
    let expected = e.tuple_expected()?.unwrap_or_default();
    out.byte(b'{');
    if let Some(event) = event {
        head(out, event);
    }
    protocols(out, e.family(), expected.proto.unwrap_or(0));
    if let Some(t) = e.timeout_s()? {
        number32(out, b",\"timeout\":", t);
    }
    let parts: [(&[u8], Option<Tuple>); 3] =
        [(b",\"expected\":{", Some(expected)), (b",\"mask\":{", e.mask()?), (b",\"master\":{", e.master()?)];
    for (key, t) in parts {
        if let Some(t) = t {
            out.put(key);
            // Keys or ports by the tuple's own protocol: PPTP, over TCP, expects GRE.
            tuple(out, &t, t.proto.unwrap_or(0), None);
            out.byte(b'}');
        }
    }
    if let Some(z) = e.zone()? {
        number32(out, b",\"zone\":", z);
    }
    if e.flags()?.is_some() {
        out.lit(b",\"flags\":");
        list(out, super::expect::flags(e)?.into_iter().filter(|(_, set)| *set).map(|(name, _)| name));
    }
    if let Some(c) = e.class()? {
        number32(out, b",\"class\":", c);
    }
    if let Some(name) = e.helper() {
        string(out, b",\"helper\":", name);
    }
    if let Some(name) = e.function() {
        string(out, b",\"function\":", name);
    }
    if style.id {
        if let Some(id) = e.id()? {
            number32(out, b",\"id\":", id);
        }
    }
    out.byte(b'}');
    Ok(())
}

/// Appends the object that says how many events the kernel had to drop, and when that was found.
pub fn lost(out: &mut Out<'_>, count: u64, time: EventTime) {
    out.lit(b"{\"event\":\"lost\",\"count\":");
    out.u64(count);
    out.lit(b",\"timestamp\":");
    seconds(out, time);
    out.byte(b'}');
}

/// Appends the object of `-C`.
pub fn count(out: &mut Out<'_>, entries: u64, max: Option<u64>) {
    out.lit(b"{\"count\":");
    out.u64(entries);
    if let Some(max) = max {
        number(out, b",\"max\":", max);
    }
    out.byte(b'}');
}

/// The members of an event, each with a comma after it, because more members always follow.
fn head(out: &mut Out<'_>, e: &EventHead<'_>) {
    match e.kind {
        Event::New => out.lit(b"\"event\":\"new\","),
        Event::Update => out.lit(b"\"event\":\"update\","),
        Event::Destroy => out.lit(b"\"event\":\"destroy\","),
    }
    if let Some(t) = e.time {
        out.lit(b"\"timestamp\":");
        seconds(out, t);
        out.byte(b',');
    }
    if e.portid != 0 {
        out.lit(b"\"portid\":");
        out.u32(e.portid);
        out.byte(b',');
    }
    if let Some(name) = e.program {
        string(out, b"\"program\":", name);
        out.byte(b',');
    }
}

/// A time as a number of seconds.
fn seconds(out: &mut Out<'_>, t: EventTime) {
    out.u64(t.sec);
    out.byte(b'.');
    out.padded(u64::from(t.usec), 6);
}

#[inline]
fn number<const N: usize>(out: &mut Out<'_>, key: &[u8; N], value: u64) {
    out.lit(key);
    out.u64(value);
}

/// The same for what has 32 bits at most, which is cheaper to write.
#[inline]
fn number32<const N: usize>(out: &mut Out<'_>, key: &[u8; N], value: impl Into<u32>) {
    out.lit(key);
    out.u32(value.into());
}

fn string(out: &mut Out<'_>, key: &[u8], text: &[u8]) {
    out.put(key);
    escape::json(out, text);
}

fn list<'a>(out: &mut Out<'_>, names: impl Iterator<Item = &'a [u8]>) {
    let mut separator = b'[';
    for name in names {
        out.byte(separator);
        escape::json(out, name);
        separator = b',';
    }
    if separator == b'[' {
        out.byte(b'[');
    }
    out.byte(b']');
}

/// Names of labels; a bit without a name is shown by its number.
fn labels(out: &mut Out<'_>, bits: LabelBits<'_>, names: &dyn LabelNames) {
    out.byte(b'[');
    for (i, bit) in bits.iter().enumerate() {
        if i > 0 {
            out.byte(b',');
        }
        match names.name(bit) {
            Some(name) => escape::json(out, name),
            None => {
                out.byte(b'"');
                out.unnamed_label(bit);
                out.byte(b'"');
            }
        }
    }
    out.byte(b']');
}

/// Layer 3 and layer 4 protocol. A protocol without a name is written as its number, so that grouping flows
/// by this member keeps such protocols apart.
fn protocols(out: &mut Out<'_>, family: u8, proto: u8) {
    out.lit(b"\"family\":\"");
    out.put(family_name(family));
    match proto {
        ipproto::TCP => out.lit(b"\",\"protonum\":6,\"protocol\":\"tcp\""),
        ipproto::UDP => out.lit(b"\",\"protonum\":17,\"protocol\":\"udp\""),
        other => {
            out.lit(b"\",\"protonum\":");
            out.u32(u32::from(other));
            out.lit(b",\"protocol\":\"");
            match tracked::name(other) {
                Some(name) => out.put(name.as_bytes()),
                None => out.u32(u32::from(other)),
            }
            out.byte(b'"');
        }
    }
}

/// The members of one direction. The two usual shapes are written as they lie in the message.
#[inline]
fn direction(out: &mut Out<'_>, shape: &Shape<'_>, proto: u8, carried: Option<Counters>) {
    if !line::usual(out, shape, proto, (b"\"src\":\"", b"\",\"dst\":\"", b"\",\"sport\":", b",\"dport\":")) {
        return tuple(out, &shape.tuple(), proto, carried);
    }
    if let Some(c) = carried {
        number(out, b",\"packets\":", c.packets);
        number(out, b",\"bytes\":", c.bytes);
    }
}

/// The members of any tuple that are there.
fn tuple(out: &mut Out<'_>, t: &Tuple, proto: u8, carried: Option<Counters>) {
    let mut comma = false;
    let mut key = |out: &mut Out<'_>, name: &[u8]| {
        if comma {
            out.byte(b',');
        }
        comma = true;
        out.put(name);
    };
    for (name, addr) in [(&b"\"src\":\""[..], t.src), (b"\"dst\":\"", t.dst)] {
        if let Some(a) = addr {
            key(out, name);
            out.addr(&a);
            out.byte(b'"');
        }
    }
    let (src, dst): (&[u8], &[u8]) = match proto {
        ipproto::GRE => (b"\"srckey\":", b"\"dstkey\":"),
        _ => (b"\"sport\":", b"\"dport\":"),
    };
    let numbers: [(&[u8], Option<u64>); 8] = [
        (src, t.src_port.map(u64::from)),
        (dst, t.dst_port.map(u64::from)),
        (b"\"icmp_type\":", t.icmp_type.map(u64::from)),
        (b"\"icmp_code\":", t.icmp_code.map(u64::from)),
        (b"\"icmp_id\":", t.icmp_id.map(u64::from)),
        (b"\"zone\":", t.zone.map(u64::from)),
        (b"\"packets\":", carried.map(|c| c.packets)),
        (b"\"bytes\":", carried.map(|c| c.bytes)),
    ];
    for (name, value) in numbers {
        if let Some(v) = value {
            key(out, name);
            out.u64(v);
        }
    }
}

/// The names of the set bits; bits without a name are left out.
fn status(out: &mut Out<'_>, status: u32) {
    match status {
        // What most flows on a firewall have, in one piece.
        0xe => return out.lit(b",\"status\":[\"SEEN_REPLY\",\"ASSURED\",\"CONFIRMED\"]"),
        8 => return out.lit(b",\"status\":[\"CONFIRMED\"]"),
        _ => {}
    }
    out.lit(b",\"status\":");
    list(out, STATUS.iter().filter(|(bit, _)| status & bit != 0).map(|(_, name)| *name));
}

/// When the flow began and ended (with `ktimestamp`), and its age in seconds.
fn times<F: Facts + ?Sized>(
    out: &mut Out<'_>,
    f: &F,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let Some(t) = f.timestamps()? else { return Ok(()) };
    if style.ktimestamp {
        if let Some(ns) = t.start_ns {
            number(out, b",\"start_ns\":", ns);
        }
        if let Some(ns) = t.stop_ns {
            number(out, b",\"stop_ns\":", ns);
        }
    }
    if let Some(start) = t.start_ns {
        let end_s = t.stop_ns.map_or(ctx.now_s, |ns| ns / NS);
        number(out, b",\"delta_time\":", end_s.saturating_sub(start / NS));
    }
    Ok(())
}
