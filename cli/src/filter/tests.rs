//! Each member of the filter, on flows that it admits and on flows that differ in that one thing.

use super::*;
use zct_wire::consts::{af, nlm_f};
use zct_wire::header::{CtMsg, Frames};
use zct_wire::proto::{DccpInfo, SctpInfo, TcpInfo};
use zct_wire::request::{NewFlow, REQUEST_MAX, new_flow};

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const OUTSIDE: [u8; 4] = [198, 51, 100, 7];

fn tuple(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16) -> Tuple {
    Tuple {
        src: Some(Addr::V4(src)),
        dst: Some(Addr::V4(dst)),
        proto: Some(ipproto::UDP),
        src_port: Some(src_port),
        dst_port: Some(dst_port),
        ..Tuple::default()
    }
}

fn flow() -> NewFlow<'static> {
    let orig = tuple(A, B, 1000, 53);
    NewFlow::default().with(|it| {
        it.family = af::INET;
        it.orig = Some(orig);
        it.reply = orig.inverse();
    })
}

/// What the filter says about the flow as the kernel would send it.
fn admits(filter: &Filter, flow: &NewFlow<'_>) -> bool {
    let mut buf = [0; REQUEST_MAX];
    let bytes = new_flow(&mut buf, 1, nlm_f::CREATE, flow).expect("it fits");
    let frame = Frames::new(bytes).next().expect("a message").expect("a whole one");
    let view = FlowView::index(CtMsg::parse(frame).expect("of ctnetlink")).expect("a flow");
    filter.matches(&view).expect("readable")
}

fn network(addr: [u8; 4], mask: [u8; 4]) -> Network {
    Network { addr: Addr::V4(addr), mask: Addr::V4(mask) }
}

fn host(addr: [u8; 4]) -> Network {
    network(addr, [0xff; 4])
}

fn orig(d: Direction) -> Filter {
    Filter { orig: d, ..Filter::default() }
}

fn sources(list: &[Network]) -> Filter {
    orig(Direction { src: list.iter().copied().collect(), ..Direction::default() })
}

fn dst_ports(list: &[(u16, u16)]) -> Filter {
    let dst_port = list.iter().map(|(first, last)| PortRange { first: *first, last: *last }).collect();
    orig(Direction { dst_port, ..Direction::default() })
}

#[test]
fn nothing_asked_admits_everything() {
    assert!(admits(&Filter::default(), &flow()));
    assert!(admits(&Filter::default(), &NewFlow::default().with(|it| it.family = af::INET6)));
}

#[test]
fn networks_compare_the_bits_of_their_mask_and_one_is_enough() {
    let cases: [(&[Network], bool); 7] = [
        (&[host(A)], true),
        (&[host(B)], false),
        (&[network([10, 0, 0, 200], [255, 255, 255, 0])], true),
        (&[network([10, 0, 1, 1], [255, 255, 255, 0])], false),
        (&[network([99, 99, 99, 1], [0, 0, 0, 255])], true),
        (&[host(B), host(A)], true),
        (&[host(B), host(OUTSIDE)], false),
    ];
    for (list, want) in cases {
        assert_eq!(admits(&sources(list), &flow()), want, "{list:?}");
    }
    let all_v6 = Network { addr: Addr::V6([0; 16]), mask: Addr::V6([0; 16]) };
    assert!(!admits(&sources(&[all_v6]), &flow()));
    assert!(!admits(&sources(&[host(A)]), &flow().with(|it| it.orig = None)));
}

#[test]
fn a_set_admits_its_members_and_an_empty_one_nothing() {
    let whole = |n: Network| (n.addr, 32);
    let set = |members: &[Network]| Arc::new(AddressSet::new(members.iter().copied().map(whole)));
    let sources = |listed: &[Network], members: &[Network]| Filter {
        orig: Direction {
            src: Networks::from_iter(listed.iter().copied()).or_in(set(members)),
            ..Direction::default()
        },
        ..Filter::default()
    };
    for (listed, members, want) in [
        (&[][..], &[host(A), host(B)][..], true),
        (&[], &[host(B), host(OUTSIDE)], false),
        (&[host(A)], &[host(B)], true),
        (&[host(B)], &[host(A)], true),
        (&[host(B)], &[], false),
        (&[], &[], false),
    ] {
        let filter = sources(listed, members);
        assert_eq!(admits(&filter, &flow()), want, "{filter:?}");
        let all_but = Filter { not: vec![filter], ..Filter::default() };
        assert_eq!(admits(&all_but, &flow()), !want, "{all_but:?}");
    }
    assert!(!admits(&sources(&[], &[host(A)]), &flow().with(|it| it.orig = None)));
}

#[test]
fn each_member_is_compared_with_its_own_direction() {
    let (src, dst) = (Networks::from_iter([host(A)]), Networks::from_iter([host(B)]));
    let (low, high) = (PortRange::one(53), PortRange::one(1000));
    let forth = Direction {
        src: src.clone(),
        dst: dst.clone(),
        src_port: PortRanges::from_iter([high]),
        dst_port: PortRanges::from_iter([low]),
        zone: None,
    };
    let back = Direction {
        src: dst,
        dst: src,
        src_port: PortRanges::from_iter([low]),
        dst_port: PortRanges::from_iter([high]),
        zone: None,
    };
    let both =
        |o: &Direction, r: &Direction| Filter { orig: o.clone(), reply: r.clone(), ..Filter::default() };
    let any = Direction::default();
    for (filter, want) in [
        (both(&forth, &back), true),
        (both(&back, &forth), false),
        (both(&any, &back), true),
        (both(&any, &forth), false),
        (both(&Direction { src: forth.src.clone(), ..any.clone() }, &any), true),
        (both(&Direction { src: back.src.clone(), ..any.clone() }, &any), false),
        (both(&Direction { dst: forth.dst.clone(), ..any.clone() }, &any), true),
        (both(&Direction { dst: back.dst.clone(), ..any.clone() }, &any), false),
        (both(&Direction { src_port: forth.src_port.clone(), ..any.clone() }, &any), true),
        (both(&Direction { src_port: back.src_port.clone(), ..any.clone() }, &any), false),
    ] {
        assert_eq!(admits(&filter, &flow()), want, "{filter:?}");
    }
}

#[test]
fn port_ranges_have_both_their_ends() {
    for (list, want) in [
        (&[(53, 53)][..], true),
        (&[(50, 53)], true),
        (&[(53, 60)], true),
        (&[(50, 52)], false),
        (&[(54, 60)], false),
        (&[(80, 80), (53, 53)], true),
        (&[(0, u16::MAX)], true),
    ] {
        assert_eq!(admits(&dst_ports(list), &flow()), want, "{list:?}");
    }
    let ping = Tuple { src_port: None, dst_port: None, ..tuple(A, B, 0, 0) };
    assert!(!admits(&dst_ports(&[(0, u16::MAX)]), &flow().with(|it| it.orig = Some(ping))));
}

#[test]
fn family_and_protocol() {
    let f = Filter { family: Some(af::INET), proto: Some(ipproto::UDP), ..Filter::default() };
    assert!(admits(&f, &flow()));
    assert!(!admits(&Filter { family: Some(af::INET6), ..f.clone() }, &flow()));
    assert!(!admits(&Filter { proto: Some(ipproto::TCP), ..f }, &flow()));
}

#[test]
fn all_wanted_status_bits_are_set_and_no_unwanted_one() {
    let of = |status| flow().with(|it| it.status = Some(status));
    let asks = |set, clear| Filter { status: Status { set, clear, ignored: false }, ..Filter::default() };
    let both = ips::ASSURED | ips::SEEN_REPLY;
    for (filter, status, want) in [
        (asks(ips::ASSURED, 0), both, true),
        (asks(both, 0), both, true),
        (asks(both, 0), ips::ASSURED, false),
        (asks(both, 0), ips::SEEN_REPLY, false),
        (asks(0, ips::ASSURED), ips::SEEN_REPLY, true),
        (asks(0, both), ips::SEEN_REPLY, false),
        (asks(ips::SEEN_REPLY, ips::ASSURED), ips::SEEN_REPLY, true),
        (asks(ips::SEEN_REPLY, ips::ASSURED), both, false),
    ] {
        assert_eq!(admits(&filter, &of(status)), want, "{filter:?} {status:#x}");
    }
    assert!(!admits(&asks(0, ips::ASSURED), &flow()), "a flow that says nothing of its status");
}

#[test]
fn a_mark_is_compared_under_its_mask_and_has_to_be_there() {
    let asks = |value, mask| Filter { mark: Some(Masked { value, mask }), ..Filter::default() };
    let of = |value| flow().with(|it| it.mark = Some(Masked { value, mask: u32::MAX }));
    for (filter, mark, want) in [
        (asks(5, u32::MAX), 5, true),
        (asks(5, u32::MAX), 4, false),
        (asks(5, 0xff), 0x105, true),
        (asks(0x105, 0xff), 0x105, false),
        (asks(0, 0), 7, true),
    ] {
        assert_eq!(admits(&filter, &of(mark)), want, "{filter:?} {mark:#x}");
    }
    assert!(!admits(&asks(0, u32::MAX), &flow()));
}

#[test]
fn zone_zero_is_none() {
    let asks = |zone| Filter { zone: Some(zone), ..Filter::default() };
    let of = |zone| flow().with(|it| it.zone = Some(zone));
    assert!(admits(&asks(3), &of(3)) && !admits(&asks(3), &of(4)) && !admits(&asks(3), &flow()));
    assert!(admits(&asks(0), &flow()) && !admits(&asks(0), &of(3)));
    let one_way = |zone| orig(Direction { zone: Some(zone), ..Direction::default() });
    let with = flow().with(|it| it.orig = Some(Tuple { zone: Some(3), ..tuple(A, B, 1000, 53) }));
    assert!(admits(&one_way(3), &with) && !admits(&one_way(4), &with) && !admits(&one_way(3), &flow()));
    assert!(admits(&one_way(0), &flow()) && !admits(&one_way(0), &with));
    let back = Filter { reply: Direction { zone: Some(3), ..Direction::default() }, ..Filter::default() };
    assert!(!admits(&back, &with));
    // A zone of both directions counts for each of them, and a zone of one direction is a zone.
    let reply_zero =
        Filter { reply: Direction { zone: Some(0), ..Direction::default() }, ..Filter::default() };
    assert!(!admits(&one_way(0), &of(3)) && !admits(&one_way(3), &of(3)) && !admits(&reply_zero, &of(3)));
    assert!(!admits(&asks(0), &with) && admits(&reply_zero, &with));
}

#[test]
fn icmp_members() {
    let ping = Tuple {
        proto: Some(ipproto::ICMP),
        src_port: None,
        dst_port: None,
        icmp_type: Some(8),
        icmp_code: Some(1),
        icmp_id: Some(77),
        ..tuple(A, B, 0, 0)
    };
    let ping = flow().with(|it| {
        it.orig = Some(ping);
        it.reply = ping.inverse();
    });
    let asks = |kind, code, id| Filter { icmp: Icmp { kind, code, id }, ..Filter::default() };
    assert!(admits(&asks(Some(8), Some(1), Some(77)), &ping));
    for wrong in [
        asks(Some(0), None, None),
        asks(None, Some(0), None),
        asks(None, None, Some(78)),
        asks(Some(8), None, Some(1)),
    ] {
        assert!(!admits(&wrong, &ping), "{wrong:?}");
    }
    assert!(!admits(&asks(None, None, Some(0)), &flow()));
}

#[test]
fn timeout_is_exact() {
    let asks = |timeout| Filter { timeout: Some(timeout), ..Filter::default() };
    let with = flow().with(|it| it.timeout_s = Some(30));
    assert!(admits(&asks(30), &with) && !admits(&asks(29), &with) && !admits(&asks(0), &flow()));
    assert!(!admits(&Filter { id: Some(1), ..Filter::default() }, &flow()));
}

#[test]
fn all_labels_have_to_be_set() {
    let mut words = [0; 16];
    // Bits 1 and 33.
    words[..4].copy_from_slice(&2u32.to_ne_bytes());
    words[4..8].copy_from_slice(&2u32.to_ne_bytes());
    let with = flow().with(|it| it.labels = Some((words, [0xff; 16])));
    let asks = |labels: &[u16]| Filter {
        labels: Labels { set: labels.to_vec(), clear: Vec::new() },
        ..Filter::default()
    };
    assert!(admits(&asks(&[1]), &with) && admits(&asks(&[1, 33]), &with));
    assert!(!admits(&asks(&[1, 2]), &with) && !admits(&asks(&[500]), &with) && !admits(&asks(&[1]), &flow()));
}

#[test]
fn states_tags_and_roles() {
    let tcp = flow().with(|it| it.protoinfo = Some(ProtoInfo::Tcp(TcpInfo::created(3))));
    let sctp = SctpInfo { state: Some(4), vtag: [Some(7), Some(9)] };
    let sctp = flow().with(|it| it.protoinfo = Some(ProtoInfo::Sctp(sctp)));
    let state = |state| Filter { states: States::from_iter([state]), ..Filter::default() };
    assert!(admits(&state(3), &tcp) && !admits(&state(4), &tcp) && !admits(&state(0), &flow()));
    let tags = |a, b| Filter { vtag: [a, b], ..Filter::default() };
    assert!(admits(&tags(Some(7), Some(9)), &sctp) && admits(&tags(None, Some(9)), &sctp));
    assert!(!admits(&tags(Some(9), None), &sctp) && !admits(&tags(Some(7), Some(7)), &sctp));
    assert!(!admits(&tags(Some(7), None), &flow()));
    let dccp = |role| DccpInfo { role: Some(role), ..DccpInfo::default() };
    let dccp = |role| flow().with(|it| it.protoinfo = Some(ProtoInfo::Dccp(dccp(role))));
    let role = Filter { dccp_role: Some(1), ..Filter::default() };
    assert!(admits(&role, &dccp(1)) && !admits(&role, &dccp(0)) && !admits(&role, &flow()));
}

/// The flow with its source translated to `OUTSIDE` and `port`.
fn translated(port: u16) -> NewFlow<'static> {
    let reply = tuple(B, OUTSIDE, 53, port);
    flow().with(|it| {
        it.reply = Some(reply);
        it.status = Some(ips::SRC_NAT_DONE);
    })
}

#[test]
fn translations() {
    let nat = |addr: Option<[u8; 4]>, port| Some(NatMatch { addr: addr.map(Addr::V4), port });
    let src = |want| Filter { src_nat: want, ..Filter::default() };
    let dst = |want| Filter { dst_nat: want, ..Filter::default() };
    let any = |want| Filter { any_nat: want, ..Filter::default() };
    let (moved, kept) = (translated(2000), translated(1000));
    for (filter, flow, want) in [
        (src(nat(None, None)), &moved, true),
        (src(nat(None, None)), &kept, true),
        (src(nat(Some(OUTSIDE), None)), &moved, true),
        (src(nat(Some(A), None)), &moved, false),
        (src(nat(Some(OUTSIDE), Some(2000))), &moved, true),
        (src(nat(Some(OUTSIDE), Some(1000))), &moved, false),
        (src(nat(Some(OUTSIDE), Some(1000))), &kept, false),
        (dst(nat(None, None)), &moved, false),
        (dst(nat(Some(OUTSIDE), None)), &moved, false),
        (any(nat(Some(OUTSIDE), None)), &moved, true),
        (any(nat(Some(B), None)), &moved, false),
        (src(nat(None, None)), &flow(), false),
        (any(nat(None, None)), &flow(), false),
    ] {
        assert_eq!(admits(&filter, flow), want, "{filter:?}");
    }
    let only_said = flow().with(|it| it.status = Some(ips::SRC_NAT_DONE));
    assert!(!admits(&src(nat(None, None)), &only_said), "nothing has changed");
    let not_said = translated(2000).with(|it| it.status = Some(0));
    assert!(!admits(&src(nat(None, None)), &not_said), "not by translation");
    // Both halves of a filter count.
    let wrong_too = Filter { proto: Some(ipproto::TCP), ..src(nat(None, None)) };
    assert!(!admits(&wrong_too, &moved));
}

#[test]
fn a_destination_is_translated_where_replies_come_from() {
    let reply = tuple(OUTSIDE, A, 5353, 1000);
    let f = flow().with(|it| {
        it.reply = Some(reply);
        it.status = Some(ips::DST_NAT_DONE);
    });
    let asks = |port| {
        let want = Some(NatMatch { addr: Some(Addr::V4(OUTSIDE)), port });
        Filter { dst_nat: want, ..Filter::default() }
    };
    assert!(admits(&asks(None), &f) && admits(&asks(Some(5353)), &f) && !admits(&asks(Some(53)), &f));
}

#[test]
fn what_is_left_out_is_left_out() {
    let not = |all: &[Filter]| Filter { not: all.to_vec(), ..Filter::default() };
    let in_net = |list: &[Network], out: &[Network]| Filter { not: vec![sources(out)], ..sources(list) };
    let net = network([10, 0, 0, 0], [255, 0, 0, 0]);
    for (filter, want) in [
        (not(&[sources(&[host(A)])]), false),
        (not(&[sources(&[host(B)])]), true),
        (not(&[sources(&[host(B)]), sources(&[net])]), false),
        (in_net(&[net], &[host(A)]), false),
        (in_net(&[net], &[host(B)]), true),
        (in_net(&[host(B)], &[host(B)]), false),
        (not(&[dst_ports(&[(53, 53)])]), false),
        (not(&[dst_ports(&[(54, 60)])]), true),
        (not(&[Filter { proto: Some(ipproto::UDP), ..Filter::default() }]), false),
        (not(&[Filter { proto: Some(ipproto::TCP), ..Filter::default() }]), true),
    ] {
        assert_eq!(admits(&filter, &flow()), want, "{filter:?}");
    }
    // A flow that is sent without a mark has 0.
    let mark = |value| not(&[Filter { mark: Some(Masked { value, mask: u32::MAX }), ..Filter::default() }]);
    assert!(!admits(&mark(0), &flow()) && admits(&mark(5), &flow()));
    let marked = flow().with(|it| it.mark = Some(Masked { value: 5, mask: u32::MAX }));
    assert!(admits(&mark(0), &marked) && !admits(&mark(5), &marked));
}
