//! Network interfaces: which there are, and what changes (NETLINK_ROUTE, rtnetlink(7)).

use crate::error::Error;
use crate::reactor::Turn;
use crate::receive::until_end;
use crate::socket::{CHUNK, NetlinkSocket};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use zct_wire::header::Frames;
use zct_wire::link::{self, Interface, RTM_DELLINK};

/// What is reported about an interface.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// It exists, and this is its current state.
    Is(Interface<'a>),
    /// It no longer exists.
    Gone(Interface<'a>),
    /// Some changes did not fit the receive buffer. Every interface is reported again after this.
    Lost,
}

/// A socket that reports every interface once, and then the changes.
///
/// # Allocation
/// One buffer of 32 KiB.
#[derive(Debug)]
pub struct Interfaces {
    socket: NetlinkSocket,
    chunk: Box<[u8]>,
    seq: u32,
}

impl Interfaces {
    /// Opens the socket in the caller's network namespace; needs no privilege.
    ///
    /// The group is joined before the first dump, so that nothing falls in between.
    ///
    /// # Errors
    /// As [`NetlinkSocket::open`], and [`Error::Sys`] of `setsockopt` when the group cannot be joined.
    pub fn open() -> Result<Interfaces, Error> {
        let socket = NetlinkSocket::open_route()?;
        socket.join(link::RTNLGRP_LINK)?;
        Ok(Interfaces { socket, chunk: vec![0; CHUNK].into(), seq: 0 })
    }

    /// Reports every interface there is; sleeps until the kernel has listed them.
    ///
    /// # Errors
    /// [`Error::Sys`] of `recvfrom` with ENOBUFS when the list did not fit the receive buffer: list again.
    /// [`Error::Sys`] of `sendto`; [`Error::Refused`] by the kernel; [`Error::Wire`] for a message that
    /// cannot be read.
    pub fn list(&mut self, tell: &mut dyn FnMut(Change<'_>)) -> Result<(), Error> {
        self.seq += 1;
        let mut request = [0; 64];
        self.socket.send(link::dump(&mut request, self.seq)?)?;
        // A list whose end was lost is an error, and the caller tries again.
        let link = &mut &self.socket;
        until_end(link, self.seq, &mut self.chunk, &mut |piece| deliver(piece.datagram, tell))
    }

    /// Reports what has changed; never sleeps. After [`Change::Lost`] it lists every interface again.
    ///
    /// # Errors
    /// [`Error::Sys`] of `recvfrom`, and [`Error::Wire`] for a message that cannot be read. After an overrun,
    /// as [`Interfaces::list`].
    pub fn drain(&mut self, tell: &mut dyn FnMut(Change<'_>)) -> Result<Turn, Error> {
        loop {
            match self.socket.recv(&mut self.chunk, false) {
                Ok(len) => deliver(self.chunk.get(..len).unwrap_or(&self.chunk), tell)?,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    tell(Change::Lost);
                    self.list(tell)?;
                }
                Err(e) => return Err(Error::sys("recvfrom", e)),
            }
        }
    }
}

impl AsRawFd for Interfaces {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn deliver(datagram: &[u8], tell: &mut dyn FnMut(Change<'_>)) -> Result<(), Error> {
    for frame in Frames::new(datagram) {
        let frame = frame?;
        let gone = frame.kind() == RTM_DELLINK;
        match Interface::parse(frame)? {
            Some(i) if gone => tell(Change::Gone(i)),
            Some(i) => tell(Change::Is(i)),
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_listed() {
        let mut all = Interfaces::open().unwrap();
        for _ in 0..2 {
            let mut names = Vec::new();
            all.list(&mut |c| {
                if let Change::Is(i) = c {
                    names.push((i.name.to_vec(), i.index, i.mtu));
                }
            })
            .unwrap();
            let lo = names.iter().find(|(name, ..)| name == b"lo");
            assert!(matches!(lo, Some((_, 1, Some(65_536)))), "{names:?}");
        }
    }
}
