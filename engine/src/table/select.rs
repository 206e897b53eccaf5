//! A selection of flows that the program applies while it walks the table, before an entry leaves the kernel.
//!
//! It is made of tests on parts of an entry, and only ever leaves out what surely is not wanted: whoever
//! reads the table checks everything again. A part that this kernel does not have makes its tests hold where
//! they are required, and fail where they exclude.

use super::insn::{Alu, Asm, Label, R0, R1, R2, R8, Reg, When, Width};
use super::layout::Layout;

/// One of the two directions of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The direction of the first packet.
    Original,
    /// The direction of the answers.
    Reply,
}

/// A part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// AF_INET or AF_INET6.
    Family,
    /// Layer 4 protocol.
    Protocol,
    /// Four bytes of the source address, the first for 0; IPv4 has one such word. In network byte order, as
    /// [`word`] makes them.
    Src(Way, u8),
    /// Four bytes of the destination address.
    Dst(Way, u8),
    /// Source port, GRE key or ICMP id, as a number.
    SrcPort(Way),
    /// Destination port or GRE key, as a number.
    DstPort(Way),
    /// ICMP type of the original direction.
    IcmpType,
    /// ICMP code of the original direction.
    IcmpCode,
    /// Status bits, IPS_….
    Status,
    /// Mark.
    Mark,
    /// Number of the zone, 0 for none.
    Zone,
    /// Which directions the zone is of: bit 0 the original one, bit 1 the reply.
    ZoneWay,
    /// State of TCP, where the protocol is TCP.
    TcpState,
    /// State of SCTP, where the protocol is SCTP.
    SctpState,
}

/// Four bytes of an address as a number to compare with.
pub fn word(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}

/// Something that holds for an entry, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The bits of the mask are those of the value.
    Bits(Part, u32, u32),
    /// A number from the first to the last.
    Within(Part, u32, u32),
    /// Two parts are not the same.
    Differ(Part, Part),
}

/// Alternatives, one of which has to hold; each is a list of tests that all have to.
pub type OneOf = Vec<Vec<Test>>;

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Each of these has to hold.
    pub require: Vec<OneOf>,
    /// Of each of these something must not hold.
    pub exclude: Vec<Vec<OneOf>>,
    /// Label bits that must be set, as four words in host byte order.
    pub labels: [u32; 4],
    /// Label bits that must not be set.
    pub no_labels: [u32; 4],
}

/// The most tests in one program: as many take the kernel's verifier a few milliseconds.
const TESTS_MAX: usize = 256;

/// How a part is loaded.
#[derive(Clone, Copy)]
enum LoadPart {
    /// As a number of the machine, from this offset.
    Plain(Width, usize),
    /// Two bytes in network byte order.
    Port(usize),
}

impl LoadPart {
    /// Where it ends.
    fn end(self) -> usize {
        match self {
            LoadPart::Plain(width, at) => at + width.bytes(),
            LoadPart::Port(at) => at + 2,
        }
    }
}

impl Part {
    /// Where it is in `nf_conn`; `None` when this kernel does not have it.
    fn load(self, l: &Layout) -> Option<LoadPart> {
        let way = |way: Way| l.conn.node + if way == Way::Reply { l.conn.node_size } else { 0 };
        let word = |at: usize, number: u8| Some(LoadPart::Plain(Width::W, at + 4 * usize::from(number & 3)));
        let byte = |at: usize| Some(LoadPart::Plain(Width::B, at));
        match self {
            Part::Family => Some(LoadPart::Plain(Width::H, way(Way::Original) + l.node.family)),
            Part::Protocol => byte(way(Way::Original) + l.node.protocol),
            Part::Src(w, number) => word(way(w) + l.node.src, number),
            Part::Dst(w, number) => word(way(w) + l.node.dst, number),
            Part::SrcPort(w) => Some(LoadPart::Port(way(w) + l.node.src_port)),
            Part::DstPort(w) => Some(LoadPart::Port(way(w) + l.node.dst_port)),
            Part::IcmpType => byte(way(Way::Original) + l.node.dst_port),
            Part::IcmpCode => byte(way(Way::Original) + l.node.dst_port + 1),
            // A long, whose low half has the bits.
            Part::Status => Some(LoadPart::Plain(Width::D, l.conn.status)),
            Part::Mark => l.conn.mark.map(|at| LoadPart::Plain(Width::W, at)),
            Part::Zone => l.conn.zone_id.map(|at| LoadPart::Plain(Width::H, at)),
            Part::ZoneWay => l.conn.zone_dir.map(|at| LoadPart::Plain(Width::B, at)),
            Part::TcpState => byte(l.conn.proto + l.proto.tcp_state),
            Part::SctpState => {
                l.proto.has_sctp.then_some(LoadPart::Plain(Width::W, l.conn.proto + l.proto.sctp_state))
            }
        }
    }
}

impl Test {
    /// The parts it looks at.
    fn parts(&self) -> impl Iterator<Item = Part> {
        let (first, second) = match *self {
            Test::Bits(part, ..) | Test::Within(part, ..) => (part, None),
            Test::Differ(a, b) => (a, Some(b)),
        };
        std::iter::once(first).chain(second)
    }
}

impl Selection {
    /// True when nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.require.is_empty() && self.exclude.is_empty() && !self.has_labels()
    }

    /// True when labels are looked at, which are found after a pointer has been followed.
    pub(super) fn has_labels(&self) -> bool {
        (self.labels, self.no_labels) != ([0; 4], [0; 4])
    }

    /// The part of the selection that can be applied on this kernel and in one program. Without alternatives
    /// nothing could be wanted, or excluded: no such list is applied.
    fn usable(&self, l: &Layout) -> Selection {
        let known = |all: &OneOf| {
            let tests = all.iter().flatten().flat_map(Test::parts);
            !all.is_empty()
                && all.iter().all(|row| !row.is_empty())
                && tests.map(|p| p.load(l)).all(|p| p.is_some())
        };
        let mut room = TESTS_MAX;
        let mut fits = |count: usize| {
            let fits = count <= room;
            room -= if fits { count } else { 0 };
            fits
        };
        let count = |all: &OneOf| all.iter().map(Vec::len).sum::<usize>();
        let require = self.require.iter().filter(|all| known(all) && fits(count(all))).cloned().collect();
        let exclude = self
            .exclude
            .iter()
            .filter(|e| !e.is_empty() && e.iter().all(known) && fits(e.iter().map(count).sum()))
            .cloned()
            .collect();
        Selection { require, exclude, ..*self }
    }

    /// True when the walk applies every test of it before it follows a pointer, so that what is left is what
    /// is selected.
    pub(super) fn is_complete(&self, l: &Layout) -> bool {
        !self.has_labels() && self.usable(l) == *self
    }

    /// The tests of it that look at the first `end` bytes of `nf_conn` alone, and the others.
    pub(super) fn split(&self, l: &Layout, end: usize) -> [Selection; 2] {
        let is_early = |all: &OneOf| {
            let mut parts = all.iter().flatten().flat_map(Test::parts);
            parts.all(|p| p.load(l).is_some_and(|load| load.end() <= end))
        };
        let usable = self.usable(l);
        let (early, late) = usable.require.iter().cloned().partition(is_early);
        [Selection { require: early, ..Selection::default() }, Selection { require: late, ..usable }]
    }

    /// Writes what decides on the copy of `nf_conn` at offset `conn` from r8; jumps to `unwanted`. r0 to r2
    /// are used.
    pub(super) fn emit(&self, a: &mut Asm, l: &Layout, conn: usize, unwanted: Label) {
        let usable = self.usable(l);
        for all in &usable.require {
            one_of(a, l, conn, all, unwanted);
        }
        for exclusion in &usable.exclude {
            let differs = a.label();
            for all in exclusion {
                one_of(a, l, conn, all, differs);
            }
            a.jump(unwanted);
            a.place(differs);
        }
    }

    /// Writes what decides on the extensions, which have been copied to `ext` bytes from r8, where there is
    /// room for `room` bytes of them. r0 to r2 are used.
    pub(super) fn emit_labels(&self, a: &mut Asm, l: &Layout, (ext, room): (usize, usize), unwanted: Label) {
        let Some(number) = labels(l) else { return };
        let done = a.label();
        let absent = if self.labels == [0; 4] { done } else { unwanted };
        a.load(Width::B, R1, R8, ext + l.ext.offsets + number);
        a.jump_if(When::Eq, R1, 0, absent);
        a.jump_if(When::Gt, R1, room.saturating_sub(LABELS_SIZE) as i32, done);
        a.alu_reg(Alu::Add, R1, R8);
        for (at, (set, clear)) in self.labels.iter().zip(self.no_labels).enumerate() {
            if set | clear == 0 {
                continue;
            }
            a.load(Width::W, R2, R1, ext + 4 * at);
            compare(a, R2, set | clear, *set, unwanted);
        }
        a.place(done);
    }

    /// True when an entry without extensions is not wanted, because it has no labels.
    pub(super) fn needs_labels(&self, l: &Layout) -> bool {
        self.labels != [0; 4] && labels(l).is_some()
    }
}

/// Bytes of the labels of a flow (XT_CONNLABEL_MAXBIT, linux/netfilter/xt_connlabel.h).
const LABELS_SIZE: usize = 16;

/// The number of the extension with the labels.
fn labels(l: &Layout) -> Option<usize> {
    l.ext.labels.filter(|_| l.ext.labels_size >= LABELS_SIZE)
}

/// Goes on when one of the alternatives holds, and otherwise jumps.
fn one_of(a: &mut Asm, l: &Layout, conn: usize, all: &OneOf, otherwise: Label) {
    let holds = a.label();
    let (last, others) = match all.split_last() {
        Some(split) => split,
        None => return,
    };
    for row in others {
        let next = a.label();
        row.iter().for_each(|test| one(a, l, conn, test, next));
        a.jump(holds);
        a.place(next);
    }
    last.iter().for_each(|test| one(a, l, conn, test, otherwise));
    a.place(holds);
}

/// Goes on when the test holds, and otherwise jumps.
fn one(a: &mut Asm, l: &Layout, conn: usize, test: &Test, otherwise: Label) {
    match *test {
        Test::Bits(part, mask, value) => {
            load(a, l, conn, R1, part);
            compare(a, R1, mask, value, otherwise);
        }
        Test::Within(part, first, last) => {
            load(a, l, conn, R1, part);
            if first == last {
                compare(a, R1, u32::MAX, first, otherwise);
                return;
            }
            set(a, R2, first);
            a.jump_if_reg(When::Gt, R2, R1, otherwise);
            set(a, R2, last);
            a.jump_if_reg(When::Gt, R1, R2, otherwise);
        }
        Test::Differ(one, other) => {
            load(a, l, conn, R1, one);
            // To load a port takes r2.
            a.copy(R0, R1);
            load(a, l, conn, R1, other);
            a.jump_if_reg(When::Eq, R0, R1, otherwise);
        }
    }
}

/// `reg` = the part, without bits above it. A port uses r2 as well.
fn load(a: &mut Asm, l: &Layout, conn: usize, reg: Reg, part: Part) {
    match part.load(l) {
        Some(LoadPart::Plain(width, at)) => a.load(width, reg, R8, conn + at),
        Some(LoadPart::Port(at)) => {
            a.load(Width::B, reg, R8, conn + at);
            a.alu(Alu::Lsh, reg, 8);
            a.load(Width::B, R2, R8, conn + at + 1);
            a.alu_reg(Alu::Or, reg, R2);
        }
        // Tests of such parts are not usable.
        None => a.set(reg, 0),
    }
}

/// Jumps unless the bits of `reg` under the mask are the value. The other one of r0 and r2 is used.
fn compare(a: &mut Asm, reg: Reg, mask: u32, value: u32, otherwise: Label) {
    let other = if reg == R2 { R0 } else { R2 };
    if mask != u32::MAX {
        set(a, other, mask);
        a.alu_reg(Alu::And, reg, other);
    }
    match i32::try_from(value) {
        Ok(value) => a.jump_if(When::Ne, reg, value, otherwise),
        Err(_) => {
            set(a, other, value);
            a.jump_if_reg(When::Ne, reg, other, otherwise);
        }
    }
}

/// `reg` = a number of 32 bits: an immediate value would be extended by its sign.
fn set(a: &mut Asm, reg: Reg, value: u32) {
    match i32::try_from(value) {
        Ok(value) => a.set(reg, value),
        Err(_) => {
            a.set(reg, (value >> 16) as i32);
            a.alu(Alu::Lsh, reg, 16);
            a.alu(Alu::Or, reg, (value & 0xffff) as i32);
        }
    }
}
