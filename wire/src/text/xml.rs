//! `-o xml` (command-line.md §4): one element per entry, in the byte shape of the original.
//!
//! Two things differ: states of SCTP and DCCP have their own names, not those of TCP with the same
//! number, and text is escaped, so that the document is always well formed.

use super::{Facts, LocalTime, Out, Style, TextContext, escape, family_name, line, proto_name};
use crate::consts::{af, ipproto, ips};
use crate::error::WireError;
use crate::event::Event;
use crate::expect::ExpectView;
use crate::flow::{Dir, FlowView, Timestamps};
use crate::tuple::{Shape, Tuple};

/// What comes before the first flow.
pub const HEADER: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<conntrack>\n";
/// What comes after the last flow.
pub const FOOTER: &[u8] = b"</conntrack>\n";
/// What comes before the first expectation.
pub const EXPECT_HEADER: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<expect>\n";
/// What comes after the last expectation.
pub const EXPECT_FOOTER: &[u8] = b"</expect>\n";

/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// `<name>number</name>`.
#[inline]
fn number<const A: usize, const B: usize>(out: &mut Out<'_>, open: &[u8; A], value: u64, close: &[u8; B]) {
    out.lit(open);
    out.u64(value);
    out.lit(close);
}

fn open_flow(out: &mut Out<'_>, kind: Option<Event>) {
    out.lit(b"<flow");
    match kind {
        None => {}
        Some(Event::New) => out.lit(b" type=\"new\""),
        Some(Event::Update) => out.lit(b" type=\"update\""),
        Some(Event::Destroy) => out.lit(b" type=\"destroy\""),
    }
    out.byte(b'>');
}

/// Appends one flow without a newline. `when_s` is the time of an event in seconds since the epoch, if it
/// is to be shown.
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn flow(
    out: &mut Out<'_>,
    f: &FlowView<'_>,
    kind: Option<Event>,
    when_s: Option<i64>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    any(out, f, kind, when_s, style, ctx)
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
    any(out, f, None, None, style, ctx)
}

#[inline]
fn any<F: Facts + ?Sized>(
    out: &mut Out<'_>,
    f: &F,
    kind: Option<Event>,
    when_s: Option<i64>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let orig = f.orig()?;
    open_flow(out, kind);
    out.lit(b"<meta direction=\"original\">");
    direction(out, f, &orig, Dir::Orig)?;
    out.lit(b"<meta direction=\"reply\">");
    match f.reply()? {
        Some(reply) => direction(out, f, &reply, Dir::Reply)?,
        None => {
            open_layer3(out, 0);
            any_tuple(out, &Tuple::default(), 0);
            out.lit(b"</meta>");
        }
    }
    independent(out, f, orig.proto(), style, ctx)?;
    if let Some(when) = when_s {
        time(out, &ctx.zone.local(when));
    }
    if let Some(name) = f.helper()? {
        element(out, b"<helper>", name, b"</helper>");
    }
    out.lit(b"</flow>");
    Ok(())
}

/// One element with text from outside.
#[inline]
fn element<const A: usize, const B: usize>(out: &mut Out<'_>, open: &[u8; A], text: &[u8], close: &[u8; B]) {
    out.lit(open);
    escape::xml(out, text);
    out.lit(close);
}

#[inline]
fn open_layer3(out: &mut Out<'_>, family: u8) {
    match family {
        af::INET => out.lit(b"<layer3 protonum=\"2\" protoname=\"ipv4\">"),
        af::INET6 => out.lit(b"<layer3 protonum=\"10\" protoname=\"ipv6\">"),
        other => {
            out.lit(b"<layer3 protonum=\"");
            out.u32(u32::from(other));
            out.lit(b"\" protoname=\"");
            out.put(family_name(other));
            out.lit(b"\">");
        }
    }
}

fn open_layer4(out: &mut Out<'_>, proto: u8) {
    match proto {
        ipproto::TCP => out.lit(b"<layer4 protonum=\"6\" protoname=\"tcp\">"),
        ipproto::UDP => out.lit(b"<layer4 protonum=\"17\" protoname=\"udp\">"),
        other => {
            out.lit(b"<layer4 protonum=\"");
            out.u32(u32::from(other));
            out.lit(b"\" protoname=\"");
            out.put(proto_name(other));
            out.lit(b"\">");
        }
    }
}

fn addresses(out: &mut Out<'_>, t: &Tuple) {
    out.lit(b"<src>");
    if let Some(a) = &t.src {
        out.addr(a);
    }
    out.lit(b"</src><dst>");
    if let Some(a) = &t.dst {
        out.addr(a);
    }
    out.lit(b"</dst>");
}

/// Ports or keys; nothing for ICMP and unknown protocols, as in the original.
fn ports(out: &mut Out<'_>, t: &Tuple, proto: u8) {
    let (src, dst) = (u32::from(t.src_port.unwrap_or(0)), u32::from(t.dst_port.unwrap_or(0)));
    if line::has_ports(proto) {
        out.lit(b"<sport>");
        out.u32(src);
        out.lit(b"</sport><dport>");
        out.u32(dst);
        out.lit(b"</dport>");
    } else if proto == ipproto::GRE {
        out.lit(b"<srckey>0x");
        out.hex(src);
        out.lit(b"</srckey><dstkey>0x");
        out.hex(dst);
        out.lit(b"</dstkey>");
    }
}

/// The rest of a direction's `<meta>`, its end included. Each direction is written by its own protocol.
#[inline]
fn direction<F: Facts + ?Sized>(
    out: &mut Out<'_>,
    f: &F,
    shape: &Shape<'_>,
    dir: Dir,
) -> Result<(), WireError> {
    open_layer3(out, f.family());
    // Everything between the addresses and the ports is one piece for the two protocols that nearly all
    // flows have.
    let proto = shape.proto();
    let usual = match proto {
        ipproto::TCP => {
            let sport = b"</dst></layer3><layer4 protonum=\"6\" protoname=\"tcp\"><sport>";
            line::usual(out, shape, proto, (b"<src>", b"</src><dst>", sport, b"</sport><dport>"))
        }
        ipproto::UDP => {
            let sport = b"</dst></layer3><layer4 protonum=\"17\" protoname=\"udp\"><sport>";
            line::usual(out, shape, proto, (b"<src>", b"</src><dst>", sport, b"</sport><dport>"))
        }
        _ => false,
    };
    if usual {
        out.lit(b"</dport></layer4>");
    } else {
        any_tuple(out, &shape.tuple(), proto);
    }
    if let Some(c) = f.counters(dir)? {
        number(out, b"<counters><packets>", c.packets, b"</packets>");
        number(out, b"<bytes>", c.bytes, b"</bytes></counters>");
    }
    out.lit(b"</meta>");
    Ok(())
}

/// Addresses, layer 4 and zone of a tuple, after the start of layer 3.
fn any_tuple(out: &mut Out<'_>, t: &Tuple, proto: u8) {
    addresses(out, t);
    out.lit(b"</layer3>");
    open_layer4(out, proto);
    ports(out, t, proto);
    out.lit(b"</layer4>");
    if let Some(z) = t.zone {
        number(out, b"<zone>", u64::from(z), b"</zone>");
    }
}

/// The `<meta>` of both directions together, left out when nothing is known that belongs in it. A status
/// counts as known even if it shows nothing: the original writes an empty element then.
fn independent<F: Facts + ?Sized>(
    out: &mut Out<'_>,
    f: &F,
    proto: u8,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let before = out.len();
    out.lit(b"<meta direction=\"independent\">");
    let opened = out.len();
    if let Some(name) = line::state_name(proto, f.state()?) {
        out.lit(b"<state>");
        out.put(name);
        out.lit(b"</state>");
    }
    if let Some(t) = f.timeout_s()? {
        number(out, b"<timeout>", u64::from(t), b"</timeout>");
    }
    if let Some(m) = f.mark()? {
        match m {
            0 => out.lit(b"<mark>0</mark>"),
            m => number(out, b"<mark>", u64::from(m), b"</mark>"),
        }
    }
    if let (Some(names), Some(bits)) = (ctx.labels, f.labels()) {
        out.lit(b"<labels>");
        for bit in bits.iter() {
            match names.name(bit) {
                Some(name) => element(out, b"<label>", name, b"</label>"),
                None => {
                    out.lit(b"<label>");
                    out.unnamed_label(bit);
                    out.lit(b"</label>");
                }
            }
        }
        out.lit(b"</labels>");
    }
    if let Some(m) = f.secmark()? {
        number(out, b"<secmark>", u64::from(m), b"</secmark>");
    }
    if let Some(name) = f.secctx()? {
        element(out, b"<secctx>", name, b"</secctx>");
    }
    if let Some(z) = f.zone()? {
        number(out, b"<zone>", u64::from(z), b"</zone>");
    }
    if let Some(u) = f.use_count()? {
        match u {
            1 => out.lit(b"<use>1</use>"),
            u => number(out, b"<use>", u64::from(u), b"</use>"),
        }
    }
    if let Some(id) = f.id()? {
        number(out, b"<id>", u64::from(id), b"</id>");
    }
    let status = f.status()?;
    if let Some(s) = status {
        if s & ips::ASSURED != 0 {
            out.lit(b"<assured/>");
        }
        if s & ips::SEEN_REPLY == 0 {
            out.lit(b"<unreplied/>");
        }
    }
    if let Some(t) = f.timestamps()? {
        times(out, &t, style, ctx);
    }
    // After an overflow the lengths say nothing, and rewinding would forget it.
    if status.is_none() && out.len() == opened && !out.is_full() {
        out.rewind(before);
    } else {
        out.lit(b"</meta>");
    }
    Ok(())
}

fn times(out: &mut Out<'_>, t: &Timestamps, style: &Style, ctx: &TextContext<'_>) {
    if style.ktimestamp {
        out.lit(b"<timestamp>");
        if let Some(ns) = t.start_ns {
            number(out, b"<start>", ns, b"</start>");
        }
        if let Some(ns) = t.stop_ns {
            number(out, b"<stop>", ns, b"</stop>");
        }
        out.lit(b"</timestamp>");
    }
    if let Some(start) = t.start_ns {
        // An ended flow's age is cut to seconds after the subtraction; the line cuts both times first.
        let age = match t.stop_ns {
            Some(stop) => stop.saturating_sub(start) / NS,
            None => ctx.now_s.saturating_sub(start / NS),
        };
        number(out, b"<deltatime>", age, b"</deltatime>");
    }
}

/// `<when>`: a local time, Sunday is day 1 and January month 1.
fn time(out: &mut Out<'_>, t: &LocalTime) {
    number(out, b"<when><hour>", u64::from(t.hour), b"</hour><min>");
    out.padded(u64::from(t.min), 2);
    out.lit(b"</min><sec>");
    out.padded(u64::from(t.sec), 2);
    out.lit(b"</sec>");
    number(out, b"<wday>", u64::from(t.wday).saturating_add(1), b"</wday>");
    number(out, b"<day>", u64::from(t.day), b"</day>");
    number(out, b"<month>", u64::from(t.month).saturating_add(1), b"</month><year>");
    out.i64(i64::from(t.year));
    out.lit(b"</year></when>");
}

/// Appends one expectation without a newline; `when_s` as for [`flow`].
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn expect(
    out: &mut Out<'_>,
    e: &ExpectView<'_>,
    kind: Option<Event>,
    when_s: Option<i64>,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let expected = e.tuple_expected()?.unwrap_or_default();
    let mask = e.mask()?.unwrap_or_default();
    let master = e.master()?.unwrap_or_default();
    let parts: [(&[u8], &Tuple, &[u8]); 3] = [
        (b"<expected>", &expected, b"</expected>"),
        (b"<mask>", &mask, b"</mask>"),
        (b"<master>", &master, b"</master>"),
    ];
    open_flow(out, kind);
    open_layer3(out, e.family());
    for (open, t, close) in parts {
        out.put(open);
        addresses(out, t);
        out.put(close);
    }
    out.lit(b"</layer3>");
    open_layer4(out, expected.proto.unwrap_or(0));
    for (open, t, close) in parts {
        out.put(open);
        // The element's protocol is that of the expected flow, but each tuple is written by its own: PPTP,
        // over TCP, expects GRE.
        ports(out, t, t.proto.unwrap_or(0));
        out.put(close);
    }
    out.lit(b"</layer4><meta>");
    if let Some(name) = e.helper() {
        element(out, b"<helper-name>", name, b"</helper-name>");
    }
    if let Some(t) = e.timeout_s()? {
        number(out, b"<timeout>", u64::from(t), b"</timeout>");
    }
    if let Some(c) = e.class()? {
        number(out, b"<class>", u64::from(c), b"</class>");
    }
    if let Some(z) = e.zone()? {
        number(out, b"<zone>", u64::from(z), b"</zone>");
    }
    if let Some(when) = when_s {
        time(out, &ctx.zone.local(when));
    }
    for (name, set) in super::expect::flags(e)? {
        if set {
            out.byte(b'<');
            // XML has the names of flags in lower case.
            name.iter().for_each(|b| out.byte(b.to_ascii_lowercase()));
            out.lit(b"/>");
        }
    }
    out.lit(b"</meta></flow>");
    Ok(())
}
