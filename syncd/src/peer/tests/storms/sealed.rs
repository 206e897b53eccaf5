//! The same where messages are sealed (sealed-peers.md §2): a stranger makes a node say nothing but challenges,
//! whatever he has recorded; a member that lies is answered as a peer without seals is, also if what is sealed is
//! counted.

use super::*;
use crate::peer::seal::{AuthMode, GroupKey, Refused, Seal, SealHappening, Settings};
use zct_engine::secret::{Secret, Vault};
use zct_wire::peer::sealed::{FRAME_MIN, HEADER_LEN};

const ROOM: usize = 1472;

/// A start of node 1 or 2.
fn start(node: u16, now: Millis, run: u8) -> Seal {
    let keys = vec![GroupKey { number: 1, secret: Secret::new(&mut [1; 32]).expect("a page") }];
    let settings = Settings { node, mode: AuthMode::Enforce, keys, active: 1, from: None };
    let mut seed: [u8; 32] = std::array::from_fn(|n| if n < 16 { node as u8 } else { run });
    let (vault, seed) = (Vault::new().expect("a page"), Secret::new(&mut seed).expect("a page"));
    Seal::new(now, settings, vault, seed).expect("the active key is there")
}

/// A frame with these messages.
fn frame(seal: &mut Seal, messages: &[u8]) -> Vec<u8> {
    let mut frame = [0; ROOM];
    frame[HEADER_LEN..HEADER_LEN + messages.len()].copy_from_slice(messages);
    let len = seal.close(&mut frame, messages.len()).expect("it fits");
    frame[..len].to_vec()
}

/// A node, its seal, and the seal of its peer.
struct SealedBench {
    b: Bench,
    ours: Seal,
    theirs: Seal,
}

impl SealedBench {
    /// After both have proved themselves.
    fn new(mode: Mode) -> SealedBench {
        let mut b = comparing(mode);
        b.m.starts_show_in_keys(true);
        let (mut ours, mut theirs) = (start(1, b.now, 0), start(2, b.now, 0));
        b.m.link_payload(0, ROOM - ours.overhead());
        let first = [frame(&mut ours, b"first"), frame(&mut theirs, b"first")];
        theirs.open(b.now, &mut first[0].clone(), &mut |_| panic!("not before the proof"));
        ours.open(b.now, &mut first[1].clone(), &mut |_| panic!("not before the proof"));
        let mut note = [0; ROOM];
        for _ in 0..2 {
            while let Some(len) = ours.note(b.now, &mut note) {
                theirs.open(b.now, &mut note[..len], &mut |_| panic!("a note"));
            }
            while let Some(len) = theirs.note(b.now, &mut note) {
                ours.open(b.now, &mut note[..len], &mut |_| panic!("a note"));
            }
        }
        let happened: Vec<_> = std::iter::from_fn(|| ours.poll()).collect();
        assert!(happened.contains(&SealHappening::Proved(2)), "{happened:?}");
        SealedBench { b, ours, theirs }
    }

    /// Something comes. Returns how many bytes of messages were taken.
    fn receive(&mut self, mut frame: Vec<u8>) -> usize {
        let SealedBench { b, ours, .. } = self;
        let mut taken = 0;
        ours.open(b.now, &mut frame, &mut |messages| {
            taken += messages.len();
            b.m.datagram(b.now, 0, messages);
        });
        taken
    }

    /// All that is sent now: whole datagrams, and the messages in them, which are none in notes.
    fn sent(&mut self) -> Vec<(usize, Vec<u8>)> {
        let SealedBench { b, ours, theirs } = self;
        ours.turn(b.now);
        b.log();
        b.m.turn(b.now);
        let (mut out, mut buf) = (Vec::new(), [0; ROOM]);
        while let Some(len) = ours.fill(b.now, &mut buf, &mut |room| b.m.transmit(b.now, room)) {
            let mut messages = Vec::new();
            theirs.open(b.now, &mut buf[..len], &mut |m| messages.extend_from_slice(m));
            out.push((len, messages));
            assert!(out.len() < 1000, "it does not stop");
        }
        out
    }
}

/// How long a member storms: each frame is sealed and opened, which takes its time in a debug build. `make soak` has
/// four seconds, of which sealed-peers.md §9 tells.
fn seconds() -> Millis {
    std::env::var("ZCT_STORM_SECONDS").map_or(1, |n| n.parse().expect("a number"))
}

/// A member of the group, which has the key, asks by storm; what he says in a millisecond is sealed together, which
/// costs him least. The shortest questions also each for itself.
#[test]
fn a_member_that_storms_is_answered_with_no_more_than_he_sends() {
    for (name, mode) in modes() {
        let storms = SUMS.into_iter().map(|s| (s, true)).chain([(SUMS[0], false)]);
        for ((what, say), together) in storms {
            let mut s = SealedBench::new(mode);
            let (mut rng, mut cost) = (Rng::new(1), Cost::default());
            let (mut n, end) = (0, s.b.now + seconds() * 1000);
            // Whole frames, without those that flows were in.
            let (mut came, mut went) = (0, 0);
            while s.b.now < end {
                let mut messages = Vec::new();
                for _ in 0..A_MILLISECOND {
                    let mut buf = [0; 200];
                    let len = say(&mut rng, n).encode(&mut buf, 0, s.b.peer_seq).expect("it fits");
                    (n, s.b.peer_seq) = (n + 1, s.b.peer_seq.wrapping_add(1));
                    messages.push(buf[..len].to_vec());
                }
                if together {
                    messages = vec![messages.concat()];
                }
                for m in messages {
                    let frame = frame(&mut s.theirs, &m);
                    (cost.came, came) = (cost.came + m.len(), came + frame.len());
                    assert_eq!(s.receive(frame), m.len(), "{name}, {what}: a member is heard");
                }
                for (len, messages) in s.sent() {
                    let records = cost.records;
                    cost.add(&messages);
                    went += if cost.records == records { len } else { 0 };
                }
                s.b.now += 1;
            }
            is_bounded(name, what, &cost, seconds());
            println!("{name}, {what}, together {together}: {came} bytes came in frames, {went} went");
            assert!(went <= came, "{name}, {what}, together {together}: {went} of {came}");
        }
    }
}

/// Somebody on the network, without the key, repeats what both have said in this and in earlier starts, and makes
/// frames of his own. The node says what it would say in silence, and challenges.
#[test]
fn a_stranger_that_storms_makes_a_sealed_node_say_nothing() {
    for (name, mode) in modes() {
        let (mut stormed, mut silent) = (SealedBench::new(mode), SealedBench::new(mode));
        let mut rng = Rng::new(5);
        // Questions of this start, which both nodes have heard, and our answers to them.
        let mut tape = Vec::new();
        for n in 0..100 {
            for (_, say) in SUMS {
                let mut buf = [0; 200];
                let len = say(&mut rng, n).encode(&mut buf, 0, stormed.b.peer_seq).expect("it fits");
                for s in [&mut stormed, &mut silent] {
                    s.b.peer_seq = s.b.peer_seq.wrapping_add(1);
                    let frame = frame(&mut s.theirs, &buf[..len]);
                    assert_eq!(s.receive(frame.clone()), len);
                    tape.push(frame);
                }
            }
            for s in [&mut stormed, &mut silent] {
                s.sent();
                s.b.now += 10;
            }
        }
        let heard = tape.len();
        let ours = frame(&mut start(1, 0, 0), b"our own");
        let mut question = [0; 16];
        let len = Digest::Ask(Ask::Whole).encode(&mut question, 0, 1).expect("it fits");
        let earlier: Vec<_> = (1..101).map(|run| frame(&mut start(2, 0, run), &question[..len])).collect();
        let before = stormed.ours.counts();
        let (mut frames, mut came, mut notes) = (0, 0, 0);
        let (began, seconds) = (stormed.b.now, 2);
        let end = began + seconds * 1000;
        while stormed.b.now < end {
            for n in 0..2 * A_MILLISECOND {
                let mut frame = tape[rng.below(heard as u64) as usize].clone();
                match n {
                    // As it was, with one bit turned, of any epoch, and cut.
                    0 | 1 => {}
                    2 | 3 => {
                        let bit = rng.below(frame.len() as u64 * 8) as usize;
                        frame[bit / 8] ^= 1 << (bit % 8);
                    }
                    4 => frame[8..24].fill_with(|| rng.next() as u8),
                    5 => frame[24..].fill_with(|| rng.next() as u8),
                    6 => frame.truncate(rng.below(frame.len() as u64) as usize),
                    7 => frame.clone_from(&ours),
                    8 => frame = question[..len].to_vec(),
                    _ => frame.clone_from(&earlier[rng.below(100) as usize]),
                }
                (frames, came) = (frames + 1, came + frame.len());
                assert_eq!(stormed.receive(frame), 0, "{name}: taken");
            }
            let (said, expected) = (stormed.sent(), silent.sent());
            let said: Vec<_> = said
                .into_iter()
                .filter(|(len, m)| {
                    let note = m.is_empty();
                    assert!(!note || *len == FRAME_MIN, "{name}: a note is as short as a frame can be");
                    notes += usize::from(note);
                    !note
                })
                .collect();
            assert_eq!(said, expected, "{name}: {} ms after it began", stormed.b.now - began);
            stormed.b.now += 1;
            silent.b.now += 1;
        }
        let counts = stormed.ours.counts();
        println!("{name}: {frames} frames, {came} bytes, {notes} notes; {counts:?}");
        assert_eq!(counts.opened, before.opened, "{name}");
        assert!(frames == 20_000 && notes <= 2050 && notes * FRAME_MIN <= came, "{name}: {notes}");
        let refused =
            [Refused::Repeated, Refused::Forged, Refused::Unproved, Refused::Plain, Refused::OwnNode];
        assert!(refused.into_iter().all(|why| counts.of(why) > 1000), "{name}: {counts:?}");
        // Whoever has the key is heard as before.
        let frame = frame(&mut stormed.theirs, &question[..len]);
        assert_eq!(stormed.receive(frame), len, "{name}");
    }
}
