//! The small programs that find the table (bpf-table.md §1).

use super::insn::{Alu, Asm, Helper, Kfunc, R0, R1, R2, R3, R4, R5, R6, When, Width};
use super::program::{Assembler, field};

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
}
