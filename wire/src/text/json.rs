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
    direction(out, &f.reply_shape()?, proto, f.counters(Dir::Reply)?);
    out.byte(b'}');
    if let Some(s) = f.status()? {
        status(out, s);
    }
    if let Some(m) = f.mark()? {
        number32(out, b",\"mark\":", m);
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
        number32(out, b",\"use\":", u);
    }
    if style.id {
        if let Some(id) = f.id()? {
            number32(out, b",\"id\":", id);
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
    let proto = expected.proto.unwrap_or(0);
    out.byte(b'{');
    if let Some(event) = event {
        head(out, event);
    }
    protocols(out, e.family(), proto);
    if let Some(t) = e.timeout_s()? {
        number32(out, b",\"timeout\":", t);
    }
    let parts: [(&[u8], Option<Tuple>); 3] =
        [(b",\"expected\":{", Some(expected)), (b",\"mask\":{", e.mask()?), (b",\"master\":{", e.master()?)];
    for (key, t) in parts {
        if let Some(t) = t {
            out.put(key);
            tuple(out, &t, proto, None);
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
            out.keyed_ipv4(b"\"src\":\"", *t.src);
            out.lit(b"\",");
            out.keyed_ipv4(b"\"dst\":\"", *t.dst);
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
    out.keyed(b"\",\"sport\":", src_port);
    out.keyed(b",\"dport\":", dst_port);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;
    use crate::consts::{af, cta, cta_expect, cta_help, cta_secctx, cta_timestamp, ipctnl, ipctnl_exp};
    use crate::header::{CtMsg, Frames};
    use crate::proto::{ProtoInfo, TcpInfo};
    use crate::text::{LabelNames, LocalTime, TimeZone};
    use crate::tuple::Addr;
    use std::string::String;

    struct World;

    impl TimeZone for World {
        fn local(&self, _: i64) -> LocalTime {
            panic!("JSON has no local times");
        }
    }

    impl LabelNames for World {
        fn name(&self, bit: u16) -> Option<&[u8]> {
            (bit < 2).then_some(if bit == 0 { b"bar" } else { b"a\"b" })
        }
    }

    fn v4(proto: u8) -> Tuple {
        Tuple {
            src: Some(Addr::V4([10, 0, 0, 10])),
            dst: Some(Addr::V4([10, 0, 0, 3])),
            proto: Some(proto),
            src_port: Some(16),
            dst_port: Some(53),
            ..Tuple::default()
        }
    }

    fn text(
        kind: u16,
        family: u8,
        fill: impl FnOnce(&mut Builder<'_>),
        write: impl FnOnce(&mut Out<'_>, CtMsg<'_>, &TextContext<'_>) -> Result<(), WireError>,
    ) -> String {
        let mut buf = [0xa5; 1024];
        let mut b = Builder::new(&mut buf, kind, 0, 0, family, 0);
        fill(&mut b);
        let frame = Frames::new(b.finish().unwrap()).next().unwrap().unwrap();
        let mut room = [0xa5; 2048];
        let mut out = Out::new(&mut room);
        let labels: &dyn LabelNames = &World;
        let ctx = TextContext { now_s: 1100, zone: &World, labels: Some(labels) };
        write(&mut out, CtMsg::parse(frame).unwrap(), &ctx).unwrap();
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    fn flow_text(family: u8, style: Style, fill: impl FnOnce(&mut Builder<'_>)) -> String {
        text(ipctnl::NEW, family, fill, |out, msg, ctx| {
            flow(out, &FlowView::index(msg)?, None, &style, &TextContext { labels: None, ..*ctx })
        })
    }

    #[test]
    fn a_listed_flow() {
        let got = flow_text(af::INET, Style::default(), |b| {
            v4(ipproto::TCP).build(b, cta::TUPLE_ORIG);
            v4(ipproto::TCP).inverse().unwrap().build(b, cta::TUPLE_REPLY);
            b.put_be32(cta::STATUS, 0xe).put_be32(cta::MARK, 0).put_be32(cta::ID, 9).put_be32(cta::USE, 1);
            b.put_be32(cta::TIMEOUT, 99);
            let state = ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() });
            state.build(b, cta::PROTOINFO);
        });
        let want = concat!(
            r#"{"family":"ipv4","protonum":6,"protocol":"tcp","timeout":99,"state":"ESTABLISHED","#,
            r#""orig":{"src":"10.0.0.10","dst":"10.0.0.3","sport":16,"dport":53},"#,
            r#""reply":{"src":"10.0.0.3","dst":"10.0.0.10","sport":53,"dport":16},"#,
            r#""status":["SEEN_REPLY","ASSURED","CONFIRMED"],"mark":0,"use":1}"#,
        );
        assert_eq!(got, want);
    }

    #[test]
    fn an_event_with_everything() {
        let fill = |b: &mut Builder<'_>| {
            Tuple { zone: Some(8), ..v4(ipproto::UDP) }.build(b, cta::TUPLE_ORIG);
            v4(ipproto::UDP).build(b, cta::TUPLE_REPLY);
            b.put_be16(cta::ZONE, 3).put_be32(cta::STATUS, 0x1_0011).put_be32(cta::MARK, u32::MAX);
            b.nest(cta::SECCTX, |b| _ = b.put_str(cta_secctx::NAME, b"a\\b\n\xff"));
            b.put_be32(cta::ID, 9).put_be32(cta::SECMARK, 5);
            v4(ipproto::ICMP).build(b, cta::TUPLE_MASTER);
            for (kind, packets) in [(cta::COUNTERS_ORIG, u64::MAX), (cta::COUNTERS_REPLY, 0)] {
                b.nest(kind, |b| _ = b.put(1, &packets.to_be_bytes()).put(2, &7u64.to_be_bytes()));
            }
            b.nest(cta::TIMESTAMP, |b| {
                b.put(cta_timestamp::START, &1_000_900_000_000u64.to_be_bytes());
                b.put(cta_timestamp::STOP, &1_002_100_000_000u64.to_be_bytes());
            });
            b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
            b.put(cta::LABELS, &7u32.to_ne_bytes());
        };
        let got = text(ipctnl::NEW, af::INET, fill, |out, msg, ctx| {
            let time = Some(EventTime { sec: 1_795_452_143, usec: 4211 });
            let event = Event { kind: EventKind::Destroy, portid: 77, program: Some(b"a\tb"), time };
            let style = Style { id: true, ktimestamp: true, ..Style::default() };
            flow(out, &FlowView::index(msg)?, Some(&event), &style, ctx)
        });
        let want = concat!(
            r#"{"event":"destroy","timestamp":1795452143.004211,"portid":77,"program":"a\u0009b","#,
            r#""family":"ipv4","protonum":17,"protocol":"udp","#,
            r#""orig":{"src":"10.0.0.10","dst":"10.0.0.3","sport":16,"dport":53,"zone":8,"#,
            r#""packets":18446744073709551615,"bytes":7},"#,
            r#""reply":{"src":"10.0.0.10","dst":"10.0.0.3","sport":16,"dport":53,"packets":0,"bytes":7},"#,
            // Bit 16 has no name.
            r#""status":["EXPECTED","SRC_NAT"],"mark":4294967295,"secmark":5,"#,
            "\"secctx\":\"a\\\\b\\u000a\u{fffd}\",",
            r#""zone":3,"start_ns":1000900000000,"stop_ns":1002100000000,"delta_time":2,"helper":"ftp","#,
            r#""master":{"src":"10.0.0.10","dst":"10.0.0.3","sport":16,"dport":53},"#,
            r#""id":9,"labels":["bar","a\"b"]}"#,
        );
        assert_eq!(got, want);
    }

    /// The usual shapes and the general writer say the same; what is absent is left out.
    #[test]
    fn other_protocols_and_families() {
        let v6 = |last| Some(Addr::V6([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]));
        let one = |family, t: Tuple| {
            let all = flow_text(family, Style::default(), |b| {
                t.build(b, cta::TUPLE_ORIG);
                t.build(b, cta::TUPLE_REPLY);
            });
            let (head, reply) = all.split_once(",\"reply\":").unwrap();
            assert!(head.ends_with(reply.strip_suffix('}').unwrap()), "the directions differ: {all}");
            head.replace("\"family\":", "")
        };
        let t = Tuple { src: v6(1), dst: v6(2), ..v4(ipproto::TCP) };
        let want = r#"{"ipv6","protonum":6,"protocol":"tcp","orig":{"src":"2001::1","dst":"2001::2","sport":16,"dport":53}"#;
        assert_eq!(one(af::INET6, t), want);
        let want = r#"{"ipv4","protonum":47,"protocol":"gre","orig":{"src":"10.0.0.10","dst":"10.0.0.3","srckey":16,"dstkey":53}"#;
        assert_eq!(one(af::INET, v4(ipproto::GRE)), want);
        let query = Tuple {
            src_port: None,
            dst_port: None,
            icmp_type: Some(8),
            icmp_code: Some(0),
            icmp_id: Some(1234),
            ..v4(ipproto::ICMP)
        };
        let want = concat!(
            r#"{"ipv4","protonum":1,"protocol":"icmp","orig":{"src":"10.0.0.10","dst":"10.0.0.3","#,
            r#""icmp_type":8,"icmp_code":0,"icmp_id":1234}"#,
        );
        assert_eq!(one(af::INET, query), want);
        assert_eq!(one(77, Tuple::default()), r#"{"unknown","protonum":0,"orig":{}"#);
    }

    #[test]
    fn an_expectation_loss_and_count() {
        let fill = |b: &mut Builder<'_>| {
            v4(ipproto::TCP).build(b, cta_expect::TUPLE);
            v4(ipproto::TCP).build(b, cta_expect::MASTER);
            b.put_be32(cta_expect::TIMEOUT, 299).put_be32(cta_expect::ID, 5).put_be32(cta_expect::FLAGS, 9);
            b.put_be32(cta_expect::CLASS, 0).put_str(cta_expect::HELP_NAME, b"ftp");
            b.put_str(cta_expect::FN, b"nat-follow-master");
        };
        let got = text(ipctnl_exp::NEW, af::INET, fill, |out, msg, _| {
            expect(out, &ExpectView::index(msg)?, None, &Style { id: true, ..Style::default() })?;
            out.byte(b'\n');
            lost(out, 3, EventTime { sec: 5, usec: 1 });
            out.byte(b'\n');
            count(out, 7, None);
            count(out, 7, Some(262_144));
            Ok(())
        });
        let want = concat!(
            r#"{"family":"ipv4","protonum":6,"protocol":"tcp","timeout":299,"#,
            r#""expected":{"src":"10.0.0.10","dst":"10.0.0.3","sport":16,"dport":53},"#,
            r#""master":{"src":"10.0.0.10","dst":"10.0.0.3","sport":16,"dport":53},"#,
            r#""flags":["PERMANENT"],"class":0,"helper":"ftp","function":"nat-follow-master","id":5}"#,
            "\n",
            r#"{"event":"lost","count":3,"timestamp":5.000001}"#,
            "\n",
            r#"{"count":7}{"count":7,"max":262144}"#,
        );
        assert_eq!(got, want);
    }
}
