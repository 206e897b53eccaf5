//! `-L -o save | -R -`: onto the table that was saved, onto one that has changed since, and onto one where
//! something else has taken a flow's place.

use fastrand::Rng;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use zct_engine::{Lost, Requests, Sink};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, Mix, Storm, TRACKING, udp};
use zct_wire::consts::{cta, ips};
use zct_wire::filter::{DumpFilter, Masked};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::nat::Nat;
use zct_wire::proto::{ProtoInfo, TcpInfo};
use zct_wire::request::{self, NewFlow, Table};
use zct_wire::tuple::{Addr, Tuple};

/// A flow with everything visible about it, except the clock and the use count.
#[derive(Clone, Debug, PartialEq)]
struct Flow {
    id: Option<u32>,
    orig: Option<Tuple>,
    zone: Option<u16>,
    reply: Option<Tuple>,
    status: u32,
    mark: Option<u32>,
    protoinfo: Option<ProtoInfo>,
    rest: BTreeMap<u16, Option<Vec<u8>>>,
}

type Flows = BTreeMap<String, Flow>;

struct Collect<'a>(&'a mut Flows);

impl Sink for Collect<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let f = FlowView::index(msg).expect("a flow");
        let raw = |kind| (kind, f.raw(kind).map(<[u8]>::to_vec));
        let flow = Flow {
            id: f.id().expect("an id"),
            orig: f.orig().expect("a tuple"),
            zone: f.zone().expect("a zone"),
            reply: f.reply().expect("a tuple"),
            status: f.status().expect("a status").unwrap_or(0),
            mark: f.mark().expect("a mark"),
            protoinfo: f.protoinfo().expect("a state"),
            rest: [cta::LABELS, cta::HELP, cta::TUPLE_MASTER, cta::SEQ_ADJ_ORIG].map(raw).into(),
        };
        let key = format!("{:?} {:?}", flow.orig, flow.zone);
        assert!(self.0.insert(key, flow).is_none());
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("an answer was lost: {why}");
    }
}

fn table() -> Flows {
    let (filter, mut flows) = (DumpFilter::default(), Flows::new());
    Requests::open()
        .expect("a socket")
        .dump(|buf, seq| request::dump(buf, seq, Table::Conntrack, &filter), &mut Collect(&mut flows))
        .expect("a dump");
    flows
}

fn world() -> Netns {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    ns
}

fn on(line: &str) -> Output {
    Tool::Zct.run(&line.split_ascii_whitespace().collect::<Vec<_>>())
}

fn done(line: &str) -> Output {
    let output = on(line);
    assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
    output
}

fn save() -> Vec<u8> {
    done("-L -o save").stdout
}

fn restore(saved: &[u8], more: &[&str]) -> Output {
    Tool::Zct.run_with_stdin(&[&["-R", "-"], more].concat(), saved)
}

/// Restores, after a dry run of the same; both succeed, and neither has anything to complain about.
fn restored(saved: &[u8]) {
    for more in [&["--dry-run"][..], &[]] {
        let output = restore(saved, more);
        let err = output.err();
        let quiet = err.is_empty() || more.contains(&"--dry-run") && err.contains("; 0 lines would fail.");
        assert!(output.exit == Exit::Code(0) && quiet, "{more:?}: {err}");
    }
}

fn mix(seed: u64, labels: bool) -> Mix {
    Mix { rng: Rng::with_seed(seed), labels, wide: true }
}

/// Every kind of flow that the generator makes: nothing changes, which includes TCP's window tracking,
/// labels, helpers and masters.
#[test]
fn an_unchanged_table_stays_as_it_is() {
    for seed in 1..=4 {
        let _ns = world();
        mix(seed, true).fill(&mut Kernel::open(), 400);
        // Not liberal, just as packets make them.
        let strict = zct_tests::seed::tcp([10, 77, 0, 1], [10, 77, 0, 2], 1, 2, 3)
            .with(|it| it.protoinfo = Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() })));
        Kernel::open().create(&strict).expect("a flow");
        let (before, saved) = (table(), save());
        let kinds = |bit| before.values().filter(|f| f.status & bit != 0).count();
        for bit in [ips::SRC_NAT, ips::DST_NAT, ips::EXPECTED, ips::FIXED_TIMEOUT, ips::ASSURED] {
            assert!(kinds(bit) > 5, "{bit:#x}: too few to show anything");
        }
        restored(&saved);
        assert_eq!(differences(&before, &table()), [""; 0], "seed {seed}");
    }
}

/// The differences, flow by flow.
fn differences(before: &Flows, after: &Flows) -> Vec<String> {
    let gone =
        before.iter().filter(|(k, _)| !after.contains_key(*k)).map(|(k, f)| format!("gone: {k} {f:?}"));
    let new = after.iter().filter(|(k, _)| !before.contains_key(*k)).map(|(k, f)| format!("new: {k} {f:?}"));
    let changed = before.iter().filter_map(|(k, f)| {
        let now = after.get(k).filter(|now| *now != f)?;
        Some(format!("{k}\n  was {f:?}\n  is  {now:?}"))
    });
    gone.chain(new).chain(changed).collect()
}

/// A tenth is gone and a tenth has changed: all is as saved, as far as the kernel allows. It does not allow
/// helper, labels and master on a flow that is made again, nor clearing bits on one that exists.
#[test]
fn a_table_that_changed_becomes_what_was_saved() {
    for seed in 11..=14 {
        let _ns = world();
        let mut kernel = Kernel::open();
        mix(seed, true).fill(&mut kernel, 400);
        let (before, saved) = (table(), save());
        let mut rng = Rng::with_seed(seed);
        // The id does not give away a flow made again: in the memory of the old one it gets the same id.
        let mut gone = HashSet::new();
        for (key, flow) in &before {
            let old = NewFlow::default().with(|it| {
                it.family = flow.orig.and_then(|t| t.src).expect("an address").family();
                it.orig = flow.orig;
                it.zone = flow.zone;
            });
            let fixed = flow.status & ips::FIXED_TIMEOUT != 0;
            match rng.u8(..10) {
                0 if is_alone(flow, &before) => {
                    kernel.delete(&old).expect("it is there");
                    gone.insert(key);
                }
                1 => {
                    let change = old.with(|it| {
                        it.mark = Some(Masked { value: rng.u32(6..50), mask: u32::MAX });
                        it.status = Some(flow.status | ips::ASSURED | ips::SEEN_REPLY);
                        it.timeout_s = (!fixed).then(|| rng.u32(5000..9000));
                    });
                    // With zones for one direction only, the tuple may find another flow.
                    _ = kernel.update(&change);
                }
                _ => {}
            }
        }
        let changed = differences(&before, &table()).len();
        assert!(changed > 40, "{changed} changes show little");
        let output = restore(&saved, &[]);
        assert_eq!(output.exit, Exit::Code(0), "{}", output.err());
        let after = table();
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        let mut again = 0;
        for (key, was) in &before {
            let is = &after[key];
            let made_again = gone.contains(key);
            again += u32::from(made_again);
            // Bits that are set stay set; a flow made again has no master, and a line does not
            // contain the helper.
            let lasting = ips::SEEN_REPLY | ips::ASSURED | ips::FIXED_TIMEOUT | ips::SRC_NAT | ips::DST_NAT;
            let left = was.status & !is.status & lasting;
            assert_eq!((is.reply, is.mark, left), (was.reply, was.mark, 0), "{key}");
            let state = |f: &Flow| f.protoinfo.and_then(|p| p.state());
            assert_eq!(state(is), state(was), "{key}");
            if !made_again {
                assert_eq!(is.rest, was.rest, "{key}");
                assert_eq!(is.status & ips::EXPECTED, was.status & ips::EXPECTED, "{key}");
            }
        }
        assert!(again > 20, "{again} were made again");
        let expected = before.iter().filter(|(k, f)| f.status & ips::EXPECTED != 0 && gone.contains(*k));
        let warned = format!("WARNING: {} flow entries are without EXPECTED", expected.clone().count());
        assert!(expected.count() == 0 || output.err().contains(&warned), "{}", output.err());
    }
}

/// Whether no other flow shares one of its directions, in any zone: whether both of such a pair can be
/// created depends on the order.
fn is_alone(flow: &Flow, all: &Flows) -> bool {
    let plain = |t: Option<Tuple>| t.map(|t| Tuple { zone: None, ..t });
    let mine = [plain(flow.orig), plain(flow.reply)];
    let shares = |f: &&Flow| mine.contains(&plain(f.orig)) || mine.contains(&plain(f.reply));
    all.values().filter(shares).count() == 1
}

/// Lines about flows that exist and lines about flows that are gone, translated and plain.
#[test]
fn translated_flows_that_stayed_hold_nothing_up() {
    const EACH: u16 = 2000;
    let _ns = world();
    let mut storm = Storm::open();
    let plain = |port| udp([10, 1, 0, 5], [203, 0, 113, 9], port, 2000);
    storm.create((1..=EACH).map(plain));
    storm.create((1..=EACH).map(|port| {
        let flow = udp([10, 1, 0, 6], [203, 0, 113, 9], port, 2000);
        flow.with(|it| it.nat_src = Some(Nat { addr: Some(Addr::V4([198, 51, 100, 7])), port: Some(port) }))
    }));
    let saved = save();
    storm.delete((1..=EACH).map(plain));
    restored(&saved);
    assert_eq!(Kernel::open().count(), u32::from(2 * EACH));
}

const FLOW: &str = "-p udp -s 10.1.0.5 --sport 1000 -d 203.0.113.9 --dport 2000 -t 600";

/// The two reports: about NAT that exists already, and about bits that cannot be cleared.
#[test]
fn what_is_there_already_is_no_conflict() {
    let _ns = world();
    for (create, change) in [
        (format!("-I {FLOW} -n 198.51.100.7:20000 -u SEEN_REPLY"), ""),
        (format!("-I {FLOW} -u SEEN_REPLY"), "-U -s 10.1.0.5 -u ASSURED"),
        (format!("-I {FLOW} -u FIXED_TIMEOUT"), ""),
        (format!("-I {FLOW} -g 198.51.100.7 -n 198.51.100.8:9 -w 3"), ""),
    ] {
        done(&create);
        let saved = save();
        if !change.is_empty() {
            done(change);
        }
        let before = table();
        restored(&saved);
        let line = String::from_utf8(saved).expect("text");
        done(line.trim());
        assert_eq!(differences(&before, &table()), [""; 0], "{create}");
        done("-F");
    }
    // Without a port any port will do; the mark is changed all the same.
    done(&format!("-I {FLOW} -n 198.51.100.7:20000"));
    done(&format!("-A {FLOW} -n 198.51.100.7 -m 9"));
    assert_eq!(table().values().next().and_then(|f| f.mark), Some(9));
}

/// A conflict is named with both values by `-A` itself, in a file and in a dry run; nothing changes.
#[test]
fn conflicts_are_named_with_both_values() {
    let _ns = world();
    let other = "-p udp -s 10.1.0.6 --sport 1000 -d 203.0.113.9 --dport 2000 -t 600";
    done(&format!("-I {FLOW} -n 198.51.100.7:20000 -u SEEN_REPLY"));
    done(&format!("-I {other} -u FIXED_TIMEOUT"));
    let before = table();
    for (line, texts) in [
        (
            format!("-A {FLOW} -n 198.51.100.8:20000 -m 1"),
            &["source is 198.51.100.7:20000 in the table", "asked for is 198.51.100.8:20000"][..],
        ),
        (format!("-A {FLOW} -n 198.51.100.7:9 -m 1"), &["198.51.100.7:20000", "198.51.100.7:9"]),
        (
            format!("-A {FLOW} -r 203.0.113.9 -q 10.1.0.5 --reply-port-src 2000 --reply-port-dst 1000 -m 1"),
            &["source is 198.51.100.7:20000 in the table", "asked for is not translated"],
        ),
        (
            format!("-A {other} -g 198.51.100.8 -u FIXED_TIMEOUT"),
            &["destination is not translated in the table", "asked for is 198.51.100.8;"],
        ),
        (format!("-A {} -m 1", other.replace("600", "777")), &["FIXED_TIMEOUT", " seconds are left", "777"]),
        (
            "-A -p udp -d 10.1.0.6 --dport 1000 -s 203.0.113.9 --sport 2000 -t 600 -m 1".to_owned(),
            &["reply direction of another flow, from 10.1.0.6:1000 to 203.0.113.9:2000"],
        ),
    ] {
        for output in [on(&line), restore(line.as_bytes(), &[]), restore(line.as_bytes(), &["--dry-run"])] {
            let err = output.err();
            assert_eq!(output.exit, Exit::Code(1), "{line}: {err}");
            assert!(err.contains("Operation failed: "), "{line}: {err}");
            assert!(texts.iter().all(|t| err.contains(t)), "{line}: {err}");
        }
    }
    // Its place in the reply direction is taken.
    let taken = FLOW.replace("10.1.0.5", "10.1.0.7");
    let output = on(&format!("-A {taken} -n 198.51.100.7:20000"));
    assert!(
        output.exit == Exit::Code(1) && output.err().contains("another flow has the reply"),
        "{output:?}"
    );
    assert_eq!(differences(&before, &table()), [""; 0]);
}

/// The mark is saved, and an original that reads the line sets it.
#[test]
fn the_mark_is_saved() {
    for reader in [Tool::Zct, Tool::Reference] {
        let _ns = world();
        let mut flow = udp([10, 1, 0, 5], [203, 0, 113, 9], 1000, 2000);
        flow.mark = Some(Masked { value: 0xdead_beef, mask: u32::MAX });
        flow.status = Some(ips::CONFIRMED | ips::SEEN_REPLY);
        Kernel::open().create(&flow).expect("a flow");
        let saved = save();
        let text = String::from_utf8(saved.clone()).expect("text");
        assert!(text.contains(" -m 3735928559 "), "{text}");
        done("-F");
        // Release 1.4.7 reads creations from a file just as from the command line.
        let text = if reader == Tool::Zct { text } else { text.replace("-A ", "-I ") };
        assert_eq!(reader.run_with_stdin(&["-R", "-"], text.as_bytes()).exit, Exit::Code(0));
        assert_eq!(table().values().map(|f| f.mark).collect::<Vec<_>>(), [Some(0xdead_beef)], "{reader:?}");
    }
}
