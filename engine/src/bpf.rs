//! Classic BPF programs that look at event messages before they take room in a receive buffer
//! (ctnetlink.md §5.9).
//!
//! A program is a list of checks. BPF converts words and half-words from big endian as it loads them, so the
//! constants they are compared with are made from the bytes as they lie in memory.

use crate::sys::BpfInsn;

// linux/bpf_common.h and linux/filter.h: class, size and mode of the instructions used here.
const LD_W_ABS: u16 = 0x20;
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const AND_K: u16 = 0x54;
const JEQ_K: u16 = 0x15;
const JA: u16 = 0x05;
const RET_K: u16 = 0x06;
/// The number of bytes to keep, larger than any message: a smaller one would cut the message short.
const KEEP_ALL: u32 = u32::MAX;

/// How much of the message a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// One byte at this offset.
    Byte(u32),
    /// Two bytes, big endian.
    Half(u32),
    /// Four bytes, big endian.
    Word(u32),
}

/// One comparison: `(load & mask) == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The part of the message that is compared.
    pub load: Load,
    /// The bits that count.
    pub mask: u32,
    /// The value these bits must have.
    pub value: u32,
}

impl Check {
    /// A check in which all bits of the load count.
    pub fn equal(load: Load, value: u32) -> Check {
        Check { load, mask: u32::MAX, value }
    }

    /// A check of four bytes, given as they lie in memory.
    pub fn bytes(at: u32, bytes: [u8; 4]) -> Check {
        Check::equal(Load::Word(at), u32::from_be_bytes(bytes))
    }
}

/// What a program decides about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The message is delivered.
    Keep,
    /// The message is dropped.
    Drop,
}

/// A program under construction. It runs from top to bottom, and a message that reaches the end is kept.
#[derive(Debug, Default)]
pub struct Program {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// Alternatives, each a row of checks that must all hold. When no row holds, the verdict applies.
    OneOf(Vec<Vec<Check>>, Verdict),
    /// Rows of checks: when all of a row hold, the verdict applies.
    NoneOf(Vec<Vec<Check>>, Verdict),
    /// When the check holds, the block decides, and a message that reaches its end is kept.
    When(Check, Program),
}

impl Program {
    /// Requires the check to hold; otherwise `otherwise` is the verdict.
    pub fn require(&mut self, check: Check, otherwise: Verdict) {
        self.steps.push(Step::OneOf(vec![vec![check]], otherwise));
    }

    /// Requires all checks of at least one row to hold; otherwise `otherwise` is the verdict.
    pub fn require_one(&mut self, rows: Vec<Vec<Check>>, otherwise: Verdict) {
        self.steps.push(Step::OneOf(rows, otherwise));
    }

    /// When all checks of one of the rows hold, `then` is the verdict.
    pub fn forbid(&mut self, rows: Vec<Vec<Check>>, then: Verdict) {
        self.steps.push(Step::NoneOf(rows, then));
    }

    /// Messages for which the check holds are judged by the block alone.
    pub fn when(&mut self, check: Check, block: Program) {
        self.steps.push(Step::When(check, block));
    }

    /// The instructions; `None` when a jump would be longer than 255 instructions or the program longer than
    /// the kernel takes. The caller then has to do without a filter.
    #[must_use]
    pub fn assemble(&self) -> Option<Vec<BpfInsn>> {
        let mut code = Vec::new();
        self.emit(&mut code)?;
        (code.len() <= 4096).then_some(code)
    }

    fn emit(&self, code: &mut Vec<BpfInsn>) -> Option<()> {
        for step in &self.steps {
            match step {
                Step::OneOf(rows, otherwise) => {
                    // A row that holds jumps over the verdict, which comes after the last row.
                    let mut holds = Vec::new();
                    for row in rows {
                        let mut fails = Vec::new();
                        for check in row {
                            fails.push(emit_check(code, *check));
                        }
                        holds.push(code.len());
                        code.push(insn(JA, 0));
                        let next = code.len();
                        for at in fails {
                            code.get_mut(at)?.jf = distance(at, next)?;
                        }
                    }
                    code.push(insn(RET_K, verdict(*otherwise)));
                    let end = code.len();
                    for at in holds {
                        code.get_mut(at)?.k = u32::from(distance(at, end)?);
                    }
                }
                Step::NoneOf(rows, then) => {
                    for row in rows {
                        let mut fails = Vec::new();
                        for check in row {
                            fails.push(emit_check(code, *check));
                        }
                        code.push(insn(RET_K, verdict(*then)));
                        let next = code.len();
                        for at in fails {
                            code.get_mut(at)?.jf = distance(at, next)?;
                        }
                    }
                }
                Step::When(check, block) => {
                    // A block may be longer than a conditional jump, so this one jumps over one that has no
                    // condition.
                    let at = emit_check(code, *check);
                    code.get_mut(at)?.jt = 1;
                    let over = code.len();
                    code.push(insn(JA, 0));
                    block.emit(code)?;
                    let end = code.len();
                    code.get_mut(over)?.k = u32::try_from(end.checked_sub(over + 1)?).ok()?;
                }
            }
        }
        code.push(insn(RET_K, KEEP_ALL));
        Some(())
    }
}

fn insn(code: u16, k: u32) -> BpfInsn {
    BpfInsn { code, jt: 0, jf: 0, k }
}

fn verdict(v: Verdict) -> u32 {
    match v {
        Verdict::Keep => KEEP_ALL,
        Verdict::Drop => 0,
    }
}

/// Emits a check that falls through when it holds; returns where its failing jump is to be filled in.
fn emit_check(code: &mut Vec<BpfInsn>, check: Check) -> usize {
    let (op, at) = match check.load {
        Load::Byte(at) => (LD_B_ABS, at),
        Load::Half(at) => (LD_H_ABS, at),
        Load::Word(at) => (LD_W_ABS, at),
    };
    code.push(insn(op, at));
    if check.mask != u32::MAX {
        code.push(insn(AND_K, check.mask));
    }
    code.push(insn(JEQ_K, check.value & check.mask));
    code.len() - 1
}

/// Instructions to skip from `at` to get to `to`.
fn distance(at: usize, to: usize) -> Option<u8> {
    u8::try_from(to.checked_sub(at + 1)?).ok()
}

/// Runs a program over a message as the kernel does, for tests: how many bytes of it are kept. A load past
/// the end keeps nothing. With the feature `test-helpers`.
#[cfg(any(test, feature = "test-helpers"))]
pub fn interpret(code: &[BpfInsn], message: &[u8]) -> Option<u32> {
    let (mut a, mut pc) = (0u32, 0usize);
    loop {
        let i = code.get(pc)?;
        pc += 1;
        let at = i.k as usize;
        match i.code {
            LD_B_ABS => a = u32::from(*message.get(at)?),
            LD_H_ABS => a = u32::from(u16::from_be_bytes(*message.get(at..)?.first_chunk()?)),
            LD_W_ABS => a = u32::from_be_bytes(*message.get(at..)?.first_chunk()?),
            AND_K => a &= i.k,
            JEQ_K => pc += usize::from(if a == i.k { i.jt } else { i.jf }),
            JA => pc += at,
            RET_K => return Some(i.k),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps(p: &Program, message: &[u8]) -> bool {
        interpret(&p.assemble().unwrap(), message) == Some(KEEP_ALL)
    }

    #[test]
    fn checks_alternatives_and_blocks() {
        let mut inner = Program::default();
        let byte = |at, v| Check::equal(Load::Byte(at), v);
        inner.require_one(vec![vec![byte(1, 5), byte(2, 6)], vec![byte(1, 7)]], Verdict::Drop);
        inner.require(Check { load: Load::Word(0), mask: 0xff, value: 9 }, Verdict::Drop);
        let mut p = Program::default();
        p.when(byte(0, 1), inner);
        p.require(byte(0, 2), Verdict::Drop);
        for (message, want) in [
            ([1, 5, 6, 9], true),
            ([1, 7, 0, 9], true),
            ([1, 5, 0, 9], false),
            ([1, 5, 6, 8], false),
            ([2, 0, 0, 0], true),
            ([3, 5, 6, 9], false),
        ] {
            assert_eq!(keeps(&p, &message), want, "{message:?}");
        }
    }

    #[test]
    fn rows_that_are_forbidden_leave_the_rest_to_what_follows() {
        let byte = |at, v| Check::equal(Load::Byte(at), v);
        let mut p = Program::default();
        p.forbid(vec![vec![byte(0, 1), byte(1, 2)], vec![byte(0, 3)]], Verdict::Drop);
        p.forbid(vec![vec![byte(1, 9)]], Verdict::Keep);
        p.require(byte(2, 0), Verdict::Drop);
        for (message, want) in [
            ([1, 2, 0], false),
            ([1, 3, 0], true),
            ([3, 3, 0], false),
            ([2, 2, 0], true),
            ([2, 2, 1], false),
            ([2, 9, 1], true),
        ] {
            assert_eq!(keeps(&p, &message), want, "{message:?}");
        }
    }

    #[test]
    fn a_program_with_jumps_that_are_too_long_is_not_made() {
        let mut p = Program::default();
        p.require_one((0..200).map(|v| vec![Check::equal(Load::Byte(0), v)]).collect(), Verdict::Drop);
        assert!(p.assemble().is_none());
    }
}
