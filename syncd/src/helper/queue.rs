//! The sockets of queues: packets come in, verdicts go out, many at a time.

use std::io;
use zct_engine::{Error, Inbox, NetlinkSocket, Turn, errno};
use zct_wire::build::Full;
use zct_wire::consts::nfqnl_msg;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::nfqueue::{self, Change, MESSAGE_MAX, Queued, VERDICT_MAX};

/// The receive buffer that is asked for: as many packets as may wait by default, if they are ordinary ones.
const RECEIVE_BUFFER: usize = 8 << 20;
const SEND_BUFFER: usize = 1 << 20;
/// How many packets are received by one system call.
const TOGETHER: usize = 32;
/// How many such calls are made before others get their turn.
const BUDGET: usize = 4;
/// The bytes of verdicts that are sent together.
const VERDICTS_MAX: usize = 256 << 10;
/// Room for the largest verdict with the largest packet.
const ONE_MAX: usize = MESSAGE_MAX + VERDICT_MAX;

/// A queue that this process reads.
#[derive(Debug)]
pub(super) struct PacketQueue {
    pub(super) number: u16,
    socket: NetlinkSocket,
}

/// Room for packets and verdicts, which all queues use in turn.
///
/// # Allocation
/// Made once; a packet allocates nothing. 2.5 MB of address space, of which ordinary packets reach a page each.
#[derive(Debug)]
pub(super) struct PacketRoom {
    packets: Inbox,
    verdicts: Box<[u8]>,
}

impl PacketRoom {
    pub(super) fn new() -> PacketRoom {
        // One cache line more, so that packets do not all share the same cache sets.
        PacketRoom {
            packets: Inbox::new(TOGETHER, MESSAGE_MAX + 64),
            verdicts: vec![0; VERDICTS_MAX + ONE_MAX].into(),
        }
    }
}

/// Verdicts that have not been sent yet.
#[derive(Debug)]
struct Verdicts<'a> {
    queue: u16,
    out: &'a mut [u8],
    len: usize,
    /// The last packet that goes on unchanged and has had no verdict yet.
    plain: Option<u32>,
}

impl Verdicts<'_> {
    /// Appends what `build` makes. There is room: [`Verdicts::is_full`] is asked before.
    fn push(&mut self, build: impl FnOnce(&mut [u8]) -> Result<&[u8], Full>) -> Result<(), Full> {
        let room = self.out.get_mut(self.len..).unwrap_or_default();
        self.len += build(room)?.len().next_multiple_of(4);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.len + ONE_MAX > self.out.len()
    }

    /// The packets before it that have no verdict yet go on first, so that a flow's packets keep their order.
    fn changed(&mut self, id: u32, change: &Change<'_>) -> Result<(), Full> {
        self.settle_plain()?;
        let queue = self.queue;
        self.push(|room| nfqueue::accept(room, queue, id, change))
    }

    fn settle_plain(&mut self) -> Result<(), Full> {
        let queue = self.queue;
        match self.plain.take() {
            Some(id) => self.push(|room| nfqueue::accept_up_to(room, queue, id)),
            None => Ok(()),
        }
    }

    fn take(&mut self) -> &[u8] {
        let len = std::mem::take(&mut self.len);
        self.out.get(..len).unwrap_or_default()
    }
}

/// What to do with the packet that is being judged.
pub(super) trait PacketJudge {
    /// Looks at a packet, and hands what is to be changed to `say`, at most once; without that it just goes
    /// on.
    fn judge(&mut self, packet: &Queued<'_>, say: &mut dyn FnMut(&Change<'_>));
}

impl PacketQueue {
    /// Binds a queue.
    ///
    /// EPERM: another program has it. EINVAL: the kernel has no queues. EOPNOTSUPP: it has, but not the glue
    /// to connection tracking.
    pub(super) fn bind(number: u16, max_packets: Option<u32>) -> Result<PacketQueue, Error> {
        let socket = NetlinkSocket::open()?;
        // Smaller ones than asked for lose nothing: the kernel lets packets pass.
        _ = socket.set_receive_buffer(RECEIVE_BUFFER);
        _ = socket.set_send_buffer(SEND_BUFFER);
        socket.set_no_enobufs()?;
        let queue = PacketQueue { number, socket };
        queue.ask(|buf| nfqueue::bind(buf, 1, number, max_packets))?;
        Ok(queue)
    }

    pub(super) fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    /// Sends one request and waits for its acknowledgement. No packet can come before that: the stub is
    /// enabled, or is given this queue, only afterwards.
    fn ask(&self, build: impl FnOnce(&mut [u8]) -> Result<&[u8], Full>) -> Result<(), Error> {
        // More than a refusal with the kernel's explanation has.
        let mut buf = [0; 1024];
        let request = build(&mut buf)?;
        self.socket.send(request)?;
        loop {
            let len = self.socket.recv(&mut buf, true).map_err(|e| Error::sys("recvfrom", e))?;
            for frame in Frames::new(buf.get(..len).unwrap_or_default()) {
                let frame = frame.map_err(Error::Wire)?;
                if let Some(answer) = frame.error() {
                    let code = answer.map_err(Error::Wire)?.code;
                    return match code {
                        0 => Ok(()),
                        code => Err(Error::sys("bind", io::Error::from_raw_os_error(-code))),
                    };
                }
            }
        }
    }

    /// Reads the packets that wait, up to a turn's share, and answers all of them.
    pub(super) fn turn(&self, room: &mut PacketRoom, judge: &mut dyn PacketJudge) -> Result<Turn, Error> {
        let PacketRoom { packets: inbox, verdicts: out } = room;
        let mut verdicts = Verdicts { queue: self.number, out, len: 0, plain: None };
        let mut turn = Turn::More;
        for _ in 0..BUDGET {
            turn = inbox.receive(&self.socket).map_err(|e| Error::sys("recvmmsg", e))?;
            for datagram in inbox.datagrams() {
                packets(datagram, &mut verdicts, judge)?;
                if verdicts.is_full() {
                    self.socket.send(verdicts.take())?;
                }
            }
            if turn == Turn::Drained {
                break;
            }
        }
        verdicts.settle_plain()?;
        let all = verdicts.take();
        if !all.is_empty() {
            self.socket.send(all)?;
        }
        Ok(turn)
    }
}

/// Judges every packet of a datagram. Whatever happens, each one gets a verdict.
fn packets(datagram: &[u8], verdicts: &mut Verdicts<'_>, judge: &mut dyn PacketJudge) -> Result<(), Error> {
    for frame in Frames::new(datagram) {
        let frame = frame.map_err(Error::Wire)?;
        // The kernel refuses a verdict only for a packet that is gone already.
        if frame.kind() != nfqnl_msg::PACKET {
            continue;
        }
        let packet = CtMsg::parse(frame).and_then(Queued::parse).map_err(Error::Wire)?;
        let mut said = false;
        judge.judge(&packet, &mut |change| {
            said = verdicts.changed(packet.id, change).is_ok();
        });
        if !said {
            verdicts.plain = Some(packet.id);
        }
    }
    Ok(())
}

/// Whether an error of [`PacketQueue::bind`] says that another program has the queue.
pub(super) fn is_taken(e: &Error) -> bool {
    matches!(e.errno(), Some(errno::EPERM | errno::EBUSY))
}

/// The counters of `/proc/net/netfilter/nfnetlink_queue` for a queue: packets that did not fit it or its
/// socket.
pub(super) fn dropped(number: u16) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/netfilter/nfnetlink_queue").ok()?;
    dropped_in(&table, number)
}

fn dropped_in(table: &str, number: u16) -> Option<u64> {
    table.lines().find_map(|line| {
        let words: Vec<u64> = line.split_whitespace().map_while(|w| w.parse().ok()).collect();
        match words.as_slice() {
            [queue, _, _, _, _, full, lost, ..] if *queue == u64::from(number) => Some(full + lost),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_line_of_the_queue() {
        let table = "    1  12345     0 2 65531     3     4      900  1\n   11  12345     0 2 65531     0     0        0  1\n";
        assert_eq!([1, 11, 2].map(|n| dropped_in(table, n)), [Some(7), Some(0), None]);
        assert_eq!(dropped_in("1 2 x\n", 1), None);
    }

    fn room() -> Box<[u8]> {
        vec![0; ONE_MAX + 4096].into()
    }

    fn verdicts(out: &mut [u8]) -> Verdicts<'_> {
        Verdicts { queue: 3, out, len: 0, plain: None }
    }

    fn kinds(bytes: &[u8]) -> Vec<(u16, u32)> {
        let id = |m: CtMsg<'_>| {
            let value = m.attrs().next().unwrap().unwrap().value;
            u32::from_be_bytes(value[4..8].try_into().unwrap())
        };
        Frames::new(bytes).map(|f| CtMsg::parse(f.unwrap()).unwrap()).map(|m| (m.kind(), id(m))).collect()
    }

    /// A datagram with a packet of this number, and nothing in it.
    fn packet(id: u32) -> Vec<u8> {
        let attr =
            [&11_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &id.to_be_bytes(), &[8, 0, 4, 0]].concat();
        let len = 20 + attr.len() as u32;
        [&len.to_ne_bytes()[..], &0x300_u16.to_ne_bytes(), &[0; 10], &[2, 0, 0, 3], &attr].concat()
    }

    /// Changes packets with even numbers.
    struct Even;

    impl PacketJudge for Even {
        fn judge(&mut self, packet: &Queued<'_>, say: &mut dyn FnMut(&Change<'_>)) {
            if packet.id % 2 == 0 {
                say(&Change { timeout_s: Some(1), ..Change::default() });
            }
        }
    }

    #[test]
    fn every_packet_gets_a_verdict_in_its_turn() {
        let mut room = room();
        let mut v = verdicts(&mut room);
        for id in [1, 3, 5, 6, 7, 9] {
            packets(&packet(id), &mut v, &mut Even).unwrap();
        }
        v.settle_plain().unwrap();
        let (batch, one) = (nfqnl_msg::VERDICT_BATCH, nfqnl_msg::VERDICT);
        assert_eq!(kinds(v.take()), [(batch, 5), (one, 6), (batch, 9)]);
        assert!(v.take().is_empty() && !v.is_full());
    }

    /// A change that has no room must not leave its packet in the queue.
    #[test]
    fn a_change_that_does_not_fit_lets_the_packet_go_on_as_it_is() {
        struct Huge;
        impl PacketJudge for Huge {
            fn judge(&mut self, _: &Queued<'_>, say: &mut dyn FnMut(&Change<'_>)) {
                say(&Change { packet: Some(&[0; 70_000]), ..Change::default() });
            }
        }
        let mut room = room();
        let mut v = verdicts(&mut room);
        packets(&packet(7), &mut v, &mut Huge).unwrap();
        v.settle_plain().unwrap();
        assert_eq!(kinds(v.take()), [(nfqnl_msg::VERDICT_BATCH, 7)]);
    }
}
