//! `Peer`, which the original does not have: one of several other nodes.

use super::super::report::FilePlace;
use super::general::set;
use super::link::link;
use super::parser::{BlockName, Directive, Parser};
use super::raw::{RawLinkKind, RawPeer, RawSync};

pub(super) const PEER: &[Directive<RawPeer>] = &[
    Directive {
        word: "NodeID",
        read: |p, peer, at| set(&mut peer.node_id, p.number(at, "NodeID", 1..=65_535)),
    },
    Directive { word: "UDP", read: |p, peer, at| link(p, &mut peer.links, at, RawLinkKind::Udp) },
    Directive { word: "TCP", read: |p, peer, at| link(p, &mut peer.links, at, RawLinkKind::Tcp) },
];

/// `Peer NAME { … }`.
pub(super) fn peer(p: &mut Parser<'_>, sync: &mut RawSync, at: FilePlace) -> Option<()> {
    let name = p.outside_name("Peer", "the name of a node")?.to_owned();
    let mut peer = RawPeer { place: at, name, node_id: None, links: Vec::new() };
    let read = p.block(BlockName { name: "Peer", place: at }, PEER, &mut peer);
    sync.peers.push(peer);
    read
}
