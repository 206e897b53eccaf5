//! An assembler for eBPF (linux/bpf.h): instructions, labels, and what a program needs besides.

/// A register. r0 has results, r1 to r5 arguments, r6 to r9 survive calls, r10 is the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reg(pub(crate) u8);

pub(crate) const R0: Reg = Reg(0);
pub(crate) const R1: Reg = Reg(1);
pub(crate) const R2: Reg = Reg(2);
pub(crate) const R3: Reg = Reg(3);
pub(crate) const R4: Reg = Reg(4);
pub(crate) const R5: Reg = Reg(5);
pub(crate) const R6: Reg = Reg(6);
pub(crate) const R7: Reg = Reg(7);
pub(crate) const R8: Reg = Reg(8);
pub(crate) const R9: Reg = Reg(9);

/// How many bytes a load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// One byte.
    B = 0x10,
    /// Two bytes.
    H = 0x08,
    /// Four bytes.
    W = 0x00,
    /// Eight bytes.
    D = 0x18,
}

impl Width {
    /// How many these are.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Width::B => 1,
            Width::H => 2,
            Width::W => 4,
            Width::D => 8,
        }
    }
}

/// A computation on 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Mov = 0xb0,
    Arsh = 0xc0,
}

/// When a jump is taken; unsigned unless the name has an S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    /// Some bit of both is set.
    Set = 0x40,
    Ne = 0x50,
    Le = 0xb0,
    SLe = 0xd0,
}

/// A helper function of the kernel, by its number in linux/bpf.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helper {
    GetCurrentTask = 35,
    ProbeReadKernel = 113,
    Jiffies64 = 118,
    Loop = 181,
}

/// A kernel function that is called by its number in BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kfunc {
    /// Number of the function.
    pub(crate) id: u32,
    /// True when the number is one of the module's BTF, which the program is loaded with.
    pub(crate) of_module: bool,
}

/// A place in the program that is jumped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// A program under construction.
#[derive(Debug, Default)]
pub(crate) struct Asm {
    code: Vec<u64>,
    places: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
    /// Instructions that hold the distance to a label as a number: the address of a function.
    addresses: Vec<(usize, Label)>,
}

const CLASS_LDX: u8 = 0x61;
const CLASS_ST: u8 = 0x62;
const CLASS_STX: u8 = 0x63;
const LD_IMM64: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const JA: u8 = 0x05;
// The source register of LD_IMM64 and CALL says what the number means.
const PSEUDO_MAP_VALUE: Reg = Reg(2);
const PSEUDO_FUNC: Reg = Reg(4);
const PSEUDO_KFUNC: Reg = Reg(2);

/// One instruction: `struct bpf_insn`.
fn encode(code: u8, dst: Reg, src: Reg, off: i16, imm: i32) -> u64 {
    // Two bit fields of four bits, in the order of the machine.
    let regs = if cfg!(target_endian = "big") { dst.0 << 4 | src.0 } else { dst.0 | src.0 << 4 };
    let ([o0, o1], [i0, i1, i2, i3]) = (off.to_ne_bytes(), imm.to_ne_bytes());
    u64::from_ne_bytes([code, regs, o0, o1, i0, i1, i2, i3])
}

// Programs are made of hundreds of calls of these, once a command: a copy in each place would be ten times the code.
impl Asm {
    #[inline(never)]
    fn push(&mut self, code: u8, dst: Reg, src: Reg, off: i16, imm: i32) {
        self.code.push(encode(code, dst, src, off, imm));
    }

    /// A label to be placed later.
    #[inline(never)]
    pub(crate) fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Puts the label here.
    #[inline(never)]
    pub(crate) fn place(&mut self, label: Label) {
        let here = self.code.len();
        if let Some(place) = self.places.get_mut(label.0) {
            *place = Some(here);
        }
    }

    /// `dst = dst OP imm`
    #[inline(never)]
    pub(crate) fn alu(&mut self, op: Alu, dst: Reg, imm: i32) {
        self.push(0x07 | op as u8, dst, R0, 0, imm);
    }

    /// `dst = dst OP src`
    #[inline(never)]
    pub(crate) fn alu_reg(&mut self, op: Alu, dst: Reg, src: Reg) {
        self.push(0x0f | op as u8, dst, src, 0, 0);
    }

    /// `dst = imm`
    pub(crate) fn set(&mut self, dst: Reg, imm: i32) {
        self.alu(Alu::Mov, dst, imm);
    }

    /// `dst = src`
    pub(crate) fn copy(&mut self, dst: Reg, src: Reg) {
        self.alu_reg(Alu::Mov, dst, src);
    }

    /// `dst = *(src + at)`
    #[inline(never)]
    pub(crate) fn load(&mut self, width: Width, dst: Reg, src: Reg, at: usize) {
        self.push(CLASS_LDX | width as u8, dst, src, at as i16, 0);
    }

    /// `*(dst + at) = src`
    #[inline(never)]
    pub(crate) fn store(&mut self, width: Width, dst: Reg, at: usize, src: Reg) {
        self.push(CLASS_STX | width as u8, dst, src, at as i16, 0);
    }

    /// `*(dst + at) = imm`
    #[inline(never)]
    pub(crate) fn store_imm(&mut self, width: Width, dst: Reg, at: usize, imm: i32) {
        self.push(CLASS_ST | width as u8, dst, R0, at as i16, imm);
    }

    /// Jumps when `dst WHEN imm`.
    #[inline(never)]
    pub(crate) fn jump_if(&mut self, when: When, dst: Reg, imm: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x05 | when as u8, dst, R0, 0, imm);
    }

    /// Jumps when `dst WHEN src`.
    #[inline(never)]
    pub(crate) fn jump_if_reg(&mut self, when: When, dst: Reg, src: Reg, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x0d | when as u8, dst, src, 0, 0);
    }

    /// Jumps always.
    #[inline(never)]
    pub(crate) fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(JA, R0, R0, 0, 0);
    }

    /// Calls a helper.
    pub(crate) fn call(&mut self, helper: Helper) {
        self.push(CALL, R0, R0, 0, helper as i32);
    }

    /// Calls a kernel function.
    pub(crate) fn call_kfunc(&mut self, f: Kfunc) {
        // The offset is an index into the list of BTF files; 0 is the kernel's own.
        self.push(CALL, R0, PSEUDO_KFUNC, i16::from(f.of_module), f.id as i32);
    }

    /// Ends the function; r0 is its result.
    pub(crate) fn exit(&mut self) {
        self.push(EXIT, R0, R0, 0, 0);
    }

    /// `dst` = the address of the one element of the array map with this descriptor.
    pub(crate) fn map_value(&mut self, dst: Reg, map: i32) {
        self.push(LD_IMM64, dst, PSEUDO_MAP_VALUE, 0, map);
        self.push(0, R0, R0, 0, 0);
    }

    /// `dst` = the address of the function at the label.
    pub(crate) fn function(&mut self, dst: Reg, label: Label) {
        self.addresses.push((self.code.len(), label));
        self.push(LD_IMM64, dst, PSEUDO_FUNC, 0, 0);
        self.push(0, R0, R0, 0, 0);
    }

    /// Where a label is, in instructions from the beginning.
    pub(crate) fn position(&self, label: Label) -> Option<usize> {
        *self.places.get(label.0)?
    }

    /// The program; `None` when a label was not placed or is too far away.
    pub(crate) fn finish(mut self) -> Option<Vec<u64>> {
        for (at, label) in &self.jumps {
            let distance = i16::try_from(self.position(*label)? as i64 - *at as i64 - 1).ok()?;
            let insn = self.code.get_mut(*at)?;
            let mut bytes = insn.to_ne_bytes();
            if let Some(off) = bytes.get_mut(2..4) {
                off.copy_from_slice(&distance.to_ne_bytes());
            }
            *insn = u64::from_ne_bytes(bytes);
        }
        for (at, label) in &self.addresses {
            let distance = i32::try_from(self.position(*label)? as i64 - *at as i64 - 1).ok()?;
            let insn = self.code.get_mut(*at)?;
            let mut bytes = insn.to_ne_bytes();
            if let Some(imm) = bytes.get_mut(4..8) {
                imm.copy_from_slice(&distance.to_ne_bytes());
            }
            *insn = u64::from_ne_bytes(bytes);
        }
        Some(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_laid_out_as_in_the_header() {
        let mut a = Asm::default();
        let end = a.label();
        a.load(Width::H, R3, R6, 0x102);
        a.jump_if(When::Ne, R3, -1, end);
        a.alu_reg(Alu::Add, R1, R9);
        a.place(end);
        a.exit();
        let code = a.finish().unwrap();
        let bytes: Vec<[u8; 8]> = code.iter().map(|i| i.to_ne_bytes()).collect();
        let regs = |dst: u8, src: u8| {
            if cfg!(target_endian = "big") { dst << 4 | src } else { dst | src << 4 }
        };
        let [o0, o1] = 0x102i16.to_ne_bytes();
        assert_eq!(bytes[0], [0x69, regs(3, 6), o0, o1, 0, 0, 0, 0]);
        let [o0, o1] = 1i16.to_ne_bytes();
        assert_eq!(bytes[1], [0x55, regs(3, 0), o0, o1, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(bytes[2], [0x0f, regs(1, 9), 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[3], [0x95, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_label_that_is_nowhere_is_no_program() {
        let mut a = Asm::default();
        let nowhere = a.label();
        a.jump(nowhere);
        assert_eq!(a.finish(), None);
    }
}
