//! The part of a selection that the BPF reader applies inside the kernel.
//!
//! It leaves out only what [`Filter::matches`] would leave out too, which is applied to everything that comes
//! back. What is required may be translated loosely, so that more comes back; what a `!` leaves out only
//! where the tests are exactly what it means.

use crate::filter::{Direction, Filter, Icmp, NatMatch, Network, Networks, PortRange, PortRanges, States};
use crate::values::list::Status;
use zct_engine::table::{OneOf, Part, Selection, Test, Way, word};
use zct_wire::consts::{ipproto, ips};
use zct_wire::tuple::Addr;

/// The longest list of addresses, ports or states that is translated.
const LIST_MAX: usize = 16;

/// What the program is to leave out for this filter.
pub fn selection(f: &Filter) -> Selection {
    let mut selection = Selection { require: required(f), ..Selection::default() };
    for label in &f.labels.set {
        set_bit(&mut selection.labels, *label);
    }
    for label in &f.labels.clear {
        set_bit(&mut selection.no_labels, *label);
    }
    selection.exclude = f.not.iter().filter_map(excluded).collect();
    selection
}

/// Bits that no flow can have are left to the filter.
fn set_bit(words: &mut [u32; 4], bit: u16) {
    if let Some(word) = words.get_mut(usize::from(bit / 32)) {
        *word |= 1 << (bit % 32);
    }
}

/// The tests that hold for every flow that the filter matches, `not` and labels apart.
fn required(f: &Filter) -> Vec<OneOf> {
    let mut all = common(f);
    for (way, d) in [(Way::Original, &f.orig), (Way::Reply, &f.reply)] {
        all.extend(ports(Part::SrcPort(way), &d.src_port));
        all.extend(ports(Part::DstPort(way), &d.dst_port));
    }
    all.extend(icmp(&f.icmp));
    all.extend(f.proto.and_then(|proto| states(proto, &f.states)));
    all.extend(f.src_nat.map(|nat| source_nat(&nat)));
    all.extend(f.dst_nat.map(|nat| destination_nat(&nat)));
    all.extend(f.any_nat.map(|nat| [source_nat(&nat), destination_nat(&nat)].concat()));
    all
}

/// What of the filter is translated exactly.
fn common(f: &Filter) -> Vec<OneOf> {
    let mut all: Vec<OneOf> = Vec::new();
    let mut one = |part, value: u32| all.push(vec![vec![Test::Within(part, value, value)]]);
    if let Some(family) = f.family {
        one(Part::Family, family.into());
    }
    if let Some(proto) = f.proto {
        one(Part::Protocol, proto.into());
    }
    if let Some(mark) = f.mark {
        all.push(vec![vec![Test::Bits(Part::Mark, mark.mask, mark.value)]]);
    }
    let Status { set, clear, .. } = f.status;
    if set | clear != 0 {
        all.push(vec![vec![Test::Bits(Part::Status, set | clear, set)]]);
    }
    all.extend(f.zone.map(|zone| zoned(zone, 3)));
    for (way, bits, d) in [(Way::Original, 1, &f.orig), (Way::Reply, 2, &f.reply)] {
        all.extend(d.zone.map(|zone| zoned(zone, bits)));
        all.extend(networks(&d.src, |n| Part::Src(way, n)));
        all.extend(networks(&d.dst, |n| Part::Dst(way, n)));
    }
    all
}

/// A zone of these directions and no others: bit 0 the original one, bit 1 the reply. Zone 0 of both is none
/// at all; of a single one it is none there, neither its own nor one of both.
fn zoned(zone: u16, ways: u32) -> OneOf {
    let number = Test::Within(Part::Zone, zone.into(), zone.into());
    match (zone, ways) {
        (0, 3) => vec![vec![number]],
        (0, _) => vec![vec![number], vec![Test::Within(Part::ZoneWay, 3 - ways, 3 - ways)]],
        _ => vec![vec![number, Test::Within(Part::ZoneWay, ways, ways)]],
    }
}

/// One of the networks. A set is not translated.
fn networks(list: &Networks, part: impl Fn(u8) -> Part) -> Option<OneOf> {
    let listed = list.listed();
    if listed.is_empty() || listed.len() > LIST_MAX || list.set().is_some() {
        return None;
    }
    Some(listed.iter().map(|n| network(n, &part)).collect())
}

fn network(n: &Network, part: &impl Fn(u8) -> Part) -> Vec<Test> {
    let family = u32::from(n.addr.family());
    let mut tests = vec![Test::Within(Part::Family, family, family)];
    let words = n.addr.bytes().chunks_exact(4).zip(n.mask.bytes().chunks_exact(4));
    for (number, (addr, mask)) in words.enumerate() {
        let four = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| word(*b));
        let mask = four(mask);
        if mask != 0 {
            tests.push(Test::Bits(part(number as u8), mask, four(addr) & mask));
        }
    }
    tests
}

fn ports(part: Part, list: &PortRanges) -> Option<OneOf> {
    let row = |r: &PortRange| vec![Test::Within(part, r.first.into(), r.last.into())];
    (!list.is_empty() && list.len() <= LIST_MAX).then(|| list.iter().map(row).collect())
}

fn icmp(icmp: &Icmp) -> Vec<OneOf> {
    let parts = [
        (Part::IcmpType, icmp.kind.map(u32::from)),
        (Part::IcmpCode, icmp.code.map(u32::from)),
        (Part::SrcPort(Way::Original), icmp.id.map(u32::from)),
    ];
    let known = parts.into_iter().filter_map(|(part, value)| Some((part, value?)));
    known.map(|(part, value)| vec![vec![Test::Within(part, value, value)]]).collect()
}

/// One of the states of this protocol.
fn states(proto: u8, states: &[u8]) -> Option<OneOf> {
    let part = match proto {
        ipproto::TCP => Part::TcpState,
        ipproto::SCTP => Part::SctpState,
        _ => return None,
    };
    let row = |s: &u8| vec![Test::Within(part, u32::from(*s), u32::from(*s))];
    (!states.is_empty() && states.len() <= LIST_MAX).then(|| states.iter().map(row).collect())
}

/// Flows whose source the kernel has seen to, and whose answers go to the address that is asked for, or
/// elsewhere than they came from.
fn source_nat(nat: &NatMatch) -> OneOf {
    translated(
        nat,
        ips::SRC_NAT_DONE,
        |n| [Part::Src(Way::Original, n), Part::Dst(Way::Reply, n)],
        [Part::SrcPort(Way::Original), Part::DstPort(Way::Reply)],
    )
}

/// The same for the destination.
fn destination_nat(nat: &NatMatch) -> OneOf {
    translated(
        nat,
        ips::DST_NAT_DONE,
        |n| [Part::Dst(Way::Original, n), Part::Src(Way::Reply, n)],
        [Part::DstPort(Way::Original), Part::SrcPort(Way::Reply)],
    )
}

/// Each row says one way in which a flow can be translated.
fn translated(nat: &NatMatch, done: u32, addr: impl Fn(u8) -> [Part; 2], port: [Part; 2]) -> OneOf {
    let done = Test::Bits(Part::Status, done, done);
    if let Some(to) = nat.addr {
        let whole = match to {
            Addr::V4(_) => Addr::V4([0xff; 4]),
            Addr::V6(_) => Addr::V6([0xff; 16]),
        };
        let mut row = network(&Network { addr: to, mask: whole }, &|n| addr(n)[1]);
        row.push(done);
        return vec![row];
    }
    let mut rows: OneOf = (0..4)
        .map(|n| {
            let [before, after] = addr(n);
            vec![done, Test::Differ(before, after)]
        })
        .collect();
    rows.push(vec![done, Test::Differ(port[0], port[1])]);
    rows
}

/// The selection of exactly the flows that the filter matches, so that what the program leaves need not be
/// looked at again; `None` when there are no such tests.
pub fn exact(f: &Filter) -> Option<Selection> {
    let wanted = Filter { not: Vec::new(), ..f.clone() };
    let require = if wanted == Filter::default() { Vec::new() } else { exactly(&wanted)? };
    // What is left out has the protocol that all have.
    let not = |n: &Filter| exactly(&Filter { proto: n.proto.or(f.proto), ..n.clone() });
    let exclude = f.not.iter().map(not).collect::<Option<_>>()?;
    Some(Selection { require, exclude, ..Selection::default() })
}

/// The tests that hold for exactly the flows that the filter matches.
fn exactly(f: &Filter) -> Option<Vec<OneOf>> {
    let named = |protocols: &[u8]| f.proto.is_some_and(|p| protocols.contains(&p));
    let ports = [&f.orig, &f.reply].iter().any(|d| !d.src_port.is_empty() || !d.dst_port.is_empty());
    let exact = (!ports || named(&[ipproto::TCP, ipproto::UDP]))
        && (f.icmp == Icmp::default() || named(&[ipproto::ICMP, ipproto::ICMPV6]))
        && (f.states.is_empty() || named(&[ipproto::TCP, ipproto::SCTP]))
        && f.status.set & f.status.clear == 0;
    if exact { excluded(f) } else { None }
}

/// The tests that hold for no other flows than those the filter matches; `None` when they cannot be found.
fn excluded(f: &Filter) -> Option<Vec<OneOf>> {
    let rest = Filter {
        family: None,
        proto: None,
        mark: None,
        status: Status::default(),
        zone: None,
        orig: Direction::default(),
        reply: Direction::default(),
        icmp: Icmp::default(),
        states: States::new(),
        ..f.clone()
    };
    if rest != Filter::default() {
        return None;
    }
    let is_set = |n: &Networks| n.set().is_some() || n.listed().len() > LIST_MAX;
    if [&f.orig.src, &f.orig.dst, &f.reply.src, &f.reply.dst].into_iter().any(is_set) {
        return None;
    }
    let mut all = common(f);
    let parts = [
        (Part::SrcPort(Way::Original), &f.orig.src_port),
        (Part::DstPort(Way::Original), &f.orig.dst_port),
        (Part::SrcPort(Way::Reply), &f.reply.src_port),
        (Part::DstPort(Way::Reply), &f.reply.dst_port),
    ];
    let with_ports = parts.iter().filter(|(_, list)| !list.is_empty()).collect::<Vec<_>>();
    if !with_ports.is_empty() {
        // These two have ports on every kernel.
        all.push(protocols(&[ipproto::TCP, ipproto::UDP]));
    }
    for (part, list) in with_ports {
        all.push(ports(*part, list)?);
    }
    if f.icmp != Icmp::default() {
        all.push(protocols(&[ipproto::ICMP, ipproto::ICMPV6]));
        all.extend(icmp(&f.icmp));
    }
    if !f.states.is_empty() {
        let proto = f.proto.unwrap_or(ipproto::TCP);
        all.push(protocols(&[proto]));
        all.push(states(proto, &f.states)?);
        // The kernel says nothing of the state of an entry that is handled by a flow table.
        all.push(vec![vec![Test::Bits(Part::Status, ips::OFFLOAD, 0)]]);
    }
    (!all.is_empty()).then_some(all)
}

fn protocols(list: &[u8]) -> OneOf {
    list.iter().map(|p| vec![Test::Within(Part::Protocol, u32::from(*p), u32::from(*p))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::filter::Masked;
    use zct_wire::flow::FlowView;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::proto::{ProtoInfo, TcpInfo};
    use zct_wire::request::{NewFlow, REQUEST_MAX, new_flow};
    use zct_wire::tuple::Tuple;

    fn random(x: &mut u64) -> u64 {
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        *x
    }

    fn one<T: Copy>(x: &mut u64, of: &[T]) -> T {
        of[random(x) as usize % of.len()]
    }

    fn addr(x: &mut u64, v6: bool) -> Addr {
        let last = (random(x) % 4) as u8;
        if v6 {
            Addr::V6([0x20, 1, 0, 0, 0, 0, 0, last & 1, 0, 0, 0, 0, 0, 0, 0, last])
        } else {
            Addr::V4([10, 0, last & 1, last])
        }
    }

    fn flow(x: &mut u64) -> NewFlow<'static> {
        let v6 = random(x) & 1 == 0;
        let proto =
            one(x, &[ipproto::TCP, ipproto::UDP, if v6 { ipproto::ICMPV6 } else { ipproto::ICMP }, 201]);
        let has_ports = matches!(proto, ipproto::TCP | ipproto::UDP);
        let has_icmp = matches!(proto, ipproto::ICMP | ipproto::ICMPV6);
        let kind = if v6 { 128 } else { 8 };
        let orig = Tuple {
            src: Some(addr(x, v6)),
            dst: Some(addr(x, v6)),
            proto: Some(proto),
            src_port: has_ports.then(|| one(x, &[1, 53, 0x0800])),
            dst_port: has_ports.then(|| one(x, &[1, 53, 0x8000])),
            icmp_type: has_icmp.then_some(kind),
            icmp_code: has_icmp.then_some(0),
            icmp_id: has_icmp.then(|| one(x, &[1, 53])),
            ..Tuple::default()
        };
        let mut reply = orig.inverse();
        if random(x) & 3 == 0 {
            reply = reply.map(|t| Tuple { dst: Some(addr(x, v6)), ..t });
        }
        let mut flow = NewFlow::default().with(|it| {
            it.family = if v6 { 10 } else { 2 };
            it.orig = Some(orig);
            it.reply = reply;
            it.status =
                Some(one(x, &[0, ips::SEEN_REPLY, ips::SRC_NAT_DONE, ips::SRC_NAT_DONE | ips::ASSURED]));
            it.mark = Some(Masked { value: one(x, &[0, 1, 0x8000_0001]), mask: u32::MAX });
        });
        if proto == ipproto::TCP {
            flow.protoinfo = Some(ProtoInfo::Tcp(TcpInfo::created(one(x, &[1, 3, 7]))));
        }
        match random(x) % 6 {
            0 => flow.zone = Some(3),
            1 => flow.orig = flow.orig.map(|t| Tuple { zone: Some(3), ..t }),
            2 => flow.reply = flow.reply.map(|t| Tuple { zone: Some(3), ..t }),
            _ => {}
        }
        flow
    }

    fn filter(x: &mut u64, deep: bool) -> Filter {
        let net = |x: &mut u64| -> Networks {
            let v6 = random(x) & 1 == 0;
            let whole = if v6 { 128 } else { 32 };
            let one = |x: &mut u64| {
                let addr = addr(x, v6);
                let len = one(x, &[whole, whole - 1, whole / 2, 0]);
                Network { mask: crate::values::addr::prefix_mask(&addr, len), addr }
            };
            (0..1 + random(x) % 2).map(|_| one(x)).collect()
        };
        let ranges = |x: &mut u64| -> PortRanges {
            let first = one(x, &[0, 1, 53]);
            [PortRange { first, last: one(x, &[first, 53.max(first), 0x8000]) }].into_iter().collect()
        };
        let mut f = Filter::default();
        for _ in 0..1 + random(x) % 2 {
            let reply = random(x) & 1 == 0;
            let nat = Some(NatMatch { addr: (random(x) & 1 == 0).then(|| addr(x, false)), port: None });
            match random(x) % 14 {
                0 => f.family = Some(one(x, &[2, 10])),
                1 => f.proto = Some(one(x, &[ipproto::TCP, ipproto::UDP, ipproto::ICMP, 201])),
                2 => (if reply { &mut f.reply } else { &mut f.orig }).src = net(x),
                3 => (if reply { &mut f.reply } else { &mut f.orig }).dst = net(x),
                4 => (if reply { &mut f.reply } else { &mut f.orig }).src_port = ranges(x),
                5 => (if reply { &mut f.reply } else { &mut f.orig }).dst_port = ranges(x),
                6 => (if reply { &mut f.reply } else { &mut f.orig }).zone = Some(one(x, &[0, 3])),
                7 => f.zone = Some(one(x, &[0, 3])),
                8 => {
                    f.mark =
                        Some(Masked { value: one(x, &[0, 1, 0x8000_0001]), mask: one(x, &[1, u32::MAX]) })
                }
                9 => f.status = Status { set: ips::SEEN_REPLY, ..Status::default() },
                10 => f.status = Status { clear: ips::ASSURED, ..Status::default() },
                11 => f.icmp.id = Some(one(x, &[1, 53])),
                12 => {
                    f.states = [one(x, &[1, 3])].into_iter().collect();
                    f.proto = f.proto.or((random(x) & 1 == 0).then_some(ipproto::TCP));
                }
                _ => f.src_nat = nat,
            }
        }
        if deep {
            f.not = (0..random(x) % 3).map(|_| filter(x, false)).collect();
        }
        f
    }

    /// The parts of a flow as they are in the kernel: what a protocol does not have is 0, or something else.
    fn part(flow: &NewFlow<'_>, part: Part) -> u32 {
        let (orig, reply) = (flow.orig.unwrap(), flow.reply.unwrap());
        let way = |w: Way| if w == Way::Original { orig } else { reply };
        let four = |addr: Option<Addr>, n: u8| {
            let addr = addr.unwrap();
            addr.bytes().chunks(4).nth(usize::from(n)).map_or(0, |b| word(b.try_into().unwrap()))
        };
        let src_port = |t: Tuple| u32::from(t.src_port.or(t.icmp_id).unwrap_or(0));
        let dst_port = |t: Tuple| {
            let icmp = t.icmp_type.map(|kind| u16::from_be_bytes([kind, t.icmp_code.unwrap_or(0)]));
            u32::from(t.dst_port.or(icmp).unwrap_or(0))
        };
        match part {
            Part::Family => flow.family.into(),
            Part::Protocol => orig.proto.unwrap().into(),
            Part::Src(w, n) => four(way(w).src, n),
            Part::Dst(w, n) => four(way(w).dst, n),
            Part::SrcPort(w) => src_port(way(w)),
            Part::DstPort(w) => dst_port(way(w)),
            Part::IcmpType => dst_port(orig) >> 8,
            Part::IcmpCode => dst_port(orig) & 0xff,
            Part::Status => flow.status.unwrap(),
            Part::Mark => flow.mark.unwrap().value,
            Part::Zone => u32::from(flow.zone.or(orig.zone).or(reply.zone).unwrap_or(0)),
            Part::ZoneWay if orig.zone.is_some() => 1,
            Part::ZoneWay if reply.zone.is_some() => 2,
            Part::ZoneWay => 3,
            Part::TcpState => flow.protoinfo.and_then(|p| p.state()).unwrap_or(3).into(),
            Part::SctpState => 3,
        }
    }

    fn holds(flow: &NewFlow<'_>, all: &OneOf) -> bool {
        let test = |test: &Test| match *test {
            Test::Bits(p, mask, value) => part(flow, p) & mask == value,
            Test::Within(p, first, last) => (first..=last).contains(&part(flow, p)),
            Test::Differ(a, b) => part(flow, a) != part(flow, b),
        };
        all.iter().any(|row| row.iter().all(test))
    }

    #[test]
    fn nothing_is_left_out_that_the_filter_would_show() {
        let mut x = 0x1234_5678_9abc_def1u64;
        let (mut shown, mut left_out, mut too_many) = (0, 0, 0);
        for _ in 0..2000 {
            let filter = filter(&mut x, true);
            let selection = selection(&filter);
            for _ in 0..20 {
                let flow = flow(&mut x);
                let mut buf = [0; REQUEST_MAX];
                let bytes = new_flow(&mut buf, 0, 0, &flow).unwrap();
                let view =
                    CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).and_then(FlowView::index);
                let matches = filter.matches(&view.unwrap()).unwrap();
                let copied = selection.require.iter().all(|all| holds(&flow, all))
                    && !selection.exclude.iter().any(|e| e.iter().all(|all| holds(&flow, all)));
                assert!(copied || !matches, "{filter:?}\n{selection:?}\n{flow:?}");
                shown += u32::from(matches);
                left_out += u32::from(!copied);
                too_many += u32::from(copied && !matches);
            }
        }
        assert!(shown > 5000 && left_out > 15_000 && too_many < 4000, "{shown} {left_out} {too_many}");
    }

    #[test]
    fn long_lists_and_what_only_netlink_knows_are_left_to_the_filter() {
        let net = Network { addr: Addr::V4([10, 0, 0, 1]), mask: Addr::V4([0xff; 4]) };
        let long: Networks = std::iter::repeat_n(net, LIST_MAX + 1).collect();
        let f = Filter { orig: Direction { src: long, ..Direction::default() }, ..Filter::default() };
        assert!(selection(&f).is_everything());
        let not = Filter { not: vec![f], ..Filter::default() };
        assert!(selection(&not).is_everything());
        let tagged = Filter { vtag: [Some(1), None], timeout: Some(5), id: Some(6), ..Filter::default() };
        assert!(selection(&tagged).is_everything());
        assert!(selection(&Filter { not: vec![tagged], ..Filter::default() }).is_everything());
    }
}
