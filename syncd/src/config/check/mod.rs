//! From what the file says to what the daemon does: fills in defaults, and checks that the
//! settings fit together.

mod given;
mod helpers;
mod links;
mod metrics;
mod peers;
mod sync;

use super::parse::raw::{Placed, Raw, RawFilter, RawGeneral, RawList, RawStats};
use super::report::{At, Report, Severity};
use super::settings::{
    Config, Facility, Filter, General, Listed, Logic, Role, Scheduler, SchedulerPolicy, Stats, default,
};
use given::{or_default, or_unset, value, warn};
use std::hash::Hash;
use std::path::PathBuf;

/// Fills in defaults and checks. `None` when the report says that no daemon can run with it.
///
/// After errors of grammar nothing more is checked: what could not be read would seem to be missing.
pub(crate) fn check(raw: Raw, report: &mut Report) -> Option<Config> {
    if let (Some(sync), Some(stats)) = (raw.sync_place, raw.stats_place) {
        let text = format!("Stats and Sync exclude each other: there is a Stats in line {}", stats.line);
        report.add(Severity::Error, Some(sync), text);
    }
    if report.is_refused() {
        return None;
    }
    let general = general(raw.general, report);
    let role = match raw.sync_place {
        Some(place) => sync::sync(raw.sync, place, report).map(Role::Sync),
        None => {
            let stats = stats(raw.stats, &general, report);
            let text = match raw.stats_place {
                None => Some("neither Sync nor Stats: the daemon runs in statistics mode"),
                Some(_) if stats.log_file.is_none() && stats.syslog.is_none() => {
                    Some("Stats with neither LogFile nor Syslog: ended flows are logged nowhere")
                }
                Some(_) => None,
            };
            if let Some(text) = text {
                report.add(Severity::Warning, raw.stats_place, text.into());
            }
            Some(Role::Stats(stats))
        }
    };
    let helpers = helpers::helpers(raw.helpers, report);
    let metrics = metrics::metrics(raw.metrics, report);
    let config = Config { general: general.settings, role: role?, helpers, metrics };
    report.can_start().then_some(config)
}

/// `General`, and what is taken from it to check `Stats`.
struct Checked {
    settings: General,
    syslog: Placed<Option<Facility>>,
}

fn general(g: RawGeneral, report: &mut Report) -> Checked {
    if let Some(At { value: 1.., place }) = g.hash_size {
        warn(report, place, "HashSize has no effect: the caches of zctd grow by themselves, up to HashLimit");
    }
    let hash_size = or_default(g.hash_size, "HashSize", default::HASH_SIZE, report);
    let hash_limit = or_default(g.hash_limit, "HashLimit", default::HASH_LIMIT, report);
    let event_iteration_limit =
        or_default(g.event_iteration_limit, "EventIterationLimit", default::EVENT_ITERATION_LIMIT, report);
    if g.control_socket.is_none() {
        let text = "no UNIX { Path … } in General: nothing can be asked of the daemon while it runs";
        report.add(Severity::Warning, None, text.into());
    }
    let max = g.netlink_buffer_size_max.map_or(0, |m| m.value);
    let netlink_buffer_size = or_unset(g.netlink_buffer_size, "NetlinkBufferSize", report);
    if let (Some(size), Some(At { place, .. })) = (netlink_buffer_size, g.netlink_buffer_size) {
        if size > max {
            let text = format!(
                "NetlinkBufferSize is more than NetlinkBufferSizeMaxGrowth ({max}): it is used all the same, but does \
                 not grow"
            );
            warn(report, place, text);
        }
    }
    let resync = g.netlink_overrun_resync_s;
    if let (Some(poll), true) = (g.poll_s, value(g.netlink_events_reliable) == Some(true)) {
        warn(report, poll.place, "PollSecs takes the place of events: NetlinkEventsReliable has no effect");
    }
    let settings = General {
        hash_size,
        hash_limit,
        log_file: value(g.log_file).flatten(),
        syslog: value(g.syslog).flatten(),
        lock_file: value(g.lock_file).unwrap_or_else(|| PathBuf::from(default::LOCK_FILE)),
        control_socket: value(g.control_socket),
        netlink_buffer_size,
        netlink_buffer_size_max: max,
        netlink_overrun_resync_s: value(resync).unwrap_or(Some(default::NETLINK_OVERRUN_RESYNC_S)),
        netlink_events_reliable: value(g.netlink_events_reliable).unwrap_or(false),
        event_iteration_limit,
        poll_s: value(g.poll_s),
        filter: filter(g.filter, report),
        scheduler: scheduler(g.scheduler_policy, g.scheduler_priority, report),
        // The default of the distributions' original, which is built with systemd support.
        systemd: value(g.systemd).unwrap_or(true),
    };
    Checked { settings, syslog: g.syslog }
}

/// The original takes a Type without a Priority to mean priority 0, which no kernel accepts, and ignores a
/// Priority without a Type.
fn scheduler(
    policy: Placed<SchedulerPolicy>,
    priority: Placed<u8>,
    report: &mut Report,
) -> Option<Scheduler> {
    if let (Some(At { place, .. }), None | Some(At { value: 0, .. })) = (policy, priority) {
        let text = "real-time scheduling needs a Priority of 1 to 99: the system's default scheduler is used";
        warn(report, place, text);
    }
    (policy.is_some() || priority.is_some()).then(|| Scheduler {
        policy: value(policy).unwrap_or(SchedulerPolicy::RoundRobin),
        priority: value(priority).unwrap_or(0),
    })
}

fn filter(f: RawFilter, report: &mut Report) -> Filter {
    Filter {
        from: value(f.from).unwrap_or_default(),
        protocol: listed(f.protocol, "Protocol", "no flow", report),
        address: listed(f.address, "Address", "no flow", report),
        state: listed(f.state, "State", "no TCP flow", report),
        port: listed(f.port, "Port", "no flow", report),
        zone: listed(f.zone, "Zone", "no flow", report),
        nat: listed(f.nat, "NAT", "no flow", report),
        mark: listed(f.mark, "Mark", "no flow", report),
        label: listed(f.label, "Label", "no flow", report),
    }
}

fn listed<T: Clone + Eq + Hash>(
    list: Option<RawList<T>>,
    word: &str,
    nothing: &str,
    report: &mut Report,
) -> Option<Listed<T>> {
    let list = list?;
    if list.items.is_empty() && list.logic.value == Logic::Accept {
        let text = format!("{word} Accept with nothing in it: {nothing} passes the filter");
        warn(report, list.logic.place, text);
    }
    Some(Listed { logic: list.logic.value, items: list.items.into_vec() })
}

/// If the two sections name different facilities, General's counts, as in the original.
fn stats(s: RawStats, general: &Checked, report: &mut Report) -> Stats {
    let mut syslog = value(s.syslog).flatten();
    let given = s.syslog.and_then(|s| s.value.map(|_| s.place));
    if let (Some(mine), Some(At { value: Some(generals), .. }), Some(place)) =
        (syslog, &general.syslog, given)
    {
        if mine != *generals {
            // `Syslog on` in Stats names no facility of its own, so the original does not warn.
            if mine != Facility::Daemon {
                warn(report, place, format!("Syslog: {} of General is used here too", generals.name()));
            }
            syslog = Some(*generals);
        }
    }
    Stats {
        log_file: value(s.log_file).flatten(),
        syslog,
        log_format: value(s.log_format).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{FilterFrom, Helpers, Listen, Metrics};
    use super::super::settings::{LogFormat, MarkBits, Network, Ports, Protocol, TcpState, Translation};
    use super::super::{Loaded, load, protocols::Protocols};
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn read(text: &str) -> Loaded {
        load(text.as_bytes(), &Protocols::default())
    }

    fn config(text: &str) -> Config {
        let loaded = read(text);
        loaded.config.unwrap_or_else(|| panic!("{text}: {}", loaded.report.lines("f")))
    }

    fn defaults() -> General {
        General {
            hash_size: 65_536,
            hash_limit: 262_144,
            log_file: None,
            syslog: None,
            lock_file: "/var/lock/conntrackd.lock".into(),
            control_socket: None,
            netlink_buffer_size: None,
            netlink_buffer_size_max: 0,
            netlink_overrun_resync_s: Some(30),
            netlink_events_reliable: false,
            event_iteration_limit: 100,
            poll_s: None,
            filter: Filter::default(),
            scheduler: None,
            systemd: true,
        }
    }

    #[test]
    fn an_empty_file_is_the_original_defaults() {
        let empty = config("");
        let helpers = Helpers::default();
        let (role, metrics) = (Role::Stats(Stats::default()), Metrics::default());
        assert_eq!(empty, Config { general: defaults(), role, helpers, metrics });
        // Zero stands for the default, with a remark.
        let zero = read("General { HashSize 0 HashLimit 0 EventIterationLimit 0 NetlinkBufferSize 0 }\n");
        assert_eq!(zero.config, Some(empty));
        assert_eq!(zero.report.remarks().iter().filter(|r| r.text.contains(" 0 means ")).count(), 4);
    }

    #[test]
    fn every_setting_of_general_and_stats_gets_where_it_belongs() {
        let all = config(
            "General { HashSize 1 HashLimit 2 LogFile on Syslog local3 LockFile /l UNIX { Path /u } \
             NetlinkBufferSize 4 NetlinkBufferSizeMaxGrowth 5 NetlinkOverrunResync 6 NetlinkEventsReliable yes \
             EventIterationLimit 7 PollSecs 8 Scheduler { Type FIFO Priority 9 } Systemd no \
             Filter From Kernelspace { Protocol Accept { SCTP } Address Ignore { IPv4_address 10.0.0.0/8 \
             IPv6_address ::1 } State Accept { CLOSED LISTEN for TCP } Port Ignore { 53 1000-2000 } Zone Accept { 7 } \
             NAT Accept { SNAT DNAT } Mark Ignore { 5 0x10/0xf0 } Label Ignore { 127 } } }\n\
             Stats { LogFile /s Syslog local3 LogFormat json }\n\
             Metrics { Listen [::1]:9776 TextFile /m Interval 10 }\n",
        );
        let general = General {
            hash_size: 1,
            hash_limit: 2,
            log_file: Some("/var/log/conntrackd.log".into()),
            syslog: Some(Facility::Local(3)),
            lock_file: "/l".into(),
            control_socket: Some("/u".into()),
            netlink_buffer_size: Some(4),
            netlink_buffer_size_max: 5,
            netlink_overrun_resync_s: Some(6),
            netlink_events_reliable: true,
            event_iteration_limit: 7,
            poll_s: Some(8),
            filter: Filter {
                from: FilterFrom::Kernelspace,
                protocol: Some(Listed {
                    logic: Logic::Accept,
                    items: vec![Protocol { name: "SCTP".into(), number: 132 }],
                }),
                address: Some(Listed {
                    logic: Logic::Ignore,
                    items: vec![
                        Network::V4(Ipv4Addr::new(10, 0, 0, 0), 8),
                        Network::V6(Ipv6Addr::LOCALHOST, 128),
                    ],
                }),
                state: Some(Listed { logic: Logic::Accept, items: vec![TcpState(8), TcpState(9)] }),
                port: Some(Listed {
                    logic: Logic::Ignore,
                    items: vec![Ports { first: 53, last: 53 }, Ports { first: 1000, last: 2000 }],
                }),
                zone: Some(Listed { logic: Logic::Accept, items: vec![7] }),
                nat: Some(Listed {
                    logic: Logic::Accept,
                    items: vec![Translation::Source, Translation::Destination],
                }),
                mark: Some(Listed {
                    logic: Logic::Ignore,
                    items: vec![MarkBits { value: 5, mask: u32::MAX }, MarkBits { value: 0x10, mask: 0xf0 }],
                }),
                label: Some(Listed { logic: Logic::Ignore, items: vec![127] }),
            },
            scheduler: Some(Scheduler { policy: SchedulerPolicy::Fifo, priority: 9 }),
            systemd: false,
        };
        let stats = Stats {
            log_file: Some("/s".into()),
            syslog: Some(Facility::Local(3)),
            log_format: LogFormat::Json,
        };
        let metrics = Metrics {
            listen: Some(Listen::Tcp(([0, 0, 0, 0, 0, 0, 0, 1], 9776).into())),
            text_file: Some("/m".into()),
            interval_s: 10,
        };
        let helpers = Helpers::default();
        assert_eq!(all, Config { general, role: Role::Stats(stats), helpers, metrics });
        let aliases = config(
            "General { SocketBufferSize 4 SocketBufferSizeMaxGrown 5 SocketBufferSizeMaxGrowth 6 LogFile off }\n",
        );
        assert_eq!(
            aliases.general,
            General { netlink_buffer_size: Some(4), netlink_buffer_size_max: 6, ..defaults() }
        );
    }

    #[test]
    fn facilities_that_differ_are_generals() {
        let syslog = |general: &str, stats: &str| {
            let loaded =
                read(&format!("General {{ Syslog {general} }}\nStats {{ Syslog {stats} LogFile on }}\n"));
            let warned = loaded.report.remarks().iter().any(|r| r.text.starts_with("Syslog: "));
            match loaded.config.expect("it loads").role {
                Role::Stats(s) => (s.syslog, warned),
                Role::Sync(_) => panic!(),
            }
        };
        let local = |n| Some(Facility::Local(n));
        assert_eq!(syslog("local1", "local2"), (local(1), true));
        assert_eq!(syslog("on", "local2"), (Some(Facility::Daemon), true));
        assert_eq!(syslog("local1", "on"), (local(1), false));
        assert_eq!(syslog("local1", "local1"), (local(1), false));
        assert_eq!(syslog("off", "local2"), (local(2), false));
        assert_eq!(syslog("local1", "off"), (None, false));
    }
}
