//! Builds messages in the caller's buffer.

use crate::attr::{ATTR_HDR, AttrHdr, NLA_F_NESTED};
use crate::header::{ATTRS_AT, NfGenMsg, NlHdr};
use zerocopy::IntoBytes;

/// The buffer was too small for the message; nothing of it may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the message does not fit its buffer")
    }
}

impl core::error::Error for Full {}

/// The header of a message: everything before its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    kind: u16,
    seq: u32,
    flags: u16,
    family: u8,
    version: u8,
    resource: u16,
}

impl Head {
    /// A message of type `kind` (`subsystem << 8 | message`) with this sequence number, without flags and for
    /// any family.
    pub const fn new(kind: u16, seq: u32) -> Head {
        Head { kind, seq, flags: 0, family: 0, version: 0, resource: 0 }
    }

    /// The same with these NLM_F_* bits.
    #[must_use]
    pub const fn flags(self, flags: u16) -> Head {
        Head { flags, ..self }
    }

    /// The same for AF_INET or AF_INET6.
    #[must_use]
    pub const fn family(self, family: u8) -> Head {
        Head { family, ..self }
    }

    /// The same for this resource, which is the number of a queue.
    #[must_use]
    pub const fn resource(self, resource: u16) -> Head {
        Head { resource, ..self }
    }

    /// The same in this version. All messages have version 0, except for a flush that has to honour its
    /// family.
    #[must_use]
    pub const fn version(self, version: u8) -> Head {
        Head { version, ..self }
    }
}

/// One nfnetlink message under construction, written straight into borrowed memory.
///
/// Overflow is sticky: calls chain freely and [`Builder::finish`] reports it once. Padding is zeroed, so
/// no byte of an earlier message leaks. Allocates nothing.
#[derive(Debug)]
pub struct Builder<'b> {
    buf: &'b mut [u8],
    len: usize,
    full: bool,
}

impl<'b> Builder<'b> {
    /// Starts a message with this head.
    pub fn new(buf: &'b mut [u8], head: Head) -> Self {
        let Head { kind, seq, flags, family, version, resource } = head;
        let hdr = NlHdr {
            len: 0.into(), // known in finish()
            kind: kind.into(),
            flags: flags.into(),
            seq: seq.into(),
            portid: 0.into(),
        };
        let nf = NfGenMsg { family, version, res_id: resource.into() };
        let mut b = Builder { buf, len: 0, full: false };
        b.raw(hdr.as_bytes()).raw(nf.as_bytes());
        b
    }

    /// Appends bytes without a header or padding.
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        match self.reserve(bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.full = true,
        }
        self
    }

    /// Reserves the next `n` bytes; `None` when the buffer has no room or an earlier call overflowed.
    fn reserve(&mut self, n: usize) -> Option<&mut [u8]> {
        if self.full {
            return None;
        }
        let end = self.len.checked_add(n)?;
        let room = self.buf.get_mut(self.len..end)?;
        self.len = end;
        Some(room)
    }

    /// Appends one attribute; `kind` is its number, with flag bits if it needs them.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let claimed = ATTR_HDR.saturating_add(value.len());
        let Ok(len) = u16::try_from(claimed) else {
            self.full = true; // no attribute holds 64 KiB
            return self;
        };
        let hdr = AttrHdr { len: len.into(), kind: kind.into() };
        let Some(room) = self.reserve(claimed.next_multiple_of(4)) else {
            self.full = true;
            return self;
        };
        let (head, body) = room.split_at_mut_checked(ATTR_HDR).unwrap_or_default();
        head.copy_from_slice(hdr.as_bytes());
        body.fill(0);
        if let Some(v) = body.get_mut(..value.len()) {
            v.copy_from_slice(value);
        }
        self
    }

    /// Appends a one-byte attribute.
    pub fn put_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.put(kind, &[value])
    }

    /// Appends a 16-bit attribute in network byte order.
    pub fn put_be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Appends a 32-bit attribute in network byte order.
    pub fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Appends a string with the NUL that kernel strings need.
    pub fn put_str(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let at = self.len;
        self.put(kind, value);
        // Padding is already zero, so only a value that fills its words needs four more bytes.
        if value.len() & 3 == 0 && self.reserve(4).map(|room| room.fill(0)).is_none() {
            self.full = true;
        }
        self.set_len(at, value.len().saturating_add(ATTR_HDR).saturating_add(1));
        self
    }

    /// Runs `inner`, then fills in the length: a nest cannot be left open.
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.len;
        self.put(kind | NLA_F_NESTED, &[]);
        inner(self);
        self.set_len(at, self.len.saturating_sub(at));
        self
    }

    /// Writes the length of the attribute that starts at `at`.
    fn set_len(&mut self, at: usize, len: usize) {
        let end = at.saturating_add(2);
        match (u16::try_from(len), self.buf.get_mut(at..end)) {
            (Ok(len), Some(field)) if !self.full => field.copy_from_slice(&len.to_ne_bytes()),
            _ => self.full = true,
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when no attribute has been added yet.
    pub fn is_empty(&self) -> bool {
        self.len <= ATTRS_AT
    }

    /// Fills in the total length and returns the message, or [`Full`] if it did not fit.
    ///
    /// # Errors
    /// [`Full`] when the buffer was too small, or when a value or nest is longer than its 16-bit length field
    /// can say.
    #[must_use = "an unfinished message has no length"]
    pub fn finish(self) -> Result<&'b [u8], Full> {
        let Builder { buf, len, full } = self;
        let total = u32::try_from(len).map_err(|_| Full)?;
        if full {
            return Err(Full);
        }
        buf.get_mut(..4).ok_or(Full)?.copy_from_slice(&total.to_ne_bytes());
        buf.get(..len).ok_or(Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::{Attrs, text};
    use crate::header::{CtMsg, Frames};
    use std::vec::Vec;

    fn sample(buf: &mut [u8]) -> Result<&[u8], Full> {
        let mut b = Builder::new(buf, Head::new(0x100, 42).flags(5).family(2));
        b.put_be32(7, 300).nest(1, |b| {
            b.nest(2, |b| {
                b.put_u8(1, 6).put_be16(2, 80);
            });
        });
        b.put_str(3, b"ftp").put_str(4, b"sip4");
        b.finish()
    }

    #[test]
    fn what_is_built_is_read_back_from_a_dirty_buffer() {
        let mut buf = [0xa5; 128];
        let bytes = sample(&mut buf).unwrap();
        let m = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
        assert_eq!((m.kind(), m.flags(), m.seq(), m.family()), (0x100, 5, 42, 2));
        let attrs: Vec<_> = m.attrs().map(Result::unwrap).collect();
        assert_eq!(attrs.iter().map(|a| a.kind).collect::<Vec<_>>(), [7, 1, 3, 4]);
        assert_eq!(attrs[0].value, [0, 0, 1, 44]);
        let inner: Vec<_> = Attrs::new(Attrs::new(attrs[1].value).next().unwrap().unwrap().value)
            .map(Result::unwrap)
            .collect();
        assert_eq!((inner[0].value, inner[1].value), (&[6u8][..], &[0, 80][..]));
        assert_eq!(attrs[2].value, b"ftp\0");
        assert_eq!((attrs[3].value, text(attrs[3].value)), (&b"sip4\0"[..], &b"sip4"[..]));
        assert!(!bytes.contains(&0xa5), "padding carries old bytes: {bytes:?}");
    }

    #[test]
    fn every_buffer_that_is_too_small_says_so() {
        let need = sample(&mut [0; 128]).unwrap().len();
        for n in 0..need {
            let mut buf = vec![0xa5; n];
            assert_eq!(sample(&mut buf).unwrap_err(), Full, "{n} of {need} bytes");
        }
        assert!(sample(&mut vec![0; need]).is_ok());
    }

    #[test]
    fn an_attribute_of_64_kib_is_refused() {
        let mut buf = vec![0; 200_000];
        let mut b = Builder::new(&mut buf, Head::new(1, 0));
        b.put(1, &vec![0; 70_000]);
        assert_eq!(b.finish().unwrap_err(), Full);
    }
}
