//! Words of `--by`, and the keys of flows as the kernel would send them.

use super::*;
use zct_wire::consts::{af, ipproto, ips, nlm_f};
use zct_wire::filter::Masked;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::proto::{ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::request::{NewFlow, REQUEST_MAX, new_flow};

const A: [u8; 4] = [10, 0, 3, 1];
const B: [u8; 4] = [192, 0, 2, 2];
const SIX: [u8; 16] = [0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn keys(text: &str) -> Keys {
    Keys::parse(text.as_bytes()).expect("keys")
}

fn flow(src: Addr, dst: Addr, proto: u8) -> NewFlow<'static> {
    let ports = matches!(proto, ipproto::TCP | ipproto::UDP | ipproto::SCTP);
    let icmp = proto == ipproto::ICMP;
    let orig = Tuple {
        src: Some(src),
        dst: Some(dst),
        proto: Some(proto),
        src_port: ports.then_some(1000),
        dst_port: ports.then_some(53),
        icmp_type: icmp.then_some(8),
        icmp_code: icmp.then_some(0),
        icmp_id: icmp.then_some(77),
        ..Tuple::default()
    };
    NewFlow::default().with(|it| {
        it.family = src.family();
        it.orig = Some(orig);
        it.reply = orig.inverse();
    })
}

fn v4(proto: u8) -> NewFlow<'static> {
    flow(Addr::V4(A), Addr::V4(B), proto)
}

fn packed(keys: &Keys, flow: &NewFlow<'_>) -> Packed {
    let mut buf = [0; REQUEST_MAX];
    let bytes = new_flow(&mut buf, 1, nlm_f::CREATE, flow).expect("it fits");
    let frame = Frames::new(bytes).next().expect("a message").expect("a whole one");
    let view = FlowView::index(CtMsg::parse(frame).expect("of ctnetlink")).expect("a flow");
    keys.pack(&view).expect("readable")
}

fn values(text: &str, flow: &NewFlow<'_>) -> Vec<Value> {
    let keys = keys(text);
    keys.values(&packed(&keys, flow))
}

#[test]
fn words_are_read_back() {
    for text in ["src", "dst,sport", "src/24", "src/64", "nat/8/128", "zone,mark,state,proto,dport,src/0"] {
        assert_eq!(keys(text).name(), text);
    }
    for (text, word) in [
        ("", "`'"),
        ("source", "`source'"),
        ("src,", "`'"),
        ("src/", "`src/'"),
        ("src/129", "`src/129'"),
        ("src/64/24", "`src/64/24'"),
        ("src/1/2/3", "`src/1/2/3'"),
        ("src/+1", "`src/+1'"),
        ("sport/8", "`sport/8'"),
        ("src,dst,src/24", "twice"),
        ("icmp", "`icmp'"),
    ] {
        let fail = Keys::parse(text.as_bytes()).expect_err(text);
        assert!(String::from_utf8_lossy(&fail.text).contains(word), "{text}: {fail:?}");
        assert_eq!(fail.code(), 2);
    }
    assert!(keys("src,dst,nat,sport,dport,proto,zone,mark,state").words() <= WORDS_MAX);
    assert_eq!((keys("src").words(), keys("dport").words(), keys("src,dst,dport").words()), (2, 1, 5));
}

#[test]
fn every_member_comes_back_as_it_was() {
    let mut f = v4(ipproto::TCP);
    f.mark = Some(Masked { value: 0xdead_beef, mask: u32::MAX });
    f.protoinfo = Some(ProtoInfo::Tcp(TcpInfo::created(3)));
    f.zone = Some(40_000);
    let all = "state,mark,src,sport,zone,dst,dport,proto,nat";
    let want = [
        Value::State(StateOf::Tcp, 3),
        Value::Number(0xdead_beef),
        Value::Addr(Addr::V4(A), None),
        Value::Number(1000),
        Value::Zone(Zone::Both(40_000)),
        Value::Addr(Addr::V4(B), None),
        Value::Number(53),
        Value::Proto(6),
        Value::Absent,
    ];
    assert_eq!(values(all, &f), want);
    let six = flow(Addr::V6(SIX), Addr::V6([0; 16]), ipproto::UDP);
    assert_eq!(
        values("src,state,dst", &six),
        [Value::Addr(Addr::V6(SIX), None), Value::Absent, Value::Addr(Addr::V6([0; 16]), None)]
    );
}

#[test]
fn addresses_are_cut_to_the_bits_that_count() {
    let (four, six) = (v4(ipproto::UDP), flow(Addr::V6(SIX), Addr::V6(SIX), ipproto::UDP));
    let v6 = |groups: &[u8], len| {
        let mut a = [0; 16];
        a[..groups.len()].copy_from_slice(groups);
        Value::Addr(Addr::V6(a), len)
    };
    for (text, want4, want6) in [
        ("src/24", Value::Addr(Addr::V4([10, 0, 3, 0]), Some(24)), v6(&SIX, None)),
        ("src/23", Value::Addr(Addr::V4([10, 0, 2, 0]), Some(23)), v6(&SIX, None)),
        ("src/0", Value::Addr(Addr::V4([0; 4]), Some(0)), v6(&SIX, None)),
        ("src/32", Value::Addr(Addr::V4(A), Some(32)), v6(&SIX, None)),
        ("src/64", Value::Addr(Addr::V4(A), None), v6(&SIX[..8], Some(64))),
        ("src/8/36", Value::Addr(Addr::V4([10, 0, 0, 0]), Some(8)), v6(&[0x20, 1, 0xd, 0xb8, 0], Some(36))),
    ] {
        assert_eq!((values(text, &four), values(text, &six)), (vec![want4], vec![want6]), "{text}");
    }
}

#[test]
fn absent_is_not_zero() {
    let keys = keys("sport,dport");
    let mut zero = v4(ipproto::UDP);
    for t in [&mut zero.orig, &mut zero.reply] {
        *t = t.map(|t| Tuple { src_port: Some(0), dst_port: Some(0), ..t });
    }
    let without = v4(ipproto::ICMP);
    assert_ne!(packed(&keys, &zero), packed(&keys, &without));
    assert_eq!(keys.values(&packed(&keys, &zero)), [Value::Number(0); 2]);
    assert_eq!(keys.values(&packed(&keys, &without)), [Value::Absent; 2]);
}

#[test]
fn an_ipv4_address_is_not_the_ipv6_address_of_the_same_bytes() {
    let mut six = [0; 16];
    six[..4].copy_from_slice(&A);
    let keys = keys("src");
    let (four, six) = (v4(ipproto::UDP), flow(Addr::V6(six), Addr::V6(SIX), ipproto::UDP));
    assert_eq!(packed(&keys, &four).words, packed(&keys, &six).words);
    assert_ne!(packed(&keys, &four), packed(&keys, &six));
    // Where no address is asked for, the family makes no difference.
    let ports = self::keys("sport");
    assert_eq!(packed(&ports, &four), packed(&ports, &six));
}

#[test]
fn states_of_the_same_name_are_one() {
    let sctp = |state| {
        let info = SctpInfo { state: Some(state), vtag: [Some(1), Some(2)] };
        v4(ipproto::SCTP).with(|it| it.protoinfo = Some(ProtoInfo::Sctp(info)))
    };
    let established = SCTP_STATES.iter().position(|n| *n == b"ESTABLISHED").expect("a state") as u8;
    assert_eq!(values("state", &sctp(established)), [Value::State(StateOf::Tcp, 3)]);
    assert_eq!(values("state", &sctp(1)), [Value::State(StateOf::Sctp, 1)]);
    assert_eq!(values("state", &sctp(200)), [Value::State(StateOf::Sctp, 200)]);
}

#[test]
fn zones_know_their_direction() {
    let with = |orig: Option<u16>, reply: Option<u16>| {
        let mut f = v4(ipproto::UDP);
        f.orig = f.orig.map(|t| Tuple { zone: orig, ..t });
        f.reply = f.reply.map(|t| Tuple { zone: reply, ..t });
        values("zone", &f)
    };
    assert_eq!(with(None, None), [Value::Zone(Zone::Both(0))]);
    assert_eq!(with(Some(7), None), [Value::Zone(Zone::Orig(7))]);
    assert_eq!(with(None, Some(7)), [Value::Zone(Zone::Reply(7))]);
}

#[test]
fn a_translation_is_known_by_what_the_reply_says() {
    let to = Addr::V4([203, 0, 113, 9]);
    let mut f = v4(ipproto::UDP);
    f.status = Some(ips::SRC_NAT_DONE | ips::DST_NAT_DONE);
    assert_eq!(values("nat", &f), [Value::Absent]);
    let reply = f.reply.expect("a tuple");
    f.reply = Some(Tuple { src: Some(to), ..reply });
    assert_eq!(values("nat", &f), [Value::Addr(to, None)]);
    // The source's translation goes before the destination's.
    let source = Addr::V4([203, 0, 113, 1]);
    f.reply = Some(Tuple { src: Some(to), dst: Some(source), ..reply });
    assert_eq!(values("nat/24", &f), [Value::Addr(Addr::V4([203, 0, 113, 0]), Some(24))]);
    assert_eq!(values("nat", &f), [Value::Addr(source, None)]);
    f.status = Some(0);
    assert_eq!(values("nat", &f), [Value::Absent]);
}

#[test]
fn single_flows_are_told_apart() {
    let keys = Keys::flows();
    let ping = |id| {
        let mut f = v4(ipproto::ICMP);
        f.orig = f.orig.map(|t| Tuple { icmp_id: Some(id), ..t });
        f
    };
    assert_ne!(packed(&keys, &ping(1)), packed(&keys, &ping(2)));
    assert_ne!(packed(&keys, &v4(ipproto::TCP)), packed(&keys, &v4(ipproto::UDP)));
    assert!(keys.values(&packed(&keys, &ping(513))).contains(&Value::Icmp(8, 0, 513)));
    assert_eq!(v4(ipproto::UDP).family, af::INET);
}
