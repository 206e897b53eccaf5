//! `SyncAfter` and `UpdateInterval`: what the peer is told of later, or not at all.

use super::*;

fn held(sync_after_s: u32) -> PeerConfig {
    PeerConfig { sync_after_s, ..PeerConfig::default() }
}

fn udp(n: u16) -> Flow {
    let tcp = flow(n);
    Flow { orig: Tuple { proto: Some(17), ..tcp.orig }, proto: None, status: Some(8), ..tcp }
}

fn marked(n: u16, mark: u32) -> Flow {
    Flow { mark: Some(mark), ..udp(n) }
}

fn in_state(n: u16, state: u8) -> Flow {
    Flow { proto: Some(ProtoInfo::Tcp(TcpInfo { state: Some(state), ..TcpInfo::default() })), ..flow(n) }
}

/// What is sent until then about flows: type and mark.
fn about_flows(sent: &[SeenMessage]) -> Vec<(u8, Option<u32>)> {
    sent.iter().filter_map(|s| Some((s.kind, s.flow.as_ref()?.mark))).collect()
}

#[test]
fn a_flow_is_announced_when_it_has_lived_long_enough_as_it_is_then() {
    let mut b = Bench::greeted(held(3));
    b.event(Event::New, &udp(1));
    b.run(1000);
    b.event(Event::Update, &marked(1, 7));
    assert_eq!(about_flows(&b.run(1999)), []);
    // Within a tick of the timer, and the time for which a change waits for others.
    assert_eq!(about_flows(&b.run(270)), [(NEW, Some(7))]);
    // From now on it is a flow like any other.
    b.event(Event::Update, &marked(1, 8));
    b.event(Event::Destroy, &marked(1, 8));
    assert_eq!(about_flows(&b.run(20)), [(DEL, Some(8))]);
    assert_eq!(b.m.stats().unannounced, 0);
}

#[test]
fn the_end_is_told_only_of_what_was_announced() {
    let mut b = Bench::greeted(held(3));
    for n in 0..100 {
        b.event(Event::New, &udp(n));
        b.run(10);
        b.event(Event::Destroy, &udp(n));
    }
    assert_eq!(about_flows(&b.run(10_000)), []);
    assert_eq!((b.m.stats().unannounced, b.m.stats().internal.destroyed), (100, 100));
    assert_eq!(b.m.caches().internal.counts(), Default::default());
    // A flow with the tuple and perhaps the record of one that was too short waits for itself.
    b.event(Event::New, &udp(5));
    assert_eq!(about_flows(&b.run(2900)), []);
    assert_eq!(about_flows(&b.run(400)), [(NEW, None)]);
}

#[test]
fn a_flow_that_begins_again_waits_again() {
    let mut b = Bench::greeted(held(3));
    b.event(Event::New, &udp(1));
    b.run(2900);
    b.event(Event::New, &marked(1, 2));
    assert_eq!(about_flows(&b.run(2900)), []);
    assert_eq!(about_flows(&b.run(400)), [(NEW, Some(2))]);
    // The peer knows its tuple now, so what takes its place is told at once.
    b.event(Event::Destroy, &marked(1, 2));
    b.event(Event::New, &marked(1, 3));
    assert_eq!(about_flows(&b.run(20)), [(NEW, Some(3))]);
}

/// How old a flow is that a dump has found is not known, so it counts as old enough.
#[test]
fn what_was_there_before_is_not_held() {
    let mut b = Bench::greeted(held(60));
    b.m.flow_dumped(b.now, &udp(1), 1);
    b.event(Event::Update, &marked(1, 1));
    assert_eq!(about_flows(&b.run(20)), [(NEW, Some(1))]);
    b.m.flow_dumped(b.now, &udp(2), 1);
    b.event(Event::Destroy, &udp(2));
    assert_eq!(about_flows(&b.run(20)), [(DEL, None)]);
}

#[test]
fn a_bulk_leaves_out_what_is_too_young() {
    let mut b = Bench::greeted(held(3));
    b.event(Event::New, &marked(1, 1));
    b.run(3300);
    b.event(Event::New, &marked(2, 2));
    b.m.send_bulk();
    assert_eq!(about_flows(&b.run(500)), [(NEW, Some(1))]);
    // So it does for a peer that has started.
    b.control(flag::ALIVE | flag::HELLO, None);
    assert_eq!(about_flows(&b.run(500)), [(NEW, Some(1))]);
    assert_eq!(about_flows(&b.run(3000)), [(NEW, Some(2))]);
}

/// A comparison with the kernel neither announces what is too young nor tells of its end.
#[test]
fn a_comparison_changes_nothing_for_young_flows() {
    let mut b = Bench::greeted(held(3));
    b.event(Event::New, &marked(1, 1));
    b.event(Event::New, &marked(2, 2));
    b.run(1000);
    b.m.begin_kernel_resync();
    b.m.flow_compared(b.now, &marked(1, 1), 1);
    b.m.end_kernel_resync();
    assert_eq!(about_flows(&b.run(1000)), []);
    assert_eq!((b.m.caches().internal.counts().flows, b.m.stats().unannounced), (1, 1));
    assert_eq!(about_flows(&b.run(1300)), [(NEW, Some(1))]);
}

#[test]
fn an_expectation_brings_its_young_master_along() {
    let mut b = Bench::greeted(held(60));
    b.event(Event::New, &flow(1));
    assert_eq!(b.run(1000).iter().filter(|s| s.kind != CTL).count(), 0);
    let expected = Tuple { src_port: None, dst_port: Some(2020), ..flow(1).orig };
    let e = Expect { master: flow(1).orig, tuple: expected, mask: expected, ..Expect::default() };
    b.m.expect_change(b.now, Event::New, Origin::Kernel, &e);
    let kinds: Vec<u8> = b.run(20).iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [NEW, Kind::Expect(Event::New).number()]);
    b.event(Event::Destroy, &flow(1));
    assert_eq!(about_flows(&b.run(20)).len(), 1);
}

/// The kernel keeps a closed connection for two minutes, which makes it no older for anybody.
#[test]
fn a_connection_that_has_closed_in_time_is_never_announced() {
    for state in [7, 8] {
        let mut b = Bench::greeted(held(3));
        b.event(Event::New, &in_state(1, 1));
        b.event(Event::New, &in_state(2, 1));
        b.run(500);
        b.event(Event::Update, &in_state(1, state));
        b.event(Event::Update, &in_state(2, state));
        assert_eq!(about_flows(&b.run(5000)), [], "state {state}");
        b.event(Event::Destroy, &in_state(1, state));
        b.event(Event::Update, &in_state(2, state));
        assert_eq!(about_flows(&b.run(20)), [], "state {state}");
        // Should it live on, it is old enough.
        b.event(Event::Update, &in_state(2, 3));
        assert_eq!(about_flows(&b.run(20)), [(NEW, None)], "state {state}");
        b.event(Event::Update, &in_state(2, state));
        b.event(Event::Destroy, &in_state(2, state));
        assert_eq!(about_flows(&b.run(20)), [(DEL, None)], "state {state}");
    }
}

#[test]
fn without_the_setting_what_waits_is_told() {
    let mut b = Bench::greeted(held(600));
    b.event(Event::New, &marked(1, 1));
    b.run(1000);
    b.m.reconfigure(b.now, &held(0));
    b.event(Event::New, &marked(2, 2));
    assert_eq!(about_flows(&b.run(300)), [(NEW, Some(2)), (NEW, Some(1))]);
}

#[test]
fn alarm_announces_what_is_old_enough_and_not_before() {
    let alarm = Alarm { refresh_time_s: 5, cache_timeout_s: 30 };
    let mut b = Bench::new(PeerConfig { sync_after_s: 8, ..PeerConfig::of(alarm) });
    b.event(Event::New, &marked(1, 1));
    b.event(Event::New, &marked(2, 2));
    b.run(4000);
    b.event(Event::Destroy, &marked(2, 2));
    assert_eq!(about_flows(&b.run(3999)), []);
    assert_eq!(about_flows(&b.run(300)), [(NEW, Some(1))]);
    assert!(about_flows(&b.run(20_000)).len() >= 3);
}

fn rested(update_interval_s: u32) -> Bench {
    let mut b = Bench::new(PeerConfig { update_interval_s, ..PeerConfig::of(Notrack::default()) });
    b.event(Event::New, &marked(1, 0));
    assert_eq!(about_flows(&b.run(20)), [(NEW, Some(0))]);
    b.event(Event::Update, &marked(1, 1));
    assert_eq!(about_flows(&b.run(20)), [(UPD, Some(1))]);
    b
}

#[test]
fn updates_keep_their_distance_and_the_last_state_is_told() {
    let mut b = rested(10);
    let mut told = Vec::new();
    for mark in 2..=400 {
        b.event(Event::Update, &marked(1, mark));
        told.extend(about_flows(&b.run(100)));
    }
    // 39.9 seconds.
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(about_flows(&b.run(11_000)), [(UPD, Some(400))]);
    assert_eq!(about_flows(&b.run(60_000)), []);
    // After a rest a change goes at once.
    b.event(Event::Update, &marked(1, 401));
    assert_eq!(about_flows(&b.run(20)), [(UPD, Some(401))]);
}

#[test]
fn an_end_and_a_connection_that_is_established_do_not_wait() {
    let mut b = rested(10);
    b.event(Event::Update, &marked(1, 2));
    b.event(Event::Update, &Flow { status: Some(0xe), ..marked(1, 3) });
    assert_eq!(about_flows(&b.run(20)), [(UPD, Some(3))]);
    b.event(Event::Update, &marked(1, 4));
    assert_eq!(about_flows(&b.run(20)), []);
    b.event(Event::Destroy, &marked(1, 4));
    assert_eq!(about_flows(&b.run(20)), [(DEL, Some(4))]);
    assert_eq!(about_flows(&b.run(20_000)), []);
}

#[test]
fn a_bulk_takes_along_what_was_put_off() {
    let mut b = rested(10);
    b.event(Event::Update, &marked(1, 2));
    b.control(flag::ALIVE, None);
    b.m.send_bulk();
    assert_eq!(about_flows(&b.run(100)), [(UPD, Some(2))]);
    assert_eq!(about_flows(&b.run(30_000)), []);
}

/// Of ten flows, eight are over within a second: four messages each become none.
#[test]
fn short_flows_cost_no_datagrams() {
    let datagrams = |sync_after_s| {
        let mut b = Bench::greeted(held(sync_after_s));
        let mut count = 0;
        let mut seen: Vec<SeenMessage> = Vec::new();
        for ms in 0..10_000u32 {
            let flows = |ms: u32| (0..5).map(move |i| (5 * ms + i) as u16);
            let at = |age: u32| ms.checked_sub(age).filter(|then| *then < 6000);
            at(0).into_iter().flat_map(flows).for_each(|n| b.event(Event::New, &marked(n, 0)));
            at(50).into_iter().flat_map(flows).for_each(|n| b.event(Event::Update, &marked(n, 1)));
            at(100).into_iter().flat_map(flows).for_each(|n| b.event(Event::Update, &marked(n, 2)));
            let short = at(900).into_iter().flat_map(flows).filter(|n| n % 10 < 8);
            short.for_each(|n| b.event(Event::Destroy, &marked(n, 2)));
            b.now += 1;
            for d in b.datagrams() {
                count += 1;
                seen.extend(d.into_iter().filter(|s| s.flow.is_some()));
            }
            if let Some(last) = seen.last().filter(|_| ms % 20 == 0).map(|s| s.seq) {
                b.control(flag::ACK, Some((OURS, last)));
            }
        }
        let long = seen.iter().filter(|s| s.kind != DEL).filter_map(|s| s.flow.as_ref()?.orig.src_port);
        let long: std::collections::BTreeSet<u16> = long.filter(|n| n % 10 >= 8).collect();
        assert_eq!(long.len(), 6000, "every long flow is announced");
        count
    };
    let (all, fewer) = (datagrams(0), datagrams(3));
    assert!(4 * fewer <= all, "{fewer} datagrams in place of {all}");
}
