//! Short names that outlive the message they came in.

use core::fmt;

/// A name of at most `N` bytes without a NUL: a helper, or an expectation function. `Copy`, never allocated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<const N: usize> {
    // Bytes after the end are zero, so that derived equality and hashing are right.
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Name<N> {
    /// Keeps the bytes before the first NUL; `None` when there are none, or more than `N`.
    pub fn new(text: &[u8]) -> Option<Self> {
        let text = crate::attr::text(text);
        let len = u8::try_from(text.len()).ok().filter(|n| *n > 0)?;
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Name { bytes, len })
    }

    /// The name without a NUL.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The name, padded with zeros to `N` bytes.
    pub fn padded(&self) -> &[u8; N] {
        &self.bytes
    }
}

impl<const N: usize> fmt::Debug for Name<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_at_the_nul_and_refuses_what_does_not_fit() {
        assert_eq!(Name::<15>::new(b"ftp\0junk").map(|n| n.as_bytes().to_vec()), Some(b"ftp".to_vec()));
        assert_eq!(Name::<3>::new(b"ftp").map(|n| *n.padded()), Some(*b"ftp"));
        assert_eq!(Name::<3>::new(b"ftpx"), None);
        assert_eq!((Name::<3>::new(b""), Name::<3>::new(b"\0ab")), (None, None));
        assert_eq!(format!("{:?}", Name::<9>::new(b"a\"\x01").unwrap()), r#""a\"\x01""#);
    }
}
