//! What only one mode has, and every place where modes differ in what they do with it.

use crate::peer::alarm::AlarmSession;
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::config::PeerConfig;
use crate::peer::delivery::Delivery;
use crate::peer::digest::DigestStats;
use crate::peer::entry::Control;
use crate::peer::ftfw::FtfwSession;
use crate::peer::message::Verdict;
use crate::peer::mode::Mode;
use crate::peer::notrack::NotrackSession;
use crate::peer::quiet::Quiet;
use crate::peer::remote::{Applied, Remote};
use crate::store::Meta;
use zct_wire::peer::{Digest, Message};

/// The state that only one mode has.
#[derive(Debug)]
pub(crate) enum Session {
    Ftfw(FtfwSession),
    Alarm(AlarmSession),
    Notrack(NotrackSession),
}

/// How a mode without acknowledgements compares.
fn quiet(now: Millis, config: &PeerConfig, resyncs: bool) -> Quiet {
    Quiet::new(now, config.digest_ms.is_some(), config.digest_ms.filter(|_| config.compares()), resyncs)
}

impl Session {
    pub(crate) fn new(now: Millis, config: &PeerConfig) -> Session {
        match &config.mode {
            Mode::Ftfw(m) => Session::Ftfw(FtfwSession::new(m, config.digest_ms)),
            Mode::Alarm(m) => {
                Session::Alarm(AlarmSession::new(now, m.cache_timeout_s, quiet(now, config, false)))
            }
            Mode::Notrack(_) => Session::Notrack(NotrackSession::new(quiet(now, config, true))),
        }
    }

    /// Takes over the timers of ALARM, and how often FT-FW compares. False when nothing of the mode can change.
    pub(crate) fn reconfigure(&mut self, config: &PeerConfig) -> bool {
        match (self, &config.mode) {
            (Session::Alarm(alarm), Mode::Alarm(m)) => {
                alarm.cache_timeout_s = m.cache_timeout_s;
                alarm.quiet.reconfigure(config.digest_ms);
                true
            }
            (Session::Notrack(notrack), _) => {
                notrack.quiet.reconfigure(config.digest_ms.filter(|_| config.compares()));
                false
            }
            (Session::Ftfw(ftfw), _) => {
                ftfw.checker.reconfigure(config.digest_ms.filter(|_| config.compares()));
                false
            }
            (Session::Alarm(_), _) => false,
        }
    }

    // Bulks.

    /// True where a bulk can be sent, and asked for. In ALARM all flows are announced again and again anyway.
    pub(crate) fn has_bulks(&self) -> bool {
        match self {
            Session::Ftfw(_) | Session::Notrack(_) => true,
            Session::Alarm(_) => false,
        }
    }

    /// Asks the peer for all its flows, where that is possible.
    pub(crate) fn request_resync(&mut self, now: Millis, delivery: &mut Delivery) {
        match self {
            Session::Ftfw(ftfw) => ftfw.begin_resync(now, delivery),
            Session::Notrack(notrack) => {
                notrack.quiet.asks_for_all();
                delivery.control(now, Control::Resync);
            }
            Session::Alarm(_) => {}
        }
    }

    /// True when a requested bulk has not been received completely.
    pub(crate) fn resync_is_running(&self) -> bool {
        matches!(self, Session::Ftfw(f) if f.resync.is_waiting())
    }

    /// Requests that the peer has not answered.
    pub(crate) fn open_requests(&self) -> usize {
        match self {
            Session::Ftfw(ftfw) => ftfw.resync.open_requests(),
            Session::Alarm(_) | Session::Notrack(_) => 0,
        }
    }

    /// The peer has asked for all flows under the number `seq`: its request is acknowledged once it has been
    /// served.
    pub(crate) fn bulk_requested(&self, seq: u32, delivery: &mut Delivery) {
        match self {
            Session::Ftfw(_) => delivery.defer(seq),
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    /// The peer is sent everything that it has asked for or needs, once a second at most.
    pub(crate) fn serves_bulk(&self, now: Millis, delivery: &mut Delivery) {
        match self {
            Session::Ftfw(ftfw) => ftfw.serves_bulk(now, delivery),
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    // Comparing.

    /// The peer has shown that it knows sums.
    pub(crate) fn peer_compares(&mut self, now: Millis) {
        match self {
            Session::Ftfw(ftfw) => ftfw.peer_compares(now),
            Session::Alarm(AlarmSession { quiet, .. }) | Session::Notrack(NotrackSession { quiet, .. }) => {
                quiet.peer_knows(now);
            }
        }
    }

    /// Handles the peer's answer about sums; returns how many leaves differ, if some do.
    pub(crate) fn digest(
        &mut self,
        now: Millis,
        digest: Digest,
        delivery: &mut Delivery,
        caches: &mut Caches,
    ) -> Option<u64> {
        match self {
            Session::Ftfw(ftfw) => ftfw.digest(now, digest, delivery, caches),
            Session::Alarm(AlarmSession { quiet, .. }) | Session::Notrack(NotrackSession { quiet, .. }) => {
                quiet.digest(now, digest, delivery, caches)
            }
        }
    }

    /// When to ask about sums.
    pub(crate) fn digest_due(&self, now: Millis) -> Option<Millis> {
        match self {
            Session::Ftfw(ftfw) => ftfw.checker.due(),
            Session::Alarm(AlarmSession { quiet, .. }) | Session::Notrack(NotrackSession { quiet, .. }) => {
                quiet.due(now)
            }
        }
    }

    /// What comparisons have come to.
    pub(crate) fn digest_stats(&self) -> DigestStats {
        match self {
            Session::Ftfw(ftfw) => ftfw.checker.stats,
            Session::Alarm(AlarmSession { quiet, .. }) | Session::Notrack(NotrackSession { quiet, .. }) => {
                quiet.stats
            }
        }
    }

    /// True while some flows of the peer are waited for, or swept, because they differed.
    pub(crate) fn repairs_some(&self) -> bool {
        match self {
            Session::Ftfw(ftfw) => ftfw.resync.is_partial(),
            Session::Alarm(AlarmSession { quiet, .. }) | Session::Notrack(NotrackSession { quiet, .. }) => {
                quiet.repairs()
            }
        }
    }

    /// True when the peer is known to answer about sums, and is asked.
    pub(crate) fn compares(&self) -> bool {
        match self {
            Session::Ftfw(ftfw) => ftfw.checker.is_active(),
            Session::Alarm(AlarmSession { quiet, .. }) | Session::Notrack(NotrackSession { quiet, .. }) => {
                quiet.is_active()
            }
        }
    }

    // Messages.

    /// Judges whether a message is accepted.
    pub(crate) fn receive(
        &mut self,
        now: Millis,
        m: &Message<'_>,
        delivery: &mut Delivery,
        caches: &mut Caches,
    ) -> Verdict {
        match self {
            Session::Ftfw(ftfw) => ftfw.receive(now, m, delivery, caches),
            Session::Alarm(alarm) => alarm.receive(now, m),
            Session::Notrack(notrack) => notrack.receive(now, m),
        }
    }

    /// A message was accepted.
    pub(crate) fn accepted(&mut self, now: Millis, delivery: &mut Delivery) {
        match self {
            Session::Ftfw(ftfw) => ftfw.accepted(now, delivery),
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    /// The generation of what the peer sends now.
    pub(crate) fn generation(&self) -> u8 {
        match self {
            Session::Ftfw(ftfw) => ftfw.resync.generation(),
            Session::Alarm(AlarmSession { quiet, .. }) | Session::Notrack(NotrackSession { quiet, .. }) => {
                quiet.generation()
            }
        }
    }

    /// The body of an accepted message has been applied.
    pub(crate) fn applied(&mut self, applied: Applied, caches: &mut Caches) {
        match (self, applied) {
            // The flow it was about must not be swept just because the message was not understood.
            (Session::Ftfw(ftfw), Applied::Malformed) => ftfw.resync.abandon(),
            (Session::Alarm(alarm), Applied::Stored(id)) => alarm.arm(id, caches),
            (Session::Ftfw(_) | Session::Alarm(_) | Session::Notrack(_), _) => {}
        }
    }

    /// Whether [`Session::peer_is_another`] tells of every start.
    pub(crate) fn starts_show_in_keys(&mut self, so: bool) {
        match self {
            Session::Ftfw(ftfw) => ftfw.starts_show_in_keys = so,
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    /// The peer has started, whether or not it greets.
    pub(crate) fn peer_is_another(&mut self, now: Millis, delivery: &mut Delivery) {
        match self {
            Session::Ftfw(ftfw) => ftfw.peer_is_another(now, delivery),
            // Numbers count for nothing here, and flows are asked for after each proof, or announced.
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    /// The external caches have been emptied.
    pub(crate) fn forget_external(&mut self) {
        match self {
            Session::Ftfw(ftfw) => ftfw.resync.forget_sweep(),
            Session::Alarm(alarm) => alarm.forget(),
            Session::Notrack(notrack) => notrack.quiet.flushed(),
        }
    }

    /// When a flow of the peer is forgotten; `None` except in ALARM, since other modes forget nothing.
    pub(crate) fn expires(&self, meta: Meta) -> Option<Millis> {
        match self {
            Session::Alarm(alarm) => Some(alarm.expires(meta)),
            Session::Ftfw(_) | Session::Notrack(_) => None,
        }
    }

    /// Panics when what a mode counts differs from what there is.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self, delivery: &Delivery, caches: &Caches) {
        match self {
            Session::Ftfw(ftfw) => ftfw.check(delivery, caches),
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    // Datagrams and time.

    /// Called before a datagram is filled.
    pub(crate) fn before_filling(&mut self, now: Millis, delivery: &mut Delivery) {
        match self {
            Session::Ftfw(ftfw) => ftfw.acknowledge_open(now, delivery),
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    /// Called after a datagram has been filled.
    pub(crate) fn after_filling(&mut self, now: Millis, delivery: &mut Delivery) {
        match self {
            Session::Ftfw(ftfw) => ftfw.filled(now, delivery),
            Session::Alarm(_) | Session::Notrack(_) => {}
        }
    }

    /// Runs the timers that are due. At the end of a sweep, returns how many flows and expectations it has
    /// removed.
    pub(crate) fn turn(
        &mut self,
        now: Millis,
        delivery: &mut Delivery,
        remote: &mut Remote,
        caches: &mut Caches,
    ) -> Option<u64> {
        match self {
            Session::Ftfw(ftfw) => {
                ftfw.resync_turn(now, delivery);
                ftfw.digest_turn(now, delivery, caches);
                ftfw.sweep_turn(now, delivery, remote, caches)
            }
            Session::Alarm(alarm) => {
                alarm.turn(now, delivery, remote, caches);
                alarm.quiet.turn(now, delivery, remote, caches)
            }
            Session::Notrack(notrack) => notrack.quiet.turn(now, delivery, remote, caches),
        }
    }

    /// ALARM: when the next flow may have to be forgotten.
    pub(crate) fn expire_due(&self) -> Option<Millis> {
        match self {
            Session::Alarm(alarm) => alarm.due(),
            Session::Ftfw(_) | Session::Notrack(_) => None,
        }
    }

    /// FT-FW: when the peer is asked for its flows.
    pub(crate) fn resync_due(&self) -> Option<Millis> {
        match self {
            Session::Ftfw(ftfw) => ftfw.resync.due(),
            Session::Alarm(_) | Session::Notrack(_) => None,
        }
    }

    /// FT-FW: true while flows that the peer no longer has are removed.
    pub(crate) fn is_sweeping(&self) -> bool {
        matches!(self, Session::Ftfw(f) if f.resync.is_sweeping())
    }

    /// FT-FW: when what was received has to be acknowledged.
    pub(crate) fn ack_due(&self) -> Option<Millis> {
        match self {
            Session::Ftfw(ftfw) => ftfw.ack_due(),
            Session::Alarm(_) | Session::Notrack(_) => None,
        }
    }
}
