//! The links: what each kind needs to work (conntrackd.md §5.4).

use super::super::parse::raw::{Placed, RawLink, RawLinkKind};
use super::super::report::{At, FilePlace, Report, Severity};
use super::super::settings::{DedicatedLink, DedicatedLinks, Ends, Group, default};
use super::given::{or_default, or_unset};
use std::net::IpAddr;

/// The links, and the index of the one that is active at first.
pub(super) fn links(
    raw: Vec<RawLink>,
    sync: FilePlace,
    report: &mut Report,
) -> Option<(DedicatedLinks, usize)> {
    let Some(first) = raw.first() else {
        let text = "no link to a peer in Sync: expected Multicast, UDP or TCP";
        report.add(Severity::CannotStart, Some(sync), text.into());
        return None;
    };
    let kind = first.kind;
    // It is written in each, and holds for all of them.
    let error_queue_length: Placed<u32> = raw.iter().rev().find_map(|l| l.error_queue_length);
    let defaults: Vec<usize> = (0..raw.len()).filter(|i| raw[*i].is_default).collect();
    if let [.., one_before, _] = defaults[..] {
        let text = "several links are the Default: the last of them is active at first";
        report.add(Severity::Warning, Some(raw[one_before].place), text.into());
    }
    let default_link = defaults.last().copied().unwrap_or(0);
    // Every link is checked, even after one that cannot work.
    let links = match kind {
        RawLinkKind::Multicast => {
            let all: Vec<_> = raw.into_iter().map(|l| link(l, report, group)).collect();
            DedicatedLinks::Multicast(all.into_iter().collect::<Option<_>>()?)
        }
        RawLinkKind::Udp => {
            let all: Vec<_> = raw.into_iter().map(|l| link(l, report, ends)).collect();
            DedicatedLinks::Udp(all.into_iter().collect::<Option<_>>()?)
        }
        RawLinkKind::Tcp => {
            let all: Vec<_> = raw.into_iter().map(|l| link(l, report, ends)).collect();
            let error_queue_length =
                or_default(error_queue_length, "ErrorQueueLength", default::ERROR_QUEUE_LENGTH, report);
            DedicatedLinks::Tcp { links: all.into_iter().collect::<Option<_>>()?, error_queue_length }
        }
    };
    Some((links, default_link))
}

/// What all kinds of link need; `addresses` reads what differs.
fn link<A>(
    raw: RawLink,
    report: &mut Report,
    addresses: fn(&RawLink, &mut Report) -> Option<A>,
) -> Option<DedicatedLink<A>> {
    let addresses = addresses(&raw, report);
    let port_word = if raw.kind == RawLinkKind::Multicast { "Group" } else { "Port" };
    let port = match raw.port {
        Some(At { value: port @ 1.., .. }) => u16::try_from(port).ok(),
        _ => None,
    };
    match raw.port {
        Some(At { value: 0, place }) => {
            let text = format!("{port_word} is a number from 1 to 65535, not `0'");
            report.add(Severity::CannotStart, Some(place), text);
        }
        Some(_) => {}
        None => needs(&raw, report, &format!("a {port_word}")),
    }
    if raw.interface.is_none() {
        needs(&raw, report, "an Interface");
    }
    if raw.kind == RawLinkKind::Tcp && raw.checksum.is_some_and(|c| !c.value) {
        let text = "Checksum off has no effect on TCP";
        report.add(Severity::Warning, raw.checksum.map(|c| c.place), text.into());
    }
    let send_buffer = or_unset(raw.send_buffer, "SndSocketBuffer", report);
    let receive_buffer = or_unset(raw.receive_buffer, "RcvSocketBuffer", report);
    Some(DedicatedLink {
        addresses: addresses?,
        port: port?,
        send_buffer,
        receive_buffer,
        checksum: raw.checksum.is_none_or(|c| c.value),
        interface: raw.interface?.value,
    })
}

fn needs(raw: &RawLink, report: &mut Report, what: &str) {
    let text = format!("{} needs {what}", raw.kind.word());
    report.add(Severity::CannotStart, Some(raw.place), text);
}

fn ignored(report: &mut Report, place: Option<FilePlace>, word: &str, family: &str) {
    if let Some(place) = place {
        let text = format!("{word} is ignored: this link is an {family} link");
        report.add(Severity::Warning, Some(place), text);
    }
}

/// The first address given decides the family of the link; the original ignores the others too.
fn group(raw: &RawLink, report: &mut Report) -> Option<Group> {
    let v4_place = [raw.v4.map(|a| a.place), raw.v4_interface.map(|a| a.place)].into_iter().flatten().min();
    let v6_place = raw.v6.map(|a| a.place);
    let v6_first = v6_place.is_some_and(|v6| v4_place.is_none_or(|v4| v6 < v4));
    if v6_first {
        ignored(report, raw.v4.map(|a| a.place), "IPv4_address", "IPv6");
        ignored(report, raw.v4_interface.map(|a| a.place), "IPv4_interface", "IPv6");
        let At { value: group, place } = raw.v6?;
        multicast(report, place, IpAddr::V6(group));
        return Some(Group::V6 { group });
    }
    ignored(report, v6_place, "IPv6_address", "IPv4");
    if raw.v4.is_none() {
        needs(raw, report, "an IPv4_address or IPv6_address, the multicast group");
        return None;
    }
    if raw.v4_interface.is_none() {
        needs(raw, report, "an IPv4_interface, an address of the Interface");
    }
    let At { value: group, place } = raw.v4?;
    multicast(report, place, IpAddr::V4(group));
    Some(Group::V4 { group, local: raw.v4_interface?.value })
}

fn multicast(report: &mut Report, place: FilePlace, group: IpAddr) {
    if !group.is_multicast() {
        let text = format!("{group} is not a multicast address");
        report.add(Severity::CannotStart, Some(place), text);
    }
}

/// The last address given decides the family of the link, as in the original.
fn ends(raw: &RawLink, report: &mut Report) -> Option<Ends> {
    let v4 = [raw.v4.map(|a| a.place), raw.v4_peer.map(|a| a.place)].into_iter().flatten().max();
    let v6 = [raw.v6.map(|a| a.place), raw.v6_peer.map(|a| a.place)].into_iter().flatten().max();
    let is_v6 = v6 > v4;
    let ends = if is_v6 {
        ignored(report, raw.v4.map(|a| a.place), "IPv4_address", "IPv6");
        ignored(report, raw.v4_peer.map(|a| a.place), "IPv4_Destination_Address", "IPv6");
        (raw.v6.map(|a| IpAddr::V6(a.value)), raw.v6_peer.map(|a| IpAddr::V6(a.value)))
    } else {
        ignored(report, raw.v6.map(|a| a.place), "IPv6_address", "IPv4");
        ignored(report, raw.v6_peer.map(|a| a.place), "IPv6_Destination_Address", "IPv4");
        (raw.v4.map(|a| IpAddr::V4(a.value)), raw.v4_peer.map(|a| IpAddr::V4(a.value)))
    };
    let (local, peer) = ends;
    let other_local = if is_v6 { raw.v4.map(|a| a.place) } else { raw.v6.map(|a| a.place) };
    if let (None, Some(place)) = (local, other_local) {
        let text = "the address of this node and that of the peer are of different families";
        report.add(Severity::CannotStart, Some(place), text.into());
        return None;
    }
    let Some(peer) = peer else {
        let family = if is_v6 { "IPv6" } else { "IPv4" };
        needs(raw, report, &format!("an {family}_Destination_Address, the peer's address"));
        return None;
    };
    if local.is_none() {
        let text = format!("{} without an address of its own listens on every interface", raw.kind.word());
        report.add(Severity::Warning, Some(raw.place), text);
    }
    Some(Ends { local, peer })
}
