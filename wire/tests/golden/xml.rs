//! Flows and expectations as XML (command-line.md §4).

use crate::sample::{self, CTX, UNLABELLED, counters, expected, ftp, times, tuples, v4};
use zct_wire::build::Builder;
use zct_wire::consts::{af, cta, cta_expect, cta_help, cta_secctx, ipproto, ips};
use zct_wire::event::Event;
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::text::xml::{expect, flow};
use zct_wire::text::{Style, line};
use zct_wire::tuple::{Addr, Tuple};

const PLAIN: Style = Style { extended: false, id: false, ktimestamp: false, timestamp: false };
const KTIMESTAMP: Style = Style { ktimestamp: true, ..PLAIN };

fn listed(fill: impl FnOnce(&mut Builder<'_>)) -> String {
    sample::flow(fill, |out, f| flow(out, f, None, None, &PLAIN, &CTX))
}

/// One direction of an IPv4 flow, without what may follow layer 4.
fn direction(name: &str, src: &str, dst: &str, proto: &str, layer4: &str) -> String {
    format!(
        "<meta direction=\"{name}\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>{src}</src>\
         <dst>{dst}</dst></layer3><layer4 {proto}>{layer4}</layer4>"
    )
}

/// Both directions between 1.1.1.1 and 2.2.2.2.
fn both(proto: &str, orig: &str, reply: &str) -> String {
    direction("original", "1.1.1.1", "2.2.2.2", proto, orig)
        + "</meta>"
        + &direction("reply", "2.2.2.2", "1.1.1.1", proto, reply)
        + "</meta>"
}

const TCP: &str = "protonum=\"6\" protoname=\"tcp\"";
const PORTS: [&str; 2] = ["<sport>10</sport><dport>20</dport>", "<sport>20</sport><dport>10</dport>"];

fn between(proto: u8) -> Tuple {
    v4(proto, ([1, 1, 1, 1], 10), ([2, 2, 2, 2], 20))
}

fn state(b: &mut Builder<'_>, info: ProtoInfo) {
    info.build(b, cta::PROTOINFO);
}

/// command-line.md §10.3, transcript 18.
#[test]
fn a_flow_of_the_table() {
    let got = listed(|b| {
        tuples(b, between(6));
        b.put_be32(cta::STATUS, ips::CONFIRMED).put_be32(cta::TIMEOUT, 99).put_be32(cta::MARK, 0);
        b.put_be32(cta::USE, 1).put_be32(cta::ID, 4_294_967_295);
        state(b, ProtoInfo::Tcp(TcpInfo::created(3)));
    });
    let want = "<flow>".to_owned()
        + &both(TCP, PORTS[0], PORTS[1])
        + "<meta direction=\"independent\"><state>ESTABLISHED</state><timeout>99</timeout>\
           <mark>0</mark><use>1</use><id>4294967295</id><unreplied/></meta></flow>";
    assert_eq!(got, want);
}

/// command-line.md §10.4, transcript 22: counters, labels, times and helper; the addresses of a translated
/// flow.
#[test]
fn a_flow_with_everything_the_kernel_adds() {
    let fill = |b: &mut Builder<'_>| {
        let orig = v4(17, ([127, 0, 0, 1], 40_002), ([127, 0, 0, 1], 7777));
        orig.build(b, cta::TUPLE_ORIG);
        let reply = Tuple { src: Some(Addr::V4([9; 4])), ..orig.inverse().expect("has an inverse") };
        reply.build(b, cta::TUPLE_REPLY);
        counters(b, [1, 38], [u64::MAX, 48]);
        b.put_be32(cta::STATUS, ips::SEEN_REPLY | ips::ASSURED).put_be32(cta::TIMEOUT, 29);
        b.put_be32(cta::MARK, 7).put(cta::LABELS, &1u32.to_ne_bytes()).put_be32(cta::SECMARK, 5);
        b.nest(cta::SECCTX, |b| _ = b.put_str(cta_secctx::NAME, b"system_u:object_r"));
        b.put_be16(cta::ZONE, 8).put_be32(cta::USE, 2).put_be32(cta::ID, 3);
        times(b, 1_795_452_140_999_999_999, None);
        b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
    };
    let udp = "protonum=\"17\" protoname=\"udp\"";
    let head = "<flow>".to_owned()
        + &direction("original", "127.0.0.1", "127.0.0.1", udp, "<sport>40002</sport><dport>7777</dport>")
        + "<counters><packets>1</packets><bytes>38</bytes></counters></meta>"
        + &direction("reply", "9.9.9.9", "127.0.0.1", udp, "<sport>7777</sport><dport>40002</dport>")
        + "<counters><packets>18446744073709551615</packets><bytes>48</bytes></counters></meta>\
           <meta direction=\"independent\"><timeout>29</timeout><mark>7</mark>";
    let middle = "<secmark>5</secmark><secctx>system_u:object_r</secctx><zone>8</zone><use>2</use>\
                  <id>3</id><assured/>";
    let tail = "<deltatime>20</deltatime></meta><helper>ftp</helper></flow>";
    let start = "<timestamp><start>1795452140999999999</start></timestamp>";
    let labels = "<labels><label>bar</label></labels>";
    let got = sample::flow(fill, |out, f| flow(out, f, None, None, &KTIMESTAMP, &CTX));
    assert_eq!(got, head.clone() + labels + middle + start + tail);
    let got = sample::flow(fill, |out, f| flow(out, f, None, None, &PLAIN, &UNLABELLED));
    assert_eq!(got, head + middle + tail);
}

/// command-line.md §10.6, transcript 48, and command-line.md §4 for the age of an ended flow: 1.1 s are 1,
/// where the line, which cuts both times first, says 2.
#[test]
fn the_end_of_a_flow_with_its_time() {
    let ended = |b: &mut Builder<'_>| {
        tuples(b, between(6));
        b.put_be32(cta::ID, 7);
        times(b, 1_000_000_000_950_000_000, Some(1_000_000_002_050_000_000));
    };
    let event =
        |kind| sample::flow(ended, |out, f| flow(out, f, Some(kind), Some(1_795_452_143), &KTIMESTAMP, &CTX));
    let rest = both(TCP, PORTS[0], PORTS[1])
        + "<meta direction=\"independent\"><id>7</id><timestamp><start>1000000000950000000</start>\
           <stop>1000000002050000000</stop></timestamp><deltatime>1</deltatime></meta>\
           <when><hour>3</hour><min>04</min><sec>23</sec><wday>4</wday><day>25</day><month>11</month>\
           <year>2026</year></when></flow>";
    assert_eq!(event(Event::Destroy), "<flow type=\"destroy\">".to_owned() + &rest);
    assert_eq!(event(Event::New), "<flow type=\"new\">".to_owned() + &rest);
    assert_eq!(event(Event::Update), "<flow type=\"update\">".to_owned() + &rest);
    assert!(sample::flow(ended, |out, f| line::flow(out, f, &PLAIN, &CTX)).contains("delta-time=2"));
}

/// The original names these states as TCP names the same numbers: FIN_WAIT, CLOSE_WAIT (W16).
#[test]
fn states_have_the_names_of_their_protocol() {
    let sctp = |n| ProtoInfo::Sctp(SctpInfo { state: Some(n), ..SctpInfo::default() });
    let dccp = |n| ProtoInfo::Dccp(DccpInfo { state: Some(n), ..DccpInfo::default() });
    for (proto, info, want) in [
        (6, ProtoInfo::Tcp(TcpInfo::created(4)), "FIN_WAIT"),
        (6, ProtoInfo::Tcp(TcpInfo::created(200)), "NONE"),
        (ipproto::SCTP, sctp(4), "ESTABLISHED"),
        (ipproto::SCTP, sctp(9), "HEARTBEAT_ACKED"),
        (ipproto::DCCP, dccp(4), "OPEN"),
    ] {
        let got = listed(|b| {
            tuples(b, between(proto));
            state(b, info);
        });
        let want = format!("<meta direction=\"independent\"><state>{want}</state></meta></flow>");
        assert!(got.ends_with(&want), "{got}");
    }
}

/// What tells flows apart above IP: hexadecimal keys, and nothing for ICMP and unknown protocols. A zone
/// of one direction belongs to its `<meta>`, and without any other part there is no third one.
#[test]
fn layer_4_of_each_protocol() {
    let icmp = Tuple { icmp_type: Some(8), icmp_id: Some(9), ..between(1) };
    for (t, proto, orig, reply) in [
        (between(17), "protonum=\"17\" protoname=\"udp\"", PORTS[0], PORTS[1]),
        (between(136), "protonum=\"136\" protoname=\"udplite\"", PORTS[0], PORTS[1]),
        (
            between(47),
            "protonum=\"47\" protoname=\"gre\"",
            "<srckey>0xa</srckey><dstkey>0x14</dstkey>",
            "<srckey>0x14</srckey><dstkey>0xa</dstkey>",
        ),
        (icmp, "protonum=\"1\" protoname=\"icmp\"", "", ""),
        (between(201), "protonum=\"201\" protoname=\"unknown\"", "", ""),
    ] {
        assert_eq!(listed(|b| tuples(b, t)), "<flow>".to_owned() + &both(proto, orig, reply) + "</flow>");
    }
    let zoned = Tuple { zone: Some(65_535), ..between(6) };
    let want = both(TCP, PORTS[0], PORTS[1]).replacen("</meta>", "<zone>65535</zone></meta>", 1);
    let got = listed(|b| {
        zoned.build(b, cta::TUPLE_ORIG);
        between(6).inverse().expect("has an inverse").build(b, cta::TUPLE_REPLY);
    });
    assert_eq!(got, "<flow>".to_owned() + &want + "</flow>");
}

#[test]
fn ipv6() {
    let a = |last| Some(Addr::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]));
    let t = Tuple { src: a(1), dst: a(2), ..between(6) };
    let got = sample::flow_of(af::INET6, |b| tuples(b, t), |out, f| flow(out, f, None, None, &PLAIN, &CTX));
    let want = both(TCP, PORTS[0], PORTS[1])
        .replace("protonum=\"2\" protoname=\"ipv4\"", "protonum=\"10\" protoname=\"ipv6\"")
        .replace("1.1.1.1", "2001:db8::1")
        .replace("2.2.2.2", "2001:db8::2");
    assert_eq!(got, "<flow>".to_owned() + &want + "</flow>");
}

/// The original writes such text as it is (W16).
#[test]
fn text_from_outside_is_escaped() {
    let got = listed(|b| {
        tuples(b, between(6));
        b.put(cta::LABELS, &[[0; 12].as_slice(), &0x8000_0000u32.to_ne_bytes()].concat());
        b.nest(cta::SECCTX, |b| _ = b.put_str(cta_secctx::NAME, b"</secctx>\xff"));
        b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"a&b\x01"));
    });
    let want = "<labels><label>a&lt;b&gt;&amp;&quot;c&quot;</label></labels>\
                <secctx>&lt;/secctx&gt;\u{fffd}</secctx></meta><helper>a&amp;b\u{fffd}</helper></flow>";
    assert!(got.ends_with(want), "{got}");
}

/// The original 1.4.7 has an empty element here, for it passes over bits without a name.
#[test]
fn labels_without_names() {
    let got = listed(|b| {
        tuples(b, between(6));
        b.put(cta::LABELS, &0x2_0002u32.to_ne_bytes());
    });
    let labels = "<labels><label>bit-1</label><label>bit-17</label></labels>";
    assert!(got.ends_with(&format!("<meta direction=\"independent\">{labels}</meta></flow>")), "{got}");
}

fn shown(fill: impl FnOnce(&mut Builder<'_>)) -> String {
    sample::expectation(fill, |out, e| expect(out, e, None, None, &CTX))
}

/// Addresses and ports of the FTP expectation; `layer4` is what its three tuples have there.
fn expectation(proto: &str, layer4: [&str; 3]) -> String {
    let ([e, k, m], here) = (layer4, "<src>127.0.0.1</src><dst>127.0.0.1</dst>");
    format!(
        "<layer3 protonum=\"2\" protoname=\"ipv4\"><expected>{here}</expected>\
         <mask><src>255.255.255.255</src><dst>255.255.255.255</dst></mask>\
         <master>{here}</master></layer3><layer4 {proto}><expected>{e}</expected><mask>{k}</mask>\
         <master>{m}</master></layer4>"
    )
}

const FTP: [&str; 3] = [
    "<sport>0</sport><dport>1026</dport>",
    "<sport>0</sport><dport>65535</dport>",
    "<sport>40001</sport><dport>21</dport>",
];

/// command-line.md §10.7, transcript 54.
#[test]
fn an_ftp_data_connection() {
    let want = "<flow>".to_owned()
        + &expectation(TCP, FTP)
        + "<meta><helper-name>ftp</helper-name><timeout>299</timeout><class>0</class></meta></flow>";
    assert_eq!(shown(ftp), want);
}

#[test]
fn an_expectation_event_with_flags_and_its_time() {
    let fill = |b: &mut Builder<'_>| {
        expected(b, 6, 6, 6);
        b.put_be32(cta_expect::FLAGS, 7).put_be16(cta_expect::ZONE, 3);
    };
    let got =
        sample::expectation(fill, |out, e| expect(out, e, Some(Event::Destroy), Some(1_795_452_143), &CTX));
    let want = "<flow type=\"destroy\">".to_owned()
        + &expectation(TCP, FTP)
        + "<meta><zone>3</zone><when><hour>3</hour><min>04</min><sec>23</sec><wday>4</wday><day>25</day>\
           <month>11</month><year>2026</year></when><permanent/><inactive/><userspace/></meta></flow>";
    assert_eq!(got, want);
}

/// As the original 1.4.7: master, mask and expected flow each have their own protocol.
#[test]
fn gre_expected_by_pptp() {
    let keys = "<srckey>0x0</srckey><dstkey>0x402</dstkey>";
    let want = "<flow>".to_owned()
        + &expectation("protonum=\"47\" protoname=\"gre\"", [keys, FTP[1], FTP[2]])
        + "<meta></meta></flow>";
    assert_eq!(shown(|b| expected(b, 6, 47, 6)), want);
}
