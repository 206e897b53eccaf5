//! What stays unacknowledged although later numbers were acknowledged.

use crate::peer::clock::Millis;
use crate::peer::entry::Range;

/// Entries that stay unacknowledged for this long while later ones are acknowledged are sent again: the
/// peer's acknowledgement was lost, and will not come again.
const STUCK_MS: Millis = 5000;
/// The same for requests. A peer of our kind acknowledges a request only when it has been served, which may
/// take long for a bulk, so patience doubles each time.
const REQUEST_STUCK_MS: Millis = 8000;
const PATIENCE_DOUBLINGS: u32 = 7;

/// The entry at the front of the resend queue and the last one that had been skipped with it, and since when the
/// former has been there.
#[derive(Debug, Default)]
struct Front(Option<(Range, Millis)>);

impl Front {
    /// Notes what is skipped now; returns what has been skipped for `patience`.
    fn look(&mut self, now: Millis, skipped: Option<Range>, patience: Millis) -> Option<Range> {
        match (self.0, skipped) {
            (Some((noted, since)), Some((front, _))) if noted.0 == front => {
                if now.saturating_sub(since) < patience {
                    return None;
                }
                self.0 = None;
                Some(noted)
            }
            (_, skipped) => {
                self.0 = skipped.map(|s| (s, now));
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
        self.data.look(now, seq.map(|s| (s, s)), STUCK_MS).map(|(first, _)| first)
    }

    /// Requests from the first to the second number are skipped now; returns those that are stuck, all at once
    /// as each of them would take as long again, and is more patient the next time.
    pub(crate) fn request(&mut self, now: Millis, skipped: Option<Range>) -> Option<Range> {
        let stuck = self.request.look(now, skipped, REQUEST_STUCK_MS << self.doublings)?;
        self.doublings = (self.doublings + 1).min(PATIENCE_DOUBLINGS);
        Some(stuck)
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
        let [one, two, three] = [1, 2, 3].map(|n| Some((n, n)));
        assert_eq!((s.request(0, one), s.request(REQUEST_STUCK_MS, one)), (None, one));
        assert_eq!((s.request(0, two), s.request(REQUEST_STUCK_MS, two)), (None, None));
        assert_eq!(s.request(2 * REQUEST_STUCK_MS, two), two);
        s.answered();
        assert_eq!((s.request(0, three), s.request(REQUEST_STUCK_MS, three)), (None, three));
    }

    /// With one at a time, each with its own patience, a bad network's requests took minutes.
    #[test]
    fn requests_that_were_skipped_together_are_handed_out_together() {
        let mut s = Stuck::default();
        assert_eq!(s.request(0, Some((1, 5))), None);
        // What was skipped later waits for its own time.
        assert_eq!(s.request(REQUEST_STUCK_MS, Some((1, 9))), Some((1, 5)));
    }
}
