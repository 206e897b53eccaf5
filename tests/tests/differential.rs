//! Reading the table: zct and the original on the same table, byte for byte, for every kind of output, every
//! option and every protocol, in random combinations.
//!
//! `ZCT_SEED` repeats a run, `ZCT_DIFFERENTIAL_N` is the number of comparisons, `ZCT_DIFFERENTIAL_FLOWS` that
//! of the flows. Each comparison is aimed at a cell of the coverage table; with the default number or more,
//! no cell may stay empty.

use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Mutex;
use zct_tests::cases::{Cases, OUTPUTS, ROWS, Row, output, protocol};
use zct_tests::compare::compare;
use zct_tests::differences::{DIFFERENCES, Ledger, SeenIn};
use zct_tests::program::Exit;
use zct_tests::seed::PROTOCOLS;
use zct_tests::world::World;

/// The default of `ZCT_DIFFERENTIAL_N`: every cell once, and some more.
const DEFAULT: usize = 1250;
/// Comparisons on one table before the next is filled.
const PER_WORLD: usize = 150;
/// The default of `ZCT_DIFFERENTIAL_FLOWS`, for each table.
const FLOWS: usize = 150;
/// On a table of this size the kernel does the selecting, dumps are long enough for a second thread, and
/// output comes in many pieces.
const MANY_FLOWS: usize = 100_000;
/// Comparisons on a table with many flows.
const ON_MANY: usize = 30;
/// Room that the real packets and the original's own flows need.
const SPARE: usize = 1000;
/// How often a target is tried again when both programs refuse its command line.
const TRIES: u32 = 20;

/// After this many disagreements on one table, more would say nothing new.
const ENOUGH: usize = 5;

/// The purpose of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// An option in a kind of output.
    Option { row: usize, output: usize },
    /// An option on flows of a protocol.
    Protocol { row: usize, proto: u8 },
    /// A kind of output on flows of a protocol.
    ProtocolOutput { output: usize, proto: u8 },
    /// Another command or table in a kind of output.
    Command { command: usize, output: usize },
    /// To trigger an intended difference.
    Difference(usize),
    /// Whatever chance brings.
    Any,
}

/// Commands and tables other than a plain `-L`, and whether they take `-o`.
const COMMANDS: [(&str, bool); 10] = [
    ("-L dying", true),
    ("-L unconfirmed", true),
    ("-L expect", true),
    ("-G", true),
    ("-G expect", true),
    ("-C", false),
    ("-C expect", false),
    ("-S", false),
    ("-S expect", false),
    ("-V", false),
];

fn fits(row: &Row, proto: u8) -> bool {
    row.protocols.is_empty() || row.protocols.contains(&proto)
}

fn targets() -> Vec<Target> {
    let mut all = Vec::new();
    for (row, r) in ROWS.iter().enumerate() {
        all.extend((0..OUTPUTS.len()).map(|output| Target::Option { row, output }));
        let protos = PROTOCOLS.iter().filter(|p| fits(r, **p));
        all.extend(protos.map(|proto| Target::Protocol { row, proto: *proto }));
    }
    for output in 0..OUTPUTS.len() {
        all.extend(PROTOCOLS.iter().map(|proto| Target::ProtocolOutput { output, proto: *proto }));
    }
    for (command, (_, outputs)) in COMMANDS.iter().enumerate() {
        let count = if *outputs { OUTPUTS.len() } else { 1 };
        all.extend((0..count).map(|output| Target::Command { command, output }));
    }
    let own = DIFFERENCES.iter().enumerate().filter(|(_, d)| d.seen_in == SeenIn::Differential);
    all.extend(own.map(|(i, _)| Target::Difference(i)));
    all
}

/// The command line for a target.
fn case(target: Target, cases: &mut Cases<'_>, world: &World) -> Vec<String> {
    match target {
        Target::Option { row, output } => cases.list(&ROWS[row], OUTPUTS[output], None),
        Target::Protocol { row, proto } => {
            let kind = OUTPUTS[cases.rng.usize(..OUTPUTS.len())];
            cases.list(&ROWS[row], kind, Some(proto))
        }
        Target::ProtocolOutput { output, proto } => cases.list(&ROWS[0], OUTPUTS[output], Some(proto)),
        Target::Command { command, output } => other_command(COMMANDS[command].0, OUTPUTS[output], cases),
        Target::Difference(i) => difference(DIFFERENCES[i].id, cases, world),
        Target::Any => {
            let row = &ROWS[cases.rng.usize(..ROWS.len())];
            let kind = OUTPUTS[cases.rng.usize(..OUTPUTS.len())];
            cases.list(row, kind, None)
        }
    }
}

fn split(words: &str) -> Vec<String> {
    words.split_ascii_whitespace().map(str::to_owned).collect()
}

fn other_command(command: &str, kind: &str, cases: &mut Cases<'_>) -> Vec<String> {
    let mut line = split(command);
    match command {
        "-G" => return cases.get(kind),
        "-L expect" => line.extend(split(["", "-f ipv4", "-f ipv6"][cases.rng.usize(..3)])),
        "-G expect" => {
            let port = [1026, 1027, 1028][cases.rng.usize(..3)];
            line.extend(split(
                "-s 10.9.0.2 -d 10.9.0.1 -p tcp --sport 0 --reply-port-src 1 --reply-port-dst 1",
            ));
            line.extend(["--dport".to_owned(), port.to_string()]);
        }
        "-L dying" | "-L unconfirmed" => {
            let at = cases.sample(&[]);
            line.extend(["-p".to_owned(), protocol(&mut cases.rng, at)]);
        }
        _ => return line,
    }
    line.extend(output(&mut cases.rng, kind));
    line
}

/// A command line that triggers an intended difference.
fn difference(id: &str, cases: &mut Cases<'_>, world: &World) -> Vec<String> {
    let at = cases.sample(&[]).clone();
    let mut pick = |lines: &[&str]| split(lines[cases.rng.usize(..lines.len())]);
    match id {
        "1.4.9 release" => pick(&["-V", "-L", "-L -t 1", "-G", "--version"]),
        "Z kernel-filter" => pick(&[
            "-L --kernel-filter=always -p udp",
            "-L --kernel-filter always -p tcp --dport 443 -f ipv4",
            "-L --kernel-filter=never -s 10.0.0.1",
            "-L --kernel-filter=auto -w 3 -o xml",
            "-L -p icmp --icmp-type 8 --kernel-filter=always -o id",
        ]),
        "Z count" => pick(&[
            "-C -p udp",
            "-C -s 10.0.0.0/8 ! -p tcp",
            "-C -p tcp --state ESTABLISHED",
            "-C -j",
            "-C -f ipv6",
            "--counter -u ASSURED -m 5",
            "-C -p udp --dport 1-60000 -w 3",
            "-C -i 5",
            "-C -t 5 -p udp",
        ]),
        "Z files" => {
            let lines = [
                "-L -s @ten",
                "-L -d @some -o xml",
                "-L ! -s @ten -o save",
                "-L -p udp -d @six -o id",
                "-L -r @hosts",
                "-L ! -q @hosts -p tcp -o extended",
                "-C -s @some",
            ];
            let dir = format!("@{}/", world.addresses.path().display());
            split(&lines[cases.rng.usize(..lines.len())].replace('@', &dir))
        }
        "Z families" => pick(&[
            "-L --kernel-filter=always -p udp",
            "-L --kernel-filter=always -p tcp -o xml",
            "-L -p gre -o save --kernel-filter=always",
        ]),
        "Z jobs" => pick(&["-L --jobs 2", "-L --jobs 4 -o save -p udp", "-L -f ipv6 --jobs=3 -o extended"]),
        "Z reader" => pick(&[
            "-L --reader bpf",
            "-L --reader=bpf -o save -p tcp",
            "-L -f ipv6 --reader bpf -o extended",
            "-L --reader bpf -o xml",
            "-L --reader bpf -o id,extended",
            "-L --reader netlink -p udp",
            "-L --reader auto -s 10.0.0.0/8",
        ]),
        "Z explain" => pick(&["-L --explain -p udp", "-L -s 10.0.0.0/8 --explain"]),
        "Z lists" => pick(&[
            "-L -s 10.0.0.1,10.0.0.2,172.16.0.0/12",
            "-L -p tcp --sport 53,1000:1001 -o xml",
            "-L -p tcp --dport 80-443 -o id",
            "-L -p gre --srckey 0x35-0x50,443 -o save",
            "-L -p udp --reply-port-src 0-1000,5060-65535",
            "-L -d 2001:db8::1,fd00:1::/64 -o save",
            "-L -p udp --dport 443:5060 -q 10.0.0.1,10.0.0.3",
        ]),
        "Z negation" => pick(&[
            "-L ! -s 10.0.0.1",
            "-L ! -s 10.0.0.0/31 ! -s 10.0.0.2 -o xml",
            "-L -s 10.0.0.0/8,!10.0.0.1,!172.16.0.0/12 ! -p udp -o save",
            "-L ! -p tcp ! -d 2001:db8::1 -o extended",
            "-L -p !tcp,!udp",
            "-L -p udp ! --dport 53,443 --sport !53 -o id",
            "-L -p udp --dport 1-60000,!53-443 ! --sport 1000-1001",
            "-L -w !3 ! --orig-zone 0",
            "-L ! -n ! -g -o xml",
            "-L ! -j -p udp -o save",
            "-L ! -l one,two -o labels",
            "-L -p tcp --state !ESTABLISHED,!CLOSE -o id",
            "-L ! -m 0 ! -u ASSURED",
        ]),
        "Z states" => pick(&[
            "-L -p tcp --state ESTABLISHED,TIME_WAIT",
            "-L -o xml -p tcp --state SYN_SENT,LISTEN,CLOSE,SYN_SENT",
            "-L -p sctp --state ESTABLISHED,CLOSED -o save",
        ]),
        "Z state names" => pick(&["-L -p tcp --state FOO", "-L -p 6 --state established"]),
        "Z zone 0" => pick(&[
            "-L -w 0",
            "-L --orig-zone 0 -o xml",
            "-L --reply-zone 0x0 -o save",
            "-L -w 0 -p udp --orig-zone 0 -o id",
        ]),
        "W10" => pick(&[
            "-L -n198.51.100.1",
            "-L --dst-nat=198.51.100.2 -o xml",
            "-L --any-nat=198.51.100.1",
            "--dump=expect",
            "--dump=expect -o xml",
            "-Cexpect",
            "--get=expect -s 10.9.0.2 -d 10.9.0.1 -p tcp --sport 0 --dport 1026 --reply-port-src 1 --reply-port-dst 1",
        ]),
        "1.4.9 --id" => {
            let mut line = cases.get("id");
            line.retain(|w| !w.starts_with("--id=") && w != "-i" && w != "12345");
            line.extend(["--id".to_owned(), at.field("id").unwrap_or("1").to_owned()]);
            line
        }
        "W21" => {
            pick(&["-L -o s", "-L -o d", "-L -o id,d,xml", "-L -o S -f ipv4", "-L -o src_nat", "-L -o dst"])
        }
        "1.4.9 mark" => pick(&[
            "-L -m 5 -u ASSURED",
            "-L -m 0x100/0xff00 -u !ASSURED -o extended",
            "-L -m 1 -u SEEN -o save",
        ]),
        "1.4.9 labelmap" => {
            let file = world.labels.path().display().to_string();
            let mut line = pick(&[
                "-L -l one --labelmap",
                "-L -o labels -M",
                "-L -l five -o xml,labels --labelmap",
                "-L -M",
            ]);
            line.push(file);
            line
        }
        "Z label bits" => {
            pick(&["-L -o labels", "-L -o xml,labels", "-L -l one", "-L -o labels,extended,id"])
        }
        "W6" => {
            pick(&["-L -p sctp --state FOO", "-L -p 132 --state HEARTBEAT", "-L -p sctp --state established"])
        }
        "1.4.9 numbers" => pick(&[
            "-L -w 65536",
            "-L -w x",
            "-L --orig-zone 3x",
            "-L --reply-zone=",
            "-L -c -1",
            "-L -m 0x1ffffffff",
            "-L -m foo/1",
            "-L -m 09",
            "-G -i nope",
        ]),
        "W12" => pick(&[
            "-L -u SEEN_REPLY,!ASSURED",
            "-L -u ASSURED -u SEEN_REPLY -o id",
            "-L -u UNSET",
            "-L -u S -u SEEN_REPLY -o xml",
            "-L -u !ASSURED -u UNREPLIED -o save",
            "-L -u UNREPLIED,ASSURED -o extended",
        ]),
        "W34" => pick(&[
            "-L -j 198.51.100.1 -p udp",
            "-L -s 10.0.0.1 -j 198.51.100.2 -o xml",
            "-L -j 198.51.100.1 -m 5 -o save",
            "-L -w 3 -j 198.51.100.1",
        ]),
        "W9" => pick(&[
            "-L -n 2001:db8::a1",
            "-L -g 2001:db8::a2 -o xml",
            "-L -j 2001:db8::a1 -o save",
            "-L -n [2001:db8::a1]:443",
            "-L -g [2001:db8::a2]:53 -p tcp -o extended",
        ]),
        "W33" => {
            pick(&["-L -n", "-L -g -o xml", "-L -j -o save", "-L -n -g -p icmp", "-L -j -p icmpv6 -o id"])
        }
        "W8 gre" => pick(&[
            "-L -p gre --srckey 53",
            "-L -p gre --dstkey 0x50 -o xml",
            "-L -p gre --reply-key-src 443 -o save",
        ]),
        "W29" => pick(&[
            "-L -o labels -p tcp --sport 2000",
            "-L -o labels,xml -p tcp --sport 2000",
            "-L -o labels",
        ]),
        "Z empty -u" => pick(&[
            "-L -u SRC_NAT",
            "-L -u DST_NAT,SRC_NAT -p udp",
            "-L -p sctp -u D",
            "-L -u src_nat -o xml",
        ]),
        "Z heartbeat" => pick(&["-L -p sctp -o save", "-L -o save", "-L -f ipv4 -o save"]),
        "Z saved port" => pick(&["-L -n -o save", "-L -g -o save", "-L -j -o save", "-L -o save"]),
        "Z saved mark" => pick(&["-L -o save", "-L -p udp -o save", "-L -f ipv6 -o save", "-L -m 5 -o save"]),
        "W16" => pick(&["-L -o xml -p sctp", "-L -o xml,ktimestamp"]),
        "W22" => pick(&[
            "-L -p tcp --sport abc",
            "-L -p tcp --dport 65979",
            "-L -p udp -a x --dport 53x --reply-port-src ?",
            "-L -p tcp --reply-port-dst -1 -o xml",
            "-L -p tcp --dport 80,65536",
            "-L -p tcp --dport 90-80",
            "-L -p udp --sport 1-2-3",
            "-L -p tcp --dport=",
            "-L -p icmp --icmp-type echo -a y",
            "-L -p icmp --icmp-type 264",
            "-L -p icmpv6 --icmpv6-code 0x0",
            "-L -p icmp --icmp-id 65613",
            "-L -p gre --srckey key",
            "-L -p gre --dstkey 0x10000",
        ]),
        "Z mask of a mark" => pick(&["-L -m 5/0xfffffffff", "-L -m 0/", "-L -m 1/x -o xml", "-L -m 5/1,2"]),
        "Z netmask" => {
            pick(&["-L -s 10.0.0.1/", "-L -d fd00::1/ -o id", "-L -s 1.1.1.1/33", "-L -s 1.1.1.1/8x -o xml"])
        }
        "Z address text" => vec!["-L".into(), "-s".into(), format!("{} 10.0.0.2", at.facts.addrs[0])],
        "Z address form" => pick(&[
            "-L -s 10.1",
            "-L -a x -d 10.1.0 -r 012.0.0.1 -u S,ASSURED",
            "-L -s 10.1,10.0.2/24,10.0.0.3 -o xml",
            "-L -g 198.51.25601 -o id",
            "-L -d 0xa.1/8 -p udp",
        ]),
        "W8 secmark" => pick(&["-L -c 0", "-L -c 5 -f ipv6 -o xml", "-L -p udp -c 0x10"]),
        other => panic!("no command line triggers {other}"),
    }
}

/// What was compared, and with what result.
#[derive(Default)]
struct Coverage {
    cells: BTreeMap<Target, u64>,
    ledger: Ledger,
    compared: u64,
    listed_some: u64,
    refused: u64,
    failures: Vec<String>,
}

/// Compares until the target is met, or both programs have refused too often.
fn meet(target: Target, cases: &mut Cases<'_>, world: &World, coverage: &mut Coverage) {
    for _ in 0..TRIES {
        let args = case(target, cases, world);
        coverage.compared += 1;
        match compare(&args, &mut coverage.ledger) {
            Err(report) => {
                coverage.failures.push(report);
                return;
            }
            Ok(agreed) => {
                let met = match target {
                    Target::Difference(i) => {
                        let id = DIFFERENCES[i].id;
                        id == "1.4.9 release" || agreed.differences.contains(&id)
                    }
                    // A refused command line says nothing about how flows are listed.
                    _ => agreed.ours.exit == Exit::Code(0) || matches!(target, Target::Command { .. }),
                };
                coverage.listed_some += u64::from(!agreed.ours.stdout.is_empty());
                coverage.refused += u64::from(agreed.ours.exit == Exit::Code(2));
                if met {
                    *coverage.cells.entry(target).or_default() += 1;
                    return;
                }
            }
        }
    }
}

fn environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn listings_agree() {
    let count = environment("ZCT_DIFFERENTIAL_N").map_or(DEFAULT, |n| n as usize);
    let flows = environment("ZCT_DIFFERENTIAL_FLOWS").map_or(FLOWS, |n| n as usize);
    compare_many(count, flows);
}

#[test]
fn listings_of_a_large_table_agree() {
    compare_many(ON_MANY, MANY_FLOWS);
}

fn compare_many(count: usize, flows: usize) {
    let path = "/proc/sys/net/netfilter/nf_conntrack_max";
    let limit = std::fs::read_to_string(path).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0);
    let needed = flows + SPARE;
    assert!(needed <= limit, "a table of this machine holds {limit} flows: echo {needed} >{path}");
    let seed = environment("ZCT_SEED").unwrap_or(1);
    let all = targets();
    let mut deck = all.clone();
    deck.resize(count.max(all.len()), Target::Any);
    Rng::with_seed(seed).shuffle(&mut deck);
    deck.truncate(count);
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let worlds: Vec<&[Target]> = deck.chunks(count.div_ceil(workers).clamp(1, PER_WORLD)).collect();
    let next = Mutex::new(0..worlds.len());
    let total = Mutex::new(Coverage::default());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(number) = { next.lock().expect("no panic while locked").next() } {
                    let coverage = one_world(seed, number, flows, worlds[number]);
                    let mut total = total.lock().expect("no panic while locked");
                    coverage.cells.into_iter().for_each(|(t, n)| *total.cells.entry(t).or_default() += n);
                    total.ledger.merge(coverage.ledger);
                    total.compared += coverage.compared;
                    total.listed_some += coverage.listed_some;
                    total.refused += coverage.refused;
                    total.failures.extend(coverage.failures);
                }
            });
        }
    });
    let total = total.into_inner().expect("no panic while locked");
    println!("{}", table(&total));
    let shown = total.failures.iter().take(10).map(|f| format!("{f}\n")).collect::<String>();
    assert!(
        total.failures.is_empty(),
        "{} disagreements with ZCT_SEED={seed}:\n{shown}",
        total.failures.len()
    );
    if count >= DEFAULT {
        let empty: Vec<_> = all.iter().filter(|t| !total.cells.contains_key(t)).collect();
        assert!(empty.is_empty(), "cells without a comparison: {empty:?}");
        let missing = total.ledger.missing(SeenIn::Differential);
        assert!(missing.is_empty(), "intended differences that were not seen: {missing:?}");
    }
}

fn one_world(seed: u64, number: usize, flows: usize, targets: &[Target]) -> Coverage {
    let world = World::new(seed, number, flows);
    let mut coverage = Coverage::default();
    let rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number as u64));
    let mut cases = Cases { rng, samples: &world.samples };
    for target in targets {
        meet(*target, &mut cases, &world, &mut coverage);
        if coverage.failures.len() >= ENOUGH {
            break;
        }
    }
    coverage
}

/// The coverage as text: options and commands by output, protocols by option, differences.
fn table(c: &Coverage) -> String {
    let count = |t: Target| c.cells.get(&t).map_or("-".to_owned(), u64::to_string);
    let mut out = format!(
        "{} comparisons: {} showed entries, {} were refused by both\n{:16}",
        c.compared, c.listed_some, c.refused, ""
    );
    out += &OUTPUTS.iter().map(|o| format!("{o:>11}")).collect::<String>();
    out += &PROTOCOLS.iter().map(|p| format!("{p:>5}")).collect::<String>();
    for (row, r) in ROWS.iter().enumerate() {
        out += &format!("\n{:16}", r.name);
        for output in 0..OUTPUTS.len() {
            out += &format!("{:>11}", count(Target::Option { row, output }));
        }
        for proto in PROTOCOLS {
            let cell = if fits(r, proto) { count(Target::Protocol { row, proto }) } else { String::new() };
            out += &format!("{cell:>5}");
        }
    }
    for proto in PROTOCOLS {
        out += &format!("\n-p {proto:<13}");
        for output in 0..OUTPUTS.len() {
            out += &format!("{:>11}", count(Target::ProtocolOutput { output, proto }));
        }
    }
    for (command, (name, outputs)) in COMMANDS.iter().enumerate() {
        out += &format!("\n{name:16}");
        for output in 0..if *outputs { OUTPUTS.len() } else { 1 } {
            out += &format!("{:>11}", count(Target::Command { command, output }));
        }
    }
    out += "\nintended differences seen:";
    for d in DIFFERENCES.iter().filter(|d| d.seen_in == SeenIn::Differential) {
        out += &format!("\n{:>6} {}: {}", c.ledger.count(d.id), d.id, d.when);
    }
    out
}
