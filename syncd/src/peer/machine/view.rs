//! What can be asked of the machine: counts, queues and caches, for reports and listings. Nothing changes
//! here.

use super::Machine;
use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::delivery::Outlook;
use crate::peer::entry::Sent;
use crate::peer::stats::PeerStats;
use crate::store::Meta;

impl Machine {
    /// The counts so far.
    pub fn stats(&self) -> PeerStats {
        PeerStats {
            sent: self.delivery.sent,
            unsendable: self.delivery.unsendable,
            resend_dropped: self.delivery.resend_dropped,
            resent: self.delivery.resent,
            bypass_dropped: self.delivery.bypass.dropped(),
            swept: self.remote.swept,
            unannounced: self.local.unannounced,
            digest: self.session.digest_stats(),
            internal: self.local.flows,
            internal_expect: self.local.expects,
            external: self.remote.flows,
            external_expect: self.remote.expects,
            ..self.counted
        }
    }

    /// The link to send on.
    pub fn active_link(&self) -> usize {
        self.links.active()
    }

    /// Messages that were sent and are not acknowledged, oldest first (`-s rsqueue`).
    pub fn resend_queue(&self) -> Vec<Sent> {
        self.delivery.in_flight(&self.caches).collect()
    }

    /// Number of changes that wait to be sent, not counting those of a bulk (`-s queue`).
    pub fn waiting(&self) -> usize {
        self.delivery.waiting()
    }

    /// True while a bulk is being sent.
    pub fn bulk_is_running(&self) -> bool {
        self.delivery.bulk_is_running()
    }

    /// True when a requested bulk has not been received completely.
    pub fn resync_is_running(&self) -> bool {
        self.session.resync_is_running()
    }

    /// True when the peer is known to answer about sums, and is asked.
    pub fn compares_with_peer(&self) -> bool {
        self.session.compares()
    }

    /// True while a part of the peer's flows is known not to be what it has, and is asked for again; in FT-FW
    /// [`Outlook::open_requests`] tells that.
    pub fn repairs_difference(&self) -> bool {
        self.session.repairs_some()
    }

    /// True while flows that a comparison with the kernel has not found are being ended.
    pub fn comparison_is_running(&self) -> bool {
        self.local.is_sweeping()
    }

    /// How far the conversation with the peer has come.
    pub fn outlook(&self) -> Outlook {
        let open_requests = self.session.open_requests();
        Outlook { open_requests, ..self.delivery.outlook(&self.caches) }
    }

    /// True when the peer has been heard recently.
    pub fn peer_is_there(&self, now: Millis) -> bool {
        self.delivery.peer_is_there(now)
    }

    /// Seconds until a flow of the peer is forgotten; `None` except in ALARM, since other
    /// modes forget nothing.
    pub fn expires_in_s(&self, now: Millis, meta: Meta) -> Option<u64> {
        self.session.expires(meta).map(|at| at.saturating_sub(now) / 1000)
    }

    /// The flows and expectations of both nodes.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }
}
