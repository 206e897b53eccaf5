//! What links have carried, and what has happened on them.

use std::net::IpAddr;

/// Bytes and datagrams (or TCP buffers) of one link.
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
    /// Datagrams refused because they were not the peer's, and connections lost.
    pub receive_errors: u64,
}

/// Something that has happened on a link, for the log and for the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkHappening {
    /// Something came from an address that is not the peer's. UDP reports only the first such datagram.
    Stranger(IpAddr),
    /// The TCP connection that we send on is established; `again` when there was one before.
    Connected {
        /// Whatever was under way on the previous one is lost.
        again: bool,
    },
    /// The connection that we send on is gone.
    Disconnected,
    /// The peer has connected to us.
    Accepted,
    /// What arrived over TCP was not a message; the connection was closed.
    Unframed,
    /// Over TCP, strangers, connections and closed connections that were not reported one by one, because
    /// there were too many in a minute.
    Withheld(u64),
    /// A datagram could not be sent, for this errno. It is reported again only after another errno.
    SendFailed(i32),
}
