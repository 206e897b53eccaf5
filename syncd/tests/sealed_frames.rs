//! Frames that must not be taken, in great number: forged, altered in every bit, repeated, reflected, from other
//! nodes, other epochs and old keys (sealed-peers.md §2). None is taken, none proves anything, none allocates, and
//! what goes back is never more than what came. A binary of its own, because the allocator counts the process.
//!
//! `ZCT_SEALED_FRAMES` is how many there are; `make soak` takes a million.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use zct_engine::secret::{Secret, Vault};
use zct_wire::peer::sealed::HEADER_LEN;
use zctd::peer::Millis;
use zctd::peer::seal::{AuthMode, GroupKey, Refused, Seal, SealCounts, Settings};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROOM: usize = 1472;
/// Frames against one pair of nodes, and how many come in a millisecond: fewer than are looked at.
const ROUND: usize = 4000;
const A_MILLISECOND: usize = 16;
/// Where a frame has its fields (sealed-peers.md §3).
const KEY: usize = 4;
const NODE: std::ops::Range<usize> = 6..8;
const EPOCH: std::ops::Range<usize> = 8..24;
const COUNTER: std::ops::Range<usize> = 24..32;

fn secret(byte: u8) -> Secret {
    Secret::new(&mut [byte; 32]).expect("a page")
}

/// Settings with keys of these numbers, each made of its number or of another byte.
fn settings(node: u16, keys: &[(u8, u8)], active: u8) -> Settings {
    let keys = keys.iter().map(|&(number, byte)| GroupKey { number, secret: secret(byte) }).collect();
    Settings { node, mode: AuthMode::Enforce, keys, active, from: None }
}

/// Numbers from a seed: splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.next() as u8);
    }
}

/// A start of a node: no two have the same seed.
fn start(settings: Settings, now: Millis, numbers: &mut Numbers) -> Seal {
    let mut seed = [0; 32];
    numbers.fill(&mut seed);
    let seed = Secret::new(&mut seed).expect("a page");
    Seal::new(now, settings, Vault::new().expect("a page"), seed).expect("the active key is there")
}

fn node(id: u16, now: Millis, numbers: &mut Numbers) -> Seal {
    start(settings(id, &[(1, 1)], 1), now, numbers)
}

/// A frame with `len` bytes of text.
fn sealed(s: &mut Seal, len: usize) -> Vec<u8> {
    let mut frame = [0x5a; ROOM];
    let whole = s.close(&mut frame, len).expect("it fits");
    frame[..whole].to_vec()
}

fn opened(s: &mut Seal, now: Millis, frame: &[u8]) -> bool {
    let mut taken = false;
    s.open(now, &mut frame.to_vec(), &mut |_| taken = true);
    taken
}

/// Everything that nodes say until they know each other, and some messages after that.
fn talk(a: &mut Seal, b: &mut Seal, now: Millis) -> Vec<Vec<u8>> {
    let mut tape = Vec::new();
    let mut buf = [0; ROOM];
    for n in 0..40 {
        let (from_a, from_b) = (sealed(a, 50 + n * 30), sealed(b, 50 + n * 30));
        let taken = (opened(b, now, &from_a), opened(a, now, &from_b));
        assert!(n < 3 || taken == (true, true), "they know each other");
        tape.extend([from_a, from_b]);
        while let Some(len) = a.note(now, &mut buf) {
            assert!(!opened(b, now, &buf[..len]));
            tape.push(buf[..len].to_vec());
        }
        while let Some(len) = b.note(now, &mut buf) {
            assert!(!opened(a, now, &buf[..len]));
            tape.push(buf[..len].to_vec());
        }
    }
    tape
}

/// One node under attack, the one that it knows, and what the attacker has.
struct Scene {
    victim: Seal,
    /// Who is there and has to be heard all the time.
    friend: Seal,
    tape: Vec<Vec<u8>>,
}

/// Kinds of attack. Each makes a scene, and frame after frame from what is on its tape.
const KINDS: [&str; 10] = [
    "forged",
    "altered",
    "repeated",
    "after a restart of the receiver",
    "after a restart of the sender",
    "after a restart of both",
    "reflected",
    "from another node",
    "under an old key",
    "with another epoch",
];

fn scene(kind: &str, now: Millis, numbers: &mut Numbers) -> Scene {
    let (mut a, mut b) = (node(1, now, numbers), node(2, now, numbers));
    let mut tape = talk(&mut a, &mut b, now);
    match kind {
        // What was never delivered, so that nothing but what is changed keeps it from being taken.
        "forged" | "altered" => tape = [34, 150, ROOM - 48].map(|len| sealed(&mut a, len)).to_vec(),
        "repeated" => {}
        "after a restart of the receiver" => {
            b = node(2, now, numbers);
            tape.extend(talk(&mut a, &mut b, now));
        }
        "after a restart of the sender" => {
            a = node(1, now, numbers);
            tape.extend(talk(&mut a, &mut b, now));
        }
        "after a restart of both" => {
            (a, b) = (node(1, now, numbers), node(2, now, numbers));
            tape.extend(talk(&mut a, &mut b, now));
        }
        "reflected" => {
            tape.retain(|f| f[NODE] == [0, 2]);
            return Scene { victim: b, friend: a, tape };
        }
        "from another node" => {
            // Those of a node that has the key, and never answers.
            let mut c = node(3, now, numbers);
            tape = (0..40).map(|n| sealed(&mut c, 50 + n * 30)).collect();
            tape.extend((0..40).map(|n| sealed(&mut a, 50 + n * 30)));
        }
        "under an old key" => {
            // Both come to key 2, and key 1 is taken away.
            let last = now + 2000;
            for (at, keys, active) in [(0, &[(1, 1), (2, 2)][..], 1), (0, &[(1, 1), (2, 2)], 2)] {
                a.reconfigure(now + at, settings(1, keys, active));
                b.reconfigure(now + at, settings(2, keys, active));
            }
            for at in (now..last).step_by(50) {
                a.turn(at);
                b.turn(at);
                tape.extend(talk(&mut a, &mut b, at));
            }
            tape.retain(|f| f[KEY] == 1);
            a.reconfigure(last, settings(1, &[(2, 2)], 2));
            b.reconfigure(last, settings(2, &[(2, 2)], 2));
            // Somebody who has the old key under the number of the new one.
            let mut member = start(settings(1, &[(2, 1)], 2), last, numbers);
            tape.extend((0..40).map(|n| sealed(&mut member, 50 + n * 30)));
        }
        "with another epoch" => {
            // Headers say the one of another start, and of another node.
            let old: [u8; 16] = tape[0][EPOCH].try_into().expect("an epoch");
            let own: [u8; 16] = sealed(&mut b, 34)[EPOCH].try_into().expect("an epoch");
            a = node(1, now, numbers);
            let more = talk(&mut a, &mut b, now);
            let new: [u8; 16] = sealed(&mut a, 34)[EPOCH].try_into().expect("an epoch");
            for f in &mut tape {
                let other = if f[NODE] == [0, 1] { own } else { new };
                f[EPOCH].copy_from_slice(&other);
                f[NODE].copy_from_slice(&[0, 1]);
                // One that has not come.
                f[COUNTER][0..4].copy_from_slice(&[0, 0, 0, 1]);
            }
            tape.extend(more.into_iter().filter(|f| f[NODE] == [0, 1]).map(|mut f| {
                f[EPOCH].copy_from_slice(&old);
                f
            }));
        }
        _ => unreachable!("{kind}"),
    }
    tape.retain(|f| f[NODE] != [0, 2]);
    Scene { victim: b, friend: a, tape }
}

/// Writes the attacker's frame number `n` of all of its kind into `buf`.
fn attack(kind: &str, n: usize, tape: &[Vec<u8>], numbers: &mut Numbers, buf: &mut [u8; ROOM]) -> usize {
    // One frame after the other, so that each is there however few there are; all bits of one, then the next.
    let bits = |f: &Vec<u8>| f.len() * 8;
    let (mut which, mut bit) = (n % tape.len(), 0);
    if kind == "altered" {
        let all: usize = tape.iter().map(bits).sum();
        (which, bit) = (0, n % all);
        while bit >= bits(&tape[which]) {
            bit -= bits(&tape[which]);
            which += 1;
        }
    }
    let frame = &tape[which];
    let out = &mut buf[..frame.len()];
    out.copy_from_slice(frame);
    match kind {
        "altered" => out[bit / 8] ^= 1 << (bit % 8),
        "forged" => {
            numbers.fill(&mut out[HEADER_LEN..]);
            match n % 4 {
                0 => numbers.fill(&mut out[EPOCH]),
                // Any number that has not come, however far off.
                1 => numbers.fill(&mut out[COUNTER]),
                _ => {}
            }
        }
        // Those of node 3 as they are, those of either as the other's, and as those of nodes that are not there.
        "from another node" => match n / tape.len() % 3 {
            0 if out[NODE] == [0, 3] => {}
            0 | 1 => out[NODE][1] ^= 2,
            _ => out[NODE].copy_from_slice(&(4 + numbers.below(65_532) as u16).to_be_bytes()),
        },
        _ => {}
    }
    frame.len()
}

/// What a number of frames of one kind has come to.
#[derive(Default)]
struct Outcome {
    frames: usize,
    came: usize,
    went: usize,
    taken: usize,
    proofs: u64,
    /// Challenges that were read.
    asked: u64,
    allocations: usize,
    refused: [u64; Refused::COUNT],
}

impl Outcome {
    fn add(&mut self, kind: &str, frames: usize, numbers: &mut Numbers) {
        let mut now = 1000;
        let Scene { mut victim, mut friend, tape } = scene(kind, now, numbers);
        let before = victim.counts();
        let (mut buf, mut answer) = ([0; ROOM], [0; ROOM]);
        now += 2000;
        let region = Region::new(GLOBAL);
        for n in 0..frames {
            now += u64::from(n % A_MILLISECOND == 0);
            let len = attack(kind, self.frames + n, &tape, numbers, &mut buf);
            self.came += len;
            victim.open(now, &mut buf[..len], &mut |_| self.taken += 1);
            while let Some(len) = victim.note(now, &mut answer) {
                self.went += len;
            }
        }
        let change = region.change();
        self.allocations += change.allocations + change.reallocations;
        self.frames += frames;
        let after = victim.counts();
        self.proofs += after.proofs - before.proofs;
        self.asked += after.opened - before.opened;
        self.count(&before, &after);
        // None of this disturbs who is there.
        let honest = sealed(&mut friend, 100);
        assert!(opened(&mut victim, now, &honest), "{kind}: the true node is not heard: {after:?}");
        assert_eq!(victim.living(now).collect::<Vec<_>>(), [1], "{kind}");
    }

    fn count(&mut self, before: &SealCounts, after: &SealCounts) {
        for (sum, why) in self.refused.iter_mut().zip(Refused::ALL) {
            *sum += after.of(why) - before.of(why);
        }
    }
}

fn frames_in_all() -> usize {
    std::env::var("ZCT_SEALED_FRAMES").map_or(30_000, |n| n.parse().expect("a number"))
}

#[test]
fn none_is_taken_and_none_costs_memory() {
    let mut numbers = Numbers(1);
    for kind in KINDS {
        let (mut all, frames) = (Outcome::default(), frames_in_all() / KINDS.len());
        while all.frames < frames {
            all.add(kind, ROUND.min(frames - all.frames), &mut numbers);
        }
        let reasons: Vec<String> = Refused::ALL
            .iter()
            .zip(all.refused)
            .filter(|(_, n)| *n > 0)
            .map(|(why, n)| format!("{n} {}", why.name()))
            .collect();
        println!(
            "{kind}: {} frames, {} taken, {} allocations, {} bytes answered of {}; {}, {} challenges",
            all.frames,
            all.taken,
            all.allocations,
            all.went,
            all.came,
            reasons.join(", "),
            all.asked
        );
        assert_eq!((all.taken, all.proofs, all.allocations), (0, 0, 0), "{kind}");
        assert!(all.went <= all.came, "{kind}: {} bytes answered of {}", all.went, all.came);
        let refused: u64 = all.refused.iter().sum();
        // A challenge of an epoch that is over, to one that is not: its answer proves nothing to anybody.
        // Another first byte makes more than one piece of a frame.
        assert!(refused + all.asked >= all.frames as u64, "{kind}: every frame is counted");
        assert_eq!(all.asked > 0, kind == "after a restart of the sender", "{kind}");
    }
}
