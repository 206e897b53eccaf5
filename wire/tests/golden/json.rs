//! Flows, expectations and counts as JSON, member by member.

use crate::sample::{self, CTX, UNLABELLED, counters, expected, ftp, times, tuples, v4};
use zct_wire::build::Builder;
use zct_wire::consts::{cta, cta_expect, cta_help, cta_secctx};
use zct_wire::event::Event;
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::text::json::{EventHead, count, expect, flow, lost};
use zct_wire::text::{EventTime, Out, Style};
use zct_wire::tuple::Tuple;

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
    assert_eq!(got, body(start, ",\"id\":3", ",\"labels\":[\"bar\",\"bit-1\"]"));
    let got = sample::flow(everything, |out, f| flow(out, f, None, &PLAIN, &UNLABELLED));
    assert_eq!(got, body("", "", ""));
}

/// What was not sent is absent, down to a flow of which nothing is known.
#[test]
fn absent_is_absent() {
    let got = sample::flow_of(7, |_| {}, |out, f| flow(out, f, None, &FULL, &CTX));
    assert_eq!(got, "{\"family\":\"unknown\",\"protonum\":0,\"protocol\":\"0\",\"orig\":{},\"reply\":{}}");
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

/// Whoever groups flows by their protocol has a word for each.
#[test]
fn a_protocol_without_a_name_is_called_by_its_number() {
    for (proto, name) in [(50, "50"), (2, "2"), (255, "255"), (132, "sctp")] {
        let got = sample::flow(|b| tuples(b, between(proto)), |out, f| flow(out, f, None, &PLAIN, &CTX));
        let want = format!("{{\"family\":\"ipv4\",\"protonum\":{proto},\"protocol\":\"{name}\",\"orig\":");
        assert!(got.starts_with(&want), "{got}");
    }
}

#[test]
fn what_happened_comes_first() {
    let time = Some(EventTime { sec: 1_795_452_143, usec: 42 });
    for (event, want) in [
        (EventHead { kind: Event::New, portid: 0, program: None, time: None }, "\"new\""),
        (
            EventHead { kind: Event::Update, portid: 9, program: None, time },
            "\"update\",\"timestamp\":1795452143.000042,\"portid\":9",
        ),
        (
            EventHead { kind: Event::Destroy, portid: 9, program: Some(b"a\"b"), time: None },
            "\"destroy\",\"portid\":9,\"program\":\"a\\\"b\"",
        ),
    ] {
        let got = sample::flow(|b| tuples(b, between(6)), |out, f| flow(out, f, Some(&event), &PLAIN, &CTX));
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
