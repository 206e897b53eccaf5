//! Clients that are answered when what they asked for is done.

use crate::control::request::{Condition, Request};
use crate::control::selection::Selection;
use crate::control::server::ClientId;

/// How many clients may wait for conditions. The other connections are kept for requests that end by
/// themselves.
const CONDITIONS_MAX: usize = 64;

/// A client, and whether it wants to learn the outcome.
pub(super) type Waiter = (ClientId, bool);

/// The clients that wait, by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) refill: Vec<Waiter>,
    pub(super) flush: Vec<Waiter>,
    pub(super) commit: Option<Waiter>,
    pub(super) stop: Vec<Waiter>,
    /// What was asked for before the first dump was complete.
    early: Vec<(Waiter, Request, Selection)>,
    conditions: Vec<(ClientId, Condition)>,
}

impl Waiting {
    pub(super) fn is_refilling(&self) -> bool {
        !self.refill.is_empty()
    }

    pub(super) fn take_stoppers(&mut self) -> Vec<Waiter> {
        std::mem::take(&mut self.stop)
    }

    /// A request has to wait for the end of the first dump.
    pub(super) fn come_early(&mut self, client: Waiter, request: Request, selection: Selection) {
        self.early.push((client, request, selection));
    }

    pub(super) fn take_early(&mut self) -> Vec<(Waiter, Request, Selection)> {
        std::mem::take(&mut self.early)
    }

    /// A client waits until the condition holds; false if too many do so already.
    pub(super) fn wait_for(&mut self, condition: Condition, client: ClientId) -> bool {
        let room = self.conditions.len() < CONDITIONS_MAX;
        if room {
            self.conditions.push((client, condition));
        }
        room
    }

    /// Whether anybody waits for a condition.
    pub(super) fn has_conditions(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// A client is gone; true if it has waited for a condition.
    pub(super) fn forget(&mut self, client: ClientId) -> bool {
        let before = self.conditions.len();
        self.conditions.retain(|(c, _)| *c != client);
        self.conditions.len() < before
    }

    /// Takes out the clients whose conditions hold.
    pub(super) fn take_met(&mut self, holds: impl Fn(Condition) -> bool) -> Vec<(ClientId, Condition)> {
        let all = std::mem::take(&mut self.conditions).into_iter();
        let (met, others) = all.partition(|(_, condition)| holds(*condition));
        self.conditions = others;
        met
    }
}
