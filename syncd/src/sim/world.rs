//! Two nodes, their kernels, the network between them, and time.

use crate::peer::Millis;
use crate::sim::node::{Table, expect_bytes, expects};
use crate::sim::{Named, Net, Quality, Rng, SimKernel, SimNode};
use std::collections::BTreeSet;

/// Datagrams that a node reads in a millisecond: as many as the original manages.
const READ_PER_MS: usize = 14;

/// The state of a whole run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) nodes: [SimNode; 2],
    pub(crate) kernels: [SimKernel; 2],
    // The wall clock, from which sequence numbers start.
    epoch_s: u32,
    steps: u64,
    _named: Named,
    // Prints every message that is received: SYNC_TRACE=1 with SYNC_SEED and -- --nocapture.
    trace: bool,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        quality: Quality,
        make: impl Fn(usize, Millis, &mut Rng, u32) -> SimNode,
    ) -> Self {
        let mut rng = Rng::new(seed);
        // Sometimes the numbers wrap in the middle of a run.
        let epoch_s = if rng.percent(10) { u32::MAX - rng.below(2000) as u32 } else { 1_795_451_000 };
        let nodes = [0, 1].map(|i| {
            let sequence = epoch_s.wrapping_add(rng.below(20) as u32);
            make(i, 0, &mut rng, sequence)
        });
        let net = Net::new(Rng::new(rng.next()), quality);
        World {
            now: 0,
            rng,
            net,
            nodes,
            kernels: Default::default(),
            epoch_s,
            steps: 0,
            _named: Named(seed),
            trace: std::env::var_os("SYNC_TRACE").is_some(),
        }
    }

    /// Makes `changes` happen on node `i`, about one every millisecond, in bursts.
    pub(crate) fn churn(&mut self, i: usize, changes: u32, tuples: u32) {
        let mut left = changes;
        while left > 0 {
            let burst = (1 + self.rng.below(20) as u32).min(left);
            for _ in 0..burst {
                let report = self.kernels[i].churn(&mut self.rng, tuples);
                self.nodes[i].event(self.now, &report);
                if let Some(e) = self.kernels[i].churn_expect(&report, &mut self.rng) {
                    self.nodes[i].expect_event(self.now, &e);
                }
            }
            left -= burst;
            let pause = self.rng.below(20);
            self.run(pause);
        }
    }

    /// Makes changes happen on both nodes in turn.
    pub(crate) fn churn_both(&mut self, changes: u32, tuples: u32) {
        for _ in 0..changes / 50 {
            self.churn(0, 50, tuples);
            self.churn(1, 25, tuples);
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: Millis) {
        let end = self.now + ms;
        while self.step(end) {}
        self.now = end;
    }

    /// Advances to the next thing that happens before `end`; false when there is none.
    fn step(&mut self, end: Millis) -> bool {
        self.net.arrive(self.now);
        for i in 0..2 {
            for _ in 0..READ_PER_MS {
                let Some(bytes) = self.net.receive(i) else { break };
                self.show(i, "receives", &bytes);
                self.nodes[i].datagram(self.now, &bytes);
            }
            let net = &mut self.net;
            let now = self.now;
            self.nodes[i].turn(now, |bytes| net.send(now, i, bytes));
            self.nodes[i].check(self.steps);
        }
        self.steps += 1;
        let next = self
            .nodes
            .iter()
            .filter_map(|n| n.deadline(self.now))
            .chain(self.net.next(self.now))
            .min()
            // A deadline that has passed without effect must not stop the clock.
            .map_or(end, |t| t.max(self.now + 1));
        if next >= end {
            return false;
        }
        self.now = next;
        true
    }

    fn show(&self, node: usize, what: &str, bytes: &[u8]) {
        if self.trace {
            for m in zct_wire::peer::Messages::new(bytes) {
                println!(
                    "{:6} ms, node {node} {what} {:?}",
                    self.now,
                    m.map(|m| (m.number, m.flags, m.seq, m.range()))
                );
            }
        }
    }

    /// The daemon of node `i` dies and comes back after `down_ms`, while its kernel goes on.
    pub(crate) fn crash(&mut self, i: usize, down_ms: Millis, changes: u32, tuples: u32) {
        for _ in 0..changes {
            let report = self.kernels[i].churn(&mut self.rng, tuples);
            self.kernels[i].churn_expect(&report, &mut self.rng);
        }
        // Meanwhile this node sends and answers nothing, and the other one goes on.
        let end = self.now + down_ms;
        while self.now < end {
            self.net.arrive(self.now);
            while self.net.receive(i).is_some() {}
            let other = 1 - i;
            while let Some(bytes) = self.net.receive(other) {
                self.nodes[other].datagram(self.now, &bytes);
            }
            let (net, now) = (&mut self.net, self.now);
            self.nodes[other].turn(now, |bytes| net.send(now, other, bytes));
            self.now += 10;
        }
        self.net.forget(i);
        let sequence = self.epoch_s.wrapping_add((self.now / 1000) as u32);
        self.nodes[i].restart(self.now, &self.kernels[i], &mut self.rng, sequence);
    }

    /// Both daemons die at once and start again at once.
    pub(crate) fn crash_both(&mut self) {
        let sequence = self.epoch_s.wrapping_add((self.now / 1000) as u32);
        for i in 0..2 {
            self.net.forget(i);
            self.nodes[i].restart(self.now, &self.kernels[i], &mut self.rng, sequence);
        }
    }

    /// What the other node should know about node `i`'s kernel.
    pub(crate) fn truth(&self, i: usize) -> Table {
        let flows = self.kernels[i].flows.values();
        flows
            .map(|(f, _)| {
                let key = crate::store::Key::of(f).expect("a whole tuple").as_bytes().to_vec();
                (key, crate::sim::node::replicated(f))
            })
            .collect()
    }

    /// Runs until both nodes know each other's kernels, for at most `ms`; returns how long that
    /// took, or `None`.
    pub(crate) fn settle(&mut self, ms: Millis) -> Option<Millis> {
        let begin = self.now;
        while self.now < begin + ms {
            self.run(1000);
            if self.agree() {
                return Some(self.now - begin);
            }
        }
        None
    }

    /// Each node has the flows of its own kernel and of the other's. An original may leave attributes of an
    /// earlier flow standing, because it sends an update where a flow has ended and begun again.
    pub(crate) fn agree(&self) -> bool {
        (0..2).all(|i| {
            let unannounced = self.nodes[i].unannounced();
            if self.nodes[1 - i].external_len() + unannounced.len() != self.kernels[i].flows.len() {
                return false; // cheaper than comparing everything
            }
            let (truth, has) = (self.truth(i), self.nodes[1 - i].external());
            let mut announced = truth.clone();
            announced.retain(|key, _| !unannounced.contains(key));
            let same = match self.nodes[i] {
                SimNode::Ours(_) => has == announced,
                SimNode::Original(_) => has.keys().eq(truth.keys()) && covers(&has, &truth),
            };
            same && self.nodes[i].internal() == truth && self.expects_agree(i)
        })
    }

    fn expects_agree(&self, i: usize) -> bool {
        let (SimNode::Ours(own), SimNode::Ours(other)) = (&self.nodes[i], &self.nodes[1 - i]) else {
            return true;
        };
        let truth: BTreeSet<_> = self.kernels[i].expects.values().map(expect_bytes).collect();
        expects(&own.machine.caches().internal_expect) == truth
            && expects(&other.machine.caches().external_expect) == truth
    }

    fn expect_differences(&self, i: usize) -> String {
        let (SimNode::Ours(own), SimNode::Ours(other)) = (&self.nodes[i], &self.nodes[1 - i]) else {
            return String::new();
        };
        let truth: BTreeSet<_> = self.kernels[i].expects.values().map(expect_bytes).collect();
        let sides = [
            ("internal", expects(&own.machine.caches().internal_expect)),
            ("external", expects(&other.machine.caches().external_expect)),
        ];
        let read = |bytes: &Vec<u8>| zct_wire::peer::Expect::decode(bytes);
        sides
            .iter()
            .map(|(name, table)| {
                let missing: Vec<_> = truth.difference(table).map(read).collect();
                let stale: Vec<_> = table.difference(&truth).map(read).collect();
                format!("{name}: missing {missing:?}, stale {stale:?}; ")
            })
            .collect()
    }

    /// The differences, for a message.
    pub(crate) fn differences(&self) -> String {
        let mut out = String::new();
        for i in 0..2 {
            let truth = self.truth(i);
            for (name, table) in
                [("internal", self.nodes[i].internal()), ("external", self.nodes[1 - i].external())]
            {
                let missing = truth.keys().filter(|k| !table.contains_key(*k)).count();
                let stale = table.keys().filter(|k| !truth.contains_key(*k)).count();
                let wrong: Vec<_> =
                    truth.iter().filter(|(k, f)| table.get(*k).is_some_and(|t| t != *f)).take(1).collect();
                if missing + stale + wrong.len() > 0 {
                    out += &format!(
                        "node {i}'s flows, {name}: {missing} missing, {stale} stale, first wrong {:?} is {:?}\n",
                        wrong.first(),
                        wrong.first().map(|(k, _)| &table[*k])
                    );
                }
            }
            if !self.expects_agree(i) {
                out += &format!("node {i}'s expectations differ: {}\n", self.expect_differences(i));
            }
        }
        out
    }
}

/// Every flow of `truth` is there with all it has, and perhaps with more.
pub(crate) fn covers(has: &Table, truth: &Table) -> bool {
    truth.iter().all(|(key, flow)| {
        has.get(key).is_some_and(|have| {
            let mut merged = *have;
            merged.merge(flow);
            merged == *have
        })
    })
}
