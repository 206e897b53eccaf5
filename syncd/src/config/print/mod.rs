//! Prints a configuration as text that reads back as the same configuration (`--check`).
//!
//! Every setting that has an effect is written, even if it has its default; one for which the format has no
//! way to say "not set" becomes a comment. The original accepts the text too, except for what it does not
//! know: names like `fe0`, and what is our own.

mod lines;
mod links;

use super::settings::{
    Auth, Config, Expectations, Facility, Filter, FilterFrom, General, Helpers, KeySource, Listed, Listen,
    LogFormat, Metrics, Mode, Network, Role, Scheduler, Stats, Sync, default,
};
use crate::peer::seal::GroupKey;
use lines::{Lines, v6};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Prints a whole configuration.
pub fn print(config: &Config) -> Vec<u8> {
    let mut l = Lines { out: Vec::new(), depth: 0 };
    match &config.role {
        Role::Sync(s) => sync(&mut l, s),
        Role::Stats(s) => stats(&mut l, s),
    }
    l.out.push(b'\n');
    general(&mut l, &config.general);
    if config.helpers != Helpers::default() {
        l.out.push(b'\n');
        helpers(&mut l, &config.helpers);
    }
    if config.metrics != Metrics::default() {
        l.out.push(b'\n');
        metrics(&mut l, &config.metrics);
    }
    l.out
}

fn metrics(l: &mut Lines, m: &Metrics) {
    l.block("Metrics", |l| {
        match &m.listen {
            Some(Listen::Tcp(address)) => l.set("Listen", &address.to_string()),
            Some(Listen::Unix(path)) => {
                l.line(&[b"Listen", &[b"unix:", path.as_os_str().as_bytes()].concat()]);
            }
            None => {}
        }
        if let Some(path) = &m.text_file {
            l.path("TextFile", path);
            l.number("Interval", m.interval_s);
        }
    });
}

/// Prints a part of a configuration on one line.
fn one_line(write: impl FnOnce(&mut Lines)) -> String {
    let mut l = Lines { out: Vec::new(), depth: 0 };
    write(&mut l);
    let text = String::from_utf8_lossy(&l.out).into_owned();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ")
}

/// The `Filter` block on one line.
pub(super) fn filter_text(f: &Filter) -> String {
    one_line(|l| filter(l, f))
}

/// The `Scheduler` block on one line.
pub(super) fn scheduler_text(s: &Scheduler) -> String {
    one_line(|l| scheduler(l, s))
}

/// The `Helper` section on one line.
pub(super) fn helpers_text(h: &Helpers) -> String {
    one_line(|l| helpers(l, h))
}

/// The link blocks on one line.
pub(super) fn links_text(s: &Sync) -> String {
    one_line(|l| links::links(l, s))
}

/// The `Peer` blocks on one line.
pub(super) fn peers_text(s: &Sync) -> String {
    one_line(|l| links::peers(l, s))
}

/// The `Auth` block on one line. Keys that are not shown are told apart by their fingerprints.
pub(super) fn auth_text(a: &Auth) -> String {
    let hidden = a.keys.iter().filter_map(|k| match &k.source {
        KeySource::Hex(secret) => {
            let key = GroupKey { number: k.number, secret: secret.clone() };
            Some(format!(" (key {}: {})", k.number, key.fingerprint()))
        }
        KeySource::File(_) | KeySource::Credential(_) => None,
    });
    one_line(|l| auth(l, a)) + &hidden.collect::<String>()
}

/// Values as the file has them.
pub(super) mod words {
    use super::super::settings::{Facility, Listen, LogFormat, Mode, SchedulerPolicy};
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    pub(in super::super) fn on_off(on: bool) -> String {
        if on { "on" } else { "off" }.into()
    }

    /// Bytes that are not text are escaped, so that different paths stay different.
    pub(in super::super) fn path(path: &Path) -> String {
        match path.to_str() {
            Some(text) => text.to_owned(),
            None => path.as_os_str().as_bytes().escape_ascii().to_string(),
        }
    }

    pub(in super::super) fn listen(l: &Listen) -> String {
        match l {
            Listen::Tcp(address) => address.to_string(),
            Listen::Unix(p) => format!("unix:{}", path(p)),
        }
    }

    pub(in super::super) fn path_or_off(p: Option<&Path>) -> String {
        p.map_or("off".into(), path)
    }

    pub(in super::super) fn facility_or_off(f: Option<Facility>) -> String {
        f.map_or("off".into(), Facility::name)
    }

    pub(in super::super) fn log_format(f: LogFormat) -> &'static str {
        match f {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }

    pub(in super::super) fn mode(m: &Mode) -> &'static str {
        match m {
            Mode::Ftfw(_) => "FTFW",
            Mode::Alarm(_) => "ALARM",
            Mode::Notrack(_) => "NOTRACK",
        }
    }

    pub(super) fn policy(p: SchedulerPolicy) -> &'static str {
        match p {
            SchedulerPolicy::RoundRobin => "RR",
            SchedulerPolicy::Fifo => "FIFO",
        }
    }
}

fn general(l: &mut Lines, g: &General) {
    l.block("General", |l| {
        // It has no effect, and its default should not cause a warning when the text is read again.
        if g.hash_size != default::HASH_SIZE {
            l.number("HashSize", g.hash_size);
        }
        l.number("HashLimit", g.hash_limit);
        log_file(l, g.log_file.as_deref());
        syslog(l, g.syslog);
        l.path("LockFile", &g.lock_file);
        if let Some(path) = &g.control_socket {
            l.block("UNIX", |l| l.path("Path", path));
        }
        l.optional("NetlinkBufferSize", g.netlink_buffer_size, "the system's default");
        l.number("NetlinkBufferSizeMaxGrowth", g.netlink_buffer_size_max);
        match g.netlink_overrun_resync_s {
            Some(s) => l.number("NetlinkOverrunResync", s),
            None => l.switch("NetlinkOverrunResync", false),
        }
        l.switch("NetlinkEventsReliable", g.netlink_events_reliable);
        l.number("EventIterationLimit", g.event_iteration_limit);
        l.optional("PollSecs", g.poll_s, "events are used");
        match &g.scheduler {
            Some(s) => scheduler(l, s),
            None => l.set("#", "Scheduler: not set, the system's default"),
        }
        l.switch("Systemd", g.systemd);
        filter(l, &g.filter);
    });
}

fn helpers(l: &mut Lines, all: &Helpers) {
    l.block("Helper", |l| {
        l.switch("Setup", all.setup);
        for h in &all.types {
            let name = format!("Type {} {} {}", h.kind.name, h.family.word(), h.protocol.word());
            l.block(&name, |l| {
                l.number("QueueNum", h.queue_num);
                l.optional("QueueLen", h.queue_len, "the kernel's default");
                match &h.policy {
                    Some(p) => l.block(&format!("Policy {}", h.kind.name), |l| {
                        l.number("ExpectMax", p.expect_max);
                        l.number("ExpectTimeout", p.expect_timeout_s);
                    }),
                    None => l.set("#", "Policy: not set, the helper's own"),
                }
                // What is off is a comment: the original does not know these words.
                match h.privileged_ports {
                    true => l.switch("AllowPrivilegedPorts", true),
                    false => l.set("#", "AllowPrivilegedPorts: not set, ports from 1024 on"),
                }
                for (word, prefixes) in [("AllowFrom", &h.senders), ("AllowAddress", &h.addresses)] {
                    prefixes.iter().for_each(|p| l.set(word, &p.to_string()));
                }
                l.optional("MaxExpectations", h.max_expectations, "no limit");
                match h.permanent {
                    Some(on) => l.switch("Permanent", on),
                    None => l.set("#", "Permanent: not set, the protocol's own"),
                }
                match h.any_port {
                    true => l.switch("AnyServerPort", true),
                    false => l.set("#", "AnyServerPort: not set, servers answer from their own"),
                }
            });
        }
    });
}

fn scheduler(l: &mut Lines, s: &Scheduler) {
    l.block("Scheduler", |l| {
        l.set("Type", words::policy(s.policy));
        l.number("Priority", s.priority);
    });
}

fn log_file(l: &mut Lines, path: Option<&Path>) {
    match path {
        Some(path) => l.path("LogFile", path),
        None => l.switch("LogFile", false),
    }
}

fn syslog(l: &mut Lines, facility: Option<Facility>) {
    match facility {
        Some(f) => l.set("Syslog", &f.name()),
        None => l.switch("Syslog", false),
    }
}

fn filter(l: &mut Lines, f: &Filter) {
    let from = match f.from {
        FilterFrom::Userspace => "Filter From Userspace",
        FilterFrom::Kernelspace => "Filter From Kernelspace",
    };
    l.block(from, |l| {
        list(l, "Protocol", f.protocol.as_ref(), |l, p| l.line(&[p.name.as_bytes()]));
        list(l, "Address", f.address.as_ref(), |l, n| match n {
            Network::V4(a, 32) => l.set("IPv4_address", &a.to_string()),
            Network::V4(a, len) => l.set("IPv4_address", &format!("{a}/{len}")),
            Network::V6(a, 128) => l.set("IPv6_address", &v6(a)),
            Network::V6(a, len) => l.set("IPv6_address", &format!("{}/{len}", v6(a))),
        });
        if let Some(listed) = &f.state {
            l.block(&format!("State {}", listed.logic.word()), |l| {
                if !listed.items.is_empty() {
                    let words: Vec<_> = listed.items.iter().map(|s| s.word()).collect();
                    l.set(&words.join(" "), "for TCP");
                }
            });
        }
        list(l, "Port", f.port.as_ref(), |l, p| match p.first == p.last {
            true => l.line(&[p.first.to_string().as_bytes()]),
            false => l.line(&[format!("{}-{}", p.first, p.last).as_bytes()]),
        });
        list(l, "Zone", f.zone.as_ref(), |l, zone| l.line(&[zone.to_string().as_bytes()]));
        list(l, "NAT", f.nat.as_ref(), |l, t| l.line(&[t.word().as_bytes()]));
        list(l, "Mark", f.mark.as_ref(), |l, m| match m.mask {
            u32::MAX => l.line(&[m.value.to_string().as_bytes()]),
            mask => l.line(&[format!("{:#x}/{mask:#x}", m.value).as_bytes()]),
        });
        list(l, "Label", f.label.as_ref(), |l, bit| l.line(&[bit.to_string().as_bytes()]));
    });
}

fn list<T>(l: &mut Lines, word: &str, listed: Option<&Listed<T>>, item: impl Fn(&mut Lines, &T)) {
    if let Some(listed) = listed {
        l.block(&format!("{word} {}", listed.logic.word()), |l| {
            for i in &listed.items {
                item(l, i);
            }
        });
    }
}

fn sync(l: &mut Lines, s: &Sync) {
    l.block("Sync", |l| {
        mode(l, s);
        links::links(l, s);
        links::peers(l, s);
        l.block("Options", |l| {
            l.switch("TCPWindowTracking", s.tcp_window_tracking);
            match &s.expectations {
                Expectations::Off => l.switch("ExpectationSync", false),
                Expectations::All => l.switch("ExpectationSync", true),
                Expectations::Of(helpers) => l.block("ExpectationSync", |l| {
                    for h in helpers {
                        l.line(&[h.as_bytes()]);
                    }
                }),
            }
            // Our own words are written only where they matter: the original does not know them.
            let numbers = [
                ("SyncAfter", s.sync_after_s),
                ("UpdateInterval", s.update_interval_s),
                ("DigestInterval", s.digest_interval_s),
                ("ResyncInterval", s.resync_interval_s),
                ("ReviewInterval", s.review_interval_s),
            ];
            for (word, seconds) in numbers {
                seconds.into_iter().for_each(|s| l.number(word, s));
            }
            if s.digest != matches!(s.mode, Mode::Ftfw(_)) {
                l.switch("Digest", s.digest);
            }
        });
        s.node_id.into_iter().for_each(|n| l.number("NodeID", n));
        s.auth.iter().for_each(|a| auth(l, a));
    });
}

/// A key that stands in the file itself becomes a comment: it is not shown.
fn auth(l: &mut Lines, a: &Auth) {
    l.block("Auth", |l| {
        for key in &a.keys {
            let number = key.number;
            match &key.source {
                KeySource::File(path) => {
                    l.line(&[
                        format!("Key {number}").as_bytes(),
                        &[b"file:", path.as_os_str().as_bytes()].concat(),
                    ]);
                }
                KeySource::Credential(name) => {
                    let source = [b"credential:", name.as_os_str().as_bytes()].concat();
                    l.line(&[format!("Key {number}").as_bytes(), &source]);
                }
                KeySource::Hex(_) => l.set("#", &format!("Key {number} hex: not shown")),
            }
        }
        l.number("ActiveKey", a.active);
        l.set("Mode", a.mode.word());
    });
}

fn mode(l: &mut Lines, s: &Sync) {
    let timeouts = |l: &mut Lines| {
        l.optional("CommitTimeout", s.commit_timeout_s, "committed flows live for what is left of their own");
        l.number("PurgeTimeout", s.purge_timeout_s);
    };
    match &s.mode {
        Mode::Ftfw(m) => l.block("Mode FTFW", |l| {
            l.number("ResendQueueSize", m.resend_queue_size);
            l.number("ACKWindowSize", m.ack_window_size);
            timeouts(l);
            l.switch("DisableExternalCache", m.disable_external_cache);
            l.switch("StartupResync", m.startup_resync);
        }),
        Mode::Alarm(m) => l.block("Mode ALARM", |l| {
            l.number("RefreshTime", m.refresh_time_s);
            l.number("CacheTimeout", m.cache_timeout_s);
            timeouts(l);
        }),
        Mode::Notrack(m) => l.block("Mode NOTRACK", |l| {
            timeouts(l);
            l.switch("DisableInternalCache", m.disable_internal_cache);
            l.switch("DisableExternalCache", m.disable_external_cache);
            l.switch("StartupResync", m.startup_resync);
        }),
    }
}

fn stats(l: &mut Lines, s: &Stats) {
    l.block("Stats", |l| {
        log_file(l, s.log_file.as_deref());
        syslog(l, s.syslog);
        // Our own word is written only where it matters: the original has no such directive.
        if s.log_format == LogFormat::Json {
            l.set("LogFormat", "json");
        }
    });
}
