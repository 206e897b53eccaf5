//! What links have carried, and what has happened on them.

use std::net::IpAddr;

/// Bytes and datagrams, or TCP buffers, of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that could not be sent.
    pub send_errors: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams refused, because they were not the peer's, and connections lost.
    pub receive_errors: u64,
}

/// What has happened on a link, for the log and for the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Something came from an address that is not the peer's. UDP tells of the first datagram alone, TCP of
    /// every connection.
    Stranger(IpAddr),
    /// The TCP connection that we send by is there; `again` when there was one before.
    Connected {
        /// What was under way on the one before is lost.
        again: bool,
    },
    /// It is gone.
    Disconnected,
    /// The peer has connected to us.
    Accepted,
    /// What came in by TCP was no message; the connection was closed.
    Unframed,
    /// A datagram could not be sent: errno. Not told again until another errno comes.
    SendFailed(i32),
}
