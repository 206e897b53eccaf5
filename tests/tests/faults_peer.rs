//! A peer that is not what it should be: a puppet at the peer's address that sends whatever the test makes.
//! Afterwards a real peer takes its place, and all is as if nothing had been.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::faults::{rng, times};
use zct_wire::consts::ipproto;
use zct_wire::event::Event;
use zct_wire::peer::header::encode_control;
use zct_wire::peer::{Encode, Flow, Messages, flag};
use zct_wire::tuple::{Addr, Tuple};

use Which::Zctd;

/// Where the peer's daemon has its link.
const ADDRESS: &str = "10.9.0.2:3780";

/// A peer whose every byte is up to the test.
struct Puppet {
    socket: UdpSocket,
    /// The number of its next message.
    seq: u32,
}

fn flow(n: u32) -> Flow {
    let [_, a, b, c] = n.to_be_bytes();
    Flow {
        orig: Tuple {
            src: Some(Addr::V4([10, 50 + a, b, c])),
            dst: Some(Addr::V4([10, 200, 0, 1])),
            proto: Some(ipproto::UDP),
            src_port: Some(1000),
            dst_port: Some(53),
            ..Tuple::default()
        },
        status: Some(8),
        timeout_s: Some(600),
        ..Flow::default()
    }
}

/// The message about a flow.
fn told(flow: &Flow, event: Event, flags: u8, seq: u32) -> Vec<u8> {
    let mut buf = [0; 512];
    let len = flow.encode(&mut buf, event, flags, seq, Encode::default()).expect("it fits");
    buf[..len].to_vec()
}

impl Puppet {
    /// Takes the peer's place, and waits until the daemon greets it.
    fn open(cluster: &Cluster) -> Puppet {
        let socket = cluster.inside(At::There, || UdpSocket::bind(ADDRESS).expect("the address"));
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let puppet = Puppet { socket, seq: 0 };
        puppet.hears("a greeting", |flags, _| flags & flag::HELLO != 0);
        puppet
    }

    /// Waits for a message of the daemon, by its flags and range.
    fn hears(&self, what: &str, wanted: impl Fn(u8, Option<(u32, u32)>) -> bool) {
        let mut buf = [0; 65536];
        loop {
            let len = match self.socket.recv(&mut buf) {
                Ok(len) => len,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => panic!("{what} never came: {e}"),
            };
            let mut messages = Messages::new(&buf[..len]).map(|m| m.expect("the daemon's own are good"));
            if messages.any(|m| m.kind() == Some(zct_wire::peer::Kind::Control) && wanted(m.flags, m.range()))
            {
                return;
            }
        }
    }

    fn raw(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, "10.9.0.1:3780").expect("it is sent");
    }

    fn next(&mut self) -> u32 {
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        seq
    }

    /// Says that it has started, with this number, and that it has heard the daemon.
    fn starts(&mut self, seq: u32) {
        self.seq = seq;
        self.control(flag::ALIVE | flag::HELLO | flag::HELLO_BACK, None);
    }

    fn control(&mut self, flags: u8, range: Option<(u32, u32)>) {
        let mut buf = [0; 16];
        let seq = self.next();
        let len = encode_control(&mut buf, flags, seq, range).expect("it fits");
        self.raw(&buf[..len]);
    }

    fn tells(&mut self, event: Event, numbers: impl IntoIterator<Item = u32>) {
        for n in numbers {
            let seq = self.next();
            self.raw(&told(&flow(n), event, 0, seq));
        }
    }
}

fn knows(cluster: &Cluster, count: usize) {
    eventually("the flows of the puppet", || match cluster.external(At::Here).len() {
        n if n == count => Ok(()),
        n => Err(format!("{n} of {count}: {}", cluster.ask(At::Here, &["-s", "network"]))),
    });
}

/// A node with flows of its own whose peer is a puppet.
fn alone(settings: Settings) -> Cluster {
    let mut cluster = Cluster::prepare(Zctd, Zctd, settings);
    cluster.run(At::Here);
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 300));
    cluster
}

/// The puppet leaves, and a real peer with flows of its own comes.
fn a_real_peer_comes(mut cluster: Cluster, puppet: Puppet) {
    drop(puppet);
    // A program that another test is just starting has a copy of its socket until it runs.
    eventually("the address is free", || {
        let bound = cluster.inside(At::There, || UdpSocket::bind(ADDRESS));
        bound.map(drop).map_err(|e| e.to_string())
    });
    cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    cluster.run(At::There);
    cluster.whole("with a real peer");
}

/// Numbers begin anywhere, pass 2^32, leave gaps, and begin again.
#[test]
fn numbers_from_zero_and_around_the_end() {
    let cluster = alone(Settings::default());
    let mut puppet = Puppet::open(&cluster);
    let mut count = 0;
    for start in [0, 1, u32::MAX, u32::MAX - 20, 0x7fff_fff0, 0x8000_0000, 0] {
        puppet.starts(start);
        puppet.tells(Event::New, count..count + 40);
        // The three numbers that are missing here are asked for, no more and no fewer.
        let missing = (puppet.seq, puppet.seq.wrapping_add(2));
        puppet.seq = puppet.seq.wrapping_add(3);
        puppet.tells(Event::New, count + 43..count + 50);
        puppet.hears("a request", |flags, range| flags & flag::NACK != 0 && range == Some(missing));
        puppet.tells(Event::New, count + 40..count + 43);
        // What it has sent already comes once more, with the old numbers.
        for n in 0..10 {
            puppet.raw(&told(&flow(count), Event::Destroy, 0, start.wrapping_add(n)));
        }
        count += 50;
        knows(&cluster, count as usize);
    }
    // A row of low numbers without a greeting is taken for late messages, but not for ever.
    puppet.seq = 0x9000_0000;
    let mut n = count;
    eventually("a new row", || {
        puppet.tells(Event::New, [n]);
        n += 1;
        let log = cluster.log(At::Here);
        if log.contains("sequence numbers went back") { Ok(()) } else { Err(log) }
    });
    puppet.tells(Event::New, [n]);
    eventually("flows of the new row", || {
        let last = flow(n).orig.src;
        let Some(Addr::V4([a, b, c, d])) = last else { panic!("IPv4") };
        let text = cluster.ask(At::Here, &["-e"]);
        if text.contains(&format!("src={a}.{b}.{c}.{d} ")) {
            Ok(())
        } else {
            Err(text.lines().count().to_string())
        }
    });
    a_real_peer_comes(cluster, puppet);
}

/// An attribute of the sync protocol, with its header and padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = (value.len() as u16 + 4).to_be_bytes().to_vec();
    out.extend(kind.to_be_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// A message with this body, and its true length.
fn message(kind: u8, flags: u8, seq: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x10 | kind, flags];
    out.extend((body.len() as u16 + 8).to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.extend(body);
    out
}

/// What makes a flow: addresses, status, protocol and ports.
fn body(n: u32) -> Vec<u8> {
    told(&flow(n), Event::New, 0, 0)[8..].to_vec()
}

/// Every attribute in every length, in an otherwise good message: it is either taken or counted.
#[test]
fn attributes_of_every_length_are_taken_or_counted() {
    let cluster = alone(Settings::default());
    let mut puppet = Puppet::open(&cluster);
    let mut rng = rng();
    puppet.starts(1);
    let mut sent = 0u32;
    let lengths = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 24, 25, 32, 33, 64, 1025];
    for kind in (0..=40).chain([255, 256, 0x7fff, 0x8000, u16::MAX]) {
        for length in lengths {
            let value: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
            for first in [false, true] {
                let (seq, mut whole) = (puppet.next(), body(sent));
                let at = if first { 0 } else { whole.len() };
                whole.splice(at..at, attribute(kind, &value));
                puppet.raw(&message(0, 0, seq, &whole));
                sent += 1;
            }
        }
        eventually("each is taken or counted", || {
            let created = created(&cluster.ask(At::Here, &["-s", "cache"]));
            let bad = cluster.statistic(At::Here, &["-s", "network"], "Malformed payload");
            if created + bad == u64::from(sent) {
                Ok(())
            } else {
                Err(format!("{created} + {bad} of {sent}"))
            }
        });
    }
    // Of duplicates, the last one counts.
    let mut twice = body(900_000);
    for mark in [7u32, 8, 9] {
        twice.extend(attribute(7, &mark.to_be_bytes()));
    }
    let seq = puppet.next();
    puppet.raw(&message(0, 0, seq, &twice));
    let full: Vec<u8> = (0..1400).flat_map(|_| body(900_001)).collect();
    let seq = puppet.next();
    puppet.raw(&message(0, 0, seq, &full));
    eventually("the last one", || {
        let text = cluster.ask(At::Here, &["-e"]);
        let lines = |src: &str| text.lines().filter(|l| l.contains(src)).collect::<Vec<_>>();
        let (one, other) = (lines("src=10.63.187.160 "), lines("src=10.63.187.161 "));
        if one.len() == 1 && one[0].contains("mark=9") && other.len() == 1 {
            Ok(())
        } else {
            Err(text.clone())
        }
    });
    a_real_peer_comes(cluster, puppet);
}

/// Creations of the external cache, from `-s cache`.
fn created(text: &str) -> u64 {
    let external = text.split("cache:external").nth(1).expect("a cache");
    let line = external.lines().find(|l| l.contains("creation OK/failed")).expect("a line");
    let (ok, _) = line.split_once(':').expect("numbers").1.split_once('/').expect("two numbers");
    ok.trim().parse().expect("a number")
}

/// Headers that lie, ranges that make no sense, flags and types that nobody has defined.
#[test]
fn frames_that_make_no_sense_cost_nothing_but_themselves() {
    let cluster = alone(Settings::default());
    let mut puppet = Puppet::open(&cluster);
    puppet.starts(5);
    puppet.tells(Event::New, 0..10);
    knows(&cluster, 10);
    let good = body(20);
    for kind in 0..16 {
        for flags in 0..=255 {
            let seq = puppet.next();
            puppet.raw(&message(kind, flags, seq, &[]));
        }
    }
    for length in (0..64).chain([0x7fff, 0x8000, u16::MAX]) {
        for kind in [0, 2, 3, 10] {
            let seq = puppet.next();
            let mut whole = message(kind, 0, seq, &good);
            whole[2..4].copy_from_slice(&length.to_be_bytes());
            puppet.raw(&whole);
        }
    }
    // Lengths of attributes that lie: shorter than a header, and beyond the message.
    for length in (0..8).chain([200, u16::MAX]) {
        let seq = puppet.next();
        let mut whole = message(0, 0, seq, &good);
        whole[8..10].copy_from_slice(&length.to_be_bytes());
        puppet.raw(&whole);
    }
    // Every datagram that is cut short.
    let whole = message(0, 0, puppet.seq, &good);
    for end in 0..whole.len() {
        puppet.raw(&whole[..end]);
    }
    for flags in [flag::ACK, flag::NACK, flag::RESYNC, flag::ACK | flag::NACK, flag::RANGED] {
        for range in [(0, u32::MAX), (u32::MAX, 0), (5, 4), (0, 0x8000_0000), (0x7fff_ffff, 3), (1, 1)] {
            puppet.control(flags, Some(range));
        }
    }
    puppet.starts(0xffff_0000);
    puppet.tells(Event::New, 30..40);
    eventually("good ones behind all that", || {
        let text = cluster.ask(At::Here, &["-e"]);
        let there = (30..40).filter(|n| text.contains(&format!("src=10.50.0.{n} "))).count();
        if there == 10 {
            Ok(())
        } else {
            Err(format!("{there}: {}", cluster.ask(At::Here, &["-s", "network"])))
        }
    });
    for name in ["Malformed header", "Malformed payload", "Truncated message", "Bad message size"] {
        assert!(cluster.statistic(At::Here, &["-s", "network"], name) > 0, "{name}");
    }
    a_real_peer_comes(cluster, puppet);
}

/// More flows than the cache may hold, each of them new: the daemon keeps what there is room for, answers all
/// the while, and does not grow. Once the flood is over, the room belongs to the real peer's flows.
#[test]
fn a_flood_of_distinct_flows_against_the_limit() {
    let cluster = alone(Settings { general: "HashLimit 1000", ..Settings::default() });
    let mut puppet = Puppet::open(&cluster);
    puppet.starts(0);
    puppet.tells(Event::New, [0]);
    knows(&cluster, 1);
    for _ in 0..times(1, 10) {
        for second in 0..5u32 {
            for datagram in 0..1000 {
                let mut all = Vec::new();
                for n in 0..20 {
                    let seq = puppet.next();
                    all.extend(told(&flow((second * 1000 + datagram) * 20 + n), Event::New, 0, seq));
                }
                puppet.raw(&all);
            }
            assert!(cluster.ask(At::Here, &["-s"]).contains("cache external"));
        }
    }
    let external = cluster.external(At::Here).len();
    let refused = cluster.statistic(At::Here, &["-s", "cache"], "no space left in cache");
    println!("{external} flows kept, the last of the counts is {refused}");
    assert!(external <= 1000, "{external}");
    cluster.sound(At::Here);
    a_real_peer_comes(cluster, puppet);
}
