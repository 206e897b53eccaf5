//! The system calls for which std has no safe form: netlink and datagram sockets, signals, local time, and
//! what a daemon does to itself.
//!
//! The only unsafe code of the shipped programs, together with the files in `sys/`. Each function does one
//! call, owns no state, and hands out owned or borrowed descriptors; what the calls mean is decided by the
//! modules above.
#![allow(unsafe_code)] // the only place; every block says why it is sound

pub(crate) mod bpf;
#[cfg(feature = "seal")]
pub(crate) mod memory;

use libc::{c_int, c_void, socklen_t};
use std::ffi::CStr;
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use zct_wire::text::LocalTime;

/// Turns a system call's -1 into the error in errno.
fn check(ret: isize) -> io::Result<usize> {
    usize::try_from(ret).map_err(|_| io::Error::last_os_error())
}

/// The length of a C structure as the system calls want it.
const fn len_of<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}

/// Opens a close-on-exec netlink socket of `protocol` (linux/netlink.h) in the caller's network namespace.
pub(crate) fn netlink_socket(protocol: c_int) -> io::Result<OwnedFd> {
    socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)
}

/// Opens a close-on-exec socket; `kind` may carry further flags.
pub(crate) fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    check(fd as isize)?;
    // SAFETY: the call above succeeded, so `fd` is open and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn netlink_addr() -> libc::sockaddr_nl {
    // SAFETY: sockaddr_nl is plain integers, for which all zeros is a value.
    let mut addr: libc::sockaddr_nl = unsafe { zeroed() };
    addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    addr
}

/// Binds to a port that the kernel chooses, and to no multicast group.
pub(crate) fn netlink_bind(fd: BorrowedFd<'_>) -> io::Result<()> {
    let addr = netlink_addr();
    // SAFETY: the address lives over the call and the length is its own.
    let ret = unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len_of::<libc::sockaddr_nl>()) };
    check(ret as isize).map(drop)
}

/// The netlink port the kernel chose in [`netlink_bind`].
pub(crate) fn netlink_port(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut addr = netlink_addr();
    let mut len = len_of::<libc::sockaddr_nl>();
    // SAFETY: both pointers are to locals; the kernel writes at most `len` bytes.
    let ret = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut addr).cast(), &raw mut len) };
    check(ret as isize)?;
    Ok(addr.nl_pid)
}

/// Sets an integer socket option.
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let at: *const c_void = (&raw const value).cast();
    // SAFETY: `value` lives over the call and the length is its own.
    let ret = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, at, len_of::<c_int>()) };
    check(ret as isize).map(drop)
}

/// Reads a socket option that is an array of 32-bit words; returns how many words were written.
pub(crate) fn option_words(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    words: &mut [u32],
) -> io::Result<usize> {
    let mut len = socklen_t::try_from(size_of_val(words)).unwrap_or(0);
    let at: *mut c_void = words.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `len` bytes, which is the size of `words`; any bits are a u32.
    let ret = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, at, &raw mut len) };
    check(ret as isize)?;
    Ok(len as usize / size_of::<u32>())
}

/// One instruction of a classic BPF program (linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BpfInsn {
    /// The operation: class, size and mode.
    pub code: u16,
    /// Instructions to skip when a jump's test holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand: an offset, a constant or a distance.
    pub k: u32,
}

/// Attaches a classic BPF program to a socket (SO_ATTACH_FILTER).
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[BpfInsn]) -> io::Result<()> {
    let mut code = instructions(program);
    let prog = classic(&mut code)?;
    let (at, size) = ((&raw const prog).cast(), len_of::<libc::sock_fprog>());
    // SAFETY: `prog` and the instructions it points to live over the call, and the kernel copies them.
    let ret = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, at, size) };
    check(ret as isize).map(drop)
}

fn instructions(program: &[BpfInsn]) -> Vec<libc::sock_filter> {
    program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

/// What the kernel wants instead of a slice. It is good for as long as `code` is.
fn classic(code: &mut [libc::sock_filter]) -> io::Result<libc::sock_fprog> {
    let len = u16::try_from(code.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    Ok(libc::sock_fprog { len, filter: code.as_mut_ptr() })
}

/// Applies a classic BPF program to the system calls of this thread (seccomp(2)).
pub(crate) fn filter_calls(program: &[BpfInsn]) -> io::Result<()> {
    let mut code = instructions(program);
    let prog = classic(&mut code)?;
    let (mode, none) = (libc::SECCOMP_MODE_FILTER as libc::c_ulong, 0 as libc::c_ulong);
    // SAFETY: `prog` and the instructions it points to live over the call, and the kernel copies them.
    let ret = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const prog, none, none) };
    check(ret as isize).map(drop)
}

/// Sends one datagram to the kernel (netlink port 0).
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let addr = netlink_addr();
    let (at, size) = ((&raw const addr).cast(), len_of::<libc::sockaddr_nl>());
    // SAFETY: buffer and address are borrowed over the call and their lengths are their own.
    check(unsafe { libc::sendto(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0, at, size) })
}

/// A received datagram: its true length, which may be more than the buffer took, and who sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<S> {
    /// Length of the datagram, as with MSG_TRUNC.
    pub(crate) len: usize,
    /// The sender.
    pub(crate) from: S,
}

/// A C structure into which the kernel writes the sender of a datagram.
pub(crate) trait RawAddr: Copy {
    /// The sender in Rust's terms.
    type Sender: Copy;
    /// An empty structure for the kernel to fill in.
    fn blank() -> Self;
    /// Reads the sender from what the kernel has written.
    fn sender(&self) -> Self::Sender;
}

impl RawAddr for libc::sockaddr_nl {
    /// Netlink port; 0 is the kernel.
    type Sender = u32;
    fn blank() -> Self {
        netlink_addr()
    }
    fn sender(&self) -> u32 {
        self.nl_pid
    }
}

/// An IPv4 or IPv6 address with its port: the larger of the two structures has room for both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InetAddr(libc::sockaddr_in6);

impl RawAddr for InetAddr {
    /// `None` for any other family.
    type Sender = Option<SocketAddr>;
    fn blank() -> Self {
        // SAFETY: sockaddr_in6 is plain integers, for which all zeros is a value.
        InetAddr(unsafe { zeroed() })
    }
    fn sender(&self) -> Option<SocketAddr> {
        let port = u16::from_be(self.0.sin6_port);
        match c_int::from(self.0.sin6_family) {
            libc::AF_INET => {
                // struct sockaddr_in: family, port, address; the address lies where IPv6 has the flow label.
                let [a, b, c, d] = self.0.sin6_flowinfo.to_ne_bytes();
                Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into())
            }
            libc::AF_INET6 => {
                let addr = Ipv6Addr::from(self.0.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(addr, port, self.0.sin6_flowinfo, self.0.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

const _: () = assert!(
    std::mem::offset_of!(libc::sockaddr_in, sin_port) == std::mem::offset_of!(libc::sockaddr_in6, sin6_port)
);
const _: () = assert!(
    std::mem::offset_of!(libc::sockaddr_in, sin_addr)
        == std::mem::offset_of!(libc::sockaddr_in6, sin6_flowinfo)
);

impl InetAddr {
    /// The address and the length of its own structure.
    pub(crate) fn of(addr: &SocketAddr) -> (InetAddr, socklen_t) {
        let InetAddr(mut raw) = InetAddr::blank();
        raw.sin6_port = addr.port().to_be();
        match addr {
            SocketAddr::V4(a) => {
                raw.sin6_family = libc::AF_INET as libc::sa_family_t;
                raw.sin6_flowinfo = u32::from_ne_bytes(a.ip().octets());
                (InetAddr(raw), len_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(a) => {
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.sin6_flowinfo = a.flowinfo();
                raw.sin6_addr.s6_addr = a.ip().octets();
                raw.sin6_scope_id = a.scope_id();
                (InetAddr(raw), len_of::<libc::sockaddr_in6>())
            }
        }
    }
}

/// Gives a socket its local address.
pub(crate) fn inet_bind(fd: BorrowedFd<'_>, addr: &SocketAddr) -> io::Result<()> {
    let (addr, len) = InetAddr::of(addr);
    // SAFETY: the address lives over the call and the length is not more than its own.
    let ret = unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr.0).cast(), len) };
    check(ret as isize).map(drop)
}

/// Starts to connect. A socket that does not block answers EINPROGRESS.
pub(crate) fn inet_connect(fd: BorrowedFd<'_>, addr: &SocketAddr) -> io::Result<()> {
    let (addr, len) = InetAddr::of(addr);
    // SAFETY: the address lives over the call and the length is not more than its own.
    let ret = unsafe { libc::connect(fd.as_raw_fd(), (&raw const addr.0).cast(), len) };
    check(ret as isize).map(drop)
}

/// Sets a socket option that is a structure of the C library.
fn set_struct<T>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let at: *const c_void = (&raw const *value).cast();
    // SAFETY: `value` lives over the call and the length is its own.
    let ret = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, at, len_of::<T>()) };
    check(ret as isize).map(drop)
}

/// Joins an IPv4 group on one interface, and sends to groups by it.
pub(crate) fn join_group_v4(
    fd: BorrowedFd<'_>,
    group: Ipv4Addr,
    local: Ipv4Addr,
    index: u32,
) -> io::Result<()> {
    let addr = |a: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(a.octets()) };
    let index = c_int::try_from(index).unwrap_or(0);
    let mreq = libc::ip_mreqn { imr_multiaddr: addr(group), imr_address: addr(local), imr_ifindex: index };
    set_struct(fd, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &mreq)?;
    set_struct(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &mreq)
}

/// Joins an IPv6 group on one interface, and sends to groups by it.
pub(crate) fn join_group_v6(fd: BorrowedFd<'_>, group: Ipv6Addr, index: u32) -> io::Result<()> {
    let mreq = libc::ipv6_mreq {
        ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
        ipv6mr_interface: index,
    };
    set_struct(fd, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &mreq)?;
    set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, c_int::try_from(index).unwrap_or(0))
}

/// Receives one datagram; `wait` says whether to sleep until there is one.
pub(crate) fn recv(fd: BorrowedFd<'_>, into: &mut [u8], wait: bool) -> io::Result<Received<u32>> {
    let mut addr = netlink_addr();
    let mut size = len_of::<libc::sockaddr_nl>();
    let flags = libc::MSG_TRUNC | if wait { 0 } else { libc::MSG_DONTWAIT };
    let (buf, len) = (into.as_mut_ptr().cast(), into.len());
    // SAFETY: the kernel writes at most `len` bytes to the buffer and `size` bytes to the address.
    let got =
        unsafe { libc::recvfrom(fd.as_raw_fd(), buf, len, flags, (&raw mut addr).cast(), &raw mut size) };
    Ok(Received { len: check(got)?, from: addr.nl_pid })
}

/// Buffers and headers for receiving or sending many datagrams with one system call.
///
/// # Allocation
/// Everything is made by [`Slots::new`] and kept. Pages of the buffers come with their first use.
#[derive(Debug)]
pub(crate) struct Slots<A: RawAddr> {
    room: usize,
    buffers: Vec<u8>,
    received: Vec<Received<A::Sender>>,
    headers: Headers<A>,
}

/// Slots for netlink messages.
pub(crate) type RecvSlots = Slots<libc::sockaddr_nl>;

/// The C side of [`Slots`]. The pointers in `headers` point into the other vectors and are set anew before
/// each call, so moving a `Slots` is harmless.
struct Headers<A> {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    addrs: Vec<A>,
}

impl<A> std::fmt::Debug for Headers<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Headers({})", self.headers.len())
    }
}

// SAFETY: the raw pointers inside are written and followed only within one call of `recv_many` or
// `send_many`, which has the value borrowed exclusively; between calls nothing reads them.
unsafe impl<A: Send> Send for Headers<A> {}

impl<A: RawAddr> Slots<A> {
    /// Allocates `slots` buffers of `room` bytes each.
    pub(crate) fn new(slots: usize, room: usize) -> Self {
        // SAFETY: mmsghdr is integers and pointers, for which all zeros is a value.
        let header: libc::mmsghdr = unsafe { zeroed() };
        Slots {
            room,
            buffers: vec![0; slots.saturating_mul(room)],
            received: Vec::with_capacity(slots),
            headers: Headers {
                headers: vec![header; slots],
                vectors: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; slots],
                addrs: vec![A::blank(); slots],
            },
        }
    }

    /// The datagrams of the last receive, each with its length and sender; a truncated one fills its slot.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (Received<A::Sender>, &[u8])> {
        let slots = self.buffers.chunks_exact(self.room);
        self.received.iter().zip(slots).map(|(r, slot)| (*r, slot.get(..r.len).unwrap_or(slot)))
    }

    /// The same, to be changed in place.
    pub(crate) fn datagrams_mut(&mut self) -> impl Iterator<Item = (Received<A::Sender>, &mut [u8])> {
        let slots = self.buffers.chunks_exact_mut(self.room);
        self.received.iter().zip(slots).map(|(r, slot)| {
            let len = r.len.min(slot.len());
            (*r, slot.get_mut(..len).unwrap_or_default())
        })
    }

    /// One slot, to write a datagram into.
    pub(crate) fn slot(&mut self, at: usize) -> &mut [u8] {
        let start = at.saturating_mul(self.room);
        self.buffers.get_mut(start..start.saturating_add(self.room)).unwrap_or_default()
    }

    /// How many slots there are.
    pub(crate) fn count(&self) -> usize {
        self.headers.headers.len()
    }
}

/// Receives as many datagrams as there are, up to the number of slots, without waiting; at least one, or
/// an error. See [`Slots::datagrams`].
pub(crate) fn recv_many<A: RawAddr>(fd: BorrowedFd<'_>, slots: &mut Slots<A>) -> io::Result<usize> {
    slots.received.clear();
    let Headers { headers, vectors, addrs } = &mut slots.headers;
    let parts = headers.iter_mut().zip(vectors.iter_mut()).zip(addrs.iter_mut());
    for (((header, vector), addr), slot) in parts.zip(slots.buffers.chunks_exact_mut(slots.room)) {
        *vector = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        header.msg_hdr.msg_name = (&raw mut *addr).cast();
        header.msg_hdr.msg_namelen = len_of::<A>();
        header.msg_hdr.msg_iov = &raw mut *vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    // The flags are an int in glibc and unsigned in musl.
    let flags = (libc::MSG_DONTWAIT | libc::MSG_TRUNC) as _;
    // SAFETY: every header was just pointed at its own vector, address and buffer, all of which stay
    // borrowed over the call; `count` is the number of headers.
    let got =
        unsafe { libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, flags, std::ptr::null_mut()) };
    let got = check(got as isize)?;
    let filled = headers.iter().zip(addrs.iter()).take(got);
    slots.received.extend(filled.map(|(h, a)| Received { len: h.msg_len as usize, from: a.sender() }));
    Ok(got)
}

/// Sends the datagrams in the slots from `first` on, whose lengths are `lens`, all to `to`, without waiting.
/// Returns how many were sent: at least one, or else the error of the first.
pub(crate) fn send_many(
    fd: BorrowedFd<'_>,
    slots: &mut Slots<InetAddr>,
    first: usize,
    lens: &[usize],
    to: &SocketAddr,
) -> io::Result<usize> {
    let (mut addr, addr_len) = InetAddr::of(to);
    let Headers { headers, vectors, .. } = &mut slots.headers;
    let buffers = slots.buffers.chunks_exact_mut(slots.room).skip(first);
    let mut count = 0u32;
    for (((header, vector), slot), len) in headers.iter_mut().zip(vectors.iter_mut()).zip(buffers).zip(lens) {
        *vector = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len().min(*len) };
        header.msg_hdr.msg_name = (&raw mut addr.0).cast();
        header.msg_hdr.msg_namelen = addr_len;
        header.msg_hdr.msg_iov = &raw mut *vector;
        header.msg_hdr.msg_iovlen = 1;
        count = count.saturating_add(1);
    }
    let flags = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _;
    // SAFETY: the first `count` headers were just pointed at their own vector and buffer and at `addr`, all
    // of which live over the call.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, flags) };
    check(sent as isize)
}

/// Blocks `signals` for this thread and those it starts, and returns a descriptor that becomes readable
/// when one of them arrives (signalfd(2)).
pub(crate) fn signal_fd(signals: &[c_int]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: the set is initialised and lives over the call; the old mask is not asked for.
    let ret = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if ret != 0 {
        return Err(io::Error::from_raw_os_error(ret));
    }
    // SAFETY: the set lives over the call; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(fd as isize)?;
    // SAFETY: the call above succeeded, so `fd` is open and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises all of the set it is given and cannot fail.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for s in signals {
        // SAFETY: the set is initialised. A number that is not a signal's leaves it as it is.
        unsafe { libc::sigaddset(&raw mut set, *s) };
    }
    set
}

/// Lets `signals` through again, to whatever action they have.
pub(crate) fn unblock_signals(signals: &[c_int]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: the set is initialised and lives over the call; the old mask is not asked for.
    let ret = unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    if ret != 0 { Err(io::Error::from_raw_os_error(ret)) } else { Ok(()) }
}

/// Takes one signal off a [`signal_fd`]; `WouldBlock` when there is none.
pub(crate) fn next_signal(fd: BorrowedFd<'_>) -> io::Result<c_int> {
    // SAFETY: signalfd_siginfo is plain integers, for which all zeros is a value.
    let mut info: libc::signalfd_siginfo = unsafe { zeroed() };
    let (at, size) = ((&raw mut info).cast(), size_of::<libc::signalfd_siginfo>());
    // SAFETY: the kernel writes at most `size` bytes, which is the size of `info`.
    check(unsafe { libc::read(fd.as_raw_fd(), at, size) })?;
    Ok(c_int::try_from(info.ssi_signo).unwrap_or(0))
}

/// Gives SIGPIPE back its default action, which the Rust runtime takes away, so that a command whose reader
/// is gone ends like every other command on the system.
pub fn default_sigpipe() {
    // SAFETY: SIG_DFL runs no code of ours; the call cannot fail for a valid signal number.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// The local time of a moment in seconds since the epoch (localtime_r(3), which honours `TZ`).
pub(crate) fn local_time(unix_s: i64) -> LocalTime {
    let mut tm = MaybeUninit::<libc::tm>::zeroed();
    // A 32-bit time_t ends in 2038; later times are shown as its last second rather than wrap around.
    #[allow(
        deprecated,
        reason = "for musl libc says that it will be wider; nothing here depends on its width"
    )]
    let time = libc::time_t::try_from(unix_s).unwrap_or(libc::time_t::MAX);
    // SAFETY: both pointers are to locals that live over the call. `tm` was zeroed, so it is initialised
    // even when the call fails for a year that does not fit.
    let tm = unsafe {
        libc::localtime_r(&raw const time, tm.as_mut_ptr());
        tm.assume_init()
    };
    let small = |v: c_int| u8::try_from(v).unwrap_or(0);
    LocalTime {
        year: tm.tm_year.saturating_add(1900),
        month: small(tm.tm_mon),
        day: small(tm.tm_mday),
        hour: small(tm.tm_hour),
        min: small(tm.tm_min),
        sec: small(tm.tm_sec),
        wday: small(tm.tm_wday),
    }
}

/// How a terminal treats what is typed and what is written (termios(3)).
#[derive(Clone, Copy)]
pub(crate) struct TerminalMode(libc::termios);

impl TerminalMode {
    /// The same for a program that draws: every key at once and as it is, without echo and without signals,
    /// and a read that never waits. What is written still becomes lines.
    pub(crate) fn raw(mut self) -> TerminalMode {
        self.0.c_iflag &=
            !(libc::IXON | libc::ICRNL | libc::INLCR | libc::IGNCR | libc::ISTRIP | libc::BRKINT);
        self.0.c_lflag &= !(libc::ECHO | libc::ICANON | libc::IEXTEN | libc::ISIG);
        self.0.c_cc[libc::VMIN] = 0;
        self.0.c_cc[libc::VTIME] = 0;
        self
    }
}

/// The mode of a terminal; ENOTTY where there is none.
pub(crate) fn terminal_mode(fd: BorrowedFd<'_>) -> io::Result<TerminalMode> {
    // SAFETY: termios is plain integers, for which all zeros is a value.
    let mut mode: libc::termios = unsafe { zeroed() };
    // SAFETY: the C library writes the one structure, which lives over the call.
    check(unsafe { libc::tcgetattr(fd.as_raw_fd(), &raw mut mode) } as isize)?;
    Ok(TerminalMode(mode))
}

/// Sets the mode of a terminal once what was written has gone out.
pub(crate) fn set_terminal_mode(fd: BorrowedFd<'_>, mode: &TerminalMode) -> io::Result<()> {
    // SAFETY: the structure was filled in by `tcgetattr` and lives over the call.
    check(unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSADRAIN, &raw const mode.0) } as isize).map(drop)
}

/// Columns and lines of a terminal (TIOCGWINSZ in ioctl_tty(2)); 0 where it does not know them.
pub(crate) fn terminal_size(fd: BorrowedFd<'_>) -> io::Result<(u16, u16)> {
    // SAFETY: winsize is plain integers, for which all zeros is a value.
    let mut size: libc::winsize = unsafe { zeroed() };
    // SAFETY: this request writes one winsize, which lives over the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } as isize)?;
    Ok((size.ws_col, size.ws_row))
}

/// How many processors this process may run on; 1 when the kernel does not say.
pub fn processors() -> usize {
    // SAFETY: cpu_set_t is plain integers, for which all zeros is a value.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the kernel writes at most the given size to the set.
    let ret = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if ret != 0 {
        return 1;
    }
    // SAFETY: the set is initialised.
    usize::try_from(unsafe { libc::CPU_COUNT(&set) }).unwrap_or(1)
}

/// How many times a second the kernel's clock ticks (CONFIG_HZ), which is the unit of all its timeouts;
/// `None` when it does not say. The coarse clocks have the resolution of a tick.
pub fn ticks_a_second() -> Option<u32> {
    let mut tick = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the one structure, which lives over the call.
    let ret = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut tick) };
    let ns = u64::try_from(tick.tv_nsec).ok().filter(|ns| ret == 0 && tick.tv_sec == 0 && *ns > 0)?;
    // Rounded to the nearest: at 300 Hz a tick is 3333333 ns.
    u32::try_from((1_000_000_000 + ns / 2) / ns).ok()
}

/// The text of an errno in the C locale (strerror(3)), which scripts match: `Operation not permitted`.
pub fn errno_text(errno: i32) -> String {
    let mut buf = [0u8; 128];
    // SAFETY: the buffer lives over the call and its length is its own; the XSI form, which the libc crate
    // binds, writes a NUL-terminated text into it even for unknown numbers.
    unsafe { libc::strerror_r(errno, buf.as_mut_ptr().cast(), buf.len()) };
    let text = buf.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Opens a file by its name in a directory, close-on-exec (openat(2)).
pub(crate) fn open_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
    flags: c_int,
    mode: libc::mode_t,
) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the name ends in NUL and lives over the call.
    let fd = unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags, mode) };
    check(fd as isize)?;
    // SAFETY: the call above succeeded, so `fd` is open and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The user whose permissions this process has.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: no pointers are passed; the call cannot fail.
    unsafe { libc::geteuid() }
}

/// Sets which permission bits new files do not get; returns the old mask.
pub(crate) fn umask(mask: libc::mode_t) -> libc::mode_t {
    // SAFETY: changes one number of the process and cannot fail.
    unsafe { libc::umask(mask) }
}

/// Makes a copy of the process: the child's pid in the parent, `None` in the child.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: the child of a process with several threads could find locks held for ever. The only caller,
    // `process::detach`, refuses to be called when there is more than one.
    let pid = check(unsafe { libc::fork() } as isize)?;
    Ok(u32::try_from(pid).ok().filter(|p| *p != 0))
}

/// Leaves the terminal and its process group.
pub(crate) fn setsid() -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::setsid() } as isize).map(drop)
}

/// Makes descriptor number `to` refer to the same file as `fd`.
pub(crate) fn replace_descriptor(fd: BorrowedFd<'_>, to: c_int) -> io::Result<()> {
    // SAFETY: no pointers are passed. `to` is a standard stream, which std never owns as an `OwnedFd`.
    check(unsafe { libc::dup2(fd.as_raw_fd(), to) } as isize).map(drop)
}

/// Tries to lock a whole file for as long as its description is open; false when another process has the
/// lock (flock(2)).
pub(crate) fn try_lock(fd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: no pointers are passed.
    match check(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } as isize) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(e) => Err(e),
    }
}

/// Sets the scheduling policy of the process.
pub(crate) fn set_scheduler(policy: c_int, priority: c_int) -> io::Result<()> {
    // SAFETY: sched_param is plain integers, for which all zeros is a value.
    let mut param: libc::sched_param = unsafe { zeroed() };
    param.sched_priority = priority;
    // SAFETY: the parameter lives over the call; 0 is the process itself.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const param) } as isize).map(drop)
}

/// Sets the nice value of the process.
pub(crate) fn set_nice(nice: c_int) -> io::Result<()> {
    // The first argument is an unsigned enumeration in glibc and an int in musl.
    let which = libc::PRIO_PROCESS as _;
    // SAFETY: no pointers are passed; 0 is the process itself.
    check(unsafe { libc::setpriority(which, 0, nice) } as isize).map(drop)
}

/// Calls prctl(2) with an option whose argument is a number.
pub(crate) fn process_control(option: c_int, value: u64) -> io::Result<()> {
    let (value, none) = (value as libc::c_ulong, 0 as libc::c_ulong);
    // SAFETY: the options used here take numbers only.
    check(unsafe { libc::prctl(option, value, none, none, none) } as isize).map(drop)
}

/// struct __user_cap_header_struct (linux/capability.h).
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

/// One of the two struct __user_cap_data_struct: 32 capabilities each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct CapWords {
    pub(crate) effective: u32,
    pub(crate) permitted: u32,
    pub(crate) inheritable: u32,
}

/// _LINUX_CAPABILITY_VERSION_3: two words of each set.
const CAP_VERSION: u32 = 0x2008_0522;

/// The capabilities of this thread.
pub(crate) fn capabilities() -> io::Result<[CapWords; 2]> {
    let mut header = CapHeader { version: CAP_VERSION, pid: 0 };
    let mut words = [CapWords::default(); 2];
    // SAFETY: both live over the call, and version 3 writes exactly two words.
    let ret = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) };
    check(ret as isize).map(|_| words)
}

/// Sets the capabilities of this thread, which should be the only one.
pub(crate) fn set_capabilities(words: &[CapWords; 2]) -> io::Result<()> {
    let mut header = CapHeader { version: CAP_VERSION, pid: 0 };
    // SAFETY: both live over the call, and version 3 reads exactly two words.
    let ret = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) };
    check(ret as isize).map(drop)
}
