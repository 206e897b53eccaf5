//! What has happened to a flow or an expectation, whether the kernel or a peer reports it.

use crate::consts::{ipctnl, ipctnl_exp, nlm_f};
use crate::header::CtMsg;

/// What has happened to a flow or an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It is new.
    New,
    /// It has changed.
    Update,
    /// It has ended.
    Destroy,
}

impl Event {
    /// What a message of the kernel reports, from its type and flags (ctnetlink.md §5.1); `None` for
    /// other messages. Works for flows and expectations alike.
    pub fn of(msg: &CtMsg<'_>) -> Option<Event> {
        match msg.kind() {
            ipctnl::NEW | ipctnl_exp::NEW if msg.flags() & (nlm_f::CREATE | nlm_f::EXCL) != 0 => {
                Some(Event::New)
            }
            ipctnl::NEW | ipctnl_exp::NEW => Some(Event::Update),
            ipctnl::DELETE | ipctnl_exp::DELETE => Some(Event::Destroy),
            _ => None,
        }
    }
}
