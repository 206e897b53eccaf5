//! Two nodes with the same key, alone or in a group, and somebody between them who records, repeats, changes, cuts,
//! joins, turns back and holds up what they say, while they start anew: each message is taken at most once, by the
//! node that it is for, as it was said, and what was changed is never taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;
use zct_engine::secret::{Secret, Vault};
use zct_wire::peer::sealed::FrameHeader;
use zctd::peer::seal::{AuthMode, GroupKey, Seal, Settings};

const ROOM: usize = 600;
/// Frames that the one in between keeps.
const TAPE: usize = 64;

fn node(at: usize) -> u16 {
    at as u16 + 1
}

fn start(at: usize, now: u64, group: bool, run: u8) -> Seal {
    let secret = |byte| Secret::new(&mut [byte; 32]).expect("a page");
    let other = node(1 - at);
    let from = Some(if group { vec![other, 9] } else { vec![other] });
    let keys = vec![GroupKey { number: 1, secret: secret(1) }];
    let settings = Settings { node: node(at), mode: AuthMode::Enforce, keys, active: 1, from };
    let mut seed: [u8; 32] = std::array::from_fn(|n| if n < 16 { at as u8 } else { run });
    let seed = Secret::new(&mut seed).expect("a page");
    Seal::new(now, settings, Vault::new().expect("a page"), seed).expect("the key is there")
}

struct Talk {
    now: u64,
    group: bool,
    runs: u8,
    nodes: [Seal; 2],
    /// Frames, and who has said them.
    tape: Vec<(usize, Vec<u8>)>,
    /// Messages: who has said them, how long they are, and to whom they were.
    said: Vec<(usize, usize, u16)>,
    taken: HashSet<u32>,
}

/// A message of this length and number.
fn message(number: u32, len: usize) -> Vec<u8> {
    number.to_be_bytes().into_iter().chain((4..len).map(|n| n as u8 ^ number as u8)).collect()
}

impl Talk {
    fn record(&mut self, who: usize, frame: &[u8]) {
        if self.tape.len() < TAPE {
            self.tape.push((who, frame.to_vec()));
        }
    }

    /// Says something and keeps the frame; returns it.
    fn say(&mut self, who: usize, len: usize, to: u16) -> Vec<u8> {
        let number = self.said.len() as u32;
        self.said.push((who, len, to));
        let mut buf = [0x5a; ROOM];
        let mut write = |room: &mut [u8]| {
            room[..len].copy_from_slice(&message(number, len));
            Some(len)
        };
        let n = &mut self.nodes[who];
        // Notes that wait go first.
        loop {
            let len = match self.group {
                true => n.fill_for(self.now, to, &mut buf, &mut write),
                false => n.fill(self.now, &mut buf, &mut write),
            }
            .expect("there is room");
            let is_note = FrameHeader::read(&buf[..len]).is_some_and(|h| matches!(h.kind as u8, 1..=3));
            if !is_note {
                break buf[..len].to_vec();
            }
        }
    }

    /// A node hears some bytes. True if it took a message from them.
    fn hear(&mut self, who: usize, bytes: &[u8]) -> bool {
        let Talk { now, nodes, said, taken, .. } = self;
        let before = taken.len();
        nodes[who].open_from(*now, &mut bytes.to_vec(), &mut |from, m| {
            let number = u32::from_be_bytes(*m.first_chunk().expect("a number"));
            let (by, len, to) = said[number as usize];
            assert_eq!((m, from, to), (&message(number, len)[..], node(by), node(who)));
            assert_ne!(by, who, "its own");
            assert!(taken.insert(number), "twice");
        });
        taken.len() > before
    }

    /// Passes notes to and fro.
    fn settle(&mut self) {
        let mut buf = [0; ROOM];
        for _ in 0..8 {
            for who in [0, 1] {
                self.nodes[who].turn(self.now);
                while let Some(len) = self.nodes[who].note(self.now, &mut buf) {
                    let frame = buf[..len].to_vec();
                    self.record(who, &frame);
                    assert!(!self.hear(1 - who, &frame));
                }
            }
        }
        for n in &mut self.nodes {
            while n.poll().is_some() {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((setup, mut rest)) = data.split_first() else { return };
    let group = setup & 1 != 0;
    let nodes = [0, 1].map(|at| start(at, 0, group, 0));
    let mut t =
        Talk { now: 0, group, runs: 0, nodes, tape: Vec::new(), said: Vec::new(), taken: HashSet::new() };
    while let [op, arg, more @ ..] = rest {
        rest = more;
        let who = usize::from(op >> 7);
        let picked = (!t.tape.is_empty()).then(|| t.tape[usize::from(*arg) % t.tape.len()].clone());
        match (op % 8, picked) {
            // Said, recorded, and heard at once or not.
            (kind @ (0 | 1), _) => {
                let to = if group && op & 0x40 != 0 { 9 } else { node(1 - who) };
                let frame = t.say(who, 4 + usize::from(*arg), to);
                t.record(who, &frame);
                if kind == 0 {
                    t.hear(1 - who, &frame);
                }
            }
            (2, Some((_, frame))) => _ = t.hear(who, &frame),
            // One bit is another; the rest of the input says which.
            (3, Some((_, mut frame))) => {
                let [place, more @ ..] = rest else { break };
                rest = more;
                let at = (usize::from(*place) * 3 + usize::from(op >> 3 & 1)) % frame.len();
                frame[at] ^= 1 << (op >> 4 & 7);
                assert!(!t.hear(who, &frame), "it was changed");
            }
            // Cut, with its length made right.
            (4, Some((_, mut frame))) => {
                let len = frame.len() - 1 - usize::from(op >> 3) % (frame.len() - 4);
                frame.truncate(len);
                if let Some(to) = frame.get_mut(2..4) {
                    to.copy_from_slice(&(len as u16).to_be_bytes());
                }
                assert!(!t.hear(who, &frame), "it was cut");
            }
            // Several behind each other, as on TCP.
            (5, Some(_)) => {
                let all = t.tape.iter().skip(usize::from(*arg) % t.tape.len()).take(4);
                let bytes: Vec<u8> = all.flat_map(|(_, f)| f.iter().copied()).collect();
                t.hear(who, &bytes);
            }
            (6, _) => {
                t.now += u64::from(*arg) * u64::from(*arg);
                t.settle();
            }
            (7, _) if *arg < 32 && t.runs < u8::MAX => {
                t.runs += 1;
                t.nodes[who] = start(who, t.now, group, t.runs);
            }
            (7, _) => t.settle(),
            _ => {}
        }
        if t.said.len() > 200 {
            break;
        }
    }
    // Left alone they know each other, however it was before: after the longest that a proof is good for, a few
    // words prove both.
    t.now += 31_000;
    for _ in 0..4 {
        for who in [0, 1] {
            let frame = t.say(who, 40, node(1 - who));
            t.hear(1 - who, &frame);
            // Notes of the other go before its next words, and would be lost with them.
            t.settle();
        }
        t.now += 1000;
    }
    for who in [0, 1] {
        let frame = t.say(who, 40, node(1 - who));
        assert!(t.hear(1 - who, &frame), "it is not taken");
    }
});
