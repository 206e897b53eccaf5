//! FT-FW: greetings, acknowledgements, gathering, links (sync-protocol.md §4.1, §5.1, §7).

use super::*;

fn quick() -> PeerConfig {
    PeerConfig::of(Ftfw { ack_window_size: 20, ..Ftfw::DEFAULT })
}

/// sync-protocol.md §5.1.5: a lonely node sends ALIVE|HELLO every second, beginning at once; each
/// takes a number.
#[test]
fn a_lonely_node_says_hello_every_second() {
    let mut b = Bench::new(PeerConfig::default());
    let heads: Vec<_> = b.run_to(999).iter().map(SeenMessage::head).collect();
    assert_eq!(heads, [head(CTL, 0x30, OURS)]);
    let heads: Vec<_> = b.run_to(2500).iter().map(SeenMessage::head).collect();
    assert_eq!(heads, [head(CTL, 0x30, OURS + 1), head(CTL, 0x30, OURS + 2)]);
}

/// sync-protocol.md §5.1.5: the next message of any type answers the peer's HELLO; all of ours carry HELLO
/// until the peer has answered.
#[test]
fn greetings_stand_on_messages_of_any_type() {
    let mut b = Bench::new(PeerConfig::default());
    b.run_to(1000);
    b.control(flag::ALIVE | flag::HELLO, None);
    b.event(Event::New, &flow(1));
    assert_eq!(b.run(10).iter().map(SeenMessage::head).collect::<Vec<_>>(), [head(NEW, 0x60, OURS + 2)]);
    b.event(Event::New, &flow(2));
    assert_eq!(b.run(10).iter().map(SeenMessage::head).collect::<Vec<_>>(), [head(NEW, 0x20, OURS + 3)]);
    // The peer is still sending HELLO, so it is answered again.
    b.control(flag::ALIVE | flag::HELLO, None);
    b.event(Event::New, &flow(3));
    assert_eq!(b.run(10)[0].flags, 0x60);
    b.control(flag::ALIVE | flag::HELLO_BACK, None);
    assert!(b.run(10).iter().all(|s| s.flags & flag::GREETING == 0));
    // If there is nothing else to send, the answer goes alone, once for a flood of greetings.
    for _ in 0..100 {
        b.control(flag::ALIVE | flag::HELLO, None);
    }
    let answers = b.run(10).iter().filter(|s| s.flags & flag::HELLO_BACK != 0).count();
    assert_eq!(answers, 1);
}

/// A HELLO_BACK before our own first message is not for us (sync-protocol.md §5.1.3).
#[test]
fn an_early_answer_is_not_believed() {
    let mut b = Bench::new(PeerConfig::default());
    b.control(flag::ALIVE | flag::HELLO_BACK, None);
    assert_eq!(b.run_to(1000)[0].flags & flag::HELLO, flag::HELLO);
}

/// A peer that starts gets everything without asking, and is asked for everything: once, however often it
/// sends HELLO, and without the number of messages that a second start would take.
#[test]
fn a_starting_peer_is_filled_once() {
    let mut b = Bench::greeted(quick());
    for n in 0..100 {
        b.event(Event::New, &flow(n));
    }
    let first = b.m.delivery.seq;
    let sent = b.run(10);
    assert_eq!(sent.len(), 100);
    b.control(flag::ACK, Some((first, first + 99)));
    assert_eq!(b.run(5), []);

    b.peer_seq = 77; // the peer's clock is behind
    b.control(flag::ALIVE | flag::HELLO, None);
    let sent = b.run(10);
    let flows = sent.iter().filter(|s| s.kind == NEW).count();
    let asked = sent.iter().filter(|s| s.flags & flag::RESYNC != 0).count();
    assert_eq!((flows, asked, sent[0].flags & flag::HELLO_BACK), (100, 1, flag::HELLO_BACK));
    b.control(flag::ALIVE | flag::HELLO, None);
    b.control(flag::ALIVE | flag::HELLO, None);
    assert!(b.run(900).iter().all(|s| s.kind == CTL && s.flags & flag::RESYNC == 0));
    assert_eq!(b.m.stats().peer_starts, 2);
}

/// After the peer's HELLO its old numbers mean nothing: what was unacknowledged is sent again, deletions too.
#[test]
fn a_hello_empties_the_resend_queue_and_loses_nothing() {
    let mut b = Bench::greeted(quick());
    b.event(Event::New, &flow(1));
    b.event(Event::New, &flow(2));
    b.run(10);
    b.event(Event::Destroy, &flow(2));
    b.run(10);
    assert_eq!(b.m.resend_queue().len(), 2);
    b.peer_seq = 5;
    b.control(flag::ALIVE | flag::HELLO, None);
    assert_eq!(b.m.resend_queue().len(), 0);
    let sent = b.run(10);
    assert!(sent.iter().any(|s| s.kind == NEW && s.flow.unwrap().orig == flow(1).orig));
    assert!(sent.iter().any(|s| s.kind == DEL && s.flow.unwrap().orig == flow(2).orig));
    // The record goes when the deletion is acknowledged.
    let (first, last) = (sent[0].seq, sent[sent.len() - 1].seq);
    assert_eq!(b.m.caches().internal.counts().dead, 1);
    b.control(flag::ACK, Some((first, last)));
    assert_eq!(b.m.caches().internal.counts().dead, 0);
}

/// As long as our messages carry HELLO, the original acknowledges what it has not received. What was
/// acknowledged meanwhile is sent again after its answer, including ended flows.
#[test]
fn acknowledgements_of_greetings_are_not_believed() {
    let mut b = Bench::new(PeerConfig::default());
    assert_eq!(b.run(0).len(), 1, "the greeting");
    for n in 1..4 {
        b.m.flow_dumped(0, &flow(n), 1);
    }
    b.event(Event::New, &flow(4));
    b.event(Event::Destroy, &flow(1));
    let sent = b.run(10);
    assert_eq!(sent.iter().map(|s| (s.kind, s.flags)).collect::<Vec<_>>(), [(NEW, 0x20), (DEL, 0x20)]);
    b.control(flag::ACK, Some((sent[0].seq, sent[1].seq)));
    assert_eq!(b.m.resend_queue(), []);
    b.event(Event::Update, &flow(4));
    b.control(flag::ALIVE | flag::HELLO_BACK, None);
    let mut again: Vec<_> = b.run(10).iter().filter_map(|s| Some((s.flow?.orig.src_port?, s.kind))).collect();
    again.sort_unstable();
    assert_eq!(again, [(1, DEL), (2, NEW), (3, NEW), (4, NEW)]);
}

/// sync-protocol.md §4.1: a change waits ten milliseconds for others, and changes of one flow
/// become one message.
#[test]
fn changes_are_gathered() {
    let mut b = Bench::greeted(PeerConfig::default());
    let t = b.now;
    b.event(Event::New, &flow(1));
    assert_eq!(b.run_to(t + 5), []);
    b.event(Event::Update, &Flow { mark: Some(9), ..flow(1) });
    b.event(Event::New, &flow(2));
    assert_eq!(b.run_to(t + 9), []);
    let d = {
        b.now = t + 10;
        b.datagrams()
    };
    assert_eq!((d.len(), d[0].len()), (1, 2));
    // The peer has no older flow with this tuple that an update would have to be told from, so it is new.
    assert_eq!((d[0][0].kind, d[0][0].flow.unwrap().mark), (NEW, Some(9)));
}

/// sync-protocol.md §4.1: full datagrams go at once; 19 messages of 76 bytes, as the original fills them.
#[test]
fn full_datagrams_go_at_once() {
    let mut b = Bench::greeted(PeerConfig { tcp_window_tracking: true, ..PeerConfig::default() });
    for n in 0..60 {
        let mut f = flow(n);
        if let Some(ProtoInfo::Tcp(i)) = &mut f.proto {
            i.wscale = [Some(10), Some(10)];
        }
        b.event(Event::New, &f);
    }
    let d = b.datagrams();
    assert_eq!(d.iter().map(Vec::len).collect::<Vec<_>>(), [19, 19, 19, 3]);
}

/// sync-protocol.md §5.1.1: an update is sent as such only if the peer has the flow.
#[test]
fn types_follow_what_the_peer_has() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.event(Event::New, &flow(1));
    let s = b.run(10);
    assert_eq!(s[0].kind, NEW);
    b.event(Event::Update, &flow(1));
    assert_eq!(b.run(10)[0].kind, NEW, "not acknowledged yet");
    b.control(flag::ACK, Some((s[0].seq, s[0].seq + 1)));
    b.event(Event::Update, &flow(1));
    let s = b.run(10);
    assert_eq!(s[0].kind, UPD);
    b.event(Event::Destroy, &Flow { status: Some(0x38e), ..flow(1) });
    let s = b.run(10);
    // The last state, not that of the dying flow.
    assert_eq!((s[0].kind, s[0].flow), (DEL, Some(flow(1))));
}

/// sync-protocol.md §5.1.3: an acknowledgement by window, and an early one after an acknowledgement
/// by the timer.
#[test]
fn acknowledges_by_window_and_timer() {
    let mut b = Bench::greeted(quick());
    let first = b.peer_seq - 1; // the last of the greetings is still to be acknowledged
    let used = 20 - window_left(&b);
    for n in 0..20 - used {
        assert_eq!(b.sent(), [], "message {n}");
        b.control(flag::ALIVE, None);
    }
    let s = b.sent();
    assert_eq!((s[0].flags, s[0].range), (flag::ACK, Some((first, b.peer_seq - 1))));
    b.control(flag::ALIVE, None);
    b.control(flag::ALIVE, None);
    let s = b.run(1001);
    assert_eq!((s.len(), s[0].range), (1, Some((b.peer_seq - 2, b.peer_seq - 1))));
}

/// How much of the acknowledgement window the greetings have left unused.
fn window_left(b: &Bench) -> u32 {
    format!("{:?}", b.m.session)
        .split("window: ")
        .nth(1)
        .and_then(|s| s.split(',').next())
        .and_then(|s| s.parse().ok())
        .unwrap()
}

/// A node that sends all the time still acknowledges within a second; the original does not.
#[test]
fn a_busy_node_acknowledges_in_time() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.control(flag::ALIVE, None);
    let mut acks = Vec::new();
    for n in 0..30 {
        b.event(Event::New, &flow(n));
        acks.extend(b.run(50).into_iter().filter(|s| s.flags == flag::ACK));
    }
    assert_eq!(acks.len(), 1);
}

/// sync-protocol.md §2.4: every row of the table that concerns the machine.
#[test]
fn bad_messages_are_counted_and_cost_only_themselves() {
    let mut b = Bench::greeted(PeerConfig::default());
    let before = b.m.stats();
    b.receive(&[0x1a, 0x10, 0]);
    b.receive(&[0x1a, 0x10, 0, 0, 0, 0, 0, 0]);
    b.receive(&[0x2a, 0x10, 0, 8, 0, 0, 0, 0]);
    b.receive(&[0x1a, 0x08, 0, 8, 0, 0, 0, 0]);
    // Malformed headers, one after another: type 6, a flag that is never sent, a range with its ends swapped.
    for head in [[0x16, 0x00], [0x10, 0x01], [0x1a, 0x00], [0x1a, 0x0c]] {
        let mut m = vec![head[0], head[1], 0, 16];
        m.extend(b.peer_seq.to_be_bytes());
        m.extend([0; 8]);
        b.peer_seq += 1;
        b.receive(&m);
    }
    b.control(flag::ACK, Some((9, 8)));
    // A bad attribute, and a flow without a protocol: both are malformed payload.
    let mut m = vec![0x10, 0, 0, 16];
    m.extend(b.peer_seq.to_be_bytes());
    m.extend([0, 8, 0, 33, 0, 0, 0, 0]);
    b.peer_seq += 1;
    b.receive(&m);
    b.data(Event::New, 0, &flow(1));
    let s = b.m.stats();
    let d = |f: fn(&crate::peer::PeerStats) -> u64| f(&s) - f(&before);
    assert_eq!((d(|s| s.truncated), d(|s| s.bad_size), d(|s| s.bad_version)), (2, 1, 1));
    assert_eq!((d(|s| s.bad_header), d(|s| s.bad_payload), d(|s| s.malformed)), (5, 1, 10));
    // None of them counts as a loss.
    assert_eq!((d(|s| s.lost), d(|s| s.before)), (0, 0));
    assert!(b.external(&flow(1)).is_some());
}

#[test]
fn messages_the_link_cannot_carry_are_dropped_and_told() {
    let mut b = Bench::with_links(PeerConfig::default(), vec![Link { payload_max: 52, up: true }]);
    assert_eq!(b.run(0).len(), 1, "the greeting");
    b.event(Event::New, &flow(1));
    assert_eq!(b.run(500), []);
    b.run(1000);
    assert_eq!((b.m.stats().unsendable, b.m.waiting()), (1, 0));
    assert_eq!(b.log().notices, [Notice::Unsendable]);
}

/// sync-protocol.md §7: we switch to the peer's link, a dead link hands over, and nothing switches
/// back by itself.
#[test]
fn links_follow_the_peer() {
    let link = Link { payload_max: 1472, up: true };
    let mut b = Bench::with_links(PeerConfig::default(), vec![link; 2]);
    let mut alive = [0; 16];
    let n = encode_control(&mut alive, flag::ALIVE, PEER, None).unwrap();
    b.m.datagram(0, 1, &alive[..n]);
    assert_eq!((b.m.active_link(), &b.log().notices[..]), (1, &[Notice::LinkChanged(1)][..]));
    // The same datagram again is too late, and changes nothing.
    b.m.datagram(0, 0, &alive[..n]);
    assert_eq!(b.m.active_link(), 1);
    b.m.link_state(1, false);
    assert_eq!(b.m.active_link(), 0);
    b.m.link_state(1, true);
    b.m.link_state(0, true);
    assert_eq!(b.m.active_link(), 0);
    b.m.link_state(1, false);
    b.m.link_state(0, false);
    assert_eq!(b.log().notices.last(), Some(&Notice::NoLink));
}

/// A peer whose keys show that it has started may not greet: our answer to what was said before its start has ended
/// that. Its numbers are taken, whatever they are, and its flows asked for, once.
#[test]
fn a_start_that_keys_show_takes_no_greeting() {
    for greets in [false, true] {
        let mut b = Bench::greeted(quick());
        b.peer_seq = 9000;
        // Said before the start, and held back.
        b.data(Event::New, flag::HELLO, &flow(9));
        assert_eq!(b.run(100).iter().filter(|s| s.flags & flag::RESYNC != 0).count(), 1);
        b.m.peer_is_another(b.now);
        b.peer_seq = 100;
        b.data(Event::New, if greets { flag::HELLO } else { 0 }, &flow(1));
        assert!(b.external(&flow(1)).is_some(), "its numbers are others");
        let mut asked = Vec::new();
        for _ in 0..50 {
            let sent = b.run(100);
            asked.extend(sent.iter().filter(|s| s.flags & flag::RESYNC != 0).map(|s| s.seq));
            let last = b.m.delivery.seq.wrapping_sub(1);
            b.control(flag::ACK, Some((OURS, last)));
            // What the bulk has.
            if !asked.is_empty() {
                b.data(Event::New, 0, &flow(1));
            }
        }
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(b.external(&flow(1)).is_some() && b.external(&flow(9)).is_none(), "what had ended is gone");
    }
}
