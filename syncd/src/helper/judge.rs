//! One packet: read by its protocol, its expectations made, its text changed where a translation asks for it.

use super::expect::{ExpectMaster, ExpectOutcome, ExpectSocket};
use super::limit::Limit;
use super::queue::PacketJudge;
use super::recent::Recent;
use super::types::HelperType;
use std::time::{Duration, Instant};
use zct_engine::Error;
use zct_helpers::few::Few;
use zct_helpers::rewrite::{PACKET_MAX, rewrite};
use zct_helpers::verdict::EXPECTED_MAX;
use zct_helpers::{
    Addr, Datagram, Ends, Expected, Packet, Private, Refusal, Side, State, Transport, Verdict, Write,
};
use zct_wire::consts::{ip_ct, ipproto, ips};
use zct_wire::nfqueue::{Change, Queued, QueuedFlow};

/// How often the kernel is asked how many expectations of a type wait.
const COUNT_AGAIN: Duration = Duration::from_secs(1);

/// Where lines for the log go.
pub(super) trait LogLines {
    /// Something was opened.
    fn made(&mut self, text: &str);
    /// Something was not.
    fn refused(&mut self, text: &str);
}

/// The types, and what is needed to act for them.
#[derive(Debug)]
pub(super) struct ActingTypes {
    pub(super) kinds: Vec<HelperType>,
    /// Name, transport and family of each: a helper that has no stub would make the kernel refuse an
    /// expectation.
    there: Vec<(&'static str, u8, u8)>,
    expectations: ExpectSocket,
    recent: Recent,
    /// Flows of which a packet of this turn changes its length.
    resized: Vec<ExpectMaster>,
    /// The packet as it goes on.
    packet: Box<[u8]>,
}

/// [`ActingTypes`] for a turn, with a log.
pub(super) struct Judging<'a> {
    pub(super) helpers: &'a mut ActingTypes,
    pub(super) lines: &'a mut dyn LogLines,
    pub(super) now: Instant,
}

impl ActingTypes {
    pub(super) fn new() -> Result<ActingTypes, Error> {
        let expectations = ExpectSocket::open()?;
        let (kinds, there, resized) = (Vec::new(), Vec::new(), Vec::new());
        let (recent, packet) = (Recent::new(), vec![0; PACKET_MAX].into());
        Ok(ActingTypes { kinds, there, expectations, recent, resized, packet })
    }
}

impl ActingTypes {
    /// To be called when the verdicts of a turn have been sent.
    pub(super) fn settle(&mut self) {
        for flow in self.resized.drain(..) {
            self.expectations.tell_of(&flow);
        }
    }

    /// To be called when the types have changed.
    pub(super) fn note_types(&mut self) {
        let name = |k: &HelperType| (k.protocol.name, k.protocol.protocol, k.family());
        self.there = self.kinds.iter().map(name).collect();
    }
}

impl PacketJudge for Judging<'_> {
    fn judge(&mut self, queued: &Queued<'_>, say: &mut dyn FnMut(&Change<'_>)) {
        let Ok(Some(flow)) = queued.flow() else { return };
        let family = queued.family;
        let mine = |k: &&mut HelperType| {
            let same = flow.helper == Some(k.protocol.name.as_bytes()) && k.family() == family;
            same && k.protocol.protocol == flow.original.protocol
        };
        let ActingTypes { kinds, there, expectations, recent, resized, packet } = &mut *self.helpers;
        let Some(kind) = kinds.iter_mut().find(mine) else { return };
        kind.counts.packets += 1;
        let (lines, now) = (&mut *self.lines, self.now);
        One { kind, there, expectations, recent, resized, lines, now, flow: &flow, queued }
            .judge(packet, say);
    }
}

/// One packet of a type.
struct One<'a> {
    kind: &'a mut HelperType,
    there: &'a [(&'static str, u8, u8)],
    expectations: &'a mut ExpectSocket,
    recent: &'a mut Recent,
    resized: &'a mut Vec<ExpectMaster>,
    lines: &'a mut dyn LogLines,
    now: Instant,
    flow: &'a QueuedFlow<'a>,
    queued: &'a Queued<'a>,
}

impl One<'_> {
    fn judge(&mut self, out: &mut [u8], say: &mut dyn FnMut(&Change<'_>)) {
        let bytes = self.queued.payload;
        let whole = self.queued.cut_from.is_none();
        let Some(datagram) = Datagram::parse(bytes).filter(|_| whole) else {
            self.kind.counts.unread += 1;
            return;
        };
        let protocol = self.kind.protocol;
        let Some(told) = Private::received(self.flow.private, protocol.private_len) else {
            return self.refuse(Refusal::StalePrivate);
        };
        let (id, original) = (self.flow.id, &self.flow.original);
        if self.flow.status & ips::CONFIRMED == 0 {
            self.recent.forget(id);
        }
        let mut private = self.recent.now(id, original, told);
        let packet = seen(&datagram, bytes, self.queued.info, self.flow);
        let verdict = protocol.packet(&self.kind.config(), &mut private, &packet);
        if verdict.is_match() {
            self.kind.counts.matched += 1;
        }
        if let Some(why) = verdict.refused {
            self.refuse(why);
        }
        let mut change = Change { timeout_s: verdict.timeout_s, ..Change::default() };
        let mut inside = None;
        if !verdict.expected.is_empty() {
            if let Err(why) = self.follow(&packet, &datagram, &verdict, out, &mut change, &mut inside) {
                self.refuse(why);
            }
        }
        change.expected = inside.as_ref();
        if private.is_changed() {
            self.recent.note(id, original, &told, &private);
            change.private = Some((protocol.name.as_bytes(), private.bytes()));
        }
        let nothing = change.private.is_none()
            && change.timeout_s.is_none()
            && change.expected.is_none()
            && change.packet.is_none();
        if !nothing {
            say(&change);
        }
    }

    /// Makes the expectations, and then writes their ports into the packet. If one of them cannot be made,
    /// the packet goes on as it is: without the text that leads to it, the others do no harm.
    fn follow<'o>(
        &mut self,
        packet: &Packet<'_>,
        datagram: &Datagram,
        verdict: &Verdict,
        out: &'o mut [u8],
        change: &mut Change<'o>,
        inside: &mut Option<Expected>,
    ) -> Result<(), Refusal> {
        self.room(verdict.expected.len())?;
        let bytes = self.queued.payload;
        if packet.translated {
            // What can never be written is not opened either.
            rewrite(datagram, bytes, &verdict.expected, &verdict.edits, &mut *out)?;
        }
        let confirmed = self.flow.status & ips::CONFIRMED != 0;
        let master = ExpectMaster { original: self.flow.original, zone: self.flow.zone };
        let mut made: Few<Expected, EXPECTED_MAX> = Few::NONE;
        for (number, wanted) in verdict.expected.iter().enumerate() {
            let wanted = &self.with_helper(wanted);
            // A helper for the expected flow is something that only a verdict can ask for, and so is an
            // expectation of a flow that the kernel has not entered into its table yet.
            let expected = if inside.is_none() && (!confirmed || wanted.helper_name().is_some()) {
                *inside = Some(*wanted);
                self.opened(wanted, packet);
                *wanted
            } else if !confirmed {
                return Err(Refusal::TooMany);
            } else {
                let movable = packet.translated && verdict.edits.iter().any(|e| names(e.write, number));
                match self.expectations.make(&master, wanted, movable) {
                    ExpectOutcome::Made(e) => {
                        self.opened(&e, packet);
                        e
                    }
                    ExpectOutcome::There(e) => e,
                    ExpectOutcome::NoPort => return Err(Refusal::NoFreePort),
                    ExpectOutcome::Refused => return Err(Refusal::Kernel),
                }
            };
            _ = made.push(expected);
        }
        if packet.translated {
            change.packet = rewrite(datagram, bytes, &made, &verdict.edits, out)?;
            self.kind.counts.mangled += u64::from(change.packet.is_some());
            if packet.transport != Transport::Udp && change.packet.is_some_and(|p| p.len() != bytes.len()) {
                self.resized.push(master);
            }
        }
        Ok(())
    }

    /// The expectation without its helper, if there is no stub for that.
    fn with_helper(&self, wanted: &Expected) -> Expected {
        let there = |name| self.there.contains(&(name, wanted.protocol(), wanted.family()));
        match wanted.helper_name() {
            Some(name) if !there(name) => wanted.without_helper(),
            _ => *wanted,
        }
    }

    /// Whether `more` expectations may be made beside those of this type that wait.
    fn room(&mut self, more: usize) -> Result<(), Refusal> {
        let Some(max) = self.kind.settings.max_expectations else { return Ok(()) };
        let max = max as usize;
        let due = self.kind.counted.is_none_or(|at| self.now.saturating_duration_since(at) >= COUNT_AGAIN);
        if self.kind.waiting + more > max && due {
            let (name, family) = (self.kind.protocol.name.as_bytes(), self.kind.family());
            if let Ok(found) = self.expectations.count(name, family) {
                (self.kind.waiting, self.kind.counted) = (found, Some(self.now));
            }
        }
        if self.kind.waiting + more > max { Err(Refusal::TooMany) } else { Ok(()) }
    }

    fn opened(&mut self, e: &Expected, packet: &Packet<'_>) {
        self.kind.counts.made += 1;
        self.kind.waiting += 1;
        let title = self.kind.title();
        let of = ends(&packet.original);
        let from = e.source().map_or("anywhere".into(), |a| ip(a).to_string());
        let (to, port) = (ip(e.destination()), e.port());
        let l4 = if e.protocol() == ipproto::TCP { "tcp" } else { "udp" };
        say(&mut self.kind.made_lines, self.now, |left_out| {
            let text =
                format!("helper {title}: expects {l4} from {from} to {to} port {port}, for {of}{left_out}");
            self.lines.made(&text);
        });
    }

    fn refuse(&mut self, why: Refusal) {
        self.kind.counts.refused[why.index()] += 1;
        let title = self.kind.title();
        let (of, why) = (ends(&self.flow.original), why.name());
        say(&mut self.kind.refused_lines, self.now, |left_out| {
            self.lines.refused(&format!("helper {title}: refused ({why}) in {of}{left_out}"));
        });
    }
}

fn say(limit: &mut Limit, now: Instant, write: impl FnOnce(&str)) {
    match limit.take(now) {
        Some(0) => write(""),
        Some(n) => write(&format!(" ({n} such lines before it were left out)")),
        None => {}
    }
}

fn names(write: Write, number: usize) -> bool {
    match write {
        Write::Port(n)
        | Write::ColonPort(n)
        | Write::HostPort(n)
        | Write::Universal(n)
        | Write::Port16(n)
        | Write::Port32(n) => usize::from(n) == number,
        Write::Address(_) | Write::Length16 | Write::Length32 => false,
    }
}

/// The packet as protocols see it.
fn seen<'a>(datagram: &Datagram, bytes: &'a [u8], info: Option<u32>, flow: &QueuedFlow<'_>) -> Packet<'a> {
    let reply = matches!(info, Some(ip_ct::ESTABLISHED_REPLY | ip_ct::RELATED_REPLY));
    Packet {
        payload: datagram.payload(bytes),
        transport: datagram.transport,
        side: if reply { Side::Reply } else { Side::Original },
        state: match info {
            Some(ip_ct::ESTABLISHED | ip_ct::ESTABLISHED_REPLY) => State::Established,
            Some(ip_ct::RELATED | ip_ct::RELATED_REPLY) => State::Related,
            _ => State::New,
        },
        ends: datagram.ends,
        original: flow.original,
        reply: flow.reply,
        master: flow.master,
        translated: flow.status & (ips::SRC_NAT | ips::DST_NAT) != 0,
    }
}

fn ip(addr: Addr) -> std::net::IpAddr {
    match addr {
        Addr::V4(a) => a.into(),
        Addr::V6(a) => a.into(),
    }
}

fn ends(e: &Ends) -> String {
    format!("{} port {} to {} port {}", ip(e.src()), e.src_port, ip(e.dst()), e.dst_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_the_text_can_move_and_addresses_cannot() {
        assert!(names(Write::Port(1), 1) && names(Write::HostPort(0), 0) && names(Write::Port32(3), 3));
        assert!(!names(Write::Port(1), 0) && !names(Write::Address(0), 0) && !names(Write::Length16, 0));
    }
}
