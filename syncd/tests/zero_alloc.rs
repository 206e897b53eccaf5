//! Once the caches and queues have reached their size, a change costs no allocation on either side. This is a
//! binary of its own because the allocator counts the whole process.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use zct_engine::secret::{Secret, Vault};
use zct_wire::peer::Flow;
use zct_wire::peer::sealed::OVERHEAD;
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};
use zctd::peer::seal::{AuthMode, GroupKey, Seal, Settings};
use zctd::peer::{Event, Ftfw, Link, Machine, Millis, Origin, Output, PeerConfig, Seed};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn flow(n: u32, mark: u32) -> Flow {
    let [a, b, c, d] = n.to_be_bytes();
    Flow {
        orig: Tuple {
            src: Some(Addr::V4([10 + a, b, c, d])),
            dst: Some(Addr::V4([192, 0, 2, 1])),
            proto: Some(6),
            src_port: Some(1000),
            dst_port: Some(443),
            ..Tuple::default()
        },
        status: Some(0x0e),
        timeout_s: Some(600),
        mark: Some(mark),
        proto: Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() })),
        ..Flow::default()
    }
}

struct Side {
    machine: Machine,
    seal: Option<Seal>,
    injected: u32,
}

impl Side {
    fn new(sequence: u32, disable_external_cache: bool) -> Self {
        let config = PeerConfig::of(Ftfw { ack_window_size: 50, disable_external_cache, ..Ftfw::DEFAULT });
        let link = Link { payload_max: 1472, up: true };
        let seed = Seed { sequence, random: 1, hash: [1, 2] };
        Side { machine: Machine::new(0, config, vec![link], 0, seed), seal: None, injected: 0 }
    }

    fn sealed(mut self, node: u16) -> Self {
        let secret = |byte| Secret::new(&mut [byte; 32]).expect("a page");
        let keys = vec![GroupKey { number: 1, secret: secret(1) }];
        let settings = Settings { node, mode: AuthMode::Enforce, keys, active: 1, from: None };
        self.seal = Seal::new(0, settings, Vault::new().expect("a page"), secret(10 + node as u8));
        self.machine.link_payload(0, 1472 - OVERHEAD);
        self
    }

    fn fill(&mut self, now: Millis, buf: &mut [u8]) -> Option<usize> {
        match &mut self.seal {
            Some(seal) => seal.fill(now, buf, &mut |b| self.machine.transmit(now, b)),
            None => self.machine.transmit(now, buf),
        }
    }

    fn take(&mut self, now: Millis, bytes: &mut [u8]) {
        match &mut self.seal {
            Some(seal) => seal.open(now, bytes, &mut |b| self.machine.datagram(now, 0, b)),
            None => self.machine.datagram(now, 0, bytes),
        }
    }

    /// Sends everything that is due to the other side.
    fn send(&mut self, now: Millis, to: &mut Side, buf: &mut [u8]) {
        self.machine.turn(now);
        while let Some(n) = self.fill(now, buf) {
            to.take(now, &mut buf[..n]);
        }
        while let Some(output) = to.machine.poll() {
            to.injected += u32::from(matches!(output, Output::InjectFlow(..)));
        }
    }
}

/// Two nodes exchange changes until every queue and cache has its size, and then allocate nothing.
fn changes(disable_external_cache: bool, sealed: bool) -> Side {
    const FLOWS: u32 = 2000;
    let side = |sequence| Side::new(sequence, disable_external_cache);
    let (mut active, mut backup) = match sealed {
        true => (side(1).sealed(1), side(1_000_000).sealed(2)),
        false => (side(1), side(1_000_000)),
    };
    let mut buf = [0; 1472];
    let (mut now, mut mark) = (0, 0);
    // Changes come in bursts; some flows end, and others take their place.
    let mut rounds = |n: u32| {
        for _ in 0..n {
            mark += 1;
            for i in 0..200 {
                let f = flow((mark * 200 + i) % FLOWS, mark);
                let event = if (mark + i) % 50 == 0 { Event::Destroy } else { Event::Update };
                active.machine.flow_change(now, event, Origin::Kernel, &f, 1);
            }
            now += 10;
            active.send(now, &mut backup, &mut buf);
            backup.send(now, &mut active, &mut buf);
        }
    };
    // Several seconds: greetings, the bulks that follow them, and every timer.
    rounds(800);
    let region = Region::new(GLOBAL);
    rounds(400);
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    assert_eq!(backup.machine.stats().lost, 0);
    backup
}

#[test]
fn a_change_costs_no_allocation() {
    assert!(changes(false, false).machine.caches().external.counts().flows > 1500);
    assert!(changes(true, false).injected > 1200 * 200);
    let sealed = changes(false, true);
    assert!(sealed.machine.caches().external.counts().flows > 1500);
    assert!(sealed.seal.expect("sealed").counts().opened > 1000);
}
