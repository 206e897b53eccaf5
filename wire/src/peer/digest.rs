//! Messages by which two zctd find out that their caches differ (sync-protocol.md §10).
//!
//! The original knows none of them, and would ask for each one again for ever: they go only to a peer that has
//! said that it knows them, by [`MARK`] in a request for everything.

use crate::peer::header::{HDR, Hdr, Kind, Message, VERSION, flag};
use zerocopy::IntoBytes;

/// The second word of a RESYNC of a daemon that compares; the original leaves it zero and does not read it.
pub const MARK: u32 = 0x7a63_7401;
/// Leaves of a tree of sums: every flow belongs to one, by its key.
pub const LEAVES: usize = 1 << 16;
/// The parts that a span falls into.
pub const PARTS: usize = 16;
/// The largest span: all leaves.
const ALL_SHIFT: u8 = 16;
/// In place of the width of a span: the sum of everything is asked for.
const WHOLE: u8 = 0xff;

/// Neighbouring leaves, sixteen to some power of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    first: u16,
    shift: u8,
}

impl Span {
    /// All leaves.
    pub const ALL: Span = Span { first: 0, shift: ALL_SHIFT };

    /// The span of these leaves, if it has parts.
    fn new(first: u16, shift: u8) -> Option<Span> {
        let aligned = match shift {
            4 | 8 | 12 => first >> shift << shift == first,
            ALL_SHIFT => first == 0,
            _ => false,
        };
        aligned.then_some(Span { first, shift })
    }

    /// Its first leaf.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The number of leaves in each of its parts.
    pub fn part_len(self) -> usize {
        1 << self.shift.saturating_sub(4)
    }

    /// One of its parts: another span, or a single leaf.
    pub fn part(self, n: u8) -> Part {
        let shift = self.shift.saturating_sub(4);
        let first = self.first | u16::from(n & 15) << shift;
        if shift == 0 { Part::Leaf(first) } else { Part::Span(Span { first, shift }) }
    }
}

/// A part of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// More than one leaf.
    Span(Span),
    /// One leaf.
    Leaf(u16),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// The sum of everything.
    Whole,
    /// The sums of the parts of a span.
    Parts(Span),
}

/// A message about sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// Asks for sums.
    Ask(Ask),
    /// The sum of everything that was promised before this message.
    Whole(u64),
    /// The key of the sums, and the sums of the parts of a span.
    Parts(Span, [u64; 2], [u64; PARTS]),
    /// Asks for all flows of up to four leaves; what does not come is taken to have ended.
    Repair([u16; 4]),
}

/// Bytes of an [`Ask`] and of the span of an answer.
const SPAN: usize = 4;
/// Bytes of the longest message.
pub const DIGEST_MAX: usize = HDR + SPAN + 8 * (2 + PARTS);

fn u16_at(body: &[u8], at: usize) -> Option<u16> {
    body.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn u64_at(body: &[u8], at: usize) -> Option<u64> {
    body.get(at..)?.first_chunk().copied().map(u64::from_be_bytes)
}

/// Fills `N` places from eight bytes each.
fn words<const N: usize>(body: &[u8]) -> Option<[u64; N]> {
    let mut out = [0; N];
    for (to, at) in out.iter_mut().zip((0..).step_by(8)) {
        *to = u64_at(body, at)?;
    }
    Some(out)
}

impl Digest {
    /// Reads a message of this type; `None` when its flags or its length are none of those above.
    pub fn decode(m: &Message<'_>) -> Option<Digest> {
        let body = m.body();
        let span = || Some((u16_at(body, 0)?, *body.get(2)?));
        match (m.flags & !flag::GREETING, body.len()) {
            (flag::RESYNC, 8) => (span()? == (0, WHOLE)).then_some(Digest::Ask(Ask::Whole)),
            (flag::RESYNC, len) if len == DIGEST_MAX - HDR => {
                let (first, shift) = span()?;
                Span::new(first, shift).map(|s| Digest::Ask(Ask::Parts(s)))
            }
            (flag::ALIVE, 8) => u64_at(body, 0).map(Digest::Whole),
            (flag::ACK, len) if len == DIGEST_MAX - HDR => {
                let (first, shift) = span()?;
                let key = words(body.get(SPAN..)?)?;
                let sums = words(body.get(SPAN + 16..)?)?;
                Span::new(first, shift).map(|s| Digest::Parts(s, key, sums))
            }
            (flag::NACK, 8) => {
                let mut leaves = [0; 4];
                for (to, at) in leaves.iter_mut().zip((0..).step_by(2)) {
                    *to = u16_at(body, at)?;
                }
                Some(Digest::Repair(leaves))
            }
            _ => None,
        }
    }

    /// Writes the message to the start of `buf` with these `greeting` flags; returns its length, or `None` when
    /// there is no room.
    #[must_use = "the length is what is to be sent"]
    pub fn encode(&self, buf: &mut [u8], greeting: u8, seq: u32) -> Option<usize> {
        let mut body = [0; DIGEST_MAX - HDR];
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(to) = body.get_mut(len..).and_then(|b| b.get_mut(..bytes.len())) {
                to.copy_from_slice(bytes);
            }
            len = len.saturating_add(bytes.len());
        };
        let kind = match self {
            Digest::Ask(ask) => {
                let (first, shift) = match ask {
                    Ask::Whole => (0, WHOLE),
                    Ask::Parts(s) => (s.first, s.shift),
                };
                put(&first.to_be_bytes());
                put(&[shift, 0]);
                // A question is as long as its answer, so that nobody can make us send more than he sends.
                match ask {
                    Ask::Whole => put(&[0; 4]),
                    Ask::Parts(_) => put(&[0; 8 * (2 + PARTS)]),
                }
                flag::RESYNC
            }
            Digest::Whole(sum) => {
                put(&sum.to_be_bytes());
                flag::ALIVE
            }
            Digest::Parts(span, key, sums) => {
                put(&span.first.to_be_bytes());
                put(&[span.shift, 0]);
                key.iter().chain(sums).for_each(|w| put(&w.to_be_bytes()));
                flag::ACK
            }
            Digest::Repair(leaves) => {
                leaves.iter().for_each(|l| put(&l.to_be_bytes()));
                flag::NACK
            }
        };
        let whole = HDR.saturating_add(len);
        let hdr = Hdr {
            version_kind: VERSION << 4 | Kind::Digest.number(),
            flags: kind | greeting & flag::GREETING,
            len: (whole as u16).into(),
            seq: seq.into(),
        };
        let (head, rest) = buf.get_mut(..whole)?.split_at_mut_checked(HDR)?;
        head.copy_from_slice(hdr.as_bytes());
        rest.copy_from_slice(body.get(..len)?);
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::header::Messages;
    use std::vec::Vec;

    fn all() -> Vec<(Digest, usize)> {
        let span = Span::new(0x1200, 8).unwrap();
        std::vec![
            (Digest::Ask(Ask::Whole), 16),
            (Digest::Ask(Ask::Parts(span)), DIGEST_MAX),
            (Digest::Whole(0x0102_0304_0506_0708), 16),
            (Digest::Parts(span, [1, 2], core::array::from_fn(|i| i as u64)), DIGEST_MAX),
            (Digest::Repair([1, 2, 3, 0xffff]), 16),
        ]
    }

    #[test]
    fn every_message_goes_round_and_no_other_length_is_one() {
        for (digest, len) in all() {
            let mut buf = [0xa5; DIGEST_MAX];
            assert_eq!(digest.encode(&mut buf, flag::HELLO, 7), Some(len));
            let m = Messages::new(&buf[..len]).next().unwrap().unwrap();
            assert_eq!((m.number, m.seq, m.kind()), (6, 7, Some(Kind::Digest)));
            assert_eq!(Digest::decode(&m), Some(digest));
            for short in 0..len {
                assert_eq!(digest.encode(&mut [0; DIGEST_MAX][..short], 0, 7), None);
                if short >= HDR {
                    assert_eq!(Digest::decode(&Message { bytes: &buf[..short], ..m }), None, "{short}");
                }
            }
            let longer = [&buf[..len], &[0; 4]].concat();
            assert_eq!(Digest::decode(&Message { bytes: &longer, ..m }), None);
            assert_eq!(Digest::decode(&Message { flags: m.flags | 0x80, ..m }), None);
        }
    }

    #[test]
    fn the_bytes_are_these() {
        let mut buf = [0xa5; DIGEST_MAX];
        assert_eq!(Digest::Repair([1, 2, 3, 0xffff]).encode(&mut buf, 0, 0x0a0b_0c0d), Some(16));
        assert_eq!(buf[..16], [0x16, 0x04, 0, 16, 0x0a, 0x0b, 0x0c, 0x0d, 0, 1, 0, 2, 0, 3, 0xff, 0xff]);
        assert_eq!(Digest::Ask(Ask::Whole).encode(&mut buf, 0, 1), Some(16));
        assert_eq!(buf[..16], [0x16, 0x02, 0, 16, 0, 0, 0, 1, 0, 0, 0xff, 0, 0, 0, 0, 0]);
        assert_eq!(Digest::Whole(9).encode(&mut buf, 0, 1), Some(16));
        assert_eq!(buf[..16], [0x16, 0x10, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    }

    /// From all leaves down to single ones: every leaf is reached, by parts that begin where they should.
    #[test]
    fn spans_fall_into_all_their_leaves() {
        let (mut spans, mut leaves) = (std::vec![Span::ALL], Vec::new());
        while let Some(span) = spans.pop() {
            assert_eq!(Span::new(span.first, span.shift), Some(span));
            for n in 0..PARTS as u8 {
                match span.part(n) {
                    Part::Span(s) => {
                        assert_eq!(
                            usize::from(s.first()),
                            usize::from(span.first()) + usize::from(n) * span.part_len()
                        );
                        spans.push(s);
                    }
                    Part::Leaf(l) => leaves.push(l),
                }
            }
        }
        leaves.sort_unstable();
        assert!(leaves.iter().copied().eq(0..=u16::MAX));
        for (first, shift) in [(1, 16), (1, 4), (0x10, 8), (0, 0), (0, 5), (0, 20)] {
            assert_eq!(Span::new(first, shift), None, "{first} {shift}");
        }
    }
}
