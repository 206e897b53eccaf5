//! A node in the world: this crate's machine, or the model of the original.

use crate::peer::seal::{AuthMode, Seal, SealHappening, Settings};
use crate::peer::{Event, Link, Machine, Millis, Notice, Origin, Output, PeerConfig, Seed};
use crate::sim::kernel::{ExpectReport, KernelReport};
use crate::sim::original::Original;
use crate::sim::{Rng, SimKernel};
use crate::store::{Cursor, ExpectStore, FlowStore, Key};
use std::collections::{BTreeMap, BTreeSet};
use zct_engine::secret::{Secret, Vault};
use zct_wire::peer::sealed::OVERHEAD;
use zct_wire::peer::{Encode, Expect, Flow, MESSAGE_MAX};
use zct_wire::proto::{ProtoInfo, TcpInfo};

/// A cache in a form that can be compared: what would be sent for each flow.
pub(crate) type Table = BTreeMap<Vec<u8>, Flow>;

/// The flow as the other side sees it.
pub(crate) fn replicated(flow: &Flow) -> Flow {
    let mut buf = [0; MESSAGE_MAX];
    let what = Encode { timeout: true, wscale: true };
    let len = flow.encode(&mut buf, Event::New, 0, 0, what).expect("it fits");
    Flow::decode(&buf[8..len]).expect("what was encoded")
}

pub(crate) fn table(store: &FlowStore) -> Table {
    let (mut cursor, mut out) = (Cursor::default(), Table::new());
    while let Some(id) = store.walk(&mut cursor) {
        let dead = store.meta(id).is_some_and(|m| m.flags & crate::store::Meta::DEAD != 0);
        if let Some(flow) = store.flow(id).filter(|_| !dead) {
            out.insert(Key::of(&flow).expect("it was stored").as_bytes().to_vec(), replicated(&flow));
        }
    }
    out
}

/// What is compared of flows. Of the rest, and of expectations, what was lost in NOTRACK stays lost.
pub(crate) fn compared(table: Table) -> Table {
    let part = |f: Flow| {
        let proto = f.proto.map(|proto| match proto {
            ProtoInfo::Tcp(TcpInfo { state, .. }) => ProtoInfo::Tcp(TcpInfo { state, ..TcpInfo::default() }),
            other @ (ProtoInfo::Sctp(_) | ProtoInfo::Dccp(_)) => other,
        });
        // No label is the same as labels that are all zero.
        let labels = f.labels.filter(|l| l.iter().any(|b| *b != 0));
        Flow {
            timeout_s: None,
            master: None,
            seq_adj: None,
            helper: None,
            synproxy: None,
            proto,
            labels,
            ..f
        }
    };
    table.into_iter().map(|(key, flow)| (key, part(flow))).collect()
}

/// The expectations of a cache, each as it would be sent.
pub(crate) fn expects(store: &ExpectStore) -> BTreeSet<Vec<u8>> {
    let (mut cursor, mut out) = (0, BTreeSet::new());
    while let Some(id) = store.walk(&mut cursor) {
        let dead = store.meta(id).is_some_and(|m| m.flags & crate::store::Meta::DEAD != 0);
        if let Some(e) = store.get(id).filter(|_| !dead) {
            out.insert(expect_bytes(e));
        }
    }
    out
}

pub(crate) fn expect_bytes(e: &Expect) -> Vec<u8> {
    let mut buf = [0; MESSAGE_MAX];
    let len = e.encode(&mut buf, Event::New, 0, 0, Encode::default()).expect("it fits");
    buf[8..len].to_vec()
}

/// A machine of this crate, and what it has reported.
#[derive(Debug)]
pub(crate) struct OurNode {
    pub(crate) machine: Machine,
    pub(crate) notices: Vec<Notice>,
    config: PeerConfig,
    pub(crate) seal: Option<Seal>,
}

pub(crate) const LINK: Link = Link { payload_max: 1472, up: true };

impl OurNode {
    pub(crate) fn new(now: Millis, config: PeerConfig, rng: &mut Rng, sequence: u32) -> Self {
        let seed = Seed { sequence, hash: [rng.next(), rng.next()], random: rng.next() };
        let machine = Machine::new(now, config.clone(), vec![LINK], 0, seed);
        OurNode { machine, notices: Vec::new(), config, seal: None }
    }

    /// Takes over settings of `Auth`, as a daemon does that starts or rereads its configuration.
    pub(crate) fn take_keys(&mut self, now: Millis, settings: Option<Settings>, rng: &mut Rng) {
        match (&mut self.seal, settings) {
            (Some(seal), Some(new)) => seal.reconfigure(now, new),
            (seal, None) => *seal = None,
            (seal, Some(new)) => {
                let mut seed: [u8; 32] = std::array::from_fn(|_| rng.next() as u8);
                let (vault, seed) = (Vault::new().expect("a page"), Secret::new(&mut seed).expect("a page"));
                *seal = Seal::new(now, new, vault, seed);
            }
        }
        let sealing = if self.seal.as_ref().is_some_and(Seal::seals) { OVERHEAD } else { 0 };
        self.machine.link_payload(0, LINK.payload_max - sealing);
    }
}

/// Up to this many flows, everything is checked often.
const SMALL: usize = 100;

/// A node of either kind.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there are two of them")]
pub(crate) enum SimNode {
    Ours(OurNode),
    Original(Original),
}

impl SimNode {
    /// Restarts with an empty external cache and the kernel's flows, as a daemon does.
    pub(crate) fn restart(&mut self, now: Millis, kernel: &SimKernel, rng: &mut Rng, sequence: u32) {
        match self {
            SimNode::Ours(n) => {
                let settings = n.seal.as_ref().map(|s| s.settings().clone());
                *n = OurNode::new(now, n.config.clone(), rng, sequence);
                n.take_keys(now, settings, rng);
            }
            SimNode::Original(o) => *o = Original::new(now, o.config, sequence),
        }
        for (flow, id) in kernel.flows.values() {
            match self {
                SimNode::Ours(n) => n.machine.flow_dumped(now, flow, *id),
                SimNode::Original(o) => o.dumped(flow),
            }
        }
        if let SimNode::Ours(n) = self {
            kernel.expects.values().for_each(|e| n.machine.expect_dumped(now, e));
        }
    }

    pub(crate) fn expect_event(&mut self, now: Millis, (event, expect): &ExpectReport) {
        // The model of the original has no expectations.
        if let SimNode::Ours(n) = self {
            n.machine.expect_change(now, *event, Origin::Kernel, expect);
        }
    }

    pub(crate) fn event(&mut self, now: Millis, r: &KernelReport) {
        match self {
            SimNode::Ours(n) => {
                n.machine.flow_change(now, r.event, Origin::Kernel, &r.flow, r.id);
            }
            SimNode::Original(o) => match r.event {
                Event::New => o.event_new(&r.flow),
                Event::Update => o.event_update(&r.flow),
                Event::Destroy => o.event_destroy(&r.flow),
            },
        }
    }

    pub(crate) fn datagram(&mut self, now: Millis, bytes: &[u8]) {
        match self {
            SimNode::Ours(OurNode { machine, seal: Some(seal), .. }) => {
                seal.open(now, &mut bytes.to_vec(), &mut |messages| machine.datagram(now, 0, messages));
            }
            SimNode::Ours(n) => n.machine.datagram(now, 0, bytes),
            SimNode::Original(o) => o.datagram(now, bytes),
        }
    }

    /// Runs the timers, and passes every datagram that is due to `send`.
    pub(crate) fn turn(&mut self, now: Millis, mut send: impl FnMut(&[u8])) {
        match self {
            SimNode::Ours(n) => {
                if let Some(seal) = &mut n.seal {
                    seal.turn(now);
                    n.machine.starts_show_in_keys(seal.settings().mode == AuthMode::Enforce);
                    while let Some(happening) = seal.poll() {
                        match happening {
                            SealHappening::Started(_) => n.machine.peer_is_another(now),
                            SealHappening::Proved(_) | SealHappening::Settled(_) => {
                                n.machine.peer_was_not_heard(now);
                            }
                            SealHappening::Refused(_) => {}
                        }
                    }
                }
                n.machine.turn(now);
                while let Some(output) = n.machine.poll() {
                    match output {
                        Output::Notice(notice) => n.notices.push(notice),
                        Output::InjectFlow(..)
                        | Output::InjectExpect(..)
                        | Output::DumpKernel
                        | Output::FlushKernel => {
                            panic!("{output:?} in a mode that is not simulated")
                        }
                    }
                }
                let mut buf = [0xa5; 65_536];
                // A turn is limited, so that a machine that cannot stop sending is noticed.
                for _ in 0..100_000 {
                    let OurNode { machine, seal, .. } = &mut *n;
                    let len = match seal {
                        Some(seal) => seal.fill(now, &mut buf, &mut |b| machine.transmit(now, b)),
                        None => machine.transmit(now, &mut buf),
                    };
                    let Some(len) = len else { return };
                    assert!(len < LINK.payload_max, "{len} bytes in one datagram");
                    send(&buf[..len]);
                }
                panic!("the machine does not stop sending");
            }
            SimNode::Original(o) => o.turn(now).iter().for_each(|d| send(d)),
        }
    }

    /// Checks a machine of ours, the more often the cheaper that is. (`chaos` checks after every step.)
    pub(crate) fn check(&self, step: u64) {
        if let SimNode::Ours(n) = self {
            let every = if n.machine.caches().internal.counts().flows < SMALL { 8 } else { 512 };
            if step % every == 0 {
                n.machine.check();
            }
        }
    }

    pub(crate) fn deadline(&self, now: Millis) -> Option<Millis> {
        match self {
            SimNode::Ours(n) => {
                [n.machine.deadline(now), n.seal.as_ref().map(Seal::deadline)].into_iter().flatten().min()
            }
            SimNode::Original(o) => Some(o.deadline()),
        }
    }

    pub(crate) fn internal(&self) -> Table {
        match self {
            SimNode::Ours(n) => table(&n.machine.caches().internal),
            SimNode::Original(o) => o.internal_table(),
        }
    }

    pub(crate) fn external(&self) -> Table {
        match self {
            SimNode::Ours(n) => table(&n.machine.caches().external),
            SimNode::Original(o) => o.external_table(),
        }
    }

    /// The keys of closed connections of which this node will never tell its peer, because they are as short
    /// as `SyncAfter` leaves out.
    pub(crate) fn unannounced(&self) -> BTreeSet<Vec<u8>> {
        let (mut cursor, mut out) = (Cursor::default(), BTreeSet::new());
        let SimNode::Ours(n) = self else { return out };
        let store = &n.machine.caches().internal;
        let closed = |f: &Flow| matches!(f.proto, Some(ProtoInfo::Tcp(TcpInfo { state: Some(7 | 8), .. })));
        while let Some(id) = store.walk(&mut cursor).filter(|_| n.config.sync_after_s > 0) {
            let held = store.meta(id).is_some_and(|m| crate::peer::is_held(&m));
            if let Some(flow) = store.flow(id).filter(|f| held && closed(f)) {
                out.insert(Key::of(&flow).expect("it was stored").as_bytes().to_vec());
            }
        }
        out
    }

    pub(crate) fn external_len(&self) -> usize {
        match self {
            SimNode::Ours(n) => n.machine.caches().external.counts().flows,
            SimNode::Original(o) => o.external_len(),
        }
    }

    pub(crate) fn ours(&mut self) -> &mut OurNode {
        match self {
            SimNode::Ours(n) => n,
            SimNode::Original(_) => panic!("this node is an original"),
        }
    }
}
