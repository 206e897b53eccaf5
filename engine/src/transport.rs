//! Where datagrams come from: the kernel, or a recording of it.

use crate::socket::NetlinkSocket;
use std::io;

/// A source of datagrams. Below it everything is a system call; above it everything can be replayed.
pub trait Transport {
    /// Receives one datagram and returns its true length, which may exceed the buffer. With `wait` it
    /// sleeps until there is one, otherwise it fails with `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock` without `wait` when no datagram is there, and ENOBUFS after messages did not fit the
    /// receive buffer.
    fn recv(&mut self, into: &mut [u8], wait: bool) -> io::Result<usize>;
}

impl Transport for &NetlinkSocket {
    #[inline]
    fn recv(&mut self, into: &mut [u8], wait: bool) -> io::Result<usize> {
        NetlinkSocket::recv(self, into, wait)
    }
}

/// Datagrams and errors recorded earlier, handed out in order; `WouldBlock` after the last.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Replay {
    steps: std::collections::VecDeque<Result<Vec<u8>, i32>>,
}

#[cfg(test)]
impl Replay {
    /// Adds a datagram.
    pub(crate) fn datagram(mut self, bytes: impl Into<Vec<u8>>) -> Replay {
        self.steps.push_back(Ok(bytes.into()));
        self
    }

    /// Adds a failure with this errno.
    pub(crate) fn errno(mut self, errno: i32) -> Replay {
        self.steps.push_back(Err(errno));
        self
    }
}

#[cfg(test)]
impl Transport for Replay {
    fn recv(&mut self, into: &mut [u8], _wait: bool) -> io::Result<usize> {
        match self.steps.pop_front() {
            Some(Ok(bytes)) => {
                let fits = bytes.len().min(into.len());
                into[..fits].copy_from_slice(&bytes[..fits]);
                Ok(bytes.len())
            }
            Some(Err(errno)) => Err(io::Error::from_raw_os_error(errno)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
