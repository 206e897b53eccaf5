//! Keeps the loss ledger. At the end of every turn the counts of all parts are compared with those of the
//! turn before: whatever has counted a loss gets its entry, and no part has to know of the ledger.

use crate::daemon::state::{Comparison, Daemon, Node};
use crate::links::LinkIo;
use crate::peer::seal::{Refused, Seal};
use crate::peer::{CacheStats, Machine, Millis, Mode, PeerStats};
use crate::status::ledger::{How, KINDS, LedgerKind, Line};

fn failed(s: &CacheStats) -> u64 {
    s.no_space + s.update_failed + s.destroy_failed
}

/// The reasons that are no mere accident of the network.
const UNAUTHENTIC: [Refused; 7] = [
    Refused::Malformed,
    Refused::UnknownKey,
    Refused::OwnNode,
    Refused::Forged,
    Refused::Overload,
    Refused::TooManyNodes,
    Refused::Foreign,
];

/// Frames that a seal has not taken for these reasons. Each new seal counts from 0.
fn unsealed(seal: Option<&Seal>, reasons: &[Refused]) -> u64 {
    let counts = seal.map(Seal::counts).unwrap_or_default();
    reasons.iter().map(|r| counts.of(*r)).sum()
}

/// What has been counted of each kind about one peer; `s` are its machine's counts.
fn counted_of_peer(kind: LedgerKind, s: &PeerStats) -> u64 {
    match kind {
        LedgerKind::Gap => s.lost,
        LedgerKind::Difference => s.digest.differences,
        LedgerKind::Malformed => s.malformed,
        LedgerKind::OtherMode => s.foreign_mode,
        LedgerKind::PeerCacheFull => s.external.no_space + s.external_expect.no_space,
        LedgerKind::ResendQueue => s.resend_dropped,
        LedgerKind::TooLarge => s.unsendable,
        LedgerKind::Bypass => s.bypass_dropped,
        _ => 0,
    }
}

/// What has been counted of each kind on links.
fn counted_of_links<'a>(kind: LedgerKind, links: impl Iterator<Item = &'a LinkIo>) -> u64 {
    match kind {
        LedgerKind::Refused => links.map(|l| l.traffic().receive_errors).sum(),
        LedgerKind::Send => links.map(|l| l.traffic().send_errors + l.error_queue().1).sum(),
        _ => 0,
    }
}

/// What a seal has counted of each kind.
fn counted_of_seal(kind: LedgerKind, seal: Option<&Seal>) -> u64 {
    match kind {
        LedgerKind::Unsealed => unsealed(seal, &[Refused::Plain]),
        LedgerKind::Unauthentic => unsealed(seal, &UNAUTHENTIC),
        LedgerKind::Unproved => unsealed(seal, &[Refused::Unproved]),
        _ => 0,
    }
}

/// True when the peer has answered all requests for what was lost.
fn is_answered(machine: &Machine) -> bool {
    machine.outlook().open_requests == 0 && !machine.resync_is_running()
}

impl Daemon {
    /// What has been counted of this kind that is nobody else's.
    fn counted(&self, kind: LedgerKind) -> u64 {
        let kernel = self.kernel.counters();
        match (kind, &self.node) {
            (LedgerKind::Overrun, _) => kernel.lost,
            (LedgerKind::Untold, _) => self.reviews.differences,
            // An overrun counts as a failure too, so that the original's figure comes out.
            (LedgerKind::Unreadable, _) => kernel.failed.saturating_sub(kernel.overruns),
            (LedgerKind::Dump, _) => self.losses.dumps,
            (LedgerKind::Commit, _) => self.losses.commit_refused,
            (LedgerKind::CacheFull, Node::Stats(s)) => s.stats.no_space,
            (LedgerKind::CacheFull, Node::Sync(n)) => {
                let s = n.machine().stats();
                s.internal.no_space + s.internal_expect.no_space
            }
            (LedgerKind::Injection, Node::Sync(n)) => {
                n.injector().map_or(0, |i| failed(&i.flows) + failed(&i.expects))
            }
            _ => 0,
        }
    }

    /// What has been counted since the start by each source, in the order of [`LedgerKind::ALL`].
    fn count_by_source(&self, all: &mut [[u64; KINDS]]) {
        all.fill([0; KINDS]);
        let mut add = |source: usize, of: &dyn Fn(LedgerKind) -> u64| {
            let counts = all.iter_mut().skip(source).take(1).flatten();
            LedgerKind::ALL.into_iter().zip(counts).for_each(|(kind, n)| *n += of(kind));
        };
        add(0, &|kind| self.counted(kind));
        if let Node::Sync(n) = &self.node {
            for (at, (machine, peer)) in n.each().enumerate() {
                let (source, stats) = (self.losses.source(at), machine.stats());
                add(source, &|kind| counted_of_peer(kind, &stats));
                if !n.group {
                    add(source, &|kind| counted_of_links(kind, n.links_of(peer)));
                    add(source, &|kind| counted_of_seal(kind, n.seal(at)));
                }
            }
            if n.group {
                add(0, &|kind| counted_of_links(kind, n.links.all.iter()));
                add(0, &|kind| counted_of_seal(kind, n.seal(0)));
            }
        }
    }

    /// The machine of a source, in FT-FW.
    fn acknowledged(&self, source: usize) -> Option<&Machine> {
        let Node::Sync(n) = &self.node else { return None };
        let machine = n.machines.get(self.losses.peer(source)?)?;
        Some(machine).filter(|m| matches!(m.config().mode, Mode::Ftfw(_)))
    }

    /// True while the flows of a source that differ are sent again.
    fn repairs_difference(&self, source: usize) -> bool {
        let Node::Sync(n) = &self.node else { return false };
        let machine = self.losses.peer(source).and_then(|at| n.machines.get(at));
        machine.is_some_and(Machine::repairs_difference)
    }

    /// How losses of this kind are going to be repaired; `None` when nothing is under way.
    fn repair(&self, source: usize, kind: LedgerKind) -> Option<How> {
        let ftfw = self.acknowledged(source);
        let asks = ftfw.is_some_and(|m| !is_answered(m));
        match kind {
            LedgerKind::Overrun | LedgerKind::Unreadable | LedgerKind::Untold | LedgerKind::Dump => {
                let compares = self.kernel.resync_is_pending()
                    || self.comparison != Comparison::None
                    || self.reviews.deadline().is_some();
                let polls = self.config.general.poll_s.is_some();
                (compares || polls).then_some(How::Comparison)
            }
            // Once there is room; see `look_for_room`.
            LedgerKind::CacheFull => Some(How::Comparison),
            LedgerKind::PeerCacheFull if ftfw.is_some() => Some(How::Bulk),
            LedgerKind::Gap | LedgerKind::Difference if asks => Some(How::Resent),
            LedgerKind::Difference if self.repairs_difference(source) => Some(How::Resent),
            LedgerKind::Send if ftfw.is_some() => Some(How::Resent),
            LedgerKind::ResendQueue => Some(How::Bulk),
            LedgerKind::Gap
            | LedgerKind::Difference
            | LedgerKind::Send
            | LedgerKind::Malformed
            | LedgerKind::OtherMode
            | LedgerKind::Refused
            | LedgerKind::Unsealed
            | LedgerKind::Unauthentic
            | LedgerKind::Unproved
            | LedgerKind::PeerCacheFull
            | LedgerKind::TooLarge
            | LedgerKind::Bypass
            | LedgerKind::Commit
            | LedgerKind::Injection => None,
        }
    }

    /// Enters what was lost during this turn, and what has been repaired.
    pub(super) fn keep_ledger(&mut self, now: Millis) {
        let mut counts = std::mem::take(&mut self.losses.counts);
        self.count_by_source(&mut counts);
        let before = std::mem::take(&mut self.losses.seen);
        for (source, (counts, before)) in counts.iter().zip(&before).enumerate() {
            for ((kind, count), before) in LedgerKind::ALL.into_iter().zip(counts).zip(before) {
                let lost = count.saturating_sub(*before);
                if lost > 0 {
                    let how = self.repair(source, kind);
                    self.losses.ledger.note(now, source, kind, lost, how);
                }
            }
        }
        (self.losses.seen, self.losses.counts) = (counts, before);
        self.settle_comparison(now);
        self.settle_resync(now);
        self.settle_messages(now);
        while let Some(Line { kind, source, lost, repaired }) = self.losses.ledger.line(now) {
            let text = format!("{}: {lost} more, {repaired} repaired", kind.describe());
            let text = match self.source_name(source) {
                Some(name) => format!("{name}: {text}"),
                None => text,
            };
            if lost > 0 { self.log.warning(&text) } else { self.log.notice(&text) }
        }
    }

    /// The name of the peer that a source belongs to, if it is one of several.
    pub(super) fn source_name(&self, source: usize) -> Option<&str> {
        let Node::Sync(n) = &self.node else { return None };
        let several = n.peers.len() > 1;
        n.peers.get(self.losses.peer(source).filter(|_| several)?)?.name()
    }

    /// A comparison is over when what its dump did not contain has been removed.
    fn settle_comparison(&mut self, now: Millis) {
        let (Some(from), Some(how)) = (self.losses.compared_from, self.losses.compared) else { return };
        let sweeping = match &self.node {
            Node::Sync(n) => n.machines.iter().any(Machine::comparison_is_running),
            Node::Stats(s) => s.is_sweeping(),
        };
        if sweeping {
            return;
        }
        (self.losses.compared_from, self.losses.compared) = (None, None);
        // Flows that found no room are found again by every comparison, and either taken or refused and
        // counted once more.
        for kind in [
            LedgerKind::Overrun,
            LedgerKind::Unreadable,
            LedgerKind::Untold,
            LedgerKind::Dump,
            LedgerKind::CacheFull,
        ] {
            self.losses.ledger.repaired(now, 0, kind, from, how);
        }
    }

    /// The same holds for the flows of a peer and a bulk that was asked for, once all of it has come.
    fn settle_resync(&mut self, now: Millis) {
        let Daemon { node: Node::Sync(n), losses, .. } = self else { return };
        for (at, (machine, peer)) in n.machines.iter().zip(&mut n.peers).enumerate() {
            losses.resync_is(now, at, machine.resync_is_running());
            if !peer.take_resynced() {
                continue;
            }
            if let Some(from) = losses.resync_ends(at) {
                losses.ledger.repaired(now, losses.source(at), LedgerKind::PeerCacheFull, from, How::Bulk);
            }
        }
    }

    /// Messages of a peer that did not come are made good when it has answered what we asked of it;
    /// messages that it did not get, when it has acknowledged what was sent later, and needs no bulk.
    fn settle_messages(&mut self, now: Millis) {
        let Daemon { node: Node::Sync(n), losses, .. } = self else { return };
        for (at, (machine, peer)) in n.each().enumerate() {
            let (source, ledger) = (losses.source(at), &mut losses.ledger);
            for kind in [LedgerKind::Gap, LedgerKind::Difference] {
                let repairs = kind == LedgerKind::Difference && machine.repairs_difference();
                if ledger.is_pending(source, kind) && is_answered(machine) && !repairs {
                    ledger.repaired_as_said(now, source, kind, now + 1);
                }
            }
            let outlook = machine.outlook();
            if machine.peer_is_there(now) && !outlook.bulk_is_pending {
                let oldest = outlook.oldest.and_then(|number| peer.numbers.time_of(number));
                for kind in [LedgerKind::Send, LedgerKind::ResendQueue] {
                    if ledger.is_pending(source, kind) {
                        ledger.repaired_as_said(now, source, kind, oldest.unwrap_or(now));
                    }
                }
            }
        }
    }
}
