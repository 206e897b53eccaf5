//! Attributes that few flows have, in chains of small cells: helpers, labels, masters, IPv6 translation and
//! the like.

use crate::store::slab::{NIL, Slab, Slot};
use zct_wire::flow::{SeqAdj, Synproxy};
use zct_wire::peer::{Flow, Name};
use zct_wire::proto::ProtoInfo;
use zct_wire::tuple::{Addr, Tuple};

/// Bytes of payload in a cell: enough for labels, an IPv6 address or a helper's name.
const PAYLOAD: usize = 16;

/// The attributes of a flow that are compared, as words: the last six are those that few flows have.
pub(crate) type Essence = [u64; 9];

/// The kinds of contents of a cell.
mod kind {
    pub(super) const FREE: u8 = 0;
    pub(super) const HELPER: u8 = 1;
    pub(super) const LABELS: u8 = 2;
    pub(super) const SYNPROXY: u8 = 3;
    pub(super) const VTAGS: u8 = 4;
    pub(super) const SEQ_ORIG: u8 = 5;
    pub(super) const SEQ_REPLY: u8 = 6;
    pub(super) const SNAT6: u8 = 7;
    pub(super) const DNAT6: u8 = 8;
    /// Which members a master has, with its protocol, ports, and IPv4 addresses.
    pub(super) const MASTER: u8 = 9;
    pub(super) const MASTER6_SRC: u8 = 10;
    pub(super) const MASTER6_DST: u8 = 11;
}

/// A cell of 24 bytes: where the chain continues, what kind it is, and the payload. `has` says which of
/// several optional values the payload holds.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Cell {
    next: u32,
    kind: u8,
    has: u8,
    spare: [u8; 2],
    payload: [u8; PAYLOAD],
}

const _: () = assert!(size_of::<Cell>() == 24);

impl Default for Cell {
    fn default() -> Self {
        Cell { next: NIL, kind: kind::FREE, has: 0, spare: [0; 2], payload: [0; PAYLOAD] }
    }
}

impl Slot for Cell {
    fn free(next: u32) -> Self {
        Cell { next, ..Cell::default() }
    }
    fn next_free(&self) -> Option<u32> {
        (self.kind == kind::FREE).then_some(self.next)
    }
}

/// All cells of a store.
#[derive(Debug)]
pub(crate) struct Cells(Slab<Cell>);

/// Writes the cells of one flow, reusing an old chain.
struct Writer<'a> {
    slab: &'a mut Slab<Cell>,
    // The cells of the old chain that have not been overwritten yet.
    old: u32,
    head: u32,
}

impl Writer<'_> {
    fn put(&mut self, kind: u8, has: u8, bytes: &[u8]) {
        let mut cell = Cell { next: self.head, kind, has, ..Cell::default() };
        for (to, from) in cell.payload.iter_mut().zip(bytes) {
            *to = *from;
        }
        let at = if self.old == NIL {
            self.slab.insert(cell)
        } else {
            let at = self.old;
            self.slab.get_mut(at).map(|slot| {
                self.old = slot.next;
                *slot = cell;
                at
            })
        };
        // There is always a free cell: records are limited to a sixteenth of the numbers that a slab has.
        self.head = at.unwrap_or(self.head);
    }

    fn addr6(&mut self, kind: u8, addr: Option<Addr>) {
        if let Some(Addr::V6(a)) = addr {
            self.put(kind, 0, &a);
        }
    }
}

impl Cells {
    pub(crate) fn new() -> Self {
        Cells(Slab::new())
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        self.0.memory()
    }

    /// Cells in use.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Frees all cells and their memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Replaces the chain at `head` by what `flow` needs, which is usually nothing.
    #[inline]
    pub(crate) fn rewrite(&mut self, head: &mut u32, flow: &Flow) {
        let vtags = matches!(flow.proto, Some(ProtoInfo::Sctp(i)) if i.vtag != [None; 2]);
        let nothing = *head == NIL
            && !vtags
            && flow.helper.is_none()
            && flow.labels.is_none()
            && flow.master.is_none()
            && flow.seq_adj.is_none()
            && flow.synproxy.is_none_or(|s| s == Synproxy::default())
            && !matches!(flow.snat, Some(Addr::V6(_)))
            && !matches!(flow.dnat, Some(Addr::V6(_)));
        if !nothing {
            self.rewrite_chain(head, flow);
        }
    }

    fn rewrite_chain(&mut self, head: &mut u32, flow: &Flow) {
        let mut w = Writer { slab: &mut self.0, old: *head, head: NIL };
        if let Some(h) = &flow.helper {
            w.put(kind::HELPER, 0, h.padded());
        }
        if let Some(l) = &flow.labels {
            w.put(kind::LABELS, 0, l);
        }
        if let Some(s) = flow.synproxy.filter(|s| *s != Synproxy::default()) {
            w.put(kind::SYNPROXY, 0, &words([s.isn, s.its, s.tsoff]));
        }
        if let Some(ProtoInfo::Sctp(i)) = flow.proto {
            let [orig, reply] = i.vtag;
            let has = u8::from(orig.is_some()) | u8::from(reply.is_some()) << 1;
            if has != 0 {
                w.put(kind::VTAGS, has, &words([orig.unwrap_or(0), reply.unwrap_or(0), 0]));
            }
        }
        if let Some([orig, reply]) = flow.seq_adj {
            for (kind, a) in [(kind::SEQ_ORIG, orig), (kind::SEQ_REPLY, reply)] {
                // Offsets are signed; the same cast brings them back.
                w.put(kind, 0, &words([a.correction_pos, a.offset_before as u32, a.offset_after as u32]));
            }
        }
        w.addr6(kind::SNAT6, flow.snat);
        w.addr6(kind::DNAT6, flow.dnat);
        if let Some(m) = &flow.master {
            w.addr6(kind::MASTER6_SRC, m.src);
            w.addr6(kind::MASTER6_DST, m.dst);
            let (has, bytes) = master(m);
            w.put(kind::MASTER, has, &bytes);
        }
        let old = w.old;
        *head = w.head;
        self.free(old);
    }

    /// Frees the chain that starts at `head`.
    pub(crate) fn free(&mut self, mut head: u32) {
        while let Some(cell) = self.0.remove(head) {
            head = cell.next;
        }
    }

    /// What the chain at `head` has of that which is compared between nodes: labels and translation. Words of
    /// addresses are in network order, and those of labels are what the kernel's numbers are.
    pub(crate) fn essence(&self, mut head: u32, rare: &mut [u64; 6]) {
        while let Some(cell) = self.0.get(head) {
            head = cell.next;
            let [a, b, c, d] = cell.quarters();
            match cell.kind {
                kind::LABELS => {
                    let words = [a, b, c, d].map(|w| u64::from(u32::from_ne_bytes(w)));
                    let [a, b, c, d] = words;
                    let [high, low, ..] = rare;
                    (*high, *low) = (a << 32 | b, c << 32 | d);
                }
                kind::SNAT6 | kind::DNAT6 => {
                    let [a, b, c, d] = [a, b, c, d].map(|w| u64::from(u32::from_be_bytes(w)));
                    let [_, _, snat @ .., dnat0, dnat1] = rare;
                    let [snat0, snat1] = snat;
                    let (high, low) = if cell.kind == kind::SNAT6 { (snat0, snat1) } else { (dnat0, dnat1) };
                    (*high, *low) = (a << 32 | b, c << 32 | d);
                }
                _ => {}
            }
        }
    }

    /// Reads what the chain at `head` holds into `flow`.
    pub(crate) fn read(&self, mut head: u32, flow: &mut Flow) {
        while let Some(cell) = self.0.get(head) {
            cell.read(flow);
            head = cell.next;
        }
    }
}

const HAS_V4: u8 = 1;
const HAS_PROTO: u8 = 2;
const HAS_PORTS: u8 = 4;

/// The part of a master that fits one cell: which members there are, and protocol, ports and IPv4 addresses.
fn master(m: &Tuple) -> (u8, [u8; 13]) {
    let mut has = 0;
    let (mut src, mut dst) = ([0; 4], [0; 4]);
    if let (Some(Addr::V4(s)), Some(Addr::V4(d))) = (m.src, m.dst) {
        (src, dst) = (s, d);
        has |= HAS_V4;
    }
    if m.proto.is_some() {
        has |= HAS_PROTO;
    }
    if m.src_port.is_some() && m.dst_port.is_some() {
        has |= HAS_PORTS;
    }
    let [p0, p1] = m.src_port.unwrap_or(0).to_be_bytes();
    let [p2, p3] = m.dst_port.unwrap_or(0).to_be_bytes();
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (src, dst);
    (has, [m.proto.unwrap_or(0), p0, p1, p2, p3, s0, s1, s2, s3, d0, d1, d2, d3])
}

fn words(words: [u32; 3]) -> [u8; 12] {
    let mut out = [0; 12];
    for (to, from) in out.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&from.to_ne_bytes());
    }
    out
}

impl Cell {
    fn quarters(&self) -> [[u8; 4]; 4] {
        let mut out = [[0; 4]; 4];
        for (to, from) in out.iter_mut().zip(self.payload.chunks_exact(4)) {
            to.copy_from_slice(from);
        }
        out
    }

    fn words(&self) -> [u32; 3] {
        let mut out = [0; 3];
        for (to, from) in out.iter_mut().zip(self.payload.chunks_exact(4)) {
            *to = from.first_chunk().copied().map_or(0, u32::from_ne_bytes);
        }
        out
    }

    fn read(&self, flow: &mut Flow) {
        let [a, b, c] = self.words();
        let adj = SeqAdj { correction_pos: a, offset_before: b as i32, offset_after: c as i32 };
        match self.kind {
            kind::HELPER => flow.helper = Name::new(self.payload.split_last().map_or(&[], |(_, name)| name)),
            kind::LABELS => flow.labels = Some(self.payload),
            kind::SYNPROXY => flow.synproxy = Some(Synproxy { isn: a, its: b, tsoff: c }),
            kind::VTAGS => {
                if let Some(ProtoInfo::Sctp(i)) = &mut flow.proto {
                    i.vtag = [(self.has & 1 != 0).then_some(a), (self.has & 2 != 0).then_some(b)];
                }
            }
            kind::SEQ_ORIG => flow.seq_adj.get_or_insert_default()[0] = adj,
            kind::SEQ_REPLY => flow.seq_adj.get_or_insert_default()[1] = adj,
            kind::SNAT6 => flow.snat = Some(Addr::V6(self.payload)),
            kind::DNAT6 => flow.dnat = Some(Addr::V6(self.payload)),
            kind::MASTER6_SRC => flow.master.get_or_insert_default().src = Some(Addr::V6(self.payload)),
            kind::MASTER6_DST => flow.master.get_or_insert_default().dst = Some(Addr::V6(self.payload)),
            kind::MASTER => {
                let m = flow.master.get_or_insert_default();
                let [proto, p0, p1, p2, p3, s0, s1, s2, s3, d0, d1, d2, d3, ..] = self.payload;
                if self.has & HAS_V4 != 0 {
                    m.src = Some(Addr::V4([s0, s1, s2, s3]));
                    m.dst = Some(Addr::V4([d0, d1, d2, d3]));
                }
                if self.has & HAS_PROTO != 0 {
                    m.proto = Some(proto);
                }
                if self.has & HAS_PORTS != 0 {
                    m.src_port = Some(u16::from_be_bytes([p0, p1]));
                    m.dst_port = Some(u16::from_be_bytes([p2, p3]));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(bits: u8) -> Flow {
        Flow { labels: Some([bits; 16]), ..Flow::default() }
    }

    #[test]
    fn a_chain_is_rewritten_in_place_and_freed() {
        let mut cells = Cells::new();
        let mut head = NIL;
        cells.rewrite(&mut head, &Flow::default());
        assert_eq!((head, cells.len(), cells.memory()), (NIL, 0, 0));

        let more = Flow {
            helper: Name::new(b"ftp"),
            synproxy: Some(Synproxy { isn: 1, its: 2, tsoff: 3 }),
            ..labelled(1)
        };
        cells.rewrite(&mut head, &more);
        assert_eq!(cells.len(), 3);
        let mut back = Flow::default();
        cells.read(head, &mut back);
        assert_eq!(back, more);

        cells.rewrite(&mut head, &labelled(2));
        assert_eq!(cells.len(), 1);
        let mut back = Flow::default();
        cells.read(head, &mut back);
        assert_eq!(back, labelled(2));

        cells.rewrite(&mut head, &Flow::default());
        assert_eq!((head, cells.len()), (NIL, 0));
    }

    #[test]
    fn names_of_full_length_and_masters_of_both_families_come_back() {
        let v4 = Tuple {
            src: Some(Addr::V4([1; 4])),
            dst: Some(Addr::V4([2; 4])),
            proto: Some(6),
            src_port: Some(1),
            dst_port: Some(0xff00),
            ..Tuple::default()
        };
        let v6 = Tuple {
            src: Some(Addr::V6([1; 16])),
            dst: Some(Addr::V6([2; 16])),
            src_port: None,
            dst_port: None,
            ..v4
        };
        for master in [v4, v6, Tuple { proto: None, ..v4 }] {
            let flow =
                Flow { master: Some(master), helper: Name::new(b"fifteenletters_"), ..Flow::default() };
            let (mut cells, mut head, mut back) = (Cells::new(), NIL, Flow::default());
            cells.rewrite(&mut head, &flow);
            cells.read(head, &mut back);
            assert_eq!(back, flow);
        }
    }
}
