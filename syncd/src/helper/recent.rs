//! What has been noted in flows a moment ago.
//!
//! A packet carries the private data that its flow had when the kernel queued it. If it was queued before the verdict
//! on the packet before it, that is less than what is known by now: of a client that does not wait for the answer to
//! one command before it sends the next, say. So the last note of a flow is kept here for a while.

use zct_helpers::{Ends, Private};

/// How many flows are remembered; a power of two. Of two that share a place the later one stays.
const PLACES: usize = 1024;
/// How many earlier states of a flow are told from what another program may have written.
const EARLIER: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Note {
    id: u32,
    original: Ends,
    last: Private,
    /// Sums of what was noted before, the newest first.
    earlier: [u64; EARLIER],
}

/// The notes of the latest flows.
///
/// # Allocation
/// Once, when it is made.
#[derive(Debug)]
pub(super) struct Recent {
    notes: Box<[Option<Note>]>,
}

impl Recent {
    pub(super) fn new() -> Recent {
        Recent { notes: vec![None; PLACES].into() }
    }

    /// The private data of a flow by now, where a packet was told of `told`. `id` is the kernel's (CTA_ID), which says
    /// in all likelihood that it is the same flow.
    pub(super) fn now(&self, id: u32, original: &Ends, told: Private) -> Private {
        match self.notes.get(place(id)) {
            Some(Some(note)) if note.is_of(id, original) && note.earlier.contains(&sum(&told)) => note.last,
            _ => told,
        }
    }

    /// Keeps what is noted in a flow from now on; `told` is what the packet was told.
    pub(super) fn note(&mut self, id: u32, original: &Ends, told: &Private, last: &Private) {
        let Some(place) = self.notes.get_mut(place(id)) else { return };
        let before = place.filter(|note| note.is_of(id, original));
        let mut earlier = before.map_or([sum(told); EARLIER], |note| note.earlier);
        if let Some(before) = before {
            earlier.rotate_right(1);
            earlier[0] = sum(&before.last);
        }
        *place = Some(Note { id, original: *original, last: last.settled(), earlier });
    }

    /// Forgets a flow: another one begins that has the same addresses, and may have its place in memory.
    pub(super) fn forget(&mut self, id: u32) {
        if let Some(place) = self.notes.get_mut(place(id)) {
            *place = None;
        }
    }
}

impl Note {
    fn is_of(&self, id: u32, original: &Ends) -> bool {
        self.id == id && self.original == *original
    }
}

fn place(id: u32) -> usize {
    id as usize % PLACES
}

/// FNV-1a.
fn sum(private: &Private) -> u64 {
    private
        .bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_helpers::Addr;

    fn private(n: u32) -> Private {
        Private::received(Some(&n.to_ne_bytes()), 4).unwrap()
    }

    fn flow(port: u16) -> Ends {
        Ends::new(6, (Addr::V4([10, 1, 0, 2]), port), (Addr::V4([10, 2, 0, 2]), 21)).unwrap()
    }

    #[test]
    fn packets_that_were_queued_before_a_verdict_are_told_by_it() {
        let mut recent = Recent::new();
        let of = flow(1000);
        assert_eq!(recent.now(7, &of, private(0)), private(0));
        for n in 0..5 {
            recent.note(7, &of, &private(n), &private(n + 1));
            for told in 0..=n {
                assert_eq!(recent.now(7, &of, private(told)), private(n + 1), "{told}");
            }
            assert_eq!(recent.now(7, &of, private(n + 1)), private(n + 1));
        }
        // What was never noted here is another program's.
        assert_eq!(recent.now(7, &of, private(99)), private(99));
        // Another flow, by its addresses or by its number.
        assert_eq!(recent.now(7, &flow(1001), private(0)), private(0));
        assert_eq!(recent.now(7 + PLACES as u32, &of, private(0)), private(0));
        recent.forget(7);
        assert_eq!(recent.now(7, &of, private(0)), private(0));
    }

    #[test]
    fn a_place_is_of_the_flow_that_came_last() {
        let mut recent = Recent::new();
        recent.note(7, &flow(1000), &private(0), &private(1));
        recent.note(7 + PLACES as u32, &flow(1001), &private(0), &private(2));
        assert_eq!(recent.now(7, &flow(1000), private(0)), private(0));
        assert_eq!(recent.now(7 + PLACES as u32, &flow(1001), private(0)), private(2));
    }

    #[test]
    fn what_is_kept_does_not_count_as_changed() {
        let (mut recent, mut changed) = (Recent::new(), private(0));
        changed.set_number(0, 5);
        recent.note(7, &flow(1000), &private(0), &changed);
        let now = recent.now(7, &flow(1000), private(0));
        assert_eq!((now.number(0), now.is_changed()), (5, false));
    }
}
