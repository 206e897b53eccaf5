//! What a record keeps for the daemon, besides the attributes of its flow.

use super::WheelSlot;
use super::record::{Body, bit};

/// What the daemon knows of a flow besides its attributes. The store keeps it and looks at `dead` only, to
/// count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Bits for the protocol machine, no others than [`Meta::FLAGS`].
    pub flags: u8,
    /// Which sweep has seen it last, modulo [`GENERATIONS`].
    pub generation: u8,
    /// Second of the daemon's clock in which it was stored.
    pub born_s: u32,
    /// Sequence number it was last sent under, or the tick it is due.
    pub aux: u32,
    /// The kernel's id of a local flow; the second of the last message about a peer's.
    pub note: u32,
    /// Slot of the timer wheel.
    pub slot: WheelSlot,
}

impl Meta {
    /// Flag: the flow has ended and waits for the peer to know. Such records are not counted as flows.
    pub const DEAD: u8 = 1;
    /// All the flags there is room for.
    pub const FLAGS: u8 = (bit::META >> bit::META_SHIFT) as u8;
}

/// Generations are counted modulo this.
pub const GENERATIONS: u8 = (bit::GENERATION >> bit::GENERATION_SHIFT) as u8 + 1;

impl Body {
    #[inline]
    pub(super) fn meta(&self) -> Meta {
        Meta {
            flags: ((self.bits & bit::META) >> bit::META_SHIFT) as u8,
            generation: ((self.bits & bit::GENERATION) >> bit::GENERATION_SHIFT) as u8,
            born_s: self.born_s,
            aux: self.aux,
            note: self.note,
            slot: self.slot,
        }
    }

    #[inline]
    pub(super) fn set_meta(&mut self, m: Meta) {
        debug_assert!(m.flags & !Meta::FLAGS == 0, "flags that nothing keeps");
        self.bits = self.bits & !(bit::META | bit::GENERATION)
            | u32::from(m.flags & Meta::FLAGS) << bit::META_SHIFT
            | u32::from(m.generation % GENERATIONS) << bit::GENERATION_SHIFT;
        (self.born_s, self.aux, self.note, self.slot) = (m.born_s, m.aux, m.note, m.slot);
    }
}
