//! A status for people.

use crate::peer::CacheStats;
use crate::peer::seal::Refused;
use crate::status::ledger::LedgerKind;
use crate::status::{
    Cache, CommitStatus, Events, HelpersStatus, LinkStatus, Loss, Missing, Peer, PeerState, Status, Transfer,
};
use std::fmt::{self, Write as _};
use std::time::Duration;
use zct_helpers::Refusal;
use zct_wire::text::{Out, TimeZone};

/// Bytes for a local time.
const TIME_MAX: usize = 64;

/// The reasons why a node is not in sync, in one line.
pub fn reasons(missing: &[Missing]) -> String {
    let all: Vec<String> = missing.iter().map(Missing::to_string).collect();
    all.join("; ")
}

/// Whether it is in sync, and if not, why.
pub fn verdict(missing: &[Missing]) -> String {
    if missing.is_empty() { "in sync".into() } else { format!("degraded: {}", reasons(missing)) }
}

/// Writes it, one line for each thing.
pub fn write(s: &Status, zone: &dyn TimeZone) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    _ = lines(&mut out, s, zone);
    out
}

fn lines(out: &mut String, s: &Status, zone: &dyn TimeZone) -> fmt::Result {
    let running = Short(s.time.saturating_sub(s.start_time));
    writeln!(out, "zctd {}, pid {}, mode {}, role {}", s.version, s.pid, s.mode, s.role.name())?;
    writeln!(out, "started     {} ({running} ago)", LocalTime(s.start_time, zone))?;
    writeln!(out, "state       {}", verdict(&s.missing))?;
    let (entries, limit) = (OrUnknown(s.kernel.entries), OrUnknown(s.kernel.limit));
    writeln!(out, "kernel      {entries} of {limit} entries, {} buckets", OrUnknown(s.kernel.buckets))?;
    if let Some(c) = &s.internal {
        cache(out, "internal", c)?;
    }
    if let Some(c) = &s.external {
        cache(out, "external", c)?;
    }
    events(out, s.time, &s.events)?;
    s.links.iter().try_for_each(|l| link(out, l))?;
    s.peers.iter().try_for_each(|p| peer(out, p, s.time))?;
    if let Some(c) = &s.commit {
        commit(out, c)?;
    }
    if let Some(t) = &s.takeover {
        writeln!(out, "take-over   at {}, took {}", LocalTime(t.last_time, zone), Short(t.duration))?;
    }
    if let Some(h) = &s.helpers {
        helpers(out, h)?;
    }
    for (kind, t) in LedgerKind::ALL.iter().zip(&s.losses).filter(|(_, t)| t.entries > 0) {
        let (lost, repaired, what) = (t.estimate, t.repaired, kind.describe());
        writeln!(out, "lost        {lost} {what}: {repaired} repaired, {} entries pending", t.pending)?;
    }
    match &s.ledger {
        Some(entries) if entries.is_empty() => writeln!(out, "ledger      empty"),
        Some(entries) => entries.iter().try_for_each(|l| loss(out, l, zone)),
        None => Ok(()),
    }
}

fn helpers(out: &mut String, h: &HelpersStatus) -> fmt::Result {
    match h.pid {
        Some(pid) => writeln!(out, "helpers     process {pid}, started again {} times", h.restarts)?,
        None => writeln!(out, "helpers     not running, started again {} times", h.restarts)?,
    }
    for t in &h.types {
        let c = &t.counts;
        write!(out, "helper      {} {} {}: {} packets", t.name, t.family, t.protocol, c.packets)?;
        let all = c.named().into_iter().skip(1);
        let named = all.filter(|(_, n)| *n > 0).map(|(what, n)| (what.replace('_', " "), n));
        named.into_iter().try_for_each(|(what, n)| write!(out, ", {n} {what}"))?;
        if c.refusals() > 0 {
            write!(out, "; refused {}:", c.refusals())?;
            let reasons = Refusal::ALL.into_iter().filter(|why| c.of(*why) > 0);
            reasons.into_iter().try_for_each(|why| write!(out, " {} {}", why.name(), c.of(why)))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn loss(out: &mut String, l: &Loss, zone: &dyn TimeZone) -> fmt::Result {
    write!(out, "{}: ", LocalTime(l.time, zone))?;
    if let Some(name) = &l.peer {
        write!(out, "{name}: ")?;
    }
    write!(out, "{} {}", l.estimate, l.kind.describe())?;
    match (l.how, l.repaired_time) {
        (Some(how), Some(t)) => {
            writeln!(out, "; repaired after {}: {how}", Short(t.saturating_sub(l.until_time)))
        }
        (Some(how), None) => writeln!(out, "; to be repaired: {how}"),
        (None, _) => writeln!(out),
    }
}

fn cache(out: &mut String, name: &str, c: &Cache) -> fmt::Result {
    let CacheStats { created, no_space, updated, update_failed, destroyed, destroy_failed } = c.operations;
    write!(out, "{name}    ")?;
    match (c.flows, c.limit) {
        (Some(flows), Some(limit)) => write!(out, "{flows} flows of {limit}, ")?,
        _ => write!(out, "not kept, ")?,
    }
    if let Some(n) = c.expectations.filter(|n| *n > 0) {
        write!(out, "{n} expectations, ")?;
    }
    if let Some(bytes) = c.bytes {
        write!(out, "{bytes} bytes, ")?;
    }
    write!(out, "{created} created, {updated} updated, {destroyed} destroyed")?;
    let failed = no_space + update_failed + destroy_failed;
    if failed > 0 {
        write!(out, " ({failed} failed: {no_space}, {update_failed}, {destroy_failed})")?;
    }
    writeln!(out)
}

fn events(out: &mut String, now: Duration, e: &Events) -> fmt::Result {
    write!(out, "events      {} received, {} lost in {} overruns", e.received, e.lost, e.overruns)?;
    if let Some(n) = e.repaired {
        write!(out, ", {n} flows repaired")?;
    }
    write!(out, ", {} comparisons", e.comparisons)?;
    match e.buffer_bytes {
        Some(bytes) => writeln!(out, ", buffer {bytes} bytes")?,
        None => writeln!(out, ", polling")?,
    }
    let Some(r) = e.review else { return Ok(()) };
    out.push_str("review      ");
    match r.last_equal_time {
        None => out.push_str("not compared with the kernel yet"),
        Some(t) => write!(out, "equal {} ago", Short(now.saturating_sub(t)))?,
    }
    writeln!(out, ": {} comparisons, {} differences", r.checks, r.differences)
}

fn link(out: &mut String, l: &LinkStatus) -> fmt::Result {
    let t = l.traffic;
    let role = if l.in_use { "in use" } else { "waits" };
    writeln!(
        out,
        "link {:6} {}, {}, {role}: {} sent ({} bytes), {} received ({} bytes), errors {} and {}",
        l.interface,
        l.transport,
        l.state,
        t.sent,
        t.sent_bytes,
        t.received,
        t.received_bytes,
        t.send_errors,
        t.receive_errors
    )
}

fn peer(out: &mut String, p: &Peer, now: Duration) -> fmt::Result {
    write!(out, "peer        ")?;
    if let Some(m) = &p.member {
        write!(out, "{} (node {}) ", m.name, m.node)?;
    }
    if let Some(a) = p.address {
        write!(out, "{a} ")?;
    }
    out.push_str(match p.state {
        PeerState::Up => "is there",
        PeerState::Silent => "is silent",
        PeerState::Unknown => "has not been heard",
    });
    if let Some(t) = p.last_seen_time {
        write!(out, ", heard {} ago", Short(now.saturating_sub(t)))?;
    }
    writeln!(out, ": {} messages sent, {} received, {} lost, {} late", p.sent, p.received, p.lost, p.late)?;
    if let Some(m) = &p.member {
        let (flows, bytes) = (OrUnknown(m.cache.flows), OrUnknown(m.cache.bytes));
        writeln!(out, "flows       {flows} of {} known here, {bytes} bytes", m.name)?;
    }
    if let Some(l) = p.lag {
        let (messages, waiting) = (l.messages, l.waiting);
        write!(out, "lag         {messages} messages not acknowledged, {waiting} changes wait")?;
        writeln!(out, ", the oldest for {}", Short(l.age))?;
    }
    if let Some(n) = p.resent.filter(|n| *n > 0) {
        writeln!(out, "resent      {n} messages")?;
    }
    if p.unannounced > 0 {
        writeln!(out, "unannounced {} flows that ended before SyncAfter", p.unannounced)?;
    }
    let malformed = p.malformed.by_reason();
    if malformed.iter().any(|(_, n)| *n > 0) {
        write!(out, "malformed  ")?;
        malformed.iter().filter(|(_, n)| *n > 0).try_for_each(|(what, n)| write!(out, " {what} {n}"))?;
        writeln!(out)?;
    }
    if let Some(s) = &p.sealing {
        write!(out, "sealed      mode {}, key {}", s.mode, s.key)?;
        if let Some(f) = s.fingerprint {
            write!(out, " ({f})")?;
        }
        write!(out, ", ")?;
        match s.node {
            Some(n) => write!(out, "node {n} is proved")?,
            None => write!(out, "no other node is proved")?,
        }
        write!(out, ": {} frames sealed, {} opened", s.counts.sealed, s.counts.opened)?;
        let refused = Refused::ALL.map(|why| (why.name(), s.counts.of(why)));
        refused.iter().filter(|(_, n)| *n > 0).try_for_each(|(what, n)| write!(out, ", {what} {n}"))?;
        writeln!(out)?;
    }
    if let Some(d) = p.digest {
        out.push_str("digest      ");
        match (d.running, d.last_equal_time) {
            (false, _) => out.push_str("the peer is not known to compare"),
            (true, None) => out.push_str("not compared yet"),
            (true, Some(t)) => write!(out, "equal {} ago", Short(now.saturating_sub(t)))?,
        }
        write!(out, ": {} comparisons, {} differences", d.checks, d.differences)?;
        writeln!(out, ", {} repairs, {} flows removed", d.repairs, d.removed)?;
    }
    transfer(out, "resync", &p.resync)?;
    transfer(out, "bulk", &p.bulk)
}

fn transfer(out: &mut String, name: &str, t: &Transfer) -> fmt::Result {
    if !t.running && t.count == 0 {
        return Ok(());
    }
    write!(out, "{name:11} {}", if t.running { "running" } else { "idle" })?;
    if let Some(done) = t.done {
        write!(out, ", {done}")?;
        if let Some(total) = t.total {
            write!(out, " of {total}")?;
        }
        write!(out, " entries")?;
    }
    if let Some(eta) = t.eta {
        write!(out, ", {} left", Short(eta))?;
    }
    write!(out, ", {} begun", t.count)?;
    if let Some(d) = t.last_duration {
        write!(out, ", the last one took {}", Short(d))?;
    }
    writeln!(out)
}

fn commit(out: &mut String, c: &CommitStatus) -> fmt::Result {
    let Some(total) = c.total else { return writeln!(out, "commit      none since the start") };
    write!(out, "commit      {}: ", if c.running { "running" } else { "idle, the last one" })?;
    write!(out, "{} of {total} entries, {} refused", c.done, c.failed)?;
    if let Some(n) = c.conflicts.filter(|n| *n > 0) {
        write!(out, ", {n} left to other nodes since the start")?;
    }
    if let Some(eta) = c.eta {
        write!(out, ", {} left", Short(eta))?;
    }
    if let Some(d) = c.last_duration.filter(|_| !c.running) {
        write!(out, ", took {}", Short(d))?;
    }
    writeln!(out)
}

/// A number, or a question mark.
struct OrUnknown<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrUnknown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(n) => write!(f, "{n}"),
            None => f.write_str("?"),
        }
    }
}

/// A span in the two largest units that say something: `3 d 4 h`, `1.5 s`, `20 ms`.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, ms) = (self.0.as_secs(), self.0.subsec_millis());
        match s {
            0 if ms == 0 && !self.0.is_zero() => write!(f, "{} us", self.0.subsec_micros()),
            0 => write!(f, "{ms} ms"),
            1..60 => write!(f, "{s}.{} s", ms / 100),
            60..3600 => write!(f, "{} min {} s", s / 60, s % 60),
            3600..86_400 => write!(f, "{} h {} min", s / 3600, s / 60 % 60),
            _ => write!(f, "{} d {} h", s / 86_400, s / 3600 % 24),
        }
    }
}

/// A Unix time in the local zone.
struct LocalTime<'a>(Duration, &'a dyn TimeZone);

impl fmt::Display for LocalTime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buf = [0; TIME_MAX];
        let mut out = Out::new(&mut buf);
        out.ctime(&self.1.local(self.0.as_secs() as i64));
        f.write_str(String::from_utf8_lossy(out.written()).trim_end())
    }
}
