//! ALARM: refresh and expiry (sync-protocol.md §5.2).

use super::*;

fn config() -> PeerConfig {
    PeerConfig::of(Alarm { refresh_time_s: 10, cache_timeout_s: 30 })
}

/// Flows are announced within RefreshTime and a second, forever, and never all at the same instant; an update
/// restarts the time. Nothing else is ever sent.
#[test]
fn flows_are_announced_again() {
    let mut b = Bench::new(config());
    for n in 0..50 {
        b.event(Event::New, &flow(n));
    }
    let first = b.run_to(10);
    assert_eq!(first.len(), 50);
    let mut last = [10; 50];
    let (mut gaps, mut total) = (Vec::new(), 0);
    while b.now < 60_000 {
        for s in b.run(50) {
            assert_eq!(s.flags, 0);
            let n = usize::from(s.flow.unwrap().orig.src_port.unwrap());
            gaps.push(b.now - last[n]);
            last[n] = b.now;
            total += 1;
        }
    }
    // Up to ten seconds and five fifths, plus a quarter for the wheel's tick.
    assert!(
        gaps.iter().all(|g| (1200..=11_400).contains(g)),
        "{:?} {:?}",
        gaps.iter().min(),
        gaps.iter().max()
    );
    // About 2 N / RefreshTime messages per second.
    assert!((350..650).contains(&total), "{total}");
    assert!(last.iter().all(|t| b.now - t <= 11_400));
}

/// A dump sends nothing, but its flows too are announced in time.
#[test]
fn flows_of_the_first_dump_are_announced() {
    let mut b = Bench::new(config());
    b.m.flow_dumped(0, &flow(1), 1);
    assert_eq!(b.run_to(1000), []);
    assert!(!b.run_to(11_400).is_empty());
}

/// The end of a flow is sent once, and the flow forgotten, whatever timer it had.
#[test]
fn ended_flows_are_told_once() {
    let mut b = Bench::new(config());
    b.event(Event::New, &flow(1));
    b.run(10);
    b.event(Event::Destroy, &flow(1));
    assert_eq!(b.run(10).iter().map(|s| s.kind).collect::<Vec<_>>(), [DEL]);
    // Another flow may take over the record meanwhile.
    b.event(Event::New, &flow(2));
    assert_eq!(b.run(30_000).iter().filter(|s| s.flow.unwrap().orig == flow(1).orig).count(), 0);
}

/// The peer's flows live for CacheTimeout seconds after the last message about them.
#[test]
fn flows_of_the_peer_expire() {
    let mut b = Bench::new(config());
    b.data(Event::New, 0, &flow(1));
    b.data(Event::New, 0, &flow(2));
    b.run_to(20_000);
    b.data(Event::Update, 0, &flow(1));
    let id = b.m.caches().external.find(&crate::store::Key::of(&flow(1)).unwrap()).unwrap();
    assert_eq!(b.m.expires_in_s(b.now, b.m.caches().external.meta(id).unwrap()), Some(30));
    b.run_to(29_000);
    assert!(b.external(&flow(2)).is_some());
    b.run_to(31_000);
    assert!(b.external(&flow(2)).is_none() && b.external(&flow(1)).is_some());
    b.run_to(49_000);
    assert!(b.external(&flow(1)).is_some());
    b.run_to(51_000);
    assert!(b.external(&flow(1)).is_none());
    assert_eq!(b.m.stats().external.destroyed, 2);
}

/// Messages are accepted in any order; one that carries flags is from an FT-FW peer, and is reported once.
#[test]
fn other_modes_are_told_apart() {
    let mut b = Bench::new(config());
    b.peer_seq = 100;
    b.data(Event::New, 0, &flow(1));
    b.peer_seq = 50;
    b.data(Event::New, 0, &flow(2));
    b.data(Event::New, flag::HELLO, &flow(3));
    b.control(flag::ALIVE | flag::HELLO, None);
    b.run(10);
    assert_eq!(b.m.caches().external.counts().flows, 2);
    let s = b.m.stats();
    assert_eq!((s.lost, s.before, s.malformed, s.foreign_mode), (0, 0, 0, 2));
    assert_eq!(b.log().notices, [Notice::PeerInOtherMode]);
    // Commands that mean nothing in this mode do nothing.
    b.m.request_resync(b.now);
    b.m.send_bulk();
    assert_eq!(b.run(20), []);
}
