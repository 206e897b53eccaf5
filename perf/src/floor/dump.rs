//! A dump that is received and thrown away: only message headers are read, to find the end.

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};
use zct_engine::{Lost, Sink};
use zct_wire::consts::nlmsg;
use zct_wire::filter::DumpFilter;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::request::{self, REQUEST_MAX, Table};

/// Buffer size for one receive call; the kernel fills half of it (ctnetlink.md §6.1).
const ROOM: usize = 64 << 10;

/// A sink that only counts what it is given.
#[derive(Debug, Default)]
pub struct Count {
    /// Messages received.
    pub messages: u64,
    /// How often the engine reported a loss.
    pub losses: u64,
}

impl Sink for Count {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        self.messages += 1;
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {
        self.losses += 1;
    }
}

/// What one dump amounted to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dumped {
    /// Flows in the dump.
    pub flows: u64,
    /// Bytes in all datagrams together.
    pub bytes: u64,
    /// Receive calls made.
    pub calls: u64,
    /// The longest single system call. The kernel walks the table inside it with softirqs disabled on that
    /// processor, so no packet is handled there for as long.
    pub longest: Duration,
}

/// Opens a NETLINK_NETFILTER socket that is a member of the groups in this bit mask.
pub(super) fn netlink(groups: u32) -> nix::Result<OwnedFd> {
    let protocol = SockProtocol::NetlinkNetFilter;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(fd)
}

/// Dumps what the kernel finds for `filter` and throws it away.
///
/// # Errors
/// A failed system call, or the kernel's refusal.
pub fn run(filter: &DumpFilter) -> io::Result<Dumped> {
    let (fd, mut out, mut into) = (netlink(0)?, [0; REQUEST_MAX], vec![0; ROOM]);
    let ask =
        request::dump(&mut out, 1, Table::Conntrack, filter).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut dumped = Dumped::default();
    let begin = Instant::now();
    sendto(fd.as_raw_fd(), ask, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    dumped.longest = begin.elapsed();
    loop {
        let begin = Instant::now();
        let len = recv(fd.as_raw_fd(), &mut into, MsgFlags::empty())?;
        dumped.longest = dumped.longest.max(begin.elapsed());
        dumped.calls += 1;
        dumped.bytes += len as u64;
        for frame in Frames::new(&into[..len]) {
            let frame = frame.map_err(|e| io::Error::other(e.to_string()))?;
            match frame.kind() {
                nlmsg::DONE => return Ok(dumped),
                nlmsg::ERROR => return Err(io::Error::from_raw_os_error(-frame.code().unwrap_or(0))),
                _ => dumped.flows += 1,
            }
        }
    }
}

/// Several dumps at the same time, a thread and a socket each.
///
/// # Errors
/// The first error of any of them.
pub fn run_together(filters: &[DumpFilter]) -> io::Result<Dumped> {
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = filters.iter().map(|f| scope.spawn(|| run(f))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
    });
    parts.into_iter().try_fold(Dumped::default(), |sum, part| {
        let part = part?;
        Ok(Dumped {
            flows: sum.flows + part.flows,
            bytes: sum.bytes + part.bytes,
            calls: sum.calls + part.calls,
            longest: sum.longest.max(part.longest),
        })
    })
}
