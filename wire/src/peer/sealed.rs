//! Sealed frames: the bytes around encrypted messages, and what nodes tell each other about their keys
//! (sealed-peers.md §3).
//!
//! A frame is a header in the clear, the encrypted text and a tag. Its first four bytes are those of a
//! message in another version, so that whoever does not know sealed frames skips one as a whole. Nothing here
//! knows a key: [`FrameHeader`] and [`Note`] translate between bytes and values, [`parts`] and [`next`] find
//! the pieces.

use crate::peer::header::{Split, Transport, VERSION, split};
use zerocopy::byteorder::big_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first byte of every sealed frame: where a message has its version and its type, version 5, type 0.
pub const MAGIC: u8 = 0x50;
/// Bytes in front of the text. All of them are authenticated, none is secret.
pub const HEADER_LEN: usize = size_of::<Layout>();
/// The same of a frame that names the node that it is for: the number of that node comes last.
pub const ADDRESSED_LEN: usize = HEADER_LEN + size_of::<big_endian::U16>();
/// Bytes behind the text.
pub const TAG_LEN: usize = 16;
/// What sealing adds to the messages of a datagram.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// The same where several nodes hear what is sent, and frames name the one that they are for.
pub const ADDRESSED_OVERHEAD: usize = ADDRESSED_LEN + TAG_LEN;
/// The length of every [`Note`], and the shortest text there is: whatever makes a node answer is at least as
/// long as the answer.
pub const NOTE_LEN: usize = size_of::<NoteLayout>();
/// The shortest frame.
pub const FRAME_MIN: usize = OVERHEAD + NOTE_LEN;
/// The longest frame, as the length is 16 bits wide.
pub const FRAME_MAX: usize = u16::MAX as usize;

/// A random number that stands for one start of one sender.
pub type Epoch = [u8; 16];

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    magic: u8,
    kind: u8,
    len: big_endian::U16,
    key: u8,
    padding: u8,
    node: big_endian::U16,
    epoch: Epoch,
    counter: big_endian::U64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct NoteLayout {
    node: big_endian::U16,
    first: [u8; 16],
    second: [u8; 16],
}

const _: () = assert!(HEADER_LEN == 32 && NOTE_LEN == 34 && FRAME_MIN == 82);

/// The number of [`FrameKind::Addressed`].
const ADDRESSED: u8 = 4;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Messages, as many as a datagram without sealing would have.
    Data,
    /// [`Note::Challenge`].
    Challenge,
    /// [`Note::Answer`].
    Answer,
    /// [`Note::Successor`].
    Successor,
    /// As [`FrameKind::Data`], for one of several nodes that hear it.
    Addressed,
}

impl FrameKind {
    const fn from_number(n: u8) -> Option<FrameKind> {
        Some(match n {
            0 => FrameKind::Data,
            1 => FrameKind::Challenge,
            2 => FrameKind::Answer,
            3 => FrameKind::Successor,
            ADDRESSED => FrameKind::Addressed,
            _ => return None,
        })
    }

    const fn number(self) -> u8 {
        match self {
            FrameKind::Data => 0,
            FrameKind::Challenge => 1,
            FrameKind::Answer => 2,
            FrameKind::Successor => 3,
            FrameKind::Addressed => ADDRESSED,
        }
    }

    /// Bytes in front of the text of a frame of this kind.
    pub const fn header_len(self) -> usize {
        match self {
            FrameKind::Addressed => ADDRESSED_LEN,
            FrameKind::Data | FrameKind::Challenge | FrameKind::Answer | FrameKind::Successor => HEADER_LEN,
        }
    }
}

/// A frame's header. Numbers are big endian on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the text is.
    pub kind: FrameKind,
    /// The whole frame in bytes, from [`FRAME_MIN`] on.
    pub len: u16,
    /// The number of the key that the sender's key was derived from.
    pub key: u8,
    /// How many bytes at the end of the text are padding.
    pub padding: u8,
    /// The sender's `NodeID`.
    pub node: u16,
    /// The sender's epoch.
    pub epoch: Epoch,
    /// The number of this frame in its epoch, from 0 on: no two frames have the same.
    pub counter: u64,
    /// The node that it is for, in a frame of the kind [`FrameKind::Addressed`]; 0 in others.
    pub to: u16,
}

impl FrameHeader {
    /// Reads the header of a frame; `frame` is all of it and nothing more. `None` for a kind that is not in
    /// use, a length that is not the frame's, and more padding than there is text.
    pub fn read(frame: &[u8]) -> Option<FrameHeader> {
        let (l, _) = Layout::ref_from_prefix(frame).ok()?;
        let kind = FrameKind::from_number(l.kind)?;
        let text = frame.len().checked_sub(kind.header_len())?.checked_sub(TAG_LEN)?;
        let fits = l.magic == MAGIC && usize::from(l.len.get()) == frame.len() && text >= NOTE_LEN;
        let to = frame.get(HEADER_LEN..kind.header_len()).and_then(|to| to.try_into().ok());
        (fits && usize::from(l.padding) <= text).then_some(FrameHeader {
            kind,
            len: l.len.get(),
            key: l.key,
            padding: l.padding,
            node: l.node.get(),
            epoch: l.epoch,
            counter: l.counter.get(),
            to: to.map_or(0, u16::from_be_bytes),
        })
    }

    /// Writes the header to the start of `frame`. `None`, with nothing written, if `frame` is shorter.
    pub fn write(&self, frame: &mut [u8]) -> Option<()> {
        if frame.len() < self.kind.header_len() {
            return None;
        }
        let (l, rest) = Layout::mut_from_prefix(frame).ok()?;
        *l = Layout {
            magic: MAGIC,
            kind: self.kind.number(),
            len: self.len.into(),
            key: self.key,
            padding: self.padding,
            node: self.node.into(),
            epoch: self.epoch,
            counter: self.counter.into(),
        };
        if let (FrameKind::Addressed, Some(to)) = (self.kind, rest.first_chunk_mut()) {
            *to = self.to.to_be_bytes();
        }
        Some(())
    }
}

/// The three parts of a frame.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The header, which is authenticated along with the text.
    pub header: &'a [u8],
    /// The text, encrypted or not.
    pub text: &'a mut [u8],
    /// The tag.
    pub tag: &'a mut [u8; TAG_LEN],
}

/// Where the parts of a frame are; `None` if it is shorter than what its kind has around the text.
pub fn parts(frame: &mut [u8]) -> Option<Parts<'_>> {
    let kind = frame.get(1).copied().and_then(FrameKind::from_number).unwrap_or(FrameKind::Data);
    let (header, rest) = frame.split_at_mut_checked(kind.header_len())?;
    let (text, tag) = rest.split_last_chunk_mut()?;
    Some(Parts { header, text, tag })
}

/// What nodes tell each other about their keys, sealed like messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// "Answer with this number, if this is your epoch."
    Challenge {
        /// Who is asked.
        node: u16,
        /// The epoch that has to prove that it is not a recording.
        epoch: Epoch,
        /// A number that nobody can have known before.
        nonce: [u8; 16],
    },
    /// "I am the one you have asked."
    Answer {
        /// Who has asked.
        node: u16,
        /// The number of the challenge.
        nonce: [u8; 16],
    },
    /// "This is my next epoch."
    Successor {
        /// The number of the key that it will be derived from.
        key: u8,
        /// The epoch, of which no frame has been sent yet.
        epoch: Epoch,
    },
}

impl Note {
    /// The kind of the frame that carries it.
    pub fn kind(&self) -> FrameKind {
        match self {
            Note::Challenge { .. } => FrameKind::Challenge,
            Note::Answer { .. } => FrameKind::Answer,
            Note::Successor { .. } => FrameKind::Successor,
        }
    }

    /// Reads the text of a frame of this kind. `None` for messages, and for a text of another length.
    pub fn read(kind: FrameKind, text: &[u8]) -> Option<Note> {
        let NoteLayout { node, first, second } = NoteLayout::read_from_bytes(text).ok()?;
        let node = node.get();
        match kind {
            FrameKind::Data | FrameKind::Addressed => None,
            FrameKind::Challenge => Some(Note::Challenge { node, epoch: first, nonce: second }),
            FrameKind::Answer => Some(Note::Answer { node, nonce: second }),
            FrameKind::Successor => {
                let key = u8::try_from(node).ok()?;
                Some(Note::Successor { key, epoch: first })
            }
        }
    }

    /// The text. What a kind has no use for is zero.
    pub fn bytes(&self) -> [u8; NOTE_LEN] {
        let (node, first, second) = match *self {
            Note::Challenge { node, epoch, nonce } => (node, epoch, nonce),
            Note::Answer { node, nonce } => (node, [0; 16], nonce),
            Note::Successor { key, epoch } => (key.into(), epoch, [0; 16]),
        };
        let mut out = [0; NOTE_LEN];
        if let Ok(l) = NoteLayout::mut_from_bytes(&mut out) {
            *l = NoteLayout { node: node.into(), first, second };
        }
        out
    }
}

/// What a datagram or a piece of a stream begins with.
#[derive(Debug)]
pub enum Piece<'a> {
    /// One sealed frame, as long as its length field says. [`FrameHeader::read`] tells whether it is valid.
    Sealed(&'a mut [u8]),
    /// Messages without a seal, or nonsense: everything up to the next sealed frame.
    Plain(&'a mut [u8]),
}

/// Cuts the next piece off; `None` when there is nothing left. A sealed frame that is longer than what is
/// left, or shorter than [`FRAME_MIN`], takes all that is left with it.
pub fn next<'a>(run: &mut &'a mut [u8]) -> Option<Piece<'a>> {
    let whole = core::mem::take(run);
    let first = *whole.first()?;
    if first >> 4 == MAGIC >> 4 {
        let claimed = whole.get(2..4).and_then(|l| l.try_into().ok()).map_or(0, u16::from_be_bytes);
        let len = usize::from(claimed);
        let len = if (FRAME_MIN..=whole.len()).contains(&len) { len } else { whole.len() };
        let (frame, rest) = whole.split_at_mut_checked(len)?;
        *run = rest;
        return Some(Piece::Sealed(frame));
    }
    let mut plain = 0usize;
    loop {
        let rest = whole.get(plain..).unwrap_or_default();
        // Version 1 or any other that is not ours: the messages' own reader judges it.
        let is_sealed = rest.first().is_some_and(|b| b >> 4 == MAGIC >> 4);
        let after = match split(rest, Transport::Datagram) {
            _ if is_sealed => break,
            Split::End | Split::Partial(_) => break,
            Split::Message(_, after) | Split::Bad(_, after) => after.len(),
        };
        plain = whole.len().saturating_sub(after);
    }
    let (messages, rest) = whole.split_at_mut_checked(plain)?;
    *run = rest;
    Some(Piece::Plain(messages))
}

const _: () = assert!(MAGIC >> 4 != VERSION);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::header::encode_control;
    use crate::peer::{Bad, flag};
    use std::vec;
    use std::vec::Vec;

    const HEADER: FrameHeader = FrameHeader {
        kind: FrameKind::Challenge,
        len: 82,
        key: 7,
        padding: 3,
        node: 0x0102,
        epoch: *b"0123456789abcdef",
        counter: 0x0a0b_0c0d_0e0f_1011,
        to: 0,
    };

    /// One field on each line.
    const BYTES: [u8; HEADER_LEN] = [
        0x50, // magic
        0x01, // kind: challenge
        0x00, 0x52, // length
        0x07, // key
        0x03, // padding
        0x01, 0x02, // node
        b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9', b'a', b'b', b'c', b'd', b'e',
        b'f', // epoch
        0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, // counter
    ];

    #[test]
    fn a_header_is_these_bytes() {
        let mut frame = [0xa5; 82];
        assert_eq!(HEADER.write(&mut frame), Some(()));
        assert_eq!(frame[..HEADER_LEN], BYTES);
        assert_eq!(FrameHeader::read(&frame), Some(HEADER));
        assert!(HEADER.write(&mut [0; HEADER_LEN - 1]).is_none());
    }

    /// The number of the node that it is for stands in the clear behind all else, and is authenticated.
    #[test]
    fn a_header_that_names_a_node_is_these_bytes() {
        let header = FrameHeader { kind: FrameKind::Addressed, len: 84, to: 0x1213, ..HEADER };
        let mut frame = [0xa5; 84];
        assert_eq!(header.write(&mut frame), Some(()));
        let mut wanted = BYTES;
        (wanted[1], wanted[3]) = (4, 84);
        assert_eq!(
            (&frame[..HEADER_LEN], &frame[HEADER_LEN..36]),
            (&wanted[..], &[0x12, 0x13, 0xa5, 0xa5][..])
        );
        assert_eq!(FrameHeader::read(&frame), Some(header));
        let p = parts(&mut frame).unwrap();
        assert_eq!((p.header.len(), p.text.len(), p.tag.len()), (ADDRESSED_LEN, NOTE_LEN, TAG_LEN));
        assert!(header.write(&mut [0; ADDRESSED_LEN - 1]).is_none());
        // As short as other frames it has too little text, and more padding than text it cannot have.
        frame[3] = 83;
        assert_eq!(FrameHeader::read(&frame[..83]), None);
        (frame[3], frame[5]) = (84, 35);
        assert_eq!(FrameHeader::read(&frame), None);
    }

    #[test]
    fn a_header_that_contradicts_itself_is_none() {
        let mut frame = [0; 200];
        assert_eq!(HEADER.write(&mut frame), Some(()));
        for len in (0..200).filter(|n| *n != 82) {
            assert_eq!(FrameHeader::read(&frame[..len]), None, "{len} bytes");
        }
        for (at, byte) in [(0, 0x10), (0, 0x51), (1, 5), (1, 255), (2, 1), (3, 81), (5, 35), (5, 255)] {
            let mut wrong: [u8; 82] = frame[..82].try_into().unwrap();
            wrong[at] = byte;
            assert_eq!(FrameHeader::read(&wrong), None, "{byte} at {at}");
        }
        let mut full: [u8; 82] = frame[..82].try_into().unwrap();
        full[5] = 34;
        assert_eq!(FrameHeader::read(&full).map(|h| h.padding), Some(34));
    }

    #[test]
    fn notes_are_these_bytes() {
        let (epoch, nonce) = (*b"EEEEEEEEEEEEEEEE", *b"NNNNNNNNNNNNNNNN");
        let notes = [
            (Note::Challenge { node: 0x0304, epoch, nonce }, [3, 4], epoch, nonce),
            (Note::Answer { node: 0x0304, nonce }, [3, 4], [0; 16], nonce),
            (Note::Successor { key: 9, epoch }, [0, 9], epoch, [0; 16]),
        ];
        for (note, node, first, second) in notes {
            let bytes = note.bytes();
            assert_eq!((&bytes[..2], &bytes[2..18], &bytes[18..]), (&node[..], &first[..], &second[..]));
            assert_eq!(Note::read(note.kind(), &bytes), Some(note));
            assert_eq!(Note::read(FrameKind::Data, &bytes), None);
            for len in 0..NOTE_LEN {
                assert_eq!(Note::read(note.kind(), &bytes[..len]), None);
            }
        }
        assert_eq!(Note::read(FrameKind::Successor, &[1; NOTE_LEN]), None);
    }

    #[test]
    fn parts_are_where_they_belong() {
        let mut frame: [u8; 82] = core::array::from_fn(|n| n as u8);
        frame[1] = 0;
        let p = parts(&mut frame).unwrap();
        assert_eq!((p.header[31], p.text[0], p.text.len(), p.tag[0]), (31, 32, NOTE_LEN, 66));
        for len in 0..OVERHEAD {
            assert!(parts(&mut frame[..len]).is_none());
        }
        assert_eq!(parts(&mut frame[..OVERHEAD]).map(|p| p.text.len()), Some(0));
    }

    /// The kinds and lengths of all pieces.
    fn pieces(bytes: &mut [u8]) -> Vec<(bool, usize)> {
        let mut run = bytes;
        core::iter::from_fn(|| {
            next(&mut run).map(|p| match p {
                Piece::Sealed(f) => (true, f.len()),
                Piece::Plain(m) => (false, m.len()),
            })
        })
        .collect()
    }

    fn frame(len: u16) -> Vec<u8> {
        let mut f = vec![0xa5; len.into()];
        FrameHeader { len, kind: FrameKind::Data, ..HEADER }.write(&mut f).unwrap();
        f
    }

    fn alive() -> [u8; 8] {
        let mut buf = [0; 8];
        assert_eq!(encode_control(&mut buf, flag::ALIVE, 1, None), Some(8));
        buf
    }

    #[test]
    fn messages_and_frames_are_told_apart_in_one_run() {
        assert_eq!(pieces(&mut []), []);
        let (a, f, g) = (alive(), frame(82), frame(300));
        let other_version = [0x20, 0, 0, 8, 0, 0, 0, 0];
        let mut run = [&a[..], &other_version, &a, &f, &g, &a, &[0x10, 0, 0]].concat();
        assert_eq!(pieces(&mut run), [(false, 24), (true, 82), (true, 300), (false, 11)]);
        // A length that cannot be: the rest is one piece, which no header fits.
        for len in [0u16, 81, 83, 65_535] {
            let mut run = [&a[..], &f].concat();
            run[10..12].copy_from_slice(&len.to_be_bytes());
            assert_eq!(pieces(&mut run), [(false, 8), (true, 82)]);
            assert_eq!(FrameHeader::read(&run[8..]), None);
        }
        for cut in 1..f.len() {
            assert_eq!(pieces(&mut f.clone()[..cut]), [(true, cut)]);
        }
    }

    /// Whoever knows version 1 only skips a frame as a whole, whatever it carries, in a datagram and in a
    /// stream.
    #[test]
    fn a_reader_of_messages_skips_it_whole() {
        for kind in 0..=255 {
            let mut f = frame(200);
            f[1] = kind;
            f.extend(alive());
            for transport in [Transport::Datagram, Transport::Stream] {
                let Split::Bad(Bad::Version, rest) = split(&f, transport) else { panic!("kind {kind}") };
                assert_eq!(rest, alive());
            }
        }
    }
}
