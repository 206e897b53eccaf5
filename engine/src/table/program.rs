//! The programs: one that walks the table and copies the entries of one namespace, and small ones that find
//! it (bpf-table.md §2, §3).
//!
//! The walk follows eight chains side by side, so that the processor waits for eight entries at a time. One
//! call of `turn` looks at one entry of one chain. A round takes a turn for each chain that goes on, which
//! copies `nf_conn` and goes on to the next entry, then one for each entry that is wanted, which follows its
//! pointers and checks that it is still the same. When all eight chains have ended, each in its own marker,
//! the group is done; otherwise it is read again.
//!
//! A count needs no copies: the walk then keeps what it checks in a place that belongs to the chain, and only
//! the place at which an entry was found leaves the kernel, so that one that came twice is counted once.
//!
//! All state is in the shared memory: the kernel's verifier then has to look at a turn once, whatever came
//! before, and this process reads the results where they are.

use super::insn::{Alu, Asm, Helper, Kfunc, Label, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Reg, When, Width};
use super::layout::Layout;
use super::select::Selection;
use zct_wire::consts::ips;

/// Chains that are followed side by side.
pub(crate) const LANES: usize = 8;

/// Bytes of a chain's own record; a power of two.
const SCRATCH_BYTES: usize = 512;

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
    pub(super) const GROUP_USED: usize = 52;
    /// 1 while a group is being read.
    pub(super) const OPEN: usize = 56;
    /// 1 when the group has to be read again.
    pub(super) const DIRTY: usize = 60;
    /// The chain that a turn is about.
    pub(super) const LANE: usize = 64;
    /// 1 when the extensions of this round's entries have been touched.
    pub(super) const TOUCHED: usize = 68;
    /// Bit n: chain n has an entry that is still to be looked at in this round; bit 8 + n: at its reply
    /// direction.
    pub(super) const LIVE: usize = 72;
    /// Out: the first bucket of the last group in which there was any entry at all, whoever's, plus one; 0
    /// for none.
    pub(crate) const MET: usize = 80;
    /// How many rounds the group has taken.
    pub(super) const ROUNDS: usize = 76;
    /// Bit n: the entry of chain n is wanted, and still to be checked in this round.
    pub(super) const CHOSEN: usize = 84;
    /// For each chain, the address of the next entry or the marker.
    pub(super) const NEXTS: usize = 128;
    /// For each chain, the record of its entry, if that is wanted.
    pub(super) const SLOTS: usize = 192;
    /// In and out, for the small programs: an address, and the eight bytes there.
    pub(crate) const PEEK: usize = 256;
    /// In: `struct bpf_sock_tuple`; in and out: `struct bpf_ct_opts`.
    pub(crate) const TUPLE: usize = 264;
    /// See [`TUPLE`].
    pub(crate) const OPTIONS: usize = 304;
    /// What is read once more, to compare.
    pub(super) const CHECK: usize = 320;
    /// For each chain, the record of its entry while it is checked, when only places leave the kernel.
    pub(super) const SCRATCH: usize = 1024;
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

/// A chain with more entries than this is not one of the table's. The kernel refuses an entry that would make
/// a chain longer than 100, but a table that was made smaller can have longer ones.
const ROUNDS_MAX: i32 = 1 << 16;

/// Bytes of a record that says no more than where an entry is: its address and its bucket.
const PLACE_BYTES: usize = 16;

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

/// Where the tuples of `nf_conn` end; they are at its beginning.
fn tuples_end(l: &Layout) -> usize {
    l.conn.node + 2 * l.conn.node_size
}

/// The length of a record, and the distance from one to the next.
pub(crate) fn stride(l: &Layout, copied: Copied) -> usize {
    match copied {
        Copied::Everything => ext_at(l) + EXT_ROOM,
        Copied::Place => PLACE_BYTES,
    }
}

/// Instructions, and where the second function begins.
#[derive(Debug)]
pub(crate) struct Program {
    /// `struct bpf_insn`.
    pub(crate) code: Vec<u64>,
    /// In instructions from the beginning.
    pub(crate) second: usize,
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

impl Assembler<'_> {
    /// The program that finds an entry by its tuple and writes its address to [`field::PEEK`], 0 for none.
    pub(crate) fn find(&self, (lookup, release): (Kfunc, Kfunc), ipv6: bool) -> Option<Vec<u64>> {
        let mut a = Asm::default();
        let none = a.label();
        a.map_value(R6, self.map);
        a.store_imm(Width::D, R6, field::PEEK, 0);
        a.copy(R2, R6);
        a.alu(Alu::Add, R2, field::TUPLE as i32);
        a.set(R3, if ipv6 { 36 } else { 12 });
        a.copy(R4, R6);
        a.alu(Alu::Add, R4, field::OPTIONS as i32);
        // The oldest size of the options, which every kernel takes.
        a.set(R5, 12);
        a.call_kfunc(lookup);
        a.jump_if(When::Eq, R0, 0, none);
        a.store(Width::D, R6, field::PEEK, R0);
        a.copy(R1, R0);
        a.call_kfunc(release);
        a.place(none);
        a.set(R0, 2);
        a.exit();
        a.finish()
    }

    /// The program that replaces the address in [`field::PEEK`] by the eight bytes there; its result is not
    /// 0 when they cannot be read.
    pub(crate) fn peek(&self) -> Option<Vec<u64>> {
        let mut a = Asm::default();
        a.map_value(R6, self.map);
        a.load(Width::D, R3, R6, field::PEEK);
        a.set(R2, 8);
        a.copy(R1, R6);
        a.alu(Alu::Add, R1, field::PEEK as i32);
        a.call(Helper::ProbeReadKernel);
        a.exit();
        a.finish()
    }

    /// The program that writes the address of this task to [`field::PEEK`].
    pub(crate) fn task(&self) -> Option<Vec<u64>> {
        let mut a = Asm::default();
        a.map_value(R6, self.map);
        a.call(Helper::GetCurrentTask);
        a.store(Width::D, R6, field::PEEK, R0);
        a.set(R0, 0);
        a.exit();
        a.finish()
    }

    /// The walk. `None` also where only places are copied and `nf_conn` is larger than expected.
    pub(crate) fn walk(&self, select: Option<&Selection>) -> Option<Program> {
        if self.copied == Copied::Place && record::CONN + self.layout.conn.size > SCRATCH_BYTES {
            return None;
        }
        let mut a = Asm::default();
        let turn = a.label();
        a.map_value(R6, self.map);
        a.call(Helper::Jiffies64);
        a.store(Width::D, R6, field::JIFFIES, R0);
        a.store_imm(Width::W, R6, field::LIVE, 0);
        a.store_imm(Width::W, R6, field::CHOSEN, 0);
        a.store_imm(Width::W, R6, field::OPEN, 0);
        a.set(R1, 1 << 23);
        a.function(R2, turn);
        a.set(R3, 0);
        a.set(R4, 0);
        a.call(Helper::Loop);
        a.set(R0, 0);
        a.exit();
        a.place(turn);
        let second = a.position(turn)?;
        Turn::new(self, &mut a, select).emit();
        Some(Program { code: a.finish()?, second })
    }
}

/// The callback of the loop. r6 is the shared memory, r7 the chain that the turn is about.
struct Turn<'a, 'c> {
    of: &'c Assembler<'c>,
    l: &'c Layout,
    a: &'a mut Asm,
    select: Option<&'c Selection>,
    /// What of the selection is about the tuples alone, and the rest of it.
    early: Selection,
    late: Selection,
    /// Ends the turn; the next one is about another chain.
    advance: Label,
    /// Ends the turn; the group will be read again.
    bad: Label,
    /// Ends the loop.
    stop: Label,
}

impl<'a, 'c> Turn<'a, 'c> {
    fn new(of: &'c Assembler<'c>, a: &'a mut Asm, select: Option<&'c Selection>) -> Self {
        let [advance, bad, stop] = [a.label(), a.label(), a.label()];
        let l = of.layout;
        let [early, late] = select.map(|s| s.split(l, tuples_end(l))).unwrap_or_default();
        Turn { of, l, a, select, early, late, advance, bad, stop }
    }

    fn emit(mut self) {
        let [first, touch, second, fault] = [(); 4].map(|()| self.a.label());
        let a = &mut *self.a;
        a.copy(R8, R1);
        a.map_value(R6, self.of.map);
        a.load(Width::W, R7, R6, field::LIVE);
        a.jump_if(When::Set, R7, (1 << LANES) - 1, first);
        a.load(Width::W, R7, R6, field::CHOSEN);
        a.jump_if(When::Ne, R7, 0, second);
        // A round begins, and may be a group's first.
        a.load(Width::W, R1, R6, field::OPEN);
        a.jump_if(When::Ne, R1, 0, touch);
        self.open(fault);
        self.a.place(touch);
        self.touch(fault);
        self.a.place(first);
        self.first();
        self.a.place(second);
        self.second();
        let a = &mut *self.a;
        a.place(self.bad);
        a.store_imm(Width::W, R6, field::DIRTY, 1);
        a.place(self.advance);
        a.set(R0, 0);
        a.exit();
        a.place(fault);
        a.store_imm(Width::W, R6, field::FAILED, failed::FAULT as i32);
        a.place(self.stop);
        a.set(R0, 1);
        a.exit();
    }

    /// True when only places are copied.
    fn counts(&self) -> bool {
        self.of.copied == Copied::Place
    }

    /// The last place at which a record can begin.
    fn last(&self) -> i32 {
        (self.of.room - stride(self.l, self.of.copied)) as i32
    }

    /// Begins a group: reads eight heads. r8 is the number of the turn in this run.
    fn open(&mut self, fault: Label) {
        let a = &mut *self.a;
        a.load(Width::W, R1, R6, field::LIMIT);
        a.jump_if_reg(When::Ge, R8, R1, self.stop);
        a.load(Width::W, R2, R6, field::NEXT);
        a.load(Width::W, R1, R6, field::END);
        a.jump_if_reg(When::Ge, R2, R1, self.stop);
        a.load(Width::W, R1, R6, field::USED);
        a.store(Width::W, R6, field::GROUP_USED, R1);
        a.store_imm(Width::W, R6, field::OPEN, 1);
        a.store_imm(Width::W, R6, field::DIRTY, 0);
        a.store_imm(Width::W, R6, field::ROUNDS, 0);
        a.load(Width::D, R3, R6, field::TABLE);
        a.alu(Alu::Lsh, R2, 3);
        a.alu_reg(Alu::Add, R3, R2);
        self.read(field::NEXTS, R6, 8 * LANES, fault);
    }

    /// Touches the next entry of every chain, without waiting for one after the other, and notes which go
    /// on. When none does, the group ends.
    fn touch(&mut self, fault: Label) {
        let word = self.l.node.dir & !7;
        let a = &mut *self.a;
        a.load(Width::W, R1, R6, field::ROUNDS);
        a.alu(Alu::Add, R1, 1);
        a.store(Width::W, R6, field::ROUNDS, R1);
        a.jump_if(When::Gt, R1, ROUNDS_MAX, fault);
        a.store_imm(Width::W, R6, field::LIVE, 0);
        for lane in 0..LANES {
            let next = self.a.label();
            self.a.load(Width::D, R1, R6, field::NEXTS + 8 * lane);
            self.a.jump_if(When::Set, R1, 1, next);
            self.load64(R1, word);
            self.byte_of(R0, self.l.node.dir);
            let a = &mut *self.a;
            a.alu(Alu::And, R0, 1);
            a.alu(Alu::Lsh, R0, (LANES + lane) as i32);
            a.alu(Alu::Or, R0, 1 << lane);
            a.load(Width::W, R1, R6, field::LIVE);
            a.alu_reg(Alu::Or, R1, R0);
            a.store(Width::W, R6, field::LIVE, R1);
            a.place(next);
        }
        self.a.load(Width::W, R7, R6, field::LIVE);
        let [goes_on, end] = [(); 2].map(|()| self.a.label());
        self.a.store_imm(Width::W, R6, field::TOUCHED, 0);
        self.a.jump_if(When::Ne, R7, 0, goes_on);
        // Each chain must have ended in the marker of its own bucket: otherwise an entry was moved to
        // another chain while it was looked at.
        let a = &mut *self.a;
        let again = a.label();
        a.load(Width::W, R1, R6, field::DIRTY);
        a.jump_if(When::Ne, R1, 0, again);
        for lane in 0..LANES {
            a.load(Width::W, R2, R6, field::NEXT);
            a.alu(Alu::Add, R2, lane as i32);
            a.alu(Alu::Lsh, R2, 1);
            a.alu(Alu::Or, R2, 1);
            a.load(Width::D, R1, R6, field::NEXTS + 8 * lane);
            a.jump_if_reg(When::Ne, R1, R2, again);
        }
        a.load(Width::W, R1, R6, field::NEXT);
        a.alu(Alu::Add, R1, LANES as i32);
        a.store(Width::W, R6, field::NEXT, R1);
        a.jump(end);
        a.place(again);
        a.load(Width::W, R1, R6, field::GROUP_USED);
        a.store(Width::W, R6, field::USED, R1);
        a.load(Width::W, R1, R6, field::REDONE);
        a.alu(Alu::Add, R1, 1);
        a.store(Width::W, R6, field::REDONE, R1);
        a.load(Width::W, R2, R6, field::REDO_MAX);
        a.jump_if_reg(When::Le, R1, R2, end);
        a.store_imm(Width::W, R6, field::FAILED, failed::REDONE as i32);
        a.jump(self.stop);
        a.place(end);
        a.store_imm(Width::W, R6, field::OPEN, 0);
        a.set(R0, 0);
        a.exit();
        a.place(goes_on);
        a.load(Width::W, R1, R6, field::NEXT);
        a.alu(Alu::Add, R1, 1);
        a.store(Width::W, R6, field::MET, R1);
        if self.early.is_everything() {
            self.touch_rest();
        }
    }

    /// Touches the rest of the entries that are at the node of their original direction, since all of it is
    /// going to be copied. r7 is the mask of those that go on.
    fn touch_rest(&mut self) {
        // Without this function the loads would wait for each other.
        if self.l.kfuncs.cast.is_none() {
            return;
        }
        for lane in 0..LANES {
            let next = self.a.label();
            let a = &mut *self.a;
            a.copy(R1, R7);
            a.alu(Alu::And, R1, 1 << lane | 1 << (LANES + lane));
            a.jump_if(When::Ne, R1, 1 << lane, next);
            a.load(Width::D, R8, R6, field::NEXTS + 8 * lane);
            a.alu(Alu::Sub, R8, self.l.conn.node as i32);
            self.load64(R8, self.l.conn.status & !7);
            self.a.place(next);
        }
    }

    /// Takes the lowest bit out of the mask r7 and writes what is left to `field`. r7 = the number of that
    /// bit, and r3 is not 0 if the one that is eight above it is set too.
    fn pick(&mut self, field: usize) {
        let a = &mut *self.a;
        a.copy(R1, R7);
        a.copy(R2, R7);
        a.alu(Alu::Sub, R2, 1);
        a.alu_reg(Alu::And, R2, R7);
        a.store(Width::W, R6, field, R2);
        a.alu_reg(Alu::Sub, R1, R2);
        a.copy(R3, R1);
        a.alu(Alu::Lsh, R3, LANES as i32);
        a.alu_reg(Alu::And, R3, R7);
        a.set(R7, 0);
        for (bits, number) in [(0x0f, 4), (0x33, 2), (0x55, 1)] {
            let low = a.label();
            a.jump_if(When::Set, R1, bits, low);
            a.alu(Alu::Add, R7, number);
            a.place(low);
        }
        // By way of memory, so that the verifier does not follow eight numbers.
        a.store(Width::W, R6, field::LANE, R7);
        a.load(Width::W, R7, R6, field::LANE);
        a.alu(Alu::And, R7, LANES as i32 - 1);
    }

    /// Looks at the entry of one of the chains in the mask r7: copies it if it is wanted, and goes on to the
    /// next.
    fn first(&mut self) {
        let l = self.l;
        let [follow, full, lost] = [(); 3].map(|()| self.a.label());
        self.pick(field::LIVE);
        self.lane();
        self.a.jump_if(When::Ne, R3, 0, follow);
        if self.counts() {
            self.scratch();
        } else {
            self.record(full);
        }
        let a = &mut *self.a;
        a.load(Width::D, R3, R9, field::NEXTS);
        a.alu(Alu::Sub, R3, l.conn.node as i32);
        a.store(Width::D, R8, record::ADDR, R3);
        let conn = record::CONN;
        // Most entries can be left out by what is in the lines that are there already.
        let first = if self.early.is_everything() { l.conn.size } else { tuples_end(l) };
        self.read(conn, R8, first, lost);
        let a = &mut *self.a;
        a.load(Width::D, R1, R8, conn + l.conn.node + l.node.next);
        a.store(Width::D, R9, field::NEXTS, R1);
        if first < l.conn.size {
            self.early.emit(a, l, conn, self.advance);
            a.load(Width::D, R3, R8, record::ADDR);
            a.alu(Alu::Add, R3, first as i32);
            self.read(conn + first, R8, l.conn.size - first, self.bad);
        }
        let a = &mut *self.a;
        a.load(Width::D, R1, R8, conn + l.conn.net);
        a.load(Width::D, R2, R6, field::NET);
        a.jump_if_reg(When::Ne, R1, R2, self.advance);
        // `status` is a long; the bits are in its low half.
        a.load(Width::D, R1, R8, conn + l.conn.status);
        a.alu(Alu::And, R1, (ips::CONFIRMED | ips::DYING) as i32);
        a.jump_if(When::Ne, R1, ips::CONFIRMED as i32, self.advance);
        a.load(Width::W, R1, R8, conn + l.conn.use_count);
        a.jump_if(When::Eq, R1, 0, self.advance);
        // The timeout is in ticks of 32 bits, which wrap around.
        a.load(Width::W, R1, R8, conn + l.conn.timeout);
        a.load(Width::D, R2, R6, field::JIFFIES);
        a.alu_reg(Alu::Sub, R1, R2);
        a.alu(Alu::Lsh, R1, 32);
        a.alu(Alu::Arsh, R1, 32);
        a.jump_if(When::SLe, R1, 0, self.advance);
        self.late.emit(a, l, conn, self.advance);
        a.load(Width::W, R1, R6, field::NEXT);
        a.alu_reg(Alu::Add, R1, R7);
        a.store(Width::W, R8, record::BUCKET, R1);
        a.store_imm(Width::W, R8, record::EXT_LEN, 0);
        a.set(R1, 1);
        a.alu_reg(Alu::Lsh, R1, R7);
        a.load(Width::W, R2, R6, field::CHOSEN);
        a.alu_reg(Alu::Or, R2, R1);
        a.store(Width::W, R6, field::CHOSEN, R2);
        if self.of.copied == Copied::Everything {
            a.load(Width::W, R1, R6, field::USED);
            a.store(Width::D, R9, field::SLOTS, R1);
            a.alu(Alu::Add, R1, stride(l, Copied::Everything) as i32);
            a.store(Width::W, R6, field::USED, R1);
        }
        a.jump(self.advance);
        a.place(follow);
        a.load(Width::D, R8, R9, field::NEXTS);
        self.load64(R8, l.node.next);
        self.a.store(Width::D, R9, field::NEXTS, R0);
        self.a.jump(self.advance);
        let a = &mut *self.a;
        // There is no entry here. The chain is given a marker that is never right, so that the group is read
        // again.
        a.place(lost);
        a.store_imm(Width::D, R9, field::NEXTS, -1);
        a.jump(self.bad);
        if !self.counts() {
            self.full(full);
        }
    }

    /// What to do when there is no room for one more record: the group is read again in the next run, which
    /// begins with an empty memory. If this run began so too, the walk fails.
    fn full(&mut self, full: Label) {
        let a = &mut *self.a;
        let roomy = a.label();
        a.place(full);
        a.load(Width::W, R1, R6, field::GROUP_USED);
        a.store(Width::W, R6, field::USED, R1);
        a.jump_if(When::Gt, R1, field::RECORDS as i32, roomy);
        a.store_imm(Width::W, R6, field::FAILED, failed::FULL as i32);
        a.place(roomy);
        a.jump(self.stop);
    }

    /// Reads the entry of one of the chains in the mask r7 again, and copies where it is.
    fn second_of_count(&mut self) {
        let full = self.a.label();
        self.pick(field::CHOSEN);
        self.scratch();
        self.check();
        let last = self.last();
        let a = &mut *self.a;
        a.load(Width::W, R2, R6, field::USED);
        a.jump_if(When::Gt, R2, last, full);
        a.copy(R1, R6);
        a.alu_reg(Alu::Add, R1, R2);
        for at in (0..PLACE_BYTES).step_by(8) {
            a.load(Width::D, R3, R8, at);
            a.store(Width::D, R1, at, R3);
        }
        a.alu(Alu::Add, R2, PLACE_BYTES as i32);
        a.store(Width::W, R6, field::USED, R2);
        a.jump(self.advance);
        self.full(full);
    }

    /// Follows the pointers of the entry of one of the chains in the mask r7, then reads it again.
    fn second(&mut self) {
        if self.counts() {
            return self.second_of_count();
        }
        let l = self.l;
        let conn = record::CONN;
        let [ready, master, check] = [(); 3].map(|()| self.a.label());
        let last = self.last();
        self.a.load(Width::W, R1, R6, field::TOUCHED);
        self.a.jump_if(When::Ne, R1, 0, ready);
        self.a.store_imm(Width::W, R6, field::TOUCHED, 1);
        for lane in 0..LANES {
            let next = self.a.label();
            let a = &mut *self.a;
            a.copy(R1, R7);
            a.alu(Alu::And, R1, 1 << lane);
            a.jump_if(When::Eq, R1, 0, next);
            a.load(Width::D, R1, R6, field::SLOTS + 8 * lane);
            a.jump_if(When::Gt, R1, last, next);
            a.alu_reg(Alu::Add, R1, R6);
            a.load(Width::D, R1, R1, conn + l.conn.ext);
            a.jump_if(When::Eq, R1, 0, next);
            self.load64(R1, l.ext.len & !7);
            self.a.place(next);
        }
        self.a.place(ready);
        self.pick(field::CHOSEN);
        self.lane();
        let a = &mut *self.a;
        a.load(Width::D, R8, R9, field::SLOTS);
        a.jump_if(When::Gt, R8, last, self.advance);
        a.alu_reg(Alu::Add, R8, R6);
        // Extensions.
        let unwanted = a.label();
        let labels = self.select.filter(|s| s.has_labels());
        a.load(Width::D, R9, R8, conn + l.conn.ext);
        a.jump_if(When::Eq, R9, 0, if labels.is_some_and(|s| s.needs_labels(l)) { unwanted } else { master });
        self.load64(R9, l.ext.len & !7);
        self.byte_of(R0, l.ext.len);
        let a = &mut *self.a;
        a.alu(Alu::And, R0, 0xff);
        a.store(Width::H, R8, record::EXT_LEN, R0);
        a.copy(R2, R0);
        a.copy(R1, R8);
        a.alu(Alu::Add, R1, ext_at(l) as i32);
        a.copy(R3, R9);
        a.call(Helper::ProbeReadKernel);
        a.jump_if(When::Ne, R0, 0, self.bad);
        if let Some(select) = labels {
            select.emit_labels(a, l, (ext_at(l), EXT_ROOM), unwanted);
        }
        if let Some(number) = l.ext.helper {
            a.load(Width::B, R1, R8, ext_at(l) + l.ext.offsets + number);
            a.jump_if(When::Eq, R1, 0, master);
            a.jump_if(When::Gt, R1, (EXT_ROOM - l.ext.help_helper - 8) as i32, self.bad);
            a.alu_reg(Alu::Add, R1, R8);
            a.load(Width::D, R9, R1, ext_at(l) + l.ext.help_helper);
            a.jump_if(When::Eq, R9, 0, master);
            a.store_imm(Width::H, R8, record::HAS_HELPER, 1);
            a.store_imm(Width::D, R8, record::TO_ATTR, 0);
            self.follow(R9, l.ext.helper_name, record::HELPER, 16);
            if let Some((to_attr, len)) = l.ext.helper_to_attr.zip(l.ext.helper_data_len) {
                self.follow(R9, to_attr, record::TO_ATTR, size_of::<usize>());
                self.follow(R9, len, record::DATA_LEN, 2);
            }
        }
        self.a.place(master);
        self.a.load(Width::D, R9, R8, conn + l.conn.master);
        self.a.jump_if(When::Eq, R9, 0, check);
        self.follow(R9, l.conn.node + l.node.tuple, record::MASTER, l.node.tuple_size);
        self.a.place(check);
        self.check();
        self.a.jump(self.advance);
        if labels.is_some() {
            // A record whose address is 0 does not count.
            self.a.place(unwanted);
            self.a.store_imm(Width::D, R8, record::ADDR, 0);
            self.a.jump(self.advance);
        }
    }

    /// Compares what tells one entry from another with what is there now.
    fn check(&mut self) {
        let l = self.l;
        let conn = record::CONN;
        let end = l.conn.ext + 8;
        self.a.load(Width::D, R3, R8, record::ADDR);
        self.read(field::CHECK, R6, end, self.bad);
        let a = &mut *self.a;
        a.load(Width::W, R1, R6, field::CHECK + l.conn.use_count);
        a.jump_if(When::Eq, R1, 0, self.bad);
        let tuple = l.conn.node + l.node.tuple;
        let words = (tuple..tuple + l.node.tuple_size).step_by(8);
        for at in words.chain([l.conn.status, l.conn.net, l.conn.master, l.conn.ext]) {
            a.load(Width::D, R1, R6, field::CHECK + at);
            a.load(Width::D, R2, R8, conn + at);
            a.jump_if_reg(When::Ne, R1, R2, self.bad);
        }
    }

    /// Reads what a pointer in `from` leads to, into the record.
    fn follow(&mut self, from: Reg, at: usize, into: usize, len: usize) {
        self.a.copy(R3, from);
        self.a.alu(Alu::Add, R3, at as i32);
        self.read(into, R8, len, self.bad);
    }

    /// r9 = what belongs to chain r7, whose fields are then at NEXTS and SLOTS from it.
    fn lane(&mut self) {
        let a = &mut *self.a;
        a.copy(R9, R7);
        a.alu(Alu::Lsh, R9, 3);
        a.alu_reg(Alu::Add, R9, R6);
    }

    /// r8 = the own record of chain r7.
    fn scratch(&mut self) {
        let a = &mut *self.a;
        a.copy(R8, R7);
        a.alu(Alu::Lsh, R8, SCRATCH_BYTES.trailing_zeros() as i32);
        a.alu_reg(Alu::Add, R8, R6);
        a.alu(Alu::Add, R8, field::SCRATCH as i32);
    }

    /// r8 = the record that is written next.
    fn record(&mut self, full: Label) {
        let last = self.last();
        let a = &mut *self.a;
        a.load(Width::W, R8, R6, field::USED);
        a.jump_if(When::Gt, R8, last, full);
        a.alu_reg(Alu::Add, R8, R6);
    }

    /// Reads `len` bytes at address r3 to `into` from `base`.
    fn read(&mut self, into: usize, base: Reg, len: usize, otherwise: Label) {
        let a = &mut *self.a;
        a.copy(R1, base);
        a.alu(Alu::Add, R1, into as i32);
        a.set(R2, len as i32);
        a.call(Helper::ProbeReadKernel);
        a.jump_if(When::Ne, R0, 0, otherwise);
    }

    /// r0 = the eight bytes at `from` + `at`, which is a multiple of eight; 0 where there is no memory. A
    /// plain load where the kernel has the function for it; r1 to r5 are lost.
    fn load64(&mut self, from: Reg, at: usize) {
        let a = &mut *self.a;
        match self.l.kfuncs.cast {
            Some((cast, number)) => {
                a.copy(R1, from);
                if at > 0 {
                    a.alu(Alu::Add, R1, at as i32);
                }
                a.set(R2, number as i32);
                a.call_kfunc(cast);
                a.load(Width::D, R0, R0, 0);
            }
            None => {
                a.copy(R3, from);
                a.alu(Alu::Add, R3, at as i32);
                a.copy(R1, R6);
                a.alu(Alu::Add, R1, field::CHECK as i32);
                a.set(R2, 8);
                a.call(Helper::ProbeReadKernel);
                a.load(Width::D, R0, R6, field::CHECK);
            }
        }
    }

    /// Moves the byte at offset `at` of the structure, of whose word around it `reg` has the value, to the
    /// low end; the bits above it are others.
    fn byte_of(&mut self, reg: Reg, at: usize) {
        let from_low = if cfg!(target_endian = "big") { 7 - at % 8 } else { at % 8 };
        if from_low > 0 {
            self.a.alu(Alu::Rsh, reg, 8 * from_low as i32);
        }
    }
}
