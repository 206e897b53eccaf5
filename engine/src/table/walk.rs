//! One reader of the table: a program with its memory, run for a range of buckets at a time.

use super::btf::Writer;
use super::entry::{Clock, Entry};
use super::layout::Layout;
use super::locate::{TablePlace, refused};
use super::program::{Assembler, Copied, LANES, failed, field, record, stride};
use super::select::Selection;
use super::turn::WalkProgram;
use crate::sys::bpf::{Functions, Kind, Shared, load, load_btf};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

/// Bytes of the memory that a program fills in one run: enough for 1,700 entries, and little enough to stay
/// in the processor's cache until they are rendered.
pub(crate) const ROOM: usize = 1 << 20;
/// Turns after which a run begins no new group: about half a millisecond, in which this processor does not
/// change to another task.
const TURNS: u32 = 4096;
/// Groups that may be read again in one run. In a storm of changes it is one in hundreds.
const REDO_MAX: u32 = 2_000;

/// Why a run did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// The table is not where it was.
    Gone,
    /// Its entries move faster than they can be read.
    Restless,
    /// Its chains are too long.
    Long,
    /// The kernel does not run the program.
    Refused,
}

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stuck::Gone => "the table is no longer where it was",
            Stuck::Restless => "its entries change faster than they can be read",
            Stuck::Long => "its chains are too long",
            Stuck::Refused => "the kernel does not run the program",
        })
    }
}

/// What the witness tells of a run: a bucket at which an entry was found before the run read anything, and
/// again when it had read everything.
///
/// A run is within one grace period, so an array that is replaced meanwhile is neither freed nor used again
/// before its end: one that had an entry at both times was the table at both. And a resize empties the buckets
/// of the old array in their order, so those after one that has an entry are untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing.
    Nothing,
    /// It was the table when the run began. Some of its buckets may have been emptied during the run.
    Table,
    /// It was the table, and no bucket that was read had been emptied.
    Whole,
}

/// A loaded program.
#[derive(Debug)]
pub(crate) struct Walker {
    memory: Shared,
    program: OwnedFd,
    hz: u32,
    copied: Copied,
    stride: usize,
    /// A bucket that has an entry, as far as is known.
    witness: Option<u32>,
    /// What that tells of the last run.
    told: Told,
    /// Where the records of the last run are, in the order of the table.
    order: Vec<u32>,
    /// Of one group's entries the address, and the bucket above the place of the record.
    group: Vec<(u64, u64)>,
}

impl Walker {
    /// Loads the walk, into new memory or into that which was used to find the table.
    ///
    /// # Errors
    /// Words for `--explain`, with the end of what the kernel's verifier says of a program that it refuses.
    pub(crate) fn new(layout: &Layout, memory: Shared) -> Result<Walker, String> {
        let copied = Copied::Everything;
        let program = assemble(layout, &memory, None, copied)?;
        let hz = crate::ticks_a_second().ok_or("the kernel's clock is not known")?;
        let stride = stride(layout, copied);
        let (order, group) = (Vec::new(), Vec::new());
        let told = Told::Nothing;
        Ok(Walker { memory, program, hz, copied, stride, witness: None, told, order, group })
    }

    /// Another one that reads the same selection of the same table, with memory of its own.
    ///
    /// # Errors
    /// As [`Walker::new`].
    pub(crate) fn another(&self, layout: &Layout, selection: Option<&Selection>) -> Result<Walker, String> {
        self.with(layout, selection, self.copied)
    }

    /// One that copies only the places of these entries, for a count.
    ///
    /// # Errors
    /// As [`Walker::new`].
    pub(crate) fn counting(&self, layout: &Layout, selection: &Selection) -> Result<Walker, String> {
        self.with(layout, Some(selection), Copied::Place)
    }

    fn with(&self, layout: &Layout, selection: Option<&Selection>, copied: Copied) -> Result<Walker, String> {
        let memory = Shared::new(ROOM).map_err(|e| refused(&e))?;
        let program = assemble(layout, &memory, selection, copied)?;
        let (order, group) = (Vec::new(), Vec::new());
        Ok(Walker { memory, program, copied, stride: stride(layout, copied), order, group, ..*self })
    }

    /// The memory, for other programs between runs.
    pub(crate) fn memory(&mut self) -> &mut Shared {
        &mut self.memory
    }

    /// Copies only the entries that may be selected from now on.
    ///
    /// # Errors
    /// Words for `--explain`; then all entries are copied as before.
    pub(crate) fn select(&mut self, layout: &Layout, selection: &Selection) -> Result<(), String> {
        self.program = assemble(layout, &self.memory, Some(selection), self.copied)?;
        Ok(())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.memory.bytes_mut().get_mut(at..at.saturating_add(bytes.len())) {
            room.copy_from_slice(bytes);
        }
    }

    fn word(&self, at: usize) -> u32 {
        self.memory.bytes().get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
    }

    /// Reads entries from bucket `from` on, up to `to` or as far as there is room; returns where to go on.
    /// Both are multiples of eight.
    ///
    /// # Errors
    /// [`Stuck`]; no record of this run counts then.
    pub(crate) fn run(&mut self, place: &TablePlace, from: u32, to: u32) -> Result<u32, Stuck> {
        let witness = self.witness.filter(|at| *at < place.buckets);
        let address = witness.map_or(0, |at| place.table.wrapping_add(u64::from(at) * 8));
        self.told = Told::Nothing;
        self.order.clear();
        self.put(field::TABLE, &place.table.to_ne_bytes());
        self.put(field::WITNESS, &address.to_ne_bytes());
        self.put(field::NET, &place.net.to_ne_bytes());
        for (at, value) in [
            (field::NEXT, from),
            (field::END, to),
            (field::USED, field::RECORDS as u32),
            (field::LIMIT, TURNS),
            (field::REDONE, 0),
            (field::REDO_MAX, REDO_MAX),
            (field::FAILED, 0),
            (field::MET, 0),
        ] {
            self.put(at, &value.to_ne_bytes());
        }
        self.memory.run(self.program.as_fd(), Kind::RawTracepoint).map_err(|_| Stuck::Refused)?;
        match self.word(field::FAILED) {
            0 => {
                self.arrange();
                if self.word(field::SEEN_BEFORE) == 1 && self.word(field::SEEN_AFTER) == 1 {
                    self.told = if witness < Some(from) { Told::Whole } else { Told::Table };
                }
                // The last entry is in front of all that the next run of a pass will read.
                self.witness = self.last_bucket().or(self.witness);
                Ok(self.word(field::NEXT))
            }
            failed::REDONE => Err(Stuck::Restless),
            failed::FULL => Err(Stuck::Long),
            _ => Err(Stuck::Gone),
        }
    }

    /// Puts the entries of each group in the order of their buckets, as in a dump, and leaves out those that
    /// came twice. That happens when an entry is used again in the chain that is being followed: it is put in
    /// front, and the chain is gone through once more.
    fn arrange(&mut self) {
        let records = self.memory.bytes().get(..self.word(field::USED) as usize).unwrap_or_default();
        let mut at = field::RECORDS;
        while at < records.len() {
            self.group.clear();
            let mut group = None;
            while let Some(record) = records.get(at..at + self.stride) {
                let (address, bucket) = place(record);
                if group.is_some_and(|g| g != bucket / LANES as u32) {
                    break;
                }
                group = Some(bucket / LANES as u32);
                // A record whose address is 0 does not count.
                if address != 0 {
                    self.group.push((address, u64::from(bucket) << 32 | at as u64));
                }
                at += self.stride;
            }
            if group.is_none() {
                return;
            }
            if any_twice(&self.group) {
                self.group.sort_unstable();
                self.group.dedup_by_key(|(address, _)| *address);
            }
            self.group.sort_unstable_by_key(|(_, place)| *place);
            self.order.extend(self.group.iter().map(|(_, place)| *place as u32));
        }
    }

    /// The bucket of the last entry of the last run.
    fn last_bucket(&self) -> Option<u32> {
        let record = self.memory.bytes().get(*self.order.last()? as usize..)?;
        Some(place(record.get(..self.stride)?).1)
    }

    /// True when the last run came across any entry at all, of whatever namespace.
    pub(crate) fn met_any(&self) -> bool {
        self.word(field::MET) != 0
    }

    /// What the witness tells of the last run.
    pub(crate) fn told(&self) -> Told {
        self.told
    }

    /// From now on this bucket is the witness, which has an entry; or none is, as the table has been resized and
    /// entries are at other buckets.
    pub(crate) fn set_witness(&mut self, bucket: Option<u32>) {
        self.witness = bucket;
    }

    /// The clock at the beginning of the last run.
    pub(crate) fn clock(&self) -> Clock {
        let jiffies = self.memory.bytes().get(field::JIFFIES..).and_then(|b| b.first_chunk());
        Clock { jiffies: jiffies.map_or(0, |b| u64::from_ne_bytes(*b)), hz: self.hz }
    }

    /// The entries of the last run, in the order of the table.
    pub(crate) fn entries<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let record =
            |at: &u32| self.memory.bytes().get(*at as usize..(*at as usize).saturating_add(self.stride));
        self.order.iter().filter_map(record).map(|bytes| Entry::new(layout, bytes))
    }
}

/// True when an address may be in the group more than once. Nearly all groups are so small that to compare each with each
/// takes less time than to sort them.
fn any_twice(group: &[(u64, u64)]) -> bool {
    /// Entries up to which that is so.
    const FEW: usize = 32;
    group.len() > FEW
        || group.iter().enumerate().any(|(n, (one, _))| group.iter().take(n).any(|(other, _)| other == one))
}

/// Address and bucket of a record.
fn place(record: &[u8]) -> (u64, u32) {
    let address = record.get(record::ADDR..).and_then(|b| b.first_chunk());
    let bucket = record.get(record::BUCKET..).and_then(|b| b.first_chunk());
    (address.map_or(0, |b| u64::from_ne_bytes(*b)), bucket.map_or(0, |b| u32::from_ne_bytes(*b)))
}

const _: () = assert!(LANES == 8, "a run begins and ends at multiples of eight");

/// Makes the walk over this memory and loads it.
fn assemble(
    layout: &Layout,
    memory: &Shared,
    select: Option<&Selection>,
    copied: Copied,
) -> Result<OwnedFd, String> {
    let assembler = Assembler { layout, map: memory.map().as_raw_fd(), room: ROOM, copied };
    load_walk(&assembler.walk(select).ok_or("the program cannot be assembled")?)
}

/// Loads the walk with the type information that a program of two functions needs.
fn load_walk(program: &WalkProgram) -> Result<OwnedFd, String> {
    let mut types = Writer::default();
    let int = types.int();
    let (main, turn) = (types.proto(int, 1), types.proto(int, 2));
    let main = types.func("walk", main, true);
    let turn = types.func("turn", turn, false);
    let btf = load_btf(&types.finish()).map_err(|e| refused(&e))?;
    let info = [[0, main], [u32::try_from(program.second).unwrap_or(0), turn]];
    let functions = Some(Functions { btf: btf.as_fd(), info: &info });
    load(Kind::RawTracepoint, &program.code, functions, None, &mut []).map_err(|e| {
        let mut text = refused(&e);
        if e.raw_os_error() != Some(libc::EPERM) {
            let mut log = vec![0; 1 << 22];
            _ = load(Kind::RawTracepoint, &program.code, functions, None, &mut log);
            let log = log.split(|b| *b == 0).next().unwrap_or_default();
            let end = log.get(log.len().saturating_sub(2000)..).unwrap_or_default();
            text.push('\n');
            text.push_str(&String::from_utf8_lossy(end));
        }
        text
    })
}
