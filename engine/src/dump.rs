//! Dumps: a request that is answered by many datagrams, until DONE (ctnetlink.md §6).
//!
//! Sinks and transports are trait objects here: that costs an indirect call per message, and the program has
//! one copy of this code instead of one per command.
//!
//! The kernel builds each datagram inside the receive call, so a dump costs the kernel's time plus ours.
//! `overlapped` does both at once as soon as a dump is longer than one slab; `run` is the plain loop.

use crate::error::Error;
use crate::receive::{Piece, Receiving, Room};
use crate::sink::{Lost, Sink};
use crate::socket::CHUNK;
use crate::transport::Transport;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::ControlFlow;
use zct_wire::consts::nlmsg;
use zct_wire::header::{CtMsg, Frames};

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The kernel said DONE.
    Done,
    /// The sink wanted no more. The rest of the answer stays in the socket, which cannot be used again.
    Stopped,
}

/// Datagrams that are rendered one by one as they are received, before a slab is allocated, or the buffer grows
/// to what the kernel can use. The second is for the DONE of a table whose flows fit in one.
const AT_ONCE: usize = 2;
/// Datagrams per slab. A slab holds about a thousand flows, and a dump that fits in one starts no thread.
const SLAB_CHUNKS: usize = 8;
/// Slabs in circulation: one being filled, one being read, one in between.
const SLABS: usize = 3;

/// Some datagrams of a dump, in order, each in a buffer of [`CHUNK`] bytes.
struct Slab {
    bytes: Box<[u8]>,
    lens: [usize; SLAB_CHUNKS],
    used: usize,
}

impl Slab {
    fn new() -> Slab {
        Slab { bytes: vec![0; SLAB_CHUNKS * CHUNK].into(), lens: [0; SLAB_CHUNKS], used: 0 }
    }

    fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let chunks = self.bytes.chunks_exact(CHUNK).zip(self.lens).take(self.used);
        chunks.map(|(chunk, len)| chunk.get(..len).unwrap_or(chunk))
    }

    /// Hands every message to the sink.
    fn deliver(&self, seq: u32, sink: &mut dyn Sink) -> ControlFlow<()> {
        self.datagrams().try_for_each(|d| deliver(d, seq, sink))
    }
}

/// Hands the messages of one datagram that answer request `seq` to the sink, except control messages.
pub(crate) fn deliver(datagram: &[u8], seq: u32, sink: &mut dyn Sink) -> ControlFlow<()> {
    for frame in Frames::new(datagram) {
        match frame {
            Ok(f) if f.kind() <= nlmsg::OVERRUN || f.seq() != seq => {}
            Ok(f) => match CtMsg::parse(f) {
                Ok(msg) => sink.message(msg)?,
                Err(e) => sink.lost(Lost::Damaged(e)),
            },
            Err(e) => sink.lost(Lost::Damaged(e)),
        }
    }
    ControlFlow::Continue(())
}

/// Receives datagrams and watches for the end.
struct Intake<'a> {
    link: &'a mut dyn Transport,
    receiving: Receiving,
    /// The length of the first datagram that was cut short. The sink learns of it at the end, because it may
    /// be on another thread until then.
    truncated: Option<usize>,
}

impl<'a> Intake<'a> {
    fn new(link: &'a mut dyn Transport, seq: u32) -> Self {
        Intake { link, receiving: Receiving::new(seq, true), truncated: None }
    }

    /// Receives one datagram, and remembers if it was cut short.
    fn next<'b>(&mut self, into: &'b mut [u8]) -> Result<Option<Piece<'b>>, Error> {
        let piece = self.receiving.next(self.link, into)?;
        self.truncated = self.truncated.or(piece.as_ref().and_then(|p| p.cut));
        Ok(piece)
    }

    /// Receives one datagram and hands its messages to the sink; says how the dump ended, if it did.
    fn pass_on(&mut self, into: &mut [u8], sink: &mut dyn Sink) -> Result<Option<End>, Error> {
        let received = self.next(into);
        let end = match &received {
            Ok(None) => return Ok(None),
            Ok(Some(piece)) if deliver(piece.datagram, self.receiving.seq(), sink).is_break() => {
                return Ok(Some(End::Stopped));
            }
            Ok(Some(Piece { end: None, .. })) => return Ok(None),
            _ => received.map(|piece| piece.and_then(|p| p.end)),
        };
        self.tell_losses(sink);
        end?.transpose().map(|_| Some(End::Done))
    }

    /// Passes on the first datagrams, after which most dumps have ended. If this one has not, `into` grows,
    /// whether the rest goes there or not: for the next dump of this socket the kernel makes the first
    /// datagram as long as the longest buffer that this one was received in.
    fn begin(&mut self, into: &mut Room, sink: &mut dyn Sink) -> Result<Option<End>, Error> {
        for _ in 0..AT_ONCE {
            if let Some(end) = self.pass_on(into.bytes(), sink)? {
                return Ok(Some(end));
            }
        }
        into.grow();
        Ok(None)
    }

    /// Passes on all others.
    fn go_on(&mut self, into: &mut Room, sink: &mut dyn Sink) -> Result<End, Error> {
        let into = into.bytes();
        loop {
            if let Some(end) = self.pass_on(into, sink)? {
                return Ok(end);
            }
        }
    }

    /// Fills the slab; true when the dump ended in it.
    fn fill(&mut self, slab: &mut Slab) -> Result<bool, Error> {
        slab.used = 0;
        for (chunk, len) in slab.bytes.chunks_exact_mut(CHUNK).zip(&mut slab.lens) {
            let Some(piece) = self.next(chunk)? else { break };
            *len = piece.datagram.len();
            slab.used += 1;
            if let Some(end) = piece.end {
                return end.map(|()| true);
            }
        }
        Ok(false)
    }

    fn tell_losses(&self, sink: &mut dyn Sink) {
        if let Some(len) = self.truncated {
            sink.lost(Lost::Truncated { len });
        }
        if self.receiving.overrun() {
            sink.lost(Lost::Overrun { count: None });
        }
    }
}

/// Receives the answer to dump request `seq`, already sent, and hands every message to the sink.
///
/// # Errors
/// As [`crate::Requests::dump`].
///
/// # Allocation
/// None, except when `into` grows for a dump of more than two datagrams.
pub(crate) fn run(
    link: &mut dyn Transport,
    seq: u32,
    into: &mut Room,
    sink: &mut dyn Sink,
) -> Result<End, Error> {
    let mut intake = Intake::new(link, seq);
    match intake.begin(into, sink)? {
        Some(end) => Ok(end),
        None => intake.go_on(into, sink),
    }
}

/// Like [`run`], with the sink on a second thread once the dump is longer than one slab, so that the
/// kernel's time and ours overlap. With one processor it is [`run`].
///
/// # Errors
/// As [`run`].
pub(crate) fn overlapped(
    link: &mut dyn Transport,
    seq: u32,
    into: &mut Room,
    sink: &mut (dyn Sink + Send),
) -> Result<End, Error> {
    let mut intake = Intake::new(link, seq);
    if let Some(end) = intake.begin(into, sink)? {
        return Ok(end);
    }
    if crate::sys::processors() == 1 {
        return intake.go_on(into, sink);
    }
    let mut slab = Slab::new();
    let filled = intake.fill(&mut slab);
    if !matches!(filled, Ok(false)) {
        let flow = slab.deliver(seq, sink);
        intake.tell_losses(sink);
        return filled.map(|_| if flow.is_break() { End::Stopped } else { End::Done });
    }
    // Slabs go over full and come back empty. Each channel has room for all of them, so sending never waits.
    let ((full, filled), (back, empty)) = (bounded(SLABS), bounded(SLABS));
    let others = (1..SLABS).map(|_| back.send(Slab::new()));
    // Sending cannot fail: both ends of both channels are still here.
    _ = others.chain([full.send(slab)]).all(|sent| sent.is_ok());
    let sink_there = &mut *sink;
    let (received, flow) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read_slabs(&filled, &back, seq, sink_there));
        let received = fill_slabs(&mut intake, full, &empty);
        // A panic in the sink continues in this thread.
        let flow = reader.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
        (received, flow)
    });
    intake.tell_losses(sink);
    received.map(|()| if flow.is_break() { End::Stopped } else { End::Done })
}

/// The receiving side. It ends with the dump, or when the other side has ended; when it returns, it drops
/// its sender, which ends the other side.
fn fill_slabs(intake: &mut Intake<'_>, full: Sender<Slab>, empty: &Receiver<Slab>) -> Result<(), Error> {
    while let Ok(mut slab) = empty.recv() {
        let filled = intake.fill(&mut slab);
        // Messages that came before an error or the end are delivered too.
        if full.send(slab).is_err() {
            return Ok(());
        }
        if !matches!(filled, Ok(false)) {
            return filled.map(drop);
        }
    }
    Ok(())
}

/// The rendering side. It ends when the other side has ended, or when the sink wants no more.
fn read_slabs(
    filled: &Receiver<Slab>,
    back: &Sender<Slab>,
    seq: u32,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    while let Ok(slab) = filled.recv() {
        slab.deliver(seq, sink)?;
        // This fails once the other side has received everything and ended.
        _ = back.send(slab);
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Replay, end_message as control};
    use zct_wire::build::{Builder, Head};
    use zct_wire::consts::{cta, nlm_f};
    use zct_wire::flow::FlowView;

    /// Remembers marks, stops after `stop_at` of them.
    #[derive(Default)]
    struct Marks {
        seen: Vec<u32>,
        lost: Vec<Lost>,
        stop_at: Option<usize>,
    }

    impl Sink for Marks {
        fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
            self.seen.push(FlowView::index(msg).unwrap().mark().unwrap().unwrap());
            if self.stop_at == Some(self.seen.len()) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }

        fn lost(&mut self, why: Lost) {
            self.lost.push(why);
        }
    }

    fn flows(from: u32, count: u32, seq: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for mark in from..from + count {
            let mut buf = [0; 64];
            let mut b = Builder::new(&mut buf, Head::new(0x100, seq).flags(nlm_f::MULTI).family(2));
            b.put_be32(cta::MARK, mark);
            out.extend(b.finish().unwrap());
        }
        out
    }

    fn room() -> Room {
        let mut room = Room::new();
        room.grow();
        room
    }

    fn long(datagrams: u32) -> Replay {
        (0..datagrams).fold(Replay::default(), |r, i| r.datagram(flows(i * 100, 100, 7)))
    }

    #[test]
    fn every_length_arrives_whole_and_in_order_by_both_ways() {
        for datagrams in [0u32, 1, 2, 3, 9, 10, 11, 18, 26, 27, 100] {
            let want: Vec<u32> = (0..datagrams * 100).collect();
            let mut plain = Marks::default();
            let mut link = long(datagrams).datagram(control(nlmsg::DONE, 7, 0));
            assert_eq!(run(&mut link, 7, &mut room(), &mut plain).unwrap(), End::Done);
            assert!(plain.seen == want, "{datagrams}");
            let mut both = Marks::default();
            let mut link = long(datagrams).datagram(control(nlmsg::DONE, 7, 0));
            assert_eq!(overlapped(&mut link, 7, &mut room(), &mut both).unwrap(), End::Done);
            assert!(both.seen == want && both.lost.is_empty(), "{datagrams}");
        }
    }

    #[test]
    fn a_dump_after_a_long_one_may_begin_with_a_long_datagram() {
        let more = flows(0, 800, 7);
        assert!(more.len() > Room::new().bytes().len() && more.len() <= CHUNK);
        let second = || Replay::default().datagram(more.clone()).datagram(control(nlmsg::DONE, 7, 0));
        for datagrams in [3, 30] {
            for both in [false, true] {
                let dump = if both {
                    |link: &mut Replay, into: &mut Room, sink: &mut Marks| overlapped(link, 7, into, sink)
                } else {
                    |link: &mut Replay, into: &mut Room, sink: &mut Marks| run(link, 7, into, sink)
                };
                let (mut into, mut sink) = (Room::new(), Marks::default());
                let mut first = long(datagrams).datagram(control(nlmsg::DONE, 7, 0));
                assert_eq!(dump(&mut first, &mut into, &mut Marks::default()).unwrap(), End::Done);
                assert_eq!(dump(&mut second(), &mut into, &mut sink).unwrap(), End::Done);
                assert!(sink.seen.len() == 800 && sink.lost.is_empty(), "{datagrams} {both}");
            }
        }
    }

    #[test]
    fn done_behind_data_in_one_datagram_ends_the_dump() {
        let mut last = flows(0, 3, 7);
        last.extend(control(nlmsg::DONE, 7, 0));
        let mut sink = Marks::default();
        assert_eq!(run(&mut Replay::default().datagram(last), 7, &mut room(), &mut sink).unwrap(), End::Done);
        assert_eq!(sink.seen, [0, 1, 2]);
    }

    #[test]
    fn messages_and_ends_of_other_requests_are_passed_over() {
        let mut link = Replay::default()
            .datagram(flows(50, 2, 6))
            .datagram(control(nlmsg::ERROR, 6, -16))
            .datagram(control(nlmsg::DONE, 5, 0))
            .datagram(flows(1, 1, 7))
            .datagram(control(nlmsg::DONE, 7, 0));
        let mut sink = Marks::default();
        assert_eq!(run(&mut link, 7, &mut room(), &mut sink).unwrap(), End::Done);
        assert_eq!(sink.seen, [1]);
    }

    #[test]
    fn refusals_and_errors_in_done_are_errors_after_what_came_before() {
        for (kind, long_first) in [(nlmsg::ERROR, 0), (nlmsg::DONE, 2), (nlmsg::DONE, 60)] {
            for both in [false, true] {
                let mut link = long(long_first).datagram(control(kind, 7, -22));
                let mut sink = Marks::default();
                let end = if both {
                    overlapped(&mut link, 7, &mut room(), &mut sink)
                } else {
                    run(&mut link, 7, &mut room(), &mut sink)
                };
                assert!(matches!(end, Err(Error::Refused { errno: 22, .. })), "{end:?}");
                assert_eq!(sink.seen.len(), long_first as usize * 100);
            }
        }
    }

    #[test]
    fn a_sink_that_has_enough_ends_the_dump() {
        for stop_at in [1, 150, 5000] {
            let mut link = long(100).datagram(control(nlmsg::DONE, 7, 0));
            let mut sink = Marks { stop_at: Some(stop_at), ..Marks::default() };
            assert_eq!(overlapped(&mut link, 7, &mut room(), &mut sink).unwrap(), End::Stopped);
            assert_eq!(sink.seen.len(), stop_at);
        }
    }

    #[test]
    fn losses_are_told() {
        let mut huge = flows(0, 2, 7);
        huge.resize(CHUNK + 100, 0);
        let mut link = Replay::default()
            .datagram(huge)
            .errno(libc::ENOBUFS)
            .datagram(flows(2, 1, 7))
            .datagram(control(nlmsg::DONE, 7, 0));
        let mut sink = Marks::default();
        assert_eq!(run(&mut link, 7, &mut room(), &mut sink).unwrap(), End::Done);
        assert_eq!(sink.seen, [0, 1, 2]);
        assert!(sink.lost.contains(&Lost::Truncated { len: CHUNK + 100 }), "{:?}", sink.lost);
        assert!(sink.lost.contains(&Lost::Overrun { count: None }));
    }

    #[test]
    fn a_lost_end_is_an_error_and_not_a_wait_without_end() {
        let mut link = Replay::default().datagram(flows(0, 1, 7)).errno(libc::ENOBUFS);
        let mut sink = Marks::default();
        let end = run(&mut link, 7, &mut room(), &mut sink);
        assert_eq!(end.unwrap_err().errno(), Some(libc::ENOBUFS));
        assert_eq!(sink.seen, [0]);
    }

    #[test]
    fn damaged_datagrams_are_counted_and_the_rest_is_read() {
        let mut bad = flows(0, 2, 7);
        bad.truncate(bad.len() - 5);
        let mut link =
            Replay::default().datagram(bad).datagram(flows(2, 1, 7)).datagram(control(nlmsg::DONE, 7, 0));
        let mut sink = Marks::default();
        assert_eq!(run(&mut link, 7, &mut room(), &mut sink).unwrap(), End::Done);
        assert_eq!(sink.seen, [0, 2]);
        assert!(matches!(sink.lost[..], [Lost::Damaged(_)]));
    }
}
