//! The program that walks the table and copies the entries of one namespace (bpf-table.md §2, §3).
//!
//! The walk follows eight chains side by side, so that the processor waits for eight entries at a time. One
//! call of `turn` looks at one entry of one chain. A round takes a turn for each chain that goes on, which
//! copies `nf_conn` and goes on to the next entry, then one for each entry that is wanted, which follows its
//! pointers and checks that it is still the same. When all eight chains have ended, each in its own marker,
//! the group is done; otherwise it is read again.
//!
//! A count needs no copies: the walk then keeps what it checks in a place that belongs to the chain, and only
//! the place at which an entry was found leaves the kernel, so that one that came twice is counted once.

use super::insn::{Alu, Asm, Helper, Label, R0, R1, R2, R3, R4, R6, R7, R8, R9, When, Width};
use super::layout::Layout;
use super::program::{
    Assembler, Copied, EXT_ROOM, LANES, PLACE_BYTES, SCRATCH_BYTES, ext_at, failed, field, record, stride,
};
use super::select::Selection;
use zct_wire::consts::ips;

/// A chain with more entries than this is not one of the table's. The kernel refuses an entry that would make one
/// longer than 50 to 80; a table that is made smaller keeps longer ones, a few thousand where it has millions.
const ROUNDS_MAX: i32 = 1 << 16;

/// Where the tuples of `nf_conn` end; they are at its beginning.
fn tuples_end(l: &Layout) -> usize {
    l.conn.node + 2 * l.conn.node_size
}

/// Instructions, and where the second function begins.
#[derive(Debug)]
pub(crate) struct WalkProgram {
    /// `struct bpf_insn`.
    pub(crate) code: Vec<u64>,
    /// In instructions from the beginning.
    pub(crate) second: usize,
}

impl Assembler<'_> {
    /// The walk. `None` also where only places are copied and `nf_conn` is larger than expected.
    pub(crate) fn walk(&self, select: Option<&Selection>) -> Option<WalkProgram> {
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
        self.look_at_witness(&mut a, field::SEEN_BEFORE);
        a.set(R1, 1 << 23);
        a.function(R2, turn);
        a.set(R3, 0);
        a.set(R4, 0);
        a.call(Helper::Loop);
        self.look_at_witness(&mut a, field::SEEN_AFTER);
        a.set(R0, 0);
        a.exit();
        a.place(turn);
        let second = a.position(turn)?;
        WalkTurn::new(self, &mut a, select).emit();
        Some(WalkProgram { code: a.finish()?, second })
    }

    /// Writes to `seen` whether the bucket of the witness has an entry that leads back to it.
    fn look_at_witness(&self, a: &mut Asm, seen: usize) {
        let none = a.label();
        a.store_imm(Width::W, R6, seen, 0);
        a.load(Width::D, R3, R6, field::WITNESS);
        a.jump_if(When::Eq, R3, 0, none);
        for at in [None, Some(self.layout.node.pprev)] {
            if let Some(at) = at {
                a.load(Width::D, R3, R6, field::PEEK);
                a.jump_if(When::Set, R3, 1, none);
                a.alu(Alu::Add, R3, at as i32);
            }
            a.copy(R1, R6);
            a.alu(Alu::Add, R1, field::PEEK as i32);
            a.set(R2, 8);
            a.call(Helper::ProbeReadKernel);
            a.jump_if(When::Ne, R0, 0, none);
        }
        a.load(Width::D, R1, R6, field::PEEK);
        a.load(Width::D, R2, R6, field::WITNESS);
        a.jump_if_reg(When::Ne, R1, R2, none);
        a.store_imm(Width::W, R6, seen, 1);
        a.place(none);
    }
}

/// The callback of the loop. r6 is the shared memory, r7 the chain that the turn is about.
pub(super) struct WalkTurn<'a, 'c> {
    pub(super) of: &'c Assembler<'c>,
    pub(super) l: &'c Layout,
    pub(super) a: &'a mut Asm,
    pub(super) select: Option<&'c Selection>,
    /// What of the selection is about the tuples alone, and the rest of it.
    pub(super) early: Selection,
    pub(super) late: Selection,
    /// Ends the turn; the next one is about another chain.
    pub(super) advance: Label,
    /// Ends the turn; the group will be read again.
    pub(super) bad: Label,
    /// Ends the loop.
    pub(super) stop: Label,
}

impl<'a, 'c> WalkTurn<'a, 'c> {
    fn new(of: &'c Assembler<'c>, a: &'a mut Asm, select: Option<&'c Selection>) -> Self {
        let [advance, bad, stop] = [a.label(), a.label(), a.label()];
        let l = of.layout;
        let [early, late] = select.map(|s| s.split(l, tuples_end(l))).unwrap_or_default();
        WalkTurn { of, l, a, select, early, late, advance, bad, stop }
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
    pub(super) fn last(&self) -> i32 {
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
}
