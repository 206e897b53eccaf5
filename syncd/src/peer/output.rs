//! What the machine asks of the daemon around it, queued until the daemon takes it.

use zct_wire::event::Event;
use zct_wire::peer::{Expect, Flow};

/// Something the operator may want to read in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The peer has asked for all flows: `resync requested by other node`.
    ResyncRequested,
    /// All flows are being sent: `sending bulk update`.
    BulkStarts,
    /// The peer has started, or somebody claims that it has.
    PeerStarted,
    /// The peer's numbers went back without a HELLO; its flows are asked for again.
    PeerRenumbered,
    /// This many flows and expectations of the peer were removed because its bulk did not contain them.
    Swept(u64),
    /// The flows of so many leaves of the peer's sums are not what is stored here: they are asked for again.
    Differs(u64),
    /// That has been repaired; so many flows were removed that the peer did not have.
    DifferenceRepaired(u64),
    /// This link is used for sending from now on: ``device `IF' becomes dedicated link``.
    LinkChanged(usize),
    /// `no dedicated links available!`
    NoLink,
    /// In ALARM mode: the peer's messages carry flags, so it runs another mode. Reported once.
    PeerInOtherMode,
    /// A message was dropped that is larger than the link can carry. Reported once.
    Unsendable,
}

/// What the machine asks of the daemon around it, which takes it with
/// [`Machine::poll`](crate::peer::Machine::poll).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output<'a> {
    /// Write something to the log.
    Notice(Notice),
    /// `DisableExternalCache`: put the peer's flow into the kernel, or remove it. The machine does not want
    /// to know the result; it is for the daemon to count failures.
    InjectFlow(Event, &'a Flow),
    /// As [`Output::InjectFlow`], for an expectation.
    InjectExpect(Event, &'a Expect),
    /// `DisableInternalCache`: dump the kernel's table into
    /// [`Machine::bypass_dump`](crate::peer::Machine::bypass_dump).
    DumpKernel,
    /// The purge timer has expired: flush the kernel's table.
    FlushKernel,
}

/// An output without what it is about, which is next in the list of its kind.
#[derive(Clone, Copy, Debug)]
enum OutputKind {
    Notice(Notice),
    InjectFlow(Event),
    InjectExpect(Event),
    DumpKernel,
    FlushKernel,
}

/// Flows that the queue has room for once it has been emptied: more than a turn usually brings.
const FLOWS_KEPT: usize = 1024;

/// Outputs in the order in which they arose, until they are taken.
///
/// # Allocation
/// The lists keep their memory, so that an output costs none once they have reached their size. A flow is
/// copied in, and lent when it is taken.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    order: Vec<OutputKind>,
    flows: Vec<Flow>,
    expects: Vec<Expect>,
    // How many of each list have been taken.
    taken: usize,
    flows_taken: usize,
    expects_taken: usize,
}

impl Outputs {
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.order.push(OutputKind::Notice(notice));
    }

    pub(crate) fn inject_flow(&mut self, event: Event, flow: &Flow) {
        self.order.push(OutputKind::InjectFlow(event));
        self.flows.push(*flow);
    }

    pub(crate) fn inject_expect(&mut self, event: Event, expect: &Expect) {
        self.order.push(OutputKind::InjectExpect(event));
        self.expects.push(*expect);
    }

    pub(crate) fn dump_kernel(&mut self) {
        self.order.push(OutputKind::DumpKernel);
    }

    pub(crate) fn flush_kernel(&mut self) {
        self.order.push(OutputKind::FlushKernel);
    }

    /// Takes the oldest; `None` when all have been taken.
    pub(crate) fn poll(&mut self) -> Option<Output<'_>> {
        let Some(next) = self.order.get(self.taken) else {
            self.forget_taken();
            return None;
        };
        self.taken += 1;
        match *next {
            OutputKind::Notice(notice) => Some(Output::Notice(notice)),
            OutputKind::InjectFlow(event) => {
                self.flows_taken += 1;
                self.flows.get(self.flows_taken - 1).map(|flow| Output::InjectFlow(event, flow))
            }
            OutputKind::InjectExpect(event) => {
                self.expects_taken += 1;
                self.expects.get(self.expects_taken - 1).map(|e| Output::InjectExpect(event, e))
            }
            OutputKind::DumpKernel => Some(Output::DumpKernel),
            OutputKind::FlushKernel => Some(Output::FlushKernel),
        }
    }

    fn forget_taken(&mut self) {
        self.order.clear();
        self.flows.clear();
        self.expects.clear();
        (self.taken, self.flows_taken, self.expects_taken) = (0, 0, 0);
        // A burst long ago must not keep its memory forever.
        self.flows.shrink_to(FLOWS_KEPT);
    }

    /// Panics when a list has more or fewer entries than the order tells of.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn check(&self) {
        let count = |which: fn(&OutputKind) -> bool, from: usize| {
            self.order.iter().skip(from).filter(|k| which(k)).count()
        };
        let flow = |k: &OutputKind| matches!(k, OutputKind::InjectFlow(_));
        let expect = |k: &OutputKind| matches!(k, OutputKind::InjectExpect(_));
        assert_eq!(count(flow, 0), self.flows.len(), "flows to inject");
        assert_eq!(count(expect, 0), self.expects.len(), "expectations to inject");
        assert_eq!(count(flow, self.taken), self.flows.len() - self.flows_taken, "flows that are left");
        assert_eq!(count(expect, self.taken), self.expects.len() - self.expects_taken, "expectations left");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_come_in_the_order_in_which_they_arose() {
        let (one, two) = (Flow::default(), Flow { mark: Some(2), ..Flow::default() });
        let expect = Expect::default();
        let mut o = Outputs::default();
        // Some are taken before others arise.
        for round in 0..3 {
            o.inject_flow(Event::New, &one);
            o.notice(Notice::NoLink);
            o.inject_expect(Event::Destroy, &expect);
            assert_eq!(o.poll(), Some(Output::InjectFlow(Event::New, &one)), "round {round}");
            o.inject_flow(Event::Update, &two);
            o.dump_kernel();
            o.flush_kernel();
            o.check();
            assert_eq!(o.poll(), Some(Output::Notice(Notice::NoLink)));
            assert_eq!(o.poll(), Some(Output::InjectExpect(Event::Destroy, &expect)));
            assert_eq!(o.poll(), Some(Output::InjectFlow(Event::Update, &two)));
            o.check();
            assert_eq!(o.poll(), Some(Output::DumpKernel));
            assert_eq!(o.poll(), Some(Output::FlushKernel));
            assert_eq!(o.poll(), None);
            assert_eq!(o.poll(), None);
        }
    }

    #[test]
    fn a_burst_does_not_keep_its_memory() {
        let mut o = Outputs::default();
        (0..10 * FLOWS_KEPT).for_each(|_| o.inject_flow(Event::New, &Flow::default()));
        while o.poll().is_some() {}
        assert!(o.flows.capacity() < 2 * FLOWS_KEPT, "{}", o.flows.capacity());
    }
}
