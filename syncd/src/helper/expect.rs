//! Expectations asked for one by one: only then the kernel says whether it took one, and a packet can have
//! several.

use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Requests, Sink, errno};
use zct_helpers::{Ends, Expected};
use zct_wire::consts::nlm_f;
use zct_wire::expect::ExpectView;
use zct_wire::filter::DumpFilter;
use zct_wire::header::CtMsg;
use zct_wire::request::{self, NewFlow, Table};
use zct_wire::tuple::Tuple;

/// How many other ports are tried when the announced one is taken.
const TRIES: u16 = 64;
const UNPRIVILEGED: u16 = 1024;

/// A flow that expects others, as the kernel finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectMaster {
    /// Its original direction.
    pub(super) original: Ends,
    /// The zone of this direction.
    pub(super) zone: Option<u16>,
}

/// What became of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectOutcome {
    /// The kernel took it, with this port.
    Made(Expected),
    /// It was there already: the packet is a retransmission.
    There(Expected),
    /// Neither the port nor any other that was tried is free.
    NoPort,
    /// The kernel refused it.
    Refused,
}

/// Asks the kernel.
#[derive(Debug)]
pub(super) struct ExpectSocket {
    requests: Requests,
}

/// What is known of one that is in the way.
#[derive(Default)]
struct InTheWay {
    master: Option<Tuple>,
    saved_port: Option<u16>,
}

impl Sink for InTheWay {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Ok(e) = ExpectView::index(msg) {
            self.master = e.master().ok().flatten();
            self.saved_port = e.nat().ok().flatten().and_then(|nat| nat.tuple.src_port);
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

struct Count<'a> {
    helper: &'a [u8],
    family: u8,
    found: usize,
}

impl Sink for Count<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Ok(e) = ExpectView::index(msg) {
            self.found += usize::from(e.helper() == Some(self.helper) && e.family() == self.family);
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

impl ExpectSocket {
    pub(super) fn open() -> Result<ExpectSocket, Error> {
        Ok(ExpectSocket { requests: Requests::open()? })
    }

    /// Makes an expectation of the flow `master`; if `movable` and its port is taken, at another port.
    pub(super) fn make(&mut self, master: &ExpectMaster, wanted: &Expected, movable: bool) -> ExpectOutcome {
        for port in ports(wanted.port(), if movable { TRIES } else { 0 }) {
            let expected = wanted.to_port(port);
            let ExpectMaster { original, zone } = master;
            let mut nothing = InTheWay::default();
            match self.requests.ask(|buf, seq| expected.add(buf, seq, original, *zone), &mut nothing) {
                Ok(()) => return ExpectOutcome::Made(expected),
                Err(e) if e.errno() == Some(errno::EEXIST) => {
                    if self.is_ours(master, &expected) {
                        return ExpectOutcome::There(expected);
                    }
                }
                Err(e) if e.errno() == Some(errno::EBUSY) => {}
                Err(_) => return ExpectOutcome::Refused,
            }
        }
        ExpectOutcome::NoPort
    }

    /// Has the kernel tell everyone of a flow as it is. It says nothing by itself when the sequence numbers of a flow
    /// begin to be adjusted, and a standby that does not know of it cannot take the flow over.
    pub(super) fn tell_of(&mut self, flow: &ExpectMaster) {
        let unchanged = NewFlow::default().with(|it| {
            it.family = flow.original.src().family();
            it.orig = Some(flow.original.tuple());
            it.zone = flow.zone;
        });
        // A flow that has ended meanwhile need not be told of.
        let mut nothing = InTheWay::default();
        _ = self.requests.ask(|buf, seq| request::new_flow(buf, seq, nlm_f::ACK, &unchanged), &mut nothing);
    }

    /// Whether the one that is there is this flow's, for the same announcement.
    fn is_ours(&mut self, master: &ExpectMaster, expected: &Expected) -> bool {
        let mut found = InTheWay::default();
        let tuple = expected.tuple();
        let (family, zone) = (expected.family(), master.zone);
        let asked =
            self.requests.ask(|buf, seq| request::get_expect(buf, seq, family, &tuple, zone), &mut found);
        let theirs = found.master.and_then(|t| Ends::try_from(&t).ok());
        asked.is_ok()
            && theirs == Some(master.original)
            && found.saved_port == expected.followed().map(|f| f.port)
    }

    /// How many of a helper's expectations wait in the kernel.
    pub(super) fn count(&mut self, helper: &[u8], family: u8) -> Result<usize, Error> {
        let mut count = Count { helper, family, found: 0 };
        let filter = DumpFilter::default();
        self.requests.dump(|buf, seq| request::dump(buf, seq, Table::Expect, &filter), &mut count)?;
        Ok(count.found)
    }
}

/// The port itself, then up to `tries` others: from 1024 up if it is one of these, and in steps that reach
/// all of them, so that neighbours that are taken together are left soon.
fn ports(wanted: u16, tries: u16) -> impl Iterator<Item = u16> {
    const STEP: u32 = 7919;
    let low = if wanted >= UNPRIVILEGED { u32::from(UNPRIVILEGED) } else { 1 };
    let range = 65_536 - low;
    let others = (1..=u32::from(tries)).filter_map(move |n| {
        let at = (u32::from(wanted) - low + n * STEP) % range;
        u16::try_from(low + at).ok()
    });
    std::iter::once(wanted).chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ports_are_in_the_same_range_and_all_different() {
        for wanted in [1, 700, 1023, 1024, 40_000, 65_535] {
            let all: Vec<u16> = ports(wanted, TRIES).collect();
            assert_eq!((all.len(), all[0]), (65, wanted));
            let distinct: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!(distinct.len(), 65);
            assert!(!all.contains(&0) && (wanted < 1024 || all.iter().all(|p| *p >= 1024)), "{all:?}");
        }
        assert_eq!(ports(5000, 0).collect::<Vec<_>>(), [5000]);
    }
}
