//! Keeps the loss ledger. At the end of every turn the counts of all parts are compared with those of the
//! turn before: whatever has counted a loss gets its entry, and no part has to know of the ledger.

use crate::daemon::state::{Comparison, Daemon, Node};
use crate::daemon::sync_node::SyncNode;
use crate::peer::seal::Refused;
use crate::peer::{CacheStats, Millis, Mode, Stats};
use crate::status::ledger::{How, KINDS, Kind, Line};

fn failed(s: &CacheStats) -> u64 {
    s.no_space + s.update_failed + s.destroy_failed
}

/// The reasons that are no mere accident of the network.
const UNAUTHENTIC: [Refused; 6] = [
    Refused::Malformed,
    Refused::UnknownKey,
    Refused::OwnNode,
    Refused::Forged,
    Refused::Overload,
    Refused::TooManyNodes,
];

/// Frames that were not taken for these reasons. Without a seal nothing is counted, and each new seal counts
/// from 0.
fn unsealed(n: &SyncNode, reasons: &[Refused]) -> u64 {
    let counts = n.seal.as_ref().map(crate::peer::seal::Seal::counts).unwrap_or_default();
    reasons.iter().map(|r| counts.of(*r)).sum()
}

/// What a sync daemon has counted of each kind; `s` are the machine's counts.
fn counted(kind: Kind, n: &SyncNode, s: &Stats) -> u64 {
    let links = n.links.all.iter();
    match kind {
        Kind::Gap => s.lost,
        Kind::Malformed => s.malformed,
        Kind::OtherMode => s.foreign_mode,
        Kind::Unsealed => unsealed(n, &[Refused::Plain]),
        Kind::Unauthentic => unsealed(n, &UNAUTHENTIC),
        Kind::Unproved => unsealed(n, &[Refused::Unproved]),
        Kind::Refused => links.map(|l| l.traffic().receive_errors).sum(),
        Kind::CacheFull => s.internal.no_space + s.internal_expect.no_space,
        Kind::PeerCacheFull => s.external.no_space + s.external_expect.no_space,
        Kind::ResendQueue => s.resend_dropped,
        Kind::TooLarge => s.unsendable,
        Kind::Bypass => s.bypass_dropped,
        Kind::Send => links.map(|l| l.traffic().send_errors + l.error_queue().1).sum(),
        Kind::Injection => n.view().injector.map_or(0, |i| failed(&i.flows) + failed(&i.expects)),
        Kind::Overrun | Kind::Unreadable | Kind::Dump | Kind::Commit => 0,
    }
}

/// True when the peer has answered all requests for what was lost.
fn is_answered(n: &SyncNode) -> bool {
    n.machine.outlook().open_requests == 0 && !n.machine.resync_is_running()
}

impl Daemon {
    /// What has been counted since the start, in the order of [`Kind::ALL`].
    fn counted(&self) -> [u64; KINDS] {
        let kernel = self.kernel.counters();
        let machine = match &self.node {
            Node::Sync(n) => n.machine.stats(),
            Node::Stats(_) => Stats::default(),
        };
        Kind::ALL.map(|kind| match (kind, &self.node) {
            (Kind::Overrun, _) => kernel.lost,
            // An overrun counts as a failure too, so that the original's figure comes out.
            (Kind::Unreadable, _) => kernel.failed.saturating_sub(kernel.overruns),
            (Kind::Dump, _) => self.losses.dumps,
            (Kind::Commit, _) => self.losses.commit_refused,
            (Kind::CacheFull, Node::Stats(s)) => s.stats.no_space,
            (_, Node::Stats(_)) => 0,
            (_, Node::Sync(n)) => counted(kind, n, &machine),
        })
    }

    /// How losses of this kind are going to be repaired; `None` when nothing is under way.
    fn repair(&self, kind: Kind) -> Option<How> {
        let ftfw = match &self.node {
            Node::Sync(n) if matches!(n.machine.config().mode, Mode::Ftfw(_)) => Some(n),
            Node::Sync(_) | Node::Stats(_) => None,
        };
        let asks = ftfw.is_some_and(|n| !is_answered(n));
        match kind {
            Kind::Overrun | Kind::Unreadable | Kind::Dump => {
                let compares = self.kernel.resync_is_pending() || self.comparison != Comparison::None;
                let polls = self.config.general.poll_s.is_some();
                (compares || polls).then_some(How::Comparison)
            }
            // Once there is room; see `look_for_room`.
            Kind::CacheFull => Some(How::Comparison),
            Kind::PeerCacheFull if ftfw.is_some() => Some(How::Bulk),
            Kind::Gap if asks => Some(How::Resent),
            Kind::Send if ftfw.is_some() => Some(How::Resent),
            Kind::ResendQueue => Some(How::Bulk),
            Kind::Gap
            | Kind::Send
            | Kind::Malformed
            | Kind::OtherMode
            | Kind::Refused
            | Kind::Unsealed
            | Kind::Unauthentic
            | Kind::Unproved
            | Kind::PeerCacheFull
            | Kind::TooLarge
            | Kind::Bypass
            | Kind::Commit
            | Kind::Injection => None,
        }
    }

    /// Enters what was lost during this turn, and what has been repaired.
    pub(super) fn keep_ledger(&mut self, now: Millis) {
        let counts = self.counted();
        let before = std::mem::replace(&mut self.losses.seen, counts);
        for ((kind, count), before) in Kind::ALL.into_iter().zip(counts).zip(before) {
            let lost = count.saturating_sub(before);
            if lost > 0 {
                let how = self.repair(kind);
                self.losses.ledger.note(now, kind, lost, how);
            }
        }
        self.settle_comparison(now);
        self.settle_resync(now);
        self.settle_messages(now);
        while let Some(Line { kind, lost, repaired }) = self.losses.ledger.line(now) {
            let text = format!("{}: {lost} more, {repaired} repaired", kind.describe());
            if lost > 0 { self.log.warning(&text) } else { self.log.notice(&text) }
        }
    }

    /// A comparison is over when what its dump did not contain has been removed.
    fn settle_comparison(&mut self, now: Millis) {
        let (Some(from), Some(how)) = (self.losses.compared_from, self.losses.compared) else { return };
        let sweeping = match &self.node {
            Node::Sync(n) => n.machine.comparison_is_running(),
            Node::Stats(s) => s.is_sweeping(),
        };
        if sweeping {
            return;
        }
        (self.losses.compared_from, self.losses.compared) = (None, None);
        // Flows that found no room are found again by every comparison, and either taken or refused and
        // counted once more.
        for kind in [Kind::Overrun, Kind::Unreadable, Kind::Dump, Kind::CacheFull] {
            self.losses.ledger.repaired(now, kind, from, how);
        }
    }

    /// The same holds for the peer's flows and a bulk that was asked for, once all of it has come.
    fn settle_resync(&mut self, now: Millis) {
        let Node::Sync(n) = &mut self.node else { return };
        self.losses.resync_is(now, n.machine.resync_is_running());
        if let (true, Some(from)) = (n.take_resynced(), self.losses.resync_from) {
            self.losses.resync_from = None;
            self.losses.ledger.repaired(now, Kind::PeerCacheFull, from, How::Bulk);
        }
    }

    /// Messages of the peer that did not come are made good when it has answered what we asked of it;
    /// messages that it did not get, when it has acknowledged what was sent later, and needs no bulk.
    fn settle_messages(&mut self, now: Millis) {
        let Node::Sync(n) = &self.node else { return };
        let ledger = &mut self.losses.ledger;
        if ledger.is_pending(Kind::Gap) && is_answered(n) {
            ledger.repaired_as_said(now, Kind::Gap, now + 1);
        }
        let outlook = n.machine.outlook();
        if n.machine.peer_is_there(now) && !outlook.bulk_is_pending {
            let oldest = outlook.oldest.and_then(|number| n.numbers.time_of(number));
            for kind in [Kind::Send, Kind::ResendQueue] {
                if ledger.is_pending(kind) {
                    ledger.repaired_as_said(now, kind, oldest.unwrap_or(now));
                }
            }
        }
    }
}
