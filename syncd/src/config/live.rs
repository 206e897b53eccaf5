//! What a new configuration changes, and whether that is possible while the daemon runs (SIGHUP).
//!
//! The original has no reload: SIGHUP kills it (conntrackd.md §1.3). A setting is live if it can be exchanged
//! between two turns without closing a socket that others know and without losing what is cached. Everything
//! else is listed, so that the operator learns what still waits for a restart.

use super::print::{self, words};
use super::settings::{Alarm, Config, Expectations, Helpers, Mode, Role, Stats, Sync};

/// A setting whose value differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The directive's word; `Stats LogFile` where the word alone is not enough.
    pub setting: &'static str,
    /// The old value as written in the file; `None` where the old role or mode has no such setting.
    pub from: Option<String>,
    /// The new value in the same form; `None` where the new role or mode has no such setting.
    pub to: Option<String>,
}

/// All differences between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes that take effect at once.
    pub live: Vec<Change>,
    /// Changes that take effect only after a restart; until then the old value holds.
    pub needs_restart: Vec<Change>,
}

/// Takes one setting over from a new configuration.
type Take = fn(&mut Config, &Config);

/// When a new value can take effect.
#[derive(Clone, Copy)]
enum When {
    /// It takes effect at once.
    Live(Take),
    /// It takes effect at once if the setting was there before and still is, so that both values are of the
    /// same kind: switching polling or expectations on or off opens or closes subscriptions.
    LiveIfThere(Take),
    /// It takes effect after a restart.
    Restart,
}

/// A setting and its value as the file has it; `None` when the role or mode has no such setting.
type Setting = (&'static str, When, fn(&Config) -> Option<String>);

use When::{Live, LiveIfThere, Restart};

/// Every setting of [`Config`]; a test changes each of them.
const SETTINGS: &[Setting] = &[
    // It has no effect, so any time is right.
    ("HashSize", Live(|old, new| old.general.hash_size = new.general.hash_size), |c| {
        Some(c.general.hash_size.to_string())
    }),
    // The caches are created with this limit.
    ("HashLimit", Restart, |c| Some(c.general.hash_limit.to_string())),
    ("LogFile", Live(|old, new| old.general.log_file = new.general.log_file.clone()), |c| {
        Some(words::path_or_off(c.general.log_file.as_deref()))
    }),
    ("Syslog", Live(|old, new| old.general.syslog = new.general.syslog), |c| {
        Some(words::facility_or_off(c.general.syslog))
    }),
    ("LockFile", Restart, |c| Some(words::path(&c.general.lock_file))),
    ("UNIX Path", Restart, |c| c.general.control_socket.as_deref().map(words::path)),
    (
        "NetlinkBufferSize",
        Live(|old, new| old.general.netlink_buffer_size = new.general.netlink_buffer_size),
        |c| c.general.netlink_buffer_size.map(|n| n.to_string()),
    ),
    (
        "NetlinkBufferSizeMaxGrowth",
        Live(|old, new| old.general.netlink_buffer_size_max = new.general.netlink_buffer_size_max),
        |c| Some(c.general.netlink_buffer_size_max.to_string()),
    ),
    (
        "NetlinkOverrunResync",
        Live(|old, new| old.general.netlink_overrun_resync_s = new.general.netlink_overrun_resync_s),
        |c| Some(c.general.netlink_overrun_resync_s.map_or("off".into(), |s| s.to_string())),
    ),
    // The kernel checks this socket option when it drops events; subscribing anew would lose some.
    ("NetlinkEventsReliable", Restart, |c| Some(words::on_off(c.general.netlink_events_reliable))),
    (
        "EventIterationLimit",
        Live(|old, new| old.general.event_iteration_limit = new.general.event_iteration_limit),
        |c| Some(c.general.event_iteration_limit.to_string()),
    ),
    ("PollSecs", LiveIfThere(|old, new| old.general.poll_s = new.general.poll_s), |c| {
        c.general.poll_s.map(|n| n.to_string())
    }),
    // Flows that were cached under the old filter stay until the next comparison with the kernel, which the
    // daemon starts when this changes.
    ("Filter", Live(|old, new| old.general.filter = new.general.filter.clone()), |c| {
        Some(print::filter_text(&c.general.filter))
    }),
    // The right to change it is kept only by a daemon that was started with one.
    ("Scheduler", LiveIfThere(|old, new| old.general.scheduler = new.general.scheduler), |c| {
        c.general.scheduler.as_ref().map(print::scheduler_text)
    }),
    ("Systemd", Restart, |c| Some(words::on_off(c.general.systemd))),
    ("Helper", Live(|old, new| old.helpers = new.helpers.clone()), |c| {
        (c.helpers != Helpers::default()).then(|| print::helpers_text(&c.helpers))
    }),
    ("Metrics Listen", Live(|old, new| old.metrics.listen = new.metrics.listen.clone()), |c| {
        c.metrics.listen.as_ref().map(words::listen)
    }),
    ("Metrics TextFile", Live(|old, new| old.metrics.text_file = new.metrics.text_file.clone()), |c| {
        c.metrics.text_file.as_deref().map(words::path)
    }),
    ("Metrics Interval", Live(|old, new| old.metrics.interval_s = new.metrics.interval_s), |c| {
        Some(c.metrics.interval_s.to_string())
    }),
    ("Sync or Stats", Restart, |c| match &c.role {
        Role::Sync(_) => Some("Sync".into()),
        Role::Stats(_) => Some("Stats".into()),
    }),
    (
        "Stats LogFile",
        Live(|old, new| take_stats(old, new, |old, new| old.log_file = new.log_file.clone())),
        |c| stats(c, |s| words::path_or_off(s.log_file.as_deref())),
    ),
    ("Stats Syslog", Live(|old, new| take_stats(old, new, |old, new| old.syslog = new.syslog)), |c| {
        stats(c, |s| words::facility_or_off(s.syslog))
    }),
    ("LogFormat", Live(|old, new| take_stats(old, new, |old, new| old.log_format = new.log_format)), |c| {
        stats(c, |s| words::log_format(s.log_format).into())
    }),
    ("Mode", Restart, |c| sync(c, |s| Some(words::mode(&s.mode).into()))),
    // Both sides number their messages according to it.
    ("ResendQueueSize", Restart, |c| {
        sync(c, |s| if let Mode::Ftfw(m) = s.mode { Some(m.resend_queue_size.to_string()) } else { None })
    }),
    ("ACKWindowSize", Restart, |c| {
        sync(c, |s| if let Mode::Ftfw(m) = s.mode { Some(m.ack_window_size.to_string()) } else { None })
    }),
    ("DisableExternalCache", Restart, |c| {
        sync(c, |s| match s.mode {
            Mode::Ftfw(m) => Some(words::on_off(m.disable_external_cache)),
            Mode::Notrack(m) => Some(words::on_off(m.disable_external_cache)),
            Mode::Alarm(_) => None,
        })
    }),
    ("DisableInternalCache", Restart, |c| {
        sync(c, |s| {
            if let Mode::Notrack(m) = s.mode { Some(words::on_off(m.disable_internal_cache)) } else { None }
        })
    }),
    // It matters only at the start.
    ("StartupResync", Restart, |c| {
        sync(c, |s| match s.mode {
            Mode::Ftfw(m) => Some(words::on_off(m.startup_resync)),
            Mode::Notrack(m) => Some(words::on_off(m.startup_resync)),
            Mode::Alarm(_) => None,
        })
    }),
    (
        "RefreshTime",
        LiveIfThere(|old, new| take_alarm(old, new, |old, new| old.refresh_time_s = new.refresh_time_s)),
        |c| sync(c, |s| if let Mode::Alarm(m) = s.mode { Some(m.refresh_time_s.to_string()) } else { None }),
    ),
    (
        "CacheTimeout",
        LiveIfThere(|old, new| take_alarm(old, new, |old, new| old.cache_timeout_s = new.cache_timeout_s)),
        |c| sync(c, |s| if let Mode::Alarm(m) = s.mode { Some(m.cache_timeout_s.to_string()) } else { None }),
    ),
    (
        "CommitTimeout",
        Live(|old, new| take_sync(old, new, |old, new| old.commit_timeout_s = new.commit_timeout_s)),
        |c| sync(c, |s| s.commit_timeout_s.map(|n| n.to_string())),
    ),
    (
        "PurgeTimeout",
        LiveIfThere(|old, new| take_sync(old, new, |old, new| old.purge_timeout_s = new.purge_timeout_s)),
        |c| sync(c, |s| Some(s.purge_timeout_s.to_string())),
    ),
    ("links", Restart, |c| sync(c, |s| (!s.links_are_of_peers()).then(|| print::links_text(s)))),
    // A machine, its sockets and its account in the ledger are made at the start.
    ("Peer", Restart, |c| sync(c, |s| (!s.peers.is_empty()).then(|| print::peers_text(s)))),
    // What waits already waits as long as the new value says.
    (
        "SyncAfter",
        Live(|old, new| take_sync(old, new, |old, new| old.sync_after_s = new.sync_after_s)),
        |c| sync(c, |s| s.sync_after_s.map(|n| n.to_string())),
    ),
    (
        "UpdateInterval",
        Live(|old, new| take_sync(old, new, |old, new| old.update_interval_s = new.update_interval_s)),
        |c| sync(c, |s| s.update_interval_s.map(|n| n.to_string())),
    ),
    ("Digest", Restart, |c| sync(c, |s| Some(words::on_off(s.digest)))),
    (
        "DigestInterval",
        Live(|old, new| take_sync(old, new, |old, new| old.digest_interval_s = new.digest_interval_s)),
        |c| sync(c, |s| s.digest_interval_s.map(|n| n.to_string())),
    ),
    (
        "ResyncInterval",
        Live(|old, new| take_sync(old, new, |old, new| old.resync_interval_s = new.resync_interval_s)),
        |c| sync(c, |s| s.resync_interval_s.map(|n| n.to_string())),
    ),
    (
        "ReviewInterval",
        Live(|old, new| take_sync(old, new, |old, new| old.review_interval_s = new.review_interval_s)),
        |c| sync(c, |s| s.review_interval_s.map(|n| n.to_string())),
    ),
    ("NodeID", Live(|old, new| take_sync(old, new, |old, new| old.node_id = new.node_id)), |c| {
        sync(c, |s| s.node_id.map(|n| n.to_string()))
    }),
    ("Auth", Live(|old, new| take_sync(old, new, |old, new| old.auth = new.auth.clone())), |c| {
        sync(c, |s| s.auth.as_ref().map(print::auth_text))
    }),
    // Everything that was sent without window scales would have to be sent again.
    ("TCPWindowTracking", Restart, |c| sync(c, |s| Some(words::on_off(s.tcp_window_tracking)))),
    (
        "ExpectationSync",
        LiveIfThere(|old, new| take_sync(old, new, |old, new| old.expectations = new.expectations.clone())),
        |c| {
            sync(c, |s| match &s.expectations {
                Expectations::Off => None,
                Expectations::All => Some("on".into()),
                Expectations::Of(helpers) => Some(format!("{{ {} }}", helpers.join(" "))),
            })
        },
    ),
];

fn take_stats(old: &mut Config, new: &Config, take: fn(&mut Stats, &Stats)) {
    if let (Role::Stats(old), Role::Stats(new)) = (&mut old.role, &new.role) {
        take(old, new);
    }
}

fn take_sync(old: &mut Config, new: &Config, take: fn(&mut Sync, &Sync)) {
    if let (Role::Sync(old), Role::Sync(new)) = (&mut old.role, &new.role) {
        take(old, new);
    }
}

fn take_alarm(old: &mut Config, new: &Config, take: fn(&mut Alarm, &Alarm)) {
    if let (Role::Sync(old), Role::Sync(new)) = (&mut old.role, &new.role) {
        if let (Mode::Alarm(old), Mode::Alarm(new)) = (&mut old.mode, &new.mode) {
            take(old, new);
        }
    }
}

fn stats(c: &Config, of: impl FnOnce(&Stats) -> String) -> Option<String> {
    match &c.role {
        Role::Stats(s) => Some(of(s)),
        Role::Sync(_) => None,
    }
}

fn sync(c: &Config, of: impl FnOnce(&Sync) -> Option<String>) -> Option<String> {
    match &c.role {
        Role::Sync(s) => of(s),
        Role::Stats(_) => None,
    }
}

/// Compares two configurations setting by setting.
///
/// If the role or the mode changes, every setting that belongs to the old or the new one is listed along with
/// it under `needs_restart`.
pub fn live_changes(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    differences(old, new, |change, take| match take {
        Some(_) => changes.live.push(change),
        None => changes.needs_restart.push(change),
    });
    changes
}

/// The old configuration, with all that can change while the daemon runs taken over from the new one.
pub fn merged(old: &Config, new: &Config) -> Config {
    let mut out = old.clone();
    differences(old, new, |_, take| {
        if let Some(take) = take {
            take(&mut out, new);
        }
    });
    out
}

/// Reports every setting that differs and, if it can be taken over at once, how.
fn differences(old: &Config, new: &Config, mut tell: impl FnMut(Change, Option<Take>)) {
    let same_kind = kind(old) == kind(new);
    for (setting, when, value) in SETTINGS {
        let (from, to) = (value(old), value(new));
        if from == to {
            continue;
        }
        let take = match when {
            Live(take) => Some(*take),
            LiveIfThere(take) => Some(*take).filter(|_| from.is_some() && to.is_some()),
            Restart => None,
        };
        let take = take.filter(|_| same_kind || !is_of_role(setting));
        tell(Change { setting, from, to }, take);
    }
}

/// The role and mode, as far as they decide which settings there are.
fn kind(c: &Config) -> Option<&'static str> {
    match &c.role {
        Role::Stats(_) => None,
        Role::Sync(s) => Some(words::mode(&s.mode)),
    }
}

/// True for settings outside `General`.
fn is_of_role(setting: &str) -> bool {
    SETTINGS.iter().skip_while(|(name, ..)| *name != "Sync or Stats").any(|(name, ..)| *name == setting)
}

#[cfg(test)]
mod tests {
    use super::super::{load, protocols::Protocols};
    use super::*;

    fn config(text: &str) -> Config {
        let loaded = load(text.as_bytes(), &Protocols::default());
        loaded.config.unwrap_or_else(|| panic!("{text}: {}", loaded.report.lines("f")))
    }

    const LINK: &str =
        "UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo }";

    fn general(more: &str) -> Config {
        config(&format!("General {{ {more} }}\nStats {{ }}\n"))
    }

    fn stats(more: &str) -> Config {
        config(&format!("Stats {{ {more} }}\n"))
    }

    fn metrics(more: &str) -> Config {
        config(&format!("Stats {{ }}\nMetrics {{ {more} }}\n"))
    }

    fn sync(mode: &str, more: &str) -> Config {
        config(&format!("Sync {{ Mode {mode} }} {LINK} {more} }}\n"))
    }

    fn peers(all: &[(u8, &str)]) -> Config {
        let one = |(node, name): &(u8, &str)| {
            let link = LINK.replace("10.0.0.2", &format!("10.0.0.{node}"));
            format!("Peer {name} {{ NodeID {node} {link} }}")
        };
        let all: Vec<_> = all.iter().map(one).collect();
        config(&format!("Sync {{ Mode FTFW {{ }} NodeID 1 {} }}\n", all.join(" ")))
    }

    fn sealed(key: &str) -> String {
        format!("NodeID 1 Auth {{ Key 1 {key} ActiveKey 1 }}")
    }

    fn hex(digit: char) -> String {
        format!("hex:{}", digit.to_string().repeat(64))
    }

    /// Each setting, changed alone, is the only one reported, and in the right list.
    #[test]
    fn every_setting_is_told_apart() {
        let pairs: Vec<(&str, bool, Config, Config)> = vec![
            ("HashSize", true, general("HashSize 5"), general("HashSize 6")),
            ("HashLimit", false, general("HashLimit 5"), general("")),
            ("LogFile", true, general("LogFile on"), general("LogFile off")),
            ("Syslog", true, general("Syslog on"), general("Syslog local1")),
            ("LockFile", false, general("LockFile /x "), general("")),
            ("UNIX Path", false, general("UNIX { Path /x }"), general("UNIX { Path /y }")),
            ("UNIX Path", false, general("UNIX { Path /x }"), general("")),
            ("NetlinkBufferSize", true, general("NetlinkBufferSize 5"), general("")),
            ("NetlinkBufferSizeMaxGrowth", true, general("NetlinkBufferSizeMaxGrowth 5"), general("")),
            (
                "NetlinkOverrunResync",
                true,
                general("NetlinkOverrunResync off"),
                general("NetlinkOverrunResync on"),
            ),
            ("NetlinkEventsReliable", false, general("NetlinkEventsReliable on"), general("")),
            ("EventIterationLimit", true, general("EventIterationLimit 5"), general("")),
            ("PollSecs", true, general("PollSecs 5"), general("PollSecs 6")),
            ("PollSecs", false, general("PollSecs 5"), general("")),
            ("PollSecs", false, general(""), general("PollSecs 5")),
            ("Filter", true, general("Filter { Protocol Accept { TCP } }"), general("")),
            ("Filter", true, general("Filter From Kernelspace { }"), general("")),
            (
                "Scheduler",
                true,
                general("Scheduler { Type FIFO Priority 5 }"),
                general("Scheduler { Type RR Priority 5 }"),
            ),
            ("Scheduler", false, general("Scheduler { Type FIFO Priority 5 }"), general("")),
            ("Systemd", false, general("Systemd off"), general("")),
            (
                "Helper",
                true,
                config("Helper { Type ftp inet tcp { QueueNum 1 } }\nStats { }\n"),
                config("Helper { Type ftp inet tcp { QueueNum 2 } }\nStats { }\n"),
            ),
            ("Helper", true, config("Helper { Setup on }\nStats { }\n"), stats("")),
            ("Metrics Listen", true, metrics("Listen 127.0.0.1:1"), metrics("Listen unix:/x ")),
            ("Metrics Listen", true, metrics("Listen 127.0.0.1:1"), metrics("")),
            ("Metrics TextFile", true, metrics("TextFile /x "), metrics("")),
            ("Metrics Interval", true, metrics("Interval 7"), metrics("")),
            ("Stats LogFile", true, stats("LogFile on"), stats("LogFile /x ")),
            ("Stats Syslog", true, stats("Syslog on"), stats("")),
            ("LogFormat", true, stats("LogFormat json"), stats("LogFormat text")),
            ("ResendQueueSize", false, sync("FTFW { ResendQueueSize 500", ""), sync("FTFW {", "")),
            ("ACKWindowSize", false, sync("FTFW { ACKWindowSize 5", ""), sync("FTFW {", "")),
            ("DisableExternalCache", false, sync("FTFW { DisableExternalCache on", ""), sync("FTFW {", "")),
            (
                "DisableExternalCache",
                false,
                sync("NOTRACK { DisableExternalCache on", ""),
                sync("NOTRACK {", ""),
            ),
            (
                "DisableInternalCache",
                false,
                sync("NOTRACK { DisableInternalCache on", ""),
                sync("NOTRACK {", ""),
            ),
            ("StartupResync", false, sync("FTFW { StartupResync on", ""), sync("FTFW {", "")),
            ("StartupResync", false, sync("NOTRACK { StartupResync on", ""), sync("NOTRACK {", "")),
            ("RefreshTime", true, sync("ALARM { RefreshTime 5", ""), sync("ALARM {", "")),
            ("CacheTimeout", true, sync("ALARM { CacheTimeout 5", ""), sync("ALARM {", "")),
            ("CommitTimeout", true, sync("FTFW { CommitTimeout 5", ""), sync("FTFW {", "")),
            ("PurgeTimeout", true, sync("FTFW { PurgeTimeout 5", ""), sync("FTFW {", "")),
            ("links", false, sync("FTFW {", LINK), sync("FTFW {", "")),
            ("links", false, sync("FTFW {", &LINK.replace("UDP", "UDP Default")), sync("FTFW {", LINK)),
            (
                "TCPWindowTracking",
                false,
                sync("FTFW {", "Options { TCPWindowTracking on }"),
                sync("FTFW {", ""),
            ),
            ("ExpectationSync", false, sync("FTFW {", "Options { ExpectationSync on }"), sync("FTFW {", "")),
            (
                "ExpectationSync",
                true,
                sync("FTFW {", "Options { ExpectationSync on }"),
                sync("FTFW {", "Options { ExpectationSync { ftp } }"),
            ),
            ("SyncAfter", true, sync("FTFW {", "Options { SyncAfter 3 }"), sync("FTFW {", "")),
            ("Digest", false, sync("FTFW {", "Options { Digest off }"), sync("FTFW {", "")),
            ("Digest", false, sync("ALARM {", "Options { Digest on }"), sync("ALARM {", "")),
            ("DigestInterval", true, sync("FTFW {", "Options { DigestInterval 9 }"), sync("FTFW {", "")),
            ("ResyncInterval", true, sync("FTFW {", "Options { ResyncInterval 9 }"), sync("FTFW {", "")),
            ("ReviewInterval", true, sync("FTFW {", "Options { ReviewInterval 9 }"), sync("FTFW {", "")),
            ("NodeID", true, sync("FTFW {", "NodeID 3"), sync("FTFW {", "")),
            ("Peer", false, peers(&[(2, "b"), (3, "c")]), peers(&[(2, "b"), (4, "c")])),
            ("Peer", false, peers(&[(2, "b"), (3, "c")]), peers(&[(2, "b"), (3, "d")])),
            ("Auth", true, sync("FTFW {", &sealed("file:/a ")), sync("FTFW {", "NodeID 1")),
            ("Auth", true, sync("FTFW {", &sealed("file:/a ")), sync("FTFW {", &sealed("credential:a "))),
            ("Auth", true, sync("FTFW {", &sealed(&hex('1'))), sync("FTFW {", &sealed(&hex('2')))),
            ("UpdateInterval", true, sync("FTFW {", ""), sync("FTFW {", "Options { UpdateInterval 9 }")),
        ];
        for (name, _, _) in SETTINGS.iter().filter(|(name, ..)| !["Sync or Stats", "Mode"].contains(name)) {
            assert!(pairs.iter().any(|(n, ..)| n == name), "{name} is not tried");
        }
        for (name, live, a, b) in &pairs {
            for (old, new) in [(a, b), (b, a)] {
                let changes = live_changes(old, new);
                let (list, other) = match live {
                    true => (&changes.live, &changes.needs_restart),
                    false => (&changes.needs_restart, &changes.live),
                };
                let names: Vec<_> = list.iter().map(|c| c.setting).collect();
                assert_eq!((names, other.len()), (vec![*name], 0), "{changes:?}");
                assert_ne!(list[0].from, list[0].to);
                // Everything that is live is taken over, and nothing else.
                assert_eq!(&merged(old, new), if *live { new } else { old }, "{name}");
            }
            assert_eq!(live_changes(a, a), Changes::default());
        }
    }

    #[test]
    fn another_mode_or_role_needs_a_restart_with_all_that_belongs_to_it() {
        let changes = live_changes(&sync("ALARM {", ""), &sync("FTFW { CommitTimeout 5", ""));
        let names = |list: &[Change]| list.iter().map(|c| c.setting).collect::<Vec<_>>();
        assert_eq!(changes.live, []);
        let (old, new) = (sync("ALARM {", ""), sync("FTFW { CommitTimeout 5", ""));
        assert_eq!(merged(&old, &new), old);
        assert!(names(&changes.needs_restart).starts_with(&["Mode", "ResendQueueSize"]), "{changes:?}");
        assert!(names(&changes.needs_restart).ends_with(&["CacheTimeout", "CommitTimeout", "Digest"]));
        let changes = live_changes(&general("LogFile on"), &sync("NOTRACK {", ""));
        assert_eq!(names(&changes.live), ["LogFile"]);
        assert_eq!(names(&changes.needs_restart)[..2], ["Sync or Stats", "Stats LogFile"]);
        let mode = Change { setting: "Mode", from: None, to: Some("NOTRACK".into()) };
        assert!(changes.needs_restart.contains(&mode));
    }

    #[test]
    fn values_are_as_the_file_has_them() {
        let old = general("Filter { Protocol Accept { TCP } State Ignore { SYN_SENT for TCP } }");
        let changes = live_changes(&old, &general(""));
        assert_eq!(
            changes.live[0].from.as_deref(),
            Some("Filter From Userspace { Protocol Accept { TCP } State Ignore { SYN_SENT for TCP } }")
        );
        let changes = live_changes(&sync("FTFW {", ""), &sync("FTFW {", LINK));
        assert_eq!(
            changes.needs_restart[0].from.as_deref(),
            Some(
                "UDP Default { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo \
                 Checksum on }"
            )
        );
    }
}
