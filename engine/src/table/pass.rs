//! One pass over a part of the table: run after run, each of them checked before its entries count
//! (bpf-table.md §3).
//!
//! When the table is resized, every entry moves. Buckets are in the order of the hash whatever their number,
//! so the pass goes on where it was, in the new table.

use super::ask::Asked;
use super::entry::{Clock, Entry};
use super::flow::Flow;
use super::layout::Layout;
use super::locate::{TableFound, TablePlace, locate};
use super::message::{MESSAGE_MAX, first_message};
use super::walk::{Stuck, Told, Walker};
use crate::dump::End;
use crate::error::{Error, errno};
use crate::request::{Requests, buckets};
use crate::sink::{Lost, Sink};
use std::ops::ControlFlow;
use std::time::Duration;
use zct_wire::consts::{af, ipproto};
use zct_wire::header::CtMsg;
use zct_wire::request::get;
use zct_wire::tuple::{Addr, Tuple};

/// How many resizes a pass follows.
const RESIZES: u32 = 100;
/// How often the table is looked for after a resize.
const ATTEMPTS: usize = 200;
/// Runs that may end without having read a single group.
const IDLE: u32 = 100;
/// How many of the latest entries are remembered at least; up to twice as many are kept. When a table
/// shrinks, entries that were delivered share a bucket with others that are still to come, and are told apart
/// by this.
const RECENT: usize = 1 << 14;

/// A part of the table, as multiples of a share of it: part 1 of 4 is the second quarter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) number: u32,
    pub(crate) of: u32,
}

impl Share {
    /// The buckets of this part. Their number is a multiple of 512, so that parts of 1, 2 or 4 meet at the
    /// same hash in a table of any size.
    fn buckets(self, all: u32) -> (u32, u32) {
        let share = all / self.of;
        (share * self.number, share * (self.number + 1))
    }
}

/// What a pass needs.
pub(crate) struct Pass<'a> {
    layout: &'a Layout,
    walker: &'a mut Walker,
    place: TablePlace,
    /// For questions whose answer shows that no resize is going on.
    requests: Requests,
    next: u32,
    end: u32,
    part: Share,
    recent: Recent,
    resizes: u32,
    /// After a resize, the end of the buckets of which some entries have been delivered.
    shared_end: u32,
    delivered: bool,
}

/// Entries that have been delivered, by bucket and address, in the order of the buckets.
#[derive(Debug, Default)]
struct Recent {
    entries: Vec<(u32, u64)>,
    /// The first bucket of which everything is remembered.
    from: u32,
}

impl Recent {
    fn add(&mut self, bucket: u32, address: u64) {
        self.entries.push((bucket, address));
    }

    fn has(&self, address: u64) -> bool {
        self.entries.iter().any(|(_, a)| *a == address)
    }

    /// Forgets the oldest entries when there are too many. Called between runs, when no bucket is half read.
    fn trim(&mut self) {
        if self.entries.len() > 2 * RECENT {
            let old = self.entries.len() - RECENT;
            // The entries of a group of eight buckets come in any order.
            self.from = self.entries.iter().take(old).map(|(b, _)| b | 7).max().map_or(0, |b| b + 1);
            self.entries.drain(..old);
        }
    }
}

impl<'a> Pass<'a> {
    /// Begins a pass.
    ///
    /// # Errors
    /// Words for `--explain`.
    pub(crate) fn new(
        layout: &'a Layout,
        walker: &'a mut Walker,
        place: TablePlace,
        part: Share,
    ) -> Result<Pass<'a>, String> {
        let requests = Requests::open().map_err(|e| format!("netlink: {e}"))?;
        let (next, end) = part.buckets(place.buckets);
        let recent = Recent { entries: Vec::new(), from: next };
        let (resizes, shared_end, delivered) = (0, 0, false);
        Ok(Pass { layout, walker, place, requests, next, end, part, recent, resizes, shared_end, delivered })
    }

    /// Reads the part to its end.
    ///
    /// # Errors
    /// Why it does not work, if nothing has been handed to the sink yet. Otherwise the sink is told of the
    /// loss.
    pub(crate) fn read(&mut self, sink: &mut dyn Sink) -> Result<End, String> {
        let mut buf = [0; MESSAGE_MAX];
        let mut asked = Asked::default();
        let ended = self.each(&mut |entry, clock| deliver(entry, clock, &mut buf, &mut asked, sink));
        match ended {
            // It is too late to read by netlink.
            Err(_) if self.delivered => {
                sink.lost(Lost::Unread);
                Ok(End::Done)
            }
            ended => ended,
        }
    }

    /// Counts the entries of the part.
    ///
    /// # Errors
    /// Why it does not work; nothing is known then.
    pub(crate) fn count(&mut self) -> Result<u64, String> {
        let mut count = 0;
        self.each(&mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Hands over every entry of the part, once each.
    fn each(&mut self, take: &mut dyn FnMut(&Entry<'_>, Clock) -> ControlFlow<()>) -> Result<End, String> {
        let mut idle = 0;
        while self.next < self.end {
            let from = self.next & !7;
            let judged = match self.has_its_number() {
                true => (self.walker.run(&self.place, from, self.end), self.judge()?),
                false => (Err(Stuck::Gone), Judged::Moved),
            };
            let next = match judged {
                (_, Judged::Ended) => return Ok(End::Done),
                (Ok(next), Judged::Read) => next,
                (Ok(_), Judged::Again) => from,
                (_, Judged::Moved) | (Err(Stuck::Gone), _) => match self.follow()? {
                    true => continue,
                    false => return Ok(End::Done),
                },
                // An array that was freed may have been anything meanwhile.
                (Err(why), _) => match self.find_again()? {
                    None => return Ok(End::Done),
                    Some((place, _)) if place != self.place => match self.follow()? {
                        true => continue,
                        false => return Ok(End::Done),
                    },
                    Some(_) if idle > 0 => return Err(why.to_string()),
                    Some(_) => from,
                },
            };
            idle = if next > from { 0 } else { idle + 1 };
            if idle > IDLE {
                return Err(Stuck::Restless.to_string());
            }
            let clock = self.walker.clock();
            for entry in self.walker.entries(self.layout) {
                let (address, bucket) = entry.place();
                // After a resize, a run begins at a multiple of eight, which may lie before the part that is
                // left; and the first may be shared with what has been delivered.
                if bucket < self.next || bucket < self.shared_end && self.recent.has(address) {
                    continue;
                }
                self.recent.add(bucket, address);
                self.delivered = true;
                if take(&entry, clock).is_break() {
                    return Ok(End::Stopped);
                }
            }
            self.recent.trim();
            self.next = self.next.max(next);
        }
        Ok(End::Done)
    }

    /// True when the table has as many buckets as were counted on.
    fn has_its_number(&self) -> bool {
        buckets() == Some(u64::from(self.place.buckets))
    }

    /// Whether what the last run read counts. The number of buckets was right before it, and has to be right
    /// now. A witness that tells of the whole run is enough then. Without one, no resize was going on while the
    /// run read: a lookup waits for the end of one, and a table that was resized has another number of buckets.
    /// It has the same number again after two resizes; but then the array that was read was empty, so a run that
    /// finds nothing is to be shown to have read the table, and is made once more with a witness.
    fn judge(&mut self) -> Result<Judged, String> {
        let is_whole = self.walker.told() == Told::Whole;
        if !is_whole {
            self.settle()?;
        }
        if !self.has_its_number() {
            return Ok(Judged::Moved);
        }
        if is_whole || self.walker.met_any() || self.walker.told() == Told::Table {
            return Ok(Judged::Read);
        }
        match self.find_again()? {
            None => Ok(Judged::Ended),
            Some((place, Some(bucket))) if place == self.place => {
                self.walker.set_witness(Some(bucket));
                Ok(Judged::Again)
            }
            Some((place, None)) if place == self.place => Ok(Judged::Read),
            Some(_) => Ok(Judged::Moved),
        }
    }

    /// The place at which the table is now, and a bucket that has an entry if one is known. `None` when this
    /// namespace has no flow any more: what has not been read by then is not there.
    fn find_again(&mut self) -> Result<Option<TableFound>, String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            self.settle()?;
            let before = buckets();
            match locate(self.layout, self.walker.memory()) {
                Ok(None) => {
                    // A dump misses flows that are moved meanwhile.
                    self.settle()?;
                    if buckets() == before {
                        return Ok(None);
                    }
                }
                Ok(found) => return Ok(found),
                Err(why) => last = why,
            }
            // Another resize has begun in between, or the flow that was to lead to the table has ended.
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(last)
    }

    /// Returns when no resize is going on.
    fn settle(&mut self) -> Result<(), String> {
        /// Whether there is an answer does not matter: the kernel waits for the end of a resize before it
        /// looks.
        struct Any;
        impl Sink for Any {
            fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
                ControlFlow::Continue(())
            }
            fn lost(&mut self, _: Lost) {}
        }
        let nobody = Some(Addr::V4([0; 4]));
        let tuple = Tuple {
            src: nobody,
            dst: nobody,
            proto: Some(ipproto::UDP),
            src_port: Some(0),
            dst_port: Some(0),
            ..Tuple::default()
        };
        match self.requests.ask(|buf, seq| get(buf, seq, af::INET, Some(&tuple), None, None), &mut Any) {
            Ok(()) | Err(Error::Refused { errno: errno::ENOENT, .. }) => Ok(()),
            Err(e) => Err(format!("netlink: {e}")),
        }
    }

    /// Finds the table again after a resize, and the place in it at which the pass was. False when there is
    /// nothing left to be read.
    fn follow(&mut self) -> Result<bool, String> {
        self.resizes += 1;
        if self.resizes > RESIZES {
            return Err("the table is resized over and over".to_owned());
        }
        let Some((place, witness)) = self.find_again()? else { return Ok(false) };
        self.walker.set_witness(witness);
        let (old, new) = (u64::from(self.place.buckets), u64::from(place.buckets));
        let spot = Spot::after(self.next, self.shared_end, old, new);
        if spot.next < spot.shared_end && spot.from_old < u64::from(self.recent.from) {
            return Err("the table has become too small".to_owned());
        }
        self.recent.rescale(old, new);
        (self.next, self.shared_end) = (spot.next, spot.shared_end);
        self.end = self.part.buckets(place.buckets).1;
        self.place = place;
        Ok(true)
    }
}

/// What is to be made of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// It counts.
    Read,
    /// It may have read an array that was not the table, and is made again.
    Again,
    /// The table is elsewhere.
    Moved,
    /// There is nothing left to be read.
    Ended,
}

/// Where to go on after a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    /// The bucket of the new table.
    next: u32,
    /// The end of those from there on which may have entries that were read in the old table.
    shared_end: u32,
    /// The first bucket of the old table that such entries were in.
    from_old: u64,
}

impl Spot {
    /// The place at which `next` of `old` buckets is when there are `new`; those before `shared_end` had been
    /// read in part. A bucket has the entries whose hash, as a fraction of all hashes, lies between its
    /// number and the one after, as fractions of all buckets.
    fn after(next: u32, shared_end: u32, old: u64, new: u64) -> Spot {
        let bucket = u64::from(next) * new / old;
        Spot {
            next: u32::try_from(bucket).unwrap_or(u32::MAX),
            shared_end: end_in(next.max(shared_end), old, new),
            from_old: bucket * old / new,
        }
    }
}

/// The first bucket of `new` that has only what comes after the first `end` buckets of `old`.
fn end_in(end: u32, old: u64, new: u64) -> u32 {
    u32::try_from((u64::from(end) * new).div_ceil(old)).unwrap_or(u32::MAX)
}

impl Recent {
    /// Counts in the buckets of the new table. Of several that an entry may be in, it is the last.
    fn rescale(&mut self, old: u64, new: u64) {
        for (bucket, _) in &mut self.entries {
            *bucket = end_in(bucket.saturating_add(1), old, new).saturating_sub(1);
        }
        self.from = end_in(self.from, old, new);
    }
}

/// Hands one entry to the sink, as a message unless the sink does without.
fn deliver(
    entry: &Entry<'_>,
    clock: Clock,
    buf: &mut [u8],
    asked: &mut Asked,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    if !entry.needs_netlink() {
        if let Some(goes_on) = sink.unsent(&Flow(*entry, clock)) {
            return goes_on;
        }
    }
    let message = match entry.message(clock, buf) {
        Some(made) if !entry.needs_netlink() => first_message(made),
        Some(made) => first_message(made).and_then(|ours| asked.message(ours)),
        None => None,
    };
    message.map_or(ControlFlow::Continue(()), |message| sink.message(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bucket of a hash: reciprocal_scale() of the kernel.
    fn bucket(hash: u32, of: u64) -> u64 {
        (u64::from(hash) * of) >> 32
    }

    /// A pass over entries that are nothing but hashes, with resizes at any time.
    #[test]
    fn whatever_the_resizes_every_hash_is_read_once() {
        let sizes = [512u64, 1024, 4096, 600_064, 262_144, 5120, 1536];
        let hashes: Vec<u32> = (0..3000u32).map(|n| n.wrapping_mul(0x9e37_79b1)).collect();
        for round in 0..200usize {
            let mut chance = round as u64 + 1;
            let mut random = move |below: u64| {
                chance =
                    chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (chance >> 33) % below
            };
            let mut all = sizes[round % sizes.len()];
            let (mut next, mut shared_end, mut recent) = (0u32, 0u32, Recent::default());
            let mut seen = vec![0; hashes.len()];
            while u64::from(next) < all {
                let end = (u64::from(next) + 1 + random(all / 8)).min(all);
                for (address, hash) in hashes.iter().enumerate() {
                    let bucket = bucket(*hash, all) as u32;
                    let here = bucket >= next && u64::from(bucket) < end;
                    if here && !(bucket < shared_end && recent.has(address as u64)) {
                        recent.add(bucket, address as u64);
                        seen[address] += 1;
                    }
                }
                next = end as u32;
                for _ in 0..random(3) {
                    let new = sizes[random(sizes.len() as u64) as usize];
                    let spot = Spot::after(next, shared_end, all, new);
                    assert!(spot.from_old >= recent.from.into());
                    recent.rescale(all, new);
                    (next, shared_end, all) = (spot.next, spot.shared_end, new);
                }
            }
            assert!(seen.iter().all(|n| *n == 1), "round {round}");
        }
    }

    #[test]
    fn parts_meet_whatever_the_size() {
        for all in [512, 600_064, 1 << 21] {
            for of in [1, 2, 4] {
                let parts: Vec<_> = (0..of).map(|number| Share { number, of }.buckets(all)).collect();
                assert_eq!((parts[0].0, parts[of as usize - 1].1), (0, all));
                assert!(parts.windows(2).all(|w| w[0].1 == w[1].0 && w[1].0 % 8 == 0));
            }
        }
    }

    #[test]
    fn what_is_forgotten_is_known_to_be() {
        let mut recent = Recent::default();
        let last = 2 * RECENT as u32 + 100;
        (0..last).for_each(|n| recent.add(n / 2, u64::from(n)));
        recent.trim();
        assert!(recent.entries.len() == RECENT && !recent.has(0) && recent.has(u64::from(last) - 1));
        let first_kept = recent.entries[0].0;
        assert!(recent.from >= first_kept && recent.from <= (first_kept | 7) + 1);
    }
}
