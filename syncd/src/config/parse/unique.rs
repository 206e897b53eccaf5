//! Lists without repetitions, in the order of first occurrence. They come from files and may be as long as
//! those, so looking up an item does not compare it with all others.

use std::collections::HashSet;
use std::hash::Hash;

/// A list that contains each item once.
#[derive(Debug)]
pub(crate) struct Unique<T> {
    items: Vec<T>,
    seen: HashSet<T>,
}

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Unique { items: Vec::new(), seen: HashSet::new() }
    }
}

impl<T: Clone + Eq + Hash> Unique<T> {
    /// Adds an item; false if it was there already.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        let new = self.seen.insert(item.clone());
        if new {
            self.items.push(item);
        }
        new
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_order_and_are_there_once() {
        let mut list = Unique::default();
        assert!(list.is_empty());
        assert_eq!(["b", "a", "b", "c", "a"].map(|s| list.insert(s)), [true, true, false, true, false]);
        assert_eq!(list.into_vec(), ["b", "a", "c"]);
    }
}
