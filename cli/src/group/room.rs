//! How many groups fit in memory.

/// The memory that groups may take: what a small router can spare for a moment, and room for a million
/// addresses.
pub const BYTES: usize = 64 << 20;

/// Bytes of a slot of the index: a place, a hash, and hashbrown's tag.
const SLOT: usize = 9;

/// What an estimate needs for each entry beside the entry itself: a count and a place in a heap.
pub const SAVING_BYTES: usize = 16;

/// How many entries of `entry` bytes fit in `room` bytes together with their index, which has slots to a
/// power of two, seven eighths of them in use at most.
pub fn entries(room: usize, entry: usize) -> usize {
    let fits = |slots: usize| {
        let left = room.checked_sub(slots.checked_mul(SLOT)?)?;
        Some((left / entry).min(slots / 8 * 7))
    };
    (3..usize::BITS - 4).map_while(|bits| fits(1 << bits)).max().unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_addresses_fit() {
        // Three words of counts, and two for an address of either family.
        let n = entries(BYTES, 40);
        assert!((1_000_000..1_500_000).contains(&n), "{n}");
        for entry in [32, 40, 56, 96] {
            let n = entries(BYTES, entry);
            let slots = (n * 8 / 7).next_power_of_two();
            assert!(n * entry + slots * SLOT <= BYTES, "{entry}: {n}");
        }
        assert_eq!(entries(0, 40), 1);
    }
}
