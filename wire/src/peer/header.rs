//! The message header, control messages, and the cutting of datagrams and streams
//! (sync-protocol.md §2).

use crate::event::Event;
use zerocopy::byteorder::big_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The eight bytes every message starts with; all fields big endian.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Hdr {
    /// Protocol version in the high nibble, type in the low one.
    pub(crate) version_kind: u8,
    /// [`flag`] bits.
    pub(crate) flags: u8,
    /// Header, attributes and padding in bytes.
    pub(crate) len: big_endian::U16,
    /// Sequence number: every message of every type takes one.
    pub(crate) seq: big_endian::U32,
}

/// The sequence range behind the header of ACK, NACK and RESYNC; both ends belong to it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Range {
    from: big_endian::U32,
    to: big_endian::U32,
}

/// Size of the message header in bytes.
pub const HDR: usize = size_of::<Hdr>();
/// Size of ACK, NACK and RESYNC in bytes.
pub const CONTROL_LEN: usize = HDR + size_of::<Range>();
/// The only protocol version there is.
pub const VERSION: u8 = 1;

const _: () = assert!(HDR == 8 && CONTROL_LEN == 16);

/// Bits of the flags byte (sync-protocol.md §2.2). 0x01 and 0x80 are never sent.
pub mod flag {
    /// Control: send me your whole internal cache.
    pub const RESYNC: u8 = 0x02;
    /// Control: the range was lost.
    pub const NACK: u8 = 0x04;
    /// Control: the range was received.
    pub const ACK: u8 = 0x08;
    /// Control without a range: I am there.
    pub const ALIVE: u8 = 0x10;
    /// On any message: I have just started.
    pub const HELLO: u8 = 0x20;
    /// On any message: I have seen your HELLO.
    pub const HELLO_BACK: u8 = 0x40;
    /// Control messages with one of these carry a range.
    pub const RANGED: u8 = RESYNC | NACK | ACK;
    /// The two that may stand on messages of any type.
    pub const GREETING: u8 = HELLO | HELLO_BACK;
}

/// Message types (sync-protocol.md §2.1). What a message is about and what has happened to it are separate
/// here, so that a `match` has to handle every combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A flow. A new one replaces what the receiver has; in a changed one, absent attributes stay as they
    /// are.
    Flow(Event),
    /// An expectation.
    Expect(Event),
    /// ACK, NACK, RESYNC or ALIVE, according to the flags.
    Control,
    /// Sums of caches, between two zctd only; see [`digest`](crate::peer::digest).
    Digest,
}

impl Kind {
    /// The type with this number; 7 to 9 and 11 to 15 are not in use.
    #[inline]
    pub const fn from_number(n: u8) -> Option<Kind> {
        Some(match n {
            0 => Kind::Flow(Event::New),
            1 => Kind::Flow(Event::Update),
            2 => Kind::Flow(Event::Destroy),
            3 => Kind::Expect(Event::New),
            4 => Kind::Expect(Event::Update),
            5 => Kind::Expect(Event::Destroy),
            6 => Kind::Digest,
            10 => Kind::Control,
            _ => return None,
        })
    }

    /// The number of this type on the wire.
    #[inline]
    pub const fn number(self) -> u8 {
        match self {
            Kind::Flow(Event::New) => 0,
            Kind::Flow(Event::Update) => 1,
            Kind::Flow(Event::Destroy) => 2,
            Kind::Expect(Event::New) => 3,
            Kind::Expect(Event::Update) => 4,
            Kind::Expect(Event::Destroy) => 5,
            Kind::Digest => 6,
            Kind::Control => 10,
        }
    }
}

/// One message, borrowed from the datagram. Lengths are checked, the attributes are not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Type number; [`Message::kind`] knows the valid ones.
    pub number: u8,
    /// [`flag`] bits.
    pub flags: u8,
    /// Sequence number of the message.
    pub seq: u32,
    /// Header, attributes and padding.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// The type; `None` for a number that is not in use.
    #[inline]
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.number)
    }

    /// What follows the header: attributes, or a range, or nothing.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(HDR..).unwrap_or_default()
    }

    /// First and last sequence number of ACK, NACK and RESYNC; `None` when there is no range.
    pub fn range(&self) -> Option<(u32, u32)> {
        let (range, _) = Range::ref_from_prefix(self.body()).ok()?;
        Some((range.from.get(), range.to.get()))
    }
}

/// What is wrong with a message as far as its header tells; counters of `conntrackd -s network`
/// (sync-protocol.md §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bad {
    /// Fewer bytes left than a header, or a control message without its range.
    Truncated,
    /// A length that is smaller than the header or larger than what is left.
    Size,
    /// Another version; the length is believed and the next message read.
    Version,
}

/// How the end of a message is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP and multicast: whole messages, and nothing comes after the datagram.
    Datagram,
    /// TCP: messages one after the other, the rest of the last one still to come.
    Stream,
}

/// What [`split`] finds at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Split<'a> {
    /// There are no bytes left.
    End,
    /// Stream only: these bytes are the beginning of a message; wait for more.
    Partial(&'a [u8]),
    /// A message, and what follows it.
    Message(Message<'a>, &'a [u8]),
    /// Something wrong, and what follows it: empty when the length cannot be believed.
    Bad(Bad, &'a [u8]),
}

/// Cuts the first message off `bytes`, by the rules of sync-protocol.md §2.4.
///
/// Every answer but [`Split::Partial`] leaves fewer bytes than there were. A stream that yields
/// [`Bad::Size`] or [`Bad::Truncated`] has lost its framing and cannot be read any further.
#[inline]
pub fn split(bytes: &[u8], transport: Transport) -> Split<'_> {
    if bytes.is_empty() {
        return Split::End;
    }
    let stream = transport == Transport::Stream;
    let Ok((hdr, _)) = Hdr::ref_from_prefix(bytes) else {
        return if stream { Split::Partial(bytes) } else { Split::Bad(Bad::Truncated, &[]) };
    };
    let len = usize::from(hdr.len.get());
    let number = hdr.version_kind & 0x0f;
    let ranged = number == Kind::Control.number() && hdr.flags & flag::RANGED != 0;
    if len == 0 {
        return Split::Bad(Bad::Size, &[]);
    }
    if len > bytes.len() {
        return if stream { Split::Partial(bytes) } else { Split::Bad(Bad::Size, &[]) };
    }
    if ranged && bytes.len() < CONTROL_LEN {
        return if stream { Split::Partial(bytes) } else { Split::Bad(Bad::Truncated, &[]) };
    }
    if len < if ranged { CONTROL_LEN } else { HDR } {
        return Split::Bad(Bad::Size, &[]);
    }
    let (whole, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
    if hdr.version_kind >> 4 != VERSION {
        return Split::Bad(Bad::Version, rest);
    }
    Split::Message(Message { number, flags: hdr.flags, seq: hdr.seq.get(), bytes: whole }, rest)
}

/// Walks the messages of one datagram; ends after a length that cannot be believed.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is read before it is walked"]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Walks `datagram` as received.
    #[inline]
    pub fn new(datagram: &'a [u8]) -> Self {
        Messages { rest: datagram }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Bad>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (item, rest) = match split(self.rest, Transport::Datagram) {
            // A datagram never yields the beginning of a message.
            Split::End | Split::Partial(_) => return None,
            Split::Message(m, rest) => (Ok(m), rest),
            Split::Bad(bad, rest) => (Err(bad), rest),
        };
        self.rest = rest;
        Some(item)
    }
}

/// Writes a control message into the start of `buf`: eight bytes for ALIVE (`range` is `None`), sixteen
/// otherwise. Returns its length, or `None` when the buffer is too small.
#[must_use = "the length is what is to be sent"]
pub fn encode_control(buf: &mut [u8], flags: u8, seq: u32, range: Option<(u32, u32)>) -> Option<usize> {
    let len = if range.is_some() { CONTROL_LEN } else { HDR };
    let hdr = Hdr {
        version_kind: VERSION << 4 | Kind::Control.number(),
        flags,
        len: (len as u16).into(),
        seq: seq.into(),
    };
    let (head, body) = buf.get_mut(..len)?.split_at_mut_checked(HDR)?;
    head.copy_from_slice(hdr.as_bytes());
    if let Some((from, to)) = range {
        body.copy_from_slice(Range { from: from.into(), to: to.into() }.as_bytes());
    }
    Some(len)
}

/// True when `a` is after `b` in serial arithmetic: the signed difference is positive
/// (sync-protocol.md §2.3).
#[inline]
pub fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::captures;
    use std::vec::Vec;

    #[test]
    fn control_messages_as_captured() {
        let m: Vec<_> = Messages::new(captures::ALIVE_HELLO).map(Result::unwrap).collect();
        assert_eq!((m.len(), m[0].number, m[0].flags, m[0].seq), (1, 10, 0x30, 1_795_452_517));
        assert_eq!((m[0].body(), m[0].range()), (&[][..], None));

        let m: Vec<_> = Messages::new(captures::ACK_AND_NACK).map(Result::unwrap).collect();
        assert_eq!((m[0].flags, m[0].range()), (flag::ACK, Some((1_795_451_856, 1_795_451_856))));
        assert_eq!((m[1].flags, m[1].range()), (flag::NACK, Some((1_795_451_857, 1_795_451_863))));
        assert_eq!(m.len(), 2);
    }

    #[test]
    fn control_messages_are_written_as_captured() {
        for whole in [
            captures::ALIVE_HELLO,
            captures::ACK_HELLO_HELLO_BACK,
            captures::RESYNC_HELLO,
            &captures::ACK_AND_NACK[..16],
        ] {
            let m = Messages::new(whole).next().unwrap().unwrap();
            let mut buf = [0xa5; 16];
            let n = encode_control(&mut buf, m.flags, m.seq, m.range()).unwrap();
            assert_eq!(&buf[..n], whole);
            for short in 0..n {
                assert_eq!(encode_control(&mut buf[..short], m.flags, m.seq, m.range()), None);
            }
        }
    }

    #[test]
    fn every_truncation_is_refused_and_a_stream_waits() {
        for whole in captures::ALL {
            let first = usize::from(u16::from_be_bytes([whole[2], whole[3]]));
            for n in 1..first {
                let cut = &whole[..n];
                let want = if n < HDR { Bad::Truncated } else { Bad::Size };
                assert_eq!(split(cut, Transport::Datagram), Split::Bad(want, &[]), "{n} of {first}");
                assert_eq!(split(cut, Transport::Stream), Split::Partial(cut), "{n} of {first}");
            }
            assert!(
                matches!(split(whole, Transport::Stream), Split::Message(m, _) if m.bytes.len() == first)
            );
        }
    }

    /// The rows of the table of sync-protocol.md §2.4 that the header decides.
    #[test]
    fn lengths_that_lie() {
        let first = |bytes: &[u8]| match split(bytes, Transport::Datagram) {
            Split::Bad(bad, rest) => (bad, rest.len()),
            other @ (Split::End | Split::Partial(_) | Split::Message(..)) => panic!("{other:?}"),
        };
        let with_len = |len: u16, kind: u8, flags: u8, total: usize| {
            let mut v = std::vec![0u8; total];
            v[0] = 0x10 | kind;
            v[1] = flags;
            v[2..4].copy_from_slice(&len.to_be_bytes());
            v
        };
        assert_eq!(first(&with_len(0, 0, 0, 40)), (Bad::Size, 0));
        assert_eq!(first(&with_len(41, 0, 0, 40)), (Bad::Size, 0));
        assert_eq!(first(&with_len(7, 0, 0, 40)), (Bad::Size, 0));
        assert_eq!(first(&with_len(u16::MAX, 0, 0, 40)), (Bad::Size, 0));
        assert_eq!(first(&with_len(8, 10, flag::ACK, 15)), (Bad::Truncated, 0));
        assert_eq!(first(&with_len(8, 10, flag::NACK, 16)), (Bad::Size, 0));
        assert_eq!(first(&with_len(15, 10, flag::RESYNC, 40)), (Bad::Size, 0));
        // ALIVE has no range, so eight bytes are enough for it.
        assert!(matches!(split(&with_len(8, 10, flag::ALIVE, 8), Transport::Datagram), Split::Message(..)));
        // Another version is skipped by its length and the next message is read.
        let mut two = with_len(8, 0, 0, 8);
        two[0] = 0x20;
        two.extend(with_len(8, 10, flag::ALIVE, 8));
        let got: Vec<_> = Messages::new(&two).collect();
        assert_eq!(got[0], Err(Bad::Version));
        assert_eq!(got[1].unwrap().flags, flag::ALIVE);
        // A length that is not a multiple of four is believed.
        let odd = with_len(9, 0, 0, 12);
        assert_eq!(Messages::new(&odd).collect::<Vec<_>>()[1], Err(Bad::Truncated));
    }

    /// Both directions agree on every number, and each type has one of its own.
    #[test]
    fn types_and_numbers() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(|n| Kind::from_number(n).map(|k| (n, k))).collect();
        assert!(known.iter().all(|(n, kind)| kind.number() == *n));
        assert_eq!(known.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 10]);
    }

    #[test]
    fn serial_numbers_wrap() {
        assert!(after(1, 0) && after(0, u32::MAX) && after(5, 0xffff_fff0));
        assert!(!after(0, 0) && !after(0, 1) && !after(u32::MAX, 0));
        assert!(after(0x7fff_ffff, 0) && !after(0x8000_0000, 0));
    }
}
