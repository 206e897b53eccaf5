//! What is on its way to the peer, for those who watch. Nothing here changes anything.

use crate::peer::caches::Caches;
use crate::peer::clock::Millis;
use crate::peer::delivery::Delivery;

/// How far the conversation with the peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// When the last message of the peer was accepted.
    pub last_heard: Option<Millis>,
    /// The number that the next message will have.
    pub next_number: u32,
    /// Messages that were sent and are not acknowledged. None are waited for except in FT-FW.
    pub unacknowledged: usize,
    /// The number of the oldest of these, or of an even older message that has become superfluous.
    pub oldest: Option<u32>,
    /// Since when the change waits that has waited longest to be sent, apart from bulks and repairs.
    pub waiting_since: Option<Millis>,
    /// A bulk is being sent, or about to begin.
    pub bulk_is_pending: bool,
    /// Entries that the bulk under way has sent.
    pub bulk_sent: u64,
    /// Requests to the peer, for all its flows or for messages that were lost, that it has not answered.
    pub open_requests: usize,
}

impl Delivery {
    /// How it stands, apart from the requests.
    pub(crate) fn outlook(&self, caches: &Caches) -> Outlook {
        Outlook {
            last_heard: self.last_heard,
            next_number: self.seq,
            unacknowledged: self.places.live(),
            oldest: self.places.oldest(caches),
            waiting_since: self.queue.since(),
            bulk_is_pending: self.bulk_is_pending(),
            bulk_sent: self.bulk.sent(),
            open_requests: 0,
        }
    }
}
