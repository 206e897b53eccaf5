//! The links, and the peers that they lead to.

use super::super::settings::{DedicatedLink, DedicatedLinks, Ends, Group, Sync};
use super::lines::{Lines, ip, v6};

/// The links that stand in `Sync` itself.
pub(super) fn links(l: &mut Lines, s: &Sync) {
    if s.links_are_of_peers() {
        return;
    }
    (0..s.links.len()).for_each(|at| link(l, s, at, at == s.default_link));
}

/// The `Peer` blocks, with their links if they have any.
pub(super) fn peers(l: &mut Lines, s: &Sync) {
    if s.peers.len() > 1 {
        l.set("#", "more than two nodes: each of them has to run zctd, as conntrackd knows two");
    }
    for peer in &s.peers {
        l.block(&format!("Peer {}", peer.name), |l| {
            l.number("NodeID", peer.node_id);
            if s.links_are_of_peers() {
                let all = peer.links.iter().enumerate();
                all.for_each(|(number, at)| link(l, s, *at, number == peer.default_link));
            }
        });
    }
}

fn link(l: &mut Lines, s: &Sync, at: usize, is_default: bool) {
    let name = |kind: &str| format!("{kind}{}", if is_default { " Default" } else { "" });
    match &s.links {
        DedicatedLinks::Multicast(links) => {
            if let Some(link) = links.get(at) {
                l.block(&name("Multicast"), |l| {
                    group(l, &link.addresses);
                    l.number("Group", link.port);
                    common(l, link);
                });
            }
        }
        DedicatedLinks::Udp(links) => {
            if let Some(link) = links.get(at) {
                l.block(&name("UDP"), |l| unicast(l, link));
            }
        }
        DedicatedLinks::Tcp { links, error_queue_length } => {
            if let Some(link) = links.get(at) {
                l.block(&name("TCP"), |l| {
                    unicast(l, link);
                    l.number("ErrorQueueLength", *error_queue_length);
                });
            }
        }
    }
}

fn group(l: &mut Lines, g: &Group) {
    match g {
        Group::V4 { group, local } => {
            l.set("IPv4_address", &group.to_string());
            l.set("IPv4_interface", &local.to_string());
        }
        Group::V6 { group } => l.set("IPv6_address", &v6(group)),
    }
}

fn unicast(l: &mut Lines, link: &DedicatedLink<Ends>) {
    let family = if link.addresses.peer.is_ipv4() { "IPv4" } else { "IPv6" };
    match link.addresses.local {
        Some(local) => l.set(&format!("{family}_address"), &ip(&local)),
        None => l.set("#", &format!("{family}_address: not set, every address")),
    }
    l.set(&format!("{family}_Destination_Address"), &ip(&link.addresses.peer));
    l.number("Port", link.port);
    common(l, link);
}

fn common<A>(l: &mut Lines, link: &DedicatedLink<A>) {
    l.set("Interface", &link.interface);
    l.optional("SndSocketBuffer", link.send_buffer, "the system's default");
    l.optional("RcvSocketBuffer", link.receive_buffer, "the system's default");
    l.switch("Checksum", link.checksum);
}
