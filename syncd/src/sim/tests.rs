//! Both nodes agree once the network recovers, whatever happened before.

use crate::peer::{Alarm, Ftfw, Notice, Notrack, PeerConfig};
use crate::sim::original::OriginalMode;
use crate::sim::{Original, OriginalConfig, OurNode, Quality, SimNode, World, covers, seeds};

const BAD: Quality = Quality { loss: 20, dup: 5, delay_ms: (1, 40), cut: [false; 2] };
const FAIR: Quality = Quality { loss: 2, dup: 1, delay_ms: (0, 3), cut: [false; 2] };

/// A small acknowledgement window, which is used up often.
const SMALL: Ftfw = Ftfw { ack_window_size: 30, ..Ftfw::DEFAULT };

fn config() -> PeerConfig {
    PeerConfig::of(SMALL)
}

fn pair(seed: u64, quality: Quality, config: &PeerConfig) -> World {
    let mut w = World::new(seed, quality, |_, now, rng, seq| {
        SimNode::Ours(OurNode::new(now, config.clone(), rng, seq))
    });
    w.kernels.iter_mut().for_each(|k| k.with_expects = true);
    w
}

/// Node 0 is ours, and node 1 is an original.
fn mixed(seed: u64, quality: Quality, config: &PeerConfig) -> World {
    World::new(seed, quality, |i, now, rng, seq| match i {
        0 => SimNode::Ours(OurNode::new(now, config.clone(), rng, seq)),
        _ => SimNode::Original(Original::new(
            now,
            OriginalConfig { ack_window: 30, ..OriginalConfig::FTFW },
            seq,
        )),
    })
}

fn heal(w: &mut World, seed: u64, what: &str) {
    w.net.quality = Quality { delay_ms: w.net.quality.delay_ms, ..Quality::PERFECT };
    if w.settle(60_000).is_none() {
        panic!("{what}: seed {seed}, no agreement after a minute:\n{}", w.differences());
    }
    // They must keep agreeing.
    w.run(12_000);
    assert!(w.agree(), "{what}: seed {seed}, no agreement any more:\n{}", w.differences());
}

#[test]
fn ours_agree_after_loss() {
    for seed in seeds(100) {
        let mut w = pair(seed, BAD, &config());
        w.churn_both(400, 150);
        assert!(w.kernels.iter().any(|k| !k.expects.is_empty()), "seed {seed}: no expectations to compare");
        heal(&mut w, seed, "loss");
    }
}

/// Each direction alone and both, for shorter and for longer than anything is remembered.
#[test]
fn ours_agree_after_partitions() {
    for seed in seeds(60) {
        let config = PeerConfig::of(Ftfw { resend_queue_size: 60 + (seed as u32 % 3) * 400, ..SMALL });
        let mut w = pair(seed, FAIR, &config);
        w.churn_both(100, 150);
        for _ in 0..3 {
            w.net.quality.cut = [w.rng.percent(70), w.rng.percent(70)];
            w.churn_both(150, 150);
            let pause = w.rng.below(8000);
            w.run(pause);
            w.net.quality.cut = [false; 2];
            let pause = w.rng.below(3000);
            w.run(pause);
        }
        heal(&mut w, seed, "partitions");
    }
}

#[test]
fn ours_agree_after_restarts() {
    for seed in seeds(60) {
        let mut w = pair(seed, FAIR, &config());
        w.churn_both(100, 150);
        for _ in 0..3 {
            let (who, down, changes) =
                (w.rng.below(2) as usize, 20 + w.rng.below(4000), w.rng.below(60) as u32);
            w.crash(who, down, changes, 150);
            w.churn_both(100, 150);
        }
        heal(&mut w, seed, "restarts");
    }
}

/// All kinds of trouble at once.
#[test]
fn ours_agree_after_everything() {
    for seed in seeds(60) {
        let mut w = pair(seed, BAD, &PeerConfig::of(Ftfw { resend_queue_size: 200, ..SMALL }));
        for _ in 0..4 {
            w.churn_both(100, 150);
            match w.rng.below(3) {
                0 => w.net.quality.cut = [w.rng.percent(50), w.rng.percent(50)],
                1 => {
                    let (who, down) = (w.rng.below(2) as usize, 20 + w.rng.below(4000));
                    w.crash(who, down, 20, 150);
                }
                _ => w.net.quality.cut = [false; 2],
            }
        }
        heal(&mut w, seed, "everything");
    }
}

/// What is too young is kept back, and changes keep their distance: still nothing stays lost, whatever
/// happens to the network and the nodes, with a peer of either kind.
#[test]
fn ours_agree_when_young_flows_and_quick_changes_are_kept_back() {
    for seed in seeds(60) {
        let quick = [(2, 0), (0, 3), (2, 3), (1, 1)][seed as usize % 4];
        let config = PeerConfig { sync_after_s: quick.0, update_interval_s: quick.1, ..config() };
        let make = if seed % 3 == 2 { mixed } else { pair };
        let mut w = make(seed, BAD, &config);
        let mut unannounced = 0;
        for _ in 0..3 {
            w.churn_both(200, 150);
            match w.rng.below(3) {
                0 => w.net.quality.cut = [w.rng.percent(50), w.rng.percent(50)],
                1 if seed % 3 != 2 => {
                    let (who, down) = (w.rng.below(2) as usize, 20 + w.rng.below(4000));
                    unannounced += w.nodes[who].ours().machine.stats().unannounced;
                    w.crash(who, down, 20, 150);
                }
                _ => w.net.quality.cut = [false; 2],
            }
        }
        heal(&mut w, seed, "kept back");
        unannounced += w.nodes[0].ours().machine.stats().unannounced;
        assert_eq!(unannounced > 0, quick.0 > 0, "seed {seed}: {unannounced} flows were too short");
    }
}

/// The cost of a bulk: each flow is sent about once, and the peer's receive buffer never overflows.
#[test]
fn a_bulk_is_paced_and_complete() {
    for seed in seeds(2) {
        for original in [false, true] {
            let quality = Quality { delay_ms: (1, 1), ..Quality::PERFECT };
            let make = if original { mixed } else { pair };
            let mut w = make(seed, quality, &PeerConfig::default());
            for _ in 0..6000 {
                let report = w.kernels[0].churn(&mut w.rng, 1 << 24);
                w.nodes[0].event(w.now, &report);
            }
            let n = w.kernels[0].flows.len() as u64;
            // The events themselves are sent at once; now everything is sent again.
            w.run(10_000);
            let (before, at) = (w.nodes[0].ours().machine.stats().sent, w.now);
            w.net.overflowed = [0; 2];
            let node = w.nodes[0].ours();
            node.machine.send_bulk();
            while w.nodes[0].ours().machine.bulk_is_running() {
                w.run(10);
            }
            let sent = w.nodes[0].ours().machine.stats().sent - before;
            assert!(sent >= n && sent < n + n / 50, "seed {seed}, original {original}: {sent} messages");
            assert_eq!(w.net.overflowed, [0, 0], "seed {seed}, original {original}");
            let took = w.now - at;
            assert!(took < 1000, "seed {seed}, original {original}: {took} ms");
            assert!(w.agree(), "seed {seed}, original {original}:\n{}", w.differences());
        }
    }
}

/// A forgery of eight bytes empties the resend queue and moves the numbers, but nothing stays lost.
#[test]
fn forged_greetings_lose_nothing() {
    for seed in seeds(40) {
        let mut w = pair(seed, BAD, &config());
        for _ in 0..8 {
            w.churn_both(50, 150);
            let forged = [0x1a, 0x30, 0, 8, 0, 0, 0, w.rng.below(256) as u8];
            let who = w.rng.below(2) as usize;
            let now = w.now;
            w.nodes[who].datagram(now, &forged);
        }
        heal(&mut w, seed, "forged greetings");
    }
}

/// Forged numbers without a greeting: so far ahead that the peer's own look old.
#[test]
fn forged_numbers_lose_nothing() {
    for seed in seeds(40) {
        let mut w = pair(seed, FAIR, &config());
        for _ in 0..4 {
            w.churn_both(100, 150);
            let seq = w.rng.next() as u32;
            let mut forged = vec![0x1a, 0x10, 0, 8];
            forged.extend(seq.to_be_bytes());
            let (who, now) = (w.rng.below(2) as usize, w.now);
            w.nodes[who].datagram(now, &forged);
        }
        heal(&mut w, seed, "forged numbers");
    }
}

/// A peer that keeps sending what nobody understands is not asked to repeat it.
#[test]
fn unknown_messages_are_passed_over() {
    let mut w = pair(1, Quality::PERFECT, &config());
    w.run(5000);
    let now = w.now;
    let seq = w.nodes[1].ours().machine.delivery.seq;
    // Type 6, then a flag that is never sent, then a valid message, all as if node 1 had sent them.
    for (i, head) in [[0x16, 0], [0x10, 0x80], [0x1a, 0x10]].into_iter().enumerate() {
        let mut bytes = vec![head[0], head[1], 0, 8];
        bytes.extend((seq + i as u32).to_be_bytes());
        w.nodes[0].datagram(now, &bytes);
    }
    w.nodes[1].ours().machine.delivery.seq += 3;
    w.run(5000);
    let node = w.nodes[0].ours();
    assert_eq!((node.machine.stats().bad_header, node.machine.stats().lost), (2, 0));
}

/// With an original, each node learns the other's flows. What ours knows about the original is exact, because
/// the original's bulks are followed by a sweep.
#[test]
fn mixed_agree_after_loss() {
    for seed in seeds(100) {
        let mut w = mixed(seed, BAD, &config());
        w.churn_both(400, 150);
        heal(&mut w, seed, "mixed, loss");
    }
}

#[test]
fn mixed_agree_after_short_partitions() {
    for seed in seeds(60) {
        let mut w = mixed(seed, FAIR, &config());
        w.churn_both(100, 150);
        for _ in 0..3 {
            w.net.quality.cut = [w.rng.percent(70), w.rng.percent(70)];
            w.churn_both(150, 150);
            w.net.quality.cut = [false; 2];
            w.run(2000);
        }
        heal(&mut w, seed, "mixed, partitions");
    }
}

/// The original restarts: ours fills it again without being asked, and drops what the original no longer has.
#[test]
fn mixed_agree_after_the_original_restarts() {
    for seed in seeds(60) {
        let mut w = mixed(seed, FAIR, &config());
        w.churn_both(100, 150);
        for _ in 0..3 {
            let (down, changes) = (20 + w.rng.below(4000), w.rng.below(60) as u32);
            w.crash(1, down, changes, 150);
            w.churn_both(100, 150);
        }
        heal(&mut w, seed, "mixed, restarts of the original");
    }
}

/// Ours restarts and asks at the start, and is filled. The original keeps what has ended meanwhile, as it
/// always does.
#[test]
fn mixed_agree_after_ours_restarts_but_for_what_the_original_keeps() {
    for seed in seeds(60) {
        let mut w = mixed(seed, FAIR, &PeerConfig::of(Ftfw { startup_resync: true, ..SMALL }));
        w.churn_both(100, 150);
        for _ in 0..2 {
            let (down, changes) = (20 + w.rng.below(4000), w.rng.below(60) as u32);
            w.crash(0, down, changes, 150);
            w.churn_both(100, 150);
        }
        w.net.quality = Quality::PERFECT;
        w.run(60_000);
        let (has, truth) = (w.nodes[0].external(), w.truth(1));
        assert!(has.keys().eq(truth.keys()) && covers(&has, &truth), "seed {seed}:\n{}", w.differences());
        let (has, truth) = (w.nodes[1].external(), w.truth(0));
        assert!(truth.iter().all(|(k, f)| has.get(k) == Some(f)), "seed {seed}:\n{}", w.differences());
    }
}

/// Over TCP: the stream is cut anywhere, and connections break and lose what was on its way.
#[test]
fn ours_agree_over_streams() {
    for seed in seeds(40) {
        let mut w = pair(seed, Quality { delay_ms: (1, 5), ..Quality::PERFECT }, &config());
        w.net.stream();
        w.churn_both(100, 150);
        for _ in 0..3 {
            w.net.break_stream(w.rng.below(2) as usize);
            w.churn_both(100, 150);
        }
        heal(&mut w, seed, "streams");
        assert_eq!(w.nodes.each_mut().map(|n| n.ours().machine.stats().malformed), [0, 0], "seed {seed}");
    }
}

/// ALARM with an original: both announce flows again, and both forget flows.
#[test]
fn mixed_alarm_agrees_within_its_times() {
    for seed in seeds(30) {
        let config = PeerConfig::of(Alarm { refresh_time_s: 5, cache_timeout_s: 15 });
        let theirs = OriginalConfig {
            mode: OriginalMode::Alarm,
            refresh_ms: 5000,
            cache_timeout_ms: 15_000,
            ..OriginalConfig::FTFW
        };
        let mut w = World::new(seed, BAD, |i, now, rng, seq| match i {
            0 => SimNode::Ours(OurNode::new(now, config.clone(), rng, seq)),
            _ => SimNode::Original(Original::new(now, theirs, seq)),
        });
        w.churn_both(300, 150);
        w.crash(1, 500, 20, 150);
        w.churn_both(100, 150);
        w.net.quality = Quality::PERFECT;
        w.run(40_000);
        assert!(w.agree(), "seed {seed}:\n{}", w.differences());
    }
}

/// NOTRACK with an original: nothing is lost unless the network loses it, and each serves the other's resync.
#[test]
fn mixed_notrack_serves_resyncs() {
    for seed in seeds(30) {
        let config = PeerConfig::of(Notrack { startup_resync: true, ..Notrack::default() });
        let theirs =
            OriginalConfig { mode: OriginalMode::Notrack, startup_resync: true, ..OriginalConfig::FTFW };
        let mut w = World::new(seed, Quality::PERFECT, |i, now, rng, seq| match i {
            0 => SimNode::Ours(OurNode::new(now, config.clone(), rng, seq)),
            _ => SimNode::Original(Original::new(now, theirs, seq)),
        });
        w.churn_both(200, 150);
        w.run(100);
        assert!(w.agree(), "seed {seed}:\n{}", w.differences());
        for i in 0..2 {
            // Nothing changes meanwhile, so that nothing stale is left.
            w.crash(i, 300, 0, 150);
            w.run(3000);
            assert!(w.agree(), "seed {seed}, after node {i} restarted:\n{}", w.differences());
        }
    }
}

#[test]
fn alarm_agrees_within_its_times() {
    for seed in seeds(30) {
        let config = PeerConfig::of(Alarm { refresh_time_s: 5, cache_timeout_s: 15 });
        let mut w = pair(seed, BAD, &config);
        w.churn_both(300, 150);
        w.crash(0, 500, 20, 150);
        w.churn_both(100, 150);
        w.net.quality = Quality::PERFECT;
        w.run(30_000);
        assert!(w.agree(), "seed {seed}:\n{}", w.differences());
        w.run(30_000);
        assert!(w.agree(), "seed {seed}, later:\n{}", w.differences());
    }
}

/// NOTRACK promises nothing if datagrams are lost, but a perfect network loses none, and a resync brings what
/// is missing.
#[test]
fn notrack_brings_everything_on_request() {
    for seed in seeds(30) {
        let config = PeerConfig::of(Notrack::default());
        let mut w = pair(seed, Quality::PERFECT, &config);
        w.churn_both(200, 150);
        w.run(100);
        assert!(w.agree(), "seed {seed}:\n{}", w.differences());
        w.net.quality = BAD;
        w.churn_both(100, 150);
        w.net.quality = Quality::PERFECT;
        w.run(1000);
        for i in 0..2 {
            let now = w.now;
            w.nodes[i].ours().machine.request_resync(now);
        }
        w.run(5000);
        for i in 0..2 {
            let (has, truth) = (w.nodes[1 - i].external(), w.truth(i));
            // After a lost update an earlier state may remain, but all flows are there.
            assert!(truth.keys().all(|k| has.contains_key(k)), "seed {seed}:\n{}", w.differences());
        }
        assert!(w.nodes[0].ours().notices.contains(&Notice::ResyncRequested));
    }
}
