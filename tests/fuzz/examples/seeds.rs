//! Writes inputs to start from: without them a fuzzer would have to guess three levels of lengths.
//!
//! `cargo run --example seeds DIRECTORY`; each target has its inputs in a directory of its name.

use std::fs;
use std::path::Path;
use zct_wire::build::Builder;
use zct_wire::consts::{
    af, cta, cta_expect, cta_expect_nat, cta_help, cta_secctx, cta_seqadj, cta_synproxy, ipproto,
};
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

/// Family and attributes of a message.
fn attrs(family: u8, fill: impl FnOnce(&mut Builder<'_>)) -> (u8, Vec<u8>) {
    let mut buf = [0; 4096];
    let mut b = Builder::new(&mut buf, 0x100, 0, 1, family, 0);
    fill(&mut b);
    (family, b.finish().expect("seeds are small")[20..].to_vec())
}

fn tuple(family: u8, proto: u8) -> Tuple {
    let addr = |last| match family {
        af::INET6 => Addr::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]),
        _ => Addr::V4([10, 0, 0, last]),
    };
    let icmp = proto == ipproto::ICMP || proto == ipproto::ICMPV6;
    Tuple {
        src: Some(addr(1)),
        dst: Some(addr(2)),
        proto: Some(proto),
        src_port: (!icmp).then_some(1024),
        dst_port: (!icmp).then_some(443),
        icmp_id: icmp.then_some(7),
        icmp_type: icmp.then_some(8),
        icmp_code: icmp.then_some(0),
        zone: (proto == ipproto::GRE).then_some(9),
    }
}

/// Every attribute a flow can have.
fn flow(b: &mut Builder<'_>, t: Tuple, info: Option<ProtoInfo>) {
    for kind in [cta::TUPLE_ORIG, cta::TUPLE_REPLY, cta::TUPLE_MASTER] {
        t.build(b, kind);
    }
    for kind in [cta::STATUS, cta::TIMEOUT, cta::MARK, cta::SECMARK, cta::USE, cta::ID] {
        b.put_be32(kind, 0x18e);
    }
    b.put_be16(cta::ZONE, 3).put(cta::LABELS, &[7; 16]);
    for kind in [cta::COUNTERS_ORIG, cta::COUNTERS_REPLY, cta::TIMESTAMP] {
        b.nest(kind, |b| _ = b.put(1, &1_795_452_000_000_000_000u64.to_be_bytes()).put(2, &[0; 8]));
    }
    b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
    b.nest(cta::SECCTX, |b| _ = b.put_str(cta_secctx::NAME, b"a<b>&\"\xff\x01\n"));
    for kind in [cta::SEQ_ADJ_ORIG, cta::SEQ_ADJ_REPLY] {
        b.nest(kind, |b| {
            _ = b.put_be32(cta_seqadj::CORRECTION_POS, 9).put_be32(cta_seqadj::OFFSET_BEFORE, 1)
        });
    }
    b.nest(cta::SYNPROXY, |b| _ = b.put_be32(cta_synproxy::ISN, 1).put_be32(cta_synproxy::ITS, 2));
    b.put(cta::TIMESTAMP_EVENT, &[1; 8]);
    if let Some(i) = info {
        i.build(b, cta::PROTOINFO);
    }
}

fn expectation(b: &mut Builder<'_>, t: Tuple) {
    for kind in [cta_expect::MASTER, cta_expect::TUPLE, cta_expect::MASK] {
        t.build(b, kind);
    }
    for kind in [cta_expect::TIMEOUT, cta_expect::ID, cta_expect::FLAGS, cta_expect::CLASS] {
        b.put_be32(kind, 7);
    }
    b.put_be16(cta_expect::ZONE, 3).put_str(cta_expect::HELP_NAME, b"ftp").put_str(cta_expect::FN, b"nat");
    b.nest(cta_expect::NAT, |b| {
        b.put_be32(cta_expect_nat::DIR, 1);
        t.build(b, cta_expect_nat::TUPLE);
    });
}

fn write(directory: &Path, target: &str, number: usize, parts: &[&[u8]]) {
    let directory = directory.join(target);
    let written = fs::create_dir_all(&directory)
        .and_then(|()| fs::write(directory.join(format!("seed-{number:02}")), parts.concat()));
    written.unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
}

fn main() {
    let directory = std::env::args().nth(1).expect("usage: seeds DIRECTORY");
    let directory = Path::new(&directory);
    let mut flows = Vec::new();
    let mut expectations = Vec::new();
    for family in [af::INET, af::INET6] {
        for proto in [6, 17, 1, 47, 58, 132, 33, 136, 201] {
            let info = match proto {
                ipproto::TCP => Some(ProtoInfo::Tcp(TcpInfo::created(3))),
                ipproto::SCTP => Some(ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag: [Some(1), Some(2)] })),
                ipproto::DCCP => {
                    Some(ProtoInfo::Dccp(DccpInfo { state: Some(4), role: Some(1), handshake_seq: Some(5) }))
                }
                _ => None,
            };
            flows.push(attrs(family, |b| flow(b, tuple(family, proto), info)));
            flows.push(attrs(family, |b| tuple(family, proto).build(b, cta::TUPLE_ORIG)));
            expectations.push(attrs(family, |b| expectation(b, tuple(family, proto))));
        }
    }
    let statistics = attrs(0, |b| (1..=20).for_each(|kind| _ = b.put_be32(kind, u32::from(kind))));
    let all = flows.iter().chain(&expectations).chain([&statistics]);
    for (n, (family, attrs)) in all.clone().enumerate() {
        write(directory, "attr", n, &[attrs]);
        write(directory, "text", n, &[&[*family, (n * 37) as u8, (n * 91) as u8], attrs]);
    }
    for (target, seeds) in [("flow", &flows), ("expect", &expectations)] {
        for (n, (family, attrs)) in seeds.iter().enumerate() {
            write(directory, target, n, &[&[*family], attrs]);
        }
    }
    println!("{} inputs to start from in {}", all.count(), directory.display());
}
