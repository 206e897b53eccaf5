//! Memory for secrets, and random numbers (mmap(2), mlock(2), madvise(2), getrandom(2)).
#![allow(unsafe_code)] // see sys.rs

use super::check;
use std::io;
use std::ptr::NonNull;

/// Zeroed pages of this process alone, which core dumps leave out, and which stay out of swap where the limit
/// on locked memory allows it.
#[derive(Debug)]
pub(crate) struct Pages {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and is read and written through references to it only.
unsafe impl Send for Pages {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps at least `len` bytes, which must not be 0.
    ///
    /// # Errors
    /// ENOMEM. Kernels that cannot keep the pages out of dumps, and limits that forbid to lock them, are no
    /// error: see [`Pages::lock`].
    pub(crate) fn new(len: usize) -> io::Result<Pages> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping of its own, at an address that the kernel chooses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let pages = Pages { at, len };
        // SAFETY: exactly the mapping made above; the advice changes nothing of its contents.
        unsafe { libc::madvise(pages.at.as_ptr().cast(), len, libc::MADV_DONTDUMP) };
        _ = pages.lock();
        Ok(pages)
    }

    /// Keeps the pages out of swap. A child of fork(2) has to ask for that again.
    ///
    /// # Errors
    /// ENOMEM and EPERM beyond RLIMIT_MEMLOCK.
    pub(crate) fn lock(&self) -> io::Result<()> {
        // SAFETY: exactly the mapping; nothing of its contents changes.
        check(unsafe { libc::mlock(self.at.as_ptr().cast(), self.len) } as isize).map(drop)
    }

    /// The memory.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for as long as the value lives, zeroed by the kernel, and written only through an
        // exclusive reference.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    /// The memory, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the reference is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and no reference to it is left.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}

/// Fills `out` with random bytes that nobody can guess; waits, early after the machine's start, until the
/// kernel has enough of them.
pub(crate) fn random(out: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..).filter(|r| !r.is_empty()) {
        // SAFETY: the kernel writes at most the length of the slice to it, which is borrowed exclusively.
        match check(unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) }) {
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
