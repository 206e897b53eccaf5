//! Builds one message of attributes in the caller's buffer.

use crate::build::Full;
use crate::peer::attr::{PEER_ATTR_HDR, PeerAttrHdr};
use crate::peer::header::{HDR, Hdr, Kind, VERSION};
use zerocopy::IntoBytes;

/// One data message under construction, written straight into borrowed memory.
///
/// Overflow is sticky: calls chain freely and [`FrameBuilder::finish`] reports it once. Padding is zeroed, so
/// no byte of an earlier message leaks. Allocates nothing.
#[derive(Debug)]
pub struct FrameBuilder<'b> {
    buf: &'b mut [u8],
    len: usize,
    full: bool,
}

impl<'b> FrameBuilder<'b> {
    /// Starts a message; `flags` are [`flag`](crate::peer::flag) bits.
    #[inline]
    pub fn new(buf: &'b mut [u8], kind: Kind, flags: u8, seq: u32) -> Self {
        let hdr = Hdr {
            version_kind: VERSION << 4 | kind.number(),
            flags,
            len: 0.into(), // known in finish()
            seq: seq.into(),
        };
        let mut b = FrameBuilder { buf, len: 0, full: false };
        match b.reserve(HDR) {
            Some(room) => room.copy_from_slice(hdr.as_bytes()),
            None => b.full = true,
        }
        b
    }

    /// Reserves the next `n` bytes; `None` when the buffer has no room or an earlier call overflowed.
    #[inline]
    fn reserve(&mut self, n: usize) -> Option<&mut [u8]> {
        if self.full {
            return None;
        }
        let end = self.len.checked_add(n)?;
        let room = self.buf.get_mut(self.len..end)?;
        self.len = end;
        Some(room)
    }

    /// Appends one attribute whose value is made up of `parts`, in this order.
    #[inline]
    pub fn put_parts(&mut self, kind: u16, parts: &[&[u8]]) -> &mut Self {
        let value: usize = parts.iter().fold(0, |n, p| n.saturating_add(p.len()));
        let claimed = value.saturating_add(PEER_ATTR_HDR);
        let room = u16::try_from(claimed).ok().and_then(|len| {
            let hdr = PeerAttrHdr { len: len.into(), kind: kind.into() };
            Some((hdr, self.reserve(claimed.checked_next_multiple_of(4)?)?))
        });
        let Some((hdr, room)) = room else {
            self.full = true;
            return self;
        };
        let (head, body) = room.split_at_mut_checked(PEER_ATTR_HDR).unwrap_or_default();
        head.copy_from_slice(hdr.as_bytes());
        let mut at = 0usize;
        for part in parts {
            let end = at.saturating_add(part.len());
            if let Some(to) = body.get_mut(at..end) {
                to.copy_from_slice(part);
            }
            at = end;
        }
        if let Some(padding) = body.get_mut(at..) {
            padding.fill(0);
        }
        self
    }

    /// Appends one attribute, whose value is `value`.
    #[inline]
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.put_parts(kind, &[value])
    }

    /// Appends a one-byte attribute.
    #[inline]
    pub fn put_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.put_parts(kind, &[&[value]])
    }

    /// Appends a 32-bit attribute in network byte order.
    #[inline]
    pub fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put_parts(kind, &[&value.to_be_bytes()])
    }

    /// Appends a name and a NUL, without which the original would read past the attribute
    /// (sync-protocol.md §3.4).
    #[inline]
    pub fn put_name(&mut self, kind: u16, name: &[u8]) -> &mut Self {
        self.put_parts(kind, &[name, &[0]])
    }

    /// Fills in the length and returns it, or says that the message did not fit.
    ///
    /// # Errors
    /// [`Full`] when the buffer was too small, or when an attribute or the message is longer than its 16-bit
    /// length field can say.
    #[inline]
    #[must_use = "an unfinished message has no length"]
    pub fn finish(self) -> Result<usize, Full> {
        let total = u16::try_from(self.len).map_err(|_| Full)?;
        if self.full {
            return Err(Full);
        }
        self.buf.get_mut(2..4).ok_or(Full)?.copy_from_slice(&total.to_be_bytes());
        Ok(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn sample(buf: &mut [u8]) -> Result<usize, Full> {
        let mut b = FrameBuilder::new(buf, Kind::Flow(Event::Update), 0x20, 7);
        b.put_u8(2, 6).put_parts(3, &[&[1, 2], &[3, 4]]).put_be32(5, 0x18e).put_name(27, b"ftp");
        b.finish()
    }

    #[test]
    fn lays_out_header_and_padding_over_old_bytes() {
        let mut buf = [0xa5; 64];
        let n = sample(&mut buf).unwrap();
        let want: &[u8] = &[
            0x11, 0x20, 0, 40, 0, 0, 0, 7, // version and type, flags, length, sequence
            0, 5, 0, 2, 6, 0, 0, 0, // padded
            0, 8, 0, 3, 1, 2, 3, 4, // in two parts
            0, 8, 0, 5, 0, 0, 1, 0x8e, //
            0, 8, 0, 27, b'f', b't', b'p', 0,
        ];
        assert_eq!(&buf[..n], want);
        assert_eq!(&buf[n..], [0xa5; 24]);
    }

    #[test]
    fn every_buffer_that_is_too_small_is_full() {
        for n in 0..40 {
            let mut buf = [0u8; 40];
            assert_eq!(sample(&mut buf[..n]), Err(Full), "{n} bytes");
        }
        assert_eq!(sample(&mut [0u8; 40]), Ok(40));
        let mut big = [0u8; 70_000];
        let mut b = FrameBuilder::new(&mut big, Kind::Flow(Event::New), 0, 0);
        b.put(0, &[0; 65_533]);
        assert_eq!(b.finish(), Err(Full));
    }
}
