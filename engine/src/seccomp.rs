//! A filter of system calls (seccomp(2)): what a process does not need, it cannot be made to do.
//!
//! The filter lists what is allowed. Everything else fails with EPERM and does not end the process: a C
//! library that begins to use another call loses that call, and not the process.
//!
//! ```no_run
//! use zct_engine::seccomp::{Filter, NETLINK_READER};
//!
//! match Filter::new(NETLINK_READER) {
//!     Some(filter) => filter.apply()?,
//!     None => eprintln!("nobody knows the system calls of this machine"),
//! }
//! # Ok::<(), zct_engine::Error>(())
//! ```

use crate::error::Error;
use crate::sys::{self, BpfInsn};

// linux/bpf_common.h: class, size and mode of the instructions used here.
const LD_W_ABS: u16 = 0x20;
const AND_K: u16 = 0x54;
const JEQ_K: u16 = 0x15;
const RET_K: u16 = 0x06;

// struct seccomp_data (linux/seccomp.h): where its members begin.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// The most instructions that the kernel takes (BPF_MAXINSNS).
const PROGRAM_MAX: usize = 4096;

/// A system call that is allowed, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    number: libc::c_long,
    when: Option<Condition>,
}

/// A condition on the lower 32 bits of an argument, which is all there is of an `int`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    argument: u8,
    mask: u32,
    value: u32,
}

impl Allowed {
    /// Whatever its arguments are.
    pub const fn always(number: libc::c_long) -> Allowed {
        Allowed { number, when: None }
    }

    /// If these bits of an argument, counted from 0, have this value.
    pub const fn with(number: libc::c_long, argument: u8, mask: u32, value: u32) -> Allowed {
        Allowed { number, when: Some(Condition { argument, mask, value }) }
    }
}

/// What a process needs that answers netlink sockets and pipes from one loop, by those that the C library and the
/// allocator use for it. It can read files and open netlink sockets; it cannot write files or open other sockets,
/// start processes, or make memory executable. Empty where there is no filter.
pub const NETLINK_READER: &[Allowed] = calls::NETLINK_READER;

/// What syslog(3) needs beyond that: to connect to its socket, again when that has come back.
pub const SYSLOG: &[Allowed] = calls::SYSLOG;

/// The calls of the machines whose numbers somebody has looked at. 32-bit ones have two of many calls, and s390 passes the
/// arguments of some elsewhere.
#[cfg(any(
    all(target_arch = "x86_64", target_pointer_width = "64"),
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
mod calls {
    use super::Allowed;

    /// AUDIT_ARCH_* (linux/audit.h): a process may call the kernel as one of another architecture, where the same
    /// numbers mean something else.
    pub(super) const ARCH: Option<u32> = Some(if cfg!(target_arch = "x86_64") {
        0xc000_003e
    } else if cfg!(target_arch = "aarch64") {
        0xc000_00b7
    } else {
        0xc000_00f3
    });

    #[rustfmt::skip]
    pub(super) const NETLINK_READER: &[Allowed] = &[
        // Once a batch of packets.
        Allowed::always(libc::SYS_recvmmsg),
        Allowed::always(libc::SYS_sendto),
        Allowed::always(libc::SYS_recvfrom),
        Allowed::always(libc::SYS_recvmsg),
        Allowed::always(libc::SYS_sendmsg),
        Allowed::always(libc::SYS_epoll_pwait),
        #[cfg(target_arch = "x86_64")]
        Allowed::always(libc::SYS_epoll_wait),
        Allowed::always(libc::SYS_read),
        Allowed::always(libc::SYS_write),
        Allowed::always(libc::SYS_futex),
        Allowed::always(libc::SYS_clock_gettime),
        // Memory, and never to be executed.
        Allowed::with(libc::SYS_mmap, 2, libc::PROT_EXEC as u32, 0),
        Allowed::with(libc::SYS_mprotect, 2, libc::PROT_EXEC as u32, 0),
        Allowed::always(libc::SYS_munmap),
        Allowed::always(libc::SYS_mremap),
        Allowed::always(libc::SYS_madvise),
        Allowed::always(libc::SYS_brk),
        Allowed::always(libc::SYS_getrandom),
        // Sockets to the kernel.
        Allowed::with(libc::SYS_socket, 0, u32::MAX, libc::AF_NETLINK as u32),
        Allowed::always(libc::SYS_bind),
        Allowed::always(libc::SYS_getsockname),
        Allowed::always(libc::SYS_setsockopt),
        Allowed::always(libc::SYS_getsockopt),
        Allowed::always(libc::SYS_epoll_ctl),
        Allowed::always(libc::SYS_close),
        Allowed::always(libc::SYS_fcntl),
        Allowed::always(libc::SYS_shutdown),
        // Files, read only: the configuration, and what is below /proc.
        Allowed::with(libc::SYS_openat, 2, WRITES, 0),
        #[cfg(target_arch = "x86_64")]
        Allowed::with(libc::SYS_open, 1, WRITES, 0),
        Allowed::always(libc::SYS_statx),
        Allowed::always(libc::SYS_newfstatat),
        Allowed::always(libc::SYS_fstat),
        Allowed::always(libc::SYS_lseek),
        Allowed::always(libc::SYS_readv),
        Allowed::always(libc::SYS_writev),
        // Waiting, signals, the end.
        Allowed::always(libc::SYS_ppoll),
        #[cfg(target_arch = "x86_64")]
        Allowed::always(libc::SYS_poll),
        Allowed::always(libc::SYS_clock_nanosleep),
        Allowed::always(libc::SYS_nanosleep),
        Allowed::always(libc::SYS_restart_syscall),
        Allowed::always(libc::SYS_rt_sigreturn),
        Allowed::always(libc::SYS_rt_sigprocmask),
        Allowed::always(libc::SYS_sigaltstack),
        Allowed::always(libc::SYS_getpid),
        Allowed::always(libc::SYS_gettid),
        Allowed::always(libc::SYS_exit),
        Allowed::always(libc::SYS_exit_group),
    ];

    pub(super) const SYSLOG: &[Allowed] = &[
        Allowed::with(libc::SYS_socket, 0, u32::MAX, libc::AF_UNIX as u32),
        Allowed::always(libc::SYS_connect),
        Allowed::always(libc::SYS_ioctl),
    ];

    /// The flags of open(2) that can change a file.
    const WRITES: u32 = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u32;
}

/// On other machines there is no filter, and nothing to list.
#[cfg(not(any(
    all(target_arch = "x86_64", target_pointer_width = "64"),
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
mod calls {
    use super::Allowed;

    pub(super) const ARCH: Option<u32> = None;
    pub(super) const NETLINK_READER: &[Allowed] = &[];
    pub(super) const SYSLOG: &[Allowed] = &[];
}

/// The program.
#[derive(Debug)]
pub struct Filter {
    code: Vec<BpfInsn>,
}

const fn insn(code: u16, jt: u8, jf: u8, k: u32) -> BpfInsn {
    BpfInsn { code, jt, jf, k }
}

impl Filter {
    /// A filter that allows these; of several entries for a number one has to fit. What is called most stands best
    /// at the beginning. `None` on machines whose numbers nobody has looked at, and for
    /// lists that are too long.
    pub fn new(allowed: &[Allowed]) -> Option<Filter> {
        let deny = insn(RET_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        let allow = insn(RET_K, 0, 0, libc::SECCOMP_RET_ALLOW);
        let mut code = vec![
            insn(LD_W_ABS, 0, 0, ARCH_AT),
            insn(JEQ_K, 1, 0, calls::ARCH?),
            deny,
            insn(LD_W_ABS, 0, 0, NUMBER_AT),
        ];
        for call in allowed {
            let number = u32::try_from(call.number).ok()?;
            match call.when {
                None => code.extend([insn(JEQ_K, 0, 1, number), allow]),
                // The argument takes the number's place, which has to come back for the next.
                Some(when) => code.extend([
                    insn(JEQ_K, 0, 5, number),
                    insn(LD_W_ABS, 0, 0, low_word_at(when.argument)),
                    insn(AND_K, 0, 0, when.mask),
                    insn(JEQ_K, 0, 1, when.value),
                    allow,
                    insn(LD_W_ABS, 0, 0, NUMBER_AT),
                ]),
            }
        }
        code.push(deny);
        (code.len() <= PROGRAM_MAX).then_some(Filter { code })
    }

    /// Applies it to this thread and those that it starts from now on, for ever.
    ///
    /// # Errors
    /// [`Error::Sys`] of `prctl`: EINVAL when the kernel was built without such filters, EACCES without
    /// CAP_SYS_ADMIN where PR_SET_NO_NEW_PRIVS has not been set ([`crate::process::keep_capabilities`] does).
    pub fn apply(&self) -> Result<(), Error> {
        sys::filter_calls(&self.code).map_err(|e| Error::sys("prctl", e))
    }
}

fn low_word_at(argument: u8) -> u32 {
    ARGUMENTS_AT + 8 * u32::from(argument) + if cfg!(target_endian = "big") { 4 } else { 0 }
}

// On other machines there is no filter to be tried.
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io;
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    /// What the thread of a test needs to run and to end.
    const THREAD: [libc::c_long; 14] = [
        libc::SYS_futex,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rseq,
        libc::SYS_set_robust_list,
        libc::SYS_gettid,
        libc::SYS_fcntl,
    ];

    fn under<T: Send + 'static>(more: &[Allowed], run: impl FnOnce() -> T + Send + 'static) -> T {
        let all: Vec<Allowed> = THREAD.map(Allowed::always).into_iter().chain(more.to_vec()).collect();
        let thread = std::thread::spawn(move || {
            sys::process_control(libc::PR_SET_NO_NEW_PRIVS, 1).unwrap();
            Filter::new(&all).unwrap().apply().unwrap();
            run()
        });
        thread.join().unwrap()
    }

    fn errno<T>(result: io::Result<T>) -> Option<i32> {
        result.err().and_then(|e| e.raw_os_error())
    }

    #[test]
    fn what_is_not_listed_is_refused() {
        let opened = under(&[], || errno(File::open("/dev/null")));
        assert_eq!(opened, Some(libc::EPERM));
        assert_eq!(errno(File::open("/dev/null")), None, "other threads go on as before");
        let opened = under(&[Allowed::always(libc::SYS_openat)], || errno(File::open("/dev/null")));
        assert_eq!(opened, None);
    }

    #[test]
    fn arguments_count_where_they_are_named() {
        let read_only = Allowed::with(libc::SYS_openat, 2, libc::O_ACCMODE as u32, libc::O_RDONLY as u32);
        let family = |f: libc::c_int| Allowed::with(libc::SYS_socket, 0, u32::MAX, f as u32);
        let (netlink, inet) = (family(libc::AF_NETLINK), family(libc::AF_INET));
        let seen = under(&[read_only, netlink, inet, Allowed::always(libc::SYS_bind)], || {
            [
                errno(File::open("/dev/null")),
                errno(File::options().write(true).open("/dev/null")),
                errno(UdpSocket::bind("127.0.0.1:0")),
                errno(UnixDatagram::unbound()),
            ]
        });
        assert_eq!(seen, [None, Some(libc::EPERM), None, Some(libc::EPERM)]);
    }

    /// Whatever it is: a socket of netlink and a file can be opened, and nothing that acts on others.
    #[test]
    fn a_reader_of_netlink_can_do_no_more_than_that() {
        let [netlink, file, created, udp, started] = under(NETLINK_READER, || {
            let gone = std::env::temp_dir().join("zct-seccomp-is-not-made");
            [
                crate::NetlinkSocket::open().err().and_then(|e| e.errno()),
                errno(std::fs::read_to_string("/proc/self/stat")),
                errno(File::create(gone)),
                errno(UdpSocket::bind("127.0.0.1:0")),
                errno(std::process::Command::new("/bin/true").spawn()),
            ]
        });
        assert_eq!((netlink, file), (None, None));
        assert_eq!([created, udp, started], [Some(libc::EPERM); 3]);
    }

    /// The numbers come from the C library's headers for this machine; those of the kernel are the same.
    #[test]
    fn every_call_of_the_lists_is_one_of_this_machine() {
        for list in [NETLINK_READER, SYSLOG] {
            let numbers: Vec<_> = list.iter().map(|call| call.number).collect();
            assert!(!numbers.is_empty() && numbers.iter().all(|n| (0..600).contains(n)), "{numbers:?}");
        }
        assert!(Filter::new(&[NETLINK_READER, SYSLOG].concat()).is_some());
    }

    #[test]
    fn lists_that_make_no_program_are_refused() {
        assert!(Filter::new(&[Allowed::always(-1)]).is_none());
        assert!(Filter::new(&[Allowed::always(0); 2045]).is_some());
        assert!(Filter::new(&[Allowed::always(0); 2046]).is_none());
    }
}
