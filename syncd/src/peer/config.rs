//! The settings of the protocol machine, as plain values (conntrackd.md §5.3).
//!
//! The machine copes with any values. Which of them make sense, and what to say about the others, is the
//! business of [`crate::config`].

use crate::peer::clock::Millis;
use crate::peer::mode::Mode;
use crate::peer::pace::Pace;

/// All settings of the protocol machine. Names follow the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// `Mode`, with the settings that only this mode has.
    pub mode: Mode,
    /// `CommitTimeout`: timeout of committed flows in seconds; if set, TIMEOUT is left out of what is sent.
    pub commit_timeout_s: Option<u32>,
    /// `PurgeTimeout`: seconds from the purge command to the flush.
    pub purge_timeout_s: u32,
    /// `TCPWindowTracking`: whether to send the window scales.
    pub tcp_window_tracking: bool,
    /// `HashLimit`: the most flows that a cache holds, and the most expectations.
    pub hash_limit: usize,
    /// `SyncAfter`: seconds that a flow has to live before the peer is told of it; 0 tells at once. Nothing
    /// is withheld where there is no internal cache.
    pub sync_after_s: u32,
    /// `UpdateInterval`: seconds from one update of a flow to the next; 0 sends each change. Not in ALARM,
    /// which has its own intervals.
    pub update_interval_s: u32,
    /// `Digest`, `DigestInterval`: milliseconds from one comparison with a zctd peer to the next; `None` compares
    /// nothing, and knows nothing of it. From or to `None` only at the start.
    pub digest_ms: Option<Millis>,
    /// `ResyncInterval`: milliseconds from one request for all the peer's flows to the next, while they are not
    /// compared; `None` for never. Does nothing in ALARM, where they come by themselves.
    pub resync_ms: Option<Millis>,
    /// How long a change may wait for others to share its datagram.
    pub gather_ms: Millis,
    /// How fast bulks are sent.
    pub pace: Pace,
}

impl Default for PeerConfig {
    fn default() -> Self {
        PeerConfig {
            mode: Mode::default(),
            commit_timeout_s: None,
            purge_timeout_s: 60,
            tcp_window_tracking: false,
            hash_limit: 262_144,
            sync_after_s: 0,
            update_interval_s: 0,
            digest_ms: None,
            resync_ms: None,
            gather_ms: 10,
            pace: Pace::default(),
        }
    }
}

impl PeerConfig {
    /// The default settings in this mode.
    pub fn of(mode: impl Into<Mode>) -> PeerConfig {
        PeerConfig { mode: mode.into(), ..PeerConfig::default() }
    }

    /// True when TIMEOUT is sent: without CommitTimeout, or where CommitTimeout is ignored because the peer's
    /// flows go straight into the kernel (conntrackd.md §5.3).
    pub fn sends_timeout(&self) -> bool {
        self.commit_timeout_s.is_none() || self.mode.disables_external_cache()
    }

    /// True when the external cache is compared with what the peer has promised.
    pub fn compares(&self) -> bool {
        self.digest_ms.is_some() && !self.mode.disables_external_cache()
    }

    /// The timeout in seconds of a peer's flow that is committed now, `age_s` after the last message about
    /// it: CommitTimeout, or what is left of its own timeout; 60 if nothing is left or it never had one
    /// (conntrackd.md §7.2).
    pub fn commit_timeout_for(&self, timeout_s: Option<u32>, age_s: u32) -> u32 {
        let left = timeout_s.and_then(|t| t.checked_sub(age_s)).filter(|t| *t > 0);
        self.commit_timeout_s.or(left).unwrap_or(60)
    }
}

/// What makes a run repeatable.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// The first sequence number: the Unix time in seconds, so that the numbers of a restarted
    /// daemon lie ahead.
    pub sequence: u32,
    /// The seed for the intervals of ALARM.
    pub random: u64,
    /// The seed of the caches' hash functions. It should be random, since traffic chooses the keys.
    pub hash: [u64; 2],
}

impl Seed {
    /// The key of the sums that the peer compares. It goes over the network, so it must not tell the others.
    pub(crate) fn digest_key(&self) -> [u64; 2] {
        [0u8, 1].map(|n| crate::store::keyed_hash(self.hash, &[b"zct digest".as_slice(), &[n]].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::mode::Ftfw;

    #[test]
    fn the_timeout_travels_unless_the_commit_has_its_own() {
        let with = |commit_timeout_s, disable_external_cache| {
            let ftfw = Ftfw { disable_external_cache, ..Ftfw::DEFAULT };
            PeerConfig { commit_timeout_s, ..PeerConfig::of(ftfw) }.sends_timeout()
        };
        assert!(with(None, false) && with(Some(180), true) && !with(Some(180), false));
    }

    #[test]
    fn committed_flows_live_for_what_is_left() {
        let plain = PeerConfig::default();
        assert_eq!(plain.commit_timeout_for(Some(100), 30), 70);
        assert_eq!(plain.commit_timeout_for(Some(100), 100), 60);
        assert_eq!(plain.commit_timeout_for(Some(100), 130), 60);
        assert_eq!(plain.commit_timeout_for(None, 0), 60);
        let fixed = PeerConfig { commit_timeout_s: Some(180), ..plain };
        assert_eq!((fixed.commit_timeout_for(Some(9), 0), fixed.commit_timeout_for(None, 0)), (180, 180));
    }
}
