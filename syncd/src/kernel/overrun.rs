//! What is done when events were lost: room for more the next time, and a comparison with the kernel that
//! repairs what was missed. A daemon that polls has that comparison in place of events.

use crate::config::settings::General;
use crate::host::log::Log;
use crate::peer::Millis;
use zct_engine::events::EVENT_BYTES;
use zct_engine::{Error, Subscription};

/// How long to put off a comparison that failed, if the configuration asks for none after an overrun.
const RETRY_S: u32 = 30;

/// The size of the event socket's buffer, and when the caches have to be compared with the kernel.
#[derive(Debug)]
pub(super) struct Overrun {
    /// The value of NetlinkBufferSizeMaxGrowth.
    max: usize,
    /// The value of NetlinkOverrunResync.
    resync_s: Option<u32>,
    /// The value of PollSecs.
    poll_s: Option<u32>,
    /// Bytes in the buffer, as the kernel counts them.
    buffer: usize,
    /// The log already says that the buffer cannot grow any more.
    told_limit: bool,
    resync_at: Option<Millis>,
    poll_at: Option<Millis>,
}

impl Overrun {
    pub(super) fn new(settings: &General) -> Overrun {
        Overrun {
            max: settings.netlink_buffer_size_max as usize,
            resync_s: settings.netlink_overrun_resync_s,
            poll_s: settings.poll_s,
            buffer: 0,
            told_limit: false,
            resync_at: None,
            poll_at: None,
        }
    }

    /// Takes over new settings, except the size of the buffer, for which see [`Overrun::resized`].
    pub(super) fn reload(&mut self, settings: &General) {
        let (buffer, resync_at) = (self.buffer, self.resync_at);
        *self = Overrun { buffer, resync_at, ..Overrun::new(settings) };
    }

    /// Learns the new size of the buffer.
    pub(super) fn resized(&mut self, buffer: usize) {
        self.buffer = buffer;
    }

    pub(super) fn buffer(&self) -> usize {
        self.buffer
    }

    /// Events that the buffer holds (ctnetlink.md §5.6).
    pub(super) fn buffer_events(&self) -> usize {
        self.buffer / EVENT_BYTES
    }

    /// Reacts to lost events: makes room for more, and schedules a comparison with the kernel.
    pub(super) fn happened(
        &mut self,
        now: Millis,
        events: &Subscription,
        log: &mut Log,
    ) -> Result<(), Error> {
        let wanted = self.buffer.saturating_mul(2);
        if wanted <= self.max {
            self.buffer = events.socket().set_receive_buffer(wanted / 2)?;
            log.notice(&format!(
                "netlink event socket buffer size has been doubled to {} bytes",
                self.buffer
            ));
        } else if !self.told_limit {
            self.told_limit = true;
            log.warning(&format!(
                "netlink event socket buffer is full: events were lost. Its size of {} bytes cannot be \
                 doubled within NetlinkBufferSizeMaxGrowth",
                self.buffer
            ));
        }
        if let Some(s) = self.resync_s {
            self.resync_at = Some(now + Millis::from(s) * 1000);
        }
        Ok(())
    }

    /// Whether a comparison with the kernel is due now, after an overrun or because of polling.
    pub(super) fn resync_is_due(&mut self, now: Millis) -> bool {
        if let Some(s) = self.poll_s {
            let due = self.poll_at.is_some_and(|at| at <= now);
            if due || self.poll_at.is_none() {
                self.poll_at = Some(now + Millis::from(s) * 1000);
            }
            return due;
        }
        let due = self.resync_at.is_some_and(|at| at <= now);
        if due {
            self.resync_at = None;
        }
        due
    }

    /// True when a comparison will be due because events were lost, or because the last one failed.
    pub(super) fn resync_is_pending(&self) -> bool {
        self.resync_at.is_some()
    }

    /// Postpones a comparison that could not be made now.
    pub(super) fn resync_later(&mut self, now: Millis) {
        if self.poll_s.is_some() {
            // The next poll makes up for it.
            return;
        }
        let wait_s = self.resync_s.unwrap_or(RETRY_S).max(1);
        self.resync_at = Some(now + Millis::from(wait_s) * 1000);
    }

    /// When this has to be looked at again if nothing happens.
    pub(super) fn deadline(&self) -> Option<Millis> {
        [self.resync_at, self.poll_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, protocols::Protocols};

    /// The settings that an empty file stands for.
    fn defaults() -> General {
        config::load(b"Stats { }\n", &Protocols::default()).config.unwrap().general
    }

    fn overrun(resync_s: Option<u32>, poll_s: Option<u32>) -> Overrun {
        let general = General { netlink_overrun_resync_s: resync_s, poll_s, ..defaults() };
        Overrun::new(&general)
    }

    #[test]
    fn a_comparison_that_is_put_off_is_due_once() {
        for (resync_s, wait) in [(Some(5), 5000), (Some(0), 1000), (None, 30_000)] {
            let mut o = overrun(resync_s, None);
            assert!(!o.resync_is_due(100));
            o.resync_later(100);
            assert_eq!(o.deadline(), Some(100 + wait));
            assert!(!o.resync_is_due(99 + wait));
            assert!(o.resync_is_due(100 + wait));
            assert!(!o.resync_is_due(100 + wait));
            assert_eq!(o.deadline(), None);
        }
    }

    #[test]
    fn a_daemon_that_polls_compares_at_every_poll_and_at_no_other_time() {
        let mut o = overrun(Some(5), Some(2));
        // The first dump is not a comparison.
        assert!(!o.resync_is_due(0));
        o.resync_later(100);
        assert_eq!(o.deadline(), Some(2000));
        assert!(o.resync_is_due(2100));
        assert!(!o.resync_is_due(4000));
        assert!(o.resync_is_due(4100));
    }

    #[test]
    fn new_settings_keep_the_buffer_and_what_is_due() {
        let mut o = overrun(Some(5), None);
        o.resized(4096);
        o.resync_later(0);
        o.told_limit = true;
        o.reload(&General { netlink_overrun_resync_s: None, ..defaults() });
        assert_eq!((o.buffer(), o.deadline(), o.told_limit), (4096, Some(5000), false));
    }
}
