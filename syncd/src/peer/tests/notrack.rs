//! NOTRACK, and `DisableInternalCache` (sync-protocol.md §5.3, §4.1).

use super::*;

fn config() -> PeerConfig {
    PeerConfig::of(Notrack::default())
}

fn without_internal_cache() -> PeerConfig {
    PeerConfig::of(Notrack { disable_internal_cache: true, ..Notrack::default() })
}

/// No greetings and no acknowledgements, only ALIVE one second after the last transmission.
#[test]
fn alive_and_nothing_else() {
    let mut b = Bench::new(config());
    b.event(Event::New, &flow(1));
    let heads: Vec<_> = b.run_to(2500).iter().map(SeenMessage::head).collect();
    assert_eq!(
        heads,
        [head(NEW, 0, OURS), head(CTL, flag::ALIVE, OURS + 1), head(CTL, flag::ALIVE, OURS + 2)]
    );
    // An ended flow is gone once its message has been sent.
    b.event(Event::Destroy, &flow(1));
    assert_eq!(b.run(10)[0].kind, DEL);
    assert_eq!(b.m.caches().internal.counts(), Default::default());
}

/// Lost and late messages are counted, and everything is accepted; an FT-FW peer's greetings are tolerated,
/// but its acknowledgements are malformed.
#[test]
fn takes_everything() {
    let mut b = Bench::new(config());
    b.data(Event::New, flag::HELLO, &flow(1));
    b.peer_seq += 3;
    b.data(Event::New, 0, &flow(2));
    b.peer_seq -= 3;
    b.data(Event::New, 0, &flow(3));
    b.control(flag::ACK, Some((1, 2)));
    b.control(flag::NACK, Some((1, 2)));
    let s = b.m.stats();
    assert_eq!((s.lost, s.before, s.bad_header), (3, 1, 2));
    assert_eq!(b.m.caches().external.counts().flows, 3);
}

#[test]
fn a_resync_is_served_at_a_measured_pace() {
    let mut b = Bench::new(config());
    for n in 0..30_000 {
        b.m.flow_dumped(0, &flow(n), 1);
    }
    b.control(flag::RESYNC, Some((0, 0)));
    let first = b.run(1).len();
    assert!(first > 0 && first < 2000, "{first}");
    let (mut got, begin) = (first, b.now);
    while b.m.bulk_is_running() {
        got += b.run(10).len();
    }
    let took = b.now - begin;
    assert!((150..400).contains(&took), "{got} messages in {took} ms");
    assert_eq!(got, 30_000);
    b.m.request_resync(b.now);
    assert_eq!(b.run(1)[0].head(), head(CTL, flag::RESYNC, OURS + 30_000));
}

/// Messages made from events are sent as quickly as any others, where the original leaves them for up to a
/// second, and a request is answered by a dump of the kernel.
#[test]
fn without_an_internal_cache() {
    let mut b = Bench::new(without_internal_cache());
    b.event(Event::New, &flow(1));
    b.event(Event::Update, &flow(1));
    b.event(Event::Destroy, &flow(1));
    assert_eq!(b.run_to(9), []);
    let heads: Vec<_> = b.run_to(10).iter().map(SeenMessage::head).collect();
    assert_eq!(heads, [head(NEW, 0, OURS), head(UPD, 0, OURS + 1), head(DEL, 0, OURS + 2)]);
    assert_eq!(b.m.caches().internal.counts(), Default::default());

    b.control(flag::RESYNC, Some((0, 0)));
    assert_eq!(b.log().dumps, 1);
    let (mut passed, mut sent) = (0, Vec::new());
    while passed < 20_000 {
        while passed < 20_000 && !b.m.bypass_is_full() {
            b.m.bypass_dump(b.now, &flow(passed));
            passed += 1;
        }
        sent.extend(b.run(10));
    }
    sent.extend(b.run(20));
    let news: Vec<_> = sent.iter().filter(|s| s.kind == NEW).collect();
    assert_eq!((news.len(), b.m.stats().bypass_dropped), (20_000, 0));
    assert!(sent.windows(2).all(|w| w[1].seq == w[0].seq + 1));
}

/// While the network accepts nothing, what does not fit is dropped and counted; the rest is sent later.
#[test]
fn what_waits_without_a_cache_is_bounded() {
    let mut b = Bench::new(without_internal_cache());
    for n in 0..30_000 {
        b.event(Event::New, &flow(n));
    }
    let dropped = b.m.stats().bypass_dropped;
    assert!(dropped > 10_000, "{dropped}");
    assert_eq!(b.run(20).len() as u64 + dropped, 30_000);
}

/// `ResyncInterval`, which may change while we run.
#[test]
fn a_peer_that_compares_nothing_is_asked_on_a_schedule() {
    let every = |resync_ms| PeerConfig { resync_ms, ..config() };
    let mut b = Bench::new(every(Some(10_000)));
    let asked = |b: &mut Bench, ms| b.run(ms).iter().filter(|m| m.flags & flag::RESYNC != 0).count();
    assert_eq!([9_900, 200, 9_900, 10_000].map(|ms| asked(&mut b, ms)), [0, 1, 1, 1]);
    b.m.reconfigure(b.now, &every(Some(1000)));
    assert_eq!(asked(&mut b, 2500), 2);
    b.m.reconfigure(b.now, &every(None));
    assert_eq!(asked(&mut b, 60_000), 0);
}
