//! Messages as the kernel lays them out, with everything it ever sends and a little more.

use zct_wire::build::{Builder, Head};
use zct_wire::consts::{
    af, cta, cta_expect, cta_expect_nat, cta_help, cta_secctx, cta_seqadj, cta_synproxy, cta_timestamp,
    ipctnl, ipctnl_exp, ipproto, ips, nlm_f, nlmsg, nlmsgerr_attr,
};
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpFlags, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

/// A message with the name a failing test shows.
pub struct Sample {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

/// Text that no document can hold as it is: markup, quotes, control characters, invalid UTF-8.
pub const HOSTILE_TEXT: &[u8] = b"a<b>&\"'\\\n\r\t\x01\x1b[2J\x7f\xc2\x9b\xff\xed\xa0\x80\xef\xbf\xbf]]>";

/// An event of a new entry.
pub const CREATED: u16 = nlm_f::CREATE | nlm_f::EXCL;

fn build(kind: u16, flags: u16, family: u8, fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let mut buf = vec![0xa5; 4096];
    let mut b = Builder::new(&mut buf, Head::new(kind, 1).flags(flags).family(family));
    fill(&mut b);
    b.finish().expect("samples are small").to_vec()
}

/// Makes the length of the first message that of the bytes, so that what is in it gets read.
pub fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = (bytes.len() as u32).to_ne_bytes();
    if let Some(field) = bytes.get_mut(..4) {
        field.copy_from_slice(&len);
    }
    bytes
}

/// An IPv4 tuple with ports.
pub fn v4(proto: u8) -> Tuple {
    Tuple {
        src: Some(Addr::V4([10, 0, 0, 1])),
        dst: Some(Addr::V4([192, 0, 2, 200])),
        proto: Some(proto),
        src_port: Some(1024),
        dst_port: Some(443),
        ..Tuple::default()
    }
}

/// An IPv6 tuple with ports.
pub fn v6(proto: u8) -> Tuple {
    let src = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let dst = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
    Tuple { src: Some(Addr::V6(src)), dst: Some(Addr::V6(dst)), ..v4(proto) }
}

fn icmp(t: Tuple, icmp_type: u8) -> Tuple {
    let proto = if icmp_type < 128 { ipproto::ICMP } else { ipproto::ICMPV6 };
    Tuple {
        proto: Some(proto),
        src_port: None,
        dst_port: None,
        icmp_type: Some(icmp_type),
        icmp_code: Some(0),
        icmp_id: Some(4242),
        ..t
    }
}

fn family(t: &Tuple) -> u8 {
    t.src.map_or(af::UNSPEC, |a| a.family())
}

/// What a dump carries at least.
fn dumped(orig: Tuple, status: u32, more: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    build(ipctnl::NEW, nlm_f::MULTI, family(&orig), |b| {
        orig.build(b, cta::TUPLE_ORIG);
        orig.inverse().unwrap_or(orig).build(b, cta::TUPLE_REPLY);
        b.put_be32(cta::STATUS, status).put_be32(cta::MARK, 0).put_be32(cta::ID, 0x9e37_79b9);
        b.put_be32(cta::USE, 1).put_be32(cta::TIMEOUT, 431_999);
        more(b);
    })
}

fn counters(b: &mut Builder<'_>, kind: u16, packets: u64, bytes: u64) {
    b.nest(kind, |b| _ = b.put(1, &packets.to_be_bytes()).put(2, &bytes.to_be_bytes()));
}

fn string(b: &mut Builder<'_>, kind: u16, member: u16, text: &[u8]) {
    b.nest(kind, |b| _ = b.put_str(member, text));
}

fn times(b: &mut Builder<'_>, start_ns: u64, stop_ns: Option<u64>) {
    b.nest(cta::TIMESTAMP, |b| {
        b.put(cta_timestamp::START, &start_ns.to_be_bytes());
        if let Some(ns) = stop_ns {
            b.put(cta_timestamp::STOP, &ns.to_be_bytes());
        }
    });
}

fn tcp(state: u8) -> ProtoInfo {
    let flags = Some(TcpFlags { flags: 0x0a, mask: 0 });
    ProtoInfo::Tcp(TcpInfo { state: Some(state), wscale: [Some(7), Some(9)], flags: [flags; 2] })
}

/// Every attribute a flow can have, with text that has to be escaped and numbers as large as they get.
pub fn everything() -> Vec<u8> {
    let orig = Tuple { zone: Some(9), ..v4(ipproto::TCP) };
    let reply = Tuple { zone: Some(10), dst: Some(Addr::V4([203, 0, 113, 7])), ..v4(ipproto::TCP) };
    build(ipctnl::NEW, CREATED, af::INET, |b| {
        orig.build(b, cta::TUPLE_ORIG);
        reply.build(b, cta::TUPLE_REPLY);
        b.put_be16(cta::ZONE, 65_535).put_be32(cta::STATUS, u32::MAX).put_be32(cta::MARK, u32::MAX);
        string(b, cta::SECCTX, cta_secctx::NAME, HOSTILE_TEXT);
        b.put_be32(cta::SECMARK, 7).put_be32(cta::ID, u32::MAX).put_be32(cta::USE, 2);
        v4(ipproto::TCP).build(b, cta::TUPLE_MASTER);
        b.put_be32(cta::TIMEOUT, u32::MAX);
        tcp(3).build(b, cta::PROTOINFO);
        counters(b, cta::COUNTERS_ORIG, u64::MAX, u64::MAX);
        counters(b, cta::COUNTERS_REPLY, 0, 1);
        times(b, 1_795_452_000_999_999_999, Some(1_795_452_143_000_000_000));
        string(b, cta::HELP, cta_help::NAME, HOSTILE_TEXT);
        b.put(cta::LABELS, &[0x0f, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        for (kind, before) in [(cta::SEQ_ADJ_ORIG, -4i32), (cta::SEQ_ADJ_REPLY, i32::MAX)] {
            b.nest(kind, |b| {
                b.put_be32(cta_seqadj::CORRECTION_POS, 9)
                    .put(cta_seqadj::OFFSET_BEFORE, &before.to_be_bytes())
                    .put(cta_seqadj::OFFSET_AFTER, &8i32.to_be_bytes());
            });
        }
        b.nest(cta::SYNPROXY, |b| {
            b.put_be32(cta_synproxy::ISN, 1).put_be32(cta_synproxy::ITS, 2).put_be32(cta_synproxy::TSOFF, 3);
        });
        b.put(cta::TIMESTAMP_EVENT, &1_795_452_143_123_456_789u64.to_be_bytes());
        b.put(900, b"from a newer kernel");
    })
}

/// Flows of every protocol, with and without address translation, from dumps and from events.
pub fn flows() -> Vec<Sample> {
    const SEEN: u32 = ips::SEEN_REPLY | ips::ASSURED | ips::CONFIRMED;
    let none = |_: &mut Builder<'_>| {};
    let bare = Tuple { src_port: None, dst_port: None, ..v4(50) };
    let sctp = ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag: [Some(0x0102_0304), Some(u32::MAX)] });
    let dccp = ProtoInfo::Dccp(DccpInfo { state: Some(4), role: Some(1), handshake_seq: Some(1 << 40) });
    let nat = build(ipctnl::NEW, nlm_f::MULTI, af::INET, |b| {
        let orig = v4(ipproto::UDP);
        let reply = Tuple { dst: Some(Addr::V4([203, 0, 113, 7])), dst_port: Some(60_000), ..orig };
        orig.build(b, cta::TUPLE_ORIG);
        reply.build(b, cta::TUPLE_REPLY);
        let status = SEEN | ips::SRC_NAT | ips::SRC_NAT_DONE | ips::DST_NAT_DONE;
        b.put_be32(cta::STATUS, status).put_be32(cta::TIMEOUT, 30);
    });
    let destroyed = build(ipctnl::DELETE, 0, af::INET6, |b| {
        v6(ipproto::TCP).build(b, cta::TUPLE_ORIG);
        v6(ipproto::TCP).build(b, cta::TUPLE_REPLY);
        b.put_be32(cta::ID, 5).put_be32(cta::STATUS, SEEN | ips::DYING);
        counters(b, cta::COUNTERS_ORIG, 1, 60);
        counters(b, cta::COUNTERS_REPLY, 0, 0);
        times(b, 1_000_000_000_900_000_000, Some(1_000_000_002_100_000_000));
        b.nest(cta::PROTOINFO, |b| _ = b.nest(1, |b| _ = b.put_u8(1, 8)));
    });
    let updated = build(ipctnl::NEW, 0, af::INET, |b| {
        v4(ipproto::TCP).build(b, cta::TUPLE_ORIG);
        v4(ipproto::TCP).build(b, cta::TUPLE_REPLY);
        b.put_be16(cta::ZONE, 7).put_be32(cta::ID, 5).put_be32(cta::STATUS, ips::CONFIRMED);
        tcp(200).build(b, cta::PROTOINFO);
        string(b, cta::HELP, cta_help::NAME, b"ftp");
        b.put(cta::LABELS, &[0, 0, 0, 0]);
    });
    let named = |name, bytes| Sample { name, bytes };
    vec![
        named("everything", everything()),
        named("tcp", dumped(v4(ipproto::TCP), SEEN, |b| tcp(3).build(b, cta::PROTOINFO))),
        named("tcp over IPv6", dumped(v6(ipproto::TCP), SEEN, |b| tcp(7).build(b, cta::PROTOINFO))),
        named("udp", dumped(v4(ipproto::UDP), ips::CONFIRMED, none)),
        named("udplite", dumped(v6(ipproto::UDPLITE), ips::CONFIRMED, none)),
        named("sctp", dumped(v4(ipproto::SCTP), SEEN, |b| sctp.build(b, cta::PROTOINFO))),
        named("dccp", dumped(v4(ipproto::DCCP), SEEN, |b| dccp.build(b, cta::PROTOINFO))),
        named("gre", dumped(v4(ipproto::GRE), 0, |b| times(b, 1_795_000_000_000_000_000, None))),
        named("icmp", dumped(icmp(v4(0), 8), 0, none)),
        named("icmpv6", dumped(icmp(v6(0), 128), 0, |b| _ = b.put_be16(cta::ZONE, 3))),
        named("esp", dumped(bare, 0, none)),
        named("offloaded", dumped(v4(ipproto::TCP), SEEN | ips::OFFLOAD, none)),
        named("translated", nat),
        named("destroyed", destroyed),
        named("updated", updated),
        named("no attributes", build(ipctnl::NEW, nlm_f::MULTI, 77, none)),
    ]
}

/// Expectations: as the FTP helper makes them, with everything, and with nothing.
pub fn expectations() -> Vec<Sample> {
    let ones = Tuple {
        src: Some(Addr::V4([255; 4])),
        dst: Some(Addr::V4([255; 4])),
        src_port: Some(0),
        dst_port: Some(65_535),
        ..v4(ipproto::TCP)
    };
    let usual = |b: &mut Builder<'_>, t: Tuple, mask: Tuple| {
        t.build(b, cta_expect::TUPLE);
        mask.build(b, cta_expect::MASK);
        v4(ipproto::TCP).build(b, cta_expect::MASTER);
        b.put_be32(cta_expect::TIMEOUT, 299).put_be32(cta_expect::ID, 77).put_be32(cta_expect::FLAGS, 0);
        b.put_be32(cta_expect::CLASS, 0).put_str(cta_expect::HELP_NAME, b"ftp");
    };
    let ftp =
        build(ipctnl_exp::NEW, CREATED, af::INET, |b| usual(b, Tuple { src_port: Some(0), ..v4(6) }, ones));
    let all = build(ipctnl_exp::NEW, nlm_f::MULTI, af::INET6, |b| {
        usual(b, v6(ipproto::UDP), v6(ipproto::UDP));
        b.nest(cta_expect::NAT, |b| {
            b.put_be32(cta_expect_nat::DIR, 1);
            v4(ipproto::UDP).build(b, cta_expect_nat::TUPLE);
        });
        b.put_be32(cta_expect::FLAGS, u32::MAX).put_be16(cta_expect::ZONE, 3);
        b.put_str(cta_expect::HELP_NAME, HOSTILE_TEXT).put_str(cta_expect::FN, HOSTILE_TEXT);
    });
    let gone = build(ipctnl_exp::DELETE, 0, af::INET, |b| usual(b, v4(ipproto::GRE), v4(ipproto::GRE)));
    let named = |name, bytes| Sample { name, bytes };
    vec![
        named("ftp", ftp),
        named("all of it", all),
        named("destroyed", gone),
        named("no attributes", build(ipctnl_exp::NEW, nlm_f::MULTI, 0, |_| {})),
    ]
}

/// Replies with counters: one per CPU for flows and expectations.
pub fn statistics() -> Vec<Sample> {
    let counters = |kind, last: u16| {
        let mut bytes = build(kind, nlm_f::MULTI, af::UNSPEC, |b| {
            (1..=last).for_each(|n| _ = b.put_be32(n, u32::MAX - u32::from(n)));
        });
        bytes[18..20].copy_from_slice(&1234u16.to_be_bytes()); // res_id: the CPU
        bytes
    };
    vec![
        Sample { name: "flows", bytes: counters(ipctnl::GET_STATS_CPU, 20) },
        Sample { name: "expectations", bytes: counters(ipctnl_exp::STATS_REPLY, 4) },
    ]
}

/// Refusals: with the request repeated, capped to its header, and without explanation.
pub fn errors() -> Vec<Sample> {
    let message = |kind: u16, flags: u16, payload: &[u8]| {
        let mut v = ((16 + payload.len()) as u32).to_ne_bytes().to_vec();
        v.extend(kind.to_ne_bytes());
        v.extend(flags.to_ne_bytes());
        v.extend(7u32.to_ne_bytes()); // seq
        v.extend(99u32.to_ne_bytes()); // portid
        v.extend(payload);
        v
    };
    let request = message(ipctnl::GET, 1, &[2, 0, 0, 0]);
    let mut tlv = Vec::new();
    tlv.extend(9u16.to_ne_bytes());
    tlv.extend(nlmsgerr_attr::MSG.to_ne_bytes());
    tlv.extend(b"oops\0\0\0\0");
    tlv.extend(8u16.to_ne_bytes());
    tlv.extend(nlmsgerr_attr::OFFS.to_ne_bytes());
    tlv.extend(20u32.to_ne_bytes());
    let code = (-22i32).to_ne_bytes();
    let error = |name, flags, parts: [&[u8]; 3]| Sample {
        name,
        bytes: message(nlmsg::ERROR, flags, &parts.concat()),
    };
    vec![
        error("whole request", nlm_f::ACK_TLVS, [&code, &request, &tlv]),
        error("capped", nlm_f::ACK_TLVS | nlm_f::CAPPED, [&code, &request[..16], &tlv]),
        error("no explanation", 0, [&code, &request, b""]),
    ]
}
