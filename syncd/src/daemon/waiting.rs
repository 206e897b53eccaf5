//! Clients that are answered when what they asked for is done.

use crate::control::server::ClientId;

/// A client, and whether it wants to learn the outcome.
pub(super) type Client = (ClientId, bool);

/// The clients that wait, by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) refill: Vec<Client>,
    pub(super) flush: Vec<Client>,
    pub(super) commit: Option<Client>,
    pub(super) stop: Vec<Client>,
}

impl Waiting {
    pub(super) fn is_refilling(&self) -> bool {
        !self.refill.is_empty()
    }

    pub(super) fn take_stoppers(&mut self) -> Vec<Client> {
        std::mem::take(&mut self.stop)
    }
}
