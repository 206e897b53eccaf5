//! The pieces that the turns of a walk are made of: a chain and its record, loads from the kernel's memory, and the
//! second look at an entry.

use super::insn::{Alu, Helper, Label, R0, R1, R2, R3, R6, R7, R8, R9, Reg, When, Width};
use super::program::{LANES, SCRATCH_BYTES, field, record};
use super::turn::WalkTurn;

impl WalkTurn<'_, '_> {
    /// Takes the lowest bit out of the mask r7 and writes what is left to `field`. r7 = the number of that
    /// bit, and r3 is not 0 if the one that is eight above it is set too.
    pub(super) fn pick(&mut self, field: usize) {
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

    /// Compares what tells one entry from another with what is there now.
    pub(super) fn check(&mut self) {
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
    pub(super) fn follow(&mut self, from: Reg, at: usize, into: usize, len: usize) {
        self.a.copy(R3, from);
        self.a.alu(Alu::Add, R3, at as i32);
        self.read(into, R8, len, self.bad);
    }

    /// r9 = what belongs to chain r7, whose fields are then at NEXTS and SLOTS from it.
    pub(super) fn lane(&mut self) {
        let a = &mut *self.a;
        a.copy(R9, R7);
        a.alu(Alu::Lsh, R9, 3);
        a.alu_reg(Alu::Add, R9, R6);
    }

    /// r8 = the own record of chain r7.
    pub(super) fn scratch(&mut self) {
        let a = &mut *self.a;
        a.copy(R8, R7);
        a.alu(Alu::Lsh, R8, SCRATCH_BYTES.trailing_zeros() as i32);
        a.alu_reg(Alu::Add, R8, R6);
        a.alu(Alu::Add, R8, field::SCRATCH as i32);
    }

    /// r8 = the record that is written next.
    pub(super) fn record(&mut self, full: Label) {
        let last = self.last();
        let a = &mut *self.a;
        a.load(Width::W, R8, R6, field::USED);
        a.jump_if(When::Gt, R8, last, full);
        a.alu_reg(Alu::Add, R8, R6);
    }

    /// Reads `len` bytes at address r3 to `into` from `base`.
    pub(super) fn read(&mut self, into: usize, base: Reg, len: usize, otherwise: Label) {
        let a = &mut *self.a;
        a.copy(R1, base);
        a.alu(Alu::Add, R1, into as i32);
        a.set(R2, len as i32);
        a.call(Helper::ProbeReadKernel);
        a.jump_if(When::Ne, R0, 0, otherwise);
    }

    /// r0 = the eight bytes at `from` + `at`, which is a multiple of eight; 0 where there is no memory. A
    /// plain load where the kernel has the function for it; r1 to r5 are lost.
    pub(super) fn load64(&mut self, from: Reg, at: usize) {
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
    pub(super) fn byte_of(&mut self, reg: Reg, at: usize) {
        let from_low = if cfg!(target_endian = "big") { 7 - at % 8 } else { at % 8 };
        if from_low > 0 {
            self.a.alu(Alu::Rsh, reg, 8 * from_low as i32);
        }
    }
}
