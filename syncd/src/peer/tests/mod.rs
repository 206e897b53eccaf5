//! One machine against hand-made messages: the traces of sync-protocol.md §4 to §7, and where zctd differs.

mod alarm;
mod apply;
mod delays;
mod ftfw;
mod local;
mod notrack;
mod repair;
mod storms;

use crate::peer::{
    Alarm, Event, Ftfw, Link, Machine, Millis, Mode, Notice, Notrack, Origin, Output, PeerConfig, Seed,
};
use std::fmt;
use zct_wire::peer::header::encode_control;
use zct_wire::peer::{Encode, Expect, Flow, Kind, MESSAGE_MAX, Messages, flag};
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

/// Our first number, and the peer's.
const OURS: u32 = 1000;
const PEER: u32 = 5000;
const SEED: Seed = Seed { sequence: OURS, random: 7, hash: [1, 2] };

#[derive(Default)]
struct TestLog {
    notices: Vec<Notice>,
    flows: Vec<(Event, Flow)>,
    expects: Vec<(Event, Expect)>,
    dumps: u32,
    flushes: u32,
}

impl TestLog {
    fn take(&mut self, output: Output<'_>) {
        match output {
            Output::Notice(notice) => self.notices.push(notice),
            Output::InjectFlow(event, flow) => self.flows.push((event, *flow)),
            Output::InjectExpect(event, expect) => self.expects.push((event, *expect)),
            Output::DumpKernel => self.dumps += 1,
            Output::FlushKernel => self.flushes += 1,
        }
    }
}

/// A message as the tests look at it.
#[derive(Clone, PartialEq)]
struct SeenMessage {
    kind: u8,
    flags: u8,
    seq: u32,
    range: Option<(u32, u32)>,
    flow: Option<Flow>,
}

impl SeenMessage {
    fn head(&self) -> Head {
        head(self.kind, self.flags, self.seq)
    }
}

/// As failed assertions print it: `ALIVE|HELLO #1001`.
impl fmt::Debug for SeenMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head().fmt(f)?;
        if let Some((from, to)) = self.range {
            write!(f, " {from}-{to}")?;
        }
        self.flow.as_ref().map_or(Ok(()), |flow| write!(f, " {flow:?}"))
    }
}

/// Type, flags and number of a message.
#[derive(Clone, Copy, PartialEq)]
struct Head(u8, u8, u32);

fn head(kind: u8, flags: u8, seq: u32) -> Head {
    Head(kind, flags, seq)
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head(kind, flags, seq) = *self;
        let kind = match Kind::from_number(kind) {
            Some(Kind::Flow(event)) => format!("flow {event:?}"),
            Some(Kind::Expect(event)) => format!("expectation {event:?}"),
            // For a control message the flags say what it is.
            Some(Kind::Control) => String::new(),
            Some(Kind::Digest) => "sums".into(),
            None => format!("type {kind}"),
        };
        let mut words: Vec<String> = [kind].into_iter().filter(|kind| !kind.is_empty()).collect();
        let mut rest = flags;
        for (flag, word) in FLAGS {
            if flags & flag != 0 {
                words.push(word.into());
                rest &= !flag;
            }
        }
        if rest != 0 || words.is_empty() {
            words.push(format!("{rest:#04x}"));
        }
        write!(f, "{} #{seq}", words.join("|"))
    }
}

const FLAGS: [(u8, &str); 6] = [
    (flag::RESYNC, "RESYNC"),
    (flag::NACK, "NACK"),
    (flag::ACK, "ACK"),
    (flag::ALIVE, "ALIVE"),
    (flag::HELLO, "HELLO"),
    (flag::HELLO_BACK, "HELLO_BACK"),
];

#[test]
fn a_message_that_was_not_expected_can_be_read() {
    let print = |kind, flags| format!("{:?}", [head(kind, flags, 1001)]);
    assert_eq!(print(CTL, 48), "[ALIVE|HELLO #1001]");
    assert_eq!(print(NEW, flag::HELLO_BACK), "[flow New|HELLO_BACK #1001]");
    assert_eq!(print(CTL, 0x81), "[0x81 #1001]");
    assert_eq!(print(7, 0), "[type 7 #1001]");
    let ack = SeenMessage { kind: CTL, flags: flag::ACK, seq: 1001, range: Some((5, 6)), flow: None };
    assert_eq!(format!("{ack:?}"), "ACK #1001 5-6");
}

struct Bench {
    m: Machine,
    log: TestLog,
    now: Millis,
    peer_seq: u32,
}

const CTL: u8 = Kind::Control.number();
const NEW: u8 = Kind::Flow(Event::New).number();
const UPD: u8 = Kind::Flow(Event::Update).number();
const DEL: u8 = Kind::Flow(Event::Destroy).number();

fn flow(n: u16) -> Flow {
    let orig = Tuple {
        src: Some(Addr::V4([10, 1, 0, 2])),
        dst: Some(Addr::V4([10, 2, 0, 2])),
        proto: Some(6),
        src_port: Some(n),
        dst_port: Some(80),
        ..Tuple::default()
    };
    let info = TcpInfo { state: Some(3), ..TcpInfo::default() };
    Flow {
        orig,
        status: Some(0x18e),
        timeout_s: Some(432_000),
        proto: Some(ProtoInfo::Tcp(info)),
        ..Flow::default()
    }
}

impl Bench {
    fn new(config: PeerConfig) -> Self {
        Bench::with_links(config, vec![Link { payload_max: 1472, up: true }])
    }

    fn with_links(config: PeerConfig, links: Vec<Link>) -> Self {
        let m = Machine::new(0, config, links, 0, SEED);
        Bench { m, log: TestLog::default(), now: 0, peer_seq: PEER }
    }

    /// A machine in FT-FW after the greetings, with nothing to acknowledge on either side and no
    /// bulk to come.
    fn greeted(config: PeerConfig) -> Self {
        let mut b = Bench::new(config);
        b.run_to(1000);
        b.control(flag::ALIVE | flag::HELLO | flag::HELLO_BACK, None);
        // Both sides ask and answer until nothing is left to do.
        for _ in 0..20 {
            let sent = b.run(600);
            let Some(last) = sent.last() else { continue };
            let first = sent.first().map_or(OURS, |s| s.seq);
            b.control(flag::ACK, Some((first, last.seq)));
        }
        assert!(!b.m.resync_is_running() && !b.m.bulk_is_running());
        b.run(1100);
        let last = b.m.delivery.seq.wrapping_sub(1);
        b.control(flag::ACK, Some((OURS, last)));
        assert_eq!(b.m.resend_queue(), []);
        b
    }

    /// What the machine has asked for so far.
    fn log(&mut self) -> &TestLog {
        while let Some(output) = self.m.poll() {
            self.log.take(output);
        }
        &self.log
    }

    fn event(&mut self, event: Event, flow: &Flow) {
        self.m.flow_change(self.now, event, Origin::Kernel, flow, 1);
    }

    /// Receives a datagram from the peer.
    fn receive(&mut self, bytes: &[u8]) {
        self.m.datagram(self.now, 0, bytes);
    }

    /// Receives the peer's next control message.
    fn control(&mut self, flags: u8, range: Option<(u32, u32)>) {
        let mut buf = [0; 16];
        let n = encode_control(&mut buf, flags, self.peer_seq, range).unwrap();
        self.peer_seq = self.peer_seq.wrapping_add(1);
        self.receive(&buf[..n]);
    }

    /// Receives the peer's next message about a flow.
    fn data(&mut self, event: Event, flags: u8, flow: &Flow) {
        let mut buf = [0; MESSAGE_MAX];
        let n = flow.encode(&mut buf, event, flags, self.peer_seq, Encode::default()).unwrap();
        self.peer_seq = self.peer_seq.wrapping_add(1);
        self.receive(&buf[..n]);
    }

    /// Everything that is sent now.
    fn sent(&mut self) -> Vec<SeenMessage> {
        self.datagrams().iter().flatten().cloned().collect()
    }

    fn datagrams(&mut self) -> Vec<Vec<SeenMessage>> {
        self.m.turn(self.now);
        let (mut out, mut buf) = (Vec::new(), [0xa5; 2000]);
        while let Some(n) = self.m.transmit(self.now, &mut buf) {
            let see = |m: zct_wire::peer::Message<'_>| SeenMessage {
                kind: m.number,
                flags: m.flags,
                seq: m.seq,
                range: m.range().filter(|_| m.number == CTL),
                flow: matches!(m.kind(), Some(Kind::Flow(_))).then(|| Flow::decode(m.body()).unwrap()),
            };
            out.push(Messages::new(&buf[..n]).map(|m| see(m.unwrap())).collect());
            assert!(out.len() < 10_000, "does not stop");
        }
        out
    }

    /// Lets time pass as a reactor would; returns what was sent meanwhile.
    fn run(&mut self, ms: Millis) -> Vec<SeenMessage> {
        self.run_to(self.now + ms)
    }

    fn run_to(&mut self, end: Millis) -> Vec<SeenMessage> {
        let mut out = self.sent();
        loop {
            let next = self.m.deadline(self.now).map_or(end, |t| t.max(self.now + 1)).min(end);
            self.now = next;
            out.extend(self.sent());
            if next == end {
                return out;
            }
        }
    }

    fn external(&self, flow: &Flow) -> Option<Flow> {
        let id = self.m.caches().external.find(&crate::store::Key::of(flow)?)?;
        self.m.caches().external.flow(id)
    }
}

/// The configuration file is checked elsewhere: in this test no number is so senseless that
/// the machine panics.
#[test]
fn any_numbers_can_be_lived_with() {
    let ftfw = Ftfw { resend_queue_size: 0, ack_window_size: 0, ..Ftfw::DEFAULT };
    let alarm = Alarm { refresh_time_s: 0, cache_timeout_s: 0 };
    let modes: [Mode; 3] = [ftfw.into(), alarm.into(), Notrack::default().into()];
    for mode in modes {
        for hash_limit in [0, 10] {
            let mut b = Bench::new(PeerConfig { hash_limit, purge_timeout_s: 0, ..PeerConfig::of(mode) });
            for n in 0..20 {
                b.event(Event::New, &flow(n));
                b.data(Event::New, 0, &flow(n));
                b.run(700);
                b.event(if n % 2 == 0 { Event::Destroy } else { Event::Update }, &flow(n));
                b.control(flag::ACK, Some((OURS, OURS + 100)));
                b.m.check();
            }
            // With empty caches ALARM has nothing to send.
            assert!(b.m.stats().sent > 0 || hash_limit == 0);
            assert!(b.m.caches().internal.counts().flows <= hash_limit);
        }
    }
}
