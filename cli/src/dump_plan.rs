//! What the kernel is asked to filter, and what is left to us (ctnetlink.md §4).
//!
//! Whatever is asked, [`Filter::matches`] is applied to everything that comes back, so a kernel that ignores
//! a filter costs time and nothing else. Kernels get IPv6 addresses wrong, so these are never asked for.

use crate::filter::{Direction, Filter, Labels, Networks, PortRanges};
use smallvec::SmallVec;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;
use zct_engine::dump::End;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_wire::consts::{af, ipproto};
use zct_wire::filter::{DumpFilter, TupleFilter};
use zct_wire::header::CtMsg;
use zct_wire::request::{self, Table};
use zct_wire::tuple::Addr;

/// When to use the kernel's filter on tuples and zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelFilter {
    /// Only if the walk over the table is short.
    #[default]
    Auto,
    /// Always, however long the walk takes.
    Always,
    /// Never, so that every flow of the family is dumped.
    Never,
}

/// How large the table is, as far as the system tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// Buckets of the hash table, which all namespaces share.
    pub buckets: u64,
    /// Flows of this namespace.
    pub flows: u64,
}

impl TableSize {
    /// Reads both numbers from `/proc`; 0 where the kernel does not show them.
    pub fn read() -> TableSize {
        TableSize {
            buckets: zct_engine::request::buckets().unwrap_or(0),
            flows: zct_engine::request::flows().unwrap_or(0),
        }
    }

    /// How long the kernel walks the table when hardly anything matches. It does so in one go with softirqs
    /// off, so that this processor handles no packets meanwhile. Costs per bucket and per flow are measured.
    pub fn walk(&self) -> Duration {
        Duration::from_nanos(self.buckets.saturating_mul(75).saturating_add(self.flows.saturating_mul(160)))
    }
}

/// The longest walk that `auto` accepts.
const WALK_MAX: Duration = Duration::from_millis(50);
/// Two dumps, one per family, walk the table twice. That pays with more than one flow in this many buckets.
const TWO_DUMPS_PAY: u64 = 20;

/// The dumps to make, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What each dump asks for.
    pub dumps: SmallVec<[DumpFilter; 2]>,
    /// Why tuples and zones are not asked for, although they could be.
    pub held_back: Option<String>,
}

impl Plan {
    /// One dump with the filters that the original uses too: family, mark, status.
    pub fn plain(filter: &Filter) -> Plan {
        Plan { dumps: SmallVec::from_iter([filter.for_kernel()]), held_back: None }
    }

    /// Decides what to ask for. `size` reads how large the table is, `tuple_filter` says whether this kernel
    /// has CTA_FILTER. Both cost system calls, so they are called only when the answer matters.
    pub fn new(
        filter: &Filter,
        mode: KernelFilter,
        size: impl FnOnce() -> TableSize,
        tuple_filter: impl FnOnce() -> bool,
    ) -> Plan {
        let mut plan = Plan::plain(filter);
        let plain = filter.for_kernel();
        let (orig, reply) = (tuple(&filter.orig, filter.proto), tuple(&filter.reply, filter.proto));
        // Nearly every flow is in zone 0, so a filter on it is not worth it.
        let zone = filter.zone.or(filter.orig.zone).or(filter.reply.zone).filter(|z| *z != 0);
        let wants_tuple = !orig.is_empty() || !reply.is_empty();
        if !wants_tuple && zone.is_none() {
            return plan;
        }
        plan.held_back = held_back(mode, size, wants_tuple && filter.family.is_none());
        if plan.held_back.is_some() {
            return plan;
        }
        let base = plain.with(|it| it.zone = zone);
        plan.dumps.clear();
        if !wants_tuple {
            plan.dumps.push(base);
            return plan;
        }
        if !tuple_filter() {
            plan.held_back = Some("this kernel has no filter on tuples (CTA_FILTER, Linux 5.8)".to_owned());
            plan.dumps.push(base);
            return plan;
        }
        let families = match filter.family {
            Some(family) => SmallVec::<[u8; 2]>::from_iter([family]),
            None => SmallVec::from_iter([af::INET, af::INET6]),
        };
        for family in families {
            plan.dumps.push(base.with(|it| {
                it.family = family;
                it.orig = orig;
                it.reply = reply;
            }));
        }
        plan
    }

    /// The plan without the filter on tuples, for a kernel that refuses it.
    fn without_tuples(&self, filter: &Filter) -> Plan {
        let plain = filter.for_kernel();
        let zone = self.dumps.first().and_then(|d| d.zone);
        Plan { dumps: SmallVec::from_iter([plain.with(|it| it.zone = zone)]), held_back: None }
    }

    /// Makes the dumps and hands everything to the sink.
    pub fn run(&self, filter: &Filter, table: Table, sink: &mut (impl Sink + Send)) -> Result<End, Error> {
        let mut requests = Requests::open()?;
        for (n, ask) in self.dumps.iter().enumerate() {
            let ended = requests.dump_table(|buf, seq| request::dump(buf, seq, table, ask), sink);
            match ended {
                Ok(End::Done) => {}
                // This kernel knows the filter, but not these flags. Nothing has been dumped yet.
                Err(Error::Refused { errno: libc::EINVAL | libc::EOPNOTSUPP, .. })
                    if n == 0 && ask.has_tuple_filter() =>
                {
                    return self.without_tuples(filter).run(filter, table, sink);
                }
                ended => return ended,
            }
        }
        Ok(End::Done)
    }

    /// Says in words what the kernel is asked for and what it is not.
    pub fn explain(&self, filter: &Filter) -> String {
        let mut text = String::new();
        for ask in &self.dumps {
            let asked = asked(ask);
            let what = if asked.is_empty() { "everything".to_owned() } else { asked.join(", ") };
            _ = writeln!(text, "asked of the kernel: {what}");
        }
        if self.dumps.len() > 1 {
            text += "one dump a family, since the kernel's filter on tuples needs one: IPv4 comes first\n";
        }
        if let Some(why) = &self.held_back {
            _ = writeln!(text, "tuples and zones are not asked for: {why}");
        }
        for (what, why) in left(filter) {
            _ = writeln!(text, "left to this program: {what} ({why})");
        }
        if !filter.not.is_empty() || !filter.labels.clear.is_empty() {
            let mut what: Vec<&str> = filter.not.iter().flat_map(members).collect();
            if !filter.labels.clear.is_empty() {
                what.push("labels");
            }
            what.dedup();
            let what = what.join(", ");
            _ = writeln!(
                text,
                "left out by this program: {what} (the kernel selects what fits, never what does not)"
            );
        }
        text += "everything is checked again on what comes back\n";
        text
    }
}

/// Why `mode` does not ask for tuples and zones.
fn held_back(mode: KernelFilter, size: impl FnOnce() -> TableSize, two_dumps: bool) -> Option<String> {
    let size = match mode {
        KernelFilter::Always => return None,
        KernelFilter::Never => return Some("--kernel-filter=never".to_owned()),
        KernelFilter::Auto => size(),
    };
    if size.walk() > WALK_MAX {
        return Some(format!(
            "the kernel would walk the table for about {} ms without handling packets on that processor \
             (--kernel-filter=always does it all the same)",
            size.walk().as_millis()
        ));
    }
    let sparse = size.flows.saturating_mul(TWO_DUMPS_PAY) < size.buckets;
    (two_dumps && sparse)
        .then(|| "with so few flows in so large a table, two dumps would take longer than one".to_owned())
}

/// The exact members of one direction that the kernel compares.
fn tuple(d: &Direction, proto: Option<u8>) -> TupleFilter {
    let addr = |list: &Networks| match list.only() {
        Some(n) if n.mask == Addr::V4([0xff; 4]) => match n.addr {
            Addr::V4(a) => Some(a),
            Addr::V6(_) => None,
        },
        _ => None,
    };
    // The kernel compares ports for these two only (ctnetlink.md §4.3).
    let has_ports = matches!(proto, Some(ipproto::TCP | ipproto::UDP));
    let port = |list: &PortRanges| match list.as_slice() {
        [r] if has_ports && r.first == r.last => Some(r.first),
        _ => None,
    };
    let mut t = TupleFilter::default().with(|it| {
        it.src = addr(&d.src);
        it.dst = addr(&d.dst);
        it.proto = None;
        it.src_port = port(&d.src_port);
        it.dst_port = port(&d.dst_port);
    });
    // Both directions have the same protocol, so it is named once, or where ports need it.
    if !t.is_empty() || proto.is_some() {
        t.proto = proto;
    }
    t
}

/// What a dump asks for, in words.
fn asked(ask: &DumpFilter) -> Vec<String> {
    let mut words = Vec::new();
    match ask.family {
        af::INET => words.push("IPv4".to_owned()),
        af::INET6 => words.push("IPv6".to_owned()),
        _ => {}
    }
    if let Some(m) = ask.mark {
        words.push(format!("mark {:#x}/{:#x}", m.value, m.mask));
    }
    if let Some(s) = ask.status {
        words.push(format!("status {:#x}/{:#x}", s.value, s.mask));
    }
    if let Some(z) = ask.zone {
        words.push(format!("zone {z}"));
    }
    for (name, t) in [("original", &ask.orig), ("reply", &ask.reply)] {
        for (what, addr) in [("source", t.src), ("destination", t.dst)] {
            if let Some([a, b, c, d]) = addr {
                words.push(format!("{name} {what} {a}.{b}.{c}.{d}"));
            }
        }
        for (what, port) in [("source port", t.src_port), ("destination port", t.dst_port)] {
            if let Some(p) = port {
                words.push(format!("{name} {what} {p}"));
            }
        }
    }
    if let Some(p) = ask.orig.proto.or(ask.reply.proto) {
        words.push(format!("protocol {p}"));
    }
    words
}

/// What a filter is about, in words.
fn members(f: &Filter) -> Vec<&'static str> {
    let direction = |d: &Direction| {
        [!d.src.is_any(), !d.dst.is_any(), !d.src_port.is_empty(), !d.dst_port.is_empty(), d.zone.is_some()]
    };
    let [a, b, c, d, e] = direction(&f.orig);
    let [g, h, i, j, k] = direction(&f.reply);
    let all = [
        (a, "original source"),
        (b, "original destination"),
        (c, "original source port"),
        (d, "original destination port"),
        (e, "original zone"),
        (g, "reply source"),
        (h, "reply destination"),
        (i, "reply source port"),
        (j, "reply destination port"),
        (k, "reply zone"),
        (f.proto.is_some(), "protocol"),
        (f.icmp != crate::filter::Icmp::default(), "ICMP type, code or id"),
        (!f.states.is_empty(), "state"),
        (f.mark.is_some(), "mark"),
        (f.status != crate::values::list::Status::default(), "status"),
        (f.zone.is_some(), "zone"),
        (f.src_nat.or(f.dst_nat).or(f.any_nat).is_some(), "NAT"),
    ];
    all.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect()
}

/// What the kernel is never asked for, and why.
fn left(f: &Filter) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    let nets = [&f.orig.src, &f.orig.dst, &f.reply.src, &f.reply.dst];
    let whole = |a: &Addr| a.bytes().iter().all(|b| *b == 0xff);
    if nets.iter().any(|l| l.listed().iter().any(|n| n.addr.family() == af::INET6)) {
        out.push(("IPv6 addresses", "many kernels answer with all other addresses"));
    }
    if nets.iter().any(|l| l.listed().iter().any(|n| !whole(&n.mask))) {
        out.push(("networks and masks", "the kernel compares whole addresses"));
    }
    if nets.iter().any(|l| l.listed().len() > 1) {
        out.push(("lists of addresses", "the kernel takes one"));
    }
    if nets.iter().any(|l| l.set().is_some()) {
        out.push(("addresses of a file", "the kernel takes one"));
    }
    let ports = [&f.orig.src_port, &f.orig.dst_port, &f.reply.src_port, &f.reply.dst_port];
    if ports.iter().any(|l| l.len() > 1 || l.iter().any(|r| r.first != r.last)) {
        out.push(("lists and ranges of ports", "the kernel takes one port"));
    }
    if ports.iter().any(|l| !l.is_empty()) && !matches!(f.proto, Some(ipproto::TCP | ipproto::UDP)) {
        out.push(("ports", "the kernel compares those of TCP and UDP only"));
    }
    let rest = [
        (f.icmp != crate::filter::Icmp::default(), "ICMP type, code and id"),
        (!f.states.is_empty() || f.dccp_role.is_some(), "state"),
        (f.src_nat.or(f.dst_nat).or(f.any_nat).is_some(), "NAT"),
        (f.labels != Labels::default(), "labels"),
        (f.id.is_some(), "id"),
        (f.timeout.is_some(), "timeout"),
        (f.secmark.is_some(), "security mark"),
        ([f.zone, f.orig.zone, f.reply.zone].contains(&Some(0)), "zone 0"),
    ];
    out.extend(rest.iter().filter(|(on, _)| *on).map(|(_, what)| (*what, "the kernel has no filter for it")));
    out
}

/// Whether this kernel has CTA_FILTER: a socket is opened for the question and thrown away.
pub fn has_tuple_filter() -> bool {
    struct First(bool);
    impl Sink for First {
        fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
            self.0 = true;
            ControlFlow::Break(())
        }
        fn lost(&mut self, _: Lost) {}
    }
    let mut first = First(false);
    let answer = Requests::open().and_then(|mut r| r.dump(request::probe_tuple_filter, &mut first));
    matches!(answer, Err(Error::Refused { errno: libc::EINVAL, .. })) && !first.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Network, PortRange};
    use zct_wire::filter::Masked;

    fn host(a: [u8; 4]) -> Networks {
        Networks::from_iter([Network { addr: Addr::V4(a), mask: Addr::V4([0xff; 4]) }])
    }

    fn plan(f: &Filter, mode: KernelFilter, size: TableSize) -> Plan {
        Plan::new(f, mode, || size, || true)
    }

    const SMALL: TableSize = TableSize { buckets: 1000, flows: 1000 };
    const LARGE: TableSize = TableSize { buckets: 1 << 20, flows: 1_000_000 };

    fn dns() -> Filter {
        Filter {
            family: Some(af::INET),
            proto: Some(ipproto::UDP),
            orig: Direction {
                dst: host([1, 2, 3, 4]),
                dst_port: PortRanges::from_iter([PortRange::one(53)]),
                ..Direction::default()
            },
            ..Filter::default()
        }
    }

    #[test]
    fn exact_members_are_asked_while_the_walk_is_short() {
        let p = plan(&dns(), KernelFilter::Auto, SMALL);
        assert_eq!(p.dumps.len(), 1);
        assert_eq!((p.dumps[0].orig.dst, p.dumps[0].orig.dst_port), (Some([1, 2, 3, 4]), Some(53)));
        for (mode, size) in [(KernelFilter::Auto, LARGE), (KernelFilter::Never, SMALL)] {
            let p = plan(&dns(), mode, size);
            assert_eq!(p.dumps.as_slice(), [dns().for_kernel()]);
            assert!(p.held_back.is_some());
        }
        assert!(plan(&dns(), KernelFilter::Always, LARGE).dumps[0].has_tuple_filter());
        let p = Plan::new(&dns(), KernelFilter::Always, || SMALL, || false);
        assert!(!p.dumps[0].has_tuple_filter() && p.held_back.is_some());
    }

    #[test]
    fn a_protocol_alone_is_two_dumps_when_they_pay() {
        let f = Filter { proto: Some(ipproto::TCP), ..Filter::default() };
        let p = plan(&f, KernelFilter::Auto, SMALL);
        assert_eq!(p.dumps.iter().map(|d| d.family).collect::<Vec<_>>(), [af::INET, af::INET6]);
        let sparse = TableSize { buckets: 100_000, flows: 10 };
        assert_eq!(plan(&f, KernelFilter::Auto, sparse).dumps.len(), 1);
        assert_eq!(plan(&f, KernelFilter::Always, sparse).dumps.len(), 2);
    }

    #[test]
    fn mark_status_and_family_are_always_asked_and_networks_never() {
        let mark = Some(Masked { value: 1, mask: 1 });
        let net = Network { addr: Addr::V4([10, 0, 0, 0]), mask: Addr::V4([255, 0, 0, 0]) };
        let v6 = Network { addr: Addr::V6([1; 16]), mask: Addr::V6([0xff; 16]) };
        for (family, n) in [(af::INET, net), (af::INET6, v6)] {
            let orig = Direction { src: Networks::from_iter([n]), ..Direction::default() };
            let f = Filter { family: Some(family), mark, orig, ..Filter::default() };
            for mode in [KernelFilter::Auto, KernelFilter::Always, KernelFilter::Never] {
                let p = plan(&f, mode, SMALL);
                assert_eq!(p.dumps.as_slice(), [f.for_kernel()]);
                assert_eq!(p.dumps[0].mark, mark);
            }
            assert!(plan(&f, KernelFilter::Auto, SMALL).explain(&f).contains("left to this program"));
        }
    }

    #[test]
    fn what_is_left_out_is_never_asked_for() {
        let plain = dns();
        let f = Filter { not: vec![dns(), Filter { zone: Some(7), ..Filter::default() }], ..plain.clone() };
        for mode in [KernelFilter::Auto, KernelFilter::Always, KernelFilter::Never] {
            assert_eq!(plan(&f, mode, SMALL), plan(&plain, mode, SMALL));
        }
        let not = "original destination, original destination port, protocol, zone (";
        assert!(plan(&f, KernelFilter::Auto, SMALL).explain(&f).contains(not));
        let alone = Filter { not: vec![dns()], ..Filter::default() };
        assert_eq!(plan(&alone, KernelFilter::Always, SMALL).dumps.as_slice(), [DumpFilter::default()]);
    }

    #[test]
    fn the_system_is_asked_only_where_the_answer_matters() {
        let unasked = |f: &Filter, mode| {
            let size = || panic!("the size of the table was read");
            Plan::new(f, mode, size, || panic!("the kernel was asked for what it has"))
        };
        let family = Filter { family: Some(af::INET), ..Filter::default() };
        for f in [Filter::default(), family.clone()] {
            for mode in [KernelFilter::Auto, KernelFilter::Always, KernelFilter::Never] {
                assert_eq!(unasked(&f, mode).dumps.as_slice(), [f.for_kernel()]);
            }
        }
        assert_eq!(unasked(&dns(), KernelFilter::Never).dumps.as_slice(), [dns().for_kernel()]);
    }

    #[test]
    fn zone_zero_is_ours_and_others_are_asked() {
        for (zone, want) in [(0, None), (7, Some(7))] {
            let f = Filter { zone: Some(zone), ..Filter::default() };
            assert_eq!(plan(&f, KernelFilter::Auto, SMALL).dumps[0].zone, want);
        }
    }

    #[test]
    fn ports_of_other_protocols_are_ours() {
        let mut f = dns();
        f.proto = Some(ipproto::SCTP);
        let p = plan(&f, KernelFilter::Auto, SMALL);
        assert_eq!((p.dumps[0].orig.proto, p.dumps[0].orig.dst_port), (Some(ipproto::SCTP), None));
        assert!(p.explain(&f).contains("ports"));
    }
}
