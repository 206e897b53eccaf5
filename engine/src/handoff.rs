//! Passing buffers between two threads, a handful at a time.
//!
//! std's channels would do; they bring 25 KiB of program for capabilities that are not needed here.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue between one sender and one receiver. Either side can close it.
///
/// # Allocation
/// Room for `capacity` items is made once; with more in it, it grows.
#[derive(Debug)]
pub struct Handoff<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Handoff<T> {
    /// An empty queue.
    pub fn new(capacity: usize) -> Handoff<T> {
        let state = State { items: VecDeque::with_capacity(capacity), closed: false };
        Handoff { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A panic of the other side leaves nothing half done: items are moved whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; false when the other side has closed.
    pub fn give(&self, item: T) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.items.push_back(item);
        self.changed.notify_one();
        true
    }

    /// Waits for an item; `None` when there are none and there will be none.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing is added any more; what is there can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}

/// Closes a queue when it goes out of scope, a panic included.
#[derive(Debug)]
pub struct Closing<'a, T>(pub &'a Handoff<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_arrive_in_order_and_closing_is_seen_by_both_sides() {
        let queue = Handoff::new(2);
        std::thread::scope(|s| {
            let taker = s.spawn(|| {
                let mut seen = Vec::new();
                while let Some(n) = queue.take() {
                    seen.push(n);
                }
                seen
            });
            for n in 0..1000 {
                assert!(queue.give(n));
            }
            queue.close();
            assert_eq!(taker.join().unwrap(), (0..1000).collect::<Vec<_>>());
        });
        assert!(!queue.give(1) && queue.take().is_none());
    }
}
