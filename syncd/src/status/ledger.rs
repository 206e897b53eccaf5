//! The loss ledger: what was lost, how much of it, and how and when that was repaired.
//!
//! It remembers the last thousand entries, and counts all of them. Losses of a kind that come within a second
//! share an entry, so that a storm costs one entry a second and no memory; a kind that already has a tenth of
//! the ledger gets one a minute, so that no kind drives out the others.

use crate::peer::Millis;
use std::collections::VecDeque;
use std::fmt;

/// Entries that are remembered.
pub const ENTRIES_MAX: usize = 1000;
/// Losses of a kind that come within this time share an entry.
const TOGETHER_MS: Millis = 1000;
/// The same for a kind that already has [`MANY`] entries.
const TOGETHER_MANY_MS: Millis = 60_000;
/// The number of entries from which on a kind has many.
const MANY: usize = ENTRIES_MAX / 10;
/// The log gets a line about a kind this often at most.
const TOLD_APART_MS: Millis = 10_000;

/// What kind of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    /// Events that the kernel dropped because the buffer was full.
    Overrun,
    /// Events that could not be read.
    Unreadable,
    /// Flows of the kernel that were not what is in the cache, though every event had come (`ReviewInterval`).
    Untold,
    /// Dumps of the kernel's table that were not complete.
    Dump,
    /// Messages of the peer that did not come.
    Gap,
    /// Parts of the peer's flows that were not what it has, though every message had come (`Digest`).
    Difference,
    /// Messages that made no sense.
    Malformed,
    /// Messages of a peer in another mode.
    OtherMode,
    /// Datagrams that were not the peer's, and connections that broke.
    Refused,
    /// Messages without a seal where only sealed ones are taken (`Auth`).
    Unsealed,
    /// Sealed frames that were not authentic, or not for this node (`Auth`).
    Unauthentic,
    /// Sealed frames of a node that had yet to prove that it was there (`Auth`).
    Unproved,
    /// Entries of the kernel for which the internal cache had no room.
    CacheFull,
    /// Entries of the peer for which the external cache had no room.
    PeerCacheFull,
    /// Messages given up before the peer had acknowledged them, because ResendQueueSize was reached.
    ResendQueue,
    /// Messages that are larger than the link carries.
    TooLarge,
    /// Messages that nothing is kept of, dropped because the network took none (`DisableInternalCache`).
    Bypass,
    /// Datagrams that the network did not take.
    Send,
    /// Entries of the peer that the kernel refused in a commit.
    Commit,
    /// Changes of the peer that the kernel refused (`DisableExternalCache`).
    Injection,
}

/// The number of kinds.
pub const KINDS: usize = 20;

impl LedgerKind {
    /// All kinds, each at the position of its number.
    pub const ALL: [LedgerKind; KINDS] = [
        LedgerKind::Overrun,
        LedgerKind::Unreadable,
        LedgerKind::Untold,
        LedgerKind::Dump,
        LedgerKind::Gap,
        LedgerKind::Difference,
        LedgerKind::Malformed,
        LedgerKind::OtherMode,
        LedgerKind::Refused,
        LedgerKind::Unsealed,
        LedgerKind::Unauthentic,
        LedgerKind::Unproved,
        LedgerKind::CacheFull,
        LedgerKind::PeerCacheFull,
        LedgerKind::ResendQueue,
        LedgerKind::TooLarge,
        LedgerKind::Bypass,
        LedgerKind::Send,
        LedgerKind::Commit,
        LedgerKind::Injection,
    ];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            LedgerKind::Overrun => "overrun",
            LedgerKind::Unreadable => "unreadable",
            LedgerKind::Untold => "untold",
            LedgerKind::Dump => "dump",
            LedgerKind::Gap => "gap",
            LedgerKind::Difference => "difference",
            LedgerKind::Malformed => "malformed",
            LedgerKind::OtherMode => "other_mode",
            LedgerKind::Refused => "refused",
            LedgerKind::Unsealed => "unsealed",
            LedgerKind::Unauthentic => "unauthentic",
            LedgerKind::Unproved => "unproved",
            LedgerKind::CacheFull => "cache_full",
            LedgerKind::PeerCacheFull => "peer_cache_full",
            LedgerKind::ResendQueue => "resend_queue",
            LedgerKind::TooLarge => "too_large",
            LedgerKind::Bypass => "bypass",
            LedgerKind::Send => "send",
            LedgerKind::Commit => "commit",
            LedgerKind::Injection => "injection",
        }
    }

    /// What it counts, for people.
    pub fn describe(self) -> &'static str {
        match self {
            LedgerKind::Overrun => "events dropped by the kernel",
            LedgerKind::Unreadable => "events that could not be read",
            LedgerKind::Untold => "flows of the kernel that differed without a lost event",
            LedgerKind::Dump => "dumps of the kernel's table that were not complete",
            LedgerKind::Gap => "messages of the peer that did not come",
            LedgerKind::Difference => "parts of the peer's flows that differed without a loss",
            LedgerKind::Malformed => "messages that made no sense",
            LedgerKind::OtherMode => "messages of a peer in another mode",
            LedgerKind::Refused => "datagrams of strangers, and broken connections",
            LedgerKind::Unsealed => "messages without a seal",
            LedgerKind::Unauthentic => "sealed frames that were not authentic",
            LedgerKind::Unproved => "sealed frames before their sender had proved that it was there",
            LedgerKind::CacheFull => "entries of the kernel for which the cache had no room",
            LedgerKind::PeerCacheFull => "entries of the peer for which the cache had no room",
            LedgerKind::ResendQueue => "messages that are not kept until they are acknowledged",
            LedgerKind::TooLarge => "messages larger than the link carries",
            LedgerKind::Bypass => "messages dropped because the network took none",
            LedgerKind::Send => "datagrams that the network did not take",
            LedgerKind::Commit => "entries that the kernel refused in a commit",
            LedgerKind::Injection => "changes that the kernel refused",
        }
    }
}

/// How a loss is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The cache is compared with the kernel.
    Comparison,
    /// What was lost is sent again.
    Resent,
    /// Everything is sent again.
    Bulk,
}

impl How {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            How::Comparison => "comparison",
            How::Resent => "resent",
            How::Bulk => "bulk",
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Comparison => "by a comparison with the kernel",
            How::Resent => "sent again",
            How::Bulk => "everything sent again",
        })
    }
}

/// Losses of one kind that came close together. Times are the daemon's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What kind of loss.
    pub kind: LedgerKind,
    /// Whose it is: the number of a [`Ledger`]'s account.
    pub source: usize,
    /// When the first of them was noticed.
    pub at: Millis,
    /// When the last of them was noticed.
    pub until: Millis,
    /// How many of what the kind counts.
    pub estimate: u64,
    /// How it was repaired, or will be; `None` when nothing repairs it.
    pub how: Option<How>,
    /// When it was repaired; `None` as long as it is not.
    pub repaired: Option<Millis>,
}

impl Entry {
    /// True when it will be repaired, and has not been.
    pub fn is_pending(&self) -> bool {
        self.repaired.is_none() && self.how.is_some()
    }
}

/// All losses of a kind since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries, also those that are not remembered any more.
    pub entries: u64,
    /// How many of what the kind counts.
    pub estimate: u64,
    /// How many of these were repaired.
    pub repaired: u64,
    /// Entries that will be repaired, and have not been.
    pub pending: u64,
}

/// What the ledger knows of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    tally: Tally,
    /// The serial number of its latest entry.
    latest: Option<u64>,
    /// Entries that are remembered.
    remembered: usize,
    /// When the log was told last, and what it has not been told since.
    told: Option<Millis>,
    untold: u64,
    untold_repaired: u64,
}

/// The ledger.
///
/// # Allocation
/// All of it when it is made: 64 bytes for each entry.
#[derive(Debug)]
pub struct Ledger {
    entries: VecDeque<Entry>,
    /// The serial number of the first entry that is remembered.
    first: u64,
    /// For each source.
    accounts: Vec<[Account; KINDS]>,
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger::of(1)
    }
}

/// A line for the log about one kind: how many were lost and repaired since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What kind of loss.
    pub kind: LedgerKind,
    /// Whose it is.
    pub source: usize,
    /// How many were lost.
    pub lost: u64,
    /// How many were repaired.
    pub repaired: u64,
}

impl Ledger {
    /// An empty one. So many sources have accounts of their own, which are repaired apart from each other.
    pub fn of(sources: usize) -> Ledger {
        let entries = VecDeque::with_capacity(ENTRIES_MAX);
        Ledger { entries, first: 0, accounts: vec![[Account::default(); KINDS]; sources] }
    }

    fn account(&mut self, source: usize, kind: LedgerKind) -> Option<&mut Account> {
        self.accounts.get_mut(source)?.get_mut(kind as usize)
    }

    /// Enters a loss of `estimate` things of a source. `how` it will be repaired; `None` when nothing will.
    pub fn note(&mut self, now: Millis, source: usize, kind: LedgerKind, estimate: u64, how: Option<How>) {
        let first = self.first;
        let next = first + self.entries.len() as u64;
        let Some(accounts) = self.accounts.get_mut(source) else { return };
        let Some(account) = accounts.get_mut(kind as usize) else { return };
        account.tally.estimate += estimate;
        account.untold += estimate;
        let together = if account.remembered < MANY { TOGETHER_MS } else { TOGETHER_MANY_MS };
        let latest = account.latest.and_then(|serial| serial.checked_sub(first));
        let latest = latest.and_then(|at| self.entries.get_mut(at as usize));
        let same =
            |e: &&mut Entry| e.repaired.is_none() && e.how == how && now.saturating_sub(e.at) < together;
        if let Some(entry) = latest.filter(same) {
            entry.until = now;
            entry.estimate += estimate;
            return;
        }
        account.tally.entries += 1;
        account.tally.pending += u64::from(how.is_some());
        account.remembered += 1;
        account.latest = Some(next);
        let entry = Entry { kind, source, at: now, until: now, estimate, how, repaired: None };
        if self.entries.len() == ENTRIES_MAX {
            self.forget_first();
        }
        self.entries.push_back(entry);
    }

    fn forget_first(&mut self) {
        let Some(old) = self.entries.pop_front() else { return };
        self.first += 1;
        if let Some(account) = self.account(old.source, old.kind) {
            account.remembered -= 1;
            account.tally.pending -= u64::from(old.is_pending());
        }
    }

    /// All losses of this kind that were noticed before `before` are repaired now.
    pub fn repaired(&mut self, now: Millis, source: usize, kind: LedgerKind, before: Millis, how: How) {
        self.repair(now, (source, kind), before, |_| Some(how));
    }

    /// Those that were going to be repaired are so now, as it was said.
    pub fn repaired_as_said(&mut self, now: Millis, source: usize, kind: LedgerKind, before: Millis) {
        self.repair(now, (source, kind), before, |e| e.how);
    }

    fn repair(
        &mut self,
        now: Millis,
        (source, kind): (usize, LedgerKind),
        before: Millis,
        how: impl Fn(&Entry) -> Option<How>,
    ) {
        let Some(accounts) = self.accounts.get_mut(source) else { return };
        let Some(account) = accounts.get_mut(kind as usize) else { return };
        if account.remembered == 0 {
            return;
        }
        let own = |e: &&mut Entry| (e.source, e.kind) == (source, kind);
        let open = |e: &&mut Entry| own(e) && e.repaired.is_none() && e.until < before;
        for e in self.entries.iter_mut().filter(open) {
            let Some(how) = how(e) else { continue };
            account.tally.pending -= u64::from(e.is_pending());
            account.tally.repaired += e.estimate;
            account.untold_repaired += e.estimate;
            (e.how, e.repaired) = (Some(how), Some(now));
        }
    }

    /// True when losses of this kind wait for their repair.
    pub fn is_pending(&self, source: usize, kind: LedgerKind) -> bool {
        self.accounts.get(source).is_some_and(|a| a[kind as usize].tally.pending > 0)
    }

    /// When the first loss of this kind was noticed that waits for its repair.
    pub fn pending_since(&self, source: usize, kind: LedgerKind) -> Option<Millis> {
        if !self.is_pending(source, kind) {
            return None;
        }
        let is = |e: &&Entry| (e.source, e.kind) == (source, kind) && e.is_pending();
        self.entries.iter().find(is).map(|e| e.at)
    }

    /// All losses of this kind, of all sources together.
    pub fn tally(&self, kind: LedgerKind) -> Tally {
        self.accounts.iter().map(|a| a[kind as usize].tally).fold(Tally::default(), |sum, t| Tally {
            entries: sum.entries + t.entries,
            estimate: sum.estimate + t.estimate,
            repaired: sum.repaired + t.repaired,
            pending: sum.pending + t.pending,
        })
    }

    /// The entries that are remembered, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// A line that the log should get now; call it until there is none.
    pub fn line(&mut self, now: Millis) -> Option<Line> {
        let mut all = self.accounts.iter_mut().enumerate().flat_map(|(source, accounts)| {
            LedgerKind::ALL.into_iter().zip(accounts).map(move |(kind, account)| (source, kind, account))
        });
        let (source, kind, account) = all.find(|(_, _, a)| a.due().is_some_and(|due| due <= now))?;
        let (lost, repaired) = (account.untold, account.untold_repaired);
        (account.told, account.untold, account.untold_repaired) = (Some(now), 0, 0);
        Some(Line { kind, source, lost, repaired })
    }

    /// When the log should get its next line.
    pub fn deadline(&self) -> Option<Millis> {
        self.accounts.iter().flatten().filter_map(Account::due).min()
    }
}

impl Account {
    fn due(&self) -> Option<Millis> {
        let untold = self.untold > 0 || self.untold_repaired > 0;
        untold.then(|| self.told.map_or(0, |t| t + TOLD_APART_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(l: &Ledger) -> Vec<(LedgerKind, u64)> {
        l.entries().map(|e| (e.kind, e.estimate)).collect()
    }

    #[test]
    fn kinds_stand_at_their_numbers() {
        for (at, kind) in LedgerKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind:?}");
        }
    }

    #[test]
    fn losses_close_together_share_an_entry() {
        let mut l = Ledger::default();
        l.note(100, 0, LedgerKind::Overrun, 5, Some(How::Comparison));
        l.note(200, 0, LedgerKind::Gap, 1, Some(How::Resent));
        l.note(1099, 0, LedgerKind::Overrun, 7, Some(How::Comparison));
        assert_eq!(kinds(&l), [(LedgerKind::Overrun, 12), (LedgerKind::Gap, 1)]);
        l.note(1100, 0, LedgerKind::Overrun, 1, Some(How::Comparison));
        assert_eq!(kinds(&l), [(LedgerKind::Overrun, 12), (LedgerKind::Gap, 1), (LedgerKind::Overrun, 1)]);
        // One that is repaired is closed, and so is one that is repaired in another way.
        l.repaired(1150, 0, LedgerKind::Overrun, 1101, How::Comparison);
        l.note(1160, 0, LedgerKind::Overrun, 2, Some(How::Comparison));
        l.note(1170, 0, LedgerKind::Overrun, 3, None);
        assert_eq!(kinds(&l)[3..], [(LedgerKind::Overrun, 2), (LedgerKind::Overrun, 3)]);
        assert_eq!(
            l.tally(LedgerKind::Overrun),
            Tally { entries: 4, estimate: 18, repaired: 13, pending: 1 }
        );
    }

    #[test]
    fn repairs_are_of_what_came_before() {
        let mut l = Ledger::default();
        l.note(10, 0, LedgerKind::Overrun, 1, Some(How::Comparison));
        l.note(20, 0, LedgerKind::Unreadable, 1, None);
        l.repaired(30, 0, LedgerKind::Overrun, 10, How::Comparison);
        assert!(l.is_pending(0, LedgerKind::Overrun));
        assert_eq!(
            (l.pending_since(0, LedgerKind::Overrun), l.pending_since(0, LedgerKind::Unreadable)),
            (Some(10), None)
        );
        l.repaired(40, 0, LedgerKind::Overrun, 11, How::Comparison);
        assert!(!l.is_pending(0, LedgerKind::Overrun) && !l.is_pending(0, LedgerKind::Unreadable));
        l.repaired_as_said(45, 0, LedgerKind::Unreadable, 30);
        assert_eq!(l.tally(LedgerKind::Unreadable).repaired, 0);
        // What nobody promised can be repaired all the same.
        l.repaired(50, 0, LedgerKind::Unreadable, 30, How::Comparison);
        let all: Vec<_> = l.entries().map(|e| (e.repaired, e.how)).collect();
        assert_eq!(all, [(Some(40), Some(How::Comparison)), (Some(50), Some(How::Comparison))]);
    }

    /// What one peer has lost is not repaired by another.
    #[test]
    fn each_source_has_an_account() {
        let mut l = Ledger::of(3);
        l.note(10, 1, LedgerKind::Gap, 5, Some(How::Resent));
        l.note(20, 2, LedgerKind::Gap, 7, Some(How::Resent));
        l.note(30, 1, LedgerKind::Gap, 1, Some(How::Resent));
        let all: Vec<_> = l.entries().map(|e| (e.source, e.estimate)).collect();
        assert_eq!(all, [(1, 6), (2, 7)]);
        l.repaired_as_said(40, 1, LedgerKind::Gap, 40);
        assert_eq!((l.is_pending(1, LedgerKind::Gap), l.is_pending(2, LedgerKind::Gap)), (false, true));
        assert_eq!(
            (l.pending_since(1, LedgerKind::Gap), l.pending_since(2, LedgerKind::Gap)),
            (None, Some(20))
        );
        assert_eq!(l.tally(LedgerKind::Gap), Tally { entries: 2, estimate: 13, repaired: 6, pending: 1 });
        let lines: Vec<_> =
            std::iter::from_fn(|| l.line(40)).map(|l| (l.source, l.lost, l.repaired)).collect();
        assert_eq!(lines, [(1, 6, 6), (2, 7, 0)]);
        l.note(50, 3, LedgerKind::Gap, 1, None);
        assert_eq!(l.entries().count(), 2, "there is no such account");
    }

    #[test]
    fn a_storm_of_one_kind_leaves_room_for_the_others() {
        let mut l = Ledger::default();
        l.note(0, 0, LedgerKind::Commit, 3, None);
        let day = 86_400_000;
        for now in (0..day).step_by(500) {
            l.note(now, 0, LedgerKind::Malformed, 1, None);
        }
        let lost: u64 = l.entries().filter(|e| e.kind == LedgerKind::Malformed).map(|e| e.estimate).sum();
        // A hundred entries of a second each, then one a minute, and none of more than that.
        assert!(l.entries().count() <= ENTRIES_MAX);
        assert_eq!(l.tally(LedgerKind::Malformed).estimate, day / 500);
        assert!(lost <= day / 500 && lost >= (ENTRIES_MAX as u64 - MANY as u64 - 1) * 120, "{lost}");
        assert_eq!(l.entries().filter(|e| e.kind == LedgerKind::Commit).count(), 0);
        // Within ten hours the other one was still there.
        let mut l = Ledger::default();
        l.note(0, 0, LedgerKind::Commit, 3, None);
        (0..36_000_000).step_by(500).for_each(|now| l.note(now, 0, LedgerKind::Malformed, 1, None));
        assert_eq!(kinds(&l)[0], (LedgerKind::Commit, 3));
    }

    #[test]
    fn what_is_forgotten_stays_counted_and_waits_for_nothing() {
        let mut l = Ledger::default();
        let kinds = [LedgerKind::Gap, LedgerKind::Send];
        for n in 0..ENTRIES_MAX as u64 {
            l.note(n * TOGETHER_MANY_MS, 0, kinds[n as usize % 2], 1, Some(How::Resent));
        }
        assert_eq!(
            (l.entries().count(), l.tally(LedgerKind::Gap).pending),
            (ENTRIES_MAX, ENTRIES_MAX as u64 / 2)
        );
        let before = l.entries.capacity();
        let late = ENTRIES_MAX as u64 * TOGETHER_MANY_MS;
        l.note(late, 0, LedgerKind::Gap, 1, Some(How::Resent));
        l.note(late + 1, 0, LedgerKind::Gap, 1, Some(How::Resent));
        assert_eq!((l.entries().count(), l.entries.capacity()), (ENTRIES_MAX, before));
        let half = ENTRIES_MAX as u64 / 2;
        assert_eq!(
            l.tally(LedgerKind::Gap),
            Tally { entries: half + 1, estimate: half + 2, repaired: 0, pending: half }
        );
        l.repaired(late + 2, 0, LedgerKind::Gap, late + 2, How::Resent);
        assert_eq!(l.tally(LedgerKind::Gap).pending, 0);
    }

    #[test]
    fn the_log_is_told_at_once_and_then_at_its_rate() {
        let mut l = Ledger::default();
        assert_eq!((l.line(0), l.deadline()), (None, None));
        l.note(5, 0, LedgerKind::Gap, 2, Some(How::Resent));
        l.note(6, 0, LedgerKind::Send, 1, None);
        assert_eq!(l.line(6), Some(Line { source: 0, kind: LedgerKind::Gap, lost: 2, repaired: 0 }));
        assert_eq!(l.line(6), Some(Line { source: 0, kind: LedgerKind::Send, lost: 1, repaired: 0 }));
        assert_eq!((l.line(6), l.deadline()), (None, None));
        l.note(7, 0, LedgerKind::Gap, 3, Some(How::Resent));
        l.repaired(8, 0, LedgerKind::Gap, 8, How::Resent);
        assert_eq!((l.line(10_005), l.deadline()), (None, Some(10_006)));
        assert_eq!(l.line(10_006), Some(Line { source: 0, kind: LedgerKind::Gap, lost: 3, repaired: 5 }));
        assert_eq!((l.line(10_006), l.deadline()), (None, None));
    }
}
