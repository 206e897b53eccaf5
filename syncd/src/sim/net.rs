//! The network between two nodes, and the receive buffers of both.

use crate::peer::{Millis, Reassembler};
use crate::sim::Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    /// The share of datagrams that are lost, in percent.
    pub(crate) loss: u64,
    /// The share of datagrams that arrive twice, in percent.
    pub(crate) dup: u64,
    /// The shortest and the longest delay. Delays are independent of each other, so the order changes.
    pub(crate) delay_ms: (Millis, Millis),
    /// True where nothing gets through: from node 0 to node 1, and from 1 to 0.
    pub(crate) cut: [bool; 2],
}

impl Quality {
    pub(crate) const PERFECT: Quality = Quality { loss: 0, dup: 0, delay_ms: (0, 0), cut: [false; 2] };
}

/// Bytes that the kernel counts for a datagram in a receive buffer, and the bytes it allows by default.
const TRUESIZE: usize = 2304;
const RCVBUF: usize = 212_992;

/// Hears every datagram, also those that are lost, and repeats some: to whom they were for and to whom they
/// were from, at once and much later, as they were or with a bit changed.
#[derive(Debug)]
pub(crate) struct Attacker {
    /// How many he repeats for a hundred that he hears.
    pub(crate) percent: u64,
    tape: Vec<Vec<u8>>,
    pub(crate) repeated: u64,
}

/// Datagrams that he remembers.
const TAPE: usize = 20_000;

impl Attacker {
    pub(crate) fn new(percent: u64) -> Attacker {
        Attacker { percent, tape: Vec::new(), repeated: 0 }
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.tape.len() < TAPE {
            self.tape.push(bytes.to_vec());
        }
    }

    fn repeats(&mut self, rng: &mut Rng) -> Option<(usize, Vec<u8>, Millis)> {
        if !rng.percent(self.percent) {
            return None;
        }
        let mut bytes = self.tape.get(rng.below(self.tape.len() as u64) as usize)?.clone();
        if rng.percent(10) {
            let bit = rng.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        self.repeated += 1;
        Some((rng.below(2) as usize, bytes, rng.below(500)))
    }
}

/// Time of arrival, order of sending, receiver, bytes.
type UnderWay = (Millis, u64, usize, Vec<u8>);

/// The datagrams on their way and in receive buffers.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) quality: Quality,
    rng: Rng,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sent: u64,
    sockets: [VecDeque<Vec<u8>>; 2],
    // For TCP: what has arrived at each node is a stream, cut anywhere.
    streams: Option<[Reassembler; 2]>,
    /// Somebody who hears everything, and repeats it when he likes.
    pub(crate) attacker: Option<Attacker>,
    /// Turns four bytes into four others wherever they stand in a datagram.
    pub(crate) alter: Option<([u8; 4], [u8; 4])>,
    /// What was sent, with its sender, if somebody wants to know.
    pub(crate) log: Option<Vec<(usize, Vec<u8>)>>,
    /// Datagrams that a full receive buffer refused, by receiver.
    pub(crate) overflowed: [u64; 2],
    /// Datagrams sent, by sender.
    pub(crate) datagrams: [u64; 2],
}

impl Net {
    pub(crate) fn new(rng: Rng, quality: Quality) -> Self {
        Net {
            quality,
            rng,
            under_way: BinaryHeap::new(),
            sent: 0,
            sockets: [VecDeque::new(), VecDeque::new()],
            streams: None,
            attacker: None,
            alter: None,
            log: None,
            overflowed: [0; 2],
            datagrams: [0; 2],
        }
    }

    /// Sends from node `from` to the other.
    pub(crate) fn send(&mut self, now: Millis, from: usize, bytes: &[u8]) {
        self.datagrams[from] += 1;
        self.log.iter_mut().for_each(|log| log.push((from, bytes.to_vec())));
        if let Some(mut attacker) = self.attacker.take() {
            attacker.hear(bytes);
            while let Some((to, bytes, delay_ms)) = attacker.repeats(&mut self.rng) {
                self.put_under_way(now + delay_ms, to, &bytes);
            }
            self.attacker = Some(attacker);
        }
        let copies = 1 + u64::from(self.rng.percent(self.quality.dup));
        for _ in 0..copies {
            if self.quality.cut[from] || self.rng.percent(self.quality.loss) {
                continue;
            }
            let (min, max) = self.quality.delay_ms;
            if self.streams.is_some() {
                return self.send_stream(now + max, from, bytes);
            }
            let at = now + min + self.rng.below(max - min + 1);
            self.put_under_way(at, 1 - from, bytes);
        }
    }

    fn put_under_way(&mut self, at: Millis, to: usize, bytes: &[u8]) {
        self.sent += 1;
        let mut bytes = bytes.to_vec();
        if let Some((from, to)) = self.alter {
            let found = bytes.windows(4).position(|w| w == from);
            found.into_iter().for_each(|at| bytes[at..at + 4].copy_from_slice(&to));
        }
        self.under_way.push(Reverse((at, self.sent, to, bytes)));
    }

    /// Makes this network two TCP connections, one in each direction.
    pub(crate) fn stream(&mut self) {
        self.streams = Some(Default::default());
    }

    /// The connection to node `to` breaks and is made again: what is on its way is lost, and half a message
    /// with it.
    pub(crate) fn break_stream(&mut self, to: usize) {
        self.under_way.retain(|Reverse(d)| d.2 != to);
        if let Some(streams) = &mut self.streams {
            streams[to] = Reassembler::default();
        }
    }

    /// Delivers in order, in pieces that do not respect messages.
    fn send_stream(&mut self, at: Millis, from: usize, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, next) = rest.split_at(1 + self.rng.below(rest.len() as u64) as usize);
            self.put_under_way(at, 1 - from, piece);
            rest = next;
        }
    }

    /// Moves what has arrived into the receive buffers.
    pub(crate) fn arrive(&mut self, now: Millis) {
        while self.under_way.peek().is_some_and(|Reverse(d)| d.0 <= now) {
            let Some(Reverse((_, _, to, bytes))) = self.under_way.pop() else { return };
            if let Some(streams) = &mut self.streams {
                streams[to].room()[..bytes.len()].copy_from_slice(&bytes);
                let whole = streams[to].filled(bytes.len()).expect("framing holds");
                if !whole.is_empty() {
                    self.sockets[to].push_back(whole.to_vec());
                }
                continue;
            }
            if (self.sockets[to].len() + 1) * TRUESIZE > RCVBUF {
                self.overflowed[to] += 1;
            } else {
                self.sockets[to].push_back(bytes);
            }
        }
    }

    /// Takes one datagram from a receive buffer.
    pub(crate) fn receive(&mut self, node: usize) -> Option<Vec<u8>> {
        self.sockets[node].pop_front()
    }

    /// Empties the receive buffer of a node that was restarted.
    pub(crate) fn forget(&mut self, node: usize) {
        self.sockets[node].clear();
    }

    /// When something will happen next.
    pub(crate) fn next(&self, now: Millis) -> Option<Millis> {
        if self.sockets.iter().any(|s| !s.is_empty()) {
            return Some(now + 1);
        }
        self.under_way.peek().map(|Reverse(d)| d.0)
    }
}
