//! Sealed frames: who may speak, and how recordings are told from what is new (sealed-peers.md).
//!
//! [`Seal`] stands between the protocol machine and the links. What the machine has written goes through
//! [`Seal::close`], what has arrived through [`Seal::open`], both in the buffer where it is. It opens no
//! socket and reads no clock; all its random numbers are made of one seed.
//!
//! # Allocation All of it when it is made, and 700 bytes for each of at most sixteen other nodes. A frame
//! allocates nothing.

mod budget;
mod counts;
mod keys;
mod others;
mod sender;
mod settings;
mod window;

#[cfg(test)]
mod tests;

pub use counts::{Refused, SealCounts};
pub use settings::{AuthMode, Fingerprint, GroupKey, Settings};

use crate::peer::clock::Millis;
use budget::{Budget, RecentNumbers};
use keys::Keys;
use others::{EpochPlace, Others, Proof, Which};
use sender::Sender;
use std::collections::VecDeque;
use std::ops::Range;
use zct_engine::aead::{self, KEY_LEN};
use zct_engine::secret::{Secret, Vault};
use zct_wire::peer::sealed::{
    self, ADDRESSED_LEN, ADDRESSED_OVERHEAD, FrameHeader, FrameKind, HEADER_LEN, NOTE_LEN, Note, OVERHEAD,
    Piece, TAG_LEN,
};

/// How many frames of unknown epochs are looked at: per millisecond, and at most at once. Each costs about as
/// much as receiving it did.
const TRIALS: (u64, u64) = (20, 2000);
/// The same for challenges and answers that are sent.
const NOTES: (u64, u64) = (1, 50);
/// Notes that wait to be sent.
const NOTES_WAITING: usize = 32;
/// An epoch is challenged this often at most while it is unproved, and while it has to prove itself again.
const CHALLENGED_APART_MS: Millis = 200;
const CHALLENGED_AGAIN_APART_MS: Millis = 1000;
/// The same challenge is answered this often at most.
const ANSWERED_APART_MS: Millis = 100;
/// A challenge is good for one to two of these.
const SLOT_MS: Millis = 4000;
/// How long a node has to hear our proof after it has given its own. Its challenge may come after its answer, and
/// not be taken; the next one waits for our next sign of life, which is a second away.
const SETTLED_MS: Millis = 3000;
/// Nodes share counts of their proofs by their numbers; sharing one costs another challenge at worst.
const GENERATIONS: usize = 64;

/// Something for the log, or for the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealHappening {
    /// This node has started, or its keys are others: what came from it until now may have been said before
    /// that, and it knows nothing of what was asked of it then.
    Started(u16),
    /// This node has proved that it is there; what it has said before was not taken.
    Proved(u16),
    /// It has had the time to hear our own proof since then: what it was asked for before, it may not have
    /// taken.
    Settled(u16),
    /// Something was not taken; reported once for each reason.
    Refused(Refused),
}

/// What was in a frame.
enum Opened {
    /// Messages of a node, and where they are.
    Messages(u16, Range<usize>),
    /// A note.
    Note,
    /// Something for another node.
    Others,
}

/// Seals what is sent, and opens what is received.
#[derive(Debug)]
pub struct Seal {
    settings: Settings,
    keys: Keys,
    sender: Sender,
    others: Others,
    notes: VecDeque<Note>,
    trials: Budget,
    answers: Budget,
    asked: RecentNumbers,
    answered: RecentNumbers,
    generations: [u32; GENERATIONS],
    counts: SealCounts,
    happened: VecDeque<SealHappening>,
    /// When which nodes are settled.
    settles: Vec<(Millis, u16)>,
    reported: [bool; Refused::COUNT],
}

impl Seal {
    /// Begins an epoch. `seed` is 32 bytes that nobody can guess and that were never used before; `vault` is
    /// where keys are kept. `None` if `settings` have no key of the number that is active.
    pub fn new(now: Millis, settings: Settings, vault: Vault, seed: Secret) -> Option<Seal> {
        let mut keys = Keys::new(&settings, vault, seed);
        let sender = Sender::new(now, &mut keys, settings.node, settings.active)?;
        Some(Seal {
            settings,
            keys,
            sender,
            others: Others::default(),
            notes: VecDeque::with_capacity(NOTES_WAITING),
            trials: Budget::new(now, TRIALS.0, TRIALS.1),
            answers: Budget::new(now, NOTES.0, NOTES.1),
            asked: RecentNumbers::new(),
            answered: RecentNumbers::new(),
            generations: [0; GENERATIONS],
            counts: SealCounts::default(),
            happened: VecDeque::with_capacity(NOTES_WAITING),
            settles: Vec::with_capacity(others::NODES_MAX),
            reported: [false; Refused::COUNT],
        })
    }

    /// Takes over other keys, another active one, another mode or number. As long as the key in use stays
    /// configured, others are told of the change before, and nothing is lost.
    pub fn reconfigure(&mut self, now: Millis, new: Settings) {
        let stays = self.keys.has_same(self.sender.number(), &new) && self.settings.node == new.node;
        let settled = self.sender.target() == new.active && self.keys.has_same(new.active, &new);
        self.others.reconfigure(&mut self.keys, &new);
        self.keys.reconfigure(&new);
        if !stays || !settled {
            self.sender.renew(now, &mut self.keys, new.node, new.active, stays);
        }
        self.settings = new;
        self.reported = [false; Refused::COUNT];
    }

    /// What it runs with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What has been counted.
    pub fn counts(&self) -> SealCounts {
        self.counts
    }

    /// The number of the key that frames are sealed with now, and how many there were in this epoch.
    pub fn sealing_with(&self) -> (u8, u64) {
        (self.sender.number(), self.sender.counter())
    }

    /// The other nodes that are known to be there.
    pub fn living(&self, now: Millis) -> impl Iterator<Item = u16> + '_ {
        self.others.living(now)
    }

    /// True where keys may be written to swap, because the limit on locked memory is too low.
    pub fn may_be_swapped(&self) -> bool {
        self.keys.may_be_swapped()
    }

    /// True when messages are to be sealed, false when they are to be sent as they are.
    pub fn seals(&self) -> bool {
        self.settings.mode != AuthMode::ReceiveOnly
    }

    /// Does what time asks for.
    pub fn turn(&mut self, now: Millis) {
        self.sender.turn(now, &mut self.keys);
        let happened = &mut self.happened;
        self.settles.retain(|(at, node)| {
            let due = *at <= now;
            if due {
                happened.push_back(SealHappening::Settled(*node));
            }
            !due
        });
    }

    /// When to call [`Seal::turn`] and [`Seal::note`] if nothing happens before.
    pub fn deadline(&self) -> Millis {
        let settles = self.settles.iter().map(|(at, _)| *at).min().unwrap_or(Millis::MAX);
        self.sender.deadline().min(settles)
    }

    /// Takes out what has happened, oldest first.
    pub fn poll(&mut self) -> Option<SealHappening> {
        self.happened.pop_front()
    }

    /// What sealing adds to the messages of a datagram.
    pub fn overhead(&self) -> usize {
        match (self.seals(), self.settings.is_group()) {
            (false, _) => 0,
            (true, false) => OVERHEAD,
            (true, true) => ADDRESSED_OVERHEAD,
        }
    }

    // Out.

    /// Seals the `len` bytes of messages that stand in `frame` from [`HEADER_LEN`] on; returns the length of
    /// the frame. `None` when it does not fit.
    pub fn close(&mut self, frame: &mut [u8], len: usize) -> Option<usize> {
        self.close_as((FrameKind::Data, 0), frame, len)
    }

    fn close_as(&mut self, kind: (FrameKind, u16), frame: &mut [u8], len: usize) -> Option<usize> {
        let whole = self.sender.close(&self.keys, kind, frame, len)?;
        self.counts.sealed += 1;
        Some(whole)
    }

    /// Makes the next datagram: a frame of its own that is due, or what `write` puts into the buffer that it
    /// is given, sealed if that is wanted. `None` when there is nothing to send.
    pub fn fill(
        &mut self,
        now: Millis,
        buf: &mut [u8],
        write: &mut dyn FnMut(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        if let Some(len) = self.note(now, buf) {
            return Some(len);
        }
        if !self.seals() {
            return write(buf);
        }
        let len = write(buf.get_mut(HEADER_LEN..)?)?;
        self.close(buf, len)
    }

    /// As [`Seal::fill`] where several nodes hear what is sent: messages are for the node `to`.
    pub fn fill_for(
        &mut self,
        now: Millis,
        to: u16,
        buf: &mut [u8],
        write: &mut dyn FnMut(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        if let Some(len) = self.note(now, buf) {
            return Some(len);
        }
        let len = write(buf.get_mut(ADDRESSED_LEN..)?)?;
        self.close_as((FrameKind::Addressed, to), buf, len)
    }

    /// Writes the next frame that has no messages in it: a challenge, an answer, an announcement. `None` when
    /// there is nothing to say, or no room for it in `frame`.
    pub fn note(&mut self, now: Millis, frame: &mut [u8]) -> Option<usize> {
        let text = frame.get_mut(HEADER_LEN..HEADER_LEN + NOTE_LEN + TAG_LEN)?.get_mut(..NOTE_LEN)?;
        let note = self.sender.announcement(now).or_else(|| self.notes.pop_front())?;
        text.copy_from_slice(&note.bytes());
        self.close_as((note.kind(), 0), frame, NOTE_LEN)
    }

    // In.

    /// Opens a datagram, or a piece of a stream, and hands over the messages in it.
    pub fn open(&mut self, now: Millis, bytes: &mut [u8], take: &mut dyn FnMut(&[u8])) {
        self.open_from(now, bytes, &mut |_, messages| take(messages));
    }

    /// As [`Seal::open`], with the number of the node that the messages are from; 0 for those without a seal.
    pub fn open_from(&mut self, now: Millis, bytes: &mut [u8], take: &mut dyn FnMut(u16, &[u8])) {
        let mut rest = bytes;
        while let Some(piece) = sealed::next(&mut rest) {
            match piece {
                Piece::Plain(messages) => {
                    if self.settings.mode == AuthMode::Enforce {
                        self.refuse(Refused::Plain);
                    } else {
                        take(0, messages);
                    }
                }
                Piece::Sealed(frame) => match self.frame(now, frame) {
                    Ok(Opened::Messages(node, messages)) => {
                        self.counts.opened += 1;
                        take(node, frame.get(messages).unwrap_or_default());
                    }
                    Ok(Opened::Note) => self.counts.opened += 1,
                    Ok(Opened::Others) => {}
                    Err(why) => self.refuse(why),
                },
            }
        }
    }

    fn refuse(&mut self, why: Refused) {
        self.counts.refuse(why);
        if let Some(reported) = self.reported.get_mut(why as usize) {
            if !std::mem::replace(reported, true) {
                self.happened.push_back(SealHappening::Refused(why));
            }
        }
    }

    /// Opens a frame, and acts on it if it is a note.
    fn frame(&mut self, now: Millis, frame: &mut [u8]) -> Result<Opened, Refused> {
        let h = FrameHeader::read(frame).ok_or(Refused::Malformed)?;
        if h.node == self.settings.node {
            return Err(Refused::OwnNode);
        }
        if self.settings.from.as_ref().is_some_and(|nodes| !nodes.contains(&h.node)) {
            return Err(Refused::Foreign);
        }
        match (h.kind, self.settings.is_group()) {
            // Before anything is decrypted: whoever it is for decides whether it is authentic.
            (FrameKind::Addressed, true) if h.to != self.settings.node => return Ok(Opened::Others),
            // From a node that takes the group for a pair, or takes us for one of several.
            (FrameKind::Data, true) | (FrameKind::Addressed, false) => return Err(Refused::Foreign),
            _ => {}
        }
        if !self.keys.has(h.key) {
            return Err(Refused::UnknownKey);
        }
        let mut place = self.others.find(&h, now);
        let mut fresh = None;
        if let Some(known) = place.and_then(|p| self.others.known(p)) {
            if !known.window.admits(h.counter) {
                return Err(Refused::Repeated);
            }
            unseal(self.keys.get(&known.key), &h, frame)?;
            known.window.take(h.counter, now);
            place = place.map(|p| self.others.advance(p, now, &mut self.keys));
        } else {
            if !self.trials.spend(now) {
                return Err(Refused::Overload);
            }
            let key = self.keys.sender(h.key, h.node, &h.epoch).ok_or(Refused::UnknownKey)?;
            unseal(&key, &h, frame)?;
            fresh = Some(key);
        }
        let text = h.kind.header_len()..frame.len() - TAG_LEN - usize::from(h.padding);
        let known = place.and_then(|p| self.others.known(p));
        let proved = known.as_ref().is_some_and(|k| k.is_proved(now));
        let asks_again = known.is_some_and(|k| k.has_to_prove(now));
        match Note::read(h.kind, frame.get(text.clone()).unwrap_or_default()) {
            None if !matches!(h.kind, FrameKind::Data | FrameKind::Addressed) => Err(Refused::Malformed),
            None if proved => {
                if asks_again {
                    self.challenge(now, &h, CHALLENGED_AGAIN_APART_MS);
                }
                Ok(Opened::Messages(h.node, text))
            }
            // For each frame one at most goes back, and none is longer than this one.
            Some(Note::Challenge { node, epoch, nonce })
                if node == self.settings.node && self.sender.is_own(&epoch) =>
            {
                self.answer(now, &h, nonce);
                Ok(Opened::Note)
            }
            Some(Note::Answer { node, nonce })
                if node == self.settings.node && self.is_due(now, &h, &nonce) =>
            {
                self.proved(now, &h, fresh)
            }
            Some(Note::Successor { key, epoch }) if proved => {
                self.announced(now, place, &h, key, epoch);
                Ok(Opened::Note)
            }
            Some(_) if proved => Ok(Opened::Note),
            None | Some(_) => {
                self.challenge(now, &h, CHALLENGED_APART_MS);
                Err(Refused::Unproved)
            }
        }
    }

    fn push(&mut self, now: Millis, note: Note) {
        if self.notes.len() < NOTES_WAITING && self.answers.spend(now) {
            self.notes.push_back(note);
        }
    }

    fn generation(&mut self, node: u16) -> &mut u32 {
        &mut self.generations[usize::from(node) % GENERATIONS]
    }

    /// Asks the sender of a frame for a proof.
    fn challenge(&mut self, now: Millis, h: &FrameHeader, apart: Millis) {
        let place = self.keys.scatter(&h.epoch);
        if self.asked.is_new(place, now, apart) {
            let generation = *self.generation(h.node);
            let nonce = self.keys.nonce(h.node, &h.epoch, now / SLOT_MS, generation);
            self.push(now, Note::Challenge { node: h.node, epoch: h.epoch, nonce });
        }
    }

    fn answer(&mut self, now: Millis, h: &FrameHeader, nonce: [u8; 16]) {
        let place = self.keys.scatter(&nonce);
        if self.answered.is_new(place, now, ANSWERED_APART_MS) {
            self.push(now, Note::Answer { node: h.node, nonce });
        }
    }

    /// Whether this is what the sender of a frame was asked for lately.
    fn is_due(&mut self, now: Millis, h: &FrameHeader, nonce: &[u8; 16]) -> bool {
        let generation = *self.generation(h.node);
        let slot = now / SLOT_MS;
        [Some(slot), slot.checked_sub(1)].into_iter().flatten().any(|slot| {
            // It is not secret any more, so the time that the comparison takes tells nothing.
            self.keys.nonce(h.node, &h.epoch, slot, generation) == *nonce
        })
    }

    fn proved(
        &mut self,
        now: Millis,
        h: &FrameHeader,
        key: Option<zeroize::Zeroizing<[u8; KEY_LEN]>>,
    ) -> Result<Opened, Refused> {
        let proof = self.others.proved(h, now, key, &mut self.keys).ok_or(Refused::TooManyNodes)?;
        // Whoever has heard the answer cannot use it again.
        let generation = self.generation(h.node);
        *generation = generation.wrapping_add(1);
        self.counts.proofs += 1;
        if proof != Proof::Renewed && self.happened.len() < NOTES_WAITING {
            if proof == Proof::Another {
                self.happened.push_back(SealHappening::Started(h.node));
            }
            self.happened.push_back(SealHappening::Proved(h.node));
            self.settles.retain(|(_, node)| *node != h.node);
            if self.settles.len() < others::NODES_MAX {
                self.settles.push((now + SETTLED_MS, h.node));
            }
        }
        Ok(Opened::Note)
    }

    fn announced(
        &mut self,
        now: Millis,
        place: Option<EpochPlace>,
        h: &FrameHeader,
        number: u8,
        epoch: [u8; 16],
    ) {
        let Some(place) = place.filter(|p| p.which == Which::Current) else { return };
        if let Some(key) = self.keys.sender(number, h.node, &epoch) {
            self.others.announce(place, now, number, epoch, key, &mut self.keys);
        }
    }
}

/// Decrypts the text of a frame in place.
fn unseal(key: &[u8; KEY_LEN], h: &FrameHeader, frame: &mut [u8]) -> Result<(), Refused> {
    let parts = sealed::parts(frame).ok_or(Refused::Malformed)?;
    match aead::open(key, h.counter, parts.header, parts.text, parts.tag) {
        true => Ok(()),
        false => Err(Refused::Forged),
    }
}

const _: () = assert!(OVERHEAD == HEADER_LEN + TAG_LEN);
