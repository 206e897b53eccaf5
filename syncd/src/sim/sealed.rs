//! Sealed nodes, with somebody on the network who repeats whatever he has heard: both agree once he is the
//! only trouble, and nothing that he says is taken (sealed-peers.md §2).

use crate::peer::seal::{AuthMode, GroupKey, Refused, Settings};
use crate::peer::{Ftfw, Millis, Mode, Notrack, PeerConfig};
use crate::sim::{Attacker, OurNode, Quality, Rng, SimNode, World, seeds};
use zct_engine::secret::Secret;

const BAD: Quality = Quality { loss: 20, dup: 5, delay_ms: (1, 40), cut: [false; 2] };
const SMALL: Ftfw = Ftfw { ack_window_size: 30, ..Ftfw::DEFAULT };

fn settings(node: usize, mode: AuthMode, active: u8) -> Settings {
    let key = |number| GroupKey { number, secret: Secret::new(&mut [number; 32]).expect("a page") };
    Settings { node: node as u16 + 1, mode, keys: vec![key(1), key(2)], active, from: None }
}

fn pair(seed: u64, quality: Quality, mode: impl Into<Mode>) -> World {
    let config = PeerConfig::of(mode);
    let make = |i: usize, now: Millis, rng: &mut Rng, seq: u32| {
        let mut node = OurNode::new(now, config.clone(), rng, seq);
        node.take_keys(now, Some(settings(i, AuthMode::Enforce, 1)), rng);
        SimNode::Ours(node)
    };
    let mut w = World::new(seed, quality, make);
    w.kernels.iter_mut().for_each(|k| k.with_expects = true);
    w.net.attacker = Some(Attacker::new(60));
    w
}

/// The network recovers; the attacker goes on.
fn heal(w: &mut World, seed: u64, what: &str) {
    w.net.quality = Quality { delay_ms: w.net.quality.delay_ms, ..Quality::PERFECT };
    if w.settle(120_000).is_none() {
        panic!("{what}: seed {seed}, no agreement after two minutes:\n{}", w.differences());
    }
    w.run(12_000);
    assert!(w.agree(), "{what}: seed {seed}, no agreement any more:\n{}", w.differences());
}

#[test]
fn sealed_nodes_agree_after_everything_and_an_attacker() {
    for seed in seeds(40) {
        let mut w = pair(seed, BAD, Ftfw { resend_queue_size: 200, ..SMALL });
        for _ in 0..4 {
            w.churn_both(100, 150);
            match w.rng.below(4) {
                0 => w.net.quality.cut = [w.rng.percent(50), w.rng.percent(50)],
                1 => {
                    let (who, down) = (w.rng.below(2) as usize, 20 + w.rng.below(4000));
                    w.crash(who, down, 20, 150);
                }
                2 => w.crash_both(),
                _ => w.net.quality.cut = [false; 2],
            }
        }
        heal(&mut w, seed, "everything");
        let repeated = w.net.attacker.as_ref().map_or(0, |a| a.repeated);
        let counts = [0, 1].map(|i| w.nodes[i].ours().seal.as_ref().expect("sealed").counts());
        assert!(
            repeated > 100 && counts.iter().all(|c| c.of(Refused::Repeated) > 0),
            "seed {seed}: {counts:?}"
        );
        assert!(counts.iter().all(|c| c.of(Refused::UnknownKey) + c.of(Refused::Overload) < 1000));
    }
}

/// Both die at once, again and again, and everything that was said since the first start is repeated.
#[test]
fn sealed_nodes_agree_however_often_both_die() {
    let times = std::env::var("SIMULATE_SEEDS").map_or(40, |n| n.parse::<u64>().expect("a number").min(1000));
    let mut w = pair(7, Quality { loss: 5, dup: 2, delay_ms: (0, 10), cut: [false; 2] }, SMALL);
    for _ in 0..times {
        w.churn_both(50, 100);
        w.crash_both();
        let pause = w.rng.below(300);
        w.run(pause);
    }
    heal(&mut w, times, "both died");
}

/// Without acknowledgements nothing that was dropped before a proof comes again by itself.
#[test]
fn sealed_nodes_agree_without_acknowledgements() {
    for seed in seeds(20) {
        let mut w = pair(seed, Quality { delay_ms: (0, 3), ..Quality::PERFECT }, Notrack::default());
        w.churn_both(100, 100);
        w.crash_both();
        w.churn_both(50, 100);
        let silent = 20_000 + w.rng.below(20_000);
        w.run(silent);
        w.churn_both(50, 100);
        w.run(3000);
        // Flows whose end was not taken stay, as always in this mode; what is there must be known.
        for i in 0..2 {
            let (truth, has) = (w.truth(i), w.nodes[1 - i].external());
            let missing = truth.keys().filter(|k| !has.contains_key(*k)).count();
            assert_eq!(missing, 0, "seed {seed}: node {i}:\n{}", w.differences());
        }
    }
}

/// From plain messages to sealed ones only, one node and one step at a time, under traffic and with a change
/// of keys at the end.
#[test]
fn nodes_come_to_seal_step_by_step() {
    for seed in seeds(20) {
        let mut w = pair(seed, Quality { delay_ms: (0, 3), ..Quality::PERFECT }, SMALL);
        w.net.attacker = None;
        for i in 0..2 {
            let (now, World { nodes, rng, .. }) = (w.now, &mut w);
            nodes[i].ours().take_keys(now, None, rng);
        }
        w.churn_both(50, 100);
        let steps = [
            (AuthMode::ReceiveOnly, 1),
            (AuthMode::Permissive, 1),
            (AuthMode::Enforce, 1),
            (AuthMode::Enforce, 2),
        ];
        for (mode, active) in steps {
            for i in 0..2 {
                let (now, World { nodes, rng, .. }) = (w.now, &mut w);
                nodes[i].ours().take_keys(now, Some(settings(i, mode, active)), rng);
                w.churn_both(50, 100);
                // What is missing may have to wait for the next second, and its bulk.
                let agreed = w.settle(20_000).is_some();
                assert!(agreed, "seed {seed}, node {i} {mode:?} {active}:\n{}", w.differences());
            }
        }
        for i in 0..2 {
            let seal = w.nodes[i].ours().seal.as_ref().expect("sealed");
            assert_eq!((seal.counts().of(Refused::Plain), seal.sealing_with().0), (0, 2), "seed {seed}");
        }
    }
}
