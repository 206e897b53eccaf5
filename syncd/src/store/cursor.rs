//! Where a walk over a store has come to.

/// The position of a walk; the default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    // IPv4 slots are walked first, then IPv6.
    pub(super) v6: bool,
    pub(super) at: u32,
}
