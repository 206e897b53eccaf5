//! Two to five nodes, each with a machine for each of the others, as the daemon has them: after loss,
//! duplication, reordering, partitions and deaths, also of all at once, each knows the flows of every other,
//! and none that has ended; in NOTRACK and ALARM because they compare (sync-protocol.md §10.6). Sealed,
//! somebody on the network repeats and turns whatever he has heard.

use crate::peer::seal::{AuthMode, GroupKey, Seal, SealHappening, Settings};
use crate::peer::{Ftfw, Machine, Millis, Mode, Origin, Output, PeerConfig, Seed};
use crate::sim::node::{LINK, Table, compared, expect_bytes, expects, replicated, table};
use crate::sim::quiet::mode;
use crate::sim::{Named, Quality, Rng, SimKernel, seeds};
use crate::store::Key;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use zct_engine::secret::{Secret, Vault};

const BAD: Quality = Quality { loss: 20, dup: 5, delay_ms: (1, 40), cut: [false; 2] };
/// Datagrams that the attacker remembers.
const TAPE: usize = 5000;

/// How the nodes talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    /// Each to each, as it is.
    Plain,
    /// Each to each, with a seal for each.
    Sealed,
    /// All hear all, with one seal.
    Group,
}

#[derive(Debug)]
struct Member {
    /// The numbers of the other nodes, in the order of what follows.
    peers: Vec<usize>,
    machines: Vec<Machine>,
    /// One for each peer, one for all, or none.
    seals: Vec<Seal>,
}

/// Time of arrival, order of sending, receiver, the address of the sender, bytes.
type MembersUnderWay = (Millis, u64, usize, usize, Vec<u8>);

#[derive(Debug)]
struct Cluster {
    now: Millis,
    talk: Talk,
    config: PeerConfig,
    rng: Rng,
    members: Vec<Member>,
    kernels: Vec<SimKernel>,
    quality: Quality,
    /// The nodes on this side of a partition reach those on the other side no more.
    apart: BTreeSet<usize>,
    under_way: BinaryHeap<Reverse<MembersUnderWay>>,
    sent: u64,
    tape: Vec<Vec<u8>>,
    repeated: u64,
    _named: Named,
}

fn number(node: usize) -> u16 {
    node as u16 + 1
}

fn seal(now: Millis, node: usize, from: Vec<u16>, rng: &mut Rng) -> Seal {
    let keys = vec![GroupKey { number: 1, secret: Secret::new(&mut [1; 32]).expect("a page") }];
    let settings =
        Settings { node: number(node), mode: AuthMode::Enforce, keys, active: 1, from: Some(from) };
    let mut seed: [u8; 32] = std::array::from_fn(|_| rng.next() as u8);
    let (vault, seed) = (Vault::new().expect("a page"), Secret::new(&mut seed).expect("a page"));
    Seal::new(now, settings, vault, seed).expect("the active key is there")
}

impl Member {
    fn new(
        now: Millis,
        (node, count): (usize, usize),
        talk: Talk,
        config: &PeerConfig,
        rng: &mut Rng,
        sequence: u32,
    ) -> Member {
        let peers: Vec<usize> = (0..count).filter(|n| *n != node).collect();
        let seals: Vec<Seal> = match talk {
            Talk::Plain => Vec::new(),
            Talk::Sealed => peers.iter().map(|p| seal(now, node, vec![number(*p)], rng)).collect(),
            Talk::Group => vec![seal(now, node, peers.iter().map(|p| number(*p)).collect(), rng)],
        };
        let overhead = seals.first().map_or(0, Seal::overhead);
        let machine = |_: &usize| {
            let seed = Seed { sequence, hash: [rng.next(), rng.next()], random: rng.next() };
            let mut m = Machine::new(now, config.clone(), vec![LINK], 0, seed);
            m.link_payload(0, LINK.payload_max - overhead);
            m
        };
        let machines = peers.iter().map(machine).collect();
        Member { peers, machines, seals }
    }

    fn datagram(&mut self, now: Millis, from: usize, bytes: &[u8], talk: Talk) {
        let Member { peers, machines, seals } = self;
        let at = peers.iter().position(|p| *p == from);
        match talk {
            Talk::Plain => machines[at.expect("a peer")].datagram(now, 0, bytes),
            Talk::Sealed => {
                let at = at.expect("a peer");
                let machine = &mut machines[at];
                seals[at].open(now, &mut bytes.to_vec(), &mut |m| machine.datagram(now, 0, m));
            }
            Talk::Group => seals[0].open_from(now, &mut bytes.to_vec(), &mut |node, m| {
                let at = peers.iter().position(|p| number(*p) == node).expect("one of the group");
                machines[at].datagram(now, 0, m);
            }),
        }
    }

    /// Runs the timers, and returns what is due, with the node that it is sent to.
    fn turn(&mut self, now: Millis, talk: Talk) -> Vec<(usize, Vec<u8>)> {
        let Member { peers, machines, seals } = self;
        for seal in seals.iter_mut() {
            seal.turn(now);
            while let Some(happening) = seal.poll() {
                let node = match happening {
                    SealHappening::Started(node)
                    | SealHappening::Proved(node)
                    | SealHappening::Settled(node) => node,
                    SealHappening::Refused(_) => continue,
                };
                let at = peers.iter().position(|p| number(*p) == node).expect("a peer");
                match happening {
                    SealHappening::Started(_) => machines[at].peer_is_another(now),
                    SealHappening::Proved(_) | SealHappening::Settled(_) | SealHappening::Refused(_) => {
                        machines[at].peer_was_not_heard(now);
                    }
                }
            }
        }
        let shows = talk != Talk::Plain;
        for machine in machines.iter_mut() {
            machine.starts_show_in_keys(shows);
        }
        let (mut out, mut buf) = (Vec::new(), [0xa5; 2048]);
        for (at, machine) in machines.iter_mut().enumerate() {
            machine.turn(now);
            while let Some(output) = machine.poll() {
                assert!(matches!(output, Output::Notice(_)), "{output:?}");
            }
            let (before, peer) = (out.len(), peers[at]);
            loop {
                let len = match talk {
                    Talk::Plain => machine.transmit(now, &mut buf),
                    Talk::Sealed => seals[at].fill(now, &mut buf, &mut |b| machine.transmit(now, b)),
                    Talk::Group => {
                        let to = number(peer);
                        seals[0].fill_for(now, to, &mut buf, &mut |b| machine.transmit(now, b))
                    }
                };
                let Some(len) = len else { break };
                assert!(len <= LINK.payload_max, "{len} bytes in one datagram");
                out.push((peer, buf[..len].to_vec()));
                assert!(out.len() - before < 10_000, "it does not stop sending");
            }
        }
        out
    }

    fn deadline(&self, now: Millis) -> Option<Millis> {
        let machines = self.machines.iter().filter_map(|m| m.deadline(now));
        machines.chain(self.seals.iter().map(Seal::deadline)).min()
    }

    fn machine(&self, peer: usize) -> &Machine {
        let at = self.peers.iter().position(|p| *p == peer).expect("a peer");
        &self.machines[at]
    }
}

impl Cluster {
    fn new(seed: u64, count: usize, talk: Talk, quality: Quality) -> Cluster {
        let ftfw = Ftfw { ack_window_size: 30, resend_queue_size: 200, ..Ftfw::DEFAULT };
        Cluster::with(PeerConfig::of(ftfw), seed, count, talk, quality)
    }

    fn with(config: PeerConfig, seed: u64, count: usize, talk: Talk, quality: Quality) -> Cluster {
        let mut rng = Rng::new(seed);
        let members: Vec<Member> =
            (0..count).map(|n| Member::new(0, (n, count), talk, &config, &mut rng, 1_000_000)).collect();
        let mut kernels: Vec<SimKernel> = (0..count).map(|_| SimKernel::default()).collect();
        // Where nothing is acknowledged, an expectation that was lost stays lost.
        kernels.iter_mut().for_each(|k| k.with_expects = matches!(config.mode, Mode::Ftfw(_)));
        Cluster {
            now: 0,
            talk,
            config,
            rng,
            members,
            kernels,
            quality,
            apart: BTreeSet::new(),
            under_way: BinaryHeap::new(),
            sent: 0,
            tape: Vec::new(),
            repeated: 0,
            _named: Named(seed),
        }
    }

    fn put(&mut self, at: Millis, to: usize, from: usize, bytes: Vec<u8>) {
        self.sent += 1;
        self.under_way.push(Reverse((at, self.sent, to, from, bytes)));
    }

    fn send(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let count = self.members.len();
        let hearers: Vec<usize> = match self.talk {
            Talk::Group => (0..count).filter(|n| *n != from).collect(),
            Talk::Plain | Talk::Sealed => vec![to],
        };
        if self.talk != Talk::Plain {
            self.attack(bytes);
        }
        for to in hearers {
            let (min, max) = self.quality.delay_ms;
            for _ in 0..1 + u64::from(self.rng.percent(self.quality.dup)) {
                let cut = self.apart.contains(&from) != self.apart.contains(&to);
                if !cut && !self.rng.percent(self.quality.loss) {
                    let at = self.now + min + self.rng.below(max - min + 1);
                    self.put(at, to, from, bytes.to_vec());
                }
            }
        }
    }

    /// Hears what is sent, and repeats something: to any node, from any address.
    fn attack(&mut self, bytes: &[u8]) {
        if self.tape.len() < TAPE {
            self.tape.push(bytes.to_vec());
        }
        if !self.rng.percent(40) {
            return;
        }
        let count = self.members.len() as u64;
        let mut frame = self.tape[self.rng.below(self.tape.len() as u64) as usize].clone();
        if self.rng.percent(20) {
            let bit = self.rng.below(frame.len() as u64 * 8) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        let to = self.rng.below(count) as usize;
        let from = (to + 1 + self.rng.below(count - 1) as usize) % count as usize;
        let at = self.now + self.rng.below(500);
        self.put(at, to, from, frame);
        self.repeated += 1;
    }

    /// Something happens in the kernel of a node; its daemon is told, unless it is dead.
    fn change(&mut self, node: usize, told: bool) {
        let report = self.kernels[node].churn(&mut self.rng, 60);
        let expect = self.kernels[node].churn_expect(&report, &mut self.rng);
        for m in self.members[node].machines.iter_mut().filter(|_| told) {
            m.flow_change(self.now, report.event, Origin::Kernel, &report.flow, report.id);
            if let Some((event, e)) = &expect {
                m.expect_change(self.now, *event, Origin::Kernel, e);
            }
        }
    }

    fn churn(&mut self, changes: u32) {
        for _ in 0..changes {
            for node in 0..self.members.len() {
                self.change(node, true);
            }
            let pause = self.rng.below(8);
            self.run(pause);
        }
    }

    fn run(&mut self, ms: Millis) {
        let end = self.now + ms;
        loop {
            while self.under_way.peek().is_some_and(|Reverse(d)| d.0 <= self.now) {
                let Some(Reverse((_, _, to, from, bytes))) = self.under_way.pop() else { break };
                self.members[to].datagram(self.now, from, &bytes, self.talk);
            }
            for node in 0..self.members.len() {
                for (to, bytes) in self.members[node].turn(self.now, self.talk) {
                    self.send(node, to, &bytes);
                }
            }
            let deadlines = self.members.iter().filter_map(|m| m.deadline(self.now));
            let next = deadlines.chain(self.under_way.peek().map(|Reverse(d)| d.0)).min();
            let next = next.map_or(end, |t| t.max(self.now + 1));
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
        }
    }

    /// The daemon of a node dies, misses something, and starts again.
    fn restart(&mut self, node: usize) {
        (0..self.rng.below(20)).for_each(|_| self.change(node, false));
        let sequence = 1_000_000 + (self.now / 1000) as u32;
        let count = self.members.len();
        let mut member =
            Member::new(self.now, (node, count), self.talk, &self.config, &mut self.rng, sequence);
        for m in &mut member.machines {
            self.kernels[node].flows.values().for_each(|(f, id)| m.flow_dumped(self.now, f, *id));
            self.kernels[node].expects.values().for_each(|e| m.expect_dumped(self.now, e));
        }
        self.members[node] = member;
    }

    fn truth(&self, node: usize) -> Table {
        let keyed = |f| (Key::of(f).expect("a whole tuple").as_bytes().to_vec(), replicated(f));
        self.kernels[node].flows.values().map(|(f, _)| keyed(f)).collect()
    }

    /// What two nodes differ in: one that owns flows, and one that should know them.
    fn differences(&self) -> Vec<String> {
        let mut out = Vec::new();
        for own in 0..self.members.len() {
            let truth = self.truth(own);
            let promised: BTreeSet<_> = self.kernels[own].expects.values().map(expect_bytes).collect();
            for known in (0..self.members.len()).filter(|n| *n != own) {
                let here = self.members[own].machine(known).caches();
                let there = self.members[known].machine(own).caches();
                let same = match self.config.mode {
                    Mode::Ftfw(_) => table(&here.internal) == truth && table(&there.external) == truth,
                    // What differs in the rest nobody notices.
                    Mode::Alarm(_) | Mode::Notrack(_) => {
                        compared(table(&there.external)) == compared(truth.clone())
                    }
                };
                let expected = expects(&there.external_expect) == promised;
                if !same || !expected {
                    let (flows, has) = (truth.len(), table(&there.external).len());
                    out.push(format!(
                        "{own} has {flows} flows, {known} knows {has}; expectations {expected}"
                    ));
                }
            }
        }
        out
    }

    /// The network recovers, and what has to be true becomes true and stays so.
    fn heal(&mut self, seed: u64) {
        self.quality = Quality { delay_ms: self.quality.delay_ms, ..Quality::PERFECT };
        self.apart.clear();
        let until = self.now + 120_000;
        while !self.differences().is_empty() {
            assert!(self.now < until, "seed {seed}: no agreement: {:?}", self.differences());
            self.run(1000);
        }
        self.run(12_000);
        assert!(self.differences().is_empty(), "seed {seed}: not any more: {:?}", self.differences());
        self.members.iter().flat_map(|m| &m.machines).for_each(Machine::check);
    }
}

fn members_agree(talk: Talk, usual: u64) {
    for seed in seeds(usual) {
        let count = 2 + (seed % 4) as usize;
        // A group of two is a pair, which the other tests are about.
        let count = if talk == Talk::Group { count.max(3) } else { count };
        let mut c = Cluster::new(seed, count, talk, BAD);
        for _ in 0..4 {
            c.churn(40);
            match c.rng.below(5) {
                0 => {
                    let side = c.rng.below(1 << count);
                    c.apart = (0..count).filter(|n| side >> n & 1 == 1).collect();
                }
                1 => {
                    let dead = c.rng.below(count as u64) as usize;
                    c.restart(dead);
                }
                2 => (0..count).for_each(|n| c.restart(n)),
                3 => {
                    let pause = c.rng.below(8000);
                    c.run(pause);
                }
                _ => c.apart.clear(),
            }
        }
        c.heal(seed);
        assert!(talk == Talk::Plain || c.repeated > 20, "seed {seed}: {}", c.repeated);
    }
}

#[test]
fn members_agree_after_everything() {
    members_agree(Talk::Plain, 40);
}

#[test]
fn sealed_members_agree_after_everything_and_an_attacker() {
    members_agree(Talk::Sealed, 40);
}

#[test]
fn members_of_a_group_agree_after_everything_and_an_attacker() {
    members_agree(Talk::Group, 40);
}

/// In NOTRACK and ALARM each two compare what one knows of the other: what was lost on a bad network, and between
/// those that were apart or dead, is found and made good, and all say afterwards that they are equal.
fn quiet_members_agree(talk: Talk, usual: u64) {
    let mut repaired = 0;
    for seed in seeds(usual) {
        let count = 3 + (seed / 2 % 2) as usize;
        let mut c = Cluster::with(mode(seed), seed, count, talk, BAD);
        c.churn(100);
        c.run(15_000);
        match c.rng.below(3) {
            0 => c.apart = [c.rng.below(count as u64) as usize].into(),
            1 => {
                let dead = c.rng.below(count as u64) as usize;
                c.restart(dead);
            }
            _ => {}
        }
        c.churn(60);
        c.heal(seed);
        let equal = c.now;
        // A node that got no answer for as long as the trouble lasted asks for everything less and less often.
        c.run(60_000);
        for m in c.members.iter().flat_map(|m| &m.machines) {
            let s = m.stats().digest;
            assert!(s.last_equal.is_some_and(|at| at > equal), "seed {seed}: {s:?}");
            repaired += s.repairs;
        }
        assert!(talk == Talk::Plain || c.repeated > 20, "seed {seed}: {}", c.repeated);
    }
    assert!(repaired > 0, "nothing was lost");
}

#[test]
fn members_that_acknowledge_nothing_agree() {
    quiet_members_agree(Talk::Plain, 8);
}

#[test]
fn sealed_members_that_acknowledge_nothing_agree() {
    quiet_members_agree(Talk::Sealed, 8);
}

#[test]
fn members_of_a_group_that_acknowledge_nothing_agree() {
    quiet_members_agree(Talk::Group, 8);
}

/// One that is silent costs the others nothing but what waits for it, which is bounded, and it gets all when
/// it returns.
#[test]
fn a_silent_member_holds_up_nobody() {
    for seed in seeds(20) {
        let mut c = Cluster::new(seed, 3, Talk::Plain, Quality { delay_ms: (0, 3), ..Quality::PERFECT });
        c.churn(20);
        c.run(3000);
        c.apart = [2].into();
        for _ in 0..10 {
            c.churn(100);
            c.run(2000);
            let (truth, known) = (c.truth(0), table(&c.members[1].machine(0).caches().external));
            assert_eq!(truth, known, "seed {seed}: the others go on");
            let waiting = c.members[0].machine(2);
            // An entry of the internal cache each at most, however much has changed: 60 flows are possible, and
            // those that have ended are kept until the peer knows.
            let entries = waiting.caches().internal.counts();
            assert!(waiting.resend_queue().len() <= 200, "seed {seed}");
            assert!(entries.flows + entries.dead <= 60 + 60, "seed {seed}: {entries:?}");
        }
        c.heal(seed);
    }
}
