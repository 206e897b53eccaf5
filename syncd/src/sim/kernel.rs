//! A connection tracking table whose flows come, change and go.

use crate::peer::Event;
use crate::sim::Rng;
use std::collections::BTreeMap;
use zct_wire::flow::Synproxy;
use zct_wire::peer::{Expect, Flow, Name};
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

/// What the kernel reports about one change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelReport {
    pub(crate) event: Event,
    pub(crate) flow: Flow,
    pub(crate) id: u32,
}

/// The flows of one node, by the number that their tuple is made from, and the expectations of some.
#[derive(Debug, Default)]
pub(crate) struct SimKernel {
    pub(crate) flows: BTreeMap<u32, (Flow, u32)>,
    pub(crate) expects: BTreeMap<u32, Expect>,
    /// Whether expectations come and go too.
    pub(crate) with_expects: bool,
    next_id: u32,
}

/// What the kernel reports about an expectation.
pub(crate) type ExpectReport = (Event, Expect);

/// The tuple of flow `n`: TCP and UDP, IPv4 and IPv6, pings, and occasionally a zone.
pub(crate) fn tuple(n: u32) -> Flow {
    let [a, b, c, d] = n.to_be_bytes();
    let (src, dst) = if n % 5 == 4 {
        (Addr::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]), Addr::V6([0xfd; 16]))
    } else {
        (Addr::V4([10, b, c, d]), Addr::V4([192, 0, 2, 1]))
    };
    let mut orig = Tuple { src: Some(src), dst: Some(dst), ..Tuple::default() };
    if n % 7 == 6 {
        let v6 = n % 5 == 4;
        orig.proto = Some(if v6 { 58 } else { 1 });
        orig.icmp_type = Some(if v6 { 128 } else { 8 });
        orig.icmp_code = Some(0);
        orig.icmp_id = Some(n as u16);
    } else {
        orig.proto = Some(if n % 3 == 2 { 17 } else { 6 });
        orig.src_port = Some(n as u16);
        orig.dst_port = Some(443);
    }
    Flow { orig, zone: (n % 11 == 10).then_some(7), ..Flow::default() }
}

impl SimKernel {
    /// Makes one random change among `tuples` possible flows; half of the time an existing flow changes.
    pub(crate) fn churn(&mut self, rng: &mut Rng, tuples: u32) -> KernelReport {
        let n = rng.below(tuples.into()) as u32;
        match self.flows.get(&n) {
            None => self.create(n, rng),
            Some(_) if rng.percent(40) => self.destroy(n),
            Some(_) => self.change(n, rng),
        }
    }

    /// What happens to the expectation of the flow that has just changed, if it has one.
    pub(crate) fn churn_expect(&mut self, r: &KernelReport, rng: &mut Rng) -> Option<ExpectReport> {
        let n = *self.flows.iter().find(|(_, (_, id))| *id == r.id).map(|(n, _)| n).unwrap_or(&u32::MAX);
        let port = r.flow.orig.src_port?;
        if !self.with_expects || r.flow.zone.is_some() {
            return None;
        }
        let stale = self.expects.iter().find(|(_, e)| e.master == r.flow.orig).map(|(n, _)| *n);
        match stale {
            // When a master ends, so do its expectations.
            Some(n) if r.event != Event::Update || rng.percent(30) => {
                Some((Event::Destroy, self.expects.remove(&n).expect("just seen")))
            }
            None if r.event == Event::Update && rng.percent(30) => {
                let tuple = Tuple { src_port: Some(0), dst_port: Some(port ^ 0x5555), ..r.flow.orig };
                let mask = Tuple { src_port: Some(0), dst_port: Some(0xffff), ..r.flow.orig };
                let e = Expect {
                    master: r.flow.orig,
                    tuple,
                    mask,
                    timeout_s: Some(rng.below(300) as u32),
                    flags: Some(0),
                    class: Some(rng.below(3) as u32),
                    helper: Name::new(b"ftp"),
                    ..Expect::default()
                };
                self.expects.insert(n, e);
                Some((Event::New, e))
            }
            _ => None,
        }
    }

    fn create(&mut self, n: u32, rng: &mut Rng) -> KernelReport {
        self.next_id += 1;
        let mut flow = tuple(n);
        flow.status = Some(0x08);
        flow.timeout_s = Some(30 + rng.below(100) as u32);
        if flow.orig.proto == Some(6) {
            let info = TcpInfo { state: Some(1), ..TcpInfo::default() };
            flow.proto = Some(ProtoInfo::Tcp(info));
        }
        // Some attributes exist from the start or never: those of an earlier flow must not live on.
        flow.mark = rng.percent(30).then(|| rng.next() as u32);
        flow.helper = if rng.percent(10) { Name::new(b"ftp") } else { None };
        flow.synproxy = rng.percent(20).then(Synproxy::default);
        if flow.orig.src_port.is_some() && rng.percent(20) {
            flow.status = Some(0x198);
            flow.spat = Some(rng.next() as u16);
            flow.snat = match flow.orig.src {
                Some(Addr::V4(_)) => Some(Addr::V4([203, 0, 113, 1])),
                _ => Some(Addr::V6([0x20; 16])),
            };
        }
        self.flows.insert(n, (flow, self.next_id));
        KernelReport { event: Event::New, flow, id: self.next_id }
    }

    fn change(&mut self, n: u32, rng: &mut Rng) -> KernelReport {
        let (flow, id) = self.flows.get_mut(&n).expect("the caller has looked");
        flow.status = flow.status.map(|s| s | 0x06);
        flow.timeout_s = Some(100 + rng.below(432_000) as u32);
        if let Some(ProtoInfo::Tcp(info)) = &mut flow.proto {
            info.state = Some(3 + rng.below(5) as u8);
        }
        if rng.percent(10) {
            flow.mark = Some(rng.next() as u32);
        }
        if rng.percent(10) {
            let bits = rng.next() as u8;
            flow.labels = Some([bits; 16]);
        }
        KernelReport { event: Event::Update, flow: *flow, id: *id }
    }

    fn destroy(&mut self, n: u32) -> KernelReport {
        let (flow, id) = self.flows.remove(&n).expect("the caller has looked");
        // The last event has few attributes, and one more status bit.
        let flow = Flow {
            status: flow.status.map(|s| s | 0x200),
            helper: None,
            labels: None,
            synproxy: None,
            ..flow
        };
        KernelReport { event: Event::Destroy, flow, id }
    }
}
