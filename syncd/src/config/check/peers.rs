//! `Peer`: whether several nodes can work together like that.

use super::super::parse::raw::{RawLink, RawLinkKind, RawPeer};
use super::super::report::{At, FilePlace, Report, Severity};
use super::super::settings::{Auth, AuthMode, DedicatedLinks, Mode, PEER_NAME_MAX, PEERS_MAX, PeerSettings};
use super::links;

/// What else has to fit together with the peers.
pub(super) struct BesidePeers<'a> {
    /// `NodeID` of this node.
    pub(super) own: Option<u16>,
    pub(super) auth: Option<&'a Auth>,
    pub(super) mode: Mode,
    /// Where `Sync` is.
    pub(super) place: FilePlace,
}

/// The links of all peers, one peer after the other, and the peers; `outside` are links beside the `Peer`
/// blocks.
pub(super) fn peers(
    outside: Vec<RawLink>,
    raw: Vec<RawPeer>,
    rest: &BesidePeers<'_>,
    report: &mut Report,
) -> Option<(DedicatedLinks, Vec<PeerSettings>)> {
    fits(&outside, &raw, rest, report);
    names(&raw, report);
    numbers(&raw, rest, report);
    if !report.can_start() {
        return None;
    }
    let several = raw.len() > 1;
    let mut peers = Vec::new();
    let (all, default_of_all) = match outside.is_empty() {
        false => {
            let (all, default_link) = links::links(outside, rest.place, report)?;
            (Some(all), default_link)
        }
        true => (None, 0),
    };
    let mut flat = Vec::new();
    for peer in raw {
        let node_id = peer.node_id.and_then(|n| u16::try_from(n.value).ok())?;
        let (links, default_link) = match &all {
            Some(all) => ((0..all.len()).collect(), default_of_all),
            None => {
                let first = flat.len();
                let default_link = peer.links.iter().rposition(|l| l.is_default).unwrap_or(0);
                let of_peer = peer.links.into_iter().map(|l| RawLink { is_default: false, ..l });
                flat.extend(of_peer);
                ((first..flat.len()).collect(), default_link)
            }
        };
        peers.push(PeerSettings { name: peer.name, node_id, links, default_link });
    }
    let places: Vec<FilePlace> = flat.iter().map(|l| l.place).collect();
    let all = match all {
        Some(all) => all,
        None => links::links(flat, rest.place, report)?.0,
    };
    if several {
        addresses(&all, &peers, &places, report);
    }
    Some((all, peers))
}

/// Links are either in `Peer` blocks, or all nodes share a group; and some settings are for pairs.
fn fits(outside: &[RawLink], raw: &[RawPeer], rest: &BesidePeers<'_>, report: &mut Report) {
    let mut error = |place, text: String| report.add(Severity::Error, Some(place), text);
    let within = || raw.iter().flat_map(|p| p.links.iter().map(move |l| (p, l)));
    let (group, first) = (outside.first(), within().next());
    match (group, first) {
        (Some(link), _) if link.kind != RawLinkKind::Multicast => {
            let line = raw.first().map_or(0, |p| p.place.line);
            let text = format!(
                "{} beside Peer (line {line}): the links to a node belong in its Peer block",
                link.kind.word()
            );
            error(link.place, text);
        }
        (Some(group), Some((peer, link))) => {
            let (kind, name, line) = (link.kind.word(), &peer.name, group.place.line);
            let text = format!("{kind} in Peer {name}: all nodes share the Multicast group of line {line}");
            error(link.place, text);
        }
        (None, Some((_, first))) => {
            if let Some((_, other)) = within().find(|(_, l)| l.kind != first.kind) {
                let (kind, before, line) = (other.kind.word(), first.kind.word(), first.place.line);
                let text = format!(
                    "links are all of one kind: {kind} cannot be used together with the {before} of line {line}"
                );
                error(other.place, text);
            }
        }
        (_, None) => {}
    }
    let mut cannot = |place, text: String| report.add(Severity::CannotStart, Some(place), text);
    if group.is_none() {
        for peer in raw.iter().filter(|p| p.links.is_empty()) {
            let text = format!("Peer {} needs a UDP or TCP block, or Sync a Multicast", peer.name);
            cannot(peer.place, text);
        }
    }
    if let Some(peer) = raw.get(PEERS_MAX) {
        cannot(peer.place, format!("there can be {PEERS_MAX} Peer blocks at the most"));
    }
    let Some(second) = raw.get(1) else { return };
    if rest.mode.disables_internal_cache() || rest.mode.disables_external_cache() {
        let text = "more than one Peer needs the caches: not together with DisableInternalCache or \
                    DisableExternalCache";
        cannot(second.place, text.into());
    }
    if let Some(group) = group.filter(|g| g.kind == RawLinkKind::Multicast) {
        if rest.auth.is_none_or(|a| a.mode != AuthMode::Enforce) {
            let text = "Multicast with more than one Peer needs Auth in mode enforce: messages without a seal \
                        do not say which node they are from";
            cannot(group.place, text.into());
        }
    }
}

fn names(raw: &[RawPeer], report: &mut Report) {
    for (at, peer) in raw.iter().enumerate() {
        let RawPeer { place, name, .. } = peer;
        if name.len() > PEER_NAME_MAX {
            let text = format!("Peer {name}: a name has {PEER_NAME_MAX} bytes at the most");
            report.add(Severity::CannotStart, Some(*place), text);
        }
        if let Some(before) = raw.iter().take(at).find(|p| p.name == *name) {
            let text = format!("Peer {name}: the Peer of line {} has the same name", before.place.line);
            report.add(Severity::CannotStart, Some(*place), text);
        }
    }
}

fn numbers(raw: &[RawPeer], rest: &BesidePeers<'_>, report: &mut Report) {
    if let (None, Some(first)) = (rest.own, raw.first()) {
        let text = "Peer needs a NodeID in Sync: the number of this node, which no other has";
        report.add(Severity::CannotStart, Some(first.place), text.into());
    }
    for (at, peer) in raw.iter().enumerate() {
        let Some(At { value, place }) = peer.node_id else {
            let text = format!("Peer {} needs a NodeID: a number that no other node has", peer.name);
            report.add(Severity::CannotStart, Some(peer.place), text);
            continue;
        };
        if rest.own.is_some_and(|own| u32::from(own) == value) {
            let text = format!("NodeID {value} is the number of this node");
            report.add(Severity::CannotStart, Some(place), text);
        }
        let same = |p: &&RawPeer| p.node_id.is_some_and(|n| n.value == value);
        if let Some(before) = raw.iter().take(at).find(same) {
            let text = format!("NodeID {value} is the number of Peer {}", before.name);
            report.add(Severity::CannotStart, Some(place), text);
        }
    }
}

/// Peers are told apart by their addresses.
fn addresses(all: &DedicatedLinks, peers: &[PeerSettings], places: &[FilePlace], report: &mut Report) {
    let links = match all {
        DedicatedLinks::Multicast(_) => return,
        DedicatedLinks::Udp(links) | DedicatedLinks::Tcp { links, .. } => links,
    };
    let ends = |at: &usize| links.get(*at).map(|l| (l.addresses.peer, l.port));
    for (at, peer) in peers.iter().enumerate() {
        for link in &peer.links {
            let same = |other: &&PeerSettings| other.links.iter().any(|l| ends(l) == ends(link));
            if let (Some(other), Some(place)) = (peers.iter().take(at).find(same), places.get(*link)) {
                let text = format!("Peer {} has the same address and port as Peer {}", peer.name, other.name);
                report.add(Severity::CannotStart, Some(*place), text);
            }
        }
    }
}
