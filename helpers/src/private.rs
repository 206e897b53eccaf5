//! What a helper notes in a flow: up to 32 bytes that the kernel keeps (CTA_HELP_INFO).

/// The most bytes that a flow can hold.
pub const MAX: usize = 32;

/// The private data of one flow, of the length that its helper asked for.
///
/// Zero in the first packet of a flow, and again on a node that takes a flow over. It comes back as the
/// helper left it, unless another program wrote it, so nothing in it is believed without a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Private {
    bytes: [u8; MAX],
    len: usize,
    changed: bool,
}

impl Private {
    /// `len` zeros; at most [`MAX`].
    pub fn zero(len: usize) -> Private {
        Private { bytes: [0; MAX], len: len.min(MAX), changed: false }
    }

    /// What the kernel sent. `None` when it is not `len` bytes: the stub has been made by somebody else.
    pub fn received(info: Option<&[u8]>, len: usize) -> Option<Private> {
        let info = info.unwrap_or_default();
        let mut private = Private::zero(len);
        if info.len() != private.len {
            return None;
        }
        private.bytes.get_mut(..info.len())?.copy_from_slice(info);
        Some(private)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whether something was written that differs from what was there.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// The same bytes as something that nobody has written to.
    #[must_use]
    pub fn settled(&self) -> Private {
        Private { changed: false, ..*self }
    }

    /// The byte at `at`; 0 beyond the end.
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes().get(at).copied().unwrap_or(0)
    }

    /// The number at `at`, in host byte order as the original keeps it; 0 beyond the end.
    pub fn number(&self, at: usize) -> u32 {
        let end = at.saturating_add(4);
        let four = self.bytes().get(at..end).and_then(|b| <[u8; 4]>::try_from(b).ok());
        four.map_or(0, u32::from_ne_bytes)
    }

    /// Writes a byte; beyond the end nothing.
    pub fn set_byte(&mut self, at: usize, value: u8) {
        self.put(at, &[value]);
    }

    /// Writes a number in host byte order; beyond the end nothing.
    pub fn set_number(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_ne_bytes());
    }

    /// Makes everything zero.
    pub fn clear(&mut self) {
        self.put(0, [0; MAX].get(..self.len).unwrap_or_default());
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        let end = at.saturating_add(value.len());
        if let Some(place) = self.bytes.get_mut(..self.len).and_then(|b| b.get_mut(at..end)) {
            self.changed |= *place != *value;
            place.copy_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_is_written_within_its_length() {
        let mut p = Private::zero(5);
        assert_eq!((p.bytes(), p.is_changed()), (&[0; 5][..], false));
        p.set_number(0, 0);
        p.set_number(4, 9);
        p.set_byte(5, 1);
        assert!(!p.is_changed() && p.number(4) == 0 && p.byte(31) == 0 && p.byte(99) == 0);
        p.set_number(1, 0x0102_0304);
        p.set_byte(0, 7);
        assert_eq!((p.number(1), p.byte(0), p.is_changed()), (0x0102_0304, 7, true));
        let again = Private::received(Some(p.bytes()), 5).unwrap();
        assert_eq!((again.bytes(), again.is_changed()), (p.bytes(), false));
        p.clear();
        assert_eq!(p.bytes(), [0; 5]);
    }

    #[test]
    fn another_length_is_not_ours() {
        assert!(Private::received(None, 0).is_some());
        assert!(Private::received(None, 4).is_none());
        assert!(Private::received(Some(&[0; 3]), 4).is_none());
        assert!(Private::received(Some(&[0; 33]), 33).is_none());
    }
}
