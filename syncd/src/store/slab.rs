//! Slots of one size in chunks that never move.

/// Slots per chunk: 64 KiB of the smallest record, so that growth costs one allocation and no copying.
const CHUNK: usize = 1024;
/// Marks the end of a free list or a chain.
pub(crate) const NIL: u32 = u32::MAX;
/// The most slots that a slab can have; the remaining numbers are needed for a class bit and [`NIL`].
pub(crate) const SLOTS_MAX: usize = 0x7fff_ffff;

/// What can be kept in a [`Slab`]: a free slot stores the number of the next free one in its own bytes.
pub(crate) trait Slot: Default {
    /// A free slot that points to the next one.
    fn free(next: u32) -> Self;
    /// The next free slot that a free slot points to; `None` when the slot is taken.
    fn next_free(&self) -> Option<u32>;
}

/// A growing array of slots with a free list. Until they are removed, slots keep their numbers and their
/// places. Only [`Slab::clear`] frees memory: a table that was once large will be so again.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    // Slots ever handed out; those below it are taken or in the free list.
    used: usize,
    free: u32,
    len: usize,
}

impl<T: Slot> Slab<T> {
    pub(crate) fn new() -> Self {
        Slab { chunks: Vec::new(), used: 0, free: NIL, len: 0 }
    }

    /// Number of slots that are taken.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Only numbers below this can be taken; for walks.
    pub(crate) fn end(&self) -> u32 {
        self.used as u32
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        self.chunks.iter().map(|c| c.capacity() * size_of::<T>()).sum::<usize>()
            + self.chunks.capacity() * size_of::<Vec<T>>()
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        let at = at as usize;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK).filter(|s| s.next_free().is_none())
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let at = at as usize;
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK).filter(|s| s.next_free().is_none())
    }

    /// Puts `value` into a free slot, or into a new one; `None` when there are no more numbers.
    pub(crate) fn insert(&mut self, value: T) -> Option<u32> {
        let at = if self.free == NIL { self.used as u32 } else { self.free };
        let (chunk, slot) = (at as usize / CHUNK, at as usize % CHUNK);
        if self.free == NIL {
            if self.used >= SLOTS_MAX {
                return None;
            }
            if chunk == self.chunks.len() {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            self.chunks.get_mut(chunk)?.push(value);
            self.used += 1;
        } else {
            let slot = self.chunks.get_mut(chunk)?.get_mut(slot)?;
            self.free = slot.next_free().unwrap_or(NIL);
            *slot = value;
        }
        self.len += 1;
        Some(at)
    }

    /// Frees a slot, and returns what was in it.
    pub(crate) fn remove(&mut self, at: u32) -> Option<T> {
        let next = self.free;
        let slot = self.get_mut(at)?;
        let old = core::mem::replace(slot, T::free(next));
        self.free = at;
        self.len -= 1;
        Some(old)
    }

    /// Frees every slot, and the memory.
    pub(crate) fn clear(&mut self) {
        *self = Slab::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Word(Option<u32>, u32);

    impl Slot for Word {
        fn free(next: u32) -> Self {
            Word(Some(next), 0)
        }
        fn next_free(&self) -> Option<u32> {
            self.0
        }
    }

    #[test]
    fn slots_are_reused_last_freed_first_and_do_not_move() {
        let mut s = Slab::new();
        let at: Vec<_> = (0..3000).map(|n| s.insert(Word(None, n)).unwrap()).collect();
        assert_eq!(at, (0..3000).collect::<Vec<_>>());
        assert_eq!(s.remove(5), Some(Word(None, 5)));
        assert_eq!(s.remove(2000), Some(Word(None, 2000)));
        assert_eq!((s.remove(5), s.get(5), s.len()), (None, None, 2998));
        assert_eq!(s.insert(Word(None, 7)), Some(2000));
        assert_eq!(s.insert(Word(None, 8)), Some(5));
        assert_eq!(s.insert(Word(None, 9)), Some(3000));
        assert_eq!((s.get(2000), s.get(4)), (Some(&Word(None, 7)), Some(&Word(None, 4))));
        assert_eq!((s.get(3001), s.get(NIL), s.end()), (None, None, 3001));
        s.clear();
        assert_eq!((s.len(), s.memory(), s.get(0)), (0, 0, None));
    }
}
