//! Events: multicast messages about flows and expectations as they happen (ctnetlink.md §5).

use crate::error::Error;
use crate::reactor::Turn;
use crate::sink::{Lost, Sink};
use crate::socket::NetlinkSocket;
use crate::sys::{Received, RecvSlots};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, RawFd};
use zct_wire::header::{CtMsg, Frames};

/// The room one event takes in the receive buffer, however long it is (ctnetlink.md §5.6).
pub const EVENT_BYTES: usize = 1280;

/// Datagrams received by one system call: more gains nothing (ctnetlink.md §5.10).
const SLOTS: usize = 64;
/// Bytes for one event. The largest realistic one is below 1 KiB, but a security context may be longer. Not
/// a power of two, so that the slots do not all share the same cache sets.
const SLOT: usize = 4096 - 64;

/// A subscription to some multicast groups.
///
/// A full receive buffer drops single events and never fails the socket (NETLINK_NO_ENOBUFS), so fewer are
/// lost than with the default, which drops everything until the queue has been read empty
/// (ctnetlink.md §5.7). The socket's drop counter says how many were lost. One event is one datagram.
///
/// # Allocation
/// The buffers are allocated once; an event allocates nothing.
#[derive(Debug)]
pub struct Subscription {
    queue: SocketQueue,
    groups: Vec<u32>,
    account: Account,
}

/// Takes one datagram, of which the buffer may not have held all.
type Take<'a> = dyn FnMut(Received<u32>, &[u8]) -> ControlFlow<()> + 'a;

/// Where events wait: the receive buffer of a socket, or a recording of one.
trait Queue {
    /// Receives the next datagrams, without waiting; at least one, or an error.
    fn receive(&mut self) -> io::Result<usize>;

    /// Hands over the datagrams of the last [`Queue::receive`], until `take` breaks.
    fn each(&self, take: &mut Take<'_>) -> ControlFlow<()>;

    /// The counter of messages that found the buffer full, which wraps around; `None` if there is none.
    fn drops(&self) -> Option<u32>;
}

#[derive(Debug)]
struct SocketQueue {
    socket: NetlinkSocket,
    slots: RecvSlots,
}

impl Queue for SocketQueue {
    fn receive(&mut self) -> io::Result<usize> {
        self.socket.recv_many(&mut self.slots)
    }

    fn each(&self, take: &mut Take<'_>) -> ControlFlow<()> {
        self.slots.datagrams().try_for_each(|(received, bytes)| take(received, bytes))
    }

    fn drops(&self) -> Option<u32> {
        self.socket.drops()
    }
}

/// What a subscription has received, and which losses its sink has been told of.
#[derive(Debug, Default)]
struct Account {
    /// The queue's drop counter when the last loss was told.
    drops: u32,
    received: u64,
}

impl Subscription {
    /// Opens a socket and joins `groups` (`nfnlgrp`), in this order.
    ///
    /// Flows created before the machine's first listener joined may never cause events (ctnetlink.md §5.3),
    /// so join before anything else, the first dump included.
    ///
    /// # Errors
    /// As [`Subscription::prepare`].
    pub fn open(groups: &[u32]) -> Result<Subscription, Error> {
        Subscription::prepare(|_| Ok(()), groups)
    }

    /// The same, but `set_up` gets the socket first, to set buffer size and filter before the first event.
    ///
    /// # Errors
    /// What `set_up` returns; as [`NetlinkSocket::open`]; [`Error::Sys`] of `setsockopt` with EPERM when
    /// CAP_NET_ADMIN is missing.
    pub fn prepare(
        set_up: impl FnOnce(&NetlinkSocket) -> Result<(), Error>,
        groups: &[u32],
    ) -> Result<Subscription, Error> {
        let socket = NetlinkSocket::open()?;
        socket.set_no_enobufs()?;
        set_up(&socket)?;
        for group in groups {
            socket.join(*group)?;
        }
        let drops = socket.drops().unwrap_or(0);
        let slots = RecvSlots::new(SLOTS, SLOT);
        let queue = SocketQueue { socket, slots };
        Ok(Subscription { queue, groups: groups.to_vec(), account: Account { drops, received: 0 } })
    }

    /// The socket. Never send requests through it: its acknowledgements would compete with the events.
    pub fn socket(&self) -> &NetlinkSocket {
        &self.queue.socket
    }

    /// Datagrams received since it was opened.
    pub fn received(&self) -> u64 {
        self.account.received
    }

    /// Hands queued events to the sink until there are none, the sink breaks, or `budget` system calls were
    /// made; `More` says that there may be more without a new wake-up.
    ///
    /// Losses are reported when the queue is empty, as one number for everything since the last report.
    ///
    /// # Errors
    /// [`Error::Sys`] of `recvmmsg`. Lost events are not an error: they are reported to the sink.
    pub fn drain(&mut self, budget: u32, sink: &mut dyn Sink) -> Result<(Turn, ControlFlow<()>), Error> {
        self.account.drain(&mut self.queue, budget, sink)
    }

    /// Joins one more group.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`.
    pub fn join(&mut self, group: u32) -> Result<(), Error> {
        if !self.groups.contains(&group) {
            self.queue.socket.join(group)?;
            self.groups.push(group);
        }
        Ok(())
    }

    /// Leaves one group, and stays in the others. The kernel does not even build a message that no listener
    /// of the machine's network namespace wants. Events of this group that are queued can still be drained.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`.
    pub fn leave_one(&mut self, group: u32) -> Result<(), Error> {
        if self.groups.contains(&group) {
            self.queue.socket.leave(group)?;
            self.groups.retain(|g| *g != group);
        }
        Ok(())
    }

    /// Leaves all groups. Events that are queued can still be drained; no more arrive after them.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`. The groups that are left by then count as left.
    pub fn leave(&mut self) -> Result<(), Error> {
        for group in std::mem::take(&mut self.groups) {
            self.queue.socket.leave(group)?;
        }
        Ok(())
    }
}

impl AsRawFd for Subscription {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.socket.as_raw_fd()
    }
}

impl Account {
    /// As [`Subscription::drain`].
    fn drain(
        &mut self,
        queue: &mut dyn Queue,
        budget: u32,
        sink: &mut dyn Sink,
    ) -> Result<(Turn, ControlFlow<()>), Error> {
        for _ in 0..budget {
            match queue.receive() {
                Ok(n) => {
                    self.received = self.received.wrapping_add(n as u64);
                    if queue.each(&mut |received, datagram| deliver(received, datagram, sink)).is_break() {
                        return Ok((Turn::More, ControlFlow::Break(())));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.tell_losses(queue, sink);
                    return Ok((Turn::Drained, ControlFlow::Continue(())));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // NO_ENOBUFS should prevent this; the drop counter says how many were lost.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(e) => return Err(Error::sys("recvmmsg", e)),
            }
        }
        Ok((Turn::More, ControlFlow::Continue(())))
    }

    fn tell_losses(&mut self, queue: &dyn Queue, sink: &mut dyn Sink) {
        let Some(now) = queue.drops() else { return };
        let lost = now.wrapping_sub(self.drops);
        if lost != 0 {
            self.drops = now;
            sink.lost(Lost::Overrun { count: Some(u64::from(lost)) });
        }
    }
}

fn deliver(received: Received<u32>, datagram: &[u8], sink: &mut dyn Sink) -> ControlFlow<()> {
    // Only the kernel sends events; any root process could send us something that looks like one.
    if received.from != 0 {
        return ControlFlow::Continue(());
    }
    if received.len > datagram.len() {
        sink.lost(Lost::Truncated { len: received.len });
        return ControlFlow::Continue(());
    }
    for frame in Frames::new(datagram) {
        match frame.and_then(CtMsg::parse) {
            Ok(msg) => sink.message(msg)?,
            Err(e) => sink.lost(Lost::Damaged(e)),
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use zct_wire::request::stats;

    /// One datagram: its sender, its true length, its bytes.
    type Datagram = (u32, usize, Vec<u8>);

    /// Receives, each of some datagrams or an errno; nothing after the last.
    #[derive(Default)]
    struct Recording {
        steps: VecDeque<Result<Vec<Datagram>, i32>>,
        last: Vec<Datagram>,
        drops: Option<u32>,
    }

    impl Recording {
        fn of(steps: impl IntoIterator<Item = Result<Vec<Datagram>, i32>>) -> Recording {
            Recording { steps: steps.into_iter().collect(), drops: Some(0), ..Recording::default() }
        }
    }

    impl Queue for Recording {
        fn receive(&mut self) -> io::Result<usize> {
            self.last.clear();
            let step = self.steps.pop_front().unwrap_or(Err(libc::EAGAIN));
            self.last = step.map_err(io::Error::from_raw_os_error)?;
            Ok(self.last.len())
        }

        fn each(&self, take: &mut Take<'_>) -> ControlFlow<()> {
            self.last.iter().try_for_each(|(from, len, b)| take(Received { len: *len, from: *from }, b))
        }

        fn drops(&self) -> Option<u32> {
            self.drops
        }
    }

    /// Remembers sequence numbers and losses, stops at the number `stop_at`.
    #[derive(Default)]
    struct Seen {
        seqs: Vec<u32>,
        lost: Vec<Lost>,
        stop_at: Option<u32>,
    }

    impl Sink for Seen {
        fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
            let seq = msg.seq();
            self.seqs.push(seq);
            if self.stop_at == Some(seq) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }

        fn lost(&mut self, why: Lost) {
            self.lost.push(why);
        }
    }

    /// A datagram of the kernel with this sequence number.
    fn event(seq: u32) -> Datagram {
        let bytes = stats(&mut [0; 64], seq).unwrap().to_vec();
        (0, bytes.len(), bytes)
    }

    const DRAINED: (Turn, ControlFlow<()>) = (Turn::Drained, ControlFlow::Continue(()));

    #[test]
    fn events_arrive_in_order_and_the_budget_counts_receives() {
        let mut queue = Recording::of([Ok(vec![event(1), event(2)]), Ok(vec![event(3)])]);
        let (mut account, mut seen) = (Account::default(), Seen::default());
        let first = account.drain(&mut queue, 1, &mut seen).unwrap();
        assert_eq!(first, (Turn::More, ControlFlow::Continue(())));
        assert_eq!(seen.seqs, [1, 2]);
        assert_eq!(account.drain(&mut queue, 9, &mut seen).unwrap(), DRAINED);
        assert_eq!(seen.seqs, [1, 2, 3]);
        assert_eq!(account.received, 3);
        assert!(seen.lost.is_empty(), "{:?}", seen.lost);
    }

    #[test]
    fn an_overrun_is_told_once_with_its_size_when_the_queue_is_empty() {
        let mut queue = Recording::of([Ok(vec![event(1)]), Err(libc::ENOBUFS), Ok(vec![event(2)])]);
        // The counter wraps around: 5 before it does, 3 after.
        let mut account = Account { drops: u32::MAX - 4, received: 0 };
        queue.drops = Some(3);
        let mut seen = Seen::default();
        assert_eq!(account.drain(&mut queue, 1, &mut seen).unwrap().0, Turn::More);
        assert!(seen.lost.is_empty(), "told before the queue was empty");
        assert_eq!(account.drain(&mut queue, 9, &mut seen).unwrap(), DRAINED);
        assert_eq!(seen.seqs, [1, 2]);
        assert_eq!(seen.lost, [Lost::Overrun { count: Some(8) }]);
        assert_eq!(account.drain(&mut queue, 9, &mut seen).unwrap(), DRAINED);
        assert_eq!(seen.lost.len(), 1, "told twice");
    }

    #[test]
    fn without_a_drop_counter_nothing_is_invented() {
        let mut queue = Recording::of([Ok(vec![event(1)])]);
        queue.drops = None;
        let mut seen = Seen::default();
        assert_eq!(Account::default().drain(&mut queue, 9, &mut seen).unwrap(), DRAINED);
        assert!(seen.lost.is_empty(), "{:?}", seen.lost);
    }

    #[test]
    fn truncated_and_damaged_datagrams_are_losses_and_the_next_ones_are_read() {
        let (_, _, whole) = event(1);
        let damaged = whole[..whole.len() - 2].to_vec();
        let steps = vec![(0, 5000, whole), (0, damaged.len(), damaged), event(2)];
        let mut seen = Seen::default();
        let end = Account::default().drain(&mut Recording::of([Ok(steps)]), 9, &mut seen).unwrap();
        assert_eq!(end, DRAINED);
        assert_eq!(seen.seqs, [2]);
        let [truncated, damaged] = seen.lost[..] else { panic!("{:?}", seen.lost) };
        assert_eq!(truncated, Lost::Truncated { len: 5000 });
        assert!(matches!(damaged, Lost::Damaged(_)), "{damaged:?}");
    }

    #[test]
    fn what_another_process_sends_is_passed_over() {
        let (_, len, bytes) = event(1);
        let mut seen = Seen::default();
        let mut queue = Recording::of([Ok(vec![(4711, len, bytes), event(2)])]);
        assert_eq!(Account::default().drain(&mut queue, 9, &mut seen).unwrap(), DRAINED);
        assert_eq!(seen.seqs, [2]);
        assert!(seen.lost.is_empty(), "{:?}", seen.lost);
    }

    #[test]
    fn a_sink_that_has_enough_ends_the_turn() {
        let mut queue = Recording::of([Ok(vec![event(1), event(2), event(3)])]);
        let mut seen = Seen { stop_at: Some(2), ..Seen::default() };
        let end = Account::default().drain(&mut queue, 9, &mut seen).unwrap();
        assert_eq!(end, (Turn::More, ControlFlow::Break(())));
        assert_eq!(seen.seqs, [1, 2]);
    }

    #[test]
    fn an_interrupted_receive_is_repeated_and_a_failed_one_is_an_error() {
        let mut queue = Recording::of([Err(libc::EINTR), Ok(vec![event(1)]), Err(libc::ENOMEM)]);
        let mut seen = Seen::default();
        let end = Account::default().drain(&mut queue, 9, &mut seen);
        assert_eq!(end.unwrap_err().errno(), Some(libc::ENOMEM));
        assert_eq!(seen.seqs, [1]);
    }
}
