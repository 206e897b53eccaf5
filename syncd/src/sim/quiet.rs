//! Comparisons where nobody acknowledges anything: in NOTRACK and ALARM what a bad network has cost is found and made
//! good, what has only just changed is no difference, and no loss in a repair removes a flow (sync-protocol.md §10.6).

use crate::peer::{Alarm, DigestStats, Mode, Notice, Notrack, PeerConfig};
use crate::sim::node::compared;
use crate::sim::{Original, OriginalConfig, OurNode, Quality, SimNode, World, seeds};
use crate::store::{Cursor, FlowStore, Meta};
use zct_wire::peer::{Flow, Messages, flag};

const BAD: Quality = Quality { loss: 20, dup: 5, delay_ms: (1, 40), cut: [false; 2] };
/// Nothing is lost, and little comes in its order.
const LATE: Quality = Quality { loss: 0, dup: 20, delay_ms: (0, 300), cut: [false; 2] };

fn config(mode: impl Into<Mode>) -> PeerConfig {
    PeerConfig { digest_ms: Some(1000), ..PeerConfig::of(mode) }
}

/// By turns; in ALARM nothing is forgotten so soon that it would be made good by that.
pub(super) fn mode(seed: u64) -> PeerConfig {
    match seed % 2 {
        0 => config(Notrack::default()),
        _ => config(Alarm { refresh_time_s: 5, cache_timeout_s: 100_000 }),
    }
}

fn pair(seed: u64, quality: Quality, config: &PeerConfig) -> World {
    World::new(seed, quality, |_, now, rng, seq| SimNode::Ours(OurNode::new(now, config.clone(), rng, seq)))
}

fn stats(w: &mut World, i: usize) -> DigestStats {
    w.nodes[i].ours().machine.stats().digest
}

fn flows_agree(w: &World) -> bool {
    (0..2).all(|i| compared(w.nodes[1 - i].external()) == compared(w.truth(i)))
}

fn settle(w: &mut World, ms: u64) -> bool {
    let end = w.now + ms;
    while w.now < end {
        w.run(1000);
        if flows_agree(w) {
            return true;
        }
    }
    false
}

fn churn(w: &mut World, changes: u32) {
    for _ in 0..changes / 50 {
        for (i, n) in [(0, 50), (1, 25)] {
            for _ in 0..n {
                let report = w.kernels[i].churn(&mut w.rng, 150);
                w.nodes[i].event(w.now, &report);
                let pause = w.rng.below(4);
                w.run(pause);
            }
        }
    }
}

/// On a network that loses a fifth of everything, repairs and questions among it, both come to agree, and not by
/// luck: afterwards they say that they are equal.
#[test]
fn what_a_bad_network_costs_is_made_good() {
    let mut removed = 0;
    for seed in seeds(100) {
        let mut w = pair(seed, BAD, &mode(seed));
        churn(&mut w, 300);
        w.run(20_000);
        churn(&mut w, 200);
        assert!(settle(&mut w, 240_000), "seed {seed}:\n{}", w.differences());
        w.run(20_000);
        assert!(flows_agree(&w), "seed {seed}: no more:\n{}", w.differences());
        for i in 0..2 {
            let s = stats(&mut w, i);
            assert!(s.checks > 3 && s.last_equal.is_some(), "seed {seed}: {s:?}");
            removed += s.removed;
        }
    }
    assert!(removed > 0, "no lost end of a flow was ever made good");
}

/// Nothing is lost, but much comes late, twice and in another order, while flows change all the time.
#[test]
fn what_is_only_late_is_no_difference() {
    for seed in seeds(100) {
        // Updates that come in another order leave a flow other than it is, which is a difference.
        let quality = if seed % 4 < 2 { LATE } else { Quality { delay_ms: (200, 200), ..LATE } };
        let in_order = seed % 4 >= 2;
        let mut w = pair(seed, Quality::PERFECT, &mode(seed));
        churn(&mut w, 100);
        w.run(15_000);
        let before = [0, 1].map(|i| stats(&mut w, i));
        assert!(before.iter().all(|s| s.last_equal.is_some()), "seed {seed}: {before:?}");
        w.net.quality = quality;
        for _ in 0..10 {
            churn(&mut w, 50);
            w.run(1000);
        }
        for (i, before) in before.iter().enumerate() {
            let s = stats(&mut w, i);
            assert!(s.checks > before.checks, "seed {seed}: {s:?}");
            if in_order {
                assert_eq!((s.differences, s.removed), (0, 0), "seed {seed}: {s:?}");
            }
        }
        assert!(settle(&mut w, 60_000), "seed {seed}:\n{}", w.differences());
    }
}

/// A repair on a network that loses half of it: at no time is a flow gone that was there and still is.
#[test]
fn a_lossy_repair_removes_no_living_flow() {
    let mut removed = 0;
    for seed in seeds(100) {
        let mut w = pair(seed, Quality::PERFECT, &mode(seed));
        churn(&mut w, 200);
        w.run(15_000);
        assert!(flows_agree(&w), "seed {seed}:\n{}", w.differences());
        // Nothing changes from here on but the external cache of one node.
        w.net.quality = Quality { loss: 50, dup: 10, delay_ms: (0, 400), cut: [false; 2] };
        let World { nodes, rng, .. } = &mut w;
        let store = &mut nodes[1].ours().machine.caches_mut().external;
        for n in 0..20 {
            let flow = Flow { status: Some(8), ..crate::sim::flow_tuple(10_000 + n) };
            let place = store.locate(&crate::store::Key::of(&flow).expect("a tuple"));
            store.insert(&place, &flow, Meta::default()).expect("there is room");
        }
        let (mut cursor, mut ids) = (Cursor::default(), Vec::new());
        while let Some(id) = store.walk(&mut cursor) {
            ids.push(id);
        }
        for id in ids {
            let flow = store.flow(id).expect("it is there");
            if rng.percent(30) {
                store.replace(id, &Flow { mark: Some(rng.next() as u32), ..flow });
            }
        }
        let mut equal = false;
        for _ in 0..400 {
            w.run(1000);
            let (truth, has) = (compared(w.truth(0)), compared(w.nodes[1].external()));
            assert!(truth.keys().all(|key| has.contains_key(key)), "seed {seed}: a living flow is gone");
            equal = has == truth;
            if equal {
                break;
            }
        }
        let s = stats(&mut w, 1);
        assert!(equal, "seed {seed}: {s:?}\n{}", w.differences());
        w.run(5000);
        let s = stats(&mut w, 1);
        assert!(s.differences > 0 && s.removed == 20, "seed {seed}: {s:?}");
        let told = w.nodes[1].ours().notices.iter().any(|n| matches!(n, Notice::Differs(_)));
        assert!(told, "seed {seed}");
        removed += s.removed;
    }
    assert!(removed > 0);
}

fn damage_in_memory(store: &mut FlowStore, mark: u32) {
    let id = store.walk(&mut Cursor::default()).expect("there are flows");
    let flow = store.flow(id).expect("it is there");
    store.alter_quietly(id, &Flow { mark: Some(mark), ..flow });
}

/// A record that changes by itself is found when the sums are added up anew.
#[test]
fn what_changes_in_memory_is_found() {
    for seed in seeds(20) {
        let mut w = pair(seed, Quality::PERFECT, &mode(seed));
        churn(&mut w, 100);
        w.run(15_000);
        damage_in_memory(&mut w.nodes[0].ours().machine.caches_mut().external, 0x1234_5678);
        assert!(!flows_agree(&w), "seed {seed}");
        assert!(settle(&mut w, 60_000), "seed {seed}:\n{}", w.differences());
    }
}

/// An original is sent signs of life in NOTRACK, and in ALARM what it does not look at.
#[test]
fn originals_are_sent_nothing_but_signs_of_life() {
    for seed in seeds(20) {
        let theirs = match mode(seed).mode {
            Mode::Alarm(_) => OriginalConfig {
                mode: crate::sim::original::OriginalMode::Alarm,
                refresh_ms: 5000,
                cache_timeout_ms: 150_000,
                ..OriginalConfig::FTFW
            },
            Mode::Ftfw(_) | Mode::Notrack(_) => {
                OriginalConfig { mode: crate::sim::original::OriginalMode::Notrack, ..OriginalConfig::FTFW }
            }
        };
        let mut w = World::new(seed, Quality::PERFECT, |i, now, rng, seq| match i {
            0 => SimNode::Ours(OurNode::new(now, mode(seed), rng, seq)),
            _ => SimNode::Original(Original::new(now, theirs, seq)),
        });
        w.net.log = Some(Vec::new());
        churn(&mut w, 100);
        w.run(30_000);
        let mut signs = 0;
        for (_, bytes) in w.net.log.take().expect("it was set").iter().filter(|(from, _)| *from == 0) {
            for m in Messages::new(bytes).map(|m| m.expect("whole messages")) {
                assert!(matches!(m.number, 0..=5 | 10), "seed {seed}: type {}", m.number);
                assert!(m.number == 10 || m.flags == 0, "seed {seed}: {:#x}", m.flags);
                if m.number == 10 {
                    assert!(m.flags & !flag::HELLO_BACK == flag::ALIVE && m.body().is_empty(), "seed {seed}");
                    signs += usize::from(m.flags & flag::HELLO_BACK != 0);
                }
            }
        }
        assert!((10..40).contains(&signs), "seed {seed}: {signs}");
        assert_eq!(stats(&mut w, 0), DigestStats::default(), "seed {seed}");
    }
}

/// With `Digest off` a node that is told that its peer compares neither asks nor answers.
#[test]
fn without_digest_nothing_of_it_is_said() {
    for seed in seeds(20) {
        let mut w = World::new(seed, BAD, |i, now, rng, seq| {
            let digest_ms = (i == 1).then_some(1000);
            SimNode::Ours(OurNode::new(now, PeerConfig { digest_ms, ..mode(seed) }, rng, seq))
        });
        w.net.log = Some(Vec::new());
        churn(&mut w, 100);
        w.run(20_000);
        for (from, bytes) in w.net.log.take().expect("it was set") {
            for m in Messages::new(&bytes).map(|m| m.expect("whole messages")) {
                assert!(matches!(m.number, 0..=5 | 10), "seed {seed}: node {from} sends type {}", m.number);
                assert!(from == 1 || m.flags & flag::HELLO_BACK == 0, "seed {seed}");
            }
        }
        for i in 0..2 {
            assert_eq!(stats(&mut w, i).checks, 0, "seed {seed}");
            assert!(!w.nodes[i].ours().notices.contains(&Notice::PeerInOtherMode), "seed {seed}");
        }
    }
}

/// The restarted node has flows that it has told nobody of, and its peer such that have ended: NOTRACK asks for
/// everything, ALARM waits for the announcements, and what is left over is removed.
#[test]
fn a_restart_is_made_good() {
    for seed in seeds(60) {
        let mut w = pair(seed, if seed % 4 < 2 { Quality::PERFECT } else { BAD }, &mode(seed));
        churn(&mut w, 200);
        w.run(10_000);
        w.crash(0, 500, 60, 150);
        churn(&mut w, 50);
        // In ALARM a node that has started says for its RefreshTime what it has.
        assert!(settle(&mut w, 300_000), "seed {seed}:\n{}", w.differences());
        w.run(20_000);
        assert!(flows_agree(&w), "seed {seed}: no more:\n{}", w.differences());
    }
}

/// `ResyncInterval` is for peers that cannot be compared with.
#[test]
fn who_compares_is_not_asked_for_everything() {
    for seed in seeds(10) {
        let config = PeerConfig { resync_ms: Some(20_000), ..mode(2 * seed) };
        let mut w = pair(seed, LATE, &config);
        churn(&mut w, 500);
        w.run(90_000);
        for node in &mut w.nodes {
            assert!(node.ours().machine.compares_with_peer(), "seed {seed}");
            assert!(!node.ours().notices.contains(&Notice::ResyncRequested), "seed {seed}");
        }
    }
}
