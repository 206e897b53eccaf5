//! The floors and the loader on the real kernel: what they report is what has happened. Each test runs in a
//! network namespace of its own.

use std::path::Path;
use zct_perf::floor::delete::{self, Options};
use zct_perf::floor::dump;
use zct_perf::mix::{Mix, is_udp};
use zct_perf::{limits, load, measure, netns, storm};
use zct_wire::consts::{af, ipproto};
use zct_wire::filter::DumpFilter;

const FLOWS: u32 = 2_000;

fn udp() -> DumpFilter {
    let mut filter = DumpFilter::default().with(|it| it.family = af::INET);
    filter.orig.proto = Some(ipproto::UDP);
    filter
}

fn there() -> u64 {
    limits::read("nf_conntrack_count").unwrap()
}

#[test]
fn what_is_loaded_is_dumped_and_deleted() {
    netns::enter_new().unwrap();
    assert_eq!(load::fill_all(Mix::Common, 0..FLOWS).unwrap(), u64::from(FLOWS));
    assert!(load::fill_all(Mix::Common, 0..1).is_err(), "it exists");
    let again = load::fill(Mix::Common, (0..FLOWS + 10).step_by(10)).unwrap();
    assert_eq!((again.made, again.refused), (1, u64::from(FLOWS / 10)));
    let all = u64::from(FLOWS) + 1;
    assert_eq!(dump::run(&DumpFilter::default()).unwrap().flows, all);
    let families = [af::INET, af::INET6].map(|family| DumpFilter::default().with(|it| it.family = family));
    assert_eq!(dump::run_together(&families).unwrap().flows, all);
    let of_udp = (0..FLOWS).filter(|i| is_udp(*i)).count() as u64;
    assert_eq!(dump::run(&udp()).unwrap().flows, of_udp);

    let fifth = delete::run(&udp(), Options { every: 5, ..Options::default() }).unwrap();
    assert_eq!((fifth.deleted, fifth.gone), (of_udp / 5, 0));
    let left = of_udp - of_udp / 5;
    let rest = delete::run(&udp(), Options { apart: true, vanish: 10, ..Options::default() }).unwrap();
    assert_eq!((rest.gone, rest.deleted + rest.gone), (left.div_ceil(10), left));
    assert_eq!(there(), all - of_udp);
    load::empty().unwrap();
    assert_eq!(there(), 0);
}

#[test]
fn flows_that_come_and_go_leave_the_last_ones() {
    netns::enter_new().unwrap();
    let churn = load::Churn { rate: 1_000_000, count: FLOWS, living: 500, short: 0 };
    let filled = load::churn(churn).unwrap();
    assert_eq!((filled.made, filled.ended, filled.refused), (u64::from(FLOWS), u64::from(FLOWS) - 500, 0));
    assert_eq!(there(), 500);
    load::empty().unwrap();
    let filled = load::churn(load::Churn { living: FLOWS, short: 8, ..churn }).unwrap();
    assert_eq!(filled.refused, 0);
    assert_eq!(there(), filled.made - filled.ended);
}

#[test]
fn a_table_half_of_ipv6() {
    netns::enter_new().unwrap();
    load::fill_all(Mix::HalfIpv6, 0..FLOWS).unwrap();
    for family in [af::INET, af::INET6] {
        let filter = DumpFilter::default().with(|it| it.family = family);
        assert_eq!(dump::run(&filter).unwrap().flows, u64::from(FLOWS / 2));
    }
}

#[test]
fn packets_make_flows() {
    netns::enter_new().unwrap();
    zct_perf::floor::packets::run(300, 0).unwrap();
    assert_eq!(there(), 300);
}

/// Without root the receive buffer cannot be forced, and the floor must say so.
#[test]
fn a_storm_is_counted_whole() {
    netns::enter_new().unwrap();
    let yardstick = Path::new(env!("CARGO_BIN_EXE_yardstick"));
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let listener = words(&format!("{} events 4194304", yardstick.display()));
    let output = tempfile::tempfile().unwrap();
    let stormed = storm::run(yardstick, &listener, &words("packets 500"), &output);
    if !limits_are_ours() {
        let said = stormed.unwrap_err().to_string();
        assert!(said.contains("it does not listen") && said.contains("not permitted"), "{said}");
        return;
    }
    let stormed = stormed.unwrap();
    assert_eq!((stormed.delivered, stormed.dropped), (1000, 0), "{stormed:?}");
    assert_eq!(stormed.run.exit, measure::Exit::Code(0));
    let load = storm::run(yardstick, &listener, &words("load 500"), &output).unwrap();
    assert_eq!(load.delivered, 1000, "{load:?}");
}

/// Whether we are root on the machine, and not only in a user namespace.
fn limits_are_ours() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_ascii_whitespace().nth(2).is_some_and(|count| count == "4294967295")
}
