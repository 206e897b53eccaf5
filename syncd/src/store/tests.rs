//! The flow store compared with a simple model, and its promises one by one.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use zct_wire::flow::{SeqAdj, Synproxy};
use zct_wire::peer::Name;
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

fn flow(n: u32, v6: bool) -> Flow {
    let addr = |n: u32| {
        let [a, b, c, d] = n.to_be_bytes();
        if v6 {
            Addr::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
        } else {
            Addr::V4([a, b, c, d])
        }
    };
    let orig = Tuple {
        src: Some(addr(n)),
        dst: Some(addr(!n)),
        proto: Some(if n % 3 == 0 { 17 } else { 6 }),
        src_port: Some(n as u16),
        dst_port: Some(443),
        ..Tuple::default()
    };
    Flow { orig, status: Some(n), ..Flow::default() }
}

fn store() -> FlowStore {
    FlowStore::new(1 << 20, [1, 2])
}

fn add(s: &mut FlowStore, f: &Flow) -> FlowId {
    let place = s.locate(&Key::of(f).unwrap());
    s.insert(&place, f, Meta::default()).unwrap()
}

/// Every attribute, in all combinations that records lay out differently.
#[test]
fn every_attribute_comes_back() {
    let states = [
        None,
        Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), wscale: [Some(0), Some(255)], ..TcpInfo::default() })),
        Some(ProtoInfo::Tcp(TcpInfo { state: None, wscale: [None, Some(7)], ..TcpInfo::default() })),
        Some(ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag: [Some(1), None] })),
        Some(ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag: [None, Some(u32::MAX)] })),
        Some(ProtoInfo::Sctp(SctpInfo { state: None, vtag: [None, None] })),
        Some(ProtoInfo::Dccp(DccpInfo { state: Some(1), role: Some(1), handshake_seq: None })),
        Some(ProtoInfo::Dccp(DccpInfo { state: None, role: None, handshake_seq: None })),
    ];
    let adj = |n| SeqAdj { correction_pos: n, offset_before: -1, offset_after: i32::MIN };
    for (v6, proto) in [false, true].into_iter().flat_map(|v6| states.map(|p| (v6, p))) {
        let other = flow(77, v6);
        let bare = Flow { proto, ..flow(5, v6) };
        let icmp = Tuple {
            proto: Some(1),
            src_port: None,
            dst_port: None,
            icmp_type: Some(8),
            icmp_code: None,
            icmp_id: Some(0x4d00),
            ..bare.orig
        };
        let mut orig_zone = bare;
        orig_zone.orig.zone = Some(3);
        for f in [
            bare,
            Flow { status: None, ..bare },
            Flow { timeout_s: Some(u32::MAX), mark: Some(0), ..bare },
            Flow { snat: other.orig.src, dnat: other.orig.dst, ..bare },
            Flow { spat: Some(0), dpat: Some(u16::MAX), ..bare },
            Flow { zone: Some(0), ..bare },
            Flow { zone: Some(65_535), ..bare },
            Flow { reply_zone: Some(4), ..bare },
            orig_zone,
            Flow { orig: icmp, ..bare },
            Flow { synproxy: Some(Synproxy::default()), ..bare },
            Flow { synproxy: Some(Synproxy { isn: 0, its: 0, tsoff: 1 }), ..bare },
            Flow { helper: Name::new(b"fifteenletters_"), labels: Some([0x5a; 16]), ..bare },
            Flow { master: Some(other.orig), seq_adj: Some([adj(1), adj(2)]), ..bare },
        ] {
            let mut s = store();
            let id = add(&mut s, &f);
            assert_eq!(s.flow(id), Some(f));
            // Stored over a flow that has everything, and the other way round.
            let loaded = Flow {
                mark: Some(1),
                helper: Name::new(b"ftp"),
                labels: Some([1; 16]),
                master: Some(other.orig),
                ..f
            };
            s.replace(id, &loaded);
            assert_eq!(s.flow(id), Some(loaded));
            s.replace(id, &f);
            assert_eq!((s.flow(id), s.find(&Key::of(&f).unwrap())), (Some(f), Some(id)));
            assert!(s.remove(id));
            assert_eq!((s.cells.len(), s.counts()), (0, StoreCounts::default()));
        }
    }
}

#[test]
fn meta_is_kept_apart_from_attributes() {
    let mut s = store();
    let id = add(&mut s, &flow(1, false));
    let meta =
        Meta { flags: Meta::FLAGS, generation: 31, born_s: 1, seq_or_due: 2, id_or_heard_s: 3, slot: 4 };
    s.set_meta(id, meta);
    s.replace(id, &Flow { mark: Some(9), ..flow(1, false) });
    assert_eq!(s.meta(id), Some(meta));
    assert_eq!(s.counts(), StoreCounts { flows: 0, dead: 1, ipv4: 1, ipv6: 0 });
    s.set_meta(id, Meta { flags: 0, ..meta });
    assert_eq!(s.counts(), StoreCounts { flows: 1, dead: 0, ipv4: 1, ipv6: 0 });
    assert_eq!(s.flow(id).unwrap().mark, Some(9));
}

#[test]
fn the_limit_is_kept_and_room_comes_back() {
    let mut s = FlowStore::new(2, [0, 0]);
    let first = add(&mut s, &flow(1, false));
    add(&mut s, &flow(2, true));
    let f = flow(3, false);
    let place = s.locate(&Key::of(&f).unwrap());
    assert_eq!(s.insert(&place, &f, Meta::default()), Err(StoreError::Limit));
    let taken = s.locate(&Key::of(&flow(1, false)).unwrap());
    assert_eq!(s.insert(&taken, &flow(1, false), Meta::default()), Err(StoreError::Exists));
    assert!(s.remove(first) && !s.remove(first));
    assert!(s.insert(&place, &f, Meta::default()).is_ok());
}

/// A walk in pieces, with changes in between: what stays is returned once.
#[test]
fn walks_are_stable() {
    let mut s = store();
    let ids: Vec<_> = (0..5000).map(|n| add(&mut s, &flow(n, n % 2 == 0))).collect();
    let (mut cursor, mut seen, mut n) = (Cursor::default(), BTreeMap::new(), 10_000);
    while let Some(id) = s.walk(&mut cursor) {
        *seen.entry(id).or_insert(0) += 1;
        if seen.len() % 7 == 0 {
            s.remove(ids[seen.len() % ids.len()]);
            add(&mut s, &flow(n, n % 2 == 0));
            n += 1;
        }
    }
    assert!(seen.values().all(|n| *n == 1));
    let stayed = ids.iter().filter(|id| s.flow(**id).is_some_and(|f| f.status.unwrap() < 5000));
    assert!(stayed.clone().count() > 3000 && stayed.into_iter().all(|id| seen.contains_key(id)));
    assert_eq!(s.walk(&mut cursor), None);
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Upsert(u8, bool, Option<u32>),
    Remove(u8, bool),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        100 => (any::<u8>(), any::<bool>(), any::<Option<u32>>()).prop_map(|(n, v6, m)| Op::Upsert(n, v6, m)),
        60 => (any::<u8>(), any::<bool>()).prop_map(|(n, v6)| Op::Remove(n, v6)),
        1 => Just(Op::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence of operations leaves the store with what a map would have.
    #[test]
    fn behaves_as_a_map(ops in prop::collection::vec(op(), 0..400), seed: [u64; 2]) {
        let mut s = FlowStore::new(200, seed);
        let mut model: BTreeMap<(u8, bool), Flow> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Upsert(n, v6, mark) => {
                    let labels = mark.filter(|m| m % 2 == 0).map(|_| [n; 16]);
                    let f = Flow { mark, labels, ..flow(u32::from(n), v6) };
                    let place = s.locate(&Key::of(&f).unwrap());
                    match place.id {
                        Some(id) => s.replace(id, &f),
                        None if model.len() >= 200 => {
                            prop_assert_eq!(s.insert(&place, &f, Meta::default()), Err(StoreError::Limit));
                            continue;
                        }
                        None => _ = s.insert(&place, &f, Meta::default()).unwrap(),
                    }
                    model.insert((n, v6), f);
                }
                Op::Remove(n, v6) => {
                    let found = s.find(&Key::of(&flow(u32::from(n), v6)).unwrap());
                    prop_assert_eq!(found.is_some(), model.remove(&(n, v6)).is_some());
                    if let Some(id) = found {
                        prop_assert!(s.remove(id));
                    }
                }
                Op::Clear => {
                    s.clear();
                    model.clear();
                }
            }
        }
        for ((n, v6), f) in &model {
            let id = s.find(&Key::of(&flow(u32::from(*n), *v6)).unwrap());
            prop_assert_eq!(id.and_then(|id| s.flow(id)), Some(*f));
        }
        let (mut cursor, mut seen) = (Cursor::default(), BTreeSet::new());
        while let Some(id) = s.walk(&mut cursor) {
            seen.insert(id);
        }
        prop_assert_eq!(seen.len(), model.len());
        prop_assert_eq!(s.counts().flows, model.len());
        let udp = model.values().filter(|f| f.orig.proto == Some(17)).count();
        prop_assert_eq!((s.count_of(17), s.count_of(6)), (udp, model.len() - udp));
        let cells = model.values().filter(|f| f.labels.is_some()).count();
        prop_assert_eq!(s.cells.len(), cells);
    }
}
