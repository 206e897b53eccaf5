//! `-A` of a flow that already exists: what differs is changed, the rest is left as it is, and what cannot
//! be changed is reported with both values.
//!
//! The kernel's own update (ctnetlink.md §7) refuses even a line that was saved from the flow itself: it
//! takes no NAT attributes even if they agree with the flow, no status that leaves out a bit that is set,
//! and no timeout where it is fixed. So the flow is looked up first, and only what it lacks is asked for.

use super::wanted::{FLAGS, Mode, Reply, Wanted, endpoint};
use crate::fail::Fail;
use std::fmt::Write as _;
use zct_engine::batch::BATCH_MAX;
use zct_engine::{Answer, Batch, Error};
use zct_wire::WireError;
use zct_wire::consts::ips;
use zct_wire::flow::FlowView;
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::request::{self, NewFlow};
use zct_wire::tuple::{Addr, Addressed, Tuple};

/// Room for the answers to a batch of requests for flows: each takes up to a page and more.
const ANSWERS_BYTES: usize = 1 << 20;
/// How many times to look for a flow that comes and goes meanwhile.
const ROUNDS: usize = 3;

/// What became of a line of `-A`.
#[derive(Debug)]
pub(crate) enum Added {
    /// The flow is as the line says, with these exceptions.
    Done(Short),
    /// The flow is not as the line says, for this reason.
    Refused(Fail),
}

/// What the kernel cannot do for a flow that is otherwise as the line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Short {
    /// It lacks the EXPECTED that was asked for.
    pub(crate) expected: bool,
    /// It keeps the timeout it has, which is fixed.
    pub(crate) timeout: Option<Fixed>,
}

/// What a line says about a flow whose timeout is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    /// That it is fixed: the line merely has another value.
    Asked,
    /// Nothing about it being fixed. The kernel does not clear that bit.
    Unasked,
}

/// The flow that a line is about.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is no such flow.
    Nothing,
    /// The flow, and the request that makes it what the line says; `None` when it is so already.
    Flow(Option<Box<NewFlow<'static>>>, Short),
    /// Another flow has its place, which the failure names.
    Other(Fail),
    /// It cannot be made what the line says.
    Refused(Fail),
}

/// Which direction of a flow finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FoundBy {
    Orig,
    /// With zones of a single direction, a flow's original tuple may also be the reply tuple of another.
    Reply,
}

/// What a line changes in the flow that was found for it.
fn compare(wanted: &Wanted, f: &FlowView<'_>, by: FoundBy) -> Result<Found, WireError> {
    let (Some(orig), Some(reply)) = (f.orig()?, f.reply()?) else {
        return Ok(Found::Flow(None, Short::default()));
    };
    if let Some(fail) = wanted.flow.orig.and_then(|asked| other_flow(&asked, &orig)) {
        return Ok(Found::Other(fail));
    }
    if let Some(fail) = wanted.reply.and_then(|asked| other_reply(&asked, &orig, &reply)) {
        return Ok(Found::Refused(fail));
    }
    let asked = &wanted.flow;
    let key = if by == FoundBy::Orig { (Some(orig), None) } else { (None, Some(reply)) };
    let mut new = NewFlow::default();
    (new.family, new.zone) = (f.family(), f.zone()?);
    (new.orig, new.reply) = key;
    let (old, left) = (f.status()?.unwrap_or(0), f.timeout_s()?);
    // Bits can only be added: the kernel clears none.
    new.status = asked.status.map(|s| s | old).filter(|s| *s != old);
    let mut short = Short { expected: wanted.unexpected && old & ips::EXPECTED == 0, timeout: None };
    new.timeout_s = asked.timeout_s.filter(|t| left != Some(*t));
    if old & ips::FIXED_TIMEOUT != 0 && new.timeout_s.is_some() {
        let Some(status) = asked.status else {
            return Ok(Found::Refused(fixed(left.unwrap_or(0), asked.timeout_s.unwrap_or(0))));
        };
        let as_asked = status & ips::FIXED_TIMEOUT != 0;
        short.timeout = Some(if as_asked { Fixed::Asked } else { Fixed::Unasked });
        new.timeout_s = None;
    }
    let mark = f.mark()?.unwrap_or(0);
    new.mark = asked.mark.filter(|m| m.value != mark);
    let info = f.protoinfo()?;
    new.protoinfo = asked.protoinfo.filter(|p| differs(p, info)).map(without_window);
    new.labels = asked.labels.filter(|(bits, _)| !has_labels(f, bits));
    let changed = new.timeout_s.is_some()
        || new.status.is_some()
        || new.mark.is_some()
        || new.protoinfo.is_some()
        || new.labels.is_some();
    Ok(Found::Flow(changed.then(|| Box::new(new)), short))
}

/// True when the line asks for another protocol state than the flow has.
fn differs(asked: &ProtoInfo, have: Option<ProtoInfo>) -> bool {
    match (asked, have) {
        (ProtoInfo::Sctp(asked), Some(ProtoInfo::Sctp(have))) => {
            let tag = |i: usize| asked.vtag[i].is_some() && asked.vtag[i] != have.vtag[i];
            asked.state != have.state || tag(0) || tag(1)
        }
        (ProtoInfo::Dccp(asked), Some(ProtoInfo::Dccp(have))) => {
            asked.state != have.state || asked.role.is_some() && asked.role != have.role
        }
        (asked, have) => asked.state() != have.and_then(|p| p.state()),
    }
}

/// The state alone for TCP: the kernel knows the windows of a flow that exists.
fn without_window(info: ProtoInfo) -> ProtoInfo {
    match info {
        ProtoInfo::Tcp(tcp) => ProtoInfo::Tcp(TcpInfo { state: tcp.state, ..TcpInfo::default() }),
        other => other,
    }
}

fn has_labels(f: &FlowView<'_>, bits: &[u8; 16]) -> bool {
    let have = f.raw(zct_wire::consts::cta::LABELS).unwrap_or_default();
    bits.iter().enumerate().all(|(i, b)| have.get(i).copied().unwrap_or(0) & b == *b)
}

/// The failure if another flow was found: the kernel finds a flow by either of its directions.
fn other_flow(asked: &Tuple, have: &Tuple) -> Option<Fail> {
    let same = |a: Option<u16>, b: Option<u16>| a.is_none() || a == b;
    let is_it = asked.src == have.src
        && asked.dst == have.dst
        && same(asked.src_port, have.src_port)
        && same(asked.dst_port, have.dst_port);
    (!is_it).then(|| {
        let have = [(have.src, have.src_port), (have.dst, have.dst_port)].map(endpoint);
        Fail::runtime(format!(
            "Operation failed: this is the reply direction of another flow, from {} to {}",
            have[0], have[1]
        ))
    })
}

/// The failure if the reply direction is not what the line asks for, with both.
fn other_reply(asked: &Reply, orig: &Tuple, reply: &Tuple) -> Option<Fail> {
    let sides = [
        ("source", asked.dst, (reply.dst, reply.dst_port), (orig.src, orig.src_port)),
        ("destination", asked.src, (reply.src, reply.src_port), (orig.dst, orig.dst_port)),
    ];
    let mut text = String::new();
    for (side, asked, have, untranslated) in sides {
        let port_differs = asked.1.is_some() && have.1.is_some() && asked.1 != have.1;
        if asked.0 == have.0 && !port_differs {
            continue;
        }
        let show = |end: (Option<Addr>, Option<u16>)| {
            let same = end.0 == untranslated.0 && (end.1.is_none() || end.1 == untranslated.1);
            if same { "not translated".to_owned() } else { endpoint(end) }
        };
        let and = if text.is_empty() { "" } else { "; " };
        _ = write!(text, "{and}its {side} is {} in the table, asked for is {}", show(have), show(asked));
    }
    (!text.is_empty()).then(|| {
        Fail::runtime(format!(
            "Operation failed: this flow exists with another translation, \
             which cannot be changed: {text}; delete it first (-D)"
        ))
    })
}

fn fixed(left: u32, asked: u32) -> Fail {
    Fail::runtime(format!(
        "Operation failed: the timeout of this flow is fixed (FIXED_TIMEOUT): {left} seconds are left, \
         asked for are {asked}; delete it first (-D)"
    ))
}

/// Handles lines of `-A` whose flows already exist, as the kernel says.
///
/// # Allocation
/// The buffers of two batches are allocated once.
pub(crate) struct Adder {
    gets: Batch,
    changes: Batch,
    /// The line of each request in `changes`.
    owners: Vec<usize>,
}

impl Adder {
    pub(crate) fn open() -> Result<Adder, Error> {
        let gets = Batch::open()?;
        // Without privilege it gets what is allowed, which is enough for the answers to smaller batches.
        _ = gets.socket().set_receive_buffer(ANSWERS_BYTES);
        Ok(Adder { gets, changes: Batch::open()?, owners: Vec::new() })
    }

    /// What became of each line, in order.
    pub(crate) fn add(&mut self, lines: &[&Wanted]) -> Result<Vec<Added>, Error> {
        let mut work = Work { lines, added: lines.iter().map(|_| None).collect(), last: false };
        for round in 1..=ROUNDS {
            work.last = round == ROUNDS;
            let todo: Vec<usize> = (0..lines.len()).filter(|i| work.added[*i].is_none()).collect();
            for part in todo.chunks(BATCH_MAX) {
                self.round(part, &mut work)?;
            }
        }
        let come_and_gone =
            |line: &Wanted| Added::Refused(failed(line, &Error::Refused { errno: libc::EEXIST, hint: None }));
        Ok(work
            .added
            .into_iter()
            .zip(lines)
            .map(|(a, line)| a.unwrap_or_else(|| come_and_gone(line)))
            .collect())
    }

    /// Looks for the flows of at most [`BATCH_MAX`] lines.
    pub(crate) fn find(&mut self, lines: &[&Wanted]) -> Result<Vec<Found>, Error> {
        for line in lines {
            // The flow is found by the tuple of the request that would create it.
            let orig = Addressed::try_from(&line.flow.orig.unwrap_or_default())?;
            self.gets.add(|buf, seq| request::find(buf, seq, &orig, line.flow.zone))?;
        }
        let mut found: Vec<Found> = lines.iter().map(|_| Found::Nothing).collect();
        self.gets.send(&mut |at, answer| found[at] = judged(lines[at], answer, FoundBy::Orig))?;
        let others: Vec<usize> = (0..lines.len()).filter(|i| matches!(found[*i], Found::Other(_))).collect();
        let others: Vec<usize> = others.into_iter().filter(|i| lines[*i].reply.is_some()).collect();
        for line in others.iter().map(|i| lines[*i]) {
            let flow = &line.flow;
            let reply = line.reply_tuple();
            self.gets.add(|buf, seq| request::get(buf, seq, flow.family, None, Some(&reply), flow.zone))?;
        }
        self.gets.send(&mut |at, answer| {
            match judged(lines[others[at]], answer, FoundBy::Reply) {
                // Whatever was found first is in the way.
                Found::Nothing | Found::Other(_) => {}
                it => found[others[at]] = it,
            }
        })?;
        Ok(found)
    }

    /// Looks at the flows of these lines and sends what each needs.
    fn round(&mut self, part: &[usize], work: &mut Work<'_>) -> Result<(), Error> {
        let lines: Vec<&Wanted> = part.iter().map(|i| work.lines[*i]).collect();
        for (i, found) in part.iter().zip(self.find(&lines)?) {
            match found {
                Found::Flow(request, short) => {
                    work.added[*i] = Some(Added::Done(short));
                    if let Some(new) = request {
                        self.change(*i, 0, &new, work)?;
                    }
                }
                // The flow has ended meanwhile, or only its reply tuple exists.
                Found::Nothing => {
                    let line = work.lines[*i];
                    let short = Short { expected: line.unexpected, timeout: None };
                    work.added[*i] = Some(Added::Done(short));
                    self.change(*i, FLAGS, &line.flow, work)?;
                }
                Found::Other(fail) | Found::Refused(fail) => work.added[*i] = Some(Added::Refused(fail)),
            }
        }
        self.send(work)
    }

    fn change(
        &mut self,
        line: usize,
        flags: u16,
        new: &NewFlow<'_>,
        work: &mut Work<'_>,
    ) -> Result<(), Error> {
        if self.changes.is_full() {
            self.send(work)?;
        }
        self.changes.add(|buf, seq| request::new_flow(buf, seq, flags, new))?;
        self.owners.push(line);
        Ok(())
    }

    fn send(&mut self, work: &mut Work<'_>) -> Result<(), Error> {
        let owners = &self.owners;
        let sent = self.changes.send(&mut |at, answer| {
            let (Answer::Refused(e), i) = (answer, owners[at]) else { return };
            // The flow has ended, another has begun, or its status has changed: look again.
            let moved = [libc::ENOENT, libc::EEXIST, libc::EPERM, libc::EBUSY];
            let again = e.errno().is_some_and(|e| moved.contains(&e)) && !work.last;
            work.added[i] = if again { None } else { Some(Added::Refused(failed(work.lines[i], &e))) };
        });
        self.owners.clear();
        sent
    }
}

/// The lines, and what has become of each so far.
struct Work<'a> {
    lines: &'a [&'a Wanted],
    added: Vec<Option<Added>>,
    /// True in the last round, in which a refusal is final.
    last: bool,
}

/// What an answer says about the flow of a line.
fn judged(wanted: &Wanted, answer: Answer<'_>, by: FoundBy) -> Found {
    match answer {
        Answer::Message(msg) => FlowView::index(msg)
            .and_then(|f| compare(wanted, &f, by))
            .unwrap_or_else(|e| Found::Refused(failed(wanted, &Error::Wire(e)))),
        Answer::Refused(e) if e.errno() == Some(libc::ENOENT) => Found::Nothing,
        Answer::Refused(e) => Found::Refused(failed(wanted, &e)),
    }
}

/// A refusal to change an existing flow, in the user's terms.
fn failed(wanted: &Wanted, error: &Error) -> Fail {
    let fail = wanted.refused(Mode::Add, error);
    let why: &[u8] = match error.errno() {
        Some(libc::ENOSPC) => b" (the kernel keeps no labels for this flow: no rule used any when it began)",
        _ => b"",
    };
    Fail { text: [&fail.text[..], why].concat(), ..fail }
}

impl Short {
    /// The warnings for flows that lack something, given how many there are of each sort.
    pub(crate) fn warnings(expected: u64, timeout: u64) -> Vec<String> {
        let of =
            |count: u64, what: &str| (count > 0).then(|| format!("WARNING: {count} flow entries {what}"));
        let expected = of(
            expected,
            "are without EXPECTED, which the kernel sets only together with the flow that expected them",
        );
        let timeout = of(timeout, "keep the timeout that they have: it is fixed (FIXED_TIMEOUT)");
        [expected, timeout].into_iter().flatten().collect()
    }
}
