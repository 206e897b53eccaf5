//! Receiving datagrams from the kernel, many with one system call.

use crate::reactor::Turn;
use crate::socket::NetlinkSocket;
use crate::sys::RecvSlots;
use std::io;

/// Room for a number of datagrams, for whichever socket is read at the moment.
///
/// # Allocation
/// All of it is allocated once. Pages that no datagram reaches cost nothing.
#[derive(Debug)]
pub struct Inbox {
    slots: RecvSlots,
}

impl Inbox {
    /// Room for `count` datagrams of up to `room` bytes each.
    pub fn new(count: usize, room: usize) -> Inbox {
        Inbox { slots: RecvSlots::new(count.max(1), room.max(1)) }
    }

    /// Receives what waits, without sleeping, up to what there is room for, in place of what was received
    /// before. [`Turn::Drained`] says that nothing waits any more.
    ///
    /// # Errors
    /// As [`NetlinkSocket::recv`] without `wait`, but that an empty socket is no error.
    pub fn receive(&mut self, socket: &NetlinkSocket) -> io::Result<Turn> {
        loop {
            match socket.recv_many(&mut self.slots) {
                // Some slots stayed empty, so there is nothing more to come.
                Ok(n) if n < self.slots.count() => return Ok(Turn::Drained),
                Ok(_) => return Ok(Turn::More),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The datagrams of the last [`Inbox::receive`] in their order, without those of other processes: root may
    /// send to any port. One that is too long is cut short.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.slots.datagrams().filter(|(received, _)| received.from == 0).map(|(_, bytes)| bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::header::Frames;
    use zct_wire::request::stats;

    /// The sequence numbers of the answers, of which each is a datagram.
    fn numbers(inbox: &Inbox) -> Vec<u32> {
        inbox.datagrams().map(|d| Frames::new(d).next().unwrap().unwrap().seq()).collect()
    }

    /// What the kernel answers depends on who asks; that it answers every request does not.
    #[test]
    fn datagrams_come_in_their_order_as_many_as_there_is_room_for() {
        let socket = NetlinkSocket::open().unwrap();
        let mut inbox = Inbox::new(3, 256);
        assert_eq!(inbox.receive(&socket).unwrap(), Turn::Drained);
        assert_eq!(inbox.datagrams().count(), 0);
        for seq in 1..=5 {
            let mut request = stats(&mut [0; 64], seq).unwrap().to_vec();
            // A type that no kernel knows, to be acknowledged: an error that comes at once.
            request[4..8].copy_from_slice(&[0xfe, 0x7f, 5, 0]);
            socket.send(&request).unwrap();
        }
        assert_eq!((inbox.receive(&socket).unwrap(), numbers(&inbox)), (Turn::More, vec![1, 2, 3]));
        assert_eq!((inbox.receive(&socket).unwrap(), numbers(&inbox)), (Turn::Drained, vec![4, 5]));
        assert_eq!((inbox.receive(&socket).unwrap(), numbers(&inbox)), (Turn::Drained, vec![]));
    }

    #[test]
    fn what_is_too_long_is_cut_and_nothing_beside_it() {
        let socket = NetlinkSocket::open().unwrap();
        let mut inbox = Inbox::new(2, 24);
        let mut request = stats(&mut [0; 64], 7).unwrap().to_vec();
        request[4..8].copy_from_slice(&[0xfe, 0x7f, 5, 0]);
        socket.send(&request).unwrap();
        assert_eq!(inbox.receive(&socket).unwrap(), Turn::Drained);
        // struct nlmsgerr: the header of the message, a code, the header of the request.
        assert_eq!(inbox.datagrams().map(<[u8]>::len).collect::<Vec<_>>(), [24]);
    }
}
