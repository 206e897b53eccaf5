//! The internal cache: origins, comparisons with the kernel, commands (sync-protocol.md §4,
//! conntrackd.md §8).

use super::*;
use crate::peer::mark;
use zct_wire::peer::Name;

fn internal(b: &Bench, f: &Flow) -> Option<Flow> {
    let id = b.m.caches().internal.find(&crate::store::Key::of(f)?)?;
    let dead = b.m.caches().internal.meta(id)?.flags & mark::DEAD != 0;
    b.m.caches().internal.flow(id).filter(|_| !dead)
}

fn from(b: &mut Bench, event: Event, origin: Origin, f: &Flow) {
    b.m.flow_change(b.now, event, origin, f, 1);
}

/// The table of sync-protocol.md §4: what is stored and what is sent, depending on who caused the event.
#[test]
fn origins() {
    let mut b = Bench::greeted(PeerConfig::default());
    from(&mut b, Event::New, Origin::Commit, &flow(1));
    from(&mut b, Event::Update, Origin::Commit, &Flow { mark: Some(1), ..flow(1) });
    from(&mut b, Event::New, Origin::Inject, &flow(2));
    assert_eq!(b.run(20), []);
    assert_eq!((internal(&b, &flow(1)).unwrap().mark, internal(&b, &flow(2))), (Some(1), None));
    from(&mut b, Event::Destroy, Origin::Flush, &flow(1));
    assert_eq!((b.run(20), internal(&b, &flow(1))), (vec![], None));
    // A flow that is flushed while it waits to be sent is not sent.
    b.event(Event::New, &flow(3));
    from(&mut b, Event::Destroy, Origin::Flush, &flow(3));
    assert_eq!(b.run(20), []);
    // A dump fills the cache and sends nothing.
    b.m.flow_dumped(b.now, &flow(4), 1);
    assert_eq!((b.run(20), internal(&b, &flow(4))), (vec![], Some(flow(4))));
}

/// An update is merged into the flow; a new flow with the tuple replaces everything.
#[test]
fn updates_merge_and_new_flows_replace() {
    let mut b = Bench::greeted(PeerConfig::default());
    let helped = Flow { helper: Name::new(b"ftp"), mark: Some(3), ..flow(1) };
    b.event(Event::New, &helped);
    b.event(Event::Update, &Flow { timeout_s: Some(5), ..flow(1) });
    assert_eq!(internal(&b, &flow(1)), Some(Flow { timeout_s: Some(5), ..helped }));
    b.event(Event::New, &flow(1));
    assert_eq!(internal(&b, &flow(1)), Some(flow(1)));
    b.event(Event::Destroy, &flow(1));
    assert_eq!(internal(&b, &flow(1)), None);
    b.event(Event::Update, &flow(1));
    assert_eq!(internal(&b, &flow(1)), Some(flow(1)));
    assert_eq!(b.run(10).iter().map(|s| s.kind).collect::<Vec<_>>(), [NEW]);
}

/// If the cache was emptied and then the flow ends, the peer is told all the same.
#[test]
fn the_end_of_a_flow_that_was_forgotten_is_told() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.event(Event::New, &flow(1));
    b.run(10);
    b.m.flush_internal(b.now);
    assert_eq!(b.m.resend_queue(), []);
    b.event(Event::Destroy, &Flow { status: Some(0x38e), ..flow(1) });
    let s = b.run(10);
    assert_eq!((s[0].kind, s[0].flow), (DEL, Some(flow(1))));
}

#[test]
fn a_full_cache_counts_what_it_cannot_hold() {
    let mut b = Bench::greeted(PeerConfig { hash_limit: 2, ..PeerConfig::default() });
    for n in 0..5 {
        b.event(Event::New, &flow(n));
        b.data(Event::New, 0, &flow(n));
    }
    assert_eq!((b.m.stats().internal.no_space, b.m.stats().external.no_space), (3, 3));
    assert_eq!(b.run(10).iter().filter(|s| s.flow.is_some()).count(), 2);
}

/// After an overrun, what the kernel no longer has is reported as ended, and the rest is announced again.
#[test]
fn a_comparison_with_the_kernel() {
    let mut b = Bench::greeted(PeerConfig::default());
    for n in 0..4 {
        b.event(Event::New, &flow(n));
    }
    let s = b.run(10);
    b.control(flag::ACK, Some((s[0].seq, s[3].seq)));
    b.m.begin_kernel_resync();
    for n in [1, 3, 9] {
        b.m.flow_compared(b.now, &flow(n), 1);
    }
    b.event(Event::New, &flow(7)); // meanwhile
    b.m.end_kernel_resync();
    let s = b.run(20);
    let of = |kinds: &[u8]| {
        let mut v: Vec<_> = s.iter().filter(|s| kinds.contains(&s.kind)).collect();
        v.sort_by_key(|s| s.flow.unwrap().orig.src_port);
        v.iter().map(|s| s.flow.unwrap().orig.src_port.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((of(&[DEL]), of(&[NEW, UPD])), (vec![0, 2], vec![1, 3, 7, 9]));
}

/// A dump that failed half-way, and another after it: only the second decides.
#[test]
fn a_comparison_that_failed_ends_nothing() {
    let mut b = Bench::greeted(PeerConfig::default());
    b.event(Event::New, &flow(1));
    b.event(Event::New, &flow(2));
    b.run(10);
    b.m.begin_kernel_resync();
    b.m.flow_compared(b.now, &flow(1), 1);
    b.run(100);
    assert_eq!(b.m.caches().internal.counts().flows, 2);
    b.m.begin_kernel_resync();
    b.m.flow_compared(b.now, &flow(2), 1);
    b.m.end_kernel_resync();
    b.run(100);
    assert_eq!((internal(&b, &flow(1)), internal(&b, &flow(2))), (None, Some(flow(2))));
}

/// `-t`: after PurgeTimeout the kernel is flushed and the internal cache emptied; nothing is sent.
#[test]
fn the_purge_comes_once_and_can_be_called_off() {
    let mut b = Bench::greeted(PeerConfig { purge_timeout_s: 5, ..PeerConfig::default() });
    b.event(Event::New, &flow(1));
    b.run(10);
    assert_eq!(b.m.purge(b.now), Some(5));
    assert_eq!(b.m.purge(b.now), None);
    b.run(4900);
    assert_eq!(b.log().flushes, 0);
    b.run(200);
    assert_eq!((b.log().flushes, b.m.caches().internal.counts().flows), (1, 0));
    assert_eq!(b.m.purge(b.now), Some(5));
    b.m.cancel_purge();
    b.run(6000);
    assert_eq!(b.log().flushes, 1);
}

#[test]
fn a_commit_timeout_keeps_timeouts_at_home() {
    let config = PeerConfig { commit_timeout_s: Some(180), ..PeerConfig::default() };
    let mut b = Bench::greeted(config);
    b.event(Event::New, &flow(1));
    assert_eq!(b.run(10)[0].flow.unwrap().timeout_s, None);
    assert_eq!(internal(&b, &flow(1)).unwrap().timeout_s, Some(432_000));
}

/// `DisableExternalCache`: the peer's flows are passed to the host, in order.
#[test]
fn injection_goes_to_the_host() {
    let mut b = Bench::greeted(PeerConfig::of(Ftfw { disable_external_cache: true, ..Ftfw::DEFAULT }));
    b.data(Event::New, 0, &flow(1));
    b.data(Event::Update, 0, &Flow { mark: Some(1), ..flow(1) });
    b.data(Event::Destroy, 0, &flow(1));
    let got: Vec<_> = b.log().flows.iter().map(|(event, f)| (*event, f.mark)).collect();
    let want = [(Event::New, None), (Event::Update, Some(1)), (Event::Destroy, None)];
    assert_eq!(got, want);
    assert_eq!(b.m.caches().external.counts().flows, 0);
}

/// Expectations are sent with their master, in the order of events, and the peer's side stores them.
#[test]
fn expectations_need_their_master() {
    let mut b = Bench::greeted(PeerConfig::default());
    let expect = Expect {
        master: flow(1).orig,
        tuple: Tuple { src_port: Some(0), dst_port: Some(50_000), ..flow(1).orig },
        mask: Tuple { src_port: Some(0), dst_port: Some(65_535), ..flow(1).orig },
        timeout_s: Some(300),
        flags: Some(0),
        class: Some(0),
        helper: Name::new(b"ftp"),
        ..Expect::default()
    };
    b.m.expect_change(b.now, Event::New, Origin::Kernel, &expect);
    assert_eq!(b.run(20), []);
    b.event(Event::New, &flow(1));
    b.m.expect_change(b.now, Event::New, Origin::Kernel, &expect);
    let s = b.run(10);
    assert_eq!(s.iter().map(|s| s.kind).collect::<Vec<_>>(), [NEW, Kind::Expect(Event::New).number()]);
    b.m.expect_change(b.now, Event::Destroy, Origin::Kernel, &expect);
    let s = b.run(10);
    assert_eq!(s[0].kind, Kind::Expect(Event::Destroy).number());
    assert_eq!(b.m.caches().internal_expect.len(), 1);
    b.control(flag::ACK, Some((s[0].seq, s[0].seq)));
    assert_eq!(b.m.caches().internal_expect.len(), 0);

    // In the other direction.
    let mut buf = [0; MESSAGE_MAX];
    for (event, left) in [(Event::New, 1), (Event::Update, 1), (Event::Destroy, 0)] {
        let n = expect.encode(&mut buf, event, 0, b.peer_seq, Encode::default()).unwrap();
        b.peer_seq += 1;
        b.receive(&buf[..n]);
        assert_eq!(b.m.caches().external_expect.len(), left);
    }
}

/// Two messages captured in one datagram (sync-protocol.md §8.16): the end of an expectation, and the flow
/// that it announced.
#[test]
fn a_captured_datagram_is_applied() {
    let bytes = include_bytes!("../../../../tests/captures/peer/expect_delete_and_related.bin");
    let mut b = Bench::greeted(PeerConfig::default());
    let first = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
    b.peer_seq = first.wrapping_sub(1);
    b.control(flag::ALIVE | flag::HELLO, None);
    b.receive(bytes);
    assert_eq!(b.m.stats().external_expect.destroy_failed, 1);
    assert_eq!(b.m.caches().external.counts().flows, 1);
}
