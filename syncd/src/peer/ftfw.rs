//! What comes in: checks, sequence, and dispatch (sync-protocol.md §2.4, §5).

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::config::Mode;
use crate::peer::entry::{Control, Item, Range, Sent};
use crate::peer::host::{Host, Notice};
use crate::peer::machine::Machine;
use crate::peer::track::Seen;
use zct_wire::event::Event;
use zct_wire::peer::header::after;
use zct_wire::peer::{Kind, Message, Messages, flag};

/// A window is halved at most once in so long: one loss shows in several reports.
const LOSS_APART_MS: Millis = 100;
/// Entries that stay unacknowledged for so long while later ones are acknowledged are sent again: the peer's
/// acknowledgement was lost and cannot come again.
const STUCK_MS: Millis = 5000;
/// The same for requests. A peer of our kind acknowledges a request when it is served, which for a bulk may
/// take long, so patience doubles each time.
const REQUEST_STUCK_MS: Millis = 8000;
const PATIENCE_DOUBLINGS: u32 = 7;

/// An entry at the front of the resend queue, and since when it has been there.
#[derive(Debug, Default)]
struct Front(Option<(u32, Millis)>);

impl Front {
    /// Takes note of the number that is there now; hands it out when it has been there for `patience`.
    fn look(&mut self, now: Millis, seq: Option<u32>, patience: Millis) -> Option<u32> {
        match (self.0, seq) {
            (Some((old, since)), Some(seq)) if old == seq => {
                if now.saturating_sub(since) < patience {
                    return None;
                }
                self.0 = None;
                Some(seq)
            }
            (_, seq) => {
                self.0 = seq.map(|s| (s, now));
                None
            }
        }
    }
}

/// What stays unacknowledged although later numbers were acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    data: Front,
    request: Front,
    doublings: u32,
}

impl Stuck {
    fn patience_ms(&self) -> Millis {
        REQUEST_STUCK_MS << self.doublings
    }
}

/// What a message brings for the caches, and what has happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Flow(Event),
    Expect(Event),
}

/// What a message is, once type and flags make sense together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Data(Data),
    Alive,
    Ack(Range),
    Nack(Range),
    Resync,
}

/// Tells what a message is; `None` for what the original calls a malformed header.
fn classify(m: &Message<'_>) -> Option<Class> {
    let flags = m.flags & !flag::GREETING;
    match m.kind()? {
        Kind::Flow(event) => (flags == 0).then_some(Class::Data(Data::Flow(event))),
        Kind::Expect(event) => (flags == 0).then_some(Class::Data(Data::Expect(event))),
        Kind::Control => control(m, flags),
    }
}

/// The same for a control message.
fn control(m: &Message<'_>, flags: u8) -> Option<Class> {
    if flags == flag::ALIVE {
        return Some(Class::Alive);
    }
    let range = m.range()?;
    match flags {
        flag::RESYNC => Some(Class::Resync),
        _ if after(range.0, range.1) => None,
        flag::ACK => Some(Class::Ack(range)),
        flag::NACK => Some(Class::Nack(range)),
        _ => None,
    }
}

impl Machine {
    /// A datagram that came in by `link`, or whole messages out of a stream (see
    /// [`Reassembler`](crate::peer::Reassembler)).
    ///
    /// Bad messages are counted and cost nothing but themselves, unless their length cannot be believed: then
    /// they cost the rest of the datagram.
    pub fn datagram(
        &mut self,
        now: Millis,
        link: usize,
        bytes: &[u8],
        caches: &mut Caches,
        host: &mut impl Host,
    ) {
        for message in Messages::new(bytes) {
            let accepted = match message {
                Err(bad) => {
                    self.stats.bad(bad);
                    continue;
                }
                Ok(m) => match self.config.mode {
                    Mode::Ftfw => self.receive_ftfw(now, &m, caches, host),
                    Mode::Alarm => self.receive_alarm(now, &m, caches, host),
                    Mode::Notrack => self.receive_notrack(now, &m, caches, host),
                },
            };
            if accepted {
                self.stats.received += 1;
                self.last_heard = Some(now);
                if std::mem::take(&mut self.resync.overdue) {
                    self.want_resync(now);
                }
                if self.links.heard(link) {
                    host.notice(Notice::LinkChanged(link));
                }
            }
        }
    }

    fn receive_ftfw(
        &mut self,
        now: Millis,
        m: &Message<'_>,
        caches: &mut Caches,
        host: &mut impl Host,
    ) -> bool {
        let Some(class) = classify(m) else {
            // The original does not count it as received, so the next message looks like a gap, and it asks
            // for the bad one again and again.
            self.stats.header();
            self.tracker.skip(m.seq);
            return false;
        };
        let seen = self.tracker.look(now, m.seq);
        let hello = m.flags & flag::HELLO != 0;
        if seen == Seen::Before && !hello {
            self.stats.before += 1;
            return false;
        }
        let had_greeted = self.hello.heard();
        let starts = self.heard_hello(now, hello, m.seq, caches, host);
        if let Some(range) = self.tracker.accept(now, m.seq, starts || seen != Seen::InOrder) {
            self.acknowledge(now, range);
        }
        match seen {
            // With HELLO a gap is either loss, before we were heard, or another start. Asking for what may
            // have been lost does no harm in the other case.
            Seen::Gap(gap) if !hello || (starts && had_greeted) => self.lost(now, gap, hello),
            Seen::NewRow if !hello => {
                host.notice(Notice::PeerRenumbered);
                self.want_resync(now);
            }
            Seen::InOrder | Seen::Before | Seen::Gap(_) | Seen::NewRow => {}
        }
        if m.flags & flag::HELLO_BACK != 0 {
            self.heard_hello_back(now);
        }
        match class {
            Class::Data(data) => self.apply(now, data, m.body(), caches, host),
            Class::Alive => {}
            Class::Ack(range) => self.acked(now, range, caches),
            Class::Nack(range) => self.nacked(now, m.seq, range, caches),
            Class::Resync => {
                host.notice(Notice::ResyncRequested);
                host.notice(Notice::BulkStarts);
                self.start_bulk(host);
                self.repair.defer(m.seq, self.bulk_is_pending());
            }
        }
        true
    }

    /// Numbers are missing. Few are asked for again; more than a resend queue holds are made good by a bulk.
    fn lost(&mut self, now: Millis, gap: Range, hello: bool) {
        let count = gap.1.wrapping_sub(gap.0).saturating_add(1);
        if !hello {
            self.stats.lost += u64::from(count);
        }
        self.missing_after_hello(now);
        if count as usize <= self.config.resend_queue_size {
            self.request(now, Control::Nack(gap.0, gap.1));
        } else if !hello {
            self.want_resync(now);
        }
    }

    /// The peer has received this range.
    fn acked(&mut self, now: Millis, (from, to): Range, caches: &mut Caches) {
        self.last_ack = now;
        let mut messages = 0;
        for at in self.places.positions((from, to)) {
            let Some(sent) = self.places.take(at, caches) else { continue };
            messages += 1;
            // With HELLO on it, it may be acknowledged without having been received: ended flows and the
            // knowledge of the rest stay until the bulk that follows the peer's answer.
            let shaky = sent.flags & flag::HELLO != 0 || self.hello.is_shaky(now);
            if shaky {
                self.hello.retain_if_dead(sent.item, caches);
            } else {
                self.arrived(sent.item, caches);
            }
            if matches!(sent.item, Item::Control(c) if c.is_request()) {
                self.resync.answered();
                self.stuck.doublings = 0;
            }
        }
        self.places.trim(caches);
        self.pacer.acknowledged(messages);
        self.resync.acknowledged(to, self.seq);
        self.look_for_stuck(now, from, caches);
    }

    /// Sends again what stays unacknowledged before acknowledged numbers.
    fn look_for_stuck(&mut self, now: Millis, from: u32, caches: &mut Caches) {
        // The first few tell enough: what does not count any more is not trimmed behind the front.
        let first = |requests: bool| {
            let is_request = |s: &Sent| matches!(s.item, Item::Control(c) if c.is_request());
            let found = self.places.front(64, caches).find(|s| is_request(s) == requests);
            found.filter(|s| after(from, s.seq)).map(|s| s.seq)
        };
        let (data, request) = (first(false), first(true));
        if let Some(seq) = self.stuck.data.look(now, data, STUCK_MS) {
            self.send_again(now, (seq, from.wrapping_sub(1)), false, caches);
        }
        if let Some(seq) = self.stuck.request.look(now, request, self.stuck.patience_ms()) {
            self.stuck.doublings = (self.stuck.doublings + 1).min(PATIENCE_DOUBLINGS);
            self.send_again(now, (seq, seq), true, caches);
        }
    }

    /// Moves what was sent under these numbers back onto the queues. True when there was something.
    fn send_again(&mut self, now: Millis, (from, to): Range, requests: bool, caches: &mut Caches) -> bool {
        let mut found = false;
        for at in self.places.positions((from, to)) {
            let Some(sent) = self.places.get(at, caches) else { continue };
            let is_request = matches!(sent.item, Item::Control(c) if c.is_request());
            if is_request && !requests {
                continue;
            }
            found = true;
            self.places.take(at, caches);
            match sent.item {
                Item::Flow(_) | Item::Expect(_) => {
                    if self.places.claim(sent.item, true, caches) {
                        self.repair.push(sent.item);
                    }
                }
                Item::Control(_) => self.queue.push(now, sent.item),
            }
        }
        self.places.trim(caches);
        found
    }

    /// The peer has lost this range.
    fn nacked(&mut self, now: Millis, seq: u32, range: Range, caches: &mut Caches) {
        let found = self.send_again(now, range, true, caches);
        if found && self.hello.is_shaky(now) {
            self.hello.missed();
        }
        if found && now.saturating_sub(self.last_loss) >= LOSS_APART_MS {
            self.last_loss = now;
            self.pacer.lost();
        }
        // What the full resend queue has given up cannot be sent again: everything is, once. Deletions among
        // it are gone for good, and only a peer that starts over can find out.
        let (from, _) = range;
        let mut bulk = false;
        if self.discarded.is_some_and(|d| !after(from, d)) {
            self.discarded = None;
            bulk = true;
        }
        if self.discarded_dead.is_some_and(|d| !after(from, d)) {
            self.discarded_dead = None;
            self.hello.say_again();
            // Our HELLO empties the peer's resend queue; what it may have to send again is lost.
            self.begin_resync(now);
        }
        if bulk {
            self.hello.want_bulk(now);
        }
        self.repair.defer(seq, bulk);
    }

    fn receive_notrack(
        &mut self,
        now: Millis,
        m: &Message<'_>,
        caches: &mut Caches,
        host: &mut impl Host,
    ) -> bool {
        let class = match classify(m) {
            Some(c @ (Class::Data(_) | Class::Alive | Class::Resync)) => c,
            Some(Class::Ack(_) | Class::Nack(_)) | None => {
                self.stats.header();
                return false;
            }
        };
        // Counted only: everything is taken in any order.
        match self.tracker.look(now, m.seq) {
            Seen::InOrder | Seen::NewRow => _ = self.tracker.accept(now, m.seq, false),
            Seen::Gap((from, to)) => {
                self.stats.lost += u64::from(to.wrapping_sub(from).saturating_add(1));
                self.tracker.accept(now, m.seq, true);
            }
            Seen::Before => self.stats.before += 1,
        }
        match class {
            Class::Data(data) => self.apply(now, data, m.body(), caches, host),
            Class::Resync => {
                host.notice(Notice::ResyncRequested);
                host.notice(Notice::BulkStarts);
                self.start_bulk(host);
            }
            Class::Alive | Class::Ack(_) | Class::Nack(_) => {}
        }
        true
    }

    fn receive_alarm(
        &mut self,
        now: Millis,
        m: &Message<'_>,
        caches: &mut Caches,
        host: &mut impl Host,
    ) -> bool {
        if m.flags != 0 {
            self.stats.foreign_mode += 1;
            return false;
        }
        let Some(Class::Data(data)) = classify(m) else {
            self.stats.header();
            return false;
        };
        self.apply(now, data, m.body(), caches, host);
        true
    }
}
