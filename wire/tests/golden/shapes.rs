//! The usual tuples are written as they lie in the message, all others after decoding: both must give the
//! same text in every format.

use crate::sample::{CTX, flow_of};
use zct_wire::build::Builder;
use zct_wire::consts::{af, cta, cta_ip, cta_proto, cta_tuple, ips};
use zct_wire::error::WireError;
use zct_wire::event::Event;
use zct_wire::flow::FlowView;
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::text::{Out, Style, json, line, save, xml};
use zct_wire::tuple::{Addr, Tuple};

/// The same tuple with its members in an order that no kernel sends.
fn reordered(b: &mut Builder<'_>, kind: u16, t: &Tuple) {
    let (src, dst) = match t.src {
        Some(Addr::V6(_)) => (cta_ip::V6_SRC, cta_ip::V6_DST),
        _ => (cta_ip::V4_SRC, cta_ip::V4_DST),
    };
    b.nest(kind, |b| {
        b.nest(cta_tuple::PROTO, |b| {
            b.put_be16(cta_proto::DST_PORT, t.dst_port.unwrap_or(0));
            b.put_be16(cta_proto::SRC_PORT, t.src_port.unwrap_or(0));
            b.put_u8(cta_proto::NUM, t.proto.unwrap_or(0));
        });
        b.nest(cta_tuple::IP, |b| {
            b.put(dst, t.dst.as_ref().map_or(&[], Addr::bytes));
            b.put(src, t.src.as_ref().map_or(&[], Addr::bytes));
        });
    });
}

type Render = fn(&mut Out<'_>, &FlowView<'_>) -> Result<(), WireError>;

const STYLE: Style = Style { extended: true, id: true, ktimestamp: true, timestamp: true };

const FORMATS: [Render; 4] = [
    |out, f| line::flow(out, f, &STYLE, &CTX),
    |out, f| save::flow(out, f, save::Verb::Add),
    |out, f| xml::flow(out, f, Some(Event::New), Some(7), &STYLE, &CTX),
    |out, f| json::flow(out, f, None, &STYLE, &CTX),
];

#[test]
fn the_order_of_members_changes_nothing() {
    let v6 = |first, last| Addr::V6([first, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    let addresses = [
        (af::INET, [Addr::V4([10, 0, 200, 1]), Addr::V4([192, 0, 2, 99]), Addr::V4([203, 0, 113, 7])]),
        (af::INET6, [v6(0x20, 1), v6(0xfd, 255), v6(0, 0)]),
    ];
    let mut compared = 0;
    for (family, [a, b, c]) in addresses {
        for proto in 0..=u8::MAX {
            for (to, status) in [(a, None), (c, Some(0)), (c, Some(ips::SRC_NAT_DONE | ips::DST_NAT_DONE))] {
                let ports = |src, dst| (Some(src), Some(dst));
                let tuple = |src, dst, (src_port, dst_port)| Tuple {
                    src: Some(src),
                    dst: Some(dst),
                    proto: Some(proto),
                    src_port,
                    dst_port,
                    ..Tuple::default()
                };
                let orig = tuple(a, b, ports(0, 65_535));
                let reply = tuple(b, to, ports(443, 1024));
                let rest = |b: &mut Builder<'_>| {
                    if let Some(s) = status {
                        b.put_be32(cta::STATUS, s);
                    }
                    ProtoInfo::Tcp(TcpInfo::created(proto % 12)).build(b, cta::PROTOINFO);
                };
                for render in FORMATS {
                    let usual = flow_of(
                        family,
                        |b| {
                            orig.build(b, cta::TUPLE_ORIG);
                            reply.build(b, cta::TUPLE_REPLY);
                            rest(b);
                        },
                        render,
                    );
                    // One of the two alone is decoded as well, and then both.
                    for (first, second) in [(true, false), (false, true), (true, true)] {
                        let build = |b: &mut Builder<'_>, other, kind, t: &Tuple| match other {
                            true => reordered(b, kind, t),
                            false => t.build(b, kind),
                        };
                        let other = flow_of(
                            family,
                            |b| {
                                build(b, first, cta::TUPLE_ORIG, &orig);
                                build(b, second, cta::TUPLE_REPLY, &reply);
                                rest(b);
                            },
                            render,
                        );
                        assert_eq!(usual, other);
                        compared += 1;
                    }
                }
            }
        }
    }
    assert_eq!(compared, 2 * 256 * 3 * 4 * 3);
}
