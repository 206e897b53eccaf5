//! A model of conntrackd 1.4.7 as described in sync-protocol.md, with its faults.
//!
//! It is kept as simple as that description, and shares nothing with our machine but the codec. `replay`
//! checks it message by message against recordings of the real daemon.

use crate::peer::Millis;
use crate::sim::Rng;
use crate::sim::node::{Table, replicated};
use crate::store::Key;
use std::collections::{BTreeMap, VecDeque};
use zct_wire::event::Event;
use zct_wire::peer::header::{after, encode_control};
use zct_wire::peer::{Encode, Flow, Kind, MESSAGE_MAX, Message, Messages, flag};

/// The modes of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OriginalMode {
    Ftfw,
    Alarm,
    Notrack,
}

/// The settings that the model needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OriginalConfig {
    pub(crate) mode: OriginalMode,
    pub(crate) ack_window: u32,
    pub(crate) resend_queue: usize,
    pub(crate) startup_resync: bool,
    pub(crate) encode: Encode,
    /// ALARM: the longest time between two announcements, and the lifetime of flows that are not announced.
    pub(crate) refresh_ms: Millis,
    pub(crate) cache_timeout_ms: Millis,
}

impl OriginalConfig {
    pub(crate) const FTFW: OriginalConfig = OriginalConfig {
        mode: OriginalMode::Ftfw,
        ack_window: 300,
        resend_queue: 131_072,
        startup_resync: false,
        encode: Encode { timeout: true, wscale: false },
        refresh_ms: 60_000,
        cache_timeout_ms: 180_000,
    };
}

/// Bytes of a datagram: an MTU of 1500 minus headers.
const BUFFER: usize = 1472;

type Id = Vec<u8>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OriginalStatus {
    New,
    Alive,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OriginalPlace {
    Nowhere,
    Tx,
    Resend,
}

#[derive(Clone, Debug)]
struct Object {
    flow: Flow,
    status: OriginalStatus,
    place: OriginalPlace,
    // ALARM: when it has to be announced again.
    due: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    Object(Id),
    Control { flags: u8, range: Option<(u32, u32)> },
}

/// The model of one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Original {
    pub(crate) config: OriginalConfig,
    objects: BTreeMap<Id, Object>,
    external: BTreeMap<Id, (Flow, Millis)>,
    tx: VecDeque<Element>,
    resend: VecDeque<(u32, Element)>,
    seq: u32,
    last_sent: Millis,
    hello: bool,
    said: bool,
    answer: bool,
    last: Option<u32>,
    ack_from: Option<u32>,
    window: u32,
    now: Millis,
    rng: Rng,
    /// In a replay: the order in which the real daemon walks its hash table.
    pub(crate) bulk_order: Vec<Id>,
    /// "Packets lost", to which the original adds two too many for each gap.
    pub(crate) lost: u64,
    pub(crate) before: u64,
    pub(crate) malformed: u64,
}

fn id(flow: &Flow) -> Id {
    Key::of(flow).expect("a whole tuple").as_bytes().to_vec()
}

impl Original {
    pub(crate) fn new(now: Millis, config: OriginalConfig, sequence: u32) -> Self {
        let mut o = Original {
            config,
            objects: BTreeMap::new(),
            external: BTreeMap::new(),
            tx: VecDeque::new(),
            resend: VecDeque::new(),
            seq: sequence,
            last_sent: now,
            hello: config.mode == OriginalMode::Ftfw,
            said: false,
            answer: false,
            last: None,
            ack_from: None,
            window: config.ack_window,
            now,
            rng: Rng::new(sequence.into()),
            bulk_order: Vec::new(),
            lost: 0,
            before: 0,
            malformed: 0,
        };
        if config.startup_resync {
            o.request_resync();
        }
        o
    }

    pub(crate) fn dumped(&mut self, flow: &Flow) {
        let due = self.now + self.refresh();
        let object = Object { flow: *flow, status: OriginalStatus::New, place: OriginalPlace::Nowhere, due };
        self.objects.insert(id(flow), object);
    }

    /// ALARM: up to RefreshTime seconds, and one to five fifths of a second.
    fn refresh(&mut self) -> Millis {
        let seconds = self.rng.below(self.config.refresh_ms / 1000) + 1;
        seconds * 1000 + (self.rng.below(5) + 1) * 200
    }

    pub(crate) fn request_resync(&mut self) {
        self.control(flag::RESYNC, Some((0, 0)));
    }

    pub(crate) fn bulk(&mut self) {
        let mut all: Vec<Id> = self.objects.keys().cloned().collect();
        all.sort_by_key(|id| self.bulk_order.iter().position(|o| o == id).unwrap_or(usize::MAX));
        all.into_iter().for_each(|id| self.enqueue(id));
    }

    fn control(&mut self, flags: u8, range: Option<(u32, u32)>) {
        self.tx.push_back(Element::Control { flags, range });
    }

    fn enqueue(&mut self, id: Id) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        if object.place == OriginalPlace::Tx {
            return;
        }
        if object.place == OriginalPlace::Resend {
            self.resend.retain(|(_, e)| *e != Element::Object(id.clone()));
        }
        object.place = OriginalPlace::Tx;
        self.tx.push_back(Element::Object(id));
    }

    pub(crate) fn event_new(&mut self, flow: &Flow) {
        let id = id(flow);
        self.forget(&id);
        self.dumped(flow);
        self.enqueue(id);
    }

    pub(crate) fn event_update(&mut self, flow: &Flow) {
        let id = id(flow);
        match self.objects.get_mut(&id) {
            Some(o) if o.status != OriginalStatus::Dead => {
                o.flow.merge(flow);
                o.status = OriginalStatus::Alive;
                self.enqueue(id);
            }
            _ => self.event_new(flow),
        }
    }

    pub(crate) fn event_destroy(&mut self, flow: &Flow) {
        let id = id(flow);
        if let Some(o) = self.objects.get_mut(&id) {
            o.status = OriginalStatus::Dead;
            self.enqueue(id);
        }
    }

    /// Removes an object and its place in the queues.
    fn forget(&mut self, id: &Id) {
        if self.objects.remove(id).is_some() {
            self.tx.retain(|e| *e != Element::Object(id.clone()));
            self.resend.retain(|(_, e)| *e != Element::Object(id.clone()));
        }
    }

    pub(crate) fn datagram(&mut self, now: Millis, bytes: &[u8]) {
        self.now = now;
        for message in Messages::new(bytes) {
            match message {
                Err(_) => self.malformed += 1,
                Ok(m) => match self.config.mode {
                    OriginalMode::Ftfw => self.receive_ftfw(&m),
                    OriginalMode::Notrack => self.receive_notrack(&m),
                    OriginalMode::Alarm => self.receive_alarm(&m),
                },
            }
        }
    }

    fn receive_ftfw(&mut self, m: &Message<'_>) {
        let flags = m.flags & !flag::GREETING;
        let range_ok = m.range().is_none_or(|(from, to)| !after(from, to));
        let (data, control) = match m.kind() {
            Some(Kind::Flow(_) | Kind::Expect(_)) => (flags == 0, false),
            Some(Kind::Control) => match flags {
                flag::ALIVE => (false, true),
                flag::ACK | flag::NACK | flag::RESYNC => (false, range_ok),
                _ => (false, false),
            },
            // It knows nothing of sums.
            Some(Kind::Digest) | None => (false, false),
        };
        if !self.sequence(m, data || control) {
            return;
        }
        if !(data || control) {
            self.malformed += 1;
            return;
        }
        if data {
            self.data(m);
            return;
        }
        match (flags, m.range()) {
            (flag::ACK, Some((from, to))) => self.acked(from, to),
            (flag::NACK, Some((from, to))) => {
                let again: Vec<Element> = self
                    .resend
                    .iter()
                    .filter(|(s, _)| !after(from, *s) && !after(*s, to))
                    .map(|(_, e)| e.clone())
                    .collect();
                self.resend.retain(|(s, _)| after(from, *s) || after(*s, to));
                for e in again {
                    if let Element::Object(id) = &e {
                        if let Some(o) = self.objects.get_mut(id) {
                            o.place = OriginalPlace::Tx;
                        }
                    }
                    self.tx.push_back(e);
                }
            }
            (flag::RESYNC, _) => self.bulk(),
            _ => {}
        }
    }

    /// The table of sync-protocol.md §5.1.3; false when the message has to be dropped. A message of an
    /// unknown kind changes nothing.
    fn sequence(&mut self, m: &Message<'_>, known: bool) -> bool {
        if m.flags & flag::HELLO != 0 && known {
            self.answer = true;
            if self.ack_from.is_some_and(|from| after(from, m.seq)) {
                self.ack_from = Some(m.seq);
                self.window = self.config.ack_window - 1;
            }
            let gone: Vec<_> = self.resend.drain(..).collect();
            for (_, e) in gone {
                if let Element::Object(id) = e {
                    self.leave_resend(&id);
                }
            }
            self.in_order(m.seq);
            self.hello_back(m);
            return true;
        }
        let Some(last) = self.last else {
            if known {
                self.in_order(m.seq);
                self.hello_back(m);
            }
            return true;
        };
        let next = last.wrapping_add(1);
        if m.seq == next {
            if known {
                self.in_order(m.seq);
                self.hello_back(m);
            }
            return true;
        }
        if after(m.seq, next) {
            self.lost += u64::from(m.seq.wrapping_sub(last)) + 1;
            if known {
                if let Some(from) = self.ack_from {
                    self.control(flag::ACK, Some((from, last)));
                }
                self.control(flag::NACK, Some((next, m.seq.wrapping_sub(1))));
                self.window = self.config.ack_window - 1;
                self.ack_from = Some(m.seq);
                self.last = Some(m.seq);
                self.hello_back(m);
            }
            return true;
        }
        self.before += 1;
        false
    }

    fn hello_back(&mut self, m: &Message<'_>) {
        if m.flags & flag::HELLO_BACK != 0 && self.said {
            self.hello = false;
        }
    }

    fn in_order(&mut self, seq: u32) {
        self.last = Some(seq);
        let from = *self.ack_from.get_or_insert(seq);
        self.window = self.window.wrapping_sub(1);
        if self.window == 0 {
            self.control(flag::ACK, Some((from, seq)));
            self.window = self.config.ack_window;
            self.ack_from = None;
        }
    }

    fn leave_resend(&mut self, id: &Id) {
        if let Some(o) = self.objects.get_mut(id) {
            o.place = OriginalPlace::Nowhere;
            if o.status == OriginalStatus::Dead {
                self.objects.remove(id);
            }
        }
    }

    fn acked(&mut self, from: u32, to: u32) {
        let mut kept = VecDeque::new();
        while let Some((seq, e)) = self.resend.pop_front() {
            if after(seq, to) {
                kept.push_back((seq, e));
                break;
            }
            if after(from, seq) {
                kept.push_back((seq, e));
            } else if let Element::Object(id) = e {
                self.leave_resend(&id);
            }
        }
        kept.append(&mut self.resend);
        self.resend = kept;
    }

    fn receive_notrack(&mut self, m: &Message<'_>) {
        let flags = m.flags & !flag::GREETING;
        match m.kind() {
            Some(Kind::Flow(_) | Kind::Expect(_)) if flags == 0 => self.data(m),
            Some(Kind::Control) if flags == flag::RESYNC => self.bulk(),
            Some(Kind::Control) if flags == flag::ALIVE => {}
            Some(Kind::Flow(_) | Kind::Expect(_) | Kind::Control | Kind::Digest) | None => {
                self.malformed += 1
            }
        }
    }

    fn receive_alarm(&mut self, m: &Message<'_>) {
        if m.flags == 0 {
            self.data(m);
        }
    }

    fn data(&mut self, m: &Message<'_>) {
        let event = match m.kind() {
            Some(Kind::Flow(event)) => event,
            // This model has no expectations, and control messages were handled before.
            Some(Kind::Expect(_) | Kind::Control | Kind::Digest) | None => return,
        };
        let Ok(flow) = Flow::decode(m.body()) else {
            self.malformed += 1;
            return;
        };
        let (id, now) = (id(&flow), self.now);
        match event {
            Event::New => _ = self.external.insert(id, (flow, now)),
            Event::Update => {
                let entry = self.external.entry(id).or_insert((flow, now));
                entry.0.merge(&flow);
                entry.1 = now;
            }
            Event::Destroy => _ = self.external.remove(&id),
        }
    }

    pub(crate) fn deadline(&self) -> Millis {
        if self.config.mode == OriginalMode::Alarm {
            return self.now + 100;
        }
        if self.tx.is_empty() { self.last_sent + 1000 } else { 0 }
    }

    /// One run of the transmit queue, which sends whole datagrams.
    pub(crate) fn turn(&mut self, now: Millis) -> Vec<Vec<u8>> {
        self.now = now;
        if self.config.mode == OriginalMode::Alarm {
            let limit = self.config.cache_timeout_ms;
            self.external.retain(|_, (_, touched)| *touched + limit > now);
            let due: Vec<Id> =
                self.objects.iter().filter(|(_, o)| o.due <= now).map(|(id, _)| id.clone()).collect();
            due.into_iter().for_each(|id| self.enqueue(id));
        } else if self.last_sent + 1000 <= now && self.tx.is_empty() {
            match self.ack_from.take().zip(self.last) {
                Some(range) => self.control(flag::ACK, Some(range)),
                None => self.control(flag::ALIVE, None),
            }
        }
        let (mut out, mut buffer) = (Vec::new(), Vec::new());
        while let Some(element) = self.tx.pop_front() {
            let Some(message) = self.message(element) else { continue };
            if buffer.len() + message.len() >= BUFFER {
                out.push(std::mem::take(&mut buffer));
            }
            buffer.extend(message);
            self.last_sent = now;
        }
        if !buffer.is_empty() {
            out.push(buffer);
        }
        out
    }

    /// Numbers and serialises one element, and keeps it for sending again.
    fn message(&mut self, element: Element) -> Option<Vec<u8>> {
        let mut greeting = if self.hello { flag::HELLO } else { 0 };
        if self.answer {
            greeting |= flag::HELLO_BACK;
        }
        let (seq, mut buf) = (self.seq, [0; MESSAGE_MAX]);
        let due = self.now + self.refresh();
        let ftfw = self.config.mode == OriginalMode::Ftfw;
        let (len, keep) = match &element {
            Element::Control { flags, range } => {
                let len = encode_control(&mut buf, flags | greeting, seq, *range).expect("it fits");
                (len, *flags != flag::ALIVE)
            }
            Element::Object(id) => {
                let o = self.objects.get_mut(id)?;
                let event = match o.status {
                    OriginalStatus::New => Event::New,
                    OriginalStatus::Alive => Event::Update,
                    OriginalStatus::Dead => Event::Destroy,
                };
                let len = o.flow.encode(&mut buf, event, greeting, seq, self.config.encode).expect("it fits");
                o.place = if ftfw { OriginalPlace::Resend } else { OriginalPlace::Nowhere };
                o.due = due;
                if !ftfw && o.status == OriginalStatus::Dead {
                    self.objects.remove(id);
                }
                (len, true)
            }
        };
        self.seq = self.seq.wrapping_add(1);
        self.said |= self.hello;
        self.answer = false;
        if ftfw && keep {
            if self.resend.len() >= self.config.resend_queue {
                if let Some((_, Element::Object(id))) = self.resend.pop_front() {
                    self.leave_resend(&id);
                }
            }
            self.resend.push_back((seq, element));
        }
        Some(buf[..len].to_vec())
    }

    /// In a replay: when the real daemon sent, from which its timer runs.
    pub(crate) fn sent_at(&mut self, ms: Millis) {
        self.last_sent = ms;
    }

    pub(crate) fn internal_table(&self) -> Table {
        let live = self.objects.iter().filter(|(_, o)| o.status != OriginalStatus::Dead);
        live.map(|(id, o)| (id.clone(), replicated(&o.flow))).collect()
    }

    pub(crate) fn external_table(&self) -> Table {
        self.external.iter().map(|(id, (f, _))| (id.clone(), *f)).collect()
    }

    pub(crate) fn external_len(&self) -> usize {
        self.external.len()
    }
}
