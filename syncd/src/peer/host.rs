//! What the machine asks of the daemon around it.

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
    /// The peer has started, or somebody says so.
    PeerStarted,
    /// The peer's numbers went back without a HELLO; its flows are asked for again.
    PeerRenumbered,
    /// So many flows and expectations of the peer were removed because its bulk did not contain them.
    Swept(u64),
    /// This link sends from now on: ``device `IF' becomes dedicated link``.
    LinkChanged(usize),
    /// `no dedicated links available!`
    NoLink,
    /// In ALARM mode: the peer's messages carry flags, so it runs another mode. Told once.
    PeerInOtherMode,
    /// A message is larger than the link carries and was dropped. Told once.
    Unsendable,
}

/// What the machine asks of the daemon around it.
pub trait Host {
    /// Something for the log.
    fn notice(&mut self, notice: Notice);
    /// `DisableExternalCache`: put the peer's flow into the kernel, or take it out. The machine looks at no
    /// result; failures are the host's to count.
    fn inject_flow(&mut self, event: Event, flow: &Flow);
    /// The same for an expectation.
    fn inject_expect(&mut self, event: Event, expect: &Expect);
    /// `DisableInternalCache`: dump the kernel's table into [`Machine::bypass_dump`](crate::peer::Machine::bypass_dump).
    fn dump_kernel(&mut self);
    /// The purge timer has run out: flush the kernel's table.
    fn flush_kernel(&mut self);
}
