//! Sends the whole internal cache, going round in a circle.

use crate::store::{Cursor, ExpectId, ExpectStore, FlowId, FlowStore};

/// A position on the circle: flows come first, then expectations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    expects: bool,
    flow: Cursor,
    expect: u32,
}

/// What comes next on the way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Flow(FlowId),
    Expect(ExpectId),
}

/// A pass over the internal cache that ends where it began.
///
/// A request that arrives during a pass extends it to a full circle from the present position, instead of
/// starting at the front again, so that frequent requests cannot keep the rear from being sent.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    at: Position,
    // The position at which the pass ends when it is reached again; `None` for the end of the store.
    until: Option<Position>,
    wrapped: bool,
    running: bool,
    // Records that it has come to since it was last asked for.
    sent: u64,
}

impl Bulk {
    /// Asks for a full circle from the present position.
    pub(crate) fn request(&mut self) {
        self.until = (self.running && self.at != Position::default()).then_some(self.at);
        if self.until.is_none() {
            self.at = Position::default();
        }
        self.wrapped = false;
        self.running = true;
        self.sent = 0;
    }

    /// Records that the pass under way has come to since it was last asked for.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    /// Gives up, because the cache has been emptied.
    pub(crate) fn cancel(&mut self) {
        *self = Bulk::default();
    }

    /// The next record of the pass; `None` when it is complete.
    pub(crate) fn next(&mut self, flows: &FlowStore, expects: &ExpectStore) -> Option<Next> {
        while self.running {
            if self.wrapped && self.until.is_none_or(|until| self.at >= until) {
                break;
            }
            if !self.at.expects {
                if let Some(id) = flows.walk(&mut self.at.flow) {
                    self.sent += 1;
                    return Some(Next::Flow(id));
                }
                // An end among the flows does not count any more: there may be more flows next time round,
                // and the pass would end before its last expectations.
                self.at = Position { expects: true, ..Position::default() };
            } else if let Some(id) = expects.walk(&mut self.at.expect) {
                self.sent += 1;
                return Some(Next::Expect(id));
            } else {
                self.at = Position::default();
                if self.wrapped {
                    // The store has shrunk so much that the end of the pass no longer exists.
                    break;
                }
                self.wrapped = true;
            }
        }
        self.cancel();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, Meta};
    use std::collections::BTreeMap;
    use zct_wire::peer::{Expect, Flow};
    use zct_wire::tuple::{Addr, Tuple};

    fn stores(flows: u8, expects: u8) -> (FlowStore, ExpectStore) {
        let (mut f, mut e) = (FlowStore::new(1000, [0; 2]), ExpectStore::new(1000, [0; 2]));
        for n in 0..flows {
            let a = Some(if n % 2 == 0 { Addr::V4([n; 4]) } else { Addr::V6([n; 16]) });
            let flow = Flow {
                orig: Tuple { src: a, dst: a, proto: Some(6), ..Tuple::default() },
                ..Flow::default()
            };
            let place = f.locate(&Key::of(&flow).unwrap());
            f.insert(&place, &flow, Meta::default()).unwrap();
        }
        for n in 0..expects {
            e.upsert(&Expect { class: Some(n.into()), ..Expect::default() }, Meta::default()).unwrap();
        }
        (f, e)
    }

    fn count(seen: &mut BTreeMap<String, u32>, next: Next) {
        *seen.entry(format!("{next:?}")).or_insert(0) += 1;
    }

    #[test]
    fn a_pass_takes_everything_once_expectations_last() {
        let (f, e) = stores(9, 3);
        let mut b = Bulk::default();
        assert_eq!(b.next(&f, &e), None);
        b.request();
        let all: Vec<_> = std::iter::from_fn(|| b.next(&f, &e)).collect();
        assert_eq!(all.len(), 12);
        assert!(matches!(all[8], Next::Flow(_)) && matches!(all[9], Next::Expect(_)));
        b.request();
        assert!(b.next(&f, &e).is_some() && b.next(&f, &e).is_some());
        assert_eq!(b.sent(), 2);
        b.request();
        assert_eq!(b.sent(), 0);
        b.cancel();
        assert!(!b.is_running());
    }

    #[test]
    fn flows_that_come_during_a_pass_do_not_end_it_early() {
        let (mut f, e) = stores(4, 3);
        let mut b = Bulk::default();
        b.request();
        // All flows and two of three expectations; then everything is asked for again, and flows are added.
        assert_eq!(std::iter::from_fn(|| b.next(&f, &e)).take(6).count(), 6);
        b.request();
        for n in 100..110 {
            let a = Some(Addr::V6([n; 16]));
            let orig = Tuple { src: a, dst: a, proto: Some(6), ..Tuple::default() };
            let flow = Flow { orig, ..Flow::default() };
            let place = f.locate(&Key::of(&flow).unwrap());
            f.insert(&place, &flow, Meta::default()).unwrap();
        }
        let rest: Vec<_> = std::iter::from_fn(|| b.next(&f, &e)).collect();
        let expects = |n: &Next| matches!(n, Next::Expect(_));
        assert_eq!(
            (rest.iter().filter(|n| !expects(n)).count(), rest.iter().filter(|n| expects(n)).count()),
            (14, 3)
        );
    }

    /// Wherever the second request falls, everything comes exactly once after it, and the pass ends.
    #[test]
    fn a_second_request_makes_a_full_circle() {
        let (f, e) = stores(9, 3);
        for first in 0..=12 {
            let mut b = Bulk::default();
            b.request();
            for _ in 0..first {
                b.next(&f, &e).unwrap();
            }
            b.request();
            let mut seen = BTreeMap::new();
            std::iter::from_fn(|| b.next(&f, &e)).for_each(|n| count(&mut seen, n));
            assert_eq!((seen.len(), seen.values().max()), (12, Some(&1)), "after {first}");
        }
    }

    #[test]
    fn requests_without_end_do_not_starve_anything() {
        let (f, e) = stores(9, 3);
        let mut b = Bulk::default();
        let mut seen = BTreeMap::new();
        for _ in 0..36 {
            b.request();
            count(&mut seen, b.next(&f, &e).unwrap());
        }
        assert_eq!((seen.len(), seen.values().min()), (12, Some(&3)));
    }

    #[test]
    fn an_empty_cache_is_sent_at_once() {
        let (f, e) = stores(0, 0);
        let mut b = Bulk::default();
        b.request();
        assert_eq!(b.next(&f, &e), None);
        assert!(!b.is_running());
    }
}
