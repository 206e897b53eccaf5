//! The families of metrics, and the samples that a status makes of them.
//!
//! Names, types and units follow the customs of Prometheus: counters end in `_total`, times are seconds, and
//! no label is an address.

use super::shown::Shown;
use crate::peer::seal::Refused;
use crate::status::ledger::{LedgerKind, Tally};
use crate::status::{Cache, HelperStatus, LinkStatus, Missing, Peer, PeerState, Status, Transfer, VrrpRole};
use zct_helpers::Refusal;
use zct_wire::text::Out;
use zct_wire::text::metrics::{Family, Value};

/// Declares the families, and a list of all, so that rules and dashboards can be compared with it.
macro_rules! families {
    ($($id:ident = $kind:ident($name:literal, $help:literal);)*) => {
        $(const $id: Family = Family::$kind($name, $help);)*
        /// Every family that there is.
        pub const ALL: &[&Family] = &[$(&$id),*];
    };
}

families! {
    BUILD = gauge("zctd_build_info", "The release of zctd; always 1.");
    CPU = counter("process_cpu_seconds_total", "Processor time used.");
    RESIDENT = gauge("process_resident_memory_bytes", "Memory in use.");
    VIRTUAL = gauge("process_virtual_memory_bytes", "Address space in use.");
    OPEN_FDS = gauge("process_open_fds", "Open file descriptors.");
    MAX_FDS = gauge("process_max_fds", "Most file descriptors that may be open.");
    START = gauge("process_start_time_seconds", "When the daemon started, in seconds since 1970.");
    ROLE = gauge("zctd_role", "1 for the role that the fail-over script has given this node, 0 for the others.");
    READY = gauge("zctd_ready", "1 once the first dump of the kernel's table is complete.");
    IN_SYNC = gauge("zctd_in_sync", "1 while nothing keeps this node from being in sync.");
    MISSING = gauge("zctd_missing", "1 for what keeps this node from being in sync, 0 for what does not.");
    ENTRIES = gauge("zct_entries", "Flows in the table of this network namespace.");
    ENTRIES_LIMIT = gauge("zct_entries_limit", "Most flows that the table takes.");
    BUCKETS = gauge("zct_buckets", "Buckets of the hash table.");
    CACHE_FLOWS = gauge("zctd_cache_flows", "Flows in a cache.");
    CACHE_LIMIT = gauge("zctd_cache_flows_limit", "Most flows that a cache takes.");
    CACHE_EXPECTATIONS = gauge("zctd_cache_expectations", "Expectations in a cache.");
    CACHE_BYTES = gauge("zctd_cache_bytes", "Memory of a cache.");
    CACHE_OPERATIONS = counter("zctd_cache_operations_total", "What was done to the flows of a cache.");
    EVENTS = counter("zctd_events_total", "Events of the kernel that have come.");
    EVENTS_LOST = counter("zctd_events_lost_total", "Events that the kernel dropped because the buffer was full.");
    OVERRUNS = counter("zctd_event_overruns_total", "Occasions on which it dropped some.");
    COMPARISONS = counter("zctd_event_comparisons_total", "Comparisons of the cache with the kernel's table.");
    REPAIRED = counter("zctd_event_repaired_flows_total", "Flows that comparisons have added or removed.");
    REVIEWS = counter("zctd_reviews_total", "Slow comparisons of the cache with the kernel's table (ReviewInterval).");
    REVIEW_DIFFERENCES = counter(
        "zctd_review_differences_total",
        "Flows that differed in them, though no event was lost."
    );
    REVIEW_EQUAL = gauge("zctd_review_equal_timestamp_seconds", "When nothing differed last.");
    BUFFER = gauge("zctd_event_buffer_bytes", "Size of the buffer for events.");
    LINK_UP = gauge("zctd_link_up", "1 while the interface of a dedicated link is up and has a carrier.");
    LINK_IN_USE = gauge("zctd_link_in_use", "1 for the dedicated link that is used for sending.");
    LINK_SENT_BYTES = counter("zctd_link_transmit_bytes_total", "Bytes sent over a dedicated link.");
    LINK_SENT = counter("zctd_link_transmit_packets_total", "Datagrams sent over a dedicated link.");
    LINK_SEND_ERRORS = counter("zctd_link_transmit_errors_total", "Datagrams that could not be sent.");
    LINK_RECEIVED_BYTES = counter("zctd_link_receive_bytes_total", "Bytes received over a dedicated link.");
    LINK_RECEIVED = counter("zctd_link_receive_packets_total", "Datagrams received over a dedicated link.");
    LINK_RECEIVE_ERRORS = counter(
        "zctd_link_receive_errors_total",
        "Datagrams refused because they were not the peer's, and connections lost."
    );
    PEER_UP = gauge("zctd_peer_up", "1 while the peer is heard.");
    PEER_SEEN = gauge("zctd_peer_last_seen_timestamp_seconds", "When the peer was last heard.");
    PEER_FLOWS = gauge("zctd_peer_flows", "Flows of one of several peers that are known here.");
    PEER_UNACKNOWLEDGED = gauge("zctd_peer_unacknowledged_messages", "Messages that the peer has not acknowledged.");
    PEER_WAITING = gauge("zctd_peer_waiting_changes", "Changes that wait to be sent to the peer.");
    PEER_OLDEST = gauge(
        "zctd_peer_oldest_unacknowledged_seconds",
        "Age of the oldest of these messages and changes; 0 if there are none."
    );
    PEER_SENT = counter("zctd_peer_messages_sent_total", "Messages sent to the peer.");
    PEER_RECEIVED = counter("zctd_peer_messages_received_total", "Messages of the peer that were accepted.");
    PEER_LOST = counter("zctd_peer_messages_lost_total", "Messages of the peer that did not arrive.");
    PEER_RESENT = counter("zctd_peer_messages_resent_total", "Messages sent again because the peer had lost them.");
    PEER_LATE = counter("zctd_peer_messages_late_total", "Messages of the peer that came twice or too late.");
    PEER_UNANNOUNCED = counter(
        "zctd_peer_unannounced_flows_total",
        "Flows that ended before SyncAfter, of which the peer was told nothing."
    );
    PEER_MALFORMED = counter("zctd_peer_messages_malformed_total", "Messages of the peer that made no sense.");
    PEER_CHECKS = counter("zctd_peer_digest_checks_total", "Comparisons with what the peer has promised (Digest).");
    PEER_DIFFERENCES = counter(
        "zctd_peer_digest_differences_total",
        "Parts of the peer's flows, 65,536 of them, that were found to differ."
    );
    PEER_REPAIRS = counter("zctd_peer_digest_repairs_total", "Differences that were repaired, several parts at a time.");
    PEER_EQUAL = gauge(
        "zctd_peer_digest_equal_timestamp_seconds",
        "When the peer's flows were last found to be what it has."
    );
    PEER_SEALED = counter("zctd_peer_frames_sealed_total", "Sealed frames sent (Auth).");
    PEER_OPENED = counter("zctd_peer_frames_opened_total", "Sealed frames taken (Auth).");
    PEER_PROOFS = counter("zctd_peer_proofs_total", "Proofs of other nodes that they are there (Auth).");
    PEER_REFUSED = counter("zctd_peer_frames_refused_total", "What Auth did not take.");
    RESYNC_RUNNING = gauge("zctd_resync_in_progress", "1 while all flows are passed on.");
    RESYNCS = counter("zctd_resyncs_total", "How often the passing on of all flows was begun.");
    RESYNC_DURATION = gauge("zctd_resync_last_duration_seconds", "How long the last one took that was completed.");
    COMMIT_RUNNING = gauge("zctd_commit_in_progress", "1 while the peer's flows are put into the kernel.");
    COMMITS = counter("zctd_commits_total", "Commits that were completed.");
    COMMIT_DURATION = gauge("zctd_commit_duration_seconds", "How long the last commit took.");
    COMMIT_ENTRIES = gauge(
        "zctd_commit_entries",
        "Entries that the kernel has taken or refused in the commit under way, or in the last one."
    );
    COMMIT_CONFLICTS = counter(
        "zctd_commit_conflicts_total",
        "Flows left out of commits because another of several peers had a better claim to them."
    );
    TAKEOVER = gauge("zctd_takeover_last_timestamp_seconds", "When the last take-over was complete.");
    TAKEOVER_DURATION = gauge(
        "zctd_takeover_last_duration_seconds",
        "How long the last take-over took, from the request for a commit."
    );
    HELPERS_UP = gauge("zctd_helpers_up", "1 while the process of the userspace helpers is running.");
    HELPERS_RESTARTS = counter(
        "zctd_helpers_restarts_total",
        "How often the process of the userspace helpers was started again because it had ended."
    );
    HELPER_PACKETS = counter("zctd_helper_packets_total", "Packets that the kernel has queued for a helper.");
    HELPER_MATCHED = counter("zctd_helper_matched_packets_total", "Packets with something in them for their helper.");
    HELPER_EXPECTATIONS = counter("zctd_helper_expectations_total", "Expectations made.");
    HELPER_MANGLED = counter("zctd_helper_mangled_packets_total", "Packets whose text was changed for a translation.");
    HELPER_UNREADABLE = counter("zctd_helper_unreadable_packets_total", "Packets that no helper may look into.");
    HELPER_QUEUE_DROPS = counter(
        "zctd_helper_queue_drops_total",
        "Packets that did not fit a helper's queue or its socket: the kernel let them pass unread."
    );
    HELPER_REFUSED = counter("zctd_helper_refused_total", "Announcements that were not followed.");
    LOSSES = counter("zctd_losses_total", "What was lost, by kind; zctd status --ledger has when and how much at a time.");
    LOSSES_REPAIRED = counter("zctd_losses_repaired_total", "What of it has been repaired.");
    LOSSES_PENDING = gauge("zctd_losses_pending", "Entries of the ledger that are going to be repaired.");
    LONGEST_TURN = gauge(
        "zctd_reactor_turn_max_seconds",
        "Longest time in which nothing else was served, since the metrics were last read."
    );
}

/// Writes all of them.
pub(super) fn write(shown: &Shown<'_>, out: &mut Out<'_>) {
    let s = shown.status;
    BUILD.write(out).sample(&[("version", s.version.as_bytes())], true);
    process(shown, out);
    standing(s, out);
    kernel(s, out);
    caches(s, out);
    links(&s.links, out);
    peers(&s.peers, out);
    work(s, out);
    helpers(s, out);
    losses(s, out);
    LONGEST_TURN.single(out, shown.longest_turn);
}

/// A family, and the value of its sample for one of several things of a kind, if it is known.
type FamilyRow<T> = (&'static Family, fn(&T) -> Option<Value>);

fn size(n: usize) -> Value {
    Value::Number(n as u64)
}

/// A family with one sample, if its value is known.
fn known(family: &'static Family, out: &mut Out<'_>, value: Option<impl Into<Value>>) {
    if let Some(v) = value {
        family.single(out, v);
    }
}

fn process(shown: &Shown<'_>, out: &mut Out<'_>) {
    let p = &shown.process;
    known(&CPU, out, p.cpu);
    known(&RESIDENT, out, p.resident_bytes);
    known(&VIRTUAL, out, p.virtual_bytes);
    known(&OPEN_FDS, out, p.open_fds);
    known(&MAX_FDS, out, p.max_fds);
    START.single(out, shown.status.start_time);
}

fn standing(s: &Status, out: &mut Out<'_>) {
    let mut roles = ROLE.write(out);
    for role in VrrpRole::ALL {
        roles.sample(&[("role", role.name().as_bytes())], role == s.role);
    }
    READY.single(out, s.is_ready());
    IN_SYNC.single(out, s.is_in_sync());
    let mut missing = MISSING.write(out);
    for what in Missing::ALL {
        missing.sample(&[("what", what.name().as_bytes())], s.missing.contains(&what));
    }
}

fn kernel(s: &Status, out: &mut Out<'_>) {
    known(&ENTRIES, out, s.kernel.entries);
    known(&ENTRIES_LIMIT, out, s.kernel.limit);
    known(&BUCKETS, out, s.kernel.buckets);
    let e = &s.events;
    EVENTS.single(out, e.received);
    EVENTS_LOST.single(out, e.lost);
    OVERRUNS.single(out, e.overruns);
    COMPARISONS.single(out, e.comparisons);
    known(&REPAIRED, out, e.repaired);
    known(&REVIEWS, out, e.review.map(|r| r.checks));
    known(&REVIEW_DIFFERENCES, out, e.review.map(|r| r.differences));
    known(&REVIEW_EQUAL, out, e.review.and_then(|r| r.last_equal_time).map(Value::Seconds));
    known(&BUFFER, out, e.buffer_bytes.map(size));
}

fn caches(s: &Status, out: &mut Out<'_>) {
    let all = [("internal", &s.internal), ("external", &s.external)];
    let there = || all.iter().filter_map(|(name, c)| c.as_ref().map(|c| (name.as_bytes(), c)));
    let values: [FamilyRow<Cache>; 4] = [
        (&CACHE_FLOWS, |c| c.flows.map(size)),
        (&CACHE_LIMIT, |c| c.limit.map(size)),
        (&CACHE_EXPECTATIONS, |c| c.expectations.map(size)),
        (&CACHE_BYTES, |c| c.bytes.map(size)),
    ];
    for (family, of) in values {
        let mut samples = family.write(out);
        for (name, cache) in there() {
            if let Some(n) = of(cache) {
                samples.sample(&[("cache", name)], n);
            }
        }
    }
    let mut samples = CACHE_OPERATIONS.write(out);
    for (name, cache) in there() {
        let o = &cache.operations;
        for (op, ok, error) in [
            ("create", o.created, o.no_space),
            ("update", o.updated, o.update_failed),
            ("destroy", o.destroyed, o.destroy_failed),
        ] {
            for (result, count) in [("ok", ok), ("error", error)] {
                let labels = [("cache", name), ("op", op.as_bytes()), ("result", result.as_bytes())];
                samples.sample(&labels, count);
            }
        }
    }
}

fn links(links: &[LinkStatus], out: &mut Out<'_>) {
    let values: [FamilyRow<LinkStatus>; 8] = [
        (&LINK_UP, |l| Some((l.state == "running").into())),
        (&LINK_IN_USE, |l| Some(l.in_use.into())),
        (&LINK_SENT_BYTES, |l| Some(l.traffic.sent_bytes.into())),
        (&LINK_SENT, |l| Some(l.traffic.sent.into())),
        (&LINK_SEND_ERRORS, |l| Some(l.traffic.send_errors.into())),
        (&LINK_RECEIVED_BYTES, |l| Some(l.traffic.received_bytes.into())),
        (&LINK_RECEIVED, |l| Some(l.traffic.received.into())),
        (&LINK_RECEIVE_ERRORS, |l| Some(l.traffic.receive_errors.into())),
    ];
    for (family, of) in values {
        let mut samples = family.write(out);
        for (at, link) in links.iter().enumerate() {
            // Several links may have one interface, and no two samples the same labels.
            let before = links.iter().take(at).filter(|l| l.interface == link.interface).count();
            let name = match before {
                0 => link.interface.clone(),
                n => format!("{}:{}", link.interface, n + 1),
            };
            let labels = [("link", name.as_bytes()), ("transport", link.transport.as_bytes())];
            if let Some(value) = of(link) {
                samples.sample(&labels, value);
            }
        }
    }
}

/// Peers are told apart by their number, since addresses are not used as labels.
fn peers(peers: &[Peer], out: &mut Out<'_>) {
    let values: [FamilyRow<Peer>; 19] = [
        (&PEER_UP, |p| match p.state {
            PeerState::Up => Some(true.into()),
            PeerState::Silent => Some(false.into()),
            PeerState::Unknown => None,
        }),
        (&PEER_SEEN, |p| p.last_seen_time.map(Value::Seconds)),
        (&PEER_FLOWS, |p| p.member.as_ref().and_then(|m| m.cache.flows).map(size)),
        (&PEER_UNACKNOWLEDGED, |p| p.lag.map(|l| size(l.messages))),
        (&PEER_WAITING, |p| p.lag.map(|l| size(l.waiting))),
        (&PEER_OLDEST, |p| p.lag.map(|l| Value::Seconds(l.age))),
        (&PEER_SENT, |p| Some(p.sent.into())),
        (&PEER_RECEIVED, |p| Some(p.received.into())),
        (&PEER_LOST, |p| Some(p.lost.into())),
        (&PEER_RESENT, |p| p.resent.map(Value::Number)),
        (&PEER_LATE, |p| Some(p.late.into())),
        (&PEER_UNANNOUNCED, |p| Some(p.unannounced.into())),
        (&PEER_CHECKS, |p| p.digest.map(|d| d.checks.into())),
        (&PEER_DIFFERENCES, |p| p.digest.map(|d| d.differences.into())),
        (&PEER_REPAIRS, |p| p.digest.map(|d| d.repairs.into())),
        (&PEER_EQUAL, |p| p.digest.and_then(|d| d.last_equal_time).map(Value::Seconds)),
        (&PEER_SEALED, |p| p.sealing.as_ref().map(|s| s.counts.sealed.into())),
        (&PEER_OPENED, |p| p.sealing.as_ref().map(|s| s.counts.opened.into())),
        (&PEER_PROOFS, |p| p.sealing.as_ref().map(|s| s.counts.proofs.into())),
    ];
    for (family, of) in values {
        let mut samples = family.write(out);
        for (at, peer) in peers.iter().enumerate() {
            if let Some(value) = of(peer) {
                labelled(at, peer, None, &mut |labels| samples.sample(labels, value));
            }
        }
    }
    let mut samples = PEER_MALFORMED.write(out);
    for (at, peer) in peers.iter().enumerate() {
        for (reason, count) in peer.malformed.by_reason() {
            labelled(at, peer, Some(("reason", reason)), &mut |labels| samples.sample(labels, count));
        }
    }
    let mut samples = PEER_REFUSED.write(out);
    for (at, peer) in peers.iter().enumerate() {
        // Nobody is foreign to a node that does not know who its peer is.
        let all = Refused::ALL.into_iter().filter(|why| peer.member.is_some() || *why != Refused::Foreign);
        for why in all.filter(|_| peer.sealing.is_some()) {
            let count = peer.sealing.as_ref().map_or(0, |s| s.counts.of(why));
            let reason = Some(("reason", why.name()));
            labelled(at, peer, reason, &mut |labels| samples.sample(labels, count));
        }
    }
    let transfers: [FamilyRow<Transfer>; 3] = [
        (&RESYNC_RUNNING, |t| Some(t.running.into())),
        (&RESYNCS, |t| Some(t.count.into())),
        (&RESYNC_DURATION, |t| t.last_duration.map(Value::Seconds)),
    ];
    for (family, of) in transfers {
        let mut samples = family.write(out);
        for (at, peer) in peers.iter().enumerate() {
            for (direction, transfer) in [("receive", &peer.resync), ("transmit", &peer.bulk)] {
                if let Some(value) = of(transfer) {
                    let direction = Some(("direction", direction));
                    labelled(at, peer, direction, &mut |labels| samples.sample(labels, value));
                }
            }
        }
    }
}

/// Takes the labels of a sample.
type TakeLabels<'a> = &'a mut dyn FnMut(&[(&str, &[u8])]);

/// Hands over the labels of a peer: its number, its name if it is one of several, and one more.
fn labelled(at: usize, peer: &Peer, more: Option<(&str, &str)>, sample: TakeLabels<'_>) {
    let number = (at + 1).to_string();
    let mut labels = vec![("peer", number.as_bytes())];
    labels.extend(peer.member.iter().map(|m| ("node", m.name.as_bytes())));
    labels.extend(more.map(|(name, value)| (name, value.as_bytes())));
    sample(&labels);
}

fn work(s: &Status, out: &mut Out<'_>) {
    if let Some(c) = &s.commit {
        COMMIT_RUNNING.single(out, c.running);
        COMMITS.single(out, c.count);
        known(&COMMIT_DURATION, out, c.last_duration);
        known(&COMMIT_CONFLICTS, out, c.conflicts);
        if c.total.is_some() {
            let mut samples = COMMIT_ENTRIES.write(out);
            samples.sample(&[("result", b"ok")], c.done);
            samples.sample(&[("result", b"error")], c.failed);
        }
    }
    known(&TAKEOVER, out, s.takeover.map(|t| t.last_time));
    known(&TAKEOVER_DURATION, out, s.takeover.map(|t| t.duration));
}

fn helpers(s: &Status, out: &mut Out<'_>) {
    let Some(helpers) = &s.helpers else { return };
    HELPERS_UP.single(out, helpers.pid.is_some());
    HELPERS_RESTARTS.single(out, helpers.restarts);
    let labels = |h: &HelperStatus| {
        [("helper", h.name), ("family", h.family), ("protocol", h.protocol)].map(|(k, v)| (k, v.as_bytes()))
    };
    let values: [FamilyRow<HelperStatus>; 6] = [
        (&HELPER_PACKETS, |h| Some(h.counts.packets.into())),
        (&HELPER_MATCHED, |h| Some(h.counts.matched.into())),
        (&HELPER_EXPECTATIONS, |h| Some(h.counts.made.into())),
        (&HELPER_MANGLED, |h| Some(h.counts.mangled.into())),
        (&HELPER_UNREADABLE, |h| Some(h.counts.unread.into())),
        (&HELPER_QUEUE_DROPS, |h| Some(h.counts.dropped.into())),
    ];
    for (family, of) in values {
        let mut samples = family.write(out);
        for helper in &helpers.types {
            if let Some(value) = of(helper) {
                samples.sample(&labels(helper), value);
            }
        }
    }
    let mut samples = HELPER_REFUSED.write(out);
    for helper in &helpers.types {
        for why in Refusal::ALL {
            let [name, family, protocol] = labels(helper);
            let reason = ("reason", why.name().as_bytes());
            samples.sample(&[name, family, protocol, reason], helper.counts.of(why));
        }
    }
}

/// The ledger's tallies.
fn losses(s: &Status, out: &mut Out<'_>) {
    let values: [FamilyRow<Tally>; 3] = [
        (&LOSSES, |t| Some(t.estimate.into())),
        (&LOSSES_REPAIRED, |t| Some(t.repaired.into())),
        (&LOSSES_PENDING, |t| Some(t.pending.into())),
    ];
    for (family, of) in values {
        let mut samples = family.write(out);
        for (kind, tally) in LedgerKind::ALL.iter().zip(&s.losses) {
            if let Some(value) = of(tally) {
                samples.sample(&[("kind", kind.name().as_bytes())], value);
            }
        }
    }
}
