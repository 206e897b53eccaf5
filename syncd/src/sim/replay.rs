//! Recordings of two real daemons, replayed message by message: through the model of the original, which has
//! to send the same, and into our machine, which has to understand it.

use crate::peer::{Event, Ftfw, Notrack, PeerConfig};
use crate::sim::kernel::KernelReport;
use crate::sim::node::Table;
use crate::sim::original::OriginalMode;
use crate::sim::recorded::{ReplayLine, lines};
use crate::sim::{Original, OriginalConfig, OurNode, Rng};
use crate::store::Key;
use std::collections::{BTreeMap, VecDeque};
use zct_wire::consts::{ipctnl, nlm_f};
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::peer::{Encode, Flow, Kind, MESSAGE_MAX, Messages};
use zct_wire::tuple::Addr;

/// How late a real daemon's timers may be.
const LATE_MS: u64 = 80;

/// A conntrack message as the kernel reports it.
fn report(data: &[u8]) -> KernelReport {
    let frame = Frames::new(data).next().expect("a message").expect("a good one");
    let msg = CtMsg::parse(frame).expect("a conntrack message");
    let view = FlowView::index(msg).expect("a flow");
    let event = match (msg.kind(), msg.flags() & (nlm_f::CREATE | nlm_f::EXCL)) {
        (ipctnl::DELETE, _) => Event::Destroy,
        (_, 0) => Event::Update,
        _ => Event::New,
    };
    let flow = Flow::from_kernel(&view).expect("a flow that can be read");
    KernelReport { event, flow, id: view.id().unwrap().unwrap_or(0) }
}

fn index(letter: &str) -> usize {
    usize::from(letter == "B")
}

fn first_seq(all: &[ReplayLine], from: usize, way: &str) -> u32 {
    let line = all[from..].iter().find(|l| l.who == way).expect("it has sent something");
    u32::from_be_bytes(line.data[4..8].try_into().unwrap())
}

/// What has arrived at a daemon, and may or may not have been handled when it next sent something.
#[derive(Clone, Debug)]
enum Input {
    Event(Box<KernelReport>),
    Datagram(Vec<u8>),
}

/// Two things that were recorded within this time may have happened in the other order.
const CROSSING_MS: u64 = 8;

/// One daemon's model, and what it has sent that is not in the recording yet.
struct Played {
    model: Option<Original>,
    said: VecDeque<Vec<u8>>,
    inbox: VecDeque<(u64, Input)>,
}

impl Played {
    /// Gives the model the first `n` things in the inbox.
    fn hear(model: &mut Original, inbox: &VecDeque<(u64, Input)>, n: usize) {
        for (ms, input) in inbox.iter().take(n) {
            match input {
                Input::Datagram(d) => model.datagram(*ms, d),
                Input::Event(r) => match r.event {
                    Event::New => model.event_new(&r.flow),
                    Event::Update => model.event_update(&r.flow),
                    Event::Destroy => model.event_destroy(&r.flow),
                },
            }
        }
    }

    fn messages(datagrams: &[Vec<u8>]) -> VecDeque<Vec<u8>> {
        let each = datagrams.iter().flat_map(|d| Messages::new(d).map(|m| m.unwrap().bytes.to_vec()));
        each.collect()
    }

    /// Lets the model send its next message, which should be `real`. The latest input may have come too late
    /// for it: all ways to cut the inbox are tried, the latest first.
    fn next(&mut self, now: u64, real: &[u8]) -> Result<(), String> {
        if let Some(said) = self.said.pop_front() {
            return if said == real { Ok(()) } else { Err(show(&said)) };
        }
        let mut first = None;
        let surely = self.inbox.iter().filter(|(ms, _)| ms + CROSSING_MS < now).count();
        for n in (surely..=self.inbox.len()).rev() {
            // A timer may be about to expire.
            for late in [0, LATE_MS] {
                let mut model = self.model.clone().expect("it runs");
                Played::hear(&mut model, &self.inbox, n);
                let mut said = Played::messages(&model.turn(now + late));
                match said.pop_front() {
                    Some(m) if m == real => {
                        self.inbox.drain(..n);
                        (self.model, self.said) = (Some(model), said);
                        return Ok(());
                    }
                    said => first = first.or(said),
                }
            }
        }
        Err(first.map_or("silence".into(), |m| show(&m)))
    }
}

/// A message as we would write it: where the kernel has NAT hooks, the original sends translated ports of 0
/// with every ping (sync-protocol.md §3.1), which we leave out.
fn normal(bytes: &[u8]) -> Vec<u8> {
    let m = Messages::new(bytes).next().unwrap().unwrap();
    let ping = |f: &Flow| matches!(f.orig.proto, Some(1 | 58));
    match (m.kind(), Flow::decode(m.body()).ok().filter(ping)) {
        (Some(Kind::Flow(event)), Some(f)) => {
            let mut buf = [0; MESSAGE_MAX];
            let n = f.encode(&mut buf, event, m.flags, m.seq, Encode::default()).unwrap();
            buf[..n].to_vec()
        }
        _ => bytes.to_vec(),
    }
}

/// What the recordings' configurations filter out: the sync traffic itself.
fn is_filtered(f: &Flow) -> bool {
    matches!(f.orig.src, Some(Addr::V4([10, 99, ..])))
}

fn show(bytes: &[u8]) -> String {
    let m = Messages::new(bytes).next().unwrap().unwrap();
    format!("type {} flags {:02x} seq {} range {:?}: {bytes:02x?}", m.number, m.flags, m.seq, m.range())
}

/// Replays a recording through two models.
fn replay(name: &str, config: OriginalConfig) {
    let all = lines(name);
    let mut nodes = [0, 1].map(|_| Played { model: None, said: VecDeque::new(), inbox: VecDeque::new() });
    // The flows of each kernel, from which a daemon is filled when it starts.
    let mut kernels: [BTreeMap<Vec<u8>, Flow>; 2] = Default::default();
    let mut checked = 0;
    for (at, l) in all.iter().enumerate() {
        let here = format!("{name}, {} ms, {} {}", l.ms, l.who, l.what);
        let i = index(&l.who[..1]);
        match l.what.as_str() {
            "start" => {
                let seq = first_seq(&all, at, if i == 0 { "A>B" } else { "B>A" });
                let mut model = Original::new(l.ms, config, seq);
                kernels[i].values().for_each(|f| model.dumped(f));
                nodes[i].model = Some(model);
            }
            "kill" => {
                assert!(nodes[i].said.is_empty(), "{here}: left unsaid");
                nodes[i].model = None;
                nodes[i].inbox.clear();
            }
            "resync" => nodes[i].model.as_mut().unwrap().request_resync(),
            "bulk" => {
                let model = nodes[i].model.as_mut().unwrap();
                model.bulk_order = order_after(&all[at..], &l.who);
                model.bulk();
            }
            "event" => {
                let r = report(&l.data);
                if is_filtered(&r.flow) {
                    continue;
                }
                let key = Key::of(&r.flow).unwrap().as_bytes().to_vec();
                match r.event {
                    Event::Destroy => _ = kernels[i].remove(&key),
                    Event::Update => kernels[i].entry(key).or_insert(r.flow).merge(&r.flow),
                    Event::New => _ = kernels[i].insert(key, r.flow),
                }
                if nodes[i].model.is_some() {
                    nodes[i].inbox.push_back((l.ms, Input::Event(Box::new(r))));
                }
            }
            "sent" | "lost" => {
                for m in Messages::new(&l.data).map(Result::unwrap) {
                    if let Err(said) = nodes[i].next(l.ms, &normal(m.bytes)) {
                        panic!("{here}:\nreal  {}\nmodel {said}", show(m.bytes));
                    }
                    checked += 1;
                }
                // Its timer runs from when it really sent.
                nodes[i].model.as_mut().unwrap().sent_at(l.ms);
                if let Some(model) = nodes[1 - i].model.as_mut().filter(|_| l.what == "sent") {
                    model.bulk_order = order_after(&all[at..], if i == 0 { "B" } else { "A" });
                    nodes[1 - i].inbox.push_back((l.ms, Input::Datagram(l.data.clone())));
                }
            }
            other => panic!("{here}: what is {other}?"),
        }
    }
    assert!(nodes.iter().all(|n| n.said.is_empty()), "{name}: messages left unsaid");
    assert!(checked > 20, "{name}: only {checked} messages");
}

/// The original walks its hash table, so the order of a bulk is taken from the recording.
fn order_after(rest: &[ReplayLine], node: &str) -> Vec<Vec<u8>> {
    let sent = rest.iter().filter(|l| l.who.starts_with(node) && l.who.contains('>'));
    let messages = sent
        .flat_map(|l| Messages::new(&l.data).map(Result::unwrap))
        .filter(|m| matches!(m.kind(), Some(Kind::Flow(_))));
    messages
        .take(50)
        .map(|m| Key::of(&Flow::decode(m.body()).unwrap()).unwrap().as_bytes().to_vec())
        .collect()
}

const RECORDED: OriginalConfig =
    OriginalConfig { encode: Encode { timeout: true, wscale: false }, ..OriginalConfig::FTFW };

#[test]
fn the_model_says_what_real_daemons_say_of_every_attribute() {
    replay("attributes", RECORDED);
}

#[test]
fn the_model_starts_and_restarts_as_real_daemons_do() {
    replay("start", RECORDED);
}

#[test]
fn the_model_repairs_loss_as_real_daemons_do() {
    replay("loss", RECORDED);
}

#[test]
fn the_model_acknowledges_by_window_as_real_daemons_do() {
    replay("window", OriginalConfig { ack_window: 20, resend_queue: 30, ..RECORDED });
}

#[test]
fn the_model_does_notrack_as_real_daemons_do() {
    replay("notrack", OriginalConfig { mode: OriginalMode::Notrack, ..RECORDED });
}

#[test]
fn the_model_follows_real_traffic_as_real_daemons_do() {
    replay("traffic", RECORDED);
}

/// The states that a node's flow went through, with their times.
type States = BTreeMap<(usize, Vec<u8>), Vec<(u64, Flow)>>;

/// Each message about a flow is what our codec makes of the kernel's messages, attribute for attribute: of
/// the state after the latest of them or, if several came at once, after one just before it.
#[test]
fn our_codec_writes_what_real_daemons_write() {
    let mut compared = 0;
    for name in ["attributes", "start", "loss", "window", "notrack", "traffic"] {
        let mut states = States::new();
        for l in lines(name) {
            let i = index(&l.who[..1]);
            if l.what == "event" {
                let r = report(&l.data);
                // On the wire some flows share a key: those whose ports are not replicated.
                let known = states.entry((i, key(&replicated(&r.flow)))).or_default();
                let flow = match (r.event, known.last()) {
                    (Event::Destroy, _) => continue,
                    (Event::Update, Some((_, old))) => {
                        let mut merged = *old;
                        merged.merge(&r.flow);
                        merged
                    }
                    _ => r.flow,
                };
                known.push((l.ms, flow));
            }
            if l.what != "sent" && l.what != "lost" {
                continue;
            }
            for m in Messages::new(&l.data).map(Result::unwrap) {
                let Some(Kind::Flow(event)) = m.kind() else { continue };
                let theirs = normal(m.bytes);
                let known = &states[&(i, key(&Flow::decode(m.body()).unwrap()))];
                let last = known.len() - 1;
                let recent = |n: usize| n == last || known[n + 1].0 + CROSSING_MS >= l.ms;
                let same = |n: &usize| {
                    let mut buf = [0; MESSAGE_MAX];
                    let len = known[*n].1.encode(&mut buf, event, m.flags, m.seq, Encode::default()).unwrap();
                    buf[..len] == theirs
                };
                let found = (0..=last).rev().take_while(|n| recent(*n)).find(same);
                assert!(found.is_some(), "{name}, {} ms: {theirs:02x?}\nof {known:?}", l.ms);
                compared += 1;
            }
        }
    }
    assert!(compared > 180, "{compared}");
}

fn key(flow: &Flow) -> Vec<u8> {
    Key::of(flow).unwrap().as_bytes().to_vec()
}

fn replicated(f: &Flow) -> Flow {
    crate::sim::node::replicated(f)
}

/// Our machine understands what a real daemon sends, with its losses: nothing is malformed, the losses are
/// counted exactly, and in the end everything that was delivered is there.
#[test]
fn our_machine_understands_real_daemons() {
    for (name, config) in [
        ("attributes", PeerConfig::default()),
        ("start", PeerConfig::default()),
        ("loss", PeerConfig::default()),
        ("traffic", PeerConfig::default()),
        ("notrack", PeerConfig::of(Notrack::default())),
        ("window", PeerConfig::of(Ftfw { ack_window_size: 20, resend_queue_size: 30, ..Ftfw::DEFAULT })),
    ] {
        let mut node = OurNode::new(0, config, &mut Rng::new(1), 77);
        let (mut delivered, mut skipped, mut last) = (Table::new(), 0u64, None);
        for l in lines(name).iter().filter(|l| l.who == "A>B") {
            for m in Messages::new(&l.data).map(Result::unwrap) {
                if l.what == "lost" {
                    continue;
                }
                if let Some(last) = last {
                    skipped += u64::from(m.seq.wrapping_sub(last) - 1);
                }
                last = Some(m.seq);
                let Some(Kind::Flow(event)) = m.kind() else { continue };
                let flow = Flow::decode(m.body()).unwrap();
                let key = Key::of(&flow).unwrap().as_bytes().to_vec();
                match event {
                    Event::New => _ = delivered.insert(key, flow),
                    Event::Update => delivered.entry(key).or_insert(flow).merge(&flow),
                    Event::Destroy => _ = delivered.remove(&key),
                }
            }
            if l.what == "sent" {
                node.machine.datagram(l.ms, 0, &l.data);
            }
        }
        let stats = node.machine.stats();
        assert_eq!((stats.malformed, stats.lost), (0, skipped), "{name}");
        assert_eq!(crate::sim::node::table(&node.machine.caches().external), delivered, "{name}");
    }
}
