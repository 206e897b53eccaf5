//! ALARM: refresh and expiry (sync-protocol.md §5.2).

use super::*;
use zct_wire::peer::Digest;
use zct_wire::peer::digest::Ask;

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

/// The kernel's table is read, as an overrun and PollSecs have it; the timeouts go on.
fn poll(b: &mut Bench, flows: impl Iterator<Item = Flow>) {
    b.m.begin_kernel_resync();
    for f in flows {
        let left = 432_000 - (b.now / 1000) as u32;
        b.m.flow_compared(b.now, &Flow { timeout_s: Some(left), ..f }, 1);
    }
    b.m.end_kernel_resync();
}

/// However often the kernel's table is read, flows are announced within RefreshTime, and no more of them than else.
#[test]
fn a_node_that_polls_announces_flows_in_time() {
    let mut b = Bench::new(config());
    let (mut last, mut total) = ([0; 50], 0);
    while b.now < 100_000 {
        poll(&mut b, (0..50).map(flow));
        for _ in 0..20 {
            for s in b.run(100) {
                last[usize::from(s.flow.unwrap().orig.src_port.unwrap())] = b.now;
                total += 1;
            }
            assert!(last.iter().all(|t| b.now - t <= 11_500), "{last:?} at {}", b.now);
        }
    }
    assert!((650..1000).contains(&total), "{total}");
}

/// What a poll finds is told at once: what has begun, what has changed and what has ended.
#[test]
fn a_node_that_polls_tells_what_it_finds() {
    let mut b = Bench::new(PeerConfig::of(Alarm { refresh_time_s: 1_000_000, cache_timeout_s: 3_000_000 }));
    poll(&mut b, (0..50).map(flow));
    assert_eq!(b.run(900).len(), 50);
    let changed = Flow { mark: Some(7), ..flow(0) };
    poll(&mut b, [changed].into_iter().chain((2..51).map(flow)));
    let sent = b.run(900);
    let mut told: Vec<_> = sent.iter().map(|s| (s.flow.unwrap().orig.src_port.unwrap(), s.kind)).collect();
    told.sort_unstable();
    assert_eq!(told, [(0, UPD), (1, DEL), (50, NEW)]);
    poll(&mut b, [changed].into_iter().chain((2..51).map(flow)));
    assert_eq!(b.run(900), []);
}

/// What a commit puts into the kernel is announced in its time, also while the table is compared, and after that was
/// interrupted.
#[test]
fn a_commit_during_a_poll_is_told_as_any() {
    let mut b = Bench::new(PeerConfig::of(Alarm { refresh_time_s: 1_000_000, cache_timeout_s: 3_000_000 }));
    b.m.begin_kernel_resync();
    b.m.flow_compared(b.now, &flow(0), 1);
    for n in 1..50 {
        b.m.flow_change(b.now, Event::New, Origin::Commit, &flow(n), 1);
    }
    let told: Vec<_> = b.run(2000).iter().map(|s| (s.flow.unwrap().orig.src_port, s.kind)).collect();
    assert_eq!(told, [(Some(0), NEW)]);
}

/// A peer that compares is answered also by a node that reads the kernel's table more often than in RefreshTime, and
/// in which flows begin all the time.
#[test]
fn a_node_that_polls_answers_about_sums() {
    let mut b = Bench::new(PeerConfig { digest_ms: Some(5000), ..config() });
    let mut answers = 0;
    for round in 0..20 {
        poll(&mut b, (0..50 + round).map(flow));
        for _ in 0..5 {
            let mut buf = [0; 16];
            let len = Digest::Ask(Ask::Whole).encode(&mut buf, 0, b.peer_seq).unwrap();
            b.peer_seq += 1;
            b.receive(&buf[..len]);
            let sent = b.run(1000);
            answers +=
                sent.iter().filter(|s| s.kind == Kind::Digest.number() && s.flags & flag::ALIVE != 0).count();
        }
    }
    assert!(answers > 80, "{answers} answers");
}
