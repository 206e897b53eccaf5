//! The table that values are tried on: its flows have the numbers that a cut, wrapped or half-read
//! text would hit.

use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_tests::seed::{Kernel, Storm, plain};
use zct_wire::consts::{cta, ips};
use zct_wire::filter::{DumpFilter, Masked};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::nat::Nat;
use zct_wire::proto::{ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::request::{self, NewFlow, Table};
use zct_wire::tuple::{Addr, Tuple};

/// A flow as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) id: u32,
    pub(crate) orig: Tuple,
    pub(crate) reply: Tuple,
    pub(crate) mark: u32,
    pub(crate) status: u32,
    /// The zones of the original and of the reply direction.
    pub(crate) zones: [u16; 2],
    /// The zone of both directions, if they have the same one.
    pub(crate) zone: Option<u16>,
    pub(crate) vtags: [u32; 2],
    pub(crate) labels: Vec<u8>,
    pub(crate) timeout: u32,
}

impl Flow {
    fn of(f: &FlowView<'_>) -> Flow {
        let [orig, reply] = [f.orig(), f.reply()].map(|t| t.expect("readable").expect("a tuple"));
        let zone = f.zone().expect("readable");
        let vtags = match f.protoinfo().expect("readable") {
            Some(ProtoInfo::Sctp(i)) => i.vtag.map(|v| v.unwrap_or(0)),
            _ => [0; 2],
        };
        let [id, mark, status, timeout] =
            [f.id(), f.mark(), f.status(), f.timeout_s()].map(|v| v.expect("readable").unwrap_or(0));
        let mut labels = f.raw(cta::LABELS).unwrap_or_default().to_vec();
        labels.resize(16, 0);
        let zones = [orig, reply].map(|t| t.zone.or(zone).unwrap_or(0));
        Flow { id, orig, reply, mark, status, zones, zone, vtags, labels, timeout }
    }

    /// The flow without what changes by itself.
    pub(crate) fn still(&self) -> Flow {
        Flow { timeout: 0, ..self.clone() }
    }
}

#[derive(Default)]
struct All(Vec<Flow>);

impl Sink for All {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.0.push(Flow::of(&FlowView::index(msg).expect("a flow")));
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("a message was lost: {why}");
    }
}

/// The whole table of this thread's namespace, read without the program under test.
fn dump() -> Vec<Flow> {
    let mut all = All::default();
    Requests::open()
        .and_then(|mut r| {
            r.dump(|buf, seq| request::dump(buf, seq, Table::Conntrack, &DumpFilter::default()), &mut all)
        })
        .expect("a dump");
    all.0.sort_by_key(|f| f.id);
    all.0
}

/// An address by its text.
pub(crate) fn addr(text: &str) -> Addr {
    match text.parse().expect("an address") {
        std::net::IpAddr::V4(a) => Addr::V4(a.octets()),
        std::net::IpAddr::V6(a) => Addr::V6(a.octets()),
    }
}

fn with_ports(proto: u8, src: &str, dst: &str, sport: u16, dport: u16) -> NewFlow<'static> {
    let orig = Tuple {
        src: Some(addr(src)),
        dst: Some(addr(dst)),
        proto: Some(proto),
        src_port: Some(sport),
        dst_port: Some(dport),
        ..Tuple::default()
    };
    let protoinfo = match proto {
        6 => Some(ProtoInfo::Tcp(TcpInfo::created(3))),
        132 => {
            let vtag = [Some(u32::from(sport) << 16 | 5), Some(u32::from(dport))];
            Some(ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag }))
        }
        _ => None,
    };
    plain(orig).with(|it| it.protoinfo = protoinfo)
}

fn icmp(proto: u8, src: &str, dst: &str, kind: u8, id: u16) -> NewFlow<'static> {
    plain(Tuple {
        src: Some(addr(src)),
        dst: Some(addr(dst)),
        proto: Some(proto),
        icmp_type: Some(kind),
        icmp_code: Some(0),
        icmp_id: Some(id),
        ..Tuple::default()
    })
}

/// Ports, keys and ids that wrong numbers would be taken for: what 65979 leaves in 16 bits, the first number
/// of `40000-40010`, `010` in base 8, `0x10`, and the ends of the range.
pub(crate) const NUMBERS: [u16; 14] = [443, 80, 8, 10, 16, 77, 0, 1, 5, 65_535, 40_000, 40_005, 40_010, 264];
/// Marks that wrong numbers would be taken for.
pub(crate) const MARKS: [u32; 7] = [0, 1, 5, 0x8000_0000, 0xdead_beef, u32::MAX, 443];
/// Zones that wrong numbers would be taken for.
pub(crate) const ZONES: [u16; 5] = [15, 1, 65_535, 8, 443];
/// Sources: those that short and octal forms stand for, and neighbours of networks.
pub(crate) const SOURCES: [&str; 9] = [
    "10.1.0.5",
    "10.1.0.6",
    "10.0.0.1",
    "8.1.0.5",
    "0.0.0.10",
    "10.1.0.0",
    "255.255.255.255",
    "192.168.0.5",
    "11.0.0.1",
];
/// IPv6 sources, among them neighbours of networks.
pub(crate) const SOURCES6: [&str; 4] =
    ["2001:db8::5", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.1.0.5"];

/// The flows of the table. No two in the same zone have the same tuple.
fn flows() -> Vec<NewFlow<'static>> {
    let mut all = Vec::new();
    for proto in [6, 17, 136, 132, 47] {
        for (n, port) in NUMBERS.into_iter().enumerate() {
            let src = SOURCES[n % SOURCES.len()];
            let other = NUMBERS[(n * 5 + 3) % NUMBERS.len()];
            all.push(with_ports(proto, src, "10.9.9.9", port, other));
        }
    }
    for (n, src) in SOURCES6.into_iter().enumerate() {
        all.push(with_ports(6, src, "2001:db8::9", NUMBERS[n], 443));
        all.push(icmp(58, src, "2001:db8::9", 128, NUMBERS[n + 5]));
    }
    for (n, id) in [77, 8, 0, 65_535, 1, 443].into_iter().enumerate() {
        all.push(icmp(1, SOURCES[n], "10.9.9.9", [8, 13, 15, 17, 0, 8][n], id));
    }
    for proto in [50, 201, 255, 4] {
        let orig = Tuple {
            src: Some(addr("10.1.0.5")),
            dst: Some(addr("10.9.9.9")),
            proto: Some(proto),
            ..Tuple::default()
        };
        all.push(plain(orig));
    }
    for (n, zone) in ZONES.into_iter().enumerate() {
        let flow = |n| with_ports(17, "10.1.0.5", "10.9.9.9", 7000 + n as u16, 443);
        all.push(flow(n).with(|it| it.zone = Some(zone)));
        let of_one = |t: Option<Tuple>| t.map(|t| Tuple { zone: Some(zone), ..t });
        let (one, other) = (flow(n + 20), flow(n + 40));
        all.push(one.with(|it| it.orig = of_one(one.orig)));
        all.push(other.with(|it| it.reply = of_one(other.reply)));
    }
    for (n, port) in [20_000u16, 443, 65_535].into_iter().enumerate() {
        let to = Some(Nat { addr: Some(addr("198.51.100.7")), port: Some(port) });
        let flow = |dst| with_ports(17, "10.1.0.5", dst, 8000 + n as u16, 53);
        all.push(flow("10.9.9.8").with(|it| it.nat_src = to));
        all.push(flow("10.9.9.7").with(|it| it.nat_dst = to));
    }
    for (n, flow) in all.iter_mut().enumerate() {
        flow.mark = Some(Masked { value: MARKS[n % MARKS.len()], mask: u32::MAX });
        flow.status = Some(ips::CONFIRMED | if n % 3 == 0 { ips::SEEN_REPLY } else { 0 });
        if n % 4 == 0 {
            let mut bits = [0; 16];
            for bit in [[17, 3], [127, 8], [0, 17], [1, 64]][n / 4 % 4] {
                set_bit(&mut bits, bit);
            }
            flow.labels = Some((bits, [0xff; 16]));
        }
    }
    all
}

/// The bits are in 32-bit words of host byte order.
pub(crate) fn set_bit(bits: &mut [u8; 16], bit: u8) {
    let word = usize::from(bit / 32) * 4;
    let value = u32::from_ne_bytes(bits[word..word + 4].try_into().expect("four bytes")) | 1 << (bit % 32);
    bits[word..word + 4].copy_from_slice(&value.to_ne_bytes());
}

/// The table of this thread's namespace, restored to these flows once something has changed it.
pub(crate) struct Seeded {
    kernel: Kernel,
    pub(crate) flows: Vec<Flow>,
}

impl Seeded {
    pub(crate) fn new() -> Seeded {
        let mut seeded = Seeded { kernel: Kernel::open(), flows: Vec::new() };
        seeded.restore();
        seeded
    }

    /// Empties the table, and fills it again.
    pub(crate) fn restore(&mut self) {
        self.kernel.flush();
        let all = flows();
        Storm::open().create(all.iter().copied());
        self.flows = dump();
        assert_eq!(self.flows.len(), all.len(), "the table is as it was made");
    }

    /// The table as it is now. A dump walks the whole hash table, which is slow if that is very large, so the
    /// kernel is asked for each flow; only if there are other flows as well does it have to dump.
    pub(crate) fn now(&mut self) -> Vec<Flow> {
        let mut all = All::default();
        let mut requests = Requests::open().expect("a netlink socket");
        for f in &self.flows {
            let family = f.orig.src.map_or(0, |a| a.family());
            match requests
                .ask(|buf, seq| request::get(buf, seq, family, Some(&f.orig), None, f.zone), &mut all)
            {
                Ok(()) | Err(Error::Refused { .. }) => {}
                Err(e) => panic!("{e}"),
            }
        }
        if self.kernel.count() as usize == all.0.len() { all.0 } else { dump() }
    }

    /// The ids of the selected flows.
    pub(crate) fn ids(&self, selected: impl Fn(&Flow) -> bool) -> Vec<u32> {
        self.flows.iter().filter(|f| selected(f)).map(|f| f.id).collect()
    }

    /// Whether the table is as it was when filled.
    pub(crate) fn is_untouched(&self, now: &[Flow]) -> bool {
        now.iter().map(Flow::still).eq(self.flows.iter().map(Flow::still))
    }
}
