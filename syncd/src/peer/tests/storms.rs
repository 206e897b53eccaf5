//! What somebody can make a node send who sends from its peer's address what no peer would send: at most one bulk
//! a second, and otherwise no more bytes than he has sent himself (sealed-peers.md §9).

mod sealed;

use super::*;
use crate::sim::Rng;
use crate::store::{FlowStore, Key, Meta};
use std::sync::LazyLock;
use zct_wire::peer::Digest;
use zct_wire::peer::digest::{Ask, Part, Span};

/// Flows that a bulk has.
const FLOWS: u16 = 500;
const SECONDS: Millis = 4;
/// Messages of the storm in a millisecond.
const A_MILLISECOND: u32 = 5;

/// One message of a storm: its number in it, and the next number that a true peer would use.
type Make = fn(&mut Rng, u32, u32) -> (u8, u32, Option<(u32, u32)>);

const ALL: Option<(u32, u32)> = Some((OURS - 1000, OURS + 1_000_000));

/// Flags, number and range of each message. `next` is one more than the number before.
const STORMS: [(&str, Make); 19] = [
    ("ALIVE", |_, _, next| (flag::ALIVE, next, None)),
    ("ALIVE, numbers far off", |_, _, next| (flag::ALIVE, next + 1000, None)),
    ("ALIVE, every other number", |_, _, next| (flag::ALIVE, next + 1, None)),
    ("ALIVE, any number", |rng, _, _| (flag::ALIVE, rng.next() as u32, None)),
    ("HELLO", |_, _, next| (flag::ALIVE | flag::HELLO, next, None)),
    ("HELLO, numbers far off", |_, _, next| (flag::ALIVE | flag::HELLO, next + 1000, None)),
    ("HELLO, numbers going back", |_, n, _| (flag::ALIVE | flag::HELLO, 1_000_000 - n, None)),
    ("HELLO, any number", |rng, _, _| (flag::ALIVE | flag::HELLO, rng.next() as u32, None)),
    ("HELLO and not in turn", |_, n, next| (flag::ALIVE | [flag::HELLO, 0][n as usize % 2], next, None)),
    ("HELLO_BACK", |_, _, next| (flag::ALIVE | flag::HELLO_BACK, next, None)),
    ("RESYNC", |_, _, next| (flag::RESYNC, next, Some((0, 0)))),
    ("RESYNC, numbers far off", |_, _, next| (flag::RESYNC, next + 1000, Some((0, 0)))),
    ("NACK of everything", |_, _, next| (flag::NACK, next, ALL)),
    ("NACK of everything, numbers far off", |_, _, next| (flag::NACK, next + 1000, ALL)),
    ("RESYNC and NACK of everything", |_, n, next| match n % 2 {
        0 => (flag::RESYNC, next, Some((0, 0))),
        _ => (flag::NACK, next, ALL),
    }),
    ("RESYNC after many a NACK of everything", |_, n, next| match n % 1500 {
        0 => (flag::RESYNC, next, Some((0, 0))),
        _ => (flag::NACK, next, ALL),
    }),
    ("ACK of everything", |_, _, next| (flag::ACK, next, ALL)),
    ("ACK of everything, numbers far off", |_, _, next| (flag::ACK, next + 1000, ALL)),
    ("anything", |rng, _, next| {
        let flags = [flag::ALIVE, flag::RESYNC, flag::NACK, flag::ACK][rng.below(4) as usize];
        let hello = [0, 0, flag::HELLO, flag::HELLO_BACK][rng.below(4) as usize];
        let seq = [next, next + 1, next + 1000, rng.next() as u32][rng.below(4) as usize];
        (flags | hello, seq, (flags != flag::ALIVE).then_some((OURS - 1000, OURS + 1_000_000)))
    }),
];

/// What a storm has cost.
#[derive(Debug, Default)]
struct Cost {
    came: usize,
    /// Bytes that were sent, without what flows take.
    control: usize,
    /// Answers about sums among that.
    answers: usize,
    /// Messages about flows, and their bytes.
    records: usize,
    bytes: usize,
}

impl Cost {
    /// This was sent.
    fn add(&mut self, datagram: &[u8]) {
        for m in Messages::new(datagram) {
            let m = m.expect("ours");
            let len = m.body().len() + 8;
            match m.kind() {
                Some(Kind::Control) => self.control += len,
                Some(Kind::Digest) => {
                    self.control += len;
                    self.answers += usize::from(m.flags & (flag::ALIVE | flag::ACK) != 0);
                }
                _ => (self.records, self.bytes) = (self.records + 1, self.bytes + len),
            }
        }
    }
}

/// A node with flows that it has told its peer of; in FT-FW these are acknowledged or in flight.
fn stormed(config: PeerConfig, acknowledged: bool) -> Bench {
    let ftfw = matches!(config.mode, Mode::Ftfw(_));
    let mut b = if ftfw { Bench::greeted(config) } else { Bench::new(config) };
    for n in 0..FLOWS {
        b.event(Event::New, &flow(n));
    }
    let last = b.run(100).last().expect("flows").seq;
    if acknowledged {
        b.control(flag::ACK, Some((OURS, last)));
    }
    b
}

/// What it costs that some seconds long these messages come. `say` writes the message of this number in the storm, and
/// returns its length and its own number; a true peer would use the one that it is given.
fn storm(b: &mut Bench, mut say: impl FnMut(&mut Rng, u32, u32, &mut [u8]) -> (usize, u32)) -> Cost {
    let (mut rng, mut cost) = (Rng::new(1), Cost::default());
    let (mut buf, mut out) = ([0; 200], [0; 2000]);
    let (mut n, end) = (0, b.now + SECONDS * 1000);
    while b.now < end {
        for _ in 0..A_MILLISECOND {
            let (len, seq) = say(&mut rng, n, b.peer_seq, &mut buf);
            (n, b.peer_seq) = (n + 1, seq.wrapping_add(1));
            cost.came += len;
            b.receive(&buf[..len]);
        }
        b.log();
        b.m.turn(b.now);
        while let Some(len) = b.m.transmit(b.now, &mut out) {
            cost.add(&out[..len]);
        }
        b.now += 1;
    }
    cost
}

/// What a node sends without being asked: signs of life, acknowledgements by the timer, requests for a bulk; and
/// what is allowed beyond what has come.
const UNASKED_A_SECOND: usize = 8 + 16 + 8 + 4 * 16;
const AT_ONCE: usize = 256 * 16;

#[test]
fn a_storm_is_answered_with_no_more_than_it_is() {
    let modes: [(&str, Mode); 4] = [
        ("FTFW", Ftfw::DEFAULT.into()),
        ("FTFW with ACKWindowSize 1", Ftfw { ack_window_size: 1, ..Ftfw::DEFAULT }.into()),
        ("NOTRACK", Notrack::default().into()),
        ("ALARM", Alarm::default().into()),
    ];
    let (seconds, flows) = (SECONDS as usize, usize::from(FLOWS));
    for (name, mode) in modes {
        for (what, make) in STORMS {
            // With everything in flight, and with nothing.
            for acknowledged in [true, false] {
                let c = storm(&mut stormed(PeerConfig::of(mode), acknowledged), |rng, n, next, buf| {
                    let (flags, seq, range) = make(rng, n, next);
                    (encode_control(buf, flags, seq, range).expect("it fits"), seq)
                });
                println!(
                    "{name}, {what}: {} bytes came, {} went and {} bulks in {} bytes",
                    c.came,
                    c.control,
                    c.records as f64 / f64::from(FLOWS),
                    c.bytes
                );
                let most = c.came + AT_ONCE + UNASKED_A_SECOND * seconds;
                assert!(c.control <= most, "{name}, {what}: {c:?}");
                // One bulk a second, or as much of what is asked for by number.
                let most = flows * (seconds + 1) + 1024;
                assert!(c.records <= most, "{name}, {what}: {c:?}");
            }
        }
    }
}

/// A message about sums: its number in the storm, and one more than the number before.
type Say = fn(&mut Rng, u32) -> Digest;

const SUMS: [(&str, Say); 8] = [
    ("ASK of everything", |_, _| Digest::Ask(Ask::Whole)),
    ("ASK of all parts", |_, _| Digest::Ask(Ask::Parts(Span::ALL))),
    ("ASK of any part", |_, n| {
        let Part::Span(span) = Span::ALL.part(n as u8) else { panic!("all leaves are more than one") };
        Digest::Ask(Ask::Parts(span))
    }),
    ("WHOLE", |rng, _| Digest::Whole(rng.next())),
    ("PARTS under another key each time", |rng, _| {
        Digest::Parts(Span::ALL, [rng.next(), 1], std::array::from_fn(|i| i as u64))
    }),
    ("PARTS that differ", |rng, _| Digest::Parts(Span::ALL, [1, 2], std::array::from_fn(|_| rng.next()))),
    ("REPAIR", |rng, _| Digest::Repair(std::array::from_fn(|_| rng.next() as u16))),
    ("REPAIR of the leaves of all flows, once there are sums", |_, n| match n {
        0 => Digest::Ask(Ask::Whole),
        _ => Digest::Repair(std::array::from_fn(|at| LEAVES[(n as usize * 4 + at) % LEAVES.len()])),
    }),
];

/// The leaf of each flow: whoever has asked for sums knows their key.
static LEAVES: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut store = FlowStore::new(FLOWS.into(), [1, 2]);
    store.begin_sums(SEED.digest_key());
    let leaf = |n| {
        let place = store.locate(&Key::of(&flow(n)).expect("a tuple"));
        let id = store.insert(&place, &flow(n), Meta::default()).expect("there is room");
        store.leaf(id).expect("it is compared")
    };
    (0..FLOWS).map(leaf).collect()
});

fn modes() -> [(&'static str, Mode); 3] {
    [
        ("FTFW", Ftfw::DEFAULT.into()),
        ("NOTRACK", Notrack::default().into()),
        ("ALARM", Alarm::default().into()),
    ]
}

fn comparing(mode: Mode) -> Bench {
    let config = PeerConfig { digest_ms: Some(5000), ..PeerConfig::of(mode) };
    stormed(config, matches!(mode, Mode::Ftfw(_)))
}

/// No more bytes have come back than were sent, no more than sixty-four answers in fifty milliseconds, and no more flows
/// than in a bulk a second.
fn is_bounded(name: &str, what: &str, cost: &Cost, seconds: Millis) {
    let (seconds, answers) = (seconds as usize, cost.answers);
    println!("{name}, {what}: {cost:?}");
    let most = cost.came + AT_ONCE + (UNASKED_A_SECOND + 156) * seconds;
    assert!(cost.control <= most, "{name}, {what}: {cost:?}");
    assert!(answers <= 64 * 20 * seconds, "{name}, {what}: {cost:?}");
    assert!(answers > 0 || !what.starts_with("ASK"), "{name}, {what}: no answer");
    // In ALARM each flow is announced by itself, twice in a RefreshTime.
    let most = usize::from(FLOWS) * (seconds + 1);
    assert!(cost.records <= most, "{name}, {what}: {cost:?}");
}

/// Questions about sums, and answers that nobody has asked for.
#[test]
fn a_storm_about_sums_is_answered_with_no_more_than_it_is() {
    for (name, mode) in modes() {
        for (what, say) in SUMS {
            let cost = storm(&mut comparing(mode), |rng, n, next, buf| {
                (say(rng, n).encode(buf, 0, next).expect("it fits"), next)
            });
            is_bounded(name, what, &cost, SECONDS);
            assert!(cost.records > 1000 || !what.ends_with("there are sums"), "{name}: nothing is repaired");
        }
    }
}
