//! Fills the table of the current network namespace with a few flows of every kind, for `make run`.

use std::ops::ControlFlow;
use zct_engine::{Lost, Requests, Sink};
use zct_wire::consts::{af, ipproto, ips, nlm_f};
use zct_wire::filter::Masked;
use zct_wire::header::CtMsg;
use zct_wire::nat::Nat;
use zct_wire::proto::{ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::request::{NewFlow, new_flow};
use zct_wire::tuple::{Addr, Tuple};

/// Creating answers with nothing but an acknowledgement.
struct Nothing;

impl Sink for Nothing {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        eprintln!("{why}");
    }
}

const V4: u8 = af::INET;
const V6: u8 = af::INET6;

fn ports(family: u8, proto: u8, host: u8, src_port: u16, dst_port: u16) -> NewFlow<'static> {
    let net = |last: u8| match family {
        V4 => Addr::V4([192, 0, 2, last]),
        _ => Addr::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]),
    };
    let orig = Tuple {
        src: Some(net(host)),
        dst: Some(net(200)),
        proto: Some(proto),
        src_port: Some(src_port),
        dst_port: Some(dst_port),
        ..Tuple::default()
    };
    NewFlow::default().with(|it| {
        it.family = family;
        it.orig = Some(orig);
        it.reply = orig.inverse();
        it.timeout_s = Some(432_000);
        it.status = Some(ips::CONFIRMED);
    })
}

fn tcp(family: u8, host: u8, dst_port: u16, state: u8) -> NewFlow<'static> {
    ports(family, ipproto::TCP, host, 40_000 + u16::from(host), dst_port).with(|it| {
        it.status = Some(ips::CONFIRMED | ips::SEEN_REPLY | ips::ASSURED);
        it.protoinfo = Some(ProtoInfo::Tcp(TcpInfo::created(state)));
    })
}

fn ping(family: u8, host: u8) -> NewFlow<'static> {
    let (proto, kind) = if family == V4 { (ipproto::ICMP, 8) } else { (ipproto::ICMPV6, 128) };
    let mut flow = ports(family, proto, host, 0, 0);
    flow.orig = flow.orig.map(|t| Tuple {
        src_port: None,
        dst_port: None,
        icmp_type: Some(kind),
        icmp_code: Some(0),
        icmp_id: Some(u16::from(host)),
        ..t
    });
    flow.reply = flow.orig.and_then(|t| t.inverse());
    flow.timeout_s = Some(30);
    flow
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sctp = SctpInfo { state: Some(4), vtag: [Some(7), Some(8)] };
    let flows = [
        tcp(V4, 1, 443, 3),
        tcp(V4, 2, 443, 3),
        tcp(V4, 3, 22, 7),
        tcp(V6, 4, 443, 3),
        tcp(V6, 5, 80, 4).with(|it| it.mark = Some(Masked { value: 7, mask: u32::MAX })),
        tcp(V4, 6, 443, 3)
            .with(|it| it.nat_src = Some(Nat { addr: Some(Addr::V4([203, 0, 113, 1])), port: Some(1025) })),
        tcp(V4, 7, 80, 3)
            .with(|it| it.nat_dst = Some(Nat { addr: Some(Addr::V4([198, 51, 100, 9])), port: Some(8080) })),
        ports(V4, ipproto::UDP, 8, 5353, 53),
        ports(V6, ipproto::UDP, 9, 5353, 53).with(|it| it.zone = Some(5)),
        ports(V4, ipproto::SCTP, 10, 36_412, 36_412).with(|it| it.protoinfo = Some(ProtoInfo::Sctp(sctp))),
        ports(V4, ipproto::GRE, 11, 1, 2),
        ping(V4, 12),
        ping(V6, 13),
    ];
    let mut requests = Requests::open()?;
    for flow in &flows {
        requests.ask(
            |buf, seq| new_flow(buf, seq, nlm_f::CREATE | nlm_f::EXCL | nlm_f::ACK, flow),
            &mut Nothing,
        )?;
    }
    Ok(())
}
