//! The table read by BPF is the table that netlink reads (bpf-table.md §3): the same flows with the same
//! words, in another order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use zct_engine::dump::End;
use zct_engine::table::Table;
use zct_engine::{Lost, Sink};
use zct_tests::mask::Mask;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, run, tool, zct};
use zct_tests::seed::{Storm, udp};
use zct_tests::world::World;
use zct_wire::header::CtMsg;

const FORMATS: [&[&str]; 8] = [
    &[],
    &["-o", "extended"],
    &["-o", "save"],
    &["-o", "json"],
    &["-o", "labels"],
    &["-o", "ktimestamp"],
    &["-o", "json,ktimestamp,labels"],
    &["-o", "extended,labels,ktimestamp"],
];

fn list(reader: &str, args: &[&str]) -> Output {
    let words = [&["-L", "--reader", reader], args].concat();
    let output = Tool::ZctByName.run(&words);
    assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
    output
}

/// Who reads the table for these arguments.
fn explained(args: &[&str]) -> String {
    let output = list("bpf", &[args, &["--explain"]].concat());
    output.lines().pop().expect("a last line")
}

/// What comes before the reason.
const FALLBACK: &str = "WARNING: --reader=bpf: netlink reads the table: ";

/// Why netlink reads the table for these arguments although BPF is asked for by its name; `None` when it does not.
/// Unless BPF is asked for, nobody is told.
fn fallback(args: &[&str]) -> Option<String> {
    let warning = |output: Output| {
        let err = output.err();
        err.lines().find_map(|l| l.strip_prefix(FALLBACK)).map(str::to_owned)
    };
    for reader in ["auto", "netlink"] {
        assert_eq!(warning(list(reader, args)), None, "{args:?} by {reader}");
    }
    warning(list("bpf", args))
}

fn assert_read_by_bpf(args: &[&str]) {
    let said = explained(args);
    assert!(said.starts_with("read by BPF: "), "{args:?}: {said}");
}

/// The lines without what changes from second to second, and beside each its timeout.
fn lines(output: &Output) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in output.lines() {
        let (line, timeout) = without_timeout(&line);
        let mut key = (Mask::DELTA_TIME | Mask::CTIME).apply(&line);
        // In JSON the age is a number.
        if let Some((before, rest)) = key.split_once("\"delta_time\":") {
            key = format!("{before}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        // The time of the beginning does not change, and is compared.
        let start = line.split_once("[start=").map_or("", |(_, rest)| rest.split(']').next().unwrap_or(""));
        found.entry(key + start).or_default().push(timeout);
    }
    for timeouts in found.values_mut() {
        timeouts.sort_unstable();
    }
    found
}

/// Cuts out the seconds that a flow has left: the value of `-t` or `"timeout":`, or else the number that
/// comes after the protocol's. A flow without them has 0.
fn without_timeout(line: &str) -> (String, u64) {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut at = ["-t ", "\"timeout\":"].iter().find_map(|w| line.find(w).map(|at| at + w.len()));
    if at.is_none() && !line.starts_with(['{', '-']) {
        let skip = if line.starts_with("ipv") { 4 } else { 2 };
        at = line.split_ascii_whitespace().nth(skip).map(|w| w.as_ptr().addr() - line.as_ptr().addr());
    }
    let Some(at) = at else { return (line.to_owned(), 0) };
    let len = digits(&line[at..]);
    (format!("{}{}", &line[..at], &line[at + len..]), line[at..at + len].parse().unwrap_or(0))
}

/// Compares a listing by BPF with one by netlink before it and one after it: the same lines, but for flows
/// that end meanwhile, and timeouts that lie between.
fn compare(args: &[&str]) {
    let [before, ours, after] = ["netlink", "bpf", "netlink"].map(|r| list(r, args));
    let [before_lines, our_lines, after_lines] = [&before, &ours, &after].map(lines);
    for line in our_lines.keys() {
        assert!(before_lines.contains_key(line), "{args:?}: only BPF has {line}");
    }
    for (line, last) in &after_lines {
        let first = before_lines.get(line).unwrap_or_else(|| panic!("{args:?}: {line} is new"));
        let timeouts = our_lines.get(line).unwrap_or_else(|| panic!("{args:?}: BPF lacks {line}"));
        assert_eq!((timeouts.len(), last.len()), (first.len(), first.len()), "{args:?}: {line}");
        for ((first, ours), last) in first.iter().zip(timeouts).zip(last) {
            assert!(first >= ours && ours >= last, "{args:?}: {line}: {first} {ours} {last}");
        }
    }
    assert!(!after_lines.is_empty(), "{args:?}");
    let said = format!("{} flow entries have been shown.", ours.lines().len());
    assert!(ours.err().contains(&said), "{args:?}: {}", ours.err());
}

#[test]
fn every_kind_of_flow_is_the_same_in_every_format() {
    // With and without counters and times.
    for number in 0..4 {
        let _world = World::new(17, number, 400);
        for format in FORMATS {
            assert_read_by_bpf(format);
            assert_eq!(fallback(format), None, "{format:?}");
            compare(format);
        }
        for selection in [&["-p", "tcp"][..], &["-f", "ipv6"], &["-s", "10.0.0.0/31"], &["-j"], &["-w", "3"]]
        {
            compare(selection);
        }
    }
}

#[test]
fn what_only_netlink_knows_is_read_by_netlink() {
    let _ns = Netns::fresh();
    Storm::open().create((0..100).map(|n| udp([10, 0, 0, n], [192, 0, 2, 1], 1000, 53)));
    for (args, why) in [
        (&["-o", "id"][..], "knows ids (-o id)"),
        (&["-o", "xml"], "knows ids (-o xml)"),
        (&["-c", "7"], "knows security marks (-c)"),
        (&["-z"], "resets counters (-z)"),
    ] {
        assert_eq!(explained(args), format!("read by netlink: only netlink {why}"), "{args:?}");
        assert_eq!(fallback(args), Some(format!("only netlink {why}")), "{args:?}");
    }
    for (args, why) in [
        (&["-L", "dying"][..], "lists dying flows"),
        (&["-L", "unconfirmed"], "lists unconfirmed flows"),
        (&["-D", "--id", "7", "--dry-run"], "knows ids (--id)"),
    ] {
        let output = Tool::ZctByName.run(&[args, &["--reader", "bpf"]].concat());
        assert!(output.err().starts_with(&format!("{FALLBACK}only netlink {why}\n")), "{args:?}: {output:?}");
    }
    assert!(list("netlink", &["--explain"]).out().ends_with("read by netlink: --reader=netlink\n"));
    compare(&["-o", "id"]);
    assert_eq!(list("bpf", &["-o", "xml"]).out().matches("<id>").count(), 100);
    Storm::open().delete((0..100).map(|n| udp([10, 0, 0, n], [192, 0, 2, 1], 1000, 53)));
    assert_eq!(explained(&[]), "read by netlink: the table is empty");
    assert_eq!(fallback(&[]).as_deref(), Some("the table is empty"));
    assert_eq!(list("bpf", &[]).lines(), [""; 0]);
}

#[test]
fn flows_of_other_namespaces_are_never_listed() {
    let ns = Netns::fresh();
    let peer = ns.peer();
    // The peer's flows have the same tuples, and some others.
    peer.inside(|| Storm::open().create((0..3000).map(|n| flow(10, n))));
    Storm::open().create((1000..2000).map(|n| flow(10, n)));
    assert_read_by_bpf(&[]);
    let listed = list("bpf", &["-p", "udp", "-s", "10.0.0.0/8"]);
    assert_eq!(listed.lines().len(), 1000);
    compare(&["-p", "udp", "-s", "10.0.0.0/8"]);
}

fn flow(net: u8, n: u32) -> zct_wire::request::NewFlow<'static> {
    let [_, hi, mid, lo] = n.to_be_bytes();
    udp([net, hi, mid, lo], [192, 0, 2, 1], 1000, 53)
}

/// zct, started by another program that gives up something first.
fn through(program: &str, args: &[&str], words: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).arg(zct()).args(words).env("TZ", "UTC").env("LC_ALL", "C");
    command.arg0(program);
    run(&mut command, b"")
}

#[test]
fn without_the_right_netlink_reads_the_same() {
    let _ns = Netns::fresh();
    Storm::open().create((0..100).map(|n| udp([10, 0, 0, n], [192, 0, 2, 1], 1000, 53)));
    let want = Mask::TIMEOUT.apply(&list("netlink", &["-o", "extended"]).out());
    for dropped in ["-bpf", "-perfmon"] {
        let bounding = format!("--bounding-set={dropped},-sys_admin");
        let through = |words: &[&str]| through("setpriv", &[&bounding], words);
        let said = through(&["-L", "--reader", "bpf", "--explain"]).out();
        assert!(said.ends_with("read by netlink: it takes CAP_BPF and CAP_PERFMON\n"), "{dropped}: {said}");
        let listed = through(&["-L", "--reader", "bpf", "-o", "extended"]);
        assert_eq!(listed.exit, Exit::Code(0), "{listed:?}");
        assert_eq!(Mask::TIMEOUT.apply(&listed.out()), want, "{dropped}");
        // Whatever reads the table says so, once.
        let why = format!("{FALLBACK}it takes CAP_BPF and CAP_PERFMON\n");
        for words in [
            &["-L"][..],
            &["-L", "--by", "src"],
            &["-C", "-p", "udp"],
            &["-D", "-p", "udp", "--dry-run"],
            &["-U", "-p", "udp", "-m", "7", "--dry-run"],
            &["top", "--once"],
        ] {
            let by = |reader| through(&[words, &["--reader", reader]].concat());
            let named = by("bpf");
            assert_eq!(
                (named.exit, named.err().matches(&why).count()),
                (Exit::Code(0), 1),
                "{words:?}: {named:?}"
            );
            assert!(!by("auto").err().contains(FALLBACK), "{words:?}");
        }
    }
}

#[test]
fn without_btf_netlink_reads_the_same() {
    let _ns = Netns::fresh();
    Storm::open().create((0..100).map(|n| udp([10, 0, 0, n], [192, 0, 2, 1], 1000, 53)));
    // Something else is there, in a mount namespace that ends with the program.
    let hidden = ["-m", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"", "sh"];
    let said = through("unshare", &hidden, &["-L", "--reader", "bpf", "--explain"]).out();
    assert!(said.ends_with("read by netlink: this kernel has no BTF\n"), "{said}");
    let listed = through("unshare", &hidden, &["-L", "--reader", "bpf", "-o", "save"]);
    let want = Mask::TIMEOUT.apply(&list("netlink", &["-o", "save"]).out());
    assert_eq!((listed.exit, Mask::TIMEOUT.apply(&listed.out())), (Exit::Code(0), want));
}

#[test]
fn in_a_user_namespace_netlink_reads_the_same() {
    let script = format!(
        "conntrack -I -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -t 1000 >/dev/null 2>&1 && \
         {zct} -L --reader bpf --explain && {zct} -L --reader bpf",
        zct = zct().display()
    );
    let output = tool("unshare", &["-U", "-r", "-n", "sh", "-c", &script]);
    assert!(output.contains("read by netlink: it takes CAP_BPF and CAP_PERFMON\n"), "{output}");
    assert!(output.contains("src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2"), "{output}");
}

/// Flows come and go on another thread while the table is read, in one part and in several.
#[test]
fn stable_flows_come_once_each_in_a_storm() {
    const STABLE: u32 = 50_000;
    const LISTINGS: usize = 12;
    /// Flows that come and go at the same time. They share chains with the others.
    const ROUND: u32 = 2000;
    let _ns = Netns::fresh();
    Storm::open().create((0..STABLE).map(|n| flow(10, n)));
    assert_read_by_bpf(&[]);
    let (ended, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut others = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut storm = Storm::open();
            let mut from = 0u32;
            while !ended.load(Ordering::Relaxed) {
                let some = from..from + ROUND;
                storm.create(some.clone().map(|n| flow(11, n)));
                storm.delete(some.map(|n| flow(11, n)));
                from = (from + ROUND) % 1_000_000;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        // The storm has to end with the test, however that ends.
        let _stop = OnDrop(&ended);
        for number in 0..LISTINGS {
            let before = rounds.load(Ordering::Relaxed);
            let listed = list("bpf", &["--jobs", ["1", "2", "4"][number % 3]]);
            let mut seen = vec![0u8; STABLE as usize];
            for line in listed.lines() {
                let source = line.split(' ').find_map(|w| w.strip_prefix("src=")).expect("a source");
                let [net, hi, mid, lo] = source.parse::<std::net::Ipv4Addr>().expect("an address").octets();
                match net {
                    10 => seen[u32::from_be_bytes([0, hi, mid, lo]) as usize] += 1,
                    _ => others += 1,
                }
            }
            let counted = Tool::ZctByName.run(&["-C", "-s", "10.0.0.0/8", "--reader", "bpf"]).out();
            assert_eq!(counted, format!("{STABLE}\n"), "count {number}");
            let wrong = seen.iter().enumerate().filter(|(_, n)| **n != 1).collect::<Vec<_>>();
            assert!(wrong.is_empty(), "listing {number}: {} of {STABLE}: {:?}", wrong.len(), wrong.first());
            // Several rounds begin and end before the next listing, and that one overlaps with some.
            while rounds.load(Ordering::Relaxed) < before + 2 {
                std::thread::yield_now();
            }
        }
    });
    assert!(others > 0, "none of the flows that came and went was ever listed");
}

/// Says so when it is dropped.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Empties the table when the first flow arrives, and counts.
#[derive(Default)]
struct Emptying {
    flows: usize,
    lost: Vec<Lost>,
}

impl Sink for Emptying {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        if self.flows == 0 {
            assert_eq!(Tool::ZctByName.run(&["-F"]).exit, Exit::Code(0));
        }
        self.flows += 1;
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.lost.push(why);
    }
}

/// What was not read by then is not there, so the list is complete.
#[test]
fn a_table_that_becomes_empty_while_it_is_read_has_been_read() {
    const FLOWS: u32 = 20_000;
    let _ns = Netns::fresh();
    Storm::open().create((0..FLOWS).map(|n| flow(10, n)));
    let mut sink = Emptying::default();
    let read = Table::open().and_then(|mut table| table.read(&mut sink));
    assert_eq!((read, sink.lost), (Ok(End::Done), vec![]));
    assert!((1..FLOWS as usize).contains(&sink.flows), "{} flows", sink.flows);
}

#[test]
fn from_some_thousands_of_flows_on_bpf_reads_by_itself_in_the_order_of_a_dump() {
    let _ns = Netns::fresh();
    let auto = |words: &[&str]| Tool::ZctByName.run(&[&["-L", "--explain"], words].concat()).lines().pop();
    Storm::open().create((0..100).map(|n| flow(10, n)));
    assert_eq!(auto(&[]).as_deref(), Some("read by netlink: with 100 flows BPF takes longer"));
    Storm::open().create((100..20_000).map(|n| flow(10, n)));
    assert!(auto(&[]).is_some_and(|said| said.starts_with("read by BPF: ")), "{:?}", auto(&[]));
    assert_eq!(auto(&["--reader", "netlink"]).as_deref(), Some("read by netlink: --reader=netlink"));
    let masked = |words: &[&str]| Mask::TIMEOUT.apply(&Tool::ZctByName.run(words).out());
    let [one, dump] = [&["-L", "--jobs", "1"][..], &["-L", "--reader", "netlink"]].map(masked);
    assert!(one == dump, "one thread lists in another order than a dump");
    compare(&["--jobs", "4", "-o", "json"]);
    for key in ["dst/24", "src"] {
        let words = ["-L", "--by", key, "--reader", "bpf"];
        let dump = Tool::ZctByName.run(&["-L", "--by", key, "--reader", "netlink"]);
        assert_eq!(Tool::ZctByName.run(&words), dump, "--by {key}");
        assert_eq!(through("taskset", &["-c", "0"], &words).out(), dump.out(), "--by {key}, one processor");
    }
}

#[test]
fn what_is_changed_is_found_by_bpf_where_it_is_little() {
    let _ns = Netns::fresh();
    let said = |words: &[&str]| Tool::ZctByName.run(&[words, &["--explain"]].concat()).lines().pop();
    Storm::open().create((0..20_000).map(|n| flow(if n % 100 == 0 { 11 } else { 10 }, n)));
    for command in [&["-D"][..], &["-U", "-m", "7"]] {
        let [few, most] = ["11.0.0.0/8", "10.0.0.0/8"].map(|from| said(&[command, &["-s", from]].concat()));
        assert!(few.as_deref().is_some_and(|s| s.starts_with("read by BPF: ")), "{command:?}: {few:?}");
        let most = most.unwrap_or_default();
        assert!(most.starts_with("read by netlink: with some "), "{command:?}: {most}");
        assert!(
            most.ends_with(" of 20000 flows selected BPF takes longer, since each is asked for"),
            "{most}"
        );
    }
    let deleted = Tool::ZctByName.run(&["-D", "-s", "11.0.0.0/8"]);
    assert!(deleted.err().contains("200 flow entries have been deleted."), "{deleted:?}");
    assert_eq!(Tool::ZctByName.run(&["-C"]).out(), "19800\n");
}
