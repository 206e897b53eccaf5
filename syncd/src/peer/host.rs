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
    /// The peer has started, or somebody claims that it has.
    PeerStarted,
    /// The peer's numbers went back without a HELLO; its flows are asked for again.
    PeerRenumbered,
    /// This many flows and expectations of the peer were removed because its bulk did not contain them.
    Swept(u64),
    /// This link is used for sending from now on: ``device `IF' becomes dedicated link``.
    LinkChanged(usize),
    /// `no dedicated links available!`
    NoLink,
    /// In ALARM mode: the peer's messages carry flags, so it runs another mode. Reported once.
    PeerInOtherMode,
    /// A message was dropped that is larger than the link can carry. Reported once.
    Unsendable,
}

/// What the machine asks of the daemon around it.
pub trait Host {
    /// Writes something to the log.
    fn notice(&mut self, notice: Notice);
    /// `DisableExternalCache`: puts the peer's flow into the kernel, or removes it. The machine ignores the
    /// result; it is for the host to count failures.
    fn inject_flow(&mut self, event: Event, flow: &Flow);
    /// As [`Host::inject_flow`], for an expectation.
    fn inject_expect(&mut self, event: Event, expect: &Expect);
    /// `DisableInternalCache`: dumps the kernel's table into
    /// [`Machine::bypass_dump`](crate::peer::Machine::bypass_dump).
    fn dump_kernel(&mut self);
    /// The purge timer has expired: flushes the kernel's table.
    fn flush_kernel(&mut self);
}
