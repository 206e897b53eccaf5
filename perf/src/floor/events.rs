//! Events that are received and thrown away.

use super::dump::netlink;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, MultiHeaders, NetlinkAddr, recvmmsg, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd as _;

/// Datagrams per receive call, and bytes for each.
const SLOTS: usize = 64;
const ROOM: usize = 4096;
/// NEW, UPDATE and DESTROY of flows.
const GROUPS: u32 = 7;

/// What was received in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Event messages received.
    pub events: u64,
    /// Receive calls that brought some.
    pub calls: u64,
    /// How often the receive buffer was found to have overflowed.
    pub overruns: u64,
}

/// Receives events until SIGINT, with a receive buffer of `buffer` bytes, counted as `-b` on the command
/// line counts them.
///
/// # Errors
/// A failed system call.
pub fn run(buffer: usize) -> io::Result<Received> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGINT);
    stop.thread_block()?;
    let signals = SignalFd::with_flags(&stop, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let fd = netlink(GROUPS)?;
    setsockopt(&fd, sockopt::RcvBufForce, &buffer)?;
    // The receive call itself waits, which saves a system call; the signal is checked when nothing comes.
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))?;
    let mut headers = MultiHeaders::<NetlinkAddr>::preallocate(SLOTS, None);
    let mut bytes = vec![0; SLOTS * ROOM];
    let mut received = Received::default();
    loop {
        // Made anew each time because nix borrows them for as long as the slots live. Beside the receive call
        // itself this costs nothing.
        let mut rooms = bytes.chunks_exact_mut(ROOM);
        let mut slots: [_; SLOTS] =
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        match recvmmsg(fd.as_raw_fd(), &mut headers, slots.iter_mut(), MsgFlags::MSG_WAITFORONE, None) {
            Ok(some) => {
                received.calls += 1;
                received.events += some.count() as u64;
            }
            Err(Errno::ENOBUFS) => received.overruns += 1,
            Err(Errno::EAGAIN) if signals.read_signal()?.is_some() => return Ok(received),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
