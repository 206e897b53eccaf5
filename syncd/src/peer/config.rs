//! What the configuration file says about the protocol, as plain values (conntrackd.md §5.3).

use crate::peer::clock::Millis;
use std::fmt;

/// How two daemons keep each other informed (sync-protocol.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Reliable: sequence numbers, acknowledgements, retransmission.
    Ftfw,
    /// Every flow is announced again and again, and forgotten when it is not.
    Alarm,
    /// Best effort.
    Notrack,
}

/// How fast the daemon sends what it could also send later: bulks, and what was lost in bulk.
///
/// The defaults suit a peer with the usual receive buffer of 212,992 bytes, which holds about 90 full
/// datagrams, and that reads 14,000 of them a second, as the original does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Messages that may be unacknowledged at the least; must exceed the peer's ACKWindowSize, or its
    /// acknowledgements come by its timer alone. 0: one and a half times our own window.
    pub window_min: usize,
    /// Messages that may be unacknowledged at the most. 0: four times our own window, but no more than 1200
    /// (63 full datagrams) unless the minimum is more.
    pub window_max: usize,
    /// Datagrams a second that are sent whatever the window says. This is what gets a transfer through when
    /// acknowledgements are rare, so it must be a rate that no receiver is troubled by.
    pub trickle_per_s: u32,
    /// Datagrams a second in modes without acknowledgements.
    pub unacknowledged_per_s: u32,
    /// Datagrams that may follow each other at once in modes without acknowledgements.
    pub burst: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { window_min: 0, window_max: 0, trickle_per_s: 1000, unacknowledged_per_s: 8000, burst: 32 }
    }
}

/// Everything the protocol machine is told once. Names follow the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `Mode`.
    pub mode: Mode,
    /// `DisableExternalCache`: what the peer sends goes straight into the kernel. FT-FW and NOTRACK.
    pub disable_external_cache: bool,
    /// `DisableInternalCache`: messages are made from events, nothing is kept. NOTRACK.
    pub disable_internal_cache: bool,
    /// `StartupResync`: ask the peer for its flows at the start. FT-FW and NOTRACK.
    pub startup_resync: bool,
    /// `CommitTimeout`: seconds that committed flows live; also leaves TIMEOUT out of what is sent.
    pub commit_timeout_s: Option<u32>,
    /// `PurgeTimeout`: seconds from the purge command to the flush.
    pub purge_timeout_s: u32,
    /// `ResendQueueSize`: unacknowledged messages that are kept. FT-FW.
    pub resend_queue_size: usize,
    /// `ACKWindowSize`: messages after which an acknowledgement is sent. FT-FW; at least 2.
    pub ack_window_size: u32,
    /// `RefreshTime`: seconds within which every flow is announced again. ALARM.
    pub refresh_time_s: u32,
    /// `CacheTimeout`: seconds after which a flow that was not announced is forgotten. ALARM.
    pub cache_timeout_s: u32,
    /// `TCPWindowTracking`: send the window scales.
    pub tcp_window_tracking: bool,
    /// `HashLimit`: flows a cache holds at most, and expectations likewise.
    pub hash_limit: usize,
    /// How long a change may wait for others to share its datagram.
    pub gather_ms: Millis,
    /// Pacing of bulks.
    pub pace: Pace,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            mode: Mode::Ftfw,
            disable_external_cache: false,
            disable_internal_cache: false,
            startup_resync: false,
            commit_timeout_s: None,
            purge_timeout_s: 60,
            resend_queue_size: 131_072,
            ack_window_size: 300,
            refresh_time_s: 60,
            cache_timeout_s: 180,
            tcp_window_tracking: false,
            hash_limit: 262_144,
            gather_ms: 10,
            pace: Pace::default(),
        }
    }
}

/// Why a configuration cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `DisableInternalCache` outside NOTRACK: FT-FW could send nothing again, ALARM nothing at all.
    InternalCacheNeeded,
    /// `DisableExternalCache` in ALARM: there would be nothing to expire.
    ExternalCacheNeeded,
    /// `ACKWindowSize` below 2: with 1 the original stops acknowledging after the first gap.
    AckWindow,
    /// `ResendQueueSize` smaller than the acknowledgement window: what is lost would be gone before the peer
    /// can say so.
    ResendQueue,
    /// A time or a limit of 0.
    Zero(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::InternalCacheNeeded => {
                f.write_str("DisableInternalCache works in mode NOTRACK only")
            }
            ConfigError::ExternalCacheNeeded => {
                f.write_str("DisableExternalCache works in modes FTFW and NOTRACK only")
            }
            ConfigError::AckWindow => f.write_str("ACKWindowSize must be 2 or more"),
            ConfigError::ResendQueue => f.write_str("ResendQueueSize must be ACKWindowSize or more"),
            ConfigError::Zero(what) => write!(f, "{what} must be more than 0"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Checks that the settings work together.
    ///
    /// # Errors
    /// The first setting that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.disable_internal_cache && self.mode != Mode::Notrack {
            return Err(ConfigError::InternalCacheNeeded);
        }
        if self.disable_external_cache && self.mode == Mode::Alarm {
            return Err(ConfigError::ExternalCacheNeeded);
        }
        for (value, what) in [(self.refresh_time_s, "RefreshTime"), (self.cache_timeout_s, "CacheTimeout")] {
            if self.mode == Mode::Alarm && value == 0 {
                return Err(ConfigError::Zero(what));
            }
        }
        if self.hash_limit == 0 {
            return Err(ConfigError::Zero("HashLimit"));
        }
        if self.mode == Mode::Ftfw {
            if self.ack_window_size < 2 {
                return Err(ConfigError::AckWindow);
            }
            if self.resend_queue_size < self.ack_window_size as usize {
                return Err(ConfigError::ResendQueue);
            }
        }
        Ok(())
    }

    /// True when TIMEOUT travels: without CommitTimeout, or where CommitTimeout is ignored because the peer's
    /// flows go straight into the kernel (conntrackd.md §5.3).
    pub fn sends_timeout(&self) -> bool {
        self.commit_timeout_s.is_none() || self.disable_external_cache
    }

    /// Seconds that a peer's flow lives when it is committed now, `age_s` after the last message about it:
    /// CommitTimeout, or what is left of its own; 60 when nothing is left or it never had one
    /// (conntrackd.md §7.2).
    pub fn commit_timeout_for(&self, timeout_s: Option<u32>, age_s: u32) -> u32 {
        let left = timeout_s.and_then(|t| t.checked_sub(age_s)).filter(|t| *t > 0);
        self.commit_timeout_s.or(left).unwrap_or(60)
    }

    /// Least and most messages in flight.
    pub(crate) fn window(&self) -> (usize, usize) {
        let ack = self.ack_window_size as usize;
        let min = if self.pace.window_min == 0 { ack + ack / 2 } else { self.pace.window_min };
        let max = if self.pace.window_max == 0 { (4 * ack).min(1200) } else { self.pace.window_max };
        // What is in flight must fit the resend queue, with room for what events add.
        let most = (self.resend_queue_size / 2).max(1);
        (min.min(most), max.max(min).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_work_together_are_named() {
        let bad = |change: fn(&mut Config)| {
            let mut c = Config::default();
            change(&mut c);
            c.check().unwrap_err()
        };
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(bad(|c| c.disable_internal_cache = true), ConfigError::InternalCacheNeeded);
        assert_eq!(bad(|c| c.ack_window_size = 1), ConfigError::AckWindow);
        assert_eq!(bad(|c| c.resend_queue_size = 299), ConfigError::ResendQueue);
        assert_eq!(bad(|c| c.hash_limit = 0), ConfigError::Zero("HashLimit"));
        let alarm = |change: fn(&mut Config)| {
            let mut c = Config { mode: Mode::Alarm, ..Config::default() };
            change(&mut c);
            c.check().unwrap_err()
        };
        assert_eq!(alarm(|c| c.disable_external_cache = true), ConfigError::ExternalCacheNeeded);
        assert_eq!(alarm(|c| c.refresh_time_s = 0).to_string(), "RefreshTime must be more than 0");
        let notrack = Config { mode: Mode::Notrack, disable_internal_cache: true, ..Config::default() };
        assert_eq!(notrack.check(), Ok(()));
    }

    #[test]
    fn windows_exceed_the_acknowledgement_window_and_fit_the_queue() {
        assert_eq!(Config::default().window(), (450, 1200));
        let of = |ack_window_size, resend_queue_size| {
            Config { ack_window_size, resend_queue_size, ..Config::default() }.window()
        };
        assert_eq!(of(20, 1000), (30, 80));
        assert_eq!(of(5000, 131_072), (7500, 7500));
        assert_eq!(of(300, 300), (150, 150));
    }

    #[test]
    fn the_timeout_travels_unless_the_commit_has_its_own() {
        let with = |commit_timeout_s, disable_external_cache| {
            Config { commit_timeout_s, disable_external_cache, ..Config::default() }.sends_timeout()
        };
        assert!(with(None, false) && with(Some(180), true) && !with(Some(180), false));
    }

    #[test]
    fn committed_flows_live_for_what_is_left() {
        let plain = Config::default();
        assert_eq!(plain.commit_timeout_for(Some(100), 30), 70);
        assert_eq!(plain.commit_timeout_for(Some(100), 100), 60);
        assert_eq!(plain.commit_timeout_for(Some(100), 130), 60);
        assert_eq!(plain.commit_timeout_for(None, 0), 60);
        let fixed = Config { commit_timeout_s: Some(180), ..plain };
        assert_eq!((fixed.commit_timeout_for(Some(9), 0), fixed.commit_timeout_for(None, 0)), (180, 180));
    }
}
