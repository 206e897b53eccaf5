//! Memory for keys: kept out of core dumps and, as far as the limits allow, out of swap, and overwritten when
//! it is given back.

use crate::aead::KEY_LEN;
use crate::error::Error;
use crate::sys::memory::{self, Pages};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroize as _;

/// The smallest page there is.
const PAGE: usize = 4096;
/// Keys that a [`Vault`] has room for.
pub const KEYS_MAX: usize = PAGE / KEY_LEN;

/// Fills `out` with random bytes that nobody can guess.
///
/// # Errors
/// [`Error::Sys`] of `getrandom`: ENOSYS before Linux 3.17.
pub fn random(out: &mut [u8]) -> Result<(), Error> {
    memory::random(out).map_err(|e| Error::sys("getrandom", e))
}

/// Opens a file for reading that may turn out to be none: a pipe does not wait for a writer.
///
/// # Errors
/// Those of open(2).
pub fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// A secret from outside, of any length up to 4096 bytes. It prints as nothing; copies share the memory.
#[derive(Clone)]
pub struct Secret(Arc<Held>);

struct Held {
    pages: Pages,
    len: usize,
}

impl Secret {
    /// Takes over a secret; `bytes` are overwritten.
    ///
    /// # Errors
    /// [`Error::Sys`] of `mmap`: there is no memory, or more than 4096 bytes were given (EINVAL).
    pub fn new(bytes: &mut [u8]) -> Result<Secret, Error> {
        let error = |e| Error::sys("mmap", e);
        let mut pages = Pages::new(PAGE).map_err(error)?;
        let Some(room) = pages.bytes_mut().get_mut(..bytes.len()) else {
            return Err(error(io::Error::from_raw_os_error(libc::EINVAL)));
        };
        room.copy_from_slice(bytes);
        bytes.zeroize();
        Ok(Secret(Arc::new(Held { pages, len: bytes.len() })))
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        self.0.pages.bytes().get(..self.0.len).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Secret {}

impl Drop for Held {
    fn drop(&mut self) {
        self.pages.bytes_mut().zeroize();
    }
}

/// A place in a [`Vault`]. It is given back with [`Vault::forget`]; one that is dropped stays taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// Room for [`KEYS_MAX`] derived keys.
///
/// # Allocation
/// One page, when it is made.
#[derive(Debug)]
pub struct Vault {
    pages: Pages,
    taken: u128,
}

const _: () = assert!(KEYS_MAX == u128::BITS as usize);

impl Vault {
    /// An empty one.
    ///
    /// # Errors
    /// [`Error::Sys`] of `mmap`: there is no memory.
    pub fn new() -> Result<Vault, Error> {
        Ok(Vault { pages: Pages::new(PAGE).map_err(|e| Error::sys("mmap", e))?, taken: 0 })
    }

    /// True where the limit on locked memory keeps the keys in memory that may be swapped.
    pub fn may_be_swapped(&self) -> bool {
        self.pages.lock().is_err()
    }

    /// Keeps a key, and overwrites the original; `None` when there is no room.
    pub fn keep(&mut self, key: &mut [u8; KEY_LEN]) -> Option<Slot> {
        let at = self.taken.trailing_ones() as usize;
        let place = self.pages.bytes_mut().get_mut(at * KEY_LEN..)?.first_chunk_mut::<KEY_LEN>()?;
        *place = *key;
        key.zeroize();
        self.taken |= 1 << at;
        Some(Slot(at))
    }

    /// A key that is kept.
    pub fn key(&self, slot: &Slot) -> &[u8; KEY_LEN] {
        let place = self.pages.bytes().get(slot.0 * KEY_LEN..).and_then(<[u8]>::first_chunk);
        place.expect("a slot is a place in the page")
    }

    /// Overwrites a key.
    pub fn forget(&mut self, slot: Slot) {
        if let Some(place) = self.pages.bytes_mut().get_mut(slot.0 * KEY_LEN..(slot.0 + 1) * KEY_LEN) {
            place.zeroize();
            self.taken &= !(1 << slot.0);
        }
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.pages.bytes_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go_and_leave_nothing_behind() {
        let mut vault = Vault::new().unwrap();
        let mut slots: Vec<_> =
            (0..KEYS_MAX).map(|n| vault.keep(&mut [n as u8; KEY_LEN]).expect("room")).collect();
        let mut more = [200; KEY_LEN];
        assert_eq!((vault.keep(&mut more), more[0]), (None, 200));
        assert!(slots.iter().enumerate().all(|(n, s)| *vault.key(s) == [n as u8; KEY_LEN]));
        let place = slots[77].0;
        vault.forget(slots.remove(77));
        assert_eq!(vault.pages.bytes()[place * KEY_LEN..][..KEY_LEN], [0; KEY_LEN]);
        let slot = vault.keep(&mut more).expect("room again");
        assert_eq!((slot.0, more, vault.key(&slot)[0]), (77, [0; KEY_LEN], 200));
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let mut bytes = *b"top secret";
        let secret = Secret::new(&mut bytes).unwrap();
        assert_eq!((bytes, secret.bytes()), ([0; 10], &b"top secret"[..]));
        assert_eq!(format!("{:?}", secret.clone()), "Secret");
        assert!(Secret::new(&mut [0; PAGE + 1]).is_err());
    }

    /// `dd` stands for "do not dump", and `lo` for locked (proc(5)).
    #[test]
    fn it_is_left_out_of_dumps() {
        let vault = Vault::new().unwrap();
        let at = vault.pages.bytes().as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let flags = maps.lines().find_map(|line| {
            let range = line.split(' ').next()?.split_once('-');
            let range = range.and_then(|(a, b)| {
                Some(usize::from_str_radix(a, 16).ok()?..usize::from_str_radix(b, 16).ok()?)
            });
            inside = range.map_or(inside, |r| r.contains(&at));
            line.strip_prefix("VmFlags:").filter(|_| inside)
        });
        assert!(flags.is_some_and(|f| f.split_whitespace().any(|w| w == "dd")), "{flags:?}");
    }

    #[test]
    fn random_bytes_are_not_the_same_twice() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        random(&mut a).unwrap();
        random(&mut b).unwrap();
        assert_ne!(a, b);
    }
}
