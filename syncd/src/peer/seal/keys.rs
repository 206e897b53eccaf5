//! Keys made of keys (sealed-peers.md §4).

use super::settings::{GroupKey, Settings};
use zct_engine::aead::{self, KEY_LEN};
use zct_engine::secret::{Secret, Slot, Vault};
use zct_wire::peer::sealed::Epoch;
use zeroize::Zeroizing;

/// The keys that all nodes share, and the memory for those of single senders.
#[derive(Debug)]
pub(super) struct Keys {
    group: Vec<GroupKey>,
    vault: Vault,
    /// The seed of this start's own random numbers.
    seed: Secret,
    /// How many of these were made.
    drawn: u64,
}

impl Keys {
    pub(super) fn new(settings: &Settings, vault: Vault, seed: Secret) -> Keys {
        Keys { group: settings.keys.clone(), vault, seed, drawn: 0 }
    }

    pub(super) fn reconfigure(&mut self, settings: &Settings) {
        self.group.clone_from(&settings.keys);
    }

    /// Whether there is a key of this number, and it is the same as `of` has.
    pub(super) fn has_same(&self, number: u8, of: &Settings) -> bool {
        let key = |keys: &[GroupKey]| keys.iter().find(|k| k.number == number).cloned();
        key(&self.group).is_some_and(|k| Some(k) == key(&of.keys))
    }

    /// The key of a sender in one of its epochs; `None` when there is no group key of this number.
    pub(super) fn sender(&self, number: u8, node: u16, epoch: &Epoch) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let group = self.group.iter().find(|k| k.number == number)?;
        let parts: [&[u8]; 4] = [b"zct seal 1", &[number], &node.to_be_bytes(), epoch];
        Some(Zeroizing::new(aead::derive(group.secret.bytes(), &parts)))
    }

    pub(super) fn has(&self, number: u8) -> bool {
        self.group.iter().any(|k| k.number == number)
    }

    /// A random number that has never been used.
    pub(super) fn draw(&mut self) -> Epoch {
        self.drawn += 1;
        let all = aead::derive(self.seed.bytes(), &[b"epoch", &self.drawn.to_be_bytes()]);
        first_half(&all)
    }

    /// What the epoch of a node has to answer: nobody else can know it, and the next `slot`, or the next
    /// `generation`, has another.
    pub(super) fn nonce(&self, node: u16, epoch: &Epoch, slot: u64, generation: u32) -> [u8; 16] {
        let parts: [&[u8]; 5] =
            [b"nonce", &node.to_be_bytes(), epoch, &slot.to_be_bytes(), &generation.to_be_bytes()];
        first_half(&aead::derive(self.seed.bytes(), &parts))
    }

    /// A number for a place in a table, which nobody can foresee.
    pub(super) fn scatter(&self, what: &[u8]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = aead::derive(self.seed.bytes(), &[b"place", what]);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    pub(super) fn keep(&mut self, mut key: Zeroizing<[u8; KEY_LEN]>) -> Option<Slot> {
        self.vault.keep(&mut key)
    }

    pub(super) fn get(&self, slot: &Slot) -> &[u8; KEY_LEN] {
        self.vault.key(slot)
    }

    pub(super) fn forget(&mut self, slot: Slot) {
        self.vault.forget(slot);
    }

    pub(super) fn may_be_swapped(&self) -> bool {
        self.vault.may_be_swapped()
    }
}

fn first_half(all: &[u8; KEY_LEN]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&all[..16]);
    half
}
