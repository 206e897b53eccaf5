//! What a record holds for the daemon, besides the attributes of its flow.

use super::WheelSlot;
use super::record::{Body, bit};

/// What the daemon keeps about a flow besides its attributes. Of this the store reads only
/// whether the peer counts on the flow: not if it has ended, or was never told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Flags of the protocol machine, all of them within [`Meta::FLAGS`].
    pub flags: u8,
    /// The last sweep that has seen it, modulo [`GENERATIONS`].
    pub generation: u8,
    /// The second on the daemon's clock at which it was stored.
    pub born_s: u32,
    /// The sequence number under which it was last sent, or the tick at which it is due.
    pub seq_or_due: u32,
    /// For a local flow the kernel's id; for a peer's the second of the last message about it.
    pub id_or_heard_s: u32,
    /// Its slot in the timer wheel.
    pub slot: WheelSlot,
}

impl Meta {
    /// Flag: the flow has ended, and the peer has yet to learn that. Such records do not count as flows.
    pub const DEAD: u8 = 1;
    /// Flag: it has a timer entry, or rests.
    pub const ARMED: u8 = 1 << 2;
    /// Flag: it has something to say for which the time has not come.
    pub const WITHHELD: u8 = 1 << 6;
    /// All flags that there is room for.
    pub const FLAGS: u8 = (bit::META >> bit::META_SHIFT) as u8;

    /// True for a flow of which the peer has not been told because it is too young.
    #[inline]
    pub fn is_held(&self) -> bool {
        self.flags & (Meta::WITHHELD | Meta::ARMED) == Meta::WITHHELD
    }
}

/// Generations are counted modulo this number.
pub const GENERATIONS: u8 = (bit::GENERATION >> bit::GENERATION_SHIFT) as u8 + 1;

impl Body {
    #[inline]
    pub(super) fn meta(&self) -> Meta {
        Meta {
            flags: ((self.bits & bit::META) >> bit::META_SHIFT) as u8,
            generation: ((self.bits & bit::GENERATION) >> bit::GENERATION_SHIFT) as u8,
            born_s: self.born_s,
            seq_or_due: self.seq_or_due,
            id_or_heard_s: self.id_or_heard_s,
            slot: self.slot,
        }
    }

    #[inline]
    pub(super) fn set_meta(&mut self, m: Meta) {
        debug_assert!(m.flags & !Meta::FLAGS == 0, "flags that nothing keeps");
        self.bits = self.bits & !(bit::META | bit::GENERATION)
            | u32::from(m.flags & Meta::FLAGS) << bit::META_SHIFT
            | u32::from(m.generation % GENERATIONS) << bit::GENERATION_SHIFT;
        (self.born_s, self.seq_or_due, self.id_or_heard_s, self.slot) =
            (m.born_s, m.seq_or_due, m.id_or_heard_s, m.slot);
    }
}
