//! bpf(2) and the memory that a BPF program shares with this process.
//!
//! Each function does one command. The program's instructions are checked by the kernel, so none of them
//! needs trust here; what has to be argued for is the memory whose addresses are handed over.

use super::check;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

// enum bpf_cmd (linux/bpf.h).
const MAP_CREATE: libc::c_int = 0;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BTF_LOAD: libc::c_int = 18;
const BTF_GET_FD_BY_ID: libc::c_int = 19;
const BTF_GET_NEXT_ID: libc::c_int = 23;

const MAP_TYPE_ARRAY: u32 = 2;
const F_MMAPABLE: u32 = 1 << 10;

/// `union bpf_attr`: zeros, except for what a command sets. Larger than any command here needs; the kernel
/// accepts zeros behind what it knows.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Attr([u8; 152]);

impl Attr {
    fn new() -> Attr {
        Attr([0; 152])
    }

    fn put(mut self, at: usize, bytes: &[u8]) -> Attr {
        if let Some(room) = self.0.get_mut(at..at.saturating_add(bytes.len())) {
            room.copy_from_slice(bytes);
        }
        self
    }

    fn u32(self, at: usize, value: u32) -> Attr {
        self.put(at, &value.to_ne_bytes())
    }

    fn fd(self, at: usize, fd: BorrowedFd<'_>) -> Attr {
        self.put(at, &fd.as_raw_fd().to_ne_bytes())
    }

    /// An address: `__aligned_u64`.
    fn addr<T>(self, at: usize, to: *const T) -> Attr {
        self.put(at, &(to as usize as u64).to_ne_bytes())
    }

    fn get(&self, at: usize) -> u32 {
        self.0.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
    }
}

/// Calls bpf(2).
///
/// # Safety
/// Every address in the attribute must be of memory that lives over the call, at least as long as the length
/// beside it says, and writable and borrowed exclusively where the command writes there.
unsafe fn bpf(command: libc::c_int, attr: &mut Attr) -> io::Result<usize> {
    // SAFETY: the attribute lives over the call and its length is its own; the rest is the caller's promise.
    let ret =
        unsafe { libc::syscall(libc::SYS_bpf, command, (&raw mut *attr).cast::<u8>(), size_of::<Attr>()) };
    check(ret as isize)
}

/// The descriptor that a command returned.
fn owned(fd: usize) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just opened it for this process (close-on-exec, as all of bpf(2)'s), and
    // nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads type information for a program's functions (BTF_LOAD).
pub(crate) fn load_btf(file: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = Attr::new().addr(0, file.as_ptr()).u32(16, file.len() as u32);
    // SAFETY: the one address is that of `file`, with its length; the kernel only reads it.
    owned(unsafe { bpf(BTF_LOAD, &mut attr) }?)
}

/// What a program is, for [`load`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// BPF_PROG_TYPE_XDP.
    Xdp = 6,
    /// BPF_PROG_TYPE_RAW_TRACEPOINT.
    RawTracepoint = 17,
}

/// The functions of a program, for [`load`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Functions<'a> {
    /// The program's own type information.
    pub(crate) btf: BorrowedFd<'a>,
    /// `struct bpf_func_info`: where each function begins, and its number.
    pub(crate) info: &'a [[u32; 2]],
}

/// Loads a program (PROG_LOAD). `module` is the BTF of a module whose functions it calls. What the kernel
/// says about the program is written to `log`, unless that is empty.
///
/// # Errors
/// EPERM without CAP_BPF and CAP_PERFMON, EINVAL or EACCES for a program that this kernel refuses; ENOSPC
/// when the log is too short.
pub(crate) fn load(
    kind: Kind,
    code: &[u64],
    functions: Option<Functions<'_>>,
    module: Option<BorrowedFd<'_>>,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    // The licence of these instructions alone, which the kernel asks for before it lets a program call most
    // of its functions. The rest of zct is not part of what is loaded.
    let licence = c"Dual MIT/GPL";
    // Number 0 stands for the kernel's own.
    let files = [0, module.map_or(0, |m| m.as_raw_fd())];
    let mut attr = Attr::new()
        .u32(0, kind as u32)
        .u32(4, code.len() as u32)
        .addr(8, code.as_ptr())
        .addr(16, licence.as_ptr())
        .put(48, b"zct_table");
    if !log.is_empty() {
        attr = attr.u32(24, 1).u32(28, log.len() as u32).addr(32, log.as_mut_ptr().cast_const());
    }
    if let Some(f) = functions {
        attr = attr.fd(72, f.btf).u32(76, 8).addr(80, f.info.as_ptr()).u32(88, f.info.len() as u32);
    }
    if module.is_some() {
        attr = attr.addr(120, files.as_ptr());
    }
    // SAFETY: instructions, licence, functions and the list of files live over the call and are only read;
    // the log is borrowed exclusively and its length is its own.
    owned(unsafe { bpf(PROG_LOAD, &mut attr) }?)
}

/// Memory that programs write and this process reads: the one element of an array map.
///
/// A program writes to it only while it runs, and it runs only inside [`Shared::run`], which has the memory
/// borrowed exclusively. The descriptors of map and programs never leave this crate.
#[derive(Debug)]
pub(crate) struct Shared {
    map: OwnedFd,
    at: std::ptr::NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and is read and written through references to it only.
unsafe impl Send for Shared {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Shared {}

impl Shared {
    /// Makes a map with one element of `len` bytes, all zero, and maps it.
    ///
    /// # Errors
    /// EPERM without CAP_BPF, ENOMEM.
    pub(crate) fn new(len: usize) -> io::Result<Shared> {
        let size = u32::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
        let mut attr = Attr::new()
            .u32(0, MAP_TYPE_ARRAY)
            .u32(4, 4)
            .u32(8, size)
            .u32(12, 1)
            .u32(16, F_MMAPABLE)
            .put(28, b"zct_table");
        // SAFETY: the command takes no addresses.
        let map = owned(unsafe { bpf(MAP_CREATE, &mut attr) }?)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses, of a map that has `len` bytes.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, map.as_raw_fd(), 0)
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = std::ptr::NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Shared { map, at, len })
    }

    /// The map's descriptor, for instructions that name it.
    pub(crate) fn map(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.map.as_fd()
    }

    /// The memory.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for as long as the value lives, initialised by the kernel, and written only through
        // an exclusive reference (see the type).
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    /// The memory, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the reference is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }

    /// Runs a program once, on this processor (PROG_TEST_RUN); returns its result. An XDP program gets a
    /// packet of zeros in this network namespace, on its loopback device.
    ///
    /// # Errors
    /// EINVAL when the kernel does not run programs of this kind this way.
    pub(crate) fn run(&mut self, program: BorrowedFd<'_>, kind: Kind) -> io::Result<u32> {
        let packet = [0u8; 64];
        let mut attr = Attr::new().fd(0, program);
        if kind == Kind::Xdp {
            attr = attr.u32(8, packet.len() as u32).addr(16, packet.as_ptr());
        }
        // SAFETY: the packet lives over the call and is only read. The program may write to this value's map,
        // whose memory is borrowed exclusively; it knows no other.
        unsafe { bpf(PROG_TEST_RUN, &mut attr) }?;
        Ok(attr.get(4))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and no reference to it is left.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}

/// The BTF of a loaded module, by the module's name (BTF_GET_NEXT_ID); needs CAP_SYS_ADMIN.
///
/// # Errors
/// EPERM, and ENOENT when no module of this name has any.
pub(crate) fn module_btf(module: &str) -> io::Result<OwnedFd> {
    let mut id = 0;
    loop {
        let mut attr = Attr::new().u32(0, id);
        // SAFETY: the command takes no addresses.
        unsafe { bpf(BTF_GET_NEXT_ID, &mut attr) }?;
        id = attr.get(4);
        let mut attr = Attr::new().u32(0, id);
        // SAFETY: as above.
        let fd = match unsafe { bpf(BTF_GET_FD_BY_ID, &mut attr) } {
            Ok(fd) => owned(fd)?,
            // It was unloaded in between.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(e) => return Err(e),
        };
        let mut name = [0u8; 64];
        // struct bpf_btf_info: btf, btf_size, id, name, name_len, kernel_btf.
        let mut info = [0u8; 32];
        let at = (name.as_mut_ptr() as usize as u64).to_ne_bytes();
        info.get_mut(16..24).unwrap_or_default().copy_from_slice(&at);
        info.get_mut(24..28).unwrap_or_default().copy_from_slice(&(name.len() as u32).to_ne_bytes());
        let mut attr = Attr::new().u32(0, fd.as_raw_fd() as u32).u32(4, info.len() as u32);
        attr = attr.addr(8, info.as_mut_ptr().cast_const());
        // SAFETY: the kernel writes to `info` with its length, and to `name` with the length that stands
        // beside its address there; both are exclusive and live over the call.
        if unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }.is_ok()
            && name.split(|b| *b == 0).next() == Some(module.as_bytes())
        {
            return Ok(fd);
        }
    }
}
