//! What stays unacknowledged although later numbers were acknowledged.

use crate::peer::clock::Millis;

/// Entries that stay unacknowledged for this long while later ones are acknowledged are sent again: the
/// peer's acknowledgement was lost, and will not come again.
const STUCK_MS: Millis = 5000;
/// The same for requests. A peer of our kind acknowledges a request only when it has been served, which may
/// take long for a bulk, so patience doubles each time.
const REQUEST_STUCK_MS: Millis = 8000;
const PATIENCE_DOUBLINGS: u32 = 7;

/// An entry at the front of the resend queue, and since when it has been there.
#[derive(Debug, Default)]
struct Front(Option<(u32, Millis)>);

impl Front {
    /// Notes the number that is at the front now; returns it if it has been there for `patience`.
    fn look(&mut self, now: Millis, seq: Option<u32>, patience: Millis) -> Option<u32> {
        match (self.0, seq) {
            (Some((old, since)), Some(seq)) if old == seq => {
                if now.saturating_sub(since) < patience {
                    return None;
                }
                self.0 = None;
                Some(seq)
            }
            (_, seq) => {
                self.0 = seq.map(|s| (s, now));
                None
            }
        }
    }
}

/// The oldest data entry and the oldest request that later acknowledgements have skipped.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    data: Front,
    request: Front,
    doublings: u32,
}

impl Stuck {
    /// This number is at the front of the data now; returns it if it is stuck.
    pub(crate) fn data(&mut self, now: Millis, seq: Option<u32>) -> Option<u32> {
        self.data.look(now, seq, STUCK_MS)
    }

    /// This number is at the front of the requests now; returns it if it is stuck, and is more patient the
    /// next time.
    pub(crate) fn request(&mut self, now: Millis, seq: Option<u32>) -> Option<u32> {
        let seq = self.request.look(now, seq, REQUEST_STUCK_MS << self.doublings)?;
        self.doublings = (self.doublings + 1).min(PATIENCE_DOUBLINGS);
        Some(seq)
    }

    /// A request was acknowledged: patience starts over.
    pub(crate) fn answered(&mut self) {
        self.doublings = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_that_stays_is_handed_out_once() {
        let mut s = Stuck::default();
        assert_eq!(s.data(0, Some(7)), None);
        assert_eq!(s.data(STUCK_MS - 1, Some(7)), None);
        assert_eq!(s.data(STUCK_MS, Some(7)), Some(7));
        assert_eq!(s.data(STUCK_MS, Some(7)), None);
        assert_eq!(s.data(STUCK_MS + 1, Some(8)), None);
        assert_eq!(s.data(2 * STUCK_MS, Some(8)), None);
    }

    #[test]
    fn patience_with_requests_doubles_until_one_is_answered() {
        let mut s = Stuck::default();
        assert_eq!((s.request(0, Some(1)), s.request(REQUEST_STUCK_MS, Some(1))), (None, Some(1)));
        assert_eq!((s.request(0, Some(2)), s.request(REQUEST_STUCK_MS, Some(2))), (None, None));
        assert_eq!(s.request(2 * REQUEST_STUCK_MS, Some(2)), Some(2));
        s.answered();
        assert_eq!((s.request(0, Some(3)), s.request(REQUEST_STUCK_MS, Some(3))), (None, Some(3)));
    }
}
