//! What is taken and what is not: an honest network, and an attacker on it who records and changes what he
//! likes.

use super::*;
use crate::sim::Rng;

const ROOM: usize = 1472;

fn secret(byte: u8) -> Secret {
    Secret::new(&mut [byte; 32]).expect("a page")
}

fn settings(node: u16, keys: &[u8], active: u8) -> Settings {
    let keys = keys.iter().map(|n| GroupKey { number: *n, secret: secret(*n) }).collect();
    Settings { node, mode: AuthMode::Enforce, keys, active, from: None }
}

/// A start of a node: each has another seed.
fn start(node: u16, now: Millis, run: u8) -> Seal {
    with(settings(node, &[1], 1), now, run)
}

fn with(settings: Settings, now: Millis, run: u8) -> Seal {
    let mut seed: [u8; 32] = std::array::from_fn(|n| if n < 16 { settings.node as u8 } else { run });
    let seed = Secret::new(&mut seed).expect("a page");
    Seal::new(now, settings, Vault::new().expect("a page"), seed).expect("the active key is there")
}

/// A frame with this text.
fn sealed(s: &mut Seal, text: &[u8]) -> Vec<u8> {
    let mut frame = [0xa5; ROOM];
    frame[HEADER_LEN..HEADER_LEN + text.len()].copy_from_slice(text);
    let len = s.close(&mut frame, text.len()).expect("it fits");
    frame[..len].to_vec()
}

fn notes(s: &mut Seal, now: Millis) -> Vec<Vec<u8>> {
    let mut frame = [0x5a; ROOM];
    std::iter::from_fn(|| s.note(now, &mut frame).map(|len| frame[..len].to_vec())).collect()
}

/// What the frame's messages are, if they are taken.
fn opened(s: &mut Seal, now: Millis, frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = None;
    s.open(now, &mut frame.to_vec(), &mut |m| out = Some(m.to_vec()));
    out
}

/// Passes notes to and fro until there are none; returns all of them.
fn settle(a: &mut Seal, b: &mut Seal, now: Millis) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let (from_a, from_b) = (notes(a, now), notes(b, now));
        if from_a.is_empty() && from_b.is_empty() {
            return all;
        }
        from_a.iter().for_each(|f| assert_eq!(opened(b, now, f), None));
        from_b.iter().for_each(|f| assert_eq!(opened(a, now, f), None));
        all.extend(from_a.into_iter().chain(from_b));
    }
}

/// Two nodes that have proved themselves to each other, and every frame that this took.
fn pair(now: Millis) -> (Seal, Seal, Vec<Vec<u8>>) {
    let (mut a, mut b) = (start(1, now, 0), start(2, now, 0));
    let all = introduce(&mut a, &mut b, now);
    (a, b, all)
}

fn introduce(a: &mut Seal, b: &mut Seal, now: Millis) -> Vec<Vec<u8>> {
    let (from_a, from_b) = (sealed(a, b"first from a"), sealed(b, b"first from b"));
    assert_eq!((opened(b, now, &from_a), opened(a, now, &from_b)), (None, None), "not before the proof");
    let mut all = meet(a, b, now);
    all.extend([from_a, from_b]);
    all
}

/// The same for nodes of which one may know the other.
fn meet(a: &mut Seal, b: &mut Seal, now: Millis) -> Vec<Vec<u8>> {
    let (from_a, from_b) = (sealed(a, b"hello from a"), sealed(b, b"hello from b"));
    _ = (opened(b, now, &from_a), opened(a, now, &from_b));
    let mut all = settle(a, b, now);
    all.extend([from_a, from_b]);
    let (from_a, from_b) = (sealed(a, b"a"), sealed(b, b"b"));
    assert_eq!(opened(b, now, &from_a).as_deref(), Some(&b"a"[..]));
    assert_eq!(opened(a, now, &from_b).as_deref(), Some(&b"b"[..]));
    all.extend([from_a, from_b]);
    all
}

fn refused(s: &Seal) -> u64 {
    s.counts().refused.iter().sum()
}

/// The bytes of a whole frame, so that another implementation can be made from them and a change is noticed.
#[test]
fn a_frame_is_these_bytes() {
    let mut s = start(2, 0, 0);
    let frame = sealed(&mut s, b"0123456789");
    let hex: String = frame.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, VECTOR);
    assert_eq!(s.settings().keys[0].fingerprint().to_string(), FINGERPRINT);
}

/// Key 1 is 32 bytes of 01, the node is 2; header, 10 bytes of text and 24 of padding, tag. Made by a program
/// that has nothing in common with ours: RFC 8439 written out, checked with the example there, and Python's
/// hashlib.
const VECTOR: &str = concat!(
    "5000005201180002",                 // magic, kind, length, key, padding, node
    "e2b5e26f82bbfd2620c5d90402e744c3", // epoch
    "0000000000000000",                 // counter
    "df23240a0e5f47fe65583fa2a8dbaacd5ce9d000269650d06b27e2e833a81f3cb2e0", // text
    "8b4aad3c1421a77ea30cadfee3c15cf8", // tag
);
const FINGERPRINT: &str = "6f8e9853";

/// One of a group with these other nodes.
fn member(node: u16, others: &[u16], now: Millis, run: u8) -> Seal {
    with(Settings { from: Some(others.to_vec()), ..settings(node, &[1], 1) }, now, run)
}

/// A frame with this text for one of a group.
fn addressed(s: &mut Seal, to: u16, text: &[u8]) -> Vec<u8> {
    let mut frame = [0xa5; ROOM];
    let write = &mut |room: &mut [u8]| {
        room[..text.len()].copy_from_slice(text);
        Some(text.len())
    };
    let len = s.fill_for(0, to, &mut frame, write).expect("it fits");
    frame[..len].to_vec()
}

/// Passes notes among all of a group until there are none.
fn settle_group(all: &mut [Seal], now: Millis) {
    loop {
        let said: Vec<_> = all.iter_mut().enumerate().map(|(at, s)| (at, notes(s, now))).collect();
        if said.iter().all(|(_, frames)| frames.is_empty()) {
            return;
        }
        for (from, frame) in said.iter().flat_map(|(at, frames)| frames.iter().map(move |f| (*at, f))) {
            let others = all.iter_mut().enumerate().filter(|(at, _)| *at != from);
            others.for_each(|(_, s)| assert_eq!(opened(s, now, frame), None));
        }
    }
}

/// The same text, key and counter as in the other vector, and made in the same way: 3 is who it is for.
#[test]
fn a_frame_for_one_of_several_is_these_bytes() {
    let mut s = member(2, &[1, 3], 0, 0);
    let hex: String = addressed(&mut s, 3, b"0123456789").iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "5004005401180002",
            "e2b5e26f82bbfd2620c5d90402e744c3",
            "0000000000000000",
            "0003", // to
            "df23240a0e5f47fe65583fa2a8dbaacd5ce9d000269650d06b27e2e833a81f3cb2e0",
            "d1e92c2d37d4a0aae159ef7bb9ac1ca3",
        )
    );
}

/// In a group a frame is taken by the node that it is for, and costs the others nothing.
#[test]
fn in_a_group_each_takes_what_is_for_it() {
    let nodes = [1, 2, 3];
    let others = |node| nodes.into_iter().filter(|n| *n != node).collect::<Vec<_>>();
    let mut all: Vec<Seal> = nodes.iter().map(|n| member(*n, &others(*n), 0, 0)).collect();
    // Each says something to each, so that all are asked for proofs.
    for from in 0..3 {
        for to in (0..3).filter(|to| *to != from) {
            let hello = addressed(&mut all[from], nodes[to], b"hello");
            let heard = all.iter_mut().enumerate().filter(|(at, _)| *at != from);
            heard.for_each(|(_, s)| assert_eq!(opened(s, 0, &hello), None));
        }
    }
    settle_group(&mut all, 0);
    for s in &all {
        assert_eq!(s.living(0).count(), 2);
    }
    let before: Vec<_> = all.iter().map(Seal::counts).collect();
    let frame = addressed(&mut all[0], 3, b"for the third");
    let mut from = None;
    all[2].open_from(0, &mut frame.clone(), &mut |node, m| from = Some((node, m.to_vec())));
    assert_eq!(from, Some((1, b"for the third".to_vec())));
    assert_eq!(opened(&mut all[1], 0, &frame), None);
    assert_eq!(all[1].counts(), before[1], "not opened, and not refused");
    // It is authenticated who it is for, and nobody takes it twice.
    let turned = [&frame[..33], &[2], &frame[34..]].concat();
    assert_eq!(opened(&mut all[1], 0, &turned), None);
    assert_eq!(opened(&mut all[2], 0, &frame), None);
    let of = |s: &Seal, why| s.counts().of(why);
    assert_eq!((of(&all[1], Refused::Forged), of(&all[2], Refused::Repeated)), (1, 1));
    // Neither a stranger with the key is heard, nor one of the group that takes it for a pair.
    let mut stranger = member(9, &[1, 2], 0, 0);
    let mut alone = start(3, 0, 7);
    let strange = [addressed(&mut stranger, 1, b"from nobody"), sealed(&mut alone, b"for nobody")];
    strange.iter().for_each(|f| assert_eq!(opened(&mut all[0], 0, f), None));
    assert_eq!((of(&all[0], Refused::Foreign), notes(&mut all[0], 0).len()), (2, 0));
    // Nor does a pair take what is for one of a group.
    let for_one = addressed(&mut all[0], 2, b"in a group");
    let mut pair = start(2, 0, 8);
    assert_eq!((opened(&mut pair, 0, &for_one), of(&pair, Refused::Foreign)), (None, 1));
}

/// A peer is one node: what another says on its link is not taken, though it has the key.
#[test]
fn on_the_link_of_a_peer_nobody_else_speaks() {
    let (mut a, mut b) = (member(1, &[2], 0, 0), member(2, &[1], 0, 0));
    introduce(&mut a, &mut b, 0);
    let mut c = start(3, 0, 0);
    let frame = sealed(&mut c, b"I am another");
    assert_eq!(opened(&mut a, 0, &frame), None);
    assert_eq!((a.counts().of(Refused::Foreign), notes(&mut a, 0).len()), (1, 0));
    // A seal for another peer is another epoch: what was said to that one is no proof here.
    let mut for_others = member(2, &[4], 0, 5);
    let recorded = sealed(&mut for_others, b"for the fourth");
    assert_eq!(opened(&mut a, 0, &recorded), None);
    settle(&mut a, &mut b, 0);
    assert_eq!(opened(&mut a, 0, &recorded), None);
}

#[test]
fn messages_of_any_length_arrive_as_they_were() {
    let (mut a, mut b, _) = pair(0);
    for len in 0..=ROOM - OVERHEAD {
        let text: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        let frame = sealed(&mut a, &text);
        assert_eq!(frame.len(), OVERHEAD + len.max(NOTE_LEN));
        assert_eq!(opened(&mut b, 0, &frame), Some(text));
    }
    let mut small = [0; 100];
    assert_eq!((a.close(&mut small, 53), a.close(&mut small, 52)), (None, Some(100)));
    assert_eq!(a.note(0, &mut [0; 81]), None);
}

#[test]
fn every_bit_counts() {
    let (mut a, mut b, _) = pair(0);
    let frame = sealed(&mut a, b"a message, more or less");
    for bit in 0..frame.len() * 8 {
        let mut wrong = frame.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opened(&mut b, 0, &wrong), None, "bit {bit}");
    }
    for len in 0..frame.len() {
        assert_eq!(opened(&mut b, 0, &frame[..len]), None, "{len} bytes");
    }
    assert!(notes(&mut b, 0).is_empty(), "nobody is asked because of nonsense");
    assert!(opened(&mut b, 0, &frame).is_some(), "and it has done no harm");
    let repeated = b.counts().of(Refused::Repeated);
    assert_eq!(opened(&mut b, 0, &frame), None, "once");
    assert_eq!(b.counts().of(Refused::Repeated), repeated + 1);
}

/// Everything that was ever sent, again: to the same nodes, after a restart of either and of both, to the one
/// that sent it, and after all of them have proved themselves anew.
#[test]
fn recordings_are_never_taken() {
    let (mut a, mut b, mut tape) = pair(0);
    for n in 0..100u32 {
        let (x, y) = (sealed(&mut a, &n.to_be_bytes()), sealed(&mut b, &n.to_be_bytes()));
        assert!(opened(&mut b, 0, &x).is_some() && opened(&mut a, 0, &y).is_some());
        tape.extend([x, y]);
    }
    let mut now = 0;
    for run in 1..13u8 {
        match run % 3 {
            0 => a = start(1, now, run),
            1 => b = start(2, now, run),
            _ => (a, b) = (start(1, now, run), start(2, now, run)),
        }
        // First to nodes that know nobody, then to those that know each other, and soon after that, when the
        // challenges that were answered are still good.
        for round in 0..3 {
            for frame in &tape {
                assert_eq!(
                    (opened(&mut a, now, frame), opened(&mut b, now, frame)),
                    (None, None),
                    "run {run}"
                );
            }
            // They may ask, but nobody answers for an epoch that is over.
            tape.extend(settle(&mut a, &mut b, now));
            if round == 0 {
                now += 5000;
                tape.extend(meet(&mut a, &mut b, now));
            }
            now += 150;
        }
        let frame = sealed(&mut a, b"still there");
        assert_eq!(opened(&mut b, now, &frame).as_deref(), Some(&b"still there"[..]), "run {run}");
        tape.push(frame);
    }
    assert_eq!((a.living(now).collect::<Vec<_>>(), b.living(now).collect::<Vec<_>>()), (vec![2], vec![1]));
}

/// The answer that made an epoch live is worth nothing once that epoch is over, however soon.
#[test]
fn an_answer_is_good_once() {
    let (mut a, mut b) = (start(1, 0, 0), start(2, 0, 0));
    let hello = sealed(&mut a, b"first start");
    opened(&mut b, 0, &hello);
    let asked = notes(&mut b, 0);
    opened(&mut a, 0, &asked[0]);
    let answer = notes(&mut a, 0);
    opened(&mut b, 0, &answer[0]);
    let old = sealed(&mut a, b"old");
    let mut a = start(1, 1, 1);
    introduce(&mut a, &mut b, 1);
    opened(&mut b, 2, &answer[0]);
    assert_eq!(opened(&mut b, 2, &old), None);
    assert_eq!(opened(&mut b, 2, &sealed(&mut a, b"new")).as_deref(), Some(&b"new"[..]));
}

/// What a node has sent before it was asked could be a recording of this very epoch.
#[test]
fn what_was_sent_before_the_proof_is_not_taken_after_it() {
    let mut a = start(1, 0, 0);
    let early: Vec<_> = (0..50).map(|n| sealed(&mut a, &[n])).collect();
    let mut b = start(2, 0, 0);
    introduce(&mut a, &mut b, 0);
    assert!(early.iter().all(|f| opened(&mut b, 0, f).is_none()));
}

#[test]
fn frames_of_others_of_other_keys_and_our_own_are_refused() {
    let (mut a, mut b, _) = pair(0);
    let own = sealed(&mut b, b"reflected");
    assert_eq!(opened(&mut b, 0, &own), None);
    assert_eq!(b.counts().of(Refused::OwnNode), 1);
    // The same number, another key; and a number that is not there.
    for (number, byte, why) in [(1, 9, Refused::Forged), (7, 7, Refused::UnknownKey)] {
        let mut s = settings(1, &[number], number);
        s.keys[0].secret = secret(byte);
        let frame = sealed(&mut with(s, 0, 5), b"stranger");
        assert_eq!(opened(&mut b, 0, &frame), None);
        assert_eq!(b.counts().of(why), 1);
    }
    // Headers of one frame with the text of another: epochs, nodes, counters, kinds swapped.
    let mut c = start(3, 0, 0);
    introduce(&mut c, &mut b, 0);
    let (x, y) = (sealed(&mut a, b"from a"), sealed(&mut c, b"from c"));
    for cut in [8, 24, 32] {
        let mixed = [&x[..cut], &y[cut..]].concat();
        assert_eq!(opened(&mut b, 0, &mixed), None, "cut at {cut}");
    }
    for kind in 1..=3 {
        let mut other = x.clone();
        other[1] = kind;
        assert_eq!(opened(&mut b, 0, &other), None, "kind {kind}");
    }
    assert!(opened(&mut b, 0, &x).is_some() && opened(&mut b, 0, &y).is_some());
}

#[test]
fn messages_without_a_seal_are_taken_where_that_is_allowed() {
    let alive = [0x1a, 0x10, 0, 8, 0, 0, 0, 1];
    for mode in AuthMode::ALL {
        let mut s = with(Settings { mode, ..settings(1, &[1], 1) }, 0, 0);
        let taken = opened(&mut s, 0, &alive).is_some();
        assert_eq!((taken, s.seals()), (mode != AuthMode::Enforce, mode != AuthMode::ReceiveOnly));
        assert_eq!(s.poll(), (!taken).then_some(SealHappening::Refused(Refused::Plain)));
        opened(&mut s, 0, &alive);
        assert_eq!(s.poll(), None, "each reason is reported once");
    }
}

/// Both change to another key under traffic: nothing is lost and nothing has to be proved.
#[test]
fn a_change_of_keys_loses_nothing() {
    let (mut a, mut b, _) = pair(0);
    let proofs = (a.counts().proofs, b.counts().proofs);
    let steps: [(&[u8], u8); 4] = [(&[1, 2], 1), (&[1, 2], 2), (&[2], 2), (&[2, 3], 3)];
    let mut now = 0;
    for (keys, active) in steps {
        for first in [true, false] {
            let which = if first { &mut a } else { &mut b };
            // Key 3 comes to one node before it comes to the other: there is nothing to be done for it.
            if active != 3 {
                which.reconfigure(now, settings(which.settings().node, keys, active));
            }
            for _ in 0..100 {
                now += 7;
                a.turn(now);
                b.turn(now);
                settle(&mut a, &mut b, now);
                let (x, y) = (sealed(&mut a, b"x"), sealed(&mut b, b"y"));
                assert!(opened(&mut b, now, &x).is_some(), "{keys:?} {active} at {now}");
                assert!(opened(&mut a, now, &y).is_some(), "{keys:?} {active} at {now}");
            }
        }
    }
    assert_eq!((a.sealing_with().0, b.sealing_with().0), (2, 2));
    assert_eq!((a.counts().proofs, b.counts().proofs), proofs);
    assert_eq!((refused(&a), refused(&b)), (2, 2), "what they said first");
}

/// A key that is taken away is of no use at once, to both sides.
#[test]
fn a_key_that_was_taken_away_opens_nothing() {
    let (mut a, mut b, _) = pair(0);
    let before = sealed(&mut a, b"before");
    b.reconfigure(0, settings(2, &[2], 2));
    assert_eq!(opened(&mut b, 0, &before), None);
    assert_eq!(b.counts().of(Refused::UnknownKey), 1);
    a.reconfigure(0, settings(1, &[2], 2));
    introduce(&mut a, &mut b, 0);
    // Back to the first key, and changed again before that was announced to the end.
    a.reconfigure(10, settings(1, &[1, 2], 1));
    a.reconfigure(20, settings(1, &[1, 2], 2));
    for now in (20..2000).step_by(50) {
        a.turn(now);
        settle(&mut a, &mut b, now);
        let frame = sealed(&mut a, b"x");
        assert!(opened(&mut b, now, &frame).is_some(), "{now}");
    }
    assert_eq!(a.sealing_with().0, 2);
}

#[test]
fn an_epoch_ends_after_a_day_and_nobody_notices() {
    let (mut a, mut b, _) = pair(0);
    let (mut now, mut epochs) = (0, std::collections::BTreeSet::new());
    while now < 26 * 3600 * 1000 {
        now += 25_000;
        a.turn(now);
        b.turn(now);
        settle(&mut a, &mut b, now);
        let (x, y) = (sealed(&mut a, b"x"), sealed(&mut b, b"y"));
        assert!(opened(&mut b, now, &x).is_some() && opened(&mut a, now, &y).is_some(), "at {now}");
        settle(&mut a, &mut b, now);
        epochs.insert(x[8..24].to_vec());
    }
    assert_eq!(epochs.len(), 2);
}

/// Whoever holds back everything for longer than a proof lasts has to deliver an answer, and that makes all
/// that was sealed before it worthless.
#[test]
fn what_is_held_back_is_worthless_once_a_proof_is_due() {
    let (mut a, mut b, _) = pair(0);
    let held: Vec<_> = (0..20).map(|n| sealed(&mut a, &[n])).collect();
    assert!(opened(&mut b, 29_999, &held[0]).is_some(), "a silence is nothing special");
    notes(&mut b, 29_999);
    assert_eq!(opened(&mut b, 30_000, &held[1]), None);
    settle(&mut a, &mut b, 31_000);
    let fresh = sealed(&mut a, b"now");
    opened(&mut b, 31_000, &fresh);
    settle(&mut a, &mut b, 31_000);
    assert!(held[2..].iter().all(|f| opened(&mut b, 31_000, f).is_none()));
    assert!(opened(&mut b, 31_000, &sealed(&mut a, b"later")).is_some());
}

/// Proofs are asked for again while frames come, and a network that loses every third frame does not end
/// them.
#[test]
fn proofs_are_renewed_without_losing_anything() {
    let (mut a, mut b, _) = pair(0);
    let (mut rng, mut taken) = (Rng::new(5), 0);
    for now in (0..600_000).step_by(100) {
        for frame in notes(&mut a, now) {
            if !rng.percent(33) {
                opened(&mut b, now, &frame);
            }
        }
        for frame in notes(&mut b, now) {
            if !rng.percent(33) {
                opened(&mut a, now, &frame);
            }
        }
        let frame = sealed(&mut a, b"x");
        taken += u32::from(opened(&mut b, now, &frame).is_some());
    }
    assert_eq!((taken, b.counts().of(Refused::Unproved)), (6000, 2));
    assert!((30..70).contains(&b.counts().proofs), "{}", b.counts().proofs);
}

/// A flood of forged frames, one of recordings, one of challenges: what goes back is never more than what
/// came, and it is bounded; no memory is used; and a node that starts meanwhile is heard soon.
#[test]
fn floods_cost_little_and_shut_nobody_out() {
    let mut rng = Rng::new(3);
    // Epochs of earlier starts, of which somebody has a recording.
    let tape: Vec<_> = (1..101).map(|n| sealed(&mut start(1, 0, n), b"recorded")).collect();
    let (mut a, mut b, shaken) = pair(0);
    let mut vault_full = b.living(0).count();
    let (mut came, mut went) = (0, 0);
    for now in 1..200 {
        for n in 0..100u64 {
            let frame = match n % 3 {
                0 => {
                    let mut f = tape[0].clone();
                    f[8..24].fill_with(|| rng.next() as u8);
                    f
                }
                1 => tape[rng.below(100) as usize].clone(),
                _ => shaken[rng.below(shaken.len() as u64) as usize].clone(),
            };
            came += frame.len();
            assert_eq!(opened(&mut b, now, &frame), None);
        }
        went += notes(&mut b, now).iter().map(Vec::len).sum::<usize>();
        vault_full = vault_full.max(b.living(now).count());
    }
    assert!(went <= came && went <= 250 * 82, "{went} of {came} bytes");
    assert_eq!(vault_full, 1);
    assert!(opened(&mut b, 200, &sealed(&mut a, b"through")).is_some(), "who is known is not disturbed");
    // A new start of the other node, in the middle of it.
    let mut a = start(1, 200, 200);
    let mut now = 200;
    let mut heard = false;
    while !heard {
        now += 1;
        // Somewhere among what comes in this millisecond is what the true node says; as it has just started,
        // that is something every ten of them.
        let spot = rng.below(100);
        for n in 0..100 {
            opened(&mut b, now, &tape[rng.below(100) as usize]);
            if n == spot {
                settle(&mut a, &mut b, now);
                heard |= now % 10 == 0 && opened(&mut b, now, &sealed(&mut a, b"hello")).is_some();
            }
        }
        assert!(now < 8000, "shut out: {:?}", b.counts());
    }
}

/// More nodes with the key than are remembered: those that are there stay, and those that have gone make
/// room.
#[test]
fn nodes_are_remembered_up_to_a_number() {
    let mut b = start(2, 0, 0);
    let mut nodes: Vec<_> = (10..26).map(|n| start(n, 0, 0)).collect();
    nodes.iter_mut().for_each(|n| {
        introduce(n, &mut b, 0);
    });
    assert_eq!(b.living(0).count(), 16);
    let mut more = start(99, 0, 0);
    let hello = sealed(&mut more, b"one more");
    opened(&mut b, 0, &hello);
    settle(&mut more, &mut b, 0);
    assert_eq!((b.living(0).count(), b.counts().of(Refused::TooManyNodes)), (16, 1));
    // All but one are silent for longer than a proof lasts.
    let now = 40_000;
    for n in [&mut nodes[3], &mut more] {
        let hello = sealed(n, b"hello");
        opened(&mut b, now, &hello);
        settle(n, &mut b, now);
    }
    assert_eq!(b.living(now).collect::<std::collections::BTreeSet<_>>(), [13, 99].into());
}
