//! A minimal peer of conntrackd and zctd: asks the other node for its flows, prints what it hears, and
//! acknowledges it.
//!
//! ```text
//! sync_peer LOCAL:PORT PEER:PORT [COUNT]    # the addresses of a UDP { } section, seen from the other end
//! sync_peer LOCAL:PORT GROUP:PORT [COUNT]   # Multicast { }: LOCAL is the interface's own address
//! ```
//!
//! It is enough of a peer for FT-FW: it greets and acknowledges, but does not ask for what was lost. A
//! NOTRACK node sends its flows too and counts our acknowledgements as malformed; an ALARM node ignores all
//! we send.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use zct_wire::peer::header::{after, encode_control};
use zct_wire::peer::{Expect, Flow, Kind, Message, Messages, flag};
use zct_wire::text::{Out, proto_name};
use zct_wire::tuple::Tuple;

/// Room for the longest datagram.
const DATAGRAM: usize = 65_535;
/// A node says something at least so often.
const SILENCE: Duration = Duration::from_secs(1);

/// What a peer has to remember of the other one.
struct Peer {
    socket: UdpSocket,
    to: SocketAddr,
    /// Our next sequence number: every message takes one.
    seq: u32,
    /// The other has seen our HELLO.
    greeted: bool,
    /// The other has said HELLO since our last message.
    answer: bool,
    /// First message that is not yet acknowledged, and the last one there was.
    open: Option<u32>,
    last: Option<u32>,
}

impl Peer {
    fn send(&mut self, flags: u8, range: Option<(u32, u32)>) -> io::Result<()> {
        let hello = if self.greeted { 0 } else { flag::HELLO };
        let back = if std::mem::take(&mut self.answer) { flag::HELLO_BACK } else { 0 };
        let mut buf = [0; 16];
        let len = encode_control(&mut buf, flags | hello | back, self.seq, range);
        self.seq = self.seq.wrapping_add(1);
        let bytes = len.and_then(|n| buf.get(..n)).expect("sixteen bytes hold any control message");
        match self.socket.send_to(bytes, self.to) {
            // Nobody is there yet.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Acknowledges what has come, or says that we are there.
    fn speak(&mut self) -> io::Result<()> {
        match (self.open.take(), self.last) {
            (Some(from), Some(to)) => self.send(flag::ACK, Some((from, to))),
            _ => self.send(flag::ALIVE, None),
        }
    }

    fn heard(&mut self, m: &Message<'_>) {
        self.answer |= m.flags & flag::HELLO != 0;
        self.greeted |= m.flags & flag::HELLO_BACK != 0;
        match self.last.map(|last| last.wrapping_add(1)) {
            // A node that greets has started anew, and so have its numbers.
            Some(next) if m.seq != next && m.flags & flag::HELLO == 0 => {
                let what = if after(m.seq, next) { "lost" } else { "out of order" };
                println!("{what}: wanted #{next}, got #{}", m.seq);
            }
            _ => {}
        }
        self.last = Some(m.seq);
        self.open.get_or_insert(m.seq);
        println!("#{} {}", m.seq, describe(m));
    }
}

fn describe(m: &Message<'_>) -> String {
    match m.kind() {
        None => format!("type {}, which is none", m.number),
        Some(Kind::Control) => control(m),
        Some(Kind::Digest) => match zct_wire::peer::Digest::decode(m) {
            None => "sums that cannot be read".into(),
            Some(d) => format!("{d:?}"),
        },
        Some(Kind::Flow(event)) => match Flow::decode(m.body()) {
            Err(e) => format!("{event:?} flow that cannot be read: {e}"),
            Ok(f) => {
                let state = f.proto.and_then(|p| p.state_name()).unwrap_or_default();
                let timeout = f.timeout_s.map_or(String::new(), |s| format!(" for {s} s"));
                format!("{event:?} flow {}{timeout} {}", tuple(&f.orig), String::from_utf8_lossy(state))
            }
        },
        Some(Kind::Expect(event)) => match Expect::decode(m.body()) {
            Err(e) => format!("{event:?} expectation that cannot be read: {e}"),
            Ok(e) => format!("{event:?} expectation {} of {}", tuple(&e.tuple), tuple(&e.master)),
        },
    }
}

fn control(m: &Message<'_>) -> String {
    let names = [
        (flag::ALIVE, "ALIVE"),
        (flag::ACK, "ACK"),
        (flag::NACK, "NACK"),
        (flag::RESYNC, "RESYNC"),
        (flag::HELLO, "HELLO"),
        (flag::HELLO_BACK, "HELLO_BACK"),
    ];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| m.flags & bit != 0).map(|(_, name)| *name).collect();
    let range = m.range().map_or(String::new(), |(from, to)| format!(" {from} to {to}"));
    format!("{}{range}", set.join("|"))
}

fn tuple(t: &Tuple) -> String {
    let mut room = [0; 160];
    let mut out = Out::new(&mut room);
    out.put(proto_name(t.proto.unwrap_or(0)));
    for (word, addr, port) in [(" ", t.src, t.src_port), (" -> ", t.dst, t.dst_port)] {
        out.put(word.as_bytes());
        if let Some(a) = addr {
            out.addr(&a);
        }
        if let Some(p) = port {
            out.byte(b':');
            out.u32(u32::from(p));
        }
    }
    String::from_utf8_lossy(out.written()).into_owned()
}

fn open(local: SocketAddr, to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match (local.ip(), to.ip()) {
        (IpAddr::V4(interface), IpAddr::V4(group)) if group.is_multicast() => {
            let socket = UdpSocket::bind(to)?;
            socket.join_multicast_v4(&group, &interface)?;
            socket.set_multicast_loop_v4(false)?;
            socket
        }
        _ => UdpSocket::bind(local)?,
    };
    socket.set_read_timeout(Some(SILENCE))?;
    Ok(socket)
}

fn run(local: SocketAddr, to: SocketAddr, count: u64) -> io::Result<()> {
    let socket = open(local, to)?;
    let mut peer = Peer { socket, to, seq: 1, greeted: false, answer: false, open: None, last: None };
    // Send me all that you have: the one message that a listener cannot do without.
    peer.send(flag::RESYNC, Some((0, 0)))?;
    let (mut left, mut spoke) = (count, Instant::now());
    let mut datagram = vec![0; DATAGRAM];
    while left > 0 {
        match peer.socket.recv_from(&mut datagram) {
            Ok((len, _)) => {
                for message in Messages::new(&datagram[..len]) {
                    left = left.saturating_sub(1);
                    match message {
                        Ok(m) => peer.heard(&m),
                        Err(bad) => println!("malformed: {bad:?}"),
                    }
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) => {}
            Err(e) => return Err(e),
        }
        if peer.answer || spoke.elapsed() >= SILENCE {
            peer.speak()?;
            spoke = Instant::now();
        }
    }
    peer.speak()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [local, to] => local.parse().ok().zip(to.parse().ok()).zip(Some(u64::MAX)),
        [local, to, count] => local.parse().ok().zip(to.parse().ok()).zip(count.parse().ok()),
        _ => None,
    };
    let Some(((local, to), count)) = parsed else {
        eprintln!("usage: sync_peer LOCAL:PORT PEER:PORT [COUNT]");
        return ExitCode::FAILURE;
    };
    match run(local, to, count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
