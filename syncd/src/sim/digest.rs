//! Comparisons with the peer: what differs without anybody having noticed is found and repaired, and nothing is
//! taken for a difference that is only late, lost, or being repaired already (sync-protocol.md §10).

use crate::peer::{DigestStats, Ftfw, Notice, PeerConfig};
use crate::sim::{Original, OriginalConfig, OurNode, Quality, Rng, SimNode, World, seeds};
use crate::store::{Cursor, FlowId, FlowStore, Key, Meta};
use zct_wire::peer::digest::MARK;
use zct_wire::peer::{Flow, Messages, flag};

const BAD: Quality = Quality { loss: 20, dup: 5, delay_ms: (1, 40), cut: [false; 2] };
const FAIR: Quality = Quality { loss: 2, dup: 1, delay_ms: (0, 3), cut: [false; 2] };
const SMALL: Ftfw = Ftfw { ack_window_size: 30, ..Ftfw::DEFAULT };

fn config(digest_ms: u64) -> PeerConfig {
    PeerConfig { digest_ms: Some(digest_ms), ..PeerConfig::of(Ftfw { resend_queue_size: 400, ..SMALL }) }
}

fn pair(seed: u64, quality: Quality, config: &PeerConfig) -> World {
    let mut w = World::new(seed, quality, |_, now, rng, seq| {
        SimNode::Ours(OurNode::new(now, config.clone(), rng, seq))
    });
    w.kernels.iter_mut().for_each(|k| k.with_expects = true);
    w
}

fn stats(w: &mut World, i: usize) -> DigestStats {
    w.nodes[i].ours().machine.stats().digest
}

/// The network recovers, and nothing was taken for a difference that was none. It keeps the order of datagrams too:
/// each comparison makes one late, and begins the wait anew, where there are ten a second and all have their own delay.
fn heal(w: &mut World, seed: u64) -> [DigestStats; 2] {
    let (_, delay) = w.net.quality.delay_ms;
    w.net.quality = Quality { delay_ms: (delay, delay), ..Quality::PERFECT };
    assert!(w.settle(60_000).is_some(), "seed {seed}: no agreement:\n{}", w.differences());
    // Longer than greetings are under way, and bulks kept apart.
    w.run(30_000);
    assert!(w.agree(), "seed {seed}: no agreement any more:\n{}", w.differences());
    [0, 1].map(|i| stats(w, i))
}

/// Comparisons ten times a second, through every kind of trouble.
#[test]
fn nothing_is_taken_for_a_difference() {
    let mut checks = 0;
    for seed in seeds(150) {
        let quick = [(0, 0), (2, 0), (0, 3), (1, 1)][seed as usize % 4];
        let config = PeerConfig { sync_after_s: quick.0, update_interval_s: quick.1, ..config(100) };
        let mut w = pair(seed, if seed % 3 == 0 { FAIR } else { BAD }, &config);
        let mut before = Vec::new();
        for _ in 0..5 {
            w.churn_both(100, 150);
            match w.rng.below(5) {
                0 => w.net.quality.cut = [w.rng.percent(50), w.rng.percent(50)],
                1 | 2 => {
                    let (who, down) = (w.rng.below(2) as usize, 20 + w.rng.below(4000));
                    before.push(stats(&mut w, who));
                    w.crash(who, down, 20, 150);
                }
                3 => {
                    before.extend([0, 1].map(|i| stats(&mut w, i)));
                    w.crash_both();
                }
                _ => {
                    w.net.quality.cut = [false; 2];
                    let pause = w.rng.below(6000);
                    w.run(pause);
                }
            }
        }
        let after = heal(&mut w, seed);
        for s in before.iter().chain(&after) {
            assert_eq!((s.differences, s.repairs, s.removed), (0, 0, 0), "seed {seed}: {s:?}");
        }
        for s in &after {
            assert!(s.checks > 10 && s.last_equal.is_some_and(|t| w.now - t < 5000), "seed {seed}: {s:?}");
        }
        checks += after.iter().map(|s| s.checks).sum::<u64>();
    }
    assert!(checks > 0);
}

/// A link that delays each datagram for another time, as long as it lasts: with the usual interval both still find
/// moments at which a comparison holds.
#[test]
fn comparisons_hold_where_order_never_does() {
    for seed in seeds(20) {
        let mut w = pair(seed, Quality { loss: 0, dup: 0, ..BAD }, &config(5000));
        w.churn_both(200, 150);
        w.run(120_000);
        for i in 0..2 {
            let s = stats(&mut w, i);
            let late = s.last_equal.is_none_or(|t| w.now - t > 60_000);
            assert!(s.checks > 3 && s.differences == 0 && !late, "seed {seed}: {s:?}");
        }
    }
}

/// Under constant changes, on a network that loses nothing and on one that does, comparisons still find moments
/// at which they hold.
#[test]
fn comparisons_go_on_while_flows_change() {
    for seed in seeds(20) {
        let mut w = pair(seed, FAIR, &config(500));
        w.churn_both(300, 400);
        w.run(20_000);
        let before = [0, 1].map(|i| stats(&mut w, i));
        let begin = w.now;
        while w.now < begin + 20_000 {
            w.churn_both(50, 400);
        }
        for (i, before) in before.iter().enumerate() {
            let s = stats(&mut w, i);
            assert!(s.checks > before.checks + 5 && s.differences == 0, "seed {seed}: {before:?} {s:?}");
        }
    }
}

fn some(store: &FlowStore, rng: &mut Rng) -> Option<(FlowId, Flow, Meta)> {
    let (mut cursor, mut all) = (Cursor::default(), Vec::new());
    while let Some(id) = store.walk(&mut cursor) {
        let living = store.meta(id).filter(|m| m.flags & Meta::DEAD == 0);
        all.extend(living.and_then(|m| Some((id, store.flow(id)?, m))));
    }
    (!all.is_empty()).then(|| all[rng.below(all.len() as u64) as usize])
}

/// Changes a store as a fault would, without a word to anybody.
fn damage(store: &mut FlowStore, rng: &mut Rng, internal: bool) {
    let Some((id, flow, meta)) = some(store, rng) else { return };
    match rng.below(3) {
        // Something that is in no kernel; among the node's own flows it would stay there for ever.
        0 if !internal => {
            let flow = crate::sim::flow_tuple(10_000 + rng.below(1000) as u32);
            let place = store.locate(&Key::of(&flow).expect("a tuple"));
            if place.id.is_none() {
                store.insert(&place, &flow, meta).expect("there is room");
            }
        }
        1 if !internal => _ = store.remove(id),
        _ => store.replace(id, &Flow { mark: Some(rng.next() as u32), ..flow }),
    }
}

/// A flow that is altered, lost or invented in a cache of either node is found, and it alone is sent again.
#[test]
fn silent_differences_are_found_and_repaired() {
    for seed in seeds(100) {
        let mut w = pair(seed, if seed % 2 == 0 { FAIR } else { Quality::PERFECT }, &config(1000));
        w.churn_both(400, 1000);
        w.run(20_000);
        assert!(w.agree(), "seed {seed}:\n{}", w.differences());
        let sent = [0, 1].map(|i| w.nodes[i].ours().machine.stats().sent);
        for _ in 0..3 {
            let (i, internal, many) = (w.rng.below(2) as usize, w.rng.percent(30), 1 + w.rng.below(10));
            let World { nodes, rng, .. } = &mut w;
            let caches = nodes[i].ours().machine.caches_mut();
            for _ in 0..many {
                damage(if internal { &mut caches.internal } else { &mut caches.external }, rng, internal);
            }
            let before =
                w.nodes.each_mut().map(|n| crate::sim::node::table(&n.ours().machine.caches().internal));
            w.run(12_000);
            // What is in the internal cache counts, right or wrong.
            for (i, own) in before.iter().enumerate() {
                let has = w.nodes[1 - i].external();
                assert!(has == *own, "seed {seed}: node {i} has {} flows, its peer {}", own.len(), has.len());
            }
        }
        let total: u64 = (0..2).map(|i| stats(&mut w, i).differences).sum();
        let repairs: u64 = (0..2).map(|i| stats(&mut w, i).repairs).sum();
        assert!(total > 0 && repairs > 0 && repairs <= 6, "seed {seed}: {total} leaves, {repairs} repairs");
        let told = w.nodes[0].ours().notices.iter().any(|n| matches!(n, Notice::Differs(_)));
        assert!(stats(&mut w, 0).repairs == 0 || told, "seed {seed}");
        for (i, before) in sent.iter().enumerate() {
            let now = w.nodes[i].ours().machine.stats().sent;
            assert!(now - before < 700, "seed {seed}: {} messages", now - before);
        }
    }
}

/// A record that changes by itself, as memory may, is found too, though no sum was told.
#[test]
fn what_changes_in_memory_is_found() {
    for seed in seeds(20) {
        let mut w = pair(seed, FAIR, &config(200));
        w.churn_both(200, 300);
        w.run(15_000);
        let (i, internal) = (w.rng.below(2) as usize, w.rng.percent(50));
        let World { nodes, rng, .. } = &mut w;
        let caches = nodes[i].ours().machine.caches_mut();
        let store = if internal { &mut caches.internal } else { &mut caches.external };
        let (id, flow, _) = some(store, rng).expect("there are flows");
        store.alter_quietly(id, &Flow { mark: Some(rng.next() as u32), ..flow });
        assert!(!w.agree(), "seed {seed}");
        w.run(20_000);
        let peers = w.nodes[1 - i].external()
            == crate::sim::node::table(&w.nodes[i].ours().machine.caches().internal);
        assert!(peers && (internal || w.agree()), "seed {seed}:\n{}", w.differences());
        let repairs: u64 = (0..2).map(|i| stats(&mut w, i).repairs).sum();
        assert_eq!(repairs, 1, "seed {seed}");
    }
}

/// So much is missing that everything is asked for.
#[test]
fn great_differences_are_repaired_by_everything() {
    let mut w = pair(1, Quality::PERFECT, &config(1000));
    for _ in 0..9000 {
        let report = w.kernels[0].churn(&mut w.rng, 1 << 24);
        w.nodes[0].event(w.now, &report);
    }
    w.run(20_000);
    let caches = w.nodes[1].ours().machine.caches_mut();
    let mut cursor = Cursor::default();
    while let Some(id) = caches.external.walk(&mut cursor) {
        if id.to_bits() % 2 == 0 {
            caches.external.remove(id);
        }
    }
    assert!(!w.agree());
    w.run(20_000);
    assert!(w.agree(), "{}", w.differences());
    let s = stats(&mut w, 1);
    assert!(s.differences > 100 && s.repairs == 1, "{s:?}");
}

/// A bit that changes on the way, where nothing notices it: the checksum of UDP is off, or was right by chance.
#[test]
fn what_the_wire_changes_is_found() {
    for seed in seeds(40) {
        let mut w = pair(seed, Quality::PERFECT, &config(1000));
        w.churn_both(200, 300);
        w.run(15_000);
        let (n, (flow, id)) =
            w.kernels[0].flows.iter().next().map(|(n, f)| (*n, *f)).expect("there are flows");
        let flow = Flow { mark: Some(0x1111_1111), ..flow };
        w.kernels[0].flows.insert(n, (flow, id));
        w.nodes[0]
            .event(w.now, &crate::sim::kernel::KernelReport { event: crate::peer::Event::Update, flow, id });
        w.net.alter = Some(([0x11; 4], [0x22; 4]));
        w.run(100);
        w.net.alter = None;
        assert!(!w.agree(), "seed {seed}: nothing was altered");
        w.run(5000);
        assert!(w.agree(), "seed {seed}:\n{}", w.differences());
        assert!(stats(&mut w, 1).repairs == 1, "seed {seed}: {:?}", stats(&mut w, 1));
    }
}

/// With `Digest off` every message is one of the original's types and no RESYNC has a mark, whatever the peer says;
/// and a peer that shows nothing gets nothing but the mark.
#[test]
fn without_digest_nothing_of_it_is_said() {
    for seed in seeds(40) {
        let mut w = World::new(seed, BAD, |i, now, rng, seq| {
            let digest_ms = (i == 1 && seed % 2 == 0).then_some(100);
            SimNode::Ours(OurNode::new(now, PeerConfig { digest_ms, ..config(100) }, rng, seq))
        });
        w.net.log = Some(Vec::new());
        w.churn_both(200, 150);
        w.crash(0, 300, 20, 150);
        w.churn_both(100, 150);
        w.run(10_000);
        let (mut requests, mut messages) = (0, 0);
        for (from, bytes) in w.net.log.take().expect("it was set") {
            for m in Messages::new(&bytes).map(|m| m.expect("whole messages")) {
                messages += 1;
                assert!(matches!(m.number, 0..=5 | 10), "seed {seed}: node {from} sends type {}", m.number);
                if m.flags & flag::RESYNC != 0 {
                    requests += 1;
                    let mark = if from == 1 && seed % 2 == 0 { MARK } else { 0 };
                    assert_eq!(m.range(), Some((0, mark)), "seed {seed}: node {from}");
                }
            }
        }
        assert!(requests > 0 && messages > 300, "seed {seed}: {requests} of {messages}");
    }
}

/// A node without an external cache has nothing to compare, and is asked all the same, though all its answers may
/// be lost at first.
#[test]
fn a_node_without_an_external_cache_is_asked() {
    for seed in seeds(20) {
        let mut w = World::new(seed, FAIR, |i, now, rng, seq| {
            let mode = Ftfw { resend_queue_size: 400, disable_external_cache: i == 0, ..SMALL };
            SimNode::Ours(OurNode::new(
                now,
                PeerConfig { digest_ms: Some(500), ..PeerConfig::of(mode) },
                rng,
                seq,
            ))
        });
        w.churn(0, 200, 150);
        // It takes as long where much is lost in a row: nothing is compared before all that was asked for has come.
        w.run(30_000);
        let s = stats(&mut w, 1);
        assert!(s.checks > 5 && s.differences == 0, "seed {seed}: {s:?}");
        assert_eq!(stats(&mut w, 0).checks, 0, "seed {seed}");
    }
}

/// What the operator has flushed does not come back by itself, and is compared again when he asks for it.
#[test]
fn what_was_flushed_stays_away() {
    let mut w = pair(3, Quality::PERFECT, &config(500));
    w.churn_both(200, 300);
    w.run(15_000);
    assert!(w.agree() && stats(&mut w, 1).checks > 5);
    let now = w.now;
    w.nodes[1].ours().machine.flush_external();
    w.run(15_000);
    let before = stats(&mut w, 1);
    assert_eq!((w.nodes[1].external_len(), before.differences), (0, 0));
    w.nodes[1].ours().machine.request_resync(now + 15_000);
    w.run(5000);
    assert!(w.agree() && stats(&mut w, 1).checks > before.checks + 5, "{}", w.differences());
}

/// An original peer is told nothing that it does not know, also in place of one that did.
#[test]
fn originals_are_not_asked() {
    for seed in seeds(20) {
        let mut w = World::new(seed, FAIR, |i, now, rng, seq| match i {
            0 => SimNode::Ours(OurNode::new(now, config(100), rng, seq)),
            _ if seed % 2 == 0 => SimNode::Ours(OurNode::new(now, config(100), rng, seq)),
            _ => SimNode::Original(Original::new(
                now,
                OriginalConfig { ack_window: 30, ..OriginalConfig::FTFW },
                seq,
            )),
        });
        w.churn_both(100, 150);
        w.run(20_000);
        if seed % 2 == 0 {
            assert!(stats(&mut w, 0).checks > 0, "seed {seed}");
            let seq = 1_795_451_000 + (w.now / 1000) as u32;
            w.nodes[1] = SimNode::Original(Original::new(w.now, OriginalConfig::FTFW, seq));
            w.run(5000);
        }
        let malformed = |w: &World| match &w.nodes[1] {
            SimNode::Original(o) => o.malformed,
            SimNode::Ours(_) => panic!("this node is an original"),
        };
        let before = malformed(&w);
        w.churn_both(200, 150);
        w.run(20_000);
        assert_eq!(malformed(&w), before, "seed {seed}");
    }
}
