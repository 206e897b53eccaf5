//! What a flow costs in memory: the store's own figure compared with a counting allocator, and both with the
//! goal. This is a binary of its own because the allocator counts the whole process.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use zct_wire::flow::Synproxy;
use zct_wire::peer::Flow;
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};
use zctd::store::{Cursor, FlowStore, Key, Meta};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Of ten flows, six are established TCP, two UDP, one source-NATed TCP, one TCP over IPv6, as the kernel
/// reports flows created through ctnetlink: with a mark, and SYN proxy values of zero.
fn flow(i: u32) -> Flow {
    let udp = matches!(i % 10, 6 | 7);
    let last = (1 + i % 250) as u8;
    let (src, dst) = if i % 10 == 9 {
        let mut src = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        src[12..].copy_from_slice(&i.to_be_bytes());
        (Addr::V6(src), Addr::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    } else {
        (Addr::V4((0x0a00_0000 | i).to_be_bytes()), Addr::V4([192, 0, 2, last]))
    };
    let tcp = TcpInfo { state: Some(3), wscale: [Some(0); 2], ..TcpInfo::default() };
    Flow {
        orig: Tuple {
            src: Some(src),
            dst: Some(dst),
            proto: Some(if udp { 17 } else { 6 }),
            src_port: Some((1024 + i % 60_000) as u16),
            dst_port: Some(if udp { 53 } else { 443 }),
            ..Tuple::default()
        },
        status: Some(0x18e),
        timeout_s: Some(30_000 + i % 1000),
        mark: Some(0),
        proto: (!udp).then_some(ProtoInfo::Tcp(tcp)),
        snat: (i % 10 == 8).then_some(Addr::V4([203, 0, 113, last])),
        synproxy: Some(Synproxy::default()),
        ..Flow::default()
    }
}

#[test]
fn a_million_mixed_flows_fit_their_budget() {
    const FLOWS: u32 = 1_000_000;
    let region = Region::new(GLOBAL);
    let mut store = FlowStore::new(FLOWS as usize, [1, 2]);
    for i in 0..FLOWS {
        let f = flow(i);
        let place = store.locate(&Key::of(&f).expect("a whole tuple"));
        store.insert(&place, &f, Meta::default()).expect("room");
    }
    let stats = region.change();
    let counted = stats.bytes_allocated - stats.bytes_deallocated;
    let own = store.memory();
    println!("{counted} bytes by the allocator, {own:?}: {:.1} a flow", counted as f64 / f64::from(FLOWS));
    assert!(counted / FLOWS as usize <= 84, "{} bytes a flow", counted / FLOWS as usize);
    assert!(own.total().abs_diff(counted) <= counted / 100, "own {own:?}, counted {counted}");

    // Churn must not make it grow, since ids are reused.
    for i in 0..FLOWS / 4 {
        let f = flow(i);
        let id = store.find(&Key::of(&f).expect("a whole tuple")).expect("stored above");
        assert!(store.remove(id));
        let again = flow(i + FLOWS);
        let place = store.locate(&Key::of(&again).expect("a whole tuple"));
        store.insert(&place, &again, Meta::default()).expect("room");
    }
    // The index may take a little more, the records must not.
    assert_eq!(store.memory().records, own.records);
    assert!(store.memory().index <= own.index * 2);

    // Reading must not allocate.
    let region = Region::new(GLOBAL);
    let (mut cursor, mut sum) = (Cursor::default(), 0u64);
    while let Some(id) = store.walk(&mut cursor) {
        sum += u64::from(store.flow(id).and_then(|f| f.timeout_s).unwrap_or(0));
    }
    assert!(sum > 0);
    assert_eq!(region.change().allocations, 0);
}
