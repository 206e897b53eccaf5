//! A list of a bounded length, without allocation.

/// At most `N` values, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Few<T, const N: usize> {
    items: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// Nothing yet.
    pub const NONE: Few<T, N> = Few { items: [None; N], len: 0 };

    /// Appends a value; false when there is no room for it.
    #[must_use]
    pub fn push(&mut self, item: T) -> bool {
        let Some(place) = self.items.get_mut(self.len) else { return false };
        *place = Some(item);
        self.len = self.len.saturating_add(1);
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().flatten()
    }

    /// The one at this place.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.items.get(at)?.as_ref()
    }
}

impl<T: Copy, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Few::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_as_many_as_it_has_room_for() {
        let mut few: Few<u8, 2> = Few::NONE;
        assert!(few.is_empty() && few.get(0).is_none());
        assert!(few.push(5) && few.push(6) && !few.push(7));
        assert_eq!((few.len(), few.get(1), few.get(2)), (2, Some(&6), None));
        assert!(few.iter().eq(&[5, 6]));
    }
}
