//! Selections that the BPF reader applies inside the kernel: the same flows as by netlink, for every option
//! and in random combinations; and that it does apply them.

use fastrand::Rng;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zct::commands::Invocation;
use zct::filter::Filter;
use zct::flags::args::Args;
use zct::flags::parse::parse;
use zct::flags::selection;
use zct::table_selection;
use zct_engine::table::Table;
use zct_engine::{Lost, Sink};
use zct_tests::address_list::{Flow, Many, flows, flows_of, ids};
use zct_tests::cases::{Cases, ROWS};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, Storm, TRACKING, label_bytes, plain, tcp, udp};
use zct_tests::world::World;
use zct_wire::consts::{ipproto, ips};
use zct_wire::filter::Masked;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::tuple::{Addr, Tuple};

/// The warning of a line whose selection or output BPF does not know.
const NEEDS_NETLINK: &str = "WARNING: --reader=bpf: netlink reads the table: only netlink knows ";

/// Lines that are compared on each table; `ZCT_DIFFERENTIAL_N` asks for another number.
const LINES: usize = 60;

fn lines_a_table() -> usize {
    std::env::var("ZCT_DIFFERENTIAL_N").ok().and_then(|n| n.parse().ok()).unwrap_or(LINES)
}

/// What a listing shows, without the seconds that flows have left.
fn shown(output: &Output) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    for line in output.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let after_t = |at: &usize| words.get(at.wrapping_sub(1)) != Some(&"-t");
        let kept: Vec<&str> = (0..words.len()).filter(after_t).map(|at| words[at]).collect();
        *lines.entry(kept.join(" ")).or_default() += 1;
    }
    lines
}

fn list(line: &[String], reader: &str) -> Output {
    let mut words: Vec<&str> = line.iter().map(String::as_str).collect();
    words.extend(["--reader", reader]);
    Tool::ZctByName.run(&words)
}

/// Compares one line; true when it selected some flows and not all.
fn compare(line: &[String], all: usize) -> bool {
    let three = || ["netlink", "bpf", "netlink"].map(|reader| list(line, reader));
    let mut outputs = three();
    // The hash is that of all namespaces: whoever resizes it makes a reading incomplete, which is said.
    while outputs.iter().any(|o| o.err().contains("The list is incomplete")) {
        outputs = three();
    }
    let [before, ours, after] = outputs;
    assert_eq!((ours.exit, before.exit), (before.exit, after.exit), "{line:?}: {before:?} {after:?}");
    let [first, have, last] = [&before, &ours, &after].map(shown);
    for (flow, times) in &last {
        assert_eq!(have.get(flow), Some(times), "{line:?}: BPF lacks {flow}");
    }
    for flow in have.keys() {
        assert!(first.contains_key(flow), "{line:?}: only BPF has {flow}");
    }
    if first == last {
        // Some of them need netlink, which is said where BPF is asked for.
        let said: String =
            ours.err().split_inclusive('\n').filter(|l| !l.starts_with(NEEDS_NETLINK)).collect();
        assert_eq!(said, before.err(), "{line:?}");
    }
    !have.is_empty() && have.len() < all
}

/// Puts a `!` before some of the options.
fn negate(line: &mut Vec<String>, rng: &mut Rng) {
    const SHORT: [&str; 12] = ["-s", "-d", "-r", "-q", "-p", "-m", "-w", "-l", "-n", "-g", "-j", "-u"];
    const LONG: [&str; 12] = [
        "--sport",
        "--dport",
        "--reply-port-src",
        "--reply-port-dst",
        "--state",
        "--orig-zone",
        "--reply-zone",
        "--icmp-type",
        "--icmp-code",
        "--icmp-id",
        "--srckey",
        "--dstkey",
    ];
    let at: Vec<usize> = (0..line.len())
        .filter(|at| SHORT.contains(&line[*at].as_str()) || LONG.contains(&line[*at].as_str()))
        .collect();
    for at in at.into_iter().rev() {
        if rng.u8(..3) == 0 {
            line.insert(at, "!".to_owned());
        }
    }
}

#[test]
fn selections_are_those_of_netlink() {
    for (number, flows) in [(0, 150), (1, 150), (2, 4000)] {
        let world = World::new(23, number, flows);
        let mut rng = Rng::with_seed(number as u64 + 5);
        let mut cases = Cases { rng: rng.fork(), samples: &world.samples };
        let mut some = 0;
        for at in 0..lines_a_table() {
            let mut line = cases.list(&ROWS[at % ROWS.len()], "save", None);
            negate(&mut line, &mut rng);
            some += usize::from(compare(&line, world.samples.len()));
        }
        assert!(some > lines_a_table() / 4, "{some} lines selected a part of the table");
    }
}

/// Counts what the reader hands over, and what of it the filter matches.
struct Counter {
    filter: Filter,
    came: usize,
    matched: usize,
    resized: bool,
}

impl Sink for Counter {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let matched = FlowView::index(msg).and_then(|f| self.filter.matches(&f)).expect("a flow");
        self.came += 1;
        self.matched += usize::from(matched);
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        assert!(matches!(why, Lost::Resized | Lost::Unread), "{why}");
        self.resized = true;
    }
}

fn filter_of(line: &str) -> Filter {
    let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
    let mut args = Args::default();
    parse(&words, &mut args).expect(line);
    let labels = Invocation::load_labels(&args);
    let call = Invocation::new(zct::fail::Name::Zct, args, labels).expect(line);
    selection::filter(&call.args, call.label_bits.clone())
}

/// How many flows the kernel alone counts, in 1, 2 and 4 parts; `None` when it cannot apply all of the
/// selection.
fn counted_inside(line: &str) -> Option<u64> {
    let exact = table_selection::exact(&filter_of(line))?;
    let mut table = Table::open().expect("a kernel with BPF");
    let [one, two, four] = [1, 2, 4].map(|parts| {
        loop {
            // The hash is that of all namespaces: whoever resizes it over and over makes a count impossible.
            if let Ok(count) = table.count(&exact, parts) {
                break count;
            }
        }
    });
    assert_eq!((two, four), (one, one), "{line}");
    assert!(table.count(&exact, 3).is_err(), "three parts do not meet");
    Some(one)
}

fn count(line: &str) -> Counter {
    let filter = filter_of(line);
    let mut table = Table::open().expect("a kernel with BPF");
    table.select(&table_selection::selection(&filter));
    let said = table.to_string();
    assert!(!said.contains("nothing left out"), "{line}: {said}");
    let mut counter = Counter { filter, came: 0, matched: 0, resized: false };
    table.read(&mut counter).expect("the table can be read");
    if counter.resized { count(line) } else { counter }
}

/// Flows of many kinds, each of which some selection is about.
fn fill() {
    let v6 = |n: u8| Addr::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, n % 3, 0, 0, 0, 0, 0, 0, 0, n]);
    let mut storm = Storm::open();
    storm.create((0..240u8).map(|n| {
        let mut flow = match n % 4 {
            0 => udp([10, 0, n % 3, n], [10, 1, 0, n % 7], 1000 + u16::from(n), 50 + u16::from(n % 5)),
            1 | 2 => tcp([10, 0, n % 3, n], [10, 1, 0, n % 7], 1000 + u16::from(n), 443, n % 8 + 1),
            _ => plain(Tuple {
                src: Some(v6(n)),
                dst: Some(v6(n % 7)),
                proto: Some(ipproto::UDP),
                src_port: Some(u16::from(n)),
                dst_port: Some(0x8000 + u16::from(n % 5)),
                ..Tuple::default()
            }),
        };
        flow.mark = Some(Masked { value: [0, 1, 0x8000_0001, 0xff00][n as usize / 4 % 4], mask: u32::MAX });
        flow.status = Some(ips::CONFIRMED | if n % 5 == 0 { ips::SEEN_REPLY } else { 0 });
        match n % 6 {
            0 => flow.zone = Some(3),
            1 => flow.orig = flow.orig.map(|t| Tuple { zone: Some(4), ..t }),
            2 => flow.reply = flow.reply.map(|t| Tuple { zone: Some(5), ..t }),
            _ => {}
        }
        if n % 8 < 3 {
            flow.labels = Some((label_bytes(&[n % 3, 40 + n % 2, 127]), [0xff; 16]));
        }
        if n % 16 == 0 {
            flow.nat_src =
                Some(zct_wire::nat::Nat { addr: Some(Addr::V4([198, 51, 100, n % 3])), port: None });
        }
        flow.with(|it| it.timeout_s = Some(100_000))
    }));
}

#[test]
fn what_is_not_selected_stays_in_the_kernel() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    fill();
    for line in [
        "-L -p udp",
        "-L -f ipv6",
        "-L -s 10.0.2.77",
        "-L -s 10.0.0.0/22 -d 10.1.0.0/30",
        "-L -s 10.0.1.0/24,10.0.2.0/24",
        "-L -s 0.0.0.77 --mask-src 0.0.0.127",
        "-L -d 2001:db8:0:0::/64",
        "-L -s 2001:db8:0:2::b",
        "-L -d 2001:db8::/31 ! -p tcp",
        "-L -r 10.1.0.3",
        "-L -q 10.0.1.1,10.0.1.4",
        "-L -p udp --dport 50",
        "-L -p udp --dport 51-53,32768-65535",
        "-L -p tcp --sport 1000-1100 --reply-port-src 443",
        "-L -m 1",
        "-L -m 0x80000001",
        "-L -m 0x80000000/0x80000000",
        "-L ! -m 0",
        "-L ! -m 0x80000001",
        "-L -u SEEN_REPLY",
        "-L -u !SEEN_REPLY",
        "-L -w 3",
        "-L -w 0",
        "-L ! -w 0",
        "-L --orig-zone 4",
        "-L --orig-zone 0",
        "-L --reply-zone 5",
        "-L --reply-zone 0",
        "-L ! --reply-zone 0 ! -w 3",
        "-L -p tcp --state ESTABLISHED",
        "-L -p tcp --state ESTABLISHED,TIME_WAIT",
        "-L -p tcp ! --state ESTABLISHED,TIME_WAIT",
        "-L -l bit-127",
        "-L -l bit-1,bit-41",
        "-L ! -l bit-40",
        "-L ! -l bit-0,bit-41 -p tcp",
        "-L -n",
        "-L -n 198.51.100.1",
        "-L -j",
        "-L ! -s 10.0.0.0/23",
        "-L ! -s 10.0.0.0/24,10.0.2.0/24 ! -p udp",
        "-L ! -d 2001:db8::/48 -p udp ! --dport 50-52",
    ] {
        let counter = count(line);
        assert!(counter.matched > 0 && counter.matched < 240, "{line}: {}", counter.matched);
        assert_eq!(counter.came, counter.matched, "{line}: more came than are selected");
        let counted = Tool::ZctByName.run(&words_of(&line.replacen("-L", "-C --reader bpf", 1)));
        assert_eq!(counted.out(), format!("{}\n", counter.matched), "{line}: {counted:?}");
        // Labels are behind a pointer, and NAT is translated loosely.
        let left = ["-l ", "-n", "-j"].iter().any(|option| line.contains(option));
        assert_eq!(counted_inside(line), (!left).then_some(counter.matched as u64), "{line}");
    }
    // Some kernels do not know that this protocol has ports.
    assert_eq!(counted_inside("-L -p udplite --dport 50"), None);
    assert_eq!(counted_inside("-L"), Some(240));
    // What is translated loosely, or not at all, is left to the filter.
    for line in ["-L ! -n", "-L ! -j -p udp", "-L -p udp ! -n 198.51.100.1"] {
        let counter = count(line);
        assert!(counter.came > counter.matched && counter.matched > 0, "{line}");
    }
}

fn words_of(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

/// Runs zct, which has to succeed by way of BPF. When another namespace resizes the hash meanwhile it says
/// that it is not through, and is run again for the rest.
fn by_bpf(words: &[&str]) -> Output {
    let mut output = Tool::ZctByName.run(&[words, &["--reader", "bpf"]].concat());
    while output.err().contains("The list is incomplete") {
        let more = Tool::ZctByName.run(&[words, &["--reader", "bpf"]].concat());
        output.stdout.extend(&more.stdout);
        (output.stderr, output.exit) = (more.stderr, more.exit);
    }
    assert!(output.exit == Exit::Code(0) || !output.stdout.is_empty(), "{words:?}: {output:?}");
    let explained = Tool::ZctByName.run(&[words, &["--reader", "bpf", "--explain"]].concat());
    let said = explained.lines().pop().unwrap_or_default();
    assert!(said.starts_with("read by BPF: ") || flows().is_empty(), "{words:?}: {explained:?}");
    output
}

#[test]
fn what_is_deleted_is_what_netlink_would_delete() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    for line in [
        "-D -p udp -o id",
        "-D ! -s 10.0.0.0/24 -o id",
        "-D -w 3 -o id",
        "-D --orig-zone 4 -m 1/3 -o id",
        "-D -n -o id",
        "-D -l bit-127 ! -p tcp -o id",
        "-D -p tcp --state ESTABLISHED,TIME_WAIT -u !SEEN_REPLY -o id",
        "-D --all -o id",
    ] {
        let words = words_of(line);
        Kernel::open().flush();
        fill();
        let before = ids(&flows());
        let dry = [&words[..], &["--dry-run"]].concat();
        let would = ids(&flows_of(&Tool::ZctByName.run(&dry)));
        assert!(!would.is_empty(), "{line}");
        assert_eq!(ids(&flows_of(&by_bpf(&dry))), would, "{line}");
        assert_eq!(ids(&flows()), before, "{line}: a dry run deletes nothing");
        let deleted = by_bpf(&words);
        let gone = ids(&flows_of(&deleted));
        assert_eq!(gone, would, "{line}");
        // As in a dump, which does not hold a flow to show it.
        assert!(deleted.lines().iter().all(|l| l.contains(" use=1 ")), "{line}: {deleted:?}");
        assert_eq!(ids(&flows()), &before - &gone, "{line}");
    }
}

#[test]
fn what_is_changed_is_what_netlink_would_change() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    fill();
    for (at, selection) in
        ["-p udp --dport 51-53", "-s 10.0.1.0/24", "-n", "-d 2001:db8::/48"].iter().enumerate()
    {
        let mark = format!("{}", 1000 + at);
        let select = words_of(selection);
        let want = Tool::Reference.run(&[&["-L", "-o", "id"], &select[..]].concat());
        let changed = by_bpf(&[&["-U", "-o", "id", "-m", &mark], &select[..]].concat());
        assert_eq!(ids(&flows_of(&changed)).len(), changed.lines().len());
        let listed = |output: &Output| ids(&flows_of(output));
        assert!(!listed(&changed).is_empty());
        assert_eq!(listed(&changed), listed(&Tool::ZctByName.run(&["-L", "-o", "id", "-m", &mark])));
        if !selection.contains("51-53") {
            assert_eq!(listed(&changed), listed(&want), "{selection}");
        }
    }
}

#[test]
fn lists_of_addresses_and_reconcile() {
    let mut many = Many::new(31);
    let (list, file) = many.list("keep", 1, 2);
    let before = flows();
    let (kept, stale): (Vec<&Flow>, Vec<&Flow>) = before.iter().partition(|f| list.has(&f.addrs[1]));
    let counted = |words: &[&str]| by_bpf(&[&["-C"], words].concat()).out().trim().parse::<usize>();
    assert_eq!(counted(&["-d", &file]), Ok(kept.len()));
    assert_eq!(counted(&["!", "-d", &file]), Ok(stale.len()));
    let words = ["reconcile", "--keep-dst", &file, "--all", "-o", "id"];
    let would = by_bpf(&[&words[..], &["--dry-run"]].concat());
    assert_eq!(ids(&flows_of(&would)), ids(stale.iter().copied()));
    let gone = by_bpf(&words);
    assert_eq!(ids(&flows_of(&gone)), ids(stale.iter().copied()));
    assert_eq!(ids(&flows()), ids(kept.iter().copied()));
}
