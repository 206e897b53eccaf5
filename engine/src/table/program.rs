//! What programs and this process have in common: the memory that they share, and where everything is in it.
//!
//! All state is in the shared memory: the kernel's verifier then has to look at a turn once, whatever came
//! before, and this process reads the results where they are.

use super::layout::Layout;

/// Chains that are followed side by side.
pub(crate) const LANES: usize = 8;

/// Bytes of a chain's own record; a power of two.
pub(crate) const SCRATCH_BYTES: usize = 512;

/// Where the fields of the shared memory are, in bytes from its beginning.
pub(crate) mod field {
    /// In: address of the table, an array of pointers.
    pub(crate) const TABLE: usize = 0;
    /// In: the namespace whose entries are copied.
    pub(crate) const NET: usize = 8;
    /// In and out: the next bucket to read; a multiple of eight.
    pub(crate) const NEXT: usize = 16;
    /// In: the bucket to stop at.
    pub(crate) const END: usize = 20;
    /// In and out: where the next record goes, from the beginning of the memory.
    pub(crate) const USED: usize = 24;
    /// In: no new group is begun after this many turns.
    pub(crate) const LIMIT: usize = 28;
    /// Out: the kernel's clock in ticks.
    pub(crate) const JIFFIES: usize = 32;
    /// In and out: how many groups were read again.
    pub(crate) const REDONE: usize = 40;
    /// In: how many may be.
    pub(crate) const REDO_MAX: usize = 44;
    /// Out: why the walk cannot go on; 0 while it can.
    pub(crate) const FAILED: usize = 48;
    /// What USED was at the beginning of the group.
    pub(crate) const GROUP_USED: usize = 52;
    /// 1 while a group is being read.
    pub(crate) const OPEN: usize = 56;
    /// 1 when the group has to be read again.
    pub(crate) const DIRTY: usize = 60;
    /// The chain that a turn is about.
    pub(crate) const LANE: usize = 64;
    /// 1 when the extensions of this round's entries have been touched.
    pub(crate) const TOUCHED: usize = 68;
    /// Bit n: chain n has an entry that is still to be looked at in this round; bit 8 + n: at its reply
    /// direction.
    pub(crate) const LIVE: usize = 72;
    /// Out: the first bucket of the last group in which there was any entry at all, whoever's, plus one; 0
    /// for none.
    pub(crate) const MET: usize = 80;
    /// How many rounds the group has taken.
    pub(crate) const ROUNDS: usize = 76;
    /// Bit n: the entry of chain n is wanted, and still to be checked in this round.
    pub(crate) const CHOSEN: usize = 84;
    /// In: address of the bucket of the witness; 0 for none.
    pub(crate) const WITNESS: usize = 88;
    /// Out: 1 if that had an entry when the run began, and when it ended.
    pub(crate) const SEEN_BEFORE: usize = 96;
    /// See [`SEEN_BEFORE`].
    pub(crate) const SEEN_AFTER: usize = 100;
    /// For each chain, the address of the next entry or the marker.
    pub(crate) const NEXTS: usize = 128;
    /// For each chain, the record of its entry, if that is wanted.
    pub(crate) const SLOTS: usize = 192;
    /// In and out, for the small programs: an address, and the eight bytes there.
    pub(crate) const PEEK: usize = 256;
    /// In: `struct bpf_sock_tuple`; in and out: `struct bpf_ct_opts`.
    pub(crate) const TUPLE: usize = 264;
    /// See [`TUPLE`].
    pub(crate) const OPTIONS: usize = 304;
    /// What is read once more, to compare.
    pub(crate) const CHECK: usize = 320;
    /// For each chain, the record of its entry while it is checked, when only places leave the kernel.
    pub(crate) const SCRATCH: usize = 1024;
    /// Where records begin.
    pub(crate) const RECORDS: usize = SCRATCH + super::LANES * super::SCRATCH_BYTES;
}

/// A record: where its parts are, in bytes from its beginning.
pub(crate) mod record {
    /// Address of the `nf_conn`.
    pub(crate) const ADDR: usize = 0;
    /// The bucket.
    pub(crate) const BUCKET: usize = 8;
    /// How many bytes of the extensions were copied.
    pub(crate) const EXT_LEN: usize = 12;
    /// 1 when there is a helper.
    pub(crate) const HAS_HELPER: usize = 14;
    /// Name of the helper.
    pub(crate) const HELPER: usize = 16;
    /// Its `to_nlattr` and `data_len`.
    pub(crate) const TO_ATTR: usize = 32;
    pub(crate) const DATA_LEN: usize = 40;
    /// The original tuple of the master.
    pub(crate) const MASTER: usize = 48;
    /// `nf_conn`; the extensions come after it.
    pub(crate) const CONN: usize = 96;
}

/// Bytes of a record that says no more than where an entry is: its address and its bucket.
pub(crate) const PLACE_BYTES: usize = 16;

/// What leaves the kernel of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// All that netlink would say.
    Everything,
    /// Where it was found.
    Place,
}

/// Bytes of an entry's extensions that there is room for; their length is a byte.
pub(crate) const EXT_ROOM: usize = 256;

/// Values of [`field::FAILED`].
pub(crate) mod failed {
    /// Memory of the table cannot be read: it is gone.
    pub(crate) const FAULT: u32 = 1;
    /// Too many groups had to be read again.
    pub(crate) const REDONE: u32 = 2;
    /// Eight chains do not fit the memory.
    pub(crate) const FULL: u32 = 3;
}

/// Where the extensions are in a record.
pub(crate) fn ext_at(l: &Layout) -> usize {
    record::CONN + l.conn.size.next_multiple_of(8)
}

/// The length of a record, and the distance from one to the next.
pub(crate) fn stride(l: &Layout, copied: Copied) -> usize {
    match copied {
        Copied::Everything => ext_at(l) + EXT_ROOM,
        Copied::Place => PLACE_BYTES,
    }
}

/// Assembles programs for one kernel and one piece of shared memory.
#[derive(Clone, Copy)]
pub(crate) struct Assembler<'a> {
    pub(crate) layout: &'a Layout,
    /// The map's descriptor.
    pub(crate) map: i32,
    /// Bytes of the shared memory.
    pub(crate) room: usize,
    /// What the walk copies.
    pub(crate) copied: Copied,
}
