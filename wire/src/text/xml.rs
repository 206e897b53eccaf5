//! `-o xml` (spec/cli.md §4): one element an entry, in the byte shape of the original.
//!
//! Two things are different: states of SCTP and DCCP have their own names, not those of TCP with the same
//! number, and text is escaped, so that the document is always well formed.

use super::{EventKind, LocalTime, Out, Style, TextContext, escape, family_name, line, proto_name};
use crate::consts::{af, ipproto, ips};
use crate::error::WireError;
use crate::expect::ExpectView;
use crate::flow::{Dir, FlowView, Timestamps};
use crate::tuple::Tuple;

/// What comes before the first flow.
pub const HEADER: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<conntrack>\n";
/// What comes after the last flow.
pub const FOOTER: &[u8] = b"</conntrack>\n";
/// What comes before the first expectation.
pub const EXPECT_HEADER: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<expect>\n";
/// What comes after the last expectation.
pub const EXPECT_FOOTER: &[u8] = b"</expect>\n";

/// Nanoseconds a second.
const NS: u64 = 1_000_000_000;

/// `<name>number</name>`.
#[inline]
fn number<const A: usize, const B: usize>(out: &mut Out<'_>, open: &[u8; A], value: u64, close: &[u8; B]) {
    out.lit(open);
    out.u64(value);
    out.lit(close);
}

/// The same for what has 32 bits at most, which is cheaper to write.
#[inline]
fn number32<const A: usize, const B: usize>(
    out: &mut Out<'_>,
    open: &[u8; A],
    value: impl Into<u32>,
    close: &[u8; B],
) {
    out.lit(open);
    out.u32(value.into());
    out.lit(close);
}

fn open_flow(out: &mut Out<'_>, kind: Option<EventKind>) {
    out.lit(b"<flow");
    match kind {
        None => {}
        Some(EventKind::New) => out.lit(b" type=\"new\""),
        Some(EventKind::Update) => out.lit(b" type=\"update\""),
        Some(EventKind::Destroy) => out.lit(b" type=\"destroy\""),
    }
    out.byte(b'>');
}

/// Appends one flow without a newline. `when_s` is the time of an event in seconds since the epoch, if it
/// is to be shown.
pub fn flow(
    out: &mut Out<'_>,
    f: &FlowView<'_>,
    kind: Option<EventKind>,
    when_s: Option<i64>,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let orig = f.orig()?.unwrap_or_default();
    let reply = f.reply()?.unwrap_or_default();
    let proto = orig.proto.unwrap_or(0);
    open_flow(out, kind);
    out.lit(b"<meta direction=\"original\">");
    direction(out, f, &orig, proto, Dir::Orig)?;
    out.lit(b"<meta direction=\"reply\">");
    direction(out, f, &reply, proto, Dir::Reply)?;
    independent(out, f, proto, style, ctx)?;
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
fn element(out: &mut Out<'_>, open: &[u8], text: &[u8], close: &[u8]) {
    out.put(open);
    escape::xml(out, text);
    out.put(close);
}

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
        out.keyed(b"<sport>", t.src_port.unwrap_or(0));
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

/// The rest of a direction's `<meta>`, its end included.
fn direction(out: &mut Out<'_>, f: &FlowView<'_>, t: &Tuple, proto: u8, dir: Dir) -> Result<(), WireError> {
    open_layer3(out, f.family());
    addresses(out, t);
    out.lit(b"</layer3>");
    open_layer4(out, proto);
    ports(out, t, proto);
    out.lit(b"</layer4>");
    if let Some(z) = t.zone {
        number32(out, b"<zone>", z, b"</zone>");
    }
    if let Some(c) = f.counters(dir)? {
        number(out, b"<counters><packets>", c.packets, b"</packets>");
        number(out, b"<bytes>", c.bytes, b"</bytes></counters>");
    }
    out.lit(b"</meta>");
    Ok(())
}

/// What belongs to both directions; nothing at all when there is nothing in it.
fn independent(
    out: &mut Out<'_>,
    f: &FlowView<'_>,
    proto: u8,
    style: &Style,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    let before = out.len();
    out.lit(b"<meta direction=\"independent\">");
    let opened = out.len();
    if let Some(name) = line::state_name(proto, f.state()?) {
        element(out, b"<state>", name, b"</state>");
    }
    if let Some(t) = f.timeout_s()? {
        number32(out, b"<timeout>", t, b"</timeout>");
    }
    if let Some(m) = f.mark()? {
        number32(out, b"<mark>", m, b"</mark>");
    }
    if let (Some(names), Some(bits)) = (ctx.labels, f.labels()) {
        out.lit(b"<labels>");
        for name in bits.iter().filter_map(|bit| names.name(bit)) {
            element(out, b"<label>", name, b"</label>");
        }
        out.lit(b"</labels>");
    }
    if let Some(m) = f.secmark()? {
        number32(out, b"<secmark>", m, b"</secmark>");
    }
    if let Some(name) = f.secctx()? {
        element(out, b"<secctx>", name, b"</secctx>");
    }
    if let Some(z) = f.zone()? {
        number32(out, b"<zone>", z, b"</zone>");
    }
    if let Some(u) = f.use_count()? {
        number32(out, b"<use>", u, b"</use>");
    }
    if let Some(id) = f.id()? {
        number32(out, b"<id>", id, b"</id>");
    }
    if let Some(s) = f.status()? {
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
    if out.len() == opened && !out.is_full() {
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
pub fn expect(
    out: &mut Out<'_>,
    e: &ExpectView<'_>,
    kind: Option<EventKind>,
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
    let proto = expected.proto.unwrap_or(0);
    open_flow(out, kind);
    open_layer3(out, e.family());
    for (open, t, close) in parts {
        out.put(open);
        addresses(out, t);
        out.put(close);
    }
    out.lit(b"</layer3>");
    open_layer4(out, proto);
    for (open, t, close) in parts {
        out.put(open);
        ports(out, t, proto);
        out.put(close);
    }
    out.lit(b"</layer4><meta>");
    if let Some(name) = e.helper() {
        element(out, b"<helper-name>", name, b"</helper-name>");
    }
    if let Some(t) = e.timeout_s()? {
        number32(out, b"<timeout>", t, b"</timeout>");
    }
    if let Some(c) = e.class()? {
        number32(out, b"<class>", c, b"</class>");
    }
    if let Some(z) = e.zone()? {
        number32(out, b"<zone>", z, b"</zone>");
    }
    if let Some(when) = when_s {
        time(out, &ctx.zone.local(when));
    }
    for (name, set) in super::expect::flags(e)? {
        if set {
            out.byte(b'<');
            // The flag in lower case.
            name.iter().for_each(|b| out.byte(b.to_ascii_lowercase()));
            out.lit(b"/>");
        }
    }
    out.lit(b"</meta></flow>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;
    use crate::consts::{cta, cta_expect, cta_help, cta_secctx, cta_timestamp, ipctnl, ipctnl_exp};
    use crate::header::{CtMsg, Frames};
    use crate::proto::{ProtoInfo, SctpInfo, TcpInfo};
    use crate::text::{LabelNames, TimeZone};
    use crate::tuple::Addr;
    use std::string::String;
    use std::vec::Vec;

    struct World;

    impl TimeZone for World {
        fn local(&self, unix_s: i64) -> LocalTime {
            assert_eq!(unix_s, 1_795_452_043);
            // Sunday, 1 November 2026.
            LocalTime { year: 2026, month: 10, day: 1, hour: 7, min: 4, sec: 3, wday: 0 }
        }
    }

    impl LabelNames for World {
        fn name(&self, bit: u16) -> Option<&[u8]> {
            (bit < 2).then_some(if bit == 0 { b"bar" } else { b"<&>" })
        }
    }

    fn tcp(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16) -> Tuple {
        Tuple {
            src: Some(Addr::V4(src)),
            dst: Some(Addr::V4(dst)),
            proto: Some(ipproto::TCP),
            src_port: Some(src_port),
            dst_port: Some(dst_port),
            ..Tuple::default()
        }
    }

    fn message(kind: u16, family: u8, fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
        let mut buf = [0xa5; 1024];
        let mut b = Builder::new(&mut buf, kind, 0, 0, family, 0);
        fill(&mut b);
        b.finish().unwrap().to_vec()
    }

    fn flow_message(family: u8, orig: Tuple, reply: Tuple, more: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
        message(ipctnl::NEW, family, |b| {
            orig.build(b, cta::TUPLE_ORIG);
            reply.build(b, cta::TUPLE_REPLY);
            more(b);
        })
    }

    fn parsed(bytes: &[u8]) -> CtMsg<'_> {
        CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap()
    }

    fn text(write: impl FnOnce(&mut Out<'_>, &TextContext<'_>) -> Result<(), WireError>) -> String {
        let mut buf = [0xa5; 2048];
        let mut out = Out::new(&mut buf);
        let labels: &dyn LabelNames = &World;
        let ctx = TextContext { now_s: 1_795_452_143, zone: &World, labels: Some(labels) };
        write(&mut out, &ctx).unwrap();
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    fn rendered(bytes: &[u8], kind: Option<EventKind>, when_s: Option<i64>, style: &Style) -> String {
        text(|out, ctx| flow(out, &FlowView::index(parsed(bytes))?, kind, when_s, style, ctx))
    }

    fn counters(b: &mut Builder<'_>, kind: u16, packets: u64, bytes: u64) {
        b.nest(kind, |b| _ = b.put(1, &packets.to_be_bytes()).put(2, &bytes.to_be_bytes()));
    }

    /// Transcript 18: a flow made by hand, translated, without its answer.
    #[test]
    fn a_listed_flow() {
        let orig = tcp([10, 0, 0, 10], [10, 0, 0, 3], 1000, 53);
        let reply = tcp([4, 3, 2, 1], [1, 2, 3, 4], 8888, 9999);
        let bytes = flow_message(af::INET, orig, reply, |b| {
            b.put_be32(cta::STATUS, ips::CONFIRMED).put_be32(cta::MARK, 0).put_be32(cta::ID, 4_000_000_000);
            b.put_be32(cta::USE, 1).put_be32(cta::TIMEOUT, 99);
            let state = ProtoInfo::Tcp(TcpInfo { state: Some(1), ..TcpInfo::default() });
            state.build(b, cta::PROTOINFO);
        });
        let want = concat!(
            r#"<flow>"#,
            r#"<meta direction="original">"#,
            r#"<layer3 protonum="2" protoname="ipv4"><src>10.0.0.10</src><dst>10.0.0.3</dst></layer3>"#,
            r#"<layer4 protonum="6" protoname="tcp"><sport>1000</sport><dport>53</dport></layer4>"#,
            r#"</meta>"#,
            r#"<meta direction="reply">"#,
            r#"<layer3 protonum="2" protoname="ipv4"><src>4.3.2.1</src><dst>1.2.3.4</dst></layer3>"#,
            r#"<layer4 protonum="6" protoname="tcp"><sport>8888</sport><dport>9999</dport></layer4>"#,
            r#"</meta>"#,
            r#"<meta direction="independent">"#,
            r#"<state>SYN_SENT</state><timeout>99</timeout><mark>0</mark><use>1</use><id>4000000000</id>"#,
            r#"<unreplied/>"#,
            r#"</meta>"#,
            r#"</flow>"#,
        );
        assert_eq!(rendered(&bytes, None, None, &Style::default()), want);
    }

    /// Transcripts 22 and 48: accounting, times, labels, helper; the time of an event comes before the helper.
    #[test]
    fn an_ended_flow_with_everything() {
        let local = [127, 0, 0, 1];
        let bytes =
            flow_message(af::INET, tcp(local, local, 40_001, 21), tcp(local, local, 21, 40_001), |b| {
                b.put_be16(cta::ZONE, 3).put_be32(cta::STATUS, 0xe).put_be32(cta::MARK, 9);
                b.nest(cta::SECCTX, |b| _ = b.put_str(cta_secctx::NAME, b"system_u:\"x\""));
                b.put_be32(cta::ID, 7).put_be32(cta::SECMARK, 5);
                b.nest(cta::PROTOINFO, |b| _ = b.nest(1, |b| _ = b.put_u8(1, 3)));
                counters(b, cta::COUNTERS_ORIG, 4, 236);
                counters(b, cta::COUNTERS_REPLY, 3, u64::MAX);
                b.nest(cta::TIMESTAMP, |b| {
                    b.put(cta_timestamp::START, &1_000_900_000_000u64.to_be_bytes());
                    b.put(cta_timestamp::STOP, &1_002_100_000_000u64.to_be_bytes());
                });
                b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
                b.put(cta::LABELS, &(7u32).to_ne_bytes());
            });
        let style = Style { ktimestamp: true, ..Style::default() };
        let want = concat!(
            r#"<flow type="destroy">"#,
            r#"<meta direction="original">"#,
            r#"<layer3 protonum="2" protoname="ipv4"><src>127.0.0.1</src><dst>127.0.0.1</dst></layer3>"#,
            r#"<layer4 protonum="6" protoname="tcp"><sport>40001</sport><dport>21</dport></layer4>"#,
            r#"<counters><packets>4</packets><bytes>236</bytes></counters>"#,
            r#"</meta>"#,
            r#"<meta direction="reply">"#,
            r#"<layer3 protonum="2" protoname="ipv4"><src>127.0.0.1</src><dst>127.0.0.1</dst></layer3>"#,
            r#"<layer4 protonum="6" protoname="tcp"><sport>21</sport><dport>40001</dport></layer4>"#,
            r#"<counters><packets>3</packets><bytes>18446744073709551615</bytes></counters>"#,
            r#"</meta>"#,
            r#"<meta direction="independent">"#,
            r#"<state>ESTABLISHED</state><mark>9</mark>"#,
            r#"<labels><label>bar</label><label>&lt;&amp;&gt;</label></labels>"#,
            r#"<secmark>5</secmark><secctx>system_u:&quot;x&quot;</secctx><zone>3</zone><id>7</id>"#,
            r#"<assured/>"#,
            r#"<timestamp><start>1000900000000</start><stop>1002100000000</stop></timestamp>"#,
            // The difference is 1.2 s; the line, which cuts both times first, shows 2.
            r#"<deltatime>1</deltatime>"#,
            r#"</meta>"#,
            r#"<when><hour>7</hour><min>04</min><sec>03</sec>"#,
            r#"<wday>1</wday><day>1</day><month>11</month><year>2026</year></when>"#,
            r#"<helper>ftp</helper>"#,
            r#"</flow>"#,
        );
        assert_eq!(rendered(&bytes, Some(EventKind::Destroy), Some(1_795_452_043), &style), want);
    }

    /// SCTP has its own state names (W16 is fixed), ICMP nothing in layer 4, GRE its keys in hexadecimal;
    /// zones of one direction are inside it.
    #[test]
    fn protocols_that_are_not_tcp() {
        let orig = tcp([1; 4], [2; 4], 16, 20);
        let layer4 = |proto: u8, t: Tuple, more: &dyn Fn(&mut Builder<'_>)| {
            let t = Tuple { proto: Some(proto), ..t };
            let bytes = flow_message(af::INET, t, t, |b| more(b));
            let all = rendered(&bytes, None, None, &Style::default());
            let from = all.find("<layer4").unwrap();
            (all[from..all.find("</meta>").unwrap()].into(), all)
        };
        let (text, all): (String, String) = layer4(ipproto::SCTP, orig, &|b| {
            ProtoInfo::Sctp(SctpInfo { state: Some(4), ..SctpInfo::default() }).build(b, cta::PROTOINFO);
        });
        assert_eq!(
            text,
            r#"<layer4 protonum="132" protoname="sctp"><sport>16</sport><dport>20</dport></layer4>"#
        );
        assert!(all.ends_with(r#"<meta direction="independent"><state>ESTABLISHED</state></meta></flow>"#));
        let (text, all) = layer4(ipproto::GRE, Tuple { zone: Some(8), ..orig }, &|_| {});
        let want = concat!(
            r#"<layer4 protonum="47" protoname="gre"><srckey>0x10</srckey><dstkey>0x14</dstkey></layer4>"#,
            r#"<zone>8</zone>"#,
        );
        assert_eq!(text, want);
        // Nothing belongs to both directions: no third <meta>.
        assert!(all.ends_with("<zone>8</zone></meta></flow>") && !all.contains("independent"), "{all}");
        let query = Tuple { src_port: None, dst_port: None, icmp_type: Some(8), icmp_id: Some(1), ..orig };
        let (text, _) = layer4(ipproto::ICMP, query, &|_| {});
        assert_eq!(text, r#"<layer4 protonum="1" protoname="icmp"></layer4>"#);
        let (text, _) = layer4(201, query, &|_| {});
        assert_eq!(text, r#"<layer4 protonum="201" protoname="unknown"></layer4>"#);
    }

    /// Transcript 54, then the same as an event with every flag.
    #[test]
    fn an_expectation_of_the_ftp_helper() {
        let local = [127, 0, 0, 1];
        let build = |flags: u32| {
            message(ipctnl_exp::NEW, af::INET, |b| {
                tcp(local, local, 0, 1026).build(b, cta_expect::TUPLE);
                tcp([255; 4], [255; 4], 0, 65_535).build(b, cta_expect::MASK);
                tcp(local, local, 40_001, 21).build(b, cta_expect::MASTER);
                b.put_be32(cta_expect::TIMEOUT, 299).put_be32(cta_expect::ID, 1);
                b.put_be32(cta_expect::FLAGS, flags).put_be32(cta_expect::CLASS, 0);
                b.put_str(cta_expect::HELP_NAME, b"ftp");
            })
        };
        const ADDRESSES: &str = concat!(
            r#"<layer3 protonum="2" protoname="ipv4">"#,
            r#"<expected><src>127.0.0.1</src><dst>127.0.0.1</dst></expected>"#,
            r#"<mask><src>255.255.255.255</src><dst>255.255.255.255</dst></mask>"#,
            r#"<master><src>127.0.0.1</src><dst>127.0.0.1</dst></master>"#,
            r#"</layer3>"#,
            r#"<layer4 protonum="6" protoname="tcp">"#,
            r#"<expected><sport>0</sport><dport>1026</dport></expected>"#,
            r#"<mask><sport>0</sport><dport>65535</dport></mask>"#,
            r#"<master><sport>40001</sport><dport>21</dport></master>"#,
            r#"</layer4>"#,
            r#"<meta><helper-name>ftp</helper-name><timeout>299</timeout><class>0</class>"#,
        );
        let bytes = build(0);
        let listed = text(|out, ctx| expect(out, &ExpectView::index(parsed(&bytes))?, None, None, ctx));
        assert_eq!(listed, format!("<flow>{ADDRESSES}</meta></flow>"));
        let bytes = build(7);
        let event = text(|out, ctx| {
            let kind = Some(EventKind::New);
            expect(out, &ExpectView::index(parsed(&bytes))?, kind, Some(1_795_452_043), ctx)
        });
        let when = concat!(
            r#"<when><hour>7</hour><min>04</min><sec>03</sec>"#,
            r#"<wday>1</wday><day>1</day><month>11</month><year>2026</year></when>"#,
        );
        let flags = "<permanent/><inactive/><userspace/>";
        assert_eq!(event, format!("<flow type=\"new\">{ADDRESSES}{when}{flags}</meta></flow>"));
    }
}
