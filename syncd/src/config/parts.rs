//! From the settings of the configuration file to what each part of the daemon is told.

use crate::config::settings::{Config, DedicatedLink, DedicatedLinks, Ends, Group, Role, Sync};
use crate::links::{LinkKind, LinkSettings};
use crate::peer;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The settings of the protocol machine.
pub fn protocol(config: &Config, sync: &Sync) -> peer::PeerConfig {
    peer::PeerConfig {
        mode: sync.mode,
        commit_timeout_s: sync.commit_timeout_s,
        purge_timeout_s: sync.purge_timeout_s,
        tcp_window_tracking: sync.tcp_window_tracking,
        hash_limit: config.general.hash_limit as usize,
        sync_after_s: sync.sync_after_s.unwrap_or(0),
        update_interval_s: sync.update_interval_s.unwrap_or(0),
        digest_ms: sync.digest.then(|| peer::Millis::from(digest_interval_s(sync)) * 1000),
        resync_ms: sync.resync_interval_s.map(|s| peer::Millis::from(s) * 1000),
        ..peer::PeerConfig::default()
    }
}

/// `DigestInterval`, or its default: a comparison makes everything go that `UpdateInterval` has kept back.
fn digest_interval_s(sync: &Sync) -> u32 {
    const PLAIN_S: u32 = 5;
    const WITH_UPDATE_INTERVAL_S: u32 = 60;
    let usual = sync.update_interval_s.map_or(PLAIN_S, |_| WITH_UPDATE_INTERVAL_S);
    sync.digest_interval_s.unwrap_or(usual)
}

/// `ReviewInterval`, or its default, which goes with `Digest`; `None` for never.
pub fn review_ms(sync: &Sync) -> Option<peer::Millis> {
    const USUAL_S: u32 = 600;
    let mode = &sync.mode;
    if mode.disables_internal_cache() || mode.disables_external_cache() {
        return None;
    }
    let usual = if sync.digest { USUAL_S } else { 0 };
    let seconds = sync.review_interval_s.unwrap_or(usual);
    (seconds > 0).then(|| peer::Millis::from(seconds) * 1000)
}

/// The settings of the links, all of one kind.
pub fn links(sync: &Sync) -> Vec<LinkSettings> {
    fn settings<A>(l: &DedicatedLink<A>, kind: LinkKind, shared: bool) -> LinkSettings {
        LinkSettings {
            kind,
            interface: l.interface.clone(),
            send_buffer: l.send_buffer.map(|b| b as usize),
            receive_buffer: l.receive_buffer.map(|b| b as usize),
            checksum: l.checksum,
            shared,
        }
    }
    // Links to several peers may begin at one address of this node.
    let shared = sync.peers.len() > 1 && sync.links_are_of_peers();
    let unicast = |l: &DedicatedLink<Ends>, tcp: bool| {
        let any = match l.addresses.peer {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let local = SocketAddr::new(l.addresses.local.unwrap_or(any), l.port);
        let peer = SocketAddr::new(l.addresses.peer, l.port);
        let kind = if tcp { LinkKind::Tcp { local, peer } } else { LinkKind::Udp { local, peer } };
        settings(l, kind, shared)
    };
    match &sync.links {
        DedicatedLinks::Multicast(all) => {
            let link = |l: &DedicatedLink<Group>| {
                let (group, local) = match l.addresses {
                    Group::V4 { group, local } => (IpAddr::V4(group), Some(local)),
                    Group::V6 { group } => (IpAddr::V6(group), None),
                };
                let group = SocketAddr::new(group, l.port);
                settings(l, LinkKind::Multicast { group, local }, false)
            };
            all.iter().map(link).collect()
        }
        DedicatedLinks::Udp(all) => all.iter().map(|l| unicast(l, false)).collect(),
        DedicatedLinks::Tcp { links, .. } => links.iter().map(|l| unicast(l, true)).collect(),
    }
}

/// `ErrorQueueLength`, which holds for all links together, though only one sends at a time; or its default.
pub fn error_queue(sync: &Sync) -> usize {
    match &sync.links {
        DedicatedLinks::Tcp { error_queue_length, .. } => *error_queue_length as usize,
        _ => crate::config::settings::default::ERROR_QUEUE_LENGTH as usize,
    }
}

/// The `Sync` settings, if the daemon is a sync daemon.
pub fn sync(config: &Config) -> Option<&Sync> {
    match &config.role {
        Role::Sync(s) => Some(s),
        Role::Stats(_) => None,
    }
}
