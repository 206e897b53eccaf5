//! New flows as a firewall sees them: made by packets. Every datagram goes to a different address of the
//! loopback network, so that each is a flow of its own.
//!
//! This is not a floor, but the measured programs need it: it runs as a separate process while a
//! listener is measured.

use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrIn, bind, sendmmsg, setsockopt,
    socket, sockopt,
};
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// Datagrams per system call.
const AT_ONCE: usize = 64;
/// The discard port: no service there answers.
const PORT: u16 = 9;
/// 127.0.1.0: the addresses below it may be in use.
const FIRST: u32 = 0x7f00_0100;
/// How many addresses there are up to 127.255.255.255.
const COUNT_MAX: u32 = 0x7fff_ffff - FIRST;

/// Sends `count` datagrams, `rate` per second, or as fast as possible when `rate` is 0. Needs `lo` up and a
/// rule that turns tracking on.
///
/// # Errors
/// A failed system call, or more datagrams than there are loopback addresses.
pub fn run(count: u32, rate: u32) -> io::Result<Duration> {
    if count > COUNT_MAX {
        return Err(io::Error::other(format!("at most {COUNT_MAX} flows")));
    }
    let udp = || socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
    let (sink, from) = (udp()?, udp()?);
    // Nobody reads this socket, so what does not fit is dropped quietly. Without it, every datagram would be
    // answered by an ICMP error.
    setsockopt(&sink, sockopt::RcvBuf, &1)?;
    bind(sink.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, PORT))?;
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(AT_ONCE, None);
    let payload = [[IoSlice::new(&[0])]; AT_ONCE];
    let begin = Instant::now();
    let mut sent = 0;
    while sent < count {
        let now = (count - sent).min(AT_ONCE as u32);
        let to: Vec<_> = (FIRST + sent..FIRST + sent + now).map(|a| Some(address(a))).collect();
        let done =
            sendmmsg(from.as_raw_fd(), &mut headers, &payload[..now as usize], &to, [], MsgFlags::empty())?;
        sent += done.count() as u32;
        if rate > 0 {
            let due = Duration::from_secs_f64(f64::from(sent) / f64::from(rate));
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
    }
    Ok(begin.elapsed())
}

/// Sends datagrams to one address, as fast as possible and for as long as told, as 64 flows in turn. Returns how
/// many were sent.
///
/// # Errors
/// A failed system call.
pub fn blast(to: Ipv4Addr, during: Duration) -> io::Result<u64> {
    let from = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(AT_ONCE, None);
    let payload = [[IoSlice::new(&[0])]; AT_ONCE];
    let port = |n: usize| 1 + u16::try_from(n).expect("64 of them");
    let to: Vec<Option<SockaddrIn>> =
        (0..AT_ONCE).map(|n| Some(std::net::SocketAddrV4::new(to, port(n)).into())).collect();
    let (begin, mut sent) = (Instant::now(), 0);
    while begin.elapsed() < during {
        sent +=
            sendmmsg(from.as_raw_fd(), &mut headers, &payload, &to, [], MsgFlags::empty())?.count() as u64;
    }
    Ok(sent)
}

fn address(a: u32) -> SockaddrIn {
    std::net::SocketAddrV4::new(Ipv4Addr::from(a), PORT).into()
}
