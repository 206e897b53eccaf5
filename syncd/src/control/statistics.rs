//! What `-s` prints, byte for byte as in the original (conntrackd.md §4).

use crate::kernel::NetlinkCounters;
use crate::kernel::inject::Injector;
use crate::links::{LinkIo, Links};
use crate::peer::{CacheStats, Item, Machine, Mode, PeerStats, Sent};
use crate::store::StoreCounts;
use std::fmt::Write as _;

/// What the daemon has counted apart from the machine and netlink; traffic is filled in for a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Bytes of ended flows, both directions together.
    pub bytes: u64,
    /// Packets of ended flows, both directions together.
    pub packets: u64,
    /// "select failed".
    pub poll_failed: u64,
    /// "local read failed": control clients that were gone, or sent too little.
    pub read_failed: u64,
    /// "local unknown request".
    pub unknown_request: u64,
}

/// The parts of a sync daemon that reports are about.
#[derive(Clone, Copy, Debug)]
pub struct SyncView<'a> {
    /// The protocol machine.
    pub machine: &'a Machine,
    /// The dedicated links of the daemon.
    pub links: &'a Links,
    /// The numbers of those that lead to the machine's peer, in the order in which it counts them.
    pub led: &'a [usize],
    /// Present with `DisableExternalCache`.
    pub injector: Option<&'a Injector>,
    /// The value of `ErrorQueueLength`.
    pub error_queue: usize,
    /// Whether `ExpectationSync` is on.
    pub expectations: bool,
}

/// The figures of one cache that reports show.
#[derive(Clone, Copy, Debug)]
struct CacheView {
    name: &'static str,
    stats: CacheStats,
    counts: StoreCounts,
}

/// Writes `current active connections` and the lines after it.
fn cache(out: &mut String, c: &CacheView) {
    let s = c.stats;
    // Writing to a String cannot fail.
    _ = writeln!(out, "cache {}:", c.name);
    _ = writeln!(out, "current active connections:\t{:12}", c.counts.flows);
    changes(out, &s);
}

fn changes(out: &mut String, s: &CacheStats) {
    _ = writeln!(out, "connections created:\t\t{:12}\tfailed:\t{:12}", s.created, s.no_space);
    _ = writeln!(out, "connections updated:\t\t{:12}\tfailed:\t{:12}", s.updated, s.update_failed);
    _ = writeln!(out, "connections destroyed:\t\t{:12}\tfailed:\t{:12}\n", s.destroyed, s.destroy_failed);
}

fn bypass(out: &mut String, s: &CacheStats) {
    out.push_str("internal bypass:\n");
    _ = writeln!(out, "connections new:\t\t{:12}", s.created);
    _ = writeln!(out, "connections updated:\t\t{:12}", s.updated);
    _ = writeln!(out, "connections destroyed:\t\t{:12}\n", s.destroyed);
}

fn inject(out: &mut String, s: &CacheStats) {
    out.push_str("external inject:\n");
    changes(out, s);
}

/// Writes a cache in the longer form.
fn cache_extended(out: &mut String, c: &CacheView) {
    let s = c.stats;
    let all = c.counts.flows + c.counts.dead;
    _ = writeln!(out, "cache:{}\tactive objects:\t\t{:12}", c.name, c.counts.flows);
    _ = writeln!(out, "\tactive/total entries:\t\t{:12}/{all:12}", c.counts.flows);
    _ = writeln!(out, "\tcreation OK/failed:\t\t{:12}/{:12}", s.created, s.no_space);
    _ = writeln!(out, "\t\tno memory available:\t{:12}", 0);
    _ = writeln!(out, "\t\tno space left in cache:\t{:12}", s.no_space);
    _ = writeln!(out, "\tupdate OK/failed:\t\t{:12}/{:12}", s.updated, s.update_failed);
    _ = writeln!(out, "\t\tentry not found:\t{:12}", s.update_failed);
    _ = writeln!(out, "\tdeletion created/failed:\t{:12}/{:12}", s.destroyed, s.destroy_failed);
    _ = writeln!(out, "\t\tentry not found:\t{:12}\n", s.destroy_failed);
}

fn processed(out: &mut String, r: &Runtime) {
    out.push_str("traffic processed:\n");
    _ = writeln!(out, "{:20} Bytes      {:20} Pckts\n", r.bytes, r.packets);
}

fn traffic(out: &mut String, l: &LinkIo) {
    let t = l.traffic();
    _ = writeln!(out, "{:20} Bytes sent {:20} Bytes recv", t.sent_bytes, t.received_bytes);
    _ = writeln!(out, "{:20} Pckts sent {:20} Pckts recv", t.sent, t.received);
    _ = writeln!(out, "{:20} Error send {:20} Error recv\n", t.send_errors, t.receive_errors);
}

/// Writes the block of the link that is used for sending.
fn active_link(out: &mut String, l: &LinkIo) {
    _ = write!(out, "{} traffic (active device={})", l.kind_name(), l.interface());
    if let Some((accepted, connected)) = l.connections() {
        let word = |there| if there { "connected" } else { "disconnected" };
        _ = write!(out, " server={} client={}", word(accepted), word(connected));
    }
    out.push_str(":\n");
    traffic(out, l);
}

impl SyncView<'_> {
    fn stats(&self) -> PeerStats {
        self.machine.stats()
    }

    fn internal(&self) -> CacheView {
        CacheView {
            name: "internal",
            stats: self.stats().internal,
            counts: self.machine.caches().internal.counts(),
        }
    }

    fn external(&self) -> CacheView {
        CacheView {
            name: "external",
            stats: self.stats().external,
            counts: self.machine.caches().external.counts(),
        }
    }

    fn active(&self) -> Option<&LinkIo> {
        self.link_number(self.machine.active_link())
    }

    fn link_number(&self, number: usize) -> Option<&LinkIo> {
        self.led.get(number).and_then(|l| self.links.all.get(*l))
    }

    fn own_links(&self) -> impl Iterator<Item = &LinkIo> {
        (0..self.led.len()).filter_map(|number| self.link_number(number))
    }

    fn both(&self, out: &mut String, write: fn(&mut String, &CacheView)) {
        match self.machine.config().mode.disables_internal_cache() {
            true => bypass(out, &self.stats().internal),
            false => write(out, &self.internal()),
        }
        match self.injector {
            Some(i) => inject(out, &i.flows),
            None => write(out, &self.external()),
        }
    }

    fn rest(&self, out: &mut String, r: &Runtime) {
        processed(out, r);
        if let Some(l) = self.active() {
            active_link(out, l);
        }
        out.push_str("message tracking:\n");
        let s = self.stats();
        _ = writeln!(out, "{:20} Malformed msgs {:20} Lost msgs\n", s.malformed, s.lost);
    }

    /// The text of `-s` and `-s ct`.
    pub fn general(&self, out: &mut String, r: &Runtime) {
        self.both(out, cache);
        self.rest(out, r);
    }

    /// The text of `-s expect`; empty without ExpectationSync.
    pub fn expect(&self, out: &mut String, r: &Runtime) {
        if !self.expectations {
            return;
        }
        let counts = |flows| StoreCounts { flows, ..StoreCounts::default() };
        match self.machine.config().mode.disables_internal_cache() {
            true => bypass(out, &self.stats().internal_expect),
            false => cache(
                out,
                &CacheView {
                    name: "internal",
                    stats: self.stats().internal_expect,
                    counts: counts(self.machine.caches().internal_expect.len()),
                },
            ),
        }
        match self.injector {
            Some(i) => inject(out, &i.expects),
            None => cache(
                out,
                &CacheView {
                    name: "external",
                    stats: self.stats().external_expect,
                    counts: counts(self.machine.caches().external_expect.len()),
                },
            ),
        }
        self.rest(out, r);
    }

    /// The text of `-s network`.
    pub fn network(&self, out: &mut String) {
        let s = self.stats();
        out.push_str("network statistics:\n\trecv:\n");
        for (name, value) in [
            ("Malformed messages", s.malformed),
            ("Wrong protocol version", s.bad_version),
            ("Malformed header", s.bad_header),
            ("Malformed payload", s.bad_payload),
            ("Bad message type", s.bad_type),
            ("Truncated message", s.truncated),
            ("Bad message size", s.bad_size),
        ] {
            _ = writeln!(out, "\t\t{name}:\t{value:20}");
        }
        _ = writeln!(out, "\tsend:\n\t\tMalformed messages:\t{:20}\n", s.unsendable);
        out.push_str("sequence tracking statistics:\n\trecv:\n");
        _ = writeln!(out, "\t\tPackets lost:\t\t{:20}", s.lost);
        _ = writeln!(out, "\t\tPackets before:\t\t{:20}\n", s.before);
        if let Some(l) = self.active() {
            active_link(out, l);
        }
    }

    /// The text of `-s cache`.
    pub fn cache(&self, out: &mut String) {
        self.both(out, cache_extended);
    }

    /// The text of `-s link`.
    pub fn link(&self, out: &mut String) {
        for (at, l) in self.own_links().enumerate() {
            let role = if at == self.machine.active_link() { "ACTIVE" } else { "BACKUP" };
            let (kind, name) = (l.kind_name(), l.interface());
            _ = writeln!(out, "{kind} traffic device={name} status={} role={role}:", l.status());
            traffic(out, l);
        }
    }

    /// The text of `-s rsqueue`; empty without a resend queue.
    pub fn resend_queue(&self, out: &mut String) {
        let Mode::Ftfw(_) = self.machine.config().mode else { return };
        let all = self.machine.resend_queue();
        _ = writeln!(out, "resent queue (len={})", all.len());
        for Sent { seq, flags, item } in all {
            match item {
                Item::Flow(_) | Item::Expect(_) => _ = writeln!(out, "object -> seq:{seq}"),
                Item::Control(_) => _ = writeln!(out, "control -> seq:{seq} flags:{flags}"),
            }
        }
    }

    /// The text of `-s queue`.
    pub fn queues(&self, out: &mut String) {
        let resend = self.machine.resend_queue().len();
        let (waiting, dropped) = self
            .own_links()
            .map(LinkIo::error_queue)
            .fold((0, 0), |(waiting, dropped), (w, d)| (waiting + w, dropped + d));
        let transmit = self.machine.waiting();
        _ = writeln!(out, "allocated queue nodes:\t\t{:12}\n", transmit + waiting + resend);
        let mut queue = |name, current: usize, max: usize, errors: u64| {
            _ = writeln!(out, "queue {name}:");
            _ = writeln!(out, "current elements:\t\t{current:12}");
            _ = writeln!(out, "maximum elements:\t\t{max:12}");
            _ = writeln!(out, "not enough space errors:\t{errors:12}\n");
        };
        let stats = self.stats();
        queue("txqueue", transmit, i32::MAX as usize, stats.bypass_dropped);
        queue("errorq", waiting, self.error_queue, dropped);
        if let Mode::Ftfw(m) = self.machine.config().mode {
            queue("rsqueue", resend, m.resend_queue_size as usize, stats.resend_dropped);
        }
    }
}

/// The text of `-s` in statistics mode.
pub fn stats_mode(out: &mut String, stats: CacheStats, counts: StoreCounts, r: &Runtime) {
    cache(out, &CacheView { name: "stats", stats, counts });
    processed(out, r);
}

/// The text of `-s cache` in statistics mode.
pub fn stats_mode_cache(out: &mut String, stats: CacheStats, counts: StoreCounts) {
    cache_extended(out, &CacheView { name: "stats", stats, counts });
}

/// The text of `-s runtime`.
pub fn runtime(out: &mut String, uptime_s: u64, netlink: &NetlinkCounters, buffer: usize, r: &Runtime) {
    let (days, hours, minutes) = (uptime_s / 86_400, uptime_s / 3600 % 24, uptime_s / 60 % 60);
    out.push_str("daemon uptime: ");
    if days > 0 {
        _ = write!(out, "{days} {} ", if days == 1 { "day" } else { "days" });
    }
    if hours > 0 {
        _ = write!(out, "{hours} h ");
    }
    _ = writeln!(out, "{minutes} min\n\nnetlink stats:");
    let n = netlink;
    for (name, value) in [("events received:\t", n.events), ("events filtered:\t", n.filtered)] {
        _ = writeln!(out, "\t{name}{value:20}");
    }
    for (name, value) in [
        ("events unknown type:\t\t", n.unknown_events),
        ("catch event failed:\t\t", n.failed),
        ("dump unknown type:\t\t", n.unknown_dumped),
        ("netlink overrun:\t\t", n.overruns),
        ("flush kernel table:\t\t", n.flushes),
        ("resync with kernel table:\t", n.resyncs),
        ("current buffer size (in bytes):\t", buffer as u64),
    ] {
        _ = writeln!(out, "\t{name}{value:12}");
    }
    out.push_str("\nruntime stats:\n");
    for (name, value) in [
        // There are no child processes: what the original forks for is done in pieces here.
        ("child process failed:\t\t", 0),
        ("\tchild process segfault:\t", 0),
        ("\tchild process termsig:\t", 0),
        ("select failed:\t\t\t", r.poll_failed),
        ("wait failed:\t\t\t", 0),
        ("local read failed:\t\t", r.read_failed),
        ("local unknown request:\t\t", r.unknown_request),
    ] {
        _ = writeln!(out, "\t{name}{value:12}");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captured from conntrackd 1.4.7, with its tabs.
    #[test]
    fn layouts_are_the_originals() {
        let stats = CacheStats { created: 13, updated: 17, no_space: 5000, ..CacheStats::default() };
        let counts = StoreCounts { flows: 13, dead: 2, ..StoreCounts::default() };
        let c = CacheView { name: "internal", stats, counts };
        let mut out = String::new();
        cache(&mut out, &c);
        assert_eq!(
            out,
            "cache internal:\n\
             current active connections:\t          13\n\
             connections created:\t\t          13\tfailed:\t        5000\n\
             connections updated:\t\t          17\tfailed:\t           0\n\
             connections destroyed:\t\t           0\tfailed:\t           0\n\n"
        );
        out.clear();
        cache_extended(&mut out, &c);
        assert_eq!(
            out,
            "cache:internal\tactive objects:\t\t          13\n\
             \tactive/total entries:\t\t          13/          15\n\
             \tcreation OK/failed:\t\t          13/        5000\n\
             \t\tno memory available:\t           0\n\
             \t\tno space left in cache:\t        5000\n\
             \tupdate OK/failed:\t\t          17/           0\n\
             \t\tentry not found:\t           0\n\
             \tdeletion created/failed:\t           0/           0\n\
             \t\tentry not found:\t           0\n\n"
        );
        out.clear();
        bypass(&mut out, &stats);
        assert_eq!(
            out,
            "internal bypass:\nconnections new:\t\t          13\nconnections updated:\t\t          17\n\
             connections destroyed:\t\t           0\n\n"
        );
        out.clear();
        processed(&mut out, &Runtime { bytes: 7, packets: 8, ..Runtime::default() });
        assert_eq!(out, "traffic processed:\n                   7 Bytes                         8 Pckts\n\n");
    }

    #[test]
    fn runtime_is_the_originals() {
        let counters = NetlinkCounters { events: 26, ..NetlinkCounters::default() };
        let mut out = String::new();
        runtime(&mut out, 0, &counters, 2_097_152, &Runtime::default());
        assert_eq!(
            out,
            "daemon uptime: 0 min\n\nnetlink stats:\n\
             \tevents received:\t                  26\n\
             \tevents filtered:\t                   0\n\
             \tevents unknown type:\t\t           0\n\
             \tcatch event failed:\t\t           0\n\
             \tdump unknown type:\t\t           0\n\
             \tnetlink overrun:\t\t           0\n\
             \tflush kernel table:\t\t           0\n\
             \tresync with kernel table:\t           0\n\
             \tcurrent buffer size (in bytes):\t     2097152\n\n\
             runtime stats:\n\
             \tchild process failed:\t\t           0\n\
             \t\tchild process segfault:\t           0\n\
             \t\tchild process termsig:\t           0\n\
             \tselect failed:\t\t\t           0\n\
             \twait failed:\t\t\t           0\n\
             \tlocal read failed:\t\t           0\n\
             \tlocal unknown request:\t\t           0\n\n"
        );
        out.clear();
        runtime(&mut out, 90_061, &counters, 0, &Runtime::default());
        assert!(out.starts_with("daemon uptime: 1 day 1 h 1 min\n"));
    }
}
