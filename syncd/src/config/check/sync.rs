//! `Sync`: the mode that takes precedence, and what its settings need (conntrackd.md §5.3).

use super::super::parse::raw::{Placed, RawAuth, RawSync};
use super::super::report::{At, FilePlace, Report, Severity};
use super::super::settings::{Alarm, Auth, Expectations, Ftfw, Mode, Notrack, Sync, default};
use super::given::{or_default, value, warn};
use super::links;
use super::peers::{self, BesidePeers};

/// The longest timeout that every kernel can count: INT_MAX ticks of its clock, which has up to 1000 per
/// second (CONFIG_HZ). It cuts longer ones.
const TIMEOUT_S: u32 = i32::MAX as u32 / 1000;

pub(super) fn sync(s: RawSync, place: FilePlace, report: &mut Report) -> Option<Sync> {
    let mode = mode(&s, place, report);
    let direct = match mode {
        Mode::Ftfw(Ftfw { disable_external_cache, .. }) => disable_external_cache,
        Mode::Notrack(Notrack { disable_external_cache, .. }) => disable_external_cache,
        Mode::Alarm(_) => false,
    };
    let commit_timeout_s = commit_timeout(s.commit_timeout_s, direct, report);
    let purge_timeout_s = or_default(s.purge_timeout_s, "PurgeTimeout", default::PURGE_TIMEOUT_S, report);
    let expectations = match (s.expectation_sync, s.expectation_helpers) {
        (None | Some(At { value: false, .. }), _) => Expectations::Off,
        (Some(_), names) if names.is_empty() => Expectations::All,
        (Some(_), names) => Expectations::Of(names.into_vec()),
    };
    let sync_after_s = interval(s.sync_after_s, "SyncAfter", &mode, report);
    let update_interval_s = interval(s.update_interval_s, "UpdateInterval", &mode, report);
    if let (Mode::Alarm(_), Some(At { value: 1.., place })) = (&mode, s.update_interval_s) {
        let text =
            "UpdateInterval is not for mode ALARM, which announces every flow again within RefreshTime";
        report.add(Severity::CannotStart, Some(place), text.into());
    }
    let (digest, digest_interval_s) = digest(s.digest, s.digest_interval_s, &mode, report);
    let resync_interval_s = scheduled_resync(s.resync_interval_s, &mode, report);
    let review_interval_s = review(s.review_interval_s, &mode, report);
    let node_id = value(s.node_id).and_then(|n| u16::try_from(n).ok());
    let auth = s.auth.and_then(|a| auth(a, node_id, report));
    let (links, default_link, peers) = match s.peers.is_empty() {
        true => {
            let (links, default_link) = links::links(s.links, place, report)?;
            (links, default_link, Vec::new())
        }
        false => {
            let rest = BesidePeers { own: node_id, auth: auth.as_ref(), mode, place };
            let (links, peers) = peers::peers(s.links, s.peers, &rest, report)?;
            (links, 0, peers)
        }
    };
    Some(Sync {
        mode,
        commit_timeout_s,
        purge_timeout_s,
        links,
        default_link,
        peers,
        tcp_window_tracking: value(s.tcp_window_tracking).unwrap_or(false),
        expectations,
        sync_after_s,
        update_interval_s,
        digest,
        digest_interval_s,
        resync_interval_s,
        review_interval_s,
        node_id,
        auth,
    })
}

/// FTFW compares by itself: nothing of it goes to a peer that does not say that it compares too. In the other modes
/// even that has to be told, by signs of life.
fn digest(on: Placed<bool>, interval: Placed<u32>, mode: &Mode, report: &mut Report) -> (bool, Option<u32>) {
    let on_at = on.filter(|on| on.value).map(|on| on.place);
    let on = value(on).unwrap_or(matches!(mode, Mode::Ftfw(_)));
    if let Some(place) = on_at.filter(|_| mode.disables_internal_cache() && mode.disables_external_cache()) {
        let text = "Digest has no effect with DisableInternalCache and DisableExternalCache";
        warn(report, place, text);
        return (false, None);
    }
    let Some(At { value: seconds, place }) = interval else { return (on, None) };
    if !on {
        warn(report, place, "DigestInterval has no effect with Digest off");
        return (on, None);
    }
    if seconds == 0 {
        warn(report, place, "DigestInterval 0 means the default");
        return (on, None);
    }
    (on, Some(seconds))
}

/// How often a peer that compares nothing is asked for everything.
fn scheduled_resync(interval: Placed<u32>, mode: &Mode, report: &mut Report) -> Option<u32> {
    let At { value: seconds, place } = interval?;
    if seconds == 0 {
        warn(report, place, "ResyncInterval 0 is the same as no ResyncInterval");
        return None;
    }
    if matches!(mode, Mode::Alarm(_)) {
        let text =
            "ResyncInterval has no effect in mode ALARM, which announces every flow within RefreshTime";
        warn(report, place, text);
        return None;
    }
    Some(seconds)
}

/// How often the kernel's table is compared; 0 for never. Only with an internal cache that has the same flows as the
/// kernel.
fn review(interval: Placed<u32>, mode: &Mode, report: &mut Report) -> Option<u32> {
    let At { value: seconds, place } = interval?;
    if mode.disables_internal_cache() {
        warn(report, place, "ReviewInterval has no effect with DisableInternalCache");
    } else if mode.disables_external_cache() {
        // The peer's flows are in the kernel then, and not in this cache.
        warn(report, place, "ReviewInterval has no effect with DisableExternalCache");
    }
    Some(seconds)
}

/// The most keys: a change of keys needs two at a time, and a few more do no harm.
const KEYS_MAX: usize = 16;

fn auth(a: RawAuth, node_id: Option<u16>, report: &mut Report) -> Option<Auth> {
    let mut cannot = |place, text: String| report.add(Severity::CannotStart, Some(place), text);
    if a.keys.is_empty() {
        cannot(a.place, "Auth needs a Key: `zctd genkey' makes one".into());
        return None;
    }
    if a.keys.len() > KEYS_MAX {
        cannot(a.place, format!("Auth has more than {KEYS_MAX} keys"));
    }
    if node_id.is_none() {
        let text = "Auth needs a NodeID in Sync: a number from 1 to 65535 that no other node has";
        cannot(a.place, text.into());
    }
    let Some(At { value: active, place }) = a.active else {
        cannot(a.place, "Auth needs an ActiveKey: the number of the key that is used for sending".into());
        return None;
    };
    let Some(active) = a.keys.iter().map(|k| k.number).find(|n| u32::from(*n) == active) else {
        cannot(place, format!("ActiveKey {active}: there is no Key {active}"));
        return None;
    };
    Some(Auth { keys: a.keys, active, mode: value(a.mode).unwrap_or_default() })
}

/// What makes flows or changes wait, which is kept with the flow in the internal cache.
fn interval(setting: Placed<u32>, word: &str, mode: &Mode, report: &mut Report) -> Option<u32> {
    let At { value, place } = setting?;
    if value == 0 {
        warn(report, place, format!("{word} 0 is the same as no {word}"));
        return None;
    }
    if mode.disables_internal_cache() {
        let text =
            format!("{word} needs the internal cache: it cannot go together with DisableInternalCache");
        report.add(Severity::CannotStart, Some(place), text);
    }
    Some(value)
}

fn commit_timeout(setting: Placed<u32>, direct: bool, report: &mut Report) -> Option<u32> {
    let At { value, place } = setting?;
    if direct {
        warn(report, place, "CommitTimeout has no effect together with DisableExternalCache");
        return None;
    }
    if value == 0 {
        warn(report, place, "CommitTimeout 0 is the same as no CommitTimeout");
        return None;
    }
    if value > TIMEOUT_S {
        let text = format!(
            "CommitTimeout is more than {TIMEOUT_S}: no flow lives longer than the kernel's clock can count, which \
             is {TIMEOUT_S} s or a few times that"
        );
        warn(report, place, text);
    }
    Some(value)
}

/// FTFW takes precedence over ALARM, and ALARM over NOTRACK. Settings of the other modes have no effect.
fn mode(s: &RawSync, sync: FilePlace, report: &mut Report) -> Mode {
    let (name, place) = match (s.ftfw, s.alarm, s.notrack) {
        (Some(p), _, _) => ("FTFW", p),
        (None, Some(p), _) => ("ALARM", p),
        (None, None, Some(p)) => ("NOTRACK", p),
        (None, None, None) => {
            warn(report, sync, "no Mode in Sync: FTFW is used");
            ("FTFW", sync)
        }
    };
    if [s.ftfw, s.alarm, s.notrack].iter().flatten().count() > 1 {
        warn(report, place, format!("several modes: {name} is used"));
    }
    for (at, word, modes) in [
        (at(&s.resend_queue_size), "ResendQueueSize", &["FTFW"][..]),
        (at(&s.ack_window_size), "ACKWindowSize", &["FTFW"]),
        (at(&s.disable_external_cache), "DisableExternalCache", &["FTFW", "NOTRACK"]),
        (at(&s.startup_resync), "StartupResync", &["FTFW", "NOTRACK"]),
        (at(&s.disable_internal_cache), "DisableInternalCache", &["NOTRACK"]),
        (at(&s.refresh_time_s), "RefreshTime", &["ALARM"]),
        (at(&s.cache_timeout_s), "CacheTimeout", &["ALARM"]),
    ] {
        if let Some(place) = at.filter(|_| !modes.contains(&name)) {
            warn(report, place, format!("{word} has no effect in mode {name}"));
        }
    }
    let on = |setting: Placed<bool>| value(setting).unwrap_or(false);
    match name {
        "ALARM" => Mode::Alarm(Alarm {
            refresh_time_s: or_default(s.refresh_time_s, "RefreshTime", default::REFRESH_TIME_S, report),
            cache_timeout_s: or_default(s.cache_timeout_s, "CacheTimeout", default::CACHE_TIMEOUT_S, report),
        }),
        "NOTRACK" => Mode::Notrack(Notrack {
            disable_internal_cache: on(s.disable_internal_cache),
            disable_external_cache: on(s.disable_external_cache),
            startup_resync: on(s.startup_resync),
        }),
        _ => Mode::Ftfw(ftfw(s, on(s.disable_external_cache), on(s.startup_resync), report)),
    }
}

fn at<T>(setting: &Placed<T>) -> Option<FilePlace> {
    setting.as_ref().map(|s| s.place)
}

fn ftfw(s: &RawSync, disable_external_cache: bool, startup_resync: bool, report: &mut Report) -> Ftfw {
    let resend = or_default(s.resend_queue_size, "ResendQueueSize", default::RESEND_QUEUE_SIZE, report);
    let window = or_default(s.ack_window_size, "ACKWindowSize", default::ACK_WINDOW_SIZE, report);
    if let Some(At { value: 1, place }) = s.ack_window_size {
        let text =
            "ACKWindowSize must be 2 or more: with 1 the original stops acknowledging after the first gap";
        report.add(Severity::CannotStart, Some(place), text.into());
    }
    if resend < window {
        let place = at(&s.resend_queue_size).or(at(&s.ack_window_size));
        let text = format!(
            "ResendQueueSize ({resend}) must be ACKWindowSize ({window}) or more: what is lost would be gone \
             before the peer can say so"
        );
        report.add(Severity::CannotStart, place, text);
    }
    Ftfw { resend_queue_size: resend, ack_window_size: window, disable_external_cache, startup_resync }
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::{
        AuthKey, AuthMode, DedicatedLink, DedicatedLinks, Ends, KeySource, Role,
    };
    use super::super::super::{load, protocols::Protocols};
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn config(text: &str) -> super::super::Config {
        let loaded = load(text.as_bytes(), &Protocols::default());
        loaded.config.unwrap_or_else(|| panic!("{text}: {}", loaded.report.lines("f")))
    }

    const UDP: &str = "UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 3780 Interface eth0 \
                       SndSocketBuffer 5 RcvSocketBuffer 6 Checksum off }";

    fn sync_of(text: &str) -> Sync {
        match config(&format!("Sync {{ {text} {UDP} }}\n")).role {
            Role::Sync(s) => s,
            Role::Stats(_) => panic!("{text}"),
        }
    }

    #[test]
    fn every_setting_of_sync_gets_where_it_belongs() {
        let s = sync_of(
            "CommitTimeout 1 PurgeTimeout 2 Options { TCPWindowTracking on ExpectationSync { ftp sip } \
             SyncAfter 3 UpdateInterval 10 Digest on DigestInterval 20 \
             ResyncInterval 40 ReviewInterval 30 } NodeID 7 Auth { Key 9 file:/k9 Key 8 credential:k8 Key 9 file:/k \
             ActiveKey 8 Mode receive-only }",
        );
        let link = DedicatedLink {
            interface: "eth0".into(),
            addresses: Ends {
                local: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))),
                peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
            },
            port: 3780,
            send_buffer: Some(5),
            receive_buffer: Some(6),
            checksum: false,
        };
        let ftfw = Ftfw {
            resend_queue_size: 131_072,
            ack_window_size: 300,
            disable_external_cache: false,
            startup_resync: false,
        };
        let key = |number, source| AuthKey { number, source };
        let auth = Auth {
            keys: vec![key(8, KeySource::Credential("k8".into())), key(9, KeySource::File("/k".into()))],
            active: 8,
            mode: AuthMode::ReceiveOnly,
        };
        let wanted = Sync {
            mode: Mode::Ftfw(ftfw),
            commit_timeout_s: Some(1),
            purge_timeout_s: 2,
            links: DedicatedLinks::Udp(vec![link]),
            default_link: 0,
            peers: Vec::new(),
            tcp_window_tracking: true,
            expectations: Expectations::Of(vec!["ftp".into(), "sip".into()]),
            sync_after_s: Some(3),
            update_interval_s: Some(10),
            digest: true,
            digest_interval_s: Some(20),
            resync_interval_s: Some(40),
            review_interval_s: Some(30),
            node_id: Some(7),
            auth: Some(auth),
        };
        assert_eq!(s, wanted);
        let mode = |text| sync_of(text).mode;
        assert_eq!(
            mode("Mode FTFW { ResendQueueSize 9 ACKWindowSize 8 DisableExternalCache on StartupResync on }"),
            Mode::Ftfw(Ftfw {
                resend_queue_size: 9,
                ack_window_size: 8,
                disable_external_cache: true,
                startup_resync: true
            })
        );
        let alarm = |refresh_time_s, cache_timeout_s| Mode::Alarm(Alarm { refresh_time_s, cache_timeout_s });
        assert_eq!(mode("Mode ALARM { }"), alarm(60, 180));
        assert_eq!(mode("Mode PERSISTENT { RefreshTime 1 CacheTimeout 2 }"), alarm(1, 2));
        assert_eq!(mode("RefreshTime 3 Mode alarm { } CacheTimeout 4"), alarm(3, 4));
        assert_eq!(
            mode("Mode NOTRACK { DisableInternalCache on }"),
            Mode::Notrack(Notrack { disable_internal_cache: true, ..Notrack::default() })
        );
    }

    #[test]
    fn what_makes_flows_wait_needs_a_cache_that_keeps_them() {
        let says = |mode: &str, options: &str| {
            let text = format!("Sync {{\nMode {mode} }}\nOptions {{\n{options} }}\n{UDP} }}\n");
            let loaded = super::super::super::load(text.as_bytes(), &Default::default());
            assert_eq!(loaded.config.is_none(), loaded.report.lines("f").to_string().contains("error"));
            loaded.report.lines("f").to_string()
        };
        let direct = "NOTRACK { DisableInternalCache on";
        for word in ["SyncAfter", "UpdateInterval"] {
            let message = says(direct, &format!("{word} 3"));
            assert!(message.contains(&format!("f:4:1: error: {word} needs the internal cache")), "{message}");
            let message = says("FTFW {", &format!("{word} 0"));
            assert!(message.contains(&format!("f:4:1: warning: {word} 0 is the same as no")), "{message}");
        }
        let message = says("ALARM {", "UpdateInterval 3");
        assert!(message.contains("f:4:1: error: UpdateInterval is not for mode ALARM"), "{message}");
        assert!(!says("ALARM {", "SyncAfter 3").contains("error"));
    }

    /// The order of the blocks does not matter. Settings of a mode that does not apply are not taken over,
    /// except those that modes share.
    #[test]
    fn one_of_several_modes_wins() {
        let s = sync_of("Mode NOTRACK { DisableInternalCache on StartupResync on } Mode FTFW { }");
        assert!(matches!(s.mode, Mode::Ftfw(m) if m.startup_resync));
        assert!(matches!(sync_of("Mode NOTRACK { } Mode ALARM { }").mode, Mode::Alarm(_)));
        assert_eq!(sync_of("Mode FTFW { CommitTimeout 5 }").commit_timeout_s, Some(5));
        assert_eq!(sync_of("Mode FTFW { CommitTimeout 5 DisableExternalCache on }").commit_timeout_s, None);
        // ALARM has no direct injection, which would make CommitTimeout useless.
        let alarm = sync_of("Mode ALARM { CommitTimeout 5 } Mode NOTRACK { DisableExternalCache on }");
        assert_eq!(alarm.commit_timeout_s, Some(5));
    }

    #[test]
    fn the_last_default_link_is_active_at_first() {
        let links = |defaults: [&str; 3]| {
            let text: String = defaults.iter().map(|d| UDP.replacen("UDP", &format!("UDP {d}"), 1)).collect();
            match config(&format!("Sync {{ Mode FTFW {{ }} {text} }}\n")).role {
                Role::Sync(s) => (s.links.len(), s.default_link),
                Role::Stats(_) => panic!(),
            }
        };
        assert_eq!(links(["", "", ""]), (3, 0));
        assert_eq!(links(["", "", "Default"]), (3, 2));
        assert_eq!(links(["Default", "Default", ""]), (3, 1));
    }
}
