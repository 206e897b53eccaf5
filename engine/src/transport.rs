//! Where datagrams come from: the kernel, or a recording of it.

use crate::error::Error;
use crate::socket::NetlinkSocket;
use std::io;

/// Where requests go and answers come from. Below it everything is a system call; above it everything can be
/// replayed.
pub(crate) trait Transport {
    /// Sends one datagram of one or more messages.
    ///
    /// # Errors
    /// [`Error::Sys`] of `sendto`.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Receives one datagram and returns its true length, which may exceed the buffer. With `wait` it
    /// sleeps until there is one, otherwise it fails with `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock` without `wait` when no datagram is there, and ENOBUFS after messages did not fit the
    /// receive buffer.
    fn recv(&mut self, into: &mut [u8], wait: bool) -> io::Result<usize>;
}

impl Transport for &NetlinkSocket {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        NetlinkSocket::send(self, bytes)
    }

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
    no_sending: Option<i32>,
    /// What was sent.
    pub(crate) sent: Vec<Vec<u8>>,
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

    /// Makes every sending fail with this errno.
    pub(crate) fn refuse_to_send(mut self, errno: i32) -> Replay {
        self.no_sending = Some(errno);
        self
    }
}

#[cfg(test)]
impl Transport for Replay {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(errno) = self.no_sending {
            return Err(Error::sys("sendto", io::Error::from_raw_os_error(errno)));
        }
        self.sent.push(bytes.to_vec());
        Ok(())
    }

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

/// A message that ends the answer to request `seq`: an NLMSG_DONE or NLMSG_ERROR with this code, which is
/// zero or a negative errno.
#[cfg(test)]
pub(crate) fn end_message(kind: u16, seq: u32, code: i32) -> Vec<u8> {
    let mut out = 36u32.to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend([0, 0]);
    out.extend(seq.to_ne_bytes());
    out.extend([0; 4]);
    out.extend(code.to_ne_bytes());
    // The header of the request, which nobody reads.
    out.extend([0; 16]);
    out
}

/// An NLMSG_ERROR for request `seq`.
#[cfg(test)]
pub(crate) fn error_message(seq: u32, code: i32) -> Vec<u8> {
    end_message(zct_wire::consts::nlmsg::ERROR, seq, code)
}
