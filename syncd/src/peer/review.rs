//! A slow comparison of the internal cache with the kernel, for what no event has told.
//!
//! It changes nothing but the generation of what it has seen. If it finds a difference, the comparison that also
//! follows an overrun repairs it, and tells the peer: that one is proven, and there is no second way to repair.

use crate::peer::caches::Caches;
use crate::peer::generations::SWEEP_A_TURN;
use crate::peer::mark;
use crate::store::{Cursor, FlowId, Key, Meta};
use zct_wire::consts::ips;
use zct_wire::peer::Flow;
use zct_wire::proto::ProtoInfo;

/// Status bits that change without an event.
const UNTOLD: u32 = ips::DYING | ips::OFFLOAD | ips::HW_OFFLOAD;

/// How far it has come.
#[derive(Debug, Default, PartialEq, Eq)]
enum ReviewState {
    #[default]
    Idle,
    /// The kernel's table is being read.
    Reading,
    /// It was read: what it did not contain is being counted.
    Counting(Cursor),
    /// The result waits to be taken.
    Done,
}

/// The comparison under way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Review {
    state: ReviewState,
    differing: u64,
}

/// What events tell of a flow, so that nothing else makes a difference.
fn told(flow: &Flow) -> Flow {
    let mut told = Flow {
        status: Some(flow.status.unwrap_or(0) & !UNTOLD),
        mark: Some(flow.mark.unwrap_or(0)),
        timeout_s: None,
        seq_adj: None,
        synproxy: None,
        ..*flow
    };
    if let Some(ProtoInfo::Tcp(tcp)) = &mut told.proto {
        tcp.wscale = [None; 2];
    }
    told
}

impl Review {
    /// The kernel's table is about to be read; the generation has been advanced.
    pub(crate) fn begin(&mut self) {
        *self = Review { state: ReviewState::Reading, differing: 0 };
    }

    /// Something else reads the table, or it could not be read whole.
    pub(crate) fn give_up(&mut self) {
        self.state = ReviewState::Idle;
    }

    /// The kernel has this flow. `comparable` unless there was an event about it since, or it is filtered out.
    pub(crate) fn seen(&mut self, flow: &Flow, comparable: bool, generation: u8, caches: &mut Caches) {
        if self.state != ReviewState::Reading {
            return;
        }
        let comparable = comparable && flow.status.is_none_or(|s| s & ips::DYING == 0);
        let known = Key::of(flow).and_then(|key| caches.internal.find(&key)).and_then(|id| {
            let meta = caches.internal.meta(id).filter(|m| m.flags & mark::DEAD == 0)?;
            Some((id, meta))
        });
        let Some((id, meta)) = known else {
            // Without room for it, it is missing for a known reason.
            self.differing += u64::from(comparable && !caches.internal.is_full());
            return;
        };
        caches.internal.set_meta(id, Meta { generation, ..meta });
        self.differing += u64::from(comparable && differs(id, flow, caches));
    }

    /// The table was read whole.
    pub(crate) fn read(&mut self) {
        if self.state == ReviewState::Reading {
            self.state = ReviewState::Counting(Cursor::default());
        }
    }

    /// True while there is something to count.
    pub(crate) fn is_counting(&self) -> bool {
        matches!(self.state, ReviewState::Counting(_))
    }

    /// Counts, of a bounded number of flows, those that the kernel does not have. True at the end.
    pub(crate) fn turn(&mut self, generation: u8, caches: &mut Caches) -> bool {
        let ReviewState::Counting(mut cursor) = self.state else { return false };
        for _ in 0..SWEEP_A_TURN {
            let Some(id) = caches.internal.walk(&mut cursor) else {
                self.state = ReviewState::Done;
                return true;
            };
            if let Some(meta) = caches.internal.meta(id).filter(|m| m.generation != generation) {
                self.differing += u64::from(meta.flags & mark::DEAD == 0);
                caches.internal.set_meta(id, Meta { generation, ..meta });
            }
        }
        self.state = ReviewState::Counting(cursor);
        false
    }

    /// How many flows differ, once after each comparison.
    pub(crate) fn take(&mut self) -> Option<u64> {
        (self.state == ReviewState::Done).then(|| {
            self.state = ReviewState::Idle;
            self.differing
        })
    }
}

/// True when the kernel's flow tells something else than the stored one.
fn differs(id: FlowId, flow: &Flow, caches: &Caches) -> bool {
    caches.internal.flow(id).is_some_and(|known| {
        let mut merged = known;
        merged.merge(flow);
        told(&merged) != told(&known)
    })
}

#[cfg(test)]
mod tests {
    use crate::peer::{Event, Link, Machine, Origin, PeerConfig, Seed};
    use crate::sim::flow_tuple;
    use zct_wire::consts::ips;
    use zct_wire::peer::Flow;

    fn node(flows: u32) -> Machine {
        let links = vec![Link { up: true, payload_max: 1472 }];
        let seed = Seed { sequence: 1, random: 1, hash: [1, 2] };
        let mut m = Machine::new(0, PeerConfig::default(), links, 0, seed);
        (0..flows).for_each(|n| m.flow_change(5, Event::New, Origin::Kernel, &flow(n), n));
        m
    }

    fn flow(n: u32) -> Flow {
        Flow { status: Some(8), timeout_s: Some(100), ..flow_tuple(n) }
    }

    /// Reads these flows as the kernel's table, and returns what differs.
    fn review(m: &mut Machine, flows: impl IntoIterator<Item = (Flow, bool)>) -> Option<u64> {
        assert!(m.begin_kernel_review());
        flows.into_iter().for_each(|(f, comparable)| m.flow_reviewed(&f, comparable));
        assert_eq!(m.take_review(), None, "not before the end");
        m.end_kernel_review();
        m.turn(10);
        m.take_review()
    }

    #[test]
    fn what_events_have_told_is_no_difference() {
        let mut m = node(50);
        assert_eq!(review(&mut m, (0..50).map(|n| (flow(n), true))), Some(0));
        // Timeouts run, and a flow is offloaded without a word.
        let quiet = |n| Flow { timeout_s: Some(3), status: Some(8 | ips::OFFLOAD), mark: Some(0), ..flow(n) };
        assert_eq!(review(&mut m, (0..50).map(|n| (quiet(n), true))), Some(0));
        assert_eq!(m.take_review(), None, "it is told once");
    }

    #[test]
    fn a_flow_that_is_other_or_missing_on_either_side_is_one() {
        let mut m = node(50);
        let other = |n| Flow { mark: (n == 7).then_some(9), ..flow(n) };
        assert_eq!(review(&mut m, (0..50).map(|n| (other(n), true))), Some(1));
        assert_eq!(review(&mut m, (0..48).map(|n| (flow(n), true))), Some(2));
        assert_eq!(review(&mut m, (0..53).map(|n| (flow(n), true))), Some(3));
        // With an event since, or where the filter leaves it out, nothing is known.
        assert_eq!(review(&mut m, (0..53).map(|n| (other(n), false))), Some(0));
    }

    #[test]
    fn flows_that_come_and_go_while_the_table_is_read_make_no_difference() {
        let mut m = node(50);
        assert!(m.begin_kernel_review());
        (0..25).for_each(|n| m.flow_reviewed(&flow(n), true));
        m.flow_change(6, Event::New, Origin::Kernel, &flow(60), 60);
        m.flow_change(6, Event::Destroy, Origin::Kernel, &flow(30), 30);
        (25..50).filter(|n| *n != 30).for_each(|n| m.flow_reviewed(&flow(n), true));
        m.end_kernel_review();
        m.turn(10);
        assert_eq!(m.take_review(), Some(0));
    }

    #[test]
    fn a_comparison_that_repairs_takes_its_place() {
        let mut m = node(5);
        assert!(m.begin_kernel_review());
        m.begin_kernel_resync();
        m.end_kernel_review();
        m.end_kernel_resync();
        assert!(!m.begin_kernel_review(), "not while that one removes flows");
        m.turn(10);
        assert_eq!((m.take_review(), m.caches().internal.counts().dead), (None, 5));
    }
}
