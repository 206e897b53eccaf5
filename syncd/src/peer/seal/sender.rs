//! This node's own epochs: what it seals with now, and what it will seal with next (sealed-peers.md §6).

use super::keys::Keys;
use crate::peer::clock::Millis;
use zct_engine::aead;
use zct_engine::secret::Slot;
use zct_wire::peer::sealed::{self, Epoch, FrameHeader, FrameKind, NOTE_LEN, Note, TAG_LEN};

/// An epoch lasts no longer than this.
const LASTS_MS: Millis = 24 * 3600 * 1000;
/// Nor for more frames than this.
const FRAMES_MAX: u64 = 1 << 40;
/// How often the next epoch is announced before it is used, and how far apart.
const ANNOUNCEMENTS: u64 = 3;
const ANNOUNCED_APART_MS: Millis = 100;

/// One epoch of this node.
#[derive(Debug)]
struct OwnEpoch {
    epoch: Epoch,
    /// The number of the group key that `key` is made of.
    number: u8,
    key: Slot,
    counter: u64,
    since: Millis,
}

impl OwnEpoch {
    fn new(now: Millis, keys: &mut Keys, node: u16, number: u8) -> Option<OwnEpoch> {
        let epoch = keys.draw();
        let key = keys.sender(number, node, &epoch)?;
        let key = keys.keep(key)?;
        Some(OwnEpoch { epoch, number, key, counter: 0, since: now })
    }
}

/// The epoch that comes next.
#[derive(Debug)]
struct Coming {
    own: OwnEpoch,
    announced: u64,
    since: Millis,
}

/// What frames are sealed with.
#[derive(Debug)]
pub(super) struct Sender {
    node: u16,
    current: OwnEpoch,
    coming: Option<Coming>,
}

impl Sender {
    /// Begins the first epoch; `None` when there is no key of this number.
    pub(super) fn new(now: Millis, keys: &mut Keys, node: u16, number: u8) -> Option<Sender> {
        Some(Sender { node, current: OwnEpoch::new(now, keys, node, number)?, coming: None })
    }

    /// True for the epoch in which this node seals, and for the one that it has announced.
    pub(super) fn is_own(&self, epoch: &Epoch) -> bool {
        self.current.epoch == *epoch || self.coming.as_ref().is_some_and(|c| c.own.epoch == *epoch)
    }

    /// The number of the group key.
    pub(super) fn number(&self) -> u8 {
        self.current.number
    }

    /// The number of the group key of the epoch that comes next, or else of this one.
    pub(super) fn target(&self) -> u8 {
        self.coming.as_ref().map_or(self.current.number, |c| c.own.number)
    }

    /// Frames sealed in this epoch.
    pub(super) fn counter(&self) -> u64 {
        self.current.counter
    }

    /// Begins a new epoch: at once, so that others have to ask for a proof, or `announced` to them before.
    pub(super) fn renew(&mut self, now: Millis, keys: &mut Keys, node: u16, number: u8, announced: bool) {
        let Some(own) = OwnEpoch::new(now, keys, node, number) else { return };
        self.node = node;
        if let Some(c) = self.coming.take() {
            keys.forget(c.own.key);
        }
        if announced {
            self.coming = Some(Coming { own, announced: 0, since: now });
        } else {
            keys.forget(std::mem::replace(&mut self.current, own).key);
        }
    }

    /// Passes to the epoch that was announced, and announces one when this has lasted long enough.
    pub(super) fn turn(&mut self, now: Millis, keys: &mut Keys) {
        let is_over = self.coming.as_ref().is_some_and(|c| c.due().is_none() && now >= c.ends());
        if let Some(c) = self.coming.take_if(|_| is_over) {
            keys.forget(std::mem::replace(&mut self.current, c.own).key);
        }
        let old = self.current.counter >= FRAMES_MAX || now >= self.current.since + LASTS_MS;
        if old && self.coming.is_none() {
            self.renew(now, keys, self.node, self.current.number, true);
        }
    }

    /// When [`Sender::turn`] or [`Sender::announcement`] has something to do.
    pub(super) fn deadline(&self) -> Millis {
        match &self.coming {
            Some(c) => c.due().unwrap_or_else(|| c.ends()),
            None => self.current.since + LASTS_MS,
        }
    }

    /// What others have to be told now about the next epoch.
    pub(super) fn announcement(&mut self, now: Millis) -> Option<Note> {
        let c = self.coming.as_mut()?;
        c.due().filter(|at| *at <= now)?;
        c.announced += 1;
        Some(Note::Successor { key: c.own.number, epoch: c.own.epoch })
    }

    /// Makes a frame of the `len` bytes of text that stand in `frame` behind the room for its header, for the
    /// node `to` if its kind has one. `None` for what does not fit, or what is too long for a frame.
    pub(super) fn close(
        &mut self,
        keys: &Keys,
        (kind, to): (FrameKind, u16),
        frame: &mut [u8],
        len: usize,
    ) -> Option<usize> {
        let padding = NOTE_LEN.saturating_sub(len);
        let whole = kind.header_len() + len + padding + TAG_LEN;
        let own = &mut self.current;
        let header = FrameHeader {
            kind,
            len: u16::try_from(whole).ok()?,
            key: own.number,
            padding: padding as u8,
            node: self.node,
            epoch: own.epoch,
            counter: own.counter,
            to,
        };
        let frame = frame.get_mut(..whole)?;
        frame[kind.header_len() + len..].fill(0);
        header.write(frame)?;
        let parts = sealed::parts(frame)?;
        *parts.tag = aead::seal(keys.get(&own.key), own.counter, parts.header, parts.text)?;
        own.counter += 1;
        Some(whole)
    }
}

impl Coming {
    /// When it has to be announced the next time.
    fn due(&self) -> Option<Millis> {
        (self.announced < ANNOUNCEMENTS).then_some(self.since + self.announced * ANNOUNCED_APART_MS)
    }

    /// When it begins.
    fn ends(&self) -> Millis {
        self.since + ANNOUNCEMENTS * ANNOUNCED_APART_MS
    }
}
