//! The other nodes that have proved that they are there, and their epochs (sealed-peers.md §5).

use super::keys::Keys;
use super::settings::Settings;
use super::window::Window;
use crate::peer::clock::Millis;
use zct_engine::aead::KEY_LEN;
use zct_engine::secret::Slot;
use zct_wire::peer::sealed::{Epoch, FrameHeader};
use zeroize::Zeroizing;

/// Other nodes that are remembered.
pub(super) const NODES_MAX: usize = 16;
/// How long a proof is good for.
const PROOF_LASTS_MS: Millis = 30_000;
/// After this time a node is asked for another one.
const PROVE_AGAIN_MS: Millis = 10_000;
/// How long frames of the epoch before are taken: longer than any is on its way.
const PREVIOUS_LASTS_MS: Millis = 3000;

/// An epoch of another node whose key is kept.
#[derive(Debug)]
pub(super) struct Known {
    epoch: Epoch,
    number: u8,
    pub(super) key: Slot,
    pub(super) window: Window,
    /// When the node has proved last that it is there, in this epoch or in the one that announced it.
    proved: Millis,
}

impl Known {
    fn is(&self, h: &FrameHeader) -> bool {
        self.epoch == h.epoch && self.number == h.key
    }

    /// Whether what it says is taken.
    pub(super) fn is_proved(&self, now: Millis) -> bool {
        now.saturating_sub(self.proved) < PROOF_LASTS_MS
    }

    /// Whether it should be asked for a new proof.
    pub(super) fn has_to_prove(&self, now: Millis) -> bool {
        now.saturating_sub(self.proved) >= PROVE_AGAIN_MS
    }
}

#[derive(Debug)]
struct OtherNode {
    id: u16,
    current: Known,
    /// The one before, and until when it is heard.
    previous: Option<(Known, Millis)>,
    /// The one that it has announced.
    next: Option<Known>,
}

/// Where a known epoch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Current,
    Previous,
    Next,
}

/// A node, and one of its epochs.
#[derive(Clone, Copy, Debug)]
pub(super) struct EpochPlace {
    node: usize,
    pub(super) which: Which,
}

/// What a node's answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It is still there.
    Renewed,
    /// It was not known to be there, so what it has said until now was not taken.
    Late,
    /// The same, and it was known in another epoch, which has not announced this one: it has started, or its keys
    /// are others.
    Another,
}

/// All other nodes.
#[derive(Debug, Default)]
pub(super) struct Others {
    nodes: Vec<OtherNode>,
}

impl Others {
    /// Finds the epoch of a frame among those that are known.
    pub(super) fn find(&self, h: &FrameHeader, now: Millis) -> Option<EpochPlace> {
        let node = self.nodes.iter().position(|n| n.id == h.node)?;
        let n = self.nodes.get(node)?;
        let which = if n.current.is(h) {
            Which::Current
        } else if n.next.as_ref().is_some_and(|k| k.is(h)) {
            Which::Next
        } else if n.previous.as_ref().is_some_and(|(k, until)| k.is(h) && now < *until) {
            Which::Previous
        } else {
            return None;
        };
        Some(EpochPlace { node, which })
    }

    pub(super) fn known(&mut self, place: EpochPlace) -> Option<&mut Known> {
        let n = self.nodes.get_mut(place.node)?;
        match place.which {
            Which::Current => Some(&mut n.current),
            Which::Previous => n.previous.as_mut().map(|(k, _)| k),
            Which::Next => n.next.as_mut(),
        }
    }

    /// A frame of the announced epoch was authentic: it is the current one from now on, and the one before is
    /// heard for a while.
    pub(super) fn advance(&mut self, place: EpochPlace, now: Millis, keys: &mut Keys) -> EpochPlace {
        let Some(n) = self.nodes.get_mut(place.node) else { return place };
        if let (Which::Next, Some(mut next)) = (place.which, n.next.take_if(|_| place.which == Which::Next)) {
            next.proved = n.current.proved;
            let old = std::mem::replace(&mut n.current, next);
            forget(n.previous.replace((old, now + PREVIOUS_LASTS_MS)).map(|(k, _)| k), keys);
        }
        let which = if place.which == Which::Next { Which::Current } else { place.which };
        EpochPlace { which, ..place }
    }

    /// The node has announced its next epoch.
    pub(super) fn announce(
        &mut self,
        place: EpochPlace,
        now: Millis,
        number: u8,
        epoch: Epoch,
        key: Zeroizing<[u8; KEY_LEN]>,
        keys: &mut Keys,
    ) {
        let Some(n) = self.nodes.get_mut(place.node) else { return };
        // It is announced several times.
        let is_known = |k: &Known| k.epoch == epoch && k.number == number;
        if is_known(&n.current) || n.next.as_ref().is_some_and(is_known) {
            return;
        }
        let Some(key) = keys.keep(key) else { return };
        let known = Known { epoch, number, key, window: Window::from(0, now), proved: n.current.proved };
        forget(n.next.replace(known), keys);
    }

    /// The sender of a frame has answered: it is there. `None` when there is no room for another node.
    pub(super) fn proved(
        &mut self,
        h: &FrameHeader,
        now: Millis,
        key: Option<Zeroizing<[u8; KEY_LEN]>>,
        keys: &mut Keys,
    ) -> Option<Proof> {
        let at = self.nodes.iter().position(|n| n.id == h.node);
        if let Some(n) = at.and_then(|at| self.nodes.get_mut(at)).filter(|n| n.current.is(h)) {
            let lapsed = !n.current.is_proved(now);
            if lapsed {
                // What was sealed before it was asked may be a recording.
                n.current.window.raise(h.counter);
            }
            n.current.proved = now;
            return Some(if lapsed { Proof::Late } else { Proof::Renewed });
        }
        let gone = || self.nodes.iter().position(|n| !n.current.is_proved(now));
        if at.is_none() && self.nodes.len() >= NODES_MAX {
            let gone = gone()?;
            let n = self.nodes.swap_remove(gone);
            forget_all(n, keys);
        }
        let key = keys.keep(key?)?;
        let window = Window::from(h.counter.saturating_add(1), now);
        let current = Known { epoch: h.epoch, number: h.key, key, window, proved: now };
        let proof = if at.is_some() { Proof::Another } else { Proof::Late };
        if let Some(at) = at {
            forget_all(self.nodes.swap_remove(at), keys);
        }
        self.nodes.push(OtherNode { id: h.node, current, previous: None, next: None });
        Some(proof)
    }

    /// Forgets the epochs under keys that are no longer there.
    pub(super) fn reconfigure(&mut self, keys: &mut Keys, new: &Settings) {
        for mut n in std::mem::take(&mut self.nodes) {
            forget(n.previous.take_if(|(k, _)| !keys.has_same(k.number, new)).map(|(k, _)| k), keys);
            forget(n.next.take_if(|k| !keys.has_same(k.number, new)), keys);
            if !keys.has_same(n.current.number, new) {
                // The announced one will be the current one with the next frame anyway.
                let Some(next) = n.next.take() else {
                    forget_all(n, keys);
                    continue;
                };
                forget(Some(std::mem::replace(&mut n.current, next)), keys);
            }
            self.nodes.push(n);
        }
    }

    /// The nodes that have proved themselves lately.
    pub(super) fn living(&self, now: Millis) -> impl Iterator<Item = u16> + '_ {
        self.nodes.iter().filter(move |n| n.current.is_proved(now)).map(|n| n.id)
    }
}

fn forget(known: Option<Known>, keys: &mut Keys) {
    if let Some(k) = known {
        keys.forget(k.key);
    }
}

fn forget_all(node: OtherNode, keys: &mut Keys) {
    forget(Some(node.current), keys);
    forget(node.previous.map(|(k, _)| k), keys);
    forget(node.next, keys);
}
