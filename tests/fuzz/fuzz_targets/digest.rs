//! Messages about sums: what can be read is written as it was, and a machine whose peer says anything in them sends
//! no answer that was not asked for, keeps its books, and comes to rest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_wire::peer::digest::{DIGEST_MAX, MARK, Part};
use zct_wire::peer::header::{self, encode_control};
use zct_wire::peer::{Digest, Flow, Kind, Messages, flag};
use zct_wire::tuple::{Addr, Tuple};
use zctd::peer::{Event, Ftfw, Link, Machine, Mode, Origin, PeerConfig, Seed};

const LIMIT: usize = 64;
const ROOM: usize = 1472;

fn flow(n: u8) -> Flow {
    let orig = Tuple {
        src: Some(Addr::V4([10, 0, 0, n])),
        dst: Some(Addr::V4([192, 0, 2, 1])),
        proto: Some(17),
        src_port: Some(5000),
        dst_port: Some(53),
        ..Tuple::default()
    };
    Flow { orig, status: Some(8), timeout_s: Some(30), ..Flow::default() }
}

/// A message of this type with these flags, number and body.
fn framed(buf: &mut [u8; 256], flags: u8, seq: u32, body: &[u8]) -> usize {
    let len = header::HDR + body.len().min(buf.len() - header::HDR);
    buf[0] = 1 << 4 | Kind::Digest.number();
    buf[1] = flags;
    buf[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    buf[4..8].copy_from_slice(&seq.to_be_bytes());
    buf[header::HDR..len].copy_from_slice(&body[..len - header::HDR]);
    len
}

/// What can be read is written in the same length, and reads as the same again.
fn codec(data: &[u8]) {
    for m in Messages::new(data).flatten().filter(|m| m.kind() == Some(Kind::Digest)) {
        let Some(digest) = Digest::decode(&m) else { continue };
        for room in 0..DIGEST_MAX {
            assert!(
                digest.encode(&mut [0xa5; DIGEST_MAX][..room], m.flags, m.seq).is_none_or(|len| len <= room)
            );
        }
        let mut buf = [0xa5; DIGEST_MAX];
        let len = digest.encode(&mut buf, m.flags, m.seq).expect("the longest fits");
        assert_eq!(len, m.bytes.len());
        let again = Messages::new(&buf[..len]).next().expect("one").expect("whole");
        assert_eq!((again.flags, again.seq, Digest::decode(&again)), (m.flags, m.seq, Some(digest)));
        if let Digest::Parts(span, ..) = digest {
            // Parts are within their span, in order, and end where there is a single leaf.
            let firsts: Vec<usize> = (0..16)
                .map(|n| match span.part(n) {
                    Part::Span(s) => usize::from(s.first()),
                    Part::Leaf(l) => usize::from(l),
                })
                .collect();
            let wanted: Vec<usize> =
                (0..16).map(|n| usize::from(span.first()) + n * span.part_len()).collect();
            assert_eq!(firsts, wanted);
        }
    }
}

/// What was asked, and what was answered, in bytes.
#[derive(Default)]
struct Books {
    asked: usize,
    answered: usize,
}

impl Books {
    fn came(&mut self, bytes: &[u8]) {
        for m in Messages::new(bytes).flatten() {
            // A request for everything with the mark is a question too, and sixteen bytes like its answer.
            self.asked += if m.flags & flag::RESYNC != 0 { m.bytes.len() } else { 0 };
        }
    }

    fn went(&mut self, bytes: &[u8]) {
        for m in Messages::new(bytes) {
            let m = m.expect("ours");
            if let (Some(Kind::Digest), Some(digest)) = (m.kind(), Digest::decode(&m)) {
                if matches!(digest, Digest::Whole(_) | Digest::Parts(..)) {
                    self.answered += m.bytes.len();
                }
            }
        }
        assert!(self.answered <= self.asked, "{} bytes of answers to {}", self.answered, self.asked);
    }
}

fuzz_target!(|data: &[u8]| {
    codec(data);
    let mut buf = [0; 256];
    for flags in [flag::RESYNC, flag::ALIVE, flag::ACK, flag::NACK] {
        let len = framed(&mut buf, flags, 7, data);
        codec(&buf[..len]);
    }
    let Some((setup, mut rest)) = data.split_first() else { return };
    let config = PeerConfig {
        mode: Mode::Ftfw(Ftfw {
            resend_queue_size: 100,
            ack_window_size: 20,
            disable_external_cache: setup & 1 != 0,
            startup_resync: setup & 2 != 0,
        }),
        digest_ms: (setup & 4 == 0).then_some(100),
        hash_limit: LIMIT,
        ..PeerConfig::default()
    };
    let link = Link { payload_max: ROOM, up: true };
    let mut m = Machine::new(0, config, vec![link], 0, Seed { sequence: 1, random: 1, hash: [1, 2] });
    let (mut now, mut seq, mut out, mut books) = (0u64, 1u32, [0; ROOM], Books::default());
    let mut sent = 0u32;
    m.turn(now);
    while m.transmit(now, &mut out).is_some() {}
    // The peer answers the greeting, so that the rest is about sums.
    let hello = flag::ALIVE | flag::HELLO | flag::HELLO_BACK;
    let len = encode_control(&mut buf, hello, seq_of(&mut seq, 0), None).expect("room");
    m.datagram(now, 0, &buf[..len]);
    while let [op, arg, more @ ..] = rest {
        rest = more;
        match op % 8 {
            // Any body, as long as one of those that there are or not, under the next number or another.
            0 | 1 => {
                let len = [8, DIGEST_MAX - header::HDR, usize::from(*arg)][usize::from(op >> 3) % 3];
                let (body, more) = rest.split_at(len.min(rest.len()));
                rest = more;
                let kind = [flag::RESYNC, flag::ALIVE, flag::ACK, flag::NACK][usize::from(op >> 5) % 4];
                let mut bytes = [0; 256];
                // A body that the input is too short for ends in zero bytes.
                let mut whole = [0; DIGEST_MAX];
                let filled = body.len().min(DIGEST_MAX);
                whole[..filled].copy_from_slice(&body[..filled]);
                let len = framed(&mut bytes, kind, seq_of(&mut seq, *arg), &whole[..len.min(DIGEST_MAX)]);
                books.came(&bytes[..len]);
                m.datagram(now, 0, &bytes[..len]);
            }
            2 => {
                let mut bytes = [0; 16];
                let range = Some((0, if arg & 1 == 0 { MARK } else { 0 }));
                let len = encode_control(&mut bytes, flag::RESYNC, seq_of(&mut seq, 0), range).expect("room");
                books.came(&bytes[..len]);
                m.datagram(now, 0, &bytes[..len]);
            }
            3 => now += u64::from(*arg) * u64::from(*arg),
            4 => m.flow_change(now, Event::New, Origin::Kernel, &flow(*arg), 1),
            5 => m.flow_change(now, Event::Destroy, Origin::Kernel, &flow(*arg), 1),
            6 => {
                let mut bytes = [0; 16];
                let range = Some((1, sent));
                let len = encode_control(&mut bytes, flag::ACK, seq_of(&mut seq, 0), range).expect("room");
                m.datagram(now, 0, &bytes[..len]);
            }
            _ => {
                m.turn(now);
                for _ in 0..*arg {
                    let Some(len) = m.transmit(now, &mut out) else { break };
                    assert!(len > 0 && len <= ROOM);
                    books.went(&out[..len]);
                    sent = Messages::new(&out[..len]).flatten().last().map_or(sent, |m| m.seq);
                }
            }
        }
        while m.poll().is_some() {}
        #[cfg(debug_assertions)]
        m.check();
        let caches = m.caches();
        for store in [&caches.internal, &caches.external] {
            let counts = store.counts();
            assert!(counts.flows + counts.dead <= LIMIT);
        }
    }
    let mut quiet = false;
    for _ in 0..100 {
        now += 1000;
        m.turn(now);
        let mut said = 0;
        while let Some(len) = m.transmit(now, &mut out) {
            books.went(&out[..len]);
            said += 1;
            assert!(said < 10_000, "it never stops");
        }
        while m.poll().is_some() {}
        quiet |= said <= 1;
    }
    assert!(quiet);
});

/// The next number, or now and then another.
fn seq_of(seq: &mut u32, arg: u8) -> u32 {
    if arg & 0xf0 == 0xf0 {
        return seq.wrapping_add(u32::from(arg & 0xf) * 3);
    }
    let this = *seq;
    *seq = seq.wrapping_add(1);
    this
}
