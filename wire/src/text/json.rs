//! `-o json`: one object an entry; `docs/json-schema.json` describes it.
//!
//! Valid for any input: text is escaped, numbers are plain integers (counters may exceed 2^53), addresses
//! are text, and what the kernel did not send is absent. The original has no such output.

use super::{EventKind, EventTime, Out, Style, TextContext, escape, family_name, line, proto_name};
use crate::consts::{ipproto, ips};
use crate::error::WireError;
use crate::expect::ExpectView;
use crate::flow::{Counters, Dir, FlowView};
use crate::tuple::{Shape, Tuple};

/// Nanoseconds a second.
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
pub struct Event<'a> {
    /// New, changed or gone.
    pub kind: EventKind,
    /// Netlink port of the program that caused it; 0 is none.
    pub portid: u32,
    /// The program's name, if it was found.
    pub program: Option<&'a [u8]>,
    /// When, if it is to be shown.
    pub time: Option<EventTime>,
}

/// Appends one flow as an object, without a newline.
pub fn flow(
    out: &mut Out<'_>,
    f: &FlowView<'_>,
    event: Option<&Event<'_>>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let orig = f.orig_shape()?;
    let proto = orig.proto();
    out.byte(b'{');
    if let Some(e) = event {
        head(out, e);
    }
    protocols(out, f.family(), proto);
    if let Some(t) = f.timeout_s()? {
        number(out, b",\"timeout\":", u64::from(t));
    }
    if let Some(name) = line::state_name(proto, f.state()?) {
        out.lit(b",\"state\":\"");
        out.put(name);
        out.byte(b'"');
    }
    out.lit(b",\"orig\":{");
    direction(out, &orig, proto, f.counters(Dir::Orig)?);
    out.lit(b"},\"reply\":{");
    direction(out, &f.reply_shape()?, proto, f.counters(Dir::Reply)?);
    out.byte(b'}');
    if let Some(s) = f.status()? {
        status(out, s);
    }
    if let Some(m) = f.mark()? {
        number(out, b",\"mark\":", u64::from(m));
    }
    if let Some(m) = f.secmark()? {
        number(out, b",\"secmark\":", u64::from(m));
    }
    if let Some(name) = f.secctx()? {
        string(out, b",\"secctx\":", name);
    }
    if let Some(z) = f.zone()? {
        number(out, b",\"zone\":", u64::from(z));
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
        number(out, b",\"use\":", u64::from(u));
    }
    if style.id {
        if let Some(id) = f.id()? {
            number(out, b",\"id\":", u64::from(id));
        }
    }
    if let (Some(names), Some(bits)) = (ctx.labels, f.labels()) {
        out.lit(b",\"labels\":");
        list(out, bits.iter().filter_map(|bit| names.name(bit)));
    }
    out.byte(b'}');
    Ok(())
}

/// Appends one expectation as an object, without a newline.
pub fn expect(
    out: &mut Out<'_>,
    e: &ExpectView<'_>,
    event: Option<&Event<'_>>,
    style: &Style,
) -> Result<(), WireError> {
    let expected = e.tuple_expected()?.unwrap_or_default();
    out.byte(b'{');
    if let Some(event) = event {
        head(out, event);
    }
    protocols(out, e.family(), expected.proto.unwrap_or(0));
    if let Some(t) = e.timeout_s()? {
        number(out, b",\"timeout\":", u64::from(t));
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
        number(out, b",\"zone\":", u64::from(z));
    }
    if e.flags()?.is_some() {
        out.lit(b",\"flags\":");
        list(out, super::expect::flags(e)?.into_iter().filter(|(_, set)| *set).map(|(name, _)| name));
    }
    if let Some(c) = e.class()? {
        number(out, b",\"class\":", u64::from(c));
    }
    if let Some(name) = e.helper() {
        string(out, b",\"helper\":", name);
    }
    if let Some(name) = e.function() {
        string(out, b",\"function\":", name);
    }
    if style.id {
        if let Some(id) = e.id()? {
            number(out, b",\"id\":", u64::from(id));
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

/// The members of an event, each with the comma after it: more always follows.
fn head(out: &mut Out<'_>, e: &Event<'_>) {
    match e.kind {
        EventKind::New => out.lit(b"\"event\":\"new\","),
        EventKind::Update => out.lit(b"\"event\":\"update\","),
        EventKind::Destroy => out.lit(b"\"event\":\"destroy\","),
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

fn number(out: &mut Out<'_>, key: &[u8], value: u64) {
    out.put(key);
    out.u64(value);
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

/// Layer 3 and layer 4 protocol. The name of a protocol we have none for is left out.
fn protocols(out: &mut Out<'_>, family: u8, proto: u8) {
    out.lit(b"\"family\":\"");
    out.put(family_name(family));
    match proto {
        ipproto::TCP => out.lit(b"\",\"protonum\":6,\"protocol\":\"tcp\""),
        ipproto::UDP => out.lit(b"\",\"protonum\":17,\"protocol\":\"udp\""),
        other => {
            out.lit(b"\",\"protonum\":");
            out.u32(u32::from(other));
            let name = proto_name(other);
            if name != b"unknown" {
                out.lit(b",\"protocol\":\"");
                out.put(name);
                out.byte(b'"');
            }
        }
    }
}

/// The members of one direction. The two usual shapes are written as they lie in the message.
#[inline]
fn direction(out: &mut Out<'_>, shape: &Shape<'_>, proto: u8, carried: Option<Counters>) {
    let (src_port, dst_port) = match shape {
        Shape::V4(t) if line::has_ports(proto) => {
            out.lit(b"\"src\":\"");
            out.ipv4(*t.src);
            out.lit(b"\",\"dst\":\"");
            out.ipv4(*t.dst);
            (t.src_port, t.dst_port)
        }
        Shape::V6(t) if line::has_ports(proto) => {
            out.lit(b"\"src\":\"");
            out.ipv6(t.src);
            out.lit(b"\",\"dst\":\"");
            out.ipv6(t.dst);
            (t.src_port, t.dst_port)
        }
        other => return tuple(out, &other.tuple(), proto, carried),
    };
    out.lit(b"\",\"sport\":");
    out.u32(u32::from(src_port));
    out.lit(b",\"dport\":");
    out.u32(u32::from(dst_port));
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
        // What most flows of a firewall have, in one piece.
        0xe => return out.lit(b",\"status\":[\"SEEN_REPLY\",\"ASSURED\",\"CONFIRMED\"]"),
        8 => return out.lit(b",\"status\":[\"CONFIRMED\"]"),
        _ => {}
    }
    out.lit(b",\"status\":");
    list(out, STATUS.iter().filter(|(bit, _)| status & bit != 0).map(|(_, name)| *name));
}

/// When the flow began and ended (with `ktimestamp`), and its age in seconds.
fn times(out: &mut Out<'_>, f: &FlowView<'_>, style: &Style, ctx: &TextContext<'_>) -> Result<(), WireError> {
    let Some(t) = f.timestamps()? else { return Ok(()) };
    if style.ktimestamp {
        for (key, ns) in [(&b",\"start_ns\":"[..], t.start_ns), (b",\"stop_ns\":", t.stop_ns)] {
            if let Some(ns) = ns {
                number(out, key, ns);
            }
        }
    }
    if let Some(start) = t.start_ns {
        let end_s = t.stop_ns.map_or(ctx.now_s, |ns| ns / NS);
        number(out, b",\"delta_time\":", end_s.saturating_sub(start / NS));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, CTX, UNLABELLED, counters, expected, ftp, times, tuples, v4};
    use super::*;
    use crate::build::Builder;
    use crate::consts::{cta, cta_expect, cta_help, cta_secctx};
    use crate::proto::{ProtoInfo, TcpInfo};
    use std::borrow::ToOwned;
    use std::string::String;

    const PLAIN: Style = Style { extended: false, id: false, ktimestamp: false, timestamp: false };
    const FULL: Style = Style { id: true, ktimestamp: true, ..PLAIN };

    fn between(proto: u8) -> Tuple {
        v4(proto, ([1, 1, 1, 1], 10), ([2, 2, 2, 2], 20))
    }

    fn everything(b: &mut Builder<'_>) {
        Tuple { zone: Some(4), ..between(6) }.build(b, cta::TUPLE_ORIG);
        between(6).inverse().unwrap().build(b, cta::TUPLE_REPLY);
        between(17).build(b, cta::TUPLE_MASTER);
        ProtoInfo::Tcp(TcpInfo::created(3)).build(b, cta::PROTOINFO);
        counters(b, [1, 38], [u64::MAX, 0]);
        b.put_be32(cta::STATUS, 0x8000_c18f).put_be32(cta::TIMEOUT, 99).put_be32(cta::MARK, 7);
        b.put_be32(cta::SECMARK, 5).put_be16(cta::ZONE, 8).put_be32(cta::USE, 2).put_be32(cta::ID, 3);
        b.nest(cta::SECCTX, |b| _ = b.put_str(cta_secctx::NAME, b"a\"\\\n\xff"));
        b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
        b.put(cta::LABELS, &3u32.to_ne_bytes());
        times(b, 1_795_452_140_999_999_999, None);
    }

    /// The order of members is part of the format: people read these lines, and compare them.
    #[test]
    fn every_member_in_its_place() {
        let orig = "\"src\":\"1.1.1.1\",\"dst\":\"2.2.2.2\",\"sport\":10,\"dport\":20";
        let most = u64::MAX;
        let body = |ktimestamp: &str, id: &str, labels: &str| {
            format!(
                "{{\"family\":\"ipv4\",\"protonum\":6,\"protocol\":\"tcp\",\"timeout\":99,\
                 \"state\":\"ESTABLISHED\",\"orig\":{{{orig},\"zone\":4,\"packets\":1,\"bytes\":38}},\
                 \"reply\":{{\"src\":\"2.2.2.2\",\"dst\":\"1.1.1.1\",\"sport\":20,\"dport\":10,\
                 \"packets\":{most},\"bytes\":0}},\"status\":[\"EXPECTED\",\"SEEN_REPLY\",\"ASSURED\",\
                 \"CONFIRMED\",\"SRC_NAT_DONE\",\"DST_NAT_DONE\",\"OFFLOAD\",\"HW_OFFLOAD\"],\"mark\":7,\
                 \"secmark\":5,\"secctx\":\"a\\\"\\\\\\u000a\u{fffd}\",\"zone\":8{ktimestamp},\
                 \"delta_time\":20,\"helper\":\"ftp\",\"master\":{{{orig}}},\"use\":2{id}{labels}}}"
            )
        };
        let got = sample::flow(everything, |out, f| flow(out, f, None, &FULL, &CTX));
        let start = ",\"start_ns\":1795452140999999999";
        assert_eq!(got, body(start, ",\"id\":3", ",\"labels\":[\"bar\"]"));
        let got = sample::flow(everything, |out, f| flow(out, f, None, &PLAIN, &UNLABELLED));
        assert_eq!(got, body("", "", ""));
    }

    /// What was not sent is absent, down to a flow of which nothing is known.
    #[test]
    fn absent_is_absent() {
        let got = sample::flow_of(7, |_| {}, |out, f| flow(out, f, None, &FULL, &CTX));
        assert_eq!(got, "{\"family\":\"unknown\",\"protonum\":0,\"orig\":{},\"reply\":{}}");
        let got = sample::flow(
            |b| {
                b.put_be32(cta::STATUS, 0).put(cta::LABELS, &[0; 4]);
                Tuple {
                    icmp_type: Some(8),
                    icmp_code: Some(0),
                    icmp_id: Some(9),
                    proto: Some(1),
                    ..Tuple::default()
                }
                .build(b, cta::TUPLE_ORIG);
                between(47).build(b, cta::TUPLE_REPLY);
            },
            |out, f| flow(out, f, None, &PLAIN, &CTX),
        );
        let want = "{\"family\":\"ipv4\",\"protonum\":1,\"protocol\":\"icmp\",\
                    \"orig\":{\"icmp_type\":8,\"icmp_code\":0,\"icmp_id\":9},\
                    \"reply\":{\"src\":\"1.1.1.1\",\"dst\":\"2.2.2.2\",\"sport\":10,\"dport\":20},\
                    \"status\":[],\"labels\":[]}";
        assert_eq!(got, want);
    }

    #[test]
    fn what_happened_comes_first() {
        let time = Some(EventTime { sec: 1_795_452_143, usec: 42 });
        for (event, want) in [
            (Event { kind: EventKind::New, portid: 0, program: None, time: None }, "\"new\""),
            (
                Event { kind: EventKind::Update, portid: 9, program: None, time },
                "\"update\",\"timestamp\":1795452143.000042,\"portid\":9",
            ),
            (
                Event { kind: EventKind::Destroy, portid: 9, program: Some(b"a\"b"), time: None },
                "\"destroy\",\"portid\":9,\"program\":\"a\\\"b\"",
            ),
        ] {
            let got =
                sample::flow(|b| tuples(b, between(6)), |out, f| flow(out, f, Some(&event), &PLAIN, &CTX));
            let want = format!("{{\"event\":{want},\"family\":\"ipv4\",\"protonum\":6,");
            assert!(got.starts_with(&want), "{got}");
            let got = sample::expectation(ftp, |out, e| expect(out, e, Some(&event), &PLAIN));
            assert!(got.starts_with(&want), "{got}");
        }
    }

    #[test]
    fn an_expectation() {
        let tcp = "\"src\":\"127.0.0.1\",\"dst\":\"127.0.0.1\",\"sport\":40001,\"dport\":21";
        let full = |b: &mut Builder<'_>| {
            expected(b, 6, 47, 47);
            b.put_be32(cta_expect::TIMEOUT, 299).put_be16(cta_expect::ZONE, 3);
            b.put_be32(cta_expect::FLAGS, 5).put_be32(cta_expect::CLASS, 1).put_be32(cta_expect::ID, 77);
            b.put_str(cta_expect::HELP_NAME, b"pptp").put_str(cta_expect::FN, b"nat-follow-master");
        };
        // Keys for what is expected, ports for the master.
        let want = format!(
            "{{\"family\":\"ipv4\",\"protonum\":47,\"protocol\":\"gre\",\"timeout\":299,\
             \"expected\":{{\"src\":\"127.0.0.1\",\"dst\":\"127.0.0.1\",\"srckey\":0,\"dstkey\":1026}},\
             \"mask\":{{\"src\":\"255.255.255.255\",\"dst\":\"255.255.255.255\",\"srckey\":0,\
             \"dstkey\":65535}},\"master\":{{{tcp}}},\"zone\":3,\"flags\":[\"PERMANENT\",\"USERSPACE\"],\
             \"class\":1,\"helper\":\"pptp\",\"function\":\"nat-follow-master\""
        );
        let got = sample::expectation(full, |out, e| expect(out, e, None, &FULL));
        assert_eq!(got, want.to_owned() + ",\"id\":77}");
        assert_eq!(sample::expectation(full, |out, e| expect(out, e, None, &PLAIN)), want + "}");
    }

    fn alone(write: impl FnOnce(&mut Out<'_>)) -> String {
        let mut buf = [0xa5; 128];
        let mut out = Out::new(&mut buf);
        write(&mut out);
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    #[test]
    fn counts() {
        assert_eq!(alone(|out| count(out, 3, None)), "{\"count\":3}");
        assert_eq!(alone(|out| count(out, 3, Some(262_144))), "{\"count\":3,\"max\":262144}");
        let time = EventTime { sec: 7, usec: 5 };
        let got = alone(|out| lost(out, u64::MAX, time));
        assert_eq!(got, "{\"event\":\"lost\",\"count\":18446744073709551615,\"timestamp\":7.000005}");
    }
}
