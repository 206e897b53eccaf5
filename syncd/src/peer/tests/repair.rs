//! FT-FW: loss, retransmission, resync and its sweep (sync-protocol.md §5.1.3, §5.1.4).

use super::*;

const QUICK: Ftfw = Ftfw { ack_window_size: 20, ..Ftfw::DEFAULT };

fn quick() -> PeerConfig {
    PeerConfig::of(QUICK)
}

/// sync-protocol.md §5.1.4: 857 to 863 are lost. ACK for what came before, then NACK, in one datagram
/// and at once.
#[test]
fn a_gap_is_acknowledged_and_asked_for_at_once() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.peer_seq = 856;
    b.control(flag::ALIVE | flag::HELLO, None);
    b.run(3000);
    b.control(flag::ALIVE, None);
    let before = b.peer_seq - 1;
    b.peer_seq += 7;
    b.data(Event::Update, 0, &flow(1));
    let d = b.datagrams();
    let heads: Vec<_> = d[0].iter().map(|s| (s.flags, s.range)).collect();
    assert_eq!(heads, [(flag::ACK, Some((before, before))), (flag::NACK, Some((before + 1, before + 7)))]);
    assert_eq!(b.m.stats().lost, 7);
    assert!(b.external(&flow(1)).is_some());
}

/// sync-protocol.md §5.1.3: what is asked for is sent under new numbers in its present state, and only once,
/// however often it had been sent within the range.
#[test]
fn retransmission_has_new_numbers_and_new_content() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.event(Event::New, &flow(1));
    b.event(Event::New, &flow(2));
    let s = b.run(10);
    b.event(Event::Update, &Flow { mark: Some(5), ..flow(1) });
    let last = b.run(10)[0].seq;
    b.control(flag::NACK, Some((s[0].seq, last)));
    let again = b.run(5);
    assert_eq!(again.iter().map(|s| s.seq).collect::<Vec<_>>()[..2], [last + 1, last + 2]);
    let flows: Vec<_> = again.iter().filter_map(|s| s.flow).collect();
    assert_eq!(flows, [flow(2), Flow { mark: Some(5), ..flow(1) }]);
    // Unknown ranges are ignored.
    b.control(flag::NACK, Some((1, 100)));
    assert!(b.run(500).iter().all(|s| s.kind == CTL));
}

/// What is asked for again is sent slowly; a change does not wait behind it.
#[test]
fn changes_overtake_repair() {
    let mut b = Bench::greeted(quick());
    for n in 0..2000 {
        b.event(Event::New, &flow(n));
    }
    let s = b.run(10);
    b.control(flag::NACK, Some((s[0].seq, s[s.len() - 1].seq)));
    b.sent();
    assert!(b.m.waiting() > 1000, "{} waiting", b.m.waiting());
    b.event(Event::Update, &Flow { mark: Some(7), ..flow(1900) });
    let s = b.run(10);
    assert!(s.iter().any(|s| s.flow.is_some_and(|f| f.mark == Some(7))));
}

/// A request to send again is acknowledged once it has been served, so that the peer can tell.
#[test]
fn a_nack_is_acknowledged_after_the_repair() {
    let mut b = Bench::greeted(quick());
    for n in 0..500 {
        b.event(Event::New, &flow(n));
    }
    let s = b.run(10);
    let asked = b.peer_seq;
    b.control(flag::NACK, Some((s[0].seq, s[499].seq)));
    for _ in 0..25 {
        b.control(flag::ALIVE, None);
    }
    let early = b.sent();
    let covers =
        |s: &&SeenMessage| s.flags == flag::ACK && s.range.is_some_and(|(a, z)| a <= asked && asked <= z);
    assert!(early.iter().any(|s| s.flags == flag::ACK) && early.iter().find(covers).is_none());
    let mut flows = early.iter().filter(|s| s.flow.is_some()).count();
    for _ in 0..2000 {
        let sent = b.run(2);
        let served = sent.iter().position(|s| covers(&s));
        flows += sent[..served.unwrap_or(sent.len())].iter().filter(|s| s.flow.is_some()).count();
        if served.is_some() {
            assert_eq!(flows, 500);
            return;
        }
    }
    panic!("never acknowledged");
}

/// A full resend queue gives up the oldest entries. If the peer asks for those, it gets everything and,
/// because there was a deletion among them, learns that we start over.
#[test]
fn what_was_given_up_is_made_good_by_a_bulk() {
    let mut b = Bench::greeted(PeerConfig::of(Ftfw { resend_queue_size: 20, ..QUICK }));
    b.event(Event::New, &flow(0));
    b.event(Event::New, &flow(1));
    let s = b.run(10);
    b.control(flag::ACK, Some((s[0].seq, s[1].seq)));
    b.event(Event::Destroy, &flow(0));
    for n in 1..30 {
        b.event(Event::New, &flow(n));
    }
    let s = b.run(10);
    assert_eq!(b.m.stats().resend_dropped, 10);
    assert_eq!(b.m.resend_queue().len(), 20);
    b.control(flag::NACK, Some((s[0].seq, s[29].seq)));
    b.run(200);
    b.control(flag::ALIVE | flag::HELLO_BACK, None);
    let s = b.run(6000);
    let flows: std::collections::BTreeSet<_> =
        s.iter().filter_map(|s| s.flow).map(|f| f.orig.src_port).collect();
    assert_eq!(flows.len(), 29, "everything that is left, the deleted one is gone");
}

/// sync-protocol.md §2.2: a RESYNC is served, and acknowledged once it has been.
#[test]
fn a_resync_is_acknowledged_after_the_bulk() {
    let mut b = Bench::greeted(quick());
    for n in 0..300 {
        b.event(Event::New, &flow(n));
    }
    let s = b.run(10);
    b.control(flag::ACK, Some((s[0].seq, s[299].seq)));
    let before = b.m.stats().sent as usize;
    let asked = b.peer_seq;
    b.control(flag::RESYNC, Some((0, 0)));
    assert!(b.log().notices.ends_with(&[Notice::ResyncRequested, Notice::BulkStarts]));
    // Enough for an acknowledgement by window: of everything around the request, but not of the request.
    for _ in 0..25 {
        b.control(flag::ALIVE, None);
    }
    let acks: Vec<_> = b.sent().iter().filter(|s| s.flags == flag::ACK).filter_map(|s| s.range).collect();
    assert!(acks.iter().any(|a| a.1 == asked - 1) && acks.iter().any(|a| a.0 == asked + 1), "{acks:?}");
    assert!(acks.iter().all(|(from, to)| asked < *from || *to < asked), "{acks:?} with {asked}");
    // Acknowledges as a peer does, every twenty messages, and checks what we acknowledge.
    let (mut flows, mut acked_at) = (b.m.stats().sent as usize - before - acks.len(), None);
    for _ in 0..500 {
        let sent = b.run(2);
        for s in &sent {
            flows += usize::from(s.flow.is_some());
            if s.flags & flag::ACK != 0 && s.range.is_some_and(|(a, z)| a <= asked && asked <= z) {
                acked_at.get_or_insert(flows);
            }
        }
        if let (Some(first), Some(last)) = (sent.first(), sent.last()) {
            b.control(flag::ACK, Some((first.seq, last.seq)));
        }
        if flows < 300 {
            assert_eq!(acked_at, None, "after {flows} flows");
        }
    }
    b.run(2000);
    assert_eq!((flows, acked_at), (300, Some(300)));
}

/// The sweep: flows that the bulk did not contain are removed once everything that was asked for has arrived.
#[test]
fn a_bulk_that_was_asked_for_ends_with_a_sweep() {
    let mut b = Bench::greeted(PeerConfig::default());
    for n in 0..5 {
        b.data(Event::New, 0, &flow(n));
    }
    b.m.request_resync(b.now);
    let asked = b.run(5).into_iter().find(|s| s.flags == flag::RESYNC).unwrap().seq;
    // As with the original, the acknowledgement of the request may come before the flows.
    b.control(flag::ACK, Some((asked, asked)));
    b.data(Event::Update, 0, &flow(1));
    b.peer_seq += 1; // one of them is lost
    b.data(Event::Update, 0, &flow(3));
    let nack = b.run(5).into_iter().find(|s| s.flags == flag::NACK).unwrap().seq;
    // An acknowledgement means nothing now: the lost message is still to come.
    b.control(flag::ACK, Some((nack, nack)));
    assert_eq!(b.m.caches().external.counts().flows, 5);
    b.data(Event::Update, 0, &flow(2));
    let sent = b.run(1100);
    assert_eq!(b.m.caches().external.counts().flows, 5);
    b.control(flag::ACK, Some((nack + 1, sent.last().unwrap().seq)));
    b.run(10);
    let left: Vec<_> = (0..5).filter(|n| b.external(&flow(*n)).is_some()).collect();
    assert_eq!(left, [1, 2, 3]);
    assert!(b.log().notices.contains(&Notice::Swept(2)));
}

/// Nothing is swept if something in the bulk could not be read.
#[test]
fn no_sweep_after_a_malformed_message() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.data(Event::New, 0, &flow(1));
    b.m.request_resync(b.now);
    let asked = b.run(5).into_iter().find(|s| s.flags == flag::RESYNC).unwrap().seq;
    let mut m = vec![0x10, 0, 0, 16];
    m.extend(b.peer_seq.to_be_bytes());
    m.extend([0, 8, 0, 33, 0, 0, 0, 0]);
    b.peer_seq += 1;
    b.receive(&m);
    b.control(flag::ACK, Some((asked, asked)));
    let s = b.run(1100);
    b.control(flag::ACK, Some((asked + 1, s.last().unwrap().seq)));
    b.run(100);
    assert!(b.external(&flow(1)).is_some());
    assert!(!b.m.resync_is_running());
}

/// If more is missing than a resend queue holds, everything is asked for.
#[test]
fn a_giant_gap_is_a_resync() {
    let mut b = Bench::greeted(PeerConfig::of(Ftfw { resend_queue_size: 1000, ..QUICK }));
    b.peer_seq += 1001;
    b.control(flag::ALIVE, None);
    let s = b.run(5);
    assert!(s.iter().any(|s| s.flags == flag::RESYNC) && s.iter().all(|s| s.flags != flag::NACK));
}

/// An acknowledgement that is lost for good does not keep the flow waiting forever.
#[test]
fn what_stays_unacknowledged_goes_again() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.event(Event::New, &flow(1));
    let lost = b.run(10)[0].seq;
    let mut again = Vec::new();
    for _ in 0..8 {
        let s = b.run(1000);
        again.extend(s.iter().filter_map(|s| s.flow));
        let last = s.last().unwrap().seq;
        b.control(flag::ACK, Some((lost + 1, last)));
    }
    assert_eq!(again, [flow(1)]);
}

/// A bulk is not sent to an absent peer; one that the operator orders is, slowly.
#[test]
fn bulks_wait_for_the_peer() {
    let mut b = Bench::greeted(quick());
    for n in 0..2000 {
        b.event(Event::New, &flow(n));
    }
    b.run(10);
    b.run(10_000); // nobody answers
    b.m.delivery.hello.want_bulk(b.now);
    let quiet = b.run(3000).iter().filter(|s| s.flow.is_some()).count();
    assert_eq!(quiet, 0);
    b.m.send_bulk();
    let forced = b.run(3000).iter().filter(|s| s.flow.is_some()).count();
    assert_eq!(forced, 2000);
}
