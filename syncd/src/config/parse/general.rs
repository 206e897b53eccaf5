//! `General` and `Stats` (conntrackd.md §5.2, §5.5).

use super::super::lexer::TokenKind;
use super::super::report::{At, FilePlace, quoted};
use super::super::settings::{Facility, LogFormat, SchedulerPolicy, default};
use super::filter;
use super::parser::{BlockName, Directive, Parser, place};
use super::raw::{Placed, Raw, RawGeneral, RawStats};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The longest path of a log or lock file.
pub(super) const PATH_MAX: usize = 256;
/// The longest path of a UNIX socket (sun_path of unix(7) with its NUL is 108 bytes).
pub(super) const SOCKET_PATH_MAX: usize = 107;
/// Sizes of socket buffers are C ints.
pub(super) const BYTES_MAX: u32 = i32::MAX as u32;

/// Where the names of `Protocol` are looked up; see [`super::super::protocols`].
pub(super) const GENERAL: &[Directive<RawGeneral>] = &[
    Directive {
        word: "HashSize",
        read: |p, g, at| set(&mut g.hash_size, p.number(at, "HashSize", 0..=u32::MAX)),
    },
    Directive {
        word: "HashLimit",
        read: |p, g, at| set(&mut g.hash_limit, p.number(at, "HashLimit", 0..=u32::MAX)),
    },
    Directive { word: "LogFile", read: |p, g, at| log_file(p, &mut g.log_file, at, default::LOG_FILE) },
    Directive { word: "Syslog", read: |p, g, at| syslog(p, &mut g.syslog, at) },
    Directive { word: "LockFile", read: lock_file },
    Directive { word: "UNIX", read: |p, g, at| p.block(BlockName { name: "UNIX", place: at }, UNIX, g) },
    Directive { word: "NetlinkBufferSize", read: |p, g, at| buffer_size(p, g, at, "NetlinkBufferSize") },
    Directive { word: "SocketBufferSize", read: |p, g, at| buffer_size(p, g, at, "SocketBufferSize") },
    Directive {
        word: "NetlinkBufferSizeMaxGrowth",
        read: |p, g, at| buffer_size_max(p, g, at, "NetlinkBufferSizeMaxGrowth"),
    },
    Directive {
        word: "SocketBufferSizeMaxGrowth",
        read: |p, g, at| buffer_size_max(p, g, at, "SocketBufferSizeMaxGrowth"),
    },
    Directive {
        word: "SocketBufferSizeMaxGrown",
        read: |p, g, at| buffer_size_max(p, g, at, "SocketBufferSizeMaxGrown"),
    },
    Directive { word: "NetlinkOverrunResync", read: overrun_resync },
    Directive {
        word: "NetlinkEventsReliable",
        read: |p, g, at| set(&mut g.netlink_events_reliable, p.switch(at, "NetlinkEventsReliable")),
    },
    Directive {
        word: "EventIterationLimit",
        read: |p, g, at| set(&mut g.event_iteration_limit, p.number(at, "EventIterationLimit", 0..=u32::MAX)),
    },
    Directive { word: "PollSecs", read: poll_secs },
    Directive { word: "Filter", read: |p, g, at| filter::block(p, &mut g.filter, at) },
    Directive {
        word: "Scheduler",
        read: |p, g, at| p.block(BlockName { name: "Scheduler", place: at }, SCHEDULER, g),
    },
    Directive { word: "Nice", read: nice },
    Directive { word: "Systemd", read: |p, g, at| set(&mut g.systemd, p.switch(at, "Systemd")) },
];

pub(super) const UNIX: &[Directive<RawGeneral>] = &[
    Directive {
        word: "Path",
        read: |p, g, at| set(&mut g.control_socket, path(p, at, "Path", "a path", SOCKET_PATH_MAX)),
    },
    Directive {
        word: "Backlog",
        read: |p, _, at| {
            p.number(at, "Backlog", 0..=BYTES_MAX)?;
            p.warn(at, "Backlog is deprecated and has no effect".into());
            Some(())
        },
    },
];

pub(super) const SCHEDULER: &[Directive<RawGeneral>] =
    &[Directive { word: "Type", read: scheduler_type }, Directive { word: "Priority", read: priority }];

pub(super) const STATS: &[Directive<RawStats>] = &[
    Directive { word: "LogFile", read: |p, s, at| log_file(p, &mut s.log_file, at, default::STATS_LOG_FILE) },
    Directive { word: "Syslog", read: |p, s, at| syslog(p, &mut s.syslog, at) },
    Directive { word: "LogFormat", read: log_format },
];

/// `General { … }`.
pub(super) fn general(p: &mut Parser<'_>, raw: &mut Raw, at: FilePlace) -> Option<()> {
    p.block(BlockName { name: "General", place: at }, GENERAL, &mut raw.general)
}

/// `Stats { … }`.
pub(super) fn stats(p: &mut Parser<'_>, raw: &mut Raw, at: FilePlace) -> Option<()> {
    raw.stats_place.get_or_insert(at);
    p.block(BlockName { name: "Stats", place: at }, STATS, &mut raw.stats)
}

/// Stores a value, if it could be read.
pub(super) fn set<T>(setting: &mut Placed<T>, read: Option<At<T>>) -> Option<()> {
    *setting = Some(read?);
    Some(())
}

pub(super) fn path(
    p: &mut Parser<'_>,
    at: FilePlace,
    word: &str,
    wanted: &str,
    max: usize,
) -> Option<At<PathBuf>> {
    let bytes = p.path(word, wanted, max)?;
    Some(At { value: PathBuf::from(OsStr::from_bytes(bytes)), place: at })
}

fn log_file(
    p: &mut Parser<'_>,
    setting: &mut Placed<Option<PathBuf>>,
    at: FilePlace,
    on: &str,
) -> Option<()> {
    let value = match p.try_switch() {
        Some(true) => Some(PathBuf::from(on)),
        Some(false) => None,
        None => Some(path(p, at, "LogFile", "on, off or a path", PATH_MAX)?.value),
    };
    *setting = Some(At { value, place: at });
    Some(())
}

/// An unknown facility is ignored with a warning, as in the original: an earlier setting stays.
fn syslog(p: &mut Parser<'_>, setting: &mut Placed<Option<Facility>>, at: FilePlace) -> Option<()> {
    let value = match p.try_switch() {
        Some(true) => Some(Facility::Daemon),
        Some(false) => None,
        None => {
            let name = p.name("Syslog", "on, off or a facility (daemon, local0 to local7)")?;
            let Some(facility) = Facility::of_name(name) else {
                let name = quoted(name.as_bytes());
                p.warn(
                    at,
                    format!("{name} is not a facility zctd knows (daemon, local0 to local7): ignored"),
                );
                return Some(());
            };
            Some(facility)
        }
    };
    *setting = Some(At { value, place: at });
    Some(())
}

fn lock_file(p: &mut Parser<'_>, g: &mut RawGeneral, at: FilePlace) -> Option<()> {
    set(&mut g.lock_file, path(p, at, "LockFile", "a path", PATH_MAX))
}

fn buffer_size(p: &mut Parser<'_>, g: &mut RawGeneral, at: FilePlace, word: &str) -> Option<()> {
    set(&mut g.netlink_buffer_size, p.number(at, word, 0..=BYTES_MAX))
}

fn buffer_size_max(p: &mut Parser<'_>, g: &mut RawGeneral, at: FilePlace, word: &str) -> Option<()> {
    set(&mut g.netlink_buffer_size_max, p.number(at, word, 0..=BYTES_MAX))
}

fn overrun_resync(p: &mut Parser<'_>, g: &mut RawGeneral, at: FilePlace) -> Option<()> {
    let value = match p.try_switch() {
        Some(true) => Some(default::NETLINK_OVERRUN_RESYNC_S),
        Some(false) => None,
        None if p.peek().kind == TokenKind::Number => {
            match p.number(at, "NetlinkOverrunResync", 0..=BYTES_MAX)?.value {
                0 => {
                    let s = default::NETLINK_OVERRUN_RESYNC_S;
                    p.warn(at, format!("NetlinkOverrunResync 0 means the default, {s}; off switches it off"));
                    Some(s)
                }
                s => Some(s),
            }
        }
        None => {
            p.unexpected(&format!(
                "on, off or a number from 0 to {BYTES_MAX} (seconds) after NetlinkOverrunResync"
            ));
            return None;
        }
    };
    g.netlink_overrun_resync_s = Some(At { value, place: at });
    Some(())
}

fn poll_secs(p: &mut Parser<'_>, g: &mut RawGeneral, at: FilePlace) -> Option<()> {
    set(&mut g.poll_s, p.number(at, "PollSecs", 1..=BYTES_MAX))
}

fn nice(p: &mut Parser<'_>, _: &mut RawGeneral, at: FilePlace) -> Option<()> {
    p.signed(at, "Nice", -20..=19)?;
    p.warn(at, "Nice is deprecated and has no effect: use nice(1) or renice(1)".into());
    Some(())
}

fn scheduler_type(p: &mut Parser<'_>, g: &mut RawGeneral, at: FilePlace) -> Option<()> {
    let t = p.peek();
    let name = p.name("Type", "rr or fifo")?;
    let value = match name {
        n if n.eq_ignore_ascii_case("rr") => SchedulerPolicy::RoundRobin,
        n if n.eq_ignore_ascii_case("fifo") => SchedulerPolicy::Fifo,
        n => {
            let text = format!("unknown scheduler {}: expected rr or fifo", quoted(n.as_bytes()));
            p.error(place(&t), text);
            return Some(());
        }
    };
    g.scheduler_policy = Some(At { value, place: at });
    Some(())
}

fn priority(p: &mut Parser<'_>, g: &mut RawGeneral, at: FilePlace) -> Option<()> {
    let read = p.number(at, "Priority", 0..=99)?;
    g.scheduler_priority = Some(At { value: u8::try_from(read.value).unwrap_or(99), place: at });
    Some(())
}

fn log_format(p: &mut Parser<'_>, s: &mut RawStats, at: FilePlace) -> Option<()> {
    let t = p.peek();
    let value = match t.text {
        b"text" if t.kind == TokenKind::Word => LogFormat::Text,
        b"json" if t.kind == TokenKind::Word => LogFormat::Json,
        _ => {
            p.unexpected("text or json after LogFormat");
            return None;
        }
    };
    p.take();
    s.log_format = Some(At { value, place: at });
    Some(())
}

impl Facility {
    /// The facility with this name: `daemon`, or `local0` to `local7`.
    fn of_name(name: &str) -> Option<Facility> {
        if name == "daemon" {
            return Some(Facility::Daemon);
        }
        let n = name.strip_prefix("local")?;
        (0..8).find(|i| n == i.to_string()).map(Facility::Local)
    }

    /// The name of the facility.
    pub fn name(self) -> String {
        match self {
            Facility::Daemon => "daemon".into(),
            Facility::Local(n) => format!("local{n}"),
        }
    }
}
