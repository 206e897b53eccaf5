//! Fills the table of this thread's namespace, with the original or through ctnetlink.
//!
//! For real packets see [`crate::traffic`].

use crate::program::{Exit, Tool};
use fastrand::Rng;
use std::ops::ControlFlow;
use zct_engine::{Error, Lost, NetlinkSocket, Requests, Sink};
use zct_wire::build::{Builder, Full, Head};
use zct_wire::consts::{af, cta, ipctnl, ipproto, ips, nlm_f, nlmsg};
use zct_wire::filter::Masked;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::nat::Nat;
use zct_wire::proto::{ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::request::{NewFlow, REQUEST_MAX, flush, get, new_flow, stats};
use zct_wire::stats::GlobalStats;
use zct_wire::tuple::{Addr, Tuple};

/// Rules that make this namespace track real packets and keep room for labels.
pub const TRACKING: &str = "table inet seed {
    chain in { type filter hook input priority 0; ct state established accept; }
    chain out { type filter hook output priority 0; udp dport 9 ct label set 1; ct state established accept; }
}";

/// Runs the original once for each line of arguments; each run has to succeed.
pub fn by_reference(lines: &[&str]) {
    for line in lines {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let output = Tool::Reference.run(&words);
        assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
    }
}

/// Changes the table through a socket of its own.
#[derive(Debug)]
pub struct Kernel(Requests);

struct Nothing;

impl Sink for Nothing {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("an acknowledgement was lost: {why}");
    }
}

impl Kernel {
    /// Opens a socket in this thread's namespace.
    pub fn open() -> Kernel {
        Kernel(Requests::open().expect("a netlink socket"))
    }

    /// Creates a flow that must not exist yet.
    pub fn create(&mut self, flow: &NewFlow<'_>) -> Result<(), Error> {
        let flags = nlm_f::CREATE | nlm_f::EXCL | nlm_f::ACK;
        self.0.ask(|buf, seq| new_flow(buf, seq, flags, flow), &mut Nothing)
    }

    /// Changes a flow.
    pub fn update(&mut self, flow: &NewFlow<'_>) -> Result<(), Error> {
        self.0.ask(|buf, seq| new_flow(buf, seq, nlm_f::ACK, flow), &mut Nothing)
    }

    /// Empties the table.
    pub fn flush(&mut self) {
        self.0.ask(|buf, seq| flush(buf, seq, false), &mut Nothing).expect("a flush");
    }

    /// What can be changed about a flow, and its id, which is new when the flow was made again. `None` when
    /// the flow is gone.
    pub fn facts(&mut self, flow: &NewFlow<'_>) -> Option<KernelFacts> {
        let mut facts = OneFlow::default();
        let asked = self
            .0
            .ask(|buf, seq| get(buf, seq, flow.family, flow.orig.as_ref(), None, flow.zone), &mut facts);
        match asked {
            Ok(()) => facts.0,
            Err(Error::Refused { .. }) => None,
            Err(e) => panic!("{e}"),
        }
    }

    /// How many flows there are.
    pub fn count(&mut self) -> u32 {
        let mut count = Count::default();
        self.0.ask(stats, &mut count).expect("statistics");
        count.0.expect("a number")
    }

    /// Deletes a flow, which has to exist.
    pub fn delete(&mut self, flow: &NewFlow<'_>) -> Result<(), Error> {
        self.0.ask(|buf, seq| delete(buf, seq, nlm_f::ACK, flow), &mut Nothing)
    }
}

/// Builds the request that deletes the flow with this tuple, whatever its id.
fn delete<'b>(buf: &'b mut [u8], seq: u32, flags: u16, flow: &NewFlow<'_>) -> Result<&'b [u8], Full> {
    let mut b =
        Builder::new(buf, Head::new(ipctnl::DELETE, seq).flags(nlm_f::REQUEST | flags).family(flow.family));
    // Without a tuple the kernel would empty the table.
    flow.orig.expect("a tuple").build(&mut b, cta::TUPLE_ORIG);
    if let Some(zone) = flow.zone {
        b.put_be16(cta::ZONE, zone);
    }
    b.finish()
}

/// Id, mark, status, state and labels of a flow.
pub type KernelFacts = (Option<u32>, Option<u32>, Option<u32>, Option<u8>, Option<Vec<u8>>);

#[derive(Default)]
struct OneFlow(Option<KernelFacts>);

impl Sink for OneFlow {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let f = FlowView::index(msg).expect("a flow");
        let state = f.state().expect("readable").map(|(_, state)| state);
        let labels = f.raw(cta::LABELS).map(<[u8]>::to_vec);
        let [id, mark, status] = [f.id(), f.mark(), f.status()].map(|v| v.expect("readable"));
        self.0 = Some((id, mark, status, state, labels));
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("an answer was lost: {why}");
    }
}

#[derive(Default)]
struct Count(Option<u32>);

impl Sink for Count {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.0 = GlobalStats::parse(msg).expect("statistics").entries;
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("an answer was lost: {why}");
    }
}

/// An IPv4 flow with ports and nothing special: a base for struct update syntax.
pub fn udp(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16) -> NewFlow<'static> {
    let orig = Tuple {
        src: Some(Addr::V4(src)),
        dst: Some(Addr::V4(dst)),
        proto: Some(ipproto::UDP),
        src_port: Some(src_port),
        dst_port: Some(dst_port),
        ..Tuple::default()
    };
    plain(orig)
}

/// A flow with this original tuple and its inverse.
pub fn plain(orig: Tuple) -> NewFlow<'static> {
    NewFlow::default().with(|it| {
        it.family = orig.src.map_or(af::INET, |a| a.family());
        it.orig = Some(orig);
        it.reply = orig.inverse();
        it.timeout_s = Some(100_000);
        it.status = Some(ips::CONFIRMED);
    })
}

/// A TCP flow in the given state.
pub fn tcp(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16, state: u8) -> NewFlow<'static> {
    let flow = udp(src, dst, src_port, dst_port);
    let orig = flow.orig.map(|t| Tuple { proto: Some(ipproto::TCP), ..t }).expect("a tuple");
    plain(orig).with(|it| it.protoinfo = Some(ProtoInfo::Tcp(TcpInfo::created(state))))
}

/// Sends many requests in few system calls; the end of each batch is acknowledged.
pub struct Storm {
    socket: NetlinkSocket,
    seq: u32,
}

/// Requests per system call: few enough that the error answers to all of them fit the receive buffer.
const BATCH: usize = 64;

impl Storm {
    /// Opens a socket in this thread's namespace.
    pub fn open() -> Storm {
        Storm { socket: NetlinkSocket::open().expect("a netlink socket"), seq: 0 }
    }

    /// Creates these flows; each has to succeed.
    pub fn create<'f>(&mut self, flows: impl IntoIterator<Item = NewFlow<'f>>) {
        let flags = nlm_f::CREATE | nlm_f::EXCL;
        self.send(flows, |buf, seq, ack, flow| new_flow(buf, seq, flags | ack, flow));
    }

    /// Changes these flows; each has to succeed.
    pub fn update<'f>(&mut self, flows: impl IntoIterator<Item = NewFlow<'f>>) {
        self.send(flows, |buf, seq, ack, flow| new_flow(buf, seq, ack, flow));
    }

    /// Deletes these flows; each has to be there.
    pub fn delete<'f>(&mut self, flows: impl IntoIterator<Item = NewFlow<'f>>) {
        self.send(flows, |buf, seq, ack, flow| delete(buf, seq, ack, flow));
    }

    fn send<'f>(
        &mut self,
        flows: impl IntoIterator<Item = NewFlow<'f>>,
        build: impl for<'b> Fn(&'b mut [u8], u32, u16, &NewFlow<'f>) -> Result<&'b [u8], Full>,
    ) {
        let mut flows = flows.into_iter().peekable();
        let mut batch = Vec::new();
        let mut buf = [0; REQUEST_MAX];
        while flows.peek().is_some() {
            batch.clear();
            for at in 0..BATCH {
                let Some(flow) = flows.next() else { break };
                let last = at + 1 == BATCH || flows.peek().is_none();
                self.seq += 1;
                let ack = if last { nlm_f::ACK } else { 0 };
                batch.extend(build(&mut buf, self.seq, ack, &flow).expect("it fits"));
            }
            self.socket.send(&batch).expect("sendto");
            self.wait(self.seq);
        }
    }

    /// Reads answers up to the acknowledgement of the last message.
    fn wait(&self, last: u32) {
        let mut buf = [0; 4096];
        loop {
            let len = self.socket.recv(&mut buf, true).expect("recvfrom");
            for frame in Frames::new(&buf[..len]).map(|f| f.expect("a whole message")) {
                assert_eq!(frame.kind(), nlmsg::ERROR);
                let code = frame.code().expect("a code");
                assert_eq!(code, 0, "request {} of {last} was refused", frame.seq());
                if frame.seq() == last {
                    return;
                }
            }
        }
    }
}

/// The addresses of random flows: few, so that a filter on one of them selects some flows and not all.
pub const HOSTS4: [[u8; 4]; 8] = [
    [10, 0, 0, 1],
    [10, 0, 0, 2],
    [10, 0, 0, 3],
    [10, 0, 1, 1],
    [10, 0, 1, 200],
    [172, 16, 3, 4],
    [192, 168, 7, 1],
    [203, 0, 113, 9],
];
/// The last bytes of the random flows' IPv6 addresses, behind `2001:db8::` or `fd00:1::`.
pub const HOSTS6: [(u8, u8); 5] = [(0x20, 1), (0x20, 2), (0x20, 3), (0xfd, 1), (0xfd, 2)];
/// Addresses that flows are translated to.
pub const OUTSIDE4: [[u8; 4]; 3] = [[198, 51, 100, 1], [198, 51, 100, 2], [10, 0, 0, 1]];
/// IPv6 addresses that flows are translated to, in the form of [`HOSTS6`].
pub const OUTSIDE6: [(u8, u8); 3] = [(0x20, 0xa1), (0x20, 0xa2), (0xfd, 1)];
/// The ports and GRE keys of random flows.
pub const PORTS: [u16; 7] = [53, 80, 443, 1000, 1001, 5060, 65535];
/// The marks of random flows.
pub const MARKS: [u32; 5] = [0, 1, 5, 0x100, 0xdead_beef];
/// The zones of random flows that are in one.
pub const ZONES: [u16; 3] = [3, 9, 40_000];
/// Every protocol of the random flows; 50 and 201 have no name in conntrack.
pub const PROTOCOLS: [u8; 10] = [6, 17, 136, 132, 33, 47, 1, 58, 50, 201];

/// Makes an address from a pair like those in [`HOSTS6`].
pub fn v6((net, last): (u8, u8)) -> [u8; 16] {
    let front = if net == 0x20 { [0x20, 0x01, 0x0d, 0xb8] } else { [0xfd, 0, 0, 1] };
    let mut out = [0; 16];
    out[..4].copy_from_slice(&front);
    out[15] = last;
    out
}

/// Makes random flows of all kinds that ctnetlink can make.
#[derive(Debug)]
pub struct Mix {
    /// The source of its randomness.
    pub rng: Rng,
    /// Whether flows get labels; this needs a rule with labels in the namespace.
    pub labels: bool,
    /// Whether most flows have their own source port or id, so that there can be many.
    pub wide: bool,
}

impl Mix {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.u32(..one_in) == 0
    }

    fn addr(&mut self, family: u8) -> Addr {
        if family == af::INET { Addr::V4(self.one(&HOSTS4)) } else { Addr::V6(v6(self.one(&HOSTS6))) }
    }

    fn outside(&mut self, family: u8) -> Addr {
        if family == af::INET { Addr::V4(self.one(&OUTSIDE4)) } else { Addr::V6(v6(self.one(&OUTSIDE6))) }
    }

    fn tuple(&mut self, proto: u8) -> Tuple {
        let family = match proto {
            ipproto::ICMP => af::INET,
            ipproto::ICMPV6 => af::INET6,
            _ if self.chance(3) => af::INET6,
            _ => af::INET,
        };
        let mut t = Tuple {
            src: Some(self.addr(family)),
            dst: Some(self.addr(family)),
            proto: Some(proto),
            ..Tuple::default()
        };
        match proto {
            ipproto::ICMP => t.icmp_type = Some(self.one(&[8, 13, 15, 17, 0])),
            ipproto::ICMPV6 => t.icmp_type = Some(self.one(&[128, 128, 129])),
            ipproto::TCP | ipproto::UDP | ipproto::UDPLITE | ipproto::SCTP | ipproto::GRE => {
                t.src_port = Some(self.one(&PORTS));
                t.dst_port = Some(self.one(&PORTS));
            }
            _ => {}
        }
        if t.icmp_type.is_some() {
            t.icmp_code = Some(0);
            t.icmp_id = Some(self.rng.u16(1..6));
        }
        if self.wide && !self.chance(8) {
            t.src_port = t.src_port.map(|_| self.rng.u16(1..));
            t.icmp_id = t.icmp_id.map(|_| self.rng.u16(1..));
        }
        t
    }

    /// Makes the next flow. The kernel may refuse it, because a similar one exists or because it does not
    /// accept the combination.
    pub fn flow(&mut self) -> NewFlow<'static> {
        let proto = self.one(&PROTOCOLS);
        let orig = self.tuple(proto);
        let mut flow = plain(orig);
        flow.timeout_s = Some(self.rng.u32(100_000..1_000_000));
        let status = self.one(&[0, ips::SEEN_REPLY, ips::SEEN_REPLY | ips::ASSURED, ips::ASSURED]);
        let fixed = if self.chance(6) { ips::FIXED_TIMEOUT } else { 0 };
        flow.status = Some(ips::CONFIRMED | status | fixed);
        flow.mark = Some(Masked { value: self.one(&MARKS), mask: u32::MAX });
        flow.protoinfo = match proto {
            ipproto::TCP => Some(ProtoInfo::Tcp(TcpInfo::created(self.rng.u8(..10)))),
            ipproto::SCTP => Some(ProtoInfo::Sctp(SctpInfo {
                state: Some(self.rng.u8(1..10)),
                vtag: [Some(self.rng.u32(..)), Some(self.rng.u32(..10))],
            })),
            _ => None,
        };
        self.zone(&mut flow);
        self.nat(&mut flow);
        if self.labels && self.chance(3) {
            flow.labels = Some((label_bytes(&[self.rng.u8(..12), self.rng.u8(..128)]), [0xff; 16]));
        }
        if self.chance(4) {
            match proto {
                ipproto::TCP => flow.helper = Some(b"ftp"),
                ipproto::UDP => flow.helper = Some(b"tftp"),
                _ => {}
            }
        }
        flow
    }

    fn zone(&mut self, flow: &mut NewFlow<'_>) {
        let zone = Some(self.one(&ZONES));
        match self.rng.u8(..9) {
            0 => flow.zone = zone,
            1 => flow.orig = flow.orig.map(|t| Tuple { zone, ..t }),
            2 => flow.reply = flow.reply.map(|t| Tuple { zone, ..t }),
            _ => {}
        }
    }

    fn nat(&mut self, flow: &mut NewFlow<'_>) {
        let ports = flow.orig.is_some_and(|t| matches!(t.proto, Some(ipproto::TCP | ipproto::UDP)));
        let nat = |mix: &mut Mix| {
            let port = (ports && mix.chance(2)).then(|| mix.one(&PORTS));
            Some(Nat { addr: Some(mix.outside(flow.family)), port })
        };
        match self.rng.u8(..8) {
            0 => flow.nat_src = nat(self),
            1 => flow.nat_dst = nat(self),
            2 => (flow.nat_src, flow.nat_dst) = (nat(self), nat(self)),
            _ => {}
        }
    }

    /// Creates `count` random flows, and some that one of them had expected.
    pub fn fill(&mut self, kernel: &mut Kernel, count: usize) {
        let mut made: Vec<NewFlow<'static>> = Vec::new();
        let mut refused = 0;
        while made.len() < count {
            let mut flow = self.flow();
            let master = made.iter().rev().find(|m| m.family == flow.family && m.zone.is_none());
            if let Some(master) = master.filter(|_| flow.zone.is_none() && self.rng.u8(..8) == 0) {
                flow.master = master.orig;
            }
            match kernel.create(&flow) {
                Ok(()) => made.push(flow),
                Err(Error::Refused { .. }) => refused += 1,
                Err(e) => panic!("{flow:?}: {e}"),
            }
            assert!(refused < 4 * count + 100, "the kernel takes hardly any of the flows");
        }
    }
}

/// Label bits as the kernel stores them: words in host byte order.
pub fn label_bytes(bits: &[u8]) -> [u8; 16] {
    let mut words = [0u32; 4];
    for bit in bits {
        words[usize::from(bit / 32)] |= 1 << (bit % 32);
    }
    let mut out = [0; 16];
    for (bytes, word) in out.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    out
}
