//! Flows as the commands that make them again (command-line.md §3.3).

use crate::sample::{self, tuples, v4};
use zct_wire::build::Builder;
use zct_wire::consts::{cta, ipproto, ips};
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::text::save::{Verb, flow};
use zct_wire::tuple::{Addr, Tuple};

fn saved(fill: impl FnOnce(&mut Builder<'_>)) -> String {
    sample::flow(fill, |out, f| flow(out, f, Verb::Add))
}

fn between(proto: u8) -> Tuple {
    v4(proto, ([1, 1, 1, 1], 10), ([2, 2, 2, 2], 20))
}

/// The transcript of a listing with `-o save`, and each verb.
#[test]
fn a_connection() {
    let fill = |b: &mut Builder<'_>| {
        tuples(b, between(6));
        b.put_be32(cta::STATUS, ips::CONFIRMED).put_be32(cta::TIMEOUT, 99).put_be32(cta::MARK, 5);
        ProtoInfo::Tcp(TcpInfo::created(3)).build(b, cta::PROTOINFO);
    };
    // What deletes selects, and is not made narrower by a mark.
    for (verb, word, mark) in
        [(Verb::Add, "-A", " -m 5"), (Verb::Update, "-U", " -m 5"), (Verb::Delete, "-D", "")]
    {
        let want = format!(
            "{word} -t 99 -u UNSET{mark} -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p tcp --sport 10 --dport 20 \
             --reply-port-src 20 --reply-port-dst 10 --state ESTABLISHED"
        );
        assert_eq!(sample::flow(fill, |out, f| flow(out, f, verb)), want);
    }
}

/// The order is that of the original, whatever the bits; bits without a word are left out.
#[test]
fn status_lists() {
    for (status, want) in [
        (0, "UNSET"),
        (ips::CONFIRMED | ips::SRC_NAT_DONE, "UNSET"),
        (0x18e, "SEEN_REPLY,ASSURED"),
        (ips::SEEN_REPLY, "SEEN_REPLY"),
        (ips::ASSURED, "ASSURED"),
        (ips::EXPECTED | ips::FIXED_TIMEOUT, "EXPECTED,FIXED_TIMEOUT"),
        (u32::MAX, "EXPECTED,SEEN_REPLY,ASSURED,FIXED_TIMEOUT"),
    ] {
        assert_eq!(saved(|b| _ = b.put_be32(cta::STATUS, status)), format!("-A -u {want}"));
    }
}

/// An address is a translation when it is not the one to expect and the kernel has finished that side, or
/// said nothing of it.
#[test]
fn translations() {
    let (dst, src) = (ips::DST_NAT_DONE, ips::SRC_NAT_DONE);
    for (status, reply_src, reply_dst, want) in [
        (Some(dst | src), 9, 8, "-g 9.9.9.9 -n 8.8.8.8"),
        (Some(dst), 9, 8, "-g 9.9.9.9 -q 8.8.8.8"),
        (Some(src), 9, 8, "-r 9.9.9.9 -n 8.8.8.8"),
        (Some(0), 9, 8, "-r 9.9.9.9 -q 8.8.8.8"),
        (None, 9, 8, "-g 9.9.9.9 -n 8.8.8.8"),
        (Some(dst | src), 2, 1, "-r 2.2.2.2 -q 1.1.1.1"),
    ] {
        let got = saved(|b| {
            between(17).build(b, cta::TUPLE_ORIG);
            v4(17, ([reply_src; 4], 20), ([reply_dst; 4], 10)).build(b, cta::TUPLE_REPLY);
            if let Some(s) = status {
                b.put_be32(cta::STATUS, s);
            }
        });
        let flags = if status.is_some() { "-u UNSET " } else { "" };
        let want = format!(
            "-A {flags}-s 1.1.1.1 -d 2.2.2.2 {want} -p udp --sport 10 --dport 20 --reply-port-src 20 \
             --reply-port-dst 10"
        );
        assert_eq!(got, want);
    }
}

/// What each protocol keeps, and zones before the addresses.
#[test]
fn protocols_and_zones() {
    const ADDRESSES: &str = "-s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1";
    const PORTS: &str = "--sport 10 --dport 20 --reply-port-src 20 --reply-port-dst 10";
    let sctp = |state| Some(ProtoInfo::Sctp(SctpInfo { state: Some(state), vtag: [Some(5), Some(6)] }));
    let dccp =
        |role| Some(ProtoInfo::Dccp(DccpInfo { state: Some(4), role: Some(role), handshake_seq: None }));
    let icmp = |proto, icmp_type| Tuple {
        icmp_type: Some(icmp_type),
        icmp_code: Some(0),
        icmp_id: Some(1234),
        src_port: None,
        dst_port: None,
        ..between(proto)
    };
    for (t, info, want) in [
        (between(6), Some(ProtoInfo::Tcp(TcpInfo::created(1))), format!("tcp {PORTS} --state SYN_SENT")),
        (between(6), None, format!("tcp {PORTS}")),
        // A state of another protocol is not this flow's.
        (between(6), sctp(3), format!("tcp {PORTS}")),
        (between(ipproto::UDPLITE), None, format!("udplite {PORTS}")),
        (
            between(ipproto::SCTP),
            sctp(4),
            format!("sctp {PORTS} --state ESTABLISHED --orig-vtag 5 --reply-vtag 6"),
        ),
        (
            between(ipproto::SCTP),
            sctp(8),
            format!("sctp {PORTS} --state HEARTBEAT_SENT --orig-vtag 5 --reply-vtag 6"),
        ),
        (between(ipproto::DCCP), dccp(0), format!("dccp {PORTS} --state OPEN --role client")),
        (between(ipproto::DCCP), dccp(1), format!("dccp {PORTS} --state OPEN --role server")),
        (
            between(ipproto::GRE),
            None,
            "gre --srckey 10 --dstkey 20 --reply-key-src 20 --reply-key-dst 10".into(),
        ),
        (icmp(1, 8), None, "icmp --icmp-type 8 --icmp-code 0 --icmp-id 1234".into()),
        (icmp(58, 128), None, "icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 1234".into()),
        (icmp(201, 0), None, "201".into()),
    ] {
        let got = saved(|b| {
            tuples(b, t);
            if let Some(i) = info {
                i.build(b, cta::PROTOINFO);
            }
        });
        assert_eq!(got, format!("-A {ADDRESSES} -p {want}"));
    }
    let zone = |z, t| Tuple { zone: Some(z), ..t };
    let got = saved(|b| {
        zone(8, between(6)).build(b, cta::TUPLE_ORIG);
        zone(9, v4(6, ([2; 4], 20), ([1; 4], 10))).build(b, cta::TUPLE_REPLY);
        b.put_be32(cta::SECMARK, 3).put_be16(cta::ZONE, 7);
    });
    assert_eq!(got, format!("-A -c 3 -w 7 --orig-zone 8 --reply-zone 9 {ADDRESSES} -p tcp {PORTS}"));
    let alone = Tuple { src: Some(Addr::V4([1; 4])), ..Tuple::default() };
    assert_eq!(saved(|b| alone.build(b, cta::TUPLE_ORIG)), "-A -s 1.1.1.1");
}
