//! Counts against a plain map: exact while there is room, and within the bound after that.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key(n: u64) -> Packed {
    let mut words = [0; WORDS_MAX];
    words[0] = n;
    words[1] = !n;
    Packed { tag: (n % 2) as u32, words }
}

fn of(packets: u64, bytes: u64) -> Counts {
    Counts { flows: 1, packets, bytes }
}

/// Memory for a few groups alone.
const SMALL: usize = 2000;

#[test]
fn what_fits_is_exact() {
    let mut groups = Groups::new(2, Order::Bytes);
    let mut want: BTreeMap<u64, Counts> = BTreeMap::new();
    for i in 0..20_000u64 {
        let (n, what) = (i * i % 977, of(i % 5, i));
        let known = want.contains_key(&n);
        let at = groups.add(&key(n), what).expect("there is room");
        assert_eq!(at + 1 == groups.len() && !known, !known, "a new group is the last one");
        want.entry(n).or_default().add(what);
    }
    assert_eq!((groups.len(), groups.bound(), groups.estimated()), (want.len(), 0, None));
    let mut total = Counts::default();
    for at in 0..groups.len() {
        let group = groups.group(at);
        let n = group.key.words[0];
        assert_eq!((group.key, group.counts, group.over), (key(n), want[&n], 0));
        total.add(group.counts);
    }
    assert_eq!(groups.total(), total);
    let mut sorted: Vec<u64> = want.values().map(|c| c.bytes).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    for top in [None, Some(1), Some(10), Some(sorted.len()), Some(sorted.len() + 1)] {
        let got: Vec<u64> =
            groups.largest_by_order(top).iter().map(|at| groups.group(*at).counts.bytes).collect();
        assert_eq!(got, sorted[..top.unwrap_or(sorted.len()).min(sorted.len())]);
    }
}

#[test]
fn groups_of_one_size_are_in_the_order_of_their_keys() {
    let mut groups = Groups::new(2, Order::Flows);
    for n in [8, 2, 6, 4, 0] {
        groups.add(&key(n), of(0, 0));
    }
    let keys = |top| -> Vec<u64> {
        groups.largest_by_order(top).iter().map(|at| groups.group(*at).key.words[0]).collect()
    };
    assert_eq!((keys(None), keys(Some(2))), (vec![0, 2, 4, 6, 8], vec![0, 2]));
}

#[test]
fn many_flows_of_a_group_do_not_touch_its_key() {
    let mut groups = Groups::new(2, Order::Flows);
    let most = u64::from(u32::MAX);
    groups.add(&key(3), Counts { flows: most - 1, packets: u64::MAX, bytes: 1 });
    for _ in 0..3 {
        groups.add(&key(3), of(1, 1));
    }
    let group = groups.group(0);
    assert_eq!((group.key, group.counts.flows, group.counts.packets), (key(3), most, u64::MAX));
    assert_eq!(groups.len(), 1);
}

/// What space-saving promises, against the true counts.
fn check(order: Order, stream: &[(u64, u64)]) {
    let mut groups = Groups::within(SMALL, 2, order);
    let mut want: BTreeMap<u64, u64> = BTreeMap::new();
    for (n, bytes) in stream {
        let what = of(1, *bytes);
        groups.add(&key(*n), what);
        *want.entry(*n).or_default() += what.by(order);
    }
    let all: u64 = want.values().sum();
    assert_eq!(groups.total().by(order), all);
    if want.len() <= room::entries(SMALL, 40) {
        assert_eq!(groups.estimated(), None);
    }
    let bound = groups.bound();
    let kept: Vec<Group> = (0..groups.len()).map(|at| groups.group(at)).collect();
    for group in &kept {
        let (n, count) = (group.key.words[0], group.counts.by(order));
        assert_eq!(group.key, key(n));
        let truth = want[&n];
        assert!(count - group.over <= truth && truth <= count, "{n}: {truth} is not {group:?}");
        assert!(group.over <= bound);
    }
    let missing = want.iter().filter(|(n, _)| kept.iter().all(|g| g.key.words[0] != **n));
    for (n, truth) in missing {
        assert!(groups.estimated().is_some() && *truth <= bound, "{n}: {truth} above {bound}");
    }
    if groups.estimated().is_some() {
        assert!(bound <= all / kept.len() as u64, "{bound} is above {all} / {}", kept.len());
        // Every key once.
        let mut keys: Vec<u64> = kept.iter().map(|g| g.key.words[0]).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), kept.len());
    }
}

proptest! {
    #[test]
    fn estimates_are_within_their_bound(
        keys in 1u64..400,
        skew in 1u32..4,
        stream in prop::collection::vec((any::<u64>(), 0u64..2000), 0..800),
    ) {
        // Powers of a uniform number: a few keys come often and most of them seldom.
        let skewed = |u: u64| ((u as f64 / u64::MAX as f64).powi(skew as i32) * keys as f64) as u64;
        let stream: Vec<(u64, u64)> = stream.into_iter().map(|(u, bytes)| (skewed(u), bytes)).collect();
        for order in [Order::Flows, Order::Bytes] {
            check(order, &stream);
        }
    }
}

#[test]
fn a_large_group_is_found_among_many_small_ones() {
    let mut groups = Groups::within(SMALL, 2, Order::Flows);
    for i in 0..100_000u64 {
        let n = if i % 10 == 0 { 7 } else { 1000 + i };
        groups.add(&key(n), of(0, 0));
    }
    let first = groups.group(groups.largest_by_order(Some(1))[0]);
    assert_eq!(first.key, key(7));
    let (count, over) = (first.counts.flows, first.over);
    assert!(count >= 10_000 && count - over <= 10_000, "{count} and {over}");
    assert!(groups.bound() <= 100_000 / groups.len() as u64);
}
