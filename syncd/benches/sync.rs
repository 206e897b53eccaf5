//! What a flow costs on its way through the daemon's pure parts: from kernel message to frame, and from frame
//! to store.
//!
//! `cargo bench -p zctd` prints nanoseconds. Under `valgrind --tool=callgrind` the same program counts the
//! instructions of one part: `sync PART FLOWS [ROUNDS]`, PART being one of the names below.

use std::hint::black_box;
use std::time::Instant;
use zct_engine::secret::{Secret, Vault};
use zct_wire::build::{Builder, Head};
use zct_wire::consts::{cta, ipctnl, ips};
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::peer::digest::Ask;
use zct_wire::peer::header::encode_control;
use zct_wire::peer::sealed::OVERHEAD;
use zct_wire::peer::{Digest, Encode, Flow, MESSAGE_MAX, Messages, flag};
use zct_wire::proto::{ProtoInfo, TcpFlags, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};
use zctd::peer::seal::{AuthMode, GroupKey, Seal, Settings};
use zctd::peer::{Event, Link, Machine, Origin, PeerConfig, Seed};
use zctd::store::{FlowStore, Key, Meta};

/// The NEW event that the kernel sends for flow `i` of the usual mix: of ten, six TCP, two UDP, one
/// source-NATed TCP, one TCP over IPv6.
fn event(i: u32) -> Vec<u8> {
    let udp = matches!(i % 10, 6 | 7);
    let last = (1 + i % 250) as u8;
    let (src, dst) = if i % 10 == 9 {
        let mut src = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        src[12..].copy_from_slice(&i.to_be_bytes());
        (Addr::V6(src), Addr::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    } else {
        (Addr::V4((0x0a00_0000 | i).to_be_bytes()), Addr::V4([192, 0, 2, last]))
    };
    let orig = Tuple {
        src: Some(src),
        dst: Some(dst),
        proto: Some(if udp { 17 } else { 6 }),
        src_port: Some((1024 + i % 60_000) as u16),
        dst_port: Some(if udp { 53 } else { 443 }),
        ..Tuple::default()
    };
    let mut reply = orig.inverse().expect("not ICMP");
    let mut status = ips::SEEN_REPLY | ips::ASSURED | ips::CONFIRMED;
    if i % 10 == 8 {
        reply.dst = Some(Addr::V4([203, 0, 113, last]));
        status |= ips::SRC_NAT | ips::SRC_NAT_DONE | ips::DST_NAT_DONE;
    }
    let mut buf = [0; 512];
    let mut b = Builder::new(&mut buf, Head::new(ipctnl::NEW, 0).flags(0x600).family(src.family()));
    orig.build(&mut b, cta::TUPLE_ORIG);
    reply.build(&mut b, cta::TUPLE_REPLY);
    b.put_be32(cta::ID, i).put_be32(cta::STATUS, status).put_be32(cta::TIMEOUT, 30_000);
    if !udp {
        let flags = Some(TcpFlags::default());
        ProtoInfo::Tcp(TcpInfo { state: Some(3), wscale: [Some(7); 2], flags: [flags; 2] })
            .build(&mut b, cta::PROTOINFO);
    }
    b.nest(cta::SYNPROXY, |b| _ = b.put_be32(1, 0).put_be32(2, 0).put_be32(3, 0));
    b.put_be32(cta::MARK, 0);
    b.finish().expect("it fits").to_vec()
}

fn view(bytes: &[u8]) -> FlowView<'_> {
    let frame = Frames::new(bytes).next().expect("a message").expect("a good one");
    FlowView::index(CtMsg::parse(frame).expect("a conntrack message")).expect("a flow")
}

fn machine(flows: u32) -> Machine {
    let config =
        PeerConfig { hash_limit: flows as usize * 2, digest_ms: Some(5000), ..PeerConfig::default() };
    let link = Link { payload_max: 1472, up: true };
    Machine::new(0, config, vec![link], 0, Seed { sequence: 1, random: 1, hash: [1, 2] })
}

/// The part with this name, ready to run once over all flows.
fn part(name: &str, flows: u32) -> Option<Box<dyn FnMut()>> {
    let events: Vec<Vec<u8>> = (0..flows).map(event).collect();
    let read: Vec<Flow> = events.iter().map(|e| Flow::from_kernel(&view(e)).expect("a flow")).collect();
    let what = Encode::default();
    let frames = move |read: &[Flow]| -> Vec<Vec<u8>> {
        let mut out = vec![Vec::new()];
        for (seq, f) in (1..).zip(read) {
            let mut buf = [0; MESSAGE_MAX];
            let n = f.encode(&mut buf, Event::New, 0, seq, what).expect("it fits");
            if out.last().is_some_and(|d: &Vec<u8>| d.len() + n >= 1472) {
                out.push(Vec::new());
            }
            out.last_mut().expect("one at least").extend(&buf[..n]);
        }
        out
    };
    Some(match name {
        // Only the codec.
        "from-kernel" => Box::new(move || {
            for e in &events {
                black_box(Flow::from_kernel(&view(e)).expect("a flow"));
            }
        }),
        "encode" => Box::new(move || {
            let mut buf = [0; MESSAGE_MAX];
            for f in &read {
                black_box(f.encode(&mut buf, Event::New, 0, 1, what).expect("it fits"));
            }
        }),
        "decode" => {
            let frames = frames(&read);
            Box::new(move || {
                for m in frames.iter().flat_map(|d| Messages::new(d)) {
                    black_box(Flow::decode(m.expect("a good one").body()).expect("a flow"));
                }
            })
        }
        // Only the store.
        "insert" => {
            let mut store = FlowStore::new(flows as usize, [1, 2]);
            Box::new(move || {
                store.clear();
                for f in &read {
                    let place = store.locate(&Key::of(f).expect("a key"));
                    store.insert(&place, f, Meta::default()).expect("room");
                }
            })
        }
        "locate" => {
            let mut store = FlowStore::new(flows as usize, [1, 2]);
            for f in &read {
                let place = store.locate(&Key::of(f).expect("a key"));
                store.insert(&place, f, Meta::default()).expect("room");
            }
            Box::new(move || {
                for f in &read {
                    black_box(store.locate(&Key::of(f).expect("a key")));
                }
            })
        }
        "unpack" => {
            let mut store = FlowStore::new(flows as usize, [1, 2]);
            for f in &read {
                let place = store.locate(&Key::of(f).expect("a key"));
                store.insert(&place, f, Meta::default()).expect("room");
            }
            Box::new(move || {
                let mut cursor = Default::default();
                while let Some(id) = store.walk(&mut cursor) {
                    black_box(store.flow(id));
                }
            })
        }
        // The whole way out: each event goes into the cache and out in a datagram, in bursts of 300.
        "active" => Box::new(move || {
            let mut m = machine(flows);
            let mut buf = [0; 1472];
            for (now, burst) in (0..).step_by(10).zip(events.chunks(300)) {
                for e in burst {
                    let view = view(e);
                    let (flow, id) = (Flow::from_kernel(&view).expect("a flow"), view.id().expect("an id"));
                    m.flow_change(now, Event::New, Origin::Kernel, &flow, id.unwrap_or(0));
                }
                m.turn(now + 10);
                while let Some(n) = m.transmit(now + 10, &mut buf) {
                    black_box(&buf[..n]);
                }
            }
        }),
        // As above, and each datagram goes into the other cache, and is acknowledged.
        "backup" => {
            let frames = frames(&read);
            Box::new(move || {
                let mut m = machine(flows);
                let mut buf = [0; 1472];
                for (now, d) in (0..).zip(&frames) {
                    m.datagram(now, 0, d);
                    while let Some(n) = m.transmit(now, &mut buf) {
                        black_box(&buf[..n]);
                    }
                }
                assert_eq!(m.caches().external.counts().flows, flows as usize);
            })
        }
        // A flow of the cache changes, the peer is told, and acknowledges; with sums, where the peer compares.
        "update" | "update-sums" => {
            let (mut m, mut buf, mut now, mut mark) = (machine(flows), [0; 1472], 0, 0);
            let mut peer = [0; 256];
            let mut say = move |m: &mut Machine, now, flags, range, ask: bool| {
                let seq = now as u32;
                let n = if ask {
                    Digest::Ask(Ask::Whole).encode(&mut peer, 0, seq)
                } else {
                    encode_control(&mut peer, flags, seq, range)
                };
                m.datagram(now, 0, &peer[..n.expect("it fits")]);
            };
            say(&mut m, 1, flag::ALIVE | flag::HELLO_BACK, None, false);
            if name == "update-sums" {
                say(&mut m, 2, 0, None, true);
            }
            let mut tell = move || {
                mark += 1;
                for (burst, events) in read.chunks(300).zip(events.chunks(300)) {
                    now += 10;
                    for (f, e) in burst.iter().zip(events) {
                        let id = view(e).id().expect("an id").unwrap_or(0);
                        let f = Flow { mark: Some(mark), ..*f };
                        m.flow_change(now, Event::Update, Origin::Kernel, &f, id);
                    }
                    m.turn(now + 10);
                    let mut sent = None;
                    while let Some(n) = m.transmit(now + 10, &mut buf) {
                        for message in Messages::new(&buf[..n]) {
                            let seq = message.expect("a good one").seq;
                            sent = Some((sent.map_or(seq, |(first, _)| first), seq));
                        }
                    }
                    say(&mut m, now + 10, flag::ACK, sent, false);
                }
            };
            tell();
            Box::new(tell)
        }
        // One datagram of 1,400 bytes for each flow, and what it costs to refuse one that is forged.
        "seal" | "open" | "forged" => {
            let secret = |byte| Secret::new(&mut [byte; 32]).expect("a page");
            let make = |node| {
                let keys = vec![GroupKey { number: 1, secret: secret(1) }];
                let settings = Settings { node, mode: AuthMode::Enforce, keys, active: 1, from: None };
                Seal::new(0, settings, Vault::new().expect("a page"), secret(2)).expect("the key is there")
            };
            let (mut here, mut there, mut frame) = (make(1), make(2), [0; 1400]);
            // They prove themselves to each other.
            for _ in 0..3 {
                for (from, to) in [(true, false), (false, true)] {
                    let from = if from { &mut here } else { &mut there };
                    let n = from.fill(0, &mut frame, &mut |_| Some(0)).expect("a frame");
                    let to = if to { &mut here } else { &mut there };
                    to.open(0, &mut frame[..n], &mut |_| {});
                }
            }
            let (opens, forges) = (name == "open", name == "forged");
            Box::new(move || {
                for _ in 0..flows {
                    let n = here.close(&mut frame, 1400 - OVERHEAD).expect("a frame");
                    if forges {
                        frame[n - 1] ^= 1;
                    }
                    if opens || forges {
                        there.open(0, &mut frame[..n], &mut |m| _ = black_box(m.len()));
                    }
                }
            })
        }
        "nothing" => Box::new(|| {}),
        _ => return None,
    })
}

const PARTS: &[&str] = &[
    "from-kernel",
    "encode",
    "decode",
    "insert",
    "locate",
    "unpack",
    "active",
    "backup",
    "update",
    "update-sums",
    "seal",
    "open",
    "forged",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| !w.starts_with("--")).collect();
    if let [name, flows, rounds @ ..] = &words[..] {
        let mut run = part(name, flows.parse().expect("a number")).expect("a part");
        let rounds = rounds.first().map_or(1, |n| n.parse().expect("a number"));
        return (0..rounds).for_each(|_| run());
    }
    for flows in [10_000u32, 300_000, 1_000_000] {
        for name in PARTS {
            let mut run = part(name, flows).expect("listed");
            let best = (0..3).map(|_| {
                let begin = Instant::now();
                run();
                begin.elapsed()
            });
            let ns = best.min().expect("three").as_nanos() as f64 / f64::from(flows);
            println!("{name:12} {flows:8} flows {ns:7.1} ns a flow");
        }
    }
}
